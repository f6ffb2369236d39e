/*
 * CreateTopics, DeleteTopics, CreatePartitions. They are jobs: they wait for the disk.
 */
#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "group/offsets.h"
#include "kafka/config.h"
#include "kafka/kafka_int.h"

enum { PARTITIONS_MAX = 10000 };

void kafka_name(struct kafka_names *n, struct str name)
{
    static char once, twice;

    (void)map_put(&n->seen, name, map_get(&n->seen, name) ? &twice : &once);
    n->twice = &twice;
}

bool kafka_named_twice(const struct kafka_names *n, struct str name)
{
    return map_get(&n->seen, name) == n->twice;
}

void kafka_names_fini(struct kafka_names *n)
{
    map_fini(&n->seen);
}

bool kafka_topic_name_ok(struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
              c == '_' || c == '-'))
            return false;
    }
    return name.n >= 1 && name.n <= LIMIT_NAME && !str_is(name, ".") && !str_is(name, "..");
}

/* ---- CreateTopics ---- */

/* An assignment can only say what is so: every partition on this broker, numbered without gaps. */
static bool assignments_ok(const struct k_create_topics_req_topic *t)
{
    for (int32_t i = 0; i < t->assignments_n; i++) {
        const struct k_create_topics_req_assignment *a = &t->assignments[i];

        if (a->brokers_n != 1 || a->brokers[0] != KAFKA_NODE_ID || a->partition < 0 ||
            a->partition >= t->assignments_n)
            return false;
        for (int32_t j = 0; j < i; j++)
            if (t->assignments[j].partition == a->partition)
                return false;
    }
    return t->partitions == -1 && t->replication == -1;
}

/* What is asked for, or the code and the text of why it cannot be. */
static int16_t plan_topic(struct kafka *k, const struct k_create_topics_req_topic *in, int32_t *partitions,
                          struct log_settings *s, struct err *e)
{
    struct log_settings whole;

    *partitions = in->assignments_n > 0  ? in->assignments_n
                  : in->partitions == -1 ? k->partitions
                                         : in->partitions;
    if (!kafka_topic_name_ok(in->name)) {
        err_set(e, ERR_INVALID, "a topic's name is 1 to %d of a-z A-Z 0-9 . _ -, and not . or ..",
                LIMIT_NAME);
        return K_INVALID_TOPIC;
    }
    if (in->assignments_n > 0 && (in->assignments_n > PARTITIONS_MAX || !assignments_ok(in))) {
        err_set(
            e, ERR_INVALID,
            "replicas can only be assigned to broker %d, for partitions 0, 1, ..., without numbers beside",
            KAFKA_NODE_ID);
        return K_INVALID_REPLICA_ASSIGNMENT;
    }
    if (*partitions < 1 || *partitions > PARTITIONS_MAX) {
        err_set(e, ERR_INVALID, "a topic has 1 to %d partitions, not %d", PARTITIONS_MAX, *partitions);
        return K_INVALID_PARTITIONS;
    }
    if (in->replication != -1 && (in->replication < 1 || in->replication > k->replication_max)) {
        err_set(e, ERR_INVALID,
                "there is one broker, so the replication factor is 1, not %d (kafka.replication_max: %d)",
                in->replication, k->replication_max);
        return K_INVALID_REPLICATION_FACTOR;
    }
    log_settings_default(k->log, s);
    for (int32_t i = 0; i < in->configs_n; i++)
        if (!kafka_config_set(s, in->configs[i].name, in->configs[i].value, e))
            return K_INVALID_CONFIG;
    whole = *s;
    log_settings_follow(k->log, &whole);
    return log_settings_check(&whole, e) ? K_NONE : K_INVALID_CONFIG;
}

static int16_t make_topic(struct kafka_req *q, const struct k_create_topics_req_topic *in, int32_t partitions,
                          const struct log_settings *s, struct err *e)
{
    const struct k_create_topics_req *req = q->in;
    struct log_topic t;

    if (log_find_topic(q->k->log, in->name, &q->arena, &t)) {
        err_set(e, ERR_CONFLICT, "topic %.*s is there already", STR_ARG(in->name));
        return K_TOPIC_ALREADY_EXISTS;
    }
    if (req->validate_only || log_create_topic(q->k->log, in->name, partitions, s, e))
        return K_NONE;
    return kafka_error_of(e);
}

static void describe_made(struct kafka_req *q, const struct log_settings *s,
                          struct k_create_topics_res_topic *out)
{
    struct config_entry *c;
    struct log_topic t;
    size_t n;

    kafka_config_of_topic(q->k, s, &q->arena, &c, &n);
    out->configs = ARENA_ARRAY(&q->arena, struct k_create_topics_res_config, n);
    out->configs_n = (int32_t)n;
    for (size_t i = 0; i < n; i++)
        out->configs[i] = (struct k_create_topics_res_config){.name = str_of(c[i].name),
                                                              .value = c[i].value,
                                                              .read_only = c[i].read_only,
                                                              .source = c[i].source};
    if (log_find_topic(q->k->log, out->name, &q->arena, &t))
        out->id = t.id;
}

static void create_one(struct kafka_req *q, const struct k_create_topics_req_topic *in, bool twice,
                       struct k_create_topics_res_topic *out)
{
    struct log_settings s;
    int32_t partitions;
    struct err e = {0};

    *out = (struct k_create_topics_res_topic){
        .name = in->name, .partitions = -1, .replication = -1, .configs_n = -1};
    if (twice) {
        out->error = K_INVALID_REQUEST;
        err_set(&e, ERR_INVALID, "the request names this topic twice");
    }
    if (out->error == K_NONE)
        out->error = plan_topic(q->k, in, &partitions, &s, &e);
    if (out->error == K_NONE)
        out->error = make_topic(q, in, partitions, &s, &e);
    if (out->error != K_NONE) {
        out->error_message = arena_str(&q->arena, str_of(e.msg));
        return;
    }
    out->partitions = partitions;
    out->replication = 1;
    describe_made(q, &s, out);
}

static void create_topics(void *arg)
{
    struct kafka_names names = {0};
    struct kafka_req *q = arg;
    const struct k_create_topics_req *req = q->in;
    struct k_create_topics_res res = {.topics_n = req->topics_n};

    res.topics = ARENA_ARRAY(&q->arena, struct k_create_topics_res_topic, (size_t)req->topics_n);
    for (int32_t i = 0; i < req->topics_n; i++)
        kafka_name(&names, req->topics[i].name);
    for (int32_t i = 0; i < req->topics_n; i++)
        create_one(q, &req->topics[i], kafka_named_twice(&names, req->topics[i].name), &res.topics[i]);
    kafka_names_fini(&names);
    kafka_reply(q, &res);
}

void kafka_create_topics(struct kafka_req *q, const void *in)
{
    (void)in;
    job_run(q->k->net, create_topics, NULL, q);
}

/* ---- DeleteTopics ---- */

static bool is_held(const struct kafka *k, struct str topic)
{
    for (size_t i = 0; i < k->held_count; i++)
        if (str_is(topic, k->held[i]))
            return true;
    return false;
}

static void delete_one(struct kafka_req *q, struct str name, const struct log_uuid *id,
                       struct k_delete_topics_res_topic *out)
{
    struct log_topic t;
    struct err e = {0};

    *out = (struct k_delete_topics_res_topic){.name = name, .id = *id};
    out->error = kafka_find_topic(q, !name.p, name, id, &t);
    if (out->error != K_NONE) {
        out->error_message = STR("there is no such topic");
        return;
    }
    out->name = t.name;
    out->id = t.id;
    if (kafka_is_internal(t.name)) {
        out->error = K_INVALID_REQUEST;
        out->error_message = STR("what the coordinators know is in it");
    } else if (is_held(q->k, t.name)) {
        out->error = K_TOPIC_DELETION_DISABLED;
        out->error_message = STR("a part of tarn that runs keeps in it what it knows");
    } else if (!log_delete_topic(q->k->log, t.name, &e) || !offsets_delete_topic(q->k->offsets, t.name, &e)) {
        out->error = kafka_error_of(&e);
        out->error_message = arena_str(&q->arena, str_of(e.msg));
    }
}

static void delete_topics(void *arg)
{
    static const struct log_uuid none = {{0}};
    struct kafka_req *q = arg;
    const struct k_delete_topics_req *req = q->in;
    bool by_name = q->version < 6;
    struct k_delete_topics_res res = {.topics_n = by_name ? req->names_n : req->topics_n};

    res.topics = ARENA_ARRAY(&q->arena, struct k_delete_topics_res_topic, (size_t)res.topics_n);
    for (int32_t i = 0; i < res.topics_n; i++)
        delete_one(q, by_name ? req->names[i] : req->topics[i].name, by_name ? &none : &req->topics[i].id,
                   &res.topics[i]);
    kafka_reply(q, &res);
}

void kafka_delete_topics(struct kafka_req *q, const void *in)
{
    (void)in;
    job_run(q->k->net, delete_topics, NULL, q);
}

/* ---- CreatePartitions ---- */

/* An assignment can only say what is so. */
static bool added_here(const struct k_create_partitions_req_topic *t)
{
    for (int32_t i = 0; i < t->assignments_n; i++)
        if (t->assignments[i].brokers_n != 1 || t->assignments[i].brokers[0] != KAFKA_NODE_ID)
            return false;
    return true;
}

static int16_t plan_partitions(struct kafka_req *q, const struct k_create_partitions_req_topic *in,
                               bool twice, struct err *e)
{
    struct log_topic t;

    if (twice) {
        err_set(e, ERR_INVALID, "the request names this topic twice");
        return K_INVALID_REQUEST;
    }
    if (!log_find_topic(q->k->log, in->name, &q->arena, &t)) {
        err_set(e, ERR_NOT_FOUND, "there is no topic %.*s", STR_ARG(in->name));
        return K_UNKNOWN_TOPIC_OR_PARTITION;
    }
    if (kafka_is_internal(in->name)) {
        err_set(e, ERR_INVALID, "groups and transactions are found by the number of partitions of %.*s",
                STR_ARG(in->name));
        return K_INVALID_REQUEST;
    }
    if (in->count <= t.partitions || in->count > PARTITIONS_MAX) {
        err_set(e, ERR_INVALID, "topic %.*s has %d partitions; it can have more, up to %d, but not %d",
                STR_ARG(in->name), t.partitions, PARTITIONS_MAX, in->count);
        return K_INVALID_PARTITIONS;
    }
    if (in->assignments_n >= 0 && (in->assignments_n != in->count - t.partitions || !added_here(in))) {
        err_set(e, ERR_INVALID,
                "there must be one assignment for each of the %d added partitions, to broker %d",
                in->count - t.partitions, KAFKA_NODE_ID);
        return K_INVALID_REPLICA_ASSIGNMENT;
    }
    return K_NONE;
}

static void create_partitions(void *arg)
{
    struct kafka_req *q = arg;
    const struct k_create_partitions_req *req = q->in;
    struct k_create_partitions_res res = {.topics_n = req->topics_n};
    struct kafka_names names = {0};

    res.topics = ARENA_ARRAY(&q->arena, struct k_create_partitions_res_topic, (size_t)req->topics_n);
    for (int32_t i = 0; i < req->topics_n; i++)
        kafka_name(&names, req->topics[i].name);
    for (int32_t i = 0; i < req->topics_n; i++) {
        const struct k_create_partitions_req_topic *in = &req->topics[i];
        struct k_create_partitions_res_topic *out = &res.topics[i];
        struct err e = {0};

        out->name = in->name;
        out->error = plan_partitions(q, in, kafka_named_twice(&names, in->name), &e);
        if (out->error == K_NONE && !req->validate_only &&
            !log_add_partitions(q->k->log, in->name, in->count, &e))
            out->error = e.kind == ERR_INVALID ? K_INVALID_PARTITIONS : kafka_error_of(&e);
        if (out->error != K_NONE)
            out->error_message = arena_str(&q->arena, str_of(e.msg));
    }
    kafka_names_fini(&names);
    kafka_reply(q, &res);
}

void kafka_create_partitions(struct kafka_req *q, const void *in)
{
    (void)in;
    job_run(q->k->net, create_partitions, NULL, q);
}
