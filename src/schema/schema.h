/*
 * schema: what bytes on a topic mean.
 *
 * avro.h        Avro schemas: parse, compare, canonical text; encode and decode, also straight into column batches
 * columns.h     rows by column
 * this header   the schema store: subjects, versions, ids and levels, as Confluent's Schema Registry has them
 *
 * The store is memory, fed by the records of the compacted topic _schemas in Confluent's format: store_apply() takes one
 * record; a change is first written through `append` (durable, and it comes back through store_apply in the same call) and
 * then visible. So state is where a real registry would look for it, and this room does not know the log.
 *
 * Any thread may call: one lock inside.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct schema_store;

/* Writes one record to _schemas and waits until it is durable. value p == NULL: a tombstone. */
typedef bool schema_append_fn(void *arg, struct str key, struct str value, struct err *e);

struct schema_store *schema_store_new(schema_append_fn *append, void *arg);
void schema_store_free(struct schema_store *s);
/* One record of _schemas, at start. Records it does not know are passed over; damaged ones are ERR_CORRUPT. */
bool schema_store_apply(struct schema_store *s, struct str key, struct str value, struct err *e) MUST_CHECK;

struct schema_reference {
    struct str name, subject;
    int version;
};
struct schema_version {
    struct str subject;
    int version;
    int id;
    struct str type; // "AVRO"
    struct str text;
    struct schema_reference *references;
    size_t reference_count;
    bool deleted;
};

/*
 * Registers text under a subject and gives its id; the same text again gives the same id. ERR_INVALID: not a schema
 * (42201); ERR_CONFLICT: not compatible with what the subject's level asks for (409); the message tells the first difference.
 */
bool schema_register(struct schema_store *s, struct str subject, struct str type, struct str text, int *id,
                     int *version, struct err *e) MUST_CHECK;
/* Text of an id in a; false when there is no such id. */
bool schema_by_id(struct schema_store *s, int id, struct arena *a, struct schema_version *out);
