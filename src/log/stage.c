/*
 * Staging: an append is checked, gets its offsets, is written to its segments beyond what is published, and its frame is laid
 * out. Nothing of it is seen before commit.c publishes it, and until then it can be forgotten (stage_undo).
 */
#include "base/limits.h"
#include "base/mem.h"
#include "log/log_int.h"

#include <assert.h>

enum { RESERVE_MIN = 64 * 1024, RESERVE_MAX = 64 << 20 };

/* ---- forgetting ---- */

void stage_undo(struct log *l, const struct undo *to)
{
    struct commit_group *g = &l->group;

    for (; g->undo != to; g->undo = g->undo->older) {
        struct undo *u = g->undo;

        u->part->staged_end = u->staged_end;
        if (u->seg) {
            u->seg->staged = u->staged;
            direct_forget(&l->direct, u->seg);
        }
        seg_unref(u->seg);
        if (u->had_producer)
            producer_set(&u->part->producers, &u->producer);
        else if (u->has_producer)
            producer_drop(&u->part->producers, u->producer.id);
    }
}

void stage_keep(struct log *l)
{
    for (struct undo *u = l->group.undo; u; u = u->older)
        seg_unref(u->seg);
    l->group.undo = NULL;
}

static struct undo *push_undo(struct log *l, struct part *p)
{
    struct undo *u = ARENA_NEW(&l->group.arena, struct undo);

    *u = (struct undo){.older = l->group.undo, .part = p, .staged_end = p->staged_end};
    l->group.undo = u;
    return u;
}

/* ---- the batches of a part ---- */

/* Copies the headers, with offsets from the part's staged end, and lists header and rest of each batch. */
static bool take_batches(struct log *l, struct op_part *t, struct log_part_write *w, bool append_time,
                         struct err *e)
{
    struct arena *a = &l->group.arena;
    struct str rest = w->batches, one;
    struct batch_header h;
    int64_t next = t->part->staged_end;
    size_t n = 0;

    while (batch_cut(&rest, &one, &h))
        n++;
    if (rest.n > 0)
        return err_set(e, ERR_BAD_INPUT, "%zu bytes behind batch %zu are not a whole batch", rest.n, n);
    t->batches = n;
    t->n = w->batches.n;
    t->buffer = w->buffer;
    t->base_offset = next;
    t->heads = arena_alloc(a, n * BATCH_HEADER);
    t->iov = ARENA_ARRAY(a, struct iovec, 2 * n);
    rest = w->batches;
    for (size_t i = 0; batch_cut(&rest, &one, &h); i++) {
        uint8_t *head = t->heads + i * BATCH_HEADER;
        union { // iovec has no const
            const char *from;
            void *base;
        } u = {.from = one.p + BATCH_HEADER};

        if (h.last_offset_delta < 0 || h.count < 0)
            return err_set(e, ERR_BAD_INPUT, "batch %zu has a negative count", i);
        if (one.n > LIMIT_BATCH)
            return err_set(e, ERR_LIMIT, "batch %zu has %zu bytes", i, one.n);
        memcpy(head, one.p, BATCH_HEADER);
        batch_set_offset(head, next, 0);
        if (append_time)
            batch_set_append_time(head, str_from(u.base, one.n - BATCH_HEADER), w->append_time_ms);
        t->iov[2 * i] = (struct iovec){head, BATCH_HEADER};
        t->iov[2 * i + 1] = (struct iovec){u.base, one.n - BATCH_HEADER};
        next += h.last_offset_delta + 1;
    }
    t->end_offset = next;
    return true;
}

static void head_of(const struct op_part *t, size_t i, struct batch_header *h)
{
    bool ok = batch_header(str_from(t->heads + i * BATCH_HEADER, BATCH_HEADER), h);

    assert(ok);
}

bool stage_mark(const struct op_part *t, size_t i, const struct batch_header *h, struct batch_mark *out)
{
    const struct iovec *rest = &t->iov[2 * i + 1];

    return (h->attributes & BATCH_CONTROL) && h->producer_id >= 0 &&
           batch_mark_read(str_from(rest->iov_base, rest->iov_len), out);
}

/* One batch of an idempotent producer against its last ones; what is new is taken note of. */
static bool check_sequence(struct part *p, const struct batch_header *h, int64_t now, int64_t *known,
                           struct err *e)
{
    switch (producer_check(&p->producers, h, known)) {
    case PRODUCER_NEW:
        *known = -1;
        producer_took(&p->producers, h, now);
        return true;
    case PRODUCER_DUPLICATE:
        return true;
    case PRODUCER_OUT_OF_ORDER:
        return err_set(e, ERR_INVALID, "out of order sequence: producer %lld epoch %d sent %d",
                       (long long)h->producer_id, h->producer_epoch, h->base_sequence);
    case PRODUCER_FENCED:
        break;
    }
    return err_set(e, ERR_DENIED, "producer %lld has a newer epoch than %d", (long long)h->producer_id,
                   h->producer_epoch);
}

/* All batches of a part; *first: where they are when all are repeats, else -1. */
static bool check_sequences(struct op_part *t, struct undo *u, int64_t now, int64_t *first, struct err *e)
{
    const struct producer *p;
    struct batch_header h;
    struct batch_mark m;
    size_t repeats = 0;
    bool mark;

    *first = -1;
    for (size_t i = 0; i < t->batches; i++) {
        int64_t known;

        head_of(t, i, &h);
        mark = stage_mark(t, i, &h, &m);
        if ((h.attributes & BATCH_CONTROL) && !mark)
            return err_set(e, ERR_BAD_INPUT, "batch %zu is a control batch but no transaction marker", i);
        if (h.producer_id < 0 || (h.base_sequence < 0 && !mark))
            continue;
        if (!u->has_producer) {
            p = producer_get(&t->part->producers, h.producer_id);
            u->had_producer = p != NULL;
            u->has_producer = true;
            u->producer = p ? *p : (struct producer){.id = h.producer_id};
        }
        if (h.producer_id != u->producer.id)
            return err_set(e, ERR_BAD_INPUT, "batches of two producers for one partition");
        if (mark) {
            producer_marked(&t->part->producers, &h, m.coordinator_epoch, now);
            continue;
        }
        if (!check_sequence(t->part, &h, now, &known, e))
            return false;
        if (known >= 0 && repeats++ == 0)
            *first = known;
    }
    if (repeats > 0 && repeats < t->batches)
        return err_set(e, ERR_INVALID, "out of order sequence: some batches are repeats and some are new");
    return true;
}

/* ---- the active segment ---- */

/* Closes the active segment. REQUIRES nothing staged in it beyond what is published. */
bool stage_roll(struct part *p, struct err *e)
{
    struct seg *s = part_active(p);
    bool ok;

    if (!s || s->staged == 0) {
        seg_unref(s);
        return true;
    }
    assert(s->staged == s->size);
    ok = seg_open_write(p, s, true, e); // and open it stays while it is referenced
    if (ok && s->reserved > s->staged && s->os->ftruncate(s->os, s->wfd, s->staged) != 0)
        ok = err_sys(e, "cut segment %s.log to %lld", s->path, (long long)s->staged);
    if (ok) {
        s->reserved = s->staged;
        mutex_lock(&p->lock);
        s->closed = true;
        s->dirty = true;
        mutex_unlock(&p->lock);
    }
    seg_unref(s);
    return ok;
}

/* How old a segment may become: no older than records may wait for compaction, and a little less by chance, always the same for a segment. */
static int64_t roll_ms(const struct seg *s, const struct log_settings *set)
{
    int64_t ms = set->compact && set->max_compaction_lag_ms < set->segment_ms ? set->max_compaction_lag_ms
                                                                              : set->segment_ms;
    int64_t jitter = set->segment_jitter_ms < ms ? set->segment_jitter_ms : ms;
    uint64_t chance = ((uint64_t)s->base + 1) * 0x9e3779b97f4a7c15u >> 1;

    return jitter > 0 ? ms - (int64_t)(chance % (uint64_t)jitter) : ms;
}

static bool must_roll(const struct part *p, const struct seg *s, size_t n, const struct log_settings *set,
                      int64_t now)
{
    return s->staged > 0 && (s->staged + (int64_t)n > set->segment_bytes ||
                             (s->created_ms != TIME_NONE && now - s->created_ms > roll_ms(s, set)) ||
                             p->staged_end - s->base > INT32_MAX);
}

/* The segment that takes n more bytes, open, with a reference; a new one when it is time. It may only change between groups. */
static struct seg *segment_for(struct log *l, struct part *p, size_t n, const struct log_settings *set,
                               int64_t now, struct err *e)
{
    struct seg *s = part_active(p);

    if (p->group != l->group.number && s && must_roll(p, s, n, set, now)) {
        seg_unref(s);
        if (!stage_roll(p, e))
            return NULL;
        s = NULL;
    }
    if (s) {
        if (seg_open_write(p, s, false, e) && seg_load(p, s, e))
            return s;
        seg_unref(s);
        return NULL;
    }
    assert(p->staged_end == p->end);
    s = seg_new(l, p, p->end);
    s->state = SEG_LOADED;
    if (!seg_open_write(p, s, true, e)) {
        seg_unref(s);
        return NULL;
    }
    mutex_lock(&p->lock);
    part_add_seg(p, s);
    mutex_unlock(&p->lock);
    return seg_ref(s);
}

/* Blocks up to `need`, some more than asked so that it is seldom needed; a full disk says so here. */
static bool reserve(struct log *l, struct seg *s, int64_t need, int64_t segment_bytes, struct err *e)
{
    int64_t step = s->reserved < RESERVE_MIN   ? RESERVE_MIN
                   : s->reserved > RESERVE_MAX ? RESERVE_MAX
                                               : s->reserved;
    int64_t to = s->reserved + step < segment_bytes ? s->reserved + step : segment_bytes;

    if (need <= s->reserved)
        return true;
    if (!reserve_there(l))
        return err_set(e, ERR_FULL, "the disk is full: segment %s.log cannot grow", s->path);
    if (to <= need || s->os->fallocate(s->os, s->wfd, s->reserved, to - s->reserved) != 0) {
        to = need;
        if (s->os->fallocate(s->os, s->wfd, s->reserved, to - s->reserved) != 0)
            return err_sys(e, "reserve %lld bytes for segment %s.log", (long long)(to - s->reserved),
                           s->path);
    }
    s->reserved = to;
    return true;
}

static bool write_batches(struct log *l, struct seg *s, const struct op_part *t, bool direct, struct err *e)
{
    struct iovec *v;

    if (direct)
        return direct_put(l, s, t, e);
    v = arena_copy(&l->group.arena, t->iov, 2 * t->batches * sizeof *v); // os_writev changes it
    return os_writev(s->os, s->wfd, v, (int)(2 * t->batches), s->staged, e) ||
           err_wrap(e, "segment %s.log", s->path);
}

/* ---- a part, an append ---- */

static void want_sync(struct log *l, struct part *p, struct seg *s)
{
    struct commit_group *g = &l->group;

    for (size_t i = 0; i < g->sync_n; i++)
        if (g->sync[i].seg == s)
            return;
    MEM_PUSH_ROOM(g->sync, g->sync_n, g->sync_cap);
    g->sync[g->sync_n++] = (struct sync){p, s};
}

static bool write_part(struct log *l, struct op_part *t, const struct log_settings *set, struct undo *u,
                       int64_t now, struct err *e)
{
    struct part *p = t->part;
    struct seg *s = segment_for(l, p, t->n, set, now, e);
    int64_t end;
    bool direct;

    if (!s)
        return false;
    end = s->staged + (int64_t)t->n;
    direct = direct_takes(l, s, t->n);
    u->seg = s; // with the reference
    u->staged = s->staged;
    if (t->buffer)
        buffer_was_put(p, t->buffer, s->staged);
    if (!reserve(l, s, direct ? direct_end(end) : end, set->segment_bytes, e) ||
        !write_batches(l, s, t, direct, e)) {
        if (e->kind != ERR_FULL)
            log_fail(l, e); // the file system does not take what it has promised room for
        return false;
    }
    t->seg = s;
    t->pos = s->staged;
    s->staged += (int64_t)t->n;
    p->staged_end = t->end_offset;
    p->group = l->group.number;
    p->room = set->segment_bytes - s->staged;
    if (t->direct)
        want_sync(l, p, s);
    return true;
}

static bool stage_part(struct log *l, struct op *op, size_t i, int64_t now, struct err *e)
{
    struct log_part_write *w = &op->writes[i];
    struct op_part *t = &op->parts[i];
    const struct undo *mark = l->group.undo;
    struct log_settings set;
    struct undo *u;
    int64_t known;

    w->base_offset = -1;
    w->append_time_ms = -1;
    w->duplicate = false;
    w->refused = ERR_NONE;
    if (!t->part || __atomic_load_n(&t->part->topic->gone, __ATOMIC_ACQUIRE))
        return err_set(e, ERR_NOT_FOUND, "topic %.*s has no partition %d", STR_ARG(w->topic), w->partition);
    topic_settings(l, t->part->topic, &set, NULL);
    w->append_time_ms = set.append_time ? now : -1;
    if (!take_batches(l, t, w, set.append_time, e))
        return false;
    u = push_undo(l, t->part);
    if (!check_sequences(t, u, now, &known, e))
        goto forget;
    w->base_offset = known >= 0 ? known : t->base_offset;
    w->duplicate = known >= 0;
    if (w->duplicate || t->batches == 0 || write_part(l, t, &set, u, now, e))
        return true;
forget:
    stage_undo(l, mark);
    return false;
}

bool stage_wants_group(const struct log *l, const struct op *op)
{
    for (size_t i = 0; i < op->count; i++) {
        const struct part *p = op->parts[i].part;

        if (p && p->group == l->group.number && (int64_t)op->writes[i].batches.n > p->room)
            return true;
    }
    return false;
}

bool stage_append(struct log *l, struct op *op)
{
    const struct undo *mark = l->group.undo;
    int64_t now = now_ms(l);
    bool any = false;

    for (size_t i = 0; i < op->count; i++) {
        struct err e = {0};

        if (stage_part(l, op, i, now, &e)) {
            any = any || op->parts[i].seg;
            continue;
        }
        op->writes[i].base_offset = -1;
        op->writes[i].refused = e.kind;
        if (op->some && !log_has_failed(l))
            continue;
        op->err = e;
        stage_undo(l, mark);
        for (size_t k = 0; k < op->count; k++)
            op->writes[k].base_offset = -1;
        return false;
    }
    if (any)
        frame_append(l, op);
    return true;
}

bool stage_trim(struct log *l, struct op *op)
{
    struct part *p = op->parts[0].part;

    if (__atomic_load_n(&p->topic->gone, __ATOMIC_ACQUIRE))
        return err_set(&op->err, ERR_NOT_FOUND, "the topic is deleted");
    if (op->trim_to < 0 || op->trim_to > p->staged_end)
        return err_set(&op->err, ERR_INVALID, "offset %lld is not in the partition, which ends at %lld",
                       (long long)op->trim_to, (long long)p->staged_end);
    frame_trim(l, op);
    return true;
}
