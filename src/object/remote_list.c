/* What a remote S3 answers as XML lists. */
#include "base/limits.h"
#include "base/mem.h"
#include "base/utc.h"
#include "net/http.h"
#include "object/remote.h"

static struct str bare_etag(struct str s)
{
    return s.n >= 2 && s.p[0] == '"' ? str_from(s.p + 1, s.n - 2) : s;
}

static int64_t number(struct str s)
{
    int64_t v = 0;

    return str_i64(str_trim(s), &v) ? v : 0;
}

/* ---- dates: "2026-11-21T08:00:00.000Z" and "Sat, 21 Nov 2026 08:00:00 GMT"; 0 for anything else ---- */

static unsigned digits(struct str s, size_t at, size_t n)
{
    uint64_t v = 0;

    return s.n >= at + n && str_u64(str_from(s.p + at, n), &v) ? (unsigned)v : 0;
}

static int64_t iso_date(struct str s)
{
    struct utc t = {.year = digits(s, 0, 4),
                    .month = digits(s, 5, 2),
                    .day = digits(s, 8, 2),
                    .hour = digits(s, 11, 2),
                    .minute = digits(s, 14, 2),
                    .second = digits(s, 17, 2)};

    if (s.n > 23 && s.p[19] == '.')
        t.micro = digits(s, 20, 3) * 1000;
    return t.month >= 1 && t.month <= 12 && t.day >= 1 ? utc_micros(&t) : 0;
}

int64_t remote_date(struct str s)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const char *at = s.n == 29 ? memmem(months, sizeof months - 1, s.p + 8, 3) : NULL;
    struct utc t;

    if (!at)
        return 0;
    t = (struct utc){.year = digits(s, 12, 4),
                     .month = (unsigned)(at - months) / 3 + 1,
                     .day = digits(s, 5, 2),
                     .hour = digits(s, 17, 2),
                     .minute = digits(s, 20, 2),
                     .second = digits(s, 23, 2)};
    return t.day >= 1 ? utc_micros(&t) : 0;
}

/* ---- lists ---- */

/* An element that closes, of a list whose elements are structs: takes its text into *one. True: *one is whole. */
typedef bool list_element_fn(struct xml *x, void *one);

struct list {
    void *p; // in the arena
    size_t n;
};

/* One answer as a list of structs of `size` bytes, which begin as zeros. */
static bool ask_list(struct blobs *b, const struct remote_ask *q, list_element_fn *element, size_t size,
                     struct arena *a, struct list *out, struct err *e)
{
    struct fetch_answer got;
    uint8_t *all = NULL, *one = arena_alloc(a, size);
    size_t cap = 0;
    struct xml x;

    *out = (struct list){0};
    if (!remote_ask(remote_of(b), q, a, &got, e))
        return false;
    x = xml_from(a, got.body);
    while (xml_next(&x)) {
        if (x.kind == XML_OPEN || !element(&x, one))
            continue;
        all = mem_room(all, out->n, &cap, size);
        memcpy(all + out->n++ * size, one, size);
        memset(one, 0, size);
    }
    out->p = out->n > 0 ? arena_copy(a, all, out->n * size) : NULL;
    mem_free(all);
    return xml_ok(&x) || err_set(e, ERR_REMOTE, "the list is not whole XML");
}

static bool bucket_element(struct xml *x, void *one)
{
    struct object_bucket *bucket = one;

    if (xml_at(x, "ListAllMyBucketsResult/Buckets/Bucket/Name"))
        bucket->name = x->text;
    else if (xml_at(x, "ListAllMyBucketsResult/Buckets/Bucket/CreationDate"))
        bucket->created_us = iso_date(x->text);
    return xml_at(x, "ListAllMyBucketsResult/Buckets/Bucket");
}

bool remote_bucket_list(struct blobs *b, struct arena *a, struct object_bucket **out, size_t *count,
                        struct err *e)
{
    struct remote_ask q = {.method = "GET"};
    struct list list;
    bool ok = ask_list(b, &q, bucket_element, sizeof(struct object_bucket), a, &list, e);

    *out = list.p;
    *count = list.n;
    return ok || err_wrap(e, "buckets");
}

/* The last of the keys that begin with a prefix comes before this. */
static struct str past_prefix(struct arena *a, struct str prefix)
{
    return str_of(arena_fmt(a, "%.*s\xf4\x8f\xbf\xbf", STR_ARG(prefix)));
}

struct page {
    struct object_listing *out;
    struct object_info one;
    size_t object_cap, prefix_cap;
};

static void page_element(struct page *p, struct xml *x, struct arena *a)
{
    struct object_listing *l = p->out;

    if (xml_at(x, "ListBucketResult/Contents/Key"))
        p->one.key = http_decode(a, x->text, true);
    else if (xml_at(x, "ListBucketResult/Contents/Size"))
        p->one.size_bytes = number(x->text);
    else if (xml_at(x, "ListBucketResult/Contents/LastModified"))
        p->one.modified_us = iso_date(x->text);
    else if (xml_at(x, "ListBucketResult/Contents/ETag"))
        p->one.etag = bare_etag(x->text);
    else if (xml_at(x, "ListBucketResult/Contents")) {
        MEM_PUSH_ROOM(l->objects, l->object_count, p->object_cap);
        l->objects[l->object_count++] = p->one;
        p->one = (struct object_info){0};
    } else if (xml_at(x, "ListBucketResult/CommonPrefixes/Prefix")) {
        MEM_PUSH_ROOM(l->prefixes, l->prefix_count, p->prefix_cap);
        l->prefixes[l->prefix_count++] = http_decode(a, x->text, true);
    } else if (xml_at(x, "ListBucketResult/IsTruncated"))
        l->more = str_is(x->text, "true");
}

static const char *list_query(const struct object_list_options *o, struct arena *a)
{
    struct buf b = buf_make(LIMIT_HTTP_HEAD);
    const char *text;

    if (o->delimiter.n > 0)
        buf_fmt(&b, "delimiter=%s&", remote_encode(a, o->delimiter));
    buf_fmt(&b, "encoding-type=url&list-type=2&max-keys=%d", o->max);
    if (o->prefix.n > 0)
        buf_fmt(&b, "&prefix=%s", remote_encode(a, o->prefix));
    if (o->after.n > 0)
        buf_fmt(&b, "&start-after=%s", remote_encode(a, o->after));
    text = arena_str(a, buf_view(&b)).p;
    buf_fini(&b);
    return text;
}

bool remote_list(struct blobs *b, struct str bucket, const struct object_list_options *o, struct arena *a,
                 struct object_listing *out, struct err *e)
{
    struct remote_ask q = {.method = "GET", .bucket = bucket, .query = list_query(o, a)};
    struct page p = {.out = out};
    struct fetch_answer got;
    struct object_info *objects;
    struct str *prefixes;
    struct xml x;

    *out = (struct object_listing){0};
    if (!remote_ask(remote_of(b), &q, a, &got, e))
        return false;
    x = xml_from(a, got.body);
    while (xml_next(&x))
        if (x.kind == XML_CLOSE)
            page_element(&p, &x, a);
    objects = out->objects;
    prefixes = out->prefixes;
    out->objects = out->object_count > 0 ? arena_copy(a, objects, out->object_count * sizeof *objects) : NULL;
    out->prefixes =
        out->prefix_count > 0 ? arena_copy(a, prefixes, out->prefix_count * sizeof *prefixes) : NULL;
    mem_free(objects);
    mem_free(prefixes);
    if (out->object_count > 0)
        out->next = out->objects[out->object_count - 1].key;
    if (out->prefix_count > 0) {
        struct str past = past_prefix(a, out->prefixes[out->prefix_count - 1]);

        out->next = out->next.p && str_cmp(out->next, past) > 0 ? out->next : past;
    }
    return xml_ok(&x) || err_set(e, ERR_REMOTE, "the list of bucket %.*s is not whole XML", STR_ARG(bucket));
}

bool remote_upload_parts(struct blobs *b, const struct object_upload *u, struct arena *a,
                         struct object_part **parts, size_t *count, struct err *e)
{
    struct object_part *list = NULL, one = {0};
    struct fetch_answer got;
    size_t n = 0, cap = 0;
    bool more = true, ok = true;

    for (int marker = 0; ok && more; marker = n > 0 ? list[n - 1].number : 0) {
        struct remote_ask q = {
            .method = "GET",
            .bucket = u->bucket,
            .key = u->key,
            .query = arena_fmt(a, "part-number-marker=%d&uploadId=%s", marker, remote_encode(a, u->id))};
        struct xml x;

        more = false;
        ok = remote_ask(remote_of(b), &q, a, &got, e);
        x = xml_from(a, ok ? got.body : STR("<a/>"));
        while (xml_next(&x)) {
            if (x.kind == XML_OPEN)
                continue;
            if (xml_at(&x, "ListPartsResult/Part/PartNumber"))
                one.number = (int)number(x.text);
            else if (xml_at(&x, "ListPartsResult/Part/ETag"))
                one.etag = bare_etag(x.text);
            else if (xml_at(&x, "ListPartsResult/Part/Size"))
                one.size_bytes = number(x.text);
            else if (xml_at(&x, "ListPartsResult/Part/LastModified"))
                one.modified_us = iso_date(x.text);
            else if (xml_at(&x, "ListPartsResult/IsTruncated"))
                more = str_is(x.text, "true");
            else if (xml_at(&x, "ListPartsResult/Part")) {
                MEM_PUSH_ROOM(list, n, cap);
                list[n++] = one;
            }
        }
        if (ok && !xml_ok(&x))
            ok = err_set(e, ERR_REMOTE, "the list of parts is not whole XML");
    }
    *parts = n > 0 ? arena_copy(a, list, n * sizeof *list) : NULL;
    *count = n;
    mem_free(list);
    return ok;
}

static bool upload_element(struct xml *x, void *one)
{
    struct object_upload_info *upload = one;

    if (xml_at(x, "ListMultipartUploadsResult/Upload/Key"))
        upload->key = x->text;
    else if (xml_at(x, "ListMultipartUploadsResult/Upload/UploadId"))
        upload->id = x->text;
    else if (xml_at(x, "ListMultipartUploadsResult/Upload/Initiated"))
        upload->started_us = iso_date(x->text);
    return xml_at(x, "ListMultipartUploadsResult/Upload");
}

bool remote_upload_list(struct blobs *b, struct str bucket, struct arena *a, struct object_upload_info **out,
                        size_t *count, struct err *e)
{
    struct remote_ask q = {.method = "GET", .bucket = bucket, .query = "uploads="};
    struct list list;
    bool ok = ask_list(b, &q, upload_element, sizeof(struct object_upload_info), a, &list, e);

    *out = list.p;
    *count = list.n;
    return ok || err_wrap(e, "uploads of bucket %.*s", STR_ARG(bucket));
}
