/*
 * coord_int: a group and its members, shared by the two halves of the coordinator.
 *
 * member.c keeps the lists and answers questions about them; group.c moves a group through its states. A member waits with
 * `join` set while Preparing and with `sync` set while Completing; it then needs no heartbeat.
 */
#pragma once

#include "base/map.h"
#include "kafka/group.h"
#include "kafka/kafka_int.h"

enum { PROTOCOLS_MAX = 64 }; // of a member

enum state { PREPARING, COMPLETING, STABLE };

struct protocol {
    struct str name, metadata;
};

struct member {
    struct arena arena; // of the names
    struct str id, instance_id, client_id, client_host;
    int64_t session_ms, rebalance_ms;
    struct arena subscription; // of what follows; made anew by each join
    struct protocol *protocols;
    int32_t protocol_count;
    char *assignment;
    size_t assignment_n;
    void *join, *sync;    // who waits for an answer
    bool skips;           // its client knows skip_assignment
    bool is_new;          // its first join was not answered yet
    bool synced;          // it has asked for its assignment in this generation
    uint64_t renewal;     // back under a new id: `join` is answered when this version is stored
    struct str former_id; // its id before that
    int64_t deadline_ms;  // of the next heartbeat
    struct member *next;  // in the order they came
};

/* A member id that was given out and has not joined yet (KIP-394). */
struct guest {
    char *id;
    int64_t deadline_ms;
    struct guest *next;
};

struct cgroup {
    char *name;
    enum state state;
    int32_t generation;
    char *protocol_type;
    char *protocol; // NULL while none is chosen
    struct member *members, *leader;
    size_t count;
    struct guest *guests;
    bool delayed;        // Preparing for the first time: waits though all have joined
    uint64_t assigning;  // the version with the assignments is on its way to the disk; 0: none is
    int64_t deadline_ms; // of Preparing and Completing, and of those that have not synced in Stable
    int64_t delay_end_ms;
    int64_t state_ms; // wall clock
};

struct coord {
    struct coord_options o;
    struct map groups;
    int64_t next_ms;   // nothing is due before
    uint64_t versions; // that were stored of any group
    bool closed;
};

/* Answers with an error whoever waits. */
void coord_fail_join(struct coord *c, struct member *m, int16_t error);
void coord_fail_sync(struct coord *c, struct member *m, int16_t error);
void coord_join_error(struct coord *c, void *waiter, int16_t error, struct str member_id);

struct cgroup *coord_find(const struct coord *c, struct str name);
struct cgroup *cgroup_new(struct coord *c, struct str name);
void cgroup_free(struct coord *c, struct cgroup *g); // whoever waits is told COORDINATOR_NOT_AVAILABLE
/* What offsets_put_meta_async() stores; strings are borrowed. */
void cgroup_meta(const struct cgroup *g, struct arena *a, struct group_meta *out);
/* The assignor that most members like best among those that all know. */
struct str cgroup_choose(const struct cgroup *g);

struct member *member_new(struct cgroup *g, struct str id, struct str instance_id,
                          const struct coord_client *client);
/* A static member is back under another id. */
void member_rename(struct member *m, struct str id, const struct coord_client *client);
/* Takes a member out of its group and tells it so, if it waits. */
void member_drop(struct coord *c, struct cgroup *g, struct member *m, int16_t error);
struct member *member_find(const struct cgroup *g, struct str id);
struct member *member_of_instance(const struct cgroup *g, struct str instance_id);
/* Who speaks: K_NONE and *out, or the error for it. A static member's old id is fenced by a newer one (KIP-345). */
int16_t member_who(const struct cgroup *g, struct str id, struct str instance_id, struct member **out);
void member_subscribe(struct member *m, const struct k_join_group_req *req);
bool member_subscribed_so(const struct member *m, const struct k_join_group_req *req);
bool member_knows(const struct member *m, struct str protocol);
struct str member_metadata(const struct member *m, const char *protocol);
void member_assign(struct member *m, struct str bytes);

/* Member ids that were given out and have not joined yet (KIP-394). */
void guest_add(struct cgroup *g, struct str id, int64_t deadline_ms);
bool guest_take(struct cgroup *g, struct str id); // false: not one
size_t guest_count(const struct cgroup *g);
