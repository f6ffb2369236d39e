/*
 * database: the project's PostgreSQL, its own (postgres.h) or the one that postgres.url names, with its migrations.
 *
 * The server's start takes longest, so it begins first, on a thread of its own, and is waited for by the first who needs it:
 *
 *     database_init()   database_begin()   ...   database_wait()   ...   database_stop()
 */
#pragma once

#include "base/err.h"
#include "os/thread.h"

struct net;
struct postgres;
struct project;
struct roles;

struct database { // the main thread's
    struct project *project;
    struct net *net;
    struct postgres *postgres; // NULL: none, or an external one. Others may read it after database_wait()
    const char *conninfo;      // libpq's; NULL: there is no database. The same
    int64_t waited_ms;         // that the start of others took longer for it
    struct thread thread;      // starts the server; then its results:
    bool starting, ok;
    struct err err;
};

void database_init(struct database *d, struct project *p);
/* Starts the server of the project's own. Not called: there is none, or an external one. */
void database_begin(struct database *d, struct net *net);
/* Until it answers; then runs the project's migrations. Says in roles where it is. */
bool database_wait(struct database *d, struct roles *roles, struct err *e) MUST_CHECK;
void database_stop(struct database *d);
