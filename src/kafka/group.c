/*
 *          join            all have joined, or          the leader's sync,
 *                          the time is up               stored
 *   Empty ─────▶ Preparing ─────────────▶ Completing ─────────────▶ Stable
 *     ▲             │  ▲ ▲                   │                         │
 *     └─────────────┘  │ └───────────────────┘                         │
 *     nobody is left   └───────────────────────────────────────────────┘
 *                          a join, a leave, a member lost
 *
 * Empty groups are not in memory, and Dead (Kafka's name for a group that nobody knows) is what is not there at all.
 *
 * A member waits with `join` set while Preparing and with `sync` set while Completing; it then needs no heartbeat.
 */
#include "base/buf.h"
#include "base/mem.h"
#include "kafka/coord_int.h"

#include <assert.h>

enum {
    NEW_MEMBER_MS = 300000,     // a first join waits no longer than this (Kafka: NewMemberJoinTimeoutMs)
    GROUPS_MAX = 10000,         // with members
    SUBSCRIPTION_MAX = 4 << 20, // bytes of what a member says of itself
};

static int64_t now(struct coord *c)
{
    return c->o.io.now_ms(c->o.io.arg);
}

/* A moment at which coord_tick() must look. */
static int64_t due(struct coord *c, int64_t at_ms)
{
    if (at_ms < c->next_ms)
        c->next_ms = at_ms;
    return at_ms;
}

static void beat(struct coord *c, struct member *m)
{
    m->is_new = false;
    m->deadline_ms = due(c, now(c) + m->session_ms);
}

static void sync_error(struct coord *c, void *waiter, int16_t error)
{
    c->o.io.synced(waiter, &(struct k_sync_group_res){.error = error});
}

/* ---- states ---- */

static void enter(struct coord *c, struct cgroup *g, enum state state)
{
    g->state = state;
    g->state_ms = c->o.io.wall_ms(c->o.io.arg);
    g->assigning = 0;
}

static int64_t rebalance_ms(const struct cgroup *g)
{
    int64_t most = 0;

    for (const struct member *m = g->members; m; m = m->next)
        if (m->rebalance_ms > most)
            most = m->rebalance_ms;
    return most;
}

/* The number of the version that is on its way to the disk. */
static uint64_t store(struct coord *c, struct cgroup *g)
{
    struct arena a = {0};
    struct group_meta meta;

    cgroup_meta(g, &a, &meta);
    c->o.io.store(c->o.io.arg, str_of(g->name), &meta, ++c->versions);
    arena_fini(&a);
    return c->versions;
}

/* Nobody is left: the last generation is stored, and the group is forgotten here. */
static void vacate(struct coord *c, struct cgroup *g)
{
    if (g->protocol_type) { // somebody was in it
        g->generation++;
        mem_free(g->protocol);
        g->protocol = NULL;
        g->state_ms = c->o.io.wall_ms(c->o.io.arg);
        store(c, g);
    }
    cgroup_free(c, g);
}

/* ---- the end of joining ---- */

/* The answer to a join that is over; the leader is told all members and decides who reads what. */
static void tell_joined(struct coord *c, struct cgroup *g, struct member *m)
{
    struct arena a = {0};
    struct k_join_group_res res = {.generation = g->generation,
                                   .protocol_type = str_of(g->protocol_type),
                                   .protocol = str_of(g->protocol),
                                   .leader = g->leader->id,
                                   .member_id = m->id};
    void *waiter = m->join;

    /* An old client that leads must not think so: it would assign, and nobody would listen (KIP-814). */
    if (m->renewal && m == g->leader && m->skips)
        res.skip_assignment = true;
    else if (m->renewal && m == g->leader)
        res.leader = m->former_id;
    m->renewal = 0;
    if (str_eq(res.leader, m->id)) {
        res.members = ARENA_ARRAY(&a, struct k_join_group_res_member, g->count);
        for (const struct member *o = g->members; o; o = o->next)
            res.members[res.members_n++] = (struct k_join_group_res_member){
                .id = o->id, .instance_id = o->instance_id, .metadata = member_metadata(o, g->protocol)};
    }
    m->join = NULL;
    beat(c, m);
    c->o.io.joined(waiter, &res);
    arena_fini(&a);
}

static bool all_joined(const struct cgroup *g)
{
    for (const struct member *m = g->members; m; m = m->next)
        if (!m->join)
            return false;
    return !g->guests;
}

/* Dynamic members that did not join again are gone; a static one keeps its place until its session ends. */
static void drop_absent(struct coord *c, struct cgroup *g)
{
    for (struct member *m = g->members, *next; m; m = next) {
        next = m->next;
        if (!m->join && !m->instance_id.p)
            member_drop(c, g, m, K_UNKNOWN_MEMBER_ID);
    }
}

static bool elect(struct cgroup *g)
{
    if (g->leader && g->leader->join)
        return true;
    for (struct member *m = g->members; m; m = m->next) {
        if (m->join) {
            g->leader = m;
            return true;
        }
    }
    return false;
}

static void end_joining(struct coord *c, struct cgroup *g)
{
    struct str protocol;

    drop_absent(c, g);
    g->delayed = false;
    if (g->count == 0 && !g->guests) {
        vacate(c, g);
        return;
    }
    if (!elect(g)) { // only static members, none of them back; or only guests
        g->deadline_ms = g->count > 0 ? due(c, now(c) + rebalance_ms(g)) : INT64_MAX;
        return;
    }
    g->generation++;
    protocol = cgroup_choose(g);
    mem_free(g->protocol);
    g->protocol = str_dup(protocol);
    enter(c, g, COMPLETING);
    g->deadline_ms = due(c, now(c) + rebalance_ms(g));
    for (struct member *m = g->members; m; m = m->next) {
        member_assign(m, STR(""));
        m->synced = false;
        if (m->join)
            tell_joined(c, g, m);
        else
            beat(c, m); // a static member that is away keeps its place until then
    }
}

static void try_end_joining(struct coord *c, struct cgroup *g)
{
    if (g->state == PREPARING && !g->delayed && all_joined(g))
        end_joining(c, g);
}

/* Everybody has to join again. From Stable and Completing; while Preparing it goes on. */
static void rebalance(struct coord *c, struct cgroup *g)
{
    if (g->state != PREPARING) {
        for (struct member *m = g->members; m; m = m->next) {
            coord_fail_sync(c, m, K_REBALANCE_IN_PROGRESS);
            m->renewal = 0; // its join is one of this rebalance now
        }
        enter(c, g, PREPARING);
        g->delayed = false;
        g->deadline_ms = due(c, now(c) + rebalance_ms(g));
    }
    try_end_joining(c, g);
}

/* The first member of an empty group waits a little for others, so that they start together (KIP-134). */
static void begin(struct coord *c, struct cgroup *g)
{
    int64_t delay = c->o.initial_delay_ms, most = rebalance_ms(g);

    g->delayed = delay > 0;
    g->deadline_ms = due(c, now(c) + (!g->delayed ? most : delay < most ? delay : most));
    g->delay_end_ms = now(c) + most;
    try_end_joining(c, g);
}

/* ---- join ---- */

/*
 * Whether a group that has its most members turns this one away. While Preparing those count that have joined already, so
 * that the last ones to come back are out when the limit was lowered. A static member takes its own place again.
 */
static bool is_full(const struct coord *c, const struct cgroup *g, const struct k_join_group_req *req)
{
    const struct member *self = member_find(g, req->member_id);
    size_t waiting = 0;

    if (member_of_instance(g, req->instance_id))
        return false;
    for (const struct member *m = g->members; m; m = m->next)
        waiting += m->join != NULL;
    if (g->state == PREPARING)
        return (!self || !self->join) && waiting >= c->o.max_members;
    return !self && g->count >= c->o.max_members;
}

static int16_t check_join(const struct coord *c, const struct cgroup *g, const struct k_join_group_req *req)
{
    size_t bytes = 0;

    if (req->group.n == 0 || str_find(req->group, '\0') >= 0) // names are kept as C has them
        return K_INVALID_GROUP_ID;
    if (req->session_timeout_ms < COORD_SESSION_LEAST_MS || req->session_timeout_ms > COORD_SESSION_MOST_MS)
        return K_INVALID_SESSION_TIMEOUT;
    if (req->protocol_type.n == 0 || req->protocols_n == 0 || req->protocols_n > PROTOCOLS_MAX)
        return K_INCONSISTENT_GROUP_PROTOCOL;
    for (int32_t i = 0; i < req->protocols_n; i++)
        bytes += req->protocols[i].metadata.n;
    if (bytes > SUBSCRIPTION_MAX)
        return K_INVALID_REQUEST;
    if (!g)
        return req->member_id.n > 0 ? K_UNKNOWN_MEMBER_ID : K_NONE;
    if (is_full(c, g, req) || (req->member_id.n == 0 && guest_count(g) >= c->o.max_members))
        return K_GROUP_MAX_SIZE_REACHED;
    return K_NONE;
}

/* Who was turned away does not keep the id it was given, and is not waited for. */
static void turn_away(struct coord *c, struct cgroup *g, struct str member_id)
{
    struct member *m = member_find(g, member_id);

    if (m)
        member_drop(c, g, m, K_GROUP_MAX_SIZE_REACHED);
    else
        (void)guest_take(g, member_id);
    try_end_joining(c, g);
}

/* A member must be of the group's type and know an assignor that all the others know. */
static bool fits(const struct cgroup *g, const struct k_join_group_req *req)
{
    if (g->count == 0)
        return true;
    if (!str_is(req->protocol_type, g->protocol_type))
        return false;
    for (int32_t i = 0; i < req->protocols_n; i++) {
        bool all = true;

        for (const struct member *m = g->members; m && all; m = m->next)
            all = str_eq(m->id, req->member_id) || member_knows(m, req->protocols[i].name);
        if (all)
            return true;
    }
    return false;
}

struct joining {
    const struct coord_client *client;
    int version;
    const struct k_join_group_req *req;
    void *waiter;
};

static void fresh_id(struct coord *c, const struct joining *j, struct buf *out)
{
    char random[COORD_MEMBER_ID];
    struct str front = j->req->instance_id.p ? j->req->instance_id : j->client->id;

    c->o.io.random_id(c->o.io.arg, random);
    front.n = front.n < 255 ? front.n : 255;
    buf_fmt(out, "%.*s-%s", STR_ARG(front), random);
}

static void add_member(struct coord *c, struct cgroup *g, const struct joining *j, struct str id)
{
    bool first = g->count == 0 && g->deadline_ms == INT64_MAX;
    struct member *m = member_new(g, id, j->req->instance_id, j->client);

    member_subscribe(m, j->req);
    m->join = j->waiter;
    m->skips = j->version >= 9;
    m->is_new = true; // it knows no id to beat with, and a client that went away while it waits is not seen
    m->deadline_ms = due(c, now(c) + NEW_MEMBER_MS);
    if (g->count == 1) {
        mem_free(g->protocol_type);
        g->protocol_type = str_dup(j->req->protocol_type);
    }
    if (first) {
        begin(c, g);
        return;
    }
    if (g->delayed) {
        int64_t later = now(c) + c->o.initial_delay_ms;

        g->deadline_ms = due(c, later < g->delay_end_ms ? later : g->delay_end_ms);
    }
    rebalance(c, g);
}

/*
 * A static member is back under its instance id: it takes the place of its former self. In a Stable group it goes on without a rebalance,
 * unless the assignor would be another one now; it is told so when its new id is on disk, for after a crash an id that
 * was not stored would be fenced.
 */
static void replace_static(struct coord *c, struct cgroup *g, const struct joining *j, struct member *m,
                           struct str id)
{
    coord_fail_join(c, m, K_FENCED_INSTANCE_ID);
    coord_fail_sync(c, m, K_FENCED_INSTANCE_ID);
    member_rename(m, id, j->client);
    member_subscribe(m, j->req);
    m->skips = j->version >= 9;
    m->join = j->waiter;
    beat(c, m);
    if (g->state == STABLE && str_is(cgroup_choose(g), g->protocol))
        m->renewal = store(c, g);
    else
        rebalance(c, g);
}

static void join_unknown(struct coord *c, struct cgroup *g, const struct joining *j)
{
    struct member *m = member_of_instance(g, j->req->instance_id);
    struct buf id = buf_make(512);

    fresh_id(c, j, &id);
    if (m) {
        replace_static(c, g, j, m, buf_view(&id));
    } else if (j->version >= 4 && !j->req->instance_id.p) {
        guest_add(g, buf_view(&id), due(c, now(c) + j->req->session_timeout_ms));
        coord_join_error(c, j->waiter, K_MEMBER_ID_REQUIRED, buf_view(&id));
    } else {
        add_member(c, g, j, buf_view(&id));
    }
    buf_fini(&id);
}

static void join_again(struct coord *c, struct cgroup *g, const struct joining *j, struct member *m)
{
    bool same = member_subscribed_so(m, j->req);

    coord_fail_join(c, m, K_UNKNOWN_MEMBER_ID); // an older request of the same member that still waits
    m->join = j->waiter;
    m->skips = j->version >= 9;
    /* Its answer was lost, or a follower asks although nothing has changed: the same answer again. */
    if (same && (g->state == COMPLETING || (g->state == STABLE && m != g->leader))) {
        tell_joined(c, g, m);
        return;
    }
    member_subscribe(m, j->req);
    rebalance(c, g);
}

static void join_known(struct coord *c, struct cgroup *g, const struct joining *j)
{
    struct member *m = NULL;
    int16_t error;

    if (!j->req->instance_id.p && guest_take(g, j->req->member_id)) {
        add_member(c, g, j, j->req->member_id);
        return;
    }
    error = member_who(g, j->req->member_id, j->req->instance_id, &m);
    if (error != K_NONE)
        coord_join_error(c, j->waiter, error, j->req->member_id);
    else
        join_again(c, g, j, m);
}

void coord_join(struct coord *c, const struct coord_client *client, int version,
                const struct k_join_group_req *req, void *waiter)
{
    struct joining j = {client, version, req, waiter};
    struct cgroup *g = coord_find(c, req->group);
    int16_t error = c->closed ? K_COORDINATOR_NOT_AVAILABLE : check_join(c, g, req);

    if (error == K_NONE && g && !fits(g, req))
        error = K_INCONSISTENT_GROUP_PROTOCOL;
    if (error == K_NONE && !g && c->groups.n >= GROUPS_MAX)
        error = K_GROUP_MAX_SIZE_REACHED;
    if (error == K_GROUP_MAX_SIZE_REACHED && g)
        turn_away(c, g, req->member_id);
    if (error != K_NONE) {
        coord_join_error(c, waiter, error, error == K_GROUP_MAX_SIZE_REACHED ? STR("") : req->member_id);
        return;
    }
    if (!g) {
        g = cgroup_new(c, req->group);
        g->generation = c->o.io.last_generation(c->o.io.arg, req->group);
    }
    if (req->member_id.n == 0)
        join_unknown(c, g, &j);
    else
        join_known(c, g, &j);
}

/* ---- sync ---- */

static void tell_synced(struct coord *c, struct cgroup *g, struct member *m, void *waiter)
{
    m->sync = NULL;
    beat(c, m);
    c->o.io.synced(waiter,
                   &(struct k_sync_group_res){.protocol_type = str_of(g->protocol_type),
                                              .protocol = str_of(g->protocol),
                                              .assignment = str_from(m->assignment, m->assignment_n)});
}

static int16_t check_sync(const struct cgroup *g, const struct k_sync_group_req *req, struct member **m)
{
    int16_t error;

    if (req->group.n == 0)
        return K_INVALID_GROUP_ID;
    if (!g)
        return K_UNKNOWN_MEMBER_ID;
    error = member_who(g, req->member_id, req->instance_id, m);
    if (error != K_NONE)
        return error;
    if (req->generation != g->generation)
        return K_ILLEGAL_GENERATION;
    if ((req->protocol_type.p && !str_is(req->protocol_type, g->protocol_type)) ||
        (req->protocol.p && g->protocol && !str_is(req->protocol, g->protocol)))
        return K_INCONSISTENT_GROUP_PROTOCOL;
    return g->state == PREPARING ? K_REBALANCE_IN_PROGRESS : K_NONE;
}

static void take_assignments(struct cgroup *g, const struct k_sync_group_req *req)
{
    for (int32_t i = 0; i < req->assignments_n; i++) {
        struct member *m = member_find(g, req->assignments[i].member_id);

        if (m)
            member_assign(m, req->assignments[i].assignment);
    }
}

static bool all_synced(const struct cgroup *g)
{
    for (const struct member *m = g->members; m; m = m->next)
        if (!m->synced)
            return false;
    return true;
}

void coord_sync(struct coord *c, const struct k_sync_group_req *req, void *waiter)
{
    struct cgroup *g = coord_find(c, req->group);
    struct member *m = NULL;
    int16_t error = c->closed ? K_COORDINATOR_NOT_AVAILABLE : check_sync(g, req, &m);

    if (error != K_NONE) {
        sync_error(c, waiter, error);
        return;
    }
    m->synced = true;
    if (g->state == STABLE) {
        if (all_synced(g))
            g->deadline_ms = INT64_MAX;
        tell_synced(c, g, m, waiter);
        return;
    }
    coord_fail_sync(c, m, K_UNKNOWN_MEMBER_ID);
    m->sync = waiter;
    if (m == g->leader && !g->assigning) {
        take_assignments(g, req);
        g->assigning = store(c, g);
    }
}

/* Only when the assignments are on disk are they told: after a crash the group goes on with what its members know. */
static void assigned(struct coord *c, struct cgroup *g, bool ok)
{
    g->assigning = 0;
    if (!ok) {
        for (struct member *m = g->members; m; m = m->next) {
            member_assign(m, STR(""));
            coord_fail_sync(c, m, K_COORDINATOR_NOT_AVAILABLE);
        }
        rebalance(c, g);
        return;
    }
    enter(c, g, STABLE);
    if (all_synced(g))
        g->deadline_ms = INT64_MAX; // else who has not synced by then is gone
    for (struct member *m = g->members; m; m = m->next)
        if (m->sync)
            tell_synced(c, g, m, m->sync);
}

void coord_stored(struct coord *c, struct str group, uint64_t version, bool ok)
{
    struct cgroup *g = coord_find(c, group);

    if (!g)
        return;
    if (g->state == COMPLETING && g->assigning == version)
        assigned(c, g, ok);
    for (struct member *m = g->members; m; m = m->next) {
        if (m->renewal != version)
            continue;
        if (ok) {
            tell_joined(c, g, m);
        } else {
            m->renewal = 0;
            coord_fail_join(c, m, K_COORDINATOR_NOT_AVAILABLE);
        }
    }
}

/* ---- the small ones ---- */

int16_t coord_heartbeat(struct coord *c, const struct k_heartbeat_req *req)
{
    struct cgroup *g = coord_find(c, req->group);
    struct member *m = NULL;
    int16_t error = c->closed           ? K_COORDINATOR_NOT_AVAILABLE
                    : req->group.n == 0 ? K_INVALID_GROUP_ID
                                        : K_UNKNOWN_MEMBER_ID;

    if (!g)
        return error;
    error = member_who(g, req->member_id, req->instance_id, &m);
    if (error != K_NONE)
        return error;
    if (req->generation != g->generation)
        return K_ILLEGAL_GENERATION;
    beat(c, m);
    return g->state == PREPARING ? K_REBALANCE_IN_PROGRESS : K_NONE;
}

/* *left: a member is gone, not only an id that was given out. */
static int16_t leave(struct coord *c, struct cgroup *g, const struct coord_leaver *who, bool *left)
{
    struct member *m = NULL;
    int16_t error = K_NONE;

    if (who->instance_id.p &&
        who->member_id.n == 0) { // an admin removes a static member by its instance id alone
        m = member_of_instance(g, who->instance_id);
        error = m ? K_NONE : K_UNKNOWN_MEMBER_ID;
    } else if (!guest_take(g, who->member_id)) {
        error = member_who(g, who->member_id, who->instance_id, &m);
    }
    if (error == K_NONE && m) {
        member_drop(c, g, m, K_UNKNOWN_MEMBER_ID);
        *left = true;
    }
    return error;
}

int16_t coord_leave(struct coord *c, struct str group, struct coord_leaver *who, size_t n)
{
    struct cgroup *g = coord_find(c, group);
    bool left = false;

    if (c->closed || group.n == 0)
        return c->closed ? K_COORDINATOR_NOT_AVAILABLE : K_INVALID_GROUP_ID;
    for (size_t i = 0; i < n; i++)
        who[i].error = g ? leave(c, g, &who[i], &left) : K_UNKNOWN_MEMBER_ID;
    if (g && g->count == 0 && !g->guests)
        vacate(c, g);
    else if (g && left)
        rebalance(c, g);
    else if (g)
        try_end_joining(c, g);
    return K_NONE;
}

int16_t coord_may_commit(struct coord *c, const struct coord_commit *m)
{
    struct cgroup *g = coord_find(c, m->group);
    bool nobody = m->generation < 0 && m->member_id.n == 0 && !m->instance_id.p;
    struct member *who = NULL;
    int16_t error;

    if (c->closed)
        return K_COORDINATOR_NOT_AVAILABLE;
    if (!g || g->count == 0) {
        if (m->generation < 0)
            return K_NONE;
        return g || m->group_known ? K_UNKNOWN_MEMBER_ID : m->no_group;
    }
    if (nobody)
        return m->transactional ? K_NONE : K_UNKNOWN_MEMBER_ID;
    error = member_who(g, m->member_id, m->instance_id, &who);
    if (error != K_NONE)
        return error;
    if (m->generation != g->generation)
        return K_ILLEGAL_GENERATION;
    if (m->transactional)
        return K_NONE;
    if (g->state == COMPLETING)
        return K_REBALANCE_IN_PROGRESS;
    beat(c, who);
    return K_NONE;
}

int16_t coord_forget(struct coord *c, struct str group)
{
    struct cgroup *g = coord_find(c, group);

    if (c->closed)
        return K_COORDINATOR_NOT_AVAILABLE;
    if (g && g->count > 0)
        return K_NON_EMPTY_GROUP;
    if (g)
        cgroup_free(c, g);
    return K_NONE;
}

/* ---- time ---- */

static bool needs_beat(const struct member *m)
{
    return (!m->join && !m->sync) || m->is_new;
}

static int64_t group_next_ms(const struct cgroup *g)
{
    int64_t next = g->deadline_ms;

    for (const struct member *m = g->members; m; m = m->next)
        if (needs_beat(m) && m->deadline_ms < next)
            next = m->deadline_ms;
    for (const struct guest *p = g->guests; p; p = p->next)
        if (p->deadline_ms < next)
            next = p->deadline_ms;
    return next;
}

int64_t coord_next_ms(struct coord *c)
{
    return c->next_ms;
}

/* Members that were not heard of and guests that did not come back. True when somebody went. */
static bool drop_late(struct coord *c, struct cgroup *g, int64_t at)
{
    bool gone = false;

    for (struct member *m = g->members, *next; m; m = next) {
        next = m->next;
        if (needs_beat(m) && m->deadline_ms <= at) {
            member_drop(c, g, m, K_UNKNOWN_MEMBER_ID);
            gone = true;
        }
    }
    for (struct guest *p = g->guests, *next; p; p = next) {
        next = p->next;
        if (p->deadline_ms <= at) {
            guest_take(g, str_of(p->id));
            gone = gone || g->state == PREPARING;
        }
    }
    return gone;
}

/* The time to sync is up: who did not is gone, and the rest begins again. */
static void end_syncing(struct coord *c, struct cgroup *g)
{
    g->deadline_ms = INT64_MAX;
    if (all_synced(g)) // and what the leader said is on its way to the disk
        return;
    for (struct member *m = g->members, *next; m; m = next) {
        next = m->next;
        if (!m->synced)
            member_drop(c, g, m, K_UNKNOWN_MEMBER_ID);
    }
    rebalance(c, g);
}

static void tick(struct coord *c, struct cgroup *g, int64_t at)
{
    bool gone = drop_late(c, g, at);

    if (g->count == 0 && !g->guests) {
        vacate(c, g);
    } else if (g->deadline_ms <= at && g->state == PREPARING) {
        end_joining(c, g);
    } else if (gone) {
        rebalance(c, g);
    } else if (g->deadline_ms <= at) {
        end_syncing(c, g);
    }
}

void coord_tick(struct coord *c)
{
    int64_t at = now(c);
    struct cgroup **late = MEM_ARRAY(struct cgroup *, c->groups.n + 1);
    size_t n = 0;

    for (struct map_it it = {0}; map_next(&c->groups, &it);)
        if (group_next_ms(it.value) <= at)
            late[n++] = it.value;
    for (size_t i = 0; i < n; i++)
        tick(c, late[i], at);
    c->next_ms = INT64_MAX; // what was armed may be long past: members are heard of again and again
    for (struct map_it it = {0}; map_next(&c->groups, &it);)
        (void)due(c, group_next_ms(it.value));
    mem_free(late);
}

/* ---- life ---- */

struct coord *coord_new(const struct coord_options *o)
{
    struct coord *c = MEM_NEW(struct coord);

    c->o = *o;
    if (c->o.max_members == 0)
        c->o.max_members = COORD_MEMBERS_MAX;
    c->next_ms = INT64_MAX;
    return c;
}

void coord_close(struct coord *c)
{
    c->closed = true;
    for (struct map_it it = {0}; map_next(&c->groups, &it);)
        cgroup_free(c, it.value);
}

void coord_free(struct coord *c)
{
    assert(c->groups.n == 0);
    map_fini(&c->groups);
    mem_free(c);
}

void coord_load(struct coord *c, struct str group, const struct group_meta *meta)
{
    struct cgroup *g;

    if (meta->member_count == 0 || !meta->protocol.p || coord_find(c, group))
        return;
    g = cgroup_new(c, group);
    g->state = STABLE;
    g->state_ms = meta->state_ms;
    g->generation = meta->generation;
    g->protocol_type = str_dup(meta->protocol_type);
    g->protocol = str_dup(meta->protocol);
    for (size_t i = 0; i < meta->member_count; i++) {
        const struct group_meta_member *from = &meta->members[i];
        struct coord_client client = {from->client_id, from->client_host};
        struct member *m = member_new(g, from->id, from->instance_id, &client);
        struct k_join_group_req_protocol only = {meta->protocol, from->subscription};
        struct k_join_group_req req = {.session_timeout_ms = from->session_timeout_ms,
                                       .rebalance_timeout_ms = from->rebalance_timeout_ms,
                                       .protocols = &only,
                                       .protocols_n = 1};

        member_subscribe(m, &req);
        member_assign(m, from->assignment);
        m->synced = true;
        beat(c, m);
        if (meta->leader.p && str_eq(m->id, meta->leader))
            g->leader = m;
    }
}
