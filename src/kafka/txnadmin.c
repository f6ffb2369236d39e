/* ListTransactions, DescribeTransactions, DescribeProducers (KIP-664): looking for a transaction that hangs. */
#include "base/mem.h"
#include "kafka/txns.h"

#include <stdlib.h>

/* ---- ListTransactions ---- */

static bool is_state(struct str name)
{
    for (int s = 0; s < TXN_STATES; s++)
        if (str_is(name, txn_state_name((enum txn_state)s)))
            return true;
    return false;
}

static bool is_asked(const struct k_list_txns_req *req, const struct txn *x, int64_t wall_ms)
{
    bool state = req->states_n == 0, producer = req->producer_ids_n == 0;

    for (int32_t i = 0; !state && i < req->states_n; i++)
        state = str_is(req->states[i], txn_state_name(x->now.state));
    for (int32_t i = 0; !producer && i < req->producer_ids_n; i++)
        producer = req->producer_ids[i] == x->now.producer_id;
    return state && producer && x->now.epoch >= 0 &&
           (req->duration_ms < 0 ||
            (x->now.state == TXN_ONGOING && wall_ms - x->now.start_ms > req->duration_ms));
}

static int by_id(const void *a, const void *b)
{
    const struct k_list_txns_res_txn *x = a, *y = b;

    return str_cmp(x->id, y->id);
}

static void list_home(void *arg)
{
    struct kafka_req *q = arg;
    const struct k_list_txns_req *req = q->in;
    const struct txns *t = kafka_txns(q->k);
    int64_t wall_ms = kafka_txn_clock(q->k).wall_ms;
    struct k_list_txns_res res = {0};

    res.unknown_states = ARENA_ARRAY(&q->arena, struct str, (size_t)req->states_n);
    for (int32_t i = 0; i < req->states_n; i++)
        if (!is_state(req->states[i]))
            res.unknown_states[res.unknown_states_n++] = req->states[i];
    res.txns = ARENA_ARRAY(&q->arena, struct k_list_txns_res_txn, t->by_id.n);
    for (struct map_it it = {0}; map_next(&t->by_id, &it);) {
        const struct txn *x = it.value;

        if (is_asked(req, x, wall_ms))
            res.txns[res.txns_n++] =
                (struct k_list_txns_res_txn){x->id, x->now.producer_id, str_of(txn_state_name(x->now.state))};
    }
    if (res.txns_n > 1)
        qsort(res.txns, (size_t)res.txns_n, sizeof *res.txns, by_id);
    kafka_reply(q, &res);
}

void kafka_list_transactions(struct kafka_req *q, const void *in)
{
    (void)in;
    kafka_go_home(q, list_home);
}

/* ---- DescribeTransactions ---- */

static void describe_parts(struct kafka_req *q, const struct txn_record *r,
                           struct k_describe_txns_res_txn *out)
{
    int32_t *all = ARENA_ARRAY(&q->arena, int32_t, r->part_n);

    out->topics = ARENA_ARRAY(&q->arena, struct k_describe_txns_res_topic, r->part_n);
    for (size_t i = 0; i < r->part_n; i++) {
        struct k_describe_txns_res_topic *t = out->topics_n > 0 ? &out->topics[out->topics_n - 1] : NULL;

        if (!t || !str_eq(t->name, r->parts[i].topic)) {
            t = &out->topics[out->topics_n++];
            t->name = r->parts[i].topic;
            t->partitions = &all[i];
        }
        t->partitions[t->partitions_n++] = r->parts[i].partition;
    }
}

static void describe_home(void *arg)
{
    struct kafka_req *q = arg;
    const struct k_describe_txns_req *req = q->in;
    struct k_describe_txns_res res = {.txns_n = req->ids_n};
    struct map told = {0};

    res.txns = ARENA_ARRAY(&q->arena, struct k_describe_txns_res_txn, (size_t)req->ids_n);
    for (int32_t i = 0; i < req->ids_n; i++) {
        const struct txn *x = txns_find(kafka_txns(q->k), req->ids[i]);
        struct k_describe_txns_res_txn *to = &res.txns[i];

        if (map_get(&told, req->ids[i])) {
            *to = *(struct k_describe_txns_res_txn *)map_get(&told, req->ids[i]);
            continue;
        }
        (void)map_put(&told, req->ids[i], to);
        *to = (struct k_describe_txns_res_txn){.error = K_TRANSACTIONAL_ID_NOT_FOUND,
                                               .id = req->ids[i],
                                               .state = STR(""),
                                               .producer_id = -1,
                                               .producer_epoch = -1,
                                               .start_ms = -1};
        if (!x || x->now.epoch < 0)
            continue;
        to->error = K_NONE;
        to->state = str_of(txn_state_name(x->now.state));
        to->timeout_ms = x->now.timeout_ms;
        to->start_ms = x->now.state == TXN_ONGOING ? x->now.start_ms : -1;
        to->producer_id = x->now.producer_id;
        to->producer_epoch = x->now.epoch;
        describe_parts(q, &x->now, to);
    }
    map_fini(&told);
    kafka_reply(q, &res);
}

void kafka_describe_transactions(struct kafka_req *q, const void *in)
{
    (void)in;
    kafka_go_home(q, describe_home);
}

/* ---- DescribeProducers ---- */

static void producers_of(struct kafka_req *q, struct str topic, struct k_producers_res_partition *out)
{
    struct log_producer *list;
    struct err e;
    size_t n;

    if (!log_producers(q->k->log, topic, out->partition, &q->arena, &list, &n, &e)) {
        out->error = kafka_error_of(&e);
        out->error_message = arena_str(&q->arena, str_of(e.msg));
        return;
    }
    out->producers_n = (int32_t)n;
    out->producers = ARENA_ARRAY(&q->arena, struct k_producers_res_producer, n);
    for (size_t i = 0; i < n; i++)
        out->producers[i] = (struct k_producers_res_producer){.id = list[i].id,
                                                              .epoch = list[i].epoch,
                                                              .last_sequence = list[i].last_sequence,
                                                              .last_ms = list[i].last_ms,
                                                              .coordinator_epoch = list[i].coordinator_epoch,
                                                              .txn_start = list[i].first};
}

/* A job: the committer is asked. */
static void describe_producers(void *arg)
{
    struct kafka_req *q = arg;
    const struct k_producers_req *req = q->in;
    struct k_producers_res res = {.topics_n = req->topics_n};
    struct map told = {0};

    res.topics = ARENA_ARRAY(&q->arena, struct k_producers_res_topic, (size_t)req->topics_n);
    for (int32_t i = 0; i < req->topics_n; i++) {
        struct k_producers_res_topic *t = &res.topics[i];

        t->name = req->topics[i].name;
        t->partitions_n = req->topics[i].partitions_n;
        t->partitions = ARENA_ARRAY(&q->arena, struct k_producers_res_partition, (size_t)t->partitions_n);
        for (int32_t j = 0; j < t->partitions_n; j++) {
            struct arena a = {0};
            struct str key = str_of(arena_fmt(&a, "%d %.*s", req->topics[i].partitions[j], STR_ARG(t->name)));

            t->partitions[j].partition = req->topics[i].partitions[j];
            if (map_get(&told, key))
                t->partitions[j] = *(struct k_producers_res_partition *)map_get(&told, key);
            else
                producers_of(q, t->name, &t->partitions[j]);
            (void)map_put(&told, key, &t->partitions[j]);
            arena_fini(&a);
        }
    }
    map_fini(&told);
    kafka_reply(q, &res);
}

void kafka_describe_producers(struct kafka_req *q, const void *in)
{
    (void)in;
    job_run(q->k->net, describe_producers, NULL, q);
}
