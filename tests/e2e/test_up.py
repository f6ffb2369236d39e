"""The command line: start, status, stop, and what it says when something is wrong."""
import json
import os
import signal
import socket
import subprocess

import pytest
import yaml

from conftest import TARN, request, wait_for


def run(*args, cwd=None):
    return subprocess.run([TARN, *map(str, args)], capture_output=True, text=True, timeout=60, cwd=cwd)


def test_status_tells_roles_and_memory(tarn):
    status = tarn.status()
    assert status["ready"] and status["pid"] == tarn.process.pid
    assert status["ready_ms"] >= 0 and status["memory"]["rss_bytes"] > 0
    assert {r["name"] for r in status["roles"]} >= {"console", "ingest", "kafka", "registry", "connect", "s3", "postgres"}
    assert "console" in tarn.run("status", tarn.folder).stdout


def test_console_endpoints(tarn):
    assert request("GET", tarn.url("console", "/health")) == (200, {"status": "ok"})
    status, body = request("GET", tarn.url("console", "/metrics"))
    assert status == 200 and b"# TYPE tarn_net_connections gauge" in body
    assert b'tarn_role_up{role="kafka"} 1' in body and b'tarn_step_rows_total{step="capture"}' in body
    paths = {e["path"] for e in request("GET", tarn.url("console", "/"))[1]["endpoints"]}
    assert {"/", "/health", "/metrics", "/api/status", "/api/sql"} <= paths
    status, none = request("GET", tarn.url("console", "/nothing"))
    assert status == 404 and "nothing at this path" in none["error"] and len(none["endpoints"]) == len(paths)
    assert request("POST", tarn.url("console", "/health"))[0] == 405
    settings = request("GET", tarn.url("console", "/api/settings"))[1]
    assert settings["postgres.database"] == "storefront" and "s3.secret_key" not in settings


def test_starts_again_after_a_kill(tarn):
    tarn.kill()
    tarn.start()
    assert tarn.status()["ready"]


def test_second_tarn_on_a_project_is_refused(tarn):
    done = run("up", tarn.folder)
    assert done.returncode == 1
    assert f"locked by the process with pid {tarn.process.pid}" in done.stderr


def test_taken_port_names_port_owner_and_setting(project):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        one = project(settings={"console": {"port": port}, "postgres": {"port": "off"}})
        done = run("up", one.folder)
    assert done.returncode == 1
    assert done.stderr.count("in use") == 1 and f"port {port} of 127.0.0.1 is taken by" in done.stderr and f"(pid {os.getpid()})" in done.stderr
    assert "console.port" in done.stderr


def test_wrong_settings_stop_the_start(project):
    one = project(settings={"kafka": {"prot": 1}})
    done = run("up", one.folder)
    assert done.returncode == 1 and "did you mean kafka.port" in done.stderr
    assert not (one.folder / "data").exists()


def test_wrong_usage_is_status_2(tmp_path):
    assert run("fly").returncode == 2
    assert run("up", "--wings").returncode == 2
    assert run("up", "a", "b").returncode == 2
    assert run("up", "--set").returncode == 2
    assert run("up", tmp_path).returncode == 1
    assert run("status", tmp_path).returncode == 1
    assert run("version").stdout.startswith("tarn ")
    assert json.loads(run("version", "--json").stdout)["version"]
    assert run().returncode == 0


def test_init_makes_a_project(tmp_path):
    assert run("init", "storefront", tmp_path / "shop").returncode == 0
    assert (tmp_path / "shop/migrations/V1__storefront_tables.sql").exists()
    again = run("init", "storefront", tmp_path / "shop")
    assert again.returncode == 1 and "is a project already" in again.stderr
    none = run("init", "nothing", tmp_path / "x")
    assert none.returncode == 1 and "storefront" in none.stderr
    for folder in ("shop", "storefront"):  # no example named: the first, or the one the folder is named for
        assert "from the example storefront" in run("init", folder, cwd=tmp_path / "shop").stdout
        assert (tmp_path / "shop" / folder / "tarn.yaml").exists()


def test_each_verb_explains_itself():
    for verb in ("up", "status", "sql", "verify", "connector", "topic", "init", "version"):
        asked, told = run(verb, "--help"), run("help", verb)
        assert asked.returncode == told.returncode == 0 and asked.stdout == told.stdout and f"tarn {verb}" in told.stdout
    assert run("help", "fly").returncode == 2
    assert "put it in quotes" in run("sql", ".", "SELECT", "1").stderr
    assert "does not know --jsn" in run("sql", ".", "SELECT 1", "--jsn").stderr
    assert "cannot dance" in run("connector", "dance", "x").stderr


def test_the_start_says_what_kafka_clients_are_told(project):
    settings = {"kafka": {"advertised_host": "tarn.example.org"}, "postgres": {"port": "off"}}
    one = project(settings=settings)
    for path in (one.folder / "connectors").iterdir():
        path.unlink()
    one.start()
    assert f"tarn.example.org:{one.port('kafka')}" in one.log_end()


def test_no_status_without_a_tarn(project):
    done = project().run("status", ".", check=False)
    assert done.returncode == 1 and "no tarn runs on" in done.stderr


def test_interrupt_stops_it_cleanly(tarn):
    process = tarn.process
    process.send_signal(signal.SIGINT)
    assert wait_for(lambda: process.poll() is not None, "tarn to stop") and process.returncode == 0
    assert not (tarn.folder / "data/tarn.run").exists()
    tarn.process = None


BAD_CONNECTORS = {
    "unknown class": ('{"connector.class": "org.example.Nothing"}', "org.example.Nothing"),
    "not JSON": ('{"connector.class": ', "line 1, column"),
    "not an object": ("[1]", "not a JSON object"),
    "unset variable": ('{"connector.class": "${TARN_TEST_UNSET}"}', "the environment has no TARN_TEST_UNSET"),
    "missing key": ('{"connector.class": "io.debezium.connector.postgresql.PostgresConnector"}', "database.dbname"),
    "wrong type": (json.dumps({"connector.class": "io.confluent.connect.s3.S3SinkConnector", "topics": "a",
                               "s3.bucket.name": "raw", "flush.size": "many"}), "flush.size"),
}


@pytest.mark.parametrize("fault", BAD_CONNECTORS)
def test_a_bad_connector_file_stops_the_start_and_is_named(project, fault):
    text, said = BAD_CONNECTORS[fault]
    one = project(settings={"postgres": {"port": "off"}})
    for path in (one.folder / "connectors").iterdir():
        path.unlink()
    (one.folder / "connectors/bad.json").write_text(text)
    done = run("up", one.folder)
    assert done.returncode == 1 and "connectors/bad.json" in done.stderr and said in done.stderr
    assert not (one.folder / "data/tarn.run").exists()


def test_a_failed_start_leaves_no_server_behind(project):
    one = project()
    (one.folder / "connectors/zz.json").write_text("{")
    assert run("up", one.folder).returncode == 1
    port = yaml.safe_load((one.folder / "tarn.yaml").read_text())["postgres"]["port"]
    with socket.socket() as s:
        assert s.connect_ex(("127.0.0.1", port)) != 0


def test_a_second_signal_ends_it_at_once(tarn):
    host, port = tarn.address("ingest").split(":")
    with socket.create_connection((host, int(port))) as s:
        s.sendall(b"POST /seed/start HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")  # and no body: the stop waits for it
        process = tarn.process
        process.send_signal(signal.SIGTERM)
        wait_for(lambda: "stopping signal" in tarn.log_end(), "the stop to begin")
        wait_for(lambda: process.poll() is not None or process.send_signal(signal.SIGTERM), "tarn to end")
    assert process.returncode == 1 and "asked a second time" in tarn.log_end()
    tarn.process = None
    tarn.start()  # finds its PostgreSQL again, and stops it at the end of the test


def test_connectors_are_asked_and_changed_by_words(tarn):
    def states():
        listed = json.loads(tarn.run("connector", "list", tarn.folder).stdout)
        return {name: c["status"]["connector"]["state"] for name, c in listed.items()}

    assert states() == {name: "RUNNING" for name in ("lake-sink-storefront", "postgres-source-storefront", "s3-sink-storefront")}
    tarn.run("connector", "pause", "s3-sink-storefront", tarn.folder)
    wait_for(lambda: states()["s3-sink-storefront"] == "PAUSED", "the pause")
    tarn.run("connector", "resume", "s3-sink-storefront", tarn.folder)
    wait_for(lambda: states()["s3-sink-storefront"] == "RUNNING", "going on")
    config = json.loads(tarn.run("connector", "config", "s3-sink-storefront", tarn.folder).stdout)
    assert config["s3.bucket.name"] == "raw"
    none = tarn.run("connector", "restart", "no/body", tarn.folder, check=False)
    assert none.returncode == 1 and "no/body" in none.stderr
    assert tarn.run("connector", "fly", check=False).returncode == 2
    assert tarn.run("connector", "pause", check=False).returncode == 2
