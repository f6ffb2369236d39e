#include "s3/checksum.h"

#include "base/buf.h"
#include "base/crc.h"

#include <isa-l/crc.h>
#include <pthread.h>
#include <stdlib.h>

static const struct {
    const char *header;
    size_t size; // bytes of the value
} kinds[CHECKSUM_KINDS] = {
    // by enum checksum_kind
    {"x-amz-checksum-crc32", 4}, {"x-amz-checksum-crc32c", 4},  {"x-amz-checksum-crc64nvme", 8},
    {"x-amz-checksum-sha1", 20}, {"x-amz-checksum-sha256", 32},
};

const char *checksum_header(enum checksum_kind k)
{
    return kinds[k].header;
}

enum checksum_kind checksum_of_header(struct str name)
{
    for (int k = 0; k < CHECKSUM_KINDS; k++)
        if (str_eq_nocase(name, str_of(kinds[k].header)))
            return (enum checksum_kind)k;
    return CHECKSUM_KINDS;
}

/* ---- CRC64NVME, eight bytes at a time: table[k][b] is what byte b does k bytes further on ---- */

static uint64_t nvme[8][256];
static pthread_once_t nvme_once = PTHREAD_ONCE_INIT;

static void nvme_tables(void)
{
    for (unsigned b = 0; b < 256; b++) {
        uint64_t v = b;

        for (int bit = 0; bit < 8; bit++)
            v = v >> 1 ^ (v & 1 ? UINT64_C(0x9a6c9329ac4bc9b5) : 0); // the polynomial, reflected
        nvme[0][b] = v;
    }
    for (int k = 1; k < 8; k++)
        for (unsigned b = 0; b < 256; b++)
            nvme[k][b] = nvme[k - 1][b] >> 8 ^ nvme[0][nvme[k - 1][b] & 0xff];
}

static uint64_t crc64nvme(uint64_t crc, struct str s)
{
    const uint8_t *p = (const uint8_t *)s.p, *end = p + s.n;

    crc = ~crc;
    for (; end - p >= 8; p += 8) {
        uint64_t next = 0;

        for (int k = 0; k < 8; k++)
            next ^= nvme[7 - k][(uint8_t)(crc >> 8 * k) ^ p[k]];
        crc = next;
    }
    for (; p < end; p++)
        crc = crc >> 8 ^ nvme[0][(uint8_t)crc ^ *p];
    return ~crc;
}

/* ---- all of them ---- */

void checksum_init(struct checksum *c, enum checksum_kind kind)
{
    *c = (struct checksum){.kind = kind};
    if (kind == CHECKSUM_CRC64NVME)
        (void)pthread_once(&nvme_once, nvme_tables);
    if (kind != CHECKSUM_SHA1 && kind != CHECKSUM_SHA256)
        return;
    c->digest = EVP_MD_CTX_new();
    if (!c->digest ||
        EVP_DigestInit_ex(c->digest, kind == CHECKSUM_SHA1 ? EVP_sha1() : EVP_sha256(), NULL) != 1)
        abort(); // as mem_: OpenSSL has no memory
}

void checksum_add(struct checksum *c, struct str bytes)
{
    union { // isa-l takes its input without const
        const char *in;
        unsigned char *out;
    } u = {.in = bytes.p};

    switch (c->kind) {
    case CHECKSUM_CRC32:
        c->crc = crc32_gzip_refl((uint32_t)c->crc, u.out, bytes.n);
        break;
    case CHECKSUM_CRC32C:
        c->crc = crc32c((uint32_t)c->crc, bytes.p, bytes.n);
        break;
    case CHECKSUM_CRC64NVME:
        c->crc = crc64nvme(c->crc, bytes);
        break;
    default:
        (void)EVP_DigestUpdate(c->digest, bytes.p, bytes.n);
    }
}

void checksum_end(struct checksum *c, struct buf *base64)
{
    uint8_t value[EVP_MAX_MD_SIZE];
    size_t n = kinds[c->kind].size;

    if (c->digest)
        (void)EVP_DigestFinal_ex(c->digest, value, NULL);
    else
        for (size_t i = 0; i < n; i++)
            value[i] = (uint8_t)(c->crc >> 8 * (n - 1 - i));
    buf_base64(base64, value, n);
}

void checksum_fini(struct checksum *c)
{
    EVP_MD_CTX_free(c->digest);
    c->digest = NULL;
}
