"""The broker beside Apache Kafka on the same machine, turn by turn; the median of some turns. Kafka has its defaults: it acknowledges
what is in memory, tarn what is on the disk.

peers.broker_produce      1 KB messages a second, acks=all, one connection, 12 partitions.
peers.broker_consume      1 KB messages a second out of the page cache, one connection, 12 partitions.
peers.broker_ack_p99_ms   p99 of acknowledgements at 10,000 messages a second.
peers.broker_memory       resident MB after that.
"""
import statistics
import sys

from broker_rig import ROOT, Broker, load

sys.path.insert(0, str(ROOT / "bench" / "peers"))
from kafka import Kafka  # noqa: E402

FIGURES = ["peers.broker_produce", "peers.broker_consume", "peers.broker_ack_p99_ms", "peers.broker_memory"]
NEEDS = ["tarn", "bench_kafka_load"]
ONLY_BY_NAME = True  # it needs Java and Maven Central
TURNS, MESSAGES, BYTES = 5, 300_000, 1024


def middle(pairs):
    return sorted(pairs, key=lambda pair: pair[0] / pair[1])[len(pairs) // 2]


def run():
    produce, consume, ack = [], [], []
    with Broker(partitions=12) as ours, Kafka(partitions=12) as kafka:
        both = (ours, kafka)
        for turn in range(TURNS):
            produce.append([load("produce", b.address, f"load{turn}", MESSAGES, BYTES)[0] for b in both])
        for turn in range(TURNS):
            consume.append([load("consume", b.address, f"load{turn}", 12, MESSAGES)[0] for b in both])
        for _ in range(3):
            ack.append([load("ack", b.address, "ack", 10_000, 5, BYTES)[1] for b in both])
        memory = [b.resident_mb() for b in both]
    peer = "Apache Kafka 4.1"
    for name, unit, pair in (("produce", "msg/s", middle(produce)), ("consume", "msg/s", middle(consume)),
                             ("ack_p99_ms", "ms", [statistics.median(x) for x in zip(*ack)]), ("memory", "MB", memory)):
        yield f"peers.broker_{name}", unit, pair[0], peer, pair[1]
