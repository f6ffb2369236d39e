#include "group/offsets.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/test.h"
#include "group/group_int.h"
#include "log/batch.h"
#include "log/log.h"
#include "os/os.h"
#include "os/tempdir.h"

static bool bytes_are(const struct buf *b, const char *hex)
{
    struct buf h = buf_make(1024);
    bool same;

    buf_hex(&h, b->p, b->n);
    same = str_is(buf_view(&h), hex);
    if (!same)
        printf("# %.*s\n", STR_ARG(buf_view(&h)));
    buf_fini(&h);
    return same;
}

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
    OK(bytes_are(&b, "0001"
                     "000167"
                     "00066f7264657273"
                     "00000003"));
    memset(&k, 0, sizeof k);
    OK(offset_key_read(buf_view(&b), &k, &e));
    OK(k.kind == OFFSET_KEY_POSITION && str_is(k.group, "g") && str_is(k.topic, "orders") &&
       k.partition == 3);
    buf_reset(&b);
    offset_value_write(&b, &at);
    OK(bytes_are(&b, "0003"
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
    OK(bytes_are(&b, "0002"
                     "000167"));
    buf_reset(&b);
    group_value_write(&b, &m);
    OK(bytes_are(&b, "0003"
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

    OK(offset_key_read(STR("\0\3\0\1g"), &k, &e) && k.kind == OFFSET_KEY_OTHER);
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

TEST_MAIN
