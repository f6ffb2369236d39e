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

/* The same from buffers: past the page cache, all in one append. */
static void append_from_buffers(struct told *d)
{
    enum { BEFORE = 50 };

    for (int i = 0; i < 3; i++) {
        struct log_buffer *b[PARTS];
        struct log_part_write p[PARTS] = {0};
        struct str batch = testlog_batch(&d->t.w, d->acked[0], 1, 20000 + 3000 * (size_t)i);

        for (int k = 0; k < PARTS; k++) {
            struct log_coming c = {STR("a"), k, BEFORE + batch.n, BEFORE, batch.n};
            char *to;

            b[k] = log_buffer_new(d->t.l, &c);
            to = b[k] ? (char *)log_buffer_bytes(b[k]) + BEFORE : NULL;
            if (to)
                memcpy(to, batch.p, batch.n);
            p[k] = (struct log_part_write){.topic = STR("a"),
                                           .partition = k,
                                           .batches = to ? str_from(to, batch.n) : batch,
                                           .buffer = b[k]};
        }
        told_append_these(d, p);
        for (int k = 0; k < PARTS; k++)
            log_buffer_free(b[k]);
    }
}

static bool buffer_scenario(struct os *os, void *arg)
{
    struct told d = {0};

    (void)arg;
    return told_under_fault(os, &d, 1 << 20, false, append_from_buffers);
}

TEST(appends_from_buffers_hold_under_every_fault)
{
    unsigned faults;

    OK(os_fault_walk(buffer_scenario, NULL, &faults));
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
