/* Multipart uploads of the local store: parts are files with rows of their own until they become an object. */
#include "base/mem.h"
#include "object/local.h"
#include "os/os.h"

#include <fcntl.h>

enum { ID_BYTES = 16 };

bool local_upload_begin(struct blobs *b, struct object_upload *u, const struct object_put_options *o,
                        struct arena *a, struct err *e)
{
    struct local *l = local_of(b);
    struct buf hex = buf_make((size_t)ID_BYTES * 2), meta = buf_make(LOCAL_META_MAX);
    uint8_t id[ID_BYTES];
    struct index_write w = {
        .kind = INDEX_UPLOAD,
        .bucket = u->bucket,
        .key = u->key,
        .object.modified_us = l->os->wall_us(l->os),
    };
    bool ok;

    l->os->random(l->os, id, sizeof id);
    buf_hex(&hex, id, sizeof id);
    w.upload = u->id = arena_str(a, buf_view(&hex));
    meta_pack(&meta, o ? o->meta : NULL, o ? o->meta_count : 0);
    w.object.meta = buf_view(&meta);
    ok = buf_ok(&meta) ? local_write(l, &w, e)
                       : err_set(e, ERR_LIMIT, "headers of object %.*s have over %d bytes", STR_ARG(u->key),
                                 LOCAL_META_MAX);
    buf_fini(&hex);
    buf_fini(&meta);
    return ok;
}

bool local_upload_part(struct blobs *b, const struct object_upload *u, int number,
                       const struct object_put_options *o, struct object_put **out, struct err *e)
{
    struct local *l = local_of(b);
    struct object_put_options only = {.content_md5 = o ? o->content_md5 : STR_NULL};
    struct arena a = {0};
    struct local_put *p;
    struct str meta;
    bool ok =
        index_find_upload(l->index, u, &a, &meta, e) && local_put_new(l, u->bucket, u->key, &only, &p, e);

    arena_fini(&a);
    if (!ok)
        return false;
    p->upload = arena_str(&p->arena, u->id);
    p->part = number;
    *out = &p->base;
    return true;
}

bool local_upload_parts(struct blobs *b, const struct object_upload *u, struct arena *a,
                        struct object_part **parts, size_t *count, struct err *e)
{
    struct index *x = local_of(b)->index;
    int64_t *blobs;
    struct str meta;

    return index_find_upload(x, u, a, &meta, e) && index_parts(x, u->id, a, parts, &blobs, count, e);
}

/* ---- complete ---- */

/* The parts that were chosen, in order. */
struct chosen {
    struct object_part *parts;
    int64_t *blobs;
    size_t count;
    int64_t size_bytes;
    struct str etag; // MD5 of the parts' MD5s, and their count
};

static int nibble(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

static void etag_of(struct chosen *c, struct arena *a)
{
    uint8_t *digests = arena_alloc(a, c->count * 16), all[EVP_MAX_MD_SIZE];
    struct buf hex = buf_make(64);
    unsigned n = 0;

    for (size_t i = 0; i < c->count; i++)
        for (size_t j = 0; j < 16; j++)
            digests[i * 16 + j] =
                (uint8_t)(nibble(c->parts[i].etag.p[2 * j]) << 4 | nibble(c->parts[i].etag.p[2 * j + 1]));
    (void)EVP_Digest(digests, c->count * 16, all, &n, EVP_md5(), NULL);
    buf_hex(&hex, all, n);
    buf_fmt(&hex, "-%zu", c->count);
    c->etag = arena_str(a, buf_view(&hex));
    buf_fini(&hex);
}

static bool choose(struct local *l, const struct object_upload *u, const struct object_complete *want,
                   struct arena *a, struct chosen *out, struct err *e)
{
    struct object_part *have;
    int64_t *blobs;
    size_t have_count, at = 0;

    if (!index_parts(l->index, u->id, a, &have, &blobs, &have_count, e))
        return false;
    if (want->count == 0 || want->count > OBJECT_PARTS)
        return err_set(e, ERR_INVALID, "an upload is completed with 1 to %d parts", OBJECT_PARTS);
    for (size_t i = 1; i < want->count; i++)
        if (want->parts[i].number <= want->parts[i - 1].number)
            return err_set(e, ERR_INVALID, "part %d is listed after part %d", want->parts[i].number,
                           want->parts[i - 1].number);
    *out = (struct chosen){ARENA_ARRAY(a, struct object_part, want->count),
                           ARENA_ARRAY(a, int64_t, want->count), want->count, 0, STR_NULL};
    for (size_t i = 0; i < want->count; i++) {
        const struct object_part *p = &want->parts[i];

        while (at < have_count && have[at].number < p->number)
            at++;
        if (at == have_count || have[at].number != p->number || !str_eq(have[at].etag, p->etag))
            return err_set(e, ERR_INVALID, "part %d is not there with ETag %.*s", p->number,
                           STR_ARG(p->etag));
        out->parts[i] = have[at];
        out->blobs[i] = blobs[at];
        out->size_bytes += have[at].size_bytes;
    }
    for (size_t i = 0; i + 1 < want->count; i++)
        if (out->parts[i].size_bytes < OBJECT_PART_MIN)
            return err_set(e, ERR_LIMIT, "part %d has %lld bytes, all but the last need %d",
                           out->parts[i].number, (long long)out->parts[i].size_bytes, OBJECT_PART_MIN);
    etag_of(out, a);
    return true;
}

static bool append_part(struct local *l, struct local_put *p, int64_t blob, int64_t size, struct err *e)
{
    char path[FILES_PATH], *piece;
    int64_t at = 0;
    bool ok = true;
    int fd;

    if (!files_pin(l->files, blob))
        return err_set(e, ERR_INVALID, "a part was replaced or aborted while the upload was completed");
    fd = os_open(l->os, files_path(l->files, blob, path), O_RDONLY, e);
    piece = mem_alloc(LOCAL_COPY);
    while (fd >= 0 && ok && at < size) {
        size_t n = size - at < LOCAL_COPY ? (size_t)(size - at) : LOCAL_COPY;

        ok = os_read(l->os, fd, piece, n, at, e) && os_write(l->os, p->fd, piece, n, p->at, e);
        at += (int64_t)n;
        p->at += (int64_t)n;
    }
    mem_free(piece);
    os_close(l->os, fd);
    files_unpin(l->files, blob);
    return ok && fd >= 0;
}

/* The bytes of all parts in one new file, synced. A single part's file is taken as it is. */
static bool join(struct local *l, const struct object_upload *u, const struct chosen *c,
                 struct local_put **out, struct err *e)
{
    struct local_put *p;
    bool ok = true;

    *out = NULL;
    if (c->count == 1)
        return true;
    if (!local_put_new(l, u->bucket, u->key, NULL, &p, e))
        return false;
    for (size_t i = 0; ok && i < c->count; i++)
        ok = append_part(l, p, c->blobs[i], c->parts[i].size_bytes, e);
    if (ok && os_sync(l->os, p->fd, e)) {
        *out = p;
        return true;
    }
    local_put_free(p, true);
    return false;
}

bool local_upload_complete(struct blobs *b, const struct object_upload *u, const struct object_complete *want,
                           struct arena *a, struct object_info *info, struct err *e)
{
    struct local *l = local_of(b);
    struct index_write w = {.kind = INDEX_COMPLETE, .bucket = u->bucket, .key = u->key, .upload = u->id};
    struct local_put *p = NULL;
    struct chosen c;
    bool ok;

    if (!index_find_upload(l->index, u, a, &w.object.meta, e) || !choose(l, u, want, a, &c, e) ||
        !join(l, u, &c, &p, e))
        return false;
    w.object.blob = p ? p->number : c.blobs[0];
    w.object.size_bytes = c.size_bytes;
    w.object.modified_us = l->os->wall_us(l->os);
    w.object.etag = c.etag;
    w.takes_part = !p;
    w.part = c.parts[0].number;
    if (want->o) {
        w.only_if_absent = want->o->only_if_absent;
        w.only_if_etag = want->o->only_if_etag;
    }
    ok = local_write(l, &w, e);
    if (p) {
        if (ok)
            files_settle(l->files, p->number);
        local_put_free(p, !ok && !w.in_doubt);
    }
    if (!ok)
        return false;
    *info = (struct object_info){
        .key = u->key,
        .size_bytes = c.size_bytes,
        .modified_us = w.object.modified_us,
        .etag = c.etag,
    };
    return meta_unpack(w.object.meta, a, &info->meta, &info->meta_count, e);
}

bool local_upload_abort(struct blobs *b, const struct object_upload *u, struct err *e)
{
    struct index_write w = {.kind = INDEX_ABORT, .bucket = u->bucket, .key = u->key, .upload = u->id};

    return local_write(local_of(b), &w, e);
}

bool local_upload_list(struct blobs *b, struct str bucket, struct arena *a, struct object_upload_info **out,
                       size_t *count, struct err *e)
{
    return index_uploads(local_of(b)->index, bucket, a, out, count, e);
}
