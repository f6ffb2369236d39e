/* Retention, trimming, rolling, damage, and what a start does not do. */
#include "log/testlog.h"

#include <fcntl.h>

static bool topic_with(struct testlog *t, const char *name, int64_t segment_bytes, int64_t ms, int64_t bytes)
{
    struct log_settings s;

    log_settings_default(t->l, &s);
    s.segment_bytes = segment_bytes;
    s.retention_ms = ms;
    s.retention_bytes = bytes;
    return log_create_topic(t->l, str_of(name), 1, &s, &t->e);
}

static size_t files(struct testlog *t, const char *folder, const char *ending)
{
    struct arena a = {0};
    struct str *names;
    size_t count = 0, n = 0;

    if (os_list(os_real(), arena_fmt(&a, "%s/%s", t->dir, folder), &a, &names, &count, &t->e))
        for (size_t i = 0; i < count; i++)
            n += str_ends(names[i], str_of(ending));
    arena_fini(&a);
    return n;
}

TEST(size_retention_takes_whole_segments)
{
    struct testlog t = {0};
    struct log_range r;

    OK(testlog_start(&t) && topic_with(&t, "a", 5000, -1, 12000));
    for (int i = 0; i < 40; i++)
        OK(testlog_append(&t, "a", 0, i, 1, 900) == i);
    OK(files(&t, "topics/a-0", ".log") == 8);
    OK(log_maintain(t.l, &t.e));
    OK(log_size_bytes(t.l, STR("a"), 0) >= 12000 && log_size_bytes(t.l, STR("a"), 0) < 12000 + 5000);
    OK(log_range(t.l, STR("a"), 0, &r) && r.start > 0 && r.start % 5 == 0 && r.end == 40);
    OK(files(&t, "topics/a-0", ".log") == (40 - (size_t)r.start) / 5);
    OK(testlog_read(&t, "a", 0, r.start, 0, 3000) == 40 - r.start);
    testlog_crash(&t);
    OK(testlog_open(&t));
    OK(testlog_read(&t, "a", 0, r.start, 0, 3000) == 40 - r.start);
    OK(log_maintain(t.l, &t.e));
    OK(testlog_append(&t, "a", 0, 40, 1, 900) == 40);
    OK(testlog_end(&t));
}

/* The test's records are of 2023, so all are older than a day. */
TEST(time_retention_takes_the_active_segment_too)
{
    struct testlog t = {0};
    struct log_range r;

    OK(testlog_start(&t) && topic_with(&t, "a", 5000, 86400000, -1) && topic_with(&t, "b", 5000, -1, -1));
    for (int i = 0; i < 12; i++)
        OK(testlog_append(&t, "a", 0, i, 1, 900) == i && testlog_append(&t, "b", 0, i, 1, 900) == i);
    OK(log_maintain(t.l, &t.e));
    OK(log_range(t.l, STR("a"), 0, &r) && r.start == 12 && r.end == 12);
    OK(files(&t, "topics/a-0", ".log") == 0 && log_size_bytes(t.l, STR("a"), 0) == 0);
    OK(log_range(t.l, STR("b"), 0, &r) && r.start == 0);
    for (int round = 0; round < 3; round++) {
        testlog_crash(&t);
        OK(testlog_open(&t));
        OK(testlog_append(&t, "a", 0, 12 + round, 1, 900) == 12 + round);
        OK(testlog_read(&t, "a", 0, 12, 0, 3000) == 1 + round);
    }
    OK(testlog_end(&t));
}

TEST(records_without_a_time_are_as_old_as_their_segment)
{
    struct testlog t = {0};
    struct log_part_write p = {.topic = STR("a")};
    struct log_range r;

    OK(testlog_start(&t) && topic_with(&t, "a", 5000, 86400000, -1));
    for (int64_t time = -1; time <= 0; time++) {
        batch_begin(&t.w, LIMIT_BATCH);
        batch_add(&t.w, time, STR_NULL, STR("v"), NULL, 0);
        p.batches = batch_end(&t.w);
        OK(log_append(t.l, &p, 1, &t.e));
    }
    OK(log_maintain(t.l, &t.e));
    OK(log_range(t.l, STR("a"), 0, &r) && r.start == 0 && r.end == 2);
    OK(testlog_end(&t));
}

TEST(old_records_can_be_read_for_a_while)
{
    struct testlog t = {.o = {.retention_grace_ms = 60000}};
    struct log_range r;

    OK(testlog_start(&t) && topic_with(&t, "a", 5000, 86400000, -1));
    OK(testlog_append(&t, "a", 0, 0, 1, 900) == 0);
    OK(log_maintain(t.l, &t.e));
    OK(log_range(t.l, STR("a"), 0, &r) && r.start == 0 && r.end == 1);
    testlog_crash(&t);
    t.o.retention_grace_ms = 0;
    OK(testlog_open(&t) && log_maintain(t.l, &t.e));
    OK(log_range(t.l, STR("a"), 0, &r) && r.start == 1);
    OK(testlog_end(&t));
}

static int64_t clock_ahead_us;

static int64_t set_clock(struct os *os)
{
    (void)os;
    return os_real()->wall_us(os_real()) + clock_ahead_us;
}

/* I29 of the promises: a clock that jumps deletes no data. */
TEST(setting_the_clock_deletes_nothing)
{
    struct testlog t = {0};
    struct os os = *os_real();
    struct log_settings s;
    struct log_part_write p = {.topic = STR("a")};
    struct log_range r;

    OK(tempdir_make(t.dir));
    clock_ahead_us = 0;
    os.wall_us = set_clock;
    t.o = (struct log_options){.os = &os, .dir = t.dir};
    OK(log_open(&t.o, &t.l, &t.e));
    log_settings_default(t.l, &s);
    s.append_time = true;
    OK(log_create_topic(t.l, STR("a"), 1, &s, &t.e));
    p.batches = testlog_batch(&t.w, 0, 1, 10);
    OK(log_append(t.l, &p, 1, &t.e));
    clock_ahead_us = (int64_t)366 * 86400 * 1000000;
    OK(log_append(t.l, &p, 1, &t.e) && log_maintain(t.l, &t.e));
    clock_ahead_us = -clock_ahead_us;
    OK(log_append(t.l, &p, 1, &t.e) && log_maintain(t.l, &t.e));
    OK(log_range(t.l, STR("a"), 0, &r) && r.start == 0 && r.end == 3);
    OK(testlog_end(&t));
}

TEST(trimmed_records_are_gone_for_good)
{
    struct testlog t = {0};
    struct log_range r;
    struct buf b = buf_make(MIB);

    OK(testlog_start(&t) && topic_with(&t, "a", 5000, -1, -1));
    for (int i = 0; i < 20; i++)
        OK(testlog_append(&t, "a", 0, i, 1, 900) == i);
    OK(!log_trim(t.l, STR("a"), 0, 21, &t.e) && t.e.kind == ERR_INVALID);
    OK(!log_trim(t.l, STR("b"), 0, 1, &t.e) && t.e.kind == ERR_NOT_FOUND);
    OK(log_trim(t.l, STR("a"), 0, 12, &t.e));
    OK(log_trim(t.l, STR("a"), 0, 3, &t.e)); // never back
    for (int round = 0; round < 3; round++) {
        OK(log_range(t.l, STR("a"), 0, &r) && r.start == 12 && r.end == 20);
        OK(!log_fetch(t.l, STR("a"), 0, 11, 100, &b, &t.e) && t.e.kind == ERR_NOT_FOUND);
        OK(testlog_read(&t, "a", 0, 12, 0, 3000) == 8);
        if (round == 0) {
            testlog_crash(&t);
            OK(testlog_open(&t));
        }
        OK(log_maintain(t.l, &t.e));
    }
    OK(files(&t, "topics/a-0", ".log") == 2);
    OK(testlog_end(&t));
    buf_fini(&b);
}

static bool flip_bits(struct testlog *t, const char *name, int64_t at, uint8_t bits)
{
    char path[TEMPDIR_MAX + 100];
    uint8_t b = 0;
    int fd;
    bool ok;

    (void)snprintf(path, sizeof path, "%s/%s", t->dir, name);
    fd = os_open(os_real(), path, O_RDWR, &t->e);
    ok = fd >= 0 && os_read(os_real(), fd, &b, 1, at, &t->e);
    b ^= bits;
    ok = ok && os_write(os_real(), fd, &b, 1, at, &t->e);
    os_close(os_real(), fd);
    return ok;
}

/* Flips one bit of a file. */
static bool flip(struct testlog *t, const char *name, int64_t at)
{
    return flip_bits(t, name, at, 4);
}

static void *room(void *arg, size_t n)
{
    struct buf *b = arg;

    buf_reset(b);
    return buf_room(b, n);
}

/* As a server reads: few bytes are copied, others are a piece. */
static enum log_read_answer read_at(struct testlog *t, int64_t offset, size_t copy_bytes, bool now,
                                    struct log_got *got)
{
    static struct buf b;
    struct log_read r = {.topic = STR("a"),
                         .offset = offset,
                         .max_bytes = 100000,
                         .copy_bytes = copy_bytes,
                         .now = now,
                         .room = room,
                         .arg = &b};
    enum log_read_answer answer;

    buf_fini(&b);
    b = buf_make(MIB);
    t->e.kind = ERR_NONE;
    answer = log_read(t->l, &r, got, &t->e);
    os_close(os_real(), got->piece.fd);
    if (!got->p)
        buf_fini(&b);
    return answer;
}

/* What is good in front of offset 1 is given to a server, what is damaged never is. */
static bool server_is_spared(struct testlog *t, size_t size)
{
    struct log_got got;
    bool ok = true;

    for (size_t copy = 0; copy <= 65536; copy += 65536) {
        ok = ok && read_at(t, 1, copy, true, &got) == LOG_READ_LATER && got.n + got.piece.n == 0;
        ok = ok && read_at(t, 1, copy, false, &got) == LOG_READ_FAILED && got.n + got.piece.n == 0;
        ok = ok && t->e.kind == ERR_CORRUPT && strstr(t->e.msg, "offset 1 ");
        ok = ok && read_at(t, 0, copy, true, &got) == LOG_READ_DONE && got.n + got.piece.n == size &&
             got.next == 1;
        ok = ok && read_at(t, 2, copy, false, &got) == LOG_READ_DONE && got.n + got.piece.n == 2 * size;
    }
    return ok;
}

/* Every bit of a batch matters: its damage is told with topic, partition and offset, and what is good is read. */
TEST(damage_is_never_served)
{
    struct testlog t = {0};
    struct buf b = buf_make(MIB);
    int64_t size;

    OK(testlog_start(&t) && topic_with(&t, "a", 100000, -1, -1));
    t.os.os.pread_now = t.os.os.pread; // a file system in memory cannot tell
    OK(testlog_append(&t, "a", 0, 0, 1, 4100) == 0);
    size = log_size_bytes(t.l, STR("a"), 0);
    for (int i = 1; i < 4; i++)
        OK(testlog_append(&t, "a", 0, i, 1, 4100) == i);
    for (int64_t at = 0; at < size; at = at < 100 ? at + 1 : at + 97) {
        if (at >= 12 && at < 16)
            continue; // the leader epoch, which nothing depends on
        buf_reset(&b);
        OK(flip(&t, "topics/a-0/00000000000000000000.log", size + at));
        OK(!log_fetch(t.l, STR("a"), 0, 1, 10000, &b, &t.e) && t.e.kind == ERR_CORRUPT && b.n == 0);
        OK(strstr(t.e.msg, "topic a partition 0") && strstr(t.e.msg, "offset 1 "));
        OK(server_is_spared(&t, (size_t)size));
        OK(testlog_read(&t, "a", 0, 2, 0, 10000) == 2);
        buf_reset(&b);
        OK(log_fetch(t.l, STR("a"), 0, 0, 100000, &b, &t.e) && b.n == (size_t)size);
        OK(flip(&t, "topics/a-0/00000000000000000000.log", size + at));
    }
    OK(testlog_read(&t, "a", 0, 0, 0, 10000) == 4);
    OK(testlog_end(&t));
    buf_fini(&b);
}

/* A damaged index, one of another segment, and none: all read the same. */
TEST(a_wrong_index_is_made_anew)
{
    struct testlog t = {0};
    char from[TEMPDIR_MAX + 100], to[TEMPDIR_MAX + 100];

    OK(testlog_start(&t) && topic_with(&t, "a", 50000, -1, -1));
    for (int i = 0; i < 40; i++)
        OK(testlog_append(&t, "a", 0, i, 1, i < 20 ? 4100 : 4300) == i);
    log_close(t.l);
    OK(files(&t, "topics/a-0", ".index") >= 3);
    OK(flip(&t, "topics/a-0/00000000000000000000.index", 30));
    OK(testlog_open(&t) && testlog_read(&t, "a", 0, 0, 0, 10000) == 40);
    log_close(t.l);
    (void)snprintf(from, sizeof from, "%s/topics/a-0/00000000000000000022.index", t.dir);
    (void)snprintf(to, sizeof to, "%s/topics/a-0/00000000000000000000.index", t.dir);
    OK(os_exists(os_real(), from) && rename(from, to) == 0);
    OK(testlog_open(&t));
    for (int i = 39; i >= 0; i--)
        OK(testlog_read(&t, "a", 0, i, 0, 10000) == 40 - i);
    OK(testlog_end(&t));
}

TEST(a_missing_segment_is_damage_and_the_rest_is_read)
{
    struct testlog t = {0};
    struct buf b = buf_make(MIB);
    char path[TEMPDIR_MAX + 100];

    OK(testlog_start(&t) && topic_with(&t, "a", 5000, -1, -1));
    for (int i = 0; i < 14; i++)
        OK(testlog_append(&t, "a", 0, i, 1, 900) == i);
    log_close(t.l);
    (void)snprintf(path, sizeof path, "%s/topics/a-0/00000000000000000005.log", t.dir);
    OK(remove(path) == 0);
    OK(testlog_open(&t));
    OK(testlog_read(&t, "a", 0, 10, 0, 10000) == 4);
    OK(log_fetch(t.l, STR("a"), 0, 0, 1, &b, &t.e));
    OK(!log_fetch(t.l, STR("a"), 0, 6, 1, &b, &t.e) && t.e.kind == ERR_CORRUPT &&
       strstr(t.e.msg, "partition 0"));
    OK(testlog_append(&t, "a", 0, 14, 1, 10) == 14);
    log_close(t.l);
    (void)snprintf(path, sizeof path, "%s/topics/a-0/00000000000000000010.log", t.dir);
    OK(remove(path) == 0); // the active one
    OK(testlog_open(&t));
    OK(testlog_append(&t, "a", 0, 15, 1, 10) == 15);
    testlog_crash(&t);
    OK(testlog_open(&t));
    OK(testlog_read(&t, "a", 0, 15, 0, 10000) == 1);
    OK(testlog_end(&t));
    buf_fini(&b);
}

/* Files that the log needs, gone or damaged: it refuses to open, says which, and does not begin a new one. */
TEST(a_log_without_its_files_is_not_a_new_log)
{
    static const char *const names[] = {"meta", "topics.list", "checkpoint", "journal-0", "journal-1"};
    char path[TEMPDIR_MAX + 100], away[TEMPDIR_MAX + 110];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct testlog t = {0};

        OK(testlog_start(&t) && topic_with(&t, "a", 5000, -1, -1));
        OK(testlog_append(&t, "a", 0, 0, 1, 10) == 0);
        log_close(t.l);
        if (i < 3) {
            OK(flip(&t, names[i], 20));
            OK(!testlog_open(&t) && t.e.kind == ERR_CORRUPT && strstr(t.e.msg, names[i]));
            OK(flip(&t, names[i], 20));
        }
        (void)snprintf(path, sizeof path, "%s/%s", t.dir, names[i]);
        (void)snprintf(away, sizeof away, "%s.away", path);
        OK(rename(path, away) == 0);
        OK(!testlog_open(&t) && strstr(t.e.msg, names[i]));
        OK(rename(away, path) == 0);
        OK(testlog_open(&t) && testlog_read(&t, "a", 0, 0, 0, 100) == 1);
        OK(testlog_end(&t));
    }
}

/* Files of another program's version: what to do about it is told. */
TEST(another_version_is_told_with_what_to_do)
{
    static const struct {
        const char *name;
        uint8_t bits;
        const char *told;
    } cases[] = {
        {"meta", 4, "a newer tarn wrote it"},
        {"topics.list", 4, "a newer tarn wrote it"},
        {"checkpoint", 4, "a newer tarn wrote it"},
        {"checkpoint", 3,
         "checkpoint has version 1, this program knows versions 2 to 2: an older tarn wrote it"},
    };
    struct testlog t = {0};

    OK(testlog_start(&t) && topic_with(&t, "a", 5000, -1, -1));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        log_close(t.l);
        OK(flip_bits(&t, cases[i].name, 11, cases[i].bits));
        OK(!testlog_open(&t) && t.e.kind == ERR_UNSUPPORTED && strstr(t.e.msg, cases[i].told));
        OK(flip_bits(&t, cases[i].name, 11, cases[i].bits));
        OK(testlog_open(&t));
    }
    OK(testlog_end(&t));
}

static unsigned opened; // segments
static int (*real_open)(struct os *os, const char *path, int flags);

static int count_open(struct os *os, const char *path, int flags)
{
    opened += str_ends(str_of(path), STR(".log")) || str_ends(str_of(path), STR(".index"));
    return real_open(os, path, flags);
}

/* Promise 6: what is in the segments is not looked at by a start. */
TEST(a_start_opens_no_segment)
{
    struct testlog t = {0};
    struct os os = *os_real();

    OK(testlog_start(&t) && topic_with(&t, "a", 2000, -1, -1));
    for (int i = 0; i < 200; i++)
        OK(testlog_append(&t, "a", 0, i, 1, 900) == i);
    log_close(t.l);
    real_open = os.open;
    os.open = count_open;
    t.o.os = &os;
    opened = 0;
    OK(log_open(&t.o, &t.l, &t.e) && opened == 0);
    OK(testlog_append(&t, "a", 0, 200, 1, 900) == 200 && opened >= 1 && opened <= 4);
    OK(testlog_read(&t, "a", 0, 0, 0, 3000) == 201);
    OK(testlog_end(&t));
}

TEST_MAIN
