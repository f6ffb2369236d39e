/*
 * InitProducerId: a number for an idempotent producer (KIP-98), whose sequence numbers the log checks; for a transactional one
 * the number of its id, with a higher epoch, which fences the instance before it.
 */
#include "base/mem.h"
#include "kafka/txns.h"
#include "obs/obs.h"

enum { FENCED_FIRST_VERSION = 4 }; // before it, clients know INVALID_PRODUCER_EPOCH only

static void tell(struct kafka_req *q, int16_t error, int64_t id, int16_t epoch)
{
    if (error == K_PRODUCER_FENCED && q->version < FENCED_FIRST_VERSION)
        error = K_INVALID_PRODUCER_EPOCH;
    kafka_reply(q, &(struct k_init_producer_id_res){.error = error,
                                                    .producer_id = error == K_NONE ? id : -1,
                                                    .producer_epoch = error == K_NONE ? epoch : (int16_t)-1});
}

/* A job: the id is on disk before it is told. */
static void new_producer(void *arg)
{
    struct kafka_req *q = arg;
    int64_t id = -1;
    struct err e;
    bool ok = log_new_producer_id(q->k->log, &id, &e);

    tell(q, ok ? K_NONE : kafka_error_of(&e), id, 0);
}

/* ---- with a transactional id ---- */

struct fresh {
    int64_t id; // never given out, or -1
    int32_t partitions;
};

static void init_home(void *arg);

/* A job: what the disk is needed for. */
static void prepare(void *arg)
{
    struct kafka_req *q = arg;
    struct fresh *f = q->parked;
    struct err e;

    f->partitions = kafka_txns_make(q->k, &e);
    if (f->partitions == 0 || !log_new_producer_id(q->k->log, &f->id, &e)) {
        static struct obs_repeat again;

        obs_repeated(&again, OBS_ERROR, "kafka", "no producer id for a transaction: %s", e.msg);
        tell(q, K_COORDINATOR_NOT_AVAILABLE, -1, -1);
        return;
    }
    loop_post(q->k->home, init_home, q);
}

static void stored(struct kafka_req *q, int16_t error)
{
    const struct k_init_producer_id_req *req = q->in;
    const struct txn *x = txns_find(kafka_txns(q->k), req->transactional_id);

    tell(q, error, x ? x->now.producer_id : -1, x ? x->now.epoch : (int16_t)-1);
}

static void init_home(void *arg)
{
    struct kafka_req *q = arg;
    const struct k_init_producer_id_req *req = q->in;
    struct fresh *f = q->parked;
    struct txn_wish w = {.who = {req->transactional_id, req->producer_id, req->producer_epoch},
                         .timeout_ms = req->transaction_timeout_ms,
                         .fresh_id = f->id};
    struct txn_clock c = kafka_txn_clock(q->k);
    struct txn_step step;
    bool needs_id = false;
    int16_t error;

    kafka_txns_made(q->k, f->partitions);
    error = txns_new_producer(kafka_txns(q->k), &w, &c, &step, &needs_id);
    if (error != K_NONE)
        tell(q, error, -1, -1);
    else if (needs_id)
        job_run(q->k->net, prepare, NULL, q);
    else
        kafka_txn_store(q->k, &step, q, stored);
}

void kafka_init_producer_id(struct kafka_req *q, const void *in)
{
    const struct k_init_producer_id_req *req = in;
    struct fresh *f;

    if (!req->transactional_id.p) {
        job_run(q->k->net, new_producer, NULL, q);
        return;
    }
    f = ARENA_NEW(&q->arena, struct fresh);
    f->id = -1;
    q->parked = f;
    kafka_go_home(q, init_home);
}
