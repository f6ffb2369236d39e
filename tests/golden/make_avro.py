#!/usr/bin/python3
"""make_avro: writes src/schema/avro_golden.h, the bytes that Apache's own Python library makes of schemas and values that the
unit tests of src/schema read.  Run it when a case is added; python3-avro is Debian's."""
import datetime
import decimal
import io
import json
import pathlib
import sys

import avro.datafile
import avro.io
import avro.schema

OUT = pathlib.Path(__file__).resolve().parents[2] / "src/schema/avro_golden.h"


def decimal_type(precision, scale):
    return {"type": "bytes", "scale": scale, "precision": precision, "connect.version": 1,
            "connect.parameters": {"scale": str(scale), "connect.decimal.precision": str(precision)},
            "connect.name": "org.apache.kafka.connect.data.Decimal", "logicalType": "decimal"}


def named(avro_type, name, default=None):
    t = {"type": avro_type, "connect.version": 1}
    if default is not None:
        t["connect.default"] = default
    return t | {"connect.name": name}


def optional(name, t):
    return {"name": name, "type": ["null", t], "default": None}


# What Confluent's AvroConverter makes of Debezium's envelope of storefront.public.orders.
SNAPSHOT = {"type": "string", "connect.version": 1,
            "connect.parameters": {"allowed": "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"},
            "connect.default": "false", "connect.name": "io.debezium.data.Enum"}
VALUE = {"type": "record", "name": "Value", "fields": [
    {"name": "id", "type": {"type": "int", "connect.default": 0}, "default": 0},
    {"name": "customer_id", "type": "int"},
    optional("status", "string"),
    optional("total", decimal_type(10, 2)),
    {"name": "created_at", "type": [named("long", "io.debezium.time.MicroTimestamp", 0), "null"], "default": 0},
], "connect.name": "storefront.public.orders.Value"}
SOURCE = {"type": "record", "name": "Source", "namespace": "io.debezium.connector.postgresql", "fields": [
    {"name": "version", "type": "string"}, {"name": "connector", "type": "string"}, {"name": "name", "type": "string"},
    {"name": "ts_ms", "type": "long"}, {"name": "snapshot", "type": [SNAPSHOT, "null"], "default": "false"},
    {"name": "db", "type": "string"}, optional("sequence", "string"), optional("ts_us", "long"), optional("ts_ns", "long"),
    {"name": "schema", "type": "string"}, {"name": "table", "type": "string"}, optional("txId", "long"),
    optional("lsn", "long"), optional("xmin", "long"), optional("origin", "string"), optional("origin_lsn", "long"),
], "connect.version": 1, "connect.name": "io.debezium.connector.postgresql.Source"}
BLOCK = {"type": "record", "name": "block", "namespace": "event", "fields": [
    {"name": "id", "type": "string"}, {"name": "total_order", "type": "long"},
    {"name": "data_collection_order", "type": "long"}], "connect.version": 1, "connect.name": "event.block"}
KEY = {"type": "record", "name": "Key", "namespace": "storefront.public.orders", "fields": [VALUE["fields"][0]],
       "connect.name": "storefront.public.orders.Key"}
ORDERS = {"type": "record", "name": "Envelope", "namespace": "storefront.public.orders", "fields": [
    {"name": "before", "type": ["null", VALUE], "default": None},
    {"name": "after", "type": ["null", "Value"], "default": None},
    {"name": "source", "type": SOURCE}, optional("transaction", BLOCK), {"name": "op", "type": "string"},
    optional("ts_ms", "long"), optional("ts_us", "long"), optional("ts_ns", "long"),
], "connect.version": 2, "connect.name": "storefront.public.orders.Envelope"}


def order(key, status="pending", total="19.90", created=1763712000123456):
    return {"id": key, "customer_id": 7 * key, "status": status,
            "total": None if total is None else decimal.Decimal(total), "created_at": created}


def event(op, before, after, lsn=24023128):
    source = {"version": "3.0.0.Final", "connector": "postgresql", "name": "storefront", "ts_ms": 1763712001000,
              "snapshot": "false", "db": "storefront", "sequence": f'["{lsn - 100}","{lsn}"]', "ts_us": 1763712001000123,
              "ts_ns": 1763712001000123000, "schema": "public", "table": "orders", "txId": 771, "lsn": lsn, "xmin": None,
              "origin": None, "origin_lsn": None}
    return {"before": before, "after": after, "source": source, "transaction": None, "op": op,
            "ts_ms": 1763712001005, "ts_us": 1763712001005678, "ts_ns": 1763712001005678000}


EVENTS = [event("c", None, order(1)), event("u", order(1), order(1, "shipped", "-0.05")),
          event("d", order(300000, "cancelled", None, 0), None),
          event("r", None, order(2, None, "99999999.99", 9223372036825200000))]

# One column of each kind, and what lies between them.
TYPES = {"type": "record", "name": "Types", "namespace": "t", "fields": [
    {"name": "skip0", "type": {"type": "array", "items": {"type": "map", "values": ["null", "string", "long"]}}},
    {"name": "b", "type": "boolean"}, {"name": "i", "type": "int"}, {"name": "l", "type": "long"},
    {"name": "f", "type": "float"}, {"name": "d", "type": "double"}, {"name": "raw", "type": "bytes"},
    {"name": "s", "type": "string"}, {"name": "skip1", "type": {"type": "fixed", "name": "Five", "size": 5}},
    {"name": "e", "type": {"type": "enum", "name": "Color", "symbols": ["RED", "GREEN"]}},
    {"name": "uuid", "type": {"type": "fixed", "name": "Id", "size": 16, "logicalType": "uuid"}},
    {"name": "dec", "type": {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 10}},
    {"name": "fdec", "type": {"type": "fixed", "name": "F9", "size": 9, "logicalType": "decimal", "precision": 18, "scale": 4}},
    {"name": "huge", "type": {"type": "bytes", "logicalType": "decimal", "precision": 64, "scale": 3}},
    {"name": "date", "type": named("int", "io.debezium.time.Date")},
    {"name": "time3", "type": named("int", "io.debezium.time.Time")},
    {"name": "time6", "type": named("long", "io.debezium.time.MicroTime")},
    {"name": "time9", "type": named("long", "io.debezium.time.NanoTime")},
    {"name": "ts3", "type": named("long", "io.debezium.time.Timestamp")},
    {"name": "ts6", "type": named("long", "io.debezium.time.MicroTimestamp")},
    {"name": "ts9", "type": named("long", "io.debezium.time.NanoTimestamp")},
    {"name": "tz", "type": named("string", "io.debezium.time.ZonedTimestamp")},
    {"name": "tzmin", "type": named("string", "io.debezium.time.ZonedTimestamp")},
    {"name": "tzinf", "type": named("string", "io.debezium.time.ZonedTimestamp")},
    {"name": "cdate", "type": named("int", "org.apache.kafka.connect.data.Date") | {"logicalType": "x-date"}},
    {"name": "ctime", "type": named("int", "org.apache.kafka.connect.data.Time")},
    {"name": "cts", "type": named("long", "org.apache.kafka.connect.data.Timestamp")},
    {"name": "uid", "type": named("string", "io.debezium.data.Uuid")},
    {"name": "json", "type": named("string", "io.debezium.data.Json")},
    {"name": "bits", "type": named("bytes", "io.debezium.data.Bits")},
    {"name": "vsd", "type": {"type": "record", "name": "VariableScaleDecimal", "namespace": "io.debezium.data", "fields": [
        {"name": "scale", "type": "int"}, {"name": "value", "type": "bytes"}],
        "connect.doc": "Variable scaled decimal", "connect.version": 1, "connect.name": "io.debezium.data.VariableScaleDecimal"}},
    {"name": "alts", "type": {"type": "long", "logicalType": "x-timestamp-micros"}},
    {"name": "list", "type": {"type": "array", "items": ["null", "int"]}},
    {"name": "map", "type": {"type": "map", "values": "string"}},
    {"name": "multi", "type": ["null", "int", "string", "boolean"]},
    {"name": "one", "type": ["int"]},
    {"name": "inner", "type": ["null", {"type": "record", "name": "Inner", "fields": [
        {"name": "x", "type": "int"}, optional("deep", {"type": "record", "name": "Deep", "fields": [
            {"name": "y", "type": ["string", "null"]}, {"name": "z", "type": "float"}]})]}]},
    {"name": "last", "type": ["null", "double"]},
]}
TYPES_VALUE = {
    "skip0": [{"a": None, "b": "text"}, {"c": 1 << 40}, {}], "b": True, "i": -2147483648, "l": -9223372036854775808,
    "f": 3.3, "d": -4.44e-300, "raw": b"\x00\x01\xff", "s": "žš €", "skip1": b"12345", "e": "GREEN", "uuid": bytes(range(16)),
    "dec": decimal.Decimal("-9999999999999999999999999999.9999999999"), "fdec": decimal.Decimal("-12345678901234.5678"),
    "huge": decimal.Decimal("-123456789012345678901234567890123456789012345678.901"),
    "date": 17109, "time3": 49890123, "time6": 49890123456, "time9": 49890123456789, "ts3": 1478267490123,
    "ts6": -210831897600000001, "ts9": -1, "tz": "2016-11-04T11:51:30.123456Z", "tzmin": "-4713-12-31T23:59:59.999999Z",
    "tzinf": "-infinity", "cdate": -1, "ctime": 1, "cts": -1, "uid": "0193a1b2-0000-7000-8000-000000000001",
    "json": '{"bar": "baz"}', "bits": b"\x03", "vsd": {"scale": 4, "value": bytes.fromhex("018af7")}, "alts": 5,
    "list": [1, None, -3], "map": {"k": "v\"\n"}, "multi": "two", "one": 42,
    "inner": {"x": 5, "deep": {"y": "why", "z": 0.5}}, "last": 1e100}
TYPES_NULLS = TYPES_VALUE | {"multi": None, "inner": None, "last": None, "list": [], "map": {}, "skip0": []}


def compact(schema):
    return json.dumps(schema, separators=(",", ":"), ensure_ascii=False)


def encode(schema, value):
    out = io.BytesIO()
    avro.io.DatumWriter(avro.schema.parse(compact(schema))).write(value, avro.io.BinaryEncoder(out))
    return out.getvalue()


def file(schema, values, codec, meta):
    out = io.BytesIO()
    writer = avro.datafile.DataFileWriter(out, avro.io.DatumWriter(), avro.schema.parse(compact(schema)), codec=codec)
    for key, value in meta.items():
        writer.set_meta(key, value)
    for at, value in enumerate(values):
        writer.append(value)
        if at == 1:
            writer.sync()  # two blocks
    writer.flush()
    return out.getvalue()


def c_text(name, text):
    lines, line = [], ""
    for ch in text.replace("\\", "\\\\").replace('"', '\\"'):
        line += ch
        if len(line) > 96 and ch != "\\":
            lines.append(line)
            line = ""
    lines.append(line)
    return f"static const char {name}[] =\n" + "\n".join(f'    "{x}"' for x in lines) + ";\n"


def c_bytes(name, data):
    rows = [", ".join(f"0x{b:02x}" for b in data[i:i + 16]) for i in range(0, len(data), 16)]
    return f"static const uint8_t {name}[] = {{\n" + "".join(f"    {row},\n" for row in rows) + "};\n"


def main():
    parts = ["""/*
 * avro_golden: schemas, values and files that Apache's Python library has written, for the tests.
 *
 * Made by tests/golden/make_avro.py; not edited by hand.
 */
#pragma once

/* clang-format off */
#include <stdint.h>
"""]
    parts += [c_text("golden_orders_schema", compact(ORDERS)), c_text("golden_orders_key_schema", compact(KEY)),
              c_text("golden_types_schema", compact(TYPES))]
    parts += [c_bytes(f"golden_order_{e['op']}", encode(ORDERS, e)) for e in EVENTS]
    parts += [c_bytes("golden_types", encode(TYPES, TYPES_VALUE)), c_bytes("golden_types_nulls", encode(TYPES, TYPES_NULLS))]
    small = {"type": "record", "name": "Small", "fields": [{"name": "n", "type": "int", "field-id": 7}, {"name": "s", "type": "string"}]}
    values = [{"n": n, "s": "x" * n} for n in range(50)]
    for codec in "null", "deflate":
        parts.append(c_bytes(f"golden_file_{codec}", file(small, values, codec, {"format-version": b"2"})))
    OUT.write_text("\n".join(parts))
    print(f"{OUT.name}: {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    sys.exit(main())
