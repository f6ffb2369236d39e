/* What seeder.c and traffic.c share. */
#pragma once

#include "ingest/seeder.h"
#include "ingest/shop.h"
#include "os/os.h"
#include "os/thread.h"

#include <libpq-fe.h>

enum { SEEDER_COUNT_MAX = 10000000, SEEDER_BATCH_MAX = 100000 };

struct seeder {
    struct os *os;
    char *conninfo;
    uint64_t seed;
    struct thread thread;

    struct mutex lock; // guards what follows
    struct cond changed;
    struct seeder_status status;
    bool stop;
};

bool seeder_connect(const struct seeder *s, PGconn **pg, struct err *e) MUST_CHECK;
bool seeder_sql(PGconn *pg, const char *sql, struct err *e) MUST_CHECK; // one statement, result thrown away
thread_fn seeder_traffic; // the live traffic's thread; arg is the seeder
