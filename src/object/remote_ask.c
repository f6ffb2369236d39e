/* One request to the other server, and what its errors mean. */
#include "object/remote.h"

#include "base/limits.h"
#include "base/mem.h"
#include "net/http.h"

#include <openssl/evp.h>

const char *remote_encode(struct arena *a, struct str s)
{
    struct buf b = buf_make(LIMIT_HTTP_HEAD);
    const char *text;

    http_encode(&b, s, false);
    text = arena_str(a, buf_view(&b)).p;
    buf_fini(&b);
    return text;
}

static const char *url_of(const struct remote *r, const struct remote_ask *q, struct arena *a)
{
    struct buf b = buf_make(LIMIT_HTTP_HEAD);
    const char *text;

    buf_fmt(&b, "%s://", r->scheme);
    if (q->bucket.p && !r->path_style)
        buf_fmt(&b, "%.*s.", STR_ARG(q->bucket));
    buf_fmt(&b, "%s/", r->host);
    if (q->bucket.p && r->path_style)
        buf_fmt(&b, "%.*s%s", STR_ARG(q->bucket), q->key.p ? "/" : "");
    http_encode(&b, q->key, true);
    if (q->query)
        buf_fmt(&b, "?%s", q->query);
    text = arena_str(a, buf_view(&b)).p;
    buf_fini(&b);
    return text;
}

static const char *hash_of(struct str body, struct arena *a)
{
    struct buf hex = buf_make(64);
    uint8_t digest[EVP_MAX_MD_SIZE];
    const char *text;

    (void)EVP_Digest(body.p ? body.p : "", body.n, digest, NULL, EVP_sha256(), NULL);
    buf_hex(&hex, digest, 32);
    text = arena_str(a, buf_view(&hex)).p;
    buf_fini(&hex);
    return text;
}

/* Code and message of an error, as far as the body has them (the answer to a HEAD has none). */
static void read_error(struct arena *a, struct str body, struct str *code, struct str *message)
{
    struct xml x = xml_from(a, body);

    *code = *message = STR("");
    while (xml_next(&x)) {
        if (x.kind == XML_CLOSE && xml_at(&x, "Error/Code"))
            *code = x.text;
        else if (x.kind == XML_CLOSE && xml_at(&x, "Error/Message"))
            *message = x.text;
    }
}

static enum err_kind kind_of(int status, struct str code)
{
    if (str_is(code, "EntityTooSmall") || str_is(code, "EntityTooLarge") || str_is(code, "MetadataTooLarge"))
        return ERR_LIMIT;
    switch (status) {
    case 301:
    case 400:
    case 416:
        return ERR_INVALID;
    case 401:
    case 403:
        return ERR_DENIED;
    case 404:
        return ERR_NOT_FOUND;
    case 409:
    case 412:
        return ERR_CONFLICT;
    case 501:
        return ERR_UNSUPPORTED;
    case 503:
        return ERR_BUSY;
    case 507:
        return ERR_FULL;
    default:
        return ERR_REMOTE;
    }
}

static bool failed(const struct remote_ask *q, const char *url, const struct fetch_answer *got,
                   struct arena *a, struct err *e)
{
    struct str code, message;

    read_error(a, got->body, &code, &message);
    if (got->status == 404 && !q->key.p)
        return err_set(e, ERR_NOT_FOUND, "no bucket %.*s at %s", STR_ARG(q->bucket), url);
    return err_set(e, kind_of(got->status, code), "%s %s: status %d %.*s %.*s", q->method, url, got->status,
                   STR_ARG(code), STR_ARG(message));
}

bool remote_ask(struct remote *r, const struct remote_ask *q, struct arena *a, struct fetch_answer *out,
                struct err *e)
{
    struct fetch_header headers[REMOTE_HEADERS + 1];
    struct fetch f = {
        .url = url_of(r, q, a),
        .method = q->method,
        .headers = headers,
        .header_count = q->header_count + 1,
        .body = q->body,
        .timeout_ms = 120000,
        .max_bytes = q->max_bytes,
        .sign = &r->sign,
    };

    if (q->header_count > REMOTE_HEADERS)
        return err_set(e, ERR_LIMIT, "object %.*s has over %d headers", STR_ARG(q->key), REMOTE_HEADERS);
    headers[0] = (struct fetch_header){"x-amz-content-sha256", hash_of(q->body, a)};
    for (size_t i = 0; i < q->header_count; i++)
        headers[i + 1] = q->headers[i];
    if (!fetch(&f, a, out, e))
        return false;
    return out->status / 100 == 2 || failed(q, f.url, out, a, e);
}
