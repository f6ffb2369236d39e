/* Bounds of columns: from DuckDB's text to Iceberg's bytes. A bound that is not sure to be right is left out. */
#include "base/mem.h"
#include "base/utc.h"
#include "base/utf8.h"
#include "lake/iceberg.h"

#include <math.h>
#include <stdlib.h>

static struct str le_bytes(struct arena *a, uint64_t v, size_t n)
{
    char *p = arena_alloc(a, n);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)(v >> (8 * i));
    return str_from(p, n);
}

static struct str float_bytes(struct str text, bool is_float, struct arena *a)
{
    char z[64], *end;
    if (text.n == 0 || text.n >= sizeof(z))
        return STR_NULL;
    memcpy(z, text.p, text.n);
    z[text.n] = 0;
    double d = strtod(z, &end);
    if (*end || isnan(d))
        return STR_NULL;
    uint64_t bits;
    uint32_t half;
    float f = strtof(z, NULL);
    memcpy(&bits, &d, sizeof(bits));
    memcpy(&half, &f, sizeof(half));
    return is_float ? le_bytes(a, half, 4) : le_bytes(a, bits, 8);
}

/* Unscaled number, big-endian two's complement in as few bytes as it needs. */
static struct str decimal_bytes(struct str text, const struct column *c, struct arena *a)
{
    i128 v = 0;
    bool negative = text.n > 0 && text.p[0] == '-';
    int behind = -1;
    for (size_t i = negative; i < text.n; i++) {
        if (text.p[i] == '.' && behind < 0) {
            behind = 0;
            continue;
        }
        if (text.p[i] < '0' || text.p[i] > '9' || i > 45)
            return STR_NULL;
        v = v * 10 + (text.p[i] - '0');
        behind += behind >= 0;
    }
    if ((behind < 0 ? 0 : behind) != c->scale || text.n == (size_t)negative)
        return STR_NULL;
    v = negative ? -v : v;
    size_t n = 16;
    while (n > 1 && (int64_t)(v >> (8 * (n - 1))) == (((int64_t)(v >> (8 * (n - 2))) & 0x80) ? -1 : 0))
        n--;
    char *p = arena_alloc(a, n);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)(v >> (8 * (n - 1 - i)));
    return str_from(p, n);
}

/* ---- dates and times ---- */

/* Digits from the front of *s; false when there are none or more than nine. */
static bool digits(struct str *s, int64_t *out)
{
    size_t n = 0;
    *out = 0;
    while (n < s->n && n < 10 && s->p[n] >= '0' && s->p[n] <= '9')
        *out = *out * 10 + (s->p[n++] - '0');
    s->p += n;
    s->n -= n;
    return n > 0 && n < 10;
}

static bool mark(struct str *s, char c)
{
    if (s->n == 0 || s->p[0] != c)
        return false;
    s->p++;
    s->n--;
    return true;
}

static bool date_of(struct str *s, int64_t *days)
{
    int64_t y, m, d;
    if (!digits(s, &y) || !mark(s, '-') || !digits(s, &m) || !mark(s, '-') || !digits(s, &d))
        return false;
    if (y < 1 || y > 290000 || m < 1 || m > 12 || d < 1 || d > 31)
        return false;
    *days = utc_days(y, (unsigned)m, (unsigned)d);
    return true;
}

static bool clock_of(struct str *s, int64_t *micros)
{
    int64_t h, m, sec, part = 0, scale = UTC_SECOND;
    if (!digits(s, &h) || !mark(s, ':') || !digits(s, &m) || !mark(s, ':') || !digits(s, &sec))
        return false;
    if (mark(s, '.'))
        while (s->n > 0 && s->p[0] >= '0' && s->p[0] <= '9' && scale > 1) {
            scale /= 10;
            part += (s->p[0] - '0') * scale;
            s->p++;
            s->n--;
        }
    *micros = ((h * 60 + m) * 60 + sec) * UTC_SECOND + part;
    return h <= 24 && m < 60 && sec < 61;
}

static struct str time_bytes(struct str s, enum column_type type, struct arena *a)
{
    int64_t days = 0, micros = 0;
    if (type != COLUMN_TIME && !date_of(&s, &days))
        return STR_NULL;
    if (type == COLUMN_DATE)
        return s.n == 0 ? le_bytes(a, (uint64_t)days, 4) : STR_NULL;
    if (type != COLUMN_TIME && !mark(&s, ' '))
        return STR_NULL;
    if (!clock_of(&s, &micros))
        return STR_NULL;
    if (type == COLUMN_TIMESTAMPTZ && !(mark(&s, '+') && mark(&s, '0') && mark(&s, '0')))
        return STR_NULL;
    return s.n == 0 ? le_bytes(a, (uint64_t)(days * UTC_DAY + micros), 8) : STR_NULL;
}

static struct str uuid_bytes(struct str s, struct arena *a)
{
    char *p = arena_alloc(a, 16);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        int c = (unsigned char)s.p[i], v = c >= '0' && c <= '9'   ? c - '0'
                                           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                                                  : -1;
        if (c == '-')
            continue;
        if (v < 0 || n == 32)
            return STR_NULL;
        p[n / 2] = (char)(p[n / 2] << 4 | v);
        n++;
    }
    return n == 32 ? str_from(p, 16) : STR_NULL;
}

/* ---- strings ---- */

static size_t utf8_put(uint32_t c, char *p)
{
    if (c < 0x80) {
        p[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        p[i] = (char)(0x80 | (c & 0x3f));
    p[0] = (char)(lead[n] | c);
    return n;
}

static uint32_t utf8_get(const char *p, size_t n)
{
    static const unsigned char mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = (unsigned char)p[0] & mask[n];
    for (size_t i = 1; i < n; i++)
        c = c << 6 | ((unsigned char)p[i] & 0x3f);
    return c;
}

/* The smallest string that is above all that begin with the first `n` bytes of s: its last character one higher, if it has a next. */
static struct str rounded_up(struct str s, size_t n, struct arena *a)
{
    char *p = arena_alloc(a, n + 4);
    memcpy(p, s.p, n);
    while (n > 0) {
        size_t at = n - 1;
        while (at > 0 && ((unsigned char)p[at] & 0xc0) == 0x80)
            at--;
        uint32_t c = utf8_get(p + at, n - at) + 1;
        c = c == 0xd800 ? 0xe000 : c; // no character there: surrogates
        if (c <= 0x10ffff)
            return str_from(p, at + utf8_put(c, p + at));
        n = at;
    }
    return STR_NULL;
}

static struct str string_bytes(struct str s, bool upper, struct arena *a)
{
    size_t n = 0;
    if (!utf8_ok(s))
        return STR_NULL;
    for (size_t chars = 0; chars < ICE_TRUNCATE && n < s.n; chars++)
        n += utf8_len(s.p + n, s.n - n);
    if (n == s.n || !upper)
        return arena_str(a, str_from(s.p, n));
    return rounded_up(s, n, a);
}

struct str ice_bound(const struct column *c, struct str text, bool upper, struct arena *a)
{
    int64_t v;
    if (!text.p)
        return STR_NULL;
    switch (c->type) {
    case COLUMN_BOOL:
        return le_bytes(a, str_is(text, "true"), 1);
    case COLUMN_I32:
    case COLUMN_I64:
        return str_i64(text, &v) ? le_bytes(a, (uint64_t)v, c->type == COLUMN_I32 ? 4 : 8) : STR_NULL;
    case COLUMN_F32:
    case COLUMN_F64:
        return float_bytes(text, c->type == COLUMN_F32, a);
    case COLUMN_DECIMAL:
        return decimal_bytes(text, c, a);
    case COLUMN_TEXT:
        return string_bytes(text, upper, a);
    case COLUMN_UUID:
        return uuid_bytes(text, a);
    case COLUMN_BYTES:
        return STR_NULL; // DuckDB cuts it in a text form of its own
    default:
        return time_bytes(text, c->type, a);
    }
}
