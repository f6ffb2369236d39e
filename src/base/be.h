/*
 * be: big-endian integers in place.
 *
 * For bytes that are patched or peeked at where they lie (a record batch's header, a frame's length); what is read from
 * front to back uses rd, what is built uses buf. No alignment is asked of p.
 */
#pragma once

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline void be_put16(void *p, uint16_t v)
{
    v = htobe16(v);
    memcpy(p, &v, sizeof v);
}

static inline void be_put32(void *p, uint32_t v)
{
    v = htobe32(v);
    memcpy(p, &v, sizeof v);
}

static inline void be_put64(void *p, uint64_t v)
{
    v = htobe64(v);
    memcpy(p, &v, sizeof v);
}

static inline uint16_t be_get16(const void *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof v);
    return be16toh(v);
}

static inline uint32_t be_get32(const void *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
    return be32toh(v);
}

static inline uint64_t be_get64(const void *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return be64toh(v);
}
