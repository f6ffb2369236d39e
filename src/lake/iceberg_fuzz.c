/* The first byte says what the rest is: a metadata.json, a manifest or a manifest list. */
#include "base/limits.h"
#include "lake/iceberg.h"
#include "lake/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void metadata(struct str text)
{
    struct err e;
    struct arena a = {0};
    struct ice_meta *m;
    struct ice_schema s;
    struct str dropped;
    if (!ice_meta_parse(text, &m, &e))
        return;
    for (size_t i = 0; i < m->snapshot_count; i++)
        (void)!ice_snapshot_schema(m, &m->snapshots[i], &a, &s, &e);
    struct buf b = buf_make(MIB);
    struct ice_change c = {.previous_location = STR("s3://b/t/metadata/1"), .now_ms = 1};
    (void)!ice_meta_next(m, &c, &a, &b, &dropped, &e);
    buf_fini(&b);
    ice_meta_free(m);
    arena_fini(&a);
}

static void manifest(struct str bytes)
{
    struct err e;
    struct arena a = {0};
    struct ice_manifest m = {.path = STR("m"), .added_snapshot = 1, .sequence = 1};
    struct ice_entry *entries;
    size_t count;
    (void)!manifest_read(&m, bytes, &a, &entries, &count, &e);
    arena_fini(&a);
}

static void manifest_list(struct str bytes)
{
    struct err e;
    struct arena a = {0};
    struct ice_manifest *list;
    size_t count;
    (void)!manifest_list_read(bytes, &a, &list, &count, &e);
    arena_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    struct str rest = str_from(data + 1, n - 1);
    if (data[0] == 'j')
        metadata(rest);
    else if (data[0] == 'm')
        manifest(rest);
    else
        manifest_list(rest);
    return 0;
}
