#include "schema/avro_int.h"

static const char *const kind_names[] = {
    [AVRO_NULL] = "null",     [AVRO_BOOLEAN] = "boolean", [AVRO_INT] = "int",     [AVRO_LONG] = "long",
    [AVRO_FLOAT] = "float",   [AVRO_DOUBLE] = "double",   [AVRO_BYTES] = "bytes", [AVRO_STRING] = "string",
    [AVRO_RECORD] = "record", [AVRO_ENUM] = "enum",       [AVRO_ARRAY] = "array", [AVRO_MAP] = "map",
    [AVRO_UNION] = "union",   [AVRO_FIXED] = "fixed",
};

const char *avro_kind_name(enum avro_kind k)
{
    return kind_names[k];
}

bool avro_primitive(struct str name, enum avro_kind *out)
{
    for (enum avro_kind k = AVRO_NULL; k <= AVRO_STRING; k++) {
        if (str_is(name, kind_names[k])) {
            *out = k;
            return true;
        }
    }
    return false;
}

struct avro *avro_bare(enum avro_kind k)
{
#define BARE(K, bytes) [K] = {.kind = (K), .element_id = -1, .min_bytes = (bytes) }
    static struct avro bare[] = {
        BARE(AVRO_NULL, 0),  BARE(AVRO_BOOLEAN, 1), BARE(AVRO_INT, 1),   BARE(AVRO_LONG, 1),
        BARE(AVRO_FLOAT, 4), BARE(AVRO_DOUBLE, 8),  BARE(AVRO_BYTES, 1), BARE(AVRO_STRING, 1),
    };
#undef BARE
    return &bare[k];
}

/* ---- looking at a tree ---- */

const struct avro_field *avro_field(const struct avro *record, struct str name)
{
    size_t low = 0, high = record->count;

    while (low < high) {
        size_t mid = (low + high) / 2;
        int c = str_cmp(record->_by_name[mid]->name, name);

        if (c == 0)
            return record->_by_name[mid];
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

const struct avro_field *avro_field_by_id(const struct avro *record, int field_id)
{
    for (size_t i = 0; i < record->count; i++)
        if (record->fields[i].field_id == field_id)
            return &record->fields[i];
    return NULL;
}

static struct str prop_of(const struct avro_prop *props, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (str_is(props[i].key, key))
            return props[i].json;
    return STR_NULL;
}

struct str avro_prop(const struct avro *s, const char *key)
{
    return prop_of(s->props, s->prop_count, key);
}

struct str avro_field_prop(const struct avro_field *f, const char *key)
{
    return prop_of(f->props, f->prop_count, key);
}

const struct avro *avro_strip_null(const struct avro *s)
{
    if (s->kind != AVRO_UNION || s->count < 1 || s->count > 2)
        return s;
    if (s->count == 1)
        return s->branches[0];
    if (s->branches[0]->kind == AVRO_NULL)
        return s->branches[1];
    return s->branches[1]->kind == AVRO_NULL ? s->branches[0] : s;
}

bool avro_is_nullable(const struct avro *s)
{
    if (s->kind != AVRO_UNION)
        return s->kind == AVRO_NULL;
    for (size_t i = 0; i < s->count; i++)
        if (s->branches[i]->kind == AVRO_NULL)
            return true;
    return false;
}
