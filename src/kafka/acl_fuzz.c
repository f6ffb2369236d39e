/*
 * Any bytes as the file of users and ACLs; and, cut at line ends, as the names in ACLs and of users that clients make: what is taken
 * is the same after a restart, and a file that tarn wrote is read.
 */
#include "base/mem.h"
#include "kafka/acl.h"
#include "os/os.h"
#include "os/tempdir.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { ACLS = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char dir[TEMPDIR_MAX], path[TEMPDIR_MAX + 20];
static struct os quick; // nothing waits for the disk

static int no_sync(struct os *os, int fd)
{
    (void)os;
    (void)fd;
    return 0;
}

static void stop(void)
{
    struct err e;

    if (!os_remove_tree(os_real(), dir, &e))
        abort();
}

static void start(void)
{
    bool ok = tempdir_make(dir);

    assert(ok);
    (void)snprintf(path, sizeof path, "%s/security.json", dir);
    quick = *os_real();
    quick.fdatasync = quick.fsync = no_sync;
    atexit(stop);
}

static bool open_them(struct auth **users, struct acls **acls)
{
    struct err e;

    *users = auth_new(&quick);
    if (acls_open(&(struct acls_options){.os = &quick, .path = path, .users = *users}, acls, &e))
        return true;
    assert(e.kind == ERR_CORRUPT || e.kind == ERR_INVALID);
    auth_free(*users);
    return false;
}

static void ask(struct acls *acls, struct str text)
{
    struct acl_question q = {text, STR("10.0.0.1"), ACL_TOPIC, text, ACL_READ};

    (void)acls_allow(acls, &q);
    (void)acls_allow_any(acls, &q);
}

static struct acl *all(struct acls *acls, struct arena *a, size_t *n)
{
    struct acl filter = {.type = ACL_ANY_RESOURCE,
                         .pattern = ACL_ANY_PATTERN,
                         .operation = ACL_ANY_OPERATION,
                         .permission = ACL_ANY_PERMISSION};
    struct acl *v;

    acls_list(acls, &filter, a, &v, n);
    return v;
}

static bool same(const struct acl *x, const struct acl *y)
{
    return x->type == y->type && x->pattern == y->pattern && x->operation == y->operation &&
           x->permission == y->permission && str_eq(x->name, y->name) && str_eq(x->principal, y->principal) &&
           str_eq(x->host, y->host);
}

/* Of each line, as far as it has that: a byte of numbers, a name, a principal, a host, cut by tabs. */
static size_t read_acls(struct str text, struct acl *v)
{
    struct str line;
    size_t n = 0;

    while (n < ACLS && str_cut(&text, '\n', &line)) {
        struct acl *one = &v[n];
        uint8_t bits = line.n > 0 ? (uint8_t)line.p[0] : 0;
        const char *why;

        if (line.n > 0)
            line = str_from(line.p + 1, line.n - 1);
        *one = (struct acl){.type = (int8_t)(ACL_TOPIC + bits % 4),
                            .pattern = bits & 4 ? ACL_PREFIXED : ACL_LITERAL,
                            .operation = (int8_t)(ACL_ALL + (bits >> 4) % 11),
                            .permission = bits & 8 ? ACL_DENY : ACL_ALLOW};
        if (str_cut(&line, '\t', &one->name) && str_cut(&line, '\t', &one->principal))
            one->host = line;
        n += acl_check(one, &why);
    }
    return n;
}

static void keep(struct str text)
{
    struct acl given[ACLS], *before, *after;
    size_t n = read_acls(text, given), count, again;
    struct arena a = {0};
    struct auth *users;
    struct acls *acls;
    struct err e;
    bool ok = open_them(&users, &acls) && acls_add(acls, given, n, &e);

    assert(ok);
    before = all(acls, &a, &count);
    acls_close(acls);
    auth_free(users);
    ok = open_them(&users, &acls);
    assert(ok);
    after = all(acls, &a, &again);
    assert(count == again && count <= n && (count > 0) == (n > 0));
    for (size_t i = 0; i < count; i++)
        assert(same(&before[i], &after[i]));
    for (size_t i = 0; i < count; i++)
        ask(acls, after[i].name);
    ok = acls_remove(acls, after, count, &e);
    assert(ok);
    (void)all(acls, &a, &again);
    assert(again == 0);
    acls_close(acls);
    auth_free(users);
    arena_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str text = str_from(data, n);
    struct auth *users;
    struct acls *acls;
    struct err e;
    bool ok;

    if (dir[0] == '\0')
        start();
    ok = os_replace_file(&quick, path, text, &e);
    assert(ok);
    if (open_them(&users, &acls)) {
        ask(acls, text);
        acls_close(acls);
        auth_free(users);
    }
    ok = os_replace_file(&quick, path, STR("{\"version\": 1, \"users\": [], \"acls\": []}"), &e);
    assert(ok);
    keep(text);
    return 0;
}
