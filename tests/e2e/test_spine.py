"""The way from a commit to an answer, under live traffic and under kills: after each, the lake equals the source."""
import contextlib
import json
import os
import random
import signal
import threading

import psycopg2
import pytest

from conftest import request, wait_for

TABLES = ["customers", "order_items", "orders", "payments", "products"]
PLACES = ["topic", "raw", "bronze", "silver"]
KILLS = int(os.environ.get("KILLS", "50"))


def seed(tarn, orders):
    status, made = request("POST", tarn.url("ingest", f"/seed/full?count={orders}&batch_size=500"), seconds=120)
    assert status == 200, made
    return made["rows"]


def traffic(tarn, rate):
    status, answer = request("POST", tarn.url("ingest", f"/seed/start?rate={rate}"))
    assert status == 200, answer


def changes(tarn):
    return request("GET", tarn.url("ingest", "/status"))[1]["changes"]


def verified(tarn):
    """The report of `tarn verify`, which must have found everything equal."""
    done = tarn.run("verify", "--json", tarn.folder, check=False, seconds=240)
    assert done.stdout.startswith("{"), f"tarn verify said: {done.stderr}\n{tarn.log_end()}"
    report = json.loads(done.stdout)
    wrong = {t["table"]: t for t in report["tables"] if not t["equal"]}
    assert report["equal"] and not wrong and done.returncode == 0, wrong
    return report


def database(tarn):
    connection = psycopg2.connect(host="127.0.0.1", port=tarn.port("postgres"), user="postgres", password="postgres",
                                  dbname="storefront")
    connection.autocommit = True
    return connection


def check_report(report, made=None):
    found = {t["table"].removeprefix("public."): t for t in report["tables"]}
    assert set(TABLES) <= set(found)
    for name in TABLES:
        table = found[name]
        for place in PLACES:
            assert table[place] is not None, f"{name} is not in {place}"
            assert table[place]["rows"] == table["source"]["rows"]
            assert table[place]["checksum"] == table["source"]["checksum"]
            assert table[place].get("repeated", 0) == 0
        assert table["topic"]["events"] == table["raw"]["events"] == table["bronze"]["events"]
        if made:
            assert table["source"]["rows"] == made[name]


def test_what_is_seeded_arrives_everywhere(tarn):
    made = seed(tarn, 1000)
    check_report(verified(tarn), made)


def test_verify_holds_under_live_traffic_and_the_shop_goes_on(tarn):
    seed(tarn, 500)
    traffic(tarn, 50)
    wait_for(lambda: changes(tarn) > 200, "live traffic")
    for _ in range(3):
        before = changes(tarn)
        check_report(verified(tarn))
        wait_for(lambda: changes(tarn) > before, "traffic after verify")


def test_verify_finds_a_planted_difference(tarn):
    """Rows that the publication does not carry make source and topic differ; verify must say which keys."""
    seed(tarn, 100)
    with contextlib.closing(database(tarn)) as db, db.cursor() as c:
        c.execute("ALTER PUBLICATION storefront_pub SET (publish = 'insert')")
        c.execute("UPDATE products SET name = 'Changed in secret' WHERE id IN (1, 2)")
        c.execute("ALTER PUBLICATION storefront_pub SET (publish = 'insert, update, delete, truncate')")
    done = tarn.run("verify", "--json", tarn.folder, check=False, seconds=240)
    report = json.loads(done.stdout)
    products = next(t for t in report["tables"] if t["table"] == "public.products")
    assert done.returncode == 1 and not report["equal"] and not products["equal"]
    assert any("key 1:" in d for d in products["differences"]), products["differences"]
    others = [t for t in report["tables"] if t["table"] != "public.products"]
    assert all(t["equal"] for t in others)


def test_what_running_parts_keep_is_not_deleted(tarn):
    for topic in ("connect-configs", "connect-offsets", "_tables", "_schemas"):
        done = tarn.run("topic", "delete", topic, "--project", tarn.folder, check=False)
        assert done.returncode == 1 and "Topic deletion is disabled" in done.stderr, done.stderr


def test_verify_tells_why_nothing_is_captured(tarn):
    def dropped(c):
        c.execute("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active")
        try:
            c.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active")
        except psycopg2.Error:  # taken again in between
            return False
        return c.rowcount == 1

    seed(tarn, 10)
    tarn.run("verify", tarn.folder)  # so the slot is there, and a position is stored
    with contextlib.closing(database(tarn)) as db, db.cursor() as c:
        wait_for(lambda: dropped(c), "the slot to be dropped between two tries of the source")
    status = lambda: json.loads(tarn.run("connector", "status", "postgres-source-storefront", tarn.folder).stdout)["tasks"][0]["state"]
    wait_for(lambda: status() == "FAILED", "the task to fail")
    done = tarn.run("verify", tarn.folder, check=False, seconds=30)
    assert done.returncode == 1 and "connector postgres-source-storefront has failed: " in done.stderr, done.stderr


def test_sql_sees_a_commit_at_once(tarn):
    with contextlib.closing(database(tarn)) as db, db.cursor() as c:
        c.execute("INSERT INTO customers (full_name, email) VALUES ('Ada', 'ada@example.com') RETURNING id")
        ada = c.fetchone()[0]

        def name():
            done = tarn.run("sql", "--json", tarn.folder, f"SELECT full_name FROM silver.customers WHERE id = {ada}", check=False)
            return json.loads(done.stdout)["rows"] if done.returncode == 0 else None

        wait_for(lambda: name() == [["Ada"]], "the new row in silver")
        c.execute("UPDATE customers SET full_name = 'Ada L.' WHERE id = %s", (ada,))
        wait_for(lambda: name() == [["Ada L."]], "the changed row in silver")
        c.execute("DELETE FROM customers WHERE id = %s", (ada,))
        wait_for(lambda: name() == [], "the row gone from silver")


def test_kills_at_random_moments(tarn):
    """SIGKILL under live traffic, again and again: nothing lost, nothing twice."""
    chance = random.Random(4711)
    seed(tarn, 300)
    traffic(tarn, 100)
    for _ in range(KILLS):
        threading.Event().wait(chance.uniform(0.05, 0.8))  # a random moment is what is tested, not a condition
        tarn.kill()
        tarn.start()
        traffic(tarn, 100)
        check_report(verified(tarn))


@pytest.mark.parametrize("when", ["streaming", "idle"])
def test_a_killed_database_comes_back(tarn, when):
    seed(tarn, 200)
    if when == "streaming":
        traffic(tarn, 50)
        wait_for(lambda: changes(tarn) > 50, "live traffic")
    with open(tarn.folder / "data" / "postgres" / "postmaster.pid") as pid:
        os.kill(int(pid.readline()), signal.SIGKILL)

    def back():
        try:
            with contextlib.closing(database(tarn)) as db, db.cursor() as c:
                c.execute("SELECT pg_postmaster_start_time() > now() - interval '1 hour', pg_is_in_recovery()")
                return True
        except psycopg2.Error:
            return False

    wait_for(back, "the database to be back", 60)
    before = changes(tarn)
    if when == "streaming":
        wait_for(lambda: changes(tarn) > before, "traffic to go on", 60)
    check_report(verified(tarn))


def test_a_broken_snapshot_begins_anew(project):
    """The database drops the copy of a table in the middle, three times: the rows of the broken copies are nowhere."""
    tarn = project()
    source = tarn.folder / "connectors" / "postgres-source-storefront.json"
    config = source.rename(tarn.folder / "source.json").read_text()
    tarn.start()
    seed(tarn, 20000)
    source.write_text(config)
    tarn.restart()

    with contextlib.closing(database(tarn)) as db, db.cursor() as c:

        def broken():
            c.execute("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                      "WHERE query LIKE 'COPY%order_items%' AND backend_type = 'client backend'")
            return c.fetchone()[0]

        for _ in range(3):
            wait_for(broken, "a copy to break off")
    traffic(tarn, 50)
    wait_for(lambda: changes(tarn) > 50, "live traffic")
    check_report(verified(tarn))
