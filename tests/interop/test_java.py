"""Kafka's own client, of the last 3.x and of 4.x: the whole round with each kind of group, and the verifiable programs."""
import json

import pytest

from conftest import project, wait_for  # noqa: F401 (fixtures)
from java_help import HERE, TOOLS, events, jars, member  # noqa: F401 (fixtures)
from kafka_help import broker, broker_project, create  # noqa: F401 (fixtures)


@pytest.mark.parametrize("protocol", ["range", "cooperative", "consumer"])
def test_the_whole_round(jars, project, protocol):  # noqa: F811
    one = broker_project(project, consumer_heartbeat_ms=300).start()
    told = jars.run(HERE / "Round.java", one.address("kafka"), protocol)
    assert json.loads(told.splitlines()[-1]) == {"consumed": 2000, "rebalanced": [2, 2], "committed": 500, "resumed": 0, "at": 12, "after": 8,
                                                "moved": 8, "transactions": "kept,kept too"}


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_verifiable_clients(jars, project, protocol):  # noqa: F811
    """A member reads, a second one takes its share, and gives it back when it leaves: nothing is read twice."""
    one = broker_project(project, consumer_heartbeat_ms=300).start()
    create(one, "t", 4)
    sent = events(jars.client(one, TOOLS + "VerifiableProducer", "--topic", "t", "--max-messages", 500, "--acks", -1))
    assert sum(e["name"] == "producer_send_success" for e in sent) == 500
    with member(jars, one, "t", "g", "--group-protocol", protocol) as first:
        wait_for(lambda: first.consumed() == 500, "500 records", 60)
        wait_for(lambda: sum(o["offset"] for e in first.told("offsets_committed")[-4:] for o in e["offsets"]) > 0, "a commit")
        with member(jars, one, "t", "g", "--group-protocol", protocol) as second:
            wait_for(lambda: len(first.assigned()) == len(second.assigned()) == 2, "two shares", 60)
            assert not first.assigned() & second.assigned()
        wait_for(lambda: len(first.assigned()) == 4, "all back with the first", 60)
        assert all(e["success"] for e in first.told("offsets_committed"))
    assert first.consumed() == 500 and second.consumed() == 0
    with member(jars, one, "t", "g", "--group-protocol", protocol, "--max-messages", 10) as third:
        wait_for(lambda: len(third.assigned()) == 4, "the third's share", 60)
        jars.client(one, TOOLS + "VerifiableProducer", "--topic", "t", "--max-messages", 10, "--acks", -1)
        wait_for(lambda: third.consumed() >= 10, "what is new", 60)
    assert third.consumed() == 10


def test_transactional_message_copier(jars, broker):  # noqa: F811
    """Records move from a topic to another in transactions with their positions, some of which are aborted by chance and done anew."""
    for topic in ("from", "to"):
        create(broker, topic)
    jars.client(broker, TOOLS + "VerifiableProducer", "--topic", "from", "--max-messages", 300, "--acks", -1)
    copied = events(jars.run(TOOLS + "TransactionalMessageCopier", "--broker-list", broker.address("kafka"), "--input-topic", "from",
                             "--input-partition", 0, "--output-topic", "to", "--consumer-group", "copiers", "--transactional-id", "copier",
                             "--transaction-size", 25, "--enable-random-aborts", "--use-group-metadata", "--group-mode"))
    assert copied[-1]["remaining"] == 0 and copied[-1]["consumed"] >= 300, copied[-1]
    seen = jars.client(broker, TOOLS + "consumer.ConsoleConsumer", "--topic", "to", "--from-beginning", "--max-messages", 300,
                     "--isolation-level", "read_committed")
    assert sorted(map(int, seen.split())) == list(range(300))
    positions = jars.tool(broker, TOOLS + "consumer.group.ConsumerGroupCommand", "--timeout", 60000, "--describe", "--group", "copiers")
    assert [line.split()[3:6] for line in positions.splitlines() if line.startswith("copiers ")] == [["300", "300", "0"]]
