/*
 * Logging in (KIP-43, KIP-152): SaslHandshake names a mechanism, SaslAuthenticate carries its tokens until the client is
 * proven. After a handshake of version 0 the tokens come bare, a length and bytes, and a failure is told by closing.
 *
 * With a limit to a login's time (kafka.reauth_ms) the answer tells it, and a client logs in anew on its open connection in time: as
 * the same user, with the same mechanism (KIP-368). One that asks anything else after the time is cut, when it asks. A client that fails
 * is answered a little later, so guessing is slow.
 */
#include "base/mem.h"
#include "kafka/kafka_int.h"
#include "obs/obs.h"
#include "os/os.h"

#include <stdio.h>

enum {
    FAILURE_MS = 100, // Kafka: connection.failed.authentication.delay.ms
    AGAIN_MS = 1000,  // least between two logins on one connection (SaslServerAuthenticator)
};
enum { SASL_HANDSHAKE_KEY = 17, API_VERSIONS_KEY = 18, SASL_AUTHENTICATE_KEY = 36 };

bool kafka_login_may(int16_t key)
{
    return key == SASL_HANDSHAKE_KEY || key == API_VERSIONS_KEY || key == SASL_AUTHENTICATE_KEY;
}

static void forget_scram(struct kafka_login *l)
{
    if (l->in_scram)
        scram_fini(&l->scram);
    l->in_scram = false;
}

static int64_t now_ms(struct kafka *k)
{
    return k->os->now_ns(k->os) / 1000000;
}

void kafka_login_done(struct kafka *k, struct kafka_login *l, const char *user)
{
    forget_scram(l);
    (void)snprintf(l->user, sizeof l->user, "%s", user);
    l->ends_ms = k->reauth_ms > 0 ? now_ms(k) + k->reauth_ms : INT64_MAX;
    l->state = LOGIN_DONE;
}

bool kafka_login_is_over(struct kafka *k, const struct kafka_login *l, int16_t key)
{
    return l->state == LOGIN_DONE && l->ends_ms != INT64_MAX && key != SASL_HANDSHAKE_KEY &&
           now_ms(k) > l->ends_ms;
}

void kafka_login_fini(struct kafka_login *l)
{
    forget_scram(l);
}

/* ---- SaslHandshake ---- */

/* Whether it may log in anew: not when nothing asks for that, nor all the time. */
static bool may_again(const struct kafka_req *q)
{
    const struct kafka_login *l = q->login;

    return q->k->reauth_ms > 0 && l->state == LOGIN_DONE && q->version > 0 &&
           (l->again_ms == 0 || now_ms(q->k) - l->again_ms >= AGAIN_MS);
}

static void begin(struct kafka_req *q, enum auth_mechanism m)
{
    struct kafka_login *l = q->login;

    if (l->state == LOGIN_DONE)
        l->again_ms = now_ms(q->k);
    l->mechanism = m;
    l->state = q->version == 0 ? LOGIN_WANTS_RAW : LOGIN_WANTS_TOKEN;
    l->in_scram = m != AUTH_PLAIN;
    if (l->in_scram)
        scram_init(&l->scram, q->k->users, m);
}

void kafka_sasl_handshake(struct kafka_req *q, const void *in)
{
    const struct k_sasl_handshake_req *req = in;
    struct str spoken[AUTH_MECHANISMS];
    struct k_sasl_handshake_res res = {.mechanisms = spoken};
    enum auth_mechanism m;

    for (int i = 0; i < AUTH_MECHANISMS && q->k->users; i++)
        if (q->k->spoken[i])
            spoken[res.mechanisms_n++] = str_of(auth_mechanism_name((enum auth_mechanism)i));
    if (!q->login || (q->login->state != LOGIN_WANTS_HANDSHAKE && !may_again(q)))
        res.error = K_ILLEGAL_SASL_STATE; // logged in already, or nobody has to
    else if (!auth_mechanism_of(req->mechanism, &m) || !q->k->spoken[m] ||
             (q->login->state == LOGIN_DONE && m != q->login->mechanism))
        res.error = K_UNSUPPORTED_SASL_MECHANISM;
    else
        begin(q, m);
    q->last = res.error && q->login && q->login->state != LOGIN_DONE;
    kafka_reply(q, &res);
}

/* ---- SaslAuthenticate ---- */

/* One that waits to be told that it has failed, or whose password is computed on. */
struct attempt {
    struct kafka_turn turn;
    struct kafka_req *q;
    enum auth_mechanism mechanism;
    struct str name, password;
    const char *was; // who logged in on this connection before; NULL: nobody
    bool fits;
    const char *why; // what a failure is told with; NULL: that the credentials are wrong
    struct timer *timer;
};

static void tell_failure(void *arg)
{
    struct attempt *a = arg;
    struct kafka_req *q = a->q;

    timer_free(a->timer);
    if (q->raw) {
        kafka_reply_none(q, true);
        return;
    }
    if (!a->why)
        a->why =
            arena_fmt(&q->arena, "Authentication failed due to invalid credentials with SASL mechanism %s",
                      auth_mechanism_name(a->mechanism));
    q->last = true;
    kafka_reply(q, &(struct k_sasl_authenticate_res){.error = K_SASL_AUTHENTICATION_FAILED,
                                                     .error_message = str_of(a->why),
                                                     .token = STR("")});
}

/* On the connection's loop. Who it was is not told to the client, but to whoever keeps the broker. */
static void fail(struct attempt *a)
{
    static struct obs_repeat again;

    obs_add(OBS_kafka_logins_refused_total, 1);
    obs_repeated(&again, OBS_WARN, "kafka", "a login failed mechanism=%s client=%s",
                 auth_mechanism_name(a->mechanism), a->q->client_host + 1);
    a->timer = timer_new(a->q->loop, tell_failure, a);
    timer_start(a->timer, FAILURE_MS);
}

static void succeed(struct attempt *a, const char *user, struct str token)
{
    struct kafka_req *q = a->q;

    if (a->was && strcmp(a->was, user) != 0) {
        a->why =
            arena_fmt(&q->arena, "Cannot change principals during re-authentication from User:%s to User:%s",
                      a->was, user);
        fail(a);
        return;
    }
    q->proven = arena_str(&q->arena, str_of(user)).p;
    obs_debug("kafka", "login user=%s client=%s", user, q->client_host + 1);
    kafka_reply(q, &(struct k_sasl_authenticate_res){.token = token, .session_lifetime_ms = q->k->reauth_ms});
}

static void check_password(struct kafka_turn *t) // a job
{
    struct attempt *a = t->arg;

    a->fits = auth_check_password(a->q->k->users, a->name, a->password);
}

static void password_checked(struct kafka_turn *t)
{
    struct attempt *a = t->arg;

    if (a->fits)
        succeed(a, arena_str(&a->q->arena, a->name).p, STR(""));
    else
        fail(a);
}

static void step_plain(struct attempt *a, struct str token)
{
    if (!auth_plain_parse(token, &a->name, &a->password)) {
        fail(a);
        return;
    }
    a->turn = (struct kafka_turn){.q = a->q, .run = check_password, .done = password_checked, .arg = a};
    kafka_take_turn(&a->q->k->logins, &a->turn);
}

static void step_scram(struct attempt *a, struct str token)
{
    struct scram *s = &a->q->login->scram;
    struct buf out = buf_make((size_t)4 * SCRAM_MESSAGE_MAX);
    enum scram_result r = scram_step(s, token, &out);
    struct str answer = arena_str(&a->q->arena, buf_view(&out));

    buf_fini(&out);
    if (r == SCRAM_DONE)
        succeed(a, s->user, answer);
    else if (r == SCRAM_GO_ON)
        kafka_reply(a->q, &(struct k_sasl_authenticate_res){.token = answer});
    else
        fail(a);
}

void kafka_sasl_authenticate(struct kafka_req *q, const void *in)
{
    const struct k_sasl_authenticate_req *req = in;
    struct attempt *a = ARENA_NEW(&q->arena, struct attempt);

    if (!q->login || (q->login->state != LOGIN_WANTS_TOKEN && !q->raw)) {
        q->last = q->login && q->login->state != LOGIN_DONE;
        kafka_reply(q, &(struct k_sasl_authenticate_res){
                           .error = K_ILLEGAL_SASL_STATE,
                           .error_message = STR("no login is under way: SaslHandshake comes first, and once"),
                           .token = STR("")});
        return;
    }
    *a = (struct attempt){.q = q, .mechanism = q->login->mechanism};
    if (q->login->user[0])
        a->was = arena_str(&q->arena, str_of(q->login->user)).p;
    if (q->login->in_scram)
        step_scram(a, req->token);
    else
        step_plain(a, req->token);
}
