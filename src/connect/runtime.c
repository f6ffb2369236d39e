/*
 * The runtime: connectors by name, and the supervisor, one thread that starts and ends their tasks.
 *
 * Whoever wants a change puts an op in the supervisor's queue and waits; the supervisor does one at a time, so "replace
 * the configuration while it restarts" is not a case. Once a second, and when a source has made a topic, it looks whether a
 * sink's topics have other partitions than its tasks, and then deals them out anew.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "connect/connect_int.h"
#include "group/offsets.h"
#include "os/os.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

enum { TICK_MS = 1000, TOPICS_SETTLE_MS = 50 };

const char *state_name(enum run_state s)
{
    static const char *const names[] = {
        [STATE_UNASSIGNED] = "UNASSIGNED", [STATE_RUNNING] = "RUNNING",       [STATE_PAUSED] = "PAUSED",
        [STATE_FAILED] = "FAILED",         [STATE_RESTARTING] = "RESTARTING", [STATE_STOPPED] = "STOPPED",
    };

    return names[s];
}

void connect_warn(struct connect *c, const char *fmt, ...)
{
    char text[600];
    va_list ap;

    if (!c->env.warn)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    c->env.warn(c->env.warn_arg, text);
}

void poke_sinks_locked(struct connect *c)
{
    for (struct map_it it = {0}; map_next(&c->connectors, &it);) {
        struct connector *k = it.value;

        for (size_t i = 0; i < k->task_count; i++)
            task_poke(k->tasks[i]);
    }
}

/* ---- tasks of a connector ---- */

static void set_state(struct connector *k, enum run_state s, const char *trace)
{
    mutex_lock(&k->connect->lock);
    k->state = s;
    mem_free(k->trace);
    k->trace = trace ? mem_str(trace) : NULL;
    mutex_unlock(&k->connect->lock);
    store_put_status(k->connect, k, NULL);
}

static void stop_tasks(struct connector *k)
{
    struct connect *c = k->connect;
    struct task **tasks = k->tasks;
    size_t n = k->task_count;

    for (size_t i = 0; i < n; i++)
        task_ask_stop(tasks[i]);
    for (size_t i = 0; i < n; i++)
        task_join(tasks[i]);
    mutex_lock(&c->lock);
    k->tasks = NULL;
    k->task_count = 0;
    mutex_unlock(&c->lock);
    for (size_t i = 0; i < n; i++)
        task_free(tasks[i]);
    mem_free(tasks);
}

/* The i-th partition goes to task i modulo the number of tasks. */
static void deal_partitions(struct connector *k, struct task **tasks, size_t count)
{
    struct arena a = {0};
    struct sink_partition *parts;
    size_t n;

    sink_partitions(k->connect, k->settings, &a, &parts, &n);
    for (size_t i = 0; i < count; i++) {
        struct task *t = tasks[i];
        size_t most = n / count + 1;

        t->parts = MEM_ARRAY(struct sink_partition, most);
        t->safe = MEM_ARRAY(int64_t, most);
        t->goal = MEM_ARRAY(int64_t, most);
        for (size_t p = i; p < n; p += count) {
            t->parts[t->part_count] = parts[p];
            t->parts[t->part_count++].topic = str_from(str_dup(parts[p].topic), parts[p].topic.n);
        }
        t->hold = k->connect->sinks_held;
    }
    arena_fini(&a);
}

/* The tasks the connector should have now, in the states they should have. */
static void start_tasks(struct connector *k)
{
    struct connect *c = k->connect;
    size_t n;
    struct task **tasks;

    assert(k->task_count == 0);
    if (!k->settings || !k->settings->class) {
        set_state(k, STATE_FAILED, "its class is not one of this program's connectors");
        return;
    }
    if (k->target == CONNECT_STOPPED) {
        set_state(k, STATE_STOPPED, NULL);
        return;
    }
    n = (size_t)connector_settings_tasks(k->settings);
    tasks = MEM_ARRAY(struct task *, n + 1);
    for (size_t i = 0; i < n; i++)
        tasks[i] = task_new(k, (int)i);
    if (!k->settings->class->source)
        deal_partitions(k, tasks, n);
    mutex_lock(&c->lock);
    k->tasks = tasks;
    k->task_count = n;
    mutex_unlock(&c->lock);
    set_state(k, k->target == CONNECT_PAUSED ? STATE_PAUSED : STATE_RUNNING, NULL);
    for (size_t i = 0; i < n; i++)
        if (k->target == CONNECT_PAUSED)
            task_set_state(tasks[i], STATE_PAUSED, NULL);
        else
            task_start(tasks[i]);
}

static void connector_free(struct connector *k)
{
    mem_free(k->tasks);
    connector_settings_free(k->settings);
    map_fini(&k->topics);
    mem_free(k->trace);
    mem_free(k->name);
    mem_free(k);
}

/* ---- operations ---- */

static struct connector *find(struct connect *c, struct str name, struct err *e)
{
    struct connector *k = map_get(&c->connectors, name);

    if (!k)
        err_set(e, ERR_NOT_FOUND, "Connector %.*s not found", STR_ARG(name));
    return k;
}

static bool do_put(struct connect *c, struct connect_op *op)
{
    struct connector *k = map_get(&c->connectors, op->name);

    op->created = !k;
    /* The target first: a crash between the two must not leave a connector that runs against its creator's will. */
    if (op->target && !store_put_target(c, op->name, *op->target, &op->err))
        return false;
    if (!store_put_config(c, op->settings, &op->err))
        return false;
    connector_settings_warn(op->settings, &c->env);
    if (!k) {
        k = MEM_NEW(struct connector);
        k->connect = c;
        k->name = str_dup(op->name);
    }
    stop_tasks(k);
    mutex_lock(&c->lock);
    connector_settings_free(k->settings);
    k->settings = op->settings;
    op->settings = NULL;
    if (op->target)
        k->target = *op->target;
    map_put(&c->connectors, op->name, k);
    mutex_unlock(&c->lock);
    start_tasks(k);
    return true;
}

static bool do_delete(struct connect *c, struct connect_op *op)
{
    struct connector *k = find(c, op->name, &op->err);

    if (!k || !store_delete_config(c, k, &op->err))
        return false;
    stop_tasks(k);
    mutex_lock(&c->lock);
    map_del(&c->connectors, op->name);
    mutex_unlock(&c->lock);
    connector_free(k);
    return true;
}

static bool do_target(struct connect *c, struct connect_op *op)
{
    struct connector *k = find(c, op->name, &op->err);

    if (!k || !store_put_target(c, op->name, *op->target, &op->err))
        return false;
    if (k->target == *op->target)
        return true;
    stop_tasks(k);
    k->target = *op->target;
    start_tasks(k);
    return true;
}

static bool task_failed(struct task *t)
{
    bool failed;

    mutex_lock(&t->connect->lock);
    failed = t->state == STATE_FAILED;
    mutex_unlock(&t->connect->lock);
    return failed;
}

static void restart_task(struct task *t)
{
    if (!t->started)
        return; // paused: there is nothing to restart
    task_ask_stop(t);
    task_join(t);
    mutex_lock(&t->lock);
    t->stop = false;
    t->hold = t->connect->sinks_held;
    mutex_unlock(&t->lock);
    task_clear_wake(t);
    mutex_lock(&t->connect->lock);
    t->ended = false;
    mutex_unlock(&t->connect->lock);
    task_set_state(t, STATE_RESTARTING, NULL);
    task_start(t);
}

static bool do_restart(struct connect *c, struct connect_op *op)
{
    struct connector *k = find(c, op->name, &op->err);

    if (!k)
        return false;
    if (op->task >= 0 && (size_t)op->task >= k->task_count)
        return err_set(&op->err, ERR_NOT_FOUND, "Unknown task: %s-%d", k->name, op->task);
    for (size_t i = 0; i < k->task_count; i++)
        if (op->task >= 0 ? i == (size_t)op->task
                          : op->with_tasks && (!op->only_failed || task_failed(k->tasks[i])))
            restart_task(k->tasks[i]);
    return true;
}

/* KIP-875: only of a stopped connector, so that no task writes a position meanwhile. */
static bool do_reset(struct connect *c, struct connect_op *op)
{
    struct connector *k = find(c, op->name, &op->err);
    char *group;
    bool ok;

    if (!k)
        return false;
    if (k->target != CONNECT_STOPPED)
        return err_set(&op->err, ERR_INVALID,
                       "Connectors must be in the STOPPED state before their offsets can be modified. This "
                       "can be done for the "
                       "specified connector by issuing a 'PUT' request to the '/connectors/%s/stop' endpoint",
                       k->name);
    if (k->settings->class && k->settings->class->source)
        return store_delete_positions(c, op->name, &op->err);
    group = mem_fmt("connect-%s", k->name);
    ok = offsets_delete_group(c->env.offsets, str_of(group), &op->err);
    mem_free(group);
    return ok;
}

/* ---- sinks follow their topics ---- */

static bool partitions_moved(struct connector *k)
{
    struct arena a = {0};
    struct sink_partition *parts;
    size_t n;
    bool moved;

    sink_partitions(k->connect, k->settings, &a, &parts, &n);
    moved = false;
    for (size_t i = 0; i < k->task_count && !moved; i++) {
        const struct task *t = k->tasks[i];
        size_t at = 0;

        for (size_t p = i; p < n && !moved; p += k->task_count, at++)
            moved = at >= t->part_count || parts[p].partition != t->parts[at].partition ||
                    !str_eq(parts[p].topic, t->parts[at].topic);
        moved |= at != t->part_count;
    }
    arena_fini(&a);
    return moved;
}

static void deal_anew(struct connect *c)
{
    for (struct map_it it = {0}; map_next(&c->connectors, &it);) {
        struct connector *k = it.value;
        bool failed = false;

        if (!k->settings || !k->settings->class || k->settings->class->source || k->target != CONNECT_STARTED)
            continue;
        for (size_t i = 0; i < k->task_count; i++)
            failed |= task_failed(k->tasks[i]);
        if (failed || !partitions_moved(k)) // a failed task keeps its place until somebody restarts it
            continue;
        stop_tasks(k);
        start_tasks(k);
    }
}

/* ---- ops ---- */

static bool run_op(struct connect *c, struct connect_op *op)
{
    switch (op->kind) {
    case OP_PUT:
        return do_put(c, op);
    case OP_DELETE:
        return do_delete(c, op);
    case OP_TARGET:
        return do_target(c, op);
    case OP_RESTART:
        return do_restart(c, op);
    case OP_RESET:
        return do_reset(c, op);
    case OP_HOLD:
        return barrier_hold(c, &op->err);
    case OP_FLUSH_AT:
        deal_anew(c); // a topic made a moment ago must have its reader, or its barrier would be nobody's
        return barrier_flush_at(c, op, &op->err);
    case OP_RELEASE:
        barrier_release(c);
        return true;
    }
    return false;
}

bool connect_ask(struct connect *c, struct connect_op *op, struct err *e)
{
    struct connect_op **tail = &c->ops;

    mutex_lock(&c->lock);
    if (c->quit) {
        mutex_unlock(&c->lock);
        return err_set(e, ERR_BUSY, "connect is stopping");
    }
    while (*tail)
        tail = &(*tail)->next;
    *tail = op;
    cond_signal(&c->asked);
    while (!op->done)
        cond_wait(&c->changed, &c->lock);
    mutex_unlock(&c->lock);
    if (!op->ok)
        *e = op->err;
    return op->ok;
}

/* ---- the supervisor ---- */

static void supervise(void *arg)
{
    struct connect *c = arg;

    mutex_lock(&c->lock);
    while (!c->quit) {
        struct connect_op *op = c->ops;

        if (op) {
            c->ops = op->next;
            mutex_unlock(&c->lock);
            op->ok = run_op(c, op);
            mutex_lock(&c->lock);
            op->done = true;
            cond_broadcast(&c->changed);
            continue;
        }
        bool settled = c->topics_changed; // topics come in groups: deal once for all of them

        (void)cond_wait_ms(&c->asked, &c->lock, settled ? TOPICS_SETTLE_MS : TICK_MS);
        if (c->ops || c->quit || c->topics_changed != settled)
            continue;
        c->topics_changed = false;
        mutex_unlock(&c->lock);
        if (!c->sinks_held)
            deal_anew(c);
        mutex_lock(&c->lock);
    }
    for (struct connect_op *op = c->ops; op; op = op->next) {
        err_set(&op->err, ERR_BUSY, "connect is stopping");
        op->done = true;
    }
    cond_broadcast(&c->changed);
    mutex_unlock(&c->lock);
}

/* ---- start and stop ---- */

static void connect_free(struct connect *c)
{
    for (struct map_it it = {0}; map_next(&c->connectors, &it);)
        connector_free(it.value);
    for (struct map_it it = {0}; map_next(&c->positions, &it);)
        mem_free(it.value);
    for (struct map_it it = {0}; map_next(&c->holds, &it);) {
        struct hold *h = it.value;

        mem_free(h->owner);
        mem_free(h);
    }
    map_fini(&c->connectors);
    map_fini(&c->positions);
    map_fini(&c->holds);
    cond_fini(&c->asked);
    cond_fini(&c->changed);
    mutex_fini(&c->lock);
    mem_free(c);
}

/* What the topics name but have no configuration of was deleted. */
static void drop_deleted(struct connect *c)
{
    for (struct map_it it = {0}; map_next(&c->connectors, &it);) {
        struct connector *k = it.value;

        if (k->settings)
            continue;
        map_del(&c->connectors, it.key);
        connector_free(k);
    }
}

bool connect_start(const struct connect_env *env, struct connect **out, struct err *e)
{
    struct connect *c = MEM_NEW(struct connect);

    c->env = *env;
    if (!c->env.worker_id)
        c->env.worker_id = "127.0.0.1:8083";
    mutex_init(&c->lock);
    cond_init(&c->changed);
    cond_init(&c->asked);
    if (!store_open(c, e)) {
        connect_free(c);
        return false;
    }
    drop_deleted(c);
    for (struct map_it it = {0}; map_next(&c->connectors, &it);)
        start_tasks(it.value);
    thread_start(&c->supervisor, "connect", supervise, c);
    *out = c;
    return true;
}

void connect_stop(struct connect *c)
{
    if (!c)
        return;
    mutex_lock(&c->lock);
    c->quit = true;
    cond_broadcast(&c->asked);
    cond_broadcast(&c->changed);
    mutex_unlock(&c->lock);
    thread_join(&c->supervisor);
    for (struct map_it it = {0}; map_next(&c->connectors, &it);) {
        struct connector *k = it.value;

        for (size_t i = 0; i < k->task_count; i++)
            task_ask_stop(k->tasks[i]);
    }
    for (struct map_it it = {0}; map_next(&c->connectors, &it);)
        stop_tasks(it.value);
    connect_free(c);
}
