/*
 * offsets_int: what the files of offsets share.
 *
 * offsets.c         opens it: the topic is read from the beginning
 * offsets_memory.c  what its records say, in memory: applying one, asking
 * offsets_write.c   batches on their way to the log; memory follows when they are durable
 * offsets_forget.c  tombstones: for who asks, and for what has expired
 */
#pragma once

#include "base/map.h"
#include "group/group_int.h"
#include "os/thread.h"

enum { OFFSETS_BATCH_MAX = 16 << 20 };

/* A group's memory: positions by topic and partition, and the value of its GroupMetadata record. */
struct group {
    struct map
        positions; // topic and big-endian partition -> struct offset_at *, of one piece with its strings
    char *meta;    // NULL: none
    size_t meta_n;
    struct map consumers; // of a group of KIP-848: key -> struct group_record *, of one piece with its bytes
};

struct group_record {
    size_t n; // the bytes follow
};

struct offsets {
    struct os *os;
    struct log *log;
    int32_t partitions;
    struct mutex lock;  // over the rest
    struct map groups;  // name -> struct group *
    struct map pending; // positions of open transactions (pending.c)
};

/* ---- offsets_memory.c ---- */

struct str offsets_position_key(struct buf *b, struct str topic, int32_t partition);
void offsets_group_free(struct group *g);

/* Bytes of one partition; shift: what is to be added to the offsets in them. */
struct offsets_piece {
    struct str batches;
    int32_t partition;
    int64_t shift;
    bool settled; // transactions in it were committed
};
/* All records of a piece, just written or replayed; *next is the offset behind the last. */
bool offsets_apply(struct offsets *o, const struct offsets_piece *p, int64_t *next, struct err *e) MUST_CHECK;
/* A producer's marker. The lock is held. */
bool offsets_apply_end(struct offsets *o, int32_t partition, int64_t producer_id, bool commit,
                       struct err *e) MUST_CHECK;

/* ---- offsets_write.c ---- */

/* One batch on its way to the log; what it says is applied to memory when it is durable. */
struct offsets_write {
    struct offsets *o;
    struct batch_writer w;
    struct log_part_write part;
    offsets_done_fn *done;
    void *arg;
    struct buf key, value; // of the record being added
    struct offsets_write *next;
};

int64_t offsets_now_ms(struct offsets *o);
struct offsets_write *offsets_write_new(struct offsets *o, struct str group);
/* A record of key k. Its value is what was written to c->value before; nothing there is a tombstone. */
void offsets_write_add(struct offsets_write *c, const struct offset_key *k);
/* Tombstones for the records of a group's members, but for those kept; NULL: for all. The lock is held. */
void offsets_write_forget(struct offsets_write *c, const struct group *g, const struct map *kept);
void offsets_write_send(struct offsets_write *c, offsets_done_fn *done, void *arg); // takes it

/* For who waits until n writes have ended: offsets_latch_done() is their offsets_done_fn. e: the first that failed. */
struct offsets_latch {
    struct mutex lock;
    struct cond cond;
    size_t left;
    bool ok;
    struct err *e;
};
void offsets_latch_init(struct offsets_latch *l, size_t n, struct err *e);
void offsets_latch_done(void *arg, bool ok, const struct err *why);
bool offsets_latch_wait(struct offsets_latch *l); // and ends it
