/*
 * Consumers of this process in groups (group/member.h): the same requests that come over the wire, made here and answered without one. Who
 * makes them has asked kafka_allows() for the client he makes them for.
 */
#include "base/mem.h"
#include "group/member.h"
#include "kafka/kafka_int.h"

#include <assert.h>

enum {
    OFFSET_COMMIT_KEY = 8,
    JOIN_GROUP_KEY = 11,
    HEARTBEAT_KEY = 12,
    LEAVE_GROUP_KEY = 13,
    SYNC_GROUP_KEY = 14
};

/* What was asked for; and the answer, in the request's arena. */
struct asked {
    union {
        group_joined_fn *joined;
        group_synced_fn *synced;
        group_answer_fn *answer;
    };
    void *arg;
    int16_t error;
    struct group_joined join;
    struct str assignment;
    void (*tell)(const struct asked *asked);
};

/* The coordinator answers in the midst of its work and must not be asked again there: so whoever asked is told later. */
static void tell(void *arg)
{
    struct kafka_req *q = arg;
    const struct asked *asked = q->owner;

    asked->tell(asked);
    kafka_req_free(q);
}

static void tell_later(struct kafka_req *q)
{
    loop_post(q->loop, tell, q);
}

static void tell_answer(const struct asked *asked)
{
    asked->answer(asked->arg, asked->error);
}

static struct kafka_req *make(struct kafka *k, int16_t key, const struct group_who *w, void *arg)
{
    struct kafka_req *q = MEM_NEW(struct kafka_req);
    struct asked *asked = ARENA_NEW(&q->arena, struct asked);

    assert(loop_current() == k->home);
    kafka_busy(k, 1);
    asked->arg = arg;
    q->k = k;
    q->loop = k->home;
    q->api = kafka_api(key);
    q->version = q->api->last;
    q->client_id = arena_str(&q->arena, w->client_id);
    q->client_host = arena_fmt(&q->arena, "/%.*s", STR_ARG(w->client_host));
    q->owner = asked;
    return q;
}

static void run(struct kafka_req *q, void (*inside)(struct kafka_req *q, const void *res), void *in)
{
    q->inside = inside;
    q->in = in;
    q->api->handler(q, in);
}

/* ---- join and sync ---- */

static void tell_joined(const struct asked *asked)
{
    asked->joined(asked->arg, &asked->join);
}

static void joined(struct kafka_req *q, const void *answer)
{
    const struct k_join_group_res *res = answer;
    struct asked *asked = q->owner;
    struct group_joined *out = &asked->join;

    *out = (struct group_joined){.error = res->error,
                                 .generation = res->generation,
                                 .assignor = arena_str(&q->arena, res->protocol),
                                 .leader = arena_str(&q->arena, res->leader),
                                 .member_id = arena_str(&q->arena, res->member_id)};
    out->peers = ARENA_ARRAY(&q->arena, struct group_peer, (size_t)res->members_n);
    for (int32_t i = 0; i < res->members_n; i++)
        out->peers[out->peer_count++] = (struct group_peer){arena_str(&q->arena, res->members[i].id),
                                                            arena_str(&q->arena, res->members[i].metadata)};
    asked->tell = tell_joined;
    tell_later(q);
}

static void join(void *desk, const struct group_join *j, group_joined_fn *done, void *arg)
{
    struct kafka_req *q = make(desk, JOIN_GROUP_KEY, &j->who, arg);
    struct k_join_group_req *in = ARENA_NEW(&q->arena, struct k_join_group_req);
    struct str subscription = arena_str(&q->arena, j->subscription);

    ((struct asked *)q->owner)->joined = done;
    *in = (struct k_join_group_req){.group = arena_str(&q->arena, j->who.group),
                                    .session_timeout_ms = j->session_ms,
                                    .rebalance_timeout_ms = j->rebalance_ms,
                                    .member_id = arena_str(&q->arena, j->who.member_id),
                                    .protocol_type = STR("consumer"),
                                    .protocols_n = (int32_t)j->assignor_count};
    in->protocols = ARENA_ARRAY(&q->arena, struct k_join_group_req_protocol, j->assignor_count);
    for (size_t i = 0; i < j->assignor_count; i++)
        in->protocols[i] = (struct k_join_group_req_protocol){
            .name = arena_str(&q->arena, str_of(j->assignors[i])), .metadata = subscription};
    run(q, joined, in);
}

static void tell_synced(const struct asked *asked)
{
    asked->synced(asked->arg, asked->error, asked->assignment);
}

static void synced(struct kafka_req *q, const void *answer)
{
    const struct k_sync_group_res *res = answer;
    struct asked *asked = q->owner;

    asked->error = res->error;
    asked->assignment = arena_str(&q->arena, res->assignment);
    asked->tell = tell_synced;
    tell_later(q);
}

static void sync_group(void *desk, const struct group_who *w, const struct group_peer *given, size_t count,
                       group_synced_fn *done, void *arg)
{
    struct kafka_req *q = make(desk, SYNC_GROUP_KEY, w, arg);
    struct k_sync_group_req *in = ARENA_NEW(&q->arena, struct k_sync_group_req);

    ((struct asked *)q->owner)->synced = done;
    *in = (struct k_sync_group_req){.group = arena_str(&q->arena, w->group),
                                    .generation = w->generation,
                                    .member_id = arena_str(&q->arena, w->member_id),
                                    .assignments_n = (int32_t)count};
    in->assignments = ARENA_ARRAY(&q->arena, struct k_sync_group_req_assignment, count);
    for (size_t i = 0; i < count; i++)
        in->assignments[i] =
            (struct k_sync_group_req_assignment){.member_id = arena_str(&q->arena, given[i].id),
                                                 .assignment = arena_str(&q->arena, given[i].bytes)};
    run(q, synced, in);
}

/* ---- heartbeat and leave ---- */

static void answered(struct kafka_req *q, int16_t error)
{
    struct asked *asked = q->owner;

    asked->error = error;
    asked->tell = tell_answer;
    tell_later(q);
}

static void beaten(struct kafka_req *q, const void *answer)
{
    answered(q, ((const struct k_heartbeat_res *)answer)->error);
}

static void heartbeat(void *desk, const struct group_who *w, group_answer_fn *done, void *arg)
{
    struct kafka_req *q = make(desk, HEARTBEAT_KEY, w, arg);
    struct k_heartbeat_req *in = ARENA_NEW(&q->arena, struct k_heartbeat_req);

    ((struct asked *)q->owner)->answer = done;
    *in = (struct k_heartbeat_req){.group = arena_str(&q->arena, w->group),
                                   .generation = w->generation,
                                   .member_id = arena_str(&q->arena, w->member_id)};
    run(q, beaten, in);
}

static void left(struct kafka_req *q, const void *answer)
{
    answered(q, ((const struct k_leave_group_res *)answer)->error);
}

static void leave(void *desk, const struct group_who *w, group_answer_fn *done, void *arg)
{
    struct kafka_req *q = make(desk, LEAVE_GROUP_KEY, w, arg);
    struct k_leave_group_req *in = ARENA_NEW(&q->arena, struct k_leave_group_req);

    ((struct asked *)q->owner)->answer = done;
    in->group = arena_str(&q->arena, w->group);
    in->members = ARENA_NEW(&q->arena, struct k_leave_group_req_member);
    in->members[0].id = arena_str(&q->arena, w->member_id);
    in->members_n = 1;
    run(q, left, in);
}

/* ---- commit ---- */

/* Perhaps on the committer's thread. */
static void committed(struct kafka_req *q, const void *answer)
{
    const struct k_offset_commit_res *res = answer;
    int16_t error = K_NONE;

    for (int32_t i = 0; i < res->topics_n; i++)
        for (int32_t j = 0; j < res->topics[i].partitions_n && error == K_NONE; j++)
            error = res->topics[i].partitions[j].error;
    answered(q, error);
}

static void commit(void *desk, const struct group_who *w, const struct offset_at *at, size_t count,
                   group_answer_fn *done, void *arg)
{
    struct kafka_req *q = make(desk, OFFSET_COMMIT_KEY, w, arg);
    struct k_offset_commit_req *in = ARENA_NEW(&q->arena, struct k_offset_commit_req);

    ((struct asked *)q->owner)->answer = done;
    *in = (struct k_offset_commit_req){.group = arena_str(&q->arena, w->group),
                                       .generation = w->generation,
                                       .member_id = arena_str(&q->arena, w->member_id),
                                       .retention_ms = -1,
                                       .topics_n = (int32_t)count};
    in->topics = ARENA_ARRAY(&q->arena, struct k_offset_commit_req_topic, count);
    for (size_t i = 0; i < count; i++) {
        struct k_offset_commit_req_partition *p = ARENA_NEW(&q->arena, struct k_offset_commit_req_partition);

        p->partition = at[i].partition;
        p->offset = at[i].offset;
        p->leader_epoch = at[i].leader_epoch;
        p->metadata = arena_str(&q->arena, at[i].metadata);
        in->topics[i] = (struct k_offset_commit_req_topic){arena_str(&q->arena, at[i].topic), p, 1};
    }
    run(q, committed, in);
}

void kafka_desk_init(struct kafka *k)
{
    k->desk = (struct group_desk){
        .arg = k, .join = join, .sync = sync_group, .heartbeat = heartbeat, .leave = leave, .commit = commit};
}

const struct group_desk *kafka_desk(struct kafka *k)
{
    return &k->desk;
}
