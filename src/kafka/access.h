/*
 * access: every request is held against what its user may do, by the table access.def, before its handler sees it and again before
 * its answer is written. A handler knows nothing of this: denied topics and groups are not in the request that it gets.
 *
 * An exception is what a handler does beyond what was asked (Metadata makes topics): it asks kafka_may().
 */
#pragma once

#include "kafka/acl.h"

struct kafka_req;

/* True: go on with the handler. False: the request was answered, with its refusal. Without users all is allowed. */
bool kafka_access(struct kafka_req *q);
/* The answer as the user may see it, in the request's arena: what is hidden taken out, what was refused added. */
const void *kafka_access_answer(struct kafka_req *q, const void *res);
bool kafka_may(struct kafka_req *q, enum acl_resource type, struct str name, enum acl_operation operation);
/* All that who asks may do with a topic, a group or the cluster: a bit for each operation's number (KIP-430). */
int32_t kafka_operations(struct kafka_req *q, enum acl_resource type, struct str name);

/* ---- access_refuse.c ---- */

struct wire_field;
struct wire_msg;

/* NULL when the message has none of that name. */
const struct wire_field *access_field(const struct wire_msg *m, struct str name);
/*
 * An answer that refuses what was asked: each `error` in it is the code, lists answer the request's list of the same name, names and ids
 * are repeated. One that has an error of its own answers no lists.
 */
void access_refuse(struct kafka_req *q, int16_t code, const void *in, void *out);
/* The same for one element of a request's list, in an element of the answer's; of NULL: the request has strings there. */
void access_refuse_one(struct kafka_req *q, int16_t code, const struct wire_msg *of, const void *in,
                       const struct wire_msg *m, void *out);
