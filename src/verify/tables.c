/* The lake's side: bronze and silver as external readers see them, without the tail. */
#include "base/limits.h"
#include "engine/engine.h"
#include "lake/lake.h"
#include "verify/verify_int.h"

enum {
    BRONZE_OP,
    BRONZE_PARTITION,
    BRONZE_OFFSET,
    BRONZE_FIXED
}; // columns before the table's own, in bronze

struct table_feed {
    struct feed f; // first
    const struct source_table *t;
    struct lake_answer *answer;
    bool bronze;
    struct arena chunk_arena;
    struct columns chunk;
    size_t at; // row of chunk
    int64_t pos;
};

/* The result's next rows. False at the end, or with e->kind set. */
static bool next_chunk(struct table_feed *f, struct err *e)
{
    struct result *r = lake_answer_rows(f->answer);
    size_t rows;

    if (!result_next(r, &rows, e) || rows == 0)
        return false;
    arena_reset(&f->chunk_arena);
    f->at = 0;
    return result_columns(r, &f->chunk_arena, &f->chunk, e);
}

static void add_row(struct table_feed *f)
{
    const struct columns *c = &f->chunk;
    const struct source_table *t = f->t;
    size_t row = f->at++, first = f->bronze ? BRONZE_FIXED : 0;
    struct str key = feed_key(&f->f, c, first, t->key_at, t->key_count, row);
    bool gone = false;
    int64_t pos = f->pos++;

    if (f->bronze) {
        struct str op = c->column[BRONZE_OP].strs[row];

        if (str_is(op, "t") || str_is(op, "m"))
            return;
        gone = str_is(op, "d");
        pos = (int64_t)c->column[BRONZE_PARTITION].i32[row] << 48 | c->column[BRONZE_OFFSET].i64[row];
    }
    feed_add(&f->f, key, gone ? 0 : rowsum_row(f->f.sum, c, first, t->column_count, row), pos, gone);
}

static bool table_fill(struct feed *feed, struct err *e)
{
    struct table_feed *f = (struct table_feed *)feed;

    e->kind = ERR_NONE;
    while (feed->out.rows < FEED_ROWS) {
        if (f->at == f->chunk.rows && !next_chunk(f, e))
            return e->kind == ERR_NONE;
        add_row(f);
    }
    return true;
}

static void table_close(struct feed *feed)
{
    struct table_feed *f = (struct table_feed *)feed;

    lake_answer_free(f->answer);
    arena_fini(&f->chunk_arena);
}

/* SELECT fixed columns, all columns. */
static void put_select(struct buf *sql, const struct source_table *t, struct str name, bool bronze)
{
    struct str space;

    buf_str(sql, bronze ? STR("SELECT _op, _partition, _offset") : STR("SELECT "));
    for (size_t i = 0; i < t->column_count; i++) {
        if (i > 0 || bronze)
            buf_str(sql, STR(", "));
        sql_name(sql, t->columns[i]);
    }
    buf_str(sql, STR(" FROM "));
    (void)str_cut(&name, '.', &space);
    sql_name(sql, space);
    buf_u8(sql, '.');
    sql_name(sql, name);
}

static bool table_feed(const struct verify_env *env, const struct source_table *t, const char *layer,
                       struct arena *a, struct feed **out, struct err *e)
{
    struct lake *lake = env->connect_env->lake;
    struct table_feed *f;
    struct lake_table table;
    struct buf sql = buf_make(LIMIT_SCHEMA);
    bool ok;

    *out = NULL;
    if (!lake || !lake_find_topic(lake, t->topic, layer, a, &table))
        return true;
    f = ARENA_NEW(a, struct table_feed);
    f->t = t;
    f->bronze = layer[0] == 'b';
    put_select(&sql, t, table.name, f->bronze);
    ok = lake_query(lake, &(struct lake_query){.sql = buf_view(&sql), .committed_only = true}, &f->answer, e);
    buf_fini(&sql);
    if (!ok)
        return err_wrap(e, "%.*s", STR_ARG(table.name));
    feed_init(&f->f);
    f->f.fill = table_fill;
    f->f.close = table_close;
    *out = &f->f;
    return true;
}

bool bronze_feed(const struct verify_env *env, const struct source_table *t, struct arena *a,
                 struct feed **out, struct err *e)
{
    return table_feed(env, t, "bronze", a, out, e);
}

bool silver_feed(const struct verify_env *env, const struct source_table *t, struct arena *a,
                 struct feed **out, struct err *e)
{
    return table_feed(env, t, "silver", a, out, e);
}
