/* The pending rows of a feed as a data file. */
#include "base/mem.h"
#include "lake/feed.h"

struct feed_cursor {
    const struct feed_rows *rows;
    size_t chunk;
};

static void *rows_open(void *arg)
{
    struct feed_cursor *c = MEM_NEW(struct feed_cursor);
    c->rows = arg;
    return c;
}

static bool rows_next(void *cursor, struct engine_rows *out, struct err *e)
{
    struct feed_cursor *c = cursor;
    (void)e;
    *out = (struct engine_rows){0};
    while (out->count == 0 && c->chunk < c->rows->feed->chunk_count) {
        size_t i = c->chunk++;
        out->columns = &c->rows->feed->chunks[i]->c;
        out->map = c->rows->map;
        out->pick = c->rows->pick ? c->rows->pick[i] : NULL;
        out->count = c->rows->pick ? c->rows->picked[i] : out->columns->rows;
    }
    return true;
}

static void rows_close(void *cursor)
{
    mem_free(cursor);
}

bool feed_write(struct lake_feed *f, const struct feed_rows *rows, const struct ice_schema *schema,
                struct str location, struct data_file **out, struct err *e)
{
    struct arena a = {0};
    struct column *like = ARENA_ARRAY(&a, struct column, schema->count + 1);
    struct session *s;
    char name[ENGINE_NAME];
    for (size_t i = 0; i < schema->count; i++)
        like[i] = schema->fields[i].like;
    struct engine_source src = {.like = like,
                                .count = schema->count,
                                .arg = (void *)(uintptr_t)rows,
                                .open = rows_open,
                                .next = rows_next,
                                .close = rows_close};
    *out = NULL;
    bool ok = lake_session(f->lake, &s, e);
    if (ok) {
        engine_source_add(f->lake->engine, &src, name);
        struct file_rows w = {.select = arena_fmt(&a, "SELECT * FROM tarn_source('%s')", name),
                              .schema = schema,
                              .location = location};
        ok = file_write(f->lake, s, &w, out, e);
        engine_source_remove(f->lake->engine, name);
        lake_session_done(f->lake, s);
    }
    arena_fini(&a);
    return ok;
}
