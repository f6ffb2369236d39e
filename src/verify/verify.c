/* The walk: hold, snapshot, wait, cut, let on, count, release; see verify.h. */
#include "base/limits.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "os/os.h"
#include "verify/verify_int.h"

enum { INITIAL_MS = 60000, CAPTURE_MS = 60000, FLUSH_MS = 120000, DIFFERENCES_A_PLACE = 3 };

static const char *const PLACES[VERIFY_PLACES] = {"source", "topic", "raw", "bronze", "silver"};

const char *verify_place_name(enum verify_place p)
{
    return PLACES[p];
}

/* ---- a feed into a table of the engine ---- */

static void *cursor_open(void *arg)
{
    return arg; // read once, by one scan
}

static bool cursor_next(void *p, struct engine_rows *out, struct err *e)
{
    struct feed *f = p;

    arena_reset(&f->arena);
    f->out.rows = 0;
    if (!f->ended && !f->fill(f, e))
        return false;
    f->ended = f->out.rows < FEED_ROWS;
    *out = (struct engine_rows){.columns = &f->out, .count = f->out.rows};
    return true;
}

static void cursor_close(void *p)
{
    (void)p;
}

/* Adds a place's rows or events to `stage`. */
static bool load(struct engine *en, struct session *s, enum verify_place place, struct feed *f, struct err *e)
{
    struct engine_source src = {.like = f->out.column,
                                .count = f->out.count,
                                .arg = f,
                                .open = cursor_open,
                                .next = cursor_next,
                                .close = cursor_close};
    char name[ENGINE_NAME], sql[200];
    bool ok;

    engine_source_add(en, &src, name);
    (void)snprintf(sql, sizeof sql, "INSERT INTO stage SELECT %d, * FROM tarn_source('%s')", place, name);
    ok = session_exec(s, sql, e);
    engine_source_remove(en, name);
    return ok || err_wrap(e, "%s", PLACES[place]);
}

/* ---- what the engine says ---- */

/* Calls row(arg, cells) for each row; a cell is JSON text without its quotes. */
typedef bool row_fn(void *arg, const struct str *cells, struct err *e);

static bool each_row(struct session *s, const char *sql, int cells, row_fn *row, void *arg, struct err *e)
{
    struct buf text[6];
    struct str cell[6];
    struct result *r;
    size_t rows = 1;
    bool ok = session_query(s, str_of(sql), 0, &r, e);

    if (!ok)
        return false;
    for (int i = 0; i < cells; i++)
        text[i] = buf_make(LIMIT_BATCH);
    while (ok && rows > 0 && (ok = result_next(r, &rows, e))) {
        for (size_t n = 0; ok && n < rows; n++) {
            for (int i = 0; i < cells; i++) {
                buf_reset(&text[i]);
                result_json(r, (size_t)i, n, &text[i]);
                cell[i] = buf_view(&text[i]);
                if (cell[i].n >= 2 && cell[i].p[0] == '"')
                    cell[i] = str_from(cell[i].p + 1, cell[i].n - 2);
            }
            ok = row(arg, cell, e);
        }
    }
    for (int i = 0; i < cells; i++)
        buf_fini(&text[i]);
    result_free(r);
    return ok;
}

struct report_row {
    struct verify_table *t;
    struct arena *a;
    enum verify_place place; // the one compared with the source
};

static bool take_count(void *arg, const struct str *cell, struct err *e)
{
    struct report_row *r = arg;
    int64_t place, n[3];

    if (!str_i64(cell[0], &place) || place < 0 || place >= VERIFY_PLACES || !str_i64(cell[1], &n[0]) ||
        !str_i64(cell[3], &n[1]) || !str_i64(cell[4], &n[2]))
        return err_set(e, ERR_CORRUPT, "verify: the counts are not numbers");
    r->t->place[place].rows = n[0];
    (void)snprintf(r->t->place[place].checksum, sizeof r->t->place[place].checksum, "%.*s", STR_ARG(cell[2]));
    if (place == VERIFY_TOPIC || place == VERIFY_RAW || place == VERIFY_BRONZE) {
        r->t->place[place].events = n[1];
        r->t->place[place].repeated = n[2];
    }
    return true;
}

static void say(struct report_row *r, const char *text)
{
    if (r->t->difference_count < VERIFY_DIFFERENCES)
        r->t->differences[r->t->difference_count++] = arena_str(r->a, str_of(text));
}

static bool take_difference(void *arg, const struct str *cell, struct err *e)
{
    struct report_row *r = arg;
    bool in_source = str_is(cell[1], "true"), in_place = str_is(cell[2], "true");

    (void)e;
    say(r, arena_fmt(r->a, "key %.*s: %s", STR_ARG(cell[0]),
                     in_source && in_place
                         ? arena_fmt(r->a, "other values in %s than in the source", PLACES[r->place])
                     : in_source ? arena_fmt(r->a, "missing in %s", PLACES[r->place])
                                 : arena_fmt(r->a, "in %s but not in the source", PLACES[r->place])));
    return true;
}

/*
 * `live` has the last word on each key; a table without a key has its rows as they are. Then each place is counted, and those
 * that do not equal the source are asked for the keys that differ.
 */
static const char FOLD[] = "CREATE OR REPLACE TEMP TABLE live AS SELECT place, key, arg_max(sum, pos) AS sum "
                           "FROM stage WHERE key IS NOT NULL "
                           "GROUP BY place, key HAVING NOT arg_max(gone, pos) "
                           "UNION ALL SELECT place, key, sum FROM stage WHERE key IS NULL AND NOT gone";
static const char COUNT[] = "SELECT p.place, coalesce(l.rows, 0), coalesce(l.sum, 0)::VARCHAR, "
                            "coalesce(s.events, 0), coalesce(s.repeated, 0) FROM range(5) p(place) "
                            "LEFT JOIN (SELECT place, count(*) AS rows, sum(sum::HUGEINT) AS sum FROM live "
                            "GROUP BY place) l USING (place) "
                            "LEFT JOIN (SELECT place, count(*) AS events, count(*) - count(DISTINCT pos) AS "
                            "repeated FROM stage GROUP BY place) s USING (place)";

static bool compare(struct session *s, struct verify_table *t, struct arena *a, struct err *e)
{
    struct report_row r = {.t = t, .a = a};
    const struct verify_count *source = &t->place[VERIFY_SOURCE];
    char sql[500];

    if (!session_exec(s, FOLD, e) || !each_row(s, COUNT, 5, take_count, &r, e))
        return false;
    t->equal = true;
    for (r.place = VERIFY_TOPIC; r.place < VERIFY_PLACES; r.place++) {
        const struct verify_count *c = &t->place[r.place];

        if (!c->present)
            continue;
        if (c->repeated > 0) {
            t->equal = false;
            say(&r, arena_fmt(a, "%lld events stand more than once in %s", (long long)c->repeated,
                              PLACES[r.place]));
        }
        if (c->rows == source->rows && strcmp(c->checksum, source->checksum) == 0)
            continue;
        t->equal = false;
        (void)snprintf(sql, sizeof sql,
                       "SELECT key, s.sum IS NOT NULL, o.sum IS NOT NULL FROM (SELECT key, sum FROM live "
                       "WHERE place = 0) s "
                       "FULL JOIN (SELECT key, sum FROM live WHERE place = %d) o USING (key) "
                       "WHERE s.sum IS DISTINCT FROM o.sum ORDER BY length(key), key LIMIT %d",
                       r.place, DIFFERENCES_A_PLACE);
        if (!each_row(s, sql, 3, take_difference, &r, e))
            return false;
    }
    return true;
}

/* ---- places of a table ---- */

/* The S3 sink that writes this topic, if one does. */
static bool find_raw(const struct verify_env *env, const struct source_table *t, struct arena *a,
                     struct str *bucket, struct str *dir, struct err *e)
{
    struct connect_info *list;
    size_t count;

    connect_list(env->connect, a, &list, &count);
    for (size_t i = 0; i < count; i++) {
        struct config c;
        struct str rest, topic;
        bool writes = false;

        if (!str_is(list[i].type, "sink"))
            continue;
        if (!config_parse(&c, a, list[i].config_json, NULL, 0, e))
            return false;
        rest = config_str(&c, "topics");
        while (str_cut(&rest, ',', &topic))
            writes |= str_eq(str_trim(topic), t->topic);
        if (writes && str_ends(config_str(&c, "connector.class"), STR("S3SinkConnector"))) {
            struct str topics_dir = config_str(&c, "topics.dir");

            *bucket = arena_str(a, config_str(&c, "s3.bucket.name"));
            *dir = topics_dir.p ? arena_str(a, topics_dir) : STR("topics");
        }
        config_fini(&c);
    }
    return true;
}

static bool add_place(const struct verify_env *env, struct session *s, struct verify_table *out,
                      enum verify_place place, struct feed *f, struct err *e)
{
    bool ok;

    if (!f)
        return true;
    out->place[place].present = true;
    ok = load(env->engine, s, place, f, e);
    feed_close(f);
    return ok;
}

static bool verify_table(const struct verify_env *env, struct source *source, const struct source_table *t,
                         struct session *s, struct arena *a, struct verify_table *out, struct err *e)
{
    struct str bucket = STR_NULL, dir = STR_NULL;
    struct feed *bronze = NULL, *silver = NULL;
    bool ok;

    out->name = str_of(arena_fmt(a, "%.*s.%.*s", STR_ARG(t->schema), STR_ARG(t->name)));
    out->topic = t->topic;
    out->differences = ARENA_ARRAY(a, struct str, VERIFY_DIFFERENCES);
    for (int p = 0; p < VERIFY_PLACES; p++)
        out->place[p] = (struct verify_count){.events = -1};
    ok = session_exec(s,
                      "CREATE OR REPLACE TEMP TABLE stage (place INTEGER, key VARCHAR, sum BIGINT, pos "
                      "BIGINT, gone BOOLEAN)",
                      e) &&
         add_place(env, s, out, VERIFY_SOURCE, source_feed(source, t, a), e) &&
         add_place(env, s, out, VERIFY_TOPIC, topic_feed(env, t, a), e) &&
         find_raw(env, t, a, &bucket, &dir, e) &&
         (!bucket.p || add_place(env, s, out, VERIFY_RAW, raw_feed(env, t, bucket, dir, a), e)) &&
         bronze_feed(env, t, a, &bronze, e) && add_place(env, s, out, VERIFY_BRONZE, bronze, e) &&
         silver_feed(env, t, a, &silver, e) && add_place(env, s, out, VERIFY_SILVER, silver, e) &&
         compare(s, out, a, e);
    return ok || err_wrap(e, "table %.*s", STR_ARG(out->name));
}

/* ---- the walk ---- */

/* A task that has failed captures nothing, however long it is waited for. */
static bool is_capturing(const struct verify_env *env, struct str connector, struct arena *a, struct err *e)
{
    struct connect_info info;

    if (!connect_get(env->connect, connector, a, &info))
        return err_set(e, ERR_NOT_FOUND, "there is no connector %.*s any more", STR_ARG(connector));
    for (size_t i = 0; i < info.task_count; i++)
        if (strcmp(info.tasks[i].state, "FAILED") == 0)
            return err_set(e, ERR_REMOTE, "connector %.*s has failed: %.*s", STR_ARG(connector),
                           STR_ARG(info.tasks[i].trace));
    return true;
}

/* Brings all sinks to the snapshot's cut. They are held when it is called. */
static bool align(const struct verify_env *env, struct source *s, struct arena *a, struct err *e)
{
    struct connect_barrier *barriers;
    size_t count = 0, max = 0;

    if (!is_capturing(env, s->connector, a, e) ||
        !source_wait_captured(s, env->connect_env->os, CAPTURE_MS, e))
        return false;
    for (size_t i = 0; i < s->count; i++) {
        if (!events_find_cut(env, &s->tables[i], &s->snapshot, a, e))
            return false;
        max += (size_t)s->tables[i].partitions;
    }
    barriers = ARENA_ARRAY(a, struct connect_barrier, max + 1);
    for (size_t i = 0; i < s->count; i++)
        for (int32_t p = 0; p < s->tables[i].partitions; p++)
            barriers[count++] = (struct connect_barrier){s->tables[i].topic, p, s->tables[i].cut[p]};
    return connect_flush_at(env->connect, barriers, count, FLUSH_MS, e);
}

static bool verify_source(const struct verify_env *env, const struct connect_info *connector, struct arena *a,
                          struct verify_report *out, struct err *e)
{
    struct session *session = NULL;
    struct verify_table *tables;
    struct source s;
    bool ok;

    if (!connect_wait_snapshot(env->connect, connector->name, INITIAL_MS, e) ||
        !source_open(env, connector, a, &s, e))
        return false;
    ok = align(env, &s, a, e) && session_open(env->engine, &session, e);
    (void)snprintf(out->lsn, sizeof out->lsn, "%s", s.lsn);
    tables = ARENA_ARRAY(a, struct verify_table, out->count + s.count + 1);
    for (size_t i = 0; i < out->count; i++) // of the sources before
        tables[i] = out->tables[i];
    out->tables = tables;
    for (size_t i = 0; ok && i < s.count; i++) {
        struct verify_table *t;

        t = &out->tables[out->count++];
        ok = verify_table(env, &s, &s.tables[i], session, a, t, e);
        out->equal = out->equal && t->equal;
    }
    session_close(session);
    source_close(&s);
    return ok;
}

static bool is_postgres(const struct connect_info *c, struct arena *a)
{
    struct config config;
    struct err e;
    bool yes;

    if (!str_is(c->type, "source") || !config_parse(&config, a, c->config_json, NULL, 0, &e))
        return false;
    yes =
        str_is(config_str(&config, "connector.class"), "io.debezium.connector.postgresql.PostgresConnector");
    config_fini(&config);
    return yes;
}

bool verify_run(const struct verify_env *env, struct arena *a, struct verify_report *out, struct err *e)
{
    struct connect_info *list;
    size_t count, sources = 0;
    bool ok;

    *out = (struct verify_report){.equal = true};
    if (!connect_hold(env->connect, e))
        return false;
    connect_list(env->connect, a, &list, &count);
    ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        if (!is_postgres(&list[i], a))
            continue;
        sources++;
        ok = verify_source(env, &list[i], a, out, e);
    }
    connect_release(env->connect);
    if (ok && sources == 0)
        ok = err_set(e, ERR_NOT_FOUND, "there is no PostgreSQL source connector to verify");
    return ok;
}
