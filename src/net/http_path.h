/*
 * http_path: which row of a door's table a request asks for, by its method and path.
 *
 * A door keeps its own rows; each has a `struct http_path` and what the door likes beside it:
 *
 *     static const struct route {
 *         struct http_path path;
 *         void (*fn)(struct http_req *q, struct str name);
 *     } routes[] = {
 *         {{"GET", "/things"}, list},
 *         {{"GET", "/things/{name}"}, get},
 *     };
 *     static const struct http_paths paths = HTTP_PATHS(routes, path);
 *
 *     int i = http_find(&paths, q, names);
 *     if (i >= 0)
 *         routes[i].fn(q, names[0]);
 *
 * The rows are looked through in their order and the first that fits is it, so a row of fixed words stands before one that
 * takes any. Empty segments do not count ("/things/" is "/things"), and each is percent-decoded by itself: what braces
 * have taken may hold a slash.
 */
#pragma once

#include "net/http.h"

enum {
    HTTP_PATH_NAMES = 4,     // segments in braces of one row
    HTTP_PATH_SEGMENTS = 12, // a longer path is at no row
};

struct http_path {
    const char *method;  // "GET", which answers HEAD too
    const char *pattern; // "/things/{name}": a segment in braces takes any one
};

struct http_paths { // of a table
    const struct http_path *first;
    size_t count, row_bytes;
};
/* Of an array of rows; `member` is the path's. */
#define HTTP_PATHS(rows, member) HTTP_PATHS_N(rows, member, ARRAY_LEN(rows))
#define HTTP_PATHS_N(rows, member, n)                                            \
    {                                                                            \
        .first = &(rows)[0].member, .count = (n), .row_bytes = sizeof((rows)[0]) \
    }

/*
 * The number of the row, with what its braces have taken in `names` (in q->arena; the others are null). Else the status to
 * answer with, negative: -404, nothing is at this path, or -405, something is but not with this method; then an Allow header,
 * which says with which, is set already.
 */
int http_find(const struct http_paths *t, struct http_req *q, struct str names[HTTP_PATH_NAMES]);
