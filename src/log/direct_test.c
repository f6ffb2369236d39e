#include "log/log_int.h"
#include "log/testlog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>

enum { PARTS = 3, APPENDS = 120 };

/* As a disk wants it: what is written past the page cache begins and ends with blocks. */
static struct os disk;
static int64_t ahead_ns;
static atomic_bool direct_fds[1024];
static atomic_int direct_writes;
static atomic_bool refuses;

static int disk_open(struct os *os, const char *path, int flags)
{
    int fd = os_unsynced()->open(os, path, flags);

    if (fd >= 0)
        atomic_store(&direct_fds[fd], (flags & O_DIRECT) != 0);
    return fd;
}

static ssize_t disk_pwritev(struct os *os, int fd, const struct iovec *v, int count, int64_t at)
{
    bool whole = at % 4096 == 0;

    if (!atomic_load(&direct_fds[fd]))
        return os_real()->pwritev(os, fd, v, count, at);
    for (int i = 0; i < count; i++)
        whole = whole && v[i].iov_len % 4096 == 0 && (uintptr_t)v[i].iov_base % 4096 == 0;
    if (!whole || atomic_load(&refuses)) {
        errno = EINVAL;
        return -1;
    }
    atomic_fetch_add(&direct_writes, 1);
    return os_real()->pwritev(os, fd, v, count, at);
}

static int64_t disk_now(struct os *os)
{
    return os_real()->now_ns(os) + ahead_ns;
}

static bool start(struct testlog *t)
{
    struct log_settings s;

    disk = *os_real();
    disk.open = disk_open;
    disk.pwritev = disk_pwritev;
    disk.now_ns = disk_now;
    disk.fdatasync = os_unsynced()->fdatasync;
    disk.fsync = os_unsynced()->fsync;
    disk.sync_range = os_unsynced()->sync_range;
    atomic_store(&direct_writes, 0);
    atomic_store(&refuses, false);
    t->o =
        (struct log_options){.os = &disk, .dir = t->dir, .journal_bytes = 256 * KIB, .memory_bytes = 8 * MIB};
    if (!tempdir_make(t->dir) || !log_open(&t->o, &t->l, &t->e))
        return false;
    log_settings_default(t->l, &s);
    s.retention_ms = -1;
    return log_create_topic(t->l, STR("a"), PARTS, &s, &t->e);
}

static bool again(struct testlog *t)
{
    log_close(t->l);
    return log_open(&t->o, &t->l, &t->e);
}

static bool all_there(struct testlog *t, const int64_t *n)
{
    for (int i = 0; i < PARTS; i++)
        if (testlog_read(t, "a", i, 0, 0, 300000) != n[i] ||
            testlog_read(t, "a", i, n[i] / 2, 0, 1) != n[i] - n[i] / 2)
            return false;
    return true;
}

/* Parts of all sizes, in one append and in many: some by this way, some not, some over a piece's end. */
static void append_sizes(struct testlog *t, int64_t *n)
{
    static const size_t sizes[] = {10, 40000, 200, 700000, 5000, 90000, 4096, 1, 3000000};

    for (int i = 0; i < APPENDS; i++) {
        struct log_part_write p[PARTS];
        struct batch_writer w[PARTS] = {{.codec = BATCH_NONE}};
        int count = i % PARTS + 1;

        for (int k = 0; k < count; k++) {
            int at = (i + k) % PARTS;

            p[k] = (struct log_part_write){.topic = STR("a"), .partition = at};
            p[k].batches =
                testlog_batch(&w[k], n[at]++, 1, sizes[(unsigned)(i * 7 + k * 5) % ARRAY_LEN(sizes)]);
        }
        OK(log_append(t->l, p, (size_t)count, &t->e));
        for (int k = 0; k < count; k++)
            batch_fini(&w[k]);
    }
}

TEST(parts_of_all_sizes_come_back)
{
    struct testlog t = {0};
    int64_t n[PARTS] = {0};

    OK(start(&t));
    append_sizes(&t, n);
    OK(atomic_load(&direct_writes) > 50);
    OK(all_there(&t, n)); // the newest from memory
    OK(again(&t));
    OK(all_there(&t, n)); // all from the files
    append_sizes(&t, n);
    OK(all_there(&t, n));
    OK(again(&t));
    OK(all_there(&t, n));
    OK(testlog_end(&t));
}

/* A file system may take O_DIRECT when a file is opened and refuse it when it is written. */
TEST(a_disk_that_refuses_gets_it_the_usual_way)
{
    struct testlog t = {0};
    int64_t n[PARTS] = {0};

    OK(start(&t));
    atomic_store(&refuses, true);
    append_sizes(&t, n);
    OK(atomic_load(&direct_writes) == 0);
    OK(all_there(&t, n));
    OK(again(&t));
    OK(all_there(&t, n));
    OK(testlog_end(&t));
}

/* The first part is put before the second is found wrong: nobody may ever read it. */
TEST(what_was_refused_is_not_read)
{
    struct testlog t = {0};
    struct batch_writer w = {0};
    struct log_part_write p[2] = {{.topic = STR("a")}, {.topic = STR("a"), .partition = PARTS}};

    OK(start(&t));
    OK(testlog_append(&t, "a", 0, 0, 1, 100000) == 0);
    for (int i = 0; i < 20; i++) {
        p[0].batches = p[1].batches = testlog_batch(&w, 666, 1, (size_t)i * 20000 + 50000);
        OK(!log_append(t.l, p, 2, &t.e) && t.e.kind == ERR_NOT_FOUND);
        OK(testlog_append(&t, "a", 0, 2 * i + 1, 1, 10) ==
           2 * i + 1); // the usual way, where the refused one was
        OK(testlog_append(&t, "a", 0, 2 * i + 2, 1, 60000) == 2 * i + 2);
        OK(testlog_read(&t, "a", 0, 0, 0, 100000) == 2 * i + 3);
    }
    OK(again(&t));
    OK(testlog_read(&t, "a", 0, 0, 0, 100000) == 41);
    batch_fini(&w);
    OK(testlog_end(&t));
}

static void *room(void *arg, size_t n)
{
    struct buf *b = arg;

    buf_reset(b);
    return buf_room(b, n);
}

/* Who follows a fast producer is given memory, though the page cache has nothing. */
TEST(the_newest_bytes_are_read_without_a_disk)
{
    struct testlog t = {0};
    struct buf b = buf_make(MIB), same = buf_make(MIB);
    struct log_read r = {.topic = STR("a"), .max_bytes = MIB, .now = true, .room = room, .arg = &b};
    struct log_got got;

    OK(start(&t));
    disk.pread_now = os_pread_uncached;
    OK(testlog_append(&t, "a", 0, 0, 10, 20000) == 0);
    OK(atomic_load(&direct_writes) > 0);
    OK(log_read(t.l, &r, &got, &t.e) == LOG_READ_DONE && got.n > 200000 && got.next == 10 &&
       got.piece.n == 0);
    OK(log_fetch(t.l, STR("a"), 0, 0, MIB, &same, &t.e) && same.n == got.n &&
       memcmp(same.p, got.p, got.n) == 0);
    OK(again(&t));
    OK(log_read(t.l, &r, &got, &t.e) == LOG_READ_LATER);
    OK(testlog_end(&t));
    buf_fini(&b);
    buf_fini(&same);
}

TEST(memory_is_given_back)
{
    struct testlog t = {0};

    OK(start(&t));
    for (int i = 0; i < 10; i++)
        OK(testlog_append(&t, "a", i % PARTS, i / PARTS, 1, 900000) == i / PARTS);
    OK(t.l->direct.count > 1 && t.l->direct.count <= 2); // 8 MiB: half of it, in pieces of 2
    OK(log_maintain(t.l, &t.e));
    OK(t.l->direct.count > 0);
    ahead_ns = 60 * INT64_C(1000000000);
    OK(log_maintain(t.l, &t.e));
    OK(t.l->direct.count == 0);
    OK(testlog_append(&t, "a", 0, 4, 1, 900000) == 4);
    OK(testlog_read(&t, "a", 0, 0, 0, 100000) == 5);
    OK(testlog_end(&t));
}

TEST_MAIN
