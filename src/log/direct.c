/*
 * Large parts past the page cache.
 *
 * A page that a file is written through costs more than its bytes: it must be found, given back later, and on a virtual machine often be
 * backed by the host first. So what is large is copied once, into a piece of memory that begins where a block of the file does, and
 * from there it goes to the disk (O_DIRECT), by a thread of its own while the committer fills the next piece.
 *
 *     committer:  direct_put ─▶ the open piece ─full, or another segment's turn, or direct_wait─▶ queue
 *     writer:     queue ─▶ file                                                direct_wait: until the queue is empty
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

enum { BLOCK = 4096, PIECE = MEM_HUGE, KEEP_MS = 10000 };

struct piece {
    struct piece *newer, *older; // lock
    struct piece *next;          // lock: in the queue
    int refs;                    // lock: the list's, the writer's, readers'
    bool waits;                  // lock: it is to be written yet
    struct seg *seg;             // referenced
    int64_t at;                  // of its first byte, a multiple of BLOCK
    size_t n;                    // lock: bytes for readers, none while it is open
    size_t length;               // to be written, a multiple of BLOCK
    uint8_t *bytes;              // [PIECE]
};

/* ---- memory ---- */

static struct piece *piece_new(void)
{
    struct piece *p = MEM_NEW(struct piece);

    p->bytes = mem_huge(PIECE);
    return p;
}

/* Gives back a reference. REQUIRES lock; true: it was the last, and piece_free() is due without the lock. */
static bool unref(struct piece *p)
{
    return --p->refs == 0;
}

static void piece_free(struct piece *p)
{
    seg_unref(p->seg);
    mem_free(p->bytes);
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

/* A piece to fill: a new one, or the oldest that nobody needs any more. */
static struct piece *take_piece(struct direct *d)
{
    struct piece *p = NULL;

    mutex_lock(&d->lock);
    while (d->count >= d->most && !p) {
        if (d->oldest->waits) {
            cond_wait(&d->written, &d->lock);
            continue; // direct_age() may have been here
        }
        p = d->oldest;
        list_remove(d, p);
        if (!unref(p))
            p = NULL; // a reader has it, and frees it
    }
    mutex_unlock(&d->lock);
    if (!p)
        return piece_new();
    seg_unref(p->seg);
    p->seg = NULL;
    return p;
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
    old = d->count > 0 && d->os->now_ns(d->os) - d->used_ns > KEEP_MS * INT64_C(1000000);
    mutex_unlock(&d->lock);
    if (old)
        drop_all(d);
}

/* ---- the writer ---- */

/* The usual way is the second try: it tells what is wrong with the disk, if that is what it was. */
static bool write_piece(const struct piece *p, struct err *e)
{
    const struct seg *s = p->seg;
    struct err ignored;

    return (s->dfd >= 0 && os_write(s->os, s->dfd, p->bytes, p->length, p->at, &ignored)) ||
           os_write(s->os, s->wfd, p->bytes, p->length, p->at, e) || err_wrap(e, "segment %s.log", s->path);
}

static void write_all(void *direct)
{
    struct direct *d = direct;
    struct err e;

    mutex_lock(&d->lock);
    for (;;) {
        struct piece *p = d->queue;
        bool ok;

        if (!p && d->stop)
            break;
        if (!p) {
            cond_wait(&d->more, &d->lock);
            continue;
        }
        mutex_unlock(&d->lock);
        ok = write_piece(p, &e);
        mutex_lock(&d->lock);
        d->queue = p->next;
        if (!d->queue)
            d->queue_tail = &d->queue;
        if (!ok && d->ok)
            d->err = e;
        d->ok = d->ok && ok;
        p->waits = false;
        (void)unref(p); // never the last one: the list keeps what waits
        cond_signal(&d->written);
    }
    mutex_unlock(&d->lock);
}

void direct_start(struct direct *d, struct os *os, size_t most_bytes)
{
    d->os = os;
    d->most = most_bytes / PIECE > 2 ? most_bytes / PIECE : 2;
    d->ok = true;
    d->queue_tail = &d->queue;
    mutex_init(&d->lock);
    cond_init(&d->more);
    cond_init(&d->written);
    thread_start(&d->writer, "log-write", write_all, d);
}

void direct_stop(struct direct *d)
{
    mutex_lock(&d->lock);
    d->stop = true;
    cond_signal(&d->more);
    mutex_unlock(&d->lock);
    thread_join(&d->writer);
    drop_all(d);
    assert(d->count == 0 && !d->open);
    cond_fini(&d->written);
    cond_fini(&d->more);
    mutex_fini(&d->lock);
}

/* ---- filling ---- */

/* The open piece is the writer's, up to a multiple of BLOCK. */
static void close_piece(struct direct *d)
{
    struct piece *p = d->open;

    if (!p)
        return;
    d->open = NULL;
    p->length = d->fill + (BLOCK - d->fill % BLOCK) % BLOCK;
    memset(p->bytes + d->fill, 0, p->length - d->fill);
    mutex_lock(&d->lock);
    p->n = d->fill;
    *d->queue_tail = p;
    d->queue_tail = &p->next;
    cond_signal(&d->more);
    mutex_unlock(&d->lock);
}

static bool wait_written(struct direct *d, struct err *e)
{
    bool ok;

    mutex_lock(&d->lock);
    while (d->queue)
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

/* What is in the first block already: of a piece, or read from the file. */
static bool begin_block(struct direct *d, struct seg *s, struct piece *p, size_t n, struct err *e)
{
    if (n == 0 || direct_read(d, s, p->bytes, n, p->at) == n)
        return true;
    return wait_written(d, e) && os_read(s->os, s->wfd, p->bytes, n, p->at, e);
}

static bool open_piece(struct direct *d, struct seg *s, int64_t at, struct err *e)
{
    size_t lead = (size_t)(at % BLOCK);
    struct piece *p;

    close_piece(d);
    p = take_piece(d);
    p->at = at - (int64_t)lead;
    p->n = 0;
    if (!begin_block(d, s, p, lead, e)) {
        piece_free(p);
        return err_wrap(e, "segment %s.log", s->path);
    }
    p->seg = seg_ref(s);
    p->next = NULL;
    p->refs = 2; // the list and the writer
    p->waits = true;
    d->open = p;
    d->fill = lead;
    mutex_lock(&d->lock);
    list_add(d, p);
    d->used_ns = d->os->now_ns(d->os);
    mutex_unlock(&d->lock);
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

static bool put(struct direct *d, struct seg *s, int64_t at, const uint8_t *from, size_t n, struct err *e)
{
    while (n > 0) {
        const struct piece *p = d->open;
        size_t k;

        if ((!p || p->seg != s || d->fill == PIECE || p->at + (int64_t)d->fill != at) &&
            !open_piece(d, s, at, e))
            return false;
        k = n < PIECE - d->fill ? n : PIECE - d->fill;
        mem_stream(d->open->bytes + d->fill, from, k);
        d->fill += k;
        at += (int64_t)k;
        from += k;
        n -= k;
    }
    return true;
}

bool direct_put(struct log *l, struct seg *s, const struct iovec *v, size_t count, struct err *e)
{
    int64_t at = s->staged;

    s->direct_group = l->group.number;
    for (size_t i = 0; i < count; i++) {
        if (!put(&l->direct, s, at, v[i].iov_base, v[i].iov_len, e))
            return false;
        at += (int64_t)v[i].iov_len;
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
    memcpy(to, p->bytes + (pos - p->at), n);
    mutex_lock(&d->lock);
    last = unref(p);
    mutex_unlock(&d->lock);
    if (last)
        piece_free(p);
    return n;
}
