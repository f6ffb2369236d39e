/*
 * net: loops, connections, timers and jobs.
 *
 * A loop is one thread that owns sockets and timers and never blocks. `struct net` holds one loop per core and a pool
 * of threads for what blocks (fsync, SQLite, DuckDB, PostgreSQL, other servers): a job runs on the pool and comes back
 * to the loop that asked as a message. libuv is underneath and stays inside this folder.
 *
 *     net_start(&options, &net, e)
 *     net_listen(net, &(struct net_listen){.host = "127.0.0.1", .port = 9092, .proto = &kafka_proto, .arg = k}, &port, e)
 *     ...
 *     net_shut(net, 2000)   stop listening, let connections finish, close them; jobs and timers go on
 *     net_stop(net)         the same at once, then finish jobs, join threads, free
 *
 * A protocol is sans-I/O: net hands it the bytes that came and it says what to send. Everything about one connection
 * happens on its loop's thread; other threads reach it by loop_post(), with something that knows whether it is gone (closed()).
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct net;
struct loop;
struct arena;
struct conn;

struct net_options {
    unsigned loops;       // 0: one per core, at most 8
    unsigned job_threads; // most threads of the pool; they are started when needed. 0: 32
    unsigned conn_max;    // connections over all listeners; further ones are closed at once. 0: 4096
    const char *tls_cert, *tls_key; // PEM files; NULL: no TLS listener can be made
};

bool net_start(const struct net_options *o, struct net **net, struct err *e) MUST_CHECK;
/*
 * No connection and no job is left and no protocol or handler is called any more when it returns: what they point to may be
 * freed then (but http_defer()red requests are still to be resumed).
 * Connections get grace_ms to finish (net_proto.stop), then they are cut. Not from a loop or job thread; nor is net_stop.
 */
void net_shut(struct net *net, int64_t grace_ms);
/* Timers and children must be freed before, or are never used again. */
void net_stop(struct net *net); // NULL does nothing

/* ---- messages and timers ---- */

struct loop *net_loop(struct net *net, unsigned i); // i modulo the number of loops
struct loop *loop_current(void);                    // the loop whose thread this is, or NULL
/* fn(arg) runs soon on the loop's thread, in the order posted. From any thread. */
typedef void loop_fn(void *arg);
/* What is posted after net_stop() began its last step is dropped. */
void loop_post(struct loop *l, loop_fn *fn, void *arg);

/* A timer belongs to a loop and is used on its thread only. It fires once; start it again for the next time. */
struct timer;
struct timer *timer_new(struct loop *l, loop_fn *fn, void *arg);
void timer_start(struct timer *t, int64_t after_ms); // restarts a running one; less than 0 counts as 0
void timer_free(struct timer *t);                    // fn will not run after it; NULL does nothing

/* ---- jobs ---- */

/*
 * run(arg) on a pool thread, then done(arg) on the loop that called; called from no loop's thread, done(arg) runs on the
 * pool thread. done may be NULL. Jobs are begun first in, first out, by as many threads as there are. From any thread.
 */
void job_run(struct net *net, loop_fn *run, loop_fn *done, void *arg);
void job_run_for(struct loop *l, loop_fn *run, loop_fn *done, void *arg); // as if loop l called

/* ---- connections ---- */

/* Memory that a message is received into. */
struct conn_memory {
    void *p; // NULL: none
    void (*release)(void *arg);
    void *arg;
};

/*
 * What a protocol must bring. `state` is what open() returned. All calls on the connection's loop.
 *
 * open     a connection was accepted; returns its state, never NULL. It may write already.
 * input    bytes that came and were not consumed yet; returns how many of them are consumed now. It is called again
 *          with what is left until it consumes nothing: 0 means wait for more bytes. The bytes may be used until it
 *          returns, no longer (but see conn_take). It may write, pause or close the connection.
 * need     how long the message is that begins with these bytes, 0 when they do not tell: then no more than that message is
 *          read into its memory, and it is not moved while it grows. May be NULL.
 * memory   where a long message of n bytes, which begins with these, is to be received; p is NULL: anywhere. It is released on the loop
 *          when the message has been consumed, or soon after closed(), unless input() has taken it. May be NULL.
 * drained  all that was written has been handed to the kernel; may be NULL.
 * stop     the net shuts: finish what is under way, then conn_close(). NULL: conn_close() at once.
 * closed   the connection is gone: free the state. Called exactly once, also after conn_close(), and never from inside
 *          another call of the protocol.
 *
 * A client that has ended its side (end of file) while reading is not paused is closed after what is queued was sent.
 */
struct net_proto {
    const char *name; // for counters and log lines
    size_t input_max; // bytes that may be waiting unconsumed; more closes the connection
    void *(*open)(struct conn *c, void *arg);
    size_t (*input)(void *state, struct str bytes);
    size_t (*need)(struct str bytes);
    struct conn_memory (*memory)(void *state, struct str begun, size_t n);
    void (*drained)(void *state);
    void (*stop)(void *state);
    void (*closed)(void *state);
};

struct net_listen {
    const char *host; // numeric address
    int port;         // 0: any free one
    bool tls;
    const struct net_proto *proto; // must outlive the net
    void *arg;                     // given to open()
    void (*release)(
        void *arg); // called when no connection will need arg any more, in net_stop(). May be NULL
};

/*
 * Starts to accept, spreading connections over the loops. *port is the real one. A taken port is ERR_CONFLICT with a message
 * that names the port and the process that owns it, where /proc tells.
 */
bool net_listen(struct net *net, const struct net_listen *what, int *port, struct err *e) MUST_CHECK;

/* Could somebody listen on the port now? ERR_CONFLICT, with the port's owner, when it is taken: for a child that will. */
bool net_port_free(const char *host, int port, struct err *e) MUST_CHECK;
/* A port of the address that nobody uses now, for a child to listen on; -1 and e when there is none. */
int net_free_port(const char *host, struct err *e) MUST_CHECK;

/* What a client is told: "127.0.0.1:9092", "[::1]:9092", in a. */
char *net_address(struct arena *a, const char *host, int port);

struct loop *conn_loop(struct conn *c);
struct net *conn_net(struct conn *c);
const char *conn_peer(struct conn *c); // "127.0.0.1:4711"
/* Queues bytes. Takes over the memory of b and leaves it empty with the same limit. Bytes go out in the order queued. */
void conn_send(struct conn *c, struct buf *b);
void conn_send_copy(struct conn *c, struct str bytes); // small pieces
/* Queues bytes that stay the caller's, unchanged until release(arg) is called on the loop: they have been sent or the connection is gone. */
void conn_send_lent(struct conn *c, void *p, size_t n, loop_fn *release, void *arg);
/* Queues n bytes of an open file from `at`, sent from the page cache without a copy where the kernel can. Takes fd. */
void conn_send_file(struct conn *c, int fd, int64_t at, size_t n);
/*
 * For input(): the memory that bytes, which it was given and will consume, are in, when nothing else is; yours to release(). p is NULL: it
 * stays the connection's, and what is needed for longer must be copied.
 */
struct conn_memory conn_take(struct conn *c, struct str bytes);
size_t conn_unsent(struct conn *c); // bytes queued and not yet with the kernel
/* input() is not called until conn_resume(), and nothing is read: how a slow consumer slows a fast sender. */
void conn_pause(struct conn *c);
void conn_resume(struct conn *c); // input() is called soon with what waits, not from inside this call
/* Aborts the connection when no byte came or went for that long; 0: never (as it starts). Checked each second. */
void conn_idle(struct conn *c, int64_t after_ms);
void conn_close(struct conn *c); // after what is queued has been sent; input() is not called any more
void conn_abort(struct conn *c); // at once

/* ---- child processes ---- */

struct child;
struct child_options {
    const char *file;        // looked up on PATH when it has no slash
    const char *const *argv; // NULL-terminated, argv[0] included
    const char *const *env;  // NULL: ours
    const char *cwd;         // NULL: ours
    const char *output_path; // stdout and stderr are appended to this file; NULL: dropped
    uint32_t uid, gid;       // 0: as we are
    const int *inherit;      // open files of ours that it has as descriptors 3, 4, ...; at most CHILD_INHERIT
    size_t inherit_count;
};
enum { CHILD_INHERIT = 4 };
typedef void child_exit_fn(void *arg, int64_t status, int signal);

/*
 * Starts a program in its own session; on_exit runs on loop l when it has ended. From any thread but another loop's.
 * It outlives a tarn that was killed: whoever starts a server must find an orphan of his again. A program that is
 * absent is ERR_NOT_FOUND.
 */
bool child_start(struct loop *l, const struct child_options *o, child_exit_fn *on_exit, void *arg,
                 struct child **out, struct err *e) MUST_CHECK;
/*
 * Watches a process that somebody else started (an orphan of an earlier tarn): on_exit runs when it is gone, with status -1.
 * False when there is no such process or its name (/proc/PID/comm) is another.
 */
bool child_adopt(struct loop *l, int pid, const char *name, child_exit_fn *on_exit, void *arg,
                 struct child **out) MUST_CHECK;
int child_pid(const struct child *c);
void child_kill(struct child *c, int signal); // from any thread; does nothing after its exit
void child_free(struct child *c);             // on loop l, from on_exit() on
