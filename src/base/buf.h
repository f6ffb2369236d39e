/*
 * buf: bytes being built.
 *
 * A buf grows as it is written to, up to the limit it was given; past the limit it turns bad, further writes do
 * nothing, and one check at the end tells. All integers are written big-endian unless the name says le: never by
 * copying a struct, so the bytes are the same on every machine.
 *
 *     struct buf b = buf_make(LIMIT_FRAME);
 *     buf_i16(&b, 3);
 *     buf_str(&b, STR("hello"));
 *     if (!buf_ok(&b))
 *         err_set(e, ERR_LIMIT, "answer is over %zu bytes", b.max);
 *     buf_fini(&b);
 *
 * buf_reset() keeps the memory for the next message. The bytes are p[0 .. n).
 */
#pragma once

#include "base/str.h"

struct buf {
    uint8_t *p;
    size_t n;
    size_t max; // most bytes it may hold
    size_t _cap;
    bool _bad;
};

static inline struct buf buf_make(size_t max)
{
    return (struct buf){.max = max};
}

void buf_fini(struct buf *b);
void buf_reset(struct buf *b);
static inline bool buf_ok(const struct buf *b)
{
    return !b->_bad;
}
static inline struct str buf_view(const struct buf *b) // borrows; valid until the next write
{
    return (struct str){b->p ? (const char *)b->p : "", b->n};
}
const char *buf_z(struct buf *b); // as a NUL-terminated string (the NUL is not counted); borrows

/* Behind buf_room(): grows, or turns bad. */
uint8_t *buf_room_slowly(struct buf *b, size_t n);
/* Room for n more bytes at b->p + b->n: write there, then add to b->n yourself. NULL when over the limit. */
static inline uint8_t *buf_room(struct buf *b, size_t n)
{
    if (!b->_bad && b->p && n <= b->_cap - b->n && b->n + n <= b->max)
        return b->p + b->n;
    return buf_room_slowly(b, n);
}
static inline void buf_put(struct buf *b, const void *p, size_t n)
{
    uint8_t *to = n > 0 ? buf_room(b, n) : NULL;

    if (!to)
        return;
    memcpy(to, p, n);
    b->n += n;
}
static inline void buf_str(struct buf *b, struct str s)
{
    buf_put(b, s.p, s.n);
}
void buf_zero(struct buf *b, size_t n); // n zero bytes
void buf_fmt(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static inline void buf_u8(struct buf *b, uint8_t v)
{
    buf_put(b, &v, 1);
}
void buf_i16(struct buf *b, int16_t v);
void buf_i32(struct buf *b, int32_t v);
void buf_i64(struct buf *b, int64_t v);
void buf_u32le(struct buf *b, uint32_t v);
void buf_u64le(struct buf *b, uint64_t v);
void buf_uvarint_slowly(struct buf *b, uint64_t v);
static inline void buf_uvarint(struct buf *b,
                               uint64_t v) // base 128, low groups first (protobuf, Kafka, Avro)
{
    if (v < 0x80)
        buf_u8(b, (uint8_t)v);
    else
        buf_uvarint_slowly(b, v);
}
static inline void buf_varint(struct buf *b, int64_t v) // zig-zag, then uvarint (Kafka, Avro)
{
    buf_uvarint(b, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

/* Patch what was written earlier, when a length is known at last. */
void buf_set_i32(struct buf *b, size_t at, int32_t v);

/* s as a JSON string with its quotes: control characters escaped, bytes that are not UTF-8 replaced by U+FFFD. */
void buf_json(struct buf *b, struct str s);
void buf_hex(struct buf *b, const void *p, size_t n);    // lower case
void buf_base64(struct buf *b, const void *p, size_t n); // RFC 4648, with padding

/* How many bytes buf_varint would write. */
size_t varint_size(int64_t v);
