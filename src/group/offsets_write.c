/* Batches of positions and groups on their way to the log. */
#include "base/mem.h"
#include "group/offsets_int.h"
#include "log/log.h"
#include "os/os.h"

#include <assert.h>

struct offsets_write *offsets_write_new(struct offsets *o, struct str group)
{
    struct offsets_write *c = MEM_NEW(struct offsets_write);

    c->o = o;
    c->key = c->value = buf_make(OFFSETS_BATCH_MAX);
    c->part.topic = STR(OFFSETS_TOPIC);
    c->part.partition = group_partition(group, o->partitions);
    batch_begin(&c->w, OFFSETS_BATCH_MAX);
    return c;
}

static void write_free(struct offsets_write *c)
{
    batch_fini(&c->w);
    buf_fini(&c->key);
    buf_fini(&c->value);
    mem_free(c);
}

int64_t offsets_now_ms(struct offsets *o)
{
    return o->os->wall_us(o->os) / 1000;
}

static void write_raw(struct offsets_write *c, struct str key)
{
    batch_add(&c->w, offsets_now_ms(c->o), key, c->value.n > 0 ? buf_view(&c->value) : STR_NULL, NULL, 0);
    buf_reset(&c->value);
}

void offsets_write_add(struct offsets_write *c, const struct offset_key *k)
{
    buf_reset(&c->key);
    offset_key_write(&c->key, k);
    write_raw(c, buf_view(&c->key));
}

/* On the committer's thread. Memory follows the log in its order because there is one committer. */
static void write_done(void *arg, bool ok, const struct err *why)
{
    struct offsets_write *c = arg;
    struct offsets_piece piece = {
        .batches = c->part.batches, .partition = c->part.partition, .shift = c->part.base_offset};
    struct err e = {0};
    int64_t next;

    if (ok && !offsets_apply(c->o, &piece, &next, &e)) {
        ok = false;
        why = &e;
    }
    c->done(c->arg, ok, why);
    write_free(c);
}

void offsets_write_send(struct offsets_write *c, offsets_done_fn *done, void *arg)
{
    bool keys_ok = buf_ok(&c->key) && buf_ok(&c->value);
    struct err e = {0};

    c->done = done;
    c->arg = arg;
    c->part.batches = batch_end(&c->w);
    if (keys_ok && c->part.batches.n > 0) {
        log_append_async(c->o->log, &c->part, 1, write_done, c);
        return;
    }
    if (!keys_ok || !c->part.batches.p)
        err_set(&e, ERR_LIMIT, "a commit of a group may have %d bytes", (int)OFFSETS_BATCH_MAX);
    done(arg, e.kind == ERR_NONE, &e);
    write_free(c);
}

static void add_positions(struct offsets_write *c, struct str group, const struct offset_at *at, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct offset_at one = at[i];

        if (one.commit_ms == 0)
            one.commit_ms = offsets_now_ms(c->o);
        offset_value_write(&c->value, &one);
        offsets_write_add(c, &(struct offset_key){.kind = OFFSET_KEY_POSITION,
                                                  .group = group,
                                                  .topic = one.topic,
                                                  .partition = one.partition});
    }
}

void offsets_commit_async(struct offsets *o, struct str group, const struct offset_at *at, size_t count,
                          offsets_done_fn *done, void *arg)
{
    struct offsets_write *c = offsets_write_new(o, group);

    add_positions(c, group, at, count);
    offsets_write_send(c, done, arg);
}

void offsets_commit_txn_async(struct offsets *o, struct str group, const struct offsets_producer *p,
                              const struct offset_at *at, size_t count, offsets_done_fn *done, void *arg)
{
    struct offsets_write *c = offsets_write_new(o, group);

    c->w.producer_id = p->id;
    c->w.producer_epoch = p->epoch;
    c->w.attributes = BATCH_TRANSACTIONAL;
    add_positions(c, group, at, count);
    offsets_write_send(c, done, arg);
}

void offsets_end_txn(struct offsets *o, int32_t partition, int64_t producer_id, bool commit)
{
    struct err e;
    bool ok;

    mutex_lock(&o->lock);
    ok = offsets_apply_end(o, partition, producer_id, commit, &e);
    mutex_unlock(&o->lock);
    assert(ok); // its records were written by this program
}

void offsets_write_forget(struct offsets_write *c, const struct group *g, const struct map *kept)
{
    for (struct map_it it = {0}; g && map_next(&g->consumers, &it);)
        if (!kept || !map_get(kept, it.key))
            write_raw(c, it.key);
}

void offsets_put_meta_async(struct offsets *o, struct str group, const struct group_meta *m,
                            offsets_done_fn *done, void *arg)
{
    struct offsets_write *c = offsets_write_new(o, group);

    if (m)
        group_value_write(&c->value, m);
    offsets_write_add(c, &(struct offset_key){.kind = OFFSET_KEY_GROUP, .group = group});
    mutex_lock(&o->lock);
    offsets_write_forget(c, map_get(&o->groups, group), NULL);
    mutex_unlock(&o->lock);
    offsets_write_send(c, done, arg);
}

void offsets_put_consumers_async(struct offsets *o, struct str group, const struct consumer_change *change,
                                 offsets_done_fn *done, void *arg)
{
    struct offsets_write *c = offsets_write_new(o, group);
    struct map kept = {0};
    const struct group *g;

    for (size_t i = 0; i < change->count; i++) {
        const struct consumer_record *r = &change->records[i];

        buf_reset(&c->key);
        consumer_key_write(&c->key, group, r);
        if (!r->gone)
            consumer_value_write(&c->value, r);
        if (change->whole)
            (void)map_put(&kept, buf_view(&c->key), c);
        write_raw(c, buf_view(&c->key));
    }
    mutex_lock(&o->lock);
    g = map_get(&o->groups, group);
    if (change->whole)
        offsets_write_forget(c, g, &kept);
    if (g && g->meta)
        offsets_write_add(c, &(struct offset_key){.kind = OFFSET_KEY_GROUP, .group = group});
    mutex_unlock(&o->lock);
    map_fini(&kept);
    offsets_write_send(c, done, arg);
}

/* ---- waiting ---- */

void offsets_latch_done(void *arg, bool ok, const struct err *why)
{
    struct offsets_latch *l = arg;

    mutex_lock(&l->lock);
    if (!ok && l->ok) {
        l->ok = false;
        *l->e = *why;
    }
    if (--l->left == 0)
        cond_signal(&l->cond);
    mutex_unlock(&l->lock);
}

void offsets_latch_init(struct offsets_latch *l, size_t n, struct err *e)
{
    *l = (struct offsets_latch){.left = n, .ok = true, .e = e};
    mutex_init(&l->lock);
    cond_init(&l->cond);
}

bool offsets_latch_wait(struct offsets_latch *l)
{
    mutex_lock(&l->lock);
    while (l->left > 0)
        cond_wait(&l->cond, &l->lock);
    mutex_unlock(&l->lock);
    cond_fini(&l->cond);
    mutex_fini(&l->lock);
    return l->ok;
}

bool offsets_commit(struct offsets *o, struct str group, const struct offset_at *at, size_t count,
                    struct err *e)
{
    struct offsets_latch l;

    offsets_latch_init(&l, 1, e);
    offsets_commit_async(o, group, at, count, offsets_latch_done, &l);
    return offsets_latch_wait(&l);
}
