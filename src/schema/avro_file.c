#include "base/limits.h"
#include "schema/avro_int.h"

#include <assert.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

static const char magic[4] = {'O', 'b', 'j', 1};

/* A block may promise this many records of no bytes; more is a trap. */
enum { EMPTY_RECORDS_MAX = 1000000 };

/* ---- writing ---- */

static void put_string(struct buf *out, struct str s)
{
    buf_varint(out, (int64_t)s.n);
    buf_str(out, s);
}

void avro_file_begin(struct buf *out, struct str schema_text, struct str codec,
                     const struct avro_file_meta *meta, size_t meta_count, const uint8_t sync[AVRO_SYNC])
{
    buf_put(out, magic, sizeof magic);
    buf_varint(out, (int64_t)meta_count + 2);
    put_string(out, STR("avro.schema"));
    put_string(out, schema_text);
    put_string(out, STR("avro.codec"));
    put_string(out, codec);
    for (size_t i = 0; i < meta_count; i++) {
        put_string(out, meta[i].key);
        put_string(out, meta[i].value);
    }
    buf_varint(out, 0);
    buf_put(out, sync, AVRO_SYNC);
}

/* Raw deflate (RFC 1951), as the specification asks for. */
static bool deflate_into(struct buf *out, struct str data, struct err *e)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)data.p, .avail_in = (uInt)data.n};
    struct buf packed = buf_make(LIMIT_BATCH + LIMIT_BATCH / 8);
    size_t bound;
    int rc;

    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return err_set(e, ERR_LIMIT, "deflate: no memory");
    bound = deflateBound(&z, data.n);
    z.next_out = buf_room(&packed, bound);
    z.avail_out = (uInt)bound;
    rc = z.next_out ? deflate(&z, Z_FINISH) : Z_BUF_ERROR;
    packed.n = z.total_out;
    (void)deflateEnd(&z);
    if (rc == Z_STREAM_END)
        put_string(out, buf_view(&packed));
    buf_fini(&packed);
    return rc == Z_STREAM_END || err_set(e, ERR_LIMIT, "deflate: failed with %d", rc);
}

bool avro_file_block(struct buf *out, struct str codec, int64_t count, struct str data,
                     const uint8_t sync[AVRO_SYNC], struct err *e)
{
    assert(str_is(codec, "null") || str_is(codec, "deflate"));
    if (data.n > LIMIT_BATCH)
        return err_set(e, ERR_LIMIT, "an Avro block of %zu bytes, at most %zu are written", data.n,
                       LIMIT_BATCH);
    buf_varint(out, count);
    if (str_is(codec, "null"))
        put_string(out, data);
    else if (!deflate_into(out, data, e))
        return false;
    buf_put(out, sync, AVRO_SYNC);
    if (!buf_ok(out))
        return err_set(e, ERR_LIMIT, "an Avro file is over %zu bytes", out->max);
    return true;
}

/* ---- reading ---- */

static bool damaged(const struct rd *r, const char *where, struct err *e)
{
    return err_set(e, ERR_CORRUPT, "Avro file: %s: %s", where, rd_why(r));
}

static struct str get_string(struct rd *r)
{
    return rd_bytes(r, rd_count(r, rd_varint(r), 1));
}

/* The header's map of strings. Entries take two bytes at least, so there are no more than bytes. */
static void get_meta(struct avro_file *f, struct rd *r)
{
    struct rd count_it = *r;
    size_t total = 0;

    for (int pass = 0; pass < 2; pass++) {
        struct rd *at = pass == 0 ? &count_it : r;
        int64_t n;

        while ((n = rd_varint(at)) != 0 && rd_ok(at)) {
            if (n < 0) {
                n = n == INT64_MIN ? INT64_MAX : -n;
                (void)rd_varint(at);
            }
            for (size_t left = rd_count(at, n, 2); left > 0 && rd_ok(at); left--) {
                struct avro_file_meta m = {get_string(at), STR_NULL};

                m.value = get_string(at);
                if (pass == 0)
                    total++;
                else
                    f->meta[f->meta_count++] = m;
            }
        }
        if (!rd_ok(at)) {
            rd_fail(r, rd_why(at));
            return;
        }
        if (pass == 0)
            f->meta = ARENA_ARRAY(f->_arena, struct avro_file_meta, total);
    }
}

bool avro_file_open(struct avro_file *f, struct arena *a, struct str bytes, struct err *e)
{
    struct rd r = rd_str(bytes);
    struct str begin, sync;

    *f = (struct avro_file){._arena = a};
    begin = rd_bytes(&r, sizeof magic);
    if (!begin.p || memcmp(begin.p, magic, sizeof magic) != 0)
        return err_set(e, ERR_CORRUPT, "not an Avro file: it does not begin with Obj and 1");
    get_meta(f, &r);
    sync = rd_bytes(&r, AVRO_SYNC);
    if (!rd_ok(&r))
        return damaged(&r, "header", e);
    memcpy(f->sync, sync.p, AVRO_SYNC);
    f->schema_text = avro_file_get(f, "avro.schema");
    f->codec = avro_file_get(f, "avro.codec");
    f->codec = f->codec.p ? f->codec : STR("null");
    f->_rest = r;
    if (!f->schema_text.p)
        return err_set(e, ERR_CORRUPT, "Avro file: no schema in its header");
    if (!str_is(f->codec, "null") && !str_is(f->codec, "deflate") && !str_is(f->codec, "snappy") &&
        !str_is(f->codec, "zstandard"))
        return err_set(e, ERR_UNSUPPORTED,
                       "Avro file: codec \"%.*s\"; null, deflate, snappy and zstandard are read",
                       STR_ARG(f->codec));
    return true;
}

struct str avro_file_get(const struct avro_file *f, const char *key)
{
    for (size_t i = 0; i < f->meta_count; i++)
        if (str_is(f->meta[i].key, key))
            return f->meta[i].value;
    return STR_NULL;
}

static bool too_large(struct err *e)
{
    return err_set(e, ERR_LIMIT, "Avro file: a block is over %zu bytes when unpacked", LIMIT_BATCH);
}

static bool inflate_all(struct str in, struct buf *out, struct err *e)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)in.p, .avail_in = (uInt)in.n};
    int rc = Z_OK;

    if (inflateInit2(&z, -MAX_WBITS) != Z_OK)
        return err_set(e, ERR_LIMIT, "inflate: no memory");
    while (rc == Z_OK) {
        size_t left = out->max - out->n, n = left < 256 * KIB ? left : 256 * KIB;

        if (n == 0)
            break;
        z.next_out = buf_room(out, n);
        z.avail_out = (uInt)n;
        rc = inflate(&z, Z_NO_FLUSH);
        out->n += n - z.avail_out;
        if (rc == Z_BUF_ERROR || (rc == Z_OK && z.avail_in == 0 && z.avail_out > 0))
            rc = Z_DATA_ERROR; // the data ends early
    }
    (void)inflateEnd(&z);
    if (rc == Z_OK)
        return too_large(e);
    return rc == Z_STREAM_END || err_set(e, ERR_CORRUPT, "Avro file: a deflate block is damaged");
}

/* A snappy block has the CRC-32 of what is in it behind it, high byte first. */
static bool unsnappy(struct str in, struct buf *out, struct err *e)
{
    struct rd crc = rd_from(in.p + (in.n >= 4 ? in.n - 4 : 0), in.n >= 4 ? 4 : 0);
    size_t n;

    if (in.n < 4 || snappy_uncompressed_length(in.p, in.n - 4, &n) != SNAPPY_OK)
        return err_set(e, ERR_CORRUPT, "Avro file: a snappy block is damaged");
    if (n > out->max)
        return too_large(e);
    if (snappy_uncompress(in.p, in.n - 4, (char *)buf_room(out, n), &n) != SNAPPY_OK)
        return err_set(e, ERR_CORRUPT, "Avro file: a snappy block is damaged");
    out->n = n;
    if (crc32(0, out->p, (uInt)n) != (uint32_t)rd_i32(&crc))
        return err_set(e, ERR_CORRUPT, "Avro file: a snappy block has a wrong checksum");
    return true;
}

static bool unzstd(struct str in, struct buf *out, struct err *e)
{
    ZSTD_DStream *z = ZSTD_createDStream();
    ZSTD_inBuffer from = {in.p, in.n, 0};
    size_t rc = 1;

    while (rc != 0 && !ZSTD_isError(rc) && out->n < out->max) {
        size_t left = out->max - out->n, n = left < 256 * KIB ? left : 256 * KIB;
        ZSTD_outBuffer to = {buf_room(out, n), n, 0};

        rc = ZSTD_decompressStream(z, &to, &from);
        out->n += to.pos;
        if (rc != 0 && !ZSTD_isError(rc) && from.pos == from.size && to.pos < to.size)
            break; // the data ends early
    }
    (void)ZSTD_freeDStream(z);
    if (rc == 0 && from.pos == from.size)
        return true;
    if (!ZSTD_isError(rc) && out->n == out->max)
        return too_large(e);
    return err_set(e, ERR_CORRUPT, "Avro file: a zstandard block is damaged");
}

static bool unpack(const struct avro_file *f, struct str in, struct str *data, struct err *e)
{
    struct buf out = buf_make(LIMIT_BATCH);
    bool ok;

    if (str_is(f->codec, "null")) {
        *data = in;
        return true;
    }
    ok = str_is(f->codec, "deflate")  ? inflate_all(in, &out, e)
         : str_is(f->codec, "snappy") ? unsnappy(in, &out, e)
                                      : unzstd(in, &out, e);
    if (ok)
        *data = arena_str(f->_arena, buf_view(&out));
    buf_fini(&out);
    return ok;
}

bool avro_file_next(struct avro_file *f, int64_t *count, struct str *data, struct err *e)
{
    struct rd *r = &f->_rest;
    struct str in, sync;

    if (rd_ok(r) && rd_left(r) == 0) {
        *e = (struct err){.kind = ERR_NONE};
        return false;
    }
    *count = rd_varint(r);
    in = get_string(r);
    sync = rd_bytes(r, AVRO_SYNC);
    if (!rd_ok(r))
        return damaged(r, "block", e);
    if (memcmp(sync.p, f->sync, AVRO_SYNC) != 0) {
        rd_fail(r, "no sync marker");
        return damaged(r, "block", e);
    }
    if (!unpack(f, in, data, e))
        return false;
    if (*count < 0 || ((uint64_t)*count > data->n && *count > EMPTY_RECORDS_MAX))
        return err_set(e, ERR_CORRUPT, "Avro file: a block of %zu bytes says it holds %lld records", data->n,
                       (long long)*count);
    return true;
}
