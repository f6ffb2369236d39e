/* The body of a request: its framing taken off, its hash, checksum, signatures and length verified, its bytes handed on. */
#include "s3/s3_int.h"

#include "base/limits.h"
#include "base/mem.h"

#include <openssl/crypto.h>
#include <stdlib.h>

/* ---- what the headers say ---- */

/* A checksum in a header, or one that x-amz-trailer announces. */
static enum s3_code find_sum(struct s3_req *r)
{
    struct s3_body *b = &r->body;
    struct str trailer = s3_header(r, "x-amz-trailer");

    for (size_t i = 0; i < r->q->header_count; i++) {
        struct str name = r->q->headers[i].name, prefix = STR("x-amz-checksum-");
        enum checksum_kind k;

        if (name.n < prefix.n || !str_eq_nocase(str_from(name.p, prefix.n), prefix) ||
            str_eq_nocase(name, STR("x-amz-checksum-algorithm")) ||
            str_eq_nocase(name, STR("x-amz-checksum-type")) ||
            str_eq_nocase(name, STR("x-amz-checksum-mode")))
            continue;
        k = checksum_of_header(name);
        if (k == CHECKSUM_KINDS)
            return s3_error(r, S3_NOT_IMPLEMENTED, "tarn does not know the checksum of header %.*s",
                            STR_ARG(name));
        if (b->has_sum)
            return s3_error(r, S3_INVALID_REQUEST, "Expecting a single x-amz-checksum- header");
        b->has_sum = true;
        b->sum_kind = k;
        b->sum_want = str_trim(r->q->headers[i].value);
    }
    if (!trailer.p || trailer.n == 0)
        return S3_OK;
    if (b->has_sum || checksum_of_header(trailer) == CHECKSUM_KINDS)
        return s3_error(r, b->has_sum ? S3_INVALID_REQUEST : S3_NOT_IMPLEMENTED,
                        "The trailer %.*s cannot be verified", STR_ARG(trailer));
    b->has_sum = true;
    b->sum_kind = checksum_of_header(trailer);
    return S3_OK;
}

static enum s3_code find_length(struct s3_req *r, bool framed)
{
    struct str length = s3_header(r, "x-amz-decoded-content-length");
    struct s3_body *b = &r->body;

    if (!framed)
        b->content_bytes = r->q->body_bytes;
    else if (!length.p || !str_i64(length, &b->content_bytes) || b->content_bytes < 0)
        return S3_MISSING_LENGTH;
    if (b->content_bytes < 0)
        return S3_MISSING_LENGTH;
    if (r->op->body == S3_DATA && b->content_bytes > r->s->o.put_max_bytes)
        return S3_ENTITY_TOO_LARGE;
    if (r->op->body == S3_XML && b->content_bytes > (int64_t)S3_XML_MAX)
        return S3_ENTITY_TOO_LARGE;
    if (r->op->body == S3_NO_BODY && b->content_bytes > (int64_t)S3_XML_MAX)
        return s3_error(r, S3_INVALID_REQUEST, "%s takes no body", r->op->name);
    return S3_OK;
}

static bool is_hash(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
    return s.n == SIGV4_HEX;
}

enum s3_code s3_body_check(struct s3_req *r)
{
    struct str payload = r->auth.payload;
    enum chunked_kind kind;
    enum s3_code code;
    bool framed = chunked_kind_of(payload, &kind);

    if (framed) {
        if (r->auth.presigned)
            return S3_NOT_IMPLEMENTED;
        r->body.chunked = ARENA_NEW(r->q->arena, struct chunked);
        r->body.chunked->kind = kind;
    } else if (str_starts(payload, STR("STREAMING-"))) {
        return s3_error(r, S3_NOT_IMPLEMENTED, "tarn does not know the framing %.*s", STR_ARG(payload));
    } else if (!str_is(payload, "UNSIGNED-PAYLOAD") && !is_hash(payload)) {
        return s3_error(
            r, S3_INVALID_ARGUMENT,
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING- framing, or a valid sha256 value.");
    }
    code = find_length(r, framed);
    /* At completion of an upload a checksum is not of the body but of the object. */
    return code == S3_OK && r->op->body != S3_NO_BODY && r->op->run != s3_complete_upload ? find_sum(r)
                                                                                          : code;
}

enum s3_code s3_content_md5(struct s3_req *r, struct str *out)
{
    struct str text = s3_header(r, "content-md5");
    unsigned char *bytes;

    *out = STR_NULL;
    if (!text.p)
        return S3_OK;
    bytes = arena_alloc(r->q->arena, 32);
    if (text.n != 24 || !str_ends(text, STR("==")) ||
        EVP_DecodeBlock(bytes, (const unsigned char *)text.p, (int)text.n) != 18)
        return S3_INVALID_DIGEST;
    *out = str_from(bytes, 16);
    return S3_OK;
}

/* ---- the bytes ---- */

enum s3_code s3_body_begin(struct s3_req *r)
{
    struct s3_body *b = &r->body;

    if (b->begun)
        return S3_OK;
    b->begun = true;
    b->text = buf_make(S3_XML_MAX);
    if (b->chunked) {
        chunked_init(b->chunked, b->chunked->kind, &r->auth);
    } else if (is_hash(r->auth.payload)) {
        b->sha256 = EVP_MD_CTX_new();
        if (!b->sha256 || EVP_DigestInit_ex(b->sha256, EVP_sha256(), NULL) != 1)
            abort(); // as mem_: OpenSSL has no memory
    }
    if (b->has_sum)
        checksum_init(&b->sum, b->sum_kind);
    return r->op->begin ? r->op->begin(r) : S3_OK;
}

static enum s3_code take(struct s3_req *r, struct str piece)
{
    struct s3_body *b = &r->body;
    struct err e;

    b->got += (int64_t)piece.n;
    if (b->got > b->content_bytes)
        return S3_INCOMPLETE_BODY;
    if (b->has_sum)
        checksum_add(&b->sum, piece);
    if (r->op->body == S3_DATA)
        return object_put_write(r->put, piece, &e) ? S3_OK : s3_failed(r, &e);
    if (r->op->body == S3_XML)
        buf_str(&b->text, piece);
    return S3_OK;
}

enum s3_code s3_body_feed(struct s3_req *r, struct str in)
{
    struct s3_body *b = &r->body;
    enum s3_code code = S3_OK;
    struct str piece;

    if (!b->chunked) {
        if (b->sha256)
            (void)EVP_DigestUpdate(b->sha256, in.p, in.n);
        return take(r, in);
    }
    while (code == S3_OK && in.n > 0) {
        code = chunked_feed(b->chunked, &in, &piece);
        if (code == S3_OK && piece.n > 0)
            code = take(r, piece);
    }
    return code;
}

/* ---- the end ---- */

static enum s3_code check_hash(struct s3_req *r)
{
    struct buf hex = buf_make(SIGV4_HEX);
    uint8_t digest[32];
    bool same;

    if (!r->body.sha256)
        return S3_OK;
    (void)EVP_DigestFinal_ex(r->body.sha256, digest, NULL);
    buf_hex(&hex, digest, sizeof digest);
    same = str_eq(buf_view(&hex), r->auth.payload);
    buf_fini(&hex);
    return same ? S3_OK : S3_SHA256_MISMATCH;
}

static enum s3_code check_sum(struct s3_req *r)
{
    struct s3_body *b = &r->body;
    struct buf base64 = buf_make(128);
    struct str want = b->sum_want;

    if (!b->has_sum)
        return S3_OK;
    if (!want.p && b->chunked)
        want = chunked_trailer(b->chunked, checksum_header(b->sum_kind));
    checksum_end(&b->sum, &base64);
    b->sum_got = arena_str(r->q->arena, buf_view(&base64));
    buf_fini(&base64);
    if (!want.p)
        return s3_error(r, S3_INVALID_REQUEST, "The trailer %s that was announced did not come",
                        checksum_header(b->sum_kind));
    return str_eq(b->sum_got, want)
               ? S3_OK
               : s3_error(r, S3_BAD_DIGEST, "The %s you specified did not match the calculated checksum.",
                          checksum_header(b->sum_kind) + sizeof "x-amz-checksum-" - 1);
}

/* Content-MD5 of a body that is not put: the store checks the others. */
static enum s3_code check_md5(struct s3_req *r)
{
    struct str want, text = buf_view(&r->body.text);
    uint8_t digest[EVP_MAX_MD_SIZE];
    enum s3_code code = s3_content_md5(r, &want);

    if (code != S3_OK || !want.p || r->op->body != S3_XML)
        return code;
    (void)EVP_Digest(text.p, text.n, digest, NULL, EVP_md5(), NULL);
    return memcmp(digest, want.p, 16) == 0 ? S3_OK : S3_BAD_DIGEST;
}

enum s3_code s3_body_end(struct s3_req *r)
{
    struct s3_body *b = &r->body;
    enum s3_code code;

    if (b->got != b->content_bytes || (b->chunked && !chunked_done(b->chunked)))
        return S3_INCOMPLETE_BODY;
    code = check_hash(r);
    if (code == S3_OK)
        code = check_sum(r);
    return code == S3_OK ? check_md5(r) : code;
}

void s3_body_fini(struct s3_req *r)
{
    struct s3_body *b = &r->body;

    if (!b->begun)
        return;
    EVP_MD_CTX_free(b->sha256);
    checksum_fini(&b->sum);
    if (b->chunked)
        chunked_fini(b->chunked);
    buf_fini(&b->text);
}
