#include "group/consumer.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/test.h"
#include "base/testhex.h"
#include "group/group_int.h"
#include "os/os.h"
#include "os/tempdir.h"
#include "os/thread.h"

static struct arena mem;

static const struct topic_partition parts[] = {
    {{{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}}, 0},
    {{{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}}, 2},
    {{{2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2}}, 1},
};

/* ---- bytes as Kafka's own classes write them ---- */

TEST(current_assignment_bytes)
{
    struct consumer_record r = {.kind = CONSUMER_CURRENT,
                                .member = STR("m"),
                                .epoch = 5,
                                .previous_epoch = 4,
                                .state = 1,
                                .owned = parts,
                                .owned_count = 2,
                                .revoked = parts + 2,
                                .revoked_count = 1};
    struct consumer_record back;
    struct buf b = buf_make(1024);
    struct str group;

    consumer_key_write(&b, STR("g"), &r);
    OK(testhex_is(&b, "0008"
                      "000167"
                      "00016d"));
    OK(consumer_key_read(buf_view(&b), &back, &group) && str_is(group, "g"));
    OK(back.kind == CONSUMER_CURRENT && str_is(back.member, "m"));
    buf_reset(&b);
    consumer_value_write(&b, &r);
    OK(testhex_is(&b, "0000"
                      "00000005"
                      "00000004"
                      "01"
                      "02"
                      "01010101010101010101010101010101"
                      "03"
                      "00000000"
                      "00000002"
                      "00"
                      "02"
                      "02020202020202020202020202020202"
                      "02"
                      "00000001"
                      "00"
                      "00"));
    OK(consumer_value_read(buf_view(&b), &mem, &back));
    OK(back.epoch == 5 && back.previous_epoch == 4 && back.state == 1 && back.owned_count == 2);
    OK(back.revoked_count == 1 && back.revoked[0].partition == 1 && back.revoked[0].topic.b[0] == 2);
    OK(back.owned[1].partition == 2 && back.owned[1].topic.b[9] == 1);
    buf_fini(&b);
    arena_fini(&mem);
}

TEST(member_bytes)
{
    struct str names[] = {STR("a"), STR("b")};
    struct consumer_record r = {.kind = CONSUMER_MEMBER,
                                .member = STR("m"),
                                .instance_id = STR("i"),
                                .client_id = STR("c"),
                                .client_host = STR("/h"),
                                .names = names,
                                .name_count = 2,
                                .rebalance_timeout_ms = 300000,
                                .assignor = STR("range")};
    struct consumer_record back = {.kind = CONSUMER_MEMBER};
    struct buf b = buf_make(1024);

    consumer_value_write(&b, &r);
    OK(testhex_is(&b, "0000"
                      "0269"
                      "00"
                      "0263"
                      "032f68"
                      "03"
                      "0261"
                      "0262"
                      "00"
                      "000493e0"
                      "0672616e6765"
                      "00"));
    OK(consumer_value_read(buf_view(&b), &mem, &back));
    OK(str_is(back.instance_id, "i") && !back.rack_id.p && back.name_count == 2 &&
       str_is(back.names[1], "b"));
    OK(!back.pattern.p && back.rebalance_timeout_ms == 300000 && str_is(back.assignor, "range"));
    buf_fini(&b);
    arena_fini(&mem);
}

TEST(group_and_topics_bytes)
{
    struct consumer_topic t = {.id = parts[0].topic, .name = STR("t"), .partitions = 3};
    struct consumer_record g = {.kind = CONSUMER_GROUP, .epoch = 7};
    struct consumer_record r = {.kind = CONSUMER_TOPICS, .topics = &t, .topic_count = 1}, back = r;
    struct buf b = buf_make(1024);
    static const char racks[] = "\0\0\2"
                                "\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"
                                "\2t"
                                "\0\0\0\3"
                                "\2\0\0\0\0\2\2r\0"
                                "\0"
                                "\1\0\2xx";

    consumer_key_write(&b, STR("g"), &g);
    consumer_value_write(&b, &g);
    OK(testhex_is(&b, "0003"
                      "000167"
                      "0000"
                      "00000007"
                      "00"));
    buf_reset(&b);
    consumer_value_write(&b, &r);
    OK(testhex_is(&b, "0000"
                      "02"
                      "01010101010101010101010101010101"
                      "0274"
                      "00000003"
                      "01"
                      "00"
                      "00"));
    OK(consumer_value_read(buf_view(&b), &mem, &back) && back.topic_count == 1 &&
       back.topics[0].partitions == 3);
    OK(consumer_value_read(str_from(racks, sizeof racks - 1), &mem, &back) &&
       str_is(back.topics[0].name, "t")); // as Kafka 4.0 writes them
    for (size_t n = 0; n < b.n - 1; n++)
        OK(!consumer_value_read(str_from(b.p, n), &mem, &back));
    OK(!consumer_value_read(STR("\0\1"), &mem, &back)); // newer
    buf_fini(&b);
    arena_fini(&mem);
}

/* ---- stored ---- */

static char dir[TEMPDIR_MAX];
static struct log *wal;
static struct offsets *offsets;

static void begin(void)
{
    struct err e;

    OK(log_open(&(struct log_options){.os = os_real(), .dir = dir}, &wal, &e));
    OK(offsets_open(&(struct offsets_options){.os = os_real(), .log = wal}, &offsets, &e));
}

static void end(void)
{
    offsets_close(offsets);
    log_close(wal);
}

static struct mutex lock;
static struct cond cond;
static bool over;

static void on_done(void *arg, bool ok, const struct err *e)
{
    (void)e;
    mutex_lock(&lock);
    over = true;
    *(bool *)arg = ok;
    cond_signal(&cond);
    mutex_unlock(&lock);
}

static bool wait_done(const bool *ok)
{
    mutex_lock(&lock);
    while (!over)
        cond_wait(&cond, &lock);
    over = false;
    mutex_unlock(&lock);
    return *ok;
}

static bool put(const struct consumer_record *r, size_t n, bool whole)
{
    bool ok = false;

    offsets_put_consumers_async(offsets, STR("g"), &(struct consumer_change){r, n, whole}, on_done, &ok);
    return wait_done(&ok);
}

static size_t count(void)
{
    struct consumer_record *r;
    size_t n;
    bool any = offsets_get_consumers(offsets, STR("g"), &mem, &r, &n);

    OK(any == (n > 0));
    return n;
}

static int32_t epoch(void)
{
    struct consumer_record *r;
    size_t n;

    (void)offsets_get_consumers(offsets, STR("g"), &mem, &r, &n);
    for (size_t i = 0; i < n; i++)
        if (r[i].kind == CONSUMER_GROUP)
            return r[i].epoch;
    return -1;
}

TEST(records_are_kept_and_are_of_one_kind)
{
    struct consumer_record r[] = {
        {.kind = CONSUMER_GROUP, .epoch = 3},
        {.kind = CONSUMER_MEMBER, .member = STR("m"), .client_id = STR(""), .client_host = STR("")},
        {.kind = CONSUMER_CURRENT, .member = STR("m"), .epoch = 3, .owned = parts, .owned_count = 3}};
    struct group_meta meta = {.protocol_type = STR("consumer"), .generation = 1}, got;
    struct err e;
    bool ok = false;

    OK(tempdir_make(dir));
    mutex_init(&lock);
    cond_init(&cond);
    begin();
    OK(put(r, 3, false) && count() == 3 && epoch() == 3);
    end();
    begin();
    OK(count() == 3 && epoch() == 3);
    r[0].epoch = 4;
    r[1].gone = true;
    OK(put(r, 2, false) && count() == 2 && epoch() == 4);
    OK(put(r, 1, true) && count() == 1); // the rest is forgotten
    offsets_put_meta_async(offsets, STR("g"), &meta, on_done, &ok);
    OK(wait_done(&ok) && count() == 0 && offsets_get_meta(offsets, STR("g"), &mem, &got));
    OK(put(r, 1, false) && count() == 1 && !offsets_get_meta(offsets, STR("g"), &mem, &got));
    OK(offsets_delete_group(offsets, STR("g"), &e) && count() == 0);
    end();
    begin();
    OK(count() == 0 && !offsets_get_meta(offsets, STR("g"), &mem, &got));
    end();
    cond_fini(&cond);
    mutex_fini(&lock);
    arena_fini(&mem);
    OK(os_remove_tree(os_real(), dir, &e));
}

TEST_MAIN
