#include "app/external.h"

#include "base/arena.h"
#include "base/mem.h"

#include <libpq-fe.h>

/* Unless the URL says how long: libpq alone waits as long as TCP does, minutes. */
#define CONNECT_SECONDS "10"

enum { OPTIONS_MAX = 64 }; // libpq 15 has 42

/* libpq's words on one line. It may quote the whole URL, which holds a password: what follows is left out. */
static const char *one_line(struct arena *a, const char *message, const char *url)
{
    const char *quoted = *url ? strstr(message, url) : NULL;
    struct str text = str_trim(quoted ? str_from(message, (size_t)(quoted - message)) : str_of(message));
    char *out = arena_alloc(a, text.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++) {
        bool space = strchr("\n\t ", text.p[i]) != NULL;

        if (!space || (n > 0 && out[n - 1] != ' '))
            out[n++] = space ? ' ' : text.p[i];
    }
    out[n] = '\0';
    return out;
}

static PGconn *connect_to(const PQconninfoOption *options)
{
    const char *keys[OPTIONS_MAX + 2], *values[OPTIONS_MAX + 2];
    int n = 0;

    for (const PQconninfoOption *o = options; o->keyword && n < OPTIONS_MAX; o++) {
        const char *value = o->val;

        if (strcmp(o->keyword, "connect_timeout") == 0 && !value)
            value = CONNECT_SECONDS;
        if (!value)
            continue;
        keys[n] = o->keyword;
        values[n++] = value;
    }
    keys[n] = NULL;
    values[n] = NULL;
    return PQconnectdbParams(keys, values, 0);
}

bool external_find(const char *url, struct arena *a, const char **host, int *port, struct err *e)
{
    char *message = NULL;
    PQconninfoOption *options = PQconninfoParse(url, &message);
    PGconn *pg = options ? connect_to(options) : NULL;
    int64_t number = 0;
    bool ok;

    if (!options)
        ok = err_set(e, ERR_INVALID, "postgres.url: %s", one_line(a, message ? message : "no URL", url));
    else if (PQstatus(pg) != CONNECTION_OK)
        ok = err_set(e, ERR_REMOTE, "postgres.url: %s", one_line(a, PQerrorMessage(pg), url));
    else
        ok = true;
    if (ok) {
        *host = arena_str(a, str_of(PQhost(pg))).p;
        *port = str_i64(str_of(PQport(pg)), &number) ? (int)number : 5432;
    }
    PQfinish(pg);
    PQconninfoFree(options);
    PQfreemem(message);
    return ok;
}
