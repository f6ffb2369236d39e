/*
 * verify: is what arrived what was there?
 *
 * For every table that a PostgreSQL source connector follows, at one position of the database's log, the rows and a
 * checksum are computed five times from five places that have nothing in common but the data:
 *
 *     source   the table itself, in a snapshot of the database
 *     topic    the events on its topic, folded to the last one of each key
 *     raw      the events in the S3 sink's objects, folded the same way
 *     bronze   the events in the Iceberg table of changes, folded the same way
 *     silver   the rows of the Iceberg table of current state
 *
 * A connector that is still in its initial snapshot is waited for: rows it copies later than ours would be of another position.
 *
 * How one position is reached under live traffic: all sinks are held. Then a temporary logical slot exports a snapshot,
 * which holds exactly the transactions that commit before the slot's start (PostgreSQL, "CREATE_REPLICATION_SLOT"). A topic has its
 * transactions in commit order, so the snapshot is a prefix of it: up to the first event whose transaction the snapshot does not
 * see. The sinks are let on to exactly that offset, flush, and are read; then all go on. The shop never stops.
 *
 * A row's checksum is the first 64 bits of the MD5 of its columns in PostgreSQL's own text form; a table's is their sum, so
 * order does not matter. Where two places differ, the first keys that differ are named.
 *
 * Blocks for seconds: run it as a job. Only one at a time.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

struct connect;
struct connect_env;
struct engine;

struct verify_env {
    const struct connect_env *connect_env; // log, schemas, objects, lake
    struct connect *connect;
    struct engine *engine; // compares, and folds what does not fit memory
};

enum verify_place { VERIFY_SOURCE, VERIFY_TOPIC, VERIFY_RAW, VERIFY_BRONZE, VERIFY_SILVER, VERIFY_PLACES };
const char *verify_place_name(enum verify_place p);

struct verify_count {
    bool present;      // false: no sink writes this table there
    int64_t rows;      // live rows
    int64_t events;    // changes folded into them; -1 where rows are counted as they are
    int64_t repeated;  // events that stand there more than once: a promise broken
    char checksum[48]; // decimal
};

struct verify_table {
    struct str name, topic; // "public.orders", "storefront.public.orders"
    bool equal;
    struct verify_count place[VERIFY_PLACES];
    struct str *differences; // sentences, at most VERIFY_DIFFERENCES
    size_t difference_count;
};
enum { VERIFY_DIFFERENCES = 10 };

struct verify_report {
    bool equal;
    char lsn[24]; // "0/1A2B3C8"
    struct verify_table *tables;
    size_t count;
};

/* False: it could not be done, and why. A difference is no error: see out->equal. */
bool verify_run(const struct verify_env *env, struct arena *a, struct verify_report *out,
                struct err *e) MUST_CHECK;
/* {"equal":...,"lsn":"...","tables":[...]} */
void verify_json(const struct verify_report *r, struct buf *out);
