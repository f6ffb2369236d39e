/* What compaction keeps, for how long, and what transactions make of it; on a clock of the test's own. */
#include "log/testlog.h"

static struct os ours;
static int64_t ahead_ms;

static int64_t now_ns(struct os *os)
{
    (void)os;
    return os_real()->now_ns(os_real()) + ahead_ms * 1000000;
}

static int64_t wall_us(struct os *os)
{
    (void)os;
    return os_real()->wall_us(os_real()) + ahead_ms * 1000;
}

static void use_clock(void)
{
    ours = *os_real();
    ours.now_ns = now_ns;
    ours.wall_us = wall_us;
    ahead_ms = 0;
}

static bool open_log(struct testlog *t, struct os *os)
{
    t->o.os = os;
    t->o.dir = t->dir;
    t->o.journal_bytes = 64 * KIB;
    return log_open(&t->o, &t->l, &t->e);
}

static bool set(struct log_settings *s, const char *name, const char *value)
{
    struct err e;

    return log_setting_parse(log_setting_find(str_of(name)), str_of(value), s, &e);
}

/* A compacted topic "c" of one partition, with one setting more. */
static bool make(struct testlog *t, struct os *os, const char *name, const char *value)
{
    struct log_settings s;

    if (!tempdir_make(t->dir) || !open_log(t, os))
        return false;
    log_settings_default(t->l, &s);
    s.segment_bytes = 300;
    return set(&s, "cleanup.policy", "compact") && set(&s, "min.cleanable.dirty.ratio", "0") &&
           set(&s, name, value) && log_create_topic(t->l, STR("c"), 1, &s, &t->e);
}

static bool end(struct testlog *t)
{
    log_close(t->l);
    batch_fini(&t->w);
    return os_remove_tree(os_real(), t->dir, &t->e);
}

static int64_t append(struct testlog *t, struct str batch)
{
    struct log_part_write p = {.topic = STR("c"), .batches = batch};

    return log_append(t->l, &p, 1, &t->e) ? p.base_offset : -1;
}

static int64_t put_at(struct testlog *t, int64_t time_ms, const char *key, const char *value)
{
    batch_begin(&t->w, MIB);
    batch_add(&t->w, time_ms, str_of(key), value ? str_of(value) : STR_NULL, NULL, 0);
    return append(t, batch_end(&t->w));
}

static int64_t put(struct testlog *t, const char *key, const char *value)
{
    return put_at(t, wall_us(NULL) / 1000, key, value);
}

/* Appends until what is there now lies in closed segments. */
static void push_on(struct testlog *t)
{
    for (int i = 0; i < 6; i++)
        OK(put(t, "filler", "some bytes so that a segment is soon full, and then the next one begins") >= 0);
}

/* "offset:key=value ..." of what is there but fillers; markers as "offset:C" or "offset:A". */
static const char *all(struct testlog *t)
{
    static char text[4000];
    struct buf b = buf_make(MIB), said = buf_make(sizeof text - 1);
    struct arena a = {0};
    struct log_range range;
    struct batch_reader r;
    struct record rec;
    int64_t at;

    OK(log_range(t->l, STR("c"), 0, &range));
    for (at = range.start; at < range.end;) {
        int64_t before = at;

        buf_reset(&b);
        OK(log_fetch(t->l, STR("c"), 0, at, 1, &b, &t->e));
        batch_open(&r, &a, buf_view(&b));
        r.skip_below = at;
        while (batch_next(&r, &rec)) {
            at = rec.offset + 1;
            if (rec.control)
                buf_fmt(&said, "%s%lld:%c", said.n ? " " : "", (long long)rec.offset,
                        rec.key.p[3] ? 'C' : 'A');
            else if (!str_is(rec.key, "filler"))
                buf_fmt(&said, "%s%lld:%.*s=%.*s", said.n ? " " : "", (long long)rec.offset, STR_ARG(rec.key),
                        STR_ARG(rec.value));
        }
        OK(batch_ok(&r, &t->e));
        if (at == before)
            at = range.end; // the rest is gone
    }
    (void)snprintf(text, sizeof text, "%s", buf_z(&said));
    buf_fini(&b);
    buf_fini(&said);
    arena_fini(&a);
    return text;
}

static bool are(struct testlog *t, const char *want)
{
    const char *got = all(t);

    if (strcmp(got, want) != 0)
        printf("# %s\n# instead of %s\n", got, want);
    return strcmp(got, want) == 0;
}

static bool maintain(struct testlog *t)
{
    return log_maintain(t->l, &t->e);
}

/* ---- how long ---- */

TEST(what_has_no_value_stays_for_a_time_after_it_was_seen)
{
    struct testlog t = {0};

    use_clock();
    OK(make(&t, &ours, "delete.retention.ms", "10000"));
    OK(put_at(&t, 1000, "a", "1") == 0 && put_at(&t, 1000, "b", "1") == 1); // however old they say they are
    OK(put_at(&t, 1000, "a", NULL) == 2);
    push_on(&t);
    OK(are(&t, "0:a=1 1:b=1 2:a="));
    OK(maintain(&t) && are(&t, "1:b=1 2:a="));
    ahead_ms += 9000;
    push_on(&t);
    OK(maintain(&t) && are(&t, "1:b=1 2:a="));
    ahead_ms += 2000;
    push_on(&t);
    log_close(t.l); // the time is kept in the batch
    OK(open_log(&t, &ours));
    OK(maintain(&t) && are(&t, "1:b=1"));
    OK(end(&t));
}

TEST(a_value_that_comes_after_none_stays)
{
    struct testlog t = {0};

    use_clock();
    OK(make(&t, &ours, "delete.retention.ms", "0"));
    OK(put(&t, "a", "1") == 0 && put(&t, "a", NULL) == 1 && put(&t, "a", "2") == 2 &&
       put(&t, "b", NULL) == 3);
    push_on(&t);
    OK(maintain(&t) && are(&t, "2:a=2 3:b="));
    ahead_ms += 1;
    push_on(&t);
    OK(maintain(&t) && are(&t, "2:a=2"));
    OK(end(&t));
}

TEST(the_times_of_records_live_through_the_horizon)
{
    struct testlog t = {0};
    struct buf b = buf_make(MIB);
    struct arena a = {0};
    struct batch_reader r;
    struct record rec;

    use_clock();
    OK(make(&t, &ours, "compression.type", "producer"));
    batch_begin(&t.w, MIB);
    t.w.codec = BATCH_LZ4;
    batch_add(&t.w, 5000, STR("a"), STR("1"), NULL, 0);
    batch_add(&t.w, 4000, STR("b"), STR_NULL, NULL, 0);
    batch_add(&t.w, 7000, STR("c"), STR("1"), NULL, 0);
    OK(append(&t, batch_end(&t.w)) == 0 && put(&t, "a", "2") == 3);
    push_on(&t);
    OK(maintain(&t) && are(&t, "1:b= 2:c=1 3:a=2"));
    OK(log_fetch(t.l, STR("c"), 0, 0, 1, &b, &t.e));
    batch_open(&r, &a, buf_view(&b));
    OK(batch_next(&r, &rec) && rec.offset == 1 && rec.timestamp_ms == 4000);
    OK((r.head.attributes & BATCH_HAS_HORIZON) && (r.head.attributes & BATCH_CODEC) == BATCH_LZ4);
    OK(r.head.base_timestamp_ms > 86400000 && r.head.max_timestamp_ms == 7000 && r.head.base_offset == 0);
    OK(batch_next(&r, &rec) && rec.offset == 2 && rec.timestamp_ms == 7000);
    buf_fini(&b);
    arena_fini(&a);
    OK(end(&t));
}

TEST(young_records_wait)
{
    struct testlog t = {0};

    use_clock();
    OK(make(&t, &ours, "min.compaction.lag.ms", "60000"));
    OK(put(&t, "a", "1") == 0 && put(&t, "a", "2") == 1);
    push_on(&t);
    OK(maintain(&t) && are(&t, "0:a=1 1:a=2"));
    ahead_ms += 59000;
    push_on(&t);
    OK(maintain(&t) && are(&t, "0:a=1 1:a=2"));
    ahead_ms += 2000;
    OK(maintain(&t) && are(&t, "1:a=2"));
    OK(end(&t));
}

static bool an_hour(void *arg, struct log_settings *s, struct err *e)
{
    (void)arg;
    (void)e;
    return set(s, "retention.ms", "3600000");
}

TEST(compacted_ones_that_may_be_deleted_too_are_both)
{
    struct testlog t = {0};
    struct log_range range;

    use_clock();
    OK(make(&t, &ours, "cleanup.policy", "compact,delete"));
    OK(log_change_topic(t.l, STR("c"), an_hour, NULL, &t.e));
    OK(put(&t, "a", "1") == 0 && put(&t, "b", "1") == 1 && put(&t, "a", "2") == 2);
    push_on(&t);
    OK(maintain(&t) && are(&t, "1:b=1 2:a=2"));
    ahead_ms += 3000 * 1000;
    OK(put(&t, "c", "1") >= 0);
    push_on(&t);
    OK(maintain(&t) && are(&t, "1:b=1 2:a=2 9:c=1"));
    ahead_ms += 1000 * 1000;
    OK(maintain(&t) && are(&t, "9:c=1")); // the last of their keys, but old
    OK(log_range(t.l, STR("c"), 0, &range) && range.start >= 2 && range.start <= 9);
    OK(end(&t));
}

static bool ratio_one(void *arg, struct log_settings *s, struct err *e)
{
    (void)arg;
    (void)e;
    return set(s, "min.cleanable.dirty.ratio", "1");
}

TEST(old_records_do_not_wait_however_few_they_are)
{
    struct testlog t = {0};

    use_clock();
    OK(make(&t, &ours, "max.compaction.lag.ms", "60000"));
    OK(log_change_topic(t.l, STR("c"), ratio_one, NULL, &t.e));
    OK(put(&t, "a", "1") == 0 && put(&t, "a", "2") == 1); // in the active segment, and nothing comes after
    OK(maintain(&t) && are(&t, "0:a=1 1:a=2"));
    ahead_ms += 61000;
    OK(maintain(&t) && are(&t, "0:a=1 1:a=2")); // it is closed now, and another one must begin
    OK(put(&t, "b", "1") == 2);
    OK(maintain(&t) && are(&t, "1:a=2 2:b=1"));
    OK(end(&t));
}

TEST(the_ratio_is_waited_for)
{
    struct testlog t = {0};

    use_clock();
    OK(make(&t, &ours, "min.cleanable.dirty.ratio", "0.9"));
    for (int i = 0; i < 30; i++)
        OK(put(&t, i % 2 ? "x" : "y", "1") == i);
    push_on(&t);
    OK(maintain(&t)); // all was new
    for (int i = 0; i < 20; i++) {
        char key[16];

        (void)snprintf(key, sizeof key, "keeps %d", i);
        OK(put(&t, key, "so that there is much that is not new and only little that is") >= 0);
    }
    push_on(&t);
    OK(maintain(&t));
    OK(put(&t, "last", "1") > 0 && put(&t, "last", "2") > 0);
    push_on(&t);
    OK(maintain(&t) && strstr(all(&t), "last=1"));
    OK(end(&t));
}

/* ---- transactions ---- */

static int64_t put_txn(struct testlog *t, int64_t producer, int32_t sequence, const char *key,
                       const char *value)
{
    batch_begin(&t->w, MIB);
    t->w.producer_id = producer;
    t->w.producer_epoch = 0;
    t->w.base_sequence = sequence;
    t->w.attributes = BATCH_TRANSACTIONAL;
    batch_add(&t->w, wall_us(NULL) / 1000, str_of(key), value ? str_of(value) : STR_NULL, NULL, 0);
    return append(t, batch_end(&t->w));
}

static int64_t put_mark(struct testlog *t, int64_t producer, bool commit)
{
    return append(t, batch_mark_write(&t->w, producer, 0, &(struct batch_mark){.commit = commit},
                                      wall_us(NULL) / 1000));
}

TEST(what_was_aborted_goes_and_supersedes_nothing)
{
    struct testlog t = {0};

    use_clock();
    OK(make(&t, &ours, "delete.retention.ms", "10000"));
    OK(put(&t, "a", "1") == 0 && put(&t, "b", "1") == 1 && put(&t, "c", "1") == 2);
    OK(put_txn(&t, 7, 0, "a", "no") == 3 && put_txn(&t, 8, 0, "b", "yes") == 4);
    OK(put_mark(&t, 7, false) == 5 && put_mark(&t, 8, true) == 6);
    OK(put_txn(&t, 7, 1, "c", "yes") == 7 && put_mark(&t, 7, true) == 8);
    push_on(&t);
    OK(maintain(&t) && are(&t, "0:a=1 4:b=yes 5:A 6:C 7:c=yes 8:C"));
    ahead_ms += 11000;
    push_on(&t);
    OK(maintain(&t) &&
       are(&t, "0:a=1 4:b=yes 5:A 7:c=yes")); // an abort ends an entry of the list of the aborted
    log_close(t.l);
    OK(open_log(&t, &ours) && maintain(&t) && are(&t, "0:a=1 4:b=yes 5:A 7:c=yes"));
    OK(end(&t));
}

TEST(what_is_open_is_left_alone)
{
    struct testlog t = {0};

    use_clock();
    OK(make(&t, &ours, "delete.retention.ms", "10000"));
    OK(put(&t, "a", "1") == 0 && put(&t, "a", "2") == 1);
    push_on(&t);
    OK(put(&t, "b", "1") == 8 && put_txn(&t, 7, 0, "b", "2") == 9);
    push_on(&t);
    OK(maintain(&t) && are(&t, "1:a=2 8:b=1 9:b=2")); // up to the transaction
    OK(put_mark(&t, 7, false) == 16);
    push_on(&t);
    OK(maintain(&t) && are(&t, "1:a=2 8:b=1 16:A"));
    OK(end(&t));
}

/* ---- anything, against a model ---- */

enum { KEYS = 5, PRODUCERS = 3 };

struct model {
    struct testlog t;
    uint64_t seed;
    int64_t next; // value
    int64_t now[KEYS];
    int64_t open[PRODUCERS][KEYS]; // what a transaction wrote and nobody sees yet
    bool in_txn[PRODUCERS];
    int32_t sequence[PRODUCERS];
    bool lost; // an append ended unknown: the model does not know any more
};

static uint32_t any(struct model *m, uint32_t n)
{
    m->seed = m->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(m->seed >> 33) % n;
}

static void step(struct model *m)
{
    int which = (int)any(m, PRODUCERS + 1), key = (int)any(m, KEYS);
    bool ends = any(m, 3) == 0, commit = any(m, 2) == 0;
    char name[16], value[64];

    (void)snprintf(name, sizeof name, "key-%d", key);
    (void)snprintf(value, sizeof value, "%lld with some bytes more behind it", (long long)m->next);
    if (which == PRODUCERS) {
        m->lost = m->lost || put(&m->t, name, value) < 0;
        m->now[key] = m->next++;
    } else if (m->in_txn[which] && ends) {
        m->lost = m->lost || put_mark(&m->t, which, commit) < 0;
        m->in_txn[which] = false;
        for (int i = 0; i < KEYS; i++)
            if (commit && m->open[which][i] > m->now[i])
                m->now[i] = m->open[which][i];
    } else {
        if (!m->in_txn[which])
            memset(m->open[which], -1, sizeof m->open[which]);
        m->in_txn[which] = true;
        m->lost = m->lost || put_txn(&m->t, which, m->sequence[which]++, name, value) < 0;
        m->open[which][key] = m->next++;
    }
}

/* The last committed value of each key by offset, as a reader of what is committed finds it, once nothing is open. */
static bool holds(struct model *m)
{
    struct buf b = buf_make(MIB);
    struct arena a = {0};
    struct batch_reader r;
    struct record rec;
    int64_t last[KEYS], from = 0;
    bool ok = true;

    for (int i = 0; i < PRODUCERS; i++)
        if (m->in_txn[i]) {
            ok = ok && put_mark(&m->t, i, false) >= 0;
            m->in_txn[i] = false;
        }
    memset(last, -1, sizeof last);
    for (int64_t before = -1; ok && before != from;) {
        int64_t at = from;

        before = from;
        buf_reset(&b);
        ok = log_fetch_committed(m->t.l, STR("c"), 0, &from, 500, &b, &m->t.e);
        batch_open(&r, &a, buf_view(&b));
        r.skip_below = at;
        while (ok && batch_next(&r, &rec)) {
            struct str rest = rec.value, number = STR_NULL;

            ok = str_cut(&rest, ' ', &number) && str_i64(number, &last[rec.key.p[4] - '0']);
        }
        ok = ok && batch_ok(&r, &m->t.e);
    }
    buf_fini(&b);
    arena_fini(&a);
    for (int i = 0; i < KEYS; i++)
        if (ok && last[i] != m->now[i]) {
            printf("# key %d is %lld instead of %lld\n", i, (long long)last[i], (long long)m->now[i]);
            ok = false;
        }
    return ok;
}

static bool begin_model(struct model *m, uint64_t seed)
{
    *m = (struct model){.seed = seed};
    memset(m->now, -1, sizeof m->now);
    return make(&m->t, &ours, "delete.retention.ms", "1000");
}

TEST(readers_of_what_is_committed_see_the_same)
{
    struct model m;

    use_clock();
    for (uint64_t seed = 1; seed <= 12; seed++) {
        OK(begin_model(&m, seed));
        for (int round = 0; round < 8; round++) {
            for (int i = 0; i < 60; i++)
                step(&m);
            OK(!m.lost);
            if (round % 3 == 2) {
                log_close(m.t.l);
                OK(open_log(&m.t, &ours));
            }
            OK(maintain(&m.t));
            ahead_ms += 700;
        }
        OK(holds(&m) && maintain(&m.t) && holds(&m));
        OK(end(&m.t));
    }
}

/* Any call fails while it is compacted; what was acknowledged before holds after. */
static bool faulty(struct os *os, void *arg)
{
    struct model m;
    bool ok;

    (void)arg;
    ok = begin_model(&m, 5);
    for (int i = 0; ok && i < 60; i++)
        step(&m);
    log_close(m.t.l);
    if (ok && open_log(&m.t, os)) {
        (void)(maintain(&m.t) || m.t.e.kind);
        (void)(maintain(&m.t) || m.t.e.kind);
        log_close(m.t.l);
    }
    ok = ok && !m.lost && open_log(&m.t, &ours);
    if (ok) {
        ok = holds(&m) && maintain(&m.t) && holds(&m);
        log_close(m.t.l);
    }
    if (!ok)
        printf("# %s\n", m.t.e.msg);
    batch_fini(&m.t.w);
    return os_remove_tree(os_real(), m.t.dir, &m.t.e) && ok;
}

TEST(transactions_are_compacted_under_every_fault)
{
    unsigned faults;

    use_clock();
    OK(os_fault_walk(faulty, NULL, &faults));
    printf("# %u faults\n", faults);
    OK(faults > 300);
}

TEST(a_log_in_a_hurry_compacts_nothing)
{
    struct testlog t = {0};

    use_clock();
    OK(make(&t, &ours, "delete.retention.ms", "10000"));
    OK(put(&t, "a", "1") == 0 && put(&t, "a", "2") == 1);
    push_on(&t);
    log_hurry(t.l);
    OK(maintain(&t) && are(&t, "0:a=1 1:a=2"));
    OK(end(&t));
}

TEST_MAIN
