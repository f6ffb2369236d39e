/*
 * lake: Iceberg tables fed from topics, and SQL over them that is as fresh as the log.
 *
 * Each topic of changes (Debezium envelopes in Avro) becomes two tables: bronze.NAME has every change, silver.NAME one row a key
 * with the values it has now. They are Iceberg v2 tables in the bucket "lakehouse", readable by any Iceberg client: Parquet with
 * field ids, exact metrics, file-scoped position deletes, never equality deletes. docs/formats.md tells what lies where.
 *
 * One commit: data files, delete files, manifests, the manifest list and metadata.json are put as objects, then one record
 * for each table goes to the compacted topic _tables (key "silver.orders", value JSON with the metadata's location). That append is
 * the commit, atomic over all its tables; what was put before is garbage until then. A snapshot's summary has tarn.lsn and
 * tarn.offsets, the position in the topic after it: rows and position move together, which is why nothing is ever twice.
 *
 * Where a key's row lies is known from an index of our own: immutable sorted runs of (key's fingerprint, file, position) in
 * local files, one set for each snapshot. It can be lost: it is rebuilt from the data files.
 *
 * A query sees the last snapshot and the topic's records after it (the tail), rows of the tail replacing or hiding those of
 * the snapshot; where the tail is too long only the snapshot, and the answer says so.
 *
 * Threads: any function from any thread, except that one feed is used by one thread at a time. All of them may block.
 * A thread of the lake's own folds small files and expires old snapshots.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "log/batch.h"

#define LAKE_TABLES "_tables" // the topic with what tables there are, and how far each has come

struct blobs;
struct engine;
struct lake;
struct log;
struct os;
struct result;
struct schema_store;

struct lake_options {
    struct os *os;
    struct log *log;
    struct blobs *blobs;
    struct engine *engine;        // may read below `dir` and where the local objects lie
    struct schema_store *schemas; // writers' schemas by id
    const char *dir;              // for the key index and files under way
    const char *bucket;           // NULL: "lakehouse"
    int64_t tail_bytes;           // most bytes of records that a query reads behind a snapshot. 0: 32 MiB
    int64_t maintain_ms; // how often files are folded, snapshots expired. 0: 15 s; -1: by lake_maintain()
};

/* Makes the bucket and the topic _tables when they are absent and reads the topic: not the tables. */
bool lake_open(const struct lake_options *o, struct lake **out, struct err *e) MUST_CHECK;
void lake_close(struct lake *l); // feeds and answers are gone before; NULL does nothing

/* ---- tables ---- */

struct lake_offset {
    int32_t partition;
    int64_t next; // offset of the first record that is not in the snapshot
};

struct lake_table {
    struct str name;              // "silver.orders"
    struct str topic;             // "storefront.public.orders"; null: not fed from one
    struct str location;          // "s3://lakehouse/storefront/silver/orders"
    struct str metadata_location; // the newest metadata.json
    int64_t snapshot_id;          // -1: none yet
    int64_t committed_ms;         // when the snapshot was made
    int64_t lsn;                  // highest LSN of a row in it; -1: none
    int64_t rows, files, bytes;   // live rows; data files and their bytes
    struct lake_offset *offsets;
    size_t offset_count;
};

void lake_list(struct lake *l, struct arena *a, struct lake_table **out, size_t *count); // by name
/* Of a topic: layer "bronze" or "silver". False: it has no such table (yet). */
bool lake_find_topic(struct lake *l, struct str topic, const char *layer, struct arena *a,
                     struct lake_table *out);

/* What commits of feeds have done since lake_open(). */
struct lake_stats {
    int64_t bronze_rows; // changes that are in bronze tables
    int64_t silver_rows; // keys whose rows in silver tables they set or removed; of one commit each key once
};
void lake_stats(struct lake *l, struct lake_stats *out);

/* ---- queries ---- */

struct lake_query {
    /* Tables as silver.orders, of another snapshot as silver."orders@SNAPSHOT"; objects as in sql_resolve(). */
    struct str sql;
    bool committed_only; // snapshots as external readers see them, without the tail
};
struct lake_read { // a table that the statement says
    struct str table;
    int64_t snapshot_id;
    int64_t tail_records; // records behind the snapshot that the answer has taken in
    int64_t left_out; // records behind the snapshot that were too many: the answer is as old as the snapshot
    struct str why;   // they were left out; empty: none were
};
struct lake_answer;

/* One query, read-only. Its rows come through lake_answer_rows(); what it reads is kept in place until the answer is freed. */
bool lake_query(struct lake *l, const struct lake_query *q, struct lake_answer **out,
                struct err *e) MUST_CHECK;
struct result *lake_answer_rows(struct lake_answer *w); // lives as long as the answer
size_t lake_answer_reads(const struct lake_answer *w, const struct lake_read **out);
void lake_answer_free(struct lake_answer *w); // NULL does nothing

/* ---- feeding ---- */

/* The way of one topic into its two tables. */
struct lake_feed;

/* The tables themselves are made with the first commit. */
bool lake_feed_open(struct lake *l, struct str topic, struct lake_feed **out, struct err *e) MUST_CHECK;
void lake_feed_close(struct lake_feed *f); // what was not committed is forgotten; NULL does nothing
/* The next offset wanted of a partition; -1 when nothing was committed from it. */
int64_t lake_feed_next(const struct lake_feed *f, int32_t partition);
/*
 * Takes a record, in offset order within its partition; offsets below lake_feed_next() are passed over. A change of the value's
 * schema that the table can follow (a new column, a wider type, a dropped column) is followed, with a commit before it;
 * one that it cannot is ERR_INVALID naming the column.
 */
bool lake_feed_put(struct lake_feed *f, int32_t partition, const struct record *r, struct err *e) MUST_CHECK;
/* The offset below which a partition's records need not be put again: all of them are committed, or make no row. -1: nothing was put. */
int64_t lake_feed_safe(const struct lake_feed *f, int32_t partition);
size_t lake_feed_pending_bytes(const struct lake_feed *f);
int64_t lake_feed_pending_rows(const struct lake_feed *f);
/* Commits what is pending in all of them, as one step: all their tables move, or none does and nothing was lost. */
bool lake_commit(struct lake *l, struct lake_feed *const *feeds, size_t count, struct err *e) MUST_CHECK;

/* ---- maintenance ---- */

/* Folds small files and files with many deleted rows, expires snapshots, removes what nobody can reach. What is due. */
bool lake_maintain(struct lake *l, struct err *e) MUST_CHECK;
/* How often the lake's own thread could not do it since lake_open(), and why the last time. */
uint64_t lake_maintain_failures(struct lake *l, struct err *last);
