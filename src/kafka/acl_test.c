#include "kafka/acl.h"

#include "base/mem.h"
#include "base/test.h"
#include "os/fault.h"
#include "os/os.h"
#include "os/tempdir.h"

#include <limits.h>

static char dir[TEMPDIR_MAX], path[TEMPDIR_MAX + 20];
static struct auth *users;
static struct acls *acls;
static struct arena mem;
static struct os_fault disk;

static bool open_them(struct err *e)
{
    static const char *const super[] = {"root"};

    users = auth_new(os_real());
    return acls_open(
        &(struct acls_options){
            .os = &disk.os, .path = path, .users = users, .super_users = super, .super_count = 1},
        &acls, e);
}

static void close_them(void)
{
    acls_close(acls);
    auth_free(users);
    acls = NULL;
}

static void begin(void)
{
    struct err e;

    OK(tempdir_make(dir));
    (void)snprintf(path, sizeof path, "%s/security.json", dir);
    os_fault_init(&disk, os_real(), OS_FAULT_EIO, UINT_MAX, true);
    OK(open_them(&e));
}

static void end(void)
{
    struct err e;

    close_them();
    OK(os_remove_tree(os_real(), dir, &e));
    arena_fini(&mem);
}

static void add(const char *principal, int permission, int operation, int type, int pattern, const char *name,
                const char *host)
{
    struct acl one = {(int8_t)type, str_of(name),      (int8_t)pattern,   str_of(principal),
                      str_of(host), (int8_t)operation, (int8_t)permission};
    const char *why;
    struct err e;

    OK(acl_check(&one, &why));
    OK(acls_add(acls, &one, 1, &e));
}

static bool may(const char *user, enum acl_operation operation, enum acl_resource type, const char *name)
{
    return acls_allow(acls,
                      &(struct acl_question){str_of(user), STR("10.0.0.1"), type, str_of(name), operation});
}

TEST(nothing_is_allowed_but_to_super_users)
{
    begin();
    OK(!may("alice", ACL_READ, ACL_TOPIC, "t") && !may("", ACL_READ, ACL_TOPIC, "t") &&
       !may("User:root", ACL_READ, ACL_TOPIC, "t"));
    OK(may("root", ACL_READ, ACL_TOPIC, "t") && may("root", ACL_ALTER, ACL_CLUSTER, ACL_CLUSTER_NAME));
    end();
}

TEST(patterns)
{
    begin();
    add("User:alice", ACL_ALLOW, ACL_READ, ACL_TOPIC, ACL_LITERAL, "orders", "*");
    add("User:bob", ACL_ALLOW, ACL_READ, ACL_TOPIC, ACL_PREFIXED, "or", "*");
    add("User:eve", ACL_ALLOW, ACL_READ, ACL_TOPIC, ACL_LITERAL, "*", "*");
    add("User:*", ACL_ALLOW, ACL_READ, ACL_TOPIC, ACL_LITERAL, "public", "*");
    OK(may("alice", ACL_READ, ACL_TOPIC, "orders") && !may("alice", ACL_READ, ACL_TOPIC, "orders2") &&
       !may("alice", ACL_READ, ACL_TOPIC, "order") && !may("alice", ACL_READ, ACL_GROUP, "orders"));
    OK(may("bob", ACL_READ, ACL_TOPIC, "or") && may("bob", ACL_READ, ACL_TOPIC, "orders") &&
       !may("bob", ACL_READ, ACL_TOPIC, "o"));
    OK(may("eve", ACL_READ, ACL_TOPIC, "anything") && !may("eve", ACL_WRITE, ACL_TOPIC, "anything"));
    OK(may("anybody", ACL_READ, ACL_TOPIC, "public") && may("alice", ACL_READ, ACL_TOPIC, "public"));
    OK(!may("alic", ACL_READ, ACL_TOPIC, "orders") && !may("alice2", ACL_READ, ACL_TOPIC, "orders"));
    end();
}

TEST(a_denial_wins)
{
    begin();
    add("User:alice", ACL_ALLOW, ACL_ALL, ACL_TOPIC, ACL_LITERAL, "*", "*");
    add("User:alice", ACL_DENY, ACL_WRITE, ACL_TOPIC, ACL_PREFIXED, "audit-", "*");
    add("User:*", ACL_DENY, ACL_ALL, ACL_TOPIC, ACL_LITERAL, "closed", "*");
    OK(may("alice", ACL_WRITE, ACL_TOPIC, "orders") && !may("alice", ACL_WRITE, ACL_TOPIC, "audit-x"));
    OK(may("alice", ACL_DESCRIBE, ACL_TOPIC, "audit-x")); // a denied WRITE leaves DESCRIBE
    OK(!may("alice", ACL_READ, ACL_TOPIC, "closed") && !may("alice", ACL_DESCRIBE, ACL_TOPIC, "closed"));
    OK(may("root", ACL_READ, ACL_TOPIC, "closed"));
    end();
}

TEST(what_an_operation_implies)
{
    static const enum acl_operation describes[] = {ACL_READ, ACL_WRITE, ACL_DELETE, ACL_ALTER};

    begin();
    for (size_t i = 0; i < ARRAY_LEN(describes); i++) {
        char user[20];
        (void)snprintf(user, sizeof user, "User:u%zu", i);
        add(user, ACL_ALLOW, (int)describes[i], ACL_TOPIC, ACL_LITERAL, "t", "*");
        OK(may(user + 5, ACL_DESCRIBE, ACL_TOPIC, "t") &&
           !may(user + 5, ACL_DESCRIBE_CONFIGS, ACL_TOPIC, "t"));
    }
    add("User:c", ACL_ALLOW, ACL_ALTER_CONFIGS, ACL_TOPIC, ACL_LITERAL, "t", "*");
    OK(may("c", ACL_DESCRIBE_CONFIGS, ACL_TOPIC, "t") && !may("c", ACL_DESCRIBE, ACL_TOPIC, "t"));
    add("User:d", ACL_ALLOW, ACL_DESCRIBE, ACL_TOPIC, ACL_LITERAL, "t", "*");
    OK(!may("d", ACL_READ, ACL_TOPIC, "t"));
    end();
}

TEST(what_no_acl_speaks_of_is_open)
{
    struct acl_question ask = {.user = STR("ANONYMOUS"), .host = STR("127.0.0.1"), .type = ACL_TOPIC};
    struct err e;

    begin();
    close_them();
    users = auth_new(os_real());
    OK(acls_open(&(struct acls_options){.os = &disk.os, .path = path, .users = users, .open = true}, &acls,
                 &e));
    ask.name = STR("t");
    ask.operation = ACL_WRITE;
    OK(acls_allow(acls, &ask) && acls_allow_any(acls, &ask));
    add("User:alice", ACL_ALLOW, ACL_READ, ACL_TOPIC, ACL_PREFIXED, "t", "*");
    OK(!acls_allow(acls, &ask) &&
       acls_allow_any(acls, &ask)); // it is spoken of, of another user and operation
    add("User:*", ACL_ALLOW, ACL_WRITE, ACL_TOPIC, ACL_LITERAL, "t", "*");
    OK(acls_allow(acls, &ask));
    ask.name = STR("u");
    OK(acls_allow(acls, &ask));
    add("User:*", ACL_DENY, ACL_ALL, ACL_TOPIC, ACL_LITERAL, "*", "*");
    OK(!acls_allow(acls, &ask) && !acls_allow_any(acls, &ask));
    end();
}

TEST(hosts)
{
    begin();
    add("User:alice", ACL_ALLOW, ACL_READ, ACL_TOPIC, ACL_LITERAL, "t", "10.0.0.1");
    add("User:bob", ACL_ALLOW, ACL_READ, ACL_TOPIC, ACL_LITERAL, "t", "10.0.0.2");
    OK(may("alice", ACL_READ, ACL_TOPIC, "t") && !may("bob", ACL_READ, ACL_TOPIC, "t"));
    end();
}

static bool any(const char *user)
{
    return acls_allow_any(acls,
                          &(struct acl_question){str_of(user), STR("h"), ACL_TOPIC, STR_NULL, ACL_WRITE});
}

TEST(any_resource_at_all)
{
    begin();
    OK(!any("alice") && any("root"));
    add("User:alice", ACL_ALLOW, ACL_WRITE, ACL_TOPIC, ACL_LITERAL, "t", "*");
    add("User:bob", ACL_ALLOW, ACL_WRITE, ACL_TOPIC, ACL_PREFIXED, "app-", "*");
    OK(any("alice") && any("bob"));
    add("User:alice", ACL_DENY, ACL_WRITE, ACL_TOPIC, ACL_PREFIXED, "t", "*");
    add("User:bob", ACL_DENY, ACL_WRITE, ACL_TOPIC, ACL_LITERAL, "app-", "*");
    OK(!any("alice") && any("bob"));
    add("User:*", ACL_DENY, ACL_ALL, ACL_TOPIC, ACL_LITERAL, "*", "*");
    OK(!any("bob"));
    end();
}

static size_t count(struct acl filter)
{
    struct acl *found;
    size_t n;

    acls_list(acls, &filter, &mem, &found, &n);
    return n;
}

TEST(filters)
{
    struct acl all = {ACL_ANY_RESOURCE, STR_NULL,          ACL_ANY_PATTERN,   STR_NULL,
                      STR_NULL,         ACL_ANY_OPERATION, ACL_ANY_PERMISSION};
    struct acl f = all;
    struct err e;

    begin();
    add("User:alice", ACL_ALLOW, ACL_READ, ACL_TOPIC, ACL_LITERAL, "orders", "*");
    add("User:alice", ACL_ALLOW, ACL_READ, ACL_TOPIC, ACL_LITERAL, "orders", "*"); // once is enough
    add("User:bob", ACL_ALLOW, ACL_READ, ACL_TOPIC, ACL_PREFIXED, "or", "*");
    add("User:eve", ACL_DENY, ACL_WRITE, ACL_TOPIC, ACL_LITERAL, "*", "*");
    add("User:bob", ACL_ALLOW, ACL_READ, ACL_GROUP, ACL_LITERAL, "orders", "*");
    OK(count(all) == 4);
    f.type = ACL_TOPIC;
    OK(count(f) == 3);
    f.name = STR("orders");
    OK(count(f) == 1);
    f.pattern = ACL_MATCH; // all that speak of the topic
    OK(count(f) == 3);
    f.pattern = ACL_PREFIXED;
    OK(count(f) == 0);
    f = all;
    f.principal = STR("User:bob");
    OK(count(f) == 2 && acls_remove(acls, &f, 1, &e) && count(all) == 2);
    f = all;
    f.permission = ACL_DENY;
    OK(count(f) == 1);
    end();
}

TEST(acls_that_cannot_be)
{
    struct acl good = {ACL_TOPIC, STR("t"), ACL_LITERAL, STR("User:a"), STR("*"), ACL_READ, ACL_ALLOW}, bad;
    const char *why;

    OK(acl_check(&good, &why));
#define REFUSED(change)                       \
    do {                                      \
        bad = good;                           \
        change;                               \
        OK(!acl_check(&bad, &why) && why[0]); \
    } while (0)
    REFUSED(bad.type = ACL_ANY_RESOURCE);
    REFUSED(bad.type = 7);
    REFUSED(bad.type = ACL_CLUSTER);
    REFUSED(bad.name = STR(""));
    REFUSED(bad.pattern = ACL_MATCH);
    REFUSED(bad.principal = STR("alice"));
    REFUSED(bad.principal = STR("User:"));
    REFUSED(bad.principal = STR("Group:x"));
    REFUSED(bad.host = STR(""));
    REFUSED(bad.operation = ACL_ANY_OPERATION);
    REFUSED(bad.operation = 0);
    REFUSED(bad.permission = ACL_ANY_PERMISSION);
    /* The file could not be read again, and the program would not start. */
    REFUSED(bad.name = str_from("a\0b", 3));
    REFUSED(bad.principal = str_from("User:\0", 6));
    REFUSED(bad.host = str_from("\0", 1));
    REFUSED(bad.name = STR("\xff"));
    REFUSED(bad.principal = STR("User:\xc0\x80"));
#undef REFUSED
}

TEST(they_outlive_a_restart)
{
    struct scram_credential c = {.mechanism = AUTH_SCRAM_SHA_512,
                                 .iterations = 4096,
                                 .salt_n = 3,
                                 .salt = "abc"},
                            found;
    struct err e;

    begin();
    add("User:al \"ice\"", ACL_ALLOW, ACL_READ, ACL_TOPIC, ACL_PREFIXED, "or", "*");
    scram_derive(&c, STR("pencil"));
    OK(acls_set_credential(acls, STR("new"), AUTH_SCRAM_SHA_512, &c, &e));
    close_them();
    OK(open_them(&e));
    OK(may("al \"ice\"", ACL_READ, ACL_TOPIC, "orders"));
    OK(auth_find(users, STR("new"), AUTH_SCRAM_SHA_512, &found) && memcmp(&c, &found, sizeof c) == 0);
    OK(acls_set_credential(acls, STR("new"), AUTH_SCRAM_SHA_512, NULL, &e));
    OK(!auth_find(users, STR("new"), AUTH_SCRAM_SHA_512, &found));
    close_them();
    OK(open_them(&e));
    OK(!auth_find(users, STR("new"), AUTH_SCRAM_SHA_512, &found) &&
       may("al \"ice\"", ACL_READ, ACL_TOPIC, "orders"));
    end();
}

/* What could not be stored is not in force, neither now nor after a restart. */
TEST(a_change_that_fails_changes_nothing)
{
    struct acl one = {ACL_TOPIC, STR("t"), ACL_LITERAL, STR("User:a"), STR("*"), ACL_READ, ACL_ALLOW};
    struct scram_credential c = {.mechanism = AUTH_SCRAM_SHA_256, .iterations = 4096, .salt_n = 1}, found;
    struct err e;
    bool failed = true;

    begin();
    add("User:b", ACL_ALLOW, ACL_READ, ACL_TOPIC, ACL_LITERAL, "t", "*");
    for (unsigned n = 0; failed && n < 100; n++) {
        os_fault_init(&disk, os_real(), OS_FAULT_EIO, n, true);
        failed = !acls_set_credential(acls, STR("new"), AUTH_SCRAM_SHA_256, &c, &e);
        OK(failed == !auth_find(users, STR("new"), AUTH_SCRAM_SHA_256, &found));
    }
    OK(!failed);
    failed = true;
    for (unsigned n = 0; failed && n < 100; n++) {
        os_fault_init(&disk, os_real(), OS_FAULT_EIO, n, true);
        failed = !acls_add(acls, &one, 1, &e);
        OK(failed == !may("a", ACL_READ, ACL_TOPIC, "t"));
        OK(may("b", ACL_READ, ACL_TOPIC, "t"));
    }
    OK(!failed);
    end();
}

/* Missing is closed: a damaged file is an error, never "no ACLs". */
TEST(a_damaged_file_is_told)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "{\"version\": 2, \"users\": [], \"acls\": []}",
        "{\"version\": 1, \"users\": []}",
        "{\"version\": 1, \"users\": [], \"acls\": [{\"type\": 2}]}",
        "{\"version\": 1, \"users\": [{\"name\": \"x\", \"credential\": \"pencil\"}], \"acls\": []}"};
    struct err e;

    begin();
    close_them();
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        OK(os_replace_file(os_real(), path, str_of(bad[i]), &e));
        OK(!open_them(&e) && strstr(e.msg, "security.json") != NULL && strstr(e.msg, "pencil") == NULL);
        auth_free(users);
    }
    OK(os_replace_file(os_real(), path, STR("{\"version\": 1, \"users\": [], \"acls\": []}"), &e));
    OK(open_them(&e));
    end();
}

TEST_MAIN
