/* Committing and seeking. */
#include "base/mem.h"
#include "base/utc.h"
#include "ingest/consumers.h"

/* ---- bodies ---- */

/* One {"topic":...,"partition":...}; other members are the caller's. */
static bool read_part(struct trip *c, struct js v, struct group_part *out)
{
    int64_t partition;

    out->topic = js_str(js_get(v, "topic"), c->a);
    if (out->topic.n == 0 || !js_i64(js_get(v, "partition"), &partition) || partition < 0 ||
        partition > INT32_MAX) {
        trip_error(c, CODE_INVALID, "topic and partition must be a name and a number from 0");
        return false;
    }
    out->partition = (int32_t)partition;
    return true;
}

static bool count_of(struct trip *c, struct js list, const char *name, size_t *n)
{
    struct js v;

    *n = 0;
    for (struct js_it it = js_in(list); js_next(&it, &v);)
        (*n)++;
    if (list.kind == JS_ARRAY && *n <= CONSUMER_PARTS_MAX)
        return true;
    trip_error(c, CODE_INVALID, "%s must be a list of at most %d", name, CONSUMER_PARTS_MAX);
    return false;
}

bool trip_parts(struct trip *c, struct group_part **parts, size_t *count)
{
    struct js body, list, v;
    size_t n;

    if (!trip_body(c, &body))
        return false;
    list = js_get(body, "partitions");
    if (!count_of(c, list, "partitions", &n))
        return false;
    *parts = ARENA_ARRAY(c->a, struct group_part, n);
    *count = 0;
    for (struct js_it it = js_in(list); js_next(&it, &v);)
        if (!read_part(c, v, &(*parts)[(*count)++]))
            return false;
    return true;
}

/* ---- POST offsets ---- */

static void answer_commit(struct trip *c)
{
    struct commit *m = c->state;
    struct buf b = trip_buf();

    if (m->error == GROUP_NONE) {
        buf_str(&b, STR("[]"));
        trip_json(c, 200, &b);
    } else if (m->error == GROUP_REBALANCING || m->error == GROUP_COORDINATOR_NOT_AVAILABLE) {
        trip_error(c, CODE_RETRY,
                   "Retriable Kafka error: the group is rebalancing, or its coordinator cannot answer (%d)",
                   m->error);
    } else {
        trip_error(c, CODE_KAFKA, "Kafka error: the commit was refused (%d): %s", m->error,
                   m->error == GROUP_UNKNOWN_MEMBER || m->error == GROUP_ILLEGAL_GENERATION
                       ? "the group has other members, who have its partitions now"
                       : "see the error codes of Kafka's protocol");
    }
    commit_free(m);
}

/* What is told is the last record that was read; committed is the one after it, as Confluent's proxy does it. */
static bool read_commit(struct trip *c, struct commit *m)
{
    struct js body, list, v;
    struct group_part part;
    int64_t offset;
    size_t n;

    if (!trip_body(c, &body))
        return false;
    list = js_get(body, "offsets");
    if (!count_of(c, list, "offsets", &n))
        return false;
    m->at = ARENA_ARRAY(&m->arena, struct offset_at, n);
    for (struct js_it it = js_in(list); js_next(&it, &v);) {
        struct str metadata = js_str(js_get(v, "metadata"), &m->arena);

        if (!read_part(c, v, &part) || !trip_allow(c, INGEST_TOPIC, part.topic, INGEST_READ))
            return false;
        if (!js_i64(js_get(v, "offset"), &offset) || offset < 0 || offset == INT64_MAX) {
            trip_error(c, CODE_INVALID, "offset must be a number from 0");
            return false;
        }
        m->at[m->count++] = (struct offset_at){.topic = arena_str(&m->arena, part.topic),
                                               .partition = part.partition,
                                               .leader_epoch = -1,
                                               .offset = offset + 1,
                                               .metadata = metadata.p ? metadata : STR("")};
    }
    return true;
}

void proxy_commit(struct trip *c)
{
    struct consumer *k = consumer_of(c);
    struct commit *m;

    if (!k)
        return;
    m = MEM_NEW(struct commit);
    m->k = k;
    m->trip = c;
    if (str_trim(c->q->body).n == 0) {
        mutex_lock(&c->p->lock);
        commit_moved(m);
        mutex_unlock(&c->p->lock);
    } else if (!read_commit(c, m)) {
        commit_free(m);
        return;
    }
    if (m->count > 0) {
        consumer_commit(m, answer_commit);
        return;
    }
    c->state = m;
    answer_commit(c);
}

/* ---- GET offsets ---- */

void proxy_committed(struct trip *c)
{
    struct consumer *k = consumer_of(c);
    struct buf b = trip_buf();
    struct group_part *parts;
    size_t n, shown = 0;

    if (!k)
        return;
    if (!trip_parts(c, &parts, &n)) {
        consumer_unref(k);
        return;
    }
    buf_str(&b, STR("{\"offsets\":["));
    for (size_t i = 0; i < n; i++) {
        struct offset_at at;

        if (!offsets_get(c->p->offsets, k->group, parts[i].topic, parts[i].partition, c->a, &at))
            continue;
        buf_str(&b, shown++ > 0 ? STR(",{\"topic\":") : STR("{\"topic\":"));
        buf_json(&b, parts[i].topic);
        buf_fmt(&b, ",\"partition\":%d,\"offset\":%lld,\"metadata\":", parts[i].partition,
                (long long)at.offset);
        buf_json(&b, at.metadata);
        buf_u8(&b, '}');
    }
    buf_str(&b, STR("]}"));
    trip_json(c, 200, &b);
    consumer_unref(k);
}

/* ---- positions ---- */

struct seek {
    struct group_part part;
    int64_t offset;
};

static void apply(struct trip *c, struct consumer *k, const struct seek *seeks, size_t n)
{
    const struct seek *bad = NULL;

    mutex_lock(&c->p->lock);
    for (size_t i = 0; i < n && !bad; i++)
        if (!consumer_part(k, seeks[i].part.topic, seeks[i].part.partition))
            bad = &seeks[i];
    for (size_t i = 0; i < n && !bad; i++)
        consumer_part(k, seeks[i].part.topic, seeks[i].part.partition)->next = seeks[i].offset;
    if (!bad) {
        k->round++;
        consumer_wake(k);
    }
    mutex_unlock(&c->p->lock);
    if (bad)
        trip_error(c, CODE_STATE, "Illegal state: No current assignment for partition %.*s-%d",
                   STR_ARG(bad->part.topic), bad->part.partition);
    else
        http_answer(c->q, 204, NULL, STR(""));
}

static bool read_offsets(struct trip *c, struct js list, struct seek *out, size_t *n)
{
    struct js v;

    for (struct js_it it = js_in(list); js_next(&it, &v); (*n)++) {
        if (!read_part(c, v, &out[*n].part))
            return false;
        if (!js_i64(js_get(v, "offset"), &out[*n].offset) || out[*n].offset < 0) {
            trip_error(c, CODE_INVALID, "offset must be a number from 0");
            return false;
        }
    }
    return true;
}

/* The first record of that time or later; where there is none, the end. */
static bool read_times(struct trip *c, struct js list, struct seek *out, size_t *n)
{
    struct js v;

    for (struct js_it it = js_in(list); js_next(&it, &v); (*n)++) {
        struct seek *s = &out[*n];
        struct log_range range;
        int64_t micros, found;

        if (!read_part(c, v, &s->part))
            return false;
        if (!utc_parse(js_str(js_get(v, "timestamp"), c->a), &micros)) {
            trip_error(c, CODE_INVALID, "timestamp must be a time such as 2026-11-21T08:00:00Z");
            return false;
        }
        if (log_offset_for_time(c->p->log, s->part.topic, s->part.partition, micros / 1000, &s->offset,
                                &found))
            continue;
        s->offset = log_range(c->p->log, s->part.topic, s->part.partition, &range) ? range.end : 0;
    }
    return true;
}

void proxy_seek(struct trip *c)
{
    struct consumer *k = consumer_of(c);
    struct js body, offsets, times;
    size_t some = 0, more = 0, n = 0;
    struct seek *seeks;

    if (!k)
        return;
    if (trip_body(c, &body)) {
        offsets = js_get(body, "offsets");
        times = js_get(body, "timestamps");
        if ((offsets.kind == JS_NONE || count_of(c, offsets, "offsets", &some)) &&
            (times.kind == JS_NONE || count_of(c, times, "timestamps", &more))) {
            seeks = ARENA_ARRAY(c->a, struct seek, some + more);
            if (read_offsets(c, offsets, seeks, &n) && read_times(c, times, seeks, &n))
                apply(c, k, seeks, n);
        }
    }
    consumer_unref(k);
}

static void seek_all(struct trip *c, bool to_end)
{
    struct consumer *k = consumer_of(c);
    struct group_part *parts;
    struct seek *seeks;
    size_t n;

    if (!k)
        return;
    if (trip_parts(c, &parts, &n)) {
        seeks = ARENA_ARRAY(c->a, struct seek, n);
        for (size_t i = 0; i < n; i++) {
            struct log_range range = {0};

            (void)log_range(c->p->log, parts[i].topic, parts[i].partition, &range);
            seeks[i] = (struct seek){parts[i], to_end ? range.end : range.start};
        }
        apply(c, k, seeks, n);
    }
    consumer_unref(k);
}

void proxy_seek_beginning(struct trip *c)
{
    seek_all(c, false);
}

void proxy_seek_end(struct trip *c)
{
    seek_all(c, true);
}
