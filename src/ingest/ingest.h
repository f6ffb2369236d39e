/*
 * ingest: what comes in over HTTP. Today the storefront's seeder, with the lab's endpoints:
 *
 *     POST /seed/full?count=10000&batch_size=1000    a whole shop at once
 *     POST /seed/start?rate=1.0                      live traffic, `rate` ticks a second
 *     POST /seed/stop
 *     GET  /status   GET /health   GET /docs   GET /openapi.json
 */
#pragma once

#include "base/err.h"

#include <stdint.h>

struct ingest;
struct net;
struct os;

struct ingest_options {
    struct os *os;
    struct net *net;
    const char *host;
    int port;             // 0: any free one
    const char *conninfo; // of the database with the storefront's tables
    uint64_t seed;
};

bool ingest_start(const struct ingest_options *o, struct ingest **out, struct err *e) MUST_CHECK;
int ingest_port(const struct ingest *i);
void ingest_stop(
    struct ingest *i); // stops live traffic; call before net_stop; free with ingest_free after it
void ingest_free(struct ingest *i); // NULL does nothing
