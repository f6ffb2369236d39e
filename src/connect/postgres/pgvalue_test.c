#include "connect/postgres/pgvalue.h"

#include "base/test.h"

static struct arena a;

static struct type type(uint32_t oid, int32_t modifier)
{
    struct type t;

    pgtype_of(&(struct type_facts){.oid = oid, .modifier = modifier}, &(struct type_modes){.money_digits = 2},
              &a, &t);
    return t;
}

/* Is this the JSON of that text? */
static bool json(struct type t, const char *text, const char *want)
{
    struct buf b = buf_make(1 << 16);
    struct err e;
    bool ok = pgvalue_json(&b, &t, str_of(text), &e);

    if (!ok)
        printf("# %s\n", e.msg);
    else if (!str_is(buf_view(&b), want))
        printf("# %s gave %s\n", text, buf_z(&b));
    ok = ok && str_is(buf_view(&b), want);
    buf_fini(&b);
    return ok;
}

static bool avro(struct type t, const char *text, const char *want, size_t n)
{
    struct buf b = buf_make(1 << 16);
    struct err e;
    bool ok = pgvalue_avro(&b, &t, str_of(text), &e) && str_eq(buf_view(&b), str_from(want, n));

    buf_fini(&b);
    return ok;
}

static bool refused(struct type t, const char *text)
{
    struct buf b = buf_make(1 << 16);
    struct err e;
    bool ok = pgvalue_avro(&b, &t, str_of(text), &e);

    buf_fini(&b);
    return !ok;
}

#define AVRO(t, text, bytes) OK(avro(t, text, bytes, sizeof(bytes) - 1))

/* Expectations: Debezium's own (AbstractRecordsProducerTest), re-expressed. */

TEST(integers_and_floats)
{
    AVRO(type(23, -1), "123456", "\x80\x89\x0f");
    AVRO(type(20, -1), "-1", "\x01");
    AVRO(type(16, -1), "t", "\x01");
    OK(json(type(26, -1), "4000000000", "4000000000"));
    OK(json(type(701, -1), "4.44", "4.44"));
    OK(json(type(700, -1), "3.3", "3.3"));
    OK(json(type(701, -1), "1e+300", "1e+300"));
    OK(json(type(701, -1), "10", "10.0"));
    OK(json(type(701, -1), "NaN", "\"NaN\""));
    OK(json(type(701, -1), "-Infinity", "\"-Infinity\""));
    OK(refused(type(21, -1), "40000"));
    OK(refused(type(23, -1), "1x"));
}

static int32_t numeric(int precision, int scale)
{
    return ((precision << 16) | (scale & 0x7ff)) + 4;
}

TEST(decimals_are_unscaled_bytes)
{
    AVRO(type(1700, numeric(10, 2)), "0.00", "\x02\x00");
    AVRO(type(1700, numeric(10, 2)), "1.10", "\x02\x6e");
    AVRO(type(1700, numeric(10, 2)), "1.28", "\x04\x00\x80");
    AVRO(type(1700, numeric(10, 2)), "-1.28", "\x02\x80");
    AVRO(type(1700, numeric(10, 2)), "-1.29", "\x04\xff\x7f");
    AVRO(type(1700, numeric(10, 2)), "12345678.90", "\x08\x49\x96\x02\xd2");
    AVRO(type(1700, numeric(3, -2)), "12300", "\x02\x7b");
    /* 10^20 = 0x056bc75e2d63100000, longer than a machine word */
    AVRO(type(1700, numeric(21, 0)), "100000000000000000000", "\x12\x05\x6b\xc7\x5e\x2d\x63\x10\x00\x00");
    AVRO(type(1700, numeric(21, 0)), "-100000000000000000000", "\x12\xfa\x94\x38\xa1\xd2\x9c\xf0\x00\x00");
    OK(refused(type(1700, numeric(10, 2)), "NaN"));
    OK(refused(type(1700, numeric(10, 2)), "1.234"));
    OK(refused(type(1700, numeric(10, 2)), "1,5"));
}

TEST(numerics_without_a_scale_carry_theirs)
{
    AVRO(type(1700, -1), "10.1111", "\x08\x06\x01\x8a\xf7");
    AVRO(type(1700, -1), "22.2000", "\x02\x04\x00\xde");
    AVRO(type(1700, -1), "22", "\x00\x02\x16");
    AVRO(type(1700, -1), "0.000", "\x00\x02\x00");
}

TEST(money)
{
    AVRO(type(790, -1), "$1,234.11", "\x06\x01\xe2\x13");
    AVRO(type(790, -1), "-$0.50", "\x02\xce");
}

TEST(dates_and_times)
{
    OK(json(type(1082, -1), "2016-11-04", "17109"));
    OK(json(type(1114, -1), "2016-11-04 13:51:30.123456", "1478267490123456"));
    OK(json(type(1114, 3), "2016-11-04 13:51:30.123", "1478267490123"));
    OK(json(type(1114, -1), "1936-10-25 22:10:12.608", "-1047174587392000"));
    OK(json(type(1114, -1), "infinity", "9223372036825200000"));
    OK(json(type(1114, -1), "-infinity", "-9223372036832400000"));
    OK(json(type(1114, -1), "4713-12-31 23:59:59.999999 BC", "-210831897600000001"));
    OK(json(type(1083, -1), "13:51:30", "49890000000"));
    OK(json(type(1083, 3), "13:51:30.123", "49890123"));
    OK(json(type(1083, -1), "24:00:00", "86400000000"));
    OK(json(type(1266, -1), "13:51:30.123789+02", "\"11:51:30.123789Z\""));
    OK(json(type(1266, 3), "13:51:30.123+02", "\"11:51:30.123Z\""));
    OK(json(type(1184, -1), "2016-11-04 11:51:30.123456+00", "\"2016-11-04T11:51:30.123456Z\""));
    OK(json(type(1184, -1), "21016-11-04 06:51:30+00", "\"+21016-11-04T06:51:30.000000Z\""));
    OK(json(type(1184, -1), "4714-12-31 23:59:59.999999+00 BC", "\"-4713-12-31T23:59:59.999999Z\""));
    OK(json(type(1184, 0), "2016-11-04 11:51:30+00", "\"2016-11-04T11:51:30Z\""));
    OK(json(type(1184, -1), "infinity", "\"infinity\""));
    OK(json(type(1186, -1), "1 year 2 mons 3 days 04:05:06.78", "37091106780000"));
    OK(json(type(1186, -1), "-1 days -00:00:01", "-86401000000"));
    OK(refused(type(1082, -1), "yesterday"));
    OK(refused(type(1114, -1), "2016-11-04T13:51:30"));
}

/* PostgreSQL's last timestamp and longest intervals are more microseconds than fit. */
TEST(what_does_not_fit_stays_at_the_end)
{
    OK(json(type(1114, -1), "294247-01-10 04:00:54.775807", "9223372036854775807"));
    OK(json(type(1114, -1), "294247-01-10 04:00:54.775808", "9223372036854775807"));
    OK(json(type(1114, -1), "294276-12-31 23:59:59.999999", "9223372036854775807"));
    OK(json(type(1114, -1), "999999999-01-01 00:00:00 BC", "-9223372036854775808"));
    OK(json(type(1184, -1), "294276-12-31 23:59:59.999999+00", "\"+294276-12-31T23:59:59.999999Z\""));
    OK(json(type(1184, -1), "294276-12-31 23:59:59+00", "\"+294276-12-31T23:59:59.000000Z\""));
    OK(json(type(1184, -1), "2000-02-29 23:59:59-00:00:01", "\"2000-03-01T00:00:00.000000Z\""));
    OK(json(type(1184, -1), "999999999-12-31 999999999:00:00-999999999",
            "\"+1000228158-11-30T06:00:00.000000Z\""));
    OK(json(type(1186, -1), "178000000 years", "9223372036854775807"));
    OK(json(type(1186, -1), "-178000000 years", "-9223372036854775808"));
    OK(json(type(1186, -1), "292271 years 1000000:00:00", "9223372036854775807"));
}

TEST(bytes_and_bits)
{
    AVRO(type(17, -1), "\\x000102", "\x06\x00\x01\x02");
    OK(json(type(17, -1), "\\x010203", "\"AQID\""));
    OK(refused(type(17, -1), "\\x0g"));
    AVRO(type(1560, 1), "1", "\x01");
    AVRO(type(1560, 2), "11", "\x02\x03");
    AVRO(type(1560, 7), "1000000", "\x02\x40");
    AVRO(type(1562, 2), "00", "\x00");
    AVRO(type(1560, 24), "000000110000001000000001", "\x06\x01\x02\x03");
    AVRO(type(1562, -1), "101", "\x02\x05");
}

TEST(arrays)
{
    AVRO(type(1007, -1), "{1,NULL,-2}", "\x06\x02\x02\x00\x02\x03\x00");
    AVRO(type(1009, -1), "{a,\"b,c\",\"NULL\",\"q\\\"\"}",
         "\x08\x02\x02"
         "a\x02\x06"
         "b,c\x02\x08NULL\x02\x04q\"\x00");
    AVRO(type(1007, -1), "{}", "\x00");
    OK(json(type(1231, numeric(10, 2)), "{1.20,3.40}", "[\"eA==\",\"AVQ=\"]"));
    OK(json(type(1007, -1), "[0:1]={5,6}", "[5,6]"));
    OK(refused(type(1007, -1), "{{1,2},{3,4}}"));
    OK(refused(type(1007, -1), "{1,2"));
}

static bool defaulted(struct type t, const char *expression, const char *want)
{
    struct str s = pgvalue_default_text(&t, str_of(expression), &a);

    return want ? str_is(s, want) : s.p == NULL;
}

TEST(defaults_are_read_not_evaluated)
{
    OK(defaulted(type(23, -1), "nextval('orders_id_seq'::regclass)", "0"));
    OK(defaulted(type(23, -1), "42", "42"));
    OK(defaulted(type(25, -1), "'it''s'::text", "it's"));
    OK(defaulted(type(1114, -1), "now()", "1970-01-01 00:00:00"));
    OK(defaulted(type(1114, -1), "CURRENT_TIMESTAMP", "1970-01-01 00:00:00"));
    OK(defaulted(type(1184, -1), "(now() AT TIME ZONE 'utc'::text)", "1970-01-01 00:00:00+00"));
    OK(defaulted(type(16, -1), "true", "t"));
    OK(defaulted(type(25, -1), "NULL::character varying", NULL));
    OK(defaulted(type(2950, -1), "gen_random_uuid()", "00000000-0000-0000-0000-000000000000"));
    OK(defaulted(type(17, -1), "'\\x00'::bytea", NULL));
    arena_fini(&a);
}

TEST_MAIN
