/* Fuzz target: any bytes as one replication message. The rows it gives must lie in the message. */
#include "connect/postgres/pgoutput.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct pgout_row *row, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < row->count; i++) {
        struct str s = row->cells[i].text;

        assert(!s.p || ((const uint8_t *)s.p >= data && (const uint8_t *)s.p + s.n <= data + size));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pgout d = {0};
    struct pgout_msg m;
    struct err e;

    if (pgout_read(&d, str_from(data, size), &m, &e) && strchr("IUD", (char)m.kind)) {
        check(&m.row.old, data, size);
        check(&m.row.new, data, size);
    }
    pgout_fini(&d);
    return 0;
}
