/*
 * The promise under faults: whatever call fails, once or for good, what was acknowledged is there when the log is opened again,
 * in order, and nothing is there in half.
 */
#include "log/testtold.h"

static void append_some(struct told *d)
{
    for (int i = 0; i < 4; i++)
        told_append(d, 200);
}

static bool append_scenario(struct os *os, void *arg)
{
    struct told d = {0};

    (void)arg;
    return told_under_fault(os, &d, 1 << 20, false, append_some);
}

TEST(appends_hold_under_every_fault)
{
    unsigned faults;

    OK(os_fault_walk(append_scenario, NULL, &faults));
    printf("# %u faults\n", faults);
    OK(faults > 100);
}

/* Every append needs a new segment. */
static bool roll_scenario(struct os *os, void *arg)
{
    struct told d = {0};

    (void)arg;
    return told_under_fault(os, &d, 300, false, append_some);
}

TEST(rolls_hold_under_every_fault)
{
    unsigned faults;

    OK(os_fault_walk(roll_scenario, NULL, &faults));
    printf("# %u faults\n", faults);
    OK(faults > 200);
}

static void append_large(struct told *d)
{
    told_append(d, 20000); // over a quarter of the journal: by reference
    told_append(d, 100);
    told_append(d, 20000);
}

static bool large_scenario(struct os *os, void *arg)
{
    struct told d = {0};

    (void)arg;
    return told_under_fault(os, &d, 50000, false, append_large);
}

TEST(large_appends_hold_under_every_fault)
{
    unsigned faults;

    OK(os_fault_walk(large_scenario, NULL, &faults));
    printf("# %u faults\n", faults);
    OK(faults > 100);
}

/* Twice round the journal, with maintenance in between. */
static void go_round(struct told *d)
{
    for (int i = 0; i < 20; i++) {
        told_append(d, 3000);
        if (i == 10)
            (void)(log_maintain(d->t.l, &d->t.e) || d->t.e.kind);
    }
}

static bool round_scenario(struct os *os, void *arg)
{
    struct told d = {0};

    (void)arg;
    return told_under_fault(os, &d, 1 << 20, false, go_round);
}

TEST(checkpoints_hold_under_every_fault)
{
    unsigned faults;

    OK(os_fault_walk(round_scenario, NULL, &faults));
    printf("# %u faults\n", faults);
    OK(faults > 200);
}

TEST_MAIN
