#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "schema/avro_int.h"

#include <assert.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const size_t primitive_bytes[] = {
    [AVRO_BOOLEAN] = 1, [AVRO_INT] = 1,   [AVRO_LONG] = 1,  [AVRO_FLOAT] = 4,
    [AVRO_DOUBLE] = 8,  [AVRO_BYTES] = 1, [AVRO_STRING] = 1};

enum { DEFAULT_STEPS = 1000000, MIN_BYTES_MAX = 1 << 30 };

/* A default that is checked when all types are known. */
struct pending {
    struct avro_field *field;
    const json_t *value;
    char *path;
};

struct parse {
    struct arena *a;
    struct map names; // full name -> struct avro
    struct str space; // namespace around, or empty
    struct buf path;  // fields on the way here: "after.total"
    struct buf text;  // a property being written
    struct pending *pending;
    size_t pending_count, pending_cap;
    bool known; // this text is one that the real one refers to
    struct err *e;
};

/* ---- saying what is wrong and where ---- */

static void *fail(struct parse *p, const char *fmt, ...) PRINTF(2, 3);
static void *fail(struct parse *p, const char *fmt, ...)
{
    char what[300];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    if (p->path.n > 0)
        err_set(p->e, ERR_INVALID, "field %.*s: %s", STR_ARG(buf_view(&p->path)), what);
    else
        err_set(p->e, ERR_INVALID, "%s", what);
    return NULL;
}

static size_t enter(struct parse *p, struct str name)
{
    size_t before = p->path.n;

    if (before > 0)
        buf_u8(&p->path, '.');
    buf_str(&p->path, name);
    return before;
}

static void leave(struct parse *p, size_t before)
{
    p->path.n = before;
}

/* ---- attributes ---- */

static struct str attribute(const json_t *object, const char *key)
{
    return avro_json_str(json_object_get(object, key));
}

static bool is_one_of(const char *key, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(key, *list) == 0)
            return true;
    return false;
}

static struct str as_text(struct parse *p, const json_t *j)
{
    buf_reset(&p->text);
    avro_json_put(&p->text, j);
    return arena_str(p->a, buf_view(&p->text));
}

/* All attributes that are not in `known`, in their order. */
static struct avro_prop *properties(struct parse *p, json_t *object, const char *const *known, size_t *count)
{
    struct avro_prop *list = NULL;
    size_t n = 0;

    for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it))
        n += !is_one_of(json_object_iter_key(it), known);
    *count = n;
    if (n == 0)
        return NULL;
    list = ARENA_ARRAY(p->a, struct avro_prop, n);
    n = 0;
    for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
        const char *key = json_object_iter_key(it);

        if (is_one_of(key, known))
            continue;
        list[n].key = arena_str(p->a, str_of(key));
        list[n++].json = as_text(p, json_object_iter_value(it));
    }
    return list;
}

static int small_int(const json_t *object, const char *key, int otherwise)
{
    const json_t *j = json_object_get(object, key);

    if (!json_is_integer(j) || json_integer_value(j) < 0 || json_integer_value(j) > INT_MAX)
        return otherwise;
    return (int)json_integer_value(j);
}

/* Most digits that n bytes of two's complement hold. */
static int decimal_digits(int bytes)
{
    return bytes > 1000 ? 2407 : (int)((8 * bytes - 1) * 0.30102999566398120);
}

/* What a type's node may say beside what its kind asks for. An invalid decimal is no decimal (specification, "Decimal"). */
static void annotate(struct parse *p, struct avro *s, json_t *object, const char *const *known)
{
    s->props = properties(p, object, known, &s->prop_count);
    s->logical = arena_str(p->a, attribute(object, "logicalType"));
    s->connect_name = arena_str(p->a, attribute(object, "connect.name"));
    s->element_id = small_int(object, "element-id", -1);
    if ((s->kind == AVRO_BYTES || s->kind == AVRO_FIXED) && str_is(s->logical, "decimal")) {
        s->precision = small_int(object, "precision", 0);
        s->scale = small_int(object, "scale", 0);
        if (s->scale > s->precision || (s->kind == AVRO_FIXED && s->precision > decimal_digits(s->size)))
            s->precision = s->scale = 0;
    }
}

/* ---- names ---- */

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;

        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return s.n > 0;
}

static ptrdiff_t last_dot(struct str s)
{
    for (size_t i = s.n; i > 0; i--)
        if (s.p[i - 1] == '.')
            return (ptrdiff_t)i - 1;
    return -1;
}

/* name with its namespace: the one it carries, or `space`. */
static struct str full_name(struct parse *p, struct str name, struct str space)
{
    char *joined;

    if (space.n == 0 || str_find(name, '.') >= 0)
        return arena_str(p->a, name.n > 0 && name.p[0] == '.' ? str_from(name.p + 1, name.n - 1) : name);
    joined = arena_fmt(p->a, "%.*s.%.*s", STR_ARG(space), STR_ARG(name));
    return str_of(joined);
}

static struct str space_of(struct str full)
{
    ptrdiff_t dot = last_dot(full);

    return dot < 0 ? STR("") : str_from(full.p, (size_t)dot);
}

static struct avro *named(struct parse *p, struct str name)
{
    enum avro_kind k;
    struct avro *s;

    if (avro_primitive(name, &k))
        return avro_bare(k);
    s = map_get(&p->names, full_name(p, name, p->space));
    if (!s)
        s = map_get(&p->names, name);
    return s ? s : fail(p, "unknown type \"%.*s\"", STR_ARG(name));
}

static bool alias_list(struct parse *p, const json_t *object, struct str space, struct str **out,
                       size_t *count)
{
    const json_t *list = json_object_get(object, "aliases");

    if (!list)
        return true;
    if (!json_is_array(list))
        return fail(p, "aliases is not an array");
    *count = json_array_size(list);
    *out = ARENA_ARRAY(p->a, struct str, *count);
    for (size_t i = 0; i < *count; i++) {
        struct str alias = avro_json_str(json_array_get(list, i));

        if (!alias.p)
            return fail(p, "an alias is not a string");
        (*out)[i] = full_name(p, alias, space);
    }
    return true;
}

/* The name, aliases and doc of a record, enum or fixed; makes the name known. */
static bool name_it(struct parse *p, struct avro *s, const json_t *object)
{
    struct str name = attribute(object, "name"), space = attribute(object, "namespace");
    struct str last;
    enum avro_kind k;

    if (!name.p)
        return fail(p, "%s without a name", avro_kind_name(s->kind));
    s->name = full_name(p, name, space.p ? space : p->space);
    last = str_from(s->name.p + space_of(s->name).n, s->name.n - space_of(s->name).n);
    if (last.n > 0 && last.p[0] == '.')
        last = str_from(last.p + 1, last.n - 1);
    if (!is_name(last))
        return fail(p, "bad name \"%.*s\"", STR_ARG(s->name));
    if (avro_primitive(s->name, &k))
        return fail(p, "a type may not be named \"%.*s\"", STR_ARG(s->name));
    s->is_known = p->known;
    s->doc = arena_str(p->a, attribute(object, "doc"));
    if (!alias_list(p, object, space_of(s->name), &s->aliases, &s->alias_count))
        return false;
    if (map_put(&p->names, s->name, s))
        return fail(p, "\"%.*s\" is defined twice", STR_ARG(s->name));
    return true;
}

/* ---- kinds ---- */

static struct avro *parse_type(struct parse *p, json_t *j);

static bool parse_field(struct parse *p, struct avro_field *f, json_t *j)
{
    static const char *const known[] = {"default", "doc", "name", "order", "type", "aliases", NULL};
    struct str name = attribute(j, "name"), order = attribute(j, "order");
    json_t *type = json_object_get(j, "type"), *value = json_object_get(j, "default");
    size_t before;

    if (!name.p || !is_name(name))
        return fail(p, "bad field name \"%.*s\"", STR_ARG(name));
    before = enter(p, name);
    *f = (struct avro_field){.name = arena_str(p->a, name), .doc = arena_str(p->a, attribute(j, "doc"))};
    f->field_id = small_int(j, "field-id", -1);
    f->order = str_eq_nocase(order, STR("descending")) ? AVRO_DESCENDING
               : str_eq_nocase(order, STR("ignore"))   ? AVRO_IGNORE
                                                       : AVRO_ASCENDING;
    if (!type)
        return fail(p, "no type");
    if (order.p && f->order == AVRO_ASCENDING && !str_eq_nocase(order, STR("ascending")))
        return fail(p, "unknown order \"%.*s\"", STR_ARG(order));
    if (!alias_list(p, j, STR(""), &f->aliases, &f->alias_count))
        return false;
    f->props = properties(p, j, known, &f->prop_count);
    f->type = parse_type(p, type);
    if (!f->type)
        return false;
    if (value) {
        f->has_default = true;
        f->default_json = as_text(p, value);
        MEM_PUSH_ROOM(p->pending, p->pending_count, p->pending_cap);
        p->pending[p->pending_count++] =
            (struct pending){f, value, arena_fmt(p->a, "%.*s", STR_ARG(buf_view(&p->path)))};
    }
    leave(p, before);
    return true;
}

static int by_name(const void *a, const void *b)
{
    return str_cmp((*(struct avro_field *const *)a)->name, (*(struct avro_field *const *)b)->name);
}

static int by_text(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static bool parse_record(struct parse *p, struct avro *s, json_t *j)
{
    json_t *fields = json_object_get(j, "fields");
    struct str outer = p->space;
    size_t sum = 0;

    s->min_bytes =
        1; // while it is not known: a record inside itself is behind a union or an array, or has no values
    if (!name_it(p, s, j))
        return false;
    if (!json_is_array(fields))
        return fail(p, "record \"%.*s\" without a list of fields", STR_ARG(s->name));
    p->space = space_of(s->name);
    s->count = json_array_size(fields);
    s->fields = ARENA_ARRAY(p->a, struct avro_field, s->count);
    s->_by_name = ARENA_ARRAY(p->a, struct avro_field *, s->count);
    for (size_t i = 0; i < s->count; i++) {
        if (!json_is_object(json_array_get(fields, i)))
            return fail(p, "a field of \"%.*s\" is not an object", STR_ARG(s->name));
        if (!parse_field(p, &s->fields[i], json_array_get(fields, i)))
            return false;
        assert(s->fields[i].type);
        sum += s->fields[i].type->min_bytes;
        sum = sum > MIN_BYTES_MAX ? MIN_BYTES_MAX : sum;
        s->_by_name[i] = &s->fields[i];
    }
    if (s->count > 0)
        qsort(s->_by_name, s->count, sizeof(struct avro_field *), by_name);
    for (size_t i = 1; i < s->count; i++)
        if (str_eq(s->_by_name[i]->name, s->_by_name[i - 1]->name))
            return fail(p, "two fields named \"%.*s\"", STR_ARG(s->_by_name[i]->name));
    s->min_bytes = sum;
    p->space = outer;
    return true;
}

static bool parse_enum(struct parse *p, struct avro *s, const json_t *j)
{
    const json_t *symbols = json_object_get(j, "symbols"), *otherwise = json_object_get(j, "default");
    struct str *sorted;
    bool found = false;

    s->min_bytes = 1;
    if (!name_it(p, s, j))
        return false;
    if (!json_is_array(symbols))
        return fail(p, "enum \"%.*s\" without symbols", STR_ARG(s->name));
    s->count = json_array_size(symbols);
    s->symbols = ARENA_ARRAY(p->a, struct str, s->count);
    sorted = ARENA_ARRAY(p->a, struct str, s->count);
    s->enum_default = arena_str(p->a, avro_json_str(otherwise));
    for (size_t i = 0; i < s->count; i++) {
        struct str symbol = avro_json_str(json_array_get(symbols, i));

        if (!symbol.p || !is_name(symbol))
            return fail(p, "bad enum symbol \"%.*s\"", STR_ARG(symbol));
        sorted[i] = s->symbols[i] = arena_str(p->a, symbol);
        found |= str_eq(symbol, s->enum_default);
    }
    if (s->count > 0)
        qsort(sorted, s->count, sizeof *sorted, by_text);
    for (size_t i = 1; i < s->count; i++)
        if (str_eq(sorted[i], sorted[i - 1]))
            return fail(p, "enum symbol \"%.*s\" is there twice", STR_ARG(sorted[i]));
    if (otherwise && !found)
        return fail(p, "the default of enum \"%.*s\" is not one of its symbols", STR_ARG(s->name));
    return true;
}

static bool parse_fixed(struct parse *p, struct avro *s, const json_t *j)
{
    if (!name_it(p, s, j))
        return false;
    s->size = small_int(j, "size", -1);
    if (s->size < 0)
        return fail(p, "fixed \"%.*s\" without a size", STR_ARG(s->name));
    s->min_bytes = s->size > MIN_BYTES_MAX ? MIN_BYTES_MAX : (size_t)s->size;
    return true;
}

static bool parse_items(struct parse *p, struct avro *s, const json_t *j)
{
    const char *key = s->kind == AVRO_ARRAY ? "items" : "values";
    json_t *items = json_object_get(j, key);

    s->min_bytes = 1;
    if (!items)
        return fail(p, "%s without %s", avro_kind_name(s->kind), key);
    s->items = parse_type(p, items);
    return s->items != NULL;
}

/* A union holds each unnamed type and each name once, and no union (specification, "Unions"). */
static struct avro *parse_union(struct parse *p, const json_t *j)
{
    struct avro *s = ARENA_NEW(p->a, struct avro);
    struct map seen = {0};
    size_t least = SIZE_MAX;

    *s = (struct avro){.kind = AVRO_UNION, .count = json_array_size(j), .element_id = -1};
    s->branches = ARENA_ARRAY(p->a, struct avro *, s->count);
    for (size_t i = 0; s && i < s->count; i++) {
        struct avro *b = parse_type(p, json_array_get(j, i));
        struct str name;

        s->branches[i] = b;
        if (!b) {
            s = NULL;
            break;
        }
        name = b->name.p ? b->name : str_of(avro_kind_name(b->kind));
        least = b->min_bytes < least ? b->min_bytes : least;
        if (b->kind == AVRO_UNION)
            s = fail(p, "a union in a union");
        else if (map_put(&seen, name, b))
            s = fail(p, "\"%.*s\" is twice in a union", STR_ARG(name));
    }
    map_fini(&seen);
    if (s)
        s->min_bytes = s->count > 0 ? least + 1 : 1;
    return s;
}

static struct avro *parse_object(struct parse *p, json_t *j)
{
    static const char *const known[] = {"doc",     "fields", "items", "name",    "namespace", "size",
                                        "symbols", "values", "type",  "aliases", NULL};
    static const char *const known_enum[] = {"doc",  "fields",  "items",  "name", "namespace", "default",
                                             "size", "symbols", "values", "type", "aliases",   NULL};
    struct str type = attribute(j, "type");
    struct avro *s = ARENA_NEW(p->a, struct avro);
    bool ok = true;

    if (!type.p)
        return fail(p, "a type without \"type\"");
    if (avro_primitive(type, &s->kind))
        s->min_bytes = primitive_bytes[s->kind];
    else if (str_is(type, "record") || str_is(type, "error")) {
        s->kind = AVRO_RECORD;
        s->is_error = str_is(type, "error");
        ok = parse_record(p, s, j);
    } else if (str_is(type, "enum")) {
        s->kind = AVRO_ENUM;
        ok = parse_enum(p, s, j);
    } else if (str_is(type, "fixed")) {
        s->kind = AVRO_FIXED;
        ok = parse_fixed(p, s, j);
    } else if (str_is(type, "array") || str_is(type, "map")) {
        s->kind = str_is(type, "array") ? AVRO_ARRAY : AVRO_MAP;
        ok = parse_items(p, s, j);
    } else {
        return named(p, type);
    }
    if (!ok)
        return NULL;
    annotate(p, s, j, s->kind == AVRO_ENUM ? known_enum : known);
    return s;
}

static struct avro *parse_type(struct parse *p, json_t *j)
{
    if (json_is_string(j))
        return named(p, avro_json_str(j));
    if (json_is_array(j))
        return parse_union(p, j);
    if (json_is_object(j))
        return parse_object(p, j);
    return fail(p, "a type is a name, an object or an array");
}

static bool check_defaults(struct parse *p)
{
    int steps = DEFAULT_STEPS;

    for (size_t i = 0; i < p->pending_count; i++) {
        const struct pending *d = &p->pending[i];

        if (!avro_default_ok(d->field->type, d->value, &steps))
            return err_set(p->e, ERR_INVALID, "field %s: the default %.*s is not %s%s", d->path,
                           (int)(d->field->default_json.n > 60 ? 60 : d->field->default_json.n),
                           d->field->default_json.p, steps > 0 ? "of type " : "simple enough to check",
                           steps > 0 ? avro_kind_name(d->field->type->kind) : "");
    }
    p->pending_count = 0;
    return true;
}

/* ---- */

static struct avro *parse_text(struct parse *p, struct str text)
{
    json_t *j = avro_json(text, LIMIT_SCHEMA, p->e);
    struct avro *s = j ? parse_type(p, j) : NULL;

    if (s && !check_defaults(p))
        s = NULL;
    json_decref(j);
    return s;
}

bool avro_parse_with(struct arena *a, const struct str *known, size_t known_count, struct str text,
                     struct avro **out, struct err *e)
{
    struct parse p = {
        .a = a, .space = STR(""), .path = buf_make(LIMIT_SCHEMA), .text = buf_make(8 * LIMIT_SCHEMA), .e = e};
    struct avro *s = NULL;
    bool ok = true;

    p.known = true;
    for (size_t i = 0; ok && i < known_count; i++) {
        ok = parse_text(&p, known[i]) != NULL;
        if (!ok)
            err_wrap(e, "a schema it refers to");
    }
    p.known = false;
    if (ok)
        s = parse_text(&p, text);
    map_fini(&p.names);
    buf_fini(&p.path);
    buf_fini(&p.text);
    mem_free(p.pending);
    if (!s)
        return false;
    *out = s;
    return true;
}

bool avro_parse(struct arena *a, struct str text, struct avro **out, struct err *e)
{
    return avro_parse_with(a, NULL, 0, text, out, e);
}
