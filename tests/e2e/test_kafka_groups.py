"""Consumer groups: members that come and go, commits, and what a restart leaves of them."""
import struct
import subprocess

from confluent_kafka import TopicPartition
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
