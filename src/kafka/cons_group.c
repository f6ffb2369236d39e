#include "base/mem.h"
#include "kafka/consumers_int.h"

#include <stdlib.h>

/* ---- groups ---- */

struct cons_group *cons_group_find(const struct consumers *c, struct str name)
{
    return map_get(&c->groups, name);
}

struct cons_group *cons_group_new(struct consumers *c, struct str name)
{
    struct cons_group *g = MEM_NEW(struct cons_group);

    cons_set(&g->name, name);
    g->assignor = ASSIGN_DEFAULT;
    g->dirty = DIRTY_GROUP | DIRTY_TOPICS | DIRTY_TARGET_EPOCH;
    g->rewrite = true; // another group of this name may have left something
    g->waiting_tail = &g->waiting;
    (void)map_put(&c->groups, name, g);
    return g;
}

void cons_group_free(struct consumers *c, struct cons_group *g)
{
    struct cons_waiting *w;
    struct parts_gone *gone;

    (void)map_del(&c->groups, g->name);
    while ((w = g->waiting) != NULL) {
        g->waiting = w->next;
        cons_answer_error(c, w->waiter, K_COORDINATOR_NOT_AVAILABLE, STR_NULL);
        arena_fini(&w->arena);
        mem_free(w);
    }
    while (g->members)
        cons_member_free(g, g->members);
    while ((gone = g->gone) != NULL) {
        g->gone = gone->next;
        mem_free(gone->id);
        mem_free(gone);
    }
    map_fini(&g->by_id);
    map_fini(&g->by_instance);
    map_fini(&g->patterns);
    map_fini(&g->owners);
    arena_fini(&g->topics_arena);
    cons_set(&g->name, STR_NULL);
    mem_free(g);
}

void cons_bump(struct cons_group *g)
{
    g->epoch++;
    g->dirty |= DIRTY_GROUP;
}

/* ---- the target ---- */

/* What most of those that mind want. */
const char *cons_choose_assignor(const struct cons_group *g)
{
    size_t uniform = 0, range = 0;

    for (const struct cons_member *m = g->members; m; m = m->next) {
        uniform += m->assignor.p && str_is(m->assignor, "uniform");
        range += m->assignor.p && str_is(m->assignor, "range");
    }
    return range > uniform ? "range" : ASSIGN_DEFAULT;
}

void cons_assign(struct cons_group *g)
{
    struct arena a = {0};
    struct assign_topic *topics = ARENA_ARRAY(&a, struct assign_topic, g->topic_count);
    struct assign_member *members = ARENA_ARRAY(&a, struct assign_member, g->count);
    size_t n = 0;

    for (size_t i = 0; i < g->topic_count; i++)
        topics[i] = (struct assign_topic){g->topics[i].id, g->topics[i].partitions};
    for (const struct cons_member *m = g->members; m; m = m->next)
        members[n++] = (struct assign_member){.id = m->id,
                                              .instance_id = m->instance_id,
                                              .topics = m->topics,
                                              .topic_count = m->topic_count,
                                              .had = m->target.v,
                                              .had_count = m->target.n};
    g->assignor = cons_choose_assignor(g);
    assign_find(str_of(g->assignor))(topics, g->topic_count, members, n, &a);
    n = 0;
    for (struct cons_member *m = g->members; m; m = m->next, n++) {
        struct parts target = {members[n].gets, members[n].gets_count};

        if (parts_equal(&target, &m->target))
            continue;
        mem_free(m->target.v);
        m->target = parts_copy(target.v, target.n);
        m->dirty |= DIRTY_TARGET;
    }
    arena_fini(&a);
    g->target_epoch = g->epoch;
    g->dirty |= DIRTY_TARGET_EPOCH;
}
