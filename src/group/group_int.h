/*
 * group_int: keys and values of __consumer_offsets.
 *
 * The format is Kafka's (group-coordinator/src/main/resources/common/message: OffsetCommitKey, OffsetCommitValue,
 * GroupMetadataKey, GroupMetadataValue). Keys begin with a version that also tells the kind: 0 and 1 are positions, 2 is a
 * group, 3 to 8 are what consumer.h tells of. We write the versions Kafka writes (values 3) and read all up to the first flexible one (4); other kinds of keys,
 * which newer brokers may have written to a mirrored topic, are passed over.
 */
#pragma once

#include "base/buf.h"
#include "base/map.h"
#include "group/consumer.h"
#include "group/offsets.h"
#include "log/batch.h"

enum offset_key_kind { OFFSET_KEY_OTHER, OFFSET_KEY_POSITION, OFFSET_KEY_GROUP, OFFSET_KEY_CONSUMER };

struct offset_key {
    enum offset_key_kind kind;
    struct str group;
    struct str topic; // of a position
    int32_t partition;
};

void offset_key_write(struct buf *b, const struct offset_key *k);
void offset_value_write(struct buf *b, const struct offset_at *at);
void group_value_write(struct buf *b, const struct group_meta *m);

/* Strings point into the bytes read. False with e: the bytes are not what they should be. */
bool offset_key_read(struct str bytes, struct offset_key *out, struct err *e) MUST_CHECK;
/* Fills all but topic and partition. */
bool offset_value_read(struct str bytes, struct offset_at *out, struct err *e) MUST_CHECK;
bool group_value_read(struct str bytes, struct arena *a, struct group_meta *out, struct err *e) MUST_CHECK;

/* ---- consumer.c ---- */

void consumer_key_write(struct buf *b, struct str group, const struct consumer_record *r);
void consumer_value_write(struct buf *b, const struct consumer_record *r);
/* Kind, member and group, which point into the bytes; false: it is no such key. */
bool consumer_key_read(struct str bytes, struct consumer_record *out, struct str *group);
/* The rest; false: it cannot be read. */
bool consumer_value_read(struct str bytes, struct arena *a, struct consumer_record *out);

/* ---- pending.c: records of open transactions, in a map of the caller's that begins as {0}; under its lock ---- */

void pending_add(struct map *m, int32_t partition, int64_t producer_id, const struct record *rec); // a copy
struct pending_apply {
    bool (*fn)(void *arg, const struct record *rec, struct err *e);
    void *arg;
};
/* The producer's marker: its records are applied in their order, or with NULL (an abort) dropped. */
bool pending_end(struct map *m, int32_t partition, int64_t producer_id, const struct pending_apply *apply,
                 struct err *e) MUST_CHECK;
/* A tombstone, for what is older than it. */
void pending_forget(struct map *m, const struct record *tombstone);
bool pending_has(const struct map *m, struct str group, struct str topic, int32_t partition);
void pending_fini(struct map *m);
