/*
 * checksum: the additional checksums of S3: CRC32, CRC32C, CRC64NVME, SHA1, SHA256.
 *
 * A client sends one in a header or behind an aws-chunked body, as base64 of the big-endian value; what it sent is verified
 * and kept with the object. CRC64NVME is the reflected CRC of the NVM Express specification (polynomial
 * 0xAD93D23594C93659).
 */
#pragma once

#include "base/str.h"

#include <openssl/evp.h>

struct buf;

enum checksum_kind {
    CHECKSUM_CRC32,
    CHECKSUM_CRC32C,
    CHECKSUM_CRC64NVME,
    CHECKSUM_SHA1,
    CHECKSUM_SHA256,
    CHECKSUM_KINDS
};

struct checksum {
    enum checksum_kind kind;
    uint64_t crc;
    EVP_MD_CTX *digest; // SHA1, SHA256
};

const char *checksum_header(enum checksum_kind k); // "x-amz-checksum-crc32"
/* Which one has this header name (any case)? CHECKSUM_KINDS: none. */
enum checksum_kind checksum_of_header(struct str name);

void checksum_init(struct checksum *c, enum checksum_kind kind);
void checksum_add(struct checksum *c, struct str bytes);
void checksum_end(struct checksum *c, struct buf *base64); // nothing may be added after it
void checksum_fini(struct checksum *c);
