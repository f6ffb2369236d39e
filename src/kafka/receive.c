/*
 * Where a long produce request is received: when it has one batch, in memory from which the log can write that (log_buffer_new). For this
 * the request's beginning is read before the rest has come; the request is read anew, and checked, when all of it is there.
 */
#include "base/limits.h"
#include "base/rd.h"
#include "kafka/kafka_int.h"

enum { PRODUCE_KEY = 0, SIZE = 4 };

static void skip_tags(struct rd *r)
{
    for (uint32_t n = rd_uvarint(r); n > 0 && rd_ok(r); n--) {
        rd_uvarint(r);
        rd_skip(r, rd_uvarint(r));
    }
}

/* How many elements or bytes, -1: null. */
static int64_t length(struct rd *r, bool flexible)
{
    return flexible ? (int64_t)rd_uvarint(r) - 1 : rd_i32(r);
}

static struct str text(struct rd *r, bool flexible)
{
    int64_t n = flexible ? length(r, true) : rd_i16(r);

    return n < 0 ? STR_NULL : rd_bytes(r, (size_t)n);
}

/* Of a produce request with one batch, which begins with these bytes and has n: what is coming. False: it is something else. */
static bool read_beginning(struct str begun, size_t n, struct log_coming *c)
{
    struct rd r = rd_str(begun);
    const struct kafka_api *api = kafka_api(PRODUCE_KEY);
    bool flexible, one;
    int16_t key, version;
    int64_t bytes;

    rd_skip(&r, SIZE);
    key = rd_i16(&r);
    version = rd_i16(&r);
    if (!rd_ok(&r) || key != PRODUCE_KEY || version < api->first || version > api->last)
        return false;
    flexible = version >= api->flexible;
    rd_i32(&r); // correlation id
    (void)text(&r, false);
    if (flexible)
        skip_tags(&r);
    (void)text(&r, flexible); // transactional id
    rd_i16(&r);               // acks
    rd_i32(&r);               // timeout
    one = length(&r, flexible) == 1;
    c->topic = text(&r, flexible);
    one = one && length(&r, flexible) == 1;
    c->partition = rd_i32(&r);
    bytes = length(&r, flexible);
    if (!rd_ok(&r) || !one || !c->topic.p || bytes <= 0 || n > SIZE + (size_t)LIMIT_KAFKA_FRAME)
        return false;
    c->n = n;
    c->at = (size_t)(r.at - (const uint8_t *)begun.p);
    c->bytes = (size_t)bytes;
    return true;
}

static void release(void *buffer)
{
    log_buffer_free(buffer);
}

struct conn_memory kafka_receive(const struct kafka *k, struct str begun, size_t n)
{
    struct log_coming c = {0};
    struct log_buffer *b = read_beginning(begun, n, &c) ? log_buffer_new(k->log, &c) : NULL;

    return b ? (struct conn_memory){log_buffer_bytes(b), release, b} : (struct conn_memory){0};
}

struct log_buffer *kafka_received(const struct conn_memory *m)
{
    return m->release == release ? m->arg : NULL;
}
