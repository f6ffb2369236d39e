"""librdkafka 2.15's own tests against tarn: each name of tests/librdkafka/tests.allow is a case here.

They run side by side (suite.py), started with the first case; a case waits for its own.  tests.out has the others with their
reasons; both lists together are the suite's tests that need a broker, and tests.allow only grows."""
import contextlib
import os
import subprocess
import sys
import tempfile

import pytest
import yaml
from conftest import free_port, ROOT
from kafka_help import broker_project

sys.path.insert(0, str(ROOT / "tests/librdkafka"))
import certs  # noqa: E402
import distance  # noqa: E402
import suite as rdkafka  # noqa: E402

ALLOWED = rdkafka.listed("tests.allow")
LOG_LINES = 80
REAUTH_MS = 10000  # a part of 0142 takes a little longer, so that its clients log in anew
ALONE = {role: {"port": "off"} for role in ("registry", "connect", "s3", "ingest")}


@pytest.fixture(scope="module")
def built():
    subprocess.run([ROOT / "tests/librdkafka/build"], check=True, timeout=1200)


def tls_broker(project, stack):
    port = free_port()
    one = broker_project(project, ALONE, tls_port=port)
    tls, conf, environment = certs.make(one.folder)
    settings = yaml.safe_load((one.folder / "tarn.yaml").read_text())
    (one.folder / "tarn.yaml").write_text(yaml.safe_dump(settings | {"tls": tls}))
    one.start()
    way = stack.enter_context(contextlib.closing(distance.Distance(port)))
    return rdkafka.Broker(f"127.0.0.1:{way.port}", conf, environment)


def sasl_broker(project, **more):
    one = broker_project(project, ALONE, replication_max=3, acls="open", **more)
    settings = yaml.safe_load((one.folder / "tarn.yaml").read_text())
    (one.folder / "tarn.yaml").write_text(yaml.safe_dump(settings | {"users": {"tester": {"password": "tester-secret"}}}))
    return rdkafka.Broker(one.start().address("kafka"), {"security.protocol": "sasl_plaintext", "sasl.mechanism": "SCRAM-SHA-256",
                                                         "sasl.username": "tester", "sasl.password": "tester-secret"})


def memory_broker(project, stack):
    """One whose disk nobody else keeps busy."""
    one = broker_project(project, ALONE)
    settings = yaml.safe_load((one.folder / "tarn.yaml").read_text())
    folder = stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    (one.folder / "tarn.yaml").write_text(yaml.safe_dump(settings | {"data": folder}))
    stack.callback(one.stop)
    return rdkafka.Broker(one.start().address("kafka"))


@pytest.fixture(scope="module")
def suite(request, built, module_project):
    # Some tests start two members at once and expect one first rebalance: Kafka waits 3 s for a group's first members.
    brokers = {"default": broker_project(module_project, ALONE, replication_max=3, group_delay_ms=300),
               "noautocreate": broker_project(module_project, ALONE, replication_max=3, auto_create="false"),
               "quiet": broker_project(module_project, ALONE, replication_max=3),
               "settings": broker_project(module_project, ALONE, replication_max=3),
               "acls": broker_project(module_project, ALONE, replication_max=3, acls="open")}
    found = {kind: rdkafka.Broker(one.start().address("kafka")) for kind, one in brokers.items()}
    wanted = {item.callspec.params["name"] for item in request.session.items if item.module is request.module and hasattr(item, "callspec")}
    with contextlib.ExitStack() as stack:
        found |= {"memory": memory_broker(module_project, stack), "tls": tls_broker(module_project, stack), "sasl": sasl_broker(module_project), "reauth": sasl_broker(module_project, reauth_ms=REAUTH_MS)}
        run = rdkafka.Suite([name for name in ALLOWED if name in wanted], found)
        yield run
        run.finish()


@pytest.mark.parametrize("name", ALLOWED)
def test_librdkafka(suite, name):
    result = suite.result(name)
    if result.state != "PASSED":
        end = [line for line in result.log.read_text(errors="replace").splitlines() if "<MAIN>" not in line][-LOG_LINES:]
        pytest.fail(f"{name}: {result.state} {result.why}\n" + "\n".join(end), pytrace=False)


def test_every_broker_test_is_listed(built):
    out = rdkafka.listed("tests.out")
    assert not set(ALLOWED) & set(out)
    assert {name for name in ALLOWED if "/" not in name} | set(out) == set(rdkafka.broker_tests())
    assert {name.split("/")[0] for name in ALLOWED if "/" in name} <= set(out), "parts are of tests that do not hold whole"
    assert all(out.values()), "a test that is out has a reason"
