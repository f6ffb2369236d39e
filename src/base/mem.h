/*
 * mem: small allocations do not fail.
 *
 * mem_ functions abort when the system has no memory: the program cannot do anything sensible then, and a thousand
 * untested error paths would be worse. Whatever a client sizes must be checked against a limit (base/limits.h) first.
 * Free with mem_free(); NULL is fine. malloc and free are banned outside this folder (tools/tidy.py).
 */
#pragma once

#include <stddef.h>

void *mem_alloc(size_t n) __attribute__((malloc, alloc_size(1), returns_nonnull));
void *mem_zero(size_t n) __attribute__((malloc, alloc_size(1), returns_nonnull));  // zeroed
void *mem_grow(void *p, size_t n) __attribute__((alloc_size(2), returns_nonnull)); // realloc
void *mem_copy(const void *p, size_t n) __attribute__((malloc, returns_nonnull));  // yours
char *mem_str(const char *s) __attribute__((malloc, returns_nonnull));             // strdup; yours
char *mem_fmt(const char *fmt, ...) __attribute__((malloc, returns_nonnull, format(printf, 1, 2)));
/* For buffers of megabytes that the disk reads from: n is a multiple of MEM_HUGE, where it begins too, in huge pages if the system has some. */
enum { MEM_HUGE = 2 << 20 };
void *mem_huge(size_t n) __attribute__((malloc, alloc_size(1), returns_nonnull));
/* memcpy past the processor's caches, where it can: for megabytes that nobody on this processor reads soon. */
void mem_stream(void *to, const void *from, size_t n);
void mem_free(void *p);

/* What was freed goes back to the system; by itself much of it stays with the process for what is asked for next. Takes milliseconds. */
void mem_give_back(void);

#define MEM_NEW(type)      ((type *)mem_zero(sizeof(type)))
#define MEM_ARRAY(type, n) ((type *)mem_zero(sizeof(type) * (n)))
#define ARRAY_LEN(a)       (sizeof(a) / sizeof((a)[0]))

/* Room for one more element in a grown array: doubles `cap`, a size_t, when `n` has reached it. */
#define MEM_PUSH_ROOM(array, n, cap) ((array) = mem_room((array), (n), &(cap), sizeof *(array)))
void *mem_room(void *p, size_t n, size_t *cap, size_t element_bytes) __attribute__((returns_nonnull));
