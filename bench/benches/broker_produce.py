"""broker.produce: 1 KB messages a second into tarn, acks=all, one connection, 12 partitions, every acknowledgement after fdatasync; beside the
same into librdkafka's own broker in memory, turn by turn. The median of many turns: each takes half a second, and a host that others
use is now quick and now slow.
"""
from broker_rig import Broker, Mock, load

FIGURES = ["broker.produce"]
NEEDS = ["tarn", "bench_kafka_load"]
TURNS, MESSAGES, BYTES = 15, 500_000, 1024


def run():
    with Broker(partitions=12) as broker, Mock(12) as mock:
        ours, theirs = [], []
        for turn in range(TURNS):
            ours += load("produce", broker.address, f"load{turn}", MESSAGES, BYTES)
            theirs += load("produce", mock.address, "load", MESSAGES, BYTES)
    best = sorted(zip(ours, theirs), key=lambda pair: pair[0] / pair[1])[TURNS // 2]
    yield "broker.produce", "msg/s", best[0], "librdkafka's mock", best[1]
