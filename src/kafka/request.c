#include "base/limits.h"
#include "base/mem.h"
#include "base/rd.h"
#include "kafka/access.h"
#include "kafka/kafka_int.h"

#include <assert.h>
#include <openssl/crypto.h>

enum { API_VERSIONS_KEY = 18, SASL_AUTHENTICATE_KEY = 36 };

bool kafka_req_header(struct kafka_req *q, struct rd *r, struct err *e)
{
    int16_t key = rd_i16(r), n;

    q->version = rd_i16(r);
    q->correlation = rd_i32(r);
    if (!rd_ok(r))
        return err_set(e, ERR_BAD_INPUT, "a Kafka request of %zu bytes", q->frame_n);
    q->api = kafka_api(key);
    if (!q->api || ((q->version < q->api->first || q->version > q->api->last) && key != API_VERSIONS_KEY))
        return err_set(e, ERR_UNSUPPORTED, "Kafka API %d version %d is not spoken here", key, q->version);
    n = rd_i16(r);
    q->client_id = n < 0 ? STR_NULL : rd_bytes(r, (size_t)n);
    if (q->version < q->api->first || q->version > q->api->last) {
        rd_skip(r, rd_left(r));
        return true;
    }
    q->flexible = q->version >= q->api->flexible;
    wire_skip_tags(r, q->flexible);
    return true;
}

/*
 * Like Kafka we do not look behind a request's end: librdkafka 2.0 sends one byte too many in ListGroups and in the OffsetFetch of its
 * admin client.
 */
static bool read_body(struct kafka_req *q, struct rd *r, struct err *e)
{
    struct wire_in in = {.bytes = str_from(r->at, rd_left(r)),
                         .arena = &q->arena,
                         .version = q->version,
                         .flexible = q->flexible,
                         .rest_ok = true};

    if (!rd_ok(r))
        return err_set(e, ERR_BAD_INPUT, "request header: %s", rd_why(r));
    q->in = arena_alloc(&q->arena, q->api->req->size);
    if (q->version < q->api->first || q->version > q->api->last)
        return true;
    return wire_read(&in, q->api->req, q->in, e);
}

/* "127.0.0.1:4711" as Kafka shows a client's host: "/127.0.0.1". */
static const char *client_address(struct kafka_req *q, const char *peer)
{
    const char *port = strrchr(peer, ':');

    return arena_fmt(&q->arena, "/%.*s", port ? (int)(port - peer) : (int)strlen(peer), peer);
}

void kafka_busy(struct kafka *k, int by)
{
    mutex_lock(&k->lock);
    k->busy += (size_t)by;
    if (k->busy == 0)
        cond_broadcast(&k->idle);
    mutex_unlock(&k->lock);
}

static struct conn_memory copied(struct str frame)
{
    void *copy = mem_copy(frame.p, frame.n);

    return (struct conn_memory){copy, mem_free, copy};
}

static struct kafka_req *make(struct kafka *k, struct str frame, struct conn_memory memory, const char *peer)
{
    union { // the memory is the request's own
        const char *given;
        char *frame;
    } bytes = {.given = frame.p};
    struct kafka_req *q = MEM_NEW(struct kafka_req);

    kafka_busy(k, 1);
    q->k = k;
    q->door = &k->doors[KAFKA_PLAIN_DOOR];
    q->loop = loop_current();
    q->client_host = client_address(q, peer);
    q->memory = memory.p ? memory : copied(frame);
    q->frame = memory.p ? bytes.frame : q->memory.p;
    q->frame_n = frame.n;
    q->out.buf = buf_make(LIMIT_KAFKA_FRAME);
    return q;
}

struct kafka_req *kafka_req_new(struct kafka *k, struct str frame, struct conn_memory memory,
                                const char *peer, struct err *e)
{
    struct kafka_req *q = make(k, frame, memory, peer);
    struct rd r = rd_from(q->frame, frame.n);

    if (kafka_req_header(q, &r, e) && read_body(q, &r, e))
        return q;
    kafka_req_free(q);
    return NULL;
}

struct kafka_req *kafka_req_raw(struct kafka *k, struct str token, const char *peer)
{
    struct kafka_req *q = make(k, token, (struct conn_memory){0}, peer);
    struct k_sasl_authenticate_req *in = ARENA_NEW(&q->arena, struct k_sasl_authenticate_req);

    in->token = str_from(q->frame, token.n);
    q->api = kafka_api(SASL_AUTHENTICATE_KEY);
    q->raw = true;
    q->in = in;
    return q;
}

void kafka_req_run(struct kafka_req *q, void (*done)(struct kafka_req *q), void *owner)
{
    q->done = done;
    q->owner = owner;
    if (kafka_access(q))
        q->api->handler(q, q->in);
}

void kafka_req_free(struct kafka_req *q)
{
    struct kafka *k = q->k;

    wire_out_fini(&q->out);
    arena_fini(&q->arena);
    if (q->api && q->api->key == SASL_AUTHENTICATE_KEY)
        OPENSSL_cleanse(q->frame, q->frame_n); // it may hold a password
    if (q->memory.p)                           // what this process asks itself has none
        q->memory.release(q->memory.arg);
    mem_free(q);
    kafka_busy(k, -1);
}

static void finish(void *arg)
{
    struct kafka_req *q = arg;

    assert(!q->finished);
    q->finished = true;
    q->cancel = NULL;
    q->done(q);
}

static void come_home(struct kafka_req *q)
{
    if (loop_current() == q->loop)
        finish(q);
    else
        loop_post(q->loop, finish, q);
}

/* Response header: correlation id, and tags when flexible; ApiVersions never has them, whatever its version (KIP-511). */
void kafka_reply(struct kafka_req *q, const void *res)
{
    struct buf *b = &q->out.buf;

    if (q->inside) {
        q->inside(q, res);
        return;
    }
    if (q->raw) {
        const struct k_sasl_authenticate_res *token = res;
        buf_i32(b, (int32_t)token->token.n);
        buf_str(b, token->token);
        come_home(q);
        return;
    }
    buf_i32(b, 0); // the frame's length, known at the end
    buf_i32(b, q->correlation);
    if (q->flexible && q->api->key != API_VERSIONS_KEY)
        buf_uvarint(b, 0);
    wire_write(&q->out, q->api->res, q->version, q->flexible, kafka_access_answer(q, res));
    q->hang_up = !buf_ok(b) || b->n + q->out.spliced > INT32_MAX;
    if (!q->hang_up)
        buf_set_i32(b, 0, (int32_t)(b->n + q->out.spliced - 4));
    come_home(q);
}

void kafka_reply_none(struct kafka_req *q, bool hang_up)
{
    q->silent = true;
    q->hang_up = hang_up || q->denials; // a refusal that has no answer is told so
    come_home(q);
}
