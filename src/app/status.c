#include "app/app_int.h"
#include "app/postgres.h"

#include "base/mem.h"
#include "connect/connect.h"
#include "lake/lake.h"
#include "log/log.h"
#include "obs/obs.h"
#include "os/os.h"

#include <stdatomic.h>
#include <unistd.h>

enum step_id { STEP_CAPTURE, STEP_TOPIC, STEP_RAW, STEP_BRONZE, STEP_SILVER, STEP_OTHER };
static const char *const step_names[STEPS] = {"capture", "topic", "raw", "bronze", "silver", "other"};

struct step {
    bool present;
    int64_t rows, lag_rows, lag_ms; // lags: -1 when not known
};

/* ---- counting ---- */

/* One commit of the lake is two steps: bronze, and silver beside it. */
static const enum step_id step_of[] = {
    [CONNECT_STEP_OTHER] = STEP_OTHER,
    [CONNECT_STEP_CAPTURE] = STEP_CAPTURE,
    [CONNECT_STEP_RAW] = STEP_RAW,
    [CONNECT_STEP_TABLES] = STEP_BRONZE,
};

static void add_lag(int64_t *sum, int64_t lag)
{
    if (lag >= 0)
        *sum = *sum < 0 ? lag : *sum + lag;
}

static void add_connector(struct step *steps, const struct connect_info *c)
{
    struct step *s = &steps[step_of[c->step]];

    s->present = true;
    for (size_t i = 0; i < c->task_count; i++) {
        const struct connect_task_info *t = &c->tasks[i];
        s->rows += (int64_t)t->stats.records;
        add_lag(&s->lag_rows, t->lag_records);
        if (t->lag_ms > s->lag_ms)
            s->lag_ms = t->lag_ms;
    }
}

/* One commit writes changes to bronze and what becomes of them to silver: one lag, each its own rows. */
static void count_lake(struct app *app, struct step *steps)
{
    struct lake_stats lake;

    if (!steps[STEP_BRONZE].present)
        return;
    lake_stats(app->lake, &lake);
    steps[STEP_SILVER] = steps[STEP_BRONZE];
    steps[STEP_BRONZE].rows = lake.bronze_rows;
    steps[STEP_SILVER].rows = lake.silver_rows;
}

/* Before the log and the runtime are started there is nothing to count. */
static void count(struct app *app, struct arena *a, struct step *steps, struct connect_info **list, size_t *n)
{
    struct log_stats log;

    *n = 0;
    for (int i = 0; i < STEPS; i++)
        steps[i] = (struct step){.lag_rows = -1, .lag_ms = -1};
    if (!atomic_load(&app->run.ready))
        return;
    log_stats(app->log, &log);
    steps[STEP_TOPIC].present = true;
    steps[STEP_TOPIC].rows = (int64_t)log.records;
    connect_list(app->connect, a, list, n);
    for (size_t i = 0; i < *n; i++)
        add_connector(steps, &(*list)[i]);
    count_lake(app, steps);
}

void app_measure(struct app *app)
{
    int64_t now_ms = app->os->now_ns(app->os) / 1000000;
    struct meters *m = &app->meters;
    struct step steps[STEPS];
    struct connect_info *list;
    struct arena a = {0};
    size_t n;

    count(app, &a, steps, &list, &n);
    arena_fini(&a);
    mutex_lock(&m->lock);
    for (int i = 0; i < STEPS; i++)
        m->rows[m->next][i] = steps[i].rows;
    m->at_ms[m->next] = now_ms;
    m->next = (m->next + 1) % RATE_SECONDS;
    mutex_unlock(&m->lock);
}

/* Rows a second since the oldest note. A connector that was started anew counts from 0: no negative rates. */
static double rate(struct app *app, int step, int64_t rows)
{
    int64_t now_ms = app->os->now_ns(app->os) / 1000000, since_ms = 0;
    struct meters *m = &app->meters;
    double per_s = 0;

    mutex_lock(&m->lock);
    for (unsigned i = 0; i < RATE_SECONDS && since_ms == 0; i++) {
        unsigned at = (m->next + i) % RATE_SECONDS;
        if (m->at_ms[at] == 0 || m->at_ms[at] >= now_ms)
            continue;
        since_ms = now_ms - m->at_ms[at];
        if (rows > m->rows[at][step])
            per_s = (double)(rows - m->rows[at][step]) * 1000 / (double)since_ms;
    }
    mutex_unlock(&m->lock);
    return per_s;
}

/* ---- writing ---- */

static void put_lag(struct buf *b, const char *name, int64_t lag)
{
    if (lag >= 0)
        buf_fmt(b, ",\"%s\":%lld", name, (long long)lag);
    else
        buf_fmt(b, ",\"%s\":null", name);
}

static void put_steps(struct app *app, const struct step *steps, struct buf *b)
{
    const char *sep = "";

    buf_str(b, STR(",\"steps\":["));
    for (int i = 0; i < STEPS; i++) {
        if (!steps[i].present)
            continue;
        buf_fmt(b, "%s{\"name\":\"%s\",\"rows\":%lld,\"rows_per_s\":%.1f", sep, step_names[i],
                (long long)steps[i].rows, rate(app, i, steps[i].rows));
        put_lag(b, "lag_rows", steps[i].lag_rows);
        put_lag(b, "lag_ms", steps[i].lag_ms);
        buf_u8(b, '}');
        sep = ",";
    }
    buf_u8(b, ']');
}

static void put_task(const struct connect_task_info *t, struct buf *b)
{
    buf_fmt(b, "{\"id\":%d,\"state\":\"%s\",\"doing\":", t->id, t->state);
    buf_json(b, str_of(t->stats.state));
    buf_fmt(b, ",\"records\":%llu,\"bytes\":%llu", (unsigned long long)t->stats.records,
            (unsigned long long)t->stats.bytes);
    put_lag(b, "lag_records", t->lag_records);
    put_lag(b, "lag_bytes", t->stats.source_lag_bytes);
    put_lag(b, "lag_ms", t->lag_ms);
    if (t->trace.n > 0) {
        buf_str(b, STR(",\"trace\":"));
        buf_json(b, t->trace);
    }
    buf_u8(b, '}');
}

static void put_connectors(const struct connect_info *list, size_t n, struct buf *b)
{
    buf_str(b, STR(",\"connectors\":["));
    for (size_t i = 0; i < n; i++) {
        const struct connect_info *c = &list[i];
        buf_fmt(b, "%s{\"name\":", i ? "," : "");
        buf_json(b, c->name);
        buf_fmt(b, ",\"type\":\"%.*s\",\"state\":\"%s\"", STR_ARG(c->type), c->state);
        if (c->trace.n > 0) {
            buf_str(b, STR(",\"trace\":"));
            buf_json(b, c->trace);
        }
        buf_str(b, STR(",\"tasks\":["));
        for (size_t t = 0; t < c->task_count; t++) {
            if (t > 0)
                buf_u8(b, ',');
            put_task(&c->tasks[t], b);
        }
        buf_str(b, STR("]}"));
    }
    buf_u8(b, ']');
}

/* A server of our own that has died is down until it is up again. */
static struct role_state role_now(struct app *app, enum role_id id)
{
    struct role_state r = roles_get(&app->roles, id);
    struct postgres *own = id == ROLE_postgres ? app->database.postgres : NULL;

    if (own && strcmp(r.state, "up") == 0 && !postgres_is_up(own))
        r.state = "down";
    return r;
}

static void put_roles(struct app *app, struct buf *b)
{
    buf_str(b, STR("\"roles\":["));
    for (int i = 0; i < ROLES; i++) {
        struct role_state r = role_now(app, i);

        buf_fmt(b, "%s{\"name\":\"%s\",\"what\":\"%s\",\"state\":\"%s\"", i ? "," : "", role_table[i].name,
                role_table[i].sentence, r.state);
        if (r.host)
            buf_fmt(b, ",\"host\":\"%s\",\"port\":%d", r.host, r.port);
        buf_u8(b, '}');
    }
    buf_u8(b, ']');
}

void app_status(void *arg, struct buf *out)
{
    struct app *app = arg;
    bool ready = atomic_load(&app->run.ready);
    struct connect_info *list = NULL;
    struct step steps[STEPS];
    struct arena a = {0};
    size_t n;

    count(app, &a, steps, &list, &n);
    buf_fmt(out, "{\"version\":\"%s\",\"pid\":%d,\"project\":", TARN_VERSION, (int)getpid());
    buf_json(out, str_of(app->project.folder));
    buf_fmt(out, ",\"ready\":%s,\"uptime_ms\":%lld,\"ready_ms\":%lld,", ready ? "true" : "false",
            (long long)((app->os->now_ns(app->os) - app->run.began_ns) / 1000000),
            (long long)(ready ? app->run.ready_ms : -1));
    buf_fmt(out, "\"memory\":{\"rss_bytes\":%lld},", (long long)os_rss_bytes());
    put_roles(app, out);
    put_steps(app, steps, out);
    put_connectors(list, n, out);
    buf_u8(out, '}');
    arena_fini(&a);
}

/* ---- for Prometheus ---- */

static void sample_steps(struct obs_out *out, const struct step *steps)
{
    obs_family(out, "step_rows_total", OBS_COUNTER,
               "Rows through each step of the data's way, since it was started.");
    for (int i = 0; i < STEPS; i++)
        if (steps[i].present)
            obs_sample(out, (double)steps[i].rows, "step", step_names[i], (char *)NULL);
    obs_family(out, "step_lag_rows", OBS_GAUGE, "Rows that wait before a step.");
    for (int i = 0; i < STEPS; i++)
        if (steps[i].present && steps[i].lag_rows >= 0)
            obs_sample(out, (double)steps[i].lag_rows, "step", step_names[i], (char *)NULL);
    obs_family(out, "step_lag_seconds", OBS_GAUGE, "Age of the oldest row that waits before a step.");
    for (int i = 0; i < STEPS; i++)
        if (steps[i].present && steps[i].lag_ms >= 0)
            obs_sample(out, (double)steps[i].lag_ms / 1000, "step", step_names[i], (char *)NULL);
}

static void sample_tasks(struct obs_out *out, struct arena *a, const struct connect_info *list, size_t n)
{
    obs_family(out, "connector_task_running", OBS_GAUGE,
               "1 while the task runs; 0 failed, paused or not assigned.");
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < list[i].task_count; k++)
            obs_sample(out, str_is(str_of(list[i].tasks[k].state), "RUNNING"), "connector",
                       arena_str(a, list[i].name).p, "task", arena_fmt(a, "%d", list[i].tasks[k].id),
                       (char *)NULL);
}

void app_metrics(struct obs_out *out, void *arg)
{
    struct app *app = arg;
    struct connect_info *list = NULL;
    struct step steps[STEPS];
    struct arena a = {0};
    size_t n;

    count(app, &a, steps, &list, &n);
    obs_family(out, "role_up", OBS_GAUGE, "1 while the role serves.");
    for (int i = 0; i < ROLES; i++)
        obs_sample(out, str_is(str_of(role_now(app, i).state), "up"), "role", role_table[i].name,
                   (char *)NULL);
    obs_family(out, "resident_memory_bytes", OBS_GAUGE, "Memory of the process.");
    obs_sample(out, (double)os_rss_bytes(), (char *)NULL);
    sample_steps(out, steps);
    sample_tasks(out, &a, list, n);
    arena_fini(&a);
}
