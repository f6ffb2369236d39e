/*
 * console: tarn's own HTTP door, for people and for the verbs of the command line.
 *
 *     GET /api/status     what runs, how fast, how far behind: the JSON of `tarn status --json`
 *     GET /api/settings   the settings in force, secrets left out
 *     GET /metrics        counters and gauges as Prometheus reads them
 *     GET /health         {"status":"ok"} when the program serves
 *
 * What an endpoint needs from above this floor comes as a function of struct console_env. Answers of failures are
 * {"error":"..."} with the status of their kind. Adding an endpoint is adding a row in console.c.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct console;
struct net;

/* Writes a JSON object. Called in jobs, several at once. */
typedef void console_json_fn(void *arg, struct buf *out);

struct console_env {
    struct net *net;
    const char *host;
    int port;
    console_json_fn *status, *settings;
    void *arg; // of both
};

bool console_start(const struct console_env *env, struct console **out, int *port, struct err *e) MUST_CHECK;
void console_free(struct console *c); // after net_shut(); NULL does nothing
