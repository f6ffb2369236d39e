#include "base/mem.h"
#include "base/rd.h"
#include "kafka/coord_int.h"

#include <assert.h>

/* ---- answers ---- */

void coord_join_error(struct coord *c, void *waiter, int16_t error, struct str member_id)
{
    c->o.io.joined(waiter, &(struct k_join_group_res){.error = error,
                                                      .generation = -1,
                                                      .protocol = STR(""),
                                                      .leader = STR(""),
                                                      .member_id = member_id});
}

void coord_fail_join(struct coord *c, struct member *m, int16_t error)
{
    void *waiter = m->join;

    m->join = NULL;
    if (waiter)
        coord_join_error(c, waiter, error, m->id);
}

void coord_fail_sync(struct coord *c, struct member *m, int16_t error)
{
    void *waiter = m->sync;

    m->sync = NULL;
    if (waiter)
        c->o.io.synced(waiter, &(struct k_sync_group_res){.error = error});
}

/* ---- members ---- */

struct member *member_find(const struct cgroup *g, struct str id)
{
    for (struct member *m = g->members; m; m = m->next)
        if (str_eq(m->id, id))
            return m;
    return NULL;
}

struct member *member_of_instance(const struct cgroup *g, struct str instance_id)
{
    for (struct member *m = g->members; m && instance_id.p; m = m->next)
        if (m->instance_id.p && str_eq(m->instance_id, instance_id))
            return m;
    return NULL;
}

int16_t member_who(const struct cgroup *g, struct str id, struct str instance_id, struct member **out)
{
    struct member *m = member_of_instance(g, instance_id);

    if (m && !str_eq(m->id, id))
        return K_FENCED_INSTANCE_ID;
    if (instance_id.p && !m)
        return K_UNKNOWN_MEMBER_ID;
    *out = member_find(g, id);
    return *out ? K_NONE : K_UNKNOWN_MEMBER_ID;
}

void member_assign(struct member *m, struct str bytes)
{
    mem_free(m->assignment);
    m->assignment = bytes.n > 0 ? mem_copy(bytes.p, bytes.n) : NULL;
    m->assignment_n = bytes.n;
}

void member_subscribe(struct member *m, const struct k_join_group_req *req)
{
    m->session_ms = req->session_timeout_ms;
    m->rebalance_ms = req->rebalance_timeout_ms < 0 ? req->session_timeout_ms : req->rebalance_timeout_ms;
    arena_reset(&m->subscription);
    m->protocol_count = req->protocols_n;
    m->protocols = ARENA_ARRAY(&m->subscription, struct protocol, (size_t)req->protocols_n);
    for (int32_t i = 0; i < req->protocols_n; i++)
        m->protocols[i] = (struct protocol){arena_str(&m->subscription, req->protocols[i].name),
                                            arena_str(&m->subscription, req->protocols[i].metadata)};
}

bool member_subscribed_so(const struct member *m, const struct k_join_group_req *req)
{
    bool same = m->protocol_count == req->protocols_n;

    for (int32_t i = 0; same && i < req->protocols_n; i++)
        same = str_eq(m->protocols[i].name, req->protocols[i].name) &&
               str_eq(m->protocols[i].metadata, req->protocols[i].metadata);
    return same;
}

struct str member_metadata(const struct member *m, const char *protocol)
{
    for (int32_t i = 0; i < m->protocol_count; i++)
        if (str_is(m->protocols[i].name, protocol))
            return m->protocols[i].metadata;
    return STR("");
}

bool member_knows(const struct member *m, struct str protocol)
{
    for (int32_t i = 0; i < m->protocol_count; i++)
        if (str_eq(m->protocols[i].name, protocol))
            return true;
    return false;
}

static void set_names(struct member *m, struct str id, struct str instance_id,
                      const struct coord_client *client)
{
    m->id = arena_str(&m->arena, id);
    m->instance_id = arena_str(&m->arena, instance_id);
    m->client_id = arena_str(&m->arena, client->id.p ? client->id : STR(""));
    m->client_host = arena_str(&m->arena, client->host);
}

struct member *member_new(struct cgroup *g, struct str id, struct str instance_id,
                          const struct coord_client *client)
{
    struct member *m = MEM_NEW(struct member), **at = &g->members;

    set_names(m, id, instance_id, client);
    while (*at)
        at = &(*at)->next;
    *at = m;
    g->count++;
    if (!g->leader)
        g->leader = m;
    return m;
}

void member_rename(struct member *m, struct str id, const struct coord_client *client)
{
    struct arena old = m->arena;

    m->arena = (struct arena){0};
    m->former_id = arena_str(&m->arena, m->id);
    set_names(m, id, m->instance_id, client);
    arena_fini(&old);
}

static void member_free(struct member *m)
{
    arena_fini(&m->arena);
    arena_fini(&m->subscription);
    mem_free(m->assignment);
    mem_free(m);
}

void member_drop(struct coord *c, struct cgroup *g, struct member *m, int16_t error)
{
    struct member **at = &g->members;

    while (*at != m)
        at = &(*at)->next;
    *at = m->next;
    g->count--;
    if (g->leader == m)
        g->leader = g->members;
    coord_fail_join(c, m, error);
    coord_fail_sync(c, m, error);
    member_free(m);
}

/* ---- guests ---- */

void guest_add(struct cgroup *g, struct str id, int64_t deadline_ms)
{
    struct guest *p = MEM_NEW(struct guest);

    p->id = str_dup(id);
    p->deadline_ms = deadline_ms;
    p->next = g->guests;
    g->guests = p;
}

bool guest_take(struct cgroup *g, struct str id)
{
    for (struct guest **at = &g->guests, *p; (p = *at); at = &p->next) {
        if (!str_is(id, p->id))
            continue;
        *at = p->next;
        mem_free(p->id);
        mem_free(p);
        return true;
    }
    return false;
}

size_t guest_count(const struct cgroup *g)
{
    size_t n = 0;

    for (const struct guest *p = g->guests; p; p = p->next)
        n++;
    return n;
}

/* ---- groups ---- */

struct cgroup *coord_find(const struct coord *c, struct str name)
{
    return map_get(&c->groups, name);
}

void cgroup_free(struct coord *c, struct cgroup *g)
{
    map_del(&c->groups, str_of(g->name));
    while (g->members)
        member_drop(c, g, g->members, K_COORDINATOR_NOT_AVAILABLE);
    while (g->guests)
        guest_take(g, str_of(g->guests->id));
    mem_free(g->name);
    mem_free(g->protocol_type);
    mem_free(g->protocol);
    mem_free(g);
}

struct cgroup *cgroup_new(struct coord *c, struct str name)
{
    struct cgroup *g = MEM_NEW(struct cgroup);

    g->name = str_dup(name);
    g->state = PREPARING;
    g->deadline_ms = INT64_MAX;
    map_put(&c->groups, name, g);
    return g;
}

void cgroup_meta(const struct cgroup *g, struct arena *a, struct group_meta *out)
{
    *out = (struct group_meta){.protocol_type = str_of(g->protocol_type),
                               .generation = g->generation,
                               .protocol = str_of(g->protocol),
                               .leader = g->leader ? g->leader->id : STR_NULL,
                               .state_ms = g->state_ms,
                               .members = ARENA_ARRAY(a, struct group_meta_member, g->count)};
    for (const struct member *m = g->members; m; m = m->next)
        out->members[out->member_count++] =
            (struct group_meta_member){.id = m->id,
                                       .instance_id = m->instance_id,
                                       .client_id = m->client_id,
                                       .client_host = m->client_host,
                                       .rebalance_timeout_ms = (int32_t)m->rebalance_ms,
                                       .session_timeout_ms = (int32_t)m->session_ms,
                                       .subscription = member_metadata(m, g->protocol),
                                       .assignment = str_from(m->assignment, m->assignment_n)};
}

static bool all_know(const struct cgroup *g, struct str protocol)
{
    for (const struct member *m = g->members; m; m = m->next)
        if (!member_knows(m, protocol))
            return false;
    return true;
}

/* What one member likes best among the common ones. */
static size_t favourite(const struct member *m, const struct str *common, size_t n)
{
    for (int32_t i = 0; i < m->protocol_count; i++)
        for (size_t j = 0; j < n; j++)
            if (str_eq(m->protocols[i].name, common[j]))
                return j;
    return 0;
}

struct str cgroup_choose(const struct cgroup *g)
{
    struct str common[PROTOCOLS_MAX];
    size_t votes[PROTOCOLS_MAX] = {0}, n = 0, best = 0;

    for (int32_t i = 0; i < g->members->protocol_count; i++)
        if (all_know(g, g->members->protocols[i].name))
            common[n++] = g->members->protocols[i].name;
    assert(n > 0); // coord_join() lets nobody in who does not fit
    for (const struct member *m = g->members; m; m = m->next)
        votes[favourite(m, common, n)]++;
    for (size_t i = 1; i < n; i++)
        if (votes[i] > votes[best])
            best = i;
    return common[best];
}

/* ---- subscriptions ---- */

/*
 * ConsumerProtocolSubscription: a version, then in every version the topics. Only what the clients' assignors wrote is asked,
 * so bytes that are something else are no error: nothing is known then, which is as if all was read.
 */
static bool subscribes(struct str metadata, struct str topic)
{
    struct rd r = rd_str(metadata);
    bool found = false;
    size_t n;

    (void)rd_i16(&r);
    n = rd_count(&r, rd_i32(&r), 2);
    for (size_t i = 0; i < n && rd_ok(&r) && !found; i++) {
        int16_t length = rd_i16(&r);
        struct str name = length < 0 ? STR_NULL : rd_bytes(&r, (size_t)length);

        found = rd_ok(&r) && str_eq(name, topic);
    }
    return found || !rd_ok(&r);
}

bool coord_reads(struct coord *c, struct str group, struct str topic, struct coord_reads *out)
{
    const struct cgroup *g = coord_find(c, group);

    if (!g || g->count == 0)
        return false;
    *out = (struct coord_reads){.consumers = str_is(str_of(g->protocol_type), "consumer"),
                                .stable = g->state == STABLE,
                                .subscribed = !g->protocol};
    for (const struct member *m = g->members; m && g->protocol && !out->subscribed; m = m->next)
        out->subscribed = subscribes(member_metadata(m, g->protocol), topic);
    return true;
}

bool coord_is_known(struct coord *c, struct str group)
{
    return coord_find(c, group) != NULL;
}

/* ---- telling ---- */

static struct str state_name(const struct cgroup *g)
{
    switch (g->state) {
    case PREPARING:
        return g->count > 0 ? STR("PreparingRebalance") : STR("Empty");
    case COMPLETING:
        return STR("CompletingRebalance");
    case STABLE:
        return STR("Stable");
    }
    return STR("");
}

bool coord_describe(struct coord *c, struct str group, struct arena *a,
                    struct k_describe_groups_res_group *out)
{
    const struct cgroup *g = coord_find(c, group);

    if (!g)
        return false;
    *out = (struct k_describe_groups_res_group){.group = group,
                                                .state = state_name(g),
                                                .protocol_type = arena_str(a, str_of(g->protocol_type)),
                                                .operations = INT32_MIN};
    if (g->state == STABLE)
        out->protocol = arena_str(a, str_of(g->protocol));
    out->members = ARENA_ARRAY(a, struct k_describe_groups_res_member, g->count);
    for (const struct member *m = g->members; m; m = m->next)
        out->members[out->members_n++] = (struct k_describe_groups_res_member){
            .id = arena_str(a, m->id),
            .instance_id = arena_str(a, m->instance_id),
            .client_id = arena_str(a, m->client_id),
            .client_host = arena_str(a, m->client_host),
            .metadata = g->state == STABLE ? arena_str(a, member_metadata(m, g->protocol)) : STR(""),
            .assignment =
                g->state == STABLE ? arena_str(a, str_from(m->assignment, m->assignment_n)) : STR("")};
    return true;
}

void coord_list(struct coord *c, struct arena *a, struct k_list_groups_res_group **out, size_t *count)
{
    *count = 0;
    *out = ARENA_ARRAY(a, struct k_list_groups_res_group, c->groups.n);
    for (struct map_it it = {0}; map_next(&c->groups, &it);) {
        const struct cgroup *g = it.value;

        (*out)[(*count)++] =
            (struct k_list_groups_res_group){.group = arena_str(a, str_of(g->name)),
                                             .protocol_type = arena_str(a, str_of(g->protocol_type)),
                                             .state = state_name(g),
                                             .type = STR("classic")};
    }
}
