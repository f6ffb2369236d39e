#include "base/mem.h"
#include "group/offsets.h"
#include "kafka/accept.h"
#include "kafka/txns.h"
#include "log/batch.h"
#include "obs/obs.h"

struct produce {
    struct kafka_req *q;
    struct k_produce_res res;
    struct log_part_write *parts;          // what may be appended
    struct k_produce_res_partition **told; // the answer to each
    size_t count;
    int64_t bytes;
    int16_t acks;
    bool failed;
};

static void refuse(struct kafka_req *q, struct k_produce_res_partition *res, int16_t error, const char *text)
{
    res->error = error;
    res->base_offset = res->append_time_ms = res->start_offset = -1;
    res->error_message = arena_str(&q->arena, str_of(text));
}

/* ---- what may be kept ---- */

static struct str transactional_id(const struct kafka_req *q)
{
    return ((const struct k_produce_req *)q->in)->transactional_id;
}

/* What a broker asks of a batch before it keeps it; K_NONE when it may be kept. */
static int16_t check_batch(struct kafka_req *q, const struct log_topic *t, struct str bytes,
                           struct accepted *out, struct err *e)
{
    struct batch_header h;

    if (batch_header(bytes, &h) && (h.attributes & BATCH_TRANSACTIONAL) && !transactional_id(q).p) {
        *out = (struct accepted){0};
        err_set(e, ERR_INVALID, "a transactional batch in a request without a transactional id");
        return K_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    }
    return kafka_accept(q, t, bytes, out, e);
}

/* The records that are to blame, each with the text (KIP-467): a client fails the others of the batch for their company. */
static void blame(struct kafka_req *q, struct k_produce_res_partition *res, const struct accepted *a)
{
    res->record_errors = ARENA_ARRAY(&q->arena, struct k_produce_res_error, (size_t)a->bad_count);
    for (int32_t i = 0; i < a->bad_count; i++)
        res->record_errors[i] = (struct k_produce_res_error){a->bad[i], res->error_message};
    res->record_errors_n = a->bad_count;
}

/* ---- append ---- */

static int16_t append_code(enum err_kind why)
{
    switch (why) {
    case ERR_INVALID:
        return K_OUT_OF_ORDER_SEQUENCE_NUMBER;
    case ERR_DENIED:
        return K_INVALID_PRODUCER_EPOCH;
    case ERR_NOT_FOUND:
        return K_UNKNOWN_TOPIC_OR_PARTITION;
    case ERR_BAD_INPUT:
        return K_INVALID_RECORD;
    default:
        return (int16_t)err_kafka(why);
    }
}

static void add_bytes(struct kafka *k, int64_t n)
{
    mutex_lock(&k->lock);
    k->append_bytes += n;
    mutex_unlock(&k->lock);
}

static void answer(struct produce *p)
{
    if (p->acks == 0)
        kafka_reply_none(p->q, p->failed); // a closed connection is the only way to tell (as Kafka does)
    else
        kafka_reply(p->q, &p->res);
}

/* What the owner of the disk must hear; the producer hears it too, as a code. */
static void warn_of_disk(const struct log_part_write *w, enum err_kind why, const char *more)
{
    static struct obs_repeat repeat;

    if (why == ERR_FULL || why == ERR_IO)
        obs_repeated(&repeat, OBS_ERROR, "kafka", "produce to %.*s-%d is refused: %s%s%s", STR_ARG(w->topic),
                     w->partition, err_text(why), *more ? ": " : "", more);
}

/* On the committer's thread. */
static void on_appended(void *arg, bool ok, const struct err *e)
{
    struct produce *p = arg;

    for (size_t i = 0; i < p->count; i++) {
        const struct log_part_write *w = &p->parts[i];
        struct k_produce_res_partition *res = p->told[i];
        enum err_kind why = ok ? w->refused : e->kind;

        if (why == ERR_NONE) {
            obs_add(OBS_kafka_produced_bytes_total, (int64_t)w->batches.n);
            res->base_offset = w->base_offset;
            res->append_time_ms = w->append_time_ms;
            res->start_offset = w->start_offset;
        } else {
            refuse(p->q, res, append_code(why), ok ? err_text(why) : e->msg);
            warn_of_disk(w, why, ok ? "" : e->msg);
            p->failed = true;
        }
    }
    add_bytes(p->q->k, -p->bytes);
    answer(p);
}

/* Either refuses a partition or adds it to the parts. */
static void take_partition(struct produce *p, const struct k_produce_req_partition *in, struct str name,
                           const struct log_topic *t, struct k_produce_res_partition *res)
{
    struct accepted batch = {0};
    struct err e = {0};
    int16_t error;

    res->partition = in->partition;
    res->append_time_ms = res->start_offset = -1;
    if (!t || in->partition < 0 || in->partition >= t->partitions) {
        refuse(p->q, res, K_UNKNOWN_TOPIC_OR_PARTITION, "there is no such topic or partition");
    } else if (kafka_is_internal(name)) {
        refuse(p->q, res, K_INVALID_TOPIC, "only the coordinators write " OFFSETS_TOPIC " and " TXN_TOPIC);
    } else if ((error = check_batch(p->q, t, in->records.bytes, &batch, &e)) != K_NONE) {
        refuse(p->q, res, error, e.msg);
        if (batch.bad_count > 0)
            blame(p->q, res, &batch);
    } else {
        p->told[p->count] = res;
        p->parts[p->count++] = (struct log_part_write){.topic = name,
                                                       .partition = in->partition,
                                                       .batches = batch.bytes,
                                                       .buffer = kafka_received(&p->q->memory)};
        p->bytes += (int64_t)batch.bytes.n;
        return;
    }
    p->failed = true;
}

static struct produce *plan(struct kafka_req *q, const struct k_produce_req *in)
{
    struct produce *p = ARENA_NEW(&q->arena, struct produce);
    size_t n = 0;

    p->q = q;
    p->acks = in->acks;
    for (int32_t i = 0; i < in->topics_n; i++)
        n += (size_t)in->topics[i].partitions_n;
    p->parts = ARENA_ARRAY(&q->arena, struct log_part_write, n);
    p->told = ARENA_ARRAY(&q->arena, struct k_produce_res_partition *, n);
    p->res.topics = ARENA_ARRAY(&q->arena, struct k_produce_res_topic, (size_t)in->topics_n);
    p->res.topics_n = in->topics_n;
    for (int32_t i = 0; i < in->topics_n; i++) {
        const struct k_produce_req_topic *from = &in->topics[i];
        struct k_produce_res_topic *to = &p->res.topics[i];
        struct log_topic t;
        bool found = log_find_topic(q->k->log, from->name, &q->arena, &t);

        to->name = from->name;
        to->partitions_n = from->partitions_n;
        to->partitions = ARENA_ARRAY(&q->arena, struct k_produce_res_partition, (size_t)from->partitions_n);
        for (int32_t j = 0; j < from->partitions_n; j++)
            take_partition(p, &from->partitions[j], from->name, found ? &t : NULL, &to->partitions[j]);
    }
    return p;
}

static void refuse_all(struct kafka_req *q, const struct k_produce_req *in, int16_t error, const char *text)
{
    struct produce *p = plan(q, in);

    for (int32_t i = 0; i < p->res.topics_n; i++)
        for (int32_t j = 0; j < p->res.topics[i].partitions_n; j++)
            refuse(q, &p->res.topics[i].partitions[j], error, text);
    p->failed = true;
    answer(p);
}

static void append(struct produce *p)
{
    if (p->count == 0) {
        answer(p);
        return;
    }
    add_bytes(p->q->k, p->bytes);
    log_append_some_async(p->q->k->log, p->parts, p->count, on_appended, p);
}

/* ---- in a transaction ---- */

static const char *txn_text(int16_t error)
{
    return error == K_INVALID_TXN_STATE        ? "the partition was not added to an open transaction"
           : error == K_INVALID_PRODUCER_EPOCH ? "a newer instance has the transactional id"
                                               : "the transactional id is not this producer's";
}

/* On the home loop: what is allowed is in the log's queue before the transaction can end (KIP-890 has why that matters). */
static void append_home(void *arg)
{
    struct kafka_req *q = arg;
    struct produce *p = q->parked;
    size_t all = p->count;

    p->count = 0;
    for (size_t i = 0; i < all; i++) {
        struct log_part_write *w = &p->parts[i];
        struct txn_who who = {.id = transactional_id(q)};
        struct batch_header h;
        int16_t error = K_NONE;

        if (batch_header(w->batches, &h) && (h.attributes & BATCH_TRANSACTIONAL)) {
            who.producer_id = h.producer_id;
            who.epoch = h.producer_epoch;
            error = txns_may_write(kafka_txns(q->k), &who, w->topic, w->partition);
        }
        if (error != K_NONE) {
            refuse(q, p->told[i], error, txn_text(error));
            p->bytes -= (int64_t)w->batches.n;
            p->failed = true;
            continue;
        }
        p->told[p->count] = p->told[i];
        p->parts[p->count++] = *w;
    }
    append(p);
}

/*
 * acks=1 and acks=all are the same here: there is one copy, and it is on disk before the answer. acks=0 is written just
 * so, only nobody is told. A partition that is refused does not hold up the others.
 */
void kafka_produce(struct kafka_req *q, const void *in)
{
    const struct k_produce_req *req = in;
    struct produce *p;

    if (req->acks < -1 || req->acks > 1) {
        refuse_all(q, req, K_INVALID_REQUIRED_ACKS, "acks is 0, 1 or all");
        return;
    }
    p = plan(q, req);
    q->parked = p;
    if (req->transactional_id.p)
        kafka_go_home(q, append_home);
    else
        append(p);
}
