/*
 * status: what runs, how fast and how far behind: the JSON of GET /api/status and the families of GET /metrics.
 *
 * The data's way has steps, each with a count of rows; once a second app_measure() notes the counts, and a step's rate is
 * what came in the last RATE_SECONDS.
 */
#pragma once

#include "base/buf.h"
#include "os/thread.h"

struct app;
struct obs_out;

enum { STEPS = 6, RATE_SECONDS = 5 };

struct meters {
    struct mutex lock; // guards all below
    int64_t rows[RATE_SECONDS][STEPS];
    int64_t at_ms[RATE_SECONDS]; // 0: not yet
    unsigned next;
};

/* Notes what each step has done so far. */
void app_measure(struct app *app);
/* Writes the JSON of GET /api/status; any thread, while the app is up. */
void app_status(void *arg, struct buf *out);
/* The same for GET /metrics: an obs_source_fn. */
void app_metrics(struct obs_out *out, void *arg);
