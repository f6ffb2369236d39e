/*
 * protocol: what members of a consumer group tell each other through the coordinator, and who reads what.
 *
 * Kafka's "consumer" protocol (ConsumerProtocolSubscription and ConsumerProtocolAssignment, version 0, whose fields all later versions
 * begin with): each member says which topics it wants, the leader gives everybody partitions. The assignors are Kafka's range and
 * roundrobin, with its order of members and topics, so the outcome is the same whoever leads.
 *
 * Bytes of other members are a stranger's: counts are checked before memory is taken. All memory is in the caller's arena.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

struct group_part {
    struct str topic;
    int32_t partition;
};

void group_subscription_write(struct buf *out, const struct str *topics, size_t count);
bool group_subscription_read(struct str bytes, struct arena *a, struct str **topics, size_t *count,
                             struct err *e) MUST_CHECK;
/* parts: those of one topic stand together. */
void group_assignment_write(struct buf *out, const struct group_part *parts, size_t count);
bool group_assignment_read(struct str bytes, struct arena *a, struct group_part **parts, size_t *count,
                           struct err *e) MUST_CHECK;

struct group_reader { // a member as an assignor sees it
    struct str id;
    struct str *topics; // that it wants
    size_t topic_count;
    struct group_part *parts; // out: what it gets, by topic and partition
    size_t part_count;
};
/* Partitions of a topic; 0: there is none. */
typedef int32_t group_partitions_fn(void *arg, struct str topic);
/* assignor: "range" or "roundrobin". False: it is another. Members are put in the order of their ids. */
bool group_assign(struct str assignor, struct group_reader *readers, size_t count,
                  group_partitions_fn *partitions, void *arg, struct arena *a);
