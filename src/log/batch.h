/*
 * batch: Kafka record batches, version 2.
 *
 * The format of KIP-98 ("Message Format"): a header of 61 bytes, then records, perhaps compressed as a whole. tarn keeps
 * batches as they came; only the base offset and the leader epoch, which the checksum does not cover, are written over.
 *
 *     struct batch_writer w = {0};
 *     batch_begin(&w, LIMIT_BATCH);
 *     batch_add(&w, timestamp_ms, key, value, headers, header_count);
 *     struct str bytes = batch_end(&w);          // borrowed until the next batch_begin or batch_fini
 *
 *     struct batch_reader r;
 *     batch_open(&r, &arena, bytes);             // bytes: one or more whole batches, as log_fetch gives them
 *     while (batch_next(&r, &record)) ...        // records point into the bytes or the arena
 *     if (!batch_ok(&r, e)) ...
 *
 * Compressed records are unpacked into the arena, one batch at a time and at most LIMIT_BATCH bytes each; who reads
 * many batches with one arena resets it between them. None of these is for use by two threads at once.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum { BATCH_HEADER = 61, BATCH_CRC_FROM = 21 }; // its checksum is of what begins there
enum batch_codec { BATCH_NONE, BATCH_GZIP, BATCH_SNAPPY, BATCH_LZ4, BATCH_ZSTD };

/* Bits of struct batch_header's attributes. */
enum {
    BATCH_CODEC = 7,          // enum batch_codec
    BATCH_APPEND_TIME = 8,    // every record has the time max_timestamp_ms
    BATCH_TRANSACTIONAL = 16, //
    BATCH_CONTROL = 32,       // a transaction marker (KIP-98), written by the broker alone
    BATCH_HAS_HORIZON = 64, // base_timestamp_ms is the time after which compaction drops tombstones (KIP-534)
};

struct batch_header {
    int64_t base_offset;
    int32_t length; // bytes after this field; the whole batch is length + 12
    int32_t leader_epoch;
    int8_t magic;
    uint32_t crc;
    int16_t attributes;
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
    const struct record_header *headers;
    int32_t header_count;
    bool control; // a transaction marker, not data
};

/*
 * Reads a header; false when fewer than BATCH_HEADER bytes are there, magic is not 2, length is below a header's, or the base offset is
 * so high that others could not follow. That one has no checksum, and a client may send any.
 */
bool batch_header(struct str bytes, struct batch_header *h);
/* Cuts the first whole batch off `rest`; false when there is none (see batch_header). */
bool batch_cut(struct str *rest, struct str *one, struct batch_header *h);
/*
 * What a broker must check before it keeps bytes from a client: whole batches only, magic 2, sane length and count, a known
 * codec, no control batch, CRC-32C, at most max_bytes each (ERR_LIMIT; the rest is ERR_BAD_INPUT, a wrong checksum
 * ERR_CORRUPT). Does not look inside the records. *records: how many there are over all. No batch at all is fine: 0.
 */
bool batch_check(struct str bytes, size_t max_bytes, int64_t *records, struct err *e) MUST_CHECK;
/* Checksum of one whole batch (see batch_cut). */
bool batch_crc_ok(struct str one);

/* In place, for who keeps batches: a header, and what follows it. The second makes the checksum anew. */
void batch_set_offset(uint8_t *head, int64_t base_offset, int32_t leader_epoch);
void batch_set_append_time(uint8_t *head, struct str records, int64_t time_ms);

struct batch_writer {
    struct buf buf;
    struct buf _packed;
    int64_t base_timestamp_ms, max_timestamp_ms;
    int32_t count;
    /* May be set between batch_begin, which resets them to none, and batch_end. */
    enum batch_codec codec;
    int level;           // of the codec; 0: its default
    int64_t base_offset; // 0: the log sets it
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
    int16_t attributes; // BATCH_TRANSACTIONAL, BATCH_CONTROL; the codec is put in by batch_end
    int64_t horizon_ms; // BATCH_HAS_HORIZON, for compaction; set before the first record; -1: none
    int32_t _last_delta;
};
void batch_begin(struct batch_writer *w, size_t max_bytes); // a zeroed writer, or one used before
void batch_add(struct batch_writer *w, int64_t timestamp_ms, struct str key, struct str value,
               const struct record_header *headers, int32_t header_count);
/* As batch_add, at an offset of one's own choice: greater than the one before (a compacted batch has gaps). */
void batch_add_at(struct batch_writer *w, int32_t offset_delta, const struct record *r);
/* Fills in the header and the checksum. Empty when nothing was added, p NULL when over the limit. */
struct str batch_end(struct batch_writer *w);
void batch_fini(struct batch_writer *w);

/*
 * A transaction marker (KIP-98, "Control Messages"): a control batch of one record, whose key says how the transaction
 * of the batch's producer ended in this partition and whose value has the coordinator's epoch.
 */
struct batch_mark {
    bool commit; // else abort
    int32_t coordinator_epoch;
};
/* The whole batch, borrowed until the next batch_begin or batch_fini. */
struct str batch_mark_write(struct batch_writer *w, int64_t producer_id, int16_t producer_epoch,
                            const struct batch_mark *m, int64_t time_ms);
/* From what follows the header of a control batch; false when it is no marker. */
bool batch_mark_read(struct str records, struct batch_mark *out);

struct batch_reader {
    struct arena *arena;
    struct str rest;     // batches not opened yet
    struct str _records; // of the open one, decompressed
    struct batch_header head;
    int32_t _left;
    int64_t skip_below; // records under this offset are passed over; set it after batch_open
    struct err _err;
};
void batch_open(struct batch_reader *r, struct arena *a, struct str batches);
bool batch_next(struct batch_reader *r, struct record *out); // false at the end or at damage
bool batch_ok(const struct batch_reader *r, struct err *e);  // was it the end?
