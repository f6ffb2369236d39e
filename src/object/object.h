/*
 * object: buckets of objects, the bytes under them and their index.
 *
 * An object is a key (up to 1024 bytes of UTF-8), bytes, an ETag and headers. The bytes of each object lie in a file of
 * their own under a number, never under a path made from the key; which number a key has now is a row of an SQLite index
 * (chosen for many-key look-ups and range scans in byte order). A put is durable when it answers: bytes written and
 * synced, then the row committed; so a reader sees the old object or the new, whole. Files whose row went away are removed
 * after their last reader closed.
 *
 * `struct blobs` is the interface that everything above writes through; object_open_local() is this machine's disk,
 * object_open_remote() any S3 by URL. Rooms above never ask which one it is.
 *
 * All functions may block (call them from jobs or task threads) and may be called from any thread. One object_put or
 * object_get is used by one thread at a time. When the disk is full writing answers ERR_FULL, reading goes on.
 *
 * A bucket that is not there is ERR_NOT_FOUND wherever a bucket is named; bucket_exists() tells it from a missing key.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <sys/types.h>

struct os;
struct blobs;

struct object_meta { // name and value of x-amz-meta- and of the standard headers kept with an object
    struct str name, value;
};

struct object_info {
    struct str key;
    int64_t size_bytes;
    int64_t modified_us; // since 1970
    struct str etag;     // without quotes: hex MD5, or hex-N for multipart
    struct object_meta *meta;
    size_t meta_count;
};

bool object_open_local(struct os *os, const char *dir, struct blobs **out, struct err *e) MUST_CHECK;
struct object_remote {
    const char *url; // "https://s3.example.org:9000"
    const char *region, *access_key, *secret_key;
    bool path_style;
};
bool object_open_remote(const struct object_remote *o, struct blobs **out, struct err *e) MUST_CHECK;
void object_close(struct blobs *b);

/* ---- buckets ---- */

struct object_bucket {
    struct str name;
    int64_t created_us;
};
bool bucket_create(struct blobs *b, struct str name,
                   struct err *e) MUST_CHECK; // ERR_CONFLICT when there; ERR_INVALID: not a bucket name
bool bucket_exists(struct blobs *b, struct str name, bool *yes, struct err *e) MUST_CHECK;
bool bucket_delete(struct blobs *b, struct str name,
                   struct err *e) MUST_CHECK; // ERR_CONFLICT when not empty
bool bucket_list(struct blobs *b, struct arena *a, struct object_bucket **out, size_t *count,
                 struct err *e) MUST_CHECK;

/* ---- put ---- */

struct object_put_options {
    const struct object_meta *meta;
    size_t meta_count;
    bool only_if_absent;     // If-None-Match: *; else ERR_CONFLICT
    struct str only_if_etag; // If-Match, "*": any; else ERR_CONFLICT, or ERR_NOT_FOUND when there is none
    struct str content_md5;  // 16 bytes that must be the MD5 of the content; ERR_INVALID when not
};

struct object_put;
bool object_put_begin(struct blobs *b, struct str bucket, struct str key, const struct object_put_options *o,
                      struct object_put **out, struct err *e) MUST_CHECK;
bool object_put_write(struct object_put *p, struct str bytes, struct err *e) MUST_CHECK;
/* One more header to keep with the object, for what is known only when its bytes have passed (a checksum). */
void object_put_meta(struct object_put *p, struct str name, struct str value);
/* Durable when true. p is freed either way. */
bool object_put_commit(struct object_put *p, struct arena *a, struct object_info *info,
                       struct err *e) MUST_CHECK;
void object_put_abort(struct object_put *p); // frees p; NULL does nothing
/* All at once, for small objects. */
bool object_put_bytes(struct blobs *b, struct str bucket, struct str key, struct str bytes,
                      const struct object_put_options *o, struct err *e) MUST_CHECK;
/*
 * A file that was written elsewhere (by DuckDB) becomes an object: synced, hashed, moved into the store without a copy when it lies on
 * the same file system. The file at path is gone when true.
 */
bool object_put_file(struct blobs *b, struct str bucket, struct str key, const char *path,
                     int64_t *size_bytes, struct err *e) MUST_CHECK;

/* ---- get ---- */

struct object_get;
/* ERR_NOT_FOUND: no such key (or bucket: the message says which). info lives in a. */
bool object_head(struct blobs *b, struct str bucket, struct str key, struct arena *a,
                 struct object_info *info, struct err *e) MUST_CHECK;
bool object_get_open(struct blobs *b, struct str bucket, struct str key, struct arena *a,
                     struct object_info *info, struct object_get **out, struct err *e) MUST_CHECK;
/* Up to n bytes from at; fewer only at the end. -1 on failure. */
ssize_t object_get_read(struct object_get *g, void *p, size_t n, int64_t at, struct err *e) MUST_CHECK;
int object_get_fd(
    struct object_get *g); // a duplicate descriptor of a local object, yours to close; -1 when remote
/* A path that other readers in this process (DuckDB) can open while g is open; NULL when remote. */
const char *object_get_path(struct object_get *g);
void object_get_close(struct object_get *g);
/* The whole of a small object in a. */
bool object_get_bytes(struct blobs *b, struct str bucket, struct str key, size_t max, struct arena *a,
                      struct str *out, struct err *e) MUST_CHECK;

/* ---- list, delete, copy ---- */

struct object_list_options {
    struct str prefix, delimiter, after; // after: keys greater than this, exclusive
    int max;                             // 1 to 1000, prefixes counted too
};
struct object_listing {
    struct object_info *objects; // by key, byte order; meta is not filled in
    size_t object_count;
    struct str *prefixes; // common prefixes, when there is a delimiter
    size_t prefix_count;
    bool more;
    struct str next; // give as `after` for the next page
};
bool object_list(struct blobs *b, struct str bucket, const struct object_list_options *o, struct arena *a,
                 struct object_listing *out, struct err *e) MUST_CHECK;
bool object_delete(struct blobs *b, struct str bucket, struct str key,
                   struct err *e) MUST_CHECK; // an absent one is fine
/* Many in one commit. each[i].kind is ERR_NONE for those that are gone; false when nothing could be tried. */
bool object_delete_many(struct blobs *b, struct str bucket, const struct str *keys, size_t count,
                        struct err *each, struct err *e) MUST_CHECK;

/* ---- multipart ---- */

/* An upload: parts put under a number, in any order and at once, which become an object together. */
struct object_upload {
    struct str bucket, key;
    struct str id; // given by object_upload_begin()
};
struct object_part {
    int number; // 1 to OBJECT_PARTS
    struct str etag;
    int64_t size_bytes;
    int64_t modified_us;
};
enum { OBJECT_PARTS = 10000, OBJECT_PART_MIN = 5 * 1024 * 1024 };

/* Fills u->id, in a. o: headers of the object to be (conditions belong to complete). NULL: none. */
bool object_upload_begin(struct blobs *b, struct object_upload *u, const struct object_put_options *o,
                         struct arena *a, struct err *e) MUST_CHECK;
/* A part is put like an object; a repeated number replaces. o: content_md5 and meta are looked at; NULL: none. */
bool object_upload_part(struct blobs *b, const struct object_upload *u, int number,
                        const struct object_put_options *o, struct object_put **out,
                        struct err *e) MUST_CHECK;
/* By number. ERR_NOT_FOUND: no such upload. */
bool object_upload_parts(struct blobs *b, const struct object_upload *u, struct arena *a,
                         struct object_part **parts, size_t *count, struct err *e) MUST_CHECK;
/*
 * parts as the client lists them, ascending. ERR_INVALID: a part that is not there, with another etag, or out of order;
 * ERR_LIMIT: a part but the last under OBJECT_PART_MIN. o: conditions; NULL: none.
 */
struct object_complete {
    const struct object_part *parts;
    size_t count;
    const struct object_put_options *o;
};
bool object_upload_complete(struct blobs *b, const struct object_upload *u, const struct object_complete *c,
                            struct arena *a, struct object_info *info, struct err *e) MUST_CHECK;
bool object_upload_abort(struct blobs *b, const struct object_upload *u, struct err *e) MUST_CHECK;

struct object_upload_info {
    struct str key, id;
    int64_t started_us;
};
/* Uploads that are under way, by key and id. */
bool object_upload_list(struct blobs *b, struct str bucket, struct arena *a, struct object_upload_info **out,
                        size_t *count, struct err *e) MUST_CHECK;
