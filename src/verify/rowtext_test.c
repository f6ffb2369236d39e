#include "verify/rowtext.h"

#include "base/test.h"

static struct buf out = {.max = 1000};

static bool prints(const struct column *c, const char *want)
{
    buf_reset(&out);
    rowtext_value(&out, c, 0);
    if (str_is(buf_view(&out), want))
        return true;
    printf("# %s, wanted %s\n", buf_z(&out), want);
    return false;
}

static bool decimal(i128 v, uint8_t scale, const char *want)
{
    return prints(&(struct column){.type = COLUMN_DECIMAL, .scale = scale, .i128 = &v}, want);
}

static bool at(enum column_type type, int64_t v, const char *want)
{
    return prints(&(struct column){.type = type, .i64 = &v}, want);
}

static bool real(double v, const char *want)
{
    return prints(&(struct column){.type = COLUMN_F64, .f64 = &v}, want);
}

/* Wanted texts are what psql prints with TimeZone UTC. */
TEST(values_print_as_in_postgresql)
{
    OK(decimal(12345, 2, "123.45"));
    OK(decimal(-5, 2, "-0.05"));
    OK(decimal(0, 2, "0.00"));
    OK(decimal(7, 0, "7"));
    OK(decimal(100, 0, "100"));
    OK(at(COLUMN_TIMESTAMP, 1478267490123456, "2016-11-04 13:51:30.123456"));
    OK(at(COLUMN_TIMESTAMP, 1478267490120000, "2016-11-04 13:51:30.12"));
    OK(at(COLUMN_TIMESTAMP, 1478267490000000, "2016-11-04 13:51:30"));
    OK(at(COLUMN_TIMESTAMP, -1, "1969-12-31 23:59:59.999999"));
    OK(at(COLUMN_TIMESTAMPTZ, 0, "1970-01-01 00:00:00+00"));
    OK(at(COLUMN_TIME, 49890000000, "13:51:30"));
    OK(at(COLUMN_TIMESTAMP, -62135596800000000 - 86400000000, "0001-12-31 00:00:00 BC"));
    OK(real(0.1, "0.1"));
    OK(real(1e300 * 1e300, "Infinity"));
    OK(real(4.44, "4.44"));
    OK(real(1e20, "1e+20"));
    OK(prints(&(struct column){.type = COLUMN_BYTES, .strs = &STR("\x00\xff")}, "\\x00ff"));
    buf_fini(&out);
}

TEST(checksums_tell_fields_apart)
{
    struct rowsum *s = rowsum_new();
    int64_t a, b, c, again;

    rowsum_begin(s);
    rowsum_field(s, STR("ab"));
    rowsum_field(s, STR("c"));
    a = rowsum_end(s);
    rowsum_begin(s);
    rowsum_field(s, STR("a"));
    rowsum_field(s, STR("bc"));
    b = rowsum_end(s);
    rowsum_begin(s);
    rowsum_field(s, STR("ab"));
    rowsum_field(s, STR_NULL);
    c = rowsum_end(s);
    rowsum_begin(s);
    rowsum_field(s, STR("ab"));
    rowsum_field(s, STR("c"));
    again = rowsum_end(s);
    OK(a != b && a != c && b != c && a == again);
    rowsum_free(s);
}

TEST_MAIN
