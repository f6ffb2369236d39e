/*
 * fetch: an HTTP client for jobs. It blocks.
 *
 *     struct fetch f = {.url = "http://127.0.0.1:8081/subjects", .timeout_ms = 5000};
 *     struct fetch_answer a;
 *     if (!fetch(&f, &arena, &a, e))
 *         return err_wrap(e, "registry");
 *     if (a.status != 200) ...
 *
 * Connections are kept and used again by later calls of any thread. Only http and https; redirects are followed only when asked
 * for, and certificates are checked against the system's.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"

struct fetch_header {
    const char *name, *value;
};

/*
 * AWS Signature Version 4 over the URL, the headers and the hash in x-amz-content-sha256, which the caller gives. The query must be
 * in canonical form: encoded, sorted by name, each name with a '='.
 */
struct fetch_sign {
    const char *region, *service; // "us-east-1", "s3"
    const char *access_key, *secret_key;
};

struct fetch {
    const char *url;
    const char *method; // NULL: GET, or POST when there is a body
    const struct fetch_header *headers;
    size_t header_count;
    struct str body;               // p NULL: none
    int64_t timeout_ms;            // of the whole call; 0: 30 s
    size_t max_bytes;              // of the answer's body; 0: LIMIT_HTTP_BODY
    bool follow;                   // redirects, at most five
    const struct fetch_sign *sign; // NULL: not signed
};

struct fetch_answer {
    int status;
    struct str body, type; // in the arena, with a NUL behind; type: Content-Type, empty when there is none
    struct str head;       // the answer's header lines, the last answer's when redirects were followed
};

/* A header of the answer, in any case; STR_NULL when absent. */
struct str fetch_header(const struct fetch_answer *a, const char *name);

/*
 * True when the server answered, whatever the status. ERR_REMOTE: it could not be reached or broke off; ERR_TIMEOUT;
 * ERR_LIMIT: the body is over max_bytes; ERR_INVALID: the URL is not one.
 */
bool fetch(const struct fetch *f, struct arena *a, struct fetch_answer *out, struct err *e) MUST_CHECK;
