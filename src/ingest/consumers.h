/*
 * consumers: instances of v2, each a consumer that lives between requests.
 *
 * An instance subscribes to topics, and is then a member of its group beside Kafka's own clients (group/member.h), or is assigned
 * partitions by hand. Its positions are here; what it commits is the group's. It goes when it is deleted, or when nobody has asked for it
 * for proxy.idle_ms, and takes leave of the group then.
 *
 *     consumers.c    life, subscriptions and assignments
 *     patterns.c     subscriptions to all topics of a pattern
 *     minding.c      the loop's side: members, commits, what is due
 *     positions.c    committing and seeking
 *     reads.c        records: a read that finds none is parked
 *
 * Threads: requests are jobs and hold the proxy's lock for moments; the member belongs to the coordinator's loop, and what must be done
 * there is posted. A consumer is counted: who uses it without the lock holds a reference.
 */
#pragma once

#include "group/member.h"
#include "group/topic_pattern.h"
#include "ingest/proxy_int.h"

enum { CONSUMER_IDLE_MS = 300000, CONSUMERS_MAX = 1000, CONSUMER_PARTS_MAX = 10000, AUTO_COMMIT_MS = 5000 };
enum { PATTERN_MS = 1000 }; // how often new topics are looked for that a pattern matches

struct position {
    struct str topic; // in the consumer's arena
    int32_t partition;
    int64_t next;      // offset to read; -1: where auto.offset.reset says
    int64_t committed; // as far as we know; -1: nothing
};

struct read;

struct consumer {
    struct proxy *p;
    struct str group, name, user, host; // in `names`
    struct arena names;
    enum format format;
    bool auto_commit;
    enum { RESET_LATEST, RESET_EARLIEST, RESET_NONE } reset;
    int64_t min_bytes, wait_ms; // of a read; wait_ms -1: the proxy's

    /* Under the proxy's lock. */
    unsigned refs;
    bool closed;
    int64_t used_ms; // when it was asked for last
    enum { CONSUMER_IDLE, CONSUMER_SUBSCRIBED, CONSUMER_ASSIGNED } mode;
    struct arena topics_arena, parts_arena;
    struct str *topics;
    size_t topic_count;
    struct topic_pattern *pattern; // the topics are those that it matches; NULL: they were named
    uint64_t pattern_seen;         // topics were looked at in this state of them
    int64_t pattern_ms;            // when they are looked at again
    struct position *parts;
    size_t part_count;
    uint64_t round;     // another one: the parts are others, or were sought
    size_t turn;        // the partition that the next read begins with
    bool reading;       // a read is at the log
    int failed;         // Kafka's code when the coordinator will not have us
    int64_t commit_ms;  // of the last automatic commit
    struct read *reads; // that are parked
    struct consumer *next;

    /* On the loop. */
    struct group_member *member; // NULL: none was needed yet
    bool leaving, closing;
    struct trip *closer; // who waits for its end
};

void proxy_consumers_stop(struct proxy *p); // closes all; none is made any more
void proxy_consumers_free(struct proxy *p); // when nothing is under way

/* Something to do on the coordinator's loop. */
struct errand {
    struct proxy *p;
    struct consumer *k; // with a reference, or NULL
    void (*run)(struct errand *x);
};
/* k: NULL, or one whose reference goes with it. */
void errand_send(struct proxy *p, struct consumer *k, void (*run)(struct errand *x));
void errand_join(struct errand *x);  // the topics that the consumer has now
void errand_leave(struct errand *x); // the group
void errand_close(
    struct errand *x); // of a consumer that is not in the list any more; takes the list's reference

/* The consumer of the path, with a reference; NULL: has answered. */
struct consumer *consumer_of(struct trip *c);
struct consumer *consumer_ref(struct consumer *k); // lock held
void consumer_unref(struct consumer *k);           // without it; NULL does nothing
/* Out of the list: nobody finds it any more, and its reads are woken. Lock held, as for the next three. */
void consumer_unlist(struct consumer *k);
void consumer_take_topics(struct consumer *k, const struct str *topics, size_t n);
void consumer_take_parts(struct consumer *k, const struct group_part *parts, size_t count);
void consumer_forget_parts(struct consumer *k);
struct position *consumer_part(struct consumer *k, struct str topic, int32_t partition); // lock held
/* Wakes the reads that are parked; lock held. */
void consumer_wake(struct consumer *k);
/* Something is due at another time than before; any thread. */
void proxy_consumers_due(struct proxy *p);
int64_t proxy_now_ms(const struct proxy *p);

/* What is committed, and by whom: one for each commit, freed by its end. */
struct commit {
    struct consumer *k;
    struct trip *trip; // NULL: nobody waits
    struct arena arena;
    struct offset_at *at;
    size_t count;
    int16_t error;
    group_answer_fn *done; // the loop's
};
/* Commits on the loop; then the trip, if there is one, goes on with `then`, its state being the commit. Takes m, and the reference in it. */
void consumer_commit(struct commit *m, trip_fn *then);
void commit_free(struct commit *m);
/* Those that moved since they were committed, in m; lock held. */
void commit_moved(struct commit *m);

/* ---- patterns.c ---- */

struct matched {
    struct arena arena;
    struct str *topics; // by name
    size_t count;
    uint64_t version; // of the log's topics
};
/* Topics that the consumer's user may read and the pattern matches. The pattern is the caller's alone, or the lock is held. */
void pattern_match(struct consumer *k, struct topic_pattern *pattern, struct matched *out);
/* On the loop: looks anew when it is due and topics have come or gone; gives what is to be done then, or NULL. */
typedef void errand_fn(struct errand *x);
errand_fn *pattern_look(struct consumer *k);

/* ---- reads.c ---- */

struct read {
    enum read_wait {
        READ_RECORDS,
        READ_TURN
    } waits_for; // READ_TURN: another read of the consumer is at the log
    struct trip *c;
    struct consumer *k;
    int64_t deadline_ms;
    _Atomic int state;
    struct read *next;
};
void read_wake(struct read *r);
bool read_is_woken(const struct read *r); // it goes on already
