/*
 * avro_int: what the files of this room share about Avro, and nobody else sees.
 *
 * avro_json.c     JSON in and out, as Jackson writes it
 * avro_parse.c    text to tree              avro_default.c  are defaults of their field's type?
 * avro_text.c     tree to text              avro_compat.c   reader against writer
 * avro_value.c    values: skip, to JSON; avro_from.c from JSON
 *                                           avro_decode.c   paths to a program; avro_run.c runs it
 * avro_types.c    Avro and Connect types to column types
 */
#pragma once

#include "schema/avro.h"

#include <jansson.h>

const char *avro_kind_name(enum avro_kind k); // "record"
/* The kind of a primitive's name; false when it is none. */
bool avro_primitive(struct str name, enum avro_kind *out);
struct avro *avro_bare(enum avro_kind k); // the primitive without properties; shared, never written

/* JSON text of at most `max` bytes, LIMIT_JSON_DEPTH deep; json_decref() the answer. NULL and e when it is not that. */
json_t *avro_json(struct str text, size_t max, struct err *e);
/* A string as Jackson writes it: escapes in capitals, only where they must be. s is UTF-8. */
void avro_json_text(struct buf *out, struct str s);
void avro_json_put(struct buf *out, const json_t *j);        // compact
void avro_json_real(struct buf *out, double v, bool single); // as Java writes a double, or a float
struct str avro_json_str(const json_t *string);              // borrows; null when it is not a string

/* Is j a value of type s as defaults are written? steps: what is left to spend; ERR_LIMIT-like false when used up. */
bool avro_default_ok(const struct avro *s, const json_t *j, int *steps);

/* How a value becomes a column's. The reader of the program has one case for each. */
enum avro_conv {
    CONV_BOOL,
    CONV_I32,
    CONV_I64,
    CONV_F32,
    CONV_F64,
    CONV_F32_TO_F64,
    CONV_TEXT,    // string
    CONV_BYTES,   // bytes
    CONV_FIXED,   // fixed, to bytes or a UUID
    CONV_ENUM,    // its symbol
    CONV_DECIMAL, // bytes, big-endian two's complement
    CONV_DECIMAL_FIXED,
    CONV_DECIMAL_TEXT, // bytes, too many digits for a column: as text
    CONV_VARIABLE,     // io.debezium.data.VariableScaleDecimal
    CONV_MILLIS,       // milliseconds to microseconds
    CONV_NANOS,
    CONV_INSTANT,        // microseconds, Debezium's infinities
    CONV_INSTANT_MILLIS, // the same from milliseconds
    CONV_INSTANT_NANOS,
    CONV_ZONED, // ISO 8601 text to microseconds
    CONV_JSON,  // anything else, as JSON text
};
/* The column for a type (which is not a union with null) and how to fill it. */
enum avro_conv avro_conv(const struct avro *s, struct column *out);
/* May a column `from` be stored as `to`? Changes conv where storing differs. */
bool avro_promote(const struct column *from, const struct column *to, enum avro_conv *conv);

/* Text of a date and time with its offset, or "infinity". */
bool avro_zoned(struct str s, int64_t *micros);
/* |v| < 10^precision, for 1 to 38 digits. False when it is not, or when there are no bytes. */
bool avro_decimal(struct str bytes, int precision, i128 *v);
/* The number bytes / 10^scale in digits, in a. Null when it has more than AVRO_DIGITS_BYTES bytes or a scale out of range. */
struct str avro_decimal_text(struct str bytes, int64_t scale, struct arena *a);
enum { AVRO_DIGITS_BYTES = 64 * 1024 };

/* Deepest nesting of values that is read. */
enum { AVRO_DEPTH = 200 };
