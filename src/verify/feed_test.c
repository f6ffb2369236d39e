#include "verify/verify_int.h"

#include "base/test.h"

TEST(snapshots_tell_who_is_seen)
{
    struct arena a = {0};
    struct source_snapshot s;
    struct err e;

    OK(snapshot_parse(&a, STR("100:120:105,110"), &s, &e));
    OK(snapshot_sees(&s, 99) && snapshot_sees(&s, 100) && snapshot_sees(&s, 119));
    OK(!snapshot_sees(&s, 105) && !snapshot_sees(&s, 110));
    OK(!snapshot_sees(&s, 120) && !snapshot_sees(&s, 5000));
    OK(snapshot_parse(&a, STR("7:7:"), &s, &e));
    OK(snapshot_sees(&s, 6) && !snapshot_sees(&s, 7));
    OK(!snapshot_parse(&a, STR("7:x:"), &s, &e) && !snapshot_parse(&a, STR("7"), &s, &e));
    arena_fini(&a);
}

/* Logical decoding gives the low 32 bits of a transaction's number; a snapshot has all 64. */
TEST(transaction_numbers_wrap)
{
    struct arena a = {0};
    struct source_snapshot s;
    struct err e;

    OK(snapshot_parse(&a, STR("4294967290:4294967300:4294967298"), &s, &e));
    OK(snapshot_sees(&s, 4294967289)); // before xmin, of the first epoch
    OK(snapshot_sees(&s, 4294967295)); // of the first epoch too
    OK(snapshot_sees(&s, 3));          // 4294967299
    OK(!snapshot_sees(&s, 2));         // 4294967298, running
    OK(!snapshot_sees(&s, 4));         // 4294967300
    arena_fini(&a);
}

static bool three_rows(struct feed *f, struct err *e)
{
    (void)e;
    feed_add(f, STR("1"), 10, 1, false);
    feed_add(f, STR("2"), 20, 2, false);
    feed_add(f, STR("1"), 0, 3, true);
    return true;
}

TEST(feeds_give_columns)
{
    struct feed f = {.fill = three_rows};
    struct err e;

    feed_init(&f);
    OK(f.fill(&f, &e) && f.out.rows == 3);
    OK(str_is(f.out.column[0].strs[1], "2") && f.out.column[1].i64[1] == 20);
    OK(f.out.column[3].bools[2] && !f.out.column[3].bools[0]);
    feed_fini(&f);
}

TEST_MAIN
