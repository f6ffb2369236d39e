/*
 * shape: a schema as Kafka Connect has it, and its two spellings.
 *
 * A source describes its keys and values once, as a tree of shapes in an arena, and asks for the text that a converter
 * would register or send: shape_avro() as Confluent's AvroConverter (AvroData of kafka-connect-avro-data, byte for byte:
 * namespaces, connect.* properties in their order, a second use of a record by its name), shape_json() as Kafka's
 * JsonConverter with schemas.enable.
 *
 * Names: "storefront.public.orders.Value" becomes record Value of namespace storefront.public.orders.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

enum shape_type {
    SHAPE_INT16,
    SHAPE_INT32,
    SHAPE_INT64,
    SHAPE_FLOAT32,
    SHAPE_FLOAT64,
    SHAPE_BOOLEAN,
    SHAPE_STRING,
    SHAPE_BYTES,
    SHAPE_STRUCT,
    SHAPE_ARRAY,
};

struct shape_parameter {
    const char *key;
    struct str value;
};

struct shape_field {
    struct str name;
    const struct shape *shape;
};

struct shape {
    enum shape_type type;
    bool optional;
    int version;     // 0: none
    struct str name; // p NULL: none
    const char *doc; // NULL: none
    const struct shape_parameter *parameters;
    size_t parameter_count;
    struct str default_avro;          // JSON text of the default value in Avro's spelling; p NULL: none
    struct str default_json;          // ... in JsonConverter's
    const struct shape_field *fields; // SHAPE_STRUCT
    size_t field_count;
    const struct shape *items; // SHAPE_ARRAY
};

#define SHAPE_DECIMAL "org.apache.kafka.connect.data.Decimal"

void shape_avro(struct buf *out, const struct shape *s);
void shape_json(struct buf *out, const struct shape *s);
