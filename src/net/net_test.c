#include "net/net.h"

#include "base/arena.h"
#include "base/be.h"
#include "base/mem.h"
#include "base/test.h"
#include "net/testclient.h"
#include "os/os.h"
#include "os/tempdir.h"
#include "os/thread.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void say(int fd, const void *p, size_t n)
{
    OK(send(fd, p, n, MSG_NOSIGNAL) == (ssize_t)n);
}

static bool hear(int fd, void *p, size_t n) // exactly n bytes
{
    return recv(fd, p, n, MSG_WAITALL) == (ssize_t)n;
}

static bool hear_end(int fd)
{
    char c;
    return recv(fd, &c, 1, 0) <= 0;
}

/* ---- something to wait for ---- */

struct gate {
    struct mutex lock;
    struct cond cond;
    int n;
};

static void gate_init(struct gate *g)
{
    *g = (struct gate){0};
    mutex_init(&g->lock);
    cond_init(&g->cond);
}

static void gate_add(struct gate *g)
{
    mutex_lock(&g->lock);
    g->n++;
    cond_broadcast(&g->cond);
    mutex_unlock(&g->lock);
}

static bool gate_wait(struct gate *g, int n)
{
    bool ok = true;

    mutex_lock(&g->lock);
    while (g->n < n && ok)
        ok = cond_wait_ms(&g->cond, &g->lock, 10000);
    mutex_unlock(&g->lock);
    return ok;
}

/* ---- protocols ---- */

/* Echoes frames: one byte of length, then that many bytes. "!" closes, "p" pauses and resumes by a post. */
struct echo {
    struct conn *c;
    struct gate *gone;
};

static void *echo_open(struct conn *c, void *arg)
{
    struct echo *s = MEM_NEW(struct echo);

    s->c = c;
    s->gone = arg;
    return s;
}

static void resume(void *arg)
{
    conn_resume(arg);
}

static size_t echo_input(void *state, struct str in)
{
    struct echo *s = state;
    size_t n = (uint8_t)in.p[0];

    if (in.n < 1 + n)
        return 0;
    conn_send_copy(s->c, str_from(in.p, 1 + n));
    if (n == 1 && in.p[1] == '!')
        conn_close(s->c);
    if (n == 1 && in.p[1] == 'p') {
        conn_pause(s->c);
        loop_post(conn_loop(s->c), resume, s->c);
    }
    return 1 + n;
}

static void echo_closed(void *state)
{
    struct echo *s = state;

    if (s->gone)
        gate_add(s->gone);
    mem_free(s);
}

static const struct net_proto echo = {
    .name = "echo", .input_max = 4096, .open = echo_open, .input = echo_input, .closed = echo_closed};

static struct net *start(unsigned loops, unsigned conn_max)
{
    struct net *net;
    struct err e;

    OK(net_start(&(struct net_options){.loops = loops, .conn_max = conn_max}, &net, &e));
    return net;
}

static int listen_on(struct net *net, const struct net_proto *proto, void *arg)
{
    struct err e;
    int port;

    OK(net_listen(net, &(struct net_listen){.host = "127.0.0.1", .proto = proto, .arg = arg}, &port, &e));
    return port;
}

TEST(nothing_happens)
{
    net_stop(start(3, 0));
    net_stop(NULL);
}

TEST(echo_one_byte_at_a_time)
{
    struct net *net = start(2, 0);
    int fd = dial(listen_on(net, &echo, NULL));
    char back[6];

    for (int i = 0; i < 6; i++)
        say(fd, &"\5hello"[i], 1);
    OK(hear(fd, back, 6) && memcmp(back, "\5hello", 6) == 0);
    close(fd);
    net_stop(net);
}

TEST(many_frames_in_one_packet)
{
    struct net *net = start(1, 0);
    int fd = dial(listen_on(net, &echo, NULL));
    char out[3000], back[3000];

    for (int i = 0; i < 1000; i++)
        memcpy(out + (size_t)3 * i, i % 100 == 7 ? "\1p\0" : "\2ab", 3);
    say(fd, out, sizeof out);
    OK(hear(fd, back, sizeof back) && memcmp(out, back, sizeof out) == 0);
    close(fd);
    net_stop(net);
}

TEST(many_connections_all_closed)
{
    enum { N = 300 };
    struct net *net = start(4, 0);
    struct gate gone;
    int fd[N], port;
    char back[3];

    gate_init(&gone);
    port = listen_on(net, &echo, &gone);
    for (int i = 0; i < N; i++)
        fd[i] = dial(port);
    for (int i = 0; i < N; i++)
        say(fd[i], "\2hi", 3);
    for (int i = 0; i < N; i++)
        OK(hear(fd[i], back, 3));
    for (int i = 0; i < N / 2; i++)
        close(fd[i]);
    OK(gate_wait(&gone, N / 2));
    net_stop(net);
    OK(gone.n == N);
    for (int i = N / 2; i < N; i++) {
        OK(hear_end(fd[i]));
        close(fd[i]);
    }
}

TEST(connections_over_the_limit_are_closed)
{
    struct net *net = start(1, 2);
    struct gate gone;
    int port, a, b, c;
    char back[3];

    gate_init(&gone);
    port = listen_on(net, &echo, &gone);
    a = dial(port);
    b = dial(port);
    say(b, "\2hi", 3);
    OK(hear(b, back, 3));
    c = dial(port);
    OK(hear_end(c));
    close(a);
    OK(gate_wait(&gone, 1));
    close(c);
    close(b);
    net_stop(net);
}

/* Messages of four bytes of length and as many bytes; the answer to each is a byte: were they right, and was their memory taken. */
static size_t long_need(struct str in)
{
    return in.n < 4 ? 0 : 4 + (size_t)be_get32(in.p);
}

static size_t long_input(void *state, struct str in)
{
    struct echo *s = state;
    size_t n = long_need(in);
    struct conn_memory memory;
    char answer = 1;

    if (n == 0 || in.n < n)
        return 0;
    memory = conn_take(s->c, str_from(in.p, n));
    for (size_t i = 4; i < n; i++)
        answer = (uint8_t)in.p[i] == (uint8_t)(n * 31 + i * 7) ? answer : 0;
    if (answer && memory.p)
        answer = 2;
    if (memory.p)
        memory.release(memory.arg);
    conn_send_copy(s->c, str_from(&answer, 1));
    return n;
}

TEST(the_memory_of_long_messages_can_be_taken)
{
    static const struct net_proto proto = {.name = "long",
                                           .input_max = 8 << 20,
                                           .open = echo_open,
                                           .input = long_input,
                                           .need = long_need,
                                           .closed = echo_closed};
    static const struct {
        size_t n;
        bool taken;
    } of[] = {{10, false},     {1 << 20, true}, {1000, false}, {600000, true},
              {5 << 20, true}, {0, false},      {70000, true}};
    struct net *net = start(1, 0);
    int fd = dial(listen_on(net, &proto, NULL));
    char answer;

    for (int round = 0; round < 3; round++)
        for (size_t k = 0; k < ARRAY_LEN(of); k++) {
            char *message = mem_alloc(4 + of[k].n);

            be_put32(message, (uint32_t)of[k].n);
            for (size_t i = 4; i < 4 + of[k].n; i++)
                message[i] = (char)((4 + of[k].n) * 31 + i * 7);
            say(fd, message, 4 + of[k].n);
            mem_free(message);
            if (round == 2)
                continue; // one behind the other: where a message ends in memory is chance
            OK(hear(fd, &answer, 1) && answer == (of[k].taken && of[k].n > 262144 ? 2 : answer) &&
               answer > 0);
            OK(of[k].taken || answer == 1);
        }
    for (size_t k = 0; k < ARRAY_LEN(of); k++)
        OK(hear(fd, &answer, 1) && answer > 0);
    close(fd);
    net_stop(net);
}

TEST(close_sends_what_is_queued)
{
    struct net *net = start(1, 0);
    int fd = dial(listen_on(net, &echo, NULL));
    char back[5];

    say(fd, "\2ab\1!\2no", 8);
    OK(hear(fd, back, 5) && memcmp(back, "\2ab\1!", 5) == 0);
    OK(hear_end(fd));
    close(fd);
    net_stop(net);
}

TEST(half_closed_client_is_answered)
{
    struct net *net = start(1, 0);
    int fd = dial(listen_on(net, &echo, NULL));
    char back[3];

    say(fd, "\2ab", 3);
    shutdown(fd, SHUT_WR);
    OK(hear(fd, back, 3));
    OK(hear_end(fd));
    close(fd);
    net_stop(net);
}

static size_t never(void *state, struct str in)
{
    (void)state;
    (void)in;
    return 0;
}

TEST(input_over_the_limit_closes)
{
    static const struct net_proto sponge = {
        .name = "sponge", .input_max = 10000, .open = echo_open, .input = never, .closed = echo_closed};
    struct net *net = start(1, 0);
    struct gate gone;
    char junk[20000] = {0};
    int fd;

    gate_init(&gone);
    fd = dial(listen_on(net, &sponge, &gone));
    say(fd, junk, 9999);
    say(fd, junk, 10001);
    OK(gate_wait(&gone, 1));
    close(fd);
    net_stop(net);
}

static void *sleepy_open(struct conn *c, void *arg)
{
    conn_idle(c, 1);
    return echo_open(c, arg);
}

TEST(idle_connections_are_cut)
{
    static const struct net_proto sleepy = {
        .name = "sleepy", .input_max = 10, .open = sleepy_open, .input = never, .closed = echo_closed};
    struct net *net = start(1, 0);
    struct gate gone;
    int fd;

    gate_init(&gone);
    fd = dial(listen_on(net, &sleepy, &gone));
    say(fd, "x", 1);
    OK(gate_wait(&gone, 1));
    OK(hear_end(fd));
    close(fd);
    net_stop(net);
}

/* ---- large answers ---- */

enum { BIG = 8 << 20 };
static _Atomic int drained_calls;

/* One byte asks for BIG bytes: 'm' from memory, 'f' from a file whose path is arg, 'b' both. */
static size_t big_input(void *state, struct str in)
{
    struct echo *s = state;
    struct buf b = buf_make(BIG);

    if (in.p[0] != 'f') {
        memset(buf_room(&b, BIG), 'm', BIG);
        b.n = BIG;
        conn_send(s->c, &b);
    }
    if (in.p[0] != 'm') {
        struct err e;
        conn_send_file(s->c, os_open(os_real(), (char *)s->gone, O_RDONLY, &e), 1, BIG - 1);
    }
    return 1;
}

static void big_drained(void *state)
{
    struct echo *s = state;

    OK(conn_unsent(s->c) == 0);
    atomic_fetch_add(&drained_calls, 1);
}

static void big_closed(void *state)
{
    mem_free(state);
}

static const struct net_proto big = {.name = "big",
                                     .input_max = 100,
                                     .open = echo_open,
                                     .input = big_input,
                                     .drained = big_drained,
                                     .closed = big_closed};

static bool hear_big(int fd, char want, size_t n)
{
    static char piece[65536];

    while (n > 0) {
        size_t k = n < sizeof piece ? n : sizeof piece;
        if (!hear(fd, piece, k))
            return false;
        for (size_t i = 0; i < k; i += 1000)
            if (piece[i] != want)
                return false;
        n -= k;
    }
    return true;
}

static char *make_big_file(const char *dir)
{
    static char path[300];
    char *p = mem_alloc(BIG);
    struct err e;

    (void)snprintf(path, sizeof path, "%s/big", dir);
    memset(p, 'f', BIG);
    p[0] = 'x';
    OK(os_replace_file(os_real(), path, str_from(p, BIG), &e));
    mem_free(p);
    return path;
}

TEST(large_answers_from_memory_and_file)
{
    struct net *net = start(1, 0);
    char dir[TEMPDIR_MAX];
    struct err e;
    int fd;

    OK(tempdir_make(dir));
    fd = dial(listen_on(net, &big, make_big_file(dir)));
    say(fd, "mfb", 3);
    OK(hear_big(fd, 'm', BIG));
    OK(hear_big(fd, 'f', BIG - 1));
    OK(hear_big(fd, 'm', BIG));
    OK(hear_big(fd, 'f', BIG - 1));
    close(fd);
    net_stop(net);
    OK(atomic_load(&drained_calls) >= 1);
    OK(os_remove_tree(os_real(), dir, &e));
}

TEST(client_that_does_not_read_is_cut_by_stop)
{
    struct net *net = start(1, 0);
    char dir[TEMPDIR_MAX], c;
    struct err e;
    int fd;

    OK(tempdir_make(dir));
    fd = dial(listen_on(net, &big, make_big_file(dir)));
    say(fd, "bbb", 3);
    OK(hear(fd, &c, 1));
    net_stop(net);
    close(fd);
    OK(os_remove_tree(os_real(), dir, &e));
}

struct reader {
    int fd;
    bool ok;
};

static void read_rest(void *arg)
{
    struct reader *r = arg;

    r->ok = hear_big(r->fd, 'm', BIG - 1) && hear_end(r->fd);
}

TEST(shut_lets_the_answer_out)
{
    struct net *net = start(1, 0);
    struct reader r = {.fd = dial(listen_on(net, &big, NULL))};
    struct thread t;
    char c;

    say(r.fd, "m", 1);
    OK(hear(r.fd, &c, 1));
    thread_start(&t, "reader", read_rest, &r);
    net_shut(net, 10000);
    thread_join(&t);
    OK(r.ok);
    close(r.fd);
    net_stop(net);
}

/* ---- posts, timers, jobs ---- */

struct order {
    struct gate gate;
    int next[4];
    bool wrong;
};
struct numbered {
    struct order *o;
    int from, n;
};

static void arrive(void *arg)
{
    struct numbered *m = arg;

    if (m->o->next[m->from]++ != m->n)
        m->o->wrong = true;
    gate_add(&m->o->gate);
    mem_free(m);
}

struct sender {
    struct loop *to;
    struct order *o;
    int from;
};

static void send_many(void *arg)
{
    struct sender *s = arg;

    for (int i = 0; i < 1000; i++) {
        struct numbered *m = MEM_NEW(struct numbered);
        *m = (struct numbered){s->o, s->from, i};
        loop_post(s->to, arrive, m);
    }
}

TEST(posts_arrive_in_order)
{
    struct net *net = start(3, 0);
    struct order o = {0};
    struct sender s[3];

    gate_init(&o.gate);
    for (int i = 0; i < 3; i++) {
        s[i] = (struct sender){net_loop(net, 0), &o, i};
        loop_post(net_loop(net, (unsigned)i), send_many, &s[i]);
    }
    OK(gate_wait(&o.gate, 3000));
    OK(!o.wrong);
    net_stop(net);
}

struct ticker {
    struct loop *loop;
    struct timer *t;
    struct gate gate;
    int ticks;
    bool wrong;
};

static void tick(void *arg)
{
    struct ticker *k = arg;

    k->wrong |= loop_current() != k->loop;
    if (++k->ticks < 3) {
        timer_start(k->t, 1);
        return;
    }
    timer_free(k->t);
    gate_add(&k->gate);
}

static void must_not(void *arg)
{
    ((struct ticker *)arg)->wrong = true;
}

static void start_ticking(void *arg)
{
    struct ticker *k = arg;

    struct timer *never = timer_new(k->loop, must_not, k);

    timer_start(never, 0);
    timer_free(never);
    k->t = timer_new(k->loop, tick, k);
    timer_start(k->t, 0);
}

TEST(timers_fire_once_each_start)
{
    struct net *net = start(2, 0);
    struct ticker k = {.loop = net_loop(net, 1)};

    gate_init(&k.gate);
    loop_post(k.loop, start_ticking, &k);
    OK(gate_wait(&k.gate, 1));
    net_stop(net);
    OK(k.ticks == 3 && !k.wrong);
}

struct work {
    struct net *net;
    struct loop *asked;
    struct gate *gate;
    int *counter, order;
    _Atomic bool *wrong;
};

static void work_run(void *arg)
{
    struct work *w = arg;

    if (loop_current() != NULL)
        *w->wrong = true;
    w->order = (*w->counter)++; // one pool thread only
}

static void work_done(void *arg)
{
    struct work *w = arg;

    if (loop_current() != w->asked)
        *w->wrong = true;
    gate_add(w->gate);
}

static void work_ask(void *arg)
{
    struct work *w = arg;

    w->asked = loop_current();
    job_run(w->net, work_run, work_done, w);
}

TEST(jobs_run_in_order_and_come_back)
{
    enum { N = 200 };
    static struct work w[N];
    struct gate gate;
    struct net *net;
    struct err e;
    int counter = 0;
    _Atomic bool wrong = false;

    OK(net_start(&(struct net_options){.loops = 2, .job_threads = 1}, &net, &e));
    gate_init(&gate);
    for (int i = 0; i < N; i++) {
        w[i] = (struct work){.net = net, .gate = &gate, .counter = &counter, .wrong = &wrong};
        if (i % 4 == 3)
            work_ask(&w[i]); // from no loop
        else
            loop_post(net_loop(net, 0), work_ask, &w[i]);
    }
    OK(gate_wait(&gate, N));
    net_stop(net);
    OK(!wrong && counter == N);
    for (int i = 4, last = 0; i < N; i += 4) { // those of one loop kept their order
        OK(w[i].order > w[last].order);
        last = i;
    }
}

static void block(void *arg)
{
    gate_wait(arg, 1);
}

TEST(pool_grows_while_jobs_block_and_stop_finishes_them)
{
    struct net *net = start(1, 0);
    struct gate go, done;

    gate_init(&go);
    gate_init(&done);
    for (int i = 0; i < 10; i++)
        job_run(net, block, NULL, &go);
    job_run(net, (loop_fn *)gate_add, NULL, &done);
    OK(gate_wait(&done, 1));
    gate_add(&go);
    for (int i = 0; i < 10; i++)
        job_run(net, (loop_fn *)gate_add, NULL, &done);
    net_stop(net);
    OK(done.n == 11);
}

/* ---- faults of listening ---- */

TEST(taken_port_names_port_and_owner)
{
    struct net *net = start(1, 0);
    struct net_listen what = {.host = "127.0.0.1", .proto = &echo};
    char pid[32];
    struct err e;
    int port;

    OK(net_listen(net, &what, &what.port, &e));
    OK(!net_listen(net, &what, &port, &e));
    OK(e.kind == ERR_CONFLICT);
    (void)snprintf(pid, sizeof pid, "port %d of", what.port);
    OK(strstr(e.msg, pid) != NULL);
    (void)snprintf(pid, sizeof pid, "net_test (pid %d)", getpid());
    OK(strstr(e.msg, pid) != NULL);
    net_stop(net);
}

TEST(bad_addresses_are_refused)
{
    struct net *net = start(1, 0);
    struct err e;
    int port;

    OK(!net_listen(net, &(struct net_listen){.host = "localhost", .proto = &echo}, &port, &e));
    OK(e.kind == ERR_INVALID && strstr(e.msg, "numeric") != NULL);
    OK(!net_listen(net, &(struct net_listen){.host = "127.0.0.1", .port = 70000, .proto = &echo}, &port, &e));
    OK(e.kind == ERR_INVALID);
    OK(!net_listen(net, &(struct net_listen){.host = "127.0.0.1", .tls = true, .proto = &echo}, &port, &e));
    OK(e.kind == ERR_INVALID && strstr(e.msg, "certificate") != NULL);
    net_stop(net);
}

/* ---- children ---- */

struct ended {
    struct child *c;
    struct gate gate;
    int64_t status;
    int signal, pid;
};

static void on_exit_(void *arg, int64_t status, int sig)
{
    struct ended *x = arg;

    x->status = status;
    x->signal = sig;
    x->pid = child_pid(x->c);
    child_free(x->c);
    gate_add(&x->gate);
}

TEST(children_start_and_end)
{
    struct net *net = start(2, 0);
    char dir[TEMPDIR_MAX], path[300];
    const char *argv[] = {"sh", "-c", "echo out; echo err >&2; exit 7", NULL};
    const char *cat[] = {"cat", NULL}, *nil[] = {"nil", NULL};
    struct ended x = {0};
    struct arena a = {0};
    struct str text;
    struct err e;

    OK(tempdir_make(dir));
    (void)snprintf(path, sizeof path, "%s/log", dir);
    gate_init(&x.gate);
    OK(child_start(net_loop(net, 1), &(struct child_options){.file = "sh", .argv = argv, .output_path = path},
                   on_exit_, &x, &x.c, &e));
    OK(gate_wait(&x.gate, 1));
    OK(x.status == 7 && x.signal == 0 && x.pid == 0);
    OK(os_read_file(os_real(), path, 100, &a, &text, &e) && str_is(text, "out\nerr\n"));

    argv[2] = "sleep 100";
    OK(child_start(net_loop(net, 1), &(struct child_options){.file = "sh", .argv = argv, .output_path = path},
                   on_exit_, &x, &x.c, &e));
    OK(child_pid(x.c) > 0);
    child_kill(x.c, SIGTERM);
    OK(gate_wait(&x.gate, 2));
    OK(x.signal == SIGTERM);

    OK(!child_start(net_loop(net, 0), &(struct child_options){.file = "/nonexistent/x", .argv = nil},
                    on_exit_, &x, &x.c, &e));
    OK(e.kind == ERR_NOT_FOUND && strstr(e.msg, "/nonexistent/x") != NULL);
    OK(child_start(net_loop(net, 0), &(struct child_options){.file = "cat", .argv = cat}, on_exit_, &x, &x.c,
                   &e));
    OK(gate_wait(&x.gate, 3)); // its input is empty
    net_stop(net);
    arena_fini(&a);
    OK(os_remove_tree(os_real(), dir, &e));
}

TEST_MAIN
