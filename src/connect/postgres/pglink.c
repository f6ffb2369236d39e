#include "connect/postgres/pglink.h"

#include "base/mem.h"

#include <poll.h>
#include <stdio.h>

enum { CONNECT_MS = 30000 };

/* Text that is the same whatever the server's settings are. */
static const char options[] =
    "-c datestyle=ISO -c intervalstyle=postgres -c timezone=UTC -c extra_float_digits=3 "
    "-c bytea_output=hex -c lc_monetary=C -c standard_conforming_strings=on";

bool pglink_stopped(struct link *l)
{
    return task_should_stop(l->task);
}

static bool stopped_err(struct err *e)
{
    return err_set(e, ERR_BUSY, "the task is stopping");
}

/* ---- what failed ---- */

/*
 * Before there is a session, libpq gives no SQLSTATE. These need somebody to change something: what the server said, and
 * the setting to look at.
 */
static const struct {
    const char *said, *advice;
} needs_a_person[] = {
    {"password authentication failed", "database.user, database.password"},
    {"no password supplied", "database.password"},
    {"no pg_hba.conf entry", "database.user, database.dbname, or the server's pg_hba.conf"},
    {"must be superuser or replication role", "database.user: ALTER ROLE gives it REPLICATION"},
    {"is not permitted to log in", "database.user"},
    {"does not exist", "database.user, database.dbname"},
    {"permission denied", "database.user"},
    {"could not translate host name", "database.hostname"},
    {"invalid sslmode", "database.sslmode"},
    {"certificate", "database.sslmode"},
};

static const char *advice_on(const char *message)
{
    for (size_t i = 0; i < ARRAY_LEN(needs_a_person); i++)
        if (strstr(message, needs_a_person[i].said))
            return needs_a_person[i].advice;
    return NULL;
}

/* SQLSTATE classes that pass: connection, resources, operator intervention, object in use. */
static bool passes(const char *sqlstate)
{
    return strncmp(sqlstate, "08", 2) == 0 || strncmp(sqlstate, "53", 2) == 0 ||
           strncmp(sqlstate, "57", 2) == 0 || strcmp(sqlstate, "55006") == 0 ||
           strcmp(sqlstate, "40001") == 0;
}

/* One line without the newline at its end. */
static void copy_message(const char *from, char *to, size_t size)
{
    size_t n = 0;

    for (; *from && n + 1 < size; from++)
        to[n++] = *from == '\n' ? ' ' : *from;
    while (n > 0 && to[n - 1] == ' ')
        n--;
    to[n] = '\0';
}

bool pglink_err(struct link *l, const PGresult *r, const char *what, struct err *e)
{
    const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;
    const char *text = r && *PQresultErrorMessage(r) ? PQresultErrorMessage(r) : PQerrorMessage(l->conn);
    char message[300];
    const char *advice = state ? NULL : advice_on(text);
    bool again = state ? passes(state) : !advice;

    copy_message(text, message, sizeof message);
    if (advice)
        return err_set(e, ERR_INVALID, "%s: %s (as %s; see %s)", what, message, PQuser(l->conn), advice);
    return err_set(e, again ? ERR_REMOTE : ERR_INVALID, "%s: %s", what,
                   *message ? message : "the connection was closed");
}

/* ---- connect ---- */

bool pglink_wait(struct link *l, bool for_write, int other_fd, int timeout_ms, struct err *e)
{
    struct pollfd p[3] = {
        {.fd = PQsocket(l->conn), .events = (short)(POLLIN | (for_write ? POLLOUT : 0))},
        {.fd = task_wake_fd(l->task), .events = POLLIN},
        {.fd = other_fd, .events = POLLIN},
    };

    if (poll(p, other_fd >= 0 ? 3 : 2, timeout_ms) < 0 && errno != EINTR)
        return err_sys(e, "poll");
    return !pglink_stopped(l) || stopped_err(e);
}

static bool finish_connect(struct link *l, struct err *e)
{
    PostgresPollingStatusType want = PGRES_POLLING_WRITING;

    while (want != PGRES_POLLING_OK) {
        struct pollfd p[2] = {
            {.fd = PQsocket(l->conn), .events = want == PGRES_POLLING_READING ? POLLIN : POLLOUT},
            {.fd = task_wake_fd(l->task), .events = POLLIN},
        };
        int n = poll(p, 2, CONNECT_MS);

        if (pglink_stopped(l))
            return stopped_err(e);
        if (n == 0)
            return err_set(e, ERR_REMOTE, "PostgreSQL at %s:%s does not answer", PQhost(l->conn),
                           PQport(l->conn));
        want = PQconnectPoll(l->conn);
        if (want == PGRES_POLLING_FAILED)
            return pglink_err(l, NULL, "PostgreSQL", e);
    }
    return true;
}

bool pglink_open(struct link *l, struct task *t, const struct pg_settings *s, bool replication, struct err *e)
{
    const struct connect_env *env = task_env(t);
    struct connect_address at = {.port = s->port};
    char port[16];
    const char *keys[] = {"host",
                          "port",
                          "user",
                          "password",
                          "dbname",
                          "sslmode",
                          "options",
                          "application_name",
                          "client_encoding",
                          "replication",
                          NULL};
    const char *values[] = {at.host,    port,    s->user,      s->password, s->database,
                            s->sslmode, options, task_name(t), "UTF8",      replication ? "database" : NULL,
                            NULL};

    (void)snprintf(at.host, sizeof at.host, "%s", s->host);
    if (env->locate)
        env->locate(env->locate_arg, &at);
    (void)snprintf(port, sizeof port, "%d", at.port);
    *l = (struct link){.conn = PQconnectStartParams(keys, values, 0), .task = t};
    if (!l->conn || PQstatus(l->conn) == CONNECTION_BAD ? pglink_err(l, NULL, "PostgreSQL", e)
                                                        : finish_connect(l, e))
        return true;
    pglink_close(l);
    return false;
}

void pglink_close(struct link *l)
{
    PQfinish(l->conn);
    l->conn = NULL;
}

/* ---- queries ---- */

static bool flush_out(struct link *l, struct err *e)
{
    int left;

    while ((left = PQflush(l->conn)) > 0) {
        if (!pglink_wait(l, true, -1, -1, e))
            return false;
        if (!PQconsumeInput(l->conn))
            return pglink_err(l, NULL, "PostgreSQL", e);
    }
    return left == 0 || pglink_err(l, NULL, "PostgreSQL", e);
}

/* The result that counts: the first; the rest is read away. */
static PGresult *collect(struct link *l, struct err *e)
{
    PGresult *first = NULL;

    for (;;) {
        PGresult *r;

        while (PQisBusy(l->conn)) {
            if (!pglink_wait(l, false, -1, -1, e) ||
                (!PQconsumeInput(l->conn) && !pglink_err(l, NULL, "PostgreSQL", e))) {
                PQclear(first);
                return NULL;
            }
        }
        r = PQgetResult(l->conn);
        if (!r)
            return first;
        if (first)
            PQclear(r);
        else
            first = r;
        switch (PQresultStatus(first)) {
        case PGRES_COPY_OUT:
        case PGRES_COPY_BOTH:
            return first; // data follows
        default:
            break;
        }
    }
}

static PGresult *answer(struct link *l, const char *sql, int sent, struct err *e)
{
    PGresult *r;
    char what[80];

    if (!sent || !flush_out(l, e)) {
        if (!sent)
            pglink_err(l, NULL, "PostgreSQL", e);
        return NULL;
    }
    r = collect(l, e);
    if (!r)
        return NULL;
    switch (PQresultStatus(r)) {
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
        return r;
    default:
        copy_message(sql, what, sizeof what);
        pglink_err(l, r, what, e);
        PQclear(r);
        return NULL;
    }
}

PGresult *pglink_query(struct link *l, const char *sql, struct err *e)
{
    return answer(l, sql, PQsendQuery(l->conn, sql), e);
}

PGresult *pglink_query1(struct link *l, const char *sql, const char *param, struct err *e)
{
    return answer(l, sql, PQsendQueryParams(l->conn, sql, 1, NULL, &param, NULL, NULL, 0), e);
}

bool pglink_run(struct link *l, const char *sql, struct err *e)
{
    PGresult *r = pglink_query(l, sql, e);

    PQclear(r);
    return r != NULL;
}

/* ---- copy ---- */

int pglink_copy(struct link *l, char **data, size_t *n, struct err *e)
{
    int got = PQgetCopyData(l->conn, data, 1);

    if (got > 0) {
        *n = (size_t)got;
        return 1;
    }
    if (got == -2)
        pglink_err(l, NULL, "PostgreSQL", e);
    return got;
}

bool pglink_put_copy(struct link *l, const void *p, size_t n, struct err *e)
{
    if (PQputCopyData(l->conn, p, (int)n) != 1)
        return pglink_err(l, NULL, "PostgreSQL", e);
    return flush_out(l, e);
}
