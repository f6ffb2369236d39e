#include "net/fetch.h"

#include "base/test.h"
#include "net/http.h"

static void echo(struct http_req *q)
{
    struct buf b = buf_make(1 << 20);

    buf_fmt(&b, "%.*s %.*s %.*s|", STR_ARG(q->method), STR_ARG(q->target), STR_ARG(http_header(q, "X-A")));
    buf_str(&b, q->body);
    http_answer_buf(q, http_param_i64(q, "status", 200) == 404 ? 404 : 200, "text/x", &b);
}

static void big(struct http_req *q)
{
    struct buf b = buf_make(1 << 20);

    buf_zero(&b, 100000);
    http_answer_buf(q, 200, NULL, &b);
}

static void redirect(struct http_req *q)
{
    http_set(q, "Location", STR("/moved"));
    http_answer(q, 302, NULL, STR(""));
}

static struct http_req *parked;

static void park(struct http_req *q)
{
    parked = q;
    http_defer(q);
}

static const struct http_route *head(struct http_req *q, void *arg)
{
    static const struct http_route routes[] = {{.run = echo}, {.run = big}, {.run = redirect}, {.run = park}};

    (void)arg;
    return &routes[str_is(q->path, "/big")        ? 1
                   : str_is(q->path, "/redirect") ? 2
                   : str_is(q->path, "/park")     ? 3
                                                  : 0];
}

static struct net *net;
static struct arena a;
static struct err e;
static int port;

static bool get(const char *path, struct fetch f, struct fetch_answer *out)
{
    f.url = arena_fmt(&a, "http://127.0.0.1:%d%s", port, path);
    return fetch(&f, &a, out, &e);
}

static void answer_nothing(struct http_req *q)
{
    http_answer(q, 204, NULL, STR(""));
}

TEST(methods_bodies_and_limits)
{
    struct fetch_header h = {"X-A", "b"};
    struct fetch_answer out;

    OK(net_start(&(struct net_options){.loops = 1}, &net, &e));
    OK(http_listen(net, "127.0.0.1", 0, false, &(struct http_server){"t", head, NULL}, &port, &e));
    OK(get("/x?y=1", (struct fetch){.headers = &h, .header_count = 1}, &out));
    OK(out.status == 200 && str_is(out.body, "GET /x?y=1 b|") && str_is(out.type, "text/x"));
    OK(get("/p", (struct fetch){.body = STR("hello")}, &out) && str_is(out.body, "POST /p |hello"));
    OK(get("/p", (struct fetch){.method = "PUT", .body = STR("hello")}, &out) &&
       str_is(out.body, "PUT /p |hello"));
    OK(get("/p", (struct fetch){.method = "DELETE"}, &out) && str_is(out.body, "DELETE /p |"));
    OK(get("/p", (struct fetch){.method = "HEAD"}, &out) && out.status == 200 && out.body.n == 0);
    OK(get("/p?status=404", (struct fetch){0}, &out) && out.status == 404);
    OK(get("/redirect", (struct fetch){0}, &out) && out.status == 302);
    OK(get("/redirect", (struct fetch){.follow = true}, &out) && str_is(out.body, "GET /moved |"));
    OK(get("/big", (struct fetch){0}, &out) && out.body.n == 100000);
    OK(!get("/big", (struct fetch){.max_bytes = 99999}, &out) && e.kind == ERR_LIMIT);
    OK(!get("/park", (struct fetch){.timeout_ms = 50}, &out) && e.kind == ERR_TIMEOUT);
    net_shut(net, 0);
    OK(!get("/x", (struct fetch){0}, &out) && e.kind == ERR_REMOTE);
    http_resume(parked, answer_nothing);
    net_stop(net);
    OK(!fetch(&(struct fetch){.url = "file:///etc/passwd"}, &a, &out, &e) && e.kind == ERR_INVALID);
    arena_fini(&a);
}

TEST_MAIN
