/*
 * Power cuts: a log on an os that forgets what was not synced (os/ram.h), cut at a random call of a random load, opened
 * again, cut again while it opens, and compared with what it had promised. A failure prints its seed; run with it as CRASH_SEED.
 */
#include "log/testlog.h"
#include "os/ram.h"
#include "os/thread.h"

enum { PARTS = 3, TOPICS = 2, FLIGHTS = 6 };

/* What the log has promised for one partition. Record number = offset: values tell. */
struct promise {
    int64_t acked; // records acknowledged
    int64_t trim;  // start acknowledged
};

struct world;

/* An append under way. */
struct flight {
    struct world *world;
    int count[TOPICS][PARTS]; // records
    struct log_part_write parts[TOPICS * PARTS];
    struct batch_writer w[TOPICS * PARTS];
};

struct world {
    struct mutex mutex;
    struct cond cond;
    struct flight flights[FLIGHTS];
    int flown, landed, acked;
    struct ram *ram;
    struct log *l;
    struct log_options o;
    struct promise p[TOPICS][PARTS];
    char lock[TEMPDIR_MAX];
    uint64_t random;
    struct err e;
};

static uint64_t rnd(struct world *w, uint64_t n)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (w->random >> 33) % n;
}

static void landed(void *arg, bool ok, const struct err *e)
{
    struct world *w = ((struct flight *)arg)->world;

    (void)e;
    mutex_lock(&w->mutex);
    w->landed++;
    w->acked += ok;
    cond_signal(&w->cond);
    mutex_unlock(&w->mutex);
}

static struct str topic_name(int i)
{
    return i == 0 ? STR("a") : STR("b");
}

/* One append of a few records to some partitions of both topics at once. */
static void fly(struct world *w, struct flight *f, int64_t at[TOPICS][PARTS])
{
    static const size_t pads[] = {0, 10, 300, 3000, 30000};
    size_t n = 0;

    for (int t = 0; t < TOPICS; t++)
        for (int i = 0; i < PARTS; i++) {
            bool last =
                n == 0 && t == TOPICS - 1 && i == PARTS - 1; // an empty one would succeed on a dead machine

            f->count[t][i] = rnd(w, 2) || last ? 1 + (int)rnd(w, 3) : 0;
            if (f->count[t][i] == 0)
                continue;
            f->parts[n] = (struct log_part_write){.topic = topic_name(t), .partition = i};
            f->parts[n].batches =
                testlog_batch(&f->w[n], at[t][i], f->count[t][i], pads[rnd(w, ARRAY_LEN(pads))]);
            at[t][i] += f->count[t][i];
            n++;
        }
    f->world = w;
    log_append_async(w->l, f->parts, n, landed, f);
}

/* Several appends that share groups. What is acknowledged is the first of them, as they were sent. */
static void append(struct world *w)
{
    int64_t at[TOPICS][PARTS];
    int n = 1 + (int)rnd(w, FLIGHTS);

    for (int t = 0; t < TOPICS; t++)
        for (int i = 0; i < PARTS; i++)
            at[t][i] = w->p[t][i].acked;
    w->landed = w->acked = 0;
    w->flown = n;
    for (int k = 0; k < n; k++)
        fly(w, &w->flights[k], at);
    mutex_lock(&w->mutex);
    while (w->landed < n)
        cond_wait(&w->cond, &w->mutex);
    mutex_unlock(&w->mutex);
    for (int t = 0; t < TOPICS; t++)
        for (int i = 0; i < PARTS; i++)
            for (int k = 0; k < w->acked; k++)
                w->p[t][i].acked += w->flights[k].count[t][i];
}

static void step(struct world *w)
{
    int t = (int)rnd(w, TOPICS), i = (int)rnd(w, PARTS);
    struct promise *p = &w->p[t][i];
    uint64_t what = rnd(w, 40);

    if (what == 0) {
        (void)(log_maintain(w->l, &w->e) || w->e.kind);
    } else if (what == 1) {
        int64_t to = p->trim + (int64_t)rnd(w, (uint64_t)(p->acked - p->trim) + 1);

        if (log_trim(w->l, topic_name(t), i, to, &w->e))
            p->trim = to;
    } else {
        append(w);
    }
}

static bool read_part(struct world *w, int t, int i, const struct log_range *range)
{
    struct testlog view = {.l = w->l}; // only to read with
    int64_t n = testlog_read(&view, t == 0 ? "a" : "b", i, range->start, 0, 5000);

    if (n != range->end - range->start)
        printf("# %s-%d: read %lld of %lld to %lld: %s\n", t == 0 ? "a" : "b", i, (long long)n,
               (long long)range->start, (long long)range->end, view.e.msg);
    return n == range->end - range->start;
}

/* Are the ends those after the first `more` of the appends that were not acknowledged? */
static bool ends_fit(struct world *w, struct log_range r[TOPICS][PARTS], int more)
{
    bool fit = true;

    for (int t = 0; t < TOPICS; t++)
        for (int i = 0; i < PARTS; i++) {
            int64_t end = w->p[t][i].acked;

            for (int k = 0; k < more; k++)
                end += w->flights[w->acked + k].count[t][i];
            fit = fit && r[t][i].end == end;
        }
    return fit;
}

/*
 * All that was acknowledged is there. Of the appends that were under way when the power went the first few may be there too, whole and
 * in order; a trim under way may have happened.
 */
static bool compare(struct world *w)
{
    struct log_range r[TOPICS][PARTS];
    int more = 0;

    for (int t = 0; t < TOPICS; t++)
        for (int i = 0; i < PARTS; i++)
            if (!log_range(w->l, topic_name(t), i, &r[t][i]) || r[t][i].start < w->p[t][i].trim ||
                r[t][i].start > r[t][i].end)
                return false;
    while (!ends_fit(w, r, more))
        if (++more > w->flown - w->acked) {
            printf("# topic a partition 0: %lld acknowledged, there are %lld; so or so for the others\n",
                   (long long)w->p[0][0].acked, (long long)r[0][0].end);
            return false;
        }
    w->flown = w->acked = 0;
    for (int t = 0; t < TOPICS; t++)
        for (int i = 0; i < PARTS; i++) {
            if (!read_part(w, t, i, &r[t][i]))
                return false;
            w->p[t][i] = (struct promise){r[t][i].end, r[t][i].start};
        }
    return true;
}

static bool open_log(struct world *w)
{
    w->o = (struct log_options){.os = ram_os(w->ram), .dir = w->lock, .journal_bytes = 128 * KIB};
    return log_open(&w->o, &w->l, &w->e);
}

static bool make_topics(struct world *w)
{
    struct log_settings s;

    log_settings_default(w->l, &s);
    s.segment_bytes = 20000;
    s.retention_ms = -1;
    if (!log_ensure_topic(w->l, STR("a"), PARTS, &s, &w->e))
        return false;
    s.retention_ms = 1000; // the records are years old: maintenance takes all of them, the active segment too
    return log_ensure_topic(w->l, STR("b"), PARTS, &s, &w->e);
}

/* Opens what is left, and half of the time cuts the power again meanwhile. */
static bool come_back(struct world *w)
{
    for (int cuts = 0;; cuts++) {
        ram_crash(w->ram);
        if (cuts < 3 && rnd(w, 2))
            ram_die_after(w->ram, rnd(w, 30));
        if (open_log(w))
            return true;
        if (w->e.kind != ERR_IO) {
            printf("# does not open: %s\n", w->e.msg);
            return false;
        }
    }
}

static bool run(struct world *w, int cuts)
{
    bool ok = open_log(w) && make_topics(w);

    for (int cut = 0; ok && cut < cuts; cut++) {
        ram_die_after(w->ram, 1 + rnd(w, cut % 4 == 3 ? 2000 : 120));
        while (!log_failed(w->l, &w->e))
            step(w);
        log_close(w->l);
        w->l = NULL;
        ok = come_back(w);
        /* The machine may still be about to die: then what is read is what it can be compared with next time. */
        if (ok && !log_failed(w->l, &w->e)) {
            ram_die_after(w->ram, UINT32_MAX);
            ok = compare(w);
        }
    }
    log_close(w->l);
    return ok;
}

TEST(what_was_acknowledged_survives_power_cuts)
{
    const char *given = getenv("CRASH_SEED"); // NOLINT(concurrency-mt-unsafe): nobody changes it
    int64_t first = 1, last = 60;

    if (given && str_i64(str_of(given), &first))
        last = first;
    for (int64_t seed = first; seed <= last; seed++) {
        struct world w = {.ram = ram_new((uint64_t)seed), .random = (uint64_t)seed};
        bool ok;

        mutex_init(&w.mutex);
        cond_init(&w.cond);
        OK(tempdir_make(w.lock)); // the lock is a real file
        OK(os_make_dirs(ram_os(w.ram), w.lock, &w.e));
        ram_sync(w.ram);
        ok = run(&w, 12);
        if (!ok)
            printf("# seed %lld: %s\n", (long long)seed, w.e.msg);
        for (int k = 0; k < FLIGHTS; k++)
            for (int i = 0; i < TOPICS * PARTS; i++)
                batch_fini(&w.flights[k].w[i]);
        cond_fini(&w.cond);
        mutex_fini(&w.mutex);
        ram_free(w.ram);
        OK(os_remove_tree(os_real(), w.lock, &w.e));
        OK(ok);
    }
}

TEST_MAIN
