/*
 * Listeners: a socket that one loop accepts on and whose connections go to all loops in turn. (One socket a loop with
 * SO_REUSEPORT would let a second tarn of the same user share the port in silence.)
 */
#include "net/net_int.h"

#include "base/arena.h"
#include "base/mem.h"
#include "obs/obs.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ACCEPT_AT_ONCE = 64, ACCEPT_PAUSE_MS = 100 };

struct arrival {
    struct loop *loop;
    const struct net_listen *what;
    int fd;
};

static void arrive(void *arg)
{
    struct arrival *a = arg;

    conn_adopt(a->loop, a->fd, a->what);
    mem_free(a);
}

static void hand_over(struct listener *li, int fd)
{
    struct net *net = li->loop->net;
    struct arrival *a;

    if (atomic_fetch_add(&net->conns, 1) >= net->conn_max) {
        static struct obs_repeat many;
        atomic_fetch_sub(&net->conns, 1);
        (void)close(fd);
        obs_add(OBS_net_refused_total, 1);
        obs_repeated(&many, OBS_WARN, "net", "connection closed at once, there are too many conn_max=%u",
                     net->conn_max);
        return;
    }
    obs_add(OBS_net_accepted_total, 1);
    a = MEM_NEW(struct arrival);
    *a = (struct arrival){net_loop(net, li->turn++), &li->what, fd};
    if (a->loop == li->loop)
        arrive(a);
    else
        loop_post(a->loop, arrive, a);
}

static void on_readable(uv_poll_t *poll, int status, int events);

static void on_pause_over(uv_timer_t *pause)
{
    struct listener *li = pause->data;

    (void)uv_poll_start(&li->poll, UV_READABLE, on_readable);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct listener *li = poll->data;

    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
        int fd = accept4(li->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            hand_over(li, fd);
            continue;
        }
        if (errno == ECONNABORTED || errno == EINTR)
            continue;
        if (errno !=
            EAGAIN) { // out of descriptors or memory: asking again at once would only burn the processor
            static struct obs_repeat out_of;
            obs_repeated(&out_of, OBS_WARN, "net", "cannot accept connections errno=%d", errno);
            (void)uv_poll_stop(&li->poll);
            (void)uv_timer_start(&li->pause, on_pause_over, ACCEPT_PAUSE_MS, 0);
        }
        return;
    }
}

/* ---- opening ---- */

static bool address(const char *host, int port, struct sockaddr_storage *sa, socklen_t *n, struct err *e)
{
    struct sockaddr_in *in = (struct sockaddr_in *)sa;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)sa;

    if (port < 0 || port > 65535)
        return err_set(e, ERR_INVALID, "port %d is not between 0 and 65535", port);
    *sa = (struct sockaddr_storage){0};
    if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons((uint16_t)port);
        *n = sizeof *in;
        return true;
    }
    if (inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)port);
        *n = sizeof *in6;
        return true;
    }
    return err_set(e, ERR_INVALID, "'%s' is not a numeric address to listen on (127.0.0.1, ::1, 0.0.0.0)",
                   host);
}

static bool bind_failed(const struct net_listen *what, struct err *e)
{
    char owner[128];

    if (errno == EADDRINUSE) {
        const char *who = port_owner(what->port, owner, sizeof owner);
        return err_set_at(e, ERR_CONFLICT, EADDRINUSE, ERR_HERE, "port %d of %s is taken%s%s", what->port,
                          what->host, who[0] ? " by " : "", who);
    }
    if (errno == EACCES)
        return err_set_at(e, ERR_DENIED, EACCES, ERR_HERE, "port %d needs a privilege to listen on",
                          what->port);
    return err_sys(e, "listen on %s port %d", what->host, what->port);
}

static int open_socket(const struct net_listen *what, int *port, struct err *e)
{
    struct sockaddr_storage sa;
    socklen_t n;
    int fd, one = 1;

    if (!address(what->host, what->port, &sa, &n, e))
        return -1;
    fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        (void)err_sys(e, "listen on %s port %d", what->host, what->port);
        return -1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one,
                     sizeof one); // ports of closed connections; not a taken one
    if (bind(fd, (struct sockaddr *)&sa, n) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&sa, &n) != 0) {
        (void)bind_failed(what, e);
        (void)close(fd);
        return -1;
    }
    *port = ntohs(sa.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&sa)->sin6_port
                                           : ((struct sockaddr_in *)&sa)->sin_port);
    return fd;
}

static void start_accepting(void *arg)
{
    struct listener *li = arg;
    int rc = uv_poll_init(&li->loop->uv, &li->poll, li->fd);

    assert(rc == 0); // a fresh socket
    (void)rc;
    (void)uv_timer_init(&li->loop->uv, &li->pause);
    li->poll.data = li->pause.data = li;
    (void)uv_poll_start(&li->poll, UV_READABLE, on_readable);
}

bool net_listen(struct net *net, const struct net_listen *what, int *port, struct err *e)
{
    struct listener *li;
    int fd;

    if (what->tls && !net->tls)
        return err_set(e, ERR_INVALID, "port %d wants TLS, but no certificate is configured", what->port);
    fd = open_socket(what, port, e);
    if (fd < 0)
        return false;
    li = MEM_NEW(struct listener);
    li->what = *what;
    li->what.host = NULL; // the caller's memory
    li->fd = fd;
    mutex_lock(&net->lock);
    li->next = net->listeners;
    li->turn = li->home = li->next ? li->next->home + 1 : 0;
    net->listeners = li;
    mutex_unlock(&net->lock);
    li->loop = net_loop(net, li->home);
    loop_call(li->loop, start_accepting, li);
    return true;
}

/* ---- closing ---- */

static void stop_accepting(void *arg)
{
    struct listener *li = arg;

    (void)uv_poll_stop(&li->poll);
    (void)close(li->fd);
    li->fd = -1;
    uv_close((uv_handle_t *)&li->pause, NULL);
    uv_close((uv_handle_t *)&li->poll, NULL);
}

static struct listener *all_listeners(struct net *net)
{
    struct listener *li;

    mutex_lock(&net->lock);
    li = net->listeners;
    mutex_unlock(&net->lock);
    return li;
}

void listeners_close(struct net *net)
{
    for (struct listener *li = all_listeners(net); li; li = li->next)
        if (li->fd >= 0)
            loop_call(li->loop, stop_accepting, li);
}

/* After the loops have ended: arrivals on their way and handles being closed point into the listeners. */
void listeners_free(struct net *net)
{
    struct listener *next;

    for (struct listener *li = all_listeners(net); li; li = next) {
        next = li->next;
        if (li->what.release)
            li->what.release(li->what.arg);
        mem_free(li);
    }
}

char *net_address(struct arena *a, const char *host, int port)
{
    return arena_fmt(a, strchr(host, ':') ? "[%s]:%d" : "%s:%d", host, port);
}

bool net_port_free(const char *host, int port, struct err *e)
{
    struct net_listen what = {.host = host, .port = port};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    bool ok = fd >= 0 && inet_pton(AF_INET, host, &at.sin_addr) == 1 &&
              setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
              bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 1) == 0;

    if (!ok)
        (void)bind_failed(&what, e);
    if (fd >= 0)
        (void)close(fd);
    return ok;
}

int net_free_port(const char *host, struct err *e)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && inet_pton(AF_INET, host, &at.sin_addr) == 1 &&
              bind(fd, (struct sockaddr *)&at, sizeof at) == 0 &&
              getsockname(fd, (struct sockaddr *)&at, &len) == 0;

    if (!ok)
        (void)err_sys(e, "find a free port of %s", host);
    if (fd >= 0)
        (void)close(fd);
    return ok ? ntohs(at.sin_port) : -1;
}
