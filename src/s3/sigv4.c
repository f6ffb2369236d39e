#include "s3/sigv4.h"

#include "base/limits.h"
#include "base/utc.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

/* ---- small readers ---- */

static bool is_hex(struct str s, size_t n)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
    return s.n == n;
}

static bool digits(struct str s, unsigned *out)
{
    uint64_t v;

    if (!str_u64(s, &v) || v > 9999)
        return false;
    *out = (unsigned)v;
    return true;
}

/* "20130524T000000Z" */
static bool amz_date(struct str s, int64_t *us)
{
    struct utc t = {0};
    unsigned year;

    if (s.n != 16 || s.p[8] != 'T' || s.p[15] != 'Z' || !digits(str_from(s.p, 4), &year) ||
        !digits(str_from(s.p + 4, 2), &t.month) || !digits(str_from(s.p + 6, 2), &t.day) ||
        !digits(str_from(s.p + 9, 2), &t.hour) || !digits(str_from(s.p + 11, 2), &t.minute) ||
        !digits(str_from(s.p + 13, 2), &t.second))
        return false;
    if (t.month < 1 || t.month > 12 || t.day < 1 || t.day > 31 || t.hour > 23 || t.minute > 59 ||
        t.second > 60)
        return false;
    t.year = year;
    *us = utc_micros(&t);
    return true;
}

static struct str header_of(const struct sigv4_request *q, const char *name)
{
    for (size_t i = 0; i < q->header_count; i++)
        if (str_eq_nocase(q->headers[i].name, str_of(name)))
            return str_trim(q->headers[i].value);
    return STR_NULL;
}

/* One of the words of "host;x-amz-date"? */
static bool is_signed(struct str list, struct str name)
{
    struct str one;

    while (str_cut(&list, ';', &one))
        if (str_eq_nocase(one, name))
            return true;
    return false;
}

/* ---- the claim ---- */

/* "AKID/20130524/us-east-1/s3/aws4_request" */
static bool credential(struct str s, struct arena *a, struct sigv4 *out)
{
    struct str rest = s, service, end, more;
    size_t at;

    /* An access key may have slashes: the four words are counted from the end. */
    at = s.n;
    for (int slashes = 0; at > 0; at--)
        if (s.p[at - 1] == '/' && ++slashes == 4)
            break;
    if (at < 2)
        return false;
    out->access_key = str_from(s.p, at - 1);
    out->scope = arena_str(a, str_from(s.p + at, s.n - at));
    rest = out->scope;
    return str_cut(&rest, '/', &out->day) && str_cut(&rest, '/', &out->region) &&
           str_cut(&rest, '/', &service) && str_cut(&rest, '/', &end) && !str_cut(&rest, '/', &more) &&
           out->day.n == 8 && str_is(service, "s3") && str_is(end, "aws4_request");
}

/* Authorization: AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=... */
static enum s3_code parse_header(const struct sigv4_request *q, struct str auth, struct arena *a,
                                 struct sigv4 *out)
{
    struct str algorithm = STR("AWS4-HMAC-SHA256"), part, name, cred = STR_NULL;

    if (!str_starts(auth, algorithm) || auth.n == algorithm.n || auth.p[algorithm.n] != ' ')
        return str_starts(auth, STR("AWS4-ECDSA")) || str_starts(auth, STR("AWS ")) ? S3_NOT_IMPLEMENTED
                                                                                    : S3_AUTH_MALFORMED;
    auth = str_from(auth.p + algorithm.n, auth.n - algorithm.n);
    while (str_cut(&auth, ',', &part)) {
        part = str_trim(part);
        if (!str_cut(&part, '=', &name))
            return S3_AUTH_MALFORMED;
        if (str_is(name, "Credential"))
            cred = part;
        else if (str_is(name, "SignedHeaders"))
            out->signed_headers = part;
        else if (str_is(name, "Signature"))
            out->signature = part;
        else
            return S3_AUTH_MALFORMED;
    }
    out->date = header_of(q, "x-amz-date");
    out->payload = header_of(q, "x-amz-content-sha256");
    if (!out->payload.p)
        return S3_MISSING_SECURITY_HEADER;
    return cred.p && credential(cred, a, out) && amz_date(out->date, &out->at_us) ? S3_OK : S3_AUTH_MALFORMED;
}

/* Value of one parameter, decoded; STR_NULL when absent. */
static struct str param(struct str query, const char *name, struct arena *a)
{
    struct str pair, key;

    while (str_cut(&query, '&', &pair)) {
        ptrdiff_t at = str_find(pair, '=');

        key = at < 0 ? pair : str_from(pair.p, (size_t)at);
        if (str_is(http_decode(a, key, true), name))
            return at < 0 ? STR("")
                          : http_decode(a, str_from(pair.p + at + 1, pair.n - (size_t)at - 1), true);
    }
    return STR_NULL;
}

static enum s3_code parse_query(const struct sigv4_request *q, struct arena *a, struct sigv4 *out)
{
    struct str cred = param(q->query, "X-Amz-Credential", a), expires = param(q->query, "X-Amz-Expires", a);
    struct str payload = header_of(q, "x-amz-content-sha256");

    out->presigned = true;
    out->date = param(q->query, "X-Amz-Date", a);
    out->signed_headers = param(q->query, "X-Amz-SignedHeaders", a);
    out->signature = param(q->query, "X-Amz-Signature", a);
    if (!str_is(param(q->query, "X-Amz-Algorithm", a), "AWS4-HMAC-SHA256"))
        return S3_NOT_IMPLEMENTED;
    if (!cred.p || !credential(cred, a, out) || !amz_date(out->date, &out->at_us) ||
        !str_i64(expires, &out->expires_s) || out->expires_s < 1 || out->expires_s > SIGV4_PRESIGNED_S)
        return S3_AUTH_QUERY;
    if (!payload.p)
        payload = param(q->query, "X-Amz-Content-Sha256", a);
    out->payload = payload.p ? payload : STR("UNSIGNED-PAYLOAD");
    return S3_OK;
}

enum s3_code sigv4_parse(const struct sigv4_request *q, struct arena *a, struct sigv4 *out)
{
    struct str auth = header_of(q, "authorization");
    enum s3_code code;

    *out = (struct sigv4){0};
    if (auth.p)
        code = parse_header(q, auth, a, out);
    else if (param(q->query, "X-Amz-Signature", a).p)
        code = parse_query(q, a, out);
    else
        return S3_ACCESS_DENIED;
    if (code != S3_OK)
        return code;
    if (!is_hex(out->signature, SIGV4_HEX) || !is_signed(out->signed_headers, STR("host")) ||
        !str_eq(str_from(out->date.p, 8), out->day))
        return out->presigned ? S3_AUTH_QUERY : S3_AUTH_MALFORMED;
    for (size_t i = 0; i < q->header_count; i++) {
        struct str name = q->headers[i].name;

        /* The content hash is part of what is signed anyway. */
        if (name.n > 6 && str_eq_nocase(str_from(name.p, 6), STR("x-amz-")) &&
            !str_eq_nocase(name, STR("x-amz-content-sha256")) && !is_signed(out->signed_headers, name))
            return S3_ACCESS_DENIED;
    }
    return S3_OK;
}

/* ---- the canonical request ---- */

struct pair {
    struct str name, value; // encoded
};

static int by_name_then_value(const void *x, const void *y)
{
    const struct pair *p = x, *q = y;
    int c = str_cmp(p->name, q->name);

    return c != 0 ? c : str_cmp(p->value, q->value);
}

static struct str reencode(struct arena *a, struct str raw, bool *ok)
{
    struct str plain = http_decode(a, raw, true), s;
    struct buf b = buf_make(LIMIT_HTTP_HEAD * 3);

    *ok = *ok && plain.p;
    http_encode(&b, plain, false);
    s = arena_str(a, buf_view(&b));
    buf_fini(&b);
    return s;
}

static bool canonical_query(const struct sigv4_request *q, bool presigned, struct arena *a, struct buf *out)
{
    struct str query = q->query, one;
    struct pair pairs[SIGV4_PARAMS];
    size_t n = 0;
    bool ok = true;

    while (ok && str_cut(&query, '&', &one)) {
        ptrdiff_t at = str_find(one, '=');
        struct pair p;

        if (one.n == 0)
            continue;
        p.name = reencode(a, at < 0 ? one : str_from(one.p, (size_t)at), &ok);
        p.value = at < 0 ? STR("") : reencode(a, str_from(one.p + at + 1, one.n - (size_t)at - 1), &ok);
        if (presigned && str_is(p.name, "X-Amz-Signature"))
            continue;
        if (n == SIGV4_PARAMS)
            return false;
        pairs[n++] = p;
    }
    if (n > 1)
        qsort(pairs, n, sizeof *pairs, by_name_then_value);
    for (size_t i = 0; i < n; i++)
        buf_fmt(out, "%s%.*s=%.*s", i > 0 ? "&" : "", STR_ARG(pairs[i].name), STR_ARG(pairs[i].value));
    return ok;
}

/* A header's value with its runs of blanks made one. */
static void canonical_value(struct buf *out, struct str value)
{
    bool blank = false;

    value = str_trim(value);
    for (size_t i = 0; i < value.n; i++) {
        bool now = value.p[i] == ' ';

        if (!now || !blank)
            buf_u8(out, (uint8_t)value.p[i]);
        blank = now;
    }
}

static void canonical_headers(const struct sigv4_request *q, const struct sigv4 *s, struct buf *out)
{
    struct str list = s->signed_headers, name;

    while (str_cut(&list, ';', &name)) {
        bool first = true;

        buf_str(out, name);
        buf_u8(out, ':');
        for (size_t i = 0; i < q->header_count; i++) {
            if (!str_eq_nocase(q->headers[i].name, name))
                continue;
            if (!first)
                buf_u8(out, ',');
            first = false;
            canonical_value(out, q->headers[i].value);
        }
        buf_u8(out, '\n');
    }
}

static bool canonical(const struct sigv4_request *q, const struct sigv4 *s, struct arena *a, struct buf *out)
{
    struct str path = http_decode(a, q->path, false);

    if (!path.p)
        return false;
    buf_str(out, q->method);
    buf_u8(out, '\n');
    http_encode(out, path, true);
    buf_u8(out, '\n');
    if (!canonical_query(q, s->presigned, a, out))
        return false;
    buf_u8(out, '\n');
    canonical_headers(q, s, out);
    buf_u8(out, '\n');
    buf_str(out, s->signed_headers);
    buf_u8(out, '\n');
    buf_str(out, s->payload);
    return buf_ok(out);
}

/* ---- signatures ---- */

static void hmac(const void *key, size_t key_n, struct str text, uint8_t out[SIGV4_KEY])
{
    unsigned n = SIGV4_KEY;

    if (!HMAC(EVP_sha256(), key, (int)key_n, (const unsigned char *)text.p, text.n, out, &n))
        abort(); // SHA-256 is in every OpenSSL, and nothing else can fail here
}

static void hex_of(const uint8_t *p, size_t n, char *out)
{
    static const char digit[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digit[p[i] >> 4];
        out[2 * i + 1] = digit[p[i] & 15];
    }
}

static void signing_key(struct sigv4 *s, struct str secret)
{
    struct buf first = buf_make(LIMIT_HTTP_HEAD);
    uint8_t day[SIGV4_KEY], region[SIGV4_KEY], service[SIGV4_KEY];

    buf_str(&first, STR("AWS4"));
    buf_str(&first, secret);
    hmac(first.p, first.n, s->day, day);
    hmac(day, sizeof day, s->region, region);
    hmac(region, sizeof region, STR("s3"), service);
    hmac(service, sizeof service, STR("aws4_request"), s->key);
    OPENSSL_cleanse(first.p, first.n);
    buf_fini(&first);
}

enum s3_code sigv4_verify(const struct sigv4_request *q, struct sigv4 *s, struct str secret, struct arena *a)
{
    struct buf text = buf_make(LIMIT_HTTP_HEAD * 4), sign = buf_make(LIMIT_HTTP_HEAD);
    uint8_t digest[SIGV4_KEY];
    char hex[SIGV4_HEX];
    bool ok = canonical(q, s, a, &text);

    signing_key(s, secret);
    if (ok) {
        if (EVP_Digest(text.p, text.n, digest, NULL, EVP_sha256(), NULL) != 1)
            abort();
        buf_fmt(&sign, "AWS4-HMAC-SHA256\n%.*s\n%.*s\n", STR_ARG(s->date), STR_ARG(s->scope));
        buf_hex(&sign, digest, sizeof digest);
        hmac(s->key, sizeof s->key, buf_view(&sign), digest);
        hex_of(digest, sizeof digest, hex);
        ok = buf_ok(&sign) && CRYPTO_memcmp(hex, s->signature.p, SIGV4_HEX) == 0;
    }
    buf_fini(&text);
    buf_fini(&sign);
    return ok ? S3_OK : S3_SIGNATURE;
}

void sigv4_chain(const struct sigv4 *s, const char *what, const char previous[SIGV4_HEX],
                 const uint8_t digest[32], char out[SIGV4_HEX])
{
    static const char empty[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    struct buf sign = buf_make(LIMIT_HTTP_HEAD);
    uint8_t mac[SIGV4_KEY];

    buf_fmt(&sign, "%s\n%.*s\n%.*s\n%.*s\n", what, STR_ARG(s->date), STR_ARG(s->scope), SIGV4_HEX, previous);
    if (str_ends(str_of(what), STR("-PAYLOAD")))
        buf_fmt(&sign, "%s\n", empty);
    buf_hex(&sign, digest, 32);
    hmac(s->key, sizeof s->key, buf_view(&sign), mac);
    hex_of(mac, sizeof mac, out);
    buf_fini(&sign);
}
