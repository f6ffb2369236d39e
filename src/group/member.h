/*
 * member: a consumer of this process in a group, beside those that come over the Kafka protocol.
 *
 * The coordinator is a door's; a room below it reaches it through a `struct group_desk` that is given from above. A member is a state
 * machine without I/O around it: it joins, leads when it is told to (protocol.h), takes what it is assigned, keeps its place by heartbeats
 * and joins again when the group changes, as Kafka's ConsumerCoordinator does ("eager": all partitions are given up before joining).
 *
 *     OUT ──subscribe──▶ JOINING ──▶ SYNCING ──▶ STABLE        another member comes or goes, topics change,
 *                           ▲            │          │           we were forgotten: back to JOINING
 *                           └────────────┴──────────┘           the coordinator cannot answer: LATER, then JOINING
 *     any ──leave──▶ LEAVING ──▶ OUT                            it will never have us: FAILED
 *
 * Threads: everything, also each answer of the desk, is on the coordinator's loop.
 */
#pragma once

#include "group/offsets.h"
#include "group/protocol.h"

/* The error codes of Kafka's protocol that a member meets. */
enum group_error {
    GROUP_NONE = 0,
    GROUP_COORDINATOR_LOADING = 14,
    GROUP_COORDINATOR_NOT_AVAILABLE = 15,
    GROUP_ILLEGAL_GENERATION = 22,
    GROUP_INCONSISTENT_PROTOCOL = 23,
    GROUP_UNKNOWN_MEMBER = 25,
    GROUP_REBALANCING = 27,
    GROUP_MEMBER_ID_REQUIRED = 79,
    GROUP_MAX_SIZE_REACHED = 81,
};

struct group_who {
    struct str group, member_id;
    int32_t generation;
    struct str client_id, client_host;
};

struct group_join {
    struct group_who who;
    int32_t session_ms, rebalance_ms;
    struct str subscription; // for each of the assignors
    const char *const *assignors;
    size_t assignor_count;
};

struct group_peer {
    struct str id, bytes; // its subscription; going back, its assignment
};

struct group_joined {
    int16_t error;
    int32_t generation;
    struct str assignor, leader, member_id;
    struct group_peer *peers; // for the leader
    size_t peer_count;
};

typedef void group_joined_fn(void *arg,
                             const struct group_joined *res); // strings are borrowed during the call
typedef void group_synced_fn(void *arg, int16_t error, struct str assignment);
typedef void group_answer_fn(void *arg, int16_t error);

/* The coordinator. Nothing is borrowed after a call; each is answered once, after it has returned. */
struct group_desk {
    void *arg;
    void (*join)(void *desk, const struct group_join *j, group_joined_fn *done, void *arg);
    void (*sync)(void *desk, const struct group_who *w, const struct group_peer *given, size_t count,
                 group_synced_fn *done, void *arg);
    void (*heartbeat)(void *desk, const struct group_who *w, group_answer_fn *done, void *arg);
    void (*leave)(void *desk, const struct group_who *w, group_answer_fn *done, void *arg);
    /* Without a member id and with generation -1: of somebody who reads beside the group; refused while it has members. */
    void (*commit)(void *desk, const struct group_who *w, const struct offset_at *at, size_t count,
                   group_answer_fn *done, void *arg);
};

struct group_member;

struct group_member_io {
    void *arg;
    int64_t (*now_ms)(void *arg); // monotonic
    group_partitions_fn *partitions;
    /* Partitions are given up; while `known` is true they may still be committed, before this returns. */
    void (*revoked)(void *arg, bool known);
    void (*assigned)(void *arg, const struct group_part *parts, size_t count); // borrowed during the call
    void (*failed)(void *arg, int16_t error);
    void (*due)(void *arg); // group_member_next_ms() has changed by itself, not within a call of the owner
};

struct group_member_options {
    const struct group_desk *desk;
    struct group_member_io io;
    struct str group, client_id, client_host;
};

struct group_member *group_member_new(const struct group_member_options *o); // copies
/* Joins, or joins again when it wanted other topics before. */
void group_member_subscribe(struct group_member *m, const struct str *topics, size_t count);
/*
 * Out of the group; done(arg, 0) when nothing is under way any more. Partitions are revoked first. Not again before it is
 * answered; a subscription meanwhile lets it join anew.
 */
void group_member_leave(struct group_member *m, group_answer_fn *done, void *arg);
/* Commits as a member, or when it is out of the group as somebody beside it. */
void group_member_commit(struct group_member *m, const struct offset_at *at, size_t count,
                         group_answer_fn *done, void *arg);
int64_t group_member_next_ms(const struct group_member *m); // when group_member_tick() is due; INT64_MAX: not
void group_member_tick(struct group_member *m);
void group_member_free(struct group_member *m); // after group_member_leave() has been answered
