/*
 * http_int: what the HTTP files of net/ share: the reader of requests (http_in.c, no socket in it, a fuzz target), the
 * call (one request and its answer, http_answer.c), and the server that ties both to a connection (http.c).
 */
#pragma once

#include "base/limits.h"
#include "net/http.h"
#include "os/thread.h"

#include <http_parser.h>

enum {
    HTTP_HEADERS_MAX = 256, // lines of one head
    HTTP_IDLE_MS = 75000,   // a client that sends or takes nothing for that long is cut
};
#define HTTP_PIECE (1 * MIB) // of a streamed body or answer, waiting

/* ---- bytes to events ---- */

enum http_event {
    HTTP_IN_MORE,  // all bytes are consumed
    HTTP_IN_HEAD,  // method to headers of q are filled
    HTTP_IN_PIECE, // in->piece is the next part of the body
    HTTP_IN_END,   // of the request
    HTTP_IN_BAD,   // answer in->status with in->why, and close
};

struct http_in {
    http_parser parser;
    struct http_req *q;
    struct buf text; // of the head: target, then names and values one after the other
    struct {
        uint32_t name, value, end; // where they start in text
    } line[HTTP_HEADERS_MAX];
    size_t lines;
    size_t target_n;
    bool in_value, in_body;
    enum http_event event;
    struct str piece;
    bool keep_alive, wants_continue, http10;
    int status;
    const char *why;
};

void http_in_init(struct http_in *in);
void http_in_fini(struct http_in *in);
void http_in_begin(struct http_in *in, struct http_req *q); // the next request goes to q
/* Reads up to the next event; returns bytes consumed (maybe none, then with an event). */
size_t http_in_feed(struct http_in *in, struct str bytes, enum http_event *event);

/* ---- one request and its answer ---- */

struct http_conn;

struct http_call {
    struct http_req q; // first: a struct http_req * is a struct http_call *
    struct arena arena;
    const struct http_route *route;
    struct loop *loop;
    struct http_conn *h; // loop only; NULL once the connection is gone
    bool keep_alive, http10, is_head;

    // reading, loop only
    bool ended, ran; // the whole body is here; run() was started
    struct buf body; // gathered, or what came while a job had the piece before
    struct buf piece;
    int fault_status; // the input is malformed or too large: answer this as soon as no job has the call
    const char *fault;

    struct mutex lock; // guards the next group
    struct cond room;
    unsigned jobs; // begun, and not yet back on the loop
    bool in_job, deferred;
    void (*resume)(struct http_req *q); // came while the job that deferred was still running
    size_t posted, unsent; // bytes of a streamed answer, on their way to the loop and in the connection
    bool broken;           // the client is gone

    // the answer: by the job, and by the loop after it
    bool answered, close, streaming, stream_ended;
    struct buf headers;   // of http_set()
    struct buf head, out; // to be sent, then
    int fd;               // this file, -1: none
    int64_t file_at, file_n;
};

struct http_call *http_call_new(struct loop *l, const char *peer);
void http_call_free(struct http_call *call);
void http_call_unsent(struct http_call *call, size_t arrived,
                      size_t unsent); // news for a job that waits for room
void http_call_broken(struct http_call *call);
/* http.c: a piece of a streamed answer arrives on the loop. */
void http_send_piece(struct http_call *call, struct buf *b);
