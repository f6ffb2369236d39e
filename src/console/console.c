#include "console/console.h"

#include "base/limits.h"
#include "base/mem.h"
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
        buf_fmt(b, "%s{\"method\":\"%s\",\"path\":\"%s\"}", b->p[b->n - 1] == '[' ? "" : ",",
                rows[i].path.method, rows[i].path.pattern);
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
    http_answer(q, 405, json, STR("{\"error\":\"not with this method\"}"));
}

static const struct console_endpoint endpoints[] = {
    {{"GET", "/"}, {.run = get_paths}},
    {{"GET", "/api/status"}, {.run = get_status}},
    {{"GET", "/api/settings"}, {.run = get_settings}},
    {{"GET", "/metrics"}, {.run = get_metrics}},
    {{"GET", "/health"}, {.run = get_health}},
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

static const struct http_route *head(struct http_req *q, void *arg)
{
    static const struct http_route none = {.run = not_found}, other = {.run = wrong_method};
    static const struct http_paths own = HTTP_PATHS(endpoints, path);
    const struct console_env *env = &((struct console *)arg)->env;
    const struct http_paths more = HTTP_PATHS_N(env->more, path, env->more_count);
    struct str names[HTTP_PATH_NAMES];
    int i = http_find(&own, q, names);

    if (i >= 0)
        return &endpoints[i].route;
    if (i == -404)
        i = http_find(&more, q, names);
    return i >= 0 ? &env->more[i].route : i == -405 ? &other : &none;
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
