/*
 * iceberg: what the Iceberg specification (v2) says of a table: its schema and metadata.json.
 *
 * A struct ice_meta is one metadata.json, read and never changed: a commit makes the next one from it with ice_meta_next(), so
 * keys that this room does not know are carried on. Tables are unpartitioned and flat: nested columns of tables that
 * others made are ERR_UNSUPPORTED.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "schema/columns.h"

#include <jansson.h>

enum {
    ICE_COLUMNS_MAX = 4000,
    ICE_METADATA_LOG = 20, // previous metadata files that are kept (write.metadata.previous-versions-max)
    ICE_METADATA_MAX = 64 * 1024 * 1024 // bytes of a metadata.json
};

struct ice_field {
    int id;
    struct column like; // name, type, precision, scale, required; no values
};

struct ice_schema {
    int id;
    struct ice_field *fields;
    size_t count;
    int *keys; // ids of the identifier fields
    size_t key_count;
};

/* The field of that name; NULL when there is none. */
const struct ice_field *ice_field(const struct ice_schema *s, struct str name);
const struct ice_field *ice_field_by_id(const struct ice_schema *s, int id);
bool ice_is_key(const struct ice_schema *s, int id);
void ice_schema_text(const struct ice_schema *s, struct buf *out); // JSON
/* "decimal(10, 2)" and the like. */
void ice_type_text(const struct column *c, struct buf *out);
/* A value's type may become `to` in place (specification, "Schema Evolution"): int to long, float to double, a decimal with more digits. */
bool ice_may_promote(const struct column *from, const struct column *to);

struct ice_snapshot {
    int64_t id, parent; // parent -1: none
    int64_t sequence, timestamp_ms;
    struct str manifest_list; // URI
    int schema_id;
    const json_t *summary; // never NULL
};

struct ice_meta {
    struct arena arena;
    json_t *root;
    struct str uuid, location;
    int64_t last_sequence, last_updated_ms, current_snapshot; // -1: none
    int last_column_id;
    struct ice_schema schema; // the current one
    struct ice_snapshot *snapshots;
    size_t snapshot_count;
};

/* Yours to free. Anything out of the specification's bounds is ERR_CORRUPT. */
bool ice_meta_parse(struct str text, struct ice_meta **out, struct err *e) MUST_CHECK;
void ice_meta_free(struct ice_meta *m);                                        // NULL does nothing
const struct ice_snapshot *ice_snapshot(const struct ice_meta *m, int64_t id); // NULL: none
/* The schema of a snapshot, in a. */
bool ice_snapshot_schema(const struct ice_meta *m, const struct ice_snapshot *s, struct arena *a,
                         struct ice_schema *out, struct err *e) MUST_CHECK;
struct str ice_summary(const struct ice_snapshot *s, const char *key); // STR_NULL when absent
int64_t ice_summary_i64(const struct ice_snapshot *s, const char *key, int64_t otherwise);
struct str ice_property(const struct ice_meta *m, const char *key); // STR_NULL when absent

/* A table without a snapshot. */
struct ice_new {
    struct str uuid, location;
    const struct ice_schema *schema;
    int64_t now_ms;
};
void ice_meta_new(const struct ice_new *n, struct buf *out);

struct ice_change {
    struct str previous_location;    // of the metadata.json that this one follows
    const struct ice_schema *schema; // becomes the current one (its id too); NULL: as it is
    const struct ice_snapshot
        *add; // becomes the current one; NULL: none. Its summary is taken over, not its reference
    const int64_t *expire; // snapshots that go
    size_t expire_count;
    const char *property; // set to property_value; NULL: none
    struct str property_value;
    int64_t now_ms;
};
/* Text of the next metadata.json. *dropped_log: location of the oldest metadata file when the log is full, in a; null: none. */
bool ice_meta_next(const struct ice_meta *m, const struct ice_change *c, struct arena *a, struct buf *out,
                   struct str *dropped_log, struct err *e) MUST_CHECK;

/* ---- bounds (specification, Appendix D "Single-value serialization: Binary") ---- */

enum { ICE_TRUNCATE = 16 }; // characters of a string's bound (write.metadata.metrics.default truncate(16))

/*
 * From the text that DuckDB gives of a column's smallest or largest value. STR_NULL: there is none that is sure to be right.
 * An upper bound that had to be cut is rounded up.
 */
struct str ice_bound(const struct column *c, struct str text, bool upper, struct arena *a);
