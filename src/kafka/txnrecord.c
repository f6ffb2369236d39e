/*
 * Keys and values of __transaction_state: Kafka's TransactionLogKey and TransactionLogValue
 * (transaction-coordinator/src/main/resources/common/message). Version 0 is written, 0 and the flexible 1 are read.
 */
#include "base/mem.h"
#include "base/rd.h"
#include "kafka/kafka_int.h"
#include "kafka/txn.h"

enum { KEY = 0, VALUE = 0, VALUE_FLEXIBLE = 1 };

static void put_string(struct buf *b, struct str s)
{
    buf_i16(b, (int16_t)s.n);
    buf_str(b, s);
}

void txn_key_write(struct buf *b, struct str id)
{
    buf_i16(b, KEY);
    put_string(b, id);
}

static size_t same_topic(const struct txn_record *r, size_t from)
{
    size_t n = 1;

    while (from + n < r->part_n && str_eq(r->parts[from + n].topic, r->parts[from].topic))
        n++;
    return n;
}

void txn_value_write(struct buf *b, const struct txn_record *r)
{
    int32_t topics = 0;
    size_t at;

    buf_i16(b, VALUE);
    buf_i64(b, r->producer_id);
    buf_i16(b, r->epoch);
    buf_i32(b, r->timeout_ms);
    buf_u8(b, (uint8_t)r->state);
    at = b->n;
    buf_i32(b, r->state == TXN_EMPTY ? -1 : 0); // null as long as there was no transaction
    for (size_t i = 0, n; i < r->part_n; i += n, topics++) {
        n = same_topic(r, i);
        put_string(b, r->parts[i].topic);
        buf_i32(b, (int32_t)n);
        for (size_t k = 0; k < n; k++)
            buf_i32(b, r->parts[i + k].partition);
    }
    if (topics > 0 && buf_ok(b))
        buf_set_i32(b, at, topics);
    buf_i64(b, r->update_ms);
    buf_i64(b, r->start_ms);
}

static struct str get_string(struct rd *r, bool flexible)
{
    int64_t n = wire_length(r, flexible, true);

    if (n < 0)
        rd_fail(r, "a string is null");
    return n < 0 ? STR_NULL : rd_bytes(r, (size_t)n);
}

bool txn_key_read(struct str bytes, struct str *id, struct err *e)
{
    struct rd r = rd_str(bytes);
    int version = rd_i16(&r);

    *id = STR_NULL;
    if (rd_ok(&r) && version != KEY)
        return true;
    *id = get_string(&r, false);
    return rd_ok(&r) || err_set(e, ERR_CORRUPT, "key of a transaction: %s", rd_why(&r));
}

static void get_parts(struct rd *r, bool flexible, struct arena *a, struct txn_record *out)
{
    int64_t topics = wire_length(r, flexible, false);
    size_t cap = rd_left(r) / 4; // a partition has four bytes

    if (topics > 0)
        out->parts = ARENA_ARRAY(a, struct txn_part, cap);
    for (int64_t i = 0; i < topics && rd_ok(r); i++) {
        struct str topic = get_string(r, flexible);
        size_t n = rd_count(r, wire_length(r, flexible, false), 4);

        for (size_t k = 0; k < n && out->part_n < cap; k++)
            out->parts[out->part_n++] = (struct txn_part){topic, rd_i32(r)};
        wire_skip_tags(r, flexible);
    }
}

bool txn_value_read(struct str bytes, struct arena *a, struct txn_record *out, struct err *e)
{
    struct rd r = rd_str(bytes);
    int version = rd_i16(&r);
    bool flexible = version >= VALUE_FLEXIBLE;
    int8_t state;

    *out = (struct txn_record){.producer_id = rd_i64(&r)};
    if (rd_ok(&r) && (version < VALUE || version > VALUE_FLEXIBLE))
        rd_fail(&r, "its version is newer than this program knows");
    out->epoch = rd_i16(&r);
    out->timeout_ms = rd_i32(&r);
    state = rd_i8(&r);
    if (state < 0 || state >= TXN_STATES)
        rd_fail(&r, "its state is not known");
    else
        out->state = (enum txn_state)state;
    get_parts(&r, flexible, a, out);
    out->update_ms = rd_i64(&r);
    out->start_ms = rd_i64(&r);
    if (out->start_ms < -1)
        rd_fail(&r, "its start is before all time");
    wire_skip_tags(&r, flexible);
    return rd_ok(&r) || err_set(e, ERR_CORRUPT, "state of a transaction: %s", rd_why(&r));
}
