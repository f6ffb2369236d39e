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

/* ---- all topics ---- */

static int cmp_name(const void *a, const void *b)
{
    const struct consumer_topic *const *x = a, *const *y = b;

    return str_cmp((*x)->name, (*y)->name);
}

static int cmp_id(const void *a, const void *b)
{
    const struct consumer_topic *const *x = a, *const *y = b;

    return uuid_cmp(&(*x)->id, &(*y)->id);
}

void cons_read_topics(struct consumers *c)
{
    uint64_t version = c->o.io.topics_version(c->o.io.arg);
    struct consumer_topic *all;
    size_t n;

    if (version == c->topics_version)
        return;
    arena_reset(&c->catalogue);
    c->o.io.topics(c->o.io.arg, &c->catalogue, &all, &n);
    c->by_name = ARENA_ARRAY(&c->catalogue, const struct consumer_topic *, n);
    c->by_id = ARENA_ARRAY(&c->catalogue, const struct consumer_topic *, n);
    for (size_t i = 0; i < n; i++)
        c->by_name[i] = c->by_id[i] = &all[i];
    if (n > 1) {
        qsort(c->by_name, n, sizeof *c->by_name, cmp_name);
        qsort(c->by_id, n, sizeof *c->by_id, cmp_id);
    }
    c->topic_count = n;
    c->topics_version = version;
}

const struct consumer_topic *cons_topic(const struct consumers *c, const struct log_uuid *id)
{
    struct consumer_topic key = {.id = *id};
    const struct consumer_topic *k = &key, **t = NULL;

    if (c->topic_count > 0)
        t = bsearch(&k, c->by_id, c->topic_count, sizeof *c->by_id, cmp_id);
    return t ? *t : NULL;
}

static const struct consumer_topic *topic_named(const struct consumers *c, struct str name)
{
    struct consumer_topic key = {.name = name};
    const struct consumer_topic *k = &key, **t = NULL;

    if (c->topic_count > 0)
        t = bsearch(&k, c->by_name, c->topic_count, sizeof *c->by_name, cmp_name);
    return t ? *t : NULL;
}

/* ---- patterns ---- */

static void leave_pattern(struct cons_group *g, struct str text)
{
    struct cons_pattern *p = text.p ? map_get(&g->patterns, text) : NULL;

    if (!p || --p->users > 0)
        return;
    (void)map_del(&g->patterns, text);
    topic_pattern_free(p->compiled);
    arena_fini(&p->arena);
    mem_free(p);
}

static void use_pattern(struct cons_group *g, struct str text)
{
    struct cons_pattern *p = map_get(&g->patterns, text);
    char why[160];

    if (!p) {
        p = MEM_NEW(struct cons_pattern);
        p->compiled = topic_pattern_new(text, why); // NULL if another program stored it: it matches nothing
        (void)map_put(&g->patterns, text, p);
    }
    p->users++;
}

void cons_member_set_pattern(struct cons_group *g, struct cons_member *m, struct str pattern)
{
    if (pattern.n == 0)
        pattern = STR_NULL;
    if (pattern.p)
        use_pattern(g, pattern);
    leave_pattern(g, m->pattern);
    cons_set(&m->pattern, pattern);
}

static void match_topics(struct consumers *c, struct cons_pattern *p)
{
    if (p->version == c->topics_version)
        return;
    arena_reset(&p->arena);
    p->matches = ARENA_ARRAY(&p->arena, const struct consumer_topic *, c->topic_count);
    p->match_count = 0;
    for (size_t i = 0; p->compiled && i < c->topic_count; i++)
        if (topic_pattern_matches(p->compiled, c->by_name[i]->name))
            p->matches[p->match_count++] = c->by_name[i];
    p->version = c->topics_version;
}

/* ---- subscriptions ---- */

static int cmp_uuid(const void *a, const void *b)
{
    return uuid_cmp(a, b);
}

static bool already_read(const struct cons_group *g, const struct log_uuid *id)
{
    for (size_t i = 0; i < g->topic_count; i++)
        if (uuid_cmp(&g->topics[i].id, id) == 0)
            return true;
    return false;
}

/* A member that was not heard of since the start may see what the group reads already: nobody knows yet whose it is. */
static bool may_see(const struct consumers *c, const struct cons_group *g, const struct cons_member *m,
                    const struct consumer_topic *t)
{
    if (!m->heard)
        return already_read(g, &t->id);
    return c->o.io.may_see(c->o.io.arg, m->user, m->client_host, t->name);
}

static void resolve(struct consumers *c, const struct cons_group *g, struct cons_member *m)
{
    struct cons_pattern *p = m->pattern.p ? map_get(&g->patterns, m->pattern) : NULL;
    size_t n = 0;

    if (p)
        match_topics(c, p);
    mem_free(m->topics);
    m->topics = MEM_ARRAY(struct log_uuid, m->name_count + (p ? p->match_count : 0) + 1);
    for (size_t i = 0; i < m->name_count; i++) {
        const struct consumer_topic *t = topic_named(c, m->names[i]);

        if (t)
            m->topics[n++] = t->id;
    }
    for (size_t i = 0; p && i < p->match_count; i++)
        if (may_see(c, g, m, p->matches[i]))
            m->topics[n++] = p->matches[i]->id;
    if (n > 1)
        qsort(m->topics, n, sizeof *m->topics, cmp_uuid);
    m->topic_count = 0;
    for (size_t i = 0; i < n; i++)
        if (i == 0 || uuid_cmp(&m->topics[i], &m->topics[i - 1]) != 0)
            m->topics[m->topic_count++] = m->topics[i];
}

/* All that members read, once. */
static size_t read_by_all(const struct cons_group *g, struct arena *a, struct log_uuid **out)
{
    size_t n = 0, all = 0;

    for (const struct cons_member *m = g->members; m; m = m->next)
        all += m->topic_count;
    *out = ARENA_ARRAY(a, struct log_uuid, all);
    all = 0;
    for (const struct cons_member *m = g->members; m; m = m->next)
        for (size_t i = 0; i < m->topic_count; i++)
            (*out)[all++] = m->topics[i];
    if (all > 1)
        qsort(*out, all, sizeof **out, cmp_uuid);
    for (size_t i = 0; i < all; i++)
        if (i == 0 || uuid_cmp(&(*out)[i], &(*out)[i - 1]) != 0)
            (*out)[n++] = (*out)[i];
    return n;
}

static bool same_topics(const struct cons_group *g, const struct consumer_topic *t, size_t n)
{
    if (n != g->topic_count)
        return false;
    for (size_t i = 0; i < n; i++)
        if (uuid_cmp(&t[i].id, &g->topics[i].id) != 0 || t[i].partitions != g->topics[i].partitions)
            return false;
    return true;
}

bool cons_refresh(struct consumers *c, struct cons_group *g, struct cons_member *changed)
{
    struct arena a = {0};
    struct log_uuid *ids;
    struct consumer_topic *now;
    bool differ;
    size_t n;

    cons_read_topics(c);
    for (struct cons_member *m = g->members; m; m = m->next)
        if (m == changed || g->seen != c->topics_version)
            resolve(c, g, m);
    g->seen = c->topics_version;
    n = read_by_all(g, &a, &ids);
    now = ARENA_ARRAY(&a, struct consumer_topic, n);
    for (size_t i = 0; i < n; i++)
        now[i] = *cons_topic(c, &ids[i]);
    differ = !same_topics(g, now, n);
    if (differ) {
        arena_reset(&g->topics_arena);
        g->topics = arena_copy(&g->topics_arena, now, n * sizeof *now);
        g->topic_count = n;
        for (size_t i = 0; i < n; i++)
            g->topics[i].name = arena_str(&g->topics_arena, now[i].name);
        g->dirty |= DIRTY_TOPICS;
    }
    arena_fini(&a);
    return differ;
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
