#include "os/ram.h"

#include "base/map.h"
#include "base/mem.h"
#include "os/thread.h"

#include <assert.h>
#include <fcntl.h>

enum { SECTOR = 512, FDS = 4096, FD_BASE = 1 << 20 }; // numbers that the kernel never gives

struct content {
    uint8_t *p;
    int64_t size;
};

struct node {
    bool is_dir;
    struct content now, synced;
    uint64_t inode;
    struct node *next; // of all, for ram_free
};

struct ram {
    struct os os;            // first: a struct os * is a struct ram *
    struct mutex lock;       // all below
    struct map now, durable; // path -> node
    struct node *all;
    struct node *fds[FDS];
    char *fd_path[FDS];
    uint64_t random, inodes, changes, die_at;
    int64_t limit;
};

static struct ram *ram_of(struct os *os)
{
    return (struct ram *)(void *)os;
}

/* xorshift: the same seed gives the same crash. */
static uint64_t next_random(struct ram *r)
{
    r->random ^= r->random << 13;
    r->random ^= r->random >> 7;
    r->random ^= r->random << 17;
    return r->random;
}

static int fail(int error)
{
    errno = error;
    return -1;
}

static struct str parent_of(struct str path)
{
    while (path.n > 0 && path.p[path.n - 1] != '/')
        path.n--;
    return str_from(path.p, path.n > 0 ? path.n - 1 : 0);
}

static struct node *find(struct ram *r, const char *path)
{
    return map_get(&r->now, str_of(path));
}

static struct node *node_new(struct ram *r, bool is_dir)
{
    struct node *n = MEM_NEW(struct node);

    n->is_dir = is_dir;
    n->inode = ++r->inodes;
    n->next = r->all;
    r->all = n;
    return n;
}

static void content_resize(struct content *c, int64_t size)
{
    c->p = mem_grow(c->p, (size_t)size);
    if (size > c->size)
        memset(c->p + c->size, 0, (size_t)(size - c->size));
    c->size = size;
}

static void content_copy(struct content *to, const struct content *from)
{
    to->p = mem_grow(to->p, (size_t)from->size);
    if (from->size > 0)
        memcpy(to->p, from->p, (size_t)from->size);
    to->size = from->size;
}

static int64_t used(const struct ram *r)
{
    int64_t sum = 0;

    for (struct map_it it = {0}; map_next(&r->now, &it);)
        sum += ((struct node *)it.value)->now.size;
    return sum;
}

/* Counts a call that changes something. False, with the lock given back: the machine is dead. */
static bool begin(struct ram *r, bool change)
{
    mutex_lock(&r->lock);
    if (r->changes < r->die_at) {
        r->changes += change;
        return true;
    }
    mutex_unlock(&r->lock);
    errno = EIO;
    return false;
}

static int end(struct ram *r, int error)
{
    mutex_unlock(&r->lock);
    return error ? fail(error) : 0;
}

static struct node *node_of(struct ram *r, int fd)
{
    assert(fd >= FD_BASE && fd < FD_BASE + FDS && r->fds[fd - FD_BASE]);
    return r->fds[fd - FD_BASE];
}

/* ---- the table ---- */

static int ram_open(struct os *os, const char *path, int flags)
{
    struct ram *r = ram_of(os);
    struct node *n;
    int fd = 0;

    if (!begin(r, (flags & (O_CREAT | O_TRUNC)) != 0))
        return -1;
    n = find(r, path);
    if (!n && (!(flags & O_CREAT) || !map_get(&r->now, parent_of(str_of(path))))) {
        mutex_unlock(&r->lock);
        return fail(ENOENT);
    }
    if (!n) {
        n = node_new(r, false);
        (void)map_put(&r->now, str_of(path), n);
    }
    if (flags & O_TRUNC)
        n->now.size = 0;
    while (fd < FDS && r->fds[fd])
        fd++;
    assert(fd < FDS);
    r->fds[fd] = n;
    r->fd_path[fd] = mem_str(path);
    mutex_unlock(&r->lock);
    return FD_BASE + fd;
}

static int ram_close(struct os *os, int fd)
{
    struct ram *r = ram_of(os);

    mutex_lock(&r->lock);
    (void)node_of(r, fd);
    r->fds[fd - FD_BASE] = NULL;
    mem_free(r->fd_path[fd - FD_BASE]);
    r->fd_path[fd - FD_BASE] = NULL;
    mutex_unlock(&r->lock);
    return 0;
}

static ssize_t ram_pread(struct os *os, int fd, void *p, size_t n, int64_t at)
{
    struct ram *r = ram_of(os);
    const struct content *c;

    if (!begin(r, false))
        return -1;
    c = &node_of(r, fd)->now;
    if (at >= c->size)
        n = 0;
    else if ((int64_t)n > c->size - at)
        n = (size_t)(c->size - at);
    if (n > 0)
        memcpy(p, c->p + at, n);
    mutex_unlock(&r->lock);
    return (ssize_t)n;
}

static ssize_t ram_pwritev(struct os *os, int fd, const struct iovec *v, int count, int64_t at)
{
    struct ram *r = ram_of(os);
    struct content *c;
    int64_t n = 0;

    for (int i = 0; i < count; i++)
        n += (int64_t)v[i].iov_len;
    if (!begin(r, true))
        return -1;
    c = &node_of(r, fd)->now;
    if (r->limit >= 0 && at + n > c->size && used(r) + at + n - c->size > r->limit)
        return end(r, ENOSPC);
    if (at + n > c->size)
        content_resize(c, at + n);
    for (int i = 0; i < count; i++) {
        if (v[i].iov_len > 0)
            memcpy(c->p + at, v[i].iov_base, v[i].iov_len);
        at += (int64_t)v[i].iov_len;
    }
    mutex_unlock(&r->lock);
    return (ssize_t)n;
}

/* Names in a folder become durable as they are now. */
static void sync_names(struct ram *r, const char *dir)
{
    struct map kept = {0};

    for (struct map_it it = {0}; map_next(&r->durable, &it);)
        if (!str_eq(parent_of(it.key), str_of(dir)))
            (void)map_put(&kept, it.key, it.value);
    for (struct map_it it = {0}; map_next(&r->now, &it);)
        if (str_eq(parent_of(it.key), str_of(dir)))
            (void)map_put(&kept, it.key, it.value);
    map_fini(&r->durable);
    r->durable = kept;
}

static int ram_fsync(struct os *os, int fd)
{
    struct ram *r = ram_of(os);
    struct node *n;

    if (!begin(r, true))
        return -1;
    n = node_of(r, fd);
    if (n->is_dir)
        sync_names(r, r->fd_path[fd - FD_BASE]);
    else
        content_copy(&n->synced, &n->now);
    return end(r, 0);
}

static int ram_sync_range(struct os *os, int fd, int64_t at, int64_t n)
{
    struct ram *r = ram_of(os);

    (void)fd, (void)at, (void)n; // it promises nothing
    return begin(r, true) ? end(r, 0) : -1;
}

static int ram_fallocate(struct os *os, int fd, int64_t at, int64_t n)
{
    struct ram *r = ram_of(os);
    struct content *c;

    if (!begin(r, true))
        return -1;
    c = &node_of(r, fd)->now;
    if (r->limit >= 0 && at + n > c->size && used(r) + at + n - c->size > r->limit)
        return end(r, ENOSPC);
    if (at + n > c->size)
        content_resize(c, at + n);
    return end(r, 0);
}

static void ram_advise(struct os *os, int fd, int64_t at, int64_t n, enum os_advice what)
{
    (void)os, (void)fd, (void)at, (void)n, (void)what;
}

static int ram_ftruncate(struct os *os, int fd, int64_t size)
{
    struct ram *r = ram_of(os);

    if (!begin(r, true))
        return -1;
    content_resize(&node_of(r, fd)->now, size);
    return end(r, 0);
}

/* The map with everything at or below `from` under `to` instead. */
static void move(struct map *m, struct str from, struct str to)
{
    struct map moved = {0};

    for (struct map_it it = {0}; map_next(m, &it);) {
        bool below = str_starts(it.key, from) && (it.key.n == from.n || it.key.p[from.n] == '/');
        char *path =
            mem_fmt("%.*s%.*s", STR_ARG(to), below ? (int)(it.key.n - from.n) : 0, it.key.p + from.n);

        if (below || !str_eq(it.key, to))
            (void)map_put(&moved, below ? str_of(path) : it.key, it.value);
        mem_free(path);
    }
    map_fini(m);
    *m = moved;
}

static int ram_rename(struct os *os, const char *from, const char *to)
{
    struct ram *r = ram_of(os);
    const struct node *n;

    if (!begin(r, true))
        return -1;
    n = find(r, from);
    if (!n)
        return end(r, ENOENT);
    move(&r->now, str_of(from), str_of(to));
    if (n->is_dir) // a simplification: a folder that moves does so for good
        move(&r->durable, str_of(from), str_of(to));
    return end(r, 0);
}

static int ram_remove(struct os *os, const char *path, bool dir)
{
    struct ram *r = ram_of(os);
    struct node *n;

    if (!begin(r, true))
        return -1;
    n = find(r, path);
    if (!n)
        return end(r, ENOENT);
    if (n->is_dir != dir)
        return end(r, dir ? ENOTDIR : EISDIR);
    for (struct map_it it = {0}; dir && map_next(&r->now, &it);)
        if (str_eq(parent_of(it.key), str_of(path)))
            return end(r, ENOTEMPTY);
    (void)map_del(&r->now, str_of(path));
    return end(r, 0);
}

static int ram_unlink(struct os *os, const char *path)
{
    return ram_remove(os, path, false);
}

static int ram_rmdir(struct os *os, const char *path)
{
    return ram_remove(os, path, true);
}

static int ram_mkdir(struct os *os, const char *path)
{
    struct ram *r = ram_of(os);
    struct str up = parent_of(str_of(path));
    struct node *n;

    if (!begin(r, true))
        return -1;
    if (find(r, path))
        return end(r, EEXIST);
    if (up.n > 0 && !map_get(&r->now, up))
        return end(r, ENOENT);
    n = node_new(r, true);
    (void)map_put(&r->now, str_of(path), n);
    if (up.n == 0) // there is no folder above it to sync
        (void)map_put(&r->durable, str_of(path), n);
    return end(r, 0);
}

static int ram_stat(struct os *os, const char *path, struct os_stat *st)
{
    struct ram *r = ram_of(os);
    const struct node *n;

    if (!begin(r, false))
        return -1;
    n = find(r, path);
    if (n)
        *st = (struct os_stat){.size_bytes = n->now.size, .inode = n->inode, .is_dir = n->is_dir};
    return end(r, n ? 0 : ENOENT);
}

static int ram_list(struct os *os, const char *path, os_name_fn *each, void *arg)
{
    struct ram *r = ram_of(os);
    size_t skip = strlen(path) + 1;
    const struct node *n;

    if (!begin(r, false))
        return -1;
    n = find(r, path);
    if (!n || !n->is_dir)
        return end(r, n ? ENOTDIR : ENOENT);
    for (struct map_it it = {0}; map_next(&r->now, &it);)
        if (str_eq(parent_of(it.key), str_of(path)))
            each(arg, str_from(it.key.p + skip, it.key.n - skip));
    return end(r, 0);
}

static int64_t ram_now_ns(struct os *os)
{
    (void)os;
    return os_real()->now_ns(os_real());
}

static int64_t ram_wall_us(struct os *os)
{
    (void)os;
    return os_real()->wall_us(os_real());
}

static void ram_random(struct os *os, void *p, size_t n)
{
    struct ram *r = ram_of(os);

    mutex_lock(&r->lock);
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)p)[i] = (uint8_t)next_random(r);
    mutex_unlock(&r->lock);
}

/* ---- the power cut ---- */

/* Of each sector that differs, and of the size, chance takes the old or the new. */
static void crash_content(struct ram *r, struct node *n)
{
    struct content *now = &n->now, *old = &n->synced;
    int64_t size = next_random(r) & 1 ? now->size : old->size;

    for (int64_t at = 0; at < now->size; at += SECTOR) {
        int64_t len = now->size - at < SECTOR ? now->size - at : SECTOR;

        if (next_random(r) & 1)
            continue;
        memset(now->p + at, 0, (size_t)len);
        if (at < old->size)
            memcpy(now->p + at, old->p + at, (size_t)(old->size - at < len ? old->size - at : len));
    }
    if (size > now->size) { // it had been cut, and the cut is lost
        int64_t was = now->size;

        content_resize(now, size);
        memcpy(now->p + was, old->p + was, (size_t)(size - was));
    }
    now->size = size;
    content_copy(old, now);
}

/* Names that are there after the crash: those both states agree on, and of the others what chance says. */
static void crash_names(struct ram *r)
{
    struct map left = {0};

    for (struct map_it it = {0}; map_next(&r->now, &it);)
        if (map_get(&r->durable, it.key) == it.value || (next_random(r) & 1))
            (void)map_put(&left, it.key, it.value);
    for (struct map_it it = {0}; map_next(&r->durable, &it);)
        if (!map_get(&left, it.key) && map_get(&r->now, it.key) != it.value &&
            (map_get(&r->now, it.key) || (next_random(r) & 1)))
            (void)map_put(&left, it.key, it.value);
    map_fini(&r->now);
    map_fini(&r->durable);
    r->now = left;
}

/* What is below a folder that is gone is gone. */
static void drop_orphans(struct ram *r)
{
    bool again = true;

    while (again) {
        again = false;
        for (struct map_it it = {0}; map_next(&r->now, &it);) {
            struct str up = parent_of(it.key);

            if (up.n > 0 && !map_get(&r->now, up)) {
                (void)map_del(&r->now, it.key);
                again = true;
            }
        }
    }
}

void ram_crash(struct ram *r)
{
    mutex_lock(&r->lock);
    for (size_t i = 0; i < FDS; i++) {
        r->fds[i] = NULL;
        mem_free(r->fd_path[i]);
        r->fd_path[i] = NULL;
    }
    for (struct node *n = r->all; n; n = n->next)
        if (!n->is_dir)
            crash_content(r, n);
    crash_names(r);
    drop_orphans(r);
    for (struct map_it it = {0}; map_next(&r->now, &it);)
        (void)map_put(&r->durable, it.key, it.value);
    r->die_at = UINT64_MAX;
    mutex_unlock(&r->lock);
}

void ram_sync(struct ram *r)
{
    mutex_lock(&r->lock);
    for (struct node *n = r->all; n; n = n->next)
        content_copy(&n->synced, &n->now);
    map_fini(&r->durable);
    for (struct map_it it = {0}; map_next(&r->now, &it);)
        (void)map_put(&r->durable, it.key, it.value);
    mutex_unlock(&r->lock);
}

void ram_die_after(struct ram *r, uint64_t n)
{
    mutex_lock(&r->lock);
    r->die_at = r->changes + n;
    mutex_unlock(&r->lock);
}

uint64_t ram_changes(struct ram *r)
{
    uint64_t n;

    mutex_lock(&r->lock);
    n = r->changes;
    mutex_unlock(&r->lock);
    return n;
}

void ram_limit(struct ram *r, int64_t bytes)
{
    mutex_lock(&r->lock);
    r->limit = bytes;
    mutex_unlock(&r->lock);
}

struct os *ram_os(struct ram *r)
{
    return &r->os;
}

struct ram *ram_new(uint64_t seed)
{
    struct ram *r = MEM_NEW(struct ram);

    r->os = (struct os){
        .open = ram_open,
        .pread = ram_pread,
        .pread_now = ram_pread,
        .pwritev = ram_pwritev,
        .fdatasync = ram_fsync,
        .fsync = ram_fsync,
        .sync_range = ram_sync_range,
        .fallocate = ram_fallocate,
        .advise = ram_advise,
        .ftruncate = ram_ftruncate,
        .close = ram_close,
        .rename = ram_rename,
        .unlink = ram_unlink,
        .rmdir = ram_rmdir,
        .mkdir = ram_mkdir,
        .stat = ram_stat,
        .list = ram_list,
        .now_ns = ram_now_ns,
        .wall_us = ram_wall_us,
        .random = ram_random,
    };
    mutex_init(&r->lock);
    r->random = seed * 2 + 1;
    r->limit = -1;
    r->die_at = UINT64_MAX;
    return r;
}

void ram_free(struct ram *r)
{
    if (!r)
        return;
    for (struct node *n = r->all, *next; n; n = next) {
        next = n->next;
        mem_free(n->now.p);
        mem_free(n->synced.p);
        mem_free(n);
    }
    for (size_t i = 0; i < FDS; i++)
        mem_free(r->fd_path[i]);
    map_fini(&r->now);
    map_fini(&r->durable);
    mutex_fini(&r->lock);
    mem_free(r);
}
