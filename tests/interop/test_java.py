"""Kafka's own client and console tools, of the last 3.x and of 4.x, from Maven (pom.xml) into build/."""
import json
import subprocess

import pytest

from conftest import ROOT, project, wait_for  # noqa: F401 (fixtures)
from kafka_help import broker, broker_project, create, producer, send  # noqa: F401 (fixtures)

VERSIONS = ["3.9.1", "4.1.1"]
HERE = ROOT / "tests/interop"


@pytest.fixture(scope="module", params=VERSIONS)
def jars(request):
    into = ROOT / "build" / f"kafka-{request.param}"
    if not (into / f"kafka-clients-{request.param}.jar").exists():
        subprocess.run(["mvn", "-q", "-B", "-f", HERE / "pom.xml", f"-Dkafka={request.param}", "dependency:copy-dependencies",
                        f"-DoutputDirectory={into}"], check=True, timeout=900)
    return into


def java(jars, *args, text=None, seconds=120):
    done = subprocess.run(["java", "-Xmx256m", "-cp", f"{jars}/*", *map(str, args)], input=text, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tool(jars, broker, name, *args, **more):
    return java(jars, name, "--bootstrap-server", broker.address("kafka"), *args, **more)


TOPICS = "org.apache.kafka.tools.TopicCommand"
GROUPS = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
CONFIGS = "kafka.admin.ConfigCommand"
PRODUCER, CONSUMER = "org.apache.kafka.tools.VerifiableProducer", "org.apache.kafka.tools.VerifiableConsumer"


@pytest.fixture(params=["classic", "consumer"])
def protocol(jars, request):
    if request.param == "consumer" and "3.9" in jars.name:
        pytest.skip("KIP-848 is a preview there")
    return request.param


def groups(jars, broker, *args):  # noqa: F811
    return tool(jars, broker, GROUPS, "--timeout", 60000, *args)  # its own five seconds are short on a busy machine


def test_the_whole_round(jars, project, protocol):  # noqa: F811
    broker = broker_project(project, consumer_heartbeat_ms=300).start()  # noqa: F811
    told = java(jars, HERE / "Round.java", broker.address("kafka"), protocol)
    assert json.loads(told.splitlines()[-1]) == {"consumed": 2000, "rebalanced": [2, 2], "committed": 500, "resumed": 0, "at": 12, "after": 8,
                                                "moved": 8, "transactions": "kept,kept too"}


def test_kafka_topics(jars, broker):
    tool(jars, broker, TOPICS, "--create", "--topic", "made", "--partitions", 3, "--config", "retention.ms=3600000")
    tool(jars, broker, TOPICS, "--alter", "--topic", "made", "--partitions", 5)
    told = tool(jars, broker, TOPICS, "--describe", "--topic", "made")
    assert "PartitionCount: 5" in told and "retention.ms=3600000" in told and told.count("Leader: 1") == 5
    assert "made" in tool(jars, broker, TOPICS, "--list").split()
    tool(jars, broker, TOPICS, "--delete", "--topic", "made")
    assert "made" not in tool(jars, broker, TOPICS, "--list").split()


def test_kafka_configs(jars, broker):
    create(broker, "t")
    of_t = ("--entity-type", "topics", "--entity-name", "t")
    tool(jars, broker, CONFIGS, "--alter", *of_t, "--add-config", "segment.ms=60000,cleanup.policy=[compact,delete]")
    told = tool(jars, broker, CONFIGS, "--describe", *of_t)
    assert "segment.ms=60000" in told and "cleanup.policy=compact,delete" in told
    tool(jars, broker, CONFIGS, "--alter", *of_t, "--delete-config", "segment.ms")
    assert "segment.ms=60000" not in tool(jars, broker, CONFIGS, "--describe", *of_t)
    assert "num.partitions=4" in tool(jars, broker, CONFIGS, "--describe", "--all", "--entity-type", "brokers", "--entity-name", 1)


def lines(text):
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_verifiable_clients_and_kafka_consumer_groups(jars, broker, protocol):
    create(broker, "t", 3)
    sent = lines(tool(jars, broker, PRODUCER, "--topic", "t", "--max-messages", 500, "--acks", -1))
    assert sum(line["name"] == "producer_send_success" for line in sent) == 500
    consumer = (CONSUMER, "--topic", "t", "--group-id", "g", "--reset-policy", "earliest",
                *(() if protocol == "classic" else ("--group-protocol", protocol)), "--max-messages")
    read = lines(tool(jars, broker, *consumer, 500))
    assert sum(line["count"] for line in read if line["name"] == "records_consumed") == 500
    assert all(line["success"] for line in read if line["name"] == "offsets_committed")

    told = groups(jars, broker, "--describe", "--group", "g")
    rows = [line.split() for line in told.splitlines() if line.startswith("g ")]
    assert sum(int(row[3]) for row in rows) == 500 and {row[5] for row in rows} == {"0"}  # positions, lag
    assert "g" in groups(jars, broker, "--list").split()
    told = groups(jars, broker, "--list", "--type").splitlines()
    assert ["g", protocol.capitalize()] in [line.split() for line in told]
    assert "Empty" in groups(jars, broker, "--describe", "--group", "g", "--state")
    groups(jars, broker, "--group", "g", "--topic", "t", "--reset-offsets", "--to-earliest", "--execute")
    again = lines(tool(jars, broker, *consumer, 500))
    assert sum(line["count"] for line in again if line["name"] == "records_consumed") == 500
    groups(jars, broker, "--delete", "--group", "g")
    assert "g" not in groups(jars, broker, "--list").split()


def test_tools_that_look(jars, broker):
    create(broker, "t", 2)
    send(broker, "t", [b"x" * 100] * 7, partition=1)
    assert tool(jars, broker, "org.apache.kafka.tools.GetOffsetShell", "--topic", "t").split() == ["t:0:0", "t:1:7"]
    told = json.loads(tool(jars, broker, "org.apache.kafka.tools.LogDirsCommand", "--describe", "--topic-list", "t").splitlines()[-1])
    sizes = {p["partition"]: p["size"] for p in told["brokers"][0]["logDirs"][0]["partitions"]}
    assert sizes["t-0"] == 0 and 700 < sizes["t-1"] < 2000
    p = producer(broker, transactional_id="open")
    p.init_transactions(30)
    p.begin_transaction()
    p.produce("t", b"never")
    assert p.flush(30) == 0
    transactions = "org.apache.kafka.tools.TransactionsCommand"
    assert "Ongoing" in tool(jars, broker, transactions, "describe", "--transactional-id", "open")
    assert "open" in tool(jars, broker, transactions, "list")
    p.abort_transaction(30)
    told = tool(jars, broker, ("kafka.admin" if "3.9" in jars.name else "org.apache.kafka.tools") + ".BrokerApiVersionsCommand")
    assert "Produce(0): 0 to 12" in told and "ConsumerGroupHeartbeat(68): 0 to 1" in told and "UNKNOWN" not in told
