#include "kafka/consumers_int.h"

#include <stdlib.h>

/* ---- for the other APIs ---- */

bool consumers_is_known(struct consumers *c, struct str group)
{
    return cons_group_find(c, group) != NULL;
}

int16_t consumers_may_commit(struct consumers *c, const struct coord_commit *m, bool knows_epochs)
{
    const struct cons_group *g = cons_group_find(c, m->group);
    const struct cons_member *who;

    if (c->closed)
        return K_COORDINATOR_NOT_AVAILABLE;
    if (!g || (m->generation < 0 && g->count == 0))
        return K_NONE;
    if (m->transactional && m->generation < 0 && m->member_id.n == 0 && !m->instance_id.p)
        return K_NONE;
    who = cons_member_find(g, m->member_id);
    if (!who)
        return K_UNKNOWN_MEMBER_ID;
    if (!m->transactional && !knows_epochs)
        return K_UNSUPPORTED_VERSION;
    if (m->generation == who->epoch)
        return K_NONE;
    return m->transactional ? K_ILLEGAL_GENERATION : K_STALE_MEMBER_EPOCH;
}

int16_t consumers_may_fetch(struct consumers *c, struct str group, struct str member_id, int32_t epoch)
{
    const struct cons_group *g = cons_group_find(c, group);
    const struct cons_member *who;

    if (!g || (!member_id.p && epoch < 0))
        return K_NONE;
    who = cons_member_find(g, member_id);
    if (!who)
        return K_UNKNOWN_MEMBER_ID;
    return who->epoch == epoch ? K_NONE : K_STALE_MEMBER_EPOCH;
}

bool consumers_reads(struct consumers *c, struct str group, struct str topic, struct coord_reads *out)
{
    const struct cons_group *g = cons_group_find(c, group);

    if (!g || g->count == 0)
        return false;
    *out = (struct coord_reads){.consumers = true, .stable = true};
    for (size_t i = 0; i < g->topic_count && !out->subscribed; i++)
        out->subscribed = str_eq(g->topics[i].name, topic);
    return true;
}

int16_t consumers_forget(struct consumers *c, struct str group)
{
    struct cons_group *g = cons_group_find(c, group);

    if (!g || c->closed)
        return g ? K_COORDINATOR_NOT_AVAILABLE : K_NONE;
    if (g->count > 0)
        return K_NON_EMPTY_GROUP;
    if (g->sent != g->stored) // what is on its way would come after the end
        return K_COORDINATOR_NOT_AVAILABLE;
    cons_group_free(c, g);
    return K_NONE;
}

void consumers_tidy(struct consumers *c, bool (*is_stored)(void *arg, struct str group))
{
    for (struct map_it it = {0}; map_next(&c->groups, &it);) {
        struct cons_group *g = it.value;

        if (g->count == 0 && g->sent == g->stored && !is_stored(c->o.io.arg, g->name))
            cons_group_free(c, g);
    }
}

/* ---- telling ---- */

static struct str state_of(const struct cons_group *g)
{
    if (g->count == 0)
        return STR("Empty");
    if (g->epoch > g->target_epoch)
        return STR("Assigning");
    for (const struct cons_member *m = g->members; m; m = m->next)
        if (m->state != CONS_STABLE || m->epoch != g->target_epoch)
            return STR("Reconciling");
    return STR("Stable");
}

/* A topic that is not there any more has no name: it is left out, as Kafka does. */
static struct str name_of(struct consumers *c, const struct cons_group *g, const struct log_uuid *id)
{
    const struct consumer_topic *t = cons_topic(c, id);

    for (size_t i = 0; !t && i < g->topic_count; i++)
        if (uuid_cmp(&g->topics[i].id, id) == 0)
            return g->topics[i].name;
    return t ? t->name : STR_NULL;
}

struct told {
    struct k_consumer_describe_res_topic *topics;
    int32_t n;
};

static struct told tell_parts(struct consumers *c, const struct cons_group *g, const struct parts *p,
                              struct arena *a)
{
    struct told told = {ARENA_ARRAY(a, struct k_consumer_describe_res_topic, p->n), 0};
    struct k_consumer_describe_res_topic *t = NULL;

    for (size_t i = 0; i < p->n; i++) {
        struct str name = name_of(c, g, &p->v[i].topic);

        if (!name.p)
            continue;
        if (!t || uuid_cmp(&t->id, &p->v[i].topic) != 0) {
            t = &told.topics[told.n++];
            t->id = p->v[i].topic;
            t->name = arena_str(a, name);
            t->partitions = ARENA_ARRAY(a, int32_t, p->n - i);
        }
        t->partitions[t->partitions_n++] = p->v[i].partition;
    }
    return told;
}

static void tell_member(struct consumers *c, const struct cons_group *g, const struct cons_member *m,
                        struct arena *a, struct k_consumer_describe_res_member *out)
{
    struct told owned = tell_parts(c, g, &m->owned, a), target = tell_parts(c, g, &m->target, a);

    *out = (struct k_consumer_describe_res_member){.id = arena_str(a, m->id),
                                                   .instance_id = arena_str(a, m->instance_id),
                                                   .rack_id = arena_str(a, m->rack_id),
                                                   .epoch = m->epoch,
                                                   .client_id = arena_str(a, m->client_id),
                                                   .client_host = arena_str(a, m->client_host),
                                                   .names = ARENA_ARRAY(a, struct str, m->name_count),
                                                   .names_n = (int32_t)m->name_count,
                                                   .pattern = arena_str(a, m->pattern),
                                                   .assignment = owned.topics,
                                                   .assignment_n = owned.n,
                                                   .target = target.topics,
                                                   .target_n = target.n,
                                                   .type = 1}; // of this protocol
    for (size_t i = 0; i < m->name_count; i++)
        out->names[i] = arena_str(a, m->names[i]);
}

bool consumers_describe(struct consumers *c, struct str group, struct arena *a,
                        struct k_consumer_describe_res_group *out)
{
    const struct cons_group *g = cons_group_find(c, group);

    if (!g)
        return false;
    cons_read_topics(c);
    *out = (struct k_consumer_describe_res_group){
        .group = group,
        .state = state_of(g),
        .epoch = g->epoch,
        .assignment_epoch = g->target_epoch,
        .assignor = str_of(cons_choose_assignor(g)),
        .members = ARENA_ARRAY(a, struct k_consumer_describe_res_member, g->count),
        .operations = INT32_MIN};
    for (const struct cons_member *m = g->members; m; m = m->next)
        tell_member(c, g, m, a, &out->members[out->members_n++]);
    return true;
}

void consumers_list(struct consumers *c, struct arena *a, struct k_list_groups_res_group **out, size_t *count)
{
    *count = 0;
    *out = ARENA_ARRAY(a, struct k_list_groups_res_group, c->groups.n);
    for (struct map_it it = {0}; map_next(&c->groups, &it);) {
        const struct cons_group *g = it.value;

        (*out)[(*count)++] = (struct k_list_groups_res_group){.group = arena_str(a, g->name),
                                                              .protocol_type = STR("consumer"),
                                                              .state = state_of(g),
                                                              .type = STR("consumer")};
    }
}
