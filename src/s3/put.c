/* PutObject, and what a request says of an object that is to be. */
#include "s3/s3_int.h"

#include "base/mem.h"

enum { META_MAX = 2048 }; // of x-amz-meta- names and values, S3's own limit

/* Headers that are kept as they come and given back with the object. */
static const char *const kept[] = {"content-type",     "cache-control",    "content-disposition",
                                   "content-encoding", "content-language", "expires"};

/* Headers that promise what tarn does not do. */
static const char *const refused[] = {"x-amz-server-side-encryption",
                                      "x-amz-server-side-encryption-customer-algorithm",
                                      "x-amz-server-side-encryption-aws-kms-key-id",
                                      "x-amz-tagging",
                                      "x-amz-website-redirect-location",
                                      "x-amz-object-lock-mode",
                                      "x-amz-object-lock-legal-hold",
                                      "x-amz-object-lock-retain-until-date",
                                      "x-amz-grant-read",
                                      "x-amz-grant-write",
                                      "x-amz-grant-full-control",
                                      "x-amz-grant-read-acp",
                                      "x-amz-grant-write-acp",
                                      "x-amz-write-offset-bytes"};

static enum s3_code check_promises(struct s3_req *r)
{
    struct str acl = s3_header(r, "x-amz-acl"), class = s3_header(r, "x-amz-storage-class");

    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        if (http_header(r->q, refused[i]).p)
            return s3_error(r, S3_NOT_IMPLEMENTED, "tarn does not implement the header %s", refused[i]);
    if (acl.p && !str_is(acl, "private") && !str_is(acl, "bucket-owner-full-control"))
        return s3_error(r, S3_NOT_IMPLEMENTED, "tarn has no access lists: x-amz-acl can only be private");
    if (class.p && !str_is(class, "STANDARD") && !str_is(class, "REDUCED_REDUNDANCY"))
        return S3_INVALID_STORAGE_CLASS;
    return S3_OK;
}

static struct str lower(struct arena *a, struct str s)
{
    char *p = arena_copy(a, s.p, s.n);

    for (size_t i = 0; i < s.n; i++)
        if (p[i] >= 'A' && p[i] <= 'Z')
            p[i] = (char)(p[i] + 32);
    return str_from(p, s.n);
}

/* Content-Encoding without aws-chunked, which is of the transfer and not of the object. */
static struct str without_chunked(struct arena *a, struct str value)
{
    struct buf b = buf_make(value.n + 2);
    struct str one, out;

    while (str_cut(&value, ',', &one)) {
        one = str_trim(one);
        if (one.n == 0 || str_eq_nocase(one, STR("aws-chunked")))
            continue;
        buf_fmt(&b, "%s%.*s", b.n > 0 ? "," : "", STR_ARG(one));
    }
    out = arena_str(a, buf_view(&b));
    buf_fini(&b);
    return out;
}

static bool is_kept(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        if (str_eq_nocase(name, str_of(kept[i])))
            return true;
    return false;
}

enum s3_code s3_meta(struct s3_req *r, struct object_meta **meta, size_t *count)
{
    struct http_req *q = r->q;
    struct object_meta *list = ARENA_ARRAY(q->arena, struct object_meta, q->header_count + 1);
    enum s3_code code = check_promises(r);
    size_t n = 0, user = 0;

    for (size_t i = 0; code == S3_OK && i < q->header_count; i++) {
        struct str name = lower(q->arena, q->headers[i].name), value = str_trim(q->headers[i].value);
        bool is_user = str_starts(name, STR("x-amz-meta-"));

        if (!is_user && !is_kept(name))
            continue;
        if (is_user)
            user += name.n - (sizeof "x-amz-meta-" - 1) + value.n;
        if (str_is(name, "content-encoding"))
            value = without_chunked(q->arena, value);
        if (!is_user && value.n == 0)
            continue;
        list[n++] = (struct object_meta){name, arena_str(q->arena, value)};
    }
    if (user > META_MAX)
        code = S3_METADATA_TOO_LARGE;
    *meta = list;
    *count = n;
    return code;
}

enum s3_code s3_write_conditions(struct s3_req *r, struct object_put_options *o)
{
    struct str none = s3_header(r, "if-none-match"), match = s3_header(r, "if-match");

    if (none.p && !str_is(none, "*"))
        return s3_error(r, S3_NOT_IMPLEMENTED, "a write's If-None-Match can only be *");
    o->only_if_absent = none.p != NULL;
    if (match.p)
        o->only_if_etag = match.n >= 2 && match.p[0] == '"' ? str_from(match.p + 1, match.n - 2) : match;
    return S3_OK;
}

void s3_set_etag(struct s3_req *r, struct str etag)
{
    http_set(r->q, "ETag", str_of(arena_fmt(r->q->arena, "\"%.*s\"", STR_ARG(etag))));
}

enum s3_code s3_put_object_begin(struct s3_req *r)
{
    struct object_put_options o = {0};
    struct object_meta *meta;
    struct err e;
    enum s3_code code = s3_meta(r, &meta, &o.meta_count);

    if (code == S3_OK)
        code = s3_write_conditions(r, &o);
    if (code == S3_OK)
        code = s3_content_md5(r, &o.content_md5);
    o.meta = meta;
    if (code == S3_OK && !object_put_begin(r->s->o.blobs, r->bucket, r->key, &o, &r->put, &e))
        code = s3_failed(r, &e);
    return code;
}

enum s3_code s3_put_commit(struct s3_req *r)
{
    struct object_put *p = r->put;
    struct object_info info;
    struct err e;

    r->put = NULL; // commit frees it
    if (!object_put_commit(p, r->q->arena, &info, &e))
        return e.kind == ERR_INVALID ? S3_BAD_DIGEST : s3_failed(r, &e);
    s3_set_etag(r, info.etag);
    if (r->body.has_sum)
        http_set(r->q, checksum_header(r->body.sum_kind), r->body.sum_got);
    http_answer(r->q, 200, NULL, STR(""));
    return S3_OK;
}

enum s3_code s3_put_object(struct s3_req *r)
{
    if (r->body.has_sum)
        object_put_meta(r->put, str_of(checksum_header(r->body.sum_kind)), r->body.sum_got);
    return s3_put_commit(r);
}
