#include "net/http.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/test.h"
#include "net/testclient.h"
#include "os/os.h"
#include "os/tempdir.h"
#include "os/thread.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the door under test ---- */

static _Atomic int gone_calls, runs;
static char file_path[400];

static void echo_run(struct http_req *q)
{
    struct buf b = buf_make(LIMIT_HTTP_BODY);
    struct str name = http_param(q, "name"), seg[4];
    int n = http_segments(q, seg, 4);

    atomic_fetch_add(&runs, 1);
    buf_fmt(&b, "%.*s %.*s", STR_ARG(q->method), STR_ARG(q->path));
    if (name.p)
        buf_fmt(&b, " name=%.*s", STR_ARG(name));
    for (int i = 1; i < n; i++)
        buf_fmt(&b, " [%.*s]", STR_ARG(seg[i]));
    buf_fmt(&b, " %lld:", (long long)q->body_bytes);
    buf_str(&b, q->body);
    http_set(q, "X-Tarn", STR("a\r\nEvil: b"));
    http_answer_buf(q, 200, "text/plain", &b);
}

/* q->user counts the bytes of a streamed body in q->arena. */
struct counter {
    int64_t n, pieces;
};

static void count_body(struct http_req *q, struct str piece)
{
    struct counter *k = q->user;

    k->n += (int64_t)piece.n;
    k->pieces++;
    for (size_t i = 0; i < piece.n; i++)
        if (piece.p[i] == '!')
            http_refuse(q, 403, "text/plain", STR("no !"));
    if (piece.n > 0 && memchr(piece.p, '?', piece.n))
        k->n = -1000000;
}

static void count_run(struct http_req *q)
{
    struct counter *k = q->user;
    char text[40];

    atomic_fetch_add(&runs, 1);
    (void)snprintf(text, sizeof text, "%lld", (long long)k->n);
    http_answer(q, 201, NULL, str_of(text));
}

static void file_run(struct http_req *q)
{
    struct err e;
    int fd = os_open(os_real(), file_path, O_RDONLY, &e);

    http_answer_file(q, 206, "application/octet-stream", fd, 2, 5);
}

static void stream_run(struct http_req *q)
{
    int64_t n = http_param_i64(q, "n", 3);
    char piece[1000];

    memset(piece, 's', sizeof piece);
    http_answer_begin(q, 200, "text/plain");
    for (int64_t i = 0; i < n; i++)
        if (!http_answer_piece(q, str_from(piece, sizeof piece)))
            break;
    if (!http_param(q, "cut").p)
        http_answer_end(q);
}

static void late_answer(struct http_req *q)
{
    http_answer(q, 200, NULL, STR("late"));
}

static void resume_thread(void *arg)
{
    http_resume(arg, late_answer);
}

static struct thread late;
static struct http_req *parked;
static struct mutex parked_lock;
static struct cond parked_cond;

static void defer_run(struct http_req *q)
{
    http_defer(q);
    if (str_is(q->query, "now")) {
        http_resume(q, late_answer); // before run() has returned
    } else if (str_is(q->query, "thread")) {
        thread_start(&late, "late", resume_thread, q);
    } else {
        mutex_lock(&parked_lock);
        parked = q;
        cond_signal(&parked_cond);
        mutex_unlock(&parked_lock);
    }
}

static void silent_run(struct http_req *q)
{
    (void)q;
}

static void count_gone(struct http_req *q)
{
    (void)q;
    atomic_fetch_add(&gone_calls, 1);
}

static const struct http_route *head(struct http_req *q, void *arg)
{
    static const struct http_route echo = {.run = echo_run, .gone = count_gone, .body_max = 1000};
    static const struct http_route count = {.run = count_run, .body = count_body, .gone = count_gone};
    static const struct http_route file = {.run = file_run};
    static const struct http_route stream = {.run = stream_run, .gone = count_gone};
    static const struct http_route defer = {.run = defer_run, .gone = count_gone};
    static const struct http_route silent = {.run = silent_run};

    (void)arg;
    if (str_is(q->path, "/count"))
        q->user = ARENA_NEW(q->arena, struct counter);
    if (str_is(q->path, "/forbidden"))
        http_refuse(q, 403, "text/plain", STR("forbidden"));
    return str_is(q->path, "/count")    ? &count
           : str_is(q->path, "/file")   ? &file
           : str_is(q->path, "/stream") ? &stream
           : str_is(q->path, "/defer")  ? &defer
           : str_is(q->path, "/silent") ? &silent
                                        : &echo;
}

static const struct http_server server = {"test", head, NULL};

/* ---- a client ---- */

struct rig {
    struct net *net;
    int port, fd;
};

static struct rig rig_start(void)
{
    struct rig r;
    struct err e;

    OK(net_start(&(struct net_options){.loops = 2}, &r.net, &e));
    OK(http_listen(r.net, "127.0.0.1", 0, false, &server, &r.port, &e));
    r.fd = dial(r.port);
    atomic_store(&gone_calls, 0);
    atomic_store(&runs, 0);
    return r;
}

static void rig_stop(struct rig *r)
{
    if (r->fd >= 0)
        close(r->fd);
    net_stop(r->net);
}

static void say(struct rig *r, const char *text)
{
    OK(send(r->fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

static int number(const char *p)
{
    int n = 0;

    while (*p >= '0' && *p <= '9')
        n = n * 10 + *p++ - '0';
    return n;
}

static char got[1 << 22];
static size_t got_n;

/* One answer with a Content-Length, or up to the end of the connection; its status. Head and body stay in got. */
static int hear_with(struct rig *r, bool no_body)
{
    char *end = NULL, *length;
    size_t want = SIZE_MAX;

    got_n = 0;
    while (got_n < want && got_n < sizeof got - 1) {
        ssize_t n = recv(r->fd, got + got_n, end ? want - got_n < 65536 ? want - got_n : 65536 : 1, 0);
        if (n <= 0)
            break;
        got_n += (size_t)n;
        got[got_n] = 0;
        if (!end && (end = strstr(got, "\r\n\r\n")) != NULL) {
            length = strstr(got, "Content-Length: ");
            want = no_body ? got_n : length ? got_n + (size_t)number(length + 16) : SIZE_MAX;
            if (strncmp(got, "HTTP/1.1 100", 12) == 0)
                want = got_n;
        }
    }
    got[got_n] = 0;
    return got_n > 12 ? number(got + 9) : -1;
}

static int hear(struct rig *r)
{
    return hear_with(r, false);
}

static bool body_is(const char *text)
{
    const char *end = strstr(got, "\r\n\r\n");
    return end && strcmp(end + 4, text) == 0;
}

static bool head_has(const char *line)
{
    return strstr(got, line) != NULL;
}

static bool ended(struct rig *r)
{
    char c;
    return recv(r->fd, &c, 1, 0) <= 0;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

/* ---- tests ---- */

TEST(get_and_keep_alive)
{
    struct rig r = rig_start();

    say(&r, GET("/a/b%2Fc/%41?x=1&name=J%C3%BCrgen+K&y"));
    OK(hear(&r) == 200);
    OK(body_is("GET /a/b%2Fc/%41 name=J\xc3\xbcrgen K [b/c] [A] 0:"));
    OK(head_has("\r\nX-Tarn: a  Evil: b\r\n") && head_has("\r\nContent-Type: text/plain\r\n"));
    OK(head_has("\r\nDate: ") && head_has(" GMT\r\n") && !head_has("Connection: close"));
    say(&r, GET("/2"));
    OK(hear(&r) == 200 && body_is("GET /2 0:"));
    rig_stop(&r);
    OK(atomic_load(&gone_calls) == 2);
}

TEST(one_byte_at_a_time)
{
    static const char text[] = "POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "3;e=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\n" GET("/next");
    struct rig r = rig_start();

    for (size_t i = 0; i < sizeof text - 1; i++)
        OK(send(r.fd, &text[i], 1, 0) == 1);
    OK(hear(&r) == 200 && body_is("POST /p -1:abcde"));
    OK(hear(&r) == 200 && body_is("GET /next 0:"));
    rig_stop(&r);
}

TEST(pipelined_requests_are_answered_in_order)
{
    struct rig r = rig_start();

    say(&r, "POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" GET("/2") GET("/defer?thread") GET(
                "/defer?now") GET("/3") "GET /4 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" GET("/5"));
    OK(hear(&r) == 200 && body_is("POST /1 3:abc"));
    OK(hear(&r) == 200 && body_is("GET /2 0:"));
    OK(hear(&r) == 200 && body_is("late"));
    thread_join(&late);
    OK(hear(&r) == 200 && body_is("late"));
    OK(hear(&r) == 200 && body_is("GET /3 0:"));
    OK(hear(&r) == 200 && body_is("GET /4 0:") && head_has("Connection: close"));
    OK(ended(&r));
    rig_stop(&r);
}

TEST(head_sends_no_body)
{
    struct rig r = rig_start();

    say(&r, "HEAD /x HTTP/1.1\r\nHost: x\r\n\r\n");
    OK(hear_with(&r, true) == 200 && head_has("Content-Length: 10\r\n"));
    say(&r, GET("/y"));
    OK(hear(&r) == 200 && body_is("GET /y 0:"));
    rig_stop(&r);
}

TEST(http10_closes_unless_asked)
{
    struct rig r = rig_start();

    say(&r, "GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    OK(hear(&r) == 200 && head_has("Connection: keep-alive"));
    say(&r, "GET /stream HTTP/1.0\r\n\r\n");
    OK(hear(&r) == 200 && head_has("Connection: close") && !head_has("chunked"));
    OK(strlen(strstr(got, "\r\n\r\n") + 4) == 3000);
    rig_stop(&r);
}

TEST(expect_continue)
{
    struct rig r = rig_start();

    say(&r, "PUT /p HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    OK(hear_with(&r, true) == 100);
    say(&r, "abc");
    OK(hear(&r) == 200 && body_is("PUT /p 3:abc"));
    say(&r, "PUT /p HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3000\r\n\r\n");
    OK(hear(&r) == 413 && ended(&r)); // refused before the body was sent
    rig_stop(&r);
}

static void refused(const char *request, int status)
{
    struct rig r = rig_start();

    say(&r, request);
    OK(hear(&r) == status);
    OK(head_has("Connection: close") && ended(&r));
    OK(atomic_load(&runs) == 0);
    rig_stop(&r);
}

TEST(malformed_requests_are_refused)
{
    refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400);
    refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400);
    refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400);
    refused("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            400);
    refused("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501);
    refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", 400);
    refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400);
    refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\nhello", 400);
    refused("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400);
    refused("GET / HTTP/1.1\r\n\r\n", 400);
    refused("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400);
    refused("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505);
    refused("\x16\x03\x01\x02", 400);
    refused("GET foo HTTP/1.1\r\nHost: x\r\n\r\n", 400);
    refused("GET / HTTP/1.1\r\nHost: x\r\nExpect: magic\r\n\r\n", 417);
    refused(GET("/forbidden"), 403);
}

TEST(oversized_heads_are_refused)
{
    struct rig r = rig_start();

    char line[1002];

    memset(line, 'v', 1000);
    line[1000] = '\r';
    line[1001] = '\n';
    say(&r, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 70; i++) {
        (void)send(r.fd, "X-A: ", 5, MSG_NOSIGNAL);
        (void)send(r.fd, line, sizeof line, MSG_NOSIGNAL);
    }
    OK(hear(&r) == 431 && ended(&r));
    close(r.fd);
    r.fd = dial(r.port);
    say(&r, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 300; i++)
        (void)send(r.fd, "X: 1\r\n", 6, MSG_NOSIGNAL);
    OK(hear(&r) == 431 && ended(&r));
    rig_stop(&r);
}

TEST(oversized_bodies_are_refused)
{
    char big[2000];
    struct rig r;

    refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n", 413);
    r = rig_start();
    memset(big, 'b', sizeof big);
    say(&r, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n");
    OK(send(r.fd, big, sizeof big, 0) == sizeof big);
    OK(hear(&r) == 413 && ended(&r));
    rig_stop(&r);
    OK(atomic_load(&runs) == 0 && atomic_load(&gone_calls) == 1);
}

TEST(client_gone_in_the_middle_of_its_body)
{
    struct rig r = rig_start();

    say(&r, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
    close(r.fd);
    r.fd = dial(r.port);
    say(&r, "PUT /count HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
    rig_stop(&r);
    OK(atomic_load(&runs) == 0);
    OK(atomic_load(&gone_calls) <= 2);
}

TEST(streamed_bodies)
{
    enum { N = 20 << 20 };
    struct rig r = rig_start();
    char *data = mem_alloc(N);
    char text[200];
    size_t sent = 0;

    memset(data, 'd', N);
    (void)snprintf(text, sizeof text, "PUT /count HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", N);
    say(&r, text);
    while (sent < N) {
        ssize_t n = send(r.fd, data + sent, N - sent, MSG_NOSIGNAL);
        OK(n > 0);
        sent += (size_t)n;
    }
    OK(hear(&r) == 201 && body_is("20971520") && !head_has("Content-Type"));
    say(&r, "PUT /count HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" GET("/next"));
    OK(hear(&r) == 201 && body_is("0"));
    OK(hear(&r) == 200 && body_is("GET /next 0:"));
    say(&r, "PUT /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\n!\r\n");
    OK(hear(&r) == 403 && ended(&r));
    close(r.fd);
    r.fd = dial(r.port);
    say(&r, "PUT /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\n");
    OK(hear(&r) == 400 && ended(&r));
    mem_free(data);
    rig_stop(&r);
    OK(atomic_load(&gone_calls) == 5);
}

TEST(files)
{
    struct rig r = rig_start();
    char dir[TEMPDIR_MAX];
    struct err e;

    OK(tempdir_make(dir));
    (void)snprintf(file_path, sizeof file_path, "%s/f", dir);
    OK(os_replace_file(os_real(), file_path, STR("0123456789"), &e));
    say(&r, GET("/file") GET("/x"));
    OK(hear(&r) == 206 && body_is("23456"));
    OK(hear(&r) == 200 && body_is("GET /x 0:"));
    say(&r, "HEAD /file HTTP/1.1\r\nHost: x\r\n\r\n");
    OK(hear_with(&r, true) == 206 && head_has("Content-Length: 5"));
    OK(os_replace_file(os_real(), file_path, STR("0123"), &e)); // shorter than will be promised
    say(&r, GET("/file"));
    OK(hear(&r) == 206 && !body_is("23456") && ended(&r));
    OK(os_remove_tree(os_real(), dir, &e));
    rig_stop(&r);
}

TEST(streamed_answers)
{
    struct rig r = rig_start();

    say(&r, "GET /stream?n=2000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    OK(hear(&r) == 200 && head_has("Transfer-Encoding: chunked"));
    OK(got_n > 2000000 && strcmp(got + got_n - 5, "0\r\n\r\n") == 0);
    close(r.fd);
    r.fd = dial(r.port);
    say(&r, GET("/stream?n=3&cut=1"));
    OK(hear(&r) == 200 && strcmp(got + got_n - 5, "0\r\n\r\n") != 0); // broken off, and it shows
    close(r.fd);
    r.fd = dial(r.port);
    say(&r, GET("/stream?n=1000000")); // never read: the job must not wait for ever
    OK(recv(r.fd, got, 1, 0) == 1);
    rig_stop(&r);
    OK(atomic_load(&gone_calls) == 3);
}

TEST(parked_request_of_a_client_that_went)
{
    struct rig r = rig_start();
    struct http_req *q;

    mutex_init(&parked_lock);
    cond_init(&parked_cond);
    parked = NULL;
    say(&r, GET("/defer"));
    mutex_lock(&parked_lock);
    while (!parked)
        cond_wait(&parked_cond, &parked_lock);
    q = parked;
    mutex_unlock(&parked_lock);
    close(r.fd);
    r.fd = -1;
    net_shut(r.net, 0);
    OK(atomic_load(&gone_calls) == 0);
    http_resume(q, late_answer);
    rig_stop(&r);
    OK(atomic_load(&gone_calls) == 1);
}

TEST(run_without_an_answer_is_500)
{
    struct rig r = rig_start();

    say(&r, GET("/silent"));
    OK(hear(&r) == 500 && ended(&r));
    rig_stop(&r);
}

TEST(stop_answers_what_was_asked)
{
    struct rig r = rig_start();

    say(&r, GET("/defer?thread"));
    OK(recv(r.fd, got, 1, MSG_PEEK) == 1);
    thread_join(&late);
    net_shut(r.net, 5000);
    OK(hear(&r) == 200 && body_is("late") && ended(&r));
    rig_stop(&r);
}

TEST(percent_coding)
{
    struct arena a = {0};
    struct buf b = buf_make(100);

    OK(str_is(http_decode(&a, STR("a%20b+c%2f"), false), "a b+c/"));
    OK(str_is(http_decode(&a, STR("a+b"), true), "a b"));
    OK(str_is(http_decode(&a, STR(""), true), ""));
    OK(!http_decode(&a, STR("%"), true).p);
    OK(!http_decode(&a, STR("%4"), true).p);
    OK(!http_decode(&a, STR("%g0"), true).p);
    OK(!http_decode(&a, STR("%0g"), true).p);
    http_encode(&b, STR("a b/~+\xc3\xa9"), true);
    http_encode(&b, STR("/"), false);
    OK(str_is(buf_view(&b), "a%20b/~%2B%C3%A9%2F"));
    buf_fini(&b);
    arena_fini(&a);
}

TEST_MAIN
