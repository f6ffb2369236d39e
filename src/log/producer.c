/*
 * Sequence numbers of idempotent producers, by the rules of Kafka's ProducerAppendInfo and ProducerStateManager (KIP-98,
 * KIP-360): the last five batches of each producer and partition are kept, so a repeat is known for one.
 */
#include "base/be.h"
#include "base/mem.h"
#include "log/log_int.h"

#include <assert.h>

static const int64_t EXPIRES_MS = 24 * 3600 * (int64_t)1000; // producer.id.expiration.ms
enum { PRODUCERS_MAX = 65536 }; // of a partition; past it the one longest silent goes

struct key {
    uint8_t b[8];
};

static struct str key_of(int64_t id, struct key *k)
{
    be_put64(k->b, (uint64_t)id);
    return str_from(k->b, sizeof k->b);
}

const struct producer *producer_get(const struct producers *ps, int64_t id)
{
    struct key k;

    return map_get(&ps->by_id, key_of(id, &k));
}

/* Sequences go round: after INT32_MAX comes 0. */
static int32_t sequence_add(int32_t sequence, int32_t n)
{
    return (int32_t)(((uint32_t)sequence + (uint32_t)n) & INT32_MAX);
}

static int32_t last_sequence(const struct batch_header *h)
{
    return sequence_add(h->base_sequence, h->last_offset_delta);
}

enum producer_answer producer_check(const struct producers *ps, const struct batch_header *h,
                                    int64_t *first_offset)
{
    const struct producer *p = producer_get(ps, h->producer_id);

    if (!p || p->n == 0)
        return PRODUCER_NEW;
    if (h->producer_epoch < p->epoch)
        return PRODUCER_FENCED;
    if (h->producer_epoch > p->epoch)
        return h->base_sequence == 0 ? PRODUCER_NEW : PRODUCER_OUT_OF_ORDER;
    for (int i = 0; i < p->n; i++)
        if (p->b[i].first == h->base_sequence && p->b[i].last == last_sequence(h)) {
            *first_offset = p->b[i].offset;
            return PRODUCER_DUPLICATE;
        }
    return h->base_sequence == sequence_add(p->b[p->n - 1].last, 1) ? PRODUCER_NEW : PRODUCER_OUT_OF_ORDER;
}

static void make_room(struct producers *ps)
{
    struct producer *oldest = NULL;

    if (ps->by_id.n < PRODUCERS_MAX)
        return;
    for (struct map_it it = {0}; map_next(&ps->by_id, &it);) {
        struct producer *p = it.value;

        if (!oldest || p->last_ms < oldest->last_ms)
            oldest = p;
    }
    assert(oldest); // there is one, the map is full
    producer_drop(ps, oldest->id);
}

void producer_set(struct producers *ps, const struct producer *p)
{
    struct key k;
    struct producer *there = map_get(&ps->by_id, key_of(p->id, &k));

    if (!there) {
        make_room(ps);
        there = MEM_NEW(struct producer);
        (void)map_put(&ps->by_id, key_of(p->id, &k), there);
    }
    *there = *p;
}

void producer_took(struct producers *ps, const struct batch_header *h, int64_t now)
{
    const struct producer *there = producer_get(ps, h->producer_id);
    struct producer p = there ? *there : (struct producer){.id = h->producer_id};

    if (h->producer_epoch != p.epoch)
        p.n = 0;
    p.epoch = h->producer_epoch;
    p.last_ms = now;
    if (p.n == PRODUCER_BATCHES)
        memmove(p.b, p.b + 1, --p.n * sizeof p.b[0]);
    p.b[p.n++] = (struct producer_batch){h->base_sequence, last_sequence(h), h->base_offset};
    producer_set(ps, &p);
}

void producer_drop(struct producers *ps, int64_t id)
{
    struct key k;

    mem_free(map_del(&ps->by_id, key_of(id, &k)));
}

void producer_expire(struct producers *ps, int64_t now)
{
    for (struct map_it it = {0}; map_next(&ps->by_id, &it);) {
        const struct producer *p = it.value;

        if (p->last_ms < now - EXPIRES_MS)
            producer_drop(ps, p->id);
    }
}

void producer_fini(struct producers *ps)
{
    for (struct map_it it = {0}; map_next(&ps->by_id, &it);)
        mem_free(it.value);
    map_fini(&ps->by_id);
}
