/*
 * utf8: RFC 3629, checked.
 *
 * Overlong forms, surrogates and code points over U+10FFFF are not UTF-8.
 */
#pragma once

#include "base/str.h"

/* Bytes of the character at p (1 to 4), or 0 when the bytes there are not one. n is what is left, at least 1. */
size_t utf8_len(const char *p, size_t n);
bool utf8_ok(struct str s);
