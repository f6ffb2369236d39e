/*
 * config: settings of topics and of the broker, as Kafka's admin APIs tell and change them.
 *
 * The table of topic settings is the log's (log/settings.h). A topic's setting is its own when it was set for it, even to the default;
 * else it follows the broker's, which Kafka tells as a synonym. The broker's settings are told and cannot be changed
 * while it runs: they stand in the project's tarn.yaml.
 */
#pragma once

#include "kafka/kafka_int.h"

/* Sources as DescribeConfigs numbers them (DescribeConfigsResponse.ConfigSource). */
enum { CONFIG_OF_TOPIC = 1, CONFIG_OF_BROKER = 4, CONFIG_DEFAULT = 5 };

struct config_entry {
    const char *name, *broker_name; // broker_name: of the broker's setting it defaults to; NULL: none
    int8_t type;                    // enum log_setting_type
    bool read_only;
    const char *sentence;
    struct str value;     // in the arena, as all of these
    struct str of_broker; // of a topic's setting: what the broker's says
    struct str otherwise; // the default; null when there is none
    int8_t source;
};

/* All settings of a topic, by name. */
void kafka_config_of_topic(struct kafka *k, const struct log_settings *s, struct arena *a,
                           struct config_entry **out, size_t *count);
/* All settings of the broker that can be told. */
void kafka_config_of_broker(struct kafka *k, struct arena *a, struct config_entry **out, size_t *count);
/* Sets one by name. ERR_INVALID with a message for the client; a null value is refused, as in Kafka. */
bool kafka_config_set(struct log_settings *s, struct str name, struct str value, struct err *e) MUST_CHECK;
