/* Groups as the log has them. */
#include "kafka/consumers_int.h"

static struct cons_member *member_loaded(struct consumers *c, struct cons_group *g,
                                         const struct consumer_record *r)
{
    struct cons_member *m = cons_member_new(g, r->member);
    int32_t heartbeat_ms;
    int64_t session_ms;

    cons_times(c, g->name, &session_ms, &heartbeat_ms);
    if (r->instance_id.p)
        cons_member_set_instance(g, m, r->instance_id);
    cons_set(&m->rack_id, r->rack_id);
    cons_set(&m->client_id, r->client_id);
    cons_set(&m->client_host, r->client_host);
    cons_set(&m->assignor, r->assignor);
    cons_member_set_names(m, r->names, r->name_count);
    cons_member_set_pattern(g, m, r->pattern);
    m->rebalance_ms = r->rebalance_timeout_ms;
    m->session_at_ms = cons_due(c, c->o.io.now_ms(c->o.io.arg) + session_ms);
    m->dirty = 0;
    return m;
}

/* A state that is newer than we know is as if nothing had been reconciled: the member is fenced when it speaks (Kafka: UNKNOWN). */
static void load_current(struct consumers *c, struct cons_group *g, struct cons_member *m,
                         const struct consumer_record *r)
{
    struct parts owned = parts_copy(r->owned, r->owned_count),
                 revoked = parts_copy(r->revoked, r->revoked_count);

    m->epoch = r->epoch;
    m->previous_epoch = r->previous_epoch;
    m->state = r->state == CONS_UNREVOKED    ? CONS_UNREVOKED
               : r->state == CONS_UNRELEASED ? CONS_UNRELEASED
                                             : CONS_STABLE;
    if (!cons_member_hold(g, m, &owned, &revoked))
        m->dirty |= DIRTY_CURRENT; // only a log that was tampered with has a partition twice
    if (m->state == CONS_UNREVOKED)
        m->revoke_at_ms = cons_due(c, c->o.io.now_ms(c->o.io.arg) + m->rebalance_ms);
}

static void load_one(struct consumers *c, struct cons_group *g, const struct consumer_record *r)
{
    struct cons_member *m = cons_member_find(g, r->member);

    switch (r->kind) {
    case CONSUMER_GROUP:
        g->epoch = r->epoch;
        break;
    case CONSUMER_TARGET_EPOCH:
        g->target_epoch = r->epoch;
        break;
    case CONSUMER_TOPICS:
        g->topics = ARENA_ARRAY(&g->topics_arena, struct consumer_topic, r->topic_count);
        g->topic_count = r->topic_count;
        for (size_t i = 0; i < r->topic_count; i++) {
            g->topics[i] = r->topics[i];
            g->topics[i].name = arena_str(&g->topics_arena, r->topics[i].name);
        }
        break;
    case CONSUMER_TARGET:
        if (m && !m->target.v)
            m->target = parts_copy(r->owned, r->owned_count);
        break;
    case CONSUMER_CURRENT:
        if (m)
            load_current(c, g, m, r);
        break;
    case CONSUMER_MEMBER:
        break; // came first
    }
}

void consumers_load(struct consumers *c, struct str group, const struct consumer_record *r, size_t n)
{
    struct cons_group *g;

    if (n == 0 || cons_group_find(c, group))
        return;
    g = cons_group_new(c, group);
    g->dirty = 0;
    g->rewrite = false;
    for (size_t i = 0; i < n; i++)
        if (r[i].kind == CONSUMER_MEMBER && !cons_member_find(g, r[i].member))
            (void)member_loaded(c, g, &r[i]);
    for (size_t i = 0; i < n; i++)
        load_one(c, g, &r[i]);
    g->assignor = cons_choose_assignor(g);
}
