#include "net/http_int.h"

#include "base/arena.h"

struct str http_header(const struct http_req *q, const char *name)
{
    for (size_t i = 0; i < q->header_count; i++)
        if (str_eq_nocase(q->headers[i].name, str_of(name)))
            return q->headers[i].value;
    return STR_NULL;
}

struct str http_content_type(const struct http_req *q)
{
    struct str header = http_header(q, "Content-Type"), type = STR_NULL;

    (void)str_cut(&header, ';', &type);
    return str_trim(type);
}

const char *http_type_in(struct str type, const char *const *types, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq_nocase(type, str_of(types[i])))
            return types[i];
    return NULL;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct str http_decode(struct arena *a, struct str in, bool plus_is_blank)
{
    char *p = arena_alloc(a, in.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        if (c == '%') {
            int hi = in.n - i > 2 ? hex(in.p[i + 1]) : -1, lo = hi >= 0 ? hex(in.p[i + 2]) : -1;
            if (lo < 0)
                return STR_NULL;
            c = (char)(hi << 4 | lo);
            i += 2;
        } else if (c == '+' && plus_is_blank) {
            c = ' ';
        }
        p[n++] = c;
    }
    return str_from(p, n);
}

void http_encode(struct buf *out, struct str s, bool keep_slash)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
            c == '_' || c == '.' || c == '~' || (c == '/' && keep_slash))
            buf_u8(out, (uint8_t)c);
        else
            buf_fmt(out, "%%%02X", (uint8_t)c);
    }
}

struct str http_param(struct http_req *q, const char *name)
{
    struct str rest = q->query, pair, key;

    while (str_cut(&rest, '&', &pair)) {
        ptrdiff_t at = str_find(pair, '=');
        struct str value = at < 0 ? STR("") : str_from(pair.p + at + 1, pair.n - (size_t)at - 1);
        key = http_decode(q->arena, at < 0 ? pair : str_from(pair.p, (size_t)at), true);
        if (key.p && str_is(key, name))
            return http_decode(q->arena, value, true);
    }
    return STR_NULL;
}

int64_t http_param_i64(struct http_req *q, const char *name, int64_t otherwise)
{
    struct str value = http_param(q, name);
    int64_t n;

    return value.p && str_i64(value, &n) ? n : otherwise;
}

int http_segments(struct http_req *q, struct str *out, int max)
{
    struct str rest = q->path, part;
    int n = 0;

    while (str_cut(&rest, '/', &part)) {
        if (part.n == 0)
            continue;
        if (n == max)
            return -1;
        out[n] = http_decode(q->arena, part, false);
        if (!out[n].p)
            return -1;
        n++;
    }
    return n;
}
