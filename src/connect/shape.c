#include "connect/shape.h"

#include "base/map.h"

/* Avro's printer: which records are written already, and the namespace that names without one are in. */
struct printer {
    struct buf *out;
    struct map seen; // full name -> itself
    struct str space;
};

static void quoted(struct buf *b, const char *key, struct str value)
{
    buf_u8(b, '"');
    buf_str(b, str_of(key));
    buf_str(b, STR("\":"));
    buf_json(b, value);
}

/* "a.b.c" is name c in namespace a.b; a name without a dot is in none. */
static void split_name(struct str full, struct str *space, struct str *name)
{
    size_t dot = full.n;

    while (dot > 0 && full.p[dot - 1] != '.')
        dot--;
    *space = dot ? str_from(full.p, dot - 1) : STR_NULL;
    *name = str_from(full.p + dot, full.n - dot);
}

static void put_parameters(struct buf *b, const struct shape *s)
{
    buf_u8(b, '{');
    for (size_t i = 0; i < s->parameter_count; i++) {
        if (i)
            buf_u8(b, ',');
        quoted(b, s->parameters[i].key, s->parameters[i].value);
    }
    buf_u8(b, '}');
}

/* What Avro itself has no place for, in the order AvroData adds it. */
static void avro_properties(struct buf *b, const struct shape *s)
{
    bool decimal = s->name.p && str_is(s->name, SHAPE_DECIMAL);

    if (decimal) {
        for (size_t i = 0; i < s->parameter_count; i++)
            if (strcmp(s->parameters[i].key, "scale") == 0)
                buf_fmt(b, ",\"scale\":%.*s", STR_ARG(s->parameters[i].value));
        struct str precision = STR("64");
        for (size_t i = 0; i < s->parameter_count; i++)
            if (strcmp(s->parameters[i].key, "connect.decimal.precision") == 0)
                precision = s->parameters[i].value;
        buf_fmt(b, ",\"precision\":%.*s", STR_ARG(precision));
    }
    if (s->doc) {
        buf_u8(b, ',');
        quoted(b, "connect.doc", str_of(s->doc));
    }
    if (s->version)
        buf_fmt(b, ",\"connect.version\":%d", s->version);
    if (s->parameter_count > 0) {
        buf_str(b, STR(",\"connect.parameters\":"));
        put_parameters(b, s);
    }
    if (s->default_avro.p) {
        buf_str(b, STR(",\"connect.default\":"));
        buf_str(b, s->default_avro);
    }
    if (s->name.p) {
        buf_u8(b, ',');
        quoted(b, "connect.name", s->name);
    }
    if (s->type == SHAPE_INT16)
        buf_str(b, STR(",\"connect.type\":\"int16\""));
    if (decimal)
        buf_str(b, STR(",\"logicalType\":\"decimal\""));
}

static void avro_type(struct printer *p, const struct shape *s);

static void avro_record(struct printer *p, const struct shape *s)
{
    struct str outer = p->space, space, name;

    split_name(s->name, &space, &name);
    if (map_put(&p->seen, s->name, p)) { // used before: its name alone
        buf_json(p->out, str_eq(space, outer) ? name : s->name);
        return;
    }
    buf_str(p->out, STR("{\"type\":\"record\","));
    quoted(p->out, "name", name);
    if (!str_eq(space, outer)) {
        buf_u8(p->out, ',');
        quoted(p->out, "namespace", space);
    }
    p->space = space;
    buf_str(p->out, STR(",\"fields\":["));
    for (size_t i = 0; i < s->field_count; i++) {
        const struct shape *f = s->fields[i].shape;

        buf_str(p->out, i ? STR(",{") : STR("{"));
        quoted(p->out, "name", s->fields[i].name);
        buf_str(p->out, STR(",\"type\":"));
        avro_type(p, f);
        if (f->default_avro.p || f->optional) {
            buf_str(p->out, STR(",\"default\":"));
            buf_str(p->out, f->default_avro.p ? f->default_avro : STR("null"));
        }
        buf_u8(p->out, '}');
    }
    buf_u8(p->out, ']');
    avro_properties(p->out, s);
    buf_u8(p->out, '}');
    p->space = outer;
}

static void avro_plain(struct printer *p, const struct shape *s)
{
    static const char *const names[] = {
        [SHAPE_INT16] = "int",     [SHAPE_INT32] = "int",      [SHAPE_INT64] = "long",
        [SHAPE_FLOAT32] = "float", [SHAPE_FLOAT64] = "double", [SHAPE_BOOLEAN] = "boolean",
        [SHAPE_STRING] = "string", [SHAPE_BYTES] = "bytes",    [SHAPE_ARRAY] = "array",
    };
    bool bare = s->type != SHAPE_ARRAY && s->type != SHAPE_INT16 && !s->name.p && !s->version && !s->doc &&
                !s->default_avro.p && s->parameter_count == 0;

    if (bare) {
        buf_json(p->out, str_of(names[s->type]));
        return;
    }
    buf_fmt(p->out, "{\"type\":\"%s\"", names[s->type]);
    if (s->type == SHAPE_ARRAY) {
        buf_str(p->out, STR(",\"items\":"));
        avro_type(p, s->items);
    }
    avro_properties(p->out, s);
    buf_u8(p->out, '}');
}

/* An optional value is a union with null, which comes last when there is a default: a union's default is of its first branch. */
static void avro_type(struct printer *p, const struct shape *s)
{
    bool null_last = s->default_avro.p != NULL;

    if (s->optional)
        buf_str(p->out, null_last ? STR("[") : STR("[\"null\","));
    if (s->type == SHAPE_STRUCT)
        avro_record(p, s);
    else
        avro_plain(p, s);
    if (s->optional)
        buf_str(p->out, null_last ? STR(",\"null\"]") : STR("]"));
}

void shape_avro(struct buf *out, const struct shape *s)
{
    struct printer p = {.out = out};

    avro_type(&p, s);
    map_fini(&p.seen);
}

static void json_open(struct buf *b, const struct shape *s)
{
    static const char *const names[] = {
        [SHAPE_INT16] = "int16",   [SHAPE_INT32] = "int32",    [SHAPE_INT64] = "int64",
        [SHAPE_FLOAT32] = "float", [SHAPE_FLOAT64] = "double", [SHAPE_BOOLEAN] = "boolean",
        [SHAPE_STRING] = "string", [SHAPE_BYTES] = "bytes",    [SHAPE_STRUCT] = "struct",
        [SHAPE_ARRAY] = "array",
    };

    buf_fmt(b, "{\"type\":\"%s\"", names[s->type]);
    if (s->type == SHAPE_ARRAY) {
        buf_str(b, STR(",\"items\":"));
        shape_json(b, s->items);
    }
    if (s->type == SHAPE_STRUCT) {
        buf_str(b, STR(",\"fields\":["));
        for (size_t i = 0; i < s->field_count; i++) {
            if (i)
                buf_u8(b, ',');
            json_open(b, s->fields[i].shape);
            buf_u8(b, ',');
            quoted(b, "field", s->fields[i].name);
            buf_u8(b, '}');
        }
        buf_u8(b, ']');
    }
    buf_fmt(b, ",\"optional\":%s", s->optional ? "true" : "false");
    if (s->name.p) {
        buf_u8(b, ',');
        quoted(b, "name", s->name);
    }
    if (s->version)
        buf_fmt(b, ",\"version\":%d", s->version);
    if (s->doc) {
        buf_u8(b, ',');
        quoted(b, "doc", str_of(s->doc));
    }
    if (s->parameter_count > 0) {
        buf_str(b, STR(",\"parameters\":"));
        put_parameters(b, s);
    }
    if (s->default_json.p) {
        buf_str(b, STR(",\"default\":"));
        buf_str(b, s->default_json);
    }
}

void shape_json(struct buf *out, const struct shape *s)
{
    json_open(out, s);
    buf_u8(out, '}');
}
