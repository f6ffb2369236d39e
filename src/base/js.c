#include "base/js.h"

#include "base/limits.h"
#include "base/utf8.h"

struct scan {
    const char *begin, *at, *end;
    const char *why; // of the first fault
};

static bool fault(struct scan *s, const char *why)
{
    if (!s->why)
        s->why = why;
    return false;
}

static void blanks(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
        s->at++;
}

static bool take(struct scan *s, char c)
{
    if (s->at == s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

static bool word(struct scan *s, struct str w)
{
    if ((size_t)(s->end - s->at) < w.n || memcmp(s->at, w.p, w.n) != 0)
        return fault(s, "no value begins so");
    s->at += w.n;
    return true;
}

static size_t digits(struct scan *s)
{
    const char *from = s->at;

    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return (size_t)(s->at - from);
}

static bool number(struct scan *s)
{
    (void)take(s, '-');
    if (!take(s, '0') && digits(s) == 0)
        return fault(s, "no value begins so");
    if (take(s, '.') && digits(s) == 0)
        return fault(s, "a digit belongs behind the point");
    if (take(s, 'e') || take(s, 'E')) {
        if (!take(s, '+'))
            (void)take(s, '-');
        if (digits(s) == 0)
            return fault(s, "an exponent has digits");
    }
    return true;
}

/* Four hexadecimal digits; -1 when they are none. */
static int32_t hex4(const char *p, const char *end)
{
    int32_t v = 0;

    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int d = c >= '0' && c <= '9'                 ? c - '0'
                : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                     : -1;

        if (d < 0)
            return -1;
        v = v << 4 | d;
    }
    return v;
}

/* What stands behind a backslash: a letter, or u and four digits, or two such for a pair of surrogates. */
static bool escape(struct scan *s)
{
    int32_t c;

    if (s->at == s->end)
        return fault(s, "the text ends within a string");
    if (*s->at != 'u') {
        static const char letters[8] = {'"', '\\', '/', 'b', 'f', 'n', 'r', 't'};

        if (!memchr(letters, *s->at, sizeof letters))
            return fault(s, "there is no such escape");
        s->at++;
        return true;
    }
    c = hex4(s->at + 1, s->end);
    if (c < 0 || (c >= 0xdc00 && c < 0xe000))
        return fault(s, "that is no character");
    s->at += 5;
    if (c < 0xd800 || c >= 0xe000)
        return true;
    if (s->end - s->at < 6 || s->at[0] != '\\' || s->at[1] != 'u')
        return fault(s, "half of a surrogate pair");
    c = hex4(s->at + 2, s->end);
    s->at += 6;
    return (c >= 0xdc00 && c < 0xe000) || fault(s, "half of a surrogate pair");
}

static bool string(struct scan *s)
{
    s->at++;
    while (s->at < s->end) {
        unsigned char c = (unsigned char)*s->at;

        if (c == '"') {
            s->at++;
            return true;
        }
        if (c < 0x20)
            return fault(s, "a control character within a string");
        if (c >= 0x80) {
            size_t n = utf8_len(s->at, (size_t)(s->end - s->at));

            if (n == 0)
                return fault(s, "not UTF-8");
            s->at += n;
            continue;
        }
        s->at++;
        if (c == '\\' && !escape(s))
            return false;
    }
    return fault(s, "the text ends within a string");
}

static bool value(struct scan *s, int depth);

static bool key(struct scan *s)
{
    if (s->at == s->end || *s->at != '"')
        return fault(s, "a member begins with its name in quotes");
    if (!string(s))
        return false;
    blanks(s);
    return take(s, ':') || fault(s, "a colon belongs between name and value");
}

static bool inside(struct scan *s, char close, int depth)
{
    s->at++;
    blanks(s);
    if (take(s, close))
        return true;
    if (depth == LIMIT_JSON_DEPTH)
        return fault(s, "nested too deep");
    do {
        blanks(s);
        if (close == '}' && !key(s))
            return false;
        if (!value(s, depth + 1))
            return false;
        blanks(s);
    } while (take(s, ','));
    return take(s, close) || fault(s, "a comma or the end of the list is missing");
}

static bool value(struct scan *s, int depth)
{
    blanks(s);
    if (s->at == s->end)
        return fault(s, "the text ends where a value belongs");
    switch (*s->at) {
    case '{':
        return inside(s, '}', depth);
    case '[':
        return inside(s, ']', depth);
    case '"':
        return string(s);
    case 't':
        return word(s, STR("true"));
    case 'f':
        return word(s, STR("false"));
    case 'n':
        return word(s, STR("null"));
    default:
        return number(s);
    }
}

static enum js_kind kind_of(char first)
{
    switch (first) {
    case '{':
        return JS_OBJECT;
    case '[':
        return JS_ARRAY;
    case '"':
        return JS_STRING;
    case 't':
        return JS_TRUE;
    case 'f':
        return JS_FALSE;
    case 'n':
        return JS_NULL;
    default:
        return JS_NUMBER;
    }
}

static struct scan scan_of(struct str text)
{
    const char *p = text.p ? text.p : "";

    return (struct scan){.begin = p, .at = p, .end = p + text.n};
}

/* The value at the scanner, behind blanks. */
static bool one(struct scan *s, struct js *out)
{
    const char *from;

    blanks(s);
    from = s->at;
    if (!value(s, 0))
        return false;
    *out = (struct js){kind_of(*from), str_from(from, (size_t)(s->at - from))};
    return true;
}

bool js_read(struct str *rest, struct js *out, struct err *e)
{
    struct scan s = scan_of(*rest);

    *e = (struct err){.kind = ERR_NONE};
    blanks(&s);
    if (s.at == s.end) {
        *rest = str_from(s.at, 0);
        return false;
    }
    if (!one(&s, out))
        return err_set(e, ERR_BAD_INPUT, "not JSON: %s, at byte %zu", s.why, (size_t)(s.at - s.begin));
    *rest = str_from(s.at, (size_t)(s.end - s.at));
    return true;
}

bool js_whole(struct str text, struct js *out, struct err *e)
{
    struct str rest = text;
    struct js more;

    if (!js_read(&rest, out, e))
        return e->kind == ERR_NONE ? err_set(e, ERR_BAD_INPUT, "not JSON: there is no value") : false;
    if (js_read(&rest, &more, e) || e->kind != ERR_NONE)
        return err_set(e, ERR_BAD_INPUT, "not JSON: something stands behind the value");
    return true;
}

/* ---- parts of a value that was checked ---- */

struct js_it js_in(struct js v)
{
    if (v.kind != JS_OBJECT && v.kind != JS_ARRAY)
        return (struct js_it){0};
    return (struct js_it){._rest = str_from(v.text.p + 1, v.text.n - 2), ._object = v.kind == JS_OBJECT};
}

bool js_next(struct js_it *it, struct js *value_out)
{
    struct scan s = scan_of(it->_rest);
    const char *from;

    blanks(&s);
    (void)take(&s, ',');
    blanks(&s);
    if (s.at == s.end)
        return false;
    if (it->_object) {
        from = s.at;
        (void)string(&s);
        it->key = str_from(from, (size_t)(s.at - from));
        blanks(&s);
        (void)take(&s, ':');
    }
    if (!one(&s, value_out))
        return false;
    it->_rest = str_from(s.at, (size_t)(s.end - s.at));
    return true;
}

static size_t utf8_put(char *to, int32_t c)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (char)(0xc0 | c >> 6);
        to[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (char)(0xe0 | c >> 12);
        to[1] = (char)(0x80 | (c >> 6 & 0x3f));
        to[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    to[0] = (char)(0xf0 | c >> 18);
    to[1] = (char)(0x80 | (c >> 12 & 0x3f));
    to[2] = (char)(0x80 | (c >> 6 & 0x3f));
    to[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* One character at *p, which is a backslash, of a string that was checked. */
static size_t unescape(const char **p, const char *end, char *to)
{
    static const char letters[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    char letter = (*p)[1];
    int32_t c;

    if (letter != 'u') {
        const char *at = memchr(letters, letter, sizeof letters - 1);

        *p += 2;
        to[0] = at ? means[at - letters] : letter;
        return 1;
    }
    c = hex4(*p + 2, end);
    *p += 6;
    if (c >= 0xd800 && c < 0xdc00) {
        c = 0x10000 + ((c - 0xd800) << 10) + (hex4(*p + 2, end) - 0xdc00);
        *p += 6;
    }
    return utf8_put(to, c);
}

/* Never longer than what was written: the shortest escape of a character of n bytes has more than n. */
static struct str plain(struct str quoted, struct arena *a)
{
    const char *p = quoted.p + 1, *end = quoted.p + quoted.n - 1;
    char *to;
    size_t n = 0;

    if (!memchr(p, '\\', quoted.n - 2))
        return str_from(p, quoted.n - 2);
    to = arena_alloc(a, quoted.n);
    while (p < end) {
        if (*p == '\\')
            n += unescape(&p, end, to + n);
        else
            to[n++] = *p++;
    }
    return str_from(to, n);
}

struct str js_str(struct js v, struct arena *a)
{
    return v.kind == JS_STRING ? plain(v.text, a) : STR_NULL;
}

bool js_key_is(const struct js_it *it, const char *name)
{
    struct arena a = {0};
    bool same;

    if (!it->key.p)
        return false;
    same = str_is(plain(it->key, &a), name);
    arena_fini(&a);
    return same;
}

struct js js_get(struct js object, const char *name)
{
    struct js v, found = {0};

    for (struct js_it it = js_in(object); js_next(&it, &v);)
        if (it._object && js_key_is(&it, name))
            found = v;
    return found;
}

bool js_i64(struct js v, int64_t *out)
{
    return v.kind == JS_NUMBER && str_i64(v.text, out);
}

void js_put(struct buf *out, struct js v)
{
    const char *p = v.text.p, *end = p ? p + v.text.n : p;

    while (p < end) {
        const char *from = p;

        if (*p == '"') { // to its end
            for (p++; p < end && *p != '"'; p++)
                p += *p == '\\' && p + 1 < end;
            p += p < end;
        } else if (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r') {
            p++;
            continue;
        } else {
            while (p < end && *p != '"' && *p != ' ' && *p != '\t' && *p != '\n' && *p != '\r')
                p++;
        }
        buf_put(out, from, (size_t)(p - from));
    }
}
