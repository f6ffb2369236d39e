/* Keys and values of records, as each embedded format has them in JSON. */
#include "base/limits.h"
#include "ingest/proxy_int.h"
#include "schema/avro.h"
#include "schema/schema.h"

#include <limits.h>
#include <openssl/evp.h>

const char *format_name(enum format f)
{
    static const char *const names[] = {"", "BINARY", "JSON", "STRING", "AVRO"};

    return names[f];
}

enum format format_of_type(struct str type)
{
    if (str_eq_nocase(type, STR("application/vnd.kafka.json.v2+json")))
        return FORMAT_JSON;
    if (str_eq_nocase(type, STR("application/vnd.kafka.avro.v2+json")))
        return FORMAT_AVRO;
    if (str_eq_nocase(type, STR("application/vnd.kafka.binary.v2+json")) ||
        str_eq_nocase(type, STR("application/vnd.kafka.v2+json")))
        return FORMAT_BINARY;
    return FORMAT_NONE;
}

/* RFC 4648 with padding, and nothing else between. */
bool value_base64(struct arena *a, struct str text, struct str *out)
{
    uint8_t *to;
    size_t pad = text.n >= 2 ? (size_t)(text.p[text.n - 1] == '=') + (text.p[text.n - 2] == '=') : 0;
    int n;

    *out = STR("");
    if (text.n == 0)
        return text.p != NULL;
    if (text.n % 4 != 0 || text.n > LIMIT_BATCH)
        return false;
    for (size_t i = 0; i < text.n - pad; i++) {
        char ch = text.p[i];

        if (!((ch >= '0' && ch <= '9') || ((ch | 32) >= 'a' && (ch | 32) <= 'z') || ch == '+' || ch == '/'))
            return false;
    }
    to = arena_alloc(a, text.n / 4 * 3 + 1);
    n = EVP_DecodeBlock(to, (const unsigned char *)text.p, (int)text.n);
    if (n < 0)
        return false;
    *out = str_from(to, (size_t)n - pad);
    return true;
}

/* ---- schemas ---- */

static int parse(struct trip *c, const struct schema_text *t, struct value_schema *out, struct err *e)
{
    struct avro *avro;
    struct str *known;
    size_t count;

    if (t->type.p && !str_is(t->type, "AVRO")) {
        (void)err_set(e, ERR_UNSUPPORTED,
                      "Error serializing message. Schemas of type %.*s are not read here.", STR_ARG(t->type));
        return CODE_SERIALIZING;
    }
    if (schema_known(c->p->schemas, t, c->a, &known, &count, e) != SCHEMA_OK ||
        !avro_parse_with(c->a, known, count, t->text, &avro, e)) {
        (void)err_wrap(e, "Invalid schema");
        return CODE_BAD_SCHEMA;
    }
    out->avro = avro;
    return 0;
}

/* A new text is registered, as the serializers of Confluent's clients do it. */
int value_schema_by_text(struct trip *c, struct str subject, struct str text, struct value_schema *out,
                         struct err *e)
{
    struct schema_text t = {.text = text};
    struct schema_version v;
    enum schema_code code;
    int bad;

    bad = parse(c, &t, out, e);
    if (bad != 0)
        return bad;
    code = schema_add(c->p->schemas, subject, &t, &v, e);
    if (code == SCHEMA_BAD_SCHEMA) {
        (void)err_wrap(e, "Invalid schema");
        return CODE_BAD_SCHEMA;
    }
    if (code != SCHEMA_OK) {
        (void)err_wrap(e, "Error serializing message. Error when registering schema. subject = %.*s",
                       STR_ARG(subject));
        return CODE_SERIALIZING;
    }
    out->id = v.id;
    out->version = v.version;
    out->subject = subject;
    return 0;
}

int value_schema_by_id(struct trip *c, int64_t id, struct value_schema *out, struct err *e)
{
    struct schema_version v, *versions;
    size_t n;

    if (id < 0 || id > INT_MAX || !schema_by_id(c->p->schemas, (int)id, c->a, &v)) {
        (void)err_set(e, ERR_NOT_FOUND, "Error serializing message. There is no schema with the id %lld.",
                      (long long)id);
        return CODE_SERIALIZING;
    }
    out->id = (int)id;
    if (schema_id_versions(c->p->schemas, (int)id, false, c->a, &versions, &n) && n > 0) {
        out->version = versions[0].version;
        out->subject = versions[0].subject;
    }
    return parse(c, &v.schema, out, e);
}

int value_schema_by_version(struct trip *c, struct str subject, int64_t version, struct value_schema *out,
                            struct err *e)
{
    struct schema_version v;

    if (version > INT_MAX || schema_get(c->p->schemas, subject, version < 0 ? SCHEMA_LATEST : (int)version,
                                        false, c->a, &v, e) != SCHEMA_OK) {
        (void)err_set(e, ERR_NOT_FOUND,
                      "Error serializing message. Error when fetching schema version. subject = %.*s",
                      STR_ARG(subject));
        return CODE_SERIALIZING;
    }
    out->id = v.id;
    out->version = v.version;
    out->subject = subject;
    return parse(c, &v.schema, out, e);
}

/* ---- JSON to bytes ---- */

static struct str taken(struct trip *c, struct buf *b) // b's bytes into the arena
{
    struct str s = str_from(arena_copy(c->a, b->p ? (const void *)b->p : "", b->n), b->n);

    buf_fini(b);
    return s;
}

static int encode_avro(struct trip *c, const struct value_schema *s, struct js data, struct str *out,
                       struct err *e)
{
    struct buf b = buf_make(LIMIT_BATCH);

    buf_u8(&b, 0);
    buf_i32(&b, s->id);
    if (!avro_from_tagged_json(s->avro, data.text, &b, e)) {
        buf_fini(&b);
        (void)err_wrap(e, "Conversion of JSON to Avro failed");
        return CODE_CONVERSION;
    }
    *out = taken(c, &b);
    return 0;
}

int value_encode(struct trip *c, enum format f, const struct value_schema *s, struct js data, struct str *out,
                 struct err *e)
{
    struct buf b = buf_make(LIMIT_BATCH);

    *out = STR_NULL;
    if (data.kind == JS_NONE || (data.kind == JS_NULL && !s->avro))
        return 0;
    switch (f) {
    case FORMAT_JSON:
        js_put(&b, data);
        *out = taken(c, &b);
        return 0;
    case FORMAT_AVRO:
        return encode_avro(c, s, data, out, e);
    case FORMAT_STRING:
        *out = js_str(data, c->a);
        if (out->p)
            return 0;
        (void)err_set(e, ERR_INVALID, "the data is not a string");
        return CODE_BAD_REQUEST;
    default:
        if (value_base64(c->a, js_str(data, c->a), out))
            return 0;
        (void)err_set(e, ERR_INVALID, "the data is not a string of base64");
        return CODE_BAD_REQUEST;
    }
}

/* ---- bytes to JSON ---- */

static bool show_json(struct str bytes, struct buf *out, struct err *e)
{
    struct js v;

    if (!js_whole(bytes, &v, e))
        return false;
    js_put(out, v);
    return true;
}

static bool show_avro(struct trip *c, struct str bytes, struct value_last *last, struct buf *out,
                      struct err *e)
{
    struct str data;
    struct rd r;
    int id;

    if (!schema_wire_id(bytes, &id, &data))
        return err_set(e, ERR_BAD_INPUT, "no schema's id stands in front");
    if (!last->schema.avro || last->id != id) {
        last->schema = (struct value_schema){0};
        last->id = id;
        if (value_schema_by_id(c, id, &last->schema, e) != 0)
            return false;
    }
    r = rd_str(data);
    if (!avro_to_tagged_json(last->schema.avro, &r, out, e))
        return false;
    return rd_left(&r) == 0 || err_set(e, ERR_BAD_INPUT, "bytes are left behind the Avro value");
}

bool value_show(struct trip *c, enum format f, struct str bytes, struct value_last *last, struct buf *out,
                struct err *e)
{
    if (!bytes.p) {
        buf_str(out, STR("null"));
        return true;
    }
    if (f == FORMAT_JSON)
        return show_json(bytes, out, e);
    if (f == FORMAT_AVRO)
        return show_avro(c, bytes, last, out, e);
    buf_u8(out, '"');
    buf_base64(out, bytes.p, bytes.n);
    buf_u8(out, '"');
    return true;
}
