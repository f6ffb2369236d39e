#include "kafka/access.h"

#include "base/mem.h"
#include "kafka/kafka_int.h"
#include "obs/obs.h"

#include <assert.h>

enum how { OPEN, CLUSTER, WHOLE, EACH, TOGETHER, SHOWN, IDEMPOTENT };

enum { ACL_BY_TYPE = 0, PRODUCE_KEY = 0, FETCH_KEY = 1, TOPIC_PARTITIONS_KEY = 75 };

struct row {
    int16_t key;
    enum how how;
    const char *path;
    int8_t resource;
    enum acl_operation operation;
    enum acl_operation instead; // on the cluster; 0: none
    const char *answer;
};

static const struct row rows[] = {
#define X(key, how, path, resource, operation, instead, answer) \
    {key, how, path, ACL_##resource, ACL_##operation, (enum acl_operation)(instead), answer},
#include "kafka/access.def"
#undef X
};

/* Elements that were taken out of one list of the request. */
struct denied {
    const struct row *row;
    const struct wire_msg *of; // NULL: strings
    const char *v;
    size_t n, each;
    int16_t code;
    struct str outer; // first string of the element that the list was in; null: the request itself
    struct denied *next;
};

struct kafka_denials {
    struct denied *first;
};

/* ---- questions ---- */

bool kafka_may(struct kafka_req *q, enum acl_resource type, struct str name, enum acl_operation operation)
{
    struct acl_question ask = {.user = str_of(q->user ? q->user : "ANONYMOUS"),
                               .host = str_of(q->client_host + 1),
                               .type = type,
                               .name = name,
                               .operation = operation};

    return !q->k->acls || acls_allow(q->k->acls, &ask);
}

int32_t kafka_operations(struct kafka_req *q, enum acl_resource type, struct str name)
{
    static const uint16_t there_are[] = {
        [ACL_TOPIC] = 1 << ACL_READ | 1 << ACL_WRITE | 1 << ACL_CREATE | 1 << ACL_DELETE | 1 << ACL_ALTER |
                      1 << ACL_DESCRIBE | 1 << ACL_DESCRIBE_CONFIGS | 1 << ACL_ALTER_CONFIGS,
        [ACL_GROUP] = 1 << ACL_READ | 1 << ACL_DELETE | 1 << ACL_DESCRIBE | 1 << ACL_DESCRIBE_CONFIGS |
                      1 << ACL_ALTER_CONFIGS,
        [ACL_CLUSTER] = 1 << ACL_CREATE | 1 << ACL_ALTER | 1 << ACL_DESCRIBE | 1 << ACL_CLUSTER_ACTION |
                        1 << ACL_DESCRIBE_CONFIGS | 1 << ACL_ALTER_CONFIGS | 1 << ACL_IDEMPOTENT_WRITE,
    };
    int32_t may = 0;

    for (int op = ACL_READ; op <= ACL_IDEMPOTENT_WRITE; op++)
        if ((there_are[type] >> op & 1) && kafka_may(q, type, name, (enum acl_operation)op))
            may |= 1 << op;
    return may;
}

static bool may_on_cluster(struct kafka_req *q, enum acl_operation operation)
{
    return operation && kafka_may(q, ACL_CLUSTER, STR(ACL_CLUSTER_NAME), operation);
}

static int16_t code_of(enum acl_resource type)
{
    switch (type) {
    case ACL_TOPIC:
        return K_TOPIC_AUTHORIZATION_FAILED;
    case ACL_GROUP:
        return K_GROUP_AUTHORIZATION_FAILED;
    case ACL_TRANSACTIONAL_ID:
        return K_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    default:
        return K_CLUSTER_AUTHORIZATION_FAILED;
    }
}

static bool present(const struct kafka_req *q, const struct wire_field *f)
{
    return f && q->version >= f->first && q->version <= f->last;
}

static int8_t small_number(const struct wire_msg *m, const char *in, const char *name)
{
    const struct wire_field *f = access_field(m, str_of(name));
    int8_t n = 0;

    assert(f && f->kind == WIRE_I8);
    memcpy(&n, in + f->at, 1);
    return n;
}

/* A coordinator's key_type is 0 for groups and 1 for transactions; a config resource's type 2 for topics, 32 for groups, else brokers. */
static enum acl_resource type_of(struct kafka_req *q, const struct row *row, const struct wire_msg *of,
                                 const char *in)
{
    int8_t n;

    if (row->resource != ACL_BY_TYPE)
        return (enum acl_resource)row->resource;
    if (!of || !access_field(of, STR("type"))) {
        n = small_number(q->api->req, q->in, "key_type");
        return n == 0 ? ACL_GROUP : n == 1 ? ACL_TRANSACTIONAL_ID : ACL_CLUSTER;
    }
    n = small_number(of, in, "type");
    return n == 2 ? ACL_TOPIC : n == 32 ? ACL_GROUP : ACL_CLUSTER;
}

/* The name that an element has, or that its id stands for. False: it names nothing that is there. */
static bool name_of(struct kafka_req *q, const struct wire_msg *of, const char *in, struct str field,
                    struct str *name)
{
    const struct wire_field *f, *id;
    struct log_topic t;
    struct log_uuid uuid;

    if (!of) {
        memcpy(name, in, sizeof *name);
        return true;
    }
    f = access_field(of, field);
    assert(f && f->kind == WIRE_STR);
    memcpy(name, in + f->at, sizeof *name);
    if (present(q, f) && name->p)
        return true;
    id = access_field(of, STR("id"));
    if (!present(q, id) || id->kind != WIRE_UUID)
        return present(q, f) && name->p;
    memcpy(&uuid, in + id->at, sizeof uuid);
    if (!log_find_topic_id(q->k->log, &uuid, &q->arena, &t))
        return false;
    *name = t.name;
    return true;
}

static bool element_ok(struct kafka_req *q, const struct row *row, const struct wire_msg *of, const char *in,
                       struct str field, int16_t *code)
{
    enum acl_resource type = type_of(q, row, of, in);
    struct str name;

    *code = code_of(type);
    if (type == ACL_CLUSTER)
        return may_on_cluster(q, row->operation);
    return !name_of(q, of, in, field, &name) || kafka_may(q, type, name, row->operation);
}

/* ---- the request ---- */

static void keep_denied(struct kafka_req *q, const struct denied *one)
{
    struct denied *d = arena_copy(&q->arena, one, sizeof *one);

    if (!q->denials)
        q->denials = ARENA_NEW(&q->arena, struct kafka_denials);
    d->next = q->denials->first;
    q->denials->first = d;
}

/* Takes what is denied out of one list; `base` is the struct that has it. */
static void filter(struct kafka_req *q, const struct row *row, const struct wire_field *f, char *base,
                   struct str field, struct str outer)
{
    size_t each = f->of ? f->of->size : sizeof(struct str), kept = 0;
    struct denied d = {.row = row, .of = f->of, .each = each, .outer = outer};
    char *list, *out = NULL;
    int32_t n;

    memcpy(&list, base + f->at, sizeof list);
    memcpy(&n, base + f->at_n, sizeof n);
    for (int32_t i = 0; i < n; i++) {
        char *at = list + each * (size_t)i;
        int16_t code;

        if (element_ok(q, row, f->of, at, field, &code)) {
            memmove(list + each * kept++, at, each);
            continue;
        }
        if (!out)
            out = arena_alloc(&q->arena, each * (size_t)n);
        d.code =
            code; // of the last: a list has resources of one type, but for configs, where each is answered alone
        memcpy(out + each * d.n++, at, each);
        if (row->resource == ACL_BY_TYPE) {
            d.v = out + each * (d.n - 1);
            d.n = 1;
            keep_denied(q, &d);
            out = NULL;
            d.n = 0;
        }
    }
    if (n > 0)
        memcpy(base + f->at_n, &(int32_t){(int32_t)kept}, sizeof n);
    d.v = out;
    if (d.n > 0)
        keep_denied(q, &d);
}

static struct str first_string(const struct wire_msg *m, const char *in)
{
    struct str s = STR_NULL;

    for (size_t i = 0; i < m->count; i++)
        if (m->fields[i].kind == WIRE_STR && !str_is(str_of(m->fields[i].name), "error_message")) {
            memcpy(&s, in + m->fields[i].at, sizeof s);
            break;
        }
    return s;
}

static void filter_path(struct kafka_req *q, const struct row *row)
{
    struct str rest = str_of(row->path), word;
    const struct wire_field *f, *inner;
    char *list;
    int32_t n;

    (void)str_cut(&rest, '.', &word);
    f = access_field(q->api->req, word);
    assert(f);
    if (!present(q, f))
        return;
    if (!rest.p || str_find(rest, '.') < 0) {
        filter(q, row, f, q->in, rest, STR_NULL);
        return;
    }
    (void)str_cut(&rest, '.', &word);
    inner = access_field(f->of, word);
    assert(inner);
    memcpy(&list, (char *)q->in + f->at, sizeof list);
    memcpy(&n, (char *)q->in + f->at_n, sizeof n);
    for (int32_t i = 0; i < n; i++) {
        char *base = list + f->of->size * (size_t)i;
        filter(q, row, inner, base, rest, first_string(f->of, base));
    }
}

static bool whole_ok(struct kafka_req *q, const struct row *row, int16_t *code)
{
    const struct wire_field *f = access_field(q->api->req, str_of(row->path));
    enum acl_resource type = type_of(q, row, NULL, NULL);
    struct str name;

    assert(f && f->kind == WIRE_STR);
    *code = code_of(type);
    memcpy(&name, (char *)q->in + f->at, sizeof name);
    if (!present(q, f) || !name.p)
        return true;
    return type == ACL_CLUSTER || kafka_may(q, type, name, row->operation);
}

static bool idempotent_ok(struct kafka_req *q, const struct row *row, int16_t *code)
{
    const struct wire_field *f = access_field(q->api->req, str_of(row->path));
    struct acl_question any = {.user = str_of(q->user ? q->user : "ANONYMOUS"),
                               .host = str_of(q->client_host + 1),
                               .type = ACL_TOPIC,
                               .operation = ACL_WRITE};
    struct str name;

    *code = K_CLUSTER_AUTHORIZATION_FAILED;
    memcpy(&name, (char *)q->in + f->at, sizeof name);
    return name.p || may_on_cluster(q, row->instead) || acls_allow_any(q->k->acls, &any);
}

static bool row_ok(struct kafka_req *q, const struct row *row, int16_t *code)
{
    switch (row->how) {
    case CLUSTER:
        *code = K_CLUSTER_AUTHORIZATION_FAILED;
        return may_on_cluster(q, row->operation);
    case WHOLE:
        return whole_ok(q, row, code);
    case IDEMPOTENT:
        return idempotent_ok(q, row, code);
    case EACH:
    case TOGETHER:
        if (!may_on_cluster(q, row->instead))
            filter_path(q, row);
        return true;
    case OPEN:
    case SHOWN:
        break;
    }
    return true;
}

static void count_refusal(struct kafka_req *q)
{
    static struct obs_repeat again;

    obs_add(OBS_kafka_denied_total, 1);
    obs_repeated(&again, OBS_WARN, "kafka", "not allowed: user=%s api=%s client=%s", q->user ? q->user : "-",
                 q->api->name, q->client_host + 1);
}

/* acks=0 has no answer: the connection is all that can tell. */
static void refuse_whole(struct kafka_req *q, int16_t code)
{
    void *res = arena_alloc(&q->arena, q->api->res->size);

    q->denials = NULL;
    q->unseen = false;
    if (q->api->key == PRODUCE_KEY && ((const struct k_produce_req *)q->in)->acks == 0) {
        kafka_reply_none(q, true);
        return;
    }
    access_refuse(q, code, q->in, res);
    kafka_reply(q, res);
}

/* Of those that go together one was denied: the rest is answered as not attempted. */
static void refuse_together(struct kafka_req *q)
{
    void *res = arena_alloc(&q->arena, q->api->res->size);

    access_refuse(q, K_OPERATION_NOT_ATTEMPTED, q->in, res);
    kafka_reply(q, res);
}

/* An empty list asks for all topics here, which nobody did. */
static bool was_emptied(const struct kafka_req *q)
{
    return q->denials && q->api->key == TOPIC_PARTITIONS_KEY &&
           ((const struct k_topic_partitions_req *)q->in)->topics_n == 0;
}

bool kafka_access(struct kafka_req *q)
{
    bool known = false, together = false;
    int16_t code = K_CLUSTER_AUTHORIZATION_FAILED;

    if (!q->k->acls)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].key != q->api->key)
            continue;
        known = true;
        together = together || rows[i].how == TOGETHER;
        q->unseen = q->unseen || rows[i].how == SHOWN;
        if (!row_ok(q, &rows[i], &code)) {
            count_refusal(q);
            refuse_whole(q, code);
            return false;
        }
    }
    if (!known && !may_on_cluster(q, ACL_ALL)) {
        count_refusal(q);
        refuse_whole(q, code);
        return false;
    }
    if (q->denials)
        count_refusal(q);
    if (q->denials && q->api->key == FETCH_KEY)
        ((struct k_fetch_req *)q->in)->max_wait_ms = 0; // there is something to tell at once
    if (q->denials && (together || was_emptied(q))) {
        refuse_together(q);
        return false;
    }
    return true;
}

/* ---- the answer ---- */

/* Leaves out of one list what may not be seen; the list is copied, for answers are only read. */
static void hide(struct kafka_req *q, const struct row *row, const struct wire_field *f, char *base,
                 struct str field)
{
    size_t each = f->of->size, kept = 0;
    const char *list;
    char *out;
    int32_t n;

    memcpy(&list, base + f->at, sizeof list);
    memcpy(&n, base + f->at_n, sizeof n);
    if (n <= 0)
        return;
    out = arena_alloc(&q->arena, each * (size_t)n);
    for (int32_t i = 0; i < n; i++) {
        const char *at = list + each * (size_t)i;
        int16_t code;
        if (element_ok(q, row, f->of, at, field, &code))
            memcpy(out + each * kept++, at, each);
    }
    memcpy(base + f->at, &out, sizeof out);
    memcpy(base + f->at_n, &(int32_t){(int32_t)kept}, sizeof n);
}

/* A list of the answer that may be changed: its elements are copied. */
static char *own_list(struct kafka_req *q, const struct wire_field *f, char *base, size_t more, int32_t *n)
{
    const char *list;
    char *out;

    memcpy(&list, base + f->at, sizeof list);
    memcpy(n, base + f->at_n, sizeof *n);
    if (*n < 0)
        *n = 0;
    out = arena_alloc(&q->arena, f->of->size * ((size_t)*n + more));
    if (*n > 0)
        memcpy(out, list, f->of->size * (size_t)*n);
    memcpy(base + f->at, &out, sizeof out);
    return out;
}

static void hide_path(struct kafka_req *q, const struct row *row, char *res)
{
    struct str rest = str_of(row->path), word;
    const struct wire_field *f, *inner;
    char *list;
    int32_t n;

    (void)str_cut(&rest, '.', &word);
    f = access_field(q->api->res, word);
    assert(f && f->of);
    if (!present(q, f))
        return;
    if (str_find(rest, '.') < 0) {
        hide(q, row, f, res, rest);
        return;
    }
    (void)str_cut(&rest, '.', &word);
    inner = access_field(f->of, word);
    assert(inner && inner->of);
    list = own_list(q, f, res, 0, &n);
    for (int32_t i = 0; i < n; i++)
        hide(q, row, inner, list + f->of->size * (size_t)i, rest);
}

static void append(struct kafka_req *q, const struct denied *d, const struct wire_field *f, char *base)
{
    int32_t n;
    char *list = own_list(q, f, base, d->n, &n);

    for (size_t i = 0; i < d->n; i++)
        access_refuse_one(q, d->code, d->of, d->v + d->each * i, f->of, list + f->of->size * ((size_t)n + i));
    n += (int32_t)d->n;
    memcpy(base + f->at_n, &n, sizeof n);
}

static void add_denied(struct kafka_req *q, const struct denied *d, char *res)
{
    struct str rest = str_of(d->row->answer), word;
    const struct wire_field *f, *inner;
    char *list;
    int32_t n;

    (void)str_cut(&rest, '.', &word);
    f = access_field(q->api->res, word);
    assert(f && f->of);
    if (!rest.p) {
        append(q, d, f, res);
        return;
    }
    inner = access_field(f->of, rest);
    assert(inner && inner->of);
    list = own_list(q, f, res, 0, &n);
    for (int32_t i = 0; i < n; i++) {
        char *base = list + f->of->size * (size_t)i;
        if (str_eq(first_string(f->of, base), d->outer)) {
            append(q, d, inner, base);
            return;
        }
    }
}

const void *kafka_access_answer(struct kafka_req *q, const void *res)
{
    char *out;

    if (!q->denials && !q->unseen)
        return res;
    out = arena_copy(&q->arena, res, q->api->res->size);
    for (size_t i = 0; i < ARRAY_LEN(rows) && q->unseen; i++)
        if (rows[i].key == q->api->key && rows[i].how == SHOWN && !may_on_cluster(q, rows[i].instead))
            hide_path(q, &rows[i], out);
    for (const struct denied *d = q->denials ? q->denials->first : NULL; d; d = d->next)
        add_denied(q, d, out);
    return out;
}
