/*
 * proxy_int: what the proxy's files share.
 *
 * A trip is one request on its way, in the request's arena: also while it waits for the disk or for records.
 */
#pragma once

#include "base/js.h"
#include "ingest/proxy.h"
#include "log/batch.h"
#include "log/log.h"
#include "os/thread.h"

struct auth;
struct avro;
struct consumer;
struct group_desk;
struct group_part;
struct offsets;
struct schema_store;

struct proxy {
    struct os *os;
    struct net *net;
    struct log *log;
    struct offsets *offsets;
    struct schema_store *schemas;
    struct auth *users; // NULL: nobody has to say who he is
    bool (*may)(void *arg, const struct ingest_question *q);
    void *may_arg;
    bool auto_create;
    int32_t partitions, replication_max;
    const char *kafka_host; // what Kafka's clients are told; "": there is no such door
    int kafka_port;
    _Atomic uint32_t turn; // requests whose records have no key take partitions in turn

    const struct group_desk *desk; // NULL: there is no coordinator
    int64_t idle_ms;               // a consumer that nobody asks for goes after it
    struct loop *home;             // the coordinator's
    struct timer *timer;           // of the consumers; the loop's

    struct mutex lock; // over the rest
    struct consumer *consumers;
    size_t consumer_count;
    bool stopping; // no consumer is made any more
    struct cond idle;
    size_t
        waiting; // what is under way on the loop, and trips between trip_wait() and the end of what trip_go_on() began
};

struct trip {
    struct proxy *p;
    struct http_req *q;
    struct arena *a;
    struct str name[HTTP_PATH_NAMES]; // what the path names
    bool v3;
    struct str user;     // who asks; null: nobody has to say
    void *state, *extra; // of who answers later: records.c, and who asked it
    void (*next)(struct trip *c);
};
typedef void trip_fn(struct trip *c);

/* Confluent's codes: the first three digits are the status. */
enum {
    CODE_BAD_REQUEST = 400,
    CODE_INVALID = 422,
    CODE_BROKER_REFUSED = 40002,
    CODE_CONSUMER_SETTING = 40001,
    CODE_DENIED = 40301,
    CODE_NO_TOPIC = 40401,
    CODE_NO_PARTITION = 40402,
    CODE_NO_CONSUMER = 40403,
    CODE_NO_TOPIC_V3 = 40403,
    CODE_FORMAT = 40601,
    CODE_SUBSCRIBED = 40901,
    CODE_CONSUMER_EXISTS = 40902,
    CODE_STATE = 40903,
    CODE_NO_KEY_SCHEMA = 42201,
    CODE_NO_VALUE_SCHEMA = 42202,
    CODE_CONVERSION = 42203,
    CODE_CONSUMER_CONFIG = 42204,
    CODE_BAD_SCHEMA = 42205,
    CODE_PAYLOAD = 42206,
    CODE_SERIALIZING = 42207,
    CODE_KAFKA = 50002,
    CODE_RETRY = 50003,
};

/* ---- proxy.c ---- */

void trip_json(struct trip *c, int status, struct buf *b); // takes b's memory
void trip_error(struct trip *c, int code, const char *fmt, ...) PRINTF(3, 4);
void trip_err(struct trip *c, int code, const struct err *e); // with the error's sentence
struct buf trip_buf(void);
/* The answer comes later: fn(c) is to make it, as a job. Any thread may say so, once. */
void trip_wait(struct trip *c);
void trip_go_on(struct trip *c, trip_fn *fn);
/* May who asks do this? trip_allow() answers when not. */
struct str trip_host(const struct trip *c); // the client's numeric address
bool trip_may(struct trip *c, int thing, struct str name, int operation);
bool trip_allow(struct trip *c, int thing, struct str name, int operation);
/* The body's JSON object. False: has answered. */
bool trip_body(struct trip *c, struct js *out);
/* False: has answered that there is none, or that who asks may not do this with it (INGEST_DESCRIBE). */
bool trip_topic(struct trip *c, int operation, struct log_topic *out);
bool trip_partition(struct trip *c, const struct log_topic *t, struct str text, int32_t *out);
/* The topic to write to: made when it is absent and may be. A coordinator's is refused. */
bool trip_topic_to_write(struct trip *c, struct log_topic *out);
/* A coordinator's, which nobody else writes or deletes. */
bool proxy_is_internal(struct str topic);
/* "http://host:port" as the client knows us. */
const char *trip_base(struct trip *c);

/* Does the client take answers of this type (Accept)? */
bool trip_accepts(struct trip *c, const char *type);

/* ---- positions.c ---- */

/* {"partitions":[{"topic":"t","partition":0}]}, in the trip's arena. False: has answered. */
bool trip_parts(struct trip *c, struct group_part **parts, size_t *count);

/* ---- values.c ---- */

enum format { FORMAT_NONE, FORMAT_BINARY, FORMAT_JSON, FORMAT_STRING, FORMAT_AVRO };

const char *format_name(enum format f); // "BINARY"
/* Of a content type of v2: "application/vnd.kafka.avro.v2+json". FORMAT_NONE: none of these. */
enum format format_of_type(struct str type);

/* A schema and where it stands in the registry. Zeroed: none. */
struct value_schema {
    int id, version; // version 0: not asked for
    struct str subject;
    const struct avro *avro;
};
/* 0, or one of the codes with a sentence in e. Subject null: the topic's own. */
int value_schema_by_text(struct trip *c, struct str subject, struct str text, struct value_schema *out,
                         struct err *e);
int value_schema_by_id(struct trip *c, int64_t id, struct value_schema *out, struct err *e);
int value_schema_by_version(struct trip *c, struct str subject, int64_t version, struct value_schema *out,
                            struct err *e);

/* The bytes of a key or value; JSON's null, and what is not there, are null. 0 or a code with a sentence in e. */
int value_encode(struct trip *c, enum format f, const struct value_schema *s, struct js data, struct str *out,
                 struct err *e);
/*
 * The way back, for a consumer: as JSON. Avro's schema is found by the id in front; `last` keeps the one that was found. False: the bytes
 * are not what the format says.
 */
struct value_last {
    int id;
    struct value_schema schema;
};
bool value_show(struct trip *c, enum format f, struct str bytes, struct value_last *last, struct buf *out,
                struct err *e) MUST_CHECK;
bool value_base64(struct arena *a, struct str text, struct str *out);

/* ---- records.c ---- */

/* A record to append, and what became of it. */
struct item {
    struct str key, value;
    struct record_header *headers;
    int32_t header_count;
    int32_t partition; // wanted, -1: any; then where it is
    int64_t timestamp_ms;
    int64_t offset;
    int code;        // 0, or why it was not taken: one of the codes above
    const char *why; // with a sentence
    struct item *_next;
};

enum { ITEMS_MAX = 100000 }; // of one request

/* Appends those whose code is 0, and calls done(c) as a job when all is on disk. The calling run() returns then. */
void items_append(struct trip *c, const struct log_topic *t, struct item *items, size_t n, trip_fn *done);

trip_fn proxy_topics, proxy_topic, proxy_partitions, proxy_partition, proxy_offsets, proxy_brokers;
trip_fn proxy_produce;
trip_fn proxy_consumer_create, proxy_consumer_delete, proxy_subscribe, proxy_subscription, proxy_unsubscribe,
    proxy_assign, proxy_assignment, proxy_records, proxy_commit, proxy_committed, proxy_seek,
    proxy_seek_beginning, proxy_seek_end;
trip_fn v3_clusters, v3_cluster, v3_brokers, v3_broker, v3_topics, v3_create, v3_topic, v3_delete, v3_configs,
    v3_partitions, v3_partition, v3_records;
