/*
 * connect_int: what the files of connect/ share.
 *
 * runtime.c   connectors and tasks; the supervisor, one thread that owns them and does one operation at a time
 * task.c      what a task may call; source tasks; source_append
 * sink.c      the loop of a sink task: fetch, put, flush, commit
 * barrier.c   hold, flush at, release
 * store.c     the three topics: replay at start, write
 * class.c     classes by name, and their keys
 * config.c    reading a configuration; check.c: what is wrong with one
 * rest*.c     the door
 *
 * Locks: c->lock guards everything the supervisor and the tasks both see (states, traces, figures, positions, holds); t->lock,
 * taken after it, guards what wakes one task. Nothing else is called with either held. Connectors and tasks are made and
 * freed by the supervisor only, which holds c->lock while it changes the lists; so a list may be read by the supervisor or
 * under c->lock.
 */
#pragma once

#include "connect/connect.h"
#include "connect/patterns.h"
#include "net/http.h"
#include "os/thread.h"

enum run_state {
    STATE_UNASSIGNED,
    STATE_RUNNING,
    STATE_PAUSED,
    STATE_FAILED,
    STATE_RESTARTING,
    STATE_STOPPED,
};
const char *state_name(enum run_state s);

/* A configuration with the memory it lives in. */
struct connector_settings {
    struct arena arena;
    struct config config;
    struct str json; // {"name":...}: an object of strings, in the order given
    const struct connector_class *class;
    struct patterns topics; // topics.regex of a sink
};

struct connector {
    struct connect *connect;
    char *name;
    struct connector_settings *settings; // replaced whole; tasks are ended before
    enum connect_target target;
    enum run_state state;
    char *trace;
    struct task **tasks;
    size_t task_count;
    struct map topics; // name -> (void *)1: topics it has used
};

struct task {
    struct connect *connect;
    struct connector *connector;
    int id;
    char name[300];
    const struct config *config;
    struct thread thread;
    bool started;
    int wake_fd;            // an eventfd, readable from the moment the task should stop
    struct log_order order; // a source's appends: none follows one that failed

    struct mutex lock; // guards what follows
    struct cond cond;
    bool stop;
    bool poked;         // something changed: new records, a hold, a barrier
    bool hold;          // a barrier: no put beyond the goal
    bool at_goal;       // ... and it has got there
    bool goal_flush;    // flush when there
    uint64_t goal_turn; // counts the times that goals were set
    int64_t *goal;      // [part_count] offsets to reach while held

    enum run_state state; // c->lock from here on
    bool ended;           // run() or the loop is over
    char *trace;
    struct task_stats stats;
    struct sink_partition *parts; // set before start; next: the task's own
    int64_t *safe;                // [part_count] committed to the group
    size_t part_count;
};

struct hold {
    char *owner; // key of the position that asks for it
    int64_t offset;
};

enum connect_op_kind { OP_PUT, OP_DELETE, OP_TARGET, OP_RESTART, OP_RESET, OP_HOLD, OP_FLUSH_AT, OP_RELEASE };

/* Something asked of the supervisor; lives on the stack of the one who waits for it. */
struct connect_op {
    enum connect_op_kind kind;
    struct str name;
    struct connector_settings *settings; // OP_PUT: taken
    bool created;                        // OP_PUT: out
    const enum connect_target *target;   // OP_TARGET; OP_PUT: NULL leaves it
    int task;                            // OP_RESTART
    bool with_tasks, only_failed;
    const struct connect_barrier *barriers; // OP_FLUSH_AT
    size_t barrier_count;
    int64_t timeout_ms;
    bool done, ok;
    struct err err;
    struct connect_op *next;
};

struct connect {
    struct connect_env env;
    struct mutex lock;
    struct cond changed; // a task ended, reached a goal, an operation is done
    struct map connectors;
    struct map positions; // key text as in connect-offsets -> char *value
    struct map holds;     // topic -> struct hold *
    bool sinks_held;      // connect_hold() is in force
    struct thread supervisor;
    struct connect_op *ops; // waiting for the supervisor, oldest first
    struct cond asked;
    bool quit;
    bool topics_changed;
    struct http_server rest;
};

/* ---- class.c ---- */

const struct connector_class *class_find(struct str name); // NULL: none
/* All keys of a class, the common ones included, in a. */
struct config_key *class_keys(const struct connector_class *k, struct arena *a, size_t *count);

/* ---- config.c, check.c ---- */

struct connector_settings *connector_settings_new(struct str name, struct str json,
                                                  struct err *e); // NULL and e: not a configuration
void connector_settings_free(struct connector_settings *s);
void connector_settings_problems(const struct connector_settings *s, struct arena *a,
                                 struct config_problem **out, size_t *count);
void connector_settings_warn(const struct connector_settings *s, const struct connect_env *env);
int connector_settings_tasks(const struct connector_settings *s);

/* ---- store.c ---- */

struct store_record {
    struct str key, value; // value NULL: a tombstone
};
bool store_open(struct connect *c, struct err *e) MUST_CHECK;
bool store_put_config(struct connect *c, const struct connector_settings *s, struct err *e) MUST_CHECK;
bool store_put_target(struct connect *c, struct str name, enum connect_target target,
                      struct err *e) MUST_CHECK;
bool store_delete_config(struct connect *c, const struct connector *k, struct err *e) MUST_CHECK;
/* Forgets all positions of a source. */
bool store_delete_positions(struct connect *c, struct str connector, struct err *e) MUST_CHECK;
/* States are written so that others can read them; nothing depends on them here, so a failure is only warned of. */
void store_put_status(struct connect *c, const struct connector *k, const struct task *t);
void store_put_topic(struct connect *c, const struct connector *k, struct str topic, int task);
/* c->lock held. Takes value. */
void positions_put(struct connect *c, struct str key, char *value);
/* c->lock held. The connector has stored a position, and none of its positions holds a topic. */
bool positions_settled(struct connect *c, struct str connector);
char *position_key(struct str connector, struct str partition_json); // yours

/* ---- task.c ---- */

struct task *task_new(struct connector *k, int id);
void task_free(struct task *t);
void task_start(struct task *t);
void task_ask_stop(struct task *t); // returns at once
void task_join(struct task *t);
void task_clear_wake(struct task *t); // joined, and about to be started again
void task_poke(struct task *t);
void task_set_state(struct task *t, enum run_state s, const struct err *e); // e: why it FAILED
void task_used_topic(struct task *t, struct str topic);

/* ---- sink.c ---- */

bool sink_loop(struct task *t, struct err *e); // until the task should stop
/* Partitions of the topics a sink's configuration names, by topic and number, in a. */
void sink_partitions(struct connect *c, const struct connector_settings *k, struct arena *a,
                     struct sink_partition **out, size_t *count);
/* Records that are not durable yet, and how old the oldest of them is. */
void sink_lag(struct connect *c, const struct sink_partition *parts, size_t count, int64_t *records,
              int64_t *ms);
/* Offset before which `topic` may be read now; INT64_MAX when nobody holds it. Takes c->lock. */
int64_t topic_limit(struct connect *c, struct str topic);
void poke_sinks_locked(struct connect *c); // all sink tasks look again

/* ---- barrier.c: on the supervisor's thread ---- */

bool barrier_hold(struct connect *c, struct err *e);
bool barrier_flush_at(struct connect *c, const struct connect_op *op, struct err *e);
void barrier_release(struct connect *c);

/* ---- runtime.c ---- */

bool connect_ask(struct connect *c, struct connect_op *op,
                 struct err *e); // waits until the supervisor has done it
/* connect_put() with a target to begin with; NULL: STARTED, or as it was. */
bool connect_put_as(struct connect *c, struct str name, struct str config_json,
                    const enum connect_target *target, bool *created, struct err *e) MUST_CHECK;
void connect_warn(struct connect *c, const char *fmt, ...) PRINTF(2, 3);
