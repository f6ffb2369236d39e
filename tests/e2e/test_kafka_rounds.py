"""The whole round of each client that other files do not lead around: produce, consume in a group, rebalance, commit, seek by time
and, where the client can, a transaction.  (confluent-kafka and kafkajs: test_kafka_clients, _groups and _transactions.)"""
import contextlib
import json
import subprocess
import threading

import kafka
from conftest import ROOT, wait_for
from kafka_help import broker, create, kcat, node  # noqa: F401  (broker is a fixture)

TIMES = [1700000000000 + n * 1000 for n in range(20)]


def of_times(broker):
    """A topic whose n-th record has the n-th of TIMES."""
    create(broker, "timed")
    producer = kafka.KafkaProducer(bootstrap_servers=broker.address("kafka"))
    for n, at in enumerate(TIMES):
        producer.send("timed", b"%d" % n, timestamp_ms=at).get(20)
    producer.close()


@contextlib.contextmanager
def kcat_member(broker, group, topic, *args):
    """A kcat that stays in a group; gives the lists of what it reads and what it says of its assignment."""
    command = ["kcat", "-b", broker.address("kafka"), "-G", group, "-u", "-X", "auto.offset.reset=earliest", "-X", "session.timeout.ms=6000",
               "-X", "heartbeat.interval.ms=300", *args, topic]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    read, said = [], []

    def keep(source, sink):
        for line in source:
            sink.append(line.strip())

    threads = [threading.Thread(target=keep, args=pair) for pair in ((process.stdout, read), (process.stderr, said))]
    for thread in threads:
        thread.start()
    try:
        yield read, said
    finally:
        process.terminate()
        assert process.wait(20) == 0
        for thread in threads:
            thread.join(20)


def assigned(said):
    """Partitions that kcat said it was last given: `% Group k rebalanced (memberid ...): assigned: t [0], t [1]`."""
    last = [line for line in said if "rebalanced" in line][-1:]
    return last[0].count(" [") if last and "assigned" in last[0] and "unassigned" not in last[0] else 0


def test_kcat(broker):
    create(broker, "t", 4)
    kcat(broker, "-P", "-t", "t", "-X", "partitioner=random", "-X", "sticky.partitioning.linger.ms=0", text="\n".join(map(str, range(200))))
    with kcat_member(broker, "k", "t") as (one, said_one):
        wait_for(lambda: len(one) == 200 and assigned(said_one) == 4, "all records in one member")
        with kcat_member(broker, "k", "t") as (_, said_two):
            wait_for(lambda: assigned(said_one) == assigned(said_two) == 2, "a rebalance")
        wait_for(lambda: assigned(said_one) == 4, "the rest to come back")
    assert sorted(map(int, one)) == list(range(200))
    kcat(broker, "-P", "-t", "t", text="200\n")  # what was read is committed: only this is new
    with kcat_member(broker, "k", "t") as (again, _):
        wait_for(lambda: again, "the new record")
    assert again == ["200"]

    of_times(broker)
    got = kcat(broker, "-C", "-t", "timed", "-o", f"s@{TIMES[12] - 500}", "-e", "-q").stdout.split()
    assert got == [str(n) for n in range(12, 20)]

    kcat(broker, "-P", "-t", "tx", "-p", "0", "-X", "transactional.id=kcat", text="a\nb\n")
    got = kcat(broker, "-C", "-t", "tx", "-p", "0", "-X", "isolation.level=read_committed", "-o", "beginning", "-e", "-J", "-q").stdout
    assert [json.loads(line)["payload"] for line in got.splitlines()] == ["a", "b"]


def test_kafka_python(broker):
    """It has no transactions before 2.1."""
    create(broker, "t", 4)
    settings = {"bootstrap_servers": broker.address("kafka"), "group_id": "py", "auto_offset_reset": "earliest", "enable_auto_commit": False,
                "session_timeout_ms": 6000, "heartbeat_interval_ms": 300}
    producer = kafka.KafkaProducer(bootstrap_servers=broker.address("kafka"), acks="all", compression_type="gzip")
    for n in range(400):
        producer.send("t", b"%d" % n, partition=n % 4)
    producer.close()
    members = [kafka.KafkaConsumer("t", **settings) for _ in range(2)]
    got, over = [], threading.Event()

    def member(c):  # poll() waits for the rebalance, so each has its thread
        while not over.is_set():
            for records in c.poll(100).values():
                got.extend(int(r.value) for r in records)
        c.close(autocommit=False)

    threads = [threading.Thread(target=member, args=(c,)) for c in members]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: [len(c.assignment()) for c in members] == [2, 2] and len(set(got)) == 400, "two members that share all")
    finally:
        over.set()
        for thread in threads:
            thread.join(30)
    reader = kafka.KafkaConsumer("t", **settings, consumer_timeout_ms=20000)
    assert {int(m.value) for _, m in zip(range(400), reader)} == set(range(400))  # nothing was committed
    reader.commit()
    reader.close()
    reader = kafka.KafkaConsumer("t", **settings)
    wait_for(lambda: reader.poll(100) is not None and len(reader.assignment()) == 4, "its partitions")
    assert [reader.committed(kafka.TopicPartition("t", p)) for p in range(4)] == [100] * 4
    reader.close()

    of_times(broker)
    reader = kafka.KafkaConsumer(bootstrap_servers=broker.address("kafka"), consumer_timeout_ms=20000)
    timed = kafka.TopicPartition("timed", 0)
    reader.assign([timed])
    found = reader.offsets_for_times({timed: TIMES[12] - 500})[timed]
    assert (found.offset, found.timestamp) == (12, TIMES[12])
    reader.seek(timed, found.offset)
    assert [int(m.value) for _, m in zip(range(8), reader)] == list(range(12, 20))
    reader.close()


def test_platformatic(broker):
    """It speaks flexible versions alone, and the newest ones."""
    program = subprocess.run([ROOT / "tests/e2e/js/node-of-today"], check=True, capture_output=True, text=True, timeout=600).stdout.strip()
    assert node("platformatic.mjs", broker, program=program) == {
        "produced": 2000, "consumed": 2000, "rebalanced": [2, 2], "resumed": 0, "key": "k0", "header": "1", "at": 10, "first": "10",
        "committed": ["kept", "kept too"], "groups": ["p", "timed", "tx"]}
