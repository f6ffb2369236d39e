/*
 * log_append: what an append costs, beside what the disk costs, from the same run.
 *
 *     ninja -C build/dev bench_log_append && build/dev/bench_log_append FOLDER [SECONDS]
 *
 * FOLDER is made and must be on the disk that is to be measured. Prints one line a case: name, ours, the disk's.
 *
 *     p50, p99      ms from append to answer, 12 KB over 12 partitions, one at a time; the disk: the same bytes written over a
 *                   preallocated file and fdatasync, turn by turn with ours, so that both see the same noise
 *     records       1 KB records a second, batches of 16, 64 appends on their way; the disk: the same bytes written at the end
 *                   of a growing file, 1 MiB at a time, each followed by fdatasync
 *     large         MB a second of appends of 1 MiB (by reference), four on their way; the disk: as for records
 *     shared        appends a second of one record each from 64 callers; the disk: fdatasyncs a second, one after the other
 */
#include "base/limits.h"
#include "base/mem.h"
#include "log/batch.h"
#include "log/log.h"
#include "os/os.h"
#include "os/thread.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

enum { PARTS = 12, RAW_BYTES = 64 << 20, TURNS_MAX = 100000 };

static struct os *os;
static const char *folder;
static double seconds = 3;

static void must(bool ok, const struct err *e)
{
    if (ok)
        return;
    (void)fprintf(stderr, "log_append: %s\n", e->msg);
    exit(1); // NOLINT(concurrency-mt-unsafe): the bench is over
}

static double now(void)
{
    return (double)os->now_ns(os) / 1e9;
}

/* A file whose blocks are all written, so that writing over it changes no metadata. */
static int raw_open(void)
{
    struct err e = {0};
    char *path = mem_fmt("%s/raw", folder), *zero = mem_zero(MIB);
    int fd = os_open(os, path, O_RDWR | O_CREAT, &e);

    must(fd >= 0, &e);
    for (int64_t at = 0; at < RAW_BYTES; at += (int64_t)MIB)
        must(os_write(os, fd, zero, MIB, at, &e), &e);
    must(os_sync(os, fd, &e), &e);
    mem_free(zero);
    mem_free(path);
    return fd;
}

static struct log *open_log(void)
{
    struct err e = {0};
    struct log_settings s;
    char *dir = mem_fmt("%s/log", folder);
    struct log_options o = {.os = os, .dir = dir};
    struct log *l;

    must(log_open(&o, &l, &e), &e);
    log_settings_default(l, &s);
    must(log_ensure_topic(l, STR("bench"), PARTS, &s, &e), &e);
    mem_free(dir);
    return l;
}

/* `count` records of about `bytes` each. */
static struct str make_batch(struct batch_writer *w, int count, size_t bytes)
{
    char *value = mem_alloc(bytes);

    for (size_t i = 0; i < bytes; i++)
        value[i] = (char)('a' + i * 31 % 26);
    batch_begin(w, LIMIT_BATCH);
    for (int i = 0; i < count; i++)
        batch_add(w, 1700000000000, STR_NULL, str_from(value, bytes), NULL, 0);
    mem_free(value);
    return batch_end(w);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* ---- latency ---- */

static void latency(struct log *l, int raw)
{
    static double ours[TURNS_MAX], disk[TURNS_MAX];
    struct log_part_write p[PARTS] = {0};
    struct batch_writer w = {0};
    struct str batch = make_batch(&w, 1, 1024);
    struct err e = {0};
    double until = now() + seconds, begin;
    size_t bytes = batch.n * PARTS;
    char *flat = mem_zero(bytes);
    int64_t at = 0;
    size_t n = 0;

    for (; n < TURNS_MAX && now() < until; n++) {
        for (int i = 0; i < PARTS; i++)
            p[i] = (struct log_part_write){.topic = STR("bench"), .partition = i, .batches = batch};
        begin = now();
        must(log_append(l, p, PARTS, &e), &e);
        ours[n] = now() - begin;
        begin = now();
        must(os_write(os, raw, flat, bytes, at, &e) && os_sync(os, raw, &e), &e);
        disk[n] = now() - begin;
        at = at + 2 * (int64_t)bytes < RAW_BYTES ? at + (int64_t)bytes : 0;
    }
    qsort(ours, n, sizeof *ours, by_size);
    qsort(disk, n, sizeof *disk, by_size);
    printf("p50 %.4f %.4f\n", ours[n / 2] * 1e3, disk[n / 2] * 1e3);
    printf("p99 %.4f %.4f\n", ours[n * 99 / 100] * 1e3, disk[n * 99 / 100] * 1e3);
    mem_free(flat);
    batch_fini(&w);
}

/* ---- throughput ---- */

struct load {
    struct log *l;
    struct str batch;
    double until;
    struct mutex lock;
    struct cond cond;
    int flying;
    int64_t done;
};

struct flyer {
    struct load *load;
    struct log_part_write part;
    bool ready; // load's lock: its answer came
};

static void landed(void *arg, bool ok, const struct err *e)
{
    struct flyer *f = arg;

    must(ok, e);
    mutex_lock(&f->load->lock);
    f->ready = true;
    f->load->done++;
    cond_signal(&f->load->cond);
    mutex_unlock(&f->load->lock);
}

/* Keeps `count` appends on their way; appends a second. */
static double fly(struct log *l, struct str batch, int count)
{
    struct load load = {.l = l, .batch = batch};
    struct flyer *f = MEM_ARRAY(struct flyer, (size_t)count);
    double begin = now(), took;
    int64_t sent = 0;

    mutex_init(&load.lock);
    cond_init(&load.cond);
    for (int i = 0; i < count; i++)
        f[i] = (struct flyer){.load = &load, .ready = true};
    mutex_lock(&load.lock);
    while (now() - begin < seconds || load.done < sent) {
        bool any = false;

        for (int i = 0; i < count && now() - begin < seconds; i++) {
            if (!f[i].ready)
                continue;
            any = true;
            f[i].ready = false;
            f[i].part =
                (struct log_part_write){.topic = STR("bench"), .partition = i % PARTS, .batches = batch};
            sent++;
            mutex_unlock(&load.lock);
            log_append_async(l, &f[i].part, 1, landed, &f[i]);
            mutex_lock(&load.lock);
        }
        if (!any)
            cond_wait(&load.cond, &load.lock);
    }
    mutex_unlock(&load.lock);
    took = now() - begin;
    cond_fini(&load.cond);
    mutex_fini(&load.lock);
    mem_free(f);
    return (double)sent / took;
}

/* Bytes a second of the disk: 1 MiB at the end of a growing file, fdatasync, the next. */
static double raw_rate(void)
{
    struct err e = {0};
    char *piece = mem_zero(MIB), *path = mem_fmt("%s/growing", folder);
    int raw = os_open(os, path, O_RDWR | O_CREAT | O_TRUNC, &e);
    double begin = now(), sum = 0;
    int64_t at = 0;

    must(raw >= 0, &e);

    for (size_t i = 0; i < MIB; i++)
        piece[i] = (char)i;
    while (now() - begin < seconds) {
        must(os_write(os, raw, piece, MIB, at, &e) && os_sync(os, raw, &e), &e);
        at += (int64_t)MIB;
        sum += (double)MIB;
    }
    sum /= now() - begin;
    os_close(os, raw);
    (void)os->unlink(os, path);
    mem_free(path);
    mem_free(piece);
    return sum;
}

static double raw_syncs(int raw)
{
    struct err e = {0};
    double begin = now(), n = 0;

    for (; now() - begin < seconds; n++)
        must(os_write(os, raw, "x", 1, (int64_t)n % 1000 * 4096, &e) && os_sync(os, raw, &e), &e);
    return n / (now() - begin);
}

static void throughput(struct log *l, int raw)
{
    struct batch_writer w = {0};
    struct str batch = make_batch(&w, 16, 1024);

    printf("records %.0f %.0f\n", 16 * fly(l, batch, 64), raw_rate() / 1024);
    batch = make_batch(&w, 1024, 1015);
    printf("large %.1f %.1f\n", fly(l, batch, 4) * (double)batch.n / 1e6, raw_rate() / 1e6);
    batch = make_batch(&w, 1, 100);
    printf("shared %.0f %.0f\n", fly(l, batch, 64), raw_syncs(raw));
    batch_fini(&w);
}

int main(int argc, char **argv)
{
    struct err e = {0};
    struct log_stats stats;
    struct log *l;
    int64_t given;
    int raw;

    os = os_real();
    if (argc < 2 || (argc > 2 && !str_i64(str_of(argv[2]), &given))) {
        (void)fprintf(stderr, "usage: bench_log_append FOLDER [SECONDS]\n");
        return 2;
    }
    folder = argv[1];
    seconds = argc > 2 ? (double)given : seconds;
    must(os_make_dirs(os, folder, &e), &e);
    raw = raw_open();
    l = open_log();
    latency(l, raw);
    throughput(l, raw);
    log_stats(l, &stats);
    (void)fprintf(stderr, "# %llu appends in %llu groups\n", (unsigned long long)stats.appends,
                  (unsigned long long)stats.groups);
    log_close(l);
    os_close(os, raw);
    return 0;
}
