/*
 * Kafka Connect's REST interface (org.apache.kafka.connect.runtime.rest.resources of the Kafka source), which consoles and
 * scripts use: the table of paths, and how answers and errors look.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "connect/rest_int.h"
#include "net/http_path.h"

#include <stdarg.h>
#include <stdio.h>

/* Kafka's version, as clients that ask for one expect it: the interface is that of Connect 3.9. */
#define CONNECT_VERSION "3.9.0"

void rest_json(struct rest_call *r, int status, struct buf *b)
{
    http_answer_buf(r->q, status, "application/json", b);
}

void rest_nothing(struct rest_call *r, int status)
{
    http_answer(r->q, status, NULL, STR(""));
}

void rest_error(struct rest_call *r, int status, struct str message)
{
    struct buf b = buf_make(LIMIT_HTTP_BODY);

    buf_fmt(&b, "{\"error_code\":%d,\"message\":", status);
    buf_json(&b, message);
    buf_u8(&b, '}');
    rest_json(r, status, &b);
}

void rest_err(struct rest_call *r, const struct err *e)
{
    rest_error(r, e->kind == ERR_INVALID ? 400 : err_http(e->kind), str_of(e->msg));
}

struct str rest_fmt(struct rest_call *r, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return arena_str(r->a, str_of(text));
}

static void root(struct rest_call *r)
{
    struct buf b = buf_make(LIMIT_HTTP_BODY);

    buf_fmt(&b, "{\"version\":\"%s\",\"commit\":\"tarn\",\"kafka_cluster_id\":", CONNECT_VERSION);
    buf_json(&b, str_of(log_cluster_id(r->c->env.log)));
    buf_u8(&b, '}');
    rest_json(r, 200, &b);
}

static void health(struct rest_call *r)
{
    struct buf b = buf_make(LIMIT_HTTP_BODY);

    buf_str(&b,
            STR("{\"status\":\"healthy\",\"message\":\"Worker has completed startup and is ready to handle "
                "requests.\"}"));
    rest_json(r, 200, &b);
}

static const struct route {
    struct http_path path;
    rest_fn *fn;
} routes[] = {
    {{"GET", "/"}, root},
    {{"GET", "/health"}, health},
    {{"GET", "/connectors"}, rest_list},
    {{"POST", "/connectors"}, rest_create},
    {{"GET", "/connectors/{name}"}, rest_get},
    {{"DELETE", "/connectors/{name}"}, rest_delete},
    {{"GET", "/connectors/{name}/config"}, rest_get_config},
    {{"PUT", "/connectors/{name}/config"}, rest_put_config},
    {{"GET", "/connectors/{name}/status"}, rest_status},
    {{"GET", "/connectors/{name}/topics"}, rest_topics},
    {{"GET", "/connectors/{name}/offsets"}, rest_offsets},
    {{"DELETE", "/connectors/{name}/offsets"}, rest_reset_offsets},
    {{"GET", "/connectors/{name}/tasks"}, rest_tasks},
    {{"GET", "/connectors/{name}/tasks/{task}/status"}, rest_task_status},
    {{"POST", "/connectors/{name}/tasks/{task}/restart"}, rest_task_restart},
    {{"PUT", "/connectors/{name}/pause"}, rest_pause},
    {{"PUT", "/connectors/{name}/resume"}, rest_resume},
    {{"PUT", "/connectors/{name}/stop"}, rest_stop},
    {{"POST", "/connectors/{name}/restart"}, rest_restart},
    {{"GET", "/connector-plugins"}, rest_plugins},
    {{"GET", "/connector-plugins/{class}/config"}, rest_plugin_config},
    {{"PUT", "/connector-plugins/{class}/config/validate"}, rest_plugin_validate},
};
static const struct http_paths paths = HTTP_PATHS(routes, path);

static void run(struct http_req *q)
{
    struct rest_call r = {.q = q, .c = q->user, .a = q->arena};
    struct str names[HTTP_PATH_NAMES];
    int i = http_find(&paths, q, names);

    r.name = names[0];
    r.part = names[1];
    if (i >= 0)
        routes[i].fn(&r);
    else
        rest_error(&r, -i, i == -405 ? STR("HTTP 405 Method Not Allowed") : STR("HTTP 404 Not Found"));
}

static const struct http_route *head(struct http_req *q, void *arg)
{
    static const struct http_route route = {.body_max = LIMIT_SETTINGS, .run = run};

    q->user = arg;
    return &route;
}

bool connect_rest_start(struct net *net, const char *host, int port, struct connect *c, int *bound,
                        struct err *e)
{
    c->rest = (struct http_server){.name = "connect", .head = head, .arg = c};
    return http_listen(net, host, port, false, &c->rest, bound, e);
}
