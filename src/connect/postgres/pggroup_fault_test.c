/*
 * The n-th call of the disk fails, once or for good, while a source and a sink work and their connectors are made and
 * changed. Nothing that the source had is lost or there twice, the sink has seen all, what was acknowledged of a
 * configuration is there, and who cannot go on says why.
 *
 * The source sends transactions as PostgreSQL's does, by pggroups, several in flight: number n to each of two topics, with the
 * position n + 1. One round is one program's life on a disk in memory: it starts, fails, is mended (in place, unless the log
 * says that it must start anew), starts again and is looked at.
 */
#include "connect/postgres/pggroup.h"

#include "base/mem.h"
#include "base/test.h"
#include "group/offsets.h"
#include "os/fault.h"
#include "os/ram.h"
#include "os/tempdir.h"

#include <poll.h>

enum { TOPICS = 2, FIRST_GOAL = 5, FAULT_GOAL = 40, LAST_GOAL = 60, SETTLE_TRIES = 2000 };

static const char *const topic_names[TOPICS] = {"numbers", "echoes"};

static struct world {
    char dir[TEMPDIR_MAX]; // the log's lock is a real file
    struct ram *ram;
    struct os_fault faulty;
    struct log *log;
    struct offsets *offsets;
    struct connect *c;
    struct arena a;
    struct err e;

    struct mutex lock;
    struct cond cond;
    int64_t goal;          // the source has numbers below it
    int64_t next[TOPICS];  // the sink has seen all below it
    int64_t skipped;       // numbers that came before one they follow
    const char *colour[2]; // of the sink: as acknowledged last, and as tried after that
} w;

static void arm(enum os_fault_kind kind, unsigned nth, bool persistent)
{
    w.faulty.kind = kind;
    w.faulty.persistent = persistent;
    __atomic_store_n(&w.faulty.hits, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&w.faulty.countdown, nth, __ATOMIC_SEQ_CST);
}

static bool was_hit(void)
{
    return __atomic_load_n(&w.faulty.hits, __ATOMIC_SEQ_CST) > 0;
}

static void disarm(void)
{
    __atomic_store_n(&w.faulty.persistent, false, __ATOMIC_SEQ_CST);
    __atomic_store_n(&w.faulty.countdown, UINT32_MAX, __ATOMIC_SEQ_CST);
}

/* ---- the source ---- */

static int64_t position_number(struct task *t)
{
    struct arena a = {0};
    struct str p = source_position(t, STR("{\"p\":1}"), &a), head;
    int64_t n = 0;

    if (p.p && str_cut(&p, ':', &head) && str_cut(&p, '}', &head) && !str_i64(head, &n))
        n = -1;
    arena_fini(&a);
    return n;
}

static int64_t goal_now(void)
{
    mutex_lock(&w.lock);
    int64_t goal = w.goal;
    mutex_unlock(&w.lock);
    return goal;
}

/* One transaction: n to each topic. */
static bool send_number(struct pggroups *g, int64_t n, struct err *e)
{
    struct pggroup *f = pggroups_filling(g);
    char value[24], position[32];

    (void)snprintf(value, sizeof value, "%lld", (long long)n);
    (void)snprintf(position, sizeof position, "{\"n\":%lld}", (long long)n + 1);
    struct record row = {.value = str_of(value)};
    for (int i = 0; i < TOPICS; i++)
        if (!pggroup_add(f, pggroups_topic(g, str_of(topic_names[i])), &row, e))
            return false;
    f->end_lsn = (uint64_t)n + 1;
    return pggroups_send(g, STR("{\"p\":1}"), str_of(position), e);
}

static bool send_all(struct task *t, struct pggroups *g, struct err *e)
{
    uint64_t durable = 0;
    int64_t n = position_number(t);

    while (!task_should_stop(t)) {
        struct pollfd p[2] = {{.fd = task_wake_fd(t), .events = POLLIN},
                              {.fd = g->event_fd, .events = POLLIN}};
        bool more = n < goal_now();

        if (more && pggroups_filling(g)) {
            if (!send_number(g, n++, e))
                return false;
            continue;
        }
        (void)poll(p, 2, 2);
        if (!pggroups_take(g, &durable, e))
            return false;
    }
    return true;
}

static bool source_task(struct task *t, const struct config *c, struct err *e)
{
    struct pggroups g;

    (void)c;
    for (int i = 0; i < TOPICS; i++)
        if (!source_ensure_topic(t, str_of(topic_names[i]), 1, e))
            return false;
    pggroups_init(&g, t);
    bool ok = send_all(t, &g, e);
    pggroups_fini(&g);
    return ok;
}

/* ---- the sink ---- */

struct sink_state {
    struct sink_partition *parts;
    size_t count;
};

static bool sink_open(struct task *t, const struct config *c, struct sink_partition *parts, size_t count,
                      void **state, struct err *e)
{
    struct sink_state *s = MEM_NEW(struct sink_state);

    (void)t;
    (void)c;
    (void)e;
    *s = (struct sink_state){parts, count};
    *state = s;
    return true;
}

/* What it has had may come again, after a position that could not be committed; nothing may be passed over. */
static bool sink_put(void *state, const struct sink_record *r, size_t n, struct err *e)
{
    (void)state;
    (void)e;
    mutex_lock(&w.lock);
    for (size_t i = 0; i < n; i++) {
        int topic = str_is(r[i].from->topic, topic_names[1]);
        int64_t number;

        if (!str_i64(r[i].r.value, &number) || number > w.next[topic])
            w.skipped++;
        else if (number == w.next[topic])
            w.next[topic]++;
    }
    cond_broadcast(&w.cond);
    mutex_unlock(&w.lock);
    return true;
}

static bool sink_flush(void *state, bool all, int64_t *safe, struct err *e)
{
    struct sink_state *s = state;

    (void)e;
    (void)all;
    for (size_t i = 0; i < s->count; i++)
        safe[i] = s->parts[i].next;
    return true;
}

static int64_t sink_next(void *state)
{
    (void)state;
    return 0;
}

static void sink_close(void *state)
{
    mem_free(state);
}

static const struct config_key keys[] = {{"colour", CONFIG_STRING, NULL, true, CONFIG_HIGH, "Which."}};
static const char *const source_names[] = {"test.Source", NULL}, *const sink_names[] = {"test.Sink", NULL};
static const struct source_class source_ops = {.run = source_task};
static const struct sink_class sink_ops = {sink_open, sink_put, sink_flush, sink_next, sink_close};
static const struct connector_class source = {
    .names = source_names, .source = true, .version = "1", .source_ops = &source_ops};
static const struct connector_class sink = {
    .names = sink_names, .version = "1", .keys = keys, .key_count = ARRAY_LEN(keys), .sink_ops = &sink_ops};
static const struct connector_class *const classes[] = {&source, &sink, NULL};

const struct connector_class *const *connect_classes(void)
{
    return classes;
}

/* ---- a program's life ---- */

static void stop(void)
{
    connect_stop(w.c);
    offsets_close(w.offsets);
    log_close(w.log);
    w.c = NULL;
    w.offsets = NULL;
    w.log = NULL;
}

static bool start(void)
{
    struct log_options o = {.os = &w.faulty.os, .dir = w.dir, .journal_bytes = 1 << 20};
    struct connect_env env = {.os = &w.faulty.os};

    if (!log_open(&o, &w.log, &w.e) ||
        !offsets_open(&(struct offsets_options){.os = env.os, .log = w.log, .partitions = 1}, &w.offsets,
                      &w.e)) {
        stop();
        return false;
    }
    env.log = w.log;
    env.offsets = w.offsets;
    if (connect_start(&env, &w.c, &w.e))
        return true;
    stop();
    return false;
}

static bool put(const char *name, const char *config)
{
    bool created;

    return connect_put(w.c, str_of(name), str_of(config), &created, &w.e) ||
           (w.e.msg[0] == '\0' && printf("# refused without a word\n") > 0);
}

static bool put_sink(const char *colour)
{
    w.colour[1] = colour;
    if (!put("to",
             arena_fmt(&w.a, "{\"connector.class\":\"test.Sink\",\"colour\":\"%s\",\"topics\":\"%s,%s\"}",
                       colour, topic_names[0], topic_names[1])))
        return false;
    w.colour[0] = colour;
    return true;
}

static void let_source(int64_t goal)
{
    mutex_lock(&w.lock);
    w.goal = goal;
    mutex_unlock(&w.lock);
}

static int64_t committed(const char *topic)
{
    struct offset_at at;

    return offsets_get(w.offsets, STR("connect-to"), str_of(topic), 0, &w.a, &at) ? at.offset : 0;
}

static bool all_arrived(void)
{
    bool yes = true;

    mutex_lock(&w.lock);
    for (int i = 0; i < TOPICS; i++)
        yes = yes && w.next[i] == w.goal;
    mutex_unlock(&w.lock);
    for (int i = 0; i < TOPICS; i++)
        yes = yes && committed(topic_names[i]) == w.goal;
    return yes;
}

/* Somebody cannot go on, or waits before he tries again; a failed one has a reason. */
static bool somebody_is_stuck(bool *mute)
{
    bool stuck = false;

    for (int i = 0; i < 2; i++) {
        struct connect_info k;

        if (!connect_get(w.c, str_of(i ? "to" : "from"), &w.a, &k) || k.task_count == 0)
            continue;
        bool failed = strcmp(k.tasks[0].state, "FAILED") == 0;
        stuck |= failed || k.tasks[0].stats.state[0];
        *mute |= failed && k.tasks[0].trace.n == 0;
    }
    return stuck;
}

static void tell(void)
{
    for (int i = 0; i < TOPICS; i++)
        printf("# %s: goal %lld, the sink has %lld, committed %lld\n", topic_names[i], (long long)w.goal,
               (long long)w.next[i], (long long)committed(topic_names[i]));
    for (int i = 0; i < 2; i++) {
        struct connect_info k;

        if (connect_get(w.c, str_of(i ? "to" : "from"), &w.a, &k) && k.task_count > 0)
            printf("# %s: %s, %s, %.*s\n", i ? "to" : "from", k.tasks[0].state, k.tasks[0].stats.state,
                   STR_ARG(k.tasks[0].trace));
    }
}

/* Until all is there; `or_stuck`: or somebody cannot go on. */
static bool settle(bool or_stuck)
{
    struct arena a = {0};
    bool mute = false, done = false;

    for (int i = 0; i < SETTLE_TRIES && !done; i++) {
        done = all_arrived() || (or_stuck && (log_failed(w.log, &w.e) || somebody_is_stuck(&mute)));
        if (!done) {
            mutex_lock(&w.lock);
            (void)cond_wait_ms(&w.cond, &w.lock, 5);
            mutex_unlock(&w.lock);
        }
    }
    arena_fini(&a);
    if (!done)
        tell();
    if (mute)
        printf("# FAILED without a reason\n");
    return done && !mute;
}

/* The disk works again: the connectors are given again what they are, and go on. */
static bool mend(void)
{
    if (log_failed(w.log, &w.e)) {
        stop();
        if (!start())
            return false;
    }
    if (!put("from", "{\"connector.class\":\"test.Source\"}") || !put_sink("blue"))
        return false;
    return settle(false);
}

/* Number i is record i of the topic, and there are no others. */
static bool topic_is_whole(const char *topic, int64_t count)
{
    struct buf b = buf_make(SIZE_MAX);
    struct batch_reader r = {0};
    struct record rec;
    int64_t n = 0, number;
    bool ok = log_fetch(w.log, str_of(topic), 0, 0, 1 << 20, &b, &w.e);

    batch_open(&r, &w.a, buf_view(&b));
    while (ok && batch_next(&r, &rec)) {
        ok = str_i64(rec.value, &number) && number == n && rec.offset == n;
        n++;
    }
    ok = ok && batch_ok(&r, &w.e) && n == count;
    if (!ok)
        printf("# %s: %lld records, wanted %lld\n", topic, (long long)n, (long long)count);
    buf_fini(&b);
    return ok;
}

static bool colour_is(const char *colour)
{
    struct connect_info k;

    return colour && connect_get(w.c, STR("to"), &w.a, &k) &&
           strstr(k.config_json.p, arena_fmt(&w.a, "\"colour\":\"%s\"", colour)) != NULL;
}

/* As the next start finds it. */
static bool all_is_well(int64_t count)
{
    for (int i = 0; i < TOPICS; i++)
        if (!topic_is_whole(topic_names[i], count))
            return false;
    return w.skipped == 0 ||
           (printf("# the sink was not given %lld numbers\n", (long long)w.skipped) > 0 && false);
}

/* Made and changed while the disk fails. True when all of it was acknowledged, so that something can be expected. */
static bool work(void)
{
    bool ok = put("from", "{\"connector.class\":\"test.Source\"}") && put_sink("red");

    let_source(FAULT_GOAL);
    return ok && put_sink("green");
}

static bool round_with_fault(enum os_fault_kind kind, unsigned nth, bool persistent, bool *hit)
{
    bool ok = start();

    arm(kind, nth, persistent);
    if (ok && (work() || !was_hit()))
        ok = settle(true);
    if (!was_hit()) { // then while it ends and starts
        stop();
        if (!start()) {
            disarm();
            ok = ok && w.e.msg[0] && start();
        }
    }
    *hit = was_hit();
    disarm();
    ok = ok && (log_failed(w.log, &w.e) || !w.colour[0] || colour_is(w.colour[0]) || colour_is(w.colour[1]));
    ok = ok && mend();
    let_source(LAST_GOAL);
    ok = ok && settle(false) && all_is_well(LAST_GOAL);
    stop();
    ok = ok && start() && all_is_well(LAST_GOAL) && colour_is("blue");
    if (w.log)
        stop();
    return ok;
}

static bool walk(enum os_fault_kind kind, bool persistent, unsigned stride, unsigned *faults)
{
    bool hit = true, ok = true;

    for (unsigned n = 0; hit && ok; n += stride) {
        memset(&w, 0, sizeof w);
        mutex_init(&w.lock);
        cond_init(&w.cond);
        w.ram = ram_new(n + 1);
        os_fault_init(&w.faulty, ram_os(w.ram), kind, UINT32_MAX, false);
        ok = tempdir_make(w.dir) && os_make_dirs(ram_os(w.ram), w.dir, &w.e) &&
             round_with_fault(kind, n, persistent, &hit);
        if (!ok)
            printf("# kind %d, call %u%s: %s\n", kind, n, persistent ? " and all after it" : "", w.e.msg);
        *faults += hit;
        ok = os_remove_tree(os_real(), w.dir, &w.e) && ok;
        ram_free(w.ram);
        arena_fini(&w.a);
        cond_fini(&w.cond);
        mutex_fini(&w.lock);
    }
    printf("# %u faults\n", *faults);
    return ok;
}

TEST(a_call_fails_once)
{
    unsigned faults = 0;

    OK(walk(OS_FAULT_EIO, false, 1, &faults) && faults > 50);
}

TEST(the_disk_is_broken)
{
    unsigned faults = 0;

    OK(walk(OS_FAULT_EIO, true, 1, &faults) && faults > 50);
}

TEST(the_disk_is_full_for_a_moment)
{
    unsigned faults = 0;

    OK(walk(OS_FAULT_ENOSPC, false, 1, &faults) && faults > 50);
}

TEST(the_disk_is_full)
{
    unsigned faults = 0;

    OK(walk(OS_FAULT_ENOSPC, true, 1, &faults) && faults > 50);
}

TEST(writes_are_cut_short)
{
    unsigned faults = 0;

    OK(walk(OS_FAULT_SHORT, false, 1, &faults) && faults > 50);
}

TEST_MAIN
