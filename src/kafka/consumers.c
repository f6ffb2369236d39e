/*
 * What a member is, by its epoch and state:
 *
 *              joins: epoch 0          target is newer               says it has given up
 *    (nobody) ───────────────▶ Stable ────────────────▶ Unrevoked ──────────────────────┐
 *        ▲                      ▲  ▲  │ nothing to give up                              │
 *        │                      │  │  └──────────────────┐                              │
 *        │ leaves, or           │  │                     ▼                              │
 *        │ a time is up         │  └────────────── its target's ◀────────────────────────┘
 *        │                      │   all is free       epoch
 *        └── from all           │                     │ others hold some of it
 *                               │                     ▼
 *                               └──────────────── Unreleased
 *                                  they gave it up
 *
 * Two times may be up: that of its session, which each heartbeat begins anew, and while Unrevoked that of the rebalance, which
 * begins with it.
 */
#include "kafka/consumers.h"

#include "base/mem.h"
#include "kafka/consumers_int.h"

#include <assert.h>
#include <stdio.h>

enum {
    GROUPS_MAX = 10000,
    ID_MAX = 1000,              // bytes of a name or id
    SUBSCRIPTION_MAX = 4 << 20, // bytes of names
};

static int64_t now(struct consumers *c)
{
    return c->o.io.now_ms(c->o.io.arg);
}

/* A request, and what is wrong with it. */
struct beat {
    const struct consumers_client *client;
    const struct k_consumer_beat_req *req;
    void *waiter;
    int16_t error;
    struct str message;
    char text[300]; // that message may point to
    bool says;      // what it owns
    struct parts owned;
};

static bool refuse(struct beat *b, int16_t error, struct str message)
{
    b->error = error;
    b->message = message;
    return false;
}

/* ---- what any request must be ---- */

static bool ids_ok(struct beat *b, int version)
{
    const struct k_consumer_beat_req *q = b->req;
    const struct str ids[] = {q->group, q->member_id, q->instance_id, q->rack_id};

    if ((version >= 1 || q->member_epoch > 0 || q->member_epoch == EPOCH_LEAVES) && q->member_id.n == 0)
        return refuse(b, K_INVALID_REQUEST, STR("MemberId can't be empty."));
    if (q->group.n == 0)
        return refuse(b, K_INVALID_REQUEST, STR("GroupId can't be empty."));
    if (q->instance_id.p && q->instance_id.n == 0)
        return refuse(b, K_INVALID_REQUEST, STR("InstanceId can't be empty."));
    if (q->rack_id.p && q->rack_id.n == 0)
        return refuse(b, K_INVALID_REQUEST, STR("RackId can't be empty."));
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        if (ids[i].n > ID_MAX || (ids[i].n > 0 && str_find(ids[i], '\0') >= 0))
            return refuse(b, i == 0 ? K_INVALID_GROUP_ID : K_INVALID_REQUEST,
                          STR("A name or id has at most 1000 bytes, none of them zero."));
    return true;
}

static bool epoch_ok(struct beat *b)
{
    const struct k_consumer_beat_req *q = b->req;

    if (q->member_epoch == 0) {
        if (q->rebalance_timeout_ms == -1)
            return refuse(b, K_INVALID_REQUEST, STR("RebalanceTimeoutMs must be provided in first request."));
        if (q->owned_n != 0)
            return refuse(b, K_INVALID_REQUEST, STR("TopicPartitions must be empty when (re-)joining."));
        if (q->names_n < 0 && !q->pattern.p)
            return refuse(
                b, K_INVALID_REQUEST,
                STR("SubscribedTopicNames or SubscribedTopicRegex must be there when (re-)joining."));
    }
    if (q->member_epoch == EPOCH_LEAVES_FOR_NOW && !q->instance_id.p)
        return refuse(b, K_INVALID_REQUEST, STR("InstanceId can't be null."));
    if (q->member_epoch < EPOCH_LEAVES_FOR_NOW)
        return refuse(b, K_INVALID_REQUEST, STR("MemberEpoch is invalid."));
    if (q->rebalance_timeout_ms < -1)
        return refuse(b, K_INVALID_REQUEST, STR("RebalanceTimeoutMs is invalid."));
    return true;
}

static bool subscription_ok(struct beat *b)
{
    const struct k_consumer_beat_req *q = b->req;
    struct topic_pattern *p;
    size_t bytes = 0;
    char why[160];

    for (int32_t i = 0; i < q->names_n; i++)
        bytes += q->names[i].n + sizeof(struct str);
    if (bytes > SUBSCRIPTION_MAX)
        return refuse(b, K_INVALID_REQUEST, STR("The subscription is too long."));
    if (q->assignor.p && !assign_find(q->assignor)) {
        (void)snprintf(b->text, sizeof b->text,
                       "ServerAssignor %.*s is not supported. Supported assignors: uniform, range.",
                       q->assignor.n < 100 ? (int)q->assignor.n : 100, q->assignor.p);
        return refuse(b, K_UNSUPPORTED_ASSIGNOR, str_of(b->text));
    }
    if (q->pattern.n == 0)
        return true;
    p = topic_pattern_new(q->pattern, why);
    if (!p) {
        (void)snprintf(b->text, sizeof b->text, "Regular expression `%.*s` is not valid: %s",
                       q->pattern.n < 100 ? (int)q->pattern.n : 100, q->pattern.p, why);
        return refuse(b, K_INVALID_REGULAR_EXPRESSION, str_of(b->text));
    }
    topic_pattern_free(p);
    return true;
}

/* ---- who speaks ---- */

static bool is_part_of(const struct parts *some, const struct parts *all)
{
    for (size_t i = 0; i < some->n; i++)
        if (!parts_have(all, &some->v[i]))
            return false;
    return true;
}

/* The epoch before is right too: the answer with the new one may have been lost, and then it owns nothing that is new. */
static bool epoch_is(struct beat *b, const struct cons_member *m)
{
    int32_t epoch = b->req->member_epoch;

    if (epoch == 0 || epoch == m->epoch ||
        (epoch < m->epoch && epoch == m->previous_epoch && b->says && is_part_of(&b->owned, &m->owned)))
        return true;
    (void)snprintf(
        b->text, sizeof b->text,
        "The member's epoch is %d, and it says %d. The member must abandon all its partitions and rejoin.",
        m->epoch, epoch);
    return refuse(b, K_FENCED_MEMBER_EPOCH, str_of(b->text));
}

static bool has_room(struct consumers *c, struct cons_group *g, struct beat *b)
{
    if (g && (cons_member_of_instance(g, b->req->instance_id) || cons_member_find(g, b->req->member_id)))
        return true;
    if (g ? g->count >= c->o.max_members : c->groups.n >= GROUPS_MAX)
        return refuse(b, K_GROUP_MAX_SIZE_REACHED,
                      STR("The consumer group has reached its maximum capacity of members."));
    return true;
}

static bool unknown(struct beat *b)
{
    (void)snprintf(b->text, sizeof b->text, "There is no such member in the group.");
    return refuse(b, K_UNKNOWN_MEMBER_ID, str_of(b->text));
}

/* The static member of that instance, if it is who it says. */
static struct cons_member *static_member(struct cons_group *g, struct beat *b)
{
    struct cons_member *m = cons_member_of_instance(g, b->req->instance_id);

    if (!m) {
        (void)unknown(b);
        return NULL;
    }
    if (!str_eq(m->id, b->req->member_id)) {
        (void)refuse(b, K_FENCED_INSTANCE_ID, STR("Another member has this instance id."));
        return NULL;
    }
    return m;
}

/* A static member comes: a new one, or in the place of its former self, which must have left before (KIP-848: epoch -2). */
static struct cons_member *static_member_comes(struct cons_group *g, struct beat *b, struct str id)
{
    struct cons_member *m = cons_member_of_instance(g, b->req->instance_id), *other = cons_member_find(g, id);

    if (!m && !other)
        return cons_member_new(g, id);
    if (!m)
        return epoch_is(b, other) ? other : NULL;
    if (m->epoch != EPOCH_LEAVES_FOR_NOW || (other && other != m)) {
        (void)refuse(b, K_UNRELEASED_INSTANCE_ID, STR("The instance id is owned by another member."));
        return NULL;
    }
    cons_member_rename(g, m, id);
    m->epoch = m->previous_epoch = 0;
    return m;
}

static struct cons_member *who(struct cons_group *g, struct beat *b, struct str id)
{
    struct cons_member *m;

    if (b->req->member_epoch == 0 && b->req->instance_id.p)
        return static_member_comes(g, b, id);
    if (b->req->instance_id.p) {
        m = static_member(g, b);
    } else {
        m = cons_member_find(g, id);
        if (!m && b->req->member_epoch == 0)
            return cons_member_new(g, id);
        if (!m)
            (void)unknown(b);
    }
    return m && epoch_is(b, m) ? m : NULL;
}

/* ---- what it says of itself ---- */

static bool set_if(struct str *own, struct str value)
{
    if (!value.p || (own->p && str_eq(*own, value)))
        return false;
    cons_set(own, value);
    return true;
}

static bool same_names(const struct cons_member *m, const struct k_consumer_beat_req *q)
{
    struct cons_member asked = {0};
    bool same = m->name_count == (size_t)q->names_n;

    if (same)
        cons_member_set_names(&asked, q->names, (size_t)q->names_n);
    for (size_t i = 0; same && i < m->name_count; i++)
        same = str_eq(m->names[i], asked.names[i]);
    arena_fini(&asked.subscription);
    return same;
}

/* True: it subscribes otherwise than before. */
static bool update(struct cons_group *g, struct cons_member *m, const struct beat *b)
{
    const struct k_consumer_beat_req *q = b->req;
    bool subscription = false, other = false;

    if (q->instance_id.p && !m->instance_id.p) {
        cons_member_set_instance(g, m, q->instance_id);
        other = true;
    }
    other |= set_if(&m->rack_id, q->rack_id);
    other |= set_if(&m->assignor, q->assignor);
    other |= set_if(&m->client_id, b->client->id.p ? b->client->id : STR(""));
    other |= set_if(&m->client_host, b->client->host);
    if (q->rebalance_timeout_ms != -1 && q->rebalance_timeout_ms != m->rebalance_ms) {
        m->rebalance_ms = q->rebalance_timeout_ms;
        other = true;
    }
    if (q->names_n >= 0 && !same_names(m, q)) {
        cons_member_set_names(m, q->names, (size_t)q->names_n);
        subscription = true;
    }
    if (q->pattern.p && !str_eq(m->pattern, q->pattern)) {
        cons_member_set_pattern(g, m, q->pattern);
        subscription = true;
    }
    if (other || subscription)
        m->dirty |= DIRTY_MEMBER;
    /* What a pattern stands for depends on who asks. */
    if (!m->heard || !str_eq(m->user, b->client->user)) {
        cons_set(&m->user, b->client->user);
        m->heard = true;
        g->seen = m->pattern.p ? 0 : g->seen;
    }
    return subscription;
}

/* ---- the heartbeat ---- */

static void tell_owned(const struct cons_member *m, struct cons_waiting *w)
{
    struct k_consumer_beat_res_assignment *all = ARENA_NEW(&w->arena, struct k_consumer_beat_res_assignment);
    struct k_consumer_partitions *t = NULL;

    all->topics = ARENA_ARRAY(&w->arena, struct k_consumer_partitions, m->owned.n);
    for (size_t i = 0; i < m->owned.n; i++) {
        const struct topic_partition *p = &m->owned.v[i];

        if (!t || uuid_cmp(&t->topic, &p->topic) != 0) {
            t = &all->topics[all->topics_n++];
            t->topic = p->topic;
            t->partitions = ARENA_ARRAY(&w->arena, int32_t, m->owned.n - i);
        }
        t->partitions[t->partitions_n++] = p->partition;
    }
    w->res.assignment = all;
    w->res.assignment_n = 1;
}

static struct cons_waiting *waiting_new(struct consumers *c, const struct beat *b, struct str member_id,
                                        int32_t epoch)
{
    struct cons_waiting *w = MEM_NEW(struct cons_waiting);
    int64_t session_ms;

    w->waiter = b->waiter;
    w->res.member_id = arena_str(&w->arena, member_id);
    w->res.member_epoch = epoch;
    cons_times(c, b->req->group, &session_ms, &w->res.heartbeat_ms);
    if (epoch < 0)
        w->res.heartbeat_ms = 0;
    return w;
}

static bool is_full(const struct k_consumer_beat_req *q)
{
    return q->rebalance_timeout_ms != -1 && (q->names_n >= 0 || q->pattern.p) && q->owned_n >= 0;
}

/* The member comes nearer to the target, which is made anew first when it is not the group's any more. */
static bool reconcile(struct consumers *c, struct cons_group *g, struct cons_member *m, const struct beat *b,
                      bool subscription_changed)
{
    struct parts was = parts_copy(m->owned.v, m->owned.n);
    bool changed, owns_other;

    if (g->epoch > g->target_epoch)
        cons_assign(g);
    changed = cons_member_reconcile(g, m, b->says ? &b->owned : NULL, subscription_changed);
    if (m->state != CONS_UNREVOKED)
        m->revoke_at_ms = INT64_MAX;
    else if (changed)
        m->revoke_at_ms = cons_due(c, now(c) + m->rebalance_ms);
    owns_other = !parts_equal(&was, &m->owned);
    mem_free(was.v);
    return owns_other;
}

static void take_beat(struct consumers *c, struct cons_group *g, struct cons_member *m, const struct beat *b)
{
    bool is_new = m->session_at_ms == INT64_MAX;
    bool subscription = update(g, m, b), other_topics = false;
    struct cons_waiting *w;
    int32_t heartbeat_ms;
    int64_t session_ms;
    bool tell;

    cons_read_topics(c);
    if (is_new || subscription || g->seen != c->topics_version)
        other_topics = cons_refresh(c, g, is_new || subscription ? m : NULL);
    if (is_new || subscription || other_topics || strcmp(cons_choose_assignor(g), g->assignor) != 0)
        cons_bump(g);
    tell = reconcile(c, g, m, b, subscription) || b->req->member_epoch == 0 || is_full(b->req);
    cons_times(c, g->name, &session_ms, &heartbeat_ms);
    m->session_at_ms = cons_due(c, now(c) + session_ms);
    w = waiting_new(c, b, m->id, m->epoch);
    if (tell)
        tell_owned(m, w);
    cons_flush(c, g);
    cons_answer(c, g, w);
}

/* ---- going ---- */

/* After members have gone. An empty group has nothing to assign, so its target is its epoch's. */
static void close_ranks(struct consumers *c, struct cons_group *g)
{
    (void)cons_refresh(c, g, NULL);
    cons_bump(g);
    if (g->count == 0)
        cons_assign(g);
}

static void away_for_now(struct cons_member *m)
{
    m->epoch = EPOCH_LEAVES_FOR_NOW;
    m->revoke_at_ms = INT64_MAX;
    m->dirty |= DIRTY_CURRENT;
}

/* What it had been asked to give up is given up: it has stopped. */
static void leave_for_now(struct cons_group *g, struct cons_member *m)
{
    struct parts owned = parts_copy(m->owned.v, m->owned.n), none = {NULL, 0};
    bool alone = cons_member_hold(g, m, &owned, &none);

    assert(alone);
    away_for_now(m);
    m->state = CONS_STABLE;
}

static bool leave(struct consumers *c, struct cons_group *g, struct beat *b)
{
    struct cons_member *m;

    if (!g)
        return refuse(b, K_GROUP_ID_NOT_FOUND, STR("There is no such consumer group."));
    m = b->req->instance_id.p ? static_member(g, b) : cons_member_find(g, b->req->member_id);
    if (!m)
        return b->error != K_NONE ? false : unknown(b);
    if (b->req->member_epoch == EPOCH_LEAVES_FOR_NOW) {
        leave_for_now(g, m);
    } else {
        cons_member_drop(g, m);
        close_ranks(c, g);
    }
    cons_flush(c, g);
    cons_answer(c, g, waiting_new(c, b, b->req->member_id, b->req->member_epoch));
    return true;
}

/* ---- the request ---- */

static void read_owned(struct beat *b)
{
    const struct k_consumer_beat_req *q = b->req;
    struct topic_partition *v;
    size_t n = 0;

    b->says = q->owned_n >= 0;
    for (int32_t i = 0; i < q->owned_n; i++)
        n += (size_t)q->owned[i].partitions_n;
    v = MEM_ARRAY(struct topic_partition, n + 1);
    n = 0;
    for (int32_t i = 0; i < q->owned_n; i++)
        for (int32_t k = 0; k < q->owned[i].partitions_n; k++)
            v[n++] = (struct topic_partition){q->owned[i].topic, q->owned[i].partitions[k]};
    b->owned = parts_copy(v, n);
    mem_free(v);
}

/* A group that nobody got into is not there. */
static void drop_if_new(struct consumers *c, struct cons_group *g)
{
    if (g->count == 0 && g->epoch == 0 && g->sent == 0)
        cons_group_free(c, g);
}

static bool come(struct consumers *c, struct cons_group *g, struct beat *b)
{
    char random[COORD_MEMBER_ID];
    struct str id = b->req->member_id;
    struct cons_member *m;

    if (!g && b->req->member_epoch != 0)
        return refuse(b, K_GROUP_ID_NOT_FOUND, STR("There is no such consumer group."));
    if (!has_room(c, g, b))
        return false;
    if (id.n == 0) { // version 0 lets the broker choose
        c->o.io.random_id(c->o.io.arg, random);
        id = str_of(random);
    }
    if (!g)
        g = cons_group_new(c, b->req->group);
    m = who(g, b, id);
    if (m)
        take_beat(c, g, m, b);
    else
        drop_if_new(c, g);
    return m != NULL;
}

void consumers_beat(struct consumers *c, const struct consumers_client *client, int version,
                    const struct k_consumer_beat_req *req, void *waiter)
{
    struct beat b = {.client = client, .req = req, .waiter = waiter};
    struct cons_group *g = cons_group_find(c, req->group);
    bool ok;

    read_owned(&b);
    if (c->closed)
        ok = refuse(&b, K_COORDINATOR_NOT_AVAILABLE, STR_NULL);
    else if (!ids_ok(&b, version) || !epoch_ok(&b) || !subscription_ok(&b))
        ok = false;
    else
        ok = req->member_epoch < 0 ? leave(c, g, &b) : come(c, g, &b);
    if (!ok)
        cons_answer_error(c, waiter, b.error, b.message);
    mem_free(b.owned.v);
}

/* ---- time ---- */

static int64_t member_next_ms(const struct cons_member *m)
{
    return m->session_at_ms < m->revoke_at_ms ? m->session_at_ms : m->revoke_at_ms;
}

int64_t consumers_next_ms(struct consumers *c)
{
    return c->next_ms;
}

static void tick(struct consumers *c, struct cons_group *g, int64_t at)
{
    bool gone = false;

    for (struct cons_member *m = g->members, *next; m; m = next) {
        next = m->next;
        if (member_next_ms(m) > at)
            continue;
        cons_member_drop(g, m);
        gone = true;
    }
    if (!gone)
        return;
    close_ranks(c, g);
    cons_flush(c, g);
}

void consumers_tick(struct consumers *c)
{
    int64_t at = now(c);

    c->next_ms = INT64_MAX;
    for (struct map_it it = {0}; map_next(&c->groups, &it);) {
        struct cons_group *g = it.value;

        tick(c, g, at);
        for (const struct cons_member *m = g->members; m; m = m->next)
            (void)cons_due(c, member_next_ms(m));
    }
}

/* ---- life ---- */

struct consumers *consumers_new(const struct consumers_options *o)
{
    struct consumers *c = MEM_NEW(struct consumers);

    c->o = *o;
    if (c->o.session_ms == 0)
        c->o.session_ms = CONSUMERS_SESSION_MS;
    if (c->o.heartbeat_ms == 0)
        c->o.heartbeat_ms = CONSUMERS_HEARTBEAT_MS;
    if (c->o.max_members == 0)
        c->o.max_members = COORD_MEMBERS_MAX;
    c->next_ms = INT64_MAX;
    return c;
}

void consumers_close(struct consumers *c)
{
    c->closed = true;
    for (struct map_it it = {0}; map_next(&c->groups, &it);)
        cons_group_free(c, it.value);
}

void consumers_free(struct consumers *c)
{
    assert(c->groups.n == 0);
    map_fini(&c->groups);
    arena_fini(&c->catalogue);
    mem_free(c);
}
