/*
 * Barriers: all sinks stand still, some go on to an exact offset, all go on. On the supervisor's thread, so the lists of
 * tasks do not change meanwhile.
 */
#include "base/mem.h"
#include "connect/connect_int.h"
#include "os/os.h"

static bool is_sink(const struct connector *k)
{
    return k->settings && k->settings->class && !k->settings->class->source;
}

/* fn for every sink task that has been started. */
static void each_sink(struct connect *c, void (*fn)(struct task *t, const struct connect_op *op),
                      const struct connect_op *op)
{
    for (struct map_it it = {0}; map_next(&c->connectors, &it);) {
        struct connector *k = it.value;

        for (size_t i = 0; is_sink(k) && i < k->task_count; i++)
            if (k->tasks[i]->started)
                fn(k->tasks[i], op);
    }
}

static void hold_task(struct task *t, const struct connect_op *op)
{
    (void)op;
    mutex_lock(&t->lock);
    t->hold = true;
    t->goal_turn++;
    t->goal_flush = false;
    t->at_goal = false;
    for (size_t i = 0; i < t->part_count; i++)
        t->goal[i] = 0;
    t->poked = true;
    cond_signal(&t->cond);
    mutex_unlock(&t->lock);
}

static void release_task(struct task *t, const struct connect_op *op)
{
    (void)op;
    mutex_lock(&t->lock);
    t->hold = false;
    t->poked = true;
    cond_signal(&t->cond);
    mutex_unlock(&t->lock);
}

/* The tasks that read one of the barriers' partitions get a goal there; their others stay where they are. */
static void aim_task(struct task *t, const struct connect_op *op)
{
    bool concerned = false;

    mutex_lock(&t->lock);
    for (size_t i = 0; i < t->part_count; i++)
        for (size_t j = 0; j < op->barrier_count; j++) {
            const struct connect_barrier *b = &op->barriers[j];

            if (b->partition != t->parts[i].partition || !str_eq(b->topic, t->parts[i].topic))
                continue;
            t->goal[i] = b->offset;
            concerned = true;
        }
    if (concerned) {
        t->goal_turn++;
        t->goal_flush = true;
        t->at_goal = false;
        t->poked = true;
        cond_signal(&t->cond);
    }
    mutex_unlock(&t->lock);
}

/* A sink task that has not reached its goal: one that still can (running), or one that has failed. NULL: none. */
static struct task *find_behind(struct connect *c, bool running)
{
    for (struct map_it it = {0}; map_next(&c->connectors, &it);) {
        struct connector *k = it.value;

        for (size_t i = 0; is_sink(k) && i < k->task_count; i++) {
            struct task *t = k->tasks[i];
            bool behind;

            mutex_lock(&t->lock);
            behind = !t->at_goal;
            mutex_unlock(&t->lock);
            if (t->started && t->ended != running && behind)
                return t;
        }
    }
    return NULL;
}

static bool wait_for_all(struct connect *c, int64_t timeout_ms, struct err *e)
{
    int64_t until = c->env.os->now_ns(c->env.os) / 1000000 + timeout_ms;
    struct task *t;

    mutex_lock(&c->lock);
    while ((t = find_behind(c, true)) != NULL) {
        int64_t left = until - c->env.os->now_ns(c->env.os) / 1000000;

        if (left <= 0 || c->quit)
            break;
        (void)cond_wait_ms(&c->changed, &c->lock, left);
    }
    mutex_unlock(&c->lock);
    return !t || err_set(e, ERR_TIMEOUT, "sink task %s did not get there in %lld ms", t->name,
                         (long long)timeout_ms);
}

enum { HOLD_MS = 30000 };

bool barrier_hold(struct connect *c, struct err *e)
{
    c->sinks_held = true;
    each_sink(c, hold_task, NULL);
    return wait_for_all(c, HOLD_MS, e);
}

bool barrier_flush_at(struct connect *c, const struct connect_op *op, struct err *e)
{
    struct task *t;

    if (!c->sinks_held)
        return err_set(e, ERR_INVALID, "sinks must be held first");
    each_sink(c, aim_task, op);
    if (!wait_for_all(c, op->timeout_ms, e))
        return false;
    t = find_behind(c, false);
    return !t || err_set(e, ERR_REMOTE, "sink task %s has failed: %s", t->name, t->trace ? t->trace : "");
}

void barrier_release(struct connect *c)
{
    c->sinks_held = false;
    each_sink(c, release_task, NULL);
}
