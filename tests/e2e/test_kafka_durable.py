"""What was acknowledged survives kill -9: all of it, once, in order."""
import struct
import threading

import pytest
from confluent_kafka import TopicPartition
from kafka_help import broker, consumer, create, producer, read_all, send  # noqa: F401
from test_kafka_abuse import answer, connect, frame, string

ROUNDS, PARTITIONS = 5, 4


class Writer(threading.Thread):
    """Sends numbers to each partition without a pause; remembers which were acknowledged, at which offset."""

    def __init__(self, broker):
        super().__init__(daemon=True)
        self.acked = [{} for _ in range(PARTITIONS)]
        self.sent = [0] * PARTITIONS
        self.stop = threading.Event()
        self.p = producer(broker, enable_idempotence=True, linger_ms=1, message_timeout_ms=120000, reconnect_backoff_max_ms=200)

    def told(self, error, message):
        if error is None:
            self.acked[message.partition()][int(message.value())] = message.offset()

    def run(self):
        while not self.stop.is_set():
            for partition in range(PARTITIONS):
                try:
                    self.p.produce("t", b"%d" % self.sent[partition], partition=partition, on_delivery=self.told)
                    self.sent[partition] += 1
                except BufferError:
                    pass
            self.p.poll(0.0005)
        assert self.p.flush(120) == 0


def test_acknowledged_is_kept(broker):
    create(broker, "t", PARTITIONS)
    w = Writer(broker)
    w.start()
    for n in range(ROUNDS):
        before = sum(map(len, w.acked))
        while sum(map(len, w.acked)) < before + 2000:
            assert w.is_alive()
            w.join(0.02)
        broker.kill()
        broker.start()
    w.stop.set()
    w.join(150)
    assert not w.is_alive()
    for partition in range(PARTITIONS):
        values = [int(m.value()) for m in read_all(broker, "t", partition)]
        assert len(w.acked[partition]) == w.sent[partition]
        assert values == list(range(w.sent[partition])), "each message once, in the order it was sent"
        assert all(values[offset] == number for number, offset in w.acked[partition].items())


def test_end_offsets_after_kill_9(broker):
    create(broker, "t")
    c = consumer(broker, "g")
    last = send(broker, "t", [b"x"] * 1000)[-1]
    broker.kill()
    broker.start()
    assert c.get_watermark_offsets(TopicPartition("t", 0), 30) == (0, last + 1)
    c.close()


LONG_PARTITIONS, LONG_COUNT = 6, 30000


class LongWriter(threading.Thread):
    """Batches of about a megabyte, of messages of 1 KB that say who sent them and the how manieth of their partition they are."""

    def __init__(self, broker, name, **config):
        super().__init__(daemon=True)
        self.name, self.failed = name, []
        self.p = producer(broker, batch_size=1000000, linger_ms=50, queue_buffering_max_messages=1000000,
                          queue_buffering_max_kbytes=1 << 20, **config)

    def told(self, error, message):
        if error is not None:
            self.failed.append(error)

    def run(self):
        for n in range(LONG_COUNT):
            value = b"%s %d " % (self.name.encode(), n // LONG_PARTITIONS)
            self.p.produce("t", value.ljust(1024, b"%d" % (n % 10)), partition=n % LONG_PARTITIONS, on_delivery=self.told)
            if n % 1000 == 0:
                self.p.poll(0)
        assert self.p.flush(60) == 0


def read_long(broker, group):
    """Of each partition and each producer the numbers, in the order they are read in."""
    c = consumer(broker, group, fetch_message_max_bytes=4 << 20)
    c.assign([TopicPartition("t", partition, 0) for partition in range(LONG_PARTITIONS)])
    numbers, missing = {}, 2 * LONG_COUNT
    while missing > 0:
        some = c.consume(min(missing, 5000), 20)
        assert some, f"{missing} are missing"
        for m in some:
            name, number, rest = m.value().split(b" ")
            numbers.setdefault((name.decode(), m.partition()), []).append(int(number))
            assert len(m.value()) == 1024 and len(set(rest)) == 1, "it is not as it was sent"
        missing -= len(some)
    c.close()
    return numbers


def test_long_batches_of_two_producers(broker):
    """Both write to the same partitions, so that a batch often comes to lie elsewhere than expected when it was begun to be received."""
    create(broker, "t", LONG_PARTITIONS)
    writers = [LongWriter(broker, "once", enable_idempotence=True), LongWriter(broker, "plain", acks="all", retries=0)]
    for w in writers:
        w.start()
    while_produced = read_long(broker, "meanwhile")
    for w in writers:
        w.join(60)
        assert not w.is_alive() and not w.failed
    each = list(range(LONG_COUNT // LONG_PARTITIONS))
    assert while_produced == {(w.name, partition): each for w in writers for partition in range(LONG_PARTITIONS)}
    broker.kill()
    broker.start()
    assert read_long(broker, "after") == while_produced
    for partition in range(LONG_PARTITIONS):
        c = consumer(broker, "ends")
        assert c.get_watermark_offsets(TopicPartition("t", partition), 20) == (0, 2 * len(each))
        c.close()


def fetched(broker, topic, offset):
    """Error code and first offset (None: no records) of a Fetch of one byte, which gives one batch."""
    body = struct.pack(">iiiibi", -1, 100, 1, 1, 0, 1) + string(topic) + struct.pack(">iiqi", 1, 0, offset, 1)
    with connect(broker) as s:
        s.sendall(frame(1, 4, body))
        told = answer(s)
    error, _, _, aborted, size = struct.unpack_from(">hqqii", told, 4 + 4 + 4 + 2 + len(topic) + 4 + 4)
    assert aborted <= 0 and size >= 0
    return error, struct.unpack_from(">q", told, len(told) - size)[0] if size else None


@pytest.mark.parametrize("how", ["bit", "cut"])
def test_damage_is_told_with_its_place_and_never_served(broker, how):
    create(broker, "t")
    create(broker, "other")
    for topic in ("t", "other"):
        send(broker, topic, [b"%d" % n * 500 for n in range(20)], batch_num_messages=1)
    broker.stop()
    path, = broker.folder.rglob("t-0/*.log")
    data = path.read_bytes()
    starts, at = [], 0
    while at + 61 <= len(data) and data[at + 16] == 2:
        starts.append(at)
        at += 12 + struct.unpack_from(">i", data, at + 8)[0]
    assert len(starts) == 20
    with open(path, "r+b") as f:
        if how == "bit":
            f.seek(starts[12] + 100)
            f.write(bytes([data[starts[12] + 100] ^ 1]))
        else:
            f.truncate(starts[12] + 100)
    broker.start()
    assert fetched(broker, "t", 11) == (0, 11)
    error, first = fetched(broker, "t", 12)
    assert error in (2, 56) and first is None  # CORRUPT_MESSAGE, KAFKA_STORAGE_ERROR
    told = [line for line in broker.log.read_text().splitlines() if "error" in line and "topic t partition 0" in line]
    assert told and all("offset 12" in line for line in told), broker.log_end()
    assert fetched(broker, "t", 13) == ((0, 13) if how == "bit" else (error, None))
    assert len(read_all(broker, "other")) == 20
