/*
 * chunked: the aws-chunked framing of a body, taken off again.
 *
 * Three framings, told by x-amz-content-sha256 (never by Content-Encoding, which some clients leave out):
 *
 *     STREAMING-AWS4-HMAC-SHA256-PAYLOAD            each chunk signed, in a chain that begins with the request's signature
 *     STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER    the same, and trailing headers signed as its last link
 *     STREAMING-UNSIGNED-PAYLOAD-TRAILER            no signatures, trailing headers
 *
 *     10000;chunk-signature=<64 hex digits>\r\n <65536 bytes> \r\n ... 0;chunk-signature=...\r\n
 *     x-amz-checksum-crc32c:sOO8/Q==\r\n x-amz-trailer-signature:<64 hex digits>\r\n \r\n
 *
 * Bytes in, bytes out: chunked_feed() gives the content piece by piece as it comes; a chunk's signature is verified at its end,
 * so what was given is not to be believed before chunked_done(). Nothing is buffered but one line.
 * Source: S3 API reference, "Signature calculations for the Authorization header: multiple chunks" and its trailer variant.
 */
#pragma once

#include "s3/sigv4.h"

#include <openssl/evp.h>

enum chunked_kind { CHUNKED_SIGNED, CHUNKED_SIGNED_TRAILER, CHUNKED_UNSIGNED_TRAILER };
enum { CHUNKED_LINE = 1024, CHUNKED_TRAILERS = 4096 };

struct chunked {
    enum chunked_kind kind;
    const struct sigv4 *auth;        // borrowed
    int64_t content_bytes;           // given so far
    char trailers[CHUNKED_TRAILERS]; // "name:value\n" of each, names in small letters, without the signature
    size_t trailer_n;
    /* Private. */
    enum { CHUNKED_SIZE, CHUNKED_DATA, CHUNKED_DATA_END, CHUNKED_TRAILER, CHUNKED_DONE } _state;
    uint64_t _left; // bytes of this chunk to come
    char _line[CHUNKED_LINE];
    size_t _line_n;
    bool _signature; // of the trailers has come
    char _previous[SIGV4_HEX], _claimed[SIGV4_HEX];
    EVP_MD_CTX *_digest; // of this chunk
};

/* Is this x-amz-content-sha256 one of the three? */
bool chunked_kind_of(struct str payload, enum chunked_kind *kind);
void chunked_init(struct chunked *c, enum chunked_kind kind, const struct sigv4 *auth);
void chunked_fini(struct chunked *c);
/* Takes bytes off `in` and gives a piece of content (empty: none this time). Call until in is empty. */
enum s3_code chunked_feed(struct chunked *c, struct str *in, struct str *piece);
bool chunked_done(const struct chunked *c); // the last chunk and its trailers have come, all signatures held
struct str chunked_trailer(const struct chunked *c, const char *name); // STR_NULL when absent
