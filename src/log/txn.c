/*
 * Transactions in a partition (KIP-98): which are open, so where the last stable offset is, and which were aborted.
 *
 * What is open is known from the batches: the first transactional batch of a producer opens its transaction, its marker ends
 * it. It is in the checkpoint. An aborted one is kept as long as the segment that has its marker, in a file beside it
 * (BASE.txnindex, docs/formats.md): the checkpoint says how many entries of the file count, a replay makes the later ones
 * anew, and nothing of it is read at start. A reader looks from the segment it reads in on; it is through when what is aborted
 * later begins behind the records it has (the entry's `stable`), as Kafka's TransactionIndex does it.
 */
#include "base/be.h"
#include "base/crc.h"
#include "base/mem.h"
#include "log/log_int.h"

#include <assert.h>
#include <fcntl.h>

enum { ENTRY = 36, ENTRIES_AT_ONCE = 128 };

/* ---- what is open ---- */

static struct ongoing *find_ongoing(struct ongoings *o, int64_t producer_id)
{
    for (size_t i = 0; i < o->n; i++)
        if (o->list[i].producer_id == producer_id)
            return &o->list[i];
    return NULL;
}

static void end_txn(struct part *p, struct seg *s, const struct batch_header *h, bool commit)
{
    struct ongoings *o = &p->ongoing;
    struct ongoing *t = find_ongoing(o, h->producer_id);
    int64_t first;

    if (!t)
        return; // the partition was in the transaction, but nothing was written to it
    first = t->first;
    o->n--;
    for (size_t i = (size_t)(t - o->list); i < o->n; i++)
        o->list[i] = o->list[i + 1];
    if (commit)
        return;
    MEM_PUSH_ROOM(s->aborts, s->aborts_n, s->aborts_cap);
    s->aborts[s->aborts_n++] =
        (struct abort_entry){.producer_id = h->producer_id,
                             .first = first,
                             .last = h->base_offset,
                             .stable = o->n > 0 ? o->list[0].first : h->base_offset + 1};
}

void txn_took(struct part *p, struct seg *s, const struct batch_header *h, const struct batch_mark *m)
{
    struct ongoings *o = &p->ongoing;

    if (m) {
        end_txn(p, s, h, m->commit);
    } else if ((h->attributes & BATCH_TRANSACTIONAL) && !find_ongoing(o, h->producer_id)) {
        MEM_PUSH_ROOM(o->list, o->n, o->cap);
        o->list[o->n++] = (struct ongoing){h->producer_id, h->base_offset};
    }
}

void txn_stable(struct part *p)
{
    int64_t stable = p->ongoing.n > 0 ? p->ongoing.list[0].first : p->end;

    __atomic_store_n(&p->stable, stable, __ATOMIC_RELEASE);
}

/* ---- the file of a segment ---- */

static void entry_put(uint8_t *to, const struct abort_entry *a)
{
    be_put64(to, (uint64_t)a->producer_id);
    be_put64(to + 8, (uint64_t)a->first);
    be_put64(to + 16, (uint64_t)a->last);
    be_put64(to + 24, (uint64_t)a->stable);
    be_put32(to + 32, crc32c(0, to, 32));
}

static bool entry_take(const uint8_t *from, struct abort_entry *a)
{
    a->producer_id = (int64_t)be_get64(from);
    a->first = (int64_t)be_get64(from + 8);
    a->last = (int64_t)be_get64(from + 16);
    a->stable = (int64_t)be_get64(from + 24);
    return be_get32(from + 32) == crc32c(0, from, 32);
}

static int file_open_at(struct log *l, const struct seg *s, int flags, struct err *e)
{
    struct arena a = {0};
    int fd = os_open(l->os, arena_fmt(&a, "%s.txnindex", s->path), flags, e);

    arena_fini(&a);
    return fd;
}

/* Behind the first `after` entries; durable but for the file's name. */
static bool file_write(struct log *l, const struct seg *s, size_t after, const struct abort_entry *list,
                       size_t n, struct err *e)
{
    uint8_t *bytes = mem_alloc(n * ENTRY);
    int fd = file_open_at(l, s, O_RDWR | O_CREAT, e);
    bool ok = fd >= 0;

    for (size_t i = 0; i < n; i++)
        entry_put(bytes + i * ENTRY, &list[i]);
    ok = ok && os_write(l->os, fd, bytes, n * ENTRY, (int64_t)(after * ENTRY), e);
    if (ok && !os_sync(l->os, fd, e)) {
        e->kind = ERR_IO;
        ok = false;
    }
    os_close(l->os, fd);
    mem_free(bytes);
    return ok || err_wrap(e, "segment %s.txnindex", s->path);
}

static bool give_reserve(struct log *l)
{
    struct arena a = {0};
    bool gave = l->os->unlink(l->os, arena_fmt(&a, "%s/reserve", l->dir)) == 0;

    arena_fini(&a);
    return gave;
}

bool txn_save(struct log *l, struct part *p, struct seg *s, struct err *e)
{
    struct arena a = {0};
    struct abort_entry *list;
    size_t n, after;
    bool ok;

    mutex_lock(&p->lock);
    n = s->aborts_n;
    after = s->aborts_saved;
    list = arena_copy(&a, s->aborts, n * sizeof *list);
    mutex_unlock(&p->lock);
    ok = n == 0 || file_write(l, s, after, list, n, e) ||
         (e->kind == ERR_FULL && give_reserve(l) && file_write(l, s, after, list, n, e));
    if (ok && n > 0 && after == 0 && !os_sync_dir(l->os, part_path(l, p, &a), e)) {
        e->kind = ERR_IO;
        ok = false;
    }
    if (ok) {
        mutex_lock(&p->lock);
        s->aborts_n -= n;
        s->aborts_saved += n;
        for (size_t i = 0; i < s->aborts_n; i++) // what came while it was written
            s->aborts[i] = s->aborts[i + n];
        mutex_unlock(&p->lock);
    }
    arena_fini(&a);
    return ok;
}

/* ---- reading it ---- */

/* Up to `room` entries from the at-th on. */
static bool file_read(struct log *l, const struct seg *s, int fd, size_t at, struct abort_entry *out,
                      size_t room, struct err *e)
{
    uint8_t bytes[ENTRIES_AT_ONCE * ENTRY];

    assert(room <= ENTRIES_AT_ONCE);
    if (!os_read(l->os, fd, bytes, room * ENTRY, (int64_t)(at * ENTRY), e))
        return err_wrap(e, "segment %s.txnindex", s->path);
    for (size_t i = 0; i < room; i++)
        if (!entry_take(bytes + i * ENTRY, &out[i]))
            return err_set(e, ERR_CORRUPT, "segment %s.txnindex is damaged at entry %zu", s->path, at + i);
    return true;
}

/* The first of n entries whose marker is at `from` or behind. */
static bool file_find(struct log *l, const struct seg *s, int fd, size_t n, int64_t from, size_t *at,
                      struct err *e)
{
    size_t lo = 0, hi = n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        struct abort_entry one;

        if (!file_read(l, s, fd, mid, &one, 1, e))
            return false;
        if (one.last < from)
            lo = mid + 1;
        else
            hi = mid;
    }
    *at = lo;
    return true;
}

bool txn_merge(struct log *l, struct seg **old, size_t n, size_t *saved, struct err *e)
{
    *saved = old[0]->aborts_saved; // closed and synced: all are in their files, and no more come
    for (size_t i = 1; i < n; i++) {
        struct abort_entry list[ENTRIES_AT_ONCE];
        int fd = old[i]->aborts_saved > 0 ? file_open_at(l, old[i], O_RDONLY, e) : -1;
        bool ok = fd >= 0 || old[i]->aborts_saved == 0;

        for (size_t at = 0, some; ok && at < old[i]->aborts_saved; at += some) {
            some = old[i]->aborts_saved - at;
            some = some < ENTRIES_AT_ONCE ? some : ENTRIES_AT_ONCE;
            ok = file_read(l, old[i], fd, at, list, some, e) && file_write(l, old[0], *saved, list, some, e);
            *saved += some;
        }
        os_close(l->os, fd);
        if (!ok)
            return false;
    }
    return true;
}

/* ---- looking for what was aborted ---- */

/* What one segment has when it is looked at. */
struct look {
    struct seg *seg; // referenced
    size_t saved;
    struct abort_entry *more;
    size_t n;
};

struct search {
    struct log *l;
    struct part *part;
    int64_t from, to;
    struct arena *a;
    struct abort_entry *list;
    size_t n, cap;
    bool done; // nothing aborted later begins before `to`
};

/* The segments from the one that holds s->from on that have any. */
static size_t look_at(struct search *s, struct arena *a, struct look **out)
{
    struct part *p = s->part;
    size_t n = 0;

    mutex_lock(&p->lock);
    *out = ARENA_ARRAY(a, struct look, p->seg_n);
    for (size_t i = 0; i < p->seg_n; i++) {
        struct seg *g = p->segs[i];

        if ((i + 1 < p->seg_n && p->segs[i + 1]->base <= s->from) || g->aborts_saved + g->aborts_n == 0)
            continue;
        (*out)[n] = (struct look){.seg = seg_ref(g),
                                  .saved = g->aborts_saved,
                                  .more = arena_copy(a, g->aborts, g->aborts_n * sizeof *g->aborts),
                                  .n = g->aborts_n};
        n++;
    }
    mutex_unlock(&p->lock);
    return n;
}

static void take_entries(struct search *s, const struct abort_entry *list, size_t n)
{
    for (size_t i = 0; i < n && !s->done; i++) {
        if (list[i].last >= s->from && list[i].first < s->to) {
            if (s->n == s->cap) {
                struct abort_entry *more = ARENA_ARRAY(s->a, struct abort_entry, 2 * s->cap + 8);

                if (s->n > 0)
                    memcpy(more, s->list, s->n * sizeof *more);
                s->list = more;
                s->cap = 2 * s->cap + 8;
            }
            s->list[s->n++] = list[i];
        }
        s->done = list[i].stable >= s->to;
    }
}

static bool search_seg(struct search *s, const struct look *at, struct err *e)
{
    struct abort_entry list[ENTRIES_AT_ONCE];
    size_t i = 0, some;
    bool ok = true;
    int fd = -1;

    if (at->saved > 0) {
        fd = file_open_at(s->l, at->seg, O_RDONLY, e);
        ok = fd >= 0 && file_find(s->l, at->seg, fd, at->saved, s->from, &i, e);
    }
    for (; ok && !s->done && i < at->saved; i += some) {
        some = at->saved - i < ENTRIES_AT_ONCE ? at->saved - i : ENTRIES_AT_ONCE;
        ok = file_read(s->l, at->seg, fd, i, list, some, e);
        if (ok)
            take_entries(s, list, some);
    }
    os_close(s->l->os, fd);
    if (ok)
        take_entries(s, at->more, at->n);
    return ok;
}

static bool search_part(struct search *s, struct err *e)
{
    struct arena a = {0};
    struct look *looks;
    size_t n = look_at(s, &a, &looks);
    bool ok = true;

    s->n = 0;
    s->done = false;
    for (size_t i = 0; i < n; i++) {
        ok = ok && (s->done || search_seg(s, &looks[i], e));
        seg_unref(looks[i].seg);
    }
    arena_fini(&a);
    return ok;
}

bool txn_aborted(struct log *l, struct part *p, const struct txn_range *r, struct abort_entry **out,
                 size_t *count, struct err *e)
{
    struct search s = {.l = l, .part = p, .from = r->from, .to = r->to, .a = r->a};
    bool ok = search_part(&s, e);

    if (!ok &&
        e->kind == ERR_NOT_FOUND) // compaction has merged the segment meanwhile, or retention has taken it
        ok = search_part(&s, e);
    if (!ok && e->kind == ERR_NOT_FOUND && r->from >= part_start(p))
        e->kind = ERR_CORRUPT;
    *out = s.list;
    *count = s.n;
    return ok || err_wrap(e, "topic %.*s partition %d", STR_ARG(p->topic->name), p->index);
}

bool log_aborted(struct log *l, const struct log_span *in, struct arena *a, struct log_aborted **out,
                 size_t *count, struct err *e)
{
    struct part *p = part_find(l, in->topic, in->partition);
    struct abort_entry *list;
    bool ok;

    if (!p)
        return err_set(e, ERR_NOT_FOUND, "topic %.*s has no partition %d", STR_ARG(in->topic), in->partition);
    ok = txn_aborted(l, p, &(struct txn_range){in->from, in->to, a}, &list, count, e);
    *out = ARENA_ARRAY(a, struct log_aborted, ok ? *count : 0);
    for (size_t i = 0; ok && i < *count; i++)
        (*out)[i] = (struct log_aborted){list[i].producer_id, list[i].first};
    part_unref(p);
    return ok;
}
