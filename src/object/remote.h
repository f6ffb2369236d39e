/*
 * remote: any S3 as a store, over HTTP.
 *
 * Requests are signed and sent by net/fetch.h. A put gathers up to REMOTE_PART bytes; more makes it a multipart upload whose parts
 * go out as they fill, so memory is bounded and an object appears whole or not at all. A reader gets the bytes of the version
 * it opened (If-Match), a window at a time.
 *
 * remote_ask.c    one request, and what its errors mean
 * remote.c        buckets, get, delete; all of it as a store
 * remote_put.c    put and multipart
 * remote_list.c   what comes back as XML
 */
#pragma once

#include "base/xml.h"
#include "net/fetch.h"
#include "object/object_int.h"

enum { REMOTE_PART = 8 * 1024 * 1024, REMOTE_WINDOW = 1024 * 1024, REMOTE_HEADERS = 48 };

struct remote {
    struct blobs base;
    char *scheme, *host; // "https", "s3.example.org:9000"
    char *region, *access_key, *secret_key;
    bool path_style;
    struct fetch_sign sign;
};

/* One request about to be sent. Zero what is not needed. */
struct remote_ask {
    const char *method;
    struct str bucket, key; // p NULL: none
    const char *query;      // canonical: encoded, sorted, each name with '='; NULL: none
    struct str body;
    const struct fetch_header *headers;
    size_t header_count;
    size_t max_bytes; // of the answer; 0: LIMIT_HTTP_BODY
};

static inline struct remote *remote_of(struct blobs *b)
{
    return (struct remote *)b;
}

/* True only for an answer of 2xx; else the error that S3's code stands for. */
bool remote_ask(struct remote *r, const struct remote_ask *q, struct arena *a, struct fetch_answer *out,
                struct err *e) MUST_CHECK;
/* Last-Modified as an instant; 0 when it is none. */
int64_t remote_date(struct str s);
/* A query's value, encoded. */
const char *remote_encode(struct arena *a, struct str s);

bool remote_put_begin(struct blobs *b, struct str bucket, struct str key, const struct object_put_options *o,
                      struct object_put **out, struct err *e);
bool remote_put_write(struct object_put *put, struct str bytes, struct err *e);
void remote_put_meta(struct object_put *put, struct str name, struct str value);
bool remote_put_commit(struct object_put *put, struct arena *a, struct object_info *info, struct err *e);
void remote_put_abort(struct object_put *put);
bool remote_put_file(struct blobs *b, struct str bucket, struct str key, const char *path,
                     int64_t *size_bytes, struct err *e);
bool remote_upload_begin(struct blobs *b, struct object_upload *u, const struct object_put_options *o,
                         struct arena *a, struct err *e);
bool remote_upload_part(struct blobs *b, const struct object_upload *u, int number,
                        const struct object_put_options *o, struct object_put **out, struct err *e);
bool remote_upload_complete(struct blobs *b, const struct object_upload *u, const struct object_complete *c,
                            struct arena *a, struct object_info *info, struct err *e);
bool remote_upload_abort(struct blobs *b, const struct object_upload *u, struct err *e);

bool remote_bucket_list(struct blobs *b, struct arena *a, struct object_bucket **out, size_t *count,
                        struct err *e);
bool remote_list(struct blobs *b, struct str bucket, const struct object_list_options *o, struct arena *a,
                 struct object_listing *out, struct err *e);
bool remote_upload_parts(struct blobs *b, const struct object_upload *u, struct arena *a,
                         struct object_part **parts, size_t *count, struct err *e);
bool remote_upload_list(struct blobs *b, struct str bucket, struct arena *a, struct object_upload_info **out,
                        size_t *count, struct err *e);
