/*
 * assign: who of a group reads which partitions, decided by the broker (KIP-848).
 *
 * uniform   gives all members as many partitions as it can, of the topics that each reads, and moves no more than that takes
 * range     gives each member, in a fixed order, a run of neighbouring partitions of each topic, so that topics with equally
 *           many partitions are read together; it moves what it moves
 *
 * The rules are those of Kafka's assignors of these names; which of several equally good assignments is found is ours. No racks:
 * there is one broker.
 *
 * Pure: memory comes from the arena, which also holds the answer.
 */
#pragma once

#include "base/arena.h"
#include "group/consumer.h"

struct assign_topic {
    struct log_uuid id;
    int32_t partitions;
};

struct assign_member {
    struct str id, instance_id;    // instance_id.p NULL: dynamic
    const struct log_uuid *topics; // it reads, sorted
    size_t topic_count;
    const struct topic_partition *had; // before, sorted
    size_t had_count;
    struct topic_partition *gets; // out, sorted
    size_t gets_count;
};

/* Topics sorted by id. Those that a member names and are not among them are as if it did not. */
typedef void assign_fn(const struct assign_topic *t, size_t topic_count, struct assign_member *m, size_t n,
                       struct arena *a);
assign_fn assign_uniform, assign_range;

/* By name; NULL: none. */
assign_fn *assign_find(struct str name);
#define ASSIGN_DEFAULT "uniform"

int uuid_cmp(const struct log_uuid *a, const struct log_uuid *b);
bool uuid_among(const struct log_uuid *sorted, size_t n, const struct log_uuid *id);
int topic_partition_cmp(const struct topic_partition *a, const struct topic_partition *b);
