/* What log.h promises when nothing fails. */
#include "log/log.h"

#include "log/testlog.h"
#include "log/testset.h"
#include "os/thread.h"

#include <errno.h>

TEST(what_is_appended_is_read)
{
    struct testlog t = {0};
    struct log_range r;

    OK(testlog_start(&t));
    OK(testlog_topic(&t, "orders", 3));
    OK(log_range(t.l, STR("orders"), 1, &r) && r.start == 0 && r.end == 0);
    OK(!log_range(t.l, STR("orders"), 3, &r) && !log_range(t.l, STR("none"), 0, &r));
    OK(testlog_append(&t, "orders", 1, 0, 10, 0) == 0);
    OK(testlog_append(&t, "orders", 1, 10, 5, 5000) == 10);
    OK(log_range(t.l, STR("orders"), 1, &r) && r.start == 0 && r.end == 15);
    for (size_t max = 1; max < 100000; max *= 10)
        for (int64_t from = 0; from <= 15; from++)
            OK(testlog_read(&t, "orders", 1, from, 0, max) == 15 - from);
    OK(testlog_read(&t, "orders", 0, 0, 0, 100) == 0);
    OK(testlog_append(&t, "orders", 3, 0, 1, 0) == -1 && t.e.kind == ERR_NOT_FOUND);
    OK(testlog_append(&t, "none", 0, 0, 1, 0) == -1 && t.e.kind == ERR_NOT_FOUND);
    OK(testlog_end(&t));
}

TEST(a_closed_log_opens_as_it_was)
{
    struct testlog t = {0};
    char id[23];

    OK(testlog_start(&t));
    memcpy(id, log_cluster_id(t.l), 23);
    OK(strlen(id) == 22);
    OK(testlog_topic(&t, "orders", 3));
    for (int64_t round = 0; round < 4; round++) {
        OK(testlog_read(&t, "orders", 1, 0, 0, 100000) == 10 * round);
        OK(testlog_append(&t, "orders", 1, 10 * round, 10, 100) == 10 * round);
        OK(strcmp(id, log_cluster_id(t.l)) == 0);
        log_close(t.l);
        OK(testlog_open(&t));
    }
    OK(testlog_end(&t));
}

TEST(a_crashed_log_has_what_was_acknowledged)
{
    struct testlog t = {0};

    OK(testlog_start(&t));
    OK(testlog_topic(&t, "orders", 2));
    for (int64_t round = 0; round < 5; round++) {
        for (int64_t i = 0; i < 20; i++)
            OK(testlog_append(&t, "orders", (int32_t)(i % 2), (20 * round + i) / 2, 1, (size_t)i * 100) ==
               (20 * round + i) / 2);
        testlog_crash(&t);
        OK(testlog_open(&t));
        OK(testlog_read(&t, "orders", 0, 0, 0, 100000) == 10 * (round + 1));
        OK(testlog_read(&t, "orders", 1, 0, 0, 100000) == 10 * (round + 1));
    }
    OK(testlog_end(&t));
}

/* 8 MB through a journal of 256 KiB. */
TEST(the_journal_goes_round)
{
    struct testlog t = {0};

    OK(testlog_start(&t));
    OK(testlog_topic(&t, "orders", 1));
    for (int64_t i = 0; i < 400; i++)
        OK(testlog_append(&t, "orders", 0, 10 * i, 10, 2000) == 10 * i);
    testlog_crash(&t);
    OK(testlog_open(&t));
    OK(testlog_read(&t, "orders", 0, 0, 0, 1000000) == 4000);
    OK(testlog_append(&t, "orders", 0, 4000, 10, 2000) == 4000);
    OK(testlog_end(&t));
}

/* The records of testlog_append() are old, and maintenance would take them away. */
static bool topic_without_end(struct testlog *t)
{
    struct log_settings s;

    log_settings_default(t->l, &s);
    s.retention_ms = -1;
    return log_create_topic(t->l, STR("a"), 1, &s, &t->e);
}

static int64_t journal_size(struct testlog *t, int file)
{
    struct arena a = {0};
    struct os_stat st = {0};
    int failed = os_real()->stat(os_real(), arena_fmt(&a, "%s/journal-%d", t->dir, file), &st);

    arena_fini(&a);
    return failed ? -1 : st.size_bytes;
}

/* It turns to the file that a checkpoint has freed, and that one has become longer meanwhile: a group waits for no new blocks. */
TEST(the_journal_grows_where_nobody_waits)
{
    static const int64_t sizes[][2] = {{512 * KIB, 256 * KIB}, {512 * KIB, MIB}};
    struct testlog t = {.o.journal_bytes = MIB}; // files begin with a quarter of it
    int64_t n = 0;

    OK(testlog_start(&t) && topic_without_end(&t));
    for (int i = 0; i < 2; i++) {
        for (int64_t end = n + 105; n < end; n++)
            OK(testlog_append(&t, "a", 0, n, 1, 3800) == n);
        OK(log_maintain(t.l, &t.e)); // waits for the checkpoint
        OK(journal_size(&t, 0) == sizes[i][0] && journal_size(&t, 1) == sizes[i][1]);
    }
    testlog_crash(&t);
    OK(testlog_open(&t) && testlog_read(&t, "a", 0, 0, 0, MIB) == n);
    OK(testlog_end(&t));
}

static int sync_range_fails(struct os *os, int fd, int64_t at, int64_t n)
{
    (void)os, (void)fd, (void)at, (void)n;
    errno = EIO;
    return -1;
}

/* Who writes a range and waits takes the error of it from the sync that follows, which then says that all is well. */
TEST(a_checkpoint_whose_bytes_were_not_written_ends_the_log)
{
    struct testlog t = {0};
    struct err why;

    OK(testlog_start(&t) && topic_without_end(&t));
    t.os.os.sync_range = sync_range_fails;
    OK(testlog_append(&t, "a", 0, 0, 1, 100) == 0);
    OK(!log_maintain(t.l, &t.e) && t.e.kind == ERR_IO && strstr(t.e.msg, "segment ") != NULL);
    OK(log_failed(t.l, &why) && testlog_append(&t, "a", 0, 1, 1, 100) == -1);
    testlog_crash(&t);
    OK(testlog_open(&t) && testlog_read(&t, "a", 0, 0, 0, MIB) == 1);
    OK(testlog_end(&t));
}

TEST(large_appends_go_by_reference)
{
    struct testlog t = {0};

    OK(testlog_start(&t));
    OK(testlog_topic(&t, "orders", 1));
    for (int64_t i = 0; i < 20; i++)
        OK(testlog_append(&t, "orders", 0, 10 * i, 10, i % 3 ? 20000 : 200) == 10 * i);
    testlog_crash(&t);
    OK(testlog_open(&t));
    OK(testlog_read(&t, "orders", 0, 0, 0, 1000000) == 200);
    log_close(t.l);
    OK(testlog_open(&t));
    OK(testlog_read(&t, "orders", 0, 0, 0, 1000000) == 200);
    OK(testlog_end(&t));
}

TEST(one_append_over_many_partitions_is_one_step)
{
    struct testlog t = {0};
    struct log_part_write p[4] = {0};

    OK(testlog_start(&t));
    OK(testlog_topic(&t, "a", 2) && testlog_topic(&t, "b", 1));
    for (int64_t i = 0; i < 4; i++)
        p[i] = (struct log_part_write){.topic = i < 2 ? STR("a") : STR("b"), .partition = (int32_t)(i % 2)};
    p[3].partition = 0;
    for (int64_t i = 0; i < 4; i++)
        p[i].batches = testlog_batch(&t.w, 0, 2, 10);
    OK(log_append(t.l, p, 2, &t.e) && p[0].base_offset == 0 && p[1].base_offset == 0);
    p[2].partition = 7; // not there: none is taken
    OK(!log_append(t.l, p, 4, &t.e) && t.e.kind == ERR_NOT_FOUND && p[2].refused == ERR_NOT_FOUND);
    OK(testlog_read(&t, "a", 0, 0, 0, 1000) == 2 && testlog_read(&t, "b", 0, 0, 0, 1000) == 0);
    p[2].partition = 0; // the same partition twice
    OK(log_append(t.l, p + 2, 2, &t.e) && p[2].base_offset == 0 && p[3].base_offset == 2);
    OK(testlog_end(&t));
}

struct waits {
    struct mutex lock;
    struct cond cond;
    int n;
    bool ok;
};

static void waits_up(void *arg)
{
    struct waits *w = arg;

    mutex_lock(&w->lock);
    w->n++;
    cond_broadcast(&w->cond);
    mutex_unlock(&w->lock);
}

static void waits_done(void *arg, bool ok, const struct err *e)
{
    struct waits *w = arg;

    (void)e;
    mutex_lock(&w->lock);
    w->ok = ok;
    mutex_unlock(&w->lock);
    waits_up(arg);
}

static void waits_for(struct waits *w, int n)
{
    mutex_lock(&w->lock);
    while (w->n < n)
        cond_wait(&w->cond, &w->lock);
    mutex_unlock(&w->lock);
}

TEST(parts_may_stand_alone)
{
    struct testlog t = {0};
    struct waits w = {0};
    struct log_part_write p[3] = {
        {.topic = STR("a")}, {.topic = STR("none")}, {.topic = STR("a"), .partition = 1}};

    mutex_init(&w.lock);
    cond_init(&w.cond);
    OK(testlog_start(&t));
    OK(testlog_topic(&t, "a", 2));
    for (int64_t i = 0; i < 3; i++)
        p[i].batches = testlog_batch(&t.w, 0, 2, 10);
    p[2].batches.n--;
    log_append_some_async(t.l, p, 3, waits_done, &w);
    waits_for(&w, 1);
    OK(w.ok && p[0].base_offset == 0 && p[0].refused == ERR_NONE);
    OK(p[1].base_offset == -1 && p[1].refused == ERR_NOT_FOUND);
    OK(p[2].base_offset == -1 && p[2].refused == ERR_BAD_INPUT);
    OK(testlog_read(&t, "a", 0, 0, 0, 1000) == 2 && testlog_read(&t, "a", 1, 0, 0, 1000) == 0);
    OK(testlog_end(&t));
    cond_fini(&w.cond);
    mutex_fini(&w.lock);
}

TEST(watchers_are_called_once)
{
    struct testlog t = {0};
    struct waits w = {0};
    struct log_watch one = {.fn = waits_up, .arg = &w}, two = one, three = one;

    mutex_init(&w.lock);
    cond_init(&w.cond);
    OK(testlog_start(&t));
    OK(testlog_topic(&t, "a", 1));
    OK(testlog_append(&t, "a", 0, 0, 5, 0) == 0);
    log_watch(t.l, STR("a"), 0, 4, &one); // already passed
    OK(w.n == 1);
    log_watch(t.l, STR("none"), 0, 0, &one);
    OK(w.n == 2);
    log_watch(t.l, STR("a"), 0, 5, &one);
    log_watch(t.l, STR("a"), 0, 6, &two);
    log_watch(t.l, STR("a"), 0, 5, &three);
    log_unwatch(t.l, &three);
    OK(w.n == 2);
    OK(testlog_append(&t, "a", 0, 5, 1, 0) == 5);
    waits_for(&w, 3);
    log_unwatch(t.l, &one);
    OK(w.n == 3);
    OK(log_delete_topic(t.l, STR("a"), &t.e));
    waits_for(&w, 4);
    log_unwatch(t.l, &two);
    OK(testlog_end(&t));
    cond_fini(&w.cond);
    mutex_fini(&w.lock);
}

TEST(topics_come_and_go)
{
    struct testlog t = {0};
    struct arena a = {0};
    struct log_settings s;
    struct log_topic *list, one, again;
    size_t count;

    OK(testlog_start(&t));
    log_settings_default(t.l, &s);
    OK(testlog_topic(&t, "b", 2) && testlog_topic(&t, "a.x_y-1", 1) && testlog_topic(&t, "__c", 1));
    OK(!testlog_topic(&t, "b", 2) && t.e.kind == ERR_CONFLICT);
    OK(log_ensure_topic(t.l, STR("b"), 9, &s, &t.e));
    OK(!testlog_topic(&t, "..", 1) && t.e.kind == ERR_INVALID);
    OK(!testlog_topic(&t, "a/b", 1) && !testlog_topic(&t, "", 1) && !testlog_topic(&t, "z", 0));
    log_list_topics(t.l, &a, &list, &count);
    OK(count == 3 && str_is(list[0].name, "__c") && list[0].internal && str_is(list[1].name, "a.x_y-1"));
    OK(log_find_topic(t.l, STR("b"), &a, &one) && one.partitions == 2 && one.settings.remove);
    OK(testlog_append(&t, "b", 1, 0, 3, 0) == 0);
    OK(log_add_partitions(t.l, STR("b"), 4, &t.e));
    OK(!log_add_partitions(t.l, STR("b"), 4, &t.e) && t.e.kind == ERR_INVALID);
    OK(testset_topic(t.l, "b", "retention.ms", "5"));
    OK(testset_topic(t.l, "b", "cleanup.policy", "compact,delete"));
    OK(testlog_append(&t, "b", 3, 0, 3, 0) == 0);
    OK(log_delete_topic(t.l, STR("__c"), &t.e) && !log_delete_topic(t.l, STR("__c"), &t.e));
    testlog_crash(&t);
    OK(testlog_open(&t));
    OK(log_find_topic_id(t.l, &one.id, &a, &again) && again.partitions == 4 &&
       again.settings.retention_ms == 5);
    OK(again.settings.compact && !log_find_topic(t.l, STR("__c"), &a, &again));
    OK(testlog_read(&t, "b", 1, 0, 0, 1000) == 3 && testlog_read(&t, "b", 3, 0, 0, 1000) == 3);
    OK(log_delete_topic(t.l, STR("b"), &t.e) && testlog_topic(&t, "b", 2));
    OK(testlog_read(&t, "b", 1, 0, 0, 1000) == 0 && testlog_append(&t, "b", 1, 7, 1, 0) == 0);
    OK(log_find_topic(t.l, STR("b"), &a, &again) && memcmp(&again.id, &one.id, 16) != 0);
    testlog_crash(&t);
    OK(testlog_open(&t));
    OK(testlog_read(&t, "b", 1, 0, 7, 1000) == 1);
    OK(testlog_end(&t));
    arena_fini(&a);
}

TEST(producer_ids_are_never_given_twice)
{
    struct testlog t = {0};
    int64_t last = -1, id;

    OK(testlog_start(&t));
    for (int64_t round = 0; round < 3; round++) {
        for (int64_t i = 0; i < 1500; i++) {
            OK(log_new_producer_id(t.l, &id, &t.e) && id > last);
            last = id;
        }
        testlog_crash(&t);
        OK(testlog_open(&t));
    }
    OK(testlog_end(&t));
}

TEST(two_processes_cannot_share_a_folder)
{
    struct testlog t = {0};
    struct log *other;

    OK(testlog_start(&t));
    OK(!log_open(&t.o, &other, &t.e) && t.e.kind == ERR_CONFLICT);
    OK(testlog_end(&t));
}

TEST(offsets_are_found_by_time)
{
    struct testlog t = {0};
    int64_t offset, ts;

    OK(testlog_start(&t));
    OK(testlog_topic(&t, "a", 1));
    OK(!log_offset_for_time(t.l, STR("a"), 0, 0, &offset, &ts));
    for (int64_t i = 0; i < 100; i++)
        OK(testlog_append(&t, "a", 0, 10 * i, 10, 300) == 10 * i);
    for (int round = 0; round < 2; round++) {
        OK(log_offset_for_time(t.l, STR("a"), 0, 0, &offset, &ts) && offset == 0 && ts == 1700000000000);
        for (int64_t i = 0; i < 1000; i += 7)
            OK(log_offset_for_time(t.l, STR("a"), 0, 1700000000000 + i, &offset, &ts) && offset == i &&
               ts == 1700000000000 + i);
        OK(!log_offset_for_time(t.l, STR("a"), 0, 1700000001000, &offset, &ts));
        log_close(t.l);
        OK(testlog_open(&t));
    }
    OK(testlog_end(&t));
}

TEST(append_time_is_the_logs)
{
    struct testlog t = {0};
    struct log_settings s;
    struct log_part_write p = {.topic = STR("a")};
    int64_t offset, ts, now = os_real()->wall_us(os_real()) / 1000, records;
    struct buf b = buf_make(MIB);

    OK(testlog_start(&t));
    log_settings_default(t.l, &s);
    s.append_time = true;
    OK(log_create_topic(t.l, STR("a"), 1, &s, &t.e));
    p.batches = testlog_batch(&t.w, 0, 10, 0);
    OK(log_append(t.l, &p, 1, &t.e) && p.append_time_ms >= now);
    OK(log_fetch(t.l, STR("a"), 0, 0, 1000, &b, &t.e));
    OK(batch_check(buf_view(&b), MIB, &records, &t.e) && records == 10);
    OK(log_offset_for_time(t.l, STR("a"), 0, now, &offset, &ts) && offset == 0 && ts == p.append_time_ms);
    OK(testlog_end(&t));
    buf_fini(&b);
}

TEST(fetch_tells_what_is_wrong)
{
    struct testlog t = {0};
    struct buf b = buf_make(100);
    struct log_piece piece;

    OK(testlog_start(&t));
    OK(testlog_topic(&t, "a", 1));
    OK(testlog_append(&t, "a", 0, 0, 10, 100) == 0);
    OK(!log_fetch(t.l, STR("a"), 0, 11, 100, &b, &t.e) && t.e.kind == ERR_NOT_FOUND);
    OK(!log_fetch(t.l, STR("a"), 0, -1, 100, &b, &t.e) && t.e.kind == ERR_NOT_FOUND);
    OK(log_fetch(t.l, STR("a"), 0, 10, 100, &b, &t.e) && b.n == 0);
    OK(!log_fetch(t.l, STR("a"), 0, 0, 100, &b, &t.e) && t.e.kind == ERR_LIMIT && buf_ok(&b));
    OK(log_fetch_piece(t.l, STR("a"), 0, 3, 100, &piece, &t.e) && piece.at == 0 && piece.n > 1000);
    os_close(os_real(), piece.fd);
    t.e.kind = ERR_NONE;
    OK(!log_fetch_piece(t.l, STR("a"), 0, 10, 100, &piece, &t.e) && piece.n == 0 && t.e.kind == ERR_NONE);
    OK(testlog_end(&t));
    buf_fini(&b);
}

/* ---- as a server reads ---- */

static void *room(void *arg, size_t n)
{
    struct buf *b = arg;

    buf_reset(b);
    return buf_room(b, n);
}

/* From the batch on that holds offset. */
static struct str batches_from(struct str bytes, int64_t offset)
{
    struct str rest = bytes, one;
    struct batch_header h;

    while (batch_cut(&rest, &one, &h) && h.base_offset + h.last_offset_delta < offset)
        bytes = rest;
    return bytes;
}

TEST(few_bytes_are_copied_and_others_are_a_piece)
{
    struct testlog t = {0};
    struct buf b = buf_make(MIB), all = buf_make(MIB), none = buf_make(0);
    struct log_read r = {
        .topic = STR("a"), .max_bytes = 100000, .copy_bytes = 65536, .room = room, .arg = &b};
    struct log_got got;
    uint8_t *bytes;

    OK(testlog_start(&t));
    OK(testlog_topic(&t, "a", 1));
    for (int64_t i = 0; i < 10; i++)
        OK(testlog_append(&t, "a", 0, 10 * i, 10, 300) == 10 * i);
    OK(log_fetch(t.l, STR("a"), 0, 0, 100000, &all, &t.e));
    t.os.os.pread_now = t.os.os.pread; // a file system in memory cannot tell
    for (r.offset = 0; r.offset < 100; r.offset++) {
        struct str want = batches_from(buf_view(&all), r.offset);

        r.now = r.offset % 2;
        r.room = room;
        OK(log_read(t.l, &r, &got, &t.e) == LOG_READ_DONE && got.n == want.n && got.next == 100 &&
           got.piece.n == 0);
        OK(memcmp(got.p, want.p, want.n) == 0);
        r.copy_bytes = r.offset % 3 ? 100 : 65536;
        r.arg = r.offset % 3 ? &b : &none; // few or not: there is no room
        OK(log_read(t.l, &r, &got, &t.e) == LOG_READ_DONE && got.n == 0 && got.next == 100 &&
           got.piece.n == want.n);
        bytes = mem_alloc(want.n);
        OK(os_read(os_real(), got.piece.fd, bytes, want.n, got.piece.at, &t.e) &&
           memcmp(bytes, want.p, want.n) == 0);
        mem_free(bytes);
        os_close(os_real(), got.piece.fd);
        r.copy_bytes = 65536;
        r.arg = &b;
    }
    OK(log_read(t.l, &r, &got, &t.e) == LOG_READ_DONE && got.n == 0 && got.piece.n == 0 && got.next == 100);
    r.offset = 101;
    OK(log_read(t.l, &r, &got, &t.e) == LOG_READ_FAILED && t.e.kind == ERR_NOT_FOUND);
    r.offset = 15;
    r.max_bytes = 1;
    OK(log_read(t.l, &r, &got, &t.e) == LOG_READ_DONE && got.n < all.n / 9 && got.next == 20);
    r.max_bytes = 3 * all.n / 10 + 1;
    OK(log_read(t.l, &r, &got, &t.e) == LOG_READ_DONE && got.n > 0 && got.n <= 3 * all.n / 10);
    t.os.os.pread_now = os_pread_uncached;
    r.now = true;
    OK(log_read(t.l, &r, &got, &t.e) == LOG_READ_LATER && got.n == 0 && got.piece.n == 0);
    r.now = false;
    OK(log_read(t.l, &r, &got, &t.e) == LOG_READ_DONE && got.n > 0);
    OK(testlog_end(&t));
    buf_fini(&b);
    buf_fini(&all);
}

/* ---- segments of one group ---- */

/* Appends that wait for one group: the committer is held by the first one's answer until all are queued. */
struct queue_up {
    struct mutex lock;
    struct cond more;
    bool all_queued;
    int answered;
};

static void answered(void *arg, bool ok, const struct err *e)
{
    struct queue_up *q = arg;

    (void)e;
    OK(ok);
    mutex_lock(&q->lock);
    while (!q->all_queued)
        cond_wait(&q->more, &q->lock);
    q->answered++;
    cond_broadcast(&q->more);
    mutex_unlock(&q->lock);
}

static int64_t largest_segment(struct testlog *t, const char *folder, size_t *count)
{
    struct arena a = {0};
    const char *path = arena_fmt(&a, "%s/topics/%s", t->dir, folder);
    struct str *names;
    struct os_stat st;
    int64_t most = 0;
    size_t n;

    *count = 0;
    OK(os_list(os_real(), path, &a, &names, &n, &t->e));
    for (size_t i = 0; i < n; i++) {
        if (!str_ends(names[i], STR(".log")))
            continue;
        OK(os_real()->stat(os_real(), arena_fmt(&a, "%s/%.*s", path, STR_ARG(names[i])), &st) == 0);
        most = st.size_bytes > most ? st.size_bytes : most;
        (*count)++;
    }
    arena_fini(&a);
    return most;
}

TEST(no_segment_is_larger_than_it_may_be)
{
    enum { APPENDS = 21, SEGMENT = 10000 };
    struct queue_up q = {0};
    struct log_part_write p[APPENDS] = {0};
    struct log_settings s;
    struct testlog t = {0};
    struct arena a = {0};
    size_t count;

    OK(testlog_start(&t));
    log_settings_default(t.l, &s);
    s.segment_bytes = SEGMENT;
    OK(log_create_topic(t.l, STR("a"), 1, &s, &t.e));
    mutex_init(&q.lock);
    cond_init(&q.more);
    for (int i = 0; i < APPENDS; i++) {
        p[i] = (struct log_part_write){.topic = STR("a")};
        p[i].batches = arena_str(&a, testlog_batch(&t.w, i, 1, 1000));
        log_append_async(t.l, &p[i], 1, answered, &q);
    }
    mutex_lock(&q.lock);
    q.all_queued = true;
    cond_broadcast(&q.more);
    while (q.answered < APPENDS)
        cond_wait(&q.more, &q.lock);
    mutex_unlock(&q.lock);
    OK(testlog_read(&t, "a", 0, 0, 0, 100000) == APPENDS);
    log_close(t.l);
    OK(largest_segment(&t, "a-0", &count) <= SEGMENT && count >= 3);
    OK(testlog_open(&t) && testlog_read(&t, "a", 0, 0, 0, 100000) == APPENDS);
    cond_fini(&q.more);
    mutex_fini(&q.lock);
    arena_fini(&a);
    OK(testlog_end(&t));
}

TEST_MAIN
