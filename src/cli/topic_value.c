/* Keys and values for people: Avro by the schemas of the registry, both ways. */
#include "cli/topic.h"

#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "schema/avro.h"
#include "schema/schema.h"

#include <stdio.h>

enum { REFERENCES_DEEP = 8, KNOWN_MAX = 64 };

/* A schema by its id, asked for once. */
struct known {
    enum { KNOWN_NOT, KNOWN_AVRO, KNOWN_JSON, KNOWN_OTHER } type;
    const struct avro *avro;
};

struct topic_values {
    struct map by_id; // decimal id -> struct known *, in the run's arena
    bool complained;
    struct buf text; // of the last value that was shown
};

static struct topic_values *values(struct topic_run *t)
{
    if (!t->values) {
        t->values = ARENA_NEW(&t->arena, struct topic_values);
        t->values->text = buf_make(4 * LIMIT_BATCH);
    }
    return t->values;
}

void topic_values_end(struct topic_run *t)
{
    if (!t->values)
        return;
    map_fini(&t->values->by_id);
    buf_fini(&t->values->text);
    t->values = NULL;
}

/* ---- the registry ---- */

static bool ask(struct topic_run *t, const char *path, json_t **out, struct err *e)
{
    struct fetch f = {.url = arena_fmt(&t->arena, "%s%s", t->registry ? t->registry : "", path),
                      .timeout_ms = 10000};
    struct fetch_answer answer;

    *out = NULL;
    if (!t->registry)
        return err_set(e, ERR_NOT_FOUND, "no Schema Registry is known: give --registry URL");
    if (!fetch(&f, &t->arena, &answer, e))
        return err_wrap(e, "Schema Registry");
    *out = json_loadb(answer.body.p, answer.body.n, 0, NULL);
    if (answer.status == 200 && *out)
        return true;
    (void)err_set(e, ERR_REMOTE, "Schema Registry: %s",
                  *topic_json_text(*out, "message") ? topic_json_text(*out, "message") : f.url);
    json_decref(*out);
    *out = NULL;
    return false;
}

/* A name as one segment of a path. */
static const char *encoded(struct arena *a, const char *name)
{
    struct buf b = buf_make(3 * strlen(name) + 1);
    const char *out;

    for (; *name; name++) {
        char c = *name;

        if ((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || strchr("-_.~", c))
            buf_u8(&b, (uint8_t)c);
        else
            buf_fmt(&b, "%%%02X", (unsigned char)c);
    }
    out = arena_str(a, buf_view(&b)).p;
    buf_fini(&b);
    return out;
}

/* Texts of all that a schema refers to, those needed first. */
static bool references(struct topic_run *t, const json_t *schema, int depth, struct str *out, size_t *n,
                       struct err *e)
{
    const json_t *r;
    size_t i;

    json_array_foreach(json_object_get(schema, "references"), i, r)
    {
        json_t *other;
        bool ok;

        if (depth == REFERENCES_DEEP || *n == KNOWN_MAX)
            return err_set(e, ERR_LIMIT, "the schema refers to more than %d others", KNOWN_MAX);
        if (!ask(t,
                 arena_fmt(&t->arena, "/subjects/%s/versions/%lld",
                           encoded(&t->arena, topic_json_text(r, "subject")),
                           (long long)topic_json_number(r, "version")),
                 &other, e))
            return false;
        ok = references(t, other, depth + 1, out, n, e);
        if (ok && *n < KNOWN_MAX)
            out[(*n)++] = arena_str(&t->arena, str_of(topic_json_text(other, "schema")));
        json_decref(other);
        if (!ok)
            return false;
    }
    return true;
}

static bool parse_avro(struct topic_run *t, const json_t *schema, const struct avro **out, struct err *e)
{
    struct str known[KNOWN_MAX], text = arena_str(&t->arena, str_of(topic_json_text(schema, "schema")));
    struct avro *avro = NULL;
    size_t n = 0;
    bool ok = references(t, schema, 0, known, &n, e) && avro_parse_with(&t->arena, known, n, text, &avro, e);

    *out = avro;
    return ok;
}

static bool is_avro(const json_t *schema)
{
    const char *type = topic_json_text(schema, "schemaType");

    return *type == '\0' || strcmp(type, "AVRO") == 0;
}

static const struct known *schema_of(struct topic_run *t, int id)
{
    struct topic_values *v = values(t);
    struct known *k;
    json_t *schema = NULL;
    char key[16];
    struct err e;

    (void)snprintf(key, sizeof key, "%d", id);
    k = map_get(&v->by_id, str_of(key));
    if (k)
        return k;
    k = ARENA_NEW(&t->arena, struct known);
    map_put(&v->by_id, str_of(key), k);
    if (ask(t, arena_fmt(&t->arena, "/schemas/ids/%d", id), &schema, &e)) {
        if (!is_avro(schema))
            k->type = strcmp(topic_json_text(schema, "schemaType"), "JSON") == 0 ? KNOWN_JSON : KNOWN_OTHER;
        else if (parse_avro(t, schema, &k->avro, &e))
            k->type = KNOWN_AVRO;
    }
    json_decref(schema);
    if (k->type == KNOWN_NOT && !v->complained) {
        v->complained = true;
        (void)fprintf(stderr, "tarn: schema %d: %s; values are shown as bytes\n", id, e.msg);
    }
    return k;
}

/* ---- out ---- */

static bool is_text(struct str s)
{
    for (size_t i = 0, n; i < s.n; i += n) {
        unsigned char c = (unsigned char)s.p[i];

        n = utf8_len(s.p + i, s.n - i);
        if (n == 0 || (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f)
            return false;
    }
    return true;
}

static struct topic_value as_bytes(struct topic_values *v, struct str bytes, int id)
{
    buf_reset(&v->text);
    buf_base64(&v->text, bytes.p, bytes.n);
    return (struct topic_value){TOPIC_BYTES, buf_view(&v->text), id};
}

struct topic_value topic_show(struct topic_run *t, struct str bytes)
{
    struct topic_values *v = values(t);
    const struct known *k;
    struct str data;
    struct err e;
    struct rd r;
    int id;

    if (!bytes.p)
        return (struct topic_value){.kind = TOPIC_NOTHING, .text = STR("null")};
    if (!schema_wire_id(bytes, &id, &data) || id <= 0)
        return is_text(bytes) ? (struct topic_value){TOPIC_TEXT, bytes, 0} : as_bytes(v, bytes, 0);
    k = schema_of(t, id);
    if (k->type == KNOWN_JSON && is_text(data))
        return (struct topic_value){TOPIC_JSON, data, id};
    buf_reset(&v->text);
    r = rd_str(data);
    if (k->type == KNOWN_AVRO && avro_to_json(k->avro, &r, &v->text, &e) && rd_left(&r) == 0)
        return (struct topic_value){TOPIC_JSON, buf_view(&v->text), id};
    return as_bytes(v, bytes, k->type == KNOWN_NOT ? 0 : id);
}

/* ---- in ---- */

struct topic_encoder {
    const struct avro *avro;
    int id;
};

bool topic_encoder_new(struct topic_run *t, int64_t id, const char *subject, struct topic_encoder **out,
                       struct err *e)
{
    struct topic_encoder *c = ARENA_NEW(&t->arena, struct topic_encoder);
    const char *path = subject
                           ? arena_fmt(&t->arena, "/subjects/%s/versions/latest", encoded(&t->arena, subject))
                           : arena_fmt(&t->arena, "/schemas/ids/%lld", (long long)id);
    json_t *schema;
    bool ok;

    if (!ask(t, path, &schema, e))
        return false;
    c->id = (int)(subject ? topic_json_number(schema, "id") : id);
    ok = is_avro(schema) || err_set(e, ERR_UNSUPPORTED, "schema %d is %s: only Avro can be written", c->id,
                                    topic_json_text(schema, "schemaType"));
    ok = ok && parse_avro(t, schema, &c->avro, e);
    json_decref(schema);
    *out = c;
    return ok;
}

bool topic_encode(struct topic_encoder *c, struct str json, struct buf *out, struct err *e)
{
    buf_u8(out, 0);
    buf_i32(out, c->id);
    return avro_from_json(c->avro, json, out, e);
}
