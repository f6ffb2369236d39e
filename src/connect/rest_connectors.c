/* REST: connectors, their states, tasks and positions. */
#include "base/limits.h"
#include "base/mem.h"
#include "connect/rest_int.h"

#include <jansson.h>

/* ---- how a connector looks ---- */

static void put_info(struct buf *b, const struct connect_info *k)
{
    buf_str(b, STR("{\"name\":"));
    buf_json(b, k->name);
    buf_str(b, STR(",\"config\":"));
    buf_str(b, k->config_json);
    buf_str(b, STR(",\"tasks\":["));
    for (size_t i = 0; i < k->task_count; i++) {
        buf_str(b, i ? STR(",{\"connector\":") : STR("{\"connector\":"));
        buf_json(b, k->name);
        buf_fmt(b, ",\"task\":%d}", k->tasks[i].id);
    }
    buf_fmt(b, "],\"type\":\"%.*s\"}", STR_ARG(k->type));
}

static void put_state(struct buf *b, struct connect *c, const char *state, struct str trace)
{
    buf_fmt(b, "\"state\":\"%s\",\"worker_id\":", state);
    buf_json(b, str_of(c->env.worker_id));
    if (trace.p) {
        buf_str(b, STR(",\"trace\":"));
        buf_json(b, trace);
    }
}

static void put_task_state(struct buf *b, struct connect *c, const struct connect_task_info *t)
{
    buf_fmt(b, "{\"id\":%d,", t->id);
    put_state(b, c, t->state, t->trace);
    buf_u8(b, '}');
}

static void put_status(struct buf *b, struct connect *c, const struct connect_info *k)
{
    buf_str(b, STR("{\"name\":"));
    buf_json(b, k->name);
    buf_str(b, STR(",\"connector\":{"));
    put_state(b, c, k->state, k->trace);
    buf_str(b, STR("},\"tasks\":["));
    for (size_t i = 0; i < k->task_count; i++) {
        if (i)
            buf_u8(b, ',');
        put_task_state(b, c, &k->tasks[i]);
    }
    buf_fmt(b, "],\"type\":\"%.*s\"}", STR_ARG(k->type));
}

/* ---- read ---- */

/* expand may be given twice. */
static bool expands(const struct http_req *q, struct str what)
{
    struct str rest = q->query, part;

    while (str_cut(&rest, '&', &part)) {
        struct str key;

        if (str_cut(&part, '=', &key) && str_is(key, "expand") && str_eq(part, what))
            return true;
    }
    return false;
}

void rest_list(struct rest_call *r)
{
    struct buf b = buf_make(LIMIT_HTTP_BODY);
    bool status = expands(r->q, STR("status")), info = expands(r->q, STR("info"));
    struct connect_info *k;
    size_t n;

    connect_list(r->c, r->a, &k, &n);
    buf_u8(&b, status || info ? '{' : '[');
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_u8(&b, ',');
        buf_json(&b, k[i].name);
        if (status || info)
            buf_str(&b, STR(":{"));
        if (info) {
            buf_str(&b, STR("\"info\":"));
            put_info(&b, &k[i]);
        }
        if (status) {
            buf_str(&b, info ? STR(",\"status\":") : STR("\"status\":"));
            put_status(&b, r->c, &k[i]);
        }
        if (status || info)
            buf_u8(&b, '}');
    }
    buf_u8(&b, status || info ? '}' : ']');
    rest_json(r, 200, &b);
}

static bool find(struct rest_call *r, struct connect_info *k)
{
    if (connect_get(r->c, r->name, r->a, k))
        return true;
    rest_error(r, 404, rest_fmt(r, "Connector %.*s not found", STR_ARG(r->name)));
    return false;
}

static void answer_info(struct rest_call *r, int status)
{
    struct buf b = buf_make(LIMIT_HTTP_BODY);
    struct connect_info k;

    if (!find(r, &k))
        return;
    put_info(&b, &k);
    rest_json(r, status, &b);
}

void rest_get(struct rest_call *r)
{
    answer_info(r, 200);
}

void rest_get_config(struct rest_call *r)
{
    struct connect_info k;

    if (find(r, &k))
        http_answer(r->q, 200, "application/json", k.config_json);
}

static void answer_status(struct rest_call *r, int status)
{
    struct buf b = buf_make(LIMIT_HTTP_BODY);
    struct connect_info k;

    if (!connect_get(r->c, r->name, r->a, &k)) {
        rest_error(r, 404, rest_fmt(r, "No status found for connector %.*s", STR_ARG(r->name)));
        return;
    }
    put_status(&b, r->c, &k);
    rest_json(r, status, &b);
}

void rest_status(struct rest_call *r)
{
    answer_status(r, 200);
}

void rest_tasks(struct rest_call *r)
{
    struct buf b = buf_make(LIMIT_HTTP_BODY);
    struct connect_info k;

    if (!find(r, &k))
        return;
    buf_u8(&b, '[');
    for (size_t i = 0; i < k.task_count; i++) {
        buf_str(&b, i ? STR(",{\"id\":{\"connector\":") : STR("{\"id\":{\"connector\":"));
        buf_json(&b, k.name);
        buf_fmt(&b, ",\"task\":%d},\"config\":", k.tasks[i].id);
        buf_str(&b, k.config_json);
        buf_u8(&b, '}');
    }
    buf_u8(&b, ']');
    rest_json(r, 200, &b);
}

void rest_task_status(struct rest_call *r)
{
    struct buf b = buf_make(LIMIT_HTTP_BODY);
    struct connect_info k;
    int64_t id;

    if (!connect_get(r->c, r->name, r->a, &k) || !str_i64(r->part, &id) || id < 0 ||
        (size_t)id >= k.task_count) {
        rest_error(r, 404,
                   rest_fmt(r, "No status found for task %.*s-%.*s", STR_ARG(r->name), STR_ARG(r->part)));
        return;
    }
    put_task_state(&b, r->c, &k.tasks[id]);
    rest_json(r, 200, &b);
}

void rest_topics(struct rest_call *r)
{
    struct buf b = buf_make(LIMIT_HTTP_BODY);
    struct connect_info k;
    struct str *topics;
    size_t n;

    if (!find(r, &k) || !connect_topics(r->c, r->name, r->a, &topics, &n))
        return;
    buf_u8(&b, '{');
    buf_json(&b, r->name);
    buf_str(&b, STR(":{\"topics\":["));
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_u8(&b, ',');
        buf_json(&b, topics[i]);
    }
    buf_str(&b, STR("]}}"));
    rest_json(r, 200, &b);
}

void rest_offsets(struct rest_call *r)
{
    struct buf b = buf_make(LIMIT_HTTP_BODY);
    struct connect_info k;

    if (!find(r, &k))
        return;
    (void)connect_offsets_json(r->c, r->name, &b);
    rest_json(r, 200, &b);
}

void rest_reset_offsets(struct rest_call *r)
{
    struct err e;

    if (connect_reset_offsets(r->c, r->name, &e))
        http_answer(r->q, 200, "application/json",
                    STR("{\"message\":\"The offsets for this connector have been reset successfully\"}"));
    else
        rest_err(r, &e);
}

/* ---- create and change ---- */

/* All problems in one message: more than a struct err holds. False when it has answered. */
static bool acceptable(struct rest_call *r, struct str config)
{
    struct buf b = buf_make(LIMIT_HTTP_BODY);
    struct config_problem *p;
    size_t n;

    connect_validate(r->c, config, r->a, &p, &n);
    if (n == 0)
        return true;
    buf_fmt(&b, "Connector configuration is invalid and contains the following %zu error(s):", n);
    for (size_t i = 0; i < n; i++)
        buf_fmt(&b, "\n%.*s", STR_ARG(p[i].text));
    buf_str(&b, STR("\nYou can also find the above list of errors at the endpoint "
                    "`/connector-plugins/{connectorType}/config/validate`"));
    rest_error(r, 400, buf_view(&b));
    buf_fini(&b);
    return false;
}

/* target: NULL leaves it as it is. */
static void put(struct rest_call *r, struct str config, const enum connect_target *target)
{
    bool created = false;
    struct err e;

    if (!acceptable(r, config))
        return;
    if (!connect_put_as(r->c, r->name, config, target, &created, &e)) {
        rest_err(r, &e);
        return;
    }
    if (created)
        http_set(r->q, "Location", rest_fmt(r, "/connectors/%.*s", STR_ARG(r->name)));
    answer_info(r, created ? 201 : 200);
}

void rest_put_config(struct rest_call *r)
{
    put(r, r->q->body, NULL);
}

static bool initial_target(const json_t *state, enum connect_target *out)
{
    struct str s = str_of(json_string_value(state));

    *out = str_eq_nocase(s, STR("PAUSED"))    ? CONNECT_PAUSED
           : str_eq_nocase(s, STR("STOPPED")) ? CONNECT_STOPPED
                                              : CONNECT_STARTED;
    return !state || *out != CONNECT_STARTED || str_eq_nocase(s, STR("RUNNING"));
}

static void create_from(struct rest_call *r, const json_t *o)
{
    char *config = json_dumps(json_object_get(o, "config"), JSON_COMPACT);
    enum connect_target target;
    struct connect_info k;

    r->name = arena_str(r->a, str_of(json_string_value(json_object_get(o, "name"))));
    if (!r->name.p || !config)
        rest_error(r, 400, STR("The body must be an object with \"name\" and \"config\""));
    else if (!initial_target(json_object_get(o, "initial_state"), &target))
        rest_error(r, 400, STR("initial_state must be RUNNING, PAUSED or STOPPED"));
    else if (connect_get(r->c, r->name, r->a, &k))
        rest_error(r, 409, rest_fmt(r, "Connector %.*s already exists", STR_ARG(r->name)));
    else
        put(r, arena_str(r->a, str_of(config)), &target);
    mem_free(config);
}

void rest_create(struct rest_call *r)
{
    json_error_t why;
    json_t *o = json_loadb(r->q->body.p ? r->q->body.p : "", r->q->body.n, JSON_REJECT_DUPLICATES, &why);

    if (o)
        create_from(r, o);
    else
        rest_error(r, 400, rest_fmt(r, "The body is not JSON: line %d: %s", why.line, why.text));
    json_decref(o);
}

static void set_target(struct rest_call *r, enum connect_target target, int status)
{
    struct err e;

    if (connect_set_target(r->c, r->name, target, &e))
        rest_nothing(r, status);
    else
        rest_err(r, &e);
}

void rest_pause(struct rest_call *r)
{
    set_target(r, CONNECT_PAUSED, 202);
}

void rest_resume(struct rest_call *r)
{
    set_target(r, CONNECT_STARTED, 202);
}

void rest_stop(struct rest_call *r)
{
    set_target(r, CONNECT_STOPPED, 204);
}

void rest_restart(struct rest_call *r)
{
    bool with_tasks = str_is(http_param(r->q, "includeTasks"), "true");
    bool only_failed = str_is(http_param(r->q, "onlyFailed"), "true");
    struct err e;

    if (!connect_restart(r->c, r->name, -1, with_tasks, only_failed, &e))
        rest_err(r, &e);
    else if (with_tasks || only_failed)
        answer_status(r, 202);
    else
        rest_nothing(r, 204);
}

void rest_task_restart(struct rest_call *r)
{
    struct err e;
    int64_t id;

    if (!str_i64(r->part, &id) || id < 0 || id > INT32_MAX)
        rest_error(r, 404, rest_fmt(r, "Unknown task: %.*s-%.*s", STR_ARG(r->name), STR_ARG(r->part)));
    else if (connect_restart(r->c, r->name, (int)id, true, false, &e))
        rest_nothing(r, 204);
    else
        rest_err(r, &e);
}

void rest_delete(struct rest_call *r)
{
    struct err e;

    if (connect_delete(r->c, r->name, &e))
        rest_nothing(r, 204);
    else
        rest_err(r, &e);
}
