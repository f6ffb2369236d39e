/*
 * The group APIs around the coordinator: FindCoordinator, JoinGroup, SyncGroup, Heartbeat, LeaveGroup, DescribeGroups, ListGroups.
 *
 * The coordinator lives on the home loop: every request of a group is posted there, and kafka_reply() brings it back. So
 * groups need no lock. One timer on that loop wakes the coordinator when something is due.
 */
#include "base/mem.h"
#include "group/offsets.h"
#include "kafka/group.h"
#include "kafka/kafka_int.h"
#include "obs/obs.h"
#include "os/os.h"

#include <stdlib.h>

/* ---- what the coordinator asks for ---- */

static int64_t now_ms(void *arg)
{
    struct kafka *k = arg;

    return k->os->now_ns(k->os) / 1000000;
}

static int64_t wall_ms(void *arg)
{
    struct kafka *k = arg;

    return k->os->wall_us(k->os) / 1000;
}

/* A random UUID (RFC 9562, version 4), as Kafka's member ids end in. */
static void random_id(void *arg, char out[COORD_MEMBER_ID])
{
    struct kafka *k = arg;
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

struct storing {
    struct kafka *k;
    char *group;
    int32_t generation;
    bool ok;
};

static void arm(struct kafka *k);

static void on_stored(void *arg)
{
    struct storing *s = arg;

    coord_stored(s->k->coord, str_of(s->group), s->generation, s->ok);
    arm(s->k);
    kafka_busy(s->k, -1);
    mem_free(s->group);
    mem_free(s);
}

/* On the committer's thread. */
static void meta_done(void *arg, bool ok, const struct err *e)
{
    struct storing *s = arg;

    (void)
        e; // the members are told COORDINATOR_NOT_AVAILABLE and try again; the log says for itself why it stopped
    s->ok = ok;
    loop_post(s->k->home, on_stored, s);
}

static bool has_positions(struct kafka *k, struct str group)
{
    struct arena a = {0};
    struct offset_at *at;
    size_t n;

    offsets_list(k->offsets, group, &a, &at, &n);
    arena_fini(&a);
    return n > 0;
}

/* An empty group that has committed nothing leaves nothing behind. */
static void store(void *arg, struct str group, const struct group_meta *m)
{
    struct kafka *k = arg;
    struct storing *s = MEM_NEW(struct storing);
    bool keep = m->member_count > 0 || has_positions(k, group);

    s->k = k;
    s->group = str_dup(group);
    s->generation = m->generation;
    obs_add(OBS_kafka_rebalances_total, 1);
    obs_debug("kafka", "a group's generation is stored group=%.*s generation=%d members=%zu", STR_ARG(group),
              m->generation, m->member_count);
    kafka_busy(k, 1);
    offsets_put_meta_async(k->offsets, group, keep ? m : NULL, meta_done, s);
}

/* ---- life ---- */

static void on_timer(void *arg)
{
    struct kafka *k = arg;

    coord_tick(k->coord);
    k->group_due_ms = INT64_MAX;
    arm(k);
}

/* On the home loop, after everything that may have changed when something is due. */
static void arm(struct kafka *k)
{
    int64_t due = coord_next_ms(k->coord), now = now_ms(k);

    if (k->groups_closed || due >= k->group_due_ms)
        return;
    if (!k->group_timer)
        k->group_timer = timer_new(k->home, on_timer, k);
    k->group_due_ms = due;
    timer_start(k->group_timer, due > now ? due - now : 0);
}

static void arm_first(void *arg)
{
    arm(arg);
    kafka_busy(arg, -1);
}

void kafka_groups_start(struct kafka *k)
{
    struct coord_options o = {.io = {.arg = k,
                                     .now_ms = now_ms,
                                     .wall_ms = wall_ms,
                                     .random_id = random_id,
                                     .joined = joined,
                                     .synced = synced,
                                     .store = store,
                                     .last_generation = last_generation},
                              .initial_delay_ms = k->initial_rebalance_ms};
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
    kafka_busy(k, 1);
    loop_post(k->home, arm_first, k);
}

static void close_groups(void *arg)
{
    struct kafka *k = arg;

    coord_close(k->coord);
    timer_free(k->group_timer);
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
}

/* ---- members ---- */

static void join_home(void *arg)
{
    struct kafka_req *q = arg;
    struct kafka *k = q->k;
    struct coord_client client = {q->client_id, str_of(q->client_host)};

    coord_join(k->coord, &client, q->version, q->in, q);
    arm(k);
}

static void sync_home(void *arg)
{
    struct kafka_req *q = arg;
    struct kafka *k = q->k;

    coord_sync(k->coord, q->in, q);
    arm(k);
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
    struct k_leave_group_res res = {.members_n = req->members_n};

    if (q->version < 3) {
        res.error = coord_leave(k->coord, req->group, req->member_id, STR_NULL);
    } else {
        res.members = ARENA_ARRAY(&q->arena, struct k_leave_group_res_member, (size_t)req->members_n);
        for (int32_t i = 0; i < req->members_n; i++)
            res.members[i] = (struct k_leave_group_res_member){
                .id = req->members[i].id,
                .instance_id = req->members[i].instance_id,
                .error = coord_leave(k->coord, req->group, req->members[i].id, req->members[i].instance_id)};
    }
    kafka_reply(q, &res);
    arm(k);
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
        .key = key, .node_id = KAFKA_NODE_ID, .host = str_of(q->k->host), .port = q->k->port};

    if (type == KEY_GROUP)
        return one;
    one = (struct k_find_coordinator_res_one){.key = key, .node_id = -1, .port = -1};
    one.error = type == KEY_TRANSACTION ? K_TRANSACTIONAL_ID_AUTHORIZATION_FAILED : K_INVALID_REQUEST;
    one.error_message = type == KEY_TRANSACTION ? STR("transactions are not supported")
                                                : STR("there are coordinators of groups only");
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

/* ---- DescribeGroups, ListGroups ---- */

/* A group without members: it is known by what it has committed. */
static bool describe_stored(struct kafka_req *q, struct str group, struct k_describe_groups_res_group *out)
{
    struct group_meta m = {.protocol_type = STR("")};
    bool stored = offsets_get_meta(q->k->offsets, group, &q->arena, &m);

    *out = (struct k_describe_groups_res_group){
        .group = group, .state = STR("Empty"), .protocol_type = m.protocol_type, .operations = INT32_MIN};
    return stored || has_positions(q->k, group);
}

static void describe_home(void *arg)
{
    struct kafka_req *q = arg;
    const struct k_describe_groups_req *req = q->in;
    struct k_describe_groups_res res = {.groups_n = req->groups_n};

    res.groups = ARENA_ARRAY(&q->arena, struct k_describe_groups_res_group, (size_t)req->groups_n);
    for (int32_t i = 0; i < req->groups_n; i++) {
        struct k_describe_groups_res_group *g = &res.groups[i];

        if (coord_describe(q->k->coord, req->groups[i], &q->arena, g) ||
            describe_stored(q, req->groups[i], g))
            continue;
        g->state = STR("Dead");
        if (q->version >= 6) { // KIP-1043; before, a group that is not there is just dead
            g->error = K_GROUP_ID_NOT_FOUND;
            g->error_message = STR("there is no such group");
        }
    }
    kafka_reply(q, &res);
}

void kafka_describe_groups(struct kafka_req *q, const void *in)
{
    (void)in;
    kafka_go_home(q, describe_home);
}

static bool among(const struct str *list, int32_t n, struct str s)
{
    for (int32_t i = 0; i < n; i++)
        if (str_eq_nocase(list[i], s))
            return true;
    return n == 0;
}

static int by_name(const void *a, const void *b)
{
    const struct k_list_groups_res_group *x = a, *y = b;

    return str_cmp(x->group, y->group);
}

static void list_home(void *arg)
{
    struct kafka_req *q = arg;
    const struct k_list_groups_req *req = q->in;
    struct k_list_groups_res_group *live;
    struct k_list_groups_res res = {0};
    size_t live_n, stored_n, n = 0;
    struct str *stored;

    coord_list(q->k->coord, &q->arena, &live, &live_n);
    offsets_groups(q->k->offsets, &q->arena, &stored, &stored_n);
    if (live_n > 1)
        qsort(live, live_n, sizeof *live, by_name);
    res.groups = ARENA_ARRAY(&q->arena, struct k_list_groups_res_group, live_n + stored_n);
    for (size_t i = 0, j = 0; i < live_n || j < stored_n;) { // both are sorted
        int c = i == live_n ? 1 : j == stored_n ? -1 : str_cmp(live[i].group, stored[j]);
        struct k_describe_groups_res_group d = {0};

        if (c > 0 && describe_stored(q, stored[j], &d))
            res.groups[n++] =
                (struct k_list_groups_res_group){stored[j], d.protocol_type, d.state, STR("classic")};
        else if (c <= 0)
            res.groups[n++] = live[i];
        i += c <= 0;
        j += c >= 0;
    }
    for (size_t i = 0; i < n; i++)
        if (among(req->states, req->states_n, res.groups[i].state) &&
            among(req->types, req->types_n, res.groups[i].type))
            res.groups[res.groups_n++] = res.groups[i];
    kafka_reply(q, &res);
}

void kafka_list_groups(struct kafka_req *q, const void *in)
{
    (void)in;
    kafka_go_home(q, list_home);
}
