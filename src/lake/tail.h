/*
 * tail: the records of a topic behind its tables' snapshots, as rows.
 *
 * Kept in memory from query to query and read on from where it ends; begun anew when a commit has taken it over. It knows
 * of each key the last row, and which rows of the snapshot those replace: found through the key index, so a query's cost is
 * that of the tail, not of the table. A tail of more than lake->tail_bytes is given up until the next commit.
 *
 * A view is what one query sees: it holds chunks, which are only ever appended to, and rows up to a count.
 */
#pragma once

#include "lake/changes.h"
#include "lake/lake_int.h"

struct tail_view {
    struct chunk **chunks;
    size_t *rows; // [count] of each chunk, those that count
    size_t count;
    uint32_t *
        *pick; // [count] the last rows of their keys, without deletes: silver; NULL: the topic has no key
    size_t *picked; // [count]
    struct bits **
        hidden; // [silver->slot_count] rows replaced or deleted, dead ones included; NULL elements: as the version's
    size_t hidden_count;
    bool truncated;   // nothing of the snapshot is left
    int64_t records;  // rows in it
    int64_t left_out; // records behind the snapshot that are not in it
    char why[400];    // they are left out
};

/*
 * The tail as it is now: all records durable when this is called are in it, or counted in left_out. bronze and silver are versions of one
 * commit; silver may be NULL.
 */
bool tail_read(struct stream *s, struct version *bronze, struct version *silver, struct tail_view **out,
               struct err *e) MUST_CHECK;
void tail_view_free(struct tail_view *v); // NULL does nothing
