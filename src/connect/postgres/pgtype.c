#include "connect/postgres/pgtype.h"

#include "base/mem.h"

/* pg_type.dat of PostgreSQL 15: oids of built-in types never change. */
enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_NUMERIC = 1700,
    OID_MONEY = 790,
    OID_DATE = 1082,
    OID_TIME = 1083,
    OID_TIMESTAMP = 1114,
    OID_TIMESTAMPTZ = 1184,
    OID_BIT = 1560,
    OID_VARBIT = 1562,
};

/* Types whose mapping needs nothing but the oid. */
static const struct simple {
    uint32_t oid, array; // 0: arrays of it are left out
    enum conv conv;
    const char *logical;
} simple[] = {
    {16, 1000, CONV_BOOL, NULL},     // bool
    {18, 1002, CONV_TEXT, NULL},     // "char"
    {19, 0, CONV_TEXT, NULL},        // name
    {20, 1016, CONV_INT64, NULL},    // int8
    {21, 1005, CONV_INT16, NULL},    // int2
    {23, 1007, CONV_INT32, NULL},    // int4
    {25, 1009, CONV_TEXT, NULL},     // text
    {26, 1028, CONV_INT64, NULL},    // oid
    {650, 651, CONV_TEXT, NULL},     // cidr
    {700, 1021, CONV_FLOAT32, NULL}, // float4
    {701, 1022, CONV_FLOAT64, NULL}, // float8
    {774, 775, CONV_TEXT, NULL},     // macaddr8
    {829, 1040, CONV_TEXT, NULL},    // macaddr
    {869, 1041, CONV_TEXT, NULL},    // inet
    {1042, 1014, CONV_TEXT, NULL},   // bpchar
    {1043, 1015, CONV_TEXT, NULL},   // varchar
    {3904, 3905, CONV_TEXT, NULL},   // int4range
    {3906, 3907, CONV_TEXT, NULL},   // numrange
    {3908, 3909, CONV_TEXT, NULL},   // tsrange
    {3910, 3911, CONV_TEXT, NULL},   // tstzrange
    {3912, 3913, CONV_TEXT, NULL},   // daterange
    {3926, 3927, CONV_TEXT, NULL},   // int8range
    {114, 199, CONV_TEXT, "io.debezium.data.Json"},
    {3802, 3807, CONV_TEXT, "io.debezium.data.Json"},
    {142, 0, CONV_TEXT, "io.debezium.data.Xml"},
    {2950, 2951, CONV_TEXT, "io.debezium.data.Uuid"},
    {3614, 0, CONV_TEXT, "io.debezium.data.Tsvector"},
    {1082, 1182, CONV_DATE, "io.debezium.time.Date"},
    {1266, 1270, CONV_TIMETZ, "io.debezium.time.ZonedTime"},
    {1186, 0, CONV_INTERVAL_US, "io.debezium.time.MicroDuration"},
};

/* Types whose mapping depends on the modifier or a mode, and their arrays. */
static const struct {
    uint32_t oid, array;
} modified[] = {
    {OID_NUMERIC, 1231}, {OID_BYTEA, 1001}, {OID_TIME, 1183}, {OID_TIMESTAMP, 1115}, {OID_TIMESTAMPTZ, 1185},
};

/* The precision of time types: the modifier itself, 6 when there is none. */
static int time_digits(int32_t modifier)
{
    return modifier < 0 || modifier > 6 ? 6 : modifier;
}

static void numeric_type(int32_t modifier, const struct type_modes *m, struct type *out)
{
    bool scaled = modifier >= 4;

    if (m->decimal != DECIMAL_PRECISE) {
        out->conv = m->decimal == DECIMAL_DOUBLE ? CONV_NUMERIC_F64 : CONV_NUMERIC_TEXT;
    } else if (!scaled) {
        out->conv = CONV_VAR_DECIMAL;
        out->logical = "io.debezium.data.VariableScaleDecimal";
    } else {
        out->conv = CONV_DECIMAL;
        out->logical = SHAPE_DECIMAL;
    }
    if (scaled) {
        int scale = (modifier - 4) & 0x7ff;

        out->precision = ((modifier - 4) >> 16) & 0xffff;
        out->scale =
            scale > 1023 ? scale - 2048 : scale; // eleven bits, signed (PostgreSQL 15: numeric_typmod_scale)
    }
}

static void money_type(const struct type_modes *m, struct type *out)
{
    out->conv = CONV_MONEY;
    out->scale = m->money_digits;
    out->logical = m->decimal == DECIMAL_PRECISE ? SHAPE_DECIMAL : NULL;
    if (m->decimal != DECIMAL_PRECISE)
        out->conv = m->decimal == DECIMAL_DOUBLE ? CONV_NUMERIC_F64 : CONV_NUMERIC_TEXT;
}

static void time_type(uint32_t oid, int32_t modifier, const struct type_modes *m, struct type *out)
{
    int digits = time_digits(modifier);

    if (oid == OID_TIMESTAMPTZ) {
        *out = (struct type){
            .conv = CONV_TIMESTAMPTZ, .logical = "io.debezium.time.ZonedTimestamp", .digits = digits};
    } else if (oid == OID_TIMESTAMP) {
        out->conv = digits <= 3 ? CONV_TIMESTAMP_MS : CONV_TIMESTAMP_US;
        out->logical = digits <= 3 ? "io.debezium.time.Timestamp" : "io.debezium.time.MicroTimestamp";
    } else {
        bool ms = digits <= 3 && m->time == TIME_ADAPTIVE;

        out->conv = ms ? CONV_TIME_MS : CONV_TIME_US;
        out->logical = ms ? "io.debezium.time.Time" : "io.debezium.time.MicroTime";
    }
}

static void bit_type(uint32_t oid, int32_t modifier, struct type *out)
{
    /* bit without a length is bit(1); varbit without one has no limit. */
    int length = modifier > 0 ? modifier : oid == OID_BIT ? 1 : INT32_MAX;

    out->conv = length == 1 ? CONV_BIT : CONV_BITS;
    out->length = length;
    out->logical = length == 1 ? NULL : "io.debezium.data.Bits";
}

static void scalar_type(const struct type_facts *f, const struct type_modes *m, struct type *out)
{
    static const enum conv binary[] = {CONV_BYTES, CONV_BASE64, CONV_BASE64_URL, CONV_HEX};

    for (size_t i = 0; i < ARRAY_LEN(simple); i++)
        if (simple[i].oid == f->oid) {
            out->conv = simple[i].conv;
            out->logical = simple[i].logical;
            return;
        }
    switch (f->oid) {
    case OID_NUMERIC:
        numeric_type(f->modifier, m, out);
        return;
    case OID_MONEY:
        money_type(m, out);
        return;
    case OID_BYTEA:
        out->conv = binary[m->binary];
        return;
    case OID_TIME:
    case OID_TIMESTAMP:
    case OID_TIMESTAMPTZ:
        time_type(f->oid, f->modifier, m, out);
        return;
    case OID_BIT:
    case OID_VARBIT:
        bit_type(f->oid, f->modifier, out);
        return;
    default:
        break;
    }
    if (f->labels.p) {
        out->conv = CONV_TEXT;
        out->logical = "io.debezium.data.Enum";
        out->allowed = f->labels;
    } else if (str_is(f->name, "citext")) {
        out->conv = CONV_TEXT;
    } else if (str_is(f->name, "ltree")) {
        out->conv = CONV_TEXT;
        out->logical = "io.debezium.data.Ltree";
    } else if (str_is(f->name, "isbn")) {
        out->conv = CONV_TEXT;
    }
}

/* The element's oid of an array type that is mapped, or 0. */
static uint32_t element_of(uint32_t array)
{
    for (size_t i = 0; array && i < ARRAY_LEN(simple); i++)
        if (simple[i].array == array)
            return simple[i].oid;
    for (size_t i = 0; i < ARRAY_LEN(modified); i++)
        if (modified[i].array == array)
            return modified[i].oid;
    return 0;
}

void pgtype_of(const struct type_facts *f, const struct type_modes *m, struct arena *a, struct type *out)
{
    uint32_t element = element_of(f->oid);

    *out = (struct type){.conv = CONV_NONE};
    if (element) {
        struct type_facts of = {.oid = element, .modifier = f->modifier};
        struct type *t = ARENA_NEW(a, struct type);

        scalar_type(&of, m, t);
        out->conv = CONV_ARRAY;
        out->element = t;
    } else if (str_is(f->name, "_citext")) {
        struct type *t = ARENA_NEW(a, struct type);

        t->conv = CONV_TEXT;
        out->conv = CONV_ARRAY;
        out->element = t;
    } else {
        scalar_type(f, m, out);
    }
    out->allowed = arena_str(a, out->allowed);
}

static enum shape_type shape_type_of(enum conv c)
{
    switch (c) {
    case CONV_BOOL:
    case CONV_BIT:
        return SHAPE_BOOLEAN;
    case CONV_INT16:
        return SHAPE_INT16;
    case CONV_INT32:
    case CONV_DATE:
    case CONV_TIME_MS:
        return SHAPE_INT32;
    case CONV_INT64:
    case CONV_TIME_US:
    case CONV_TIMESTAMP_MS:
    case CONV_TIMESTAMP_US:
    case CONV_INTERVAL_US:
        return SHAPE_INT64;
    case CONV_FLOAT32:
        return SHAPE_FLOAT32;
    case CONV_FLOAT64:
    case CONV_NUMERIC_F64:
        return SHAPE_FLOAT64;
    case CONV_DECIMAL:
    case CONV_MONEY:
    case CONV_BYTES:
    case CONV_BITS:
        return SHAPE_BYTES;
    case CONV_VAR_DECIMAL:
        return SHAPE_STRUCT;
    case CONV_ARRAY:
        return SHAPE_ARRAY;
    default:
        return SHAPE_STRING;
    }
}

static void decimal_parameters(const struct type *t, struct arena *a, struct shape *s)
{
    struct shape_parameter *p = ARENA_ARRAY(a, struct shape_parameter, 2);

    p[0] = (struct shape_parameter){"scale", str_of(arena_fmt(a, "%d", t->scale))};
    p[1] = (struct shape_parameter){"connect.decimal.precision", str_of(arena_fmt(a, "%d", t->precision))};
    s->parameters = p;
    s->parameter_count = t->conv == CONV_MONEY ? 1 : 2;
}

struct shape *pgtype_shape(const struct type *t, struct arena *a)
{
    static const struct shape scale = {.type = SHAPE_INT32}, bytes = {.type = SHAPE_BYTES};
    struct shape *s = ARENA_NEW(a, struct shape);

    s->type = shape_type_of(t->conv);
    s->name = str_of(t->logical);
    s->version = t->logical ? 1 : 0;
    if (t->conv == CONV_DECIMAL || t->conv == CONV_MONEY) {
        decimal_parameters(t, a, s);
    } else if (t->conv == CONV_VAR_DECIMAL) {
        struct shape_field *f = ARENA_ARRAY(a, struct shape_field, 2);

        f[0] = (struct shape_field){STR("scale"), &scale};
        f[1] = (struct shape_field){STR("value"), &bytes};
        s->doc = "Variable scaled decimal";
        s->fields = f;
        s->field_count = 2;
    } else if (t->allowed.p || t->conv == CONV_BITS) {
        struct shape_parameter *p = ARENA_NEW(a, struct shape_parameter);

        p->key = t->allowed.p ? "allowed" : "length";
        p->value = t->allowed.p ? t->allowed : str_of(arena_fmt(a, "%d", t->length));
        s->parameters = p;
        s->parameter_count = 1;
    } else if (t->conv == CONV_ARRAY) {
        struct shape *items = pgtype_shape(t->element, a);

        items->optional = true;
        s->items = items;
    }
    return s;
}
