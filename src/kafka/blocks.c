/*
 * Memory for records on their way to clients: blocks that are lent to connections until they have sent what is in them.
 *
 * There are BLOCKS_MOST of them over all connections, made when they are needed; who finds none sends from the file. Those that were not
 * needed for a while are given back to the system.
 */
#include "base/mem.h"
#include "kafka/kafka_int.h"

#include <assert.h>
#include <stdatomic.h>

enum { BLOCKS_MOST = 16, AGE_MS = 10000 };
_Static_assert(KAFKA_BLOCK % MEM_HUGE == 0, "mem_huge gives whole ones");

struct kafka_block {
    struct kafka_block *next;
    struct kafka_blocks *all;
    _Atomic int refs;
    uint8_t *bytes; // [KAFKA_BLOCK]
};

static void age(void *arg) // home
{
    struct kafka_blocks *b = arg;
    struct kafka_block *gone = NULL;
    bool any;

    mutex_lock(&b->lock);
    for (; b->idle > 0; b->idle--) {
        struct kafka_block *one = b->free;

        b->free = one->next;
        one->next = gone;
        gone = one;
        b->free_n--;
        b->count--;
    }
    b->idle = b->free_n;
    any = b->count > 0;
    b->ages = any;
    mutex_unlock(&b->lock);
    for (struct kafka_block *next; gone; gone = next) {
        next = gone->next;
        mem_free(gone->bytes);
        mem_free(gone);
    }
    if (any)
        timer_start(b->timer, AGE_MS);
}

static void begin_ageing(void *arg) // home
{
    struct kafka *k = arg;
    struct kafka_blocks *b = &k->blocks;

    if (!b->timer)
        b->timer = timer_new(k->home, age, b);
    timer_start(b->timer, AGE_MS);
}

struct kafka_block *kafka_block_take(struct kafka *k)
{
    struct kafka_blocks *b = &k->blocks;
    struct kafka_block *one;
    bool more, begin;

    mutex_lock(&b->lock);
    one = b->free;
    if (one) {
        b->free = one->next;
        b->free_n--;
        b->idle = b->free_n < b->idle ? b->free_n : b->idle;
    }
    more = !one && b->count < BLOCKS_MOST;
    b->count += more;
    begin = more && !b->ages;
    b->ages = b->ages || begin;
    mutex_unlock(&b->lock);
    if (begin)
        loop_post(k->home, begin_ageing, k);
    if (more) {
        one = MEM_NEW(struct kafka_block);
        one->all = b;
        one->bytes = mem_huge(KAFKA_BLOCK);
    }
    if (one)
        atomic_store(&one->refs, 1);
    return one;
}

uint8_t *kafka_block_bytes(struct kafka_block *one)
{
    return one->bytes;
}

struct kafka_block *kafka_block_ref(struct kafka_block *one)
{
    (void)atomic_fetch_add(&one->refs, 1);
    return one;
}

void kafka_block_unref(void *block)
{
    struct kafka_block *one = block;

    if (!one || atomic_fetch_sub(&one->refs, 1) > 1)
        return;
    mutex_lock(&one->all->lock);
    one->next = one->all->free;
    one->all->free = one;
    one->all->free_n++;
    mutex_unlock(&one->all->lock);
}

void kafka_blocks_init(struct kafka *k)
{
    mutex_init(&k->blocks.lock);
}

void kafka_blocks_stop(struct kafka *k)
{
    timer_free(k->blocks.timer);
    k->blocks.timer = NULL;
}

void kafka_blocks_fini(struct kafka *k)
{
    struct kafka_blocks *b = &k->blocks;

    assert(b->free_n == b->count);
    for (struct kafka_block *one; (one = b->free);) {
        b->free = one->next;
        mem_free(one->bytes);
        mem_free(one);
    }
    mutex_fini(&b->lock);
}
