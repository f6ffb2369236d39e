/*
 * What looks after data and cluster: DeleteRecords, DescribeLogDirs, and the APIs about replicas, leaders, quotas and access lists, of
 * which a single broker has little to tell. Consoles and libraries ask all of them.
 */
#include "base/mem.h"
#include "kafka/kafka_int.h"
#include "os/os.h"

/* ---- DeleteRecords ---- */

enum { UP_TO_THE_END = -1 };

static int16_t delete_records(struct kafka_req *q, const struct log_topic *t,
                              const struct k_delete_records_req_partition *in, int64_t *low_watermark)
{
    struct log *l = q->k->log;
    struct log_range range;
    struct err e;
    int64_t to;

    if (!log_range(l, t->name, in->partition, &range))
        return K_UNKNOWN_TOPIC_OR_PARTITION;
    if (kafka_is_internal(t->name))
        return K_INVALID_TOPIC;
    if (!t->settings.remove)
        return K_POLICY_VIOLATION; // of a compacted topic each key's last record stays (Kafka: Partition.scala)
    to = in->offset == UP_TO_THE_END ? range.end : in->offset;
    if (to < 0 || to > range.end)
        return K_OFFSET_OUT_OF_RANGE;
    if (to > range.start && !log_trim(l, t->name, in->partition, to, &e))
        return e.kind == ERR_INVALID ? K_OFFSET_OUT_OF_RANGE : kafka_error_of(&e);
    *low_watermark = log_range(l, t->name, in->partition, &range) ? range.start : to;
    return K_NONE;
}

static void delete_all(void *arg)
{
    struct kafka_req *q = arg;
    const struct k_delete_records_req *req = q->in;
    struct k_delete_records_res res = {.topics_n = req->topics_n};

    res.topics = ARENA_ARRAY(&q->arena, struct k_delete_records_res_topic, (size_t)req->topics_n);
    for (int32_t i = 0; i < req->topics_n; i++) {
        const struct k_delete_records_req_topic *from = &req->topics[i];
        struct k_delete_records_res_topic *to = &res.topics[i];
        struct log_topic t;
        int16_t error = kafka_find_topic(q, false, from->name, NULL, &t);

        to->name = from->name;
        to->partitions_n = from->partitions_n;
        to->partitions =
            ARENA_ARRAY(&q->arena, struct k_delete_records_res_partition, (size_t)from->partitions_n);
        for (int32_t j = 0; j < from->partitions_n; j++) {
            struct k_delete_records_res_partition *p = &to->partitions[j];

            p->partition = from->partitions[j].partition;
            p->low_watermark = -1;
            p->error =
                error != K_NONE ? error : delete_records(q, &t, &from->partitions[j], &p->low_watermark);
        }
    }
    kafka_reply(q, &res);
}

/* A job: the new start is on disk before it is told. */
void kafka_delete_records(struct kafka_req *q, const void *in)
{
    (void)in;
    job_run(q->k->net, delete_all, NULL, q);
}

/* ---- DescribeLogDirs ---- */

static void size_of(struct kafka_req *q, struct str topic, int32_t partition,
                    struct k_log_dirs_res_topic *out)
{
    out->partitions[out->partitions_n++] = (struct k_log_dirs_res_partition){
        .partition = partition, .size = log_size_bytes(q->k->log, topic, partition)};
}

static void sizes_of_all(struct kafka_req *q, struct k_log_dirs_res_dir *out)
{
    struct log_topic *topics;
    size_t n;

    log_list_topics(q->k->log, &q->arena, &topics, &n);
    out->topics = ARENA_ARRAY(&q->arena, struct k_log_dirs_res_topic, n);
    out->topics_n = (int32_t)n;
    for (size_t i = 0; i < n; i++) {
        out->topics[i].name = topics[i].name;
        out->topics[i].partitions =
            ARENA_ARRAY(&q->arena, struct k_log_dirs_res_partition, (size_t)topics[i].partitions);
        for (int32_t p = 0; p < topics[i].partitions; p++)
            size_of(q, topics[i].name, p, &out->topics[i]);
    }
}

/* What is not there is left out, as in Kafka. */
static void sizes_of_some(struct kafka_req *q, const struct k_log_dirs_req *req,
                          struct k_log_dirs_res_dir *out)
{
    out->topics = ARENA_ARRAY(&q->arena, struct k_log_dirs_res_topic, (size_t)req->topics_n);
    for (int32_t i = 0; i < req->topics_n; i++) {
        const struct k_log_dirs_req_topic *in = &req->topics[i];
        struct k_log_dirs_res_topic *to = &out->topics[out->topics_n];
        struct log_topic t;

        if (kafka_find_topic(q, false, in->name, NULL, &t) != K_NONE)
            continue;
        to->name = in->name;
        to->partitions = ARENA_ARRAY(&q->arena, struct k_log_dirs_res_partition, (size_t)in->partitions_n);
        for (int32_t p = 0; p < in->partitions_n; p++)
            if (in->partitions[p] >= 0 && in->partitions[p] < t.partitions)
                size_of(q, in->name, in->partitions[p], to);
        out->topics_n += to->partitions_n > 0;
    }
}

static void describe_dirs(void *arg)
{
    struct kafka_req *q = arg;
    const struct k_log_dirs_req *req = q->in;
    struct k_log_dirs_res_dir dir = {.dir = str_of(log_dir(q->k->log)), .total = -1, .usable = -1};
    struct k_log_dirs_res res = {.dirs = &dir, .dirs_n = 1};
    struct os_space space;
    struct err e;

    if (os_space(log_dir(q->k->log), &space, &e)) {
        dir.total = space.total_bytes;
        dir.usable = space.usable_bytes;
    }
    if (req->topics_n < 0)
        sizes_of_all(q, &dir);
    else
        sizes_of_some(q, req, &dir);
    kafka_reply(q, &res);
}

void kafka_log_dirs(struct kafka_req *q, const void *in)
{
    (void)in;
    job_run(q->k->net, describe_dirs, NULL, q);
}

/* ---- leaders and replicas: one of each, always the same ---- */

/* Of all partitions only those that got a new leader are told (Kafka: ReplicationControlManager), so none. */
void kafka_elect_leaders(struct kafka_req *q, const void *in)
{
    const struct k_elect_leaders_req *req = in;
    struct k_elect_leaders_res res = {.topics_n = req->topics_n < 0 ? 0 : req->topics_n};

    if (req->type != 0 && req->type != 1) {
        kafka_reply(q, &(struct k_elect_leaders_res){.error = K_INVALID_REQUEST});
        return;
    }
    res.topics = ARENA_ARRAY(&q->arena, struct k_elect_leaders_res_topic, (size_t)res.topics_n);
    for (int32_t i = 0; i < res.topics_n; i++) {
        const struct k_elect_leaders_req_topic *from = &req->topics[i];
        struct k_elect_leaders_res_topic *to = &res.topics[i];
        struct log_topic t;
        bool found = kafka_find_topic(q, false, from->name, NULL, &t) == K_NONE;

        to->name = from->name;
        to->partitions_n = from->partitions_n;
        to->partitions =
            ARENA_ARRAY(&q->arena, struct k_elect_leaders_res_partition, (size_t)from->partitions_n);
        for (int32_t j = 0; j < from->partitions_n; j++) {
            bool there = found && from->partitions[j] >= 0 && from->partitions[j] < t.partitions;

            to->partitions[j] = (struct k_elect_leaders_res_partition){
                .partition = from->partitions[j],
                .error = there ? K_ELECTION_NOT_NEEDED : K_UNKNOWN_TOPIC_OR_PARTITION,
                .error_message =
                    there ? STR("there is one broker, and it leads") : STR("there is no such partition")};
        }
    }
    kafka_reply(q, &res);
}

void kafka_reassignments(struct kafka_req *q, const void *in)
{
    (void)in;
    kafka_reply(q, &(struct k_reassignments_res){0});
}

/* There are no quotas, so none matches. */
void kafka_client_quotas(struct kafka_req *q, const void *in)
{
    (void)in;
    kafka_reply(q, &(struct k_client_quotas_res){0});
}
