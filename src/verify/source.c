/*
 * The database's side: a snapshot at a known position, the tables of a publication, and their rows by COPY.
 *
 * The replication connection makes the temporary slot and then stays idle: the exported snapshot lives until its next command.
 */
#include "base/mem.h"
#include "os/os.h"
#include "os/thread.h"
#include "verify/verify_int.h"

#include <stdlib.h>

static const char SESSION[] =
    "-c DateStyle=ISO -c IntervalStyle=postgres -c TimeZone=UTC -c extra_float_digits=3 "
    "-c bytea_output=hex -c lc_monetary=C -c statement_timeout=0";

static bool refused(PGconn *pg, const char *what, struct err *e)
{
    return err_set(e, ERR_REMOTE, "%s: %.*s", what, STR_ARG(str_trim(str_of(PQerrorMessage(pg)))));
}

/* Rows of a query; NULL with e. */
static PGresult *ask(PGconn *pg, const char *sql, int count, const char *const *values, struct err *e)
{
    PGresult *res = PQexecParams(pg, sql, count, NULL, values, NULL, NULL, 0);

    if (PQresultStatus(res) == PGRES_TUPLES_OK || PQresultStatus(res) == PGRES_COMMAND_OK)
        return res;
    (void)refused(pg, "verify", e);
    PQclear(res);
    return NULL;
}

static struct str cell(struct arena *a, PGresult *res, int row, int column)
{
    return PQgetisnull(res, row, column) ? STR_NULL : arena_str(a, str_of(PQgetvalue(res, row, column)));
}

/* ---- connections ---- */

static const char *text_of(struct arena *a, const struct config *c, const char *key, const char *otherwise)
{
    struct str s = config_str(c, key);

    return s.p ? arena_fmt(a, "%.*s", STR_ARG(s)) : otherwise;
}

static PGconn *connect_to(const struct verify_env *env, const struct config *c, struct arena *a,
                          bool replication, struct err *e)
{
    struct connect_address at;
    int64_t port;
    const char *keys[9], *values[9];
    int n = 0;
    PGconn *pg;

    (void)snprintf(at.host, sizeof at.host, "%s", text_of(a, c, "database.hostname", "127.0.0.1"));
    at.port = str_i64(str_of(text_of(a, c, "database.port", "5432")), &port) ? (int)port : 5432;
    if (env->connect_env->locate)
        env->connect_env->locate(env->connect_env->locate_arg, &at);
#define PARAMETER(key, value) (keys[n] = (key), values[n++] = (value))
    PARAMETER("host", at.host);
    PARAMETER("port", arena_fmt(a, "%d", at.port));
    PARAMETER("user", text_of(a, c, "database.user", "postgres"));
    PARAMETER("password", text_of(a, c, "database.password", ""));
    PARAMETER("dbname", text_of(a, c, "database.dbname", "postgres"));
    PARAMETER("application_name", "tarn verify");
    PARAMETER("options", SESSION);
    if (replication)
        PARAMETER("replication", "database");
#undef PARAMETER
    keys[n] = values[n] = NULL;
    pg = PQconnectdbParams(keys, values, 0);
    if (PQstatus(pg) == CONNECTION_OK)
        return pg;
    (void)refused(pg, "verify", e);
    PQfinish(pg);
    return NULL;
}

/* ---- the snapshot ---- */

static bool take_snapshot(struct source *s, struct os *os, struct arena *a, struct err *e)
{
    uint8_t random[4];
    const char *sql;
    PGresult *res;

    os->random(os, random, sizeof random);
    sql = arena_fmt(
        a,
        "CREATE_REPLICATION_SLOT tarn_verify_%02x%02x%02x%02x TEMPORARY LOGICAL pgoutput (SNAPSHOT 'export')",
        random[0], random[1], random[2], random[3]);
    res = PQexec(s->slot, sql); // answers slot_name, consistent_point, snapshot_name, output_plugin
    if (PQresultStatus(res) != PGRES_TUPLES_OK || PQntuples(res) != 1) {
        (void)refused(s->slot, "verify: snapshot", e);
        PQclear(res);
        return false;
    }
    (void)snprintf(s->lsn, sizeof s->lsn, "%s", PQgetvalue(res, 0, 1));
    sql = arena_fmt(a, "SET TRANSACTION SNAPSHOT '%s'", PQgetvalue(res, 0, 2));
    PQclear(res);
    res = ask(s->pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", 0, NULL, e);
    PQclear(res);
    if (!res || !(res = ask(s->pg, sql, 0, NULL, e)))
        return false;
    PQclear(res);
    res = ask(s->pg, "SELECT pg_current_snapshot()::text", 0, NULL, e);
    if (!res)
        return false;
    if (!snapshot_parse(a, cell(a, res, 0, 0), &s->snapshot, e)) {
        PQclear(res);
        return false;
    }
    PQclear(res);
    return true;
}

/* ---- tables ---- */

static bool columns_of(struct source *s, struct source_table *t, struct arena *a, struct err *e)
{
    static const char columns[] =
        "SELECT attname FROM pg_attribute WHERE attrelid = format('%I.%I', $1::text, $2::text)::regclass "
        "AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum";
    static const char keys[] =
        "SELECT a.attname FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY k(attnum, at) "
        "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum "
        "WHERE i.indrelid = format('%I.%I', $1::text, $2::text)::regclass AND i.indisprimary ORDER BY k.at";
    const char *values[] = {t->schema.p, t->name.p};
    PGresult *res;

    for (int what = 0; what < 2; what++) {
        struct str *names;
        int n;

        res = ask(s->pg, what == 0 ? columns : keys, 2, values, e);
        if (!res)
            return false;
        n = PQntuples(res);
        names = ARENA_ARRAY(a, struct str, (size_t)n + 1);
        for (int i = 0; i < n; i++)
            names[i] = cell(a, res, i, 0);
        PQclear(res);
        *(what == 0 ? &t->columns : &t->keys) = names;
        *(what == 0 ? &t->column_count : &t->key_count) = (size_t)n;
    }
    return true;
}

static void find_keys(struct source_table *t, struct arena *a)
{
    t->key_at = ARENA_ARRAY(a, size_t, t->key_count + 1);
    for (size_t i = 0; i < t->key_count; i++)
        for (size_t k = 0; k < t->column_count; k++)
            if (str_eq(t->keys[i], t->columns[k]))
                t->key_at[i] = k;
}

/* Debezium's name: what a topic may not hold becomes an underscore. */
static struct str topic_of(struct arena *a, struct str prefix, struct str schema, struct str name)
{
    char *topic = arena_fmt(a, "%.*s.%.*s.%.*s", STR_ARG(prefix), STR_ARG(schema), STR_ARG(name));

    for (char *c = topic; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '.' ||
              *c == '_' || *c == '-'))
            *c = '_';
    return str_of(topic);
}

/* The publication's tables. */
static bool list_tables(struct source *s, struct arena *a, struct err *e)
{
    const char *values[] = {s->publication.p};
    PGresult *res = ask(s->pg,
                        "SELECT schemaname, tablename FROM pg_publication_tables WHERE pubname = $1 "
                        "ORDER BY 1, 2",
                        1, values, e);
    bool ok = res != NULL;
    int n;

    if (!ok)
        return false;
    n = PQntuples(res);
    s->tables = ARENA_ARRAY(a, struct source_table, (size_t)n + 1);
    for (int i = 0; ok && i < n; i++) {
        struct source_table *t = &s->tables[s->count++];

        t->schema = cell(a, res, i, 0);
        t->name = cell(a, res, i, 1);
        t->topic = topic_of(a, s->prefix, t->schema, t->name);
        ok = columns_of(s, t, a, e);
        find_keys(t, a);
    }
    PQclear(res);
    return ok;
}

bool source_open(const struct verify_env *env, const struct connect_info *connector, struct arena *a,
                 struct source *s, struct err *e)
{
    struct config c;
    bool ok;

    *s = (struct source){.connector = connector->name};
    if (!config_parse(&c, a, connector->config_json, NULL, 0, e))
        return false;
    s->prefix = arena_str(a, config_str(&c, "topic.prefix"));
    s->publication = str_of(text_of(a, &c, "publication.name", "dbz_publication"));
    s->slot_name = str_of(text_of(a, &c, "slot.name", "debezium"));
    s->slot = connect_to(env, &c, a, true, e);
    s->pg = s->slot ? connect_to(env, &c, a, false, e) : NULL;
    ok = s->pg && take_snapshot(s, env->connect_env->os, a, e) && list_tables(s, a, e);
    config_fini(&c);
    if (!ok)
        source_close(s);
    return ok || err_wrap(e, "connector %.*s", STR_ARG(connector->name));
}

void source_close(struct source *s)
{
    PQfinish(s->pg);
    PQfinish(s->slot);
    s->pg = s->slot = NULL;
}

/*
 * The slot's confirmed position says what the connector has made durable. It is another server's state, so it is asked for
 * again and again, a little apart.
 */
bool source_wait_captured(struct source *s, struct os *os, int64_t timeout_ms, struct err *e)
{
    const char *values[] = {s->slot_name.p, s->lsn};
    int64_t until_ns = os->now_ns(os) + timeout_ms * 1000000;
    struct mutex m;
    struct cond never;
    bool done = false, ok = true;

    mutex_init(&m);
    cond_init(&never);
    while (ok && !done) {
        PGresult *res = ask(
            s->pg, "SELECT confirmed_flush_lsn >= $2::pg_lsn FROM pg_replication_slots WHERE slot_name = $1",
            2, values, e);

        ok = res && (PQntuples(res) == 1 ||
                     err_set(e, ERR_NOT_FOUND, "the database has no replication slot %s", values[0]));
        done = ok && *PQgetvalue(res, 0, 0) == 't';
        PQclear(res);
        if (ok && !done && os->now_ns(os) > until_ns)
            ok = err_set(e, ERR_TIMEOUT, "connector %.*s has not captured up to %s in %lld s: is it running?",
                         STR_ARG(s->connector), s->lsn, (long long)(timeout_ms / 1000));
        if (ok && !done) {
            mutex_lock(&m);
            (void)cond_wait_ms(&never, &m, 10);
            mutex_unlock(&m);
        }
    }
    cond_fini(&never);
    mutex_fini(&m);
    return ok;
}

/* ---- rows ---- */

struct source_feed {
    struct feed f; // first
    struct source *s;
    const struct source_table *t;
    struct arena *a;
    int64_t pos;
    bool begun;
};

/* "COPY (SELECT columns..., keys...) TO STDOUT": the keys once more at the end, so that both are runs of fields. */
static bool begin(struct source_feed *f, struct err *e)
{
    struct buf sql = buf_make(1024 * 1024);
    const struct source_table *t = f->t;
    PGresult *res;
    bool ok;

    buf_str(&sql, STR("COPY (SELECT "));
    for (size_t i = 0; i < t->column_count + t->key_count; i++) {
        struct str name = i < t->column_count ? t->columns[i] : t->keys[i - t->column_count];
        char *quoted = PQescapeIdentifier(f->s->pg, name.p, name.n);

        buf_fmt(&sql, "%s%s", i > 0 ? ", " : "", quoted);
        PQfreemem(quoted);
    }
    {
        char *schema = PQescapeIdentifier(f->s->pg, t->schema.p, t->schema.n);
        char *name = PQescapeIdentifier(f->s->pg, t->name.p, t->name.n);

        buf_fmt(&sql, " FROM %s.%s) TO STDOUT", schema, name);
        PQfreemem(schema);
        PQfreemem(name);
    }
    res = PQexec(f->s->pg, buf_z(&sql));
    ok = PQresultStatus(res) == PGRES_COPY_OUT || refused(f->s->pg, buf_z(&sql), e);
    PQclear(res);
    buf_fini(&sql);
    f->begun = ok;
    return ok;
}

/* A field of COPY's text format, unescaped in place (PostgreSQL, "COPY", "Text Format"). null for \N. */
static struct str unescape(char *p, size_t n)
{
    size_t to = 0;

    if (n == 2 && p[0] == '\\' && p[1] == 'N')
        return STR_NULL;
    for (size_t i = 0; i < n; i++) {
        char c = p[i];

        if (c == '\\' && i + 1 < n) {
            static const char from[] = "bfnrtv", into[] = "\b\f\n\r\t\v";
            const char *known = strchr(from, p[++i]);

            c = known && *known ? into[known - from] : p[i];
        }
        p[to++] = c;
    }
    return str_from(p, to);
}

static void add_row(struct source_feed *f, char *line, size_t n)
{
    size_t columns = f->t->column_count, at = 0;
    int64_t sum = 0;

    buf_reset(&f->f.key);
    rowsum_begin(f->f.sum);
    for (char *p = line, *end = line + n; p <= end; at++) {
        char *tab = memchr(p, '\t', (size_t)(end - p));
        size_t len = (size_t)((tab ? tab : end) - p);
        struct str field = unescape(p, len);

        if (at == columns)
            sum = rowsum_end(f->f.sum);
        if (at < columns) {
            rowsum_field(f->f.sum, field);
        } else {
            if (at > columns)
                buf_str(&f->f.key, STR(", "));
            buf_str(&f->f.key, field);
        }
        p += len + 1;
    }
    if (f->t->key_count == 0)
        sum = rowsum_end(f->f.sum);
    feed_add(&f->f, f->t->key_count ? arena_str(&f->f.arena, buf_view(&f->f.key)) : STR_NULL, sum, f->pos++,
             false);
}

static bool source_fill(struct feed *feed, struct err *e)
{
    struct source_feed *f = (struct source_feed *)feed;
    char *line;
    int n = 0;

    if (!f->begun && !begin(f, e))
        return false;
    while (feed->out.rows < FEED_ROWS && (n = PQgetCopyData(f->s->pg, &line, 0)) > 0) {
        add_row(f, line, (size_t)n - 1); // without the line's end
        PQfreemem(line);
    }
    if (n == -2)
        return refused(f->s->pg, "verify", e);
    if (n == -1) { // the end: take the command's result, once
        PGresult *res;

        while ((res = PQgetResult(f->s->pg)) != NULL)
            PQclear(res);
    }
    return true;
}

struct feed *source_feed(struct source *s, const struct source_table *t, struct arena *a)
{
    struct source_feed *f = ARENA_NEW(a, struct source_feed);

    feed_init(&f->f);
    f->f.fill = source_fill;
    f->s = s;
    f->t = t;
    f->a = a;
    return &f->f;
}
