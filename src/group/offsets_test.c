#include "group/offsets.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/test.h"
#include "base/testhex.h"
#include "group/group_int.h"
#include "log/batch.h"
#include "log/testset.h"
#include "os/fault.h"
#include "os/os.h"
#include "os/tempdir.h"
#include "os/thread.h"

#include <limits.h>

/* ---- formats: bytes as Kafka's own classes write them ---- */

TEST(position_bytes)
{
    struct offset_key k = {
        .kind = OFFSET_KEY_POSITION, .group = STR("g"), .topic = STR("orders"), .partition = 3};
    struct offset_at at = {
        .offset = 42, .leader_epoch = -1, .metadata = STR("x"), .commit_ms = 0x18bcfe56800};
    struct offset_at back = {0};
    struct buf b = buf_make(1024);
    struct err e;

    offset_key_write(&b, &k);
    OK(testhex_is(&b, "0001"
                      "000167"
                      "00066f7264657273"
                      "00000003"));
    memset(&k, 0, sizeof k);
    OK(offset_key_read(buf_view(&b), &k, &e));
    OK(k.kind == OFFSET_KEY_POSITION && str_is(k.group, "g") && str_is(k.topic, "orders") &&
       k.partition == 3);
    buf_reset(&b);
    offset_value_write(&b, &at);
    OK(testhex_is(&b, "0003"
                      "000000000000002a"
                      "ffffffff"
                      "000178"
                      "0000018bcfe56800"));
    OK(offset_value_read(buf_view(&b), &back, &e));
    OK(back.offset == 42 && back.leader_epoch == -1 && str_is(back.metadata, "x"));
    OK(back.commit_ms == at.commit_ms);
    buf_fini(&b);
}

TEST(position_values_of_all_versions)
{
    static const char v0[] = "\0\0"
                             "\0\0\0\0\0\0\0\7"
                             "\0\1m"
                             "\0\0\0\0\0\0\0\11";
    static const char v1[] = "\0\1"
                             "\0\0\0\0\0\0\0\7"
                             "\0\1m"
                             "\0\0\0\0\0\0\0\11"
                             "\0\0\0\0\0\0\0\12";
    static const char v4[] = "\0\4"
                             "\0\0\0\0\0\0\0\7"
                             "\0\0\0\5"
                             "\2m"
                             "\0\0\0\0\0\0\0\11"
                             "\0";
    static const char v9[] = "\0\11"
                             "\0\0\0\0\0\0\0\7";
    struct offset_at at;
    struct err e;

    OK(offset_value_read(str_from(v0, sizeof v0 - 1), &at, &e) && at.offset == 7 && at.leader_epoch == -1);
    OK(offset_value_read(str_from(v1, sizeof v1 - 1), &at, &e) && at.commit_ms == 9);
    OK(offset_value_read(str_from(v4, sizeof v4 - 1), &at, &e) && at.leader_epoch == 5 &&
       str_is(at.metadata, "m"));
    OK(!offset_value_read(str_from(v9, sizeof v9 - 1), &at, &e) && e.kind == ERR_CORRUPT);
    OK(!offset_value_read(str_from(v0, 9), &at, &e));
}

TEST(group_bytes)
{
    struct group_meta_member member = {.id = STR("m-1"),
                                       .client_id = STR("c"),
                                       .client_host = STR("/h"),
                                       .rebalance_timeout_ms = 1,
                                       .session_timeout_ms = 2,
                                       .subscription = STR("S"),
                                       .assignment = STR("A")};
    struct group_meta m = {.protocol_type = STR("consumer"),
                           .generation = 5,
                           .protocol = STR("range"),
                           .leader = STR("m-1"),
                           .state_ms = 9,
                           .members = &member,
                           .member_count = 1};
    struct group_meta back;
    struct arena a = {0};
    struct buf b = buf_make(1024);
    struct offset_key k = {.kind = OFFSET_KEY_GROUP, .group = STR("g")};
    struct err e;

    offset_key_write(&b, &k);
    OK(testhex_is(&b, "0002"
                      "000167"));
    buf_reset(&b);
    group_value_write(&b, &m);
    OK(testhex_is(&b, "0003"
                      "0008636f6e73756d6572"
                      "00000005"
                      "000572616e6765"
                      "00036d2d31"
                      "0000000000000009"
                      "00000001"
                      "00036d2d31"
                      "ffff"
                      "000163"
                      "00022f68"
                      "00000001"
                      "00000002"
                      "0000000153"
                      "0000000141"));
    OK(group_value_read(buf_view(&b), &a, &back, &e));
    OK(back.generation == 5 && back.member_count == 1 && str_is(back.members[0].subscription, "S"));
    OK(!back.members[0].instance_id.p && back.members[0].session_timeout_ms == 2);
    for (size_t n = 0; n < b.n; n++)
        OK(!group_value_read(str_from(b.p, n), &a, &back, &e));
    arena_fini(&a);
    buf_fini(&b);
}

TEST(other_keys_are_passed_over)
{
    struct offset_key k;
    struct err e;

    OK(offset_key_read(STR("\0\3\0\1g"), &k, &e) && k.kind == OFFSET_KEY_CONSUMER);
    OK(offset_key_read(STR("\0\11\0\1g"), &k, &e) && k.kind == OFFSET_KEY_OTHER);
    OK(!offset_key_read(STR("\0"), &k, &e));
    OK(!offset_key_read(STR_NULL, &k, &e));
}

/* Values of Math.abs("...".hashCode()) % 50, computed from the definition in java.lang.String. */
TEST(partitions_are_those_of_kafka)
{
    OK(group_partition(STR(""), 50) == 0);
    OK(group_partition(STR("a"), 50) == 47);
    OK(group_partition(STR("hello"), 50) == 99162322 % 50);
    OK(group_partition(STR("polygenelubricants"), 50) == 0); // hashCode is Integer.MIN_VALUE
    OK(group_partition(STR("\xc3\xa9"), 50) == 0xe9 % 50);
    OK(group_partition(STR("\xf0\x9f\x98\x80"), 50) == (31 * 0xd83d + 0xde00) % 50);
}

/* ---- state: what was committed is there, also after a restart ---- */

static char dir[TEMPDIR_MAX];
static struct log *wal;
static struct offsets *offs;

static void open_both(void)
{
    struct err e;

    OK(log_open(&(struct log_options){.os = os_real(), .dir = dir}, &wal, &e));
    OK(offsets_open(&(struct offsets_options){.os = os_real(), .log = wal, .partitions = 3}, &offs, &e));
}

static void close_both(void)
{
    offsets_close(offs);
    log_close(wal);
}

static void begin(void)
{
    OK(tempdir_make(dir));
    open_both();
}

static void end(void)
{
    struct err e;

    close_both();
    OK(os_remove_tree(os_real(), dir, &e));
}

static void commit(const char *group, const char *topic, int32_t partition, int64_t offset)
{
    struct offset_at at = {.topic = str_of(topic),
                           .partition = partition,
                           .offset = offset,
                           .leader_epoch = -1,
                           .metadata = STR("m")};
    struct err e;

    OK(offsets_commit(offs, str_of(group), &at, 1, &e));
}

static int64_t position(const char *group, const char *topic, int32_t partition)
{
    struct offset_at at = {.offset = -1};
    struct arena a = {0};

    (void)offsets_get(offs, str_of(group), str_of(topic), partition, &a, &at);
    arena_fini(&a);
    return at.offset;
}

TEST(commits_are_kept)
{
    struct offset_at *at;
    struct arena a = {0};
    struct str *names;
    size_t n;

    begin();
    for (int64_t i = 0; i < 100; i++)
        commit("g", "t", (int32_t)(i % 3), i);
    commit("g", "a", 0, 7);
    commit("other", "t", 0, 1);
    for (int again = 0; again < 2; again++) {
        OK(position("g", "t", 0) == 99 && position("g", "t", 1) == 97 && position("g", "t", 2) == 98);
        OK(position("g", "t", 3) == -1 && position("who", "t", 0) == -1);
        offsets_list(offs, STR("g"), &a, &at, &n);
        OK(n == 4 && str_is(at[0].topic, "a") && at[3].partition == 2 && at[3].offset == 98);
        OK(str_is(at[0].metadata, "m") && at[0].commit_ms > 1700000000000);
        offsets_groups(offs, &a, &names, &n);
        OK(n == 2 && str_is(names[0], "g") && str_is(names[1], "other"));
        close_both();
        open_both();
    }
    arena_fini(&a);
    end();
}

TEST(what_is_deleted_is_forgotten)
{
    struct arena a = {0};
    struct str *names;
    struct err e;
    size_t n;

    begin();
    commit("g", "t", 0, 1);
    commit("g", "u", 0, 2);
    commit("h", "t", 0, 3);
    OK(offsets_delete_topic(offs, STR("t"), &e));
    OK(offsets_delete_topic(offs, STR("never"), &e));
    OK(position("g", "t", 0) == -1 && position("g", "u", 0) == 2 && position("h", "t", 0) == -1);
    OK(offsets_delete_group(offs, STR("g"), &e));
    OK(offsets_delete_group(offs, STR("never"), &e));
    for (int again = 0; again < 2; again++) {
        offsets_groups(offs, &a, &names, &n);
        OK(n == 0);
        close_both();
        open_both();
    }
    arena_fini(&a);
    end();
}

static enum offsets_reader reader_says;

static enum offsets_reader reader(void *arg, struct str group, struct str topic)
{
    (void)arg;
    (void)group;
    return str_is(topic, "read") ? OFFSETS_READ : reader_says;
}

struct waiter {
    struct mutex lock;
    struct cond cond;
    bool done, ok;
};

static void wake(void *arg, bool ok, const struct err *e)
{
    struct waiter *w = arg;

    (void)e;
    mutex_lock(&w->lock);
    w->done = true;
    w->ok = ok;
    cond_signal(&w->cond);
    mutex_unlock(&w->lock);
}

static void await(struct waiter *w)
{
    mutex_lock(&w->lock);
    while (!w->done)
        cond_wait(&w->cond, &w->lock);
    mutex_unlock(&w->lock);
    cond_fini(&w->cond);
    mutex_fini(&w->lock);
}

static bool put_meta(const char *group, const struct group_meta *m)
{
    struct waiter w = {0};

    mutex_init(&w.lock);
    cond_init(&w.cond);
    offsets_put_meta_async(offs, str_of(group), m, wake, &w);
    await(&w);
    return w.ok;
}

TEST(generations_are_kept)
{
    struct group_meta_member member = {
        .id = STR("m"), .client_id = STR("c"), .client_host = STR("/h"), .assignment = STR("A")};
    struct group_meta m = {
        .protocol_type = STR("consumer"), .generation = 5, .members = &member, .member_count = 1};
    struct group_meta back;
    struct arena a = {0};
    struct str *names;
    size_t n;

    begin();
    OK(!offsets_get_meta(offs, STR("g"), &a, &back));
    OK(put_meta("g", &m));
    for (int again = 0; again < 2; again++) {
        OK(offsets_get_meta(offs, STR("g"), &a, &back) && back.generation == 5 && back.member_count == 1);
        OK(str_is(back.members[0].assignment, "A") && !back.protocol.p);
        close_both();
        open_both();
    }
    OK(put_meta("g", NULL));
    offsets_groups(offs, &a, &names, &n);
    OK(n == 0 && !offsets_get_meta(offs, STR("g"), &a, &back));
    arena_fini(&a);
    end();
}

static void sweep(int64_t retention_ms)
{
    struct offsets_sweep s = {.retention_ms = retention_ms, .reader = reader};
    struct waiter w = {0};

    mutex_init(&w.lock);
    cond_init(&w.cond);
    offsets_sweep_async(offs, &s, wake, &w);
    await(&w);
    OK(w.ok);
}

enum { HOUR_MS = 3600000 };

TEST(old_positions_are_swept_out)
{
    struct offset_at old = {.topic = STR("t"), .offset = 1, .leader_epoch = -1, .metadata = STR("")};
    struct group_meta m = {.protocol_type = STR("consumer"), .generation = 2};
    int64_t now = os_real()->wall_us(os_real()) / 1000;
    struct arena a = {0};
    struct str *names;
    struct err e;
    size_t n;

    begin();
    old.commit_ms = now - 3 * HOUR_MS;
    OK(offsets_commit(offs, STR("simple"), &old, 1, &e));
    OK(offsets_commit(offs, STR("left"), &old, 1, &e));
    m.state_ms = now - HOUR_MS; // when its last member left
    OK(put_meta("left", &m) && put_meta("nothing", &m));
    old.expire_ms = now - 1;
    old.topic = STR("u");
    OK(offsets_commit(offs, STR("left"), &old, 1, &e));
    old.expire_ms = 0;
    old.topic = STR("read");
    OK(offsets_commit(offs, STR("member"), &old, 1, &e));
    old.topic = STR("unread");
    OK(offsets_commit(offs, STR("member"), &old, 1, &e));

    reader_says = OFFSETS_UNREAD;
    sweep(4 * HOUR_MS);
    offsets_groups(offs, &a, &names, &n);
    OK(n == 4 && position("left", "u", 0) == -1 && position("simple", "t", 0) == 1);
    sweep(2 * HOUR_MS);
    OK(position("member", "read", 0) == 1 && position("member", "unread", 0) == -1);

    reader_says = OFFSETS_NO_READER;
    OK(offsets_commit(offs, STR("left"), &(struct offset_at){.topic = STR("t"), .offset = 1, .commit_ms = 1},
                      1, &e));
    sweep(2 * HOUR_MS);
    OK(position("left", "t", 0) == 1); // it was empty for one hour only
    sweep(HOUR_MS / 2);
    for (int again = 0; again < 2; again++) {
        offsets_groups(offs, &a, &names, &n);
        OK(n == 1 && str_is(names[0], "member"));
        close_both();
        open_both();
    }
    arena_fini(&a);
    end();
}

TEST(some_positions_are_forgotten)
{
    struct offset_at at[2] = {{.topic = STR("t"), .partition = 0}, {.topic = STR("t"), .partition = 7}};
    struct waiter w = {0};

    begin();
    commit("g", "t", 0, 1);
    commit("g", "t", 1, 2);
    mutex_init(&w.lock);
    cond_init(&w.cond);
    offsets_forget_async(offs, STR("g"), at, 2, wake, &w);
    await(&w);
    OK(w.ok && position("g", "t", 0) == -1 && position("g", "t", 1) == 2);
    end();
}

/* ---- transactions ---- */

struct txn_world {
    char dir[TEMPDIR_MAX];
    struct log *log;
    struct offsets *o;
    struct arena a;
    struct err e;
};

static void txn_open(struct txn_world *x)
{
    OK(log_open(&(struct log_options){.os = os_real(), .dir = x->dir}, &x->log, &x->e));
    OK(offsets_open(&(struct offsets_options){.os = os_real(), .log = x->log, .partitions = 1}, &x->o,
                    &x->e));
}

static void txn_close(struct txn_world *x)
{
    offsets_close(x->o);
    log_close(x->log);
}

static void done_flag(void *arg, bool ok, const struct err *e)
{
    (void)e;
    __atomic_store_n((int *)arg, ok ? 1 : 2, __ATOMIC_RELEASE);
}

static void txn_commit(struct txn_world *x, int64_t producer, int64_t offset)
{
    struct offset_at at = {.topic = STR("t"), .offset = offset, .leader_epoch = -1};
    struct offsets_producer p = {.id = producer};
    int done = 0;

    offsets_commit_txn_async(x->o, STR("g"), &p, &at, 1, done_flag, &done);
    while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) // the test's own time limit ends this
        ;
    OK(done == 1);
}

static void txn_end(struct txn_world *x, int64_t producer, bool commit)
{
    struct log_part_write part = {.topic = STR(OFFSETS_TOPIC)};
    struct batch_writer w = {0};

    part.batches = batch_mark_write(&w, producer, 0, &(struct batch_mark){.commit = commit}, 1);
    OK(log_append(x->log, &part, 1, &x->e));
    offsets_end_txn(x->o, 0, producer, commit);
    batch_fini(&w);
}

static int64_t txn_position(struct txn_world *x)
{
    struct offset_at at;

    return offsets_get(x->o, STR("g"), STR("t"), 0, &x->a, &at) ? at.offset : -1;
}

/* Control batches in the topic. */
static int txn_markers(struct txn_world *x)
{
    struct buf b = buf_make(1 << 24);
    struct log_range r;
    struct str rest, one;
    struct batch_header h;
    int n = 0;

    OK(log_range(x->log, STR(OFFSETS_TOPIC), 0, &r));
    OK(log_fetch(x->log, STR(OFFSETS_TOPIC), 0, r.start, 1 << 23, &b, &x->e));
    for (rest = buf_view(&b); batch_cut(&rest, &one, &h);)
        n += (h.attributes & BATCH_CONTROL) != 0;
    buf_fini(&b);
    return n;
}

static bool txn_pending(struct txn_world *x)
{
    return offsets_is_pending(x->o, STR("g"), STR("t"), 0);
}

TEST(a_position_counts_when_its_transaction_is_committed)
{
    struct txn_world x = {0};
    struct offset_at plain = {.topic = STR("t"), .offset = 9, .leader_epoch = -1};

    OK(tempdir_make(x.dir));
    txn_open(&x);
    txn_commit(&x, 7, 5);
    for (int i = 0; i < 2; i++) {
        OK(txn_position(&x) == -1 && txn_pending(&x));
        txn_close(&x);
        txn_open(&x);
    }
    txn_end(&x, 7, false);
    txn_commit(&x, 7, 6);
    txn_commit(&x, 8, 7);
    txn_end(&x, 7, true);
    OK(txn_position(&x) == 6 && txn_pending(&x));
    OK(offsets_commit(x.o, STR("g"), &plain, 1, &x.e));
    txn_end(&x, 8, true); // older than the plain one
    OK(txn_position(&x) == 9 && !txn_pending(&x));
    txn_commit(&x, 8, 10);
    OK(offsets_delete_group(x.o, STR("g"), &x.e) && !txn_pending(&x)); // and what was to come
    txn_end(&x, 8, true);
    for (int i = 0; i < 2; i++) {
        OK(txn_position(&x) == -1);
        txn_close(&x);
        txn_open(&x);
    }
    arena_fini(&x.a);
    txn_close(&x);
    OK(os_remove_tree(os_real(), x.dir, &x.e));
}

/* The markers of committed transactions go with time; what they committed stays. */
TEST(a_position_outlives_its_marker)
{
    struct txn_world x = {0};
    struct offset_at other = {.topic = STR("other"), .offset = 1, .leader_epoch = -1};

    OK(tempdir_make(x.dir));
    txn_open(&x);
    OK(testset_topic(x.log, OFFSETS_TOPIC, "segment.bytes", "600"));
    OK(testset_topic(x.log, OFFSETS_TOPIC, "delete.retention.ms", "0"));
    txn_commit(&x, 7, 5);
    txn_end(&x, 7, true);
    for (int i = 0; i < 40; i++) {
        OK(offsets_commit(x.o, STR("filler"), &other, 1, &x.e));
        if (i % 8 == 7)
            OK(log_maintain(x.log, &x.e));
    }
    OK(txn_markers(&x) == 0);
    for (int i = 0; i < 2; i++) {
        OK(txn_position(&x) == 5 && !txn_pending(&x));
        txn_close(&x);
        txn_open(&x);
    }
    arena_fini(&x.a);
    txn_close(&x);
    OK(os_remove_tree(os_real(), x.dir, &x.e));
}

TEST(a_commit_over_the_limit_is_refused)
{
    struct offset_at at = {.topic = STR("t"), .leader_epoch = -1};
    char *big = mem_zero(30000);
    struct offset_at *many = MEM_ARRAY(struct offset_at, 1000);
    struct err e;

    begin();
    at.metadata = str_from(big, 30000);
    for (int i = 0; i < 1000; i++) {
        many[i] = at;
        many[i].partition = i;
    }
    OK(!offsets_commit(offs, STR("g"), many, 1000, &e) && e.kind == ERR_LIMIT);
    OK(position("g", "t", 0) == -1);
    mem_free(many);
    mem_free(big);
    end();
}

/* The n-th call to the disk of five commits fails, for every n: what was acknowledged is there afterwards. */
TEST(acknowledged_commits_survive_every_fault)
{
    unsigned faults = 0;

    for (unsigned nth = 0;; nth++) {
        struct os_fault f;
        int64_t acked = -1;
        struct err e;
        bool hit;

        OK(tempdir_make(dir));
        os_fault_init(&f, os_real(), OS_FAULT_EIO, UINT_MAX, false);
        OK(log_open(&(struct log_options){.os = &f.os, .dir = dir}, &wal, &e));
        OK(offsets_open(&(struct offsets_options){.os = &f.os, .log = wal, .partitions = 1}, &offs, &e));
        f.countdown = nth;
        for (int64_t i = 0; i < 5; i++) {
            struct offset_at at = {.topic = STR("t"), .offset = i, .leader_epoch = -1, .metadata = STR("")};

            if (offsets_commit(offs, STR("g"), &at, 1, &e))
                acked = i;
        }
        hit = f.hits > 0;
        faults += f.hits;
        f.countdown = UINT_MAX;
        OK(position("g", "t", 0) >= acked);
        close_both();
        open_both();
        OK(position("g", "t", 0) >= acked);
        end();
        if (!hit)
            break;
    }
    OK(faults >= 10);
}

TEST_MAIN
