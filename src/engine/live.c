/* The function tarn_live(id, file_index, file_row_number): is that row of the Parquet files still there? */
#include "engine/engine_int.h"

#include <inttypes.h>
#include <stdio.h>

static struct str key_of(int64_t id, char out[32])
{
    int n = snprintf(out, 32, "%" PRId64, id);
    return str_from(out, (size_t)n);
}

int64_t engine_live_add(struct engine *en, const struct engine_live *l)
{
    char key[32];
    mutex_lock(&en->lock);
    int64_t id = ++en->last_id;
    map_put(&en->lives, key_of(id, key), (void *)(uintptr_t)l);
    mutex_unlock(&en->lock);
    return id;
}

void engine_live_remove(struct engine *en, int64_t id)
{
    char key[32];
    mutex_lock(&en->lock);
    map_del(&en->lives, key_of(id, key));
    mutex_unlock(&en->lock);
}

static const struct engine_live *find(struct engine *en, int64_t id)
{
    char key[32];
    mutex_lock(&en->lock);
    const struct engine_live *l = map_get(&en->lives, key_of(id, key));
    mutex_unlock(&en->lock);
    return l;
}

static bool is_live(const struct engine_live *l, uint64_t file, int64_t row)
{
    if (file >= l->files || !l->dead[file] || row < 0 || (uint64_t)row >= l->bits[file])
        return true;
    return !(l->dead[file][row / 64] >> (row % 64) & 1);
}

/* DuckDB has flattened the arguments; the id is the same in all rows. */
static void live(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output)
{
    struct engine *en = duck.scalar_function_get_extra_info(info);
    idx_t n = duck.data_chunk_get_size(input);
    bool *out = duck.vector_get_data(output);
    if (n == 0)
        return;
    const int64_t *id = duck.vector_get_data(duck.data_chunk_get_vector(input, 0));
    const uint64_t *file = duck.vector_get_data(duck.data_chunk_get_vector(input, 1));
    const int64_t *row = duck.vector_get_data(duck.data_chunk_get_vector(input, 2));
    const struct engine_live *l = find(en, id[0]);
    if (!l) {
        duck.scalar_function_set_error(info, "tarn_live: no such set of rows now");
        return;
    }
    for (idx_t i = 0; i < n; i++)
        out[i] = is_live(l, file[i], row[i]);
}

bool live_register(struct engine *en, duckdb_connection con, struct err *e)
{
    duckdb_scalar_function f = duck.create_scalar_function();
    static const duckdb_type parameters[] = {DUCKDB_TYPE_BIGINT, DUCKDB_TYPE_UBIGINT, DUCKDB_TYPE_BIGINT};
    duck.scalar_function_set_name(f, "tarn_live");
    for (size_t i = 0; i < 3; i++) {
        duckdb_logical_type t = duck.create_logical_type(parameters[i]);
        duck.scalar_function_add_parameter(f, t);
        duck.destroy_logical_type(&t);
    }
    duckdb_logical_type boolean = duck.create_logical_type(DUCKDB_TYPE_BOOLEAN);
    duck.scalar_function_set_return_type(f, boolean);
    duck.scalar_function_set_extra_info(f, en, NULL);
    duck.scalar_function_set_function(f, live);
    bool ok = duck.register_scalar_function(con, f) == DuckDBSuccess;
    duck.destroy_logical_type(&boolean);
    duck.destroy_scalar_function(&f);
    return ok ? true : err_set(e, ERR_IO, "DuckDB did not take the function tarn_live");
}
