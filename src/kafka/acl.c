#include "kafka/acl.h"

#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "os/os.h"
#include "os/thread.h"

#include <jansson.h>
#include <stdlib.h>

/* What is asked about; never changed, only replaced. */
struct set {
    struct arena arena;
    struct acl *v; // sorted: ACLs of a principal stand together, and within it those of a resource
    size_t n;
    struct map first; // principal -> its first, as a pointer
};

struct acls {
    struct os *os;
    char *path;
    struct auth *users;
    struct map super; // names
    bool open;
    struct mutex lock;
    struct set *set;
    uint64_t version; // grows with each change of the set
};

/* ---- one ACL ---- */

static bool is_any_name(const struct acl *one)
{
    return one->pattern == ACL_LITERAL && str_is(one->name, "*");
}

/* Does the ACL speak of the resource of that name? */
static bool covers(const struct acl *one, struct str name)
{
    return one->pattern == ACL_PREFIXED ? str_starts(name, one->name)
                                        : is_any_name(one) || str_eq(one->name, name);
}

static bool name_fits(const struct acl *filter, const struct acl *one)
{
    bool same = !filter->name.p || str_eq(filter->name, one->name);

    if (filter->pattern == ACL_ANY_PATTERN)
        return same;
    if (filter->pattern == ACL_MATCH)
        return !filter->name.p || covers(one, filter->name);
    return filter->pattern == one->pattern && same;
}

/* Is it one that the filter asks for? Null strings and the ANY values mean any. */
static bool fits(const struct acl *filter, const struct acl *one)
{
    return (filter->type == ACL_ANY_RESOURCE || filter->type == one->type) && name_fits(filter, one) &&
           (!filter->principal.p || str_eq(filter->principal, one->principal)) &&
           (!filter->host.p || str_eq(filter->host, one->host)) &&
           (filter->operation == ACL_ANY_OPERATION || filter->operation == one->operation) &&
           (filter->permission == ACL_ANY_PERMISSION || filter->permission == one->permission);
}

/* What the file gives back as it was: JSON's texts are UTF-8, and what reads it takes no zeros. */
static bool is_text(struct str s)
{
    return utf8_ok(s) && str_find(s, 0) < 0;
}

bool acl_check(const struct acl *one, const char **why)
{
    *why = NULL;
    if (one->type < ACL_TOPIC || one->type > ACL_TRANSACTIONAL_ID)
        *why = "access is to topics, groups, the cluster or transactional ids";
    else if (one->name.n == 0)
        *why = "the resource has no name";
    else if (one->type == ACL_CLUSTER && !str_is(one->name, ACL_CLUSTER_NAME))
        *why = "the only cluster is named " ACL_CLUSTER_NAME;
    else if (one->pattern != ACL_LITERAL && one->pattern != ACL_PREFIXED)
        *why = "a pattern is literal or prefixed";
    else if (!str_starts(one->principal, STR("User:")) || one->principal.n == 5)
        *why = "a principal is User:NAME";
    else if (one->host.n == 0)
        *why = "the host is an address or *";
    else if (one->operation < ACL_ALL || one->operation > ACL_IDEMPOTENT_WRITE)
        *why = "this operation is not known here";
    else if (one->permission != ACL_DENY && one->permission != ACL_ALLOW)
        *why = "an ACL allows or denies";
    else if (!is_text(one->name) || !is_text(one->principal) || !is_text(one->host))
        *why = "names are UTF-8 without zeros";
    return *why == NULL;
}

static int by_place(const void *pa, const void *pb)
{
    const struct acl *a = pa, *b = pb;
    int c = str_cmp(a->principal, b->principal);

    c = c ? c : a->type - b->type;
    c = c ? c : str_cmp(a->name, b->name);
    c = c ? c : a->pattern - b->pattern;
    c = c ? c : str_cmp(a->host, b->host);
    c = c ? c : a->operation - b->operation;
    return c ? c : a->permission - b->permission;
}

/* ---- sets ---- */

static struct set *set_new(const struct acl *v, size_t n)
{
    struct set *s = MEM_NEW(struct set);

    s->v = ARENA_ARRAY(&s->arena, struct acl, n);
    for (size_t i = 0; i < n; i++) {
        s->v[i] = v[i];
        s->v[i].name = arena_str(&s->arena, v[i].name);
        s->v[i].principal = arena_str(&s->arena, v[i].principal);
        s->v[i].host = arena_str(&s->arena, v[i].host);
    }
    if (n > 1)
        qsort(s->v, n, sizeof *s->v, by_place);
    for (size_t i = 0; i < n; i++)
        if (s->n == 0 || by_place(&s->v[s->n - 1], &s->v[i]) != 0)
            s->v[s->n++] = s->v[i];
    for (size_t i = s->n; i-- > 0;)
        (void)map_put(&s->first, s->v[i].principal, &s->v[i]);
    return s;
}

static void set_free(struct set *s)
{
    if (!s)
        return;
    map_fini(&s->first);
    arena_fini(&s->arena);
    mem_free(s);
}

/* ---- questions ---- */

static bool implies(int8_t allowed, enum acl_operation wanted)
{
    if (allowed == ACL_ALL || allowed == (int8_t)wanted)
        return true;
    if (wanted == ACL_DESCRIBE)
        return allowed == ACL_READ || allowed == ACL_WRITE || allowed == ACL_DELETE || allowed == ACL_ALTER;
    return wanted == ACL_DESCRIBE_CONFIGS && allowed == ACL_ALTER_CONFIGS;
}

static bool speaks_of(const struct acl *one, const struct acl_question *q)
{
    bool operation = one->permission == ACL_ALLOW
                         ? implies(one->operation, q->operation)
                         : one->operation == ACL_ALL || one->operation == (int8_t)q->operation;

    return one->type == (int8_t)q->type && operation &&
           (str_is(one->host, "*") || str_eq(one->host, q->host));
}

/* Calls for each ACL of the user and of everybody; stops at the first true. */
typedef bool acl_fn(const struct acl *one, const void *arg);
static bool any_of(const struct set *s, struct str principal, acl_fn *fn, const void *arg)
{
    const struct acl *one = map_get(&s->first, principal);

    for (; one && one < s->v + s->n && str_eq(one->principal, principal); one++)
        if (fn(one, arg))
            return true;
    return false;
}

struct asked {
    const struct set *set;
    const struct acl_question *q;
    struct str principal;
    int8_t permission;
    const struct acl *allow; // of allow_any
};

static bool for_me(const struct asked *a, acl_fn *fn)
{
    return any_of(a->set, a->principal, fn, a) || any_of(a->set, STR("User:*"), fn, a);
}

static bool decides(const struct acl *one, const void *arg)
{
    const struct asked *a = arg;

    return one->permission == a->permission && speaks_of(one, a->q) && covers(one, a->q->name);
}

/* Does a denial cover all that an ALLOW names? */
static bool takes_away(const struct acl *one, const void *arg)
{
    const struct asked *a = arg;
    bool less = a->allow->pattern == ACL_PREFIXED || is_any_name(a->allow);

    if (one->permission != ACL_DENY || !speaks_of(one, a->q))
        return false;
    if (is_any_name(one))
        return true;
    if (one->pattern == ACL_PREFIXED)
        return !is_any_name(a->allow) && str_starts(a->allow->name, one->name);
    return !less && str_eq(one->name, a->allow->name);
}

static bool leaves_some(const struct acl *one, const void *arg)
{
    struct asked a = *(const struct asked *)arg;

    a.allow = one;
    return one->permission == ACL_ALLOW && speaks_of(one, a.q) && !for_me(&a, takes_away);
}

static bool is_spoken_of(const struct set *s, const struct acl_question *q)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].type == (int8_t)q->type && covers(&s->v[i], q->name))
            return true;
    return false;
}

/* Is all of the type denied? */
static bool is_closed(const struct asked *asked)
{
    struct acl all = {.name = STR("*"), .pattern = ACL_LITERAL};
    struct asked a = *asked;

    a.allow = &all;
    return for_me(&a, takes_away);
}

static bool answer(struct acls *a, const struct acl_question *q, bool any)
{
    char name[AUTH_NAME_MAX + 6];
    struct str kind = STR("User:");
    struct asked asked = {.q = q, .principal = str_from(name, kind.n + q->user.n)};
    bool yes;

    if (q->user.n > AUTH_NAME_MAX)
        return false;
    if (map_get(&a->super, q->user))
        return true;
    memcpy(name, kind.p, kind.n);
    memcpy(name + kind.n, q->user.p, q->user.n);
    mutex_lock(&a->lock);
    asked.set = a->set;
    if (any) {
        yes = for_me(&asked, leaves_some) || (a->open && !is_closed(&asked));
    } else {
        asked.permission = ACL_DENY;
        yes = !for_me(&asked, decides);
        asked.permission = ACL_ALLOW;
        yes = yes && (for_me(&asked, decides) || (a->open && !is_spoken_of(asked.set, q)));
    }
    mutex_unlock(&a->lock);
    return yes;
}

bool acls_allow(struct acls *a, const struct acl_question *q)
{
    return answer(a, q, false);
}

bool acls_allow_any(struct acls *a, const struct acl_question *q)
{
    return answer(a, q, true);
}

static int by_resource(const void *pa, const void *pb)
{
    const struct acl *a = pa, *b = pb;
    int c = a->type - b->type;

    c = c ? c : str_cmp(a->name, b->name);
    c = c ? c : a->pattern - b->pattern;
    return c ? c : by_place(pa, pb);
}

void acls_list(struct acls *a, const struct acl *filter, struct arena *arena, struct acl **out, size_t *count)
{
    size_t n = 0;

    mutex_lock(&a->lock);
    *out = ARENA_ARRAY(arena, struct acl, a->set->n);
    for (size_t i = 0; i < a->set->n; i++) {
        const struct acl *one = &a->set->v[i];
        if (!fits(filter, one))
            continue;
        (*out)[n] = *one;
        (*out)[n].name = arena_str(arena, one->name);
        (*out)[n].principal = arena_str(arena, one->principal);
        (*out)[n++].host = arena_str(arena, one->host);
    }
    mutex_unlock(&a->lock);
    *count = n;
    if (n > 1)
        qsort(*out, n, sizeof **out, by_resource);
}

/* ---- the file ---- */

static void put_users(const struct auth_user *u, size_t n, struct buf *b)
{
    const char *sep = "";

    for (size_t i = 0; i < n; i++)
        for (int m = 0; m < AUTH_PLAIN && !u[i].fixed; m++) {
            if (!u[i].has[m])
                continue;
            buf_fmt(b, "%s\n    {\"name\": ", sep);
            buf_json(b, u[i].name);
            buf_str(b, STR(", \"credential\": \""));
            scram_print(&u[i].credential[m], b);
            buf_str(b, STR("\"}"));
            sep = ",";
        }
}

static void put_acl(const struct acl *one, struct buf *b)
{
    buf_fmt(b, "\n    {\"type\": %d, \"name\": ", one->type);
    buf_json(b, one->name);
    buf_fmt(b, ", \"pattern\": %d, \"principal\": ", one->pattern);
    buf_json(b, one->principal);
    buf_str(b, STR(", \"host\": "));
    buf_json(b, one->host);
    buf_fmt(b, ", \"operation\": %d, \"permission\": %d}", one->operation, one->permission);
}

static bool save(struct acls *a, const struct set *s, const struct auth_user *u, size_t users, struct err *e)
{
    struct buf b = buf_make(LIMIT_ACLS);
    bool ok;

    buf_str(&b, STR("{\n  \"version\": 1,\n  \"users\": ["));
    put_users(u, users, &b);
    buf_str(&b, STR("],\n  \"acls\": ["));
    for (size_t i = 0; i < s->n; i++) {
        if (i > 0)
            buf_u8(&b, ',');
        put_acl(&s->v[i], &b);
    }
    buf_str(&b, STR("]\n}\n"));
    ok = buf_ok(&b) ? os_replace_file(a->os, a->path, buf_view(&b), e)
                    : err_set(e, ERR_LIMIT, "users and ACLs are over %zu bytes", b.max);
    buf_fini(&b);
    return ok;
}

static bool read_text(const json_t *o, const char *name, struct str *out)
{
    const json_t *v = json_object_get(o, name);

    *out = json_is_string(v) ? str_from(json_string_value(v), json_string_length(v)) : STR_NULL;
    return out->p != NULL;
}

static int8_t read_number(const json_t *o, const char *name)
{
    json_int_t n = json_integer_value(json_object_get(o, name));

    return n > 0 && n < 100 ? (int8_t)n : 0;
}

static bool read_acls(struct acls *a, const json_t *list, struct err *e)
{
    size_t n = json_array_size(list);
    struct acl *v = MEM_ARRAY(struct acl, n + 1);
    const char *why;
    bool ok = true;

    for (size_t i = 0; i < n && ok; i++) {
        const json_t *o = json_array_get(list, i);
        v[i] = (struct acl){.type = read_number(o, "type"),
                            .pattern = read_number(o, "pattern"),
                            .operation = read_number(o, "operation"),
                            .permission = read_number(o, "permission")};
        ok = read_text(o, "name", &v[i].name) && read_text(o, "principal", &v[i].principal) &&
             read_text(o, "host", &v[i].host) && acl_check(&v[i], &why);
        if (!ok)
            (void)err_set(e, ERR_CORRUPT, "%s: number %zu of its acls is none", a->path, i + 1);
    }
    if (ok)
        a->set = set_new(v, n);
    mem_free(v);
    return ok;
}

static bool read_users(struct acls *a, const json_t *list, struct err *e)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i);
        struct scram_credential c;
        struct str name, text;

        if (!read_text(o, "name", &name) || !read_text(o, "credential", &text) || name.n == 0 ||
            name.n > AUTH_NAME_MAX)
            return err_set(e, ERR_CORRUPT, "%s: number %zu of its users is none", a->path, i + 1);
        if (!scram_parse(text, &c, e))
            return err_wrap(e, "%s: user %.*s", a->path, STR_ARG(name));
        if (!auth_is_fixed(a->users, name)) // the settings' word goes over what a client once set
            auth_add_credential(a->users, name, &c, false);
    }
    return true;
}

static bool load(struct acls *a, struct err *e)
{
    struct arena arena = {0};
    json_error_t why;
    struct str text;
    json_t *root = NULL;
    bool ok;

    if (!os_exists(a->os, a->path)) {
        a->set = set_new(NULL, 0);
        return true;
    }
    ok = os_read_file(a->os, a->path, LIMIT_ACLS, &arena, &text, e);
    if (ok) {
        root = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &why);
        ok = root && json_integer_value(json_object_get(root, "version")) == 1 &&
             json_is_array(json_object_get(root, "acls")) && json_is_array(json_object_get(root, "users"));
        if (!ok)
            (void)err_set(e, ERR_CORRUPT, "%s is not what tarn has written: %s", a->path,
                          root ? "version, users or acls is missing" : why.text);
    }
    ok = ok && read_users(a, json_object_get(root, "users"), e) &&
         read_acls(a, json_object_get(root, "acls"), e);
    json_decref(root);
    arena_fini(&arena);
    return ok;
}

bool acls_open(const struct acls_options *o, struct acls **out, struct err *e)
{
    struct acls *a = MEM_NEW(struct acls);

    a->os = o->os;
    a->path = mem_str(o->path);
    a->users = o->users;
    a->open = o->open;
    mutex_init(&a->lock);
    for (size_t i = 0; i < o->super_count; i++)
        (void)map_put(&a->super, str_of(o->super_users[i]), a);
    if (load(a, e)) {
        *out = a;
        return true;
    }
    acls_close(a);
    return false;
}

void acls_close(struct acls *a)
{
    if (!a)
        return;
    set_free(a->set);
    map_fini(&a->super);
    mutex_fini(&a->lock);
    mem_free(a->path);
    mem_free(a);
}

/* ---- changes ---- */

/* Writes the new set, and shows it once it is durable. Only changes replace the set, so it may be read here without the lock. */
static bool change_to(struct acls *a, struct set *s, struct err *e)
{
    struct arena arena = {0};
    struct auth_user *users;
    struct set *old = s;
    size_t n;
    bool ok;

    auth_list(a->users, &arena, &users, &n);
    ok = s->n <= ACLS_MAX ? save(a, s, users, n, e) : err_set(e, ERR_LIMIT, "there may be %d ACLs", ACLS_MAX);
    arena_fini(&arena);
    if (ok) {
        mutex_lock(&a->lock);
        old = a->set;
        a->set = s;
        a->version++;
        mutex_unlock(&a->lock);
    }
    set_free(old);
    return ok;
}

uint64_t acls_version(struct acls *a)
{
    uint64_t version;

    mutex_lock(&a->lock);
    version = a->version;
    mutex_unlock(&a->lock);
    return version;
}

bool acls_add(struct acls *a, const struct acl *more, size_t count, struct err *e)
{
    size_t n = a->set->n;
    struct acl *v = MEM_ARRAY(struct acl, n + count + 1);
    struct set *s;

    if (n > 0)
        memcpy(v, a->set->v, n * sizeof *v);
    if (count > 0)
        memcpy(v + n, more, count * sizeof *v);
    s = set_new(v, n + count);
    mem_free(v);
    return change_to(a, s, e);
}

bool acls_remove(struct acls *a, const struct acl *filters, size_t count, struct err *e)
{
    struct acl *v = MEM_ARRAY(struct acl, a->set->n + 1);
    size_t n = 0;
    struct set *s;

    for (size_t i = 0; i < a->set->n; i++) {
        bool goes = false;
        for (size_t f = 0; f < count && !goes; f++)
            goes = fits(&filters[f], &a->set->v[i]);
        if (!goes)
            v[n++] = a->set->v[i];
    }
    s = set_new(v, n);
    mem_free(v);
    return change_to(a, s, e);
}

bool acls_set_credential(struct acls *a, struct str user, enum auth_mechanism m,
                         const struct scram_credential *c, struct err *e)
{
    struct arena arena = {0};
    struct auth_user *users, *at = NULL;
    size_t n;
    bool ok;

    auth_list(a->users, &arena, &users, &n);
    for (size_t i = 0; i < n && !at; i++)
        if (str_eq(users[i].name, user))
            at = &users[i];
    if (!at) {
        struct auth_user *more = ARENA_ARRAY(&arena, struct auth_user, n + 1);
        if (n > 0)
            memcpy(more, users, n * sizeof *more);
        users = more;
        at = &users[n++];
        at->name = user;
    }
    at->has[m] = c != NULL;
    if (c)
        at->credential[m] = *c;
    ok = save(a, a->set, users, n, e);
    arena_fini(&arena);
    if (ok && c)
        auth_add_credential(a->users, user, c, false);
    else if (ok)
        auth_remove_credential(a->users, user, m);
    return ok;
}
