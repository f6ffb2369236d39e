/* tarn connector: the Connect REST interface of the running tarn, in words. */
#include "cli/cli.h"

#include "base/buf.h"
#include "base/mem.h"
#include "net/http.h"

#include <jansson.h>
#include <stdio.h>

/* What may be asked about one connector, and the request that asks it. */
static const struct action {
    const char *word, *method, *path;
} actions[] = {
    {"status", "GET", "/status"},
    {"config", "GET", "/config"},
    {"restart", "POST", "/restart?includeTasks=true"},
    {"pause", "PUT", "/pause"},
    {"resume", "PUT", "/resume"},
    {"stop", "PUT", "/stop"},
    {"delete", "DELETE", ""},
};

/* Base URL of the connect role, by way of the console's status. */
static bool connect_url(const char *folder, struct arena *a, const char **url, struct err *e)
{
    struct fetch f = {.timeout_ms = 10000};
    struct fetch_answer answer;
    json_t *root, *r;
    size_t i;

    *url = NULL;
    if (!cli_ask(folder, &f, "/api/status", a, &answer, &root, e))
        return false;
    json_array_foreach(json_object_get(root, "roles"), i, r)
    {
        const char *name = json_string_value(json_object_get(r, "name"));
        const char *host = json_string_value(json_object_get(r, "host"));
        if (name && host && str_is(str_of(name), "connect"))
            *url = arena_fmt(a, "http://%s",
                             net_address(a, host, (int)json_integer_value(json_object_get(r, "port"))));
    }
    json_decref(root);
    return *url || err_set(e, ERR_UNSUPPORTED, "the role connect is off (connect.port)");
}

/* A name as one segment of a path. */
static const char *encoded(struct arena *a, const char *name)
{
    struct buf b = buf_make(3 * strlen(name) + 1);
    const char *out;

    http_encode(&b, str_of(name), false);
    out = arena_str(a, buf_view(&b)).p;
    buf_fini(&b);
    return out;
}

static bool refused(const struct fetch_answer *answer, struct err *e)
{
    json_t *root = json_loadb(answer->body.p, answer->body.n, 0, NULL);
    const char *message = json_string_value(json_object_get(root, "message"));

    (void)err_set(e, answer->status == 404 ? ERR_NOT_FOUND : ERR_REMOTE, "%s",
                  message ? message : "it was refused");
    json_decref(root);
    return false;
}

static bool ask(const struct action *act, const char *name, const char *folder, struct arena *a,
                struct err *e)
{
    struct fetch f = {.method = act ? act->method : "GET", .timeout_ms = 30000};
    struct fetch_answer answer;
    const char *url;

    if (!connect_url(folder, a, &url, e))
        return false;
    f.url = act ? arena_fmt(a, "%s/connectors/%s%s", url, encoded(a, name), act->path)
                : arena_fmt(a, "%s/connectors?expand=status", url);
    if (act && !str_is(str_of(act->method), "GET"))
        f.body = STR("");
    if (!fetch(&f, a, &answer, e))
        return false;
    if (answer.status >= 400)
        return refused(&answer, e);
    if (answer.body.n > 0)
        (void)printf("%.*s\n", STR_ARG(answer.body));
    return true;
}

bool verb_connector(struct words *w, struct err *e)
{
    const struct action *act = NULL;
    struct arena a = {0};
    bool list, ok;

    if (!cli_rest(w, 3, e))
        return false;
    list = w->n > 0 && str_is(str_of(w->v[0]), "list");
    for (size_t i = 0; i < ARRAY_LEN(actions) && w->n > 0; i++)
        if (str_is(str_of(w->v[0]), actions[i].word))
            act = &actions[i];
    if (!list && !act)
        return w->n > 0 ? err_set(e, ERR_BAD_INPUT, "tarn connector cannot %s", w->v[0])
                        : err_set(e, ERR_BAD_INPUT, "tarn connector wants to know what to do");
    if (list && w->n > 2)
        return err_set(e, ERR_BAD_INPUT, "tarn connector list: '%s' is one word too many", w->v[2]);
    if (act && w->n < 2)
        return err_set(e, ERR_BAD_INPUT, "tarn connector %s wants the name of a connector", act->word);
    ok = list ? ask(NULL, NULL, w->n > 1 ? w->v[1] : ".", &a, e)
              : ask(act, w->v[1], w->n > 2 ? w->v[2] : ".", &a, e);
    arena_fini(&a);
    return ok;
}
