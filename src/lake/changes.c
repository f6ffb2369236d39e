#include "lake/changes.h"

#include "base/limits.h"
#include "base/mem.h"
#include "schema/avro.h"
#include "schema/schema.h"

#include <assert.h>
#include <stdio.h>

enum { KEY_MAX = 1 << 20, COLUMNS_MAX = 2000 };
enum {
    RAW_OP,
    RAW_LSN,
    RAW_TX,
    RAW_TS,
    RAW_SNAPSHOT,
    RAW_META
}; // what the decoder fills before the table's columns

const struct column change_columns[CHANGE_META] = {
    [CHANGE_OP] = {.name = {"_op", 3}, .type = COLUMN_TEXT},
    [CHANGE_LSN] = {.name = {"_lsn", 4}, .type = COLUMN_I64},
    [CHANGE_TX] = {.name = {"_tx_id", 6}, .type = COLUMN_I64},
    [CHANGE_TS] = {.name = {"_ts", 3}, .type = COLUMN_TIMESTAMPTZ},
    [CHANGE_PARTITION] = {.name = {"_partition", 10}, .type = COLUMN_I32},
    [CHANGE_OFFSET] = {.name = {"_offset", 7}, .type = COLUMN_I64},
    [CHANGE_SNAPSHOT] = {.name = {"_snapshot", 9}, .type = COLUMN_BOOL},
};

/* A writer's schema, as decoders for values and for keys. */
struct writer {
    int id;
    struct avro_decoder *decoder;
    bool millis; // source.ts_ms is the finest time there is
};
struct writers {
    struct writer *list;
    size_t n, cap;
};

struct changes {
    atomic_int refs; // its owner's, and one for each chunk: text may lie in the arena (symbols of enums)
    struct arena arena;
    struct schema_store *schemas;
    struct str topic;
    struct column *columns, *raw_columns, *key_columns;
    size_t count, key_count;
    size_t *key_at; // which of columns each key column is
    struct key_secret secret;
    bool has_secret;
    struct writers values, keys;
};

/* ---- chunks ---- */

struct chunk *chunk_ref(struct chunk *k)
{
    atomic_fetch_add(&k->refs, 1);
    return k;
}

void chunk_unref(struct chunk *k)
{
    if (!k || atomic_fetch_sub(&k->refs, 1) > 1)
        return;
    changes_free(k->owner);
    arena_fini(&k->arena);
    mem_free(k);
}

struct chunk *changes_chunk(struct changes *d, size_t rows)
{
    struct chunk *k = MEM_NEW(struct chunk);
    struct arena *a = &k->arena;
    k->refs = 1;
    k->owner = d;
    atomic_fetch_add(&d->refs, 1);
    columns_init(&k->raw, a, d->raw_columns, RAW_META + d->count, rows);
    columns_init(&k->keys, a, d->key_columns, d->key_count, rows);
    k->op = ARENA_ARRAY(a, char, rows);
    k->key = ARENA_ARRAY(a, struct fingerprint, rows);
    k->c = (struct columns){.arena = a, .count = CHANGE_META + d->count, .capacity = rows};
    k->c.column = ARENA_ARRAY(a, struct column, k->c.count);
    static const int raw_of[CHANGE_META] = {RAW_OP, RAW_LSN, RAW_TX, RAW_TS, -1, -1, -1};
    for (size_t i = 0; i < CHANGE_META; i++) {
        struct column *to = &k->c.column[i];
        *to = change_columns[i];
        to->nulls = raw_of[i] < 0 ? ARENA_ARRAY(a, bool, rows) : k->raw.column[raw_of[i]].nulls;
        to->any =
            raw_of[i] < 0 ? arena_alloc(a, column_width(to->type) * rows) : k->raw.column[raw_of[i]].any;
    }
    for (size_t i = 0; i < d->count; i++)
        k->c.column[CHANGE_META + i] = k->raw.column[RAW_META + i];
    return k;
}

/* ---- what schemas say ---- */

static bool schema_of(struct schema_store *schemas, int id, struct arena *a, struct avro **out, struct err *e)
{
    struct schema_version v;
    struct str *known;
    size_t n;
    if (!schema_by_id(schemas, id, a, &v))
        return err_set(e, ERR_NOT_FOUND, "no schema has the id %d", id);
    if (schema_known(schemas, &v.schema, a, &known, &n, e) != SCHEMA_OK)
        return err_wrap(e, "schema %d", id);
    if (!avro_parse_with(a, known, n, v.schema.text, out, e))
        return err_wrap(e, "schema %d", id);
    return true;
}

bool changes_ids(const struct record *r, int *value_id, int *key_id, struct err *e)
{
    struct str ignored;
    *key_id = -1;
    if (!schema_wire_id(r->value, value_id, &ignored))
        return err_set(e, ERR_INVALID, "the value is not Avro with the id of its schema in front");
    if (r->key.p && !schema_wire_id(r->key, key_id, &ignored))
        return err_set(e, ERR_INVALID, "the key is not Avro with the id of its schema in front");
    return true;
}

static const struct avro *envelope_row(const struct avro *value)
{
    const struct avro_field *after = value->kind == AVRO_RECORD ? avro_field(value, STR("after")) : NULL;
    const struct avro *row = after ? avro_strip_null(after->type) : NULL;
    struct column op;
    return row && row->kind == AVRO_RECORD && avro_column(value, "op", &op) && op.type == COLUMN_TEXT ? row
                                                                                                      : NULL;
}

static bool row_columns(const struct avro *value, struct arena *a, struct changes_options *out, struct err *e)
{
    const struct avro *row = envelope_row(value);
    if (!row)
        return err_set(e, ERR_INVALID, "the value is no change event: it has no fields op and after");
    if (row->count > COLUMNS_MAX)
        return err_set(e, ERR_LIMIT, "the table has %zu columns, the limit is %d", row->count, COLUMNS_MAX);
    struct column *columns = ARENA_ARRAY(a, struct column, row->count + 1);
    for (size_t i = 0; i < row->count; i++) {
        struct str name = row->fields[i].name;
        for (size_t m = 0; m < CHANGE_META; m++)
            if (str_eq(name, change_columns[m].name))
                return err_set(e, ERR_INVALID, "the name of column %.*s is reserved", STR_ARG(name));
        bool there = avro_column(value, arena_fmt(a, "after.%.*s", STR_ARG(name)), &columns[i]);
        assert(there);
        columns[i].name = name;
        columns[i].required = false;
    }
    out->columns = columns;
    out->count = row->count;
    return true;
}

bool changes_shape(struct schema_store *schemas, int value_id, int key_id, struct arena *a,
                   struct changes_options *out, struct err *e)
{
    struct avro *value, *key;
    *out = (struct changes_options){.schemas = schemas};
    if (!schema_of(schemas, value_id, a, &value, e) || !row_columns(value, a, out, e))
        return false;
    if (key_id < 0)
        return true;
    if (!schema_of(schemas, key_id, a, &key, e))
        return false;
    if (key->kind != AVRO_RECORD)
        return err_set(e, ERR_INVALID, "the key is no record");
    struct str *names = ARENA_ARRAY(a, struct str, key->count + 1);
    for (size_t i = 0; i < key->count; i++) {
        bool there = false;
        names[i] = key->fields[i].name;
        for (size_t c = 0; c < out->count; c++)
            there |= str_eq(out->columns[c].name, names[i]);
        if (!there)
            return err_set(e, ERR_INVALID, "column %.*s of the key is not among the row's",
                           STR_ARG(names[i]));
    }
    out->keys = names;
    out->key_count = key->count;
    return true;
}

/* ---- decoders ---- */

struct changes *changes_new(const struct changes_options *o)
{
    struct changes *d = MEM_NEW(struct changes);
    struct arena *a = &d->arena;
    d->refs = 1;
    static const struct column raw[RAW_META] = {
        [RAW_OP] = {.name = {"op", 2}, .type = COLUMN_TEXT},
        [RAW_LSN] = {.name = {"lsn", 3}, .type = COLUMN_I64},
        [RAW_TX] = {.name = {"tx", 2}, .type = COLUMN_I64},
        [RAW_TS] = {.name = {"ts", 2}, .type = COLUMN_I64},
        [RAW_SNAPSHOT] = {.name = {"snapshot", 8}, .type = COLUMN_TEXT},
    };
    d->schemas = o->schemas;
    d->topic = arena_str(a, o->topic);
    d->count = o->count;
    d->key_count = o->key_count;
    d->raw_columns = ARENA_ARRAY(a, struct column, RAW_META + o->count + 1);
    d->columns = d->raw_columns + RAW_META;
    memcpy(d->raw_columns, raw, sizeof(raw));
    for (size_t i = 0; i < o->count; i++) {
        d->columns[i] = o->columns[i];
        d->columns[i].name = arena_str(a, o->columns[i].name);
        d->columns[i].required = false;
    }
    d->key_columns = ARENA_ARRAY(a, struct column, o->key_count + 1);
    d->key_at = ARENA_ARRAY(a, size_t, o->key_count + 1);
    for (size_t i = 0; i < o->key_count; i++)
        for (size_t c = 0; c < o->count; c++)
            if (str_eq(d->columns[c].name, o->keys[i])) {
                d->key_columns[i] = d->columns[c];
                d->key_at[i] = c;
            }
    d->has_secret = o->secret != NULL;
    if (o->secret)
        d->secret = *o->secret;
    return d;
}

void changes_free(struct changes *d)
{
    if (!d || atomic_fetch_sub(&d->refs, 1) > 1)
        return;
    mem_free(d->values.list);
    mem_free(d->keys.list);
    arena_fini(&d->arena);
    mem_free(d);
}

static const char *path_if(const struct avro *s, const char *path)
{
    struct column ignored;
    return avro_column(s, path, &ignored) ? path : NULL;
}

static bool value_decoder(struct changes *d, const struct avro *s, struct writer *w, struct err *e)
{
    struct arena *a = &d->arena;
    struct avro_want *wants = ARENA_ARRAY(a, struct avro_want, RAW_META + d->count);
    if (!envelope_row(s))
        return err_set(e, ERR_INVALID, "the value is no change event: it has no fields op and after");
    for (size_t i = 0; i < RAW_META + d->count; i++)
        wants[i].as = &d->raw_columns[i];
    w->millis = !path_if(s, "source.ts_us");
    wants[RAW_OP].path = "op";
    wants[RAW_LSN].path = path_if(s, "source.lsn");
    wants[RAW_TX].path = path_if(s, "source.txId");
    wants[RAW_TS].path = path_if(s, w->millis ? "source.ts_ms" : "source.ts_us");
    wants[RAW_SNAPSHOT].path = path_if(s, "source.snapshot");
    for (size_t i = 0; i < d->count; i++)
        wants[RAW_META + i].path = path_if(s, arena_fmt(a, "after.%.*s", STR_ARG(d->columns[i].name)));
    return avro_decoder_new(a, s, wants, RAW_META + d->count, &w->decoder, e);
}

static bool key_decoder(struct changes *d, const struct avro *s, struct writer *w, struct err *e)
{
    struct avro_want *wants = ARENA_ARRAY(&d->arena, struct avro_want, d->key_count + 1);
    for (size_t i = 0; i < d->key_count; i++) {
        wants[i].as = &d->key_columns[i];
        wants[i].path = d->key_columns[i].name.p;
    }
    return avro_decoder_new(&d->arena, s, wants, d->key_count, &w->decoder, e);
}

static struct writer *writer_of(struct changes *d, struct writers *list, int id, struct err *e)
{
    struct avro *s;
    struct writer w = {.id = id};
    for (size_t i = list->n; i-- > 0;)
        if (list->list[i].id == id)
            return &list->list[i];
    if (!schema_of(d->schemas, id, &d->arena, &s, e))
        return NULL;
    if (!(list == &d->values ? value_decoder(d, s, &w, e) : key_decoder(d, s, &w, e))) {
        err_wrap(e, "schema %d", id);
        return NULL;
    }
    MEM_PUSH_ROOM(list->list, list->n, list->cap);
    list->list[list->n] = w;
    return &list->list[list->n++];
}

/* ---- keys ---- */

static void key_bytes(struct buf *b, const struct column *c, size_t row)
{
    buf_u8(b, c->nulls[row]);
    if (c->nulls[row])
        return;
    switch (c->type) {
    case COLUMN_TEXT:
    case COLUMN_BYTES:
    case COLUMN_UUID:
        buf_i32(b, (int32_t)c->strs[row].n);
        buf_str(b, c->strs[row]);
        return;
    case COLUMN_DECIMAL:
        buf_i64(b, (int64_t)(c->i128[row] >> 64));
        buf_i64(b, (int64_t)c->i128[row]);
        return;
    case COLUMN_F32:
    case COLUMN_F64: {
        double v = c->type == COLUMN_F32 ? (double)c->f32[row] : c->f64[row];
        v = v == 0 ? 0 : v; // -0 is the same key as 0
        uint64_t bits;
        memcpy(&bits, &v, sizeof(bits));
        buf_i64(b, (int64_t)bits);
        return;
    }
    case COLUMN_BOOL:
        buf_i64(b, c->bools[row]);
        return;
    case COLUMN_I32:
    case COLUMN_DATE:
        buf_i64(b, c->i32[row]); // as wide as a long: a key that is promoted keeps its fingerprint
        return;
    default:
        buf_i64(b, c->i64[row]);
    }
}

struct fingerprint changes_key(const struct key_secret *secret, const struct columns *c, size_t row)
{
    if (c->count == 1 && c->column[0].type == COLUMN_I64 && !c->column[0].nulls[row]) { // most keys
        uint8_t b[9] = {0};
        for (int i = 0; i < 8; i++)
            b[1 + i] = (uint8_t)((uint64_t)c->column[0].i64[row] >> (56 - 8 * i));
        return key_fingerprint(secret, b, sizeof(b));
    }
    struct buf b = buf_make(KEY_MAX);
    for (size_t i = 0; i < c->count; i++)
        key_bytes(&b, &c->column[i], row);
    struct fingerprint f = key_fingerprint(secret, b.p ? (void *)b.p : "", b.n);
    buf_fini(&b);
    return f;
}

/* ---- rows ---- */

static struct str kept(struct chunk *k, struct str s)
{
    return str_from(arena_copy(&k->arena, s.p, s.n), s.n);
}

/* A deleted row has no values after it: those of the key are taken from the record's key. */
static void copy_key(const struct changes *d, struct chunk *k, size_t row)
{
    for (size_t i = 0; i < d->key_count; i++) {
        const struct column *from = &k->keys.column[i];
        struct column *to = &k->c.column[CHANGE_META + d->key_at[i]];
        size_t width = column_width(to->type);
        to->nulls[row] = from->nulls[row];
        memcpy((char *)to->any + row * width, (const char *)from->any + row * width, width);
    }
}

static bool add_key(struct changes *d, struct chunk *k, const struct record *r, struct err *e)
{
    int id;
    struct str data;
    size_t row = k->keys.rows;
    if (!r->key.p) {
        for (size_t i = 0; i < d->key_count; i++)
            k->keys.column[i].nulls[row] = true;
        k->keys.rows++;
        return true;
    }
    if (!schema_wire_id(r->key, &id, &data))
        return err_set(e, ERR_INVALID, "the key is not Avro with the id of its schema in front");
    struct writer *w = writer_of(d, &d->keys, id, e);
    if (!w || !avro_decode(w->decoder, kept(k, data), &k->keys, e))
        return false;
    if (d->has_secret)
        k->key[row] = changes_key(&d->secret, &k->keys, row);
    return true;
}

static void add_place(struct chunk *k, size_t row, int32_t partition, int64_t offset)
{
    const struct column *snapshot = &k->raw.column[RAW_SNAPSHOT];
    k->c.column[CHANGE_PARTITION].i32[row] = partition;
    k->c.column[CHANGE_OFFSET].i64[row] = offset;
    k->c.column[CHANGE_SNAPSHOT].bools[row] = !snapshot->nulls[row] && !str_is(snapshot->strs[row], "false");
}

static bool add_row(struct changes *d, struct chunk *k, int32_t partition, const struct record *r,
                    struct err *e)
{
    int id;
    struct str data;
    size_t row = k->raw.rows;
    if (!schema_wire_id(r->value, &id, &data))
        return err_set(e, ERR_INVALID, "the value is not Avro with the id of its schema in front");
    struct writer *w = writer_of(d, &d->values, id, e);
    k->keys.rows = row; // a record that failed before may have left its key
    if (!w || (d->key_count > 0 && !add_key(d, k, r, e)) ||
        !avro_decode(w->decoder, kept(k, data), &k->raw, e))
        return false;
    const struct column *op = &k->raw.column[RAW_OP];
    k->op[row] = op->nulls[row] || op->strs[row].n != 1 ? '?' : op->strs[row].p[0];
    if (!strchr("cudrt", k->op[row]) || !k->op[row]) {
        k->raw.rows = row;
        return err_set(e, ERR_INVALID, "op is none of c, u, d, r, t");
    }
    if (d->key_count > 0 && !r->key.p && k->op[row] != 't') {
        k->raw.rows = row;
        return err_set(e, ERR_INVALID, "the record has no key, others of the topic have");
    }
    if (w->millis)
        k->raw.column[RAW_TS].i64[row] *= 1000;
    add_place(k, row, partition, r->offset);
    if (k->op[row] == 'd')
        copy_key(d, k, row);
    k->c.rows = k->raw.rows;
    k->bytes += r->key.n + r->value.n;
    return true;
}

bool changes_add(struct changes *d, struct chunk *k, int32_t partition, const struct record *r, struct err *e)
{
    assert(!chunk_is_full(k));
    *e = (struct err){0};
    if (r->control || !r->value.p)
        return false;
    if (add_row(d, k, partition, r, e))
        return true;
    return err_wrap(e, "topic %.*s, partition %d, offset %lld", STR_ARG(d->topic), (int)partition,
                    (long long)r->offset);
}

bool change_is_unavailable(const struct column *c, size_t row)
{
    return (c->type == COLUMN_TEXT || c->type == COLUMN_BYTES) && !c->nulls[row] &&
           str_is(c->strs[row], "__debezium_unavailable_value");
}
