/* Tests of the small parts: str, buf, arena, map, crc, utc, utf8. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/crc.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/test.h"
#include "base/utc.h"
#include "base/utf8.h"

TEST(buf_without_a_limit_can_be_formatted)
{
    struct buf b = buf_make(SIZE_MAX);

    buf_fmt(&b, "%d", 42);
    OK(buf_ok(&b) && b.max == SIZE_MAX && strcmp(buf_z(&b), "42") == 0);
    buf_fini(&b);
}

TEST(numbers_are_whole_or_refused)
{
    int64_t v = 5;
    uint64_t u = 0;

    OK(str_i64(STR("-9223372036854775808"), &v) && v == INT64_MIN);
    OK(str_i64(STR("9223372036854775807"), &v) && v == INT64_MAX);
    OK(!str_i64(STR("9223372036854775808"), &v) && v == INT64_MAX);
    OK(!str_i64(STR("12x"), &v));
    OK(!str_i64(STR(""), &v));
    OK(!str_i64(STR("-"), &v));
    OK(!str_u64(STR("18446744073709551616"), &u));
}

TEST(cut_gives_every_part)
{
    struct str rest = STR("a,,b"), part;

    OK(str_cut(&rest, ',', &part) && str_is(part, "a"));
    OK(str_cut(&rest, ',', &part) && str_is(part, ""));
    OK(str_cut(&rest, ',', &part) && str_is(part, "b"));
    OK(!str_cut(&rest, ',', &part));
}

TEST(buf_has_room_for_nothing)
{
    struct buf b = buf_make(0);

    OK(buf_room(&b, 0) && buf_ok(&b));
    OK(!buf_room(&b, 1) && !buf_ok(&b));
    buf_fini(&b);
}

TEST(buf_stops_at_its_limit)
{
    struct buf b = buf_make(4);

    buf_i32(&b, 1);
    OK(buf_ok(&b) && b.n == 4);
    buf_u8(&b, 1);
    OK(!buf_ok(&b) && b.n == 4);
    buf_uvarint(&b, 1);
    OK(!buf_ok(&b) && b.n == 4);
    buf_reset(&b);
    buf_uvarint(&b, 300);
    OK(buf_ok(&b) && b.n == 2);
    buf_fmt(&b, "%d", 42);
    OK(buf_ok(&b) && b.n == 4);
    OK(memcmp(buf_z(&b),
              "\xac\x02"
              "42",
              5) == 0);
    buf_fini(&b);
}

TEST(json_text_is_escaped)
{
    struct buf b = buf_make(100);

    buf_json(&b, STR("a\"\\\n\x01\xc3\xa9\xff"));
    OK(str_is(buf_view(&b), "\"a\\\"\\\\\\n\\u0001\xc3\xa9\xef\xbf\xbd\""));
    buf_reset(&b);
    buf_base64(&b, "Man!", 4);
    OK(str_is(buf_view(&b), "TWFuIQ=="));
    buf_fini(&b);
}

TEST(arena_gives_zeroed_aligned_memory)
{
    struct arena a = {0};

    for (int round = 0; round < 3; round++) {
        for (size_t n = 1; n < 100000; n = n * 3 + 1) {
            unsigned char *p = arena_alloc(&a, n);

            OK(((uintptr_t)p & 15) == 0);
            OK(p[0] == 0 && p[n - 1] == 0);
            memset(p, 0xff, n);
        }
        arena_reset(&a);
    }
    OK(strcmp(arena_fmt(&a, "%s-%d", "x", 7), "x-7") == 0);
    arena_fini(&a);
}

TEST(map_keeps_what_is_put)
{
    static char values[5000];
    struct map m = {0};
    struct map_it it = {0};
    size_t seen = 0;
    char key[16];

    for (size_t i = 0; i < sizeof values; i++) {
        (void)snprintf(key, sizeof key, "k%zu", i);
        OK(map_put(&m, str_of(key), &values[i]) == NULL);
    }
    for (size_t i = 0; i < sizeof values; i += 2) {
        (void)snprintf(key, sizeof key, "k%zu", i);
        OK(map_del(&m, str_of(key)) == &values[i]);
        OK(map_get(&m, str_of(key)) == NULL);
    }
    OK(m.n == sizeof values / 2);
    OK(map_get(&m, STR("k4999")) == &values[4999]);
    while (map_next(&m, &it))
        seen++;
    OK(seen == m.n);
    map_fini(&m);
}

TEST(crc32c_has_the_known_value)
{
    OK(crc32c(0, "123456789", 9) == 0xe3069283U); // RFC 3720, the check value of CRC-32C
    OK(crc32c(crc32c(0, "1234", 4), "56789", 5) == 0xe3069283U);
}

TEST(dates_survive_the_round)
{
    static const int64_t at[] = {0, -1, 1478267490123456, -210831897600000001, 951782400000000};
    char text[UTC_TEXT];
    int64_t micros;

    for (size_t i = 0; i < ARRAY_LEN(at); i++) {
        struct utc t = utc_split(at[i]);

        OK(utc_micros(&t) == at[i]);
    }
    OK(strcmp(utc_iso(1478267490123456, 6, text), "2016-11-04T13:51:30.123456Z") == 0);
    OK(strcmp(utc_iso(-1, 3, text), "1969-12-31T23:59:59.999Z") == 0);
    OK(utc_parse(STR("2016-11-04T13:51:30.123456Z"), &micros) && micros == 1478267490123456);
    OK(utc_parse(STR("2016-11-04T15:51:30+02:00"), &micros) && micros == 1478267490000000);
    OK(utc_parse(STR("1969-12-31T23:59:59.999Z"), &micros) && micros == -1000);
    OK(!utc_parse(STR("2016-02-30T13:51:30Z"), &micros) && !utc_parse(STR("2016-11-04T13:51:30"), &micros));
    OK(!utc_parse(STR("2016-11-04T13:51:30.Z"), &micros) &&
       !utc_parse(STR("2016-11-04T13:51:30Zz"), &micros));
    OK(!utc_parse(STR_NULL, &micros) && !utc_parse(STR("2016-13-04T13:51:30Z"), &micros));
    OK(utc_days(2000, 2, 29) == 11016);
}

TEST(utf8_refuses_what_is_not)
{
    OK(utf8_ok(STR("h\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")));
    OK(!utf8_ok(STR("\xc0\x80")));
    OK(!utf8_ok(STR("\xed\xa0\x80")));
    OK(!utf8_ok(STR("\xf4\x90\x80\x80")));
    OK(!utf8_ok(STR("\xe2\x82")));
}

TEST(streamed_bytes_are_the_same_wherever_they_begin)
{
    enum { N = 700 };
    uint8_t from[N], to[N], want[N];

    for (size_t i = 0; i < N; i++)
        from[i] = (uint8_t)(i * 31 + i / 256);
    for (size_t n = 0; n < 300; n++)
        for (size_t at = 0; at < 33; at++) {
            memset(to, 0xee, N);
            memset(want, 0xee, N);
            mem_stream(to + at, from + n % 17, n);
            memcpy(want + at, from + n % 17, n);
            OK(memcmp(to, want, N) == 0);
        }
}

TEST_MAIN
