/* What changes the index: a list of writes in one transaction. Only one thread at a time is here. */
#include "base/mem.h"
#include "object/index_sql.h"

static bool run_id(struct sql_conn *c, enum sql_st id, int64_t v, struct err *e)
{
    sqlite3_stmt *s = sql_st(c, id, e);

    if (!s)
        return false;
    sql_int(s, 1, v);
    return sql_run(c, s, e);
}

static bool run_text(struct sql_conn *c, enum sql_st id, struct str v, struct err *e)
{
    sqlite3_stmt *s = sql_st(c, id, e);

    if (!s)
        return false;
    sql_text(s, 1, v);
    return sql_run(c, s, e);
}

static bool free_blob(struct sql_conn *c, struct index_write *w, int64_t blob, struct err *e)
{
    MEM_PUSH_ROOM(w->freed, w->freed_count, w->freed_cap);
    w->freed[w->freed_count++] = blob;
    return run_id(c, ST_GARBAGE_ADD, blob, e);
}

static bool free_parts(struct sql_conn *c, struct index_write *w, struct str upload, int64_t but,
                       struct err *e)
{
    sqlite3_stmt *s = sql_st(c, ST_PARTS, e);
    enum sql_step got;
    bool ok = true;

    if (!s)
        return false;
    sql_text(s, 1, upload);
    while (ok && (got = sql_step(c, s, e)) != STEP_DONE) {
        ok = got == STEP_ROW;
        if (ok && sqlite3_column_int64(s, 1) != but)
            ok = free_blob(c, w, sqlite3_column_int64(s, 1), e);
    }
    sql_done(s);
    return ok && run_text(c, ST_PARTS_DEL, upload, e) && run_text(c, ST_UPLOAD_DEL, upload, e);
}

static bool do_bucket_create(struct sql_conn *c, struct index_write *w, struct err *e)
{
    sqlite3_stmt *s = sql_st(c, ST_BUCKET_ADD, e);
    int64_t id;
    int got = s ? sql_bucket(c, w->bucket, &id, e) : -1;

    if (got != 0)
        return got > 0 && err_set(e, ERR_CONFLICT, "bucket %.*s is there already", STR_ARG(w->bucket));
    sql_text(s, 1, w->bucket);
    sql_int(s, 2, w->object.modified_us);
    return sql_run(c, s, e);
}

static bool do_bucket_delete(struct sql_conn *c, struct index_write *w, struct err *e)
{
    sqlite3_stmt *any = sql_st(c, ST_BUCKET_ANY, e), *uploads = sql_st(c, ST_BUCKET_UPLOADS, e);
    struct arena a = {0};
    enum sql_step got;
    int64_t id;
    bool ok = true;

    if (!any || !uploads || !sql_bucket_must(c, w->bucket, &id, e))
        return false;
    sql_int(any, 1, id);
    got = sql_step(c, any, e);
    sql_done(any);
    if (got != STEP_DONE)
        return got == STEP_ROW && err_set(e, ERR_CONFLICT, "bucket %.*s is not empty", STR_ARG(w->bucket));
    sql_int(uploads, 1, id);
    while (ok && (got = sql_step(c, uploads, e)) != STEP_DONE) {
        struct str upload = got == STEP_ROW ? sql_column(uploads, 0, &a) : STR_NULL;

        sql_done(uploads); // the rows change under it: look again for the first that is left
        ok = upload.p && free_parts(c, w, upload, 0, e);
        sql_int(uploads, 1, id);
    }
    sql_done(uploads);
    arena_fini(&a);
    return ok && run_id(c, ST_BUCKET_DEL, id, e);
}

/* Does what is there now meet the conditions? *old is its blob, or 0. */
static bool conditions(struct sql_conn *c, struct index_write *w, int64_t bucket, int64_t *old, struct err *e)
{
    struct arena a = {0};
    struct index_object was;
    int got = sql_object(c, bucket, w->key, &a, &was, e);
    bool ok = got >= 0;

    *old = got == 1 ? was.blob : 0;
    if (got == 1 && w->only_if_absent)
        ok = err_set(e, ERR_CONFLICT, "object %.*s is there already", STR_ARG(w->key));
    else if (got == 0 && w->only_if_etag.p)
        ok = err_set(e, ERR_NOT_FOUND, "no object %.*s in bucket %.*s", STR_ARG(w->key), STR_ARG(w->bucket));
    else if (got == 1 && w->only_if_etag.p && !str_is(w->only_if_etag, "*") &&
             !str_eq(w->only_if_etag, was.etag))
        ok = err_set(e, ERR_CONFLICT, "object %.*s has ETag %.*s now", STR_ARG(w->key), STR_ARG(was.etag));
    arena_fini(&a);
    return ok;
}

static bool put_row(struct sql_conn *c, struct index_write *w, int64_t bucket, int64_t old, struct err *e)
{
    sqlite3_stmt *s = sql_st(c, ST_PUT, e);

    if (!s)
        return false;
    sql_int(s, 1, bucket);
    sql_blob(s, 2, w->key);
    sql_int(s, 3, w->object.blob);
    sql_int(s, 4, w->object.size_bytes);
    sql_int(s, 5, w->object.modified_us);
    sql_text(s, 6, w->object.etag);
    sql_blob(s, 7, w->object.meta);
    return sql_run(c, s, e) && (old == 0 || free_blob(c, w, old, e));
}

static bool do_put(struct sql_conn *c, struct index_write *w, struct err *e)
{
    int64_t bucket, old;

    return sql_bucket_must(c, w->bucket, &bucket, e) && conditions(c, w, bucket, &old, e) &&
           put_row(c, w, bucket, old, e);
}

static bool do_delete(struct sql_conn *c, struct index_write *w, struct err *e)
{
    sqlite3_stmt *s = sql_st(c, ST_DEL, e);
    int64_t bucket, old;

    if (!s || !sql_bucket_must(c, w->bucket, &bucket, e) || !conditions(c, w, bucket, &old, e))
        return false;
    if (old == 0)
        return true;
    sql_int(s, 1, bucket);
    sql_blob(s, 2, w->key);
    return sql_run(c, s, e) && free_blob(c, w, old, e);
}

static bool do_upload(struct sql_conn *c, struct index_write *w, struct err *e)
{
    sqlite3_stmt *s = sql_st(c, ST_UPLOAD_ADD, e);
    int64_t bucket;

    if (!s || !sql_bucket_must(c, w->bucket, &bucket, e))
        return false;
    sql_text(s, 1, w->upload);
    sql_int(s, 2, bucket);
    sql_blob(s, 3, w->key);
    sql_int(s, 4, w->object.modified_us);
    sql_blob(s, 5, w->object.meta);
    return sql_run(c, s, e);
}

static bool upload_must(struct sql_conn *c, struct index_write *w, int64_t *bucket, struct err *e)
{
    struct object_upload u = {w->bucket, w->key, w->upload};
    struct arena a = {0};
    struct str meta;
    bool ok = sql_upload(c, &u, bucket, &a, &meta, e);

    arena_fini(&a);
    return ok;
}

/* The blob of a part, 0: none. */
static bool part_blob(struct sql_conn *c, struct str upload, int part, int64_t *blob, struct err *e)
{
    sqlite3_stmt *s = sql_st(c, ST_PART, e);
    enum sql_step got;

    if (!s)
        return false;
    sql_text(s, 1, upload);
    sql_int(s, 2, part);
    got = sql_step(c, s, e);
    *blob = got == STEP_ROW ? sqlite3_column_int64(s, 0) : 0;
    sql_done(s);
    return got != STEP_FAILED;
}

static bool do_part(struct sql_conn *c, struct index_write *w, struct err *e)
{
    sqlite3_stmt *s = sql_st(c, ST_PART_PUT, e);
    int64_t bucket, old;

    if (!s || !upload_must(c, w, &bucket, e) || !part_blob(c, w->upload, w->part, &old, e))
        return false;
    sql_text(s, 1, w->upload);
    sql_int(s, 2, w->part);
    sql_int(s, 3, w->object.blob);
    sql_int(s, 4, w->object.size_bytes);
    sql_int(s, 5, w->object.modified_us);
    sql_text(s, 6, w->object.etag);
    return sql_run(c, s, e) && (old == 0 || free_blob(c, w, old, e));
}

static bool do_complete(struct sql_conn *c, struct index_write *w, struct err *e)
{
    int64_t bucket, old, part;

    if (!upload_must(c, w, &bucket, e) || !conditions(c, w, bucket, &old, e))
        return false;
    if (w->takes_part && !part_blob(c, w->upload, w->part, &part, e))
        return false;
    if (w->takes_part && part != w->object.blob)
        return err_set(e, ERR_CONFLICT, "part %d was replaced while the upload was completed", w->part);
    return free_parts(c, w, w->upload, w->object.blob, e) && put_row(c, w, bucket, old, e);
}

static bool do_abort(struct sql_conn *c, struct index_write *w, struct err *e)
{
    int64_t bucket;

    return upload_must(c, w, &bucket, e) && free_parts(c, w, w->upload, 0, e);
}

static bool do_reserve(struct sql_conn *c, struct index_write *w, struct err *e)
{
    return run_id(c, ST_RESERVE, w->reserve, e);
}

static bool (*const kinds[INDEX_KINDS])(struct sql_conn *c, struct index_write *w, struct err *e) = {
    [INDEX_BUCKET_CREATE] = do_bucket_create,
    [INDEX_BUCKET_DELETE] = do_bucket_delete,
    [INDEX_PUT] = do_put,
    [INDEX_DELETE] = do_delete,
    [INDEX_UPLOAD] = do_upload,
    [INDEX_PART] = do_part,
    [INDEX_COMPLETE] = do_complete,
    [INDEX_ABORT] = do_abort,
    [INDEX_RESERVE] = do_reserve,
};

/* A write that was refused has changed nothing, because what can refuse comes before what changes. */
static bool refused(const struct err *e)
{
    return e->kind == ERR_NOT_FOUND || e->kind == ERR_CONFLICT;
}

static bool commit_all(struct sql_conn *c, struct index_write *list, const struct index_settled *s,
                       struct err *e)
{
    sqlite3_stmt *begin = sql_st(c, ST_BEGIN, e), *commit = begin ? sql_st(c, ST_COMMIT, e) : NULL;

    if (!begin || !commit || !sql_run(c, begin, e))
        return false;
    for (struct index_write *w = list; w; w = w->next) {
        w->ok = kinds[w->kind](c, w, &w->e);
        if (!w->ok && !refused(&w->e)) {
            *e = w->e;
            return false;
        }
    }
    for (size_t i = 0; i < s->removed_count; i++)
        if (!run_id(c, ST_GARBAGE_DEL, s->removed[i], e))
            return false;
    if (s->floor > 0 && !run_id(c, ST_FLOOR, s->floor, e))
        return false;
    return sql_run(c, commit, e);
}

bool index_commit(struct index *x, struct index_write *list, const struct index_settled *s, struct err *e)
{
    struct sql_conn *c = x->writer;

    if (commit_all(c, list, s, e))
        return true;
    if (!sqlite3_get_autocommit(c->db))
        (void)sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
    for (struct index_write *w = list; w; w = w->next) {
        w->ok = false;
        w->e = *e;
        w->freed_count = 0;
    }
    return false;
}
