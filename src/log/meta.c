/* The file meta, and the head that meta, topics and checkpoint share. */
#include "base/be.h"
#include "base/crc.h"
#include "base/rd.h"
#include "log/log_int.h"

#include <assert.h>

enum { VERSION = 1, META_BYTES = 56, ID_BLOCK = 1000 };

void file_begin(struct buf *b, const char *magic, uint32_t version)
{
    buf_put(b, magic, 8);
    buf_i32(b, (int32_t)version);
    buf_i32(b, 0);
}

void file_end(struct buf *b)
{
    assert(buf_ok(b));
    be_put32(b->p + 12, crc32c(0, b->p + FILE_HEAD, b->n - FILE_HEAD));
}

static const char newer[] = "a newer tarn wrote it, so use that one or a later one";
static const char older[] = "an older tarn wrote it, so use that one and copy its topics over (tarn topic "
                            "consume, produce), or begin with an empty data folder";

bool file_open(struct str bytes, const char *magic, const char *path, struct file_body *out, struct err *e)
{
    if (bytes.n < FILE_HEAD || memcmp(bytes.p, magic, 8) != 0)
        return err_set(e, ERR_CORRUPT, "%s is not what its name says (%zu bytes)", path, bytes.n);
    out->version = be_get32(bytes.p + 8);
    if (out->version < out->oldest || out->version > out->known)
        return err_set(e, ERR_UNSUPPORTED, "%s has version %u, this program knows versions %u to %u: %s",
                       path, out->version, out->oldest, out->known,
                       out->version > out->known ? newer : older);
    if (be_get32(bytes.p + 12) != crc32c(0, bytes.p + FILE_HEAD, bytes.n - FILE_HEAD))
        return err_set(e, ERR_CORRUPT, "%s is damaged: wrong checksum", path);
    out->bytes = str_from(bytes.p + FILE_HEAD, bytes.n - FILE_HEAD);
    return true;
}

static bool save(struct log *l, uint64_t run, int64_t producer_end, struct err *e)
{
    struct buf b = buf_make(META_BYTES);
    bool ok;

    file_begin(&b, "tarnmeta", VERSION);
    buf_put(&b, l->cluster_id, 22);
    buf_zero(&b, 2);
    buf_i64(&b, (int64_t)run);
    buf_i64(&b, producer_end);
    file_end(&b);
    ok = file_replace(l, "meta", &b, e);
    buf_fini(&b);
    return ok;
}

/* Kafka's form of a UUID: URL-safe base64 without padding. */
static void make_cluster_id(struct log *l)
{
    struct buf b = buf_make(32);
    uint8_t id[16];

    l->os->random(l->os, id, sizeof id);
    buf_base64(&b, id, sizeof id);
    for (size_t i = 0; i < 22; i++)
        l->cluster_id[i] = b.p[i] == '+' ? '-' : b.p[i] == '/' ? '_' : (char)b.p[i];
    l->cluster_id[22] = 0;
    buf_fini(&b);
}

bool meta_create(struct log *l, struct err *e)
{
    make_cluster_id(l);
    return save(l, 0, 0, e);
}

bool meta_load(struct log *l, struct err *e)
{
    struct arena a = {0};
    const char *path = arena_fmt(&a, "%s/meta", l->dir);
    struct file_body body = {.oldest = VERSION, .known = VERSION};
    struct str bytes, id;
    struct rd r;
    bool ok;

    ok = os_read_file(l->os, path, META_BYTES, &a, &bytes, e) && file_open(bytes, "tarnmeta", path, &body, e);
    if (ok) {
        r = rd_str(body.bytes);
        id = rd_bytes(&r, 22);
        rd_skip(&r, 2);
        l->run = (uint64_t)rd_i64(&r);
        l->producer_next = l->producer_end = rd_i64(&r);
        ok = rd_ok(&r) || err_set(e, ERR_CORRUPT, "%s: %s", path, rd_why(&r));
        if (ok)
            memcpy(l->cluster_id, id.p, id.n);
    }
    arena_fini(&a);
    return ok;
}

bool meta_new_run(struct log *l, struct err *e)
{
    if (!save(l, l->run + 1, l->producer_end, e))
        return false;
    l->run++;
    return true;
}

const char *log_dir(struct log *l)
{
    return l->dir;
}

const char *log_cluster_id(struct log *l)
{
    return l->cluster_id;
}

bool log_new_producer_id(struct log *l, int64_t *id, struct err *e)
{
    bool ok = true;

    admin_take(l);
    if (l->producer_next == l->producer_end) {
        ok = save(l, l->run, l->producer_end + ID_BLOCK, e);
        if (ok)
            l->producer_end += ID_BLOCK;
    }
    if (ok)
        *id = l->producer_next++;
    admin_give(l);
    return ok;
}
