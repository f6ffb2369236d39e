/*
 * What the files of verify share. A *feed* gives the rows or events of one place as the columns of `stage`:
 * key, checksum, position and whether the row is gone. Each place has one file that makes its feed:
 * source.c, events.c (topic and raw), tables.c (bronze and silver).
 */
#pragma once

#include "connect/connect.h"
#include "schema/columns.h"
#include "verify/rowtext.h"
#include "verify/verify.h"

#include <libpq-fe.h>

enum { FEED_ROWS = 2048 };

struct feed {
    struct arena arena; // of the batch at hand; reset before each fill
    struct columns out; // key TEXT, sum I64, pos I64, gone BOOL; arrays in a block of their own
    struct arena out_arena;
    struct rowsum *sum;
    struct buf key;
    bool ended; // fill() had no more and is not asked again
    /* Adds rows to out (capacity FEED_ROWS, empty before). Fewer than FEED_ROWS: the end. */
    bool (*fill)(struct feed *f, struct err *e);
    void (*close)(struct feed *f); // NULL: nothing to close
};
void feed_init(struct feed *f);
void feed_fini(struct feed *f);
/* Adds one row. key p NULL: a table without a key. */
void feed_add(struct feed *f, struct str key, int64_t sum, int64_t pos, bool gone);
/*
 * The key's text of a row, in f->arena: of columns first + at[i], or of `count` columns from first on when at is NULL. Null
 * when count is 0.
 */
struct str feed_key(struct feed *f, const struct columns *c, size_t first, const size_t *at, size_t count,
                    size_t row);

/* Which transactions a snapshot sees (PostgreSQL's pg_snapshot, "xmin:xmax:xip,xip,..."). */
struct source_snapshot {
    uint64_t xmin, xmax;
    uint64_t *running; // sorted
    size_t running_count;
};
bool snapshot_parse(struct arena *a, struct str text, struct source_snapshot *out, struct err *e) MUST_CHECK;
/* xid: the low 32 bits, as logical decoding has them. */
bool snapshot_sees(const struct source_snapshot *s, int64_t xid);

/* A followed table, and where its topic is cut. */
struct source_table {
    struct str schema, name; // "public", "orders"
    struct str topic;
    struct str *columns;
    size_t column_count;
    struct str *keys; // the primary key's columns, in its order; none: no key
    size_t key_count;
    size_t *key_at; // which of `columns` each of `keys` is
    int32_t partitions;
    int64_t *cut; // [partitions] offset of the first event that the snapshot does not see
};

/* ---- source.c: the database ---- */

struct source {
    PGconn *slot, *pg; // the exported snapshot lives as long as `slot`; reading is done on `pg`
    struct str connector, prefix, publication, slot_name;
    char lsn[24];
    struct source_snapshot snapshot;
    struct source_table *tables;
    size_t count;
};
bool source_open(const struct verify_env *env, const struct connect_info *connector, struct arena *a,
                 struct source *out, struct err *e) MUST_CHECK;
/* Waits until the connector has confirmed everything up to the snapshot. */
bool source_wait_captured(struct source *s, struct os *os, int64_t timeout_ms, struct err *e) MUST_CHECK;
void source_close(struct source *s);
struct feed *source_feed(struct source *s, const struct source_table *t, struct arena *a);

/* ---- events.c: topic and raw objects ---- */

/*
 * Finds t->partitions and t->cut by reading the topic up to the first event that the snapshot does not see. Everything up to
 * the snapshot must be captured: the topic may have been made only then.
 */
bool events_find_cut(const struct verify_env *env, struct source_table *t, const struct source_snapshot *s,
                     struct arena *a, struct err *e) MUST_CHECK;
struct feed *topic_feed(const struct verify_env *env, const struct source_table *t, struct arena *a);
/* The objects of an S3 sink's bucket under topics.dir. */
struct feed *raw_feed(const struct verify_env *env, const struct source_table *t, struct str bucket,
                      struct str topics_dir, struct arena *a);

/* ---- tables.c: bronze and silver ---- */

/* NULL in *out: the lake has no such table. */
bool bronze_feed(const struct verify_env *env, const struct source_table *t, struct arena *a,
                 struct feed **out, struct err *e) MUST_CHECK;
bool silver_feed(const struct verify_env *env, const struct source_table *t, struct arena *a,
                 struct feed **out, struct err *e) MUST_CHECK;
/* A feed that one of the above made: closes what it holds. Its struct is in the arena. NULL does nothing. */
void feed_close(struct feed *f);
