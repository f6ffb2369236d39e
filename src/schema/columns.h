/*
 * columns: rows on their way, by column.
 *
 * A `struct columns` holds up to `capacity` rows: for each column an array of values of one type and an array that says
 * which are null. It is what Avro records are decoded into, what the engine takes in and gives out, and what the lake
 * writes as Parquet; so a value has one form on all of that way. Memory is of one arena; reset both together.
 *
 * Infinite dates and times (PostgreSQL has them) are the largest value of the column's integer and its negative:
 * INT64_MAX and -INT64_MAX for instants, INT32_MAX and -INT32_MAX for dates, as DuckDB has it.
 */
#pragma once

#include "base/arena.h"
#include "base/str.h"

enum column_type {
    COLUMN_BOOL,        // bools
    COLUMN_I32,         // i32
    COLUMN_I64,         // i64
    COLUMN_F32,         // f32
    COLUMN_F64,         // f64
    COLUMN_TEXT,        // strs, UTF-8
    COLUMN_BYTES,       // strs
    COLUMN_DECIMAL,     // i128, value = i128 / 10^scale; precision 1 to 38
    COLUMN_DATE,        // i32, days since 1970-01-01
    COLUMN_TIME,        // i64, microseconds since midnight
    COLUMN_TIMESTAMP,   // i64, microseconds since 1970-01-01, without time zone
    COLUMN_TIMESTAMPTZ, // i64, microseconds since 1970-01-01 UTC
    COLUMN_UUID,        // strs of 16 bytes
};

enum { COLUMN_PRECISION_MAX = 38 };

__extension__ typedef __int128 i128;

struct column {
    struct str name;
    enum column_type type;
    uint8_t precision, scale; // decimals only
    bool required;            // never null
    bool *nulls;              // [capacity]
    union {
        bool *bools;
        int32_t *i32;
        int64_t *i64;
        float *f32;
        double *f64;
        struct str *strs; // bytes live in the arena, or where the decoder says
        i128 *i128;
        void *any;
    };
};

struct columns {
    struct arena *arena;
    struct column *column;
    size_t count; // columns
    size_t rows;
    size_t capacity;
};

size_t column_width(enum column_type t); // bytes of one value in its array
/* Makes the arrays of `count` columns (name, type, precision, scale, required are copied from `like`). */
void columns_init(struct columns *c, struct arena *a, const struct column *like, size_t count,
                  size_t capacity);
const char *column_type_name(enum column_type t); // as SQL has it: "BIGINT"
