/* GetObject and HeadObject. */
#include "s3/http_rules.h"
#include "s3/s3_int.h"

#include "base/mem.h"

/* Parameters of a signed request that replace headers of the answer. */
static const struct {
    const char *param, *header;
} overrides[] = {
    {"response-content-type", "content-type"},
    {"response-content-language", "content-language"},
    {"response-expires", "expires"},
    {"response-cache-control", "cache-control"},
    {"response-content-disposition", "content-disposition"},
    {"response-content-encoding", "content-encoding"},
};

static struct str override_of(struct s3_req *r, struct str header)
{
    for (size_t i = 0; i < ARRAY_LEN(overrides); i++)
        if (str_is(header, overrides[i].header))
            return http_param(r->q, overrides[i].param);
    return STR_NULL;
}

static bool has_meta(const struct object_info *info, const char *name)
{
    for (size_t i = 0; i < info->meta_count; i++)
        if (str_is(info->meta[i].name, name))
            return true;
    return false;
}

/* A value of an answer's header may not end the header. */
static bool is_clean(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((uint8_t)s.p[i] < 32 && s.p[i] != '\t')
            return false;
    return true;
}

/* The object's headers; its type goes to *type. */
static enum s3_code set_headers(struct s3_req *r, const struct object_info *info, bool whole,
                                const char **type)
{
    bool sums = str_eq_nocase(s3_header(r, "x-amz-checksum-mode"), STR("ENABLED")) && whole;
    char date[HTTP_DATE];

    *type = "binary/octet-stream";
    for (size_t i = 0; i < info->meta_count; i++) {
        struct str name = info->meta[i].name, value = override_of(r, name);

        if (!value.p)
            value = info->meta[i].value;
        if (str_starts(name, STR("x-amz-checksum-")) && !sums)
            continue;
        if (!is_clean(value))
            return S3_INVALID_ARGUMENT;
        if (str_is(name, "content-type"))
            *type = arena_fmt(r->q->arena, "%.*s", STR_ARG(value));
        else
            http_set(r->q, name.p, value);
    }
    for (size_t i = 0; i < ARRAY_LEN(overrides); i++) {
        struct str value = http_param(r->q, overrides[i].param);

        if (!value.p || has_meta(info, overrides[i].header))
            continue;
        if (!is_clean(value))
            return S3_INVALID_ARGUMENT;
        if (str_is(str_of(overrides[i].header), "content-type"))
            *type = arena_fmt(r->q->arena, "%.*s", STR_ARG(value));
        else
            http_set(r->q, overrides[i].header, value);
    }
    s3_set_etag(r, info->etag);
    http_set(r->q, "Last-Modified", str_of(http_date(info->modified_us, date)));
    http_set(r->q, "Accept-Ranges", STR("bytes"));
    return S3_OK;
}

/* Conditions and range. */
static enum s3_code check(struct s3_req *r, const struct object_info *info, struct range *range)
{
    struct conditions c = {s3_header(r, "if-match"), s3_header(r, "if-none-match"),
                           s3_header(r, "if-modified-since"), s3_header(r, "if-unmodified-since")};
    struct str header = s3_header(r, "range"), if_range = s3_header(r, "if-range");
    enum s3_code code = conditions_check(&c, info->etag, info->modified_us);
    int64_t when;

    if (code == S3_NOT_MODIFIED)
        s3_set_etag(r, info->etag);
    if (code != S3_OK)
        return code;
    if (http_param(r->q, "partNumber").p)
        return s3_error(r, S3_NOT_IMPLEMENTED, "tarn does not implement reading one part of an object");
    if (if_range.p && !etag_listed(if_range, info->etag) &&
        !(http_date_read(if_range, &when) && info->modified_us / 1000000 == when / 1000000))
        header = STR_NULL;
    code = range_read(header, info->size_bytes, range);
    if (code == S3_INVALID_RANGE)
        http_set(r->q, "Content-Range",
                 str_of(arena_fmt(r->q->arena, "bytes */%lld", (long long)info->size_bytes)));
    if (range->given && code == S3_OK)
        http_set(r->q, "Content-Range",
                 str_of(arena_fmt(r->q->arena, "bytes %lld-%lld/%lld", (long long)range->at,
                                  (long long)(range->at + range->n - 1), (long long)info->size_bytes)));
    return code;
}

enum s3_code s3_head_object(struct s3_req *r)
{
    struct object_info info = {0};
    struct range range;
    const char *type = NULL;
    enum s3_code code;
    struct err e;

    if (!object_head(r->s->o.blobs, r->bucket, r->key, r->q->arena, &info, &e))
        return s3_failed(r, &e);
    code = check(r, &info, &range);
    if (code == S3_OK)
        code = set_headers(r, &info, !range.given, &type);
    if (code == S3_OK)
        http_answer_file(r->q, range.given ? 206 : 200, type, -1, range.at, range.n);
    return code;
}

enum s3_code s3_get_object(struct s3_req *r)
{
    struct object_info info = {0};
    struct object_get *g = NULL;
    struct range range;
    const char *type = NULL;
    enum s3_code code;
    struct err e;
    int fd = -1;

    if (!object_get_open(r->s->o.blobs, r->bucket, r->key, r->q->arena, &info, &g, &e))
        return s3_failed(r, &e);
    code = check(r, &info, &range);
    if (code == S3_OK)
        code = set_headers(r, &info, !range.given, &type);
    if (code == S3_OK) {
        fd = object_get_fd(g); // the bytes stay while it is open, whatever becomes of the object
        if (fd < 0)
            code = S3_SLOW_DOWN; // out of descriptors
    }
    object_get_close(g);
    if (code == S3_OK)
        http_answer_file(r->q, range.given ? 206 : 200, type, fd, range.at, range.n);
    return code;
}
