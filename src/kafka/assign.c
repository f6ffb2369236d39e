#include "kafka/assign.h"

#include <stdlib.h>

int uuid_cmp(const struct log_uuid *a, const struct log_uuid *b)
{
    return memcmp(a->b, b->b, sizeof a->b);
}

int topic_partition_cmp(const struct topic_partition *a, const struct topic_partition *b)
{
    int c = uuid_cmp(&a->topic, &b->topic);

    return c ? c : (a->partition > b->partition) - (a->partition < b->partition);
}

static int by_uuid(const void *x, const void *y)
{
    return uuid_cmp(x, y);
}

bool uuid_among(const struct log_uuid *sorted, size_t n, const struct log_uuid *id)
{
    return n > 0 && bsearch(id, sorted, n, sizeof *sorted, by_uuid) != NULL;
}

assign_fn *assign_find(struct str name)
{
    if (str_is(name, "uniform"))
        return assign_uniform;
    return str_is(name, "range") ? assign_range : NULL;
}

/* ---- the group as numbers ---- */

/* Partitions are numbered through all topics; a topic's readers are a list of members. */
struct plan {
    const struct assign_topic *topics;
    size_t topic_count;
    struct assign_member *members;
    size_t member_count;
    size_t *first; // of each topic's partitions; one more at the end
    int32_t **readers;
    size_t *reader_count;
    int32_t *owner; // of each partition; -1: none
    size_t *load;   // of each member
    struct arena *a;
};

static int by_id(const void *key, const void *topic)
{
    return uuid_cmp(key, &((const struct assign_topic *)topic)->id);
}

static ptrdiff_t topic_of(const struct plan *p, const struct log_uuid *id)
{
    const struct assign_topic *t =
        p->topic_count == 0 ? NULL : bsearch(id, p->topics, p->topic_count, sizeof *p->topics, by_id);

    return t ? t - p->topics : -1;
}

/* `order` is that of the readers in their lists. */
static void plan_readers(struct plan *p, const size_t *order)
{
    for (size_t i = 0; i < p->member_count; i++)
        for (size_t k = 0; k < p->members[i].topic_count; k++) {
            ptrdiff_t t = topic_of(p, &p->members[i].topics[k]);

            if (t >= 0)
                p->reader_count[t]++;
        }
    for (size_t t = 0; t < p->topic_count; t++) {
        p->readers[t] = ARENA_ARRAY(p->a, int32_t, p->reader_count[t]);
        p->reader_count[t] = 0;
    }
    for (size_t i = 0; i < p->member_count; i++) {
        const struct assign_member *m = &p->members[order[i]];

        for (size_t k = 0; k < m->topic_count; k++) {
            ptrdiff_t t = topic_of(p, &m->topics[k]);

            if (t >= 0)
                p->readers[t][p->reader_count[t]++] = (int32_t)order[i];
        }
    }
}

static struct plan plan_make(const struct assign_topic *t, size_t topic_count, struct assign_member *m,
                             size_t n, struct arena *a)
{
    struct plan p = {.topics = t, .topic_count = topic_count, .members = m, .member_count = n, .a = a};
    size_t all = 0;

    p.first = ARENA_ARRAY(a, size_t, topic_count + 1);
    p.readers = ARENA_ARRAY(a, int32_t *, topic_count);
    p.reader_count = ARENA_ARRAY(a, size_t, topic_count);
    p.load = ARENA_ARRAY(a, size_t, n);
    for (size_t i = 0; i < topic_count; i++) {
        p.first[i] = all;
        all += (size_t)t[i].partitions;
    }
    p.first[topic_count] = all;
    p.owner = ARENA_ARRAY(a, int32_t, all);
    for (size_t i = 0; i < all; i++)
        p.owner[i] = -1;
    return p;
}

static void give(struct plan *p, size_t partition, int32_t member)
{
    if (p->owner[partition] >= 0)
        p->load[p->owner[partition]]--;
    p->owner[partition] = member;
    p->load[member]++;
}

/* What the owners say is made the members' lists; topics and partitions are walked in order, so they come sorted. */
static void plan_tell(struct plan *p)
{
    for (size_t i = 0; i < p->member_count; i++) {
        p->members[i].gets = ARENA_ARRAY(p->a, struct topic_partition, p->load[i]);
        p->members[i].gets_count = 0;
    }
    for (size_t t = 0; t < p->topic_count; t++)
        for (size_t i = p->first[t]; i < p->first[t + 1]; i++) {
            struct assign_member *m = p->owner[i] < 0 ? NULL : &p->members[p->owner[i]];

            if (m)
                m->gets[m->gets_count++] =
                    (struct topic_partition){p->topics[t].id, (int32_t)(i - p->first[t])};
        }
}

/* ---- uniform ---- */

static void keep_what_they_had(struct plan *p)
{
    for (size_t i = 0; i < p->member_count; i++) {
        const struct assign_member *m = &p->members[i];

        for (size_t k = 0; k < m->had_count; k++) {
            ptrdiff_t t = topic_of(p, &m->had[k].topic);
            int32_t number = m->had[k].partition;

            if (t >= 0 && number >= 0 && number < p->topics[t].partitions &&
                p->owner[p->first[t] + (size_t)number] < 0 &&
                uuid_among(m->topics, m->topic_count, &m->had[k].topic))
                give(p, p->first[t] + (size_t)number, (int32_t)i);
        }
    }
}

static int32_t idlest(const struct plan *p, size_t topic)
{
    int32_t best = p->readers[topic][0];

    for (size_t i = 1; i < p->reader_count[topic]; i++)
        if (p->load[p->readers[topic][i]] < p->load[best])
            best = p->readers[topic][i];
    return best;
}

struct few {
    size_t topic, readers;
};

static int by_readers(const void *a, const void *b)
{
    const struct few *x = a, *y = b;

    if (x->readers != y->readers)
        return x->readers < y->readers ? -1 : 1;
    return (x->topic > y->topic) - (x->topic < y->topic);
}

/* Topics with few readers first: who reads more can be given the rest. */
static void give_the_rest(struct plan *p)
{
    struct few *order = ARENA_ARRAY(p->a, struct few, p->topic_count);

    for (size_t t = 0; t < p->topic_count; t++)
        order[t] = (struct few){t, p->reader_count[t]};
    if (p->topic_count > 1)
        qsort(order, p->topic_count, sizeof *order, by_readers);
    for (size_t k = 0; k < p->topic_count; k++) {
        size_t t = order[k].topic;

        for (size_t i = p->first[t]; p->reader_count[t] > 0 && i < p->first[t + 1]; i++)
            if (p->owner[i] < 0)
                give(p, i, idlest(p, t));
    }
}

static bool is_even(const struct plan *p)
{
    size_t least = SIZE_MAX, most = 0;

    for (size_t i = 0; i < p->member_count; i++) {
        least = p->load[i] < least ? p->load[i] : least;
        most = p->load[i] > most ? p->load[i] : most;
    }
    return most <= least + 1;
}

/*
 * A move makes the sum of the squares of the loads smaller, so this ends. The last partitions go first: who has too many keeps the first of
 * them, as under Kafka's uniform assignor, which librdkafka's tests look for.
 */
static void even_out(struct plan *p)
{
    for (bool moved = true; moved && !is_even(p);) {
        moved = false;
        for (size_t t = p->topic_count; t-- > 0;)
            for (size_t i = p->first[t + 1]; p->reader_count[t] > 1 && i-- > p->first[t];) {
                int32_t to = idlest(p, t);

                if (p->load[p->owner[i]] > p->load[to] + 1) {
                    give(p, i, to);
                    moved = true;
                }
            }
    }
}

void assign_uniform(const struct assign_topic *t, size_t topic_count, struct assign_member *m, size_t n,
                    struct arena *a)
{
    struct plan p = plan_make(t, topic_count, m, n, a);
    size_t *order = ARENA_ARRAY(a, size_t, n);

    for (size_t i = 0; i < n; i++)
        order[i] = i;
    plan_readers(&p, order);
    keep_what_they_had(&p);
    give_the_rest(&p);
    even_out(&p);
    plan_tell(&p);
}

/* ---- range ---- */

struct placed {
    const struct assign_member *member;
    size_t at;
};

/* Static members by their instance id, before the dynamic ones by theirs. */
static int by_rank(const void *a, const void *b)
{
    const struct assign_member *x = ((const struct placed *)a)->member;
    const struct assign_member *y = ((const struct placed *)b)->member;

    if (x->instance_id.p && y->instance_id.p)
        return str_cmp(x->instance_id, y->instance_id);
    if (x->instance_id.p || y->instance_id.p)
        return x->instance_id.p ? -1 : 1;
    return str_cmp(x->id, y->id);
}

void assign_range(const struct assign_topic *t, size_t topic_count, struct assign_member *m, size_t n,
                  struct arena *a)
{
    struct plan p = plan_make(t, topic_count, m, n, a);
    struct placed *ranked = ARENA_ARRAY(a, struct placed, n);
    size_t *order = ARENA_ARRAY(a, size_t, n);

    for (size_t i = 0; i < n; i++)
        ranked[i] = (struct placed){&m[i], i};
    if (n > 1)
        qsort(ranked, n, sizeof *ranked, by_rank);
    for (size_t i = 0; i < n; i++)
        order[i] = ranked[i].at;
    plan_readers(&p, order);
    for (size_t k = 0; k < topic_count; k++) {
        size_t count = (size_t)t[k].partitions, readers = p.reader_count[k], next = p.first[k];

        for (size_t i = 0; i < readers; i++)
            for (size_t left = count / readers + (i < count % readers); left > 0; left--)
                give(&p, next++, p.readers[k][i]);
    }
    plan_tell(&p);
}
