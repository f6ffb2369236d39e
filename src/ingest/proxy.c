#include "ingest/consumers.h"

#include "auth/auth.h"
#include "base/limits.h"
#include "base/mem.h"
#include "group/offsets.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- answering ---- */

#define V2_TYPE    "application/vnd.kafka.v2+json"
#define PLAIN_TYPE "application/json"

struct buf trip_buf(void)
{
    return buf_make(SIZE_MAX / 4); // bounded by what the log holds
}

bool trip_accepts(struct trip *c, const char *type)
{
    struct str accept = http_header(c->q, "Accept"), one;

    if (!accept.p || str_trim(accept).n == 0)
        return true;
    while (str_cut(&accept, ',', &one)) {
        struct str range;

        (void)str_cut(&one, ';', &range);
        range = str_trim(range);
        if (str_eq_nocase(range, str_of(type)) || str_is(range, "*/*") || str_is(range, "application/*"))
            return true;
    }
    return false;
}

static const char *answer_type(struct trip *c)
{
    if (c->v3 || (!trip_accepts(c, V2_TYPE) && trip_accepts(c, PLAIN_TYPE)))
        return PLAIN_TYPE;
    return V2_TYPE;
}

void trip_json(struct trip *c, int status, struct buf *b)
{
    http_answer_buf(c->q, status, answer_type(c), b);
    buf_fini(b);
}

static void error_text(struct trip *c, int code, struct str message)
{
    struct buf b = trip_buf();

    buf_fmt(&b, "{\"error_code\":%d,\"message\":", code);
    buf_json(&b, message);
    buf_u8(&b, '}');
    trip_json(c, code > 1000 ? code / 100 : code, &b);
}

void trip_error(struct trip *c, int code, const char *fmt, ...)
{
    char text[500];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    error_text(c, code, str_of(text));
}

void trip_err(struct trip *c, int code, const struct err *e)
{
    error_text(c, code, str_of(e->msg));
}

const char *trip_base(struct trip *c)
{
    struct str host = http_header(c->q, "Host");

    return arena_fmt(c->a, "http://%.*s", STR_ARG(host.p ? host : STR("localhost")));
}

void trip_wait(struct trip *c)
{
    mutex_lock(&c->p->lock);
    c->p->waiting++;
    mutex_unlock(&c->p->lock);
    http_defer(c->q);
}

static void go_on(struct http_req *q)
{
    struct trip *c = q->user;
    struct proxy *p = c->p;

    c->next(c);
    mutex_lock(&p->lock);
    if (--p->waiting == 0)
        cond_broadcast(&p->idle);
    mutex_unlock(&p->lock);
}

void trip_go_on(struct trip *c, trip_fn *fn)
{
    c->next = fn;
    http_resume(c->q, go_on);
}

/* ---- reading ---- */

static bool good_type(struct trip *c)
{
    static const char *const types[] = {V2_TYPE, "application/vnd.kafka+json", PLAIN_TYPE};
    struct str type = http_content_type(c->q);

    return !type.p || http_type_in(type, types, ARRAY_LEN(types)) || format_of_type(type) != FORMAT_NONE;
}

bool trip_body(struct trip *c, struct js *out)
{
    struct err e;

    if (!good_type(c))
        trip_error(c, 415, "HTTP 415 Unsupported Media Type");
    else if (!js_whole(c->q->body, out, &e))
        trip_err(c, CODE_BAD_REQUEST, &e);
    else if (out->kind != JS_OBJECT)
        trip_error(c, CODE_BAD_REQUEST, "the body is not a JSON object");
    else
        return true;
    return false;
}

static void no_topic(struct trip *c)
{
    if (c->v3)
        trip_error(c, CODE_NO_TOPIC_V3, "This server does not host this topic-partition.");
    else
        trip_error(c, CODE_NO_TOPIC, "Topic not found.");
}

static struct str topic_name(const struct trip *c)
{
    return c->v3 ? c->name[1] : c->name[0];
}

bool trip_topic(struct trip *c, int operation, struct log_topic *out)
{
    if (!trip_allow(c, INGEST_TOPIC, topic_name(c), operation))
        return false;
    if (log_find_topic(c->p->log, topic_name(c), c->a, out))
        return true;
    no_topic(c);
    return false;
}

static bool make_topic(struct trip *c, struct log_topic *out)
{
    struct str name = topic_name(c);
    struct log_settings s;
    struct err e;

    if (!c->p->auto_create) {
        no_topic(c);
        return false;
    }
    if (!trip_may(c, INGEST_CLUSTER, STR("kafka-cluster"), INGEST_CREATE) &&
        !trip_allow(c, INGEST_TOPIC, name, INGEST_CREATE))
        return false;
    log_settings_default(c->p->log, &s);
    if (log_ensure_topic(c->p->log, name, c->p->partitions, &s, &e) &&
        log_find_topic(c->p->log, name, c->a, out))
        return true;
    if (e.kind == ERR_INVALID)
        no_topic(c);
    else
        trip_err(c, e.kind == ERR_FULL || e.kind == ERR_IO ? CODE_RETRY : CODE_KAFKA, &e);
    return false;
}

bool trip_topic_to_write(struct trip *c, struct log_topic *out)
{
    struct str name = topic_name(c);

    if (!trip_allow(c, INGEST_TOPIC, name, INGEST_WRITE))
        return false;
    if (!proxy_is_internal(name))
        return log_find_topic(c->p->log, name, c->a, out) || make_topic(c, out);
    trip_error(c, CODE_DENIED, "only the coordinators write %.*s", STR_ARG(name));
    return false;
}

bool trip_partition(struct trip *c, const struct log_topic *t, struct str text, int32_t *out)
{
    int64_t n;

    if (!str_i64(text, &n)) {
        trip_error(c, 404, "HTTP 404 Not Found");
        return false;
    }
    if (n < 0 || n >= t->partitions) {
        trip_error(c, CODE_NO_PARTITION, "Partition not found.");
        return false;
    }
    *out = (int32_t)n;
    return true;
}

bool proxy_is_internal(struct str topic)
{
    return str_is(topic, OFFSETS_TOPIC) || str_is(topic, "__transaction_state");
}

/* ---- who asks ---- */

/* "127.0.0.1:4711" and "[::1]:4711" without the port. */
struct str trip_host(const struct trip *c)
{
    const char *port = strrchr(c->q->peer, ':');
    struct str host = str_from(c->q->peer, port ? (size_t)(port - c->q->peer) : strlen(c->q->peer));

    return host.n >= 2 && host.p[0] == '[' ? str_from(host.p + 1, host.n - 2) : host;
}

bool trip_may(struct trip *c, int thing, struct str name, int operation)
{
    struct ingest_question ask = {.user = c->user, .host = trip_host(c), .name = name};

    ask.thing = thing;
    ask.operation = operation;
    return !c->p->users || !c->p->may || c->p->may(c->p->may_arg, &ask);
}

bool trip_allow(struct trip *c, int thing, struct str name, int operation)
{
    if (trip_may(c, thing, name, operation))
        return true;
    trip_error(c, CODE_DENIED, "Not authorized to access %s: [%.*s]",
               thing == INGEST_TOPIC   ? "topics"
               : thing == INGEST_GROUP ? "group"
                                       : "cluster",
               STR_ARG(name));
    return false;
}

/* Checking a password takes milliseconds; requests are jobs. */
static bool is_known(struct trip *c)
{
    struct str header = http_header(c->q, "Authorization"), scheme, plain, name;

    if (!str_cut(&header, ' ', &scheme) || !str_eq_nocase(scheme, STR("Basic")) ||
        !value_base64(c->a, str_trim(header), &plain) || str_find(plain, ':') < 0)
        return false;
    (void)str_cut(&plain, ':', &name);
    c->user = name;
    return auth_check_password(c->p->users, name, plain);
}

static bool may_ask(struct trip *c)
{
    if (!c->p->users || is_known(c))
        return true;
    http_set(c->q, "WWW-Authenticate", STR("Basic realm=\"tarn\""));
    trip_error(c, 401, "a name and a password of the section users are needed (HTTP Basic authentication)");
    return false;
}

/* ---- paths ---- */

static void root(struct trip *c)
{
    struct buf b = trip_buf();

    buf_str(&b, STR("{}"));
    trip_json(c, 200, &b);
}

#define ROW(verb, where, handler, text)                    \
    {                                                      \
        {.path = {verb, where}, .sentence = text}, handler \
    }
#define ROW_V2(verb, where, handler, text)                                    \
    {                                                                         \
        {.path = {verb, where}, .sentence = text, .answer = V2_TYPE}, handler \
    }
#define ROW_BODY(verb, where, handler, kind, body, text)                                  \
    {                                                                                     \
        {.path = {verb, where}, .sentence = text, .type = kind, .example = body}, handler \
    }
#define INSTANCE "/consumers/{group}/instances/{instance}"
#define PARTS    "{\"partitions\":[{\"topic\":\"orders\",\"partition\":0}]}"
#define OFFSETS  "{\"offsets\":[{\"topic\":\"orders\",\"partition\":0,\"offset\":0}]}"
#define CLUSTER  "/v3/clusters/{cluster}"
#define TOPIC    CLUSTER "/topics/{topic}"

static const struct route {
    struct openapi_op op;
    trip_fn *fn;
} routes[] = {
    ROW_V2("GET", "/", root, "Is the proxy there"),
    ROW_V2("GET", "/brokers", proxy_brokers, "Ids of the brokers"),
    ROW_V2("GET", "/topics", proxy_topics, "Names of all topics"),
    ROW_V2("GET", "/topics/{topic}", proxy_topic, "Settings and partitions of a topic"),
    ROW_BODY("POST", "/topics/{topic}", proxy_produce, "application/vnd.kafka.json.v2+json",
             "{\"records\":[{\"key\":\"a\",\"value\":{\"n\":1}}]}",
             "Append records: JSON, base64 (kafka.binary) or Avro (kafka.avro) by the content type"),
    ROW_V2("GET", "/topics/{topic}/partitions", proxy_partitions, "Partitions of a topic"),
    ROW_V2("GET", "/topics/{topic}/partitions/{partition}", proxy_partition, "One partition"),
    ROW_BODY("POST", "/topics/{topic}/partitions/{partition}", proxy_produce,
             "application/vnd.kafka.json.v2+json", "{\"records\":[{\"value\":{\"n\":1}}]}",
             "Append records to one partition"),
    ROW_V2("GET", "/topics/{topic}/partitions/{partition}/offsets", proxy_offsets,
           "First offset of a partition, and the next one to be given"),
    ROW_BODY("POST", "/consumers/{group}", proxy_consumer_create, V2_TYPE,
             "{\"name\":\"one\",\"format\":\"json\",\"auto.offset.reset\":\"earliest\"}",
             "Make a consumer instance; it goes after five minutes without a request"),
    ROW("DELETE", INSTANCE, proxy_consumer_delete, "End a consumer instance"),
    ROW_BODY("POST", INSTANCE "/subscription", proxy_subscribe, V2_TYPE, "{\"topics\":[\"orders\"]}",
             "Read topics as a member of the group"),
    ROW_V2("GET", INSTANCE "/subscription", proxy_subscription, "Topics it reads"),
    ROW("DELETE", INSTANCE "/subscription", proxy_unsubscribe, "Leave the group"),
    ROW_BODY("POST", INSTANCE "/assignments", proxy_assign, V2_TYPE, PARTS,
             "Read partitions beside the group"),
    ROW_V2("GET", INSTANCE "/assignments", proxy_assignment, "Partitions it reads"),
    {{.path = {"GET", INSTANCE "/records"},
      .sentence = "The next records; waits when there are none",
      .query = {{"timeout", "integer", "1000", "most milliseconds to wait, up to 30000"},
                {"max_bytes", "integer", "1048576", "of keys and values"}},
      .answer = "application/vnd.kafka.json.v2+json"},
     proxy_records},
    ROW_BODY("POST", INSTANCE "/offsets", proxy_commit, V2_TYPE, OFFSETS,
             "Commit that these offsets were read; without a body all that was"),
    ROW_V2("GET", INSTANCE "/offsets", proxy_committed, "What is committed, for the partitions in the body"),
    ROW_BODY("POST", INSTANCE "/positions", proxy_seek, V2_TYPE, OFFSETS,
             "Read from these offsets, or from timestamps"),
    ROW_BODY("POST", INSTANCE "/positions/beginning", proxy_seek_beginning, V2_TYPE, PARTS,
             "Read from the beginning"),
    ROW_BODY("POST", INSTANCE "/positions/end", proxy_seek_end, V2_TYPE, PARTS, "Read from the end"),
    ROW("GET", "/v3/clusters", v3_clusters, "The cluster"),
    ROW("GET", CLUSTER, v3_cluster, "The cluster by its id"),
    ROW("GET", CLUSTER "/brokers", v3_brokers, "Its brokers"),
    ROW("GET", CLUSTER "/brokers/{broker}", v3_broker, "One broker"),
    ROW("GET", CLUSTER "/topics", v3_topics, "Its topics"),
    ROW_BODY("POST", CLUSTER "/topics", v3_create, PLAIN_TYPE,
             "{\"topic_name\":\"orders\",\"partitions_count\":3,\"configs\":[{\"name\":\"retention.ms\","
             "\"value\":\"86400000\"}]}",
             "Create a topic"),
    ROW("GET", TOPIC, v3_topic, "One topic"),
    ROW("DELETE", TOPIC, v3_delete, "Delete a topic"),
    ROW("GET", TOPIC "/configs", v3_configs, "Settings of a topic"),
    ROW("GET", TOPIC "/partitions", v3_partitions, "Partitions of a topic"),
    ROW("GET", TOPIC "/partitions/{partition}", v3_partition, "One partition"),
    ROW_BODY(
        "POST", TOPIC "/records", v3_records, PLAIN_TYPE,
        "{\"key\":{\"type\":\"STRING\",\"data\":\"a\"},\"value\":{\"type\":\"JSON\",\"data\":{\"n\":1}}}",
        "Append records, JSON objects one behind the other"),
};

static const struct http_paths paths = HTTP_PATHS(routes, op.path);

const struct openapi_op *proxy_operation(size_t i)
{
    return i < ARRAY_LEN(routes) ? &routes[i].op : NULL;
}

static bool is_our_cluster(struct trip *c)
{
    if (!c->v3 || !c->name[0].p || str_is(c->name[0], log_cluster_id(c->p->log)))
        return true;
    trip_error(c, 404, "Cluster %.*s cannot be found.", STR_ARG(c->name[0]));
    return false;
}

static struct str first_segment(struct str path)
{
    struct str segment = STR("");

    while (segment.n == 0 && str_cut(&path, '/', &segment))
        ;
    return segment;
}

static void run(struct http_req *q)
{
    struct trip *c = ARENA_NEW(q->arena, struct trip);
    int i;

    *c = (struct trip){.p = q->user, .q = q, .a = q->arena};
    q->user = c;
    c->v3 = str_is(first_segment(q->path), "v3");
    if (!may_ask(c))
        return;
    i = http_find(&paths, q, c->name);
    if (i < 0)
        trip_error(c, -i, i == -405 ? "HTTP 405 Method Not Allowed" : "HTTP 404 Not Found");
    else if (is_our_cluster(c))
        routes[i].fn(c);
}

const struct http_route proxy_route = {.run = run};

bool proxy_owns(struct str path)
{
    static const char *const first[] = {"topics", "brokers", "consumers", "v3"};
    struct str segment = first_segment(path);

    if (segment.n == 0)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(first); i++)
        if (str_is(segment, first[i]))
            return true;
    return false;
}

/* ---- life ---- */

struct proxy *proxy_new(const struct ingest_options *o)
{
    struct proxy *p = MEM_NEW(struct proxy);

    p->os = o->os;
    p->net = o->net;
    p->log = o->log;
    p->offsets = o->offsets;
    p->schemas = o->schemas;
    p->users = o->users;
    p->may = o->may;
    p->may_arg = o->may_arg;
    p->desk = o->desk;
    p->idle_ms = o->consumer_idle_ms > 0 ? o->consumer_idle_ms : CONSUMER_IDLE_MS;
    p->home = net_loop(o->net, 0);
    p->auto_create = o->auto_create;
    p->partitions = o->partitions > 0 ? o->partitions : 1;
    p->replication_max = o->replication_max > 0 ? o->replication_max : 1;
    p->kafka_host = o->kafka_host ? o->kafka_host : "";
    p->kafka_port = o->kafka_port;
    mutex_init(&p->lock);
    cond_init(&p->idle);
    return p;
}

void proxy_stop(struct proxy *p)
{
    proxy_consumers_stop(p);
}

void proxy_free(struct proxy *p)
{
    if (!p)
        return;
    proxy_stop(p);
    proxy_consumers_free(p);
    cond_fini(&p->idle);
    mutex_fini(&p->lock);
    mem_free(p);
}
