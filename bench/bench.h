/*
 * bench: what the load programs have in common. They are no part of the product, and end at the first thing that goes wrong: a figure
 * that was measured beside an error is none.
 */
#pragma once

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

__attribute__((noreturn, format(printf, 1, 2))) static inline void fail(const char *form, ...)
{
    va_list args;

    va_start(args, form);
    (void)fprintf(stderr, "%s: ", program_invocation_short_name);
    (void)vfprintf(stderr, form, args);
    (void)fputc('\n', stderr);
    va_end(args);
    exit(1); // NOLINT(concurrency-mt-unsafe): the bench is over
}

/* With the reason that the last system call left. */
__attribute__((noreturn)) static inline void fail_call(const char *what)
{
    fail("%s: %s", what, strerror(errno)); // NOLINT(concurrency-mt-unsafe): the bench is over
}

static inline int64_t now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline int64_t number(const char *text)
{
    return strtoll(text, NULL, 10);
}
