/*
 * topic_pattern: the regular expressions that consumers subscribe with (KIP-848: SubscribedTopicRegex).
 *
 * Kafka takes RE2's syntax, and a name must match as a whole. Of RE2 and PCRE2, PCRE2 is taken: it has an interface for C, and its
 * pcre2_dfa_match() goes through a name once with all alternatives side by side, so that no pattern takes more than its own
 * size times the name's length, which is what RE2 is for. What PCRE2 knows and RE2 refuses is refused before it sees it:
 * references back, looks ahead and behind, atomic groups, possessive repeats, conditions, calls, verbs.
 * Compiling is bounded by the pattern's length and by PCRE2's limit of 64 KiB for what comes out.
 *
 * Not for two threads at once.
 */
#pragma once

#include "base/str.h"

enum { TOPIC_PATTERN_MAX = 1024 }; // bytes of a pattern

struct topic_pattern;

/* NULL: it is none; why has the reason, for people. */
struct topic_pattern *topic_pattern_new(struct str text, char why[160]);
void topic_pattern_free(struct topic_pattern *p); // NULL does nothing
bool topic_pattern_matches(struct topic_pattern *p, struct str name);
