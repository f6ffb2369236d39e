#include "connect/postgres/moment.h"

#include "base/utc.h"

/* pgjdbc's PGStatement.DATE_POSITIVE_INFINITY and DATE_NEGATIVE_INFINITY, which Debezium hands on. */
#define INFINITY_US     INT64_C(9223372036825200000)
#define NEG_INFINITY_US INT64_C(-9223372036832400000)

enum { ROUND_YEARS = 400, ROUND_DAYS = 146097 }; // after these the Gregorian calendar begins anew

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

/* What does not fit stays at the end, as where Java makes a long of it. */
static int64_t sum_us(int64_t us, int64_t more_us)
{
    int64_t sum;

    if (__builtin_add_overflow(us, more_us, &sum))
        return more_us < 0 ? INT64_MIN : INT64_MAX;
    return sum;
}

static int64_t timestamp_us(struct scan *s, bool bc)
{
    int64_t days = date_days(s, bc), us;

    expect(s, ' ');
    if (__builtin_mul_overflow(days, UTC_DAY, &us))
        us = days < 0 ? INT64_MIN : INT64_MAX;
    return sum_us(us, clock_us(s));
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

/* n in `digits` digits, at out; the end of it. */
static char *put(char *out, uint64_t n, int digits)
{
    for (int i = digits; i-- > 0; n /= 10)
        out[i] = (char)('0' + n % 10);
    return out + digits;
}

/* "11:51:30.123Z": the fraction has `digits` digits, or with 0 as many as it needs. */
static void put_clock(char *out, const struct utc *t, int digits)
{
    char *p = put(out, t->hour, 2);

    *p++ = ':';
    p = put(p, t->minute, 2);
    *p++ = ':';
    p = put(p, t->second, 2);
    if (digits > 0 || t->micro > 0) {
        char *point = p;

        *p++ = '.';
        p = put(p, t->micro, 6);
        if (digits > 0)
            p = point + 1 + digits;
        while (digits == 0 && p[-1] == '0')
            p--;
    }
    *p++ = 'Z';
    *p = '\0';
}

bool pgmoment_timetz(struct str text, char out[PGMOMENT_TEXT])
{
    struct scan s = scan_of(text);
    int64_t us = clock_us(&s);
    struct utc t;

    us -= offset_s(&s) * UTC_SECOND;
    t = utc_split(us);
    put_clock(out, &t, 0);
    return done(&s);
}

/* ISO 8601 as java.time has it: a year of four digits, or of more with a sign. */
static char *put_year(char *out, int64_t year)
{
    uint64_t n = (uint64_t)(year < 0 ? -year : year);
    int digits = 4;

    if (year < 0)
        *out++ = '-';
    else if (year > 9999)
        *out++ = '+';
    for (uint64_t more = n / 10000; more > 0; more /= 10)
        digits++;
    return put(out, n, digits);
}

/* PostgreSQL's years end 30 after those of an int64_t of microseconds, so whole rounds of the calendar are kept apart. */
bool pgmoment_timestamptz(struct str text, int digits, char out[PGMOMENT_TEXT])
{
    bool bc = cut_bc(&text);
    struct scan s = scan_of(text);
    int64_t days, rounds, us;
    struct utc t;
    char *p;

    if (is_infinity(text)) {
        memcpy(out, text.p, text.n);
        out[text.n] = '\0';
        return true;
    }
    days = date_days(&s, bc);
    rounds = days / ROUND_DAYS;
    expect(&s, ' ');
    us = (days - rounds * ROUND_DAYS) * UTC_DAY + clock_us(&s);
    us -= offset_s(&s) * UTC_SECOND;
    t = utc_split(us);
    p = put_year(out, t.year + rounds * ROUND_YEARS);
    *p++ = '-';
    p = put(p, t.month, 2);
    *p++ = '-';
    p = put(p, t.day, 2);
    *p++ = 'T';
    put_clock(p, &t, digits);
    return done(&s);
}

/* "1 year 2 mons 3 days 04:05:06.78", each with its own sign. */
bool pgmoment_interval(struct str text, int64_t *micros)
{
    struct scan s = scan_of(text);
    double months = 0, days = 0, whole;
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
    whole = (months * 30.4375 + days) * 86400e6;
    *micros = sum_us(whole >= 0x1p63 ? INT64_MAX : whole < -0x1p63 ? INT64_MIN : (int64_t)whole, us);
    return done(&s);
}
