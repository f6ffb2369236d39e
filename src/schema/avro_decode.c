#include "base/mem.h"
#include "schema/avro_program.h"

#include <assert.h>

/* A program of more steps is not worth it: what would come is skipped value by value. */
enum { OPS_MAX = 100000, INLINE_DEPTH = 8 };

struct want {
    struct str rest; // of the path, from where the compiler is
    uint32_t column;
};

struct compile {
    struct avro_decoder *d;
    const struct avro_want *wants;
    bool *found; // [count] columns that were reached
    size_t op_cap, null_cap;
    size_t barrier; // steps before it may not be merged with: a jump leads here
    struct err *e;
};

/* ---- writing steps ---- */

static struct avro_op *emit(struct compile *c, enum avro_code code)
{
    struct avro_decoder *d = c->d;

    MEM_PUSH_ROOM(d->ops, d->op_count, c->op_cap);
    d->ops[d->op_count] = (struct avro_op){.code = (uint8_t)code, .null_index = -1, .value_index = -1};
    return &d->ops[d->op_count++];
}

/* n more of a skip, merged with the step before when that is the same. */
static void emit_run(struct compile *c, enum avro_code code, int null_index, size_t n)
{
    struct avro_decoder *d = c->d;
    struct avro_op *last = d->op_count > c->barrier ? &d->ops[d->op_count - 1] : NULL;

    if (n == 0)
        return;
    if (!last || last->code != code || last->null_index != null_index) {
        last = emit(c, code);
        last->null_index = (int8_t)null_index;
        last->value_index = (int8_t)(null_index >= 0 ? 1 - null_index : -1);
    }
    last->n += n;
}

/* A union that is null and one other type, or one type alone. */
static bool is_optional(const struct avro *s, int *null_index, int *value_index)
{
    *null_index = *value_index = -1;
    if (s->kind != AVRO_UNION)
        return true;
    if (s->count < 1 || s->count > 2)
        return false;
    for (int i = 0; i < (int)s->count; i++) {
        if (s->branches[i]->kind == AVRO_NULL)
            *null_index = i;
        else
            *value_index = i;
    }
    return *value_index >= 0 && (s->count == 1 || *null_index >= 0);
}

static void emit_skip(struct compile *c, const struct avro *s, int depth);

/* A union that nobody wants. */
static void emit_skip_union(struct compile *c, const struct avro *s, int depth)
{
    int null_index, value_index;
    struct avro_op *op;
    const struct avro *v;
    size_t at;

    if (!is_optional(s, &null_index, &value_index) || null_index < 0 || depth > INLINE_DEPTH) {
        emit(c, OP_SKIP_VALUE)->type = s;
        return;
    }
    v = s->branches[value_index];
    if (v->kind == AVRO_INT || v->kind == AVRO_LONG || v->kind == AVRO_ENUM) {
        emit_run(c, OP_SKIP_OPT_VARINTS, null_index, 1);
    } else if (v->kind == AVRO_STRING || v->kind == AVRO_BYTES) {
        emit_run(c, OP_SKIP_OPT_STRINGS, null_index, 1);
    } else {
        at = c->d->op_count;
        op = emit(c, OP_ENTER);
        op->null_index = (int8_t)null_index;
        op->value_index = (int8_t)value_index;
        c->barrier = c->d->op_count;
        emit_skip(c, v, depth + 1);
        c->d->ops[at].to = (uint32_t)c->d->op_count;
        c->barrier = c->d->op_count;
    }
}

static void emit_skip(struct compile *c, const struct avro *s, int depth)
{
    if (s->min_bytes == 0)
        return;
    switch (s->kind) {
    case AVRO_NULL:
        break;
    case AVRO_INT:
    case AVRO_LONG:
    case AVRO_ENUM:
        emit_run(c, OP_SKIP_VARINTS, -1, 1);
        break;
    case AVRO_BOOLEAN:
    case AVRO_FLOAT:
    case AVRO_DOUBLE:
        emit_run(c, OP_SKIP_BYTES, -1, s->min_bytes);
        break;
    case AVRO_FIXED:
        emit_run(c, OP_SKIP_BYTES, -1, (size_t)s->size);
        break;
    case AVRO_STRING:
    case AVRO_BYTES:
        emit_run(c, OP_SKIP_STRINGS, -1, 1);
        break;
    case AVRO_RECORD:
        if (depth > INLINE_DEPTH || c->d->op_count > OPS_MAX) {
            emit(c, OP_SKIP_VALUE)->type = s;
            break;
        }
        for (size_t i = 0; i < s->count; i++)
            emit_skip(c, s->fields[i].type, depth + 1);
        break;
    case AVRO_ARRAY:
    case AVRO_MAP:
        emit(c, OP_SKIP_VALUE)->type = s;
        break;
    case AVRO_UNION:
        emit_skip_union(c, s, depth);
        break;
    }
}

/* ---- columns ---- */

static struct str last_segment(struct str path)
{
    for (size_t i = path.n; i > 0; i--)
        if (path.p[i - 1] == '.')
            return str_from(path.p + i, path.n - i);
    return path;
}

/* The column of a type: as it is, or as the caller wants it. */
static bool choose_column(struct compile *c, uint32_t i, struct column natural, enum avro_conv *conv)
{
    const struct column *as = c->wants[i].as;
    struct column *to = &c->d->columns[i];

    natural.name = last_segment(c->d->paths[i]);
    if (as && !avro_promote(&natural, as, conv))
        return err_set(c->e, ERR_INVALID, "column %.*s: %s cannot be read as %s", STR_ARG(c->d->paths[i]),
                       column_type_name(natural.type), column_type_name(as->type));
    *to = as ? *as : natural;
    to->nulls = NULL;
    to->any = NULL;
    c->found[i] = true;
    return true;
}

static bool emit_read(struct compile *c, const struct avro *s, uint32_t i, bool in_optional)
{
    int null_index, value_index;
    const struct avro *v = s;
    struct column natural;
    enum avro_conv conv;
    struct avro_op *op;

    if (!is_optional(s, &null_index, &value_index))
        null_index = value_index = -1; // a union of several types: JSON, index and all
    else if (value_index >= 0)
        v = s->branches[value_index];
    conv = avro_conv(v, &natural);
    natural.required = !avro_is_nullable(s) && !in_optional;
    if (!choose_column(c, i, natural, &conv))
        return false;
    op = emit(c, OP_READ);
    op->conv = (uint8_t)conv;
    op->null_index = (int8_t)null_index;
    op->value_index = (int8_t)value_index;
    op->column = i;
    op->type = v;
    op->precision = natural.precision;
    op->required = c->d->columns[i].required;
    op->n = v->kind == AVRO_FIXED ? (size_t)v->size : 0;
    return true;
}

static void add_null(struct compile *c, uint32_t column)
{
    MEM_PUSH_ROOM(c->d->null, c->d->null_count, c->null_cap);
    c->d->null[c->d->null_count++] = column;
}

/* Those wants whose path goes on with this field, with the field taken off. */
static size_t narrow(const struct want *wants, size_t n, struct str field, struct want *out)
{
    size_t m = 0;

    for (size_t i = 0; i < n; i++) {
        struct str rest = wants[i].rest;

        if (!str_starts(rest, field) || (rest.n > field.n && rest.p[field.n] != '.'))
            continue;
        rest = rest.n == field.n ? STR("") : str_from(rest.p + field.n + 1, rest.n - field.n - 1);
        out[m++] = (struct want){rest, wants[i].column};
    }
    return m;
}

static bool emit_record(struct compile *c, const struct avro *s, const struct want *wants, size_t n,
                        bool in_optional);

/* A record, or a union of null and a record, with columns inside. */
static bool emit_inside(struct compile *c, const struct avro *s, const struct want *wants, size_t n,
                        bool in_optional)
{
    int null_index, value_index;
    struct avro_op *op;
    size_t at, first = c->d->null_count;

    if (s->kind == AVRO_RECORD)
        return emit_record(c, s, wants, n, in_optional);
    if (s->kind != AVRO_UNION || !is_optional(s, &null_index, &value_index) ||
        s->branches[value_index]->kind != AVRO_RECORD)
        return true; // the wants stay unfound
    at = c->d->op_count;
    op = emit(c, OP_ENTER);
    op->null_index = (int8_t)null_index;
    op->value_index = (int8_t)value_index;
    op->first = (uint32_t)first;
    op->n = n;
    for (size_t i = 0; i < n; i++)
        add_null(c, wants[i].column);
    c->barrier = c->d->op_count;
    if (!emit_record(c, s->branches[value_index], wants, n, null_index >= 0 || in_optional))
        return false;
    op = &c->d->ops[at];
    op->to = (uint32_t)c->d->op_count;
    for (size_t i = 0; i < n; i++)
        op->required |= c->d->columns[wants[i].column].required;
    c->barrier = c->d->op_count;
    return true;
}

static bool emit_record(struct compile *c, const struct avro *s, const struct want *wants, size_t n,
                        bool in_optional)
{
    struct want *sub = MEM_ARRAY(struct want, n);
    bool ok = true;

    for (size_t i = 0; ok && i < s->count; i++) {
        const struct avro_field *f = &s->fields[i];
        size_t m = narrow(wants, n, f->name, sub);
        size_t ends = 0;

        for (size_t k = 0; k < m; k++)
            ends += sub[k].rest.n == 0;
        if (m == 0)
            emit_skip(c, f->type, 0);
        else if (ends == 0)
            ok = emit_inside(c, f->type, sub, m, in_optional);
        else if (m == 1)
            ok = emit_read(c, f->type, sub[0].column, in_optional);
        else
            ok = err_set(c->e, ERR_INVALID, "field %.*s is wanted twice, or with what is in it",
                         STR_ARG(c->d->paths[sub[0].column]));
        if (ok && c->d->op_count > (size_t)2 * OPS_MAX)
            ok = err_set(c->e, ERR_LIMIT, "the schema is too large to decode");
    }
    mem_free(sub);
    return ok;
}

static bool compile(struct compile *c, const struct avro *writer, size_t count)
{
    struct avro_decoder *d = c->d;
    struct want *wants = MEM_ARRAY(struct want, count);
    size_t n = 0;
    bool ok;

    for (uint32_t i = 0; i < count; i++) {
        if (c->wants[i].path) {
            wants[n++] = (struct want){d->paths[i], i};
            continue;
        }
        d->columns[i] = c->wants[i].as ? *c->wants[i].as : (struct column){.type = COLUMN_TEXT};
        d->columns[i].required = false;
        c->found[i] = true;
        add_null(c, i);
    }
    if (d->null_count > 0)
        emit(c, OP_NULLS)->n = d->null_count;
    ok = emit_record(c, writer, wants, n, false);
    mem_free(wants);
    for (uint32_t i = 0; ok && i < count; i++)
        if (!c->found[i])
            ok = err_set(c->e, ERR_NOT_FOUND, "the schema has no field %.*s", STR_ARG(d->paths[i]));
    emit(c, OP_END);
    return ok;
}

bool avro_decoder_new(struct arena *a, const struct avro *writer, const struct avro_want *wants, size_t count,
                      struct avro_decoder **out, struct err *e)
{
    struct avro_decoder *d = ARENA_NEW(a, struct avro_decoder);
    struct compile c = {.d = d, .wants = wants, .e = e};
    bool ok;

    if (writer->kind != AVRO_RECORD)
        return err_set(e, ERR_INVALID, "rows are made of records, this schema is of type %s",
                       avro_kind_name(writer->kind));
    d->count = count;
    d->columns = ARENA_ARRAY(a, struct column, count);
    d->paths = ARENA_ARRAY(a, struct str, count);
    for (size_t i = 0; i < count; i++)
        d->paths[i] = wants[i].path ? arena_str(a, str_of(wants[i].path)) : STR("");
    c.found = MEM_ARRAY(bool, count);
    ok = compile(&c, writer, count);
    if (ok) {
        struct avro_op *ops = d->ops;
        uint32_t *null = d->null;

        d->ops = arena_copy(a, ops, d->op_count * sizeof *ops);
        d->null = arena_copy(a, null, d->null_count * sizeof *null);
        mem_free(ops);
        mem_free(null);
        *out = d;
    } else {
        mem_free(d->ops);
        mem_free(d->null);
    }
    mem_free(c.found);
    return ok;
}

const struct column *avro_decoder_columns(const struct avro_decoder *d)
{
    return d->columns;
}

bool avro_column(const struct avro *writer, const char *path, struct column *out)
{
    struct str rest = str_of(path), part;
    const struct avro *s = writer;
    bool optional = false;

    while (str_cut(&rest, '.', &part)) {
        const struct avro_field *f;

        optional |= s != writer && avro_is_nullable(s);
        s = avro_strip_null(s);
        f = s->kind == AVRO_RECORD ? avro_field(s, part) : NULL;
        if (!f)
            return false;
        s = f->type;
    }
    if (s == writer)
        return false;
    (void)avro_conv(avro_strip_null(s), out);
    out->name = last_segment(str_of(path));
    out->required = !optional && !avro_is_nullable(s);
    return true;
}
