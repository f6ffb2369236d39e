/*
 * topic: `tarn topic ...`, topics, their records and those who read them, from the command line.
 *
 * It is a Kafka client (librdkafka) like any other, so with --bootstrap it works on every Kafka cluster; without, it asks the tarn of the
 * project folder where its kafka and registry roles are. An action is a row of topic.c and a function that takes its own
 * options out of the words, calls topic_connect(), and makes its answer as JSON, which is printed with --json and else as
 * lines by the action's own words.
 *
 * One thread; all of it ends with the process.
 */
#pragma once

#include "base/buf.h"
#include "cli/cli.h"

#include <librdkafka/rdkafka.h>

struct topic_values;

enum { TOPIC_WAIT_MS = 15000, TOPIC_OPTIONS_MAX = 60, TOPIC_PROPERTIES = 64 };

struct topic_run {
    struct words *w; // what no option has taken yet
    struct arena arena;
    bool as_json;
    const char *project, *bootstrap;
    const char *registry;                         // URL; NULL: there is none
    const char *properties[2 * TOPIC_PROPERTIES]; // name, value, ... of the client (-F, then -X)
    size_t property_count;
    rd_kafka_t *client;
    rd_kafka_queue_t *answers;
    const struct rd_kafka_metadata *topics; // all there are
    struct topic_values *values;
    const char *unreached; // why no broker could be reached; NULL: no reason was told
    int unreached_code;    // RD_KAFKA_RESP_ERR_...
    /* Set before topic_connect() by who produces: told of each record; its last argument is the topic_run. */
    void (*delivered)(rd_kafka_t *client, const rd_kafka_message_t *m, void *run);
    void *delivered_arg;
};

/* ---- words ---- */

/* The value of an option that may be given once; *out stays as it was when it is not there. */
bool topic_option(struct topic_run *t, const char *name, const char **out, struct err *e) MUST_CHECK;
/* The same for a whole number of at least `least`. */
bool topic_number(struct topic_run *t, const char *name, int64_t least, int64_t *out,
                  struct err *e) MUST_CHECK;
/* What is left must be that many words. */
bool topic_words(struct topic_run *t, size_t least, size_t most, const char *what, struct err *e) MUST_CHECK;
/*
 * A moment as milliseconds since 1970: 2026-11-21, 2026-11-21T08:30, 2026-11-21T08:30:00.250, with Z or an offset behind (without:
 * UTC), or an ISO 8601 duration, which is that long ago: PT90M, P1DT12H.
 */
bool topic_moment(const char *text, int64_t now_ms, int64_t *out);

/* ---- the cluster ---- */

/* Makes the client, with more properties (name, value, ..., NULL), and asks for all topics. */
bool topic_connect(struct topic_run *t, rd_kafka_type_t type, const char *const *more,
                   struct err *e) MUST_CHECK;
/* The topic, or ERR_NOT_FOUND with those there are. */
const struct rd_kafka_metadata_topic *topic_find(struct topic_run *t, const char *name, struct err *e);
/* How far long work is, for who waits at a terminal: a line of stderr after a second, anew every 200 ms. Zeroed: not begun. */
struct topic_progress {
    int64_t due_ms;
    bool shown;
};
void topic_progress(struct topic_progress *p, const char *fmt, ...) PRINTF(2, 3);
void topic_progress_clear(struct topic_progress *p); // before something else is printed
/* What Kafka answered, as an error: false. */
bool topic_refused(rd_kafka_resp_err_t code, const char *text, const char *what, struct err *e);
/* The answer to an admin request of this process, to be destroyed; NULL with e. */
rd_kafka_event_t *topic_answer(struct topic_run *t, const char *what, struct err *e);
/* First offset and end of a partition. */
bool topic_ends(struct topic_run *t, const char *topic, int32_t partition, int64_t *start, int64_t *end,
                struct err *e) MUST_CHECK;
/* Partitions a spec names, "orders" or "orders:0,3", added to the list with offset -1001. */
bool topic_add_spec(struct topic_run *t, const char *spec, rd_kafka_topic_partition_list_t *list,
                    struct err *e) MUST_CHECK;
/* "3,0" as partitions of a topic. */
bool topic_add_partitions(const struct rd_kafka_metadata_topic *topic, const char *numbers,
                          rd_kafka_topic_partition_list_t *list, struct err *e) MUST_CHECK;

/* ---- values (topic_value.c) ---- */

enum topic_kind { TOPIC_NOTHING, TOPIC_JSON, TOPIC_TEXT, TOPIC_BYTES };

struct topic_value {
    enum topic_kind kind;
    struct str text; // as people read it; of bytes their base64
    int schema_id;   // 0: none
};

/* A key or a value as it can be shown: Avro and JSON Schema by the registry, else text or bytes. Valid until the next call. */
struct topic_value topic_show(struct topic_run *t, struct str bytes);
void topic_values_end(struct topic_run *t); // forgets the schemas and the last value
/* Encodes JSON with a schema, by its id or a subject's latest version, as serializers do. */
struct topic_encoder;
bool topic_encoder_new(struct topic_run *t, int64_t id, const char *subject, struct topic_encoder **out,
                       struct err *e) MUST_CHECK;
bool topic_encode(struct topic_encoder *c, struct str json, struct buf *out, struct err *e) MUST_CHECK;

/* ---- printing ---- */

/* Prints the JSON and gives it up. */
void topic_print(json_t *root);
const char *topic_json_text(const json_t *o, const char *key); // "" when absent or null
int64_t topic_json_number(const json_t *o, const char *key);   // -1 when absent or null

/* ---- actions ---- */

bool topic_list(struct topic_run *t, struct err *e);
bool topic_create(struct topic_run *t, struct err *e);
bool topic_describe(struct topic_run *t, struct err *e);
bool topic_alter(struct topic_run *t, struct err *e);
bool topic_delete(struct topic_run *t, struct err *e);
bool topic_produce(struct topic_run *t, struct err *e);
bool topic_consume(struct topic_run *t, struct err *e);
bool topic_groups(struct topic_run *t, struct err *e);
bool topic_reset_offsets(struct topic_run *t, struct err *e);
/* {"group","state","assignor","members":[...]} of one group; NULL with e. */
json_t *topic_group(struct topic_run *t, const char *group, struct err *e);
/* What a group has committed, yours to destroy; NULL with e. */
rd_kafka_topic_partition_list_t *topic_committed(struct topic_run *t, const char *group, struct err *e);
