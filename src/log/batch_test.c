#include "log/batch.h"

#include "base/be.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/test.h"
#include "log/codec.h"

/* Made by kafka-python 2.0.2's DefaultRecordBatchBuilder: three records, plain and with gzip. */
static const char foreign_plain[] = "000000000000000000000116000000000211f46ca00000000000020000018bcfe5680000"
                                    "00018bcfe56805ffffffffffffffffffff"
                                    "ffffffff0000000396020000000a6b65792d30f00176616c75652076616c75652076616c"
                                    "75652076616c75652076616c7565207661"
                                    "6c75652076616c75652076616c75652076616c75652076616c75652076616c7565207661"
                                    "6c75652076616c75652076616c75652076"
                                    "616c75652076616c75652076616c75652076616c75652076616c75652076616c75652004"
                                    "02680231026e019a01000a02018c017365"
                                    "636f6e64207365636f6e64207365636f6e64207365636f6e64207365636f6e6420736563"
                                    "6f6e64207365636f6e64207365636f6e64"
                                    "207365636f6e64207365636f6e64200010000104046b320100";
static const char foreign_gzip[] = "00000000000000000000007d00000000027eb0fff00001000000020000018bcfe56800000"
                                   "0018bcfe56805ffffffffffffffffffff"
                                   "ffffffff000000031f8b08009756016b02ff9bc6c4c0c0c0959d5aa96bf081b12c31a7345"
                                   "581fe240b53069321531ee32c46062e26"
                                   "c61ec6e2d4e4fcbc14050a290601064616966c23460600773ac3d3e5000000";

static struct str unhex(const char *hex, uint8_t *out)
{
    size_t n = strlen(hex) / 2;

    for (size_t i = 0; i < n; i++) {
        unsigned v;

        if (sscanf(hex + 2 * i, "%2x", &v) != 1) // NOLINT(cert-err34-c): two hex digits do not overflow
            return STR_NULL;
        out[i] = (uint8_t)v;
    }
    return str_from(out, n);
}

static void check_foreign(const char *hex)
{
    uint8_t bytes[512];
    struct str batch = unhex(hex, bytes);
    struct arena a = {0};
    struct batch_reader r;
    struct record rec;
    struct err e;
    int64_t records;

    OK(batch_check(batch, 1 * MIB, &records, &e) && records == 3);
    batch_set_offset(bytes, 1000, 0);
    batch_open(&r, &a, batch);
    OK(batch_next(&r, &rec) && rec.offset == 1000 && rec.timestamp_ms == 1700000000000);
    OK(str_is(rec.key, "key-0") && rec.value.n == 120 && rec.header_count == 2);
    OK(str_is(rec.headers[0].key, "h") && str_is(rec.headers[0].value, "1"));
    OK(str_is(rec.headers[1].key, "n") && rec.headers[1].value.p == NULL);
    OK(batch_next(&r, &rec) && rec.offset == 1001 && rec.timestamp_ms == 1700000000005);
    OK(rec.key.p == NULL && rec.value.n == 70);
    OK(batch_next(&r, &rec) && rec.offset == 1002 && rec.timestamp_ms == 1699999999999);
    OK(str_is(rec.key, "k2") && rec.value.p == NULL);
    OK(!batch_next(&r, &rec) && batch_ok(&r, &e));
    batch_open(&r, &a, batch);
    r.skip_below = 1002;
    OK(batch_next(&r, &rec) && rec.offset == 1002 && !batch_next(&r, &rec) && batch_ok(&r, &e));
    r.skip_below = 1003;
    batch_open(&r, &a, batch);
    r.skip_below = 1003;
    OK(!batch_next(&r, &rec) && batch_ok(&r, &e));
    arena_fini(&a);
}

TEST(batches_of_another_writer_are_read)
{
    check_foreign(foreign_plain);
    check_foreign(foreign_gzip);
}

/* `count` records with compressible values, into w. */
static struct str make(struct batch_writer *w, enum batch_codec codec, int count)
{
    char value[300];

    batch_begin(w, LIMIT_BATCH);
    w->codec = codec;
    for (int i = 0; i < count; i++) {
        struct record_header h = {STR("trace"), i % 2 ? STR_NULL : STR("x")};
        int n = snprintf(value, sizeof value, "%0200d", i * 7919);

        batch_add(w, 1700000000000 + i, STR("key"), str_from(value, (size_t)n), &h, i % 3 == 0);
    }
    return batch_end(w);
}

TEST(what_is_written_comes_back_in_every_codec)
{
    for (int codec = BATCH_NONE; codec <= BATCH_ZSTD; codec++) {
        struct batch_writer w = {0};
        struct arena a = {0};
        struct batch_reader r;
        struct record rec;
        struct err e;
        int64_t records;
        int n = 0;
        struct str s = make(&w, (enum batch_codec)codec, 1000);

        OK(batch_check(s, 1 * MIB, &records, &e) && records == 1000);
        OK(codec == BATCH_NONE || s.n < 100000);
        for (batch_open(&r, &a, s); batch_next(&r, &rec); n++) {
            OK(rec.offset == n && rec.timestamp_ms == 1700000000000 + n && rec.value.n == 200);
            OK(rec.header_count == (n % 3 == 0) && str_is(rec.key, "key"));
        }
        OK(batch_ok(&r, &e) && n == 1000);
        batch_fini(&w);
        arena_fini(&a);
    }
}

TEST(an_empty_writer_gives_nothing_and_a_full_one_null)
{
    struct batch_writer w = {0};
    char big[100] = {0};
    struct str s;

    batch_begin(&w, 1000);
    s = batch_end(&w);
    OK(s.p != NULL && s.n == 0);
    for (int codec = BATCH_NONE; codec <= BATCH_ZSTD; codec++) {
        batch_begin(&w, 150);
        w.codec = (enum batch_codec)codec;
        batch_add(&w, 0, STR_NULL, str_from(big, sizeof big), NULL, 0);
        batch_add(&w, 0, STR_NULL, str_from(big, sizeof big), NULL, 0);
        OK(batch_end(&w).p == NULL);
    }
    batch_begin(&w, 1000);
    batch_add(&w, 5, STR_NULL, STR_NULL, NULL, 0);
    OK(batch_end(&w).n > BATCH_HEADER);
    batch_fini(&w);
}

static enum err_kind checked(struct str s, size_t max)
{
    struct err e = {0};
    int64_t records;

    return batch_check(s, max, &records, &e) ? ERR_NONE : e.kind;
}

TEST(check_refuses_what_kafka_refuses)
{
    struct batch_writer w = {0};
    struct str good = make(&w, BATCH_NONE, 3);
    uint8_t *b = w.buf.p;

    OK(checked(good, good.n) == ERR_NONE);
    OK(checked(good, good.n - 1) == ERR_LIMIT);
    OK(checked(STR(""), 0) == ERR_NONE);
    for (size_t n = 1; n < good.n; n++)
        OK(checked(str_from(good.p, n), MIB) == ERR_BAD_INPUT);
    for (size_t at = 21; at < good.n; at++) { // all that the checksum covers
        b[at] ^= 0x10;
        OK(checked(good, MIB) != ERR_NONE);
        b[at] ^= 0x10;
    }
    b[16] = 1;
    OK(checked(good, MIB) == ERR_BAD_INPUT);
    b[16] = 2;
    b[8] = 0xff; // negative length
    OK(checked(good, MIB) == ERR_BAD_INPUT);
    b[8] = 0;
    OK(checked(good, good.n) == ERR_NONE);
    batch_fini(&w);
}

TEST(check_refuses_control_and_lonely_transactional)
{
    struct batch_writer w = {0};

    batch_begin(&w, MIB);
    batch_add(&w, 1, STR("k"), STR("v"), NULL, 0);
    w.attributes = BATCH_CONTROL;
    OK(checked(batch_end(&w), MIB) == ERR_BAD_INPUT);
    w.attributes = BATCH_TRANSACTIONAL;
    OK(checked(batch_end(&w), MIB) == ERR_BAD_INPUT);
    w.producer_id = 4;
    OK(checked(batch_end(&w), MIB) == ERR_BAD_INPUT); // no sequence
    w.producer_epoch = 0;
    w.base_sequence = 0;
    OK(checked(batch_end(&w), MIB) == ERR_NONE);
    batch_fini(&w);
}

TEST(append_time_rules_over_the_records_own)
{
    struct batch_writer w = {0};
    struct str s = make(&w, BATCH_LZ4, 10);
    struct arena a = {0};
    struct batch_reader r;
    struct record rec;

    batch_set_append_time(w._packed.p, str_from(s.p + BATCH_HEADER, s.n - BATCH_HEADER), 1234567890123);
    OK(checked(s, MIB) == ERR_NONE);
    batch_open(&r, &a, s);
    for (int i = 0; i < 10; i++)
        OK(batch_next(&r, &rec) && rec.timestamp_ms == 1234567890123);
    batch_fini(&w);
    arena_fini(&a);
}

/* A gap in the offsets, as compaction leaves them. */
TEST(offsets_may_have_gaps)
{
    struct batch_writer w = {0};
    struct arena a = {0};
    struct batch_reader r;
    struct record rec;
    struct str s;

    batch_begin(&w, MIB);
    batch_add_at(&w, 3, &(struct record){.key = STR("a"), .timestamp_ms = 9});
    batch_add_at(&w, 8, &(struct record){.key = STR("b"), .timestamp_ms = 7});
    s = batch_end(&w);
    batch_set_offset(w.buf.p, 100, 0);
    batch_open(&r, &a, s);
    OK(batch_next(&r, &rec) && rec.offset == 103 && r.head.last_offset_delta == 8);
    OK(batch_next(&r, &rec) && rec.offset == 108 && rec.timestamp_ms == 7);
    OK(!batch_next(&r, &rec));
    batch_fini(&w);
    arena_fini(&a);
}

TEST(xerial_snappy_is_read)
{
    struct buf raw = buf_make(MIB), framed = buf_make(MIB), out = buf_make(MIB);
    struct err e;

    buf_put(&framed, "\x82SNAPPY\0\0\0\0\1\0\0\0\1", 16);
    for (int i = 0; i < 3; i++) {
        buf_reset(&raw);
        codec_pack(BATCH_SNAPPY, 0, STR("hello hello hello hello hello "), &raw);
        buf_i32(&framed, (int32_t)raw.n);
        buf_str(&framed, buf_view(&raw));
    }
    OK(codec_unpack(BATCH_SNAPPY, buf_view(&framed), &out, &e) && out.n == 90);
    OK(memcmp(out.p + 60, "hello", 5) == 0);
    framed.n -= 3;
    buf_reset(&out);
    OK(!codec_unpack(BATCH_SNAPPY, buf_view(&framed), &out, &e) && e.kind == ERR_BAD_INPUT);
    buf_fini(&raw);
    buf_fini(&framed);
    buf_fini(&out);
}

TEST(bombs_stop_at_the_limit)
{
    size_t n = 4 * MIB;
    char *zero = mem_zero(n);

    for (int codec = BATCH_NONE; codec <= BATCH_ZSTD; codec++) {
        struct buf packed = buf_make(8 * MIB), exact = buf_make(n), small = buf_make(n - 1);
        struct err e;

        codec_pack((enum batch_codec)codec, 0, str_from(zero, n), &packed);
        OK(buf_ok(&packed));
        OK(codec_unpack((enum batch_codec)codec, buf_view(&packed), &exact, &e) && exact.n == n);
        OK(!codec_unpack((enum batch_codec)codec, buf_view(&packed), &small, &e) && e.kind == ERR_LIMIT);
        OK(small._cap <= 2 * n);
        for (size_t cut = 1; cut < packed.n && codec != BATCH_NONE; cut += 1 + packed.n / 50) {
            buf_reset(&exact);
            OK(!codec_unpack((enum batch_codec)codec, str_from(packed.p, packed.n - cut), &exact, &e));
        }
        buf_fini(&packed);
        buf_fini(&exact);
        buf_fini(&small);
    }
    OK(!codec_unpack((enum batch_codec)7, STR("x"), &(struct buf){.max = 10}, &(struct err){0}));
    mem_free(zero);
}

TEST(damage_is_told_with_its_place)
{
    struct batch_writer w = {0};
    struct str s = make(&w, BATCH_NONE, 3);
    struct arena a = {0};
    struct batch_reader r;
    struct record rec;
    struct err e;

    batch_set_offset(w.buf.p, 77, 0);
    w.buf.p[s.n - 1] ^= 1;
    batch_open(&r, &a, s);
    OK(!batch_next(&r, &rec) && !batch_ok(&r, &e) && e.kind == ERR_CORRUPT);
    OK(strstr(e.msg, "77") != NULL);
    OK(!batch_next(&r, &rec) && !batch_ok(&r, &e)); // it stays so
    w.buf.p[s.n - 1] ^= 1;
    batch_set_offset(w.buf.p, INT64_MAX - 1, 0); // three records have no place there
    batch_open(&r, &a, s);
    OK(!batch_next(&r, &rec) && !batch_ok(&r, &e) && e.kind == ERR_CORRUPT);
    batch_fini(&w);
    arena_fini(&a);
}

TEST_MAIN
