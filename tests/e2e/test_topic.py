"""tarn topic: topics, records, groups and their positions from the command line."""
import contextlib
import json
import os
import pty
import shutil
import socket
import struct
import subprocess
import threading
import time

import pytest
from confluent_kafka import TopicPartition
from conftest import TARN, request, wait_for
from kafka_help import SETTINGS, broker, consumer, create, producer, read, send  # noqa: F401


def topic(broker, *args, text="", check=True):
    done = subprocess.run([TARN, "topic", *map(str, args)], cwd=broker.folder, input=text, capture_output=True, text=True, timeout=60)
    assert not check or done.returncode == 0, f"{args}: status {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def answer(broker, *args, **more):
    return json.loads(topic(broker, *args, "--json", **more).stdout)


def records(broker, *args):
    return [json.loads(line) for line in topic(broker, "consume", *args, "--json").stdout.splitlines()]


def refused(broker, *args, status=1, text=""):
    done = topic(broker, *args, text=text, check=False)
    assert done.returncode == status and not done.stdout, done
    return done.stderr


def test_a_topic_from_its_making_to_its_end(broker):
    topic(broker, "create", "orders", "--partitions", 3, "--config", "retention.ms=3600000")
    assert "is there already" in refused(broker, "create", "orders")
    assert {"topic": "orders", "partitions": 3} in answer(broker, "list")
    assert "__consumer_offsets" in {t["topic"] for t in answer(broker, "list", "--internal")}
    topic(broker, "alter", "orders", "--partitions", 5, "--config", "cleanup.policy=compact")
    d = answer(broker, "describe", "orders")
    assert d["settings"] == {"retention.ms": "3600000", "cleanup.policy": "compact"}
    assert len(d["partitions"]) == 5 and d["offsets"] == 0
    topic(broker, "alter", "orders", "--reset", "cleanup.policy")
    assert answer(broker, "describe", "orders")["settings"] == {"retention.ms": "3600000"}
    assert "topic orders has no cleanup.policy of its own" in refused(broker, "alter", "orders", "--reset", "cleanup.policy")
    assert "retention.ms=3600000" in topic(broker, "describe", "orders").stdout
    assert "there is no topic nothing" in refused(broker, "delete", "orders", "nothing")
    topic(broker, "delete", "orders")
    assert "orders" not in {t["topic"] for t in answer(broker, "list")}
    assert "no-such.setting" in refused(broker, "create", "t", "--config", "no-such.setting=1")


def test_records_there_and_back(broker):
    create(broker, "t", 2)
    sent = topic(broker, "produce", "t", "--key-separator", ":", "--header", "src=cli", "--empty-is-null", text="a:1\nb:{\"x\":2}\na:\n")
    assert sent.stdout == "3 records\n"
    got = records(broker, "t")
    assert sorted((r["key"], r["value"]) for r in got if r["value"]) == [("a", "1"), ("b", "{\"x\":2}")]
    assert [r["value"] for r in got if r["key"] == "a"] == ["1", None]
    assert all(r["headers"] == {"src": "cli"} for r in got)
    create(broker, "copy", 2)
    lines = topic(broker, "consume", "t", "--json").stdout
    assert answer(broker, "produce", "copy", "--input", "json", text=lines) == {"topic": "copy", "produced": 3}
    strip = lambda rs: sorted((r["partition"], r["offset"], r["key"], r["value"], r["headers"]["src"]) for r in rs if r["value"])
    assert strip(records(broker, "copy")) == strip(got)
    assert "no key separator" in refused(broker, "produce", "t", "--key-separator", ":", text="none\n")
    assert "has the partitions 0 to 1" in refused(broker, "produce", "t", "--partition", 2, text="x\n")


@pytest.mark.parametrize("line, wanted", [('{"key":"k","val":1}', "a record has key, value and headers, not val"),
                                          ('{"value":"v","headers":[["a","b"]]}', "headers are an object"),
                                          ('{"value":"v","headers":{"a":1}}', "header a is neither a string nor null")])
def test_a_slip_in_json_sends_nothing(broker, line, wanted):
    create(broker, "t")
    assert f"line 1: {wanted}" in refused(broker, "produce", "t", "--input", "json", text=line + "\n")
    assert records(broker, "t") == []


def test_what_a_topic_does_not_take_is_told(broker):
    topic(broker, "create", "small", "--config", "max.message.bytes=2000")
    assert "larger than the topic's max.message.bytes allows" in refused(broker, "produce", "small", text="x" * 3000 + "\n")
    topic(broker, "create", "large", "--config", "max.message.bytes=4000000")
    assert topic(broker, "produce", "large", text="x" * 3000000 + "\n").stdout == "1 record\n"
    topic(broker, "create", "latest", "--config", "cleanup.policy=compact")
    assert "each record needs a key" in refused(broker, "produce", "latest", text="x\n")


def test_a_topic_that_is_not_made_by_itself(project):
    one = project("storefront", {**SETTINGS, "kafka": {**SETTINGS["kafka"], "auto_create": False}})
    for folder in ("connectors", "migrations"):
        shutil.rmtree(one.folder / folder, ignore_errors=True)
    one.start()
    began = time.monotonic()
    assert "there is no topic t, and Kafka makes none by itself there" in refused(one, "produce", "t", text="x\n")
    assert time.monotonic() - began < 20


def test_which_records_are_shown(broker):
    create(broker, "t", 2)
    for partition in 0, 1:
        send(broker, "t", [b"%d-%d" % (partition, n) for n in range(50)], partition=partition)
    values = lambda *args: topic(broker, "consume", "t", "--values", *args).stdout.split()
    assert len(values()) == 100
    assert values("--partition", 1, "--from", 48) == ["1-48", "1-49"]
    assert values("--from", "latest") == []
    assert values("--tail", 2, "--partition", 0) == ["0-48", "0-49"]
    assert len(values("--tail", 7)) == 7
    assert len(values("--max", 3)) == 3
    assert sorted(values("--grep", "-49")) == ["0-49", "1-49"]
    assert len(values("--from", "PT1H")) == 100 and values("--from", "2099-01-01T00:00:00Z") == []
    assert values("--partition", 1, "--from", 50) == []
    assert "no offset 51 yet in t: its partitions end: 0 at 50, 1 at 50" in refused(broker, "consume", "t", "--from", 51)
    assert "--from is earliest" in refused(broker, "consume", "t", "--from", "yesterday", status=2)
    assert "has the partitions 0 to 1" in refused(broker, "consume", "t", "--partition", "7")


def test_a_moment_is_found(broker):
    create(broker, "t")
    p = producer(broker)
    for n in range(10):
        p.produce("t", str(n), timestamp=1700000000000 + n * 60000)
    p.flush(20)
    assert topic(broker, "consume", "t", "--values", "--from", "2023-11-14T22:18:20Z").stdout.split() == ["5", "6", "7", "8", "9"]
    assert topic(broker, "consume", "t", "--values", "--from", "2023-11-15T00:21:20+02:00").stdout.split() == ["8", "9"]


def test_following_goes_on(broker):
    create(broker, "t")
    send(broker, "t", [b"before"])
    follow = subprocess.Popen([TARN, "topic", "consume", "t", "--follow", "--values", "--tail", "1", "--max", "3"], cwd=broker.folder,
                              stdout=subprocess.PIPE, text=True)
    assert follow.stdout.readline() == "before\n"
    send(broker, "t", [b"one"])
    assert follow.stdout.readline() == "one\n"
    send(broker, "t", [b"two", b"three"])
    assert follow.stdout.read() == "two\n" and follow.wait(30) == 0


AVRO = {"type": "record", "name": "Order", "fields": [
    {"name": "id", "type": "long"}, {"name": "note", "type": ["null", "string"], "default": None},
    {"name": "lines", "type": {"type": "array", "items": "double"}, "default": []}]}


def test_avro_by_the_registry(broker):
    url = broker.url("registry", "/subjects/orders-value/versions")
    schema_id = request("POST", url, {"schema": json.dumps(AVRO)})[1]["id"]
    create(broker, "orders")
    topic(broker, "produce", "orders", "--subject", "orders-value", text='{"id":1}\n{"id":2,"note":"x","lines":[1.5]}\n')
    raw = read(assigned(broker, "orders"), 2)
    assert raw[0].value()[:5] == b"\0" + schema_id.to_bytes(4, "big")
    got = records(broker, "orders")
    assert [r["value"] for r in got] == [{"id": 1, "note": None, "lines": []}, {"id": 2, "note": "x", "lines": [1.5]}]
    assert {r["schema_id"] for r in got} == {schema_id}
    assert '{"id":2,"note":"x","lines":[1.5]}' in topic(broker, "consume", "orders").stdout
    assert "line 1: field id: \"q\" is not a long" in refused(broker, "produce", "orders", "--schema-id", schema_id, text='{"id":"q"}\n')
    assert "nothing-value" in refused(broker, "produce", "orders", "--subject", "nothing-value", text="{}\n")


def assigned(broker, name):
    c = consumer(broker, "raw")
    c.assign([TopicPartition(name, 0, 0)])
    return c


def test_groups_and_their_lag(broker):
    create(broker, "t", 2)
    send(broker, "t", [b"x"] * 10, partition=0)
    c = consumer(broker, "g", client_id="reader")
    c.subscribe(["t"])
    read(c, 10)
    c.commit(offsets=[TopicPartition("t", 0, 4)], asynchronous=False)
    g = answer(broker, "groups", "g")
    assert g["state"] == "Stable" and g["lag"] == 6 and [m["client"] for m in g["members"]] == ["reader"]
    assert len(g["members"][0]["reads"]) == 2
    place = lambda p: (p["partition"], p["offset"], p["end"], p["lag"], p["client"])
    assert [place(p) for p in g["positions"]] == [(0, 4, 10, 6, "reader"), (1, None, 0, None, "reader")]  # the second has nothing yet
    assert {"group": "g", "state": "Stable", "members": 1, "lag": 6} in answer(broker, "groups")
    assert "reader" in topic(broker, "groups", "g").stdout
    assert "has 1 member (the first is" in refused(broker, "reset-offsets", "g", "--topic", "t", "--to-earliest", "--execute")
    assert "group g has members: stop them first" in refused(broker, "groups", "g", "--delete")
    c.close()
    topic(broker, "groups", "g", "--delete")
    assert "there is no group g" in refused(broker, "groups", "g")
    assert "there is no group g" in refused(broker, "groups", "g", "--delete")


@pytest.mark.parametrize("goal, wanted", [
    (["--to-earliest"], [2, 0]), (["--to-latest"], [12, 5]), (["--to-offset", 3], [3, 3]), (["--to-offset", 99], [12, 5]),
    (["--shift-by", 3], [10, 5]), (["--shift-by", -100], [2, 0]), (["--to-current"], [7, 4]), (["--by-duration", "P1D"], [2, 0]),
    (["--to-datetime", "2099-01-01T00:00:00.000"], [12, 5])])
def test_positions_are_set(broker, goal, wanted):
    create(broker, "t", 2)
    send(broker, "t", [b"x"] * 12, partition=0)
    send(broker, "t", [b"x"] * 5, partition=1)
    trim(broker, "t", 0, 2)
    c = consumer(broker, "g")
    c.commit(offsets=[TopicPartition("t", 0, 7), TopicPartition("t", 1, 4)], asynchronous=False)
    plan = answer(broker, "reset-offsets", "g", "--all-topics", *goal)
    assert not plan["executed"] and [p["new_offset"] for p in plan["positions"]] == wanted
    assert [p.offset for p in c.committed([TopicPartition("t", n) for n in (0, 1)], 20)] == [7, 4]
    topic(broker, "reset-offsets", "g", "--topic", "t:1", *goal, "--execute")
    assert [p.offset for p in c.committed([TopicPartition("t", n) for n in (0, 1)], 20)] == [7, wanted[1]]
    said = topic(broker, "reset-offsets", "g", "--all-topics", *goal, "--execute").stderr
    assert ("t-0 has the offsets 2 to 12: 99 becomes 12" in said) == (99 in goal), said
    assert c.committed([TopicPartition("t", 0)], 20)[0].offset == wanted[0]
    c.close()


def trim(broker, name, partition, offset):
    """DeleteRecords by hand: these versions of the clients have no call for it."""
    body = struct.pack(">i", 1) + struct.pack(">h", len(name)) + name.encode() + struct.pack(">iiqi", 1, partition, offset, 10000)
    head = struct.pack(">hhih", 21, 0, 1, -1)
    with socket.create_connection(tuple(broker.address("kafka").split(":"))) as s:
        s.sendall(struct.pack(">i", len(head + body)) + head + body)
        size = struct.unpack(">i", s.recv(4, socket.MSG_WAITALL))[0]
        assert s.recv(size, socket.MSG_WAITALL)[-2:] == b"\0\0"


def test_wrong_words(broker):
    assert "wants one value" in refused(broker, "consume", "t", "--max", status=2)
    assert "one goal" in refused(broker, "reset-offsets", "g", "--topic", "t", "--to-earliest", "--to-latest", status=2)
    assert "wants a goal" in refused(broker, "reset-offsets", "g", "--topic", "t", status=2)
    assert "--to-offset wants an offset" in refused(broker, "reset-offsets", "g", "--topic", "t", "--to-offset", "-1", status=2)
    assert "--all-topics" in refused(broker, "reset-offsets", "g", "--to-latest", status=2)
    assert "cannot dance" in refused(broker, "dance", status=2)
    assert "is one word too many" in refused(broker, "list", "x", status=2)
    said = refused(broker, "list", "--bootstrap", "127.0.0.1:1")
    assert "no Kafka answers at 127.0.0.1:1: Connect to" in said and "Connection refused" in said
    assert refused(broker, "create", "t", "--partition", 2, status=2).splitlines()[-1].startswith("usage: tarn topic create NAME [--partitions N]")
    assert "reset-offsets" in topic(broker, "help").stdout
    told = [subprocess.run([TARN, *words], capture_output=True, text=True) for words in
            (["topic", "help"], ["help", "topic"], ["topic", "--help"], ["topic", "create", "--help"])]
    assert {(done.returncode, done.stdout) for done in told} == {(0, topic(broker, "help").stdout)}


def test_any_kafka(broker, tmp_path):
    """Outside of a project, by the address alone."""
    create(broker, "t")
    send(broker, "t", [b"x"])
    done = subprocess.run([TARN, "topic", "consume", "t", "--values", "--bootstrap", broker.address("kafka")], cwd=tmp_path, text=True,
                          capture_output=True, timeout=60)
    assert done.stdout == "x\n"
    done = subprocess.run([TARN, "topic", "list"], cwd=tmp_path, text=True, capture_output=True, timeout=60)
    assert done.returncode == 1 and "no --bootstrap is given" in done.stderr


def test_delivery_is_waited_for(broker):
    create(broker, "t")
    began = time.monotonic()
    sent = answer(broker, "produce", "t", text="".join(f"{n}\n" for n in range(100000)))
    assert sent["produced"] == 100000 and time.monotonic() - began < 60
    wait_for(lambda: answer(broker, "describe", "t")["offsets"] == 100000, "all records")


@contextlib.contextmanager
def at_a_terminal(broker, *args):
    """tarn topic with a terminal for its errors; gives the process and what the terminal has shown so far."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([TARN, "topic", *args], cwd=broker.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=theirs, text=True)
    os.close(theirs)
    shown = bytearray()

    def keep():
        with contextlib.suppress(OSError):  # the end of the other side
            while data := os.read(ours, 1000):
                shown.extend(data)

    thread = threading.Thread(target=keep)
    thread.start()
    try:
        yield process, shown
    finally:
        process.kill()
        process.communicate()
        thread.join()
        os.close(ours)


def test_who_waits_sees_how_far_it_is(broker):
    create(broker, "t")
    with at_a_terminal(broker, "produce", "t") as (process, shown):
        def more():
            process.stdin.write("x\n" * 1000)
            process.stdin.flush()
            return b"records acknowledged of" in shown
        wait_for(more, "progress")
        assert process.communicate()[0].endswith(" records\n") and shown.endswith(b"\r\033[K")
    with at_a_terminal(broker, "consume", "t", "--grep", "needle", "--follow", "--values", "--max", "1") as (process, shown):
        wait_for(lambda: b"records looked at, 0 shown" in shown, "progress")
        send(broker, "t", [b"a needle"])
        assert process.communicate()[0] == "a needle\n" and shown.endswith(b"\r\033[K")
