/* metadata.json, written: the first of a table, and the next from the one before. */
#include "lake/iceberg.h"

#include "base/mem.h"

#include <assert.h>
#include <inttypes.h>

static int dump_to(const char *p, size_t n, void *arg)
{
    buf_put(arg, p, n);
    return 0;
}

void ice_meta_new(const struct ice_new *n, struct buf *out)
{
    int last = 0;
    for (size_t i = 0; i < n->schema->count; i++)
        last = n->schema->fields[i].id > last ? n->schema->fields[i].id : last;
    buf_str(out, STR("{\"format-version\":2,\"table-uuid\":"));
    buf_json(out, n->uuid);
    buf_str(out, STR(",\"location\":"));
    buf_json(out, n->location);
    buf_fmt(out, ",\"last-sequence-number\":0,\"last-updated-ms\":%" PRId64 ",\"last-column-id\":%d",
            n->now_ms, last);
    buf_fmt(out, ",\"current-schema-id\":%d,\"schemas\":[", n->schema->id);
    ice_schema_text(n->schema, out);
    buf_str(
        out,
        STR("],\"default-spec-id\":0,\"partition-specs\":[{\"spec-id\":0,\"fields\":[]}],\"last-partition-"
            "id\":999,"
            "\"default-sort-order-id\":0,\"sort-orders\":[{\"order-id\":0,\"fields\":[]}],\"properties\":{"
            "\"write.format.default\":\"parquet\",\"write.delete.mode\":\"merge-on-read\","
            "\"write.update.mode\":\"merge-on-read\",\"write.metadata.delete-after-commit.enabled\":"
            "\"true\","));
    buf_fmt(out, "\"write.metadata.previous-versions-max\":\"%d\"},", ICE_METADATA_LOG);
    buf_str(out, STR("\"snapshots\":[],\"snapshot-log\":[],\"metadata-log\":[],\"refs\":{}}"));
}

static json_t *snapshot_json(const struct ice_snapshot *s)
{
    json_t *j =
        json_pack("{s:I, s:I, s:I, s:o, s:O, s:i}", "snapshot-id", (json_int_t)s->id, "sequence-number",
                  (json_int_t)s->sequence, "timestamp-ms", (json_int_t)s->timestamp_ms, "manifest-list",
                  json_stringn(s->manifest_list.p, s->manifest_list.n), "summary", s->summary, "schema-id",
                  s->schema_id);
    assert(j); // fails only for text that is not UTF-8, and all of it is ours
    if (s->parent != -1)
        json_object_set_new(j, "parent-snapshot-id", json_integer(s->parent));
    return j;
}

static json_t *list_in(json_t *root, const char *key)
{
    json_t *list = json_object_get(root, key);
    if (!json_is_array(list)) {
        list = json_array();
        json_object_set_new(root, key, list);
    }
    return list;
}

static void add_schema(json_t *root, const struct ice_schema *s)
{
    struct buf b = buf_make(ICE_METADATA_MAX);
    json_error_t why;
    ice_schema_text(s, &b);
    json_t *json = json_loadb((const char *)b.p, b.n, 0, &why);
    assert(json);
    buf_fini(&b);
    json_array_append_new(list_in(root, "schemas"), json);
    json_object_set_new(root, "current-schema-id", json_integer(s->id));
    int64_t last = json_integer_value(json_object_get(root, "last-column-id"));
    for (size_t i = 0; i < s->count; i++)
        last = s->fields[i].id > last ? s->fields[i].id : last;
    json_object_set_new(root, "last-column-id", json_integer(last));
}

static void add_snapshot(json_t *root, const struct ice_snapshot *s)
{
    json_array_append_new(list_in(root, "snapshots"), snapshot_json(s));
    json_array_append_new(list_in(root, "snapshot-log"),
                          json_pack("{s:I, s:I}", "timestamp-ms", (json_int_t)s->timestamp_ms, "snapshot-id",
                                    (json_int_t)s->id));
    json_object_set_new(root, "last-sequence-number", json_integer(s->sequence));
    json_object_set_new(root, "current-snapshot-id", json_integer(s->id));
    json_t *refs = json_object_get(root, "refs");
    if (!json_is_object(refs)) {
        refs = json_object();
        json_object_set_new(root, "refs", refs);
    }
    json_object_set_new(refs, "main",
                        json_pack("{s:I, s:s}", "snapshot-id", (json_int_t)s->id, "type", "branch"));
}

/* Entries of a list that belong to the snapshot go. The log's entries too: what is left of it must be whole (specification, "snapshot-log"). */
static void drop_snapshot(json_t *list, int64_t id)
{
    for (size_t i = json_array_size(list); i-- > 0;)
        if (json_integer_value(json_object_get(json_array_get(list, i), "snapshot-id")) == id)
            json_array_remove(list, i);
}

static void log_previous(json_t *root, const struct ice_meta *m, struct str location, struct arena *a,
                         struct str *dropped)
{
    json_t *list = list_in(root, "metadata-log");
    json_array_append_new(list, json_pack("{s:I, s:o}", "timestamp-ms", (json_int_t)m->last_updated_ms,
                                          "metadata-file", json_stringn(location.p, location.n)));
    *dropped = STR_NULL;
    if (json_array_size(list) > ICE_METADATA_LOG) {
        const char *oldest = json_string_value(json_object_get(json_array_get(list, 0), "metadata-file"));
        *dropped = arena_str(a, str_of(oldest));
        json_array_remove(list, 0);
    }
}

bool ice_meta_next(const struct ice_meta *m, const struct ice_change *c, struct arena *a, struct buf *out,
                   struct str *dropped_log, struct err *e)
{
    json_t *root = json_deep_copy(m->root);
    assert(root);
    log_previous(root, m, c->previous_location, a, dropped_log);
    if (c->schema)
        add_schema(root, c->schema);
    if (c->add)
        add_snapshot(root, c->add);
    for (size_t i = 0; i < c->expire_count; i++) {
        drop_snapshot(list_in(root, "snapshots"), c->expire[i]);
        drop_snapshot(list_in(root, "snapshot-log"), c->expire[i]);
    }
    if (c->property) {
        json_t *all = json_object_get(root, "properties");
        if (!json_is_object(all)) {
            all = json_object();
            json_object_set_new(root, "properties", all);
        }
        json_object_set_new(all, c->property, json_stringn(c->property_value.p, c->property_value.n));
    }
    json_object_set_new(root, "last-updated-ms", json_integer(c->now_ms));
    int bad = json_dump_callback(root, dump_to, out, JSON_COMPACT);
    json_decref(root);
    if (bad || !buf_ok(out))
        return err_set(e, ERR_LIMIT, "metadata.json would have more than %zu bytes", out->max);
    return true;
}
