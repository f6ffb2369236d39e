#include "app/app_int.h"

#include "base/limits.h"
#include "net/net.h"
#include "os/os.h"

#include <jansson.h>
#include <unistd.h>

bool run_file_write(const struct app *app, struct err *e)
{
    struct buf b = buf_make(64 * KIB), path = buf_make(4 * KIB);
    const struct role_state *console = &app->role[ROLE_console];
    struct arena a = {0};
    bool ok;

    buf_fmt(&b, "{\"pid\":%d,\"version\":\"%s\",\"console\":", (int)getpid(), TARN_VERSION);
    if (console->host)
        buf_fmt(&b, "\"http://%s\"", net_address(&a, console->host, console->port));
    else
        buf_str(&b, STR("null"));
    buf_str(&b, STR("}\n"));
    buf_fmt(&path, "%s/tarn.run", app->data);
    ok = os_replace_file(app->os, buf_z(&path), buf_view(&b), e);
    buf_fini(&b);
    buf_fini(&path);
    arena_fini(&a);
    return ok;
}

bool run_file_console(const char *folder, struct arena *a, const char **url, struct err *e)
{
    struct app app;
    struct str text;
    json_t *root;
    const char *console;
    struct err why;

    if (!app_load(&app, folder, NULL, 0, e)) {
        app_fini(&app);
        return false;
    }
    if (!os_read_file(app.os, arena_fmt(a, "%s/tarn.run", app.data), LIMIT_SETTINGS, a, &text, &why)) {
        (void)err_set(e, ERR_NOT_FOUND, "no tarn runs on %s", app.folder);
        app_fini(&app);
        return false;
    }
    app_fini(&app);
    root = json_loadb(text.p, text.n, 0, NULL);
    console = json_string_value(json_object_get(root, "console"));
    if (console)
        *url = arena_fmt(a, "%s", console);
    json_decref(root);
    return console || err_set(e, ERR_UNSUPPORTED,
                              "the console of this project is off (console.port), so nothing can be asked");
}
