/*
 * What a connection sends: a queue of byte runs and file ranges. conn_send() only queues; the loop flushes each connection
 * once a turn, so that many small answers leave in one system call.
 */
#include "net/net_int.h"

#include "base/mem.h"
#include "obs/obs.h"
#include "os/os.h"

#include <assert.h>
#include <errno.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

enum { IOV_MOST = 64, TLS_PIECE = 16 * 1024, FILE_PIECE = 1 << 20 };

static void out_end(struct out *o)
{
    os_close(os_real(), o->fd);
    if (o->release)
        o->release(o->arg);
    else
        mem_free(o->p);
    mem_free(o);
}

static void queue(struct conn *c, struct out *o)
{
    if (c->gone || c->closing) {
        out_end(o);
        return;
    }
    if (!c->out)
        ids_push(&c->loop->dirty, c->id);
    *c->out_tail = o;
    c->out_tail = &o->next;
    c->unsent += o->n;
}

void conn_send(struct conn *c, struct buf *b)
{
    struct out *o;

    assert(buf_ok(b));
    if (b->n == 0)
        return;
    o = MEM_NEW(struct out);
    o->fd = -1;
    o->p = b->p;
    o->n = b->n;
    *b = buf_make(b->max);
    queue(c, o);
}

void conn_send_copy(struct conn *c, struct str bytes)
{
    struct buf b = buf_make(bytes.n);

    buf_str(&b, bytes);
    conn_send(c, &b);
    buf_fini(&b);
}

void conn_send_lent(struct conn *c, void *p, size_t n, loop_fn *release, void *arg)
{
    struct out *o = MEM_NEW(struct out);

    assert(n > 0);
    *o = (struct out){.p = p, .n = n, .fd = -1, .release = release, .arg = arg};
    queue(c, o);
}

void conn_send_file(struct conn *c, int fd, int64_t at, size_t n)
{
    struct out *o = MEM_NEW(struct out);

    o->fd = fd;
    o->file_at = at;
    o->n = n;
    if (n == 0) {
        os_close(os_real(), fd);
        mem_free(o);
        return;
    }
    queue(c, o);
}

size_t conn_unsent(struct conn *c)
{
    return c->unsent;
}

static void pop(struct conn *c)
{
    struct out *o = c->out;

    c->out = o->next;
    if (!c->out)
        c->out_tail = &c->out;
    out_end(o);
}

void out_free(struct conn *c)
{
    while (c->out)
        pop(c);
}

static void advance(struct conn *c, size_t n)
{
    obs_add(OBS_net_sent_bytes_total, (int64_t)n);
    c->unsent -= n;
    c->sent = true;
    c->active_ms = (int64_t)uv_now(&c->loop->uv);
    while (n > 0) {
        struct out *o = c->out;
        size_t k = o->n - o->at < n ? o->n - o->at : n;
        o->at += k;
        n -= k;
        if (o->at == o->n)
            pop(c);
    }
}

static ssize_t send_bytes(struct conn *c)
{
    struct iovec v[IOV_MOST];
    struct msghdr m = {.msg_iov = v};
    struct out *o = c->out;
    size_t n = 0;

    if (c->tls)
        return tls_send(c->tls, o->p + o->at, o->n - o->at);
    for (; o && o->fd < 0 && n < IOV_MOST; o = o->next)
        v[n++] = (struct iovec){o->p + o->at, o->n - o->at};
    m.msg_iovlen = n;
    return sendmsg(c->fd, &m, MSG_NOSIGNAL | (o ? MSG_MORE : 0)); // o: a file follows its head
}

/* A file that is shorter than was promised is EIO: what follows on the wire would be taken for its content. */
static ssize_t send_file(struct conn *c)
{
    struct out *o = c->out;
    size_t n = o->n - o->at;
    off_t at = (off_t)(o->file_at + (int64_t)o->at);
    ssize_t got;

    if (c->tls) {
        uint8_t piece[TLS_PIECE];
        struct os *os = os_real();
        got = os->pread(os, o->fd, piece, n < sizeof piece ? n : sizeof piece, at);
        if (got > 0)
            got = tls_send(c->tls, piece, (size_t)got);
    } else {
        got = sendfile(c->fd, o->fd, &at, n < FILE_PIECE ? n : FILE_PIECE);
    }
    if (got == 0) {
        errno = EIO;
        return -1;
    }
    return got;
}

/* Sends what the kernel takes. False when it takes no more, or the connection is gone. */
static bool send_queue(struct conn *c)
{
    size_t done = 0;

    while (c->out) {
        ssize_t got = c->out->fd < 0 ? send_bytes(c) : send_file(c);
        if (got >= 0) {
            advance(c, (size_t)got);
            done += (size_t)got;
            if (done < FLUSH_BYTES)
                continue;
            errno = EAGAIN;
        } else if (errno == EINTR) {
            continue;
        }
        if (errno != EAGAIN)
            conn_abort(c);
        c->send_wait = true;
        return false;
    }
    if (!c->tls || tls_flush(c->tls))
        return true;
    if (errno != EAGAIN)
        conn_abort(c);
    c->send_wait = true;
    return false;
}

static void finish(struct conn *c)
{
    if (c->tls && !c->eof) {
        tls_bye(c->tls);
        (void)tls_flush(c->tls); // as far as it goes: the socket's end says the same
    }
    if (c->eof || c->loop->shutting || shutdown(c->fd, SHUT_WR) != 0) {
        conn_abort(c);
        return;
    }
    c->lingering = true;
    conn_told_closed(c);
    conn_watch(c);
}

void conn_flush(struct conn *c)
{
    if (c->gone || c->lingering || c->send_wait)
        return;
    if (send_queue(c)) {
        if (c->sent && c->proto->drained && !c->closing) {
            c->sent = false;
            c->proto->drained(c->state);
        }
        if (!c->gone && c->closing && !c->out)
            finish(c);
    }
    conn_watch(c);
}
