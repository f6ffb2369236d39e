#include "lake/iceberg.h"

#include "base/mem.h"

#include <inttypes.h>

/* ---- schemas ---- */

const struct ice_field *ice_field(const struct ice_schema *s, struct str name)
{
    for (size_t i = 0; i < s->count; i++)
        if (str_eq(s->fields[i].like.name, name))
            return &s->fields[i];
    return NULL;
}

const struct ice_field *ice_field_by_id(const struct ice_schema *s, int id)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->fields[i].id == id)
            return &s->fields[i];
    return NULL;
}

bool ice_is_key(const struct ice_schema *s, int id)
{
    for (size_t i = 0; i < s->key_count; i++)
        if (s->keys[i] == id)
            return true;
    return false;
}

static const struct {
    const char *name;
    enum column_type type;
} type_names[] = {
    {"boolean", COLUMN_BOOL},        {"int", COLUMN_I32},    {"long", COLUMN_I64},
    {"float", COLUMN_F32},           {"double", COLUMN_F64}, {"string", COLUMN_TEXT},
    {"binary", COLUMN_BYTES},        {"date", COLUMN_DATE},  {"time", COLUMN_TIME},
    {"timestamp", COLUMN_TIMESTAMP}, {"uuid", COLUMN_UUID},  {"timestamptz", COLUMN_TIMESTAMPTZ},
};

void ice_type_text(const struct column *c, struct buf *out)
{
    if (c->type == COLUMN_DECIMAL) {
        buf_fmt(out, "decimal(%u, %u)", c->precision, c->scale);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(type_names); i++)
        if (type_names[i].type == c->type)
            buf_str(out, str_of(type_names[i].name));
}

void ice_schema_text(const struct ice_schema *s, struct buf *out)
{
    buf_fmt(out, "{\"type\":\"struct\",\"schema-id\":%d,\"fields\":[", s->id);
    for (size_t i = 0; i < s->count; i++) {
        const struct column *c = &s->fields[i].like;
        buf_fmt(out, "%s{\"id\":%d,\"name\":", i ? "," : "", s->fields[i].id);
        buf_json(out, c->name);
        buf_fmt(out, ",\"required\":%s,\"type\":\"", c->required ? "true" : "false");
        ice_type_text(c, out);
        buf_str(out, STR("\"}"));
    }
    buf_str(out, STR("],\"identifier-field-ids\":["));
    for (size_t i = 0; i < s->key_count; i++)
        buf_fmt(out, "%s%d", i ? "," : "", s->keys[i]);
    buf_str(out, STR("]}"));
}

/* "decimal(P, S)", the space as writers please. */
static bool decimal_of(struct str text, struct column *c)
{
    struct str precision;
    int64_t p, s;
    if (!str_starts(text, STR("decimal(")) || !str_ends(text, STR(")")))
        return false;
    text = str_from(text.p + 8, text.n - 9);
    if (!str_cut(&text, ',', &precision) || !str_i64(str_trim(precision), &p) || !str_i64(str_trim(text), &s))
        return false;
    if (p < 1 || p > COLUMN_PRECISION_MAX || s < 0 || s > p)
        return false;
    c->type = COLUMN_DECIMAL;
    c->precision = (uint8_t)p;
    c->scale = (uint8_t)s;
    return true;
}

static bool type_of(const json_t *json, struct column *c, struct err *e)
{
    const char *text = json_string_value(json);
    if (!text)
        return err_set(e, ERR_UNSUPPORTED, "column %.*s is nested: only flat tables are read",
                       STR_ARG(c->name));
    for (size_t i = 0; i < ARRAY_LEN(type_names); i++)
        if (str_is(str_of(text), type_names[i].name)) {
            c->type = type_names[i].type;
            return true;
        }
    if (decimal_of(str_of(text), c))
        return true;
    return err_set(e, ERR_UNSUPPORTED, "column %.*s is of type %.60s", STR_ARG(c->name), text);
}

static bool field_parse(const json_t *json, struct arena *a, struct ice_field *out, struct err *e)
{
    const json_t *id = json_object_get(json, "id");
    const char *name = json_string_value(json_object_get(json, "name"));
    if (!json_is_integer(id) || json_integer_value(id) < 1 || json_integer_value(id) > INT32_MAX || !name ||
        !*name)
        return err_set(e, ERR_CORRUPT, "a field of the schema has no id or no name");
    *out = (struct ice_field){.id = (int)json_integer_value(id)};
    out->like.name = arena_str(a, str_of(name));
    out->like.required = json_is_true(json_object_get(json, "required"));
    return type_of(json_object_get(json, "type"), &out->like, e);
}

static bool ice_schema_parse(const json_t *json, struct arena *a, struct ice_schema *out, struct err *e)
{
    const json_t *fields = json_object_get(json, "fields"),
                 *keys = json_object_get(json, "identifier-field-ids");
    const json_t *id = json_object_get(json, "schema-id");
    size_t n = json_array_size(fields);
    if (!json_is_array(fields) || n > ICE_COLUMNS_MAX || json_array_size(keys) > n)
        return err_set(e, ERR_CORRUPT, "a schema without a list of at most %d fields", ICE_COLUMNS_MAX);
    *out = (struct ice_schema){.count = n, .key_count = json_array_size(keys)};
    out->id = json_is_integer(id) && json_integer_value(id) >= 0 && json_integer_value(id) < INT32_MAX
                  ? (int)json_integer_value(id)
                  : 0;
    out->fields = ARENA_ARRAY(a, struct ice_field, n + 1);
    out->keys = ARENA_ARRAY(a, int, out->key_count + 1);
    for (size_t i = 0; i < n; i++)
        if (!field_parse(json_array_get(fields, i), a, &out->fields[i], e))
            return false;
    for (size_t i = 0; i < out->key_count; i++)
        out->keys[i] = (int)json_integer_value(json_array_get(keys, i));
    return true;
}

bool ice_may_promote(const struct column *from, const struct column *to)
{
    if (from->type == COLUMN_DECIMAL && to->type == COLUMN_DECIMAL)
        return from->scale == to->scale && from->precision < to->precision;
    return (from->type == COLUMN_I32 && to->type == COLUMN_I64) ||
           (from->type == COLUMN_F32 && to->type == COLUMN_F64);
}

/* ---- metadata.json, read ---- */

static bool integer(const json_t *root, const char *key, int64_t least, int64_t *out, struct err *e)
{
    const json_t *v = json_object_get(root, key);
    if (!json_is_integer(v) || json_integer_value(v) < least)
        return err_set(e, ERR_CORRUPT, "%s is missing or no whole number from %" PRId64, key, least);
    *out = json_integer_value(v);
    return true;
}

static bool text(const json_t *root, const char *key, struct str *out, struct err *e)
{
    const char *v = json_string_value(json_object_get(root, key));
    if (!v || !*v)
        return err_set(e, ERR_CORRUPT, "%s is missing or no text", key);
    *out = str_of(v); // lives as long as root
    return true;
}

static bool snapshot_parse(const json_t *json, struct ice_snapshot *out, struct err *e)
{
    int64_t schema = 0;
    out->summary = json_object_get(json, "summary");
    if (!json_is_object(out->summary))
        return err_set(e, ERR_CORRUPT, "a snapshot has no summary");
    const json_t *parent = json_object_get(json, "parent-snapshot-id");
    out->parent = json_is_integer(parent) ? json_integer_value(parent) : -1;
    if (json_object_get(json, "schema-id") && !integer(json, "schema-id", 0, &schema, e))
        return false;
    out->schema_id = schema <= INT32_MAX ? (int)schema : 0;
    return integer(json, "snapshot-id", 0, &out->id, e) &&
           integer(json, "sequence-number", 0, &out->sequence, e) &&
           integer(json, "timestamp-ms", 0, &out->timestamp_ms, e) &&
           text(json, "manifest-list", &out->manifest_list, e);
}

static bool snapshots_parse(struct ice_meta *m, struct err *e)
{
    const json_t *list = json_object_get(m->root, "snapshots"),
                 *now = json_object_get(m->root, "current-snapshot-id");
    m->snapshot_count = json_array_size(list);
    m->snapshots = ARENA_ARRAY(&m->arena, struct ice_snapshot, m->snapshot_count + 1);
    for (size_t i = 0; i < m->snapshot_count; i++)
        if (!snapshot_parse(json_array_get(list, i), &m->snapshots[i], e))
            return false;
    m->current_snapshot = json_is_integer(now) ? json_integer_value(now) : -1;
    if (m->current_snapshot != -1 && !ice_snapshot(m, m->current_snapshot))
        return err_set(e, ERR_CORRUPT, "current-snapshot-id %" PRId64 " is not among the snapshots",
                       m->current_snapshot);
    return true;
}

static const json_t *schema_json(const struct ice_meta *m, int64_t id)
{
    const json_t *list = json_object_get(m->root, "schemas");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i), *its = json_object_get(one, "schema-id");
        if (json_is_integer(its) && json_integer_value(its) == id)
            return one;
    }
    return NULL;
}

static bool current_schema(struct ice_meta *m, struct err *e)
{
    int64_t id;
    if (!integer(m->root, "current-schema-id", 0, &id, e))
        return false;
    const json_t *json = schema_json(m, id);
    if (!json)
        return err_set(e, ERR_CORRUPT, "current-schema-id %" PRId64 " is not among the schemas", id);
    return ice_schema_parse(json, &m->arena, &m->schema, e);
}

static bool meta_read(struct ice_meta *m, struct str text_json, struct err *e)
{
    json_error_t why;
    int64_t version, column;
    if (text_json.n > ICE_METADATA_MAX)
        return err_set(e, ERR_LIMIT, "metadata.json has %zu bytes, the limit is %d", text_json.n,
                       ICE_METADATA_MAX);
    m->root = json_loadb(text_json.p ? text_json.p : "", text_json.n, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(m->root))
        return err_set(e, ERR_CORRUPT, "metadata.json is no JSON object: line %d: %s", why.line, why.text);
    if (!integer(m->root, "format-version", 1, &version, e))
        return false;
    if (version != 2)
        return err_set(e, ERR_UNSUPPORTED, "format-version is %" PRId64 ": only 2 is read", version);
    if (!integer(m->root, "last-column-id", 0, &column, e) || column > INT32_MAX)
        return err_set(e, ERR_CORRUPT, "last-column-id is out of range");
    m->last_column_id = (int)column;
    return text(m->root, "table-uuid", &m->uuid, e) && text(m->root, "location", &m->location, e) &&
           integer(m->root, "last-sequence-number", 0, &m->last_sequence, e) &&
           integer(m->root, "last-updated-ms", 0, &m->last_updated_ms, e) && snapshots_parse(m, e) &&
           current_schema(m, e);
}

bool ice_meta_parse(struct str text_json, struct ice_meta **out, struct err *e)
{
    struct ice_meta *m = MEM_NEW(struct ice_meta);
    if (!meta_read(m, text_json, e)) {
        ice_meta_free(m);
        return false;
    }
    *out = m;
    return true;
}

void ice_meta_free(struct ice_meta *m)
{
    if (!m)
        return;
    json_decref(m->root);
    arena_fini(&m->arena);
    mem_free(m);
}

const struct ice_snapshot *ice_snapshot(const struct ice_meta *m, int64_t id)
{
    for (size_t i = 0; i < m->snapshot_count; i++)
        if (m->snapshots[i].id == id)
            return &m->snapshots[i];
    return NULL;
}

bool ice_snapshot_schema(const struct ice_meta *m, const struct ice_snapshot *s, struct arena *a,
                         struct ice_schema *out, struct err *e)
{
    const json_t *json = schema_json(m, s->schema_id);
    if (!json)
        return err_set(e, ERR_CORRUPT, "schema %d of snapshot %" PRId64 " is not among the schemas",
                       s->schema_id, s->id);
    return ice_schema_parse(json, a, out, e);
}

struct str ice_summary(const struct ice_snapshot *s, const char *key)
{
    return str_of(json_string_value(json_object_get(s->summary, key)));
}

int64_t ice_summary_i64(const struct ice_snapshot *s, const char *key, int64_t otherwise)
{
    int64_t v;
    struct str t = ice_summary(s, key);
    return t.p && str_i64(t, &v) ? v : otherwise;
}

struct str ice_property(const struct ice_meta *m, const char *key)
{
    return str_of(json_string_value(json_object_get(json_object_get(m->root, "properties"), key)));
}
