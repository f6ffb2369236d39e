/*
 * pggroup: rows on their way to the log, several atomic appends in flight.
 *
 * A group gathers the batches of whole transactions (or of a piece of a snapshot) by topic; pggroups_send() hands it to the log
 * as one atomic append together with the position, and the next group is filled meanwhile. Groups become durable in the
 * order they were sent. The task's thread owns all of it; the log's answer comes through an eventfd that the task polls.
 *
 * Batches of one topic in one group are cut at GROUP_BATCH_BYTES, so consumers with Kafka's usual limits can fetch them.
 *
 * A transaction is one group, however large: past GROUP_MEMORY_BYTES its batches lie in files (os/spool.h) until it commits, and
 * the log takes them from there. So its size is bounded by the disk, which it needs twice: a full one is ERR_FULL, nothing
 * of it is appended, and it is read again when there is room.
 */
#pragma once

#include "base/err.h"
#include "base/limits.h"
#include "connect/connect.h"
#include "os/spool.h"
#include "os/thread.h"

enum { GROUPS = 4, GROUP_BATCH_BYTES = 900 * 1024 };
#define GROUP_MEMORY_BYTES (32 * MIB) // of one group; beyond it whole batches go to spools

struct group_topic {
    struct batch_writer writer; // the batch being filled
    struct buf whole;           // the batches before it, when there is more than one
    struct os_spool spool;      // ... and those before them, of a large transaction
    bool used;
};

struct pggroup {
    struct source_write write;
    struct log_part_write *parts; // [topics + 1]
    struct group_topic *topics;   // [topics]
    size_t topic_cap;
    uint64_t end_lsn; // what is processed when this is durable
    uint64_t rows;
    size_t bytes;
    int64_t commit_us; // of the newest change in it
    char position[2048];
    bool flying;
    struct pggroups *owner;
};

struct pggroups {
    struct task *task;
    struct str *topics; // names by number
    size_t topic_count, topic_cap;
    struct pggroup group[GROUPS];
    size_t first, flying; // the oldest in flight, and how many
    struct mutex lock;    // guards landed, failed, err
    size_t landed;        // answered and not yet taken
    bool failed;
    struct err err; // of the first that failed
    int event_fd;   // readable when a group has landed
};

void pggroups_init(struct pggroups *g, struct task *t);
void pggroups_fini(struct pggroups *g);                      // waits for what is in flight
size_t pggroups_topic(struct pggroups *g, struct str topic); // the number of a topic; copies the name
/* The group being filled; NULL when all are in flight: wait for event_fd, then pggroups_take(). */
struct pggroup *pggroups_filling(struct pggroups *g);
bool pggroup_add(struct pggroup *g, size_t topic, const struct record *r, struct err *e) MUST_CHECK;
/* Sends the group being filled. position: JSON text, or p NULL for rows only. False: nothing was sent. */
bool pggroups_send(struct pggroups *g, struct str partition_json, struct str position,
                   struct err *e) MUST_CHECK;
/* Takes what has landed. False, with e: an append failed; the task cannot go on. *end_lsn is raised to what is durable. */
bool pggroups_take(struct pggroups *g, uint64_t *end_lsn, struct err *e) MUST_CHECK;
void pggroups_abandon(
    struct pggroups *g); // waits for what is in flight, throws away what is not, forgets failures
bool pggroups_wait(struct pggroups *g, uint64_t *end_lsn,
                   struct err *e) MUST_CHECK; // until none is in flight
