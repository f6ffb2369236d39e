/* Segments: files of batches, and the sparse index that says where in them an offset or a time is. */
#include "base/be.h"
#include "base/crc.h"
#include "base/limits.h"
#include "base/mem.h"
#include "log/log_int.h"

#include <assert.h>
#include <fcntl.h>

enum { INDEX_MAGIC = 0x74617269, BLOCK_HEAD = 12, ENTRY = 16 }; // "tari"
enum { HOP_WINDOW = 16 * 1024 };
enum { CACHE_KEEP = 8 << 20, CACHE_STEP = 1 << 20 };

struct seg *seg_new(struct log *l, const struct part *p, int64_t base)
{
    struct seg *s = MEM_NEW(struct seg);
    struct log_settings set;
    struct arena a = {0};

    topic_settings(l, p->topic, &set, NULL);
    s->index_every = set.index_interval_bytes;
    s->refs = 1;
    s->os = l->os;
    s->path = mem_fmt("%s/%020lld", part_path(l, p, &a), (long long)base);
    s->base = base;
    s->max_ts = s->created_ms = TIME_NONE;
    s->fd = s->wfd = s->sfd = -1;
    s->direct = &l->direct;
    s->dfd = DIRECT_UNKNOWN;
    arena_fini(&a);
    return s;
}

struct seg *seg_ref(struct seg *s)
{
    (void)__atomic_fetch_add(&s->refs, 1, __ATOMIC_RELAXED);
    return s;
}

void seg_unref(struct seg *s)
{
    if (!s || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    os_close(s->os, s->fd);
    os_close(s->os, s->wfd);
    os_close(s->os, s->sfd);
    if (s->dfd >= 0)
        os_close(s->os, s->dfd);
    mem_free(s->idx);
    mem_free(s->aborts);
    mem_free(s->path);
    mem_free(s);
}

/* *at, opened if it is not. */
static int open_read(struct part *p, struct seg *s, int *at, struct err *e)
{
    struct arena a = {0};
    int fd, mine;

    mine = os_open(s->os, arena_fmt(&a, "%s.log", s->path), O_RDONLY, e);
    arena_fini(&a);
    if (mine < 0)
        return -1;
    if (at == &s->sfd)
        s->os->advise(s->os, mine, 0, 0, OS_NO_AHEAD);
    mutex_lock(&p->lock);
    fd = *at;
    if (fd < 0)
        fd = *at = mine;
    mutex_unlock(&p->lock);
    if (fd != mine)
        os_close(s->os, mine);
    return fd;
}

int seg_fd(struct part *p, struct seg *s, struct err *e)
{
    int fd;

    mutex_lock(&p->lock);
    fd = s->wfd >= 0 ? s->wfd : s->fd;
    s->touched = true;
    mutex_unlock(&p->lock);
    return fd >= 0 ? fd : open_read(p, s, &s->fd, e);
}

int seg_server_fd(struct part *p, struct seg *s, struct err *e)
{
    int fd;

    mutex_lock(&p->lock);
    fd = s->sfd;
    s->touched = true;
    mutex_unlock(&p->lock);
    return fd >= 0 ? fd : open_read(p, s, &s->sfd, e);
}

size_t seg_read_newest(const struct seg *s, void *p, size_t n, int64_t pos)
{
    size_t got = 0;

    if (s->direct && __atomic_load_n(&s->dfd, __ATOMIC_ACQUIRE) >= 0)
        for (size_t k;
             got < n && (k = direct_read(s->direct, s, (char *)p + got, n - got, pos + (int64_t)got)) > 0;)
            got += k;
    return got;
}

ssize_t seg_read(const struct seg *s, int fd, void *p, size_t n, int64_t pos, struct err *e)
{
    size_t got = seg_read_newest(s, p, n, pos);
    ssize_t rest;

    if (got == n)
        return (ssize_t)got;
    rest = os_read_some(s->os, fd, (char *)p + got, n - got, pos + (int64_t)got, e);
    return rest < 0 ? -1 : (ssize_t)got + rest;
}

static bool open_write(struct part *p, struct seg *s, bool create, bool cut, struct err *e)
{
    struct arena a = {0};
    int fd;
    bool open;

    mutex_lock(&p->lock);
    open = s->wfd >= 0;
    s->touched = true;
    mutex_unlock(&p->lock);
    if (open)
        return true;
    fd = os_open(s->os, arena_fmt(&a, "%s.log", s->path), O_RDWR | (create ? O_CREAT : 0), e);
    arena_fini(&a);
    if (fd < 0)
        return false;
    if (cut && s->os->ftruncate(s->os, fd, s->staged) != 0) {
        os_close(s->os, fd);
        return err_sys(e, "cut segment %s.log to %lld", s->path, (long long)s->staged);
    }
    s->reserved = s->staged;
    mutex_lock(&p->lock);
    s->wfd = fd;
    s->fresh = s->fresh || create;
    mutex_unlock(&p->lock);
    return true;
}

void seg_forget_old(struct part *p, struct seg *s)
{
    int64_t from, to;
    int fd;

    mutex_lock(&p->lock);
    fd = s->wfd;
    from = s->forgotten;
    to = s->size - CACHE_KEEP;
    to -= to % CACHE_STEP;
    if (to > from)
        s->forgotten = to;
    mutex_unlock(&p->lock);
    if (to > from)
        s->os->advise(s->os, fd, from, to - from, OS_FORGET);
}

bool seg_open_write(struct part *p, struct seg *s, bool create, struct err *e)
{
    return open_write(p, s, create, true, e);
}

bool seg_open_replay(struct part *p, struct seg *s, struct err *e)
{
    return open_write(p, s, true, false, e);
}

/* ---- the index in memory; REQUIRES part.lock unless the segment is nobody else's ---- */

void seg_index_add(struct seg *s, int64_t offset, int64_t pos, int64_t max_ts)
{
    const struct seg_entry *last = s->idx_n ? &s->idx[s->idx_n - 1] : NULL;

    if (!last || pos - last->pos >= s->index_every) {
        MEM_PUSH_ROOM(s->idx, s->idx_n, s->idx_cap);
        s->idx[s->idx_n++] = (struct seg_entry){(uint32_t)(offset - s->base), (uint32_t)pos, s->max_ts};
    }
    s->max_ts = max_ts > s->max_ts ? max_ts : s->max_ts;
}

int64_t seg_newest_ms(const struct seg *s)
{
    return s->max_ts > 0 ? s->max_ts : s->created_ms;
}

int64_t seg_pos_of_offset(const struct seg *s, int64_t offset)
{
    size_t lo = 0, hi = s->idx_n; // the last entry at or below offset is before hi

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (s->base + s->idx[mid].delta <= offset)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo ? s->idx[lo - 1].pos : 0;
}

int64_t seg_pos_between(const struct seg *s, int64_t pos, int64_t most)
{
    size_t lo = 0, hi = s->idx_n; // the last entry at or below most is before hi

    if (s->size <= most)
        return s->size;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (s->idx[mid].pos <= most)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo > 0 && s->idx[lo - 1].pos > pos)
        return s->idx[lo - 1].pos;
    return lo < s->idx_n ? s->idx[lo].pos : s->size;
}

int64_t seg_pos_of_time(const struct seg *s, int64_t time)
{
    size_t lo = 0, hi = s->idx_n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (s->idx[mid].max_ts < time)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo ? s->idx[lo - 1].pos : 0;
}

void seg_index_drop(struct seg *s)
{
    assert(s->state == SEG_LOADED);
    mem_free(s->idx);
    s->idx = NULL;
    s->idx_n = s->idx_cap = 0;
    s->state = SEG_UNLOADED;
}

/* ---- going from header to header ---- */

void hop_init(struct hop *h, const struct seg *s, int fd, int64_t pos, int64_t end)
{
    *h = (struct hop){.seg = s, .fd = fd, .pos = pos, .end = end, .buf = mem_alloc(HOP_WINDOW)};
}

void hop_fini(struct hop *h)
{
    mem_free(h->buf);
}

enum hop_answer hop_next(struct hop *h, struct err *e)
{
    ssize_t got;

    if (h->pos == h->end)
        return HOP_END;
    if (h->pos < h->buf_pos || h->pos + BATCH_HEADER > h->buf_pos + h->buf_n) {
        int64_t want = h->end - h->pos < HOP_WINDOW ? h->end - h->pos : HOP_WINDOW;

        got = seg_read(h->seg, h->fd, h->buf, (size_t)want, h->pos, e);
        if (got < 0)
            return HOP_FAILED;
        h->buf_pos = h->pos;
        h->buf_n = got;
    }
    if (!batch_header(str_from(h->buf + (h->pos - h->buf_pos), (size_t)(h->buf_pos + h->buf_n - h->pos)),
                      &h->head))
        return HOP_DAMAGED;
    h->at = h->pos;
    if (h->head.length + 12 > h->end - h->pos || h->head.last_offset_delta < 0)
        return HOP_DAMAGED;
    h->pos += h->head.length + 12;
    return HOP_BATCH;
}

/* ---- the index file ---- */

/* Entries of one block behind the n there are; false when it is not right. */
static bool take_block(struct seg *s, const char *p, size_t n, int64_t size)
{
    for (size_t i = 0; i < n; i++, p += ENTRY) {
        struct seg_entry t = {be_get32(p), be_get32(p + 4), (int64_t)be_get64(p + 8)};
        const struct seg_entry *last = s->idx_n ? &s->idx[s->idx_n - 1] : NULL;

        if (t.pos >= size || (last ? t.pos <= last->pos || t.delta <= last->delta : t.pos != 0))
            return false;
        MEM_PUSH_ROOM(s->idx, s->idx_n, s->idx_cap);
        s->idx[s->idx_n++] = t;
    }
    return true;
}

static void take_blocks(struct seg *s, struct str file, int64_t size)
{
    while (file.n >= BLOCK_HEAD && be_get32(file.p) == INDEX_MAGIC) {
        size_t n = be_get32(file.p + 4);
        size_t before = s->idx_n;

        if (n > (file.n - BLOCK_HEAD) / ENTRY ||
            be_get32(file.p + 8) != crc32c(0, file.p + BLOCK_HEAD, n * ENTRY))
            return;
        if (!take_block(s, file.p + BLOCK_HEAD, n, size)) {
            s->idx_n = before;
            return;
        }
        s->idx_file += (int64_t)(BLOCK_HEAD + n * ENTRY);
        s->idx_saved = s->idx_n;
        file = str_from(file.p + BLOCK_HEAD + n * ENTRY, file.n - BLOCK_HEAD - n * ENTRY);
    }
}

static void read_index(struct seg *s, int64_t size)
{
    struct arena a = {0};
    struct str file;
    struct err ignored; // what cannot be read is made anew

    if (os_read_file(s->os, arena_fmt(&a, "%s.index", s->path), 64 * MIB, &a, &file, &ignored))
        take_blocks(s, file, size);
    arena_fini(&a);
}

/* Entries for what the index file does not have. Damage ends it without an error: whoever reads there will find it. */
static bool hop_rest(struct seg *s, int fd, int64_t size, struct err *e)
{
    const struct seg_entry *last = s->idx_n ? &s->idx[s->idx_n - 1] : NULL;
    enum hop_answer answer;
    struct hop h;

    hop_init(&h, s, fd, last ? last->pos : 0, size);
    s->max_ts = last ? last->max_ts : TIME_NONE;
    while ((answer = hop_next(&h, e)) == HOP_BATCH) {
        if (h.head.base_offset < s->base || h.head.base_offset - s->base > UINT32_MAX)
            break;
        seg_index_add(s, h.head.base_offset, h.at, h.head.max_timestamp_ms);
    }
    hop_fini(&h);
    return answer != HOP_FAILED;
}

/* Loads the index, or makes it anew from the batches. One thread does it, the others wait. */
static bool load(struct part *p, struct seg *s, bool anew, struct err *e)
{
    struct seg mine = {.os = s->os, .path = s->path, .base = s->base, .index_every = s->index_every};
    int64_t size;
    int fd;
    bool ok;

    mutex_lock(&p->lock);
    s->touched = true;
    while (s->state == SEG_LOADING)
        cond_wait(&p->loaded, &p->lock);
    ok = s->state == SEG_LOADED && !anew;
    if (!ok) {
        if (s->state == SEG_LOADED)
            seg_index_drop(s);
        s->state = SEG_LOADING;
    }
    size = s->size;
    mutex_unlock(&p->lock);
    if (ok)
        return true;
    fd = seg_fd(p, s, e);
    if (fd >= 0 && !anew)
        read_index(&mine, size);
    ok = fd >= 0 && hop_rest(&mine, fd, size, e);
    mutex_lock(&p->lock);
    s->state = ok ? SEG_LOADED : SEG_UNLOADED;
    if (ok) {
        s->idx = mine.idx;
        s->idx_n = mine.idx_n;
        s->idx_cap = mine.idx_cap;
        s->idx_saved = mine.idx_saved;
        s->idx_file = mine.idx_file;
        s->max_ts = mine.max_ts > s->max_ts ? mine.max_ts : s->max_ts;
    } else {
        mem_free(mine.idx);
    }
    cond_broadcast(&p->loaded);
    mutex_unlock(&p->lock);
    return ok;
}

bool seg_load(struct part *p, struct seg *s, struct err *e)
{
    return load(p, s, false, e);
}

bool seg_load_anew(struct part *p, struct seg *s, struct err *e)
{
    return load(p, s, s->closed, e); // the index of an active one is the committer's own
}

/* Copies the entries that the file lacks, as a block. */
static bool unsaved(struct part *p, struct seg *s, struct buf *b, int64_t *at, size_t *upto)
{
    mutex_lock(&p->lock);
    *at = s->idx_file;
    *upto = s->idx_n;
    if (s->state == SEG_LOADED && s->idx_saved < s->idx_n) {
        buf_i32(b, INDEX_MAGIC);
        buf_i32(b, (int32_t)(s->idx_n - s->idx_saved));
        buf_i32(b, 0);
        for (size_t i = s->idx_saved; i < s->idx_n; i++) {
            buf_i32(b, (int32_t)s->idx[i].delta);
            buf_i32(b, (int32_t)s->idx[i].pos);
            buf_i64(b, s->idx[i].max_ts);
        }
        be_put32(b->p + 8, crc32c(0, b->p + BLOCK_HEAD, b->n - BLOCK_HEAD));
    }
    mutex_unlock(&p->lock);
    return b->n > 0;
}

/* A failure costs only time at the next load. REQUIRES one caller at a time. */
void seg_index_save(struct part *p, struct seg *s)
{
    struct buf b = buf_make(256 * MIB);
    struct arena a = {0};
    struct err ignored;
    int64_t at;
    size_t upto;
    int fd;

    if (unsaved(p, s, &b, &at, &upto)) {
        fd = os_open(s->os, arena_fmt(&a, "%s.index", s->path), O_WRONLY | O_CREAT | (at == 0 ? O_TRUNC : 0),
                     &ignored);
        if (fd >= 0 && os_write(s->os, fd, b.p, b.n, at, &ignored)) {
            mutex_lock(&p->lock);
            s->idx_file = at + (int64_t)b.n;
            s->idx_saved = upto;
            mutex_unlock(&p->lock);
        }
        os_close(s->os, fd);
    }
    buf_fini(&b);
    arena_fini(&a);
}
