/*
 * engine_int: what the files of this room share: DuckDB's functions by name, the structs behind engine.h.
 *
 * Each function of DuckDB is called as duck.NAME(...): the table is filled from the library when it is loaded. A function
 * that is missing there is an error when the engine opens, never a crash later.
 */
#pragma once

#include "base/map.h"
#include "engine/engine.h"
#include "os/thread.h"

#include <duckdb.h>

__extension__ typedef unsigned __int128 u128;

struct duck {
#define X(name) __typeof__(duckdb_##name)(*(name));
#include "engine/duck.def"
#undef X
};
extern struct duck duck; // filled once, under the lock of the engine that opens first

/* Loads the library, once for the process; `path` as duckdb in engine_options. */
bool duck_load(const char *path, struct err *e) MUST_CHECK;
/* e from DuckDB's kind and message; frees nothing. False. */
bool duck_error(struct err *e, duckdb_error_type type, const char *message);

struct engine {
    char *duckdb, *temp_dir;
    char **readable;
    int64_t memory_bytes;
    int threads;
    struct mutex lock; // all below
    bool open;
    duckdb_database db;
    struct map sources; // name -> const struct engine_source *
    struct map lives;   // decimal id -> const struct engine_live *
    int64_t last_id;
};

struct session {
    struct engine *engine;
    duckdb_connection con;
};

bool source_register(struct engine *en, duckdb_connection con, struct err *e) MUST_CHECK;
bool live_register(struct engine *en, duckdb_connection con, struct err *e) MUST_CHECK;

/* ---- types and values of results ---- */

struct value_type {
    duckdb_type id;
    duckdb_type inside; // of decimals and enums: how the values are kept
    uint8_t width, scale;
    struct str name;              // in its struct or union
    struct value_type **children; // list, array: 1; map: key, value; struct; union: members
    size_t child_count;
    size_t array_size;
    struct str *symbols; // enum
    size_t symbol_count;
};

struct value_type *value_type_of(struct arena *a, duckdb_logical_type t); // does not free t
void value_type_sql(const struct value_type *t, struct buf *out);
bool value_type_known(const struct value_type *t); // can value_json() write it?
void value_json(const struct value_type *t, duckdb_vector v, idx_t row, struct buf *out);
i128 value_i128(duckdb_type inside, const void *data, idx_t row); // a decimal's number
struct str value_str(const duckdb_string_t *s);                   // borrows
static inline bool value_is_null(duckdb_vector v, idx_t row)
{
    const uint64_t *valid = duck.vector_get_validity(v);
    return valid && !(valid[row / 64] >> (row % 64) & 1);
}

struct result {
    struct session *session;
    struct arena arena;
    duckdb_result result;
    bool has_result;
    struct result_field *fields;
    struct value_type **types;
    size_t count;
    duckdb_data_chunk chunk; // NULL before the first and after the last
};
/* Executes and reads the shape of what comes; result_free() whatever it answers. */
bool result_start(struct result *r, duckdb_pending_result pending, struct err *e) MUST_CHECK;
