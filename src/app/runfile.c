#include "app/project.h"

#include "base/limits.h"
#include "net/net.h"
#include "os/os.h"

#include <jansson.h>
#include <unistd.h>

bool run_file_write(const struct project *p, const char *console_host, int console_port, struct err *e)
{
    struct buf b = buf_make(64 * KIB);
    struct arena a = {0};
    bool ok;

    buf_fmt(&b, "{\"pid\":%d,\"version\":\"%s\",\"console\":", (int)getpid(), TARN_VERSION);
    if (console_host)
        buf_fmt(&b, "\"http://%s\"", net_address(&a, console_host, console_port));
    else
        buf_str(&b, STR("null"));
    buf_str(&b, STR("}\n"));
    ok = os_replace_file(p->os, arena_fmt(&a, "%s/tarn.run", p->data), buf_view(&b), e);
    buf_fini(&b);
    arena_fini(&a);
    return ok;
}

void run_file_remove(struct project *p)
{
    (void)p->os->unlink(p->os, arena_fmt(&p->arena, "%s/tarn.run", p->data));
}

static bool read_file(struct project *p, const char *folder, struct arena *a, struct str *text, struct err *e)
{
    struct err why;

    if (!project_load(p, os_real(), folder, NULL, 0, e))
        return false;
    return os_read_file(p->os, arena_fmt(a, "%s/tarn.run", p->data), LIMIT_SETTINGS, a, text, &why) ||
           err_set(e, ERR_NOT_FOUND, "no tarn runs on %s (tarn up starts one)", p->folder);
}

bool run_file_console(const char *folder, struct arena *a, const char **url, struct err *e)
{
    struct project p;
    struct str text;
    const char *console;
    json_t *root;
    bool ok = read_file(&p, folder, a, &text, e);

    project_fini(&p);
    if (!ok)
        return false;
    root = json_loadb(text.p, text.n, 0, NULL);
    console = json_string_value(json_object_get(root, "console"));
    if (console)
        *url = arena_fmt(a, "%s", console);
    json_decref(root);
    return console || err_set(e, ERR_UNSUPPORTED,
                              "the console of this project is off (console.port), so nothing can be asked");
}
