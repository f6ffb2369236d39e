"""Every client that tarn names: kcat and librdkafka, confluent-kafka, kafka-python, kafkajs."""
import json
import struct

import kafka
import kafka.admin
import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, RESOURCE_TOPIC
from kafka_help import broker, consumer, create, kcat, node, read, read_all, send  # noqa: F401  (broker is a fixture)

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def stored_codecs(broker, topic):
    """Codec bits of each batch in the partition's segment file: the header's attributes are at byte 21 (docs/formats.md)."""
    found = []
    for path in broker.folder.rglob(f"{topic}-0/*.log"):
        data, at = path.read_bytes(), 0
        while at + 61 <= len(data) and data[at + 16] == 2:
            length, = struct.unpack_from(">i", data, at + 8)
            found.append(struct.unpack_from(">h", data, at + 21)[0] & 7)
            at += 12 + length
    return found


def test_kcat_lists(broker):
    create(broker, "orders", 3)
    listed = json.loads(kcat(broker, "-L", "-J").stdout)
    assert [b["name"] for b in listed["brokers"]] == [broker.address("kafka")]
    assert listed["controllerid"] == listed["brokers"][0]["id"]
    assert {t["topic"]: len(t["partitions"]) for t in listed["topics"]}["orders"] == 3


@pytest.mark.parametrize("codec", CODECS)
def test_kcat_compresses(broker, codec):
    """Old librdkafka gives up compression without a word when ApiVersions tells a Produce minimum above 0 (KAFKA-18659)."""
    create(broker, "t")
    lines = [f"the same line over and over {n // 100}" for n in range(2000)]
    sent = kcat(broker, "-P", "-t", "t", "-z", codec, "-X", "linger.ms=500", "-X", "debug=feature,msg", text="\n".join(lines))
    assert "not compressing" not in sent.stderr and "does not support compression" not in sent.stderr
    assert set(stored_codecs(broker, "t")) == {CODECS[codec]}
    got = kcat(broker, "-C", "-t", "t", "-o", "beginning", "-e", "-q").stdout.splitlines()
    assert got == lines


def test_kcat_makes_a_topic_by_asking(broker):
    kcat(broker, "-P", "-t", "new", "-p", "0", text="a\nb\n")
    listed = json.loads(kcat(broker, "-L", "-J", "-t", "new").stdout)
    assert len(listed["topics"][0]["partitions"]) == 4
    assert kcat(broker, "-C", "-t", "new", "-p", "0", "-e", "-q", "-o", "beginning").stdout == "a\nb\n"


def test_kcat_keys_headers_and_tombstones(broker):
    create(broker, "t")
    kcat(broker, "-P", "-t", "t", "-K:", "-Z", "-H", "h=1", text="k:v\nk:\n")
    got = [json.loads(line) for line in kcat(broker, "-C", "-t", "t", "-e", "-q", "-J").stdout.splitlines()]
    assert [(m["key"], m["payload"], m["headers"], m["offset"]) for m in got] == [("k", "v", ["h", "1"], 0), ("k", None, ["h", "1"], 1)]


def test_idempotent_producer(broker):
    create(broker, "t")
    offsets = send(broker, "t", [b"%d" % n for n in range(20000)], enable_idempotence=True, compression_type="lz4")
    assert offsets == list(range(20000))
    assert [int(m.value()) for m in read_all(broker, "t")] == list(range(20000))


def test_oversized_message_is_refused(broker):
    create(broker, "small", max_message_bytes="2000")
    with pytest.raises(KafkaException) as e:
        send(broker, "small", [b"x" * 5000], message_max_bytes=10000000)
    assert e.value.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE
    assert send(broker, "small", [b"x" * 1000]) == [0]


def test_compacted_topic_wants_keys(broker):
    create(broker, "compacted", cleanup_policy="compact")
    with pytest.raises(KafkaException) as e:
        send(broker, "compacted", [b"no key"])
    assert e.value.args[0].code() == 87  # INVALID_RECORD


def test_seek_by_time(broker):
    create(broker, "t")
    kc = kafka.KafkaProducer(bootstrap_servers=broker.address("kafka"))
    for n in range(100):
        kc.send("t", b"%d" % n, timestamp_ms=1700000000000 + n * 1000).get(20)
    c = consumer(broker, "g")
    at, = c.offsets_for_times([TopicPartition("t", 0, 1700000000000 + 41500)], 20)
    assert at.offset == 42
    c.assign([at])
    assert read(c, 1)[0].value() == b"42"
    at, = c.offsets_for_times([TopicPartition("t", 0, 1800000000000)], 20)
    assert at.offset == -1  # OFFSET_END
    c.close()


def test_admin(broker):
    create(broker, "t", 2, retention_ms="1234567", cleanup_policy="compact,delete")
    admin = AdminClient({"bootstrap.servers": broker.address("kafka")})
    asked = ConfigResource(RESOURCE_TOPIC, "t")
    told = admin.describe_configs([asked])[asked].result(20)
    assert told["retention.ms"].value == "1234567" and told["cleanup.policy"].value == "compact,delete"
    assert told["compression.type"].value == "producer" and told["compression.type"].is_default
    with pytest.raises(KafkaException) as e:
        create(broker, "t")
    assert e.value.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS
    with pytest.raises(KafkaException) as e:
        create(broker, "u", remote_storage_enable="true")
    assert e.value.args[0].code() == KafkaError.INVALID_CONFIG and "There is no tiered storage" in str(e.value)
    admin.delete_topics(["t"])["t"].result(20)
    assert "t" not in admin.list_topics(timeout=20).topics


def test_kafka_python(broker):
    servers = broker.address("kafka")
    admin = kafka.admin.KafkaAdminClient(bootstrap_servers=servers)
    admin.create_topics([kafka.admin.NewTopic("t", 2, 1)])
    assert "t" in admin.list_topics()
    sender = kafka.KafkaProducer(bootstrap_servers=servers, compression_type="gzip", acks="all")
    for n in range(1000):
        sender.send("t", b"%d" % n, partition=n % 2)
    sender.flush(30)
    reader = kafka.KafkaConsumer("t", bootstrap_servers=servers, group_id="g", auto_offset_reset="earliest", enable_auto_commit=False,
                                 consumer_timeout_ms=10000)
    got = sorted(int(m.value) for _, m in zip(range(1000), reader))
    assert got == list(range(1000))
    reader.commit()
    assert [(g, kind) for g, kind in admin.list_consumer_groups()] == [("g", "consumer")]
    group, = admin.describe_consumer_groups(["g"])
    assert group.state == "Stable" and len(group.members) == 1
    positions = admin.list_consumer_group_offsets("g")
    assert {p.partition: o.offset for p, o in positions.items()} == {0: 500, 1: 500}
    reader.close()


def test_kafkajs(broker):
    told = node("kafka_scenario.js", broker)
    assert told["produced"] == told["consumed"] == 3000
    assert told["headers"] == {"h": "1"} and told["key"] == "k0"
    assert told["rebalanced"] == [2, 2]
    assert told["resumed"] == 0
    assert told["at"] == "10"
    assert told["after"] == [str(n) for n in range(10, 20)]
    assert sorted(told["groups"]) == ["js", "timed"]
