"""What the tests of the Kafka door share: a project with that door alone, kcat, and small wrappers of the Python clients."""
import json
import shutil
import subprocess

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from conftest import merged, ROOT

SETTINGS = {"postgres": {"port": "off"}, "kafka": {"auto_create": "true", "partitions": 4}}


def broker_project(project, others=None, **kafka):
    """A project without a source database, connectors and migrations: what is tested here is the Kafka door.  `others`: settings
    of other roles."""
    one = project("storefront", merged(merged(SETTINGS, others or {}), {"kafka": kafka}))
    for folder in ("connectors", "migrations"):
        shutil.rmtree(one.folder / folder, ignore_errors=True)
    return one


@pytest.fixture
def broker(project):
    return broker_project(project).start()


def kcat(broker, *args, text="", check=True, seconds=60):
    done = subprocess.run(["kcat", "-b", broker.address("kafka"), *args], input=text, capture_output=True, text=True, timeout=seconds)
    assert not check or done.returncode == 0, done.stderr
    return done


def node(script, broker, *args, seconds=120, program="node"):
    """A script of tests/e2e/js with the broker's address; what it prints last is JSON."""
    done = subprocess.run([program, ROOT / "tests/e2e/js" / script, broker.address("kafka"), *args], capture_output=True, text=True,
                          timeout=seconds, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def create(broker, topic, partitions=1, **config):
    admin = AdminClient({"bootstrap.servers": broker.address("kafka")})
    made = admin.create_topics([NewTopic(topic, partitions, 1, config={k.replace("_", "."): v for k, v in config.items()})])
    made[topic].result(20)


def producer(broker, **config):
    return Producer({"bootstrap.servers": broker.address("kafka"), **{k.replace("_", "."): v for k, v in config.items()}})


def consumer(broker, group, **config):
    return Consumer({"bootstrap.servers": broker.address("kafka"), "group.id": group, "auto.offset.reset": "earliest",
                     "enable.auto.commit": False, "session.timeout.ms": 6000, **{k.replace("_", "."): v for k, v in config.items()}})


def send(broker, topic, values, partition=0, **config):
    """Sends and waits for every acknowledgement; gives the offsets."""
    offsets, errors = [], []
    p = producer(broker, **config)

    def told(error, message):
        errors.append(error) if error else offsets.append(message.offset())

    for value in values:
        p.produce(topic, value, partition=partition, on_delivery=told)
        p.poll(0)
    assert p.flush(60) == 0
    if errors:
        raise KafkaException(errors[0])
    return offsets


def read(c, count, seconds=30):
    """So many messages, or as many as come."""
    got = []
    while len(got) < count:
        some = c.consume(count - len(got), seconds)
        if not some:
            break
        for m in some:
            assert m.error() is None, m.error()
        got += some
    return got


def read_all(broker, topic, partition=0):
    """A whole partition, without a group's positions."""
    c = consumer(broker, "reader")
    low, high = c.get_watermark_offsets(TopicPartition(topic, partition), 20)
    c.assign([TopicPartition(topic, partition, low)])
    got = read(c, high - low)
    c.close()
    return got
