/*
 * tarn up: start, say where everything is, serve until SIGINT or SIGTERM, stop. The signals are blocked in all threads and
 * waited for here; once stopping has begun they are let through to a handler that ends the process at once.
 */
#include "app/app.h"
#include "cli/cli.h"

#include "kafka/kafka.h"
#include "net/net.h"
#include "obs/obs.h"
#include "os/os.h"

#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { SETS_MAX = 32 };

static void stop_signals(sigset_t *set)
{
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGINT);
    (void)sigaddset(set, SIGTERM);
}

static void on_second(int sig)
{
    (void)sig;
    os_say(STR("tarn: asked a second time, ending at once\n"));
    _exit(1);
}

/* From here on a signal ends the process. */
static void hurry_on_signal(void)
{
    struct sigaction sa = {.sa_handler = on_second};
    sigset_t set;

    stop_signals(&set);
    (void)sigaction(SIGINT, &sa, NULL);
    (void)sigaction(SIGTERM, &sa, NULL);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* What Kafka clients are told to connect to, when that is another address than the role's. */
static void say_advertised(const struct app *app, const char *address)
{
    const char *told = app->kafka ? kafka_advertised(app->kafka) : address;

    if (strcmp(told, address) != 0)
        (void)printf("  %-10s %-22s what clients are told to connect to (kafka.advertised_host)\n", "", told);
}

static void say_started(struct app *app)
{
    struct arena a = {0};

    (void)printf("\ntarn %s runs %s\n\n", TARN_VERSION, app->project.folder);
    for (int i = 0; i < ROLES; i++) {
        struct role_state r = roles_get(&app->roles, i);
        const char *address = r.host ? net_address(&a, r.host, r.port) : r.state;

        (void)printf("  %-10s %-22s %s\n", role_table[i].name, address, role_table[i].sentence);
        if (i == ROLE_kafka)
            say_advertised(app, address);
    }
    (void)printf("\nready in %lld ms", (long long)app->run.ready_ms);
    if (app->database.waited_ms > 0)
        (void)printf(", and %lld ms for PostgreSQL", (long long)app->database.waited_ms);
    (void)printf("; stop with Ctrl-C\n");
    (void)fflush(stdout);
    arena_fini(&a);
}

/* True when it was asked to stop; false with e when it cannot go on. */
static bool serve(struct app *app, struct err *e)
{
    struct timespec second = {.tv_sec = 1};
    sigset_t set;

    stop_signals(&set);
    for (;;) {
        int sig = sigtimedwait(&set, NULL, &second);
        if (sig > 0) {
            obs_info("app", "stopping signal=%d", sig);
            return true;
        }
        if (!app_tick(app, e))
            return false;
    }
}

bool verb_up(struct words *w, struct err *e)
{
    static struct app app; // outlives every thread
    const char *sets[SETS_MAX];
    size_t count;
    sigset_t set;
    bool ok;

    if (!cli_values(w, "--set", sets, SETS_MAX, &count))
        return err_set(e, ERR_BAD_INPUT, "--set wants NAME=VALUE, at most %d times", SETS_MAX);
    if (!cli_rest(w, 1, e))
        return false;
    stop_signals(&set);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    ok = app_load(&app, w->n > 0 ? w->v[0] : ".", sets, count, e);
    if (ok) {
        ok = app_start(&app, e);
        if (ok) {
            say_started(&app);
            ok = serve(&app, e);
        }
        hurry_on_signal();
        app_stop(&app);
    }
    if (!ok && e->kind == ERR_BAD_INPUT)
        e->kind = ERR_INVALID; // the words were right: a file was wrong
    app_fini(&app);
    return ok;
}
