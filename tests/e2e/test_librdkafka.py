"""librdkafka 2.15's own tests against tarn: each name of tests/librdkafka/tests.allow is a case here.

They run side by side (suite.py), started with the first case; a case waits for its own.  tests.out has the others with their
reasons; both lists together are the suite's tests that need a broker, and tests.allow only grows."""
import subprocess
import sys

import pytest
from conftest import ROOT
from kafka_help import broker_project

sys.path.insert(0, str(ROOT / "tests/librdkafka"))
import suite as rdkafka  # noqa: E402

ALLOWED = rdkafka.listed("tests.allow")
LOG_LINES = 80


@pytest.fixture(scope="module")
def built():
    subprocess.run([ROOT / "tests/librdkafka/build"], check=True, timeout=1200)


@pytest.fixture(scope="module")
def suite(built, module_project):
    brokers = {"default": broker_project(module_project, replication_max=3),
               "noautocreate": broker_project(module_project, replication_max=3, auto_create="false")}
    run = rdkafka.Suite(ALLOWED, {kind: rdkafka.Broker(one.start().address("kafka")) for kind, one in brokers.items()})
    yield run
    run.finish()


@pytest.mark.parametrize("name", ALLOWED)
def test_librdkafka(suite, name):
    result = suite.result(name)
    if result.state != "PASSED":
        end = result.log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        pytest.fail(f"{name}: {result.state} {result.why}\n" + "\n".join(end), pytrace=False)


def test_every_broker_test_is_listed(built):
    out = rdkafka.listed("tests.out")
    assert not set(ALLOWED) & set(out)
    assert set(ALLOWED) | set(out) == set(rdkafka.broker_tests())
    assert all(out.values()), "a test that is out has a reason"
