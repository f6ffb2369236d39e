/*
 * lake_int: what the files of this room share.
 *
 * iceberg.h    schemas, metadata.json, bounds: what the specification says of a table
 * manifest.h   Avro manifests and manifest lists
 * keys.h       where the row of a key lies
 * changes.h    records of a topic as rows
 * this header  tables in memory, their versions, commits
 *
 *     lake ── table ── version (the current one) ── slot: data file, its delete file, bits of its dead rows
 *      │        └ stream (a topic: its bronze and silver table, its tail)
 *      └ sessions (idle ones, for whoever needs DuckDB)
 *
 * A version is a snapshot of a table in memory. It is made by loading or by a commit, never changed after others can see it, and
 * counted; whoever reads holds a reference. Who commits to a table, or loads it, takes its turn first.
 *
 * Lock order: a turn (table->turn, in the order of names when there are several), then lake->lock or version->lock, which are never
 * held across I/O.
 */
#pragma once

#include "base/map.h"
#include "engine/engine.h"
#include "lake/iceberg.h"
#include "lake/keys.h"
#include "lake/lake.h"
#include "lake/manifest.h"
#include "os/thread.h"

#include <stdatomic.h>

enum {
    LAKE_SESSIONS = 4,        // idle sessions that are kept
    LAKE_SNAPSHOTS_MIN = 5,   // always kept
    LAKE_SNAPSHOTS_MAX = 100, // older ones go though they are young
    LAKE_SNAPSHOT_AGE_MS = 3600 * 1000,
    LAKE_NO_FILE = INT32_MAX,
};

/* A wait for one's turn: like a mutex, but held across I/O, which a mutex must not be. */
struct turn {
    struct mutex m;
    struct cond c;
    bool taken;
};
void turn_take(struct turn *t);
void turn_give(struct turn *t);

/* A set of rows of one file. */
struct bits {
    atomic_int refs;
    size_t n;   // rows it has room for
    size_t set; // how many are in it
    uint64_t w[];
};
struct bits *bits_new(size_t n, const struct bits *from); // from NULL: empty; else a copy
struct bits *bits_ref(struct bits *b);                    // NULL stays NULL
void bits_unref(struct bits *b);                          // NULL does nothing
static inline bool bits_has(const struct bits *b, size_t i)
{
    return b && i < b->n && (b->w[i / 64] >> (i % 64) & 1);
}
void bits_add(struct bits *b, size_t i); // only while it is one's own

/* A data or delete file that some version knows. */
struct data_file {
    atomic_int refs;
    struct lake *lake;
    struct arena arena;
    struct ice_entry entry; // strings in the arena
    uint32_t number;        // in the key index; LAKE_NO_FILE: it has none
    struct mutex lock;      // guards the rest
    struct object_get *get; // kept open from the first query that reads it
};
struct data_file *file_new(struct lake *l, const struct ice_entry *entry); // copies
struct data_file *file_ref(struct data_file *f);
void file_unref(struct data_file *f); // NULL does nothing
/* Where DuckDB can read it, as long as f lives. */
bool file_path(struct data_file *f, const char **path, struct err *e) MUST_CHECK;

struct slot {
    struct data_file *data;
    struct data_file *deletes; // or NULL
    struct bits *dead;         // NULL: none, or not read yet (version->has_dead)
};

struct version {
    atomic_int refs;
    struct table *table;
    struct arena arena;
    struct ice_meta *meta;
    struct str metadata_location;
    const struct ice_snapshot *snapshot; // in meta; NULL: the table has none
    struct ice_schema schema;            // of the snapshot; of the table when there is none
    struct ice_manifest *manifests;
    size_t manifest_count;
    struct slot *slots;
    size_t slot_count;
    struct lake_offset *offsets;
    size_t offset_count;
    int64_t lsn;
    struct mutex lock;             // guards the rest, which is read once when it is needed
    bool has_dead;                 //
    struct keys *keys;             // NULL: not opened yet
    const struct slot **by_number; // [slot_count] by number in the key index; NULL: not made yet
};
struct version *version_ref(struct version *v);
void version_unref(struct version *v);                            // NULL does nothing
int64_t version_next(const struct version *v, int32_t partition); // -1: nothing of it
/* Any snapshot of the table that is still in v's metadata; yours. */
bool version_at(struct version *v, int64_t snapshot_id, struct version **out, struct err *e) MUST_CHECK;
/* Reads the delete files, once. */
bool version_need_dead(struct version *v, struct err *e) MUST_CHECK;
/* Opens the key index, or makes it anew, once. Needs the table to have keys. */
bool version_need_keys(struct version *v, struct err *e) MUST_CHECK;
bool version_live(void *v, struct key_place at);               // a key_live_fn
const struct slot **version_numbered(const struct version *v); // for by_number; yours
const struct slot *version_slot(const struct version *v,
                                uint32_t number); // after version_need_keys(); NULL: gone

struct table {
    struct lake *lake;
    char *name;              // "silver.orders"
    char *topic;             // or NULL
    struct turn turn;        // who commits
    struct turn keys_turn;   // who opens the key index
    struct version *current; // guarded by lake->lock; NULL: not loaded
    struct str pointer;      // value of its record in _tables, mem_; guarded by lake->lock
    struct lake_table info;  // what the record says; guarded by lake->lock; strings in info_arena
    struct arena info_arena;
};

/* A topic and what is made of it. */
struct stream {
    struct lake *lake;
    char *topic;
    struct table *bronze, *silver; // guarded by lake->lock; NULL: not made yet
    struct turn tail_turn;         // guards the tail
    struct tail *tail;             // NULL: nobody asked yet
};

struct lake {
    struct os *os;
    struct log *log;
    struct blobs *blobs;
    struct engine *engine;
    struct schema_store *schemas;
    char *dir, *tmp, *bucket;
    int64_t tail_bytes;
    struct mutex lock;
    struct map tables;  // name -> struct table *, until lake_close(); guarded by lock
    struct map streams; // topic -> struct stream *, the same
    struct session *idle[LAKE_SESSIONS];
    size_t idle_count;
    struct reader *readers[LAKE_SESSIONS]; // the same, with a catalog of their own for views
    size_t reader_count;
    int64_t query_count;      // names of the catalogs
    struct lake_stats stats;  // guarded by lock
    struct mutex keeper_lock; // the maintenance thread: guards the rest
    struct cond keeper_wake;
    bool keeper_stop, keeper_runs;
    uint64_t keeper_failures;
    struct err keeper_error; // the last one
    int64_t maintain_ms;
    struct thread keeper;
};

struct table *lake_table(struct lake *l, struct str name); // NULL: none
/* Made when it is new. Under lake->lock. */
struct table *table_locked(struct lake *l, struct str name, struct str topic);
/* Takes in a record of _tables. Under lake->lock. */
bool table_point(struct lake *l, struct str name, struct str value, struct err *e) MUST_CHECK;
struct stream *lake_stream(struct lake *l, struct str topic); // made when it is new
struct str table_namespace(const struct table *t);            // "silver"
/* The current version, loaded when it is not yet; yours. NULL in *out: the table was never committed to. */
bool table_version(struct table *t, struct version **out, struct err *e) MUST_CHECK;

/* ---- sessions, files under way, objects by URI ---- */

bool lake_session(struct lake *l, struct session **out, struct err *e) MUST_CHECK;
void lake_session_done(struct lake *l, struct session *s);
/* A path below dir/tmp that nobody has, in a. */
const char *lake_temp(struct lake *l, struct arena *a, const char *end);
void lake_uuid(struct lake *l, char out[37]);
bool uri_parts(struct str uri, struct str *bucket, struct str *key, struct err *e) MUST_CHECK;
bool lake_put(struct lake *l, struct str uri, struct str bytes, struct err *e) MUST_CHECK;
bool lake_get(struct lake *l, struct str uri, size_t max, struct arena *a, struct str *out,
              struct err *e) MUST_CHECK;
void lake_drop(struct lake *l,
               struct str uri); // removes an object nobody refers to; what fails is left as garbage

/* ---- writing files ---- */

struct file_rows {
    const char *select; // the rows
    const struct ice_schema *schema;
    struct str location; // of the table
    enum ice_content content;
    struct str referenced; // of deletes
};
/* One Parquet file with its metrics, put as an object; a new file, referenced once. No rows: *out is NULL. */
bool file_write(struct lake *l, struct session *s, const struct file_rows *w, struct data_file **out,
                struct err *e) MUST_CHECK;
/* A delete file with all rows of `dead`. */
bool file_write_deletes(struct lake *l, struct session *s, const struct data_file *of,
                        const struct bits *dead, struct str location, struct data_file **out,
                        struct err *e) MUST_CHECK;

/* ---- commits ---- */

/* The next version of one table. The table's turn is held from before `base` was taken until after lake_publish(). */
struct table_change {
    struct table *table;
    struct version *base;            // NULL: the table is new
    const struct ice_schema *schema; // NULL: as it is. Needed when the table is new
    struct str location;             // needed when the table is new
    struct str uuid;                 // of a new table; empty: any
    const char *operation; // "append", "overwrite", "replace", "delete"; NULL: no snapshot, metadata only
    struct slot *added;    // new data files, perhaps with deletes. The change owns what they refer to
    size_t added_count;
    bool *removed;        // [base->slot_count] data files that go; NULL: none
    struct slot *changed; // [base->slot_count] deletes and dead of files that lost rows; data NULL: as it was
    struct keys *keys;    // the next state of the index; NULL: the base's
    const struct lake_offset *offsets; // all partitions; NULL: the base's
    size_t offset_count;
    int64_t lsn; // highest of the rows; -1: the base's
    const char *property;
    struct str property_value;
    int64_t keys_changed;  // of silver: rows that are set or removed
    const int64_t *expire; // snapshots that go
    size_t expire_count;
    struct version *next;  // out
    struct str pointer;    // out, mem_
    struct str written[8]; // out: objects put on the way, in arena, garbage if it fails
    size_t written_count;
    bool uncertain; // out: the append failed in a way that may have left it on disk, so nothing is removed
    struct str dropped_metadata; // out: the oldest metadata file, to be removed after the commit
    struct arena arena;
};
bool change_prepare(struct table_change *c, struct err *e) MUST_CHECK; // writes all that the commit refers to
/* The commit: all pointers move in one append, then the versions become current. */
bool lake_publish(struct lake *l, struct table_change *changes, size_t count, struct err *e) MUST_CHECK;
/* Frees; `committed` false: removes what was written, the added and changed files too. */
void change_fini(struct table_change *c, bool committed);

/* ---- loading ---- */

struct version *version_new(struct table *t);
/* After slots, snapshot and schema are set: offsets and lsn from the summary. */
bool version_read_summary(struct version *v, struct err *e) MUST_CHECK;
char *keys_dir(const struct table *t, struct str uuid); // of the key index, yours
bool keys_save_version(struct keys *k, const struct version *v, struct err *e) MUST_CHECK;
/* New entries of the index for all rows of a file. */
bool keys_of_file(struct version *v, struct session *s, const struct data_file *f,
                  const struct key_secret *secret, struct key_entry **entries, size_t *count,
                  struct err *e) MUST_CHECK;

/* The DuckDB type of a column. */
void column_sql_type(const struct column *c, struct buf *out);
/* read_parquet([...], schema = MAP{...}) of files at `paths`. */
void read_files_sql(const struct ice_schema *schema, const char *const *paths, size_t count, struct buf *out);

/* ---- maintenance ---- */

bool table_fold(struct table *t, bool *did, struct err *e) MUST_CHECK;
void keeper_start(struct lake *l);
void keeper_stop(struct lake *l);
void tail_free(struct tail *t); // NULL does nothing
void readers_close(struct lake *l);
