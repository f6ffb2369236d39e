/* Keys and values of consumer.h's records: keys are written as before KIP-482, values flexible. */
#include "group/consumer.h"

#include "base/mem.h"
#include "base/rd.h"
#include "group/group_int.h"

/* ---- write ---- */

static void put_string(struct buf *b, struct str s)
{
    buf_uvarint(b, s.p ? s.n + 1 : 0);
    if (s.p)
        buf_str(b, s);
}

static void no_tags(struct buf *b)
{
    buf_u8(b, 0);
}

static bool same_topic(const struct topic_partition *a, const struct topic_partition *b)
{
    return memcmp(a->topic.b, b->topic.b, sizeof a->topic.b) == 0;
}

static void put_partitions(struct buf *b, const struct topic_partition *v, size_t n)
{
    size_t topics = 0;

    for (size_t i = 0; i < n; i++)
        topics += i == 0 || !same_topic(&v[i - 1], &v[i]);
    buf_uvarint(b, topics + 1);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && same_topic(&v[i], &v[end]);)
            end++;
        buf_put(b, v[i].topic.b, sizeof v[i].topic.b);
        buf_uvarint(b, end - i + 1);
        for (size_t k = i; k < end; k++)
            buf_i32(b, v[k].partition);
        no_tags(b);
    }
}

/* There are no racks, so the list of each partition's is empty. */
static void put_topics(struct buf *b, const struct consumer_record *r)
{
    buf_uvarint(b, r->topic_count + 1);
    for (size_t i = 0; i < r->topic_count; i++) {
        buf_put(b, r->topics[i].id.b, sizeof r->topics[i].id.b);
        put_string(b, r->topics[i].name);
        buf_i32(b, r->topics[i].partitions);
        buf_uvarint(b, 1);
        no_tags(b);
    }
}

static void put_member(struct buf *b, const struct consumer_record *r)
{
    put_string(b, r->instance_id);
    put_string(b, r->rack_id);
    put_string(b, r->client_id);
    put_string(b, r->client_host);
    buf_uvarint(b, r->name_count + 1);
    for (size_t i = 0; i < r->name_count; i++)
        put_string(b, r->names[i]);
    put_string(b, r->pattern);
    buf_i32(b, r->rebalance_timeout_ms);
    put_string(b, r->assignor);
}

void consumer_value_write(struct buf *b, const struct consumer_record *r)
{
    buf_i16(b, 0);
    switch (r->kind) {
    case CONSUMER_GROUP:
    case CONSUMER_TARGET_EPOCH:
        buf_i32(b, r->epoch);
        break;
    case CONSUMER_TOPICS:
        put_topics(b, r);
        break;
    case CONSUMER_MEMBER:
        put_member(b, r);
        break;
    case CONSUMER_TARGET:
        put_partitions(b, r->owned, r->owned_count);
        break;
    case CONSUMER_CURRENT:
        buf_i32(b, r->epoch);
        buf_i32(b, r->previous_epoch);
        buf_u8(b, (uint8_t)r->state);
        put_partitions(b, r->owned, r->owned_count);
        put_partitions(b, r->revoked, r->revoked_count);
        break;
    }
    no_tags(b);
}

static bool of_member(enum consumer_kind kind)
{
    return kind == CONSUMER_MEMBER || kind == CONSUMER_TARGET || kind == CONSUMER_CURRENT;
}

void consumer_key_write(struct buf *b, struct str group, const struct consumer_record *r)
{
    buf_i16(b, (int16_t)r->kind);
    buf_i16(b, (int16_t)group.n);
    buf_str(b, group);
    if (of_member(r->kind)) {
        buf_i16(b, (int16_t)r->member.n);
        buf_str(b, r->member);
    }
}

/* ---- read ---- */

static struct str get_string(struct rd *r)
{
    uint32_t n = rd_uvarint(r);

    return n == 0 ? STR_NULL : rd_bytes(r, n - 1);
}

static size_t get_count(struct rd *r, size_t each)
{
    uint32_t n = rd_uvarint(r);

    return n == 0 ? 0 : rd_count(r, (int64_t)n - 1, each);
}

static void skip_tags(struct rd *r)
{
    for (uint32_t n = rd_uvarint(r); n > 0 && rd_ok(r); n--) {
        rd_uvarint(r);
        rd_skip(r, rd_uvarint(r));
    }
}

static struct log_uuid get_uuid(struct rd *r)
{
    struct str bytes = rd_bytes(r, sizeof(struct log_uuid));
    struct log_uuid id = {0};

    if (rd_ok(r))
        memcpy(id.b, bytes.p, sizeof id.b);
    return id;
}

static const struct topic_partition *get_partitions(struct rd *r, struct arena *a, size_t *n)
{
    size_t topics = get_count(r, 18);
    struct topic_partition *v = ARENA_ARRAY(a, struct topic_partition, rd_left(r) / 4 + 1);

    *n = 0;
    for (size_t i = 0; i < topics && rd_ok(r); i++) {
        struct log_uuid id = get_uuid(r);

        for (size_t left = get_count(r, 4); left > 0 && rd_ok(r); left--)
            v[(*n)++] = (struct topic_partition){id, rd_i32(r)};
        skip_tags(r);
    }
    return v;
}

static void get_topics(struct rd *r, struct arena *a, struct consumer_record *out)
{
    size_t n = get_count(r, 23);
    struct consumer_topic *v = ARENA_ARRAY(a, struct consumer_topic, n);

    for (size_t i = 0; i < n && rd_ok(r); i++) {
        v[i].id = get_uuid(r);
        v[i].name = get_string(r);
        v[i].partitions = rd_i32(r);
        for (size_t left = get_count(r, 6); left > 0 && rd_ok(r); left--) {
            (void)rd_i32(r);
            for (size_t racks = get_count(r, 1); racks > 0 && rd_ok(r); racks--)
                (void)get_string(r);
            skip_tags(r);
        }
        skip_tags(r);
    }
    out->topics = v;
    out->topic_count = n;
}

static void get_member(struct rd *r, struct arena *a, struct consumer_record *out)
{
    struct str *names;

    out->instance_id = get_string(r);
    out->rack_id = get_string(r);
    out->client_id = get_string(r);
    out->client_host = get_string(r);
    out->name_count = get_count(r, 1);
    names = ARENA_ARRAY(a, struct str, out->name_count);
    for (size_t i = 0; i < out->name_count; i++)
        names[i] = get_string(r);
    out->names = names;
    out->pattern = get_string(r);
    out->rebalance_timeout_ms = rd_i32(r);
    out->assignor = get_string(r);
}

static void get_current(struct rd *r, struct arena *a, struct consumer_record *out)
{
    out->epoch = rd_i32(r);
    out->previous_epoch = rd_i32(r);
    out->state = rd_i8(r);
    out->owned = get_partitions(r, a, &out->owned_count);
    out->revoked = get_partitions(r, a, &out->revoked_count);
}

bool consumer_key_read(struct str bytes, struct consumer_record *out, struct str *group)
{
    struct rd r = rd_str(bytes);
    int kind = rd_i16(&r);

    *out = (struct consumer_record){.kind = (enum consumer_kind)kind, .member = STR_NULL};
    *group = rd_bytes(&r, (size_t)(uint16_t)rd_i16(&r));
    if (kind >= CONSUMER_GROUP && kind <= CONSUMER_CURRENT && of_member(out->kind))
        out->member = rd_bytes(&r, (size_t)(uint16_t)rd_i16(&r));
    return rd_ok(&r) && kind >= CONSUMER_GROUP && kind <= CONSUMER_CURRENT;
}

bool consumer_value_read(struct str bytes, struct arena *a, struct consumer_record *out)
{
    struct rd r = rd_str(bytes);

    if (rd_i16(&r) != 0)
        return false; // newer than this program knows
    switch (out->kind) {
    case CONSUMER_GROUP:
    case CONSUMER_TARGET_EPOCH:
        out->epoch = rd_i32(&r);
        break;
    case CONSUMER_TOPICS:
        get_topics(&r, a, out);
        break;
    case CONSUMER_MEMBER:
        get_member(&r, a, out);
        break;
    case CONSUMER_TARGET:
        out->owned = get_partitions(&r, a, &out->owned_count);
        break;
    case CONSUMER_CURRENT:
        get_current(&r, a, out);
        break;
    }
    return rd_ok(&r);
}
