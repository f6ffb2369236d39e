#include "engine/engine_int.h"

#include "base/limits.h"
#include "base/mem.h"
#include "os/os.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

enum { MEMORY_MIB = 512, THREADS_MAX = 8, STATEMENT_MAX = 16 * 1024 * 1024 };

static char *copy_or_null(const char *s)
{
    return s ? mem_str(s) : NULL;
}

struct engine *engine_new(const struct engine_options *o)
{
    struct engine *en = MEM_NEW(struct engine);
    en->duckdb = copy_or_null(o->duckdb);
    en->temp_dir = copy_or_null(o->temp_dir);
    en->memory_bytes = o->memory_bytes ? o->memory_bytes : MEMORY_MIB * (int64_t)MIB;
    en->threads = o->threads ? o->threads : os_cores() < THREADS_MAX ? os_cores() : THREADS_MAX;
    size_t n = 0;
    while (o->readable && o->readable[n])
        n++;
    en->readable = MEM_ARRAY(char *, n + 1);
    for (size_t i = 0; i < n; i++)
        en->readable[i] = mem_str(o->readable[i]);
    mutex_init(&en->lock);
    return en;
}

void engine_free(struct engine *en)
{
    if (!en)
        return;
    if (en->open)
        duck.close(&en->db);
    assert(en->sources.n == 0 && en->lives.n == 0);
    map_fini(&en->sources);
    map_fini(&en->lives);
    for (size_t i = 0; en->readable[i]; i++)
        mem_free(en->readable[i]);
    mem_free(en->readable);
    mem_free(en->duckdb);
    mem_free(en->temp_dir);
    mutex_fini(&en->lock);
    mem_free(en);
}

/* ---- opening ---- */

/* What every session of this database starts from. Files outside the named folders are closed to SQL, for good. */
static void settings(struct engine *en, struct buf *sql)
{
    buf_fmt(sql, "SET GLOBAL TimeZone = 'UTC'; SET GLOBAL allowed_directories = [");
    const char *comma = "";
    for (size_t i = 0; en->readable[i]; i++, comma = ", ") {
        buf_fmt(sql, "%s", comma);
        sql_literal(sql, str_of(en->readable[i]));
    }
    if (en->temp_dir) {
        buf_fmt(sql, "%s", comma);
        sql_literal(sql, str_of(en->temp_dir));
    }
    buf_fmt(sql, "]; SET GLOBAL enable_external_access = false; SET GLOBAL lock_configuration = true;");
}

static bool configure(struct engine *en, duckdb_config config, struct err *e)
{
    char memory[32], threads[16];
    snprintf(memory, sizeof(memory), "%" PRId64 "B", en->memory_bytes);
    snprintf(threads, sizeof(threads), "%d", en->threads);
    const char *const rows[][2] = {
        {"memory_limit", memory},
        {"threads", threads},
        {"temp_directory", en->temp_dir ? en->temp_dir : ""},
        {"autoinstall_known_extensions", "false"},
        {"autoload_known_extensions", "false"},
        {"allocator_flush_threshold", "8MB"}, // memory of a large query goes back to the system after it
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (duck.set_config(config, rows[i][0], rows[i][1]) != DuckDBSuccess)
            return err_set(e, ERR_UNSUPPORTED, "DuckDB does not take the setting %s = %s", rows[i][0],
                           rows[i][1]);
    return true;
}

static bool prepare_database(struct engine *en, struct err *e)
{
    duckdb_connection con = NULL;
    if (duck.connect(en->db, &con) != DuckDBSuccess)
        return err_set(e, ERR_IO, "DuckDB gave no connection");
    struct session s = {.engine = en, .con = con};
    struct buf sql = buf_make(MIB);
    settings(en, &sql);
    bool ok = source_register(en, con, e) && live_register(en, con, e) && session_exec(&s, buf_z(&sql), e);
    buf_fini(&sql);
    duck.disconnect(&con);
    return ok;
}

static bool open_database(struct engine *en, struct err *e)
{
    duckdb_config config = NULL;
    char *why = NULL;

    if (!duck_load(en->duckdb, e))
        return false;
    if (en->temp_dir && !os_make_dirs(os_real(), en->temp_dir, e))
        return false;
    if (duck.create_config(&config) != DuckDBSuccess)
        return err_set(e, ERR_IO, "DuckDB gave no configuration");
    bool ok = configure(en, config, e);
    if (ok && duck.open_ext(":memory:", &en->db, config, &why) != DuckDBSuccess) {
        ok = err_set(e, ERR_IO, "DuckDB did not open: %s", why ? why : "no reason given");
        duck.free(why);
    }
    duck.destroy_config(&config);
    if (ok && !prepare_database(en, e)) {
        duck.close(&en->db);
        ok = false;
    }
    return ok;
}

bool session_open(struct engine *en, struct session **out, struct err *e)
{
    mutex_lock(&en->lock);
    bool ok = en->open || open_database(en, e);
    en->open = ok;
    mutex_unlock(&en->lock);
    if (!ok)
        return false;
    duckdb_connection con = NULL;
    if (duck.connect(en->db, &con) != DuckDBSuccess)
        return err_set(e, ERR_IO, "DuckDB gave no connection");
    struct session *s = MEM_NEW(struct session);
    *s = (struct session){.engine = en, .con = con};
    *out = s;
    return true;
}

void session_close(struct session *s)
{
    if (!s)
        return;
    duck.disconnect(&s->con);
    mem_free(s);
}

/* ---- statements ---- */

static bool words_next(struct str *text, struct str *word)
{
    while (text->n > 0 && strchr(" \t\r\n", text->p[0]))
        text->p++, text->n--;
    size_t n = 0;
    while (n < text->n && ((text->p[n] | 32) >= 'a' && (text->p[n] | 32) <= 'z'))
        n++;
    *word = str_from(text->p, n);
    text->p += n;
    text->n -= n;
    return n > 0;
}

/* EXPLAIN ANALYZE runs what it explains, so ANALYZE is not for read-only sessions when the rest is no query. */
static bool explains_a_query(struct str sql)
{
    struct str word;
    if (!words_next(&sql, &word) || !str_eq_nocase(word, STR("explain")))
        return false;
    if (!words_next(&sql, &word))
        return false;
    if (str_eq_nocase(word, STR("analyze")) && !words_next(&sql, &word))
        return false;
    static const char *const queries[] = {"select",   "with", "from",     "values",
                                          "describe", "show", "summarize"};
    for (size_t i = 0; i < ARRAY_LEN(queries); i++)
        if (str_eq_nocase(word, str_of(queries[i])))
            return true;
    return false;
}

static bool allowed(duckdb_prepared_statement stmt, struct str sql, struct err *e)
{
    duckdb_statement_type type = duck.prepared_statement_type(stmt);
    if (type == DUCKDB_STATEMENT_TYPE_SELECT ||
        (type == DUCKDB_STATEMENT_TYPE_EXPLAIN && explains_a_query(sql)))
        return true;
    return err_set(e, ERR_DENIED,
                   "only queries may be run here: SELECT, DESCRIBE, SHOW, SUMMARIZE, or EXPLAIN of one");
}

/* The statement in `text`, prepared; there must be one and no more. */
static bool prepare(struct session *s, const char *text, duckdb_prepared_statement *stmt, struct err *e)
{
    duckdb_extracted_statements all = NULL;
    idx_t n = duck.extract_statements(s->con, text, &all);
    const char *why = n == 0 ? duck.extract_statements_error(all) : NULL;
    bool ok = n == 1;
    if (why)
        duck_error(e, DUCKDB_ERROR_SYNTAX, why);
    else if (n != 1)
        err_set(e, ERR_INVALID,
                n ? "more than one statement: send them one at a time" : "there is no statement in the text");
    else if (duck.prepare_extracted_statement(s->con, all, 0, stmt) != DuckDBSuccess)
        ok = duck_error(e, DUCKDB_ERROR_INVALID, duck.prepare_error(*stmt));
    duck.destroy_extracted(&all);
    return ok;
}

bool session_query(struct session *s, struct str sql, int flags, struct result **out, struct err *e)
{
    if (sql.n > STATEMENT_MAX)
        return err_set(e, ERR_LIMIT, "the statement has %zu bytes, the limit is %d", sql.n, STATEMENT_MAX);
    if (memchr(sql.p, 0, sql.n))
        return err_set(e, ERR_INVALID, "a NUL byte in the statement");
    char *text = str_dup(sql);
    duckdb_prepared_statement stmt = NULL;
    duckdb_pending_result pending = NULL;
    struct result *r = NULL;

    bool ok = prepare(s, text, &stmt, e) && (!(flags & SESSION_READ_ONLY) || allowed(stmt, str_trim(sql), e));
    if (ok && duck.pending_prepared_streaming(stmt, &pending) != DuckDBSuccess)
        ok = duck_error(e, DUCKDB_ERROR_INVALID,
                        pending ? duck.pending_error(pending) : duck.prepare_error(stmt));
    if (ok) {
        r = MEM_NEW(struct result);
        r->session = s;
        ok = result_start(r, pending, e);
    }
    if (pending)
        duck.destroy_pending(&pending);
    if (stmt)
        duck.destroy_prepare(&stmt);
    mem_free(text);
    if (!ok) {
        result_free(r);
        return false;
    }
    *out = r;
    return true;
}

bool session_exec(struct session *s, const char *sql, struct err *e)
{
    duckdb_result result;
    memset(&result, 0, sizeof(result));
    bool ok = duck.query(s->con, sql, &result) == DuckDBSuccess;
    if (!ok)
        duck_error(e, duck.result_error_type(&result), duck.result_error(&result));
    duck.destroy_result(&result);
    return ok;
}
