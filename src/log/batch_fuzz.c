/* A client's bytes through the broker's check, and a stored batch's bytes through the reader, codecs included. */
#include "base/be.h"
#include "base/crc.h"
#include "base/limits.h"
#include "base/mem.h"
#include "log/batch.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(struct str bytes)
{
    struct batch_reader r;
    struct arena a = {0};
    struct record rec;
    struct err e;
    size_t sum = 0;

    batch_open(&r, &a, bytes);
    while (batch_next(&r, &rec)) {
        sum += rec.key.n + rec.value.n;
        for (int32_t i = 0; i < rec.header_count; i++)
            sum += rec.headers[i].key.n + rec.headers[i].value.n;
    }
    (void)batch_ok(&r, &e);
    (void)sum;
    arena_fini(&a);
}

static void check_and_read(struct str bytes)
{
    int64_t records = -1;
    struct err e;

    if (batch_check(bytes, 1 * MIB, &records, &e))
        assert(records >= 0);
    read_all(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_and_read(str_from(data, size));
    if (size >=
        // the mutator cannot guess a checksum: mend the first batch's, so its records are reached
        BATCH_HEADER) {
        uint8_t *copy = mem_copy(data, size);

        be_put32(copy + 8, (uint32_t)(size - 12));
        copy[16] = 2;
        be_put32(copy + 17, crc32c(0, copy + 21, size - 21));
        check_and_read(str_from(copy, size));
        mem_free(copy);
    }
    return 0;
}
