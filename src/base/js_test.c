#include "base/js.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/test.h"

static struct err e;

static bool good(const char *text)
{
    struct js v;

    return js_whole(str_of(text), &v, &e);
}

TEST(what_is_json_is_read)
{
    static const char *const yes[] = {"0",
                                      "-1.5e+9",
                                      "\"\"",
                                      " [ ] ",
                                      "{}",
                                      "[1,[2,{\"a\":null}],true]",
                                      "null",
                                      "1e5",
                                      "\"\\u00e9\\ud83d\\ude00\\n\"",
                                      "{\"a\":1,\"a\":2}"};
    static const char *const no[] = {"",
                                     " ",
                                     "01",
                                     "1.",
                                     ".5",
                                     "+1",
                                     "1e",
                                     "tru",
                                     "\"a",
                                     "\"\\x\"",
                                     "[1,]",
                                     "[1 2]",
                                     "{\"a\"}",
                                     "{a:1}",
                                     "{,}",
                                     "1 2",
                                     "\"\n\"",
                                     "\"\\ud800\"",
                                     "\"\\udc00\"",
                                     "\"\\ud800\\u0041\"",
                                     "\"\xff\"",
                                     "\"\xed\xa0\x80\"",
                                     "[",
                                     "{\"a\":",
                                     "nul",
                                     "-"};

    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        OK(good(yes[i]));
    for (size_t i = 0; i < ARRAY_LEN(no); i++) {
        if (good(no[i]))
            printf("# text %zu\n", i);
        OK(!good(no[i]) && e.kind == ERR_BAD_INPUT);
    }
}

TEST(nesting_is_bounded)
{
    char text[2 * LIMIT_JSON_DEPTH + 4];
    size_t n = LIMIT_JSON_DEPTH;

    memset(text, '[', n);
    memset(text + n, ']', n);
    text[2 * n] = '\0';
    OK(good(text));
    memset(text, '[', n + 2);
    memset(text + n + 2, ']', n + 1);
    OK(!js_whole(str_from(text, 2 * n + 3), &(struct js){0}, &e));
}

TEST(parts_are_found)
{
    struct arena a = {0};
    struct js v, item;
    int64_t n, sum = 0;

    OK(js_whole(STR(" {\"a\" : [1, 2 ,3], \"\\u0062\":\"x\\ty\\u20ac\", \"a\":[4,5]} "), &v, &e));
    OK(v.kind == JS_OBJECT && js_get(v, "c").kind == JS_NONE);
    for (struct js_it it = js_in(js_get(v, "a")); js_next(&it, &item);) {
        OK(js_i64(item, &n));
        sum += n;
    }
    OK(sum == 9);
    OK(str_eq(js_str(js_get(v, "b"), &a), STR("x\ty\xe2\x82\xac")));
    OK(!js_str(v, &a).p && !js_i64(js_get(v, "b"), &n));
    OK(js_in(item)._rest.p == NULL);
    arena_fini(&a);
}

TEST(values_follow_each_other)
{
    struct str rest = STR("{\"a\":1}{\"a\":2}\n[] 7 ");
    struct js v;
    int count = 0;

    while (js_read(&rest, &v, &e))
        count++;
    OK(count == 4 && e.kind == ERR_NONE && v.kind == JS_NUMBER);
    rest = STR("1 x");
    OK(js_read(&rest, &v, &e) && !js_read(&rest, &v, &e) && e.kind == ERR_BAD_INPUT);
}

TEST(blanks_are_left_out_and_nothing_else)
{
    struct buf b = buf_make(1000);
    struct js v;

    OK(js_whole(STR("\t{ \"a b\" : [ 1 , 12345678901234567890123.10e2 ],\r\n\"c\":\" \\\" \\\\\" }"), &v,
                &e));
    js_put(&b, v);
    OK(str_eq(buf_view(&b), STR("{\"a b\":[1,12345678901234567890123.10e2],\"c\":\" \\\" \\\\\"}")));
    buf_fini(&b);
}

TEST_MAIN
