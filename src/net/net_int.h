/*
 * net_int: what the files of net/ share. Nothing here is for other rooms.
 *
 * A struct loop and everything on its lists belong to the loop's thread; only `_inbox` is shared, under its lock.
 * Lists of connections hold ids, never pointers, so that a connection may go away while it is on one.
 */
#pragma once

#include "net/net.h"
#include "os/thread.h"

#include <stdatomic.h>
#include <uv.h>

enum {
    SCRATCH_BYTES = 256 * 1024, // one read; a loop has one such buffer for all its connections
    SCRATCH_HEAD = 4096,        // the read before a large message, of which one tells the length
    INPUT_KEEP = 64 * 1024,     // a connection's own buffer larger than this is given back when it is empty
    FLUSH_BYTES = 4 << 20,      // most that one connection may send before others get their turn
    LINGER_MS = 2000,           // how long a closed connection waits for the client to take the last bytes
    CLOSE_MS = 30000,           // how long conn_close() waits for a client that does not read
    LOOPS_MAX = 64
};

struct message {
    struct message *next;
    loop_fn *fn;
    void *arg;
};

struct ids {
    uint64_t *p;
    size_t n, cap;
};

struct slot {
    struct conn *c;     // NULL: free
    uint32_t next_free; // of the next free slot + 1
};

struct loop {
    struct net *net;
    unsigned index;
    uv_loop_t uv;
    int wake_fd; // an eventfd
    uv_poll_t wake;
    uv_prepare_t before_wait; // sends what was queued since the last wait
    uv_timer_t sweep;         // idle connections, each second
    struct thread thread;
    bool shutting, stopping;

    struct slot *slots; // connections by the low bits of their id
    uint32_t slot_count, slot_free, live;
    struct ids dirty;  // have something to send, or to finish
    struct ids kicked; // were resumed: input() is due
    uint8_t *scratch;

    struct mutex lock; // guards the two below
    struct message *inbox, **inbox_tail;
};

struct jobs {
    struct mutex lock; // guards all below
    struct cond work, idle;
    struct job *first, **last;
    unsigned waiting; // jobs in the queue
    unsigned pending; // jobs whose done() has not returned yet
    unsigned threads, free_threads, threads_max;
    struct thread *thread;
    bool stopping;
};

struct listener {
    struct listener *next;
    struct net_listen what;
    struct loop *loop; // accepts
    int fd;            // -1: closed
    uv_poll_t poll;
    uv_timer_t pause; // after running out of descriptors
    unsigned home;    // number of that loop
    unsigned turn;    // number of the next connection's; of the loop that accepts
};

struct net {
    struct loop *loop;
    unsigned loops;
    unsigned conn_max;
    struct jobs jobs;
    _Atomic uint64_t next_id;
    _Atomic unsigned conns;
    struct tls_context *tls; // NULL: no certificate was given
    struct mutex lock;       // guards the list of listeners
    struct cond conns_gone;  // signalled when conns falls to 0
    struct listener *listeners;
};

/* One thing to be sent: bytes, or a part of a file. */
struct out {
    struct out *next;
    uint8_t *p;
    size_t at, n; // bytes sent, bytes in all
    int fd;       // -1: p
    int64_t file_at;
    loop_fn *release; // NULL: p is ours
    void *arg;
};

struct conn {
    struct loop *loop;
    uint64_t id;
    const struct net_proto *proto;
    void *state; // NULL once closed() was called
    uv_poll_t poll;
    int fd;
    int watching; // UV_READABLE | UV_WRITABLE as asked for last
    uint8_t *in;  // what came and was not consumed
    size_t in_at, in_n, in_cap;
    struct conn_memory given; // by the protocol: `in` is in it. p is NULL: `in` is ours
    struct out *out, **out_tail;
    size_t unsent;
    int64_t active_ms, idle_ms; // loop time of the last byte; 0: may be idle for ever
    bool paused, eof, closing, lingering, gone;
    bool send_wait; // the kernel took no more
    bool sent;      // something since drained() was called last
    bool large;     // the last message was: another is expected
    struct tls *tls;
    char peer[64];
};

/* loop.c */
bool loop_init(struct loop *l, struct net *net, unsigned index, struct err *e) MUST_CHECK;
void loop_run(void *loop); // the thread
void loop_fini(struct loop *l);
void loop_call(struct loop *l, loop_fn *fn,
               void *arg); // runs fn on the loop and waits; at once on its own thread
void ids_push(struct ids *ids, uint64_t id);

/* job.c */
void jobs_init(struct jobs *j, unsigned threads_max);
void jobs_drain(struct jobs *j); // until none is pending
void jobs_stop(struct jobs *j);  // joins the threads
void jobs_fini(struct jobs *j);

/* conn.c, send.c */
void conn_adopt(struct loop *l, int fd, const struct net_listen *what); // takes fd
struct conn *conn_find(struct loop *l, uint64_t id);                    // NULL when it is gone, or lingers
void conn_deliver(struct conn *c);
void conn_flush(struct conn *c);
void conn_watch(struct conn *c);
void conn_told_closed(struct conn *c);
void conn_sweep(struct loop *l, int64_t now_ms);
void out_free(struct conn *c);

/* listen.c, owner.c */
void listeners_close(struct net *net);
void listeners_free(struct net *net);
/* "postgres (pid 4711)", or "" where /proc does not tell. */
const char *port_owner(int port, char *out, size_t max);

/* tls.c: a filter between the socket and the protocol. Both answer as recv and send do: bytes, 0 at the end, -1 and errno. */
bool tls_context_new(const char *cert, const char *key, struct tls_context **out, struct err *e) MUST_CHECK;
void tls_context_free(struct tls_context *t);
struct tls *tls_new(struct tls_context *t, int fd);
void tls_free(struct tls *s);
ssize_t tls_recv(struct tls *s, void *p, size_t n);
ssize_t tls_send(struct tls *s, const void *p, size_t n);
bool tls_pending(const struct tls *s); // plain bytes wait that the socket knows nothing of
bool tls_flush(struct tls *s);         // true: nothing of ours is left; false and errno otherwise
void tls_bye(struct tls *s);           // queues the closing alert
