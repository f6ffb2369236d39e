/*
 * ListOffsets and OffsetForLeaderEpoch: where a partition begins, where it ends, and what lies at a time.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "kafka/kafka_int.h"
#include "log/batch.h"

/* Times that are not times (ListOffsetsRequest.java). */
enum { LATEST = -1, EARLIEST = -2, MAX_TIMESTAMP = -3, EARLIEST_LOCAL = -4, LATEST_TIERED = -5 };

struct place {
    int64_t offset, timestamp_ms; // -1: none
};

/* In the batch that holds `from`: the first record whose time is at least time_ms. */
static bool first_at(struct kafka_req *q, struct str topic, int32_t partition, int64_t from, int64_t time_ms,
                     struct place *out, struct err *e)
{
    struct buf b = buf_make(LIMIT_BATCH + 1);
    struct arena a = {0};
    struct batch_reader r;
    struct record rec;
    bool found = false, ok = log_fetch(q->k->log, topic, partition, from, 1, &b, e);

    if (ok) {
        batch_open(&r, &a, buf_view(&b));
        r.skip_below = from;
        while (!found && batch_next(&r, &rec))
            found = rec.timestamp_ms >= time_ms;
        ok = found || batch_ok(&r, e);
    }
    if (found)
        *out = (struct place){rec.offset, rec.timestamp_ms};
    arena_fini(&a);
    buf_fini(&b);
    return ok;
}

/* The first record with a time of at least time_ms: the log knows the batch, the record is looked for in it. */
static int16_t at_time(struct kafka_req *q, struct str topic, int32_t partition, int64_t time_ms,
                       struct place *out)
{
    int64_t offset, timestamp_ms;
    struct err e = {0};

    if (!log_offset_for_time(q->k->log, topic, partition, time_ms, &offset, &timestamp_ms))
        return K_NONE;
    return first_at(q, topic, partition, offset, time_ms, out, &e) ? K_NONE : kafka_error_of(&e);
}

/* The record with the greatest time. "Is there one at or after t?" is true up to it and false behind, so halving finds it. */
static int16_t at_max_time(struct kafka_req *q, struct str topic, int32_t partition, struct place *out)
{
    int64_t low = 0, high = INT64_MAX, offset, timestamp_ms;

    if (!log_offset_for_time(q->k->log, topic, partition, low, &offset, &timestamp_ms))
        return K_NONE;
    while (low < high) {
        int64_t middle = low + (high - low) / 2 + 1;

        if (log_offset_for_time(q->k->log, topic, partition, middle, &offset, &timestamp_ms))
            low = middle;
        else
            high = middle - 1;
    }
    return at_time(q, topic, partition, low, out);
}

/* What lies at or behind the last stable offset is not there for who reads what is committed. */
static int16_t settled(int16_t error, bool committed_only, const struct log_range *range, struct place *p)
{
    if (committed_only && p->offset >= range->stable)
        *p = (struct place){-1, -1};
    return error;
}

/* Whether a version of the request knows such a time (KIP-79, 734, 405, 1005; Kafka answers the rest with UNSUPPORTED_VERSION). */
static bool is_known(int64_t time_ms, int16_t version)
{
    static const int16_t since[] = {
        [-LATEST] = 1, [-EARLIEST] = 1, [-MAX_TIMESTAMP] = 7, [-EARLIEST_LOCAL] = 8, [-LATEST_TIERED] = 9};

    return time_ms >= 0 || (time_ms >= LATEST_TIERED && version >= since[-time_ms]);
}

static int16_t find_place(struct kafka_req *q, struct str topic,
                          const struct k_list_offsets_req_partition *in, struct place *out)
{
    const struct k_list_offsets_req *req = q->in;
    bool committed_only = req->isolation_level == 1;
    struct log_range range;
    int16_t error = kafka_check_epoch(in->leader_epoch);

    if (!is_known(in->timestamp_ms, q->version))
        return K_UNSUPPORTED_VERSION;
    if (!log_range(q->k->log, topic, in->partition, &range))
        return K_UNKNOWN_TOPIC_OR_PARTITION;
    if (error != K_NONE)
        return error;
    switch (in->timestamp_ms) {
    case LATEST:
        out->offset = committed_only ? range.stable : range.end;
        return K_NONE;
    case EARLIEST:
    case EARLIEST_LOCAL:
        out->offset = range.start;
        return K_NONE;
    case MAX_TIMESTAMP:
        return settled(at_max_time(q, topic, in->partition, out), committed_only, &range, out);
    case LATEST_TIERED: // there is no other tier
        return K_NONE;
    default:
        return settled(at_time(q, topic, in->partition, in->timestamp_ms, out), committed_only, &range, out);
    }
}

/* Reads batches, so it is a job. */
static void list_offsets(void *arg)
{
    struct kafka_req *q = arg;
    const struct k_list_offsets_req *req = q->in;
    struct k_list_offsets_res res = {.topics_n = req->topics_n};

    res.topics = ARENA_ARRAY(&q->arena, struct k_list_offsets_res_topic, (size_t)req->topics_n);
    for (int32_t i = 0; i < req->topics_n; i++) {
        const struct k_list_offsets_req_topic *from = &req->topics[i];
        struct k_list_offsets_res_topic *to = &res.topics[i];

        to->name = from->name;
        to->partitions_n = from->partitions_n;
        to->partitions =
            ARENA_ARRAY(&q->arena, struct k_list_offsets_res_partition, (size_t)from->partitions_n);
        for (int32_t j = 0; j < from->partitions_n; j++) {
            struct place place = {-1, -1};
            int16_t error = find_place(q, from->name, &from->partitions[j], &place);

            to->partitions[j] = (struct k_list_offsets_res_partition){
                .partition = from->partitions[j].partition,
                .error = error,
                .timestamp_ms = place.timestamp_ms,
                .offset = place.offset,
                .leader_epoch = error == K_NONE && place.offset >= 0 ? KAFKA_LEADER_EPOCH : -1};
        }
    }
    kafka_reply(q, &res);
}

void kafka_list_offsets(struct kafka_req *q, const void *in)
{
    (void)in;
    job_run(q->k->net, list_offsets, NULL, q);
}

/* ---- OffsetForLeaderEpoch ---- */

static void epoch_end(struct kafka_req *q, struct str topic, const struct k_epoch_end_req_partition *in,
                      struct k_epoch_end_res_partition *out)
{
    struct log_range range;

    *out =
        (struct k_epoch_end_res_partition){.partition = in->partition, .leader_epoch = -1, .end_offset = -1};
    if (!log_range(q->k->log, topic, in->partition, &range))
        out->error = K_UNKNOWN_TOPIC_OR_PARTITION;
    else
        out->error = kafka_check_epoch(in->current_epoch);
    if (out->error == K_NONE && in->leader_epoch == KAFKA_LEADER_EPOCH) {
        out->leader_epoch = KAFKA_LEADER_EPOCH;
        out->end_offset = range.end;
    }
}

void kafka_epoch_end(struct kafka_req *q, const void *in)
{
    const struct k_epoch_end_req *req = in;
    struct k_epoch_end_res res = {.topics_n = req->topics_n};

    res.topics = ARENA_ARRAY(&q->arena, struct k_epoch_end_res_topic, (size_t)req->topics_n);
    for (int32_t i = 0; i < req->topics_n; i++) {
        const struct k_epoch_end_req_topic *from = &req->topics[i];
        struct k_epoch_end_res_topic *to = &res.topics[i];

        to->name = from->name;
        to->partitions_n = from->partitions_n;
        to->partitions = ARENA_ARRAY(&q->arena, struct k_epoch_end_res_partition, (size_t)from->partitions_n);
        for (int32_t j = 0; j < from->partitions_n; j++)
            epoch_end(q, from->name, &from->partitions[j], &to->partitions[j]);
    }
    kafka_reply(q, &res);
}
