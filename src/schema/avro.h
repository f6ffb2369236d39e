/*
 * avro: Avro schemas and binary data (Apache Avro 1.11 specification).
 *
 * avro_parse() reads a schema's JSON into a tree in an arena. Named types are linked, so a tree may share nodes; a schema that
 * contains itself is refused when decoded into columns but may be registered. avro_decoder turns records of one writer's
 * schema into rows of chosen columns without building values in between.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/rd.h"
#include "schema/columns.h"

enum avro_kind {
    AVRO_NULL,
    AVRO_BOOLEAN,
    AVRO_INT,
    AVRO_LONG,
    AVRO_FLOAT,
    AVRO_DOUBLE,
    AVRO_BYTES,
    AVRO_STRING,
    AVRO_RECORD,
    AVRO_ENUM,
    AVRO_ARRAY,
    AVRO_MAP,
    AVRO_UNION,
    AVRO_FIXED,
};

struct avro;

struct avro_field {
    struct str name;
    struct avro *type;
    bool has_default;
    struct str default_json;
    struct str *aliases;
    size_t alias_count;
};

struct avro {
    enum avro_kind kind;
    struct str name;           // full name of record, enum, fixed
    struct avro_field *fields; // record
    struct avro **branches;    // union
    struct avro *items;        // array: elements; map: values
    struct str *symbols;       // enum
    struct str *aliases;
    size_t count, alias_count; // of fields, branches or symbols
    int size;                  // fixed
    struct str logical;        // logicalType, or null
    int precision, scale;      // of logicalType decimal
    struct str connect_name;   // "io.debezium.time.MicroTimestamp", or null
    struct str enum_default;
};

/* text: JSON. At most LIMIT_SCHEMA bytes and LIMIT_JSON_DEPTH deep. Errors name the place: "field orders.total: ...". */
bool avro_parse(struct arena *a, struct str text, struct avro **out, struct err *e) MUST_CHECK;
/* Can data of `writer` be read with `reader` (Java SchemaCompatibility)? false: why gets the first difference. */
bool avro_can_read(const struct avro *reader, const struct avro *writer, struct buf *why);
const struct avro_field *avro_field(const struct avro *record,
                                    const char *name); // NULL when absent
/* Parsing Canonical Form of the specification. */
void avro_canonical(const struct avro *s, struct buf *out);

/* ---- decode into columns ---- */

/*
 * A path like "after.total" or "op" for each column. A null record on the way makes the column null. Types: Avro's and
 * Connect's logical names become column types as docs/types.md says (MicroTimestamp -> COLUMN_TIMESTAMP, Decimal -> COLUMN_DECIMAL ...).
 */
struct avro_decoder;
bool avro_decoder_new(struct arena *a, const struct avro *writer, const char *const *paths, size_t count,
                      struct avro_decoder **out, struct err *e) MUST_CHECK;
const struct column *avro_decoder_columns(const struct avro_decoder *d); // [count], for columns_init
/*
 * Decodes one record at row c->rows and adds the row. Text and bytes point into `data`, which must outlive c's use (other things go to c->arena).
 * Data that ends early, has bytes behind it, or a union index out of range is ERR_CORRUPT and adds no row.
 */
bool avro_decode(const struct avro_decoder *d, struct str data, struct columns *c, struct err *e) MUST_CHECK;
/* Reads past one value without keeping it. */
void avro_skip(const struct avro *s, struct rd *r);
/* One value as Avro's JSON encoding (the union branches' names left out), for people to read. */
bool avro_to_json(const struct avro *s, struct rd *r, struct buf *out, struct err *e) MUST_CHECK;

/* ---- object container files (specification, "Object Container Files") ---- */

/* Writer: header with metadata, then blocks. codec "null" or "deflate". sync: 16 random bytes. */
struct avro_file_meta {
    struct str key, value;
};
void avro_file_begin(struct buf *out, struct str schema_text, struct str codec,
                     const struct avro_file_meta *meta, size_t meta_count, const uint8_t sync[16]);
bool avro_file_block(struct buf *out, struct str codec, int64_t count, struct str data,
                     const uint8_t sync[16], struct err *e) MUST_CHECK;
/* Reader of codecs null, deflate, snappy, zstandard. */
struct avro_file {
    struct str schema_text, codec;
    struct avro_file_meta *meta;
    size_t meta_count;
    uint8_t sync[16];
    struct rd _rest;
    struct arena *_arena;
};
bool avro_file_open(struct avro_file *f, struct arena *a, struct str bytes, struct err *e) MUST_CHECK;
/* The next block's records, decompressed in the arena. False at the end (e->kind NONE) or at damage. */
bool avro_file_next(struct avro_file *f, int64_t *count, struct str *data, struct err *e) MUST_CHECK;
