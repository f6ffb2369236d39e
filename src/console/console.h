/*
 * console: tarn's own HTTP door, for people and for the verbs of the command line.
 *
 *     GET /               which endpoints there are, as JSON
 *     GET /api/status     what runs, how fast, how far behind: the JSON of `tarn status --json`
 *     GET /api/settings   the settings in force, secrets left out
 *     GET /metrics        counters, gauges, lag of each step, as Prometheus reads them
 *     GET /health         {"status":"ok"} when the program serves
 *
 * What an endpoint needs from above this floor comes as a function of struct console_env, or is an endpoint of its own that
 * the program adds (SQL and verification do: they stand on rooms that a door does not know). Answers of failures are
 * {"error":"..."} with the status of their kind: console_fail(). Adding an endpoint is adding a row.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "net/http_path.h"

struct console;

/* Writes a JSON object. Called in jobs, several at once. */
typedef void console_json_fn(void *arg, struct buf *out);

/* An endpoint of the program's. run() is a job and answers; console_arg(q) is env.arg. */
struct console_endpoint {
    struct http_path path;
    struct http_route route;
};

struct console_env {
    struct net *net;
    const char *host;
    int port;
    console_json_fn *status, *settings;
    const struct console_endpoint *more; // borrowed
    size_t more_count;
    void *arg; // of all of them
};

bool console_start(const struct console_env *env, struct console **out, int *port, struct err *e) MUST_CHECK;
void *console_arg(const struct http_req *q);
void console_fail(struct http_req *q, const struct err *e);
void console_free(struct console *c); // after net_shut(); NULL does nothing
