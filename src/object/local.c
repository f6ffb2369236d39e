#include "object/local.h"

#include "base/mem.h"
#include "os/os.h"

#include <assert.h>
#include <fcntl.h>

/* ---- committing in groups ---- */

enum {
    FLOOR_STEP = 256
}; // the floor is written when it rose by so much: a start looks at no more files than that

static bool sync_folders(struct local *l, const struct index_write *group, struct err *e)
{
    int64_t last = -1;

    for (const struct index_write *w = group; w; w = w->next) {
        int64_t block = w->object.blob / FILES_BLOCK;

        if (w->object.blob == 0 ||
            block == last) // numbers are given in order, so most groups have one folder
            continue;
        if (!files_sync_folder(l->files, w->object.blob, e))
            return false;
        last = block;
    }
    return true;
}

static void fail_group(struct index_write *group, const struct err *why)
{
    for (struct index_write *w = group; w; w = w->next) {
        w->ok = false;
        w->e = *why;
    }
}

/* A commit worked, so what failed before it can never come back: its frames in the WAL are overwritten. */
static void drop_doubtful(struct local *l)
{
    for (size_t i = 0; i < l->doubtful_count; i++)
        files_drop(l->files, l->doubtful[i]);
    l->doubtful_count = 0;
}

static void doubt_group(struct local *l, struct index_write *group)
{
    for (struct index_write *w = group; w; w = w->next) {
        if (w->object.blob == 0 || w->takes_part) // a part's file stays whatever becomes of it
            continue;
        w->in_doubt = true;
        MEM_PUSH_ROOM(l->doubtful, l->doubtful_count, l->doubtful_cap);
        l->doubtful[l->doubtful_count++] = w->object.blob;
    }
}

static void lead(struct local *l, struct index_write *group)
{
    struct index_settled s = {.floor = files_floor(l->files)};
    int64_t *removed;
    struct err e;

    if (!sync_folders(l, group, &e)) {
        fail_group(group, &e);
        return;
    }
    if (s.floor < l->floor_written + FLOOR_STEP)
        s.floor = 0;
    removed = files_take_removed(l->files, &s.removed_count);
    s.removed = removed;
    if (index_commit(l->index, group, &s, &e)) {
        if (s.floor > 0)
            l->floor_written = s.floor;
        drop_doubtful(l);
        mem_free(removed);
        return;
    }
    files_give_removed(l->files, removed, s.removed_count);
    if (e.kind != ERR_FULL)
        doubt_group(l, group);
}

/* Puts the list of writes that begins at w in the queue and comes back when all are done. */
static void write_all(struct local *l, struct index_write *w)
{
    struct index_write *last = w;

    while (last->next)
        last = last->next;
    mutex_lock(&l->lock);
    *l->waiting_end = w;
    l->waiting_end = &last->next;
    while (!last->done) { // a list stays together, so its last is done with its first
        struct index_write *group = l->waiting;

        if (l->leading) {
            cond_wait(&l->changed, &l->lock);
            continue;
        }
        l->leading = true;
        l->waiting = NULL;
        l->waiting_end = &l->waiting;
        mutex_unlock(&l->lock);
        lead(l, group);
        mutex_lock(&l->lock);
        l->leading = false;
        for (; group; group = group->next)
            group->done = true;
        cond_broadcast(&l->changed);
    }
    mutex_unlock(&l->lock);
}

bool local_write(struct local *l, struct index_write *w, struct err *e)
{
    write_all(l, w);
    files_free(l->files, w->freed, w->freed_count);
    mem_free(w->freed);
    if (!w->ok)
        *e = w->e;
    return w->ok;
}

static bool reserve(void *arg, int64_t to, struct err *e)
{
    struct index_write w = {.kind = INDEX_RESERVE, .reserve = to};

    return local_write(arg, &w, e);
}

/* ---- buckets ---- */

static bool local_bucket_create(struct blobs *b, struct str name, struct err *e)
{
    struct local *l = local_of(b);
    struct index_write w = {
        .kind = INDEX_BUCKET_CREATE, .bucket = name, .object.modified_us = l->os->wall_us(l->os)};

    return local_write(l, &w, e);
}

static bool local_bucket_exists(struct blobs *b, struct str name, bool *yes, struct err *e)
{
    return index_has_bucket(local_of(b)->index, name, yes, e);
}

static bool local_bucket_delete(struct blobs *b, struct str name, struct err *e)
{
    struct index_write w = {.kind = INDEX_BUCKET_DELETE, .bucket = name};

    return local_write(local_of(b), &w, e);
}

static bool local_bucket_list(struct blobs *b, struct arena *a, struct object_bucket **out, size_t *count,
                              struct err *e)
{
    return index_buckets(local_of(b)->index, a, out, count, e);
}

/* ---- put ---- */

static struct local_put *put_of(struct object_put *p)
{
    return (struct local_put *)p;
}

bool local_put_new(struct local *l, struct str bucket, struct str key, const struct object_put_options *o,
                   struct local_put **out, struct err *e)
{
    struct local_put *p = MEM_NEW(struct local_put);
    char path[FILES_PATH];

    p->base.ops = l->base.ops;
    p->l = l;
    p->fd = -1;
    if (!files_number(l->files, &p->number, e)) {
        mem_free(p);
        return false;
    }
    p->md5 = EVP_MD_CTX_new();
    if (!p->md5 || EVP_DigestInit_ex(p->md5, EVP_md5(), NULL) != 1) {
        local_put_free(p, true);
        return err_set(e, ERR_UNSUPPORTED, "OpenSSL has no MD5 here, which ETags of objects need");
    }
    p->fd = os_open(l->os, files_path(l->files, p->number, path), O_RDWR | O_CREAT | O_TRUNC, e);
    if (p->fd < 0) {
        local_put_free(p, true);
        return false;
    }
    p->bucket = arena_str(&p->arena, bucket);
    p->key = arena_str(&p->arena, key);
    for (size_t i = 0; o && i < o->meta_count; i++)
        object_put_meta(&p->base, o->meta[i].name, o->meta[i].value);
    if (o) {
        p->only_if_absent = o->only_if_absent;
        p->only_if_etag = arena_str(&p->arena, o->only_if_etag);
        p->content_md5 = arena_str(&p->arena, o->content_md5);
    }
    *out = p;
    return true;
}

void local_put_free(struct local_put *p, bool drop_file)
{
    os_close(p->l->os, p->fd);
    if (drop_file)
        files_drop(p->l->files, p->number);
    EVP_MD_CTX_free(p->md5);
    mem_free(p->meta);
    arena_fini(&p->arena);
    mem_free(p);
}

static bool local_put_begin(struct blobs *b, struct str bucket, struct str key,
                            const struct object_put_options *o, struct object_put **out, struct err *e)
{
    struct local *l = local_of(b);
    struct local_put *p;
    bool there;

    if (!index_has_bucket(l->index, bucket, &there, e))
        return false;
    if (!there) // said before the bytes come; the commit looks again
        return err_set(e, ERR_NOT_FOUND, "no bucket %.*s", STR_ARG(bucket));
    if (!local_put_new(l, bucket, key, o, &p, e))
        return false;
    *out = &p->base;
    return true;
}

static bool local_put_write(struct object_put *base, struct str bytes, struct err *e)
{
    struct local_put *p = put_of(base);

    if (!os_write(p->l->os, p->fd, bytes.p, bytes.n, p->at, e))
        return false;
    p->at += (int64_t)bytes.n;
    return EVP_DigestUpdate(p->md5, bytes.p, bytes.n) == 1 || err_set(e, ERR_IO, "MD5");
}

static void local_put_meta(struct object_put *base, struct str name, struct str value)
{
    struct local_put *p = put_of(base);

    MEM_PUSH_ROOM(p->meta, p->meta_count, p->meta_cap);
    p->meta[p->meta_count++] = (struct object_meta){arena_str(&p->arena, name), arena_str(&p->arena, value)};
}

/* The write that makes p's bytes, synced already, an object or a part. */
static bool put_row(struct local_put *p, struct index_write *w, struct buf *meta, struct err *e)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    struct buf hex = buf_make(64);

    if (EVP_DigestFinal_ex(p->md5, digest, &n) != 1)
        return err_set(e, ERR_IO, "MD5");
    if (p->content_md5.p && !str_eq(p->content_md5, str_from(digest, n)))
        return err_set(e, ERR_INVALID, "the content's MD5 is not the one that was announced");
    meta_pack(meta, p->meta, p->meta_count);
    if (!buf_ok(meta))
        return err_set(e, ERR_LIMIT, "headers of object %.*s have over %d bytes", STR_ARG(p->key),
                       LOCAL_META_MAX);
    buf_hex(&hex, digest, n);
    *w = (struct index_write){
        .kind = p->upload.p ? INDEX_PART : INDEX_PUT,
        .bucket = p->bucket,
        .key = p->key,
        .upload = p->upload,
        .part = p->part,
        .object = {.blob = p->number,
                   .size_bytes = p->at,
                   .modified_us = p->l->os->wall_us(p->l->os),
                   .etag = arena_str(&p->arena, buf_view(&hex)),
                   .meta = buf_view(meta)},
        .only_if_absent = p->only_if_absent,
        .only_if_etag = p->only_if_etag,
    };
    buf_fini(&hex);
    return true;
}

static void info_of(struct local_put *p, const struct index_write *w, struct arena *a,
                    struct object_info *info)
{
    *info = (struct object_info){
        .key = arena_str(a, p->key),
        .size_bytes = w->object.size_bytes,
        .modified_us = w->object.modified_us,
        .etag = arena_str(a, w->object.etag),
        .meta_count = p->meta_count,
        .meta = ARENA_ARRAY(a, struct object_meta, p->meta_count),
    };
    for (size_t i = 0; i < p->meta_count; i++)
        info->meta[i] = (struct object_meta){arena_str(a, p->meta[i].name), arena_str(a, p->meta[i].value)};
}

/* Durable when true; in doubt, p's file must be left where it is. */
static bool commit_file(struct local_put *p, struct arena *a, struct object_info *info, bool *in_doubt,
                        struct err *e)
{
    struct buf meta = buf_make(LOCAL_META_MAX);
    struct index_write w = {0};
    bool ok = os_sync(p->l->os, p->fd, e) && put_row(p, &w, &meta, e) && local_write(p->l, &w, e);

    if (ok)
        files_settle(p->l->files, p->number);
    if (ok)
        info_of(p, &w, a, info);
    *in_doubt = w.in_doubt;
    buf_fini(&meta);
    return ok;
}

static bool local_put_commit(struct object_put *base, struct arena *a, struct object_info *info,
                             struct err *e)
{
    struct local_put *p = put_of(base);
    bool in_doubt, ok = commit_file(p, a, info, &in_doubt, e);

    local_put_free(p, !ok && !in_doubt);
    return ok;
}

static void local_put_abort(struct object_put *p)
{
    local_put_free(put_of(p), true);
}

/* Hashes what is in p's file. */
static bool hash_file(struct local_put *p, struct err *e)
{
    char *piece = mem_alloc(LOCAL_COPY);
    ssize_t got;

    p->at = 0;
    while ((got = os_read_some(p->l->os, p->fd, piece, LOCAL_COPY, p->at, e)) > 0) {
        (void)EVP_DigestUpdate(p->md5, piece, (size_t)got);
        p->at += got;
    }
    mem_free(piece);
    return got == 0;
}

static bool copy_in(struct local_put *p, int fd, struct err *e)
{
    char *piece = mem_alloc(LOCAL_COPY);
    ssize_t got;
    bool ok = true;

    while (ok && (got = os_read_some(p->l->os, fd, piece, LOCAL_COPY, p->at, e)) != 0)
        ok = got > 0 && local_put_write(&p->base, str_from(piece, (size_t)got), e);
    mem_free(piece);
    return ok;
}

/* p's file becomes the one at path: moved, or copied from another file system. Takes fd, which is open on it. */
static bool move_in(struct local_put *p, const char *path, int fd, bool *moved, struct err *e)
{
    struct os *os = p->l->os;
    char to[FILES_PATH];
    bool ok;

    *moved = os->rename(os, path, files_path(p->l->files, p->number, to)) == 0;
    if (*moved) {
        os_close(os, p->fd);
        p->fd = fd;
        return hash_file(p, e);
    }
    ok = errno == EXDEV ? copy_in(p, fd, e) : err_sys(e, "move %s to %s", path, to);
    os_close(os, fd);
    return ok;
}

static bool local_put_file(struct blobs *b, struct str bucket, struct str key, const char *path,
                           int64_t *size_bytes, struct err *e)
{
    struct local *l = local_of(b);
    struct object_put *base;
    struct object_info info;
    struct arena a = {0};
    struct local_put *p;
    char to[FILES_PATH];
    int fd = os_open(l->os, path, O_RDWR, e);
    bool ok, moved, in_doubt = false;

    if (fd < 0 || !local_put_begin(b, bucket, key, NULL, &base, e)) {
        os_close(l->os, fd);
        return false;
    }
    p = put_of(base);
    ok = move_in(p, path, fd, &moved, e) && commit_file(p, &a, &info, &in_doubt, e);
    if (ok)
        *size_bytes = info.size_bytes;
    if (ok && !moved)
        (void)l->os->unlink(l->os,
                            path); // the object is there; what is left behind is its writer's to clear away
    if (!ok && moved && !in_doubt)
        (void)l->os->rename(l->os, files_path(l->files, p->number, to), path);
    local_put_free(p, !ok && !in_doubt);
    arena_fini(&a);
    return ok;
}

/* ---- get ---- */

struct local_get {
    struct object_get base;
    struct local *l;
    int64_t number;
    int fd;
    char path[FILES_PATH];
};

static struct local_get *get_of(struct object_get *g)
{
    return (struct local_get *)g;
}

static bool info_from(const struct index_object *o, struct str key, struct arena *a, struct object_info *info,
                      struct err *e)
{
    *info = (struct object_info){
        .key = arena_str(a, key),
        .size_bytes = o->size_bytes,
        .modified_us = o->modified_us,
        .etag = o->etag,
    };
    return meta_unpack(o->meta, a, &info->meta, &info->meta_count, e);
}

static bool local_head(struct blobs *b, struct str bucket, struct str key, struct arena *a,
                       struct object_info *info, struct err *e)
{
    struct index_object o;

    return index_find(local_of(b)->index, bucket, key, a, &o, e) && info_from(&o, key, a, info, e);
}

/* The file of what the row says now; between the two looks the object may have been replaced, then look again. */
static bool get_file(struct local_get *g, struct str bucket, struct str key, struct arena *a,
                     struct index_object *o, struct err *e)
{
    struct local *l = g->l;

    for (int64_t last = 0;; last = o->blob) {
        if (!index_find(l->index, bucket, key, a, o, e))
            return false;
        if (o->blob == last)
            return err_set(e, ERR_CORRUPT, "file %s of object %.*s is missing", g->path, STR_ARG(key));
        (void)files_path(l->files, o->blob, g->path);
        if (!files_pin(l->files, o->blob))
            continue;
        g->fd = os_open(l->os, g->path, O_RDONLY, e);
        g->number = o->blob;
        if (g->fd >= 0)
            return true;
        files_unpin(l->files, o->blob);
        if (e->kind != ERR_NOT_FOUND)
            return false;
    }
}

static bool local_get_open(struct blobs *b, struct str bucket, struct str key, struct arena *a,
                           struct object_info *info, struct object_get **out, struct err *e)
{
    struct local_get *g = MEM_NEW(struct local_get);
    struct index_object o = {0};

    g->base.ops = b->ops;
    g->l = local_of(b);
    if (!get_file(g, bucket, key, a, &o, e)) {
        mem_free(g);
        return false;
    }
    if (!info_from(&o, key, a, info, e)) {
        object_get_close(&g->base);
        return false;
    }
    *out = &g->base;
    return true;
}

static ssize_t local_get_read(struct object_get *g, void *p, size_t n, int64_t at, struct err *e)
{
    return os_read_some(get_of(g)->l->os, get_of(g)->fd, p, n, at, e);
}

static int local_get_fd(struct object_get *g)
{
    return fcntl(get_of(g)->fd, F_DUPFD_CLOEXEC, 0);
}

static const char *local_get_path(struct object_get *g)
{
    return get_of(g)->path;
}

static void local_get_close(struct object_get *base)
{
    struct local_get *g = get_of(base);

    os_close(g->l->os, g->fd);
    files_unpin(g->l->files, g->number);
    mem_free(g);
}

/* ---- list, delete ---- */

static bool local_list(struct blobs *b, struct str bucket, const struct object_list_options *o,
                       struct arena *a, struct object_listing *out, struct err *e)
{
    return index_list(local_of(b)->index, bucket, o, a, out, e);
}

static bool local_remove(struct blobs *b, struct str bucket, struct str key, struct err *e)
{
    struct index_write w = {.kind = INDEX_DELETE, .bucket = bucket, .key = key};

    return local_write(local_of(b), &w, e);
}

static void local_remove_many(struct blobs *b, struct str bucket, const struct str *keys, size_t count,
                              struct err *each)
{
    struct index_write *list = MEM_ARRAY(struct index_write, count + 1);

    for (size_t i = 0; i < count; i++)
        list[i] = (struct index_write){.kind = INDEX_DELETE,
                                       .bucket = bucket,
                                       .key = keys[i],
                                       .next = i + 1 < count ? &list[i + 1] : NULL};
    if (count > 0)
        write_all(local_of(b), list);
    for (size_t i = 0; i < count; i++) {
        files_free(local_of(b)->files, list[i].freed, list[i].freed_count);
        mem_free(list[i].freed);
        if (!list[i].ok)
            each[i] = list[i].e;
    }
    mem_free(list);
}

/* ---- open, close ---- */

static void local_close(struct blobs *b)
{
    struct local *l = local_of(b);
    struct index_settled s = {0};
    int64_t *removed = NULL;
    struct err e;

    if (l->files) {
        s.floor = files_floor(l->files);
        removed = files_take_removed(l->files, &s.removed_count);
        s.removed = removed;
    }
    if ((s.removed_count > 0 || s.floor > l->floor_written) && !index_commit(l->index, NULL, &s, &e))
        s.removed_count = 0; // the next start does it again
    mem_free(removed);
    files_close(l->files);
    index_close(l->index);
    mem_free(l->doubtful);
    mutex_fini(&l->lock);
    cond_fini(&l->changed);
    mem_free(l->dir);
    mem_free(l);
}

static const struct blob_ops local_ops = {
    .close = local_close,
    .bucket_create = local_bucket_create,
    .bucket_exists = local_bucket_exists,
    .bucket_delete = local_bucket_delete,
    .bucket_list = local_bucket_list,
    .put_begin = local_put_begin,
    .put_write = local_put_write,
    .put_meta = local_put_meta,
    .put_commit = local_put_commit,
    .put_abort = local_put_abort,
    .put_file = local_put_file,
    .head = local_head,
    .get_open = local_get_open,
    .get_read = local_get_read,
    .get_fd = local_get_fd,
    .get_path = local_get_path,
    .get_close = local_get_close,
    .list = local_list,
    .remove = local_remove,
    .remove_many = local_remove_many,
    .upload_begin = local_upload_begin,
    .upload_part = local_upload_part,
    .upload_parts = local_upload_parts,
    .upload_complete = local_upload_complete,
    .upload_abort = local_upload_abort,
    .upload_list = local_upload_list,
};

bool object_open_local(struct os *os, const char *dir, struct blobs **out, struct err *e)
{
    struct local *l = MEM_NEW(struct local);
    char *blobs = mem_fmt("%s/blobs", dir), *path = mem_fmt("%s/index.db", dir);
    bool ok;

    *l = (struct local){.base.ops = &local_ops, .os = os, .dir = mem_str(dir)};
    l->waiting_end = &l->waiting;
    mutex_init(&l->lock);
    cond_init(&l->changed);
    ok = os_make_dirs(os, blobs, e) && os_sync_dir(os, dir, e) && index_open(os, path, &l->index, e) &&
         files_open(os, blobs, l->index, reserve, l, &l->files, e);
    mem_free(blobs);
    mem_free(path);
    if (!ok) {
        local_close(&l->base);
        return err_wrap(e, "open the object store");
    }
    *out = &l->base;
    return true;
}
