/* tarn topic produce: a record for each line of stdin. */
#include "cli/topic.h"

#include "base/limits.h"
#include "base/mem.h"
#include "os/os.h"

#include <stdio.h>

enum { FLUSH_MS = 60000, HEADERS_MAX = 32 };

struct produce {
    struct topic_run *t;
    const char *topic, *separator;
    int64_t partition; // -1: by the key
    bool as_json, empty_is_null;
    const char *headers[HEADERS_MAX];
    size_t header_count;
    struct topic_encoder *encoder; // NULL: values as they are
    int64_t line, sent, acked;
    struct topic_progress progress;
    struct err failed; // the first record that was refused
};

/* What Kafka's codes alone leave in the dark. */
static bool refused(const struct produce *p, rd_kafka_resp_err_t code, const char *text, struct err *e)
{
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        return err_set(e, ERR_LIMIT, "%s: a record is larger than the topic's max.message.bytes allows",
                       p->topic);
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
        return err_set(e, ERR_NOT_FOUND,
                       "there is no topic %s, and Kafka makes none by itself there: tarn topic create does",
                       p->topic);
    if (code == RD_KAFKA_RESP_ERR_INVALID_RECORD)
        return err_set(e, ERR_INVALID, "%s: %s (with cleanup.policy=compact each record needs a key)",
                       p->topic, rd_kafka_err2str(code));
    return topic_refused(code, text, p->topic, e);
}

/* Records that are thrown away because the client has come to its end have the reason of that. */
static void delivered(rd_kafka_t *client, const rd_kafka_message_t *m, void *run)
{
    struct produce *p = ((struct topic_run *)run)->delivered_arg;
    rd_kafka_resp_err_t fatal;
    char why[200] = "";

    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        p->acked++;
    } else if (p->failed.kind == ERR_NONE) {
        fatal = rd_kafka_fatal_error(client, why, sizeof why);
        (void)refused(p, fatal != RD_KAFKA_RESP_ERR_NO_ERROR ? fatal : m->err, why, &p->failed);
    }
}

/* ---- one record ---- */

struct record {
    struct str key, value; // p NULL: null
    int64_t partition;
    const json_t *headers; // an object, or NULL
};

static rd_kafka_headers_t *headers_of(const struct produce *p, const struct record *r)
{
    rd_kafka_headers_t *out = rd_kafka_headers_new(HEADERS_MAX);
    json_t *of_record = json_deep_copy(r->headers);

    for (size_t i = 0; i < p->header_count; i++) {
        const char *is = strchr(p->headers[i], '=');

        (void)rd_kafka_header_add(out, p->headers[i], is - p->headers[i], is + 1, -1);
    }
    for (void *it = json_object_iter(of_record); it; it = json_object_iter_next(of_record, it)) {
        const json_t *v = json_object_iter_value(it);

        (void)rd_kafka_header_add(out, json_object_iter_key(it), -1, json_string_value(v),
                                  json_is_string(v) ? (ssize_t)json_string_length(v) : 0);
    }
    json_decref(of_record);
    return out;
}

static bool send_record(struct produce *p, const struct record *r, struct err *e)
{
    rd_kafka_t *client = p->t->client;
    int32_t partition = r->partition >= 0 ? (int32_t)r->partition : RD_KAFKA_PARTITION_UA;
    rd_kafka_headers_t *headers = headers_of(p, r);
    rd_kafka_resp_err_t code;
    const rd_kafka_vu_t message[] = {
        {RD_KAFKA_VTYPE_TOPIC, {.cstr = p->topic}},
        {RD_KAFKA_VTYPE_PARTITION, {.i32 = partition}},
        {RD_KAFKA_VTYPE_KEY, {.mem = {(void *)(uintptr_t)r->key.p, r->key.n}}},
        {RD_KAFKA_VTYPE_VALUE, {.mem = {(void *)(uintptr_t)r->value.p, r->value.n}}},
        {RD_KAFKA_VTYPE_HEADERS, {.headers = headers}},
        {RD_KAFKA_VTYPE_MSGFLAGS, {.i = RD_KAFKA_MSG_F_COPY}},
    };

    for (;;) {
        rd_kafka_error_t *refused = rd_kafka_produceva(client, message, sizeof message / sizeof *message);

        code = rd_kafka_error_code(refused);
        rd_kafka_error_destroy(refused);
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            break;
        (void)rd_kafka_poll(client, 100);
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_headers_destroy(headers);
        return refused(p, code, NULL, e);
    }
    p->sent++;
    (void)rd_kafka_poll(client, 0);
    return true;
}

static bool encode_and_send(struct produce *p, struct record *r, struct err *e)
{
    struct buf avro = buf_make(LIMIT_BATCH);
    bool ok = true;

    if (p->encoder && r->value.p) {
        ok = topic_encode(p->encoder, r->value, &avro, e);
        r->value = buf_view(&avro);
    }
    ok = ok && send_record(p, r, e);
    buf_fini(&avro);
    return ok;
}

/* ---- lines ---- */

static bool send_line(struct produce *p, struct str line, struct err *e)
{
    struct record r = {.key = STR_NULL, .value = line, .partition = p->partition};
    size_t n = p->separator ? strlen(p->separator) : 0;

    for (size_t i = 0; n > 0 && i + n <= line.n; i++) {
        if (memcmp(line.p + i, p->separator, n) == 0) {
            r.key = str_from(line.p, i);
            r.value = str_from(line.p + i + n, line.n - i - n);
            break;
        }
    }
    if (n > 0 && !r.key.p)
        return err_set(e, ERR_INVALID, "there is no key separator '%s' in it", p->separator);
    if (r.value.n == 0 && p->empty_is_null)
        r.value = STR_NULL;
    return encode_and_send(p, &r, e);
}

/* A key or value of a line of JSON: text as it is, null as null, {"base64":...} stays JSON; all else as its JSON text. */
static struct str part_of(struct arena *a, const json_t *v, bool as_json)
{
    size_t n;
    char *text;

    if (!v || json_is_null(v))
        return STR_NULL;
    if (json_is_string(v) && !as_json)
        return str_from(json_string_value(v), json_string_length(v));
    n = json_dumpb(v, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
    text = arena_alloc(a, n);
    (void)json_dumpb(v, text, n, JSON_COMPACT | JSON_ENCODE_ANY);
    return str_from(text, n);
}

/* A slip in a name would else send a null, which deletes on a compacted topic. */
static bool check_record(json_t *o, struct err *e)
{
    static const char *const known[] = {"key",    "value", "headers",  "partition",
                                        "offset", "time",  "schema_id"};
    json_t *headers = json_object_get(o, "headers"), *v;
    const char *name;

    json_object_foreach(o, name, v)
    {
        size_t i = 0;

        while (i < ARRAY_LEN(known) && strcmp(name, known[i]) != 0)
            i++;
        if (i == ARRAY_LEN(known))
            return err_set(e, ERR_INVALID, "a record has key, value and headers, not %s", name);
    }
    if (headers && !json_is_object(headers) && !json_is_null(headers))
        return err_set(e, ERR_INVALID, "headers are an object, as in {\"source\":\"shop\"}");
    json_object_foreach(headers, name, v)
    {
        if (!json_is_string(v) && !json_is_null(v))
            return err_set(e, ERR_INVALID, "header %s is neither a string nor null", name);
    }
    return true;
}

/* {"key":...,"value":...,"headers":{...}} as tarn topic consume --json prints it; where and when the record was before is passed over. */
static bool send_json(struct produce *p, struct str line, struct err *e)
{
    json_error_t why;
    json_t *o = json_loadb(line.p, line.n, 0, &why);
    struct arena a = {0};
    struct record r = {.partition = p->partition};
    bool ok = json_is_object(o) ||
              err_set(e, ERR_INVALID, "not a JSON object: %s", o ? "it is another value" : why.text);

    ok = ok && check_record(o, e);
    if (ok) {
        r.key = part_of(&a, json_object_get(o, "key"), false);
        r.value = part_of(&a, json_object_get(o, "value"), p->encoder != NULL);
        r.headers = json_object_get(o, "headers");
        ok = encode_and_send(p, &r, e);
    }
    json_decref(o);
    arena_fini(&a);
    return ok;
}

/* The next line of stdin without its end; false at the end. */
static bool next_line(struct buf *line)
{
    int c;

    buf_reset(line);
    while ((c = getc(stdin)) != EOF && c != '\n')
        buf_u8(line, (uint8_t)c);
    return c != EOF || line->n > 0;
}

static void show_progress(struct produce *p)
{
    topic_progress(&p->progress, "%lld records acknowledged of %lld", (long long)p->acked,
                   (long long)p->sent);
}

static bool send_all(struct produce *p, struct err *e)
{
    struct buf line = buf_make(LIMIT_BATCH);
    bool ok = true;

    while (ok && p->failed.kind == ERR_NONE && next_line(&line)) {
        if (++p->line % 1000 == 0)
            show_progress(p);
        if (!buf_ok(&line))
            ok = err_set(e, ERR_LIMIT, "it is over %zu bytes", line.max);
        else
            ok = p->as_json ? send_json(p, buf_view(&line), e) : send_line(p, buf_view(&line), e);
    }
    buf_fini(&line);
    if (!ok)
        (void)err_wrap(e, "line %lld", (long long)p->line);
    return ok;
}

/* ---- the action ---- */

static bool read_words(struct produce *p, const char **subject, int64_t *schema, struct err *e)
{
    const char *input = "lines";

    if (!topic_option(p->t, "--key-separator", &p->separator, e) ||
        !topic_number(p->t, "--partition", 0, &p->partition, e) ||
        !topic_option(p->t, "--subject", subject, e) || !topic_number(p->t, "--schema-id", 1, schema, e) ||
        !topic_option(p->t, "--input", &input, e))
        return false;
    if (!cli_values(p->t->w, "--header", p->headers, HEADERS_MAX, &p->header_count))
        return err_set(e, ERR_BAD_INPUT, "--header wants NAME=VALUE");
    for (size_t i = 0; i < p->header_count; i++)
        if (!strchr(p->headers[i], '='))
            return err_set(e, ERR_BAD_INPUT, "--header wants NAME=VALUE, not %s", p->headers[i]);
    p->empty_is_null = cli_flag(p->t->w, "--empty-is-null");
    p->as_json = strcmp(input, "json") == 0;
    if (!p->as_json && strcmp(input, "lines") != 0)
        return err_set(e, ERR_BAD_INPUT, "--input is lines or json, not %s", input);
    if (p->separator && (!*p->separator || p->as_json))
        return err_set(e, ERR_BAD_INPUT, "--key-separator is a text between key and value of --input lines");
    if (!topic_words(p->t, 1, 1, "produce wants a topic", e))
        return false;
    p->topic = p->t->w->v[0];
    return true;
}

/* The partitions are known before the first record, so a wrong one is said at once. */
static bool check_partition(struct produce *p, struct err *e)
{
    const struct rd_kafka_metadata_topic *topic;

    if (p->partition < 0)
        return true;
    topic = topic_find(p->t, p->topic, e);
    if (topic && p->partition >= topic->partition_cnt)
        return err_set(e, ERR_NOT_FOUND, "topic %s has the partitions 0 to %d", p->topic,
                       topic->partition_cnt - 1);
    return topic != NULL;
}

bool topic_produce(struct topic_run *t, struct err *e)
{
    /* Java's partitioner, so that a key is where other clients of the topic put it. The broker says what is too large. */
    static const char *const properties[] = {"enable.idempotence",
                                             "true",
                                             "linger.ms",
                                             "5",
                                             "partitioner",
                                             "murmur2_random",
                                             "message.timeout.ms",
                                             "30000",
                                             "message.max.bytes",
                                             "67108864",
                                             "topic.metadata.propagation.max.ms",
                                             "5000",
                                             NULL};
    struct produce p = {.t = t, .partition = -1};
    const char *subject = NULL;
    int64_t schema = 0;
    bool ok;

    t->delivered = delivered;
    t->delivered_arg = &p; // cppcheck-suppress autoVariables ; nothing is delivered once this has returned
    if (!read_words(&p, &subject, &schema, e) || !topic_connect(t, RD_KAFKA_PRODUCER, properties, e) ||
        !check_partition(&p, e) ||
        ((subject || schema > 0) && !topic_encoder_new(t, schema, subject, &p.encoder, e)))
        return false;
    ok = send_all(&p, e);
    topic_progress_clear(&p.progress);
    if (rd_kafka_flush(t->client, FLUSH_MS) != RD_KAFKA_RESP_ERR_NO_ERROR && ok && p.failed.kind == ERR_NONE)
        ok = err_set(e, ERR_TIMEOUT, "%lld records were not acknowledged in time",
                     (long long)(p.sent - p.acked));
    if (ok && p.failed.kind != ERR_NONE) {
        *e = p.failed;
        ok = false;
    }
    if (!ok && p.acked > 0)
        return err_wrap(e, "after %lld records", (long long)p.acked);
    if (ok && t->as_json)
        topic_print(json_pack("{s:s,s:I}", "topic", p.topic, "produced", (json_int_t)p.acked));
    else if (ok)
        (void)printf("%lld record%s\n", (long long)p.acked, p.acked == 1 ? "" : "s");
    return ok;
}
