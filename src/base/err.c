#include "base/err.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *text;
    int kafka;
    int http;
} kinds[] = {
#define X(kind, text, kafka, http) [ERR_##kind] = {text, kafka, http},
    ERR_KINDS(X)
#undef X
};

bool err_fill(struct err *e, enum err_kind kind, int sys, const char *where, const char *fmt, ...)
{
    char text[64];
    va_list ap;
    int n;

    assert(kind != ERR_NONE);
    e->kind = sys == ENOSPC || sys == EDQUOT ? ERR_FULL : kind;
    e->sys = sys;
    e->where = where;
    va_start(ap, fmt);
    n = vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    if (sys != 0 && n >= 0 && (size_t)n < sizeof e->msg)
        (void)snprintf(e->msg + n, sizeof e->msg - (size_t)n, ": %s", strerror_r(sys, text, sizeof text));
    return false;
}

bool err_prefix(struct err *e, const char *fmt, ...)
{
    char cause[sizeof e->msg];
    va_list ap;
    int n;

    assert(e->kind != ERR_NONE);
    memcpy(cause, e->msg, sizeof cause);
    va_start(ap, fmt);
    n = vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof e->msg)
        (void)snprintf(e->msg + n, sizeof e->msg - (size_t)n, ": %s", cause);
    return false;
}

const char *err_text(enum err_kind kind)
{
    return kinds[kind].text;
}

int err_kafka(enum err_kind kind)
{
    return kinds[kind].kafka;
}

int err_http(enum err_kind kind)
{
    return kinds[kind].http;
}
