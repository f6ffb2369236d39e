#include "os/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>

static struct os_fault *fault_of(struct os *os)
{
    return (struct os_fault *)os;
}

/* True when this call is the one to fail. Calls may come from several threads. */
static bool hit(struct os_fault *f, bool writes)
{
    if (f->writes_only && !writes)
        return false;
    if (__atomic_load_n(&f->hits, __ATOMIC_SEQ_CST) > 0 && !__atomic_load_n(&f->persistent, __ATOMIC_SEQ_CST))
        return false;
    if (__atomic_load_n(&f->hits, __ATOMIC_SEQ_CST) == 0 &&
        __atomic_fetch_sub(&f->countdown, 1, __ATOMIC_SEQ_CST) != 0)
        return false;
    (void)__atomic_fetch_add(&f->hits, 1, __ATOMIC_SEQ_CST);
    errno = f->kind == OS_FAULT_EIO || !writes ? EIO : ENOSPC;
    return true;
}

static int fault_open(struct os *os, const char *path, int flags)
{
    struct os_fault *f = fault_of(os);

    return hit(f, false) ? -1 : f->under->open(f->under, path, flags);
}

static ssize_t fault_pread(struct os *os, int fd, void *p, size_t n, int64_t at)
{
    struct os_fault *f = fault_of(os);

    return hit(f, false) ? -1 : f->under->pread(f->under, fd, p, n, at);
}

static ssize_t fault_pread_now(struct os *os, int fd, void *p, size_t n, int64_t at)
{
    struct os_fault *f = fault_of(os);

    return hit(f, false) ? -1 : f->under->pread_now(f->under, fd, p, n, at);
}

static ssize_t fault_pwritev(struct os *os, int fd, const struct iovec *v, int count, int64_t at)
{
    struct os_fault *f = fault_of(os);
    struct iovec half = {v->iov_base, v->iov_len / 2};

    if (!hit(f, true))
        return f->under->pwritev(f->under, fd, v, count, at);
    if (f->kind == OS_FAULT_SHORT && half.iov_len > 0) {
        (void)f->under->pwritev(f->under, fd, &half, 1, at);
        errno = ENOSPC;
    }
    return -1;
}

static int fault_fdatasync(struct os *os, int fd)
{
    struct os_fault *f = fault_of(os);

    return hit(f, true) ? -1 : f->under->fdatasync(f->under, fd);
}

static int fault_fsync(struct os *os, int fd)
{
    struct os_fault *f = fault_of(os);

    return hit(f, true) ? -1 : f->under->fsync(f->under, fd);
}

static int fault_sync_range(struct os *os, int fd, int64_t at, int64_t n)
{
    struct os_fault *f = fault_of(os);

    return hit(f, true) ? -1 : f->under->sync_range(f->under, fd, at, n);
}

static int fault_fallocate(struct os *os, int fd, int64_t at, int64_t n)
{
    struct os_fault *f = fault_of(os);

    return hit(f, true) ? -1 : f->under->fallocate(f->under, fd, at, n);
}

static void fault_advise(struct os *os, int fd, int64_t at, int64_t n, enum os_advice what)
{
    struct os_fault *f = fault_of(os);

    f->under->advise(f->under, fd, at, n, what);
}

static int fault_ftruncate(struct os *os, int fd, int64_t size)
{
    struct os_fault *f = fault_of(os);

    return hit(f, true) ? -1 : f->under->ftruncate(f->under, fd, size);
}

static int fault_close(struct os *os, int fd)
{
    return fault_of(os)->under->close(fault_of(os)->under, fd);
}

static int fault_rename(struct os *os, const char *from, const char *to)
{
    struct os_fault *f = fault_of(os);

    return hit(f, true) ? -1 : f->under->rename(f->under, from, to);
}

static int fault_unlink(struct os *os, const char *path)
{
    struct os_fault *f = fault_of(os);

    return hit(f, true) ? -1 : f->under->unlink(f->under, path);
}

static int fault_rmdir(struct os *os, const char *path)
{
    struct os_fault *f = fault_of(os);

    return hit(f, true) ? -1 : f->under->rmdir(f->under, path);
}

static int fault_mkdir(struct os *os, const char *path)
{
    struct os_fault *f = fault_of(os);

    return hit(f, true) ? -1 : f->under->mkdir(f->under, path);
}

static int fault_stat(struct os *os, const char *path, struct os_stat *st)
{
    return fault_of(os)->under->stat(fault_of(os)->under, path, st);
}

static int fault_list(struct os *os, const char *path, os_name_fn *each, void *arg)
{
    return fault_of(os)->under->list(fault_of(os)->under, path, each, arg);
}

static int64_t fault_now_ns(struct os *os)
{
    return fault_of(os)->under->now_ns(fault_of(os)->under);
}

static int64_t fault_wall_us(struct os *os)
{
    return fault_of(os)->under->wall_us(fault_of(os)->under);
}

static void fault_random(struct os *os, void *p, size_t n)
{
    fault_of(os)->under->random(fault_of(os)->under, p, n);
}

void os_fault_init(struct os_fault *f, struct os *under, enum os_fault_kind kind, unsigned nth,
                   bool persistent)
{
    *f = (struct os_fault){
        .os =
            {
                .open = fault_open,
                .pread = fault_pread,
                .pread_now = fault_pread_now,
                .pwritev = fault_pwritev,
                .fdatasync = fault_fdatasync,
                .fsync = fault_fsync,
                .sync_range = fault_sync_range,
                .fallocate = fault_fallocate,
                .advise = fault_advise,
                .ftruncate = fault_ftruncate,
                .close = fault_close,
                .rename = fault_rename,
                .unlink = fault_unlink,
                .rmdir = fault_rmdir,
                .mkdir = fault_mkdir,
                .stat = fault_stat,
                .list = fault_list,
                .now_ns = fault_now_ns,
                .wall_us = fault_wall_us,
                .random = fault_random,
            },
        .under = under,
        .kind = kind,
        .countdown = nth,
        .persistent = persistent,
    };
}

static int no_sync(struct os *os, int fd)
{
    (void)os;
    (void)fd;
    return 0;
}

static int no_sync_range(struct os *os, int fd, int64_t at, int64_t n)
{
    (void)os, (void)fd, (void)at, (void)n;
    return 0;
}

static struct os unsynced;

/* Not every file system in memory takes O_DIRECT. */
static int open_cached(struct os *os, const char *path, int flags)
{
    return os_real()->open(os, path, flags & ~O_DIRECT);
}

static void unsynced_init(void)
{
    unsynced = *os_real();
    unsynced.open = open_cached;
    unsynced.fdatasync = no_sync;
    unsynced.fsync = no_sync;
    unsynced.sync_range = no_sync_range;
}

struct os *os_unsynced(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, unsynced_init);
    return &unsynced;
}

ssize_t os_pread_uncached(struct os *os, int fd, void *p, size_t n, int64_t at)
{
    (void)os;
    (void)fd;
    (void)p;
    (void)n;
    (void)at;
    errno = EAGAIN;
    return -1;
}

/* One kind of fault at the first call, the second, ... until the scenario ends before the fault comes. */
static bool walk_kind(os_scenario_fn *scenario, void *arg, enum os_fault_kind kind, bool persistent,
                      unsigned *faults)
{
    struct os_fault f;

    for (unsigned nth = 0;; nth++) {
        os_fault_init(&f, os_unsynced(), kind, nth, persistent);
        if (!scenario(&f.os, arg)) {
            printf("# broken by fault kind %d at call %u, persistent %d\n", (int)kind, nth, persistent);
            return false;
        }
        if (f.hits == 0)
            return true;
        (*faults)++;
    }
}

bool os_fault_walk(os_scenario_fn *scenario, void *arg, unsigned *faults)
{
    *faults = 0;
    for (int kind = 0; kind < OS_FAULT_KINDS; kind++)
        for (int persistent = 0; persistent < 2; persistent++)
            if (!walk_kind(scenario, arg, (enum os_fault_kind)kind, persistent != 0, faults))
                return false;
    return true;
}
