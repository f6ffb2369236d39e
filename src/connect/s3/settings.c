#include "connect/s3/s3_sink_int.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define STORAGE     "io.confluent.connect.storage."
#define PARTITIONER STORAGE "partitioner."
#define DAILY       "'year'=YYYY/'month'=MM/'day'=dd"
#define HOURLY      DAILY "/'hour'=HH"
#define DAY_MS      INT64_C(86400000)
#define HOUR_MS     INT64_C(3600000)

const struct config_key s3_sink_keys[] = {
    {"s3.bucket.name", CONFIG_STRING, NULL, true, CONFIG_HIGH, "The S3 bucket."},
    {"s3.region", CONFIG_STRING, "us-west-2", false, CONFIG_MEDIUM, "The AWS region of the bucket."},
    {"store.url", CONFIG_STRING, NULL, false, CONFIG_HIGH, "URL of the S3 service; without it Amazon's."},
    {"s3.path.style.access.enabled", CONFIG_BOOLEAN, "true", false, CONFIG_LOW,
     "Whether the bucket stands in the path (and not in the host name)."},
    {"aws.access.key.id", CONFIG_STRING, "", false, CONFIG_HIGH, "The access key."},
    {"aws.secret.access.key", CONFIG_PASSWORD, "", false, CONFIG_HIGH, "The secret key."},
    {"s3.credentials.provider.class", CONFIG_CLASS, "com.amazonaws.auth.DefaultAWSCredentialsProviderChain",
     false, CONFIG_LOW, "Where keys come from: the environment, or the two keys above."},
    {"s3.compression.type", CONFIG_STRING, "none", false, CONFIG_LOW, "Compression of files: none."},
    {"s3.ssea.name", CONFIG_STRING, "", false, CONFIG_LOW, "Server-side encryption: not supported."},
    {"s3.object.tagging", CONFIG_BOOLEAN, "false", false, CONFIG_LOW, "Tags on objects: not supported."},
    {"storage.class", CONFIG_CLASS, "io.confluent.connect.s3.storage.S3Storage", false, CONFIG_LOW,
     "The storage layer: S3Storage."},
    {"format.class", CONFIG_CLASS, "io.confluent.connect.s3.format.avro.AvroFormat", false, CONFIG_HIGH,
     "How records become files: AvroFormat, JsonFormat or ByteArrayFormat."},
    {"format.bytearray.extension", CONFIG_STRING, ".bin", false, CONFIG_LOW,
     "End of the names of ByteArrayFormat's files."},
    {"format.bytearray.separator", CONFIG_STRING, "\n", false, CONFIG_LOW,
     "What stands between records of ByteArrayFormat."},
    {"avro.codec", CONFIG_STRING, "null", false, CONFIG_LOW,
     "Compression of Avro's blocks: null or deflate."},
    {"topics.dir", CONFIG_STRING, "topics", false, CONFIG_HIGH, "First part of the objects' keys."},
    {"directory.delim", CONFIG_STRING, "/", false, CONFIG_MEDIUM, "What stands between folders in keys."},
    {"file.delim", CONFIG_STRING, "+", false, CONFIG_MEDIUM,
     "What stands between topic, partition and offset in keys."},
    {"filename.offset.zero.pad.width", CONFIG_INT, "10", false, CONFIG_LOW, "Digits of the offset in keys."},
    {"flush.size", CONFIG_INT, NULL, true, CONFIG_HIGH, "Records after which files become objects."},
    {"rotate.interval.ms", CONFIG_LONG, "-1", false, CONFIG_HIGH,
     "Record time after which files become objects, with a time based partitioner."},
    {"rotate.schedule.interval.ms", CONFIG_LONG, "-1", false, CONFIG_MEDIUM,
     "Time on the wall clock after which files become objects, counted from midnight."},
    {"schema.compatibility", CONFIG_STRING, "NONE", false, CONFIG_HIGH,
     "What to do when the schema changes: NONE, a new file."},
    {"behavior.on.null.values", CONFIG_STRING, "fail", false, CONFIG_LOW,
     "Records without a value: fail or ignore."},
    {"store.kafka.keys", CONFIG_BOOLEAN, "false", false, CONFIG_LOW, "Files for keys: not supported."},
    {"store.kafka.headers", CONFIG_BOOLEAN, "false", false, CONFIG_LOW, "Files for headers: not supported."},
    {"partitioner.class", CONFIG_CLASS, PARTITIONER "DefaultPartitioner", false, CONFIG_HIGH,
     "Which folder a record goes to: Default, TimeBased, Daily or HourlyPartitioner."},
    {"partition.duration.ms", CONFIG_LONG, "-1", false, CONFIG_MEDIUM,
     "TimeBasedPartitioner: length of a folder's time."},
    {"path.format", CONFIG_STRING, "", false, CONFIG_MEDIUM,
     "TimeBasedPartitioner: folders by date, as Joda-Time writes them."},
    {"locale", CONFIG_STRING, "", false, CONFIG_MEDIUM,
     "Language of dates; only numbers are written, so it changes nothing."},
    {"timezone", CONFIG_STRING, "", false, CONFIG_MEDIUM,
     "Time zone of dates and of scheduled rotation: UTC."},
    {"timestamp.extractor", CONFIG_STRING, "Wallclock", false, CONFIG_MEDIUM,
     "Where a record's time comes from: Wallclock or Record."},
};

/* The key has its default, or one of the values that are fine too. */
static bool one_of(const struct config *c, const char *key, const char *const *fine, const char *why,
                   struct err *e)
{
    struct str v = config_str(c, key);

    for (; *fine; fine++)
        if (str_eq_nocase(v, str_of(*fine)))
            return true;
    return config_refuse(c, key, why, e);
}
#define FINE(...) ((const char *const[]){__VA_ARGS__, NULL})

static bool must_be_off(const struct config *c, const char *key, struct err *e)
{
    return !config_bool(c, key) || config_refuse(c, key, "it is not supported", e);
}

/* ---- what is wrong ---- */

static bool check_credentials(const struct config *c, struct err *e)
{
    struct str class = config_str(c, "s3.credentials.provider.class");

    if (str_ends(class, STR(".EnvironmentVariableCredentialsProvider")) ||
        str_ends(class, STR(".DefaultAWSCredentialsProviderChain")) ||
        str_ends(class, STR(".DefaultCredentialsProvider")))
        return true;
    return config_refuse(c, "s3.credentials.provider.class",
                         "supported are com.amazonaws.auth.EnvironmentVariableCredentialsProvider and"
                         " com.amazonaws.auth.DefaultAWSCredentialsProviderChain",
                         e);
}

static bool check_format(const struct config *c, struct err *e)
{
    struct str class = config_str(c, "format.class"), converter = config_str(c, "value.converter");
    const struct sink_format *f = format_find(class);

    if (!f)
        return config_refuse(
            c, "format.class",
            "supported are io.confluent.connect.s3.format.avro.AvroFormat, ...json.JsonFormat and"
            " ...bytearray.ByteArrayFormat",
            e);
    if (converter.n == 0 && !f->has_schema)
        return err_set(e, ERR_INVALID,
                       "Missing required configuration \"value.converter\": %s needs one ending in %s",
                       f->name, f->converter);
    if (converter.n > 0 && !str_ends(converter, str_of(f->converter)))
        return err_set(e, ERR_INVALID,
                       "Invalid value %.*s for configuration value.converter: %s copies values of %s only",
                       STR_ARG(converter), f->name, f->converter);
    if (str_is(str_of(f->converter), "JsonConverter") &&
        !str_eq_nocase(config_str(c, "value.converter.schemas.enable"), STR("false")))
        return err_set(e, ERR_INVALID, "JsonFormat needs value.converter.schemas.enable=false");
    return true;
}

static const char *last_word(struct str class)
{
    for (size_t i = class.n; i > 0; i--)
        if (class.p[i - 1] == '.')
            return class.p + i;
    return class.p;
}

static bool is_utc(struct str zone)
{
    static const char *const names[] = {"UTC", "Etc/UTC", "GMT", "Etc/GMT", "Z", "Zulu", "Etc/Zulu"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_is(zone, names[i]))
            return true;
    return false;
}

static bool check_time(const struct config *c, const char *partitioner, struct err *e)
{
    struct str zone = config_str(c, "timezone");
    bool timed = strcmp(partitioner, "DefaultPartitioner") != 0;
    int64_t schedule = config_i64(c, "rotate.schedule.interval.ms");

    if (zone.n > 0 && !is_utc(zone))
        return config_refuse(c, "timezone", "only UTC is supported", e);
    if (zone.n == 0 && (timed || schedule > 0))
        return config_refuse(c, "timezone",
                             timed ? "a time based partitioner needs it" : "scheduled rotation needs it", e);
    if (!timed)
        return true;
    if (!one_of(c, "timestamp.extractor", FINE("Wallclock", "Record"), "supported are Wallclock and Record",
                e))
        return false;
    if (strcmp(partitioner, "TimeBasedPartitioner") != 0)
        return config_str(c, "path.format").n == 0 || path_check(config_str(c, "path.format"), e);
    if (config_i64(c, "partition.duration.ms") < 1)
        return config_refuse(c, "partition.duration.ms", "it must be positive", e);
    return path_check(config_str(c, "path.format"), e);
}

static bool check_partitioner(const struct config *c, struct err *e)
{
    struct str class = config_str(c, "partitioner.class");
    const char *name = last_word(class);

    if (!str_starts(class, STR(PARTITIONER)) ||
        (strcmp(name, "DefaultPartitioner") != 0 && strcmp(name, "TimeBasedPartitioner") != 0 &&
         strcmp(name, "DailyPartitioner") != 0 && strcmp(name, "HourlyPartitioner") != 0))
        return config_refuse(c, "partitioner.class",
                             "supported are DefaultPartitioner, TimeBasedPartitioner, DailyPartitioner and "
                             "HourlyPartitioner of"
                             " io.confluent.connect.storage.partitioner",
                             e);
    return check_time(c, name, e);
}

bool s3_sink_settings_check(const struct config *c, struct err *e)
{
    int64_t pad = config_i64(c, "filename.offset.zero.pad.width");

    if (config_i64(c, "flush.size") < 1)
        return config_refuse(c, "flush.size", "it must be at least 1", e);
    if (pad < 0 || pad > 19)
        return config_refuse(c, "filename.offset.zero.pad.width", "it must be 0 to 19", e);
    return one_of(c, "s3.compression.type", FINE("none"), "only none is supported", e) &&
           one_of(c, "s3.ssea.name", FINE(""), "encryption by the store is not supported", e) &&
           one_of(c, "avro.codec", FINE("null", "deflate"), "supported are null and deflate", e) &&
           one_of(c, "schema.compatibility", FINE("NONE"), "only NONE is supported", e) &&
           one_of(c, "behavior.on.null.values", FINE("fail", "ignore"), "supported are fail and ignore", e) &&
           one_of(c, "storage.class", FINE("io.confluent.connect.s3.storage.S3Storage"),
                  "it must be S3Storage", e) &&
           must_be_off(c, "store.kafka.keys", e) && must_be_off(c, "store.kafka.headers", e) &&
           must_be_off(c, "s3.object.tagging", e) && check_credentials(c, e) && check_format(c, e) &&
           check_partitioner(c, e);
}

/* ---- what they mean ---- */

static void read_path(const struct config *c, struct path_rule *out)
{
    const char *name = last_word(config_str(c, "partitioner.class"));
    struct str format = config_str(c, "path.format");

    *out = (struct path_rule){0};
    if (strcmp(name, "DefaultPartitioner") == 0)
        return;
    out->timed = true;
    out->extractor =
        str_is(config_str(c, "timestamp.extractor"), "Record") ? EXTRACT_RECORD : EXTRACT_WALLCLOCK;
    if (strcmp(name, "TimeBasedPartitioner") == 0) {
        out->duration_ms = config_i64(c, "partition.duration.ms");
        out->format = format;
    } else if (strcmp(name, "DailyPartitioner") == 0) {
        out->duration_ms = DAY_MS;
        out->format = format.n > 0 ? format : STR(DAILY);
    } else {
        out->duration_ms = HOUR_MS;
        out->format = format.n > 0 ? format : STR(HOURLY);
    }
}

void s3_sink_settings_read(const struct config *c, struct s3_sink_settings *out)
{
    *out = (struct s3_sink_settings){
        .bucket = config_str(c, "s3.bucket.name"),
        .topics_dir = config_str(c, "topics.dir"),
        .dir_delim = config_str(c, "directory.delim"),
        .file_delim = config_str(c, "file.delim"),
        .codec = config_str(c, "avro.codec"),
        .separator = config_str(c, "format.bytearray.separator"),
        .pad = (int)config_i64(c, "filename.offset.zero.pad.width"),
        .format = format_find(config_str(c, "format.class")),
        .flush_size = config_i64(c, "flush.size"),
        .rotate_ms = config_i64(c, "rotate.interval.ms"),
        .schedule_ms = config_i64(c, "rotate.schedule.interval.ms"),
        .skip_nulls = str_eq_nocase(config_str(c, "behavior.on.null.values"), STR("ignore")),
    };
    out->extension =
        out->format->extension ? str_of(out->format->extension) : config_str(c, "format.bytearray.extension");
    read_path(c, &out->path);
}

/* ---- the store ---- */

/* scheme://host:port, with the scheme's own port when there is none. */
static bool split_url(struct str url, struct str *scheme, struct connect_address *at)
{
    const char *slashes = url.n > 0 ? memmem(url.p, url.n, "://", 3) : NULL;
    struct str rest, host;
    ptrdiff_t colon;
    int64_t port;

    if (!slashes)
        return false;
    *scheme = str_from(url.p, (size_t)(slashes - url.p));
    rest = str_from(slashes + 3, url.n - scheme->n - 3);
    if (!str_cut(&rest, '/', &host))
        return false;
    colon = str_find(host, ':');
    port = str_eq_nocase(*scheme, STR("https")) ? 443 : 80;
    if (colon >= 0 && !str_i64(str_from(host.p + colon + 1, host.n - (size_t)colon - 1), &port))
        return false;
    if (colon >= 0)
        host.n = (size_t)colon;
    if (host.n == 0 || host.n >= sizeof at->host || port < 1 || port > 65535)
        return false;
    (void)snprintf(at->host, sizeof at->host, "%.*s", STR_ARG(host));
    at->port = (int)port;
    return true;
}

static bool is_loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strcmp(host, "127.0.0.1") == 0;
}

/* Is `at` where this process serves its own objects? */
static bool is_ours(const struct connect_env *env, const struct connect_address *at)
{
    struct connect_address own;
    struct str scheme;

    if (!env->blobs_url || !split_url(str_of(env->blobs_url), &scheme, &own) || own.port != at->port)
        return false;
    return strcmp(own.host, at->host) == 0 || (is_loopback(own.host) && is_loopback(at->host));
}

static const char *key_of(const struct config *c, const char *key, const char *env_name)
{
    struct str v = config_str(c, key);

    return v.n > 0 ? v.p : getenv(env_name); // NOLINT(concurrency-mt-unsafe): nobody changes the environment
}

bool s3_sink_open_store(const struct config *c, const struct connect_env *env, struct blobs **out, bool *own,
                        struct err *e)
{
    struct str url = config_str(c, "store.url"), scheme = STR("https");
    struct object_remote remote = {
        .region = config_str(c, "s3.region").p,
        .access_key = key_of(c, "aws.access.key.id", "AWS_ACCESS_KEY_ID"),
        .secret_key = key_of(c, "aws.secret.access.key", "AWS_SECRET_ACCESS_KEY"),
        .path_style = config_bool(c, "s3.path.style.access.enabled"),
    };
    struct connect_address at = {.port = 443};
    char *text;
    bool ok;

    *own = false;
    if (url.n > 0 && !split_url(url, &scheme, &at))
        return config_refuse(c, "store.url", "it is not a URL", e);
    if (url.n == 0)
        (void)snprintf(at.host, sizeof at.host, "s3.%s.amazonaws.com", remote.region);
    else if (env->locate)
        env->locate(env->locate_arg, &at);
    if (env->blobs && url.n > 0 && is_ours(env, &at)) {
        *out = env->blobs;
        return true;
    }
    if (!remote.access_key || !remote.secret_key)
        return err_set(
            e, ERR_INVALID,
            "no keys for %s: set aws.access.key.id and aws.secret.access.key, or AWS_ACCESS_KEY_ID and"
            " AWS_SECRET_ACCESS_KEY in the environment",
            at.host);
    text = mem_fmt("%.*s://%s:%d", STR_ARG(scheme), at.host, at.port);
    remote.url = text;
    ok = object_open_remote(&remote, out, e);
    mem_free(text);
    *own = ok;
    return ok;
}
