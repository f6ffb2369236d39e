/* The table function tarn_source(name): rows of an engine_source, one scan one cursor, on one thread, in order. */
#include "engine/engine_int.h"

#include "base/limits.h"
#include "base/mem.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

void engine_source_add(struct engine *en, const struct engine_source *src, char name[ENGINE_NAME])
{
    mutex_lock(&en->lock);
    snprintf(name, ENGINE_NAME, "rows%" PRId64, ++en->last_id);
    map_put(&en->sources, str_of(name), (void *)(uintptr_t)src);
    mutex_unlock(&en->lock);
}

void engine_source_remove(struct engine *en, const char *name)
{
    mutex_lock(&en->lock);
    map_del(&en->sources, str_of(name));
    mutex_unlock(&en->lock);
}

static const struct engine_source *find(struct engine *en, const char *name)
{
    mutex_lock(&en->lock);
    const struct engine_source *src = map_get(&en->sources, str_of(name));
    mutex_unlock(&en->lock);
    return src;
}

static duckdb_logical_type logical_type(const struct column *c)
{
    static const duckdb_type types[] = {
        [COLUMN_BOOL] = DUCKDB_TYPE_BOOLEAN, [COLUMN_I32] = DUCKDB_TYPE_INTEGER,
        [COLUMN_I64] = DUCKDB_TYPE_BIGINT,   [COLUMN_F32] = DUCKDB_TYPE_FLOAT,
        [COLUMN_F64] = DUCKDB_TYPE_DOUBLE,   [COLUMN_TEXT] = DUCKDB_TYPE_VARCHAR,
        [COLUMN_BYTES] = DUCKDB_TYPE_BLOB,   [COLUMN_DATE] = DUCKDB_TYPE_DATE,
        [COLUMN_TIME] = DUCKDB_TYPE_TIME,    [COLUMN_TIMESTAMP] = DUCKDB_TYPE_TIMESTAMP,
        [COLUMN_UUID] = DUCKDB_TYPE_UUID,    [COLUMN_TIMESTAMPTZ] = DUCKDB_TYPE_TIMESTAMP_TZ,
    };
    if (c->type == COLUMN_DECIMAL)
        return duck.create_decimal_type(c->precision, c->scale);
    return duck.create_logical_type(types[c->type]);
}

static void source_bind(duckdb_bind_info info)
{
    struct engine *en = duck.bind_get_extra_info(info);
    duckdb_value value = duck.bind_get_parameter(info, 0);
    char *name = duck.get_varchar(value);
    const struct engine_source *src = name ? find(en, name) : NULL;
    if (!src) {
        duck.bind_set_error(info, "tarn_source: no rows of that name are offered now");
    } else {
        duck.bind_set_bind_data(info, (void *)(uintptr_t)src, NULL);
        struct buf z = buf_make(MIB);
        for (size_t i = 0; i < src->count; i++) {
            duckdb_logical_type t = logical_type(&src->like[i]);
            buf_reset(&z);
            buf_str(&z, src->like[i].name);
            duck.bind_add_result_column(info, buf_z(&z), t);
            duck.destroy_logical_type(&t);
        }
        buf_fini(&z);
    }
    duck.free(name);
    duck.destroy_value(&value);
}

/* One scan. */
struct scan {
    const struct engine_source *src;
    void *cursor;
    struct engine_rows rows;
    size_t at; // of rows.count
    bool ended;
    size_t *wanted; // [count] columns of the source that the query reads
    size_t count;
};

static void scan_free(void *arg)
{
    struct scan *s = arg;
    s->src->close(s->cursor);
    mem_free(s->wanted);
    mem_free(s);
}

static void source_init(duckdb_init_info info)
{
    struct scan *s = MEM_NEW(struct scan);
    s->src = duck.init_get_bind_data(info);
    s->count = duck.init_get_column_count(info);
    s->wanted = MEM_ARRAY(size_t, s->count + 1);
    for (size_t i = 0; i < s->count; i++)
        s->wanted[i] = duck.init_get_column_index(info, i);
    s->cursor = s->src->open(s->src->arg);
    duck.init_set_max_threads(info, 1);
    duck.init_set_init_data(info, s, scan_free);
}

/* ---- filling vectors ---- */

static void all_null(duckdb_vector v, size_t n)
{
    duck.vector_ensure_validity_writable(v);
    memset(duck.vector_get_validity(v), 0, (n + 63) / 64 * 8);
}

static void put_nulls(duckdb_vector v, const struct column *c, const uint32_t *pick, size_t at, size_t n)
{
    uint64_t *valid = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!c->nulls[pick ? pick[i] : at + i])
            continue;
        if (!valid) {
            duck.vector_ensure_validity_writable(v);
            valid = duck.vector_get_validity(v);
        }
        valid[i / 64] &= ~((uint64_t)1 << (i % 64));
    }
}

static void put_strings(duckdb_vector v, const struct column *c, const uint32_t *pick, size_t at, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t row = pick ? pick[i] : at + i;
        if (!c->nulls[row])
            duck.vector_assign_string_element_len(v, i, c->strs[row].p, c->strs[row].n);
    }
}

static duckdb_hugeint uuid_number(struct str bytes)
{
    uint64_t high = 0, low = 0;
    for (size_t i = 0; i < 8; i++) {
        high = high << 8 | (uint8_t)bytes.p[i];
        low = low << 8 | (uint8_t)bytes.p[8 + i];
    }
    return (duckdb_hugeint){.lower = low, .upper = (int64_t)(high ^ (uint64_t)1 << 63)};
}

static void put_decimal(void *data, size_t i, uint8_t precision, i128 v)
{
    if (precision <= 4)
        ((int16_t *)data)[i] = (int16_t)v;
    else if (precision <= 9)
        ((int32_t *)data)[i] = (int32_t)v;
    else if (precision <= 18)
        ((int64_t *)data)[i] = (int64_t)v;
    else
        ((duckdb_hugeint *)data)[i] = (duckdb_hugeint){.lower = (uint64_t)v, .upper = (int64_t)(v >> 64)};
}

static void put_wide(duckdb_vector v, const struct column *c, const uint32_t *pick, size_t at, size_t n)
{
    void *data = duck.vector_get_data(v);
    for (size_t i = 0; i < n; i++) {
        size_t row = pick ? pick[i] : at + i;
        if (c->nulls[row])
            continue;
        if (c->type == COLUMN_UUID)
            ((duckdb_hugeint *)data)[i] = uuid_number(c->strs[row]);
        else
            put_decimal(data, i, c->precision, c->i128[row]);
    }
}

static void put_fixed(duckdb_vector v, const struct column *c, const uint32_t *pick, size_t at, size_t n)
{
    size_t width = column_width(c->type);
    char *to = duck.vector_get_data(v);
    const char *from = c->any;
    if (!pick) {
        memcpy(to, from + at * width, n * width);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (width == 8)
            ((int64_t *)(void *)to)[i] = c->i64[pick[i]];
        else if (width == 4)
            ((int32_t *)(void *)to)[i] = c->i32[pick[i]];
        else
            to[i] = from[pick[i]];
    }
}

static void put_column(duckdb_vector v, const struct scan *s, size_t which, size_t n)
{
    int from = s->rows.map ? s->rows.map[which] : (int)which;
    if (from < 0) {
        all_null(v, n);
        return;
    }
    const struct column *c = &s->rows.columns->column[from];
    assert(c->type == s->src->like[which].type);
    const uint32_t *pick = s->rows.pick ? s->rows.pick + s->at : NULL;
    put_nulls(v, c, pick, s->at, n);
    if (c->type == COLUMN_TEXT || c->type == COLUMN_BYTES)
        put_strings(v, c, pick, s->at, n);
    else if (c->type == COLUMN_DECIMAL || c->type == COLUMN_UUID)
        put_wide(v, c, pick, s->at, n);
    else
        put_fixed(v, c, pick, s->at, n);
}

static void source_fill(duckdb_function_info info, duckdb_data_chunk chunk)
{
    struct scan *s = duck.function_get_init_data(info);
    if (!s->ended && s->at == s->rows.count) {
        struct err e = {0};
        s->at = 0;
        s->rows = (struct engine_rows){0};
        if (!s->src->next(s->cursor, &s->rows, &e)) {
            duck.function_set_error(info, e.msg);
            return;
        }
        s->ended = s->rows.count == 0;
    }
    size_t n = s->rows.count - s->at, most = duck.vector_size();
    n = n < most ? n : most;
    for (size_t i = 0; n > 0 && i < s->count; i++)
        if (s->wanted[i] < s->src->count) // beyond: the row id that count(*) asks for
            put_column(duck.data_chunk_get_vector(chunk, i), s, s->wanted[i], n);
    duck.data_chunk_set_size(chunk, n);
    s->at += n;
}

bool source_register(struct engine *en, duckdb_connection con, struct err *e)
{
    duckdb_table_function f = duck.create_table_function();
    duckdb_logical_type text = duck.create_logical_type(DUCKDB_TYPE_VARCHAR);
    duck.table_function_set_name(f, "tarn_source");
    duck.table_function_add_parameter(f, text);
    duck.table_function_set_extra_info(f, en, NULL);
    duck.table_function_set_bind(f, source_bind);
    duck.table_function_set_init(f, source_init);
    duck.table_function_set_function(f, source_fill);
    duck.table_function_supports_projection_pushdown(f, true);
    bool ok = duck.register_table_function(con, f) == DuckDBSuccess;
    duck.destroy_logical_type(&text);
    duck.destroy_table_function(&f);
    return ok ? true : err_set(e, ERR_IO, "DuckDB did not take the function tarn_source");
}
