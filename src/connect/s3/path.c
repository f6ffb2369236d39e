#include "connect/s3/s3_sink_int.h"

#include "base/utc.h"

/* The run of one letter, or of quoted text, that a pattern begins with. */
struct token {
    char letter; // 0: text as it is
    struct str text;
    size_t n; // bytes of the pattern
};

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool next_token(struct str s, struct token *t)
{
    size_t n = 1;

    if (s.p[0] == '\'') {
        const char *end = memchr(s.p + 1, '\'', s.n - 1);

        if (!end)
            return false;
        *t = (struct token){0, str_from(s.p + 1, (size_t)(end - s.p) - 1), (size_t)(end - s.p) + 1};
        if (t->text.n == 0) // '' is a quote
            t->text = STR("'");
        return true;
    }
    if (!is_letter(s.p[0])) {
        *t = (struct token){0, str_from(s.p, 1), 1};
        return true;
    }
    while (n < s.n && s.p[n] == s.p[0])
        n++;
    *t = (struct token){s.p[0], STR(""), n};
    return true;
}

bool path_check(struct str format, struct err *e)
{
    struct str rest = format;
    struct token t;

    if (format.n == 0)
        return err_set(e, ERR_INVALID, "Invalid value  for configuration path.format: it must not be empty");
    for (; rest.n > 0; rest = str_from(rest.p + t.n, rest.n - t.n)) {
        if (!next_token(rest, &t))
            return err_set(e, ERR_INVALID,
                           "Invalid value %.*s for configuration path.format: a quote is not closed",
                           STR_ARG(format));
        if (t.letter && !strchr("YyMdHms", t.letter))
            return err_set(e, ERR_INVALID,
                           "Invalid value %.*s for configuration path.format: the letter %c is not supported",
                           STR_ARG(format), t.letter);
        if (t.letter == 'M' && t.n > 2)
            return err_set(
                e, ERR_INVALID,
                "Invalid value %.*s for configuration path.format: names of months are not supported",
                STR_ARG(format));
    }
    return true;
}

static int64_t value_of(const struct utc *t, char letter)
{
    switch (letter) {
    case 'M':
        return t->month;
    case 'd':
        return t->day;
    case 'H':
        return t->hour;
    case 'm':
        return t->minute;
    case 's':
        return t->second;
    default:
        return t->year;
    }
}

int64_t path_time(const struct path_rule *rule, int64_t time_ms)
{
    int64_t past = rule->timed ? time_ms % rule->duration_ms : 0;

    if (!rule->timed)
        return 0;
    return time_ms - (past < 0 ? past + rule->duration_ms : past);
}

void path_write(const struct path_rule *rule, int32_t partition, int64_t time, struct buf *out)
{
    struct str rest = rule->format;
    struct token t;
    struct utc at;

    if (!rule->timed) {
        buf_fmt(out, "partition=%d", (int)partition);
        return;
    }
    at = utc_split(time * 1000);
    for (; rest.n > 0 && next_token(rest, &t); rest = str_from(rest.p + t.n, rest.n - t.n)) {
        int64_t v = t.letter ? value_of(&at, t.letter) : 0;

        if (!t.letter)
            buf_str(out, t.text);
        else if ((t.letter == 'y' || t.letter == 'Y') && t.n == 2)
            buf_fmt(out, "%02lld", (long long)(v % 100));
        else
            buf_fmt(out, "%0*lld", (int)t.n, (long long)v);
    }
}
