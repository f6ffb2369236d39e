/*
 * consumers_int: groups and members, shared by the files of this coordinator.
 *
 * consumers.c      heartbeats, time
 * cons_load.c      groups as the log has them
 * cons_store.c     what is written to the log
 * cons_group.c     groups, and their target assignment
 * cons_topics.c    the topics there are, and subscriptions made topics
 * cons_member.c    members: who they are, what they own, how they come to their target
 * cons_pattern.c   patterns that members subscribe by
 * cons_wait.c      who waits for an answer, and until when
 * cons_parts.c     texts and partitions that these own
 * cons_tell.c      questions
 */
#pragma once

#include "base/map.h"
#include "group/topic_pattern.h"
#include "kafka/assign.h"
#include "kafka/consumers.h"
#include "kafka/kafka_int.h"

/* As the stored state is numbered. */
enum cons_state { CONS_STABLE, CONS_UNREVOKED, CONS_UNRELEASED };

/* What of a member or a group is not as it is stored. */
enum { DIRTY_MEMBER = 1, DIRTY_TARGET = 2, DIRTY_CURRENT = 4, DIRTY_ALL = 7 };
enum { DIRTY_GROUP = 1, DIRTY_TOPICS = 2, DIRTY_TARGET_EPOCH = 4 };

/* Epochs in a heartbeat that are none. */
enum { EPOCH_LEAVES = -1, EPOCH_LEAVES_FOR_NOW = -2 };

/* Partitions, sorted; memory of its own. */
struct parts {
    struct topic_partition *v;
    size_t n;
};

struct cons_member {
    struct str id, instance_id, rack_id, client_id, client_host, assignor, pattern; // its own; p NULL: none
    struct str user; // as of the last heartbeat; p NULL: not heard of since the start
    bool heard;
    struct arena subscription;
    struct str *names; // of topics, sorted
    size_t name_count;
    struct log_uuid *topics; // that the names and the pattern stand for, sorted
    size_t topic_count;
    int32_t rebalance_ms;
    int32_t epoch, previous_epoch; // EPOCH_LEAVES_FOR_NOW: a static member that is away
    enum cons_state state;
    struct parts owned, revoked; // what it may read; what it has been asked to give up
    struct parts target;
    int64_t session_at_ms, revoke_at_ms; // when it is dropped; INT64_MAX: not
    unsigned dirty;
    struct cons_member *next;
};

/* A pattern of one or more members, and the topics it matches in a version of them. */
struct cons_pattern {
    struct topic_pattern *compiled;
    size_t users;
    struct arena arena;
    const struct consumer_topic **matches;
    size_t match_count;
    uint64_t version;
};

struct cons_waiting {
    struct arena arena; // of the answer
    struct k_consumer_beat_res res;
    void *waiter;
    uint64_t version;
    struct cons_waiting *next;
};

struct cons_group {
    struct str name;
    struct cons_member *members;
    size_t count;
    struct map by_id, by_instance;
    int32_t epoch, target_epoch;
    const char *assignor; // of the target
    struct arena topics_arena;
    struct consumer_topic *topics; // that are read, sorted by id
    size_t topic_count;
    uint64_t seen;       // version of the topics that this is made of; 0: none
    struct map patterns; // text -> struct cons_pattern *
    struct map owners;   // of partitions, owned or revoked -> struct cons_member *
    unsigned dirty;
    struct parts_gone *gone; // ids of members that are still stored
    bool rewrite;            // a store failed: what is stored is not known
    uint64_t sent, stored;   // versions
    uint64_t failed;         // up to this one none is told as stored: they build on one that is not
    struct cons_waiting *waiting, **waiting_tail;
};

struct parts_gone {
    char *id;
    struct parts_gone *next;
};

struct consumers {
    struct consumers_options o;
    struct map groups;
    uint64_t versions;
    int64_t next_ms;
    bool closed;
    struct arena catalogue; // all topics
    const struct consumer_topic **by_name, **by_id;
    size_t topic_count;
    uint64_t topics_version; // 0: not read yet
};

/* ---- cons_parts.c ---- */

void cons_set(struct str *own, struct str value); // a copy
bool parts_have(const struct parts *p, const struct topic_partition *at);
bool parts_equal(const struct parts *a, const struct parts *b);
struct parts parts_copy(const struct topic_partition *v, size_t n);

/* ---- cons_pattern.c ---- */

/* From "" to none, and back; it must be one that compiles. */
void cons_member_set_pattern(struct cons_group *g, struct cons_member *m, struct str pattern);
void cons_pattern_match(struct consumers *c, struct cons_pattern *p); // the topics as they are now

/* ---- cons_wait.c ---- */

/* Sends w when all that was written of g (NULL: nothing) has been stored. Takes w. */
void cons_answer(struct consumers *c, struct cons_group *g, struct cons_waiting *w);
void cons_let_out(struct consumers *c, struct cons_waiting *w); // sends it now, and ends it
void cons_answer_error(struct consumers *c, void *waiter, int16_t error, struct str message);
int64_t cons_due(struct consumers *c, int64_t at_ms); // consumers_tick() must look then
/* What holds for a group's members just now. */
void cons_times(const struct consumers *c, struct str group, int64_t *session_ms, int32_t *heartbeat_ms);

/* ---- cons_member.c ---- */

struct cons_member *cons_member_new(struct cons_group *g, struct str id);
/* Out of its group: what it held is free, and what is stored of it will go. */
void cons_member_drop(struct cons_group *g, struct cons_member *m);
void cons_member_free(struct cons_group *g, struct cons_member *m); // without a trace
/* A static member is back under another id, with what it had. */
void cons_member_rename(struct cons_group *g, struct cons_member *m, struct str id);
struct cons_member *cons_member_find(const struct cons_group *g, struct str id);
struct cons_member *cons_member_of_instance(const struct cons_group *g, struct str instance_id);
void cons_member_set_instance(struct cons_group *g, struct cons_member *m, struct str instance_id);
void cons_member_set_names(struct cons_member *m, const struct str *names, size_t n);
/* What it holds; a partition that another one holds is not taken (false). */
bool cons_member_hold(struct cons_group *g, struct cons_member *m, struct parts *owned,
                      struct parts *revoked);
/* One step towards the target. `says`: what the member says it owns; NULL: it does not. True: something has changed. */
bool cons_member_reconcile(struct cons_group *g, struct cons_member *m, const struct parts *says,
                           bool subscription_changed);

/* ---- cons_group.c ---- */

struct cons_group *cons_group_find(const struct consumers *c, struct str name);
struct cons_group *cons_group_new(struct consumers *c, struct str name);
void cons_group_free(struct consumers *c,
                     struct cons_group *g); // who waits is told COORDINATOR_NOT_AVAILABLE
void cons_bump(struct cons_group *g);
const char *cons_choose_assignor(const struct cons_group *g);
void cons_assign(struct cons_group *g); // makes the target of the group's epoch

/* ---- cons_topics.c ---- */

/* The topics as they are now. */
void cons_read_topics(struct consumers *c);
const struct consumer_topic *cons_topic(const struct consumers *c, const struct log_uuid *id); // NULL: none
/* Makes topics of subscriptions: of all when topics have changed, else of `m` (NULL: of nobody). True: the group reads others now. */
bool cons_refresh(struct consumers *c, struct cons_group *g, struct cons_member *m);

/* ---- cons_store.c ---- */

/* Writes what is dirty. */
void cons_flush(struct consumers *c, struct cons_group *g);
