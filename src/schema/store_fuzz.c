/* Fuzz target: lines are keys and values of _schemas in turn, put into a store that is then asked everything. */
#include "schema/schema.h"

static bool append(void *arg, const struct schema_record *records, size_t count, struct err *e)
{
    (void)arg;
    (void)records;
    (void)count;
    (void)e;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct schema_store *s = schema_store_new(append, NULL);
    struct str rest = str_from(data ? (const char *)data : "", size), key, value;
    struct schema_version *list, v;
    struct arena a = {0};
    struct err e;
    size_t n;
    int id, version;

    while (str_cut(&rest, '\n', &key)) {
        value = STR_NULL;
        (void)str_cut(&rest, '\n', &value);
        (void)!schema_store_apply(s, key, value.n ? value : STR_NULL, &e);
    }
    (void)schema_versions(s, STR_NULL, SCHEMA_LIVE_AND_DELETED, &a, &list, &n);
    for (size_t i = 0; i < n && i < 50; i++) {
        (void)schema_by_id(s, list[i].id, &a, &v);
        (void)!schema_register(s, list[i].subject, &list[i].schema, &id, &version, &e);
        (void)!schema_register(s, list[i].subject, &(struct schema_text){.text = STR("\"int\"")}, &id,
                               &version, &e);
        (void)!schema_delete_version(s, list[i].subject, SCHEMA_LATEST, false, &version, &e);
    }
    arena_fini(&a);
    schema_store_free(s);
    return 0;
}
