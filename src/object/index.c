#include "object/index.h"

#include "base/mem.h"
#include "object/index_sql.h"
#include "os/os.h"

enum { SCHEMA_VERSION = 1, READERS = 8, BUSY_MS = 10000 };

static const char schema[] =
    "CREATE TABLE state(id INTEGER PRIMARY KEY CHECK(id=1), floor INTEGER NOT NULL, reserved INTEGER NOT "
    "NULL);"
    "INSERT INTO state VALUES(1,1,1);"
    "CREATE TABLE buckets(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_us INTEGER NOT NULL);"
    "CREATE TABLE objects(bucket INTEGER NOT NULL, key BLOB NOT NULL, blob INTEGER NOT NULL,"
    " size INTEGER NOT NULL, modified_us INTEGER NOT NULL, etag TEXT NOT NULL, meta BLOB NOT NULL,"
    " PRIMARY KEY(bucket,key)) WITHOUT ROWID;"
    "CREATE UNIQUE INDEX objects_blob ON objects(blob);"
    "CREATE TABLE uploads(id TEXT PRIMARY KEY, bucket INTEGER NOT NULL, key BLOB NOT NULL,"
    " started_us INTEGER NOT NULL, meta BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX uploads_key ON uploads(bucket,key);"
    "CREATE TABLE parts(upload TEXT NOT NULL, number INTEGER NOT NULL, blob INTEGER NOT NULL,"
    " size INTEGER NOT NULL, modified_us INTEGER NOT NULL, etag TEXT NOT NULL,"
    " PRIMARY KEY(upload,number)) WITHOUT ROWID;"
    "CREATE UNIQUE INDEX parts_blob ON parts(blob);"
    "CREATE TABLE garbage(blob INTEGER PRIMARY KEY);"
    "PRAGMA user_version=1;";

static const char *const st_text[] = {
#define X(name, text) text,
    STATEMENTS(X)
#undef X
};

/* ---- statements ---- */

static bool sql_failed(sqlite3 *db, int rc, struct err *e, const char *what)
{
    enum err_kind kind = ERR_IO;
    int sys = db ? sqlite3_system_errno(db) : 0;

    switch (rc & 0xff) {
    case SQLITE_FULL:
        kind = ERR_FULL;
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        kind = ERR_CORRUPT;
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        kind = ERR_BUSY;
        break;
    default:
        if ((sys == ENOSPC || sys == EDQUOT) && rc != SQLITE_IOERR_FSYNC)
            kind = ERR_FULL;
    }
    return err_set_at(e, kind, sys, ERR_HERE, "index of objects: %s: %s", what,
                      db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
}

/* The statement, reset and ready to be bound; NULL and e when SQLite cannot prepare it. */
sqlite3_stmt *sql_st(struct sql_conn *c, enum sql_st id, struct err *e)
{
    int rc;

    if (c->st[id])
        return c->st[id];
    rc = sqlite3_prepare_v3(c->db, st_text[id], -1, SQLITE_PREPARE_PERSISTENT, &c->st[id], NULL);
    if (rc != SQLITE_OK)
        (void)sql_failed(c->db, rc, e, "prepare");
    return c->st[id];
}

void sql_int(sqlite3_stmt *s, int at, int64_t v)
{
    (void)sqlite3_bind_int64(s, at, v);
}

/* Bytes must live until the statement is reset. */
void sql_text(sqlite3_stmt *s, int at, struct str v)
{
    (void)sqlite3_bind_text(s, at, v.p ? v.p : "", (int)v.n, SQLITE_STATIC);
}

void sql_blob(sqlite3_stmt *s, int at, struct str v)
{
    (void)sqlite3_bind_blob(s, at, v.p ? v.p : "", (int)v.n, SQLITE_STATIC);
}

enum sql_step sql_step(struct sql_conn *c, sqlite3_stmt *s, struct err *e)
{
    int rc = sqlite3_step(s);

    if (rc == SQLITE_ROW)
        return STEP_ROW;
    if (rc == SQLITE_DONE)
        return STEP_DONE;
    (void)sql_failed(c->db, rc, e, "step");
    return STEP_FAILED;
}

void sql_done(sqlite3_stmt *s)
{
    (void)sqlite3_reset(s);
    (void)sqlite3_clear_bindings(s);
}

bool sql_run(struct sql_conn *c, sqlite3_stmt *s, struct err *e)
{
    enum sql_step got = sql_step(c, s, e);

    sql_done(s);
    return got != STEP_FAILED;
}

struct str sql_column(sqlite3_stmt *s, int at, struct arena *a)
{
    const void *p = sqlite3_column_blob(s, at);

    return arena_str(a, str_from(p ? p : "", (size_t)sqlite3_column_bytes(s, at)));
}

/* ---- connections ---- */

static void free_conn(struct sql_conn *c)
{
    if (!c)
        return;
    for (int i = 0; i < ST_COUNT; i++)
        (void)sqlite3_finalize(c->st[i]);
    (void)sqlite3_close(c->db);
    mem_free(c);
}

static bool exec_conn(struct sql_conn *c, const char *sql, struct err *e)
{
    int rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK || sql_failed(c->db, rc, e, "set up");
}

static struct sql_conn *open_conn(struct index *x, struct err *e)
{
    struct sql_conn *c = MEM_NEW(struct sql_conn);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int rc = sqlite3_open_v2(x->path, &c->db, flags, x->vfs.name);

    if (rc != SQLITE_OK) {
        (void)sql_failed(c->db, rc, e, x->path);
        free_conn(c);
        return NULL;
    }
    (void)sqlite3_busy_timeout(c->db, BUSY_MS);
    if (!exec_conn(c,
                   "PRAGMA temp_store=MEMORY; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                   "PRAGMA journal_size_limit=16777216; PRAGMA cache_size=-1024",
                   e)) {
        free_conn(c);
        return NULL;
    }
    return c;
}

struct sql_conn *sql_lend(struct index *x, struct err *e)
{
    struct sql_conn *c;

    mutex_lock(&x->lock);
    while (!x->readers && x->reader_count == READERS)
        cond_wait(&x->returned, &x->lock);
    c = x->readers;
    if (c)
        x->readers = c->next;
    else
        x->reader_count++;
    mutex_unlock(&x->lock);
    if (c)
        return c;
    c = open_conn(x, e);
    if (!c) {
        mutex_lock(&x->lock);
        x->reader_count--;
        cond_signal(&x->returned);
        mutex_unlock(&x->lock);
    }
    return c;
}

void sql_return(struct index *x, struct sql_conn *c)
{
    mutex_lock(&x->lock);
    c->next = x->readers;
    x->readers = c;
    cond_signal(&x->returned);
    mutex_unlock(&x->lock);
}

/* ---- open ---- */

static bool schema_check(struct sql_conn *c, struct err *e)
{
    sqlite3_stmt *s = NULL;
    int version = -1;
    int rc = sqlite3_prepare_v2(c->db, "PRAGMA user_version", -1, &s, NULL);

    if (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW)
        version = sqlite3_column_int(s, 0);
    (void)sqlite3_finalize(s);
    if (version < 0)
        return sql_failed(c->db, rc, e, "read the version");
    if (version > SCHEMA_VERSION)
        return err_set(e, ERR_UNSUPPORTED,
                       "index of objects has format %d, this program knows up to %d: use a newer tarn",
                       version, SCHEMA_VERSION);
    if (version == SCHEMA_VERSION)
        return true;
    if (exec_conn(c, "BEGIN IMMEDIATE", e) && exec_conn(c, schema, e) && exec_conn(c, "COMMIT", e))
        return true;
    (void)sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
    return false;
}

bool index_open(struct os *os, const char *path, struct index **out, struct err *e)
{
    struct index *x = MEM_NEW(struct index);

    if (!vfs_init(&x->vfs, os, e)) {
        mem_free(x);
        return false;
    }
    x->path = mem_str(path);
    mutex_init(&x->lock);
    cond_init(&x->returned);
    x->writer = open_conn(x, e);
    if (!x->writer || !schema_check(x->writer, e)) {
        index_close(x);
        return err_wrap(e, "%s", path);
    }
    *out = x;
    return true;
}

void index_close(struct index *x)
{
    if (!x)
        return;
    while (x->readers) {
        struct sql_conn *c = x->readers;

        x->readers = c->next;
        free_conn(c);
    }
    free_conn(x->writer);
    vfs_fini(&x->vfs);
    mutex_fini(&x->lock);
    cond_fini(&x->returned);
    mem_free(x->path);
    mem_free(x);
}

bool index_state(struct index *x, int64_t *floor, int64_t *reserved, int64_t **garbage, size_t *count,
                 struct err *e)
{
    struct sql_conn *c = x->writer;
    sqlite3_stmt *s = sql_st(c, ST_STATE, e);
    size_t cap = 0;
    enum sql_step got;

    if (!s)
        return false;
    got = sql_step(c, s, e);
    if (got == STEP_ROW) {
        *floor = sqlite3_column_int64(s, 0);
        *reserved = sqlite3_column_int64(s, 1);
    }
    sql_done(s);
    if (got == STEP_DONE)
        return err_set(e, ERR_CORRUPT, "index of objects: table state is empty");
    *garbage = NULL;
    *count = 0;
    s = got == STEP_ROW ? sql_st(c, ST_GARBAGE, e) : NULL;
    if (!s)
        return false;
    while ((got = sql_step(c, s, e)) == STEP_ROW) {
        MEM_PUSH_ROOM(*garbage, *count, cap);
        (*garbage)[(*count)++] = sqlite3_column_int64(s, 0);
    }
    sql_done(s);
    if (got == STEP_DONE)
        return true;
    mem_free(*garbage);
    return false;
}

bool index_knows_blob(struct index *x, int64_t blob, bool *yes, struct err *e)
{
    sqlite3_stmt *s = sql_st(x->writer, ST_KNOWS, e);
    enum sql_step got;

    if (!s)
        return false;
    sql_int(s, 1, blob);
    got = sql_step(x->writer, s, e);
    sql_done(s);
    *yes = got == STEP_ROW;
    return got != STEP_FAILED;
}
