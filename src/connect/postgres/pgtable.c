#include "connect/postgres/pgtable.h"

#include "base/mem.h"
#include "connect/postgres/pgvalue.h"

#include <stdio.h>

/* "PREFIX.SCHEMA.TABLE", what Kafka does not take replaced by underscores; in a. */
static struct str pgtable_topic(const struct pg_settings *s, struct str schema, struct str name,
                                struct arena *a)
{
    char *t = arena_fmt(a, "%.*s.%.*s.%.*s", STR_ARG(s->prefix), STR_ARG(schema), STR_ARG(name));

    for (char *p = t; *p; p++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", *p))
            *p = '_';
    return str_of(t);
}

/* ---- columns ---- */

static const struct column_facts *facts_of(const struct table_facts *f, struct str name)
{
    for (size_t i = 0; i < f->count; i++)
        if (str_eq(f->columns[i].name, name))
            return &f->columns[i];
    return NULL;
}

typedef bool put_fn(struct buf *out, const struct type *t, struct str text, struct err *e);

/* The value's encoding in the arena, with the branch of the union in front where there is one. */
static struct str encoded(struct pg_table *t, const struct pg_column *c, struct str text, put_fn *put,
                          bool branch)
{
    struct buf b = buf_make(SIZE_MAX);
    struct str out = STR_NULL;
    struct err e;

    if (branch)
        buf_varint(&b, c->null_last ? 0 : 1);
    if (put(&b, &c->type, text, &e))
        out = arena_str(&t->arena, buf_view(&b));
    buf_fini(&b);
    return out;
}

/* What Debezium sends for a large value that did not change; STR_NULL text for types that never are that large. */
static struct str placeholder_text(const struct type *t, const struct pg_settings *s, struct arena *a)
{
    struct buf b = buf_make(SIZE_MAX);
    struct str out = STR_NULL;

    if (t->conv == CONV_TEXT || t->conv == CONV_NUMERIC_TEXT) {
        out = s->placeholder;
    } else if (t->conv == CONV_BYTES || t->conv == CONV_HEX || t->conv == CONV_BASE64 ||
               t->conv == CONV_BASE64_URL) {
        buf_str(&b, STR("\\x"));
        buf_hex(&b, s->placeholder.p, s->placeholder.n);
        out = arena_str(a, buf_view(&b));
    } else if (t->conv == CONV_ARRAY && t->element->conv == CONV_TEXT) {
        buf_str(&b, STR("{"));
        buf_json(&b, s->placeholder); // quoted as an array's element is
        buf_str(&b, STR("}"));
        out = arena_str(a, buf_view(&b));
    }
    buf_fini(&b);
    return out;
}

static void set_default(struct pg_table *t, struct pg_column *c, struct shape *shape, struct str text)
{
    if (!text.p)
        return;
    shape->default_avro = encoded(t, c, text, pgvalue_avro_default, false);
    shape->default_json = encoded(t, c, text, pgvalue_json, false);
    c->null_last = shape->default_avro.p != NULL;
}

/* The column and its schema. False: it is of a type that is left out. */
static bool column_init(struct pg_table *t, struct pg_column *c, const struct column_facts *f,
                        const struct pg_settings *s, struct shape **shape)
{
    struct buf b = buf_make(SIZE_MAX);
    struct str text, zero;

    c->name = arena_str(&t->arena, f->name);
    c->optional = !f->not_null;
    buf_json(&b, c->name);
    buf_u8(&b, ':');
    c->json_name = arena_str(&t->arena, buf_view(&b));
    buf_fini(&b);
    pgtype_of(&f->type, &s->modes, &t->arena, &c->type);
    if (c->type.conv == CONV_NONE)
        return false;
    *shape = pgtype_shape(&c->type, &t->arena);
    (*shape)->optional = c->optional;
    text = pgvalue_default_text(&c->type, f->expression, &t->arena);
    set_default(t, c, *shape, text);
    zero = c->null_last ? text : pgvalue_zero_text(&c->type);
    c->absent = encoded(t, c, zero, pgvalue_avro, c->optional);
    c->absent_json = encoded(t, c, zero, pgvalue_json, false);
    text = placeholder_text(&c->type, s, &t->arena);
    if (text.p) {
        c->placeholder = encoded(t, c, text, pgvalue_avro, c->optional);
        c->placeholder_json = encoded(t, c, text, pgvalue_json, false);
    }
    return true;
}

/* ---- schemas ---- */

#define TEXT(literal)                \
    {                                \
        literal, sizeof(literal) - 1 \
    } // STR() is not a constant

static const struct shape string = {.type = SHAPE_STRING}, int64 = {.type = SHAPE_INT64};
static const struct shape opt_string = {.type = SHAPE_STRING, .optional = true};
static const struct shape opt_int64 = {.type = SHAPE_INT64, .optional = true};

static const struct shape_parameter snapshot_parameters[] = {
    {"allowed", TEXT("true,first,first_in_data_collection,last_in_data_collection,last,false,incremental")},
};
static const struct shape snapshot = {
    .type = SHAPE_STRING,
    .optional = true,
    .version = 1,
    .name = TEXT("io.debezium.data.Enum"),
    .parameters = snapshot_parameters,
    .parameter_count = 1,
    .default_avro = TEXT("\"false\""),
    .default_json = TEXT("\"false\""),
};

static const struct shape_field source_fields[] = {
    {TEXT("version"), &string},       {TEXT("connector"), &string},  {TEXT("name"), &string},
    {TEXT("ts_ms"), &int64},          {TEXT("snapshot"), &snapshot}, {TEXT("db"), &string},
    {TEXT("sequence"), &opt_string},  {TEXT("ts_us"), &opt_int64},   {TEXT("ts_ns"), &opt_int64},
    {TEXT("schema"), &string},        {TEXT("table"), &string},      {TEXT("txId"), &opt_int64},
    {TEXT("lsn"), &opt_int64},        {TEXT("xmin"), &opt_int64},    {TEXT("origin"), &opt_string},
    {TEXT("origin_lsn"), &opt_int64},
};
static const struct shape source = {
    .type = SHAPE_STRUCT,
    .version = 1,
    .name = TEXT("io.debezium.connector.postgresql.Source"),
    .fields = source_fields,
    .field_count = ARRAY_LEN(source_fields),
};
static const struct shape_field block_fields[] = {
    {TEXT("id"), &string},
    {TEXT("total_order"), &int64},
    {TEXT("data_collection_order"), &int64},
};
static const struct shape transaction = {
    .type = SHAPE_STRUCT,
    .optional = true,
    .version = 1,
    .name = TEXT("event.block"),
    .fields = block_fields,
    .field_count = ARRAY_LEN(block_fields),
};

static struct shape *struct_shape(struct pg_table *t, const char *kind, const struct shape_field *fields,
                                  size_t n)
{
    struct shape *s = ARENA_NEW(&t->arena, struct shape);

    s->type = SHAPE_STRUCT;
    s->name = str_of(arena_fmt(&t->arena, "%.*s.%s", STR_ARG(t->topic), kind));
    s->fields = fields;
    s->field_count = n;
    return s;
}

static void build_shapes(struct pg_table *t, struct shape **shapes)
{
    struct shape_field *columns = ARENA_ARRAY(&t->arena, struct shape_field, t->count + 1);
    struct shape_field *keys = ARENA_ARRAY(&t->arena, struct shape_field, t->key_count + 1);
    struct shape_field *f = ARENA_ARRAY(&t->arena, struct shape_field, 8);
    struct shape *value, *envelope;
    size_t n = 0;

    for (size_t i = 0; i < t->count; i++)
        if (shapes[i])
            columns[n++] = (struct shape_field){t->columns[i].name, shapes[i]};
    value = struct_shape(t, "Value", columns, n);
    value->optional = true;
    for (size_t i = 0; i < t->key_count; i++)
        keys[i] = (struct shape_field){t->columns[t->key[i]].name, shapes[t->key[i]]};
    if (t->key_count > 0)
        t->key_shape = struct_shape(t, "Key", keys, t->key_count);
    f[0] = (struct shape_field){STR("before"), value};
    f[1] = (struct shape_field){STR("after"), value};
    f[2] = (struct shape_field){STR("source"), &source};
    f[3] = (struct shape_field){STR("transaction"), &transaction};
    f[4] = (struct shape_field){STR("op"), &string};
    f[5] = (struct shape_field){STR("ts_ms"), &opt_int64};
    f[6] = (struct shape_field){STR("ts_us"), &opt_int64};
    f[7] = (struct shape_field){STR("ts_ns"), &opt_int64};
    envelope = struct_shape(t, "Envelope", f, 8);
    envelope->version = 2;
    t->value_shape = envelope;
}

static struct str json_schema(struct pg_table *t, const struct shape *s)
{
    struct buf b = buf_make(SIZE_MAX);
    struct str out;

    shape_json(&b, s);
    out = arena_str(&t->arena, buf_view(&b));
    buf_fini(&b);
    return out;
}

/* ---- the table ---- */

static void find_key(struct pg_table *t, const struct table_facts *f)
{
    t->key = ARENA_ARRAY(&t->arena, size_t, f->key_count + 1);
    for (size_t k = 0; k < f->key_count; k++) {
        size_t i = 0;

        while (i < t->count && !str_eq(t->columns[i].name, f->key[k]))
            i++;
        if (i == t->count || t->columns[i].type.conv == CONV_NONE) {
            t->key_count = 0; // a key that is not whole is none
            return;
        }
        t->key[t->key_count++] = i;
    }
}

/* The catalog's word on a column of the message, or the message's, when the catalog has it no more or with another type. */
static struct column_facts facts_of_sent(const struct table_facts *f, const struct pgout_column *c)
{
    const struct column_facts *known = facts_of(f, c->name);

    if (known && known->declared == c->type)
        return *known;
    return (struct column_facts){
        .name = c->name,
        .type = {.oid = c->type, .modifier = c->modifier},
        .declared = c->type,
    };
}

struct pg_table *pgtable_new(const struct table_facts *f, const struct pgout_column *sent, size_t sent_count,
                             const struct pg_settings *s, table_warn_fn *warn, void *arg)
{
    struct pg_table *t = MEM_NEW(struct pg_table);
    struct shape **shapes;

    t->oid = f->oid;
    t->schema = arena_str(&t->arena, f->schema);
    t->name = arena_str(&t->arena, f->name);
    t->filter = arena_str(&t->arena, f->filter);
    t->topic = pgtable_topic(s, f->schema, f->name, &t->arena);
    t->count = sent ? sent_count : f->count;
    t->columns = ARENA_ARRAY(&t->arena, struct pg_column, t->count + 1);
    shapes = ARENA_ARRAY(&t->arena, struct shape *, t->count + 1);
    for (size_t i = 0; i < t->count; i++) {
        struct column_facts facts = sent ? facts_of_sent(f, &sent[i]) : f->columns[i];
        char text[300];

        if (column_init(t, &t->columns[i], &facts, s, &shapes[i]))
            continue;
        (void)snprintf(text, sizeof text,
                       "column %.*s.%.*s.%.*s has type %.*s (%u), which has no mapping: left out",
                       STR_ARG(t->schema), STR_ARG(t->name), STR_ARG(facts.name), STR_ARG(facts.type.name),
                       facts.type.oid);
        warn(arg, text);
    }
    find_key(t, f);
    build_shapes(t, shapes);
    if (s->value_format == PG_JSON_SCHEMA)
        t->value_schema = json_schema(t, t->value_shape);
    if (s->key_format == PG_JSON_SCHEMA && t->key_shape)
        t->key_schema = json_schema(t, t->key_shape);
    return t;
}

void pgtable_free(struct pg_table *t)
{
    if (!t)
        return;
    arena_fini(&t->arena);
    mem_free(t);
}
