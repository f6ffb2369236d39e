#include "base/utf8.h"
#include "schema/avro_program.h"

#include <assert.h>
#include <endian.h>

/*
 * The hot path: one record through the program. `struct at` is the reader; a step that fails says why and the row is not
 * added. Nothing is allocated here but by CONV_JSON, CONV_DECIMAL_TEXT and CONV_VARIABLE, in the batch's arena.
 */
struct at {
    const uint8_t *p, *end;
    const char *why;
};

#define EXPECT(x) __builtin_expect(!!(x), 1)

static const char early[] = "the data ends early";

static bool bad(struct at *at, const char *why)
{
    at->why = why;
    return false;
}

/* Seven bits of each of eight bytes, low byte first, moved together in three steps. */
static inline uint64_t groups_of_seven(uint64_t w)
{
    w &= 0x7f7f7f7f7f7f7f7fU;
    w = (w & 0x7f007f007f007f00U) >> 1 | (w & 0x007f007f007f007fU);
    w = (w & 0x3fff00003fff0000U) >> 2 | (w & 0x00003fff00003fffU);
    return (w & 0x0fffffff00000000U) >> 4 | (w & 0x000000000fffffffU);
}

/* A varint of at most eight bytes, in a word and without a loop; false when it is longer or the data may end in it. */
static inline bool word_varint(struct at *at, uint64_t *out)
{
    uint64_t w, ends;

    if (at->end - at->p < 8)
        return false;
    memcpy(&w, at->p, sizeof w);
    w = le64toh(w);
    ends = ~w & 0x8080808080808080U;
    if (ends == 0)
        return false;
    *out = groups_of_seven(w & (ends ^ (ends - 1)));
    at->p += __builtin_ctzll(ends) / 8 + 1;
    return true;
}

static __attribute__((noinline)) bool long_varint(struct at *at, uint64_t *out)
{
    const uint8_t *p = at->p;
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 70 && p < at->end; shift += 7) {
        uint8_t b = *p++;

        if (shift == 63 && b > 1)
            return bad(at, "a varint does not fit 64 bits");
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) {
            at->p = p;
            *out = v;
            return true;
        }
    }
    return bad(at, p < at->end ? "a varint does not fit 64 bits" : early);
}

static inline bool uvarint(struct at *at, uint64_t *out)
{
    if (EXPECT(at->p < at->end && *at->p < 0x80)) {
        *out = *at->p++;
        return true;
    }
    return word_varint(at, out) || long_varint(at, out);
}

static inline bool varint(struct at *at, int64_t *out)
{
    uint64_t v;

    if (!uvarint(at, &v))
        return false;
    *out = (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
    return true;
}

static inline bool take(struct at *at, size_t n, const uint8_t **out)
{
    if (!EXPECT((size_t)(at->end - at->p) >= n))
        return bad(at, early);
    *out = at->p;
    at->p += n;
    return true;
}

static inline bool bytes(struct at *at, struct str *out)
{
    const uint8_t *p;
    int64_t n;

    if (!varint(at, &n))
        return false;
    if (!EXPECT(n >= 0 && n <= at->end - at->p))
        return bad(at, n < 0 ? "a negative length" : early);
    p = at->p;
    at->p += n;
    *out = str_from(p, (size_t)n);
    return true;
}

/* Passes n varints: counts the bytes that end one, eight at a time. */
static bool skip_varints(struct at *at, size_t n)
{
    while (n >= 8 && at->end - at->p >= 8) {
        uint64_t w;

        memcpy(&w, at->p, sizeof w);
        n -= (size_t)__builtin_popcountll(~w & 0x8080808080808080U);
        at->p += 8;
    }
    for (; n > 0 && at->p < at->end; at->p++)
        n -= *at->p < 0x80;
    return n == 0 || bad(at, early);
}

/* The branch of a union of null and a value. */
static inline bool branch(struct at *at, const struct avro_op *op, bool *is_null)
{
    int64_t i;

    if (!varint(at, &i))
        return false;
    *is_null = i == op->null_index && i >= 0;
    return EXPECT(i == op->value_index || *is_null) || bad(at, "no such branch of a union");
}

static bool skip_optionals(struct at *at, const struct avro_op *op)
{
    bool is_null, strings = op->code == OP_SKIP_OPT_STRINGS;
    uint64_t number;
    struct str text;

    for (size_t i = 0; i < op->n; i++) {
        if (!branch(at, op, &is_null))
            return false;
        if (!is_null && !(strings ? bytes(at, &text) : uvarint(at, &number)))
            return false;
    }
    return true;
}

static bool skip_strings(struct at *at, size_t n)
{
    struct str s;

    while (n-- > 0)
        if (!bytes(at, &s))
            return false;
    return true;
}

static bool skip_value(struct at *at, const struct avro *type)
{
    struct rd r = rd_from(at->p, (size_t)(at->end - at->p));

    avro_skip(type, &r);
    if (!rd_ok(&r))
        return bad(at, rd_why(&r));
    at->p = r.at;
    return true;
}

/* ---- values ---- */

static bool ascii(struct str s)
{
    uint64_t w, all = 0;
    size_t i = 0;

    for (; i + 8 <= s.n; i += 8) {
        memcpy(&w, s.p + i, sizeof w);
        all |= w;
    }
    for (; i < s.n; i++)
        all |= (uint8_t)s.p[i] & 0x80;
    return (all & 0x8080808080808080U) == 0;
}

static inline bool text(struct at *at, struct str *out)
{
    if (!bytes(at, out))
        return false;
    return EXPECT(ascii(*out)) || utf8_ok(*out) || bad(at, "text that is not UTF-8");
}

/* Debezium writes PostgreSQL's infinities as the largest times of Java's clock, in milliseconds or microseconds. */
static inline int64_t keep_infinity(int64_t micros)
{
    if (micros >= 9223372036825200000)
        return INT64_MAX;
    return micros <= -9223372036832400000 ? -INT64_MAX : micros;
}

static bool instant(struct at *at, enum avro_conv conv, int64_t *out)
{
    int64_t v;

    if (!varint(at, &v))
        return false;
    if (conv == CONV_INSTANT_MILLIS && __builtin_mul_overflow(v, 1000, &v))
        return bad(at, "a time out of range");
    if (conv == CONV_INSTANT_NANOS && v != INT64_MAX && v > -INT64_MAX)
        v = v / 1000 - (v % 1000 < 0);
    *out = keep_infinity(v);
    return true;
}

static bool time_of_day(struct at *at, enum avro_conv conv, int64_t *out)
{
    int64_t v;

    if (!varint(at, &v))
        return false;
    if (conv == CONV_NANOS)
        *out = v / 1000;
    else if (__builtin_mul_overflow(v, 1000, out))
        return bad(at, "a time out of range");
    return true;
}

static bool small(struct at *at, enum column_type type, int32_t *out)
{
    int64_t v;

    if (!varint(at, &v))
        return false;
    if (v < INT32_MIN || v > INT32_MAX)
        return bad(at, "an int does not fit 32 bits");
    *out = type == COLUMN_DATE && v == INT32_MIN ? -INT32_MAX : (int32_t)v;
    return true;
}

static bool single(struct at *at, float *out)
{
    const uint8_t *p;
    uint32_t bits;

    if (!take(at, sizeof bits, &p))
        return false;
    memcpy(&bits, p, sizeof bits);
    bits = le32toh(bits);
    memcpy(out, &bits, sizeof bits);
    return true;
}

static bool dbl(struct at *at, double *out)
{
    const uint8_t *p;
    uint64_t bits;

    if (!take(at, sizeof bits, &p))
        return false;
    memcpy(&bits, p, sizeof bits);
    bits = le64toh(bits);
    memcpy(out, &bits, sizeof bits);
    return true;
}

static bool fixed(struct at *at, size_t n, struct str *out)
{
    const uint8_t *p;

    if (!take(at, n, &p))
        return false;
    *out = str_from(p, n);
    return true;
}

static bool decimal(struct at *at, const struct avro_op *op, i128 *out)
{
    struct str s;

    if (op->conv == CONV_DECIMAL ? !bytes(at, &s) : !fixed(at, op->n, &s))
        return false;
    return avro_decimal(s, op->precision, out) || bad(at, "a number does not fit its decimal");
}

static bool symbol(struct at *at, const struct avro *type, struct str *out)
{
    int64_t i;

    if (!varint(at, &i))
        return false;
    if (i < 0 || (uint64_t)i >= type->count)
        return bad(at, "no such symbol of an enum");
    *out = type->symbols[i];
    return true;
}

static bool boolean(struct at *at, bool *out)
{
    const uint8_t *p;

    if (!take(at, 1, &p))
        return false;
    *out = *p != 0;
    return *p <= 1 || bad(at, "a boolean that is neither 0 nor 1");
}

static bool zoned(struct at *at, int64_t *out)
{
    struct str s;

    return bytes(at, &s) && (avro_zoned(s, out) || bad(at, "not a time with its offset"));
}

static bool digits(struct at *at, const struct avro_op *op, struct arena *a, struct str *out)
{
    int64_t scale = op->type->scale;
    struct str s;

    if ((op->conv == CONV_VARIABLE && !varint(at, &scale)) || !bytes(at, &s))
        return false;
    *out = avro_decimal_text(s, scale, a);
    return out->p != NULL || bad(at, "a number of too many digits");
}

static bool json(struct at *at, const struct avro *type, struct arena *a, struct str *out)
{
    size_t left = (size_t)(at->end - at->p);
    struct rd r = rd_from(at->p, left);
    struct buf b = buf_make(1024 + 64 * left); // an element of one byte is a record of names at worst
    struct err ignored;

    if (!avro_to_json(type, &r, &b, &ignored)) {
        bad(at, rd_ok(&r) ? "a value too large for JSON" : rd_why(&r));
        buf_fini(&b);
        return false;
    }
    at->p = r.at;
    *out = arena_str(a, buf_view(&b));
    buf_fini(&b);
    return true;
}

static inline bool read_value(struct at *at, const struct avro_op *op, struct columns *c)
{
    struct column *to = &c->column[op->column];
    size_t row = c->rows;
    float f = 0;

    switch ((enum avro_conv)op->conv) {
    case CONV_BOOL:
        return boolean(at, &to->bools[row]);
    case CONV_I32:
        return small(at, to->type, &to->i32[row]);
    case CONV_I64:
        return varint(at, &to->i64[row]);
    case CONV_F32:
        return single(at, &to->f32[row]);
    case CONV_F64:
        return dbl(at, &to->f64[row]);
    case CONV_F32_TO_F64:
        if (!single(at, &f))
            return false;
        to->f64[row] = (double)f;
        return true;
    case CONV_TEXT:
        return text(at, &to->strs[row]);
    case CONV_BYTES:
        return bytes(at, &to->strs[row]);
    case CONV_FIXED:
        return fixed(at, op->n, &to->strs[row]);
    case CONV_ENUM:
        return symbol(at, op->type, &to->strs[row]);
    case CONV_DECIMAL:
    case CONV_DECIMAL_FIXED:
        return decimal(at, op, &to->i128[row]);
    case CONV_DECIMAL_TEXT:
    case CONV_VARIABLE:
        return digits(at, op, c->arena, &to->strs[row]);
    case CONV_MILLIS:
    case CONV_NANOS:
        return time_of_day(at, (enum avro_conv)op->conv, &to->i64[row]);
    case CONV_INSTANT:
    case CONV_INSTANT_MILLIS:
    case CONV_INSTANT_NANOS:
        return instant(at, (enum avro_conv)op->conv, &to->i64[row]);
    case CONV_ZONED:
        return zoned(at, &to->i64[row]);
    case CONV_JSON:
        return json(at, op->type, c->arena, &to->strs[row]);
    }
    return false;
}

/* ---- the program ---- */

static void set_nulls(const struct avro_decoder *d, const struct avro_op *op, struct columns *c)
{
    for (size_t i = 0; i < op->n; i++)
        c->column[d->null[op->first + i]].nulls[c->rows] = true;
}

static const char required[] = "null where a value is required";

static inline bool read_column(struct at *at, const struct avro_op *op, struct columns *c)
{
    bool is_null = false;

    if (op->value_index >= 0 && !branch(at, op, &is_null))
        return false;
    c->column[op->column].nulls[c->rows] = is_null;
    if (!is_null)
        return read_value(at, op, c);
    return !op->required || bad(at, required);
}

/* The step that failed, or NULL at the end of the program. */
static const struct avro_op *run(const struct avro_decoder *d, struct at *at, struct columns *c)
{
    bool ok = true, is_null = false;
    const struct avro_op *op;

    for (op = d->ops; ok; op++) {
        switch ((enum avro_code)op->code) {
        case OP_END:
            return NULL;
        case OP_SKIP_VARINTS:
            ok = skip_varints(at, op->n);
            break;
        case OP_SKIP_BYTES:
            ok = (size_t)(at->end - at->p) >= op->n || bad(at, early);
            at->p += ok ? op->n : 0;
            break;
        case OP_SKIP_STRINGS:
            ok = skip_strings(at, op->n);
            break;
        case OP_SKIP_OPT_VARINTS:
        case OP_SKIP_OPT_STRINGS:
            ok = skip_optionals(at, op);
            break;
        case OP_SKIP_VALUE:
            ok = skip_value(at, op->type);
            break;
        case OP_ENTER:
            ok = branch(at, op, &is_null);
            if (!ok || !is_null)
                break;
            ok = !op->required || bad(at, required);
            set_nulls(d, op, c);
            if (ok)
                op = &d->ops[op->to] - 1;
            break;
        case OP_READ:
            ok = read_column(at, op, c);
            break;
        case OP_NULLS:
            set_nulls(d, op, c);
            break;
        }
    }
    return op - 1;
}

static bool explain(const struct avro_decoder *d, const struct avro_op *op, const struct at *at,
                    struct err *e)
{
    if (op->code == OP_READ)
        return err_set(e, ERR_CORRUPT, "Avro record, column %.*s: %s", STR_ARG(d->paths[op->column]),
                       at->why);
    return err_set(e, ERR_CORRUPT, "Avro record: %s", at->why);
}

bool avro_decode_next(const struct avro_decoder *d, struct rd *r, struct columns *c, struct err *e)
{
    struct at at = {.p = r->at, .end = r->end};
    const struct avro_op *failed;

    assert(c->rows < c->capacity && c->count == d->count);
    if (!rd_ok(r))
        return err_set(e, ERR_CORRUPT, "Avro record: %s", rd_why(r));
    failed = run(d, &at, c);
    if (failed)
        return explain(d, failed, &at, e);
    r->at = at.p;
    c->rows++;
    return true;
}

bool avro_decode(const struct avro_decoder *d, struct str data, struct columns *c, struct err *e)
{
    struct rd r = rd_str(data);

    if (!avro_decode_next(d, &r, c, e))
        return false;
    if (rd_left(&r) > 0) {
        c->rows--;
        return err_set(e, ERR_CORRUPT, "Avro record: %zu bytes behind its end", rd_left(&r));
    }
    return true;
}
