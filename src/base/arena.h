/*
 * arena: memory that dies together.
 *
 * An arena is a list of blocks; arena_alloc() cuts pieces off the newest one and nothing is freed alone. Memory has the
 * lifetime of something that can be named, and each of these owns one arena:
 *
 *     process     settings, tables built at start
 *     conn        a connection
 *     request     one request and its answer: reset when the answer is sent
 *     batch       one batch of rows or records on its way: reset when the batch is done
 *     scratch     inside one function
 *
 * arena_reset() keeps the blocks up to ARENA_KEEP bytes for the next round and gives the rest back. Not for use by two threads at once.
 */
#pragma once

#include "base/str.h"

#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *_newest;
    size_t _used; // bytes of the newest block given out
};

enum { ARENA_KEEP = 256 * 1024 };

/* A zeroed struct arena is an empty arena. */
void *arena_alloc(struct arena *a, size_t n) __attribute__((returns_nonnull)); // zeroed, 16-aligned
void *arena_copy(struct arena *a, const void *p, size_t n) __attribute__((returns_nonnull));
struct str arena_str(struct arena *a, struct str s); // a copy with a NUL behind it; null stays null
char *arena_fmt(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arena_reset(struct arena *a);
void arena_fini(struct arena *a);

#define ARENA_NEW(a, type)      ((type *)arena_alloc((a), sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_alloc((a), sizeof(type) * (n)))
