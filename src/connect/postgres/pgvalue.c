#include "connect/postgres/pgvalue.h"

#include "base/mem.h"
#include "connect/postgres/moment.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum value_kind { VALUE_BOOL, VALUE_INT, VALUE_F32, VALUE_F64, VALUE_TEXT, VALUE_BYTES, VALUE_VAR_DECIMAL };

/* One scalar between its text and its encoding. */
struct value {
    enum value_kind kind;
    bool b;
    int64_t i; // VALUE_VAR_DECIMAL: the scale
    double d;
    struct str s;              // of the text, of `small`, or of `large`
    char small[PGMOMENT_TEXT]; //
    struct buf large;          // what does not fit
};

static bool bad(const char *what, struct str text, struct err *e)
{
    struct str head = str_from(text.p, text.n < 100 ? text.n : 100);

    return err_set(e, ERR_CORRUPT, "'%.*s' is not %s", STR_ARG(head), what);
}

/* ---- numbers ---- */

static bool read_int(struct value *v, struct str text, int64_t min, int64_t max, struct err *e)
{
    v->kind = VALUE_INT;
    return (str_i64(text, &v->i) && v->i >= min && v->i <= max) || bad("an integer of its type", text, e);
}

static bool read_double(struct value *v, struct str text, enum value_kind kind, struct err *e)
{
    char *copy = text.n < sizeof v->small ? v->small : mem_alloc(text.n + 1), *end;
    bool ok;

    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    v->kind = kind;
    v->d = kind == VALUE_F32 ? (double)strtof(copy, &end) : strtod(copy, &end);
    ok = text.n > 0 && *end == '\0';
    if (copy != v->small)
        mem_free(copy);
    return ok || bad("a number", text, e);
}

/* A decimal number taken apart: digits without point and leading zeros. */
struct decimal {
    bool negative;
    struct str whole, fraction;
};

static bool all_digits(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return true;
}

static bool decimal_split(struct str text, struct decimal *d)
{
    ptrdiff_t dot;

    d->negative = text.n > 0 && text.p[0] == '-';
    if (text.n > 0 && (text.p[0] == '-' || text.p[0] == '+'))
        text = str_from(text.p + 1, text.n - 1);
    dot = str_find(text, '.');
    d->whole = dot < 0 ? text : str_from(text.p, (size_t)dot);
    d->fraction = dot < 0 ? STR("") : str_from(text.p + dot + 1, text.n - (size_t)dot - 1);
    return text.n > (dot >= 0) && all_digits(d->whole) && all_digits(d->fraction);
}

/* acc = acc * 10 + digit, big-endian bytes. */
static void times_ten(uint8_t *acc, size_t n, unsigned digit)
{
    unsigned carry = digit;

    for (size_t i = n; i-- > 0;) {
        carry += acc[i] * 10U;
        acc[i] = (uint8_t)carry;
        carry >>= 8;
    }
}

/* Shortest big-endian two's complement (Java's BigInteger.toByteArray) of +-p[0..n), which has room for the sign in p[0]. */
static struct str shortest(uint8_t *p, size_t n, bool negative)
{
    size_t at = 0;

    if (negative) {
        unsigned carry = 1;

        for (size_t i = n; i-- > 0;) {
            carry += (uint8_t)~p[i];
            p[i] = (uint8_t)carry;
            carry >>= 8;
        }
    }
    while (at + 1 < n && ((p[at] == 0x00 && p[at + 1] < 0x80) || (p[at] == 0xff && p[at + 1] >= 0x80)))
        at++;
    return str_from(p + at, n - at);
}

enum { SMALL_DIGITS = 18 };

/* The unscaled bytes of the digits a, then b. */
static void digits_to_bytes(struct value *v, struct str a, struct str b, size_t zeros, bool negative)
{
    size_t digits = a.n + b.n + zeros, n = digits / 2 + 2; // a digit is less than half a byte
    uint8_t *p;

    if (digits <= SMALL_DIGITS) {
        uint64_t u = 0;

        for (size_t i = 0; i < digits; i++)
            u = u * 10 + (uint64_t)(i < a.n ? a.p[i] - '0' : i < a.n + b.n ? b.p[i - a.n] - '0' : 0);
        for (size_t i = 0; i < 8; i++)
            v->small[i] = (char)(u >> (56 - 8 * i));
        v->s = shortest((uint8_t *)v->small, 8, negative);
        return;
    }
    v->large.max = SIZE_MAX;
    buf_reset(&v->large);
    buf_zero(&v->large, n);
    p = v->large.p;
    for (size_t i = 0; i < digits; i++)
        times_ten(p, n, (unsigned)(i < a.n ? a.p[i] - '0' : i < a.n + b.n ? b.p[i - a.n] - '0' : 0));
    v->s = shortest(p, n, negative);
}

static bool zeros_only(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != '0')
            return false;
    return true;
}

/* Rescaled without rounding; PostgreSQL's own text of such a column always fits. */
static bool read_decimal(struct value *v, int scale, struct str text, struct err *e)
{
    struct decimal d;
    size_t zeros = 0;

    v->kind = VALUE_BYTES;
    if (!decimal_split(text, &d))
        return str_is(text, "NaN") || str_ends(text, STR("Infinity"))
                   ? err_set(e, ERR_UNSUPPORTED,
                             "%.*s has no place in a decimal: set decimal.handling.mode to string or double",
                             STR_ARG(text))
                   : bad("a decimal number", text, e);
    if (scale < 0) {
        size_t drop = (size_t)-scale < d.whole.n ? (size_t)-scale : d.whole.n;

        if (!zeros_only(d.fraction) || !zeros_only(str_from(d.whole.p + d.whole.n - drop, drop)))
            return bad("a number of its scale", text, e);
        d.whole.n -= drop;
        d.fraction.n = 0;
    } else if (d.fraction.n > (size_t)scale) {
        if (!zeros_only(str_from(d.fraction.p + scale, d.fraction.n - (size_t)scale)))
            return bad("a number of its scale", text, e);
        d.fraction.n = (size_t)scale;
    } else {
        zeros = (size_t)scale - d.fraction.n;
    }
    digits_to_bytes(v, d.whole, d.fraction, zeros, d.negative);
    return true;
}

static bool read_var_decimal(struct value *v, struct str text, struct err *e)
{
    struct decimal d;

    if (!decimal_split(text, &d))
        return read_decimal(v, 0, text, e); // for its message
    while (d.fraction.n > 0 && d.fraction.p[d.fraction.n - 1] == '0')
        d.fraction.n--;
    digits_to_bytes(v, d.whole, d.fraction, 0, d.negative);
    v->kind = VALUE_VAR_DECIMAL;
    v->i = (int64_t)d.fraction.n;
    return true;
}

static void read_numeric_text(struct value *v, struct str text)
{
    v->kind = VALUE_TEXT;
    v->s = str_is(text, "NaN")         ? STR("NAN")
           : str_is(text, "Infinity")  ? STR("POSITIVE_INFINITY")
           : str_is(text, "-Infinity") ? STR("NEGATIVE_INFINITY")
                                       : text;
}

/* "$1,234.11" or "-$0.50" (lc_monetary C): digits, sign and point. */
static bool read_money(struct value *v, int scale, struct str text, struct err *e)
{
    char plain[64];
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (c == '$' || c == ',')
            continue;
        if (n + 1 == sizeof plain)
            return bad("an amount of money", text, e);
        plain[n++] = c;
    }
    return read_decimal(v, scale, str_from(plain, n), e);
}

/* ---- bytes ---- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_bytes(struct value *v, struct str text, struct err *e)
{
    uint8_t *to;

    v->kind = VALUE_BYTES;
    if (text.n < 2 || text.n % 2 != 0 || text.p[0] != '\\' || text.p[1] != 'x')
        return bad("bytes in hex", text, e);
    v->large.max = SIZE_MAX;
    buf_reset(&v->large);
    to = buf_room(&v->large, text.n / 2);
    for (size_t i = 2; i < text.n; i += 2) {
        int high = hex_digit(text.p[i]), low = hex_digit(text.p[i + 1]);

        if (high < 0 || low < 0)
            return bad("bytes in hex", text, e);
        to[i / 2 - 1] = (uint8_t)(high << 4 | low);
    }
    v->large.n = text.n / 2 - 1;
    v->s = buf_view(&v->large);
    return true;
}

static bool read_encoded_bytes(struct value *v, enum conv conv, struct str text, struct err *e)
{
    struct buf b = buf_make(SIZE_MAX);

    if (!read_bytes(v, text, e))
        return false;
    if (conv == CONV_HEX)
        buf_hex(&b, v->s.p, v->s.n);
    else
        buf_base64(&b, v->s.p, v->s.n);
    for (size_t i = 0; conv == CONV_BASE64_URL && i < b.n; i++)
        b.p[i] = b.p[i] == '+' ? '-' : b.p[i] == '/' ? '_' : b.p[i];
    buf_fini(&v->large);
    v->large = b;
    v->kind = VALUE_TEXT;
    v->s = buf_view(&v->large);
    return true;
}

/* Bits count from the right; only bytes up to the highest bit that is set are kept. */
static bool read_bits(struct value *v, struct str text, struct err *e)
{
    size_t used = 0;

    v->kind = VALUE_BYTES;
    v->large.max = SIZE_MAX;
    buf_reset(&v->large);
    buf_zero(&v->large, text.n / 8 + 1);
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[text.n - 1 - i];

        if (c != '0' && c != '1')
            return bad("a bit string", text, e);
        if (c == '0')
            continue;
        v->large.p[i / 8] = (uint8_t)(v->large.p[i / 8] | 1U << (i % 8));
        used = i / 8 + 1;
    }
    v->s = str_from(v->large.p, used);
    return true;
}

/* ---- one scalar ---- */

static bool read_bool(struct value *v, struct str text, char yes, char no, struct err *e)
{
    v->kind = VALUE_BOOL;
    v->b = text.n > 0 && text.p[0] == yes;
    return v->b || (text.n > 0 && text.p[0] == no) || bad("a boolean", text, e);
}

static bool read_moment(struct value *v, const struct type *t, struct str text, struct err *e)
{
    bool ok;

    v->kind = VALUE_INT;
    switch (t->conv) {
    case CONV_DATE:
        ok = pgmoment_date(text, &v->i);
        break;
    case CONV_TIME_US:
    case CONV_TIME_MS:
        ok = pgmoment_time(text, &v->i);
        break;
    case CONV_TIMESTAMP_US:
    case CONV_TIMESTAMP_MS:
        ok = pgmoment_timestamp(text, &v->i);
        break;
    case CONV_INTERVAL_US:
        ok = pgmoment_interval(text, &v->i);
        break;
    default:
        v->kind = VALUE_TEXT;
        ok = t->conv == CONV_TIMETZ ? pgmoment_timetz(text, v->small)
                                    : pgmoment_timestamptz(text, t->digits, v->small);
        v->s = str_of(v->small);
        break;
    }
    if (t->conv == CONV_TIME_MS || t->conv == CONV_TIMESTAMP_MS)
        v->i = v->i / 1000 - (v->i % 1000 < 0);
    return ok || bad("a date or time", text, e);
}

static bool read_value(struct value *v, const struct type *t, struct str text, struct err *e)
{
    switch (t->conv) {
    case CONV_BOOL:
        return read_bool(v, text, 't', 'f', e);
    case CONV_BIT:
        return read_bool(v, text, '1', '0', e);
    case CONV_INT16:
        return read_int(v, text, INT16_MIN, INT16_MAX, e);
    case CONV_INT32:
        return read_int(v, text, INT32_MIN, INT32_MAX, e);
    case CONV_INT64:
        return read_int(v, text, INT64_MIN, INT64_MAX, e);
    case CONV_FLOAT32:
        return read_double(v, text, VALUE_F32, e);
    case CONV_FLOAT64:
        return read_double(v, text, VALUE_F64, e);
    case CONV_NUMERIC_F64:
        return read_double(v, text, VALUE_F64, e);
    case CONV_DECIMAL:
        return read_decimal(v, t->scale, text, e);
    case CONV_VAR_DECIMAL:
        return read_var_decimal(v, text, e);
    case CONV_NUMERIC_TEXT:
        read_numeric_text(v, text);
        return true;
    case CONV_MONEY:
        return read_money(v, t->scale, text, e);
    case CONV_BYTES:
        return read_bytes(v, text, e);
    case CONV_BASE64:
    case CONV_BASE64_URL:
    case CONV_HEX:
        return read_encoded_bytes(v, t->conv, text, e);
    case CONV_BITS:
        return read_bits(v, text, e);
    case CONV_TEXT:
        v->kind = VALUE_TEXT;
        v->s = text;
        return true;
    default:
        return read_moment(v, t, text, e);
    }
}

/* ---- encodings ---- */

static void put_text(struct buf *out, struct str s)
{
    buf_varint(out, (int64_t)s.n);
    buf_str(out, s);
}

static void put_avro(struct buf *out, const struct value *v)
{
    uint64_t bits;
    uint32_t half;
    float f;

    switch (v->kind) {
    case VALUE_BOOL:
        buf_u8(out, v->b);
        break;
    case VALUE_INT:
        buf_varint(out, v->i);
        break;
    case VALUE_F32:
        f = (float)v->d;
        memcpy(&half, &f, sizeof half);
        buf_u32le(out, half);
        break;
    case VALUE_F64:
        memcpy(&bits, &v->d, sizeof bits);
        buf_u64le(out, bits);
        break;
    case VALUE_VAR_DECIMAL:
        buf_varint(out, v->i);
        put_text(out, v->s);
        break;
    case VALUE_TEXT:
    case VALUE_BYTES:
        put_text(out, v->s);
        break;
    }
}

/* The shortest text that reads back the same, with a point or an exponent: Java's own is the same but for its exponents. */
static void put_number(struct buf *out, double d, bool is_float)
{
    char text[40];

    if (isnan(d) || isinf(d)) {
        buf_str(out, isnan(d) ? STR("\"NaN\"") : d > 0 ? STR("\"Infinity\"") : STR("\"-Infinity\""));
        return;
    }
    for (int digits = is_float ? 6 : 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, d);
        if (is_float ? strtof(text, NULL) == (float)d : strtod(text, NULL) == d)
            break;
    }
    buf_str(out, str_of(text));
    if (!strpbrk(text, ".e"))
        buf_str(out, STR(".0"));
}

static void put_json(struct buf *out, const struct value *v)
{
    switch (v->kind) {
    case VALUE_BOOL:
        buf_str(out, v->b ? STR("true") : STR("false"));
        break;
    case VALUE_INT:
        buf_fmt(out, "%lld", (long long)v->i);
        break;
    case VALUE_F32:
    case VALUE_F64:
        put_number(out, v->d, v->kind == VALUE_F32);
        break;
    case VALUE_TEXT:
        buf_json(out, v->s);
        break;
    case VALUE_VAR_DECIMAL:
        buf_fmt(out, "{\"scale\":%lld,\"value\":\"", (long long)v->i);
        buf_base64(out, v->s.p, v->s.n);
        buf_str(out, STR("\"}"));
        break;
    case VALUE_BYTES:
        buf_u8(out, '"');
        buf_base64(out, v->s.p, v->s.n);
        buf_u8(out, '"');
        break;
    }
}

/* Each byte as the character of that code point, as Jackson writes a string of them. */
static void put_latin1(struct buf *out, struct str s)
{
    struct buf utf8 = buf_make(SIZE_MAX);

    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = (uint8_t)s.p[i];

        if (c >= 0x80) {
            buf_u8(&utf8, (uint8_t)(0xc0 | c >> 6));
            c = (uint8_t)(0x80 | (c & 0x3f));
        }
        buf_u8(&utf8, c);
    }
    buf_json(out, buf_view(&utf8));
    buf_fini(&utf8);
}

/* ---- arrays ---- */

/*
 * The next element of PostgreSQL's text of an array ("{1,NULL,\"a b\"}"), unescaped in `text`. 1: there is one, 0: the end,
 * -1: not such a text (or an array of arrays, which Debezium does not take either).
 */
static int next_element(struct str *rest, struct buf *text, bool *is_null)
{
    bool quoted = false;
    size_t i = 0;

    if (rest->n > 0 && rest->p[0] == '}')
        return rest->n == 1 ? 0 : -1;
    if (rest->n == 0 || rest->p[0] == '{')
        return -1;
    buf_reset(text);
    if (rest->p[0] == '"') {
        quoted = true;
        for (i = 1; i < rest->n && rest->p[i] != '"'; i++) {
            if (rest->p[i] == '\\' && i + 1 < rest->n)
                i++;
            buf_u8(text, (uint8_t)rest->p[i]);
        }
        i++;
    } else {
        for (; i < rest->n && rest->p[i] != ',' && rest->p[i] != '}'; i++)
            buf_u8(text, (uint8_t)rest->p[i]);
    }
    if (i >= rest->n || (rest->p[i] != ',' && rest->p[i] != '}'))
        return -1;
    i += rest->p[i] == ',';
    *rest = str_from(rest->p + i, rest->n - i);
    *is_null = !quoted && str_is(buf_view(text), "NULL");
    return 1;
}

static bool open_array(struct str text, struct str *rest)
{
    ptrdiff_t equals = text.n > 0 && text.p[0] == '[' ? str_find(text, '=') : -1; // "[0:1]={...}": bounds

    if (equals >= 0)
        text = str_from(text.p + equals + 1, text.n - (size_t)equals - 1);
    if (text.n < 2 || text.p[0] != '{')
        return false;
    *rest = str_from(text.p + 1, text.n - 1);
    return true;
}

static bool array_elements(struct str text, int64_t *count, struct err *e)
{
    struct buf b = buf_make(SIZE_MAX);
    struct str rest;
    bool is_null;
    int more = -1;

    *count = 0;
    if (open_array(text, &rest))
        while ((more = next_element(&rest, &b, &is_null)) > 0)
            (*count)++;
    buf_fini(&b);
    return more == 0 || bad("an array of one dimension", text, e);
}

static bool put_array(struct buf *out, const struct type *t, struct str text, bool json, struct err *e)
{
    struct buf b = buf_make(SIZE_MAX);
    struct str rest;
    int64_t count;
    bool ok = array_elements(text, &count, e) && open_array(text, &rest), is_null = false;

    if (ok && json)
        buf_u8(out, '[');
    else if (ok && count > 0)
        buf_varint(out, count);
    for (int64_t i = 0; ok && i < count; i++) {
        (void)next_element(&rest, &b, &is_null);
        if (json && i > 0)
            buf_u8(out, ',');
        if (!json)
            buf_varint(out, is_null ? 0 : 1); // the branch of ["null", T]
        if (is_null && json)
            buf_str(out, STR("null"));
        else if (!is_null)
            ok = json ? pgvalue_json(out, t->element, buf_view(&b), e)
                      : pgvalue_avro(out, t->element, buf_view(&b), e);
    }
    if (json)
        buf_u8(out, ']');
    else
        buf_varint(out, 0);
    buf_fini(&b);
    return ok;
}

bool pgvalue_avro(struct buf *out, const struct type *t, struct str text, struct err *e)
{
    struct value v;
    bool ok;

    if (t->conv == CONV_TEXT) { // the usual case, without a detour
        put_text(out, text);
        return true;
    }
    if (t->conv == CONV_ARRAY)
        return put_array(out, t, text, false, e);
    v.large = (struct buf){0};
    ok = read_value(&v, t, text, e);
    if (ok)
        put_avro(out, &v);
    buf_fini(&v.large);
    return ok;
}

bool pgvalue_json(struct buf *out, const struct type *t, struct str text, struct err *e)
{
    struct value v;
    bool ok;

    if (t->conv == CONV_ARRAY)
        return put_array(out, t, text, true, e);
    v.large = (struct buf){0};
    ok = read_value(&v, t, text, e);
    if (ok)
        put_json(out, &v);
    buf_fini(&v.large);
    return ok;
}

bool pgvalue_avro_default(struct buf *out, const struct type *t, struct str text, struct err *e)
{
    struct value v;
    bool ok;

    v.large = (struct buf){0};
    ok = read_value(&v, t, text, e);
    if (ok && v.kind == VALUE_BYTES)
        put_latin1(out, v.s);
    else if (ok)
        put_json(out, &v);
    buf_fini(&v.large);
    return ok;
}
