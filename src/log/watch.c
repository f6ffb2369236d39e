/* Watchers: called once when a partition has grown. One is called at a time, and log_unwatch waits for that one. */
#include "log/log_int.h"

static void link_in(struct part *p, struct log_watch *w)
{
    w->_part = p;
    w->_next = p->watchers;
    if (w->_next)
        w->_next->_at = &w->_next;
    p->watchers = w;
    w->_at = &p->watchers;
}

static void link_out(struct log_watch *w)
{
    *w->_at = w->_next;
    if (w->_next)
        w->_next->_at = w->_at;
    w->_next = NULL;
    w->_at = NULL;
}

static bool is_due(const struct part *p, const struct log_watch *w)
{
    return part_end(p) > w->_offset || __atomic_load_n(&p->topic->gone, __ATOMIC_ACQUIRE);
}

void log_watch(struct log *l, struct str topic, int32_t partition, int64_t offset, struct log_watch *w)
{
    struct part *p = part_find(l, topic, partition);
    bool now = true;

    w->_at = NULL;
    w->_next = NULL;
    w->_offset = offset;
    if (p) {
        mutex_lock(&l->watch_lock);
        now = is_due(p, w);
        if (!now)
            link_in(p, w); // keeps the reference
        mutex_unlock(&l->watch_lock);
    }
    if (now) {
        part_unref(p);
        w->fn(w->arg);
    }
}

void log_unwatch(struct log *l, struct log_watch *w)
{
    struct part *p = NULL;

    mutex_lock(&l->watch_lock);
    while (l->firing == w)
        cond_wait(&l->watch_idle, &l->watch_lock);
    if (w->_at) {
        p = w->_part;
        link_out(w);
    }
    mutex_unlock(&l->watch_lock);
    part_unref(p);
}

/* By the committer. A watcher may be freed as soon as it was called, so nothing of it is looked at after that. */
void watch_wake(struct log *l, struct part *p)
{
    size_t called = 0;

    mutex_lock(&l->watch_lock);
    for (struct log_watch *w = p->watchers, *next; w; w = next) {
        if (!is_due(p, w)) {
            next = w->_next;
            continue;
        }
        link_out(w);
        called++;
        l->firing = w;
        mutex_unlock(&l->watch_lock);
        w->fn(w->arg);
        mutex_lock(&l->watch_lock);
        l->firing = NULL;
        cond_broadcast(&l->watch_idle);
        next = p->watchers; // the list may have changed: from its head, those not due are few
    }
    mutex_unlock(&l->watch_lock);
    for (; called > 0; called--)
        part_unref(p);
}
