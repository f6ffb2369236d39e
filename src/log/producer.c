/*
 * Sequence numbers of idempotent producers, by the rules of Kafka's ProducerAppendInfo and ProducerStateManager (KIP-98,
 * KIP-360): the last five batches of each producer and partition are kept, so a repeat is known for one.
 */
#include "base/be.h"
#include "base/mem.h"
#include "log/log_int.h"

#include <assert.h>
#include <stdlib.h>

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

    if (!p)
        return PRODUCER_NEW;
    if (h->producer_epoch < p->epoch)
        return PRODUCER_FENCED;
    if (h->producer_epoch > p->epoch)
        return h->base_sequence == 0 ? PRODUCER_NEW : PRODUCER_OUT_OF_ORDER;
    if (p->n == 0)
        return PRODUCER_NEW; // a marker began the epoch
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
    struct producer p = there ? *there : (struct producer){.id = h->producer_id, .coordinator_epoch = -1};

    if (h->producer_epoch != p.epoch)
        p.n = 0;
    p.epoch = h->producer_epoch;
    p.last_ms = now;
    if (p.n == PRODUCER_BATCHES)
        memmove(p.b, p.b + 1, --p.n * sizeof p.b[0]);
    p.b[p.n++] = (struct producer_batch){h->base_sequence, last_sequence(h), h->base_offset};
    producer_set(ps, &p);
}

void producer_marked(struct producers *ps, const struct batch_header *h, int32_t coordinator_epoch,
                     int64_t now)
{
    const struct producer *there = producer_get(ps, h->producer_id);
    struct producer p = there ? *there : (struct producer){.id = h->producer_id};

    if (!there || h->producer_epoch > p.epoch) {
        p.n = 0;
        p.epoch = h->producer_epoch;
    }
    p.coordinator_epoch = coordinator_epoch;
    p.last_ms = now;
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

static int by_id(const void *a, const void *b)
{
    const struct log_producer *x = a, *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

/* By the committer. */
void producers_tell(struct part *p, struct producers_told *told)
{
    told->list = ARENA_ARRAY(told->arena, struct log_producer, p->producers.by_id.n);
    for (struct map_it it = {0}; map_next(&p->producers.by_id, &it);) {
        const struct producer *from = it.value;
        struct log_producer *to = &told->list[told->n++];

        *to = (struct log_producer){.id = from->id,
                                    .epoch = from->epoch,
                                    .last_sequence = from->n > 0 ? from->b[from->n - 1].last : -1,
                                    .last_ms = from->last_ms,
                                    .coordinator_epoch = from->coordinator_epoch,
                                    .first = -1};
        for (size_t i = 0; i < p->ongoing.n; i++)
            if (p->ongoing.list[i].producer_id == to->id)
                to->first = p->ongoing.list[i].first;
    }
    if (told->n > 1)
        qsort(told->list, told->n, sizeof *told->list, by_id);
}

bool log_producers(struct log *l, struct str topic, int32_t partition, struct arena *a,
                   struct log_producer **out, size_t *count, struct err *e)
{
    struct producers_told told = {.arena = a};
    struct op op = {.kind = OP_PRODUCERS, .count = 1, .told = &told, .parts = op.one};

    op.one[0].part = part_find(l, topic, partition);
    if (!op.one[0].part)
        return err_set(e, ERR_NOT_FOUND, "topic %.*s has no partition %d", STR_ARG(topic), partition);
    if (!commit_wait(l, &op, e))
        return false;
    *out = told.list;
    *count = told.n;
    return true;
}

void producer_fini(struct producers *ps)
{
    for (struct map_it it = {0}; map_next(&ps->by_id, &it);)
        mem_free(it.value);
    map_fini(&ps->by_id);
}
