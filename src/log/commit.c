/*
 * The committer: takes what waits, stages it, writes one group of frames, syncs once, publishes, calls back; again. While
 * it syncs, appends arrive; they are the next group. So a sync is shared by all who came during the one before, there is no
 * timer, and an idle log sleeps.
 */
#include "base/be.h"
#include "base/mem.h"
#include "log/log_int.h"
#include "obs/obs.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { OP_MAX = 1 << 30 }; // bytes of one append: positions in a segment have 32 bits

/* ---- failure ---- */

bool log_has_failed(struct log *l)
{
    return __atomic_load_n(&l->failed, __ATOMIC_ACQUIRE);
}

bool log_failed(struct log *l, struct err *e)
{
    if (!log_has_failed(l))
        return false;
    *e = l->failure; // written once, before failed
    return true;
}

void log_fail(struct log *l, const struct err *e)
{
    mutex_lock(&l->queue_lock);
    if (!l->failed) {
        l->failure = *e;
        l->failure.kind = ERR_IO;
        (void)err_wrap(&l->failure, "the log cannot write any more");
        __atomic_store_n(&l->failed, true, __ATOMIC_RELEASE);
    }
    cond_broadcast(&l->queue_less);
    mutex_unlock(&l->queue_lock);
}

/* ---- the queue ---- */

static void op_free(struct op *op)
{
    for (size_t i = 0; i < op->count; i++)
        part_unref(op->parts[i].part);
    if (op->parts != op->one)
        mem_free(op->parts);
    if (op->heap)
        mem_free(op);
}

static void finish(struct log *l, struct op *op)
{
    log_done_fn *done = op->done;
    void *arg = op->arg;
    struct err e = op->err;
    bool ok = op->ok;

    (void)l;
    op_free(op); // before the caller hears: a waiting one has the op on its stack
    done(arg, ok, &e);
}

/* False, and op->err: it was not taken. */
static bool post(struct log *l, struct op *op)
{
    bool ok = false;

    mutex_lock(&l->queue_lock);
    if (l->failed)
        op->err = l->failure;
    else if (l->closing)
        (void)err_set(&op->err, ERR_BUSY, "the log is closing");
    else
        ok = true;
    if (ok) {
        *l->queue_tail = op;
        l->queue_tail = &op->next;
        l->queue_bytes += op->bytes;
        cond_signal(&l->queue_more);
    }
    mutex_unlock(&l->queue_lock);
    return ok;
}

struct waiter {
    struct mutex lock;
    struct cond cond;
    bool done, ok;
    struct err *e;
};

static void wake_waiter(void *arg, bool ok, const struct err *e)
{
    struct waiter *w = arg;

    mutex_lock(&w->lock);
    w->done = true;
    w->ok = ok;
    if (!ok)
        *w->e = *e;
    cond_signal(&w->cond);
    mutex_unlock(&w->lock);
}

bool commit_wait(struct log *l, struct op *op, struct err *e)
{
    struct waiter w = {.e = e};

    mutex_init(&w.lock);
    cond_init(&w.cond);
    op->done = wake_waiter;
    op->arg = &w; // cppcheck-suppress autoVariables ; the writer is done with it before this returns
    if (post(l, op)) {
        mutex_lock(&w.lock);
        while (!w.done)
            cond_wait(&w.cond, &w.lock);
        mutex_unlock(&w.lock);
    } else {
        *e = op->err;
        op_free(op);
    }
    cond_fini(&w.cond);
    mutex_fini(&w.lock);
    return w.ok;
}

/* Looks up the parts. False, and op->err, when it is too large for any frame. */
static bool fill(struct log *l, struct op *op, struct log_part_write *parts, size_t count, bool some)
{
    *op = (struct op){.kind = OP_APPEND, .writes = parts, .count = count, .some = some, .parts = op->one};
    if (count > ARRAY_LEN(op->one))
        op->parts = MEM_ARRAY(struct op_part, count);
    for (size_t i = 0; i < count; i++) {
        op->parts[i].part = part_find(l, parts[i].topic, parts[i].partition);
        op->bytes += parts[i].batches.n;
    }
    op->bound = frame_plan(l, op);
    if (op->bytes <= OP_MAX && op->bound <= l->frame_max)
        return true;
    for (size_t i = 0; i < count; i++)
        parts[i].refused = ERR_LIMIT;
    return err_set(&op->err, ERR_LIMIT, "an append of %zu bytes to %zu partitions is too large", op->bytes,
                   count);
}

static void break_order(const struct op *op)
{
    if (op->order)
        atomic_store(&op->order->broken, true);
}

/* What fill() answered of the op; the op is the committer's, or gone. */
static void post_filled(struct log *l, struct op *op, bool ok, log_done_fn *done, void *arg)
{
    op->heap = true;
    op->done = done;
    op->arg = arg;
    if (ok && post(l, op))
        return;
    break_order(op);
    finish(l, op);
}

void log_append_async(struct log *l, struct log_part_write *parts, size_t count, log_done_fn *done, void *arg)
{
    log_append_ordered_async(l, NULL, parts, count, done, arg);
}

void log_append_ordered_async(struct log *l, struct log_order *order, struct log_part_write *parts,
                              size_t count, log_done_fn *done, void *arg)
{
    struct op *op = MEM_NEW(struct op);
    bool ok = fill(l, op, parts, count, false);

    op->order = order;
    post_filled(l, op, ok, done, arg);
}

void log_append_some_async(struct log *l, struct log_part_write *parts, size_t count, log_done_fn *done,
                           void *arg)
{
    struct op *op = MEM_NEW(struct op);
    bool ok = fill(l, op, parts, count, true);

    post_filled(l, op, ok, done, arg);
}

bool log_append(struct log *l, struct log_part_write *parts, size_t count, struct err *e)
{
    struct op op;

    mutex_lock(&l->queue_lock);
    while (l->queue_bytes > (size_t)l->o.memory_bytes && !l->failed)
        cond_wait(&l->queue_less, &l->queue_lock);
    mutex_unlock(&l->queue_lock);
    if (fill(l, &op, parts, count, false))
        return commit_wait(l, &op, e);
    *e = op.err;
    op_free(&op);
    return false;
}

bool log_trim(struct log *l, struct str topic, int32_t partition, int64_t offset, struct err *e)
{
    struct op op = {.kind = OP_TRIM, .count = 1, .trim_to = offset, .parts = op.one, .bound = 1024};

    op.one[0].part = part_find(l, topic, partition);
    if (!op.one[0].part)
        return err_set(e, ERR_NOT_FOUND, "topic %.*s has no partition %d", STR_ARG(topic), partition);
    return commit_wait(l, &op, e);
}

/* ---- a group ---- */

static bool sync_direct(struct log *l, struct err *e)
{
    struct commit_group *g = &l->group;
    struct arena a = {0};
    bool ok = true;

    for (size_t i = 0; g->sync_n > 1 && i < g->sync_n; i++) { // the disk gets all of it at once
        struct seg *s = g->sync[i].seg;

        if (s->direct_group != g->number)
            s->os->advise(s->os, s->wfd, s->size, s->staged - s->size, OS_WRITE_OUT);
    }
    for (size_t i = 0; ok && i < g->sync_n; i++) {
        struct seg *s = g->sync[i].seg;

        struct part *p = g->sync[i].part;
        bool fresh;

        mutex_lock(&p->lock);
        fresh = s->fresh;
        mutex_unlock(&p->lock);
        ok = os_sync(l->os, s->wfd, e) || err_wrap(e, "segment %s.log", s->path);
        ok = ok && (!fresh || os_sync_dir(l->os, part_path(l, p, &a), e));
        mutex_lock(&p->lock);
        s->fresh = s->fresh && !ok;
        mutex_unlock(&p->lock);
        if (!ok)
            e->kind = ERR_IO;
        else if (s->direct_group != g->number)
            seg_forget_old(p, s);
    }
    arena_fini(&a);
    return ok;
}

static bool write_group(struct log *l, struct err *e)
{
    struct commit_group *g = &l->group;
    struct journal *j = &l->journal;

    frame_close(l, JOURNAL_ALIGN);
    if (!sync_direct(l, e) || !journal_write(j, g->iov, g->iov_n, g->bytes, e))
        return false;
    j->next += g->frames;
    j->file[j->cur].last = j->next - 1;
    return true;
}

static void touch(struct log *l, struct part *p)
{
    if (p->touched)
        return;
    p->touched = true;
    p->next_touched = l->group.touched;
    l->group.touched = p;
}

static uint64_t publish_part(struct log *l, struct op_part *t, struct log_part_write *w, int64_t now)
{
    struct part *p = t->part;
    struct seg *s = t->seg;
    struct batch_header h;
    struct batch_mark mark;
    uint64_t records = 0;
    int64_t pos = t->pos;

    mutex_lock(&p->lock);
    for (size_t i = 0; i < t->batches; i++) {
        if (!batch_header(str_from(t->heads + i * BATCH_HEADER, BATCH_HEADER), &h))
            abort();
        seg_index_add(s, h.base_offset, pos, h.max_timestamp_ms);
        if (h.attributes & (BATCH_TRANSACTIONAL | BATCH_CONTROL))
            txn_took(p, s, &h, stage_mark(t, i, &h, &mark) ? &mark : NULL);
        pos += h.length + 12;
        records += (uint64_t)h.count;
    }
    assert(pos == t->pos + (int64_t)t->n);
    if (s->created_ms == TIME_NONE)
        s->created_ms = now;
    s->size = pos;
    s->dirty = true;
    __atomic_store_n(&p->end, t->end_offset, __ATOMIC_RELEASE);
    txn_stable(p);
    mutex_unlock(&p->lock);
    w->start_offset = part_start(p);
    touch(l, p);
    return records;
}

static void publish(struct log *l, struct op *op, struct log_stats *sum)
{
    int64_t now = now_ms(l);
    struct part *p;

    op->ok = true;
    if (op->kind == OP_TRIM) {
        p = op->parts[0].part;
        mutex_lock(&p->lock);
        if (op->trim_to > p->start)
            __atomic_store_n(&p->start, op->trim_to, __ATOMIC_RELEASE);
        mutex_unlock(&p->lock);
        return;
    }
    sum->appends++;
    for (size_t i = 0; i < op->count; i++) {
        struct op_part *t = &op->parts[i];

        if (t->seg) {
            sum->records += publish_part(l, t, &op->writes[i], now);
            sum->bytes += t->n;
        } else if (t->part) {
            op->writes[i].start_offset = part_start(t->part);
        }
    }
}

static void unpublished(struct op *op, const struct err *e)
{
    op->ok = false;
    op->err = *e;
    break_order(op);
    for (size_t i = 0; i < op->count && op->writes; i++) {
        op->writes[i].base_offset = -1;
        op->writes[i].refused = e->kind;
    }
}

static void group_reset(struct log *l)
{
    struct commit_group *g = &l->group;

    g->ops = NULL;
    g->tail = &g->ops;
    g->op_n = g->bytes = g->data = g->iov_n = g->frames = g->sync_n = 0;
    g->head = NULL;
    g->number++;
    arena_reset(&g->arena);
}

/* Watchers and callers hear last, when all of the group is there to be read. */
static void tell(struct log *l, struct op *ops)
{
    for (struct part *p = l->group.touched, *next; p; p = next) {
        next = p->next_touched;
        p->touched = false;
        watch_wake(l, p);
    }
    l->group.touched = NULL;
    for (struct op *op = ops, *next; op; op = next) {
        next = op->next;
        finish(l, op);
    }
}

static void commit_group(struct log *l)
{
    struct commit_group *g = &l->group;
    struct log_stats sum = {0};
    struct op *ops = g->ops;
    struct err e = {0};
    bool ok;

    if (g->op_n == 0)
        return;
    ok = direct_wait(&l->direct, &e); // also for what was put and forgotten
    if (ok && g->frames > 0) {
        ok = !log_failed(l, &e) && write_group(l, &e);
        sum.groups = ok;
    }
    if (!ok && e.kind != ERR_FULL)
        log_fail(l, &e);
    for (struct op *op = ops; op; op = op->next) {
        if (op->settled)
            continue;
        if (ok)
            publish(l, op, &sum);
        else
            unpublished(op, &e);
    }
    if (ok)
        stage_keep(l);
    else
        stage_undo(l, NULL);
    mutex_lock(&l->queue_lock);
    l->stats.appends += sum.appends;
    l->stats.records += sum.records;
    l->stats.bytes += sum.bytes;
    l->stats.groups += sum.groups;
    mutex_unlock(&l->queue_lock);
    obs_trace("log", "group: appends, durable", (int64_t)g->op_n, ok);
    tell(l, ops);
    group_reset(l);
}

/* ---- room in the journal ---- */

/* Is the other file covered by a checkpoint? */
static bool other_free(struct log *l)
{
    const struct journal *j = &l->journal;

    return j->file[!j->cur].last <= check_covers(l);
}

/* The other file becomes the current one, and the next checkpoint frees this one. Between groups only. REQUIRES other_free. */
static void turn(struct log *l)
{
    journal_switch(&l->journal);
    if (check_idle(l))
        check_start(l, false);
}

/* Waits for the other file. */
static bool rotate(struct log *l, struct err *e)
{
    for (int tries = 0; !other_free(l); tries++) {
        bool mine = check_idle(l);

        if (tries == 3)
            return err_set(e, ERR_FULL, "the journal is full and no checkpoint comes about");
        if (mine)
            check_start(l, false);
        if (!check_wait(l, e) && mine)
            return false;
    }
    turn(l);
    return true;
}

/* In the current file, which may grow for it. */
static bool fits(struct log *l, size_t bytes, struct err *e)
{
    if (!journal_has(&l->journal, bytes) && !reserve_there(l))
        return err_set(e, ERR_FULL, "the disk is full: the journal cannot grow");
    return journal_fits(&l->journal, bytes, e);
}

static bool make_room(struct log *l, size_t bytes, struct err *e)
{
    struct journal *j = &l->journal;

    if (journal_has(j, bytes))
        return true;
    if (other_free(l) && journal_other_has(j, bytes)) {
        turn(l);
        return true;
    }
    if (fits(l, bytes, e))
        return true;
    if (e->kind != ERR_FULL) {
        log_fail(l, e);
        return false;
    }
    return rotate(l, e) && fits(l, bytes, e);
}

/* ---- the thread ---- */

static void add(struct commit_group *g, struct op *op)
{
    op->next = NULL;
    *g->tail = op;
    g->tail = &op->next;
    g->op_n++;
    g->data += op->bytes;
}

static void take_write(struct log *l, struct op *op)
{
    struct commit_group *g = &l->group;
    struct err e = {0};
    bool ok;

    if (g->op_n == GROUP_OPS || g->bytes + op->bound > l->group_max || g->data + op->bytes > GROUP_DATA)
        commit_group(l);
    if (op->kind == OP_APPEND && stage_wants_group(l, op))
        commit_group(l);
    if (g->frames > 0 && !journal_has(&l->journal, g->bytes + op->bound))
        commit_group(l);
    ok = !log_failed(l, &e) && (g->frames > 0 || make_room(l, op->bound, &e));
    if (ok && op->order && atomic_load(&op->order->broken))
        ok = err_set(&e, ERR_BUSY, "an append before this one was not taken");
    if (!ok)
        unpublished(op, &e);
    else
        ok = op->kind == OP_TRIM ? stage_trim(l, op) : stage_append(l, op);
    if (!ok)
        break_order(op);
    op->settled = !ok;
    add(g, op);
}

static void control(struct log *l, struct op *op)
{
    op->ok = true;
    switch (op->kind) {
    case OP_ROLL:
        op->ok = log_failed(l, &op->err) ? false : stage_roll(op->parts[0].part, &op->err);
        break;
    case OP_FORGET:
        __atomic_store_n(&op->topic->gone, true, __ATOMIC_RELEASE);
        for (int32_t i = 0; i < op->topic->part_n; i++)
            watch_wake(l, op->topic->parts[i]);
        break;
    case OP_CHECKPOINT:
        if (check_idle(l) && check_wanted(l) && !log_has_failed(l))
            check_start(l, false);
        break;
    case OP_PRODUCERS:
        producers_tell(op->parts[0].part, op->told);
        break;
    case OP_APPEND:
    case OP_TRIM:
        abort();
    }
    finish(l, op);
}

void commit_run(void *log)
{
    struct log *l = log;
    struct op *list;

    for (;;) {
        mutex_lock(&l->queue_lock);
        while (!l->queue && !l->closing)
            cond_wait(&l->queue_more, &l->queue_lock);
        list = l->queue;
        l->queue = NULL;
        l->queue_tail = &l->queue;
        l->queue_bytes = 0;
        cond_broadcast(&l->queue_less);
        mutex_unlock(&l->queue_lock);
        if (!list)
            return;
        for (struct op *next; list; list = next) {
            next = list->next;
            if (list->kind == OP_APPEND || list->kind == OP_TRIM) {
                take_write(l, list);
            } else {
                commit_group(l);
                control(l, list);
            }
        }
        commit_group(l);
    }
}
