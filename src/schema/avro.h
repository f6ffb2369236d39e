/*
 * avro: Avro schemas and binary data (Apache Avro 1.11 specification).
 *
 * avro_parse() reads a schema's JSON into a tree in an arena. Named types are linked, so a tree may share nodes and a
 * record may contain itself; walk with care. What the specification does not know (connect.name, field-id, ...) is kept
 * as properties. avro_text() writes a tree as Java's Schema.toString() does, which is the text a registry stores.
 *
 *     a record to columns   avro_decoder_new() once for each writer's schema, avro_decode() for each record
 *     any value, by hand    rd_varint, rd_bytes and avro_branch(), avro_block(), avro_skip()
 *     for people            avro_to_json(), avro_from_json()
 *     files                 avro_file_begin(), avro_file_block(); avro_file_open(), avro_file_next()
 *
 * Everything is read-only after it was made, so any thread may use it. docs/types.md has the types.
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

struct avro_prop {
    struct str key;
    struct str json; // the value's text, compact
};

struct avro_field {
    struct str name;
    struct avro *type;
    struct str doc; // or null
    bool has_default;
    struct str default_json;
    enum { AVRO_ASCENDING, AVRO_DESCENDING, AVRO_IGNORE } order;
    struct str *aliases;
    struct avro_prop *props;
    size_t alias_count, prop_count;
    int field_id; // Iceberg's "field-id", or -1
};

struct avro {
    enum avro_kind kind;
    struct str name;           // full name of record, enum, fixed
    struct avro_field *fields; // record
    struct avro **branches;    // union
    struct avro *items;        // array: elements; map: values
    struct str *symbols;       // enum
    struct str *aliases;       // full names
    size_t count, alias_count; // of fields, branches or symbols
    int size;                  // fixed
    struct str logical;        // logicalType, or null
    int precision, scale;      // of logicalType decimal; precision 0: not a valid decimal
    struct str connect_name;   // "io.debezium.time.MicroTimestamp", or null
    struct str enum_default;   // or null
    struct str doc;            // or null
    struct avro_prop *props;   // all others; and logicalType, precision, scale, connect.name too
    size_t prop_count;
    int element_id;   // array: Iceberg's "element-id", or -1
    bool is_error;    // a record written as "type":"error"
    bool is_known;    // a named type of a schema that the text refers to: texts have its name only
    size_t min_bytes; // no value is shorter, and 0 means every value has no bytes at all
    struct avro_field **_by_name; // record: fields sorted by name
};

/*
 * text: JSON of at most LIMIT_SCHEMA bytes, LIMIT_JSON_DEPTH deep. Names, references, enum and field defaults are checked.
 * Errors name the place: "field after.total: ...". known: schemas whose named types text may refer to, parsed before it, in
 * order, and each after those it needs itself.
 */
bool avro_parse(struct arena *a, struct str text, struct avro **out, struct err *e) MUST_CHECK;
bool avro_parse_with(struct arena *a, const struct str *known, size_t known_count, struct str text,
                     struct avro **out, struct err *e) MUST_CHECK;

/* NULL when absent. */
const struct avro_field *avro_field(const struct avro *record, struct str name);
const struct avro_field *avro_field_by_id(const struct avro *record, int field_id);
/* JSON text of a property; STR_NULL when absent. */
struct str avro_prop(const struct avro *s, const char *key);
struct str avro_field_prop(const struct avro_field *f, const char *key);
/* The type that is not null in a union of null and one other, any order, or of one type; s itself otherwise. */
const struct avro *avro_strip_null(const struct avro *s);
/* Can two unions, arrays, ... hold a null? */
bool avro_is_nullable(const struct avro *s);

/* As Java's Schema.toString() has it: compact, attributes in its order, names as short as they can be. */
void avro_text(const struct avro *s, struct buf *out);
/* Parsing Canonical Form of the specification. */
void avro_canonical(const struct avro *s, struct buf *out);

/* ---- can data written with one be read with the other? ---- */

/* The incompatibility types of Java's SchemaCompatibility, with its names. */
enum avro_difference_kind {
    AVRO_NAME_MISMATCH,
    AVRO_FIXED_SIZE_MISMATCH,
    AVRO_MISSING_ENUM_SYMBOLS,
    AVRO_READER_FIELD_MISSING_DEFAULT_VALUE,
    AVRO_TYPE_MISMATCH,
    AVRO_MISSING_UNION_BRANCH,
};
struct avro_difference {
    enum avro_difference_kind kind;
    struct str path; // in the reader's JSON: "/fields/1/type"
    struct str text; // a sentence
    struct str what; // the name, type or symbols it is about
};
const char *avro_difference_name(enum avro_difference_kind kind); // "TYPE_MISMATCH"
/*
 * All differences that keep `reader` from reading data of `writer` (Java SchemaCompatibility, Avro 1.11), in a; count 0:
 * it can. ERR_LIMIT when the two are too large to compare.
 */
bool avro_compare(const struct avro *reader, const struct avro *writer, struct arena *a,
                  struct avro_difference **out, size_t *count, struct err *e) MUST_CHECK;
/* Only whether; why gets the first difference. */
bool avro_can_read(const struct avro *reader, const struct avro *writer, struct buf *why);

/* ---- values by hand ---- */

/* The branch that the index at r names; s itself when it is not a union. NULL, and r failed, on a bad index. */
const struct avro *avro_branch(const struct avro *s, struct rd *r);
/* Elements in the next block of an array or a map of s; 0 at its end, or when r failed. */
int64_t avro_block(const struct avro *s, struct rd *r);
/* Reads past one value without keeping it. */
void avro_skip(const struct avro *s, struct rd *r);
/* One value as JSON for people: union branches without their names, bytes as base64. out's limit bounds it. */
bool avro_to_json(const struct avro *s, struct rd *r, struct buf *out, struct err *e) MUST_CHECK;

/*
 * The way back: one value from JSON text, appended to out. A union takes the branch that {"name":value} names, else the first that
 * fits; fields that are not there get their defaults, fields that the schema does not know are an error that names
 * the place.
 */
bool avro_from_json(const struct avro *s, struct str json, struct buf *out, struct err *e) MUST_CHECK;

/*
 * The same in Avro's own encoding (specification, "JSON Encoding"): a value in a union is {"name of its branch":value}, bytes are the
 * characters U+0000 to U+00FF. What is read may still leave out the name of a branch, and fields that have a default.
 */
bool avro_to_tagged_json(const struct avro *s, struct rd *r, struct buf *out, struct err *e) MUST_CHECK;
bool avro_from_tagged_json(const struct avro *s, struct str json, struct buf *out, struct err *e) MUST_CHECK;

/* ---- decode into columns ---- */

struct avro_want {
    const char *path; // "after.total"; NULL: a column that stays null
    const struct column
        *as; // NULL: the writer's own type. Else: this type; int to long, float to double, a decimal
             // to one with more digits are conversions, all else is refused
};

/*
 * A null record on the way makes the column null. A null value for a required `as` is refused by avro_decode(). A path
 * that is not in the schema is ERR_NOT_FOUND; ask avro_column() first. Maps, arrays, records and unions of
 * several types become JSON text. The writer's tree must outlive the decoder, and the decoder what it decoded.
 */
struct avro_decoder;
bool avro_decoder_new(struct arena *a, const struct avro *writer, const struct avro_want *wants, size_t count,
                      struct avro_decoder **out, struct err *e) MUST_CHECK;
const struct column *avro_decoder_columns(const struct avro_decoder *d); // [count], for columns_init
/* The column that a path gives when it is not told otherwise; false when there is no such path. */
bool avro_column(const struct avro *writer, const char *path, struct column *out);
/*
 * Decodes one record at row c->rows and adds the row. Text and bytes point into `data`, which must outlive c's use (other things go to c->arena).
 * Data that ends early, has bytes behind it, or a union index out of range is ERR_CORRUPT and adds no row.
 */
bool avro_decode(const struct avro_decoder *d, struct str data, struct columns *c, struct err *e) MUST_CHECK;
/* The same for one record of several behind each other (a file's block): r moves on. */
bool avro_decode_next(const struct avro_decoder *d, struct rd *r, struct columns *c,
                      struct err *e) MUST_CHECK;

/* ---- object container files (specification, "Object Container Files") ---- */

enum { AVRO_SYNC = 16 };

/* Writer: header with metadata, then blocks. codec "null" or "deflate". sync: 16 random bytes. */
struct avro_file_meta {
    struct str key, value;
};
void avro_file_begin(struct buf *out, struct str schema_text, struct str codec,
                     const struct avro_file_meta *meta, size_t meta_count, const uint8_t sync[AVRO_SYNC]);
bool avro_file_block(struct buf *out, struct str codec, int64_t count, struct str data,
                     const uint8_t sync[AVRO_SYNC], struct err *e) MUST_CHECK;
/* Reader of codecs null, deflate, snappy, zstandard. Blocks larger than LIMIT_BATCH when unpacked are ERR_LIMIT. */
struct avro_file {
    struct str schema_text, codec;
    struct avro_file_meta *meta; // avro.schema and avro.codec are here too
    size_t meta_count;
    uint8_t sync[AVRO_SYNC];
    struct rd _rest;
    struct arena *_arena;
};
bool avro_file_open(struct avro_file *f, struct arena *a, struct str bytes, struct err *e) MUST_CHECK;
struct str avro_file_get(const struct avro_file *f, const char *key); // of the metadata; STR_NULL when absent
/* The next block's records, decompressed in the arena. False at the end (e->kind NONE) or at damage. */
bool avro_file_next(struct avro_file *f, int64_t *count, struct str *data, struct err *e) MUST_CHECK;
