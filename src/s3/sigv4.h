/*
 * sigv4: who signed this request, and did he?
 *
 * AWS Signature Version 4 as S3 uses it ("Authenticating Requests (AWS Signature Version 4)" of the S3 API reference): the
 * claim lies in the Authorization header or, presigned, in the query. sigv4_parse() reads it, sigv4_verify() computes
 * the canonical request from what came over the wire and compares. Bytes in, verdict out: no clock, no user list.
 *
 * S3's peculiarities: paths are encoded once, `//` and `..` are kept; a presigned request's payload is
 * UNSIGNED-PAYLOAD unless a signed header says otherwise; every x-amz- header must be among the signed ones, so that nobody
 * can add one on the way.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "net/http.h"
#include "s3/code.h"

enum { SIGV4_KEY = 32, SIGV4_HEX = 64, SIGV4_PARAMS = 128, SIGV4_PRESIGNED_S = 7 * 86400 };

struct sigv4_request { // as it came
    struct str method, path, query;
    const struct http_header *headers;
    size_t header_count;
};

struct sigv4 { // what it claims
    bool presigned;
    struct str access_key;
    struct str scope; // "20130524/us-east-1/s3/aws4_request"
    struct str date;  // "20130524T000000Z"
    struct str day, region;
    struct str signed_headers; // "host;x-amz-date"
    struct str signature;      // 64 hex digits
    int64_t at_us;             // date as an instant
    int64_t expires_s;         // presigned only
    struct str payload;        // x-amz-content-sha256, or UNSIGNED-PAYLOAD
    uint8_t key[SIGV4_KEY];    // signing key, from sigv4_verify(); chunk signatures need it
};

/* S3_ACCESS_DENIED when it is not signed at all. */
enum s3_code sigv4_parse(const struct sigv4_request *q, struct arena *a, struct sigv4 *out);
/* Is the signature made with this secret? Fills s->key. */
enum s3_code sigv4_verify(const struct sigv4_request *q, struct sigv4 *s, struct str secret, struct arena *a);

/* One link of the chain of signatures in an aws-chunked body: what = "AWS4-HMAC-SHA256-PAYLOAD" or "...-TRAILER". */
void sigv4_chain(const struct sigv4 *s, const char *what, const char previous[SIGV4_HEX],
                 const uint8_t digest[32], char out[SIGV4_HEX]);
