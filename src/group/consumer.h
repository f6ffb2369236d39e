/*
 * consumer: what is stored of the groups of KIP-848, whose members, epochs and assignments are the broker's own.
 *
 * Where a classic group is one record with everything, such a group is many: one with its epoch, one with the topics it reads, one
 * with the epoch of the target assignment, and for each member three: who it is, what it shall own, what it owns. Keys
 * and values are Kafka's (group-coordinator/src/main/resources/common/message/ConsumerGroup*.json), so that each change
 * writes what has changed, in one batch, all of it or nothing.
 *
 * A name is of one kind of group: storing members of this kind forgets what was stored of a classic group of that name, and the
 * other way round. Positions stay.
 */
#pragma once

#include "group/offsets.h"
#include "log/log.h"

/* Sorted by topic, then partition, wherever there are several. */
struct topic_partition {
    struct log_uuid topic;
    int32_t partition;
};

struct consumer_topic {
    struct log_uuid id;
    struct str name;
    int32_t partitions;
};

/* The version of the record's key, which tells its kind. */
enum consumer_kind {
    CONSUMER_GROUP = 3,        // epoch
    CONSUMER_TOPICS = 4,       // topics
    CONSUMER_MEMBER = 5,       // who it is and what it subscribes to
    CONSUMER_TARGET_EPOCH = 6, // epoch
    CONSUMER_TARGET = 7,       // of a member: owned
    CONSUMER_CURRENT = 8       // of a member: epoch, previous_epoch, state, owned, revoked
};

struct consumer_record {
    enum consumer_kind kind;
    bool gone;         // it is forgotten; only the key counts
    struct str member; // its id, in the kinds of a member
    int32_t epoch, previous_epoch;
    int8_t state; // Kafka's MemberState: 0 stable, 1 unrevoked, 2 unreleased partitions
    const struct topic_partition *owned, *revoked;
    size_t owned_count, revoked_count;
    const struct consumer_topic *topics;
    size_t topic_count;
    struct str instance_id, rack_id; // p NULL: none
    struct str client_id, client_host;
    const struct str *names; // of topics
    size_t name_count;
    struct str pattern; // of topics; p NULL: none
    int32_t rebalance_timeout_ms;
    struct str assignor; // p NULL: it does not mind
};

/*
 * All of them or none, durable; done as in offsets_commit_async(). `whole`: there are no others, what else was stored of members is
 * forgotten.
 */
struct consumer_change {
    const struct consumer_record *records;
    size_t count;
    bool whole;
};
void offsets_put_consumers_async(struct offsets *o, struct str group, const struct consumer_change *change,
                                 offsets_done_fn *done, void *arg);
/* What is stored, in no order; false: nothing. Records that cannot be read are left out. */
bool offsets_get_consumers(struct offsets *o, struct str group, struct arena *a, struct consumer_record **out,
                           size_t *count);
