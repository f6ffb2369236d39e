#include "base/utc.h"
#include "obs/obs.h"
#include "os/os.h"
#include "os/thread.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

enum { LINE_MAX = 2000, DEBUG_MAX = 256 };

static _Atomic int least = OBS_INFO;
static _Atomic bool any_debug;
static struct mutex lock = {PTHREAD_MUTEX_INITIALIZER}; // guards those below
static char debug_of[DEBUG_MAX];
static obs_line_fn *sink;
static void *sink_arg;

static int64_t now_ms(void)
{
    return os_real()->now_ns(os_real()) / 1000000;
}

bool obs_debug_is_on(const char *subsystem)
{
    struct str rest, part;
    bool on = false;

    if (atomic_load_explicit(&least, memory_order_relaxed) >= OBS_DEBUG)
        return true;
    if (!atomic_load_explicit(&any_debug, memory_order_relaxed))
        return false;
    mutex_lock(&lock);
    rest = str_of(debug_of);
    while (!on && str_cut(&rest, ',', &part))
        on = str_is(part, subsystem) || str_is(part, "all");
    mutex_unlock(&lock);
    return on;
}

void obs_set_level(enum obs_level level)
{
    atomic_store(&least, (int)level);
}

void obs_set_debug(const char *subsystems)
{
    mutex_lock(&lock);
    (void)snprintf(debug_of, sizeof debug_of, "%s", subsystems);
    mutex_unlock(&lock);
    atomic_store(&any_debug, subsystems[0] != 0);
}

void obs_set_sink(obs_line_fn *fn, void *arg)
{
    mutex_lock(&lock);
    sink = fn;
    sink_arg = arg;
    mutex_unlock(&lock);
}

static void write_line(const char *text, size_t n)
{
    mutex_lock(&lock);
    if (sink)
        sink(sink_arg, str_from(text, n - 1));
    else
        (void)fwrite(text, 1, n, stderr); // not buffered: one write
    mutex_unlock(&lock);
}

/* Control characters become \n, \t or \xhh: a line in the log is a line of ours, whatever a client sent. */
static size_t put_escaped(char *out, size_t max, const char *text)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;

    for (; *text && n + 5 < max; text++) {
        unsigned char c = (unsigned char)*text;
        if (c >= 32 && c != 127) {
            out[n++] = (char)c;
        } else if (c == '\n' || c == '\t') {
            out[n++] = '\\';
            out[n++] = c == '\n' ? 'n' : 't';
        } else {
            out[n++] = '\\';
            out[n++] = 'x';
            out[n++] = hex[c >> 4];
            out[n++] = hex[c & 15];
        }
    }
    return n;
}

__attribute__((format(printf, 4, 0))) static void vlog(enum obs_level level, const char *subsystem,
                                                       uint64_t missed, const char *fmt, va_list ap)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    char text[LINE_MAX], line[2 * LINE_MAX], when[UTC_TEXT];
    size_t n;

    (void)vsnprintf(text, sizeof text, fmt, ap);
    n = (size_t)snprintf(line, 200, "%s %-5s %-8s ", utc_iso(os_real()->wall_us(os_real()), 3, when),
                         names[level], subsystem);
    n += put_escaped(line + n, sizeof line - n - 64, text);
    if (missed > 0)
        n += (size_t)snprintf(line + n, 40, " repeated=%llu", (unsigned long long)missed);
    line[n++] = '\n';
    write_line(line, n);
    if (level <= OBS_WARN)
        obs_add(OBS_log_lines_total, 1);
}

static bool wanted(enum obs_level level, const char *subsystem)
{
    return (int)level <= atomic_load_explicit(&least, memory_order_relaxed) ||
           (level == OBS_DEBUG && obs_debug_is_on(subsystem));
}

void obs_log(enum obs_level level, const char *subsystem, const char *fmt, ...)
{
    va_list ap;

    if (!wanted(level, subsystem))
        return;
    va_start(ap, fmt);
    vlog(level, subsystem, 0, fmt, ap);
    va_end(ap);
}

void obs_repeated(struct obs_repeat *r, enum obs_level level, const char *subsystem, const char *fmt, ...)
{
    int64_t now = now_ms(), due = atomic_load(&r->next_ms);
    va_list ap;

    if (!wanted(level, subsystem))
        return;
    if (now < due || !atomic_compare_exchange_strong(&r->next_ms, &due, now + OBS_PERIOD_MS)) {
        atomic_fetch_add(&r->missed, 1);
        return;
    }
    va_start(ap, fmt);
    vlog(level, subsystem, atomic_exchange(&r->missed, 0), fmt, ap);
    va_end(ap);
}
