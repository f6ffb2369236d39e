/*
 * testtold: what a log told its caller, and whether that holds when it is opened again.
 *
 * For the walks through faults: a scenario appends to all partitions of topic "a" at once and counts what was acknowledged. Afterwards
 * all partitions must have the same records, all that was acknowledged, and at most the one append whose outcome was unknown.
 */
#pragma once

#include "log/testlog.h"

enum { PARTS = 3 };

/* What a scenario was told, and what it was not told. */
struct told {
    struct testlog t;
    int64_t acked[PARTS]; // records of topic "a" that were acknowledged
    int64_t tried;        // appends over all partitions, each with one record a partition
    bool unknown;         // an append ended with ERR_IO: it may be there
    int step;
};

static inline bool told_open(struct told *d, struct os *os)
{
    d->t.o.os = os;
    return log_open(&d->t.o, &d->t.l, &d->t.e);
}

static inline bool told_topic(struct told *d, const char *name, int64_t segment_bytes, bool compact)
{
    struct log_settings s;

    log_settings_default(d->t.l, &s);
    s.segment_bytes = segment_bytes;
    s.compact = compact;
    s.retention_ms = -1;
    return log_create_topic(d->t.l, str_of(name), PARTS, &s, &d->t.e);
}

/* One atomic append over all partitions: a record to each. */
static inline void told_append_these(struct told *d, struct log_part_write p[PARTS])
{
    if (log_append(d->t.l, p, PARTS, &d->t.e)) {
        for (int i = 0; i < PARTS; i++)
            d->acked[i]++;
    } else if (d->t.e.kind == ERR_IO) {
        d->unknown = true;
    }
}

/* The same record to all. */
static inline void told_append(struct told *d, size_t pad)
{
    struct log_part_write p[PARTS] = {0};
    struct str batch = testlog_batch(&d->t.w, d->acked[0], 1, pad);

    for (int i = 0; i < PARTS; i++)
        p[i] = (struct log_part_write){.topic = STR("a"), .partition = i, .batches = batch};
    told_append_these(d, p);
}

/* All partitions have the same, at least what was acknowledged, and at most one append more. */
static inline bool told_holds(struct told *d)
{
    struct log_range r;
    int64_t n = 0;

    for (int i = 0; i < PARTS; i++) {
        if (!log_range(d->t.l, STR("a"), i, &r))
            return false;
        if (i == 0)
            n = r.end;
        if (r.end != n || r.end < d->acked[i] || r.end > d->acked[i] + (d->unknown ? 1 : 0))
            return false;
        if (testlog_read(&d->t, "a", i, r.start, 0, 5000) != r.end - r.start)
            return false;
        d->acked[i] = r.end;
    }
    return true;
}

/* Opened by a healthy system the promise holds, and the log works. */
static inline bool told_holds_after(struct told *d)
{
    bool ok = told_open(d, os_real()) && told_holds(d);

    d->unknown = false;
    if (ok) {
        told_append(d, 10);
        ok = told_holds(d) && !d->unknown;
    }
    log_close(d->t.l);
    d->t.l = NULL;
    if (!ok)
        printf("# %s\n", d->t.e.msg);
    return ok;
}

static inline bool told_prepare(struct told *d, int64_t segment_bytes, bool compact)
{
    bool ok = tempdir_make(d->t.dir);

    d->t.o = (struct log_options){.dir = d->t.dir, .journal_bytes = 64 * KIB};
    ok = ok && told_open(d, os_real()) && told_topic(d, "a", segment_bytes, compact);
    for (int i = 0; ok && i < 3; i++)
        told_append(d, 100);
    log_close(d->t.l);
    d->t.l = NULL;
    return ok && d->acked[0] == 3;
}

static inline bool told_end(struct told *d, bool ok)
{
    batch_fini(&d->t.w);
    return os_remove_tree(os_real(), d->t.dir, &d->t.e) && ok;
}

/* Opens the told_prepared log under the fault, does `work` if it opens, closes, and looks. */
static inline bool told_under_fault(struct os *os, struct told *d, int64_t segment_bytes, bool compact,
                                    void (*work)(struct told *))
{
    bool ok = told_prepare(d, segment_bytes, compact);

    if (ok && told_open(d, os)) {
        ok = told_holds(d) || ((struct os_fault *)(void *)os)->hits > 0; // a read may be what fails
        work(d);
        log_close(d->t.l);
        d->t.l = NULL;
    }
    return told_end(d, ok && told_holds_after(d));
}
