#include "base/mem.h"
#include "base/utc.h"
#include "schema/avro_int.h"

/*
 * What a type means as a column. A Connect name (Debezium's and Kafka Connect's logical types) says more than Avro's own
 * logicalType and wins; a name we do not know is passed over. docs/types.md is this table for people.
 */
struct meaning {
    const char *name;
    enum avro_kind kind;
    enum column_type column;
    enum avro_conv conv;
};

static const struct meaning connect_names[] = {
    {"io.debezium.time.Date", AVRO_INT, COLUMN_DATE, CONV_I32},
    {"io.debezium.time.Time", AVRO_INT, COLUMN_TIME, CONV_MILLIS},
    {"io.debezium.time.MicroTime", AVRO_LONG, COLUMN_TIME, CONV_I64},
    {"io.debezium.time.NanoTime", AVRO_LONG, COLUMN_TIME, CONV_NANOS},
    {"io.debezium.time.Timestamp", AVRO_LONG, COLUMN_TIMESTAMP, CONV_INSTANT_MILLIS},
    {"io.debezium.time.MicroTimestamp", AVRO_LONG, COLUMN_TIMESTAMP, CONV_INSTANT},
    {"io.debezium.time.NanoTimestamp", AVRO_LONG, COLUMN_TIMESTAMP, CONV_INSTANT_NANOS},
    {"io.debezium.time.ZonedTimestamp", AVRO_STRING, COLUMN_TIMESTAMPTZ, CONV_ZONED},
    {"io.debezium.data.VariableScaleDecimal", AVRO_RECORD, COLUMN_TEXT, CONV_VARIABLE},
    {"org.apache.kafka.connect.data.Date", AVRO_INT, COLUMN_DATE, CONV_I32},
    {"org.apache.kafka.connect.data.Time", AVRO_INT, COLUMN_TIME, CONV_MILLIS},
    {"org.apache.kafka.connect.data.Timestamp", AVRO_LONG, COLUMN_TIMESTAMP, CONV_INSTANT_MILLIS},
};
static const struct meaning logical_types[] = {
    {"date", AVRO_INT, COLUMN_DATE, CONV_I32},
    {"time-millis", AVRO_INT, COLUMN_TIME, CONV_MILLIS},
    {"time-micros", AVRO_LONG, COLUMN_TIME, CONV_I64},
    {"timestamp-millis", AVRO_LONG, COLUMN_TIMESTAMPTZ, CONV_INSTANT_MILLIS},
    {"timestamp-micros", AVRO_LONG, COLUMN_TIMESTAMPTZ, CONV_INSTANT},
    {"timestamp-nanos", AVRO_LONG, COLUMN_TIMESTAMPTZ, CONV_INSTANT_NANOS},
    {"local-timestamp-millis", AVRO_LONG, COLUMN_TIMESTAMP, CONV_INSTANT_MILLIS},
    {"local-timestamp-micros", AVRO_LONG, COLUMN_TIMESTAMP, CONV_INSTANT},
    {"local-timestamp-nanos", AVRO_LONG, COLUMN_TIMESTAMP, CONV_INSTANT_NANOS},
};
static const struct meaning plain[] = {
    [AVRO_NULL] = {"", AVRO_NULL, COLUMN_TEXT, CONV_JSON},
    [AVRO_BOOLEAN] = {"", AVRO_BOOLEAN, COLUMN_BOOL, CONV_BOOL},
    [AVRO_INT] = {"", AVRO_INT, COLUMN_I32, CONV_I32},
    [AVRO_LONG] = {"", AVRO_LONG, COLUMN_I64, CONV_I64},
    [AVRO_FLOAT] = {"", AVRO_FLOAT, COLUMN_F32, CONV_F32},
    [AVRO_DOUBLE] = {"", AVRO_DOUBLE, COLUMN_F64, CONV_F64},
    [AVRO_BYTES] = {"", AVRO_BYTES, COLUMN_BYTES, CONV_BYTES},
    [AVRO_STRING] = {"", AVRO_STRING, COLUMN_TEXT, CONV_TEXT},
    [AVRO_RECORD] = {"", AVRO_RECORD, COLUMN_TEXT, CONV_JSON},
    [AVRO_ENUM] = {"", AVRO_ENUM, COLUMN_TEXT, CONV_ENUM},
    [AVRO_ARRAY] = {"", AVRO_ARRAY, COLUMN_TEXT, CONV_JSON},
    [AVRO_MAP] = {"", AVRO_MAP, COLUMN_TEXT, CONV_JSON},
    [AVRO_UNION] = {"", AVRO_UNION, COLUMN_TEXT, CONV_JSON},
    [AVRO_FIXED] = {"", AVRO_FIXED, COLUMN_BYTES, CONV_FIXED},
};

static const struct meaning *look_up(const struct meaning *table, size_t n, struct str name,
                                     const struct avro *s)
{
    for (size_t i = 0; name.p && i < n; i++)
        if (table[i].kind == s->kind && str_is(name, table[i].name))
            return &table[i];
    return NULL;
}

/* Debezium's {scale, value}, as it is written and no other way. */
static bool is_variable_decimal(const struct avro *s)
{
    return s->count == 2 && str_is(s->fields[0].name, "scale") && s->fields[0].type->kind == AVRO_INT &&
           str_is(s->fields[1].name, "value") && s->fields[1].type->kind == AVRO_BYTES;
}

static enum avro_conv conv_decimal(const struct avro *s, struct column *out)
{
    if (s->precision > COLUMN_PRECISION_MAX) {
        *out = (struct column){.type = COLUMN_TEXT, .required = true};
        return s->kind == AVRO_BYTES ? CONV_DECIMAL_TEXT : CONV_JSON;
    }
    out->type = COLUMN_DECIMAL;
    out->precision = (uint8_t)s->precision;
    out->scale = (uint8_t)s->scale;
    return s->kind == AVRO_BYTES ? CONV_DECIMAL : CONV_DECIMAL_FIXED;
}

enum avro_conv avro_conv(const struct avro *s, struct column *out)
{
    const struct meaning *m = look_up(connect_names, ARRAY_LEN(connect_names), s->connect_name, s);

    *out = (struct column){.required = !avro_is_nullable(s)};
    if (s->precision > 0)
        return conv_decimal(s, out);
    if (m && m->conv == CONV_VARIABLE && !is_variable_decimal(s))
        m = NULL;
    if (!m)
        m = look_up(logical_types, ARRAY_LEN(logical_types), s->logical, s);
    if (!m)
        m = &plain[s->kind];
    out->type = m->column;
    if (m->column == COLUMN_TIMESTAMPTZ && str_is(avro_prop(s, "adjust-to-utc"), "false"))
        out->type = COLUMN_TIMESTAMP; // Iceberg's way to say the same
    if (s->kind == AVRO_FIXED && s->size == 16 && str_is(s->logical, "uuid"))
        out->type = COLUMN_UUID;
    return m->conv;
}

bool avro_promote(const struct column *from, const struct column *to, enum avro_conv *conv)
{
    if (from->type == to->type) {
        if (from->type != COLUMN_DECIMAL)
            return true;
        return to->scale == from->scale && to->precision >= from->precision &&
               to->precision <= COLUMN_PRECISION_MAX;
    }
    if (from->type == COLUMN_I32 && to->type == COLUMN_I64 && *conv == CONV_I32) {
        *conv = CONV_I64;
        return true;
    }
    if (from->type == COLUMN_F32 && to->type == COLUMN_F64 && *conv == CONV_F32) {
        *conv = CONV_F32_TO_F64;
        return true;
    }
    return false;
}

/* ---- decimals ---- */

__extension__ typedef unsigned __int128 u128;

bool avro_decimal(struct str bytes, int precision, i128 *v)
{
    static const uint64_t e19 = 10000000000000000000U;
    const uint8_t *p = (const uint8_t *)bytes.p;
    size_t n = bytes.n;
    u128 u, limit = 1;

    if (n == 0)
        return false;
    u = p[0] & 0x80 ? ~(u128)0 : 0;
    for (; n > sizeof u; p++, n--) // sign extension only
        if (p[0] != (uint8_t)u || ((p[1] ^ p[0]) & 0x80))
            return false;
    for (size_t i = 0; i < n; i++)
        u = u << 8 | p[i];
    *v = (i128)u;
    for (; precision >= 19; precision -= 19)
        limit *= e19;
    for (; precision > 0; precision--)
        limit *= 10;
    return *v<(i128)limit && * v> - (i128)limit;
}

/* Divides the big-endian number by 10^9 and gives the rest. */
static uint32_t divide(uint32_t *limbs, size_t n)
{
    uint64_t rest = 0;

    for (size_t i = 0; i < n; i++) {
        rest = rest << 32 | limbs[i];
        limbs[i] = (uint32_t)(rest / 1000000000);
        rest %= 1000000000;
    }
    return (uint32_t)rest;
}

/* Magnitude of two's complement as 32-bit limbs, high first. */
static uint32_t *magnitude(struct str bytes, size_t *n)
{
    bool negative = bytes.n > 0 && (uint8_t)bytes.p[0] & 0x80;
    size_t count = bytes.n / 4 + 1;
    uint32_t *limbs = MEM_ARRAY(uint32_t, count);
    uint64_t carry = negative;

    for (size_t i = 0; i < count; i++) {
        uint32_t limb = 0;

        for (size_t b = 0; b < 4; b++) {
            size_t at = 4 * i + b; // from the low end
            uint8_t byte = at < bytes.n ? (uint8_t)bytes.p[bytes.n - 1 - at] : negative ? 0xff : 0;

            limb |= (uint32_t)byte << (8 * b);
        }
        carry += negative ? ~limb : limb;
        limbs[count - 1 - i] = (uint32_t)carry;
        carry >>= 32;
    }
    *n = count;
    return limbs;
}

struct str avro_decimal_text(struct str bytes, int64_t scale, struct arena *a)
{
    size_t n, limbs_n, at, digits_max;
    uint32_t *limbs;
    char *text;

    if (bytes.n > AVRO_DIGITS_BYTES || scale < 0 || scale > AVRO_DIGITS_BYTES)
        return STR_NULL;
    digits_max = bytes.n * 5 / 2 + 18 + (size_t)scale; // 2.41 digits a byte, whole groups of nine
    text = arena_alloc(a, digits_max + 4);             // and a sign, a point, a zero before it
    at = n = digits_max + 4;
    limbs = magnitude(bytes, &limbs_n);
    for (size_t first = 0; first < limbs_n;) {
        uint32_t group = divide(limbs + first, limbs_n - first);

        for (int i = 0; i < 9; i++, group /= 10) {
            if (n - at == (size_t)scale && scale > 0)
                text[--at] = '.';
            text[--at] = (char)('0' + group % 10);
        }
        while (first < limbs_n && limbs[first] == 0)
            first++;
    }
    mem_free(limbs);
    while (n - at < (size_t)scale + (scale > 0 ? 2 : 1)) {
        if (n - at == (size_t)scale && scale > 0)
            text[--at] = '.';
        text[--at] = '0';
    }
    while (n - at > (size_t)scale + (scale > 0 ? 2 : 1) && text[at] == '0')
        at++;
    if (bytes.n > 0 && (uint8_t)bytes.p[0] & 0x80)
        text[--at] = '-';
    return str_from(text + at, n - at);
}

/* ---- times as text ---- */

/* Up to `most` digits, at least `least`. */
static bool digits(struct str *s, size_t least, size_t most, int64_t *out)
{
    size_t n = 0;

    for (*out = 0; n < most && n < s->n && s->p[n] >= '0' && s->p[n] <= '9'; n++)
        *out = *out * 10 + (s->p[n] - '0');
    s->p += n;
    s->n -= n;
    return n >= least;
}

static bool literal(struct str *s, char c)
{
    if (s->n == 0 || s->p[0] != c)
        return false;
    s->p++;
    s->n--;
    return true;
}

/* Microseconds of a fraction that begins behind the point: what is finer is cut off. */
static bool fraction(struct str *s, int64_t *micros)
{
    size_t before = s->n;

    if (!digits(s, 1, 9, micros))
        return false;
    for (size_t n = before - s->n; n < 6; n++)
        *micros *= 10;
    for (size_t n = before - s->n; n > 6; n--)
        *micros /= 10;
    return true;
}

/* "Z", "+02", "+02:00" or "+02:00:30": seconds east of UTC. */
static bool offset(struct str *s, int64_t *seconds)
{
    bool west = s->n > 0 && s->p[0] == '-';
    int64_t h, m = 0, sec = 0;

    *seconds = 0;
    if (literal(s, 'Z'))
        return true;
    if (!literal(s, west ? '-' : '+') || !digits(s, 2, 2, &h))
        return false;
    if (literal(s, ':') && !digits(s, 2, 2, &m))
        return false;
    if (literal(s, ':') && !digits(s, 2, 2, &sec))
        return false;
    *seconds = (h * 3600 + m * 60 + sec) * (west ? -1 : 1);
    return h < 24 && m < 60 && sec < 60;
}

bool avro_zoned(struct str s, int64_t *micros)
{
    int64_t year, month, day, h, m, sec = 0, us = 0, east, total;
    bool negative = s.n > 0 && s.p[0] == '-';

    if (str_is(s, "infinity") || str_is(s, "-infinity")) {
        *micros = negative ? -INT64_MAX : INT64_MAX;
        return true;
    }
    (void)(literal(&s, '-') || literal(&s, '+'));
    if (!digits(&s, 4, 6, &year) || !literal(&s, '-') || !digits(&s, 2, 2, &month) || !literal(&s, '-') ||
        !digits(&s, 2, 2, &day) || !(literal(&s, 'T') || literal(&s, ' ')) || !digits(&s, 2, 2, &h) ||
        !literal(&s, ':') || !digits(&s, 2, 2, &m))
        return false;
    if (literal(&s, ':') && (!digits(&s, 2, 2, &sec) || (literal(&s, '.') && !fraction(&s, &us))))
        return false;
    if (!offset(&s, &east) || s.n > 0 || month < 1 || month > 12 || day < 1 || day > 31 || h > 24 || m > 59 ||
        sec > 60)
        return false;
    total = ((h * 60 + m) * 60 + sec - east) * UTC_SECOND + us;
    return !__builtin_mul_overflow(utc_days(negative ? -year : year, (unsigned)month, (unsigned)day), UTC_DAY,
                                   micros) &&
           !__builtin_add_overflow(*micros, total, micros);
}
