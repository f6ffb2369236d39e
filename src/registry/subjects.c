/* REST: subjects, their versions, schemas by id. */
#include "registry/registry_int.h"

#include <limits.h>

/* ---- how things look ---- */

static void put_references(struct buf *b, const struct schema_text *t)
{
    if (t->reference_count == 0)
        return;
    buf_str(b, STR(",\"references\":["));
    for (size_t i = 0; i < t->reference_count; i++) {
        buf_str(b, i ? STR(",{\"name\":") : STR("{\"name\":"));
        buf_json(b, t->references[i].name);
        buf_str(b, STR(",\"subject\":"));
        buf_json(b, t->references[i].subject);
        buf_fmt(b, ",\"version\":%d}", t->references[i].version);
    }
    buf_u8(b, ']');
}

/* What goes with a schema's text: its type, unless that is the one everybody takes for granted. */
static void put_rest(struct buf *b, const struct schema_text *t)
{
    if (!str_is(t->type, "AVRO")) {
        buf_str(b, STR(",\"schemaType\":"));
        buf_json(b, t->type);
    }
    put_references(b, t);
    buf_str(b, STR(",\"schema\":"));
    buf_json(b, t->text);
}

static void put_version(struct buf *b, const struct schema_version *v)
{
    buf_str(b, STR("{\"subject\":"));
    buf_json(b, v->subject);
    buf_fmt(b, ",\"version\":%d,\"id\":%d", v->version, v->id);
    put_rest(b, &v->schema);
    buf_u8(b, '}');
}

static enum schema_which which(struct call *c)
{
    if (call_flag(c, "deletedOnly"))
        return SCHEMA_DELETED_ONLY;
    return call_flag(c, "deleted") ? SCHEMA_LIVE_AND_DELETED : SCHEMA_LIVE;
}

/* subjectPrefix; ":*:" in front stands for all contexts, of which there is one. */
static struct str prefix(struct call *c)
{
    struct str p = http_param(c->q, "subjectPrefix");

    if (str_starts(p, STR(":*:")))
        return str_from(p.p + 3, p.n - 3);
    return p.p ? p : STR("");
}

static void answer_raw(struct call *c, struct str text)
{
    struct buf b = call_buf();

    buf_str(&b, text);
    call_json(c, &b);
}

static void answer_number(struct call *c, const char *before, int n, const char *behind)
{
    struct buf b = call_buf();

    buf_fmt(&b, "%s%d%s", before, n, behind);
    call_json(c, &b);
}

static void answer_numbers(struct call *c, const int *list, size_t from, size_t to)
{
    struct buf b = call_buf();

    buf_u8(&b, '[');
    for (size_t i = from; i < to; i++)
        buf_fmt(&b, "%s%d", i > from ? "," : "", list[i]);
    buf_u8(&b, ']');
    call_json(c, &b);
}

static void no_subject(struct call *c)
{
    call_error(c, SCHEMA_NO_SUBJECT, arena_fmt(c->a, "Subject '%.*s' not found.", STR_ARG(c->subject)));
}

/* ---- subjects ---- */

void call_subjects(struct call *c)
{
    struct buf b = call_buf();
    struct str *names;
    size_t n, from, to;

    schema_subjects(c->s, prefix(c), which(c), c->a, &names, &n);
    call_page(c, n, &from, &to);
    buf_u8(&b, '[');
    for (size_t i = from; i < to; i++) {
        if (i > from)
            buf_u8(&b, ',');
        buf_json(&b, names[i]);
    }
    buf_u8(&b, ']');
    call_json(c, &b);
}

void call_lookup(struct call *c)
{
    struct schema_version v;
    struct schema_text t;
    struct err e;
    struct buf b;

    if (!call_schema(c, &t) ||
        !call_ok(c, schema_lookup(c->s, c->subject, &t, call_flag(c, "deleted"), &v, &e), &e) ||
        !call_ok(c, schema_get(c->s, c->subject, v.version, true, c->a, &v, &e), &e))
        return;
    b = call_buf();
    put_version(&b, &v);
    call_json(c, &b);
}

void call_delete_subject(struct call *c)
{
    struct err e;
    int *versions;
    size_t n = 0;

    if (call_ok(c,
                schema_delete_subject(c->s, c->subject, call_flag(c, "permanent"), c->a, &versions, &n, &e),
                &e))
        answer_numbers(c, versions, 0, n);
}

/* ---- versions ---- */

void call_versions(struct call *c)
{
    struct schema_version *list;
    size_t n, from, to;
    int *numbers;
    bool negative = call_flag(c, "deletedAsNegative");

    if (!schema_versions(c->s, c->subject, negative ? SCHEMA_LIVE_AND_DELETED : which(c), c->a, &list, &n)) {
        no_subject(c);
        return;
    }
    numbers = ARENA_ARRAY(c->a, int, n);
    for (size_t i = 0; i < n; i++)
        numbers[i] = negative && list[i].deleted ? -list[i].version : list[i].version;
    call_page(c, n, &from, &to);
    answer_numbers(c, numbers, from, to);
}

void call_register(struct call *c)
{
    struct schema_version v;
    struct schema_text t;
    struct err e;

    if (call_schema(c, &t) && call_ok(c, schema_add(c->s, c->subject, &t, &v, &e), &e))
        answer_number(c, "{\"id\":", v.id, "}");
}

static bool get_version(struct call *c, struct schema_version *v)
{
    struct err e;
    int version;

    return call_version(c, c->part, &version) &&
           call_ok(c, schema_get(c->s, c->subject, version, call_flag(c, "deleted"), c->a, v, &e), &e);
}

void call_version_get(struct call *c)
{
    struct schema_version v;
    struct buf b;

    if (!get_version(c, &v))
        return;
    b = call_buf();
    put_version(&b, &v);
    call_json(c, &b);
}

void call_version_schema(struct call *c)
{
    struct schema_version v;

    if (get_version(c, &v))
        answer_raw(c, v.schema.text);
}

void call_version_referenced_by(struct call *c)
{
    int version, *ids;
    struct err e;
    size_t n;

    if (call_version(c, c->part, &version) &&
        call_ok(c, schema_referenced_by(c->s, c->subject, version, c->a, &ids, &n, &e), &e))
        answer_numbers(c, ids, 0, n);
}

void call_version_delete(struct call *c)
{
    int version, deleted = 0;
    struct err e;

    if (call_version(c, c->part, &version) &&
        call_ok(c, schema_delete_version(c->s, c->subject, version, call_flag(c, "permanent"), &deleted, &e),
                &e))
        answer_number(c, "", deleted, "");
}

/* ---- schemas ---- */

/* With latestOnly: is it the last of its subject in the list? */
static bool is_latest(const struct schema_version *list, size_t n, size_t i)
{
    return i + 1 == n || !str_eq(list[i].subject, list[i + 1].subject);
}

void call_schemas(struct call *c)
{
    struct schema_version *list;
    size_t n, kept = 0, from, to;
    struct str start = prefix(c);
    bool latest = call_flag(c, "latestOnly");
    struct buf b = call_buf();

    (void)schema_versions(c->s, STR_NULL, which(c), c->a, &list, &n);
    for (size_t i = 0; i < n; i++)
        if (str_starts(list[i].subject, start) && (!latest || is_latest(list, n, i)))
            list[kept++] = list[i];
    call_page(c, kept, &from, &to);
    buf_u8(&b, '[');
    for (size_t i = from; i < to; i++) {
        if (i > from)
            buf_u8(&b, ',');
        put_version(&b, &list[i]);
    }
    buf_u8(&b, ']');
    call_json(c, &b);
}

static bool get_id(struct call *c, int *id)
{
    int64_t n;

    if (!str_i64(c->subject, &n)) {
        call_error(c, 404, "HTTP 404 Not Found");
        return false;
    }
    *id = n >= 0 && n <= INT_MAX ? (int)n : 0;
    return true;
}

static void no_schema(struct call *c)
{
    call_error(c, SCHEMA_NO_SCHEMA, arena_fmt(c->a, "Schema %.*s not found", STR_ARG(c->subject)));
}

static bool get_schema(struct call *c, struct schema_version *v)
{
    int id;

    if (!get_id(c, &id))
        return false;
    if (schema_by_id(c->s, id, c->a, v))
        return true;
    no_schema(c);
    return false;
}

void call_id(struct call *c)
{
    struct schema_version v;
    struct buf b;
    int max = schema_max_id(c->s);

    if (!get_schema(c, &v))
        return;
    b = call_buf();
    put_rest(&b, &v.schema);
    b.p[0] = '{'; // the comma before the first member
    if (call_flag(c, "fetchMaxId"))
        buf_fmt(&b, ",\"maxId\":%d", max);
    buf_u8(&b, '}');
    call_json(c, &b);
}

void call_id_schema(struct call *c)
{
    struct schema_version v;

    if (get_schema(c, &v))
        answer_raw(c, v.schema.text);
}

static bool get_id_versions(struct call *c, struct schema_version **list, size_t *n)
{
    int id;

    if (!get_id(c, &id))
        return false;
    if (schema_id_versions(c->s, id, call_flag(c, "deleted"), c->a, list, n))
        return true;
    no_schema(c);
    return false;
}

void call_id_subjects(struct call *c)
{
    struct schema_version *list;
    struct buf b;
    size_t n, put = 0;

    if (!get_id_versions(c, &list, &n))
        return;
    b = call_buf();
    buf_u8(&b, '[');
    for (size_t i = 0; i < n; i++) {
        if (!is_latest(list, n, i))
            continue;
        if (put++)
            buf_u8(&b, ',');
        buf_json(&b, list[i].subject);
    }
    buf_u8(&b, ']');
    call_json(c, &b);
}

void call_id_versions(struct call *c)
{
    struct schema_version *list;
    struct buf b;
    size_t n;

    if (!get_id_versions(c, &list, &n))
        return;
    b = call_buf();
    buf_u8(&b, '[');
    for (size_t i = 0; i < n; i++) {
        buf_str(&b, i ? STR(",{\"subject\":") : STR("{\"subject\":"));
        buf_json(&b, list[i].subject);
        buf_fmt(&b, ",\"version\":%d}", list[i].version);
    }
    buf_u8(&b, ']');
    call_json(c, &b);
}
