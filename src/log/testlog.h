/*
 * testlog: a log in a temporary folder, for the room's tests.
 *
 * Its os can be told to fail for good (testlog_crash), which is what a crash looks like to the files: nothing reaches them any more.
 * Records made here have the value "v<number>", so that what is read can be checked.
 */
#pragma once

#include "base/limits.h"
#include "base/mem.h"
#include "base/test.h"
#include "log/batch.h"
#include "log/log.h"
#include "os/fault.h"
#include "os/tempdir.h"

#include <stdlib.h>

/* In memory where that is possible: faults are made, not waited for, and the tests sync ten thousand times. */
__attribute__((constructor)) static void testlog_folder(void)
{
    if (os_exists(os_real(), "/dev/shm"))
        (void)setenv("TMPDIR", "/dev/shm", 0); // NOLINT(concurrency-mt-unsafe): before main, one thread
}

struct testlog {
    char dir[TEMPDIR_MAX];
    struct os_fault os;
    struct log_options o;
    struct log *l;
    struct batch_writer w;
    struct err e;
};

static inline bool testlog_open(struct testlog *t)
{
    os_fault_init(&t->os, os_unsynced(), OS_FAULT_EIO, UINT32_MAX, true);
    t->o.os = &t->os.os;
    t->o.dir = t->dir;
    if (!t->o.journal_bytes)
        t->o.journal_bytes = 256 * KIB;
    t->l = NULL;
    return log_open(&t->o, &t->l, &t->e);
}

static inline bool testlog_start(struct testlog *t)
{
    return tempdir_make(t->dir) && testlog_open(t);
}

/* From now on nothing reaches the disk. */
static inline void testlog_crash(struct testlog *t)
{
    __atomic_store_n(&t->os.countdown, 0, __ATOMIC_SEQ_CST);
    log_close(t->l);
    t->l = NULL;
}

static inline bool testlog_end(struct testlog *t)
{
    log_close(t->l);
    batch_fini(&t->w);
    return os_remove_tree(os_real(), t->dir, &t->e);
}

static inline bool testlog_topic(struct testlog *t, const char *name, int32_t partitions)
{
    struct log_settings s;

    log_settings_default(t->l, &s);
    return log_create_topic(t->l, str_of(name), partitions, &s, &t->e);
}

/* A batch of `count` records with the values v<first>, v<first+1>, ... padded with `pad` bytes. */
static inline struct str testlog_batch(struct batch_writer *w, int64_t first, int count, size_t pad)
{
    char *value = mem_zero(pad + 32);

    batch_begin(w, LIMIT_BATCH);
    for (int i = 0; i < count; i++) {
        int n = snprintf(value, 32, "v%lld ", (long long)(first + i));

        memset(value + n, 'x', pad);
        batch_add(w, 1700000000000 + first + i, STR_NULL, str_from(value, (size_t)n + pad), NULL, 0);
    }
    mem_free(value);
    return batch_end(w);
}

/* Appends records numbered from `first` to one partition; the base offset, or -1 and t->e. */
static inline int64_t testlog_append(struct testlog *t, const char *topic, int32_t partition, int64_t first,
                                     int count, size_t pad)
{
    struct log_part_write p = {.topic = str_of(topic), .partition = partition};

    p.batches = testlog_batch(&t->w, first, count, pad);
    return log_append(t->l, &p, 1, &t->e) ? p.base_offset : -1;
}

/*
 * Reads a partition from `offset` to its end: how many records there were, or -1 when one was wrong: not the number
 * its offset plus `shift` says, or t->e.
 */
static inline int64_t testlog_read(struct testlog *t, const char *topic, int32_t partition, int64_t offset,
                                   int64_t shift, size_t max_bytes)
{
    struct buf b = buf_make(64 * MIB);
    struct arena a = {0};
    struct log_range range;
    struct batch_reader r;
    struct record rec;
    int64_t n = 0;
    char want[32];

    if (!log_range(t->l, str_of(topic), partition, &range))
        n = -1;
    while (n >= 0 && offset < range.end) {
        int64_t before = offset;

        buf_reset(&b);
        arena_reset(&a);
        if (!log_fetch(t->l, str_of(topic), partition, offset, max_bytes, &b, &t->e)) {
            n = -1;
            break;
        }
        batch_open(&r, &a, buf_view(&b));
        r.skip_below = offset;
        while (n >= 0 && batch_next(&r, &rec)) {
            int len = snprintf(want, sizeof want, "v%lld ", (long long)(rec.offset + shift));

            n = rec.offset == offset && str_starts(rec.value, str_from(want, (size_t)len)) ? n + 1 : -1;
            offset = rec.offset + 1;
        }
        if (!batch_ok(&r, &t->e) || offset == before)
            n = -1;
    }
    arena_fini(&a);
    buf_fini(&b);
    return n;
}
