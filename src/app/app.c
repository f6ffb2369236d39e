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

enum { GRACE_MS = 3000 };

const struct role roles[ROLES] = {
#define X(name, field, sentence) {#name, sentence, #name ".port", offsetof(struct settings, field)},
#include "app/roles.def"
#undef X
};

static int64_t role_port(const struct app *app, enum role_id r)
{
    const void *field = (const char *)&app->s + roles[r].port_at;

    return *(const int64_t *)field;
}

/* Kafka has two ports: with and without TLS. */
static bool role_is_off(const struct app *app, enum role_id r)
{
    return role_port(app, r) == CONF_OFF && (r != ROLE_kafka || app->s.kafka_tls_port == CONF_OFF);
}

void role_set(struct app *app, enum role_id r, struct role_state now)
{
    mutex_lock(&app->roles_lock);
    app->role[r] = now;
    mutex_unlock(&app->roles_lock);
}

void role_up(struct app *app, enum role_id r, int port)
{
    role_set(app, r, (struct role_state){"up", app->s.listen_host, port});
}

static int64_t now_ms(const struct app *app)
{
    return app->os->now_ns(app->os) / 1000000;
}

/* ---- load ---- */

static bool find_project(struct app *app, const char *folder, struct err *e)
{
    const char *slash;
    char *full = os_full_path(folder, e);
    struct os_stat st;

    if (!full)
        return false;
    app->folder = arena_str(&app->arena, str_of(full)).p;
    mem_free(full);
    slash = strrchr(app->folder, '/');
    app->name = slash && slash[1] ? slash + 1 : app->folder;
    if (app->os->stat(app->os, app->folder, &st) != 0 || !st.is_dir)
        return err_set(e, ERR_NOT_FOUND, "%s is not a folder", app->folder);
    if (!os_exists(app->os, arena_fmt(&app->arena, "%s/tarn.yaml", app->folder)))
        return err_set(e, ERR_NOT_FOUND, "%s is no project: it has no tarn.yaml (tarn init FOLDER makes one)",
                       app->folder);
    return true;
}

bool app_load(struct app *app, const char *folder, const char *const *assignments, size_t count,
              struct err *e)
{
    *app = (struct app){.os = os_real(), .lock_fd = -1};
    app->began_ns = app->os->now_ns(app->os);
    mutex_init(&app->meters.lock);
    mutex_init(&app->roles_lock);
    for (int i = 0; i < ROLES; i++)
        app->role[i] = (struct role_state){.state = "off"};
    conf_defaults(&app->s, &app->arena);
    if (!find_project(app, folder, e) ||
        !conf_env_load(&app->env, app->os, arena_fmt(&app->arena, "%s/.env", app->folder), e) ||
        !conf_load(&app->s, &app->arena, app->os, arena_fmt(&app->arena, "%s/tarn.yaml", app->folder),
                   &app->env, e))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!conf_assign(&app->s, &app->arena, str_of(assignments[i]), e))
            return err_wrap(e, "--set");
    app->data =
        app->s.data[0] == '/' ? app->s.data : arena_fmt(&app->arena, "%s/%s", app->folder, app->s.data);
    return conf_check(&app->s, e);
}

void app_fini(struct app *app)
{
    conf_env_fini(&app->env);
    mutex_fini(&app->meters.lock);
    mutex_fini(&app->roles_lock);
    arena_fini(&app->arena);
}

/* ---- start ---- */

static bool lock_data(struct app *app, struct err *e)
{
    struct err why;

    if (!os_make_dirs(app->os, app->data, e))
        return err_wrap(e, "data folder");
    app->lock_fd = os_lock_file(arena_fmt(&app->arena, "%s/tarn.lock", app->data), &why);
    if (app->lock_fd >= 0)
        return true;
    *e = why;
    return why.kind == ERR_CONFLICT ? err_wrap(e, "a tarn runs on this project already") : false;
}

static void set_logging(const struct app *app)
{
    static const char *const levels[] = {"error", "warn", "info", "debug"};

    for (unsigned i = 0; i < ARRAY_LEN(levels); i++)
        if (str_is(str_of(app->s.logging_level), levels[i]))
            obs_set_level((enum obs_level)i);
    obs_set_debug(app->s.logging_debug);
}

static bool part_failed(const struct app *app, const struct part *p, struct err *e)
{
    if (p->role != NO_ROLE && e->kind == ERR_CONFLICT) {
        struct err cause = *e;
        return err_set_at(e, cause.kind, 0, cause.where, "%s: %s; the setting %s moves it (0: any free port)",
                          p->name, cause.msg, roles[p->role].setting);
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

static bool start_part(struct app *app, const struct part *p, struct err *e)
{
    int64_t began_ms = now_ms(app);

    app->parts_started++;
    if (p->role != NO_ROLE && role_is_off(app, p->role))
        return true;
    if (p->role != NO_ROLE)
        role_set(app, p->role, (struct role_state){.state = "starting"});
    if (!p->start(app, e))
        return part_failed(app, p, e);
    obs_debug("app", "started part=%s ms=%lld", p->name, (long long)(now_ms(app) - began_ms));
    return true;
}

bool app_start(struct app *app, struct err *e)
{
    set_logging(app);
    if (!lock_data(app, e))
        return false;
    for (unsigned i = 0; i < part_count; i++) {
        if (stop_waits())
            return err_set(e, ERR_TIMEOUT, "asked to stop while starting");
        if (!start_part(app, &parts[i], e))
            return false;
    }
    app->ready_ms = now_ms(app) - app->began_ns / 1000000 - app->waited_ms;
    atomic_store(&app->ready, true);
    obs_source(app_metrics, app);
    return run_file_write(app, e);
}

/* ---- serve ---- */

static void maintain(void *arg) // job
{
    static struct obs_repeat again;
    static uint64_t failures_told; // by the lake's keeper; one job runs at a time
    struct app *app = arg;
    uint64_t failures;
    struct err e;

    app_measure(app);
    if (!log_maintain(app->log, &e))
        obs_repeated(&again, OBS_WARN, "log", "maintenance failed, trying again: %s", e.msg);
    failures = lake_maintain_failures(app->lake, &e);
    if (failures > failures_told)
        obs_warn("lake", "upkeep of the tables failed, trying again: %s", e.msg);
    failures_told = failures;
    atomic_store(&app->maintaining, false);
}

bool app_tick(struct app *app, struct err *e)
{
    struct err why;

    if (log_failed(app->log, &why)) {
        *e = why;
        return err_wrap(e, "the log cannot write any more, start tarn again");
    }
    if (!atomic_exchange(&app->maintaining, true))
        job_run(app->net, maintain, NULL, app);
    return true;
}

/* ---- stop ---- */

static void remove_run_file(struct app *app)
{
    (void)app->os->unlink(app->os, arena_fmt(&app->arena, "%s/tarn.run", app->data));
}

void app_stop(struct app *app)
{
    unsigned n = app->parts_started;

    atomic_store(&app->ready, false);
    obs_source_end(app_metrics, app);
    if (app->lock_fd >= 0)
        remove_run_file(app);
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
    app->parts_started = 0;
    os_close(app->os, app->lock_fd);
    app->lock_fd = -1;
}
