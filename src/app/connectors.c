#include "app/connectors.h"

#include "app/app_int.h"
#include "app/schemas.h"
#include "base/limits.h"
#include "connect/connect.h"
#include "net/net.h"
#include "obs/obs.h"
#include "os/os.h"

#include <jansson.h>

/* The ports that services have in Compose files, inside their network and outside. */
static const struct {
    int port;
    enum role_id role;
} usual[] = {
    {5432, ROLE_postgres}, {9092, ROLE_kafka},   {29092, ROLE_kafka},
    {8081, ROLE_registry}, {8083, ROLE_connect}, {9000, ROLE_s3},
};

static void locate(void *arg, struct connect_address *at)
{
    struct app *app = arg;
    bool alias = false;

    for (size_t i = 0; i < app->project.s.aliases.n; i++)
        alias |= str_is(str_of(at->host), app->project.s.aliases.v[i]);
    if (!alias)
        return;
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        struct role_state r = roles_get(&app->roles, usual[i].role);

        if (at->port != usual[i].port || !r.host)
            continue;
        (void)snprintf(at->host, sizeof at->host, "%s", r.host);
        at->port = r.port;
        return;
    }
}

static void warn(void *arg, const char *text)
{
    (void)arg;
    obs_warn("connect", "%s", text);
}

bool connectors_start(struct app *app, struct err *e)
{
    struct role_state s3 = roles_get(&app->roles, ROLE_s3);

    app->connect_env = (struct connect_env){
        .os = app->os,
        .net = app->net,
        .log = app->log,
        .offsets = app->offsets,
        .schemas = schemas_store(app->schemas),
        .blobs = app->blobs,
        .lake = app->lake,
        .blobs_url = s3.host ? arena_fmt(&app->project.arena, "http://%s",
                                         net_address(&app->project.arena, s3.host, s3.port))
                             : "",
        .worker_id =
            net_address(&app->project.arena, app->project.s.listen_host, (int)app->project.s.connect_port),
        .spool_dir = app->project.data,
        .locate = locate,
        .locate_arg = app,
        .warn = warn,
    };
    return connect_start(&app->connect_env, &app->connect, e);
}

void connectors_stop(struct app *app)
{
    connect_stop(app->connect);
    app->connect = NULL;
}

/* ---- files ---- */

/* ${NAME} in values, after parsing: a variable's text may hold quotes. */
static bool expand(struct app *app, struct arena *a, json_t *config, struct err *e)
{
    const char *key;
    json_t *value;

    json_object_foreach(config, key, value)
    {
        struct str text;

        if (!json_is_string(value))
            continue;
        if (!conf_expand(a, &app->project.env, str_of(json_string_value(value)), &text, e))
            return err_wrap(e, "%s", key);
        if (json_string_setn(value, text.p, text.n) != 0)
            return err_set(e, ERR_INVALID, "%s: the value is not UTF-8 after its variables are replaced",
                           key);
    }
    return true;
}

/* Name and config of a file's JSON, in a. */
static bool read_connector(struct app *app, struct arena *a, struct str text, struct str *name,
                           struct str *config, struct err *e)
{
    json_error_t why;
    json_t *root = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &why), *inner;
    size_t n;
    char *out;

    if (!json_is_object(root)) {
        json_decref(root);
        return err_set(e, ERR_INVALID, "line %d, column %d: %s", why.line, why.column,
                       root ? "not a JSON object" : why.text);
    }
    inner = json_object_get(root, "config");
    if (json_is_string(json_object_get(root, "name")))
        *name = arena_str(a, str_of(json_string_value(json_object_get(root, "name"))));
    if (!json_is_object(inner))
        inner = root;
    if (!expand(app, a, inner, e)) {
        json_decref(root);
        return false;
    }
    n = json_dumpb(inner, NULL, 0, JSON_COMPACT);
    out = arena_alloc(a, n + 1);
    *config = str_from(out, json_dumpb(inner, out, n, JSON_COMPACT));
    json_decref(root);
    return true;
}

static bool apply_file(struct app *app, struct arena *a, struct str file, struct err *e)
{
    const char *path = arena_fmt(a, "%s/connectors/%.*s", app->project.folder, STR_ARG(file));
    struct str text, config, name = str_from(file.p, file.n - 5); // without .json
    bool created;

    return (os_read_file(app->os, path, LIMIT_SETTINGS, a, &text, e) &&
            read_connector(app, a, text, &name, &config, e) &&
            connect_put(app->connect, name, config, &created, e)) ||
           err_wrap(e, "connectors/%.*s", STR_ARG(file));
}

bool connectors_apply(struct app *app, struct err *e)
{
    struct arena a = {0};
    const char *dir = arena_fmt(&a, "%s/connectors", app->project.folder);
    struct str *files;
    size_t count = 0;
    bool ok = !os_exists(app->os, dir) || os_list(app->os, dir, &a, &files, &count, e);

    for (size_t i = 0; ok && i < count; i++)
        if (str_ends(files[i], STR(".json")))
            ok = apply_file(app, &a, files[i], e);
    arena_fini(&a);
    return ok;
}
