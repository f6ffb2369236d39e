/* CopyObject and UploadPartCopy. */
#include "s3/http_rules.h"
#include "s3/s3_int.h"

#include "base/mem.h"
#include "base/utc.h"

/* "/bucket/key", percent-encoded. */
static enum s3_code source_name(struct s3_req *r, struct str *bucket, struct str *key)
{
    struct str s = s3_header(r, "x-amz-copy-source");
    ptrdiff_t at = str_find(s, '?');

    if (at >= 0)
        return s3_error(r, S3_NOT_IMPLEMENTED, "tarn keeps no versions to copy from");
    s = http_decode(r->q->arena, s, false);
    if (str_starts(s, STR("/")))
        s = str_from(s.p + 1, s.n - 1);
    at = s.p ? str_find(s, '/') : -1;
    if (at <= 0 || (size_t)at + 1 == s.n)
        return s3_error(r, S3_INVALID_ARGUMENT,
                        "Copy Source must mention the source bucket and key: sourcebucket/sourcekey");
    *bucket = str_from(s.p, (size_t)at);
    *key = str_from(s.p + at + 1, s.n - (size_t)at - 1);
    return S3_OK;
}

static enum s3_code copy_source(struct s3_req *r, struct object_info *info, struct object_get **out)
{
    struct conditions c = {s3_header(r, "x-amz-copy-source-if-match"),
                           s3_header(r, "x-amz-copy-source-if-none-match"),
                           s3_header(r, "x-amz-copy-source-if-modified-since"),
                           s3_header(r, "x-amz-copy-source-if-unmodified-since")};
    struct str bucket, key;
    enum s3_code code = source_name(r, &bucket, &key);
    struct err e;
    bool there;

    if (code != S3_OK)
        return code;
    if (!object_get_open(r->s->o.blobs, bucket, key, r->q->arena, info, out, &e)) {
        if (e.kind != ERR_NOT_FOUND)
            return s3_failed(r, &e);
        if (!bucket_exists(r->s->o.blobs, bucket, &there, &e))
            return S3_INTERNAL;
        return there ? S3_NO_SUCH_KEY : S3_NO_SUCH_BUCKET;
    }
    code = conditions_check(&c, info->etag, info->modified_us);
    if (code != S3_OK) {
        object_get_close(*out);
        return S3_PRECONDITION;
    }
    return S3_OK;
}

static enum s3_code copy_bytes(struct s3_req *r, struct object_get *g, int64_t at, int64_t n,
                               struct object_put *p)
{
    char *piece = mem_alloc(S3_COPY);
    bool ok = true;
    struct err e;

    while (ok && n > 0) {
        ssize_t got = object_get_read(g, piece, n < S3_COPY ? (size_t)n : S3_COPY, at, &e);

        ok = got > 0 && object_put_write(p, str_from(piece, (size_t)got), &e);
        if (got == 0)
            ok = err_set(&e, ERR_CORRUPT, "the source ends at %lld", (long long)at);
        at += got;
        n -= got;
    }
    mem_free(piece);
    return ok ? S3_OK : s3_failed(r, &e);
}

static void answer_copied(struct s3_req *r, const char *root, const struct object_info *info)
{
    struct buf b = s3_xml();
    char date[UTC_TEXT];

    buf_fmt(&b, "<%s xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">", root);
    xml_element(&b, "LastModified", str_of(utc_iso(info->modified_us, 3, date)));
    buf_fmt(&b, "<ETag>&quot;%.*s&quot;</ETag></%s>", STR_ARG(info->etag), root);
    s3_answer_xml(r, 200, &b);
}

/* Copies n bytes of g into p and makes it durable; p and g are gone after it. */
static enum s3_code finish(struct s3_req *r, struct object_get *g, const struct range *range,
                           struct object_put *p, const char *root)
{
    enum s3_code code = copy_bytes(r, g, range->at, range->n, p);
    struct object_info info;
    struct err e;

    object_get_close(g);
    if (code != S3_OK) {
        object_put_abort(p);
        return code;
    }
    if (!object_put_commit(p, r->q->arena, &info, &e))
        return s3_failed(r, &e);
    answer_copied(r, root, &info);
    return S3_OK;
}

enum s3_code s3_copy_object(struct s3_req *r)
{
    struct str directive = s3_header(r, "x-amz-metadata-directive"),
               tags = s3_header(r, "x-amz-tagging-directive");
    bool replace = str_is(directive, "REPLACE");
    struct object_put_options o = {0};
    struct object_meta *meta;
    struct object_info from;
    struct object_get *g;
    struct object_put *p;
    struct err e;
    struct str bucket, key;
    enum s3_code code = s3_meta(r, &meta, &o.meta_count);

    if (code == S3_OK && directive.p && !replace && !str_is(directive, "COPY"))
        code = s3_error(r, S3_INVALID_ARGUMENT, "Unknown metadata directive.");
    if (code == S3_OK && tags.p && !str_is(tags, "COPY")) // there are none to copy
        code = S3_NOT_IMPLEMENTED;
    if (code == S3_OK)
        code = s3_write_conditions(r, &o);
    if (code == S3_OK)
        code = source_name(r, &bucket, &key);
    if (code == S3_OK && !replace && str_eq(bucket, r->bucket) && str_eq(key, r->key))
        code = s3_error(
            r, S3_INVALID_REQUEST,
            "This copy request is illegal because it is trying to copy an object to itself without changing"
            " the object's metadata.");
    if (code == S3_OK)
        code = copy_source(r, &from, &g);
    if (code != S3_OK)
        return code;
    o.meta = replace ? meta : from.meta;
    if (!replace)
        o.meta_count = from.meta_count;
    if (!object_put_begin(r->s->o.blobs, r->bucket, r->key, &o, &p, &e)) {
        object_get_close(g);
        return s3_failed(r, &e);
    }
    return finish(r, g, &(struct range){true, 0, from.size_bytes}, p, "CopyObjectResult");
}

enum s3_code s3_upload_part_copy(struct s3_req *r)
{
    struct str header = s3_header(r, "x-amz-copy-source-range");
    int64_t number = http_param_i64(r->q, "partNumber", 0);
    struct object_info from;
    struct object_get *g;
    struct object_put *p;
    struct range range;
    struct err e;
    enum s3_code code;

    r->upload = (struct object_upload){r->bucket, r->key, http_param(r->q, "uploadId")};
    if (number < 1 || number > OBJECT_PARTS)
        return s3_error(r, S3_INVALID_ARGUMENT,
                        "Part number must be an integer between 1 and 10000, inclusive");
    code = copy_source(r, &from, &g);
    if (code != S3_OK)
        return code;
    code = range_read(header, from.size_bytes, &range);
    if (code == S3_OK && header.p && !range.given)
        code = s3_error(r, S3_INVALID_ARGUMENT,
                        "The x-amz-copy-source-range value must be of the form bytes=first-last");
    if (code == S3_OK && !object_upload_part(r->s->o.blobs, &r->upload, (int)number, NULL, &p, &e))
        code = s3_failed(r, &e);
    if (code != S3_OK) {
        object_get_close(g);
        return code;
    }
    return finish(r, g, &range, p, "CopyPartResult");
}
