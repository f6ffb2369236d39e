#include "connect/postgres/settings.h"

#include "base/mem.h"

#include <stdio.h>

#define AVRO_CONVERTER "io.confluent.connect.avro.AvroConverter"
#define JSON_CONVERTER "org.apache.kafka.connect.json.JsonConverter"

static const struct config_key pg_keys[] = {
    {"database.hostname", CONFIG_STRING, NULL, true, CONFIG_HIGH, "Host of the PostgreSQL server."},
    {"database.port", CONFIG_INT, "5432", false, CONFIG_HIGH, "Port of the PostgreSQL server."},
    {"database.user", CONFIG_STRING, NULL, true, CONFIG_HIGH,
     "Role to connect as; it needs REPLICATION and SELECT."},
    {"database.password", CONFIG_PASSWORD, "", false, CONFIG_HIGH, "Password of the role."},
    {"database.dbname", CONFIG_STRING, NULL, true, CONFIG_HIGH, "Database whose changes are captured."},
    {"database.sslmode", CONFIG_STRING, "prefer", false, CONFIG_MEDIUM,
     "disable, allow, prefer, require, verify-ca or verify-full."},
    {"topic.prefix", CONFIG_STRING, NULL, false, CONFIG_HIGH,
     "First part of the topics' names: PREFIX.SCHEMA.TABLE."},
    {"database.server.name", CONFIG_STRING, NULL, false, CONFIG_LOW, "Older name of topic.prefix."},
    {"plugin.name", CONFIG_STRING, "pgoutput", false, CONFIG_MEDIUM,
     "Always pgoutput; other plugins are read as it."},
    {"slot.name", CONFIG_STRING, "debezium", false, CONFIG_MEDIUM,
     "Replication slot, made when it is absent."},
    {"slot.drop.on.stop", CONFIG_BOOLEAN, "false", false, CONFIG_MEDIUM,
     "Drop the slot when the connector stops; for tests."},
    {"slot.max.retries", CONFIG_INT, "6", false, CONFIG_LOW,
     "How often to try a slot that somebody else reads."},
    {"slot.retry.delay.ms", CONFIG_LONG, "10000", false, CONFIG_LOW,
     "Longest wait between two of these tries."},
    {"publication.name", CONFIG_STRING, "dbz_publication", false, CONFIG_MEDIUM,
     "Publication that says what is captured."},
    {"publication.autocreate.mode", CONFIG_STRING, "all_tables", false, CONFIG_MEDIUM,
     "When the publication is absent: all_tables, filtered (those of table.include.list), or disabled (an "
     "error)."},
    {"snapshot.mode", CONFIG_STRING, "initial", false, CONFIG_MEDIUM,
     "initial, initial_only, or no_data (also never, schema_only: start with the changes from now on)."},
    {"table.include.list", CONFIG_LIST, "", false, CONFIG_HIGH,
     "Regular expressions of schema.table to capture; empty: all published."},
    {"table.exclude.list", CONFIG_LIST, "", false, CONFIG_MEDIUM,
     "Regular expressions of schema.table to leave out."},
    {"schema.include.list", CONFIG_LIST, "", false, CONFIG_MEDIUM,
     "Regular expressions of schemas to capture."},
    {"schema.exclude.list", CONFIG_LIST, "", false, CONFIG_MEDIUM,
     "Regular expressions of schemas to leave out."},
    {"tombstones.on.delete", CONFIG_BOOLEAN, "true", false, CONFIG_MEDIUM,
     "Follow a delete with a record without value."},
    {"skipped.operations", CONFIG_LIST, "t", false, CONFIG_LOW,
     "Operations that make no event: c, u, d, t, or none."},
    {"decimal.handling.mode", CONFIG_STRING, "precise", false, CONFIG_MEDIUM, "precise, double or string."},
    {"time.precision.mode", CONFIG_STRING, "adaptive", false, CONFIG_MEDIUM,
     "adaptive or adaptive_time_microseconds."},
    {"binary.handling.mode", CONFIG_STRING, "bytes", false, CONFIG_LOW,
     "bytes, base64, base64-url-safe or hex."},
    {"interval.handling.mode", CONFIG_STRING, "numeric", false, CONFIG_LOW, "numeric: microseconds."},
    {"money.fraction.digits", CONFIG_INT, "2", false, CONFIG_LOW,
     "Digits after the point of the type money."},
    {"unavailable.value.placeholder", CONFIG_STRING, "__debezium_unavailable_value", false, CONFIG_MEDIUM,
     "Stands for a large value that an update left alone."},
    {"extended.headers.enabled", CONFIG_BOOLEAN, "false", false, CONFIG_LOW,
     "Send __debezium.context.* headers with each record. Debezium 3 sends them by default; they make small "
     "records half as large again."},
    {"status.update.interval.ms", CONFIG_INT, "10000", false, CONFIG_MEDIUM,
     "Longest time between two confirmations to the server."},
    {"retriable.restart.connector.wait.ms", CONFIG_LONG, "10000", false, CONFIG_LOW,
     "Longest wait before the server is tried again."},
    {"topic.creation.default.partitions", CONFIG_INT, "1", false, CONFIG_LOW,
     "Partitions of the topics that are made: 1."},
    {"value.converter.ignore.default.for.nullables", CONFIG_BOOLEAN, "true", false, CONFIG_LOW,
     "A null stays null in a column that has a default. Confluent's converter writes the default when this "
     "is false."},
};

/* ---- what is refused ---- */

/* A key whose value must be one of a few words; the rest is not done here. */
static const struct {
    const char *key;
    const char *words[9];
} choices[] = {
    {"publication.autocreate.mode",
     {"all_tables", "disabled", "filtered"}}, // in the order of enum pg_autocreate
    {"snapshot.mode", {"initial", "initial_only", "no_data", "never", "schema_only"}},
    {"decimal.handling.mode", {"precise", "double", "string"}},
    {"time.precision.mode", {"adaptive", "adaptive_time_microseconds"}},
    {"binary.handling.mode", {"bytes", "base64", "base64-url-safe", "hex"}},
    {"interval.handling.mode", {"numeric"}},
    {"database.sslmode", {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}},
    {"hstore.handling.mode", {"json"}},
    {"schema.name.adjustment.mode", {"none"}},
    {"field.name.adjustment.mode", {"none"}},
    {"event.processing.failure.handling.mode", {"fail"}},
    {"lsn.flush.mode", {"connector", "connector_and_driver"}},
    {"topic.delimiter", {"."}},
    {"topic.naming.strategy",
     {"io.debezium.schema.SchemaTopicNamingStrategy", "io.debezium.schema.DefaultTopicNamingStrategy"}},
    {"topic.creation.default.partitions", {"1"}},
    {"key.converter", {AVRO_CONVERTER, JSON_CONVERTER}},
    {"value.converter", {AVRO_CONVERTER, JSON_CONVERTER}},
};

/* Keys that would change what events hold and are not done here: only absent, empty, "false" or "0" will do. */
static const char *const refused[] = {
    "message.key.columns",
    "column.include.list",
    "column.exclude.list",
    "column.propagate.source.type",
    "datatype.propagate.source.type",
    "provide.transaction.metadata",
    "include.unknown.datatypes",
    "include.schema.comments",
    "skip.messages.without.change",
    "converters",
    "post.processors",
    "publish.via.partition.root",
    "replica.identity.autoset.values",
    "snapshot.select.statement.overrides",
    "snapshot.include.collection.list",
    "signal.data.collection",
    "notification.enabled.channels",
    "xmin.fetch.interval.ms",
    "read.only",
    "slot.failover",
    "slot.stream.params",
    "database.initial.statements",
};
static const char *const refused_prefixes[] = {"column.mask.", "column.truncate.",
                                               "snapshot.select.statement.overrides."};

static bool check_choice(const struct config *c, const char *key, const char *const *words, struct err *e)
{
    struct str v = str_trim(config_str(c, key));
    char why[400] = "supported here: ";
    size_t n = strlen(why);

    if (!v.p || v.n == 0)
        return true;
    for (size_t i = 0; words[i]; i++) {
        if (str_eq_nocase(v, str_of(words[i])))
            return true;
        n += (size_t)snprintf(why + n, sizeof why - n, "%s%s", i ? ", " : "", words[i]);
    }
    return config_refuse(c, key, why, e);
}

static bool is_off(struct str v)
{
    v = str_trim(v);
    return !v.p || v.n == 0 || str_eq_nocase(v, STR("false")) || str_is(v, "0");
}

static bool check_refused(const struct config *c, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        if (!is_off(config_str(c, refused[i])))
            return config_refuse(c, refused[i], "not supported", e);
    for (struct map_it it = {0}; map_next(&c->values, &it);)
        for (size_t i = 0; i < ARRAY_LEN(refused_prefixes); i++)
            if (str_starts(it.key, str_of(refused_prefixes[i])))
                return err_set(e, ERR_INVALID, "Invalid value for configuration %.*s: not supported",
                               STR_ARG(it.key));
    return true;
}

static bool check_patterns(const struct config *c, struct err *e)
{
    static const char *const keys[] = {"table.include.list", "table.exclude.list", "schema.include.list",
                                       "schema.exclude.list"};

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct patterns p = {0};
        bool ok = patterns_add_list(&p, config_str(c, keys[i]), true);

        patterns_fini(&p);
        if (!ok)
            return config_refuse(c, keys[i], "Invalid regex", e);
    }
    return true;
}

/* PostgreSQL: lower-case letters, digits and underscores, at most 63. */
static bool slot_name_ok(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '_'))
            return false;
    return s.n > 0 && s.n <= 63;
}

static bool operation_ok(struct str s)
{
    return s.n == 0 || str_is(s, "none") || (s.n == 1 && strchr("cudt", s.p[0]) != NULL);
}

static bool check(const struct config *c, struct err *e)
{
    const char *prefix_key = config_str(c, "topic.prefix").p ? "topic.prefix" : "database.server.name";
    struct str prefix = config_str(c, prefix_key);
    struct str skipped = config_str(c, "skipped.operations"), part;

    if (!prefix.p || prefix.n == 0)
        return err_set(e, ERR_INVALID,
                       "Missing required configuration \"topic.prefix\" which has no default value.");
    for (size_t i = 0; i < prefix.n; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", prefix.p[i]))
            return config_refuse(c, prefix_key, "only letters, digits, . _ and - may be used", e);
    if (!slot_name_ok(config_str(c, "slot.name")))
        return config_refuse(c, "slot.name", "1 to 63 of a-z, 0-9 and underscore", e);
    while (str_cut(&skipped, ',', &part))
        if (!operation_ok(str_trim(part)))
            return config_refuse(c, "skipped.operations", "c, u, d, t or none", e);
    for (size_t i = 0; i < ARRAY_LEN(choices); i++)
        if (!check_choice(c, choices[i].key, choices[i].words, e))
            return false;
    return check_refused(c, e) && check_patterns(c, e);
}

/* ---- reading ---- */

static const char *text(const struct config *c, const char *key)
{
    struct str v = config_str(c, key);

    return v.p ? v.p : "";
}

/* Which of the words of a choice it is; 0 when it says nothing. */
static int which(const struct config *c, const char *key)
{
    struct str v = str_trim(config_str(c, key));

    for (size_t i = 0; i < ARRAY_LEN(choices); i++)
        for (int w = 0; strcmp(choices[i].key, key) == 0 && choices[i].words[w]; w++)
            if (str_eq_nocase(v, str_of(choices[i].words[w])))
                return w;
    return 0;
}

static enum pg_format format_of(const struct config *c, const char *key)
{
    char schemas[64];
    struct str v;

    if (which(c, key) == 0)
        return PG_AVRO;
    (void)snprintf(schemas, sizeof schemas, "%s.schemas.enable", key);
    v = config_str(c, schemas);
    return v.p && str_eq_nocase(str_trim(v), STR("false")) ? PG_JSON : PG_JSON_SCHEMA;
}

static bool skips(const struct config *c, const char *operation)
{
    struct str rest = config_str(c, "skipped.operations"), part;

    while (str_cut(&rest, ',', &part))
        if (str_is(str_trim(part), operation))
            return true;
    return false;
}

void pg_settings_read(struct pg_settings *s, const struct config *c)
{
    int snapshot = which(c, "snapshot.mode");

    *s = (struct pg_settings){
        .host = text(c, "database.hostname"),
        .port = (int)config_i64(c, "database.port"),
        .user = text(c, "database.user"),
        .password = text(c, "database.password"),
        .database = text(c, "database.dbname"),
        .sslmode = text(c, "database.sslmode"),
        .prefix = config_str(c, config_str(c, "topic.prefix").p ? "topic.prefix" : "database.server.name"),
        .slot = text(c, "slot.name"),
        .publication = text(c, "publication.name"),
        .autocreate = (enum pg_autocreate)which(c, "publication.autocreate.mode"),
        .snapshot = snapshot >= 2 ? PG_SNAPSHOT_NEVER : (enum pg_snapshot)snapshot,
        .key_format = format_of(c, "key.converter"),
        .value_format = format_of(c, "value.converter"),
        .tombstones = config_bool(c, "tombstones.on.delete"),
        .headers = config_bool(c, "extended.headers.enabled"),
        .drop_slot = config_bool(c, "slot.drop.on.stop"),
        .nulls_stay = config_bool(c, "value.converter.ignore.default.for.nullables"),
        .skip_create = skips(c, "c"),
        .skip_update = skips(c, "u"),
        .skip_delete = skips(c, "d"),
        .skip_truncate = skips(c, "t"),
        .modes = {.decimal = (enum decimal_mode)which(c, "decimal.handling.mode"),
                  .binary = (enum binary_mode)which(c, "binary.handling.mode"),
                  .time = (enum time_mode)which(c, "time.precision.mode"),
                  .money_digits = (int)config_i64(c, "money.fraction.digits")},
        .placeholder = config_str(c, "unavailable.value.placeholder"),
        .status_ms = config_i64(c, "status.update.interval.ms"),
        .backoff_ms = config_i64(c, "retriable.restart.connector.wait.ms"),
        .slot_retries = (int)config_i64(c, "slot.max.retries"),
        .slot_retry_ms = config_i64(c, "slot.retry.delay.ms"),
        .partitions = 1,
    };
    /* All were checked: patterns_add_list() leaves none out. */
    (void)patterns_add_list(&s->include, config_str(c, "table.include.list"), true);
    (void)patterns_add_list(&s->exclude, config_str(c, "table.exclude.list"), true);
    (void)patterns_add_list(&s->include_schemas, config_str(c, "schema.include.list"), true);
    (void)patterns_add_list(&s->exclude_schemas, config_str(c, "schema.exclude.list"), true);
}

void pg_settings_fini(struct pg_settings *s)
{
    patterns_fini(&s->include);
    patterns_fini(&s->exclude);
    patterns_fini(&s->include_schemas);
    patterns_fini(&s->exclude_schemas);
}

bool pg_settings_wants(const struct pg_settings *s, struct str schema, struct str table)
{
    char *full = mem_fmt("%.*s.%.*s", STR_ARG(schema), STR_ARG(table)), *space = str_dup(schema);
    bool yes = (!s->include.first || patterns_match(&s->include, full)) &&
               !patterns_match(&s->exclude, full) &&
               (!s->include_schemas.first || patterns_match(&s->include_schemas, space)) &&
               !patterns_match(&s->exclude_schemas, space);

    mem_free(full);
    mem_free(space);
    return yes;
}

/* ---- the class ---- */

static int one_task(const struct config *c, int tasks_max)
{
    (void)c;
    (void)tasks_max;
    return 1; // there is one stream
}

static const char *const names[] = {"io.debezium.connector.postgresql.PostgresConnector", NULL};

const struct connector_class postgres_class = {
    .names = names,
    .source = true,
    .step = CONNECT_STEP_CAPTURE,
    .version = TARN_VERSION,
    .keys = pg_keys,
    .key_count = ARRAY_LEN(pg_keys),
    .check = check,
    .tasks = one_task,
    .source_ops = &pg_source,
};
