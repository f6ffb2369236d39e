/*
 * Maintenance: small files are folded into larger ones, files that lost many rows are written anew, old snapshots go.
 *
 * A fold reads the rows that are live and writes them to one file, while commits go on. Then it takes the table's turn: rows that were
 * deleted meanwhile are deleted in the new file (a row's place there is its rank among the live rows of the inputs), the key
 * index gets the new places, and one commit of operation "replace" swaps the files.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "lake/lake_int.h"
#include "os/os.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

enum {
    FOLD_FILES = 8,                  // so many of a size are folded
    FOLD_FILES_MAX = 64,             // at once
    FOLD_TARGET = 128 * 1024 * 1024, // bytes; a file of half that is left alone
    FOLD_SMALL = 1024 * 1024,        // files up to this are of one size
    FOLD_DEAD_PERCENT = 30,          // of its rows; then a file is written anew
};

/* ---- which files ---- */

/* Files whose sizes are within a factor of four are of one class, the small ones all of class 0. */
static int size_class(int64_t bytes)
{
    int n = 0;
    for (int64_t limit = FOLD_SMALL; bytes > limit; limit *= 4)
        n++;
    return n;
}

static bool is_worn(const struct slot *s)
{
    return s->dead && (int64_t)s->dead->set * 100 >= s->data->entry.file.rows * FOLD_DEAD_PERCENT;
}

/* Marks what is to be folded now; how many. */
static size_t choose(const struct version *v, bool *chosen)
{
    size_t n = 0, in_class[16] = {0};
    int class = -1;
    int64_t bytes = 0;
    for (size_t i = 0; i < v->slot_count; i++) {
        int64_t size = v->slots[i].data->entry.file.size_bytes;
        int c = size_class(size);
        if (size < FOLD_TARGET / 2 && c < 16 && ++in_class[c] >= FOLD_FILES && class < 0)
            class = c;
    }
    for (size_t i = 0; i < v->slot_count && n < FOLD_FILES_MAX && bytes < FOLD_TARGET; i++) {
        int64_t size = v->slots[i].data->entry.file.size_bytes;
        bool small = class >= 0 && size_class(size) <= class && size < FOLD_TARGET / 2;
        if (small || is_worn(&v->slots[i])) {
            chosen[i] = true;
            bytes += size;
            n++;
        }
    }
    return n;
}

/* ---- the new file ---- */

struct fold {
    struct table *table;
    struct version *v;  // as it was when the fold began
    bool *chosen;       // [v->slot_count]
    struct slot output; // data NULL: no row was live
};

/* All live rows of the chosen files, in their order: UNION ALL keeps it, one file after the other. */
static bool fold_sql(struct fold *f, struct arena *a, struct engine_live *live, int64_t *live_id,
                     struct buf *sql, struct err *e)
{
    struct version *v = f->v;
    const char **paths = ARENA_ARRAY(a, const char *, v->slot_count + 1);
    const uint64_t **dead = ARENA_ARRAY(a, const uint64_t *, v->slot_count + 1);
    size_t *bits = ARENA_ARRAY(a, size_t, v->slot_count + 1), n = 0;
    for (size_t i = 0; i < v->slot_count; i++) {
        if (!f->chosen[i])
            continue;
        dead[n] = v->slots[i].dead ? v->slots[i].dead->w : NULL;
        bits[n] = v->slots[i].dead ? v->slots[i].dead->n : 0;
        if (!file_path(v->slots[i].data, &paths[n++], e))
            return false;
    }
    *live = (struct engine_live){.dead = dead, .bits = bits, .files = n};
    *live_id = engine_live_add(f->table->lake->engine, live);
    buf_str(sql, STR("SELECT "));
    for (size_t i = 0; i < v->schema.count; i++) {
        buf_str(sql, i ? STR(", ") : STR(""));
        sql_name(sql, v->schema.fields[i].like.name);
    }
    buf_str(sql, STR(" FROM "));
    read_files_sql(&v->schema, paths, n, sql);
    buf_fmt(sql, " WHERE tarn_live(%" PRId64 ", file_index, file_row_number)", *live_id);
    return true;
}

static bool write_output(struct fold *f, struct err *e)
{
    struct lake *l = f->table->lake;
    struct arena a = {0};
    struct buf sql = buf_make(64 * MIB);
    struct engine_live live;
    struct session *s = NULL;
    int64_t live_id = 0;
    bool ok = lake_session(l, &s, e) && fold_sql(f, &a, &live, &live_id, &sql, e);
    if (ok) {
        struct file_rows w = {
            .select = buf_z(&sql), .schema = &f->v->schema, .location = f->v->meta->location};
        ok = file_write(l, s, &w, &f->output.data, e);
    }
    if (live_id)
        engine_live_remove(l->engine, live_id);
    if (s)
        lake_session_done(l, s);
    buf_fini(&sql);
    arena_fini(&a);
    return ok;
}

/* ---- what happened meanwhile ---- */

static const struct slot *slot_of(const struct version *v, const struct data_file *file)
{
    for (size_t i = 0; i < v->slot_count; i++)
        if (v->slots[i].data == file)
            return &v->slots[i];
    return NULL;
}

/* Rows of the output that died since the fold began. False: a chosen file is gone altogether, so the fold is for nothing. */
static bool late_deaths(struct fold *f, const struct version *now, struct bits **out)
{
    struct bits *late = bits_new(f->output.data ? (size_t)f->output.data->entry.file.rows : 0, NULL);
    size_t rank = 0;
    bool whole = true;
    for (size_t i = 0; whole && i < f->v->slot_count; i++) {
        const struct slot *then = &f->v->slots[i], *is = f->chosen[i] ? slot_of(now, then->data) : NULL;
        if (!f->chosen[i])
            continue;
        whole = is != NULL;
        for (size_t row = 0; whole && row < (size_t)then->data->entry.file.rows; row++) {
            if (bits_has(then->dead, row))
                continue;
            if (bits_has(is->dead, row))
                bits_add(late, rank);
            rank++;
        }
    }
    if (!whole || late->set == 0) {
        bits_unref(late);
        late = NULL;
    }
    *out = late;
    return whole;
}

static bool add_keys(struct fold *f, struct table_change *c, struct err *e)
{
    struct key_add add = {.live = version_live, .arg = c->base};
    struct session *s = NULL;
    if (!c->base->keys)
        return true;
    add.next_file = keys_next_file(c->base->keys);
    if (f->output.data) {
        f->output.data->number = add.next_file++;
        if (!lake_session(c->table->lake, &s, e))
            return false;
        bool ok =
            keys_of_file(c->base, s, f->output.data, keys_secret(c->base->keys), &add.entries, &add.count, e);
        lake_session_done(c->table->lake, s);
        if (!ok) {
            mem_free(add.entries);
            return false;
        }
    }
    bool ok = keys_add(c->base->keys, &add, &c->keys, e);
    mem_free(add.entries);
    return ok;
}

static bool swap_prepare(struct fold *f, struct table_change *c, struct err *e)
{
    struct session *s = NULL;
    c->removed = MEM_ARRAY(bool, c->base->slot_count + 1);
    for (size_t i = 0; i < f->v->slot_count; i++)
        if (f->chosen[i])
            c->removed[slot_of(c->base, f->v->slots[i].data) - c->base->slots] = true;
    c->operation = "replace";
    c->added = MEM_ARRAY(struct slot, 1);
    c->added_count = f->output.data != NULL;
    c->added[0] = f->output;
    f->output = (struct slot){0};
    struct slot *out = &c->added[0];
    bool ok = true;
    if (out->dead) {
        ok = lake_session(c->table->lake, &s, e) &&
             file_write_deletes(c->table->lake, s, out->data, out->dead, c->base->meta->location,
                                &out->deletes, e);
        if (s)
            lake_session_done(c->table->lake, s);
    }
    return ok && change_prepare(c, e);
}

/* Holding the table's turn. */
static bool swap_files(struct fold *f, bool *did, struct err *e)
{
    struct table_change c = {.table = f->table, .lsn = -1};
    bool ok = table_version(f->table, &c.base, e) && version_need_dead(c.base, e);
    *did = ok && c.base->schema.id == f->v->schema.id && late_deaths(f, c.base, &f->output.dead);
    if (*did) {
        ok = add_keys(f, &c, e) && swap_prepare(f, &c, e) && lake_publish(f->table->lake, &c, 1, e);
        change_fini(&c, ok);
    } else {
        version_unref(c.base);
    }
    return ok;
}

bool table_fold(struct table *t, bool *did, struct err *e)
{
    struct fold f = {.table = t};
    *did = false;
    if (!table_version(t, &f.v, e))
        return false;
    if (!f.v || !f.v->snapshot || !version_need_dead(f.v, e)) {
        bool ok = !f.v || !f.v->snapshot;
        version_unref(f.v);
        return ok;
    }
    f.chosen = MEM_ARRAY(bool, f.v->slot_count + 1);
    bool ok = true;
    if (choose(f.v, f.chosen) > 0) {
        ok = write_output(&f, e);
        turn_take(&t->turn);
        ok = ok && swap_files(&f, did, e);
        turn_give(&t->turn);
        if (f.output.data) // it was for nothing
            lake_drop(t->lake, f.output.data->entry.file.path);
        file_unref(f.output.data);
        bits_unref(f.output.dead);
    }
    version_unref(f.v);
    mem_free(f.chosen);
    return ok ? true : err_wrap(e, "fold files of %s", t->name);
}
