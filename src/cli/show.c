/* tarn status: the console's JSON, as it is or as tables. */
#include "cli/cli.h"
#include "net/net.h"

#include <stdio.h>

static const char *text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

static double number(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

static void show_duration(double ms)
{
    long long s = (long long)(ms / 1000);

    if (s >= 86400)
        (void)printf("%lld d %lld h", s / 86400, s / 3600 % 24);
    else if (s >= 3600)
        (void)printf("%lld h %lld min", s / 3600, s / 60 % 60);
    else if (s >= 60)
        (void)printf("%lld min %lld s", s / 60, s % 60);
    else
        (void)printf("%lld s", s);
}

static void show_roles(const json_t *roles)
{
    const json_t *r;
    size_t i;

    (void)printf("\n%-10s %-9s %-22s\n", "role", "state", "address");
    json_array_foreach(roles, i, r)
    {
        struct arena a = {0};
        const char *host = text(r, "host");
        (void)printf("%-10s %-9s %-22s %s\n", text(r, "name"), text(r, "state"),
                     *host ? net_address(&a, host, (int)number(r, "port")) : "", text(r, "what"));
        arena_fini(&a);
    }
}

/* A number, or "-" where it is not known. */
static const char *lag(const json_t *o, const char *key, char *out, size_t max)
{
    (void)snprintf(out, max, "%.0f", number(o, key));
    return json_is_number(json_object_get(o, key)) ? out : "-";
}

static void show_steps(const json_t *steps)
{
    const json_t *s;
    size_t i;

    if (json_array_size(steps) == 0)
        return;
    (void)printf("\n%-10s %14s %10s %12s %10s\n", "step", "rows", "rows/s", "lag rows", "lag ms");
    json_array_foreach(steps, i, s)
    {
        char lag_rows[32], lag_ms[32];
        (void)printf("%-10s %14.0f %10.0f %12s %10s\n", text(s, "name"), number(s, "rows"),
                     number(s, "rows_per_s"), lag(s, "lag_rows", lag_rows, sizeof lag_rows),
                     lag(s, "lag_ms", lag_ms, sizeof lag_ms));
    }
}

static void show_connector(const json_t *c)
{
    const json_t *tasks = json_object_get(c, "tasks"), *t, *trace = json_object_get(c, "trace");
    const char *doing = "";
    double records = 0;
    size_t i;

    json_array_foreach(tasks, i, t)
    {
        records += number(t, "records");
        doing = *text(t, "doing") ? text(t, "doing") : doing;
        trace = trace ? trace : json_object_get(t, "trace");
    }
    (void)printf("%-34s %-8s %-10s %14.0f  %s\n", text(c, "name"), text(c, "type"), text(c, "state"), records,
                 doing);
    if (json_is_string(trace))
        (void)printf("    %s\n", json_string_value(trace));
}

static void show_connectors(const json_t *connectors)
{
    const json_t *c;
    size_t i;

    if (json_array_size(connectors) == 0)
        return;
    (void)printf("\n%-34s %-8s %-10s %14s  %s\n", "connector", "type", "state", "records", "doing");
    json_array_foreach(connectors, i, c)
    {
        show_connector(c);
    }
}

static void show(const json_t *root)
{
    (void)printf("tarn %s, pid %.0f, %s\n", text(root, "version"), number(root, "pid"),
                 text(root, "project"));
    (void)printf("%s ", json_is_true(json_object_get(root, "ready")) ? "up" : "starting, up");
    show_duration(number(root, "uptime_ms"));
    (void)printf(", ready after %.0f ms, memory %.1f MB\n", number(root, "ready_ms"),
                 number(json_object_get(root, "memory"), "rss_bytes") / 1e6);
    show_roles(json_object_get(root, "roles"));
    show_steps(json_object_get(root, "steps"));
    show_connectors(json_object_get(root, "connectors"));
}

bool verb_status(struct words *w, struct err *e)
{
    bool as_json = cli_flag(w, "--json"), ok = false;
    struct fetch f = {.timeout_ms = 10000};
    struct fetch_answer answer;
    struct arena a = {0};
    json_t *root = NULL;

    if (!cli_rest(w, 1, e) || !cli_ask(w->n > 0 ? w->v[0] : ".", &f, "/api/status", &a, &answer, &root, e))
        goto out;
    if (as_json)
        (void)printf("%.*s\n", STR_ARG(answer.body));
    else
        show(root);
    ok = true;
out:
    json_decref(root);
    arena_fini(&a);
    return ok;
}
