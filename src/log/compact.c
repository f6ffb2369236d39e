/*
 * Compaction of topics with cleanup.policy=compact: of each key the last record stays, at its offset.
 *
 * What may be compacted are closed segments from the front, up to the active one, to the last stable offset and to the first that
 * is too young (min.compaction.lag.ms); it is done when more than min.cleanable.dirty.ratio of them is new, or when the oldest of the new
 * has waited for max.compaction.lag.ms.
 *
 * Two passes. The first goes over what was appended since the last time and notes for each key (its hash, 128 bits) the
 * offset of its last record, as many keys as KEYS_MAX. The second rewrites the segments without the records for which a later one
 * is noted; neighbours that became small are merged. So memory is bounded, and a note is true however few there are.
 * The new file is synced, then renamed over that of its first segment; the others' files stay until a checkpoint has been
 * written that does not list them, and until then the merged file's batches at or above their offsets are passed over.
 *
 * A record without a value stays until delete.retention.ms after the first run that saw it, so that a reader who began before has the
 * time to see it: that run writes the batch anew with the end of the time in its header (KIP-534). The markers of
 * transactions that were committed go in the same way; of those that were aborted the records go at once and the marker stays, because
 * the list of aborted transactions, which readers are told, has it as an end.
 *
 * Kafka keeps an empty batch in the place of a producer's last one, and the last offset of a batch whose last record went, because it finds
 * out sequence numbers and the end from batches when it starts; here they are in the checkpoint, so a batch without
 * records goes and one with some ends with the last of them: who reads on behind a record never gets the same batch again. Records without a key stay: the topic took them before it was compacted.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "log/log_int.h"

#include <fcntl.h>

enum { KEYS_MIN = 1024, KEYS_MAX = 1 << 20 }; // slots, three quarters of them used at most: 24 MiB

/* ---- notes: key -> offset of its last record ---- */

struct note {
    uint64_t a, b;  // hash
    int64_t offset; // + 1; 0: free slot
};

struct notes {
    struct note *slots;
    size_t cap, n;
};

/* A second hash beside base's seeded one; FNV-1a with a finisher. */
static uint64_t other_hash(struct str key)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < key.n; i++)
        h = (h ^ (uint8_t)key.p[i]) * 0x100000001b3u;
    h = (h ^ (h >> 32)) * 0xd6e8feb86659fd93u;
    return h ^ (h >> 32);
}

static struct note *slot_of(const struct notes *t, uint64_t a, uint64_t b)
{
    size_t at = a & (t->cap - 1);

    while (t->slots[at].offset != 0 && (t->slots[at].a != a || t->slots[at].b != b))
        at = (at + 1) & (t->cap - 1);
    return &t->slots[at];
}

static void notes_grow(struct notes *t)
{
    struct notes old = *t;

    t->cap = old.cap ? 2 * old.cap : KEYS_MIN;
    t->slots = MEM_ARRAY(struct note, t->cap);
    for (size_t i = 0; i < old.cap; i++)
        if (old.slots[i].offset != 0)
            *slot_of(t, old.slots[i].a, old.slots[i].b) = old.slots[i];
    mem_free(old.slots);
}

/* False: no room for another key. */
static bool note_put(struct notes *t, struct str key, int64_t offset)
{
    uint64_t a = str_hash(key), b = other_hash(key);
    struct note *s;

    if ((t->n + 1) * 4 > t->cap * 3 && t->cap < KEYS_MAX)
        notes_grow(t);
    s = slot_of(t, a, b);
    if (s->offset == 0) {
        if ((t->n + 1) * 4 > t->cap * 3)
            return false;
        t->n++;
    }
    *s = (struct note){a, b, offset + 1};
    return true;
}

/* Offset of the key's last record that was noted, or -1. */
static int64_t note_get(const struct notes *t, struct str key)
{
    return t->cap ? slot_of(t, str_hash(key), other_hash(key))->offset - 1 : -1;
}

/* ---- a run over one partition ---- */

struct compaction {
    struct log *l;
    struct part *part;
    const struct log_settings *set;
    struct notes notes;
    int64_t upto;     // the notes are complete below
    int64_t clean_to; // what was compacted before ends here
    int64_t now;
    struct arena arena; // one batch
    struct buf batch;
    struct batch_writer writer;
    struct record *keep; // of that batch
    size_t keep_n, keep_cap;
    /* aborted transactions that have records in the segment that is looked at, by their markers */
    struct arena abort_arena;
    struct abort_entry *aborts;
    size_t aborts_n;
    /* the file being written */
    int out;
    char *out_path;
    int64_t out_size;
    int64_t out_max_ts;
    bool changed;
};

/* One segment's batches, one at a time in c->batch. */
struct walk {
    struct compaction *c;
    struct seg *seg;
    struct hop hop;
    int64_t until;
    int fd;
};

static bool walk_start(struct compaction *c, struct walk *w, struct seg *s, int64_t until, struct err *e)
{
    struct txn_range range = {.from = s->base, .to = until, .a = &c->abort_arena};

    *w = (struct walk){.c = c, .seg = s, .until = until, .fd = seg_fd(c->part, s, e)};
    if (w->fd < 0)
        return false;
    arena_reset(&c->abort_arena);
    if (!txn_aborted(c->l, c->part, &range, &c->aborts, &c->aborts_n, e))
        return false;
    hop_init(&w->hop, s, w->fd, 0, s->size);
    return true;
}

/* True: a batch; false: the end, or (ok false) damage, which stops the compaction before anything is lost. */
static bool walk_next(struct walk *w, struct batch_header *h, bool *ok, struct err *e)
{
    struct compaction *c = w->c;
    enum hop_answer answer = hop_next(&w->hop, e);
    size_t n = (size_t)w->hop.head.length + 12;

    *ok = answer == HOP_END;
    if (__atomic_load_n(&c->l->hurry, __ATOMIC_RELAXED)) {
        *ok = err_set(e, ERR_BUSY, "the log is about to close");
        return false;
    }
    if (answer != HOP_BATCH) {
        if (answer == HOP_DAMAGED)
            *ok = err_set(e, ERR_CORRUPT, "segment %s.log is damaged at %lld", w->seg->path,
                          (long long)w->hop.pos);
        return false;
    }
    if (w->hop.head.base_offset >= w->until) {
        *ok = true;
        return false;
    }
    buf_reset(&c->batch);
    c->batch.max = n;
    *ok = os_read(w->seg->os, w->fd, buf_room(&c->batch, n), n, w->hop.at, e);
    c->batch.n = n;
    *h = w->hop.head;
    if (*ok && !batch_crc_ok(buf_view(&c->batch)))
        *ok = err_set(e, ERR_CORRUPT, "segment %s.log is damaged at %lld: wrong checksum", w->seg->path,
                      (long long)w->hop.at);
    return *ok;
}

static void walk_end(struct walk *w)
{
    if (w->fd >= 0)
        hop_fini(&w->hop);
}

static bool is_marker(const struct batch_header *h)
{
    return (h->attributes & BATCH_CONTROL) != 0;
}

static int64_t last_of(const struct batch_header *h)
{
    return h->base_offset + h->last_offset_delta;
}

/* Was it written in a transaction that was aborted? What is compacted lies below the last stable offset, so that is decided. */
static bool is_aborted(struct compaction *c, const struct batch_header *h)
{
    if (!(h->attributes & BATCH_TRANSACTIONAL) || is_marker(h))
        return false;
    for (size_t i = 0; i < c->aborts_n; i++) {
        const struct abort_entry *t = &c->aborts[i];

        if (t->producer_id == h->producer_id && h->base_offset >= t->first && h->base_offset < t->last)
            return true;
    }
    return false;
}

/* The batches come in order, so what ended before this one is not asked for again. */
static void drop_ended(struct compaction *c, const struct batch_header *h)
{
    while (c->aborts_n > 0 && c->aborts[0].last < h->base_offset) {
        c->aborts++;
        c->aborts_n--;
    }
}

/* ---- first pass ---- */

/* A batch that cannot be read notes nothing, and is kept. */
static void note_batch(struct compaction *c, bool *full)
{
    struct batch_reader r;
    struct record rec;

    arena_reset(&c->arena);
    batch_open(&r, &c->arena, buf_view(&c->batch));
    r.skip_below = c->clean_to;
    while (!*full && batch_next(&r, &rec)) {
        *full = rec.key.p && !note_put(&c->notes, rec.key, rec.offset);
        c->upto = *full ? rec.offset : rec.offset + 1;
    }
}

static bool note_segment(struct compaction *c, struct seg *s, int64_t until, bool *full, struct err *e)
{
    struct batch_header h;
    struct walk w;
    bool ok;

    if (!walk_start(c, &w, s, until, e))
        return false;
    while (!*full && walk_next(&w, &h, &ok, e)) {
        drop_ended(c, &h);
        if (last_of(&h) >= c->clean_to && !is_marker(&h) && !is_aborted(c, &h))
            note_batch(c, full);
    }
    walk_end(&w);
    if (ok && !*full)
        c->upto = until;
    return ok;
}

/* ---- second pass ---- */

/* What becomes of the records of a batch that are only kept for a time. */
enum fading { FADING_STAYS, FADING_BEGINS, FADING_GOES };

/* Nothing fades behind what is noted: there may be older records of its key that are still there. */
static enum fading fading_of(const struct compaction *c, const struct batch_header *h)
{
    if (last_of(h) >= c->upto)
        return FADING_STAYS;
    if (!(h->attributes & BATCH_HAS_HORIZON))
        return FADING_BEGINS;
    return h->base_timestamp_ms < c->now ? FADING_GOES : FADING_STAYS;
}

static bool fades(const struct batch_header *h, const struct record *r, struct str records)
{
    struct batch_mark m;

    if (is_marker(h))
        return batch_mark_read(records, &m) && m.commit;
    return r->key.p && !r->value.p;
}

static bool is_superseded(const struct compaction *c, const struct batch_header *h, const struct record *r)
{
    return !is_marker(h) && r->key.p && note_get(&c->notes, r->key) > r->offset;
}

/* What is kept of the batch, encoded as it was; p NULL: it cannot be encoded. */
static struct str rebuild(struct compaction *c, const struct batch_header *h, int64_t horizon_ms)
{
    struct batch_writer *w = &c->writer;

    batch_begin(w, LIMIT_BATCH);
    w->codec = (enum batch_codec)(h->attributes & BATCH_CODEC);
    w->attributes = (int16_t)(h->attributes & ~(BATCH_CODEC | BATCH_HAS_HORIZON));
    w->base_offset = h->base_offset;
    w->producer_id = h->producer_id;
    w->producer_epoch = h->producer_epoch;
    w->base_sequence = h->base_sequence;
    w->horizon_ms = horizon_ms;
    for (size_t i = 0; i < c->keep_n; i++)
        batch_add_at(w, (int32_t)(c->keep[i].offset - h->base_offset), &c->keep[i]);
    return batch_end(w);
}

static bool emit(struct compaction *c, struct str bytes, const struct batch_header *h, struct err *e)
{
    if (!os_write(c->l->os, c->out, bytes.p, bytes.n, c->out_size, e))
        return false;
    c->out_size += (int64_t)bytes.n;
    c->out_max_ts = h->max_timestamp_ms > c->out_max_ts ? h->max_timestamp_ms : c->out_max_ts;
    return true;
}

/* When what fades in a batch that has none yet may go. */
static int64_t horizon_from_now(const struct compaction *c)
{
    return c->set->delete_retention_ms < INT64_MAX - c->now ? c->now + c->set->delete_retention_ms
                                                            : INT64_MAX;
}

/* Sorts out the records of the batch; *begins: some of those that stay are now seen to fade. False: it cannot be read. */
static bool sift(struct compaction *c, const struct batch_header *h, size_t *all, bool *begins)
{
    struct str whole = buf_view(&c->batch),
               records = str_from(whole.p + BATCH_HEADER, whole.n - BATCH_HEADER);
    enum fading fading = fading_of(c, h);
    struct batch_reader r;
    struct record rec;
    struct err unreadable;

    *begins = false;
    arena_reset(&c->arena);
    batch_open(&r, &c->arena, whole);
    for (c->keep_n = *all = 0; batch_next(&r, &rec); (*all)++) {
        bool faint = fades(h, &rec, records);

        if (is_superseded(c, h, &rec) || (faint && fading == FADING_GOES))
            continue;
        *begins = *begins || (faint && fading == FADING_BEGINS);
        MEM_PUSH_ROOM(c->keep, c->keep_n, c->keep_cap);
        c->keep[c->keep_n++] = rec;
    }
    return batch_ok(&r, &unreadable);
}

static bool clean_batch(struct compaction *c, const struct batch_header *h, struct err *e)
{
    struct str whole = buf_view(&c->batch), rebuilt;
    int64_t horizon = h->attributes & BATCH_HAS_HORIZON ? h->base_timestamp_ms : -1;
    size_t all;
    bool begins;

    if (is_aborted(c, h)) {
        c->changed = true;
        return true;
    }
    if (!sift(c, h, &all, &begins) || (c->keep_n == all && !begins)) // what was packed wrongly stays as it is
        return emit(c, whole, h, e);
    c->changed = true;
    if (c->keep_n == 0)
        return true;
    rebuilt = rebuild(c, h, begins ? horizon_from_now(c) : horizon);
    return rebuilt.p ? emit(c, rebuilt, h, e) : emit(c, whole, h, e);
}

static bool clean_segment(struct compaction *c, struct seg *s, int64_t until, struct err *e)
{
    struct batch_header h;
    struct walk w;
    bool ok;

    if (!walk_start(c, &w, s, until, e))
        return false;
    while (walk_next(&w, &h, &ok, e)) {
        drop_ended(c, &h);
        ok = clean_batch(c, &h, e);
        if (!ok)
            break;
    }
    walk_end(&w);
    return ok;
}

/* ---- files and the list ---- */

static void doom(struct doomed *d, struct seg *s)
{
    MEM_PUSH_ROOM(d->segs, d->n, d->cap);
    d->segs[d->n++] = s;
}

/* The list of the partition, with the new file for the first of n segments and without the others. */
static void swap(struct compaction *c, struct seg **old, size_t n, size_t aborts, struct doomed *doomed)
{
    struct part *p = c->part;
    struct seg *s = seg_new(c->l, p, old[0]->base);
    size_t at = 0;

    s->size = s->staged = c->out_size;
    s->max_ts = c->out_max_ts;
    s->created_ms = old[0]->created_ms;
    s->closed = true;
    s->aborts_saved = aborts;
    mutex_lock(&p->lock);
    while (p->segs[at] != old[0]) // nobody else takes segments away meanwhile
        at++;
    p->segs[at] = s;
    p->seg_n -= n - 1;
    for (size_t i = at + 1; i < p->seg_n; i++)
        p->segs[i] = p->segs[i + n - 1];
    mutex_unlock(&p->lock);
    seg_unref(old[0]);
    for (size_t i = 1; i < n; i++)
        doom(doomed, old[i]);
}

static bool replace(struct compaction *c, struct seg **old, size_t n, struct doomed *doomed, struct err *e)
{
    struct os *os = c->l->os;
    struct arena a = {0};
    const char *path = arena_fmt(&a, "%s.log", old[0]->path),
               *index = arena_fmt(&a, "%s.index", old[0]->path);
    size_t aborts = 0;
    bool ok;

    ok = os_sync(os, c->out, e) && txn_merge(c->l, old, n, &aborts, e);
    if (ok && os->unlink(os, index) != 0 && errno != ENOENT)
        ok = err_sys(e, "remove %s", index);
    if (ok && os->rename(os, c->out_path, path) != 0)
        ok = err_sys(e, "rename %s", c->out_path);
    if (ok)
        swap(c, old, n, aborts, doomed);
    if (ok && !os_sync_dir(os, part_path(c->l, c->part, &a), e)) {
        log_fail(c->l, e); // or a checkpoint would let the merged files go
        ok = false;
    }
    arena_fini(&a);
    return ok;
}

/* Rewrites segments from the front of old, as many as become one of about segment.bytes; their number, 0 on failure. */
static size_t clean_group(struct compaction *c, struct seg **old, const int64_t *until, size_t n,
                          struct doomed *doomed, struct err *e)
{
    struct os *os = c->l->os;
    size_t took = 0;
    bool ok;

    c->out_path = mem_fmt("%s.log.cleaned", old[0]->path);
    c->out = os_open(os, c->out_path, O_RDWR | O_CREAT | O_TRUNC, e);
    c->out_size = 0;
    c->out_max_ts = TIME_NONE;
    c->changed = false;
    ok = c->out >= 0;
    while (ok && took < n && (took == 0 || c->out_size + old[took]->size <= c->set->segment_bytes)) {
        ok = clean_segment(c, old[took], until[took], e);
        took++;
    }
    if (ok && (c->changed || took > 1))
        ok = replace(c, old, took, doomed, e);
    else
        (void)os->unlink(os, c->out_path);
    os_close(os, c->out);
    mem_free(c->out_path);
    return ok ? took : 0;
}

/* ---- the run ---- */

/* Has the segment, whose offsets end before `until`, been left alone for long enough, and is all in it decided? REQUIRES part.lock. */
static bool is_ripe(const struct compaction *c, const struct seg *s, int64_t until)
{
    int64_t newest = seg_newest_ms(s);

    if (!s->closed || s->dirty || s->aborts_n > 0 || until > part_stable(c->part))
        return false;
    return c->set->min_compaction_lag_ms == 0 || newest <= c->now - c->set->min_compaction_lag_ms;
}

/* Is it worth it, when `dirty` bytes of `all` are new and the oldest of them came at since_ms? */
static bool is_due(const struct compaction *c, int64_t dirty, int64_t all, int64_t since_ms)
{
    if (dirty == 0)
        return false;
    if (since_ms != TIME_NONE && c->now - since_ms > c->set->max_compaction_lag_ms)
        return true;
    return (double)dirty > c->set->min_dirty_ratio * (double)all;
}

/* Segments to be compacted, referenced, in a; NULL: it is not worth it yet. */
static struct seg **candidates(const struct compaction *c, struct arena *a, int64_t **until, size_t *count)
{
    struct part *p = c->part;
    struct seg **segs = NULL;
    int64_t dirty = 0, all = 0, since_ms = TIME_NONE;
    size_t n = 0;

    mutex_lock(&p->lock);
    while (n + 1 < p->seg_n && is_ripe(c, p->segs[n], p->segs[n + 1]->base)) {
        all += p->segs[n]->size;
        if (p->segs[n + 1]->base > p->clean_to) {
            since_ms = dirty == 0 ? p->segs[n]->created_ms : since_ms;
            dirty += p->segs[n]->size;
        }
        n++;
    }
    if (is_due(c, dirty, all, since_ms)) {
        segs = ARENA_ARRAY(a, struct seg *, n);
        *until = ARENA_ARRAY(a, int64_t, n);
        for (size_t i = 0; i < n; i++) {
            segs[i] = seg_ref(p->segs[i]);
            (*until)[i] = p->segs[i + 1]->base;
        }
    }
    mutex_unlock(&p->lock);
    *count = segs ? n : 0;
    return segs;
}

static bool run(struct compaction *c, struct seg **segs, const int64_t *until, size_t n,
                struct doomed *doomed, struct err *e)
{
    bool full = false, ok = true;

    for (size_t i = 0; ok && !full && i < n; i++)
        if (until[i] > c->clean_to)
            ok = note_segment(c, segs[i], until[i], &full, e);
    for (size_t i = 0, took; ok && i < n; i += took) {
        took = clean_group(c, segs + i, until + i, n - i, doomed, e);
        ok = took > 0;
    }
    if (!ok)
        return false;
    mutex_lock(&c->part->lock);
    c->part->clean_to = c->upto;
    mutex_unlock(&c->part->lock);
    check_want(c->l);
    return true;
}

/*
 * A segment counts as synced from the moment a checkpoint begins to; only when that one has ended well no frame will ever
 * be replayed into the file.
 */
bool compact_part(struct log *l, struct part *p, const struct log_settings *set, struct doomed *doomed,
                  struct err *e)
{
    struct compaction c = {.l = l, .part = p, .set = set, .now = steady_ms(l)};
    struct arena a = {0};
    int64_t *until = NULL;
    size_t n;
    struct seg **segs = candidates(&c, &a, &until, &n);
    bool ok = true;

    if (segs && check_wait(l, e)) {
        c.clean_to = c.upto = p->clean_to; // only this thread changes it
        ok = run(&c, segs, until, n, doomed, e);
    }
    for (size_t i = 0; segs && i < n; i++)
        seg_unref(segs[i]);
    mem_free(c.notes.slots);
    mem_free(c.keep);
    arena_fini(&c.arena);
    arena_fini(&c.abort_arena);
    buf_fini(&c.batch);
    batch_fini(&c.writer);
    arena_fini(&a);
    return ok || (e->kind == ERR_BUSY && __atomic_load_n(&l->hurry, __ATOMIC_RELAXED));
}
