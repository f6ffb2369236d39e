"""A project's life over several starts: every door opens, what was committed stays, migrations hold."""
import re
import socket

import psycopg2

from conftest import ROLES, request, wait_for


def query(tarn, sql):
    with psycopg2.connect(host="127.0.0.1", port=tarn.port("postgres"), user="postgres", password="postgres",
                          dbname="storefront") as db, db.cursor() as c:
        c.execute(sql)
        return c.fetchall() if c.description else None


def test_every_role_is_up_on_its_port(tarn):
    roles = {r["name"]: r for r in tarn.status()["roles"]}
    said = tarn.run("status", tarn.folder).stdout
    assert sorted(roles) == sorted(ROLES)
    for role in roles.values():
        assert role["state"] == "up" and role["host"] == "127.0.0.1", role
        socket.create_connection((role["host"], role["port"]), 5).close()
        assert f"{role['host']}:{role['port']}" in said


def test_metrics_are_prometheus_text(tarn):
    status, body = request("GET", tarn.url("console", "/metrics"))
    assert status == 200
    for line in body.decode().splitlines():
        assert line.startswith("#") or re.fullmatch(r"[a-zA-Z_:][\w:]*(\{[^}]*\})? [-+\w.]+", line), line


def test_what_was_committed_is_there_after_a_restart_and_after_a_kill(tarn):
    query(tarn, "INSERT INTO customers (full_name, email) VALUES ('Ada', 'ada@example.com')")
    tarn.restart()
    assert query(tarn, "SELECT full_name FROM customers") == [("Ada",)]
    tarn.kill()
    tarn.start()
    wait_for(lambda: query(tarn, "SELECT full_name FROM customers") == [("Ada",)], "the committed row")
    assert query(tarn, "SELECT count(*) FROM flyway_schema_history WHERE success") == [(2,)]


def test_a_changed_migration_is_refused_by_name(project):
    one = project().start()
    one.stop()
    script = next((one.folder / "migrations").glob("V1__*.sql"))
    script.write_text(script.read_text() + "\nCREATE TABLE late (id int);\n")
    one.start(ready=False)
    status = one.process.wait(60)
    one.process = None
    assert status == 1 and f"{script.name} was changed after it ran" in one.log_end() and "undo the change" in one.log_end()
