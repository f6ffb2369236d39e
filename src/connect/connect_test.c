/*
 * The runtime with connectors of our own: this program's connect_classes() takes the place of classes.c. The source writes
 * "v0", "v1", ... to topic "numbers" as far as it is told; the sink keeps what it is given in memory.
 */
#include "base/mem.h"
#include "base/test.h"
#include "connect/connect_int.h"
#include "group/offsets.h"
#include "os/os.h"
#include "os/tempdir.h"

#include <poll.h>

/* ---- the world ---- */

static struct world {
    char dir[TEMPDIR_MAX];
    struct log *log;
    struct offsets *offsets;
    struct connect *c;
    struct err e;

    struct mutex lock;
    struct cond cond;
    int64_t source_goal; // numbers up to here may be written
    int64_t got[8];      // numbers a sink task was given, by task
    int64_t order_faults;
    int64_t flushes, flushed_all;
    int64_t sum_seen[4096];
    bool fail_put, source_done;
    int64_t flush_every_ms;
} w;

/* Waits until *n is at least `least`: at most ten seconds. */
static bool reaches(const int64_t *n, int64_t least)
{
    bool ok;

    mutex_lock(&w.lock);
    for (int i = 0; i < 1000 && *n < least; i++)
        (void)cond_wait_ms(&w.cond, &w.lock, 10);
    ok = *n >= least;
    mutex_unlock(&w.lock);
    return ok;
}

static bool state_is(const char *name, size_t task, const char *state)
{
    struct arena a = {0};
    bool ok = false;

    for (int i = 0; i < 1000 && !ok; i++) {
        struct connect_info k;

        ok = connect_get(w.c, str_of(name), &a, &k) && task < k.task_count &&
             strcmp(k.tasks[task].state, state) == 0;
        if (!ok) {
            mutex_lock(&w.lock);
            (void)cond_wait_ms(&w.cond, &w.lock, 10);
            mutex_unlock(&w.lock);
        }
        arena_reset(&a);
    }
    arena_fini(&a);
    return ok;
}

static bool start(void)
{
    struct log_options o = {.os = os_real(), .dir = w.dir, .journal_bytes = 1 << 20};
    struct connect_env env = {.os = os_real()};

    if (!log_open(&o, &w.log, &w.e) ||
        !offsets_open(&(struct offsets_options){.os = os_real(), .log = w.log, .partitions = 1}, &w.offsets,
                      &w.e))
        return false;
    env.log = w.log;
    env.offsets = w.offsets;
    return connect_start(&env, &w.c, &w.e);
}

static void stop(void)
{
    connect_stop(w.c);
    offsets_close(w.offsets);
    log_close(w.log);
}

static bool begin(void)
{
    memset(&w, 0, sizeof w);
    w.flush_every_ms = 0;
    mutex_init(&w.lock);
    cond_init(&w.cond);
    return tempdir_make(w.dir) && start();
}

static bool end(void)
{
    stop();
    return os_remove_tree(os_real(), w.dir, &w.e);
}

static bool put(const char *name, const char *config)
{
    bool created;

    if (connect_put(w.c, str_of(name), str_of(config), &created, &w.e))
        return true;
    printf("# %s\n", w.e.msg);
    return false;
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

static bool write_number(struct task *t, int64_t n, struct err *e)
{
    struct batch_writer b = {0};
    struct log_part_write part = {.topic = STR("numbers")};
    char value[32], position[32];
    bool ok;

    (void)snprintf(value, sizeof value, "v%lld", (long long)n);
    (void)snprintf(position, sizeof position, "{\"n\":%lld}", (long long)n + 1);
    batch_begin(&b, 1 << 20);
    batch_add(&b, 0, STR_NULL, str_of(value), NULL, 0);
    part.batches = batch_end(&b);
    ok = source_append(t, &part, 1, STR("{\"p\":1}"), str_of(position), e);
    batch_fini(&b);
    return ok;
}

static bool source_task(struct task *t, const struct config *c, struct err *e)
{
    (void)c;
    if (!source_ensure_topic(t, STR("numbers"), 1, e))
        return false;
    while (!task_should_stop(t)) {
        int64_t n = position_number(t), goal;
        struct pollfd p = {.fd = task_wake_fd(t), .events = POLLIN};

        mutex_lock(&w.lock);
        goal = w.source_goal;
        mutex_unlock(&w.lock);
        if (n >= goal)
            (void)poll(&p, 1, 5);
        else if (!write_number(t, n, e))
            return false;
    }
    return true;
}

/* ---- the sink ---- */

struct sink_state {
    struct task *t;
    struct sink_partition *parts;
    size_t count;
};

static bool sink_open(struct task *t, const struct config *c, struct sink_partition *parts, size_t count,
                      void **state, struct err *e)
{
    struct sink_state *s = MEM_NEW(struct sink_state);

    (void)c;
    (void)e;
    *s = (struct sink_state){t, parts, count};
    *state = s;
    return true;
}

static bool sink_put(void *state, const struct sink_record *r, size_t n, struct err *e)
{
    struct sink_state *s = state;
    int task = task_name(s->t)[strlen(task_name(s->t)) - 1] - '0';
    bool fail;

    mutex_lock(&w.lock);
    fail = w.fail_put;
    for (size_t i = 0; i < n && !fail; i++) {
        int64_t number;

        if (!str_i64(str_from(r[i].r.value.p + 1, r[i].r.value.n - 1), &number) || number < 0 ||
            number >= 4096)
            number = 0;
        w.order_faults +=
            r[i].from->partition == 0 && str_is(r[i].from->topic, "numbers") && number != r[i].r.offset;
        w.sum_seen[number]++;
        w.got[task]++;
    }
    cond_broadcast(&w.cond);
    mutex_unlock(&w.lock);
    return !fail || err_set(e, ERR_INVALID, "the shelf is full");
}

static bool sink_flush(void *state, bool all, int64_t *safe, struct err *e)
{
    struct sink_state *s = state;

    (void)e;
    for (size_t i = 0; i < s->count; i++)
        safe[i] = s->parts[i].next;
    task_say(s->t, "flushed");
    mutex_lock(&w.lock);
    w.flushes++;
    w.flushed_all += all;
    cond_broadcast(&w.cond);
    mutex_unlock(&w.lock);
    return true;
}

static int64_t sink_next(void *state)
{
    int64_t ms;

    (void)state;
    mutex_lock(&w.lock);
    ms = w.flush_every_ms;
    mutex_unlock(&w.lock);
    return ms;
}

static void sink_close(void *state)
{
    mem_free(state);
}

/* ---- the classes ---- */

static bool check(const struct config *c, struct err *e)
{
    return !str_is(config_str(c, "colour"), "invisible") || err_set(e, ERR_INVALID, "no such colour");
}

static const struct config_key keys[] = {
    {"count", CONFIG_INT, "5", false, CONFIG_HIGH, "How many."},
    {"colour", CONFIG_STRING, NULL, true, CONFIG_HIGH, "Which."},
};
static const char *const source_names[] = {"test.Source", NULL}, *const sink_names[] = {"test.Sink", NULL};
static const struct source_class source_ops = {.run = source_task};
static const struct sink_class sink_ops = {sink_open, sink_put, sink_flush, sink_next, sink_close};
static const struct connector_class source = {
    .names = source_names, .source = true, .version = "1", .source_ops = &source_ops};
static const struct connector_class sink = {.names = sink_names,
                                            .version = "1",
                                            .keys = keys,
                                            .key_count = ARRAY_LEN(keys),
                                            .check = check,
                                            .sink_ops = &sink_ops};
static const struct connector_class *const classes[] = {&source, &sink, NULL};

const struct connector_class *const *connect_classes(void)
{
    return classes;
}

#define SOURCE "{\"connector.class\":\"test.Source\"}"
#define SINK   "{\"connector.class\":\"test.Sink\",\"colour\":\"red\",\"topics\":\"numbers\",\"tasks.max\":2}"

static void let_source(int64_t goal)
{
    mutex_lock(&w.lock);
    w.source_goal = goal;
    mutex_unlock(&w.lock);
}

static bool each_once(int64_t n)
{
    bool ok = w.order_faults == 0;

    for (int64_t i = 0; i < n; i++)
        ok = ok && w.sum_seen[i] == 1;
    return ok;
}

/* ---- tests ---- */

TEST(a_source_goes_on_where_it_was_and_a_sink_reads_each_once)
{
    OK(begin());
    let_source(50);
    OK(put("from", SOURCE) && put("to", SINK));
    OK(reaches(&w.got[0], 50));
    stop();
    OK(start());
    let_source(120);
    OK(reaches(&w.got[0], 120));
    OK(each_once(120) && w.got[1] == 0); // one partition: the first task has it
    OK(end());
}

TEST(what_a_sink_says_leaves_its_count_alone)
{
    struct arena a = {0};
    struct connect_info *k;
    const struct task_stats *s;
    size_t n;

    OK(begin());
    let_source(50);
    OK(put("from", SOURCE) && put("to", SINK));
    OK(reaches(&w.got[0], 50));
    do { // the test's own time limit ends this
        arena_reset(&a);
        connect_list(w.c, &a, &k, &n);
        s = &k[1].tasks[0].stats;
    } while (s->records < 50 || !str_is(str_of(s->state), "flushed"));
    OK(s->records == 50 && s->bytes > 50);
    arena_fini(&a);
    OK(end());
}

TEST(connectors_are_listed_described_and_deleted)
{
    struct arena a = {0};
    struct connect_info *k;
    struct str *topics;
    size_t n;

    OK(begin());
    let_source(1);
    OK(put("from", SOURCE) && put("to", SINK) && reaches(&w.got[0], 1));
    connect_list(w.c, &a, &k, &n);
    OK(n == 2 && str_is(k[0].name, "from") && str_is(k[1].name, "to") && str_is(k[0].type, "source"));
    OK(k[1].task_count == 2 && k[1].tasks[0].lag_records >= 0 && k[0].tasks[0].lag_records == -1);
    OK(str_is(k[1].config_json, "{\"name\":\"to\",\"connector.class\":\"test.Sink\",\"colour\":\"red\","
                                "\"topics\":\"numbers\",\"tasks.max\":\"2\"}"));
    OK(connect_topics(w.c, STR("to"), &a, &topics, &n) && n == 1 && str_is(topics[0], "numbers"));
    OK(connect_delete(w.c, STR("to"), &w.e));
    OK(!connect_delete(w.c, STR("to"), &w.e) && w.e.kind == ERR_NOT_FOUND);
    stop();
    OK(start());
    connect_list(w.c, &a, &k, &n);
    OK(n == 1 && str_is(k[0].name, "from"));
    arena_fini(&a);
    OK(end());
}

TEST(a_failed_task_keeps_its_reason_until_it_is_restarted)
{
    struct arena a = {0};
    struct connect_info k;

    OK(begin());
    w.fail_put = true;
    let_source(10);
    OK(put("from", SOURCE) && put("to", SINK));
    OK(state_is("to", 0, "FAILED") && state_is("to", 1, "RUNNING"));
    OK(connect_get(w.c, STR("to"), &a, &k) && strcmp(k.state, "RUNNING") == 0);
    OK(strstr(k.tasks[0].trace.p, "numbers-0 at offset") && strstr(k.tasks[0].trace.p, "the shelf is full"));
    mutex_lock(&w.lock);
    w.fail_put = false;
    mutex_unlock(&w.lock);
    OK(connect_restart(w.c, STR("to"), -1, true, true, &w.e));
    OK(reaches(&w.got[0], 10) && each_once(10) && state_is("to", 0, "RUNNING"));
    OK(!connect_restart(w.c, STR("to"), 7, true, false, &w.e) && w.e.kind == ERR_NOT_FOUND);
    arena_fini(&a);
    OK(end());
}

TEST(paused_and_stopped_stay_so_after_a_restart)
{
    struct arena a = {0};
    struct connect_info k;

    OK(begin());
    let_source(5);
    OK(put("from", SOURCE) && put("to", SINK) && reaches(&w.got[0], 5));
    OK(connect_set_target(w.c, STR("to"), CONNECT_PAUSED, &w.e) && state_is("to", 0, "PAUSED"));
    OK(connect_set_target(w.c, STR("from"), CONNECT_STOPPED, &w.e));
    stop();
    OK(start());
    OK(state_is("to", 0, "PAUSED"));
    OK(connect_get(w.c, STR("from"), &a, &k) && k.task_count == 0 && strcmp(k.state, "STOPPED") == 0);
    let_source(9);
    OK(connect_set_target(w.c, STR("from"), CONNECT_STARTED, &w.e));
    OK(connect_set_target(w.c, STR("to"), CONNECT_STARTED, &w.e));
    OK(reaches(&w.got[0], 9) && each_once(9));
    arena_fini(&a);
    OK(end());
}

TEST(topics_that_come_later_are_dealt_to_the_tasks)
{
    struct log_settings s;
    struct batch_writer b = {0};
    struct log_part_write part = {.topic = STR("late"), .partition = 1};

    OK(begin());
    OK(put("to", "{\"connector.class\":\"test.Sink\",\"colour\":\"red\",\"topics.regex\":\"la.e|numb.*\","
                 "\"tasks.max\":\"2\"}"));
    log_settings_default(w.log, &s);
    OK(log_ensure_topic(w.log, STR("late"), 2, &s, &w.e) &&
       log_ensure_topic(w.log, STR("later"), 1, &s, &w.e));
    batch_begin(&b, 1 << 20);
    batch_add(&b, 0, STR_NULL, STR("v7"), NULL, 0);
    part.batches = batch_end(&b);
    OK(log_append(w.log, &part, 1, &w.e));
    part.topic = STR("later"); // does not fit as a whole
    part.partition = 0;
    OK(log_append(w.log, &part, 1, &w.e));
    OK(reaches(&w.got[1], 1) && w.got[0] == 0 && w.sum_seen[7] == 1);
    batch_fini(&b);
    OK(end());
}

static int64_t late(struct str batch)
{
    struct log_part_write part = {.topic = STR("late"), .batches = batch};

    return log_append(w.log, &part, 1, &w.e) ? part.base_offset : -1;
}

static int64_t late_value(struct batch_writer *b, const char *value, int64_t producer, int32_t sequence)
{
    batch_begin(b, 1 << 20);
    batch_add(b, 0, STR_NULL, str_of(value), NULL, 0);
    b->producer_id = producer;
    b->producer_epoch = 0;
    b->base_sequence = producer < 0 ? -1 : sequence;
    b->attributes = producer < 0 ? 0 : BATCH_TRANSACTIONAL;
    return late(batch_end(b));
}

static int64_t late_end(struct batch_writer *b, int64_t producer, bool commit)
{
    return late(batch_mark_write(b, producer, 0, &(struct batch_mark){.commit = commit}, 1));
}

TEST(a_sink_sees_no_record_that_was_not_committed)
{
    struct log_settings s;
    struct batch_writer b = {0};

    OK(begin());
    log_settings_default(w.log, &s);
    OK(log_ensure_topic(w.log, STR("late"), 1, &s, &w.e));
    OK(put("to", "{\"connector.class\":\"test.Sink\",\"colour\":\"red\",\"topics\":\"late\"}"));
    OK(late_value(&b, "v1", -1, 0) == 0 && late_value(&b, "v2", 7, 0) == 1 &&
       late_value(&b, "v3", -1, 0) == 2);
    OK(late_value(&b, "v4", 8, 0) == 3 && reaches(&w.got[0], 1)); // what is behind an open one waits
    OK(late_end(&b, 7, false) == 4 && reaches(&w.got[0], 2));
    OK(w.sum_seen[1] == 1 && w.sum_seen[2] == 0 && w.sum_seen[3] == 1 && w.sum_seen[4] == 0);
    OK(late_end(&b, 8, true) == 5 && reaches(&w.got[0], 3) && w.sum_seen[4] == 1);
    OK(late_value(&b, "v5", 8, 1) == 6 && late_end(&b, 8, false) == 7); // nothing of this
    OK(late_value(&b, "v6", 8, 2) == 8 && late_end(&b, 8, true) == 9 && reaches(&w.got[0], 4));
    OK(w.sum_seen[2] == 0 && w.sum_seen[5] == 0 && w.sum_seen[6] == 1);
    batch_fini(&b);
    OK(end());
}

TEST(a_barrier_is_reached_exactly)
{
    struct connect_barrier at = {.topic = STR("numbers"), .offset = 30};

    OK(begin());
    let_source(10);
    OK(put("from", SOURCE) && put("to", SINK) && reaches(&w.got[0], 10));
    OK(connect_hold(w.c, &w.e));
    let_source(100);
    OK(state_is("from", 0, "RUNNING"));
    for (struct log_range r = {0}; r.end < 100;)
        OK(log_range(w.log, STR("numbers"), 0, &r));
    OK(w.got[0] == 10);
    OK(connect_flush_at(w.c, &at, 1, 10000, &w.e));
    OK(w.got[0] == 30 && w.flushed_all == 1);
    at.offset = 31;
    OK(connect_flush_at(w.c, &at, 1, 10000, &w.e) && w.got[0] == 31 && w.flushed_all == 2);
    at.offset = 1000; // nobody will write it
    OK(!connect_flush_at(w.c, &at, 1, 50, &w.e) && w.e.kind == ERR_TIMEOUT);
    connect_release(w.c);
    OK(reaches(&w.got[0], 100) && each_once(100));
    OK(end());
}

static bool source_hold_task(struct task *t, const char *position, struct err *e)
{
    return source_append(t, NULL, 0, STR("{\"p\":2}"), str_of(position), e);
}

TEST(a_held_topic_is_not_read_until_it_is_published)
{
    struct connector *k;

    OK(begin());
    let_source(10);
    OK(put("from", SOURCE) && state_is("from", 0, "RUNNING"));
    k = map_get(&w.c->connectors, STR("from"));
    OK(source_hold_task(k->tasks[0], "{\"held\":{\"numbers\":4}}", &w.e));
    OK(!connect_wait_snapshot(w.c, STR("from"), 20, &w.e) && w.e.kind == ERR_TIMEOUT);
    OK(!connect_wait_snapshot(w.c, STR("fro"), 20, &w.e) && w.e.kind == ERR_REMOTE);
    OK(put("to", SINK) && reaches(&w.got[0], 4));
    stop();
    OK(start()); // the hold is of the stored position
    let_source(20);
    for (struct log_range r = {0}; r.end < 20;)
        OK(log_range(w.log, STR("numbers"), 0, &r));
    OK(state_is("to", 0, "RUNNING") && w.got[0] == 4);
    k = map_get(&w.c->connectors, STR("from"));
    OK(source_hold_task(k->tasks[0], "{\"n\":1}", &w.e));
    OK(connect_wait_snapshot(w.c, STR("from"), 10000, &w.e));
    OK(reaches(&w.got[0], 20) && each_once(20));
    OK(end());
}

static bool problem_is(const char *config, const char *key, const char *text)
{
    struct arena a = {0};
    struct config_problem *p;
    size_t n;
    bool ok;

    connect_validate(w.c, str_of(config), &a, &p, &n);
    ok = n == 1 && str_is(p[0].key, key) && strstr(p[0].text.p, text) != NULL;
    if (!ok && n > 0)
        printf("# %zu: %s\n", n, p[0].text.p);
    arena_fini(&a);
    return ok;
}

#define WITH(more) "{\"connector.class\":\"test.Sink\"," more "}"

TEST(what_is_wrong_is_told_in_connects_words)
{
    OK(begin());
    OK(problem_is("{}", "connector.class", "Missing required configuration \"connector.class\""));
    OK(problem_is("{\"connector.class\":\"x\"}", "connector.class",
                  "available connectors are: test.Source, test.Sink"));
    OK(problem_is(WITH("\"topics\":\"a\""), "colour",
                  "Missing required configuration \"colour\" which has no default value."));
    OK(problem_is(WITH("\"topics\":\"a\",\"colour\":\"red\",\"count\":\"x\""), "count",
                  "Invalid value x for configuration count: Not a number of type INT"));
    OK(problem_is(WITH("\"colour\":\"red\""), "topics", "Must configure one of topics or topics.regex"));
    OK(problem_is(WITH("\"colour\":\"red\",\"topics\":\"a\",\"topics.regex\":\"b\""), "topics",
                  "mutually exclusive"));
    OK(problem_is(WITH("\"colour\":\"red\",\"topics.regex\":\"(\""), "topics.regex", "Invalid regex"));
    OK(problem_is(WITH("\"colour\":\"invisible\",\"topics\":\"a\""), "connector.class", "no such colour"));
    OK(problem_is(WITH("\"colour\":\"red\",\"topics\":\"a\",\"tasks.max\":\"0\""), "tasks.max",
                  "Value must be 1 to"));
    OK(problem_is(WITH("\"colour\":\"red\",\"topics\":\"a\",\"errors.tolerance\":\"all\""),
                  "errors.tolerance", "only none"));
    OK(problem_is("[]", "connector.class", "must be a JSON object"));
    OK(problem_is("{\"connector.class\":{}}", "connector.class", "it must be a string"));
    OK(!put("bad/name", SINK) && w.e.kind == ERR_INVALID);
    OK(end());
}

TEST_MAIN
