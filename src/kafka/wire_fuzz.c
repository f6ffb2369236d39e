/*
 * Any bytes as any message: the first byte picks it, the second its version. What can be read is written and read again
 * and must come out the same.
 */
#include "base/mem.h"
#include "kafka/messages.h"

#include <assert.h>

struct row {
    const struct wire_msg *msg;
    int first, last, flexible;
};

static const struct row rows[] = {
#define X(NAME, key, message, told, first, last, flexible, handler) \
    {&k_##message##_req_msg, first, last, flexible}, {&k_##message##_res_msg, first, last, flexible},
#include "kafka/api.def"
#undef X
};

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct wire_out one = {.buf = buf_make(64 << 20)}, two = {.buf = buf_make(64 << 20)};
    struct arena a = {0};
    struct wire_in in = {.arena = &a};
    const struct row *r;
    void *body;
    struct err e;

    if (n < 2)
        return 0;
    r = &rows[p[0] % ARRAY_LEN(rows)];
    in.version = r->first + p[1] % (r->last - r->first + 1);
    in.flexible = in.version >= r->flexible;
    in.bytes = str_from(p + 2, n - 2);
    body = arena_alloc(&a, r->msg->size);
    if (wire_read(&in, r->msg, body, &e)) {
        bool again;

        wire_write(&one, r->msg, in.version, in.flexible, body);
        in.bytes = buf_view(&one.buf);
        again = wire_read(&in, r->msg, body, &e);
        assert(again);
        wire_write(&two, r->msg, in.version, in.flexible, body);
        assert(str_eq(buf_view(&one.buf), buf_view(&two.buf)));
    }
    wire_out_fini(&one);
    wire_out_fini(&two);
    arena_fini(&a);
    return 0;
}
