/*
 * config: settings of topics and of the broker, by their Kafka names.
 *
 * One table (config.c) of what a topic may be told. Some can be set and are kept by the log; the others say what tarn always
 * does, and setting them to anything else is refused: nothing is accepted that is not done.
 */
#pragma once

#include "kafka/kafka_int.h"

/* Sources and types as DescribeConfigs numbers them (ConfigEntry.java). */
enum { CONFIG_OF_TOPIC = 1, CONFIG_OF_BROKER = 4, CONFIG_DEFAULT = 5 };
enum { CONFIG_IS_BOOL = 1, CONFIG_IS_STRING = 2, CONFIG_IS_INT = 3, CONFIG_IS_LONG = 5, CONFIG_IS_LIST = 7 };

struct config_entry {
    const char *name, *broker_name; // broker_name: of the broker's setting it defaults to; NULL: none
    int8_t type;
    bool read_only;
    struct str value, otherwise; // in the arena; otherwise: the default
    const char *sentence;
};

/* All settings of a topic, by name. */
void kafka_config_of_topic(struct kafka *k, const struct log_settings *s, struct arena *a,
                           struct config_entry **out, size_t *count);
/* All settings of the broker that can be told; none of them can be changed while it runs. */
void kafka_config_of_broker(struct kafka *k, struct arena *a, struct config_entry **out, size_t *count);
/* Sets one by name; a null value is the default. ERR_INVALID with a message for the client. */
bool kafka_config_set(struct kafka *k, struct log_settings *s, struct str name, struct str value,
                      struct err *e) MUST_CHECK;
