/*
 * index_sql: what the three files of the index share: its statements, and a connection to run them on.
 *
 * Adding a statement is adding a row to STATEMENTS. A statement is bound, stepped and then sql_done(); bytes bound to it
 * must live until then. index.c opens and lends connections, index_read.c asks, index_write.c changes.
 */
#pragma once

#include "object/index.h"
#include "object/vfs.h"
#include "os/thread.h"

#define STATEMENTS(X)                                                                                    \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                          \
    X(COMMIT, "COMMIT")                                                                                  \
    X(STATE, "SELECT floor,reserved FROM state")                                                         \
    X(FLOOR, "UPDATE state SET floor=?1")                                                                \
    X(RESERVE, "UPDATE state SET reserved=?1")                                                           \
    X(KNOWS, "SELECT 1 FROM objects WHERE blob=?1 UNION ALL SELECT 1 FROM parts WHERE blob=?1")          \
    X(GARBAGE, "SELECT blob FROM garbage")                                                               \
    X(GARBAGE_ADD, "INSERT INTO garbage VALUES(?1)")                                                     \
    X(GARBAGE_DEL, "DELETE FROM garbage WHERE blob=?1")                                                  \
    X(BUCKET, "SELECT id FROM buckets WHERE name=?1")                                                    \
    X(BUCKETS, "SELECT name,created_us FROM buckets ORDER BY name")                                      \
    X(BUCKET_ADD, "INSERT INTO buckets(name,created_us) VALUES(?1,?2)")                                  \
    X(BUCKET_DEL, "DELETE FROM buckets WHERE id=?1")                                                     \
    X(BUCKET_ANY, "SELECT 1 FROM objects WHERE bucket=?1 LIMIT 1")                                       \
    X(BUCKET_UPLOADS, "SELECT id FROM uploads WHERE bucket=?1")                                          \
    X(FIND, "SELECT blob,size,modified_us,etag,meta FROM objects WHERE bucket=?1 AND key=?2")            \
    X(PUT, "INSERT INTO objects VALUES(?1,?2,?3,?4,?5,?6,?7) ON CONFLICT(bucket,key) DO UPDATE SET"      \
           " blob=excluded.blob,size=excluded.size,modified_us=excluded.modified_us,etag=excluded.etag," \
           " meta=excluded.meta")                                                                        \
    X(DEL, "DELETE FROM objects WHERE bucket=?1 AND key=?2")                                             \
    X(LIST, "SELECT key,size,modified_us,etag FROM objects WHERE bucket=?1 AND key>=?2 ORDER BY key")    \
    X(UPLOAD, "SELECT key,meta FROM uploads WHERE id=?1 AND bucket=?2")                                  \
    X(UPLOADS, "SELECT key,id,started_us FROM uploads WHERE bucket=?1 ORDER BY key,id")                  \
    X(UPLOAD_ADD, "INSERT INTO uploads VALUES(?1,?2,?3,?4,?5)")                                          \
    X(UPLOAD_DEL, "DELETE FROM uploads WHERE id=?1")                                                     \
    X(PARTS, "SELECT number,blob,size,modified_us,etag FROM parts WHERE upload=?1 ORDER BY number")      \
    X(PART, "SELECT blob FROM parts WHERE upload=?1 AND number=?2")                                      \
    X(PART_PUT,                                                                                          \
      "INSERT INTO parts VALUES(?1,?2,?3,?4,?5,?6) ON CONFLICT(upload,number) DO UPDATE SET"             \
      " blob=excluded.blob,size=excluded.size,modified_us=excluded.modified_us,etag=excluded.etag")      \
    X(PARTS_DEL, "DELETE FROM parts WHERE upload=?1")

enum sql_st {
#define X(name, text) ST_##name,
    STATEMENTS(X)
#undef X
        ST_COUNT
};
/* A connection, used by one thread at a time. Statements are prepared when first needed. */
struct sql_conn {
    sqlite3 *db;
    sqlite3_stmt *st[ST_COUNT];
    struct sql_conn *next;
};

struct index {
    struct vfs vfs;
    char *path;
    struct sql_conn *writer; // the committer's
    struct mutex lock;
    struct cond returned;
    struct sql_conn *readers; // not lent; guarded by lock
    int reader_count;         // lent or not; guarded by lock
};

/* The statement, ready to be bound; NULL and e when SQLite cannot prepare it. */
sqlite3_stmt *sql_st(struct sql_conn *c, enum sql_st id, struct err *e);
void sql_int(sqlite3_stmt *s, int at, int64_t v);
void sql_text(sqlite3_stmt *s, int at, struct str v);
void sql_blob(sqlite3_stmt *s, int at, struct str v);

enum sql_step { STEP_FAILED = -1, STEP_DONE, STEP_ROW };
enum sql_step sql_step(struct sql_conn *c, sqlite3_stmt *s, struct err *e);
void sql_done(sqlite3_stmt *s); // back to how sql_st() gave it
/* One step, then sql_done(). */
bool sql_run(struct sql_conn *c, sqlite3_stmt *s, struct err *e) MUST_CHECK;
struct str sql_column(sqlite3_stmt *s, int at, struct arena *a);

/* A connection to read with; NULL and e when none can be opened. */
struct sql_conn *sql_lend(struct index *x, struct err *e);
void sql_return(struct index *x, struct sql_conn *c);

/* Rows that reading and writing both look at. 1: there; 0: none; -1: failed. */
int sql_bucket(struct sql_conn *c, struct str bucket, int64_t *id, struct err *e);
int sql_object(struct sql_conn *c, int64_t bucket, struct str key, struct arena *a, struct index_object *out,
               struct err *e);
/* As above, but none is ERR_NOT_FOUND. */
bool sql_bucket_must(struct sql_conn *c, struct str bucket, int64_t *id, struct err *e) MUST_CHECK;
bool sql_upload(struct sql_conn *c, const struct object_upload *u, int64_t *bucket, struct arena *a,
                struct str *meta, struct err *e) MUST_CHECK;
