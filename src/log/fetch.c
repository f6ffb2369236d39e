/* Reading: from an offset to the bytes of whole batches, each checked before it is given out. */
#include "base/crc.h"
#include "base/limits.h"
#include "base/mem.h"
#include "log/log_int.h"

#include <fcntl.h>
#include <stdlib.h>

/* Where a read begins: a segment, referenced, its size and where the next one's offsets begin. */
struct place {
    struct part *part;
    struct seg *seg; // NULL: at the end
    int64_t size;
    int64_t until; // offsets from here on are in the next segment
    int64_t pos;
    bool gaps;     // offsets need not follow on one another
    bool serves;   // what is read is sent
    bool open;     // the descriptor for that is
    bool stable;   // for open_place: nothing from the last stable offset on is given out
    int64_t below; // batches from here on are not given out
};

static bool corrupt(const struct part *p, int64_t offset, const char *what, struct err *e)
{
    return err_set(e, ERR_CORRUPT, "topic %.*s partition %d: data at offset %lld is damaged (%s)",
                   STR_ARG(p->topic->name), p->index, (long long)offset, what);
}

/* With the place in words that people know, before the file and what is wrong with it. */
static bool unreadable(const struct place *at, int64_t offset, struct err *e)
{
    return err_wrap(e, "topic %.*s partition %d: data at offset %lld cannot be read: segment %s.log",
                    STR_ARG(at->part->topic->name), at->part->index, (long long)offset, at->seg->path);
}

/* The segment that offset is in, or would be. */
static void find_segment(struct place *at, int64_t offset)
{
    struct part *p = at->part;
    size_t lo = 0, hi = p->seg_n;

    at->seg = NULL;
    if (offset >= p->end || p->seg_n == 0)
        return;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (p->segs[mid]->base <= offset)
            lo = mid + 1;
        else
            hi = mid;
    }
    lo = lo ? lo - 1 : 0;
    at->seg = seg_ref(p->segs[lo]);
    at->size = at->seg->size;
    at->until = lo + 1 < p->seg_n ? p->segs[lo + 1]->base : p->end;
}

static void leave(struct place *at)
{
    seg_unref(at->seg);
    at->seg = NULL;
}

static bool load_at(struct place *at, int64_t offset, bool anew, struct err *e)
{
    struct part *p = at->part;

    if (!(anew ? seg_load_anew(p, at->seg, e) : seg_load(p, at->seg, e))) {
        if (e->kind == ERR_NOT_FOUND)
            return corrupt(p, offset, "its file is missing", e);
        return err_wrap(e, "topic %.*s partition %d", STR_ARG(p->topic->name), p->index);
    }
    mutex_lock(&p->lock);
    at->pos = at->seg->state == SEG_LOADED ? seg_pos_of_offset(at->seg, offset) : 0;
    mutex_unlock(&p->lock);
    return true;
}

enum found { FOUND, FOUND_NOT, FOUND_DAMAGE, FOUND_FAILED };

/* From at->pos to the first batch that ends at offset or later. */
static enum found skip_to(struct place *at, int fd, int64_t offset, struct batch_header *head, struct err *e)
{
    enum found found = FOUND_NOT;
    enum hop_answer answer;
    int64_t before = -1;
    struct hop h;

    hop_init(&h, at->seg, fd, at->pos, at->size);
    while ((answer = hop_next(&h, e)) == HOP_BATCH && h.head.base_offset < at->until) {
        if (h.head.base_offset <= before || h.head.base_offset < at->seg->base) {
            answer = HOP_DAMAGED;
            break;
        }
        before = h.head.base_offset + h.head.last_offset_delta;
        if (before >= offset) {
            found = FOUND;
            at->pos = h.at;
            *head = h.head;
            break;
        }
    }
    hop_fini(&h);
    return answer == HOP_FAILED ? FOUND_FAILED : answer == HOP_DAMAGED ? FOUND_DAMAGE : found;
}

/* Makes `at` the place of the batch that holds offset or comes next. seg NULL: there is none. */
static bool find_batch(struct place *at, int64_t offset, struct batch_header *head, struct err *e)
{
    for (bool anew = false;;) {
        enum found found = FOUND_FAILED;
        bool below;
        int fd;

        mutex_lock(&at->part->lock);
        below = offset < at->part->start; // retention was faster
        find_segment(at, offset);
        mutex_unlock(&at->part->lock);
        if (below) {
            leave(at);
            return err_set(e, ERR_NOT_FOUND, "offset %lld is gone", (long long)offset);
        }
        if (!at->seg)
            return true;
        if (load_at(at, offset, anew, e)) {
            fd = (at->serves ? seg_server_fd : seg_fd)(at->part, at->seg, e);
            if (fd >= 0)
                found = skip_to(at, fd, offset, head, e);
            if (found == FOUND_FAILED)
                (void)unreadable(at, offset, e);
        }
        if (found == FOUND)
            return true;
        leave(at);
        if (found == FOUND_FAILED)
            return false;
        if (found == FOUND_NOT && at->gaps) {
            offset = at->until; // on in the next segment
        } else if (anew) {
            return corrupt(at->part, offset, "no batch is where one must be", e);
        } else {
            anew = true; // perhaps it is the index that is wrong
        }
    }
}

/* What is wrong with a batch's offsets, that follows one which ended before `next` (-1: it is the first). NULL: nothing. */
static const char *wrong_offsets(const struct place *at, int64_t offset, int64_t next,
                                 const struct batch_header *h)
{
    if (h->last_offset_delta < 0 || h->base_offset + h->last_offset_delta >= at->until)
        return "its offsets reach into the next segment";
    if (next < 0 ? h->base_offset > offset && !at->gaps
                 : h->base_offset < next || (h->base_offset > next && !at->gaps))
        return "its offsets do not follow those before it";
    return NULL;
}

/* How many of n bytes are whole batches, right and in order. 0 and e: the first one is not. */
static size_t check_batches(const struct place *at, int64_t offset, struct str bytes, struct err *e)
{
    struct str rest = bytes, one;
    struct batch_header h;
    int64_t next = -1;
    const char *wrong = NULL;
    size_t good = 0;

    while (batch_cut(&rest, &one, &h) && h.base_offset < at->until && h.base_offset < at->below) {
        wrong = wrong_offsets(at, offset, next, &h);
        if (!wrong && !batch_crc_ok(one))
            wrong = "wrong checksum";
        if (wrong)
            break;
        next = h.base_offset + h.last_offset_delta + 1;
        good += one.n;
    }
    if (good == 0)
        (void)corrupt(at->part, offset, wrong ? wrong : "a batch is cut short", e);
    return good;
}

/* Reads and checks whole batches at the place, at least the first. */
static bool read_batches(const struct place *at, int64_t offset, const struct batch_header *first,
                         size_t max_bytes, struct buf *out, struct err *e)
{
    size_t n = (size_t)first->length + 12;
    ssize_t got;
    int fd = seg_fd(at->part, at->seg, e);

    if (fd < 0)
        return false;
    if (n > out->max - out->n)
        return err_set(e, ERR_LIMIT, "a batch of %zu bytes does not fit the buffer", n);
    n = n > max_bytes ? n : max_bytes;
    n = n < out->max - out->n ? n : out->max - out->n;
    if ((int64_t)n > at->size - at->pos)
        n = (size_t)(at->size - at->pos);
    if (!buf_room(out, n))
        return err_set(e, ERR_LIMIT, "the buffer is bad");
    got = seg_read(at->seg, fd, out->p + out->n, n, at->pos, e);
    if (got < 0)
        return unreadable(at, offset, e);
    n = check_batches(at, offset, str_from(out->p + out->n, (size_t)got), e);
    out->n += n;
    return n > 0;
}

/* at->stable is set. Is there something to read at offset? False: no, and e says why if it is an error (else e->kind is ERR_NONE). */
static bool open_place(struct log *l, struct str topic, int32_t partition, int64_t offset, struct place *at,
                       struct err *e)
{
    struct log_settings unused;
    int64_t start, end;

    e->kind = ERR_NONE;
    *at = (struct place){.part = part_find(l, topic, partition), .stable = at->stable, .serves = at->serves};
    if (!at->part)
        return err_set(e, ERR_NOT_FOUND, "topic %.*s has no partition %d", STR_ARG(topic), partition);
    topic_settings(l, at->part->topic, &unused, &at->gaps);
    at->below = at->stable ? part_stable(at->part) : INT64_MAX;
    end = part_end(at->part); // before start: a start is never above a later end
    start = part_start(at->part);
    if (offset < start || offset > end) {
        part_unref(at->part);
        at->part = NULL;
        return err_set(e, ERR_NOT_FOUND, "topic %.*s partition %d has offsets %lld to %lld, not %lld",
                       STR_ARG(topic), partition, (long long)start, (long long)end, (long long)offset);
    }
    return offset < end && offset < at->below;
}

/* The offset behind the last of whole batches. */
static int64_t behind(struct str bytes, int64_t otherwise)
{
    struct batch_header h;
    struct str one;

    while (batch_cut(&bytes, &one, &h))
        otherwise = h.base_offset + h.last_offset_delta + 1;
    return otherwise;
}

/* Batches from *offset on, which moves behind them. */
static bool fetch(struct place *at, int64_t *offset, size_t max_bytes, struct buf *out, struct err *e)
{
    struct batch_header head;
    size_t before = out->n;
    bool ok = true;

    do {
        size_t was = out->n, left = max_bytes - (was - before);

        ok = find_batch(at, *offset, &head, e);
        if (!ok || !at->seg || head.base_offset >= at->below ||
            (was > before && (size_t)head.length + 12 > left))
            break;
        ok = read_batches(at, *offset, &head, left, out, e);
        if (ok)
            *offset = behind(str_from(out->p + was, out->n - was), *offset);
        leave(at);
    } while (ok && out->n - before < max_bytes);
    leave(at);
    return ok || out->n > before; // what is right is given out; the damage is met by the next fetch
}

bool log_fetch(struct log *l, struct str topic, int32_t partition, int64_t offset, size_t max_bytes,
               struct buf *out, struct err *e)
{
    struct place at = {.stable = false};
    struct err mine;
    bool ok = open_place(l, topic, partition, offset, &at, &mine) ? fetch(&at, &offset, max_bytes, out, &mine)
                                                                  : mine.kind == ERR_NONE;

    part_unref(at.part);
    if (!ok)
        *e = mine;
    return ok;
}

/* Takes the batches from `from` on in `out` away that nobody who reads what is committed sees. */
static bool drop_uncommitted(struct log *l, struct part *p, struct buf *out, size_t from, struct err *e)
{
    struct str rest = str_from(out->p + from, out->n - from), one;
    struct batch_header h;
    struct arena a = {0};
    struct abort_entry *aborts = NULL;
    size_t n = 0;
    bool ok;

    ok = !batch_header(rest, &h) ||
         txn_aborted(l, p, &(struct txn_range){h.base_offset, behind(rest, 0), &a}, &aborts, &n, e);
    for (out->n = ok ? from : out->n; ok && batch_cut(&rest, &one, &h);) {
        bool gone = (h.attributes & BATCH_CONTROL) != 0;

        for (size_t i = 0; (h.attributes & BATCH_TRANSACTIONAL) && !gone && i < n; i++)
            gone = aborts[i].producer_id == h.producer_id && aborts[i].first <= h.base_offset &&
                   h.base_offset < aborts[i].last;
        if (!gone) {
            memmove(out->p + out->n, one.p, one.n);
            out->n += one.n;
        }
    }
    arena_fini(&a);
    return ok;
}

bool log_fetch_committed(struct log *l, struct str topic, int32_t partition, int64_t *offset,
                         size_t max_bytes, struct buf *out, struct err *e)
{
    struct place at = {.stable = true};
    size_t before = out->n;
    int64_t next = *offset;
    struct err mine;
    bool ok;

    if (open_place(l, topic, partition, *offset, &at, &mine)) {
        ok = fetch(&at, &next, max_bytes, out, &mine) && drop_uncommitted(l, at.part, out, before, &mine);
        if (ok)
            *offset = next;
        else
            out->n = before;
    } else {
        ok = mine.kind == ERR_NONE;
    }
    part_unref(at.part);
    if (!ok)
        *e = mine;
    return ok;
}

/* A segment's file seen through a window that stays in the processor's cache. The file itself, for that is what will be sent. */
struct window {
    struct os *os;
    int fd;
    bool now;       // only what is in the page cache; else ERR_BUSY
    uint8_t *bytes; // [WINDOW]
    int64_t at;
    size_t n;
    int64_t end; // nothing from here on is looked at
};

enum { WINDOW = 64 * 1024, AHEAD = 2 << 20 }; // AHEAD: of what is read, for the reader's next question

static bool fill_window(struct window *w, int64_t pos, struct err *e)
{
    size_t n = w->end - pos < WINDOW ? (size_t)(w->end - pos) : WINDOW;
    ssize_t got = (ssize_t)n;

    w->n = 0;
    if (w->now && !os_read_now(w->os, w->fd, w->bytes, n, pos))
        return err_set(e, ERR_BUSY, "the disk must be asked");
    if (!w->now)
        got = os_read_some(w->os, w->fd, w->bytes, n, pos, e);
    if (got < 0)
        return false;
    w->at = pos;
    w->n = (size_t)got;
    return true;
}

/* What there is from pos on: at least `least` bytes, which fit the window. */
static bool look(struct window *w, int64_t pos, size_t least, struct str *out, struct err *e)
{
    if (pos < w->at || pos + (int64_t)least > w->at + (int64_t)w->n) {
        if (!fill_window(w, pos, e))
            return false;
        if (w->n < least)
            return err_set(e, ERR_CORRUPT, "the file ends early");
    }
    *out = str_from(w->bytes + (pos - w->at), w->n - (size_t)(pos - w->at));
    return true;
}

static bool crc_of(struct window *w, int64_t pos, size_t n, uint32_t *crc, struct err *e)
{
    struct str bytes;

    for (*crc = 0; n > 0; pos += (int64_t)bytes.n, n -= bytes.n) {
        if (!look(w, pos, 1, &bytes, e))
            return false;
        bytes.n = bytes.n < n ? bytes.n : n;
        *crc = crc32c(*crc, bytes.p, bytes.n);
    }
    return true;
}

/* Whole batches in a file, checked without keeping them. */
struct scan {
    const struct place *at;
    struct window w;
    int64_t offset; // that was asked for
    size_t room;    // for more than the first
    size_t good;    // bytes that are right
    int64_t next;   // offset behind them; -1: none yet
    const char *wrong;
};

/* The batch behind those that are good becomes one. False: it is another's, too much, wrong, or cannot be read (e is set). */
static bool scan_one(struct scan *s, struct err *e)
{
    const struct place *at = s->at;
    int64_t pos = at->pos + (int64_t)s->good;
    struct batch_header h;
    struct str head;
    uint32_t crc;
    size_t n;

    s->wrong = "a batch is cut short";
    if (at->size - pos < BATCH_HEADER || !look(&s->w, pos, BATCH_HEADER, &head, e) || !batch_header(head, &h))
        return false;
    n = (size_t)h.length + 12;
    if ((int64_t)n > at->size - pos || h.base_offset >= at->until || h.base_offset >= at->below ||
        (s->next >= 0 && s->good + n > s->room))
        return false;
    s->wrong = wrong_offsets(at, s->offset, s->next, &h);
    if (s->wrong || !crc_of(&s->w, pos + BATCH_CRC_FROM, n - BATCH_CRC_FROM, &crc, e))
        return false;
    if (crc != h.crc) {
        s->wrong = "wrong checksum";
        return false;
    }
    s->next = h.base_offset + h.last_offset_delta + 1;
    s->good += n;
    return true;
}

static struct window window_of(const struct place *at, int fd, bool now)
{
    return (struct window){.os = at->seg->os, .fd = fd, .now = now, .end = at->size};
}

static bool scan(struct scan *s, struct err *e)
{
    struct err failure = {.kind = ERR_NONE};

    s->w.bytes = mem_alloc(WINDOW);
    while (scan_one(s, &failure))
        ;
    mem_free(s->w.bytes);
    if (s->good > 0)
        return true;
    if (failure.kind == ERR_NONE)
        return corrupt(s->at->part, s->offset, s->wrong, e);
    *e = failure;
    return unreadable(s->at, s->offset, e);
}

static bool fetch_piece(struct place *at, int64_t offset, size_t max_bytes, struct log_piece *out,
                        struct err *e)
{
    struct scan s = {.at = at, .offset = offset, .room = max_bytes, .next = -1};
    struct batch_header head;
    bool ok = find_batch(at, offset, &head, e) && at->seg && head.base_offset < at->below;

    if (ok) {
        s.w = window_of(at, seg_server_fd(at->part, at->seg, e), false);
        if (s.w.fd >= 0)
            at->seg->os->advise(at->seg->os, s.w.fd, at->pos,
                                (int64_t)(max_bytes < AHEAD ? max_bytes : AHEAD) + AHEAD, OS_READ_IN);
        ok = s.w.fd >= 0 && scan(&s, e);
    }
    if (ok) {
        *out = (struct log_piece){.fd = os_dup(s.w.fd, e), .at = at->pos, .n = s.good, .next = s.next};
        ok = out->fd >= 0;
    }
    leave(at);
    return ok;
}

bool log_fetch_piece(struct log *l, struct str topic, int32_t partition, int64_t offset, size_t max_bytes,
                     struct log_piece *out, struct err *e)
{
    struct place at = {.stable = false};
    struct err mine;
    bool ok;

    *out = (struct log_piece){.fd = -1};
    ok = open_place(l, topic, partition, offset, &at, &mine) &&
         fetch_piece(&at, offset, max_bytes, out, &mine);
    part_unref(at.part);
    if (!ok) {
        *e = mine;
        out->n = 0;
    }
    return ok;
}

/* ---- for servers ---- */

enum { COPY_MOST = 1 << 20 }; // or one batch

/* Makes `at` the place where the batch that holds offset is near, which whole batches follow up to *end. False: not without a disk. */
static bool find_span(struct place *at, const struct log_read *r, int64_t *end)
{
    size_t most = r->max_bytes < COPY_MOST ? r->max_bytes : COPY_MOST;
    struct part *p = at->part;
    bool ok;

    mutex_lock(&p->lock);
    find_segment(at, r->offset);
    ok = at->seg && at->seg->state == SEG_LOADED;
    if (ok) {
        at->open = at->seg->sfd >= 0;
        at->pos = seg_pos_of_offset(at->seg, r->offset);
        *end = seg_pos_between(at->seg, at->pos, at->pos + (int64_t)most);
    }
    mutex_unlock(&p->lock);
    return ok;
}

/* The batches in `bytes` from the one that holds the offset on, as many as fit. False: there is none, or it is wrong. */
static bool cut_batches(const struct place *at, const struct log_read *r, struct str bytes, struct str *out)
{
    struct str rest = bytes, one = {0};
    struct batch_header h = {.base_offset = -1};
    struct err ignored;
    size_t n = 0;

    do {
        bytes = rest;
        if (!batch_cut(&rest, &one, &h) || h.last_offset_delta < 0)
            return false;
    } while (h.base_offset + h.last_offset_delta < r->offset);
    *out = str_from(bytes.p, 0);
    if (h.base_offset >= at->below)
        return true;
    for (n = one.n; batch_cut(&rest, &one, &h) && n + one.n <= r->max_bytes;)
        n += one.n;
    out->n = check_batches(at, r->offset, str_from(bytes.p, n), &ignored);
    return out->n > 0;
}

/* Few bytes, or the newest, into memory. False: it is another case. */
static bool read_copy(const struct place *at, const struct log_read *r, size_t n, struct log_got *out)
{
    bool few = n <= r->copy_bytes, ok = true;
    uint8_t *p = r->room(r->arg, n);
    size_t newest;
    struct str got;
    struct err ignored;
    int fd;

    if (!p)
        return false;
    newest = seg_read_newest(at->seg, p, n, at->pos);
    if (newest < n && few) {
        if (r->now && !at->open)
            return false;
        fd = seg_server_fd(at->part, at->seg, &ignored);
        ok = fd >= 0 &&
             (r->now ? os_read_now(at->seg->os, fd, p + newest, n - newest, at->pos + (int64_t)newest)
                     : os_read(at->seg->os, fd, p + newest, n - newest, at->pos + (int64_t)newest, &ignored));
        newest = n;
    }
    if (!ok || !cut_batches(at, r, str_from(p, newest), &got))
        return false;
    out->p = p + (got.p - (const char *)p);
    out->n = got.n;
    out->next = behind(got, r->offset);
    return true;
}

/* The piece that is in the page cache, if there is one. */
static bool piece_now(struct place *at, const struct log_read *r, struct log_got *out)
{
    struct scan s = {.at = at, .offset = r->offset, .room = r->max_bytes, .next = -1};
    struct batch_header h;
    struct str head;
    struct err e;
    bool ok;

    if (!at->open)
        return false;
    s.w = window_of(at, seg_server_fd(at->part, at->seg, &e), true);
    if (s.w.fd < 0)
        return false;
    s.w.bytes = mem_alloc(WINDOW);
    while ((ok = at->size - at->pos >= BATCH_HEADER && look(&s.w, at->pos, BATCH_HEADER, &head, &e) &&
                 batch_header(head, &h) && h.last_offset_delta >= 0) &&
           h.base_offset + h.last_offset_delta < r->offset)
        at->pos += (int64_t)h.length + 12;
    while (ok && scan_one(&s, &e))
        ;
    mem_free(s.w.bytes);
    if (s.good == 0)
        return false;
    out->piece = (struct log_piece){.fd = os_dup(s.w.fd, &e), .at = at->pos, .n = s.good, .next = s.next};
    out->next = s.next;
    return out->piece.fd >= 0;
}

/* at is open, and gives what it refers to back. False: it needs a disk, or is not as it should be. */
static bool read_now(struct place *at, const struct log_read *r, struct log_got *out)
{
    int64_t end;
    struct err ignored;
    bool ok = find_span(at, r, &end);

    if (!ok && !r->now && at->seg && load_at(at, r->offset, false, &ignored)) {
        leave(at);
        ok = find_span(at, r, &end);
    }
    ok = ok && end > at->pos &&
         (read_copy(at, r, (size_t)(end - at->pos), out) || (r->now && piece_now(at, r, out)));
    leave(at);
    return ok;
}

enum log_read_answer log_read(struct log *l, const struct log_read *r, struct log_got *out, struct err *e)
{
    struct place at = {.stable = r->stable, .serves = true};
    enum log_read_answer answer = LOG_READ_DONE;
    struct err mine;

    *out = (struct log_got){.next = r->offset, .piece.fd = -1};
    if (!open_place(l, r->topic, r->partition, r->offset, &at, &mine))
        answer = mine.kind == ERR_NONE ? LOG_READ_DONE : LOG_READ_FAILED;
    else if (!read_now(&at, r, out))
        answer = LOG_READ_LATER;
    if (answer == LOG_READ_LATER && !r->now) {
        mine.kind = ERR_NONE;
        answer = fetch_piece(&at, r->offset, r->max_bytes, &out->piece, &mine) || mine.kind == ERR_NONE
                     ? LOG_READ_DONE
                     : LOG_READ_FAILED;
        out->next = out->piece.n > 0 ? out->piece.next : r->offset;
    }
    part_unref(at.part);
    if (answer == LOG_READ_FAILED)
        *e = mine;
    return answer;
}

bool log_range(struct log *l, struct str topic, int32_t partition, struct log_range *out)
{
    struct part *p = part_find(l, topic, partition);

    if (!p)
        return false;
    out->stable = part_stable(p); // before end: an end is never below an earlier stable offset
    out->end = part_end(p);
    out->start = part_start(p);
    if (out->end < out->start) // both moved between the two looks
        out->end = part_end(p);
    part_unref(p);
    return true;
}

int64_t log_size_bytes(struct log *l, struct str topic, int32_t partition)
{
    struct part *p = part_find(l, topic, partition);
    int64_t sum = 0;

    if (!p)
        return 0;
    mutex_lock(&p->lock);
    for (size_t i = 0; i < p->seg_n; i++)
        sum += p->segs[i]->size;
    mutex_unlock(&p->lock);
    part_unref(p);
    return sum;
}

/* ---- by time ---- */

/* The first record of the batch at `at` that is not older than time. */
static bool record_for_time(struct place *at, const struct batch_header *head, int64_t time, int64_t *offset,
                            int64_t *timestamp)
{
    struct buf bytes = buf_make(LIMIT_BATCH + 12);
    struct arena a = {0};
    struct batch_reader r;
    struct record rec;
    struct err e;
    bool found = false;

    if (read_batches(at, head->base_offset, head, 0, &bytes, &e)) {
        *offset = head->base_offset; // what is said when its records cannot be looked at
        *timestamp = head->max_timestamp_ms;
        found = true;
        batch_open(&r, &a, buf_view(&bytes));
        r.skip_below = part_start(at->part);
        while (batch_next(&r, &rec))
            if (rec.timestamp_ms >= time) {
                *offset = rec.offset;
                *timestamp = rec.timestamp_ms;
                break;
            }
    }
    buf_fini(&bytes);
    arena_fini(&a);
    return found;
}

/* Looks through one segment. */
static bool time_in(struct place *at, int64_t time, int64_t *offset, int64_t *timestamp)
{
    struct err e;
    struct hop h;
    bool found = false;
    int fd;

    if (!seg_load(at->part, at->seg, &e) || (fd = seg_fd(at->part, at->seg, &e)) < 0)
        return false;
    mutex_lock(&at->part->lock);
    at->pos = at->seg->state == SEG_LOADED ? seg_pos_of_time(at->seg, time) : 0;
    mutex_unlock(&at->part->lock);
    hop_init(&h, at->seg, fd, at->pos, at->size);
    while (!found && hop_next(&h, &e) == HOP_BATCH && h.head.base_offset < at->until) {
        if (h.head.max_timestamp_ms < time ||
            h.head.base_offset + h.head.last_offset_delta < part_start(at->part))
            continue;
        at->pos = h.at;
        found = record_for_time(at, &h.head, time, offset, timestamp);
    }
    hop_fini(&h);
    return found;
}

bool log_offset_for_time(struct log *l, struct str topic, int32_t partition, int64_t time_ms, int64_t *offset,
                         int64_t *timestamp_ms)
{
    struct place at = {.part = part_find(l, topic, partition), .below = INT64_MAX};
    struct log_settings unused;
    int64_t from;
    bool found = false;

    if (!at.part)
        return false;
    topic_settings(l, at.part->topic, &unused, &at.gaps);
    from = part_start(at.part);
    while (!found) {
        bool old;

        mutex_lock(&at.part->lock);
        find_segment(&at, from);
        old = at.seg && at.seg->max_ts < time_ms;
        mutex_unlock(&at.part->lock);
        if (!at.seg)
            break;
        if (!old)
            found = time_in(&at, time_ms, offset, timestamp_ms);
        from = at.until;
        leave(&at);
    }
    part_unref(at.part);
    return found;
}
