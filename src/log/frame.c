/* Frames laid out for the journal: headers of ours, batches where the callers have them, nothing copied. */
#include "base/be.h"
#include "base/mem.h"
#include "log/log_int.h"

enum { PART_HEAD = 16 + 4 + 8 + 8 + 8 + 4 + 1 };

static void push_iov(struct commit_group *g, void *p, size_t n)
{
    MEM_PUSH_ROOM(g->iov, g->iov_n, g->iov_cap);
    g->iov[g->iov_n++] = (struct iovec){p, n};
}

/* Pads the frame laid out last so that the next thing starts at a multiple of `align`, and makes its checksum. */
void frame_close(struct log *l, size_t align)
{
    static uint8_t zeros[JOURNAL_ALIGN];
    struct commit_group *g = &l->group;
    size_t payload, pad;

    if (!g->head)
        return;
    pad = (align - g->bytes % align) % align; // groups start at a multiple of JOURNAL_ALIGN
    payload = g->iov_n - g->head_iov - 1;
    journal_head_done(g->head, g->iov + g->head_iov + 1, payload, g->bytes + pad - g->head_at);
    if (pad > 0)
        push_iov(g, zeros, pad);
    g->bytes += pad;
    g->head = NULL;
}

static void frame_open(struct log *l, enum frame_kind kind)
{
    struct commit_group *g = &l->group;

    frame_close(l, 8);
    g->head = arena_alloc(&g->arena, FRAME_HEAD);
    g->head_at = g->bytes;
    g->head_iov = g->iov_n;
    journal_head(&l->journal, g->head, kind, l->journal.next + g->frames, l->journal.pos + (int64_t)g->bytes);
    g->frames++;
    push_iov(g, g->head, FRAME_HEAD);
    g->bytes += FRAME_HEAD;
}

static void frame_put(struct log *l, void *p, size_t n)
{
    push_iov(&l->group, p, n);
    l->group.bytes += n;
}

static void frame_part(struct log *l, struct op_part *t)
{
    uint8_t *h = arena_alloc(&l->group.arena, PART_HEAD + 4);
    bool listed = t->batches <= l->heads_max;

    memcpy(h, t->part->topic->id.b, 16);
    be_put32(h + 16, (uint32_t)t->part->index);
    be_put64(h + 20, (uint64_t)t->base_offset);
    be_put64(h + 28, (uint64_t)t->seg->base);
    be_put64(h + 36, (uint64_t)t->pos);
    be_put32(h + 44, (uint32_t)t->n);
    h[48] = t->direct;
    if (t->direct) {
        be_put32(h + PART_HEAD, listed ? (uint32_t)t->batches : 0);
        frame_put(l, h, PART_HEAD + 4);
        if (listed)
            frame_put(l, t->heads, t->batches * BATCH_HEADER);
        return;
    }
    frame_put(l, h, PART_HEAD);
    for (size_t i = 0; i < 2 * t->batches; i++)
        frame_put(l, t->iov[i].iov_base, t->iov[i].iov_len);
}

void frame_append(struct log *l, struct op *op)
{
    uint8_t *count = arena_alloc(&l->group.arena, 4);
    uint32_t n = 0;

    frame_open(l, FRAME_APPEND);
    frame_put(l, count, 4);
    for (size_t i = 0; i < op->count; i++)
        if (op->parts[i].seg) {
            frame_part(l, &op->parts[i]);
            n++;
        }
    be_put32(count, n);
}

void frame_trim(struct log *l, struct op *op)
{
    const struct part *p = op->parts[0].part;
    uint8_t *b = arena_alloc(&l->group.arena, 28);

    memcpy(b, p->topic->id.b, 16);
    be_put32(b + 16, (uint32_t)p->index);
    be_put64(b + 20, (uint64_t)op->trim_to);
    frame_open(l, FRAME_TRIM);
    frame_put(l, b, 28);
}

/* Which parts go by reference: the large ones, and all when the others are too much for one frame. */
size_t frame_plan(struct log *l, struct op *op)
{
    size_t small = 0, bound = FRAME_HEAD + 4 + JOURNAL_ALIGN;
    bool all;

    for (size_t i = 0; i < op->count; i++)
        if (op->writes[i].batches.n < l->direct_bytes)
            small += op->writes[i].batches.n;
    all = small > l->inline_max;
    for (size_t i = 0; i < op->count; i++) {
        size_t n = op->writes[i].batches.n, heads = (size_t)l->heads_max * BATCH_HEADER;

        op->parts[i].direct = all || n >= l->direct_bytes;
        if (op->parts[i].direct)
            n = n < heads ? n : heads;
        bound += PART_HEAD + 4 + n;
    }
    return bound;
}
