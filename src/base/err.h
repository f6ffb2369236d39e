/*
 * err: what went wrong, said once.
 *
 * A function that can fail returns bool (true = it worked) and takes a `struct err *e` as its last parameter.
 * The place that finds the fault fills `e` with err_set() or err_sys(); a caller that knows more puts a few words in
 * front with err_wrap(); nobody logs on the way up. Whoever owns the request (a connection, a job, main) answers the
 * client or logs, once.
 *
 *     bool seg_open(struct seg *s, const char *path, struct err *e)
 *     {
 *         s->fd = s->os->open(s->os, path, O_RDWR);
 *         if (s->fd < 0)
 *             return err_sys(e, "open %s", path);
 *         if (!seg_recover(s, e))
 *             return err_wrap(e, "segment %s", path);
 *         return true;
 *     }
 *
 * `e` is never NULL, and is not touched when the function succeeds. Outcomes a caller is expected to act on (not
 * found, try again, end of data) are return values, not errors. Broken invariants are assert(), not errors.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>

/*
 * One row a kind: text, Kafka error code, HTTP status; so the protocols cannot disagree.
 * Kafka codes: kafka.apache.org/protocol "Error Codes".
 */
#define ERR_KINDS(X)                                       \
    X(NONE, "no error", 0, 200)                            \
    X(BUSY, "busy, try again", 7, 503)                     \
    X(LIMIT, "over a limit", 10, 413)                      \
    X(BAD_INPUT, "malformed input", 42, 400)               \
    X(INVALID, "well formed, but not acceptable", 42, 422) \
    X(NOT_FOUND, "no such thing", 3, 404)                  \
    X(CONFLICT, "in conflict with what is there", 36, 409) \
    X(UNSUPPORTED, "not supported", 35, 501)               \
    X(DENIED, "not allowed", 29, 403)                      \
    X(TIMEOUT, "took too long", 7, 504)                    \
    X(REMOTE, "another server failed", -1, 502)            \
    X(FULL, "no space left", 56, 507)                      \
    X(IO, "input/output", 56, 500)                         \
    X(CORRUPT, "stored data is damaged", 2, 500)

enum err_kind {
#define X(kind, text, kafka, http) ERR_##kind,
    ERR_KINDS(X)
#undef X
        ERR_KIND_COUNT
};

struct err {
    enum err_kind kind; // decides the code each protocol answers with
    int sys;            // errno where it was found, or 0
    const char *where;  // "file.c:123" of err_set()
    char msg[400];      // "outermost: ...: cause", cut at the right if too long
};

#define ERR_STR_(x)  #x
#define ERR_STR(x)   ERR_STR_(x)
#define ERR_HERE     __FILE__ ":" ERR_STR(__LINE__)
#define MUST_CHECK   __attribute__((warn_unused_result))
#define PRINTF(f, a) __attribute__((format(printf, f, a)))

/*
 * All return false, so that `return err_set(...)` reads as the failure. err_sys takes errno: ENOSPC and EDQUOT become
 * ERR_FULL. err_set_at is for who has an errno of his own to hand on.
 */
#define err_set(e, kind, ...)         err_set_at(e, kind, 0, ERR_HERE, __VA_ARGS__)
#define err_sys(e, ...)               err_set_at(e, ERR_IO, errno, ERR_HERE, __VA_ARGS__)
#define err_set_at(e, kind, sys, ...) err_said(err_fill(e, kind, sys, __VA_ARGS__))
#define err_wrap(e, ...)              err_said(err_prefix(e, __VA_ARGS__))

/* Behind the macros: the inline function shows static analysis that the answer is false, whatever err_fill does. */
bool err_fill(struct err *e, enum err_kind kind, int sys, const char *where, const char *fmt, ...)
    PRINTF(5, 6);
bool err_prefix(struct err *e, const char *fmt, ...) PRINTF(2, 3);
static inline bool err_said(bool ignored)
{
    (void)ignored;
    return false;
}

const char *err_text(enum err_kind kind);
int err_kafka(enum err_kind kind);
int err_http(enum err_kind kind);
