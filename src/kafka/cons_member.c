#include "base/be.h"
#include "base/mem.h"
#include "kafka/consumers_int.h"

#include <assert.h>
#include <stdlib.h>

/* ---- who they are ---- */

struct cons_member *cons_member_find(const struct cons_group *g, struct str id)
{
    return map_get(&g->by_id, id);
}

struct cons_member *cons_member_of_instance(const struct cons_group *g, struct str instance_id)
{
    return instance_id.p ? map_get(&g->by_instance, instance_id) : NULL;
}

struct cons_member *cons_member_new(struct cons_group *g, struct str id)
{
    struct cons_member *m = MEM_NEW(struct cons_member), **at = &g->members;

    cons_set(&m->id, id);
    cons_set(&m->client_id, STR(""));
    cons_set(&m->client_host, STR(""));
    m->rebalance_ms = -1;
    m->session_at_ms = m->revoke_at_ms = INT64_MAX;
    m->dirty = DIRTY_ALL;
    while (*at)
        at = &(*at)->next;
    *at = m;
    g->count++;
    (void)map_put(&g->by_id, id, m);
    return m;
}

void cons_member_set_instance(struct cons_group *g, struct cons_member *m, struct str instance_id)
{
    cons_set(&m->instance_id, instance_id);
    if (instance_id.p)
        (void)map_put(&g->by_instance, instance_id, m);
}

static int cmp_names(const void *a, const void *b)
{
    const struct str *x = a, *y = b;

    return str_cmp(*x, *y);
}

void cons_member_set_names(struct cons_member *m, const struct str *names, size_t n)
{
    arena_reset(&m->subscription);
    m->names = ARENA_ARRAY(&m->subscription, struct str, n);
    m->name_count = n;
    for (size_t i = 0; i < n; i++)
        m->names[i] = arena_str(&m->subscription, names[i]);
    if (n > 1)
        qsort(m->names, n, sizeof *m->names, cmp_names);
}

static void will_go(struct cons_group *g, struct str id)
{
    struct parts_gone *p = MEM_NEW(struct parts_gone);

    p->id = str_dup(id);
    p->next = g->gone;
    g->gone = p;
}

void cons_member_free(struct cons_group *g, struct cons_member *m)
{
    struct cons_member **at = &g->members;
    struct parts none[2] = {{NULL, 0}, {NULL, 0}};

    (void)cons_member_hold(g, m, &none[0], &none[1]);
    cons_member_set_pattern(g, m, STR_NULL);
    while (*at != m)
        at = &(*at)->next;
    *at = m->next;
    g->count--;
    (void)map_del(&g->by_id, m->id);
    if (m->instance_id.p && map_get(&g->by_instance, m->instance_id) == m)
        (void)map_del(&g->by_instance, m->instance_id);
    for (struct str *s[] = {&m->id, &m->instance_id, &m->rack_id, &m->client_id, &m->client_host,
                            &m->assignor, &m->user},
                    **p = s;
         p < s + ARRAY_LEN(s); p++)
        cons_set(*p, STR_NULL);
    arena_fini(&m->subscription);
    mem_free(m->topics);
    mem_free(m->target.v);
    mem_free(m);
}

void cons_member_drop(struct cons_group *g, struct cons_member *m)
{
    will_go(g, m->id);
    cons_member_free(g, m);
}

void cons_member_rename(struct cons_group *g, struct cons_member *m, struct str id)
{
    if (!str_eq(m->id, id)) {
        will_go(g, m->id);
        (void)map_del(&g->by_id, m->id);
        cons_set(&m->id, id);
        (void)map_put(&g->by_id, id, m);
    }
    m->dirty = DIRTY_ALL;
}

/* ---- what they hold ---- */

struct owner_key {
    char b[sizeof(struct log_uuid) + 4];
};

static struct str key_of(const struct topic_partition *p, struct owner_key *k)
{
    memcpy(k->b, p->topic.b, sizeof p->topic.b);
    be_put32(k->b + sizeof p->topic.b, (uint32_t)p->partition);
    return str_from(k->b, sizeof k->b);
}

static struct cons_member *owner_of(const struct cons_group *g, const struct topic_partition *p)
{
    struct owner_key k;

    return map_get(&g->owners, key_of(p, &k));
}

static void let_go(struct cons_group *g, struct parts *p)
{
    struct owner_key k;

    for (size_t i = 0; i < p->n; i++)
        (void)map_del(&g->owners, key_of(&p->v[i], &k));
    mem_free(p->v);
    *p = (struct parts){NULL, 0};
}

/* What another one holds is left out. */
static bool take(struct cons_group *g, struct cons_member *m, struct parts *p)
{
    struct owner_key k;
    size_t n = 0;
    bool all;

    for (size_t i = 0; i < p->n; i++)
        if (!owner_of(g, &p->v[i])) {
            (void)map_put(&g->owners, key_of(&p->v[i], &k), m);
            p->v[n++] = p->v[i];
        }
    all = n == p->n;
    p->n = n;
    return all;
}

bool cons_member_hold(struct cons_group *g, struct cons_member *m, struct parts *owned, struct parts *revoked)
{
    bool ok;

    let_go(g, &m->owned);
    let_go(g, &m->revoked);
    m->owned = *owned;
    m->revoked = *revoked;
    ok = take(g, m, &m->owned);
    return take(g, m, &m->revoked) && ok;
}

/* ---- coming to the target ---- */

/* Whether it still reads any of these, by what it says; a member that says nothing has not changed anything. */
static bool still_owns(const struct parts *says, const struct parts *p)
{
    for (size_t i = 0; says && i < p->n; i++)
        if (parts_have(says, &p->v[i]))
            return true;
    return !says && p->n > 0;
}

static void add(struct parts *p, const struct topic_partition *at)
{
    p->v[p->n++] = *at;
}

static bool become(struct cons_group *g, struct cons_member *m, enum cons_state state, int32_t epoch,
                   struct parts next[2])
{
    bool same = m->state == state && m->epoch == epoch && parts_equal(&m->owned, &next[0]) &&
                parts_equal(&m->revoked, &next[1]);
    bool alone;

    if (same) {
        mem_free(next[0].v);
        mem_free(next[1].v);
        return false;
    }
    m->previous_epoch = m->epoch;
    m->epoch = epoch;
    m->state = state;
    m->dirty |= DIRTY_CURRENT;
    alone = cons_member_hold(g, m, &next[0], &next[1]);
    assert(alone); // no partition is two members'
    return true;
}

/*
 * What is not in the target is given up first, then comes what is. A partition that the member itself is giving up counts as free: it
 * has done so, or this would not be asked.
 */
static bool next_assignment(struct cons_group *g, struct cons_member *m, const struct parts *says)
{
    size_t n = m->owned.n + m->target.n + 1;
    struct parts next[2] = {{MEM_ARRAY(struct topic_partition, n), 0},
                            {MEM_ARRAY(struct topic_partition, n), 0}};
    struct parts *owned = &next[0], *revoked = &next[1];
    bool unreleased = false;
    struct topic_partition *sorted;

    for (size_t i = 0; i < m->owned.n; i++) {
        const struct topic_partition *p = &m->owned.v[i];
        bool stays = parts_have(&m->target, p) && uuid_among(m->topics, m->topic_count, &p->topic);

        add(stays ? owned : revoked, p);
    }
    if (still_owns(says, revoked))
        return become(g, m, CONS_UNREVOKED, m->epoch, next);
    revoked->n = 0;
    for (size_t i = 0; i < m->target.n; i++) {
        const struct topic_partition *p = &m->target.v[i];
        const struct cons_member *holder = owner_of(g, p);

        if (!uuid_among(m->topics, m->topic_count, &p->topic) || parts_have(&m->owned, p))
            continue;
        if (!holder || (holder == m && parts_have(&m->revoked, p)))
            add(owned, p);
        else
            unreleased = true;
    }
    sorted = owned->v;
    *owned = parts_copy(owned->v, owned->n);
    mem_free(sorted);
    return become(g, m, unreleased ? CONS_UNRELEASED : CONS_STABLE, g->target_epoch, next);
}

/* At the same epoch, what it does not subscribe to any more is given up. */
static bool drop_unsubscribed(struct cons_group *g, struct cons_member *m, const struct parts *says)
{
    size_t n = m->owned.n + m->revoked.n + 1;
    struct parts next[2] = {{MEM_ARRAY(struct topic_partition, n), 0},
                            {MEM_ARRAY(struct topic_partition, n), 0}};
    struct topic_partition *sorted;
    enum cons_state state = m->state;

    for (size_t i = 0; i < m->revoked.n; i++)
        add(&next[1], &m->revoked.v[i]);
    for (size_t i = 0; i < m->owned.n; i++)
        add(uuid_among(m->topics, m->topic_count, &m->owned.v[i].topic) ? &next[0] : &next[1],
            &m->owned.v[i]);
    sorted = next[1].v;
    next[1] = parts_copy(next[1].v, next[1].n);
    mem_free(sorted);
    if (still_owns(says, &next[1]))
        state = CONS_UNREVOKED;
    else if (state != CONS_UNREVOKED)
        next[1].n = 0;
    return become(g, m, state, m->epoch, next);
}

bool cons_member_reconcile(struct cons_group *g, struct cons_member *m, const struct parts *says,
                           bool subscription_changed)
{
    switch (m->state) {
    case CONS_STABLE:
        if (m->epoch != g->target_epoch)
            return next_assignment(g, m, says);
        return subscription_changed && drop_unsubscribed(g, m, says);
    case CONS_UNREVOKED:
        if (still_owns(says, &m->revoked))
            return subscription_changed && drop_unsubscribed(g, m, says);
        return next_assignment(g, m, says);
    case CONS_UNRELEASED:
        return next_assignment(g, m, says);
    }
    return false;
}
