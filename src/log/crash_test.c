/*
 * Power cuts: a log on an os that forgets what was not synced (os/ram.h), cut at a random call of a random load, opened
 * again, cut again while it opens, and compared with what it had promised. A failure prints its seed; run with it as CRASH_SEED.
 */
#include "log/testlog.h"
#include "os/ram.h"

enum { PARTS = 3, TOPICS = 2 };

/* What the log has promised for one partition. Record number = offset: values tell. */
struct promise {
    int64_t acked; // records acknowledged
    int64_t trim;  // start acknowledged
};

struct world {
    struct ram *ram;
    struct log *l;
    struct log_options o;
    struct batch_writer w;
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

static struct str topic_name(int i)
{
    return i == 0 ? STR("a") : STR("b");
}

/* One append of a few records to some partitions of both topics at once. */
static void append(struct world *w)
{
    static const size_t pads[] = {0, 10, 300, 3000, 30000};
    struct log_part_write parts[TOPICS * PARTS];
    struct promise *whose[TOPICS * PARTS];
    struct batch_writer ws[TOPICS * PARTS] = {0};
    int count[TOPICS * PARTS], n = 0;

    for (int t = 0; t < TOPICS; t++)
        for (int i = 0; i < PARTS; i++) {
            if (rnd(w, 2))
                continue;
            count[n] = 1 + (int)rnd(w, 3);
            whose[n] = &w->p[t][i];
            parts[n] = (struct log_part_write){.topic = topic_name(t), .partition = i};
            parts[n].batches =
                testlog_batch(&ws[n], whose[n]->acked, count[n], pads[rnd(w, ARRAY_LEN(pads))]);
            n++;
        }
    if (log_append(w->l, parts, (size_t)n, &w->e))
        for (int i = 0; i < n; i++)
            whose[i]->acked += count[i];
    for (int i = 0; i < n; i++)
        batch_fini(&ws[i]);
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

/*
 * All that was acknowledged is there. Of the one append that was under way when the power went, all parts may be there or none;
 * a trim under way may have happened.
 */
static bool compare(struct world *w)
{
    for (int t = 0; t < TOPICS; t++)
        for (int i = 0; i < PARTS; i++) {
            struct promise *p = &w->p[t][i];
            struct log_range r;

            if (!log_range(w->l, topic_name(t), i, &r) || r.end < p->acked || r.end > p->acked + 3 ||
                r.start < p->trim || r.start > r.end) {
                printf("# %d-%d: %lld acknowledged, trimmed to %lld; there are %lld to %lld\n", t, i,
                       (long long)p->acked, (long long)p->trim, (long long)r.start, (long long)r.end);
                return false;
            }
            if (!read_part(w, t, i, &r))
                return false;
            p->acked = r.end;
            p->trim = r.start;
        }
    return true;
}

static bool open_log(struct world *w)
{
    w->o = (struct log_options){.os = ram_os(w->ram), .dir = w->lock, .journal_bytes = 128 * 1024};
    return log_open(&w->o, &w->l, &w->e);
}

static bool make_topics(struct world *w)
{
    struct log_settings s;

    log_settings_default(w->l, &s);
    s.segment_bytes = 20000;
    s.retention_ms = -1;
    return log_ensure_topic(w->l, STR("a"), PARTS, &s, &w->e) &&
           log_ensure_topic(w->l, STR("b"), PARTS, &s, &w->e);
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
    const char *given = getenv("CRASH_SEED");
    int64_t first = 1, last = 60;

    if (given && str_i64(str_of(given), &first))
        last = first;
    for (int64_t seed = first; seed <= last; seed++) {
        struct world w = {.ram = ram_new((uint64_t)seed), .random = (uint64_t)seed};
        bool ok;

        OK(tempdir_make(w.lock)); // the lock is a real file
        OK(os_make_dirs(ram_os(w.ram), w.lock, &w.e));
        ram_sync(w.ram);
        ok = run(&w, 12);
        if (!ok)
            printf("# seed %lld: %s\n", (long long)seed, w.e.msg);
        batch_fini(&w.w);
        ram_free(w.ram);
        OK(os_remove_tree(os_real(), w.lock, &w.e));
        OK(ok);
    }
}

TEST_MAIN
