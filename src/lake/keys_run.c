#include "base/be.h"
#include "base/crc.h"
#include "base/limits.h"
#include "base/mem.h"
#include "lake/keys_int.h"
#include "os/os.h"

#include <fcntl.h>

/*
 * Foot of a run, at the end of the file: "tarnkeys", u32 version, u32 CRC of table and the rest of the foot, u64 entries,
 * u64 blocks. Table in front of it: for each block u64 upper half of its first key, u32 CRC of the block.
 */
enum { FOOT = 32, TABLE_ROW = 12, VERSION = 1, WRITE_AT_ONCE = 64 * KEY_BLOCK_BYTES };

/* ---- reading ---- */

static bool read_table(struct key_run *r, int64_t size, struct err *e)
{
    uint8_t foot[FOOT];
    if (size < FOOT)
        return err_set(e, ERR_CORRUPT, "%s: no foot", r->path);
    if (!os_read(r->os, r->fd, foot, FOOT, size - FOOT, e))
        return err_wrap(e, "%s", r->path);
    r->entries = be_get64(foot + 16);
    r->blocks = (size_t)be_get64(foot + 24);
    if (memcmp(foot, "tarnkeys", 8) != 0 || be_get32(foot + 8) != VERSION ||
        r->entries > (uint64_t)size / KEY_ENTRY || r->blocks != (r->entries + KEY_BLOCK - 1) / KEY_BLOCK ||
        (uint64_t)size != r->entries * KEY_ENTRY + r->blocks * TABLE_ROW + FOOT)
        return err_set(e, ERR_CORRUPT, "%s: its foot does not fit the file", r->path);
    size_t n = r->blocks * TABLE_ROW;
    uint8_t *table = mem_alloc(n + 1);
    bool ok = os_read(r->os, r->fd, table, n, (int64_t)(r->entries * KEY_ENTRY), e);
    if (ok && crc32c(crc32c(0, table, n), foot + 16, FOOT - 16) != be_get32(foot + 12))
        ok = err_set(e, ERR_CORRUPT, "%s: the table's checksum is wrong", r->path);
    r->first = MEM_ARRAY(uint64_t, r->blocks + 1);
    r->crc = MEM_ARRAY(uint32_t, r->blocks + 1);
    for (size_t i = 0; ok && i < r->blocks; i++) {
        r->first[i] = be_get64(table + i * TABLE_ROW);
        r->crc[i] = be_get32(table + i * TABLE_ROW + 8);
    }
    mem_free(table);
    return ok;
}

bool run_open(struct os *os, const char *path, struct key_run **out, struct err *e)
{
    struct key_run *r = MEM_NEW(struct key_run);
    int64_t size;
    r->refs = 1;
    r->os = os;
    r->path = mem_str(path);
    r->fd = os_open(os, path, O_RDONLY, e);
    if (r->fd < 0 || !os_size(os, path, &size, e) || !read_table(r, size, e)) {
        run_unref(r);
        return false;
    }
    *out = r;
    return true;
}

struct key_run *run_ref(struct key_run *r)
{
    atomic_fetch_add(&r->refs, 1);
    return r;
}

void run_unref(struct key_run *r)
{
    if (!r || atomic_fetch_sub(&r->refs, 1) > 1)
        return;
    os_close(r->os, r->fd);
    if (r->doomed)
        r->os->unlink(r->os, r->path); // what stays is removed by keys_tidy()
    mem_free(r->path);
    mem_free(r->first);
    mem_free(r->crc);
    mem_free(r);
}

static void entry_get(const uint8_t *p, struct key_entry *out)
{
    *out = (struct key_entry){
        .key = {be_get64(p), be_get64(p + 8)},
        .at = {be_get32(p + 16), be_get32(p + 20)},
    };
}

int run_block(struct key_run *r, size_t i, uint8_t *bytes, struct key_entry *out, struct err *e)
{
    size_t n = i + 1 < r->blocks ? KEY_BLOCK : (size_t)(r->entries - (uint64_t)i * KEY_BLOCK);
    if (!os_read(r->os, r->fd, bytes, n * KEY_ENTRY, (int64_t)i * KEY_BLOCK_BYTES, e))
        return -1;
    if (crc32c(0, bytes, n * KEY_ENTRY) != r->crc[i]) {
        err_set(e, ERR_CORRUPT, "%s: the checksum of block %zu is wrong", r->path, i);
        return -1;
    }
    for (size_t k = 0; k < n; k++)
        entry_get(bytes + k * KEY_ENTRY, &out[k]);
    return (int)n;
}

/* ---- writing ---- */

bool run_create(struct run_writer *w, struct os *os, const char *path, struct err *e)
{
    *w = (struct run_writer){.os = os,
                             .path = mem_str(path),
                             .block = buf_make((size_t)2 * WRITE_AT_ONCE),
                             .table = buf_make(1024 * MIB)};
    w->fd = os_open(os, path, O_RDWR | O_CREAT | O_TRUNC, e);
    return w->fd >= 0;
}

static bool write_out(struct run_writer *w, struct err *e)
{
    if (!os_write(w->os, w->fd, w->block.p, w->block.n, w->at, e))
        return err_wrap(e, "write %s", w->path);
    w->at += (int64_t)w->block.n;
    buf_reset(&w->block);
    return true;
}

static void end_block(struct run_writer *w)
{
    size_t n = w->in_block * KEY_ENTRY;
    const uint8_t *p = w->block.p + w->block.n - n;
    buf_i64(&w->table, (int64_t)be_get64(p));
    buf_i32(&w->table, (int32_t)crc32c(0, p, n));
    w->in_block = 0;
}

bool run_put(struct run_writer *w, const struct key_entry *entry, struct err *e)
{
    buf_i64(&w->block, (int64_t)entry->key.a);
    buf_i64(&w->block, (int64_t)entry->key.b);
    buf_i32(&w->block, (int32_t)entry->at.file);
    buf_i32(&w->block, (int32_t)entry->at.pos);
    w->entries++;
    if (++w->in_block == KEY_BLOCK)
        end_block(w);
    return w->block.n < WRITE_AT_ONCE || w->in_block > 0 || write_out(w, e);
}

bool run_finish(struct run_writer *w, struct key_run **out, struct err *e)
{
    if (w->in_block > 0)
        end_block(w);
    struct buf foot = buf_make(64);
    buf_i64(&foot, (int64_t)w->entries);
    buf_i64(&foot, (int64_t)(w->table.n / TABLE_ROW));
    uint32_t crc = crc32c(crc32c(0, w->table.p ? w->table.p : foot.p, w->table.n), foot.p, foot.n);
    if (!buf_ok(&w->table))
        return err_set(e, ERR_LIMIT, "%s: too many keys for one run", w->path);
    bool ok = write_out(w, e);
    w->block.max = w->table.max + FOOT;
    buf_str(&w->block, buf_view(&w->table));
    buf_str(&w->block, STR("tarnkeys"));
    buf_i32(&w->block, VERSION);
    buf_i32(&w->block, (int32_t)crc);
    buf_str(&w->block, buf_view(&foot));
    buf_fini(&foot);
    ok = ok && write_out(w, e) && os_sync(w->os, w->fd, e) && run_open(w->os, w->path, out, e);
    if (ok) {
        os_close(w->os, w->fd);
        w->fd = -1;
        mem_free(w->path);
        w->path = NULL;
        buf_fini(&w->block);
        buf_fini(&w->table);
    }
    return ok;
}

void run_abort(struct run_writer *w)
{
    if (!w->path)
        return;
    os_close(w->os, w->fd);
    if (w->fd >= 0)
        w->os->unlink(w->os, w->path);
    mem_free(w->path);
    buf_fini(&w->block);
    buf_fini(&w->table);
    *w = (struct run_writer){.fd = -1};
}
