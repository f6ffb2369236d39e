/*
 * http: an HTTP/1.1 server on net, as its doors need it.
 *
 * A door makes a `struct http_server` from its handler and listens with it. For each request the handler is asked for
 * its `struct http_route` by head() on the loop's thread as soon as the headers are in; after that the work runs as
 * jobs, so a handler may block:
 *
 *     small body   the body is gathered (at most route.body_max) and run(q) is called once, as a job
 *     streamed     body(q, piece) is called as a job for each piece, one at a time and in order, while the next piece is
 *                  read; then run(q). For S3's PUT.
 *
 * run() must fill the answer: http_answer*(). An answer that comes later (a long poll) is made by http_defer() in
 * run() and http_resume() from any thread. Keep-alive, pipelining (one request at a time), chunked request bodies,
 * Expect: 100-continue, HEAD and limits are done here. Requests over a limit are answered 431 or 413, malformed ones 400;
 * two Content-Lengths, or one together with Transfer-Encoding, are malformed (RFC 9112, 6.3: request smuggling).
 *
 * Memory: everything in q lives until the answer is sent, in q->arena (request lifetime; used by one thread at a time,
 * the one that runs the handler).
 *
 *     static void hello(struct http_req *q)
 *     {
 *         http_answer(q, 200, "text/plain", STR("hello"));
 *     }
 *     static const struct http_route *head(struct http_req *q, void *arg)
 *     {
 *         static const struct http_route hello_route = {.run = hello};
 *         return &hello_route;
 *     }
 *     http_listen(net, "127.0.0.1", 8080, false, &(struct http_server){"hello", head, NULL}, &port, e)
 */
#pragma once

#include "base/arena.h"
#include "net/net.h"

struct http_header {
    struct str name, value;
};

struct http_req {
    struct arena *arena;
    struct str method; // "GET"
    struct str target; // as sent: "/a%20b?x=1"
    struct str path;   // before '?', still percent-encoded
    struct str query;  // after '?', or empty
    struct http_header *headers;
    size_t header_count;
    struct str body;    // gathered body; empty when streamed
    int64_t body_bytes; // Content-Length (0 without one), or -1 when chunked
    const char *peer;   // "127.0.0.1:4711"
    void *arg;          // http_server's
    void *user;         // the handler's own, from head() on
    struct net *net;
};

struct http_route {
    size_t body_max; // gathered bodies only; 0: LIMIT_HTTP_BODY
    void (*run)(struct http_req *q);
    void (*body)(struct http_req *q, struct str piece); // not NULL: streamed
    /*
     * The request is over, answered or broken off: release q->user. May be NULL. A job, after any body() or run(); called
     * once for each request that head() gave this route. A client that goes away in the middle of its body: no run().
     */
    void (*gone)(struct http_req *q);
};

/* Chooses how q is handled; must not block. `arg` is http_server's. Always returns a route (one that answers 404, say). */
typedef const struct http_route *http_head_fn(struct http_req *q, void *arg);

struct http_server {  // copied; arg must live until net_shut()
    const char *name; // of the door, a literal: for the last events before a crash
    http_head_fn *head;
    void *arg;
};

/* As net_listen(). */
bool http_listen(struct net *net, const char *host, int port, bool tls, const struct http_server *s,
                 int *bound, struct err *e) MUST_CHECK;

/* ---- reading a request ---- */

struct str http_header(const struct http_req *q,
                       const char *name); // first of that name, any case; STR_NULL when absent
/* Content-Type without its parameters; STR_NULL when there is none. */
struct str http_content_type(const struct http_req *q);
/* The one of types[n] that it is, in any case; NULL: none of them. */
const char *http_type_in(struct str type, const char *const *types, size_t n);
/* A query parameter, percent-decoded (+ is a blank), in q->arena; STR_NULL when absent, empty when it has no value. */
struct str http_param(struct http_req *q, const char *name);
int64_t http_param_i64(struct http_req *q, const char *name,
                       int64_t otherwise); // also when it is not a number
/* Path segments, percent-decoded: "/a/b%2Fc" gives a, b/c; empty ones are left out. Returns how many; more than max, or malformed: -1. */
int http_segments(struct http_req *q, struct str *out, int max);
/* Percent-decoded; STR_NULL when malformed. */
struct str http_decode(struct arena *a, struct str in, bool plus_is_blank);
/* Percent-encoding: letters, digits and - _ . ~ are kept (RFC 3986, 2.3), and / when said so. */
void http_encode(struct buf *out, struct str s, bool keep_slash);

/* ---- answering, once, from run() or after http_defer() ---- */

void http_set(struct http_req *q, const char *name, struct str value); // an answer header; copies
/* body is copied. type NULL: no Content-Type. */
void http_answer(struct http_req *q, int status, const char *type, struct str body);
void http_answer_buf(struct http_req *q, int status, const char *type,
                     struct buf *body); // takes the memory of body
/* n bytes of an open file from `at`; takes fd, which may be -1 in the answer to a HEAD. */
void http_answer_file(struct http_req *q, int status, const char *type, int fd, int64_t at, int64_t n);
/*
 * From head(), body() or run(): answer this and do not read the rest of the body; the connection is closed after the
 * answer. After head() or body() refused, run() is not called.
 */
void http_refuse(struct http_req *q, int status, const char *type, struct str body);
/*
 * Status of the answer is known, its length is not: pieces are sent chunked as they come. From run() only; a piece may
 * block while the client is slow, and is false when the client is gone. A run() that returns without http_answer_end()
 * breaks the connection off: the client sees that the answer is not complete.
 */
void http_answer_begin(struct http_req *q, int status, const char *type);
bool http_answer_piece(struct http_req *q, struct str piece);
void http_answer_end(struct http_req *q);

/*
 * In run(): no answer yet. Later, from any thread, exactly once: http_resume(), which calls fn(q) as a job that answers.
 * It must come also when the client has gone, and before net_stop(): only then the request's memory is released.
 */
void http_defer(struct http_req *q);
void http_resume(struct http_req *q, void (*fn)(struct http_req *q));
