/*
 * Silver: of each key the last row, where the row it replaces lies, and what the commit is that follows from it.
 *
 *     winners      the last row of each key among the pending ones
 *     places       where the keys' rows are in the snapshot, from the key index
 *     fill         values that Debezium left out because they did not change, from the row before
 *     data file    the winners that are no deletes, in the order they came
 *     deletes      for each data file that lost rows, one delete file with all rows it ever lost
 *     index        a run with the new rows' places
 */
#include "lake/feed.h"

#include "base/limits.h"
#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>

/* ---- winners ---- */

/* Fingerprint to winner, open addressing: fingerprints are random already. */
struct winner_map {
    struct winner *slots;
    bool *used;
    size_t mask, n;
};

static struct winner *winner_slot(const struct winner_map *m, const struct fingerprint *key, bool *there)
{
    size_t at = key->a & m->mask;
    while (m->used[at] && fingerprint_cmp(&m->slots[at].key, key) != 0)
        at = (at + 1) & m->mask;
    *there = m->used[at];
    m->used[at] = true;
    return &m->slots[at];
}

/* Values that a later row left out are those of the row before it, when that one is pending too. */
static void fill_from(struct lake_feed *f, const struct winner *before, struct chunk *k, size_t row)
{
    const struct chunk *from = f->chunks[before->chunk];
    if (before->deleted)
        return;
    for (size_t i = CHANGE_META; i < k->c.count; i++)
        if (change_is_unavailable(&k->c.column[i], row)) {
            k->c.column[i].nulls[row] = from->c.column[i].nulls[before->row];
            k->c.column[i].strs[row] = from->c.column[i].strs[before->row];
        }
}

static void find_winners(struct lake_feed *f, struct winner_map *m, bool *truncated)
{
    size_t cap = 16;
    while (cap < 2 * (size_t)f->rows)
        cap *= 2;
    *m = (struct winner_map){
        .slots = MEM_ARRAY(struct winner, cap), .used = MEM_ARRAY(bool, cap), .mask = cap - 1};
    for (size_t c = 0; c < f->chunk_count; c++) {
        struct chunk *k = f->chunks[c];
        for (size_t row = 0; row < k->c.rows; row++) {
            bool there;
            if (k->op[row] == 't') { // all rows before it are gone
                memset(m->used, 0, cap * sizeof(*m->used));
                m->n = 0;
                *truncated = true;
                continue;
            }
            struct winner *w = winner_slot(m, &k->key[row], &there);
            if (there && k->op[row] == 'u')
                fill_from(f, w, k, row);
            m->n += !there;
            *w = (struct winner){
                .key = k->key[row], .chunk = (uint32_t)c, .row = (uint32_t)row, .deleted = k->op[row] == 'd'};
        }
    }
}

static int by_key(const void *x, const void *y)
{
    return fingerprint_cmp(&((const struct winner *)x)->key, &((const struct winner *)y)->key);
}

/* Which rows of which chunk are written: those of winners that are no deletes, in the order they came. */
static void pick_rows(struct lake_feed *f, struct silver_work *w)
{
    w->pick = MEM_ARRAY(uint32_t *, f->chunk_count + 1);
    w->picked = MEM_ARRAY(size_t, f->chunk_count + 1);
    bool **wins = MEM_ARRAY(bool *, f->chunk_count + 1);
    for (size_t c = 0; c < f->chunk_count; c++) {
        wins[c] = MEM_ARRAY(bool, f->chunks[c]->c.rows + 1);
        w->pick[c] = MEM_ARRAY(uint32_t, f->chunks[c]->c.rows + 1);
    }
    for (size_t i = 0; i < w->count; i++)
        wins[w->winners[i].chunk][w->winners[i].row] = !w->winners[i].deleted;
    for (size_t c = 0; c < f->chunk_count; c++) {
        for (size_t row = 0; row < f->chunks[c]->c.rows; row++)
            if (wins[c][row])
                w->pick[c][w->picked[c]++] = (uint32_t)row;
        mem_free(wins[c]);
    }
    mem_free(wins);
}

static void work_init(struct lake_feed *f, struct silver_work *w)
{
    struct winner_map m;
    *w = (struct silver_work){0};
    find_winners(f, &m, &w->truncated);
    w->winners = MEM_ARRAY(struct winner, m.n + 1);
    for (size_t i = 0; i <= m.mask; i++)
        if (m.used[i])
            w->winners[w->count++] = m.slots[i];
    assert(w->count == m.n);
    mem_free(m.slots);
    mem_free(m.used);
    qsort(w->winners, w->count, sizeof(*w->winners), by_key);
    pick_rows(f, w);
    w->at = MEM_ARRAY(struct key_place, w->count + 1);
    w->found = MEM_ARRAY(bool, w->count + 1);
}

static void work_fini(struct lake_feed *f, struct silver_work *w)
{
    for (size_t c = 0; c < f->chunk_count; c++)
        mem_free(w->pick[c]);
    mem_free(w->pick);
    mem_free(w->picked);
    mem_free(w->winners);
    mem_free(w->at);
    mem_free(w->found);
}

/* ---- places ---- */

static bool find_places(struct silver_work *w, struct version *base, struct err *e)
{
    if (!base || !base->keys || w->truncated || w->count == 0)
        return true;
    struct fingerprint *keys = MEM_ARRAY(struct fingerprint, w->count);
    for (size_t i = 0; i < w->count; i++)
        keys[i] = w->winners[i].key;
    struct key_find q = {
        .keys = keys, .count = w->count, .live = version_live, .arg = base, .at = w->at, .found = w->found};
    bool ok = keys_find(base->keys, &q, e);
    mem_free(keys);
    return ok;
}

/* ---- the changed files ---- */

/* The rows that go, file by file; a file that loses all of them goes itself. */
static bool mark_dead(const struct silver_work *w, struct table_change *c)
{
    struct version *base = c->base;
    bool any = false;
    c->removed = MEM_ARRAY(bool, base->slot_count + 1);
    c->changed = MEM_ARRAY(struct slot, base->slot_count + 1);
    for (size_t i = 0; i < base->slot_count; i++)
        c->removed[i] = w->truncated;
    for (size_t i = 0; i < w->count; i++) {
        if (!w->found[i])
            continue;
        const struct slot *slot = version_slot(base, w->at[i].file);
        struct slot *out = &c->changed[slot - base->slots];
        if (!out->data)
            *out = (struct slot){.data = file_ref(slot->data),
                                 .dead = bits_new((size_t)slot->data->entry.file.rows, slot->dead)};
        bits_add(out->dead, w->at[i].pos);
        any = true;
    }
    for (size_t i = 0; i < base->slot_count; i++) {
        struct slot *out = &c->changed[i];
        if (out->data && out->dead->set == (size_t)out->data->entry.file.rows) {
            c->removed[i] = true;
            file_unref(out->data);
            bits_unref(out->dead);
            *out = (struct slot){0};
        }
    }
    return any || w->truncated;
}

static bool write_deletes(struct table_change *c, struct err *e)
{
    struct lake *l = c->table->lake;
    struct session *s = NULL;
    bool ok = true;
    for (size_t i = 0; ok && i < c->base->slot_count; i++) {
        struct slot *out = &c->changed[i];
        if (!out->data)
            continue;
        ok = (s || lake_session(l, &s, e)) &&
             file_write_deletes(l, s, out->data, out->dead, c->location, &out->deletes, e);
    }
    if (s)
        lake_session_done(l, s);
    return ok;
}

/* ---- the data file and the index ---- */

static bool write_data(struct lake_feed *f, struct silver_work *w, struct table_change *c, struct err *e)
{
    const struct ice_schema *s = &f->silver_schema;
    const struct ice_schema *all = &f->bronze_schema;
    int *map = MEM_ARRAY(int, s->count + 1);
    struct data_file *file;
    for (size_t i = 0; i < s->count; i++) {
        map[i] = -1;
        for (size_t k = 0; k < all->count; k++)
            if (str_eq(all->fields[k].like.name, s->fields[i].like.name))
                map[i] = (int)k;
    }
    struct feed_rows rows = {.feed = f, .pick = w->pick, .picked = w->picked, .map = map};
    bool ok = feed_write(f, &rows, s, c->location, &file, e);
    mem_free(map);
    c->added = MEM_ARRAY(struct slot, 1);
    c->added[0].data = ok ? file : NULL;
    c->added_count = c->added[0].data != NULL;
    return ok;
}

static bool add_keys(struct lake_feed *f, const struct silver_work *w, struct table_change *c, struct err *e)
{
    struct keys *before = c->base ? c->base->keys : f->first_keys;
    uint32_t number = keys_next_file(before);
    size_t n = 0;
    struct key_add add = {
        .next_file = number + (uint32_t)c->added_count, .live = version_live, .arg = c->base};
    if (c->added_count > 0) {
        c->added[0].data->number = number;
        add.entries = MEM_ARRAY(struct key_entry, (size_t)c->added[0].data->entry.file.rows + 1);
        for (size_t k = 0; k < f->chunk_count; k++)
            for (size_t i = 0; i < w->picked[k]; i++, n++)
                add.entries[n] =
                    (struct key_entry){.key = f->chunks[k]->key[w->pick[k][i]], .at = {number, (uint32_t)n}};
        assert(n == (size_t)c->added[0].data->entry.file.rows);
    }
    add.count = n;
    bool ok = keys_add(before, &add, &c->keys, e);
    mem_free(add.entries);
    return ok;
}

bool silver_prepare(struct lake_feed *f, struct table_change *c, struct err *e)
{
    struct silver_work w;
    if (c->base && !version_need_keys(c->base, e))
        return false;
    work_init(f, &w);
    bool lost = false;
    bool ok = find_places(&w, c->base, e);
    if (ok && c->base)
        lost = mark_dead(&w, c);
    ok = ok && silver_fill(f, &w, c->base, e) && (!c->base || write_deletes(c, e)) &&
         write_data(f, &w, c, e) && add_keys(f, &w, c, e);
    c->keys_changed = (int64_t)w.count;
    c->operation = lost ? "overwrite" : "append";
    work_fini(f, &w);
    return ok ? true : err_wrap(e, "table %s", c->table->name);
}
