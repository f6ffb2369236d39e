#include "app/app_int.h"

#include "os/os.h"

#include <stdatomic.h>
#include <unistd.h>

static void put_roles(const struct app *app, struct buf *b)
{
    buf_str(b, STR("\"roles\":["));
    for (int i = 0; i < ROLES; i++) {
        const struct role_state *r = &app->role[i];
        buf_fmt(b, "%s{\"name\":\"%s\",\"what\":\"%s\",\"state\":\"%s\"", i ? "," : "", roles[i].name,
                roles[i].sentence, r->state);
        if (r->host)
            buf_fmt(b, ",\"host\":\"%s\",\"port\":%d", r->host, r->port);
        buf_u8(b, '}');
    }
    buf_u8(b, ']');
}

void app_status(void *arg, struct buf *out)
{
    struct app *app = arg;
    bool ready = atomic_load(&app->ready);

    buf_fmt(out, "{\"version\":\"%s\",\"pid\":%d,\"project\":", TARN_VERSION, (int)getpid());
    buf_json(out, str_of(app->folder));
    buf_fmt(out, ",\"ready\":%s,\"uptime_ms\":%lld,\"ready_ms\":%lld,", ready ? "true" : "false",
            (long long)((app->os->now_ns(app->os) - app->began_ns) / 1000000),
            (long long)(ready ? app->ready_ms : -1));
    buf_fmt(out, "\"memory\":{\"rss_bytes\":%lld},", (long long)os_rss_bytes());
    put_roles(app, out);
    buf_str(out, STR(",\"steps\":[],\"connectors\":[]}"));
}
