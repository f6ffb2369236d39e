#include "kafka/wire.h"

#include "base/mem.h"
#include "base/rd.h"
#include "os/os.h"

#include <assert.h>

/* ---- read ---- */

struct reader {
    struct rd r;
    struct arena *arena;
    int version;
    bool flexible;
    size_t room; // bytes that lists may still take
};

static bool has(const struct wire_field *f, int version)
{
    return version >= f->first && version <= f->last;
}

/* The fewest bytes one element takes, so that a count can be checked against what is left. */
static size_t least(const struct wire_msg *m, int version, bool flexible)
{
    static const uint8_t fixed[] = {
        [WIRE_BOOL] = 1,    [WIRE_I8] = 1,    [WIRE_I16] = 2,    [WIRE_I32] = 4,
        [WIRE_I64] = 8,     [WIRE_UUID] = 16, [WIRE_STR] = 2,    [WIRE_BYTES] = 4,
        [WIRE_RECORDS] = 4, [WIRE_LIST] = 4,  [WIRE_LIST_N] = 4, [WIRE_STRS] = 4,
        [WIRE_STRS_N] = 4,  [WIRE_INTS] = 4,  [WIRE_LONGS] = 4,  [WIRE_ONE_N] = 1};
    size_t n = flexible ? 1 : 0;

    for (size_t i = 0; i < m->count; i++)
        if (has(&m->fields[i], version))
            n += flexible && m->fields[i].kind >= WIRE_STR ? 1 : fixed[m->fields[i].kind];
    return n;
}

void wire_skip_tags(struct rd *r, bool flexible)
{
    for (uint32_t n = flexible ? rd_uvarint(r) : 0; n > 0 && rd_ok(r); n--) {
        rd_uvarint(r);
        rd_skip(r, rd_uvarint(r));
    }
}

int64_t wire_length(struct rd *r, bool flexible, bool is_short)
{
    if (flexible)
        return (int64_t)rd_uvarint(r) - 1;
    return is_short ? rd_i16(r) : rd_i32(r);
}

static struct str read_str(struct reader *w, bool is_short, bool null_ok)
{
    int64_t n = wire_length(&w->r, w->flexible, is_short);

    if (is_short && n > INT16_MAX) {
        rd_fail(&w->r, "a string is over 32767 bytes");
        return STR_NULL;
    }
    if (n >= 0)
        return rd_bytes(&w->r, (size_t)n);
    if (n < -1 || !null_ok)
        rd_fail(&w->r, "a field is null or has a negative length");
    return STR_NULL;
}

/* Memory for n elements that take at least `each` bytes on the wire and `size` here. */
static void *take_list(struct reader *w, int64_t n, size_t each, size_t size)
{
    size_t count = rd_count(&w->r, n, each);

    if (count > w->room / size) {
        rd_fail(&w->r, "its lists are too long");
        return NULL;
    }
    w->room -= count * size;
    return rd_ok(&w->r) ? arena_alloc(w->arena, count * size) : NULL;
}

static void read_struct(struct reader *w, const struct wire_msg *m, char *out);

/* Of one element here. */
static size_t element_size(const struct wire_field *f)
{
    return f->of                   ? f->of->size
           : f->kind == WIRE_INTS  ? sizeof(int32_t)
           : f->kind == WIRE_LONGS ? sizeof(int64_t)
                                   : sizeof(struct str);
}

/* The fewest bytes of one element on the wire. */
static size_t element_least(const struct reader *w, const struct wire_field *f)
{
    return f->of                   ? least(f->of, w->version, w->flexible)
           : f->kind == WIRE_INTS  ? 4
           : f->kind == WIRE_LONGS ? 8
           : w->flexible           ? 1
                                   : 2;
}

static void read_list(struct reader *w, const struct wire_field *f, char *out)
{
    int64_t n = wire_length(&w->r, w->flexible, false);
    bool null_ok = f->kind == WIRE_LIST_N || f->kind == WIRE_STRS_N;
    size_t size = element_size(f), each = element_least(w, f);
    void *list = NULL;
    int32_t count = -1;

    if (n >= 0 || n < -1 || !null_ok) {
        list = take_list(w, n, each, size);
        count = list ? (int32_t)n : 0;
    }
    for (int32_t i = 0; i < count && rd_ok(&w->r); i++) {
        if (f->of)
            read_struct(w, f->of, (char *)list + (size_t)i * size);
        else if (f->kind == WIRE_INTS)
            ((int32_t *)list)[i] = rd_i32(&w->r);
        else if (f->kind == WIRE_LONGS)
            ((int64_t *)list)[i] = rd_i64(&w->r);
        else
            ((struct str *)list)[i] = read_str(w, true, false);
    }
    memcpy(out + f->at, &list, sizeof list);
    memcpy(out + f->at_n, &count, sizeof count);
}

/* A struct behind a byte that is negative when there is none. */
static void read_one(struct reader *w, const struct wire_field *f, char *out)
{
    int32_t count = rd_i8(&w->r) < 0 ? -1 : 1;
    void *one = count > 0 ? take_list(w, 1, least(f->of, w->version, w->flexible), f->of->size) : NULL;

    if (one)
        read_struct(w, f->of, one);
    memcpy(out + f->at, &one, sizeof one);
    memcpy(out + f->at_n, &count, sizeof count);
}

static void set_number(const struct wire_field *f, char *out, int64_t v)
{
    switch (f->kind) {
    case WIRE_BOOL:
        *(bool *)(void *)(out + f->at) = v != 0;
        break;
    case WIRE_I8:
        *(int8_t *)(void *)(out + f->at) = (int8_t)v;
        break;
    case WIRE_I16:
        *(int16_t *)(void *)(out + f->at) = (int16_t)v;
        break;
    case WIRE_I32:
        *(int32_t *)(void *)(out + f->at) = (int32_t)v;
        break;
    case WIRE_I64:
        *(int64_t *)(void *)(out + f->at) = v;
        break;
    default:
        assert(!"a field that holds a number");
    }
}

static int64_t read_number(struct rd *r, enum wire_kind kind)
{
    switch (kind) {
    case WIRE_BOOL:
    case WIRE_I8:
        return rd_i8(r);
    case WIRE_I16:
        return rd_i16(r);
    case WIRE_I32:
        return rd_i32(r);
    default:
        return rd_i64(r);
    }
}

static void read_field(struct reader *w, const struct wire_field *f, char *out)
{
    bool null_ok = w->version >= f->otherwise;
    struct str s;

    switch (f->kind) {
    case WIRE_STR:
        *(struct str *)(void *)(out + f->at) = read_str(w, true, null_ok);
        break;
    case WIRE_BYTES:
        *(struct str *)(void *)(out + f->at) = read_str(w, false, null_ok);
        break;
    case WIRE_RECORDS:
        *(struct wire_records *)(void *)(out + f->at) =
            (struct wire_records){.bytes = read_str(w, false, null_ok)};
        break;
    case WIRE_UUID:
        s = rd_bytes(&w->r, 16);
        if (s.p)
            memcpy(out + f->at, s.p, 16);
        break;
    case WIRE_LIST:
    case WIRE_LIST_N:
    case WIRE_STRS:
    case WIRE_STRS_N:
    case WIRE_INTS:
    case WIRE_LONGS:
        read_list(w, f, out);
        break;
    case WIRE_ONE_N:
        read_one(w, f, out);
        break;
    default:
        set_number(f, out, read_number(&w->r, f->kind));
    }
}

/* The struct was zeroed. A string that is not there is null where it may be null in a later version, else empty. */
static void set_default(const struct wire_field *f, char *out)
{
    struct str s = f->otherwise == WIRE_NEVER ? STR("") : STR_NULL;

    if (f->kind < WIRE_UUID)
        set_number(f, out, f->otherwise);
    else if (f->kind == WIRE_STR || f->kind == WIRE_BYTES)
        memcpy(out + f->at, &s, sizeof s);
}

void wire_default(const struct wire_msg *m, void *out)
{
    memset(out, 0, m->size);
    for (size_t i = 0; i < m->count; i++)
        set_default(&m->fields[i], out);
}

static void read_struct(struct reader *w, const struct wire_msg *m, char *out)
{
    for (size_t i = 0; i < m->count && rd_ok(&w->r); i++) {
        if (has(&m->fields[i], w->version))
            read_field(w, &m->fields[i], out);
        else
            set_default(&m->fields[i], out);
    }
    wire_skip_tags(&w->r, w->flexible);
}

bool wire_read(const struct wire_in *in, const struct wire_msg *m, void *out, struct err *e)
{
    struct reader w = {.r = rd_str(in->bytes),
                       .arena = in->arena,
                       .version = in->version,
                       .flexible = in->flexible,
                       .room = WIRE_LISTS_MAX};

    memset(out, 0, m->size);
    read_struct(&w, m, out);
    if (rd_ok(&w.r) && rd_left(&w.r) > 0 && !in->rest_ok)
        rd_fail(&w.r, "there are bytes behind its end");
    if (!rd_ok(&w.r))
        return err_set(e, ERR_BAD_INPUT, "%s version %d: %s", m->name, in->version, rd_why(&w.r));
    return true;
}

/* ---- write ---- */

struct writer {
    struct wire_out *out;
    int version;
    bool flexible;
};

void wire_out_fini(struct wire_out *o)
{
    for (size_t i = 0; i < o->splice_count; i++) {
        struct wire_splice *s = &o->splices[i];

        if (s->lent.release)
            s->lent.release(s->lent.arg);
        os_close(os_real(), s->piece.fd);
    }
    mem_free(o->splices);
    buf_fini(&o->buf);
    *o = (struct wire_out){0};
}

static void write_length(struct writer *w, int64_t n, bool is_short)
{
    struct buf *b = &w->out->buf;

    if (w->flexible)
        buf_uvarint(b, (uint64_t)(n + 1));
    else if (is_short)
        buf_i16(b, (int16_t)n);
    else
        buf_i32(b, (int32_t)n);
}

/* Null where null may not be is written as empty. */
static void write_str(struct writer *w, struct str s, bool is_short, bool null_ok)
{
    assert((s.p || s.n == 0) && (!is_short || s.n <= INT16_MAX));
    write_length(w, s.p || !null_ok ? (int64_t)s.n : -1, is_short);
    buf_str(&w->out->buf, s);
}

static void splice(struct wire_out *o, struct wire_splice s)
{
    MEM_PUSH_ROOM(o->splices, o->splice_count, o->splice_cap);
    s.at = o->buf.n;
    o->splices[o->splice_count++] = s;
}

static void write_records(struct writer *w, const struct wire_records *r, bool null_ok)
{
    struct wire_out *o = w->out;
    size_t n = r->piece.n;

    for (size_t i = 0; i < r->lent_n; i++)
        n += r->lent[i].n;
    if (n == 0) {
        write_str(w, r->bytes, false, null_ok);
        return;
    }
    write_length(w, (int64_t)n, false);
    for (size_t i = 0; i < r->lent_n; i++)
        splice(o, (struct wire_splice){.lent = r->lent[i], .piece.fd = -1});
    if (r->piece.n > 0)
        splice(o, (struct wire_splice){.piece = r->piece});
    o->spliced += n;
}

static void write_struct(struct writer *w, const struct wire_msg *m, const char *in);

static void write_list(struct writer *w, const struct wire_field *f, const char *in)
{
    const char *list;
    int32_t count;

    memcpy(&list, in + f->at, sizeof list);
    memcpy(&count, in + f->at_n, sizeof count);
    if (count < 0 && f->kind != WIRE_LIST_N && f->kind != WIRE_STRS_N)
        count = 0;
    write_length(w, count, false);
    for (int32_t i = 0; i < count; i++) {
        if (f->of)
            write_struct(w, f->of, list + (size_t)i * f->of->size);
        else if (f->kind == WIRE_INTS)
            buf_i32(&w->out->buf, ((const int32_t *)(const void *)list)[i]);
        else if (f->kind == WIRE_LONGS)
            buf_i64(&w->out->buf, ((const int64_t *)(const void *)list)[i]);
        else
            write_str(w, ((const struct str *)(const void *)list)[i], true, false);
    }
}

static void write_one(struct writer *w, const struct wire_field *f, const char *in)
{
    const char *one;
    int32_t count;

    memcpy(&one, in + f->at, sizeof one);
    memcpy(&count, in + f->at_n, sizeof count);
    buf_u8(&w->out->buf, count > 0 ? 1 : 0xff);
    if (count > 0)
        write_struct(w, f->of, one);
}

static void write_field(struct writer *w, const struct wire_field *f, const char *in)
{
    struct buf *b = &w->out->buf;
    const void *p = in + f->at;
    bool null_ok = w->version >= f->otherwise;

    switch (f->kind) {
    case WIRE_BOOL:
        buf_u8(b, *(const bool *)p);
        break;
    case WIRE_I8:
        buf_u8(b, (uint8_t) * (const int8_t *)p);
        break;
    case WIRE_I16:
        buf_i16(b, *(const int16_t *)p);
        break;
    case WIRE_I32:
        buf_i32(b, *(const int32_t *)p);
        break;
    case WIRE_I64:
        buf_i64(b, *(const int64_t *)p);
        break;
    case WIRE_UUID:
        buf_put(b, p, 16);
        break;
    case WIRE_STR:
    case WIRE_BYTES:
        write_str(w, *(const struct str *)p, f->kind == WIRE_STR, null_ok);
        break;
    case WIRE_RECORDS:
        write_records(w, p, null_ok);
        break;
    case WIRE_ONE_N:
        write_one(w, f, in);
        break;
    default:
        write_list(w, f, in);
    }
}

static void write_struct(struct writer *w, const struct wire_msg *m, const char *in)
{
    for (size_t i = 0; i < m->count; i++)
        if (has(&m->fields[i], w->version))
            write_field(w, &m->fields[i], in);
    if (w->flexible)
        buf_uvarint(&w->out->buf, 0); // no tagged fields
}

void wire_write(struct wire_out *o, const struct wire_msg *m, int version, bool flexible, const void *in)
{
    struct writer w = {.out = o, .version = version, .flexible = flexible};

    write_struct(&w, m, in);
}
