/*
 * kafka_raw: a produce request as bytes, for clients that measure a broker and must not cost what a client library does.
 * Produce version 7, which every broker since Kafka 2.1 takes.
 */
#pragma once

#include "base/buf.h"
#include "log/batch.h"

#include <string.h>

enum { RAW_ERROR_AT = 4 + 4 + 4 + 2 + 4 + 4 }; // in the answer, size included, without the topic's name

/* acks=all, one topic with one partition, a batch of `count` records of `bytes` each. The caller frees it with buf_fini(). */
static inline struct buf raw_produce(struct str topic, int32_t partition, int count, size_t bytes)
{
    struct buf b = buf_make(2 << 20);
    struct batch_writer w = {0};
    char *value = mem_alloc(bytes);
    struct str batch;

    memset(value, 'x', bytes);
    batch_begin(&w, 1 << 20);
    for (int i = 0; i < count; i++)
        batch_add(&w, 0, STR_NULL, str_from(value, bytes), NULL, 0);
    batch = batch_end(&w);
    buf_i32(&b, (int32_t)(8 + 2 + 2 + 2 + 4 + 4 + 2 + topic.n + 4 + 4 + 4 + batch.n));
    buf_i16(&b, 0); // Produce
    buf_i16(&b, 7);
    buf_i32(&b, 1);
    buf_i16(&b, -1); // no client id
    buf_i16(&b, -1); // no transaction
    buf_i16(&b, -1); // acks: all
    buf_i32(&b, 30000);
    buf_i32(&b, 1);
    buf_i16(&b, (int16_t)topic.n);
    buf_str(&b, topic);
    buf_i32(&b, 1);
    buf_i32(&b, partition);
    buf_i32(&b, (int32_t)batch.n);
    buf_str(&b, batch);
    batch_fini(&w);
    mem_free(value);
    return b;
}
