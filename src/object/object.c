#include "object/object_int.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/rd.h"
#include "base/utf8.h"

#include <assert.h>
#include <stdio.h>

/* ---- headers as bytes ---- */

void meta_pack(struct buf *out, const struct object_meta *meta, size_t count)
{
    buf_uvarint(out, count);
    for (size_t i = 0; i < count; i++) {
        buf_uvarint(out, meta[i].name.n);
        buf_str(out, meta[i].name);
        buf_uvarint(out, meta[i].value.n);
        buf_str(out, meta[i].value);
    }
}

bool meta_unpack(struct str packed, struct arena *a, struct object_meta **meta, size_t *count, struct err *e)
{
    struct rd r = rd_str(packed);
    size_t n = rd_count(&r, rd_uvarint(&r), 2);

    *meta = ARENA_ARRAY(a, struct object_meta, n);
    *count = n;
    for (size_t i = 0; i < n; i++) {
        (*meta)[i].name = arena_str(a, rd_bytes(&r, rd_uvarint(&r)));
        (*meta)[i].value = arena_str(a, rd_bytes(&r, rd_uvarint(&r)));
    }
    return rd_ok(&r) || err_set(e, ERR_CORRUPT, "headers of an object: %s", rd_why(&r));
}

/* ---- names ---- */

static bool is_address(struct str name) // four numbers with dots
{
    int dots = 0;

    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] == '.')
            dots++;
        else if (name.p[i] < '0' || name.p[i] > '9')
            return false;
    }
    return dots == 3;
}

/* S3's rules for general purpose buckets, which also make a name fit for a host name. */
static bool bucket_name(struct str name, struct err *e)
{
    bool ok = name.n >= 3 && name.n <= 63 && !is_address(name);
    char before = '.';

    for (size_t i = 0; ok && i < name.n; i++) {
        char c = name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

        ok = letter || (before != '.' && i + 1 < name.n && (c == '.' || c == '-'));
        before = c;
    }
    return ok || err_set(e, ERR_INVALID,
                         "%.*s is not a bucket name: 3 to 63 small letters, digits, dots and hyphens,"
                         " a letter or digit at both ends",
                         STR_ARG(name));
}

static bool key_name(struct str key, struct err *e)
{
    if (key.n == 0 || key.n > LIMIT_KEY)
        return err_set(e, ERR_INVALID, "a key has 1 to %d bytes, this one has %zu", LIMIT_KEY, key.n);
    return utf8_ok(key) || err_set(e, ERR_INVALID, "a key is UTF-8, this one is not");
}

/* ---- through the table ---- */

void object_close(struct blobs *b)
{
    if (b)
        b->ops->close(b);
}

bool bucket_create(struct blobs *b, struct str name, struct err *e)
{
    return bucket_name(name, e) && b->ops->bucket_create(b, name, e);
}

bool bucket_exists(struct blobs *b, struct str name, bool *yes, struct err *e)
{
    return b->ops->bucket_exists(b, name, yes, e);
}

bool bucket_delete(struct blobs *b, struct str name, struct err *e)
{
    return b->ops->bucket_delete(b, name, e);
}

bool bucket_list(struct blobs *b, struct arena *a, struct object_bucket **out, size_t *count, struct err *e)
{
    return b->ops->bucket_list(b, a, out, count, e);
}

bool object_put_begin(struct blobs *b, struct str bucket, struct str key, const struct object_put_options *o,
                      struct object_put **out, struct err *e)
{
    return key_name(key, e) && b->ops->put_begin(b, bucket, key, o, out, e);
}

bool object_put_write(struct object_put *p, struct str bytes, struct err *e)
{
    return p->ops->put_write(p, bytes, e);
}

void object_put_meta(struct object_put *p, struct str name, struct str value)
{
    p->ops->put_meta(p, name, value);
}

bool object_put_commit(struct object_put *p, struct arena *a, struct object_info *info, struct err *e)
{
    return p->ops->put_commit(p, a, info, e);
}

void object_put_abort(struct object_put *p)
{
    if (p)
        p->ops->put_abort(p);
}

bool object_put_file(struct blobs *b, struct str bucket, struct str key, const char *path,
                     int64_t *size_bytes, struct err *e)
{
    return key_name(key, e) && b->ops->put_file(b, bucket, key, path, size_bytes, e);
}

bool object_head(struct blobs *b, struct str bucket, struct str key, struct arena *a,
                 struct object_info *info, struct err *e)
{
    return key_name(key, e) && b->ops->head(b, bucket, key, a, info, e);
}

bool object_get_open(struct blobs *b, struct str bucket, struct str key, struct arena *a,
                     struct object_info *info, struct object_get **out, struct err *e)
{
    return key_name(key, e) && b->ops->get_open(b, bucket, key, a, info, out, e);
}

ssize_t object_get_read(struct object_get *g, void *p, size_t n, int64_t at, struct err *e)
{
    return g->ops->get_read(g, p, n, at, e);
}

int object_get_fd(struct object_get *g)
{
    return g->ops->get_fd(g);
}

const char *object_get_path(struct object_get *g)
{
    return g->ops->get_path(g);
}

void object_get_close(struct object_get *g)
{
    if (g)
        g->ops->get_close(g);
}

bool object_list(struct blobs *b, struct str bucket, const struct object_list_options *o, struct arena *a,
                 struct object_listing *out, struct err *e)
{
    assert(o->max >= 1 && o->max <= 1000);
    return b->ops->list(b, bucket, o, a, out, e);
}

bool object_delete(struct blobs *b, struct str bucket, struct str key, struct err *e)
{
    return key_name(key, e) && b->ops->remove(b, bucket, key, e);
}

bool object_delete_many(struct blobs *b, struct str bucket, const struct str *keys, size_t count,
                        struct err *each, struct err *e)
{
    bool there;

    if (!bucket_exists(b, bucket, &there, e))
        return false;
    if (!there)
        return err_set(e, ERR_NOT_FOUND, "no bucket %.*s", STR_ARG(bucket));
    for (size_t i = 0; i < count; i++)
        each[i] = (struct err){0};
    if (b->ops->remove_many) {
        b->ops->remove_many(b, bucket, keys, count, each);
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        struct err why;

        if (!object_delete(b, bucket, keys[i], &why))
            each[i] = why;
    }
    return true;
}

bool object_upload_begin(struct blobs *b, struct object_upload *u, const struct object_put_options *o,
                         struct arena *a, struct err *e)
{
    return key_name(u->key, e) && b->ops->upload_begin(b, u, o, a, e);
}

bool object_upload_part(struct blobs *b, const struct object_upload *u, int number,
                        const struct object_put_options *o, struct object_put **out, struct err *e)
{
    if (number < 1 || number > OBJECT_PARTS)
        return err_set(e, ERR_INVALID, "a part's number is 1 to %d, not %d", OBJECT_PARTS, number);
    return b->ops->upload_part(b, u, number, o, out, e);
}

bool object_upload_parts(struct blobs *b, const struct object_upload *u, struct arena *a,
                         struct object_part **parts, size_t *count, struct err *e)
{
    return b->ops->upload_parts(b, u, a, parts, count, e);
}

bool object_upload_complete(struct blobs *b, const struct object_upload *u, const struct object_complete *c,
                            struct arena *a, struct object_info *info, struct err *e)
{
    return b->ops->upload_complete(b, u, c, a, info, e);
}

bool object_upload_abort(struct blobs *b, const struct object_upload *u, struct err *e)
{
    return b->ops->upload_abort(b, u, e);
}

bool object_upload_list(struct blobs *b, struct str bucket, struct arena *a, struct object_upload_info **out,
                        size_t *count, struct err *e)
{
    return b->ops->upload_list(b, bucket, a, out, count, e);
}

/* ---- built on the table ---- */

bool object_put_bytes(struct blobs *b, struct str bucket, struct str key, struct str bytes,
                      const struct object_put_options *o, struct err *e)
{
    struct object_put *p;
    struct object_info info;
    struct arena a = {0};
    bool ok;

    if (!object_put_begin(b, bucket, key, o, &p, e))
        return false;
    if (bytes.n > 0 && !object_put_write(p, bytes, e)) {
        object_put_abort(p);
        return false;
    }
    ok = object_put_commit(p, &a, &info, e);
    arena_fini(&a);
    return ok;
}

bool object_get_bytes(struct blobs *b, struct str bucket, struct str key, size_t max, struct arena *a,
                      struct str *out, struct err *e)
{
    struct object_info info;
    struct object_get *g;
    ssize_t got = -1;
    char *p;

    if (!object_get_open(b, bucket, key, a, &info, &g, e))
        return false;
    if ((uint64_t)info.size_bytes > max) {
        (void)err_set(e, ERR_LIMIT, "object %.*s has %lld bytes, at most %zu are allowed", STR_ARG(key),
                      (long long)info.size_bytes, max);
    } else {
        p = arena_alloc(a, (size_t)info.size_bytes + 1); // a NUL behind the end
        got = object_get_read(g, p, (size_t)info.size_bytes, 0, e);
        *out = str_from(p, (size_t)info.size_bytes);
        if (got >= 0 && got < info.size_bytes) {
            (void)err_set(e, ERR_CORRUPT, "object %.*s ends at %lld of %lld bytes", STR_ARG(key),
                          (long long)got, (long long)info.size_bytes);
            got = -1;
        }
    }
    object_get_close(g);
    return got >= 0;
}
