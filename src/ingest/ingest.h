/*
 * ingest: what comes in over HTTP. The storefront's seeder, with the lab's endpoints:
 *
 *     POST /seed/full?count=10000&batch_size=1000    a whole shop at once
 *     POST /seed/start?rate=1.0                      live traffic, `rate` ticks a second
 *     POST /seed/stop
 *     GET  /status   GET /health   GET /docs   GET /openapi.json
 *
 * and a proxy for topics that speaks as Confluent's REST Proxy does (proxy.h): /topics, /brokers, /consumers, /v3.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

struct auth;
struct group_desk;
struct ingest;
struct log;
struct net;
struct offsets;
struct os;
struct schema_store;

/*
 * Whether a user may do something, in Kafka's numbers (org.apache.kafka.common.resource.ResourceType, AclOperation). `host` is the
 * client's numeric address.
 */
struct ingest_question {
    struct str user, host;
    enum { INGEST_TOPIC = 2, INGEST_GROUP = 3, INGEST_CLUSTER = 4 } thing;
    struct str name;
    enum {
        INGEST_READ = 3,
        INGEST_WRITE = 4,
        INGEST_CREATE = 5,
        INGEST_DELETE = 6,
        INGEST_DESCRIBE = 8,
        INGEST_DESCRIBE_CONFIGS = 10
    } operation;
};

struct ingest_options { // all but net, os and log may be NULL or 0
    struct os *os;
    struct net *net;
    const char *host;
    int port;             // 0: any free one
    const char *conninfo; // of the database with the storefront's tables; NULL: nothing is seeded
    uint64_t seed;

    struct log *log;
    struct offsets *offsets;
    struct schema_store *schemas;
    struct auth *users;                                      // who may use the proxy; NULL: everybody
    bool (*may)(void *arg, const struct ingest_question *q); // asked when there are users
    void *may_arg;
    bool auto_create;                    // writing to a topic that is not there makes it
    int32_t partitions, replication_max; // of such a topic; what one that is created may ask for
    const char *kafka_host;              // what Kafka's clients are told
    int kafka_port;
    int64_t consumer_idle_ms;      // a consumer that nobody asks for goes after it; 0: five minutes
    const struct group_desk *desk; // of the groups' coordinator, on loop 0 of the net
};

bool ingest_start(const struct ingest_options *o, struct ingest **out, struct err *e) MUST_CHECK;
int ingest_port(const struct ingest *i);
void ingest_stop(struct ingest *i); // stops live traffic and ends consumers; call before net_shut
/* After net_shut() and before the log is closed: waits for what is on its way to the disk. NULL does nothing. */
void ingest_free(struct ingest *i);
