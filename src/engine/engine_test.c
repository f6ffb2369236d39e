#include "engine/engine.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/test.h"
#include "os/os.h"
#include "os/tempdir.h"

static struct fixture {
    char dir[TEMPDIR_MAX];
    struct engine *en;
    struct session *s;
    struct arena a;
} f;

static void begin(void)
{
    struct err e;
    f = (struct fixture){0};
    OK(tempdir_make(f.dir));
    f.en = engine_new(&(struct engine_options){.temp_dir = f.dir, .threads = 2});
    OK(session_open(f.en, &f.s, &e) || (printf("# %s\n", e.msg), false));
}

static void end(void)
{
    struct err e;
    session_close(f.s);
    engine_free(f.en);
    arena_fini(&f.a);
    OK(os_remove_tree(os_real(), f.dir, &e));
}

/* All rows of a query as JSON, one a line, in f.a; NULL and e when it failed. */
static const char *ask(const char *sql, struct err *e)
{
    struct result *r;
    struct buf out = buf_make(MIB);
    size_t rows;
    if (!session_query(f.s, str_of(sql), SESSION_READ_ONLY, &r, e))
        return NULL;
    bool ok;
    while ((ok = result_next(r, &rows, e)) && rows > 0)
        for (size_t i = 0; i < rows; i++) {
            result_json_row(r, i, &out);
            buf_u8(&out, '\n');
        }
    result_free(r);
    const char *text = ok ? arena_str(&f.a, str_from(buf_z(&out), out.n + 1)).p : NULL;
    buf_fini(&out);
    return text;
}

static bool answers(const char *sql, const char *want)
{
    struct err e = {0};
    const char *got = ask(sql, &e);
    if (got && strcmp(got, want) == 0)
        return true;
    printf("# %s\n# got  %s# want %s", sql, got ? got : e.msg, want);
    return false;
}

/* First, because a library that was loaded once stays. */
TEST(no_library_is_a_clear_error)
{
    struct err e;
    struct session *s;
    struct engine *en = engine_new(&(struct engine_options){.duckdb = "there-is-no-libduckdb.so"});
    OK(!session_open(en, &s, &e) && e.kind == ERR_NOT_FOUND && strstr(e.msg, "TARN_DUCKDB"));
    engine_free(en);
}

TEST(values_as_json)
{
    begin();
    OK(answers("SELECT 42, NULL, 'a\"b', true, 9223372036854775807, 1e300, 0.1::FLOAT, 'nan'::DOUBLE",
               "[42,null,\"a\\\"b\",true,9223372036854775807,1e+300,0.1,\"NaN\"]\n"));
    OK(answers("SELECT 12.30::DECIMAL(10,2), -0.05::DECIMAL(4,2), 0::DECIMAL(38,10), -1::HUGEINT, "
               "340282366920938463463374607431768211455::UHUGEINT",
               "[12.30,-0.05,0.0000000000,-1,340282366920938463463374607431768211455]\n"));
    OK(answers("SELECT DATE '2024-02-29', TIMESTAMP '2024-02-29 01:02:03.45', TIMESTAMPTZ '1969-12-31 "
               "23:59:59.999999+00', "
               "TIME '23:59:59.5', INTERVAL '1 year 2 days 3 seconds', TIMESTAMP '-infinity', DATE "
               "'0044-03-15 (BC)'",
               "[\"2024-02-29\",\"2024-02-29 01:02:03.45\",\"1969-12-31 23:59:59.999999+00\",\"23:59:59.5\","
               "\"1 year 2 days 00:00:03\",\"-infinity\",\"0044-03-15 (BC)\"]\n"));
    OK(answers("SELECT [1,NULL,3], {'a': 1, 'b': ['x']}, MAP {'k': 1}, MAP {1: 'v'}, 'ab'::BLOB, "
               "[1,2]::INTEGER[2], '10101'::BIT",
               "[[1,null,3],{\"a\":1,\"b\":[\"x\"]},{\"k\":1},[[1,\"v\"]],\"\\\\x6162\",[1,2],\"10101\"]\n"));
    OK(answers(
        "SELECT '12345678-9abc-def0-0123-456789abcdef'::UUID, 'b'::ENUM('a','b'), '12:00:00+05:30'::TIMETZ",
        "[\"12345678-9abc-def0-0123-456789abcdef\",\"b\",\"12:00:00+05:30\"]\n"));
    end();
}

TEST(fields_are_named_and_typed)
{
    struct err e;
    struct result *r;
    const struct result_field *fields;
    begin();
    OK(session_query(f.s, STR("SELECT 1 AS a, 1.5 AS \"B c\", [{'x': 1}] AS l"), 0, &r, &e));
    OK(result_fields(r, &fields) == 3);
    OK(str_is(fields[1].name, "B c") && str_is(fields[1].type, "DECIMAL(2,1)"));
    OK(str_is(fields[2].type, "STRUCT(\"x\" INTEGER)[]"));
    result_free(r);
    end();
}

TEST(errors_keep_the_message)
{
    struct err e;
    begin();
    OK(!ask("SELEC 1", &e) && e.kind == ERR_INVALID && strstr(e.msg, "SELEC"));
    OK(!ask("SELECT * FROM nowhere", &e) && strstr(e.msg, "nowhere"));
    OK(!ask("SELECT 1; SELECT 2", &e) && strstr(e.msg, "more than one"));
    OK(!ask("  ", &e) && e.kind == ERR_INVALID);
    OK(!ask("SELECT 'x'::INTEGER", &e) && e.kind == ERR_INVALID);
    OK(!ask("SELECT 1::BIGNUM AS b", &e) && e.kind == ERR_UNSUPPORTED);
    end();
}

TEST(a_reader_cannot_write)
{
    struct err e;
    static const char *const bad[] = {"CREATE TABLE t (a INT)",
                                      "COPY (SELECT 1) TO 'x.csv'",
                                      "SET threads = 1",
                                      "EXPLAIN ANALYZE COPY (SELECT 1) TO 'x.csv'",
                                      "ATTACH 'x.db'",
                                      "INSTALL httpfs",
                                      "EXPLAIN ANALYZE INSERT INTO t VALUES (1)",
                                      "PRAGMA memory_limit='1GB'",
                                      "CHECKPOINT"};
    begin();
    OK(session_exec(f.s, "CREATE TABLE t (a INT)", &e));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        OK((!ask(bad[i], &e) && e.kind == ERR_DENIED) || (printf("# %s: %s\n", bad[i], e.msg), false));
    OK(answers("SELECT count(*) FROM t", "[0]\n"));
    OK(ask("EXPLAIN ANALYZE SELECT 1", &e) && ask("DESCRIBE t", &e) && ask("SHOW TABLES", &e) &&
       ask("SUMMARIZE t", &e));
    OK(!ask("SELECT * FROM read_text('/etc/passwd')", &e) && e.kind == ERR_DENIED);
    OK(!session_exec(f.s, "SET GLOBAL enable_external_access = true", &e));
    OK(!session_exec(f.s, "LOAD httpfs", &e));
    end();
}

/* ---- rows in ---- */

struct numbers { // rows 0 .. total - 1 in batches
    size_t total, batch;
    struct column like[6];
};

struct numbers_cursor {
    const struct numbers *of;
    size_t at;
    struct arena a;
    struct columns c;
    uint32_t pick[8192];
};

static void *numbers_open(void *arg)
{
    struct numbers_cursor *c = MEM_NEW(struct numbers_cursor);
    c->of = arg;
    return c;
}

static bool numbers_next(void *cursor, struct engine_rows *out, struct err *e)
{
    struct numbers_cursor *c = cursor;
    size_t n = c->of->total - c->at;
    n = n < c->of->batch ? n : c->of->batch;
    if (n == 0 && c->of->batch == 13)
        return err_set(e, ERR_IO, "thirteen is not a number of rows");
    arena_reset(&c->a);
    columns_init(&c->c, &c->a, c->of->like, 6, n + 1);
    for (size_t i = 0; i < n; i++) {
        int64_t v = (int64_t)(c->at + i);
        c->c.column[0].i64[i] = v;
        c->c.column[1].strs[i] = str_of(arena_fmt(&c->a, "a longer text than twelve: %d", (int)v));
        c->c.column[2].i128[i] = v * 1000 + 5;
        c->c.column[3].i64[i] = v * 1000000;
        c->c.column[4].bools[i] = v % 2;
        c->c.column[5].nulls[i] = v % 3 == 0;
        c->c.column[5].i32[i] = (int32_t)v;
        c->pick[i] = (uint32_t)i;
    }
    c->c.rows = n;
    c->at += n;
    *out = (struct engine_rows){.columns = &c->c, .count = n, .pick = c->at % 2 ? c->pick : NULL};
    return true;
}

static void numbers_close(void *cursor)
{
    struct numbers_cursor *c = cursor;
    arena_fini(&c->a);
    mem_free(c);
}

static struct numbers numbers_of(size_t total, size_t batch)
{
    return (struct numbers){
        .total = total,
        .batch = batch,
        .like = {{.name = STR("id"), .type = COLUMN_I64},
                 {.name = STR("text"), .type = COLUMN_TEXT},
                 {.name = STR("price"), .type = COLUMN_DECIMAL, .precision = 20, .scale = 3},
                 {.name = STR("at"), .type = COLUMN_TIMESTAMPTZ},
                 {.name = STR("odd"), .type = COLUMN_BOOL},
                 {.name = STR("maybe"), .type = COLUMN_I32}},
    };
}

static struct engine_source source_of(struct numbers *n)
{
    return (struct engine_source){.like = n->like,
                                  .count = 6,
                                  .arg = n,
                                  .open = numbers_open,
                                  .next = numbers_next,
                                  .close = numbers_close};
}

TEST(rows_of_a_source)
{
    struct err e;
    struct numbers n = numbers_of(10001, 4999);
    struct engine_source src = source_of(&n);
    char name[ENGINE_NAME];
    begin();
    engine_source_add(f.en, &src, name);
    OK(answers(
        arena_fmt(&f.a, "SELECT count(*), sum(id), count(maybe), sum(price) FROM tarn_source('%s')", name),
        "[10001,50005000,6667,50005050.005]\n"));
    OK(answers(arena_fmt(&f.a, "SELECT * FROM tarn_source('%s') WHERE id = 5001", name),
               "[5001,\"a longer text than twelve: 5001\",5001.005,\"1970-01-01 01:23:21+00\",true,null]\n"));
    OK(answers(arena_fmt(&f.a, "SELECT count(*) FROM tarn_source('%s') a JOIN tarn_source('%s') b USING (id)",
                         name, name),
               "[10001]\n"));
    engine_source_remove(f.en, name);
    OK(!ask(arena_fmt(&f.a, "SELECT * FROM tarn_source('%s')", name), &e));

    n = numbers_of(20, 13);
    engine_source_add(f.en, &src, name);
    OK(!ask(arena_fmt(&f.a, "SELECT * FROM tarn_source('%s')", name), &e) && strstr(e.msg, "thirteen"));
    engine_source_remove(f.en, name);
    end();
}

TEST(parquet_with_ids_and_statistics)
{
    struct err e;
    struct numbers n = numbers_of(300000, 5000);
    struct engine_source src = source_of(&n);
    char name[ENGINE_NAME];
    begin();
    engine_source_add(f.en, &src, name);
    struct parquet_field fields[6];
    for (int i = 0; i < 6; i++)
        fields[i] = (struct parquet_field){.name = n.like[i].name, .id = i + 1};
    struct parquet_write w = {
        .path = arena_fmt(&f.a, "%s/it's.parquet", f.dir),
        .select = arena_fmt(&f.a, "SELECT * FROM tarn_source('%s')", name),
        .fields = fields,
        .count = 6,
        .codec = "zstd",
        .iceberg_schema = STR("{\"type\":\"struct\"}"),
    };
    struct parquet_stats stats;
    OK(session_write_parquet(f.s, &w, &f.a, &stats, &e) || (printf("# %s\n", e.msg), false));
    OK(stats.rows == 300000 && stats.columns[0].values == 300000);
    OK(stats.columns[5].nulls == 100000);
    OK(str_is(stats.columns[0].min, "0") && str_is(stats.columns[0].max, "299999"));
    OK(str_is(stats.columns[2].min, "0.005") && str_is(stats.columns[3].max, "1970-01-04 11:19:59+00"));
    int64_t size;
    OK(os_size(os_real(), w.path, &size, &e) && size == stats.size_bytes);
    /* Rows lie in the order given: the lake's positions depend on it. */
    OK(answers(arena_fmt(&f.a,
                         "SELECT count(*) FROM read_parquet('%s/it''s.parquet') WHERE id <> file_row_number",
                         f.dir),
               "[0]\n"));
    OK(answers(arena_fmt(&f.a,
                         "SELECT count(*), min(price) FROM read_parquet(['%s/it''s.parquet'], schema = MAP "
                         "{1: {name: 'key', type: 'BIGINT', "
                         "default_value: NULL}, 3: {name: 'price', type: 'DECIMAL(20,3)', default_value: "
                         "NULL}, 9: {name: 'new', type: 'VARCHAR', default_value: NULL}}) "
                         "WHERE \"key\" < 10 AND \"new\" IS NULL",
                         f.dir),
               "[10,0.005]\n"));
    engine_source_remove(f.en, name);
    end();
}

TEST(dead_rows_are_hidden)
{
    struct err e;
    begin();
    const char *one = arena_fmt(&f.a, "%s/1.parquet", f.dir), *two = arena_fmt(&f.a, "%s/2.parquet", f.dir);
    for (int i = 0; i < 2; i++)
        OK(session_exec(f.s,
                        arena_fmt(&f.a, "COPY (SELECT %d * 1000 + i AS v FROM range(1000) t(i)) TO '%s'", i,
                                  i ? two : one),
                        &e));
    uint64_t dead[2] = {0x8000000000000001, 2}; // rows 0, 63, 65 of the second
    const uint64_t *sets[2] = {NULL, dead};
    const size_t bits[2] = {0, 128};
    struct engine_live live = {.dead = sets, .bits = bits, .files = 2};
    int64_t id = engine_live_add(f.en, &live);
    OK(answers(arena_fmt(&f.a,
                         "SELECT count(*), sum(v) FROM read_parquet(['%s', '%s']) WHERE tarn_live(%d, "
                         "file_index, file_row_number)",
                         one, two, (int)id),
               "[1997,1995872]\n"));
    engine_live_remove(f.en, id);
    OK(!ask(arena_fmt(
                &f.a,
                "SELECT count(*) FROM read_parquet(['%s']) WHERE tarn_live(%d, file_index, file_row_number)",
                one, (int)id),
            &e));
    end();
}

TEST(results_into_columns)
{
    struct err e;
    struct result *r;
    struct columns c;
    size_t rows;
    begin();
    OK(session_query(f.s,
                     STR("SELECT i, 'n' || i, (i * 1.25)::DECIMAL(9,2), i > 1, if(i = 1, NULL, i::DOUBLE), "
                         "'00000000-0000-0000-0000-00000000000f'::UUID, i::SMALLINT FROM range(3) t(i)"),
                     0, &r, &e));
    OK(result_next(r, &rows, &e) && rows == 3);
    OK(result_columns(r, &f.a, &c, &e));
    OK(c.rows == 3 && c.column[0].i64[2] == 2 && str_is(c.column[1].strs[1], "n1"));
    OK(c.column[2].i128[1] == 125 && c.column[2].scale == 2 && c.column[3].bools[2]);
    OK(c.column[4].nulls[1] && c.column[4].f64[2] == 2.0);
    OK(c.column[5].strs[0].n == 16 && c.column[5].strs[0].p[15] == 15 && c.column[6].i32[2] == 2);
    OK(result_next(r, &rows, &e) && rows == 0);
    result_free(r);
    OK(session_query(f.s, STR("SELECT [1]"), 0, &r, &e));
    OK(result_next(r, &rows, &e) && !result_columns(r, &f.a, &c, &e) && e.kind == ERR_UNSUPPORTED);
    result_free(r);
    end();
}

TEST_MAIN
