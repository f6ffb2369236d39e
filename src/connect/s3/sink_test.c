/* The S3 sink on a local store, with records made by hand: what it writes, when, under which names, and what is safe. */
#include "connect/s3/s3_sink_int.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/test.h"
#include "base/utc.h"
#include "os/os.h"
#include "os/tempdir.h"
#include "schema/avro.h"
#include "schema/schema.h"

static struct arena a;
static struct err e;
static char dir[TEMPDIR_MAX];
static struct os clock_os; // os_real() with a clock that is set
static int64_t now_us;
static struct connect_env env;
static struct sink_partition parts[2];
static struct config config;
static struct s3_sink *sink;
static int schema_ids[2];

static int64_t wall_us(struct os *os)
{
    (void)os;
    return now_us;
}

static bool append(void *arg, const struct schema_record *records, size_t count, struct err *why)
{
    (void)arg;
    (void)records;
    (void)count;
    (void)why;
    return true;
}

static void rig_start(void)
{
    static const char *const texts[] = {
        "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"n\",\"type\":\"long\"}]}",
        "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"n\",\"type\":[\"null\",\"long\"],"
        "\"default\":null}]}",
    };

    OK(tempdir_make(dir));
    clock_os = *os_real();
    clock_os.wall_us = wall_us;
    now_us = utc_days(2026, 11, 21) * UTC_DAY;
    env = (struct connect_env){.os = &clock_os, .blobs_url = "http://127.0.0.1:9000"};
    env.schemas = schema_store_new(append, NULL);
    OK(object_open_local(&clock_os, dir, &env.blobs, &e));
    OK(bucket_create(env.blobs, STR("raw"), &e));
    for (int i = 0; i < 2; i++) {
        int version;

        OK(schema_register(env.schemas, str_of(arena_fmt(&a, "s%d", i)),
                           &(struct schema_text){.text = str_of(texts[i])}, &schema_ids[i], &version, &e));
    }
    parts[0] = (struct sink_partition){.topic = STR("shop.orders")};
    parts[1] = (struct sink_partition){.topic = STR("shop.orders"), .partition = 7};
}

static void rig_stop(void)
{
    s3_sink_close(sink);
    sink = NULL;
    config_fini(&config);
    object_close(env.blobs);
    schema_store_free(env.schemas);
    OK(os_remove_tree(os_real(), dir, &e));
    arena_fini(&a);
}

/* A sink's configuration: these, unless `more` names them too, and `more`. */
static const char *const base[][2] = {
    {"name", "sink"},           {"s3.bucket.name", "raw"},
    {"s3.region", "us-east-1"}, {"store.url", "http://localhost:9000"},
    {"topics.dir", "kafka"},    {"flush.size", "3"},
    {"timezone", "UTC"},
};

static bool configure(const char *more)
{
    struct buf b = buf_make(MIB);
    struct str json;

    buf_fmt(&b, "{%s", more);
    for (size_t i = 0; i < ARRAY_LEN(base); i++)
        if (!strstr(more, arena_fmt(&a, "\"%s\":", base[i][0])))
            buf_fmt(&b, "%s\"%s\":\"%s\"", b.n > 1 ? "," : "", base[i][0], base[i][1]);
    buf_fmt(&b, "}");
    json = arena_str(&a, buf_view(&b));
    buf_fini(&b);
    config_fini(&config);
    return config_parse(&config, &a, json, s3_sink_class.keys, s3_sink_class.key_count, &e) &&
           s3_sink_class.check(&config, &e);
}

static void open_sink(const char *more)
{
    if (!configure(more))
        printf("# %s\n", e.msg);
    OK(configure(more));
    s3_sink_close(sink);
    sink = NULL;
    OK(s3_sink_open(&env, &config, parts, 2, &sink, &e));
}

/* A record whose Avro long is n, with schema 0 or 1 (in the second it is a union's second branch). */
static bool put(int part, int64_t offset, int schema, int64_t n, int64_t timestamp_ms)
{
    struct sink_record r = {&parts[part], {.offset = offset, .timestamp_ms = timestamp_ms}};
    struct buf b = buf_make(100);
    bool ok;

    buf_u8(&b, 0);
    buf_i32(&b, schema_ids[schema]);
    if (schema == 1)
        buf_varint(&b, 1);
    buf_varint(&b, n);
    r.r.value = buf_view(&b);
    ok = s3_sink_put(sink, &r, 1, &e);
    buf_fini(&b);
    return ok;
}

static bool put_text(int64_t offset, struct str value)
{
    struct sink_record r = {&parts[0], {.offset = offset, .value = value}};

    return s3_sink_put(sink, &r, 1, &e);
}

/* Records of the Avro object, and its first's number; -1 when there is no such object. */
static int64_t avro_count(const char *key, int64_t *first)
{
    struct avro_file f;
    struct str bytes, data;
    int64_t n, all = 0;

    *first = -1;
    if (!object_get_bytes(env.blobs, STR("raw"), str_of(key), MIB, &a, &bytes, &e))
        return -1;
    OK(avro_file_open(&f, &a, bytes, &e));
    while (avro_file_next(&f, &n, &data, &e)) {
        struct rd r = rd_str(data);

        if (all == 0)
            *first = rd_varint(&r);
        all += n;
    }
    OK(e.kind == ERR_NONE);
    return all;
}

static size_t object_count(void)
{
    struct object_list_options o = {.max = 1000};
    struct object_listing l;

    OK(object_list(env.blobs, STR("raw"), &o, &a, &l, &e));
    for (size_t i = 0; i < l.object_count; i++)
        printf("# %.*s %lld\n", STR_ARG(l.objects[i].key), (long long)l.objects[i].size_bytes);
    return l.object_count;
}

static bool safe_is(bool all, int64_t first, int64_t second)
{
    int64_t safe[2] = {0, 0};

    return s3_sink_flush(sink, all, safe, &e) && safe[0] == first && safe[1] == second;
}

TEST(record_counts_make_objects)
{
    int64_t first;

    rig_start();
    open_sink("");
    for (int64_t i = 0; i < 7; i++)
        OK(put(0, i, 0, 100 + i, 0));
    OK(put(1, 500, 0, 9, 0));
    OK(s3_sink_next_flush_ms(sink) == 0);
    OK(safe_is(false, 6, 0));
    OK(s3_sink_next_flush_ms(sink) == -1);
    OK(object_count() == 2);
    OK(avro_count("kafka/shop.orders/partition=0/shop.orders+0+0000000000.avro", &first) == 3 &&
       first == 100);
    OK(avro_count("kafka/shop.orders/partition=0/shop.orders+0+0000000003.avro", &first) == 3 &&
       first == 103);
    OK(safe_is(true, 7, 501));
    OK(avro_count("kafka/shop.orders/partition=0/shop.orders+0+0000000006.avro", &first) == 1 &&
       first == 106);
    OK(avro_count("kafka/shop.orders/partition=7/shop.orders+7+0000000500.avro", &first) == 1 && first == 9);
    rig_stop();
}

/* A crash before the position is committed: the same records come again, and give the same objects, byte for byte. */
TEST(repeated_records_overwrite)
{
    struct object_info before, after;
    const char *key = "kafka/shop.orders/partition=0/shop.orders+0+0000000003.avro";

    rig_start();
    open_sink("");
    for (int64_t i = 0; i < 6; i++)
        OK(put(0, i, 0, i, 0));
    OK(object_head(env.blobs, STR("raw"), str_of(key), &a, &before, &e));
    open_sink("");
    for (int64_t i = 0; i < 8; i++)
        OK(put(0, i, 0, i, 0));
    OK(object_count() == 2);
    OK(object_head(env.blobs, STR("raw"), str_of(key), &a, &after, &e));
    OK(str_eq(before.etag, after.etag));
    OK(safe_is(false, 6, 0));
    s3_sink_close(sink); // with two records in an open file, which must leave nothing
    sink = NULL;
    OK(object_count() == 2);
    rig_stop();
}

TEST(a_new_schema_begins_a_new_object)
{
    int64_t first;

    rig_start();
    open_sink("\"avro.codec\":\"deflate\"");
    OK(put(0, 0, 0, 1, 0) && put(0, 1, 1, 2, 0) && put(0, 2, 1, 3, 0));
    OK(object_count() == 1 && safe_is(false, 1, 0));
    OK(put(0, 3, 0, 4, 0));
    OK(object_count() == 2 && safe_is(false, 3, 0));
    OK(avro_count("kafka/shop.orders/partition=0/shop.orders+0+0000000001.avro", &first) == 2);
    rig_stop();
}

TEST(scheduled_rotation_is_aligned)
{
    rig_start();
    now_us += INT64_C(10) * UTC_SECOND;
    open_sink("\"rotate.schedule.interval.ms\":\"60000\"");
    OK(s3_sink_next_flush_ms(sink) == -1);
    OK(put(0, 0, 0, 1, 0) && put(1, 0, 0, 1, 0));
    OK(s3_sink_next_flush_ms(sink) == 50000);
    OK(safe_is(false, 0, 0) && object_count() == 0);
    now_us += INT64_C(50) * UTC_SECOND;
    OK(s3_sink_next_flush_ms(sink) == 0);
    OK(safe_is(false, 1, 1) && object_count() == 2);
    OK(put(0, 1, 0, 1, 0));
    OK(s3_sink_next_flush_ms(sink) == 60000);
    now_us += INT64_C(61) * UTC_SECOND;
    OK(put(0, 2, 0, 1, 0)); // the record that comes late is not in the file that was due before it
    OK(safe_is(false, 2, 1) && object_count() == 3);
    rig_stop();
}

TEST(days_are_folders)
{
    int64_t day = utc_days(2026, 11, 21) * 86400000, first;

    rig_start();
    open_sink("\"partitioner.class\":\"io.confluent.connect.storage.partitioner.DailyPartitioner\","
              "\"timestamp.extractor\":\"Record\",\"flush.size\":\"4\"");
    OK(put(0, 0, 0, 0, day - 1) && put(0, 1, 0, 1, day) && put(0, 2, 0, 2, day - 2));
    OK(object_count() == 0);
    OK(put(0, 3, 0, 3, day + 5)); // all files of the partition together
    OK(object_count() == 2 && safe_is(false, 4, 0));
    OK(avro_count("kafka/shop.orders/year=2026/month=11/day=20/shop.orders+0+0000000000.avro", &first) == 2);
    OK(avro_count("kafka/shop.orders/year=2026/month=11/day=21/shop.orders+0+0000000001.avro", &first) == 2);
    rig_stop();
}

TEST(record_time_rotates)
{
    int64_t first;

    rig_start();
    open_sink("\"partitioner.class\":\"io.confluent.connect.storage.partitioner.TimeBasedPartitioner\","
              "\"partition.duration.ms\":\"3600000\",\"path.format\":\"'at'-HH\",\"locale\":\"en\","
              "\"timestamp.extractor\":\"Record\",\"rotate.interval.ms\":\"1000\",\"flush.size\":\"100\"");
    OK(put(0, 0, 0, 0, 0) && put(0, 1, 0, 1, 999) && put(0, 2, 0, 2, 1000));
    OK(object_count() == 1 && safe_is(false, 2, 0));
    OK(avro_count("kafka/shop.orders/at-00/shop.orders+0+0000000000.avro", &first) == 2);
    OK(put(0, 3, 0, 3, 3600000)); // another folder
    OK(object_count() == 2 && safe_is(false, 3, 0));
    rig_stop();
}

TEST(nulls_and_strangers_are_refused_or_passed_over)
{
    struct sink_record null = {&parts[0], {.offset = 5}};

    rig_start();
    open_sink("");
    OK(!s3_sink_put(sink, &null, 1, &e) && strstr(e.msg, "behavior.on.null.values") &&
       strstr(e.msg, "offset 5"));
    OK(!put_text(6, STR("{\"json\":1}")) && strstr(e.msg, "not Avro"));
    OK(!put_text(6, STR("\0\0\0\x7f\x01x")) && strstr(e.msg, "is not in the registry"));
    open_sink("\"behavior.on.null.values\":\"ignore\"");
    OK(s3_sink_put(sink, &null, 1, &e));
    OK(safe_is(false, 6, 0) && object_count() == 0);
    rig_stop();
}

TEST(lines_and_bytes_are_written_as_they_are)
{
    struct str s;

    rig_start();
    open_sink("\"format.class\":\"io.confluent.connect.s3.format.json.JsonFormat\","
              "\"value.converter\":\"org.apache.kafka.connect.json.JsonConverter\","
              "\"value.converter.schemas.enable\":\"false\"");
    OK(put_text(0, STR("{ \"a b\" : [1.10,\n \"x\\\"  y\"] }")) && put_text(1, STR("null")));
    OK(!put_text(2, STR("{")) && strstr(e.msg, "not JSON"));
    OK(put_text(2, STR("3")));
    OK(object_get_bytes(env.blobs, STR("raw"),
                        STR("kafka/shop.orders/partition=0/shop.orders+0+0000000000.json"), MIB, &a, &s, &e));
    OK(str_is(s, "{\"a b\":[1.10,\"x\\\"  y\"]}\nnull\n3\n"));
    open_sink("\"format.class\":\"io.confluent.connect.s3.format.bytearray.ByteArrayFormat\","
              "\"value.converter\":\"org.apache.kafka.connect.converters.ByteArrayConverter\"");
    OK(put_text(3, STR("\0one")) && put_text(4, STR("")) && put_text(5, STR("two")));
    OK(object_get_bytes(env.blobs, STR("raw"),
                        STR("kafka/shop.orders/partition=0/shop.orders+0+0000000003.bin"), MIB, &a, &s, &e));
    OK(str_eq(s, STR("\0one\n\ntwo\n")));
    rig_stop();
}

TEST(configurations_are_checked)
{
    static const char *const refused[][2] = {
        {"\"flush.size\":\"0\"", "flush.size"},
        {"\"format.class\":\"io.confluent.connect.s3.format.parquet.ParquetFormat\"", "format.class"},
        {"\"partitioner.class\":\"io.confluent.connect.storage.partitioner.FieldPartitioner\"",
         "partitioner.class"},
        {"\"s3.compression.type\":\"gzip\"", "s3.compression.type"},
        {"\"behavior.on.null.values\":\"write\"", "behavior.on.null.values"},
        {"\"schema.compatibility\":\"BACKWARD\"", "schema.compatibility"},
        {"\"avro.codec\":\"bzip2\"", "avro.codec"},
        {"\"timezone\":\"Europe/Berlin\"", "timezone"},
        {"\"timezone\":\"\",\"rotate.schedule.interval.ms\":\"1\"", "scheduled rotation needs it"},
        {"\"store.kafka.keys\":\"true\"", "store.kafka.keys"},
        {"\"value.converter\":\"org.apache.kafka.connect.storage.StringConverter\"", "value.converter"},
        {"\"s3.credentials.provider.class\":\"com.example.Vault\"", "s3.credentials.provider.class"},
        {"\"partitioner.class\":\"io.confluent.connect.storage.partitioner.TimeBasedPartitioner\","
         "\"partition.duration.ms\":\"1\",\"path.format\":\"YYYY-EEE\"",
         "the letter E"},
        {"\"partitioner.class\":\"io.confluent.connect.storage.partitioner.DailyPartitioner\","
         "\"timestamp.extractor\":\"RecordField\"",
         "timestamp.extractor"},
    };

    rig_start();
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        OK(!configure(refused[i][0]));
        printf("# %s\n", e.msg);
        OK(strstr(e.msg, refused[i][1]) != NULL);
    }
    /* The sink of the storefront, as the lab has it. */
    OK(configure(
        "\"connector.class\":\"io.confluent.connect.s3.S3SinkConnector\",\"tasks.max\":\"3\","
        "\"s3.credentials.provider.class\":\"com.amazonaws.auth.EnvironmentVariableCredentialsProvider\","
        "\"format.class\":\"io.confluent.connect.s3.format.avro.AvroFormat\","
        "\"avro.converter.enhanced.avro.schema.support\":\"true\",\"avro.converter.schema.cache.size\":"
        "\"1000\","
        "\"schema.compatibility\":\"NONE\",\"rotate.schedule.interval.ms\":\"60000\","
        "\"storage.class\":\"io.confluent.connect.s3.storage.S3Storage\","
        "\"value.converter\":\"io.confluent.connect.avro.AvroConverter\","
        "\"key.converter\":\"org.apache.kafka.connect.storage.StringConverter\","
        "\"partitioner.class\":\"io.confluent.connect.storage.partitioner.DefaultPartitioner\""));
    OK(configure("\"s3.bucket.name\":\"none\""));
    OK(!s3_sink_open(&env, &config, parts, 2, &sink, &e) && strstr(e.msg, "Non-existent S3 bucket: none"));
    rig_stop();
}

TEST_MAIN
