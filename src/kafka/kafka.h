/*
 * kafka: the door for Kafka clients.
 *
 * Speaks the Kafka protocol on the log: topics, produce (idempotent and in transactions), fetch, consumer groups and committed offsets, and the
 * parts of administration that clients expect. What it speaks is the table api.def; ApiVersions tells exactly that.
 *
 *     kafka_start(&(struct kafka_options){.os = os, .net = net, .log = log, .offsets = offsets,
 *                                         .plain = {.host = "127.0.0.1", .port = 9092}, .auto_create = true}, &k, &port, e)
 *     ...
 *     net_shut(net, 2000)    no connection is left
 *     kafka_stop(k)          waits for what is under way; then log and offsets may be closed
 *     net_stop(net)
 *
 * With users every connection logs in first (sasl.c), and each request is held against what its user may do, by one table and
 * outside the handlers (access.c, acl.c).
 *
 * How it works: conn.c cuts frames; request.c finds the row in api.def, reads the body (wire.c, messages.def) and calls the
 * handler, one function an API: produce.c, producer.c (ids of idempotent producers), fetch.c, positions.c (ListOffsets), metadata.c,
 * topics.c (create, delete, add partitions), configs.c (settings; config.c), admin.c (what consoles ask besides), commits.c
 * (offsets of groups), groups.c (members), groupadmin.c, and the rest in api.c. A handler
 * answers with kafka_reply(), at once or later and then from any thread. The coordinator (group.c, member.c) is a state
 * machine without I/O that lives on one loop; so is that of transactions (txn.c, with txns.c between it and the log, txnapi.c and txnadmin.c).
 *
 * Threads: a request belongs to its connection's loop; groups belong to loop 0. kafka_start and kafka_stop on no loop's thread.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

struct auth;
struct kafka;
struct log;
struct net;
struct offsets;
struct os;

/* A listener, and what its clients are told to connect to. */
struct kafka_listen {
    const char *host;            // numeric address to listen on; NULL: there is no such listener
    int port;                    // 0: any free one
    const char *advertised_host; // NULL: host
    int advertised_port;         // 0: the real one
};

struct kafka_options {
    struct os *os;
    struct net *net;
    struct log *log;
    struct offsets *offsets;
    struct kafka_listen plain, tls;
    struct auth *users;   // who may log in, and then everybody must; NULL: nobody has to
    const char *acl_file; // where ACLs and users that clients make are kept; needed with users
    bool open_acls;       // ACLs without users too; what none speaks of may be done
    const char *const *super_users;
    size_t super_count;
    const char *const
        *held; // topics that nobody deletes: other parts of this process keep what they know in them
    size_t held_count;
    bool mechanisms[3];      // by enum auth_mechanism, those to log in with; none set: all
    int64_t reauth_ms;       // how long a login holds; 0: without end (Kafka: connections.max.reauth.ms)
    bool auto_create;        // asking for a topic's metadata makes it (Kafka: auto.create.topics.enable)
    int16_t replication_max; // that a new topic may ask for, there being one copy; 0: 1
    int32_t partitions;      // of a topic made without a number; 0: 1 (Kafka: num.partitions)
    int64_t
        initial_rebalance_ms; // how long an empty group waits for more members (Kafka: group.initial.rebalance.delay.ms)
    int32_t group_max_members; // 0: 1000 (Kafka: group.max.size, group.consumer.max.size)
    /* Of groups whose assignments the broker makes; 0: 45 s and 5 s (Kafka: group.consumer.session.timeout.ms,
     * group.consumer.heartbeat.interval.ms) */
    int64_t consumer_session_ms;
    int32_t consumer_heartbeat_ms;
    int32_t
        transaction_max_ms; // that a producer may ask for; 0: 15 minutes (Kafka: transaction.max.timeout.ms)
    int64_t
        transactional_id_ms; // how long one that nobody uses is kept; 0: 7 days (Kafka: transactional.id.expiration.ms)
    int64_t
        offsets_retention_ms; // positions of a group without members; 0: 7 days (Kafka: offsets.retention.minutes)
};

/*
 * *port: the one it listens on, without TLS if it does. When only one of two listeners could be started *out is set although it
 * failed: stop it as any other.
 */
bool kafka_start(const struct kafka_options *o, struct kafka **out, int *port, struct err *e) MUST_CHECK;
/* After net_shut(). NULL does nothing. */
void kafka_stop(struct kafka *k);

/* What clients are told, for people: the usual reason why a client cannot connect. "127.0.0.1:9092" */
const char *kafka_advertised(const struct kafka *k);
void kafka_told(const struct kafka *k, const char **host, int *port); // the same in its parts; borrowed

/* May a user do this, by the ACLs? Types and operations have Kafka's numbers (acl.h). Without users everybody may do everything. */
bool kafka_allows(struct kafka *k, struct str user, struct str host, int type, struct str name,
                  int operation);

/* Groups for consumers of this process; lives as long as k. It is used, and answers, on loop 0 of the net. */
struct group_desk;
const struct group_desk *kafka_desk(struct kafka *k);
