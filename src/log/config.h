/*
 * config: what clients have set while the broker runs, for what is no topic: for this broker, for all brokers, for a group.
 *
 * A setting is a name and a value, both text; whoever takes them from a client checks them (kafka/config.c has the names). They are kept in a
 * file of the log's folder, config.list, replaced as a whole before a change is seen. It is no topic: what clients can write must not decide how
 * the broker works.
 *
 * The log itself obeys those of brokers that are defaults of a topic's settings (log_setting.broker_name: log.retention.ms is what
 * retention.ms follows): topics without a value of their own follow at once, and from the first moment after a start, so that
 * no maintenance goes by another value. What is set for this broker comes before what is set for all (Kafka's DynamicBrokerConfig).
 *
 *     log_config(l, LOG_OF_GROUP, STR("orders-readers"), &arena, &pairs)
 *     log_change_config(l, &(struct log_config_change){LOG_OF_BROKER, STR("1"), .fn = apply, .arg = c}, e)
 *
 * Threads: any. A change waits for the disk.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

struct log;
struct log_settings;

enum log_config_scope { LOG_OF_BROKER, LOG_OF_ALL_BROKERS, LOG_OF_GROUP };
enum { LOG_CONFIG_SCOPES = LOG_OF_GROUP + 1 };

enum { LOG_CONFIG_NAMES_MAX = 10000, LOG_CONFIG_VALUE_MAX = 4096, LOG_CONFIG_PAIRS_MAX = 1000 };

struct log_pair {
    struct str name, value;
};

/* By name, each once. */
struct log_pairs {
    struct log_pair *v;
    size_t n;
};

struct str log_pairs_get(const struct log_pairs *p, struct str name); // null: it is not there
/* Sets one, or takes it out (value null); name and value are borrowed, room comes from the arena. */
void log_pairs_put(struct log_pairs *p, struct arena *a, struct str name, struct str value);

/* What is set for one of a scope, in a; of LOG_OF_ALL_BROKERS the name is empty. */
void log_config(struct log *l, enum log_config_scope scope, struct str name, struct arena *a,
                struct log_pairs *out);
/* One value that is a number. False: it is not set. */
bool log_config_number(struct log *l, enum log_config_scope scope, struct str name, struct str key,
                       int64_t *out);
/* All of a scope for which something is set, by name, in a. */
void log_config_names(struct log *l, enum log_config_scope scope, struct arena *a, struct str **out,
                      size_t *count);

/* Makes the new pairs of the old ones, in `a`; nobody changes them meanwhile. False: it refuses. */
typedef bool log_config_fn(void *arg, struct log_pairs *p, struct arena *a, struct err *e);
struct log_config_change {
    enum log_config_scope scope;
    struct str name;
    log_config_fn *fn;
    void *arg;
    bool only_check; // nothing is kept
};
/* Durable and seen when it returns. ERR_INVALID: fn refuses, or the defaults of topics would contradict each other. */
bool log_change_config(struct log *l, const struct log_config_change *c, struct err *e) MUST_CHECK;
