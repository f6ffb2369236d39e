#include "lake/iceberg.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/test.h"
#include "lake/manifest.h"

static struct ice_field fields[] = {
    {1, {.name = {"id", sizeof("id") - 1}, .type = COLUMN_I64, .required = true}},
    {2, {.name = {"na\"me", sizeof("na\"me") - 1}, .type = COLUMN_TEXT}},
    {5, {.name = {"price", sizeof("price") - 1}, .type = COLUMN_DECIMAL, .precision = 10, .scale = 2}},
};
static int keys[] = {1};
static const struct ice_schema schema = {.id = 0, .fields = fields, .count = 3, .keys = keys, .key_count = 1};

static struct ice_meta *first(void)
{
    struct err e;
    struct ice_meta *m = NULL;
    struct buf b = buf_make(MIB);
    ice_meta_new(
        &(struct ice_new){.uuid = STR("u-1"), .location = STR("s3://b/t"), .schema = &schema, .now_ms = 1000},
        &b);
    if (!ice_meta_parse(buf_view(&b), &m, &e))
        printf("# %s\n", e.msg);
    buf_fini(&b);
    return m;
}

TEST(a_new_table)
{
    struct ice_meta *m = first();
    OK(m && str_is(m->uuid, "u-1") && m->current_snapshot == -1 && m->last_column_id == 5);
    OK(m->schema.count == 3 && m->schema.fields[2].like.precision == 10 && m->schema.fields[0].like.required);
    OK(str_is(m->schema.fields[1].like.name, "na\"me") && ice_is_key(&m->schema, 1) &&
       !ice_is_key(&m->schema, 2));
    OK(str_is(ice_property(m, "write.format.default"), "parquet"));
    ice_meta_free(m);
}

TEST(the_next_metadata)
{
    struct err e;
    struct arena a = {0};
    struct str dropped;
    struct ice_meta *m = first(), *next;
    struct buf b = buf_make(MIB);
    json_t *summary = json_pack("{s:s, s:s}", "operation", "append", "tarn.lsn", "77");
    for (int i = 0; i < 30; i++) {
        struct ice_snapshot s = {.id = 100 + i,
                                 .parent = i ? 99 + i : -1,
                                 .sequence = i + 1,
                                 .timestamp_ms = 2000 + i,
                                 .manifest_list = STR("s3://b/t/l.avro"),
                                 .summary = summary};
        int64_t gone = 90 + i;
        struct ice_change c = {.previous_location = str_of(arena_fmt(&a, "s3://b/t/%d", i)),
                               .add = &s,
                               .expire = &gone,
                               .expire_count = 1,
                               .now_ms = 2000 + i};
        buf_reset(&b);
        OK(ice_meta_next(m, &c, &a, &b, &dropped, &e) && ice_meta_parse(buf_view(&b), &next, &e));
        OK(i < 20 ? !dropped.p : dropped.p != NULL);
        ice_meta_free(m);
        m = next;
    }
    OK(m->snapshot_count == 10 && m->current_snapshot == 129 && m->last_sequence == 30);
    const struct ice_snapshot *s = ice_snapshot(m, 125);
    OK(s && s->parent == 124 && ice_summary_i64(s, "tarn.lsn", 0) == 77 && !ice_snapshot(m, 100));
    OK(json_array_size(json_object_get(m->root, "metadata-log")) == 20);
    OK(json_array_size(json_object_get(m->root, "snapshot-log")) == 10);
    OK(json_integer_value(
           json_object_get(json_object_get(json_object_get(m->root, "refs"), "main"), "snapshot-id")) == 129);
    json_decref(summary);
    ice_meta_free(m);
    buf_fini(&b);
    arena_fini(&a);
}

TEST(bad_metadata_is_refused)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"format-version\":1}",
        "{\"format-version\":2,\"last-column-id\":-1}",
        "{\"format-version\":2,\"last-column-id\":1,\"table-uuid\":\"u\",\"location\":\"l\",\"last-sequence-"
        "number\":0,\"last-updated-ms\":0,"
        "\"current-schema-id\":0,\"schemas\":[{\"schema-id\":0,\"fields\":[{\"id\":1,\"name\":\"a\",\"type\":"
        "{\"type\":\"list\"}}]}]}",
        "{\"format-version\":2,\"last-column-id\":1,\"table-uuid\":\"u\",\"location\":\"l\",\"last-sequence-"
        "number\":0,\"last-updated-ms\":0,"
        "\"current-schema-id\":0,\"current-snapshot-id\":5,\"schemas\":[{\"schema-id\":0,\"fields\":[]}]}",
    };
    struct err e;
    struct ice_meta *m;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        OK(!ice_meta_parse(str_of(bad[i]), &m, &e) && e.msg[0]);
}

/* ---- bounds ---- */

static bool bound_is(struct column c, const char *text, bool upper, const char *want, size_t n)
{
    struct arena a = {0};
    struct str got = ice_bound(&c, str_of(text), upper, &a);
    bool same = want ? str_eq(got, str_from(want, n)) : !got.p;
    arena_fini(&a);
    return same;
}
#define BOUND(type_, text, want) \
    bound_is((struct column){.type = (type_), .scale = 2}, text, false, want, sizeof(want) - 1)

TEST(bounds_as_appendix_d_has_them)
{
    OK(BOUND(COLUMN_BOOL, "true", "\1"));
    OK(BOUND(COLUMN_I32, "-2", "\xfe\xff\xff\xff"));
    OK(BOUND(COLUMN_I64, "258", "\2\1\0\0\0\0\0\0"));
    OK(BOUND(COLUMN_F64, "1.5", "\0\0\0\0\0\0\xf8\x3f"));
    OK(BOUND(COLUMN_F32, "-inf", "\0\0\x80\xff"));
    OK(bound_is((struct column){.type = COLUMN_F64}, "nan", false, NULL, 0));
    OK(BOUND(COLUMN_DECIMAL, "1.28", "\0\x80"));
    OK(BOUND(COLUMN_DECIMAL, "-1.28", "\x80"));
    OK(BOUND(COLUMN_DECIMAL, "0.00", "\0"));
    OK(BOUND(COLUMN_DECIMAL, "-0.01", "\xff"));
    OK(BOUND(COLUMN_DECIMAL, "12345678901234567890.12", "\x42\xed\x12\x3b\x0b\xd8\x20\x3a\x14"));
    OK(BOUND(COLUMN_DECIMAL, "655.36", "\1\0\0"));
    OK(bound_is((struct column){.type = COLUMN_DECIMAL, .scale = 3}, "1.28", false, NULL, 0));
    OK(BOUND(COLUMN_DATE, "1970-01-02", "\1\0\0\0"));
    OK(BOUND(COLUMN_DATE, "1969-12-31", "\xff\xff\xff\xff"));
    OK(BOUND(COLUMN_TIME, "00:00:01.5", "\x60\xe3\x16\0\0\0\0\0"));
    OK(BOUND(COLUMN_TIMESTAMP, "1970-01-01 00:00:00.000258", "\2\1\0\0\0\0\0\0"));
    OK(BOUND(COLUMN_TIMESTAMPTZ, "1970-01-01 00:00:00.000258+00", "\2\1\0\0\0\0\0\0"));
    OK(bound_is((struct column){.type = COLUMN_TIMESTAMP}, "infinity", true, NULL, 0));
    OK(bound_is((struct column){.type = COLUMN_TIMESTAMP}, "0044-03-15 (BC) 00:00:00", false, NULL, 0));
    OK(BOUND(COLUMN_UUID, "00010203-0405-0607-0809-0a0b0c0d0e0f",
             "\0\1\2\3\4\5\6\7\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"));
}

TEST(strings_are_cut_and_rounded_up)
{
    struct column text = {.type = COLUMN_TEXT};
    OK(bound_is(text, "short", true, "short", 5));
    OK(bound_is(text, "0123456789abcdefX", false, "0123456789abcdef", 16));
    OK(bound_is(text, "0123456789abcdefX", true, "0123456789abcdeg", 16));
    /* 16 characters, not bytes; a two-byte one is raised within UTF-8. */
    OK(bound_is(text, "äääääääääääääääää", false, "ääääääääääääääää", 32));
    OK(bound_is(text, "äääääääääääääääää", true, "äääääääääääääääå", 32));
    /* The last one cannot be raised: the one before is. */
    OK(bound_is(text, "0123456789abcde\U0010ffffX", true, "0123456789abcdf", 15));
    OK(bound_is(text, "0123456789abcde\ud7ffX", true, "0123456789abcde\ue000", 18));
    OK(bound_is(text, "\xff\xfe", false, NULL, 0));
}

/* ---- manifests ---- */

TEST(a_manifest_reads_as_it_was_written)
{
    struct err e;
    struct arena a = {0};
    struct buf b = buf_make(MIB);
    const uint8_t sync[16] = {1, 2, 3};
    struct ice_metric metrics[] = {
        {.id = 1, .size = 100, .values = 7, .nulls = 0, .lower = STR("\1\0\0\0"), .upper = STR("\7\0\0\0")},
        {.id = 2, .size = -1, .values = 7, .nulls = 7},
    };
    struct ice_entry in[] =
        {
            {.status = ICE_ADDED,
             .snapshot_id = 99,
             .sequence = -1,
             .file_sequence = -1,
             .file = {.path = STR("s3://b/d.parquet"),
                      .format = STR("PARQUET"),
                      .rows = 7,
                      .size_bytes = 1234,
                      .metrics = metrics,
                      .metric_count = 2}},
            {.status = ICE_DELETED,
             .snapshot_id = 98,
             .sequence = 5,
             .file_sequence = 4,
             .file = {.content = ICE_POSITION_DELETES,
                      .path = STR("s3://b/x.parquet"),
                      .format = STR("PARQUET"),
                      .rows = 1,
                      .size_bytes = 9,
                      .referenced = STR("s3://b/d.parquet")}},
        },
                     *out;
    size_t n;
    struct manifest_head h = {.schema_json = STR("{}"), .content = ICE_DATA, .sync = sync};
    struct ice_manifest m = {.path = STR("s3://b/m.avro"), .added_snapshot = 99, .sequence = 6};
    OK(manifest_write(&h, in, 2, &b, &e));
    OK(manifest_read(&m, buf_view(&b), &a, &out, &n, &e) || (printf("# %s\n", e.msg), false));
    OK(n == 2 && out[0].status == ICE_ADDED && out[0].snapshot_id == 99 && out[0].sequence == 6);
    OK(out[0].file.metric_count == 2 && out[0].file.metrics[0].size == 100 &&
       str_eq(out[0].file.metrics[0].upper, metrics[0].upper));
    OK(out[0].file.metrics[1].size == -1 && out[0].file.metrics[1].nulls == 7 &&
       !out[0].file.metrics[1].lower.p);
    OK(out[1].status == ICE_DELETED && out[1].sequence == 5 && out[1].file_sequence == 4 &&
       str_is(out[1].file.referenced, "s3://b/d.parquet"));
    OK(out[1].file.content == ICE_POSITION_DELETES && !out[0].file.referenced.p);

    buf_reset(&b);
    struct ice_manifest list_in[] = {{.path = STR("s3://b/m.avro"),
                                      .length = 77,
                                      .content = ICE_POSITION_DELETES,
                                      .sequence = 6,
                                      .min_sequence = 5,
                                      .added_snapshot = 99,
                                      .added_files = 1,
                                      .existing_files = 2,
                                      .deleted_files = 3,
                                      .added_rows = 4,
                                      .existing_rows = 5,
                                      .deleted_rows = 6}},
                        *list;
    struct manifest_list_head lh = {.snapshot_id = 99, .parent = -1, .sequence = 6, .sync = sync};
    OK(manifest_list_write(&lh, list_in, 1, &b, &e));
    OK(manifest_list_read(buf_view(&b), &a, &list, &n, &e) || (printf("# %s\n", e.msg), false));
    OK(n == 1 && str_is(list[0].path, "s3://b/m.avro") && list[0].length == 77 &&
       list[0].content == ICE_POSITION_DELETES);
    OK(list[0].min_sequence == 5 && list[0].deleted_files == 3 && list[0].deleted_rows == 6 &&
       list[0].existing_rows == 5);
    buf_fini(&b);
    arena_fini(&a);
}

TEST_MAIN
