/* An aws-chunked body: the first byte chooses the framing and how it is cut into pieces; what is cut must not matter. */
#include "s3/chunked.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum s3_code decode(enum chunked_kind kind, const struct sigv4 *s, struct str body, size_t n,
                           int64_t *got)
{
    struct chunked c;
    enum s3_code code = S3_OK;
    int64_t content = 0;

    chunked_init(&c, kind, s);
    while (code == S3_OK && body.n > 0) {
        struct str in = str_from(body.p, body.n < n ? body.n : n), piece;

        body = str_from(body.p + in.n, body.n - in.n);
        while (code == S3_OK && in.n > 0) {
            code = chunked_feed(&c, &in, &piece);
            content += (int64_t)piece.n;
        }
    }
    assert(code != S3_OK || content == c.content_bytes);
    *got = code == S3_OK ? content : 0;
    chunked_fini(&c);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sigv4 s = {
        .date = STR("20130524T000000Z"),
        .scope = STR("20130524/us-east-1/s3/aws4_request"),
        .signature = STR("4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"),
    };
    struct str body;
    enum chunked_kind kind;
    int64_t whole, cut;

    if (size < 1)
        return 0;
    kind = (enum chunked_kind)(data[0] % 3);
    body = str_from(data + 1, size - 1);
    if (decode(kind, &s, body, body.n, &whole) == decode(kind, &s, body, (size_t)data[0] / 3 + 1, &cut))
        assert(whole == cut);
    else
        assert(!"cut otherwise, judged otherwise");
    return 0;
}
