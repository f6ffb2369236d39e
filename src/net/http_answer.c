/*
 * A call: one request and the answer being made for it, by one job at a time. Only a streamed answer and a deferred one
 * have two threads at it; call->lock is for those.
 */
#include "net/http_int.h"

#include "base/mem.h"
#include "base/utc.h"
#include "obs/obs.h"
#include "os/os.h"

#include <assert.h>

#define HEADERS_MAX (64 * KIB) // of one answer

struct http_call *http_call_new(struct loop *l, const char *peer)
{
    struct http_call *call = MEM_NEW(struct http_call);

    call->loop = l;
    call->fd = -1;
    call->q.arena = &call->arena;
    call->q.peer = arena_str(&call->arena, str_of(peer)).p;
    call->q.body = STR("");
    call->headers = buf_make(HEADERS_MAX);
    call->head = buf_make(HEADERS_MAX + KIB);
    call->out = buf_make(SIZE_MAX);
    mutex_init(&call->lock);
    cond_init(&call->room);
    return call;
}

void http_call_free(struct http_call *call)
{
    os_close(os_real(), call->fd);
    buf_fini(&call->body);
    buf_fini(&call->piece);
    buf_fini(&call->headers);
    buf_fini(&call->head);
    buf_fini(&call->out);
    cond_fini(&call->room);
    mutex_fini(&call->lock);
    arena_fini(&call->arena);
    mem_free(call);
}

static struct http_call *of(struct http_req *q)
{
    return (struct http_call *)q;
}

/* ---- the head ---- */

/* A line break in a value would let its author write headers of his own. */
static void put_clean(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        buf_u8(b, (uint8_t)s.p[i] < 32 || s.p[i] == 127 ? ' ' : (uint8_t)s.p[i]);
}

void http_set(struct http_req *q, const char *name, struct str value)
{
    struct buf *b = &of(q)->headers;

    put_clean(b, str_of(name));
    buf_str(b, STR(": "));
    put_clean(b, value);
    buf_str(b, STR("\r\n"));
}

static void put_date(struct buf *b)
{
    static const char days[] = "ThuFriSatSunMonTueWed", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int64_t now_us = os_real()->wall_us(os_real());
    struct utc t = utc_split(now_us);

    buf_fmt(b, "Date: %.3s, %02u %.3s %04d %02u:%02u:%02u GMT\r\n", days + (size_t)3 * (now_us / UTC_DAY % 7),
            t.day, months + (size_t)3 * (t.month - 1), (int)t.year, t.hour, t.minute, t.second);
}

static bool may_have_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

/* length -1: chunked, or to the end of the connection for HTTP/1.0. */
static void make_head(struct http_call *call, int status, const char *type, int64_t length)
{
    struct buf *b = &call->head;

    assert(!call->answered && !call->streaming);
    if (status >= 500)
        obs_add(OBS_http_errors_total, 1);
    if (length < 0 && call->http10)
        call->keep_alive = false;
    if (call->close)
        call->keep_alive = false;
    buf_fmt(b, "HTTP/1.1 %d %s\r\n", status, http_status_str((enum http_status)status));
    put_date(b);
    buf_str(b, STR("Server: tarn\r\n"));
    if (type && may_have_body(status))
        buf_fmt(b, "Content-Type: %s\r\n", type);
    if (may_have_body(status) && length >= 0)
        buf_fmt(b, "Content-Length: %lld\r\n", (long long)length);
    else if (may_have_body(status) && !call->http10)
        buf_str(b, STR("Transfer-Encoding: chunked\r\n"));
    if (!call->keep_alive)
        buf_str(b, STR("Connection: close\r\n"));
    else if (call->http10)
        buf_str(b, STR("Connection: keep-alive\r\n"));
    assert(buf_ok(&call->headers)); // a handler wrote more than 64 KiB of headers
    buf_str(b, buf_view(&call->headers));
    buf_str(b, STR("\r\n"));
}

/* ---- whole answers ---- */

void http_answer_buf(struct http_req *q, int status, const char *type, struct buf *body)
{
    struct http_call *call = of(q);

    assert(buf_ok(body));
    make_head(call, status, type, (int64_t)body->n);
    if (!call->is_head && may_have_body(status))
        call->out = *body;
    else
        buf_fini(body);
    *body = buf_make(body->max);
    call->answered = true;
}

void http_answer(struct http_req *q, int status, const char *type, struct str body)
{
    struct buf copy = buf_make(body.n);

    buf_str(&copy, body);
    http_answer_buf(q, status, type, &copy);
}

void http_answer_file(struct http_req *q, int status, const char *type, int fd, int64_t at, int64_t n)
{
    struct http_call *call = of(q);

    assert(n >= 0 && (fd >= 0 || call->is_head));
    make_head(call, status, type, n);
    if (call->is_head) {
        os_close(os_real(), fd);
    } else {
        call->fd = fd;
        call->file_at = at;
        call->file_n = n;
    }
    call->answered = true;
}

void http_refuse(struct http_req *q, int status, const char *type, struct str body)
{
    of(q)->close = true;
    http_answer(q, status, type, body);
}

/* ---- streamed answers ---- */

struct piece {
    struct http_call *call;
    struct buf bytes;
};

static void piece_arrives(void *arg)
{
    struct piece *p = arg;

    http_send_piece(p->call, &p->bytes);
    buf_fini(&p->bytes);
    mem_free(p);
}

/* Takes b. The call outlives the message: the job that sends it ends later, by a message of its own. */
static void post(struct http_call *call, struct buf *b)
{
    struct piece *p = MEM_NEW(struct piece);

    *p = (struct piece){call, *b};
    mutex_lock(&call->lock);
    call->posted += b->n;
    mutex_unlock(&call->lock);
    loop_post(call->loop, piece_arrives, p);
}

void http_answer_begin(struct http_req *q, int status, const char *type)
{
    struct http_call *call = of(q);

    make_head(call, status, type, -1);
    call->streaming = true;
    post(call, &call->head);
    call->head = buf_make(0);
}

static bool wait_for_room(struct http_call *call)
{
    bool broken;

    mutex_lock(&call->lock);
    while (call->posted + call->unsent >= HTTP_PIECE && !call->broken)
        cond_wait(&call->room, &call->lock);
    broken = call->broken;
    mutex_unlock(&call->lock);
    return !broken;
}

bool http_answer_piece(struct http_req *q, struct str piece)
{
    struct http_call *call = of(q);
    struct buf b = buf_make(piece.n + 32);

    assert(call->streaming && !call->stream_ended);
    if (!wait_for_room(call))
        return false;
    if (piece.n == 0 || call->is_head)
        return true;
    if (call->http10) {
        buf_str(&b, piece);
    } else {
        buf_fmt(&b, "%zx\r\n", piece.n);
        buf_str(&b, piece);
        buf_str(&b, STR("\r\n"));
    }
    post(call, &b);
    return true;
}

void http_answer_end(struct http_req *q)
{
    struct http_call *call = of(q);

    assert(call->streaming && !call->stream_ended);
    call->stream_ended = true;
    call->head = buf_make(8);
    if (!call->http10 && !call->is_head)
        buf_str(&call->head, STR("0\r\n\r\n"));
}

void http_call_unsent(struct http_call *call, size_t arrived, size_t unsent)
{
    mutex_lock(&call->lock);
    call->posted -= arrived;
    call->unsent = unsent;
    cond_signal(&call->room);
    mutex_unlock(&call->lock);
}

void http_call_broken(struct http_call *call)
{
    mutex_lock(&call->lock);
    call->broken = true;
    cond_signal(&call->room);
    mutex_unlock(&call->lock);
}
