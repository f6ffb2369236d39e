/*
 * Who listens on a port: /proc/net/tcp names the socket's inode, and /proc/PID/fd names the process that holds it (ours
 * and, for root, everybody's). A courtesy for an error message: whatever cannot be read is skipped.
 */
#include "net/net_int.h"

#include "base/arena.h"
#include "os/os.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { TABLE_MAX = 4 << 20, COMM_MAX = 64 };

/* Files of /proc have no size: read until nothing comes. */
static struct str read_proc(const char *path, size_t max, struct arena *a)
{
    struct err e;
    int fd = os_open(os_real(), path, O_RDONLY, &e);
    char *p;
    ssize_t n;

    if (fd < 0)
        return STR("");
    p = arena_alloc(a, max);
    n = os_read_some(os_real(), fd, p, max, 0, &e);
    os_close(os_real(), fd);
    return str_from(p, n > 0 ? (size_t)n : 0);
}

/* "  sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode": address:port in hex, st 0A listens. */
static bool row_inode(struct str row, int port, uint64_t *inode)
{
    struct str field[10], word;
    size_t n = 0;
    char want[8];

    while (n < 10 && str_cut(&row, ' ', &word))
        if (word.n > 0)
            field[n++] = word;
    (void)snprintf(want, sizeof want, ":%04X", (unsigned)port);
    return n == 10 && str_ends(field[1], str_of(want)) && str_is(field[3], "0A") && str_u64(field[9], inode);
}

static bool find_inode(const char *table, int port, struct arena *a, uint64_t *inode)
{
    struct str text = read_proc(table, TABLE_MAX, a), row;

    while (str_cut(&text, '\n', &row))
        if (row_inode(row, port, inode))
            return true;
    return false;
}

static bool holds(const char *pid, const char *socket_name, struct arena *a)
{
    const char *dir = arena_fmt(a, "/proc/%s/fd", pid);
    struct str *fds;
    struct err e;
    size_t n;

    if (!os_list(os_real(), dir, a, &fds, &n, &e))
        return false;
    for (size_t i = 0; i < n; i++) {
        char link[64];
        ssize_t len = readlink(arena_fmt(a, "%s/%.*s", dir, STR_ARG(fds[i])), link, sizeof link - 1);
        if (len > 0 && str_is(str_from(link, (size_t)len), socket_name))
            return true;
    }
    return false;
}

const char *port_owner(int port, char *out, size_t max)
{
    struct arena a = {0};
    uint64_t inode, pid;
    struct str *pids;
    struct err e;
    size_t n;

    out[0] = 0;
    if ((find_inode("/proc/net/tcp", port, &a, &inode) || find_inode("/proc/net/tcp6", port, &a, &inode)) &&
        os_list(os_real(), "/proc", &a, &pids, &n, &e)) {
        const char *name = arena_fmt(&a, "socket:[%llu]", (unsigned long long)inode);
        for (size_t i = 0; i < n && !out[0]; i++) {
            const char *dir = arena_fmt(&a, "%.*s", STR_ARG(pids[i]));
            if (!str_u64(pids[i], &pid) || !holds(dir, name, &a))
                continue;
            struct str comm = str_trim(read_proc(arena_fmt(&a, "/proc/%s/comm", dir), COMM_MAX, &a));
            (void)snprintf(out, max, "%.*s (pid %s)", STR_ARG(comm), dir);
        }
    }
    arena_fini(&a);
    return out;
}
