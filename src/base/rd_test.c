#include "base/rd.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/test.h"

TEST(ints_are_big_endian)
{
    struct rd r = rd_from("\x01\x02\x00\x00\x00\x03", 6);

    OK(rd_i16(&r) == 0x0102);
    OK(rd_i32(&r) == 3);
    OK(rd_ok(&r));
    OK(rd_left(&r) == 0);
}

TEST(short_message_fails_once_and_stays_failed)
{
    struct rd r = rd_from("\x01", 1);

    OK(rd_i32(&r) == 0);
    OK(!rd_ok(&r));
    OK(rd_i8(&r) == 0);
    OK(strcmp(rd_why(&r), "message ends early") == 0);
}

TEST(varint_has_a_bound)
{
    struct rd ok = rd_from("\xac\x02", 2);
    struct rd bad = rd_from("\xff\xff\xff\xff\xff\x01", 6);
    struct rd worse = rd_from("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10);

    OK(rd_uvarint(&ok) == 300);
    OK(rd_uvarint(&bad) == 0);
    OK(!rd_ok(&bad));
    OK(rd_uvarint64(&worse) == 0);
    OK(!rd_ok(&worse));
}

TEST(count_must_fit_the_message)
{
    struct rd r = rd_from("\0\0\0\0\0\0\0\0", 8);

    OK(rd_count(&r, 2, 4) == 2);
    OK(rd_ok(&r));
    OK(rd_count(&r, 3, 4) == 0);
    OK(!rd_ok(&r));
}

TEST(what_buf_writes_rd_reads)
{
    static const int64_t values[] = {0, -1, 1, 63, -64, 64, INT32_MAX, INT64_MAX, INT64_MIN};
    struct buf b = buf_make(1000);
    struct rd r;

    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        size_t before = b.n;

        buf_varint(&b, values[i]);
        OK(b.n - before == varint_size(values[i]));
    }
    buf_i64(&b, INT64_MIN);
    buf_u64le(&b, 7);
    r = rd_str(buf_view(&b));
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        OK(rd_varint(&r) == values[i]);
    OK(rd_i64(&r) == INT64_MIN);
    OK(rd_u64le(&r) == 7);
    OK(rd_ok(&r) && rd_left(&r) == 0);
    buf_fini(&b);
}

TEST(errors_read_outside_in)
{
    struct err e;

    OK(!err_set(&e, ERR_CORRUPT, "crc is %x, header says %x", 1u, 2u));
    OK(!err_wrap(&e, "segment %s", "00000.log"));
    OK(strcmp(e.msg, "segment 00000.log: crc is 1, header says 2") == 0);
    OK(err_kafka(e.kind) == 2 && err_http(e.kind) == 500);
}

TEST(a_full_disk_has_its_own_kind)
{
    struct err e;

    errno = ENOSPC;
    OK(!err_sys(&e, "write"));
    OK(e.kind == ERR_FULL);
}

TEST_MAIN
