#include "s3/chunked.h"

#include <openssl/crypto.h>
#include <stdlib.h>

bool chunked_kind_of(struct str payload, enum chunked_kind *kind)
{
    static const char *const names[] = {
        [CHUNKED_SIGNED] = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        [CHUNKED_SIGNED_TRAILER] = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        [CHUNKED_UNSIGNED_TRAILER] = "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    };

    for (int k = 0; k < 3; k++)
        if (str_is(payload, names[k])) {
            *kind = (enum chunked_kind)k;
            return true;
        }
    return false;
}

static bool is_signed(const struct chunked *c)
{
    return c->kind != CHUNKED_UNSIGNED_TRAILER;
}

static void digest_start(struct chunked *c)
{
    if (EVP_DigestInit_ex(c->_digest, EVP_sha256(), NULL) != 1)
        abort(); // SHA-256 is in every OpenSSL
}

void chunked_init(struct chunked *c, enum chunked_kind kind, const struct sigv4 *auth)
{
    *c = (struct chunked){.kind = kind, .auth = auth};
    if (!is_signed(c))
        return;
    memcpy(c->_previous, auth->signature.p, SIGV4_HEX);
    c->_digest = EVP_MD_CTX_new();
    if (!c->_digest)
        abort();
}

void chunked_fini(struct chunked *c)
{
    EVP_MD_CTX_free(c->_digest);
    c->_digest = NULL;
}

bool chunked_done(const struct chunked *c)
{
    return c->_state == CHUNKED_DONE;
}

struct str chunked_trailer(const struct chunked *c, const char *name)
{
    struct str rest = str_from(c->trailers, c->trailer_n), line, key;

    while (str_cut(&rest, '\n', &line))
        if (str_cut(&line, ':', &key) && str_is(key, name))
            return line;
    return STR_NULL;
}

/* A link of the chain: is the claimed signature the one over what came? */
static enum s3_code link_of(struct chunked *c, const char *what, const uint8_t digest[32])
{
    char want[SIGV4_HEX];

    sigv4_chain(c->auth, what, c->_previous, digest, want);
    if (CRYPTO_memcmp(want, c->_claimed, SIGV4_HEX) != 0)
        return S3_SIGNATURE;
    memcpy(c->_previous, want, SIGV4_HEX);
    return S3_OK;
}

static enum s3_code chunk_end(struct chunked *c)
{
    uint8_t digest[32];

    if (!is_signed(c))
        return S3_OK;
    if (EVP_DigestFinal_ex(c->_digest, digest, NULL) != 1)
        abort();
    return link_of(c, "AWS4-HMAC-SHA256-PAYLOAD", digest);
}

/* "10000;chunk-signature=..." */
static enum s3_code size_line(struct chunked *c, struct str line)
{
    struct str size, extension, name = STR_NULL;
    bool claimed = false;

    if (!str_cut(&line, ';', &size) || size.n == 0 || size.n > 15)
        return S3_INVALID_REQUEST;
    c->_left = 0;
    for (size_t i = 0; i < size.n; i++) {
        char d = size.p[i];
        unsigned v = d >= '0' && d <= '9'   ? (unsigned)(d - '0')
                     : d >= 'a' && d <= 'f' ? (unsigned)(d - 'a') + 10
                     : d >= 'A' && d <= 'F' ? (unsigned)(d - 'A') + 10
                                            : 16;

        if (v > 15)
            return S3_INVALID_REQUEST;
        c->_left = c->_left << 4 | v;
    }
    while (str_cut(&line, ';', &extension))
        if (str_cut(&extension, '=', &name) && str_is(str_trim(name), "chunk-signature") &&
            extension.n == SIGV4_HEX) {
            memcpy(c->_claimed, extension.p, SIGV4_HEX);
            claimed = true;
        }
    if (!is_signed(c)) {
        c->_state = c->_left > 0 ? CHUNKED_DATA : CHUNKED_TRAILER;
        return S3_OK;
    }
    if (!claimed)
        return S3_SIGNATURE;
    digest_start(c);
    c->_state = c->_left > 0 ? CHUNKED_DATA : CHUNKED_TRAILER;
    return c->_left > 0 ? S3_OK : chunk_end(c);
}

static enum s3_code trailers_end(struct chunked *c)
{
    uint8_t digest[32];

    if (c->kind != CHUNKED_SIGNED_TRAILER) {
        c->_state = CHUNKED_DONE;
        return S3_OK;
    }
    if (!c->_signature) // some clients put an empty line between the trailers and their signature
        return c->trailer_n > 0 ? S3_OK : S3_SIGNATURE;
    if (EVP_Digest(c->trailers, c->trailer_n, digest, NULL, EVP_sha256(), NULL) != 1)
        abort();
    c->_state = CHUNKED_DONE;
    return link_of(c, "AWS4-HMAC-SHA256-TRAILER", digest);
}

static enum s3_code trailer_line(struct chunked *c, struct str line)
{
    struct str name;
    char *to = c->trailers + c->trailer_n;

    if (line.n == 0)
        return trailers_end(c);
    if (c->kind == CHUNKED_SIGNED || c->_signature || !str_cut(&line, ':', &name))
        return S3_INVALID_REQUEST;
    name = str_trim(name);
    line = str_trim(line);
    if (str_eq_nocase(name, STR("x-amz-trailer-signature"))) {
        if (line.n != SIGV4_HEX)
            return S3_SIGNATURE;
        memcpy(c->_claimed, line.p, SIGV4_HEX);
        c->_signature = true;
        return S3_OK;
    }
    if (name.n + line.n + 2 > CHUNKED_TRAILERS - c->trailer_n)
        return S3_INVALID_REQUEST;
    for (size_t i = 0; i < name.n; i++)
        *to++ = name.p[i] >= 'A' && name.p[i] <= 'Z' ? (char)(name.p[i] + 32) : name.p[i];
    *to++ = ':';
    if (line.n > 0)
        memcpy(to, line.p, line.n);
    to[line.n] = '\n';
    c->trailer_n += name.n + line.n + 2;
    return S3_OK;
}

/* One whole line, without its end, in the state it belongs to. */
static enum s3_code line_end(struct chunked *c)
{
    struct str line = str_from(c->_line, c->_line_n);

    c->_line_n = 0;
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    switch (c->_state) {
    case CHUNKED_SIZE:
        return size_line(c, line);
    case CHUNKED_DATA_END:
        c->_state = CHUNKED_SIZE;
        return line.n == 0 ? S3_OK : S3_INVALID_REQUEST;
    case CHUNKED_TRAILER:
        return trailer_line(c, line);
    default:
        return line.n == 0 ? S3_OK : S3_INVALID_REQUEST; // empty lines behind the end are harmless
    }
}

static enum s3_code feed_data(struct chunked *c, struct str *in, struct str *piece)
{
    size_t n = c->_left < in->n ? (size_t)c->_left : in->n;

    *piece = str_from(in->p, n);
    *in = str_from(in->p + n, in->n - n);
    c->_left -= n;
    c->content_bytes += (int64_t)n;
    if (is_signed(c))
        (void)EVP_DigestUpdate(c->_digest, piece->p, n);
    if (c->_left > 0)
        return S3_OK;
    c->_state = CHUNKED_DATA_END;
    return chunk_end(c);
}

enum s3_code chunked_feed(struct chunked *c, struct str *in, struct str *piece)
{
    *piece = STR("");
    while (in->n > 0) {
        const char *end;
        size_t n;
        enum s3_code code;

        if (c->_state == CHUNKED_DATA)
            return feed_data(c, in, piece);
        end = memchr(in->p, '\n', in->n);
        n = end ? (size_t)(end - in->p) : in->n;
        if (n > CHUNKED_LINE - c->_line_n)
            return S3_INVALID_REQUEST;
        memcpy(c->_line + c->_line_n, in->p, n);
        c->_line_n += n;
        *in = str_from(in->p + n + (end != NULL), in->n - n - (end != NULL));
        code = end ? line_end(c) : S3_OK;
        if (code != S3_OK)
            return code;
    }
    return S3_OK;
}
