#include "base/arena.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

enum { BLOCK_MIN = 8 * 1024, BLOCK_MAX = 1024 * 1024 };

struct arena_block {
    struct arena_block *older;
    size_t size; // bytes in data
    _Alignas(16) unsigned char data[];
};

static void add_block(struct arena *a, size_t n)
{
    size_t size = a->_newest ? 2 * a->_newest->size : BLOCK_MIN;
    struct arena_block *b;

    size = size > BLOCK_MAX ? BLOCK_MAX : size;
    size = size < n ? n : size;
    b = mem_alloc(sizeof *b + size);
    b->older = a->_newest;
    b->size = size;
    a->_newest = b;
    a->_used = 0;
}

void *arena_alloc(struct arena *a, size_t n)
{
    void *p;

    n = (n + 15) & ~(size_t)15;
    if (!a->_newest || a->_newest->size - a->_used < n)
        add_block(a, n);
    p = a->_newest->data + a->_used;
    a->_used += n;
    memset(p, 0, n);
    return p;
}

void *arena_copy(struct arena *a, const void *p, size_t n)
{
    void *copy = arena_alloc(a, n);

    if (n > 0)
        memcpy(copy, p, n);
    return copy;
}

struct str arena_str(struct arena *a, struct str s)
{
    char *copy;

    if (!s.p)
        return s;
    copy = arena_alloc(a, s.n + 1);
    if (s.n > 0)
        memcpy(copy, s.p, s.n);
    return (struct str){copy, s.n};
}

char *arena_fmt(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    char *s;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    s = arena_alloc(a, (size_t)n + 1);
    va_start(ap, fmt);
    (void)vsnprintf(s, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return s;
}

/* Frees all blocks but `keep`, which may be NULL. */
static void free_blocks(struct arena *a, struct arena_block *keep)
{
    for (struct arena_block *b = a->_newest, *older; b; b = older) {
        // cppcheck-suppress nullPointerRedundantCheck; the loop's condition says that b is not NULL
        older = b->older;
        if (b != keep)
            mem_free(b);
    }
    a->_newest = keep;
    a->_used = 0;
    if (keep)
        keep->older = NULL;
}

/* The newest block is the largest that doubling made, so it is the one worth keeping. */
void arena_reset(struct arena *a)
{
    free_blocks(a, a->_newest && a->_newest->size <= ARENA_KEEP ? a->_newest : NULL);
}

void arena_fini(struct arena *a)
{
    free_blocks(a, NULL);
}
