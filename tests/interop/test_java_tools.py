"""Kafka's console tools, of the last 3.x and of 4.x, each at what it is for, and told properly of what a single broker does not have."""
import datetime
import json
import re

import pytest

from confluent_kafka import Producer
from conftest import project, wait_for  # noqa: F401 (fixtures)
from java_help import TOOLS, VERSIONS, events, jars, member  # noqa: F401 (fixtures)
from kafka_help import broker, broker_project, create, producer, send  # noqa: F401 (fixtures)
from test_kafka_security import PASSWORDS, safe, setting  # noqa: F401 (fixtures)

TOPICS, CONFIGS = TOOLS + "TopicCommand", "kafka.admin.ConfigCommand"
GROUPS = (TOOLS + "consumer.group.ConsumerGroupCommand", "--timeout", 60000)  # its own five seconds are short on a busy machine
OFFSETS, TRANSACTIONS = TOOLS + "GetOffsetShell", TOOLS + "TransactionsCommand"
PRODUCER, CONSUMER = TOOLS + "VerifiableProducer", TOOLS + "consumer.ConsoleConsumer"


def rows(text, first):
    """The rows of a table that begin with this word."""
    return [line.split() for line in text.splitlines() if line.split()[:1] == [first]]


def test_kafka_topics(jars, broker):  # noqa: F811
    jars.tool(broker, TOPICS, "--create", "--topic", "made", "--partitions", 3, "--config", "retention.ms=3600000")
    jars.tool(broker, TOPICS, "--create", "--topic", "made", "--if-not-exists")
    assert "is there already" in jars.fails(broker, TOPICS, "--create", "--topic", "made")
    jars.tool(broker, TOPICS, "--alter", "--topic", "made", "--partitions", 5)
    assert "but not 4" in jars.fails(broker, TOPICS, "--alter", "--topic", "made", "--partitions", 4)
    told = jars.tool(broker, TOPICS, "--describe", "--topic", "made")
    assert "PartitionCount: 5" in told and "retention.ms=3600000" in told and told.count("Leader: 1") == 5
    assert not jars.tool(broker, TOPICS, "--describe", "--unavailable-partitions").strip()
    assert "made" in jars.tool(broker, TOPICS, "--list").split()
    jars.tool(broker, TOPICS, "--delete", "--topic", "ma.*")
    assert "made" not in jars.tool(broker, TOPICS, "--list").split()


# ---- kafka-configs ----

def test_configs_of_topics(jars, broker):  # noqa: F811
    create(broker, "t")
    of_t = ("--entity-type", "topics", "--entity-name", "t")
    jars.tool(broker, CONFIGS, "--alter", *of_t, "--add-config", "segment.ms=60000,cleanup.policy=[compact,delete]")
    told = jars.tool(broker, CONFIGS, "--describe", *of_t)
    assert "segment.ms=60000" in told and "cleanup.policy=compact,delete" in told
    jars.tool(broker, CONFIGS, "--alter", *of_t, "--delete-config", "segment.ms")
    assert "segment.ms=60000" not in jars.tool(broker, CONFIGS, "--describe", *of_t)
    assert "InvalidConfigurationException" in jars.fails(broker, CONFIGS, "--alter", *of_t, "--add-config", "segment.ms=-5")


def test_configs_of_brokers(jars, broker):  # noqa: F811
    """What is set for all brokers, and for the one, holds for topics that are there, and after a restart."""
    create(broker, "t")
    one, every = ("--entity-type", "brokers", "--entity-name", 1), ("--entity-type", "brokers", "--entity-default")
    of_t = ("--entity-type", "topics", "--entity-name", "t", "--all")
    assert "num.partitions=4" in jars.tool(broker, CONFIGS, "--describe", "--all", *one)
    jars.tool(broker, CONFIGS, "--alter", *every, "--add-config", "log.retention.ms=7000000")
    assert "retention.ms=7000000" in jars.tool(broker, CONFIGS, "--describe", *of_t)
    jars.tool(broker, CONFIGS, "--alter", *one, "--add-config", "log.retention.ms=8000000,log.cleaner.threads=2")
    broker.restart()
    told = jars.tool(broker, CONFIGS, "--describe", "--entity-type", "brokers")
    assert ("log.retention.ms=8000000 sensitive=false synonyms={DYNAMIC_BROKER_CONFIG:log.retention.ms=8000000, "
            "DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=7000000, DEFAULT_CONFIG:log.retention.ms=604800000}") in told
    assert "retention.ms=8000000" in jars.tool(broker, CONFIGS, "--describe", *of_t)
    for whose in (one, every):
        jars.tool(broker, CONFIGS, "--alter", *whose, "--delete-config", "log.retention.ms")
    assert "retention.ms=604800000" in jars.tool(broker, CONFIGS, "--describe", *of_t)
    assert "num.partitions cannot be altered" in jars.fails(broker, CONFIGS, "--alter", *one, "--add-config", "num.partitions=7")


# The tool of 3.9 knows no groups.
@pytest.mark.parametrize("jars", [v for v in VERSIONS if not v.startswith("3.")], indirect=True)
def test_configs_of_groups(jars, broker):  # noqa: F811
    of_g = ("--entity-type", "groups", "--entity-name", "g")
    jars.tool(broker, CONFIGS, "--alter", *of_g, "--add-config", "consumer.session.timeout.ms=50000")
    told = jars.tool(broker, CONFIGS, "--describe", "--entity-type", "groups")
    assert "consumer.session.timeout.ms=50000" in told and "DYNAMIC_GROUP_CONFIG" in told
    for wrong in ("consumer.session.timeout.ms=90000", "no.such=1"):
        assert "InvalidConfigurationException" in jars.fails(broker, CONFIGS, "--alter", *of_g, "--add-config", wrong)
    jars.tool(broker, CONFIGS, "--alter", *of_g, "--delete-config", "consumer.session.timeout.ms")
    assert "50000" not in jars.tool(broker, CONFIGS, "--describe", *of_g)


# ---- kafka-consumer-groups ----

@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_consumer_groups(jars, project, protocol):  # noqa: F811
    one = broker_project(project, consumer_heartbeat_ms=300).start()
    create(one, "t", 3)
    send(one, "t", ["x"] * 40, partition=1)
    of_g = ("--group", "g")
    with member(jars, one, "t", "g", "--group-protocol", protocol) as m:
        wait_for(lambda: m.told("offsets_committed"), "a commit", 60)
        told = rows(jars.tool(one, *GROUPS, "--describe", *of_g), "g")
        assert {tuple(r[1:6]) for r in told} == {("t", "1", "40", "40", "0"), ("t", "0", "-", "0", "-"), ("t", "2", "-", "0", "-")}
        assert all(r[7] == "/127.0.0.1" for r in told)
        told = rows(jars.tool(one, *GROUPS, "--describe", "--members", "--verbose", *of_g), "g")
        assert len(told) == 1 and told[0][4] == "3" and any("0,1,2" in word for word in told[0][5:])
        told = rows(jars.tool(one, *GROUPS, "--describe", "--state", *of_g), "g")
        assert told[0][-2:] == ["Stable", "1"] and told[0][-3] == {"classic": "range", "consumer": "uniform"}[protocol]
        assert rows(jars.tool(one, *GROUPS, "--list", "--state", "stable"), "g") == [["g", "Stable"]]
        assert rows(jars.tool(one, *GROUPS, "--list", "--type", protocol), "g")[0][1].lower() == protocol
        if not jars.is_old:
            assert rows(jars.tool(one, TOOLS + "GroupsCommand", "--list", "--protocol", "consumer"), "g")[0][1].lower() == protocol
        assert "is inactive, but the current state is Stable" in jars.tells(one, *GROUPS, *of_g, "--topic", "t", "--reset-offsets", "--to-earliest",
                                                                           "--execute")
        assert "GroupNotEmptyException" in jars.tells(one, *GROUPS, *of_g, "--delete")
        assert "GroupSubscribedToTopicException" in jars.tells(one, *GROUPS, *of_g, "--delete-offsets", "--topic", "t")
    wait_for(lambda: rows(jars.tool(one, *GROUPS, "--list", "--state"), "g") == [["g", "Empty"]], "an empty group", 60)
    assert "Successful" in jars.tool(one, *GROUPS, *of_g, "--delete-offsets", "--topic", "t:1")
    assert not rows(jars.tool(one, *GROUPS, "--describe", *of_g), "g")
    jars.tool(one, *GROUPS, "--delete", *of_g)
    assert not rows(jars.tool(one, *GROUPS, "--list"), "g")
    assert ("does not exist" if jars.is_old else "GroupIdNotFoundException") in jars.tells(one, *GROUPS, "--describe", *of_g)


def test_reset_offsets(jars, broker, tmp_path):  # noqa: F811
    """Each way to tell where a group shall read on, beside what it names."""
    create(broker, "t", 2)
    p = producer(broker)
    for n in range(20):
        p.produce("t", str(n), partition=n % 2, timestamp=1700000000000 + n // 2 * 1000)
    assert p.flush(30) == 0

    def reset(*how, run="--execute"):
        told = jars.tool(broker, *GROUPS, "--group", "g", "--topic", "t", "--reset-offsets", *how, run)
        return {int(part): int(to) for part, to in re.findall(r"\bg +t +(\d+) +(\d+)", told)}  # 3.9 prints them all in a line

    def places():
        return {int(r[2]): int(r[3]) for r in rows(jars.tool(broker, *GROUPS, "--describe", "--group", "g"), "g")}

    assert reset("--to-offset", 4) == places() == {0: 4, 1: 4}
    assert reset("--to-latest", run="--dry-run") == {0: 10, 1: 10} and places() == {0: 4, 1: 4}
    reset("--shift-by", 3)
    assert places() == {0: 7, 1: 7}
    reset("--shift-by", -100)  # no further than there are records
    assert places() == {0: 0, 1: 0}
    at = datetime.datetime.fromtimestamp(1700000005, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000")
    reset("--to-datetime", at)
    assert places() == {0: 5, 1: 5}
    reset("--by-duration", "PT1H")  # everything is older
    assert places() == {0: 10, 1: 10}
    plan = tmp_path / "plan.csv"
    plan.write_text("t,0,2\nt,1,9\n")
    jars.tool(broker, *GROUPS, "--group", "g", "--reset-offsets", "--from-file", plan, "--execute")
    assert places() == {0: 2, 1: 9}
    exported = jars.tool(broker, *GROUPS, "--group", "g", "--topic", "t", "--reset-offsets", "--to-current", "--export", "--dry-run")
    assert sorted(line.replace('"', "") for line in exported.splitlines() if line) == ["t,0,2", "t,1,9"]
    read = jars.client(broker, CONSUMER, "--topic", "t", "--group", "g", "--max-messages", 9)
    assert sorted(map(int, read.split())) == sorted([*range(4, 20, 2), 19])


# ---- where records are ----

def test_get_offsets_and_delete_records(jars, broker, tmp_path):  # noqa: F811
    create(broker, "t", 2)
    p = producer(broker)
    for n in (5, 9, 7):
        p.produce("t", str(n), partition=1, timestamp=1700000000000 + n)
    assert p.flush(30) == 0

    def at(time):
        return jars.tool(broker, OFFSETS, "--topic", "t", "--time", time).split()

    assert at("latest") == ["t:0:0", "t:1:3"] and at("earliest") == ["t:0:0", "t:1:0"]
    assert at("max-timestamp") == ["t:1:1"] and at(1700000000006) == ["t:1:1"] and at(1700000000010) == []
    assert at("earliest-local") == ["t:0:0", "t:1:0"] and at("latest-tiered") == []
    assert "UnsupportedVersionException" in jars.tells(broker, OFFSETS, "--topic", "t", "--time", -17)
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"version": 1, "partitions": [{"topic": "t", "partition": 1, "offset": 2}]}))
    assert "low_watermark: 2" in jars.tool(broker, TOOLS + "DeleteRecordsCommand", "--offset-json-file", plan)
    assert at("earliest") == ["t:0:0", "t:1:2"]
    plan.write_text(json.dumps({"version": 1, "partitions": [{"topic": "t", "partition": 1, "offset": 99}]}))
    assert "OffsetOutOfRangeException" in jars.tells(broker, TOOLS + "DeleteRecordsCommand", "--offset-json-file", plan)
    assert jars.client(broker, CONSUMER, "--topic", "t", "--from-beginning", "--max-messages", 1).split() == ["7"]


def test_log_dirs(jars, broker):  # noqa: F811
    create(broker, "t", 2)
    send(broker, "t", ["x" * 1000] * 10, partition=1)
    told = json.loads(jars.tool(broker, TOOLS + "LogDirsCommand", "--describe", "--topic-list", "t").splitlines()[-1])
    (folder,) = told["brokers"][0]["logDirs"]
    sizes = {p["partition"]: p["size"] for p in folder["partitions"]}
    assert folder["error"] is None and folder["logDir"] == str(broker.folder / "data/log")
    assert sizes["t-0"] == 0 and 10000 < sizes["t-1"] < 12000


# ---- reading and writing ----

def test_console_producer_and_consumer(jars, broker):  # noqa: F811
    create(broker, "t", 1)
    writer = ("kafka.tools." if jars.is_old else TOOLS) + "ConsoleProducer"
    jars.client(broker, writer, "--topic", "t", "--compression-codec", "zstd", "--property", "parse.key=true", "--property", "key.separator=:",
              "--property", "parse.headers=true", "--property", "headers.delimiter=|", text="h:1|a:one\nh:2|b:zwölf\nh:3|c:three\n")
    told = jars.client(broker, CONSUMER, "--topic", "t", "--from-beginning", "--max-messages", 3, "--property", "print.key=true", "--property",
                     "print.headers=true", "--property", "print.offset=true", "--property", "print.partition=true")
    assert told.splitlines() == ["Partition:0\tOffset:0\th:1\ta\tone", "Partition:0\tOffset:1\th:2\tb\tzwölf", "Partition:0\tOffset:2\th:3\tc\tthree"]
    told = jars.client(broker, CONSUMER, "--topic", "t", "--partition", 0, "--offset", 2, "--max-messages", 1)
    assert told.split() == ["three"]


def test_perf_tools(jars, broker):  # noqa: F811
    create(broker, "t", 4)
    writer = (TOOLS + "ProducerPerformance", "--topic", "t", "--num-records", 5000, "--record-size", 1000, "--throughput", -1, "--producer-props",
              f"bootstrap.servers={broker.address('kafka')}")
    assert "5000 records sent" in jars.run(*writer, "acks=all", "compression.type=lz4")
    assert "5000 records sent" in jars.run(*writer[:-2], "--transactional-id", "perf", "--transaction-duration-ms", 100, *writer[-2:])
    told = jars.client(broker, TOOLS + "ConsumerPerformance", "--topic", "t", "--messages", 10000, "--group", "perf", "--timeout", 60000)
    assert int(told.splitlines()[-1].split(", ")[4]) >= 10000
    assert "Avg latency" in jars.run(TOOLS + "EndToEndLatency", broker.address("kafka"), "t", 50, "all", 100)


# ---- kafka-transactions ----

def test_transactions(jars, broker):  # noqa: F811
    create(broker, "t", 2)
    p = Producer({"bootstrap.servers": broker.address("kafka"), "transactional.id": "open"})
    p.init_transactions(30)
    p.begin_transaction()
    p.produce("t", "x", partition=1)
    assert p.flush(30) == 0
    (row,) = rows(jars.tool(broker, TRANSACTIONS, "list"), "open")
    assert row[3] == "Ongoing"
    told = rows(jars.tool(broker, TRANSACTIONS, "describe", "--transactional-id", "open"), "1")[0]
    assert told[1] == "open" and told[2] == row[2] and told[4] == "Ongoing" and told[-1] == "t-1"
    told = rows(jars.tool(broker, TRANSACTIONS, "describe-producers", "--topic", "t", "--partition", 1), row[2])[0]
    assert told[3] == "0" and told[5] == "0"  # its last sequence, and where the transaction began
    assert not rows(jars.tool(broker, TRANSACTIONS, "find-hanging", "--broker-id", 1), "t")
    aborting = ("abort", "--topic", "t", "--partition", 1, "--start-offset", 0)
    assert "WRITE_TXN_MARKERS" in jars.tells(broker, TRANSACTIONS, *aborting)  # between brokers alone
    if jars.is_old:
        p.abort_transaction(30)
    else:
        jars.tool(broker, TRANSACTIONS, "forceTerminateTransaction", "--transactionalId", "open")
        with pytest.raises(Exception, match="fenced|newer instance|epoch"):
            p.commit_transaction(30)
    assert rows(jars.tool(broker, TRANSACTIONS, "list"), "open")[0][3] == ("CompleteAbort" if jars.is_old else "Empty")
    send(broker, "t", ["y"], partition=1)
    assert jars.client(broker, CONSUMER, "--topic", "t", "--from-beginning", "--max-messages", 1, "--isolation-level", "read_committed").split() == ["y"]


# ---- users and what they may do ----

class Door:
    """Where an administrator logs in, over TLS."""

    def __init__(self, one, folder):
        self.one, self.folder = one, folder

    def address(self, role):
        return f"127.0.0.1:{setting(self.one, 'tls_port')}"

    def file(self, user, password=None, mechanism="SCRAM-SHA-512"):
        path = self.folder / f"{user}.properties"
        secret = (PASSWORDS[user] if password is None else password).replace("\\", "\\\\").replace('"', '\\"')
        module = "plain.PlainLoginModule" if mechanism == "PLAIN" else "scram.ScramLoginModule"
        path.write_text(f"security.protocol=SASL_SSL\nsasl.mechanism={mechanism}\nssl.truststore.type=PEM\n"
                        f"ssl.truststore.location={self.one.folder / 'cert.pem'}\nsasl.jaas.config=org.apache.kafka.common.security.{module} "
                        f'required username="{user}" password="{secret}";\n'.replace("ä", "\\u00e4"))
        return path


@pytest.fixture
def door(safe, tmp_path):  # noqa: F811
    return Door(safe, tmp_path)


def test_acls(jars, door):  # noqa: F811
    acls = ("kafka.admin." if jars.is_old else TOOLS) + "AclCommand"
    admin, alice, bob = door.file("admin"), door.file("alice"), door.file("bob", mechanism="PLAIN")
    jars.tool(door, TOPICS, "--command-config", admin, "--create", "--topic", "orders", "--partitions", 2)
    writing = ("--topic", "orders", "--max-messages", 20, "--acks", -1, "--producer.config", alice)

    def written():
        return [e["name"] for e in events(jars.client(door, PRODUCER, *writing))].count("producer_send_success")

    assert written() == 0
    jars.tool(door, acls, "--command-config", admin, "--add", "--allow-principal", "User:alice", "--producer", "--topic", "ord",
              "--resource-pattern-type", "prefixed")
    assert written() == 20
    reading = ("--topic", "orders", "--group", "readers", "--from-beginning", "--max-messages", 20, "--timeout-ms", 20000)
    with_bob = ("--consumer.config", bob)
    assert "TopicAuthorizationException" in jars.client(door, CONSUMER, *reading, *with_bob, check=False)
    jars.tool(door, acls, "--command-config", admin, "--add", "--allow-principal", "User:bob", "--consumer", "--topic", "orders", "--group", "readers")
    assert len(jars.client(door, CONSUMER, *reading, *with_bob).split()) == 20
    told = jars.tool(door, acls, "--command-config", admin, "--list", "--topic", "orders", "--resource-pattern-type", "match")
    assert "principal=User:alice, host=*, operation=WRITE, permissionType=ALLOW" in told
    assert "principal=User:bob, host=*, operation=READ, permissionType=ALLOW" in told
    assert "ClusterAuthorizationException" in jars.tells(door, acls, "--command-config", bob, "--list")
    jars.tool(door, acls, "--command-config", admin, "--remove", "--force", "--allow-principal", "User:alice", "--producer", "--topic", "ord",
              "--resource-pattern-type", "prefixed")
    assert written() == 0
    assert "alice" not in jars.tool(door, acls, "--command-config", admin, "--list")


def test_configs_of_users(jars, door):  # noqa: F811
    admin, of_carol = door.file("admin"), ("--entity-type", "users", "--entity-name", "carol")
    jars.tool(door, CONFIGS, "--command-config", admin, "--alter", *of_carol, "--add-config", "SCRAM-SHA-512=[iterations=8192,password=secret]")
    assert "SCRAM-SHA-512=iterations=8192" in jars.tool(door, CONFIGS, "--command-config", admin, "--describe", *of_carol)
    assert not jars.tool(door, TOPICS, "--command-config", door.file("carol", "secret"), "--list").strip()
    jars.tool(door, CONFIGS, "--command-config", admin, "--alter", *of_carol, "--delete-config", "SCRAM-SHA-512")
    assert "Authentication failed" in jars.fails(door, TOPICS, "--command-config", door.file("carol", "secret"), "--list")


# ---- what there is of a cluster ----

def test_the_cluster(jars, broker, tmp_path):  # noqa: F811
    create(broker, "t", 2)
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"version": 1, "partitions": [{"topic": "t", "partition": 0, "replicas": [1]}]}))
    assert len(jars.run(TOOLS + "ClusterTool", "cluster-id", "--bootstrap-server", broker.address("kafka")).split()[-1]) == 22
    versions = ("kafka.admin." if jars.is_old else TOOLS) + "BrokerApiVersionsCommand"
    told = jars.tool(broker, versions)
    assert "(id: 1" in told and "Fetch(1): 4 to 17 [usable: 17]" in told and "ConsumerGroupHeartbeat(68): 0 to 1" in told
    assert "WriteTxnMarkers(27): UNSUPPORTED" in told and "UNKNOWN" not in told
    assert "Valid replica already elected" in jars.tool(broker, TOOLS + "LeaderElectionCommand", "--election-type", "preferred",
                                                        "--path-to-json-file", plan)
    moving = TOOLS + "reassign.ReassignPartitionsCommand"
    assert "No partition reassignments found" in jars.tool(broker, moving, "--list")
    jars.tool(broker, TOOLS + "FeatureCommand", "describe")


def test_what_is_not_there_is_told(jars, broker, tmp_path):  # noqa: F811
    """A tool for what one broker does not have says that the node does not support it, not that it is done."""
    create(broker, "t")
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"version": 1, "partitions": [{"topic": "t", "partition": 0, "replicas": [1]}]}))
    for missing, name, *args in (("DESCRIBE_QUORUM", TOOLS + "MetadataQuorumCommand", "describe", "--status"),
                                 ("ALTER_CLIENT_QUOTAS", CONFIGS, "--alter", "--entity-type", "clients", "--entity-name", "c", "--add-config",
                                  "producer_byte_rate=1000"),
                                 ("ALTER_PARTITION_REASSIGNMENTS", TOOLS + "reassign.ReassignPartitionsCommand", "--execute",
                                  "--reassignment-json-file", plan),
                                 ("DESCRIBE_DELEGATION_TOKEN", TOOLS + "DelegationTokenCommand", "--describe", "--command-config", "/dev/null"),
                                 ("UPDATE_FEATURES", TOOLS + "FeatureCommand", "disable", "--feature", "metadata.version")):
        assert f"does not support {missing}" in jars.tells(broker, name, *args), name
    assert "SecurityDisabledException" in jars.tells(broker, ("kafka.admin." if jars.is_old else TOOLS) + "AclCommand", "--list")
