/*
 * The members' APIs around the coordinator: FindCoordinator, JoinGroup, SyncGroup, Heartbeat, LeaveGroup. groupadmin.c has those
 * of people and consoles.
 *
 * The coordinator lives on the home loop: every request of a group is posted there, and kafka_reply() brings it back. So
 * groups need no lock. One timer on that loop wakes the coordinator when something is due.
 */
#include "base/mem.h"
#include "group/offsets.h"
#include "kafka/consumers.h"
#include "kafka/group.h"
#include "kafka/kafka_int.h"
#include "obs/obs.h"
#include "os/os.h"

enum { SWEEP_MS = 600000 }; // Kafka: offsets.retention.check.interval.ms

/* ---- what the coordinator asks for ---- */

int64_t kafka_now_ms(void *kafka)
{
    struct kafka *k = kafka;

    return k->os->now_ns(k->os) / 1000000;
}

static int64_t wall_ms(void *arg)
{
    struct kafka *k = arg;

    return k->os->wall_us(k->os) / 1000;
}

/* A random UUID (RFC 9562, version 4), as Kafka's member ids end in. */
void kafka_random_id(void *kafka, char *out)
{
    struct kafka *k = kafka;
    struct buf hex = buf_make(64);
    uint8_t b[16];
    size_t n = 0;

    k->os->random(k->os, b, sizeof b);
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    buf_hex(&hex, b, sizeof b);
    for (size_t i = 0; i < hex.n; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20)
            out[n++] = '-';
        out[n++] = (char)hex.p[i];
    }
    out[n] = '\0';
    buf_fini(&hex);
}

static void joined(void *waiter, const struct k_join_group_res *res)
{
    struct kafka_req *q = waiter;
    struct k_join_group_res r = *res;

    if (q->version < 7 && !r.protocol.p)
        r.protocol = STR("");
    kafka_reply(q, &r);
}

static void synced(void *waiter, const struct k_sync_group_res *res)
{
    kafka_reply(waiter, res);
}

static int32_t last_generation(void *arg, struct str group)
{
    struct kafka *k = arg;
    struct group_meta m;
    struct arena a = {0};
    int32_t generation = offsets_get_meta(k->offsets, group, &a, &m) ? m.generation : 0;

    arena_fini(&a);
    return generation;
}

/* ---- storing generations ---- */

struct kafka_storing {
    struct kafka *k;
    char *group;
    uint64_t version;
    kafka_stored_fn *stored;
    bool ok;
};

static void on_stored(void *arg)
{
    struct kafka_storing *s = arg;

    s->stored(s->k, str_of(s->group), s->version, s->ok);
    kafka_busy(s->k, -1);
    mem_free(s->group);
    mem_free(s);
}

/* The members are told COORDINATOR_NOT_AVAILABLE and try again; the log says for itself why it stopped. */
void kafka_store_done(void *storing, bool ok, const struct err *e)
{
    struct kafka_storing *s = storing;

    (void)e;
    s->ok = ok;
    loop_post(s->k->home, on_stored, s);
}

struct kafka_storing *kafka_storing(struct kafka *k, struct str group, uint64_t version,
                                    kafka_stored_fn *stored)
{
    struct kafka_storing *s = MEM_NEW(struct kafka_storing);

    *s = (struct kafka_storing){.k = k, .group = str_dup(group), .version = version, .stored = stored};
    kafka_busy(k, 1);
    return s;
}

static void stored(struct kafka *k, struct str group, uint64_t version, bool ok)
{
    coord_stored(k->coord, group, version, ok);
    kafka_groups_arm(k);
}

static void store(void *arg, struct str group, const struct group_meta *m, uint64_t version)
{
    struct kafka *k = arg;

    obs_add(OBS_kafka_rebalances_total, 1);
    obs_debug("kafka", "a group's generation is stored group=%.*s generation=%d members=%zu", STR_ARG(group),
              m->generation, m->member_count);
    offsets_put_meta_async(k->offsets, group, m, kafka_store_done, kafka_storing(k, group, version, stored));
}

/* ---- old positions ---- */

/* A sink connector commits without members, and its group is deleted with it: while it is there its positions are wanted. */
static enum offsets_reader reader_of(void *arg, struct str group, struct str topic)
{
    struct kafka *k = arg;
    struct coord_reads r;

    if (str_starts(group, STR("connect-")))
        return OFFSETS_READ;
    if (!kafka_group_reads(k, group, topic, &r))
        return OFFSETS_NO_READER;
    return r.consumers && r.stable && !r.subscribed ? OFFSETS_UNREAD : OFFSETS_READ;
}

/* On the committer's thread. What was not written now is found again by the next sweep. */
static void swept(void *arg, bool ok, const struct err *e)
{
    (void)ok;
    (void)e;
    kafka_busy(arg, -1);
}

static int64_t sweep_ms(const struct kafka *k)
{
    return k->offsets_retention_ms < SWEEP_MS ? k->offsets_retention_ms : SWEEP_MS;
}

static void sweep(void *arg)
{
    struct kafka *k = arg;
    struct offsets_sweep s = {.retention_ms = k->offsets_retention_ms, .arg = k, .reader = reader_of};

    kafka_consumers_tidy(k); // after the last sweep
    kafka_busy(k, 1);
    offsets_sweep_async(k->offsets, &s, swept, k);
    timer_start(k->sweep_timer, sweep_ms(k));
}

/* ---- life ---- */

static void on_timer(void *arg)
{
    struct kafka *k = arg;

    coord_tick(k->coord);
    consumers_tick(k->consumers);
    k->group_due_ms = INT64_MAX;
    kafka_groups_arm(k);
}

/* On the home loop, after everything that may have changed when something is due. */
void kafka_groups_arm(struct kafka *k)
{
    int64_t due = coord_next_ms(k->coord), other = consumers_next_ms(k->consumers), now = kafka_now_ms(k);

    due = other < due ? other : due;
    if (k->groups_closed || due >= k->group_due_ms)
        return;
    if (!k->group_timer)
        k->group_timer = timer_new(k->home, on_timer, k);
    k->group_due_ms = due;
    timer_start(k->group_timer, due > now ? due - now : 0);
}

static void arm_first(void *arg)
{
    struct kafka *k = arg;

    kafka_groups_arm(k);
    k->sweep_timer = timer_new(k->home, sweep, k);
    timer_start(k->sweep_timer, sweep_ms(k));
    kafka_busy(k, -1);
}

void kafka_groups_start(struct kafka *k)
{
    struct coord_options o = {.io = {.arg = k,
                                     .now_ms = kafka_now_ms,
                                     .wall_ms = wall_ms,
                                     .random_id = kafka_random_id,
                                     .joined = joined,
                                     .synced = synced,
                                     .store = store,
                                     .last_generation = last_generation},
                              .initial_delay_ms = k->initial_rebalance_ms,
                              .max_members = k->group_max_members};
    struct arena a = {0};
    struct str *names;
    size_t n;

    k->coord = coord_new(&o);
    k->group_due_ms = INT64_MAX;
    offsets_groups(k->offsets, &a, &names, &n);
    for (size_t i = 0; i < n; i++) {
        struct group_meta m;

        if (offsets_get_meta(k->offsets, names[i], &a, &m))
            coord_load(k->coord, names[i], &m);
    }
    arena_fini(&a);
    kafka_consumers_start(k);
    kafka_busy(k, 1);
    loop_post(k->home, arm_first, k);
}

static void close_groups(void *arg)
{
    struct kafka *k = arg;

    coord_close(k->coord);
    consumers_close(k->consumers);
    timer_free(k->group_timer);
    timer_free(k->sweep_timer);
    kafka_blocks_stop(k);
    k->groups_closed = true;
    kafka_busy(k, -1);
}

void kafka_groups_stop(struct kafka *k)
{
    kafka_busy(k, 1);
    loop_post(k->home, close_groups, k);
    mutex_lock(&k->lock);
    while (k->busy > 0)
        cond_wait(&k->idle, &k->lock);
    mutex_unlock(&k->lock);
    coord_free(k->coord);
    consumers_free(k->consumers);
}

/* ---- members ---- */

static void join_home(void *arg)
{
    struct kafka_req *q = arg;
    struct kafka *k = q->k;
    struct coord_client client = {q->client_id, str_of(q->client_host)};
    const struct k_join_group_req *req = q->in;
    int16_t error;

    if (req->reason.n > 0)
        obs_debug("kafka", "a member joins group=%.*s member=%.*s reason=\"%.*s\"", STR_ARG(req->group),
                  STR_ARG(req->member_id), STR_ARG(req->reason));
    error = consumers_forget(k->consumers, req->group); // a group that is empty changes its protocol
    if (error != K_NONE) {
        joined(q, &(struct k_join_group_res){
                      .error = error == K_NON_EMPTY_GROUP ? K_INCONSISTENT_GROUP_PROTOCOL : error,
                      .generation = -1,
                      .protocol = STR(""),
                      .leader = STR(""),
                      .member_id = req->member_id});
        return;
    }
    coord_join(k->coord, &client, q->version, req, q);
    kafka_groups_arm(k);
}

static void sync_home(void *arg)
{
    struct kafka_req *q = arg;
    struct kafka *k = q->k;

    coord_sync(k->coord, q->in, q);
    kafka_groups_arm(k);
}

static void heartbeat_home(void *arg)
{
    struct kafka_req *q = arg;

    kafka_reply(q, &(struct k_heartbeat_res){.error = coord_heartbeat(q->k->coord, q->in)});
}

/* Up to version 2 one member leaves; later several, each with its own error. */
static void leave_home(void *arg)
{
    struct kafka_req *q = arg;
    struct kafka *k = q->k;
    const struct k_leave_group_req *req = q->in;
    size_t n = q->version < 3 ? 1 : (size_t)req->members_n;
    struct coord_leaver *who = ARENA_ARRAY(&q->arena, struct coord_leaver, n);
    struct k_leave_group_res res = {0};

    if (q->version < 3)
        who[0].member_id = req->member_id;
    for (size_t i = 0; q->version >= 3 && i < n; i++)
        who[i] = (struct coord_leaver){.member_id = req->members[i].id,
                                       .instance_id = req->members[i].instance_id};
    res.error = coord_leave(k->coord, req->group, who, n);
    if (q->version < 3 && res.error == K_NONE)
        res.error = who[0].error;
    res.members = ARENA_ARRAY(&q->arena, struct k_leave_group_res_member, n);
    for (size_t i = 0; q->version >= 3 && res.error == K_NONE && i < n; i++) {
        if (req->members[i].reason.n > 0)
            obs_debug("kafka", "a member leaves group=%.*s member=%.*s reason=\"%.*s\"", STR_ARG(req->group),
                      STR_ARG(who[i].member_id), STR_ARG(req->members[i].reason));
        res.members[res.members_n++] = (struct k_leave_group_res_member){
            .id = who[i].member_id, .instance_id = who[i].instance_id, .error = who[i].error};
    }
    kafka_reply(q, &res);
    kafka_groups_arm(k);
}

void kafka_go_home(struct kafka_req *q, void (*fn)(void *q))
{
    if (loop_current() == q->k->home)
        fn(q);
    else
        loop_post(q->k->home, fn, q);
}

void kafka_join_group(struct kafka_req *q, const void *in)
{
    (void)in;
    kafka_go_home(q, join_home);
}

void kafka_sync_group(struct kafka_req *q, const void *in)
{
    (void)in;
    kafka_go_home(q, sync_home);
}

void kafka_heartbeat(struct kafka_req *q, const void *in)
{
    (void)in;
    kafka_go_home(q, heartbeat_home);
}

void kafka_leave_group(struct kafka_req *q, const void *in)
{
    (void)in;
    kafka_go_home(q, leave_home);
}

/* ---- FindCoordinator ---- */

enum { KEY_GROUP = 0, KEY_TRANSACTION = 1 };

static struct k_find_coordinator_res_one coordinator_of(struct kafka_req *q, int8_t type, struct str key)
{
    struct k_find_coordinator_res_one one = {
        .key = key, .node_id = KAFKA_NODE_ID, .host = str_of(q->door->host), .port = q->door->port};

    if (type == KEY_GROUP || type == KEY_TRANSACTION)
        return one;
    one = (struct k_find_coordinator_res_one){.key = key, .node_id = -1, .port = -1};
    one.error = K_INVALID_REQUEST;
    one.error_message = STR("there are coordinators of groups and of transactions only");
    return one;
}

void kafka_find_coordinator(struct kafka_req *q, const void *in)
{
    const struct k_find_coordinator_req *req = in;
    struct k_find_coordinator_res_one one = coordinator_of(q, req->key_type, req->key);
    struct k_find_coordinator_res res = {.error = one.error,
                                         .error_message = one.error_message,
                                         .node_id = one.node_id,
                                         .host = one.host,
                                         .port = one.port,
                                         .coordinators_n = req->keys_n};

    res.coordinators = ARENA_ARRAY(&q->arena, struct k_find_coordinator_res_one, (size_t)req->keys_n);
    for (int32_t i = 0; i < req->keys_n; i++)
        res.coordinators[i] = coordinator_of(q, req->key_type, req->keys[i]);
    kafka_reply(q, &res);
}
