/*
 * avro_program: a writer's schema and the wanted columns, as a flat list of steps.
 *
 * avro_decode.c writes the program once for each schema, avro_run.c runs it for each record. A record of a hundred fields of
 * which three are wanted is a handful of steps: runs of values that nobody wants are one step, and a step for a
 * column knows its type, so nothing is looked up while a record is read.
 */
#pragma once

#include "schema/avro_int.h"

enum avro_code {
    OP_END,
    OP_SKIP_VARINTS,     // n of them
    OP_SKIP_BYTES,       // n bytes
    OP_SKIP_STRINGS,     // n times a length and as many bytes
    OP_SKIP_OPT_VARINTS, // n times a union of null (branch null_index) and a varint
    OP_SKIP_OPT_STRINGS, // n times a union of null and a string
    OP_SKIP_VALUE,       // one value of `type`
    OP_ENTER, // a union of null and a record: when null, columns null[first .. first+n) are null, go to `to`
    OP_READ,  // column `column` by `conv`
    OP_NULLS, // columns null[first .. first+n) have no value in this schema
};

struct avro_op {
    uint8_t code;       // enum avro_code
    uint8_t conv;       // enum avro_conv
    int8_t null_index;  // branch that is null; -1: none
    int8_t value_index; // branch that is the value; -1: not a union
    uint8_t scale;      // decimals: powers of ten are in `precision`
    uint8_t precision;
    bool required; // a null here is refused
    uint32_t column;
    uint32_t first, to;
    size_t n;
    const struct avro *type;
};

struct avro_decoder {
    struct avro_op *ops;
    uint32_t *null; // columns that become null together
    struct column *columns;
    struct str *paths; // of the columns, for messages
    size_t op_count, null_count, count;
};
