#include "kafka/config.h"

#include "base/mem.h"
#include "kafka/group.h"

#include <assert.h>

/* ---- where a value comes from ---- */

static void settle(struct config_entry *c, int8_t own_source)
{
    const struct {
        struct str value;
        int8_t source;
    } order[] = {{c->own, own_source},
                 {c->of_broker, CONFIG_OF_BROKER},
                 {c->of_all_brokers, CONFIG_OF_ALL_BROKERS},
                 {c->of_file, CONFIG_OF_FILE},
                 {c->otherwise, CONFIG_DEFAULT}};
    size_t i = 0;

    while (i + 1 < ARRAY_LEN(order) && !order[i].value.p)
        i++;
    c->value = order[i].value;
    c->source = order[i].source;
}

/* What the file says, when that is not the default anyway. */
static void from_file(struct config_entry *c, struct str value)
{
    c->of_file = str_eq(value, c->otherwise) ? STR_NULL : value;
}

/* What clients set for brokers. */
struct set_for_brokers {
    struct log_pairs one, all;
};

static struct set_for_brokers set_for_brokers(struct kafka *k, struct arena *a)
{
    struct set_for_brokers set;

    log_config(k->log, LOG_OF_BROKER, STR(CONFIG_BROKER_NAME), a, &set.one);
    log_config(k->log, LOG_OF_ALL_BROKERS, STR(""), a, &set.all);
    return set;
}

static void from_clients(struct config_entry *c, const struct set_for_brokers *set)
{
    struct str name = str_of(c->broker_name ? c->broker_name : c->name);

    if (c->read_only)
        return;
    c->of_broker = log_pairs_get(&set->one, name);
    c->of_all_brokers = log_pairs_get(&set->all, name);
}

/* ---- of topics ---- */

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
    struct set_for_brokers set = set_for_brokers(k, a);
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
        c->own = log_setting_is_set(row, s) ? log_setting_text(row, s, a) : STR_NULL;
        c->otherwise = log_setting_text(row, &kafkas, a);
        from_file(c, log_setting_text(row, &ours, a));
        if (row->broker_name)
            from_clients(c, &set);
        settle(c, CONFIG_OF_TOPIC);
    }
}

/* ---- the broker's ---- */

#define TELL(kind, key, now, usual, text)      \
    ((struct config_entry){.name = (key),      \
                           .type = LOG_##kind, \
                           .read_only = true,  \
                           .sentence = (text), \
                           .of_file = (now),   \
                           .otherwise = (usual)})

/* Kafka's bounds of what groups may ask for; a project whose own value is beyond them has it for a bound. */
enum {
    SESSION_LEAST_MS = 45000,
    SESSION_MOST_MS = 60000,
    HEARTBEAT_LEAST_MS = 5000,
    HEARTBEAT_MOST_MS = 15000
};

static int64_t session_least(const struct kafka *k)
{
    return k->consumer_session_ms < SESSION_LEAST_MS ? k->consumer_session_ms : SESSION_LEAST_MS;
}

static int64_t session_most(const struct kafka *k)
{
    return k->consumer_session_ms > SESSION_MOST_MS ? k->consumer_session_ms : SESSION_MOST_MS;
}

static int64_t heartbeat_least(const struct kafka *k)
{
    return k->consumer_heartbeat_ms < HEARTBEAT_LEAST_MS ? k->consumer_heartbeat_ms : HEARTBEAT_LEAST_MS;
}

static int64_t heartbeat_most(const struct kafka *k)
{
    return k->consumer_heartbeat_ms > HEARTBEAT_MOST_MS ? k->consumer_heartbeat_ms : HEARTBEAT_MOST_MS;
}

static struct str number(struct arena *a, int64_t n)
{
    return str_of(arena_fmt(a, "%lld", (long long)n));
}

enum { OWN = 25 };

/* What is the broker's alone. */
static void own_settings(struct kafka *k, struct arena *a, struct config_entry out[OWN])
{
    const struct config_entry *end = out + OWN;
    struct str listeners = str_of(arena_fmt(a, "PLAINTEXT://%s", k->advertised));
    struct str partitions = number(a, k->partitions);
    struct str delay = number(a, k->initial_rebalance_ms);
    struct str members = number(a, (int64_t)k->group_max_members);
    struct str session = number(a, k->consumer_session_ms);
    struct str heartbeat = number(a, k->consumer_heartbeat_ms);
    struct str retention = number(a, k->offsets_retention_ms / 60000);
    struct str longest = number(a, k->transaction_max_ms);
    struct str kept = number(a, k->transactional_id_ms);
    struct str least = number(a, COORD_SESSION_LEAST_MS);
    struct str most = number(a, COORD_SESSION_MOST_MS);
    struct str dir = str_of(log_dir(k->log));

    *out++ = TELL(LIST, "advertised.listeners", listeners, STR_NULL, "What clients are told to connect to.");
    *out++ = TELL(BOOL, "auto.create.topics.enable", k->auto_create ? STR("true") : STR("false"), STR("true"),
                  "Asking for a topic's metadata makes it.");
    *out++ = TELL(INT, "broker.id", STR("1"), STR_NULL, "This broker's number.");
    *out++ = TELL(INT, "default.replication.factor", STR("1"), STR("1"), "There is one broker.");
    *out++ = TELL(LONG, "connections.max.reauth.ms", number(a, k->reauth_ms), STR("0"),
                  "How long a login holds before the client must log in anew; 0: without end.");
    *out++ = TELL(BOOL, "delete.topic.enable", STR("true"), STR("true"), "Topics can be deleted.");
    *out++ = TELL(INT, "group.initial.rebalance.delay.ms", delay, STR("3000"),
                  "How long an empty group waits for more members.");
    *out++ = TELL(INT, "group.max.session.timeout.ms", most, STR("1800000"),
                  "The longest session of a group's member.");
    *out++ = TELL(INT, "group.max.size", members, STR("2147483647"), "Most members of a group.");
    *out++ = TELL(INT, "group.min.session.timeout.ms", least, STR("6000"),
                  "The shortest session of a group's member.");
    *out++ = TELL(LIST, "log.dirs", dir, STR_NULL, "Where topics are kept.");
    *out++ = TELL(INT, "node.id", STR("1"), STR_NULL, "This broker's number.");
    *out++ = TELL(INT, "num.partitions", partitions, STR("1"),
                  "Partitions of a topic that is made without a number.");
    *out++ = TELL(INT, "offset.metadata.max.bytes", str_of(arena_fmt(a, "%d", OFFSETS_METADATA_MAX)),
                  STR("4096"), "Most characters of a position's metadata.");
    *out++ = TELL(INT, "group.consumer.session.timeout.ms", session, STR("45000"),
                  "How long a member of a group whose assignment the broker makes may be silent.");
    *out++ = TELL(INT, "group.consumer.heartbeat.interval.ms", heartbeat, STR("5000"),
                  "How often such a member is to be heard of.");
    *out++ =
        TELL(INT, "group.consumer.max.size", members, STR("2147483647"), "Most members of such a group.");
    *out++ = TELL(LIST, "group.consumer.assignors", STR("uniform,range"), STR("uniform,range"),
                  "Who of such a group reads what is decided by one of these; the first one, unless members "
                  "want another.");
    *out++ = TELL(INT, "group.consumer.min.session.timeout.ms", number(a, session_least(k)), STR("45000"),
                  "The least that such a group may have as consumer.session.timeout.ms.");
    *out++ = TELL(INT, "group.consumer.max.session.timeout.ms", number(a, session_most(k)), STR("60000"),
                  "The most.");
    *out++ = TELL(INT, "group.consumer.min.heartbeat.interval.ms", number(a, heartbeat_least(k)), STR("5000"),
                  "The least that such a group may have as consumer.heartbeat.interval.ms.");
    *out++ = TELL(INT, "group.consumer.max.heartbeat.interval.ms", number(a, heartbeat_most(k)), STR("15000"),
                  "The most.");
    *out++ = TELL(INT, "offsets.retention.minutes", retention, STR("10080"),
                  "How long the positions of a group without members are kept.");
    *out++ = TELL(INT, "transaction.max.timeout.ms", longest, STR("900000"),
                  "The longest time that a producer may ask for its transactions.");
    *out++ = TELL(INT, "transactional.id.expiration.ms", kept, STR("604800000"),
                  "How long a transactional id that nobody uses is kept.");
    assert(out == end);
}

/* What Kafka can alter while it runs, and what changes nothing here. */
static const struct idle {
    const char *name;
    enum log_setting_type type;
    int64_t least, most;
    const char *otherwise, *sentence;
} idle[] = {
    {"background.threads", LOG_INT, 1, INT32_MAX, "10",
     "Without effect: there are as many threads as there is work and cores for them."},
    {"log.cleaner.backoff.ms", LOG_LONG, 0, INT64_MAX, "15000",
     "Without effect: compaction looks for work whenever the topics are maintained."},
    {"log.cleaner.threads", LOG_INT, 0, INT32_MAX, "1", "Without effect: one thread compacts."},
    {"num.io.threads", LOG_INT, 1, INT32_MAX, "8",
     "Without effect: requests are handled by the loops, one a core."},
    {"num.network.threads", LOG_INT, 1, INT32_MAX, "3", "Without effect: there is one loop a core."},
    {"num.recovery.threads.per.data.dir", LOG_INT, 1, INT32_MAX, "2",
     "Without effect: a start does not read the segments."},
    {"num.replica.fetchers", LOG_INT, 1, INT32_MAX, "1", "Without effect: there are no replicas to fetch."},
    {"sasl.kerberos.min.time.before.relogin", LOG_LONG, INT64_MIN, INT64_MAX, "60000",
     "Without effect: the broker does not log in with Kerberos."},
};

static void tell_idle(const struct idle *i, struct config_entry *c)
{
    *c = (struct config_entry){.name = i->name,
                               .type = (int8_t)i->type,
                               .sentence = i->sentence,
                               .least = i->least,
                               .most = i->most,
                               .otherwise = str_of(i->otherwise)};
}

/* Defaults of topics, under their names for the broker. */
static size_t tell_defaults(struct kafka *k, struct arena *a, struct config_entry *out)
{
    struct log_settings kafkas, ours;
    const struct log_setting *row;
    size_t n = 0;

    log_settings_init(&kafkas);
    log_settings_default(k->log, &ours);
    for (size_t i = 0; (row = log_setting(i)) != NULL; i++) {
        if (!row->broker_name)
            continue;
        tell(&out[n], row);
        out[n].name = row->broker_name;
        out[n].broker_name = NULL;
        out[n].otherwise = log_setting_text(row, &kafkas, a);
        from_file(&out[n++], log_setting_text(row, &ours, a));
    }
    return n;
}

void kafka_config_of_broker(struct kafka *k, struct arena *a, struct config_entry **out, size_t *count)
{
    struct set_for_brokers set = set_for_brokers(k, a);
    size_t n = 0;

    while (log_setting(n))
        n++;
    *out = ARENA_ARRAY(a, struct config_entry, OWN + ARRAY_LEN(idle) + n);
    own_settings(k, a, *out);
    for (size_t i = 0; i < OWN; i++)
        from_file(&(*out)[i], (*out)[i].of_file);
    *count = OWN;
    for (size_t i = 0; i < ARRAY_LEN(idle); i++)
        tell_idle(&idle[i], &(*out)[(*count)++]);
    *count += tell_defaults(k, a, *out + *count);
    for (size_t i = 0; i < *count; i++) {
        from_clients(&(*out)[i], &set);
        settle(&(*out)[i], 0);
    }
}

void kafka_config_of_all_brokers(struct kafka *k, struct arena *a, struct config_entry **out, size_t *count)
{
    struct config_entry *all;
    size_t n;

    kafka_config_of_broker(k, a, &all, &n);
    *out = all;
    *count = 0;
    for (size_t i = 0; i < n; i++) {
        struct config_entry c = all[i];

        if (!c.of_all_brokers.p)
            continue;
        c.of_broker = c.of_file = c.otherwise = STR_NULL;
        settle(&c, 0);
        (*out)[(*count)++] = c;
    }
}

/* ---- of groups ---- */

#define SESSION   "consumer.session.timeout.ms"
#define HEARTBEAT "consumer.heartbeat.interval.ms"

void kafka_config_of_group(struct kafka *k, struct str group, struct arena *a, struct config_entry **out,
                           size_t *count)
{
    struct config_entry *c = *out = ARENA_ARRAY(a, struct config_entry, 2);
    struct log_pairs set;

    log_config(k->log, LOG_OF_GROUP, group, a, &set);
    c[0] = (struct config_entry){.name = HEARTBEAT,
                                 .otherwise = number(a, k->consumer_heartbeat_ms),
                                 .sentence = "How often a member is to be heard of."};
    c[1] = (struct config_entry){.name = SESSION,
                                 .otherwise = number(a, k->consumer_session_ms),
                                 .sentence = "How long a member may be silent before it is dropped."};
    *count = 2;
    for (size_t i = 0; i < *count; i++) {
        c[i].type = LOG_INT;
        c[i].least = 1;
        c[i].most = INT32_MAX;
        c[i].own = log_pairs_get(&set, str_of(c[i].name));
        settle(&c[i], CONFIG_OF_GROUP);
    }
}

static bool is_within(const char *name, int64_t n, int64_t least, int64_t most, struct err *e)
{
    return (n >= least && n <= most) || err_set(e, ERR_INVALID, "%s is %lld, this broker allows %lld to %lld",
                                                name, (long long)n, (long long)least, (long long)most);
}

bool kafka_config_group_ok(struct kafka *k, const struct log_pairs *p, struct err *e)
{
    int64_t session = k->consumer_session_ms, heartbeat = k->consumer_heartbeat_ms;
    struct str of_session = log_pairs_get(p, STR(SESSION)), of_heartbeat = log_pairs_get(p, STR(HEARTBEAT));

    if ((of_session.p && !str_i64(of_session, &session)) ||
        (of_heartbeat.p && !str_i64(of_heartbeat, &heartbeat)))
        return err_set(e, ERR_INVALID, "a group's time is no number");
    if (!is_within(SESSION, session, session_least(k), session_most(k), e) ||
        !is_within(HEARTBEAT, heartbeat, heartbeat_least(k), heartbeat_most(k), e))
        return false;
    return session > heartbeat ||
           err_set(e, ERR_INVALID, SESSION " (%lld) must be above " HEARTBEAT " (%lld)", (long long)session,
                   (long long)heartbeat);
}

void kafka_config_group_times(struct kafka *k, struct str group, int64_t *session_ms, int32_t *heartbeat_ms)
{
    int64_t n;

    *session_ms = k->consumer_session_ms;
    *heartbeat_ms = k->consumer_heartbeat_ms;
    if (log_config_number(k->log, LOG_OF_GROUP, group, STR(SESSION), &n))
        *session_ms = n;
    if (log_config_number(k->log, LOG_OF_GROUP, group, STR(HEARTBEAT), &n) && n <= INT32_MAX)
        *heartbeat_ms = (int32_t)n;
}

/* ---- changing ---- */

bool kafka_config_check(const struct config_entry *c, struct str value, struct arena *a, struct str *out,
                        struct err *e)
{
    const struct log_setting *row = log_setting_of_broker(str_of(c->name));
    struct log_settings s;
    int64_t n;

    if (row) {
        log_settings_init(&s);
        if (!log_setting_parse(row, value, &s, e))
            return err_wrap(e, "%s", c->name);
        *out = log_setting_text(row, &s, a);
        return true;
    }
    if (!str_i64(str_trim(value), &n) || n < c->least || n > c->most)
        return err_set(e, ERR_INVALID, "%s: \"%.*s\" is not a whole number from %lld to %lld", c->name,
                       STR_ARG(value), (long long)c->least, (long long)c->most);
    *out = number(a, n);
    return true;
}

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
