/*
 * Fuzz target: the reader of HTTP requests and the helpers a door calls on what was read. The bytes are fed whole and then
 * in pieces whose sizes the first byte decides: both must give the same events.
 */
#include "base/arena.h"
#include "net/http_int.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(struct http_req *q)
{
    struct str segments[8];

    (void)http_segments(q, segments, 8);
    (void)http_param(q, "a");
    (void)http_param_i64(q, "n", 0);
    (void)http_header(q, "host");
}

/* A hash of what happened: events, heads and bodies. */
static uint64_t run(const uint8_t *data, size_t size, size_t step)
{
    struct http_in in = {0};
    struct arena a = {0};
    struct http_req q = {.arena = &a};
    uint64_t sum = 1;
    size_t at = 0, given = 0, quiet = 0;
    enum http_event ev = HTTP_IN_MORE;

    http_in_init(&in);
    http_in_begin(&in, &q);
    while (at < size && ev != HTTP_IN_BAD) {
        if (given <= at || ev == HTTP_IN_MORE)
            given = at + step < size ? at + step : size;
        size_t used = http_in_feed(&in, str_from(data + at, given - at), &ev);
        if (used > given - at || (quiet += used == 0) > size + 10)
            abort(); // read past the end, or stands still
        at += used;
        if (ev == HTTP_IN_HEAD) {
            use(&q);
            sum = sum * 31 + q.path.n + q.header_count * 7 + (uint64_t)q.body_bytes;
        } else if (ev == HTTP_IN_PIECE) {
            for (size_t i = 0; i < in.piece.n; i++)
                sum = sum * 31 + (uint8_t)in.piece.p[i];
        } else if (ev == HTTP_IN_END) {
            sum = sum * 31 + 5;
            arena_reset(&a);
            q = (struct http_req){.arena = &a};
            http_in_begin(&in, &q);
        } else if (ev == HTTP_IN_BAD) {
            sum = sum * 31 + (uint64_t)in.status;
        }
    }
    http_in_fini(&in);
    arena_fini(&a);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    if (run(data + 1, size - 1, size) != run(data + 1, size - 1, (size_t)data[0] % 64 + 1))
        abort();
    return 0;
}
