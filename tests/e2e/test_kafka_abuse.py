"""Clients that are slow or mean: what they ask for is bounded, and they are alone with it."""
import gzip
import pathlib
import socket
import struct

import pytest
from confluent_kafka import TopicPartition
from conftest import wait_for
from kafka_help import broker, consumer, create, send  # noqa: F401

MB = 1_000_000


def crc32c(data):
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def memory(broker, what="VmHWM"):  # noqa: F811
    """Resident bytes of the program: the most so far, or (VmRSS) now."""
    status = pathlib.Path(f"/proc/{broker.process.pid}/status").read_text()
    return int(status.split(f"{what}:")[1].split()[0]) * 1024


def frame(key, version, body, size=None):
    head = struct.pack(">hhih", key, version, 7, -1)
    return struct.pack(">i", len(head) + len(body) if size is None else size) + head + body


def connect(broker, port=None):  # noqa: F811
    return socket.create_connection(("127.0.0.1", port or broker.port("kafka")), timeout=30)


def answer(s):
    """The next answer's body; empty when the connection was closed instead."""
    def take(n):
        out = b""
        while len(out) < n:
            piece = s.recv(n - len(out))
            if not piece:
                return b""
            out += piece
        return out

    size = take(4)
    return take(struct.unpack(">i", size)[0]) if size else b""


def string(text):
    return struct.pack(">h", len(text)) + text.encode()


def produce(topic, batch):
    return frame(0, 7, struct.pack(">hhii", -1, -1, 30000, 1) + string(topic) + struct.pack(">iii", 1, 0, len(batch)) + batch)


def batch(records, attributes, count):
    body = struct.pack(">hiqqqhii", attributes, count - 1, 0, 0, -1, -1, -1, count) + records
    return struct.pack(">qiibI", 0, len(body) + 9, 0, 2, crc32c(body)) + body


def error_of(body, topic):
    return struct.unpack_from(">h", body, 4 + 4 + 2 + len(topic) + 4 + 4)[0]


def snappy_bomb():
    """A zero, then copies of 64 bytes from one byte before: as dense as snappy gets."""
    copies = 340_000
    length, out = 1 + 64 * copies, bytearray()
    while length:
        out.append(length & 0x7F | (0x80 if length > 0x7F else 0))
        length >>= 7
    return bytes(out) + b"\0\0" + b"\xfe\x01\0" * copies


def snappy_lie():
    """It says that it unpacks to 2 GiB."""
    return b"\xff\xff\xff\xff\x07" + b"\0\0" + b"\xfe\x01\0" * 100


def xxh32(data):
    """Of less than 16 bytes; lz4's frames have one byte of it."""
    one, two, three, four, five = 2654435761, 2246822519, 3266489917, 668265263, 374761393
    low, at = 0xFFFFFFFF, 0
    h = five + len(data)
    while at + 4 <= len(data):
        h = h + int.from_bytes(data[at:at + 4], "little") * three & low
        h, at = (h << 17 | h >> 15) * four & low, at + 4
    for byte in data[at:]:
        h = h + byte * five & low
        h = (h << 11 | h >> 21) * one & low
    h = (h ^ h >> 15) * two & low
    h = (h ^ h >> 13) * three & low
    return h ^ h >> 16


def lz4_bomb():
    """Blocks of 4 MiB: a zero, then one match of nearly the whole block."""
    head = b"\x60\x70"
    more = (4 << 20) - 1 - 19 - 5
    block = b"\x1f\0\x01\0" + b"\xff" * (more // 255) + bytes([more % 255]) + b"\x50" + bytes(5)
    return b"\x04\x22\x4d\x18" + head + bytes([xxh32(head) >> 8 & 0xFF]) + (struct.pack("<I", len(block)) + block) * 50 + bytes(4)


def zstd_bomb():
    """Blocks of one byte, repeated 128 KiB times."""
    block = struct.pack("<I", (128 << 10) << 3 | 1 << 1)[:3] + b"\0"
    last = struct.pack("<I", (128 << 10) << 3 | 1 << 1 | 1)[:3] + b"\0"
    return b"\x28\xb5\x2f\xfd\0\x58" + block * 100_000 + last


def zstd_window():
    """Its window would be 2 TiB."""
    return b"\x28\xb5\x2f\xfd\0\xff" + struct.pack("<I", 5 << 3 | 1)[:3] + b"hello"


def long_record():
    """Not packed; its only record says that it has 1 GiB."""
    return b"\xff\xff\xff\xff\x07" + bytes(100)


BOMBS = {"none": (0, long_record), "gzip": (1, lambda: gzip.compress(bytes(400 * MB), 9)), "snappy": (2, snappy_bomb),
         "snappy lie": (2, snappy_lie), "lz4": (3, lz4_bomb), "zstd": (4, zstd_bomb), "zstd window": (4, zstd_window)}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_batch_that_unpacks_to_far_more_is_refused_in_bounded_memory(broker, bomb):  # noqa: F811
    codec, make = BOMBS[bomb]
    packed = make()
    assert len(packed) < 1_040_000
    create(broker, "compacted", cleanup_policy="compact")
    create(broker, "repacked", compression_type="gzip" if bomb != "gzip" else "zstd")
    before = memory(broker)
    for topic in ("compacted", "repacked"):
        with connect(broker) as s:
            s.sendall(produce(topic, batch(packed, codec, 1)))
            body = answer(s)
        assert error_of(body, topic) in (2, 10, 87), body  # corrupt, too large, or invalid: not a success
    assert memory(broker) - before < 150 * MB
    send(broker, "other", [b"the broker goes on"])


@pytest.mark.parametrize("count", [0x7FFFFFFF, 1_000_000, -2])
def test_counts_that_the_request_does_not_hold_cost_nothing(broker, count):  # noqa: F811
    before = memory(broker)
    for key, version in ((0, 7), (1, 11), (2, 5), (3, 7), (8, 7), (9, 5), (19, 4), (20, 3), (37, 1)):
        prefix = {0: struct.pack(">hhi", -1, -1, 1000), 1: struct.pack(">iiiibii", -1, 1, 1, 1, 0, 0, 0)[:25], 2: struct.pack(">ib", -1, 0),
                  8: string("g") + struct.pack(">i", 1) + string("m") + struct.pack(">h", -1), 9: string("g")}.get(key, b"")
        with connect(broker) as s:
            s.sendall(frame(key, version, prefix + struct.pack(">i", count)))
            answer(s)  # an error or the end of the connection
    with connect(broker) as s:
        s.sendall(struct.pack(">i", 0x7FFFFFFF))
        assert answer(s) == b""
    assert memory(broker) - before < 20 * MB
    send(broker, "other", [b"the broker goes on"])


def uvarint(n):
    out = b""
    while n > 0x7F:
        out, n = out + bytes([n & 0x7F | 0x80]), n >> 7
    return out + bytes([n])


REPEATED = {"metadata": (3, 4, lambda: struct.pack(">i", 100_000) + string("wide") * 100_000 + b"\0"),
            "settings": (32, 1, lambda: struct.pack(">i", 20_000) + (b"\4" + string("1") + struct.pack(">i", -1)) * 20_000 + b"\0"),
            "positions": (9, 8, lambda: b"\0" + uvarint(40_001) + b"\2g\0\0" * 40_000 + b"\0\0")}


@pytest.mark.parametrize("what", REPEATED)
def test_what_is_asked_for_many_times_costs_no_more_memory(broker, what):  # noqa: F811
    """The answer may be too long to be sent; that is all."""
    create(broker, "wide", partitions=150)
    c = consumer(broker, "g")
    c.commit(offsets=[TopicPartition("wide", p, 1) for p in range(150)], asynchronous=False)
    c.close()
    before = memory(broker)
    key, version, body = REPEATED[what]
    with connect(broker) as s:
        s.sendall(frame(key, version, body()))
        answer(s)
    assert memory(broker) - before < 260 * MB
    send(broker, "other", [b"the broker goes on"])


def test_a_thousand_slow_connections_do_not_hurt_a_fast_one(broker):  # noqa: F811
    """A third sends half a request, a third announces a large one and sends a byte, a third asks for records and never reads them."""
    create(broker, "t")
    send(broker, "t", [bytes(100_000)] * 20)
    ask = frame(1, 4, struct.pack(">iiiibi", -1, 500, 1, 50 * MB, 0, 1) + string("t") + struct.pack(">iiqi", 1, 0, 0, 50 * MB))
    starts = [frame(3, 1, struct.pack(">i", 0))[:9], frame(0, 7, b"\0", size=50 * MB), ask * 20]
    before, port, slow = memory(broker, "VmRSS"), broker.port("kafka"), []
    try:
        for n in range(999):
            s = connect(broker, port)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.setblocking(False)
            s.send(starts[n % 3])
            slow.append(s)
        acked = send(broker, "fast", [b"%d" % n for n in range(500)])
        assert len(acked) == 500
        c = consumer(broker, "reader")
        c.subscribe(["fast"])
        got = []
        wait_for(lambda: got.extend(c.consume(500, 0.1)) or len(got) == 500, "the fast client's records", 30)
        c.close()
        assert memory(broker, "VmRSS") - before < 150 * MB
    finally:
        for s in slow:
            s.close()
    send(broker, "t", [b"the broker goes on"])
