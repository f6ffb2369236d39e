#include "base/limits.h"
#include "schema/avro_int.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* jansson recurses on nesting: it is bounded before, by counting brackets outside strings. */
static bool deep(struct str text)
{
    size_t depth = 0;
    bool quoted = false;

    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (c == '"')
            quoted = !quoted;
        else if (quoted && c == '\\')
            i++;
        else if (!quoted && (c == '{' || c == '[') && ++depth > LIMIT_JSON_DEPTH)
            return true;
        else if (!quoted && (c == '}' || c == ']') && depth > 0)
            depth--;
    }
    return false;
}

json_t *avro_json(struct str text, size_t max, struct err *e)
{
    json_error_t why;
    json_t *j;

    if (text.n > max) {
        err_set(e, ERR_LIMIT, "%zu bytes of JSON, at most %zu are read", text.n, max);
        return NULL;
    }
    if (deep(text)) {
        err_set(e, ERR_LIMIT, "JSON nested deeper than %d", LIMIT_JSON_DEPTH);
        return NULL;
    }
    j = json_loadb(text.p ? text.p : "", text.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    if (!j)
        err_set(e, ERR_INVALID, "not JSON: line %d, column %d: %s", why.line, why.column, why.text);
    return j;
}

struct str avro_json_str(const json_t *string)
{
    if (!json_is_string(string))
        return STR_NULL;
    return str_from(json_string_value(string), json_string_length(string));
}

/*
 * Java's Double.toString and Float.toString: the shortest digits that read back as the same number, with at least one digit on both sides
 * of the point; below 1e-3 and from 1e7 on as d.dddEn.
 */
void avro_json_real(struct buf *out, double v, bool single)
{
    char text[40], *exp;
    size_t digits;
    int e10;

    if (isnan(v) || isinf(v)) {
        buf_fmt(out, "%s", isnan(v) ? "\"NaN\"" : v < 0 ? "\"-Infinity\"" : "\"Infinity\"");
        return;
    }
    for (int precision = 0; precision < 18; precision++) {
        (void)snprintf(text, sizeof text, "%.*e", precision, v);
        if (single ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v)
            break;
    }
    v = strtod(text, NULL);
    exp = memchr(text, 'e', sizeof text);
    e10 = (int)strtod(exp + 1, NULL);
    digits = (size_t)(exp - text) - (v < 0 || (v == 0 && signbit(v))); // with the point
    if (v != 0 && (e10 < -3 || e10 >= 7)) {
        buf_put(out, text, (size_t)(exp - text));
        buf_fmt(out, "%sE%d", digits == 1 ? ".0" : "", e10);
        return;
    }
    digits = digits > 1 ? digits - 2 : 0; // behind the point of d.ddd
    buf_fmt(out, "%.*f", (int)digits - e10 > 1 ? (int)digits - e10 : 1, v);
}

void avro_json_text(struct buf *out, struct str s)
{
    static const char *const named[0x20] = {
        ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f", ['\r'] = "\\r"};

    buf_u8(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c == '"' || c == '\\')
            buf_u8(out, '\\');
        if (c >= 0x20)
            buf_u8(out, c);
        else if (named[c])
            buf_str(out, str_of(named[c]));
        else
            buf_fmt(out, "\\u%04X", c);
    }
    buf_u8(out, '"');
}

static void put_object(struct buf *out, const json_t *j)
{
    json_t *object = json_incref((json_t *)(uintptr_t)j); // jansson walks objects only when they may change
    bool first = true;

    buf_u8(out, '{');
    for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
        if (!first)
            buf_u8(out, ',');
        first = false;
        avro_json_text(out, str_of(json_object_iter_key(it)));
        buf_u8(out, ':');
        avro_json_put(out, json_object_iter_value(it));
    }
    buf_u8(out, '}');
    json_decref(object);
}

void avro_json_put(struct buf *out, const json_t *j)
{
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        put_object(out, j);
        break;
    case JSON_ARRAY:
        buf_u8(out, '[');
        for (size_t i = 0; i < json_array_size(j); i++) {
            if (i > 0)
                buf_u8(out, ',');
            avro_json_put(out, json_array_get(j, i));
        }
        buf_u8(out, ']');
        break;
    case JSON_STRING:
        avro_json_text(out, avro_json_str(j));
        break;
    case JSON_INTEGER:
        buf_fmt(out, "%lld", (long long)json_integer_value(j));
        break;
    case JSON_REAL:
        avro_json_real(out, json_real_value(j), false);
        break;
    case JSON_TRUE:
        buf_str(out, STR("true"));
        break;
    case JSON_FALSE:
        buf_str(out, STR("false"));
        break;
    case JSON_NULL:
        buf_str(out, STR("null"));
        break;
    }
}
