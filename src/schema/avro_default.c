#include "schema/avro_int.h"

static bool is_int(const json_t *j, int64_t min, int64_t max)
{
    return json_is_integer(j) && json_integer_value(j) >= min && json_integer_value(j) <= max;
}

/* Java's parser reads text as a number here; only what cannot be written as one is useful. */
static bool is_number(const json_t *j)
{
    struct str s = avro_json_str(j);

    return json_is_number(j) || str_is(s, "NaN") || str_is(s, "Infinity") || str_is(s, "-Infinity");
}

static bool array_ok(const struct avro *s, const json_t *j, int *steps)
{
    if (!json_is_array(j))
        return false;
    for (size_t i = 0; i < json_array_size(j); i++)
        if (!avro_default_ok(s->items, json_array_get(j, i), steps))
            return false;
    return true;
}

static bool map_ok(const struct avro *s, const json_t *j, int *steps)
{
    json_t *object = (json_t *)(uintptr_t)j; // only looked at

    if (!json_is_object(j))
        return false;
    for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it))
        if (!avro_default_ok(s->items, json_object_iter_value(it), steps))
            return false;
    return true;
}

/* A field that the value leaves out must have a default of its own, which is checked where it stands. */
static bool record_ok(const struct avro *s, const json_t *j, int *steps)
{
    if (!json_is_object(j))
        return false;
    for (size_t i = 0; i < s->count; i++) {
        const json_t *v = json_object_getn(j, s->fields[i].name.p, s->fields[i].name.n);

        if (v ? !avro_default_ok(s->fields[i].type, v, steps) : !s->fields[i].has_default)
            return false;
    }
    return true;
}

/* The specification asks for the first branch, Java takes any since 1.11: what Java wrote must be read. */
static bool union_ok(const struct avro *s, const json_t *j, int *steps)
{
    for (size_t i = 0; i < s->count; i++)
        if (avro_default_ok(s->branches[i], j, steps))
            return true;
    return false;
}

bool avro_default_ok(const struct avro *s, const json_t *j, int *steps)
{
    if (*steps <= 0)
        return false;
    --*steps;
    switch (s->kind) {
    case AVRO_NULL:
        return json_is_null(j);
    case AVRO_BOOLEAN:
        return json_is_boolean(j);
    case AVRO_INT:
        return is_int(j, INT32_MIN, INT32_MAX);
    case AVRO_LONG:
        return is_int(j, INT64_MIN, INT64_MAX);
    case AVRO_FLOAT:
    case AVRO_DOUBLE:
        return is_number(j);
    case AVRO_BYTES:
    case AVRO_STRING:
    case AVRO_FIXED:
    case AVRO_ENUM:
        return json_is_string(j);
    case AVRO_ARRAY:
        return array_ok(s, j, steps);
    case AVRO_MAP:
        return map_ok(s, j, steps);
    case AVRO_RECORD:
        return record_ok(s, j, steps);
    case AVRO_UNION:
        return union_ok(s, j, steps);
    }
    return false;
}
