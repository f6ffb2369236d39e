#include "base/limits.h"
#include "base/test.h"
#include "engine/engine.h"

static bool to_path(void *arg, struct str url, struct buf *out, struct err *e)
{
    (void)arg;
    if (str_ends(url, STR("missing.parquet")))
        return err_set(e, ERR_NOT_FOUND, "no object %.*s", STR_ARG(url));
    if (memchr(url.p, '*', url.n)) {
        buf_str(out, STR("['/a', '/b']"));
        return true;
    }
    buf_str(out, STR("'/blob'"));
    return true;
}

static bool becomes(const char *sql, const char *want)
{
    struct err e = {0};
    struct buf out = buf_make(MIB);
    bool ok = sql_resolve(str_of(sql), to_path, NULL, &out, &e);
    const char *got = ok ? buf_z(&out) : e.msg;
    bool same = strcmp(got, want) == 0;
    if (!same)
        printf("# got  %s\n# want %s\n", got, want);
    buf_fini(&out);
    return same;
}

TEST(arguments_of_readers)
{
    OK(becomes("SELECT * FROM read_parquet('s3://raw/x')", "SELECT * FROM read_parquet('/blob')"));
    OK(becomes("select * from READ_CSV( 's3://raw/x*' , header = true)",
               "select * from READ_CSV( ['/a', '/b'] , header = true)"));
    OK(becomes("FROM read_parquet(['s3://r/1', 's3://r/2'])", "FROM read_parquet(['/blob', '/blob'])"));
    OK(becomes("FROM read_json_auto('s3://r/it''s')", "FROM read_json_auto('/blob')"));
}

TEST(whole_of_from)
{
    OK(becomes("FROM 's3://r/a.parquet' t", "FROM read_parquet('/blob') t"));
    OK(becomes("SELECT 1 FROM x JOIN 's3://r/a.csv.gz' USING (id)",
               "SELECT 1 FROM x JOIN read_csv('/blob') USING (id)"));
    OK(becomes("FROM 's3://r/a.bin'",
               "s3://r/a.bin: its name does not say what it holds; use read_parquet, read_csv or read_json"));
}

TEST(other_literals_stay)
{
    static const char *const same[] = {
        "SELECT 's3://r/x.parquet'",
        "SELECT * FROM t WHERE path = 's3://r/x.parquet'",
        "SELECT lower('s3://r/x')",
        "SELECT * FROM read_parquet(lower('s3://r/x'))",
        "-- FROM 's3://r/x'\nSELECT 1",
        "/* read_parquet('s3://r/x') */ SELECT 1",
        "SELECT \"read_parquet('s3://r/x')\" FROM t",
        "SELECT $q$read_parquet('s3://r/x')$q$",
        "SELECT 'it''s read_parquet(''s3://x'')'",
        "SELECT * FROM read_parquet('/local')",
        "SELECT 'open",
        "SELECT \"open",
        ")))](",
        "",
    };
    for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++)
        OK(becomes(same[i], same[i]));
}

TEST(an_unknown_object_is_named)
{
    OK(becomes("FROM read_parquet('s3://r/missing.parquet')", "no object s3://r/missing.parquet"));
}

TEST(names_that_a_statement_says)
{
    struct arena a = {0};
    struct str
        sql =
            STR("SELECT o.x FROM silver.Orders JOIN \"Two \"\"w\" -- customers\nWHERE a='payments' /* b */"),
        name;
    static const char *const want[] = {"SELECT", "o",    "x",       "FROM",  "silver",
                                       "Orders", "JOIN", "Two \"w", "WHERE", "a"};
    for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++)
        OK(sql_next_name(&sql, &a, &name) && str_is(name, want[i]));
    OK(!sql_next_name(&sql, &a, &name));
    arena_fini(&a);
}

TEST(names_and_literals_are_quoted)
{
    struct buf b = buf_make(MIB);
    sql_literal(&b, STR("it's"));
    sql_name(&b, STR("a\"b"));
    OK(str_is(buf_view(&b), "'it''s'\"a\"\"b\""));
    buf_fini(&b);
}

TEST_MAIN
