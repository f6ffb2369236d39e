/* Topics, partitions and brokers of v2. */
#include "ingest/proxy_int.h"

enum { BROKER_ID = 1 }; // as the Kafka door tells it

void proxy_brokers(struct trip *c)
{
    struct buf b = trip_buf();

    buf_fmt(&b, "{\"brokers\":[%d]}", BROKER_ID);
    trip_json(c, 200, &b);
}

void proxy_topics(struct trip *c)
{
    struct buf b = trip_buf();
    struct log_topic *t;
    size_t n, shown = 0;

    log_list_topics(c->p->log, c->a, &t, &n);
    buf_u8(&b, '[');
    for (size_t i = 0; i < n; i++) {
        if (!trip_may(c, INGEST_TOPIC, t[i].name, INGEST_DESCRIBE))
            continue;
        if (shown++ > 0)
            buf_u8(&b, ',');
        buf_json(&b, t[i].name);
    }
    buf_u8(&b, ']');
    trip_json(c, 200, &b);
}

static void put_partition(struct buf *b, int32_t partition)
{
    buf_fmt(
        b, "{\"partition\":%d,\"leader\":%d,\"replicas\":[{\"broker\":%d,\"leader\":true,\"in_sync\":true}]}",
        partition, BROKER_ID, BROKER_ID);
}

static void put_partitions(struct buf *b, const struct log_topic *t)
{
    buf_u8(b, '[');
    for (int32_t i = 0; i < t->partitions; i++) {
        if (i > 0)
            buf_u8(b, ',');
        put_partition(b, i);
    }
    buf_u8(b, ']');
}

void proxy_topic(struct trip *c)
{
    struct buf b = trip_buf();
    const struct log_setting *row;
    struct log_topic t;

    if (!trip_topic(c, INGEST_DESCRIBE, &t))
        return;
    buf_str(&b, STR("{\"name\":"));
    buf_json(&b, t.name);
    buf_str(&b, STR(",\"configs\":{"));
    for (size_t i = 0; (row = log_setting(i)) != NULL; i++) {
        if (i > 0)
            buf_u8(&b, ',');
        buf_json(&b, str_of(row->name));
        buf_u8(&b, ':');
        buf_json(&b, log_setting_text(row, &t.settings, c->a));
    }
    buf_str(&b, STR("},\"partitions\":"));
    put_partitions(&b, &t);
    buf_u8(&b, '}');
    trip_json(c, 200, &b);
}

void proxy_partitions(struct trip *c)
{
    struct buf b = trip_buf();
    struct log_topic t;

    if (!trip_topic(c, INGEST_DESCRIBE, &t))
        return;
    put_partitions(&b, &t);
    trip_json(c, 200, &b);
}

void proxy_partition(struct trip *c)
{
    struct buf b = trip_buf();
    struct log_topic t;
    int32_t partition;

    if (!trip_topic(c, INGEST_DESCRIBE, &t) || !trip_partition(c, &t, c->name[1], &partition))
        return;
    put_partition(&b, partition);
    trip_json(c, 200, &b);
}

/* As ListOffsets answers a client that reads what is not committed too: the end is the next record's offset. */
void proxy_offsets(struct trip *c)
{
    struct buf b = trip_buf();
    struct log_range range;
    struct log_topic t;
    int32_t partition;

    if (!trip_topic(c, INGEST_DESCRIBE, &t) || !trip_partition(c, &t, c->name[1], &partition))
        return;
    if (!log_range(c->p->log, t.name, partition, &range)) {
        trip_error(c, CODE_NO_PARTITION, "Partition not found.");
        return;
    }
    buf_fmt(&b, "{\"beginning_offset\":%lld,\"end_offset\":%lld}", (long long)range.start,
            (long long)range.end);
    trip_json(c, 200, &b);
}
