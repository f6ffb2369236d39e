#include "base/mem.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

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

#ifdef __SSE2__
/* n is a multiple of 64, `to` begins at one of 16. */
static void stream_lines(uint8_t *to, const uint8_t *from, size_t n)
{
    for (size_t i = 0; i < n; i += 64) {
        __m128i line[4];

        memcpy(line, from + i, sizeof line);
        for (size_t k = 0; k < 4; k++)
            _mm_stream_si128((__m128i *)(void *)(to + i + 16 * k), line[k]);
    }
    _mm_sfence(); // who is told of the bytes sees them
}
#endif

void mem_stream(void *to, const void *from, size_t n)
{
    uint8_t *t = to;
    const uint8_t *f = from;
    size_t lead = -(uintptr_t)t % 16, lines;

    lead = lead < n ? lead : n;
    lines = (n - lead) / 64 * 64;
    memcpy(t, f, lead);
#ifdef __SSE2__
    stream_lines(t + lead, f + lead, lines);
#else
    memcpy(t + lead, f + lead, lines);
#endif
    memcpy(t + lead + lines, f + lead + lines, n - lead - lines);
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

void mem_give_back(void)
{
    (void)malloc_trim(0);
}
