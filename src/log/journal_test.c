/* The journal alone: what is taken for a frame, and what is not, however the file looks after a crash. */
#include "base/mem.h"
#include "base/test.h"
#include "log/log_int.h"
#include "os/fault.h"
#include "os/ram.h"

#include <fcntl.h>

enum { BYTES = 65536, FRAMES_MAX = 64 };
static const char DIR[] = "/j";

/* What a replay gave. */
struct seen {
    size_t n;
    uint64_t seq[FRAMES_MAX];
    size_t len[FRAMES_MAX];
};

static bool note(void *arg, const struct frame *f, struct err *e)
{
    struct seen *s = arg;

    for (size_t i = 0; i < f->payload.n; i++)
        if ((uint8_t)f->payload.p[i] != (uint8_t)f->seq)
            return err_set(e, ERR_CORRUPT, "a wrong payload");
    s->seq[s->n] = f->seq;
    s->len[s->n++] = f->payload.n;
    return true;
}

/* One group of frames with the given lengths, each filled with its sequence. */
static bool write_group(struct journal *j, const size_t *len, size_t count, struct err *e)
{
    struct arena a = {0};
    struct iovec v[64];
    size_t n = 0, bytes = 0;
    uint8_t *flat;
    bool ok;

    for (size_t i = 0; i < count; i++) {
        uint8_t *head = arena_alloc(&a, FRAME_HEAD), *payload = arena_alloc(&a, len[i]);
        size_t align = i + 1 == count ? JOURNAL_ALIGN : 8, end = bytes + FRAME_HEAD + len[i];
        size_t pad = (align - end % align) % align;

        memset(payload, (int)(j->next + i), len[i]);
        journal_head(j, head, FRAME_APPEND, j->next + i, j->pos + (int64_t)bytes);
        v[n++] = (struct iovec){head, FRAME_HEAD};
        v[n++] = (struct iovec){payload, len[i]};
        journal_head_done(head, &v[n - 1], 1, end + pad - bytes);
        v[n++] = (struct iovec){arena_alloc(&a, pad), pad};
        bytes = end + pad;
    }
    flat = arena_alloc(&a, bytes); // one piece, so that half of it is whole frames
    for (size_t i = 0, at = 0; i < n; at += v[i++].iov_len)
        if (v[i].iov_len > 0)
            memcpy(flat + at, v[i].iov_base, v[i].iov_len);
    v[0] = (struct iovec){flat, bytes};
    ok = journal_fits(j, bytes, e) && journal_write(j, v, 1, bytes, e);
    if (ok)
        j->next += count;
    arena_fini(&a);
    return ok;
}

static bool open_at(struct journal *j, struct os *os, struct journal_start start, uint64_t run,
                    struct seen *s, struct err *e)
{
    *s = (struct seen){0};
    if (!journal_open(j, os, DIR, BYTES, e))
        return false;
    j->run = run;
    return journal_replay(j, &start, note, s, e);
}

static struct ram *fresh(void)
{
    struct ram *r = ram_new(1);
    struct err e;

    if (!os_make_dirs(ram_os(r), DIR, &e) || !journal_create(ram_os(r), DIR, BYTES, &e))
        return NULL;
    return r;
}

static bool patch(struct ram *r, const char *path, int64_t at, const void *p, size_t n)
{
    struct err e;
    int fd = os_open(ram_os(r), path, O_RDWR, &e);
    bool ok = fd >= 0 && os_write(ram_os(r), fd, p, n, at, &e);

    os_close(ram_os(r), fd);
    return ok;
}

static bool peek(struct ram *r, const char *path, int64_t at, void *p, size_t n)
{
    struct err e;
    int fd = os_open(ram_os(r), path, O_RDONLY, &e);
    bool ok = fd >= 0 && os_read(ram_os(r), fd, p, n, at, &e);

    os_close(ram_os(r), fd);
    return ok;
}

/* Three groups of three frames; the last one is cut at every byte, with zeros or old bytes behind the cut. */
TEST(a_group_cut_anywhere_leaves_whole_frames)
{
    static const size_t len[] = {100, 1, 700};
    struct ram *r = fresh();
    struct journal j;
    struct seen s;
    struct err e;
    uint8_t group[1024]; // the rest is padding
    int64_t at;

    OK(r && open_at(&j, ram_os(r), (struct journal_start){0}, 1, &s, &e) && s.n == 0);
    OK(write_group(&j, len, 3, &e) && write_group(&j, len, 3, &e));
    at = j.pos;
    OK(write_group(&j, len, 3, &e) && j.pos == at + JOURNAL_ALIGN);
    journal_close(&j);
    OK(peek(r, "/j/journal-0", at, group, sizeof group));
    for (size_t cut = 0; cut <= 1024; cut++)
        for (int fill = 0; fill < 2; fill++) {
            uint8_t torn[1024];
            size_t want = cut >= 152 + 56 + 748 ? 9 : cut >= 152 + 49 ? 8 : cut >= 148 ? 7 : 6;

            memset(torn, fill ? 0xa5 : 0, sizeof torn);
            memcpy(torn, group, cut);
            OK(patch(r, "/j/journal-0", at, torn, sizeof torn));
            OK(open_at(&j, ram_os(r), (struct journal_start){0}, 2, &s, &e));
            OK(s.n == want ||
               (want < 9 && s.n == want + 1 && fill == 0)); // the cut may fall into zeros of a payload
            OK(j.next == s.n + 1);
            /* And the next run goes on there. */
            OK(write_group(&j, len, 2, &e));
            journal_close(&j);
            OK(open_at(&j, ram_os(r), (struct journal_start){0}, 3, &s, &e) && s.n >= want + 2);
            OK(j.next == s.n + 1);
            journal_close(&j);
            memset(torn, 0, sizeof torn);
            OK(patch(r, "/j/journal-0", at + JOURNAL_ALIGN, torn, sizeof torn));
        }
    ram_free(r);
}

/* A flipped bit in the last group ends the chain there; in an earlier one it is damage, for later groups tell of it. */
TEST(a_flipped_bit_is_found)
{
    static const size_t len[] = {60, 20};
    struct ram *r = fresh();
    struct journal j;
    struct seen s;
    struct err e;

    OK(r && open_at(&j, ram_os(r), (struct journal_start){0}, 1, &s, &e));
    for (int i = 0; i < 3; i++)
        OK(write_group(&j, len, 2, &e));
    journal_close(&j);
    for (int64_t at = 0; at < (int64_t)3 * JOURNAL_ALIGN; at += at % JOURNAL_ALIGN < 256 ? 1 : 64) {
        int64_t in = at % JOURNAL_ALIGN;
        uint8_t b, flipped;
        bool pad, ok;

        OK(peek(r, "/j/journal-0", at, &b, 1));
        flipped = b ^ 0x40;
        OK(patch(r, "/j/journal-0", at, &flipped, 1));
        ok = open_at(&j, ram_os(r), (struct journal_start){0}, 1, &s, &e);
        journal_close(&j);
        pad = (in >= 108 && in < 112) || in >= 112 + 68;
        if (pad)
            OK(ok && s.n == 6);
        else if (at >= (int64_t)2 * JOURNAL_ALIGN)
            OK(ok && s.n == (in < 112 ? 4 : 5));
        else
            OK(!ok && e.kind == ERR_CORRUPT && strstr(e.msg, "damaged"));
        OK(patch(r, "/j/journal-0", at, &b, 1));
    }
    ram_free(r);
}

/* Frames of the round before, of an unfinished group of an earlier run, and of another place are not taken. */
TEST(what_lies_behind_the_end_is_not_taken)
{
    static const size_t one[] = {30}, two[] = {30, 30}, three[] = {30, 30, 30};
    struct ram *r = fresh();
    struct journal j;
    struct seen s;
    struct err e;
    uint8_t zero = 0, group[512];

    OK(r && open_at(&j, ram_os(r), (struct journal_start){0}, 1, &s, &e));
    OK(write_group(&j, three, 3, &e)); // 1, 2, 3: torn in the first, so only residue
    journal_close(&j);
    OK(patch(r, "/j/journal-0", 10, &zero, 1) && patch(r, "/j/journal-0", 15, &zero, 1));
    OK(open_at(&j, ram_os(r), (struct journal_start){0}, 2, &s, &e) && s.n == 0);
    OK(write_group(&j, one, 1, &e)); // padded, over 2 and 3
    journal_close(&j);
    OK(open_at(&j, ram_os(r), (struct journal_start){0}, 3, &s, &e) && s.n == 1);
    OK(write_group(&j, two, 2, &e));
    /* The same group once more, a page further: as a misdirected write would leave it. */
    OK(peek(r, "/j/journal-0", JOURNAL_ALIGN, group, sizeof group) &&
       patch(r, "/j/journal-0", 2 * JOURNAL_ALIGN, group, sizeof group));
    journal_close(&j);
    OK(open_at(&j, ram_os(r), (struct journal_start){0}, 4, &s, &e) && s.n == 3);
    OK(write_group(&j, one, 1, &e)); // 4, which the disk puts where the other file begins
    journal_close(&j);
    OK(peek(r, "/j/journal-0", 2 * JOURNAL_ALIGN, group, sizeof group) &&
       patch(r, "/j/journal-1", 0, group, sizeof group));
    memset(group, 0, sizeof group);
    OK(patch(r, "/j/journal-0", 2 * JOURNAL_ALIGN, group, sizeof group));
    OK(open_at(&j, ram_os(r), (struct journal_start){0}, 4, &s, &e) && s.n == 3);
    /* From the second file's point of view: its round began before. */
    journal_switch(&j);
    OK(write_group(&j, one, 1, &e) && write_group(&j, one, 1, &e) && j.next == 6);
    journal_switch(&j);
    OK(write_group(&j, one, 1, &e)); // 6 over 1; 2, 3 lie behind
    journal_close(&j);
    OK(open_at(&j, ram_os(r), (struct journal_start){.after = 3, .file = 1}, 5, &s, &e));
    OK(s.n == 3 && s.seq[0] == 4 && s.seq[2] == 6 && j.cur == 0 && j.pos == JOURNAL_ALIGN);
    journal_close(&j);
    /* And from a checkpoint that points behind what is in the first file. */
    OK(open_at(&j, ram_os(r), (struct journal_start){.after = 3, .file = 0, .pos = 2 * JOURNAL_ALIGN}, 6, &s,
               &e) &&
       s.n == 3);
    journal_close(&j);
    ram_free(r);
}

/* Of the group of an earlier run frames at unaligned places survive; a shorter group of a later run is written over its front. */
TEST(remains_of_an_earlier_run_do_not_follow_a_later_one)
{
    static const size_t three[] = {JOURNAL_ALIGN - FRAME_HEAD, 500, 500},
                        one[] = {JOURNAL_ALIGN - FRAME_HEAD};
    struct ram *r = fresh();
    struct journal j;
    struct seen s;
    struct err e;
    uint8_t zero = 0;

    OK(r && open_at(&j, ram_os(r), (struct journal_start){0}, 1, &s, &e));
    OK(write_group(&j, three, 3, &e)); // frame 2 begins at a page
    journal_close(&j);
    OK(patch(r, "/j/journal-0", 100, &zero, 1)); // 1 is torn
    OK(open_at(&j, ram_os(r), (struct journal_start){0}, 2, &s, &e) && s.n == 0);
    OK(write_group(&j, one, 1, &e) && j.pos == JOURNAL_ALIGN); // a new 1, and the old 2 right behind it
    journal_close(&j);
    OK(open_at(&j, ram_os(r), (struct journal_start){0}, 3, &s, &e) && s.n == 1 && j.next == 2);
    journal_close(&j);
    ram_free(r);
}

/* A frame of an older log, whose groups began at sectors. */
static bool put_old(struct ram *r, uint64_t run, uint64_t seq, int64_t at, size_t span)
{
    struct journal j = {.run = run};
    uint8_t frame[JOURNAL_SECTOR] = {0};
    struct iovec payload = {frame + FRAME_HEAD, 100};

    memset(payload.iov_base, (int)seq, payload.iov_len);
    journal_head(&j, frame, FRAME_APPEND, seq, at);
    journal_head_done(frame, &payload, 1, span);
    return patch(r, "/j/journal-0", at, frame, span);
}

TEST(groups_of_older_logs_begin_at_sectors)
{
    static const size_t one[] = {30};
    struct journal_start behind = {.after = 2, .pos = 1024}, clean = behind;
    struct ram *r = fresh();
    struct journal j;
    struct seen s;
    struct err e;

    clean.clean = true;
    OK(r && put_old(r, 1, 1, 0, 512) && put_old(r, 1, 2, 512, 512));
    OK(open_at(&j, ram_os(r), clean, 2, &s, &e) && s.n == 0 && j.pos == JOURNAL_ALIGN);
    OK(write_group(&j, one, 1, &e));
    journal_close(&j);
    OK(open_at(&j, ram_os(r), behind, 3, &s, &e) && s.n == 1 && s.seq[0] == 3);
    journal_close(&j);
    OK(open_at(&j, ram_os(r), (struct journal_start){0}, 3, &s, &e) && s.n == 3);
    journal_close(&j);
    /* A group of which one frame is right, and what the next run of the older version wrote: behind it, at a sector. */
    OK(put_old(r, 2, 3, 1024, 160) && put_old(r, 3, 4, 1536, 512));
    OK(open_at(&j, ram_os(r), (struct journal_start){0}, 4, &s, &e) && s.n == 4);
    OK(j.pos == JOURNAL_ALIGN && write_group(&j, one, 1, &e));
    journal_close(&j);
    OK(open_at(&j, ram_os(r), (struct journal_start){0}, 5, &s, &e) && s.n == 5 && s.seq[4] == 5);
    journal_close(&j);
    ram_free(r);
}

/* A group is written past the page cache first; if that was not taken, once more, the usual way. */
TEST(a_write_that_is_not_taken_directly_goes_the_usual_way)
{
    static const size_t len[] = {50, 50, 50, 50}, long_one[] = {1 << 20};
    struct ram *r = fresh();
    struct os_fault f;
    struct journal j;
    struct seen s;
    struct err e;

    os_fault_init(&f, ram_os(r), OS_FAULT_SHORT, UINT32_MAX, false);
    OK(open_at(&j, &f.os, (struct journal_start){0}, 1, &s, &e));
    OK(write_group(&j, len, 1, &e));
    f.countdown = 0; // cut in half: its first two frames are whole
    OK(write_group(&j, len, 4, &e) && f.hits == 1);
    OK(write_group(&j, len, 1, &e));
    journal_close(&j);
    OK(open_at(&j, ram_os(r), (struct journal_start){0}, 2, &s, &e) && s.n == 6);
    os_close(j.os, j.file[0].direct); // as where the file system knows no such way
    j.file[0].direct = -1;
    OK(write_group(&j, len, 2, &e));
    journal_close(&j);
    OK(open_at(&j, ram_os(r), (struct journal_start){0}, 3, &s, &e) && s.n == 8);
    j.max_bytes = 4 << 20;
    OK(write_group(&j, long_one, 1, &e)); // more than goes directly
    OK(write_group(&j, len, 2, &e));
    journal_close(&j);
    OK(open_at(&j, ram_os(r), (struct journal_start){0}, 4, &s, &e) && s.n == 11);
    journal_close(&j);
    ram_free(r);
}

TEST(a_refused_group_leaves_nothing)
{
    static const size_t len[] = {50, 50, 50, 50};
    struct ram *r = fresh();
    struct os_fault direct, usual;
    struct journal j;
    struct seen s;
    struct err e;

    os_fault_init(&usual, ram_os(r), OS_FAULT_SHORT, UINT32_MAX, false);
    os_fault_init(&direct, &usual.os, OS_FAULT_ENOSPC, UINT32_MAX, false);
    OK(open_at(&j, &direct.os, (struct journal_start){0}, 1, &s, &e));
    OK(write_group(&j, len, 1, &e));
    direct.countdown = usual.countdown = 0; // refused, and cut in half: its first two frames are whole
    OK(!write_group(&j, len, 4, &e) && e.kind == ERR_FULL && direct.hits + usual.hits == 2);
    journal_close(&j);
    OK(open_at(&j, ram_os(r), (struct journal_start){0}, 2, &s, &e) && s.n == 1);
    OK(write_group(&j, len, 4, &e));
    journal_close(&j);
    OK(open_at(&j, ram_os(r), (struct journal_start){0}, 3, &s, &e) && s.n == 5);
    journal_close(&j);
    ram_free(r);
}

TEST_MAIN
