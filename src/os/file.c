/* What os.h builds on the table: whole transfers, whole files, folders. */
#include "base/arena.h"
#include "base/mem.h"
#include "os/os.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

int os_open(struct os *os, const char *path, int flags, struct err *e)
{
    int fd = os->open(os, path, flags);

    if (fd < 0)
        (void)(errno == ENOENT ? err_set_at(e, ERR_NOT_FOUND, errno, ERR_HERE, "open %s", path)
                               : err_sys(e, "open %s", path));
    return fd;
}

void os_close(struct os *os, int fd)
{
    if (fd >= 0)
        (void)os->close(os, fd);
}

bool os_writev(struct os *os, int fd, struct iovec *v, int count, int64_t at, struct err *e)
{
    while (count > 0) {
        ssize_t w = os->pwritev(os, fd, v, count > 1024 ? 1024 : count, at);

        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return err_sys(e, "write at %lld", (long long)at);
        at += w;
        for (; count > 0 && (size_t)w >= v->iov_len; v++, count--)
            w -= (ssize_t)v->iov_len;
        if (count > 0) {
            v->iov_base = (char *)v->iov_base + w;
            v->iov_len -= (size_t)w;
        }
    }
    return true;
}

bool os_write(struct os *os, int fd, const void *p, size_t n, int64_t at, struct err *e)
{
    union { // iovec has no const
        const void *from;
        void *base;
    } u = {.from = p};
    struct iovec v = {u.base, n};

    return os_writev(os, fd, &v, 1, at, e);
}

ssize_t os_read_some(struct os *os, int fd, void *p, size_t n, int64_t at, struct err *e)
{
    size_t got = 0;

    while (got < n) {
        ssize_t r = os->pread(os, fd, (char *)p + got, n - got, at + (int64_t)got);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0) {
            (void)err_sys(e, "read at %lld", (long long)at);
            return -1;
        }
        if (r == 0)
            break;
        got += (size_t)r;
    }
    return (ssize_t)got;
}

bool os_read_now(struct os *os, int fd, void *p, size_t n, int64_t at)
{
    for (size_t got = 0; got < n;) {
        ssize_t r = os->pread_now(os, fd, (char *)p + got, n - got, at + (int64_t)got);

        if (r == 0 || (r < 0 && errno != EINTR))
            return false;
        got += r > 0 ? (size_t)r : 0;
    }
    return true;
}

bool os_read(struct os *os, int fd, void *p, size_t n, int64_t at, struct err *e)
{
    ssize_t got = os_read_some(os, fd, p, n, at, e);

    if (got < 0)
        return false;
    if ((size_t)got < n)
        return err_set(e, ERR_CORRUPT, "file ends at %lld, %zu bytes are missing", (long long)(at + got),
                       n - (size_t)got);
    return true;
}

bool os_sync(struct os *os, int fd, struct err *e)
{
    return os->fdatasync(os, fd) == 0 || err_sys(e, "sync to disk");
}

bool os_sync_range(struct os *os, int fd, int64_t at, int64_t n, struct err *e)
{
    return os->sync_range(os, fd, at, n) == 0 || err_sys(e, "write to disk");
}

bool os_sync_dir(struct os *os, const char *path, struct err *e)
{
    int fd = os_open(os, path, O_RDONLY | O_DIRECTORY, e);
    bool ok;

    if (fd < 0)
        return false;
    ok = os->fsync(os, fd) == 0 || err_sys(e, "sync folder %s", path);
    os_close(os, fd);
    return ok;
}

bool os_exists(struct os *os, const char *path)
{
    struct os_stat st;

    return os->stat(os, path, &st) == 0;
}

bool os_space(const char *path, struct os_space *out, struct err *e)
{
    struct statvfs v;

    if (statvfs(path, &v) != 0)
        return err_sys(e, "ask for the space at %s", path);
    out->total_bytes = (int64_t)v.f_blocks * (int64_t)v.f_frsize;
    out->usable_bytes = (int64_t)v.f_bavail * (int64_t)v.f_frsize;
    return true;
}

bool os_same_file(struct os *os, const char *a, const char *b)
{
    struct os_stat x, y;

    return os->stat(os, a, &x) == 0 && os->stat(os, b, &y) == 0 && x.inode == y.inode;
}

bool os_size(struct os *os, const char *path, int64_t *size, struct err *e)
{
    struct os_stat st;

    if (os->stat(os, path, &st) != 0)
        return err_sys(e, "stat %s", path);
    *size = st.size_bytes;
    return true;
}

bool os_read_file(struct os *os, const char *path, size_t max, struct arena *a, struct str *out,
                  struct err *e)
{
    int fd = os_open(os, path, O_RDONLY, e);
    bool ok = false;
    ssize_t got;
    int64_t size;
    char *p;

    if (fd < 0 || !os_size(os, path, &size, e))
        goto out;
    if ((uint64_t)size > max) {
        (void)err_set(e, ERR_LIMIT, "%s has %lld bytes, at most %zu are allowed", path, (long long)size, max);
        goto out;
    }
    p = arena_alloc(a, (size_t)size + 1);
    got = os_read_some(os, fd, p, (size_t)size, 0, e);
    if (got < 0) {
        (void)err_wrap(e, "%s", path);
        goto out;
    }
    *out = str_from(p, (size_t)got);
    ok = true;
out:
    os_close(os, fd);
    return ok;
}

/* The folder a path is in, with its NUL, in a buffer of the path's length + 2. */
static void parent_of(const char *path, char *out)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;

    if (!slash || n == 0) {
        out[0] = slash ? '/' : '.';
        out[1] = 0;
        return;
    }
    memcpy(out, path, n);
    out[n] = 0;
}

bool os_replace_file(struct os *os, const char *path, struct str content, struct err *e)
{
    struct arena a = {0};
    char *temp = arena_fmt(&a, "%s.tmp", path);
    char *dir = arena_alloc(&a, strlen(path) + 2);
    int fd = os_open(os, temp, O_WRONLY | O_CREAT | O_TRUNC, e);
    bool ok = fd >= 0 && os_write(os, fd, content.p, content.n, 0, e) && os_sync(os, fd, e);

    os_close(os, fd);
    if (ok && os->rename(os, temp, path) != 0)
        ok = err_sys(e, "rename %s", temp);
    parent_of(path, dir);
    ok = ok && os_sync_dir(os, dir, e);
    if (!ok) {
        (void)err_wrap(e, "replace %s", path);
        (void)os->unlink(os, temp);
    }
    arena_fini(&a);
    return ok;
}

bool os_make_dirs(struct os *os, const char *path, struct err *e)
{
    char *copy = mem_str(path);
    bool ok = true;

    for (char *at = copy + 1; ok; at++) {
        char was = *at;

        if (was != '/' && was != 0)
            continue;
        *at = 0;
        if (os->mkdir(os, copy) != 0 && errno != EEXIST)
            ok = err_sys(e, "make folder %s", copy);
        *at = was;
        if (was == 0)
            break;
    }
    mem_free(copy);
    return ok;
}

static int by_bytes(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

struct names {
    struct arena *a;
    struct str *list;
    size_t n, cap;
};

static void add_name(void *arg, struct str name)
{
    struct names *all = arg;

    MEM_PUSH_ROOM(all->list, all->n, all->cap);
    all->list[all->n++] = arena_str(all->a, name);
}

bool os_list(struct os *os, const char *path, struct arena *a, struct str **names, size_t *count,
             struct err *e)
{
    struct names all = {.a = a};

    if (os->list(os, path, add_name, &all) != 0) {
        (void)(errno == ENOENT ? err_set_at(e, ERR_NOT_FOUND, errno, ERR_HERE, "folder %s", path)
                               : err_sys(e, "folder %s", path));
        mem_free(all.list);
        return false;
    }
    if (all.n > 0)
        qsort(all.list, all.n, sizeof *all.list, by_bytes);
    *names = all.n > 0 ? arena_copy(a, all.list, all.n * sizeof *all.list) : NULL;
    *count = all.n;
    mem_free(all.list);
    return true;
}

bool os_remove_tree(struct os *os, const char *path, struct err *e)
{
    struct arena a = {0};
    struct os_stat st;
    struct str *names;
    size_t count;
    bool ok = true;

    if (os->stat(os, path, &st) != 0)
        return errno == ENOENT || err_sys(e, "remove %s", path);
    if (!st.is_dir)
        return os->unlink(os, path) == 0 || err_sys(e, "remove %s", path);
    ok = os_list(os, path, &a, &names, &count, e);
    for (size_t i = 0; ok && i < count; i++) // NOLINTNEXTLINE(misc-no-recursion): as deep as the folders are
        ok = os_remove_tree(os, arena_fmt(&a, "%s/%.*s", path, STR_ARG(names[i])), e);
    if (ok && os->rmdir(os, path) != 0)
        ok = err_sys(e, "remove %s", path);
    arena_fini(&a);
    return ok;
}

bool os_give(const char *path, uint32_t uid, uint32_t gid, struct err *e)
{
    return chown(path, uid, gid) == 0 || err_sys(e, "give %s to user %u", path, uid);
}

int os_dup(int fd, struct err *e)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    if (copy < 0)
        (void)err_sys(e, "duplicate a descriptor");
    return copy;
}

char *os_full_path(const char *path, struct err *e)
{
    char *full = realpath(path, NULL);

    if (!full)
        (void)(errno == ENOENT ? err_set_at(e, ERR_NOT_FOUND, errno, ERR_HERE, "there is no %s", path)
                               : err_sys(e, "%s", path));
    return full;
}
