/* The topics there are, and which of them the subscriptions stand for. */
#include "base/mem.h"
#include "kafka/consumers_int.h"

#include <stdlib.h>

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
        cons_pattern_match(c, p);
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
