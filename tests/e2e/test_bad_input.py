"""What is wrong is told where it is met, in a sentence that names the place; the rest goes on.  Settings, ports and connector files are
in test_up.py, migrations in test_project.py, each connector's keys in test_connect_rest.py."""
import json
import socket
import struct

import pytest
import requests
from confluent_kafka import KafkaError

from conftest import request, wait_for
from kafka_help import broker, consumer, create, send  # noqa: F401

SINK = {"connector.class": "io.confluent.connect.s3.S3SinkConnector", "topics": "hurt", "s3.bucket.name": "raw",
        "s3.region": "us-east-1", "store.url": "http://minio:9000", "flush.size": "1", "timezone": "UTC",
        "format.class": "io.confluent.connect.s3.format.bytearray.ByteArrayFormat",
        "value.converter": "org.apache.kafka.connect.converters.ByteArrayConverter"}


def flip(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 0x10
    path.write_bytes(content)


def polled(broker, topic, count):
    """Values up to the first error, and its code; None when there was none."""
    c, values = consumer(broker, "reader"), []
    c.subscribe([topic])
    try:
        while len(values) < count:
            message = c.poll(20)
            assert message is not None, values
            if message.error():
                return values, message.error().code()
            values.append(message.value())
        return values, None
    finally:
        c.close()


def test_a_corrupt_segment_is_named_and_what_is_before_it_is_read(broker):  # noqa: F811
    for topic in ("hurt", "sound"):
        create(broker, topic)
        for n in range(5):
            send(broker, topic, [b"record %d" % n])
    broker.stop()
    segment = broker.folder / "data/log/topics/hurt-0/00000000000000000000.log"
    flip(segment, segment.read_bytes().index(b"record 2"))
    broker.start()
    assert polled(broker, "hurt", 5) == ([b"record 0", b"record 1"], KafkaError.INVALID_MSG)  # CORRUPT_MESSAGE
    assert polled(broker, "sound", 5) == ([b"record %d" % n for n in range(5)], None)
    assert request("PUT", broker.url("connect", "/connectors/sink/config"), SINK)[0] == 201

    def trace():
        task = request("GET", broker.url("connect", "/connectors/sink/status"))[1]["tasks"][0]
        return task["state"] == "FAILED" and task["trace"]

    sentence = "topic hurt partition 0: data at offset 2 is damaged (wrong checksum)"
    assert wait_for(trace, "the sink to fail") == sentence
    assert f"records cannot be read: {sentence}" in broker.log_end()
    assert send(broker, "hurt", [b"after"]) == [5]


@pytest.mark.parametrize("role, path, limit", [("connect", "/connectors", 8 << 20), ("registry", "/subjects/s/versions", 8 << 20)])
def test_an_oversized_body_is_refused_before_it_is_read(broker, role, path, limit):  # noqa: F811
    host, port = broker.address(role).split(":")
    with socket.create_connection((host, int(port)), 10) as s:
        s.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {limit + 1}\r\n\r\n".encode())
        answer = s.recv(65536).decode()
    assert answer.startswith("HTTP/1.1 413") and "the body is too large" in answer


def test_an_oversized_frame_is_refused_before_it_is_read(broker):  # noqa: F811
    host, port = broker.address("kafka").split(":")
    with socket.create_connection((host, int(port)), 10) as s:
        s.sendall(struct.pack(">i", 2_000_000_000) + b"x" * 100)
        assert s.recv(10) == b"", "the connection is closed: Kafka has no answer for this"
    wait_for(lambda: "a frame of 2000000000 bytes, the limit is 104857600" in broker.log_end(), "the log to say why")
    assert send(broker, "t", [b"others are served"]) == [0]


@pytest.mark.parametrize("schema, said", [
    ({"type": "record", "name": "Order", "fields": [{"name": "total", "type": "lnog"}]}, "lnog"),
    ({"type": "record", "name": "Order", "fields": [{"name": "a"}]}, "type"),
    ({"type": "record", "name": "Order", "fields": [{"name": "a", "type": "int"}, {"name": "a", "type": "int"}]}, "a"),
])
def test_a_bad_schema_is_told_with_its_place(broker, schema, said):  # noqa: F811
    answer = requests.post(broker.url("registry", "/subjects/orders-value/versions"), json={"schema": json.dumps(schema)}, timeout=30)
    assert answer.status_code == 422 and answer.json()["error_code"] == 42201
    message = answer.json()["message"]
    assert message.startswith("Invalid schema") and said in message, message
    assert requests.get(broker.url("registry", "/subjects"), timeout=30).json() == []
