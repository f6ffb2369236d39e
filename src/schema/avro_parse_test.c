#include "base/limits.h"
#include "base/test.h"
#include "schema/avro.h"
#include "schema/avro_golden.h"

static struct arena arena;
static struct err e;
static struct buf out = {.max = 1 << 20};

static const char *text_of(const char *schema, bool canonical)
{
    struct avro *s = NULL;

    buf_reset(&out);
    if (!avro_parse(&arena, str_of(schema), &s, &e))
        return e.msg;
    if (canonical)
        avro_canonical(s, &out);
    else
        avro_text(s, &out);
    return buf_z(&out);
}

static bool writes(const char *schema, const char *text)
{
    return strcmp(text_of(schema, false), text) == 0;
}

static bool canonical(const char *schema, const char *text)
{
    return strcmp(text_of(schema, true), text) == 0;
}

static bool fails(const char *schema, const char *why)
{
    struct avro *s;

    return !avro_parse(&arena, str_of(schema), &s, &e) && strstr(e.msg, why) != NULL;
}

TEST(text_is_what_java_writes)
{
    OK(writes(golden_orders_schema, golden_orders_schema));
    OK(writes(golden_types_schema, golden_types_schema));
    OK(writes("{\"type\":\"int\",\"p\":\"\\u001f\\u007f\\u000a\\/\\u20ac\"}",
              "{\"type\":\"int\",\"p\":\"\\u001F\177\\n/\342\202\254\"}"));
    OK(writes(" { \"type\" : \"string\" } ", "\"string\""));
    OK(writes("{\"type\":\"string\",\"avro.java.string\":\"String\"}",
              "{\"type\":\"string\",\"avro.java.string\":\"String\"}"));
    OK(writes(
        "{\"name\":\"R\",\"namespace\":\"a.b\",\"x\":[1,2.5,1e30,-0.0001,{\"k\":null}],\"doc\":\"d\\u00e9\","
        "\"type\":"
        "\"record\",\"aliases\":[\"Old\",\"z.Other\"],\"fields\":[{\"type\":[\"null\",{\"type\":\"fixed\","
        "\"name\":"
        "\"F\",\"size\":2,\"namespace\":\"\"}],\"name\":\"f\",\"default\":null,\"order\":\"ignore\","
        "\"aliases\":[\"g\"],"
        "\"field-id\":3,\"doc\":\"\"},{\"name\":\"h\",\"type\":\"F\"}]}",
        "{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"a.b\",\"doc\":\"d\303\251\",\"fields\":[{"
        "\"name\":\"f\","
        "\"type\":[\"null\",{\"type\":\"fixed\",\"name\":\"F\",\"namespace\":\"\",\"size\":2}],\"doc\":\"\","
        "\"default\":"
        "null,\"order\":\"ignore\",\"aliases\":[\"g\"],\"field-id\":3},{\"name\":\"h\",\"type\":\"F\"}],"
        "\"x\":[1,2.5,1.0E30,-1.0E-4,{\"k\":null}],\"aliases\":[\"Old\",\"z.Other\"]}"));
    OK(writes("{\"type\":\"enum\",\"name\":\"n.E\",\"symbols\":[\"A\",\"B\"],\"default\":\"A\",\"p\":true}",
              "{\"type\":\"enum\",\"name\":\"E\",\"namespace\":\"n\",\"symbols\":[\"A\",\"B\"],\"default\":"
              "\"A\",\"p\":true}"));
    OK(writes("{\"type\":\"error\",\"name\":\"Bad\",\"fields\":[]}",
              "{\"type\":\"error\",\"name\":\"Bad\",\"fields\":[]}"));
    OK(writes(
        "{\"type\":\"record\",\"name\":\"a.L\",\"fields\":[{\"name\":\"next\",\"type\":[\"null\",\"L\"]}]}",
        "{\"type\":\"record\",\"name\":\"L\",\"namespace\":\"a\",\"fields\":[{\"name\":\"next\",\"type\":["
        "\"null\","
        "\"L\"]}]}"));
    OK(writes("{\"type\":\"array\",\"items\":\"int\",\"default\":[],\"element-id\":508}",
              "{\"type\":\"array\",\"items\":\"int\",\"default\":[],\"element-id\":508}"));
}

TEST(canonical_form_has_what_reading_needs)
{
    OK(canonical("{\"type\":\"int\",\"x\":1}", "\"int\""));
    OK(canonical(
        "{\"type\":\"record\",\"namespace\":\"x.y\",\"name\":\"a.R\",\"doc\":\"d\",\"aliases\":[\"Q\"],"
        "\"fields\":["
        "{\"name\":\"f\",\"type\":{\"type\":\"long\"},\"default\":7},{\"name\":\"r\",\"type\":[\"null\","
        "\"R\"]},"
        "{\"name\":\"e\",\"type\":{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"],\"default\":\"A\"}},"
        "{\"name\":\"x\",\"type\":{\"type\":\"fixed\",\"name\":\"q.X\",\"size\":12}}]}",
        "{\"name\":\"a.R\",\"type\":\"record\",\"fields\":[{\"name\":\"f\",\"type\":\"long\"},{\"name\":"
        "\"r\",\"type\":"
        "[\"null\",\"a.R\"]},{\"name\":\"e\",\"type\":{\"name\":\"a.E\",\"type\":\"enum\",\"symbols\":[\"A\"]"
        "}},"
        "{\"name\":\"x\",\"type\":{\"name\":\"q.X\",\"type\":\"fixed\",\"size\":12}}]}"));
}

#define REC(type) "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":" type "}]}"

TEST(bad_schemas_are_refused_by_name)
{
    OK(fails("", "not JSON"));
    OK(fails("{\"type\":", "not JSON: line 1"));
    OK(fails("\"Unknown\"", "unknown type \"Unknown\""));
    OK(fails("5", "a type is a name, an object or an array"));
    OK(fails("{}", "without \"type\""));
    OK(fails("{\"type\":\"record\",\"fields\":[]}", "without a name"));
    OK(fails("{\"type\":\"record\",\"name\":\"R\"}", "list of fields"));
    OK(fails("{\"type\":\"record\",\"name\":\"1R\",\"fields\":[]}", "bad name"));
    OK(fails("{\"type\":\"record\",\"name\":\"int\",\"fields\":[]}", "may not be named"));
    OK(fails("{\"type\":\"record\",\"name\":\"R\",\"fields\":[3]}", "not an object"));
    OK(fails("{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a-b\",\"type\":\"int\"}]}",
             "bad field name"));
    OK(fails("{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\"}]}", "field a: no type"));
    OK(fails("{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"},{\"name\":"
             "\"a\",\"type\":"
             "\"int\"}]}",
             "two fields named \"a\""));
    OK(fails(REC("{\"type\":\"record\",\"name\":\"S\",\"fields\":[{\"name\":\"b\",\"type\":\"X\"}]}"),
             "field a.b: unknown type \"X\""));
    OK(fails(REC("{\"type\":\"record\",\"name\":\"R\",\"fields\":[]}"), "\"R\" is defined twice"));
    OK(fails(REC("[\"int\",\"int\"]"), "twice in a union"));
    OK(fails(REC("[\"int\",[\"null\"]]"), "a union in a union"));
    OK(fails(REC("{\"type\":\"array\"}"), "array without items"));
    OK(fails(REC("{\"type\":\"map\"}"), "map without values"));
    OK(fails(REC("{\"type\":\"fixed\",\"name\":\"F\"}"), "without a size"));
    OK(fails(REC("{\"type\":\"fixed\",\"name\":\"F\",\"size\":-1}"), "without a size"));
    OK(fails(REC("{\"type\":\"enum\",\"name\":\"E\"}"), "without symbols"));
    OK(fails(REC("{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"A\"]}"), "there twice"));
    OK(fails(REC("{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A-B\"]}"), "bad enum symbol"));
    OK(fails(REC("{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"],\"default\":\"B\"}"),
             "not one of its symbols"));
    OK(fails("{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"int\",\"order\":"
             "\"up\"}]}",
             "unknown order"));
}

#define DEF(type, value)                                                                                   \
    "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":" type ",\"default\":" value \
    "}]}"

TEST(defaults_are_checked)
{
    static const char *const good[] = {
        DEF("\"int\"", "-2147483648"),
        DEF("\"long\"", "9007199254740993"),
        DEF("\"float\"", "1"),
        DEF("\"double\"", "\"NaN\""),
        DEF("\"bytes\"", "\"\\u00ff\""),
        DEF("[\"null\",\"int\"]", "null"),
        DEF("[\"null\",\"int\"]", "5"),
        DEF("{\"type\":\"array\",\"items\":\"int\"}", "[1,2]"),
        DEF("{\"type\":\"map\",\"values\":\"boolean\"}", "{\"x\":true}"),
        DEF("{\"type\":\"record\",\"name\":\"S\",\"fields\":[{\"name\":\"b\",\"type\":\"int\",\"default\":1},"
            "{\"name\":\"c\","
            "\"type\":\"int\"}]}",
            "{\"c\":2}"),
        DEF("{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"]}", "\"A\""),
    };
    static const char *const bad[] = {
        DEF("\"int\"", "2147483648"),
        DEF("\"int\"", "1.5"),
        DEF("\"int\"", "null"),
        DEF("\"boolean\"", "0"),
        DEF("\"string\"", "5"),
        DEF("\"null\"", "0"),
        DEF("[\"null\",\"int\"]", "\"x\""),
        DEF("{\"type\":\"array\",\"items\":\"int\"}", "[1,null]"),
        DEF("{\"type\":\"map\",\"values\":\"int\"}", "[]"),
        DEF("{\"type\":\"record\",\"name\":\"S\",\"fields\":[{\"name\":\"b\",\"type\":\"int\"}]}", "{}"),
    };
    struct avro *s;

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        OK(avro_parse(&arena, str_of(good[i]), &s, &e));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        OK(fails(bad[i], "field a: the default"));
}

TEST(names_take_the_namespace_around)
{
    struct avro *s;
    const struct avro_field *f;

    OK(avro_parse(
        &arena,
        STR("{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"x\",\"fields\":[{\"name\":\"a\",\"type\":{"
            "\"type\":\"fixed\",\"name\":\"F\",\"size\":1}},{\"name\":\"b\",\"type\":\"x.F\"},{\"name\":"
            "\"c\","
            "\"type\":{\"type\":\"F\"}},{\"name\":\"d\",\"type\":{\"type\":\"record\",\"name\":\"y.S\","
            "\"fields\":[{\"name\":\"e\",\"type\":\"x.R\"}]}}]}"),
        &s, &e));
    f = avro_field(s, STR("b"));
    OK(f && str_is(f->type->name, "x.F") && avro_field(s, STR("c"))->type == f->type);
    OK(avro_field(avro_field(s, STR("d"))->type, STR("e"))->type == s);
    OK(!avro_field(s, STR("")) && !avro_field(s, STR("z")));
}

TEST(properties_are_kept)
{
    struct avro *s;
    const struct avro_field *f;

    OK(avro_parse(&arena, str_of(golden_orders_schema), &s, &e));
    OK(str_is(avro_prop(s, "connect.version"), "2") &&
       str_is(s->connect_name, "storefront.public.orders.Envelope"));
    f = avro_field(avro_strip_null(avro_field(s, STR("after"))->type), STR("total"));
    OK(f && avro_strip_null(f->type)->precision == 10 && avro_strip_null(f->type)->scale == 2);
    OK(str_is(avro_prop(avro_strip_null(f->type), "connect.parameters"),
              "{\"scale\":\"2\",\"connect.decimal.precision\":\"10\"}"));
    OK(!avro_prop(s, "nothing").p);
    OK(avro_parse(
        &arena,
        STR("{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":{\"type\":\"array\","
            "\"items\":\"int\",\"element-id\":508},\"field-id\":7,\"x\":\"y\"}]}"),
        &s, &e));
    f = avro_field_by_id(s, 7);
    OK(f && f->type->element_id == 508 && !avro_field_by_id(s, 8) &&
       str_is(avro_field_prop(f, "x"), "\"y\""));
}

TEST(references_are_known)
{
    struct str known[] = {
        STR("{\"type\":\"record\",\"name\":\"a.Inner\",\"fields\":[{\"name\":\"x\",\"type\":\"int\"}]}"),
        STR("{\"type\":\"record\",\"name\":\"a.Mid\",\"fields\":[{\"name\":\"i\",\"type\":\"Inner\"}]}")};
    struct str text =
        STR("{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"m\",\"type\":\"a.Mid\"}]}");
    struct avro *s;

    OK(avro_parse_with(&arena, known, 2, text, &s, &e));
    OK(str_is(avro_field(s->fields[0].type, STR("i"))->type->name, "a.Inner"));
    buf_reset(&out);
    avro_text(s, &out);
    OK(str_eq(buf_view(&out), text));
    OK(!avro_parse_with(&arena, known, 1, text, &s, &e) && strstr(e.msg, "field m: unknown type \"a.Mid\""));
    OK(!avro_parse_with(&arena, known + 1, 1, text, &s, &e) &&
       strstr(e.msg, "a schema it refers to: field i"));
}

TEST(nesting_and_size_are_bounded)
{
    struct buf b = buf_make(4 * MIB);
    struct avro *s;

    for (int i = 0; i < LIMIT_JSON_DEPTH + 1; i++)
        buf_str(&b, STR("{\"type\":\"array\",\"items\":"));
    OK(!avro_parse(&arena, buf_view(&b), &s, &e) && e.kind == ERR_LIMIT);
    buf_reset(&b);
    buf_zero(&b, LIMIT_SCHEMA + 1);
    memset(b.p, ' ', b.n);
    OK(!avro_parse(&arena, buf_view(&b), &s, &e) && e.kind == ERR_LIMIT);
    buf_reset(&b); // brackets in a string are not nesting
    buf_str(&b, STR("{\"type\":\"int\",\"p\":\"\\\""));
    for (int i = 0; i < 100; i++)
        buf_str(&b, STR("[{"));
    buf_str(&b, STR("\"}"));
    OK(avro_parse(&arena, buf_view(&b), &s, &e));
    buf_fini(&b);
}

TEST(invalid_decimals_are_bytes)
{
    struct avro *s;

    OK(avro_parse(&arena, STR("{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":2,\"scale\":3}"),
                  &s, &e));
    OK(s->precision == 0 && str_is(s->logical, "decimal"));
    OK(avro_parse(
        &arena,
        STR("{\"type\":\"fixed\",\"name\":\"F\",\"size\":2,\"logicalType\":\"decimal\",\"precision\":5}"), &s,
        &e));
    OK(s->precision == 0);
    OK(avro_parse(
        &arena,
        STR("{\"type\":\"fixed\",\"name\":\"F\",\"size\":2,\"logicalType\":\"decimal\",\"precision\":4}"), &s,
        &e));
    OK(s->precision == 4 && s->scale == 0);
}
TEST_MAIN
