#include "base/mem.h"
#include "base/test.h"
#include "group/protocol.h"

static struct err e;

static int32_t partitions(void *arg, struct str topic)
{
    (void)arg;
    return str_is(topic, "t0") ? 3 : str_is(topic, "t1") ? 3 : str_is(topic, "t2") ? 2 : 0;
}

static bool gets(const struct group_reader *r, const char *expected)
{
    struct buf b = buf_make(1000);
    bool same;

    for (size_t i = 0; i < r->part_count; i++)
        buf_fmt(&b, "%s%.*s-%d", i > 0 ? " " : "", STR_ARG(r->parts[i].topic), r->parts[i].partition);
    same = str_is(buf_view(&b), expected);
    if (!same)
        printf("# %.*s: %.*s\n", STR_ARG(r->id), STR_ARG(buf_view(&b)));
    buf_fini(&b);
    return same;
}

/* The examples of RangeAssignor's and RoundRobinAssignor's documentation. */
TEST(partitions_are_dealt_as_kafka_deals_them)
{
    struct str both[] = {STR("t0"), STR("t1")}, one[] = {STR("t0")},
               three[] = {STR("t0"), STR("t1"), STR("t2")};
    struct arena a = {0};
    struct group_reader two[] = {{.id = STR("C1"), .topics = both, .topic_count = 2},
                                 {.id = STR("C0"), .topics = both, .topic_count = 2}};
    struct group_reader mixed[] = {{.id = STR("C0"), .topics = one, .topic_count = 1},
                                   {.id = STR("C1"), .topics = both, .topic_count = 2},
                                   {.id = STR("C2"), .topics = three, .topic_count = 3}};

    OK(group_assign(STR("range"), two, 2, partitions, NULL, &a));
    OK(gets(&two[0], "t0-0 t0-1 t1-0 t1-1") && gets(&two[1], "t0-2 t1-2"));
    OK(group_assign(STR("roundrobin"), two, 2, partitions, NULL, &a));
    OK(gets(&two[0], "t0-0 t0-2 t1-1") && gets(&two[1], "t0-1 t1-0 t1-2"));
    OK(group_assign(STR("roundrobin"), mixed, 3, partitions, NULL, &a));
    OK(gets(&mixed[0], "t0-0") && gets(&mixed[1], "t0-1 t1-0 t1-2") &&
       gets(&mixed[2], "t0-2 t1-1 t2-0 t2-1"));
    OK(!group_assign(STR("sticky"), mixed, 3, partitions, NULL, &a));
    arena_fini(&a);
}

TEST(what_is_written_is_read)
{
    struct str topics[] = {STR("a"), STR("b")}, *back;
    struct group_part parts[] = {{STR("a"), 0}, {STR("a"), 7}, {STR("b"), 1}}, *again;
    struct arena a = {0};
    struct buf b = buf_make(1000);
    size_t n;

    group_subscription_write(&b, topics, 2);
    OK(group_subscription_read(buf_view(&b), &a, &back, &n, &e) && n == 2 && str_is(back[1], "b"));
    buf_reset(&b);
    group_assignment_write(&b, parts, 3);
    OK(group_assignment_read(buf_view(&b), &a, &again, &n, &e) && n == 3);
    OK(str_is(again[1].topic, "a") && again[1].partition == 7 && again[2].partition == 1);
    for (size_t cut = 1; cut + 4 < b.n; cut++)
        OK(!group_assignment_read(str_from(b.p, cut), &a, &again, &n, &e));
    OK(group_assignment_read(STR(""), &a, &again, &n, &e) && n == 0);
    OK(!group_assignment_read(STR("\0\0\177\377\377\377"), &a, &again, &n, &e));
    arena_fini(&a);
    buf_fini(&b);
}

TEST_MAIN
