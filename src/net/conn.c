/*
 * One connection: its life and what it reads. What it sends is in send.c.
 *
 *     open ──conn_close()──▶ closing ──all sent──▶ lingering ──end of file, or LINGER_MS──▶ gone
 *       └────────conn_abort(), a fault, or the client is gone───────────────────────────────▶
 *
 * A connection that was closed shuts its sending side and goes on reading, dropping what comes: closing the socket with
 * unread bytes in it would reset the connection, and the client might never see the answer (RFC 9112, 9.6).
 * closed() is called when it begins to linger or is gone, from the loop, never from inside the protocol.
 */
#include "net/net_int.h"

#include "base/mem.h"
#include "obs/obs.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SLOT_BITS = 20,
    NEED_MAX = 2 << 20, // memory that a message gets before as much of it has come
};

struct loop *conn_loop(struct conn *c)
{
    return c->loop;
}

struct net *conn_net(struct conn *c)
{
    return c->loop->net;
}

const char *conn_peer(struct conn *c)
{
    return c->peer;
}

/* ---- ids ---- */

struct conn *conn_find(struct loop *l, uint64_t id)
{
    uint32_t at = (uint32_t)(id & ((1U << SLOT_BITS) - 1));
    struct conn *c = at < l->slot_count ? l->slots[at].c : NULL;

    return c && c->id == id && !c->lingering ? c : NULL;
}

static void slot_take(struct loop *l, struct conn *c)
{
    uint64_t serial = atomic_fetch_add(&l->net->next_id, 1);
    uint32_t at;

    if (l->slot_free == 0) {
        uint32_t cap = l->slot_count ? 2 * l->slot_count : 16;
        assert(cap <= 1U << SLOT_BITS);
        l->slots = mem_grow(l->slots, cap * sizeof *l->slots);
        for (uint32_t i = cap; i-- > l->slot_count;) {
            l->slots[i] = (struct slot){.next_free = l->slot_free};
            l->slot_free = i + 1;
        }
        l->slot_count = cap;
    }
    at = l->slot_free - 1;
    l->slot_free = l->slots[at].next_free;
    l->slots[at].c = c;
    l->live++;
    c->id = serial << SLOT_BITS | at;
}

static void slot_give(struct loop *l, struct conn *c)
{
    uint32_t at = (uint32_t)(c->id & ((1U << SLOT_BITS) - 1));

    assert(l->slots[at].c == c);
    l->slots[at] = (struct slot){.next_free = l->slot_free};
    l->slot_free = at + 1;
    l->live--;
}

/* ---- life ---- */

union address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

static void peer_name(const union address *peer, char *out, size_t max)
{
    char host[INET6_ADDRSTRLEN] = "?";

    if (peer->any.sa_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &peer->in6.sin6_addr, host, sizeof host);
        (void)snprintf(out, max, "[%s]:%u", host, ntohs(peer->in6.sin6_port));
    } else {
        (void)inet_ntop(AF_INET, &peer->in.sin_addr, host, sizeof host);
        (void)snprintf(out, max, "%s:%u", host, ntohs(peer->in.sin_port));
    }
}

static bool same_host(const union address *x, const union address *y)
{
    if (x->any.sa_family != y->any.sa_family)
        return false;
    if (x->any.sa_family == AF_INET6)
        return memcmp(&x->in6.sin6_addr, &y->in6.sin6_addr, sizeof x->in6.sin6_addr) == 0;
    return x->any.sa_family == AF_INET && x->in.sin_addr.s_addr == y->in.sin_addr.s_addr;
}

/*
 * Answers leave at once. A client on this host has no path whose rate would have to be found out: where BBR is the system's way
 * of congestion control its pacing only keeps answers back (measured: a third of the bytes a second that a consumer gets with
 * Reno, which every Linux has and everyone may choose).
 */
static void tune(int fd, const union address *peer)
{
    static const char unpaced[] = "reno";
    union address us = {.in6 = {0}};
    socklen_t n = sizeof us;
    int one = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    (void)getsockname(fd, &us.any, &n);
    if (same_host(&us, peer))
        (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, unpaced, sizeof unpaced - 1);
}

static void on_poll(uv_poll_t *poll, int status, int events);

void conn_adopt(struct loop *l, int fd, const struct net_listen *what)
{
    struct conn *c = MEM_NEW(struct conn);
    union address peer = {.in6 = {0}};
    socklen_t n = sizeof peer;
    int rc;

    c->loop = l;
    c->fd = fd;
    c->proto = what->proto;
    c->out_tail = &c->out;
    c->active_ms = (int64_t)uv_now(&l->uv);
    (void)getpeername(fd, &peer.any, &n);
    peer_name(&peer, c->peer, sizeof c->peer);
    tune(fd, &peer);
    rc = uv_poll_init(&l->uv, &c->poll, fd);
    assert(rc == 0); // a fresh socket
    (void)rc;
    c->poll.data = c;
    slot_take(l, c);
    obs_add(OBS_net_connections, 1);
    if (what->tls)
        c->tls = tls_new(l->net->tls, fd);
    c->state = c->proto->open(c, what->arg);
    assert(c->state);
    conn_watch(c);
    if (l->shutting)
        conn_close(c);
}

/* Its own buffer, which is empty or not wanted any more. */
static void drop_in(struct conn *c)
{
    if (c->given.p)
        c->given.release(c->given.arg);
    else
        mem_free(c->in);
    c->given.p = NULL;
    c->in = NULL;
    c->in_cap = 0;
}

void conn_told_closed(struct conn *c)
{
    void *state = c->state;

    c->state = NULL;
    if (state)
        c->proto->closed(state);
}

static void on_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    struct net *net = c->loop->net;

    obs_add(OBS_net_connections, -1);
    conn_told_closed(c);
    out_free(c);
    tls_free(c->tls);
    (void)close(c->fd);
    drop_in(c);
    mem_free(c);
    mutex_lock(&net->lock);
    if (atomic_fetch_sub(&net->conns, 1) == 1)
        cond_broadcast(&net->conns_gone);
    mutex_unlock(&net->lock);
}

void conn_abort(struct conn *c)
{
    if (c->gone)
        return;
    c->gone = true;
    slot_give(c->loop, c);
    uv_close((uv_handle_t *)&c->poll, on_closed);
}

void conn_close(struct conn *c)
{
    if (c->gone || c->closing)
        return;
    c->closing = true;
    c->active_ms = (int64_t)uv_now(&c->loop->uv);
    conn_watch(c);
    ids_push(&c->loop->dirty, c->id);
}

void conn_idle(struct conn *c, int64_t after_ms)
{
    c->idle_ms = after_ms;
    c->active_ms = (int64_t)uv_now(&c->loop->uv);
}

void conn_sweep(struct loop *l, int64_t now_ms)
{
    for (uint32_t i = 0; i < l->slot_count; i++) {
        struct conn *c = l->slots[i].c;
        int64_t most_ms = !c ? 0 : c->lingering ? LINGER_MS : c->closing ? CLOSE_MS : c->idle_ms;
        if (most_ms > 0 && now_ms - c->active_ms >= most_ms)
            conn_abort(c);
    }
}

/* ---- reading ---- */

/* Asks the loop for the events that matter now. */
void conn_watch(struct conn *c)
{
    int want = 0;

    if (c->gone)
        return;
    if (!c->eof && (c->lingering || (!c->paused && !c->closing)))
        want |= UV_READABLE;
    if (c->send_wait)
        want |= UV_WRITABLE;
    if (want == c->watching)
        return;
    c->watching = want;
    if (want)
        (void)uv_poll_start(&c->poll, want, on_poll);
    else
        (void)uv_poll_stop(&c->poll);
}

void conn_pause(struct conn *c)
{
    c->paused = true;
    conn_watch(c);
}

void conn_resume(struct conn *c)
{
    if (c->gone || !c->paused)
        return;
    assert(loop_current() == c->loop);
    c->paused = false;
    conn_watch(c);
    ids_push(&c->loop->kicked, c->id);
}

static bool may_input(const struct conn *c)
{
    return !c->gone && !c->paused && !c->closing;
}

/* Gives bytes to the protocol as long as it takes some; returns how many it took. */
static size_t offer(struct conn *c, const uint8_t *p, size_t n)
{
    size_t used = 0;

    while (used < n && may_input(c)) {
        size_t k = c->proto->input(c->state, str_from(p + used, n - used));
        assert(k <= n - used);
        if (k == 0)
            break;
        used += k;
    }
    return used;
}

/* Of the message that begins with n bytes: how long it is, as far as that may be believed; 0: it is not known, or too long to wait for. */
static size_t message(const struct conn *c, const uint8_t *p, size_t n)
{
    size_t need = c->proto->need ? c->proto->need(str_from(p, n)) : 0;

    return need <= c->proto->input_max && (need <= NEED_MAX || need <= 4 * n) ? need : 0;
}

/* A buffer for a message of which n bytes are here, and which is that long. */
static void make_in(struct conn *c, const uint8_t *p, size_t n, size_t cap)
{
    drop_in(c);
    if (cap > n && cap > INPUT_KEEP && c->proto->memory)
        c->given = c->proto->memory(c->state, str_from(p, n), cap);
    c->in = c->given.p ? c->given.p : mem_alloc(cap);
    c->in_cap = cap;
}

static void keep_rest(struct conn *c, const uint8_t *p, size_t n)
{
    size_t need = message(c, p, n), cap = need > n ? need : n;

    assert(c->in_n == 0);
    if (c->in_cap < cap)
        make_in(c, p, n, cap);
    memcpy(c->in, p, n);
    c->in_at = 0;
    c->in_n = n;
}

struct conn_memory conn_take(struct conn *c, struct str bytes)
{
    struct conn_memory memory = c->given.p ? c->given : (struct conn_memory){c->in, mem_free, c->in};

    if (!c->in || bytes.p != (const char *)c->in + c->in_at || bytes.n != c->in_n || bytes.n < INPUT_KEEP)
        return (struct conn_memory){0};
    c->given.p = NULL;
    c->in = NULL;
    c->in_cap = 0;
    c->large = true;
    return memory;
}

/* What waits in the connection's own buffer. */
static void offer_kept(struct conn *c)
{
    size_t used = offer(c, c->in + c->in_at, c->in_n);

    c->in_at += used;
    c->in_n -= used;
    if (c->in_n > 0)
        return;
    c->in_at = 0;
    if (c->in_cap > INPUT_KEEP)
        drop_in(c);
}

static void grow_in(struct conn *c, size_t cap)
{
    if (c->given.p) {
        uint8_t *in = mem_alloc(cap);

        memcpy(in, c->in + c->in_at, c->in_n);
        drop_in(c);
        c->in = in;
        c->in_at = 0;
    } else {
        c->in = mem_grow(c->in, cap);
    }
    c->in_cap = cap;
}

/* Room behind what is kept: to the end of the message, or more the longer it grows, but never over input_max. */
static size_t make_room(struct conn *c)
{
    size_t max = c->proto->input_max, want, room = c->in_cap - c->in_at - c->in_n;
    size_t need = message(c, c->in + c->in_at, c->in_n);

    if (need > c->in_n && need - c->in_n <= room)
        return need - c->in_n;
    if (room >= INPUT_KEEP / 4 && c->in_n + room <= max)
        return room;
    if (c->in_at > 0) { // not more often than the buffer has been used up
        memmove(c->in, c->in + c->in_at, c->in_n);
        c->in_at = 0;
    }
    want = c->in_n < INPUT_KEEP / 2 ? INPUT_KEEP : 2 * c->in_n;
    if (want > max)
        want = max;
    if (need > c->in_n)
        want = need;
    assert(want >= c->in_n);
    if (c->in_cap < want)
        grow_in(c, want);
    return want - c->in_n;
}

static ssize_t receive(struct conn *c, void *p, size_t n)
{
    ssize_t got;

    do
        got = c->tls ? tls_recv(c->tls, p, n) : recv(c->fd, p, n, 0);
    while (got < 0 && errno == EINTR);
    if (got > 0)
        obs_add(OBS_net_received_bytes_total, got);
    if (got > 0)
        c->active_ms = (int64_t)uv_now(&c->loop->uv);
    return got;
}

/* One read. False when there is nothing more to read now. */
static bool read_once(struct conn *c)
{
    size_t room = c->proto->input_max < SCRATCH_BYTES ? c->proto->input_max : SCRATCH_BYTES;
    uint8_t *p = c->loop->scratch;
    ssize_t got;

    if (c->lingering) {
        room = SCRATCH_BYTES;
        got = receive(c, p, room);
    } else if (c->in_n == 0) {
        if (c->large && room > SCRATCH_HEAD)
            room = SCRATCH_HEAD;
        c->large = false;
        got = receive(c, p, room);
        if (got > 0) {
            size_t used = offer(c, p, (size_t)got);
            if (used < (size_t)got && !c->gone && !c->closing)
                keep_rest(c, p + used, (size_t)got - used);
        }
    } else {
        room = make_room(c);
        if (room == 0) { // a message larger than the protocol wants to wait for
            conn_abort(c);
            return false;
        }
        got = receive(c, c->in + c->in_at + c->in_n, room);
        if (got > 0) {
            c->in_n += (size_t)got;
            offer_kept(c);
        }
    }
    if (got > 0) // less than there was room for was all: what comes later makes the socket readable again
        return !c->gone && (c->tls || (size_t)got == room);
    if (got < 0 && errno == EAGAIN)
        return false;
    c->eof = true;
    if (got < 0 || c->lingering) // reset by the client, or it has seen everything
        conn_abort(c);
    else
        conn_close(c);
    return false;
}

static void read_some(struct conn *c)
{
    for (int i = 0; i < 4; i++)
        if (c->gone || !(c->watching & UV_READABLE) || !read_once(c))
            return;
    if (c->tls && tls_pending(c->tls))
        ids_push(&c->loop->kicked, c->id); // the socket may never become readable again for these
}

/* Input is due though nothing came: after conn_resume(), or because TLS holds more. */
void conn_deliver(struct conn *c)
{
    if (c->in_n > 0 && may_input(c))
        offer_kept(c);
    if (c->tls && tls_pending(c->tls))
        read_some(c);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct conn *c = poll->data;

    if (status < 0) {
        conn_abort(c);
        return;
    }
    if (events & UV_READABLE)
        read_some(c);
    if (!c->gone && (events & UV_WRITABLE)) {
        c->send_wait = false;
        conn_flush(c);
    }
    conn_watch(c);
}
