/*
 * Memory that the disk is written from: huge pages, two megabytes a slab, counted, and used again while it is warm. What is fresh
 * from the system would cost its page faults once more for each megabyte.
 */
#include "base/mem.h"
#include "log/log_int.h"

#include <assert.h>

void slabs_init(struct slabs *ss, size_t most)
{
    *ss = (struct slabs){.most = most};
    mutex_init(&ss->lock);
}

/* What is over when something was taken out under the lock. */
static void destroy(struct slab *list)
{
    for (struct slab *next; list; list = next) {
        next = list->next;
        mem_free(list->bytes);
        mem_free(list);
    }
}

void slabs_trim(struct slabs *ss)
{
    struct slab *open, *list;

    mutex_lock(&ss->lock);
    open = ss->open;
    ss->open = NULL;
    mutex_unlock(&ss->lock);
    slab_unref(open);
    mutex_lock(&ss->lock);
    list = ss->free;
    ss->free = NULL;
    for (const struct slab *s = list; s; s = s->next)
        ss->count--;
    mutex_unlock(&ss->lock);
    destroy(list);
}

void slabs_fini(struct slabs *ss)
{
    slabs_trim(ss);
    assert(ss->count == 0);
    mutex_fini(&ss->lock);
}

/* With a reference. NULL: there are as many as there may be, and `must` is false. */
static struct slab *take(struct slabs *ss, bool must)
{
    struct slab *s;
    bool none;

    mutex_lock(&ss->lock);
    s = ss->free;
    if (s)
        ss->free = s->next;
    none = !s && !must && ss->count >= ss->most;
    ss->count += !s && !none;
    mutex_unlock(&ss->lock);
    if (none)
        return NULL;
    if (!s) {
        s = MEM_NEW(struct slab);
        s->of = ss;
        s->bytes = mem_huge(SLAB_BYTES);
    }
    s->next = NULL;
    s->refs = 1;
    return s;
}

struct slab *slab_take(struct slabs *ss)
{
    return take(ss, true);
}

/* n bytes of the open slab, if it has them. REQUIRES lock. */
static struct slab *share(struct slabs *ss, size_t n, uint8_t **at)
{
    if (!ss->open || SLAB_BYTES - ss->fill < n)
        return NULL;
    *at = ss->open->bytes + ss->fill;
    ss->fill += n;
    return slab_ref(ss->open);
}

struct slab *slab_share(struct slabs *ss, size_t n, uint8_t **at)
{
    struct slab *fresh = NULL, *old = NULL, *s;

    n = (n + SLAB_ALIGN - 1) / SLAB_ALIGN * SLAB_ALIGN;
    if (n > SLAB_BYTES)
        return NULL;
    for (;;) {
        mutex_lock(&ss->lock);
        s = share(ss, n, at);
        if (!s && fresh) {
            old = ss->open;
            ss->open = fresh;
            ss->fill = 0;
            fresh = NULL;
            s = share(ss, n, at);
        }
        mutex_unlock(&ss->lock);
        if (s)
            break;
        fresh = take(ss, false);
        if (!fresh)
            return NULL;
    }
    slab_unref(old);
    slab_unref(fresh); // somebody else was faster
    return s;
}

struct slab *slab_ref(struct slab *s)
{
    __atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
    return s;
}

void slab_unref(struct slab *s)
{
    struct slabs *ss;

    if (!s || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    ss = s->of;
    mutex_lock(&ss->lock);
    s->next = ss->free;
    ss->free = s;
    mutex_unlock(&ss->lock);
}
