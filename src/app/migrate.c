#include "app/migrate.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "os/os.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <zlib.h>

/* Held while migrating; any number that others are unlikely to use. Flyway takes one of its own, so the two do not meet. */
#define LOCK_KEY "7235104281172996"

struct migration_run {
    const struct migrate_options *o;
    struct arena a;
    PGconn *pg;
    struct migration *files;
    size_t file_count;
    int rank; // highest installed_rank so far
};

int32_t migrate_checksum(struct str text)
{
    uLong crc = crc32(0, NULL, 0);
    size_t start = str_starts(text, STR("\xef\xbb\xbf")) ? 3 : 0;

    for (size_t i = start; i <= text.n; i++) {
        if (i < text.n && text.p[i] != '\n' && text.p[i] != '\r')
            continue;
        if (i > start)
            crc = crc32(crc, (const Bytef *)text.p + start, (uInt)(i - start));
        if (i + 1 < text.n && text.p[i] == '\r' && text.p[i + 1] == '\n')
            i++;
        start = i + 1;
    }
    return (int32_t)(uint32_t)crc;
}

/* "1_2" and "1.2" are the same version; leading zeros do not count. */
static struct str clean_version(struct arena *a, struct str v)
{
    struct buf b = buf_make(100);
    struct str part, out;

    for (size_t i = 0; i < v.n; i++)
        buf_u8(&b, v.p[i] == '_' ? '.' : (uint8_t)v.p[i]);
    v = arena_str(a, buf_view(&b));
    buf_reset(&b);
    for (bool first = true; str_cut(&v, '.', &part); first = false) {
        while (part.n > 1 && part.p[0] == '0') {
            part.p++;
            part.n--;
        }
        buf_fmt(&b, "%s%.*s", first ? "" : ".", STR_ARG(part));
    }
    out = arena_str(a, buf_view(&b));
    buf_fini(&b);
    return out;
}

static bool version_ok(struct str v)
{
    struct str part;
    uint64_t n;

    while (str_cut(&v, '.', &part))
        if (!str_u64(part, &n))
            return false;
    return true;
}

bool migrate_parse_name(struct arena *a, struct str script, struct migration *m, struct err *e)
{
    struct str stem = {script.p, script.n - 4};
    struct str rest = {script.p + 1, stem.n - 1};
    char *description;
    size_t at = 0;

    *m = (struct migration){.script = script, .due = true};
    if (!str_ends(script, STR(".sql")) || stem.n < 4 || (script.p[0] != 'V' && script.p[0] != 'R'))
        return err_set(e, ERR_INVALID, "%.*s: a migration is called V<version>__<name>.sql or R__<name>.sql",
                       STR_ARG(script));
    while (at + 1 < rest.n && !(rest.p[at] == '_' && rest.p[at + 1] == '_'))
        at++;
    if (at + 2 >= rest.n || (script.p[0] == 'R') != (at == 0))
        return err_set(e, ERR_INVALID, "%.*s: two underscores must stand between version and name",
                       STR_ARG(script));
    if (at > 0)
        m->version = clean_version(a, (struct str){rest.p, at});
    if (at > 0 && !version_ok(m->version))
        return err_set(e, ERR_INVALID, "%.*s: %.*s is not a version: numbers between dots or underscores",
                       STR_ARG(script), STR_ARG(m->version));
    description = arena_fmt(a, "%.*s", (int)(rest.n - at - 2), rest.p + at + 2);
    for (char *c = description; *c; c++)
        if (*c == '_')
            *c = ' ';
    m->description = str_of(description);
    return true;
}

int migrate_compare(struct str a, struct str b)
{
    struct str pa, pb;

    for (;;) {
        bool more_a = str_cut(&a, '.', &pa), more_b = str_cut(&b, '.', &pb);
        uint64_t na = 0, nb = 0;

        if (!more_a && !more_b)
            return 0;
        if ((more_a && !str_u64(pa, &na)) || (more_b && !str_u64(pb, &nb)))
            return str_cmp(pa, pb);
        if (na != nb)
            return na < nb ? -1 : 1;
    }
}

/* Versioned ones by version, then repeatable ones by name. */
static int by_order(const void *pa, const void *pb)
{
    const struct migration *a = pa, *b = pb;

    if (!a->version.p != !b->version.p)
        return a->version.p ? -1 : 1;
    return a->version.p ? migrate_compare(a->version, b->version) : str_cmp(a->script, b->script);
}

static const char *placeholder(const struct migrate_options *o, struct str name)
{
    char *upper = str_dup(name);
    char *flyway;
    const char *value;

    for (char *c = upper; *c; c++)
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 32);
    flyway = mem_fmt("FLYWAY_PLACEHOLDERS_%s", upper);
    value = o->env(o->env_arg, flyway);
    if (!value)
        value = o->env(o->env_arg, upper);
    mem_free(flyway);
    mem_free(upper);
    return value;
}

bool migrate_fill_in(struct arena *a, const struct migrate_options *o, struct str text, struct str *out,
                     struct err *e)
{
    struct buf b = buf_make(4 * LIMIT_SETTINGS);
    bool ok = true;

    while (ok && text.n > 0) {
        bool is_var = text.n > 3 && text.p[0] == '$' && text.p[1] == '{';
        struct str name = {text.p + 2, text.n - 2};
        ptrdiff_t end = is_var ? str_find(name, '}') : -1;
        const char *value;

        if (end < 0) {
            buf_put(&b, text.p, 1);
            text = (struct str){text.p + 1, text.n - 1};
            continue;
        }
        name.n = (size_t)end;
        value = placeholder(o, name);
        if (!value)
            ok =
                err_set(e, ERR_INVALID, "no value for placeholder ${%.*s}: set it in .env or the environment",
                        STR_ARG(name));
        else
            buf_str(&b, str_of(value));
        text = (struct str){name.p + end + 1, text.n - 3 - (size_t)end};
    }
    if (ok && !buf_ok(&b))
        ok = err_set(e, ERR_LIMIT, "migration is over %zu bytes with its placeholders filled in", b.max);
    if (ok)
        *out = arena_str(a, buf_view(&b));
    buf_fini(&b);
    return ok;
}

static bool load_file(struct migration_run *r, struct str name, struct migration *m, struct err *e)
{
    const char *path = arena_fmt(&r->a, "%s/%.*s", r->o->dir, STR_ARG(name));

    if (!migrate_parse_name(&r->a, name, m, e) ||
        !os_read_file(r->o->os, path, LIMIT_SETTINGS, &r->a, &m->text, e))
        return false;
    if (memchr(m->text.p, 0, m->text.n))
        return err_set(e, ERR_INVALID, "%s: has a NUL byte, so it is not SQL text", path);
    m->checksum = migrate_checksum(m->text);
    if (!migrate_fill_in(&r->a, r->o, m->text, &m->text, e))
        return err_wrap(e, "%s", path);
    if (!m->version.p)
        m->checksum = migrate_checksum(m->text);
    return true;
}

static bool load_files(struct migration_run *r, struct err *e)
{
    struct str *names;
    size_t count;

    if (!os_exists(r->o->os, r->o->dir))
        return true;
    if (!os_list(r->o->os, r->o->dir, &r->a, &names, &count, e))
        return false;
    r->files = ARENA_ARRAY(&r->a, struct migration, count + 1);
    for (size_t i = 0; i < count; i++)
        if (str_ends(names[i], STR(".sql")) && !load_file(r, names[i], &r->files[r->file_count++], e))
            return false;
    if (r->file_count > 0)
        qsort(r->files, r->file_count, sizeof *r->files, by_order);
    for (size_t i = 1; i < r->file_count; i++)
        if (r->files[i].version.p && str_eq(r->files[i - 1].version, r->files[i].version))
            return err_set(e, ERR_INVALID, "%.*s and %.*s have the same version",
                           STR_ARG(r->files[i - 1].script), STR_ARG(r->files[i].script));
    return true;
}

/* One statement or a whole file; the result of the last one is given when `out` is not NULL. */
static bool run_sql(struct migration_run *r, const char *sql, PGresult **out, struct err *e)
{
    PGresult *res = PQexec(r->pg, sql);
    ExecStatusType status = PQresultStatus(res);
    const char *message = PQresultErrorMessage(res);

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY) {
        (void)err_set(e, ERR_INVALID, "%.*s",
                      STR_ARG(str_trim(str_of(*message ? message : PQerrorMessage(r->pg)))));
        PQclear(res);
        return false;
    }
    if (out)
        *out = res;
    else
        PQclear(res);
    return true;
}

static bool run_params(struct migration_run *r, const char *sql, int count, const char *const *values,
                       struct err *e)
{
    PGresult *res = PQexecParams(r->pg, sql, count, NULL, values, NULL, NULL, 0);
    bool ok = PQresultStatus(res) == PGRES_COMMAND_OK ||
              err_set(e, ERR_REMOTE, "history: %.*s", STR_ARG(str_trim(str_of(PQresultErrorMessage(res)))));

    PQclear(res);
    return ok;
}

/* The history table as Flyway makes it in PostgreSQL. */
static const char HISTORY_DDL[] =
    "CREATE TABLE IF NOT EXISTS flyway_schema_history ("
    " installed_rank INT NOT NULL CONSTRAINT flyway_schema_history_pk PRIMARY KEY,"
    " version VARCHAR(50), description VARCHAR(200) NOT NULL, type VARCHAR(20) NOT NULL,"
    " script VARCHAR(1000) NOT NULL, checksum INTEGER, installed_by VARCHAR(100) NOT NULL,"
    " installed_on TIMESTAMP NOT NULL DEFAULT now(), execution_time INTEGER NOT NULL, success BOOLEAN NOT "
    "NULL);"
    "CREATE INDEX IF NOT EXISTS flyway_schema_history_s_idx ON flyway_schema_history (success)";

static struct migration *find_file(struct migration_run *r, struct str version, struct str script)
{
    for (size_t i = 0; i < r->file_count; i++) {
        struct migration *m = &r->files[i];

        if (version.p ? m->version.p && migrate_compare(m->version, version) == 0
                      : !m->version.p && str_eq(m->script, script))
            return m;
    }
    return NULL;
}

/* A row of the history against the files: a file that ran as it is now is not due. */
static bool check_row(struct migration_run *r, PGresult *rows, int i, struct str *newest, struct err *e)
{
    struct str version = PQgetisnull(rows, i, 1) ? STR_NULL : str_of(PQgetvalue(rows, i, 1));
    struct str script = str_of(PQgetvalue(rows, i, 2));
    struct migration *m = find_file(r, version, script);
    int64_t checksum = 0;
    bool has_checksum = !PQgetisnull(rows, i, 3) && str_i64(str_of(PQgetvalue(rows, i, 3)), &checksum);

    if (*PQgetvalue(rows, i, 4) != 't')
        return err_set(e, ERR_CONFLICT,
                       "migration %.*s failed earlier: mend the database, then delete its row "
                       "from flyway_schema_history",
                       STR_ARG(script));
    if (!version.p) {
        if (m && has_checksum)
            m->due = m->checksum != checksum; // rows come in the order of running: the last one decides
        return true;
    }
    if (!has_checksum) // a baseline or schema row of Flyway's: nothing to compare
        return true;
    if (!m)
        return err_set(e, ERR_CONFLICT, "migration %.*s ran on this database but is not in %s",
                       STR_ARG(script), r->o->dir);
    if (m->checksum != checksum)
        return err_set(e, ERR_CONFLICT,
                       "%.*s was changed after it ran (checksum %d, was %lld): undo the change and put it "
                       "into a new migration",
                       STR_ARG(m->script), m->checksum, (long long)checksum);
    m->due = false;
    if (!newest->p || migrate_compare(version, *newest) > 0)
        *newest = arena_str(&r->a, version);
    return true;
}

static bool check_history(struct migration_run *r, struct err *e)
{
    struct str newest = STR_NULL;
    PGresult *rows = NULL;
    bool ok = run_sql(r, HISTORY_DDL, NULL, e) &&
              run_sql(r,
                      "SELECT installed_rank, version, script, checksum, success FROM flyway_schema_history "
                      "WHERE type = 'SQL' ORDER BY installed_rank",
                      &rows, e);
    int count = ok ? PQntuples(rows) : 0;

    for (int i = 0; ok && i < count; i++) {
        int64_t rank = 0;

        ok = check_row(r, rows, i, &newest, e);
        r->rank = str_i64(str_of(PQgetvalue(rows, i, 0)), &rank) && rank > r->rank ? (int)rank : r->rank;
    }
    for (size_t i = 0; ok && newest.p && i < r->file_count; i++) {
        struct migration *m = &r->files[i];

        if (m->version.p && m->due && migrate_compare(m->version, newest) < 0)
            ok = err_set(e, ERR_CONFLICT,
                         "%.*s sorts below version %.*s, which already ran: give it a higher version",
                         STR_ARG(m->script), STR_ARG(newest));
    }
    PQclear(rows);
    return ok;
}

static bool apply(struct migration_run *r, const struct migration *m, struct err *e)
{
    char rank[16], checksum[16], took[24];
    const char *values[6] = {rank, m->version.p, m->description.p, m->script.p, checksum, took};
    int64_t from = r->o->os->now_ns(r->o->os);
    struct err undo;

    if (!run_sql(r, "BEGIN", NULL, e))
        return false;
    if (!run_sql(r, m->text.p, NULL, e))
        goto undo;
    (void)snprintf(rank, sizeof rank, "%d", r->rank + 1);
    (void)snprintf(checksum, sizeof checksum, "%d", m->checksum);
    (void)snprintf(took, sizeof took, "%lld", (long long)((r->o->os->now_ns(r->o->os) - from) / 1000000));
    if (!run_params(
            r,
            "INSERT INTO flyway_schema_history (installed_rank, version, description, type, script, checksum,"
            " installed_by, execution_time, success) VALUES ($1, $2, $3, 'SQL', $4, $5, current_user, $6, "
            "true)",
            6, values, e) ||
        !run_sql(r, "COMMIT", NULL, e))
        goto undo;
    r->rank++;
    return true;
undo:
    (void)run_sql(r, "ROLLBACK", NULL, &undo);
    return err_wrap(e, "migration %.*s", STR_ARG(m->script));
}

static bool apply_all(struct migration_run *r, struct migrate_result *result, struct err *e)
{
    bool ok = check_history(r, e);

    for (size_t i = 0; ok && i < r->file_count; i++) {
        if (!r->files[i].due)
            continue;
        ok = apply(r, &r->files[i], e);
        result->applied += ok;
    }
    return ok;
}

static void ignore_notice(void *arg, const char *message)
{
    (void)arg;
    (void)message;
}

bool migrate_run(const struct migrate_options *o, struct migrate_result *result, struct err *e)
{
    struct migration_run r = {.o = o};
    bool ok = load_files(&r, e);

    *result = (struct migrate_result){.present = (int)r.file_count};
    if (!ok || r.file_count == 0)
        goto out;
    r.pg = PQconnectdb(o->conninfo);
    if (PQstatus(r.pg) != CONNECTION_OK) {
        ok = err_set(e, ERR_REMOTE, "migrations: %.*s", STR_ARG(str_trim(str_of(PQerrorMessage(r.pg)))));
        goto out;
    }
    (void)PQsetNoticeProcessor(r.pg, ignore_notice, NULL);
    ok = run_sql(&r, "SELECT pg_advisory_lock(" LOCK_KEY ")", NULL, e) && apply_all(&r, result, e);
out:
    PQfinish(r.pg); // ends the lock too
    arena_fini(&r.a);
    return ok;
}
