/* A task: its thread, its state, and what a connector may ask of it. */
#include "base/limits.h"
#include "base/mem.h"
#include "connect/connect_int.h"
#include "obs/obs.h"
#include "os/os.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct task *task_new(struct connector *k, int id)
{
    struct task *t = MEM_NEW(struct task);

    t->connect = k->connect;
    t->connector = k;
    t->id = id;
    t->config = &k->settings->config;
    (void)snprintf(t->name, sizeof t->name, "%s-%d", k->name, id);
    t->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert(t->wake_fd >= 0);
    t->stats.source_lag_bytes = t->stats.source_lag_ms = -1;
    mutex_init(&t->lock);
    cond_init(&t->cond);
    return t;
}

void task_free(struct task *t)
{
    if (!t)
        return;
    assert(!t->started);
    for (size_t i = 0; i < t->part_count; i++)
        mem_free((void *)(uintptr_t)t->parts[i].topic.p);
    mem_free(t->parts);
    mem_free(t->safe);
    mem_free(t->goal);
    mem_free(t->trace);
    cond_fini(&t->cond);
    mutex_fini(&t->lock);
    (void)close(t->wake_fd);
    mem_free(t);
}

void task_set_state(struct task *t, enum run_state s, const struct err *e)
{
    struct connect *c = t->connect;

    obs_trace("connect",
              t->connector->settings->class->source ? "source task: id, state" : "sink task: id, state",
              t->id, s);
    mutex_lock(&c->lock);
    t->state = s;
    mem_free(t->trace);
    t->trace = e ? mem_str(e->msg) : NULL;
    mutex_unlock(&c->lock);
    store_put_status(c, t->connector, t);
}

static void task_main(void *arg)
{
    struct task *t = arg;
    struct connect *c = t->connect;
    const struct connector_class *k = t->connector->settings->class;
    struct err e = {0};
    bool ok;

    source_begin_anew(t);
    task_set_state(t, STATE_RUNNING, NULL);
    ok = k->source ? k->source_ops->run(t, t->config, &e) : sink_loop(t, &e);
    if (!ok) {
        task_set_state(t, STATE_FAILED, &e);
        connect_warn(c, "task %s failed: %s", t->name, e.msg);
    }
    mutex_lock(&c->lock);
    t->ended = true;
    cond_broadcast(&c->changed);
    mutex_unlock(&c->lock);
}

void task_start(struct task *t)
{
    t->started = true;
    thread_start(&t->thread, t->connector->settings->class->source ? "source" : "sink", task_main, t);
}

void task_ask_stop(struct task *t)
{
    mutex_lock(&t->lock);
    t->stop = true;
    cond_broadcast(&t->cond);
    mutex_unlock(&t->lock);
    (void)eventfd_write(t->wake_fd, 1);
}

void task_join(struct task *t)
{
    if (t->started)
        thread_join(&t->thread);
    t->started = false;
}

void task_clear_wake(struct task *t)
{
    eventfd_t n;

    (void)eventfd_read(t->wake_fd, &n);
}

void task_poke(struct task *t)
{
    mutex_lock(&t->lock);
    t->poked = true;
    cond_signal(&t->cond);
    mutex_unlock(&t->lock);
}

void task_used_topic(struct task *t, struct str topic)
{
    struct connect *c = t->connect;
    bool known;

    mutex_lock(&c->lock);
    known = map_put(&t->connector->topics, topic, t->connector) != NULL;
    mutex_unlock(&c->lock);
    if (!known)
        store_put_topic(c, t->connector, topic, t->id);
}

/* ---- what a connector may ask ---- */

const struct connect_env *task_env(struct task *t)
{
    return &t->connect->env;
}

const char *task_name(const struct task *t)
{
    return t->name;
}

bool task_should_stop(struct task *t)
{
    bool stop;

    mutex_lock(&t->lock);
    stop = t->stop;
    mutex_unlock(&t->lock);
    return stop;
}

int task_wake_fd(struct task *t)
{
    return t->wake_fd;
}

void task_report(struct task *t, const struct task_stats *s)
{
    mutex_lock(&t->connect->lock);
    t->stats = *s;
    mutex_unlock(&t->connect->lock);
}

void task_say(struct task *t, const char *doing)
{
    mutex_lock(&t->connect->lock);
    (void)snprintf(t->stats.state, sizeof t->stats.state, "%.63s", doing);
    mutex_unlock(&t->connect->lock);
}

struct str source_position(struct task *t, struct str partition_json, struct arena *a)
{
    struct connect *c = t->connect;
    char *key = position_key(str_of(t->connector->name), partition_json);
    struct str out;

    mutex_lock(&c->lock);
    out = arena_str(a, str_of(map_get(&c->positions, str_of(key))));
    mutex_unlock(&c->lock);
    mem_free(key);
    return out;
}

/* topic.creation.default.*, with Kafka Connect's names (KIP-158); a value that is no number leaves the log's own default. */
static void topic_settings(struct task *t, struct log_settings *s)
{
    struct str policy = config_str(t->config, "topic.creation.default.cleanup.policy");
    struct {
        const char *key;
        int64_t *at;
    } numbers[] = {
        {"topic.creation.default.retention.ms", &s->retention_ms},
        {"topic.creation.default.retention.bytes", &s->retention_bytes},
        {"topic.creation.default.segment.bytes", &s->segment_bytes},
        {"topic.creation.default.segment.ms", &s->segment_ms},
    };

    log_settings_default(t->connect->env.log, s);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        struct str v = config_str(t->config, numbers[i].key);

        if (v.p && !str_i64(str_trim(v), numbers[i].at))
            connect_warn(t->connect, "%s: %s is not a number, using the default", t->name, numbers[i].key);
    }
    if (policy.p) {
        s->compact = strstr(policy.p, "compact") != NULL;
        s->remove = strstr(policy.p, "delete") != NULL;
    }
}

bool source_ensure_topic(struct task *t, struct str topic, int32_t partitions, struct err *e)
{
    struct connect *c = t->connect;
    struct log_range range;
    struct log_settings s;

    if (!log_range(c->env.log, topic, 0, &range)) {
        topic_settings(t, &s);
        if (!log_ensure_topic(c->env.log, topic, partitions, &s, e))
            return err_wrap(e, "topic %.*s", STR_ARG(topic));
        mutex_lock(&c->lock);
        c->topics_changed = true;
        cond_signal(&c->asked);
        mutex_unlock(&c->lock);
    }
    task_used_topic(t, topic);
    return true;
}

/* ---- append ---- */

static void write_done(void *arg, bool ok, const struct err *e)
{
    struct source_write *w = arg;
    struct connect *c = w->_task->connect;

    if (ok && w->_key) {
        mutex_lock(&c->lock);
        positions_put(c, str_of(w->_key), w->_value);
        w->_value = NULL;
        mutex_unlock(&c->lock);
    }
    w->done(w->arg, ok, e);
}

void source_append_async(struct task *t, struct source_write *w)
{
    struct connect *c = t->connect;
    size_t count = w->count;

    w->_task = t;
    mem_free(w->_key);
    mem_free(w->_value);
    w->_key = w->_value = NULL;
    if (w->position_json.p) {
        w->_key = position_key(str_of(t->connector->name), w->partition_json);
        w->_value = str_dup(w->position_json);
        batch_begin(&w->_batch, LIMIT_BATCH);
        batch_add(&w->_batch, c->env.os->wall_us(c->env.os) / 1000, str_of(w->_key), w->position_json, NULL,
                  0);
        w->writes[count++] = (struct log_part_write){
            .topic = STR(CONNECT_OFFSETS),
            .batches = batch_end(&w->_batch),
        };
    }
    log_append_ordered_async(c->env.log, &t->order, w->writes, count, write_done, w);
}

void source_begin_anew(struct task *t)
{
    atomic_store(&t->order.broken, false);
}

void source_write_fini(struct source_write *w)
{
    mem_free(w->_key);
    mem_free(w->_value);
    w->_key = w->_value = NULL;
    batch_fini(&w->_batch);
}

struct waiter {
    struct mutex lock;
    struct cond cond;
    bool done, ok;
    struct err err;
};

static void wake_waiter(void *arg, bool ok, const struct err *e)
{
    struct waiter *w = arg;

    mutex_lock(&w->lock);
    w->done = true;
    w->ok = ok;
    if (!ok)
        w->err = *e;
    cond_signal(&w->cond);
    mutex_unlock(&w->lock);
}

bool source_append(struct task *t, struct log_part_write *writes, size_t count, struct str partition_json,
                   struct str position_json, struct err *e)
{
    struct waiter waiter = {0};
    struct source_write w = {.count = count,
                             .partition_json = partition_json,
                             .position_json = position_json,
                             .done = wake_waiter,
                             .arg = &waiter};

    mutex_init(&waiter.lock);
    cond_init(&waiter.cond);
    w.writes = MEM_ARRAY(struct log_part_write, count + 1);
    for (size_t i = 0; i < count; i++)
        w.writes[i] = writes[i];
    source_append_async(t, &w);
    mutex_lock(&waiter.lock);
    while (!waiter.done)
        cond_wait(&waiter.cond, &waiter.lock);
    mutex_unlock(&waiter.lock);
    for (size_t i = 0; i < count; i++)
        writes[i] = w.writes[i];
    mem_free(w.writes);
    source_write_fini(&w);
    cond_fini(&waiter.cond);
    mutex_fini(&waiter.lock);
    if (!waiter.ok)
        *e = waiter.err;
    return waiter.ok;
}
