/*
 * schemas: the schema store on the log.
 *
 * The store's state is the compacted topic _schemas, in Confluent's records, so that a real registry can take it over by
 * mirroring the topic. schemas_open() makes the topic when it is absent, replays it, and gives a store whose changes are
 * each one atomic append. A damaged record does not keep the others from being read: it is logged, and passed over.
 *
 *     schemas_open(log, os, SCHEMA_BACKWARD, &schemas, e)
 *     registry and connectors get schemas_store(schemas)
 *     schemas_close(schemas) after all of them have stopped
 */
#pragma once

#include "base/err.h"
#include "schema/schema.h"

#define SCHEMAS_TOPIC "_schemas"

struct log;
struct os;
struct schemas;

/* level: the global one where nobody has set one. */
bool schemas_open(struct log *log, struct os *os, enum schema_level level, struct schemas **out,
                  struct err *e) MUST_CHECK;
struct schema_store *schemas_store(struct schemas *s);
void schemas_close(struct schemas *s); // NULL does nothing
