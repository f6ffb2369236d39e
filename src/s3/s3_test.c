/* The sans-I/O parts of the S3 door, against the examples that AWS publishes. */
#include "s3/checksum.h"
#include "s3/chunked.h"
#include "s3/http_rules.h"
#include "s3/sigv4.h"

#include "base/mem.h"
#include "base/test.h"
#include "base/utc.h"

static struct arena a;

/* The example credentials of the S3 API reference. */
#define SECRET STR("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
#define SCOPE  "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"
#define EMPTY  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static struct http_header h(const char *name, const char *value)
{
    return (struct http_header){str_of(name), str_of(value)};
}

static enum s3_code verify(const struct sigv4_request *q, struct sigv4 *s)
{
    enum s3_code code = sigv4_parse(q, &a, s);

    return code != S3_OK ? code : sigv4_verify(q, s, SECRET, &a);
}

static const char *auth(const char *headers, const char *signature)
{
    return arena_fmt(&a, "AWS4-HMAC-SHA256 Credential=" SCOPE ",SignedHeaders=%s,Signature=%s", headers,
                     signature);
}

TEST(published_get_is_verified)
{
    struct http_header headers[] = {
        h("Host", "examplebucket.s3.amazonaws.com"),
        h("Authorization", auth("host;range;x-amz-content-sha256;x-amz-date",
                                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")),
        h("Range", "bytes=0-9"),
        h("x-amz-content-sha256", EMPTY),
        h("x-amz-date", "20130524T000000Z"),
    };
    struct sigv4_request q = {STR("GET"), STR("/test.txt"), STR_NULL, headers, 5};
    struct sigv4 s;

    OK(verify(&q, &s) == S3_OK);
    OK(str_is(s.access_key, "AKIAIOSFODNN7EXAMPLE") && str_is(s.region, "us-east-1"));
    OK(s.at_us == utc_days(2013, 5, 24) * UTC_DAY && !s.presigned);
    headers[2].value = STR("bytes=0-8");
    OK(verify(&q, &s) == S3_SIGNATURE);
    headers[2] = h("x-amz-meta-added", "later");
    OK(verify(&q, &s) == S3_ACCESS_DENIED);
    q.header_count = 1;
    OK(verify(&q, &s) == S3_ACCESS_DENIED);
    arena_fini(&a);
}

TEST(published_put_is_verified)
{
    struct http_header headers[] = {
        h("Host", "examplebucket.s3.amazonaws.com"),
        h("Authorization", auth("date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
                                "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")),
        h("Date", "Fri, 24 May 2013 00:00:00 GMT"),
        h("x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"),
        h("x-amz-date", "20130524T000000Z"),
        h("x-amz-storage-class", "REDUCED_REDUNDANCY"),
    };
    struct sigv4_request q = {STR("PUT"), STR("/test%24file.text"), STR_NULL, headers, 6};
    struct sigv4 s;

    OK(verify(&q, &s) == S3_OK);
    q.path = STR("/test$file.text"); // the same path, written otherwise
    OK(verify(&q, &s) == S3_OK);
    arena_fini(&a);
}

TEST(published_queries_are_verified)
{
    struct http_header headers[] = {
        h("Host", "examplebucket.s3.amazonaws.com"),
        h("Authorization", auth("host;x-amz-content-sha256;x-amz-date",
                                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")),
        h("x-amz-content-sha256", EMPTY),
        h("x-amz-date", "20130524T000000Z"),
    };
    struct sigv4_request q = {STR("GET"), STR("/"), STR("lifecycle"), headers, 4};
    struct sigv4 s;

    OK(verify(&q, &s) == S3_OK);
    headers[1].value = str_of(auth("host;x-amz-content-sha256;x-amz-date",
                                   "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"));
    q.query = STR("prefix=J&max-keys=2"); // not in canonical order
    OK(verify(&q, &s) == S3_OK);
    arena_fini(&a);
}

#define PRESIGNED                                                                                           \
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2F" \
    "aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-SignedHeaders=host&X-Amz-Signature="                    \
    "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404&X-Amz-Expires="

TEST(published_presigned_url_is_verified)
{
    struct http_header host = h("Host", "examplebucket.s3.amazonaws.com");
    struct sigv4_request q = {STR("GET"), STR("/test.txt"), STR(PRESIGNED "86400"), &host, 1};
    struct sigv4 s;

    OK(verify(&q, &s) == S3_OK && s.presigned && s.expires_s == 86400);
    q.query = STR(PRESIGNED "86401");
    OK(verify(&q, &s) == S3_SIGNATURE);
    q.query = STR(PRESIGNED "604801");
    OK(verify(&q, &s) == S3_AUTH_QUERY);
    q.query = STR(PRESIGNED "86400&versionId=1");
    OK(verify(&q, &s) == S3_SIGNATURE);
    arena_fini(&a);
}

/* ---- aws-chunked ---- */

/* The published uploads: 66,560 times 'a' in chunks of 65,536 and 1,024 bytes. */
static struct str upload(const char *const signatures[3], const char *trailers)
{
    struct buf b = buf_make(100000);
    struct str s;

    buf_fmt(&b, "10000;chunk-signature=%s\r\n", signatures[0]);
    memset(buf_room(&b, 65536), 'a', 65536);
    b.n += 65536;
    buf_fmt(&b, "\r\n400;chunk-signature=%s\r\n", signatures[1]);
    memset(buf_room(&b, 1024), 'a', 1024);
    b.n += 1024;
    buf_fmt(&b, "\r\n0;chunk-signature=%s\r\n%s\r\n", signatures[2], trailers);
    s = arena_str(&a, buf_view(&b));
    buf_fini(&b);
    return s;
}

/* Feeds it in pieces of n bytes. S3_OK only when it is done. */
static enum s3_code decode(enum chunked_kind kind, const struct sigv4 *s, struct str body, size_t n,
                           int64_t *got)
{
    struct chunked *c = ARENA_NEW(&a, struct chunked);
    enum s3_code code = S3_OK;
    struct checksum sum;

    chunked_init(c, kind, s);
    checksum_init(&sum, CHECKSUM_CRC32C);
    while (code == S3_OK && body.n > 0) {
        struct str in = str_from(body.p, body.n < n ? body.n : n), piece;

        body = str_from(body.p + in.n, body.n - in.n);
        while (code == S3_OK && in.n > 0) {
            code = chunked_feed(c, &in, &piece);
            checksum_add(&sum, piece);
        }
    }
    *got = c->content_bytes;
    if (code == S3_OK && !chunked_done(c))
        code = S3_INCOMPLETE_BODY;
    if (code == S3_OK && kind != CHUNKED_SIGNED) {
        struct buf base64 = buf_make(64);

        checksum_end(&sum, &base64);
        if (!str_eq(buf_view(&base64), chunked_trailer(c, "x-amz-checksum-crc32c")))
            code = S3_BAD_DIGEST;
        buf_fini(&base64);
    }
    checksum_fini(&sum);
    chunked_fini(c);
    return code;
}

TEST(published_chunks_are_verified)
{
    static const char *const signatures[] = {
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"};
    struct http_header headers[] = {
        h("Host", "s3.amazonaws.com"),
        h("Authorization", auth("content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-"
                                "decoded-content-length;"
                                "x-amz-storage-class",
                                "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9")),
        h("Content-Encoding", "aws-chunked"),
        h("Content-Length", "66824"),
        h("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        h("x-amz-date", "20130524T000000Z"),
        h("x-amz-decoded-content-length", "66560"),
        h("x-amz-storage-class", "REDUCED_REDUNDANCY"),
    };
    struct sigv4_request q = {STR("PUT"), STR("/examplebucket/chunkObject.txt"), STR_NULL, headers, 8};
    struct str body = upload(signatures, "");
    struct sigv4 s;
    int64_t got;

    OK(body.n == 66824);
    OK(verify(&q, &s) == S3_OK);
    OK(decode(CHUNKED_SIGNED, &s, body, body.n, &got) == S3_OK && got == 66560);
    OK(decode(CHUNKED_SIGNED, &s, body, 1, &got) == S3_OK && got == 66560);
    OK(decode(CHUNKED_SIGNED, &s, body, 1000, &got) == S3_OK);
    OK(decode(CHUNKED_SIGNED, &s, str_from(body.p, body.n - 2), 4096, &got) == S3_INCOMPLETE_BODY);
    for (size_t at = 20; at < body.n; at += 7000) { // any byte that is changed is noticed
        char *damaged = arena_copy(&a, body.p, body.n);

        damaged[at] ^= 1;
        OK(decode(CHUNKED_SIGNED, &s, str_from(damaged, body.n), 4096, &got) != S3_OK);
    }
    arena_fini(&a);
}

TEST(published_trailers_are_verified)
{
    static const char *const signatures[] = {
        "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"};
#define TRAILER_SIGNATURE \
    "x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n"
    struct http_header headers[] = {
        h("Host", "s3.amazonaws.com"),
        h("Authorization",
          auth("content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;"
               "x-amz-storage-class;x-amz-trailer",
               "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e")),
        h("Content-Encoding", "aws-chunked"),
        h("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"),
        h("x-amz-date", "20130524T000000Z"),
        h("x-amz-decoded-content-length", "66560"),
        h("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        h("x-amz-trailer", "x-amz-checksum-crc32c"),
    };
    struct sigv4_request q = {STR("PUT"), STR("/examplebucket/chunkObject.txt"), STR_NULL, headers, 8};
    struct str body;
    struct sigv4 s;
    int64_t got;

    OK(verify(&q, &s) == S3_OK);
    body = upload(signatures, "x-amz-checksum-crc32c:sOO8/Q==\r\n" TRAILER_SIGNATURE);
    OK(decode(CHUNKED_SIGNED_TRAILER, &s, body, 333, &got) == S3_OK && got == 66560);
    body = upload(signatures,
                  "x-amz-checksum-crc32c:sOO8/Q==\n\r\n" TRAILER_SIGNATURE); // as some clients write it
    OK(decode(CHUNKED_SIGNED_TRAILER, &s, body, 333, &got) == S3_OK);
    body = upload(signatures, "x-amz-checksum-crc32c:sOO8/A==\r\n" TRAILER_SIGNATURE);
    OK(decode(CHUNKED_SIGNED_TRAILER, &s, body, 333, &got) == S3_SIGNATURE);
    body = upload(signatures, "");
    OK(decode(CHUNKED_SIGNED_TRAILER, &s, body, 333, &got) == S3_SIGNATURE);
    arena_fini(&a);
}

TEST(unsigned_trailers_are_read)
{
    int64_t got;

    OK(decode(CHUNKED_UNSIGNED_TRAILER, NULL,
              STR("5\r\nhello\r\n0\r\nx-amz-checksum-crc32c:mnG7TA==\r\n\r\n"), 3, &got) == S3_OK);
    OK(got == 5);
    OK(decode(CHUNKED_UNSIGNED_TRAILER, NULL,
              STR("5\r\nhello\r\n0\r\nX-Amz-Checksum-CRC32C: mnG7TA==\n\r\n\r\n"), 99, &got) == S3_OK);
    OK(decode(CHUNKED_UNSIGNED_TRAILER, NULL, STR("5\r\nhello\r\n0\r\n\r\n"), 3, &got) == S3_BAD_DIGEST);
    OK(decode(CHUNKED_UNSIGNED_TRAILER, NULL, STR("5\r\nhelloX\r\n"), 3, &got) == S3_INVALID_REQUEST);
    OK(decode(CHUNKED_UNSIGNED_TRAILER, NULL, STR("-5\r\n"), 3, &got) == S3_INVALID_REQUEST);
    OK(decode(CHUNKED_UNSIGNED_TRAILER, NULL, STR("ffffffffffffffff\r\n"), 30, &got) == S3_INVALID_REQUEST);
    OK(decode(CHUNKED_UNSIGNED_TRAILER, NULL, STR("5\r\nhel"), 3, &got) == S3_INCOMPLETE_BODY);
    arena_fini(&a);
}

/* ---- checksums: "123456789" and their catalogued values ---- */

TEST(checksums_have_their_catalogued_values)
{
    static const char *const want[] = {
        [CHECKSUM_CRC32] = "y/Q5Jg==",         // cbf43926
        [CHECKSUM_CRC32C] = "4waSgw==",        // e3069283
        [CHECKSUM_CRC64NVME] = "rosUhgp5mIg=", // ae8b14860a799888
        [CHECKSUM_SHA1] = "98O8HYCOBHMq32eZZczDTKeuNEE=",
        [CHECKSUM_SHA256] = "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=",
    };

    for (int k = 0; k < CHECKSUM_KINDS; k++) {
        struct buf b = buf_make(100);
        struct checksum c;

        checksum_init(&c, (enum checksum_kind)k);
        checksum_add(&c, STR("123"));
        checksum_add(&c, STR("456789"));
        checksum_end(&c, &b);
        printf("# %s %.*s\n", checksum_header((enum checksum_kind)k), STR_ARG(buf_view(&b)));
        OK(str_is(buf_view(&b), want[k]));
        buf_fini(&b);
        checksum_fini(&c);
    }
}

/* ---- ranges, dates, conditions ---- */

TEST(ranges_are_read)
{
    static const struct {
        const char *text;
        int64_t size;
        enum s3_code code;
        bool given;
        int64_t at, n;
    } rows[] = {
        {"bytes=0-9", 100, S3_OK, true, 0, 10},          {"bytes=90-", 100, S3_OK, true, 90, 10},
        {"bytes=-5", 100, S3_OK, true, 95, 5},           {"bytes=-500", 100, S3_OK, true, 0, 100},
        {"bytes=0-999", 100, S3_OK, true, 0, 100},       {"bytes=100-", 100, S3_INVALID_RANGE, false, 0, 0},
        {"bytes=0-0", 0, S3_INVALID_RANGE, false, 0, 0}, {"bytes=-0", 100, S3_INVALID_RANGE, false, 0, 0},
        {"bytes=9-1", 100, S3_OK, false, 0, 100},        {"bytes=0-1,5-6", 100, S3_OK, false, 0, 100},
        {"rows=1-2", 100, S3_OK, false, 0, 100},         {"bytes=a-b", 100, S3_OK, false, 0, 100},
        {"bytes=-", 100, S3_OK, false, 0, 100},          {"", 100, S3_OK, false, 0, 100},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct range r;

        printf("# %s\n", rows[i].text);
        OK(range_read(str_of(rows[i].text), rows[i].size, &r) == rows[i].code);
        OK(rows[i].code != S3_OK || (r.given == rows[i].given && r.at == rows[i].at && r.n == rows[i].n));
    }
}

TEST(dates_and_conditions_hold)
{
    char text[HTTP_DATE];
    struct conditions c = {.if_none_match = STR("\"a\", W/\"b\""), .if_modified_since = STR("junk")};
    int64_t us;

    OK(http_date_read(STR("Sun, 06 Nov 1994 08:49:37 GMT"), &us));
    OK(strcmp(http_date(us, text), "Sun, 06 Nov 1994 08:49:37 GMT") == 0);
    OK(!http_date_read(STR("Sunday, 06-Nov-94 08:49:37 GMT"), &us));
    OK(conditions_check(&c, STR("b"), 0) == S3_NOT_MODIFIED);
    OK(conditions_check(&c, STR("c"), 0) == S3_OK);
    c = (struct conditions){.if_match = STR("\"c\""), .if_unmodified_since = str_of(http_date(0, text))};
    OK(conditions_check(&c, STR("c"), UTC_DAY) == S3_OK); // If-Match that holds outweighs the date
    OK(conditions_check(&c, STR("d"), UTC_DAY) == S3_PRECONDITION);
    c = (struct conditions){.if_unmodified_since = str_of(text)};
    OK(conditions_check(&c, STR("c"), UTC_DAY) == S3_PRECONDITION);
    OK(conditions_check(&c, STR("c"), 999999) == S3_OK); // within the second
    c = (struct conditions){.if_modified_since = str_of(text)};
    OK(conditions_check(&c, STR("c"), 0) == S3_NOT_MODIFIED);
}

TEST_MAIN
