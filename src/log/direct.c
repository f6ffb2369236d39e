/*
 * Large parts past the page cache.
 *
 * A page that a file is written through costs more than its bytes: it must be found, given back later, and on a virtual machine often be
 * backed by the host first. So what is large goes to the disk (O_DIRECT) from memory that begins where a block of the file does: from where
 * it was received when it lies so (buffer.c), else from a piece that it is copied into. Writers do that, two of them so that the disk
 * has work while one waits for a processor, and the committer goes on meanwhile.
 *
 *     committer:  direct_put ─┬─▶ the open piece ─full, or another segment's turn, or direct_wait─▶ queue
 *                             └─▶ a piece of its own, of a buffer ─────────────────────────────────▶ queue
 *     writers:    queue ─▶ files, those of one segment in their order        direct_wait: until all are written
 *
 * Pieces are kept after that, the newest ones, and readers find them (direct_read): who follows a fast producer reads memory. A
 * piece's last block is filled with zeros; when the segment goes on, its next piece begins with that block's bytes and writes
 * it again. Bytes in front of a segment's published size never change, so a reader needs no more than a reference.
 *
 * The two ways of writing a segment may take turns but not meet: once a segment has gone this way its further parts do so until
 * the group is on disk (direct_takes), and the kernel keeps page cache and file in step for all that comes one after the other.
 * Where the file system does not take O_DIRECT, or a write fails, the piece is written the usual way.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "log/log_int.h"

#include <assert.h>
#include <fcntl.h>

enum { BLOCK = DIRECT_BLOCK, PIECE = SLAB_BYTES, EXTENTS = 3, KEEP_MS = 10000 };

struct piece {
    struct piece *newer, *older; // lock
    struct piece *next;          // lock: in the queue
    int refs;                    // lock: the list's, the writer's, readers'
    bool waits;                  // lock: it is to be written yet
    struct seg *seg;             // referenced
    int64_t at;                  // of its first byte, a multiple of BLOCK
    size_t n;                    // lock: bytes for readers, none while it is open
    struct slab *slab;           // what is in it: these, one behind the other, all of them whole blocks
    struct iovec extents[EXTENTS];
    int extent_n;
};

/* ---- memory ---- */

/* Gives back a reference. REQUIRES lock; true: it was the last, and piece_free() is due without the lock. */
static bool unref(struct piece *p)
{
    return --p->refs == 0;
}

static void piece_free(struct piece *p)
{
    seg_unref(p->seg);
    slab_unref(p->slab);
    mem_free(p);
}

/* REQUIRES lock. */
static void list_remove(struct direct *d, struct piece *p)
{
    *(p->newer ? &p->newer->older : &d->newest) = p->older;
    *(p->older ? &p->older->newer : &d->oldest) = p->newer;
    d->count--;
}

/* REQUIRES lock. */
static void list_add(struct direct *d, struct piece *p)
{
    p->older = d->newest;
    p->newer = NULL;
    *(p->older ? &p->older->newer : &d->oldest) = p;
    d->newest = p;
    d->count++;
}

/* Lets go of the oldest, once they are written, until there is room for one more. */
static void make_way(struct direct *d)
{
    mutex_lock(&d->lock);
    while (d->count >= d->most) {
        struct piece *p = d->oldest;

        if (p->waits) {
            d->awaited = p;
            cond_wait(&d->written, &d->lock);
            d->awaited = NULL;
            continue; // direct_age() may have been here
        }
        list_remove(d, p);
        if (!unref(p))
            continue; // a reader has it, and frees it
        mutex_unlock(&d->lock);
        piece_free(p);
        mutex_lock(&d->lock);
    }
    mutex_unlock(&d->lock);
}

static void drop_all(struct direct *d)
{
    struct piece *gone = NULL;

    mutex_lock(&d->lock);
    for (struct piece *p = d->oldest, *newer; p; p = newer) {
        newer = p->newer;
        if (p->waits)
            continue;
        list_remove(d, p);
        if (unref(p)) {
            p->next = gone;
            gone = p;
        }
    }
    mutex_unlock(&d->lock);
    for (struct piece *next; gone; gone = next) {
        next = gone->next;
        piece_free(gone);
    }
}

void direct_age(struct direct *d)
{
    bool old;

    mutex_lock(&d->lock);
    old = d->os->now_ns(d->os) - d->used_ns > KEEP_MS * INT64_C(1000000);
    mutex_unlock(&d->lock);
    if (!old)
        return;
    drop_all(d);
    slabs_trim(&d->slabs);
}

/* ---- the writers ---- */

static bool write_to(const struct piece *p, int fd, struct err *e)
{
    struct iovec v[EXTENTS]; // os_writev changes it

    memcpy(v, p->extents, sizeof v);
    return os_writev(p->seg->os, fd, v, p->extent_n, p->at, e);
}

/* The usual way is the second try: it tells what is wrong with the disk, if that is what it was. */
static bool write_piece(const struct piece *p, struct err *e)
{
    const struct seg *s = p->seg;
    struct err ignored;

    return (s->dfd >= 0 && write_to(p, s->dfd, &ignored)) || write_to(p, s->wfd, e) ||
           err_wrap(e, "segment %s.log", s->path);
}

/* REQUIRES lock. */
static bool is_written_now(const struct direct *d, const struct seg *s)
{
    for (size_t i = 0; i < DIRECT_WRITERS; i++)
        if (d->writers[i].seg == s)
            return true;
    return false;
}

/* REQUIRES lock. */
static bool all_written(const struct direct *d)
{
    for (size_t i = 0; i < DIRECT_WRITERS; i++)
        if (d->writers[i].seg)
            return false;
    return !d->queue;
}

/*
 * The first in the queue whose segment no writer is at, taken out; NULL: none. Two pieces of a segment share a block, which has to be as
 * the second one has it. REQUIRES lock.
 */
static struct piece *next_piece(struct direct *d)
{
    for (struct piece **at = &d->queue, *p; (p = *at); at = &p->next) {
        if (is_written_now(d, p->seg))
            continue;
        *at = p->next;
        if (!p->next)
            d->queue_tail = at;
        return p;
    }
    return NULL;
}

static void write_all(void *writer)
{
    struct direct_writer *w = writer;
    struct direct *d = w->direct;
    struct err e;

    mutex_lock(&d->lock);
    for (;;) {
        struct piece *p = next_piece(d);
        bool ok;

        if (!p && d->stop && !d->queue)
            break;
        if (!p) {
            cond_wait(&d->more, &d->lock);
            continue;
        }
        w->seg = p->seg;
        mutex_unlock(&d->lock);
        ok = write_piece(p, &e);
        mutex_lock(&d->lock);
        w->seg = NULL;
        if (!ok && d->ok)
            d->err = e;
        d->ok = d->ok && ok;
        p->waits = false;
        (void)unref(p); // never the last one: the list keeps what waits
        if (p == d->awaited || all_written(d))
            cond_signal(&d->written);
        if (d->queue || d->stop) // perhaps it waited for the segment
            cond_broadcast(&d->more);
    }
    mutex_unlock(&d->lock);
}

void direct_start(struct direct *d, struct os *os, size_t most_bytes)
{
    d->os = os;
    d->most = most_bytes / PIECE > 2 ? most_bytes / PIECE : 2;
    d->ok = true;
    d->queue_tail = &d->queue;
    slabs_init(&d->slabs, 3 * d->most); // what is kept, what waits for the committer, what comes in
    mutex_init(&d->lock);
    cond_init(&d->more);
    cond_init(&d->written);
    for (size_t i = 0; i < DIRECT_WRITERS; i++) {
        d->writers[i].direct = d;
        thread_start(&d->writers[i].thread, "log-write", write_all, &d->writers[i]);
    }
}

void direct_stop(struct direct *d)
{
    mutex_lock(&d->lock);
    d->stop = true;
    cond_broadcast(&d->more);
    mutex_unlock(&d->lock);
    for (size_t i = 0; i < DIRECT_WRITERS; i++)
        thread_join(&d->writers[i].thread);
    drop_all(d);
    assert(d->count == 0 && !d->open);
    slabs_fini(&d->slabs);
    cond_fini(&d->written);
    cond_fini(&d->more);
    mutex_fini(&d->lock);
}

/* ---- filling ---- */

/* It is the writers' now, and readers may have its first n bytes. */
static void queue_piece(struct direct *d, struct piece *p, size_t n)
{
    mutex_lock(&d->lock);
    p->n = n;
    *d->queue_tail = p;
    d->queue_tail = &p->next;
    cond_signal(&d->more);
    mutex_unlock(&d->lock);
}

static void close_piece(struct direct *d)
{
    struct piece *p = d->open;
    size_t length = (size_t)direct_end((int64_t)d->fill);

    if (!p)
        return;
    d->open = NULL;
    memset(p->slab->bytes + d->fill, 0, length - d->fill);
    p->extents[0].iov_len = length;
    queue_piece(d, p, d->fill);
}

static bool wait_written(struct direct *d, struct err *e)
{
    bool ok;

    mutex_lock(&d->lock);
    while (!all_written(d))
        cond_wait(&d->written, &d->lock);
    ok = d->ok;
    if (!ok)
        *e = d->err;
    mutex_unlock(&d->lock);
    return ok;
}

bool direct_wait(struct direct *d, struct err *e)
{
    bool ok;

    close_piece(d);
    ok = wait_written(d, e);
    mutex_lock(&d->lock);
    d->ok = true; // the next group is another
    mutex_unlock(&d->lock);
    return ok;
}

/* What a segment's last block has in front of `at`: of a piece, or read from the file. */
static bool read_lead(struct direct *d, struct seg *s, uint8_t *to, int64_t at, struct err *e)
{
    size_t n = (size_t)(at % BLOCK);

    if (n == 0 || direct_read(d, s, to, n, at - (int64_t)n) == n)
        return true;
    return (wait_written(d, e) && os_read(s->os, s->wfd, to, n, at - (int64_t)n, e)) ||
           err_wrap(e, "segment %s.log", s->path);
}

/* A piece that begins with the block that `at` is in, listed. slab: with a reference, which is the piece's then. */
static struct piece *begin_piece(struct direct *d, struct seg *s, int64_t at, struct slab *slab)
{
    struct piece *p = MEM_NEW(struct piece);

    p->at = at - at % BLOCK;
    p->slab = slab;
    p->seg = seg_ref(s);
    p->refs = 2; // the list and the writer
    p->waits = true;
    mutex_lock(&d->lock);
    list_add(d, p);
    d->used_ns = d->os->now_ns(d->os);
    mutex_unlock(&d->lock);
    return p;
}

static bool open_piece(struct direct *d, struct seg *s, int64_t at, struct err *e)
{
    struct slab *slab;

    close_piece(d);
    make_way(d); // first: the slab that it gives back is warm
    slab = slab_take(&d->slabs);
    if (!read_lead(d, s, slab->bytes, at, e)) {
        slab_unref(slab);
        return false;
    }
    d->open = begin_piece(d, s, at, slab);
    d->open->extents[d->open->extent_n++] = (struct iovec){slab->bytes, 0};
    d->fill = (size_t)(at % BLOCK);
    return true;
}

static void open_file(struct seg *s)
{
    struct arena a = {0};
    struct err ignored;
    int fd;

    if (s->dfd != DIRECT_UNKNOWN)
        return;
    fd = os_open(s->os, arena_fmt(&a, "%s.log", s->path), O_WRONLY | O_DIRECT, &ignored);
    __atomic_store_n(&s->dfd, fd >= 0 ? fd : DIRECT_NOT, __ATOMIC_RELEASE);
    arena_fini(&a);
}

bool direct_takes(struct log *l, struct seg *s, size_t n)
{
    if (s->direct_group == l->group.number)
        return true;
    if (n < l->direct_bytes || s->dfd == DIRECT_NOT)
        return false;
    open_file(s);
    return s->dfd >= 0;
}

int64_t direct_end(int64_t end)
{
    return (end + BLOCK - 1) / BLOCK * BLOCK;
}

static bool copy(struct direct *d, struct seg *s, int64_t at, const uint8_t *from, size_t n, struct err *e)
{
    while (n > 0) {
        const struct piece *p = d->open;
        size_t k;

        if ((!p || p->seg != s || d->fill == PIECE || p->at + (int64_t)d->fill != at) &&
            !open_piece(d, s, at, e))
            return false;
        k = n < PIECE - d->fill ? n : PIECE - d->fill;
        mem_stream(d->open->slab->bytes + d->fill, from, k);
        d->fill += k;
        at += (int64_t)k;
        from += k;
        n -= k;
    }
    return true;
}

/* Does the part lie in the buffer as it will in the file, so that it can be written from there? */
static bool lies_well(const struct op_part *t, int64_t at)
{
    const struct log_buffer *b = t->buffer;
    const uint8_t *from = (const uint8_t *)t->iov[1].iov_base - BATCH_HEADER;

    return !b->put && t->batches == 1 && t->n >= (size_t)4 * BLOCK && from >= b->p &&
           from + t->n <= b->p + b->n && (uintptr_t)from % BLOCK == (uintptr_t)at % BLOCK;
}

/*
 * A piece of the buffer's memory but for its ends: the first blocks, in which are the segment's bytes in front of it and the batch's header
 * with its offset, and the last one.
 */
static bool put_buffer(struct direct *d, struct seg *s, const struct op_part *t, struct err *e)
{
    struct log_buffer *b = t->buffer;
    size_t lead = (size_t)(s->staged % BLOCK), head = (size_t)direct_end((int64_t)(lead + BATCH_HEADER));
    size_t whole = (lead + t->n) / BLOCK * BLOCK, tail = lead + t->n - whole;
    uint8_t *rest = t->iov[1].iov_base, *last = b->ends + BUFFER_ENDS - BLOCK, *to = b->ends + lead;
    struct piece *p;

    close_piece(d);
    if (!read_lead(d, s, b->ends, s->staged, e))
        return false;
    memcpy(to, t->heads, BATCH_HEADER);
    memcpy(to + BATCH_HEADER, rest, head - lead - BATCH_HEADER);
    memcpy(last, rest - BATCH_HEADER + (whole - lead), tail);
    memset(last + tail, 0, BLOCK - tail);
    b->put = true;
    make_way(d);
    p = begin_piece(d, s, s->staged, slab_ref(b->slab));
    p->extents[p->extent_n++] = (struct iovec){b->ends, head};
    p->extents[p->extent_n++] = (struct iovec){rest - BATCH_HEADER + (head - lead), whole - head};
    if (tail > 0)
        p->extents[p->extent_n++] = (struct iovec){last, BLOCK};
    queue_piece(d, p, lead + t->n);
    return true;
}

bool direct_put(struct log *l, struct seg *s, const struct op_part *t, struct err *e)
{
    int64_t at = s->staged;

    s->direct_group = l->group.number;
    if (t->buffer && lies_well(t, at))
        return put_buffer(&l->direct, s, t, e);
    for (size_t i = 0; i < 2 * t->batches; i++) {
        if (!copy(&l->direct, s, at, t->iov[i].iov_base, t->iov[i].iov_len, e))
            return false;
        at += (int64_t)t->iov[i].iov_len;
    }
    return true;
}

void direct_forget(struct direct *d, const struct seg *s)
{
    if (s->dfd == DIRECT_UNKNOWN)
        return;
    close_piece(d);
    mutex_lock(&d->lock);
    for (struct piece *p = d->oldest; p; p = p->newer)
        if (p->seg == s && p->at + (int64_t)p->n > s->staged)
            p->n = p->at < s->staged ? (size_t)(s->staged - p->at) : 0;
    mutex_unlock(&d->lock);
}

/* ---- reading ---- */

/* n bytes from `skip` on. */
static void copy_out(const struct piece *p, size_t skip, uint8_t *to, size_t n)
{
    for (const struct iovec *v = p->extents; n > 0; v++) {
        size_t k = v->iov_len > skip ? v->iov_len - skip : 0;

        k = k < n ? k : n;
        memcpy(to, (const uint8_t *)v->iov_base + skip, k);
        skip = k > 0 ? 0 : skip - v->iov_len;
        to += k;
        n -= k;
    }
}

size_t direct_read(struct direct *d, const struct seg *s, void *to, size_t n, int64_t pos)
{
    struct piece *p;
    bool last;

    mutex_lock(&d->lock);
    for (p = d->newest; p && !(p->seg == s && p->at <= pos && pos < p->at + (int64_t)p->n); p = p->older)
        ;
    if (p) {
        p->refs++;
        n = n < (size_t)(p->at + (int64_t)p->n - pos) ? n : (size_t)(p->at + (int64_t)p->n - pos);
    }
    mutex_unlock(&d->lock);
    if (!p)
        return 0;
    copy_out(p, (size_t)(pos - p->at), to, n);
    mutex_lock(&d->lock);
    last = unref(p);
    mutex_unlock(&d->lock);
    if (last)
        piece_free(p);
    return n;
}
