/* Tombstones, for who asks and for what has expired. */
#include "base/limits.h"
#include "base/mem.h"
#include "group/offsets_int.h"

static void add_tombstone(struct offsets_write *c, struct str group, const struct offset_at *at)
{
    offsets_write_add(
        c, &(struct offset_key){
               .kind = OFFSET_KEY_POSITION, .group = group, .topic = at->topic, .partition = at->partition});
}

/* A batch of tombstones for what `group` has; with a topic, only for its positions there. NULL when there is nothing. */
static struct offsets_write *forget(struct offsets *o, struct str name, const struct str *topic)
{
    const struct group *g = map_get(&o->groups, name);
    struct offsets_write *c = NULL;

    for (struct map_it it = {0}; g && map_next(&g->positions, &it);) {
        const struct offset_at *at = it.value;

        if (topic && !str_eq(at->topic, *topic))
            continue;
        c = c ? c : offsets_write_new(o, name);
        add_tombstone(c, name, at);
    }
    if (!topic) { // also when its first generation is still on its way to the disk
        c = c ? c : offsets_write_new(o, name);
        offsets_write_add(c, &(struct offset_key){.kind = OFFSET_KEY_GROUP, .group = name});
        offsets_write_forget(c, g, NULL);
    }
    return c;
}

void offsets_forget_async(struct offsets *o, struct str group, const struct offset_at *at, size_t count,
                          offsets_done_fn *done, void *arg)
{
    struct offsets_write *c = offsets_write_new(o, group);
    struct buf key = buf_make(64 * KIB);
    const struct group *g;

    mutex_lock(&o->lock);
    g = map_get(&o->groups, group);
    for (size_t i = 0; g && i < count; i++)
        if (map_get(&g->positions, offsets_position_key(&key, at[i].topic, at[i].partition)))
            add_tombstone(c, group, &at[i]);
    mutex_unlock(&o->lock);
    buf_fini(&key);
    offsets_write_send(c, done, arg);
}

void offsets_delete_group_async(struct offsets *o, struct str group, offsets_done_fn *done, void *arg)
{
    struct offsets_write *c;

    mutex_lock(&o->lock);
    c = forget(o, group, NULL);
    mutex_unlock(&o->lock);
    offsets_write_send(c, done, arg);
}

bool offsets_delete_group(struct offsets *o, struct str group, struct err *e)
{
    struct offsets_latch l;

    offsets_latch_init(&l, 1, e);
    offsets_delete_group_async(o, group, offsets_latch_done, &l);
    return offsets_latch_wait(&l);
}

bool offsets_delete_topic(struct offsets *o, struct str topic, struct err *e)
{
    struct offsets_write *all = NULL, *next;
    struct offsets_latch l;
    size_t n = 0;

    mutex_lock(&o->lock);
    for (struct map_it it = {0}; map_next(&o->groups, &it);) {
        struct offsets_write *c = forget(o, it.key, &topic);

        if (!c)
            continue;
        c->next = all;
        all = c;
        n++;
    }
    mutex_unlock(&o->lock);
    offsets_latch_init(&l, n, e);
    for (; all; all = next) {
        next = all->next;
        offsets_write_send(all, offsets_latch_done, &l);
    }
    return offsets_latch_wait(&l);
}

/* ---- sweep ---- */

/* When the last member left, by the stored generation; 0: the group never had members, or that was not stored then. */
static int64_t empty_since_ms(const struct group *g)
{
    struct arena a = {0};
    struct group_meta m = {0};
    struct err e;
    int64_t at = 0;

    if (g->meta && group_value_read(str_from(g->meta, g->meta_n), &a, &m, &e) && m.state_ms > 0)
        at = m.state_ms;
    arena_fini(&a);
    return at;
}

static bool has_expired(const struct offset_at *at, int64_t since_ms, int64_t retention_ms, int64_t now)
{
    return at->expire_ms > 0 ? now >= at->expire_ms
                             : now - (since_ms > 0 ? since_ms : at->commit_ms) >= retention_ms;
}

/* A batch of tombstones for what of a group has expired; NULL when nothing has. The lock is held. */
static struct offsets_write *sweep_group(struct offsets *o, struct str name, const struct group *g,
                                         const struct offsets_sweep *s)
{
    int64_t empty_ms = empty_since_ms(g), now = offsets_now_ms(o);
    struct offsets_write *c = NULL;
    size_t stay = 0;

    for (struct map_it it = {0}; map_next(&g->positions, &it);) {
        const struct offset_at *at = it.value;
        enum offsets_reader reader = s->reader(s->arg, name, at->topic);
        int64_t since_ms = reader == OFFSETS_NO_READER ? empty_ms : 0;

        if (reader == OFFSETS_READ || !has_expired(at, since_ms, s->retention_ms, now)) {
            stay++;
            continue;
        }
        c = c ? c : offsets_write_new(o, name);
        add_tombstone(c, name, at);
    }
    if (stay == 0 && (g->meta || g->consumers.n > 0) &&
        s->reader(s->arg, name, STR("")) == OFFSETS_NO_READER) {
        c = c ? c : offsets_write_new(o, name);
        offsets_write_add(c, &(struct offset_key){.kind = OFFSET_KEY_GROUP, .group = name});
        offsets_write_forget(c, g, NULL);
    }
    return c;
}

/* Several batches that are one step for who asked. */
struct together {
    struct mutex lock; // over the rest
    size_t left;
    struct err e; // the first one that failed
    offsets_done_fn *done;
    void *arg;
};

static void together_done(void *arg, bool ok, const struct err *e)
{
    struct together *t = arg;
    bool last;

    mutex_lock(&t->lock);
    if (!ok && t->e.kind == ERR_NONE)
        t->e = *e;
    last = --t->left == 0;
    mutex_unlock(&t->lock);
    if (!last)
        return;
    t->done(t->arg, t->e.kind == ERR_NONE, &t->e);
    mutex_fini(&t->lock);
    mem_free(t);
}

void offsets_sweep_async(struct offsets *o, const struct offsets_sweep *s, offsets_done_fn *done, void *arg)
{
    struct together *t = MEM_NEW(struct together);
    struct offsets_write *all = NULL, *next;
    struct err none = {0};

    mutex_init(&t->lock);
    t->done = done;
    t->arg = arg;
    t->left = 1; // this call
    mutex_lock(&o->lock);
    for (struct map_it it = {0}; map_next(&o->groups, &it);) {
        struct offsets_write *c = sweep_group(o, it.key, it.value, s);

        if (!c)
            continue;
        c->next = all;
        all = c;
        t->left++;
    }
    mutex_unlock(&o->lock);
    for (; all; all = next) {
        next = all->next;
        offsets_write_send(all, together_done, t);
    }
    together_done(t, true, &none);
}
