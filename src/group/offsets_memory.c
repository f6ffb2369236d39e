/* Positions and groups in memory, as the records of the topic say. */
#include "base/be.h"
#include "base/limits.h"
#include "base/mem.h"
#include "group/offsets_int.h"
#include "log/log.h"

#include <stdlib.h>

struct str offsets_position_key(struct buf *b, struct str topic, int32_t partition)
{
    buf_reset(b);
    buf_str(b, topic);
    buf_i32(b, partition);
    return buf_view(b);
}

static struct offset_at *position_new(const struct offset_at *from)
{
    struct offset_at *at = mem_alloc(sizeof *at + from->topic.n + from->metadata.n);
    char *text = (char *)(at + 1);

    *at = *from;
    at->topic = str_from(text, from->topic.n);
    memcpy(text, from->topic.p, from->topic.n);
    at->metadata = str_from(text + from->topic.n, from->metadata.n);
    if (from->metadata.n > 0)
        memcpy(text + from->topic.n, from->metadata.p, from->metadata.n);
    return at;
}

void offsets_group_free(struct group *g)
{
    if (!g)
        return;
    for (struct map_it it = {0}; map_next(&g->positions, &it);)
        mem_free(it.value);
    map_fini(&g->positions);
    for (struct map_it it = {0}; map_next(&g->consumers, &it);)
        mem_free(it.value);
    map_fini(&g->consumers);
    mem_free(g->meta);
    mem_free(g);
}

static struct group *group_find(struct offsets *o, struct str name, bool make)
{
    struct group *g = map_get(&o->groups, name);

    if (!g && make) {
        g = MEM_NEW(struct group);
        map_put(&o->groups, name, g);
    }
    return g;
}

static bool apply_position(struct offsets *o, const struct offset_key *k, const struct record *r,
                           struct err *e)
{
    struct offset_at at = {.topic = k->topic, .partition = k->partition, ._record = r->offset};
    const struct offset_at *there;
    struct str value = r->value;
    struct group *g = group_find(o, k->group, value.p != NULL);
    struct buf key = buf_make(64 * KIB);

    if (!g || (value.p && !offset_value_read(value, &at, e)))
        return g == NULL;
    offsets_position_key(&key, k->topic, k->partition);
    there = map_get(&g->positions, buf_view(&key));
    if (there && there->_record > at._record) { // it was committed while the transaction was open
        buf_fini(&key);
        return true;
    }
    mem_free(value.p ? map_put(&g->positions, buf_view(&key), position_new(&at))
                     : map_del(&g->positions, buf_view(&key)));
    buf_fini(&key);
    return true;
}

static void apply_group(struct offsets *o, const struct offset_key *k, struct str value)
{
    struct group *g = group_find(o, k->group, value.p != NULL);

    if (!g)
        return;
    mem_free(g->meta);
    g->meta = value.p ? mem_copy(value.p, value.n) : NULL;
    g->meta_n = value.n;
}

static void apply_consumer(struct offsets *o, const struct offset_key *k, const struct record *r)
{
    struct group *g = group_find(o, k->group, r->value.p != NULL);
    struct group_record *s;

    if (!g)
        return;
    if (!r->value.p) {
        mem_free(map_del(&g->consumers, r->key));
        return;
    }
    s = mem_alloc(sizeof *s + r->value.n);
    s->n = r->value.n;
    if (r->value.n > 0)
        memcpy(s + 1, r->value.p, r->value.n);
    mem_free(map_put(&g->consumers, r->key, s));
}

/* One record of the topic, just written or replayed. The lock is held. */
static bool apply(struct offsets *o, const struct record *r, struct err *e)
{
    struct offset_key k;
    struct group *g;

    if (!offset_key_read(r->key, &k, e))
        return false;
    if (k.kind == OFFSET_KEY_OTHER)
        return true;
    if (!r->value.p && o->pending.n > 0)
        pending_forget(&o->pending, r);
    if (k.kind == OFFSET_KEY_GROUP)
        apply_group(o, &k, r->value);
    else if (k.kind == OFFSET_KEY_CONSUMER)
        apply_consumer(o, &k, r);
    else if (!apply_position(o, &k, r, e))
        return false;
    g = map_get(&o->groups, k.group);
    if (g && g->positions.n == 0 && !g->meta && g->consumers.n == 0)
        offsets_group_free(map_del(&o->groups, k.group));
    return true;
}

static bool apply_pending(void *o, const struct record *r, struct err *e)
{
    return apply(o, r, e);
}

bool offsets_apply_end(struct offsets *o, int32_t partition, int64_t producer_id, bool commit, struct err *e)
{
    struct pending_apply fn = {apply_pending, o};

    return pending_end(&o->pending, partition, producer_id, commit ? &fn : NULL, e);
}

static bool apply_one(struct offsets *o, const struct offsets_piece *p, const struct batch_reader *r,
                      const struct record *rec, struct err *e)
{
    if (rec->control)
        return rec->key.n < 4 ||
               offsets_apply_end(o, p->partition, r->head.producer_id, be_get16(rec->key.p + 2) == 1, e);
    if (p->settled || (r->head.attributes & BATCH_TRANSACTIONAL) == 0)
        return apply(o, rec, e);
    pending_add(&o->pending, p->partition, r->head.producer_id, rec);
    return true;
}

bool offsets_apply(struct offsets *o, const struct offsets_piece *p, int64_t *next, struct err *e)
{
    struct arena a = {0};
    struct batch_reader r;
    struct record rec;
    bool ok = true;

    batch_open(&r, &a, p->batches);
    mutex_lock(&o->lock);
    while (ok && batch_next(&r, &rec)) {
        *next = rec.offset + 1;
        rec.offset += p->shift;
        ok = apply_one(o, p, &r, &rec, e);
    }
    mutex_unlock(&o->lock);
    ok = ok && batch_ok(&r, e);
    arena_fini(&a);
    return ok;
}

/* ---- asking ---- */

static struct offset_at position_copy(const struct offset_at *at, struct arena *a)
{
    struct offset_at c = *at;

    c.topic = arena_str(a, at->topic);
    c.metadata = arena_str(a, at->metadata);
    return c;
}

bool offsets_get(struct offsets *o, struct str group, struct str topic, int32_t partition, struct arena *a,
                 struct offset_at *out)
{
    struct buf key = buf_make(64 * KIB);
    const struct offset_at *at = NULL;
    const struct group *g;

    offsets_position_key(&key, topic, partition);
    mutex_lock(&o->lock);
    g = map_get(&o->groups, group);
    if (g)
        at = map_get(&g->positions, buf_view(&key));
    if (at)
        *out = position_copy(at, a);
    mutex_unlock(&o->lock);
    buf_fini(&key);
    return at != NULL;
}

static int by_place(const void *a, const void *b)
{
    const struct offset_at *x = a, *y = b;
    int c = str_cmp(x->topic, y->topic);

    return c ? c : (x->partition > y->partition) - (x->partition < y->partition);
}

void offsets_list(struct offsets *o, struct str group, struct arena *a, struct offset_at **out, size_t *count)
{
    const struct group *g;

    *out = NULL;
    *count = 0;
    mutex_lock(&o->lock);
    g = map_get(&o->groups, group);
    if (g) {
        *out = ARENA_ARRAY(a, struct offset_at, g->positions.n);
        for (struct map_it it = {0}; map_next(&g->positions, &it);)
            (*out)[(*count)++] = position_copy(it.value, a);
    }
    mutex_unlock(&o->lock);
    if (*count > 1)
        qsort(*out, *count, sizeof **out, by_place);
}

static int by_name(const void *a, const void *b)
{
    const struct str *x = a, *y = b;

    return str_cmp(*x, *y);
}

void offsets_groups(struct offsets *o, struct arena *a, struct str **out, size_t *count)
{
    *count = 0;
    mutex_lock(&o->lock);
    *out = ARENA_ARRAY(a, struct str, o->groups.n);
    for (struct map_it it = {0}; map_next(&o->groups, &it);)
        (*out)[(*count)++] = arena_str(a, it.key);
    mutex_unlock(&o->lock);
    if (*count > 1)
        qsort(*out, *count, sizeof **out, by_name);
}

bool offsets_get_meta(struct offsets *o, struct str group, struct arena *a, struct group_meta *out)
{
    const struct group *g;
    struct str value = STR_NULL;
    struct err e;

    mutex_lock(&o->lock);
    g = map_get(&o->groups, group);
    if (g && g->meta)
        value = arena_str(a, str_from(g->meta, g->meta_n));
    mutex_unlock(&o->lock);
    return value.p && group_value_read(value, a, out, &e);
}

bool offsets_is_pending(struct offsets *o, struct str group, struct str topic, int32_t partition)
{
    bool is;

    mutex_lock(&o->lock);
    is = o->pending.n > 0 && pending_has(&o->pending, group, topic, partition);
    mutex_unlock(&o->lock);
    return is;
}

bool offsets_get_consumers(struct offsets *o, struct str group, struct arena *a, struct consumer_record **out,
                           size_t *count)
{
    const struct group *g;
    struct str unused;

    *count = 0;
    mutex_lock(&o->lock);
    g = map_get(&o->groups, group);
    *out = ARENA_ARRAY(a, struct consumer_record, g ? g->consumers.n : 0);
    for (struct map_it it = {0}; g && map_next(&g->consumers, &it);) {
        const struct group_record *s = it.value;
        struct str value = arena_str(a, str_from(s + 1, s->n));

        if (consumer_key_read(arena_str(a, it.key), &(*out)[*count], &unused) &&
            consumer_value_read(value, a, &(*out)[*count]))
            ++*count;
    }
    mutex_unlock(&o->lock);
    return *count > 0;
}
