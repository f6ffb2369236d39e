/*
 * openapi: the endpoints as an OpenAPI 3.0 document, and a page that shows and tries them.
 *
 * Both are made of the tables that requests are matched with, so they tell what there is. The page asks no other host.
 */
#pragma once

#include "base/buf.h"
#include "net/http_path.h"

struct openapi_query {
    const char *name, *type, *otherwise, *sentence; // otherwise: the default as JSON
};

enum { OPENAPI_QUERIES = 2 };

struct openapi_op {
    struct http_path path;
    const char *sentence; // what it is for
    struct openapi_query query[OPENAPI_QUERIES];
    const char *type, *example; // of the body; NULL: there is none
    const char *answer;         // content type; NULL: application/json
};

/* Gives the i-th operation; NULL behind the last. */
typedef const struct openapi_op *openapi_fn(size_t i);
void openapi_json(struct buf *out, openapi_fn *ops);
extern const char OPENAPI_PAGE[];
