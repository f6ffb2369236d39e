/*
 * log: topics on disk, the one storage engine.
 *
 * A topic has partitions; a partition is a sequence of Kafka record batches (v2, KIP-98) kept exactly as they cross the wire,
 * each record with an offset. log_append() writes batches to several partitions as ONE atomic, durable step: when it
 * has answered, all of them survive a crash; when it has failed or the process died before, none is ever seen.
 *
 * How: appends queue for the committer, one thread. It takes all that waits, gives offsets, writes one frame a append to the
 * preallocated journal file and one fdatasync covers the whole group; then the batches are copied to their partitions'
 * segment files (not synced) and become readable; then the callers hear. A checkpoint syncs segments and recycles the
 * journal. An append above LOG_DIRECT_BYTES goes to its segments first, is synced there, and the journal holds only the
 * reference. So reads always come from segments, and start-up replays at most one journal: restart time does not grow
 * with data. After a failed fdatasync nothing is acknowledged any more (log_failed() tells why) until the log is opened anew.
 * A full disk is different: the append is refused with ERR_FULL, reading goes on, and writing works again when there is room.
 * docs/formats.md has every byte.
 *
 * Threads: every function may be called from any thread unless it says otherwise. Callbacks run on the committer's thread:
 * they must not block and must not call back into log; post to your loop.
 *
 * Everything above reaches topics through this header only, because a second implementation over librdkafka will run
 * the same platform on a real Kafka cluster.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "log/settings.h"

struct log;
struct os;

struct log_options {
    struct os *os;
    const char *dir;
    int64_t journal_bytes; // most that one of the two journal files may grow to. 0: 64 MiB
    int64_t segment_bytes; // default of topics. 0: 1 GiB (Kafka: log.segment.bytes)
    int64_t
        // bytes that may wait for the committer; more makes log_append wait (the async ones never do). 0: 64
        // MiB
        memory_bytes;
    /* retention.ms spares a segment for so long after its first append, so that records which are old when they come can be
     * read once. (In Kafka they live until the next check: log.retention.check.interval.ms.) */
    int64_t retention_grace_ms;
};

bool log_open(const struct log_options *o, struct log **out, struct err *e) MUST_CHECK;
void log_close(struct log *l); // finishes what was appended, checkpoints; NULL does nothing
/* True, with the reason in e, when the log cannot write any more and the process should restart. */
bool log_failed(struct log *l, struct err *e);
/* 22 characters of base64, made with the folder and kept (Kafka: cluster.id) */
const char *log_cluster_id(struct log *l);
const char *log_dir(struct log *l);

/* ---- topics ---- */

struct log_uuid {
    uint8_t b[16];
};

/*
 * Settings: settings.h. The first is for who makes a topic: the table's defaults and those of log_options, nothing marked as set. What
 * it changes is the topic's own; in the rest the topic follows what the second tells, which clients can alter (config.h).
 */
void log_settings_default(struct log *l, struct log_settings *s);
void log_settings_now(struct log *l, struct log_settings *s);
/* What is not marked as set becomes what it is now: the settings as a topic that is made with them will have them. */
void log_settings_follow(struct log *l, struct log_settings *s);

struct log_topic {
    struct str name; // lives as long as the topic; hold it no longer than your arena copy
    struct log_uuid id;
    int32_t partitions;
    bool internal; // name starts with an underscore
    struct log_settings settings;
};

/* Name rules are Kafka's: 1 to 249 of [a-zA-Z0-9._-], not "." or "..". An existing one is ERR_CONFLICT. Durable when it returns. */
bool log_create_topic(struct log *l, struct str name, int32_t partitions, const struct log_settings *s,
                      struct err *e) MUST_CHECK;
/* As log_create_topic, but one that is there already is fine. */
bool log_ensure_topic(struct log *l, struct str name, int32_t partitions, const struct log_settings *s,
                      struct err *e) MUST_CHECK;
bool log_add_partitions(struct log *l, struct str name, int32_t partitions, struct err *e) MUST_CHECK;
/* `change` makes a topic's new settings of the ones there are, and nobody changes them meanwhile; false: it refuses. */
typedef bool log_change_fn(void *arg, struct log_settings *s, struct err *e);
bool log_change_topic(struct log *l, struct str name, log_change_fn *change, void *arg,
                      struct err *e) MUST_CHECK;
bool log_delete_topic(struct log *l, struct str name, struct err *e) MUST_CHECK;

bool log_find_topic(struct log *l, struct str name, struct arena *a,
                    struct log_topic *out); // false: none
bool log_find_topic_id(struct log *l, const struct log_uuid *id, struct arena *a, struct log_topic *out);
void log_list_topics(struct log *l, struct arena *a, struct log_topic **out,
                     size_t *count); // by name
/* Another number whenever a topic has come, gone or been altered. */
uint64_t log_topics_version(struct log *l);

/* ---- append ---- */

/* Bytes for one partition: one or more whole v2 record batches, checked by the caller with batch_check(). */
struct log_part_write {
    struct str topic;
    int32_t partition;
    struct str batches;        // borrowed until the append is done; offsets and append time are set in a copy
    struct log_buffer *buffer; // that they are in, borrowed too; NULL: in other memory
    int64_t base_offset;       // out: offset of the first record; -1 when refused
    int64_t append_time_ms;    // out: -1 unless the topic uses append time
    int64_t start_offset;      // out: the partition's first offset
    bool duplicate;            // out: it was there already; base_offset is where
    /*
     * out: why this part was not taken. ERR_NOT_FOUND no such topic or partition, ERR_INVALID out of order sequence
     * (Kafka's code 45), ERR_DENIED an old producer epoch (47), ERR_BAD_INPUT not whole batches, ERR_LIMIT, ERR_FULL, ERR_IO.
     */
    enum err_kind refused;
};

/*
 * Memory to receive a large message into of which a part is to be appended as it is, one batch: when the log finds it there it
 * writes the disk from it, without a copy. Nothing is promised by it, in either direction: other batches may be appended meanwhile, and
 * the part may be changed, refused or never come.
 */
struct log_coming {
    struct str topic;
    int32_t partition;
    size_t n;         // bytes of the message
    size_t at, bytes; // where in it the batch begins and how long it is
};
struct log_buffer;
/*
 * Any thread. NULL: it is not worth it, or there are many already (one and a half times memory_bytes in all, with what the log keeps for
 * readers): receive into any memory. Free it before the log is closed, and when no append borrows it.
 */
struct log_buffer *log_buffer_new(struct log *l, const struct log_coming *c);
void *log_buffer_bytes(const struct log_buffer *b); // n bytes
void log_buffer_free(struct log_buffer *b);         // NULL does nothing

typedef void log_done_fn(void *arg, bool ok, const struct err *e);

/*
 * All parts or none. `done` is called once, on the committer's thread (on the caller's when the log has failed or is
 * closing). The array and the bytes it points at are borrowed until then. After ERR_IO the outcome is unknown when the
 * log has failed: the next log_open() may or may not find the append. With every other kind nothing was appended.
 *
 * Idempotent producers (KIP-98): batches with a producer id are checked against the partition's last sequence numbers.
 * A repeat of one of the last five is not appended again and answers its first base_offset; a gap is ERR_INVALID, an
 * old epoch ERR_DENIED. A producer that the partition does not know (or no longer: after a day) may begin with any
 * sequence, as KIP-360 has it, so Kafka's UNKNOWN_PRODUCER_ID (59) never comes about.
 *
 * Transactions (KIP-98): a transactional batch opens its producer's transaction in the partition, a marker (batch_mark_write)
 * ends it. Who may write what is the caller's to decide (kafka/txn.h): a marker is taken as it is.
 */
void log_append_async(struct log *l, struct log_part_write *parts, size_t count, log_done_fn *done,
                      void *arg);
/*
 * Appends of one writer that mean something in their order only. After one of them was not taken, those given after it are refused
 * too (ERR_BUSY), so there is never a gap; when none is under way the writer may set broken to false and begin again.
 */
struct log_order {
    _Atomic bool broken;
};
void log_append_ordered_async(struct log *l, struct log_order *order, struct log_part_write *parts,
                              size_t count, log_done_fn *done, void *arg);
/* As log_append_async, but a part that is refused does not hold up the others: see `refused` of each. Not ok: none was taken. */
void log_append_some_async(struct log *l, struct log_part_write *parts, size_t count, log_done_fn *done,
                           void *arg);
bool log_append(struct log *l, struct log_part_write *parts, size_t count,
                struct err *e) MUST_CHECK; // waits
/* What a partition knows of an idempotent or transactional producer. */
struct log_producer {
    int64_t id;
    int16_t epoch;
    int32_t last_sequence;     // -1: none in this epoch
    int64_t last_ms;           // wall clock of its last append
    int32_t coordinator_epoch; // of its last marker; -1: none
    int64_t first;             // of its open transaction here; -1: none
};
/* By id, in a. Waits for the committer: not on a loop's thread. */
bool log_producers(struct log *l, struct str topic, int32_t partition, struct arena *a,
                   struct log_producer **out, size_t *count, struct err *e) MUST_CHECK;
/* A producer id never given out before (durable). */
bool log_new_producer_id(struct log *l, int64_t *id, struct err *e) MUST_CHECK;

/* ---- fetch ---- */

struct log_range {
    int64_t start;  // first offset there is
    int64_t end;    // offset the next record will get; all below is durable
    int64_t stable; // last stable offset (KIP-98): no transaction that is still open has records below it
};

bool log_range(struct log *l, struct str topic, int32_t partition,
               struct log_range *out); // false: no such partition
/*
 * Appends to `out` whole batches from the one that holds `offset`, as many as fit max_bytes but at least one. Nothing when
 * offset is the end. An offset outside [start, end] is ERR_NOT_FOUND; a damaged batch is ERR_CORRUPT naming topic, partition and offset.
 */
bool log_fetch(struct log *l, struct str topic, int32_t partition, int64_t offset, size_t max_bytes,
               struct buf *out, struct err *e) MUST_CHECK;
/*
 * Where the same bytes lie, for sending them without a copy: an open descriptor (yours to close), position, length. They were checked.
 * False with n = 0 and e->kind ERR_NONE at the end.
 */
struct log_piece {
    int fd;
    int64_t at;
    size_t n;
    int64_t next; // the offset behind the last batch
};
bool log_fetch_piece(struct log *l, struct str topic, int32_t partition, int64_t offset, size_t max_bytes,
                     struct log_piece *out, struct err *e) MUST_CHECK;
/*
 * The way for a server: few bytes, and those that were written last, are copied to the caller's memory; others are a piece. Both were checked.
 * With `now` it never waits for a disk, so that a loop may ask.
 */
struct log_read {
    struct str topic;
    int32_t partition;
    int64_t offset;
    size_t max_bytes;  // one batch may be more
    size_t copy_bytes; // up to as many are few
    bool stable;       // only what is below the last stable offset; at it there is nothing, as at the end
    bool now;
    /* Memory for n bytes, perhaps some more than max_bytes; NULL: there is none. Called once at most. */
    void *(*room)(void *arg, size_t n);
    void *arg;
};
struct log_got {
    uint8_t *p; // in the room
    size_t n;   // 0, and no piece: it is the end
    struct log_piece piece;
    int64_t next; // the offset behind the last batch
};
enum log_read_answer {
    LOG_READ_DONE,
    LOG_READ_LATER,
    LOG_READ_FAILED
}; // LATER: `now` was asked for, and it takes a disk
enum log_read_answer log_read(struct log *l, const struct log_read *r, struct log_got *out,
                              struct err *e) MUST_CHECK;
/*
 * For who reads what is committed alone: as log_fetch, but *offset moves on to where to read next, nothing is given from the last stable
 * offset on, and markers and what was aborted are left out. So `out` may stay empty though *offset has moved.
 */
bool log_fetch_committed(struct log *l, struct str topic, int32_t partition, int64_t *offset,
                         size_t max_bytes, struct buf *out, struct err *e) MUST_CHECK;

/* An aborted transaction: records of this producer from `first` to its next marker are to be passed over. */
struct log_aborted {
    int64_t producer_id, first;
};
struct log_span {
    struct str topic;
    int32_t partition;
    int64_t from, to; // offsets: [from, to), which is below the last stable offset
};
/* Those that have records there; by their markers' order, in a. */
bool log_aborted(struct log *l, const struct log_span *in, struct arena *a, struct log_aborted **out,
                 size_t *count, struct err *e) MUST_CHECK;

/* First offset whose batch has a timestamp >= time_ms (and that timestamp), or false when there is none. */
bool log_offset_for_time(struct log *l, struct str topic, int32_t partition, int64_t time_ms, int64_t *offset,
                         int64_t *timestamp_ms);
/* Records below offset are gone for readers (Kafka: DeleteRecords); the files go with the next retention run. */
bool log_trim(struct log *l, struct str topic, int32_t partition, int64_t offset, struct err *e) MUST_CHECK;
int64_t log_size_bytes(struct log *l, struct str topic, int32_t partition);

/* ---- watch ---- */

/*
 * fn(arg) is called once, on the committer's thread, when the partition's end passes `offset` (or at once, on this thread, when it has), or
 * when the topic is deleted. log_unwatch() returns only when fn is not running and will not run.
 */
struct log_watch {
    void (*fn)(void *arg);
    void *arg;
    struct log_watch *_next, **_at;
    void *_part;
    int64_t _offset;
};
void log_watch(struct log *l, struct str topic, int32_t partition, int64_t offset, struct log_watch *w);
void log_unwatch(struct log *l, struct log_watch *w);

/*
 * Retention by time and size, compaction, checkpoint: called by the owner's timer, as a job; does what is due. Compaction takes a few
 * seconds a call, or as long as one partition takes; the next call goes on.
 */
bool log_maintain(struct log *l, struct err *e) MUST_CHECK;
/* The log will be closed: a maintenance that runs ends soon, and none compacts any more. */
void log_hurry(struct log *l);

struct log_stats {
    uint64_t appends, records, bytes, groups; // since open; groups: fdatasyncs of the journal
    uint64_t topics, partitions, disk_bytes;
};
void log_stats(struct log *l, struct log_stats *out);
