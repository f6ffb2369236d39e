"""The admin APIs with real clients: settings that are told and do what they say, partitions, records, access lists."""
import json
import time

import kafka
import kafka.admin
import kafka.errors
import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import RESOURCE_BROKER, RESOURCE_TOPIC, AdminClient, ConfigResource, NewPartitions, NewTopic
from kafka_help import broker, consumer, create, kcat, node, producer, read_all, send  # noqa: F401  (broker is a fixture)

TOPIC_CONFIG, STATIC_BROKER_CONFIG, DEFAULT_CONFIG = 1, 4, 5  # ConfigSource


def admin_of(broker):
    return AdminClient({"bootstrap.servers": broker.address("kafka")})


def told(broker, topic, kind=RESOURCE_TOPIC):
    asked, admin = ConfigResource(kind, topic), admin_of(broker)
    return admin.describe_configs([asked])[asked].result(20)


def alter(broker, topic, **settings):
    """AlterConfigs as old clients have it: what is not named goes back to its default."""
    asked = ConfigResource(RESOURCE_TOPIC, topic, set_config={k.replace("_", "."): v for k, v in settings.items()})
    admin = admin_of(broker)
    admin.alter_configs([asked])[asked].result(20)


def test_settings_are_told_with_their_sources(broker):
    create(broker, "t", retention_ms="604800000", segment_bytes="100000")
    got = told(broker, "t")
    assert len(got) > 30
    assert (got["retention.ms"].value, got["retention.ms"].source) == ("604800000", TOPIC_CONFIG)  # set, if to the default
    assert (got["segment.bytes"].value, got["segment.bytes"].source) == ("100000", TOPIC_CONFIG)
    assert (got["segment.ms"].value, got["segment.ms"].source, got["segment.ms"].is_default) == ("604800000", DEFAULT_CONFIG, True)
    assert [s for s in got["segment.bytes"].synonyms] == ["segment.bytes", "log.segment.bytes"]
    assert got["cleanup.policy"].value == "delete" and not got["cleanup.policy"].is_read_only
    own = told(broker, "1", RESOURCE_BROKER)
    assert (own["num.partitions"].value, own["num.partitions"].source) == ("4", STATIC_BROKER_CONFIG)
    assert own["auto.create.topics.enable"].value == "true" and own["auto.create.topics.enable"].is_read_only
    assert own["log.segment.bytes"].value == "1073741824" and own["broker.id"].value == "1"


def test_settings_are_altered_and_kept(broker):
    create(broker, "t", retention_ms="1000")
    alter(broker, "t", segment_ms="2000", cleanup_policy="delete,compact")
    for _ in range(2):
        got = told(broker, "t")
        assert got["segment.ms"].value == "2000" and got["cleanup.policy"].value == "delete,compact"
        assert got["retention.ms"].value == "604800000" and got["retention.ms"].source == DEFAULT_CONFIG
        broker.stop()
        broker.start()
    for name, value in ("segment_ms", "x"), ("min_cleanable_dirty_ratio", "2"), ("no_such", "1"), ("remote_storage_enable", "true"):
        with pytest.raises(KafkaException) as e:
            alter(broker, "t", **{name: value})
        assert e.value.args[0].code() == KafkaError.INVALID_CONFIG, (name, e.value)
    assert told(broker, "t")["segment.ms"].value == "2000"
    with pytest.raises(KafkaException) as e:
        alter(broker, "nowhere", segment_ms="1")
    assert e.value.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_topics_are_made_beside_others_that_are_not(broker):
    admin = admin_of(broker)
    wanted = [NewTopic("good", 3, 1), NewTopic("bad name", 1, 1), NewTopic("three", 1, 3), NewTopic("odd", 1, 1, config={"x": "1"}),
              NewTopic("placed", 2, replica_assignment=[[1], [1]])]
    errors = {}
    for name, done in admin.create_topics(wanted).items():
        try:
            done.result(20)
        except KafkaException as e:
            errors[name] = e.args[0].code()
    assert errors == {"bad name": KafkaError.TOPIC_EXCEPTION, "three": KafkaError.INVALID_REPLICATION_FACTOR,
                      "odd": KafkaError.INVALID_CONFIG}
    assert {t: len(m.partitions) for t, m in admin.list_topics(timeout=20).topics.items() if t in ("good", "placed", "odd")} == \
        {"good": 3, "placed": 2}
    with pytest.raises(KafkaException):
        admin.create_topics([NewTopic("three", 1, 3)], validate_only=True)["three"].result(20)
    admin.create_topics([NewTopic("only", 1, 1)], validate_only=True)["only"].result(20)
    assert "only" not in admin.list_topics(timeout=20).topics


def test_partitions_are_added(broker):
    create(broker, "t", 2)
    admin = admin_of(broker)
    done = admin.create_partitions([NewPartitions("t", 5), NewPartitions("nowhere", 5)])
    done["t"].result(20)
    with pytest.raises(KafkaException) as e:
        done["nowhere"].result(20)
    assert e.value.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    assert send(broker, "t", [b"x"], partition=4) == [0]
    with pytest.raises(KafkaException) as e:
        admin.create_partitions([NewPartitions("t", 3)])["t"].result(20)
    assert e.value.args[0].code() == KafkaError.INVALID_PARTITIONS


@pytest.mark.parametrize("codec,bits", [("uncompressed", 0), ("gzip", 1), ("zstd", 4)])
def test_the_topic_says_how_batches_are_packed(broker, codec, bits):
    from test_kafka_clients import stored_codecs
    create(broker, "t", compression_type=codec)
    values = [b"the same again %d" % (n // 100) for n in range(3000)]
    for given in "none", "lz4", "gzip", "snappy", "zstd":
        send(broker, "t", values, compression_type=given, linger_ms="50")
    assert set(stored_codecs(broker, "t")) == {bits}
    assert [m.value() for m in read_all(broker, "t")] == values * 5


def test_the_time_of_the_append(broker):
    create(broker, "t", message_timestamp_type="LogAppendTime")
    before = int(time.time() * 1000)
    sender = kafka.KafkaProducer(bootstrap_servers=broker.address("kafka"))
    sent = sender.send("t", b"x", timestamp_ms=1000).get(20)
    assert before <= sent.timestamp <= time.time() * 1000  # the answer says it (log_append_time)
    kind, at = read_all(broker, "t")[0].timestamp()
    assert kind == 2 and at == sent.timestamp  # TIMESTAMP_LOG_APPEND_TIME


def test_times_that_are_refused(broker):
    create(broker, "t", message_timestamp_before_max_ms="3600000")
    sender = kafka.KafkaProducer(bootstrap_servers=broker.address("kafka"))
    now = int(time.time() * 1000)
    for at in now - 7200000, now + 7200000:
        with pytest.raises(kafka.errors.InvalidTimestampError):
            sender.send("t", b"x", timestamp_ms=at).get(20)
    assert sender.send("t", b"x", timestamp_ms=now - 1800000).get(20).offset == 0


def test_compaction_keeps_the_last_of_each_key(broker):
    create(broker, "t", cleanup_policy="compact", segment_bytes="20000", min_cleanable_dirty_ratio="0.01", delete_retention_ms="0")
    p = producer(broker)
    for n in range(3000):
        p.produce("t", b"%d" % n, key=b"key-%d" % (n % 10), partition=0)
        if n % 20 == 0:
            p.flush(20)
    p.produce("t", None, key=b"key-3", partition=0)
    for n in range(600):
        p.produce("t", b"filler " * 10, key=b"filler", partition=0)
        if n % 20 == 0:
            p.flush(20)
    assert p.flush(20) == 0
    deadline, done = time.time() + 60, False
    while not done and time.time() < deadline:
        lines = kcat(broker, "-C", "-t", "t", "-o", "beginning", "-e", "-q", "-J").stdout.splitlines()
        got = [m for m in map(json.loads, lines) if m["key"] != "filler"]
        done = len(got) == 10
        time.sleep(0 if done else 0.3)
    left = {m["key"]: (m["offset"], m["payload"]) for m in got}
    assert left.pop("key-3") == (3000, None)
    assert left == {f"key-{n}": (2990 + n, str(2990 + n)) for n in range(10) if n != 3}  # at the offsets they had


def test_kafka_python_admin(broker):
    admin = kafka.admin.KafkaAdminClient(bootstrap_servers=broker.address("kafka"))
    admin.create_topics([kafka.admin.NewTopic("t", 1, 1, topic_configs={"retention.ms": "5"})])
    kind = kafka.admin.ConfigResourceType.TOPIC
    (answer,) = admin.describe_configs([kafka.admin.ConfigResource(kind, "t", {"retention.ms": None, "flush.ms": None})],
                                       include_synonyms=True)
    found = {row[0]: row[1] for row in answer.resources[0][4]}
    assert found == {"retention.ms": "5", "flush.ms": "9223372036854775807"}
    altered = admin.alter_configs([kafka.admin.ConfigResource(kind, "t", {"retention.ms": "7"})])
    assert altered.resources[0][0] == 0
    assert told(broker, "t")["retention.ms"].value == "7"
    admin.create_partitions({"t": kafka.admin.NewPartitions(3)})
    assert len(admin.describe_topics(["t"])[0]["partitions"]) == 3
    pattern = kafka.admin.ACLFilter(None, None, kafka.admin.ACLOperation.ANY, kafka.admin.ACLPermissionType.ANY,
                                    kafka.admin.ResourcePatternFilter(kafka.admin.ResourceType.ANY, None,
                                                                      kafka.admin.ACLResourcePatternType.ANY))
    with pytest.raises(kafka.errors.SecurityDisabledError):
        admin.describe_acls(pattern)
    assert len(admin.describe_cluster()["brokers"]) == 1
    admin.delete_topics(["t"])
    assert "t" not in admin.list_topics()


def test_kafkajs_admin(broker):
    got = node("kafka_admin.js", broker)
    assert got["made"] == {"retention.ms": ["1234", TOPIC_CONFIG, False], "segment.ms": ["604800000", DEFAULT_CONFIG, True]}
    assert got["validated"]["segment.ms"][0] == "604800000"
    assert got["altered"] == {"retention.ms": ["604800000", DEFAULT_CONFIG, True], "segment.ms": ["5678", TOPIC_CONFIG, False]}
    assert got["bad"] == "INVALID_CONFIG" and got["count"] > 30
    assert got["partitions"] == 3 and got["fewer"] == "INVALID_PARTITIONS"
    assert got["offsets"] == ["4", "10"]
    assert got["beyond"] == "OFFSET_OUT_OF_RANGE"
    assert got["acls"] == ["SECURITY_DISABLED"] * 3
    assert got["moving"] == 0 and got["cluster"] == [1, True]


def test_deleted_records_stay_deleted(broker):
    create(broker, "t")
    send(broker, "t", [b"%d" % n for n in range(10)])
    node("kafka_admin_delete.js", broker, "t", "6")
    broker.kill()
    broker.start()
    c = consumer(broker, "g")
    assert c.get_watermark_offsets(TopicPartition("t", 0), 20) == (6, 10)
    c.close()
    assert [m.value() for m in read_all(broker, "t")] == [b"6", b"7", b"8", b"9"]
