/* How answers look, and what of a failed operation is told. */
#include "s3/s3_int.h"

#include "base/limits.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
    const char *code;
    int status;
    const char *message;
} errors[S3_CODES] = {
#define X(name, code, status, message) [S3_##name] = {code, status, message},
#include "s3/error.def"
#undef X
};

struct buf s3_xml(void)
{
    struct buf b = buf_make(LIMIT_HTTP_BODY);

    buf_str(&b, STR("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"));
    return b;
}

void s3_answer_xml(struct s3_req *r, int status, struct buf *xml)
{
    http_answer_buf(r->q, status, "application/xml", xml);
}

struct str s3_header(struct s3_req *r, const char *name)
{
    struct str v = http_header(r->q, name);

    return v.p ? str_trim(v) : v;
}

void s3_say(struct s3_req *r, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    r->why = arena_fmt(r->q->arena, "%s", text);
}

static enum s3_code not_found(struct s3_req *r)
{
    struct err e;
    bool there;

    if (!bucket_exists(r->s->o.blobs, r->bucket, &there, &e))
        return S3_INTERNAL;
    if (!there)
        return S3_NO_SUCH_BUCKET;
    return r->upload.id.p ? S3_NO_SUCH_UPLOAD : S3_NO_SUCH_KEY;
}

enum s3_code s3_failed(struct s3_req *r, const struct err *e)
{
    enum s3_code code;

    switch (e->kind) {
    case ERR_NOT_FOUND:
        return not_found(r);
    case ERR_CONFLICT:
        code = S3_PRECONDITION;
        break;
    case ERR_INVALID:
        code = S3_INVALID_ARGUMENT;
        break;
    case ERR_LIMIT:
        code = S3_METADATA_TOO_LARGE;
        break;
    case ERR_FULL:
        code = S3_STORAGE_FULL;
        break;
    case ERR_BUSY:
    case ERR_TIMEOUT:
        code = S3_SLOW_DOWN;
        break;
    case ERR_UNSUPPORTED:
        code = S3_NOT_IMPLEMENTED;
        break;
    default:
        code = S3_INTERNAL;
    }
    return s3_error(r, code, "%s", e->msg);
}

static void error_xml(struct s3_req *r, struct buf *b)
{
    buf_str(b, STR("<Error>"));
    xml_element(b, "Code", str_of(errors[r->code].code));
    xml_element(b, "Message", str_of(r->why ? r->why : errors[r->code].message));
    if (r->key.p)
        xml_element(b, "Key", r->key);
    if (r->bucket.p)
        xml_element(b, "BucketName", r->bucket);
    xml_element(b, "Resource", r->q->path);
    buf_fmt(b, "<RequestId>%016llX</RequestId></Error>", (unsigned long long)r->id);
}

void s3_answer_error(struct s3_req *r, bool refuse)
{
    int status = errors[r->code].status;
    struct buf b;

    if (r->code == S3_NOT_MODIFIED) {
        http_answer(r->q, status, NULL, STR(""));
        return;
    }
    b = s3_xml();
    error_xml(r, &b);
    if (refuse) {
        http_refuse(r->q, status, "application/xml", buf_view(&b));
        buf_fini(&b);
        r->refused = true;
    } else {
        s3_answer_xml(r, status, &b);
    }
}
