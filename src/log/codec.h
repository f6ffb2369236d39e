/*
 * codec: the compressions of Kafka's record batches.
 *
 * gzip (RFC 1952, several members allowed), snappy (raw, and the framing of xerial's snappy-java that Java clients
 * write), lz4 (the frame format) and zstd. What a stranger packed is unpacked into a buf with a limit: past the limit
 * it is ERR_LIMIT, however small the packed bytes were.
 */
#pragma once

#include "log/batch.h"

/* Appends the unpacked bytes to out, at most out->max in all. ERR_LIMIT, ERR_BAD_INPUT, or ERR_UNSUPPORTED (unknown codec). */
bool codec_unpack(enum batch_codec codec, struct str packed, struct buf *out, struct err *e) MUST_CHECK;
/* Appends the packed bytes to out; out turns bad when they do not fit its limit. level: the codec's own, 0 its default. */
void codec_pack(enum batch_codec codec, int level, struct str plain, struct buf *out);
