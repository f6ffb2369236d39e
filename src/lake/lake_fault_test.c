/*
 * The n-th call of a commit fails: nobody sees half of it, and what is put again is there once.
 *
 * A round changes one key and adds another, lets call n fail during lake_commit(), looks, then commits again (after opening
 * everything anew when the log says that it must) and looks again. One folder serves ROUNDS_EACH rounds: a round looks at all
 * that the rounds before it left, so one folder for all of them would take time by the square of their number.
 */
#include "lake/testlake.h"
#include "os/fault.h"

enum { ROUNDS_EACH = 6 };

static struct testlake lk;
static struct os_fault faulty;

static void arm(enum os_fault_kind kind, unsigned nth, bool persistent)
{
    faulty.kind = kind;
    faulty.persistent = persistent;
    faulty.hits = 0;
    __atomic_store_n(&faulty.countdown, nth, __ATOMIC_SEQ_CST);
}

static void disarm(void)
{
    __atomic_store_n(&faulty.persistent, false, __ATOMIC_SEQ_CST);
    __atomic_store_n(&faulty.countdown, UINT32_MAX, __ATOMIC_SEQ_CST);
}

/* How many rounds external readers see: 0 to n. -1: the two tables do not agree, or they cannot be read. */
static int64_t rounds_seen(void)
{
    const char *got = testlake_ask(
        &lk,
        "SELECT * FROM (SELECT count(*) // 2, count(*) % 2, count(*) - count(DISTINCT _offset) FROM "
        "bronze.items), "
        "(SELECT count(*) - 1, count(*) - count(DISTINCT id), max(count) FILTER (id = 0) FROM silver.items)",
        true);
    struct str rest = str_of(got ? got + 1 : ""), first;
    int64_t n;
    if (got && str_cut(&rest, ',', &first) && str_i64(first, &n) &&
        strcmp(got, arena_fmt(&lk.a, "[%" PRId64 ",0,0,%" PRId64 ",0,%" PRId64 "]\n", n, n, n)) == 0)
        return n;
    printf("# bronze and silver: %s\n", got ? got : lk.e.msg);
    return -1;
}

static bool open_feed(struct lake_feed **f)
{
    return lake_feed_open(lk.lake, STR(ITEMS), f, &lk.e) && testlake_feed(&lk, *f);
}

/* True when the round went as promised. *hit: did a call fail? */
static bool round_with_fault(int64_t i, enum os_fault_kind kind, unsigned nth, bool persistent, bool *hit)
{
    struct lake_feed *f = NULL;
    struct err why;
    testlake_begin(&lk);
    testlake_change(&lk, i == 1 ? 'c' : 'u',
                    &(struct testlake_row){.id = 0, .name = "key", .cents = i, .count = i});
    testlake_change(&lk, 'c', &(struct testlake_row){.id = i, .name = "row", .cents = i, .count = i});
    if (!testlake_send(&lk) || !open_feed(&f))
        return false;
    arm(kind, nth, persistent);
    bool ok = lake_commit(lk.lake, &f, 1, &why);
    disarm();
    *hit = faulty.hits > 0;
    if (i > 1 || ok) {
        int64_t seen = rounds_seen();
        if (seen != (ok ? i : i - 1)) {
            printf("# call %u: %s, %" PRId64 " rounds seen of %" PRId64 "\n", nth, ok ? "committed" : why.msg,
                   seen, i);
            return false;
        }
    }
    if (!ok && log_failed(lk.log, &why)) {
        lake_feed_close(f);
        testlake_close(&lk);
        if (!testlake_open(&lk) || !open_feed(&f))
            return false;
    }
    ok = ok || lake_commit(lk.lake, &f, 1, &lk.e);
    lake_feed_close(f);
    return ok && rounds_seen() == i;
}

/* A lake in a folder of its own that holds one round. */
static bool first_round(enum os_fault_kind kind)
{
    bool hit;
    os_fault_init(&faulty, os_unsynced(), kind, UINT32_MAX, false);
    faulty.writes_only = kind == OS_FAULT_SHORT; // what does not write fails as under OS_FAULT_EIO
    return testlake_start(&lk, &faulty.os) && round_with_fault(1, kind, UINT32_MAX, false, &hit);
}

/* Call n fails, for every n until a commit makes fewer calls. *faults: how many calls did. */
static bool walk(enum os_fault_kind kind, bool persistent, unsigned *faults)
{
    int64_t i = 1;
    bool hit = true;
    if (!first_round(kind))
        return false;
    for (unsigned n = 0; hit; n++) {
        if (i == ROUNDS_EACH) {
            if (!testlake_end(&lk) || !first_round(kind))
                return false;
            i = 1;
        }
        if (!round_with_fault(++i, kind, n, persistent, &hit)) {
            printf("# kind %d, call %u%s: %s\n", kind, n, persistent ? " and all after it" : "", lk.e.msg);
            return false;
        }
        *faults += hit;
        arena_reset(&lk.a);
    }
    printf("# kind %d: %u calls failed\n", kind, *faults);
    return testlake_end(&lk);
}

TEST(a_call_fails_once)
{
    unsigned faults = 0;
    OK(walk(OS_FAULT_EIO, false, &faults) && faults > 100);
}

TEST(the_disk_is_full)
{
    unsigned faults = 0;
    OK(walk(OS_FAULT_ENOSPC, true, &faults) && faults > 100);
}

TEST(writes_are_cut_short)
{
    unsigned faults = 0;
    OK(walk(OS_FAULT_SHORT, false, &faults) && faults > 100);
}

TEST_MAIN
