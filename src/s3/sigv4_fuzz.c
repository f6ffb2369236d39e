/* A request line and headers from a stranger: parse the claim, compute the signature. */
#include "s3/sigv4.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_from(data, size), line, word;
    struct http_header headers[32];
    struct sigv4_request q = {.headers = headers};
    struct arena a = {0};
    struct sigv4 s;

    if (str_cut(&rest, '\n', &line) && str_cut(&line, ' ', &q.method)) {
        q.path = str_cut(&line, '?', &word) ? word : STR("/");
        q.query = line;
    }
    while (q.header_count < 32 && str_cut(&rest, '\n', &line))
        if (str_cut(&line, ':', &word))
            headers[q.header_count++] = (struct http_header){word, line};
    if (sigv4_parse(&q, &a, &s) == S3_OK)
        (void)sigv4_verify(&q, &s, STR("secret"), &a);
    arena_fini(&a);
    return 0;
}
