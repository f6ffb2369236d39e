#include "base/rd.h"

#include <endian.h>

struct rd rd_from(const void *p, size_t n)
{
    const uint8_t *b = p;

    return (struct rd){.at = b, .end = n ? b + n : b};
}

struct rd rd_str(struct str s)
{
    return rd_from(s.p, s.n);
}

bool rd_ok(const struct rd *r)
{
    return r->why == NULL;
}

const char *rd_why(const struct rd *r)
{
    return r->why ? r->why : "";
}

size_t rd_left(const struct rd *r)
{
    return (size_t)(r->end - r->at);
}

void rd_fail(struct rd *r, const char *why)
{
    if (r->why == NULL)
        r->why = why;
}

/* The only function that moves the window; every other one goes through it. NULL when the bytes are not there. */
static const uint8_t *take(struct rd *r, size_t n)
{
    const uint8_t *p = r->at;

    if (r->why == NULL && rd_left(r) < n)
        r->why = "message ends early";
    if (r->why != NULL)
        return NULL;
    if (n > 0)
        r->at += n;
    return p;
}

uint8_t rd_u8(struct rd *r)
{
    const uint8_t *p = take(r, 1);

    return p ? *p : 0;
}

int8_t rd_i8(struct rd *r)
{
    return (int8_t)rd_u8(r);
}

int16_t rd_i16(struct rd *r)
{
    const uint8_t *p = take(r, 2);
    uint16_t v = 0;

    if (p)
        memcpy(&v, p, sizeof v);
    return (int16_t)be16toh(v);
}

int32_t rd_i32(struct rd *r)
{
    const uint8_t *p = take(r, 4);
    uint32_t v = 0;

    if (p)
        memcpy(&v, p, sizeof v);
    return (int32_t)be32toh(v);
}

int64_t rd_i64(struct rd *r)
{
    const uint8_t *p = take(r, 8);
    uint64_t v = 0;

    if (p)
        memcpy(&v, p, sizeof v);
    return (int64_t)be64toh(v);
}

uint32_t rd_u32le(struct rd *r)
{
    const uint8_t *p = take(r, 4);
    uint32_t v = 0;

    if (p)
        memcpy(&v, p, sizeof v);
    return le32toh(v);
}

uint64_t rd_u64le(struct rd *r)
{
    const uint8_t *p = take(r, 8);
    uint64_t v = 0;

    if (p)
        memcpy(&v, p, sizeof v);
    return le64toh(v);
}

uint64_t rd_uvarint64(struct rd *r)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t b = rd_u8(r);

        if (r->why)
            return 0;
        if (shift == 63 && b > 1)
            break;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return v;
    }
    rd_fail(r, "varint does not fit 64 bits");
    return 0;
}

uint32_t rd_uvarint(struct rd *r)
{
    uint64_t v = rd_uvarint64(r);

    if (v <= UINT32_MAX)
        return (uint32_t)v;
    rd_fail(r, "varint does not fit 32 bits");
    return 0;
}

int64_t rd_varint(struct rd *r)
{
    uint64_t v = rd_uvarint64(r);

    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

struct str rd_bytes(struct rd *r, size_t n)
{
    const uint8_t *p = take(r, n);

    return p ? (struct str){(const char *)p, n} : STR_NULL;
}

void rd_skip(struct rd *r, size_t n)
{
    (void)take(r, n);
}

size_t rd_count(struct rd *r, int64_t n, size_t each)
{
    if (r->why == NULL && (n < 0 || (uint64_t)n > rd_left(r) / (each ? each : 1)))
        r->why = "count is larger than the message";
    return r->why ? 0 : (size_t)n;
}
