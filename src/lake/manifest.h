/*
 * manifest: Avro manifests and manifest lists (Iceberg specification, "Manifests" and "Manifest Lists").
 *
 * Written as format version 2 for unpartitioned tables, with the record names, field ids and header keys that Java asks for. Read
 * from any writer: fields are found by their id, in whatever order and union form, in any codec of avro.h. The partition value of
 * an entry is passed over; what a table of another shape holds is still listed right.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum { MANIFEST_MAX = 64 * 1024 * 1024 }; // bytes of one manifest or list

enum ice_content { ICE_DATA, ICE_POSITION_DELETES, ICE_EQUALITY_DELETES };
enum ice_status { ICE_EXISTING, ICE_ADDED, ICE_DELETED };

struct ice_metric {
    int id;                      // of the column
    int64_t size, values, nulls; // -1: not known
    struct str lower, upper;     // as in Appendix D; null: none
};

struct ice_file {
    enum ice_content content;
    struct str path;   // URI
    struct str format; // "PARQUET"
    int64_t rows, size_bytes;
    struct ice_metric *metrics;
    size_t metric_count;
    struct str referenced; // of position deletes: the one data file they are of; null: several
};

struct ice_entry {
    enum ice_status status;
    int64_t snapshot_id;             // that added it, or deleted it
    int64_t sequence, file_sequence; // -1: the manifest's own (of added ones)
    struct ice_file file;
};

struct ice_manifest { // a row of a manifest list
    struct str path;
    int64_t length;
    int spec_id;
    enum ice_content content; // ICE_DATA or ICE_POSITION_DELETES ("deletes")
    int64_t sequence, min_sequence, added_snapshot;
    int added_files, existing_files, deleted_files;
    int64_t added_rows, existing_rows, deleted_rows;
};

struct manifest_head {
    struct str schema_json; // the table's schema
    int schema_id;
    enum ice_content content;
    const uint8_t *sync; // 16 random bytes
};
bool manifest_write(const struct manifest_head *h, const struct ice_entry *entries, size_t count,
                    struct buf *out, struct err *e) MUST_CHECK;
/* Strings live in a. Entries without a snapshot id or sequence numbers get those of m (inheritance). */
bool manifest_read(const struct ice_manifest *m, struct str bytes, struct arena *a,
                   struct ice_entry **entries, size_t *count, struct err *e) MUST_CHECK;

struct manifest_list_head {
    int64_t snapshot_id, parent, sequence; // parent -1: none
    const uint8_t *sync;
};
bool manifest_list_write(const struct manifest_list_head *h, const struct ice_manifest *list, size_t count,
                         struct buf *out, struct err *e) MUST_CHECK;
bool manifest_list_read(struct str bytes, struct arena *a, struct ice_manifest **list, size_t *count,
                        struct err *e) MUST_CHECK;
