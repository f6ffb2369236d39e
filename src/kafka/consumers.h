/*
 * consumers: the coordinator of consumer groups whose assignments the broker makes (KIP-848), without I/O.
 *
 * Such a group has three epochs. Its own grows when a member comes, goes or subscribes otherwise, or when a topic that is read
 * changes. The target assignment is then made anew, for that epoch. Each member comes to the target's epoch by itself, in its
 * heartbeats: first it gives up what is not its any more, keeping its epoch; when it has, it is given what is its and what
 * nobody else holds; what others still hold follows as they give it up. So no partition is ever two members'.
 *
 * The rules are those of Kafka's GroupMetadataManager and CurrentAssignmentBuilder. Not taken from there: groups of which some members
 * speak the classic protocol, racks, and positions committed with an older epoch (KIP-1251).
 *
 * A coordinator knows nothing of sockets, disks and clocks. It answers a heartbeat when what it changed has been stored, and when all
 * that was changed before has. It belongs to one thread.
 */
#pragma once

#include "group/consumer.h"
#include "kafka/group.h"

struct consumers;

enum { CONSUMERS_SESSION_MS = 45000, CONSUMERS_HEARTBEAT_MS = 5000 };

struct consumers_io {
    void *arg;
    int64_t (*now_ms)(void *arg); // monotonic
    void (*random_id)(void *arg, char out[COORD_MEMBER_ID]);
    /* The answer to a heartbeat; all in it is borrowed during the call. */
    void (*answer)(void *waiter, const struct k_consumer_beat_res *res);
    /* Keep this; consumers_stored() follows with the version, in the order of the versions. */
    void (*store)(void *arg, struct str group, const struct consumer_change *change, uint64_t version);
    /* All topics, in any order, and a number that is another one whenever they have changed. */
    uint64_t (*topics_version)(void *arg);
    void (*topics)(void *arg, struct arena *a, struct consumer_topic **out, size_t *count);
    /* Whether a pattern stands for this topic too, to a client of this user and host. */
    bool (*may_see)(void *arg, struct str user, struct str host, struct str topic);
    /* What the group has instead of the options' session_ms and heartbeat_ms; NULL: none has. */
    void (*times)(void *arg, struct str group, int64_t *session_ms, int32_t *heartbeat_ms);
};

struct consumers_options {
    struct consumers_io io;
    int64_t session_ms;   // 0: CONSUMERS_SESSION_MS (Kafka: group.consumer.session.timeout.ms)
    int32_t heartbeat_ms; // 0: CONSUMERS_HEARTBEAT_MS (Kafka: group.consumer.heartbeat.interval.ms)
    size_t max_members;   // of a group; 0: COORD_MEMBERS_MAX (Kafka: group.consumer.max.size)
};

struct consumers *consumers_new(const struct consumers_options *o);
void consumers_free(struct consumers *c); // after consumers_close()
/* Answers all who wait with COORDINATOR_NOT_AVAILABLE; nobody gets in any more. */
void consumers_close(struct consumers *c);

/* A group as it was stored: its members have a session to be heard of again. */
void consumers_load(struct consumers *c, struct str group, const struct consumer_record *r, size_t n);

struct consumers_client {
    struct str id, host, user;
};
void consumers_beat(struct consumers *c, const struct consumers_client *client, int version,
                    const struct k_consumer_beat_req *req, void *waiter);
void consumers_stored(struct consumers *c, struct str group, uint64_t version, bool ok);

bool consumers_is_known(struct consumers *c, struct str group);

/* As coord_may_commit(), for a group that is known; knows_epochs: asked with a version that may be told STALE_MEMBER_EPOCH. */
int16_t consumers_may_commit(struct consumers *c, const struct coord_commit *m, bool knows_epochs);
/* Whether a member may read the group's positions (OffsetFetch from version 9 on). */
int16_t consumers_may_fetch(struct consumers *c, struct str group, struct str member_id, int32_t epoch);
/* As coord_reads(). */
bool consumers_reads(struct consumers *c, struct str group, struct str topic, struct coord_reads *out);
/* The group is deleted. NON_EMPTY_GROUP while there are members. */
int16_t consumers_forget(struct consumers *c, struct str group);
/* Groups without members of which nothing is stored any more are forgotten here too. */
void consumers_tidy(struct consumers *c, bool (*is_stored)(void *arg, struct str group));

/* When consumers_tick() is due, by the monotonic clock; INT64_MAX: not. */
int64_t consumers_next_ms(struct consumers *c);
void consumers_tick(struct consumers *c);

/* A group as ConsumerGroupDescribe tells it, in a; false: none. */
bool consumers_describe(struct consumers *c, struct str group, struct arena *a,
                        struct k_consumer_describe_res_group *out);
/* Names and states of all. */
void consumers_list(struct consumers *c, struct arena *a, struct k_list_groups_res_group **out,
                    size_t *count);
