/*
 * engine: SQL over columns and Parquet; DuckDB behind a door.
 *
 * This room alone includes duckdb.h. libduckdb.so is loaded when the first session is opened and not before, so a process
 * that never asks pays nothing for it (the library and an empty database take about 20 MB).
 *
 *     struct engine *en = engine_new(&(struct engine_options){.temp_dir = dir});
 *     session_open(en, &s, e)
 *     session_query(s, STR("SELECT 42 AS answer"), 0, &r, e)
 *     while (result_next(r, &rows, e) && rows > 0)
 *         for (size_t i = 0; i < rows; i++)
 *             result_json_row(r, i, &out);
 *     result_free(r), session_close(s), engine_free(en)
 *
 * A session is one connection: one thread at a time may use it. Results stream; a result is
 * freed before its session is asked again. Everything here blocks: call it from jobs or task threads. SQL may read files
 * only below the folders named in the options, and extensions are never fetched.
 *
 * Rows go in through an engine_source: a table function, tarn_source('name'), that asks its owner for batches of columns.
 * Positions of deleted rows go in as an engine_live: a function tarn_live(id, file_index, file_row_number).
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "schema/columns.h"

struct engine;
struct session;
struct result;

struct engine_options {
    const char *duckdb;   // libduckdb.so; NULL: $TARN_DUCKDB, beside the program, or where the build found it
    const char *temp_dir; // where large queries spill; NULL: they do not
    const char *const *readable; // folders whose files SQL may read, NULL-terminated; NULL: only temp_dir
    int64_t memory_bytes;        // DuckDB's own limit. 0: 512 MiB
    int threads;                 // 0: one per core, at most 8
};

struct engine *engine_new(const struct engine_options *o); // copies the options, loads nothing
void engine_free(struct engine *en); // all sessions are closed before; NULL does nothing

/* ---- sessions ---- */

bool session_open(struct engine *en, struct session **out, struct err *e) MUST_CHECK;
void session_close(struct session *s); // NULL does nothing

enum session_flags {
    SESSION_READ_ONLY =
        1, // only SELECT, DESCRIBE, SHOW, SUMMARIZE and EXPLAIN of these; others are ERR_DENIED
};
/* Runs one statement; its rows stream. Errors keep DuckDB's message. */
bool session_query(struct session *s, struct str sql, int flags, struct result **out,
                   struct err *e) MUST_CHECK;
/* Runs statements whose rows nobody wants. */
bool session_exec(struct session *s, const char *sql, struct err *e) MUST_CHECK;

/* ---- results ---- */

struct result_field {
    struct str name;
    struct str type; // as SQL writes it: "DECIMAL(10,2)"
};
size_t result_fields(const struct result *r, const struct result_field **fields); // live as long as r
/* The next chunk of rows; *rows is 0 at the end. */
bool result_next(struct result *r, size_t *rows, struct err *e) MUST_CHECK;
/* One value of the present chunk as JSON. Numbers keep all digits; NaN and infinities, times and bytes are strings. */
void result_json(struct result *r, size_t field, size_t row, struct buf *out);
void result_json_row(struct result *r, size_t row, struct buf *out); // all fields: [1,"x",null]
/* The present chunk as columns in a; text and bytes are copied. ERR_UNSUPPORTED: a nested type or one that columns have no name for. */
bool result_columns(struct result *r, struct arena *a, struct columns *out, struct err *e) MUST_CHECK;
void result_free(struct result *r); // NULL does nothing

/* ---- rows in ---- */

/* A run of rows: all of `columns`, or those in `pick`. Valid until the next call on the same cursor. */
struct engine_rows {
    const struct columns *columns;
    const uint32_t *pick; // NULL: rows 0 to count - 1
    size_t count;         // 0: the end
    const int *map;       // which of `columns` each column of the source is, -1: null; NULL: one to one
};
struct engine_source {
    const struct column *like; // the shape; names are those SQL sees
    size_t count;
    void *arg;
    void *(*open)(void *arg); // a cursor for one scan; a query may scan twice at once; never NULL
    bool (*next)(void *cursor, struct engine_rows *out, struct err *e);
    void (*close)(void *cursor);
};
enum { ENGINE_NAME = 32 };
/* Makes FROM tarn_source('name') work; the name is written to `name`. Borrows src until engine_source_remove. */
void engine_source_add(struct engine *en, const struct engine_source *src, char name[ENGINE_NAME]);
void engine_source_remove(struct engine *en, const char *name);

/* Rows that are not there any more: for each file, in the order given to read_parquet, a set of positions. */
struct engine_live {
    const uint64_t *const *dead; // [files] bits by position, NULL: none
    const size_t *bits;          // [files] how many positions the set has room for; those behind are alive
    size_t files;
};
/* Makes tarn_live(id, file_index, file_row_number) work. Borrows until engine_live_remove. */
int64_t engine_live_add(struct engine *en, const struct engine_live *l);
void engine_live_remove(struct engine *en, int64_t id);

/* ---- Parquet out ---- */

struct parquet_field {
    struct str name; // column of the query
    int id;          // Iceberg's field id
};
struct parquet_write {
    const char *path;
    const char *select; // the rows, in the order they are to have in the file
    const struct parquet_field *fields;
    size_t count;
    const char *codec;         // "zstd", "snappy", "uncompressed"
    struct str iceberg_schema; // kept in the file under the key iceberg.schema; null: not
};
struct parquet_column {
    int id;
    int64_t size_bytes, values, nulls;
    bool has_nan;
    struct str min, max; // as DuckDB writes them, cut at 256 bytes; null: none
};
struct parquet_stats {
    int64_t rows, size_bytes;
    struct parquet_column *columns; // as `fields`
};
/* Not synced. On failure no file is left. */
bool session_write_parquet(struct session *s, const struct parquet_write *w, struct arena *a,
                           struct parquet_stats *stats, struct err *e) MUST_CHECK;

/* ---- text of SQL ---- */

void sql_literal(struct buf *out, struct str s); // 'it''s'
void sql_name(struct buf *out, struct str s);    // "a ""name"""

/*
 * The next name that the text says: a word, or what stands between double quotes (then copied to a). Literals and comments are passed
 * over. What a statement reads is among its names; DuckDB's own answer to that fails on joins of tables it does not know yet.
 */
bool sql_next_name(struct str *sql, struct arena *a, struct str *name);

/*
 * Files by URL: writes `sql` to `out` with each string literal "s3://bucket/key" that names a file to read replaced by what `resolve`
 * writes for it: one literal or a list of literals. Such literals are the arguments of read_parquet, read_csv, read_json and
 * their kin, also inside a list, and what stands alone behind FROM. Others stay as they are. An error of resolve is given on.
 */
typedef bool sql_resolve_fn(void *arg, struct str url, struct buf *out, struct err *e);
bool sql_resolve(struct str sql, sql_resolve_fn *resolve, void *arg, struct buf *out,
                 struct err *e) MUST_CHECK;
