/*
 * pgtype: how a PostgreSQL type becomes a Kafka Connect value, as Debezium's PostgreSQL connector maps it.
 *
 * pgtype_of() decides from the catalog's facts; pgtype_shape() says what the value looks like in the schema; pgvalue.h converts.
 * Source: Debezium's documentation, "Data type mappings". A type with conversion CONV_NONE is left out of the events, with a
 * warning, as Debezium does.
 */
#pragma once

#include "base/arena.h"
#include "base/str.h"
#include "connect/shape.h"

enum conv {
    CONV_NONE,
    CONV_BOOL,
    CONV_INT16,
    CONV_INT32,
    CONV_INT64, // oid too
    CONV_FLOAT32,
    CONV_FLOAT64,
    CONV_TEXT,        // PostgreSQL's own text
    CONV_DECIMAL,     // unscaled bytes, scale of the column
    CONV_VAR_DECIMAL, // numeric without a scale: a struct of scale and bytes
    CONV_NUMERIC_F64, // decimal.handling.mode double
    CONV_NUMERIC_TEXT,
    CONV_MONEY,
    CONV_BYTES,
    CONV_BASE64,
    CONV_BASE64_URL,
    CONV_HEX,
    CONV_DATE,         // days
    CONV_TIME_MS,      // int32
    CONV_TIME_US,      // int64
    CONV_TIMESTAMP_MS, // int64
    CONV_TIMESTAMP_US,
    CONV_TIMESTAMPTZ, // text, UTC
    CONV_TIMETZ,
    CONV_INTERVAL_US,
    CONV_BIT,  // one bit: a boolean
    CONV_BITS, // little-endian bytes
    CONV_ARRAY,
};

enum decimal_mode { DECIMAL_PRECISE, DECIMAL_DOUBLE, DECIMAL_STRING };
enum binary_mode { BINARY_BYTES, BINARY_BASE64, BINARY_BASE64_URL, BINARY_HEX };
enum time_mode { TIME_ADAPTIVE, TIME_ADAPTIVE_US };

struct type_modes {
    enum decimal_mode decimal;
    enum binary_mode binary;
    enum time_mode time;
    int money_digits;
};

/* What the catalog says of a column's type; domains are resolved to their base type. */
struct type_facts {
    uint32_t oid;
    struct str name;   // typname
    int32_t modifier;  // atttypmod, -1: none
    struct str labels; // of an enum: joined by commas in their order; p NULL: not an enum
};

struct type {
    enum conv conv;
    int precision, scale;       // CONV_DECIMAL, CONV_MONEY
    int length;                 // CONV_BITS
    int digits;                 // of the second's fraction, CONV_TIMESTAMPTZ; 0: as many as there are
    const char *logical;        // "io.debezium.time.Date", or NULL
    struct str allowed;         // an enum's labels
    const struct type *element; // CONV_ARRAY
};

void pgtype_of(const struct type_facts *f, const struct type_modes *m, struct arena *a, struct type *out);
/* Not optional, without a default; both are the column's. */
struct shape *pgtype_shape(const struct type *t, struct arena *a);
