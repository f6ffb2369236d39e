"""The Kafka door alone, with nothing to do.

broker.idle_cpu     percent of one core in ten seconds of doing nothing; beside a Python server that waits for a connection.
broker.idle_memory  resident MB, idle; beside the same.
broker.rest_memory  the same after 500,000 messages and twenty seconds of rest; beside itself before them.
"""
import subprocess
import sys
import threading
import time

from broker_rig import Broker, cpu_seconds, load, resident_mb

FIGURES = ["broker.idle_cpu", "broker.idle_memory", "broker.rest_memory"]
NEEDS = ["tarn", "bench_kafka_load"]
MESSAGES, BYTES = 500_000, 1024
WAITER = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(flush=True); s.accept()"


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
    yield from idle()
    yield from rest()
