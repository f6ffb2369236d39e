/* Does the private server answer, is it ours, and has it the project's database? */
#include "app/postgres_int.h"

#include "base/buf.h"
#include "os/os.h"

#include <libpq-fe.h>

enum {
    READY_MS = 60000, // recovery after a crash included
    PROBE_MS = 20,    // between two tries to connect while the server starts
};

/* A value of a connection string, whatever characters it has. */
static const char *value_of(struct postgres *p, const char *value)
{
    struct buf b = buf_make(2 * strlen(value) + 3);
    const char *out;

    buf_u8(&b, '\'');
    for (; *value; value++) {
        if (*value == '\'' || *value == '\\')
            buf_u8(&b, '\\');
        buf_u8(&b, (uint8_t)*value);
    }
    buf_u8(&b, '\'');
    out = arena_str(&p->a, buf_view(&b)).p;
    buf_fini(&b);
    return out;
}

static const char *conninfo_of(struct postgres *p, const char *database)
{
    return arena_fmt(&p->a, "host=127.0.0.1 port=%d user=%s password=%s dbname=%s connect_timeout=5", p->port,
                     value_of(p, p->o.user), value_of(p, p->o.password), value_of(p, database));
}

/* Is it our server that answers at our port? */
static bool is_ours(struct postgres *p, PGconn *pg, struct err *e)
{
    PGresult *res = PQexec(pg, "SHOW " POSTGRES_FOLDER);
    bool ok = PQresultStatus(res) == PGRES_TUPLES_OK && os_same_file(p->o.os, PQgetvalue(res, 0, 0), p->dir);

    if (!ok)
        (void)err_set(e, ERR_CONFLICT, "another PostgreSQL server answers at port %d", p->port);
    PQclear(res);
    return ok;
}

static bool make_database(struct postgres *p, PGconn *pg, struct err *e)
{
    const char *name = p->o.database;
    PGresult *res =
        PQexecParams(pg, "SELECT 1 FROM pg_database WHERE datname = $1", 1, NULL, &name, NULL, NULL, 0);
    bool ok = PQresultStatus(res) == PGRES_TUPLES_OK, there = ok && PQntuples(res) == 1;

    PQclear(res);
    if (ok && !there) {
        char *quoted = PQescapeIdentifier(pg, name, strlen(name));

        res = PQexec(pg, arena_fmt(&p->a, "CREATE DATABASE %s", quoted));
        ok = PQresultStatus(res) == PGRES_COMMAND_OK;
        PQclear(res);
        PQfreemem(quoted);
    }
    return ok ||
           err_set(e, ERR_REMOTE, "database %s: %.*s", name, STR_ARG(str_trim(str_of(PQerrorMessage(pg)))));
}

bool postgres_wait_ready(struct postgres *p, struct err *e)
{
    int64_t until = p->o.os->now_ns(p->o.os) + (int64_t)READY_MS * 1000000;
    bool ready = false, alive = true, ok = false;

    if (!p->conninfo) { // the port is known from here on
        p->conninfo = conninfo_of(p, p->o.database);
        p->admin_conninfo = conninfo_of(p, "postgres");
    }
    while (!ready && alive && p->o.os->now_ns(p->o.os) < until) {
        PGconn *pg = PQconnectdb(p->admin_conninfo);

        ready = PQstatus(pg) == CONNECTION_OK;
        if (ready)
            ok = is_ours(p, pg, e) && make_database(p, pg, e);
        else
            (void)err_set(e, ERR_REMOTE, "PostgreSQL: %.*s", STR_ARG(str_trim(str_of(PQerrorMessage(pg)))));
        PQfinish(pg);
        mutex_lock(&p->lock);
        if (!ready && p->alive && !p->stopping)
            (void)cond_wait_ms(&p->changed, &p->lock, PROBE_MS);
        alive = p->alive && !p->stopping;
        mutex_unlock(&p->lock);
    }
    if (!ready && !alive)
        (void)err_set(e, ERR_IO, "PostgreSQL stopped while it started: see %s/postgres.log", p->o.data_dir);
    return ok;
}
