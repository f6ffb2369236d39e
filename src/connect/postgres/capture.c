/* What a capture's snapshot and stream both need of it. */
#include "connect/postgres/capture.h"

#include "os/os.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>

enum { REPORT_US = 100000 };

int64_t capture_now_us(const struct capture *c)
{
    struct os *os = task_env(c->task)->os;

    return os->wall_us(os);
}

void capture_report(struct capture *c, bool must, const char *fmt, ...)
{
    int64_t now = capture_now_us(c);
    va_list ap;

    if (!must && now - c->reported_us < REPORT_US)
        return;
    c->reported_us = now;
    va_start(ap, fmt);
    (void)vsnprintf(c->stats.state, sizeof c->stats.state, fmt, ap);
    va_end(ap);
    task_report(c->task, &c->stats);
}

void capture_warn(void *capture, const char *text)
{
    struct capture *c = capture;
    const struct connect_env *env = task_env(c->task);

    if (env->warn)
        env->warn(env->warn_arg, text);
}

struct pggroup *capture_group(struct capture *c, struct err *e)
{
    struct pggroup *g;

    while (!(g = pggroups_filling(&c->groups))) {
        struct pollfd p[2] = {
            {.fd = c->groups.event_fd, .events = POLLIN},
            {.fd = task_wake_fd(c->task), .events = POLLIN},
        };

        (void)poll(p, 2, -1);
        if (!pggroups_take(&c->groups, &c->durable, e))
            return NULL;
        if (task_should_stop(c->task) && !pggroups_filling(&c->groups)) {
            err_set(e, ERR_BUSY, "the task is stopping");
            return NULL;
        }
    }
    return g;
}

struct str position_text(const struct capture *c, uint64_t lsn, char *out, size_t size)
{
    int n = snprintf(out, size,
                     "{\"lsn_proc\":%llu,\"lsn_commit\":%llu,\"lsn\":%llu,\"txId\":%lld,\"ts_usec\":%lld,"
                     "\"system\":\"%s\","
                     "\"slot\":\"%s\",\"snapshot_completed\":true}",
                     (unsigned long long)lsn, (unsigned long long)(c->last_commit ? c->last_commit : lsn),
                     (unsigned long long)lsn, (long long)c->last_xid, (long long)c->last_commit_us,
                     c->server.system_id, c->settings.slot);

    return str_from(out, (size_t)n);
}
