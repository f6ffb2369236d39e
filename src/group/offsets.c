#include "group/offsets.h"

#include "base/be.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "group/group_int.h"
#include "log/batch.h"
#include "log/log.h"
#include "os/os.h"
#include "os/thread.h"

#include <assert.h>
#include <stdlib.h>

enum { PARTITIONS = 8, REPLAY_BYTES = 1 << 20, BATCH_MAX = 16 << 20 };

/* A group's memory: positions by topic and partition, and the value of its GroupMetadata record. */
struct group {
    struct map
        positions; // topic and big-endian partition -> struct offset_at *, of one piece with its strings
    char *meta;    // NULL: none
    size_t meta_n;
    struct map consumers; // of a group of KIP-848: key -> struct stored *, of one piece with its bytes
};

struct stored {
    size_t n; // the bytes follow
};

struct offsets {
    struct os *os;
    struct log *log;
    int32_t partitions;
    struct mutex lock;  // over the rest
    struct map groups;  // name -> struct group *
    struct map pending; // positions of open transactions (pending.c)
};

/* ---- memory ---- */

static struct str position_key(struct buf *b, struct str topic, int32_t partition)
{
    buf_reset(b);
    buf_str(b, topic);
    buf_i32(b, partition);
    return buf_view(b);
}

static struct offset_at *position_new(const struct offset_at *from)
{
    struct offset_at *at = mem_alloc(sizeof *at + from->topic.n + from->metadata.n);
    char *text = (char *)(at + 1);

    *at = *from;
    at->topic = str_from(text, from->topic.n);
    memcpy(text, from->topic.p, from->topic.n);
    at->metadata = str_from(text + from->topic.n, from->metadata.n);
    if (from->metadata.n > 0)
        memcpy(text + from->topic.n, from->metadata.p, from->metadata.n);
    return at;
}

static void group_free(struct group *g)
{
    if (!g)
        return;
    for (struct map_it it = {0}; map_next(&g->positions, &it);)
        mem_free(it.value);
    map_fini(&g->positions);
    for (struct map_it it = {0}; map_next(&g->consumers, &it);)
        mem_free(it.value);
    map_fini(&g->consumers);
    mem_free(g->meta);
    mem_free(g);
}

static struct group *group_find(struct offsets *o, struct str name, bool make)
{
    struct group *g = map_get(&o->groups, name);

    if (!g && make) {
        g = MEM_NEW(struct group);
        map_put(&o->groups, name, g);
    }
    return g;
}

static bool apply_position(struct offsets *o, const struct offset_key *k, const struct record *r,
                           struct err *e)
{
    struct offset_at at = {.topic = k->topic, .partition = k->partition, ._record = r->offset};
    const struct offset_at *there;
    struct str value = r->value;
    struct group *g = group_find(o, k->group, value.p != NULL);
    struct buf key = buf_make(64 * KIB);

    if (!g || (value.p && !offset_value_read(value, &at, e)))
        return g == NULL;
    position_key(&key, k->topic, k->partition);
    there = map_get(&g->positions, buf_view(&key));
    if (there && there->_record > at._record) { // it was committed while the transaction was open
        buf_fini(&key);
        return true;
    }
    mem_free(value.p ? map_put(&g->positions, buf_view(&key), position_new(&at))
                     : map_del(&g->positions, buf_view(&key)));
    buf_fini(&key);
    return true;
}

static void apply_group(struct offsets *o, const struct offset_key *k, struct str value)
{
    struct group *g = group_find(o, k->group, value.p != NULL);

    if (!g)
        return;
    mem_free(g->meta);
    g->meta = value.p ? mem_copy(value.p, value.n) : NULL;
    g->meta_n = value.n;
}

static void apply_consumer(struct offsets *o, const struct offset_key *k, const struct record *r)
{
    struct group *g = group_find(o, k->group, r->value.p != NULL);
    struct stored *s;

    if (!g)
        return;
    if (!r->value.p) {
        mem_free(map_del(&g->consumers, r->key));
        return;
    }
    s = mem_alloc(sizeof *s + r->value.n);
    s->n = r->value.n;
    if (r->value.n > 0)
        memcpy(s + 1, r->value.p, r->value.n);
    mem_free(map_put(&g->consumers, r->key, s));
}

/* One record of the topic, just written or replayed. The lock is held. */
static bool apply(struct offsets *o, const struct record *r, struct err *e)
{
    struct offset_key k;
    struct group *g;

    if (!offset_key_read(r->key, &k, e))
        return false;
    if (k.kind == OFFSET_KEY_OTHER)
        return true;
    if (!r->value.p && o->pending.n > 0)
        pending_forget(&o->pending, r);
    if (k.kind == OFFSET_KEY_GROUP)
        apply_group(o, &k, r->value);
    else if (k.kind == OFFSET_KEY_CONSUMER)
        apply_consumer(o, &k, r);
    else if (!apply_position(o, &k, r, e))
        return false;
    g = map_get(&o->groups, k.group);
    if (g && g->positions.n == 0 && !g->meta && g->consumers.n == 0)
        group_free(map_del(&o->groups, k.group));
    return true;
}

static bool apply_pending(void *o, const struct record *r, struct err *e)
{
    return apply(o, r, e);
}

static bool end_txn(struct offsets *o, int32_t partition, int64_t producer_id, bool commit, struct err *e)
{
    struct pending_apply fn = {apply_pending, o};

    return pending_end(&o->pending, partition, producer_id, commit ? &fn : NULL, e);
}

/* Bytes of one partition; shift: what is to be added to the offsets in them. */
struct piece {
    struct str batches;
    int32_t partition;
    int64_t shift;
    bool settled; // transactions in it were committed
};

static bool apply_one(struct offsets *o, const struct piece *p, const struct batch_reader *r,
                      const struct record *rec, struct err *e)
{
    if (rec->control)
        return rec->key.n < 4 ||
               end_txn(o, p->partition, r->head.producer_id, be_get16(rec->key.p + 2) == 1, e);
    if (p->settled || (r->head.attributes & BATCH_TRANSACTIONAL) == 0)
        return apply(o, rec, e);
    pending_add(&o->pending, p->partition, r->head.producer_id, rec);
    return true;
}

static bool apply_batches(struct offsets *o, const struct piece *p, int64_t *next, struct err *e)
{
    struct arena a = {0};
    struct batch_reader r;
    struct record rec;
    bool ok = true;

    batch_open(&r, &a, p->batches);
    mutex_lock(&o->lock);
    while (ok && batch_next(&r, &rec)) {
        *next = rec.offset + 1;
        rec.offset += p->shift;
        ok = apply_one(o, p, &r, &rec, e);
    }
    mutex_unlock(&o->lock);
    ok = ok && batch_ok(&r, e);
    arena_fini(&a);
    return ok;
}

/* ---- open ---- */

/* The offset behind the last batch in bytes: compaction may have taken that batch's last records away. */
static int64_t after_batches(struct str bytes, int64_t next)
{
    struct batch_header h;

    while (batch_header(bytes, &h)) {
        size_t n = (size_t)h.length + 12;

        next = h.base_offset + h.last_offset_delta + 1;
        if (n >= bytes.n)
            break;
        bytes = str_from(bytes.p + n, bytes.n - n);
    }
    return next;
}

/*
 * What is below the last stable offset is read as committed, because compaction takes markers away in time. Each record counts at its own
 * place there, and at its marker's in life; that is the same, because a later record of its key is what stays.
 */
static bool replay_settled(struct offsets *o, int32_t partition, const struct log_range *range, struct err *e)
{
    struct buf b = buf_make(LIMIT_BATCH + REPLAY_BYTES);
    bool ok = true;

    for (int64_t at = range->start, was = -1, unused; ok && at > was && at < range->stable; buf_reset(&b)) {
        was = at;
        ok = log_fetch_committed(o->log, STR(OFFSETS_TOPIC), partition, &at, REPLAY_BYTES, &b, e) &&
             apply_batches(o,
                           &(struct piece){.batches = buf_view(&b), .partition = partition, .settled = true},
                           &unused, e);
    }
    buf_fini(&b);
    return ok;
}

static bool replay(struct offsets *o, int32_t partition, struct err *e)
{
    struct buf b = buf_make(LIMIT_BATCH + REPLAY_BYTES);
    struct log_range range;
    bool ok = log_range(o->log, STR(OFFSETS_TOPIC), partition, &range);

    if (!ok)
        err_set(e, ERR_NOT_FOUND, "it has no such partition");
    ok = ok && replay_settled(o, partition, &range, e);
    for (int64_t at = ok ? range.stable : 0; ok && at < range.end; buf_reset(&b)) {
        int64_t next = at;

        ok = log_fetch(o->log, STR(OFFSETS_TOPIC), partition, at, REPLAY_BYTES, &b, e) &&
             apply_batches(o, &(struct piece){.batches = buf_view(&b), .partition = partition}, &next, e);
        next = after_batches(buf_view(&b), next);
        if (ok && next <= at)
            ok = err_set(e, ERR_CORRUPT, "nothing is readable at offset %lld", (long long)at);
        at = next;
    }
    buf_fini(&b);
    return ok || err_wrap(e, "replay of " OFFSETS_TOPIC " partition %d", partition);
}

static bool ensure_topic(struct offsets *o, int32_t partitions, struct err *e)
{
    struct log_settings s;
    struct log_topic t;
    struct arena a = {0};

    log_settings_default(o->log, &s);
    s.compact = true;
    s.remove = false;
    s.segment_bytes = (int64_t)(100 * MIB); // Kafka: offsets.topic.segment.bytes
    s.max_message_bytes = BATCH_MAX;
    if (!log_ensure_topic(o->log, STR(OFFSETS_TOPIC), partitions > 0 ? partitions : PARTITIONS, &s, e))
        return err_wrap(e, "topic " OFFSETS_TOPIC);
    o->partitions = log_find_topic(o->log, STR(OFFSETS_TOPIC), &a, &t) ? t.partitions : 0;
    arena_fini(&a);
    return o->partitions > 0 || err_set(e, ERR_NOT_FOUND, "topic " OFFSETS_TOPIC " was deleted");
}

bool offsets_open(const struct offsets_options *options, struct offsets **out, struct err *e)
{
    struct offsets *o = MEM_NEW(struct offsets);
    bool ok;

    o->os = options->os;
    o->log = options->log;
    mutex_init(&o->lock);
    ok = ensure_topic(o, options->partitions, e);
    for (int32_t i = 0; ok && i < o->partitions; i++)
        ok = replay(o, i, e);
    if (!ok) {
        offsets_close(o);
        return false;
    }
    *out = o;
    return true;
}

void offsets_close(struct offsets *o)
{
    if (!o)
        return;
    for (struct map_it it = {0}; map_next(&o->groups, &it);)
        group_free(it.value);
    map_fini(&o->groups);
    pending_fini(&o->pending);
    mutex_fini(&o->lock);
    mem_free(o);
}

/* ---- write ---- */

/* One batch on its way to the log; what it says is applied to memory when it is durable. */
struct commit {
    struct offsets *o;
    struct batch_writer w;
    struct log_part_write part;
    offsets_done_fn *done;
    void *arg;
    struct buf key, value; // of the record being added
    struct commit *next;
};

static struct commit *commit_new(struct offsets *o, struct str group)
{
    struct commit *c = MEM_NEW(struct commit);

    c->o = o;
    c->key = c->value = buf_make(BATCH_MAX);
    c->part.topic = STR(OFFSETS_TOPIC);
    c->part.partition = group_partition(group, o->partitions);
    batch_begin(&c->w, BATCH_MAX);
    return c;
}

static void commit_free(struct commit *c)
{
    batch_fini(&c->w);
    buf_fini(&c->key);
    buf_fini(&c->value);
    mem_free(c);
}

static int64_t now_ms(struct offsets *o)
{
    return o->os->wall_us(o->os) / 1000;
}

/* The value is what was written to c->value before; nothing there is a tombstone. */
static void commit_add_raw(struct commit *c, struct str key)
{
    batch_add(&c->w, now_ms(c->o), key, c->value.n > 0 ? buf_view(&c->value) : STR_NULL, NULL, 0);
    buf_reset(&c->value);
}

static void commit_add(struct commit *c, const struct offset_key *k)
{
    buf_reset(&c->key);
    offset_key_write(&c->key, k);
    commit_add_raw(c, buf_view(&c->key));
}

/* On the committer's thread. Memory follows the log in its order because there is one committer. */
static void commit_done(void *arg, bool ok, const struct err *why)
{
    struct commit *c = arg;
    struct piece piece = {
        .batches = c->part.batches, .partition = c->part.partition, .shift = c->part.base_offset};
    struct err e = {0};
    int64_t next;

    if (ok && !apply_batches(c->o, &piece, &next, &e)) {
        ok = false;
        why = &e;
    }
    c->done(c->arg, ok, why);
    commit_free(c);
}

static void commit_send(struct commit *c, offsets_done_fn *done, void *arg)
{
    bool keys_ok = buf_ok(&c->key) && buf_ok(&c->value);
    struct err e = {0};

    c->done = done;
    c->arg = arg;
    c->part.batches = batch_end(&c->w);
    if (keys_ok && c->part.batches.n > 0) {
        log_append_async(c->o->log, &c->part, 1, commit_done, c);
        return;
    }
    if (!keys_ok || !c->part.batches.p)
        err_set(&e, ERR_LIMIT, "a commit of a group may have %d bytes", (int)BATCH_MAX);
    done(arg, e.kind == ERR_NONE, &e);
    commit_free(c);
}

static void add_positions(struct commit *c, struct str group, const struct offset_at *at, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct offset_at one = at[i];

        if (one.commit_ms == 0)
            one.commit_ms = now_ms(c->o);
        offset_value_write(&c->value, &one);
        commit_add(c, &(struct offset_key){.kind = OFFSET_KEY_POSITION,
                                           .group = group,
                                           .topic = one.topic,
                                           .partition = one.partition});
    }
}

void offsets_commit_async(struct offsets *o, struct str group, const struct offset_at *at, size_t count,
                          offsets_done_fn *done, void *arg)
{
    struct commit *c = commit_new(o, group);

    add_positions(c, group, at, count);
    commit_send(c, done, arg);
}

void offsets_commit_txn_async(struct offsets *o, struct str group, const struct offsets_producer *p,
                              const struct offset_at *at, size_t count, offsets_done_fn *done, void *arg)
{
    struct commit *c = commit_new(o, group);

    c->w.producer_id = p->id;
    c->w.producer_epoch = p->epoch;
    c->w.attributes = BATCH_TRANSACTIONAL;
    add_positions(c, group, at, count);
    commit_send(c, done, arg);
}

void offsets_end_txn(struct offsets *o, int32_t partition, int64_t producer_id, bool commit)
{
    struct err e;
    bool ok;

    mutex_lock(&o->lock);
    ok = end_txn(o, partition, producer_id, commit, &e);
    mutex_unlock(&o->lock);
    assert(ok); // its records were written by this program
}

bool offsets_is_pending(struct offsets *o, struct str group, struct str topic, int32_t partition)
{
    bool is;

    mutex_lock(&o->lock);
    is = o->pending.n > 0 && pending_has(&o->pending, group, topic, partition);
    mutex_unlock(&o->lock);
    return is;
}

int32_t offsets_partition(const struct offsets *o, struct str group)
{
    return group_partition(group, o->partitions);
}

/* Tombstones for the records of a group's members, but for those kept; NULL: for all. The lock is held. */
static void forget_consumers(struct commit *c, const struct group *g, const struct map *kept)
{
    for (struct map_it it = {0}; g && map_next(&g->consumers, &it);)
        if (!kept || !map_get(kept, it.key))
            commit_add_raw(c, it.key);
}

void offsets_put_meta_async(struct offsets *o, struct str group, const struct group_meta *m,
                            offsets_done_fn *done, void *arg)
{
    struct commit *c = commit_new(o, group);

    if (m)
        group_value_write(&c->value, m);
    commit_add(c, &(struct offset_key){.kind = OFFSET_KEY_GROUP, .group = group});
    mutex_lock(&o->lock);
    forget_consumers(c, map_get(&o->groups, group), NULL);
    mutex_unlock(&o->lock);
    commit_send(c, done, arg);
}

void offsets_put_consumers_async(struct offsets *o, struct str group, const struct consumer_change *change,
                                 offsets_done_fn *done, void *arg)
{
    struct commit *c = commit_new(o, group);
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
        commit_add_raw(c, buf_view(&c->key));
    }
    mutex_lock(&o->lock);
    g = map_get(&o->groups, group);
    if (change->whole)
        forget_consumers(c, g, &kept);
    if (g && g->meta)
        commit_add(c, &(struct offset_key){.kind = OFFSET_KEY_GROUP, .group = group});
    mutex_unlock(&o->lock);
    map_fini(&kept);
    commit_send(c, done, arg);
}

bool offsets_get_consumers(struct offsets *o, struct str group, struct arena *a, struct consumer_record **out,
                           size_t *count)
{
    const struct group *g;
    struct str unused;

    *count = 0;
    mutex_lock(&o->lock);
    g = map_get(&o->groups, group);
    *out = ARENA_ARRAY(a, struct consumer_record, g ? g->consumers.n : 0);
    for (struct map_it it = {0}; g && map_next(&g->consumers, &it);) {
        const struct stored *s = it.value;
        struct str value = arena_str(a, str_from(s + 1, s->n));

        if (consumer_key_read(arena_str(a, it.key), &(*out)[*count], &unused) &&
            consumer_value_read(value, a, &(*out)[*count]))
            ++*count;
    }
    mutex_unlock(&o->lock);
    return *count > 0;
}

/* ---- waiting ---- */

struct latch {
    struct mutex lock;
    struct cond cond;
    size_t left;
    bool ok;
    struct err *e;
};

static void latch_done(void *arg, bool ok, const struct err *why)
{
    struct latch *l = arg;

    mutex_lock(&l->lock);
    if (!ok && l->ok) {
        l->ok = false;
        *l->e = *why;
    }
    if (--l->left == 0)
        cond_signal(&l->cond);
    mutex_unlock(&l->lock);
}

static void latch_init(struct latch *l, size_t n, struct err *e)
{
    *l = (struct latch){.left = n, .ok = true, .e = e};
    mutex_init(&l->lock);
    cond_init(&l->cond);
}

static bool latch_wait(struct latch *l)
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
    struct latch l;

    latch_init(&l, 1, e);
    offsets_commit_async(o, group, at, count, latch_done, &l);
    return latch_wait(&l);
}

/* ---- forget ---- */

static void add_tombstone(struct commit *c, struct str group, const struct offset_at *at)
{
    commit_add(
        c, &(struct offset_key){
               .kind = OFFSET_KEY_POSITION, .group = group, .topic = at->topic, .partition = at->partition});
}

/* A batch of tombstones for what `group` has; with a topic, only for its positions there. NULL when there is nothing. */
static struct commit *forget(struct offsets *o, struct str name, const struct str *topic)
{
    const struct group *g = map_get(&o->groups, name);
    struct commit *c = NULL;

    for (struct map_it it = {0}; g && map_next(&g->positions, &it);) {
        const struct offset_at *at = it.value;

        if (topic && !str_eq(at->topic, *topic))
            continue;
        c = c ? c : commit_new(o, name);
        add_tombstone(c, name, at);
    }
    if (!topic) { // also when its first generation is still on its way to the disk
        c = c ? c : commit_new(o, name);
        commit_add(c, &(struct offset_key){.kind = OFFSET_KEY_GROUP, .group = name});
        forget_consumers(c, g, NULL);
    }
    return c;
}

void offsets_forget_async(struct offsets *o, struct str group, const struct offset_at *at, size_t count,
                          offsets_done_fn *done, void *arg)
{
    struct commit *c = commit_new(o, group);
    struct buf key = buf_make(64 * KIB);
    const struct group *g;

    mutex_lock(&o->lock);
    g = map_get(&o->groups, group);
    for (size_t i = 0; g && i < count; i++)
        if (map_get(&g->positions, position_key(&key, at[i].topic, at[i].partition)))
            add_tombstone(c, group, &at[i]);
    mutex_unlock(&o->lock);
    buf_fini(&key);
    commit_send(c, done, arg);
}

void offsets_delete_group_async(struct offsets *o, struct str group, offsets_done_fn *done, void *arg)
{
    struct commit *c;

    mutex_lock(&o->lock);
    c = forget(o, group, NULL);
    mutex_unlock(&o->lock);
    commit_send(c, done, arg);
}

bool offsets_delete_group(struct offsets *o, struct str group, struct err *e)
{
    struct latch l;

    latch_init(&l, 1, e);
    offsets_delete_group_async(o, group, latch_done, &l);
    return latch_wait(&l);
}

bool offsets_delete_topic(struct offsets *o, struct str topic, struct err *e)
{
    struct commit *all = NULL, *next;
    struct latch l;
    size_t n = 0;

    mutex_lock(&o->lock);
    for (struct map_it it = {0}; map_next(&o->groups, &it);) {
        struct commit *c = forget(o, it.key, &topic);

        if (!c)
            continue;
        c->next = all;
        all = c;
        n++;
    }
    mutex_unlock(&o->lock);
    latch_init(&l, n, e);
    for (; all; all = next) {
        next = all->next;
        commit_send(all, latch_done, &l);
    }
    return latch_wait(&l);
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
static struct commit *sweep_group(struct offsets *o, struct str name, const struct group *g,
                                  const struct offsets_sweep *s)
{
    int64_t empty_ms = empty_since_ms(g), now = now_ms(o);
    struct commit *c = NULL;
    size_t stay = 0;

    for (struct map_it it = {0}; map_next(&g->positions, &it);) {
        const struct offset_at *at = it.value;
        enum offsets_reader reader = s->reader(s->arg, name, at->topic);
        int64_t since_ms = reader == OFFSETS_NO_READER ? empty_ms : 0;

        if (reader == OFFSETS_READ || !has_expired(at, since_ms, s->retention_ms, now)) {
            stay++;
            continue;
        }
        c = c ? c : commit_new(o, name);
        add_tombstone(c, name, at);
    }
    if (stay == 0 && (g->meta || g->consumers.n > 0) &&
        s->reader(s->arg, name, STR("")) == OFFSETS_NO_READER) {
        c = c ? c : commit_new(o, name);
        commit_add(c, &(struct offset_key){.kind = OFFSET_KEY_GROUP, .group = name});
        forget_consumers(c, g, NULL);
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
    struct commit *all = NULL, *next;
    struct err none = {0};

    mutex_init(&t->lock);
    t->done = done;
    t->arg = arg;
    t->left = 1; // this call
    mutex_lock(&o->lock);
    for (struct map_it it = {0}; map_next(&o->groups, &it);) {
        struct commit *c = sweep_group(o, it.key, it.value, s);

        if (!c)
            continue;
        c->next = all;
        all = c;
        t->left++;
    }
    mutex_unlock(&o->lock);
    for (; all; all = next) {
        next = all->next;
        commit_send(all, together_done, t);
    }
    together_done(t, true, &none);
}

/* ---- read ---- */

static struct offset_at position_copy(const struct offset_at *at, struct arena *a)
{
    struct offset_at c = *at;

    c.topic = arena_str(a, at->topic);
    c.metadata = arena_str(a, at->metadata);
    return c;
}

bool offsets_get(struct offsets *o, struct str group, struct str topic, int32_t partition, struct arena *a,
                 struct offset_at *out)
{
    struct buf key = buf_make(64 * KIB);
    const struct offset_at *at = NULL;
    const struct group *g;

    position_key(&key, topic, partition);
    mutex_lock(&o->lock);
    g = map_get(&o->groups, group);
    if (g)
        at = map_get(&g->positions, buf_view(&key));
    if (at)
        *out = position_copy(at, a);
    mutex_unlock(&o->lock);
    buf_fini(&key);
    return at != NULL;
}

static int by_place(const void *a, const void *b)
{
    const struct offset_at *x = a, *y = b;
    int c = str_cmp(x->topic, y->topic);

    return c ? c : (x->partition > y->partition) - (x->partition < y->partition);
}

void offsets_list(struct offsets *o, struct str group, struct arena *a, struct offset_at **out, size_t *count)
{
    const struct group *g;

    *out = NULL;
    *count = 0;
    mutex_lock(&o->lock);
    g = map_get(&o->groups, group);
    if (g) {
        *out = ARENA_ARRAY(a, struct offset_at, g->positions.n);
        for (struct map_it it = {0}; map_next(&g->positions, &it);)
            (*out)[(*count)++] = position_copy(it.value, a);
    }
    mutex_unlock(&o->lock);
    if (*count > 1)
        qsort(*out, *count, sizeof **out, by_place);
}

static int by_name(const void *a, const void *b)
{
    const struct str *x = a, *y = b;

    return str_cmp(*x, *y);
}

void offsets_groups(struct offsets *o, struct arena *a, struct str **out, size_t *count)
{
    *count = 0;
    mutex_lock(&o->lock);
    *out = ARENA_ARRAY(a, struct str, o->groups.n);
    for (struct map_it it = {0}; map_next(&o->groups, &it);)
        (*out)[(*count)++] = arena_str(a, it.key);
    mutex_unlock(&o->lock);
    if (*count > 1)
        qsort(*out, *count, sizeof **out, by_name);
}

bool offsets_get_meta(struct offsets *o, struct str group, struct arena *a, struct group_meta *out)
{
    const struct group *g;
    struct str value = STR_NULL;
    struct err e;

    mutex_lock(&o->lock);
    g = map_get(&o->groups, group);
    if (g && g->meta)
        value = arena_str(a, str_from(g->meta, g->meta_n));
    mutex_unlock(&o->lock);
    return value.p && group_value_read(value, a, out, &e);
}
