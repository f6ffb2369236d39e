"""Many connections and partitions.

broker.many         messages a second of 1,000 connections to 1,000 partitions that offer 100,000; beside 12 connections to 12 partitions.
broker.many_memory  resident MB after that; beside the same process before it.
"""
from broker_rig import Broker, load, made

FIGURES = ["broker.many", "broker.many_memory"]
NEEDS = ["tarn", "bench_kafka_load", "bench_kafka_many"]
SECONDS = 5
MANY, MANY_RATE = 1_000, 100_000


def run():
    with Broker(partitions=MANY) as broker:
        before = broker.resident_mb()
        wide = load("127.0.0.1", broker.port, made(broker, "wide"), MANY, MANY, MANY_RATE, SECONDS, program="bench_kafka_many")
        after = broker.resident_mb()
    with Broker(partitions=12) as broker:
        narrow = load("127.0.0.1", broker.port, made(broker, "narrow"), 12, 12, MANY_RATE, SECONDS, program="bench_kafka_many")
    yield "broker.many", "msg/s", wide[0], "12 partitions", narrow[0]
    yield "broker.many_memory", "MB", after, "before", before
