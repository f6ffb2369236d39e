/*
 * capture: one task of the connector: what its files share.
 *
 * postgres.c  the task: sessions, one after the other until it should stop; what the stored position means
 * snapshot.c  the first copy of the tables, consistent with the stream
 * stream.c    the changes after it
 * capture.c   what snapshot and stream both need
 * change.c    one change to records in the group that is being filled
 *
 * The position (connect-offsets, Debezium's keys) says: everything whose commit record ends at or before lsn_proc is on the
 * topics. It is written in the same atomic append as the rows it covers, and the server is told (confirmed_flush_lsn) only what
 * is stored. So after any crash the stream begins again at lsn_proc, and a transaction is either there whole or comes again.
 *
 * While the first snapshot runs the position has "snapshot_completed":false and "held":{topic: offset}: sinks wait at these
 * offsets. If the snapshot breaks off, the next one first trims the topics (log_trim: readers begin after the rows of the broken
 * snapshot), so nothing downstream ever holds a row twice.
 */
#pragma once

#include "connect/postgres/pgevent.h"
#include "connect/postgres/pggroup.h"
#include "connect/postgres/pglink.h"
#include "connect/postgres/pgserver.h"

struct capture {
    struct task *task;
    struct pg_settings settings;
    struct link sql, replication;
    struct server_facts server;
    struct events events;
    struct pggroups groups;
    struct pgout decoder;
    struct map tables; // oid (4 bytes) -> struct pg_table *; the capture itself: the table is not wanted
    struct pg_table *last_table;
    char partition[600]; // {"server":"PREFIX"}
    struct arena scratch;
    struct buf key_text;

    uint64_t durable;     // all before is stored
    uint64_t processed;   // all before is stored or in a group
    uint64_t received;    // the newest position the server spoke of
    uint64_t last_commit; // end of the newest transaction; 0: none yet
    int64_t last_xid, last_commit_us;
    int64_t now_us; // the clock, read once a turn: events of one turn have the same processing time
    bool progress;  // this session has read something: the next failure begins with a short wait

    struct task_stats stats;
    int64_t reported_us;
    int64_t slot_busy_since_us; // 0: it is not
};

/* ---- capture.c ---- */

int64_t capture_now_us(const struct capture *c);
/* Tells the runtime; at most ten times a second unless it must. fmt: what the task does now. */
void capture_report(struct capture *c, bool must, const char *fmt, ...) PRINTF(3, 4);
void capture_warn(void *capture, const char *text);
/* Waits until a group can be filled. NULL and e: an append failed, or the task should stop. */
struct pggroup *capture_group(struct capture *c, struct err *e);
/* The position "all before `lsn` is processed", in out. */
struct str position_text(const struct capture *c, uint64_t lsn, char *out, size_t size);

/* ---- change.c ---- */

/* Where and when a change was made; the rest of its source block is the capture's. */
struct pgchange {
    char op;
    struct pg_table *table;
    const struct pgout_row *before, *after;
    struct event_source source;
};
/* One event, with its tombstone where there is one, into the group. The table's topic is made when it is the first. */
bool pgchange_add(struct capture *c, struct pggroup *g, struct pgchange *ch, struct err *e) MUST_CHECK;
bool pgchange_insert(struct capture *c, struct pggroup *g, struct pg_table *t, const struct pgout_msg *m,
                     const struct event_source *src, struct err *e) MUST_CHECK;
bool pgchange_update(struct capture *c, struct pggroup *g, struct pg_table *t, const struct pgout_msg *m,
                     const struct event_source *src, struct err *e) MUST_CHECK;
bool pgchange_delete(struct capture *c, struct pggroup *g, struct pg_table *t, const struct pgout_msg *m,
                     const struct event_source *src, struct err *e) MUST_CHECK;
bool pgchange_topic(struct capture *c, struct pg_table *t, struct err *e) MUST_CHECK;

/* ---- snapshot.c, stream.c ---- */

/* Copies all tables; afterwards the position is stored and c->durable set to where the stream goes on. */
bool pgsnapshot_run(struct capture *c, const struct slot_facts *slot, struct err *e) MUST_CHECK;
/* Trims what a broken snapshot left on its topics. held: the "held" of the stored position. */
bool pgsnapshot_clean(struct capture *c, struct str position, struct err *e) MUST_CHECK;
/* Reads changes from c->durable until the task should stop (true) or something fails. */
bool pgstream_run(struct capture *c, struct err *e) MUST_CHECK;
