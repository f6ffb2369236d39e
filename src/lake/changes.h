/*
 * changes: records of a topic as rows: Debezium envelopes in Avro, by the id of their schema.
 *
 * A row has the columns of the bronze table: what the change is (_op, _lsn, _tx_id, _ts, _partition, _offset, _snapshot), then the columns of
 * the source's table with the values after the change; of a deleted row only those of its key. Bronze is all rows; silver is, of each
 * key, the last one (its columns found by name).
 *
 * Rows come in chunks of columns that share an arena with the bytes they point into; chunks are counted and never changed after
 * they are full or handed on.
 */
#pragma once

#include "lake/iceberg.h"
#include "lake/keys.h"
#include "log/batch.h"

#include <stdatomic.h>

struct schema_store;

enum { // columns of a chunk before those of the source's table
    CHANGE_OP,
    CHANGE_LSN,
    CHANGE_TX,
    CHANGE_TS,
    CHANGE_PARTITION,
    CHANGE_OFFSET,
    CHANGE_SNAPSHOT,
    CHANGE_META,
};
extern const struct column change_columns[CHANGE_META];

struct changes;

struct chunk {
    atomic_int refs;
    struct changes *owner; // kept alive by it
    struct arena arena;
    struct columns c;    // as bronze has them
    struct columns raw;  // as the decoder fills them: arrays shared with c
    struct columns keys; // the key's columns, decoded from the record's key
    char *op;            // [rows] c u d r t
    struct fingerprint *key;
    size_t bytes; // of records in it
};
struct chunk *chunk_ref(struct chunk *k);
void chunk_unref(struct chunk *k); // NULL does nothing

/* How records become rows: made for one shape of the table. Used by one thread at a time. */
struct changes_options {
    struct schema_store *schemas;
    struct str topic;
    const struct column *columns; // of the source's table
    size_t count;
    const struct str *keys; // names of the key's columns, in its order; none: no key
    size_t key_count;
    const struct key_secret *secret; // NULL: no fingerprints
};
struct changes *changes_new(const struct changes_options *o); // copies
void changes_free(struct changes *d);                         // its chunks live on; NULL does nothing

/* Adds the record as a row to a chunk that is not full. False with kind ERR_NONE: it is a tombstone or a control record, no row. */
bool changes_add(struct changes *d, struct chunk *chunk, int32_t partition, const struct record *r,
                 struct err *e);
struct chunk *changes_chunk(struct changes *d, size_t rows); // a new empty one
static inline bool chunk_is_full(const struct chunk *k)
{
    return k->raw.rows == k->raw.capacity;
}

/*
 * The shape that a value's schema gives, in a: what changes_new() takes. ERR_INVALID: it is no envelope, or says a name that is
 * reserved. key_id -1: records have no key.
 */
bool changes_shape(struct schema_store *schemas, int value_id, int key_id, struct arena *a,
                   struct changes_options *out, struct err *e) MUST_CHECK;
/* Ids of the schemas of a record; -1: it has none there. ERR_INVALID when a value is not in the registry's wire format. */
bool changes_ids(const struct record *r, int *value_id, int *key_id, struct err *e) MUST_CHECK;
/* Fingerprint of all columns of a row, in their order. */
struct fingerprint changes_key(const struct key_secret *secret, const struct columns *c, size_t row);

/* Is it the text that Debezium writes for a TOASTed value that did not change? */
bool change_is_unavailable(const struct column *c, size_t row);
