/* Replay: the effect of one frame on the partitions as the checkpoint left them. */
#include "base/limits.h"
#include "base/mem.h"
#include "base/rd.h"
#include "log/log_int.h"

struct part_frame {
    struct log_uuid id;
    int32_t index;
    int64_t base_offset, seg_base, pos;
    uint32_t n;
    struct str inline_bytes; // p NULL: by reference
    struct str heads;
    size_t batches;
};

static bool mismatch(struct part *p, const struct part_frame *f, const char *what, struct err *e)
{
    return err_set(e, ERR_CORRUPT,
                   "%.*s-%d: the frame goes on at offset %lld, position %lld of segment %lld, but %s (the "
                   "partition ends "
                   "at %lld)",
                   STR_ARG(p->topic->name), p->index, (long long)f->base_offset, (long long)f->pos,
                   (long long)f->seg_base, what, (long long)p->end);
}

/* The segment before is cut to its content: what lies behind was never published. */
static bool close_segment(struct part *p, struct seg *s, struct err *e)
{
    if (s->closed)
        return true;
    if (p->start == p->end) { // all of it was removed by retention, perhaps the file too
        part_remove_seg(p, s);
        return true;
    }
    return stage_roll(p, e);
}

static struct seg *segment_of(struct log *l, struct part *p, const struct part_frame *f, struct err *e)
{
    struct seg *s = p->seg_n ? p->segs[p->seg_n - 1] : NULL;

    if (!s || s->base != f->seg_base) {
        if (f->seg_base != p->end || f->pos != 0) {
            (void)mismatch(p, f, "that segment is not the last one", e);
            return NULL;
        }
        if (s && !close_segment(p, s, e))
            return NULL;
        s = seg_new(l, p, f->seg_base);
        s->state = SEG_LOADED;
        s->fresh = true;
        part_add_seg(p, s);
    }
    if (f->pos != s->size) {
        (void)mismatch(p, f, "the segment is of another size", e);
        return NULL;
    }
    s->closed = false;
    return seg_open_replay(p, s, e) ? s : NULL;
}

/* What a control batch says; where the frame has its header only it is read from the segment. */
static bool read_mark(struct seg *s, struct str one, int64_t pos, const struct batch_header *h,
                      struct batch_mark *out, struct err *e)
{
    size_t n = (size_t)h->length + 12 - BATCH_HEADER;
    char *bytes = NULL;
    bool ok = true;

    if (one.p) {
        one = str_from(one.p + BATCH_HEADER, n);
    } else {
        bytes = mem_alloc(n);
        ok = os_read(s->os, s->wfd, bytes, n, pos + BATCH_HEADER, e);
        one = str_from(bytes, n);
    }
    if (ok && !batch_mark_read(one, out))
        ok =
            err_set(e, ERR_CORRUPT, "segment %s.log: no transaction marker at %lld", s->path, (long long)pos);
    mem_free(bytes);
    return ok;
}

/* one: the whole batch, or p NULL. */
static bool apply_txn(struct part *p, struct seg *s, struct str one, int64_t pos,
                      const struct batch_header *h, int64_t now, struct err *e)
{
    struct batch_mark mark;

    if ((h->attributes & (BATCH_TRANSACTIONAL | BATCH_CONTROL)) == 0)
        return true;
    if ((h->attributes & BATCH_CONTROL) && !read_mark(s, one, pos, h, &mark, e))
        return false;
    txn_took(p, s, h, h->attributes & BATCH_CONTROL ? &mark : NULL);
    if (h->attributes & BATCH_CONTROL)
        producer_marked(&p->producers, h, mark.coordinator_epoch, now);
    return true;
}

static bool apply_batch(struct part *p, struct seg *s, int64_t pos, const struct batch_header *h, int64_t now,
                        struct err *e)
{
    if (h->base_offset != p->end || h->last_offset_delta < 0)
        return err_set(e, ERR_CORRUPT, "%.*s-%d: batch at offset %lld where %lld is due",
                       STR_ARG(p->topic->name), p->index, (long long)h->base_offset, (long long)p->end);
    if (s->state == SEG_LOADED)
        seg_index_add(s, h->base_offset, pos, h->max_timestamp_ms);
    else
        s->max_ts = h->max_timestamp_ms > s->max_ts ? h->max_timestamp_ms : s->max_ts;
    if (h->producer_id >= 0 && h->base_sequence >= 0)
        producer_took(&p->producers, h, now);
    p->end = p->staged_end = h->base_offset + h->last_offset_delta + 1;
    return true;
}

/* The batches' headers from where the frame has them, or from the segment. */
static bool apply_batches(struct part *p, struct seg *s, const struct part_frame *f, int64_t now,
                          struct err *e)
{
    int64_t pos = f->pos, end = f->pos + f->n;
    struct str rest = f->inline_bytes, heads = f->heads, one = STR_NULL;
    enum hop_answer answer = HOP_BATCH;
    struct batch_header h;
    struct hop hop;
    bool ok = true;

    hop_init(&hop, s, s->wfd, pos, end);
    while (ok && pos < end) {
        if (rest.p) {
            ok = batch_cut(&rest, &one, &h);
        } else if (f->batches > 0) {
            ok = heads.n >= BATCH_HEADER && batch_header(heads, &h);
            heads = ok ? str_from(heads.p + BATCH_HEADER, heads.n - BATCH_HEADER) : heads;
        } else {
            answer = hop_next(&hop, e);
            h = hop.head;
            ok = answer == HOP_BATCH;
        }
        if (ok && (!apply_batch(p, s, pos, &h, now, e) || !apply_txn(p, s, one, pos, &h, now, e)))
            break;
        if (ok)
            pos += h.length + 12;
    }
    hop_fini(&hop);
    if (!ok && answer != HOP_FAILED)
        return mismatch(p, f, "its batches do not fill it", e);
    if (!ok || pos < end)
        return false;
    txn_stable(p);
    s->size = s->staged = end;
    return pos == end || mismatch(p, f, "its batches are longer than it", e);
}

static bool apply_part(struct log *l, const struct part_frame *f, int64_t now, struct err *e)
{
    struct part *p = part_find_id(l, &f->id, f->index);
    struct seg *s;

    if (!p)
        return true; // the topic was deleted since
    if (f->base_offset != p->end)
        return mismatch(p, f, "another offset is due", e);
    s = segment_of(l, p, f, e);
    if (!s)
        return false;
    if (f->inline_bytes.p && !os_write(l->os, s->wfd, f->inline_bytes.p, f->n, f->pos, e))
        return err_wrap(e, "segment %s.log", s->path);
    s->dirty = true;
    if (s->created_ms == TIME_NONE)
        s->created_ms = now;
    return apply_batches(p, s, f, now, e);
}

static void take_id(struct rd *r, struct log_uuid *id)
{
    struct str bytes = rd_bytes(r, sizeof id->b);

    if (bytes.p)
        memcpy(id->b, bytes.p, sizeof id->b);
}

static bool apply_append(struct log *l, struct rd *r, struct err *e)
{
    int64_t now = now_ms(l);
    uint32_t parts = (uint32_t)rd_i32(r);

    for (uint32_t i = 0; i < parts && rd_ok(r); i++) {
        struct part_frame f = {0};
        uint8_t direct;

        take_id(r, &f.id);
        f.index = rd_i32(r);
        f.base_offset = rd_i64(r);
        f.seg_base = rd_i64(r);
        f.pos = rd_i64(r);
        f.n = (uint32_t)rd_i32(r);
        direct = rd_u8(r);
        if (direct) {
            f.batches = rd_count(r, (uint32_t)rd_i32(r), BATCH_HEADER);
            f.heads = rd_bytes(r, f.batches * BATCH_HEADER);
        } else {
            f.inline_bytes = rd_bytes(r, f.n);
        }
        if (rd_ok(r) && !apply_part(l, &f, now, e))
            return false;
    }
    return true;
}

static void apply_trim(struct log *l, struct rd *r)
{
    struct log_uuid id = {0};
    int32_t index;
    int64_t to;
    struct part *p;

    take_id(r, &id);
    index = rd_i32(r);
    to = rd_i64(r);
    p = rd_ok(r) ? part_find_id(l, &id, index) : NULL;
    if (!p || to <= p->start || to > p->end)
        return;
    p->start = to;
    while (p->seg_n > 1 && p->segs[1]->base <= to)
        part_remove_seg(p, p->segs[0]);
    if (to == p->end && p->seg_n > 0) // it may have been retention, which closes and removes the last one too
        p->segs[p->seg_n - 1]->closed = true;
}

bool recover_frame(void *log, const struct frame *f, struct err *e)
{
    struct log *l = log;
    struct rd r = rd_str(f->payload);

    switch (f->kind) {
    case FRAME_APPEND:
        if (!apply_append(l, &r, e))
            return false;
        break;
    case FRAME_TRIM:
        apply_trim(l, &r);
        break;
    default:
        return err_set(e, ERR_UNSUPPORTED, "a frame of kind %d; this program knows 1 and 2", (int)f->kind);
    }
    return rd_ok(&r) || err_set(e, ERR_CORRUPT, "malformed: %s", rd_why(&r));
}

/* After the last frame: files end where their content does. */
bool recover_end(struct log *l, struct err *e)
{
    struct arena a = {0};
    size_t count;
    struct part **parts = parts_all(l, &a, &count);
    bool ok = true;

    for (size_t i = 0; i < count; i++) {
        struct seg *s = part_active(parts[i]);

        if (ok && s && s->wfd >= 0) {
            ok = l->os->ftruncate(l->os, s->wfd, s->size) == 0 || err_sys(e, "cut segment %s.log", s->path);
            s->reserved = s->size;
        }
        seg_unref(s);
        part_unref(parts[i]);
    }
    arena_fini(&a);
    return ok;
}
