/*
 * Any bytes as frames to a broker that lives as long as the fuzzer: a length of two bytes and a frame, again and again. Every request
 * ends with an answer or a hang-up before the next one begins; what parks is cancelled, as when its client goes. Before that the
 * log is asked for memory to receive the frame into.
 *
 * The header's key and version are folded onto rows of api.def, or else nearly all inputs would end at the header.
 */
#include "base/be.h"
#include "base/mem.h"
#include "group/offsets.h"
#include "kafka/acl.h"
#include "kafka/group.h"
#include "kafka/kafka_int.h"
#include "os/os.h"
#include "os/tempdir.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { FRAMES_MAX = 16, HEAD = 8 };

static const struct {
    int16_t key, first, last;
} rows[] = {
#define X(NAME, key, message, told, first, last, flexible, handler) {key, first, last},
#include "kafka/api.def"
#undef X
};

static char dir[TEMPDIR_MAX], acl_file[TEMPDIR_MAX + 20];
static struct net *net;
static struct log *wal;
static struct offsets *offsets;
static struct kafka *kafka;
static struct auth *users;

/* The kernel, but nothing waits for the disk, and time is what the fuzzer says. */
static struct os quick;
static int64_t ahead_ns;

static int no_sync(struct os *os, int fd)
{
    (void)os;
    (void)fd;
    return 0;
}

static int64_t now_ns(struct os *os)
{
    (void)os;
    return os_real()->now_ns(os_real()) + ahead_ns;
}

/* One for all frames: run() looks at it once more after it has said that a turn is over. */
static struct turn {
    struct str frame;
    bool some;           // sent by a user who may do little
    struct kafka_req *q; // the loop's; NULL once it is over
    struct mutex lock;
    struct cond cond;
    bool over;
} turn;

static void stop(void)
{
    struct err e;

    net_shut(net, 0);
    kafka_stop(kafka);
    net_stop(net);
    auth_free(users);
    offsets_close(offsets);
    log_close(wal);
    if (!os_remove_tree(os_real(), dir, &e))
        abort();
}

static void start(void)
{
    struct kafka_options o = {
        .os = &quick, .plain = {.host = "127.0.0.1"}}; // topics are not made by asking: they would pile up
    static const char *const super[] = {"admin"};
    static bool at_exit;
    struct acl some[] = {
        {ACL_TOPIC, STR("t"), ACL_PREFIXED, STR("User:some"), STR("*"), ACL_READ, ACL_ALLOW},
        {ACL_GROUP, STR("g"), ACL_PREFIXED, STR("User:*"), STR("127.0.0.1"), ACL_ALL, ACL_ALLOW},
        {ACL_TOPIC, STR("tt"), ACL_LITERAL, STR("User:some"), STR("*"), ACL_READ, ACL_DENY},
    };
    struct log_settings s;
    struct err e;
    int port;
    bool ok = tempdir_make(dir);

    mutex_init(&turn.lock);
    cond_init(&turn.cond);
    quick = *os_real();
    quick.fdatasync = quick.fsync = no_sync;
    quick.now_ns = now_ns;
    ok = ok && log_open(&(struct log_options){.os = &quick, .dir = dir}, &wal, &e) &&
         offsets_open(&(struct offsets_options){.os = &quick, .log = wal, .partitions = 1}, &offsets, &e);
    assert(ok);
    log_settings_default(wal, &s);
    ok = log_ensure_topic(wal, STR("t"), 2, &s, &e) && net_start(&(struct net_options){.loops = 1}, &net, &e);
    assert(ok);
    o.net = net;
    o.log = wal;
    o.offsets = offsets;
    o.users = users = auth_new(&quick);
    (void)snprintf(acl_file, sizeof acl_file, "%s/security.json", dir);
    o.acl_file = acl_file;
    o.super_users = super;
    o.super_count = 1;
    ok = kafka_start(&o, &kafka, &port, &e);
    assert(ok);
    ok = acls_add(kafka->acls, some, ARRAY_LEN(some), &e);
    assert(ok);
    if (!at_exit)
        atexit(stop);
    at_exit = true;
}

static void end_turn(struct turn *t)
{
    t->q = NULL;
    mutex_lock(&t->lock);
    t->over = true;
    cond_signal(&t->cond);
    mutex_unlock(&t->lock);
}

static void on_done(struct kafka_req *q)
{
    const struct wire_out *o = &q->out;
    struct turn *t = q->owner;

    assert(q->silent || q->hang_up || (o->buf.n >= HEAD && be_get32(o->buf.p) + 4 == o->buf.n + o->spliced));
    kafka_req_free(q);
    end_turn(t);
}

/* What would outlive the input is only looked at: the requests that can be are made to say so, the other one is not done. */
static bool lasting(struct kafka_req *q)
{
    if (q->api->handler == kafka_create_topics)
        ((struct k_create_topics_req *)q->in)->validate_only = true;
    else if (q->api->handler == kafka_create_partitions)
        ((struct k_create_partitions_req *)q->in)->validate_only = true;
    else if (q->api->handler == kafka_alter_configs)
        ((struct k_alter_configs_req *)q->in)->validate_only = true;
    else if (q->api->handler == kafka_incremental_alter)
        ((struct k_incremental_alter_req *)q->in)->validate_only = true;
    return q->api->handler == kafka_delete_topics || q->api->handler == kafka_create_acls ||
           q->api->handler == kafka_delete_acls || q->api->handler == kafka_alter_scram;
}

/* On the loop. What waits for other members is over when all time has gone by, what waits for records when its client goes. */
static void run(void *arg)
{
    struct turn *t = arg;
    struct err e;
    struct kafka_req *q = kafka_req_new(kafka, t->frame, (struct conn_memory){0}, "127.0.0.1:1", &e);

    t->q = q;
    if (q) // who may do everything, or a little
        q->user = t->some ? "some" : "admin";
    if (!q || lasting(q)) {
        if (q)
            kafka_req_free(q);
        end_turn(t);
        return;
    }
    kafka_req_run(q, on_done, t);
    if (t->q && q->cancel)
        q->cancel(q);
    for (int i = 0;
         i < 3 && t->q && (q->api->handler == kafka_join_group || q->api->handler == kafka_sync_group); i++) {
        ahead_ns += (int64_t)INT32_MAX * 1000000;
        coord_tick(kafka->coord);
    }
}

/*
 * What a connection asks while the frame is still coming: of so many of its first bytes as its last two say, in memory that ends there.
 * The frame is as long as it is, or as it would be if a long batch were in it, or as long as can be said.
 */
static void begin(struct str frame)
{
    static const size_t more[] = {0, 700000, 1 << 20, UINT32_MAX};
    size_t tail = frame.n < 2 ? 0 : be_get16(frame.p + frame.n - 2), n = frame.n + more[tail % 4];
    size_t seen = tail / 4 % 8 ? frame.n : tail / 32 % (frame.n + 1);
    char *begun = mem_alloc(4 + seen);
    struct conn_memory m;

    be_put32(begun, (uint32_t)n);
    memcpy(begun + 4, frame.p, seen);
    m = kafka_receive(kafka, str_from(begun, 4 + seen), 4 + n);
    assert(!m.p == !kafka_received(&m));
    if (m.p) {
        memset(m.p, 0xff, 4 + n);
        m.release(m.arg);
    }
    mem_free(begun);
}

static void send(struct str frame)
{
    turn.frame = frame;
    turn.over = false;
    loop_post(net_loop(net, 0), run, &turn);
    mutex_lock(&turn.lock);
    while (!turn.over)
        cond_wait(&turn.cond, &turn.lock);
    mutex_unlock(&turn.lock);
}

/* Key and version become ones that are spoken, unless their first bytes are 0xff. */
static void fold(char *frame)
{
    size_t row = (uint8_t)frame[1] % ARRAY_LEN(rows);

    if (frame[0] != (char)0xff)
        be_put16(frame, (uint16_t)rows[row].key);
    if (frame[2] != (char)0xff)
        be_put16(frame + 2,
                 (uint16_t)(rows[row].first + (uint8_t)frame[3] % (rows[row].last - rows[row].first + 1)));
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct arena a = {0};

    if (kafka && ahead_ns > INT64_MAX / 2) { // the clock cannot run ahead for ever
        stop();
        kafka = NULL;
        ahead_ns = 0;
    }
    if (!kafka)
        start();
    for (int i = 0; i < FRAMES_MAX && n > 2; i++) {
        size_t len = be_get16(p);
        char *frame;

        p += 2;
        n -= 2;
        len = len < n ? len : n;
        frame = arena_copy(&a, p, len);
        turn.some = len >= 4 && (uint8_t)frame[2] == 0xfe;
        if (len >= 4)
            fold(frame);
        begin(str_from(frame, len));
        send(str_from(frame, len));
        p += len;
        n -= len;
    }
    arena_fini(&a);
    return 0;
}
