/* Defaults of columns, read as Debezium reads them (PostgresDefaultValueConverter): no expression is evaluated. */
#include "connect/postgres/pgvalue.h"

struct str pgvalue_zero_text(const struct type *t)
{
    switch (t->conv) {
    case CONV_BOOL:
        return STR("f");
    case CONV_BIT:
        return STR("0");
    case CONV_INT16:
    case CONV_INT32:
    case CONV_INT64:
    case CONV_FLOAT32:
    case CONV_FLOAT64:
    case CONV_DECIMAL:
    case CONV_VAR_DECIMAL:
    case CONV_NUMERIC_F64:
    case CONV_NUMERIC_TEXT:
    case CONV_MONEY:
        return STR("0");
    case CONV_BYTES:
    case CONV_BASE64:
    case CONV_BASE64_URL:
    case CONV_HEX:
        return STR("\\x");
    case CONV_DATE:
        return STR("1970-01-01");
    case CONV_TIME_MS:
    case CONV_TIME_US:
    case CONV_INTERVAL_US:
        return STR("00:00:00");
    case CONV_TIMESTAMP_MS:
    case CONV_TIMESTAMP_US:
        return STR("1970-01-01 00:00:00");
    case CONV_TIMESTAMPTZ:
        return STR("1970-01-01 00:00:00+00");
    case CONV_TIMETZ:
        return STR("00:00:00+00");
    case CONV_ARRAY:
        return STR("{}");
    default:
        return STR("");
    }
}

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
}

/* "nextval('x'::regclass)", "(now() AT TIME ZONE 'utc')", CURRENT_TIMESTAMP. */
static bool is_function(struct str s)
{
    static const char *const words[] = {"current_timestamp", "current_time", "current_date", "localtime",
                                        "localtimestamp"};
    size_t i = s.n > 0 && s.p[0] == '(', start = i;

    for (size_t w = 0; w < sizeof words / sizeof words[0]; w++)
        if (str_eq_nocase(s, str_of(words[w])))
            return true;
    while (i < s.n && name_char(s.p[i]))
        i++;
    return i > start && i < s.n && s.p[i] == '(' && memchr(s.p + i, ')', s.n - i) != NULL;
}

/* Between the first pair of quotes, doubled ones made single; without quotes the whole. */
static struct str literal(struct str s, struct arena *a)
{
    ptrdiff_t quote = str_find(s, '\'');
    char *out = arena_alloc(a, s.n + 1);
    size_t n = 0;

    if (quote < 0)
        return str_starts(s, STR("NULL::")) ? STR_NULL : arena_str(a, s);
    for (size_t i = (size_t)quote + 1; i < s.n; i++) {
        if (s.p[i] == '\'' && (i + 1 == s.n || s.p[i + 1] != '\''))
            return str_from(out, n);
        i += s.p[i] == '\'';
        out[n++] = s.p[i];
    }
    return STR_NULL;
}

/* Debezium reads defaults of these types only. */
static bool has_defaults(const struct type *t)
{
    switch (t->conv) {
    case CONV_NONE:
    case CONV_ARRAY:
    case CONV_MONEY:
    case CONV_BYTES:
    case CONV_BASE64:
    case CONV_BASE64_URL:
    case CONV_HEX:
    case CONV_TIMETZ:
    case CONV_VAR_DECIMAL: // a struct cannot be a default (KAFKA-12694)
        return false;
    default:
        return true;
    }
}

static struct str generated(const struct type *t)
{
    if (t->logical && strcmp(t->logical, "io.debezium.data.Json") == 0)
        return STR("{}");
    if (t->logical && strcmp(t->logical, "io.debezium.data.Uuid") == 0)
        return STR("00000000-0000-0000-0000-000000000000");
    return pgvalue_zero_text(t);
}

struct str pgvalue_default_text(const struct type *t, struct str expression, struct arena *a)
{
    struct str s = str_trim(expression), out;

    if (!expression.p || !has_defaults(t) || str_starts(s, STR("NULL::")) || str_eq_nocase(s, STR("null")))
        return STR_NULL;
    if (is_function(s))
        return generated(t);
    out = literal(s, a);
    if (out.p && t->conv == CONV_BOOL)
        return str_eq_nocase(out, STR("true")) || str_eq_nocase(out, STR("t")) ? STR("t") : STR("f");
    if (out.p && out.n == 10 && (t->conv == CONV_TIMESTAMP_MS || t->conv == CONV_TIMESTAMP_US))
        return str_of(arena_fmt(a, "%.*s 00:00:00", STR_ARG(out)));
    return out;
}
