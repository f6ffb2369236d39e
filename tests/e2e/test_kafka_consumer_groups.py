"""Groups whose assignments the broker makes (KIP-848), with clients that speak the protocol: @platformatic/kafka and librdkafka's
own tests told to use it."""
import json
import subprocess
import sys

import pytest
from confluent_kafka import Consumer, TopicPartition
from conftest import ROOT, wait_for
from kafka_help import broker_project

sys.path.insert(0, str(ROOT / "tests/librdkafka"))
import suite as rdkafka  # noqa: E402

# Those of the suite that are about groups and are not skipped by it for this protocol. 0045_resubscribe_with_regex is not among them: it wants the
# topics that a pattern stands for with a later heartbeat than those that were named; here all come at once.
TESTS = ["0018_cgrp_term", "0030_offset_commit", "0045_subscribe_update", "0050_subscribe_adds",
         "0056_balanced_group_mt", "0102_static_group_rebalance", "0113_cooperative_rebalance", "0118_commit_rebalance",
         "0122_buffer_cleaning_after_rebalance", "0130_store_offsets", "0137_barrier_batch_consume"]


@pytest.fixture(scope="module")
def suite(module_project):
    subprocess.run([ROOT / "tests/librdkafka/build"], check=True, timeout=1200)
    one = broker_project(module_project, replication_max=3).start()
    broker = rdkafka.Broker(one.address("kafka"), environment={"TEST_CONSUMER_GROUP_PROTOCOL": "consumer"})
    # The first is of the classic protocol alone; the second takes three minutes, and what it looks at is the client's own doing in both.
    run = rdkafka.Suite(TESTS, {"default": broker}, without={"g_incremental_assign_call_eager:", "t_max_poll_interval_exceeded:"})
    yield run
    run.finish()


@pytest.mark.parametrize("name", TESTS)
def test_librdkafka(suite, name):
    result = suite.result(name)
    assert result.state == "PASSED", f"{name}: {result.state} {result.why}, see {result.log}"


def wait_committed(address, group, topic, partitions, records):
    """Until the group's positions are behind as many records."""
    reader = Consumer({"bootstrap.servers": address, "group.id": group})
    wait_for(lambda: sum(max(0, p.offset) for p in reader.committed([TopicPartition(topic, i) for i in range(partitions)])) == records,
             "the members' positions")
    reader.close()


def test_members_outlive_the_broker(project):
    """Two members read, the broker is killed and comes back: they go on with what they had, and from where they were."""
    one = broker_project(project).start()
    program = subprocess.run([ROOT / "tests/e2e/js/node-of-today"], check=True, capture_output=True, text=True, timeout=600).stdout.strip()
    with subprocess.Popen([program, ROOT / "tests/e2e/js/consumer_group.mjs", one.address("kafka")], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True, cwd=ROOT) as script:
        try:
            assert script.stdout.readline() == "KILL\n"
            wait_committed(one.address("kafka"), "g", "read", 4, 20)
            one.kill()
            one.start()
            print("go", file=script.stdin, flush=True)
            told = json.loads(script.stdout.readline())
        finally:
            script.kill()
    # A client says that it has given a partition up, or waits for the next position, while its last fetch is under way: a record of each
    # partition may come twice.
    before, after = told["before"], told["after"]
    assert before["different"] == 20 and after["different"] == 40 and after["read"] - before["read"] <= 24
    assert told["before"]["owned"] == told["after"]["owned"]
    assert sorted(p for member in told["after"]["owned"] for p in member) == [0, 1, 2, 3]
