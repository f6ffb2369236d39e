/* Fuzz target: any bytes as tarn.yaml. Must not crash; an error must have a message. */
#include "conf/conf.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf_env env = {0};
    struct arena a = {0};
    struct settings s;
    struct err e = {0};

    conf_defaults(&s, &a);
    if (!conf_parse(&s, &a, "tarn.yaml", str_from(data, size), &env, &e) && (e.kind == ERR_NONE || !e.msg[0]))
        abort();
    arena_fini(&a);
    return 0;
}
