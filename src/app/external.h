/*
 * external: a PostgreSQL server that is there already, which postgres.url names.
 *
 * tarn never starts, stops or changes it. Here it is only asked, once, at the start: a server that cannot be reached, or does not
 * let us in, is an error that says what the server said and which setting to look at. Passwords are in no message.
 */
#pragma once

#include "base/err.h"

struct arena;

/* Where the server of a libpq URL (or key=value text) answers: host is a name, an address or the folder of a socket, in a. */
bool external_find(const char *url, struct arena *a, const char **host, int *port, struct err *e) MUST_CHECK;
