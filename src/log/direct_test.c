#include "log/log_int.h"
#include "log/testlog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>

enum { PARTS = 3, APPENDS = 120, BLOCK = 4096, BEFORE = 77, BEHIND = 5 };

/* As a disk wants it: what is written past the page cache begins and ends with blocks. */
static struct os disk;
static int64_t ahead_ns;
static atomic_bool direct_fds[1024], journal_fds[1024];
static atomic_int direct_writes, journal_writes;
static atomic_int written_from_buffers;
static atomic_int writes_now[1024];
static atomic_bool overlapped; // two writes of one file at a time: they may share a block
static atomic_bool refuses;

static int disk_open(struct os *os, const char *path, int flags)
{
    int fd = os_unsynced()->open(os, path, flags & ~O_DIRECT); // not every file system in memory takes it

    if (fd >= 0) {
        atomic_store(&direct_fds[fd], (flags & O_DIRECT) != 0);
        atomic_store(&journal_fds[fd], strstr(path, "/journal-") != NULL);
    }
    return fd;
}

static ssize_t disk_pwritev(struct os *os, int fd, const struct iovec *v, int count, int64_t at)
{
    bool whole = at % 4096 == 0;
    ssize_t n;

    if (!atomic_load(&direct_fds[fd]))
        return os_real()->pwritev(os, fd, v, count, at);
    for (int i = 0; i < count; i++)
        whole = whole && v[i].iov_len % 4096 == 0 && (uintptr_t)v[i].iov_base % 4096 == 0;
    if (!whole || atomic_load(&refuses)) {
        errno = EINVAL;
        return -1;
    }
    if (atomic_load(&journal_fds[fd])) {
        atomic_fetch_add(&journal_writes, 1);
        return os_real()->pwritev(os, fd, v, count, at);
    }
    atomic_fetch_add(&direct_writes, 1);
    atomic_fetch_add(&written_from_buffers, count > 1); // a piece that was copied is one
    if (atomic_fetch_add(&writes_now[fd], 1) > 0)
        atomic_store(&overlapped, true);
    n = os_real()->pwritev(os, fd, v, count, at);
    atomic_fetch_sub(&writes_now[fd], 1);
    return n;
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
    atomic_store(&journal_writes, 0);
    atomic_store(&written_from_buffers, 0);
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
    OK(atomic_load(&direct_writes) > 50 && !atomic_load(&overlapped));
    OK(atomic_load(&journal_writes) >= APPENDS); // all of it, for its groups are small
    OK(all_there(&t, n));                        // the newest from memory
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
    OK(atomic_load(&direct_writes) == 0 && atomic_load(&journal_writes) == 0);
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
    ahead_ns += 60 * INT64_C(1000000000);
    OK(log_maintain(t.l, &t.e));
    OK(t.l->direct.count == 0 && t.l->direct.slabs.count == 0);
    OK(testlog_append(&t, "a", 0, 4, 1, 900000) == 4);
    OK(testlog_read(&t, "a", 0, 0, 0, 100000) == 5);
    OK(testlog_end(&t));
}

/* ---- buffers ---- */

/* A batch of one record in a message that came into a buffer, and what is to be appended of it. */
struct message {
    struct log_buffer *b; // that it came into, or NULL
    struct log_part_write part;
    struct batch_writer w;
};

static struct log_coming coming(int32_t partition, size_t bytes)
{
    return (struct log_coming){.topic = STR("a"),
                               .partition = partition,
                               .n = BEFORE + bytes + BEHIND,
                               .at = BEFORE,
                               .bytes = bytes};
}

static void receive(struct testlog *t, struct message *m, int32_t partition, int64_t number, size_t pad)
{
    struct str batch = testlog_batch(&m->w, number, 1, pad);
    struct log_coming c = coming(partition, batch.n);

    m->b = log_buffer_new(t->l, &c);
    m->part =
        (struct log_part_write){.topic = c.topic, .partition = partition, .batches = batch, .buffer = m->b};
    if (!m->b)
        return;
    memset(log_buffer_bytes(m->b), 0xee, c.n);
    memcpy((char *)log_buffer_bytes(m->b) + BEFORE, batch.p, batch.n);
    m->part.batches.p = (char *)log_buffer_bytes(m->b) + BEFORE;
}

/* Appends it; the message is gone then. */
static bool append(struct testlog *t, struct message *m)
{
    bool ok = log_append(t->l, &m->part, 1, &t->e);

    log_buffer_free(m->b);
    batch_fini(&m->w);
    *m = (struct message){0};
    return ok;
}

TEST(a_batch_is_written_from_its_buffer)
{
    struct testlog t = {0};
    struct message m = {0};
    int64_t n[PARTS] = {0};

    OK(start(&t));
    for (int i = 0; i < 40; i++) {
        receive(&t, &m, i % PARTS, n[i % PARTS]++, 600000 + 777 * (size_t)i);
        OK(m.b && append(&t, &m));
        OK(atomic_load(&written_from_buffers) == i + 1);
    }
    OK(atomic_load(&direct_writes) == 40);
    OK(all_there(&t, n)); // the newest from the buffers
    OK(again(&t));
    OK(all_there(&t, n));
    OK(testlog_end(&t));
}

/* Where a batch begins and ends in its block decides what is copied of it: nothing may be lost at any border. */
TEST(batches_from_buffers_may_end_anywhere_in_a_block)
{
    static const int64_t ends[] = {0,    1,    61,   4035, 4036, 4095, 0,    4034, 2048,
                                   4095, 4094, 4037, 0,    60,   62,   4036, 4035, 0};
    struct testlog t = {0};
    struct message m = {0};
    int64_t n[PARTS] = {0}, end = 0;
    unsigned exact = 0;

    OK(start(&t));
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        size_t pad = 600000, bytes = testlog_batch(&m.w, n[0], 1, pad).n;

        pad += (size_t)(ends[i] - (end + (int64_t)bytes)) % BLOCK;
        batch_fini(&m.w);
        receive(&t, &m, 0, n[0]++, pad);
        end += (int64_t)m.part.batches.n;
        exact += end % BLOCK == ends[i];
        OK(m.b && append(&t, &m));
        OK(testlog_read(&t, "a", 0, 0, 0, 700000) == n[0]);
    }
    OK(exact == ARRAY_LEN(ends) && atomic_load(&written_from_buffers) == (int)ARRAY_LEN(ends));
    OK(testlog_append(&t, "a", 0, n[0]++, 1, 10) >= 0); // behind a block's end, the usual way
    OK(all_there(&t, n));
    OK(again(&t));
    OK(all_there(&t, n));
    OK(testlog_end(&t));
}

/* Others came first: what was announced does not lie well and is copied; what is announced from then on does again. */
TEST(a_wrong_guess_costs_a_copy_and_is_set_right)
{
    struct testlog t = {0};
    struct message early[3], late = {0};
    int64_t n[PARTS] = {0};

    OK(start(&t));
    memset(early, 0, sizeof early);
    for (int i = 0; i < 3; i++)
        receive(&t, &early[i], 0, i + 1, 650000);
    OK(testlog_append(&t, "a", 0, n[0]++, 1, 700001) == 0);
    for (int i = 0; i < 3; i++) {
        OK(append(&t, &early[i]));
        n[0]++;
        OK(atomic_load(&written_from_buffers) == 0);
    }
    for (int i = 0; i < 3; i++) {
        receive(&t, &late, 0, n[0]++, 650000);
        OK(append(&t, &late));
        OK(atomic_load(&written_from_buffers) == i + 1);
    }
    OK(atomic_load(&direct_writes) == 7); // copied or not
    OK(all_there(&t, n));
    OK(again(&t));
    OK(all_there(&t, n));
    OK(testlog_end(&t));
}

/* A client that is cut has announced what never comes. */
TEST(what_was_announced_may_never_come)
{
    struct testlog t = {0};
    struct message m = {0};
    struct log_coming c = coming(1, 600123);
    int64_t n[PARTS] = {0};

    OK(start(&t));
    for (int i = 0; i < 10; i++)
        log_buffer_free(log_buffer_new(t.l, &c));
    for (int i = 0; i < 3; i++) {
        receive(&t, &m, 1, n[1]++, 600000);
        OK(append(&t, &m));
        OK(atomic_load(&written_from_buffers) == i); // all but the first
    }
    OK(all_there(&t, n));
    OK(testlog_end(&t));
}

/* Refused, changed, another's: what is not the batch in the buffer is taken from where it is. */
TEST(a_buffer_promises_nothing)
{
    struct testlog t = {0};
    struct message m = {0};
    struct batch_writer w = {0};
    struct log_part_write two[2];
    int64_t n[PARTS] = {0};
    struct str anew;
    char *other = mem_alloc(MIB), *at;

    OK(start(&t));
    receive(&t, &m, 0, 7, 600000);
    two[0] = two[1] = m.part;
    two[1].partition = PARTS; // there is none
    OK(!log_append(t.l, two, 2, &t.e) && t.e.kind == ERR_NOT_FOUND);
    anew = testlog_batch(&w, n[0]++, 1, 640000);
    at = other + (BLOCK - (uintptr_t)other % BLOCK); // a block's beginning, as where it goes
    memcpy(at, anew.p, anew.n);
    m.part.batches = str_from(at, anew.n);
    OK(append(&t, &m));
    OK(atomic_load(&written_from_buffers) == 1); // the refused one
    memset(other, 0xee, MIB);
    OK(testlog_read(&t, "a", 0, 0, 0, 700000) == 1);
    receive(&t, &m, 2, n[2]++, 600000);
    m.part.partition = 1; // not the one that was told
    n[2]--;
    n[1]++;
    OK(append(&t, &m));
    OK(all_there(&t, n));
    OK(again(&t));
    OK(all_there(&t, n));
    batch_fini(&w);
    mem_free(other);
    OK(testlog_end(&t));
}

TEST(a_buffer_is_written_from_once)
{
    struct testlog t = {0};
    struct message m = {0};
    struct log_part_write two[2];
    int64_t n[PARTS] = {1, 1};

    OK(start(&t));
    receive(&t, &m, 0, 0, 600000);
    two[0] = two[1] = m.part;
    two[1].partition = 1; // where it would lie as well
    OK(log_append(t.l, two, 2, &t.e));
    OK(atomic_load(&direct_writes) == 2 && atomic_load(&written_from_buffers) == 1);
    log_buffer_free(m.b);
    batch_fini(&m.w);
    OK(all_there(&t, n));
    OK(again(&t));
    OK(all_there(&t, n));
    OK(testlog_end(&t));
}

TEST(buffers_have_a_limit)
{
    struct testlog t = {0};
    struct log_coming c = coming(0, 600000), wrong;
    struct log_buffer *b[100];
    size_t n = 0;

    OK(start(&t));
    for (; n < ARRAY_LEN(b) && (b[n] = log_buffer_new(t.l, &c)); n++)
        ;
    OK(n >= 6 && n < 40); // of 8 MiB of memory
    while (n > 0)
        log_buffer_free(b[--n]);
    b[0] = log_buffer_new(t.l, &c);
    OK(b[0] != NULL);
    log_buffer_free(b[0]);
    wrong = coming(0, 1000);
    OK(!log_buffer_new(t.l, &wrong));
    wrong = coming(0, 3 * MIB);
    OK(!log_buffer_new(t.l, &wrong));
    wrong.n = SIZE_MAX;
    OK(!log_buffer_new(t.l, &wrong));
    wrong = coming(PARTS, 600000);
    OK(!log_buffer_new(t.l, &wrong));
    wrong = coming(0, 600000);
    wrong.at = wrong.n + 1;
    OK(!log_buffer_new(t.l, &wrong));
    wrong.at = BEFORE + BEHIND + 1;
    OK(!log_buffer_new(t.l, &wrong));
    wrong.topic = STR("b");
    OK(!log_buffer_new(t.l, &wrong));
    ahead_ns += 60 * INT64_C(1000000000);
    OK(log_maintain(t.l, &t.e));
    OK(t.l->direct.slabs.count == 0);
    OK(testlog_end(&t));
}

struct sender {
    struct testlog *t;
    int32_t partition;
    struct thread thread;
    int64_t sent;
};

static void send_many(void *arg)
{
    struct sender *s = arg;
    struct testlog mine = {.l = s->t->l};
    struct message m = {0};

    for (; s->sent < 25; s->sent++) {
        receive(&mine, &m, s->partition, s->sent, 550000 + 9000 * (size_t)s->sent);
        if (!append(&mine, &m))
            return;
    }
}

TEST(many_may_receive_at_a_time)
{
    struct testlog t = {0};
    struct sender s[PARTS];
    int64_t n[PARTS];

    OK(start(&t));
    for (int i = 0; i < PARTS; i++) {
        s[i] = (struct sender){.t = &t, .partition = i};
        thread_start(&s[i].thread, "sender", send_many, &s[i]);
    }
    for (int i = 0; i < PARTS; i++) {
        thread_join(&s[i].thread);
        n[i] = s[i].sent;
        OK(n[i] == 25);
    }
    OK(all_there(&t, n));
    OK(again(&t));
    OK(all_there(&t, n));
    OK(testlog_end(&t));
}

TEST_MAIN
