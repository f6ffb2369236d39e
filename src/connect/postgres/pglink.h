/*
 * pglink: a libpq connection that a task can be called away from.
 *
 * Nothing here blocks in libpq: every wait is a poll on the socket and on the task's wake descriptor. A function that returns false
 * because the task should stop says so with pglink_stopped(); else e->kind tells whether another try makes sense
 * (ERR_REMOTE: yes: the server is away, starting, or out of room) or not (wrong password, no such slot).
 */
#pragma once

#include "base/err.h"
#include "connect/postgres/settings.h"

#include <libpq-fe.h>

struct link {
    PGconn *conn; // NULL: closed
    struct task *task;
};

bool pglink_open(struct link *l, struct task *t, const struct pg_settings *s, bool replication,
                 struct err *e) MUST_CHECK;
void pglink_close(struct link *l);
bool pglink_stopped(struct link *l);
/* Waits until the socket can be read (or written); other_fd -1 or one more to watch. True also after timeout_ms. */
bool pglink_wait(struct link *l, bool for_write, int other_fd, int timeout_ms, struct err *e) MUST_CHECK;
/* One statement. The result is yours to PQclear(). NULL and e when it failed. */
PGresult *pglink_query(struct link *l, const char *sql, struct err *e);
/* The same with one text parameter. */
PGresult *pglink_query1(struct link *l, const char *sql, const char *param, struct err *e);
bool pglink_run(struct link *l, const char *sql, struct err *e) MUST_CHECK; // result thrown away
/* Fills e from a result that is not what was hoped for, or from the connection when r is NULL. Returns false. */
bool pglink_err(struct link *l, const PGresult *r, const char *what, struct err *e);
/*
 * The next piece of a COPY that is under way. 1: *data of *n bytes, yours to PQfreemem(); 0: nothing now, wait; -1: the copy is
 * over: get its result; -2: it failed, e.
 */
int pglink_copy(struct link *l, char **data, size_t *n, struct err *e);
bool pglink_put_copy(struct link *l, const void *p, size_t n, struct err *e) MUST_CHECK;
