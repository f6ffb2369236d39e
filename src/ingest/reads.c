/*
 * Records of a consumer. A read takes the positions, reads the log without the lock, and moves the positions if nobody has moved them
 * meanwhile; else what it read is dropped and it reads again. One read of a consumer is at the log at a time.
 *
 *     PARKING ──▶ ARMED ──▶ WOKEN      it found nothing and waits: for a partition's end to move (log_watch), for the clock, for another
 *        └──────────────────▶          assignment. Whoever wakes an armed read lets it go on; one that is woken while it parks goes on itself.
 */
#include "ingest/consumers.h"

#include "base/limits.h"
#include "base/mem.h"

#include <stdatomic.h>

enum { PARKING, ARMED, WOKEN };
enum { WAIT_MS = 1000, WAIT_MOST_MS = 30000, FETCH_BYTES = 1 << 20 };
#define ANSWER_BYTES_MAX (16 * MIB) // keys and values of one answer

struct reading {
    struct read r;
    int64_t max_bytes, min_bytes;
    struct arena arena;     // of this look: the next three
    struct position *parts; // as they were taken
    size_t count, begin;
    uint64_t round;
    struct log_watch *watches;
    size_t watch_count;

    struct buf out; // the records of the answer
    size_t mark;    // of what was there before this look
    int64_t bytes;  // of keys and values in it
    int64_t before; // the same at the mark
    struct value_last key, value;
    struct err bad; // a record that is not of the format, or a position without one
    bool full;
};

static trip_fn look;

void read_wake(struct read *r)
{
    if (atomic_exchange(&r->state, WOKEN) == ARMED)
        trip_go_on(r->c, look);
}

bool read_is_woken(const struct read *r)
{
    return atomic_load(&r->state) == WOKEN;
}

static void on_watch(void *arg)
{
    read_wake(arg);
}

/* ---- answering ---- */

static void over(struct reading *g)
{
    struct consumer *k = g->r.k;

    mutex_lock(&k->p->lock);
    k->used_ms = proxy_now_ms(k->p);
    mutex_unlock(&k->p->lock);
    buf_fini(&g->out);
    arena_fini(&g->arena);
    consumer_unref(k);
}

static const char *type_of(enum format f)
{
    return f == FORMAT_JSON   ? "application/vnd.kafka.json.v2+json"
           : f == FORMAT_AVRO ? "application/vnd.kafka.avro.v2+json"
                              : "application/vnd.kafka.binary.v2+json";
}

static void answer(struct reading *g)
{
    struct trip *c = g->r.c;

    if (g->out.n == 0 && g->bad.kind != ERR_NONE) {
        trip_error(c, CODE_KAFKA, "Kafka error: %s", g->bad.msg);
    } else {
        buf_str(&g->out, g->out.n == 0 ? STR("[]") : STR("]"));
        http_answer_buf(c->q, 200, type_of(g->r.k->format), &g->out);
    }
    over(g);
}

/* ---- one record, one partition ---- */

static bool put_record(struct reading *g, const struct position *p, const struct record *r)
{
    struct trip *c = g->r.c;
    enum format f = g->r.k->format;
    size_t before = g->out.n;
    struct err e;

    buf_str(&g->out, before == 0 ? STR("[{\"topic\":") : STR(",{\"topic\":"));
    buf_json(&g->out, p->topic);
    buf_str(&g->out, STR(",\"key\":"));
    if (value_show(c, f, r->key, &g->key, &g->out, &e)) {
        buf_str(&g->out, STR(",\"value\":"));
        if (value_show(c, f, r->value, &g->value, &g->out, &e)) {
            buf_fmt(&g->out, ",\"partition\":%d,\"offset\":%lld}", p->partition, (long long)r->offset);
            g->bytes += (int64_t)(r->key.n + r->value.n);
            return true;
        }
    }
    g->out.n = before;
    (void)err_set(&g->bad, ERR_BAD_INPUT, "%.*s-%d, offset %lld, is not %s: %s; seek past it to go on",
                  STR_ARG(p->topic), p->partition, (long long)r->offset, format_name(f), e.msg);
    return false;
}

/* Puts records of fetched batches; false when no more may be put. */
static bool put_batches(struct reading *g, struct position *p, struct str batches)
{
    struct arena a = {0};
    struct batch_reader b;
    struct record r;
    bool go_on = true;
    struct err e;

    batch_open(&b, &a, batches);
    b.skip_below = p->next;
    while (go_on && batch_next(&b, &r)) {
        int64_t size = (int64_t)(r.key.n + r.value.n);

        if (!r.control && g->out.n > 0 && g->bytes + size > g->max_bytes) {
            g->full = true;
            go_on = false;
        } else {
            go_on = r.control || put_record(g, p, &r);
            if (go_on)
                p->next = r.offset + 1;
        }
    }
    if (go_on && !batch_ok(&b, &e)) {
        (void)err_set(&g->bad, ERR_CORRUPT, "%.*s-%d: %s", STR_ARG(p->topic), p->partition, e.msg);
        go_on = false;
    }
    if (go_on && p->next < b.head.base_offset + b.head.last_offset_delta + 1)
        p->next =
            b.head.base_offset + b.head.last_offset_delta + 1; // compaction may have taken the last ones
    arena_fini(&a);
    return go_on;
}

/* Where to begin without a position, or with one that is no longer there. */
static bool reset(struct reading *g, struct position *p, const struct log_range *range)
{
    if (p->next >= range->start && p->next <= range->end)
        return true;
    if (g->r.k->reset == RESET_NONE)
        return err_set(&g->bad, ERR_NOT_FOUND,
                       "%.*s-%d has no offset %lld to read, and auto.offset.reset is none", STR_ARG(p->topic),
                       p->partition, (long long)p->next);
    p->next = g->r.k->reset == RESET_EARLIEST ? range->start : range->end;
    return true;
}

static bool read_part(struct reading *g, struct position *p)
{
    struct log *l = g->r.c->p->log;
    struct log_range range;
    bool go_on = log_range(l, p->topic, p->partition, &range);

    if (!go_on) // its topic was deleted: the others go on
        return true;
    go_on = reset(g, p, &range);
    while (go_on && p->next < range.end && !g->full) {
        struct buf b = buf_make(LIMIT_BATCH + FETCH_BYTES);
        struct err e;

        if (!log_fetch(l, p->topic, p->partition, p->next, FETCH_BYTES, &b, &e)) {
            if (e.kind != ERR_NOT_FOUND) // retention was faster: the next look begins anew
                g->bad = e;
            go_on = e.kind == ERR_NOT_FOUND;
            buf_fini(&b);
            return go_on;
        }
        go_on = b.n > 0 && put_batches(g, p, buf_view(&b));
        if (b.n == 0)
            go_on = true;
        buf_fini(&b);
        if (go_on && g->bytes >= g->max_bytes)
            g->full = true;
    }
    return go_on;
}

static void read_log(struct reading *g)
{
    g->mark = g->out.n;
    g->before = g->bytes;
    g->full = false;
    for (size_t i = 0; i < g->count && !g->full; i++)
        if (!read_part(g, &g->parts[(g->begin + i) % g->count]))
            break;
}

/* ---- taking and moving the positions ---- */

/* False: there is nothing to take, or another read has it. Lock held. */
static bool take(struct reading *g)
{
    struct consumer *k = g->r.k;
    struct arena *a = &g->arena;
    bool ok = !k->closed && k->failed == 0 && k->mode != CONSUMER_IDLE;

    if (!ok || k->reading)
        return false;
    arena_reset(a);
    k->reading = true;
    g->round = k->round;
    g->count = k->part_count;
    g->begin = k->part_count > 0 ? k->turn++ % k->part_count : 0;
    g->parts = ARENA_ARRAY(a, struct position, g->count);
    for (size_t i = 0; i < g->count; i++) {
        g->parts[i] = k->parts[i];
        g->parts[i].topic = arena_str(a, k->parts[i].topic);
    }
    return true;
}

/* Why a group does not take a member that has come, by Kafka's code. */
static const char *why_failed(int code)
{
    switch (code) {
    case GROUP_INCONSISTENT_PROTOCOL:
        return "its members know neither range nor roundrobin, or the broker makes their assignments "
               "(KIP-848)";
    case GROUP_MAX_SIZE_REACHED:
        return "it has as many members as are allowed";
    default:
        return "see Kafka's error codes";
    }
}

static void refuse(struct reading *g)
{
    struct consumer *k = g->r.k;
    struct trip *c = g->r.c;
    int failed;
    bool gone;

    mutex_lock(&k->p->lock);
    failed = k->failed;
    gone = k->closed;
    mutex_unlock(&k->p->lock);
    if (g->out.n > 0) {
        answer(g);
        return;
    }
    if (gone)
        trip_error(c, CODE_NO_CONSUMER, "Consumer instance not found.");
    else if (failed)
        trip_error(c, CODE_KAFKA, "Kafka error: the group does not take this consumer: %s (%d)",
                   why_failed(failed), failed);
    else
        trip_error(c, CODE_STATE,
                   "Illegal state: Consumer is not subscribed to any topics or assigned any partitions");
    over(g);
}

/* True when what was read counts. */
static bool give_back(struct reading *g)
{
    struct consumer *k = g->r.k;
    bool counts;

    mutex_lock(&k->p->lock);
    k->reading = false;
    counts = k->round == g->round && !k->closed;
    for (size_t i = 0; counts && i < g->count; i++)
        k->parts[i].next = g->parts[i].next;
    for (struct read *r = k->reads; r; r = r->next)
        if (r->waits_for == READ_TURN)
            read_wake(r);
    mutex_unlock(&k->p->lock);
    if (!counts) {
        g->out.n = g->mark;
        g->bytes = g->before;
        g->bad = (struct err){0};
    }
    return counts;
}

/* ---- waiting ---- */

static void unpark(struct reading *g)
{
    struct consumer *k = g->r.k;
    struct read **at = &k->reads;

    mutex_lock(&k->p->lock);
    while (*at && *at != &g->r)
        at = &(*at)->next;
    if (*at)
        *at = g->r.next;
    mutex_unlock(&k->p->lock);
    for (size_t i = 0; i < g->watch_count; i++)
        log_unwatch(k->p->log, &g->watches[i]);
    g->watch_count = 0;
}

/* Has come already what it would wait for? Lock held. */
static bool is_there(const struct reading *g)
{
    const struct consumer *k = g->r.k;

    if (k->closed || k->failed)
        return true;
    if (g->r.waits_for == READ_TURN)
        return !k->reading;
    return k->round != g->round;
}

static void park(struct reading *g, enum read_wait why)
{
    struct consumer *k = g->r.k;
    struct proxy *p = k->p;
    struct trip *c = g->r.c;
    int expected = PARKING;

    atomic_store(&g->r.state, PARKING);
    g->r.waits_for = why;
    trip_wait(c);
    mutex_lock(&p->lock);
    g->r.next = k->reads;
    k->reads = &g->r;
    if (is_there(g))
        atomic_store(&g->r.state, WOKEN);
    mutex_unlock(&p->lock);
    g->watches = why == READ_RECORDS ? ARENA_ARRAY(&g->arena, struct log_watch, g->count) : NULL;
    for (size_t i = 0; why == READ_RECORDS && i < g->count; i++) {
        struct log_watch *w = &g->watches[g->watch_count++];

        *w = (struct log_watch){.fn = on_watch, .arg = &g->r};
        log_watch(p->log, g->parts[i].topic, g->parts[i].partition, g->parts[i].next, w);
    }
    proxy_consumers_due(p);
    if (!atomic_compare_exchange_strong(&g->r.state, &expected, ARMED))
        trip_go_on(c, look);
}

/* ---- a look at the log ---- */

static void look(struct trip *c)
{
    struct reading *g = c->extra;
    struct consumer *k = g->r.k;
    struct proxy *p = c->p;
    bool taken, busy, counts;

    unpark(g);
    do {
        mutex_lock(&p->lock);
        taken = take(g);
        busy = k->reading && !k->closed && k->failed == 0 && k->mode != CONSUMER_IDLE;
        mutex_unlock(&p->lock);
        if (!taken && !busy) {
            refuse(g);
            return;
        }
        counts = false;
        if (taken) {
            read_log(g);
            counts = give_back(g);
        }
    } while (taken && !counts);
    if (g->full || g->bad.kind != ERR_NONE || (g->out.n > 0 && g->bytes >= g->min_bytes) ||
        proxy_now_ms(p) >= g->r.deadline_ms)
        answer(g);
    else
        park(g, !taken ? READ_TURN : READ_RECORDS);
}

/* What was answered before counts as read when the client comes again. */
static void maybe_commit(struct consumer *k)
{
    struct commit *m = NULL;

    if (!k->auto_commit)
        return;
    mutex_lock(&k->p->lock);
    if (proxy_now_ms(k->p) - k->commit_ms >= AUTO_COMMIT_MS) {
        m = MEM_NEW(struct commit);
        m->k = k;
        k->refs++;
        k->commit_ms = proxy_now_ms(k->p);
        commit_moved(m);
    }
    mutex_unlock(&k->p->lock);
    if (m && m->count > 0)
        consumer_commit(m, NULL);
    else if (m)
        commit_free(m);
}

static bool format_fits(struct trip *c, enum format f)
{
    struct str accept = http_header(c->q, "Accept");

    return !accept.p || trip_accepts(c, type_of(f)) ||
           (f == FORMAT_BINARY && trip_accepts(c, "application/vnd.kafka.v2+json"));
}

void proxy_records(struct trip *c)
{
    struct consumer *k = consumer_of(c);
    int64_t timeout = http_param_i64(c->q, "timeout", -1), max = http_param_i64(c->q, "max_bytes", -1);
    struct reading *g;

    if (!k)
        return;
    if (!format_fits(c, k->format)) {
        trip_error(
            c, CODE_FORMAT,
            "The requested embedded data format does not match the deserializer for this consumer instance");
        consumer_unref(k);
        return;
    }
    if (timeout <= 0)
        timeout = k->wait_ms >= 0 ? k->wait_ms : WAIT_MS;
    if (timeout > WAIT_MOST_MS)
        timeout = WAIT_MOST_MS;
    maybe_commit(k);
    g = ARENA_NEW(c->a, struct reading);
    g->r = (struct read){.c = c, .k = k, .deadline_ms = proxy_now_ms(c->p) + timeout};
    g->max_bytes = max > 0 && max < (int64_t)ANSWER_BYTES_MAX ? max : (int64_t)ANSWER_BYTES_MAX;
    g->min_bytes = k->min_bytes;
    g->out = trip_buf();
    c->extra = g;
    look(c);
}
