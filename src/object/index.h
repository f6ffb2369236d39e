/*
 * index: the rows of the object store, in SQLite.
 *
 * Which bytes a key has now is one row of `objects`; docs/formats.md has every table. Keys are BLOBs, so SQLite compares them
 * byte by byte, which is the order S3 lists in. The database runs in WAL mode with synchronous=FULL: a committed row
 * is on disk.
 *
 * Any thread may read: connections are lent from a small pool. One thread at a time may write (local.c's leader of the
 * moment): index_commit() takes a list of writes and makes them durable in one transaction. Each write succeeds or is
 * refused alone (a bucket that is not there, a condition that does not hold); when the disk fails, all of them fail.
 */
#pragma once

#include "object/object_int.h"

struct index;
struct os;

struct index_object {
    int64_t blob; // number of the file with the bytes
    int64_t size_bytes, modified_us;
    struct str etag;
    struct str meta; // packed by meta_pack()
};

enum index_kind {
    INDEX_BUCKET_CREATE, // bucket
    INDEX_BUCKET_DELETE, // bucket, must have no objects; its uploads end
    INDEX_PUT,           // bucket, key, object, conditions
    INDEX_DELETE,        // bucket, key; nothing there is fine
    INDEX_UPLOAD,        // upload of bucket, key; object.meta, object.modified_us
    INDEX_PART,          // upload, part, object
    INDEX_COMPLETE,      // upload, object, conditions: the upload becomes an object
    INDEX_ABORT,         // upload
    INDEX_RESERVE,       // numbers below `reserve` may be in use from now on
    INDEX_KINDS
};

struct index_write {
    enum index_kind kind;
    struct str bucket, key, upload;
    int part;
    int64_t reserve;
    struct index_object object;
    bool only_if_absent;
    struct str only_if_etag; // "*": any
    bool takes_part;         // INDEX_COMPLETE: the object's blob is that of `part`, which must be there still
    /* What came of it. */
    bool ok;
    struct err e;
    int64_t *freed; // blobs whose files may go now; the caller's to mem_free()
    size_t freed_count, freed_cap;
    /* local.c's queue. */
    bool done;
    bool in_doubt; // it failed, but a crash now could still show it: its file must stay for a while
    struct index_write *next;
};

bool index_open(struct os *os, const char *path, struct index **out, struct err *e) MUST_CHECK;
void index_close(struct index *x); // NULL does nothing

/* State at the start: no blob below *floor is unknown to the rows, none from *reserved on was ever used; files to remove. */
bool index_state(struct index *x, int64_t *floor, int64_t *reserved, int64_t **garbage, size_t *count,
                 struct err *e) MUST_CHECK;
bool index_knows_blob(struct index *x, int64_t blob, bool *yes, struct err *e) MUST_CHECK;

/*
 * True: each write has its ok and e. False: nothing of the list is there, e says why; ERR_FULL means that nothing ever will
 * be, after other failures a crash may still bring it back until the next commit that works. One caller at a time.
 */
struct index_settled {
    int64_t floor;          // 0: as it is
    const int64_t *removed; // garbage whose files are gone
    size_t removed_count;
};
bool index_commit(struct index *x, struct index_write *list, const struct index_settled *s,
                  struct err *e) MUST_CHECK;

bool index_has_bucket(struct index *x, struct str bucket, bool *yes, struct err *e) MUST_CHECK;
bool index_buckets(struct index *x, struct arena *a, struct object_bucket **out, size_t *count,
                   struct err *e) MUST_CHECK;
bool index_find(struct index *x, struct str bucket, struct str key, struct arena *a, struct index_object *out,
                struct err *e) MUST_CHECK; // ERR_NOT_FOUND
bool index_list(struct index *x, struct str bucket, const struct object_list_options *o, struct arena *a,
                struct object_listing *out, struct err *e) MUST_CHECK;
/* The upload, which must be of this bucket and key; meta in a. ERR_NOT_FOUND. */
bool index_find_upload(struct index *x, const struct object_upload *u, struct arena *a, struct str *meta,
                       struct err *e) MUST_CHECK;
bool index_parts(struct index *x, struct str upload, struct arena *a, struct object_part **parts,
                 int64_t **blobs, size_t *count, struct err *e) MUST_CHECK;
bool index_uploads(struct index *x, struct str bucket, struct arena *a, struct object_upload_info **out,
                   size_t *count, struct err *e) MUST_CHECK;
