#include "log/codec.h"

#include "base/be.h"
#include "base/limits.h"

#include <lz4frame.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

enum { STEP_MIN = 16 * 1024, STEP_MAX = 1024 * 1024 };
enum {
    WINDOW_LOG_MAX = 26
}; // 2^26 is LIMIT_BATCH: a frame that wants a larger window holds more than we take

static bool damaged(struct err *e, const char *codec, const char *why)
{
    return err_set(e, ERR_BAD_INPUT, "%s data is damaged: %s", codec, why);
}

static bool too_large(struct err *e, const struct buf *out)
{
    return err_set(e, ERR_LIMIT, "compressed records unpack to more than %zu bytes", out->max);
}

/* Room for the next piece of output: some, but never more than the limit leaves. 0 when it is used up. */
static size_t make_room(struct buf *out)
{
    size_t step = out->n < STEP_MIN ? STEP_MIN : out->n > STEP_MAX ? STEP_MAX : out->n;

    if (step > out->max - out->n)
        step = out->max - out->n;
    return step > 0 && buf_room(out, step) ? step : 0;
}

static bool gzip_run(z_stream *z, struct buf *out, struct err *e)
{
    for (;;) {
        size_t room = make_room(out);
        uint8_t spare = 0; // tells "exactly at the limit" from "over it"
        int rc;

        z->next_out = room ? out->p + out->n : &spare;
        z->avail_out = (uInt)(room ? room : 1);
        rc = inflate(z, Z_NO_FLUSH);
        if (room)
            out->n += room - z->avail_out;
        else if (z->avail_out == 0)
            return too_large(e, out);
        if (rc == Z_STREAM_END && z->avail_in == 0)
            return true;
        if (rc == Z_STREAM_END && inflateReset(z) == Z_OK)
            continue; // the next member
        if (rc != Z_OK)
            return damaged(e, "gzip", z->msg ? z->msg : "it ends early");
    }
}

static bool gzip_unpack(struct str packed, struct buf *out, struct err *e)
{
    z_stream z = {0};
    union { // zlib does not write to its input
        const char *from;
        Bytef *to;
    } in = {.from = packed.p};
    bool ok;

    z.next_in = in.to;
    z.avail_in = (uInt)packed.n;
    if (inflateInit2(&z, 15 + 16) != Z_OK) // 16: with a gzip header
        return damaged(e, "gzip", "zlib cannot start");
    ok = gzip_run(&z, out, e);
    (void)inflateEnd(&z);
    return ok;
}

static bool snappy_block(struct str packed, struct buf *out, struct err *e)
{
    size_t n;
    uint8_t *to;

    if (snappy_uncompressed_length(packed.p, packed.n, &n) != SNAPPY_OK || n / 64 > packed.n)
        return damaged(e, "snappy", "bad length"); // three bytes make at most 64
    if (n > out->max - out->n || !(to = buf_room(out, n)))
        return too_large(e, out);
    if (snappy_uncompress(packed.p, packed.n, (char *)to, &n) != SNAPPY_OK)
        return damaged(e, "snappy", "bad block");
    out->n += n;
    return true;
}

/* snappy-java's stream: magic, version, lowest compatible version, then blocks with their length before them. */
static bool snappy_unpack(struct str packed, struct buf *out, struct err *e)
{
    static const char magic[8] = {(char)0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};
    size_t at = sizeof magic + 8;

    if (packed.n < at || memcmp(packed.p, magic, sizeof magic) != 0)
        return snappy_block(packed, out, e);
    while (at < packed.n) {
        size_t n = packed.n - at >= 4 ? be_get32(packed.p + at) : SIZE_MAX;

        at += 4;
        if (n == SIZE_MAX || n > packed.n - at)
            return damaged(e, "snappy", "a block ends early");
        if (!snappy_block(str_from(packed.p + at, n), out, e))
            return false;
        at += n;
    }
    return true;
}

static bool lz4_run(LZ4F_dctx *d, struct str packed, struct buf *out, struct err *e)
{
    size_t at = 0, rc = 1;

    while (at < packed.n || rc != 0) {
        size_t room = make_room(out), got, eaten = packed.n - at;
        uint8_t spare;

        got = room ? room : 1;
        rc = LZ4F_decompress(d, room ? out->p + out->n : &spare, &got, packed.p + at, &eaten, NULL);
        if (LZ4F_isError(rc))
            return damaged(e, "lz4", LZ4F_getErrorName(rc));
        if (!room && got > 0)
            return too_large(e, out);
        if (eaten == 0 && got == 0)
            return damaged(e, "lz4", "it ends early");
        at += eaten;
        out->n += got;
    }
    return true;
}

static bool lz4_unpack(struct str packed, struct buf *out, struct err *e)
{
    LZ4F_dctx *d = NULL;
    bool ok;

    if (LZ4F_isError(LZ4F_createDecompressionContext(&d, LZ4F_VERSION)))
        return damaged(e, "lz4", "the library cannot start");
    ok = lz4_run(d, packed, out, e);
    (void)LZ4F_freeDecompressionContext(d);
    return ok;
}

static bool zstd_run(ZSTD_DCtx *d, struct str packed, struct buf *out, struct err *e)
{
    ZSTD_inBuffer in = {packed.p, packed.n, 0};
    size_t rc = 1;

    while (in.pos < in.size || rc != 0) {
        size_t room = make_room(out), before = in.pos;
        uint8_t spare;
        ZSTD_outBuffer o = {room ? out->p + out->n : &spare, room ? room : 1, 0};

        rc = ZSTD_decompressStream(d, &o, &in);
        if (ZSTD_isError(rc))
            return damaged(e, "zstd", ZSTD_getErrorName(rc));
        if (!room && o.pos > 0)
            return too_large(e, out);
        if (in.pos == before && o.pos == 0)
            return damaged(e, "zstd", "it ends early");
        out->n += o.pos;
    }
    return true;
}

static bool zstd_unpack(struct str packed, struct buf *out, struct err *e)
{
    ZSTD_DCtx *d = ZSTD_createDCtx();
    bool ok;

    if (!d || ZSTD_isError(ZSTD_DCtx_setParameter(d, ZSTD_d_windowLogMax, WINDOW_LOG_MAX)))
        ok = damaged(e, "zstd", "the library cannot start");
    else
        ok = zstd_run(d, packed, out, e);
    (void)ZSTD_freeDCtx(d);
    return ok;
}

bool codec_unpack(enum batch_codec codec, struct str packed, struct buf *out, struct err *e)
{
    if (packed.n > LIMIT_BATCH) // so lengths fit the libraries' types
        return err_set(e, ERR_LIMIT, "%zu bytes of compressed records, at most %zu are taken", packed.n,
                       (size_t)LIMIT_BATCH);
    switch (codec) {
    case BATCH_NONE:
        buf_str(out, packed);
        return buf_ok(out) || too_large(e, out);
    case BATCH_GZIP:
        return gzip_unpack(packed, out, e);
    case BATCH_SNAPPY:
        return snappy_unpack(packed, out, e);
    case BATCH_LZ4:
        return lz4_unpack(packed, out, e);
    case BATCH_ZSTD:
        return zstd_unpack(packed, out, e);
    }
    return err_set(e, ERR_UNSUPPORTED, "compression %d is not known", (int)codec);
}

static size_t gzip_pack(struct str plain, int level, uint8_t *to, size_t room)
{
    z_stream z = {0};
    union {
        const char *from;
        Bytef *to;
    } in = {.from = plain.p};
    bool ok;

    if (deflateInit2(&z, level ? level : Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) !=
        Z_OK)
        return 0;
    z.next_in = in.to;
    z.avail_in = (uInt)plain.n;
    z.next_out = to;
    z.avail_out = (uInt)room;
    ok = deflate(&z, Z_FINISH) == Z_STREAM_END;
    (void)deflateEnd(&z);
    return ok ? room - z.avail_out : 0;
}

static size_t pack(enum batch_codec codec, int level, struct str plain, uint8_t *to, size_t room)
{
    /* Java clients read no linked blocks (KafkaLZ4BlockInputStream). */
    const LZ4F_preferences_t lz4 = {.frameInfo.blockMode = LZ4F_blockIndependent, .compressionLevel = level};
    size_t n = room;

    switch (codec) {
    case BATCH_GZIP:
        return gzip_pack(plain, level, to, room);
    case BATCH_SNAPPY:
        return snappy_compress(plain.p, plain.n, (char *)to, &n) == SNAPPY_OK ? n : 0;
    case BATCH_LZ4:
        n = LZ4F_compressFrame(to, room, plain.p, plain.n, &lz4);
        return LZ4F_isError(n) ? 0 : n;
    case BATCH_ZSTD:
        n = ZSTD_compress(to, room, plain.p, plain.n, level ? level : ZSTD_CLEVEL_DEFAULT);
        return ZSTD_isError(n) ? 0 : n;
    case BATCH_NONE:
        break;
    }
    return 0;
}

void codec_pack(enum batch_codec codec, int level, struct str plain, struct buf *out)
{
    size_t room = plain.n + plain.n / 6 + 1024; // above the worst case of each codec
    size_t max = out->max, n = 0;
    uint8_t *to;

    if (codec == BATCH_NONE) {
        buf_str(out, plain);
        return;
    }
    out->max = out->n + room; // the worst case may be over the limit where the outcome is not
    to = buf_room(out, room);
    out->max = max;
    if (to)
        n = pack(codec, level, plain, to, room);
    if (n == 0 || n > max - out->n)
        out->_bad = true;
    else
        out->n += n;
}
