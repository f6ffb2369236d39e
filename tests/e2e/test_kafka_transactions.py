"""Transactions with real clients: all of one is seen or none, also when the broker is killed or another instance takes over."""
import json
import struct
import threading

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, RESOURCE_BROKER
from conftest import request, wait_for
from kafka_help import broker, broker_project, consumer, create, node, producer, read, send  # noqa: F401
from test_kafka_abuse import answer, connect, frame, string

WAIT = 30


def transactional(broker, name, **config):
    p = producer(broker, transactional_id=name, **config)
    p.init_transactions(WAIT)
    return p


def committed(broker, topic, partition=0, **config):
    """Values that a reader of what is committed sees, up to the last stable offset."""
    c = consumer(broker, "reader", enable_partition_eof=True, **{"isolation_level": "read_committed", **config})
    c.assign([TopicPartition(topic, partition, 0)])
    got = []
    while True:
        m = c.poll(WAIT)
        assert m is not None, "neither a message nor the end"
        if m.error():
            assert m.error().code() == KafkaError._PARTITION_EOF, m.error()
            break
        got.append(m.value().decode())
    c.close()
    return got


def put(p, topic, values, partition=0):
    for value in values:
        p.produce(topic, value, partition=partition)
    assert p.flush(WAIT) == 0


def test_a_commit_is_seen_as_one_and_an_abort_never(broker):
    create(broker, "t", 2)
    p = transactional(broker, "one")
    send(broker, "t", ["plain"])
    p.begin_transaction()
    put(p, "t", ["a", "b"])
    put(p, "t", ["c"], 1)
    assert committed(broker, "t") == ["plain"] and committed(broker, "t", 1) == []
    assert committed(broker, "t", isolation_level="read_uncommitted") == ["plain", "a", "b"]
    send(broker, "t", ["behind"])
    assert committed(broker, "t") == ["plain"], "what is behind an open transaction waits for it"
    p.commit_transaction(WAIT)
    assert committed(broker, "t") == ["plain", "a", "b", "behind"] and committed(broker, "t", 1) == ["c"]
    p.begin_transaction()
    put(p, "t", ["never"])
    put(p, "t", ["never"], 1)
    p.abort_transaction(WAIT)
    p.begin_transaction()
    put(p, "t", ["d"])
    p.commit_transaction(WAIT)
    for _ in range(2):
        assert committed(broker, "t") == ["plain", "a", "b", "behind", "d"] and committed(broker, "t", 1) == ["c"]
        broker.kill()
        broker.start()


def test_end_offset_of_what_is_committed(broker):
    create(broker, "t")
    send(broker, "t", ["1", "2"])
    p = transactional(broker, "one")
    p.begin_transaction()
    put(p, "t", ["3"])
    for level, end in (("read_committed", 2), ("read_uncommitted", 3)):
        c = consumer(broker, "g", isolation_level=level)
        assert c.get_watermark_offsets(TopicPartition("t", 0), WAIT) == (0, end), level
        assert c.offsets_for_times([TopicPartition("t", 0, 0)], WAIT)[0].offset == 0
        c.close()
    p.abort_transaction(WAIT)


def test_a_second_instance_fences_the_first(broker):
    create(broker, "t")
    first = transactional(broker, "one")
    first.begin_transaction()
    put(first, "t", ["zombie"])
    second = transactional(broker, "one")
    second.begin_transaction()
    put(second, "t", ["kept"])
    with pytest.raises(KafkaException) as e:
        first.produce("t", "late")
        first.commit_transaction(WAIT)
    assert e.value.args[0].fatal() and e.value.args[0].code() == KafkaError._FENCED
    second.commit_transaction(WAIT)
    assert committed(broker, "t") == ["kept"]


def test_a_transaction_that_takes_too_long_is_aborted(broker):
    create(broker, "t")
    p = transactional(broker, "slow", transaction_timeout_ms=1000)
    p.begin_transaction()
    put(p, "t", ["late"])
    send(broker, "t", ["behind"])
    c = consumer(broker, "g", isolation_level="read_committed")
    c.assign([TopicPartition("t", 0, 0)])
    assert [m.value() for m in read(c, 1)] == [b"behind"], "it waits no longer for the slow one"
    c.close()
    with pytest.raises(KafkaException):
        p.commit_transaction(WAIT)


def test_timeout_beyond_the_limit_is_refused(broker):
    p = producer(broker, transactional_id="x", transaction_timeout_ms=900001)
    with pytest.raises(KafkaException) as e:
        p.init_transactions(WAIT)
    assert e.value.args[0].code() == KafkaError.INVALID_TRANSACTION_TIMEOUT


def test_the_longest_timeout_is_a_setting(project):
    one = broker_project(project, transaction_max_ms=5000).start()
    transactional(one, "short", transaction_timeout_ms=5000)
    with pytest.raises(KafkaException) as e:
        producer(one, transactional_id="long", transaction_timeout_ms=5001).init_transactions(WAIT)
    assert e.value.args[0].code() == KafkaError.INVALID_TRANSACTION_TIMEOUT
    admin = AdminClient({"bootstrap.servers": one.address("kafka")})
    asked = ConfigResource(RESOURCE_BROKER, "1")
    assert admin.describe_configs([asked])[asked].result(WAIT)["transaction.max.timeout.ms"].value == "5000"


def new_producer(broker, name):
    """InitProducerId: the producer id and epoch that a new instance gets."""
    with connect(broker) as s:
        s.sendall(frame(22, 0, string(name) + struct.pack(">i", 60000)))
        error, producer_id, epoch = struct.unpack_from(">hqh", answer(s), 8)
    assert error == 0
    return producer_id, epoch


def transactional_ids(broker):
    """How many ListTransactions tells of."""
    with connect(broker) as s:
        s.sendall(frame(66, 0, b"\0\x01\x01\0"))
        told = answer(s)
    assert told[9:12] == b"\0\0\x01"  # no error, no unknown states
    return told[12] - 1


def test_an_id_that_nobody_uses_is_forgotten(project):
    one = broker_project(project, transactional_id_ms=1000).start()
    create(one, "t")
    first, epoch = new_producer(one, "idle")
    assert epoch == 0 and new_producer(one, "idle") == (first, 1)
    used = transactional(one, "used")
    used.begin_transaction()
    put(used, "t", ["open"])
    wait_for(lambda: transactional_ids(one) == 1, "the idle one to be forgotten, not the one with an open transaction")
    used.commit_transaction(WAIT)
    wait_for(lambda: transactional_ids(one) == 0, "both to be forgotten")
    one.kill()
    one.start()
    assert transactional_ids(one) == 0
    second, epoch = new_producer(one, "idle")
    assert second != first and epoch == 0
    assert committed(one, "t") == ["open"]


def test_what_was_aborted_is_no_state_of_tarns_own(broker):
    """The registry and Connect keep theirs in topics as Kafka's own do, and whoever may can write to them."""
    schema = {"subject": "kept", "version": 1, "id": 71, "schema": '"string"', "deleted": False}
    for name, end in (("kept", Producer.commit_transaction), ("never", Producer.abort_transaction)):
        p = transactional(broker, "tool")
        p.begin_transaction()
        p.produce("_schemas", json.dumps({**schema, "subject": name}),
                  json.dumps({"keytype": "SCHEMA", "subject": name, "version": 1, "magic": 1}))
        p.produce("connect-configs", json.dumps({"properties": {"connector.class": "NoSuchClass", "name": name}}), f"connector-{name}")
        p.produce("connect-configs", json.dumps({"state": "PAUSED"}), f"target-state-{name}")
        assert p.flush(WAIT) == 0
        end(p, WAIT)
    broker.restart()
    assert request("GET", broker.url("registry", "/subjects")) == (200, ["kept"])
    assert request("GET", broker.url("connect", "/connectors")) == (200, ["kept"])


class Mover(threading.Thread):
    """Consumes numbers from "in" and produces each, doubled, to both partitions of "out", with the positions, in transactions."""

    def __init__(self, broker):
        super().__init__(daemon=True)
        self.broker, self.error, self.done = broker, None, threading.Event()

    def group(self):
        c = consumer(self.broker, "movers", isolation_level="read_committed", reconnect_backoff_max_ms=200, group_instance_id="mover")
        c.subscribe(["in"])
        return c

    def move(self, p, c, n):
        """One transaction; every fifth is aborted, and what it read is read again."""
        messages = c.consume(60, 0.5)
        messages = [m for m in messages if not m.error()]
        if not messages:
            return
        p.begin_transaction()
        for m in messages:
            for partition in (0, 1):
                p.produce("out", b"%d" % (2 * int(m.value())), partition=partition)
        positions = {}
        for m in messages:
            positions[m.partition()] = TopicPartition("in", m.partition(), m.offset() + 1)
        p.send_offsets_to_transaction(list(positions.values()), c.consumer_group_metadata(), WAIT)
        if n % 5 == 4:
            p.abort_transaction(WAIT)
            for partition in positions:
                first = min(m.offset() for m in messages if m.partition() == partition)
                c.seek(TopicPartition("in", partition, first))
        else:
            p.commit_transaction(WAIT)

    def run(self):
        p = c = None
        n = 0
        while not self.done.is_set():
            try:
                p = p or transactional(self.broker, "mover", reconnect_backoff_max_ms=200, transaction_timeout_ms=20000)
                c = c or self.group()
                self.move(p, c, n)
                n += 1
            except KafkaException as e:
                self.error = e  # whatever it was: a new instance begins where the last commit was
                if c:
                    c.close()
                p = c = None


def test_consume_transform_produce_is_exactly_once_under_kill_9(broker):
    count = 1200
    create(broker, "in", 2)
    create(broker, "out", 2)
    for partition in (0, 1):
        send(broker, "in", [str(n) for n in range(partition, count, 2)], partition)
    mover = Mover(broker)
    mover.start()
    for kill in range(4):
        while len(committed(broker, "out")) < (kill + 1) * 150:
            assert mover.is_alive(), mover.error
        broker.kill()
        broker.start()
    while len(committed(broker, "out")) < count:
        assert mover.is_alive(), mover.error
    mover.done.set()
    mover.join(90)
    want = sorted(2 * n for n in range(count))
    for partition in (0, 1):
        got = [int(v) for v in committed(broker, "out", partition)]
        assert sorted(got) == want, "each exactly once"
        for residue in (0, 2):
            some = [v for v in got if v % 4 == residue]
            assert some == sorted(some), "in the order they were consumed"


def test_kafkajs(broker):
    told = node("kafka_transactions.js", broker)
    assert told == {"open": [], "committed": ["a", "b"], "aborted": ["a", "b"], "moved": ["a", "b", "moved-a", "moved-b"],
                    "position": "2", "fenced": True}
