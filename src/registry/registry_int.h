/*
 * registry_int: what the files of this room share.
 *
 * registry.c has the table of paths, and how requests are read and answers look; subjects.c subjects, versions and
 * schemas; settings.c compatibility, levels and modes.
 */
#pragma once

#include "net/http.h"
#include "registry/registry.h"
#include "schema/schema.h"

#include <jansson.h>

/* One request on its way: q with what the path names. */
struct call {
    struct http_req *q;
    struct schema_store *s;
    struct arena *a;
    struct str subject; // the first that the path names, or an id; null: none
    struct str part;    // the second: a version
};
typedef void call_fn(struct call *c);

/* ---- reading ---- */

bool call_flag(struct call *c, const char *name); // a query parameter that is "true"
/* Cuts [*from, *to) of n by offset and limit. */
void call_page(struct call *c, size_t n, size_t *from, size_t *to);
/* "latest", "-1" or a number from 1; else answers 42202 and is false. */
bool call_version(struct call *c, struct str text, int *version);
/* The body's JSON object; json_decref() it. NULL: has answered. */
json_t *call_body(struct call *c);
/* The schema in a body; lives with the request. False: has answered. */
bool call_schema(struct call *c, struct schema_text *out);

/* ---- answering ---- */

void call_json(struct call *c, struct buf *b); // 200; takes b's memory
void call_error(struct call *c, int code, const char *message);
/* True when code is SCHEMA_OK; otherwise answers it and is false. */
bool call_ok(struct call *c, enum schema_code code, const struct err *e);
struct buf call_buf(void);

call_fn call_subjects, call_lookup, call_delete_subject, call_versions, call_register, call_version_get,
    call_version_schema, call_version_referenced_by, call_version_delete;
call_fn call_schemas, call_id, call_id_schema, call_id_subjects, call_id_versions;
call_fn call_check, call_check_version, call_level_get, call_level_put, call_level_delete, call_mode_get,
    call_mode_put, call_mode_delete;
