/*
 * connect: connectors and the runtime that keeps them running, as Kafka Connect has it.
 *
 * A connector is a name and a JSON object of strings, in the words of the connector that users know
 * ("connector.class": "io.debezium.connector.postgresql.PostgresConnector"). A connector class is one
 * `struct connector_class`: its Java class names, its keys (a table that gives checks, defaults and documentation),
 * and its task functions. Adding a connector is adding a folder with one such struct and a row in connect/classes.c.
 *
 * State is in the log, in Kafka Connect's own formats: configs in connect-configs, positions of sources in
 * connect-offsets, states in connect-status (all compacted); positions of sinks in the consumer group
 * connect-NAME. So a connector can move to a real Kafka Connect by mirroring topics.
 *
 * Each task has a thread. A source task reads its source and appends with source_append(): records of all its topics
 * and its new position in ONE atomic append, so a change is on its topics exactly once. A sink task is given the
 * records of its partitions by put() and asked by flush() to make them durable; then its position moves. A sink that stores
 * the position with its data (lake) says so in open() and is exactly-once by that.
 *
 * States: UNASSIGNED RUNNING PAUSED FAILED RESTARTING STOPPED, as Kafka Connect's. A task that fails keeps its error text
 * (GET /connectors/N/status shows it as "trace") until it is restarted.
 */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"
#include "log/batch.h"
#include "log/log.h"

/* Kafka Connect's topics. */
#define CONNECT_CONFIGS "connect-configs"
#define CONNECT_OFFSETS "connect-offsets"
#define CONNECT_STATUS  "connect-status"

struct blobs;
struct connect;
struct lake;
struct net;
struct offsets;
struct os;
struct schema_store;
struct task;

struct connect_address {
    char host[256];
    int port;
};

/* What connectors work with. Borrowed; outlives the runtime. */
struct connect_env {
    struct os *os;
    struct net *net;
    struct log *log;
    struct offsets *offsets; // where sinks commit (group/offsets.h)
    struct schema_store *schemas;
    struct blobs *blobs;   // the objects of this process
    struct lake *lake;     // NULL when there is none
    const char *blobs_url; // "http://127.0.0.1:9000": a store.url or s3 endpoint that means `blobs`
    const char *worker_id; // "127.0.0.1:8083", as status shows it
    const char *spool_dir; // on the log's disk, for what a transaction has beyond memory. NULL: refused
    /*
     * Where a host and port of a configuration really are: the host names that a project calls aliases mean services of this
     * process, which may listen elsewhere. Changes both in place. NULL: as written.
     */
    void (*locate)(void *arg, struct connect_address *at);
    void *locate_arg;
    /* A warning for people (an unknown key, a column left out). From any thread; NULL: dropped. */
    void (*warn)(void *arg, const char *text);
    void *warn_arg;
};

/* ---- a connector class ---- */

enum config_type {
    CONFIG_STRING,
    CONFIG_INT,
    CONFIG_LONG,
    CONFIG_BOOLEAN,
    CONFIG_LIST,
    CONFIG_PASSWORD,
    CONFIG_CLASS
};
enum config_importance { CONFIG_HIGH, CONFIG_MEDIUM, CONFIG_LOW };

struct config_key {
    const char *name;
    enum config_type type;
    const char *otherwise; // default; NULL: required when `required`, else absent
    bool required;
    enum config_importance importance;
    const char *sentence;
};

/* A connector's configuration: strings by key, unknown keys included. */
struct config {
    struct str name; // of the connector
    const struct config_key *keys;
    size_t key_count;
    struct map values; // key -> NUL-terminated char *
};
/* For tests and tools: a configuration in a from JSON text, defaults from keys. config_fini() frees what is not in the arena. */
bool config_parse(struct config *c, struct arena *a, struct str json, const struct config_key *keys,
                  size_t key_count, struct err *e) MUST_CHECK;
void config_fini(struct config *c);
struct str config_str(const struct config *c,
                      const char *key);                      // value or default; STR_NULL when neither
int64_t config_i64(const struct config *c, const char *key); // checked before, so always a number
bool config_bool(const struct config *c, const char *key);
/* For check(): "Invalid value V for configuration KEY: why", Kafka's words. False. */
bool config_refuse(const struct config *c, const char *key, const char *why, struct err *e);

/* Which step of the data's way a class is, as `tarn status` counts them. */
enum connect_step {
    CONNECT_STEP_OTHER,
    CONNECT_STEP_CAPTURE, // a database's changes come in
    CONNECT_STEP_RAW,     // records go out as objects
    CONNECT_STEP_TABLES,  // records become rows of the lake
};

struct connector_class {
    const char *const *names; // Java class names it answers to, NULL-terminated; the first is shown
    bool source;
    enum connect_step step;
    const char *version;
    const struct config_key *keys;
    size_t key_count;
    /* What the key table cannot check. NULL: nothing. Called before a configuration is accepted; must not block long. */
    bool (*check)(const struct config *c, struct err *e);
    int (*tasks)(const struct config *c, int tasks_max); // how many tasks it makes; NULL: tasks_max
    const struct source_class *source_ops;               // one of the two
    const struct sink_class *sink_ops;
};

/* ---- sources ---- */

/*
 * run() is the task: it reads until task_should_stop(), then returns true. False with e: the task is FAILED. It may block,
 * but must notice task_should_stop() within a second (task_wake_fd() becomes readable then).
 */
struct source_class {
    bool (*run)(struct task *t, const struct config *c, struct err *e);
};

/* The position stored last for this partition (JSON text, as Kafka Connect keeps it), in a; STR_NULL when there is none. */
struct str source_position(struct task *t, struct str partition_json, struct arena *a);
/*
 * A position that has the member "held", {"TOPIC": OFFSET, ...}, keeps all sinks of this process from reading those topics at or
 * after those offsets, also after a restart, until a position without it is stored. So an initial snapshot that breaks off can
 * be trimmed from its topics before anybody downstream has copied half of it.
 *
 * Makes a topic the task writes to (present ones are fine) and tells the sinks. Once a topic a task, then it is cheap.
 */
bool source_ensure_topic(struct task *t, struct str topic, int32_t partitions, struct err *e) MUST_CHECK;
/*
 * Appends writes and the new position in one atomic durable append, waiting for it. position_json NULL text: records only.
 */
bool source_append(struct task *t, struct log_part_write *writes, size_t count, struct str partition_json,
                   struct str position_json, struct err *e) MUST_CHECK;
/*
 * The same without waiting: several may be in flight, and they become durable in the order they were given. When one fails, those
 * after it fail too, until source_begin_anew(): a position never passes rows that are not there.
 */
struct source_write {
    struct log_part_write *writes; // with room for one more at writes[count]; borrowed until done
    size_t count;
    struct str partition_json, position_json; // copied
    log_done_fn *done;                        // on the committer's thread: must not block
    void *arg;
    /* The rest is the runtime's: zero before the first use, source_write_fini() at the end. */
    struct task *_task;
    struct batch_writer _batch;
    char *_key, *_value;
};
void source_append_async(struct task *t, struct source_write *w);
void source_begin_anew(struct task *t);         // none in flight; read on from source_position()
void source_write_fini(struct source_write *w); // none in flight

/* ---- sinks ---- */

struct sink_partition {
    struct str topic;
    int32_t partition;
    int64_t next; // offset of the next record to be put. In open(): from the group; the sink may change it
};

struct sink_record {
    struct sink_partition *from;
    struct record r; // borrowed during put()
};

/*
 * All calls on the task's thread. A partition the group has no position for starts at the first record there is. When topics or
 * partitions come or go, the task is closed and opened anew. Before it is closed, flush(all = false) is called: what is not
 * due then is put again after the next open().
 */
struct sink_class {
    /* Partitions of this task, at least one, for its whole life. *state is the task's own. */
    bool (*open)(struct task *t, const struct config *c, struct sink_partition *parts, size_t count,
                 void **state, struct err *e);
    /* In offset order within a partition. The sink may write what it likes; nothing is safe before flush(). */
    bool (*put)(void *state, const struct sink_record *records, size_t count, struct err *e);
    /*
     * Makes durable what is due at this moment - all of it when `all` - and sets safe[i] to the offset below which
     * partition i is durable now (as parts of open()); the runtime commits it to the group.
     */
    bool (*flush)(void *state, bool all, int64_t *safe, struct err *e);
    int64_t (*next_flush_ms)(
        void *state);           // how long until flush() should be called though no record comes; -1: not
    void (*close)(void *state); // NULL state does nothing
};

/* ---- inside a task ---- */

const struct connect_env *task_env(struct task *t);
const char *task_name(const struct task *t); // "postgres-source-storefront-0"
bool task_should_stop(struct task *t);
int task_wake_fd(struct task *t); // readable from the moment the task should stop
struct task_stats {
    uint64_t records, bytes;  // through the task so far
    int64_t source_lag_bytes; // a source: what it has not read yet; -1: not known
    int64_t source_lag_ms;    // age of the newest change when it was appended; -1: not known
    char state[64];           // what it does now, in words: "snapshot of orders, 40 %", "streaming"
};
void task_report(struct task *t, const struct task_stats *s); // a source: all of it
void task_say(struct task *t, const char *doing);             // a sink: the runtime counts what it is given

/* ---- the runtime ---- */

bool connect_start(const struct connect_env *env, struct connect **out,
                   struct err *e) MUST_CHECK; // replays its topics, starts what was running
void connect_stop(struct connect *c);         // ends all tasks and waits for them; NULL does nothing

/* What is wrong with a configuration: one line a key, as Kafka Connect words it. */
struct config_problem {
    struct str key, text;
};
/* count 0: it is acceptable. Also what connect_put checks; the class's own check() comes last and counts as "connector.class". */
void connect_validate(struct connect *c, struct str config_json, struct arena *a, struct config_problem **out,
                      size_t *count);

/*
 * config_json: a JSON object of strings (numbers and booleans are taken as their text). ERR_INVALID with all problems in the
 * message. Durable when it returns; the tasks are started after that.
 */
bool connect_put(struct connect *c, struct str name, struct str config_json, bool *created,
                 struct err *e) MUST_CHECK;
bool connect_delete(struct connect *c, struct str name, struct err *e) MUST_CHECK;
enum connect_target { CONNECT_STARTED, CONNECT_PAUSED, CONNECT_STOPPED };
bool connect_set_target(struct connect *c, struct str name, enum connect_target target,
                        struct err *e) MUST_CHECK;
/* task -1: the connector and, with_tasks, its tasks. */
bool connect_restart(struct connect *c, struct str name, int task, bool with_tasks, bool only_failed,
                     struct err *e) MUST_CHECK;

struct connect_task_info {
    int id;
    bool source;
    const char *state; // "RUNNING", ...
    struct str trace;  // error text when FAILED
    struct task_stats stats;
    int64_t lag_records; // a sink: records it has not made durable; -1 for sources
    int64_t lag_ms;      // a sink: age of the oldest of them; a source: as in stats; -1: not known
};
struct connect_info {
    struct str name;
    struct str config_json; // an object of strings, "name" included
    struct str type;        // "source" or "sink"
    enum connect_step step;
    const char *state;
    struct str trace;
    struct connect_task_info *tasks;
    size_t task_count;
};
bool connect_get(struct connect *c, struct str name, struct arena *a,
                 struct connect_info *out); // false: none
void connect_list(struct connect *c, struct arena *a, struct connect_info **out,
                  size_t *count); // by name

/*
 * Waits until a source has a position that holds no topic: its initial snapshot is over. ERR_TIMEOUT with what it does now,
 * ERR_REMOTE when its task has ended.
 */
bool connect_wait_snapshot(struct connect *c, struct str name, int64_t timeout_ms, struct err *e) MUST_CHECK;

/*
 * Barriers, for `tarn verify`. connect_hold() makes every sink stop before its next put and not flush; connect_flush_at()
 * lets the sinks that read `topic`/`partition` go on to exactly `offset`, flush there, and hold again, and waits for that;
 * connect_release() lets all go on.
 */
bool connect_hold(struct connect *c, struct err *e) MUST_CHECK;
struct connect_barrier {
    struct str topic;
    int32_t partition;
    int64_t offset;
};
bool connect_flush_at(struct connect *c, const struct connect_barrier *b, size_t count, int64_t timeout_ms,
                      struct err *e) MUST_CHECK;
void connect_release(struct connect *c);

/* Positions as GET /connectors/N/offsets gives them: {"offsets":[...]}. False: no such connector. */
bool connect_offsets_json(struct connect *c, struct str name, struct buf *out);
/* Forgets where a stopped connector was: it begins anew, a source with a new snapshot. */
bool connect_reset_offsets(struct connect *c, struct str name, struct err *e) MUST_CHECK;
/* Topics it has read or written since it was made, by name. False: no such connector. */
bool connect_topics(struct connect *c, struct str name, struct arena *a, struct str **out, size_t *count);

const struct connector_class *const *connect_classes(void); // NULL-terminated

/* Kafka Connect's REST interface (connect/rest.c). *port is the real one. c must outlive net. */
bool connect_rest_start(struct net *net, const char *host, int port, struct connect *c, int *bound,
                        struct err *e) MUST_CHECK;
