#include "base/map.h"

#include "base/mem.h"

#include <assert.h>

struct map_slot {
    char *key; // NULL: free, or removed when hash is 1
    size_t len;
    uint64_t hash;
    void *value;
};

/* The slot of key, or the first free one of its run. The table always has a free slot. */
static struct map_slot *find(const struct map *m, struct str key, uint64_t hash)
{
    size_t at = hash & (m->_cap - 1);

    for (;; at = (at + 1) & (m->_cap - 1)) {
        struct map_slot *s = &m->_slots[at];

        if (!s->key && s->hash == 0)
            return s;
        if (s->key && s->hash == hash && str_eq(str_from(s->key, s->len), key))
            return s;
    }
}

static void rehash(struct map *m)
{
    struct map old = *m;
    size_t cap = 16;

    while (cap * 3 < (m->n + 1) * 4 * 2)
        cap *= 2;
    *m = (struct map){._slots = MEM_ARRAY(struct map_slot, cap), ._cap = cap, .n = old.n};
    for (size_t i = 0; i < old._cap; i++)
        if (old._slots[i].key)
            *find(m, str_from(old._slots[i].key, old._slots[i].len), old._slots[i].hash) = old._slots[i];
    mem_free(old._slots);
}

void *map_get(const struct map *m, struct str key)
{
    struct map_slot *s = m->_cap ? find(m, key, str_hash(key)) : NULL;

    return s && s->key ? s->value : NULL;
}

void *map_put(struct map *m, struct str key, void *value)
{
    uint64_t hash = str_hash(key);
    struct map_slot *s;
    void *before;

    assert(value);
    if ((m->n + m->_dead + 1) * 4 > m->_cap * 3)
        rehash(m);
    s = find(m, key, hash);
    before = s->key ? s->value : NULL;
    if (!s->key) {
        *s = (struct map_slot){str_dup(key), key.n, hash, NULL};
        m->n++;
    }
    s->value = value;
    return before;
}

void *map_del(struct map *m, struct str key)
{
    struct map_slot *s = m->_cap ? find(m, key, str_hash(key)) : NULL;
    void *value;

    if (!s || !s->key)
        return NULL;
    value = s->value;
    mem_free(s->key);
    *s = (struct map_slot){.hash = 1};
    m->n--;
    m->_dead++;
    return value;
}

bool map_next(const struct map *m, struct map_it *it)
{
    for (; it->_at < m->_cap; it->_at++) {
        struct map_slot *s = &m->_slots[it->_at];

        if (!s->key)
            continue;
        it->key = str_from(s->key, s->len);
        it->value = s->value;
        it->_at++;
        return true;
    }
    return false;
}

void map_fini(struct map *m)
{
    for (size_t i = 0; i < m->_cap; i++)
        mem_free(m->_slots[i].key);
    mem_free(m->_slots);
    *m = (struct map){0};
}
