/*
 * js: JSON read where it lies (RFC 8259).
 *
 * A value is checked once, from its first byte to its last, and is from then on a view of its own text: nothing is copied, and what is
 * passed on (a number of forty digits, the order of members) stays as it was sent. For messages whose parts are handed on; what
 * is taken apart whole is for jansson.
 *
 *     struct str rest = body;
 *     struct js v, item;
 *     if (!js_read(&rest, &v, e)) ...                  e->kind NONE: there was nothing but blanks
 *     for (struct js_it it = js_in(v); js_next(&it, &item);)
 *         if (js_key_is(&it, "value")) ...
 *
 * Nesting is bounded by LIMIT_JSON_DEPTH, so is the stack. Text is UTF-8; half of a surrogate pair in an escape is refused.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum js_kind { JS_NONE, JS_NULL, JS_FALSE, JS_TRUE, JS_NUMBER, JS_STRING, JS_OBJECT, JS_ARRAY };

struct js {
    enum js_kind kind; // JS_NONE: there is no such value
    struct str text;   // all of it, without blanks around
};

/* The first value of *rest, which moves on behind it. False at the end of the text (e->kind NONE) or at what is no JSON (ERR_BAD_INPUT). */
bool js_read(struct str *rest, struct js *out, struct err *e) MUST_CHECK;
/* The only value of a text; blanks around it are fine. */
bool js_whole(struct str text, struct js *out, struct err *e) MUST_CHECK;

/* Members of an object or elements of an array; of anything else there are none. */
struct js_it {
    struct str key; // as written, with its quotes; null in an array
    struct str _rest;
    bool _object;
};
struct js_it js_in(struct js v);
bool js_next(struct js_it *it, struct js *value);
bool js_key_is(const struct js_it *it, const char *name);
/* The last member of that name, as other readers have it; kind JS_NONE: there is none. */
struct js js_get(struct js object, const char *name);

/* A string without quotes and escapes: a view of its text when it has none of the latter. STR_NULL when v is no string. */
struct str js_str(struct js v, struct arena *a);
bool js_i64(struct js v, int64_t *out) MUST_CHECK; // a whole number without point and exponent
/* The same value without blanks between its parts. */
void js_put(struct buf *out, struct js v);
