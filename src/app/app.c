#include "app/app_int.h"

#include "base/mem.h"
#include "lake/lake.h"
#include "log/log.h"
#include "net/net.h"
#include "obs/obs.h"
#include "os/os.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

enum { GRACE_MS = 3000, REST_S = 15 };

static int64_t now_ms(const struct app *app)
{
    return app->os->now_ns(app->os) / 1000000;
}

/* ---- load ---- */

bool app_load(struct app *app, const char *folder, const char *const *assignments, size_t count,
              struct err *e)
{
    *app = (struct app){.os = os_real(), .run.lock_fd = -1};
    app->run.began_ns = app->os->now_ns(app->os);
    mutex_init(&app->meters.lock);
    roles_init(&app->roles);
    database_init(&app->database, &app->project);
    return project_load(&app->project, app->os, folder, assignments, count, e);
}

void app_fini(struct app *app)
{
    project_fini(&app->project);
    roles_fini(&app->roles);
    mutex_fini(&app->meters.lock);
}

/* ---- start ---- */

static bool lock_data(struct app *app, struct err *e)
{
    struct err why;

    if (!os_make_dirs(app->os, app->project.data, e))
        return err_wrap(e, "data folder");
    app->run.lock_fd = os_lock_file(arena_fmt(&app->project.arena, "%s/tarn.lock", app->project.data), &why);
    if (app->run.lock_fd >= 0)
        return true;
    *e = why;
    return why.kind == ERR_CONFLICT ? err_wrap(e, "a tarn runs on this project already") : false;
}

static void set_logging(const struct app *app)
{
    static const char *const levels[] = {"error", "warn", "info", "debug"};

    for (unsigned i = 0; i < ARRAY_LEN(levels); i++)
        if (str_is(str_of(app->project.s.logging_level), levels[i]))
            obs_set_level((enum obs_level)i);
    obs_set_debug(app->project.s.logging_debug);
}

static bool part_failed(const struct app *app, const struct app_part *p, struct err *e)
{
    if (p->role != NO_ROLE && e->kind == ERR_CONFLICT) {
        struct err cause = *e;
        return err_set_at(e, cause.kind, 0, cause.where, "%s: %s; the setting %s moves it (0: any free port)",
                          p->name, cause.msg, role_table[p->role].setting);
    }
    (void)app;
    return err_wrap(e, "%s", p->name);
}

/* Asked to stop while starting? The signals are blocked, so they wait. */
static bool stop_waits(void)
{
    sigset_t waiting;

    return sigpending(&waiting) == 0 && (sigismember(&waiting, SIGINT) || sigismember(&waiting, SIGTERM));
}

static bool start_part(struct app *app, const struct app_part *p, struct err *e)
{
    int64_t began_ms = now_ms(app);

    app->run.parts_started++;
    if (p->role != NO_ROLE && role_is_off(&app->project.s, p->role))
        return true;
    if (p->role != NO_ROLE)
        roles_set(&app->roles, p->role, (struct role_state){.state = "starting"});
    if (!p->start(app, e))
        return part_failed(app, p, e);
    obs_debug("app", "started part=%s ms=%lld", p->name, (long long)(now_ms(app) - began_ms));
    return true;
}

bool app_start(struct app *app, struct err *e)
{
    struct role_state console;

    set_logging(app);
    if (!lock_data(app, e))
        return false;
    for (unsigned i = 0; i < part_count; i++) {
        if (stop_waits())
            return err_set(e, ERR_TIMEOUT, "asked to stop while starting");
        if (!start_part(app, &parts[i], e))
            return false;
    }
    app->run.ready_ms = now_ms(app) - app->run.began_ns / 1000000 - app->database.waited_ms;
    atomic_store(&app->run.ready, true);
    obs_source(app_metrics, app);
    console = roles_get(&app->roles, ROLE_console);
    return run_file_write(&app->project, console.host, console.port, e);
}

/* ---- serve ---- */

/* While nothing is appended: once, and again now and then, for who reads and asks takes memory too. */
static void give_back(struct app *app)
{
    struct log_stats s;

    log_stats(app->log, &s);
    app->run.rested_s = s.groups == app->run.groups_seen ? app->run.rested_s + 1 : 0;
    app->run.groups_seen = s.groups;
    if (app->run.rested_s > 0 && app->run.rested_s % REST_S == 0)
        mem_give_back();
}

static void maintain(void *arg) // job
{
    static struct obs_repeat again;
    static uint64_t failures_told; // by the lake's keeper; one job runs at a time
    struct app *app = arg;
    uint64_t failures;
    struct err e;

    app_measure(app);
    give_back(app);
    if (!log_maintain(app->log, &e))
        obs_repeated(&again, OBS_WARN, "log", "maintenance failed, trying again: %s", e.msg);
    failures = lake_maintain_failures(app->lake, &e);
    if (failures > failures_told)
        obs_warn("lake", "upkeep of the tables failed, trying again: %s", e.msg);
    failures_told = failures;
    atomic_store(&app->run.maintaining, false);
}

bool app_tick(struct app *app, struct err *e)
{
    struct err why;

    if (log_failed(app->log, &why)) {
        *e = why;
        return err_wrap(e, "the log cannot write any more, start tarn again");
    }
    if (!atomic_exchange(&app->run.maintaining, true))
        job_run(app->net, maintain, NULL, app);
    return true;
}

/* ---- stop ---- */

void app_stop(struct app *app)
{
    unsigned n = app->run.parts_started;

    atomic_store(&app->run.ready, false);
    obs_source_end(app_metrics, app);
    if (app->run.lock_fd >= 0)
        run_file_remove(&app->project);
    for (unsigned i = n; i-- > 0;)
        if (parts[i].quiet)
            parts[i].quiet(app);
    if (app->log)
        log_hurry(app->log);
    if (app->net)
        net_shut(app->net, GRACE_MS);
    for (unsigned i = n; i-- > 0;) {
        int64_t began_ms = now_ms(app);
        if (parts[i].stop)
            parts[i].stop(app);
        obs_debug("app", "stopped part=%s ms=%lld", parts[i].name, (long long)(now_ms(app) - began_ms));
    }
    app->run.parts_started = 0;
    os_close(app->os, app->run.lock_fd);
    app->run.lock_fd = -1;
}
