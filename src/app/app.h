/*
 * app: the running program: one project folder, its data folder, and the rooms that serve it.
 *
 *     app_load(&app, folder, assignments, count, e)   reads the project; touches nothing
 *     app_start(&app, e)                              locks the data folder, starts the parts of parts.c in order
 *     ...
 *     app_stop(&app)                                  the same backwards; also after a failed start
 *     app_fini(&app)
 *
 * A part is a step of the start with its way back; a door is a part with a role, whose port setting may be off. What a
 * part makes it keeps in struct app, for the parts after it. Adding a room is adding a part, adding a door also a row in
 * roles.def.
 */
#pragma once

#include "app/database.h"
#include "app/project.h"
#include "app/roles.h"
#include "app/status.h"
#include "connect/connect.h"

/* How far it is; app.c's. */
struct run {
    int lock_fd;        // of DATA/tarn.lock; -1: not held
    int64_t began_ns;   // when the program started, on os's clock
    int64_t ready_ms;   // from began to ready, without the wait for the database
    _Atomic bool ready; // all parts are up
    unsigned parts_started;
    _Atomic bool maintaining; // a job of app_tick() runs
    uint64_t groups_seen;     // by it
    unsigned rested_s;        // since then
};

struct app {
    struct os *os;
    struct project project;
    struct run run;
    struct roles roles;
    struct meters meters;

    /* What parts have made, in their order. */
    struct net *net;
    struct database database;
    struct log *log;
    struct offsets *offsets;
    struct schemas *schemas;
    struct blobs *blobs;
    struct engine *engine;
    struct lake *lake;
    struct auth *users; // NULL: nobody has to log in
    struct kafka *kafka;
    struct registry *registry;
    struct s3 *s3;
    struct console *console;
    struct connect_env connect_env; // lives as long as connect
    struct connect *connect;
    struct ingest *ingest;
};

bool app_load(struct app *app, const char *folder, const char *const *assignments, size_t count,
              struct err *e) MUST_CHECK;
bool app_start(struct app *app, struct err *e) MUST_CHECK;
/* Once a second while it serves: starts what is due as a job. False: it cannot go on, and should be started anew. */
bool app_tick(struct app *app, struct err *e) MUST_CHECK;
void app_stop(struct app *app);
void app_fini(struct app *app);
