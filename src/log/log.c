#include "log/log.h"

#include "base/limits.h"
#include "base/mem.h"
#include "log/log_int.h"

#include <assert.h>

enum { JOURNAL_MIN = 64 * 1024, MEMORY_DEFAULT = 64 << 20, JOURNAL_DEFAULT = 64 << 20 };
#define SEGMENT_DEFAULT ((int64_t)1 << 30)

/* ---- small things about partitions that several files need ---- */

struct seg *part_active(struct part *p)
{
    struct seg *s;

    mutex_lock(&p->lock);
    s = p->seg_n && !p->segs[p->seg_n - 1]->closed ? seg_ref(p->segs[p->seg_n - 1]) : NULL;
    mutex_unlock(&p->lock);
    return s;
}

void part_add_seg(struct part *p, struct seg *s)
{
    assert(p->seg_n == 0 || p->segs[p->seg_n - 1]->base < s->base);
    MEM_PUSH_ROOM(p->segs, p->seg_n, p->seg_cap);
    p->segs[p->seg_n++] = s;
}

void part_remove_seg(struct part *p, struct seg *s)
{
    size_t i = 0;

    while (p->segs[i] != s)
        i++;
    p->seg_n--;
    for (; i < p->seg_n; i++)
        p->segs[i] = p->segs[i + 1];
    seg_unref(s);
}

/* ---- opening ---- */

static struct log *make(const struct log_options *o)
{
    struct log *l = MEM_NEW(struct log);

    l->os = o->os;
    l->opened_wall_ms = now_ms(l);
    l->opened_ns = l->os->now_ns(l->os);
    l->dir = mem_str(o->dir);
    l->o = *o;
    l->o.dir = l->dir;
    l->o.journal_bytes = o->journal_bytes ? o->journal_bytes : JOURNAL_DEFAULT;
    if (l->o.journal_bytes < JOURNAL_MIN)
        l->o.journal_bytes = JOURNAL_MIN;
    if (l->o.journal_bytes > 1 << 30)
        l->o.journal_bytes = 1 << 30; // positions in it have 32 bits
    l->o.segment_bytes = o->segment_bytes ? o->segment_bytes : SEGMENT_DEFAULT;
    l->o.memory_bytes = o->memory_bytes ? o->memory_bytes : MEMORY_DEFAULT;
    log_settings_default(l, &l->defaults);
    l->frame_max = (size_t)l->o.journal_bytes - JOURNAL_ALIGN;
    l->group_max =
        (size_t)l->o.journal_bytes / 2 < GROUP_BYTES ? (size_t)l->o.journal_bytes / 2 : GROUP_BYTES;
    l->inline_max = l->group_max / 2;
    l->direct_bytes = LOG_DIRECT_BYTES < l->inline_max ? LOG_DIRECT_BYTES : l->inline_max;
    l->heads_max = l->group_max / 8 / BATCH_HEADER < 1024 ? l->group_max / 8 / BATCH_HEADER : 1024;
    l->lock_fd = -1;
    mutex_init(&l->topics_lock);
    cond_init(&l->admin_free);
    mutex_init(&l->queue_lock);
    mutex_init(&l->reserve_lock);
    cond_init(&l->reserve_free);
    cond_init(&l->queue_more);
    cond_init(&l->queue_less);
    cond_init(&l->check_more);
    cond_init(&l->check_done);
    mutex_init(&l->watch_lock);
    cond_init(&l->watch_idle);
    l->queue_tail = &l->queue;
    l->group.tail = &l->group.ops;
    l->group.number = 1;
    l->check_ok = true;
    return l;
}

static void destroy(struct log *l)
{
    topics_fini(l);
    config_free(l->config);
    journal_close(&l->journal);
    os_close(os_real(), l->lock_fd); // a lock is between processes: always of the real system
    buf_fini(&l->check.bytes);
    mem_free(l->check.dirty);
    mem_free(l->group.iov);
    mem_free(l->group.sync);
    arena_fini(&l->group.arena);
    cond_fini(&l->watch_idle);
    mutex_fini(&l->watch_lock);
    cond_fini(&l->check_done);
    cond_fini(&l->check_more);
    cond_fini(&l->queue_less);
    cond_fini(&l->queue_more);
    mutex_fini(&l->queue_lock);
    cond_fini(&l->reserve_free);
    mutex_fini(&l->reserve_lock);
    cond_fini(&l->admin_free);
    mutex_fini(&l->topics_lock);
    mem_free(l->dir);
    mem_free(l);
}

static bool make_folders(struct log *l, struct err *e)
{
    struct arena a = {0};
    bool ok = os_make_dirs(l->os, arena_fmt(&a, "%s/topics", l->dir), e) &&
              os_make_dirs(l->os, arena_fmt(&a, "%s/deleted", l->dir), e);

    arena_fini(&a);
    return ok;
}

/* A folder that holds no log yet gets an empty one; one that lost its meta is not taken for that. */
static bool create(struct log *l, struct err *e)
{
    struct arena a = {0};
    struct str *names;
    size_t count;
    bool ok;

    ok = os_list(l->os, arena_fmt(&a, "%s/topics", l->dir), &a, &names, &count, e);
    if (ok && count > 0)
        ok = err_set(e, ERR_CORRUPT, "%s has topics but the file meta is missing", l->dir);
    ok = ok && topics_create(l, e) && check_create(l, e) &&
         journal_create(l->os, l->dir, l->o.journal_bytes, e) && os_sync_dir(l->os, l->dir, e) &&
         meta_create(l, e);
    arena_fini(&a);
    return ok;
}

static bool lock_and_load(struct log *l, struct err *e)
{
    struct arena a = {0};
    struct journal_start start;
    bool ok;

    ok = make_folders(l, e);
    l->lock_fd = ok ? os_lock_file(arena_fmt(&a, "%s/lock", l->dir), e) : -1;
    ok = ok && l->lock_fd >= 0;
    ok = ok && (os_exists(l->os, arena_fmt(&a, "%s/meta", l->dir)) || create(l, e));
    arena_fini(&a);
    if (!ok || !meta_load(l, e) || !topics_load(l, e) || !config_load(l, e) || !topics_bury(l, e) ||
        !check_load(l, &start, e) || !journal_open(&l->journal, l->os, l->dir, l->o.journal_bytes, e))
        return false;
    l->journal.run = l->run;
    return journal_replay(&l->journal, &start, recover_frame, l, e) && recover_end(l, e) &&
           meta_new_run(l, e);
}

bool log_open(const struct log_options *o, struct log **out, struct err *e)
{
    struct log *l = make(o);
    struct err ignored;

    if (!lock_and_load(l, e)) {
        destroy(l);
        return err_wrap(e, "open log %s", o->dir);
    }
    l->journal.run = l->run;
    (void)(topics_remove_buried(l, &ignored) || ignored.kind); // or at the next open
    (void)reserve_there(l);
    direct_start(&l->direct, l->os, (size_t)l->o.memory_bytes / 2);
    thread_start(&l->committer, "log-commit", commit_run, l);
    thread_start(&l->checker, "log-check", check_run, l);
    *out = l;
    return true;
}

/* ---- closing ---- */

/* With the committer gone, this thread is the committer. Files give back what was reserved beyond their content. */
static void last_checkpoint(struct log *l)
{
    struct err e;

    (void)(check_wait(l, &e) || e.kind);
    if (log_has_failed(l))
        return;
    if (!recover_end(l, &e)) {
        log_fail(l, &e);
        return;
    }
    check_start(l, true);
    (void)(check_wait(l, &e) || e.kind); // without it the next open replays the journal
}

void log_close(struct log *l)
{
    if (!l)
        return;
    mutex_lock(&l->queue_lock);
    l->closing = true;
    cond_signal(&l->queue_more);
    mutex_unlock(&l->queue_lock);
    thread_join(&l->committer);
    last_checkpoint(l);
    mutex_lock(&l->queue_lock);
    l->check_stop = true;
    cond_signal(&l->check_more);
    mutex_unlock(&l->queue_lock);
    thread_join(&l->checker);
    direct_stop(&l->direct);
    destroy(l);
}

/* ---- questions ---- */

void log_stats(struct log *l, struct log_stats *out)
{
    struct arena a = {0};
    size_t count;
    struct part **parts = parts_all(l, &a, &count);

    mutex_lock(&l->queue_lock);
    *out = l->stats;
    mutex_unlock(&l->queue_lock);
    mutex_lock(&l->topics_lock);
    out->topics = l->by_name.n;
    mutex_unlock(&l->topics_lock);
    out->partitions = count;
    for (size_t i = 0; i < count; i++) {
        mutex_lock(&parts[i]->lock);
        for (size_t k = 0; k < parts[i]->seg_n; k++)
            out->disk_bytes += (uint64_t)parts[i]->segs[k]->size;
        mutex_unlock(&parts[i]->lock);
        part_unref(parts[i]);
    }
    arena_fini(&a);
}
