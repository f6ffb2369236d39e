/* What the rest of the program may ask of the runtime: changes go to the supervisor, questions are answered from memory. */
#include "base/limits.h"
#include "base/mem.h"
#include "connect/connect_int.h"
#include "os/os.h"

#include <assert.h>
#include <stdlib.h>

/* ---- changes ---- */

static bool name_ok(struct str name, struct err *e)
{
    if (name.n == 0 || name.n > LIMIT_NAME)
        return err_set(e, ERR_INVALID, "a connector's name has 1 to %d bytes", LIMIT_NAME);
    for (size_t i = 0; i < name.n; i++)
        if ((unsigned char)name.p[i] < 0x20 || name.p[i] == 0x7f || name.p[i] == '/')
            return err_set(e, ERR_INVALID, "a connector's name must not have control characters or slashes");
    return true;
}

static bool problems_err(const struct config_problem *p, size_t count, struct err *e)
{
    struct buf b = buf_make(SIZE_MAX);

    if (count == 0)
        return true;
    buf_fmt(&b, "Connector configuration is invalid and contains the following %zu error(s):", count);
    for (size_t i = 0; i < count; i++)
        buf_fmt(&b, "\n%.*s", STR_ARG(p[i].text));
    err_set(e, ERR_INVALID, "%s", buf_z(&b));
    buf_fini(&b);
    return false;
}

bool connect_put_as(struct connect *c, struct str name, struct str config_json,
                    const enum connect_target *target, bool *created, struct err *e)
{
    struct arena a = {0};
    struct config_problem *p;
    struct connect_op op = {.kind = OP_PUT, .name = name, .target = target};
    size_t count;
    bool ok;

    if (!name_ok(name, e))
        return false;
    op.settings = connector_settings_new(name, config_json, e);
    if (!op.settings)
        return false;
    connector_settings_problems(op.settings, &a, &p, &count);
    ok = problems_err(p, count, e) && connect_ask(c, &op, e);
    *created = ok && op.created;
    connector_settings_free(op.settings);
    arena_fini(&a);
    return ok;
}

bool connect_put(struct connect *c, struct str name, struct str config_json, bool *created, struct err *e)
{
    return connect_put_as(c, name, config_json, NULL, created, e);
}

void connect_validate(struct connect *c, struct str config_json, struct arena *a, struct config_problem **out,
                      size_t *count)
{
    struct err e;
    struct connector_settings *s = connector_settings_new(STR("validate"), config_json, &e);

    (void)c;
    if (!s) {
        *out = ARENA_NEW(a, struct config_problem);
        (*out)->key = STR("connector.class");
        (*out)->text = str_of(arena_fmt(a, "%s", e.msg));
        *count = 1;
        return;
    }
    connector_settings_problems(s, a, out, count);
    connector_settings_free(s);
}

bool connect_delete(struct connect *c, struct str name, struct err *e)
{
    struct connect_op op = {.kind = OP_DELETE, .name = name};

    return connect_ask(c, &op, e);
}

bool connect_set_target(struct connect *c, struct str name, enum connect_target target, struct err *e)
{
    struct connect_op op = {.kind = OP_TARGET, .name = name, .target = &target};

    return connect_ask(c, &op, e);
}

bool connect_restart(struct connect *c, struct str name, int task, bool with_tasks, bool only_failed,
                     struct err *e)
{
    struct connect_op op = {
        .kind = OP_RESTART, .name = name, .task = task, .with_tasks = with_tasks, .only_failed = only_failed};

    return connect_ask(c, &op, e);
}

bool connect_reset_offsets(struct connect *c, struct str name, struct err *e)
{
    struct connect_op op = {.kind = OP_RESET, .name = name};

    return connect_ask(c, &op, e);
}

bool connect_hold(struct connect *c, struct err *e)
{
    struct connect_op op = {.kind = OP_HOLD};

    return connect_ask(c, &op, e);
}

bool connect_flush_at(struct connect *c, const struct connect_barrier *b, size_t count, int64_t timeout_ms,
                      struct err *e)
{
    struct connect_op op = {
        .kind = OP_FLUSH_AT, .barriers = b, .barrier_count = count, .timeout_ms = timeout_ms};

    return connect_ask(c, &op, e);
}

void connect_release(struct connect *c)
{
    struct connect_op op = {.kind = OP_RELEASE};
    struct err e;

    (void)connect_ask(c, &op, &e); // fails only when everything stops anyway
}

/* ---- waiting ---- */

/* c->lock held. Why there is nothing to wait for; also when the connector is gone. */
static bool will_go_on(struct connector *k, struct str name, struct err *e)
{
    struct task *t = k && k->task_count > 0 ? k->tasks[0] : NULL;

    if (!k || k->target != CONNECT_STARTED)
        return err_set(e, ERR_REMOTE, "connector %.*s does not run", STR_ARG(name));
    return !t || !t->ended ||
           err_set(e, ERR_REMOTE, "connector %.*s has failed: %s", STR_ARG(name), t->trace ? t->trace : "");
}

bool connect_wait_snapshot(struct connect *c, struct str name, int64_t timeout_ms, struct err *e)
{
    int64_t until = c->env.os->now_ns(c->env.os) / 1000000 + timeout_ms;
    bool ok = true;

    mutex_lock(&c->lock);
    while (ok && !positions_settled(c, name)) {
        struct connector *k = map_get(&c->connectors, name);
        int64_t left = until - c->env.os->now_ns(c->env.os) / 1000000;

        ok = will_go_on(k, name, e);
        if (ok && (left <= 0 || c->quit))
            ok = err_set(e, ERR_TIMEOUT, "connector %.*s is not done with its initial snapshot: %s",
                         STR_ARG(name), k->task_count > 0 ? k->tasks[0]->stats.state : "it has not begun");
        if (ok)
            (void)cond_wait_ms(&c->changed, &c->lock, left);
    }
    mutex_unlock(&c->lock);
    return ok;
}

/* ---- questions ---- */

struct lag_of {
    struct sink_partition *parts;
    size_t count;
};

/* c->lock held. The partitions whose lag is wanted are copied: the log is asked without the lock. */
static void copy_info(struct connector *k, struct arena *a, struct connect_info *out, struct lag_of **lags)
{
    const struct connector_class *class = k->settings->class;

    *out = (struct connect_info){
        .name = arena_str(a, str_of(k->name)),
        .config_json = arena_str(a, k->settings->json),
        .type = !class          ? STR("unknown")
                : class->source ? STR("source")
                                : STR("sink"),
        .step = class ? class->step : CONNECT_STEP_OTHER,
        .state = state_name(k->state),
        .trace = arena_str(a, str_of(k->trace)),
        .tasks = ARENA_ARRAY(a, struct connect_task_info, k->task_count + 1),
        .task_count = k->task_count,
    };
    *lags = ARENA_ARRAY(a, struct lag_of, k->task_count + 1);
    assert(class || k->task_count == 0); // a class nobody knows has no tasks
    for (size_t i = 0; i < k->task_count; i++) {
        const struct task *t = k->tasks[i];

        out->tasks[i] = (struct connect_task_info){
            .id = t->id,
            .source = class->source,
            .state = state_name(t->state),
            .trace = arena_str(a, str_of(t->trace)),
            .stats = t->stats,
            .lag_records = -1,
            .lag_ms = t->stats.source_lag_ms,
        };
        (*lags)[i].parts = ARENA_ARRAY(a, struct sink_partition, t->part_count + 1);
        (*lags)[i].count = t->part_count;
        for (size_t p = 0; p < t->part_count; p++)
            (*lags)[i].parts[p] = (struct sink_partition){
                .topic = arena_str(a, t->parts[p].topic),
                .partition = t->parts[p].partition,
                .next = t->safe[p],
            };
    }
}

static void fill_lags(struct connect *c, struct connect_info *info, const struct lag_of *lags)
{
    for (size_t i = 0; i < info->task_count; i++)
        if (!info->tasks[i].source)
            sink_lag(c, lags[i].parts, lags[i].count, &info->tasks[i].lag_records, &info->tasks[i].lag_ms);
}

bool connect_get(struct connect *c, struct str name, struct arena *a, struct connect_info *out)
{
    struct lag_of *lags = NULL;
    struct connector *k;

    mutex_lock(&c->lock);
    k = map_get(&c->connectors, name);
    if (k)
        copy_info(k, a, out, &lags);
    mutex_unlock(&c->lock);
    if (k)
        fill_lags(c, out, lags);
    return k != NULL;
}

static int by_name(const void *x, const void *y)
{
    const struct connect_info *a = x, *b = y;

    return str_cmp(a->name, b->name);
}

void connect_list(struct connect *c, struct arena *a, struct connect_info **out, size_t *count)
{
    struct lag_of **lags;
    size_t n = 0;

    mutex_lock(&c->lock);
    *out = ARENA_ARRAY(a, struct connect_info, c->connectors.n + 1);
    lags = ARENA_ARRAY(a, struct lag_of *, c->connectors.n + 1);
    for (struct map_it it = {0}; map_next(&c->connectors, &it); n++)
        copy_info(it.value, a, &(*out)[n], &lags[n]);
    mutex_unlock(&c->lock);
    for (size_t i = 0; i < n; i++)
        fill_lags(c, &(*out)[i], lags[i]);
    qsort(*out, n, sizeof **out, by_name);
    *count = n;
}

static int by_bytes(const void *x, const void *y)
{
    return str_cmp(*(const struct str *)x, *(const struct str *)y);
}

bool connect_topics(struct connect *c, struct str name, struct arena *a, struct str **out, size_t *count)
{
    struct connector *k;
    size_t n = 0;

    mutex_lock(&c->lock);
    k = map_get(&c->connectors, name);
    *out = ARENA_ARRAY(a, struct str, (k ? k->topics.n : 0) + 1);
    for (struct map_it it = {0}; k && map_next(&k->topics, &it);)
        (*out)[n++] = arena_str(a, it.key);
    mutex_unlock(&c->lock);
    qsort(*out, n, sizeof **out, by_bytes);
    *count = n;
    return k != NULL;
}

static void source_offsets_locked(struct connect *c, const struct connector *k, struct buf *out)
{
    char *prefix = position_key(str_of(k->name), STR(""));
    struct str want = str_from(prefix, strlen(prefix) - 1); // without the bracket
    bool first = true;

    for (struct map_it it = {0}; map_next(&c->positions, &it);) {
        if (!str_starts(it.key, want))
            continue;
        buf_str(out, first ? STR("{\"partition\":") : STR(",{\"partition\":"));
        buf_put(out, it.key.p + want.n, it.key.n - want.n - 1);
        buf_fmt(out, ",\"offset\":%s}", (const char *)it.value);
        first = false;
    }
    mem_free(prefix);
}

static void sink_offsets_locked(const struct connector *k, struct buf *out)
{
    bool first = true;

    for (size_t i = 0; i < k->task_count; i++)
        for (size_t p = 0; p < k->tasks[i]->part_count; p++) {
            const struct task *t = k->tasks[i];

            buf_str(out, first ? STR("{\"partition\":{\"kafka_topic\":")
                               : STR(",{\"partition\":{\"kafka_topic\":"));
            buf_json(out, t->parts[p].topic);
            buf_fmt(out, ",\"kafka_partition\":%d},\"offset\":{\"kafka_offset\":%lld}}",
                    t->parts[p].partition, (long long)t->safe[p]);
            first = false;
        }
}

bool connect_offsets_json(struct connect *c, struct str name, struct buf *out)
{
    struct connector *k;

    mutex_lock(&c->lock);
    k = map_get(&c->connectors, name);
    buf_str(out, STR("{\"offsets\":["));
    if (k && k->settings->class && k->settings->class->source)
        source_offsets_locked(c, k, out);
    else if (k)
        sink_offsets_locked(k, out);
    buf_str(out, STR("]}"));
    mutex_unlock(&c->lock);
    return k != NULL;
}
