/*
 * txn: the coordinator of transactions, without I/O.
 *
 * A transactional id names a producer over its restarts (KIP-98): it has a producer id and an epoch that each new instance
 * raises, which fences the ones before. A transaction is the set of partitions it has written to since it was last ended.
 * The rules are those of Kafka's TransactionCoordinator with transaction version 1, with two differences that follow
 * from the log: markers, group offsets and the coordinator's own record are one append, so no state between "ongoing" and
 * "complete" is ever seen, and InitProducerId does not have to send a client away to abort what its predecessor left open.
 *
 * Each change is a step: the functions that answer a request fill one, the caller makes it durable (txns_store.c) and
 * tells with txns_done() how that went. Between the two nothing else may change that id: CONCURRENT_TRANSACTIONS. A
 * request that changes nothing has step.txn NULL. Everything belongs to one thread.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"
#include "base/str.h"

/* As Kafka numbers them in its records. */
enum txn_state {
    TXN_EMPTY,
    TXN_ONGOING,
    TXN_PREPARE_COMMIT, // this and the next one are found only in records that Kafka wrote
    TXN_PREPARE_ABORT,
    TXN_COMPLETE_COMMIT,
    TXN_COMPLETE_ABORT,
    TXN_DEAD,
    TXN_PREPARE_EPOCH_FENCE,
    TXN_STATES
};
const char *txn_state_name(enum txn_state s); // "Ongoing"

struct txn_part {
    struct str topic;
    int32_t partition;
};

/* What is kept of an id, as the record in __transaction_state has it. */
struct txn_record {
    int64_t producer_id;
    int16_t epoch; // -1: it was never given out
    int32_t timeout_ms;
    enum txn_state state;
    struct txn_part *parts; // by topic and partition
    size_t part_n;
    int64_t update_ms; // wall clock
    int64_t start_ms;  // of the transaction; -1: none
};

struct txn {
    struct str id;
    struct txn_record now; // durable
    struct arena arena;    // of its parts
    int16_t last_epoch;    // before the last bump that a producer asked for itself (KIP-360); -1: none
    bool busy;             // a step is under way
    bool ending;           // and it is the end
    int64_t deadline_ms;   // of an ongoing one, by the monotonic clock
};

struct txn_clock {
    int64_t now_ms;  // monotonic
    int64_t wall_ms; //
};

struct txns {
    struct map by_id; // -> struct txn *
    int32_t max_timeout_ms;
    size_t max_ids;
    int64_t next_ms; // no transaction times out before; INT64_MAX: none is open
};

struct txn_step {
    struct txn *txn; // NULL: nothing is to be stored
    struct txn_record next;
    struct arena arena; // of next.parts
    int16_t last_epoch;
    bool ends;          // markers go to the parts of txn->now,
    bool commit;        // of this kind,
    int16_t mark_epoch; // with this epoch of its producer
};

void txns_init(struct txns *t, int32_t max_timeout_ms);
void txns_fini(struct txns *t); // no step is under way
struct txn *txns_find(const struct txns *t, struct str id);

/* A record of the topic; r NULL: a tombstone. */
void txns_load(struct txns *t, struct str id, const struct txn_record *r, const struct txn_clock *c);
/* Removes an id. It is not busy. */
void txns_drop(struct txns *t, struct txn *x);

/*
 * The answers are K_NONE with a step, or Kafka's error. txns_begin() says that a step is being stored; txns_done() ends it, and frees
 * what it holds: with ok what it says is so from now on.
 */
struct txn_who {
    struct str id;
    int64_t producer_id;
    int16_t epoch;
};
struct txn_wish {
    struct txn_who who; // producer id -1: a new instance, not one that goes on after an error (KIP-360)
    int32_t timeout_ms;
    int64_t fresh_id; // a producer id never given out, or -1
};
/* *needs_id: ask again with a fresh_id; then nothing else was done. */
int16_t txns_new_producer(struct txns *t, const struct txn_wish *w, const struct txn_clock *c,
                          struct txn_step *out, bool *needs_id);
int16_t txns_add(struct txns *t, const struct txn_who *who, const struct txn_part *parts, size_t n,
                 const struct txn_clock *c, struct txn_step *out);
int16_t txns_end(struct txns *t, const struct txn_who *who, bool commit, const struct txn_clock *c,
                 struct txn_step *out);
/* The end of a transaction whose time is over, or which another broker had begun to end. False: there is none. */
bool txns_overdue(struct txns *t, const struct txn_clock *c, struct txn_step *out);
void txns_begin(struct txn_step *s);
void txns_done(struct txns *t, struct txn_step *s, const struct txn_clock *c, bool ok);

/* Whether a producer may write to a partition now: only within its open transaction, and only if that was told of it. */
int16_t txns_may_write(const struct txns *t, const struct txn_who *who, struct str topic, int32_t partition);

/* ---- records of __transaction_state (txnrecord.c) ---- */

struct buf;
void txn_key_write(struct buf *b, struct str id);
void txn_value_write(struct buf *b, const struct txn_record *r);
/* id p NULL: a key of another kind, to be passed over. Strings point into the bytes. */
bool txn_key_read(struct str bytes, struct str *id, struct err *e) MUST_CHECK;
bool txn_value_read(struct str bytes, struct arena *a, struct txn_record *out, struct err *e) MUST_CHECK;
