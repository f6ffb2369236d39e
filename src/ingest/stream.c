/*
 * Records of v3: JSON objects one behind the other, each a record with its own formats, and an answer to each in their order. The body
 * is read whole first: a client that wants an answer before its next record sends each in a request of its own.
 */
#include "base/utc.h"
#include "ingest/proxy_int.h"
#include "os/os.h"

#include <stdio.h>

/* A key or value as it is asked for. */
struct data {
    bool given;
    enum format format;
    bool typed, subject_given;
    struct str subject, schema; // null: none
    int64_t id, version;        // -1: none; version 0: the latest
    struct js data;
};

/* What a key or value became. */
struct made {
    enum format format; // FORMAT_NONE: there was none
    struct value_schema schema;
    size_t size;
};

struct streamed {
    struct made key, value;
};

/* Many records of a request have the same schema: the last one is kept. */
struct last {
    struct str subject, schema;
    int64_t id, version;
    struct value_schema found;
};

struct stream {
    struct trip *c;
    const struct log_topic *t;
    struct last key, value;
    struct item *items;
    struct streamed *made;
    size_t count;
};

static int bad(struct err *e, const char *what)
{
    (void)err_set(e, ERR_BAD_INPUT, "Error processing JSON: %s is not what it should be", what);
    return CODE_BAD_REQUEST;
}

/* ---- a key or a value ---- */

static bool type_of(struct str name, enum format *out)
{
    for (enum format f = FORMAT_BINARY; f <= FORMAT_AVRO; f++) {
        if (str_is(name, format_name(f))) {
            *out = f;
            return true;
        }
    }
    return false;
}

static bool version_of(struct js v, struct arena *a, int64_t *out)
{
    if (str_is(js_str(v, a), "latest")) {
        *out = 0;
        return true;
    }
    return js_i64(v, out) && *out >= 1;
}

static int read_data(struct stream *s, struct js v, struct data *d, struct err *e)
{
    struct arena *a = s->c->a;
    struct js part;

    *d = (struct data){.id = -1, .version = -1};
    if (v.kind == JS_NONE || v.kind == JS_NULL)
        return 0;
    if (v.kind != JS_OBJECT)
        return bad(e, "a key or value");
    d->given = true;
    for (struct js_it it = js_in(v); js_next(&it, &part);) {
        if (js_key_is(&it, "data")) {
            d->data = part;
        } else if (part.kind == JS_NULL) {
            continue;
        } else if (js_key_is(&it, "type")) {
            if (!type_of(js_str(part, a), &d->format)) {
                (void)err_set(e, ERR_UNSUPPORTED, "the type %.*s is not one of BINARY, JSON, STRING and AVRO",
                              STR_ARG(part.text));
                return CODE_BAD_REQUEST;
            }
        } else if (js_key_is(&it, "subject")) {
            d->subject = js_str(part, a);
        } else if (js_key_is(&it, "schema")) {
            d->schema = js_str(part, a);
            if (!d->schema.p)
                return bad(e, "schema");
        } else if (js_key_is(&it, "schema_id")) {
            if (!js_i64(part, &d->id) || d->id < 0)
                return bad(e, "schema_id");
        } else if (js_key_is(&it, "schema_version")) {
            if (!version_of(part, a, &d->version))
                return bad(e, "schema_version");
        } else if (js_key_is(&it, "subject_name_strategy")) {
            if (!str_is(js_str(part, a), "TOPIC_NAME"))
                return bad(e, "subject_name_strategy (TOPIC_NAME is known here)");
        } else {
            return bad(e, "a field that is none of type, data, schema, schema_id, schema_version, subject");
        }
    }
    return 0;
}

/* One way to name a schema, and none beside a type that has none. */
static int check_data(const struct data *d, struct err *e)
{
    int ways = (d->schema.p != NULL) + (d->id >= 0) + (d->version >= 0);

    if (ways > 1)
        (void)err_set(e, ERR_INVALID, "Only one of 'schema_id', 'schema_version' or 'schema' can be used.");
    else if (d->format != FORMAT_NONE && d->format != FORMAT_AVRO && (ways > 0 || d->subject.p))
        (void)err_set(e, ERR_INVALID, "'type=%s' cannot be used with a schema or a subject.",
                      format_name(d->format));
    else if (d->format == FORMAT_AVRO && !d->schema.p)
        (void)err_set(e, ERR_INVALID, "'type=AVRO' is used with 'schema'; the others need no type.");
    else
        return 0;
    return CODE_BAD_REQUEST;
}

static bool same(struct str a, struct str b)
{
    return (a.p != NULL) == (b.p != NULL) && str_eq(a, b);
}

static int find_schema(struct stream *s, const struct data *d, bool is_key, struct value_schema *out,
                       struct err *e)
{
    struct last *l = is_key ? &s->key : &s->value;
    struct str subject = d->subject;
    int code;

    if (!subject.p)
        subject = str_of(arena_fmt(s->c->a, "%.*s-%s", STR_ARG(s->t->name), is_key ? "key" : "value"));
    if (l->found.avro && same(l->subject, subject) && same(l->schema, d->schema) && l->id == d->id &&
        l->version == d->version) {
        *out = l->found;
        return 0;
    }
    if (d->id >= 0)
        code = value_schema_by_id(s->c, d->id, out, e);
    else if (d->schema.p)
        code = value_schema_by_text(s->c, subject, d->schema, out, e);
    else
        code = value_schema_by_version(s->c, subject, d->version > 0 ? d->version : -1, out, e);
    if (code == 0)
        *l = (struct last){subject, d->schema, d->id, d->version, *out};
    return code;
}

static int encode(struct stream *s, const struct data *d, bool is_key, struct made *m, struct str *out,
                  struct err *e)
{
    int code = 0;

    *out = STR_NULL;
    if (!d->given)
        return 0;
    code = check_data(d, e);
    m->format = d->format;
    if (code == 0 && (d->format == FORMAT_NONE || d->format == FORMAT_AVRO)) {
        m->format = FORMAT_AVRO;
        code = find_schema(s, d, is_key, &m->schema, e);
    }
    if (code == 0)
        code = value_encode(s->c, m->format, &m->schema, d->data, out, e);
    m->size = out->n;
    return code == CODE_CONVERSION ? CODE_BAD_REQUEST : code;
}

/* ---- a record ---- */

static int read_headers(struct stream *s, struct js list, struct item *i, struct err *e)
{
    struct arena *a = s->c->a;
    struct js h;
    size_t n = 0;

    if (list.kind != JS_ARRAY && list.kind != JS_NULL)
        return bad(e, "headers");
    for (struct js_it it = js_in(list); js_next(&it, &h);)
        n++;
    i->headers = ARENA_ARRAY(a, struct record_header, n);
    for (struct js_it it = js_in(list); js_next(&it, &h);) {
        struct js value = js_get(h, "value");
        struct record_header *to = &i->headers[i->header_count++];

        to->key = js_str(js_get(h, "name"), a);
        if (!to->key.p)
            return bad(e, "a header without a name");
        if (value.kind != JS_NONE && value.kind != JS_NULL && !value_base64(a, js_str(value, a), &to->value))
            return bad(e, "a header's value, which is base64,");
    }
    return 0;
}

static int read_record(struct stream *s, struct js record, struct item *i, struct streamed *m, struct err *e)
{
    struct data key, value;
    struct js v, key_js = {0}, value_js = {0};
    int64_t partition = -1;
    int code = 0;

    if (record.kind != JS_OBJECT)
        return bad(e, "a record");
    for (struct js_it it = js_in(record); code == 0 && js_next(&it, &v);) {
        if (js_key_is(&it, "key"))
            key_js = v;
        else if (js_key_is(&it, "value"))
            value_js = v;
        else if (js_key_is(&it, "headers"))
            code = read_headers(s, v, i, e);
        else if (v.kind == JS_NULL)
            continue;
        else if (js_key_is(&it, "partition_id"))
            code = js_i64(v, &partition) ? 0 : bad(e, "partition_id");
        else if (!js_key_is(&it, "timestamp"))
            code = bad(e, "a field that is none of partition_id, headers, key, value, timestamp");
        else if (!utc_parse(js_str(v, s->c->a), &i->timestamp_ms))
            code = bad(e, "timestamp (2026-11-21T08:00:00Z)");
        else
            i->timestamp_ms /= 1000;
    }
    if (code == 0 && (partition < -1 || partition > INT32_MAX || partition >= s->t->partitions)) {
        (void)err_set(e, ERR_NOT_FOUND, "Partition not found.");
        code = CODE_NO_PARTITION;
    }
    i->partition = (int32_t)partition;
    if (code == 0)
        code = read_data(s, key_js, &key, e);
    if (code == 0)
        code = read_data(s, value_js, &value, e);
    if (code == 0)
        code = encode(s, &key, true, &m->key, &i->key, e);
    if (code == 0)
        code = encode(s, &value, false, &m->value, &i->value, e);
    return code;
}

/* ---- the answer ---- */

static void put_made(struct buf *b, const char *name, const struct made *m)
{
    if (m->format == FORMAT_NONE)
        return;
    buf_fmt(b, ",\"%s\":{\"type\":\"%s\"", name, format_name(m->format));
    if (m->schema.avro) {
        buf_str(b, STR(",\"subject\":"));
        buf_json(b, m->schema.subject);
        buf_fmt(b, ",\"schema_id\":%d,\"schema_version\":%d", m->schema.id, m->schema.version);
    }
    buf_fmt(b, ",\"size\":%zu}", m->size);
}

static void put_error(struct buf *b, int code, const char *text)
{
    buf_fmt(b, "{\"error_code\":%d,\"message\":", code);
    buf_json(b, str_of(text));
    buf_str(b, STR("}\r\n"));
}

static void put_result(struct stream *s, struct buf *b, const struct item *i, const struct streamed *m)
{
    char time[UTC_TEXT];

    buf_fmt(b, "{\"error_code\":200,\"cluster_id\":\"%s\",\"topic_name\":", log_cluster_id(s->c->p->log));
    buf_json(b, s->t->name);
    buf_fmt(b, ",\"partition_id\":%d,\"offset\":%lld,\"timestamp\":\"%s\"", i->partition,
            (long long)i->offset, utc_iso(i->timestamp_ms * 1000, 3, time));
    put_made(b, "key", &m->key);
    put_made(b, "value", &m->value);
    buf_str(b, STR("}\r\n"));
}

static void appended(struct trip *c)
{
    struct stream *s = c->extra;
    struct buf b = trip_buf();

    for (size_t i = 0; i < s->count; i++) {
        if (s->items[i].code != 0)
            put_error(&b, s->items[i].code, s->items[i].why);
        else
            put_result(s, &b, &s->items[i], &s->made[i]);
    }
    trip_json(c, 200, &b);
}

/* Counts before memory is taken; what follows bad JSON is not read. */
static size_t count_values(struct str body)
{
    struct js v;
    struct err e;
    size_t n = 0;

    while (n <= ITEMS_MAX && js_read(&body, &v, &e))
        n++;
    return n;
}

static void read_all(struct stream *s)
{
    int64_t now_ms = s->c->p->os->wall_us(s->c->p->os) / 1000;
    struct str rest = s->c->q->body;
    struct js record;
    struct err e;

    while (js_read(&rest, &record, &e)) {
        struct item *i = &s->items[s->count];

        i->timestamp_ms = now_ms;
        i->code = read_record(s, record, i, &s->made[s->count], &e);
        if (i->code != 0)
            i->why = arena_fmt(s->c->a, "%s", e.msg);
        s->count++;
    }
    if (e.kind != ERR_NONE) {
        s->items[s->count].code = CODE_BAD_REQUEST;
        s->items[s->count++].why = arena_fmt(s->c->a, "Error processing message: %s", e.msg);
    }
}

void v3_records(struct trip *c)
{
    struct stream *s = ARENA_NEW(c->a, struct stream);
    struct log_topic *t = ARENA_NEW(c->a, struct log_topic);
    struct str type = http_content_type(c->q);
    size_t n;

    if (type.n > 0 && !str_eq_nocase(type, STR("application/json"))) {
        trip_error(c, 415, "HTTP 415 Unsupported Media Type");
        return;
    }
    if (str_trim(c->q->body).n == 0) {
        trip_error(c, CODE_PAYLOAD, "Payload error. Request body is empty. Data is required.");
        return;
    }
    if (!trip_topic_to_write(c, t))
        return;
    n = count_values(c->q->body);
    if (n > ITEMS_MAX) {
        trip_error(c, 413, "a request has at most %d records", ITEMS_MAX);
        return;
    }
    *s = (struct stream){.c = c, .t = t};
    s->items = ARENA_ARRAY(c->a, struct item, n + 1);
    s->made = ARENA_ARRAY(c->a, struct streamed, n + 1);
    read_all(s);
    c->extra = s;
    items_append(c, t, s->items, s->count, appended);
}
