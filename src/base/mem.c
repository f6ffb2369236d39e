#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void *or_die(void *p, size_t n)
{
    if (!p) {
        (void)fprintf(stderr, "tarn: out of memory (%zu bytes wanted)\n", n);
        abort();
    }
    return p;
}

void *mem_alloc(size_t n)
{
    return or_die(malloc(n ? n : 1), n);
}

void *mem_zero(size_t n)
{
    return or_die(calloc(1, n ? n : 1), n);
}

void *mem_grow(void *p, size_t n)
{
    return or_die(realloc(p, n ? n : 1), n);
}

void *mem_copy(const void *p, size_t n)
{
    void *copy = mem_alloc(n);

    if (n > 0)
        memcpy(copy, p, n);
    return copy;
}

char *mem_str(const char *s)
{
    return mem_copy(s, strlen(s) + 1);
}

char *mem_fmt(const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&s, fmt, ap);
    va_end(ap);
    return or_die(n < 0 ? NULL : s, 0);
}

void *mem_huge(size_t n)
{
    void *p = or_die(aligned_alloc(MEM_HUGE, n), n);

    (void)madvise(p, n, MADV_HUGEPAGE); // or it is small pages
    return p;
}

void mem_free(void *p)
{
    free(p);
}

void *mem_room(void *p, size_t n, size_t *cap, size_t element_bytes)
{
    if (n < *cap)
        return p;
    *cap = *cap ? 2 * *cap : 8;
    return mem_grow(p, *cap * element_bytes);
}
