/*
 * ConsumerGroupHeartbeat and ConsumerGroupDescribe (KIP-848), and what their coordinator asks for. It lives on the home loop
 * beside the classic one (groups.c), which shares its timer.
 */
#include "base/mem.h"
#include "kafka/access.h"
#include "kafka/config.h"
#include "kafka/consumers.h"
#include "kafka/kafka_int.h"
#include "obs/obs.h"
#include "os/os.h"

/* ---- what the coordinator asks for ---- */

static void answer(void *waiter, const struct k_consumer_beat_res *res)
{
    kafka_reply(waiter, res);
}

static void stored(struct kafka *k, struct str group, uint64_t version, bool ok)
{
    consumers_stored(k->consumers, group, version, ok);
}

static void store(void *arg, struct str group, const struct consumer_change *change, uint64_t version)
{
    struct kafka *k = arg;
    for (size_t i = 0; i < change->count; i++)
        if (change->records[i].kind == CONSUMER_TARGET_EPOCH)
            obs_add(OBS_kafka_rebalances_total, 1);
    offsets_put_consumers_async(k->offsets, group, change, kafka_store_done,
                                kafka_storing(k, group, version, stored));
}

static uint64_t topics_version(void *arg)
{
    struct kafka *k = arg;

    /* Both only grow. Who may see a topic matters as much as that it is there. */
    return log_topics_version(k->log) + (k->acls ? acls_version(k->acls) : 0) + 1;
}

static void topics(void *arg, struct arena *a, struct consumer_topic **out, size_t *count)
{
    struct kafka *k = arg;
    struct log_topic *all;

    log_list_topics(k->log, a, &all, count);
    *out = ARENA_ARRAY(a, struct consumer_topic, *count);
    for (size_t i = 0; i < *count; i++)
        (*out)[i] = (struct consumer_topic){all[i].id, arena_str(a, all[i].name), all[i].partitions};
}

static bool may_see(void *arg, struct str user, struct str host, struct str topic)
{
    struct kafka *k = arg;
    struct acl_question ask = {.user = user.p ? user : STR("ANONYMOUS"),
                               .host = host.n > 0 ? str_from(host.p + 1, host.n - 1) : host,
                               .type = ACL_TOPIC,
                               .name = topic,
                               .operation = ACL_DESCRIBE};

    return !k->users || acls_allow(k->acls, &ask);
}

static void times(void *arg, struct str group, int64_t *session_ms, int32_t *heartbeat_ms)
{
    kafka_config_group_times(arg, group, session_ms, heartbeat_ms);
}

/* ---- life ---- */

void kafka_consumers_start(struct kafka *k)
{
    struct consumers_options o = {.io = {.arg = k,
                                         .now_ms = kafka_now_ms,
                                         .random_id = kafka_random_id,
                                         .answer = answer,
                                         .store = store,
                                         .topics_version = topics_version,
                                         .topics = topics,
                                         .may_see = may_see,
                                         .times = times},
                                  .session_ms = k->consumer_session_ms,
                                  .heartbeat_ms = k->consumer_heartbeat_ms,
                                  .max_members = k->group_max_members};
    struct consumer_record *r;
    struct arena a = {0};
    struct str *names;
    size_t n, count;

    k->consumers = consumers_new(&o);
    offsets_groups(k->offsets, &a, &names, &n);
    for (size_t i = 0; i < n; i++)
        if (offsets_get_consumers(k->offsets, names[i], &a, &r, &count))
            consumers_load(k->consumers, names[i], r, count);
    arena_fini(&a);
}

static bool is_stored(void *arg, struct str group)
{
    struct kafka *k = arg;
    struct consumer_record *r;
    struct arena a = {0};
    size_t n;
    bool is = offsets_get_consumers(k->offsets, group, &a, &r, &n);

    arena_fini(&a);
    return is;
}

void kafka_consumers_tidy(struct kafka *k)
{
    consumers_tidy(k->consumers, is_stored);
}

/* ---- ConsumerGroupHeartbeat ---- */

/* Why the request is not the coordinator's; K_NONE: it is. */
static int16_t not_ours(struct kafka_req *q, const struct k_consumer_beat_req *req, struct str *why)
{
    for (int32_t i = 0; i < req->names_n; i++)
        if (!kafka_may(q, ACL_TOPIC, req->names[i], ACL_DESCRIBE)) {
            *why = STR("A topic that is subscribed to may not be described.");
            return K_TOPIC_AUTHORIZATION_FAILED;
        }
    if (coord_is_known(q->k->coord, req->group)) {
        *why = STR("The group has members of the classic protocol.");
        return K_GROUP_ID_NOT_FOUND;
    }
    return K_NONE;
}

static void beat_home(void *arg)
{
    struct kafka_req *q = arg;
    struct kafka *k = q->k;
    const struct k_consumer_beat_req *req = q->in;
    struct consumers_client client = {q->client_id, str_of(q->client_host), str_of(q->user)};
    struct k_consumer_beat_res res = {0};

    res.error = not_ours(q, req, &res.error_message);
    if (res.error != K_NONE) {
        kafka_reply(q, &res);
        return;
    }
    consumers_beat(k->consumers, &client, q->version, req, q);
    kafka_groups_arm(k);
}

void kafka_consumer_beat(struct kafka_req *q, const void *in)
{
    (void)in;
    kafka_go_home(q, beat_home);
}

/* ---- ConsumerGroupDescribe ---- */

static bool may_see_all(struct kafka_req *q, const struct k_consumer_describe_res_topic *t, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        if (!kafka_may(q, ACL_TOPIC, t[i].name, ACL_DESCRIBE))
            return false;
    return true;
}

/* Members are told only to who may see every topic they read. */
static void hide(struct kafka_req *q, struct k_consumer_describe_res_group *g)
{
    for (int32_t i = 0; i < g->members_n; i++) {
        const struct k_consumer_describe_res_member *m = &g->members[i];
        bool all = may_see_all(q, m->assignment, m->assignment_n) && may_see_all(q, m->target, m->target_n);

        for (int32_t k = 0; all && k < m->names_n; k++)
            all = kafka_may(q, ACL_TOPIC, m->names[k], ACL_DESCRIBE);
        if (all)
            continue;
        *g = (struct k_consumer_describe_res_group){
            .error = K_TOPIC_AUTHORIZATION_FAILED,
            .error_message =
                STR("The group has described topics that the client is not authorized to describe."),
            .group = g->group,
            .state = STR(""),
            .assignor = STR(""),
            .operations = INT32_MIN};
        return;
    }
}

static void describe_home(void *arg)
{
    struct kafka_req *q = arg;
    const struct k_consumer_describe_req *req = q->in;
    struct k_consumer_describe_res res = {.groups_n = req->groups_n};
    struct map told = {0};

    res.groups = ARENA_ARRAY(&q->arena, struct k_consumer_describe_res_group, (size_t)req->groups_n);
    for (int32_t i = 0; i < req->groups_n; i++) {
        struct k_consumer_describe_res_group *g = &res.groups[i];

        if (map_get(&told, req->groups[i])) {
            *g = *(struct k_consumer_describe_res_group *)map_get(&told, req->groups[i]);
            continue;
        }
        (void)map_put(&told, req->groups[i], g);
        if (!consumers_describe(q->k->consumers, req->groups[i], &q->arena, g)) {
            *g = (struct k_consumer_describe_res_group){.error = K_GROUP_ID_NOT_FOUND,
                                                        .error_message =
                                                            STR("There is no consumer group of that name."),
                                                        .group = req->groups[i],
                                                        .state = STR(""),
                                                        .assignor = STR(""),
                                                        .operations = INT32_MIN};
            continue;
        }
        if (req->operations)
            g->operations = kafka_operations(q, ACL_GROUP, req->groups[i]);
        hide(q, g);
    }
    map_fini(&told);
    kafka_reply(q, &res);
}

void kafka_consumer_describe(struct kafka_req *q, const void *in)
{
    (void)in;
    kafka_go_home(q, describe_home);
}

/* ---- either kind of group ---- */

int16_t kafka_may_commit(struct kafka *k, const struct coord_commit *m, bool knows_epochs)
{
    if (consumers_is_known(k->consumers, m->group))
        return consumers_may_commit(k->consumers, m, knows_epochs);
    return coord_may_commit(k->coord, m);
}

bool kafka_group_reads(struct kafka *k, struct str group, struct str topic, struct coord_reads *out)
{
    return coord_reads(k->coord, group, topic, out) || consumers_reads(k->consumers, group, topic, out);
}
