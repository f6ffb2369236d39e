/*
 * InitProducerId: a number for an idempotent producer (KIP-98). Its sequence numbers are checked by the log.
 */
#include "kafka/kafka_int.h"

/* A job: the id is on disk before it is told. */
static void new_producer(void *arg)
{
    struct kafka_req *q = arg;
    struct k_init_producer_id_res res = {.producer_id = -1, .producer_epoch = -1};
    struct err e;

    if (log_new_producer_id(q->k->log, &res.producer_id, &e)) {
        res.producer_epoch = 0;
    } else {
        res.error = kafka_error_of(&e);
        res.producer_id = -1;
    }
    kafka_reply(q, &res);
}

/* Error 53 is the one that makes every client give up at once instead of asking again and again. */
void kafka_init_producer_id(struct kafka_req *q, const void *in)
{
    const struct k_init_producer_id_req *req = in;

    if (req->transactional_id.p)
        kafka_reply(q, &(struct k_init_producer_id_res){.error = K_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
                                                        .producer_id = -1,
                                                        .producer_epoch = -1});
    else
        job_run(q->k->net, new_producer, NULL, q);
}
