#include "console/console.h"

#include "base/limits.h"
#include "base/mem.h"
#include "net/http.h"
#include "obs/obs.h"

struct console {
    struct console_env env;
};

#define ANSWER_MAX (16 * MIB)

static const char json[] = "application/json";

static void answer_json(struct http_req *q, console_json_fn *fn)
{
    struct console *c = q->arg;
    struct buf b = buf_make(ANSWER_MAX);

    fn(c->env.arg, &b);
    if (buf_ok(&b)) {
        http_answer_buf(q, 200, json, &b);
        return;
    }
    buf_fini(&b);
    http_answer(q, 500, json, STR("{\"error\":\"the answer is too large\"}"));
}

static void get_status(struct http_req *q)
{
    answer_json(q, ((struct console *)q->arg)->env.status);
}

static void get_settings(struct http_req *q)
{
    answer_json(q, ((struct console *)q->arg)->env.settings);
}

static void get_metrics(struct http_req *q)
{
    struct buf b = buf_make(ANSWER_MAX);

    obs_metrics(&b);
    if (buf_ok(&b)) {
        http_answer_buf(q, 200, "text/plain; version=0.0.4; charset=utf-8", &b);
        return;
    }
    buf_fini(&b);
    http_answer(q, 500, json, STR("{\"error\":\"the answer is too large\"}"));
}

static void get_health(struct http_req *q)
{
    http_answer(q, 200, json, STR("{\"status\":\"ok\"}"));
}

static void put_paths(struct buf *b, const struct console_endpoint *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_fmt(b, "%s{\"method\":\"%s\",\"path\":\"%s\"}", b->p[b->n - 1] == '[' ? "" : ",", rows[i].method,
                rows[i].path);
}

/* {"endpoints":[...]}, and an error in front of it where nothing is. */
static void answer_paths(struct http_req *q, int status, struct str before);

static void get_paths(struct http_req *q)
{
    answer_paths(q, 200, STR("{"));
}

static void not_found(struct http_req *q)
{
    answer_paths(q, 404, STR("{\"error\":\"there is nothing at this path\","));
}

static void wrong_method(struct http_req *q)
{
    http_set(q, "Allow", str_of(q->user));
    http_answer(q, 405, json, STR("{\"error\":\"not with this method\"}"));
}

static const struct console_endpoint endpoints[] = {
    {"GET", "/", {.run = get_paths}},
    {"GET", "/api/status", {.run = get_status}},
    {"GET", "/api/settings", {.run = get_settings}},
    {"GET", "/metrics", {.run = get_metrics}},
    {"GET", "/health", {.run = get_health}},
};

static void answer_paths(struct http_req *q, int status, struct str before)
{
    const struct console_env *env = &((struct console *)q->arg)->env;
    struct buf b = buf_make(ANSWER_MAX);

    buf_str(&b, before);
    buf_str(&b, STR("\"endpoints\":["));
    put_paths(&b, endpoints, ARRAY_LEN(endpoints));
    put_paths(&b, env->more, env->more_count);
    buf_str(&b, STR("]}"));
    http_answer_buf(q, status, json, &b);
}

/* The row of this path, and of this method when there is one. */
static const struct http_route *find(struct http_req *q, const struct console_endpoint *rows, size_t count,
                                     const struct http_route *found)
{
    static const struct http_route other = {.run = wrong_method};
    struct str method = str_is(q->method, "HEAD") ? STR("GET") : q->method;

    for (size_t i = 0; i < count; i++) {
        if (!str_is(q->path, rows[i].path))
            continue;
        if (str_is(method, rows[i].method))
            return &rows[i].route;
        q->user = arena_fmt(q->arena, "%s", rows[i].method);
        found = &other;
    }
    return found;
}

static const struct http_route *head(struct http_req *q, void *arg)
{
    static const struct http_route none = {.run = not_found};
    struct console *c = arg;

    return find(q, c->env.more, c->env.more_count, find(q, endpoints, ARRAY_LEN(endpoints), &none));
}

void *console_arg(const struct http_req *q)
{
    return ((struct console *)q->arg)->env.arg;
}

void console_fail(struct http_req *q, const struct err *e)
{
    struct buf b = buf_make(ANSWER_MAX);

    buf_str(&b, STR("{\"error\":"));
    buf_json(&b, str_of(e->msg));
    buf_u8(&b, '}');
    http_answer_buf(q, err_http(e->kind), json, &b);
}

bool console_start(const struct console_env *env, struct console **out, int *port, struct err *e)
{
    struct console *c = MEM_NEW(struct console);

    c->env = *env;
    if (!http_listen(env->net, env->host, env->port, false, &(struct http_server){"console", head, c}, port,
                     e)) {
        mem_free(c);
        return false;
    }
    *out = c;
    return true;
}

void console_free(struct console *c)
{
    mem_free(c);
}
