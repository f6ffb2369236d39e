/*
 * pgserver: what PostgreSQL is asked before and beside the stream: its identity, slot, publication and tables.
 *
 * Every check that can fail with a sentence a user can act on is here, so that streaming never starts in a state that would lose
 * changes: a slot that is absent, of another database or plugin, invalidated, read by somebody else, or ahead of the
 * position that was stored.
 */
#pragma once

#include "base/arena.h"
#include "connect/postgres/pglink.h"
#include "connect/postgres/pgtable.h"

struct server_facts {
    int version;        // 150018
    char system_id[24]; // pg_control's: two servers never share it
    int64_t xid;        // of now, as Debezium's snapshot rows have it
};
/* And that its wal_level is logical. */
bool pgserver_identify(struct link *sql, struct link *replication, struct server_facts *out,
                       struct err *e) MUST_CHECK;

struct slot_facts {
    bool there;
    bool active;
    int active_pid;
    bool lost;          // wal_status
    uint64_t confirmed; // everything before it is gone for this slot
    char plugin[64], database[64];
};
bool pgserver_slot(struct link *sql, const char *slot, struct slot_facts *out, struct err *e) MUST_CHECK;
/* That the slot can be read by us at all; `there` is the caller's question. */
bool pgserver_check_slot(const struct slot_facts *f, const struct pg_settings *s, struct err *e) MUST_CHECK;

/*
 * Makes a slot. snapshot not NULL: the name of a snapshot that is consistent with *start, good until the next command
 * on this connection. temporary: gone with the connection.
 */
struct new_slot {
    uint64_t start;
    char snapshot[64];
};
bool pgserver_create_slot(struct link *replication, const char *slot, bool temporary, bool snapshot,
                          struct new_slot *out, struct err *e) MUST_CHECK;
bool pgserver_drop_slot(struct link *sql, const char *slot,
                        struct err *e) MUST_CHECK; // an absent one is fine

/* Makes the publication when it is absent and may be made. */
bool pgserver_publication(struct link *sql, const struct pg_settings *s, struct err *e) MUST_CHECK;
/* The published tables the settings want, by name, in a. */
bool pgserver_tables(struct link *sql, const struct pg_settings *s, struct arena *a, struct table_facts **out,
                     size_t *count, struct err *e) MUST_CHECK;
/* Columns and key of one table; count 0: it is gone. Generated columns are not replicated, so they are left out. */
bool pgserver_columns(struct link *sql, uint32_t oid, struct arena *a, struct table_facts *out,
                      struct err *e) MUST_CHECK;

const char *pglsn_text(uint64_t lsn, char out[24]); // "16/B374D848"
