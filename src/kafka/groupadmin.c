/*
 * What people and consoles ask about groups: DescribeGroups, ListGroups, DeleteGroups, OffsetDelete. Groups with members are the
 * coordinator's, the others are known by what is stored of them. All of it runs on the home loop.
 */
#include "group/offsets.h"
#include "kafka/access.h"
#include "kafka/consumers.h"
#include "kafka/group.h"
#include "kafka/kafka_int.h"

#include <stdatomic.h>
#include <stdlib.h>

static bool has_positions(struct kafka *k, struct str group)
{
    struct arena a = {0};
    struct offset_at *at;
    size_t n;

    offsets_list(k->offsets, group, &a, &at, &n);
    arena_fini(&a);
    return n > 0;
}

bool kafka_group_is_known(struct kafka *k, struct str group)
{
    struct arena a = {0};
    struct group_meta m;
    bool known = offsets_get_meta(k->offsets, group, &a, &m);

    arena_fini(&a);
    return known || has_positions(k, group);
}

/* ---- DescribeGroups ---- */

/* A group without members: it is known by what it has committed. */
static bool describe_stored(struct kafka_req *q, struct str group, struct k_describe_groups_res_group *out)
{
    struct group_meta m = {.protocol_type = STR("")};
    bool stored = offsets_get_meta(q->k->offsets, group, &q->arena, &m);

    *out = (struct k_describe_groups_res_group){
        .group = group, .state = STR("Empty"), .protocol_type = m.protocol_type, .operations = INT32_MIN};
    return stored || has_positions(q->k, group);
}

static void describe_home(void *arg)
{
    struct kafka_req *q = arg;
    const struct k_describe_groups_req *req = q->in;
    struct k_describe_groups_res res = {.groups_n = req->groups_n};
    struct map told = {0};

    res.groups = ARENA_ARRAY(&q->arena, struct k_describe_groups_res_group, (size_t)req->groups_n);
    for (int32_t i = 0; i < req->groups_n; i++) {
        struct k_describe_groups_res_group *g = &res.groups[i];
        bool other, there;

        if (map_get(&told, req->groups[i])) {
            *g = *(struct k_describe_groups_res_group *)map_get(&told, req->groups[i]);
            continue;
        }
        (void)map_put(&told, req->groups[i], g);
        other = consumers_is_known(q->k->consumers, req->groups[i]);
        there = coord_describe(q->k->coord, req->groups[i], &q->arena, g) ||
                (describe_stored(q, req->groups[i], g) && !other);
        if (req->operations)
            g->operations = kafka_operations(q, ACL_GROUP, req->groups[i]);
        if (there)
            continue;
        g->state = STR("Dead"); // so is, to this API, a group of the other protocol
        if (q->version >= 6) {  // KIP-1043; before, a group that is not there is just dead
            g->error = K_GROUP_ID_NOT_FOUND;
            g->error_message =
                other ? STR("the group is not a classic group") : STR("there is no such group");
        }
    }
    map_fini(&told);
    kafka_reply(q, &res);
}

void kafka_describe_groups(struct kafka_req *q, const void *in)
{
    (void)in;
    kafka_go_home(q, describe_home);
}

/* ---- ListGroups ---- */

static bool among(const struct str *list, int32_t n, struct str s)
{
    for (int32_t i = 0; i < n; i++)
        if (str_eq_nocase(list[i], s))
            return true;
    return n == 0;
}

static int by_name(const void *a, const void *b)
{
    const struct k_list_groups_res_group *x = a, *y = b;

    return str_cmp(x->group, y->group);
}

static void list_home(void *arg)
{
    struct kafka_req *q = arg;
    const struct k_list_groups_req *req = q->in;
    struct k_list_groups_res_group *classic, *others, *live;
    struct k_list_groups_res res = {0};
    size_t classic_n, others_n, live_n, stored_n, n = 0;
    struct str *stored;

    coord_list(q->k->coord, &q->arena, &classic, &classic_n);
    consumers_list(q->k->consumers, &q->arena, &others, &others_n);
    live_n = classic_n + others_n;
    live = ARENA_ARRAY(&q->arena, struct k_list_groups_res_group, live_n);
    for (size_t i = 0; i < live_n; i++)
        live[i] = i < classic_n ? classic[i] : others[i - classic_n];
    offsets_groups(q->k->offsets, &q->arena, &stored, &stored_n);
    if (live_n > 1)
        qsort(live, live_n, sizeof *live, by_name);
    res.groups = ARENA_ARRAY(&q->arena, struct k_list_groups_res_group, live_n + stored_n);
    for (size_t i = 0, j = 0; i < live_n || j < stored_n;) { // both are sorted
        int c = i == live_n ? 1 : j == stored_n ? -1 : str_cmp(live[i].group, stored[j]);
        struct k_describe_groups_res_group d = {0};

        if (c > 0 && describe_stored(q, stored[j], &d))
            res.groups[n++] =
                (struct k_list_groups_res_group){stored[j], d.protocol_type, d.state, STR("classic")};
        else if (c <= 0)
            res.groups[n++] = live[i];
        i += c <= 0;
        j += c >= 0;
    }
    for (size_t i = 0; i < n; i++)
        if (among(req->states, req->states_n, res.groups[i].state) &&
            among(req->types, req->types_n, res.groups[i].type))
            res.groups[res.groups_n++] = res.groups[i];
    kafka_reply(q, &res);
}

void kafka_list_groups(struct kafka_req *q, const void *in)
{
    (void)in;
    kafka_go_home(q, list_home);
}

/* ---- DeleteGroups ---- */

struct deletion {
    struct kafka_req *q;
    struct k_delete_groups_res res;
    atomic_size_t left;
};

struct deletion_of_one {
    struct deletion *d;
    struct k_delete_groups_res_group *told;
};

static void deletion_step(struct deletion *d)
{
    if (atomic_fetch_sub(&d->left, 1) == 1)
        kafka_reply(d->q, &d->res);
}

/* On the committer's thread. */
static void deleted(void *arg, bool ok, const struct err *e)
{
    struct deletion_of_one *one = arg;

    (void)e;
    if (!ok)
        one->told->error = K_COORDINATOR_NOT_AVAILABLE;
    deletion_step(one->d);
}

static int16_t may_delete(struct kafka *k, struct str group)
{
    bool known = kafka_group_is_known(k, group) || coord_is_known(k->coord, group) ||
                 consumers_is_known(k->consumers, group);
    int16_t error = group.n == 0 ? K_INVALID_GROUP_ID : coord_forget(k->coord, group);

    if (error == K_NONE)
        error = consumers_forget(k->consumers, group);
    return error == K_NONE && !known ? K_GROUP_ID_NOT_FOUND : error;
}

static void delete_home(void *arg)
{
    struct kafka_req *q = arg;
    const struct k_delete_groups_req *req = q->in;
    struct deletion *d = ARENA_NEW(&q->arena, struct deletion);
    struct deletion_of_one *one = ARENA_ARRAY(&q->arena, struct deletion_of_one, (size_t)req->groups_n);

    d->q = q;
    d->res.groups_n = req->groups_n;
    d->res.groups = ARENA_ARRAY(&q->arena, struct k_delete_groups_res_group, (size_t)req->groups_n);
    atomic_init(&d->left, (size_t)req->groups_n + 1); // and this function
    for (int32_t i = 0; i < req->groups_n; i++) {
        struct k_delete_groups_res_group *g = &d->res.groups[i];

        *g = (struct k_delete_groups_res_group){req->groups[i], may_delete(q->k, req->groups[i])};
        one[i] = (struct deletion_of_one){d, g};
        if (g->error == K_NONE)
            offsets_delete_group_async(q->k->offsets, g->group, deleted, &one[i]);
        else
            deletion_step(d);
    }
    deletion_step(d);
}

void kafka_delete_groups(struct kafka_req *q, const void *in)
{
    (void)in;
    kafka_go_home(q, delete_home);
}

/* ---- OffsetDelete ---- */

struct forgetting {
    struct kafka_req *q;
    struct k_offset_delete_res res;
    struct offset_at *at;
    size_t count;
};

static void forgotten(void *arg, bool ok, const struct err *e)
{
    struct forgetting *f = arg;

    (void)e;
    if (!ok)
        f->res = (struct k_offset_delete_res){.error = K_COORDINATOR_NOT_AVAILABLE};
    kafka_reply(f->q, &f->res);
}

static int16_t may_forget(struct kafka *k, struct str group)
{
    struct coord_reads r;

    if (group.n == 0)
        return K_INVALID_GROUP_ID;
    if (kafka_group_reads(k, group, STR(""), &r))
        return r.consumers ? K_NONE : K_NON_EMPTY_GROUP;
    return kafka_group_is_known(k, group) || consumers_is_known(k->consumers, group) ? K_NONE
                                                                                     : K_GROUP_ID_NOT_FOUND;
}

static void plan_forgetting(struct forgetting *f, const struct k_offset_delete_req *req,
                            const struct k_offset_delete_req_topic *in, struct k_offset_delete_res_topic *out)
{
    struct arena *a = &f->q->arena;
    struct coord_reads r = {0};
    struct log_range range;
    bool read = kafka_group_reads(f->q->k, req->group, in->name, &r) && r.subscribed;

    *out = (struct k_offset_delete_res_topic){.name = in->name, .partitions_n = in->partitions_n};
    out->partitions = ARENA_ARRAY(a, struct k_offset_delete_res_partition, (size_t)in->partitions_n);
    for (int32_t i = 0; i < in->partitions_n; i++) {
        out->partitions[i].partition = in->partitions[i];
        if (!log_range(f->q->k->log, in->name, in->partitions[i], &range))
            out->partitions[i].error = K_UNKNOWN_TOPIC_OR_PARTITION;
        else if (read)
            out->partitions[i].error = K_GROUP_SUBSCRIBED_TO_TOPIC;
        else
            f->at[f->count++] = (struct offset_at){.topic = in->name, .partition = in->partitions[i]};
    }
}

static void forget_home(void *arg)
{
    struct kafka_req *q = arg;
    const struct k_offset_delete_req *req = q->in;
    struct forgetting *f = ARENA_NEW(&q->arena, struct forgetting);
    size_t n = 0;

    f->q = q;
    f->res.error = may_forget(q->k, req->group);
    if (f->res.error != K_NONE) {
        kafka_reply(q, &f->res);
        return;
    }
    for (int32_t i = 0; i < req->topics_n; i++)
        n += (size_t)req->topics[i].partitions_n;
    f->at = ARENA_ARRAY(&q->arena, struct offset_at, n);
    f->res.topics_n = req->topics_n;
    f->res.topics = ARENA_ARRAY(&q->arena, struct k_offset_delete_res_topic, (size_t)req->topics_n);
    for (int32_t i = 0; i < req->topics_n; i++)
        plan_forgetting(f, req, &req->topics[i], &f->res.topics[i]);
    offsets_forget_async(q->k->offsets, req->group, f->at, f->count, forgotten, f);
}

void kafka_offset_delete(struct kafka_req *q, const void *in)
{
    (void)in;
    kafka_go_home(q, forget_home);
}
