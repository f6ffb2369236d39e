/*
 * The checkpoint: what is certain in the segments, so that the journal before it can go.
 *
 * The committer makes the snapshot between two groups; the checkpointer's thread syncs the segments that were written
 * since the last one, then replaces the file. Only then a journal file that ends at or before it is free.
 */
#include "base/mem.h"
#include "base/rd.h"
#include "log/log_int.h"

#include <assert.h>
#include <fcntl.h>

enum { RESERVE_BYTES = 1 << 20, PIECE = 256 << 10, VERSION = 2 };

/* ---- files replaced as a whole, on a full disk too ---- */

static void reserve_take(struct log *l)
{
    mutex_lock(&l->reserve_lock);
    while (l->reserve_busy)
        cond_wait(&l->reserve_free, &l->reserve_lock);
    l->reserve_busy = true;
    mutex_unlock(&l->reserve_lock);
}

static void reserve_give(struct log *l)
{
    mutex_lock(&l->reserve_lock);
    l->reserve_busy = false;
    cond_signal(&l->reserve_free);
    mutex_unlock(&l->reserve_lock);
}

bool file_replace(struct log *l, const char *name, const struct buf *content, struct err *e)
{
    struct arena a = {0};
    const char *path = arena_fmt(&a, "%s/%s", l->dir, name);
    bool ok;

    assert(buf_ok(content));
    ok = os_replace_file(l->os, path, buf_view(content), e);
    if (!ok && e->kind == ERR_FULL) {
        reserve_take(l);
        if (l->os->unlink(l->os, arena_fmt(&a, "%s/reserve", l->dir)) == 0)
            ok = os_replace_file(l->os, path, buf_view(content), e);
        reserve_give(l);
    }
    arena_fini(&a);
    return ok;
}

/* REQUIRES the token. */
static bool make_reserve(struct log *l, const char *path)
{
    struct err ignored;
    int fd = os_open(l->os, path, O_WRONLY | O_CREAT, &ignored);
    bool ok = fd >= 0 && l->os->fallocate(l->os, fd, 0, RESERVE_BYTES) == 0;

    if (fd >= 0 && !ok)
        (void)l->os->unlink(l->os, path);
    os_close(l->os, fd);
    return ok;
}

bool reserve_there(struct log *l)
{
    struct arena a = {0};
    const char *path = arena_fmt(&a, "%s/reserve", l->dir);
    bool there;

    reserve_take(l);
    there = os_exists(l->os, path) || make_reserve(l, path);
    reserve_give(l);
    arena_fini(&a);
    return there;
}

/* ---- the snapshot ---- */

static void put_producers(struct buf *b, struct producers *ps, int64_t now)
{
    producer_expire(ps, now);
    buf_i32(b, (int32_t)ps->by_id.n);
    for (struct map_it it = {0}; map_next(&ps->by_id, &it);) {
        const struct producer *p = it.value;

        buf_i64(b, p->id);
        buf_i16(b, p->epoch);
        buf_i64(b, p->last_ms);
        buf_i32(b, p->coordinator_epoch);
        buf_u8(b, p->n);
        for (int i = 0; i < p->n; i++) {
            buf_i32(b, p->b[i].first);
            buf_i32(b, p->b[i].last);
            buf_i64(b, p->b[i].offset);
        }
    }
}

static void put_ongoing(struct buf *b, const struct ongoings *o)
{
    buf_i32(b, (int32_t)o->n);
    for (size_t i = 0; i < o->n; i++) {
        buf_i64(b, o->list[i].producer_id);
        buf_i64(b, o->list[i].first);
    }
}

static void take_dirty(struct check *c, struct part *p, struct seg *s)
{
    if (!s->dirty && s->aborts_n == 0)
        return;
    s->dirty = false;
    MEM_PUSH_ROOM(c->dirty, c->n, c->cap);
    c->dirty[c->n++] = (struct dirty){part_ref(p), seg_ref(s), s->closed};
}

/* REQUIRES part.lock. */
static bool put_part(struct check *c, struct part *p, int64_t now)
{
    struct buf *b = &c->bytes;
    size_t n;

    if (p->end == 0 && p->seg_n == 0 && p->producers.by_id.n == 0)
        return false;
    buf_put(b, p->topic->id.b, sizeof p->topic->id.b);
    buf_i32(b, p->index);
    buf_i64(b, p->start);
    buf_i64(b, p->end);
    buf_i64(b, p->clean_to);
    n = p->seg_n && p->segs[p->seg_n - 1]->size == 0 ? p->seg_n - 1 : p->seg_n; // an empty one is made again
    buf_i32(b, (int32_t)n);
    for (size_t i = 0; i < n; i++) {
        buf_i64(b, p->segs[i]->base);
        buf_i64(b, p->segs[i]->size);
        buf_i64(b, p->segs[i]->max_ts);
        buf_i64(b, p->segs[i]->created_ms);
        buf_i32(b, (int32_t)(p->segs[i]->aborts_saved + p->segs[i]->aborts_n));
        take_dirty(c, p, p->segs[i]);
    }
    put_producers(b, &p->producers, now);
    put_ongoing(b, &p->ongoing);
    return true;
}

/* By the committer, between groups: what is published is all there is. */
static void snapshot(struct log *l, bool last)
{
    const struct journal *j = &l->journal;
    struct check *c = &l->check;
    struct arena a = {0};
    size_t count, at;
    struct part **parts = parts_all(l, &a, &count);
    int32_t written = 0;
    int64_t now = now_ms(l);

    c->bytes.max = SIZE_MAX / 2;
    buf_reset(&c->bytes);
    c->seq = j->next - 1;
    c->frees = !last && j->file[!j->cur].last > check_covers(l) ? !j->cur : -1;
    c->free_to = 2 * j->file[j->cur].size;
    file_begin(&c->bytes, "tarnckpt", VERSION);
    buf_i64(&c->bytes, (int64_t)c->seq);
    buf_i32(&c->bytes, j->cur);
    buf_i64(&c->bytes, j->pos);
    buf_i64(&c->bytes, last ? (int64_t)l->run : 0);
    at = c->bytes.n;
    buf_i32(&c->bytes, 0);
    for (size_t i = 0; i < count; i++) {
        mutex_lock(&parts[i]->lock);
        written += put_part(c, parts[i], now);
        mutex_unlock(&parts[i]->lock);
        part_unref(parts[i]);
    }
    buf_set_i32(&c->bytes, at, written);
    file_end(&c->bytes);
    arena_fini(&a);
}

bool check_create(struct log *l, struct err *e)
{
    bool ok;

    l->journal.next = 1;
    snapshot(l, false);
    ok = file_replace(l, "checkpoint", &l->check.bytes, e);
    buf_fini(&l->check.bytes);
    return ok;
}

/* ---- writing it ---- */

/*
 * To the disk piece by piece: a group that is synced meanwhile waits for the piece under way, not for all that was written since the
 * last checkpoint.
 */
static bool write_out(const struct dirty *d, struct err *e)
{
    struct seg *s = d->seg;
    int64_t size;
    int fd;

    mutex_lock(&d->part->lock);
    fd = s->wfd;
    size = s->size;
    mutex_unlock(&d->part->lock);
    assert(fd >= 0); // it was written to, and is not closed before it was synced
    for (int64_t n; s->written < size; s->written += n) {
        n = size - s->written < PIECE ? size - s->written : PIECE;
        if (!os_sync_range(s->os, fd, s->written, n, e)) {
            e->kind = ERR_IO;
            return err_wrap(e, "segment %s.log", s->path);
        }
    }
    return true;
}

/* The file's content, with the size it was cut to if it is closed, and its name. */
static bool sync_seg(struct log *l, const struct dirty *d, struct err *e)
{
    struct arena a = {0};
    bool ok, fresh;
    int fd;

    mutex_lock(&d->part->lock);
    fd = d->seg->wfd;
    fresh = d->seg->fresh;
    mutex_unlock(&d->part->lock);
    ok = d->closed ? l->os->fsync(l->os, fd) == 0 || err_sys(e, "sync to disk") : os_sync(l->os, fd, e);
    if (!ok)
        e->kind = ERR_IO;
    if (ok && fresh && !os_sync_dir(l->os, part_path(l, d->part, &a), e)) {
        ok = e->kind == ERR_NOT_FOUND && __atomic_load_n(&d->part->topic->gone, __ATOMIC_ACQUIRE);
        e->kind = ERR_IO;
    }
    if (ok && fresh) {
        mutex_lock(&d->part->lock);
        d->seg->fresh = false;
        mutex_unlock(&d->part->lock);
    }
    if (ok)
        seg_forget_old(d->part, d->seg);
    else
        (void)err_wrap(e, "segment %s.log", d->seg->path);
    arena_fini(&a);
    return ok;
}

static bool write_check(struct log *l, struct err *e)
{
    struct check *c = &l->check;
    struct err full = {0};
    bool ok = true;

    for (size_t i = 0; ok && i < c->n; i++)
        ok = write_out(&c->dirty[i], e);
    for (size_t i = 0; i < c->n; i++) {
        if (ok)
            ok = sync_seg(l, &c->dirty[i], e);
        if (ok)
            seg_index_save(c->dirty[i].part, c->dirty[i].seg);
        if (ok && full.kind == ERR_NONE && !txn_save(l, c->dirty[i].part, c->dirty[i].seg, e)) {
            ok = e->kind == ERR_FULL; // the others are synced all the same: they are not dirty any more
            full = *e;
        }
        seg_unref(c->dirty[i].seg);
        part_unref(c->dirty[i].part);
    }
    c->n = 0;
    if (ok && full.kind != ERR_NONE) {
        *e = full;
        return false;
    }
    return ok && file_replace(l, "checkpoint", &c->bytes, e);
}

static void grow_journal(struct log *l)
{
    const struct check *c = &l->check;

    if (c->frees >= 0 && reserve_there(l))
        journal_grow_free(&l->journal, c->frees, c->free_to);
}

void check_start(struct log *l, bool last)
{
    snapshot(l, last);
    mutex_lock(&l->queue_lock);
    assert(l->check_state == CHECK_IDLE);
    l->check_want = false;
    l->check_state = CHECK_ASKED;
    cond_signal(&l->check_more);
    mutex_unlock(&l->queue_lock);
}

bool check_idle(struct log *l)
{
    bool idle;

    mutex_lock(&l->queue_lock);
    idle = l->check_state == CHECK_IDLE;
    mutex_unlock(&l->queue_lock);
    return idle;
}

bool check_wait(struct log *l, struct err *e)
{
    bool ok;

    mutex_lock(&l->queue_lock);
    while (l->check_state != CHECK_IDLE)
        cond_wait(&l->check_done, &l->queue_lock);
    ok = l->check_ok;
    if (!ok)
        *e = l->check_err;
    mutex_unlock(&l->queue_lock);
    return ok;
}

uint64_t check_covers(struct log *l)
{
    uint64_t seq;

    mutex_lock(&l->queue_lock);
    seq = l->check_seq;
    mutex_unlock(&l->queue_lock);
    return seq;
}

void check_want(struct log *l)
{
    mutex_lock(&l->queue_lock);
    l->check_want = true;
    mutex_unlock(&l->queue_lock);
}

bool check_wanted(struct log *l)
{
    bool want;

    mutex_lock(&l->queue_lock);
    want = l->check_want || l->journal.next - 1 > l->check_seq;
    mutex_unlock(&l->queue_lock);
    return want;
}

void check_run(void *log)
{
    struct log *l = log;
    struct err e;
    bool ok;

    mutex_lock(&l->queue_lock);
    for (;;) {
        while (l->check_state != CHECK_ASKED && !l->check_stop)
            cond_wait(&l->check_more, &l->queue_lock);
        if (l->check_state != CHECK_ASKED)
            break;
        l->check_state = CHECK_RUNNING;
        mutex_unlock(&l->queue_lock);
        e = (struct err){0};
        ok = write_check(l, &e);
        if (ok)
            grow_journal(l);
        if (!ok && e.kind != ERR_FULL)
            log_fail(l, &e);
        mutex_lock(&l->queue_lock);
        l->check_ok = ok;
        l->check_err = e;
        l->check_seq = ok ? l->check.seq : l->check_seq;
        l->check_want = l->check_want || !ok;
        l->check_state = CHECK_IDLE;
        cond_broadcast(&l->check_done);
    }
    mutex_unlock(&l->queue_lock);
}

/* ---- reading it ---- */

static void take_producers(struct rd *r, struct part *p)
{
    size_t n = rd_count(r, rd_i32(r), 23);

    for (size_t i = 0; i < n; i++) {
        struct producer one = {0};

        one.id = rd_i64(r);
        one.epoch = rd_i16(r);
        one.last_ms = rd_i64(r);
        one.coordinator_epoch = rd_i32(r);
        one.n = rd_u8(r);
        if (one.n > PRODUCER_BATCHES)
            rd_fail(r, "a producer has too many batches");
        for (int k = 0; k < one.n && rd_ok(r); k++) {
            one.b[k].first = rd_i32(r);
            one.b[k].last = rd_i32(r);
            one.b[k].offset = rd_i64(r);
        }
        if (rd_ok(r) && p)
            producer_set(&p->producers, &one);
    }
}

static void take_ongoing(struct rd *r, struct part *p)
{
    size_t n = rd_count(r, rd_i32(r), 16);
    int64_t before = -1;

    for (size_t i = 0; i < n && rd_ok(r); i++) {
        struct ongoing one = {.producer_id = rd_i64(r)};

        one.first = rd_i64(r);
        if (one.first <= before)
            rd_fail(r, "transactions are out of order");
        before = one.first;
        if (!p)
            continue;
        MEM_PUSH_ROOM(p->ongoing.list, p->ongoing.n, p->ongoing.cap);
        p->ongoing.list[p->ongoing.n++] = one;
    }
}

/*
 * A closed segment's file says its size; one that is not there or too short is found damaged by who reads it. Nothing more goes
 * to the last one when nothing in it is wanted: retention may have removed its file, and then a replay has made one with a hole.
 */
static void settle_size(struct log *l, struct seg *s, bool last, bool wanted)
{
    struct arena a = {0};
    struct os_stat st;
    bool there = l->os->stat(l->os, arena_fmt(&a, "%s.log", s->path), &st) == 0;

    s->closed = !last || !wanted || !there || st.size_bytes < s->size;
    if (!last && there)
        s->size = st.size_bytes;
    s->staged = s->written = s->size;
    arena_fini(&a);
}

static void take_segs(struct log *l, struct rd *r, struct part *p)
{
    size_t n = rd_count(r, rd_i32(r), 36);
    int64_t before = -1;

    for (size_t i = 0; i < n && rd_ok(r); i++) {
        int64_t base = rd_i64(r), size = rd_i64(r), max_ts = rd_i64(r), created = rd_i64(r);
        int32_t aborts = rd_i32(r);
        struct seg *s;

        if (base <= before || size < 0 || aborts < 0)
            rd_fail(r, "segments are out of order");
        before = base;
        if (!rd_ok(r) || !p)
            continue;
        s = seg_new(l, p, base);
        s->size = size;
        s->max_ts = max_ts;
        s->created_ms = created;
        s->aborts_saved = (size_t)aborts;
        settle_size(l, s, i + 1 == n, p->start < p->end);
        part_add_seg(p, s);
    }
}

static void take_part(struct log *l, struct rd *r)
{
    struct log_uuid id = {0};
    struct str bytes = rd_bytes(r, sizeof id.b);
    int32_t index = rd_i32(r);
    struct part *p;

    if (bytes.p)
        memcpy(id.b, bytes.p, sizeof id.b);
    p = part_find_id(l, &id, index); // NULL: deleted since
    if (p && p->end != 0)
        rd_fail(r, "a partition is there twice");
    if (p) {
        p->start = rd_i64(r);
        p->end = p->staged_end = rd_i64(r);
        p->clean_to = rd_i64(r);
    } else {
        rd_skip(r, 24);
    }
    if (p && (p->start < 0 || p->start > p->end))
        rd_fail(r, "offsets of a partition are out of order");
    take_segs(l, r, p);
    take_producers(r, p);
    take_ongoing(r, p);
    if (p)
        txn_stable(p);
}

bool check_load(struct log *l, struct journal_start *start, struct err *e)
{
    struct arena a = {0};
    const char *path = arena_fmt(&a, "%s/checkpoint", l->dir);
    struct file_body body = {.oldest = VERSION, .known = VERSION};
    struct str bytes;
    uint64_t run;
    size_t parts;
    struct rd r;
    bool ok;

    ok = os_read_file(l->os, path, SIZE_MAX / 2, &a, &bytes, e) &&
         file_open(bytes, "tarnckpt", path, &body, e);
    if (ok) {
        r = rd_str(body.bytes);
        start->after = (uint64_t)rd_i64(&r);
        start->file = rd_i32(&r);
        start->pos = rd_i64(&r);
        run = (uint64_t)rd_i64(&r);
        start->clean = run != 0 && run == l->run;
        if ((start->file != 0 && start->file != 1) || start->pos < 0)
            rd_fail(&r, "its journal file is neither 0 nor 1");
        parts = rd_count(&r, rd_i32(&r), 52);
        for (size_t i = 0; i < parts && rd_ok(&r); i++)
            take_part(l, &r);
        ok = rd_ok(&r) || err_set(e, ERR_CORRUPT, "%s: %s", path, rd_why(&r));
    }
    l->check_seq = ok ? start->after : 0;
    arena_fini(&a);
    return ok;
}
