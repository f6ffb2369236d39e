/*
 * The journal's two files: frames in, one sync a group; frames out, after a crash. docs/formats.md, "journal", has the bytes and the
 * reasons why what is taken for a frame is one.
 */
#include "base/be.h"
#include "base/crc.h"
#include "base/limits.h"
#include "base/mem.h"
#include "log/log_int.h"

#include <assert.h>
#include <fcntl.h>

enum {
    MAGIC = 0x7461726a, // "tarj"
    AT_CRC = 4,
    AT_SEQ = 8,
    AT_FIRST = 16,
    AT_RUN = 24,
    AT_LENGTH = 32,
    AT_SPAN = 36,
    AT_KIND = 40,
    AT_FILE = 41,
    AT_POS = 44,
};
enum { WINDOW = 1 << 20 };
enum { DIRECT_MOST = 256 << 10 }; // bytes of a group that goes past the page cache

static const uint8_t zeros[64 * 1024];

/* aside: each piece is on the disk before the next one begins, so that groups which are synced meanwhile wait for one piece. */
static bool write_zeros(struct journal *j, int file, int64_t from, int64_t to, bool aside, struct err *e)
{
    while (from < to) {
        size_t n = to - from < (int64_t)sizeof zeros ? (size_t)(to - from) : sizeof zeros;

        if (!os_write(j->os, j->file[file].fd, zeros, n, from, e) ||
            (aside && !os_sync_range(j->os, j->file[file].fd, from, (int64_t)n, e)))
            return false;
        from += (int64_t)n;
    }
    return true;
}

/* Real blocks up to there: reserved first, so that a full disk says so now. */
static bool lengthen(struct journal *j, int file, int64_t to, bool aside, struct err *e)
{
    struct journal_file *f = &j->file[file];

    if (j->os->fallocate(j->os, f->fd, f->size, to - f->size) != 0)
        return err_sys(e, "reserve %lld bytes for %s", (long long)(to - f->size), j->path[file]);
    return write_zeros(j, file, f->size, to, aside, e) || err_wrap(e, "grow %s", j->path[file]);
}

/* Longer by one step. */
static bool grow(struct journal *j, int file, struct err *e)
{
    struct journal_file *f = &j->file[file];
    int64_t to = f->size + j->step < j->max_bytes ? f->size + j->step : j->max_bytes;

    if (!lengthen(j, file, to, false, e))
        return false;
    f->size = to;
    return true;
}

void journal_grow_free(struct journal *j, int file, int64_t to)
{
    struct journal_file *f = &j->file[file];
    struct err ignored; // then it is as long as it was

    to = to < j->max_bytes ? to : j->max_bytes;
    if (f->size < to && lengthen(j, file, to, true, &ignored) && os_sync(j->os, f->fd, &ignored))
        f->size = to;
}

static void set_paths(struct journal *j, struct os *os, const char *dir, int64_t bytes)
{
    *j = (struct journal){.os = os, .next = 1};
    for (int i = 0; i < 2; i++) {
        j->path[i] = mem_fmt("%s/journal-%d", dir, i);
        j->file[i].fd = j->file[i].direct = -1;
    }
    j->max_bytes = bytes / JOURNAL_ALIGN * JOURNAL_ALIGN;
    j->step =
        JOURNAL_STEP < j->max_bytes / 4 ? JOURNAL_STEP : j->max_bytes / 4 / JOURNAL_ALIGN * JOURNAL_ALIGN;
}

bool journal_create(struct os *os, const char *dir, int64_t bytes, struct err *e)
{
    struct journal j;
    bool ok = true;

    set_paths(&j, os, dir, bytes);
    for (int i = 0; ok && i < 2; i++) {
        j.file[i].fd = os_open(os, j.path[i], O_RDWR | O_CREAT | O_TRUNC, e);
        ok = j.file[i].fd >= 0 && grow(&j, i, e) && os_sync(os, j.file[i].fd, e);
    }
    journal_close(&j);
    return ok;
}

bool journal_open(struct journal *j, struct os *os, const char *dir, int64_t bytes, struct err *e)
{
    struct err ignored;

    set_paths(j, os, dir, bytes);
    j->memory = mem_alloc(DIRECT_MOST + JOURNAL_ALIGN);
    for (int i = 0; i < 2; i++) {
        struct journal_file *f = &j->file[i];

        f->fd = os_open(os, j->path[i], O_RDWR, e);
        if (f->fd < 0) {
            if (e->kind == ERR_NOT_FOUND)
                e->kind = ERR_CORRUPT;
            return err_wrap(e, "a part of the log is missing");
        }
        if (!os_size(os, j->path[i], &f->size, e))
            return false;
        f->size = f->size / JOURNAL_ALIGN * JOURNAL_ALIGN;
        f->direct = os_open(os, j->path[i], O_WRONLY | O_DIRECT, &ignored);
    }
    return true;
}

void journal_close(struct journal *j)
{
    for (int i = 0; i < 2; i++) {
        if (j->path[i]) {
            os_close(j->os, j->file[i].fd);
            os_close(j->os, j->file[i].direct);
        }
        mem_free(j->path[i]);
        j->path[i] = NULL;
    }
    mem_free(j->memory);
    j->memory = NULL;
}

/* ---- writing ---- */

void journal_head(const struct journal *j, uint8_t *head, enum frame_kind kind, uint64_t seq, int64_t at)
{
    assert(at >= 0 && at <= UINT32_MAX);
    memset(head, 0, FRAME_HEAD);
    be_put32(head, MAGIC);
    be_put64(head + AT_SEQ, seq);
    be_put64(head + AT_FIRST, j->next);
    be_put64(head + AT_RUN, j->run);
    head[AT_KIND] = (uint8_t)kind;
    head[AT_FILE] = (uint8_t)j->cur;
    be_put32(head + AT_POS, (uint32_t)at);
}

void journal_head_done(uint8_t *head, const struct iovec *payload, size_t count, size_t span)
{
    uint32_t crc;
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
        n += payload[i].iov_len;
    be_put32(head + AT_LENGTH, (uint32_t)n);
    be_put32(head + AT_SPAN, (uint32_t)span);
    crc = crc32c(0, head + AT_SEQ, FRAME_HEAD - AT_SEQ);
    for (size_t i = 0; i < count; i++)
        crc = crc32c(crc, payload[i].iov_base, payload[i].iov_len);
    be_put32(head + AT_CRC, crc);
}

/* What a refused group may have left on the disk must never be taken for frames. */
static bool wipe(struct journal *j, size_t bytes, struct err *e)
{
    struct err why = {0};

    if (write_zeros(j, j->cur, j->pos, j->pos + (int64_t)bytes, false, &why) &&
        os_sync(j->os, j->file[j->cur].fd, &why))
        return err_wrap(e, "write to %s", j->path[j->cur]);
    *e = why;
    e->kind = ERR_IO;
    return err_wrap(e, "clean %s after a write that failed", j->path[j->cur]);
}

/*
 * Past the page cache, from memory that begins where a page does. The sync then waits for the disk's own cache alone, and has no pages to
 * look for, mark and unmark: for a group of some kilobytes a quarter less processor time, and a tenth less time. False: it is to be written
 * the usual way.
 */
static bool write_direct(struct journal *j, const struct iovec *v, size_t count, size_t bytes)
{
    uint8_t *start = j->memory + (JOURNAL_ALIGN - (uintptr_t)j->memory % JOURNAL_ALIGN), *to = start;
    struct err ignored;

    if (j->file[j->cur].direct < 0 || bytes > DIRECT_MOST)
        return false;
    for (size_t i = 0; i < count; i++) {
        memcpy(to, v[i].iov_base, v[i].iov_len);
        to += v[i].iov_len;
    }
    assert(to == start + bytes);
    return os_write(j->os, j->file[j->cur].direct, start, bytes, j->pos, &ignored);
}

bool journal_write(struct journal *j, struct iovec *v, size_t count, size_t bytes, struct err *e)
{
    struct journal_file *f = &j->file[j->cur];

    assert(j->pos % JOURNAL_ALIGN == 0 && bytes % JOURNAL_ALIGN == 0);
    assert(j->pos + (int64_t)bytes <= f->size);
    if (!write_direct(j, v, count, bytes) && !os_writev(j->os, f->fd, v, (int)count, j->pos, e))
        return e->kind == ERR_FULL ? wipe(j, bytes, e) : err_wrap(e, "write to %s", j->path[j->cur]);
    if (!os_sync(j->os, f->fd, e)) {
        e->kind = ERR_IO; // whatever the cause: what is on the disk is not known any more
        return err_wrap(e, "sync %s", j->path[j->cur]);
    }
    j->pos += (int64_t)bytes;
    return true;
}

bool journal_fits(struct journal *j, size_t bytes, struct err *e)
{
    struct journal_file *f = &j->file[j->cur];

    while (j->pos + (int64_t)bytes > f->size) {
        if (f->size >= j->max_bytes)
            return err_set(e, ERR_FULL, "%s is full", j->path[j->cur]);
        if (!grow(j, j->cur, e))
            return false;
    }
    return true;
}

bool journal_has(const struct journal *j, size_t bytes)
{
    return j->pos + (int64_t)bytes <= j->file[j->cur].size;
}

bool journal_other_has(const struct journal *j, size_t bytes)
{
    return (int64_t)bytes <= j->file[!j->cur].size;
}

void journal_switch(struct journal *j)
{
    j->cur = !j->cur;
    j->pos = 0;
}

/* ---- replay ---- */

/* A window on a file that moves forward. */
struct window {
    struct os *os;
    int fd;
    int64_t at;
    struct buf buf;
};

/* n bytes at `at`, or NULL: not there, or (with e filled) not readable. */
static const uint8_t *look(struct window *w, int64_t at, size_t n, struct err *e)
{
    size_t want = n > WINDOW ? n : WINDOW;
    ssize_t got;

    if (at < w->at || at + (int64_t)n > w->at + (int64_t)w->buf.n) {
        buf_reset(&w->buf);
        if (!buf_room(&w->buf, want))
            return NULL;
        got = os_read_some(w->os, w->fd, w->buf.p, want, at, e);
        if (got < 0)
            return NULL;
        w->at = at;
        w->buf.n = (size_t)got;
    }
    return at + (int64_t)n <= w->at + (int64_t)w->buf.n ? w->buf.p + (at - w->at) : NULL;
}

/* The frame at `at`, or false: there is none, or (with e filled) it could not be read. */
static bool frame_at(struct window *w, int file, int64_t at, struct frame *f, size_t *span, struct err *e)
{
    const uint8_t *p = look(w, at, FRAME_HEAD, e);
    size_t n;

    if (!p || be_get32(p) != MAGIC || p[AT_FILE] != file || be_get32(p + AT_POS) != at)
        return false;
    n = be_get32(p + AT_LENGTH);
    *span = be_get32(p + AT_SPAN);
    if (n > FRAME_MAX || *span < FRAME_HEAD + n || *span - n > FRAME_HEAD + JOURNAL_ALIGN || *span % 8 != 0)
        return false;
    p = look(w, at, FRAME_HEAD + n, e);
    if (!p || be_get32(p + AT_CRC) != crc32c(0, p + AT_SEQ, FRAME_HEAD - AT_SEQ + n))
        return false;
    f->seq = be_get64(p + AT_SEQ);
    f->first = be_get64(p + AT_FIRST);
    f->run = be_get64(p + AT_RUN);
    f->kind = (enum frame_kind)p[AT_KIND];
    f->payload = str_from(p + FRAME_HEAD, n);
    return true;
}

struct replay {
    struct journal *j;
    frame_fn *fn;
    void *arg;
    uint64_t run; // of the last frame
};

static int64_t align_up(int64_t at)
{
    return (at + JOURNAL_ALIGN - 1) / JOURNAL_ALIGN * JOURNAL_ALIGN;
}

/* Is there a frame, at the start of a group, that was written when the one due next was known to be on disk? */
static bool check_lost(struct journal *j, int file, struct err *e)
{
    struct window w = {.os = j->os, .fd = j->file[file].fd, .buf = buf_make(FRAME_MAX + WINDOW)};
    struct err mine = {0};
    struct frame f;
    size_t span;

    for (int64_t at = 0; at < j->file[file].size && mine.kind == ERR_NONE; at += JOURNAL_SECTOR)
        if (frame_at(&w, file, at, &f, &span, &mine) && f.seq > j->next && f.first > j->next)
            (void)err_set(&mine, ERR_CORRUPT,
                          "the journal is damaged: frame %llu was on disk and is not there now (frame %llu "
                          "is, at %lld of %s)",
                          (unsigned long long)j->next, (unsigned long long)f.seq, (long long)at,
                          j->path[file]);
    buf_fini(&w.buf);
    if (mine.kind != ERR_NONE)
        *e = mine;
    return mine.kind == ERR_NONE;
}

/*
 * The frame that goes on with the chain: at `at`, or at the next start of a group when the group before was torn in its
 * middle, its first frames were right and a later run went on behind them.
 */
static bool next_frame(struct replay *r, struct window *w, int file, int64_t *at, struct frame *f,
                       size_t *span, struct err *e)
{
    for (int64_t try = *at;; try = (try / JOURNAL_SECTOR + 1) * JOURNAL_SECTOR) {
        if (frame_at(w, file, try, f, span, e) && f->seq == r->j->next && f->run >= r->run) {
            *at = try;
            return true;
        }
        if (e->kind != ERR_NONE || try % JOURNAL_ALIGN == 0)
            return false;
    }
}

/* Follows the chain in one file; j->next is the sequence expected. */
static bool follow(struct replay *r, int file, int64_t at, struct err *e)
{
    struct journal *j = r->j;
    struct window w = {.os = j->os, .fd = j->file[file].fd, .buf = buf_make(FRAME_MAX + WINDOW)};
    struct err mine = {0};
    struct frame f;
    size_t span;
    bool ok = true;

    while (ok && next_frame(r, &w, file, &at, &f, &span, &mine)) {
        ok = f.run <= j->run || err_set(&mine, ERR_CORRUPT, "%s is newer than the file meta", j->path[file]);
        ok = ok && (r->fn(r->arg, &f, &mine) ||
                    err_wrap(&mine, "%s, frame %llu", j->path[file], (unsigned long long)f.seq));
        r->run = f.run;
        j->file[file].last = f.seq;
        j->next++;
        j->cur = file;
        at += (int64_t)span;
        j->pos = at;
    }
    if (mine.kind != ERR_NONE)
        *e = mine;
    buf_fini(&w.buf);
    return mine.kind == ERR_NONE;
}

bool journal_replay(struct journal *j, const struct journal_start *start, frame_fn *fn, void *arg,
                    struct err *e)
{
    struct replay r = {.j = j, .fn = fn, .arg = arg};

    j->next = start->after + 1;
    j->cur = start->file;
    j->pos = align_up(start->pos);
    if (start->clean)
        return true;
    if (start->pos > j->file[start->file].size)
        return err_set(e, ERR_CORRUPT, "%s is shorter than the checkpoint says", j->path[start->file]);
    /*
     * From there the journal went on in the other file; and perhaps again in this one from its beginning, for the
     * checkpoint itself had freed it. Not further: that would have taken a newer checkpoint.
     */
    if (!follow(&r, start->file, start->pos, e) || !follow(&r, !start->file, 0, e) ||
        !follow(&r, start->file, 0, e) || !check_lost(j, 0, e) || !check_lost(j, 1, e))
        return false;
    j->pos = align_up(j->pos);
    return true;
}
