"""How long acknowledgements take at 10,000 messages a second, each after fdatasync, beside the disk alone: records of that size and pace,
written over a file of real blocks, all that are due with one fdatasync.

The two take turns of a quarter of a second, and a figure is the median of the pairs of turns: a host that stops a processor or the disk
for some milliseconds does so in some turns of either, and would else be what is compared.

broker.ack_p50_ms      the median of a turn less that of the disk's turn.  Beside the whole of librdkafka's own broker in memory: what the
                       way there and back and a broker without a disk take.
broker.ack_p99_ms      the same of the 99th percentiles, of 2,500 in a turn.
broker.ack_all_p99_ms  the 99th percentile of all turns together less that of the disk's: with the host's stalls, which hit a way over three
                       threads more often than one thread.  The median of some runs, and chance still.
broker.ack_late_ms     what these do not count: the 99th percentile of how late the client gave its requests to the system, for want of a
                       processor.  Beside the same with the broker in memory.
"""
from statistics import median

from broker_rig import Broker, Mock, acked, acked_beside_disk, made

FIGURES = ["broker.ack_p50_ms", "broker.ack_p99_ms", "broker.ack_all_p99_ms", "broker.ack_late_ms"]
NEEDS = ["tarn", "bench_kafka_ack", "bench_kafka_load"]
RUNS, SECONDS = 3, 20


def run():
    runs, turns = [], []
    with Broker(partitions=12) as broker, Mock(12) as mock:
        for _ in range(RUNS):
            (_, p99, late), (_, disk_p99, _), pairs = acked_beside_disk(broker.address, made(broker, "ack"), seconds=SECONDS)
            runs.append((p99 - disk_p99, late, *acked(mock.address, "load", seconds=SECONDS)))
            turns += [(p50 - disk_p50, p99 - disk_p99) for p50, p99, disk_p50, disk_p99 in pairs]
    p50, p99 = map(median, zip(*turns))
    all_p99, late, memory_p50, memory_p99, memory_late = map(median, zip(*runs))
    peer = "librdkafka's mock"
    yield "broker.ack_p50_ms", "ms", p50, peer, memory_p50
    yield "broker.ack_p99_ms", "ms", p99, peer, memory_p99
    yield "broker.ack_all_p99_ms", "ms", all_p99, peer, memory_p99
    yield "broker.ack_late_ms", "ms", late, peer, memory_late
