/*
 * rowtext: a row as PostgreSQL would print it, and its checksum.
 *
 * Values come as columns (decoded from Avro, or read from Parquet) or as the text of COPY; both become the same
 * bytes: the text that PostgreSQL 15 prints with DateStyle ISO, TimeZone UTC and extra_float_digits 3.
 */
#pragma once

#include "base/buf.h"
#include "schema/columns.h"

/* The text of one value that is not null. */
void rowtext_value(struct buf *out, const struct column *c, size_t row);

/* A checksum being made: fields in the table's order. */
struct rowsum;
struct rowsum *rowsum_new(void);
void rowsum_free(struct rowsum *s);
void rowsum_begin(struct rowsum *s);
void rowsum_field(struct rowsum *s, struct str text); // p NULL: null
int64_t rowsum_end(struct rowsum *s);
/* All of `count` columns from `first` on, of one row. */
int64_t rowsum_row(struct rowsum *s, const struct columns *c, size_t first, size_t count, size_t row);
