#include "object/remote.h"

#include "base/limits.h"
#include "base/mem.h"

/* ---- buckets ---- */

static bool remote_bucket_create(struct blobs *b, struct str name, struct err *e)
{
    struct remote *r = remote_of(b);
    struct remote_ask q = {.method = "PUT", .bucket = name, .body = STR("")};
    struct fetch_answer got;
    struct arena a = {0};
    bool ok;

    if (!str_is(str_of(r->region), "us-east-1"))
        q.body =
            str_of(arena_fmt(&a,
                             "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                             "<LocationConstraint>%s</LocationConstraint></CreateBucketConfiguration>",
                             r->region));
    ok = remote_ask(r, &q, &a, &got, e);
    arena_fini(&a);
    return ok;
}

static bool remote_bucket_exists(struct blobs *b, struct str name, bool *yes, struct err *e)
{
    struct remote_ask q = {.method = "HEAD", .bucket = name};
    struct fetch_answer got;
    struct arena a = {0};
    struct err why;

    *yes = remote_ask(remote_of(b), &q, &a, &got, &why);
    arena_fini(&a);
    if (*yes || why.kind == ERR_NOT_FOUND)
        return true;
    *e = why;
    return false;
}

static bool remote_bucket_delete(struct blobs *b, struct str name, struct err *e)
{
    struct remote_ask q = {.method = "DELETE", .bucket = name};
    struct fetch_answer got;
    struct arena a = {0};
    bool ok = remote_ask(remote_of(b), &q, &a, &got, e);

    arena_fini(&a);
    return ok;
}

/* ---- get, delete ---- */

static bool is_kept(struct str name)
{
    static const char *const kept[] = {"content-type",     "cache-control",    "content-disposition",
                                       "content-encoding", "content-language", "expires"};

    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        if (str_eq_nocase(name, str_of(kept[i])))
            return true;
    return name.n > 11 && str_eq_nocase(str_from(name.p, 11), STR("x-amz-meta-"));
}

static bool read_info(const struct fetch_answer *got, struct str key, struct arena *a,
                      struct object_info *info, struct err *e)
{
    struct str rest = got->head, line, name, etag = fetch_header(got, "etag");
    struct str length = fetch_header(got, "content-length");

    *info = (struct object_info){.key = arena_str(a, key)};
    if (!etag.p || !str_i64(length, &info->size_bytes))
        return err_set(e, ERR_REMOTE, "object %.*s came without ETag or Content-Length", STR_ARG(key));
    info->etag = etag.n >= 2 && etag.p[0] == '"' ? str_from(etag.p + 1, etag.n - 2) : etag;
    info->modified_us = remote_date(fetch_header(got, "last-modified"));
    info->meta = ARENA_ARRAY(a, struct object_meta, REMOTE_HEADERS);
    while (str_cut(&rest, '\n', &line))
        if (str_cut(&line, ':', &name) && is_kept(name) && info->meta_count < REMOTE_HEADERS) {
            char *lower = arena_copy(a, name.p, name.n);

            for (size_t i = 0; i < name.n; i++)
                if (lower[i] >= 'A' && lower[i] <= 'Z')
                    lower[i] = (char)(lower[i] + 32);
            info->meta[info->meta_count++] = (struct object_meta){str_from(lower, name.n), str_trim(line)};
        }
    return true;
}

static bool remote_head(struct blobs *b, struct str bucket, struct str key, struct arena *a,
                        struct object_info *info, struct err *e)
{
    struct remote_ask q = {.method = "HEAD", .bucket = bucket, .key = key};
    struct fetch_answer got;

    return remote_ask(remote_of(b), &q, a, &got, e) && read_info(&got, key, a, info, e);
}

struct remote_get {
    struct object_get base;
    struct remote *r;
    struct arena arena; // names
    struct str bucket, key;
    const char *etag; // quoted
    int64_t size_bytes;
    struct arena window_arena;
    struct str window; // bytes from window_at on
    int64_t window_at;
};

static bool remote_get_open(struct blobs *b, struct str bucket, struct str key, struct arena *a,
                            struct object_info *info, struct object_get **out, struct err *e)
{
    struct remote_get *g;

    if (!remote_head(b, bucket, key, a, info, e))
        return false;
    g = MEM_NEW(struct remote_get);
    g->base.ops = b->ops;
    g->r = remote_of(b);
    g->bucket = arena_str(&g->arena, bucket);
    g->key = arena_str(&g->arena, key);
    g->etag = arena_fmt(&g->arena, "\"%.*s\"", STR_ARG(info->etag));
    g->size_bytes = info->size_bytes;
    *out = &g->base;
    return true;
}

/* The window at `at`, of n bytes or somewhat more. */
static bool load_window(struct remote_get *g, size_t n, int64_t at, struct err *e)
{
    int64_t want = n < REMOTE_WINDOW ? REMOTE_WINDOW : (int64_t)n;
    struct fetch_header headers[2] = {{"If-Match", g->etag}};
    struct remote_ask q = {.method = "GET",
                           .bucket = g->bucket,
                           .key = g->key,
                           .headers = headers,
                           .header_count = 2,
                           .max_bytes = (size_t)want};
    struct fetch_answer got;

    if (want > g->size_bytes - at)
        want = g->size_bytes - at;
    arena_reset(&g->window_arena);
    g->window = STR("");
    headers[1] = (struct fetch_header){
        "Range", arena_fmt(&g->window_arena, "bytes=%lld-%lld", (long long)at, (long long)(at + want - 1))};
    if (!remote_ask(g->r, &q, &g->window_arena, &got, e))
        return false;
    if ((int64_t)got.body.n != want)
        return err_set(e, ERR_REMOTE, "object %.*s: %zu bytes came, %lld were asked for", STR_ARG(g->key),
                       got.body.n, (long long)want);
    g->window = got.body;
    g->window_at = at;
    return true;
}

static ssize_t remote_get_read(struct object_get *base, void *p, size_t n, int64_t at, struct err *e)
{
    struct remote_get *g = (struct remote_get *)base;
    size_t got = 0;

    if (at >= g->size_bytes)
        return 0;
    if ((int64_t)n > g->size_bytes - at)
        n = (size_t)(g->size_bytes - at);
    while (got < n) {
        int64_t from = at + (int64_t)got, past = from - g->window_at;
        size_t piece;

        if (past < 0 || past >= (int64_t)g->window.n) {
            if (!load_window(g, n - got < LIMIT_HTTP_BODY ? n - got : LIMIT_HTTP_BODY, from, e))
                return -1;
            past = 0;
        }
        piece = g->window.n - (size_t)past < n - got ? g->window.n - (size_t)past : n - got;
        memcpy((char *)p + got, g->window.p + past, piece);
        got += piece;
    }
    return (ssize_t)got;
}

static int remote_get_fd(struct object_get *g)
{
    (void)g;
    return -1;
}

static const char *remote_get_path(struct object_get *g)
{
    (void)g;
    return NULL;
}

static void remote_get_close(struct object_get *base)
{
    struct remote_get *g = (struct remote_get *)base;

    arena_fini(&g->arena);
    arena_fini(&g->window_arena);
    mem_free(g);
}

static bool remote_remove(struct blobs *b, struct str bucket, struct str key, struct err *e)
{
    struct remote_ask q = {.method = "DELETE", .bucket = bucket, .key = key};
    struct fetch_answer got;
    struct arena a = {0};
    bool ok = remote_ask(remote_of(b), &q, &a, &got, e);

    arena_fini(&a);
    return ok;
}

/* ---- open ---- */

static void remote_close(struct blobs *b)
{
    struct remote *r = remote_of(b);

    mem_free(r->scheme);
    mem_free(r->host);
    mem_free(r->region);
    mem_free(r->access_key);
    mem_free(r->secret_key);
    mem_free(r);
}

static const struct blob_ops remote_ops = {
    .close = remote_close,
    .bucket_create = remote_bucket_create,
    .bucket_exists = remote_bucket_exists,
    .bucket_delete = remote_bucket_delete,
    .bucket_list = remote_bucket_list,
    .put_begin = remote_put_begin,
    .put_write = remote_put_write,
    .put_meta = remote_put_meta,
    .put_commit = remote_put_commit,
    .put_abort = remote_put_abort,
    .put_file = remote_put_file,
    .head = remote_head,
    .get_open = remote_get_open,
    .get_read = remote_get_read,
    .get_fd = remote_get_fd,
    .get_path = remote_get_path,
    .get_close = remote_get_close,
    .list = remote_list,
    .remove = remote_remove,
    .upload_begin = remote_upload_begin,
    .upload_part = remote_upload_part,
    .upload_parts = remote_upload_parts,
    .upload_complete = remote_upload_complete,
    .upload_abort = remote_upload_abort,
    .upload_list = remote_upload_list,
};

bool object_open_remote(const struct object_remote *o, struct blobs **out, struct err *e)
{
    struct str url = str_of(o->url), scheme, host;
    const char *slashes = url.n > 0 ? memmem(url.p, url.n, "://", 3) : NULL;
    struct remote *r;

    if (!slashes || !o->region || !*o->region || !o->access_key || !o->secret_key)
        return err_set(e, ERR_INVALID, "a remote S3 needs a URL, a region and a key pair; the URL is %s",
                       o->url ? o->url : "missing");
    scheme = str_from(url.p, (size_t)(slashes - url.p));
    url = str_from(slashes + 3, url.n - scheme.n - 3);
    if (!str_cut(&url, '/', &host) || url.n > 0 || (!str_is(scheme, "http") && !str_is(scheme, "https")))
        return err_set(e, ERR_INVALID, "%s is not the URL of an S3: http://host:port or https://host",
                       o->url);
    r = MEM_NEW(struct remote);
    *r = (struct remote){
        .base.ops = &remote_ops,
        .scheme = str_dup(scheme),
        .host = str_dup(host),
        .region = mem_str(o->region),
        .access_key = mem_str(o->access_key),
        .secret_key = mem_str(o->secret_key),
        .path_style = o->path_style,
    };
    r->sign = (struct fetch_sign){r->region, "s3", r->access_key, r->secret_key};
    *out = &r->base;
    return true;
}
