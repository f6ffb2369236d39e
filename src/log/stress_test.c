/* Everything at once, for the thread sanitizer and for order: appenders, readers, watchers, maintenance, topics that come and go. */
#include "log/testlog.h"
#include "os/thread.h"

enum { WRITERS = 3, READERS = 2, ROUNDS = 150 };

struct stress {
    struct testlog t;
    struct mutex lock;
    struct cond cond;
    int64_t sent[WRITERS]; // acknowledged to each writer; partition i is writer i's
    bool stop;             // lock
    bool wrong;            // lock
};

struct worker {
    struct stress *s;
    int index;
    struct thread thread;
};

static bool stopped(struct stress *s)
{
    bool stop;

    mutex_lock(&s->lock);
    stop = s->stop;
    mutex_unlock(&s->lock);
    return stop;
}

static void check(struct stress *s, bool ok, const char *what, const struct err *e)
{
    if (ok)
        return;
    mutex_lock(&s->lock);
    if (!s->wrong)
        printf("# %s: %s\n", what, e->msg);
    s->wrong = true;
    mutex_unlock(&s->lock);
}

static void write_all(void *arg)
{
    struct worker *w = arg;
    struct stress *s = w->s;
    struct batch_writer b = {0};
    struct err e = {0};

    for (int64_t n = 0; n < ROUNDS; n++) {
        struct log_part_write p = {.topic = STR("a"), .partition = w->index};

        p.batches = testlog_batch(&b, n, 1, n % 50 == 0 ? 40000 : 100);
        check(s, log_append(s->t.l, &p, 1, &e) && p.base_offset == n, "append", &e);
        mutex_lock(&s->lock);
        s->sent[w->index] = n + 1;
        mutex_unlock(&s->lock);
    }
    batch_fini(&b);
}

static void woken(void *arg)
{
    struct stress *s = arg;

    mutex_lock(&s->lock);
    cond_broadcast(&s->cond);
    mutex_unlock(&s->lock);
}

/* Follows a partition to its end, waiting by watch; every record once and in order. */
static void read_all(void *arg)
{
    struct worker *w = arg;
    struct stress *s = w->s;
    struct testlog view = {.l = s->t.l};
    int64_t at = 0;
    struct err none = {0};

    while (at < ROUNDS) {
        struct log_watch watch = {.fn = woken, .arg = s};
        struct log_range r;
        int64_t n;

        mutex_lock(&s->lock);
        while (log_range(s->t.l, STR("a"), w->index, &r) && r.end <= at) {
            mutex_unlock(&s->lock);
            log_watch(s->t.l, STR("a"), w->index, at, &watch);
            mutex_lock(&s->lock);
            if (log_range(s->t.l, STR("a"), w->index, &r) && r.end <= at)
                (void)cond_wait_ms(&s->cond, &s->lock, 1000);
            mutex_unlock(&s->lock);
            log_unwatch(s->t.l, &watch);
            mutex_lock(&s->lock);
        }
        mutex_unlock(&s->lock);
        n = testlog_read(&view, "a", w->index, at, 0, 2000);
        check(s, n > 0, "read", n > 0 ? &none : &view.e);
        if (n <= 0)
            return;
        at += n;
    }
}

static void maintain(void *arg)
{
    struct stress *s = ((struct worker *)arg)->s;
    struct log_stats stats;
    struct err e = {0};
    int64_t offset, ts;

    while (!stopped(s)) {
        check(s, log_maintain(s->t.l, &e), "maintain", &e);
        log_stats(s->t.l, &stats);
        (void)log_offset_for_time(s->t.l, STR("a"), 0, 1700000000050, &offset, &ts);
    }
}

/* Topics with the same name, made, written to and deleted. */
static void churn(void *arg)
{
    struct stress *s = ((struct worker *)arg)->s;
    struct batch_writer b = {0};
    struct log_settings set;
    struct err e = {0};

    log_settings_default(s->t.l, &set);
    while (!stopped(s)) {
        struct log_part_write p = {.topic = STR("gone"), .partition = 1};

        check(s, log_create_topic(s->t.l, STR("gone"), 2, &set, &e), "create", &e);
        p.batches = testlog_batch(&b, 0, 1, 10);
        check(s, log_append(s->t.l, &p, 1, &e) && p.base_offset == 0, "append to a new topic", &e);
        check(s, log_delete_topic(s->t.l, STR("gone"), &e), "delete", &e);
    }
    batch_fini(&b);
}

TEST(all_at_once)
{
    struct stress s = {0};
    struct worker w[WRITERS + READERS + 2];
    struct log_settings set;

    mutex_init(&s.lock);
    cond_init(&s.cond);
    s.t.o.journal_bytes = 64 * KIB; // goes round many times
    OK(testlog_start(&s.t));
    log_settings_default(s.t.l, &set);
    set.segment_bytes = 20000;
    set.retention_ms = -1;
    OK(log_create_topic(s.t.l, STR("a"), WRITERS, &set, &s.t.e));
    for (int i = 0; i < WRITERS + READERS + 2; i++) {
        static thread_fn *const fns[] = {write_all, write_all, write_all, read_all,
                                         read_all,  maintain,  churn};

        w[i] = (struct worker){.s = &s, .index = i < WRITERS ? i : i - WRITERS};
        thread_start(&w[i].thread, "stress", fns[i], &w[i]);
    }
    for (int i = 0; i < WRITERS + READERS; i++)
        thread_join(&w[i].thread);
    mutex_lock(&s.lock);
    s.stop = true;
    mutex_unlock(&s.lock);
    thread_join(&w[WRITERS + READERS].thread);
    thread_join(&w[WRITERS + READERS + 1].thread);
    OK(!s.wrong);
    testlog_crash(&s.t);
    OK(testlog_open(&s.t));
    for (int i = 0; i < WRITERS; i++)
        OK(testlog_read(&s.t, "a", i, 0, 0, 100000) == ROUNDS);
    OK(testlog_end(&s.t));
    cond_fini(&s.cond);
    mutex_fini(&s.lock);
}

TEST_MAIN
