#include "s3/http_rules.h"

#include "base/utc.h"

#include <stdio.h>

enum s3_code range_read(struct str header, int64_t size, struct range *out)
{
    struct str first, last;
    ptrdiff_t dash;
    int64_t from, to;

    *out = (struct range){false, 0, size};
    header = str_trim(header);
    if (!str_starts(header, STR("bytes=")))
        return S3_OK;
    header = str_from(header.p + 6, header.n - 6);
    dash = str_find(header, '-');
    if (dash < 0)
        return S3_OK;
    first = str_trim(str_from(header.p, (size_t)dash));
    last = str_trim(str_from(header.p + dash + 1, header.n - (size_t)dash - 1));
    if (first.n == 0) { // the last so many bytes
        if (!str_i64(last, &to) || to < 0)
            return S3_OK;
        from = to < size ? size - to : 0;
        if (to == 0 || size == 0)
            return S3_INVALID_RANGE;
        *out = (struct range){true, from, size - from};
        return S3_OK;
    }
    if (!str_i64(first, &from) || from < 0)
        return S3_OK;
    if (last.n == 0)
        to = size - 1;
    else if (!str_i64(last, &to) || to < from)
        return S3_OK;
    if (from >= size)
        return S3_INVALID_RANGE;
    if (to >= size)
        to = size - 1;
    *out = (struct range){true, from, to - from + 1};
    return S3_OK;
}

/* ---- dates ---- */

static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

const char *http_date(int64_t us, char out[HTTP_DATE])
{
    struct utc t = utc_split(us);
    int64_t day = utc_days(t.year, t.month, t.day) + 4; // 1970-01-01 was a Thursday

    (void)snprintf(out, HTTP_DATE, "%s, %02u %s %04lld %02u:%02u:%02u GMT", days[(day % 7 + 7) % 7], t.day,
                   months[t.month - 1], (long long)t.year, t.hour, t.minute, t.second);
    return out;
}

static bool number(const char *p, size_t n, unsigned *out)
{
    uint64_t v;

    if (!str_u64(str_from(p, n), &v))
        return false;
    *out = (unsigned)v;
    return true;
}

bool http_date_read(struct str s, int64_t *us)
{
    struct utc t = {0};
    unsigned year;

    s = str_trim(s);
    if (s.n != 29 || !number(s.p + 5, 2, &t.day) || !number(s.p + 12, 4, &year) ||
        !number(s.p + 17, 2, &t.hour) || !number(s.p + 20, 2, &t.minute) || !number(s.p + 23, 2, &t.second))
        return false;
    for (unsigned m = 0; m < 12; m++)
        if (str_eq(str_from(s.p + 8, 3), str_of(months[m])))
            t.month = m + 1;
    if (t.month == 0 || t.day < 1 || t.day > 31 || t.hour > 23 || t.minute > 59 || t.second > 60)
        return false;
    t.year = year;
    *us = utc_micros(&t);
    return true;
}

/* ---- conditions ---- */

struct str etag_bare(struct str s)
{
    s = str_trim(s);
    if (str_starts(s, STR("W/")))
        s = str_from(s.p + 2, s.n - 2);
    if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
        s = str_from(s.p + 1, s.n - 2);
    return s;
}

bool etag_listed(struct str list, struct str etag)
{
    struct str one;

    if (str_is(str_trim(list), "*"))
        return true;
    while (str_cut(&list, ',', &one))
        if (str_eq(etag_bare(one), etag))
            return true;
    return false;
}

enum s3_code conditions_check(const struct conditions *c, struct str etag, int64_t modified_us)
{
    int64_t seconds = modified_us - modified_us % UTC_SECOND, when; // headers have no fractions

    if (c->if_match.p) {
        if (!etag_listed(c->if_match, etag))
            return S3_PRECONDITION;
    } else if (c->if_unmodified_since.p && http_date_read(c->if_unmodified_since, &when) && seconds > when) {
        return S3_PRECONDITION;
    }
    if (c->if_none_match.p)
        return etag_listed(c->if_none_match, etag) ? S3_NOT_MODIFIED : S3_OK;
    if (c->if_modified_since.p && http_date_read(c->if_modified_since, &when) && seconds <= when)
        return S3_NOT_MODIFIED;
    return S3_OK;
}
