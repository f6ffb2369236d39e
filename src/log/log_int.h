/*
 * log_int: what the files of the room share.
 *
 * The way of an append:  commit.c queues it; the committer takes a group, stage.c checks it, gives offsets, writes it to the segments
 * beyond their published size and lays out its frame; journal.c writes the group's frames and syncs once; commit.c publishes sizes and
 * end offsets, wakes watchers (watch.c) and calls back. Until it is published nobody sees any of it, so whatever fails
 * earlier is undone by forgetting.
 *
 *     log.c        open, close, recovery of what the checkpoint and the journals say (recover.c replays a frame)
 *     meta.c       the file meta: cluster id, run, producer ids          topics.c   topics, their file, their folders
 *     journal.c    frames                                                check.c    the checkpoint file and its thread
 *     direct.c     large parts, written past the page cache              slab.c     memory for them
 *     buffer.c     memory that they are received into                    fetch.c    reading
 *     seg.c        a segment: file, index
 *     producer.c   sequence numbers                                      retain.c, compact.c   log_maintain
 *     txn.c        open transactions, aborted ones
 *
 * "committer": only the committer's thread touches the field (log_open before it starts, log_close after it ended).
 * docs/threads.md has the locks and their order, docs/formats.md the bytes.
 */
#pragma once

#include "base/map.h"
#include "base/mem.h"
#include "log/batch.h"
#include "log/log.h"
#include "os/os.h"
#include "os/thread.h"

enum {
    PARTITIONS_MAX = 10000,      // of a topic: name, dash and number fit a file name of 255 bytes
    GROUP_OPS = 4096,            // appends that share a sync
    GROUP_BYTES = 8 << 20,       // of frames that share a sync
    GROUP_DATA = 64 << 20,       // of batches that share a sync
    LOG_DIRECT_BYTES = 512 << 10 // a part of this size or more goes to its segment first (bench/log_append.c)
};
#define TIME_NONE ((int64_t)-1)

struct part;

/* ---- segments (seg.c) ---- */

struct seg_entry {
    uint32_t delta; // offset of the batch minus the segment's base
    uint32_t pos;
    int64_t max_ts; // of the batches before pos
};

/* A transaction that was aborted, as it is kept with the segment that has its marker (txn.c). */
struct abort_entry {
    int64_t producer_id;
    int64_t first;  // offset of its first record
    int64_t last;   // offset of its marker
    int64_t stable; // last stable offset behind the marker: what is aborted later begins there or behind
};

enum seg_state { SEG_UNLOADED, SEG_LOADING, SEG_LOADED };

struct seg {
    int refs; // atomic
    struct os *os;
    char *path; // without ".log"
    int64_t base;
    int64_t size;       // published bytes; part.lock
    int64_t staged;     // committer: bytes written, published or not
    int64_t reserved;   // committer: the file's length
    int64_t written;    // checkpointer: bytes that it has written to the disk
    int64_t forgotten;  // bytes that the page cache need not hold; part.lock
    int64_t max_ts;     // of the published batches
    int64_t created_ms; // wall clock of the first append, TIME_NONE before
    int fd;             // for reading, -1: not open; part.lock
    int wfd;            // for writing, and then for reading too; part.lock
    int sfd;            // for servers, -1: not open; part.lock
    struct direct *direct;
    int dfd;               // for writing past the page cache, or DIRECT_...; atomic, written by the committer
    uint64_t direct_group; // committer: the last group that wrote that way
    bool closed;           // nothing is appended any more; part.lock
    bool dirty;            // written since a checkpoint synced it; part.lock
    bool fresh;            // its name is not synced yet; part.lock
    bool touched;          // used since the last maintenance; part.lock
    /* The index; part.lock. */
    enum seg_state state;
    int64_t index_every; // bytes of log per entry; never changes
    struct seg_entry *idx;
    size_t idx_n, idx_cap;
    size_t idx_saved; // entries that the index file has
    int64_t idx_file; // bytes of it
    /* Aborted transactions whose markers are here: first those in the file, then these; part.lock. */
    size_t aborts_saved;
    struct abort_entry *aborts;
    size_t aborts_n, aborts_cap;
};

struct seg *seg_new(struct log *l, const struct part *p, int64_t base); // with one reference
struct seg *seg_ref(struct seg *s);
void seg_unref(struct seg *s);
/* A descriptor to read from, open as long as the caller's reference lasts. */
int seg_fd(struct part *p, struct seg *s, struct err *e) MUST_CHECK;
/*
 * As seg_fd, for reading what is sent: through this one the kernel never reads ahead by itself. It would also do so for who asks for
 * what is in memory alone (measured: up to 97 ms of a loop's time for pages that nobody had asked for).
 */
int seg_server_fd(struct part *p, struct seg *s, struct err *e) MUST_CHECK;
/* Up to n bytes at pos, from memory what is there, else from that descriptor; fewer only at the end of the file. -1 and e on failure. */
ssize_t seg_read(const struct seg *s, int fd, void *p, size_t n, int64_t pos, struct err *e) MUST_CHECK;
/* How many of n bytes at pos are among those in memory that were written last, copied. */
size_t seg_read_newest(const struct seg *s, void *p, size_t n, int64_t pos);
/* Opens it for appending at `staged`; what lies there was never published and is cut off. The second leaves it in place. */
bool seg_open_write(struct part *p, struct seg *s, bool create, struct err *e) MUST_CHECK;
bool seg_open_replay(struct part *p, struct seg *s, struct err *e) MUST_CHECK;
/*
 * After a sync: the page cache keeps the newest bytes of a segment, which its readers want; older ones come from the disk again.
 * So a log that is written fast pushes nobody else out of memory, and its pages are used again instead of being found anew.
 */
void seg_forget_old(struct part *p, struct seg *s);

/* REQUIRES part.lock, or a segment that nobody else knows. */
void seg_index_add(struct seg *s, int64_t offset, int64_t pos, int64_t max_ts);
int64_t seg_pos_of_offset(const struct seg *s,
                          int64_t offset); // where to begin to look for the batch with offset
/* Where batches end that begin at pos: the last place the index knows up to `most`, or else the first one behind it. */
int64_t seg_pos_between(const struct seg *s, int64_t pos, int64_t most);
int64_t seg_pos_of_time(const struct seg *s, int64_t time); // all before are older
void seg_index_drop(struct seg *s);
/* The time of its newest record, for retention. Of records without a time it is the segment's own; the header of a batch of
 * such ones says -1, or 0 when librdkafka made it, which Kafka sets right and tarn keeps as it came. */
int64_t seg_newest_ms(const struct seg *s);

/* Makes the index be there, the second by going through the batches. Damage behind what it found is no failure. */
bool seg_load(struct part *p, struct seg *s, struct err *e) MUST_CHECK;
bool seg_load_anew(struct part *p, struct seg *s, struct err *e) MUST_CHECK;
void seg_index_save(struct part *p, struct seg *s);

/* From batch header to batch header of a file. */
struct hop {
    const struct seg *seg;
    int fd;
    int64_t at;  // of the batch that hop_next gave
    int64_t pos; // behind it
    int64_t end;
    struct batch_header head;
    char *buf;
    int64_t buf_pos, buf_n;
};
enum hop_answer { HOP_BATCH, HOP_END, HOP_DAMAGED, HOP_FAILED };
void hop_init(struct hop *h, const struct seg *s, int fd, int64_t pos, int64_t end);
enum hop_answer hop_next(struct hop *h, struct err *e); // e is filled for HOP_FAILED only
void hop_fini(struct hop *h);

/* ---- producers (producer.c) ---- */

enum { PRODUCER_BATCHES = 5 }; // what Kafka keeps: max.in.flight.requests.per.connection is at most five

struct producer_batch {
    int32_t first, last; // sequence
    int64_t offset;
};

struct producer {
    int64_t id;
    int16_t epoch;
    uint8_t n;
    struct producer_batch b[PRODUCER_BATCHES]; // oldest first
    int64_t last_ms;                           // wall clock
    int32_t coordinator_epoch;                 // of its last marker; -1: it has none
};

enum producer_answer { PRODUCER_NEW, PRODUCER_DUPLICATE, PRODUCER_OUT_OF_ORDER, PRODUCER_FENCED };

struct producers {
    struct map by_id; // 8 bytes of the id -> struct producer
};

enum producer_answer producer_check(const struct producers *ps, const struct batch_header *h,
                                    int64_t *first_offset);
void producer_took(struct producers *ps, const struct batch_header *h, int64_t now_ms);
/* A marker: its epoch, when higher, ends the sequences and fences who has a lower one. */
void producer_marked(struct producers *ps, const struct batch_header *h, int32_t coordinator_epoch,
                     int64_t now_ms);
const struct producer *producer_get(const struct producers *ps, int64_t id);
void producer_set(struct producers *ps, const struct producer *p); // a copy
void producer_drop(struct producers *ps, int64_t id);
void producer_expire(struct producers *ps, int64_t now_ms);
void producer_fini(struct producers *ps);

/* ---- transactions (txn.c) ---- */

/* A transaction that has records in a partition and no marker yet. */
struct ongoing {
    int64_t producer_id;
    int64_t first; // offset of its first record
};

struct ongoings {
    struct ongoing *list; // by first: they begin in the order of their offsets
    size_t n, cap;
};

/* A batch that is published, or replayed, in segment s. m: what a control batch says, else NULL. REQUIRES part.lock. */
void txn_took(struct part *p, struct seg *s, const struct batch_header *h, const struct batch_mark *m);
/* After all batches of a part. REQUIRES part.lock. */
void txn_stable(struct part *p);
/* Writes and syncs what the segment's file of aborted transactions lacks. By the checkpointer. */
bool txn_save(struct log *l, struct part *p, struct seg *s, struct err *e) MUST_CHECK;
struct txn_range {
    int64_t from, to; // offsets: has records in [from, to)
    struct arena *a;  // of the answer
};
bool txn_aborted(struct log *l, struct part *p, const struct txn_range *r, struct abort_entry **out,
                 size_t *count, struct err *e) MUST_CHECK;
/* For compaction: writes all entries of n segments that become one to the file of the first; *saved: how many those are. */
bool txn_merge(struct log *l, struct seg **old, size_t n, size_t *saved, struct err *e) MUST_CHECK;

/* ---- topics and partitions (topics.c) ---- */

#define EXPECT_UNKNOWN ((int64_t)-1)

struct part {
    struct topic *topic;
    int32_t index;
    struct mutex lock;
    struct cond loaded; // a segment left LOADING
    struct seg **segs;  // by base offset; the last one is active. lock
    size_t seg_n, seg_cap;
    int64_t start, end; // atomic, written under lock
    int64_t stable;     // atomic, written under lock: no open transaction has records below it
    int64_t clean_to;   // lock: compacted below
    int64_t expected;   // lock: where in the active segment the next buffer's batches will go; EXPECT_UNKNOWN
    uint64_t expect_turn;       // lock: how often that was set right
    struct log_watch *watchers; // log.watch_lock
    /* committer */
    int64_t staged_end;
    uint64_t group; // the last group that staged something
    int64_t room;   // bytes that its segment had then to its end
    struct producers producers;
    struct ongoings ongoing; // as published
    bool touched;            // on the group's list
    struct part *next_touched;
};

struct topic {
    int refs; // atomic; the map holds one
    struct str name;
    struct log_uuid id;
    bool internal;
    bool gone;                    // atomic: deleted
    bool had_compact;             // topics_lock: offsets may have gaps
    struct log_settings settings; // topics_lock
    struct part **parts;          // topics_lock
    int32_t part_n;               // topics_lock
    size_t part_cap;              // topics_lock
};

/* A topic that is deleted, whose folders may still be there. */
struct tombstone {
    struct str name;
    struct log_uuid id;
    int32_t parts;
};

struct part *part_find(struct log *l, struct str topic,
                       int32_t partition); // its topic is referenced, or NULL
struct part *part_find_id(struct log *l, const struct log_uuid *id, int32_t partition); // without a reference
struct part *part_ref(struct part *p);
void part_unref(struct part *p);
struct part **parts_all(struct log *l, struct arena *a, size_t *count); // each referenced; in a
/* gaps (may be NULL): offsets need not follow on one another. */
void topic_settings(struct log *l, const struct topic *t, struct log_settings *out, bool *gaps);
char *part_path(struct log *l, const struct part *p, struct arena *a); // its folder
struct seg *part_active(struct part *p);             // the one appended to, referenced, or NULL
void part_add_seg(struct part *p, struct seg *s);    // takes the reference. REQUIRES part.lock
void part_remove_seg(struct part *p, struct seg *s); // REQUIRES part.lock

bool topics_create(struct log *l, struct err *e) MUST_CHECK; // the file, with none
bool topics_load(struct log *l, struct err *e) MUST_CHECK;
bool topics_bury(struct log *l, struct err *e) MUST_CHECK; // moves folders of deleted topics out of the way
bool topics_remove_buried(struct log *l, struct err *e) MUST_CHECK;
void topics_fini(struct log *l);
/* Other defaults are about to come: topics that they will have compacted are marked so on disk. REQUIRES the admin token. */
bool topics_will_follow(struct log *l, const struct log_settings *defaults, struct err *e) MUST_CHECK;
/* These are the defaults now, also of the topics that there are. REQUIRES the admin token. */
void topics_follow(struct log *l, const struct log_settings *defaults);

/* ---- settings that clients gave to brokers and groups (config.c) ---- */

struct config;
bool config_load(struct log *l, struct err *e) MUST_CHECK; // after the topics
void config_free(struct config *c);

/* The admin token: one change of topics, or of meta, at a time. */
void admin_take(struct log *l);
void admin_give(struct log *l);

/* ---- appends (commit.c, stage.c) ---- */

enum op_kind { OP_APPEND, OP_TRIM, OP_ROLL, OP_FORGET, OP_CHECKPOINT, OP_PRODUCERS };

/* One part of an append as the committer sees it. */
struct op_part {
    struct part *part; // NULL: no such partition
    struct seg *seg;   // where it was written; NULL: nothing was (empty, duplicate or refused)
    int64_t base_offset, end_offset;
    int64_t pos;
    size_t n;
    bool direct;
    struct log_buffer *buffer; // that the caller has the batches in; NULL: none
    uint8_t *heads;            // its batches' headers as they are kept, BATCH_HEADER each
    size_t batches;
    struct iovec *iov; // header, rest, header, rest ...
};

struct op {
    struct op *next;
    enum op_kind kind;
    bool some;               // parts stand alone
    struct log_order *order; // a gap of which it must not follow; may be NULL
    bool settled;            // refused or without effect: nothing to publish
    struct log_part_write *writes;
    size_t count;
    bool heap;    // freed when done
    size_t bytes; // of its batches
    size_t bound; // most that its frame can have
    struct op_part *parts;
    log_done_fn *done;
    void *arg;
    bool ok;
    struct err err;
    int64_t trim_to;             // OP_TRIM
    struct topic *topic;         // OP_FORGET
    struct producers_told *told; // OP_PRODUCERS
    struct op_part one[1];       // room for the usual count
};

/* How to forget a part that was staged. */
struct undo {
    struct undo *older;
    struct part *part;
    struct seg *seg;
    int64_t staged_end, staged;
    bool has_producer, had_producer;
    struct producer producer;
};

struct commit_group {
    uint64_t number;
    struct arena arena; // reset for each group
    struct undo *undo;
    struct op *ops, **tail;
    size_t op_n;
    size_t data; // bytes of their batches
    /* frames */
    uint64_t frames;
    size_t bytes;
    struct iovec *iov;
    size_t iov_n, iov_cap;
    uint8_t *head; // of the frame not closed yet, or NULL
    size_t head_at, head_iov;
    /* segments that parts went to by reference, and whose they are */
    struct sync {
        struct part *part;
        struct seg *seg;
    } * sync;
    size_t sync_n, sync_cap;
    struct part *touched;
};

/* Whether a part of it is beyond what its segment takes, in which this group has staged something: only the next one can begin another. */
bool stage_wants_group(const struct log *l, const struct op *op);
/* Writes segments and lays out the frame. False: refused, op->err says why, nothing is left of it. */
bool stage_append(struct log *l, struct op *op) MUST_CHECK;
bool stage_trim(struct log *l, struct op *op) MUST_CHECK;
void stage_undo(struct log *l, const struct undo *to); // back to how it was when group.undo was `to`
void stage_keep(struct log *l);                        // it is published: nothing to undo
bool stage_roll(struct part *p, struct err *e) MUST_CHECK;
/* What the i-th batch of a part says when it is a marker, as stage_append has made sure of; false: it is none. */
bool stage_mark(const struct op_part *t, size_t i, const struct batch_header *h, struct batch_mark *out);

/* What log_producers() asks the committer for. */
struct producers_told {
    struct arena *arena;
    struct log_producer *list;
    size_t n;
};
void producers_tell(struct part *p, struct producers_told *told);

/* frame.c */
size_t frame_plan(struct log *l,
                  struct op *op); // decides what goes by reference; most bytes the frame can have
void frame_append(struct log *l, struct op *op);
void frame_trim(struct log *l, struct op *op);
void frame_close(struct log *l, size_t align); // of the last frame of the group

void commit_run(void *log); // the committer
/* Posts and waits. Drops the references to the op's parts. */
bool commit_wait(struct log *l, struct op *op, struct err *e) MUST_CHECK;
void log_fail(struct log *l, const struct err *e);
bool log_has_failed(struct log *l);

/* ---- memory that the disk is written from (slab.c) ---- */

enum { SLAB_BYTES = MEM_HUGE, SLAB_ALIGN = 4096 };

struct slab {
    struct slabs *of;
    struct slab *next; // slabs.lock: on the free list
    int refs;          // atomic
    uint8_t *bytes;    // [SLAB_BYTES]
};

struct slabs {
    struct mutex lock;
    struct slab *free;  // lock
    size_t count, most; // lock: of all there are
    struct slab *open;  // lock: shared out, with a reference of its own
    size_t fill;        // lock: bytes of it
};

void slabs_init(struct slabs *ss, size_t most);
void slabs_fini(struct slabs *ss); // REQUIRES that all were given back
void slabs_trim(struct slabs *ss); // what nobody uses goes back to the system
/* A whole one, with a reference; past `most` too. */
struct slab *slab_take(struct slabs *ss);
/* n bytes of one, from a multiple of SLAB_ALIGN on, with a reference. NULL: there are `most`, or n is larger than a slab. */
struct slab *slab_share(struct slabs *ss, size_t n, uint8_t **at);
struct slab *slab_ref(struct slab *s);
void slab_unref(struct slab *s); // NULL does nothing

/* ---- buffers (buffer.c) ---- */

enum { DIRECT_BLOCK = SLAB_ALIGN, BUFFER_ENDS = 3 * DIRECT_BLOCK };

struct log_buffer {
    struct slab *slab; // referenced
    uint8_t *ends;     // [BUFFER_ENDS], the committer's: blocks that have other bytes too
    uint8_t *p;        // what the caller has
    size_t n;
    bool put;         // committer: `ends` are of a piece
    int64_t expected; // position in the segment for which it was made
    uint64_t turn;    // of the guess
};

/* The committer's: what was to go to b->expected went to `at`. */
void buffer_was_put(struct part *p, const struct log_buffer *b, int64_t at);

/* ---- large parts (direct.c) ---- */

enum { DIRECT_UNKNOWN = -1, DIRECT_NOT = -2 }; // seg.dfd: not asked yet; the file system does not take it
enum { DIRECT_WRITERS = 2 };

struct direct_writer {
    struct direct *direct;
    const struct seg *seg; // direct.lock: what it writes to now; NULL: nothing
    struct thread thread;
};

struct direct {
    struct os *os;
    struct slabs slabs;
    struct mutex lock;
    struct cond more, written;
    struct piece *newest, *oldest;     // lock: those in memory
    size_t count, most;                // lock: of them
    struct piece *queue, **queue_tail; // lock: to be written
    const struct piece *awaited;       // lock: whose end is waited for; NULL: that of all
    int64_t used_ns;                   // lock: when the last was begun
    bool stop;                         // lock
    bool ok;                           // lock: all of this group were written
    struct err err;                    // lock: else, why not
    struct piece *open;                // committer: being filled
    size_t fill;                       // committer: its bytes
    struct direct_writer writers[DIRECT_WRITERS];
};

void direct_start(struct direct *d, struct os *os, size_t most_bytes); // of memory
void direct_stop(struct direct *d);
/* Gives memory back that was not used for a while. */
void direct_age(struct direct *d);
/* The committer's. Does a part of n bytes go this way? Then direct_put() appends it at s->staged, whose blocks are reserved to direct_end(). */
bool direct_takes(struct log *l, struct seg *s, size_t n);
int64_t direct_end(int64_t end);
bool direct_put(struct log *l, struct seg *s, const struct op_part *t, struct err *e) MUST_CHECK;
/* What is at s->staged and behind was not meant. */
void direct_forget(struct direct *d, const struct seg *s);
/* Until the files have what was put; to be called at the end of each group. */
bool direct_wait(struct direct *d, struct err *e) MUST_CHECK;
/* Any thread: how many of n published bytes at pos are in memory, copied; perhaps fewer than there are. */
size_t direct_read(struct direct *d, const struct seg *s, void *to, size_t n, int64_t pos);

/* ---- journal (journal.c) ---- */

enum {
    FRAME_HEAD = 48,
    JOURNAL_ALIGN = 4096, // where groups begin: a page, so that none has to be read before it is written
    JOURNAL_SECTOR = 512, // where they began in older logs
    JOURNAL_STEP = 1 << 20,
    FRAME_MAX = 64 << 20
};
enum frame_kind { FRAME_APPEND = 1, FRAME_TRIM = 2 };

struct frame {
    uint64_t seq, first, run;
    enum frame_kind kind;
    struct str payload;
};

/* Where a checkpoint says that replay begins. */
struct journal_start {
    uint64_t after; // the last sequence that it covers
    int file;
    int64_t pos;
    bool clean; // there is nothing to replay
};

struct journal_file {
    int fd;
    int direct;    // past the page cache; -1: not on this file system
    int64_t size;  // of the file: all of it real blocks
    uint64_t last; // committer: sequence of the last frame in it; a checkpoint at or above frees it
};

struct journal {
    struct os *os;
    char *path[2];
    struct journal_file file[2];
    int64_t max_bytes, step;
    uint64_t run;
    /* committer */
    int cur;
    int64_t pos;     // where the next group goes in cur
    uint64_t next;   // sequence of the next frame
    uint8_t *memory; // of a group that goes past the page cache
};

bool journal_create(struct os *os, const char *dir, int64_t bytes, struct err *e) MUST_CHECK;
bool journal_open(struct journal *j, struct os *os, const char *dir, int64_t bytes, struct err *e) MUST_CHECK;
void journal_close(struct journal *j);
/* Calls fn for each frame from start on; then the journal stands behind the last one. */
typedef bool frame_fn(void *arg, const struct frame *f, struct err *e);
bool journal_replay(struct journal *j, const struct journal_start *start, frame_fn *fn, void *arg,
                    struct err *e) MUST_CHECK;
/* Room for `bytes` more in the current file, which may grow for it. ERR_FULL: it cannot. */
bool journal_fits(struct journal *j, size_t bytes, struct err *e) MUST_CHECK;
bool journal_has(const struct journal *j, size_t bytes); // without growing
bool journal_other_has(const struct journal *j, size_t bytes);
/*
 * Makes a file that nobody uses as long as `to`, or as it may be. When that fails it stays as it was. This is how the journal grows under
 * load: what grows in use keeps a group waiting for a step of new blocks (measured: 6 ms each, for 7 % of the messages).
 */
void journal_grow_free(struct journal *j, int file, int64_t to);
void journal_switch(struct journal *j); // to the other file, from its beginning
/* A frame's header: begun when its place is known, done when its payload and the bytes to the next frame are. */
void journal_head(const struct journal *j, uint8_t *head, enum frame_kind kind, uint64_t seq, int64_t at);
void journal_head_done(uint8_t *head, const struct iovec *payload, size_t count, size_t span);
/* Writes a group of `bytes` and syncs. Failing with ERR_FULL it left no trace; with another kind the log is done for. */
bool journal_write(struct journal *j, struct iovec *v, size_t count, size_t bytes, struct err *e) MUST_CHECK;

/* ---- checkpoint (check.c) ---- */

struct dirty {
    struct part *part; // referenced
    struct seg *seg;   // referenced
    bool closed;
};

struct check {
    struct buf bytes; // the file's content
    uint64_t seq;
    struct dirty *dirty; // to be synced first
    size_t n, cap;
    int frees;       // the journal file that nobody uses until this is done, -1: none
    int64_t free_to; // and how long it may become
};

enum check_state { CHECK_IDLE, CHECK_ASKED, CHECK_RUNNING };

bool check_create(struct log *l, struct err *e) MUST_CHECK;
bool check_load(struct log *l, struct journal_start *start, struct err *e) MUST_CHECK;
/* Snapshot of what is published, by the committer between groups; then it is the checkpointer's turn. REQUIRES check_idle. */
void check_start(struct log *l, bool last);
bool check_idle(struct log *l);
bool check_wait(struct log *l, struct err *e) MUST_CHECK; // until it is idle; how the last one ended
uint64_t check_covers(struct log *l);                     // sequence that the file has
void check_want(struct log *l); // the next one is worth it though no frame was written
bool check_wanted(struct log *l);
void check_run(void *log); // the checkpointer

/* ---- maintenance (retain.c, compact.c) ---- */

/* Segments that were merged into others; their files go after the next checkpoint. */
struct doomed {
    struct seg **segs; // referenced
    size_t n, cap;
};
bool compact_part(struct log *l, struct part *p, const struct log_settings *set, struct doomed *doomed,
                  struct err *e) MUST_CHECK;

/* ---- the log ---- */

struct log {
    struct os *os;
    char *dir;
    struct log_options o;
    int lock_fd;
    int64_t opened_wall_ms, opened_ns; // the two clocks then
    /* What follows from the size of a journal file. */
    size_t frame_max, group_max, inline_max;
    size_t direct_bytes; // parts of this size or more go by reference
    size_t heads_max;    // batches of a reference that are listed in its frame

    char cluster_id[23];
    uint64_t run;
    int64_t producer_next, producer_end; // given out next, reserved up to; admin token

    struct mutex topics_lock;
    uint64_t topics_version;      // topics_lock: of log_topics_version()
    struct log_settings defaults; // topics_lock: what topics follow in what was not set for them
    struct config *config;        // topics_lock, replaced with the admin token; NULL: nothing was ever set
    struct cond admin_free;
    bool admin_busy;
    bool maintaining, swept;
    size_t compact_next; // maintenance: the partition whose turn it is
    bool hurry;          // atomic
    struct map by_name, by_id;
    struct tombstone *dead; // admin token
    size_t dead_n, dead_cap;

    struct mutex queue_lock;
    struct cond queue_more; // for the committer
    struct cond queue_less; // for log_append
    struct op *queue, **queue_tail;
    size_t queue_bytes;
    bool closing;
    bool failed; // atomic, written under the lock
    struct err failure;
    struct log_stats stats;
    struct thread committer;

    struct cond check_more, check_done; // with queue_lock
    enum check_state check_state;
    uint64_t check_seq;
    bool check_ok, check_want, check_stop;
    struct err check_err;
    struct mutex reserve_lock;
    struct cond reserve_free;
    bool reserve_busy;  // reserve_lock; a token: somebody gives its room back or keeps it again
    struct check check; // the committer's while idle, else the checkpointer's
    struct thread checker;

    struct mutex watch_lock;
    struct cond watch_idle;
    struct log_watch *firing;

    struct direct direct;
    struct journal journal;    // committer
    struct commit_group group; // committer
};

/* recover.c */
bool recover_frame(void *log, const struct frame *f, struct err *e) MUST_CHECK;
bool recover_end(struct log *l, struct err *e) MUST_CHECK; // files end where their content does

/* meta.c */
bool meta_create(struct log *l, struct err *e) MUST_CHECK;
bool meta_load(struct log *l, struct err *e) MUST_CHECK;
bool meta_new_run(struct log *l, struct err *e) MUST_CHECK;

/* Files that begin with a magic of eight bytes, a version and a CRC of what comes after 16 (meta.c). */
enum { FILE_HEAD = 16 };
struct file_body {
    uint32_t oldest, known; // in: the versions that the caller reads
    uint32_t version;       // out
    struct str bytes;       // out: what comes after the head
};
void file_begin(struct buf *b, const char *magic, uint32_t version);
void file_end(struct buf *b);
bool file_open(struct str bytes, const char *magic, const char *path, struct file_body *out,
               struct err *e) MUST_CHECK;
/* Replaces a file of the log's folder as a whole, if need be with the room that `reserve` keeps (check.c). */
bool file_replace(struct log *l, const char *name, const struct buf *content, struct err *e) MUST_CHECK;
/*
 * Whether that room is kept; if not it tries to keep it again. Who takes blocks for what clients write asks first: on a full disk they
 * would else take what was given back for a checkpoint, and without room for `meta` the log does not open.
 */
bool reserve_there(struct log *l);

/* watch.c */
void watch_wake(struct log *l, struct part *p);

static inline int64_t now_ms(struct log *l)
{
    return l->os->wall_us(l->os) / 1000;
}

/* The wall clock as it was when the log was opened, gone on evenly: a clock that is set must not make data old. */
static inline int64_t steady_ms(struct log *l)
{
    return l->opened_wall_ms + (l->os->now_ns(l->os) - l->opened_ns) / 1000000;
}

static inline int64_t part_end(const struct part *p)
{
    return __atomic_load_n(&p->end, __ATOMIC_ACQUIRE);
}

static inline int64_t part_start(const struct part *p)
{
    return __atomic_load_n(&p->start, __ATOMIC_ACQUIRE);
}

static inline int64_t part_stable(const struct part *p)
{
    int64_t stable = __atomic_load_n(&p->stable, __ATOMIC_ACQUIRE), start = part_start(p);

    return stable > start ? stable : start; // a trim may have passed the beginning of a transaction
}
