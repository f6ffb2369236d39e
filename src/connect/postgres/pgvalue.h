/*
 * pgvalue: PostgreSQL's text of a value into Avro or JSON, as Debezium with Confluent's and Kafka's converters gives it.
 *
 * Snapshot (COPY) and stream (pgoutput) both give PostgreSQL's text, so one converter makes both the same. The text must come
 * from a session with datestyle ISO, intervalstyle postgres, timezone UTC, extra_float_digits 3, bytea_output hex and
 * lc_monetary C. It is checked: text that does not fit its type is an error that names what was found.
 *
 * The value is put at the end of `out`; after an error what was put is to be thrown away. Not null, and without the branch of a
 * union: those are the row's.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "connect/postgres/pgtype.h"

bool pgvalue_avro(struct buf *out, const struct type *t, struct str text, struct err *e) MUST_CHECK;
/* bytes and decimals in base64, as JsonConverter does. */
bool pgvalue_json(struct buf *out, const struct type *t, struct str text, struct err *e) MUST_CHECK;
/* The default of a schema in Avro's JSON: bytes as a string of the code points U+0000 to U+00FF. */
bool pgvalue_avro_default(struct buf *out, const struct type *t, struct str text, struct err *e) MUST_CHECK;

/*
 * The literal in a column's default expression ("'pending'::text", "0", "nextval(...)"): its text in a; STR_NULL when there
 * is none that Debezium would use. A function's result is not known, so it becomes the type's zero.
 */
struct str pgvalue_default_text(const struct type *t, struct str expression, struct arena *a);
/* What stands for a value that is not there and cannot be null: the type's zero, as text. */
struct str pgvalue_zero_text(const struct type *t);
