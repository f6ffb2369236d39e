/*
 * testhex: bytes that a test compares with what another program wrote.
 */
#pragma once

#include "base/buf.h"

#include <stdio.h>

/* Says the bytes when they are others. */
static inline bool testhex_is(const struct buf *b, const char *hex)
{
    struct buf h = buf_make(2 * b->n + 1);
    bool same;

    buf_hex(&h, b->p, b->n);
    same = str_is(buf_view(&h), hex);
    if (!same)
        printf("# %.*s\n", STR_ARG(buf_view(&h)));
    buf_fini(&h);
    return same;
}
