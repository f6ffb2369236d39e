/*
 * map: from bytes to a pointer.
 *
 * Open addressing with linear probing, at most three quarters full. Keys are copied into the map; values are the
 * caller's (map_fini does not free them: walk first). Not for use by two threads at once.
 *
 *     struct map m = {0};
 *     map_put(&m, STR("orders"), topic);
 *     struct topic *t = map_get(&m, STR("orders"));
 *     for (struct map_it it = {0}; map_next(&m, &it);)
 *         topic_free(it.value);
 *     map_fini(&m);
 */
#pragma once

#include "base/str.h"

struct map_slot;

struct map {
    struct map_slot *_slots;
    size_t _cap;
    size_t n;     // entries
    size_t _dead; // slots of removed entries
};

struct map_it {
    struct str key; // borrows; valid until the entry is removed
    void *value;
    size_t _at;
};

void *map_get(const struct map *m, struct str key); // NULL when absent
/* Puts or replaces; returns the value that was there before, or NULL. `value` must not be NULL. */
void *map_put(struct map *m, struct str key, void *value);
void *map_del(struct map *m, struct str key); // the value that was there, or NULL
/* In no order. The entry it stands on may be removed; nothing else may change during the walk. */
bool map_next(const struct map *m, struct map_it *it);
void map_fini(struct map *m);
