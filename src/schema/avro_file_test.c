#include "base/limits.h"
#include "base/test.h"
#include "schema/avro.h"
#include "schema/avro_golden.h"

#include <snappy-c.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

static struct arena arena;
static struct err e;
static const uint8_t sync_marker[AVRO_SYNC] = "0123456789abcde";
static const char small_schema[] =
    "{\"type\":\"record\",\"name\":\"Small\",\"fields\":[{\"name\":\"n\",\"type\":\"int\","
    "\"field-id\":7},{\"name\":\"s\",\"type\":\"string\"}]}";

/* The 50 records of make_avro.py: n, and n times x. */
static bool holds_small(struct str bytes, size_t blocks)
{
    struct avro_want wants[] = {{"n", NULL}, {"s", NULL}};
    struct avro_file f;
    struct avro *s;
    struct avro_decoder *d;
    struct columns c;
    struct str data;
    int64_t count;
    size_t seen = 0;

    OK(avro_file_open(&f, &arena, bytes, &e));
    OK(avro_parse(&arena, f.schema_text, &s, &e));
    OK(avro_field_by_id(s, 7) == &s->fields[0]);
    OK(avro_decoder_new(&arena, s, wants, 2, &d, &e));
    columns_init(&c, &arena, avro_decoder_columns(d), 2, 50);
    while (avro_file_next(&f, &count, &data, &e)) {
        struct rd r = rd_str(data);

        seen++;
        for (; count > 0; count--)
            OK(avro_decode_next(d, &r, &c, &e));
        OK(rd_left(&r) == 0);
    }
    OK(e.kind == ERR_NONE && c.rows == 50 && seen == blocks);
    for (size_t i = 0; i < 50; i++)
        OK(c.column[0].i32[i] == (int)i && c.column[1].strs[i].n == i);
    OK(str_is(avro_file_get(&f, "format-version"), "2"));
    return true;
}

static void small_records(struct buf *data)
{
    for (int i = 0; i < 50; i++) {
        buf_varint(data, i);
        buf_varint(data, i);
        for (int k = 0; k < i; k++)
            buf_u8(data, 'x');
    }
}

TEST(files_of_apache_are_read)
{
    OK(holds_small(str_from(golden_file_null, sizeof golden_file_null), 2));
    OK(holds_small(str_from(golden_file_deflate, sizeof golden_file_deflate), 2));
}

static void begin(struct buf *out, const char *codec)
{
    struct avro_file_meta meta = {STR("format-version"), STR("2")};

    avro_file_begin(out, str_of(small_schema), str_of(codec), &meta, 1, sync_marker);
}

TEST(what_is_written_is_read)
{
    static const char *const codecs[] = {"null", "deflate"};

    for (int i = 0; i < 2; i++) {
        struct buf out = buf_make(1 << 20), data = buf_make(1 << 20);

        small_records(&data);
        begin(&out, codecs[i]);
        OK(avro_file_block(&out, str_of(codecs[i]), 50, buf_view(&data), sync_marker, &e));
        OK(holds_small(buf_view(&out), 1));
        OK(i == 0 || out.n < data.n / 2 + 300);
        buf_fini(&out);
        buf_fini(&data);
    }
}

static void block(struct buf *out, int64_t count, const void *p, size_t n)
{
    buf_varint(out, count);
    buf_varint(out, (int64_t)n);
    buf_put(out, p, n);
    buf_put(out, sync_marker, AVRO_SYNC);
}

TEST(snappy_and_zstandard_are_read)
{
    struct buf out = buf_make(1 << 20), data = buf_make(1 << 20);
    char packed[8192];
    size_t n = sizeof packed - 4;
    uint32_t crc;

    small_records(&data);
    crc = (uint32_t)crc32(0, data.p, (uInt)data.n);
    OK(snappy_compress((const char *)data.p, data.n, packed, &n) == SNAPPY_OK);
    for (int i = 0; i < 4; i++)
        packed[n + (size_t)i] = (char)(crc >> (24 - 8 * i));
    begin(&out, "snappy");
    block(&out, 50, packed, n + 4);
    OK(holds_small(buf_view(&out), 1));

    out.p[out.n - AVRO_SYNC - 1] ^= 1; // the checksum
    {
        struct avro_file f;
        struct str piece;
        int64_t count;

        OK(avro_file_open(&f, &arena, buf_view(&out), &e));
        OK(!avro_file_next(&f, &count, &piece, &e) && e.kind == ERR_CORRUPT && strstr(e.msg, "checksum"));
    }
    buf_reset(&out);
    begin(&out, "zstandard");
    n = ZSTD_compress(packed, sizeof packed, data.p, data.n, 1);
    OK(!ZSTD_isError(n));
    block(&out, 50, packed, n);
    OK(holds_small(buf_view(&out), 1));
    buf_fini(&out);
    buf_fini(&data);
}

/* Cut anywhere but between blocks, or with any byte of a block's frame changed, a file is an error and never more. */
TEST(damaged_files_are_refused)
{
    const struct str whole = {(const char *)golden_file_deflate, sizeof golden_file_deflate};

    for (size_t n = 0; n < whole.n; n++) {
        char *cut = malloc(n + 1);
        struct avro_file f;
        struct str data;
        int64_t count;
        size_t records = 0;
        bool opened;

        memcpy(cut, whole.p, n);
        opened = avro_file_open(&f, &arena, str_from(cut, n), &e);
        while (opened && avro_file_next(&f, &count, &data, &e))
            records += (size_t)count;
        OK(records < 50);
        OK(e.kind == ERR_CORRUPT || (e.kind == ERR_NONE && opened));
        free(cut);
        arena_reset(&arena);
    }
}

static bool refused(struct buf *out, enum err_kind kind)
{
    struct avro_file f;
    struct str data;
    int64_t count;

    return avro_file_open(&f, &arena, buf_view(out), &e) && !avro_file_next(&f, &count, &data, &e) &&
           e.kind == kind;
}

/* A few kilobytes that unpack to far more than a block may hold. */
TEST(bombs_are_refused)
{
    size_t n = 3 * LIMIT_BATCH / 2, cap = n / 100;
    char *zeros = calloc(1, n), *packed = malloc(cap);
    struct buf out = buf_make(16 * MIB);
    z_stream z = {
        .next_in = (Bytef *)zeros, .avail_in = (uInt)n, .next_out = (Bytef *)packed, .avail_out = (uInt)cap};

    OK(deflateInit2(&z, 1, Z_DEFLATED, -MAX_WBITS, 8, 0) == Z_OK && deflate(&z, Z_FINISH) == Z_STREAM_END);
    begin(&out, "deflate");
    block(&out, 1, packed, z.total_out);
    (void)deflateEnd(&z);
    OK(refused(&out, ERR_LIMIT));
    buf_reset(&out);
    begin(&out, "zstandard");
    block(&out, 1, packed, ZSTD_compress(packed, cap, zeros, n, 1));
    OK(refused(&out, ERR_LIMIT));
    buf_reset(&out);
    begin(&out, "snappy");
    block(&out, 1, "\377\377\377\377\17\0\0\0\0", 9);
    OK(refused(&out, ERR_LIMIT));
    buf_reset(&out);
    begin(&out, "null");
    block(&out, INT64_MAX, "", 0);
    OK(refused(&out, ERR_CORRUPT));
    buf_fini(&out);
    free(zeros);
    free(packed);
}

TEST(odd_headers_are_refused)
{
    struct buf out = buf_make(10000);
    struct avro_file f;

    OK(!avro_file_open(&f, &arena, STR("Obj"), &e) && !avro_file_open(&f, &arena, STR("PAR1____"), &e));
    begin(&out, "xz");
    OK(!avro_file_open(&f, &arena, buf_view(&out), &e) && e.kind == ERR_UNSUPPORTED &&
       strstr(e.msg, "\"xz\""));
    OK(!avro_file_open(&f, &arena,
                       STR("Obj\1\0"
                           "0123456789abcdef"),
                       &e) &&
       strstr(e.msg, "no schema"));
    OK(!avro_file_open(&f, &arena, STR("Obj\1\376\377\377\377\377\377\377\377\377\1"), &e));
    buf_fini(&out);
}
TEST_MAIN
