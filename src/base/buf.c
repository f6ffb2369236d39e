#include "base/buf.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <assert.h>
#include <endian.h>
#include <stdarg.h>
#include <stdio.h>

void buf_fini(struct buf *b)
{
    mem_free(b->p);
    *b = (struct buf){.max = b->max};
}

void buf_reset(struct buf *b)
{
    b->n = 0;
    b->_bad = false;
}

const char *buf_z(struct buf *b)
{
    uint8_t *end;
    size_t max = b->max;

    b->max = max + (max < SIZE_MAX); // the NUL is not content
    end = buf_room(b, 1);
    b->max = max;
    if (!end)
        return "";
    *end = 0;
    return (const char *)b->p;
}

uint8_t *buf_room_slowly(struct buf *b, size_t n)
{
    size_t cap;

    if (b->_bad || n > b->max || b->n > b->max - n) {
        b->_bad = true;
        return NULL;
    }
    if (!b->p || b->n + n > b->_cap) { // room for nothing is not NULL either
        cap = b->_cap < 128 ? 128 : 2 * b->_cap;
        cap = cap < b->n + n ? b->n + n : cap;
        b->p = mem_grow(b->p, cap);
        b->_cap = cap;
    }
    return b->p + b->n;
}

void buf_zero(struct buf *b, size_t n)
{
    uint8_t *to = n > 0 ? buf_room(b, n) : NULL;

    if (!to)
        return;
    memset(to, 0, n);
    b->n += n;
}

void buf_fmt(struct buf *b, const char *fmt, ...)
{
    size_t max = b->max;
    va_list ap;
    uint8_t *to;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    assert(n >= 0);
    b->max = max + (max < SIZE_MAX); // for the NUL that vsnprintf writes
    to = buf_room(b, (size_t)n + 1);
    b->max = max;
    if (!to)
        return;
    va_start(ap, fmt);
    (void)vsnprintf((char *)to, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
}

void buf_i16(struct buf *b, int16_t v)
{
    uint16_t be = htobe16((uint16_t)v);

    buf_put(b, &be, sizeof be);
}

void buf_i32(struct buf *b, int32_t v)
{
    uint32_t be = htobe32((uint32_t)v);

    buf_put(b, &be, sizeof be);
}

void buf_i64(struct buf *b, int64_t v)
{
    uint64_t be = htobe64((uint64_t)v);

    buf_put(b, &be, sizeof be);
}

void buf_u32le(struct buf *b, uint32_t v)
{
    uint32_t le = htole32(v);

    buf_put(b, &le, sizeof le);
}

void buf_u64le(struct buf *b, uint64_t v)
{
    uint64_t le = htole64(v);

    buf_put(b, &le, sizeof le);
}

void buf_uvarint_slowly(struct buf *b, uint64_t v)
{
    bool was_bad = b->_bad;
    uint8_t *to = buf_room(b, 10);
    size_t n = 0;

    if (was_bad)
        return;
    if (!to) { // within ten bytes of the limit: ask for exactly what is needed
        uint8_t one[10];

        b->_bad = false;
        for (; v >= 0x80; v >>= 7)
            one[n++] = (uint8_t)(v | 0x80);
        one[n++] = (uint8_t)v;
        buf_put(b, one, n);
        return;
    }
    for (; v >= 0x80; v >>= 7)
        to[n++] = (uint8_t)(v | 0x80);
    to[n++] = (uint8_t)v;
    b->n += n;
}

static uint64_t zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

size_t varint_size(int64_t v)
{
    size_t n = 1;

    for (uint64_t u = zigzag(v); u >= 0x80; u >>= 7)
        n++;
    return n;
}

void buf_set_i32(struct buf *b, size_t at, int32_t v)
{
    uint32_t be = htobe32((uint32_t)v);

    if (b->_bad)
        return;
    assert(at + sizeof be <= b->n);
    memcpy(b->p + at, &be, sizeof be);
}

/* The escape of one ASCII character, or NULL when it stands for itself. */
static const char *json_escape(unsigned char c, char out[8])
{
    static const char *const named[128] = {['"'] = "\\\"", ['\\'] = "\\\\", ['\n'] = "\\n", ['\r'] = "\\r",
                                           ['\t'] = "\\t", ['\b'] = "\\b",  ['\f'] = "\\f"};

    if (named[c])
        return named[c];
    if (c >= 0x20 && c != 0x7f)
        return NULL;
    (void)snprintf(out, 8, "\\u%04x", c);
    return out;
}

void buf_json(struct buf *b, struct str s)
{
    char esc[8];

    buf_u8(b, '"');
    for (size_t i = 0; i < s.n;) {
        unsigned char c = (unsigned char)s.p[i];
        size_t len = utf8_len(s.p + i, s.n - i);
        const char *text = len == 0 ? "\xef\xbf\xbd" : c < 0x80 ? json_escape(c, esc) : NULL;

        if (text)
            buf_put(b, text, strlen(text));
        else
            buf_put(b, s.p + i, len);
        i += len ? len : 1;
    }
    buf_u8(b, '"');
}

void buf_hex(struct buf *b, const void *p, size_t n)
{
    static const char digit[] = "0123456789abcdef";
    const uint8_t *from = p;
    uint8_t *to = buf_room(b, 2 * n);

    if (!to)
        return;
    for (size_t i = 0; i < n; i++) {
        to[2 * i] = (uint8_t)digit[from[i] >> 4];
        to[2 * i + 1] = (uint8_t)digit[from[i] & 15];
    }
    b->n += 2 * n;
}

void buf_base64(struct buf *b, const void *p, size_t n)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *from = p;

    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)from[i] << 16;

        if (i + 1 < n)
            v |= (uint32_t)from[i + 1] << 8;
        if (i + 2 < n)
            v |= from[i + 2];
        buf_u8(b, (uint8_t)digit[v >> 18]);
        buf_u8(b, (uint8_t)digit[v >> 12 & 63]);
        buf_u8(b, i + 1 < n ? (uint8_t)digit[v >> 6 & 63] : '=');
        buf_u8(b, i + 2 < n ? (uint8_t)digit[v & 63] : '=');
    }
}
