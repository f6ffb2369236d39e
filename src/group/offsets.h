/*
 * offsets: what consumer groups have committed, kept as Kafka keeps it.
 *
 * A group is a name; for each partition it reads it commits the offset of the next record it wants. The state is the
 * compacted topic __consumer_offsets in Kafka's own key and value formats (OffsetCommitKey/Value and
 * GroupMetadataKey/Value of the Kafka source), replayed into memory by offsets_open(). All of a group is in one partition,
 * chosen as Kafka chooses it (Java's String.hashCode of the name), so one commit is one batch and is seen whole or not at all.
 *
 *     offsets_open(&(struct offsets_options){.os = os, .log = log}, &o, e)
 *     offsets_commit(o, STR("connect-s3-sink"), &(struct offset_at){.topic = STR("orders"), .offset = 42, .leader_epoch = -1}, 1, e)
 *     offsets_get(o, STR("connect-s3-sink"), STR("orders"), 0, &arena, &at)
 *
 * The coordinator of live groups (members, rebalances) is in kafka/; sink connectors commit to the group connect-NAME
 * without members. Both go through here, so kcat and consoles see them alike.
 *
 * Threads: any. Answers are copies in the caller's arena. A commit is durable when it is answered.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct log;
struct offsets;
struct os;

#define OFFSETS_TOPIC "__consumer_offsets"
enum { OFFSETS_METADATA_MAX = 4096 }; // characters of offset_at.metadata (Kafka: offset.metadata.max.bytes)

struct offsets_options {
    struct os *os;
    struct log *log;
    int32_t partitions; // of the topic when it is made; 0: 8 (Kafka: offsets.topic.num.partitions, 50)
};

/* Makes the topic when it is absent, and replays it. Close it before the log. */
bool offsets_open(const struct offsets_options *o, struct offsets **out, struct err *e) MUST_CHECK;
void offsets_close(struct offsets *o); // no commit may be under way; NULL does nothing

/* ---- positions ---- */

struct offset_at {
    struct str topic;
    int32_t partition;
    int32_t leader_epoch; // of the record before it; -1: not known
    int64_t offset;       // of the next record to read
    struct str metadata;  // the client's own words, may be empty
    int64_t commit_ms;    // when it was committed; 0 in a commit: now
    int64_t expire_ms;    // when it may be forgotten, if the client said so; not above 0: by the retention
    int64_t _record;      // offset of its record in the topic
};

typedef void offsets_done_fn(void *arg, bool ok, const struct err *e);

/*
 * All of them or none, durable. The topics need not exist. Nothing is borrowed after the call. `done` runs once, on the log's
 * committer thread (or on this one, when it cannot be written at all), when offsets_get() already shows them: it must not
 * block and not call the log.
 */
void offsets_commit_async(struct offsets *o, struct str group, const struct offset_at *at, size_t count,
                          offsets_done_fn *done, void *arg);
/* The same, waiting. Not on a loop's thread. */
bool offsets_commit(struct offsets *o, struct str group, const struct offset_at *at, size_t count,
                    struct err *e) MUST_CHECK;

/*
 * Positions that are part of a transaction (KIP-98): durable, but in force only when the producer's commit marker has been appended to
 * the group's partition, which ends them: whoever appended it says so with offsets_end_txn(), on the committer's thread. A
 * position that was committed after them stays.
 */
struct offsets_producer {
    int64_t id;
    int16_t epoch;
};
void offsets_commit_txn_async(struct offsets *o, struct str group, const struct offsets_producer *p,
                              const struct offset_at *at, size_t count, offsets_done_fn *done, void *arg);
void offsets_end_txn(struct offsets *o, int32_t partition, int64_t producer_id, bool commit);
/* Whether an open transaction has a position there (KIP-447: UNSTABLE_OFFSET_COMMIT). */
bool offsets_is_pending(struct offsets *o, struct str group, struct str topic, int32_t partition);
int32_t offsets_partition(const struct offsets *o, struct str group); // of OFFSETS_TOPIC
/* Where Kafka keeps what has a name among n partitions: Java's hashCode of it in UTF-16, made positive, modulo. */
int32_t group_partition(struct str name, int32_t partitions);

/* False when the group has no position there. */
bool offsets_get(struct offsets *o, struct str group, struct str topic, int32_t partition, struct arena *a,
                 struct offset_at *out);
/* All positions of a group, by topic and partition. */
void offsets_list(struct offsets *o, struct str group, struct arena *a, struct offset_at **out,
                  size_t *count);
/* Names of all groups that have positions or members, sorted. */
void offsets_groups(struct offsets *o, struct arena *a, struct str **out, size_t *count);

/*
 * The same for positions that are no longer wanted: those that are there are forgotten (Kafka: OffsetDelete).
 * offsets_delete_group_async() forgets all there is of a group.
 */
void offsets_forget_async(struct offsets *o, struct str group, const struct offset_at *at, size_t count,
                          offsets_done_fn *done, void *arg);
void offsets_delete_group_async(struct offsets *o, struct str group, offsets_done_fn *done, void *arg);

/* What the coordinator knows of a group and a topic when old positions are swept out. */
enum offsets_reader {
    OFFSETS_NO_READER, // the group has no members: its positions expire a retention after the last one left
    OFFSETS_READ,      // by a member, or that is not known just now: they stay
    OFFSETS_UNREAD     // there are members, and none reads the topic: a retention after the commit
};

struct offsets_sweep {
    int64_t retention_ms; // Kafka: offsets.retention.minutes
    void *arg;
    enum offsets_reader (*reader)(void *arg, struct str group, struct str topic); // must not call offsets
};

/*
 * Forgets what has expired by Kafka's rules (KIP-211), and groups of which nothing is left. Does not wait; what it wrote is
 * durable when `done` has been called, once.
 */
void offsets_sweep_async(struct offsets *o, const struct offsets_sweep *s, offsets_done_fn *done, void *arg);

/* Forgets a group, or what all groups have committed for a topic that was deleted. Durable; waits: not on a loop's thread. */
bool offsets_delete_group(struct offsets *o, struct str group, struct err *e) MUST_CHECK;
bool offsets_delete_topic(struct offsets *o, struct str topic, struct err *e) MUST_CHECK;

/* ---- members, for the coordinator ---- */

struct group_meta_member {
    struct str id;
    struct str instance_id; // of a static member (KIP-345); p NULL: dynamic
    struct str client_id, client_host;
    int32_t rebalance_timeout_ms, session_timeout_ms;
    struct str subscription, assignment; // opaque bytes of the clients' protocol
};

/* A generation of a group, as GroupMetadataValue has it. */
struct group_meta {
    struct str protocol_type; // "consumer", "connect"
    int32_t generation;
    struct str protocol; // the chosen assignor; p NULL: none (the group is empty)
    struct str leader;   // a member id; p NULL: none
    int64_t state_ms;    // when it came to its state
    struct group_meta_member *members;
    size_t member_count;
};

/* As offsets_commit_async. m NULL: what was stored is forgotten. */
void offsets_put_meta_async(struct offsets *o, struct str group, const struct group_meta *m,
                            offsets_done_fn *done, void *arg);
bool offsets_get_meta(struct offsets *o, struct str group, struct arena *a,
                      struct group_meta *out); // false: none was stored
