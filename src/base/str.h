/*
 * str: a run of bytes that someone else owns.
 *
 * Text and bytes are passed as views {p, n}: not NUL-terminated, never freed through the view. p == NULL is "null"
 * (Kafka and SQL tell null from empty), p != NULL with n == 0 is empty. Print with "%.*s", STR_ARG(s).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_NULL     ((struct str){NULL, 0})
#define STR_ARG(s)   (int)(s).n, (s).p ? (s).p : ""

static inline struct str str_of(const char *z) // a NUL-terminated string, or NULL
{
    return (struct str){z, z ? strlen(z) : 0};
}

static inline struct str str_from(const void *p, size_t n)
{
    return (struct str){p, n};
}

static inline bool str_eq(struct str a, struct str b)
{
    // NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): a null str has n 0
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_is(struct str a, const char *z)
{
    return str_eq(a, str_of(z));
}

int str_cmp(struct str a, struct str b); // byte order, then length
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
bool str_eq_nocase(struct str a, struct str b); // ASCII letters only
struct str str_trim(struct str s);              // without blanks at both ends
/* Position of c in s, or -1. */
ptrdiff_t str_find(struct str s, char c);
/* Cuts `rest` at the first `sep`: what is before it goes to `part`. False when nothing is left. "a,,b" gives a, "", b. */
bool str_cut(struct str *rest, char sep, struct str *part);
/* Whole string must be one decimal number in range; otherwise false and *out untouched. */
bool str_i64(struct str s, int64_t *out) __attribute__((warn_unused_result));
bool str_u64(struct str s, uint64_t *out) __attribute__((warn_unused_result));
/* NUL-terminated copy of s, yours to mem_free(). */
char *str_dup(struct str s);
/* 64-bit hash, seeded per process against collision attacks; never written to disk or wire. */
uint64_t str_hash(struct str s);
void str_hash_seed(uint64_t seed);
