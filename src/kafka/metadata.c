/*
 * Metadata and DescribeTopicPartitions: which topics there are and who serves them. Asking for one may make it, as a job: that waits for the disk.
 */
#include "base/mem.h"
#include "kafka/access.h"
#include "kafka/kafka_int.h"

#include <stdlib.h>

static const int32_t self[] = {KAFKA_NODE_ID};

struct metadata {
    struct kafka_req *q;
    const struct k_metadata_req *req;
    struct k_metadata_res res;
    int32_t to_make; // topics that are asked for, absent, and may be made
    struct map told; // id -> its answer
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

/* Who names a topic many times gets the same many times: an answer takes no more memory than there is to tell. */
static void describe(struct metadata *m, const struct log_topic *t, struct k_metadata_res_topic *out)
{
    struct str id = str_from(&t->id, sizeof t->id);
    const struct k_metadata_req *req = m->req;
    struct kafka_req *q = m->q;
    int32_t *nodes;

    if (map_get(&m->told, id)) {
        *out = *(struct k_metadata_res_topic *)map_get(&m->told, id);
        return;
    }
    (void)map_put(&m->told, id, out);
    nodes = self_list(&q->arena);
    *out = (struct k_metadata_res_topic){.name = t->name,
                                         .id = t->id,
                                         .internal = kafka_is_internal(t->name),
                                         .partitions_n = t->partitions,
                                         .operations = INT32_MIN};
    if (req->topic_operations)
        out->operations = kafka_operations(q, ACL_TOPIC, t->name);
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
    return m->q->k->auto_create && m->req->auto_create && t->name.p && kafka_topic_name_ok(t->name) &&
           (kafka_may(m->q, ACL_TOPIC, t->name, ACL_CREATE) ||
            kafka_may(m->q, ACL_CLUSTER, STR(ACL_CLUSTER_NAME), ACL_CREATE));
}

static void describe_asked(struct metadata *m, const struct k_metadata_req_topic *in,
                           struct k_metadata_res_topic *out)
{
    struct log_topic t;
    int16_t error = kafka_find_topic(m->q, !in->name.p, in->name, &in->id, &t);

    if (error == K_NONE) {
        describe(m, &t, out);
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
        describe(m, &topics[i], &m->res.topics[i]);
}

static void answer(struct metadata *m)
{
    struct kafka *k = m->q->k;
    struct k_metadata_res_broker *broker = ARENA_NEW(&m->q->arena, struct k_metadata_res_broker);

    *broker = (struct k_metadata_res_broker){
        .node_id = KAFKA_NODE_ID, .host = str_of(m->q->door->host), .port = m->q->door->port};
    m->res.brokers = broker;
    m->res.brokers_n = 1;
    m->res.cluster_id = str_of(k->cluster_id);
    m->res.controller = KAFKA_NODE_ID;
    m->res.operations =
        m->req->cluster_operations ? kafka_operations(m->q, ACL_CLUSTER, STR(ACL_CLUSTER_NAME)) : INT32_MIN;
    map_fini(&m->told);
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
            describe(m, &t, &m->res.topics[i]);
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

/* ---- DescribeTopicPartitions (KIP-966) ---- */

enum { PARTITIONS_MOST = 2000 }; // of one answer (Kafka: max.request.partition.size.limit)

struct page {
    struct kafka_req *q;
    struct k_topic_partitions_res res;
    int32_t left; // partitions that the answer may still have
};

static void next_page(struct page *p, struct str topic, int32_t partition)
{
    struct k_topic_partitions_cursor *c = ARENA_NEW(&p->q->arena, struct k_topic_partitions_cursor);

    *c = (struct k_topic_partitions_cursor){topic, partition};
    p->res.next = c;
    p->res.next_n = 1;
}

/* Partitions of a topic, from one on, as many as the answer has room for. */
static void page_topic(struct page *p, const struct log_topic *t, int32_t from)
{
    struct k_topic_partitions_res_topic *to = &p->res.topics[p->res.topics_n++];
    int32_t *nodes = self_list(&p->q->arena), n = t->partitions > from ? t->partitions - from : 0;

    n = n < p->left ? n : p->left;
    *to = (struct k_topic_partitions_res_topic){.name = t->name,
                                                .id = t->id,
                                                .internal = kafka_is_internal(t->name),
                                                .partitions_n = n,
                                                .operations = kafka_operations(p->q, ACL_TOPIC, t->name)};
    to->partitions = ARENA_ARRAY(&p->q->arena, struct k_topic_partitions_res_partition, (size_t)n);
    for (int32_t i = 0; i < n; i++)
        to->partitions[i] = (struct k_topic_partitions_res_partition){.partition = from + i,
                                                                      .leader = KAFKA_NODE_ID,
                                                                      .leader_epoch = KAFKA_LEADER_EPOCH,
                                                                      .replicas = nodes,
                                                                      .replicas_n = 1,
                                                                      .in_sync = nodes,
                                                                      .in_sync_n = 1};
    p->left -= n;
    if (from + n < t->partitions)
        next_page(p, t->name, from + n);
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* Names in order, each once: those asked for, or all there are. */
static size_t page_names(struct kafka_req *q, const struct k_topic_partitions_req *req, struct str **out)
{
    struct log_topic *topics;
    size_t n = (size_t)req->topics_n, kept = 0;

    if (req->topics_n == 0) {
        log_list_topics(q->k->log, &q->arena, &topics, &n);
        *out = ARENA_ARRAY(&q->arena, struct str, n);
        for (size_t i = 0; i < n; i++)
            (*out)[i] = topics[i].name;
        return n;
    }
    *out = ARENA_ARRAY(&q->arena, struct str, n);
    for (size_t i = 0; i < n; i++)
        (*out)[i] = req->topics[i].name;
    qsort(*out, n, sizeof **out, by_name);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || !str_eq((*out)[kept - 1], (*out)[i]))
            (*out)[kept++] = (*out)[i];
    return kept;
}

void kafka_topic_partitions(struct kafka_req *q, const void *in)
{
    const struct k_topic_partitions_req *req = in;
    const struct k_topic_partitions_cursor *cursor = req->cursor_n > 0 ? req->cursor : NULL;
    struct page p = {.q = q, .res.next_n = -1};
    struct str *names;
    size_t n = page_names(q, req, &names);

    p.left = req->limit < 1 ? 1 : req->limit < PARTITIONS_MOST ? req->limit : PARTITIONS_MOST;
    p.res.topics = ARENA_ARRAY(&q->arena, struct k_topic_partitions_res_topic, n);
    for (size_t i = 0; i < n && p.res.next_n < 0; i++) {
        bool here = cursor && str_eq(names[i], cursor->topic);
        struct log_topic t;
        int16_t error;

        if (cursor && str_cmp(names[i], cursor->topic) < 0)
            continue;
        error =
            kafka_topic_name_ok(names[i]) ? kafka_find_topic(q, false, names[i], NULL, &t) : K_INVALID_TOPIC;
        if (error != K_NONE)
            p.res.topics[p.res.topics_n++] = (struct k_topic_partitions_res_topic){
                .error = error, .name = names[i], .operations = INT32_MIN};
        else if (p.left == 0)
            next_page(&p, names[i], 0);
        else
            page_topic(&p, &t, here && cursor->partition > 0 ? cursor->partition : 0);
    }
    kafka_reply(q, &p.res);
}
