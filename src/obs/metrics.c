/*
 * Counters: a table of slots, one row for each of SHARDS groups of threads, each row on cache lines of its own, summed when
 * read. A gauge that is set, not added to, lives in row 0 alone.
 */
#include "base/mem.h"
#include "obs/obs.h"
#include "os/thread.h"

#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>

enum { SHARDS = 8, LINE = 128, SOURCES_MAX = 64 };

struct shard {
    _Alignas(LINE) _Atomic int64_t v[OBS_COUNTERS];
};

static struct shard shards[SHARDS];
static _Atomic unsigned threads;

static const struct {
    const char *name, *sentence;
    enum obs_kind kind;
} rows[] = {
#define X(name, kind, sentence) {#name, sentence, OBS_##kind},
#include "obs/counters.def"
#undef X
};

static struct shard *mine(void)
{
    static _Thread_local struct shard *s;

    if (!s)
        s = &shards[atomic_fetch_add(&threads, 1) % SHARDS];
    return s;
}

void obs_add(enum obs_counter c, int64_t n)
{
    atomic_fetch_add_explicit(&mine()->v[c], n, memory_order_relaxed);
}

void obs_set(enum obs_counter c, int64_t value)
{
    atomic_store_explicit(&shards[0].v[c], value, memory_order_relaxed);
}

int64_t obs_get(enum obs_counter c)
{
    int64_t sum = 0;

    for (int i = 0; i < SHARDS; i++)
        sum += atomic_load_explicit(&shards[i].v[c], memory_order_relaxed);
    return sum;
}

/* ---- sources ---- */

struct obs_out {
    struct buf *b;
    const char *family;
};

static struct source {
    obs_source_fn *fn;
    void *arg;
} sources[SOURCES_MAX];
static size_t source_count;
static struct mutex lock = {
    PTHREAD_MUTEX_INITIALIZER}; // held while sources are called: that is what obs_source_end waits for

void obs_source(obs_source_fn *fn, void *arg)
{
    mutex_lock(&lock);
    if (source_count < SOURCES_MAX)
        sources[source_count++] = (struct source){fn, arg};
    mutex_unlock(&lock);
}

void obs_source_end(obs_source_fn *fn, void *arg)
{
    mutex_lock(&lock);
    for (size_t i = 0; i < source_count; i++) {
        if (sources[i].fn == fn && sources[i].arg == arg) {
            sources[i] = sources[--source_count];
            break;
        }
    }
    mutex_unlock(&lock);
}

void obs_family(struct obs_out *out, const char *name, enum obs_kind kind, const char *sentence)
{
    out->family = name;
    buf_fmt(out->b, "# HELP tarn_%s %s\n# TYPE tarn_%s %s\n", name, sentence, name,
            kind == OBS_COUNTER ? "counter" : "gauge");
}

static void put_label_value(struct buf *b, const char *v)
{
    for (; *v; v++) {
        if (*v == '\\' || *v == '"')
            buf_u8(b, '\\');
        if (*v == '\n')
            buf_str(b, STR("\\n"));
        else
            buf_u8(b, (uint8_t)*v);
    }
}

void obs_sample(struct obs_out *out, double value, ...)
{
    struct buf *b = out->b;
    const char *label, *sep = "{";
    va_list ap;

    buf_fmt(b, "tarn_%s", out->family);
    va_start(ap, value);
    while ((label = va_arg(ap, const char *)) != NULL) {
        buf_fmt(b, "%s%s=\"", sep, label);
        put_label_value(b, va_arg(ap, const char *));
        buf_u8(b, '"');
        sep = ",";
    }
    va_end(ap);
    if (*sep == ',')
        buf_u8(b, '}');
    if (floor(value) == value && fabs(value) < 9e15)
        buf_fmt(b, " %.0f\n", value);
    else
        buf_fmt(b, " %.9g\n", value);
}

void obs_metrics(struct buf *b)
{
    struct obs_out out = {.b = b};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        obs_family(&out, rows[i].name, rows[i].kind, rows[i].sentence);
        obs_sample(&out, (double)obs_get((enum obs_counter)i), (char *)NULL);
    }
    mutex_lock(&lock);
    for (size_t i = 0; i < source_count; i++)
        sources[i].fn(&out, sources[i].arg);
    mutex_unlock(&lock);
}
