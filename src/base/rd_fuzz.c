/* Fuzz target: any bytes, any mix of reads.  Must not crash, must not go past the end. */
#include "base/rd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rd r = rd_from(data, size);

    while (rd_ok(&r) && rd_left(&r) > 0) {
        switch (rd_i8(&r) & 3) {
        case 0:
            rd_i64(&r);
            break;
        case 1:
            rd_bytes(&r, rd_u8(&r));
            break;
        case 2:
            rd_uvarint(&r);
            break;
        default:
            rd_i32(&r);
        }
    }
    return 0;
}
