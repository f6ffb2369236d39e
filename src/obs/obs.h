/*
 * obs: what the program says about itself: log lines, counters, and the last events before a crash.
 *
 *     obs_info("kafka", "group is stable group=%s members=%d", name, n);
 *
 * writes one line to stderr: time, level, subsystem, message with key=value at its end. Errors are logged by whoever owns
 * the request, once; rooms that answer with a struct err do not log. A failure that may come a thousand times a second is
 * said with obs_repeated(): the first at once, then one line a period with the count.
 *
 * Counters are rows of obs/counters.def. obs_add() is a relaxed add to a slot of the calling thread's, cheap enough for
 * every request. What has labels (a topic's lag) is asked for when /metrics is read: obs_source().
 *
 * Any thread may call anything here, except where it says otherwise.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

/* ---- log lines ---- */

enum obs_level { OBS_ERROR, OBS_WARN, OBS_INFO, OBS_DEBUG };

/* Subsystem: the room's name, a literal. Line breaks in the text are escaped, so that it stays one line. */
void obs_log(enum obs_level level, const char *subsystem, const char *fmt, ...) PRINTF(3, 4);
bool obs_debug_is_on(const char *subsystem);

#define obs_error(subsystem, ...) obs_log(OBS_ERROR, subsystem, __VA_ARGS__)
#define obs_warn(subsystem, ...)  obs_log(OBS_WARN, subsystem, __VA_ARGS__)
#define obs_info(subsystem, ...)  obs_log(OBS_INFO, subsystem, __VA_ARGS__)
#define obs_debug(subsystem, ...)                       \
    do {                                                \
        if (obs_debug_is_on(subsystem))                 \
            obs_log(OBS_DEBUG, subsystem, __VA_ARGS__); \
    } while (0)

/* One place that may fail again and again; a zeroed one is ready. */
struct obs_repeat {
    _Atomic int64_t next_ms; // not before this is the next line due
    _Atomic uint64_t missed; // since the last line
};
enum { OBS_PERIOD_MS = 10000 };
void obs_repeated(struct obs_repeat *r, enum obs_level level, const char *subsystem, const char *fmt, ...)
    PRINTF(4, 5);

/* Least level that is written (OBS_INFO at start), and subsystems whose debug lines are ("kafka,log", "all", ""). */
void obs_set_level(enum obs_level level);
void obs_set_debug(const char *subsystems);
/* Lines go to fn instead of stderr; NULL: stderr again. For tests. */
typedef void obs_line_fn(void *arg, struct str line);
void obs_set_sink(obs_line_fn *fn, void *arg);

/* ---- counters ---- */

enum obs_kind { OBS_COUNTER, OBS_GAUGE };

enum obs_counter {
#define X(name, kind, sentence) OBS_##name,
#include "obs/counters.def"
#undef X
    OBS_COUNTERS
};

void obs_add(enum obs_counter c, int64_t n);     // counters go up only; gauges may go down
void obs_set(enum obs_counter c, int64_t value); // gauges
int64_t obs_get(enum obs_counter c);

/* Called each time the metrics are read; it writes families. From any thread; must not block long. */
struct obs_out;
typedef void obs_source_fn(struct obs_out *out, void *arg);
void obs_source(obs_source_fn *fn, void *arg);
void obs_source_end(obs_source_fn *fn, void *arg); // no call of fn is running any more when it returns

/* A family: name with tarn_ in front, then its samples. Pairs of label name and value end with NULL. */
void obs_family(struct obs_out *out, const char *name, enum obs_kind kind, const char *sentence);
void obs_sample(struct obs_out *out, double value, ...) __attribute__((sentinel));

/* All of it in Prometheus' text format, version 0.0.4. */
void obs_metrics(struct buf *b);

/* ---- the last events ---- */

/* Notes an event in a ring of OBS_TRACE_MAX; subsystem and what are literals. Cheap: no lock, no formatting. */
enum { OBS_TRACE_MAX = 1024 };
void obs_trace(const char *subsystem, const char *what, int64_t a, int64_t b);

/* On SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT the ring and a backtrace go to stderr, then the signal does its work. */
void obs_catch_crashes(void);
