/* Multipart uploads. */
#include "s3/bodies.h"
#include "s3/s3_int.h"

#include "base/mem.h"
#include "base/utc.h"

static void find_upload(struct s3_req *r)
{
    r->upload = (struct object_upload){r->bucket, r->key, http_param(r->q, "uploadId")};
}

enum s3_code s3_create_upload(struct s3_req *r)
{
    struct object_put_options o = {0};
    struct object_upload u = {r->bucket, r->key, STR_NULL};
    struct object_meta *meta;
    struct buf b;
    struct err e;
    enum s3_code code = s3_meta(r, &meta, &o.meta_count);

    if (code != S3_OK)
        return code;
    o.meta = meta;
    if (!object_upload_begin(r->s->o.blobs, &u, &o, r->q->arena, &e))
        return s3_failed(r, &e);
    b = s3_xml();
    buf_str(&b, STR("<InitiateMultipartUploadResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"));
    xml_element(&b, "Bucket", r->bucket);
    xml_element(&b, "Key", r->key);
    xml_element(&b, "UploadId", u.id);
    buf_str(&b, STR("</InitiateMultipartUploadResult>"));
    s3_answer_xml(r, 200, &b);
    return S3_OK;
}

enum s3_code s3_upload_part_begin(struct s3_req *r)
{
    struct object_put_options o = {0};
    int64_t number = http_param_i64(r->q, "partNumber", 0);
    enum s3_code code = s3_content_md5(r, &o.content_md5);
    struct err e;

    find_upload(r);
    if (number < 1 || number > OBJECT_PARTS)
        return s3_error(r, S3_INVALID_ARGUMENT,
                        "Part number must be an integer between 1 and 10000, inclusive");
    if (code == S3_OK && !object_upload_part(r->s->o.blobs, &r->upload, (int)number, &o, &r->put, &e))
        code = s3_failed(r, &e);
    return code;
}

enum s3_code s3_upload_part(struct s3_req *r)
{
    return s3_put_commit(r);
}

enum s3_code s3_abort_upload(struct s3_req *r)
{
    struct err e;

    find_upload(r);
    if (!object_upload_abort(r->s->o.blobs, &r->upload, &e))
        return s3_failed(r, &e);
    http_answer(r->q, 204, NULL, STR(""));
    return S3_OK;
}

/* ---- complete ---- */

/* A checksum of the whole would have to be verified against bytes that came in parts. */
static bool wants_whole_sum(struct s3_req *r)
{
    for (int k = 0; k < CHECKSUM_KINDS; k++)
        if (http_header(r->q, checksum_header((enum checksum_kind)k)).p)
            return true;
    return false;
}

static enum s3_code complete_failed(struct s3_req *r, const struct err *e)
{
    if (e->kind == ERR_LIMIT)
        return s3_error(r, S3_ENTITY_TOO_SMALL, "%s", e->msg);
    if (e->kind == ERR_INVALID)
        return s3_error(r, S3_INVALID_PART, "%s", e->msg);
    return s3_failed(r, e);
}

enum s3_code s3_complete_upload(struct s3_req *r)
{
    struct object_part *parts = ARENA_ARRAY(r->q->arena, struct object_part, OBJECT_PARTS);
    struct object_put_options o = {0};
    struct object_complete c = {parts, 0, &o};
    struct object_info info;
    struct buf b;
    struct err e;
    enum s3_code code = s3_read_complete(r->q->arena, buf_view(&r->body.text), parts, &c.count);

    find_upload(r);
    if (code == S3_OK && wants_whole_sum(r))
        code = s3_error(r, S3_NOT_IMPLEMENTED, "tarn does not verify a checksum of all parts together");
    if (code == S3_OK)
        code = s3_write_conditions(r, &o);
    if (code != S3_OK)
        return code;
    if (!object_upload_complete(r->s->o.blobs, &r->upload, &c, r->q->arena, &info, &e))
        return complete_failed(r, &e);
    b = s3_xml();
    buf_str(&b, STR("<CompleteMultipartUploadResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"));
    buf_str(&b, STR("<Location>"));
    xml_text(&b, r->q->path);
    buf_str(&b, STR("</Location>"));
    xml_element(&b, "Bucket", r->bucket);
    xml_element(&b, "Key", r->key);
    buf_fmt(&b, "<ETag>&quot;%.*s&quot;</ETag></CompleteMultipartUploadResult>", STR_ARG(info.etag));
    s3_answer_xml(r, 200, &b);
    return S3_OK;
}

/* ---- lists ---- */

enum s3_code s3_list_parts(struct s3_req *r)
{
    int64_t marker = http_param_i64(r->q, "part-number-marker", 0),
            max = http_param_i64(r->q, "max-parts", 1000);
    struct object_part *parts;
    size_t n, from = 0, to;
    char date[UTC_TEXT];
    struct buf b;
    struct err e;

    find_upload(r);
    if (max < 0 || marker < 0)
        return S3_INVALID_ARGUMENT;
    if (!object_upload_parts(r->s->o.blobs, &r->upload, r->q->arena, &parts, &n, &e))
        return s3_failed(r, &e);
    while (from < n && parts[from].number <= marker)
        from++;
    to = n - from > (size_t)(max < 1000 ? max : 1000) ? from + (size_t)(max < 1000 ? max : 1000) : n;
    b = s3_xml();
    buf_str(&b, STR("<ListPartsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"));
    xml_element(&b, "Bucket", r->bucket);
    xml_element(&b, "Key", r->key);
    xml_element(&b, "UploadId", r->upload.id);
    buf_fmt(&b,
            "<PartNumberMarker>%lld</PartNumberMarker><MaxParts>%lld</MaxParts><IsTruncated>%s</IsTruncated>",
            (long long)marker, (long long)max, to < n ? "true" : "false");
    if (to < n && to > from)
        buf_fmt(&b, "<NextPartNumberMarker>%d</NextPartNumberMarker>", parts[to - 1].number);
    buf_str(&b, STR("<StorageClass>STANDARD</StorageClass>"));
    for (size_t i = from; i < to; i++) {
        buf_fmt(&b, "<Part><PartNumber>%d</PartNumber>", parts[i].number);
        xml_element(&b, "LastModified", str_of(utc_iso(parts[i].modified_us, 3, date)));
        buf_fmt(&b, "<ETag>&quot;%.*s&quot;</ETag><Size>%lld</Size></Part>", STR_ARG(parts[i].etag),
                (long long)parts[i].size_bytes);
    }
    buf_str(&b, STR("</ListPartsResult>"));
    s3_answer_xml(r, 200, &b);
    return S3_OK;
}

/* All that are under way, in one page: markers and delimiters are refused rather than ignored. */
enum s3_code s3_list_uploads(struct s3_req *r)
{
    static const char *const paging[] = {"key-marker", "upload-id-marker", "delimiter"};
    struct str prefix = http_param(r->q, "prefix");
    struct object_upload_info *list;
    char date[UTC_TEXT];
    struct buf b;
    struct err e;
    size_t n;

    for (size_t i = 0; i < ARRAY_LEN(paging); i++)
        if (http_param(r->q, paging[i]).n > 0)
            return s3_error(r, S3_NOT_IMPLEMENTED, "tarn lists uploads in one page, without %s", paging[i]);
    if (!object_upload_list(r->s->o.blobs, r->bucket, r->q->arena, &list, &n, &e))
        return s3_failed(r, &e);
    b = s3_xml();
    buf_str(&b, STR("<ListMultipartUploadsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"));
    xml_element(&b, "Bucket", r->bucket);
    xml_element(&b, "Prefix", prefix);
    buf_str(
        &b,
        STR("<KeyMarker/><UploadIdMarker/><MaxUploads>1000</MaxUploads><IsTruncated>false</IsTruncated>"));
    for (size_t i = 0; i < n; i++) {
        if (!str_starts(list[i].key, prefix))
            continue;
        buf_str(&b, STR("<Upload>"));
        xml_element(&b, "Key", list[i].key);
        xml_element(&b, "UploadId", list[i].id);
        buf_str(&b, STR("<StorageClass>STANDARD</StorageClass>"));
        xml_element(&b, "Initiated", str_of(utc_iso(list[i].started_us, 3, date)));
        buf_str(&b, STR("</Upload>"));
    }
    buf_str(&b, STR("</ListMultipartUploadsResult>"));
    s3_answer_xml(r, 200, &b);
    return S3_OK;
}
