/*
 * app: the running program: one project folder, its data folder, and the rooms that serve it.
 *
 *     app_load(&app, folder, assignments, count, e)   tarn.yaml, .env, settings checked; touches nothing
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

#include "conf/conf.h"
#include "connect/connect.h"
#include "os/thread.h"

enum role_id {
#define X(name, field, sentence) ROLE_##name,
#include "app/roles.def"
#undef X
    ROLES,
    NO_ROLE = -1
};

struct role { // fixed
    const char *name, *sentence, *setting;
    size_t port_at; // in struct settings
};
extern const struct role roles[ROLES];

struct role_state {
    const char *state; // "off", "starting", "up", "external"
    const char *host;
    int port;
};

/* Rows each step had, once a second: for rates. */
enum { STEPS = 6, RATE_SECONDS = 5 };
struct meters {
    struct mutex lock; // guards all below
    int64_t rows[RATE_SECONDS][STEPS];
    int64_t at_ms[RATE_SECONDS]; // 0: not yet
    unsigned next;
};

struct app {
    struct arena arena; // process lifetime: settings, paths, names
    struct settings s;
    struct conf_env env;
    const char *folder, *name; // the project's, and its last part
    const char *data;          // data folder
    int lock_fd;               // of DATA/tarn.lock; -1: not held
    int64_t began_ns;          // when the program started, on os's clock
    int64_t waited_ms;         // of the start, for PostgreSQL to be up
    int64_t ready_ms;          // from began to ready, without waited_ms
    _Atomic bool ready;
    struct meters meters;
    _Atomic bool maintaining; // a job of app_tick() runs
    unsigned parts_started;
    struct role_state role[ROLES]; // changed by the main thread alone
    struct mutex roles_lock;       // other threads read role under it

    struct os *os;
    struct net *net;
    struct postgres *postgres; // NULL: none, or an external one
    struct thread postgres_thread;
    bool postgres_starting, postgres_ok;
    struct err postgres_err;
    const char *conninfo; // of the project's database; NULL: there is none
    int migrations_applied;
    struct log *log;
    struct offsets *offsets;
    struct blobs *blobs;
    struct auth *users; // NULL: nobody has to log in
    struct kafka *kafka;
    struct schemas *schemas;
    struct registry *registry;
    struct connect_env connect_env; // lives as long as connect
    struct connect *connect;
    struct engine *engine;
    struct lake *lake;
    _Atomic bool verifying;
    struct ingest *ingest;
    struct s3 *s3;
    struct console *console;
};

bool app_load(struct app *app, const char *folder, const char *const *assignments, size_t count,
              struct err *e) MUST_CHECK;
bool app_start(struct app *app, struct err *e) MUST_CHECK;
/* Once a second while it serves: starts what is due as a job. False: it cannot go on, and should be started anew. */
bool app_tick(struct app *app, struct err *e) MUST_CHECK;
void app_stop(struct app *app);
void app_fini(struct app *app);

/* Notes what each step has done so far. */
void app_measure(struct app *app);
/* Writes the JSON of GET /api/status; any thread, while the app is up. */
void app_status(void *arg, struct buf *out);
/* The same for GET /metrics: an obs_source_fn. */
struct obs_out;
void app_metrics(struct obs_out *out, void *arg);

/* DATA/tarn.run tells the verbs where the program answers: {"pid":1,"console":"http://127.0.0.1:8080",...}. */
bool run_file_write(const struct app *app, struct err *e) MUST_CHECK;
/* URL of the console of the tarn that runs on this project, in a. ERR_NOT_FOUND: none does. */
bool run_file_console(const char *folder, struct arena *a, const char **url, struct err *e) MUST_CHECK;
