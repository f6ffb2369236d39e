/*
 * postgres_int: the private server's files: postgres.c has its life, postgres_server.c the process, postgres_ready.c whether it
 * answers.
 */
#pragma once

#include "app/postgres.h"
#include "base/arena.h"
#include "os/thread.h"

/*
 *      start ──▶ STARTING ──ready──▶ UP ──died──▶ DOWN ──wait──▶ STARTING
 *                   │ died                │
 *                   ▼                     ▼ stop
 *                 DOWN ──stop──▶ STOPPED ◀┘
 */
enum postgres_state { POSTGRES_STARTING, POSTGRES_UP, POSTGRES_DOWN, POSTGRES_STOPPED };

struct postgres {
    struct postgres_options o; // strings are our copies
    struct arena a;            // immutable after start
    const char *dir;           // the server's data
    const char *known_as;      // the same as the server calls it
    const char *conninfo, *admin_conninfo;
    uint32_t uid, gid; // 0: as we are
    int port;
    struct thread owner;

    struct mutex lock; // guards what follows
    struct cond changed;
    enum postgres_state state;
    bool stopping;
    bool alive; // the child or the adopted process
    struct child *child;
    struct err failure; // of the first start
};

/* How the server is told, and tells, where its data lies: a setting of no meaning to itself. */
#define POSTGRES_FOLDER "tarn.data_folder"

/* ---- postgres_server.c: the owner's thread ---- */

/* Chooses its user, its programs and its folder. */
bool postgres_place(struct postgres *p, struct err *e) MUST_CHECK;
bool postgres_init_data(struct postgres *p, struct err *e) MUST_CHECK; // initdb
bool postgres_start_server(struct postgres *p, struct err *e) MUST_CHECK;
/* True when a server that outlived tarn runs on our data; it is p->child then, and p->port its port. */
bool postgres_adopt_server(struct postgres *p);
/* Waits until the child is gone, and lets go of it. */
void postgres_reap(struct postgres *p);
void postgres_stop_server(struct postgres *p); // when it does not stop it is killed

/* ---- postgres_ready.c ---- */

/* Tries to connect until the server answers, dies, or the time is up; makes the database. */
bool postgres_wait_ready(struct postgres *p, struct err *e) MUST_CHECK;
