/*
 * kafka_int: what the files of this room share.
 *
 * A request (struct kafka_req) is one frame and its answer. It is made and ended on its loop's thread; in between its
 * handler may hand it to the committer, to a job or to the coordinator, one at a time, and kafka_reply() brings it home. All
 * memory of a request is in its arena, and it goes when the answer has been sent.
 */
#pragma once

#include "auth/auth.h"
#include "base/arena.h"
#include "base/map.h"
#include "base/str.h"
#include "group/member.h"
#include "kafka/kafka.h"
#include "kafka/messages.h"
#include "log/log.h"
#include "net/net.h"
#include "os/thread.h"

struct consumers;
struct coord;
struct coord_commit;
struct coord_reads;
struct offset_at;
struct offsets;

enum { KAFKA_NODE_ID = 1, KAFKA_LEADER_EPOCH = 0 };

/* kafka.apache.org/protocol "Error Codes" */
enum kafka_error {
    K_UNKNOWN_SERVER_ERROR = -1,
    K_NONE = 0,
    K_OFFSET_OUT_OF_RANGE = 1,
    K_CORRUPT_MESSAGE = 2,
    K_UNKNOWN_TOPIC_OR_PARTITION = 3,
    K_MESSAGE_TOO_LARGE = 10,
    K_OFFSET_METADATA_TOO_LARGE = 12,
    K_COORDINATOR_NOT_AVAILABLE = 15,
    K_INVALID_TOPIC = 17,
    K_INVALID_REQUIRED_ACKS = 21,
    K_ILLEGAL_GENERATION = 22,
    K_INCONSISTENT_GROUP_PROTOCOL = 23,
    K_INVALID_GROUP_ID = 24,
    K_UNKNOWN_MEMBER_ID = 25,
    K_INVALID_SESSION_TIMEOUT = 26,
    K_REBALANCE_IN_PROGRESS = 27,
    K_TOPIC_AUTHORIZATION_FAILED = 29,
    K_GROUP_AUTHORIZATION_FAILED = 30,
    K_CLUSTER_AUTHORIZATION_FAILED = 31,
    K_INVALID_TIMESTAMP = 32,
    K_UNSUPPORTED_SASL_MECHANISM = 33,
    K_ILLEGAL_SASL_STATE = 34,
    K_UNSUPPORTED_VERSION = 35,
    K_TOPIC_ALREADY_EXISTS = 36,
    K_INVALID_PARTITIONS = 37,
    K_INVALID_REPLICATION_FACTOR = 38,
    K_INVALID_REPLICA_ASSIGNMENT = 39,
    K_INVALID_CONFIG = 40,
    K_INVALID_REQUEST = 42,
    K_UNSUPPORTED_FOR_MESSAGE_FORMAT = 43,
    K_POLICY_VIOLATION = 44,
    K_OUT_OF_ORDER_SEQUENCE_NUMBER = 45,
    K_INVALID_PRODUCER_EPOCH = 47,
    K_INVALID_TXN_STATE = 48,
    K_INVALID_PRODUCER_ID_MAPPING = 49,
    K_INVALID_TRANSACTION_TIMEOUT = 50,
    K_CONCURRENT_TRANSACTIONS = 51,
    K_TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53,
    K_SECURITY_DISABLED = 54,
    K_OPERATION_NOT_ATTEMPTED = 55,
    K_KAFKA_STORAGE_ERROR = 56,
    K_SASL_AUTHENTICATION_FAILED = 58,
    K_NON_EMPTY_GROUP = 68,
    K_GROUP_ID_NOT_FOUND = 69,
    K_FETCH_SESSION_ID_NOT_FOUND = 70,
    K_TOPIC_DELETION_DISABLED = 73,
    K_FENCED_LEADER_EPOCH = 74,
    K_UNKNOWN_LEADER_EPOCH = 75,
    K_UNSUPPORTED_COMPRESSION_TYPE = 76,
    K_MEMBER_ID_REQUIRED = 79,
    K_GROUP_MAX_SIZE_REACHED = 81,
    K_FENCED_INSTANCE_ID = 82,
    K_ELECTION_NOT_NEEDED = 84,
    K_GROUP_SUBSCRIBED_TO_TOPIC = 86,
    K_INVALID_RECORD = 87,
    K_UNSTABLE_OFFSET_COMMIT = 88,
    K_PRODUCER_FENCED = 90,
    K_RESOURCE_NOT_FOUND = 91,
    K_UNACCEPTABLE_CREDENTIAL = 93,
    K_UNKNOWN_TOPIC_ID = 100,
    K_TRANSACTIONAL_ID_NOT_FOUND = 105,
    K_FENCED_MEMBER_EPOCH = 110,
    K_UNRELEASED_INSTANCE_ID = 111,
    K_UNSUPPORTED_ASSIGNOR = 112,
    K_STALE_MEMBER_EPOCH = 113,
    K_INVALID_REGULAR_EXPRESSION = 128,
};

/* A listener. */
struct kafka_door {
    struct kafka *k;
    char *host; // as clients are told
    int port;
    int listens_on;
};

enum { KAFKA_PLAIN_DOOR, KAFKA_TLS_DOOR, KAFKA_DOORS };

/* Jobs that come one after the other. The queue is the home loop's. */
struct kafka_turns {
    struct kafka_turn *first, **last; // the first one is under way
};

/* Memory for records on their way to clients (blocks.c). */
struct kafka_blocks {
    struct mutex lock; // over the rest but the timer
    struct kafka_block *free;
    size_t count, free_n;
    size_t idle;         // free ones that were not needed since the timer fired
    bool ages;           // the timer runs, or will
    struct timer *timer; // on the home loop
};

struct kafka {
    struct os *os;
    struct net *net;
    struct log *log;
    struct offsets *offsets;
    struct auth *users;           // NULL: nobody has to log in
    struct auth *nobody;          // what ACLs without users take for users
    struct acls *acls;            // what they may do
    bool spoken[AUTH_MECHANISMS]; // mechanisms to log in with
    int64_t reauth_ms;            // a login's time; 0: without end
    struct kafka_door doors[KAFKA_DOORS];
    char *advertised; // host:port
    char *cluster_id;
    const char *const *held; // see kafka_options
    size_t held_count;
    bool auto_create;
    int32_t partitions;
    int16_t replication_max;
    int64_t initial_rebalance_ms;
    size_t group_max_members;
    int64_t consumer_session_ms;
    int32_t consumer_heartbeat_ms;
    int32_t transaction_max_ms;
    int64_t transactional_id_ms;
    int64_t offsets_retention_ms;
    struct loop *home;           // groups and their timer belong to it
    struct coord *coord;         // of classic groups
    struct consumers *consumers; // of those of KIP-848
    struct timer *group_timer, *sweep_timer;
    int64_t group_due_ms;       // what the timer is set to
    bool groups_closed;         // on the home loop
    struct kafka_turns changes; // of users and ACLs: each writes a file
    struct kafka_turns logins;  // passwords computed on: a stranger can ask for that
    struct kafka_txns *txns;    // transactions, on the home loop too
    struct group_desk desk;     // groups for consumers of this process
    struct kafka_blocks blocks;

    struct mutex lock; // over the rest
    struct cond idle;
    size_t busy;          // requests alive, and groups being stored
    int64_t append_bytes; // of produce requests that wait for the log
};

struct kafka_req;

/* One row of api.def. */
struct kafka_api {
    const char *name;
    int16_t key, told, first, last, flexible;
    const struct wire_msg *req, *res;
    void (*handler)(struct kafka_req *q, const void *in);
};

/* How far a connection has come in logging in. Its loop's; made and ended by the connection. */
struct kafka_login {
    enum {
        LOGIN_WANTS_HANDSHAKE,
        LOGIN_WANTS_TOKEN, // in SaslAuthenticate
        LOGIN_WANTS_RAW,   // the same without Kafka's headers, after SaslHandshake version 0
        LOGIN_DONE
    } state;
    enum auth_mechanism mechanism;
    bool in_scram;
    struct scram scram;
    char user[AUTH_NAME_MAX + 1]; // once LOGIN_DONE, and who must log in again
    int64_t ends_ms;              // of the session, by the monotonic clock; INT64_MAX: never
    int64_t again_ms;             // when it last began to log in anew; 0: not yet
};

struct kafka_req {
    struct kafka *k;
    const struct kafka_door *door;
    struct kafka_login
        *login; // of the connection; only for what the handler does before it returns. NULL: none
    struct loop *loop;
    const struct kafka_api *api;
    int16_t version;
    bool flexible;
    int32_t correlation;
    struct str client_id;
    const char *client_host; // "/127.0.0.1"
    const char *user;        // who has logged in; NULL: nobody
    struct arena arena;
    char *frame; // the request's bytes; what was read points into them
    size_t frame_n;
    struct conn_memory memory; // that they are in
    void *in;                  // the decoded body

    struct wire_out out; // the answer's frame
    bool silent;         // no answer is sent (acks=0)
    bool hang_up;        // close the connection instead of answering
    bool last;           // close it after the answer
    bool raw;            // a SASL token without Kafka's headers, answered alike
    struct kafka_denials
        *denials;       // what was taken out of the request because the user may not; NULL: nothing
    bool unseen;        // the answer may have what the user may not see
    const char *proven; // who the client is, once it has proven it in this request
    bool finished;      // done() was called
    void (*done)(struct kafka_req *q); // the owner's, on the loop
    /* Of a request that this process makes: takes the answer, on the thread that gives it, and ends the request (inside.c). */
    void (*inside)(struct kafka_req *q, const void *res);
    void *owner;
    struct kafka_req *next; // of the owner's queue

    void (*cancel)(struct kafka_req *q); // set while parked: the client is gone, answer soon
    void *parked;
};

/* ---- request.c ---- */

/*
 * A request from one frame, on the loop's thread. memory, which the frame is in, is the request's from now on; without any (p is NULL) the
 * frame is copied. peer is "address:port". NULL with e: the frame is nothing that can be answered, close the connection.
 * The owner then calls kafka_req_run(); done(q) is called once, perhaps from inside that; then kafka_req_free().
 */
struct kafka_req *kafka_req_new(struct kafka *k, struct str frame, struct conn_memory memory,
                                const char *peer, struct err *e);
/*
 * The request header, into q: key, version, correlation id, client id (a classic nullable string in all versions), and tags when the
 * version is flexible (KIP-482). ApiVersions is read as version 0 when its version is unknown, so that it can be answered.
 */
bool kafka_req_header(struct kafka_req *q, struct rd *r, struct err *e) MUST_CHECK;
/* From a SASL token that came without Kafka's headers. */
struct kafka_req *kafka_req_raw(struct kafka *k, struct str token, const char *peer);
void kafka_req_run(struct kafka_req *q, void (*done)(struct kafka_req *q), void *owner);
void kafka_req_free(struct kafka_req *q);

/* receive.c: for net_proto.memory of a client that may produce; and, of what that gave or anything else, the log's buffer or NULL. */
struct conn_memory kafka_receive(const struct kafka *k, struct str begun, size_t n);
struct log_buffer *kafka_received(const struct conn_memory *m);

/* Ends a request with its answer, from any thread; `res` is the API's k_..._res. */
void kafka_reply(struct kafka_req *q, const void *res);
/* Ends it without an answer. hang_up: the connection is closed. */
void kafka_reply_none(struct kafka_req *q, bool hang_up);

/* ---- api.c ---- */

const struct kafka_api *kafka_api(int16_t key); // NULL: not spoken
#define X(NAME, key, message, told, first, last, flexible, handler) \
    void handler(struct kafka_req *q, const void *in);
#include "kafka/api.def"
#undef X

/* The code for an error of the log. */
int16_t kafka_error_of(const struct err *e);
/* A topic by name or, from the versions that have ids, by id: K_NONE and *t, or why there is none. */
int16_t kafka_find_topic(struct kafka_req *q, bool by_id, struct str name, const struct log_uuid *id,
                         struct log_topic *t);
bool kafka_is_internal(struct str topic);  // a coordinator's: nobody else writes it or deletes it
bool kafka_topic_name_ok(struct str name); // Kafka's rules for names, before the disk is asked
/* Names in a request that may be there once only; they are borrowed. */
struct kafka_names {
    struct map seen;
    const void *twice;
};
void kafka_name(struct kafka_names *n, struct str name);
bool kafka_named_twice(const struct kafka_names *n, struct str name);
void kafka_names_fini(struct kafka_names *n);
/* K_NONE when a client may speak of this leader epoch (-1: it does not say). */
int16_t kafka_check_epoch(int32_t epoch);

/* ---- sasl.c ---- */

/* Whether a client that has not logged in may ask this. */
bool kafka_login_may(int16_t key);
void kafka_login_done(struct kafka *k, struct kafka_login *l, const char *user);
/* Whether it has logged in too long ago to ask anything but to log in anew (KIP-368). */
bool kafka_login_is_over(struct kafka *k, const struct kafka_login *l, int16_t key);
void kafka_login_fini(struct kafka_login *l);

/* ---- blocks.c ---- */

enum { KAFKA_BLOCK = 2 << 20 }; // MEM_HUGE
struct kafka_block;
/* KAFKA_BLOCK bytes with one reference; NULL: all are lent. From any thread, as the next three. */
struct kafka_block *kafka_block_take(struct kafka *k);
uint8_t *kafka_block_bytes(struct kafka_block *one);
struct kafka_block *kafka_block_ref(struct kafka_block *one);
void kafka_block_unref(void *block); // NULL does nothing
void kafka_blocks_init(struct kafka *k);
void kafka_blocks_stop(struct kafka *k); // on the home loop, when no request is left
void kafka_blocks_fini(struct kafka *k);

/* ---- turns.c ---- */

struct kafka_turn {
    struct kafka_req *q;
    void (*run)(struct kafka_turn *t);  // a job: blocks
    void (*done)(struct kafka_turn *t); // then, on the request's loop: answers
    void *arg;                          // theirs
    struct kafka_turns *queue;
    struct kafka_turn *next;
};
/* In the order called. */
void kafka_take_turn(struct kafka_turns *queue, struct kafka_turn *t);

/* ---- groups.c ---- */

void kafka_groups_start(struct kafka *k); // loads what was stored
void kafka_groups_stop(struct kafka *k);  // answers all who wait; waits until requests and stores have ended
/* Whether anything is stored of a group: positions, or a generation. */
bool kafka_group_is_known(struct kafka *k, struct str group);
/* fn(q) on the loop that groups belong to. */
void kafka_go_home(struct kafka_req *q, void (*fn)(void *q));
void kafka_groups_arm(struct kafka *k); // on the home loop, after what may have changed when something is due
int64_t kafka_now_ms(void *kafka);
void kafka_random_id(void *kafka, char *out); // COORD_MEMBER_ID bytes: a UUID
/*
 * What a coordinator has put on its way to the log, of a group at a version; kafka_store_done() is the offsets_done_fn of it, and
 * stored() is called on the home loop.
 */
typedef void kafka_stored_fn(struct kafka *k, struct str group, uint64_t version, bool ok);
struct kafka_storing *kafka_storing(struct kafka *k, struct str group, uint64_t version,
                                    kafka_stored_fn *stored);
void kafka_store_done(void *storing, bool ok, const struct err *e);

/* ---- consumerapi.c ---- */

void kafka_consumers_start(struct kafka *k); // loads what was stored
void kafka_consumers_tidy(struct kafka *k);
/* As coord_may_commit() and coord_reads(), of a group of either kind. */
int16_t kafka_may_commit(struct kafka *k, const struct coord_commit *m, bool knows_epochs);
bool kafka_group_reads(struct kafka *k, struct str group, struct str topic, struct coord_reads *out);

/* ---- inside.c ---- */

void kafka_desk_init(struct kafka *k);
/* ---- txns.c ---- */

#define TXN_TOPIC "__transaction_state"

bool kafka_txns_start(struct kafka *k, struct err *e) MUST_CHECK; // loads what was stored
void kafka_txns_stop(struct kafka *k);                            // before kafka_groups_stop()
void kafka_txns_free(struct kafka *k);                            // after it

/* ---- commits.c ---- */

/*
 * Positions that a request commits, outside a transaction or in one, and the answer to each. First the answer's topics, each
 * with its partitions in order; then `at` goes to the log with kafka_committed() as the offsets_done_fn, which ends the request
 * with `res`.
 */
struct kafka_commit {
    struct kafka_req *q;
    const void *res; // the API's answer, whose topics these are
    struct k_commit_res_topic *topics;
    int32_t topics_n;
    struct offset_at *at; // what may be committed ...
    struct k_commit_res_partition **told;
    size_t count;
};
struct kafka_commit *kafka_commit_new(struct kafka_req *q, int32_t topics, size_t partitions);
void kafka_commit_topic(struct kafka_commit *c, struct str name, int32_t partitions);
/* Of the last topic: refused with error, or for what the position is, or among those to be committed. */
void kafka_commit_add(struct kafka_commit *c, const struct offset_at *at, int16_t error);
void kafka_committed(void *commit, bool ok, const struct err *e);

/* For what is under way without a request: kafka_groups_stop() waits for it. */
void kafka_busy(struct kafka *k, int by);
