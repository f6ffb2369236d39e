#include "base/crc.h"

#include <isa-l/crc.h>
#include <limits.h>

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
    union { // isa-l takes a pointer to non-const and does not write
        const void *from;
        unsigned char *to;
    } at = {.from = p};

    crc = ~crc;
    for (; n > INT_MAX; n -= INT_MAX, at.to += INT_MAX)
        crc = crc32_iscsi(at.to, INT_MAX, crc);
    return ~crc32_iscsi(at.to, (int)n, crc);
}
