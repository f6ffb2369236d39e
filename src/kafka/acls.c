/*
 * DescribeAcls, CreateAcls, DeleteAcls, and the same for the credentials of users (KIP-140, KIP-554). Changes wait for the disk, so they
 * are jobs, one after the other.
 */
#include "base/mem.h"
#include "base/utf8.h"
#include "kafka/acl.h"
#include "kafka/kafka_int.h"

#define NO_USERS \
    STR("there are no users here, so no access is checked: name some in the section users of tarn.yaml")

/* ---- one change at a time ---- */

struct acl_change {
    struct kafka_turn turn;
    const void *(*run)(struct kafka_req *q); // blocks; gives the answer
    const void *res;
};

static void run_change(struct kafka_turn *t) // a job
{
    struct acl_change *c = t->arg;

    c->res = c->run(t->q);
}

static void change_done(struct kafka_turn *t)
{
    struct acl_change *c = t->arg;

    kafka_reply(t->q, c->res);
}

static void change(struct kafka_req *q, const void *(*run)(struct kafka_req *q))
{
    struct acl_change *c = ARENA_NEW(&q->arena, struct acl_change);

    c->turn = (struct kafka_turn){.q = q, .run = run_change, .done = change_done, .arg = c};
    c->run = run;
    kafka_take_turn(&q->k->changes, &c->turn);
}

/* ---- ACLs ---- */

/* Null: any. Kafka's 0 is what a newer client knows and we do not. */
static bool filter_ok(const struct acl *f)
{
    return f->type >= ACL_ANY_RESOURCE && f->pattern >= ACL_ANY_PATTERN && f->pattern <= ACL_PREFIXED &&
           f->operation >= ACL_ANY_OPERATION && f->permission >= ACL_ANY_PERMISSION &&
           f->permission <= ACL_ALLOW;
}

#define TOO_MANY   STR("the request has more filters, or they find more ACLs, than there may be ACLs")
#define BAD_FILTER STR("the filter has a resource, pattern, operation or permission that is not known here")

static void group_by_resource(struct kafka_req *q, const struct acl *v, size_t n,
                              struct k_describe_acls_res *res)
{
    struct k_describe_acls_res_acl *all = ARENA_ARRAY(&q->arena, struct k_describe_acls_res_acl, n);
    struct k_describe_acls_res_resource *last = NULL;

    res->resources = ARENA_ARRAY(&q->arena, struct k_describe_acls_res_resource, n);
    for (size_t i = 0; i < n; i++) {
        if (!last || last->type != v[i].type || !str_eq(last->name, v[i].name) ||
            last->pattern_type != v[i].pattern) {
            last = &res->resources[res->resources_n++];
            last->type = v[i].type;
            last->name = v[i].name;
            last->pattern_type = v[i].pattern;
            last->acls = &all[i];
        }
        last->acls[last->acls_n++] =
            (struct k_describe_acls_res_acl){v[i].principal, v[i].host, v[i].operation, v[i].permission};
    }
}

void kafka_describe_acls(struct kafka_req *q, const void *in)
{
    const struct k_describe_acls_req *req = in;
    struct acl filter = {req->resource_type, req->resource_name, req->pattern_type, req->principal,
                         req->host,          req->operation,     req->permission};
    struct k_describe_acls_res res = {0};
    struct acl *found;
    size_t n;

    if (!q->k->acls) {
        res = (struct k_describe_acls_res){.error = K_SECURITY_DISABLED, .error_message = NO_USERS};
    } else if (!filter_ok(&filter)) {
        res = (struct k_describe_acls_res){.error = K_INVALID_REQUEST, .error_message = BAD_FILTER};
    } else {
        acls_list(q->k->acls, &filter, &q->arena, &found, &n);
        group_by_resource(q, found, n, &res);
    }
    kafka_reply(q, &res);
}

static const void *create_acls(struct kafka_req *q) // a job
{
    const struct k_create_acls_req *req = q->in;
    struct k_create_acls_res *res = ARENA_NEW(&q->arena, struct k_create_acls_res);
    struct acl *v = ARENA_ARRAY(&q->arena, struct acl, (size_t)req->acls_n);
    struct err e;
    size_t n = 0;
    bool ok;

    res->acls_n = req->acls_n;
    res->acls = ARENA_ARRAY(&q->arena, struct k_create_acls_res_acl, (size_t)req->acls_n);
    for (int32_t i = 0; i < req->acls_n; i++) {
        const struct k_create_acls_req_acl *a = &req->acls[i];
        struct acl one = {a->type, a->name,      a->pattern_type, a->principal,
                          a->host, a->operation, a->permission};
        const char *why;
        if (acl_check(&one, &why))
            v[n++] = one;
        else
            res->acls[i] = (struct k_create_acls_res_acl){K_INVALID_REQUEST, str_of(why)};
    }
    ok = n == 0 || acls_add(q->k->acls, v, n, &e);
    for (int32_t i = 0; i < req->acls_n && !ok; i++)
        if (res->acls[i].error == K_NONE)
            res->acls[i] =
                (struct k_create_acls_res_acl){kafka_error_of(&e), arena_str(&q->arena, str_of(e.msg))};
    return res;
}

void kafka_create_acls(struct kafka_req *q, const void *in)
{
    const struct k_create_acls_req *req = in;
    struct k_create_acls_res res = {.acls_n = req->acls_n};

    if (q->k->acls) {
        change(q, create_acls);
        return;
    }
    res.acls = ARENA_ARRAY(&q->arena, struct k_create_acls_res_acl, (size_t)req->acls_n);
    for (int32_t i = 0; i < req->acls_n; i++)
        res.acls[i] = (struct k_create_acls_res_acl){K_SECURITY_DISABLED, NO_USERS};
    kafka_reply(q, &res);
}

/*
 * False: with what the filters before it have found it is more than there may be ACLs. A request may have many filters, and each finds
 * all that there are.
 */
static bool find_matches(struct kafka_req *q, const struct acl *filter, size_t *left,
                         struct k_delete_acls_res_filter *out)
{
    struct arena scratch = {0};
    struct acl *found;
    size_t n;

    acls_list(q->k->acls, filter, &scratch, &found, &n);
    if (n > *left) {
        arena_fini(&scratch);
        return false;
    }
    *left -= n;
    out->acls_n = (int32_t)n;
    out->acls = ARENA_ARRAY(&q->arena, struct k_delete_acls_res_acl, n);
    for (size_t i = 0; i < n; i++)
        out->acls[i] = (struct k_delete_acls_res_acl){.type = found[i].type,
                                                      .name = arena_str(&q->arena, found[i].name),
                                                      .pattern_type = found[i].pattern,
                                                      .principal = arena_str(&q->arena, found[i].principal),
                                                      .host = arena_str(&q->arena, found[i].host),
                                                      .operation = found[i].operation,
                                                      .permission = found[i].permission};
    arena_fini(&scratch);
    return true;
}

static const void *delete_acls(struct kafka_req *q) // a job
{
    const struct k_delete_acls_req *req = q->in;
    struct k_delete_acls_res *res = ARENA_NEW(&q->arena, struct k_delete_acls_res);
    struct acl *v = ARENA_ARRAY(&q->arena, struct acl, (size_t)req->filters_n);
    struct err e;
    size_t n = 0, left = ACLS_MAX;
    bool ok;

    res->filters_n = req->filters_n;
    res->filters = ARENA_ARRAY(&q->arena, struct k_delete_acls_res_filter, (size_t)req->filters_n);
    for (int32_t i = 0; i < req->filters_n; i++) {
        const struct k_delete_acls_req_filter *f = &req->filters[i];
        struct acl one = {f->type, f->name,      f->pattern_type, f->principal,
                          f->host, f->operation, f->permission};
        if (!filter_ok(&one))
            res->filters[i] =
                (struct k_delete_acls_res_filter){.error = K_INVALID_REQUEST, .error_message = BAD_FILTER};
        else if (i >= ACLS_MAX || !find_matches(q, &one, &left, &res->filters[i]))
            res->filters[i] =
                (struct k_delete_acls_res_filter){.error = K_POLICY_VIOLATION, .error_message = TOO_MANY};
        else
            v[n++] = one;
    }
    ok = n == 0 || acls_remove(q->k->acls, v, n, &e);
    for (int32_t i = 0; i < req->filters_n && !ok; i++)
        res->filters[i] = (struct k_delete_acls_res_filter){
            .error = kafka_error_of(&e), .error_message = arena_str(&q->arena, str_of(e.msg))};
    return res;
}

void kafka_delete_acls(struct kafka_req *q, const void *in)
{
    const struct k_delete_acls_req *req = in;
    struct k_delete_acls_res res = {.filters_n = req->filters_n};

    if (q->k->acls) {
        change(q, delete_acls);
        return;
    }
    res.filters = ARENA_ARRAY(&q->arena, struct k_delete_acls_res_filter, (size_t)req->filters_n);
    for (int32_t i = 0; i < req->filters_n; i++)
        res.filters[i] =
            (struct k_delete_acls_res_filter){.error = K_SECURITY_DISABLED, .error_message = NO_USERS};
    kafka_reply(q, &res);
}

/* ---- credentials ---- */

/* ScramMechanism of KIP-554: 1 is SHA-256, 2 SHA-512. */
static bool mechanism_of(int8_t n, enum auth_mechanism *m)
{
    *m = n == 1 ? AUTH_SCRAM_SHA_256 : AUTH_SCRAM_SHA_512;
    return n == 1 || n == 2;
}

static void describe_user(struct kafka_req *q, const struct auth_user *u,
                          struct k_describe_scram_res_user *out)
{
    out->name = u->name;
    out->infos = ARENA_ARRAY(&q->arena, struct k_describe_scram_res_info, AUTH_PLAIN);
    for (int m = 0; m < AUTH_PLAIN; m++)
        if (u->has[m])
            out->infos[out->infos_n++] =
                (struct k_describe_scram_res_info){(int8_t)(m + 1), u->credential[m].iterations};
}

void kafka_describe_scram(struct kafka_req *q, const void *in)
{
    const struct k_describe_scram_req *req = in;
    bool all = req->users_n <= 0; // KIP-554: null or empty
    struct k_describe_scram_res res = {0};
    struct auth_user *users;
    size_t n;

    if (!q->k->users) {
        kafka_reply(q,
                    &(struct k_describe_scram_res){.error = K_SECURITY_DISABLED, .error_message = NO_USERS});
        return;
    }
    auth_list(q->k->users, &q->arena, &users, &n);
    res.users_n = all ? (int32_t)n : req->users_n;
    res.users = ARENA_ARRAY(&q->arena, struct k_describe_scram_res_user, (size_t)res.users_n);
    for (int32_t i = 0; i < res.users_n; i++) {
        const struct auth_user *u = all ? &users[i] : NULL;
        for (size_t j = 0; !all && j < n && !u; j++)
            if (str_eq(users[j].name, req->users[i].name))
                u = &users[j];
        if (u)
            describe_user(q, u, &res.users[i]);
        else
            res.users[i] = (struct k_describe_scram_res_user){.name = req->users[i].name,
                                                              .error = K_RESOURCE_NOT_FOUND,
                                                              .error_message = STR("there is no such user")};
    }
    kafka_reply(q, &res);
}

static struct k_alter_scram_res_user refused(struct str name, int16_t code, const char *why)
{
    return (struct k_alter_scram_res_user){name, code, str_of(why)};
}

static struct k_alter_scram_res_user store(struct kafka_req *q, struct str name,
                                           const struct scram_credential *c, enum auth_mechanism m)
{
    struct err e;

    if (!acls_set_credential(q->k->acls, name, m, c, &e))
        return (struct k_alter_scram_res_user){name, kafka_error_of(&e), arena_str(&q->arena, str_of(e.msg))};
    return refused(name, K_NONE, NULL);
}

static struct k_alter_scram_res_user delete_one(struct kafka_req *q,
                                                const struct k_alter_scram_req_deletion *d)
{
    struct scram_credential kept;
    enum auth_mechanism m;

    if (!mechanism_of(d->mechanism, &m))
        return refused(d->name, K_UNSUPPORTED_SASL_MECHANISM, "this mechanism is not known here");
    if (auth_is_fixed(q->k->users, d->name))
        return refused(d->name, K_UNACCEPTABLE_CREDENTIAL, "this user is in tarn.yaml: change it there");
    if (!auth_find(q->k->users, d->name, m, &kept))
        return refused(d->name, K_RESOURCE_NOT_FOUND, "the user has no such credential");
    return store(q, d->name, NULL, m);
}

static struct k_alter_scram_res_user upsert_one(struct kafka_req *q,
                                                const struct k_alter_scram_req_upsertion *u)
{
    struct scram_credential c = {.iterations = u->iterations, .salt_n = u->salt.n};

    if (!mechanism_of(u->mechanism, &c.mechanism))
        return refused(u->name, K_UNSUPPORTED_SASL_MECHANISM, "this mechanism is not known here");
    if (u->name.n == 0 || u->name.n > AUTH_NAME_MAX || str_find(u->name, 0) >= 0 || !utf8_ok(u->name))
        return refused(u->name, K_UNACCEPTABLE_CREDENTIAL,
                       "a user's name has 1 to 255 bytes of UTF-8 without zeros");
    if (auth_is_fixed(q->k->users, u->name))
        return refused(u->name, K_UNACCEPTABLE_CREDENTIAL, "this user is in tarn.yaml: change it there");
    if (u->iterations < SCRAM_ITERATIONS || u->iterations > SCRAM_ITERATIONS_MOST)
        return refused(u->name, K_UNACCEPTABLE_CREDENTIAL, "the iterations are not within 4096 to 16384");
    if (u->salt.n == 0 || u->salt.n > SCRAM_SALT_MAX || u->salted_password.n != scram_key_bytes(c.mechanism))
        return refused(u->name, K_UNACCEPTABLE_CREDENTIAL,
                       "the salt has 1 to 64 bytes, the salted password those of its hash");
    memcpy(c.salt, u->salt.p, u->salt.n);
    scram_derive_salted(&c, (const uint8_t *)u->salted_password.p);
    return store(q, u->name, &c, c.mechanism);
}

static const void *alter_scram(struct kafka_req *q) // a job
{
    const struct k_alter_scram_req *req = q->in;
    struct k_alter_scram_res *res = ARENA_NEW(&q->arena, struct k_alter_scram_res);

    res->users = ARENA_ARRAY(&q->arena, struct k_alter_scram_res_user,
                             (size_t)req->deletions_n + (size_t)req->upsertions_n);
    for (int32_t i = 0; i < req->deletions_n; i++)
        res->users[res->users_n++] = delete_one(q, &req->deletions[i]);
    for (int32_t i = 0; i < req->upsertions_n; i++)
        res->users[res->users_n++] = upsert_one(q, &req->upsertions[i]);
    return res;
}

void kafka_alter_scram(struct kafka_req *q, const void *in)
{
    const struct k_alter_scram_req *req = in;
    struct k_alter_scram_res res = {0};

    if (q->k->users) {
        change(q, alter_scram);
        return;
    }
    res.users = ARENA_ARRAY(&q->arena, struct k_alter_scram_res_user,
                            (size_t)req->deletions_n + (size_t)req->upsertions_n);
    for (int32_t i = 0; i < req->deletions_n; i++)
        res.users[res.users_n++] =
            (struct k_alter_scram_res_user){req->deletions[i].name, K_SECURITY_DISABLED, NO_USERS};
    for (int32_t i = 0; i < req->upsertions_n; i++)
        res.users[res.users_n++] =
            (struct k_alter_scram_res_user){req->upsertions[i].name, K_SECURITY_DISABLED, NO_USERS};
    kafka_reply(q, &res);
}
