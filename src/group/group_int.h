/*
 * group_int: keys and values of __consumer_offsets.
 *
 * The format is Kafka's (group-coordinator/src/main/resources/common/message: OffsetCommitKey, OffsetCommitValue,
 * GroupMetadataKey, GroupMetadataValue). Keys begin with a version that also tells the kind: 0 and 1 are positions, 2 is a
 * group. We write the versions Kafka writes (values 3) and read all up to the first flexible one (4); other kinds of keys,
 * which newer brokers may have written to a mirrored topic, are passed over.
 */
#pragma once

#include "base/buf.h"
#include "group/offsets.h"

enum offset_key_kind { OFFSET_KEY_OTHER, OFFSET_KEY_POSITION, OFFSET_KEY_GROUP };

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

/* The partition of a group: Java's hashCode of the name in UTF-16, made positive, modulo. */
int32_t group_partition(struct str group, int32_t partitions);
