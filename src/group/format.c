#include "base/mem.h"
#include "base/rd.h"
#include "base/utf8.h"
#include "group/group_int.h"

enum { POSITION_KEY = 1, GROUP_KEY = 2, VALUE_EXPIRES = 1, VALUE = 3, VALUE_FLEXIBLE = 4 };

/* ---- write ---- */

static void put_string(struct buf *b, struct str s)
{
    buf_i16(b, (int16_t)s.n);
    buf_str(b, s);
}

static void put_nullable(struct buf *b, struct str s)
{
    if (s.p)
        put_string(b, s);
    else
        buf_i16(b, -1);
}

static void put_bytes(struct buf *b, struct str s)
{
    buf_i32(b, (int32_t)s.n);
    buf_str(b, s);
}

void offset_key_write(struct buf *b, const struct offset_key *k)
{
    bool position = k->kind == OFFSET_KEY_POSITION;

    buf_i16(b, position ? POSITION_KEY : GROUP_KEY);
    put_string(b, k->group);
    if (position) {
        put_string(b, k->topic);
        buf_i32(b, k->partition);
    }
}

/* Only version 1 knows a time to expire; like Kafka we lose the epoch for it. */
void offset_value_write(struct buf *b, const struct offset_at *at)
{
    bool expires = at->expire_ms > 0;

    buf_i16(b, expires ? VALUE_EXPIRES : VALUE);
    buf_i64(b, at->offset);
    if (!expires)
        buf_i32(b, at->leader_epoch);
    put_string(b, at->metadata);
    buf_i64(b, at->commit_ms);
    if (expires)
        buf_i64(b, at->expire_ms);
}

void group_value_write(struct buf *b, const struct group_meta *m)
{
    buf_i16(b, VALUE);
    put_string(b, m->protocol_type);
    buf_i32(b, m->generation);
    put_nullable(b, m->protocol);
    put_nullable(b, m->leader);
    buf_i64(b, m->state_ms);
    buf_i32(b, (int32_t)m->member_count);
    for (size_t i = 0; i < m->member_count; i++) {
        const struct group_meta_member *g = &m->members[i];

        put_string(b, g->id);
        put_nullable(b, g->instance_id);
        put_string(b, g->client_id);
        put_string(b, g->client_host);
        buf_i32(b, g->rebalance_timeout_ms);
        buf_i32(b, g->session_timeout_ms);
        put_bytes(b, g->subscription);
        put_bytes(b, g->assignment);
    }
}

/* ---- read ---- */

/* Flexible versions (KIP-482) have lengths as unsigned varints of n + 1, with 0 for null. */
static struct str get_string(struct rd *r, bool flexible)
{
    int64_t n = flexible ? (int64_t)rd_uvarint(r) - 1 : rd_i16(r);

    return n < 0 ? STR_NULL : rd_bytes(r, (size_t)n);
}

static struct str get_bytes(struct rd *r, bool flexible)
{
    int64_t n = flexible ? (int64_t)rd_uvarint(r) - 1 : rd_i32(r);

    return n < 0 ? STR_NULL : rd_bytes(r, (size_t)n);
}

static void skip_tags(struct rd *r, bool flexible)
{
    for (uint32_t n = flexible ? rd_uvarint(r) : 0; n > 0 && rd_ok(r); n--) {
        rd_uvarint(r);
        rd_skip(r, rd_uvarint(r));
    }
}

static int value_version(struct rd *r)
{
    int version = rd_i16(r);

    if (rd_ok(r) && (version < 0 || version > VALUE_FLEXIBLE))
        rd_fail(r, "its version is newer than this program knows");
    return version;
}

bool offset_key_read(struct str bytes, struct offset_key *out, struct err *e)
{
    struct rd r = rd_str(bytes);
    int version = rd_i16(&r);

    *out = (struct offset_key){.kind = OFFSET_KEY_OTHER};
    if (rd_ok(&r) && (version < 0 || version > CONSUMER_CURRENT))
        return true;
    out->kind = version > GROUP_KEY    ? OFFSET_KEY_CONSUMER
                : version == GROUP_KEY ? OFFSET_KEY_GROUP
                                       : OFFSET_KEY_POSITION;
    out->group = get_string(&r, false);
    if (out->kind == OFFSET_KEY_POSITION) {
        out->topic = get_string(&r, false);
        out->partition = rd_i32(&r);
    }
    if (!rd_ok(&r))
        return err_set(e, ERR_CORRUPT, "key of a committed offset: %s", rd_why(&r));
    return true;
}

bool offset_value_read(struct str bytes, struct offset_at *out, struct err *e)
{
    struct rd r = rd_str(bytes);
    int version = value_version(&r);

    out->offset = rd_i64(&r);
    out->leader_epoch = version >= 3 ? rd_i32(&r) : -1;
    out->metadata = get_string(&r, version >= VALUE_FLEXIBLE);
    out->commit_ms = rd_i64(&r);
    out->expire_ms = version == VALUE_EXPIRES ? rd_i64(&r) : 0;
    if (!rd_ok(&r))
        return err_set(e, ERR_CORRUPT, "committed offset: %s", rd_why(&r));
    return true;
}

static void member_read(struct rd *r, int version, struct group_meta_member *m)
{
    bool flexible = version >= VALUE_FLEXIBLE;

    m->id = get_string(r, flexible);
    m->instance_id = version >= 3 ? get_string(r, flexible) : STR_NULL;
    m->client_id = get_string(r, flexible);
    m->client_host = get_string(r, flexible);
    m->rebalance_timeout_ms = version >= 1 ? rd_i32(r) : -1;
    m->session_timeout_ms = rd_i32(r);
    if (version < 1)
        m->rebalance_timeout_ms = m->session_timeout_ms;
    m->subscription = get_bytes(r, flexible);
    m->assignment = get_bytes(r, flexible);
    skip_tags(r, flexible);
}

bool group_value_read(struct str bytes, struct arena *a, struct group_meta *out, struct err *e)
{
    struct rd r = rd_str(bytes);
    int version = value_version(&r);
    bool flexible = version >= VALUE_FLEXIBLE;

    *out = (struct group_meta){.protocol_type = get_string(&r, flexible)};
    out->generation = rd_i32(&r);
    out->protocol = get_string(&r, flexible);
    out->leader = get_string(&r, flexible);
    out->state_ms = version >= 2 ? rd_i64(&r) : -1;
    out->member_count = rd_count(&r, flexible ? (int64_t)rd_uvarint(&r) - 1 : rd_i32(&r), 8);
    out->members = ARENA_ARRAY(a, struct group_meta_member, out->member_count);
    for (size_t i = 0; i < out->member_count; i++)
        member_read(&r, version, &out->members[i]);
    if (!rd_ok(&r))
        return err_set(e, ERR_CORRUPT, "group: %s", rd_why(&r));
    return true;
}

/* ---- placement ---- */

int32_t group_partition(struct str name, int32_t partitions)
{
    uint32_t h = 0;

    for (size_t i = 0, n; i < name.n; i += n) {
        const unsigned char *p = (const unsigned char *)name.p + i;
        uint32_t c = p[0];

        n = utf8_len(name.p + i, name.n - i);
        if (n == 0)
            n = 1;
        else if (n == 2)
            c = (c & 31u) << 6 | (p[1] & 63u);
        else if (n == 3)
            c = (c & 15u) << 12 | (p[1] & 63u) << 6 | (p[2] & 63u);
        else if (n == 4)
            c = (c & 7u) << 18 | (p[1] & 63u) << 12 | (p[2] & 63u) << 6 | (p[3] & 63u);
        if (c > 0xffff) {
            h = 31 * h + (0xd7c0 + (c >> 10));
            c = 0xdc00 + (c & 0x3ff);
        }
        h = 31 * h + c;
    }
    if (h == 0x80000000u)
        return 0;
    return (int32_t)((h & 0x80000000u ? 0u - h : h) % (uint32_t)partitions);
}
