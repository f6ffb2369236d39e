/* The event of storefront's table orders, byte for byte as Debezium with Confluent's AvroConverter would write it. */
#include "connect/postgres/pgevent.h"

#include "base/test.h"
#include "schema/avro_golden.h"
#include "schema/schema.h"

static struct err e;

static bool append(void *arg, const struct schema_record *records, size_t count, struct err *why)
{
    (void)arg;
    (void)records;
    (void)count;
    (void)why;
    return true;
}

static void no_warning(void *arg, const char *text)
{
    (void)arg;
    printf("# %s\n", text);
}

/* The catalog's facts of the table, as the migrations of the storefront make it. */
static struct pg_table *orders(const struct pg_settings *s)
{
    static struct column_facts columns[] = {
        {.type = {.oid = 23, .modifier = -1}, .declared = 23, .not_null = true},
        {.type = {.oid = 23, .modifier = -1}, .declared = 23, .not_null = true},
        {.type = {.oid = 25, .modifier = -1}, .declared = 25},
        {.type = {.oid = 1700, .modifier = (10 << 16 | 2) + 4}, .declared = 1700},
        {.type = {.oid = 1114, .modifier = -1}, .declared = 1114},
    };
    static struct str key;
    struct table_facts f = {
        .oid = 16400, .schema = STR("public"), .name = STR("orders"), .columns = columns, .count = 5};

    columns[0].name = STR("id");
    columns[0].expression = STR("nextval('orders_id_seq'::regclass)");
    columns[1].name = STR("customer_id");
    columns[2].name = STR("status");
    columns[3].name = STR("total");
    columns[4].name = STR("created_at");
    columns[4].expression = STR("now()");
    key = STR("id");
    f.key = &key;
    f.key_count = 1;
    return pgtable_new(&f, NULL, 0, s, no_warning, NULL);
}

static struct pg_settings settings(void)
{
    return (struct pg_settings){
        .prefix = STR("storefront"), .database = "storefront", .modes = {.money_digits = 2}};
}

TEST(schemas_are_what_the_converter_registers)
{
    struct pg_settings s = settings();
    struct pg_table *t = orders(&s);
    struct buf b = buf_make(1 << 20);

    OK(str_is(t->topic, "storefront.public.orders"));
    shape_avro(&b, t->value_shape);
    OK(str_is(buf_view(&b), golden_orders_schema));
    buf_reset(&b);
    shape_avro(&b, t->key_shape);
    OK(str_is(buf_view(&b), golden_orders_key_schema));
    buf_fini(&b);
    pgtable_free(t);
}

/* The registry keeps that very text: it is what Java writes already. */
TEST(the_registry_keeps_the_text)
{
    struct schema_store *store = schema_store_new(append, NULL);
    struct arena a = {0};
    struct schema_version v;
    int id, version;

    OK(schema_register(store, STR("s"), &(struct schema_text){.text = str_of(golden_orders_schema)}, &id,
                       &version, &e));
    OK(schema_by_id(store, id, &a, &v) && str_is(v.schema.text, golden_orders_schema));
    arena_fini(&a);
    schema_store_free(store);
}

/* Debezium's version in a golden event is another's: the bytes with ours in its place. */
static struct str with_our_version(struct buf *b, const uint8_t *p, size_t n)
{
    static const char theirs[] = "\x16"
                                 "3.0.0.Final";
    const uint8_t *at = memmem(p, n, theirs, sizeof theirs - 1);
    struct str ours = STR(EVENT_VERSION);

    buf_reset(b);
    OK(at != NULL);
    buf_put(b, p, (size_t)(at - p));
    buf_varint(b, (int64_t)ours.n);
    buf_str(b, ours);
    at += sizeof theirs - 1;
    buf_put(b, at, n - (size_t)(at - p));
    return buf_view(b);
}

static struct pgout_cell cell(const char *text)
{
    return text ? (struct pgout_cell){PGOUT_TEXT, str_of(text)} : (struct pgout_cell){.kind = PGOUT_NULL};
}

static struct pgout_row row(struct pgout_cell *cells, const char *const *texts)
{
    for (int i = 0; i < 5; i++)
        cells[i] = cell(texts[i]);
    return (struct pgout_row){cells, 5};
}

static bool same(struct events *x, struct event *ev, const uint8_t *golden, size_t n)
{
    struct buf want = buf_make(10000);
    struct str data, expected = with_our_version(&want, golden, n);
    int id;
    bool ok;

    ev->source = (struct event_source){.ts_us = 1763712001000123,
                                       .snapshot = "false",
                                       .last_commit = 24023128 - 100,
                                       .lsn = 24023128,
                                       .xid = 771};
    ev->now_us = 1763712001005678;
    ok = pgevent_value(x, ev, &e) && schema_wire_id(buf_view(&x->value), &id, &data) &&
         id == ev->table->value_id && str_eq(data, expected);
    buf_fini(&want);
    return ok;
}

TEST(events_are_what_the_converter_writes)
{
    static const char *const pending[] = {"1", "7", "pending", "19.90", "2025-11-21 08:00:00.123456"},
                             *const shipped[] = {"1", "7", "shipped", "-0.05", "2025-11-21 08:00:00.123456"},
                             *const cancelled[] = {"300000", "2100000", "cancelled", NULL,
                                                   "1970-01-01 00:00:00"},
                             *const largest[] = {"2", "14", NULL, "99999999.99", "infinity"};
    struct schema_store *store = schema_store_new(append, NULL);
    struct pg_settings s = settings();
    struct pg_table *t = orders(&s);
    struct pgout_cell cells[4][5];
    struct pgout_row rows[] = {row(cells[0], pending), row(cells[1], shipped), row(cells[2], cancelled),
                               row(cells[3], largest)};
    struct event c = {.op = 'c', .table = t, .after = &rows[0]},
                 u = {.op = 'u', .table = t, .before = &rows[0], .after = &rows[1]},
                 d = {.op = 'd', .table = t, .before = &rows[2]},
                 r = {.op = 'r', .table = t, .after = &rows[3]};
    struct events x;

    pgevents_init(&x, &s, store);
    OK(same(&x, &c, golden_order_c, sizeof golden_order_c));
    OK(same(&x, &u, golden_order_u, sizeof golden_order_u));
    OK(same(&x, &d, golden_order_d, sizeof golden_order_d));
    OK(same(&x, &r, golden_order_r, sizeof golden_order_r));
    OK(pgevent_key(&x, t, &rows[2], &e));
    OK(str_eq(buf_view(&x.key), STR("\0\0\0\0\2\300\317\44"))); // id 2, 300000
    pgevents_fini(&x);
    pgtable_free(t);
    schema_store_free(store);
}
TEST_MAIN
