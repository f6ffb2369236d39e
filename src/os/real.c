/* The table of os.h over the kernel. */
#include "os/os.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int real_open(struct os *os, const char *path, int flags)
{
    (void)os;
    return open(path, flags | O_CLOEXEC, 0600);
}

static ssize_t real_pread(struct os *os, int fd, void *p, size_t n, int64_t at)
{
    (void)os;
    return pread(fd, p, n, at);
}

static ssize_t real_pread_now(struct os *os, int fd, void *p, size_t n, int64_t at)
{
    struct iovec v = {p, n};
    ssize_t got = preadv2(fd, &v, 1, at, RWF_NOWAIT);

    (void)os;
    if (got < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL)) // the file system cannot tell
        errno = EAGAIN;
    return got;
}

static ssize_t real_pwritev(struct os *os, int fd, const struct iovec *v, int count, int64_t at)
{
    (void)os;
    return pwritev(fd, v, count, at);
}

static int real_fdatasync(struct os *os, int fd)
{
    (void)os;
    return fdatasync(fd);
}

static int real_fsync(struct os *os, int fd)
{
    (void)os;
    return fsync(fd);
}

static int real_sync_range(struct os *os, int fd, int64_t at, int64_t n)
{
    (void)os;
    return sync_file_range(fd, at, n,
                           SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
}

/* A file system that cannot reserve blocks gets a file of that size, whose blocks come when they are written. */
static int real_fallocate(struct os *os, int fd, int64_t at, int64_t n)
{
    struct stat st;

    (void)os;
    if (fallocate(fd, 0, at, n) == 0)
        return 0;
    if (errno != EOPNOTSUPP || fstat(fd, &st) != 0)
        return -1;
    return st.st_size >= at + n ? 0 : ftruncate(fd, at + n);
}

static void real_advise(struct os *os, int fd, int64_t at, int64_t n, enum os_advice what)
{
    (void)os;
    if (what == OS_WRITE_OUT)
        (void)sync_file_range(fd, at, n, SYNC_FILE_RANGE_WRITE);
    else
        (void)posix_fadvise(fd, at, n,
                            what == OS_FORGET    ? POSIX_FADV_DONTNEED
                            : what == OS_READ_IN ? POSIX_FADV_WILLNEED
                                                 : POSIX_FADV_RANDOM);
}

static int real_ftruncate(struct os *os, int fd, int64_t size)
{
    (void)os;
    return ftruncate(fd, size);
}

static int real_close(struct os *os, int fd)
{
    (void)os;
    return close(fd);
}

static int real_rename(struct os *os, const char *from, const char *to)
{
    (void)os;
    return rename(from, to);
}

static int real_unlink(struct os *os, const char *path)
{
    (void)os;
    return unlink(path);
}

static int real_rmdir(struct os *os, const char *path)
{
    (void)os;
    return rmdir(path);
}

static int real_mkdir(struct os *os, const char *path)
{
    (void)os;
    return mkdir(path, 0700);
}

static int real_stat(struct os *os, const char *path, struct os_stat *out)
{
    struct stat st;

    (void)os;
    if (stat(path, &st) != 0)
        return -1;
    *out = (struct os_stat){
        .size_bytes = st.st_size,
        .mtime_us = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000,
        .inode = st.st_ino,
        .is_dir = S_ISDIR(st.st_mode),
    };
    return 0;
}

static int real_list(struct os *os, const char *path, os_name_fn *each, void *arg)
{
    struct dirent *ent;
    DIR *dir = opendir(path);

    (void)os;
    if (!dir)
        return -1;
    while ((ent = readdir(dir)) != NULL) // NOLINT(concurrency-mt-unsafe): one DIR, one thread
        if (strcmp(ent->d_name, ".") != 0 && strcmp(ent->d_name, "..") != 0)
            each(arg, str_of(ent->d_name));
    (void)closedir(dir);
    return 0;
}

static int64_t clock_ns(clockid_t id)
{
    struct timespec t;

    if (clock_gettime(id, &t) != 0)
        abort();
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t real_now_ns(struct os *os)
{
    (void)os;
    return clock_ns(CLOCK_MONOTONIC);
}

static int64_t real_wall_us(struct os *os)
{
    (void)os;
    return clock_ns(CLOCK_REALTIME) / 1000;
}

static void real_random(struct os *os, void *p, size_t n)
{
    char *to = p;

    (void)os;
    while (n > 0) {
        ssize_t got = getrandom(to, n, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            abort();
        to += got;
        n -= (size_t)got;
    }
}

struct os *os_real(void)
{
    static struct os os = {
        .open = real_open,
        .pread = real_pread,
        .pread_now = real_pread_now,
        .pwritev = real_pwritev,
        .fdatasync = real_fdatasync,
        .fsync = real_fsync,
        .sync_range = real_sync_range,
        .fallocate = real_fallocate,
        .advise = real_advise,
        .ftruncate = real_ftruncate,
        .close = real_close,
        .rename = real_rename,
        .unlink = real_unlink,
        .rmdir = real_rmdir,
        .mkdir = real_mkdir,
        .stat = real_stat,
        .list = real_list,
        .now_ns = real_now_ns,
        .wall_us = real_wall_us,
        .random = real_random,
    };

    return &os;
}

int64_t os_rss_bytes(void)
{
    long long pages = 0;
    FILE *in = fopen("/proc/self/statm", "re");

    if (!in)
        return 0;
    if (fscanf(in, "%*d %lld", &pages) != 1) // NOLINT(cert-err34-c): the kernel wrote it
        pages = 0;
    (void)fclose(in);
    return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

int64_t os_cpu_us(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID) / 1000;
}

void os_say(struct str text)
{
    while (text.n > 0) {
        ssize_t n = write(STDERR_FILENO, text.p, text.n);
        if (n <= 0)
            return;
        text.p += n;
        text.n -= (size_t)n;
    }
}

int os_cores(void)
{
    int64_t n = sysconf(_SC_NPROCESSORS_ONLN);

    return n < 1 ? 1 : (int)n;
}
