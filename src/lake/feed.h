/*
 * feed: a topic's records on their way into its two tables.
 *
 * feed.c         takes records in and follows changes of the schema
 * feed_rows.c    writes pending rows to a data file
 * silver.c       works out of the pending rows what silver's commit is
 * feed_commit.c  commits both tables of many feeds in one step
 */
#pragma once

#include "lake/changes.h"
#include "lake/lake_int.h"

enum { FEED_CHUNK_FIRST = 256, FEED_CHUNK = 4096, PARTITIONS_MAX = 10000 };

struct lake_feed {
    struct lake *lake;
    struct stream *stream;
    struct arena arena;            // the shape
    struct table *bronze, *silver; // silver NULL: the records have no key
    struct ice_schema bronze_schema, silver_schema;
    bool new_schema; // they differ from what the tables have, or there are none yet
    int schema_id;   // of the newest value schema that was followed; -1: none yet
    int key_schema_id;
    struct keys *first_keys; // of a silver table that is not there yet
    char first_uuid[37];     // which it will have
    struct changes *changes; // NULL: no shape yet
    struct chunk **chunks;
    size_t chunk_count, chunk_cap;
    struct lake_offset *position; // after the last record put
    int64_t *safe;                // [position_count] what the last commit has of each; -1: nothing
    size_t position_count, position_cap, safe_cap;
    int64_t rows;
    size_t bytes;
};

/* "s3://lakehouse/storefront/silver/orders": where a table that is not there yet will be. */
struct str feed_location(const struct table *t, struct arena *a);
void feed_forget(struct lake_feed *f); // the pending rows

/* The pending rows as silver needs them. */
struct winner { // the last row of a key
    struct fingerprint key;
    uint32_t chunk, row;
    bool deleted;
};
struct silver_work {
    struct winner *winners; // by key
    size_t count;
    bool truncated;       // a truncate is among the rows: nothing from before it is left
    uint32_t **pick;      // [chunk_count] rows that are written, in order
    size_t *picked;       // [chunk_count]
    struct key_place *at; // [count] where the key's row is now
    bool *found;          // [count]
};
bool silver_prepare(struct lake_feed *f, struct table_change *c, struct err *e) MUST_CHECK;
/* Values that the last rows of keys left out and no pending row has: read from where the keys' rows are now. */
bool silver_fill(struct lake_feed *f, const struct silver_work *w, struct version *base,
                 struct err *e) MUST_CHECK;

/* For rows of chunks that are not silver's pending ones (the tail). Sorts needs; their keys' rows are in base. */
struct need { // a row with values left out, and where its key's row is
    uint32_t chunk, row;
    struct key_place at;
};
bool fill_is_needed(const struct columns *c, size_t row);
bool fill_rows(struct version *base, struct chunk *const *chunks, struct need *needs, size_t n,
               struct err *e) MUST_CHECK;

/* A source of the pending rows: all, or those picked. */
struct feed_rows {
    struct lake_feed *feed;
    uint32_t *const *pick; // NULL: all
    const size_t *picked;
    const int *map;
};
bool feed_write(struct lake_feed *f, const struct feed_rows *rows, const struct ice_schema *schema,
                struct str location, struct data_file **out, struct err *e) MUST_CHECK;
