/*
 * users: the section `users` of the settings as who may log in.
 */
#pragma once

#include "base/err.h"

struct auth;
struct os;
struct settings;

/* NULL in *out when the settings name nobody. A credential that is none is ERR_INVALID. */
bool users_make(const struct settings *s, struct os *os, struct auth **out, struct err *e) MUST_CHECK;
