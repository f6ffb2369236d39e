/*
 * The loop of a sink task.
 *
 *     fetch from each partition up to its limit -> put -> flush what is due -> commit what is safe -> wait
 *
 * It waits for: new records (a log_watch on each partition it has read to the end), the sink's own flush time, a stop, or
 * a poke (a snapshot was published, a barrier moved). Limits: a topic held by a snapshot is not read past the offset its
 * source names; under a barrier nothing is read past the goal.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "connect/connect_int.h"
#include "group/offsets.h"
#include "os/os.h"

#include <stdio.h>

/* SINK_RETRY_MS: retry.backoff.ms of Kafka Connect's sinks. */
enum { SINK_FETCH_BYTES = 1 << 20, SINK_PUT_MAX = 4096, SINK_RETRY_MS = 5000 };

struct sink {
    struct task *t;
    const struct sink_class *ops;
    void *state;
    struct log_watch *watches; // [part_count]
    bool *watching;
    struct buf fetched;
    int64_t fetched_to; // the offset behind it, with what is never seen: aborted records, markers
    struct arena arena;
    struct sink_record *records; // [SINK_PUT_MAX]
    int64_t *safe;               // [part_count] what flush() says
    bool *named;                 // [part_count] its topic is known to be used
};

/* ---- which partitions ---- */

static bool wants(const struct connector_settings *k, const struct log_topic *topic)
{
    struct str rest = config_str(&k->config, "topics"), part;

    while (str_cut(&rest, ',', &part))
        if (part.n > 0 && str_eq(str_trim(part), topic->name))
            return true;
    return !topic->internal && patterns_match(&k->topics, topic->name.p);
}

void sink_partitions(struct connect *c, const struct connector_settings *k, struct arena *a,
                     struct sink_partition **out, size_t *count)
{
    struct log_topic *topics;
    size_t n, wanted = 0, total = 0, at = 0;

    log_list_topics(c->env.log, a, &topics, &n);
    for (size_t i = 0; i < n; i++)
        if (wants(k, &topics[i])) {
            topics[wanted++] = topics[i];
            total += (size_t)topics[i].partitions;
        }
    *out = ARENA_ARRAY(a, struct sink_partition, total + 1);
    for (size_t i = 0; i < wanted; i++)
        for (int32_t p = 0; p < topics[i].partitions; p++)
            (*out)[at++] = (struct sink_partition){.topic = topics[i].name, .partition = p};
    *count = at;
}

/* When the batch at an offset was written, as its header tells; -1 when it cannot be read. */
static int64_t written_ms(struct connect *c, const struct sink_partition *p, int64_t offset)
{
    uint8_t head[BATCH_HEADER];
    struct batch_header h;
    struct log_piece piece;
    struct err e;
    bool ok = log_fetch_piece(c->env.log, p->topic, p->partition, offset, 1, &piece, &e);

    if (!ok || piece.n < sizeof head) {
        if (ok && piece.n > 0)
            os_close(c->env.os, piece.fd);
        return -1;
    }
    ok = os_read(c->env.os, piece.fd, head, sizeof head, piece.at, &e) &&
         batch_header(str_from((const char *)head, sizeof head), &h);
    os_close(c->env.os, piece.fd);
    return ok ? h.max_timestamp_ms : -1;
}

void sink_lag(struct connect *c, const struct sink_partition *parts, size_t count, int64_t *records,
              int64_t *ms)
{
    int64_t now_ms = c->env.os->wall_us(c->env.os) / 1000;

    *records = *ms = 0;
    for (size_t i = 0; i < count; i++) {
        struct log_range r;
        int64_t from, then_ms;

        if (!log_range(c->env.log, parts[i].topic, parts[i].partition, &r) || r.end <= parts[i].next)
            continue;
        from = parts[i].next > r.start ? parts[i].next : r.start;
        *records += r.end - from;
        then_ms = written_ms(c, &parts[i], from);
        if (then_ms >= 0 && now_ms - then_ms > *ms)
            *ms = now_ms - then_ms;
    }
}

/* ---- positions ---- */

static void group_name(const struct task *t, struct arena *a, struct str *out)
{
    *out = str_of(arena_fmt(a, "connect-%s", t->connector->name));
}

/* Others read the safe positions under the lock, to tell the lag. */
static void positions_are_safe(struct task *t)
{
    mutex_lock(&t->connect->lock);
    for (size_t i = 0; i < t->part_count; i++)
        t->safe[i] = t->parts[i].next;
    mutex_unlock(&t->connect->lock);
}

/* From the group; the first record when it has none, or when what it had is gone. */
static void load_positions(struct sink *s)
{
    struct task *t = s->t;
    struct str group;

    group_name(t, &s->arena, &group);
    for (size_t i = 0; i < t->part_count; i++) {
        struct sink_partition *p = &t->parts[i];
        struct log_range r = {0};
        struct offset_at at;

        (void)log_range(t->connect->env.log, p->topic, p->partition, &r);
        p->next = offsets_get(t->connect->env.offsets, group, p->topic, p->partition, &s->arena, &at)
                      ? at.offset
                      : r.start;
        if (p->next < r.start || p->next > r.end)
            p->next = r.start;
    }
    arena_reset(&s->arena);
    positions_are_safe(t);
}

static bool commit(struct sink *s, struct err *e)
{
    struct task *t = s->t;
    struct offset_at *at = ARENA_ARRAY(&s->arena, struct offset_at, t->part_count);
    struct str group;
    size_t n = 0;
    bool ok;

    for (size_t i = 0; i < t->part_count; i++)
        if (s->safe[i] > t->safe[i])
            at[n++] = (struct offset_at){.topic = t->parts[i].topic,
                                         .partition = t->parts[i].partition,
                                         .leader_epoch = -1,
                                         .offset = s->safe[i]};
    group_name(t, &s->arena, &group);
    ok = n == 0 || offsets_commit(t->connect->env.offsets, group, at, n, e);
    mutex_lock(&t->connect->lock);
    for (size_t i = 0; ok && i < t->part_count; i++)
        t->safe[i] = s->safe[i] > t->safe[i] ? s->safe[i] : t->safe[i];
    mutex_unlock(&t->connect->lock);
    arena_reset(&s->arena);
    return ok;
}

static bool flush(struct sink *s, bool all, struct err *e)
{
    for (size_t i = 0; i < s->t->part_count; i++)
        s->safe[i] = s->t->safe[i];
    return s->ops->flush(s->state, all, s->safe, e) && commit(s, e);
}

static bool flush_if_due(struct sink *s, struct err *e)
{
    return s->ops->next_flush_ms(s->state) != 0 || flush(s, false, e);
}

/* ---- delivery ---- */

static int64_t limit_of(struct sink *s, size_t i)
{
    struct task *t = s->t;
    int64_t limit = topic_limit(t->connect, t->parts[i].topic);

    mutex_lock(&t->lock);
    if (t->hold && t->goal[i] < limit)
        limit = t->goal[i];
    mutex_unlock(&t->lock);
    return limit;
}

static bool put(struct sink *s, size_t n, size_t part, struct err *e)
{
    struct task *t = s->t;

    if (n == 0)
        return true;
    if (!s->named[part]) {
        s->named[part] = true;
        task_used_topic(t, t->parts[part].topic);
    }
    if (!s->ops->put(s->state, s->records, n, e))
        return err_wrap(e, "%.*s-%d at offset %lld", STR_ARG(t->parts[part].topic), t->parts[part].partition,
                        (long long)s->records[0].r.offset);
    mutex_lock(&t->connect->lock);
    t->stats.records += n;
    for (size_t i = 0; i < n; i++)
        t->stats.bytes += s->records[i].r.key.n + s->records[i].r.value.n;
    mutex_unlock(&t->connect->lock);
    return flush_if_due(s, e);
}

/* Hands over what was fetched of one partition, below the limit. */
static bool deliver(struct sink *s, size_t part, int64_t limit, struct err *e)
{
    struct sink_partition *p = &s->t->parts[part];
    struct batch_reader r = {0};
    struct arena a = {0};
    size_t n = 0;
    bool ok = true;

    batch_open(&r, &a, buf_view(&s->fetched));
    r.skip_below = p->next;
    while (ok && p->next < limit) {
        struct sink_record *rec = &s->records[n];

        rec->from = p;
        if (!batch_next(&r, &rec->r) || rec->r.offset >= limit)
            break;
        p->next = rec->r.offset + 1;
        n += !rec->r.control;
        if (n == SINK_PUT_MAX) {
            ok = put(s, n, part, e);
            n = 0;
        }
    }
    ok = ok && put(s, n, part, e) && batch_ok(&r, e);
    arena_fini(&a);
    if (ok && p->next < s->fetched_to)
        p->next = s->fetched_to < limit ? s->fetched_to : limit;
    return ok;
}

/* Records from p->next on, those of transactions when they are committed. What was trimmed since the range was looked at is not missed: the reader goes on behind it. */
static bool fetch(struct sink *s, struct sink_partition *p, struct log_range *r, struct err *e)
{
    struct log *log = s->t->connect->env.log;

    for (;;) {
        if (p->next < r->start)
            p->next = r->start;
        buf_reset(&s->fetched);
        s->fetched_to = p->next;
        if (log_fetch_committed(log, p->topic, p->partition, &s->fetched_to, SINK_FETCH_BYTES, &s->fetched,
                                e))
            return true;
        if (e->kind != ERR_NOT_FOUND || !log_range(log, p->topic, p->partition, r) || p->next >= r->start)
            return false;
    }
}

/*
 * One piece of one partition. *more: there may be another. The range is looked at before the limit: a snapshot that names its
 * limit after that has put its rows behind this range's end.
 */
static bool take(struct sink *s, size_t i, bool *more, struct err *e)
{
    struct task *t = s->t;
    struct sink_partition *p = &t->parts[i];
    struct log_range r;
    bool there = log_range(t->connect->env.log, p->topic, p->partition, &r);
    int64_t limit = limit_of(s, i), before = p->next;

    if (!there || p->next >= r.stable || p->next >= limit)
        return true;
    limit = limit < r.stable ? limit : r.stable;
    if (!fetch(s, p, &r, e) || !deliver(s, i, limit, e))
        return false;
    *more = p->next != before;
    return true;
}

/* ---- waiting ---- */

static void on_records(void *arg)
{
    task_poke(arg);
}

/* Where the next append makes more to read; while a transaction is open that is the partition's end. */
static int64_t watch_from(struct sink *s, const struct sink_partition *p)
{
    struct log_range r;

    return log_range(s->t->connect->env.log, p->topic, p->partition, &r) && p->next >= r.stable &&
                   r.end > p->next
               ? r.end
               : p->next;
}

static void watch(struct sink *s)
{
    struct task *t = s->t;

    for (size_t i = 0; i < t->part_count; i++) {
        struct sink_partition *p = &t->parts[i];

        if (p->next >= limit_of(s, i))
            continue;
        s->watches[i] = (struct log_watch){.fn = on_records, .arg = t};
        s->watching[i] = true;
        log_watch(t->connect->env.log, p->topic, p->partition, watch_from(s, p), &s->watches[i]);
    }
}

static void unwatch(struct sink *s)
{
    for (size_t i = 0; i < s->t->part_count; i++) {
        if (s->watching[i])
            log_unwatch(s->t->connect->env.log, &s->watches[i]);
        s->watching[i] = false;
    }
}

/* Under a barrier: all goals reached, those of this turn. */
static bool reached(struct task *t, uint64_t *turn)
{
    bool yes;

    mutex_lock(&t->lock);
    *turn = t->goal_turn;
    yes = t->hold && !t->at_goal;
    for (size_t i = 0; yes && i < t->part_count; i++)
        yes = t->parts[i].next >= t->goal[i];
    mutex_unlock(&t->lock);
    return yes;
}

/* Goals that were set meanwhile are another turn: they are not reached by having reached these. */
static bool tell_reached(struct sink *s, uint64_t turn, struct err *e)
{
    struct task *t = s->t;
    bool flushes;

    mutex_lock(&t->lock);
    flushes = t->goal_flush && t->goal_turn == turn;
    mutex_unlock(&t->lock);
    if (flushes && !flush(s, true, e))
        return false;
    mutex_lock(&t->connect->lock);
    mutex_lock(&t->lock);
    t->at_goal = t->goal_turn == turn;
    mutex_unlock(&t->lock);
    cond_broadcast(&t->connect->changed);
    mutex_unlock(&t->connect->lock);
    return true;
}

static void wait_a_while(struct sink *s)
{
    struct task *t = s->t;
    int64_t ms = s->state ? s->ops->next_flush_ms(s->state) : -1;

    watch(s);
    mutex_lock(&t->lock);
    if (t->hold)
        ms = -1; // a held sink does not flush
    while (!t->stop && !t->poked)
        if (ms < 0)
            cond_wait(&t->cond, &t->lock);
        else if (!cond_wait_ms(&t->cond, &t->lock, ms))
            break;
    mutex_unlock(&t->lock);
    unwatch(s);
}

static bool is_held(struct task *t)
{
    bool held;

    mutex_lock(&t->lock);
    held = t->hold;
    t->poked = false;
    mutex_unlock(&t->lock);
    return held;
}

static bool run(struct sink *s, struct err *e)
{
    struct task *t = s->t;

    while (!task_should_stop(t)) {
        bool held = is_held(t), any = false;
        uint64_t turn;

        for (size_t i = 0; i < t->part_count && !task_should_stop(t); i++) {
            bool more = false;

            if (!take(s, i, &more, e))
                return false;
            any |= more;
        }
        if (reached(t, &turn) && !tell_reached(s, turn, e))
            return false;
        if (!held && t->part_count > 0 && !flush_if_due(s, e))
            return false;
        if (!any)
            wait_a_while(s);
    }
    return is_held(t) || t->part_count == 0 || flush(s, false, e);
}

/* Opened, fed and closed once. */
static bool sink_once(struct task *t, struct err *e)
{
    size_t n = t->part_count;
    struct sink s = {.t = t, .ops = t->connector->settings->class->sink_ops, .fetched = buf_make(SIZE_MAX)};
    bool ok = true;

    s.watches = MEM_ARRAY(struct log_watch, n + 1);
    s.watching = MEM_ARRAY(bool, n + 1);
    s.safe = MEM_ARRAY(int64_t, n + 1);
    s.named = MEM_ARRAY(bool, n + 1);
    s.records = MEM_ARRAY(struct sink_record, SINK_PUT_MAX + 1);
    load_positions(&s);
    if (n > 0) {
        ok = s.ops->open(t, t->config, t->parts, n, &s.state, e);
        positions_are_safe(t); // open() may have moved them
    }
    ok = ok && run(&s, e);
    if (n > 0)
        s.ops->close(s.state);
    buf_fini(&s.fetched);
    arena_fini(&s.arena);
    mem_free(s.watches);
    mem_free(s.watching);
    mem_free(s.safe);
    mem_free(s.named);
    mem_free(s.records);
    return ok;
}

/* ---- trouble that passes ---- */

/* A full disk, a busy or unreachable store: the same records may go through later. */
static bool may_pass(enum err_kind kind)
{
    return kind == ERR_FULL || kind == ERR_BUSY || kind == ERR_TIMEOUT || kind == ERR_REMOTE;
}

/* False: the task is to stop. */
static bool wait_to_retry(struct task *t)
{
    struct os *os = t->connect->env.os;
    int64_t until_ns = os->now_ns(os) + (int64_t)SINK_RETRY_MS * 1000000, left_ms;
    bool stop;

    mutex_lock(&t->lock);
    while (!t->stop && (left_ms = (until_ns - os->now_ns(os)) / 1000000) > 0)
        (void)cond_wait_ms(&t->cond, &t->lock, left_ms);
    stop = t->stop;
    mutex_unlock(&t->lock);
    return !stop;
}

bool sink_loop(struct task *t, struct err *e)
{
    while (!sink_once(t, e)) {
        if (!may_pass(e->kind))
            return false;
        connect_warn(t->connect, "task %s tries again in %d ms: %s", t->name, SINK_RETRY_MS, e->msg);
        task_say(t, e->msg);
        if (!wait_to_retry(t))
            return true;
        task_say(t, "");
    }
    return true;
}
