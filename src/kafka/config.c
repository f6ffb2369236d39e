#include "kafka/config.h"

#include "base/mem.h"
#include "kafka/group.h"

static void tell(struct config_entry *c, const struct log_setting *row)
{
    *c = (struct config_entry){.name = row->name,
                               .broker_name = row->broker_name,
                               .type = (int8_t)row->type,
                               .read_only = row->fixed,
                               .sentence = row->sentence};
}

void kafka_config_of_topic(struct kafka *k, const struct log_settings *s, struct arena *a,
                           struct config_entry **out, size_t *count)
{
    struct log_settings kafkas, ours;
    const struct log_setting *row;
    size_t n = 0;

    while (log_setting(n))
        n++;
    log_settings_init(&kafkas);
    log_settings_default(k->log, &ours);
    *out = ARENA_ARRAY(a, struct config_entry, n);
    for (*count = 0; (row = log_setting(*count)) != NULL; (*count)++) {
        struct config_entry *c = &(*out)[*count];

        tell(c, row);
        c->value = log_setting_text(row, s, a);
        c->of_broker = log_setting_text(row, &ours, a);
        c->otherwise = log_setting_text(row, &kafkas, a);
        c->source = log_setting_is_set(row, s)           ? CONFIG_OF_TOPIC
                    : str_eq(c->of_broker, c->otherwise) ? CONFIG_DEFAULT
                                                         : CONFIG_OF_BROKER;
    }
}

/* ---- the broker's ---- */

#define TELL(kind, name, value, otherwise, sentence) \
    ((struct config_entry){name, NULL, LOG_##kind, true, sentence, value, STR_NULL, otherwise, 0})

enum { OWN = 20 };

/* What is the broker's alone. */
static void own_settings(struct kafka *k, struct arena *a, struct config_entry out[OWN])
{
    struct str listeners = str_of(arena_fmt(a, "PLAINTEXT://%s", k->advertised));
    struct str partitions = str_of(arena_fmt(a, "%d", k->partitions));
    struct str delay = str_of(arena_fmt(a, "%lld", (long long)k->initial_rebalance_ms));
    struct str members = str_of(arena_fmt(a, "%zu", k->group_max_members));
    struct str session = str_of(arena_fmt(a, "%lld", (long long)k->consumer_session_ms));
    struct str heartbeat = str_of(arena_fmt(a, "%d", k->consumer_heartbeat_ms));
    struct str retention = str_of(arena_fmt(a, "%lld", (long long)(k->offsets_retention_ms / 60000)));
    struct str longest = str_of(arena_fmt(a, "%d", k->transaction_max_ms));
    struct str kept = str_of(arena_fmt(a, "%lld", (long long)k->transactional_id_ms));
    struct str least = str_of(arena_fmt(a, "%d", COORD_SESSION_LEAST_MS));
    struct str most = str_of(arena_fmt(a, "%d", COORD_SESSION_MOST_MS));
    struct str dir = str_of(log_dir(k->log));

    out[0] = TELL(LIST, "advertised.listeners", listeners, STR_NULL, "What clients are told to connect to.");
    out[1] = TELL(BOOL, "auto.create.topics.enable", k->auto_create ? STR("true") : STR("false"), STR("true"),
                  "Asking for a topic's metadata makes it.");
    out[2] = TELL(INT, "broker.id", STR("1"), STR_NULL, "This broker's number.");
    out[3] = TELL(INT, "default.replication.factor", STR("1"), STR("1"), "There is one broker.");
    out[4] = TELL(BOOL, "delete.topic.enable", STR("true"), STR("true"), "Topics can be deleted.");
    out[5] = TELL(INT, "group.initial.rebalance.delay.ms", delay, STR("3000"),
                  "How long an empty group waits for more members.");
    out[6] = TELL(INT, "group.max.session.timeout.ms", most, STR("1800000"),
                  "The longest session of a group's member.");
    out[7] = TELL(INT, "group.max.size", members, STR("2147483647"), "Most members of a group.");
    out[8] = TELL(INT, "group.min.session.timeout.ms", least, STR("6000"),
                  "The shortest session of a group's member.");
    out[9] = TELL(LIST, "log.dirs", dir, STR_NULL, "Where topics are kept.");
    out[10] = TELL(INT, "node.id", STR("1"), STR_NULL, "This broker's number.");
    out[11] = TELL(INT, "num.partitions", partitions, STR("1"),
                   "Partitions of a topic that is made without a number.");
    out[12] = TELL(INT, "offset.metadata.max.bytes", str_of(arena_fmt(a, "%d", OFFSETS_METADATA_MAX)),
                   STR("4096"), "Most characters of a position's metadata.");
    out[13] = TELL(INT, "group.consumer.session.timeout.ms", session, STR("45000"),
                   "How long a member of a group whose assignment the broker makes may be silent.");
    out[14] = TELL(INT, "group.consumer.heartbeat.interval.ms", heartbeat, STR("5000"),
                   "How often such a member is to be heard of.");
    out[15] =
        TELL(INT, "group.consumer.max.size", members, STR("2147483647"), "Most members of such a group.");
    out[16] = TELL(LIST, "group.consumer.assignors", STR("uniform,range"), STR("uniform,range"),
                   "Who of such a group reads what is decided by one of these; the first one, unless members "
                   "want another.");
    out[17] = TELL(INT, "offsets.retention.minutes", retention, STR("10080"),
                   "How long the positions of a group without members are kept.");
    out[18] = TELL(INT, "transaction.max.timeout.ms", longest, STR("900000"),
                   "The longest time that a producer may ask for its transactions.");
    out[19] = TELL(INT, "transactional.id.expiration.ms", kept, STR("604800000"),
                   "How long a transactional id that nobody uses is kept.");
}

void kafka_config_of_broker(struct kafka *k, struct arena *a, struct config_entry **out, size_t *count)
{
    struct log_settings kafkas, ours;
    const struct log_setting *row;
    size_t n = 0;

    while (log_setting(n))
        n++;
    log_settings_init(&kafkas);
    log_settings_default(k->log, &ours);
    *out = ARENA_ARRAY(a, struct config_entry, n + OWN);
    own_settings(k, a, *out);
    *count = OWN;
    for (size_t i = 0; (row = log_setting(i)) != NULL; i++) {
        struct config_entry *c = &(*out)[*count];

        if (!row->broker_name)
            continue;
        tell(c, row);
        c->name = row->broker_name;
        c->broker_name = NULL;
        c->read_only = true;
        c->value = log_setting_text(row, &ours, a);
        c->otherwise = log_setting_text(row, &kafkas, a);
        (*count)++;
    }
    for (size_t i = 0; i < *count; i++)
        (*out)[i].source = str_eq((*out)[i].value, (*out)[i].otherwise) ? CONFIG_DEFAULT : CONFIG_OF_BROKER;
}

/* ---- changing ---- */

/* Settings of messages in Kafka's old formats: Kafka 3 takes and ignores them (KIP-724), and so programs still write them. */
static bool is_past(struct str name)
{
    return str_is(name, "message.format.version") || str_is(name, "message.downconversion.enable");
}

bool kafka_config_set(struct log_settings *s, struct str name, struct str value, struct err *e)
{
    const struct log_setting *row = log_setting_find(name);

    if (is_past(name))
        return true;
    if (!row)
        return err_set(e, ERR_INVALID, "there is no topic setting \"%.*s\"", STR_ARG(name));
    if (!value.p)
        return err_set(e, ERR_INVALID, "%s: null is not a value", row->name);
    return log_setting_parse(row, value, s, e);
}
