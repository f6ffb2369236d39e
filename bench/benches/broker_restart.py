"""broker.restart_ms   milliseconds from exec to ready after kill -9, with RESTART_GB (20) gigabytes of log that was being written
                    when it was killed the first time; beside the same with an empty log. The median of some kills."""
import os
import statistics
import threading

from broker_rig import Broker, load

FIGURES = ["broker.restart_ms"]
NEEDS = ["tarn", "bench_kafka_load"]
BYTES, STEPS, KILLS = 1024, 20, 5
MESSAGES = int(float(os.environ.get("RESTART_GB", "20")) * 1e9) // BYTES // STEPS


def restarts(broker):
    ready = []
    for _ in range(KILLS):
        broker.kill()
        ready.append(broker.start())
    return ready


def produce_until_killed(broker):
    """The last step's producer loses its broker."""
    try:
        load("produce", broker.address, "load", MESSAGES, BYTES)
    except AssertionError:
        pass


def run():
    with Broker(partitions=12) as broker:
        empty = statistics.median(restarts(broker))
        for _ in range(STEPS):
            load("produce", broker.address, "load", MESSAGES, BYTES)
        last = threading.Thread(target=produce_until_killed, args=[broker])
        last.start()
        first = restarts(broker)[0]
        last.join()
        full = statistics.median([first, *restarts(broker)])
    yield "broker.restart_ms", "ms", full, "an empty log", empty
