#include "base/utc.h"

#include <stdio.h>

int64_t utc_days(int64_t year, unsigned month, unsigned day)
{
    int64_t y = year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + (int64_t)day - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

    return era * 146097 + doe - 719468;
}

int64_t utc_micros(const struct utc *t)
{
    int64_t s = utc_days(t->year, t->month, t->day) * 86400 + (int64_t)t->hour * 3600 +
                (int64_t)t->minute * 60 + (int64_t)t->second;

    return s * UTC_SECOND + (int64_t)t->micro;
}

struct utc utc_split(int64_t micros)
{
    int64_t days = micros / UTC_DAY - (micros % UTC_DAY < 0);
    int64_t left = micros - days * UTC_DAY;
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    unsigned month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);

    return (struct utc){
        .year = yoe + era * 400 + (month <= 2),
        .month = month,
        .day = (unsigned)(doy - (153 * mp + 2) / 5 + 1),
        .hour = (unsigned)(left / (3600 * (int64_t)UTC_SECOND)),
        .minute = (unsigned)(left / (60 * (int64_t)UTC_SECOND) % 60),
        .second = (unsigned)(left / UTC_SECOND % 60),
        .micro = (unsigned)(left % UTC_SECOND),
    };
}

const char *utc_iso(int64_t micros, int digits, char *out)
{
    struct utc t = utc_split(micros);
    int n = snprintf(out, UTC_TEXT, "%04lld-%02u-%02uT%02u:%02u:%02u", (long long)t.year, t.month, t.day,
                     t.hour, t.minute, t.second);

    if (digits == 3)
        n += snprintf(out + n, (size_t)(UTC_TEXT - n), ".%03u", t.micro / 1000);
    else if (digits == 6)
        n += snprintf(out + n, (size_t)(UTC_TEXT - n), ".%06u", t.micro);
    (void)snprintf(out + n, (size_t)(UTC_TEXT - n), "Z");
    return out;
}

/* n digits at *p, then the character `next`, which 0 leaves out. */
static bool field(const char **p, const char *end, int n, char next, int64_t *out)
{
    *out = 0;
    if (end - *p < n + (next != 0))
        return false;
    for (; n > 0; n--, (*p)++) {
        if (**p < '0' || **p > '9')
            return false;
        *out = *out * 10 + (**p - '0');
    }
    if (next && *(*p)++ != next)
        return false;
    return true;
}

static bool fraction(const char **p, const char *end, int64_t *micro)
{
    int64_t worth = 100000;

    *micro = 0;
    if (*p == end || **p != '.')
        return true;
    for ((*p)++; *p < end && **p >= '0' && **p <= '9'; (*p)++, worth /= 10)
        *micro += (**p - '0') * worth;
    return (*p)[-1] != '.';
}

static bool zone(const char **p, const char *end, int64_t *minutes)
{
    int64_t h, m;
    char sign = *p < end ? *(*p)++ : 0;

    *minutes = 0;
    if (sign == 'Z')
        return *p == end;
    if ((sign != '+' && sign != '-') || !field(p, end, 2, ':', &h) || !field(p, end, 2, 0, &m) || h > 18 ||
        m > 59)
        return false;
    *minutes = sign == '-' ? -(h * 60 + m) : h * 60 + m;
    return *p == end;
}

bool utc_parse(struct str text, int64_t *micros)
{
    const char *p = text.p, *end = p ? p + text.n : p;
    int64_t year, month, day, hour, minute, second, micro, offset;
    struct utc t, again;

    if (!field(&p, end, 4, '-', &year) || !field(&p, end, 2, '-', &month) || !field(&p, end, 2, 'T', &day) ||
        !field(&p, end, 2, ':', &hour) || !field(&p, end, 2, ':', &minute) ||
        !field(&p, end, 2, 0, &second) || !fraction(&p, end, &micro) || !zone(&p, end, &offset))
        return false;
    if (month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59)
        return false;
    t = (struct utc){year,           (unsigned)month,  (unsigned)day,
                     (unsigned)hour, (unsigned)minute, (unsigned)second,
                     (unsigned)micro};
    again = utc_split(utc_micros(&t));
    if (again.day != t.day) // 30 February
        return false;
    *micros = utc_micros(&t) - offset * 60 * UTC_SECOND;
    return true;
}
