/* Any bytes as a subscription and as an assignment: what can be read is written and read again as the same. */
#include "group/protocol.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena a = {0};
    struct buf b = buf_make(1 << 22);
    struct group_part *parts, *again;
    struct str *topics;
    size_t count, second;
    struct err e;

    if (group_subscription_read(str_from(data, n), &a, &topics, &count, &e)) {
        group_subscription_write(&b, topics, count);
        if (!group_subscription_read(buf_view(&b), &a, &topics, &second, &e) || second != count)
            assert(!"the same subscription");
    }
    if (group_assignment_read(str_from(data, n), &a, &parts, &count, &e)) {
        buf_reset(&b);
        group_assignment_write(&b, parts, count);
        if (buf_ok(&b) && (!group_assignment_read(buf_view(&b), &a, &again, &second, &e) || second != count))
            assert(!"the same assignment");
    }
    arena_fini(&a);
    buf_fini(&b);
    return 0;
}
