#include "ingest/ingest.h"

#include "base/limits.h"
#include "base/mem.h"
#include "ingest/openapi.h"
#include "ingest/proxy.h"
#include "ingest/seeder.h"
#include "net/http.h"

#include <stdio.h>
#include <stdlib.h>

struct ingest {
    struct seeder *seeder; // NULL: there is no database
    struct proxy *proxy;
    int port;
};

static const double RATE_MAX = 1000;

static void answer_json(struct http_req *q, int status, struct buf *b)
{
    http_answer_buf(q, status, "application/json", b);
    buf_fini(b);
}

/* FastAPI's form of an error, which the lab's clients know. */
static void answer_error(struct http_req *q, int status, const char *message)
{
    struct buf b = buf_make(LIMIT_HTTP_BODY);

    buf_str(&b, STR("{\"detail\":"));
    buf_json(&b, str_of(message));
    buf_u8(&b, '}');
    answer_json(q, status, &b);
}

/* A parameter that must be a whole number when it is there. */
static bool whole_number(struct http_req *q, const char *name, int64_t otherwise, int64_t *out)
{
    struct str text = http_param(q, name);

    *out = otherwise;
    return !text.p || str_i64(text, out);
}

static void seed_full(struct http_req *q)
{
    struct ingest *i = q->user;
    struct buf b = buf_make(LIMIT_HTTP_BODY);
    struct seeder_counts n;
    int64_t count, batch_size;
    struct err e;

    if (!whole_number(q, "count", 10000, &count) || !whole_number(q, "batch_size", 1000, &batch_size)) {
        answer_error(q, 422, "count and batch_size must be whole numbers");
        return;
    }
    if (!seeder_full(i->seeder, count, batch_size, &n, &e)) {
        answer_error(q, err_http(e.kind), e.msg);
        return;
    }
    buf_fmt(&b,
            "{\"status\":\"ok\",\"records_created\":%lld,\"batch_size\":%lld,\"rows\":{\"customers\":%lld,"
            "\"products\":%lld,\"orders\":%lld,\"order_items\":%lld,\"payments\":%lld}}",
            (long long)n.orders, (long long)batch_size, (long long)n.customers, (long long)n.products,
            (long long)n.orders, (long long)n.order_items, (long long)n.payments);
    answer_json(q, 200, &b);
}

static void seed_start(struct http_req *q)
{
    struct ingest *i = q->user;
    struct str text = http_param(q, "rate");
    struct buf b = buf_make(LIMIT_HTTP_BODY);
    struct seeder_status s;
    double rate = 1;
    char *end = NULL;

    if (text.p) {
        char *z = arena_fmt(q->arena, "%.*s", STR_ARG(text));

        rate = strtod(z, &end);
        if (end == z || *end != 0 || !(rate > 0 && rate <= RATE_MAX)) {
            answer_error(q, 422, "rate must be a number of ticks a second, above 0 and at most 1000");
            return;
        }
    }
    buf_fmt(&b, "{\"status\":\"%s\"", seeder_start(i->seeder, rate) ? "started" : "already running");
    seeder_status(i->seeder, &s);
    buf_fmt(&b, ",\"rate\":%g}", s.rate);
    answer_json(q, 200, &b);
}

static void seed_stop(struct http_req *q)
{
    struct ingest *i = q->user;
    struct buf b = buf_make(LIMIT_HTTP_BODY);

    buf_fmt(&b, "{\"status\":\"%s\"}", seeder_stop(i->seeder) ? "stopped" : "not running");
    answer_json(q, 200, &b);
}

static void status(struct http_req *q)
{
    struct ingest *i = q->user;
    struct buf b = buf_make(LIMIT_HTTP_BODY);
    struct seeder_status s;

    seeder_status(i->seeder, &s);
    buf_fmt(&b, "{\"ingestion_running\":%s,\"rate\":%g,\"ticks\":%llu,\"changes\":%llu,\"trouble\":",
            s.running ? "true" : "false", s.rate, (unsigned long long)s.ticks, (unsigned long long)s.changes);
    if (s.trouble[0])
        buf_json(&b, str_of(s.trouble));
    else
        buf_str(&b, STR("null"));
    buf_u8(&b, '}');
    answer_json(q, 200, &b);
}

static void health(struct http_req *q)
{
    http_answer(q, 200, "application/json", STR("{\"status\":\"ok\"}"));
}

static openapi_fn operation;

static void openapi(struct http_req *q)
{
    struct buf b = buf_make(LIMIT_HTTP_BODY);

    openapi_json(&b, operation);
    answer_json(q, 200, &b);
}

static void docs(struct http_req *q)
{
    http_answer(q, 200, "text/html; charset=utf-8", str_of(OPENAPI_PAGE));
}

static void not_found(struct http_req *q)
{
    answer_error(q, 404, "Not Found: see /docs for what is here");
}

static void wrong_method(struct http_req *q)
{
    answer_error(q, 405, "Method Not Allowed: see /docs");
}

static void no_database(struct http_req *q)
{
    answer_error(q, 503, "there is no database to seed: set postgres.port or postgres.url");
}

static const struct {
    struct openapi_op op;
    struct http_route route;
} ROUTES[] = {
    {{.path = {"POST", "/seed/full"},
      .sentence = "Make a whole shop at once",
      .query = {{"count", "integer", "10000", "orders to make"},
                {"batch_size", "integer", "1000", "orders in one transaction"}}},
     {.run = seed_full}},
    {{.path = {"POST", "/seed/start"},
      .sentence = "Start live traffic",
      .query = {{"rate", "number", "1.0", "ticks a second, at most 1000"}}},
     {.run = seed_start}},
    {{.path = {"POST", "/seed/stop"}, .sentence = "Stop live traffic"}, {.run = seed_stop}},
    {{.path = {"GET", "/status"}, .sentence = "Is live traffic running, and how far is it"}, {.run = status}},
    {{.path = {"GET", "/health"}, .sentence = "Is this door up"}, {.run = health}},
    {{.path = {"GET", "/docs"}, .sentence = "This page", .answer = "text/html"}, {.run = docs}},
    {{.path = {"GET", "/openapi.json"}, .sentence = "What is here, for programs"}, {.run = openapi}},
};

static const struct http_paths paths = HTTP_PATHS(ROUTES, op.path);

static const struct openapi_op *operation(size_t i)
{
    return i < ARRAY_LEN(ROUTES) ? &ROUTES[i].op : proxy_operation(i - ARRAY_LEN(ROUTES));
}

static const struct http_route *head(struct http_req *q, void *arg)
{
    static const struct http_route none = {.run = not_found}, other = {.run = wrong_method},
                                   no_seeder = {.run = no_database};
    struct ingest *ingest = arg;
    struct str names[HTTP_PATH_NAMES];
    int i;

    if (proxy_owns(q->path)) {
        q->user = ingest->proxy;
        return &proxy_route;
    }
    q->user = arg;
    i = http_find(&paths, q, names);
    if (i != -404 && !ingest->seeder &&
        (str_starts(q->path, STR("/seed/")) || str_starts(q->path, STR("/status"))))
        return &no_seeder;
    return i >= 0 ? &ROUTES[i].route : i == -405 ? &other : &none;
}

bool ingest_start(const struct ingest_options *o, struct ingest **out, struct err *e)
{
    struct ingest *i = MEM_NEW(struct ingest);
    struct http_server server = {.name = "ingest", .head = head, .arg = i};

    i->seeder = o->conninfo ? seeder_new(o->os, o->conninfo, o->seed) : NULL;
    i->proxy = proxy_new(o);
    if (!http_listen(o->net, o->host, o->port, false, &server, &i->port, e)) {
        ingest_free(i);
        return err_wrap(e, "ingest");
    }
    *out = i;
    return true;
}

int ingest_port(const struct ingest *i)
{
    return i->port;
}

void ingest_stop(struct ingest *i)
{
    if (!i)
        return;
    proxy_stop(i->proxy);
    if (i->seeder)
        (void)seeder_stop(i->seeder);
}

void ingest_free(struct ingest *i)
{
    if (!i)
        return;
    proxy_free(i->proxy);
    seeder_free(i->seeder);
    mem_free(i);
}
