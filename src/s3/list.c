/* ListObjects, versions 1 and 2. */
#include "s3/s3_int.h"

#include "base/limits.h"
#include "base/utc.h"

enum { LIST_MAX = 1000 };

struct listing {
    struct s3_req *r;
    struct object_list_options o;
    struct object_listing out;
    bool v2, url, owner;
    int64_t max; // as asked for
    struct str marker, token, start_after;
};

/* Keys as the client wants them: as they are, or percent-encoded with a blank as +. */
static void key_text(struct listing *l, struct buf *b, struct str s)
{
    struct buf enc;

    if (!l->url) {
        xml_text(b, s);
        return;
    }
    enc = buf_make(LIMIT_HTTP_HEAD);
    http_encode(&enc, s, true);
    for (size_t i = 0; i < enc.n; i++) {
        if (enc.n - i >= 3 && memcmp(enc.p + i, "%20", 3) == 0) {
            buf_u8(b, '+');
            i += 2;
        } else {
            buf_u8(b, enc.p[i]);
        }
    }
    buf_fini(&enc);
}

static void key_element(struct listing *l, struct buf *b, const char *name, struct str s)
{
    buf_fmt(b, "<%s>", name);
    key_text(l, b, s);
    buf_fmt(b, "</%s>", name);
}

/* A continuation token is the hex of the key to go on after. */
static enum s3_code read_token(struct s3_req *r, struct str token, struct str *key)
{
    char *p = arena_alloc(r->q->arena, token.n / 2 + 1);

    for (size_t i = 0; i < token.n; i++) {
        char c = token.p[i];
        int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

        if (v < 0)
            return s3_error(r, S3_INVALID_ARGUMENT, "The continuation token provided is incorrect");
        p[i / 2] = (char)((uint8_t)p[i / 2] << 4 | v);
    }
    *key = str_from(p, token.n / 2);
    return token.n > 0 && token.n % 2 == 0 && token.n / 2 <= LIMIT_KEY
               ? S3_OK
               : s3_error(r, S3_INVALID_ARGUMENT, "The continuation token provided is incorrect");
}

static enum s3_code read_options(struct listing *l)
{
    struct http_req *q = l->r->q;
    struct str encoding = http_param(q, "encoding-type"), max = http_param(q, "max-keys");

    l->v2 = str_is(http_param(q, "list-type"), "2");
    l->owner = !l->v2 || str_is(http_param(q, "fetch-owner"), "true");
    l->o.prefix = http_param(q, "prefix");
    l->o.delimiter = http_param(q, "delimiter");
    l->marker = http_param(q, "marker");
    l->token = http_param(q, "continuation-token");
    l->start_after = http_param(q, "start-after");
    l->max = LIST_MAX;
    if (max.p && max.n > 0 && (!str_i64(max, &l->max) || l->max < 0))
        return s3_error(l->r, S3_INVALID_ARGUMENT,
                        "Argument max-keys must be an integer between 0 and 2147483647");
    l->o.max = l->max > LIST_MAX ? LIST_MAX : (int)l->max;
    if (encoding.p && !str_is(encoding, "url"))
        return s3_error(l->r, S3_INVALID_ARGUMENT, "Invalid Encoding Method specified in Request");
    l->url = encoding.p != NULL;
    l->o.after = l->v2 ? l->start_after : l->marker;
    if (l->v2 && l->token.p)
        return read_token(l->r, l->token, &l->o.after);
    return S3_OK;
}

static void list_head(struct listing *l, struct buf *b)
{
    buf_str(b, STR("<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"));
    xml_element(b, "Name", l->r->bucket);
    key_element(l, b, "Prefix", l->o.prefix);
    if (l->o.delimiter.n > 0)
        key_element(l, b, "Delimiter", l->o.delimiter);
    buf_fmt(b, "<MaxKeys>%lld</MaxKeys><IsTruncated>%s</IsTruncated>", (long long)l->max,
            l->out.more ? "true" : "false");
    if (l->url)
        buf_str(b, STR("<EncodingType>url</EncodingType>"));
    if (!l->v2) {
        key_element(l, b, "Marker", l->marker);
        if (l->out.more)
            key_element(l, b, "NextMarker", l->out.next);
        return;
    }
    buf_fmt(b, "<KeyCount>%zu</KeyCount>", l->out.object_count + l->out.prefix_count);
    if (l->start_after.p)
        key_element(l, b, "StartAfter", l->start_after);
    if (l->token.p)
        xml_element(b, "ContinuationToken", l->token);
    if (l->out.more) {
        buf_str(b, STR("<NextContinuationToken>"));
        buf_hex(b, l->out.next.p, l->out.next.n);
        buf_str(b, STR("</NextContinuationToken>"));
    }
}

enum s3_code s3_list_objects(struct s3_req *r)
{
    struct listing l = {.r = r};
    enum s3_code code = read_options(&l);
    char date[UTC_TEXT];
    struct buf b;
    struct err e;
    bool none = l.o.max == 0; // a question about the bucket alone

    if (code != S3_OK)
        return code;
    l.o.max = none ? 1 : l.o.max;
    if (!object_list(r->s->o.blobs, r->bucket, &l.o, r->q->arena, &l.out, &e))
        return s3_failed(r, &e);
    if (none)
        l.out = (struct object_listing){0};
    b = s3_xml();
    list_head(&l, &b);
    for (size_t i = 0; i < l.out.object_count; i++) {
        const struct object_info *o = &l.out.objects[i];

        buf_str(&b, STR("<Contents>"));
        key_element(&l, &b, "Key", o->key);
        xml_element(&b, "LastModified", str_of(utc_iso(o->modified_us, 3, date)));
        buf_fmt(&b, "<ETag>&quot;%.*s&quot;</ETag><Size>%lld</Size>", STR_ARG(o->etag),
                (long long)o->size_bytes);
        if (l.owner)
            buf_str(&b, STR("<Owner><ID>tarn</ID><DisplayName>tarn</DisplayName></Owner>"));
        buf_str(&b, STR("<StorageClass>STANDARD</StorageClass></Contents>"));
    }
    for (size_t i = 0; i < l.out.prefix_count; i++) {
        buf_str(&b, STR("<CommonPrefixes>"));
        key_element(&l, &b, "Prefix", l.out.prefixes[i]);
        buf_str(&b, STR("</CommonPrefixes>"));
    }
    buf_str(&b, STR("</ListBucketResult>"));
    s3_answer_xml(r, 200, &b);
    return S3_OK;
}
