"""Consumer groups: members that come and go, commits, and what a restart leaves of them."""
import struct
import subprocess
import threading

import kafka
import kafka.admin
import kafka.errors
import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from conftest import wait_for
from kafka_help import broker, consumer, create, kcat, read, read_all, send  # noqa: F401


def joined(*members):
    """All members have an assignment, polled until it is so."""
    for m in members:
        m.poll(0.05)
    return all(m.assignment() for m in members)


def partitions(*members):
    return [sorted(p.partition for p in m.assignment()) for m in members]


def test_two_members_share_and_one_takes_over(broker):
    create(broker, "t", 4)
    a, b = consumer(broker, "g"), consumer(broker, "g")
    a.subscribe(["t"])
    wait_for(lambda: joined(a), "one member")
    assert partitions(a) == [[0, 1, 2, 3]]
    b.subscribe(["t"])
    wait_for(lambda: joined(a, b) and len(a.assignment()) == 2, "two members")
    assert sorted(sum(partitions(a, b), [])) == [0, 1, 2, 3]
    a.close()
    wait_for(lambda: joined(b) and len(b.assignment()) == 4, "one to take over")
    b.close()


def test_a_member_that_dies_is_replaced(broker):
    create(broker, "t", 2)
    send(broker, "t", [b"x"], partition=0)
    dead = subprocess.Popen(["kcat", "-b", broker.address("kafka"), "-G", "g", "-X", "session.timeout.ms=6000", "-X",
                             "auto.offset.reset=earliest", "-u", "-q", "t"], stdout=subprocess.PIPE, text=True)
    assert dead.stdout.readline() == "x\n"
    dead.kill()
    dead.wait()
    c = consumer(broker, "g")
    c.subscribe(["t"])
    wait_for(lambda: joined(c) and len(c.assignment()) == 2, "the dead member's partitions")
    c.close()


def test_commit_and_resume(broker):
    create(broker, "t")
    send(broker, "t", [b"%d" % n for n in range(100)])
    c = consumer(broker, "g")
    c.subscribe(["t"])
    assert [m.value() for m in read(c, 40)][-1] == b"39"
    c.commit(offsets=[TopicPartition("t", 0, 40)], asynchronous=False)
    c.close()
    c = consumer(broker, "g")
    c.subscribe(["t"])
    assert read(c, 1)[0].value() == b"40"
    c.close()


def test_commits_and_membership_survive_kill_9(broker):
    create(broker, "t")
    send(broker, "t", [b"%d" % n for n in range(100)])
    c = consumer(broker, "g", session_timeout_ms=30000)
    c.subscribe(["t"])
    read(c, 10)
    c.commit(offsets=[TopicPartition("t", 0, 10)], asynchronous=False)
    broker.kill()
    broker.start()
    committed, = c.committed([TopicPartition("t", 0)], 30)
    assert committed.offset == 10
    assert read(c, 1)[0].value() == b"10"  # the member goes on, in its generation
    c.commit(offsets=[TopicPartition("t", 0, 11)], asynchronous=False)
    c.close()


def test_a_group_of_kcat(broker):
    create(broker, "t", 2)
    kcat(broker, "-P", "-t", "t", text="\n".join(map(str, range(50))))
    got = kcat(broker, "-G", "k", "-e", "-q", "-X", "auto.offset.reset=earliest", "t").stdout.split()
    assert sorted(map(int, got)) == list(range(50))
    assert kcat(broker, "-G", "k", "-e", "-q", "-X", "auto.offset.reset=earliest", "t").stdout == ""


def test_committed_offsets_are_in_kafkas_format(broker):
    """Whoever mirrors __consumer_offsets to a real cluster must find what that cluster would have written."""
    create(broker, "t")
    c = consumer(broker, "g")
    c.commit(offsets=[TopicPartition("t", 0, 7)], asynchronous=False)
    partitions = c.list_topics("__consumer_offsets", 20).topics["__consumer_offsets"].partitions
    c.close()
    records = {m.key(): m.value() for p in partitions for m in read_all(broker, "__consumer_offsets", p)}
    value = records[struct.pack(">hh1sh1si", 1, 1, b"g", 1, b"t", 0)]  # OffsetCommitKey version 1
    version, offset, epoch, metadata_bytes, at_ms = struct.unpack(">hqihq", value)  # OffsetCommitValue version 3
    assert (version, offset, epoch, metadata_bytes) == (3, 7, -1, 0) and at_ms > 1700000000000


def held(m):
    return sorted((p.topic, p.partition) for p in m.assignment())


def test_cooperative_members_keep_what_they_have(broker):
    """The incremental protocol: who stays does not stop reading; partitions move one rebalance after they were given up."""
    create(broker, "t", 6)
    revoked = {"a": [], "b": []}
    settings = {"partition_assignment_strategy": "cooperative-sticky"}
    a, b = consumer(broker, "g", **settings), consumer(broker, "g", **settings)
    a.subscribe(["t"], on_revoke=lambda c, ps: revoked["a"].append(sorted(p.partition for p in ps)))
    wait_for(lambda: joined(a) and len(a.assignment()) == 6, "one member")
    b.subscribe(["t"], on_revoke=lambda c, ps: revoked["b"].append(sorted(p.partition for p in ps)))
    wait_for(lambda: joined(a, b) and len(a.assignment()) == 3 and len(b.assignment()) == 3, "two members")
    assert sorted(sum(partitions(a, b), [])) == list(range(6))
    assert [len(ps) for ps in revoked["a"]] == [3] and revoked["b"] == []
    assert not set(revoked["a"][0]) & set(partitions(a)[0])
    kept = partitions(a)[0]
    b.close()
    wait_for(lambda: joined(a) and len(a.assignment()) == 6, "one to take over")
    assert len(revoked["a"]) == 1 and set(kept) <= set(partitions(a)[0])
    a.close()


def test_a_static_member_restarts_without_a_rebalance(broker):
    create(broker, "t", 4)
    rebalances = []
    a = consumer(broker, "g", group_instance_id="one", session_timeout_ms=30000)
    b = consumer(broker, "g", group_instance_id="two", session_timeout_ms=30000)
    a.subscribe(["t"])
    wait_for(lambda: joined(a), "one member")
    b.subscribe(["t"], on_assign=lambda c, ps: rebalances.append(len(ps)))
    wait_for(lambda: joined(a, b) and len(a.assignment()) == 2, "two members")
    had, seen = held(a), len(rebalances)
    a.close()  # a static member does not leave
    assert b.poll(1) is None and len(rebalances) == seen
    a = consumer(broker, "g", group_instance_id="one", session_timeout_ms=30000)
    a.subscribe(["t"])
    wait_for(lambda: joined(a, b), "the member to be back")
    assert held(a) == had and len(rebalances) == seen and len(b.assignment()) == 2
    a.close()
    b.close()


def test_a_static_members_twin_is_fenced(broker):
    create(broker, "t", 2)
    a = consumer(broker, "g", group_instance_id="one")
    a.subscribe(["t"])
    wait_for(lambda: joined(a), "one member")
    b = consumer(broker, "g", group_instance_id="one")
    b.subscribe(["t"])
    wait_for(lambda: joined(b), "its twin")

    def fenced():
        m = a.poll(0.05)
        return m is not None and m.error() and m.error().code() == KafkaError._FATAL

    wait_for(fenced, "the first to be fenced")
    b.commit(offsets=[TopicPartition("t", 0, 1)], asynchronous=False)
    b.close()


def test_static_members_survive_kill_9(broker):
    """The new id of a member that came back is on disk before it hears of it: else it would be fenced after a crash."""
    create(broker, "t", 2)
    for _ in range(3):
        c = consumer(broker, "g", group_instance_id="one", session_timeout_ms=30000)
        c.subscribe(["t"])
        wait_for(lambda: joined(c), "the member")
        broker.kill()
        broker.start()
        c.commit(offsets=[TopicPartition("t", 0, 1)], asynchronous=False)
        assert held(c) == [("t", 0), ("t", 1)]
        c.close()


def test_commits_of_strangers_are_refused_with_the_right_code(broker):
    create(broker, "t")
    c = consumer(broker, "g")
    c.subscribe(["t"])
    wait_for(lambda: joined(c), "a member")
    stranger = consumer(broker, "g")
    with pytest.raises(KafkaException) as e:
        stranger.commit(offsets=[TopicPartition("t", 0, 1)], asynchronous=False)
    assert e.value.args[0].code() == KafkaError.UNKNOWN_MEMBER_ID
    c.close()
    stranger.commit(offsets=[TopicPartition("t", 0, 1)], asynchronous=False)
    stranger.close()
    tp = kafka.TopicPartition("t", 0)
    py = kafka.KafkaConsumer(bootstrap_servers=broker.address("kafka"), group_id="g", enable_auto_commit=False)
    py.assign([tp])
    py.commit({tp: kafka.OffsetAndMetadata(2, "\u00e9" * 4096)})
    with pytest.raises(kafka.errors.OffsetMetadataTooLargeError):
        py.commit({tp: kafka.OffsetAndMetadata(3, "x" * 4097)})
    assert py.committed(tp, metadata=True) == kafka.OffsetAndMetadata(2, "\u00e9" * 4096)
    py.close()


def test_kafka_python_members_and_admin(broker):
    create(broker, "t", 2)
    address = broker.address("kafka")
    send(broker, "t", [b"%d" % n for n in range(10)])
    settings = {"bootstrap_servers": address, "group_id": "py", "auto_offset_reset": "earliest", "enable_auto_commit": False,
                "session_timeout_ms": 6000, "heartbeat_interval_ms": 500}
    one, two = kafka.KafkaConsumer("t", **settings), kafka.KafkaConsumer("t", **settings)
    got, over = [], threading.Event()

    def member(c):  # poll() waits for the rebalance, so each has its thread
        while not over.is_set():
            for records in c.poll(100).values():
                got.extend(r.value for r in records)

    threads = [threading.Thread(target=member, args=(c,)) for c in (one, two)]
    for t in threads:
        t.start()
    try:
        wait_for(lambda: len(one.assignment()) == 1 and len(two.assignment()) == 1, "both to have a partition")
        wait_for(lambda: len(set(got)) == 10, "all records")
    finally:
        over.set()
        for t in threads:
            t.join(30)
    reader = one if kafka.TopicPartition("t", 0) in one.assignment() else two
    reader.commit({kafka.TopicPartition("t", 0): kafka.OffsetAndMetadata(7, "my words")})
    admin = kafka.admin.KafkaAdminClient(bootstrap_servers=address)
    assert ("py", "consumer") in admin.list_consumer_groups()
    described, = admin.describe_consumer_groups(["py"])
    assert described.state == "Stable" and len(described.members) == 2
    offsets = admin.list_consumer_group_offsets("py")
    assert offsets == {kafka.TopicPartition("t", 0): kafka.OffsetAndMetadata(7, "my words")}
    (_, refused), = admin.delete_consumer_groups(["py"])
    assert refused is kafka.errors.NonEmptyGroupError or refused.errno == 68
    one.close(autocommit=False)
    two.close(autocommit=False)
    (_, done), = admin.delete_consumer_groups(["py"])
    assert done.errno == 0
    assert "py" not in dict(admin.list_consumer_groups())
    (_, gone), = admin.delete_consumer_groups(["py"])
    assert gone.errno == 69
    admin.close()
