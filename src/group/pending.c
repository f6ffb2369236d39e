/*
 * Positions committed within transactions (KIP-98): records of __consumer_offsets that count when their producer's commit marker is
 * in the same partition, and never when it is an abort.
 */
#include "base/be.h"
#include "base/mem.h"
#include "group/group_int.h"

struct pending_record {
    struct pending_record *next;
    int64_t offset;
    size_t key_n, value_n; // the bytes follow
};

struct pending {
    struct pending_record *first, **tail;
};

struct pending_key {
    char b[12];
};

static struct str key_of(int32_t partition, int64_t producer_id, struct pending_key *k)
{
    be_put32(k->b, (uint32_t)partition);
    be_put64(k->b + 4, (uint64_t)producer_id);
    return str_from(k->b, sizeof k->b);
}

static void pending_free(struct pending *p)
{
    struct pending_record *next;

    for (struct pending_record *r = p->first; r; r = next) {
        next = r->next;
        mem_free(r);
    }
    mem_free(p);
}

void pending_add(struct map *m, int32_t partition, int64_t producer_id, const struct record *rec)
{
    struct pending_key k;
    struct pending *p = map_get(m, key_of(partition, producer_id, &k));
    struct pending_record *r;

    if (!rec->key.p || !rec->value.p)
        return; // no client can make one
    r = mem_alloc(sizeof *r + rec->key.n + rec->value.n);
    *r = (struct pending_record){.offset = rec->offset, .key_n = rec->key.n, .value_n = rec->value.n};
    memcpy(r + 1, rec->key.p, rec->key.n);
    memcpy((char *)(r + 1) + rec->key.n, rec->value.p, rec->value.n);
    if (!p) {
        p = MEM_NEW(struct pending);
        p->tail = &p->first;
        (void)map_put(m, key_of(partition, producer_id, &k), p);
    }
    *p->tail = r;
    p->tail = &r->next;
}

static struct record record_of(const struct pending_record *r)
{
    const char *bytes = (const char *)(r + 1);

    return (struct record){.offset = r->offset,
                           .key = str_from(bytes, r->key_n),
                           .value = str_from(bytes + r->key_n, r->value_n)};
}

bool pending_end(struct map *m, int32_t partition, int64_t producer_id, const struct pending_apply *apply,
                 struct err *e)
{
    struct pending_key k;
    struct pending *p = map_del(m, key_of(partition, producer_id, &k));
    bool ok = true;

    for (const struct pending_record *r = p && apply ? p->first : NULL; ok && r; r = r->next) {
        struct record rec = record_of(r);

        ok = apply->fn(apply->arg, &rec, e);
    }
    if (p)
        pending_free(p);
    return ok;
}

void pending_forget(struct map *m, const struct record *tombstone)
{
    for (struct map_it it = {0}; map_next(m, &it);) {
        struct pending *p = it.value;

        for (struct pending_record **at = &p->first, *r; (r = *at) != NULL;) {
            if (r->offset < tombstone->offset && str_eq(record_of(r).key, tombstone->key)) {
                *at = r->next;
                mem_free(r);
            } else {
                at = &r->next;
            }
        }
        p->tail = &p->first;
        while (*p->tail)
            p->tail = &(*p->tail)->next;
    }
}

bool pending_has(const struct map *m, struct str group, struct str topic, int32_t partition)
{
    for (struct map_it it = {0}; map_next(m, &it);)
        for (const struct pending_record *r = ((const struct pending *)it.value)->first; r; r = r->next) {
            struct offset_key k;
            struct err e;

            if (offset_key_read(record_of(r).key, &k, &e) && k.kind == OFFSET_KEY_POSITION &&
                k.partition == partition && str_eq(k.group, group) && str_eq(k.topic, topic))
                return true;
        }
    return false;
}

void pending_fini(struct map *m)
{
    for (struct map_it it = {0}; map_next(m, &it);)
        pending_free(it.value);
    map_fini(m);
}
