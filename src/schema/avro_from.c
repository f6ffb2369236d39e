#include "base/limits.h"
#include "base/mem.h"
#include "schema/avro_int.h"

#include <openssl/evp.h>

/*
 * JSON to a value, the way back from avro_to_json(). A union takes the first branch that the value fits; its branches are tried by
 * writing, and what a try wrote is cut off again.
 */
struct from {
    struct buf *out;
    struct err *e;
    int depth;
    bool latin; // bytes are characters up to U+00FF, as in a schema's defaults
};

static bool put(struct from *f, const struct avro *s, const json_t *j);

static bool unfit(struct from *f, const struct avro *s, const json_t *j)
{
    struct buf text = buf_make(LIMIT_SCHEMA);
    struct str shown;

    avro_json_put(&text, j);
    shown = buf_view(&text);
    (void)err_set(f->e, ERR_INVALID, "%.*s%s is not %s %s", shown.n > 60 ? 60 : (int)shown.n, shown.p,
                  shown.n > 60 ? "..." : "", s->kind == AVRO_INT || s->kind == AVRO_ENUM ? "an" : "a",
                  avro_kind_name(s->kind));
    buf_fini(&text);
    return false;
}

static void put_text(struct from *f, struct str s)
{
    buf_varint(f->out, (int64_t)s.n);
    buf_str(f->out, s);
}

static bool put_number(struct from *f, const struct avro *s, const json_t *j)
{
    double v = json_number_value(j);

    if (s->kind == AVRO_INT || s->kind == AVRO_LONG) {
        json_int_t n = json_integer_value(j);

        if (!json_is_integer(j) || (s->kind == AVRO_INT && (n < INT32_MIN || n > INT32_MAX)))
            return unfit(f, s, j);
        buf_varint(f->out, n);
        return true;
    }
    if (!json_is_number(j))
        return unfit(f, s, j);
    if (s->kind == AVRO_FLOAT) {
        float single = (float)v;
        uint32_t bits;

        memcpy(&bits, &single, sizeof bits);
        buf_u32le(f->out, bits);
    } else {
        uint64_t bits;

        memcpy(&bits, &v, sizeof bits);
        buf_u64le(f->out, bits);
    }
    return true;
}

/* Characters up to U+00FF as bytes; false when one is above. */
static bool from_latin(struct str s, struct buf *out)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c >= 0x80) {
            if (c > 0xc3 || ++i == s.n)
                return false;
            c = (unsigned char)(c << 6 | (s.p[i] & 0x3f));
        }
        buf_u8(out, c);
    }
    return true;
}

static bool unbase64(struct str s, struct buf *out)
{
    uint8_t *to;
    int n;

    if (s.n == 0)
        return true;
    to = s.n % 4 == 0 && s.n < LIMIT_BATCH ? buf_room(out, s.n / 4 * 3 + 1) : NULL;
    n = to ? EVP_DecodeBlock(to, (const unsigned char *)s.p, (int)s.n) : -1;
    if (n < 0)
        return false;
    n -= (s.p[s.n - 1] == '=') + (s.p[s.n - 2] == '=');
    out->n += (size_t)n;
    return true;
}

static bool put_bytes(struct from *f, const struct avro *s, const json_t *j)
{
    struct buf b = buf_make(LIMIT_BATCH);
    struct str text = avro_json_str(j);
    bool ok = text.p && (f->latin ? from_latin(text, &b) : unbase64(text, &b)) &&
              (s->kind == AVRO_BYTES || b.n == (size_t)s->size);

    if (!ok)
        (void)unfit(f, s, j);
    else if (s->kind == AVRO_BYTES)
        put_text(f, buf_view(&b));
    else
        buf_str(f->out, buf_view(&b));
    buf_fini(&b);
    return ok;
}

static bool put_symbol(struct from *f, const struct avro *s, const json_t *j)
{
    struct str name = avro_json_str(j);

    for (size_t i = 0; name.p && i < s->count; i++) {
        if (str_eq(s->symbols[i], name)) {
            buf_varint(f->out, (int64_t)i);
            return true;
        }
    }
    return unfit(f, s, j);
}

static bool put_default(struct from *f, const struct avro_field *field)
{
    json_t *j = avro_json(field->default_json, LIMIT_SCHEMA, f->e);
    const struct avro *type = field->type;
    bool before = f->latin, ok = j != NULL;

    f->latin = true;
    if (ok && type->kind == AVRO_UNION) { // a union's default is of its first branch
        buf_varint(f->out, 0);
        type = type->branches[0];
    }
    ok = ok && put(f, type, j);
    f->latin = before;
    json_decref(j);
    return ok;
}

static bool has_field(const struct avro *s, struct str name)
{
    return avro_field(s, name) != NULL;
}

static bool put_record(struct from *f, const struct avro *s, const json_t *j)
{
    const char *key;

    if (!json_is_object(j))
        return unfit(f, s, j);
    for (void *it = json_object_iter((json_t *)(uintptr_t)j); it;
         it = json_object_iter_next((json_t *)(uintptr_t)j, it)) {
        key = json_object_iter_key(it);
        if (!has_field(s, str_of(key)))
            return err_set(f->e, ERR_INVALID, "%.*s has no field %s", STR_ARG(s->name), key);
    }
    for (size_t i = 0; i < s->count; i++) {
        const struct avro_field *field = &s->fields[i];
        char *name = str_dup(field->name);
        const json_t *v = json_object_get(j, name);
        bool ok = v                    ? put(f, field->type, v)
                  : field->has_default ? put_default(f, field)
                                       : err_set(f->e, ERR_INVALID, "it is missing and has no default");

        mem_free(name);
        if (!ok)
            return err_wrap(f->e, "field %.*s", STR_ARG(field->name));
    }
    return true;
}

static bool put_items(struct from *f, const struct avro *s, const json_t *j)
{
    json_t *changeable = (json_t *)(uintptr_t)j; // jansson walks objects only when they may change
    size_t n = s->kind == AVRO_MAP ? json_object_size(j) : json_array_size(j);

    if (s->kind == AVRO_MAP ? !json_is_object(j) : !json_is_array(j))
        return unfit(f, s, j);
    if (n > 0)
        buf_varint(f->out, (int64_t)n);
    for (size_t i = 0; s->kind == AVRO_ARRAY && i < n; i++)
        if (!put(f, s->items, json_array_get(j, i)))
            return err_wrap(f->e, "[%zu]", i);
    if (s->kind == AVRO_MAP) {
        for (void *it = json_object_iter(changeable); it; it = json_object_iter_next(changeable, it)) {
            put_text(f, str_of(json_object_iter_key(it)));
            if (!put(f, s->items, json_object_iter_value(it)))
                return err_wrap(f->e, "[%s]", json_object_iter_key(it));
        }
    }
    buf_varint(f->out, 0);
    return true;
}

/* {"string":"x"} names its branch, as Avro's own JSON encoding does; NULL: it does not. */
static const json_t *named_branch(const struct avro *branch, const json_t *j)
{
    struct str name = branch->name.p ? branch->name : str_of(avro_kind_name(branch->kind));
    void *it = json_object_size(j) == 1 ? json_object_iter((json_t *)(uintptr_t)j) : NULL;

    return it && str_is(name, json_object_iter_key(it)) ? json_object_iter_value(it) : NULL;
}

static bool put_union(struct from *f, const struct avro *s, const json_t *j)
{
    size_t before = f->out->n;
    struct err first = {0}, ignored = {0};
    struct err *told = f->e;

    for (int named = 1; named >= 0; named--) {
        for (size_t i = 0; i < s->count; i++) {
            const json_t *v = named ? named_branch(s->branches[i], j) : j;
            bool ok;

            if (!v)
                continue;
            f->e = first.kind == ERR_NONE && s->branches[i]->kind != AVRO_NULL ? &first : &ignored;
            buf_varint(f->out, (int64_t)i);
            ok = put(f, s->branches[i], v);
            f->e = told;
            if (ok)
                return true;
            f->out->n = before;
        }
    }
    if (first.kind != ERR_NONE)
        *told = first;
    return first.kind != ERR_NONE ? false : unfit(f, s, j);
}

static bool put(struct from *f, const struct avro *s, const json_t *j)
{
    bool ok = false;

    if (++f->depth > AVRO_DEPTH)
        return err_set(f->e, ERR_LIMIT, "nested too deep");
    switch (s->kind) {
    case AVRO_NULL:
        ok = json_is_null(j) || unfit(f, s, j);
        break;
    case AVRO_BOOLEAN:
        ok = json_is_boolean(j) || unfit(f, s, j);
        buf_u8(f->out, json_is_true(j));
        break;
    case AVRO_INT:
    case AVRO_LONG:
    case AVRO_FLOAT:
    case AVRO_DOUBLE:
        ok = put_number(f, s, j);
        break;
    case AVRO_STRING:
        ok = json_is_string(j) || unfit(f, s, j);
        if (ok)
            put_text(f, avro_json_str(j));
        break;
    case AVRO_BYTES:
    case AVRO_FIXED:
        ok = put_bytes(f, s, j);
        break;
    case AVRO_ENUM:
        ok = put_symbol(f, s, j);
        break;
    case AVRO_RECORD:
        ok = put_record(f, s, j);
        break;
    case AVRO_ARRAY:
    case AVRO_MAP:
        ok = put_items(f, s, j);
        break;
    case AVRO_UNION:
        ok = put_union(f, s, j);
        break;
    }
    f->depth--;
    return ok;
}

static bool from_json(const struct avro *s, struct str json, struct buf *out, bool latin, struct err *e)
{
    struct from f = {.out = out, .e = e, .latin = latin};
    json_t *j = avro_json(json, LIMIT_BATCH, e);
    bool ok = j && put(&f, s, j);

    json_decref(j);
    if (ok && !buf_ok(out))
        return err_set(e, ERR_LIMIT, "the value is over %zu bytes", out->max);
    return ok;
}

bool avro_from_json(const struct avro *s, struct str json, struct buf *out, struct err *e)
{
    return from_json(s, json, out, false, e);
}

bool avro_from_tagged_json(const struct avro *s, struct str json, struct buf *out, struct err *e)
{
    return from_json(s, json, out, true, e);
}
