#include "kafka/config.h"

#include "base/mem.h"

enum keeper { FIXED, NUMBER, POLICY, TIME_TYPE };

struct row {
    const char *name, *broker_name;
    int8_t type;
    enum keeper keeper;
    const char *value; // of a FIXED one
    size_t at;         // of a NUMBER in struct log_settings
    int64_t least;
    const char *sentence;
};

#define SAID(kind, name, broker_name, value, sentence)                    \
    {                                                                     \
        name, broker_name, CONFIG_IS_##kind, FIXED, value, 0, 0, sentence \
    }
#define KEPT(kind, name, broker_name, field, least, sentence)                                           \
    {                                                                                                   \
        name, broker_name, CONFIG_IS_##kind, NUMBER, NULL, offsetof(struct log_settings, field), least, \
            sentence                                                                                    \
    }
#define WORD(kind, name, broker_name, keeper, sentence)                   \
    {                                                                     \
        name, broker_name, CONFIG_IS_##kind, keeper, NULL, 0, 0, sentence \
    }

/* By name. */
static const struct row rows[] = {
    WORD(LIST, "cleanup.policy", "log.cleanup.policy", POLICY,
         "delete: old segments go. compact: the last record of each key stays. Or both."),
    SAID(STRING, "compression.type", NULL, "producer", "Batches are kept as the producer compressed them."),
    SAID(LONG, "flush.messages", "log.flush.interval.messages", "1",
         "Every append is on disk before it is acknowledged."),
    KEPT(INT, "max.message.bytes", "message.max.bytes", max_message_bytes, 0,
         "The largest record batch that is taken."),
    WORD(STRING, "message.timestamp.type", "log.message.timestamp.type", TIME_TYPE,
         "CreateTime: as the producer says. LogAppendTime: when it was appended."),
    SAID(INT, "min.insync.replicas", NULL, "1", "There is one broker, so there is one replica."),
    KEPT(LONG, "retention.bytes", "log.retention.bytes", retention_bytes, -1,
         "Bytes of a partition beyond which old segments go; -1: no limit."),
    KEPT(LONG, "retention.ms", "log.retention.ms", retention_ms, -1,
         "Age beyond which old segments go; -1: no limit."),
    KEPT(INT, "segment.bytes", "log.segment.bytes", segment_bytes, 1024, "Size of one segment file."),
    KEPT(LONG, "segment.ms", "log.roll.ms", segment_ms, 1,
         "Age at which a new segment is begun though the old one is not full."),
    SAID(BOOL, "unclean.leader.election.enable", NULL, "false",
         "There is one broker, so no election loses records."),
};

static struct str value_of(const struct row *r, const struct log_settings *s, struct arena *a)
{
    switch (r->keeper) {
    case FIXED:
        return str_of(r->value);
    case NUMBER:
        return str_of(
            arena_fmt(a, "%lld", (long long)*(const int64_t *)(const void *)((const char *)s + r->at)));
    case POLICY:
        return s->compact && s->remove ? STR("compact,delete") : s->compact ? STR("compact") : STR("delete");
    case TIME_TYPE:
        return s->append_time ? STR("LogAppendTime") : STR("CreateTime");
    }
    return STR_NULL;
}

void kafka_config_of_topic(struct kafka *k, const struct log_settings *s, struct arena *a,
                           struct config_entry **out, size_t *count)
{
    struct log_settings otherwise;

    log_settings_default(k->log, &otherwise);
    *count = ARRAY_LEN(rows);
    *out = ARENA_ARRAY(a, struct config_entry, *count);
    for (size_t i = 0; i < *count; i++)
        (*out)[i] = (struct config_entry){.name = rows[i].name,
                                          .broker_name = rows[i].broker_name,
                                          .type = rows[i].type,
                                          .read_only = rows[i].keeper == FIXED,
                                          .value = value_of(&rows[i], s, a),
                                          .otherwise = value_of(&rows[i], &otherwise, a),
                                          .sentence = rows[i].sentence};
}

#define TELL(kind, name, value, otherwise, sentence) \
    ((struct config_entry){name, NULL, CONFIG_IS_##kind, true, value, otherwise, sentence})

enum { OWN = 5 };

/* What is the broker's alone. */
static void own_settings(struct kafka *k, struct arena *a, struct config_entry out[OWN])
{
    struct str listeners = str_of(arena_fmt(a, "PLAINTEXT://%s", k->advertised));
    struct str partitions = str_of(arena_fmt(a, "%d", k->partitions));

    out[0] =
        TELL(STRING, "advertised.listeners", listeners, STR_NULL, "What clients are told to connect to.");
    out[1] = TELL(BOOL, "auto.create.topics.enable", k->auto_create ? STR("true") : STR("false"), STR("true"),
                  "Asking for a topic's metadata makes it.");
    out[2] = TELL(INT, "broker.id", STR("1"), STR_NULL, "This broker's number.");
    out[3] = TELL(INT, "default.replication.factor", STR("1"), STR("1"), "There is one broker.");
    out[4] = TELL(INT, "num.partitions", partitions, STR("1"),
                  "Partitions of a topic that is made without a number.");
}

void kafka_config_of_broker(struct kafka *k, struct arena *a, struct config_entry **out, size_t *count)
{
    struct config_entry own[OWN];
    struct log_settings s;
    struct config_entry *e;
    size_t n;

    own_settings(k, a, own);
    log_settings_default(k->log, &s);
    kafka_config_of_topic(k, &s, a, &e, &n);
    *out = ARENA_ARRAY(a, struct config_entry, n + ARRAY_LEN(own));
    memcpy(*out, own, sizeof own);
    *count = ARRAY_LEN(own);
    for (size_t i = 0; i < n; i++) {
        if (!e[i].broker_name)
            continue;
        e[i].name = e[i].broker_name;
        e[i].broker_name = NULL;
        e[i].read_only = true;
        (*out)[(*count)++] = e[i];
    }
}

static bool set_policy(struct log_settings *s, struct str value, struct err *e)
{
    bool compact = false, remove = false;

    for (struct str rest = value, one; str_cut(&rest, ',', &one);) {
        one = str_trim(one);
        compact = compact || str_is(one, "compact");
        remove = remove || str_is(one, "delete");
        if (!str_is(one, "compact") && !str_is(one, "delete"))
            return err_set(e, ERR_INVALID, "cleanup.policy: \"%.*s\" is not compact or delete", STR_ARG(one));
    }
    if (!compact && !remove)
        return err_set(e, ERR_INVALID, "cleanup.policy: it must be compact, delete or both");
    s->compact = compact;
    s->remove = remove;
    return true;
}

static bool set_row(const struct row *r, struct log_settings *s, struct str value, struct err *e)
{
    int64_t n;

    switch (r->keeper) {
    case FIXED:
        if (str_is(value, r->value))
            return true;
        return err_set(e, ERR_INVALID, "%s is always %s here, not \"%.*s\"", r->name, r->value,
                       STR_ARG(value));
    case NUMBER:
        if (!str_i64(value, &n) || n < r->least || (r->type == CONFIG_IS_INT && n > INT32_MAX))
            return err_set(e, ERR_INVALID, "%s: \"%.*s\" is not a whole number of at least %lld", r->name,
                           STR_ARG(value), (long long)r->least);
        *(int64_t *)(void *)((char *)s + r->at) = n;
        return true;
    case POLICY:
        return set_policy(s, value, e);
    case TIME_TYPE:
        if (!str_is(value, "CreateTime") && !str_is(value, "LogAppendTime"))
            return err_set(e, ERR_INVALID, "%s: \"%.*s\" is not CreateTime or LogAppendTime", r->name,
                           STR_ARG(value));
        s->append_time = str_is(value, "LogAppendTime");
        return true;
    }
    return true;
}

bool kafka_config_set(struct kafka *k, struct log_settings *s, struct str name, struct str value,
                      struct err *e)
{
    struct log_settings otherwise;
    struct arena a = {0};
    bool ok;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!str_is(name, rows[i].name))
            continue;
        log_settings_default(k->log, &otherwise);
        ok = set_row(&rows[i], s, value.p ? value : value_of(&rows[i], &otherwise, &a), e);
        arena_fini(&a);
        return ok;
    }
    return err_set(e, ERR_INVALID, "there is no topic setting \"%.*s\" here", STR_ARG(name));
}
