/*
 * Metadata: which topics there are and who serves them. Asking for one may make it, as a job: that waits for the disk.
 */
#include "base/mem.h"
#include "group/offsets.h"
#include "kafka/kafka_int.h"

static const int32_t self[] = {KAFKA_NODE_ID};

struct metadata {
    struct kafka_req *q;
    const struct k_metadata_req *req;
    struct k_metadata_res res;
    int32_t to_make; // topics that are asked for, absent, and may be made
};

static bool all_topics(const struct metadata *m)
{
    return m->req->topics_n < 0 || (m->q->version == 0 && m->req->topics_n == 0);
}

/* A list of one: this broker. Answers are only read. */
static int32_t *self_list(struct arena *a)
{
    return arena_copy(a, self, sizeof self);
}

static void describe(struct kafka_req *q, const struct log_topic *t, struct k_metadata_res_topic *out)
{
    int32_t *nodes = self_list(&q->arena);

    *out = (struct k_metadata_res_topic){.name = t->name,
                                         .id = t->id,
                                         .internal = str_is(t->name, OFFSETS_TOPIC),
                                         .partitions_n = t->partitions,
                                         .operations = INT32_MIN};
    out->partitions = ARENA_ARRAY(&q->arena, struct k_metadata_res_partition, (size_t)t->partitions);
    for (int32_t i = 0; i < t->partitions; i++)
        out->partitions[i] = (struct k_metadata_res_partition){.partition = i,
                                                               .leader = KAFKA_NODE_ID,
                                                               .leader_epoch = KAFKA_LEADER_EPOCH,
                                                               .replicas = nodes,
                                                               .replicas_n = 1,
                                                               .in_sync = nodes,
                                                               .in_sync_n = 1};
}

static bool may_make(const struct metadata *m, const struct k_metadata_req_topic *t)
{
    return m->q->k->auto_create && m->req->auto_create && t->name.p && kafka_topic_name_ok(t->name);
}

static void describe_asked(struct metadata *m, const struct k_metadata_req_topic *in,
                           struct k_metadata_res_topic *out)
{
    struct log_topic t;
    int16_t error = kafka_find_topic(m->q, !in->name.p, in->name, &in->id, &t);

    if (error == K_NONE) {
        describe(m->q, &t, out);
        return;
    }
    if (in->name.p && !kafka_topic_name_ok(in->name))
        error = K_INVALID_TOPIC;
    else if (may_make(m, in))
        m->to_make++;
    *out = (struct k_metadata_res_topic){
        .error = error, .name = in->name, .id = in->id, .operations = INT32_MIN};
}

static void describe_all(struct metadata *m)
{
    struct log_topic *topics;
    size_t n;

    log_list_topics(m->q->k->log, &m->q->arena, &topics, &n);
    m->res.topics = ARENA_ARRAY(&m->q->arena, struct k_metadata_res_topic, n);
    m->res.topics_n = (int32_t)n;
    for (size_t i = 0; i < n; i++)
        describe(m->q, &topics[i], &m->res.topics[i]);
}

static void answer(struct metadata *m)
{
    struct kafka *k = m->q->k;
    struct k_metadata_res_broker *broker = ARENA_NEW(&m->q->arena, struct k_metadata_res_broker);

    *broker =
        (struct k_metadata_res_broker){.node_id = KAFKA_NODE_ID, .host = str_of(k->host), .port = k->port};
    m->res.brokers = broker;
    m->res.brokers_n = 1;
    m->res.cluster_id = str_of(k->cluster_id);
    m->res.controller = KAFKA_NODE_ID;
    m->res.operations = INT32_MIN;
    kafka_reply(m->q, &m->res);
}

/* A job: the answer says what became of each topic that had to be made. */
static void make_topics(void *arg)
{
    struct metadata *m = arg;
    struct kafka *k = m->q->k;

    for (int32_t i = 0; i < m->res.topics_n; i++) {
        struct log_settings s;
        struct log_topic t;
        struct err e;

        if (m->res.topics[i].error != K_UNKNOWN_TOPIC_OR_PARTITION || !may_make(m, &m->req->topics[i]))
            continue;
        log_settings_default(k->log, &s);
        if (!log_ensure_topic(k->log, m->req->topics[i].name, k->partitions, &s, &e))
            m->res.topics[i].error = kafka_error_of(&e);
        else if (log_find_topic(k->log, m->req->topics[i].name, &m->q->arena, &t))
            describe(m->q, &t, &m->res.topics[i]);
    }
    answer(m);
}

void kafka_metadata(struct kafka_req *q, const void *in)
{
    struct metadata *m = ARENA_NEW(&q->arena, struct metadata);

    m->q = q;
    m->req = in;
    if (all_topics(m)) {
        describe_all(m);
        answer(m);
        return;
    }
    m->res.topics = ARENA_ARRAY(&q->arena, struct k_metadata_res_topic, (size_t)m->req->topics_n);
    m->res.topics_n = m->req->topics_n;
    for (int32_t i = 0; i < m->req->topics_n; i++)
        describe_asked(m, &m->req->topics[i], &m->res.topics[i]);
    if (m->to_make > 0)
        job_run(q->k->net, make_topics, NULL, m);
    else
        answer(m);
}
