"""What was acknowledged survives kill -9: all of it, once, in order."""
import threading

from confluent_kafka import TopicPartition
from kafka_help import broker, consumer, create, producer, read_all  # noqa: F401

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
    from kafka_help import send
    last = send(broker, "t", [b"x"] * 1000)[-1]
    broker.kill()
    broker.start()
    assert c.get_watermark_offsets(TopicPartition("t", 0), 30) == (0, last + 1)
    c.close()
