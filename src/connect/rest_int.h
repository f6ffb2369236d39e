/*
 * rest_int: what the files of the REST interface share.
 *
 * rest.c has the table of paths and how answers look; rest_connectors.c connectors and their tasks; rest_plugins.c the
 * classes and the check of a configuration.
 */
#pragma once

#include "base/buf.h"
#include "connect/connect_int.h"
#include "net/http.h"

/* One request on its way: q with what the path names. */
struct rest_call {
    struct http_req *q;
    struct connect *c;
    struct arena *a;
    struct str name; // the first that the path names
    struct str part; // the second
};
typedef void rest_fn(struct rest_call *r);

void rest_json(struct rest_call *r, int status, struct buf *b); // takes b's memory
void rest_nothing(struct rest_call *r, int status);
void rest_error(struct rest_call *r, int status, struct str message);
void rest_err(struct rest_call *r, const struct err *e);
struct str rest_fmt(struct rest_call *r, const char *fmt, ...) PRINTF(2, 3);

rest_fn rest_list, rest_create, rest_get, rest_get_config, rest_put_config, rest_status, rest_tasks,
    rest_task_status, rest_task_restart, rest_topics, rest_offsets, rest_reset_offsets, rest_pause,
    rest_resume, rest_stop, rest_restart, rest_delete;
rest_fn rest_plugins, rest_plugin_config, rest_plugin_validate;
