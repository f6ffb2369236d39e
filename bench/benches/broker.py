"""The broker, seen by librdkafka and by plain connections; every acknowledgement comes after fdatasync.

broker.produce      1 KB messages a second, acks=all, one connection, 12 partitions; beside the same into librdkafka's own broker in
                    memory, turn by turn. The median of some turns.
broker.ack_p50_ms   the median acknowledgement at 10,000 messages a second, less the median of the disk alone: records of that size and
                    pace, written over a file of real blocks, all that are due with one fdatasync, in turns of a quarter of a second.
                    Beside the whole of librdkafka's own broker in memory: what the way there and back and a broker without a disk take.
broker.ack_p99_ms   the same of the 99th percentiles. The median of some runs.
broker.many         messages a second of 1,000 connections to 1,000 partitions that offer 100,000; beside 12 connections to 12 partitions.
broker.many_memory  resident MB after that; beside the same process before it.
broker.idle_cpu     percent of one core in ten seconds of doing nothing; beside a Python server that waits for a connection.
broker.idle_memory  resident MB of the Kafka door alone, idle; beside the same.
broker.rest_memory  the same after 500,000 messages and twenty seconds of rest; beside itself before them.
"""
import statistics
import subprocess
import sys
import threading
import time

from broker_rig import Broker, Mock, acked, cpu_seconds, load, made, resident_mb

FIGURES = ["broker.produce", "broker.ack_p50_ms", "broker.ack_p99_ms", "broker.many", "broker.many_memory", "broker.idle_cpu",
           "broker.idle_memory", "broker.rest_memory"]
NEEDS = ["tarn", "bench_kafka_ack", "bench_kafka_load", "bench_kafka_many"]
TURNS, MESSAGES, BYTES = 7, 500_000, 1024
ACK_TURNS, ACK_SECONDS = 3, 20  # slow syncs are seldom: a p99 of few seconds is chance
SECONDS = 5
MANY, MANY_RATE = 1_000, 100_000
WAITER = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(flush=True); s.accept()"


def produce():
    with Broker(partitions=12) as broker, Mock(12) as mock:
        ours, theirs = [], []
        for turn in range(TURNS):
            ours += load("produce", broker.address, f"load{turn}", MESSAGES, BYTES)
            theirs += load("produce", mock.address, "load", MESSAGES, BYTES)
    best = sorted(zip(ours, theirs), key=lambda pair: pair[0] / pair[1])[TURNS // 2]
    yield "broker.produce", "msg/s", best[0], "librdkafka's mock", best[1]


def ack():
    with Broker(partitions=12) as broker, Mock(12) as mock:
        turns = []
        for _ in range(ACK_TURNS):
            p50, p99, _, disk50, disk99, _ = acked(broker.address, made(broker, "ack"), seconds=ACK_SECONDS, disk=True)
            turns.append((p50 - disk50, p99 - disk99, *acked(mock.address, "load", seconds=ACK_SECONDS)[:2]))
    p50, p99, memory50, memory99 = map(statistics.median, zip(*turns))
    yield "broker.ack_p50_ms", "ms", p50, "librdkafka's mock", memory50
    yield "broker.ack_p99_ms", "ms", p99, "librdkafka's mock", memory99


def many():
    with Broker(partitions=MANY) as broker:
        before = broker.resident_mb()
        wide = load("127.0.0.1", broker.port, made(broker, "wide"), MANY, MANY, MANY_RATE, SECONDS, program="bench_kafka_many")
        after = broker.resident_mb()
    with Broker(partitions=12) as broker:
        narrow = load("127.0.0.1", broker.port, made(broker, "narrow"), 12, 12, MANY_RATE, SECONDS, program="bench_kafka_many")
    yield "broker.many", "msg/s", wide[0], "12 partitions", narrow[0]
    yield "broker.many_memory", "MB", after, "before", before


def idle():
    with Broker() as broker, subprocess.Popen([sys.executable, "-c", WAITER], stdout=subprocess.PIPE) as waiter:
        waiter.stdout.readline()
        pids, peer = (broker.process.pid, waiter.pid), "a Python server"
        threading.Event().wait(2)  # the start's last jobs
        before, begun = [cpu_seconds(pid) for pid in pids], time.monotonic()
        threading.Event().wait(10)
        seconds = time.monotonic() - begun
        cpu = [100 * (cpu_seconds(pid) - was) / seconds for pid, was in zip(pids, before)]
        memory = [resident_mb(pid) for pid in pids]
        waiter.kill()
    yield "broker.idle_cpu", "%", cpu[0], peer, cpu[1]
    yield "broker.idle_memory", "MB", memory[0], peer, memory[1]


def rest():
    with Broker(partitions=12) as broker:
        before = broker.resident_mb()
        load("produce", broker.address, "load", MESSAGES, BYTES)
        threading.Event().wait(20)
        yield "broker.rest_memory", "MB", broker.resident_mb(), "before the load", before


def run():
    for part in (produce, ack, many, idle, rest):
        yield from part()
