/* AddPartitionsToTxn, AddOffsetsToTxn, TxnOffsetCommit, EndTxn: a transaction of a producer that InitProducerId has named. */
#include "base/mem.h"
#include "group/offsets.h"
#include "kafka/group.h"
#include "kafka/txns.h"

enum { FENCED_FIRST_VERSION = 2 }; // before it, clients know INVALID_PRODUCER_EPOCH only

static int16_t told(const struct kafka_req *q, int16_t error)
{
    return error == K_PRODUCER_FENCED && q->version < FENCED_FIRST_VERSION ? K_INVALID_PRODUCER_EPOCH : error;
}

/* ---- AddPartitionsToTxn ---- */

/* All partitions get the error; `one` may have its own for a partition. False when that was so for any. */
static bool fill_partitions(struct kafka_req *q, struct k_txn_partitions_res *res, int16_t error,
                            int16_t (*one)(struct kafka_req *q, struct str topic, int32_t partition))
{
    const struct k_txn_partitions_req *req = q->in;
    bool all = true;

    res->topics_n = req->topics_n;
    res->topics = ARENA_ARRAY(&q->arena, struct k_txn_partitions_res_topic, (size_t)req->topics_n);
    for (int32_t i = 0; i < req->topics_n; i++) {
        const struct k_txn_partitions_req_topic *from = &req->topics[i];
        struct k_txn_partitions_res_topic *to = &res->topics[i];

        to->name = from->name;
        to->partitions_n = from->partitions_n;
        to->partitions =
            ARENA_ARRAY(&q->arena, struct k_txn_partitions_res_partition, (size_t)from->partitions_n);
        for (int32_t j = 0; j < from->partitions_n; j++) {
            int16_t own = one ? one(q, from->name, from->partitions[j]) : (int16_t)K_NONE;

            to->partitions[j] =
                (struct k_txn_partitions_res_partition){from->partitions[j], own != K_NONE ? own : error};
            all = all && own == K_NONE;
        }
    }
    return all;
}

static int16_t check_partition(struct kafka_req *q, struct str topic, int32_t partition)
{
    struct log_range unused;

    if (kafka_is_internal(topic))
        return K_TOPIC_AUTHORIZATION_FAILED; // as Kafka answers for its internal topics
    return log_range(q->k->log, topic, partition, &unused) ? K_NONE : K_UNKNOWN_TOPIC_OR_PARTITION;
}

static void added(struct kafka_req *q, int16_t error)
{
    struct k_txn_partitions_res res = {0};

    (void)fill_partitions(q, &res, told(q, error), NULL);
    kafka_reply(q, &res);
}

static struct txn_part *parts_asked(struct kafka_req *q, size_t *n)
{
    const struct k_txn_partitions_req *req = q->in;
    struct txn_part *parts;
    size_t all = 0;

    for (int32_t i = 0; i < req->topics_n; i++)
        all += (size_t)req->topics[i].partitions_n;
    parts = ARENA_ARRAY(&q->arena, struct txn_part, all);
    *n = 0;
    for (int32_t i = 0; i < req->topics_n; i++)
        for (int32_t j = 0; j < req->topics[i].partitions_n; j++)
            parts[(*n)++] = (struct txn_part){req->topics[i].name, req->topics[i].partitions[j]};
    return parts;
}

static void add_home(void *arg)
{
    struct kafka_req *q = arg;
    const struct k_txn_partitions_req *req = q->in;
    struct txn_who who = {req->transactional_id, req->producer_id, req->producer_epoch};
    struct txn_clock c = kafka_txn_clock(q->k);
    struct k_txn_partitions_res res = {0};
    struct txn_step step;
    int16_t error;
    size_t n;
    struct txn_part *parts = parts_asked(q, &n);

    if (!fill_partitions(q, &res, K_OPERATION_NOT_ATTEMPTED, check_partition)) {
        kafka_reply(q, &res);
        return;
    }
    error = txns_add(kafka_txns(q->k), &who, parts, n, &c, &step);
    if (error == K_NONE && step.txn)
        kafka_txn_store(q->k, &step, q, added);
    else
        added(q, error);
}

void kafka_add_partitions_to_txn(struct kafka_req *q, const void *in)
{
    (void)in;
    kafka_go_home(q, add_home);
}

/* ---- AddOffsetsToTxn ---- */

static void offsets_added(struct kafka_req *q, int16_t error)
{
    kafka_reply(q, &(struct k_txn_offsets_res){.error = told(q, error)});
}

/* The group's partition of __consumer_offsets becomes part of the transaction. */
static void add_offsets_home(void *arg)
{
    struct kafka_req *q = arg;
    const struct k_txn_offsets_req *req = q->in;
    struct txn_who who = {req->transactional_id, req->producer_id, req->producer_epoch};
    struct txn_part part = {STR(OFFSETS_TOPIC), offsets_partition(q->k->offsets, req->group)};
    struct txn_clock c = kafka_txn_clock(q->k);
    struct txn_step step = {0};
    int16_t error = req->group.n == 0 ? (int16_t)K_INVALID_GROUP_ID
                                      : txns_add(kafka_txns(q->k), &who, &part, 1, &c, &step);

    if (error == K_NONE && step.txn)
        kafka_txn_store(q->k, &step, q, offsets_added);
    else
        offsets_added(q, error);
}

void kafka_add_offsets_to_txn(struct kafka_req *q, const void *in)
{
    (void)in;
    kafka_go_home(q, add_offsets_home);
}

/* ---- EndTxn ---- */

static void ended(struct kafka_req *q, int16_t error)
{
    kafka_reply(q, &(struct k_end_txn_res){.error = told(q, error)});
}

static void end_home(void *arg)
{
    struct kafka_req *q = arg;
    const struct k_end_txn_req *req = q->in;
    struct txn_who who = {req->transactional_id, req->producer_id, req->producer_epoch};
    struct txn_clock c = kafka_txn_clock(q->k);
    struct txn_step step;
    int16_t error = txns_end(kafka_txns(q->k), &who, req->commit, &c, &step);

    if (error == K_NONE && step.txn)
        kafka_txn_store(q->k, &step, q, ended);
    else
        ended(q, error);
}

void kafka_end_txn(struct kafka_req *q, const void *in)
{
    (void)in;
    kafka_go_home(q, end_home);
}

/* ---- TxnOffsetCommit ---- */

static struct kafka_commit *plan(struct kafka_req *q, const struct k_txn_commit_req *req, int16_t error)
{
    struct k_txn_commit_res *res = ARENA_NEW(&q->arena, struct k_txn_commit_res);
    struct kafka_commit *c;
    size_t n = 0;

    for (int32_t i = 0; i < req->topics_n; i++)
        n += (size_t)req->topics[i].partitions_n;
    c = kafka_commit_new(q, req->topics_n, n);
    for (int32_t i = 0; i < req->topics_n; i++) {
        const struct k_txn_commit_req_topic *t = &req->topics[i];

        kafka_commit_topic(c, t->name, t->partitions_n);
        for (int32_t j = 0; j < t->partitions_n; j++) {
            const struct k_txn_commit_req_partition *p = &t->partitions[j];
            struct offset_at at = {.topic = t->name,
                                   .partition = p->partition,
                                   .leader_epoch = p->leader_epoch,
                                   .offset = p->offset,
                                   .metadata = p->metadata};

            kafka_commit_add(c, &at, error);
        }
    }
    *res = (struct k_txn_commit_res){.topics = c->topics, .topics_n = c->topics_n};
    c->res = res;
    return c;
}

/* The producer's transaction must have the group's partition, and from version 3 on the member must be the group's (KIP-447). */
static int16_t may_commit(struct kafka_req *q, const struct k_txn_commit_req *req)
{
    struct txn_who producer = {req->transactional_id, req->producer_id, req->producer_epoch};
    struct coord_commit member = {.group = req->group,
                                  .member_id = req->member_id,
                                  .instance_id = req->instance_id,
                                  .generation = req->generation,
                                  .transactional = true,
                                  .group_known = kafka_group_is_known(q->k, req->group),
                                  .no_group = K_ILLEGAL_GENERATION};

    int16_t error = req->group.n == 0 ? (int16_t)K_INVALID_GROUP_ID : kafka_may_commit(q->k, &member, false);

    if (error != K_NONE)
        return error;
    return txns_may_write(kafka_txns(q->k), &producer, STR(OFFSETS_TOPIC),
                          offsets_partition(q->k->offsets, req->group));
}

static void commit_home(void *arg)
{
    struct kafka_req *q = arg;
    const struct k_txn_commit_req *req = q->in;
    struct offsets_producer producer = {req->producer_id, req->producer_epoch};
    struct kafka_commit *c = plan(q, req, may_commit(q, req));

    if (c->count > 0)
        offsets_commit_txn_async(q->k->offsets, req->group, &producer, c->at, c->count, kafka_committed, c);
    else
        kafka_reply(q, c->res);
}

void kafka_txn_offset_commit(struct kafka_req *q, const void *in)
{
    (void)in;
    kafka_go_home(q, commit_home);
}
