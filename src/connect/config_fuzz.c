/* Fuzz target: any bytes as a connector's configuration, read and checked against the classes there are. */
#include "base/mem.h"
#include "connect/connect_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = {0};
    struct config_problem *p;
    struct connector_settings *s;
    struct err e;
    size_t n;

    s = connector_settings_new(STR("fuzz"), str_from(data, size), &e);
    if (s) {
        connector_settings_problems(s, &a, &p, &n);
        if (n == 0 && s->class)
            (void)connector_settings_tasks(s);
    }
    connector_settings_free(s);
    arena_fini(&a);
    return 0;
}
