/*
 * acl: who may do what: Kafka's access control lists, and the file they are kept in.
 *
 * An ACL lets (or forbids) a principal, "User:alice" or "User:*", do an operation on a resource, from a host or "*". The resource is
 * named literally, "*" meaning all of its type, or by a prefix. The rules are Kafka's (AclAuthorizer and StandardAuthorizer): a
 * matching DENY wins, then a matching ALLOW is needed; ALL is every operation; an ALLOW of READ, WRITE, DELETE or ALTER also allows
 * DESCRIBE, and of ALTER_CONFIGS also DESCRIBE_CONFIGS; what nobody has allowed is denied. Super users may do everything.
 *
 *     acls_open(&(struct acls_options){.os = os, .path = "data/security.json", .users = users}, &a, e)
 *     acls_allow(a, &(struct acl_question){STR("alice"), STR("127.0.0.1"), ACL_TOPIC, STR("orders"), ACL_READ})
 *
 * The file is JSON, replaced whole at each change before the change is seen or answered; it also holds the credentials of users
 * that clients have made. It is no topic: what can be read and written by clients as a topic must not decide what they may do.
 *
 * Threads: questions from any. Changes block for the disk and come one after the other: the caller sees to that.
 */
#pragma once

#include "auth/auth.h"
#include "base/arena.h"
#include "base/err.h"

struct os;
struct acls;

/* Kafka's numbers, of the wire (org.apache.kafka.common.resource.ResourceType and so on). */
enum acl_resource { ACL_ANY_RESOURCE = 1, ACL_TOPIC, ACL_GROUP, ACL_CLUSTER, ACL_TRANSACTIONAL_ID };
enum acl_pattern { ACL_ANY_PATTERN = 1, ACL_MATCH, ACL_LITERAL, ACL_PREFIXED };
enum acl_permission { ACL_ANY_PERMISSION = 1, ACL_DENY, ACL_ALLOW };
enum acl_operation {
    ACL_ANY_OPERATION = 1,
    ACL_ALL,
    ACL_READ,
    ACL_WRITE,
    ACL_CREATE,
    ACL_DELETE,
    ACL_ALTER,
    ACL_DESCRIBE,
    ACL_CLUSTER_ACTION,
    ACL_DESCRIBE_CONFIGS,
    ACL_ALTER_CONFIGS,
    ACL_IDEMPOTENT_WRITE
};

#define ACL_CLUSTER_NAME "kafka-cluster" // the one resource of type ACL_CLUSTER

struct acl {
    int8_t type;
    struct str name;
    int8_t pattern;
    struct str principal, host;
    int8_t operation, permission;
};

enum { ACLS_MAX = 10000 };

struct acls_options {
    struct os *os;
    const char *path;
    struct auth *users; // gets the users that the file has
    bool open; // a resource that no ACL speaks of is everybody's (Kafka: allow.everyone.if.no.acl.found)
    const char *const *super_users;
    size_t super_count;
};

/* An absent file: there are none. */
bool acls_open(const struct acls_options *o, struct acls **out, struct err *e) MUST_CHECK;
void acls_close(struct acls *a); // NULL does nothing

/* ---- questions ---- */

struct acl_question {
    struct str user, host;
    enum acl_resource type;
    struct str name;
    enum acl_operation operation;
};
bool acls_allow(struct acls *a, const struct acl_question *q);
/* Whether there is any resource of the type that the user may do it on; the name is not looked at. */
bool acls_allow_any(struct acls *a, const struct acl_question *q);

/* Grows with each change of the ACLs; any thread. */
uint64_t acls_version(struct acls *a);

/* ---- lists ---- */

/* Whether it can be created. False with why. */
bool acl_check(const struct acl *one, const char **why);
/* Those that a filter asks for, grouped by their resource, in `arena`. Null strings of it and the ANY values mean any. */
void acls_list(struct acls *a, const struct acl *filter, struct arena *arena, struct acl **out,
               size_t *count);
/* Durable when they return. Present ones are fine. */
bool acls_add(struct acls *a, const struct acl *more, size_t count, struct err *e) MUST_CHECK;
/* Removes all that one of the filters asks for. */
bool acls_remove(struct acls *a, const struct acl *filters, size_t count, struct err *e) MUST_CHECK;

/* A change of one user's credential. c NULL: it is removed. Durable when it returns. */
bool acls_set_credential(struct acls *a, struct str user, enum auth_mechanism m,
                         const struct scram_credential *c, struct err *e) MUST_CHECK;
