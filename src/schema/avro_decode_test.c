#include "base/test.h"
#include "schema/avro.h"
#include "schema/avro_golden.h"

#include <stdlib.h>

static struct arena arena;
static struct err e;

static struct avro *parse(const char *text)
{
    struct avro *s = NULL;

    OK(avro_parse(&arena, str_of(text), &s, &e));
    return s;
}

static struct str golden(const uint8_t *p, size_t n)
{
    return str_from(p, n);
}
#define GOLDEN(name) golden(name, sizeof(name))

static struct avro_decoder *decoder(const struct avro *s, const char *const *paths, size_t n)
{
    struct avro_want wants[64] = {0};
    struct avro_decoder *d = NULL;

    for (size_t i = 0; i < n; i++)
        wants[i].path = paths[i];
    OK(avro_decoder_new(&arena, s, wants, n, &d, &e));
    return d;
}

#define PATHS(...)                                    \
    static const char *const paths[] = {__VA_ARGS__}; \
    enum { N = sizeof paths / sizeof paths[0] };

TEST(orders_are_decoded)
{
    PATHS("after.id", "after.customer_id", "after.status", "after.total", "after.created_at", "before.id",
          "op", "source.lsn", "source.table", "ts_ns", "source.xmin", "before.total")
    struct avro_decoder *d = decoder(parse(golden_orders_schema), paths, N);
    const struct str events[] = {GOLDEN(golden_order_c), GOLDEN(golden_order_u), GOLDEN(golden_order_d),
                                 GOLDEN(golden_order_r)};
    struct columns c;

    columns_init(&c, &arena, avro_decoder_columns(d), N, 4);
    OK(str_is(c.column[3].name, "total") && c.column[3].type == COLUMN_DECIMAL &&
       c.column[3].precision == 10 && c.column[3].scale == 2 && !c.column[0].required &&
       c.column[6].required);
    OK(c.column[4].type == COLUMN_TIMESTAMP);
    for (size_t i = 0; i < 4; i++)
        OK(avro_decode(d, events[i], &c, &e));
    OK(c.rows == 4);
    OK(c.column[0].i32[0] == 1 && !c.column[0].nulls[0] && c.column[1].i32[0] == 7);
    OK(str_is(c.column[2].strs[1], "shipped") && str_is(c.column[2].strs[0], "pending"));
    OK(c.column[3].i128[0] == 1990 && c.column[3].i128[1] == -5 && c.column[3].i128[3] == 9999999999);
    OK(c.column[4].i64[0] == 1763712000123456 && c.column[4].i64[3] == INT64_MAX);
    OK(c.column[0].nulls[2] && c.column[1].nulls[2] && c.column[2].nulls[2] && c.column[3].nulls[2] &&
       c.column[4].nulls[2]);
    OK(c.column[5].nulls[0] && !c.column[5].nulls[1] && c.column[5].i32[2] == 300000 && c.column[5].nulls[3]);
    OK(str_is(c.column[6].strs[0], "c") && str_is(c.column[6].strs[2], "d"));
    OK(c.column[7].i64[0] == 24023128 && str_is(c.column[8].strs[3], "orders"));
    OK(c.column[9].i64[0] == 1763712001005678000 && c.column[10].nulls[0]);
    OK(c.column[11].i128[1] == 1990 && c.column[11].nulls[2] && c.column[2].nulls[3]);
}

static const char *const type_paths[] = {"b",
                                         "i",
                                         "l",
                                         "f",
                                         "d",
                                         "raw",
                                         "s",
                                         "e",
                                         "uuid",
                                         "dec",
                                         "fdec",
                                         "huge",
                                         "date",
                                         "time3",
                                         "time6",
                                         "time9",
                                         "ts3",
                                         "ts6",
                                         "ts9",
                                         "tz",
                                         "tzmin",
                                         "tzinf",
                                         "cdate",
                                         "ctime",
                                         "cts",
                                         "uid",
                                         "json",
                                         "bits",
                                         "vsd",
                                         "alts",
                                         "list",
                                         "map",
                                         "multi",
                                         "one",
                                         "inner.x",
                                         "inner.deep.y",
                                         "inner.deep.z",
                                         "last"};
enum { TYPES = sizeof type_paths / sizeof type_paths[0] };

static const struct column *column_of(const struct columns *c, const char *path)
{
    for (size_t i = 0; i < TYPES; i++)
        if (strcmp(type_paths[i], path) == 0)
            return &c->column[i];
    abort();
}

static bool text_is(const struct columns *c, const char *path, const char *text)
{
    const struct column *col = column_of(c, path);

    return col->type == COLUMN_TEXT && !col->nulls[0] && str_is(col->strs[0], text);
}

static bool i64_is(const struct columns *c, const char *path, enum column_type type, int64_t v)
{
    const struct column *col = column_of(c, path);

    return col->type == type && !col->nulls[0] && col->i64[0] == v;
}

static bool i32_is(const struct columns *c, const char *path, enum column_type type, int32_t v)
{
    const struct column *col = column_of(c, path);

    return col->type == type && !col->nulls[0] && col->i32[0] == v;
}

TEST(every_type_is_decoded)
{
    struct avro_decoder *d = decoder(parse(golden_types_schema), type_paths, TYPES);
    i128 nines = (i128)9999999999999999999U * 10000000000000000000U + 9999999999999999999U;
    const struct column *col;
    struct columns c;

    columns_init(&c, &arena, avro_decoder_columns(d), TYPES, 1);
    OK(avro_decode(d, GOLDEN(golden_types), &c, &e));
    OK(column_of(&c, "b")->bools[0] && i32_is(&c, "i", COLUMN_I32, INT32_MIN));
    OK(i64_is(&c, "l", COLUMN_I64, INT64_MIN));
    OK(column_of(&c, "f")->f32[0] == 3.3F && column_of(&c, "d")->f64[0] == -4.44e-300);
    col = column_of(&c, "raw");
    OK(col->type == COLUMN_BYTES && str_eq(col->strs[0], str_from("\0\1\377", 3)));
    OK(text_is(&c, "s", "žš €") && text_is(&c, "e", "GREEN"));
    col = column_of(&c, "uuid");
    OK(col->type == COLUMN_UUID && col->strs[0].n == 16 && col->strs[0].p[15] == 15);
    OK(column_of(&c, "dec")->i128[0] == -nines && column_of(&c, "dec")->scale == 10);
    OK(column_of(&c, "fdec")->i128[0] == -123456789012345678 &&
       column_of(&c, "fdec")->type == COLUMN_DECIMAL);
    OK(text_is(&c, "huge", "-123456789012345678901234567890123456789012345678.901"));
    OK(i32_is(&c, "date", COLUMN_DATE, 17109) && i32_is(&c, "cdate", COLUMN_DATE, -1));
    OK(i64_is(&c, "time3", COLUMN_TIME, 49890123000) && i64_is(&c, "time6", COLUMN_TIME, 49890123456) &&
       i64_is(&c, "time9", COLUMN_TIME, 49890123456) && i64_is(&c, "ctime", COLUMN_TIME, 1000));
    OK(i64_is(&c, "ts3", COLUMN_TIMESTAMP, 1478267490123000) &&
       i64_is(&c, "ts6", COLUMN_TIMESTAMP, -210831897600000001) && i64_is(&c, "ts9", COLUMN_TIMESTAMP, -1) &&
       i64_is(&c, "cts", COLUMN_TIMESTAMP, -1000));
    OK(i64_is(&c, "tz", COLUMN_TIMESTAMPTZ, 1478260290123456) &&
       i64_is(&c, "tzmin", COLUMN_TIMESTAMPTZ, -210863520000000001) &&
       i64_is(&c, "tzinf", COLUMN_TIMESTAMPTZ, -INT64_MAX));
    OK(text_is(&c, "uid", "0193a1b2-0000-7000-8000-000000000001") &&
       text_is(&c, "json", "{\"bar\": \"baz\"}"));
    OK(column_of(&c, "bits")->type == COLUMN_BYTES && text_is(&c, "vsd", "10.1111"));
    OK(text_is(&c, "list", "[1,null,-3]") && text_is(&c, "map", "{\"k\":\"v\\\"\\n\"}") &&
       text_is(&c, "multi", "\"two\""));
    OK(i32_is(&c, "one", COLUMN_I32, 42) && i32_is(&c, "inner.x", COLUMN_I32, 5));
    OK(text_is(&c, "inner.deep.y", "why") && column_of(&c, "inner.deep.z")->f32[0] == 0.5F);
    OK(column_of(&c, "last")->f64[0] == 1e100);
}

TEST(nulls_are_decoded)
{
    struct avro_decoder *d = decoder(parse(golden_types_schema), type_paths, TYPES);
    struct columns c;

    columns_init(&c, &arena, avro_decoder_columns(d), TYPES, 2);
    OK(avro_decode(d, GOLDEN(golden_types_nulls), &c, &e));
    OK(avro_decode(d, GOLDEN(golden_types), &c, &e));
    for (size_t i = 0; i < TYPES; i++) {
        bool is_null = strncmp(type_paths[i], "inner", 5) == 0 || strcmp(type_paths[i], "last") == 0;

        OK(c.column[i].nulls[0] == is_null);
        OK(!c.column[i].nulls[1]);
    }
    OK(str_is(column_of(&c, "multi")->strs[0], "null") && str_is(column_of(&c, "list")->strs[0], "[]"));
}

/* Whatever is wanted, the same values come out: each subset of one column skips all others. */
TEST(each_column_alone_is_the_same)
{
    struct avro *s = parse(golden_types_schema);
    struct avro_decoder *all = decoder(s, type_paths, TYPES);
    struct columns c, one;

    columns_init(&c, &arena, avro_decoder_columns(all), TYPES, 1);
    OK(avro_decode(all, GOLDEN(golden_types), &c, &e));
    for (size_t i = 0; i < TYPES; i++) {
        struct avro_decoder *d = decoder(s, &type_paths[i], 1);
        enum column_type t = c.column[i].type;

        columns_init(&one, &arena, avro_decoder_columns(d), 1, 1);
        OK(avro_decode(d, GOLDEN(golden_types), &one, &e));
        OK(one.column[0].type == c.column[i].type && !one.column[0].nulls[0]);
        if (t == COLUMN_TEXT || t == COLUMN_BYTES || t == COLUMN_UUID)
            OK(str_eq(one.column[0].strs[0], c.column[i].strs[0]));
        else
            OK(memcmp(one.column[0].any, c.column[i].any, column_width(t)) == 0);
    }
}

/* Cut anywhere, the record is refused, no row is added and no byte behind the end is touched. */
TEST(cut_records_are_refused)
{
    struct avro *s = parse(golden_types_schema);
    struct avro_decoder *all = decoder(s, type_paths, TYPES), *none = decoder(s, type_paths, 0);
    struct columns c, nothing;

    columns_init(&c, &arena, avro_decoder_columns(all), TYPES, 1);
    columns_init(&nothing, &arena, avro_decoder_columns(none), 0, 1);
    for (size_t n = 0; n < sizeof golden_types; n++) {
        char *cut = n ? malloc(n) : NULL; // its end is watched by sanitizers

        if (n)
            memcpy(cut, golden_types, n);
        OK(!avro_decode(all, str_from(cut, n), &c, &e) && e.kind == ERR_CORRUPT && c.rows == 0);
        OK(!avro_decode(none, str_from(cut, n), &nothing, &e) && nothing.rows == 0);
        free(cut);
    }
    OK(avro_decode(none, GOLDEN(golden_types), &nothing, &e) && nothing.rows == 1);
}

static bool fails(const char *schema, const char *path, struct str data, const char *why)
{
    struct avro_decoder *d = decoder(parse(schema), &path, 1);
    struct columns c;

    columns_init(&c, &arena, avro_decoder_columns(d), 1, 1);
    return !avro_decode(d, data, &c, &e) && e.kind == ERR_CORRUPT && strstr(e.msg, why) && c.rows == 0;
}

#define REC(type) "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":" type "}]}"
#define RAW(text) STR(text)

TEST(damage_is_named)
{
    OK(fails(REC("\"int\""), "a", RAW("\2\2"), "1 bytes behind its end"));
    OK(fails(REC("\"int\""), "a", RAW("\200\200\200\200\200\1"), "32 bits"));
    OK(fails(REC("\"long\""), "a", RAW("\377\377\377\377\377\377\377\377\377\2"),
             "column a: a varint does not fit"));
    OK(fails(REC("[\"null\",\"int\"]"), "a", RAW("\4\2"), "no such branch"));
    OK(fails(REC("[\"null\",\"int\"]"), "a", RAW("\1\2"), "no such branch"));
    OK(fails(REC("\"string\""), "a", RAW("\1"), "negative length"));
    OK(fails(REC("\"string\""), "a", RAW("\2\377"), "not UTF-8"));
    OK(fails(REC("\"boolean\""), "a", RAW("\2"), "neither 0 nor 1"));
    OK(fails(REC("{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"]}"), "a", RAW("\2"),
             "no such symbol"));
    OK(fails(REC("{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":2}"), "a", RAW("\2\144"),
             "decimal"));
    OK(fails(REC("{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":2}"), "a", RAW("\0"),
             "decimal"));
    OK(fails(REC("{\"type\":\"string\",\"connect.name\":\"io.debezium.time.ZonedTimestamp\"}"), "a",
             RAW("\24"
                 "2016-11-04"),
             "column a: not a time"));
}

/* Numbers of every length, with much and with nothing behind them. */
TEST(numbers_of_every_length)
{
    struct avro *s =
        parse("{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"long\"},"
              "{\"name\":\"t\",\"type\":\"bytes\"},{\"name\":\"b\",\"type\":\"long\"}]}");
    static const char *const paths[] = {"a", "b"};
    struct avro_decoder *d = decoder(s, paths, 2);
    struct buf b = buf_make(100);
    struct columns c;

    for (int i = 0; i < 192; i++) {
        uint64_t u = (UINT64_C(1) << (i % 64)) - (uint64_t)(i / 64);
        int64_t v = (int64_t)(u >> 1) ^ -(int64_t)(u & 1);

        buf_reset(&b);
        buf_varint(&b, v);
        buf_str(&b, STR("\20\377\377\377\377\377\377\377\377"));
        buf_varint(&b, v);
        columns_init(&c, &arena, avro_decoder_columns(d), 2, 1);
        OK(avro_decode(d, buf_view(&b), &c, &e) && c.column[0].i64[0] == v && c.column[1].i64[0] == v);
    }
    buf_fini(&b);
}

TEST(decimals_take_sign_extension)
{
    const char *schema = REC("{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":38}");
    const char *path = "a";
    struct avro_decoder *d = decoder(parse(schema), &path, 1);
    uint8_t data[21] = {40};
    struct columns c;

    columns_init(&c, &arena, avro_decoder_columns(d), 1, 3);
    memset(data + 1, 0xff, 20);
    OK(avro_decode(d, str_from(data, 21), &c, &e) && c.column[0].i128[0] == -1);
    memset(data + 1, 0, 20);
    data[20] = 5;
    OK(avro_decode(d, str_from(data, 21), &c, &e) && c.column[0].i128[1] == 5);
    data[2] = 1;
    OK(!avro_decode(d, str_from(data, 21), &c, &e));
}

TEST(types_can_be_told)
{
    struct avro *s = parse(
        "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"i\",\"type\":\"int\"},"
        "{\"name\":\"f\",\"type\":[\"null\",\"float\"]},{\"name\":\"d\",\"type\":{\"type\":\"bytes\","
        "\"logicalType\":\"decimal\",\"precision\":4,\"scale\":2}},{\"name\":\"s\",\"type\":\"string\"}]}");
    struct column as[] = {{.type = COLUMN_I64},
                          {.type = COLUMN_F64, .required = true},
                          {.type = COLUMN_DECIMAL, .precision = 10, .scale = 2},
                          {.type = COLUMN_DATE}};
    struct avro_want wants[] = {{"i", &as[0]}, {"f", &as[1]}, {"d", &as[2]}, {NULL, &as[3]}, {NULL, NULL}};
    struct avro_decoder *d;
    struct columns c;
    struct column col;

    OK(avro_decoder_new(&arena, s, wants, 5, &d, &e));
    columns_init(&c, &arena, avro_decoder_columns(d), 5, 1);
    OK(!avro_decode(d, RAW("\2\0\2\5\2x"), &c, &e) &&
       strstr(e.msg, "column f: null where a value is required"));
    OK(avro_decode(d, RAW("\2\2\0\0\200\77\2\5\2x"), &c, &e));
    OK(c.column[0].i64[0] == 1 && c.column[1].f64[0] == 1.0 && c.column[2].i128[0] == 5 &&
       c.column[3].nulls[0] && c.column[4].nulls[0] && c.column[3].type == COLUMN_DATE);
    as[2].scale = 3;
    OK(!avro_decoder_new(&arena, s, wants, 5, &d, &e) &&
       strstr(e.msg, "column d: DECIMAL cannot be read as DECIMAL"));
    wants[2].path = "nothing.here";
    OK(!avro_decoder_new(&arena, s, wants, 5, &d, &e) && e.kind == ERR_NOT_FOUND);
    wants[2].path = "s.inside";
    OK(!avro_decoder_new(&arena, s, wants, 5, &d, &e) && e.kind == ERR_NOT_FOUND);
    wants[2] = (struct avro_want){"i", NULL};
    OK(!avro_decoder_new(&arena, s, wants, 5, &d, &e) && strstr(e.msg, "wanted twice"));
    OK(avro_column(s, "f", &col) && col.type == COLUMN_F32 && !col.required && str_is(col.name, "f"));
    OK(!avro_column(s, "f.x", &col) && !avro_column(s, "x", &col) && !avro_column(s, "", &col));
}

TEST(a_null_record_is_refused_where_its_columns_are_required)
{
    struct avro *s = parse(golden_orders_schema);
    struct column as = {.type = COLUMN_I64, .required = true};
    struct avro_want want = {"after.id", &as};
    struct avro_decoder *d;
    struct columns c;

    OK(avro_decoder_new(&arena, s, &want, 1, &d, &e));
    columns_init(&c, &arena, avro_decoder_columns(d), 1, 1);
    OK(!avro_decode(d, GOLDEN(golden_order_d), &c, &e) && strstr(e.msg, "required"));
    OK(avro_decode(d, GOLDEN(golden_order_c), &c, &e) && c.column[0].i64[0] == 1);
}

TEST(a_record_in_itself_is_skipped)
{
    const char *schema =
        "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"next\",\"type\":[\"null\",\"R\"]},"
        "{\"name\":\"v\",\"type\":\"int\"}]}";
    static const char *const paths[] = {"v", "next.v", "next.next.v"};
    struct avro_decoder *d = decoder(parse(schema), paths, 3);
    uint8_t deep[3000] = {0};
    struct columns c;

    columns_init(&c, &arena, avro_decoder_columns(d), 3, 1);
    OK(avro_decode(d, RAW("\2\2\2\0\10\6\4\2"), &c, &e)); // 4 levels: 1, 2, 3, 4
    OK(c.column[0].i32[0] == 1 && c.column[1].i32[0] == 2 && c.column[2].i32[0] == 3);
    c.rows = 0;
    memset(deep, 2, 1500);
    deep[1500] = 0;
    OK(!avro_decode(d, str_from(deep, sizeof deep), &c, &e) && strstr(e.msg, "deep"));
}

/* 30 records, each twice the one before, of nothing: 2^30 fields that take no bytes must take no time. */
TEST(nothing_often_takes_no_time)
{
    struct buf text = buf_make(1 << 20), json = buf_make(100000);
    struct rd r;
    struct avro *s;

    buf_fmt(&text,
            "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"f0\",\"type\":{\"type\":\"record\","
            "\"name\":\"R0\",\"fields\":[]}}");
    for (int i = 1; i <= 30; i++)
        buf_fmt(&text,
                ",{\"name\":\"f%d\",\"type\":{\"type\":\"record\",\"name\":\"R%d\",\"fields\":[{\"name\":"
                "\"a\",\"type\":"
                "\"R%d\"},{\"name\":\"b\",\"type\":\"R%d\"}]}}",
                i, i, i - 1, i - 1);
    buf_fmt(&text, ",{\"name\":\"many\",\"type\":{\"type\":\"array\",\"items\":\"R30\"}}]}");
    OK(avro_parse(&arena, buf_view(&text), &s, &e));
    r = rd_str(STR("\376\377\377\377\377\377\377\377\377\1\0")); // 2^63-1 of them, then the end
    avro_skip(s, &r);
    OK(rd_ok(&r) && rd_left(&r) == 0);
    r = rd_str(STR("\0"));
    OK(!avro_to_json(s, &r, &json, &e) && e.kind == ERR_LIMIT);
    buf_fini(&text);
    buf_fini(&json);
}

TEST(arrays_may_be_skipped_by_their_bytes)
{
    struct avro *s = parse("{\"type\":\"array\",\"items\":\"string\"}");
    struct buf json = buf_make(1000);
    struct rd r = rd_str(STR("\3\10\2a\2b\2\2c\0x")); // a block of -2 in 4 bytes, a block of 1, the end
    struct rd again = r;

    avro_skip(s, &r);
    OK(rd_ok(&r) && rd_left(&r) == 1);
    OK(avro_to_json(s, &again, &json, &e) && str_is(buf_view(&json), "[\"a\",\"b\",\"c\"]"));
    r = rd_str(STR("\3\377\1\0"));
    avro_skip(s, &r);
    OK(!rd_ok(&r));
    r = rd_str(STR("\376\377\377\377\17\0"));
    avro_skip(s, &r);
    OK(!rd_ok(&r));
    buf_fini(&json);
}

static bool there_and_back(const char *schema, const char *json, const char *shown)
{
    struct buf bytes = buf_make(10000), text = buf_make(10000);
    struct rd r;
    bool ok = avro_from_json(parse(schema), str_of(json), &bytes, &e);

    r = rd_str(buf_view(&bytes));
    ok = ok && avro_to_json(parse(schema), &r, &text, &e) && rd_left(&r) == 0 &&
         str_is(buf_view(&text), shown ? shown : json);
    buf_fini(&bytes);
    buf_fini(&text);
    return ok;
}

TEST(values_are_read_from_json)
{
    static const char record[] =
        "{\"type\":\"record\",\"name\":\"n.R\",\"fields\":[{\"name\":\"i\",\"type\":\"int\"},"
        "{\"name\":\"s\",\"type\":[\"null\",\"string\"],\"default\":null},"
        "{\"name\":\"b\",\"type\":\"bytes\",\"default\":\"\\u00ff\"},"
        "{\"name\":\"e\",\"type\":{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]},\"default\":"
        "\"B\"},"
        "{\"name\":\"m\",\"type\":{\"type\":\"map\",\"values\":\"double\"},\"default\":{}},"
        "{\"name\":\"next\",\"type\":[\"null\",\"R\"],\"default\":null}]}";

    OK(there_and_back("[\"null\",\"long\",\"string\"]", "-5000000000", NULL));
    OK(there_and_back("[\"null\",\"int\",\"long\"]", "5000000000", NULL));
    OK(there_and_back("[\"null\",\"string\"]", "{\"string\":\"x\"}", "\"x\""));
    OK(there_and_back("{\"type\":\"array\",\"items\":\"boolean\"}", "[true,false]", NULL));
    OK(there_and_back("{\"type\":\"array\",\"items\":\"boolean\"}", "[]", NULL));
    OK(there_and_back("{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}", "\"AQI=\"", NULL));
    OK(there_and_back("\"bytes\"", "\"\"", NULL) && there_and_back("\"float\"", "1.5", NULL));
    OK(there_and_back(record, "{\"i\":1}",
                      "{\"i\":1,\"s\":null,\"b\":\"/w==\",\"e\":\"B\",\"m\":{},\"next\":null}"));
    OK(there_and_back(
        record,
        "{\"i\":1,\"s\":\"x\",\"b\":\"AA==\",\"e\":\"A\",\"m\":{\"k\":2},\"next\":{\"i\":2,\"e\":\"A\"}}",
        "{\"i\":1,\"s\":\"x\",\"b\":\"AA==\",\"e\":\"A\",\"m\":{\"k\":2.0},\"next\":{\"i\":2,\"s\":null,"
        "\"b\":\"/w==\",\"e\":\"A\",\"m\":{},\"next\":null}}"));
    OK(!there_and_back(record, "{}", NULL) && strstr(e.msg, "field i: it is missing"));
    OK(!there_and_back(record, "{\"i\":3000000000}", NULL) &&
       strstr(e.msg, "field i: 3000000000 is not an int"));
    OK(!there_and_back(record, "{\"i\":1,\"j\":2}", NULL) && strstr(e.msg, "n.R has no field j"));
    OK(!there_and_back(record, "{\"i\":1,\"next\":{\"i\":\"x\"}}", NULL) &&
       strstr(e.msg, "field next: field i: "));
    OK(!there_and_back("\"bytes\"", "\"A\"", NULL) && !there_and_back("\"string\"", "nonsense", NULL));
}

static bool tagged_there_and_back(const char *schema, const char *json, const char *shown)
{
    struct buf bytes = buf_make(10000), text = buf_make(10000);
    struct rd r;
    bool ok = avro_from_tagged_json(parse(schema), str_of(json), &bytes, &e);

    r = rd_str(buf_view(&bytes));
    ok = ok && avro_to_tagged_json(parse(schema), &r, &text, &e) && rd_left(&r) == 0 &&
         str_is(buf_view(&text), shown ? shown : json);
    buf_fini(&bytes);
    buf_fini(&text);
    return ok;
}

/* The example of the specification, "JSON Encoding", and bytes of every kind. */
TEST(values_have_avros_own_json)
{
    static const char foo[] = "[\"null\",\"string\",{\"type\":\"record\",\"name\":\"n.Foo\",\"fields\":["
                              "{\"name\":\"b\",\"type\":[\"bytes\",\"null\"]}]}]";

    OK(tagged_there_and_back(foo, "null", NULL));
    OK(tagged_there_and_back(foo, "{\"string\":\"a\"}", NULL));
    OK(tagged_there_and_back(foo, "\"a\"", "{\"string\":\"a\"}"));
    OK(tagged_there_and_back(foo, "{\"n.Foo\":{\"b\":{\"bytes\":\"a\\u0000\\u00ff\"}}}",
                             "{\"n.Foo\":{\"b\":{\"bytes\":\"a\\u0000\xc3\xbf\"}}}"));
    OK(tagged_there_and_back(foo, "{\"n.Foo\":{\"b\":null}}", NULL));
    OK(!tagged_there_and_back("\"bytes\"", "\"\\u0100\"", NULL));
}

TEST(values_are_shown_as_json)
{
    struct buf json = buf_make(10000);
    struct rd r = rd_str(GOLDEN(golden_order_u));

    OK(avro_to_json(parse(golden_orders_schema), &r, &json, &e) && rd_left(&r) == 0);
    OK(str_starts(buf_view(&json), STR("{\"before\":{\"id\":1,\"customer_id\":7,\"status\":\"pending\","
                                       "\"total\":\"B8Y=\",\"created_at\":"
                                       "1763712000123456},\"after\":{\"id\":1,\"customer_id\":7,\"status\":"
                                       "\"shipped\",\"total\":\"+w==\"")));
    buf_fini(&json);
}
TEST_MAIN
