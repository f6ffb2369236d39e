/* ---- types ---- */
#include "engine/engine_int.h"

#include "base/mem.h"
#include "base/utc.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct value_type *child_of(struct arena *a, duckdb_logical_type t, char *name)
{
    struct value_type *child = value_type_of(a, t);
    duck.destroy_logical_type(&t);
    if (name) {
        child->name = arena_str(a, str_of(name));
        duck.free(name);
    }
    return child;
}

static void symbols_of(struct arena *a, duckdb_logical_type t, struct value_type *out)
{
    out->inside = duck.enum_internal_type(t);
    out->symbol_count = duck.enum_dictionary_size(t);
    out->symbols = ARENA_ARRAY(a, struct str, out->symbol_count + 1);
    for (size_t i = 0; i < out->symbol_count; i++) {
        char *s = duck.enum_dictionary_value(t, i);
        out->symbols[i] = arena_str(a, str_of(s));
        duck.free(s);
    }
}

struct value_type *value_type_of(struct arena *a, duckdb_logical_type t)
{
    struct value_type *out = ARENA_NEW(a, struct value_type);
    out->id = duck.get_type_id(t);
    switch (out->id) {
    case DUCKDB_TYPE_DECIMAL:
        out->inside = duck.decimal_internal_type(t);
        out->width = duck.decimal_width(t);
        out->scale = duck.decimal_scale(t);
        return out;
    case DUCKDB_TYPE_HUGEINT:
        out->inside = DUCKDB_TYPE_HUGEINT;
        out->width = 38;
        return out;
    case DUCKDB_TYPE_ENUM:
        symbols_of(a, t, out);
        return out;
    case DUCKDB_TYPE_LIST:
    case DUCKDB_TYPE_ARRAY:
    case DUCKDB_TYPE_MAP:
        out->child_count = out->id == DUCKDB_TYPE_MAP ? 2 : 1;
        break;
    case DUCKDB_TYPE_STRUCT:
        out->child_count = duck.struct_type_child_count(t);
        break;
    case DUCKDB_TYPE_UNION:
        out->child_count = duck.union_type_member_count(t);
        break;
    default:
        return out;
    }
    out->children = ARENA_ARRAY(a, struct value_type *, out->child_count + 1);
    for (size_t i = 0; i < out->child_count; i++) {
        if (out->id == DUCKDB_TYPE_LIST)
            out->children[i] = child_of(a, duck.list_type_child_type(t), NULL);
        else if (out->id == DUCKDB_TYPE_ARRAY)
            out->children[i] = child_of(a, duck.array_type_child_type(t), NULL);
        else if (out->id == DUCKDB_TYPE_MAP)
            out->children[i] = child_of(a, i ? duck.map_type_value_type(t) : duck.map_type_key_type(t), NULL);
        else if (out->id == DUCKDB_TYPE_STRUCT)
            out->children[i] =
                child_of(a, duck.struct_type_child_type(t, i), duck.struct_type_child_name(t, i));
        else
            out->children[i] =
                child_of(a, duck.union_type_member_type(t, i), duck.union_type_member_name(t, i));
    }
    if (out->id == DUCKDB_TYPE_ARRAY)
        out->array_size = duck.array_type_array_size(t);
    return out;
}

static const char *const type_names[] = {
    [DUCKDB_TYPE_BOOLEAN] = "BOOLEAN",
    [DUCKDB_TYPE_TINYINT] = "TINYINT",
    [DUCKDB_TYPE_SMALLINT] = "SMALLINT",
    [DUCKDB_TYPE_INTEGER] = "INTEGER",
    [DUCKDB_TYPE_BIGINT] = "BIGINT",
    [DUCKDB_TYPE_UTINYINT] = "UTINYINT",
    [DUCKDB_TYPE_USMALLINT] = "USMALLINT",
    [DUCKDB_TYPE_UINTEGER] = "UINTEGER",
    [DUCKDB_TYPE_UBIGINT] = "UBIGINT",
    [DUCKDB_TYPE_FLOAT] = "FLOAT",
    [DUCKDB_TYPE_DOUBLE] = "DOUBLE",
    [DUCKDB_TYPE_TIMESTAMP] = "TIMESTAMP",
    [DUCKDB_TYPE_DATE] = "DATE",
    [DUCKDB_TYPE_TIME] = "TIME",
    [DUCKDB_TYPE_INTERVAL] = "INTERVAL",
    [DUCKDB_TYPE_HUGEINT] = "HUGEINT",
    [DUCKDB_TYPE_UHUGEINT] = "UHUGEINT",
    [DUCKDB_TYPE_VARCHAR] = "VARCHAR",
    [DUCKDB_TYPE_BLOB] = "BLOB",
    [DUCKDB_TYPE_DECIMAL] = "DECIMAL",
    [DUCKDB_TYPE_TIMESTAMP_S] = "TIMESTAMP_S",
    [DUCKDB_TYPE_TIMESTAMP_MS] = "TIMESTAMP_MS",
    [DUCKDB_TYPE_TIMESTAMP_NS] = "TIMESTAMP_NS",
    [DUCKDB_TYPE_ENUM] = "ENUM",
    [DUCKDB_TYPE_STRUCT] = "STRUCT",
    [DUCKDB_TYPE_MAP] = "MAP",
    [DUCKDB_TYPE_UUID] = "UUID",
    [DUCKDB_TYPE_UNION] = "UNION",
    [DUCKDB_TYPE_BIT] = "BIT",
    [DUCKDB_TYPE_TIME_TZ] = "TIME WITH TIME ZONE",
    [DUCKDB_TYPE_TIMESTAMP_TZ] = "TIMESTAMP WITH TIME ZONE",
    [DUCKDB_TYPE_BIGNUM] = "BIGNUM",
    [DUCKDB_TYPE_SQLNULL] = "NULL",
    [DUCKDB_TYPE_TIME_NS] = "TIME_NS",
};

static void members_sql(const struct value_type *t, struct buf *out)
{
    buf_u8(out, '(');
    for (size_t i = 0; i < t->child_count; i++) {
        if (i > 0)
            buf_str(out, STR(", "));
        if (t->children[i]->name.n > 0) {
            sql_name(out, t->children[i]->name);
            buf_u8(out, ' ');
        }
        value_type_sql(t->children[i], out);
    }
    buf_u8(out, ')');
}

void value_type_sql(const struct value_type *t, struct buf *out)
{
    if (t->id == DUCKDB_TYPE_LIST || t->id == DUCKDB_TYPE_ARRAY) {
        value_type_sql(t->children[0], out);
        if (t->id == DUCKDB_TYPE_LIST)
            buf_str(out, STR("[]"));
        else
            buf_fmt(out, "[%zu]", t->array_size);
        return;
    }
    bool known = (size_t)t->id < ARRAY_LEN(type_names) && type_names[t->id];
    buf_str(out, known ? str_of(type_names[t->id]) : STR("UNKNOWN"));
    if (t->id == DUCKDB_TYPE_DECIMAL)
        buf_fmt(out, "(%u,%u)", t->width, t->scale);
    if (t->child_count > 0)
        members_sql(t, out);
}

bool value_type_known(const struct value_type *t)
{
    bool known = (size_t)t->id < ARRAY_LEN(type_names) && type_names[t->id] && t->id != DUCKDB_TYPE_BIGNUM;
    if (!known && t->id != DUCKDB_TYPE_LIST && t->id != DUCKDB_TYPE_ARRAY)
        return false;
    for (size_t i = 0; i < t->child_count; i++)
        if (!value_type_known(t->children[i]))
            return false;
    return true;
}

/* ---- values ---- */

struct str value_str(const duckdb_string_t *s)
{
    uint32_t n = s->value.inlined.length;
    return str_from(n <= sizeof(s->value.inlined.inlined) ? s->value.inlined.inlined : s->value.pointer.ptr,
                    n);
}

static i128 hugeint(duckdb_hugeint h)
{
    return (i128)((u128)(uint64_t)h.upper << 64 | h.lower);
}

i128 value_i128(duckdb_type inside, const void *data, idx_t row)
{
    switch (inside) {
    case DUCKDB_TYPE_SMALLINT:
        return ((const int16_t *)data)[row];
    case DUCKDB_TYPE_INTEGER:
        return ((const int32_t *)data)[row];
    case DUCKDB_TYPE_BIGINT:
        return ((const int64_t *)data)[row];
    default:
        return hugeint(((const duckdb_hugeint *)data)[row]);
    }
}

/* A whole number of up to 39 digits with `scale` of them behind the point. */
static void put_decimal(struct buf *out, bool negative, u128 v, unsigned scale)
{
    char text[48];
    size_t at = sizeof(text), digits = 0;
    while (v > 0 || digits <= scale) {
        if (digits == scale && scale > 0)
            text[--at] = '.';
        text[--at] = (char)('0' + (int)(v % 10));
        v /= 10;
        digits++;
    }
    if (negative)
        text[--at] = '-';
    buf_put(out, text + at, sizeof(text) - at);
}

static void put_i128(struct buf *out, i128 v, unsigned scale)
{
    put_decimal(out, v < 0, v < 0 ? 0 - (u128)v : (u128)v, scale);
}

/* The shortest of 15 to 17 digits (6 to 9) that reads back as the same number. */
static void put_float(struct buf *out, double v, bool is_float)
{
    char text[40];
    if (isnan(v) || isinf(v)) {
        buf_str(out, isnan(v) ? STR("\"NaN\"") : v > 0 ? STR("\"Infinity\"") : STR("\"-Infinity\""));
        return;
    }
    for (int digits = is_float ? 6 : 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, v);
        if (is_float ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v)
            break;
    }
    buf_str(out, str_of(text));
}

/* "2024-02-29 12:30:00.5" without the zeros at its end. Units: how many of them make a second. */
static void put_fraction(struct buf *out, int64_t part, int64_t units)
{
    if (part == 0)
        return;
    buf_u8(out, '.');
    while (part > 0) {
        units /= 10;
        buf_u8(out, (uint8_t)('0' + part / units));
        part %= units;
    }
}

static void put_clock(struct buf *out, int64_t seconds)
{
    buf_fmt(out, "%02" PRId64 ":%02" PRId64 ":%02" PRId64, seconds / 3600, seconds / 60 % 60, seconds % 60);
}

static void put_date(struct buf *out, int64_t days)
{
    if (days == INT32_MAX || days == -INT32_MAX) { // DuckDB's infinities
        buf_str(out, days > 0 ? STR("infinity") : STR("-infinity"));
        return;
    }
    struct utc t = utc_split(days * UTC_DAY);
    if (t.year > 0)
        buf_fmt(out, "%04" PRId64 "-%02u-%02u", t.year, t.month, t.day);
    else
        buf_fmt(out, "%04" PRId64 "-%02u-%02u (BC)", 1 - t.year, t.month, t.day);
}

static void put_timestamp(struct buf *out, int64_t v, int64_t units, bool zoned)
{
    if (v == INT64_MAX || v == -INT64_MAX) {
        buf_str(out, v > 0 ? STR("infinity") : STR("-infinity"));
        return;
    }
    int64_t seconds = v / units - (v % units < 0), days = seconds / 86400 - (seconds % 86400 < 0);
    put_date(out, days);
    buf_u8(out, ' ');
    put_clock(out, seconds - days * 86400);
    put_fraction(out, v - seconds * units, units);
    if (zoned)
        buf_str(out, STR("+00"));
}

static void put_interval(struct buf *out, duckdb_interval v)
{
    const char *space = "";
    const struct {
        int32_t n;
        const char *unit;
    } parts[] = {{v.months / 12, "year"}, {v.months % 12, "month"}, {v.days, "day"}};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (parts[i].n) {
            buf_fmt(out, "%s%d %s%s", space, parts[i].n, parts[i].unit, parts[i].n == 1 ? "" : "s");
            space = " ";
        }
    if (v.micros || !*space) {
        uint64_t micros = v.micros < 0 ? 0 - (uint64_t)v.micros : (uint64_t)v.micros;
        buf_fmt(out, "%s%s", space, v.micros < 0 ? "-" : "");
        put_clock(out, (int64_t)(micros / 1000000));
        put_fraction(out, (int64_t)(micros % 1000000), 1000000);
    }
}

static void put_uuid(struct buf *out, duckdb_hugeint h)
{
    uint64_t high = (uint64_t)h.upper ^ (uint64_t)1 << 63;
    buf_fmt(out, "%08x-%04x-%04x-%04x-%012" PRIx64, (unsigned)(high >> 32), (unsigned)(high >> 16 & 0xffff),
            (unsigned)(high & 0xffff), (unsigned)(h.lower >> 48), h.lower & 0xffffffffffff);
}

/* DuckDB's BIT: one byte with the number of padding bits, then the bits, those in front of the first one padding. */
static void put_bits(struct buf *out, struct str s)
{
    size_t padding = s.n > 0 ? (uint8_t)s.p[0] : 0;
    for (size_t i = padding; s.n > 0 && i < 8 * (s.n - 1); i++)
        buf_u8(out, '0' + ((uint8_t)s.p[1 + i / 8] >> (7 - i % 8) & 1));
}

/* ---- as JSON ---- */

static void list_json(const struct value_type *t, duckdb_vector v, idx_t row, struct buf *out)
{
    bool array = t->id == DUCKDB_TYPE_ARRAY;
    duckdb_list_entry span = {.offset = row * t->array_size, .length = t->array_size};
    if (!array)
        span = ((const duckdb_list_entry *)duck.vector_get_data(v))[row];
    duckdb_vector child = array ? duck.array_vector_get_child(v) : duck.list_vector_get_child(v);
    buf_u8(out, '[');
    for (idx_t i = 0; i < span.length; i++) {
        if (i > 0)
            buf_u8(out, ',');
        value_json(t->children[0], child, span.offset + i, out);
    }
    buf_u8(out, ']');
}

/* A map whose keys are text is an object; others are a list of [key, value]. */
static void map_json(const struct value_type *t, duckdb_vector v, idx_t row, struct buf *out)
{
    bool object = t->children[0]->id == DUCKDB_TYPE_VARCHAR;
    duckdb_list_entry span = ((const duckdb_list_entry *)duck.vector_get_data(v))[row];
    duckdb_vector entry = duck.list_vector_get_child(v);
    duckdb_vector key = duck.struct_vector_get_child(entry, 0),
                  value = duck.struct_vector_get_child(entry, 1);
    buf_u8(out, object ? '{' : '[');
    for (idx_t i = span.offset; i < span.offset + span.length; i++) {
        if (i > span.offset)
            buf_u8(out, ',');
        if (!object)
            buf_u8(out, '[');
        value_json(t->children[0], key, i, out);
        buf_u8(out, object ? ':' : ',');
        value_json(t->children[1], value, i, out);
        if (!object)
            buf_u8(out, ']');
    }
    buf_u8(out, object ? '}' : ']');
}

static void struct_json(const struct value_type *t, duckdb_vector v, idx_t row, struct buf *out)
{
    buf_u8(out, '{');
    for (size_t i = 0; i < t->child_count; i++) {
        if (i > 0)
            buf_u8(out, ',');
        buf_json(out, t->children[i]->name);
        buf_u8(out, ':');
        value_json(t->children[i], duck.struct_vector_get_child(v, i), row, out);
    }
    buf_u8(out, '}');
}

/* Kept as a struct: a tag that says which member it is, then the members. */
static void union_json(const struct value_type *t, duckdb_vector v, idx_t row, struct buf *out)
{
    uint8_t tag = ((const uint8_t *)duck.vector_get_data(duck.struct_vector_get_child(v, 0)))[row];
    if (tag < t->child_count)
        value_json(t->children[tag], duck.struct_vector_get_child(v, 1 + (idx_t)tag), row, out);
    else
        buf_str(out, STR("null"));
}

static void enum_json(const struct value_type *t, const void *data, idx_t row, struct buf *out)
{
    uint32_t at = t->inside == DUCKDB_TYPE_UTINYINT    ? ((const uint8_t *)data)[row]
                  : t->inside == DUCKDB_TYPE_USMALLINT ? ((const uint16_t *)data)[row]
                                                       : ((const uint32_t *)data)[row];
    buf_json(out, at < t->symbol_count ? t->symbols[at] : STR(""));
}

static bool number_json(const struct value_type *t, const void *data, idx_t row, struct buf *out)
{
    switch (t->id) {
    case DUCKDB_TYPE_BOOLEAN:
        buf_str(out, ((const bool *)data)[row] ? STR("true") : STR("false"));
        return true;
    case DUCKDB_TYPE_TINYINT:
        buf_fmt(out, "%d", ((const int8_t *)data)[row]);
        return true;
    case DUCKDB_TYPE_SMALLINT:
        buf_fmt(out, "%d", ((const int16_t *)data)[row]);
        return true;
    case DUCKDB_TYPE_INTEGER:
        buf_fmt(out, "%" PRId32, ((const int32_t *)data)[row]);
        return true;
    case DUCKDB_TYPE_BIGINT:
        buf_fmt(out, "%" PRId64, ((const int64_t *)data)[row]);
        return true;
    case DUCKDB_TYPE_UTINYINT:
        buf_fmt(out, "%u", ((const uint8_t *)data)[row]);
        return true;
    case DUCKDB_TYPE_USMALLINT:
        buf_fmt(out, "%u", ((const uint16_t *)data)[row]);
        return true;
    case DUCKDB_TYPE_UINTEGER:
        buf_fmt(out, "%" PRIu32, ((const uint32_t *)data)[row]);
        return true;
    case DUCKDB_TYPE_UBIGINT:
        buf_fmt(out, "%" PRIu64, ((const uint64_t *)data)[row]);
        return true;
    case DUCKDB_TYPE_HUGEINT:
    case DUCKDB_TYPE_DECIMAL:
        put_i128(out, value_i128(t->inside, data, row), t->scale);
        return true;
    case DUCKDB_TYPE_UHUGEINT: {
        duckdb_uhugeint h = ((const duckdb_uhugeint *)data)[row];
        put_decimal(out, false, (u128)h.upper << 64 | h.lower, 0);
        return true;
    }
    case DUCKDB_TYPE_FLOAT:
        put_float(out, (double)((const float *)data)[row], true);
        return true;
    case DUCKDB_TYPE_DOUBLE:
        put_float(out, ((const double *)data)[row], false);
        return true;
    default:
        return false;
    }
}

/* What stands between quotes and needs no escapes; false: another kind. */
static bool quoted(const struct value_type *t, const void *data, idx_t row, struct buf *out)
{
    const int64_t *i64 = data;
    switch (t->id) {
    case DUCKDB_TYPE_DATE:
        put_date(out, ((const int32_t *)data)[row]);
        return true;
    case DUCKDB_TYPE_TIME:
        put_clock(out, i64[row] / 1000000);
        put_fraction(out, i64[row] % 1000000, 1000000);
        return true;
    case DUCKDB_TYPE_TIME_NS:
        put_clock(out, i64[row] / 1000000000);
        put_fraction(out, i64[row] % 1000000000, 1000000000);
        return true;
    case DUCKDB_TYPE_TIME_TZ: { // 40 bits of microseconds, then 24 of (57599 - offset in seconds)
        uint64_t v = (uint64_t)i64[row];
        int64_t micros = (int64_t)(v >> 24), offset = 57599 - (int64_t)(v & 0xffffff);
        put_clock(out, micros / 1000000);
        put_fraction(out, micros % 1000000, 1000000);
        int64_t minutes = (offset < 0 ? -offset : offset) / 60;
        buf_fmt(out, "%c%02" PRId64, offset < 0 ? '-' : '+', minutes / 60);
        if (minutes % 60)
            buf_fmt(out, ":%02" PRId64, minutes % 60);
        return true;
    }
    case DUCKDB_TYPE_TIMESTAMP:
    case DUCKDB_TYPE_TIMESTAMP_TZ:
        put_timestamp(out, i64[row], 1000000, t->id == DUCKDB_TYPE_TIMESTAMP_TZ);
        return true;
    case DUCKDB_TYPE_TIMESTAMP_S:
        put_timestamp(out, i64[row], 1, false);
        return true;
    case DUCKDB_TYPE_TIMESTAMP_MS:
        put_timestamp(out, i64[row], 1000, false);
        return true;
    case DUCKDB_TYPE_TIMESTAMP_NS:
        put_timestamp(out, i64[row], 1000000000, false);
        return true;
    case DUCKDB_TYPE_INTERVAL:
        put_interval(out, ((const duckdb_interval *)data)[row]);
        return true;
    case DUCKDB_TYPE_UUID:
        put_uuid(out, ((const duckdb_hugeint *)data)[row]);
        return true;
    case DUCKDB_TYPE_BLOB: {
        struct str s = value_str((const duckdb_string_t *)data + row);
        buf_str(out, STR("\\\\x"));
        buf_hex(out, s.p, s.n);
        return true;
    }
    case DUCKDB_TYPE_BIT:
        put_bits(out, value_str((const duckdb_string_t *)data + row));
        return true;
    default:
        return false;
    }
}

void value_json(const struct value_type *t, duckdb_vector v, idx_t row, struct buf *out)
{
    if (value_is_null(v, row) || t->id == DUCKDB_TYPE_SQLNULL) {
        buf_str(out, STR("null"));
        return;
    }
    const void *data = duck.vector_get_data(v);
    switch (t->id) {
    case DUCKDB_TYPE_VARCHAR:
        buf_json(out, value_str((const duckdb_string_t *)data + row));
        return;
    case DUCKDB_TYPE_LIST:
    case DUCKDB_TYPE_ARRAY:
        list_json(t, v, row, out);
        return;
    case DUCKDB_TYPE_MAP:
        map_json(t, v, row, out);
        return;
    case DUCKDB_TYPE_STRUCT:
        struct_json(t, v, row, out);
        return;
    case DUCKDB_TYPE_UNION:
        union_json(t, v, row, out);
        return;
    case DUCKDB_TYPE_ENUM:
        enum_json(t, data, row, out);
        return;
    default:
        break;
    }
    if (number_json(t, data, row, out))
        return;
    buf_u8(out, '"');
    bool known = quoted(t, data, row, out);
    assert(known); // value_type_known() is asked before
    (void)known;
    buf_u8(out, '"');
}
