/* Operations on buckets, and the deletion of objects. */
#include "s3/bodies.h"
#include "s3/s3_int.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/utc.h"

enum s3_code s3_list_buckets(struct s3_req *r)
{
    struct object_bucket *list;
    struct buf b = s3_xml();
    char date[UTC_TEXT];
    struct err e;
    size_t n;

    if (!bucket_list(r->s->o.blobs, r->q->arena, &list, &n, &e)) {
        buf_fini(&b);
        return s3_failed(r, &e);
    }
    buf_str(&b, STR("<ListAllMyBucketsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                    "<Owner><ID>tarn</ID><DisplayName>tarn</DisplayName></Owner><Buckets>"));
    for (size_t i = 0; i < n; i++) {
        buf_str(&b, STR("<Bucket>"));
        xml_element(&b, "Name", list[i].name);
        xml_element(&b, "CreationDate", str_of(utc_iso(list[i].created_us, 3, date)));
        buf_str(&b, STR("</Bucket>"));
    }
    buf_str(&b, STR("</Buckets></ListAllMyBucketsResult>"));
    s3_answer_xml(r, 200, &b);
    return S3_OK;
}

static enum s3_code bucket_must(struct s3_req *r)
{
    struct err e;
    bool there;

    if (!bucket_exists(r->s->o.blobs, r->bucket, &there, &e))
        return s3_failed(r, &e);
    return there ? S3_OK : S3_NO_SUCH_BUCKET;
}

enum s3_code s3_head_bucket(struct s3_req *r)
{
    enum s3_code code = bucket_must(r);

    if (code != S3_OK)
        return code;
    http_set(r->q, "x-amz-bucket-region", str_of(r->s->region));
    http_answer(r->q, 200, NULL, STR(""));
    return S3_OK;
}

enum s3_code s3_bucket_location(struct s3_req *r)
{
    struct buf b;
    enum s3_code code = bucket_must(r);

    if (code != S3_OK)
        return code;
    b = s3_xml();
    buf_str(&b, STR("<LocationConstraint xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"));
    if (strcmp(r->s->region, "us-east-1") != 0) // whose constraint is empty, by history
        xml_text(&b, str_of(r->s->region));
    buf_str(&b, STR("</LocationConstraint>"));
    s3_answer_xml(r, 200, &b);
    return S3_OK;
}

/* Versioning was never switched on here, and S3 says that so. */
enum s3_code s3_bucket_versioning(struct s3_req *r)
{
    struct buf b;
    enum s3_code code = bucket_must(r);

    if (code != S3_OK)
        return code;
    b = s3_xml();
    buf_str(&b, STR("<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>"));
    s3_answer_xml(r, 200, &b);
    return S3_OK;
}

enum s3_code s3_create_bucket(struct s3_req *r)
{
    struct str acl = s3_header(r, "x-amz-acl");
    struct err e;

    if (acl.p && !str_is(acl, "private"))
        return s3_error(r, S3_NOT_IMPLEMENTED, "tarn has no access lists: x-amz-acl can only be private");
    if (str_eq_nocase(s3_header(r, "x-amz-bucket-object-lock-enabled"), STR("true")))
        return s3_error(r, S3_NOT_IMPLEMENTED, "tarn does not implement object lock");
    if (!bucket_create(r->s->o.blobs, r->bucket, &e)) {
        if (e.kind == ERR_CONFLICT)
            return S3_BUCKET_OWNED;
        return e.kind == ERR_INVALID ? s3_error(r, S3_INVALID_BUCKET, "%s", e.msg) : s3_failed(r, &e);
    }
    http_set(r->q, "Location", str_of(arena_fmt(r->q->arena, "/%.*s", STR_ARG(r->bucket))));
    http_answer(r->q, 200, NULL, STR(""));
    return S3_OK;
}

enum s3_code s3_delete_bucket(struct s3_req *r)
{
    struct err e;

    if (!bucket_delete(r->s->o.blobs, r->bucket, &e))
        return e.kind == ERR_CONFLICT ? S3_BUCKET_NOT_EMPTY : s3_failed(r, &e);
    http_answer(r->q, 204, NULL, STR(""));
    return S3_OK;
}

/* ---- deletion of objects ---- */

enum s3_code s3_delete_object(struct s3_req *r)
{
    struct err e;

    if (http_header(r->q, "if-match").p)
        return s3_error(r, S3_NOT_IMPLEMENTED, "tarn does not implement conditional deletes");
    if (!object_delete(r->s->o.blobs, r->bucket, r->key, &e))
        return s3_failed(r, &e);
    http_answer(r->q, 204, NULL, STR(""));
    return S3_OK;
}

enum s3_code s3_delete_objects(struct s3_req *r)
{
    struct str *keys = ARENA_ARRAY(r->q->arena, struct str, S3_DELETE_MAX);
    struct err *each = ARENA_ARRAY(r->q->arena, struct err, S3_DELETE_MAX);
    struct buf b;
    struct err e;
    size_t n;
    bool quiet;
    enum s3_code code = bucket_must(r);

    if (code == S3_OK && !r->body.has_sum && !http_header(r->q, "content-md5").p)
        code = s3_error(r, S3_INVALID_REQUEST, "Missing required header for this request: Content-MD5");
    if (code == S3_OK)
        code = s3_read_delete(r->q->arena, buf_view(&r->body.text), keys, &n, &quiet);
    if (code == S3_OK && !object_delete_many(r->s->o.blobs, r->bucket, keys, n, each, &e))
        code = s3_failed(r, &e);
    if (code != S3_OK)
        return code;
    b = s3_xml();
    buf_str(&b, STR("<DeleteResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"));
    for (size_t i = 0; i < n; i++) {
        bool ok = each[i].kind == ERR_NONE;

        if (ok && quiet)
            continue;
        buf_str(&b, ok ? STR("<Deleted>") : STR("<Error>"));
        xml_element(&b, "Key", keys[i]);
        if (!ok) {
            xml_element(&b, "Code", STR("InternalError"));
            xml_element(&b, "Message", str_of(each[i].msg));
        }
        buf_str(&b, ok ? STR("</Deleted>") : STR("</Error>"));
    }
    buf_str(&b, STR("</DeleteResult>"));
    s3_answer_xml(r, 200, &b);
    return S3_OK;
}
