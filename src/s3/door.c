#include "s3/s3_int.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/utc.h"
#include "os/os.h"

#include <assert.h>

enum { SKEW_S = 15 * 60 };
#define READ_ANYWAY \
    ((int64_t)MIB) // a body not longer than this is read to its end after an error: the connection stays

static const struct s3_op ops[] = {
#define X(name, method, level, param, header, body, begin, run) \
    {name, method, level, param, header, body, begin, run},
#include "s3/ops.def"
#undef X
};

/* Parts of S3 that tarn does not have. Naming one in the query is not answered as if it were not there. */
static const char *const absent[] = {
    "accelerate",
    "acl",
    "analytics",
    "attributes",
    "cors",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "tagging",
    "torrent",
    "versionId",
    "versions",
    "website",
    "renameObject",
    "session",
};

/* ---- what is asked ---- */

/* Bucket and key, from the host name and the path. */
static enum s3_code find_target(struct s3_req *r)
{
    struct http_req *q = r->q;
    struct str host = s3_header(r, "host"), path = q->path, domain = str_of(r->s->domain);
    ptrdiff_t colon = str_find(host, ':');
    ptrdiff_t slash;

    if (colon >= 0)
        host.n = (size_t)colon;
    if (!str_starts(path, STR("/")))
        return S3_INVALID_URI;
    path = str_from(path.p + 1, path.n - 1);
    if (host.n > domain.n + 1 && host.p[host.n - domain.n - 1] == '.' &&
        str_eq_nocase(str_from(host.p + host.n - domain.n, domain.n), domain)) {
        r->bucket = str_from(host.p, host.n - domain.n - 1);
    } else {
        slash = str_find(path, '/');
        r->bucket = http_decode(q->arena, slash < 0 ? path : str_from(path.p, (size_t)slash), false);
        path = slash < 0 ? STR("") : str_from(path.p + slash + 1, path.n - (size_t)slash - 1);
        if (!r->bucket.p)
            return S3_INVALID_URI;
        if (r->bucket.n == 0)
            r->bucket = STR_NULL;
    }
    r->key = http_decode(q->arena, path, false);
    if (!r->key.p)
        return S3_INVALID_URI;
    if (r->key.n > LIMIT_KEY)
        return S3_KEY_TOO_LONG;
    if (r->key.n == 0)
        r->key = STR_NULL;
    return S3_OK;
}

static enum s3_code find_op(struct s3_req *r)
{
    enum s3_level level = r->key.p ? S3_OBJECT : r->bucket.p ? S3_BUCKET : S3_SERVICE;

    for (size_t i = 0; i < ARRAY_LEN(absent); i++)
        if (http_param(r->q, absent[i]).p)
            return s3_error(r, S3_NOT_IMPLEMENTED, "tarn does not implement ?%s", absent[i]);
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        const struct s3_op *op = &ops[i];

        if (op->level == level && str_is(r->q->method, op->method) &&
            (!op->param || http_param(r->q, op->param).p) &&
            (!op->header || http_header(r->q, op->header).p)) {
            r->op = op;
            return S3_OK;
        }
    }
    return S3_METHOD_NOT_ALLOWED;
}

static enum s3_code authenticate(struct s3_req *r)
{
    struct http_req *q = r->q;
    struct sigv4_request signed_by = {q->method, q->path, q->query, q->headers, q->header_count};
    enum s3_code code = sigv4_parse(&signed_by, q->arena, &r->auth);
    int64_t now = r->s->o.os->wall_us(r->s->o.os), skew = (int64_t)SKEW_S * UTC_SECOND;

    if (code != S3_OK)
        return code;
    if (!str_is(r->auth.access_key, r->s->access_key))
        return S3_INVALID_ACCESS_KEY;
    if (r->auth.presigned ? r->auth.at_us > now + skew
                          : r->auth.at_us > now + skew || r->auth.at_us < now - skew)
        return S3_TIME_SKEWED;
    if (r->auth.presigned && now > r->auth.at_us + r->auth.expires_s * UTC_SECOND)
        return S3_EXPIRED;
    return sigv4_verify(&signed_by, &r->auth, str_of(r->s->secret_key), q->arena);
}

/* ---- from the first byte to the last ---- */

/* Bytes of a body after an error are read and dropped when there are few, else the connection ends with the answer. */
static void fail(struct s3_req *r, enum s3_code code)
{
    int64_t bytes = r->q->body_bytes;

    r->code = code;
    if (bytes < 0 || bytes > READ_ANYWAY)
        s3_answer_error(r, true);
}

static void on_body(struct http_req *q, struct str piece)
{
    struct s3_req *r = q->user;
    enum s3_code code;

    if (r->code != S3_OK)
        return;
    code = s3_body_begin(r);
    if (code == S3_OK)
        code = s3_body_feed(r, piece);
    if (code != S3_OK)
        fail(r, code);
}

static void on_run(struct http_req *q)
{
    struct s3_req *r = q->user;

    if (r->code == S3_OK)
        r->code = s3_body_begin(r);
    if (r->code == S3_OK)
        r->code = s3_body_end(r);
    if (r->code == S3_OK)
        r->code = r->op->run(r);
    if (r->code != S3_OK && !r->refused)
        s3_answer_error(r, false);
}

static void on_gone(struct http_req *q)
{
    struct s3_req *r = q->user;

    s3_body_fini(r);
    object_put_abort(r->put);
}

static const struct http_route *on_head(struct http_req *q, void *arg)
{
    static const struct http_route route = {.run = on_run, .body = on_body, .gone = on_gone};
    struct s3 *s = arg;
    struct s3_req *r = ARENA_NEW(q->arena, struct s3_req);
    enum s3_code code;

    *r = (struct s3_req){.s = s, .q = q, .id = __atomic_add_fetch(&s->requests, 1, __ATOMIC_RELAXED)};
    q->user = r;
    http_set(q, "x-amz-request-id", str_of(arena_fmt(q->arena, "%016llX", (unsigned long long)r->id)));
    code = find_target(r);
    if (code == S3_OK)
        code = authenticate(r);
    if (code == S3_OK)
        code = find_op(r);
    if (code == S3_OK)
        code = s3_body_check(r);
    if (code != S3_OK)
        fail(r, code);
    return &route;
}

/* ---- start ---- */

bool s3_start(const struct s3_options *o, struct s3 **out, struct err *e)
{
    struct s3 *s;

    if (!o->access_key || !*o->access_key || !o->secret_key || !*o->secret_key)
        return err_set(e, ERR_INVALID, "the S3 door needs an access key and a secret key");
    s = MEM_NEW(struct s3);
    s->o = *o;
    s->access_key = mem_str(o->access_key);
    s->secret_key = mem_str(o->secret_key);
    s->region = mem_str(o->region ? o->region : "us-east-1");
    s->domain = mem_str(o->domain ? o->domain : "localhost");
    s->server = (struct http_server){.name = "s3", .head = on_head, .arg = s};
    if (s->o.put_max_bytes == 0)
        s->o.put_max_bytes = (int64_t)5 * 1024 * 1024 * 1024;
    if (!http_listen(o->net, o->host, o->port, o->tls, &s->server, &s->port, e)) {
        s3_free(s);
        return err_wrap(e, "S3");
    }
    *out = s;
    return true;
}

int s3_port(const struct s3 *s)
{
    return s->port;
}

void s3_free(struct s3 *s)
{
    if (!s)
        return;
    mem_free(s->access_key);
    mem_free(s->secret_key);
    mem_free(s->region);
    mem_free(s->domain);
    mem_free(s);
}
