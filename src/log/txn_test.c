/* Transactions in the log: what is open, what was aborted, and that both live through crashes, checkpoints and retention. */
#include "log/testset.h"
#include "log/testtold.h"

static struct str txn_batch(struct testlog *t, int64_t producer, int32_t sequence, int count)
{
    batch_begin(&t->w, MIB);
    for (int i = 0; i < count; i++)
        batch_add(&t->w, 1700000000000, STR_NULL, STR("value"), NULL, 0);
    t->w.producer_id = producer;
    t->w.producer_epoch = 0;
    t->w.base_sequence = sequence;
    t->w.attributes = BATCH_TRANSACTIONAL;
    return batch_end(&t->w);
}

static int64_t put(struct testlog *t, struct str batch)
{
    struct log_part_write p = {.topic = STR("a"), .batches = batch};

    return log_append(t->l, &p, 1, &t->e) ? p.base_offset : -1;
}

static int64_t put_txn(struct testlog *t, int64_t producer, int32_t sequence, int count)
{
    return put(t, txn_batch(t, producer, sequence, count));
}

static int64_t put_mark(struct testlog *t, int64_t producer, int16_t epoch, bool commit)
{
    return put(
        t, batch_mark_write(&t->w, producer, epoch, &(struct batch_mark){.commit = commit}, 1700000000000));
}

static int64_t stable(struct testlog *t)
{
    struct log_range r;

    return log_range(t->l, STR("a"), 0, &r) ? r.stable : -1;
}

/* "producer@first producer@first ..." */
static bool aborted_are(struct testlog *t, int64_t from, int64_t to, const char *want)
{
    struct arena a = {0};
    struct log_aborted *list;
    struct buf b = buf_make(KIB);
    size_t n;
    bool ok = log_aborted(t->l, &(struct log_span){STR("a"), 0, from, to}, &a, &list, &n, &t->e);

    for (size_t i = 0; ok && i < n; i++)
        buf_fmt(&b, "%s%lld@%lld", i ? " " : "", (long long)list[i].producer_id, (long long)list[i].first);
    ok = ok && str_is(buf_view(&b), want);
    if (!ok)
        printf("# %.*s instead of %s\n", (int)b.n, (char *)b.p, want);
    buf_fini(&b);
    arena_fini(&a);
    return ok;
}

/* Offsets of the records that a reader of what is committed sees: "0 1 5". */
static bool committed_are(struct testlog *t, int64_t from, size_t max_bytes, const char *want)
{
    struct buf b = buf_make(MIB), said = buf_make(KIB);
    struct arena a = {0};
    struct batch_reader r;
    struct record rec;
    bool ok = true;

    for (int64_t before = -1; ok && before != from;) {
        int64_t at = from;

        before = from;
        buf_reset(&b);
        ok = log_fetch_committed(t->l, STR("a"), 0, &from, max_bytes, &b, &t->e);
        batch_open(&r, &a, buf_view(&b));
        r.skip_below = at;
        while (ok && batch_next(&r, &rec))
            buf_fmt(&said, "%s%lld", said.n ? " " : "", (long long)rec.offset);
    }
    ok = ok && from == stable(t) && str_is(buf_view(&said), want);
    if (!ok)
        printf("# %.*s instead of %s\n", (int)said.n, (char *)said.p, want);
    buf_fini(&b);
    buf_fini(&said);
    arena_fini(&a);
    return ok;
}

TEST(a_marker_says_how_it_ended)
{
    struct batch_writer w = {0};
    struct batch_mark m = {.commit = true, .coordinator_epoch = 7}, got;
    struct str b = batch_mark_write(&w, 12, 3, &m, 5), one, rest = b;
    struct batch_header h;

    OK(batch_cut(&rest, &one, &h) && rest.n == 0 && batch_crc_ok(one));
    OK(h.producer_id == 12 && h.producer_epoch == 3 && h.base_sequence == -1 && h.count == 1);
    OK(h.attributes == (BATCH_CONTROL | BATCH_TRANSACTIONAL) && h.length + 12 == 78);
    OK(batch_mark_read(str_from(b.p + BATCH_HEADER, b.n - BATCH_HEADER), &got));
    OK(got.commit && got.coordinator_epoch == 7);
    for (size_t n = 0; n + 1 < b.n - BATCH_HEADER; n++)
        OK(!batch_mark_read(str_from(b.p + BATCH_HEADER, n), &got));
    batch_fini(&w);
}

TEST(the_stable_offset_waits_for_the_oldest)
{
    struct testlog t = {0};

    OK(testlog_start(&t) && testlog_topic(&t, "a", 1));
    OK(testlog_append(&t, "a", 0, 0, 2, 0) == 0 && stable(&t) == 2);
    OK(put_txn(&t, 7, 0, 3) == 2 && stable(&t) == 2);
    OK(put_txn(&t, 8, 0, 1) == 5 && stable(&t) == 2);
    OK(testlog_append(&t, "a", 0, 6, 1, 0) == 6 && stable(&t) == 2);
    OK(put_txn(&t, 7, 3, 1) == 7);
    OK(put_mark(&t, 7, 0, true) == 8 && stable(&t) == 5);
    OK(put_txn(&t, 7, 4, 1) == 9 && stable(&t) == 5);
    OK(put_mark(&t, 8, 0, false) == 10 && stable(&t) == 9);
    OK(aborted_are(&t, 0, 9, "8@5") && aborted_are(&t, 6, 9, "8@5") && aborted_are(&t, 0, 5, ""));
    OK(committed_are(&t, 0, 100000, "0 1 2 3 4 6 7") && committed_are(&t, 3, 1, "3 4 6 7"));
    OK(put_mark(&t, 7, 0, false) == 11 && stable(&t) == 12);
    OK(put_mark(&t, 9, 0, false) == 12 && stable(&t) == 13); // wrote nothing here
    OK(aborted_are(&t, 0, 13, "8@5 7@9") && aborted_are(&t, 11, 13, "7@9") && aborted_are(&t, 12, 13, ""));
    OK(committed_are(&t, 0, 1, "0 1 2 3 4 6 7"));
    OK(testlog_end(&t));
}

TEST(a_marker_fences_lower_epochs)
{
    struct testlog t = {0};
    struct log_part_write p = {.topic = STR("a")};
    struct log_producer *list;
    struct arena a = {0};
    size_t n;

    OK(testlog_start(&t) && testlog_topic(&t, "a", 1));
    OK(put_txn(&t, 7, 0, 1) == 0 && put_txn(&t, 8, 0, 2) == 1 && put_mark(&t, 7, 1, false) == 3);
    p.batches = txn_batch(&t, 7, 1, 1);
    OK(!log_append(t.l, &p, 1, &t.e) && p.refused == ERR_DENIED);
    OK(log_producers(t.l, STR("a"), 0, &a, &list, &n, &t.e) && n == 2);
    OK(list[0].id == 7 && list[0].epoch == 1 && list[0].last_sequence == -1);
    OK(list[0].coordinator_epoch == 0 && list[0].first == -1);
    OK(list[1].id == 8 && list[1].epoch == 0 && list[1].last_sequence == 1);
    OK(list[1].coordinator_epoch == -1 && list[1].first == 1);
    p.batches = txn_batch(&t, 7, 0, 1);
    t.w.producer_epoch = 1;
    p.batches = batch_end(&t.w);
    OK(log_append(t.l, &p, 1, &t.e) && p.base_offset == 4); // the new epoch begins
    arena_fini(&a);
    OK(testlog_end(&t));
}

TEST(a_control_batch_that_is_no_marker_is_refused)
{
    struct testlog t = {0};

    OK(testlog_start(&t) && testlog_topic(&t, "a", 1));
    batch_begin(&t.w, MIB);
    batch_add(&t.w, 1, STR("k"), STR("v"), NULL, 0);
    t.w.producer_id = 1;
    t.w.attributes = BATCH_CONTROL;
    OK(put(&t, batch_end(&t.w)) == -1 && t.e.kind == ERR_BAD_INPUT);
    OK(testlog_end(&t));
}

/* One transaction a round, every other one aborted, with one that stays open; over many segments. */
TEST(all_of_it_lives_through_crashes_and_checkpoints)
{
    struct testlog t = {0};
    struct log_settings s;
    char want[200] = "0", aborted[200] = "";
    int64_t at = 1;
    size_t n = 1, m = 0;

    OK(testlog_start(&t));
    log_settings_default(t.l, &s);
    s.segment_bytes = 600;
    s.retention_ms = -1;
    OK(log_create_topic(t.l, STR("a"), 1, &s, &t.e));
    OK(testlog_append(&t, "a", 0, 0, 1, 0) == 0);
    for (int round = 0; round < 24; round++) {
        bool commit = round % 2 == 0;

        OK(put_txn(&t, 7, 2 * round, 2) == at && stable(&t) == at);
        if (round % 4 == 1)
            testlog_crash(&t);
        else if (round % 4 == 2)
            OK(log_maintain(t.l, &t.e));
        else if (round % 4 == 3)
            log_close(t.l);
        if (round % 4 == 2)
            testlog_crash(&t);
        if (round % 4 != 0)
            OK(testlog_open(&t));
        OK(stable(&t) == at);
        OK(put_mark(&t, 7, 0, commit) == at + 2 && stable(&t) == at + 3);
        if (round % 3 == 0) {
            testlog_crash(&t);
            OK(testlog_open(&t));
        }
        if (commit)
            n += (size_t)snprintf(want + n, sizeof want - n, " %lld %lld", (long long)at, (long long)at + 1);
        else
            m += (size_t)snprintf(aborted + m, sizeof aborted - m, "%s7@%lld", m ? " " : "", (long long)at);
        at += 3;
        OK(stable(&t) == at && aborted_are(&t, 0, at, aborted) && committed_are(&t, 0, 200, want));
        OK(put_txn(&t, 7, 2 * round, 2) == at - 3); // a repeat is known for one
    }
    OK(put_txn(&t, 9, 0, 1) == at && put_mark(&t, 7, 0, true) == at + 1 && stable(&t) == at);
    OK(log_trim(t.l, STR("a"), 0, at + 1, &t.e) && stable(&t) == at + 1); // past its beginning
    OK(log_maintain(t.l, &t.e));
    testlog_crash(&t);
    OK(testlog_open(&t) && stable(&t) == at + 1 && aborted_are(&t, at + 1, at + 2, ""));
    OK(testlog_end(&t));
}

/* A transaction over segments, aborted in the last one. */
TEST(an_abort_is_found_from_every_segment_it_is_in)
{
    struct testlog t = {0};
    struct log_settings s;

    OK(testlog_start(&t));
    log_settings_default(t.l, &s);
    s.segment_bytes = 100;
    s.retention_ms = -1;
    OK(log_create_topic(t.l, STR("a"), 1, &s, &t.e));
    for (int i = 0; i < 10; i++)
        OK(put_txn(&t, 7, i, 1) == i);
    OK(put_txn(&t, 8, 0, 1) == 10 && put_mark(&t, 8, 0, false) == 11);
    OK(put_mark(&t, 7, 0, false) == 12);
    for (int i = 0; i < 10; i++)
        OK(aborted_are(&t, i, i + 1, "7@0"));
    OK(aborted_are(&t, 0, 13, "8@10 7@0") && committed_are(&t, 0, 1, ""));
    OK(log_maintain(t.l, &t.e));
    OK(aborted_are(&t, 0, 13, "8@10 7@0"));
    log_close(t.l);
    OK(testlog_open(&t) && aborted_are(&t, 5, 13, "8@10 7@0") && aborted_are(&t, 12, 13, "7@0"));
    OK(testlog_end(&t));
}

/* Compaction leaves what is of a transaction, and merges the files of the segments it merges. */
TEST(aborts_live_through_compaction)
{
    struct testlog t = {0};
    struct log_settings s;
    struct batch_writer w = {0};

    OK(testlog_start(&t));
    log_settings_default(t.l, &s);
    s.segment_bytes = 300;
    s.compact = true;
    s.remove = false;
    OK(log_create_topic(t.l, STR("a"), 1, &s, &t.e));
    for (int i = 0; i < 6; i++) {
        OK(put_txn(&t, 7, i, 1) == 4 * i && put_mark(&t, 7, 0, i % 2 == 0) == 4 * i + 1);
        for (int k = 0; k < 2; k++) {
            batch_begin(&w, MIB);
            batch_add(&w, 1700000000000, STR("key"), STR("value"), NULL, 0);
            OK(put(&t, batch_end(&w)) == 4 * i + 2 + k);
        }
    }
    OK(testset_topic(t.l, "a", "segment.bytes", "100000"));
    OK(log_maintain(t.l, &t.e));
    OK(aborted_are(&t, 0, 24, "7@4 7@12 7@20"));
    for (int i = 0; i < 2; i++) {
        OK(log_maintain(t.l, &t.e));
        testlog_crash(&t);
        OK(testlog_open(&t) && aborted_are(&t, 0, 24, "7@4 7@12 7@20") &&
           aborted_are(&t, 6, 24, "7@12 7@20"));
    }
    batch_fini(&w);
    OK(testlog_end(&t));
}

/* A byte of the file that is wrong is an error that names the file, not an aborted record that is seen. */
TEST(damage_is_told)
{
    struct testlog t = {0};
    struct arena a = {0};
    struct log_aborted *list;
    struct str *names, bytes;
    size_t n;
    char *path = NULL;
    int fd;

    OK(testlog_start(&t) && testlog_topic(&t, "a", 1));
    OK(put_txn(&t, 7, 0, 1) == 0 && put_mark(&t, 7, 0, false) == 1);
    log_close(t.l);
    OK(os_list(os_real(), arena_fmt(&a, "%s/topics/a-0", t.dir), &a, &names, &n, &t.e));
    for (size_t i = 0; i < n; i++)
        if (str_ends(names[i], STR(".txnindex")))
            path = arena_fmt(&a, "%s/topics/a-0/%.*s", t.dir, STR_ARG(names[i]));
    OK(path && os_read_file(os_real(), path, KIB, &a, &bytes, &t.e) && bytes.n == 36);
    fd = os_open(os_real(), path, 2, &t.e);
    OK(fd >= 0 && os_write(os_real(), fd, "\xff", 1, 9, &t.e));
    os_close(os_real(), fd);
    OK(testlog_open(&t));
    OK(!log_aborted(t.l, &(struct log_span){STR("a"), 0, 0, 2}, &a, &list, &n, &t.e) &&
       t.e.kind == ERR_CORRUPT);
    OK(strstr(t.e.msg, ".txnindex") != NULL);
    arena_fini(&a);
    OK(testlog_end(&t));
}

/* ---- faults ---- */

static bool append_all(struct told *d, struct str batch)
{
    struct log_part_write p[PARTS] = {0};

    for (int i = 0; i < PARTS; i++)
        p[i] = (struct log_part_write){.topic = STR("a"), .partition = i, .batches = batch};
    return log_append(d->t.l, p, PARTS, &d->t.e);
}

/* All partitions agree about which transactions ended, and every acknowledged end holds. Odd rounds are aborted. */
static bool ends_hold(struct told *d, int64_t acked)
{
    struct arena a = {0};
    struct log_aborted *list;
    int64_t ends = -1;
    bool ok = true;

    for (int i = 0; ok && i < PARTS; i++) {
        struct log_range r;
        size_t n;

        ok = log_range(d->t.l, STR("a"), i, &r) &&
             log_aborted(d->t.l, &(struct log_span){STR("a"), i, 0, r.stable}, &a, &list, &n, &d->t.e);
        ends = i == 0 ? r.stable / 2 : ends;
        ok = ok && r.stable == 2 * ends && (int64_t)n == ends / 2;
        for (size_t k = 0; ok && k < n; k++)
            ok = list[k].first == 4 * (int64_t)k + 2;
    }
    arena_fini(&a);
    return ok && ends >= acked && ends <= acked + 1;
}

static bool txn_scenario(struct os *os, void *arg)
{
    struct told d = {0};
    int64_t acked = 0;
    bool ok = true;

    (void)arg;
    if (!tempdir_make(d.t.dir))
        return false;
    d.t.o = (struct log_options){.dir = d.t.dir, .journal_bytes = 64 * KIB};
    if (told_open(&d, os)) {
        if (told_topic(&d, "a", 300, false)) {
            for (int32_t i = 0; i < 4; i++) {
                struct str mark;

                if (!append_all(&d, txn_batch(&d.t, 7, i, 1)))
                    break;
                mark = batch_mark_write(&d.t.w, 7, 0, &(struct batch_mark){.commit = i % 2 == 0}, 1);
                if (!append_all(&d, mark))
                    break;
                acked++;
                if (i > 0)
                    (void)(log_maintain(d.t.l, &d.t.e) || d.t.e.kind);
            }
        }
        log_close(d.t.l);
        d.t.l = NULL;
    }
    if (told_open(&d, os_real())) {
        struct log_range r;

        ok = !log_range(d.t.l, STR("a"), 0, &r) ? acked == 0 : ends_hold(&d, acked);
    } else {
        ok = false;
    }
    return testlog_end(&d.t) && ok;
}

TEST(ends_hold_under_every_fault)
{
    unsigned faults;

    OK(os_fault_walk(txn_scenario, NULL, &faults));
    printf("# %u faults\n", faults);
    OK(faults > 200);
}

TEST_MAIN
