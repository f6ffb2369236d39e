/* log_maintain: what is due goes. Retention here, then a checkpoint, then compaction (compact.c) for a while and a checkpoint again. */
#include "base/mem.h"
#include "log/log_int.h"

/* A round ends after so much compaction; the next one goes on with the partition after the last. */
static const int64_t COMPACT_NS = 5000000000;

struct round {
    struct part **parts; // referenced
    size_t count;
    size_t compacted; // of them
    bool ok;
    struct err err;
};

static bool is_gone(const struct part *p)
{
    return __atomic_load_n(&p->topic->gone, __ATOMIC_ACQUIRE);
}

/* ---- files that are not wanted any more ---- */

static bool remove_file(struct log *l, const char *path, struct err *e)
{
    return l->os->unlink(l->os, path) == 0 || errno == ENOENT || err_sys(e, "remove %s", path);
}

static bool remove_files(struct log *l, const struct seg *s, struct err *e)
{
    struct arena a = {0};
    bool ok = remove_file(l, arena_fmt(&a, "%s.index", s->path), e) &&
              remove_file(l, arena_fmt(&a, "%s.txnindex", s->path), e) &&
              remove_file(l, arena_fmt(&a, "%s.log", s->path), e);

    arena_fini(&a);
    return ok;
}

/* The base offset a file's name says, or -1 when it is none of ours. */
static int64_t base_of(struct str name)
{
    int64_t base;

    return name.n > 20 && name.p[20] == '.' && str_i64(str_from(name.p, 20), &base) ? base : -1;
}

static bool is_listed(struct part *p, int64_t base)
{
    bool listed = p->seg_n == 0 || base >= p->segs[p->seg_n - 1]->base; // the committer may be making it

    for (size_t i = 0; !listed && i < p->seg_n; i++)
        listed = p->segs[i]->base == base;
    return listed;
}

/* Remains of an interrupted retention or compaction, once after each open. */
static bool sweep(struct log *l, struct part *p, struct err *e)
{
    struct arena a = {0};
    const char *dir = part_path(l, p, &a);
    struct str *names;
    size_t count;
    bool ok = os_list(l->os, dir, &a, &names, &count, e);

    for (size_t i = 0; ok && i < count; i++) {
        int64_t base = base_of(names[i]);
        bool keep;

        if (base < 0)
            continue;
        mutex_lock(&p->lock);
        keep = is_listed(p, base) && !str_ends(names[i], STR(".cleaned"));
        mutex_unlock(&p->lock);
        if (!keep)
            ok = remove_file(l, arena_fmt(&a, "%s/%.*s", dir, STR_ARG(names[i])), e);
    }
    arena_fini(&a);
    return ok;
}

/* ---- retention ---- */

static bool is_old(const struct seg *s, const struct log_settings *set, int64_t now, int64_t grace_ms)
{
    int64_t newest = seg_newest_ms(s);

    return set->retention_ms >= 0 && newest != TIME_NONE && newest < now - set->retention_ms &&
           (grace_ms == 0 || s->created_ms <= now - grace_ms);
}

/* The first offset to keep; *roll: the active segment would go too, if it were closed. REQUIRES part.lock. */
static int64_t keep_from(struct log *l, const struct part *p, const struct log_settings *set, bool *roll)
{
    int64_t now = steady_ms(l), grace_ms = l->o.retention_grace_ms;
    int64_t keep = p->start, left = 0;

    *roll = false;
    for (size_t i = 0; i < p->seg_n; i++)
        left += p->segs[i]->size;
    for (size_t i = 0; set->remove && i < p->seg_n; i++) {
        const struct seg *s = p->segs[i];

        left -= s->size;
        if (!is_old(s, set, now, grace_ms) && (set->retention_bytes < 0 || left < set->retention_bytes))
            break;
        if (!s->closed) { // size alone never takes the active one
            *roll = s->size > 0 && is_old(s, set, now, grace_ms);
            break;
        }
        keep = i + 1 < p->seg_n ? p->segs[i + 1]->base : p->end;
    }
    return keep > p->start ? keep : p->start;
}

/* Takes segments wholly below the start off the list; their number. */
static size_t detach(struct part *p, struct arena *a, struct seg ***out)
{
    size_t n = 0;

    mutex_lock(&p->lock);
    while (n < p->seg_n && p->segs[n]->closed &&
           (n + 1 < p->seg_n ? p->segs[n + 1]->base : p->end) <= p->start)
        n++;
    if (n > 0) {
        *out = arena_copy(a, p->segs, n * sizeof **out);
        p->seg_n -= n;
        for (size_t i = 0; i < p->seg_n; i++)
            p->segs[i] = p->segs[i + n];
    }
    mutex_unlock(&p->lock);
    return n;
}

static bool part_op(struct log *l, struct part *p, enum op_kind kind, int64_t to, struct err *e)
{
    struct op op = {.kind = kind, .count = 1, .trim_to = to, .parts = op.one, .bound = 1024};

    op.one[0].part = part_ref(p);
    return commit_wait(l, &op, e);
}

/* The new start is durable before the files go. */
static bool retain(struct log *l, struct part *p, const struct log_settings *set, struct err *e)
{
    struct arena a = {0};
    struct seg **gone = NULL;
    int64_t keep;
    size_t n;
    bool roll, ok = true;

    mutex_lock(&p->lock);
    keep = keep_from(l, p, set, &roll);
    mutex_unlock(&p->lock);
    if (roll) {
        ok = part_op(l, p, OP_ROLL, 0, e);
        mutex_lock(&p->lock);
        keep = keep_from(l, p, set, &roll);
        mutex_unlock(&p->lock);
    }
    ok = ok && (keep <= part_start(p) || part_op(l, p, OP_TRIM, keep, e));
    n = ok ? detach(p, &a, &gone) : 0;
    for (size_t i = 0; i < n; i++) {
        ok = remove_files(l, gone[i], e) && ok;
        seg_unref(gone[i]);
    }
    arena_fini(&a);
    return ok;
}

/* ---- idle segments ---- */

/* Descriptors and indexes that nobody used since the last time. */
static void let_go(struct part *p)
{
    mutex_lock(&p->lock);
    for (size_t i = 0; i < p->seg_n; i++) {
        struct seg *s = p->segs[i];
        bool idle =
            !s->touched && !s->dirty && s->aborts_n == 0 && __atomic_load_n(&s->refs, __ATOMIC_ACQUIRE) == 1;

        s->touched = false;
        if (!idle)
            continue;
        os_close(s->os, s->fd);
        os_close(s->os, s->sfd);
        os_close(s->os, s->wfd);
        s->fd = s->wfd = s->sfd = -1;
        if (s->dfd >= 0) {
            os_close(s->os, s->dfd);
            s->dfd = DIRECT_UNKNOWN;
        }
        if (s->state == SEG_LOADED)
            seg_index_drop(s);
    }
    mutex_unlock(&p->lock);
}

/* ---- the round ---- */

static bool checkpoint(struct log *l, struct err *e)
{
    struct op op = {.kind = OP_CHECKPOINT, .parts = op.one};
    struct err before;

    (void)(check_wait(l, &before) || before.kind); // of the one before this
    return commit_wait(l, &op, e) && check_wait(l, e);
}

/* Records that have waited for compaction as long as they may are in a segment that can be compacted. */
static bool roll_for_compaction(struct log *l, struct part *p, const struct log_settings *set, struct err *e)
{
    struct seg *s = set->compact && set->max_compaction_lag_ms < INT64_MAX ? part_active(p) : NULL;
    bool due = false;

    if (s) {
        mutex_lock(&p->lock);
        due = s->size > 0 && s->created_ms != TIME_NONE &&
              steady_ms(l) - s->created_ms > set->max_compaction_lag_ms;
        mutex_unlock(&p->lock);
        seg_unref(s);
    }
    return !due || part_op(l, p, OP_ROLL, 0, e);
}

/* What is quick: each partition's turn comes before any is compacted. */
static bool tidy_part(struct log *l, struct part *p, bool first, struct err *e)
{
    struct log_settings set;

    topic_settings(l, p->topic, &set, NULL);
    if (is_gone(p))
        return true;
    if ((first && !sweep(l, p, e)) || !retain(l, p, &set, e) || !roll_for_compaction(l, p, &set, e))
        return false;
    let_go(p);
    return true;
}

/* One bad partition does not stop the others: the first error is told. */
static void told(struct round *r, struct part *p, bool ok, const struct err *mine)
{
    if (ok || is_gone(p) || !r->ok)
        return;
    r->ok = false;
    r->err = *mine;
    (void)err_wrap(&r->err, "maintain %.*s-%d", STR_ARG(p->topic->name), p->index);
}

static void compact_some(struct log *l, struct round *r, struct doomed *doomed)
{
    int64_t began_ns = l->os->now_ns(l->os);
    struct log_settings set;
    struct err mine;

    for (size_t i = 0; i < r->count && l->os->now_ns(l->os) - began_ns < COMPACT_NS; i++) {
        struct part *p = r->parts[(l->compact_next + i) % r->count];

        topic_settings(l, p->topic, &set, NULL);
        if (set.compact && !is_gone(p))
            told(r, p, compact_part(l, p, &set, doomed, &mine), &mine);
        r->compacted = i + 1;
    }
    l->compact_next = r->count > 0 ? (l->compact_next + r->compacted) % r->count : 0;
}

static bool maintain(struct log *l, bool first, struct err *e)
{
    struct arena a = {0};
    struct doomed doomed = {0};
    struct round r = {.ok = true};
    struct err mine = {0};
    bool saved;

    r.parts = parts_all(l, &a, &r.count);
    for (size_t i = 0; i < r.count; i++)
        told(&r, r.parts[i], tidy_part(l, r.parts[i], first, &mine), &mine);
    saved = checkpoint(l, &mine);
    if (saved) {
        compact_some(l, &r, &doomed);
        saved = doomed.n == 0 || checkpoint(l, &mine);
    }
    if (!saved && r.ok) {
        r.ok = false;
        r.err = mine;
    }
    for (size_t i = 0; i < doomed.n; i++) { // merged into others: no checkpoint lists them now
        if (saved && !remove_files(l, doomed.segs[i], &mine) && r.ok) {
            r.ok = false;
            r.err = mine;
        }
        seg_unref(doomed.segs[i]);
    }
    for (size_t i = 0; i < r.count; i++)
        part_unref(r.parts[i]);
    mem_free(doomed.segs);
    (void)reserve_there(l);
    arena_fini(&a);
    if (!r.ok)
        *e = r.err;
    return r.ok;
}

bool log_maintain(struct log *l, struct err *e)
{
    bool ok, busy, first;

    if (log_failed(l, e))
        return false;
    direct_age(&l->direct);
    mutex_lock(&l->topics_lock);
    busy = l->maintaining;
    l->maintaining = true;
    first = !l->swept;
    mutex_unlock(&l->topics_lock);
    if (busy)
        return true;
    ok = maintain(l, first, e);
    mutex_lock(&l->topics_lock);
    l->maintaining = false;
    l->swept = l->swept || ok;
    mutex_unlock(&l->topics_lock);
    return ok;
}

void log_hurry(struct log *l)
{
    __atomic_store_n(&l->hurry, true, __ATOMIC_RELAXED);
}
