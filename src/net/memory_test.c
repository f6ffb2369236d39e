/*
 * Where long messages are received: a protocol that gives memory for them (net_proto.memory) and counts what becomes of it. Whatever happens
 * to a connection, each piece is released once, and only after its message is done with.
 */
#include "net/net.h"

#include "base/be.h"
#include "base/mem.h"
#include "base/test.h"
#include "net/testclient.h"
#include "os/thread.h"

#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HEAD = 9,           // length of all, one of enum what, seed
    KEEP = 64 << 10,    // up to this no memory is asked for
    GIVEN_MAX = 1024,   // pieces a test may use up
    GUARD = 64,         // bytes behind each that nobody may write
    UNKNOWN_UNTIL = 200 // TELL_LATE: what is needed for a message to tell how long it is
};

/* What the protocol does with a message. */
enum what {
    TAKE,         // conn_take()
    LEAVE,        // reads it where it is
    PAUSE,        // pauses when it is whole, and takes it after that
    LARGER_LATER, // told a fourth of its length until that was there
    TELL_LATE,    // tells its length when UNKNOWN_UNTIL bytes are there
    HANG_UP,      // conn_close() when it is whole, without taking it
    CUT           // conn_abort()
};

static void say(int fd, const void *p, size_t n)
{
    OK(send(fd, p, n, MSG_NOSIGNAL) == (ssize_t)n);
}

static uint8_t byte_at(uint32_t seed, size_t i)
{
    return (uint8_t)(seed + i * 7 + (i >> 8));
}

/* Yours to mem_free(). */
static char *message(size_t n, enum what what, uint32_t seed)
{
    char *m = mem_alloc(n);

    be_put32(m, (uint32_t)n);
    m[4] = (char)what;
    be_put32(m + 5, seed);
    for (size_t i = HEAD; i < n; i++)
        m[i] = (char)byte_at(seed, i);
    return m;
}

/* ---- the protocol ---- */

struct given {
    uint8_t *p;
    size_t n;
    int released;
};

static struct {
    struct mutex lock;
    struct cond changed;
    struct given given[GIVEN_MAX];
    int asked, gave, released, faults;
    int parts;   // messages over KEEP that were seen before they were whole
    size_t seen; // the most bytes of a message that input() had to leave
    int gone;    // connections
    bool none;   // memory() has none to give
} all;

static void begin(void)
{
    all.asked = all.gave = all.released = all.faults = all.parts = all.gone = 0;
    all.seen = 0;
    all.none = false;
    mutex_init(&all.lock);
    cond_init(&all.changed);
}

static void fault_unless(bool ok)
{
    all.faults += !ok;
}

/* On the loop, or wherever a message ends. */
static void release(void *arg)
{
    struct given *g = arg;

    mutex_lock(&all.lock);
    fault_unless(g->released++ == 0);
    all.released++;
    for (size_t i = 0; i < GUARD; i++)
        fault_unless(g->p[g->n + i] == 0xa5);
    cond_broadcast(&all.changed);
    mutex_unlock(&all.lock);
    mem_free(g->p);
}

static struct conn_memory give(void *state, struct str begun, size_t n)
{
    struct given *g = NULL;

    mutex_lock(&all.lock);
    all.asked++;
    fault_unless(state && n > KEEP && begun.n < n);
    if (!all.none && all.gave < GIVEN_MAX)
        g = &all.given[all.gave++];
    mutex_unlock(&all.lock);
    if (!g)
        return (struct conn_memory){0};
    *g = (struct given){.p = mem_alloc(n + GUARD), .n = n};
    memset(g->p + n, 0xa5, GUARD);
    return (struct conn_memory){g->p, release, g};
}

struct talk {
    struct conn *c;
    bool waited; // PAUSE: it was paused for this message
    bool part;   // the message was seen before it was whole
};

static void *on_open(struct conn *c, void *arg)
{
    struct talk *t = MEM_NEW(struct talk);

    (void)arg;
    t->c = c;
    return t;
}

static void on_closed(void *state)
{
    mutex_lock(&all.lock);
    all.gone++;
    cond_broadcast(&all.changed);
    mutex_unlock(&all.lock);
    mem_free(state);
}

static size_t need(struct str in)
{
    size_t n = in.n < HEAD ? 0 : be_get32(in.p);

    if (n > 0 && in.p[4] == LARGER_LATER && in.n < n / 4)
        return n / 4;
    return n > 0 && in.p[4] == TELL_LATE && in.n < UNKNOWN_UNTIL ? 0 : n;
}

static void resume(void *conn)
{
    conn_resume(conn);
}

/* How the answer's byte says what became of a message. */
enum answer { RIGHT = 1, TAKEN = 2, IN_GIVEN = 4, GAVE_GIVEN = 8 };

static const struct given *given_with(const char *p, size_t n)
{
    for (int i = 0; i < all.gave; i++) {
        const struct given *g = &all.given[i];

        if (!g->released && (const uint8_t *)p >= g->p && (const uint8_t *)p + n <= g->p + g->n)
            return g;
    }
    return NULL;
}

static void left(struct talk *t, size_t n, size_t here)
{
    mutex_lock(&all.lock);
    all.parts += !t->part && n > KEEP;
    t->part = true;
    all.seen = here > all.seen ? here : all.seen;
    cond_broadcast(&all.changed);
    mutex_unlock(&all.lock);
}

static void consume(struct talk *t, struct str m)
{
    const struct given *g = given_with(m.p, m.n);
    struct conn_memory memory = {0};
    char answer = RIGHT | (g ? IN_GIVEN : 0);

    if (m.p[4] != LEAVE)
        memory = conn_take(t->c, m);
    if (memory.p)
        answer |= TAKEN | (memory.arg == g && memory.release == release ? GAVE_GIVEN : 0);
    for (size_t i = HEAD; i < m.n; i++)
        if ((uint8_t)m.p[i] != byte_at(be_get32(m.p + 5), i))
            answer &= ~RIGHT;
    if (memory.p)
        memory.release(memory.arg);
    conn_send_copy(t->c, str_from(&answer, 1));
}

static size_t on_input(void *state, struct str in)
{
    struct talk *t = state;
    size_t n = in.n < HEAD ? 0 : be_get32(in.p);

    if (n == 0 || in.n < n) {
        left(t, n, in.n);
        return 0;
    }
    if (in.p[4] == PAUSE && !t->waited) {
        t->waited = true;
        conn_pause(t->c);
        loop_post(conn_loop(t->c), resume, t->c);
        return 0;
    }
    if (in.p[4] == HANG_UP || in.p[4] == CUT) {
        (in.p[4] == CUT ? conn_abort : conn_close)(t->c);
        return 0;
    }
    t->waited = t->part = false;
    consume(t, str_from(in.p, n));
    return n;
}

static const struct net_proto proto = {.name = "given",
                                       .input_max = 8 << 20,
                                       .open = on_open,
                                       .input = on_input,
                                       .need = need,
                                       .memory = give,
                                       .closed = on_closed};

/* ---- the tests ---- */

static struct net *start(const struct net_proto *p, int *port)
{
    struct net *net;
    struct err e;

    begin();
    OK(net_start(&(struct net_options){.loops = 1}, &net, &e));
    OK(net_listen(net, &(struct net_listen){.host = "127.0.0.1", .proto = p}, port, &e));
    return net;
}

/* Until that is true of what the protocol has seen, at most ten seconds. */
#define WAIT_FOR(condition)                                         \
    do {                                                            \
        bool in_time = true;                                        \
        mutex_lock(&all.lock);                                      \
        while (!(condition) && in_time)                             \
            in_time = cond_wait_ms(&all.changed, &all.lock, 10000); \
        mutex_unlock(&all.lock);                                    \
        OK(in_time);                                                \
    } while (0)

/* The first `cut` bytes; the others, when there are any, after the protocol has seen these. */
static void say_parts(int fd, const char *m, size_t n, size_t cut)
{
    mutex_lock(&all.lock);
    all.seen = 0;
    mutex_unlock(&all.lock);
    say(fd, m, cut);
    WAIT_FOR(all.seen >= cut);
    if (cut < n)
        say(fd, m + cut, n - cut);
}

/* An answer; 0 when the connection was closed. */
static int hear(int fd)
{
    char c;

    return recv(fd, &c, 1, 0) == 1 ? c : 0;
}

/* Sends one message, and hears what became of it. */
static int tell(int fd, size_t n, enum what what, size_t cut)
{
    static uint32_t seed;
    char *m = message(n, what, ++seed);

    say_parts(fd, m, n, cut);
    mem_free(m);
    return hear(fd);
}

/* The net is gone: all that was given must be. */
static void stop(struct net *net, int gave)
{
    net_stop(net);
    OK(all.faults == 0);
    OK(gave < 0 || all.gave == gave);
    OK(all.released == all.gave);
}

TEST(given_memory_has_the_message_and_is_handed_over)
{
    int port, fd;
    struct net *net = start(&proto, &port);

    fd = dial(port);
    for (int i = 0; i < 3; i++) {
        OK(tell(fd, 1 << 20, TAKE, HEAD) == (RIGHT | TAKEN | IN_GIVEN | GAVE_GIVEN));
        OK(tell(fd, KEEP + 1, TAKE, HEAD) == (RIGHT | TAKEN | IN_GIVEN | GAVE_GIVEN));
        OK(tell(fd, 2 << 20, TAKE, 4096) == (RIGHT | TAKEN | IN_GIVEN | GAVE_GIVEN));
        OK(all.released == 3 * (i + 1));
    }
    close(fd);
    stop(net, 9);
}

TEST(what_is_not_taken_is_released_when_it_was_consumed)
{
    int port, fd;
    struct net *net = start(&proto, &port);

    fd = dial(port);
    for (int i = 0; i < 3; i++) {
        OK(tell(fd, 1 << 20, LEAVE, 1000) == (RIGHT | IN_GIVEN));
        WAIT_FOR(all.released == i + 1); // while the connection lives on
        OK(tell(fd, 100, LEAVE, 100 - 1) == RIGHT);
    }
    close(fd);
    stop(net, 3);
}

TEST(short_messages_get_none)
{
    int port, fd;
    struct net *net = start(&proto, &port);

    fd = dial(port);
    OK(tell(fd, 1000, TAKE, HEAD) == RIGHT);
    OK((tell(fd, KEEP, TAKE, HEAD) & ~TAKEN) == RIGHT);
    OK(tell(fd, KEEP - 1, LEAVE, KEEP / 2) == RIGHT);
    OK(tell(fd, 3 << 20, LEAVE, HEAD) == RIGHT); // nor what would be too much to believe
    OK(all.asked == 0);
    close(fd);
    stop(net, 0);
}

TEST(no_memory_to_give_is_no_fault)
{
    int port, fd;
    struct net *net = start(&proto, &port);

    all.none = true;
    fd = dial(port);
    OK(tell(fd, 1 << 20, TAKE, HEAD) == (RIGHT | TAKEN));
    OK(tell(fd, 1 << 20, LEAVE, HEAD) == RIGHT);
    OK(tell(fd, 1 << 20, LARGER_LATER, HEAD) == (RIGHT | TAKEN));
    OK(tell(fd, 1 << 20, PAUSE, HEAD) == (RIGHT | TAKEN));
    OK(all.asked == 4);
    close(fd);
    stop(net, 0);
}

TEST(a_pause_keeps_the_memory)
{
    int port, fd;
    struct net *net = start(&proto, &port);

    fd = dial(port);
    for (int i = 0; i < 3; i++)
        OK(tell(fd, 500000, PAUSE, HEAD + 1) == (RIGHT | TAKEN | IN_GIVEN | GAVE_GIVEN));
    close(fd);
    stop(net, 3);
}

/* It was given for a fourth of the message, so the whole lies elsewhere. */
TEST(a_message_that_grows_leaves_the_memory)
{
    int port, fd;
    struct net *net = start(&proto, &port);

    fd = dial(port);
    OK(tell(fd, 1 << 20, LARGER_LATER, HEAD) == (RIGHT | TAKEN));
    OK(all.gave == 1 && all.released == 1);
    OK(tell(fd, 4 << 20, LARGER_LATER, 3000) == (RIGHT | TAKEN));
    OK(all.gave == 2 && all.released == 2);
    OK(tell(fd, 8 << 20, LARGER_LATER, 3000) == (RIGHT | TAKEN)); // as long as input_max
    close(fd);
    stop(net, 3);
}

TEST(a_length_that_is_told_late_is_no_fault)
{
    int port, fd;
    struct net *net = start(&proto, &port);

    fd = dial(port);
    for (size_t cut = 1; cut < 2 * UNKNOWN_UNTIL; cut += 40)
        OK((tell(fd, 1 << 20, TELL_LATE, cut) & (RIGHT | TAKEN)) == (RIGHT | TAKEN));
    for (size_t cut = 1; cut <= HEAD; cut++)
        OK((tell(fd, 300000, TAKE, cut) & (RIGHT | TAKEN)) == (RIGHT | TAKEN));
    close(fd);
    stop(net, -1);
}

/* Cut by the client, by the protocol, or by the end of the net, in the middle of a message or with a whole one that waits. */
TEST(a_connection_that_is_cut_releases_once)
{
    int port, fd, held;
    struct net *net = start(&proto, &port);
    char *m = message(1 << 20, HANG_UP, 1);

    fd = dial(port);
    say_parts(fd, m, 600000, 600000);
    OK(all.gave == 1 && all.released == 0);
    close(fd);
    WAIT_FOR(all.gone == 1 && all.released == 1);
    fd = dial(port);
    say_parts(fd, m, 1 << 20, HEAD);
    OK(hear(fd) == 0);
    close(fd);
    WAIT_FOR(all.gone == 2 && all.released == 2);
    m[4] = CUT;
    fd = dial(port);
    say_parts(fd, m, 1 << 20, HEAD);
    OK(hear(fd) == 0);
    close(fd);
    WAIT_FOR(all.gone == 3 && all.released == 3);
    held = dial(port);
    say_parts(held, m, 500000, 500000);
    OK(all.gave == 4 && all.released == 3);
    stop(net, 4);
    close(held);
    mem_free(m);
}

/* A message that is whole when it is first seen gets no memory: it would be copied there. */
TEST(memory_is_asked_for_only_when_more_is_to_come)
{
    int port, fd;
    struct net *net = start(&proto, &port);

    fd = dial(port);
    for (uint32_t i = 0; i < 200; i++) {
        size_t n = i % 2 ? 70000 : 40000;
        char *m = message(n, i % 3 ? LEAVE : PAUSE, i);

        say(fd, m, n);
        mem_free(m);
        OK(hear(fd) & RIGHT);
    }
    OK(all.asked <= all.parts);
    close(fd);
    stop(net, -1);
}

static uint32_t next(uint32_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 17;
    return *x ^= *x << 5;
}

/* Messages of all kinds and lengths one behind the other, cut anywhere. */
TEST(pipelined_messages_are_right_wherever_they_lie)
{
    enum { COUNT = 300, WAITING = 2000 };
    static const enum what kinds[] = {TAKE, TAKE, LEAVE, PAUSE, LARGER_LATER, TELL_LATE};
    int port, fd;
    struct net *net = start(&proto, &port);
    uint32_t x = 2463534242;
    struct buf b = buf_make(SIZE_MAX);

    fd = dial(port);
    for (uint32_t i = 0; i < COUNT; i++) {
        size_t n = next(&x) % 3 ? HEAD + next(&x) % 300000 : HEAD + next(&x) % 2000;
        char *m = message(n < 4 * HEAD ? 4 * HEAD : n, kinds[next(&x) % ARRAY_LEN(kinds)], x);

        buf_str(&b, str_from(m, be_get32(m)));
        mem_free(m);
    }
    for (size_t at = 0, k; at < b.n; at += k) {
        k = next(&x) % 2 ? 1 + next(&x) % 400000 : 1 + next(&x) % WAITING;
        k = k < b.n - at ? k : b.n - at;
        say(fd, b.p + at, k);
    }
    buf_fini(&b);
    for (int i = 0; i < COUNT; i++)
        OK(hear(fd) & RIGHT);
    OK(all.gave > 0);
    close(fd);
    stop(net, -1);
}

static size_t never(void *state, struct str in)
{
    left(state, in.n, in.n);
    return 0;
}

/* However long a message says that it is. */
TEST(no_more_than_input_max_waits)
{
    static const struct net_proto sponge = {.name = "sponge",
                                            .input_max = 100000,
                                            .open = on_open,
                                            .input = never,
                                            .need = need,
                                            .memory = give,
                                            .closed = on_closed};
    int port, fd;
    struct net *net = start(&sponge, &port);
    char *m = message(4 << 20, TAKE, 1);

    be_put32(m, 1 << 20);
    fd = dial(port);
    (void)send(fd, m, 4 << 20, MSG_NOSIGNAL);
    WAIT_FOR(all.gone == 1);
    OK(all.seen <= 100000);
    close(fd);
    mem_free(m);
    stop(net, -1);
}

TEST_MAIN
