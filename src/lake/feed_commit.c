/* What feeds have taken in becomes the next version of their tables, all in one step. */
#include "base/mem.h"
#include "lake/feed.h"

#include <stdlib.h>

static int64_t highest_lsn(const struct lake_feed *f)
{
    int64_t lsn = -1;
    for (size_t i = 0; i < f->chunk_count; i++) {
        const struct column *c = &f->chunks[i]->c.column[CHANGE_LSN];
        for (size_t r = 0; r < f->chunks[i]->c.rows; r++)
            if (!c->nulls[r] && c->i64[r] > lsn)
                lsn = c->i64[r];
    }
    return lsn;
}

static bool bronze_prepare(struct lake_feed *f, struct table_change *c, struct err *e)
{
    struct feed_rows rows = {.feed = f};
    struct data_file *file;
    if (!feed_write(f, &rows, &f->bronze_schema, c->location, &file, e))
        return err_wrap(e, "table %s", c->table->name);
    c->operation = "append";
    c->added = MEM_ARRAY(struct slot, 1);
    c->added[0] = (struct slot){.data = file};
    c->added_count = file != NULL;
    return true;
}

/* What both tables of a feed have in common. */
static bool change_begin(struct lake_feed *f, struct table *t, const struct ice_schema *schema,
                         struct table_change *c, struct err *e)
{
    *c = (struct table_change){
        .table = t, .lsn = highest_lsn(f), .offsets = f->position, .offset_count = f->position_count};
    if (!table_version(t, &c->base, e))
        return false;
    if (!c->base || f->new_schema) {
        c->property = "tarn.schema.id";
        c->property_value = str_of(arena_fmt(&c->arena, "%d", f->schema_id));
    }
    if (!c->base || c->base->meta->schema.id != schema->id)
        c->schema = schema;
    c->location = c->base ? arena_str(&c->arena, c->base->meta->location) : feed_location(t, &c->arena);
    if (t == f->silver)
        c->uuid = str_of(f->first_uuid);
    return true;
}

static bool prepare(struct lake_feed *f, struct table_change *bronze, struct table_change *silver,
                    struct err *e)
{
    if (!change_begin(f, f->bronze, &f->bronze_schema, bronze, e) || !bronze_prepare(f, bronze, e) ||
        !change_prepare(bronze, e))
        return false;
    return !f->silver || (change_begin(f, f->silver, &f->silver_schema, silver, e) &&
                          silver_prepare(f, silver, e) && change_prepare(silver, e));
}

static int by_table_name(const void *x, const void *y)
{
    return strcmp((*(struct table *const *)x)->name, (*(struct table *const *)y)->name);
}

/* Turns of all tables that will be committed to, in the order of their names, so that two commits never wait for each other. */
static size_t take_turns(struct lake_feed *const *feeds, size_t count, struct table **tables)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (feeds[i]->rows == 0)
            continue;
        tables[n++] = feeds[i]->bronze;
        if (feeds[i]->silver)
            tables[n++] = feeds[i]->silver;
    }
    qsort(tables, n, sizeof(struct table *), by_table_name);
    for (size_t i = 0; i < n; i++)
        turn_take(&tables[i]->turn);
    return n;
}

static void committed(struct lake_feed *f)
{
    for (size_t i = 0; i < f->position_count; i++)
        f->safe[i] = f->position[i].next;
    feed_forget(f);
    f->new_schema = false;
    keys_unref(f->first_keys);
    f->first_keys = NULL;
}

static void count_rows(struct lake *l, struct lake_feed *const *feeds, size_t count,
                       const struct table_change *changes, size_t change_count)
{
    mutex_lock(&l->lock);
    for (size_t i = 0; i < count; i++)
        l->stats.bronze_rows += feeds[i]->rows;
    for (size_t i = 0; i < change_count; i++)
        l->stats.silver_rows += changes[i].keys_changed;
    mutex_unlock(&l->lock);
}

bool lake_commit(struct lake *l, struct lake_feed *const *feeds, size_t count, struct err *e)
{
    struct table **tables = MEM_ARRAY(struct table *, 2 * count + 1);
    struct table_change *changes = MEM_ARRAY(struct table_change, 2 * count + 1);
    size_t turns = take_turns(feeds, count, tables), n = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        if (feeds[i]->rows == 0)
            continue;
        struct table_change *bronze = &changes[n++], *silver = &changes[n];
        bronze->table = feeds[i]->bronze;
        silver->table = feeds[i]->silver;
        n += feeds[i]->silver != NULL;
        ok = prepare(feeds[i], bronze, silver, e);
    }
    ok = ok && (n == 0 || lake_publish(l, changes, n, e));
    if (ok)
        count_rows(l, feeds, count, changes, n);
    for (size_t i = 0; i < n; i++)
        change_fini(&changes[i], ok);
    for (size_t i = 0; i < turns; i++)
        turn_give(&tables[i]->turn);
    for (size_t i = 0; ok && i < count; i++)
        if (feeds[i]->rows > 0)
            committed(feeds[i]);
    mem_free(changes);
    mem_free(tables);
    return ok;
}
