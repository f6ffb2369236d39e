#include "net/http_path.h"

#include "base/buf.h"

#include <assert.h>

struct asked {
    struct str method; // HEAD is GET
    struct str segments[HTTP_PATH_SEGMENTS];
    int count; // -1: malformed, or too many
};

static const struct http_path *row(const struct http_paths *t, size_t i)
{
    return (const void *)((const char *)t->first + i * t->row_bytes);
}

static bool fits(const struct http_path *p, const struct asked *asked, struct str names[HTTP_PATH_NAMES])
{
    struct str rest = str_of(p->pattern), part;
    int i = 0, n = 0;

    for (int k = 0; k < HTTP_PATH_NAMES; k++)
        names[k] = STR_NULL;
    while (str_cut(&rest, '/', &part)) {
        if (part.n == 0)
            continue;
        if (i >= asked->count)
            return false;
        if (part.p[0] == '{') {
            assert(n < HTTP_PATH_NAMES);
            names[n++] = asked->segments[i];
        } else if (!str_eq(asked->segments[i], part)) {
            return false;
        }
        i++;
    }
    return i == asked->count;
}

static void add_method(struct buf *allow, const char *method)
{
    struct str m = str_of(method);

    buf_str(allow, allow->n > 0 ? STR(", ") : STR(""));
    buf_str(allow, m);
    if (str_is(m, "GET"))
        buf_str(allow, STR(", HEAD"));
}

int http_find(const struct http_paths *t, struct http_req *q, struct str names[HTTP_PATH_NAMES])
{
    struct asked asked = {.method = str_is(q->method, "HEAD") ? STR("GET") : q->method};
    struct buf allow = buf_make(1024);
    int found = -404;

    asked.count = http_segments(q, asked.segments, HTTP_PATH_SEGMENTS);
    for (size_t i = 0; i < t->count && found < 0; i++) {
        const struct http_path *p = row(t, i);

        if (!fits(p, &asked, names))
            continue;
        found = str_is(asked.method, p->method) ? (int)i : -405;
        add_method(&allow, p->method);
    }
    if (found == -405)
        http_set(q, "Allow", buf_view(&allow));
    buf_fini(&allow);
    return found;
}
