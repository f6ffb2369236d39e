/* Parquet through COPY, with Iceberg's field ids, and the statistics that DuckDB gives back of each column. */
#include "engine/engine_int.h"

#include "base/limits.h"
#include "os/os.h"

static void write_sql(const struct parquet_write *w, struct buf *sql)
{
    buf_fmt(sql, "COPY (%s) TO ", w->select);
    sql_literal(sql, str_of(w->path));
    buf_str(sql, STR(" (FORMAT parquet, RETURN_STATS, COMPRESSION "));
    sql_literal(sql, str_of(w->codec));
    buf_str(sql, STR(", FIELD_IDS {"));
    for (size_t i = 0; i < w->count; i++) {
        if (i > 0)
            buf_str(sql, STR(", "));
        sql_name(sql, w->fields[i].name);
        buf_fmt(sql, ": %d", w->fields[i].id);
    }
    buf_u8(sql, '}');
    if (w->iceberg_schema.p) {
        buf_str(sql, STR(", KV_METADATA {\"iceberg.schema\": "));
        sql_literal(sql, w->iceberg_schema);
        buf_u8(sql, '}');
    }
    buf_u8(sql, ')');
}

/* ---- RETURN_STATS: filename, count, file_size_bytes, footer_size_bytes, column_statistics, partition_keys ---- */

struct entries { // the rows of a MAP's child vectors that belong to one map
    duckdb_vector keys, values;
    idx_t from, to;
};

static struct entries map_entries(duckdb_vector map, idx_t row)
{
    duckdb_list_entry span = ((const duckdb_list_entry *)duck.vector_get_data(map))[row];
    duckdb_vector entry = duck.list_vector_get_child(map);
    return (struct entries){
        .keys = duck.struct_vector_get_child(entry, 0),
        .values = duck.struct_vector_get_child(entry, 1),
        .from = span.offset,
        .to = span.offset + span.length,
    };
}

static struct str text_at(duckdb_vector v, idx_t row)
{
    return value_str((const duckdb_string_t *)duck.vector_get_data(v) + row);
}

static bool number(struct str key, struct str text, int64_t *out, struct err *e)
{
    return str_i64(text, out) ? true
                              : err_set(e, ERR_CORRUPT, "DuckDB's %.*s is %.*s", STR_ARG(key), STR_ARG(text));
}

static bool one_statistic(struct str key, struct str text, struct arena *a, struct parquet_column *c,
                          struct err *e)
{
    if (str_is(key, "column_size_bytes"))
        return number(key, text, &c->size_bytes, e);
    if (str_is(key, "null_count"))
        return number(key, text, &c->nulls, e);
    if (str_is(key, "num_values"))
        return number(key, text, &c->values, e);
    if (str_is(key, "has_nan"))
        c->has_nan = str_is(text, "true");
    else if (str_is(key, "min"))
        c->min = arena_str(a, text);
    else if (str_is(key, "max"))
        c->max = arena_str(a, text);
    return true;
}

static struct parquet_column *column_named(const struct parquet_write *w, struct parquet_stats *stats,
                                           struct str path)
{
    struct parquet_column *found = NULL;
    struct buf quoted = buf_make(MIB);
    for (size_t i = 0; i < w->count && !found; i++) {
        buf_reset(&quoted);
        sql_name(&quoted, w->fields[i].name); // the paths come quoted, as sql_name writes them
        if (str_eq(path, buf_view(&quoted)))
            found = &stats->columns[i];
    }
    buf_fini(&quoted);
    return found;
}

static bool read_stats(struct result *r, const struct parquet_write *w, struct arena *a,
                       struct parquet_stats *stats, struct err *e)
{
    size_t rows;
    if (!result_next(r, &rows, e))
        return false;
    if (rows != 1 || r->count < 5 || r->types[4]->id != DUCKDB_TYPE_MAP)
        return err_set(e, ERR_CORRUPT, "DuckDB's RETURN_STATS has another shape");
    stats->rows = ((const int64_t *)duck.vector_get_data(duck.data_chunk_get_vector(r->chunk, 1)))[0];
    stats->size_bytes = ((const int64_t *)duck.vector_get_data(duck.data_chunk_get_vector(r->chunk, 2)))[0];
    struct entries columns = map_entries(duck.data_chunk_get_vector(r->chunk, 4), 0);
    for (idx_t i = columns.from; i < columns.to; i++) {
        struct parquet_column *c = column_named(w, stats, text_at(columns.keys, i));
        struct entries values = map_entries(columns.values, i);
        for (idx_t k = values.from; c && k < values.to; k++)
            if (!value_is_null(values.values, k) &&
                !one_statistic(text_at(values.keys, k), text_at(values.values, k), a, c, e))
                return false;
    }
    return true;
}

bool session_write_parquet(struct session *s, const struct parquet_write *w, struct arena *a,
                           struct parquet_stats *stats, struct err *e)
{
    struct buf sql = buf_make(16 * MIB);
    struct result *r = NULL;

    *stats = (struct parquet_stats){.columns = ARENA_ARRAY(a, struct parquet_column, w->count + 1)};
    for (size_t i = 0; i < w->count; i++)
        stats->columns[i].id = w->fields[i].id;
    write_sql(w, &sql);
    bool ok = session_query(s, buf_view(&sql), 0, &r, e) && read_stats(r, w, a, stats, e);
    result_free(r);
    buf_fini(&sql);
    if (!ok) {
        os_real()->unlink(os_real(), w->path);
        return err_wrap(e, "write %s", w->path);
    }
    return true;
}
