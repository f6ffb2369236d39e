/*
 * The n-th call of a commit fails: nobody sees half of it, and what is put again is there once.
 *
 * One folder serves all rounds: a round changes one key and adds another, lets call n fail during lake_commit(), looks, then
 * commits again (after opening everything anew when the log says that it must) and looks again.
 */
#include "lake/testlake.h"
#include "os/fault.h"

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

/* How many rounds external readers see: 0 to n. -1: the two tables do not agree, or it cannot be read. */
static int64_t rounds_seen(void)
{
    int64_t seen;
    const char *bronze = testlake_ask(
        &lk, "SELECT count(*) // 2, count(*) % 2, count(*) - count(DISTINCT _offset) FROM bronze.items",
        true);
    const char *silver =
        testlake_ask(&lk, "SELECT count(*) - 1, 0, count(*) - count(DISTINCT id) FROM silver.items", true);
    const char *newest = testlake_ask(&lk, "SELECT max(count) FROM silver.items WHERE id = 0", true);
    if (!bronze || !silver || !newest || strcmp(bronze, silver) != 0) {
        printf("# bronze %s# silver %s# %s\n", bronze ? bronze : "none\n", silver ? silver : "none\n",
               lk.e.msg);
        return -1;
    }
    struct str first = str_of(bronze + 1), n;
    if (!str_cut(&first, ',', &n) || !str_i64(n, &seen) ||
        strcmp(newest, arena_fmt(&lk.a, "[%" PRId64 "]\n", seen)) != 0) {
        printf("# %s# newest %s\n", bronze, newest);
        return -1;
    }
    return seen;
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

static bool walk(enum os_fault_kind kind, bool persistent, unsigned stride, unsigned *faults)
{
    int64_t i = 0;
    bool hit = true;
    os_fault_init(&faulty, os_real(), kind, UINT32_MAX, false);
    if (!testlake_start(&lk, &faulty.os) || !round_with_fault(++i, kind, UINT32_MAX, false, &hit))
        return false;
    hit = true;
    for (unsigned n = 0; hit; n += stride) {
        if (!round_with_fault(++i, kind, n, persistent, &hit)) {
            printf("# kind %d, call %u%s: %s\n", kind, n, persistent ? " and all after it" : "", lk.e.msg);
            return false;
        }
        *faults += hit;
        arena_reset(&lk.a);
    }
    return testlake_end(&lk);
}

TEST(a_call_fails_once)
{
    unsigned faults = 0;
    OK(walk(OS_FAULT_EIO, false, 2, &faults) && faults > 10);
}

TEST(the_disk_is_full)
{
    unsigned faults = 0;
    OK(walk(OS_FAULT_ENOSPC, true, 3, &faults) && faults > 5);
}

TEST(writes_are_cut_short)
{
    unsigned faults = 0;
    OK(walk(OS_FAULT_SHORT, false, 3, &faults) && faults > 5);
}

TEST_MAIN
