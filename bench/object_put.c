/*
 * object_put: durable puts of 4 KiB a second, beside making files of the same bytes and syncing each and its folder.
 *
 *     ninja -C build/dev bench_object_put && build/dev/bench_object_put FOLDER [3]      3: seconds a case, not 2
 *
 * FOLDER is made and must be on the disk that is to be measured. Prints one line a case: threads, puts a second, files a second.
 */
#include "base/mem.h"
#include "object/object.h"
#include "os/os.h"
#include "os/thread.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

enum { BYTES = 4096, THREADS_MAX = 64 };

struct work {
    struct os *os;
    struct blobs *blobs; // NULL: plain files
    const char *dir;
    int id;
    int64_t until_ns;
    int64_t done;
};

static bool put_object(struct work *w, struct str bytes, struct err *e)
{
    char *key = mem_fmt("%d/%lld", w->id, (long long)w->done);
    bool ok = object_put_bytes(w->blobs, STR("bench"), str_of(key), bytes, NULL, e);

    mem_free(key);
    return ok;
}

static bool put_file(struct work *w, struct str bytes, struct err *e)
{
    char *path = mem_fmt("%s/%d-%lld", w->dir, w->id, (long long)w->done);
    int fd = os_open(w->os, path, O_WRONLY | O_CREAT | O_EXCL, e);
    bool ok = fd >= 0 && os_write(w->os, fd, bytes.p, bytes.n, 0, e) && os_sync(w->os, fd, e);

    os_close(w->os, fd);
    mem_free(path);
    return ok && os_sync_dir(w->os, w->dir, e);
}

static void run(void *arg)
{
    struct work *w = arg;
    char bytes[BYTES];
    struct err e;

    memset(bytes, 'x', sizeof bytes);
    while (w->os->now_ns(w->os) < w->until_ns) {
        if (!(w->blobs ? put_object : put_file)(w, str_from(bytes, sizeof bytes), &e)) {
            (void)fprintf(stderr, "object_put: %s\n", e.msg);
            exit(1); // NOLINT(concurrency-mt-unsafe): the bench is over
        }
        w->done++;
    }
}

/* Puts a second of so many threads. */
static double rate(struct os *os, struct blobs *b, const char *dir, int threads, int seconds)
{
    struct work works[THREADS_MAX];
    struct thread list[THREADS_MAX];
    int64_t begin = os->now_ns(os), done = 0;
    static int id;

    for (int i = 0; i < threads; i++) {
        works[i] = (struct work){os, b, dir, id++, begin + (int64_t)seconds * 1000000000, 0};
        thread_start(&list[i], "put", run, &works[i]);
    }
    for (int i = 0; i < threads; i++) {
        thread_join(&list[i]);
        done += works[i].done;
    }
    return (double)done * 1e9 / (double)(os->now_ns(os) - begin);
}

int main(int argc, char **argv)
{
    struct os *os = os_real();
    int64_t seconds = 2;
    struct blobs *b;
    struct err e;
    char *files, *store;

    if (argc < 2 || (argc > 2 && !str_i64(str_of(argv[2]), &seconds))) {
        (void)fprintf(stderr, "usage: bench_object_put FOLDER [SECONDS]\n");
        return 2;
    }
    files = mem_fmt("%s/files", argv[1]);
    store = mem_fmt("%s/store", argv[1]);
    if (!os_make_dirs(os, files, &e) || !object_open_local(os, store, &b, &e) ||
        !bucket_create(b, STR("bench"), &e)) {
        (void)fprintf(stderr, "object_put: %s\n", e.msg);
        return 1;
    }
    for (int threads = 1; threads <= 16; threads *= 16)
        printf("%d %.1f %.1f\n", threads, rate(os, b, NULL, threads, (int)seconds),
               rate(os, NULL, files, threads, (int)seconds));
    object_close(b);
    mem_free(files);
    mem_free(store);
    return 0;
}
