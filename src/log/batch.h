/*
 * batch: Kafka record batches, version 2.
 *
 * The format of KIP-98 ("Message Format"): a header of 61 bytes, then records, perhaps compressed as a whole. tarn keeps
 * batches as they came; only the base offset and the leader epoch, which the checksum does not cover, are written over.
 *
 *     struct batch_writer w;
 *     batch_begin(&w, LIMIT_BATCH);
 *     batch_add(&w, timestamp_ms, key, value, headers, header_count);
 *     struct str bytes = batch_end(&w);          // borrowed until the next batch_begin or batch_fini
 *
 *     struct batch_reader r;
 *     batch_open(&r, &arena, bytes, e);          // bytes: one or more whole batches, as log_fetch gives them
 *     while (batch_next(&r, &record)) ...        // records point into the bytes or the arena
 *     if (!batch_ok(&r, e)) ...
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum { BATCH_HEADER = 61 };
enum batch_codec { BATCH_NONE, BATCH_GZIP, BATCH_SNAPPY, BATCH_LZ4, BATCH_ZSTD };

struct batch_header {
    int64_t base_offset;
    int32_t length; // bytes after this field; the whole batch is length + 12
    int32_t leader_epoch;
    int8_t magic;
    uint32_t crc;
    int16_t attributes; // codec in bits 0-2, 3: append time, 4: transactional, 5: control
    int32_t last_offset_delta;
    int64_t base_timestamp_ms, max_timestamp_ms;
    int64_t producer_id; // -1: none
    int16_t producer_epoch;
    int32_t base_sequence;
    int32_t count;
};

struct record_header {
    struct str key, value;
};

struct record {
    int64_t offset;
    int64_t timestamp_ms;
    struct str key, value; // p == NULL: null
    struct record_header *headers;
    int32_t header_count;
    bool control; // a transaction marker, not data
};

/* Reads a header; false when fewer than BATCH_HEADER bytes are there or magic is not 2. */
bool batch_header(struct str bytes, struct batch_header *h);
/*
 * What a broker must check before it keeps bytes from a client: whole batches only, magic 2, sane length and count, CRC-32C,
 * at most max_bytes each. Does not look inside compressed records. *records: how many there are over all.
 */
bool batch_check(struct str bytes, size_t max_bytes, int64_t *records, struct err *e) MUST_CHECK;

struct batch_writer {
    struct buf buf;
    int64_t base_timestamp_ms, max_timestamp_ms;
    int32_t count;
};
void batch_begin(struct batch_writer *w, size_t max_bytes); // a zeroed writer, or one used before
void batch_add(struct batch_writer *w, int64_t timestamp_ms, struct str key, struct str value,
               const struct record_header *headers, int32_t header_count);
struct str batch_end(
    struct batch_writer
        *w); // fills in the header and the checksum. Empty when nothing was added, p NULL when over the limit
void batch_fini(struct batch_writer *w);

struct batch_reader {
    struct arena *arena;
    struct str rest;     // batches not opened yet
    struct str _records; // of the open one, decompressed
    struct batch_header head;
    int32_t _left;
    int64_t skip_below; // records under this offset are passed over
    struct err _err;
};
void batch_open(struct batch_reader *r, struct arena *a, struct str batches);
bool batch_next(struct batch_reader *r, struct record *out); // false at the end or at damage
bool batch_ok(const struct batch_reader *r, struct err *e);  // was it the end?
