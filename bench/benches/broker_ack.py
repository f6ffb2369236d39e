"""How long acknowledgements take, each after fdatasync.

broker.ack_p50_ms   the median acknowledgement at 10,000 messages a second, less the median of the disk alone: records of that size and
                    pace, written over a file of real blocks, all that are due with one fdatasync, in turns of a quarter of a second.
                    Beside the whole of librdkafka's own broker in memory: what the way there and back and a broker without a disk take.
broker.ack_p99_ms   the same of the 99th percentiles. The median of some runs, of a length that has enough slow syncs: they are seldom,
                    and the p99 of few seconds is chance.
broker.ack_late_ms  what these do not count: the 99th percentile of how late the client gave its requests to the system, for want of a processor.
                    Beside the same with the broker in memory.
"""
import statistics

from broker_rig import Broker, Mock, acked, made

FIGURES = ["broker.ack_p50_ms", "broker.ack_p99_ms", "broker.ack_late_ms"]
NEEDS = ["tarn", "bench_kafka_ack", "bench_kafka_load"]
TURNS, SECONDS = 3, 20


def run():
    with Broker(partitions=12) as broker, Mock(12) as mock:
        turns = []
        for _ in range(TURNS):
            p50, p99, late, disk50, disk99, _ = acked(broker.address, made(broker, "ack"), seconds=SECONDS, disk=True)
            turns.append((p50 - disk50, p99 - disk99, late, *acked(mock.address, "load", seconds=SECONDS)))
    p50, p99, late, memory50, memory99, memory_late = map(statistics.median, zip(*turns))
    yield "broker.ack_p50_ms", "ms", p50, "librdkafka's mock", memory50
    yield "broker.ack_p99_ms", "ms", p99, "librdkafka's mock", memory99
    yield "broker.ack_late_ms", "ms", late, "librdkafka's mock", memory_late
