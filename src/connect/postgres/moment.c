#include "connect/postgres/moment.h"

#include "base/utc.h"

#include <stdio.h>

/* pgjdbc's PGStatement.DATE_POSITIVE_INFINITY and DATE_NEGATIVE_INFINITY, which Debezium hands on. */
#define INFINITY_US     INT64_C(9223372036825200000)
#define NEG_INFINITY_US INT64_C(-9223372036832400000)

struct scan {
    const char *p, *end;
    bool bad;
};

static struct scan scan_of(struct str s)
{
    return (struct scan){s.p, s.p + s.n, false};
}

static bool take(struct scan *s, char c)
{
    if (s->p == s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

/* One to nine digits. */
static int64_t number(struct scan *s)
{
    int64_t n = 0;
    int digits = 0;

    while (s->p < s->end && *s->p >= '0' && *s->p <= '9' && digits++ < 9)
        n = n * 10 + (*s->p++ - '0');
    s->bad |= digits == 0;
    return n;
}

static void expect(struct scan *s, char c)
{
    s->bad |= !take(s, c);
}

static int64_t fraction_us(struct scan *s)
{
    int64_t us = 0, unit = 100000;

    if (!take(s, '.'))
        return 0;
    for (; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++, unit /= 10)
        us += (*s->p - '0') * unit;
    return us;
}

static int64_t clock_us(struct scan *s)
{
    int64_t h = number(s), m, sec = 0;

    expect(s, ':');
    m = number(s);
    if (take(s, ':'))
        sec = number(s);
    return ((h * 60 + m) * 60 + sec) * UTC_SECOND + fraction_us(s);
}

/* Years BC count down from 1: 1 BC is year 0. */
static int64_t date_days(struct scan *s, bool bc)
{
    int64_t y = number(s), m, d;

    expect(s, '-');
    m = number(s);
    expect(s, '-');
    d = number(s);
    s->bad |= m < 1 || m > 12 || d < 1 || d > 31;
    return utc_days(bc ? 1 - y : y, (unsigned)m, (unsigned)d);
}

static bool cut_bc(struct str *text)
{
    if (!str_ends(*text, STR(" BC")))
        return false;
    text->n -= 3;
    return true;
}

static bool done(const struct scan *s)
{
    return !s->bad && s->p == s->end;
}

static bool is_infinity(struct str text)
{
    return str_is(text, "infinity") || str_is(text, "-infinity");
}

bool pgmoment_date(struct str text, int64_t *days)
{
    bool bc = cut_bc(&text), ends = is_infinity(text);
    struct scan s = scan_of(text);

    /* What java.time.LocalDate makes of the driver's infinities. */
    *days = ends ? utc_days(-5877611, 6, text.p[0] == '-' ? 22 : 21) : date_days(&s, bc);
    return ends || done(&s);
}

bool pgmoment_time(struct str text, int64_t *micros)
{
    struct scan s = scan_of(text);

    *micros = clock_us(&s);
    return done(&s);
}

static int64_t timestamp_us(struct scan *s, bool bc)
{
    int64_t days = date_days(s, bc);

    expect(s, ' ');
    return days * UTC_DAY + clock_us(s);
}

bool pgmoment_timestamp(struct str text, int64_t *micros)
{
    bool bc = cut_bc(&text), ends = is_infinity(text);
    struct scan s = scan_of(text);

    *micros = !ends ? timestamp_us(&s, bc) : text.p[0] == '-' ? NEG_INFINITY_US : INFINITY_US;
    return ends || done(&s);
}

/* "+02", "-03:30", "+00:19:32", in seconds. */
static int64_t offset_s(struct scan *s)
{
    bool west = take(s, '-');
    int64_t n;

    if (!west)
        expect(s, '+');
    n = number(s) * 3600;
    if (take(s, ':'))
        n += number(s) * 60;
    if (take(s, ':'))
        n += number(s);
    return west ? -n : n;
}

/* ".123" without zeros at the end, or nothing. */
static const char *fraction_text(unsigned micro, int digits, char out[8])
{
    size_t n = 7;

    (void)snprintf(out, 8, ".%06u", micro);
    if (digits > 0)
        n = (size_t)digits + 1;
    else
        while (n > 1 && out[n - 1] == '0')
            n--;
    out[n > 1 ? n : 0] = '\0';
    return out;
}

bool pgmoment_timetz(struct str text, char *out, size_t size)
{
    struct scan s = scan_of(text);
    int64_t us = clock_us(&s);
    struct utc t;
    char fraction[8];

    us -= offset_s(&s) * UTC_SECOND;
    t = utc_split(us);
    (void)snprintf(out, size, "%02u:%02u:%02u%sZ", t.hour, t.minute, t.second,
                   fraction_text(t.micro, 0, fraction));
    return done(&s);
}

bool pgmoment_timestamptz(struct str text, int digits, char *out, size_t size)
{
    bool bc = cut_bc(&text);
    struct scan s = scan_of(text);
    char fraction[8], year[24];
    struct utc t;
    int64_t us;

    if (is_infinity(text)) {
        (void)snprintf(out, size, "%.*s", STR_ARG(text));
        return true;
    }
    us = timestamp_us(&s, bc);
    us -= offset_s(&s) * UTC_SECOND;
    t = utc_split(us);
    /* ISO 8601 as java.time has it: four digits, more of them with a sign. */
    (void)snprintf(year, sizeof year,
                   t.year > 9999 ? "+%lld"
                   : t.year < 0  ? "-%04lld"
                                 : "%04lld",
                   (long long)(t.year < 0 ? -t.year : t.year));
    (void)snprintf(out, size, "%s-%02u-%02uT%02u:%02u:%02u%sZ", year, t.month, t.day, t.hour, t.minute,
                   t.second, fraction_text(t.micro, digits, fraction));
    return done(&s);
}

/* "1 year 2 mons 3 days 04:05:06.78", each with its own sign. */
bool pgmoment_interval(struct str text, int64_t *micros)
{
    struct scan s = scan_of(text);
    double months = 0, days = 0;
    int64_t us = 0;

    while (s.p < s.end && !s.bad) {
        bool negative = take(&s, '-');
        const char *start;
        int64_t n;

        if (!negative)
            (void)take(&s, '+');
        start = s.p;
        n = number(&s);
        if (s.p < s.end && *s.p == ':') {
            s.p = start;
            us = clock_us(&s);
            us = negative ? -us : us;
            break;
        }
        expect(&s, ' ');
        start = s.p;
        while (s.p < s.end && *s.p != ' ')
            s.p++;
        if (negative)
            n = -n;
        if (str_starts(str_from(start, (size_t)(s.p - start)), STR("year")))
            months += 12 * (double)n;
        else if (str_starts(str_from(start, (size_t)(s.p - start)), STR("mon")))
            months += (double)n;
        else if (str_starts(str_from(start, (size_t)(s.p - start)), STR("day")))
            days += (double)n;
        else
            s.bad = true;
        (void)take(&s, ' ');
    }
    *micros = (int64_t)((months * 30.4375 + days) * 86400e6) + us;
    return done(&s);
}
