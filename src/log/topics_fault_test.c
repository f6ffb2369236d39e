/* A new folder, and topics made, changed and deleted, under every fault. */
#include "log/testtold.h"

/* ---- a new folder ---- */

static bool create_scenario(struct os *os, void *arg)
{
    struct told d = {0};
    struct arena a = {0};
    struct log_topic topic;
    bool ok, made = false;

    (void)arg;
    ok = tempdir_make(d.t.dir);
    d.t.o = (struct log_options){.dir = d.t.dir, .journal_bytes = 64 * KIB};
    if (ok && told_open(&d, os)) {
        made = told_topic(&d, "a", 1 << 20, false);
        if (made)
            told_append(&d, 200);
        log_close(d.t.l);
    }
    ok = ok && told_open(&d, os_real());
    if (ok && made)
        ok = log_find_topic(d.t.l, STR("a"), &a, &topic) && topic.partitions == PARTS && told_holds(&d);
    else if (ok && !log_find_topic(d.t.l, STR("a"), &a, &topic))
        ok = told_topic(&d, "a", 1 << 20, false);
    log_close(ok ? d.t.l : NULL);
    arena_fini(&a);
    ok = ok && told_holds_after(&d);
    return told_end(&d, ok);
}

TEST(a_new_folder_is_whole_or_made_again)
{
    unsigned faults;

    OK(os_fault_walk(create_scenario, NULL, &faults));
    printf("# %u faults\n", faults);
    OK(faults > 200);
}

/* ---- topics ---- */

/* What create, alter and delete of topic "b" said; an error leaves open whether it happened. */
static void change_topics(struct told *d)
{
    struct log_part_write p = {.topic = STR("b"), .partition = PARTS};

    if (!told_topic(d, "b", 1 << 20, false))
        return;
    d->step = 1;
    if (!log_add_partitions(d->t.l, STR("b"), PARTS + 1, &d->t.e))
        return;
    d->step = 2;
    p.batches = testlog_batch(&d->t.w, 0, 1, 10);
    if (!log_append(d->t.l, &p, 1, &d->t.e))
        return;
    d->step = 3;
    told_append(d, 10);
    if (!log_delete_topic(d->t.l, STR("b"), &d->t.e))
        return;
    d->step = 4;
    if (!told_topic(d, "b", 1 << 20, false))
        return;
    d->step = 5;
}

static bool topics_hold(struct told *d)
{
    struct arena a = {0};
    struct log_topic topic;
    bool ok = told_open(d, os_real()), there;

    if (ok) {
        there = log_find_topic(d->t.l, STR("b"), &a, &topic);
        if (d->step == 1 || d->step == 2)
            ok = there && topic.partitions >= PARTS + (d->step == 2);
        else if (d->step == 3) // not deleted, or not known whether
            ok = !there || testlog_read(&d->t, "b", PARTS, 0, 0, 1000) == 1;
        else if (d->step == 5)
            ok = there && topic.partitions == PARTS && testlog_read(&d->t, "b", 0, 0, 0, 1000) == 0;
        log_close(d->t.l);
        d->t.l = NULL;
    }
    arena_fini(&a);
    return ok;
}

static bool topics_scenario(struct os *os, void *arg)
{
    struct told d = {0};
    bool ok = told_prepare(&d, 1 << 20, false);

    (void)arg;
    if (ok && told_open(&d, os)) {
        change_topics(&d);
        log_close(d.t.l);
    }
    return told_end(&d, ok && topics_hold(&d) && told_holds_after(&d));
}

TEST(topics_hold_under_every_fault)
{
    unsigned faults;

    OK(os_fault_walk(topics_scenario, NULL, &faults));
    printf("# %u faults\n", faults);
    OK(faults > 300);
}

TEST_MAIN
