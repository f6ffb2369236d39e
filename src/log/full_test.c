/* A full disk: appends are refused, reading goes on, retention makes room, a start works, and writing resumes by itself. */
#include "log/testlog.h"
#include "os/ram.h"

static bool open_ram(struct testlog *t, struct ram *r)
{
    t->o = (struct log_options){.os = ram_os(r), .dir = t->dir, .journal_bytes = 256 * KIB};
    return log_open(&t->o, &t->l, &t->e);
}

static bool start(struct testlog *t, struct ram *r, int64_t retention_bytes)
{
    struct log_settings s;

    if (!tempdir_make(t->dir) || !os_make_dirs(ram_os(r), t->dir, &t->e) || !open_ram(t, r))
        return false;
    log_settings_default(t->l, &s);
    s.retention_bytes = retention_bytes;
    s.retention_ms = -1;
    s.segment_bytes = 100000;
    return log_create_topic(t->l, STR("a"), 1, &s, &t->e);
}

/* Appends until it is refused; how many there are then. */
static int64_t fill(struct testlog *t, int64_t from, size_t pad)
{
    while (testlog_append(t, "a", 0, from, 1, pad) == from)
        from++;
    return from;
}

static void end(struct testlog *t, struct ram *r)
{
    struct err e;

    log_close(t->l);
    batch_fini(&t->w);
    OK(os_remove_tree(os_real(), t->dir, &e));
    ram_free(r);
}

TEST(appends_are_refused_and_resume)
{
    static const size_t pads[] = {100, 5000, 50000, 200000}; // the last by reference
    struct ram *r = ram_new(1);
    struct testlog t = {0};
    int64_t n = 0, limit = 4 * MIB;

    OK(start(&t, r, -1));
    for (int i = 0; i < 12; i++) {
        struct err why;

        ram_limit(r, limit);
        n = fill(&t, n, pads[i % 4]);
        OK(t.e.kind == ERR_FULL);
        OK(!log_failed(t.l, &why));
        OK(testlog_read(&t, "a", 0, 0, 0, 1000000) == n);
        if (testlog_append(&t, "a", 0, n, 1, pads[i % 4]) == n)
            n++; // a checkpoint gave back its temporary file
        else
            OK(t.e.kind == ERR_FULL);
        if (i % 3 == 1)
            (void)(log_maintain(t.l, &t.e) || t.e.kind);
        limit += 2 * MIB;
        ram_limit(r, limit);
        OK(testlog_append(&t, "a", 0, n, 1, pads[i % 4]) == n);
        n++;
    }
    end(&t, r);
}

TEST(a_log_opens_on_a_full_disk)
{
    struct ram *r = ram_new(1);
    struct testlog t = {0};
    int64_t n;

    OK(start(&t, r, -1));
    ram_limit(r, 4 * MIB);
    n = fill(&t, 0, 5000);
    for (int round = 0; round < 4; round++) {
        log_close(t.l);
        OK(open_ram(&t, r));
        OK(testlog_read(&t, "a", 0, 0, 0, 1000000) == n);
        n = fill(&t, n, 0); // what closing gave back
        OK(t.e.kind == ERR_FULL);
    }
    ram_limit(r, -1);
    OK(testlog_append(&t, "a", 0, n, 1, 0) == n);
    end(&t, r);
}

TEST(retention_frees_a_full_disk)
{
    struct ram *r = ram_new(1);
    struct testlog t = {0};
    struct log_range range;
    int64_t n = 0;

    OK(start(&t, r, 500000));
    ram_limit(r, 4 * MIB);
    for (int round = 0; round < 5; round++) {
        n = fill(&t, n, 5000);
        OK(t.e.kind == ERR_FULL);
        OK(log_maintain(t.l, &t.e));
        OK(log_range(t.l, STR("a"), 0, &range) && range.start > 0 && range.end == n);
        OK(testlog_append(&t, "a", 0, n, 1, 5000) == n);
        n++;
    }
    OK(testlog_read(&t, "a", 0, range.start, 0, 1000000) == n - range.start);
    end(&t, r);
}

TEST_MAIN
