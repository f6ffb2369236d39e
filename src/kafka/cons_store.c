#include "base/mem.h"
#include "kafka/consumers_int.h"

struct cons_change {
    struct consumer_record *records;
    size_t n;
};

static struct consumer_record *add(struct cons_change *ch, enum consumer_kind kind, struct str member)
{
    struct consumer_record *r = &ch->records[ch->n++];

    *r = (struct consumer_record){.kind = kind, .member = member};
    return r;
}

static void add_member(struct cons_change *ch, const struct cons_member *m)
{
    struct consumer_record *r = add(ch, CONSUMER_MEMBER, m->id);

    r->instance_id = m->instance_id;
    r->rack_id = m->rack_id;
    r->client_id = m->client_id;
    r->client_host = m->client_host;
    r->names = m->names;
    r->name_count = m->name_count;
    r->pattern = m->pattern;
    r->rebalance_timeout_ms = m->rebalance_ms;
    r->assignor = m->assignor;
}

static void add_parts(struct cons_change *ch, struct cons_member *m, unsigned dirty)
{
    struct consumer_record *r;

    if (dirty & DIRTY_MEMBER)
        add_member(ch, m);
    if (dirty & DIRTY_TARGET) {
        r = add(ch, CONSUMER_TARGET, m->id);
        r->owned = m->target.v;
        r->owned_count = m->target.n;
    }
    if (dirty & DIRTY_CURRENT) {
        r = add(ch, CONSUMER_CURRENT, m->id);
        r->epoch = m->epoch;
        r->previous_epoch = m->previous_epoch;
        r->state = (int8_t)m->state;
        r->owned = m->owned.v;
        r->owned_count = m->owned.n;
        r->revoked = m->revoked.v;
        r->revoked_count = m->revoked.n;
    }
    m->dirty = 0;
}

static void add_group(struct cons_change *ch, struct cons_group *g, unsigned dirty)
{
    struct consumer_record *r;

    if (dirty & DIRTY_GROUP)
        add(ch, CONSUMER_GROUP, STR_NULL)->epoch = g->epoch;
    if (dirty & DIRTY_TOPICS) {
        r = add(ch, CONSUMER_TOPICS, STR_NULL);
        r->topics = g->topics;
        r->topic_count = g->topic_count;
    }
    if (dirty & DIRTY_TARGET_EPOCH)
        add(ch, CONSUMER_TARGET_EPOCH, STR_NULL)->epoch = g->target_epoch;
    g->dirty = 0;
}

/* In Kafka's order of kinds a reader may rely on: a member goes with its assignments first. */
static void add_gone(struct cons_change *ch, struct cons_group *g, struct arena *a)
{
    struct parts_gone *p;

    while ((p = g->gone) != NULL) {
        struct str id = arena_str(a, str_of(p->id));

        g->gone = p->next;
        mem_free(p->id);
        mem_free(p);
        if (cons_member_find(g, id))
            continue; // it is back already
        add(ch, CONSUMER_CURRENT, id)->gone = true;
        add(ch, CONSUMER_TARGET, id)->gone = true;
        add(ch, CONSUMER_MEMBER, id)->gone = true;
    }
}

/* At most so many records; 0: there is nothing to write. */
static size_t most_records(const struct cons_group *g)
{
    size_t n = g->dirty || g->rewrite ? 3 : 0;

    for (const struct parts_gone *p = g->gone; p; p = p->next)
        n += 3;
    for (const struct cons_member *m = g->members; m; m = m->next)
        n += m->dirty || g->rewrite ? 3 : 0;
    return n;
}

void cons_flush(struct consumers *c, struct cons_group *g)
{
    struct arena a = {0};
    struct cons_change ch = {NULL, 0};
    struct consumer_change all = {.whole = g->rewrite};
    size_t most = most_records(g);

    if (most == 0)
        return;
    ch.records = ARENA_ARRAY(&a, struct consumer_record, most);
    add_gone(&ch, g, &a);
    add_group(&ch, g, g->rewrite ? ~0u : g->dirty);
    for (struct cons_member *m = g->members; m; m = m->next)
        add_parts(&ch, m, g->rewrite ? DIRTY_ALL : m->dirty);
    if (ch.n > 0) {
        g->rewrite = false;
        g->sent = ++c->versions;
        all.records = ch.records;
        all.count = ch.n;
        c->o.io.store(c->o.io.arg, g->name, &all, g->sent);
    }
    arena_fini(&a);
}

void consumers_stored(struct consumers *c, struct str group, uint64_t version, bool ok)
{
    struct cons_group *g = cons_group_find(c, group);
    struct cons_waiting *w;

    if (!g || version > g->sent) // another one had this name then
        return;
    if (version > g->stored)
        g->stored = version;
    if (!ok) {
        g->rewrite = true;
        g->failed = g->sent;
    }
    ok = version > g->failed;
    while ((w = g->waiting) != NULL && w->version <= version) {
        g->waiting = w->next;
        if (!g->waiting)
            g->waiting_tail = &g->waiting;
        if (!ok)
            w->res = (struct k_consumer_beat_res){.error = K_COORDINATOR_NOT_AVAILABLE};
        cons_let_out(c, w);
    }
}
