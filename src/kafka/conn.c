#include "kafka/conn.h"

#include "base/be.h"
#include "base/limits.h"
#include "base/mem.h"
#include "kafka/kafka_int.h"
#include "obs/obs.h"

enum {
    FRAME_LEAST = 10,      // key, version, correlation id, client id
    PRODUCE_KEY = 0,       //
    IDLE_MS = 600000,      // Kafka: connections.max.idle.ms
    LOGIN_MS = 10000,      // a client that has not logged in by then is cut
    APPENDS_MAX = 1024,    // produce requests of one connection that wait for the disk
    UNSENT_MAX = 16 << 20, // a client that does not read its answers gets no more of them
    APPEND_BYTES_MAX =
        64 << 20, // over all connections; more waits outside, one request a connection excepted
};

struct kafka_conn {
    struct kafka *k;
    const struct kafka_door *door;
    struct kafka_login login;
    struct timer *login_timer; // while a login is awaited
    struct conn *c;
    struct kafka_req *first, **tail; // begun, in the order they came
    size_t count, others;            // others: that are no produce requests
    bool paused, stopping;
};

static void no_login(void *arg)
{
    struct kafka_conn *kc = arg;

    conn_abort(kc->c);
}

static void await_login(struct kafka_conn *kc)
{
    kc->login_timer = timer_new(conn_loop(kc->c), no_login, kc);
    timer_start(kc->login_timer, LOGIN_MS);
}

static void *on_open(struct conn *c, void *arg)
{
    struct kafka_conn *kc = MEM_NEW(struct kafka_conn);

    kc->door = arg;
    kc->k = kc->door->k;
    kc->c = c;
    kc->tail = &kc->first;
    conn_idle(c, IDLE_MS);
    if (kc->k->users)
        await_login(kc);
    return kc;
}

/* ---- logging in ---- */

static bool logged_in(const struct kafka_conn *kc)
{
    return !kc->k->users || kc->login.state == LOGIN_DONE;
}

static void log_in(struct kafka_conn *kc, const char *user)
{
    kafka_login_done(kc->k, &kc->login, user);
    timer_free(kc->login_timer);
    kc->login_timer = NULL;
}

/* ---- answers ---- */

static void send_answer(struct kafka_conn *kc, struct kafka_req *q)
{
    struct wire_out *o = &q->out;
    size_t from = 0;

    if (o->splice_count == 0) {
        conn_send(kc->c, &o->buf);
        return;
    }
    for (size_t i = 0; i < o->splice_count; i++) {
        struct wire_splice *s = &o->splices[i];

        conn_send_copy(kc->c, str_from(o->buf.p + from, s->at - from));
        if (s->lent.release)
            conn_send_lent(kc->c, s->lent.p, s->lent.n, s->lent.release, s->lent.arg);
        else
            conn_send_file(kc->c, s->piece.fd, s->piece.at, s->piece.n);
        s->lent.release = NULL;
        s->piece.fd = -1;
        from = s->at;
    }
    conn_send_copy(kc->c, str_from(o->buf.p + from, o->buf.n - from));
}

static void let_go_on(struct kafka_conn *kc)
{
    if (kc->stopping && kc->count == 0)
        conn_close(kc->c);
    else if (kc->paused && conn_unsent(kc->c) < UNSENT_MAX) {
        kc->paused = false;
        conn_resume(kc->c);
    }
}

static void on_done(struct kafka_req *q)
{
    struct kafka_conn *kc = q->owner;

    if (!kc) {
        kafka_req_free(q);
        return;
    }
    while (kc->first && kc->first->finished) {
        q = kc->first;
        kc->first = q->next;
        if (!kc->first)
            kc->tail = &kc->first;
        kc->count--;
        kc->others -= q->api->key != PRODUCE_KEY;
        if (q->proven)
            log_in(kc, q->proven);
        if (!q->hang_up && !q->silent)
            send_answer(kc, q);
        if (q->hang_up || q->last)
            conn_close(kc->c);
        kafka_req_free(q);
    }
    let_go_on(kc);
}

/* ---- requests ---- */

static bool may_begin(struct kafka_conn *kc, int16_t key)
{
    int64_t waiting;

    if (conn_unsent(kc->c) >= UNSENT_MAX)
        return false;
    if (kc->count == 0)
        return true;
    if (key != PRODUCE_KEY || kc->others > 0 || kc->count >= APPENDS_MAX)
        return false;
    mutex_lock(&kc->k->lock);
    waiting = kc->k->append_bytes;
    mutex_unlock(&kc->k->lock);
    return waiting < APPEND_BYTES_MAX;
}

/* Kafka does the same: the client knows from ApiVersions what it may ask. */
static void hang_up(struct kafka_conn *kc, const struct err *e)
{
    static struct obs_repeat again;

    obs_add(OBS_kafka_refused_total, 1);
    obs_repeated(&again, OBS_WARN, "kafka", "a connection is closed: %s client=%s", e->msg, conn_peer(kc->c));
    conn_close(kc->c);
}

static const char *api_name(int16_t key)
{
    const struct kafka_api *api = kafka_api(key);

    return api ? api->name : "an unknown request";
}

/* A whole frame as a request. NULL and e: it is nothing that can be answered. */
static struct kafka_req *begin(struct kafka_conn *kc, struct str frame, struct err *e)
{
    const char *peer = conn_peer(kc->c);
    struct kafka_req *q;
    int16_t key;

    if (kc->login.state == LOGIN_WANTS_RAW)
        return kafka_req_raw(kc->k, frame, peer);
    key = (int16_t)be_get16(frame.p);
    if (!logged_in(kc) && !kafka_login_may(key)) {
        (void)err_set(e, ERR_DENIED, "%s came before a login, which the section users asks for",
                      api_name(key));
        return NULL;
    }
    if (kafka_login_is_over(kc->k, &kc->login, key)) {
        obs_add(OBS_kafka_logins_over_total, 1);
        (void)err_set(e, ERR_DENIED, "%s came after the time of the login", api_name(key));
        return NULL;
    }
    q = kafka_req_new(kc->k, frame, conn_take(kc->c, str_from(frame.p - 4, frame.n + 4)), peer, e);
    if (q && kc->login.state == LOGIN_DONE)
        q->user = arena_str(&q->arena, str_of(kc->login.user)).p;
    return q;
}

static bool frame_fits(const struct kafka_conn *kc, uint32_t n, struct err *e)
{
    size_t most = logged_in(kc) ? LIMIT_KAFKA_FRAME : LIMIT_KAFKA_LOGIN;

    if ((n >= FRAME_LEAST || kc->login.state == LOGIN_WANTS_RAW) && n <= most)
        return true;
    return err_set(e, ERR_BAD_INPUT, "a frame of %u bytes, the limit is %zu", n, most);
}

static size_t wait(struct kafka_conn *kc)
{
    kc->paused = true;
    conn_pause(kc->c);
    return 0;
}

static size_t on_input(void *state, struct str bytes)
{
    struct kafka_conn *kc = state;
    struct kafka_req *q;
    struct err e;
    uint32_t n;

    if (bytes.n < 4)
        return 0;
    if (!logged_in(kc) && kc->count > 0) // the answer decides how the next frame is read
        return wait(kc);
    n = be_get32(bytes.p);
    if (!frame_fits(kc, n, &e)) {
        hang_up(kc, &e);
        return 0;
    }
    if (bytes.n - 4 < n)
        return 0;
    if (kc->stopping || !may_begin(kc, n < FRAME_LEAST ? -1 : (int16_t)be_get16(bytes.p + 4)))
        return wait(kc);
    q = begin(kc, str_from(bytes.p + 4, n), &e);
    if (!q) {
        hang_up(kc, &e);
        return 4 + (size_t)n;
    }
    q->door = kc->door;
    q->login = kc->k->users ? &kc->login : NULL;
    *kc->tail = q;
    kc->tail = &q->next;
    kc->count++;
    kc->others += q->api->key != PRODUCE_KEY;
    obs_add(OBS_kafka_requests_total, 1);
    obs_trace("kafka", "request: api, version", be_get16(bytes.p + 4), be_get16(bytes.p + 6));
    kafka_req_run(q, on_done, kc);
    if (kc->k->users && !logged_in(kc) && !kc->login_timer) // it has begun to log in anew
        await_login(kc);
    return 4 + (size_t)n;
}

static size_t need(struct str bytes)
{
    return bytes.n < 4 ? 0 : 4 + (size_t)be_get32(bytes.p);
}

static struct conn_memory memory(void *state, struct str begun, size_t n)
{
    struct kafka_conn *kc = state;

    return logged_in(kc) ? kafka_receive(kc->k, begun, n) : (struct conn_memory){0};
}

static void on_drained(void *state)
{
    let_go_on(state);
}

static void cancel_parked(struct kafka_conn *kc)
{
    for (struct kafka_req *q = kc->first, *next; q; q = next) {
        next = q->next;
        if (q->cancel)
            q->cancel(q);
    }
}

static void on_stop(void *state)
{
    struct kafka_conn *kc = state;

    kc->stopping = true;
    cancel_parked(kc);
    let_go_on(kc);
}

static void on_closed(void *state)
{
    struct kafka_conn *kc = state;
    struct kafka_req *q = kc->first, *next;

    for (; q; q = next) {
        void (*cancel)(struct kafka_req *) = q->cancel;

        next = q->next;
        q->owner = NULL;
        if (q->finished)
            kafka_req_free(q);
        else if (cancel)
            cancel(q);
    }
    timer_free(kc->login_timer);
    kafka_login_fini(&kc->login);
    mem_free(kc);
}

const struct net_proto kafka_proto = {
    .name = "kafka",
    .input_max = LIMIT_KAFKA_FRAME + 4,
    .open = on_open,
    .input = on_input,
    .need = need,
    .memory = memory,
    .drained = on_drained,
    .stop = on_stop,
    .closed = on_closed,
};
