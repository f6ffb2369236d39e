#include "base/test.h"
#include "schema/avro.h"

static struct arena arena;
static struct err e;

/* The kinds of differences between reader and writer, joined: "" when it can be read. */
static const char *between(const char *reader, const char *writer)
{
    static char list[400];
    struct avro_difference *d;
    struct avro *r, *w;
    size_t n, at = 0;

    list[0] = 0;
    if (!avro_parse(&arena, str_of(reader), &r, &e) || !avro_parse(&arena, str_of(writer), &w, &e) ||
        !avro_compare(r, w, &arena, &d, &n, &e))
        return e.msg;
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s %s", i ? "; " : "",
                               avro_difference_name(d[i].kind), d[i].path.p);
    return list;
}

static bool reads(const char *reader, const char *writer)
{
    return between(reader, writer)[0] == 0;
}

static bool differs(const char *reader, const char *writer, const char *how)
{
    if (strcmp(between(reader, writer), how) == 0)
        return true;
    printf("# got: %s\n", between(reader, writer));
    return false;
}

TEST(primitives_are_promoted)
{
    static const char *const all[] = {"\"null\"",  "\"boolean\"", "\"int\"",   "\"long\"",
                                      "\"float\"", "\"double\"",  "\"bytes\"", "\"string\""};
    /* [reader][writer] */
    static const char *const can[] = {"x.......", ".x......", "..x.....", "..xx....",
                                      "..xxx...", "..xxxx..", "......xx", "......xx"};

    for (int r = 0; r < 8; r++)
        for (int w = 0; w < 8; w++)
            OK(can[r][w] == 'x' ? reads(all[r], all[w]) : differs(all[r], all[w], "TYPE_MISMATCH "));
}

#define REC(fields)       "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" fields "]}"
#define F(name, type)     "{\"name\":\"" name "\",\"type\":" type "}"
#define D(name, type, df) "{\"name\":\"" name "\",\"type\":" type ",\"default\":" df "}"
#define INT               "\"int\""

TEST(fields_may_come_with_defaults_and_go)
{
    OK(reads(REC(F("a", INT)), REC(F("a", INT) "," F("b", INT))));
    OK(reads(REC(F("a", INT) "," D("b", INT, "0")), REC(F("a", INT))));
    OK(reads(REC(D("b", "[\"null\",\"int\"]", "null")), REC("")));
    OK(differs(REC(F("a", INT) "," F("b", INT)), REC(F("a", INT)),
               "READER_FIELD_MISSING_DEFAULT_VALUE /fields/1"));
    OK(differs(REC(F("a", INT) "," F("b", INT) "," F("c", "\"string\"")), REC(F("c", INT)),
               "READER_FIELD_MISSING_DEFAULT_VALUE /fields/0; READER_FIELD_MISSING_DEFAULT_VALUE /fields/1; "
               "TYPE_MISMATCH /fields/2/type"));
    OK(reads(REC(F("b", INT) "," F("a", INT)), REC(F("a", INT) "," F("b", INT)))); // order is nothing
    OK(reads(REC("{\"name\":\"new\",\"aliases\":[\"x\",\"old\"],\"type\":\"int\"}"), REC(F("old", INT))));
    OK(differs(REC("{\"name\":\"new\",\"aliases\":[\"x\"],\"type\":\"int\"}"), REC(F("old", INT)),
               "READER_FIELD_MISSING_DEFAULT_VALUE /fields/0"));
    OK(differs(REC(F("a", "{\"type\":\"array\",\"items\":\"int\"}")),
               REC(F("a", "{\"type\":\"array\",\"items\":\"long\"}")), "TYPE_MISMATCH /fields/0/type/items"));
    OK(reads(REC(F("a", "{\"type\":\"map\",\"values\":\"long\"}")),
             REC(F("a", "{\"type\":\"map\",\"values\":\"int\"}"))));
    OK(differs(REC(F("a", "{\"type\":\"map\",\"values\":\"int\"}")),
               REC(F("a", "{\"type\":\"array\",\"items\":\"int\"}")), "TYPE_MISMATCH /fields/0/type"));
}

TEST(names_count_without_their_namespace)
{
    OK(reads("{\"type\":\"record\",\"name\":\"x.R\",\"fields\":[]}",
             "{\"type\":\"record\",\"name\":\"y.R\",\"fields\":[]}"));
    OK(differs("{\"type\":\"record\",\"name\":\"R\",\"fields\":[]}",
               "{\"type\":\"record\",\"name\":\"S\",\"fields\":[]}", "NAME_MISMATCH /name"));
    OK(reads("{\"type\":\"record\",\"name\":\"x.R\",\"aliases\":[\"S\"],\"fields\":[]}",
             "{\"type\":\"record\",\"name\":\"x.S\",\"fields\":[]}"));
    OK(differs("{\"type\":\"record\",\"name\":\"x.R\",\"aliases\":[\"S\"],\"fields\":[]}",
               "{\"type\":\"record\",\"name\":\"y.S\",\"fields\":[]}", "NAME_MISMATCH /name"));
}

#define FIXED(name, size)    "{\"type\":\"fixed\",\"name\":\"" name "\",\"size\":" size "}"
#define ENUM(symbols, extra) "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[" symbols "]" extra "}"

TEST(enums_and_fixed)
{
    OK(reads(FIXED("F", "4"), FIXED("F", "4")));
    OK(differs(FIXED("F", "4"), FIXED("F", "5"), "FIXED_SIZE_MISMATCH /size"));
    OK(differs(FIXED("F", "4"), FIXED("G", "4"), "NAME_MISMATCH /name"));
    OK(reads(ENUM("\"A\",\"B\"", ""), ENUM("\"B\"", "")));
    OK(differs(ENUM("\"A\"", ""), ENUM("\"A\",\"B\",\"C\"", ""), "MISSING_ENUM_SYMBOLS /symbols"));
    OK(reads(ENUM("\"A\"", ",\"default\":\"A\""), ENUM("\"A\",\"B\",\"C\"", "")));
}

TEST(unions)
{
    OK(reads("[\"null\",\"int\"]", "\"int\"") && reads("[\"null\",\"int\"]", "\"null\""));
    OK(reads("[\"null\",\"long\"]", "\"int\"") && reads("[\"null\",\"long\"]", "[\"int\",\"null\"]"));
    OK(reads("\"int\"", "[\"int\"]") && reads("\"double\"", "[\"int\",\"float\"]"));
    OK(differs("\"int\"", "[\"null\",\"int\"]", "TYPE_MISMATCH /0"));
    OK(differs("[\"null\",\"int\"]", "\"string\"", "MISSING_UNION_BRANCH "));
    OK(differs("[\"null\",\"int\"]", "[\"null\",\"string\",\"int\"]", "MISSING_UNION_BRANCH /1"));
    OK(reads("[]", "[]") && reads("\"int\"", "[]"));
    OK(differs("[]", "\"int\"", "MISSING_UNION_BRANCH "));
    OK(reads("[\"null\"," REC(D("b", INT, "1")) "]", REC("")));
    OK(differs("[\"null\"," REC(F("b", INT)) "]", REC(""), "MISSING_UNION_BRANCH "));
    OK(reads("[{\"type\":\"record\",\"name\":\"S\",\"fields\":[]}," REC("") "]", REC("")));
}

#define LIST(extra) \
    "{\"type\":\"record\",\"name\":\"L\",\"fields\":[{\"name\":\"next\",\"type\":[\"null\",\"L\"]}" extra "]}"

TEST(records_in_themselves_end)
{
    OK(reads(LIST(""), LIST("")));
    OK(reads(LIST(",{\"name\":\"v\",\"type\":\"int\",\"default\":0}"), LIST("")));
    OK(differs(LIST(",{\"name\":\"v\",\"type\":\"int\"}"), LIST(""),
               "READER_FIELD_MISSING_DEFAULT_VALUE /fields/1"));
}

/* Each record twice the one before: 2^40 paths lead to the one difference. */
TEST(shared_types_are_compared_once)
{
    struct buf r = buf_make(1 << 20), w = buf_make(1 << 20), why = buf_make(1000);
    struct buf *both[] = {&r, &w};
    struct avro *rs, *ws;

    for (int k = 0; k < 2; k++) {
        buf_fmt(
            both[k],
            "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"f0\",\"type\":{\"type\":\"record\","
            "\"name\":\"R0\",\"fields\":[{\"name\":\"x\",\"type\":\"%s\"}]}}",
            k ? "string" : "int");
        for (int i = 1; i <= 40; i++)
            buf_fmt(both[k],
                    ",{\"name\":\"f%d\",\"type\":{\"type\":\"record\",\"name\":\"R%d\",\"fields\":[{\"name\":"
                    "\"a\","
                    "\"type\":\"R%d\"},{\"name\":\"b\",\"type\":\"R%d\"}]}}",
                    i, i, i - 1, i - 1);
        buf_str(both[k], STR("]}"));
    }
    OK(avro_parse(&arena, buf_view(&r), &rs, &e) && avro_parse(&arena, buf_view(&w), &ws, &e));
    OK(!avro_can_read(rs, ws, &why) &&
       strstr(buf_z(&why), "TYPE_MISMATCH: the reader's type int cannot be read from"));
    OK(strstr(buf_z(&why), "/fields/0/type/fields/0/type") != NULL);
    OK(avro_can_read(rs, rs, &why));
    buf_fini(&r);
    buf_fini(&w);
    buf_fini(&why);
}
TEST_MAIN
