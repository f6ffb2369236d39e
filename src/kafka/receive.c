/*
 * Where a long produce request is received: when it has one batch, in memory from which the log can write that (log_buffer_new). For this
 * the request's beginning is read before the rest has come; the request is read anew, and checked, when all of it is there.
 */
#include "kafka/kafka_int.h"

enum { PRODUCE_KEY = 0, SIZE = 4 };

/* Of a produce request with one batch, which begins with these bytes and has n: what is coming. False: it is something else. */
static bool read_beginning(struct str begun, size_t n, struct log_coming *c)
{
    struct kafka_req q = {.frame_n = n};
    struct rd r = rd_str(begun);
    struct err ignored;
    int64_t topics, name, partitions, bytes;

    rd_skip(&r, SIZE);
    if (!kafka_req_header(&q, &r, &ignored) || q.api->key != PRODUCE_KEY)
        return false;
    name = wire_length(&r, q.flexible, true); // the transactional id's
    rd_skip(&r, name > 0 ? (size_t)name : 0);
    rd_i16(&r); // acks
    rd_i32(&r); // timeout
    topics = wire_length(&r, q.flexible, false);
    name = wire_length(&r, q.flexible, true);
    c->topic = name < 0 ? STR_NULL : rd_bytes(&r, (size_t)name);
    partitions = wire_length(&r, q.flexible, false);
    c->partition = rd_i32(&r);
    bytes = wire_length(&r, q.flexible, false);
    if (!rd_ok(&r) || topics != 1 || partitions != 1 || !c->topic.p || bytes <= 0)
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
