/* Putting to a remote S3: at once when it is small, in parts when it is not. */
#include "base/limits.h"
#include "base/mem.h"
#include "object/remote.h"
#include "os/os.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>

struct remote_put {
    struct object_put base;
    struct remote *r;
    struct arena arena;
    struct object_upload upload; // bucket and key; id when there is an upload
    bool part;                   // it is one part of someone's upload
    int number;                  // of the part to be sent next
    struct buf bytes;            // not sent yet
    int64_t size_bytes;
    EVP_MD_CTX *md5;
    struct object_meta *meta;
    size_t meta_count, meta_cap;
    struct object_part *parts; // sent
    size_t part_count, part_cap;
    bool only_if_absent;
    struct str only_if_etag, content_md5;
};

static struct remote_put *put_of(struct object_put *p)
{
    return (struct remote_put *)p;
}

static void put_free(struct remote_put *p)
{
    EVP_MD_CTX_free(p->md5);
    buf_fini(&p->bytes);
    mem_free(p->meta);
    mem_free(p->parts);
    arena_fini(&p->arena);
    mem_free(p);
}

bool remote_put_begin(struct blobs *b, struct str bucket, struct str key, const struct object_put_options *o,
                      struct object_put **out, struct err *e)
{
    struct remote_put *p = MEM_NEW(struct remote_put);

    p->base.ops = b->ops;
    p->r = remote_of(b);
    p->bytes = buf_make(REMOTE_PART);
    p->number = 1;
    p->md5 = EVP_MD_CTX_new();
    if (!p->md5 || EVP_DigestInit_ex(p->md5, EVP_md5(), NULL) != 1) {
        put_free(p);
        return err_set(e, ERR_UNSUPPORTED, "OpenSSL has no MD5 here, which ETags of objects need");
    }
    p->upload.bucket = arena_str(&p->arena, bucket);
    p->upload.key = arena_str(&p->arena, key);
    for (size_t i = 0; o && i < o->meta_count; i++)
        remote_put_meta(&p->base, o->meta[i].name, o->meta[i].value);
    if (o) {
        p->only_if_absent = o->only_if_absent;
        p->only_if_etag = arena_str(&p->arena, o->only_if_etag);
        p->content_md5 = arena_str(&p->arena, o->content_md5);
    }
    *out = &p->base;
    return true;
}

void remote_put_meta(struct object_put *put, struct str name, struct str value)
{
    struct remote_put *p = put_of(put);

    MEM_PUSH_ROOM(p->meta, p->meta_count, p->meta_cap);
    p->meta[p->meta_count++] = (struct object_meta){arena_str(&p->arena, name), arena_str(&p->arena, value)};
}

/* Sends what is gathered as the next part, beginning the upload with the first. */
static bool send_part(struct remote_put *p, struct err *e)
{
    struct object_put_options o = {.meta = p->meta, .meta_count = p->meta_count};
    struct remote_ask q = {
        .method = "PUT", .bucket = p->upload.bucket, .key = p->upload.key, .body = buf_view(&p->bytes)};
    struct fetch_answer got;
    struct arena a = {0};
    struct str etag;
    bool ok = p->upload.id.p || remote_upload_begin(&p->r->base, &p->upload, &o, &p->arena, e);

    if (ok) {
        q.query = arena_fmt(&a, "partNumber=%d&uploadId=%s", p->number, remote_encode(&a, p->upload.id));
        ok = remote_ask(p->r, &q, &a, &got, e);
    }
    if (ok) {
        etag = arena_str(&p->arena, fetch_header(&got, "etag"));
        MEM_PUSH_ROOM(p->parts, p->part_count, p->part_cap);
        p->parts[p->part_count++] =
            (struct object_part){.number = p->number, .etag = etag, .size_bytes = (int64_t)p->bytes.n};
        p->number++;
        buf_reset(&p->bytes);
    }
    arena_fini(&a);
    return ok;
}

bool remote_put_write(struct object_put *put, struct str bytes, struct err *e)
{
    struct remote_put *p = put_of(put);

    (void)EVP_DigestUpdate(p->md5, bytes.p, bytes.n);
    p->size_bytes += (int64_t)bytes.n;
    while (bytes.n > 0) {
        size_t room = REMOTE_PART - p->bytes.n, n = bytes.n < room ? bytes.n : room;

        if (room == 0) {
            if (p->part)
                return err_set(e, ERR_LIMIT, "a part of a remote upload can have %d bytes here", REMOTE_PART);
            if (!send_part(p, e))
                return false;
            continue;
        }
        buf_put(&p->bytes, bytes.p, n);
        bytes = str_from(bytes.p + n, bytes.n - n);
    }
    return true;
}

static size_t condition_headers(bool only_if_absent, struct str only_if_etag, struct arena *a,
                                struct fetch_header *to)
{
    size_t n = 0;

    if (only_if_absent)
        to[n++] = (struct fetch_header){"If-None-Match", "*"};
    if (only_if_etag.p)
        to[n++] = (struct fetch_header){
            "If-Match", str_is(only_if_etag, "*") ? "*" : arena_fmt(a, "\"%.*s\"", STR_ARG(only_if_etag))};
    return n;
}

static size_t meta_headers(const struct object_meta *meta, size_t count, struct arena *a,
                           struct fetch_header *to)
{
    size_t n = 0;

    for (size_t i = 0; i < count && n < REMOTE_HEADERS - 2; i++)
        to[n++] = (struct fetch_header){arena_fmt(a, "%.*s", STR_ARG(meta[i].name)),
                                        arena_fmt(a, "%.*s", STR_ARG(meta[i].value))};
    return n;
}

static struct str bare_etag(struct str s)
{
    return s.n >= 2 && s.p[0] == '"' ? str_from(s.p + 1, s.n - 2) : s;
}

/* All in one request: an object, or a part of one. */
static bool send_whole(struct remote_put *p, struct arena *a, struct str *etag, struct err *e)
{
    struct fetch_header headers[REMOTE_HEADERS];
    struct remote_ask q = {.method = "PUT",
                           .bucket = p->upload.bucket,
                           .key = p->upload.key,
                           .body = buf_view(&p->bytes),
                           .headers = headers};
    struct fetch_answer got;

    if (p->part) {
        q.query = arena_fmt(a, "partNumber=%d&uploadId=%s", p->number, remote_encode(a, p->upload.id));
    } else {
        q.header_count = meta_headers(p->meta, p->meta_count, a, headers);
        q.header_count += condition_headers(p->only_if_absent, p->only_if_etag, a, headers + q.header_count);
    }
    if (!remote_ask(p->r, &q, a, &got, e))
        return false;
    *etag = bare_etag(fetch_header(&got, "etag"));
    return true;
}

static bool finish(struct remote_put *p, struct arena *a, struct object_info *info, struct err *e)
{
    struct object_put_options o = {.only_if_absent = p->only_if_absent, .only_if_etag = p->only_if_etag};
    uint8_t digest[EVP_MAX_MD_SIZE];
    struct object_complete c = {.o = &o};

    (void)EVP_DigestFinal_ex(p->md5, digest, NULL);
    if (p->content_md5.p && !str_eq(p->content_md5, str_from(digest, 16)))
        return err_set(e, ERR_INVALID, "the content's MD5 is not the one that was announced");
    *info = (struct object_info){.key = arena_str(a, p->upload.key), .size_bytes = p->size_bytes};
    if (!p->upload.id.p || p->part)
        return send_whole(p, a, &info->etag, e);
    if (p->bytes.n > 0 && !send_part(p, e))
        return false;
    c.parts = p->parts;
    c.count = p->part_count;
    if (!remote_upload_complete(&p->r->base, &p->upload, &c, a, info, e))
        return false;
    info->size_bytes = p->size_bytes;
    return true;
}

bool remote_put_commit(struct object_put *put, struct arena *a, struct object_info *info, struct err *e)
{
    struct remote_put *p = put_of(put);
    bool ok = finish(p, a, info, e);

    if (ok)
        put_free(p);
    else
        remote_put_abort(put);
    return ok;
}

void remote_put_abort(struct object_put *put)
{
    struct remote_put *p = put_of(put);
    struct err e;

    /* An upload that cannot be ended now is the remote's to clear away: S3 has lifecycle rules for that. */
    if (p->upload.id.p && !p->part && !remote_upload_abort(&p->r->base, &p->upload, &e))
        p->upload.id = STR_NULL;
    put_free(p);
}

bool remote_put_file(struct blobs *b, struct str bucket, struct str key, const char *path,
                     int64_t *size_bytes, struct err *e)
{
    struct os *os = os_real(); // what DuckDB wrote is on the real disk
    int fd = os_open(os, path, O_RDONLY, e);
    struct object_info info;
    struct object_put *p;
    struct arena a = {0};
    char *piece;
    ssize_t got;
    bool ok = true;
    int64_t at = 0;

    if (fd < 0 || !remote_put_begin(b, bucket, key, NULL, &p, e)) {
        os_close(os, fd);
        return false;
    }
    piece = mem_alloc(REMOTE_WINDOW);
    while (ok && (got = os_read_some(os, fd, piece, REMOTE_WINDOW, at, e)) != 0) {
        ok = got > 0 && remote_put_write(p, str_from(piece, (size_t)got), e);
        at += got;
    }
    mem_free(piece);
    os_close(os, fd);
    if (!ok) {
        remote_put_abort(p);
        return false;
    }
    ok = remote_put_commit(p, &a, &info, e);
    arena_fini(&a);
    if (ok && os->unlink(os, path) != 0)
        return err_sys(e, "remove %s", path);
    *size_bytes = at;
    return ok;
}

/* ---- uploads ---- */

bool remote_upload_begin(struct blobs *b, struct object_upload *u, const struct object_put_options *o,
                         struct arena *a, struct err *e)
{
    struct fetch_header headers[REMOTE_HEADERS];
    struct remote_ask q = {.method = "POST",
                           .bucket = u->bucket,
                           .key = u->key,
                           .query = "uploads=",
                           .body = STR(""),
                           .headers = headers};
    struct fetch_answer got;
    struct xml x;

    q.header_count = o ? meta_headers(o->meta, o->meta_count, a, headers) : 0;
    if (!remote_ask(remote_of(b), &q, a, &got, e))
        return false;
    x = xml_from(a, got.body);
    while (xml_next(&x))
        if (x.kind == XML_CLOSE && xml_at(&x, "InitiateMultipartUploadResult/UploadId"))
            u->id = x.text;
    return u->id.n > 0 || err_set(e, ERR_REMOTE, "a multipart upload began without an id");
}

bool remote_upload_part(struct blobs *b, const struct object_upload *u, int number,
                        const struct object_put_options *o, struct object_put **out, struct err *e)
{
    struct object_put_options only = {.content_md5 = o ? o->content_md5 : STR_NULL};
    struct remote_put *p;

    if (!remote_put_begin(b, u->bucket, u->key, &only, out, e))
        return false;
    p = put_of(*out);
    p->upload.id = arena_str(&p->arena, u->id);
    p->part = true;
    p->number = number;
    return true;
}

bool remote_upload_complete(struct blobs *b, const struct object_upload *u, const struct object_complete *c,
                            struct arena *a, struct object_info *info, struct err *e)
{
    struct fetch_header headers[2];
    struct remote_ask q = {.method = "POST",
                           .bucket = u->bucket,
                           .key = u->key,
                           .query = arena_fmt(a, "uploadId=%s", remote_encode(a, u->id)),
                           .headers = headers};
    struct buf body = buf_make(LIMIT_HTTP_BODY);
    struct fetch_answer got;
    struct xml x;
    bool ok;

    if (c->o)
        q.header_count = condition_headers(c->o->only_if_absent, c->o->only_if_etag, a, headers);
    buf_str(&body, STR("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"));
    for (size_t i = 0; i < c->count; i++) {
        buf_fmt(&body, "<Part><PartNumber>%d</PartNumber>", c->parts[i].number);
        xml_element(&body, "ETag", c->parts[i].etag);
        buf_str(&body, STR("</Part>"));
    }
    buf_str(&body, STR("</CompleteMultipartUpload>"));
    q.body = buf_view(&body);
    ok = remote_ask(remote_of(b), &q, a, &got, e);
    buf_fini(&body);
    if (!ok)
        return false;
    *info = (struct object_info){.key = arena_str(a, u->key)};
    x = xml_from(a, got.body);
    while (xml_next(&x))
        if (x.kind == XML_CLOSE && xml_at(&x, "CompleteMultipartUploadResult/ETag"))
            info->etag = bare_etag(x.text);
    /* S3 may answer 200 and tell of a failure in the body, because it answers before it is done. */
    return info->etag.n > 0 || err_set(e, ERR_REMOTE, "an upload was not completed: %.*s",
                                       (int)(got.body.n < 200 ? got.body.n : 200), got.body.p);
}

bool remote_upload_abort(struct blobs *b, const struct object_upload *u, struct err *e)
{
    struct arena a = {0};
    struct remote_ask q = {.method = "DELETE",
                           .bucket = u->bucket,
                           .key = u->key,
                           .query = arena_fmt(&a, "uploadId=%s", remote_encode(&a, u->id))};
    struct fetch_answer got;
    bool ok = remote_ask(remote_of(b), &q, &a, &got, e);

    arena_fini(&a);
    return ok;
}
