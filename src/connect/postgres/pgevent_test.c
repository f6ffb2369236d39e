/*
 * Schemas and events against what Debezium with Confluent's AvroConverter registers and sends: the texts below follow AvroData
 * of kafka-connect-avro-data and Debezium's TableSchemaBuilder line for line.
 */
#include "connect/postgres/pgevent.h"

#include "base/mem.h"
#include "base/test.h"
#include "schema/schema.h"

static int warnings;

static void warn(void *arg, const char *text)
{
    (void)arg;
    (void)text;
    warnings++;
}

static bool append(void *arg, const struct schema_record *r, size_t n, struct err *e)
{
    (void)arg;
    (void)r;
    (void)n;
    (void)e;
    return true;
}

static const struct column_facts columns[] = {
    {.name = {"id", 2},
     .type = {.oid = 23, .modifier = -1},
     .declared = 23,
     .not_null = true,
     .expression = {"nextval('t_id_seq'::regclass)", 29}},
    {.name = {"total", 5},
     .type = {.oid = 1700, .modifier = (10 << 16 | 2) + 4},
     .declared = 1700,
     .not_null = true,
     .expression = {"1.28", 4}},
    {.name = {"small", 5}, .type = {.oid = 21, .modifier = -1}, .declared = 21},
    {.name = {"at", 2}, .type = {.oid = 1114, .modifier = -1}, .declared = 1114, .expression = {"now()", 5}},
    {.name = {"where", 5}, .type = {.oid = 600, .modifier = -1}, .declared = 600},
    {.name = {"mood", 4},
     .type = {.oid = 99999, .modifier = -1, .labels = {"sad,happy", 9}},
     .declared = 99999,
     .not_null = true},
};

static struct pg_settings settings = {
    .database = "shopdb",
    .prefix = {"shop", 4},
    .placeholder = {"__debezium_unavailable_value", 28},
    .nulls_stay = true,
};

static struct pg_table *table(void)
{
    static struct str key = {"id", 2};
    struct table_facts f = {
        .oid = 1,
        .schema = STR("public"),
        .name = STR("t"),
        .columns = (struct column_facts *)(uintptr_t)columns,
        .count = ARRAY_LEN(columns),
        .key = &key,
        .key_count = 1,
    };

    warnings = 0;
    return pgtable_new(&f, NULL, 0, &settings, warn, NULL);
}

#define VALUE                                                                                              \
    "{\"type\":\"record\",\"name\":\"Value\",\"fields\":["                                                 \
    "{\"name\":\"id\",\"type\":{\"type\":\"int\",\"connect.default\":0},\"default\":0},"                   \
    "{\"name\":\"total\",\"type\":{\"type\":\"bytes\",\"scale\":2,\"precision\":10,\"connect.version\":1," \
    "\"connect.parameters\":{\"scale\":\"2\",\"connect.decimal.precision\":\"10\"},\"connect.default\":"   \
    "\"\\u0000\xc2\x80\","                                                                                 \
    "\"connect.name\":\"org.apache.kafka.connect.data.Decimal\",\"logicalType\":\"decimal\"},\"default\":" \
    "\"\\u0000\xc2\x80\"},"                                                                                \
    "{\"name\":\"small\",\"type\":[\"null\",{\"type\":\"int\",\"connect.type\":\"int16\"}],\"default\":"   \
    "null},"                                                                                               \
    "{\"name\":\"at\",\"type\":[{\"type\":\"long\",\"connect.version\":1,\"connect.default\":0,"           \
    "\"connect.name\":\"io.debezium.time.MicroTimestamp\"},\"null\"],\"default\":0},"                      \
    "{\"name\":\"mood\",\"type\":{\"type\":\"string\",\"connect.version\":1,\"connect.parameters\":{"      \
    "\"allowed\":\"sad,happy\"},"                                                                          \
    "\"connect.name\":\"io.debezium.data.Enum\"}}"                                                         \
    "],\"connect.name\":\"shop.public.t.Value\"}"

TEST(schemas_are_confluents_to_the_byte)
{
    static const char envelope[] =
        "{\"type\":\"record\",\"name\":\"Envelope\",\"namespace\":\"shop.public.t\",\"fields\":["
        "{\"name\":\"before\",\"type\":[\"null\"," VALUE "],\"default\":null},"
        "{\"name\":\"after\",\"type\":[\"null\",\"Value\"],\"default\":null},{\"name\":\"source\",\"type\":";
    struct buf b = buf_make(1 << 20);
    struct pg_table *t = table();

    shape_avro(&b, t->key_shape);
    OK(str_is(
        buf_view(&b),
        "{\"type\":\"record\",\"name\":\"Key\",\"namespace\":\"shop.public.t\",\"fields\":[{\"name\":\"id\","
        "\"type\":{\"type\":\"int\",\"connect.default\":0},\"default\":0}],\"connect.name\":"
        "\"shop.public.t.Key\"}"));
    buf_reset(&b);
    shape_avro(&b, t->value_shape);
    OK(str_starts(buf_view(&b), str_of(envelope)));
    OK(str_ends(buf_view(&b), STR(",\"connect.version\":2,\"connect.name\":\"shop.public.t.Envelope\"}")));
    OK(warnings == 1); // where is a point: left out
    buf_reset(&b);
    shape_json(&b, t->key_shape);
    OK(str_is(
        buf_view(&b),
        "{\"type\":\"struct\",\"fields\":[{\"type\":\"int32\",\"optional\":false,\"default\":0,\"field\":"
        "\"id\"}],\"optional\":false,\"name\":\"shop.public.t.Key\"}"));
    buf_fini(&b);
    pgtable_free(t);
}

static struct pgout_cell text(const char *s)
{
    return (struct pgout_cell){PGOUT_TEXT, str_of(s)};
}

TEST(events_are_avro_to_the_byte)
{
    struct schema_store *store = schema_store_new(append, NULL);
    struct pg_table *t = table();
    struct pgout_cell cells[] = {text("1"),     text("-1.29"), {.kind = PGOUT_NULL}, {.kind = PGOUT_NULL},
                                 text("(1,2)"), text("sad")};
    struct pgout_row row = {cells, ARRAY_LEN(cells)};
    struct event ev = {
        .op = 'c',
        .table = t,
        .after = &row,
        .now_us = 2000000,
        .source = {.ts_us = 1000000, .snapshot = "false", .last_commit = 7, .lsn = 9, .xid = 5}};
    struct events x;
    struct err e;
    struct buf b = buf_make(1 << 16);

    pgevents_init(&x, &settings, store);
    OK(pgevent_key(&x, t, &row, &e));
    OK(str_eq(buf_view(&x.key), str_from("\x00\x00\x00\x00\x01\x02", 6)));
    OK(pgevent_value(&x, &ev, &e));
    buf_put(&b, "\x00\x00\x00\x00\x02", 5);             // schema 2
    buf_put(&b, "\x00\x02", 2);                         // before null, after there
    buf_put(&b, "\x02\x04\xff\x7f\x00\x02\x06sad", 10); // id 1, total -1.29, small null, at null (last), mood
    buf_varint(&b, sizeof EVENT_VERSION - 1);
    buf_put(&b, EVENT_VERSION "\x14postgresql\x08shop", sizeof EVENT_VERSION - 1 + 16);
    buf_varint(&b, 1000);
    buf_put(&b,
            "\x00\x0a"
            "false\x0cshopdb\x02\x12[\"7\",\"9\"]",
            25);
    buf_u8(&b, 2);
    buf_varint(&b, 1000000);
    buf_u8(&b, 2);
    buf_varint(&b, 1000000000);
    buf_put(&b,
            "\x0cpublic\x02t\x02\x0a\x02\x12\x00\x00\x00\x00\x02"
            "c\x02",
            20);
    buf_varint(&b, 2000);
    buf_u8(&b, 2);
    buf_varint(&b, 2000000);
    buf_u8(&b, 2);
    buf_varint(&b, 2000000000);
    OK(str_eq(buf_view(&x.value), buf_view(&b)));
    buf_fini(&b);
    pgevents_fini(&x);
    pgtable_free(t);
    schema_store_free(store);
}

TEST(what_is_not_known_of_an_old_row_is_filled)
{
    struct schema_store *store = schema_store_new(append, NULL);
    struct pg_settings json = settings;
    struct pg_table *t;
    struct pgout_cell cells[6] = {text("1")};
    struct pgout_row row = {cells, ARRAY_LEN(cells)};
    struct event ev = {.op = 'd', .before = &row, .source = {.snapshot = "false", .xid = -1}};
    struct events x;
    struct err e;

    for (size_t i = 1; i < ARRAY_LEN(cells); i++)
        cells[i].kind = PGOUT_NULL;
    t = ev.table = table();
    json.value_format = PG_JSON;
    pgevents_init(&x, &json, store);
    OK(pgevent_value(&x, &ev, &e));
    /* The default where there is one (AIA= is 1.28), else the type's zero; null where it may be. */
    OK(str_starts(buf_view(&x.value), STR("{\"before\":{\"id\":1,\"total\":\"AIA=\",\"small\":null,\"at\":"
                                          "null,\"mood\":\"\"},\"after\":null,")));
    json.nulls_stay = false; // as Confluent's converter does
    OK(pgevent_value(&x, &ev, &e));
    OK(strstr(buf_z(&x.value), "\"at\":0,") != NULL);
    pgevents_fini(&x);
    pgtable_free(t);
    schema_store_free(store);
}

TEST_MAIN
