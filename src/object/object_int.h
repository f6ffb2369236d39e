/*
 * object_int: what the files of this folder share.
 *
 * `struct blob_ops` is the table that a store fills: local.c and multipart.c for this machine's disk, remote.c for an
 * S3 by URL. object.c checks the arguments once for both, and builds on the table what can be built on it.
 */
#pragma once

#include "base/buf.h"
#include "object/object.h"

struct blob_ops {
    void (*close)(struct blobs *b);
    bool (*bucket_create)(struct blobs *b, struct str name, struct err *e);
    bool (*bucket_exists)(struct blobs *b, struct str name, bool *yes, struct err *e);
    bool (*bucket_delete)(struct blobs *b, struct str name, struct err *e);
    bool (*bucket_list)(struct blobs *b, struct arena *a, struct object_bucket **out, size_t *count,
                        struct err *e);
    bool (*put_begin)(struct blobs *b, struct str bucket, struct str key, const struct object_put_options *o,
                      struct object_put **out, struct err *e);
    bool (*put_write)(struct object_put *p, struct str bytes, struct err *e);
    void (*put_meta)(struct object_put *p, struct str name, struct str value);
    bool (*put_commit)(struct object_put *p, struct arena *a, struct object_info *info, struct err *e);
    void (*put_abort)(struct object_put *p);
    bool (*put_file)(struct blobs *b, struct str bucket, struct str key, const char *path,
                     int64_t *size_bytes, struct err *e);
    bool (*head)(struct blobs *b, struct str bucket, struct str key, struct arena *a,
                 struct object_info *info, struct err *e);
    bool (*get_open)(struct blobs *b, struct str bucket, struct str key, struct arena *a,
                     struct object_info *info, struct object_get **out, struct err *e);
    ssize_t (*get_read)(struct object_get *g, void *p, size_t n, int64_t at, struct err *e);
    int (*get_fd)(struct object_get *g);
    const char *(*get_path)(struct object_get *g);
    void (*get_close)(struct object_get *g);
    bool (*list)(struct blobs *b, struct str bucket, const struct object_list_options *o, struct arena *a,
                 struct object_listing *out, struct err *e);
    bool (*remove)(struct blobs *b, struct str bucket, struct str key, struct err *e);
    void (*remove_many)(struct blobs *b, struct str bucket, const struct str *keys, size_t count,
                        struct err *each); // NULL: one after the other
    bool (*upload_begin)(struct blobs *b, struct object_upload *u, const struct object_put_options *o,
                         struct arena *a, struct err *e);
    bool (*upload_part)(struct blobs *b, const struct object_upload *u, int number,
                        const struct object_put_options *o, struct object_put **out, struct err *e);
    bool (*upload_parts)(struct blobs *b, const struct object_upload *u, struct arena *a,
                         struct object_part **parts, size_t *count, struct err *e);
    bool (*upload_complete)(struct blobs *b, const struct object_upload *u, const struct object_complete *c,
                            struct arena *a, struct object_info *info, struct err *e);
    bool (*upload_abort)(struct blobs *b, const struct object_upload *u, struct err *e);
    bool (*upload_list)(struct blobs *b, struct str bucket, struct arena *a, struct object_upload_info **out,
                        size_t *count, struct err *e);
};

/* First members of what a store's own structs begin with. */
struct blobs {
    const struct blob_ops *ops;
};
struct object_put {
    const struct blob_ops *ops;
};
struct object_get {
    const struct blob_ops *ops;
};

/* Headers kept with an object, as one value: count, then name and value of each with their lengths as varints. */
void meta_pack(struct buf *out, const struct object_meta *meta, size_t count);
bool meta_unpack(struct str packed, struct arena *a, struct object_meta **meta, size_t *count,
                 struct err *e) MUST_CHECK;
