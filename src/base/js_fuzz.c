/*
 * Any text: what js reads can be walked and put again, and what was put reads as the same.
 */
#include "base/js.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void walk(struct js v, struct arena *a)
{
    struct js item;
    int64_t number;

    (void)js_str(v, a);
    if (js_i64(v, &number))
        assert(v.kind == JS_NUMBER);
    for (struct js_it it = js_in(v); js_next(&it, &item);) {
        (void)js_key_is(&it, "a");
        walk(item, a);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str rest = str_from(data, n);
    struct buf one = buf_make(n + 1), two = buf_make(n + 1);
    struct arena a = {0};
    struct js v, again;
    struct err e;

    while (js_read(&rest, &v, &e)) {
        buf_reset(&one);
        buf_reset(&two);
        walk(v, &a);
        js_put(&one, v);
        assert(buf_ok(&one));
        if (!js_whole(buf_view(&one), &again, &e))
            assert(!"what was put is read again");
        js_put(&two, again);
        assert(str_eq(buf_view(&one), buf_view(&two)));
    }
    assert(e.kind == ERR_NONE || e.kind == ERR_BAD_INPUT);
    arena_fini(&a);
    buf_fini(&one);
    buf_fini(&two);
    return 0;
}
