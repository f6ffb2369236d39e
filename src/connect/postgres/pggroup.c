#include "connect/postgres/pggroup.h"

#include "base/limits.h"
#include "base/mem.h"

#include <assert.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { SPOOL_WRITE_BYTES = 4 << 20 };

void pggroups_init(struct pggroups *g, struct task *t)
{
    *g = (struct pggroups){.task = t, .event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    assert(g->event_fd >= 0);
    mutex_init(&g->lock);
    for (size_t i = 0; i < GROUPS; i++)
        g->group[i].owner = g;
}

static void group_free(struct pggroup *g)
{
    for (size_t i = 0; i < g->topic_cap; i++) {
        batch_fini(&g->topics[i].writer);
        buf_fini(&g->topics[i].whole);
        os_spool_close(&g->topics[i].spool);
    }
    source_write_fini(&g->write);
    mem_free(g->topics);
    mem_free(g->parts);
}

void pggroups_fini(struct pggroups *g)
{
    pggroups_abandon(g);
    for (size_t i = 0; i < GROUPS; i++)
        group_free(&g->group[i]);
    for (size_t i = 0; i < g->topic_count; i++)
        mem_free((void *)(uintptr_t)g->topics[i].p);
    mem_free(g->topics);
    mutex_fini(&g->lock);
    (void)close(g->event_fd);
}

size_t pggroups_topic(struct pggroups *g, struct str topic)
{
    for (size_t i = 0; i < g->topic_count; i++)
        if (str_eq(g->topics[i], topic))
            return i;
    MEM_PUSH_ROOM(g->topics, g->topic_count, g->topic_cap);
    g->topics[g->topic_count] = str_from(str_dup(topic), topic.n);
    return g->topic_count++;
}

struct pggroup *pggroups_filling(struct pggroups *g)
{
    return g->flying == GROUPS ? NULL : &g->group[(g->first + g->flying) % GROUPS];
}

static void make_room(struct pggroup *g, size_t topics)
{
    if (topics <= g->topic_cap)
        return;
    g->topics = mem_grow(g->topics, topics * sizeof *g->topics);
    memset(g->topics + g->topic_cap, 0, (topics - g->topic_cap) * sizeof *g->topics);
    g->parts = mem_grow(g->parts, (topics + 1) * sizeof *g->parts);
    for (size_t i = g->topic_cap; i < topics; i++)
        g->topics[i].whole = buf_make(SIZE_MAX);
    g->topic_cap = topics;
}

/* Makes room in memory: what is whole goes to the topic's file. */
static bool spool_whole(struct pggroup *g, struct group_topic *t, struct err *e)
{
    const struct connect_env *env = task_env(g->owner->task);

    if (!t->spool._os && !env->spool_dir)
        return err_set(e, ERR_LIMIT, "a transaction is over %zu bytes and there is no folder for it",
                       GROUP_MEMORY_BYTES);
    if (!t->spool._os && !os_spool_open(&t->spool, env->os, env->spool_dir, e))
        return false;
    if (!os_spool_add(&t->spool, buf_view(&t->whole), e))
        return false;
    buf_fini(&t->whole);
    return true;
}

static bool next_batch(struct pggroup *g, struct group_topic *t, struct err *e)
{
    buf_str(&t->whole, batch_end(&t->writer));
    batch_begin(&t->writer, LIMIT_BATCH);
    return g->bytes < GROUP_MEMORY_BYTES || t->whole.n < SPOOL_WRITE_BYTES || spool_whole(g, t, e);
}

bool pggroup_add(struct pggroup *g, size_t topic, const struct record *r, struct err *e)
{
    struct group_topic *t;
    size_t before;

    make_room(g, topic + 1);
    t = &g->topics[topic];
    if (t->used && t->writer.buf.n + r->key.n + r->value.n > GROUP_BATCH_BYTES) {
        if (!next_batch(g, t, e))
            return false;
    } else if (!t->used) {
        batch_begin(&t->writer, LIMIT_BATCH);
        t->used = true;
    }
    before = t->writer.buf.n;
    batch_add(&t->writer, r->timestamp_ms, r->key, r->value, r->headers, r->header_count);
    if (!buf_ok(&t->writer.buf))
        return err_set(e, ERR_LIMIT, "a record for %.*s is over %zu bytes", STR_ARG(g->owner->topics[topic]),
                       LIMIT_BATCH);
    g->bytes += t->writer.buf.n - before;
    g->rows++;
    return true;
}

static void pggroup_drop(struct pggroup *g)
{
    for (size_t i = 0; i < g->topic_cap; i++) {
        g->topics[i].used = false;
        buf_reset(&g->topics[i].whole);
        os_spool_close(&g->topics[i].spool);
    }
    g->rows = 0;
    g->bytes = 0;
}

static void landed(void *arg, bool ok, const struct err *e)
{
    struct pggroup *g = arg;
    struct pggroups *all = g->owner;

    mutex_lock(&all->lock);
    if (!ok && !all->failed)
        all->err = *e;
    all->landed++;
    all->failed |= !ok;
    (void)eventfd_write(all->event_fd, 1); // under the lock: who has seen all of them land closes it
    mutex_unlock(&all->lock);
}

/* All batches of one topic as one run of bytes. */
static bool topic_bytes(struct group_topic *t, struct str *out, struct err *e)
{
    struct str last = batch_end(&t->writer);

    if (t->spool._os) {
        buf_str(&t->whole, last);
        return os_spool_add(&t->spool, buf_view(&t->whole), e) && os_spool_view(&t->spool, out, e);
    }
    if (t->whole.n > 0)
        buf_str(&t->whole, last);
    *out = t->whole.n > 0 ? buf_view(&t->whole) : last;
    return true;
}

bool pggroups_send(struct pggroups *g, struct str partition_json, struct str position, struct err *e)
{
    struct pggroup *f = pggroups_filling(g);
    size_t n = 0;

    assert(f && !f->flying && position.n < sizeof f->position);
    make_room(f, g->topic_count + 1);
    for (size_t i = 0; i < f->topic_cap; i++) {
        if (!f->topics[i].used)
            continue;
        f->parts[n] = (struct log_part_write){.topic = g->topics[i]};
        if (!topic_bytes(&f->topics[i], &f->parts[n++].batches, e))
            return false;
    }
    if (position.p)
        memcpy(f->position, position.p, position.n);
    f->write.writes = f->parts;
    f->write.count = n;
    f->write.partition_json = partition_json;
    f->write.position_json = str_from(position.p ? f->position : NULL, position.n);
    f->write.done = landed;
    f->write.arg = f;
    f->flying = true;
    g->flying++;
    source_append_async(g->task, &f->write);
    return true;
}

bool pggroups_take(struct pggroups *g, uint64_t *end_lsn, struct err *e)
{
    size_t n;
    bool failed;
    eventfd_t drained;

    (void)eventfd_read(g->event_fd, &drained);
    mutex_lock(&g->lock);
    n = g->landed;
    g->landed = 0;
    failed = g->failed;
    if (failed)
        *e = g->err;
    mutex_unlock(&g->lock);
    for (; n > 0; n--) {
        struct pggroup *f = &g->group[g->first];

        if (!failed && f->end_lsn > *end_lsn)
            *end_lsn = f->end_lsn;
        pggroup_drop(f);
        f->flying = false;
        g->first = (g->first + 1) % GROUPS;
        g->flying--;
    }
    return !failed || err_wrap(e, "append");
}

void pggroups_abandon(struct pggroups *g)
{
    struct err e;
    uint64_t lsn = 0;
    bool ok = pggroups_wait(g, &lsn, &e);

    (void)ok; // what was lost is read again
    for (size_t i = 0; i < GROUPS; i++)
        pggroup_drop(&g->group[i]);
    g->failed = false;
    source_begin_anew(g->task);
}

bool pggroups_wait(struct pggroups *g, uint64_t *end_lsn, struct err *e)
{
    bool ok = true;

    while (g->flying > 0) {
        struct pollfd p = {.fd = g->event_fd, .events = POLLIN};

        (void)poll(&p, 1, -1);
        ok = pggroups_take(g, end_lsn, e) && ok;
    }
    return ok;
}
