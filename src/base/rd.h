/*
 * rd: read a message that a stranger sent.
 *
 * A reader is a window on bytes plus one sticky flag. Every rd_ call on a reader that already failed does nothing and
 * returns zero, so a decoder is a straight line with one check at its end:
 *
 *     struct rd r = rd_from(frame, len);
 *     req->api_key = rd_i16(&r);
 *     req->version = rd_i16(&r);
 *     req->client = rd_bytes(&r, 12);
 *     if (!rd_ok(&r))
 *         return err_set(e, ERR_BAD_INPUT, "request header: %s", rd_why(&r));
 *
 * Nothing is copied: strings point into the frame and live as long as it does. Integers are big-endian unless the
 * name says le. A count read from a stranger must pass rd_count() before memory is taken for it.
 */
#pragma once

#include "base/str.h"

struct rd {
    const uint8_t *at;  // next byte
    const uint8_t *end; // one past the last
    const char *why;    // first failure, or NULL
};

struct rd rd_from(const void *p, size_t n);
struct rd rd_str(struct str s);
bool rd_ok(const struct rd *r);
const char *rd_why(const struct rd *r); // "" while ok
size_t rd_left(const struct rd *r);
void rd_fail(struct rd *r, const char *why); // `why` must live as long as the reader: a literal

uint8_t rd_u8(struct rd *r);
int8_t rd_i8(struct rd *r);
int16_t rd_i16(struct rd *r);
int32_t rd_i32(struct rd *r);
int64_t rd_i64(struct rd *r);
uint32_t rd_u32le(struct rd *r);
uint64_t rd_u64le(struct rd *r);
uint32_t rd_uvarint(struct rd *r);   // at most five bytes
uint64_t rd_uvarint64(struct rd *r); // at most ten bytes
int64_t rd_varint(struct rd *r);     // zig-zag, up to 64 bits (Kafka records, Avro long)
struct str rd_bytes(struct rd *r, size_t n);
void rd_skip(struct rd *r, size_t n);

/* A count of elements of at least `each` bytes: fails when that many cannot be in what is left. */
size_t rd_count(struct rd *r, int64_t n, size_t each);
