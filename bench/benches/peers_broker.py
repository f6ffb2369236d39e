"""The broker beside Apache Kafka on the same machine, turn by turn; the median of some turns. Kafka has its defaults: it acknowledges
what is in memory, tarn what is on the disk.

peers.broker_produce      1 KB messages a second, acks=all, one connection, 12 partitions.
peers.broker_consume      1 KB messages a second out of the page cache, one connection, 12 partitions, with bench/kafka_read.c after it
                          has read all of them once.  A client that makes an object a message, as librdkafka and Java do, is slower
                          than both brokers: what it gets is the next but one figure, and no figure of a broker.
peers.broker_consume_cold        the first read of all, just after they were written: tarn keeps little of what it writes in the
                                 page cache, Kafka all.
peers.broker_consume_librdkafka  out of the page cache, with librdkafka's consumer.
peers.broker_ack_p99_ms   p99 of acknowledgements at 1,000 requests of 10 KB a second on one connection. (With 10,000 of 1 KB, as in
                          broker.ack_p99_ms, Kafka does not keep up: it takes one request of a connection at a time.)
peers.broker_memory       resident MB after that.
"""
import statistics
import sys

from broker_rig import ROOT, Broker, acked, load, made

sys.path.insert(0, str(ROOT / "bench" / "peers"))
from kafka import Kafka  # noqa: E402

FIGURES = ["peers.broker_produce", "peers.broker_consume", "peers.broker_consume_cold", "peers.broker_consume_librdkafka",
           "peers.broker_ack_p99_ms", "peers.broker_memory"]
NEEDS = ["tarn", "bench_kafka_ack", "bench_kafka_load", "bench_kafka_read"]
ONLY_BY_NAME = True  # it needs Java and Maven Central
TURNS, MESSAGES, BYTES, READS = 5, 300_000, 1024, 5


def middle(pairs):
    return sorted(pairs, key=lambda pair: pair[0] / pair[1])[len(pairs) // 2]


def read(broker, topic):
    """Messages a second of the first time, and the median of the others."""
    first, *others = load(*broker.address.split(":"), topic, 12, MESSAGES, 1 + READS, program="bench_kafka_read")
    return first, statistics.median(others)


def run():
    pairs = {name: [] for name in ("produce", "consume", "consume_cold", "consume_librdkafka")}
    with Broker(partitions=12) as ours, Kafka(partitions=12) as kafka:
        both = (ours, kafka)
        for turn in range(TURNS):
            topic = f"load{turn}"
            pairs["produce"].append([load("produce", b.address, topic, MESSAGES, BYTES)[0] for b in both])
            cold, warm = zip(*(read(b, topic) for b in both))
            pairs["consume_cold"].append(cold)
            pairs["consume"].append(warm)
            pairs["consume_librdkafka"].append([load("consume", b.address, topic, 12, MESSAGES)[0] for b in both])
        ack = [[acked(b.address, made(b, "ack"), rate=1_000, size=10 * BYTES)[1] for b in both] for _ in range(3)]
        memory = [b.resident_mb() for b in both]
    peer = "Apache Kafka 4.1"
    for name, unit, pair in (*((name, "msg/s", middle(pairs[name])) for name in pairs),
                             ("ack_p99_ms", "ms", [statistics.median(x) for x in zip(*ack)]),
                             ("memory", "MB", memory)):
        yield f"peers.broker_{name}", unit, pair[0], peer, pair[1]
