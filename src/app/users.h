/*
 * users: the section `users` of the settings as who may log in.
 */
#pragma once

#include "base/err.h"

#include <stddef.h>

struct arena;
struct auth;
struct os;
struct settings;

/* NULL in *out when the settings name nobody. A credential that is none is ERR_INVALID. */
bool users_make(const struct settings *s, struct os *os, struct auth **out, struct err *e) MUST_CHECK;
/* Names of those that may do everything, in a. */
const char *const *users_super(const struct settings *s, struct arena *a, size_t *count);
