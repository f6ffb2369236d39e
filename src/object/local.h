/*
 * local: the store on this machine's disk, as local.c and multipart.c share it.
 *
 * A put's bytes are written to the file of a new number, hashed on the way and synced by the thread that puts; then its
 * row waits for local_write(). There the first thread that comes leads: it syncs the folders of all the files that wait
 * and commits their rows in one transaction, while those who come meanwhile make up the next group. So many
 * small puts at once share the folder's fsync and the index's.
 */
#pragma once

#include "object/files.h"
#include "object/index.h"
#include "os/thread.h"

#include <openssl/evp.h>

enum { LOCAL_COPY = 256 * 1024, LOCAL_META_MAX = 16 * 1024 };

struct local {
    struct blobs base;
    struct os *os;
    char *dir;
    struct index *index;
    struct files *files;
    struct mutex lock; // guards the three below
    struct cond changed;
    struct index_write *waiting, **waiting_end;
    bool leading;
    /* The leader's. */
    int64_t floor_written;
    int64_t *doubtful; // numbers whose commit failed on the way to the disk
    size_t doubtful_count, doubtful_cap;
};

struct local_put {
    struct object_put base;
    struct local *l;
    struct arena arena;
    struct str bucket, key;
    struct str upload; // p NULL: not a part
    int part;
    int64_t number;
    int fd;
    int64_t at;
    EVP_MD_CTX *md5;
    struct object_meta *meta; // on the heap, its bytes in the arena
    size_t meta_count, meta_cap;
    bool only_if_absent;
    struct str only_if_etag, content_md5;
};

static inline struct local *local_of(struct blobs *b)
{
    return (struct local *)b;
}

/* Durable when true. Files that lost their rows by it are removed. */
bool local_write(struct local *l, struct index_write *w, struct err *e) MUST_CHECK;
/* A new file for bytes to come. o may be NULL. */
bool local_put_new(struct local *l, struct str bucket, struct str key, const struct object_put_options *o,
                   struct local_put **out, struct err *e) MUST_CHECK;
void local_put_free(struct local_put *p, bool drop_file);

bool local_upload_begin(struct blobs *b, struct object_upload *u, const struct object_put_options *o,
                        struct arena *a, struct err *e);
bool local_upload_part(struct blobs *b, const struct object_upload *u, int number,
                       const struct object_put_options *o, struct object_put **out, struct err *e);
bool local_upload_parts(struct blobs *b, const struct object_upload *u, struct arena *a,
                        struct object_part **parts, size_t *count, struct err *e);
bool local_upload_complete(struct blobs *b, const struct object_upload *u, const struct object_complete *c,
                           struct arena *a, struct object_info *info, struct err *e);
bool local_upload_abort(struct blobs *b, const struct object_upload *u, struct err *e);
bool local_upload_list(struct blobs *b, struct str bucket, struct arena *a, struct object_upload_info **out,
                       size_t *count, struct err *e);
