/*
 * Values that an update left out: PostgreSQL does not log a large value (TOAST) that did not change, and Debezium writes a
 * placeholder. Silver takes the value from the row that the key has now: one query a data file that such rows are in.
 */
#include "lake/feed.h"

#include "base/limits.h"
#include "base/mem.h"

static int by_place(const void *x, const void *y)
{
    const struct need *a = x, *b = y;
    if (a->at.file != b->at.file)
        return a->at.file < b->at.file ? -1 : 1;
    return a->at.pos < b->at.pos ? -1 : a->at.pos > b->at.pos;
}

bool fill_is_needed(const struct columns *c, size_t row)
{
    for (size_t i = CHANGE_META; i < c->count; i++)
        if (change_is_unavailable(&c->column[i], row))
            return true;
    return false;
}

static size_t find_needs(const struct lake_feed *f, const struct silver_work *w, struct need *out)
{
    size_t n = 0;
    for (size_t i = 0; i < w->count; i++) {
        const struct winner *x = &w->winners[i];
        if (w->found[i] && !x->deleted && fill_is_needed(&f->chunks[x->chunk]->c, x->row))
            out[n++] = (struct need){.chunk = x->chunk, .row = x->row, .at = w->at[i]};
    }
    return n;
}

/* ---- the positions of one file, as a source ---- */

struct need_list {
    const struct need *list;
    size_t count;
};
struct need_cursor {
    const struct need_list *of;
    struct arena a;
    struct columns c;
    size_t at;
};
static const struct column need_columns[] = {{.name = {"n", 1}, .type = COLUMN_I64},
                                             {.name = {"pos", 3}, .type = COLUMN_I64}};
enum { NEEDS_AT_ONCE = 2048 };

static void *needs_open(void *arg)
{
    struct need_cursor *c = MEM_NEW(struct need_cursor);
    c->of = arg;
    columns_init(&c->c, &c->a, need_columns, 2, NEEDS_AT_ONCE);
    return c;
}

static bool needs_next(void *cursor, struct engine_rows *out, struct err *e)
{
    struct need_cursor *c = cursor;
    size_t n = 0;
    (void)e;
    for (; n < NEEDS_AT_ONCE && c->at < c->of->count; n++, c->at++) {
        c->c.column[0].i64[n] = (int64_t)c->at;
        c->c.column[1].i64[n] = c->of->list[c->at].at.pos;
    }
    *out = (struct engine_rows){.columns = &c->c, .count = n};
    return true;
}

static void needs_close(void *cursor)
{
    struct need_cursor *c = cursor;
    arena_fini(&c->a);
    mem_free(c);
}

/* ---- filling ---- */

/* The text and byte columns of the table; *names gets them as SQL. */
static struct ice_schema wanted_columns(const struct version *base, struct arena *a, struct buf *names)
{
    struct ice_schema s = {.fields = ARENA_ARRAY(a, struct ice_field, base->schema.count + 1)};
    for (size_t i = 0; i < base->schema.count; i++) {
        const struct ice_field *f = &base->schema.fields[i];
        if (f->like.type != COLUMN_TEXT && f->like.type != COLUMN_BYTES)
            continue;
        s.fields[s.count++] = *f;
        buf_str(names, STR(", t."));
        sql_name(names, f->like.name);
    }
    return s;
}

static void fill_row(struct chunk *const *chunks, const struct need *n, const struct columns *values,
                     size_t from)
{
    struct chunk *k = chunks[n->chunk];
    for (size_t i = CHANGE_META; i < k->c.count; i++) {
        struct column *to = &k->c.column[i];
        if (!change_is_unavailable(to, n->row))
            continue;
        for (size_t v = 1; v < values->count; v++) {
            const struct column *value = &values->column[v];
            if (!str_eq(value->name, to->name))
                continue;
            to->nulls[n->row] = value->nulls[from];
            if (!value->nulls[from])
                to->strs[n->row] = str_from(arena_copy(&k->arena, value->strs[from].p, value->strs[from].n),
                                            value->strs[from].n);
        }
    }
}

static bool read_values(struct chunk *const *chunks, struct session *s, struct str sql,
                        const struct need_list *needs, struct err *e)
{
    struct arena a = {0};
    struct columns c;
    struct result *r = NULL;
    size_t rows = 1;
    bool ok = session_query(s, sql, 0, &r, e);
    while (ok && (ok = result_next(r, &rows, e)) && rows > 0) {
        arena_reset(&a);
        ok = result_columns(r, &a, &c, e);
        for (size_t i = 0; ok && i < rows; i++)
            fill_row(chunks, &needs->list[c.column[0].i64[i]], &c, i);
    }
    result_free(r);
    arena_fini(&a);
    return ok;
}

static bool fill_of_file(struct chunk *const *chunks, struct session *s, struct version *base,
                         struct need_list needs, struct err *e)
{
    const struct slot *slot = version_slot(base, needs.list[0].at.file);
    struct engine *engine = base->table->lake->engine;
    struct engine_source src = {.like = need_columns,
                                .count = 2,
                                .arg = &needs,
                                .open = needs_open,
                                .next = needs_next,
                                .close = needs_close};
    struct arena a = {0};
    struct buf sql = buf_make(16 * MIB);
    const char *path;
    char name[ENGINE_NAME];
    bool ok = file_path(slot->data, &path, e);
    if (ok) {
        engine_source_add(engine, &src, name);
        buf_str(&sql, STR("SELECT n"));
        struct ice_schema wanted = wanted_columns(base, &a, &sql);
        buf_str(&sql, STR(" FROM "));
        read_files_sql(&wanted, &path, 1, &sql);
        buf_fmt(&sql, " t JOIN tarn_source('%s') s ON t.file_row_number = s.pos", name);
        ok = read_values(chunks, s, buf_view(&sql), &needs, e);
        engine_source_remove(engine, name);
    }
    buf_fini(&sql);
    arena_fini(&a);
    return ok;
}

bool fill_rows(struct version *base, struct chunk *const *chunks, struct need *needs, size_t n, struct err *e)
{
    struct lake *l = base->table->lake;
    struct session *s = NULL;
    if (n == 0)
        return true;
    qsort(needs, n, sizeof(*needs), by_place);
    bool ok = lake_session(l, &s, e);
    for (size_t from = 0, to = 0; ok && from < n; from = to) {
        while (to < n && needs[to].at.file == needs[from].at.file)
            to++;
        ok = fill_of_file(chunks, s, base, (struct need_list){.list = needs + from, .count = to - from}, e);
    }
    if (s)
        lake_session_done(l, s);
    return ok ? true : err_wrap(e, "values that were left out");
}

bool silver_fill(struct lake_feed *f, const struct silver_work *w, struct version *base, struct err *e)
{
    struct need *needs = MEM_ARRAY(struct need, w->count + 1);
    size_t n = find_needs(f, w, needs);
    bool ok = n == 0 || fill_rows(base, f->chunks, needs, n, e);
    mem_free(needs);
    return ok;
}
