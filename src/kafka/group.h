/*
 * group: the coordinator of consumer groups, without I/O.
 *
 * The classic ("eager") protocol of Kafka: members join, the broker chooses a leader and an assignor that all know, the
 * leader sends everyone's assignment, and all keep their place by heartbeats. The rules are those of Kafka's
 * GroupCoordinator, with member ids given out before joining (KIP-394), static members (KIP-345) and skipped assignments
 * for a static leader that returns (KIP-814).
 *
 * A coordinator knows nothing of sockets, disks and clocks: it is told the time and answers through struct coord_io. A join
 * or a sync is answered later, through the pointer that came with it. It belongs to one thread.
 *
 * Groups without members are not kept here: what remains of them, their positions and their last generation, is in
 * group/offsets.h.
 */
#pragma once

#include "group/offsets.h"
#include "kafka/messages.h"

struct coord;

enum { COORD_MEMBER_ID = 37 }; // bytes of a random part of a member's id, with the NUL
/* What a session may last (Kafka: group.min.session.timeout.ms, group.max.session.timeout.ms). */
enum { COORD_SESSION_LEAST_MS = 6000, COORD_SESSION_MOST_MS = 1800000, COORD_MEMBERS_MAX = 1000 };

struct coord_io {
    void *arg;
    int64_t (*now_ms)(void *arg); // monotonic
    int64_t (*wall_ms)(void *arg);
    void (*random_id)(void *arg, char out[COORD_MEMBER_ID]);
    /* The answer to a join or sync; strings are borrowed during the call. */
    void (*joined)(void *waiter, const struct k_join_group_res *res);
    void (*synced)(void *waiter, const struct k_sync_group_res *res);
    /* Keep this; coord_stored() follows with the version. Without members it need not follow. */
    void (*store)(void *arg, struct str group, const struct group_meta *m, uint64_t version);
    /* The last generation that was stored, 0 when none was. */
    int32_t (*last_generation)(void *arg, struct str group);
};

struct coord_options {
    struct coord_io io;
    int64_t initial_delay_ms; // how long an empty group waits for more members
    size_t max_members;       // of a group (Kafka: group.max.size); 0: COORD_MEMBERS_MAX
};

struct coord *coord_new(const struct coord_options *o);
void coord_free(struct coord *c); // after coord_close()
/* Answers all who wait with COORDINATOR_NOT_AVAILABLE; nobody gets in any more. */
void coord_close(struct coord *c);

/* A group as it was stored: its members have a session timeout to be heard of again. */
void coord_load(struct coord *c, struct str group, const struct group_meta *m);

struct coord_client {
    struct str id, host;
};
void coord_join(struct coord *c, const struct coord_client *client, int version,
                const struct k_join_group_req *req, void *waiter);
void coord_sync(struct coord *c, const struct k_sync_group_req *req, void *waiter);
void coord_stored(struct coord *c, struct str group, uint64_t version, bool ok);
int16_t coord_heartbeat(struct coord *c, const struct k_heartbeat_req *req);

/* Who goes: by member id, or a static member by its instance id alone (member_id empty). */
struct coord_leaver {
    struct str member_id, instance_id;
    int16_t error; // out
};
/* All at once, so that they make one rebalance. Not K_NONE: it failed for all alike, and the errors are not set. */
int16_t coord_leave(struct coord *c, struct str group, struct coord_leaver *who, size_t n);

/* Whether a member (or, with generation -1, nobody's member) may commit offsets now. */
struct coord_commit {
    struct str group, member_id, instance_id;
    int32_t generation;
    bool transactional; // TxnOffsetCommit: the state of the group does not matter
    bool group_known;   // it has positions, or had members once
    int16_t no_group;   // what a member of a group that is not known is told
};
int16_t coord_may_commit(struct coord *c, const struct coord_commit *m);

/* What a group with members knows of a topic; false: it has none. */
struct coord_reads {
    bool consumers;  // it speaks the protocol of consumers, so its topics are known
    bool stable;     // not in a rebalance
    bool subscribed; // to the topic; also when the subscriptions cannot be read
};
bool coord_reads(struct coord *c, struct str group, struct str topic, struct coord_reads *out);

bool coord_is_known(struct coord *c, struct str group);
/* The group is deleted: ids that were given out are forgotten. NON_EMPTY_GROUP while there are members. */
int16_t coord_forget(struct coord *c, struct str group);

/* When coord_tick() is due, by the monotonic clock; INT64_MAX: not. */
int64_t coord_next_ms(struct coord *c);
void coord_tick(struct coord *c);

/* A group with members as DescribeGroups tells it, in a; false: none. */
bool coord_describe(struct coord *c, struct str group, struct arena *a,
                    struct k_describe_groups_res_group *out);
/* Names, types and states of all groups with members. */
void coord_list(struct coord *c, struct arena *a, struct k_list_groups_res_group **out, size_t *count);
