/*
 * patterns: regular expressions of a configuration (POSIX extended), compiled once, that names are matched with.
 *
 *     struct patterns p = {0};                    // none: matches nothing
 *     if (!patterns_add_list(&p, list, true)) ...
 *     if (patterns_match(&p, "public.orders")) ...
 *     patterns_fini(&p);
 *
 * As in Kafka Connect and Debezium, a pattern stands for the whole name. Several threads may match at once.
 */
#pragma once

#include "base/str.h"

struct patterns {
    struct pattern *first;
};

/* False: it is no regular expression, and is not among them. */
bool patterns_add(struct patterns *p, struct str text, bool any_case);
/* Of a list with commas; blank ones do not count. False: one of them is none; all others were added. */
bool patterns_add_list(struct patterns *p, struct str list, bool any_case);
bool patterns_match(const struct patterns *p, const char *name);
void patterns_fini(struct patterns *p); // to none
