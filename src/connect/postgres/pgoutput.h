/*
 * pgoutput: the messages of PostgreSQL's logical replication, version 1, text.
 *
 * Source of the format: PostgreSQL 15 documentation, "Logical Replication Message Formats". A decoder turns the bytes of one
 * message into a struct pgout_msg whose strings point into those bytes and whose arrays belong to the decoder: both live until
 * the next message. Integers are big-endian; text is in the client encoding (UTF-8).
 *
 *     struct pgout d = {0};
 *     if (!pgout_read(&d, bytes, &m, e)) ...
 *     pgout_fini(&d);
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

enum pgout_kind {
    PGOUT_BEGIN = 'B',
    PGOUT_COMMIT = 'C',
    PGOUT_ORIGIN = 'O',
    PGOUT_RELATION = 'R',
    PGOUT_TYPE = 'Y',
    PGOUT_INSERT = 'I',
    PGOUT_UPDATE = 'U',
    PGOUT_DELETE = 'D',
    PGOUT_TRUNCATE = 'T',
    PGOUT_MESSAGE = 'M',
};

/* Microseconds between 1970-01-01 and 2000-01-01, PostgreSQL's epoch. */
#define PGOUT_EPOCH_US INT64_C(946684800000000)

enum pgout_cell_kind { PGOUT_NULL = 'n', PGOUT_UNCHANGED = 'u', PGOUT_TEXT = 't' };

struct pgout_cell {
    enum pgout_cell_kind
        kind; // PGOUT_UNCHANGED: a large value that the update left alone and the log does not hold
    struct str text;
};

struct pgout_column {
    bool key; // part of the replica identity
    struct str name;
    uint32_t type;
    int32_t modifier; // atttypmod
};

struct pgout_row {
    struct pgout_cell *cells;
    size_t count;
};

struct pgout_msg {
    enum pgout_kind kind;
    uint32_t relation; // R I U D: its oid
    union {
        struct {
            uint64_t final_lsn; // where the commit record begins
            int64_t commit_us;  // since 1970
            uint32_t xid;
        } begin;
        struct {
            uint64_t lsn, end_lsn; // the commit record and the first byte after it
            int64_t commit_us;
        } commit;
        struct {
            uint64_t lsn;
            struct str name;
        } origin;
        struct {
            struct str schema, name;
            char identity; // d default, n nothing, f full, i index
            struct pgout_column *columns;
            size_t count;
        } relation_info;
        struct {
            char old_kind; // 0: no old row, 'K' key columns only, 'O' the whole row
            struct pgout_row old, new;
        } row; // I: new; D: old; U: both or new
        struct {
            bool cascade, restart;
            uint32_t *relations;
            size_t count;
        } truncate;
        struct {
            bool transactional;
            uint64_t lsn;
            struct str prefix, content;
        } message;
    };
};

struct pgout {
    struct pgout_cell *_old, *_new;
    struct pgout_column *_columns;
    uint32_t *_relations;
    size_t _old_cap, _new_cap, _column_cap, _relation_cap;
};

bool pgout_read(struct pgout *d, struct str bytes, struct pgout_msg *m, struct err *e) MUST_CHECK;
void pgout_fini(struct pgout *d);
