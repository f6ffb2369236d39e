#include "app/database.h"

#include "app/external.h"
#include "app/migrate.h"
#include "app/postgres.h"
#include "app/project.h"
#include "app/roles.h"
#include "obs/obs.h"
#include "os/os.h"

static bool is_external(const struct database *d)
{
    return d->project->s.postgres_url[0] != '\0';
}

static void run(void *arg)
{
    struct database *d = arg;
    const struct settings *s = &d->project->s;
    struct postgres_options o = {
        .os = d->project->os,
        .net = d->net,
        .data_dir = d->project->data,
        .port = (int)s->postgres_port,
        .user = s->postgres_user,
        .password = s->postgres_password,
        .database = s->postgres_database,
    };

    d->ok = postgres_start(&o, &d->postgres, &d->err);
}

void database_init(struct database *d, struct project *p)
{
    *d = (struct database){.project = p};
}

void database_begin(struct database *d, struct net *net)
{
    d->net = net;
    if (is_external(d))
        return;
    d->starting = true;
    thread_start(&d->thread, "pg-start", run, d);
}

static void join(struct database *d)
{
    if (d->starting)
        thread_join(&d->thread);
    d->starting = false;
}

/* The server of postgres.url, whatever postgres.port says: that is the private one's. */
static bool find_external(struct database *d, struct roles *roles, struct err *e)
{
    struct role_state r = {.state = "external"};

    if (!external_find(d->project->s.postgres_url, &d->project->arena, &r.host, &r.port, e))
        return false;
    roles_set(roles, ROLE_postgres, r);
    d->conninfo = d->project->s.postgres_url;
    return true;
}

static bool wait_own(struct database *d, struct roles *roles, struct err *e)
{
    join(d);
    if (!d->ok) {
        *e = d->err;
        return false;
    }
    d->conninfo = arena_fmt(&d->project->arena, "%s", postgres_conninfo(d->postgres));
    roles_set(roles, ROLE_postgres, (struct role_state){"up", "127.0.0.1", postgres_port(d->postgres)});
    return true;
}

static const char *get_env(void *arg, const char *name)
{
    return conf_env_get(arg, name);
}

static bool migrate(struct database *d, struct err *e)
{
    struct project *p = d->project;
    struct migrate_options o = {
        .os = p->os,
        .dir = arena_fmt(&p->arena, "%s/migrations", p->folder),
        .conninfo = d->conninfo,
        .env = get_env,
        .env_arg = &p->env,
    };
    struct migrate_result result;

    if (!migrate_run(&o, &result, e))
        return false;
    if (result.applied > 0)
        obs_info("app", "migrations ran applied=%d present=%d", result.applied, result.present);
    return true;
}

bool database_wait(struct database *d, struct roles *roles, struct err *e)
{
    struct os *os = d->project->os;
    int64_t began_ns = os->now_ns(os);
    bool ok;

    if ((is_external(d) && !find_external(d, roles, e)) || (d->starting && !wait_own(d, roles, e)))
        return false;
    ok = !d->conninfo || migrate(d, e);
    d->waited_ms += (os->now_ns(os) - began_ns) / 1000000;
    return ok;
}

void database_stop(struct database *d)
{
    join(d);
    if (d->ok)
        postgres_stop(d->postgres);
    d->ok = false;
    d->postgres = NULL;
}
