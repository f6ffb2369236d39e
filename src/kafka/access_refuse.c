/*
 * Refusals are made from the tables of messages: whatever the API, its answer repeats the names that were asked about and has an error
 * with each. Fields that the request does not give have the value of versions without them, as in the answer of a failed handler.
 */
#include "kafka/access.h"
#include "kafka/kafka_int.h"

#include <assert.h>

const struct wire_field *access_field(const struct wire_msg *m, struct str name)
{
    for (size_t i = 0; i < m->count; i++)
        if (str_is(name, m->fields[i].name))
            return &m->fields[i];
    return NULL;
}

static size_t bytes_of(enum wire_kind kind)
{
    switch (kind) {
    case WIRE_BOOL:
        return sizeof(bool);
    case WIRE_I8:
        return sizeof(int8_t);
    case WIRE_I16:
        return sizeof(int16_t);
    case WIRE_I32:
        return sizeof(int32_t);
    case WIRE_I64:
        return sizeof(int64_t);
    case WIRE_UUID:
        return sizeof(struct log_uuid);
    case WIRE_STR:
        return sizeof(struct str);
    default:
        return 0; // is not repeated
    }
}

static bool is_error(const struct wire_field *f)
{
    return f->kind == WIRE_I16 && str_is(str_of(f->name), "error");
}

/* What a list of plain values gives goes to the first field of that kind: a name, or a partition's number. */
static void set_first(const struct wire_msg *m, char *out, enum wire_kind kind, const void *value)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->fields[i].kind == kind && !str_is(str_of(m->fields[i].name), "error_message")) {
            memcpy(out + m->fields[i].at, value, bytes_of(kind));
            return;
        }
    assert(!"an element that has a place for it");
}

static void refuse(struct kafka_req *q, int16_t code, const struct wire_msg *qm, const char *in,
                   const struct wire_msg *rm, char *out);

static void refuse_list(struct kafka_req *q, int16_t code, const struct wire_field *asked, const char *in,
                        const struct wire_field *f, char *out)
{
    const char *from;
    char *list;
    int32_t n;

    memcpy(&from, in + asked->at, sizeof from);
    memcpy(&n, in + asked->at_n, sizeof n);
    if (n <= 0)
        return;
    list = arena_alloc(&q->arena, f->of->size * (size_t)n);
    for (int32_t i = 0; i < n; i++) {
        char *to = list + f->of->size * (size_t)i;
        if (asked->kind == WIRE_INTS) {
            refuse(q, code, NULL, NULL, f->of, to);
            set_first(f->of, to, WIRE_I32, from + sizeof(int32_t) * (size_t)i);
        } else {
            size_t each = asked->of ? asked->of->size : sizeof(struct str);
            access_refuse_one(q, code, asked->of, from + each * (size_t)i, f->of, to);
        }
    }
    memcpy(out + f->at, &list, sizeof list);
    memcpy(out + f->at_n, &n, sizeof n);
}

static void refuse(struct kafka_req *q, int16_t code, const struct wire_msg *qm, const char *in,
                   const struct wire_msg *rm, char *out)
{
    wire_default(rm, out);
    for (size_t i = 0; i < rm->count; i++) {
        const struct wire_field *f = &rm->fields[i];
        const struct wire_field *asked = qm ? access_field(qm, str_of(f->name)) : NULL;

        if (is_error(f))
            memcpy(out + f->at, &code, sizeof code);
        else if (asked && f->kind == WIRE_LIST &&
                 (asked->of || asked->kind == WIRE_INTS || asked->kind == WIRE_STRS))
            refuse_list(q, code, asked, in, f, out);
        else if (asked && asked->kind == f->kind && bytes_of(f->kind) > 0)
            memcpy(out + f->at, in + asked->at, bytes_of(f->kind));
    }
}

void access_refuse_one(struct kafka_req *q, int16_t code, const struct wire_msg *of, const void *in,
                       const struct wire_msg *m, void *out)
{
    refuse(q, code, of, in, m, out);
    if (!of)
        set_first(m, out, WIRE_STR, in);
}

void access_refuse(struct kafka_req *q, int16_t code, const void *in, void *out)
{
    const struct wire_msg *rm = q->api->res;
    const struct wire_field *error = access_field(rm, STR("error"));
    bool told = error && q->version >= error->first && q->version <= error->last;

    refuse(q, code, told ? NULL : q->api->req, told ? NULL : in, rm, out);
}
