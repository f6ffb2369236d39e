"""Kafka Connect's REST interface, as consoles and scripts use it."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import rig as rigs  # noqa: E402
from test_capture import built, pg, rig, server  # noqa: E402, F401


@pytest.fixture
def source(pg, rig):  # noqa: F811
    pg.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    status, body = rig.rest("POST", "/connectors", {"name": "src", "config": pg.connector()})
    assert status == 201 and body["name"] == "src" and body["type"] == "source" and body["tasks"] == [{"connector": "src", "task": 0}]
    rig.wait_end("shop.public.t", 1)
    return body["config"]


def test_the_worker_says_what_it_is(rig):  # noqa: F811
    status, body = rig.rest("GET", "/")
    assert status == 200 and set(body) == {"version", "commit", "kafka_cluster_id"} and len(body["kafka_cluster_id"]) == 22
    status, body = rig.rest("GET", "/connector-plugins")
    assert {"class": "io.debezium.connector.postgresql.PostgresConnector", "type": "source"}.items() <= body[0].items()
    assert rig.rest("GET", "/nowhere") == (404, {"error_code": 404, "message": "HTTP 404 Not Found"})
    assert rig.rest("DELETE", "/connectors") == (405, {"error_code": 405, "message": "HTTP 405 Method Not Allowed"})


def test_a_connector_is_described(rig, source):  # noqa: F811
    running = {"state": "RUNNING", "worker_id": "127.0.0.1:8083"}
    status = {"name": "src", "connector": running, "tasks": [{"id": 0, **running}], "type": "source"}
    info = {"name": "src", "config": source, "tasks": [{"connector": "src", "task": 0}], "type": "source"}
    assert source["name"] == "src"
    assert rig.rest("GET", "/connectors") == (200, ["src"])
    assert rig.rest("GET", "/connectors?expand=status&expand=info") == (200, {"src": {"info": info, "status": status}})
    assert rig.rest("GET", "/connectors/src") == (200, info)
    assert rig.rest("GET", "/connectors/src/config") == (200, source)
    assert rig.rest("GET", "/connectors/src/status") == (200, status)
    assert rig.rest("GET", "/connectors/src/tasks") == (200, [{"id": {"connector": "src", "task": 0}, "config": source}])
    assert rig.rest("GET", "/connectors/src/tasks/0/status") == (200, {"id": 0, **running})
    assert rig.rest("GET", "/connectors/src/topics") == (200, {"src": {"topics": ["shop.public.t"]}})
    offsets = rigs.wait_for(lambda: rig.offset("src").get("snapshot_completed") and rig.rest("GET", "/connectors/src/offsets"), "the position")
    assert offsets[1]["offsets"][0]["partition"] == {"server": "shop"}


def test_a_connector_is_changed_and_deleted(rig, source):  # noqa: F811
    changed = source | {"tombstones.on.delete": "false"}
    status, body = rig.rest("PUT", "/connectors/src/config", changed)
    assert status == 200 and body["config"] == changed
    assert rig.rest("POST", "/connectors", {"name": "src", "config": source}) == (409, {"error_code": 409, "message": "Connector src already exists"})
    assert rig.rest("POST", "/connectors/src/restart") == (204, None)
    status, body = rig.rest("POST", "/connectors/src/restart?includeTasks=true")
    assert status == 202 and body["name"] == "src"
    assert rig.rest("POST", "/connectors/src/tasks/0/restart") == (204, None)
    assert rig.rest("PUT", "/connectors/src/pause") == (202, None)
    assert rig.state("src")[0] == "PAUSED"
    assert rig.rest("PUT", "/connectors/src/stop") == (204, None)
    assert rig.rest("GET", "/connectors/src/status")[1]["tasks"] == []
    assert rig.rest("PUT", "/connectors/src/resume") == (202, None)
    assert rig.rest("DELETE", "/connectors/src") == (204, None)
    assert rig.rest("GET", "/connectors") == (200, [])


def test_a_connector_may_begin_stopped(pg, rig):  # noqa: F811
    status, _ = rig.rest("POST", "/connectors", {"name": "src", "config": pg.connector(), "initial_state": "STOPPED"})
    assert status == 201
    assert rig.rest("GET", "/connectors/src/status")[1]["connector"]["state"] == "STOPPED"
    assert pg.sql("SELECT count(*) FROM pg_replication_slots")[0][0] == 0


@pytest.mark.parametrize("method, path", [
    ("GET", ""), ("GET", "/config"), ("GET", "/status"), ("GET", "/tasks"), ("GET", "/topics"), ("GET", "/offsets"), ("PUT", "/pause"),
    ("PUT", "/resume"), ("PUT", "/stop"), ("POST", "/restart"), ("POST", "/restart?includeTasks=true"), ("DELETE", ""),
    ("GET", "/tasks/0/status"), ("POST", "/tasks/0/restart"),
])
def test_nobody_is_called_that(rig, method, path):  # noqa: F811
    status, body = rig.rest(method, "/connectors/nobody" + path)
    assert status == 404 and body["error_code"] == 404 and "nobody" in body["message"]


def test_bad_bodies(rig):  # noqa: F811
    for body in ([], {"name": "x"}, {"config": {}}, "text"):
        assert rig.rest("POST", "/connectors", body)[0] == 400
    assert rig.rest("POST", "/connectors", {"name": "x", "config": {"connector.class": "y" * 9_000_000}})[0] == 413


def test_validate_tells_each_key(pg, rig):  # noqa: F811
    config = pg.connector() | {"name": "src", "database.port": "many"}
    del config["database.user"]
    status, body = rig.rest("PUT", "/connector-plugins/PostgresConnector/config/validate", config)
    assert status == 200 and body["error_count"] == 2 and body["name"].endswith("PostgresConnector")
    errors = {c["definition"]["name"]: c["value"]["errors"] for c in body["configs"]}
    assert errors["database.user"] == ['Missing required configuration "database.user" which has no default value.']
    assert errors["database.port"] == ["Invalid value many for configuration database.port: Not a number of type INT"]
    assert errors["database.hostname"] == []
    definition = next(c["definition"] for c in body["configs"] if c["definition"]["name"] == "slot.name")
    assert definition["default_value"] == "debezium" and definition["type"] == "STRING" and definition["documentation"]
