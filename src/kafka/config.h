/*
 * config: settings of topics, of the broker and of groups, as Kafka's admin APIs tell and change them.
 *
 * A setting has a value from the first of these that has one: the topic or group itself; what clients set for this broker while it
 * runs, then for all brokers (log/config.h keeps both); the project's tarn.yaml; the default. DescribeConfigs tells them all, in this
 * order, as synonyms (Kafka's ConfigHelper).
 *
 * The table of topic settings is the log's (log/settings.h). A topic's setting is its own when it was set for it, even to the default;
 * else it follows the broker's of another name, and clients can alter that one too. Of the broker's other settings the most stand in
 * tarn.yaml and are read at its start: they are read-only here, as in Kafka (num.partitions). Some that Kafka can alter change nothing
 * here whatever they say, as there is nothing of the kind that they are about; they are kept and told, and their sentence says why. What
 * Kafka can alter and who sets it counts on, but tarn does not have (max.connections), is refused.
 */
#pragma once

#include "kafka/kafka_int.h"
#include "log/config.h"

/* Sources as DescribeConfigs numbers them (DescribeConfigsResponse.ConfigSource). */
enum {
    CONFIG_OF_TOPIC = 1,
    CONFIG_OF_BROKER = 2,
    CONFIG_OF_ALL_BROKERS = 3,
    CONFIG_OF_FILE = 4,
    CONFIG_DEFAULT = 5,
    CONFIG_OF_GROUP = 8,
};

#define CONFIG_BROKER_NAME "1" // as resources name it

struct config_entry {
    const char *name, *broker_name; // broker_name: of the broker's setting it defaults to; NULL: none
    int8_t type;                    // enum log_setting_type
    bool read_only;
    const char *sentence;
    int64_t least, most; // of a broker's number that the log does not know
    /* In the arena; null: none. */
    struct str own; // of the topic or group itself
    struct str of_broker, of_all_brokers, of_file, otherwise;
    struct str value; // the first of these
    int8_t source;    // and where it is from
};

/* Lists are in the arena. All settings of a topic, by name. */
void kafka_config_of_topic(struct kafka *k, const struct log_settings *s, struct arena *a,
                           struct config_entry **out, size_t *count);
/* All settings of the broker that can be told. */
void kafka_config_of_broker(struct kafka *k, struct arena *a, struct config_entry **out, size_t *count);
/* What clients have set for all brokers, alone. */
void kafka_config_of_all_brokers(struct kafka *k, struct arena *a, struct config_entry **out, size_t *count);
/* Settings of a group whose assignment the broker makes, be there one of the name or not. */
void kafka_config_of_group(struct kafka *k, struct str group, struct arena *a, struct config_entry **out,
                           size_t *count);

/* Sets one of a topic by name. ERR_INVALID with a message for the client; a null value is refused, as in Kafka. */
bool kafka_config_set(struct log_settings *s, struct str name, struct str value, struct err *e) MUST_CHECK;
/* Whether one of the broker's or a group's that is not read-only may have the value; *out: as it is kept. */
bool kafka_config_check(const struct config_entry *c, struct str value, struct arena *a, struct str *out,
                        struct err *e) MUST_CHECK;
/* Whether settings of a group fit each other and the broker's bounds (Kafka's GroupConfig.validateValues). */
bool kafka_config_group_ok(struct kafka *k, const struct log_pairs *p, struct err *e) MUST_CHECK;
/* What holds for a group's members. */
void kafka_config_group_times(struct kafka *k, struct str group, int64_t *session_ms, int32_t *heartbeat_ms);
