#include "engine/engine_int.h"

#include "base/limits.h"
#include "base/mem.h"

static bool describe(struct result *r, struct err *e)
{
    r->count = duck.column_count(&r->result);
    r->fields = ARENA_ARRAY(&r->arena, struct result_field, r->count + 1);
    r->types = ARENA_ARRAY(&r->arena, struct value_type *, r->count + 1);
    struct buf text = buf_make(MIB);
    for (size_t i = 0; i < r->count; i++) {
        duckdb_logical_type t = duck.column_logical_type(&r->result, i);
        r->types[i] = value_type_of(&r->arena, t);
        duck.destroy_logical_type(&t);
        buf_reset(&text);
        value_type_sql(r->types[i], &text);
        r->fields[i].name = arena_str(&r->arena, str_of(duck.column_name(&r->result, i)));
        r->fields[i].type = arena_str(&r->arena, buf_view(&text));
    }
    buf_fini(&text);
    for (size_t i = 0; i < r->count; i++)
        if (!value_type_known(r->types[i]))
            return err_set(e, ERR_UNSUPPORTED, "column %.*s is of type %.*s: cast it to VARCHAR",
                           STR_ARG(r->fields[i].name), STR_ARG(r->fields[i].type));
    return true;
}

static bool failed(struct result *r, struct err *e)
{
    const char *why = duck.result_error(&r->result);
    return why && *why ? !duck_error(e, duck.result_error_type(&r->result), why) : false;
}

bool result_start(struct result *r, duckdb_pending_result pending, struct err *e)
{
    duckdb_state state = duck.execute_pending(pending, &r->result);
    r->has_result = true;
    if (state != DuckDBSuccess) {
        if (failed(r, e))
            return false;
        return duck_error(e, DUCKDB_ERROR_INVALID, duck.pending_error(pending));
    }
    return describe(r, e);
}

size_t result_fields(const struct result *r, const struct result_field **fields)
{
    *fields = r->fields;
    return r->count;
}

bool result_next(struct result *r, size_t *rows, struct err *e)
{
    *rows = 0;
    do {
        duck.destroy_data_chunk(&r->chunk);
        r->chunk = duck.fetch_chunk(r->result);
        if (!r->chunk)
            return !failed(r, e);
        *rows = duck.data_chunk_get_size(r->chunk);
    } while (*rows == 0);
    return true;
}

void result_json(struct result *r, size_t field, size_t row, struct buf *out)
{
    value_json(r->types[field], duck.data_chunk_get_vector(r->chunk, field), row, out);
}

void result_json_row(struct result *r, size_t row, struct buf *out)
{
    buf_u8(out, '[');
    for (size_t i = 0; i < r->count; i++) {
        if (i > 0)
            buf_u8(out, ',');
        result_json(r, i, row, out);
    }
    buf_u8(out, ']');
}

void result_free(struct result *r)
{
    if (!r)
        return;
    duck.destroy_data_chunk(&r->chunk);
    if (r->has_result)
        duck.destroy_result(&r->result);
    arena_fini(&r->arena);
    mem_free(r);
}

/* ---- into columns ---- */

static bool column_type_of(const struct value_type *t, enum column_type *out)
{
    static const struct {
        duckdb_type from;
        enum column_type to;
    } rows[] = {
        {DUCKDB_TYPE_BOOLEAN, COLUMN_BOOL},        {DUCKDB_TYPE_TINYINT, COLUMN_I32},
        {DUCKDB_TYPE_SMALLINT, COLUMN_I32},        {DUCKDB_TYPE_INTEGER, COLUMN_I32},
        {DUCKDB_TYPE_UTINYINT, COLUMN_I32},        {DUCKDB_TYPE_USMALLINT, COLUMN_I32},
        {DUCKDB_TYPE_UINTEGER, COLUMN_I64},        {DUCKDB_TYPE_BIGINT, COLUMN_I64},
        {DUCKDB_TYPE_FLOAT, COLUMN_F32},           {DUCKDB_TYPE_DOUBLE, COLUMN_F64},
        {DUCKDB_TYPE_VARCHAR, COLUMN_TEXT},        {DUCKDB_TYPE_BLOB, COLUMN_BYTES},
        {DUCKDB_TYPE_DECIMAL, COLUMN_DECIMAL},     {DUCKDB_TYPE_HUGEINT, COLUMN_DECIMAL},
        {DUCKDB_TYPE_DATE, COLUMN_DATE},           {DUCKDB_TYPE_TIME, COLUMN_TIME},
        {DUCKDB_TYPE_TIMESTAMP, COLUMN_TIMESTAMP}, {DUCKDB_TYPE_TIMESTAMP_TZ, COLUMN_TIMESTAMPTZ},
        {DUCKDB_TYPE_UUID, COLUMN_UUID},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].from == t->id) {
            *out = rows[i].to;
            return true;
        }
    return false;
}

static int32_t small_int(duckdb_type id, const void *data, size_t i)
{
    switch (id) {
    case DUCKDB_TYPE_TINYINT:
        return ((const int8_t *)data)[i];
    case DUCKDB_TYPE_UTINYINT:
        return ((const uint8_t *)data)[i];
    case DUCKDB_TYPE_SMALLINT:
        return ((const int16_t *)data)[i];
    case DUCKDB_TYPE_USMALLINT:
        return ((const uint16_t *)data)[i];
    default:
        return ((const int32_t *)data)[i];
    }
}

/* DuckDB keeps a UUID as a 128-bit number with its highest bit turned, so that it sorts as text does. */
static struct str uuid_bytes(struct arena *a, duckdb_hugeint h)
{
    uint64_t high = (uint64_t)h.upper ^ (uint64_t)1 << 63;
    char *p = arena_alloc(a, 16);
    for (int i = 0; i < 8; i++) {
        p[i] = (char)(high >> (56 - 8 * i));
        p[8 + i] = (char)(h.lower >> (56 - 8 * i));
    }
    return str_from(p, 16);
}

static void copy_values(const struct value_type *t, const void *data, struct arena *a, struct column *c,
                        size_t rows)
{
    for (size_t i = 0; i < rows; i++) {
        if (c->nulls[i])
            continue;
        switch (c->type) {
        case COLUMN_I32:
            c->i32[i] = small_int(t->id, data, i);
            break;
        case COLUMN_TEXT:
        case COLUMN_BYTES: {
            struct str s = value_str((const duckdb_string_t *)data + i);
            c->strs[i] = str_from(arena_copy(a, s.p, s.n), s.n);
            break;
        }
        case COLUMN_UUID:
            c->strs[i] = uuid_bytes(a, ((const duckdb_hugeint *)data)[i]);
            break;
        case COLUMN_DECIMAL:
            c->i128[i] = value_i128(t->inside, data, i);
            break;
        case COLUMN_I64:
            c->i64[i] =
                t->id == DUCKDB_TYPE_UINTEGER ? ((const uint32_t *)data)[i] : ((const int64_t *)data)[i];
            break;
        default:
            memcpy((char *)c->any + i * column_width(c->type), (const char *)data + i * column_width(c->type),
                   column_width(c->type));
        }
    }
}

bool result_columns(struct result *r, struct arena *a, struct columns *out, struct err *e)
{
    struct column *like = ARENA_ARRAY(a, struct column, r->count + 1);
    for (size_t i = 0; i < r->count; i++) {
        const struct value_type *t = r->types[i];
        if (!column_type_of(t, &like[i].type))
            return err_set(e, ERR_UNSUPPORTED, "column %.*s is of type %.*s", STR_ARG(r->fields[i].name),
                           STR_ARG(r->fields[i].type));
        like[i].name = r->fields[i].name;
        like[i].precision = t->width;
        like[i].scale = t->scale;
    }
    size_t rows = duck.data_chunk_get_size(r->chunk);
    columns_init(out, a, like, r->count, rows);
    for (size_t i = 0; i < r->count; i++) {
        duckdb_vector v = duck.data_chunk_get_vector(r->chunk, i);
        for (size_t row = 0; row < rows; row++)
            out->column[i].nulls[row] = value_is_null(v, row);
        copy_values(r->types[i], duck.vector_get_data(v), a, &out->column[i], rows);
    }
    out->rows = rows;
    return true;
}
