#include "lake/tail.h"

#include "base/limits.h"
#include "base/mem.h"
#include "lake/feed.h"
#include "log/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { TAIL_FETCH = 1 << 20, TAIL_CHUNK = 2048 };

struct last { // the last row of a key
    struct fingerprint key;
    uint32_t chunk, row;
    bool used;
};

struct tail {                  // guarded by the stream's tail_turn
    int64_t base, base_silver; // the snapshots that it begins behind; base_silver -1: no silver
    char why[400];             // it was given up
    struct changes *changes;
    struct chunk **chunks;
    bool **wins; // of each chunk: is the row the last of its key, and no delete?
    size_t count, cap, wins_cap;
    struct lake_offset *next;
    size_t next_count;
    struct last *last; // [mask + 1] open addressing
    size_t mask, keys;
    struct bits **hidden; // [slots]
    size_t slots;
    size_t looked_at; // rows whose keys were looked up: of all chunks, counted through
    bool truncated;
    bool given_up;
    int64_t bytes;
};

static void tail_clear(struct tail *t)
{
    for (size_t i = 0; i < t->count; i++) {
        chunk_unref(t->chunks[i]);
        mem_free(t->wins[i]);
    }
    for (size_t i = 0; i < t->slots; i++)
        bits_unref(t->hidden[i]);
    changes_free(t->changes);
    mem_free(t->chunks);
    mem_free(t->wins);
    mem_free(t->next);
    mem_free(t->last);
    mem_free(t->hidden);
    *t = (struct tail){0};
}

void tail_free(struct tail *t)
{
    if (!t)
        return;
    tail_clear(t);
    mem_free(t);
}

/* ---- beginning anew ---- */

static void begin(struct tail *t, struct stream *s, const struct version *bronze,
                  const struct version *silver)
{
    struct arena a = {0};
    size_t columns = bronze->schema.count - CHANGE_META;
    struct column *like = ARENA_ARRAY(&a, struct column, columns + 1);
    struct str *keys = ARENA_ARRAY(&a, struct str, columns + 1);
    struct changes_options o = {.schemas = s->lake->schemas,
                                .topic = str_of(s->topic),
                                .columns = like,
                                .count = columns,
                                .keys = keys};
    for (size_t i = 0; i < columns; i++)
        like[i] = bronze->schema.fields[CHANGE_META + i].like;
    for (size_t i = 0; silver && i < silver->schema.key_count; i++)
        keys[o.key_count++] = ice_field_by_id(&silver->schema, silver->schema.keys[i])->like.name;
    o.secret = silver ? keys_secret(silver->keys) : NULL;
    tail_clear(t);
    t->base = bronze->snapshot->id;
    t->base_silver = silver ? silver->snapshot->id : -1;
    t->changes = changes_new(&o);
    t->next = MEM_ARRAY(struct lake_offset, bronze->offset_count + 1);
    t->next_count = bronze->offset_count;
    memcpy(t->next, bronze->offsets, bronze->offset_count * sizeof(*t->next));
    t->slots = silver ? silver->slot_count : 0;
    t->hidden = MEM_ARRAY(struct bits *, t->slots + 1);
    arena_fini(&a);
}

static int64_t *next_of(struct tail *t, int32_t partition, int64_t first)
{
    for (size_t i = 0; i < t->next_count; i++)
        if (t->next[i].partition == partition)
            return &t->next[i].next;
    t->next = mem_grow(t->next, (t->next_count + 1) * sizeof(*t->next));
    t->next[t->next_count] = (struct lake_offset){.partition = partition, .next = first};
    return &t->next[t->next_count++].next;
}

/* ---- the last row of each key ---- */

static struct last *find_last(const struct tail *t, const struct fingerprint *key)
{
    size_t at = key->a & t->mask;
    while (t->last[at].used && fingerprint_cmp(&t->last[at].key, key) != 0)
        at = (at + 1) & t->mask;
    return &t->last[at];
}

static void grow_last(struct tail *t)
{
    struct last *old = t->last;
    size_t old_size = old ? t->mask + 1 : 0, size = old ? 2 * old_size : 256;
    t->last = MEM_ARRAY(struct last, size);
    t->mask = size - 1;
    for (size_t i = 0; i < old_size; i++)
        if (old[i].used)
            *find_last(t, &old[i].key) = old[i];
    mem_free(old);
}

static void forget_rows(struct tail *t) // a truncate: none of the rows before it is left
{
    for (size_t i = 0; i < t->count; i++)
        memset(t->wins[i], 0, t->chunks[i]->raw.capacity * sizeof(bool));
    mem_free(t->last);
    t->last = NULL;
    t->keys = t->mask = 0;
    t->truncated = true;
}

static void fill_from_tail(struct tail *t, const struct last *before, struct chunk *k, size_t row)
{
    const struct chunk *from = t->chunks[before->chunk];
    for (size_t i = CHANGE_META; from->op[before->row] != 'd' && i < k->c.count; i++)
        if (change_is_unavailable(&k->c.column[i], row)) {
            k->c.column[i].nulls[row] = from->c.column[i].nulls[before->row];
            k->c.column[i].strs[row] = from->c.column[i].strs[before->row];
        }
}

static void take_row(struct tail *t, size_t chunk, size_t row)
{
    struct chunk *k = t->chunks[chunk];
    if (k->op[row] == 't') {
        forget_rows(t);
        return;
    }
    if (!t->last || 2 * (t->keys + 1) > t->mask + 1)
        grow_last(t);
    struct last *l = find_last(t, &k->key[row]);
    if (l->used) {
        if (k->op[row] == 'u')
            fill_from_tail(t, l, k, row);
        t->wins[l->chunk][l->row] = false;
    }
    t->keys += !l->used;
    *l = (struct last){.key = k->key[row], .chunk = (uint32_t)chunk, .row = (uint32_t)row, .used = true};
    t->wins[chunk][row] = k->op[row] != 'd';
}

/* ---- reading on ---- */

static struct chunk *room(struct tail *t)
{
    struct chunk *last = t->count > 0 ? t->chunks[t->count - 1] : NULL;
    if (last && !chunk_is_full(last))
        return last;
    size_t rows = last ? TAIL_CHUNK : FEED_CHUNK_FIRST;
    t->chunks = mem_room(t->chunks, t->count, &t->cap, sizeof(void *));
    t->wins = mem_room(t->wins, t->count, &t->wins_cap, sizeof(void *));
    t->chunks[t->count] = changes_chunk(t->changes, rows);
    t->wins[t->count] = MEM_ARRAY(bool, rows);
    return t->chunks[t->count++];
}

static bool take_batches(struct tail *t, int32_t partition, struct str batches, int64_t *next, bool keyed,
                         struct err *e)
{
    struct arena a = {0};
    struct batch_reader r;
    struct record record;
    bool ok = true;
    batch_open(&r, &a, batches);
    r.skip_below = *next;
    while (ok && batch_next(&r, &record)) {
        struct chunk *k = room(t);
        size_t before = k->bytes;
        if (changes_add(t->changes, k, partition, &record, e)) {
            t->bytes += (int64_t)(k->bytes - before);
            if (keyed)
                take_row(t, t->count - 1, k->c.rows - 1);
        } else {
            ok = e->kind == ERR_NONE; // a tombstone
        }
        *next = record.offset + 1;
    }
    ok = ok && batch_ok(&r, e);
    arena_fini(&a);
    return ok;
}

static bool read_partition(struct tail *t, struct stream *s, int32_t partition, bool keyed, struct err *e)
{
    struct log *log = s->lake->log;
    struct log_range range;
    struct buf batches = buf_make(LIMIT_BATCH);
    bool ok = true;
    if (!log_range(log, str_of(s->topic), partition, &range))
        return true;
    int64_t *next = next_of(t, partition, range.start);
    if (*next < range.start)
        *next = range.start;
    while (ok && *next < range.end && t->bytes <= s->lake->tail_bytes) {
        int64_t before = *next, behind = *next;
        buf_reset(&batches);
        ok = log_fetch_committed(log, str_of(s->topic), partition, &behind, TAIL_FETCH, &batches, e) &&
             take_batches(t, partition, buf_view(&batches), next, keyed, e);
        if (ok && behind > *next)
            *next = behind;
        if (ok && *next == before)
            break; // what follows is not committed
    }
    buf_fini(&batches);
    return ok;
}

/* ---- what of the snapshot they replace ---- */

static int by_key(const void *x, const void *y)
{
    return fingerprint_cmp(x, y);
}

/* Fingerprints of the rows that were not looked up yet, sorted, each once. */
static size_t new_keys(struct tail *t, struct fingerprint **out)
{
    size_t total = 0, n = 0, at = 0, m = 0;
    for (size_t c = 0; c < t->count; c++)
        total += t->chunks[c]->c.rows;
    *out = MEM_ARRAY(struct fingerprint, total - t->looked_at + 1);
    for (size_t c = 0; c < t->count; at += t->chunks[c++]->c.rows)
        for (size_t row = t->looked_at > at ? t->looked_at - at : 0; row < t->chunks[c]->c.rows; row++)
            if (t->chunks[c]->op[row] != 't')
                (*out)[n++] = t->chunks[c]->key[row];
    t->looked_at = total;
    qsort(*out, n, sizeof(**out), by_key);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || fingerprint_cmp(&(*out)[i], &(*out)[m - 1]) != 0)
            (*out)[m++] = (*out)[i];
    return m;
}

static void hide(struct tail *t, const struct version *silver, struct key_place at)
{
    const struct slot *slot = version_slot(silver, at.file);
    struct bits **b = &t->hidden[slot - silver->slots];
    if (!*b || atomic_load(&(*b)->refs) > 1) { // a query still looks at it
        struct bits *own = bits_new((size_t)slot->data->entry.file.rows, *b ? *b : slot->dead);
        bits_unref(*b);
        *b = own;
    }
    bits_add(*b, at.pos);
}

static bool replace_rows(struct tail *t, struct version *silver, struct err *e)
{
    struct fingerprint *keys;
    size_t n = new_keys(t, &keys), needed = 0;
    struct key_place *at = MEM_ARRAY(struct key_place, n + 1);
    bool *found = MEM_ARRAY(bool, n + 1);
    struct need *needs = MEM_ARRAY(struct need, n + 1);
    struct key_find q = {
        .keys = keys, .count = n, .live = version_live, .arg = silver, .at = at, .found = found};
    bool ok = n == 0 || t->truncated || keys_find(silver->keys, &q, e);
    for (size_t i = 0; ok && i < n && !t->truncated; i++) {
        if (!found[i])
            continue;
        const struct last *l = t->last ? find_last(t, &keys[i]) : NULL;
        if (l && l->used && t->wins[l->chunk][l->row] && fill_is_needed(&t->chunks[l->chunk]->c, l->row))
            needs[needed++] = (struct need){.chunk = l->chunk, .row = l->row, .at = at[i]};
        hide(t, silver, at[i]);
    }
    ok = ok && (needed == 0 || fill_rows(silver, t->chunks, needs, needed, e));
    mem_free(keys);
    mem_free(at);
    mem_free(found);
    mem_free(needs);
    return ok;
}

/* ---- views ---- */

static void view_chunk(const struct tail *t, size_t i, bool keyed, struct tail_view *v)
{
    v->chunks[i] = chunk_ref(t->chunks[i]);
    v->rows[i] = t->chunks[i]->c.rows;
    v->records += (int64_t)v->rows[i];
    if (!keyed)
        return;
    v->pick[i] = MEM_ARRAY(uint32_t, v->rows[i] + 1);
    for (size_t row = 0; row < v->rows[i]; row++)
        if (t->wins[i][row])
            v->pick[i][v->picked[i]++] = (uint32_t)row;
}

static struct tail_view *view(const struct tail *t, bool keyed)
{
    struct tail_view *v = MEM_NEW(struct tail_view);
    v->count = t->count;
    v->chunks = MEM_ARRAY(struct chunk *, t->count + 1);
    v->rows = MEM_ARRAY(size_t, t->count + 1);
    if (keyed) {
        v->pick = MEM_ARRAY(uint32_t *, t->count + 1);
        v->picked = MEM_ARRAY(size_t, t->count + 1);
        v->hidden_count = t->slots;
        v->hidden = MEM_ARRAY(struct bits *, t->slots + 1);
        for (size_t i = 0; i < t->slots; i++)
            v->hidden[i] = bits_ref(t->hidden[i]);
    }
    for (size_t i = 0; i < t->count; i++)
        view_chunk(t, i, keyed, v);
    v->truncated = t->truncated;
    return v;
}

void tail_view_free(struct tail_view *v)
{
    if (!v)
        return;
    for (size_t i = 0; i < v->count; i++) {
        chunk_unref(v->chunks[i]);
        if (v->pick)
            mem_free(v->pick[i]);
    }
    for (size_t i = 0; i < v->hidden_count; i++)
        bits_unref(v->hidden[i]);
    mem_free(v->chunks);
    mem_free(v->rows);
    mem_free(v->pick);
    mem_free(v->picked);
    mem_free(v->hidden);
    mem_free(v);
}

/* Records between the snapshot and the topic's end. */
static int64_t records_behind(struct stream *s, const struct version *bronze, int32_t partitions)
{
    int64_t n = 0;
    for (int32_t p = 0; p < partitions; p++) {
        struct log_range r;
        int64_t next = version_next(bronze, p);
        if (log_range(s->lake->log, str_of(s->topic), p, &r))
            n += r.end - (next > r.start ? next : r.start);
    }
    return n;
}

static bool read_on(struct tail *t, struct stream *s, int32_t partitions, struct version *silver,
                    struct err *e)
{
    for (int32_t p = 0; p < partitions; p++) {
        if (!read_partition(t, s, p, silver != NULL, e))
            return false;
        if (t->bytes > s->lake->tail_bytes)
            return err_set(e, ERR_LIMIT,
                           "there are more than %" PRId64 " bytes of records behind the snapshot",
                           s->lake->tail_bytes);
    }
    return !silver || replace_rows(t, silver, e);
}

/* Too long, or of records that these tables cannot hold: until the next commit only the snapshot is seen. */
static void give_up(struct tail *t, const char *why)
{
    struct tail left = {.base = t->base, .base_silver = t->base_silver, .given_up = true};
    snprintf(left.why, sizeof(left.why), "%s", why);
    tail_clear(t);
    *t = left;
}

static bool is_behind(const struct tail *t, const struct version *bronze, const struct version *silver)
{
    return (t->changes || t->given_up) && t->base == bronze->snapshot->id &&
           t->base_silver == (silver ? silver->snapshot->id : -1);
}

bool tail_read(struct stream *s, struct version *bronze, struct version *silver, struct tail_view **out,
               struct err *e)
{
    struct arena a = {0};
    struct log_topic topic;
    struct err why;
    bool there = log_find_topic(s->lake->log, str_of(s->topic), &a, &topic);
    int32_t partitions = there ? topic.partitions : 0;
    arena_fini(&a);
    if (silver && !version_need_keys(silver, e))
        return false;
    turn_take(&s->tail_turn);
    if (!s->tail)
        s->tail = MEM_NEW(struct tail);
    struct tail *t = s->tail;
    if (!is_behind(t, bronze, silver))
        begin(t, s, bronze, silver);
    if (!t->given_up && !read_on(t, s, partitions, silver, &why))
        give_up(t, why.msg);
    if (t->given_up) {
        *out = MEM_NEW(struct tail_view);
        (*out)->left_out = records_behind(s, bronze, partitions);
        snprintf((*out)->why, sizeof((*out)->why), "%s", t->why);
    } else {
        *out = view(t, silver != NULL);
    }
    turn_give(&s->tail_turn);
    return true;
}
