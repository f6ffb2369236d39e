/*
 * Queries: the tables that a statement says become views, in a catalog of the session's own, over what they are at this moment.
 *
 *     view = rows of the data files that are not dead or replaced  UNION ALL  rows of the tail
 *
 * Versions of all tables are taken in one step, so a commit of several tables is seen in all or in none.
 */
#include "base/limits.h"
#include "base/mem.h"
#include "lake/lake_int.h"
#include "lake/tail.h"
#include "object/object.h"

#include <inttypes.h>
#include <stdio.h>

enum { STATEMENT_MAX = 64 * 1024 * 1024, OBJECTS_MAX = 10000 };

struct reader { // a session for queries
    struct session *s;
    char catalog[24];
};

/* A table as one query sees it. */
struct view {
    struct table *table;
    struct str name;     // in its namespace: "orders", "orders@42"
    int64_t snapshot_id; // asked for; -1: the current one
    struct version *v;
    struct tail_view *tail; // NULL: not asked for
    bool has_source;
    char source[ENGINE_NAME];
    struct engine_source src;
    int *map;
    bool picked; // silver: the last row of each key
    const uint64_t **dead;
    size_t *bits;
    struct engine_live live;
    int64_t live_id; // 0: none
};

struct lake_answer {
    struct lake *lake;
    struct arena arena;
    struct reader reader;
    struct view *views;
    size_t count, cap;
    struct lake_read *reads;
    size_t read_count;
    struct object_get **objects; // of s3:// literals
    size_t object_count, object_cap;
    struct result *rows;
};

/* ---- sessions with a catalog ---- */

static bool reader_open(struct lake *l, struct reader *r, struct err *e)
{
    char sql[512];
    mutex_lock(&l->lock);
    bool idle = l->reader_count > 0;
    if (idle)
        *r = *l->readers[--l->reader_count];
    int64_t n = ++l->query_count;
    if (idle)
        mem_free(l->readers[l->reader_count]);
    mutex_unlock(&l->lock);
    if (idle)
        return true;
    snprintf(r->catalog, sizeof(r->catalog), "q%" PRId64, n);
    snprintf(sql, sizeof(sql),
             "ATTACH ':memory:' AS %s; CREATE SCHEMA %s.silver; CREATE SCHEMA %s.bronze; USE %s; "
             "SET search_path = '%s.silver,%s.bronze,%s.main'",
             r->catalog, r->catalog, r->catalog, r->catalog, r->catalog, r->catalog, r->catalog);
    if (!session_open(l->engine, &r->s, e))
        return false;
    if (session_exec(r->s, sql, e))
        return true;
    session_close(r->s);
    r->s = NULL;
    return false;
}

static void reader_close(struct reader *r)
{
    struct err ignored;
    char sql[128];
    snprintf(sql, sizeof(sql), "USE memory; DETACH %s", r->catalog);
    (void)!session_exec(r->s, sql, &ignored);
    session_close(r->s);
}

static void reader_done(struct lake *l, struct reader *r)
{
    bool kept = false;
    if (!r->s)
        return;
    mutex_lock(&l->lock);
    if (l->reader_count < LAKE_SESSIONS) {
        l->readers[l->reader_count] = MEM_NEW(struct reader);
        *l->readers[l->reader_count++] = *r;
        kept = true;
    }
    mutex_unlock(&l->lock);
    if (!kept)
        reader_close(r);
}

void readers_close(struct lake *l)
{
    for (size_t i = 0; i < l->reader_count; i++) {
        reader_close(l->readers[i]);
        mem_free(l->readers[i]);
    }
    l->reader_count = 0;
}

/* ---- which tables ---- */

static struct str base_name(const struct table *t)
{
    struct str name = str_of(t->name), space;
    (void)str_cut(&name, '.', &space);
    return name;
}

static void add_view(struct lake_answer *w, struct table *t, struct str name, int64_t snapshot_id)
{
    for (size_t i = 0; i < w->count; i++)
        if (w->views[i].table == t && str_eq_nocase(w->views[i].name, name))
            return;
    MEM_PUSH_ROOM(w->views, w->count, w->cap);
    w->views[w->count++] = (struct view){.table = t, .name = name, .snapshot_id = snapshot_id};
}

/* "orders@42": the table's name and a snapshot. */
static int64_t split_snapshot(struct str *name)
{
    struct str rest = *name, table;
    int64_t id = -1;
    if (str_cut(&rest, '@', &table) && str_i64(rest, &id) && id >= 0) {
        *name = table;
        return id;
    }
    return -1;
}

/* A statement that looks at the catalog sees all tables. */
static bool asks_catalog(struct str name)
{
    return str_eq_nocase(name, STR("information_schema")) || str_eq_nocase(name, STR("show")) ||
           str_eq_nocase(name, STR("pg_catalog")) ||
           (name.n > 7 && str_eq_nocase(str_from(name.p, 7), STR("duckdb_")));
}

static void find_tables(struct lake_answer *w, struct str sql)
{
    struct lake *l = w->lake;
    struct str name;
    while (sql_next_name(&sql, &w->arena, &name)) {
        struct str table = name;
        int64_t snapshot = split_snapshot(&table);
        bool all = asks_catalog(name);
        mutex_lock(&l->lock);
        for (struct map_it it = {0}; map_next(&l->tables, &it);) {
            struct table *t = it.value;
            if (!t->info.metadata_location.p)
                continue;
            if (all)
                add_view(w, t, base_name(t), -1);
            else if (str_eq_nocase(base_name(t), table))
                add_view(w, t, snapshot < 0 ? base_name(t) : arena_str(&w->arena, name), snapshot);
        }
        mutex_unlock(&l->lock);
    }
}

/* Is there another table that the same name may mean, and that has not been found wanting? */
static bool said_twice(const struct lake_answer *w, size_t at)
{
    for (size_t i = 0; i < w->count; i++)
        if (i != at && w->views[i].v && str_eq_nocase(w->views[i].name, w->views[at].name))
            return true;
    return false;
}

/* Loads what is not loaded, then takes the current versions of all in one step. */
static bool take_versions(struct lake_answer *w, struct err *e)
{
    struct version *v;
    for (size_t i = 0; i < w->count; i++) {
        if (!table_version(w->views[i].table, &v, e))
            return false;
        version_unref(v);
    }
    mutex_lock(&w->lake->lock);
    for (size_t i = 0; i < w->count; i++)
        w->views[i].v = version_ref(w->views[i].table->current);
    mutex_unlock(&w->lake->lock);
    for (size_t i = 0; i < w->count; i++) {
        struct view *view = &w->views[i];
        if (view->snapshot_id < 0)
            continue;
        if (!version_at(view->v, view->snapshot_id, &v, e)) {
            if (e->kind != ERR_NOT_FOUND || !said_twice(w, i))
                return false;
            v = NULL; // it is of the table of the same name in another namespace
        }
        version_unref(view->v);
        view->v = v;
    }
    return true;
}

/* ---- the tail of a view ---- */

struct tail_cursor {
    const struct view *of;
    size_t chunk;
};

static void *tail_open(void *arg)
{
    struct tail_cursor *c = MEM_NEW(struct tail_cursor);
    c->of = arg;
    return c;
}

static bool tail_next(void *cursor, struct engine_rows *out, struct err *e)
{
    struct tail_cursor *c = cursor;
    const struct view *view = c->of;
    (void)e;
    *out = (struct engine_rows){0};
    while (out->count == 0 && c->chunk < view->tail->count) {
        size_t i = c->chunk++;
        out->columns = &view->tail->chunks[i]->c;
        out->map = view->map;
        out->pick = view->picked ? view->tail->pick[i] : NULL;
        out->count = view->picked ? view->tail->picked[i] : view->tail->rows[i];
    }
    return true;
}

static void tail_close(void *cursor)
{
    mem_free(cursor);
}

/* The current version of the other table of the stream, of the same commit as the view's. */
static struct version *version_of(struct lake_answer *w, struct table *t)
{
    for (size_t i = 0; i < w->count; i++)
        if (w->views[i].table == t && w->views[i].snapshot_id < 0)
            return version_ref(w->views[i].v);
    return NULL;
}

static bool read_tail(struct lake_answer *w, struct view *view, struct err *e)
{
    struct table *t = view->table;
    if (!t->topic || view->snapshot_id >= 0 || !view->v->snapshot)
        return true;
    struct stream *s = lake_stream(w->lake, str_of(t->topic));
    struct version *bronze = version_of(w, s->bronze), *silver = s->silver ? version_of(w, s->silver) : NULL;
    bool both = bronze && (!s->silver || silver);
    bool ok = !both || tail_read(s, bronze, silver, &view->tail, e);
    view->picked = t == s->silver;
    if (ok && both && view->tail->count > 0) {
        const struct ice_schema *columns = &bronze->schema;
        struct column *like = ARENA_ARRAY(&w->arena, struct column, view->v->schema.count + 1);
        view->map = ARENA_ARRAY(&w->arena, int, view->v->schema.count + 1);
        for (size_t i = 0; i < view->v->schema.count; i++) {
            like[i] = view->v->schema.fields[i].like;
            view->map[i] = -1;
            for (size_t k = 0; k < columns->count; k++)
                if (str_eq(columns->fields[k].like.name, like[i].name))
                    view->map[i] = (int)k;
        }
        view->src = (struct engine_source){.like = like,
                                           .count = view->v->schema.count,
                                           .arg = view,
                                           .open = tail_open,
                                           .next = tail_next,
                                           .close = tail_close};
        engine_source_add(w->lake->engine, &view->src, view->source);
        view->has_source = true;
    }
    version_unref(bronze);
    version_unref(silver);
    return ok;
}

/* The stream's other table is needed for a tail though the statement does not say it. */
static void add_partners(struct lake_answer *w)
{
    size_t n = w->count;
    for (size_t i = 0; i < n; i++) {
        struct table *t = w->views[i].table;
        struct stream *s =
            t->topic && w->views[i].snapshot_id < 0 ? lake_stream(w->lake, str_of(t->topic)) : NULL;
        if (s && s->bronze)
            add_view(w, s->bronze, base_name(s->bronze), -1);
        if (s && s->silver)
            add_view(w, s->silver, base_name(s->silver), -1);
    }
}

/* ---- the SQL of a view ---- */

static struct bits *dead_of(const struct view *view, size_t slot)
{
    const struct tail_view *t = view->tail;
    if (view->picked && t && slot < t->hidden_count && t->hidden[slot])
        return t->hidden[slot];
    return view->v->slots[slot].dead;
}

static void put_columns(const struct ice_schema *s, struct buf *out)
{
    for (size_t i = 0; i < s->count; i++) {
        buf_str(out, i ? STR(", ") : STR(""));
        sql_name(out, s->fields[i].like.name);
    }
}

static void put_nothing(const struct ice_schema *s, struct buf *out)
{
    buf_str(out, STR("SELECT "));
    for (size_t i = 0; i < s->count; i++) {
        buf_str(out, i ? STR(", NULL::") : STR("NULL::"));
        column_sql_type(&s->fields[i].like, out);
        buf_str(out, STR(" AS "));
        sql_name(out, s->fields[i].like.name);
    }
    buf_str(out, STR(" WHERE false"));
}

/* The paths of files with dead rows, or of those without. */
static bool paths_of(struct view *view, bool dead, struct arena *a, const char ***paths, size_t *n,
                     struct err *e)
{
    *paths = ARENA_ARRAY(a, const char *, view->v->slot_count + 1);
    *n = 0;
    for (size_t i = 0; i < view->v->slot_count; i++) {
        struct bits *b = dead_of(view, i);
        if ((b && b->set > 0) != dead)
            continue;
        if (dead) {
            view->dead[*n] = b->w;
            view->bits[*n] = b->n;
        }
        if (!file_path(view->v->slots[i].data, &(*paths)[(*n)++], e))
            return false;
    }
    return true;
}

static void put_files(const struct view *view, const char *const *paths, size_t n, bool *any, struct buf *out)
{
    if (n == 0)
        return;
    buf_str(out, *any ? STR(" UNION ALL SELECT ") : STR("SELECT "));
    put_columns(&view->v->schema, out);
    buf_str(out, STR(" FROM "));
    read_files_sql(&view->v->schema, paths, n, out);
    *any = true;
}

static bool put_view(struct lake_answer *w, struct view *view, struct buf *out, struct err *e)
{
    const struct version *v = view->v;
    const char **whole, **dead;
    size_t whole_count = 0, dead_count = 0;
    bool any = false, gone = view->picked && view->tail && view->tail->truncated;
    view->dead = ARENA_ARRAY(&w->arena, const uint64_t *, v->slot_count + 1);
    view->bits = ARENA_ARRAY(&w->arena, size_t, v->slot_count + 1);
    if (!gone && (!paths_of(view, false, &w->arena, &whole, &whole_count, e) ||
                  !paths_of(view, true, &w->arena, &dead, &dead_count, e)))
        return false;
    if (whole_count > 0)
        put_files(view, whole, whole_count, &any, out);
    if (dead_count > 0) {
        view->live = (struct engine_live){.dead = view->dead, .bits = view->bits, .files = dead_count};
        view->live_id = engine_live_add(w->lake->engine, &view->live);
        put_files(view, dead, dead_count, &any, out);
        buf_fmt(out, " WHERE tarn_live(%" PRId64 ", file_index, file_row_number)", view->live_id);
    }
    if (view->has_source) {
        buf_str(out, any ? STR(" UNION ALL SELECT ") : STR("SELECT "));
        put_columns(&v->schema, out);
        buf_fmt(out, " FROM tarn_source('%s')", view->source);
        any = true;
    }
    if (!any)
        put_nothing(&v->schema, out);
    return true;
}

static void view_name(const struct lake_answer *w, const struct view *view, struct buf *out)
{
    buf_fmt(out, "%s.", w->reader.catalog);
    sql_name(out, table_namespace(view->table));
    buf_u8(out, '.');
    sql_name(out, view->name);
}

static bool make_view(struct lake_answer *w, struct view *view, struct err *e)
{
    struct buf sql = buf_make(STATEMENT_MAX);
    if (!version_need_dead(view->v, e))
        return false;
    buf_str(&sql, STR("CREATE SCHEMA IF NOT EXISTS "));
    buf_fmt(&sql, "%s.", w->reader.catalog);
    sql_name(&sql, table_namespace(view->table));
    buf_str(&sql, STR("; CREATE OR REPLACE VIEW "));
    view_name(w, view, &sql);
    buf_str(&sql, STR(" AS "));
    bool ok = put_view(w, view, &sql, e);
    if (ok && !buf_ok(&sql))
        ok = err_set(e, ERR_LIMIT, "table %s has too many files for one statement", view->table->name);
    ok = ok && session_exec(w->reader.s, buf_z(&sql), e);
    buf_fini(&sql);
    return ok ? true : err_wrap(e, "table %s", view->table->name);
}

/* ---- objects by URL ---- */

static bool add_object(struct lake_answer *w, struct str bucket, struct str key, struct buf *out,
                       struct err *e)
{
    struct object_info info;
    struct object_get *get;
    if (w->object_count == OBJECTS_MAX)
        return err_set(e, ERR_LIMIT, "more than %d objects in one statement", OBJECTS_MAX);
    if (!object_get_open(w->lake->blobs, bucket, key, &w->arena, &info, &get, e))
        return false;
    w->objects = mem_room(w->objects, w->object_count, &w->object_cap, sizeof(void *));
    w->objects[w->object_count++] = get;
    const char *path = object_get_path(get);
    if (!path)
        return err_set(e, ERR_UNSUPPORTED, "objects on another server cannot be read by SQL yet");
    sql_literal(out, str_of(path));
    return true;
}

/* Shell patterns as DuckDB's glob: * and ? within a part of the key, ** over parts, [a-z]. */
static bool class_matches(struct str *p, char c)
{
    size_t i = 1;
    bool negated = i < p->n && p->p[i] == '!', hit = false;
    i += negated;
    for (size_t first = i; i < p->n && (p->p[i] != ']' || i == first); i++) {
        if (i + 2 < p->n && p->p[i + 1] == '-' && p->p[i + 2] != ']') {
            hit |= p->p[i] <= c && c <= p->p[i + 2];
            i += 2;
        } else {
            hit |= p->p[i] == c;
        }
    }
    *p = str_from(p->p + (i < p->n ? i + 1 : i), p->n - (i < p->n ? i + 1 : i));
    return hit != negated;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the pattern has stars, and a pattern is part of a statement's literal */
static bool glob_matches(struct str p, struct str s, int depth)
{
    while (p.n > 0) {
        if (p.p[0] == '*') {
            bool deep = p.n > 1 && p.p[1] == '*';
            size_t stars = deep ? 2 : 1;
            p = str_from(p.p + stars, p.n - stars);
            for (size_t i = 0; depth > 0 && i <= s.n; i++) {
                if (glob_matches(p, str_from(s.p + i, s.n - i), depth - 1))
                    return true;
                if (!deep && i < s.n && s.p[i] == '/')
                    return false;
            }
            return false;
        }
        if (s.n == 0)
            return false;
        if (p.p[0] == '[') {
            if (!class_matches(&p, s.p[0]))
                return false;
        } else if (p.p[0] == '?' ? s.p[0] == '/' : p.p[0] != s.p[0]) {
            return false;
        } else {
            p = str_from(p.p + 1, p.n - 1);
        }
        s = str_from(s.p + 1, s.n - 1);
    }
    return s.n == 0;
}

static size_t glob_start(struct str key)
{
    size_t i = 0;
    while (i < key.n && !strchr("*?[", key.p[i]))
        i++;
    return i;
}

static bool add_glob(struct lake_answer *w, struct str bucket, struct str pattern, struct buf *out,
                     struct err *e)
{
    struct object_list_options o = {
        .prefix = str_from(pattern.p, glob_start(pattern)), .after = STR(""), .max = 1000};
    struct object_listing list = {.more = true};
    size_t n = 0;
    buf_u8(out, '[');
    while (list.more) {
        if (!object_list(w->lake->blobs, bucket, &o, &w->arena, &list, e))
            return false;
        for (size_t i = 0; i < list.object_count; i++) {
            if (!glob_matches(pattern, list.objects[i].key, 8))
                continue;
            buf_str(out, n++ ? STR(", ") : STR(""));
            if (!add_object(w, bucket, list.objects[i].key, out, e))
                return false;
        }
        o.after = list.next;
    }
    buf_u8(out, ']');
    return n > 0 ? true
                 : err_set(e, ERR_NOT_FOUND, "no object in bucket %.*s is like %.*s", STR_ARG(bucket),
                           STR_ARG(pattern));
}

static bool resolve(void *arg, struct str url, struct buf *out, struct err *e)
{
    struct lake_answer *w = arg;
    struct str bucket, key;
    if (!uri_parts(url, &bucket, &key, e))
        return false;
    bool ok = glob_start(key) < key.n ? add_glob(w, bucket, key, out, e) : add_object(w, bucket, key, out, e);
    return ok ? true : err_wrap(e, "%.*s", STR_ARG(url));
}

/* ---- answers ---- */

static bool prepare_views(struct lake_answer *w, const struct lake_query *q, size_t *said, struct err *e)
{
    find_tables(w, q->sql);
    *said = w->count;
    if (!q->committed_only)
        add_partners(w);
    if (!take_versions(w, e))
        return false;
    for (size_t i = 0; i < *said; i++) {
        struct view *view = &w->views[i];
        if (view->v && ((!q->committed_only && !read_tail(w, view, e)) || !make_view(w, view, e)))
            return false;
    }
    return true;
}

static void note_reads(struct lake_answer *w, size_t said)
{
    w->reads = ARENA_ARRAY(&w->arena, struct lake_read, said + 1);
    for (size_t i = 0; i < said; i++) {
        const struct view *view = &w->views[i];
        if (!view->v)
            continue;
        w->reads[w->read_count++] = (struct lake_read){
            .table = str_of(view->table->name),
            .snapshot_id = view->v->snapshot ? view->v->snapshot->id : -1,
            .tail_records = view->tail ? view->tail->records : 0,
            .left_out = view->tail ? view->tail->left_out : 0,
            .why = view->tail ? str_of(view->tail->why) : STR(""),
        };
    }
}

/* DuckDB knows only the tables of this statement, so its guesses help nobody: say which there are. */
static void tell_tables(struct lake *l, struct err *e)
{
    struct str said = str_of(e->msg), line;
    struct arena a = {0};
    struct buf names = buf_make(sizeof e->msg);
    struct lake_table *t;
    size_t count;

    if (!strstr(said.p, "Table with name") || !str_cut(&said, '\n', &line))
        return;
    line = arena_str(&a, line);
    lake_list(l, &a, &t, &count);
    for (size_t i = 0; i < count; i++)
        buf_fmt(&names, "%s%.*s", i > 0 ? ", " : "", STR_ARG(t[i].name));
    if (count == 0)
        (void)err_set(e, ERR_NOT_FOUND,
                      "%.*s There is no table yet: each comes with the first commit of its topic",
                      STR_ARG(line));
    else
        (void)err_set(e, ERR_NOT_FOUND, "%.*s There are: %s", STR_ARG(line), buf_z(&names));
    buf_fini(&names);
    arena_fini(&a);
}

bool lake_query(struct lake *l, const struct lake_query *q, struct lake_answer **out, struct err *e)
{
    struct lake_answer *w = MEM_NEW(struct lake_answer);
    struct buf sql = buf_make(STATEMENT_MAX);
    size_t said = 0;
    w->lake = l;
    bool ok = reader_open(l, &w->reader, e) && sql_resolve(q->sql, resolve, w, &sql, e) &&
              prepare_views(w, q, &said, e) &&
              session_query(w->reader.s, buf_view(&sql), SESSION_READ_ONLY, &w->rows, e);
    buf_fini(&sql);
    if (!ok) {
        tell_tables(l, e);
        lake_answer_free(w);
        return false;
    }
    note_reads(w, said);
    *out = w;
    return true;
}

struct result *lake_answer_rows(struct lake_answer *w)
{
    return w->rows;
}

size_t lake_answer_reads(const struct lake_answer *w, const struct lake_read **out)
{
    *out = w->reads;
    return w->read_count;
}

static void view_fini(struct lake_answer *w, struct view *view)
{
    struct buf sql = buf_make(STATEMENT_MAX);
    struct err ignored;
    buf_str(&sql, STR("DROP VIEW IF EXISTS "));
    view_name(w, view, &sql);
    if (w->reader.s)
        (void)!session_exec(w->reader.s, buf_z(&sql),
                            &ignored); // the next query of this session makes its own
    if (view->live_id)
        engine_live_remove(w->lake->engine, view->live_id);
    if (view->has_source)
        engine_source_remove(w->lake->engine, view->source);
    tail_view_free(view->tail);
    version_unref(view->v);
    buf_fini(&sql);
}

void lake_answer_free(struct lake_answer *w)
{
    if (!w)
        return;
    result_free(w->rows);
    for (size_t i = 0; i < w->count; i++)
        view_fini(w, &w->views[i]);
    for (size_t i = 0; i < w->object_count; i++)
        object_get_close(w->objects[i]);
    reader_done(w->lake, &w->reader);
    mem_free(w->views);
    mem_free(w->objects);
    arena_fini(&w->arena);
    mem_free(w);
}
