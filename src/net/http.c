/*
 * The server: a connection, the request being read from it, and the jobs of the door.
 *
 *     reading head ──head()──▶ reading body ──▶ run() as a job ──▶ answer ──▶ reading head
 *                                  │  ▲            │  ▲
 *                      streamed:   ▼  │  deferred: ▼  │
 *                       body() as a job       http_resume()
 *
 * Everything here runs on the connection's loop, except where it says "job". A call outlives its connection as long as a
 * job has it or it is deferred; the connection then is NULL in it.
 */
#include "net/http_int.h"

#include "base/mem.h"
#include "obs/obs.h"

#include <assert.h>

struct http_conn {
    struct conn *c;
    const struct http_server *server;
    struct http_in in;
    struct http_call *call; // being read or answered; NULL between two
    bool reading;           // the call's end was not read yet
    bool full;              // waiting for the client to take answers before the next request is read
    bool stopping;
    bool paused; // as told to the connection
};

static void proceed(struct http_call *call);

static void pause_reading(struct http_conn *h)
{
    h->paused = true;
    conn_pause(h->c);
}

static void resume_reading(struct http_conn *h)
{
    h->paused = false;
    conn_resume(h->c);
}

/* ---- the end of a call ---- */

static void call_gone(void *arg) // job
{
    struct http_call *call = arg;

    call->route->gone(&call->q);
    http_call_free(call);
}

static void finish_call(struct http_call *call)
{
    if (call->route && call->route->gone)
        job_run(call->q.net, call_gone, NULL, call);
    else
        http_call_free(call);
}

/* ---- jobs ---- */

/* Runs fn, and what http_resume() asked for while fn was still running. */
static void run_handler(struct http_call *call, void (*fn)(struct http_req *q))
{
    while (fn) {
        mutex_lock(&call->lock);
        call->in_job = true;
        mutex_unlock(&call->lock);
        fn(&call->q);
        mutex_lock(&call->lock);
        call->in_job = false;
        fn = call->resume;
        call->resume = NULL;
        if (fn)
            call->deferred = false;
        mutex_unlock(&call->lock);
    }
}

static void run_job(void *arg)
{
    struct http_call *call = arg;

    run_handler(call, call->route->run);
}

static void body_job(void *arg)
{
    struct http_call *call = arg;

    call->route->body(&call->q, buf_view(&call->piece));
}

static void resume_job(void *arg)
{
    struct http_call *call = arg;
    void (*fn)(struct http_req * q);

    mutex_lock(&call->lock);
    fn = call->resume;
    call->resume = NULL;
    mutex_unlock(&call->lock);
    run_handler(call, fn);
}

static void job_back(void *arg)
{
    struct http_call *call = arg;
    bool idle;

    mutex_lock(&call->lock);
    idle = --call->jobs == 0 && !call->deferred;
    mutex_unlock(&call->lock);
    if (idle)
        proceed(call);
}

static void start_job(struct http_call *call, loop_fn *run)
{
    mutex_lock(&call->lock);
    call->jobs++;
    mutex_unlock(&call->lock);
    job_run_for(call->loop, run, job_back, call);
}

void http_defer(struct http_req *q)
{
    struct http_call *call = (struct http_call *)q;

    mutex_lock(&call->lock);
    assert(call->in_job && !call->deferred && !call->answered);
    call->deferred = true;
    mutex_unlock(&call->lock);
}

void http_resume(struct http_req *q, void (*fn)(struct http_req *q))
{
    struct http_call *call = (struct http_call *)q;
    bool start;

    mutex_lock(&call->lock);
    assert(call->deferred && !call->resume);
    call->resume = fn;
    start = !call->in_job; // else the job takes it when it ends
    if (start) {
        call->deferred = false;
        call->jobs++;
    }
    mutex_unlock(&call->lock);
    if (start)
        job_run_for(call->loop, resume_job, job_back, call);
}

/* ---- answering ---- */

static void end_of_answer(struct http_conn *h)
{
    struct http_call *call = h->call;
    bool keep = call->keep_alive && !call->close && !h->stopping && !h->reading;

    h->call = NULL;
    finish_call(call);
    if (!keep) {
        conn_close(h->c);
        return;
    }
    conn_idle(h->c, HTTP_IDLE_MS);
    h->full = conn_unsent(h->c) > HTTP_PIECE;
    if (!h->full)
        resume_reading(h);
}

static void send_answer(struct http_conn *h)
{
    struct http_call *call = h->call;

    conn_send(h->c, &call->head);
    conn_send(h->c, &call->out);
    if (call->fd >= 0) {
        conn_send_file(h->c, call->fd, call->file_at, (size_t)call->file_n);
        call->fd = -1;
    }
    end_of_answer(h);
}

void http_send_piece(struct http_call *call, struct buf *b)
{
    size_t n = b->n;

    if (!call->h) {
        http_call_broken(call);
        return;
    }
    conn_send(call->h->c, b);
    conn_idle(call->h->c, HTTP_IDLE_MS);
    http_call_unsent(call, n, conn_unsent(call->h->c));
}

/* ---- the next step of a call that no job has ---- */

static void proceed(struct http_call *call)
{
    struct http_conn *h = call->h;

    if (!h) {
        finish_call(call);
        return;
    }
    if (call->fault && !call->answered)
        http_refuse(&call->q, call->fault_status, "text/plain", str_of(call->fault));
    if (call->answered || call->stream_ended) {
        send_answer(h);
        return;
    }
    if (call->streaming) { // begun and left: what is missing must be seen
        if (call->http10)
            conn_abort(h->c); // a plain end would look like the answer's
        else
            conn_close(h->c);
        return;
    }
    if (call->route->body && call->body.n > 0) {
        struct buf next = call->piece;
        buf_reset(&next);
        call->piece = call->body;
        call->body = next;
        start_job(call, body_job);
        if (!call->ended && !call->fault)
            resume_reading(h);
    } else if (call->ended && !call->ran) {
        call->ran = true;
        call->q.body = call->route->body ? STR("") : buf_view(&call->body);
        start_job(call, run_job);
    } else if (call->ran) {
        http_refuse(&call->q, 500, "text/plain", STR("the request was not answered"));
        send_answer(h);
    }
}

/* ---- reading ---- */

static bool has_job(struct http_call *call)
{
    bool has;

    mutex_lock(&call->lock);
    has = call->jobs > 0;
    mutex_unlock(&call->lock);
    return has;
}

/* A job that has a piece of the body must come back first. */
static void refuse_input(struct http_conn *h, int status, const char *why)
{
    struct http_call *call = h->call;

    call->fault_status = status;
    call->fault = why;
    if (has_job(call))
        pause_reading(h);
    else
        proceed(call);
}

static void on_head(struct http_conn *h)
{
    struct http_call *call = h->call;
    struct http_req *q = &call->q;
    size_t most;

    obs_add(OBS_http_requests_total, 1);
    obs_trace(h->server->name, "HTTP request: headers, body bytes", (int64_t)q->header_count, q->body_bytes);
    call->keep_alive = h->in.keep_alive;
    call->http10 = h->in.http10;
    call->is_head = str_is(q->method, "HEAD");
    q->arg = h->server->arg;
    q->net = conn_net(h->c);
    call->route = h->server->head(q, h->server->arg);
    assert(call->route && call->route->run);
    if (call->answered) {
        send_answer(h);
        return;
    }
    most = call->route->body_max ? call->route->body_max : LIMIT_HTTP_BODY;
    if (!call->route->body && q->body_bytes > 0 && (uint64_t)q->body_bytes > most) {
        refuse_input(h, 413, "the body is too large");
        return;
    }
    call->body = buf_make(call->route->body ? SIZE_MAX : most);
    call->piece = buf_make(SIZE_MAX);
    if (h->in.wants_continue && q->body_bytes != 0)
        conn_send_copy(h->c, STR("HTTP/1.1 100 Continue\r\n\r\n"));
}

static void on_piece(struct http_conn *h)
{
    struct http_call *call = h->call;

    buf_str(&call->body, h->in.piece);
    if (!buf_ok(&call->body)) {
        refuse_input(h, 413, "the body is too large");
        return;
    }
    if (!call->route->body)
        return;
    if (call->body.n >= HTTP_PIECE)
        pause_reading(h);
    if (!has_job(call))
        proceed(call);
}

static void on_end(struct http_conn *h)
{
    struct http_call *call = h->call;

    h->reading = false;
    call->ended = true;
    pause_reading(h);
    conn_idle(h->c, 0);
    if (!has_job(call))
        proceed(call);
}

static void on_event(struct http_conn *h, enum http_event ev)
{
    switch (ev) {
    case HTTP_IN_MORE:
        break;
    case HTTP_IN_HEAD:
        on_head(h);
        break;
    case HTTP_IN_PIECE:
        on_piece(h);
        break;
    case HTTP_IN_END:
        on_end(h);
        break;
    case HTTP_IN_BAD:
        refuse_input(h, h->in.status, h->in.why);
        break;
    }
}

static size_t h_input(void *state, struct str bytes)
{
    struct http_conn *h = state;
    enum http_event ev;
    size_t used = 0;

    if (!h->call) {
        h->call = http_call_new(conn_loop(h->c), conn_peer(h->c));
        h->call->h = h;
        h->reading = true;
        http_in_begin(&h->in, &h->call->q);
    }
    do { // an event may consume nothing
        used += http_in_feed(&h->in, str_from(bytes.p + used, bytes.n - used), &ev);
        on_event(h, ev);
    } while (used < bytes.n && ev != HTTP_IN_BAD && h->call && !h->paused);
    return used;
}

/* ---- the protocol ---- */

static void *h_open(struct conn *c, void *arg)
{
    struct http_conn *h = MEM_NEW(struct http_conn);

    h->c = c;
    h->server = arg;
    http_in_init(&h->in);
    conn_idle(c, HTTP_IDLE_MS);
    return h;
}

static void h_drained(void *state)
{
    struct http_conn *h = state;

    if (h->call && h->call->streaming) {
        conn_idle(h->c, 0); // it is the handler who takes his time now
        http_call_unsent(h->call, 0, 0);
    }
    if (h->full) {
        h->full = false;
        resume_reading(h);
    }
}

static void h_stop(void *state)
{
    struct http_conn *h = state;

    h->stopping = true;
    if (!h->call || !h->call->route)
        conn_close(h->c);
}

static void h_closed(void *state)
{
    struct http_conn *h = state;
    struct http_call *call = h->call;

    if (call) {
        bool idle;
        call->h = NULL;
        http_call_broken(call);
        mutex_lock(&call->lock);
        idle = call->jobs == 0 && !call->deferred;
        mutex_unlock(&call->lock);
        if (idle)
            finish_call(call);
    }
    http_in_fini(&h->in);
    mem_free(h);
}

static const struct net_proto http_proto = {
    .name = "http",
    .input_max = 256 * KIB,
    .open = h_open,
    .input = h_input,
    .drained = h_drained,
    .stop = h_stop,
    .closed = h_closed,
};

bool http_listen(struct net *net, const char *host, int port, bool tls, const struct http_server *s,
                 int *bound, struct err *e)
{
    struct net_listen what = {
        .host = host, .port = port, .tls = tls, .proto = &http_proto, .release = mem_free};

    what.arg = mem_copy(s, sizeof *s);
    if (net_listen(net, &what, bound, e))
        return true;
    mem_free(what.arg);
    return false;
}
