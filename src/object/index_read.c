/* What the index is asked. Connections are lent for one question. */
#include "base/mem.h"
#include "object/index_sql.h"

/* 1: there, its id in *id; 0: none; -1: failed. */
int sql_bucket(struct sql_conn *c, struct str bucket, int64_t *id, struct err *e)
{
    sqlite3_stmt *s = sql_st(c, ST_BUCKET, e);
    enum sql_step got;

    if (!s)
        return -1;
    sql_text(s, 1, bucket);
    got = sql_step(c, s, e);
    if (got == STEP_ROW)
        *id = sqlite3_column_int64(s, 0);
    sql_done(s);
    return (int)got;
}

bool sql_bucket_must(struct sql_conn *c, struct str bucket, int64_t *id, struct err *e)
{
    int got = sql_bucket(c, bucket, id, e);

    return got == 1 || (got == 0 && err_set(e, ERR_NOT_FOUND, "no bucket %.*s", STR_ARG(bucket)));
}

bool index_has_bucket(struct index *x, struct str bucket, bool *yes, struct err *e)
{
    struct sql_conn *c = sql_lend(x, e);
    int64_t id;
    int got;

    if (!c)
        return false;
    got = sql_bucket(c, bucket, &id, e);
    sql_return(x, c);
    *yes = got == 1;
    return got >= 0;
}

bool index_buckets(struct index *x, struct arena *a, struct object_bucket **out, size_t *count, struct err *e)
{
    struct sql_conn *c = sql_lend(x, e);
    struct object_bucket *list = NULL;
    sqlite3_stmt *s = c ? sql_st(c, ST_BUCKETS, e) : NULL;
    size_t n = 0, cap = 0;
    enum sql_step got = STEP_FAILED;

    while (s && (got = sql_step(c, s, e)) == STEP_ROW) {
        MEM_PUSH_ROOM(list, n, cap);
        list[n++] = (struct object_bucket){sql_column(s, 0, a), sqlite3_column_int64(s, 1)};
    }
    if (s)
        sql_done(s);
    if (c)
        sql_return(x, c);
    *out = n > 0 ? arena_copy(a, list, n * sizeof *list) : NULL;
    *count = n;
    mem_free(list);
    return got == STEP_DONE;
}

/* 1: there; 0: none; -1: failed. */
int sql_object(struct sql_conn *c, int64_t bucket, struct str key, struct arena *a, struct index_object *out,
               struct err *e)
{
    sqlite3_stmt *s = sql_st(c, ST_FIND, e);
    enum sql_step got;

    if (!s)
        return -1;
    sql_int(s, 1, bucket);
    sql_blob(s, 2, key);
    got = sql_step(c, s, e);
    if (got == STEP_ROW)
        *out = (struct index_object){
            .blob = sqlite3_column_int64(s, 0),
            .size_bytes = sqlite3_column_int64(s, 1),
            .modified_us = sqlite3_column_int64(s, 2),
            .etag = sql_column(s, 3, a),
            .meta = sql_column(s, 4, a),
        };
    sql_done(s);
    return (int)got;
}

bool index_find(struct index *x, struct str bucket, struct str key, struct arena *a, struct index_object *out,
                struct err *e)
{
    struct sql_conn *c = sql_lend(x, e);
    int64_t id;
    int got = -1;

    if (!c)
        return false;
    if (sql_bucket_must(c, bucket, &id, e)) {
        got = sql_object(c, id, key, a, out, e);
        if (got == 0)
            (void)err_set(e, ERR_NOT_FOUND, "no object %.*s in bucket %.*s", STR_ARG(key), STR_ARG(bucket));
    }
    sql_return(x, c);
    return got == 1;
}

/* One listing under way. */
struct walk {
    struct sql_conn *c;
    sqlite3_stmt *s;
    const struct object_list_options *o;
    struct arena *a;
    struct object_listing *out;
    size_t object_cap, prefix_cap;
};

/* The first string after all that start with s: its last byte counted up; empty when there is none. */
static struct str after_prefix(struct arena *a, struct str s)
{
    struct str next = arena_str(a, s);

    while (next.n > 0 && (uint8_t)next.p[next.n - 1] == 0xff)
        next.n--;
    if (next.n > 0) {
        char *p = arena_copy(a, next.p, next.n);

        p[next.n - 1] = (char)((uint8_t)p[next.n - 1] + 1);
        next.p = p;
    }
    return next;
}

/* The part of key up to and with the first delimiter after the prefix; null when there is none. */
static struct str common_prefix(const struct object_list_options *o, struct str key)
{
    const char *at;

    if (o->delimiter.n == 0 || key.n < o->prefix.n)
        return STR_NULL;
    at = memmem(key.p + o->prefix.n, key.n - o->prefix.n, o->delimiter.p, o->delimiter.n);
    return at ? str_from(key.p, (size_t)(at - key.p) + o->delimiter.n) : STR_NULL;
}

/* Where the next page begins: past `after`, and past all of a prefix that was listed as one. Empty p: nowhere. */
static struct str list_start(struct walk *w)
{
    struct str after = w->o->after, start = w->o->prefix, rolled;

    if (after.n > 0 && str_cmp(after, start) >= 0) {
        rolled = str_starts(after, w->o->prefix) ? common_prefix(w->o, after) : STR_NULL;
        start = rolled.p && rolled.n == after.n
                    ? after_prefix(w->a, after)
                    : str_from(arena_str(w->a, after).p, after.n + 1); // with the NUL that is behind it
        if (start.n == 0)
            start = STR_NULL;
    } else if (!start.p) {
        start = STR("");
    }
    return start;
}

static bool list_one(struct walk *w, struct str key, struct str *seek)
{
    struct object_listing *l = w->out;
    struct str common = common_prefix(w->o, key);

    if (l->object_count + l->prefix_count == (size_t)w->o->max) {
        l->more = true;
        return false;
    }
    if (common.p) {
        MEM_PUSH_ROOM(l->prefixes, l->prefix_count, w->prefix_cap);
        l->prefixes[l->prefix_count] = arena_str(w->a, common);
        l->next = l->prefixes[l->prefix_count++];
        *seek = after_prefix(w->a, common);
        return false;
    }
    MEM_PUSH_ROOM(l->objects, l->object_count, w->object_cap);
    l->next = arena_str(w->a, key);
    l->objects[l->object_count++] = (struct object_info){
        .key = l->next,
        .size_bytes = sqlite3_column_int64(w->s, 1),
        .modified_us = sqlite3_column_int64(w->s, 2),
        .etag = sql_column(w->s, 3, w->a),
    };
    return true;
}

/* Rows from `start` on; when a common prefix came up, *seek says where to go on (null p: the listing is over). */
static bool list_run(struct walk *w, int64_t bucket, struct str start, struct str *seek, struct err *e)
{
    enum sql_step got;

    *seek = STR_NULL;
    sql_int(w->s, 1, bucket);
    sql_blob(w->s, 2, start);
    while ((got = sql_step(w->c, w->s, e)) == STEP_ROW) {
        struct str key = str_from(sqlite3_column_blob(w->s, 0), (size_t)sqlite3_column_bytes(w->s, 0));

        if (!str_starts(key, w->o->prefix) || !list_one(w, key, seek))
            break;
    }
    sql_done(w->s);
    if (seek->n == 0)
        *seek = STR_NULL;
    return got != STEP_FAILED;
}

bool index_list(struct index *x, struct str bucket, const struct object_list_options *o, struct arena *a,
                struct object_listing *out, struct err *e)
{
    struct sql_conn *c = sql_lend(x, e);
    struct walk w = {.c = c, .o = o, .a = a, .out = out};
    struct str at;
    int64_t id;
    bool ok;

    *out = (struct object_listing){0};
    if (!c)
        return false;
    w.s = sql_st(c, ST_LIST, e);
    ok = w.s && sql_bucket_must(c, bucket, &id, e);
    at = list_start(&w);
    while (ok && at.p)
        ok = list_run(&w, id, at, &at, e);
    sql_return(x, c);
    if (out->object_count > 0) { // grown on the heap, given in the arena
        struct object_info *objects = out->objects;

        out->objects = arena_copy(a, objects, out->object_count * sizeof *objects);
        mem_free(objects);
    }
    if (out->prefix_count > 0) {
        struct str *prefixes = out->prefixes;

        out->prefixes = arena_copy(a, prefixes, out->prefix_count * sizeof *prefixes);
        mem_free(prefixes);
    }
    return ok;
}

bool sql_upload(struct sql_conn *c, const struct object_upload *u, int64_t *bucket, struct arena *a,
                struct str *meta, struct err *e)
{
    sqlite3_stmt *s = sql_st(c, ST_UPLOAD, e);
    enum sql_step got;
    bool right = false;

    if (!s || !sql_bucket_must(c, u->bucket, bucket, e))
        return false;
    sql_text(s, 1, u->id);
    sql_int(s, 2, *bucket);
    got = sql_step(c, s, e);
    if (got == STEP_ROW) {
        right = str_eq(sql_column(s, 0, a), u->key);
        *meta = sql_column(s, 1, a);
    }
    sql_done(s);
    if (got == STEP_FAILED)
        return false;
    return right || err_set(e, ERR_NOT_FOUND, "no upload %.*s of %.*s", STR_ARG(u->id), STR_ARG(u->key));
}

bool index_find_upload(struct index *x, const struct object_upload *u, struct arena *a, struct str *meta,
                       struct err *e)
{
    struct sql_conn *c = sql_lend(x, e);
    int64_t bucket;
    bool ok;

    if (!c)
        return false;
    ok = sql_upload(c, u, &bucket, a, meta, e);
    sql_return(x, c);
    return ok;
}

bool index_parts(struct index *x, struct str upload, struct arena *a, struct object_part **parts,
                 int64_t **blobs, size_t *count, struct err *e)
{
    struct sql_conn *c = sql_lend(x, e);
    sqlite3_stmt *s = c ? sql_st(c, ST_PARTS, e) : NULL;
    struct object_part *list = NULL;
    int64_t *numbers = NULL;
    size_t n = 0, cap = 0, number_cap = 0;
    enum sql_step got = STEP_FAILED;

    if (s)
        sql_text(s, 1, upload);
    while (s && (got = sql_step(c, s, e)) == STEP_ROW) {
        MEM_PUSH_ROOM(list, n, cap);
        MEM_PUSH_ROOM(numbers, n, number_cap);
        list[n] = (struct object_part){
            .number = sqlite3_column_int(s, 0),
            .etag = sql_column(s, 4, a),
            .size_bytes = sqlite3_column_int64(s, 2),
            .modified_us = sqlite3_column_int64(s, 3),
        };
        numbers[n++] = sqlite3_column_int64(s, 1);
    }
    if (s)
        sql_done(s);
    if (c)
        sql_return(x, c);
    *parts = n > 0 ? arena_copy(a, list, n * sizeof *list) : NULL;
    *blobs = n > 0 ? arena_copy(a, numbers, n * sizeof *numbers) : NULL;
    *count = n;
    mem_free(list);
    mem_free(numbers);
    return got == STEP_DONE;
}

bool index_uploads(struct index *x, struct str bucket, struct arena *a, struct object_upload_info **out,
                   size_t *count, struct err *e)
{
    struct sql_conn *c = sql_lend(x, e);
    sqlite3_stmt *s = c ? sql_st(c, ST_UPLOADS, e) : NULL;
    struct object_upload_info *list = NULL;
    size_t n = 0, cap = 0;
    enum sql_step got = STEP_FAILED;
    int64_t id;

    if (s && sql_bucket_must(c, bucket, &id, e)) {
        sql_int(s, 1, id);
        while ((got = sql_step(c, s, e)) == STEP_ROW) {
            MEM_PUSH_ROOM(list, n, cap);
            list[n++] = (struct object_upload_info){sql_column(s, 0, a), sql_column(s, 1, a),
                                                    sqlite3_column_int64(s, 2)};
        }
        sql_done(s);
    }
    if (c)
        sql_return(x, c);
    *out = n > 0 ? arena_copy(a, list, n * sizeof *list) : NULL;
    *count = n;
    mem_free(list);
    return got == STEP_DONE;
}
