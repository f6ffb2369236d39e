#include "base/map.h"
#include "schema/avro_int.h"

#include <assert.h>

/*
 * Both texts write a named type in full where it comes first and by its name later. Java's (Schema.toString) leaves out a
 * namespace that the type around has too; the canonical one has full names and nothing that reading data does not need.
 */
struct text {
    struct buf *out;
    struct map seen; // full names written
    struct str space;
    bool canonical;
};

static void put_type(struct text *t, const struct avro *s);

static void put_key(struct text *t, struct str name)
{
    if (t->out->n > 0 && t->out->p[t->out->n - 1] != '{')
        buf_u8(t->out, ',');
    avro_json_text(t->out, name);
    buf_u8(t->out, ':');
}

static void key(struct text *t, const char *name)
{
    put_key(t, str_of(name));
}

static void text_key(struct text *t, const char *name, struct str value)
{
    key(t, name);
    avro_json_text(t->out, value);
}

static void string_list(struct text *t, const struct str *list, size_t count)
{
    buf_u8(t->out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_u8(t->out, ',');
        avro_json_text(t->out, list[i]);
    }
    buf_u8(t->out, ']');
}

static void put_props(struct text *t, const struct avro_prop *props, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        put_key(t, props[i].key);
        buf_str(t->out, props[i].json);
    }
}

/* Splits a full name; space is empty when there is none. */
static struct str split(struct str full, struct str *space)
{
    assert(full.n == 0 || full.p);
    for (size_t i = full.n; i > 0; i--) {
        if (full.p[i - 1] == '.') {
            *space = str_from(full.p, i - 1);
            return str_from(full.p + i, full.n - i);
        }
    }
    *space = STR("");
    return full;
}

/* A full name as it is written inside t->space: without the namespace when that is the same, or none. */
static struct str short_name(const struct text *t, struct str full)
{
    struct str space, name = split(full, &space);
    enum avro_kind k;

    if (t->canonical || !str_eq(space, t->space) || avro_primitive(name, &k))
        return full;
    return name;
}

static void put_name(struct text *t, const struct avro *s)
{
    struct str space, name = split(s->name, &space);

    if (t->canonical) {
        text_key(t, "name", s->name);
        return;
    }
    text_key(t, "name", name);
    if (!str_eq(space, t->space))
        text_key(t, "namespace", space);
    if (s->doc.p)
        text_key(t, "doc", s->doc);
}

static void put_field(struct text *t, const struct avro_field *f)
{
    static const char *const orders[] = {
        [AVRO_ASCENDING] = "ascending", [AVRO_DESCENDING] = "descending", [AVRO_IGNORE] = "ignore"};

    buf_u8(t->out, '{');
    text_key(t, "name", f->name);
    key(t, "type");
    put_type(t, f->type);
    if (!t->canonical) {
        if (f->doc.p)
            text_key(t, "doc", f->doc);
        if (f->has_default) {
            key(t, "default");
            buf_str(t->out, f->default_json);
        }
        if (f->order != AVRO_ASCENDING)
            text_key(t, "order", str_of(orders[f->order]));
        if (f->alias_count > 0) {
            key(t, "aliases");
            string_list(t, f->aliases, f->alias_count);
        }
        put_props(t, f->props, f->prop_count);
    }
    buf_u8(t->out, '}');
}

static void put_fields(struct text *t, const struct avro *s)
{
    struct str outer = t->space;

    (void)split(s->name, &t->space);
    key(t, "fields");
    buf_u8(t->out, '[');
    for (size_t i = 0; i < s->count; i++) {
        if (i > 0)
            buf_u8(t->out, ',');
        put_field(t, &s->fields[i]);
    }
    buf_u8(t->out, ']');
    t->space = outer;
}

static void put_aliases(struct text *t, const struct avro *s)
{
    struct str outer = t->space;

    if (s->alias_count == 0)
        return;
    (void)split(s->name, &t->space);
    key(t, "aliases");
    buf_u8(t->out, '[');
    for (size_t i = 0; i < s->alias_count; i++) {
        if (i > 0)
            buf_u8(t->out, ',');
        avro_json_text(t->out, short_name(t, s->aliases[i]));
    }
    buf_u8(t->out, ']');
    t->space = outer;
}

/* What only this kind has. The canonical order of attributes is name, type, fields, symbols, items, values, size. */
static void put_kind(struct text *t, const struct avro *s)
{
    switch (s->kind) {
    case AVRO_RECORD:
        put_fields(t, s);
        break;
    case AVRO_ENUM:
        key(t, "symbols");
        string_list(t, s->symbols, s->count);
        if (s->enum_default.p && !t->canonical)
            text_key(t, "default", s->enum_default);
        break;
    case AVRO_ARRAY:
    case AVRO_MAP:
        key(t, s->kind == AVRO_ARRAY ? "items" : "values");
        put_type(t, s->items);
        break;
    case AVRO_FIXED:
        key(t, "size");
        buf_fmt(t->out, "%d", s->size);
        break;
    default:
        break;
    }
}

static void put_object(struct text *t, const struct avro *s)
{
    struct str kind = s->is_error ? STR("error") : str_of(avro_kind_name(s->kind));
    bool has_name = s->name.p != NULL;

    if (has_name)
        (void)map_put(&t->seen, s->name, t);
    buf_u8(t->out, '{');
    if (has_name && t->canonical)
        put_name(t, s);
    text_key(t, "type", t->canonical && s->is_error ? STR("record") : kind);
    if (has_name && !t->canonical)
        put_name(t, s);
    put_kind(t, s);
    if (!t->canonical) {
        put_props(t, s->props, s->prop_count);
        put_aliases(t, s);
    }
    buf_u8(t->out, '}');
}

static void put_type(struct text *t, const struct avro *s)
{
    if (s->kind == AVRO_UNION) {
        buf_u8(t->out, '[');
        for (size_t i = 0; i < s->count; i++) {
            if (i > 0)
                buf_u8(t->out, ',');
            put_type(t, s->branches[i]);
        }
        buf_u8(t->out, ']');
    } else if (s->kind <= AVRO_STRING && (t->canonical || s->prop_count == 0)) {
        avro_json_text(t->out, str_of(avro_kind_name(s->kind)));
    } else if (s->name.p && (s->is_known || map_get(&t->seen, s->name))) {
        avro_json_text(t->out, short_name(t, s->name));
    } else {
        put_object(t, s);
    }
}

static void put_schema(const struct avro *s, struct buf *out, bool canonical)
{
    struct text t = {.out = out, .space = STR(""), .canonical = canonical};

    put_type(&t, s);
    map_fini(&t.seen);
}

void avro_text(const struct avro *s, struct buf *out)
{
    put_schema(s, out, false);
}

void avro_canonical(const struct avro *s, struct buf *out)
{
    put_schema(s, out, true);
}
