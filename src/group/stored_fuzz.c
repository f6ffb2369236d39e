/*
 * Any bytes as the keys and values of __consumer_offsets: the first two bytes say how long the key is. What can be read is written
 * and read again as the same.
 */
#include "base/be.h"
#include "base/mem.h"
#include "group/group_int.h"

#include <assert.h>

enum { ROOM = 1 << 22 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void position(struct str bytes)
{
    struct buf one = buf_make(ROOM), two = buf_make(ROOM);
    struct offset_at at = {0}, again = {0};
    struct err e;

    if (offset_value_read(bytes, &at, &e)) {
        bool ok;

        offset_value_write(&one, &at);
        ok = offset_value_read(buf_view(&one), &again, &e);
        assert(ok);
        offset_value_write(&two, &again);
        assert(str_eq(buf_view(&one), buf_view(&two)));
    }
    buf_fini(&one);
    buf_fini(&two);
}

static void group(struct str bytes, struct arena *a)
{
    struct buf one = buf_make(ROOM), two = buf_make(ROOM);
    struct group_meta m, again;
    struct err e;

    if (group_value_read(bytes, a, &m, &e)) {
        bool ok;

        group_value_write(&one, &m);
        ok = group_value_read(buf_view(&one), a, &again, &e);
        assert(ok);
        group_value_write(&two, &again);
        assert(str_eq(buf_view(&one), buf_view(&two)));
    }
    buf_fini(&one);
    buf_fini(&two);
}

/* Of the kind that its key says. */
static void consumer(struct str key, struct str value, struct arena *a)
{
    struct buf one = buf_make(ROOM), two = buf_make(ROOM), name = buf_make(ROOM);
    struct consumer_record r = {0}, again = {0};
    struct str whose, other;

    if (consumer_key_read(key, &r, &whose) && consumer_value_read(value, a, &r)) {
        bool ok;

        consumer_key_write(&name, whose, &r);
        consumer_value_write(&one, &r);
        ok = consumer_key_read(buf_view(&name), &again, &other) && str_eq(whose, other) &&
             str_eq(r.member, again.member) && consumer_value_read(buf_view(&one), a, &again);
        assert(ok);
        consumer_value_write(&two, &again);
        assert(str_eq(buf_view(&one), buf_view(&two)));
    }
    buf_fini(&one);
    buf_fini(&two);
    buf_fini(&name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena a = {0};
    struct offset_key k;
    struct str key, value;
    struct err e;
    size_t len;

    if (n < 2)
        return 0;
    len = be_get16(data);
    len = len < n - 2 ? len : n - 2;
    key = str_from(data + 2, len);
    value = str_from(data + 2 + len, n - 2 - len);
    if (offset_key_read(key, &k, &e) && k.kind == OFFSET_KEY_CONSUMER)
        consumer(key, value, &a);
    else if (k.kind == OFFSET_KEY_GROUP)
        group(value, &a);
    else
        position(value);
    arena_fini(&a);
    return 0;
}
