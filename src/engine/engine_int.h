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

#define DUCK_FUNCTIONS(X)                                                                                     \
    X(create_config)                                                                                          \
    X(set_config)                                                                                             \
    X(destroy_config)                                                                                         \
    X(open_ext)                                                                                               \
    X(close)                                                                                                  \
    X(connect) X(disconnect) X(interrupt) X(free) X(vector_size) X(query) X(destroy_result) X(                \
        result_error) X(result_error_type) X(extract_statements) X(prepare_extracted_statement)               \
        X(extract_statements_error) X(destroy_extracted) X(prepare_error) X(destroy_prepare) X(               \
            prepared_statement_type) X(pending_prepared_streaming) X(pending_error) X(execute_pending)        \
            X(destroy_pending) X(fetch_chunk) X(column_count) X(column_name) X(column_logical_type) X(        \
                get_type_id) X(destroy_logical_type) X(create_logical_type) X(create_decimal_type)            \
                X(decimal_width) X(decimal_scale) X(decimal_internal_type) X(enum_internal_type) X(           \
                    enum_dictionary_size) X(enum_dictionary_value) X(list_type_child_type)                    \
                    X(array_type_child_type) X(array_type_array_size) X(map_type_key_type) X(                 \
                        map_type_value_type) X(struct_type_child_count) X(struct_type_child_name)             \
                        X(struct_type_child_type) X(union_type_member_count) X(union_type_member_name) X(     \
                            union_type_member_type) X(destroy_data_chunk) X(data_chunk_get_vector)            \
                            X(data_chunk_get_size) X(data_chunk_set_size) X(vector_get_data) X(               \
                                vector_get_validity) X(vector_ensure_validity_writable)                       \
                                X(vector_assign_string_element_len) X(list_vector_get_child) X(               \
                                    struct_vector_get_child) X(array_vector_get_child) X(get_varchar)         \
                                    X(destroy_value) X(create_scalar_function) X(destroy_scalar_function) X(  \
                                        scalar_function_set_name) X(scalar_function_add_parameter)            \
                                        X(scalar_function_set_return_type) X(scalar_function_set_extra_info)  \
                                            X(scalar_function_set_function) X(register_scalar_function) X(    \
                                                scalar_function_get_extra_info) X(scalar_function_set_error)  \
                                                X(create_table_function) X(destroy_table_function) X(         \
                                                    table_function_set_name) X(table_function_add_parameter)  \
                                                    X(table_function_set_extra_info) X(                       \
                                                        table_function_set_bind) X(table_function_set_init)   \
                                                        X(table_function_set_function) X(                     \
                                                            table_function_supports_projection_pushdown)      \
                                                            X(register_table_function) X(                     \
                                                                bind_get_extra_info)                          \
                                                                X(bind_add_result_column) X(                  \
                                                                    bind_get_parameter) X(bind_set_bind_data) \
                                                                    X(bind_set_error) X(init_get_bind_data)   \
                                                                        X(init_set_init_data) X(              \
                                                                            init_get_column_count)            \
                                                                            X(init_get_column_index) X(       \
                                                                                init_set_max_threads)         \
                                                                                X(function_get_bind_data) X(  \
                                                                                    function_get_init_data)   \
                                                                                    X(function_set_error)

struct duck {
#define X(name) __typeof__(duckdb_##name)(*(name));
    DUCK_FUNCTIONS(X)
#undef X
};
extern struct duck duck; // filled once, under the lock of the engine that opens first

/* Loads the library, once for the process; `library` as in engine_options. */
bool duck_load(const char *library, struct err *e) MUST_CHECK;
/* e from DuckDB's kind and message; frees nothing. False. */
bool duck_error(struct err *e, duckdb_error_type type, const char *message);

struct engine {
    char *library, *temp_dir;
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
