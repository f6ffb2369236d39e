/*
 * OffsetCommit and OffsetFetch: positions of groups, kept in group/offsets.h. A commit is answered when it is on disk.
 */
#include "base/mem.h"
#include "group/offsets.h"
#include "kafka/consumers.h"
#include "kafka/group.h"
#include "kafka/kafka_int.h"
#include "os/os.h"

/* Characters as Java counts them (UTF-16), which Kafka's limit is in. */
static size_t java_length(struct str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        n += (c & 0xc0) != 0x80;
        n += c >= 0xf0;
    }
    return n;
}

static int16_t check(struct kafka_req *q, const struct offset_at *at)
{
    struct log_range range;

    if (!log_range(q->k->log, at->topic, at->partition, &range))
        return K_UNKNOWN_TOPIC_OR_PARTITION;
    return java_length(at->metadata) > OFFSETS_METADATA_MAX ? K_OFFSET_METADATA_TOO_LARGE : K_NONE;
}

struct kafka_commit *kafka_commit_new(struct kafka_req *q, int32_t topics, size_t partitions)
{
    struct kafka_commit *c = ARENA_NEW(&q->arena, struct kafka_commit);

    c->q = q;
    c->topics = ARENA_ARRAY(&q->arena, struct k_commit_res_topic, (size_t)topics);
    c->at = ARENA_ARRAY(&q->arena, struct offset_at, partitions);
    c->told = ARENA_ARRAY(&q->arena, struct k_commit_res_partition *, partitions);
    return c;
}

void kafka_commit_topic(struct kafka_commit *c, struct str name, int32_t partitions)
{
    struct k_commit_res_topic *t = &c->topics[c->topics_n++];

    t->name = name;
    t->partitions = ARENA_ARRAY(&c->q->arena, struct k_commit_res_partition, (size_t)partitions);
}

void kafka_commit_add(struct kafka_commit *c, const struct offset_at *at, int16_t error)
{
    struct k_commit_res_topic *t = &c->topics[c->topics_n - 1];
    struct k_commit_res_partition *p = &t->partitions[t->partitions_n++];

    p->partition = at->partition;
    p->error = error != K_NONE ? error : check(c->q, at);
    if (p->error != K_NONE)
        return;
    c->told[c->count] = p;
    c->at[c->count] = *at;
    if (!at->metadata.p)
        c->at[c->count].metadata = STR("");
    c->count++;
}

/* On the committer's thread. */
void kafka_committed(void *commit, bool ok, const struct err *e)
{
    struct kafka_commit *c = commit;

    for (size_t i = 0; !ok && i < c->count; i++)
        c->told[i]->error = e->kind == ERR_LIMIT ? K_OFFSET_METADATA_TOO_LARGE : K_COORDINATOR_NOT_AVAILABLE;
    kafka_reply(c->q, c->res);
}

static struct kafka_commit *plan(struct kafka_req *q, const struct k_offset_commit_req *req, int16_t error)
{
    struct k_offset_commit_res *res = ARENA_NEW(&q->arena, struct k_offset_commit_res);
    int64_t wall_ms = q->k->os->wall_us(q->k->os) / 1000;
    int64_t keep_ms = req->retention_ms; // clients up to version 4 may ask for any
    int64_t expire_ms = keep_ms < 0 ? 0 : keep_ms > INT64_MAX - wall_ms ? INT64_MAX : wall_ms + keep_ms;
    struct kafka_commit *c;
    size_t n = 0;

    for (int32_t i = 0; i < req->topics_n; i++)
        n += (size_t)req->topics[i].partitions_n;
    c = kafka_commit_new(q, req->topics_n, n);
    for (int32_t i = 0; i < req->topics_n; i++) {
        const struct k_offset_commit_req_topic *t = &req->topics[i];

        kafka_commit_topic(c, t->name, t->partitions_n);
        for (int32_t j = 0; j < t->partitions_n; j++) {
            const struct k_offset_commit_req_partition *p = &t->partitions[j];
            struct offset_at at = {.topic = t->name,
                                   .partition = p->partition,
                                   .leader_epoch = p->leader_epoch,
                                   .offset = p->offset,
                                   .metadata = p->metadata,
                                   .expire_ms = expire_ms};

            kafka_commit_add(c, &at, error);
        }
    }
    *res = (struct k_offset_commit_res){.topics = c->topics, .topics_n = c->topics_n};
    c->res = res;
    return c;
}

static void commit_home(void *arg)
{
    struct kafka_req *q = arg;
    const struct k_offset_commit_req *req = q->in;
    struct coord_commit who = {.group = req->group,
                               .member_id = req->member_id,
                               .instance_id = req->instance_id,
                               .generation = req->generation,
                               .group_known = kafka_group_is_known(q->k, req->group),
                               .no_group = q->version >= 9 ? K_GROUP_ID_NOT_FOUND : K_ILLEGAL_GENERATION};
    struct kafka_commit *c = plan(q, req, kafka_may_commit(q->k, &who, q->version >= 9));

    if (c->count > 0)
        offsets_commit_async(q->k->offsets, req->group, c->at, c->count, kafka_committed, c);
    else
        kafka_reply(q, c->res);
}

void kafka_offset_commit(struct kafka_req *q, const void *in)
{
    (void)in;
    kafka_go_home(q, commit_home);
}

/* ---- OffsetFetch ---- */

struct positions {
    struct k_offset_fetch_res_topic *topics;
    int32_t n;
};

static struct k_offset_fetch_res_partition position(const struct offset_at *at, int32_t partition)
{
    if (!at)
        return (struct k_offset_fetch_res_partition){
            .partition = partition, .offset = -1, .leader_epoch = -1, .metadata = STR("")};
    return (struct k_offset_fetch_res_partition){.partition = partition,
                                                 .offset = at->offset,
                                                 .leader_epoch = at->leader_epoch,
                                                 .metadata = at->metadata};
}

/* With require_stable, a position that an open transaction is about to change is not told (KIP-447). */
static void check_stable(struct kafka_req *q, struct str group, struct str topic,
                         struct k_offset_fetch_res_partition *p)
{
    const struct k_offset_fetch_req *req = q->in;

    if (!req->require_stable || !offsets_is_pending(q->k->offsets, group, topic, p->partition))
        return;
    *p = position(NULL, p->partition);
    p->error = K_UNSTABLE_OFFSET_COMMIT;
}

static struct positions positions_asked(struct kafka_req *q, struct str group,
                                        const struct k_offset_fetch_req_topic *in, int32_t n)
{
    struct positions p = {ARENA_ARRAY(&q->arena, struct k_offset_fetch_res_topic, (size_t)n), n};

    for (int32_t i = 0; i < n; i++) {
        struct k_offset_fetch_res_topic *t = &p.topics[i];

        t->name = in[i].name;
        t->partitions_n = in[i].partitions_n;
        t->partitions = ARENA_ARRAY(&q->arena, struct k_offset_fetch_res_partition, (size_t)t->partitions_n);
        for (int32_t j = 0; j < t->partitions_n; j++) {
            struct offset_at at;
            bool found = offsets_get(q->k->offsets, group, t->name, in[i].partitions[j], &q->arena, &at);

            t->partitions[j] = position(found ? &at : NULL, in[i].partitions[j]);
            check_stable(q, group, t->name, &t->partitions[j]);
        }
    }
    return p;
}

static struct positions positions_all(struct kafka_req *q, struct str group)
{
    struct k_offset_fetch_res_partition *all;
    struct positions p = {NULL, 0};
    struct offset_at *at;
    size_t n;

    offsets_list(q->k->offsets, group, &q->arena, &at, &n);
    all = ARENA_ARRAY(&q->arena, struct k_offset_fetch_res_partition, n);
    p.topics = ARENA_ARRAY(&q->arena, struct k_offset_fetch_res_topic, n);
    for (size_t i = 0; i < n; i++) {
        struct k_offset_fetch_res_topic *t = p.n > 0 ? &p.topics[p.n - 1] : NULL;

        if (!t || !str_eq(t->name, at[i].topic)) {
            t = &p.topics[p.n++];
            t->name = at[i].topic;
            t->partitions = &all[i];
        }
        t->partitions[t->partitions_n] = position(&at[i], at[i].partition);
        check_stable(q, group, t->name, &t->partitions[t->partitions_n++]);
    }
    return p;
}

static struct positions positions_of(struct kafka_req *q, struct str group,
                                     const struct k_offset_fetch_req_topic *in, int32_t n)
{
    return n < 0 ? positions_all(q, group) : positions_asked(q, group, in, n);
}

/* Who says which member it is must be that one, at its epoch (KIP-848); only the coordinator's loop knows. */
static bool says_who(const struct k_offset_fetch_req *req)
{
    for (int32_t i = 0; i < req->groups_n; i++)
        if (req->groups[i].member_id.p || req->groups[i].member_epoch >= 0)
            return true;
    return false;
}

static void fetch(void *arg)
{
    struct kafka_req *q = arg;
    const struct k_offset_fetch_req *req = q->in;
    struct k_offset_fetch_res res = {.groups_n = req->groups_n};
    bool home = says_who(req);
    struct map told = {0}; // groups whose positions are told whole
    struct positions p;

    if (q->version < 8) {
        p = positions_of(q, req->group, req->topics, req->topics_n);
        res.topics = p.topics;
        res.topics_n = p.n;
    }
    res.groups = ARENA_ARRAY(&q->arena, struct k_offset_fetch_res_group, (size_t)req->groups_n);
    for (int32_t i = 0; i < req->groups_n; i++) {
        const struct k_offset_fetch_req_group *g = &req->groups[i];
        int16_t error = home ? consumers_may_fetch(q->k->consumers, g->group, g->member_id, g->member_epoch)
                             : (int16_t)K_NONE;

        if (error != K_NONE) {
            res.groups[i] = (struct k_offset_fetch_res_group){.group = g->group, .error = error};
            continue;
        }
        if (g->topics_n < 0 && map_get(&told, g->group)) {
            res.groups[i] = *(struct k_offset_fetch_res_group *)map_get(&told, g->group);
            continue;
        }
        p = positions_of(q, g->group, g->topics, g->topics_n);
        res.groups[i] =
            (struct k_offset_fetch_res_group){.group = g->group, .topics = p.topics, .topics_n = p.n};
        if (g->topics_n < 0)
            (void)map_put(&told, g->group, &res.groups[i]);
    }
    map_fini(&told);
    kafka_reply(q, &res);
}

void kafka_offset_fetch(struct kafka_req *q, const void *in)
{
    if (says_who(in))
        kafka_go_home(q, fetch);
    else
        fetch(q);
}
