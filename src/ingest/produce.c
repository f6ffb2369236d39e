/* Records to a topic or a partition, by v2: one JSON object with all of them, one answer. */
#include "ingest/proxy_int.h"
#include "os/os.h"

struct produce {
    struct trip *c;
    enum format format;
    struct value_schema key, value;
    struct str key_schema, value_schema; // texts; null: none
    int64_t key_id, value_id;            // -1: none
    struct js records;
    int32_t partition; // of the path, or -1
    struct item *items;
    size_t count;
};

/* A member that may be null; false when it is neither that nor what it should be. */
static bool text_member(struct js v, struct arena *a, struct str *out)
{
    *out = js_str(v, a);
    return v.kind == JS_STRING || v.kind == JS_NULL;
}

static bool number_member(struct js v, int64_t *out)
{
    return v.kind == JS_NULL || js_i64(v, out);
}

static void unknown(struct trip *c, const struct js_it *it)
{
    trip_error(c, CODE_INVALID, "Unrecognized field: %.*s", (int)(it->key.n < 200 ? it->key.n : 200) - 2,
               it->key.p + 1);
}

static bool read_body(struct produce *p)
{
    struct trip *c = p->c;
    struct js body, v;

    if (!trip_body(c, &body))
        return false;
    p->key_id = p->value_id = -1;
    for (struct js_it it = js_in(body); js_next(&it, &v);) {
        bool ok = true;

        if (js_key_is(&it, "records"))
            p->records = v;
        else if (js_key_is(&it, "key_schema"))
            ok = text_member(v, c->a, &p->key_schema);
        else if (js_key_is(&it, "value_schema"))
            ok = text_member(v, c->a, &p->value_schema);
        else if (js_key_is(&it, "key_schema_id"))
            ok = number_member(v, &p->key_id);
        else if (js_key_is(&it, "value_schema_id"))
            ok = number_member(v, &p->value_id);
        else {
            unknown(c, &it);
            return false;
        }
        if (!ok) {
            trip_error(c, CODE_BAD_REQUEST, "%.*s is not of the type it should be", STR_ARG(it.key));
            return false;
        }
    }
    if (p->records.kind == JS_ARRAY)
        return true;
    trip_error(c, CODE_INVALID, "records may not be null");
    return false;
}

static bool read_record(struct produce *p, struct js record, struct item *i)
{
    struct trip *c = p->c;
    struct js key = {0}, value = {0}, v;
    int64_t partition = p->partition;
    struct err e;
    int code;

    if (record.kind != JS_OBJECT) {
        trip_error(c, CODE_BAD_REQUEST, "record %zu is not an object", p->count);
        return false;
    }
    for (struct js_it it = js_in(record); js_next(&it, &v);) {
        if (js_key_is(&it, "key"))
            key = v;
        else if (js_key_is(&it, "value"))
            value = v;
        else if (!js_key_is(&it, "partition")) {
            unknown(c, &it);
            return false;
        } else if (!number_member(v, &partition) || partition < -1 || partition > INT32_MAX) {
            trip_error(c, CODE_INVALID, "partition of record %zu must be a partition's number", p->count);
            return false;
        }
    }
    i->partition = (int32_t)partition;
    if (p->format == FORMAT_AVRO && !p->key.avro && key.kind != JS_NONE && key.kind != JS_NULL)
        trip_error(c, CODE_NO_KEY_SCHEMA, "Request includes keys but does not include key schema");
    else if (p->format == FORMAT_AVRO && !p->value.avro && value.kind != JS_NONE && value.kind != JS_NULL)
        trip_error(c, CODE_NO_VALUE_SCHEMA, "Request includes values but does not include value schema");
    else if ((code = value_encode(c, p->format, &p->key, key, &i->key, &e)) != 0 ||
             (code = value_encode(c, p->format, &p->value, value, &i->value, &e)) != 0)
        trip_error(c, code, "record %zu: %s", p->count, e.msg);
    else
        return true;
    return false;
}

static bool read_records(struct produce *p)
{
    int64_t now_ms = p->c->p->os->wall_us(p->c->p->os) / 1000;
    struct js record;
    size_t n = 0;

    for (struct js_it it = js_in(p->records); js_next(&it, &record);)
        n++;
    if (n == 0 || n > ITEMS_MAX) {
        trip_error(p->c, n == 0 ? CODE_INVALID : 413,
                   n == 0 ? "records may not be empty" : "a request has at most %d records", ITEMS_MAX);
        return false;
    }
    p->items = ARENA_ARRAY(p->c->a, struct item, n);
    for (struct js_it it = js_in(p->records); js_next(&it, &record); p->count++) {
        p->items[p->count].timestamp_ms = now_ms;
        if (!read_record(p, record, &p->items[p->count]))
            return false;
    }
    return true;
}

static bool read_schema(struct produce *p, const char *side, struct str text, int64_t id,
                        struct value_schema *out)
{
    struct trip *c = p->c;
    struct err e;
    int code = 0;

    if (id >= 0)
        code = value_schema_by_id(c, id, out, &e);
    else if (text.p)
        code = value_schema_by_text(c, str_of(arena_fmt(c->a, "%.*s-%s", STR_ARG(c->name[0]), side)), text,
                                    out, &e);
    if (code != 0)
        trip_err(c, code, &e);
    return code == 0;
}

/* ---- the answer ---- */

static void put_id(struct buf *b, const char *name, const struct value_schema *s)
{
    if (s->avro)
        buf_fmt(b, ",\"%s\":%d", name, s->id);
    else
        buf_fmt(b, ",\"%s\":null", name);
}

static void answer(struct trip *c, struct produce *p)
{
    struct buf b = trip_buf();

    buf_str(&b, STR("{\"offsets\":["));
    for (size_t i = 0; i < p->count; i++) {
        const struct item *r = &p->items[i];

        if (i > 0)
            buf_u8(&b, ',');
        if (r->code == 0) {
            buf_fmt(&b, "{\"partition\":%d,\"offset\":%lld,\"error_code\":null,\"error\":null}", r->partition,
                    (long long)r->offset);
            continue;
        }
        buf_fmt(&b, "{\"partition\":null,\"offset\":null,\"error_code\":%d,\"error\":", r->code);
        buf_json(&b, str_of(r->why));
        buf_u8(&b, '}');
    }
    buf_u8(&b, ']');
    put_id(&b, "key_schema_id", &p->key);
    put_id(&b, "value_schema_id", &p->value);
    buf_u8(&b, '}');
    trip_json(c, 200, &b);
}

static void appended(struct trip *c)
{
    answer(c, c->extra);
}

void proxy_produce(struct trip *c)
{
    struct produce *p = ARENA_NEW(c->a, struct produce);
    struct log_topic t;

    *p = (struct produce){.c = c, .format = format_of_type(http_content_type(c->q)), .partition = -1};
    if (p->format == FORMAT_NONE) {
        trip_error(c, 415, "HTTP 415 Unsupported Media Type");
        return;
    }
    if (!read_body(p) || !trip_topic_to_write(c, &t))
        return;
    if (c->name[1].p && !trip_partition(c, &t, c->name[1], &p->partition))
        return;
    if (p->format == FORMAT_AVRO && (!read_schema(p, "key", p->key_schema, p->key_id, &p->key) ||
                                     !read_schema(p, "value", p->value_schema, p->value_id, &p->value)))
        return;
    if (!read_records(p))
        return;
    c->extra = p;
    items_append(c, &t, p->items, p->count, appended);
}
