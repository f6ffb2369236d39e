#include "verify/rowtext.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/utc.h"

#include <assert.h>
#include <math.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- values ---- */

static void put_decimal(struct buf *out, i128 v, unsigned scale)
{
    char digits[48];
    size_t n = sizeof digits;
    bool minus = v < 0;
    unsigned left = scale;

    do { // from the right; one digit stands before the point at least
        int d = (int)(v % 10);

        digits[--n] = (char)('0' + (d < 0 ? -d : d));
        v /= 10;
        if (left > 0 && --left == 0)
            digits[--n] = '.';
    } while (v != 0 || left > 0 || digits[n] == '.');
    if (minus)
        buf_u8(out, '-');
    buf_put(out, digits + n, sizeof digits - n);
}

/* PostgreSQL leaves zeros at the end of a fraction away. */
static void put_time_of_day(struct buf *out, int64_t micros)
{
    int64_t s = micros / UTC_SECOND;
    unsigned fraction = (unsigned)(micros % UTC_SECOND);
    int digits = 6;

    buf_fmt(out, "%02lld:%02lld:%02lld", (long long)(s / 3600), (long long)(s / 60 % 60),
            (long long)(s % 60));
    if (fraction == 0)
        return;
    while (fraction % 10 == 0) {
        fraction /= 10;
        digits--;
    }
    buf_fmt(out, ".%0*u", digits, fraction);
}

static void put_date(struct buf *out, int64_t days, bool *bc)
{
    struct utc t = utc_split(days * UTC_DAY);

    *bc = t.year <= 0;
    buf_fmt(out, "%04lld-%02u-%02u", (long long)(*bc ? 1 - t.year : t.year), t.month, t.day);
}

static void put_timestamp(struct buf *out, int64_t micros, const char *zone)
{
    int64_t days = micros / UTC_DAY - (micros % UTC_DAY < 0);
    bool bc;

    put_date(out, days, &bc);
    buf_u8(out, ' ');
    put_time_of_day(out, micros - days * UTC_DAY);
    buf_fmt(out, "%s%s", zone, bc ? " BC" : "");
}

/* The shortest text that reads back as the same number, as PostgreSQL prints floats since version 12. */
static void put_float(struct buf *out, double v, bool single)
{
    char text[40];

    if (isnan(v) || isinf(v)) {
        buf_str(out, isnan(v) ? STR("NaN") : v < 0 ? STR("-Infinity") : STR("Infinity"));
        return;
    }
    for (int digits = single ? 6 : 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, v);
        if (single ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v)
            break;
    }
    buf_str(out, str_of(text));
}

static void put_uuid(struct buf *out, struct str b)
{
    static const size_t at[] = {0, 4, 6, 8, 10, 16};

    if (b.n != 16) { // a text already
        buf_str(out, b);
        return;
    }
    for (size_t i = 0; i < 5; i++) {
        if (i > 0)
            buf_u8(out, '-');
        buf_hex(out, b.p + at[i], at[i + 1] - at[i]);
    }
}

void rowtext_value(struct buf *out, const struct column *c, size_t row)
{
    bool bc;

    switch (c->type) {
    case COLUMN_BOOL:
        buf_u8(out, c->bools[row] ? 't' : 'f');
        return;
    case COLUMN_I32:
        buf_fmt(out, "%d", c->i32[row]);
        return;
    case COLUMN_I64:
        buf_fmt(out, "%lld", (long long)c->i64[row]);
        return;
    case COLUMN_F32:
        put_float(out, (double)c->f32[row], true);
        return;
    case COLUMN_F64:
        put_float(out, c->f64[row], false);
        return;
    case COLUMN_TEXT:
        buf_str(out, c->strs[row]);
        return;
    case COLUMN_BYTES:
        buf_str(out, STR("\\x"));
        buf_hex(out, c->strs[row].p, c->strs[row].n);
        return;
    case COLUMN_DECIMAL:
        put_decimal(out, c->i128[row], c->scale);
        return;
    case COLUMN_DATE:
        put_date(out, c->i32[row], &bc);
        if (bc)
            buf_str(out, STR(" BC"));
        return;
    case COLUMN_TIME:
        put_time_of_day(out, c->i64[row]);
        return;
    case COLUMN_TIMESTAMP:
        put_timestamp(out, c->i64[row], "");
        return;
    case COLUMN_TIMESTAMPTZ:
        put_timestamp(out, c->i64[row], "+00");
        return;
    case COLUMN_UUID:
        put_uuid(out, c->strs[row]);
        return;
    }
    assert(false && "a column type without a text");
}

/* ---- checksums ---- */

struct rowsum {
    EVP_MD_CTX *ctx;
    EVP_MD *md5;
    struct buf text;
};

struct rowsum *rowsum_new(void)
{
    struct rowsum *s = MEM_NEW(struct rowsum);

    s->ctx = EVP_MD_CTX_new();
    s->md5 = EVP_MD_fetch(NULL, "MD5", NULL);
    s->text = buf_make(LIMIT_BATCH);
    if (!s->ctx || !s->md5)
        abort(); // OpenSSL without MD5 is not one we can run on
    return s;
}

void rowsum_free(struct rowsum *s)
{
    if (!s)
        return;
    buf_fini(&s->text);
    EVP_MD_CTX_free(s->ctx);
    EVP_MD_free(s->md5);
    mem_free(s);
}

void rowsum_begin(struct rowsum *s)
{
    if (EVP_DigestInit_ex2(s->ctx, s->md5, NULL) != 1)
        abort();
}

/* The length in front keeps "ab","c" and "a","bc" apart; null has one that no text has. */
void rowsum_field(struct rowsum *s, struct str text)
{
    uint64_t n = text.p ? text.n : UINT64_MAX;
    uint8_t head[8];

    for (int i = 0; i < 8; i++)
        head[i] = (uint8_t)(n >> (8 * i));
    if (EVP_DigestUpdate(s->ctx, head, sizeof head) != 1 || EVP_DigestUpdate(s->ctx, text.p, text.n) != 1)
        abort();
}

int64_t rowsum_end(struct rowsum *s)
{
    uint8_t md[EVP_MAX_MD_SIZE];
    uint64_t v = 0;

    if (EVP_DigestFinal_ex(s->ctx, md, NULL) != 1)
        abort();
    for (int i = 0; i < 8; i++)
        v = v << 8 | md[i];
    return (int64_t)v;
}

int64_t rowsum_row(struct rowsum *s, const struct columns *c, size_t first, size_t count, size_t row)
{
    rowsum_begin(s);
    for (size_t i = first; i < first + count; i++) {
        const struct column *column = &c->column[i];

        if (column->nulls[row]) {
            rowsum_field(s, STR_NULL);
            continue;
        }
        buf_reset(&s->text);
        rowtext_value(&s->text, column, row);
        rowsum_field(s, buf_view(&s->text));
    }
    return rowsum_end(s);
}
