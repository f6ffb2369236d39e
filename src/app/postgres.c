#include "app/postgres_int.h"

#include "base/mem.h"
#include "net/net.h"
#include "obs/obs.h"
#include "os/os.h"

enum {
    RESTART_MIN_MS = 100, // between the server's death and its next start; doubles
    RESTART_MAX_MS = 5000,
};

static void set_state(struct postgres *p, enum postgres_state state)
{
    mutex_lock(&p->lock);
    p->state = state;
    cond_broadcast(&p->changed);
    mutex_unlock(&p->lock);
}

static bool is_stopping(struct postgres *p)
{
    bool yes;

    mutex_lock(&p->lock);
    yes = p->stopping;
    mutex_unlock(&p->lock);
    return yes;
}

/* True when the server should be started again after waiting; false when we are stopping. */
static bool wait_restart(struct postgres *p, int64_t wait_ms)
{
    int64_t until = p->o.os->now_ns(p->o.os) + wait_ms * 1000000;
    bool again;

    mutex_lock(&p->lock);
    for (;;) {
        int64_t left_ms = (until - p->o.os->now_ns(p->o.os)) / 1000000;

        if (p->stopping || left_ms <= 0)
            break;
        (void)cond_wait_ms(&p->changed, &p->lock, left_ms);
    }
    again = !p->stopping;
    mutex_unlock(&p->lock);
    return again;
}

/* Watches a server that is up. True when it died by itself, false when we are stopping. */
static bool watch(struct postgres *p)
{
    bool died;

    mutex_lock(&p->lock);
    while (p->alive && !p->stopping)
        cond_wait(&p->changed, &p->lock);
    died = !p->stopping;
    mutex_unlock(&p->lock);
    if (died)
        postgres_reap(p);
    return died;
}

static void owner_main(void *arg)
{
    struct postgres *p = arg;
    int64_t wait_ms = RESTART_MIN_MS;
    bool first = true;
    struct err e;

    for (;;) {
        bool ok = (first && postgres_adopt_server(p)) || postgres_start_server(p, &e);

        ok = ok && postgres_wait_ready(p, &e);
        if (!ok && first)
            break;
        first = false;
        if (ok) {
            set_state(p, POSTGRES_UP);
            wait_ms = RESTART_MIN_MS;
            if (!watch(p))
                break;
            obs_warn("postgres", "the server died, starting it again");
        } else {
            if (!is_stopping(p))
                obs_error("postgres", "%s", e.msg);
            postgres_stop_server(
                p); // it may be alive: too slow, or we were asked to stop before it was ready
        }
        set_state(p, POSTGRES_DOWN);
        if (!wait_restart(p, wait_ms))
            break;
        wait_ms = 2 * wait_ms < RESTART_MAX_MS ? 2 * wait_ms : RESTART_MAX_MS;
    }
    postgres_stop_server(p);
    mutex_lock(&p->lock);
    if (first)
        p->failure = e;
    mutex_unlock(&p->lock);
    set_state(p, POSTGRES_STOPPED);
}

static void postgres_free(struct postgres *p)
{
    cond_fini(&p->changed);
    mutex_fini(&p->lock);
    arena_fini(&p->a);
    mem_free(p);
}

static bool prepare(struct postgres *p, struct err *e)
{
    if (!postgres_place(p, e))
        return false;
    if (p->port == 0) {
        p->port = net_free_port("127.0.0.1", e);
        if (p->port < 0)
            return false;
    }
    return os_exists(p->o.os, arena_fmt(&p->a, "%s/PG_VERSION", p->dir)) || postgres_init_data(p, e);
}

bool postgres_start(const struct postgres_options *o, struct postgres **out, struct err *e)
{
    struct postgres *p = MEM_NEW(struct postgres);
    enum postgres_state state;

    p->o = *o;
    p->o.data_dir = arena_str(&p->a, str_of(o->data_dir)).p;
    p->o.bin_dir = arena_str(&p->a, str_of(o->bin_dir)).p;
    p->o.user = arena_str(&p->a, str_of(o->user)).p;
    p->o.password = arena_str(&p->a, str_of(o->password)).p;
    p->o.database = arena_str(&p->a, str_of(o->database)).p;
    p->port = o->port;
    mutex_init(&p->lock);
    cond_init(&p->changed);
    if (!prepare(p, e)) {
        postgres_free(p);
        return err_wrap(e, "private PostgreSQL");
    }
    thread_start(&p->owner, "postgres", owner_main, p);
    mutex_lock(&p->lock);
    while (p->state == POSTGRES_STARTING)
        cond_wait(&p->changed, &p->lock);
    state = p->state;
    mutex_unlock(&p->lock);
    if (state != POSTGRES_STOPPED) {
        *out = p;
        return true;
    }
    *e = p->failure;
    thread_join(&p->owner);
    postgres_free(p);
    return err_wrap(e, "private PostgreSQL");
}

int postgres_port(const struct postgres *p)
{
    return p->port;
}

const char *postgres_conninfo(const struct postgres *p)
{
    return p->conninfo;
}

bool postgres_is_up(struct postgres *p)
{
    bool up;

    mutex_lock(&p->lock);
    up = p->state == POSTGRES_UP;
    mutex_unlock(&p->lock);
    return up;
}

void postgres_stop(struct postgres *p)
{
    if (!p)
        return;
    mutex_lock(&p->lock);
    p->stopping = true;
    cond_broadcast(&p->changed);
    mutex_unlock(&p->lock);
    thread_join(&p->owner);
    postgres_free(p);
}
