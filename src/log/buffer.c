/*
 * Buffers: memory for a batch that is still to come, lying as a block of the segment will, so that direct.c can write it from
 * where it was received.
 *
 *     slab ─▶ [ ends: first two blocks, last block | gap | head of the message, batches ... ]
 *
 * Where the batches will go is a guess: behind those that were announced for the partition before. When one came to lie elsewhere
 * (another producer was faster, a segment was full, a batch was refused) it is copied, and the guess is set right once: those that were
 * announced before that have the same error, and an older turn.
 */
#include "base/mem.h"
#include "log/log_int.h"

/* Where the next `bytes` will go, and that they will. */
static int64_t expect(struct part *p, size_t bytes, uint64_t *turn)
{
    const struct seg *s;
    int64_t at;

    mutex_lock(&p->lock);
    s = p->seg_n > 0 ? p->segs[p->seg_n - 1] : NULL;
    at = p->expected != EXPECT_UNKNOWN ? p->expected : s && !s->closed ? s->size : 0;
    p->expected = at + (int64_t)bytes;
    *turn = p->expect_turn;
    mutex_unlock(&p->lock);
    return at;
}

void buffer_was_put(struct part *p, const struct log_buffer *b, int64_t at)
{
    if (b->expected == at)
        return;
    mutex_lock(&p->lock);
    if (p->expect_turn == b->turn) {
        p->expected += at - b->expected;
        p->expect_turn++;
    }
    mutex_unlock(&p->lock);
}

struct log_buffer *log_buffer_new(struct log *l, const struct log_coming *c)
{
    struct log_buffer *b = NULL;
    struct part *p;
    struct slab *s;
    uint8_t *memory;
    uint64_t turn;
    int64_t at;

    if (c->n > SLAB_BYTES || c->bytes < l->direct_bytes || c->at > c->n || c->n - c->at < c->bytes)
        return NULL;
    p = part_find(l, c->topic, c->partition);
    if (!p)
        return NULL;
    at = expect(p, c->bytes, &turn); // it comes, with a buffer or without
    s = slab_share(&l->direct.slabs, BUFFER_ENDS + DIRECT_BLOCK + c->n, &memory);
    if (s) {
        b = MEM_NEW(struct log_buffer);
        *b = (struct log_buffer){.slab = s, .ends = memory, .n = c->n, .expected = at, .turn = turn};
        b->p = memory + BUFFER_ENDS + ((size_t)at - c->at) % DIRECT_BLOCK;
    }
    part_unref(p);
    return b;
}

void *log_buffer_bytes(const struct log_buffer *b)
{
    return b->p;
}

void log_buffer_free(struct log_buffer *b)
{
    if (!b)
        return;
    slab_unref(b->slab);
    mem_free(b);
}
