/*
 * Expiry: snapshots that are old go, and with them the files that only they had.
 *
 * History is a line, so a file goes out of reach with the snapshot before the one that removed it: what snapshot N+1 removed (its
 * manifests' entries of status DELETED), and manifests that N has and N+1 has not, are garbage once all snapshots up to N went.
 * Files that a query of this process still reads stay on disk until it ends; the object store sees to that.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "lake/lake_int.h"
#include "os/os.h"

#include <stdlib.h>

struct garbage {
    struct arena arena;
    struct str *uris;
    size_t count, cap;
};

static void discard(struct garbage *g, struct str uri)
{
    MEM_PUSH_ROOM(g->uris, g->count, g->cap);
    g->uris[g->count++] = arena_str(&g->arena, uri);
}

static bool read_list(struct lake *l, const struct ice_snapshot *s, struct arena *a,
                      struct ice_manifest **list, size_t *n, struct err *e)
{
    struct str bytes;
    return lake_get(l, s->manifest_list, MANIFEST_MAX, a, &bytes, e) &&
           manifest_list_read(bytes, a, list, n, e);
}

static bool has_manifest(const struct ice_manifest *list, size_t n, struct str path)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(list[i].path, path))
            return true;
    return false;
}

/* What goes with snapshot `old`, whose successor is `next`. */
static bool between(struct lake *l, const struct ice_snapshot *old, const struct ice_snapshot *next,
                    struct garbage *g, struct err *e)
{
    struct arena a = {0};
    struct ice_manifest *before, *after;
    struct ice_entry *entries;
    struct str bytes;
    size_t before_count, after_count, n;
    bool ok =
        read_list(l, old, &a, &before, &before_count, e) && read_list(l, next, &a, &after, &after_count, e);
    for (size_t i = 0; ok && i < before_count; i++)
        if (!has_manifest(after, after_count, before[i].path))
            discard(g, before[i].path);
    for (size_t i = 0; ok && i < after_count; i++) {
        if (after[i].added_snapshot != next->id || after[i].deleted_files == 0)
            continue;
        ok = lake_get(l, after[i].path, MANIFEST_MAX, &a, &bytes, e) &&
             manifest_read(&after[i], bytes, &a, &entries, &n, e);
        for (size_t k = 0; ok && k < n; k++)
            if (entries[k].status == ICE_DELETED && entries[k].snapshot_id == next->id)
                discard(g, entries[k].file.path);
    }
    if (ok)
        discard(g, old->manifest_list);
    arena_fini(&a);
    return ok;
}

/* How many of the oldest snapshots go. They are in the order they were made. */
static size_t how_many(const struct ice_meta *m, int64_t now_ms)
{
    size_t n = 0;
    while (n + LAKE_SNAPSHOTS_MIN < m->snapshot_count &&
           (m->snapshot_count - n > LAKE_SNAPSHOTS_MAX ||
            m->snapshots[n].timestamp_ms < now_ms - LAKE_SNAPSHOT_AGE_MS))
        n++;
    return n;
}

/* A history that is no line (branches of other programs) is left alone. */
static bool is_a_line(const struct ice_meta *m)
{
    for (size_t i = 1; i < m->snapshot_count; i++)
        if (m->snapshots[i].parent != m->snapshots[i - 1].id)
            return false;
    return m->snapshot_count > 0 && m->snapshots[m->snapshot_count - 1].id == m->current_snapshot;
}

static bool expire(struct table *t, struct version *base, size_t n, struct garbage *g, struct err *e)
{
    const struct ice_meta *m = base->meta;
    int64_t *ids = ARENA_ARRAY(&g->arena, int64_t, n);
    for (size_t i = 0; i < n; i++) {
        ids[i] = m->snapshots[i].id;
        if (!between(t->lake, &m->snapshots[i], &m->snapshots[i + 1], g, e))
            return false;
    }
    struct table_change c = {
        .table = t, .base = version_ref(base), .lsn = -1, .expire = ids, .expire_count = n};
    bool ok = change_prepare(&c, e) && lake_publish(t->lake, &c, 1, e);
    change_fini(&c, ok);
    for (size_t i = 0; ok && i < g->count; i++)
        lake_drop(t->lake, g->uris[i]);
    return ok;
}

static bool table_expire(struct table *t, struct err *e)
{
    struct version *base = NULL;
    struct garbage g = {0};
    turn_take(&t->turn);
    bool ok = table_version(t, &base, e);
    size_t n = ok && base && is_a_line(base->meta)
                   ? how_many(base->meta, t->lake->os->wall_us(t->lake->os) / 1000)
                   : 0;
    if (n > 0)
        ok = expire(t, base, n, &g, e);
    turn_give(&t->turn);
    version_unref(base);
    mem_free(g.uris);
    arena_fini(&g.arena);
    return ok ? true : err_wrap(e, "expire snapshots of %s", t->name);
}

/* ---- the thread ---- */

static size_t all_tables(struct lake *l, struct table ***out)
{
    size_t n = 0;
    mutex_lock(&l->lock);
    *out = MEM_ARRAY(struct table *, l->tables.n + 1);
    for (struct map_it it = {0}; map_next(&l->tables, &it);) {
        struct table *t = it.value;
        if (t->current) // one that nobody wrote or read since the start needs nothing
            (*out)[n++] = t;
    }
    mutex_unlock(&l->lock);
    return n;
}

bool lake_maintain(struct lake *l, struct err *e)
{
    struct table **tables;
    struct err why;
    size_t n = all_tables(l, &tables);
    bool ok = true, did;
    for (size_t i = 0; i < n; i++) {
        do {
            did = false;
            if (!table_fold(tables[i], &did, &why) && ok) {
                ok = false;
                *e = why;
            }
        } while (did);
        if (!table_expire(tables[i], &why) && ok) {
            ok = false;
            *e = why;
        }
    }
    mem_free(tables);
    return ok;
}

static void keeper(void *arg)
{
    struct lake *l = arg;
    struct err e;
    mutex_lock(&l->keeper_lock);
    while (!l->keeper_stop) {
        (void)cond_wait_ms(&l->keeper_wake, &l->keeper_lock, l->maintain_ms);
        if (l->keeper_stop)
            break;
        mutex_unlock(&l->keeper_lock);
        bool ok = lake_maintain(l, &e);
        mutex_lock(&l->keeper_lock);
        l->keeper_failures += !ok;
        if (!ok)
            l->keeper_error = e;
    }
    mutex_unlock(&l->keeper_lock);
}

void keeper_start(struct lake *l)
{
    l->keeper_runs = true;
    thread_start(&l->keeper, "lake", keeper, l);
}

void keeper_stop(struct lake *l)
{
    if (!l->keeper_runs)
        return;
    mutex_lock(&l->keeper_lock);
    l->keeper_stop = true;
    cond_signal(&l->keeper_wake);
    mutex_unlock(&l->keeper_lock);
    thread_join(&l->keeper);
}

uint64_t lake_maintain_failures(struct lake *l, struct err *last)
{
    mutex_lock(&l->keeper_lock);
    uint64_t n = l->keeper_failures;
    *last = l->keeper_error;
    mutex_unlock(&l->keeper_lock);
    return n;
}
