/*
 * Recovery from arbitrary journals. A small log is made in memory once; each input replaces its journal and it is opened. Either
 * that is refused with an error, or what it holds can be read or is told to be damaged, it can be appended to, and it opens again
 * with no less.
 *
 * The input's first byte: even, the rest is the journal file as it is; odd, the rest is frames (kind, two bytes of length, payload),
 * which get right headers, so that their payloads are reached.
 */
#include "base/be.h"
#include "base/limits.h"
#include "base/mem.h"
#include "log/log_int.h"
#include "os/ram.h"
#include "os/tempdir.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

enum { JOURNAL = 64 * 1024, PARTS = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[TEMPDIR_MAX];
static const char *const files[] = {"meta", "topics.list", "checkpoint", "journal-0", "journal-1"};
static struct str content[ARRAY_LEN(files)];
static struct arena arena;

static void must(bool ok, const struct err *e)
{
    if (ok)
        return;
    (void)fprintf(stderr, "journal_fuzz: %s\n", e->msg);
    abort();
}

static struct log *open_log(struct ram *r, struct err *e)
{
    struct log_options o = {.os = ram_os(r), .dir = dir, .journal_bytes = JOURNAL, .segment_bytes = 10000};
    struct log *l = NULL;

    return log_open(&o, &l, e) ? l : NULL;
}

static bool append(struct log *l, int32_t partition, struct batch_writer *w, struct err *e)
{
    struct log_part_write p = {.topic = STR("t"), .partition = partition};

    batch_begin(w, MIB);
    batch_add(w, 1700000000000, STR("key"), STR("value"), NULL, 0);
    p.batches = batch_end(w);
    return log_append(l, &p, 1, e);
}

/* The log that inputs are put into: one topic, a few records behind the checkpoint, then a crash. */
static void prepare(void)
{
    struct ram *r = ram_new(7);
    struct batch_writer w = {0};
    struct log_settings s;
    struct err e = {0};
    struct log *l;

    must(tempdir_make(dir) && os_make_dirs(ram_os(r), dir, &e), &e);
    l = open_log(r, &e);
    must(l != NULL, &e);
    log_settings_default(l, &s);
    must(log_create_topic(l, STR("t"), PARTS, &s, &e), &e);
    for (int i = 0; i < 3; i++)
        must(append(l, i % PARTS, &w, &e), &e);
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        must(os_read_file(ram_os(r), arena_fmt(&arena, "%s/%s", dir, files[i]), MIB, &arena, &content[i], &e),
             &e);
    ram_die_after(r, 0);
    log_close(l);
    batch_fini(&w);
    ram_free(r);
}

/* Frames with right headers, each a group. */
static void put_frames(struct buf *b, const uint8_t *data, size_t size)
{
    struct journal j = {.run = 1, .next = 1};

    while (size >= 3) {
        size_t n = be_get16(data + 1), at = b->n, span;
        struct iovec payload;
        uint8_t *head;

        n = n < size - 3 ? n : size - 3;
        span = (FRAME_HEAD + n + JOURNAL_ALIGN - 1) / JOURNAL_ALIGN * JOURNAL_ALIGN;
        if (b->n + span > JOURNAL)
            return;
        buf_zero(b, span);
        head = b->p + at;
        memcpy(head + FRAME_HEAD, data + 3, n);
        payload = (struct iovec){head + FRAME_HEAD, n};
        journal_head(&j, head, (enum frame_kind)data[0], j.next, (int64_t)at);
        journal_head_done(head, &payload, 1, span);
        j.next++;
        data += 3 + n;
        size -= 3 + n;
    }
}

static struct ram *with_journal(const uint8_t *data, size_t size)
{
    struct ram *r = ram_new(1);
    struct buf journal = buf_make(2 * JOURNAL);
    struct arena a = {0};
    struct err e = {0};

    if (size > 0 && data[0] % 2)
        put_frames(&journal, data + 1, size - 1);
    else if (size > 0)
        buf_put(&journal, data + 1, size - 1 < JOURNAL ? size - 1 : JOURNAL);
    buf_zero(&journal, (JOURNAL_ALIGN - journal.n % JOURNAL_ALIGN) % JOURNAL_ALIGN);
    must(os_make_dirs(ram_os(r), arena_fmt(&a, "%s/topics/t-0", dir), &e) &&
             os_make_dirs(ram_os(r), arena_fmt(&a, "%s/topics/t-1", dir), &e),
         &e);
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        must(os_replace_file(ram_os(r), arena_fmt(&a, "%s/%s", dir, files[i]),
                             i == 3 ? buf_view(&journal) : content[i], &e),
             &e);
    ram_sync(r);
    buf_fini(&journal);
    arena_fini(&a);
    return r;
}

/* Reads all there is, or to the damage. */
static void read_all(struct log *l, int32_t partition)
{
    struct buf b = buf_make(4 * MIB);
    struct arena a = {0};
    struct log_range range;
    struct batch_reader r;
    struct record rec;
    struct err e;
    int64_t next;

    if (!log_range(l, STR("t"), partition, &range))
        abort();
    next = range.start;
    while (next < range.end) {
        int64_t before = next;

        buf_reset(&b);
        arena_reset(&a);
        if (!log_fetch(l, STR("t"), partition, next, 1000, &b, &e) || b.n == 0)
            break;
        for (batch_open(&r, &a, buf_view(&b)); batch_next(&r, &rec);)
            next = rec.offset + 1;
        if (next <= before)
            break;
    }
    buf_fini(&b);
    arena_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct batch_writer w = {0};
    struct log_range before[PARTS], after;
    struct err e = {0};
    struct ram *r;
    struct log *l;

    if (!content[0].p)
        prepare();
    r = with_journal(data, size);
    l = open_log(r, &e);
    if (l) {
        for (int32_t i = 0; i < PARTS; i++) {
            read_all(l, i);
            must(append(l, i, &w, &e), &e);
            must(log_range(l, STR("t"), i, &before[i]), &e);
        }
        ram_die_after(r, 0);
        log_close(l);
        ram_crash(r);
        l = open_log(r, &e);
        must(l != NULL, &e);
        for (int32_t i = 0; i < PARTS; i++)
            must(log_range(l, STR("t"), i, &after) && after.end == before[i].end &&
                     after.start == before[i].start,
                 &e);
        log_close(l);
    }
    batch_fini(&w);
    ram_free(r);
    return 0;
}
