#include "base/limits.h"
#include "engine/engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool resolve(void *arg, struct str url, struct buf *out, struct err *e)
{
    (void)arg;
    if (url.n > 100)
        return err_set(e, ERR_NOT_FOUND, "no such object");
    sql_literal(out, url);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct err e;
    struct buf out = buf_make(MIB);
    (void)!sql_resolve(str_from(data, n), resolve, NULL, &out, &e);
    struct arena a = {0};
    struct str rest = str_from(data, n), name;
    while (sql_next_name(&rest, &a, &name))
        ;
    arena_fini(&a);
    buf_fini(&out);
    return 0;
}
