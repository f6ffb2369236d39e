"""Capture against a real PostgreSQL: what becomes of every type, of kills at any moment, and of what can be wrong.

The program under test is the capture rig (bench/capture_rig.c): log, schemas, connect runtime and nothing else, so that a test
can read topics record by record.
"""
import base64
import json
import pathlib
import random
import subprocess
import sys
import threading
from collections import Counter

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import rig as rigs  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def built():
    subprocess.run(["ninja", "-C", rigs.BUILD, "bench_capture_rig"], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def server():
    with rigs.Postgres() as pg:
        yield pg


@pytest.fixture
def pg(server):
    """The server with an empty schema and no slot."""
    server.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public; DROP PUBLICATION IF EXISTS tarn_pub")
    yield server
    server.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active")
    rigs.wait_for(lambda: not server.sql("SELECT 1 FROM pg_replication_slots WHERE active"), "slots to be free")
    server.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")


@pytest.fixture
def rig():
    with rigs.Rig() as r:
        yield r


def values(rig, topic):
    return [r["value"] for r in rig.dump(topic)]


# ---- types ----

# Column type, a literal, and the value in the event (JSON as the rig prints Avro: bytes in base64), None: no opinion.
TYPES = [
    ("smallint", "1", 1), ("int", "123456", 123456), ("bigint", "1234567890123", 1234567890123), ("real", "3.3", None),
    ("double precision", "4.44", 4.44), ("double precision", "'NaN'", None), ("bool", "true", True), ("oid", "4000000000", 4000000000),
    ("numeric(10,2)", "1.1", base64.b64encode(b"\x6e").decode()), ("numeric(10,2)", "-1.28", base64.b64encode(b"\x80").decode()),
    ("numeric(21,0)", "100000000000000000000", base64.b64encode(bytes.fromhex("056bc75e2d63100000")).decode()),
    ("numeric", "10.1111", {"scale": 4, "value": base64.b64encode(b"\x01\x8a\xf7").decode()}),
    ("money", "1234.11", base64.b64encode(b"\x01\xe2\x13").decode()),
    ("text", "E'a\\tb\\nc\\\\d'", "a\tb\nc\\d"), ("text", "''", ""), ("varchar(40)", "'žš'", "žš"), ("char(4)", "'ab'", "ab  "),
    ("date", "'2016-11-04'", 17109), ("time", "'13:51:30'", 49890000000), ("time(3)", "'13:51:30.123'", 49890123),
    ("time", "'24:00:00'", 86400000000),
    ("timestamp", "'2016-11-04T13:51:30.123456'", 1478267490123456), ("timestamp(3)", "'2016-11-04T13:51:30.123'", 1478267490123),
    ("timestamp", "'1936-10-25T22:10:12.608'", -1047174587392000), ("timestamp", "'infinity'", 9223372036825200000),
    ("timestamp", "'4713-12-31T23:59:59.999999 BC'", -210831897600000001),
    ("timestamptz", "'2016-11-04T13:51:30.123456+02:00'", "2016-11-04T11:51:30.123456Z"),
    ("timestamptz", "'21016-11-04T06:51:30+00'", "+21016-11-04T06:51:30.000000Z"), ("timestamptz", "'-infinity'", "-infinity"),
    ("timetz", "'13:51:30.123789+02:00'", "11:51:30.123789Z"), ("interval", "'P1Y2M3DT4H5M6.78S'", 37091106780000),
    ("uuid", "'76019d1a-ad2e-4b22-96e9-1a6d6543c818'", "76019d1a-ad2e-4b22-96e9-1a6d6543c818"),
    ("json", "'{\"bar\": \"baz\"}'", '{"bar": "baz"}'), ("jsonb", "'{\"bar\":1}'", '{"bar": 1}'), ("xml", "'<a>1</a>'", "<a>1</a>"),
    ("bytea", "'\\x000102'", base64.b64encode(b"\0\1\2").decode()), ("bit(1)", "B'1'", True),
    ("bit(24)", "B'000000110000001000000001'", base64.b64encode(b"\1\2\3").decode()), ("varbit", "B'101'", base64.b64encode(b"\5").decode()),
    ("inet", "'192.168.2.0/12'", "192.168.2.0/12"), ("cidr", "'192.168.100.128/25'", "192.168.100.128/25"),
    ("macaddr", "'08:00:2b:01:02:03'", "08:00:2b:01:02:03"), ("int4range", "'[1,5]'", "[1,6)"),
    ("tsrange", "'[2019-03-31 15:30:00, infinity)'", '["2019-03-31 15:30:00",infinity)'), ("tsvector", "'a cat'", "'a' 'cat'"),
    ("mood", "'sad'", "sad"), ("positive", "7", 7), ("short_text", "'abc'", "abc"),
    ("int[]", "'{1,NULL,3}'", [1, None, 3]), ("text[]", "ARRAY['a','b,c','q\"',NULL,'NULL']", ["a", "b,c", 'q"', None, "NULL"]),
    ("numeric(10,2)[]", "'{1.20,3.40}'", [base64.b64encode(b"\x78").decode(), base64.b64encode(b"\x01\x54").decode()]),
    ("date[]", "'{2016-11-04}'", [17109]), ("timestamptz[]", "'{2020-04-01 14:51:02+03}'", ["2020-04-01T11:51:02.000000Z"]),
    ("bool[]", "'{t,f}'", [True, False]), ("uuid[]", "'{76019d1a-ad2e-4b22-96e9-1a6d6543c818}'", ["76019d1a-ad2e-4b22-96e9-1a6d6543c818"]),
]


def create_types(pg):
    pg.sql("CREATE TYPE mood AS ENUM ('happy', 'sad'); CREATE DOMAIN positive AS int CHECK (VALUE > 0); "
           "CREATE DOMAIN short_text AS varchar(10)")
    columns = ", ".join(f"c{i} {t}" for i, (t, _, _) in enumerate(TYPES))
    pg.sql(f"CREATE TABLE types (id int PRIMARY KEY, {columns}, left_out tsquery)")


def insert_types(pg, first):
    pg.sql(f"INSERT INTO types SELECT {first}, " + ", ".join(f"{text}" if t not in ("money", "text[]") else f"({text})::{t}"
                                                              for t, text, _ in TYPES) + ", 'fat & rat'")
    pg.sql(f"INSERT INTO types (id) VALUES ({first + 1})")


def rows(events):
    return {e["after"]["id"]: {k: v for k, v in e["after"].items() if k != "id"} for e in events}


@pytest.mark.parametrize("converter", ["avro", "json"])
def test_types_are_the_same_by_snapshot_and_by_stream(pg, rig, converter):
    create_types(pg)
    insert_types(pg, 1)
    more = {}
    if converter == "json":
        more = {f"{x}_converter": "org.apache.kafka.connect.json.JsonConverter" for x in ("key", "value")}
        more |= {f"{x}_converter_schemas_enable": "false" for x in ("key", "value")}
    rig.put("src", pg.connector(**more))
    rig.wait_end("shop.public.types", 2)
    insert_types(pg, 3)
    rig.wait_end("shop.public.types", 4)
    events = values(rig, "shop.public.types")
    assert [e["op"] for e in events] == ["r", "r", "c", "c"]
    got = rows(events)
    assert got[1] == got[3] or str(got[1]) == str(got[3])  # NaN is not itself
    assert got[2] == got[4] and set(got[2].values()) == {None}
    assert "left_out" not in got[1]
    for i, (name, text, want) in enumerate(TYPES):
        if want is not None:
            assert got[1][f"c{i}"] == want, f"{name} {text}"


def test_decimal_modes(pg, rig):
    pg.sql("CREATE TABLE t (id int PRIMARY KEY, a numeric(10,2), b numeric); INSERT INTO t VALUES (1, 1.5, 'NaN')")
    rig.put("src", pg.connector(decimal_handling_mode="string"))
    rig.wait_end("shop.public.t", 1)
    assert values(rig, "shop.public.t")[0]["after"] == {"id": 1, "a": "1.50", "b": "NAN"}


def test_a_nan_in_a_precise_decimal_fails_with_its_place(pg, rig):
    pg.sql("CREATE TABLE t (id int PRIMARY KEY, total numeric); INSERT INTO t VALUES (1, 'NaN')")
    rig.put("src", pg.connector())
    assert "public.t.total" in rig.wait_failed("src")


# ---- changes ----

def test_changes_of_a_row(pg, rig):
    pg.sql("CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL, n int)")
    rig.put("src", pg.connector())
    rigs.wait_for(lambda: rig.offset("src").get("snapshot_completed"), "the snapshot")
    pg.sql("INSERT INTO t VALUES (1, 'a', 1)")
    pg.sql("UPDATE t SET v = 'b'")
    pg.sql("UPDATE t SET id = 2")
    pg.sql("DELETE FROM t")
    rig.wait_end("shop.public.t", 7)
    r = rig.dump("shop.public.t")
    assert [x["value"] and x["value"]["op"] for x in r] == ["c", "u", "d", None, "c", "d", None]
    assert [x["key"]["id"] for x in r] == [1, 1, 1, 1, 2, 2, 2]
    assert r[1]["value"]["before"] is None and r[1]["value"]["after"] == {"id": 1, "v": "b", "n": 1}
    assert r[2]["value"]["before"] == {"id": 1, "v": "", "n": None}  # only the key is known
    assert r[2]["headers"] == {"__debezium.newkey": '{"id":2}'} and r[4]["headers"] == {"__debezium.oldkey": '{"id":1}'}
    source = r[0]["value"]["source"]
    assert source["txId"] and source["lsn"] and source["snapshot"] == "false" and source["table"] == "t"


def test_whole_old_rows_and_large_values(pg, rig):
    pg.sql("CREATE TABLE t (id int PRIMARY KEY, v text, n int); CREATE TABLE f (LIKE t INCLUDING ALL); ALTER TABLE f REPLICA IDENTITY FULL; "
           "ALTER TABLE t ALTER v SET STORAGE EXTERNAL; ALTER TABLE f ALTER v SET STORAGE EXTERNAL")
    rig.put("src", pg.connector(tombstones_on_delete="false"))
    rigs.wait_for(lambda: rig.offset("src").get("snapshot_completed"), "the snapshot")
    for t in "tf":
        pg.sql(f"INSERT INTO {t} VALUES (1, repeat('x', 5000), 1); UPDATE {t} SET n = 2; DELETE FROM {t}")
        rig.wait_end(f"shop.public.{t}", 3)
    plain, full = values(rig, "shop.public.t"), values(rig, "shop.public.f")
    assert plain[1]["after"]["v"] == "__debezium_unavailable_value"
    assert full[1]["after"]["v"] == "x" * 5000 and full[1]["before"] == {"id": 1, "v": "x" * 5000, "n": 1}
    assert full[2]["before"]["n"] == 2


def test_truncate_when_asked_for(pg, rig):
    pg.sql("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)")
    rig.put("src", pg.connector(skipped_operations="none"))
    rigs.wait_for(lambda: rig.offset("src").get("snapshot_completed"), "the snapshot")
    pg.sql("TRUNCATE a, b")
    for t in "ab":
        rig.wait_end(f"shop.public.{t}", 1)
        r = rig.dump(f"shop.public.{t}")[0]
        assert r["key"] is None and r["value"]["op"] == "t" and r["value"]["before"] is None and r["value"]["after"] is None


def test_a_new_column_is_a_new_schema(pg, rig):
    pg.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    rig.put("src", pg.connector())
    rig.wait_end("shop.public.t", 1)
    before = rig.schema("shop.public.t-value")
    pg.sql("ALTER TABLE t ADD v text")
    pg.sql("INSERT INTO t VALUES (2, 'x')")
    rig.wait_end("shop.public.t", 2)
    assert values(rig, "shop.public.t")[1]["after"] == {"id": 2, "v": "x"}
    after = json.loads(rig.schema("shop.public.t-value"))
    assert before != after and "v" in [f["name"] for f in after["fields"][0]["type"][1]["fields"]]


def test_tables_are_chosen_by_pattern(pg, rig):
    pg.sql("CREATE TABLE keep_a (id int PRIMARY KEY); CREATE TABLE drop_b (id int PRIMARY KEY)")
    pg.sql("INSERT INTO keep_a VALUES (1); INSERT INTO drop_b VALUES (1)")
    rig.put("src", pg.connector(table_include_list=r"public\.keep_.*"))
    rig.wait_end("shop.public.keep_a", 1)
    pg.sql("INSERT INTO drop_b VALUES (2); INSERT INTO keep_a VALUES (2)")
    rig.wait_end("shop.public.keep_a", 2)
    assert rig.end("shop.public.drop_b") == -1


def test_a_large_transaction_is_seen_whole_or_not_at_all(pg, rig):
    rows = 150_000
    pg.sql("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE u (id int PRIMARY KEY)")
    rig.put("src", pg.connector())
    rigs.wait_for(lambda: rig.offset("src").get("snapshot_completed"), "the snapshot")
    pg.sql(f"INSERT INTO t SELECT i, repeat(md5(i::text), 4) FROM generate_series(1, {rows}) i; INSERT INTO u SELECT 1")
    ends = set()
    rigs.wait_for(lambda: ends.add((rig.end("shop.public.t"), rig.end("shop.public.u"))) or (rows, 1) in ends, "the rows", 60)
    assert ends <= {(-1, -1), (0, 0), (0, -1), (rows, 1)}
    status = dict(line.split(":", 1) for line in open(f"/proc/{rig.process.pid}/status"))
    memory, space = (int(status[k].split()[0]) for k in ("VmHWM", "VmSize"))
    # AddressSanitizer keeps 256 MiB of what was freed; its shadow is terabytes of address space.
    assert memory < (160_000 if space < 1 << 30 else 480_000), "KiB: the transaction must not be held in memory"
    assert [r["after"]["id"] for r in values(rig, "shop.public.t")] == list(range(1, rows + 1))


# ---- crashes ----

class Traffic(threading.Thread):
    """Random changes in transactions of random size, until told to stop."""

    def __init__(self, pg, seed):
        super().__init__()
        self.pg, self.random, self.end = pg, random.Random(seed), threading.Event()
        self.next = 1
        self.start()

    def run(self):
        c = self.pg.connect()
        c.autocommit = False
        while not self.end.is_set():
            with c.cursor() as cur:
                for _ in range(self.random.choice([1, 1, 3, 200])):
                    dice, n = self.random.random(), self.next
                    if dice < 0.6 or n < 10:
                        cur.execute("INSERT INTO t VALUES (%s, %s)", (n, self.random.random()))
                        self.next += 1
                    elif dice < 0.9:
                        cur.execute("UPDATE t SET v = v + 1 WHERE id = %s", (self.random.randrange(n),))
                    else:
                        cur.execute("DELETE FROM t WHERE id = %s", (self.random.randrange(n),))
            (c.rollback if self.random.random() < 0.1 else c.commit)()
        c.close()

    def finish(self):
        self.end.set()
        self.join()


def settled(pg, rig):
    """Waits until all that is committed is on the topic, then gives the records."""
    lsn = int(pg.sql("SELECT pg_current_wal_flush_lsn() - '0/0'::pg_lsn")[0][0])
    pg.sql("INSERT INTO mark VALUES (1) ON CONFLICT (id) DO UPDATE SET id = 1")
    rigs.wait_for(lambda: rig.offset("src").get("lsn_proc", 0) >= lsn, "the stream to catch up", 60)
    return rig.dump("shop.public.t")


def check_equal(pg, records):
    """Folding the events by key gives the table, and no change is there twice."""
    table, seen = {}, Counter()
    for r in records:
        v = r["value"]
        if v is None:
            continue
        seen[(v["source"]["lsn"], v["op"], r["key"]["id"])] += 1
        if v["op"] == "d":
            table.pop(r["key"]["id"], None)
        else:
            table[r["key"]["id"]] = v["after"]["v"]
    assert [k for k, n in seen.items() if n > 1] == []
    assert table == dict(pg.sql("SELECT id, v FROM t"))


def test_kills_lose_nothing_and_double_nothing(pg, rig):
    pg.sql("CREATE TABLE t (id int PRIMARY KEY, v double precision); CREATE TABLE mark (id int PRIMARY KEY)")
    rig.put("src", pg.connector())
    traffic, dice = Traffic(pg, 1), random.Random(2)
    pause = threading.Event()
    for _ in range(12):
        pause.wait(dice.random() * 0.5)
        rig.kill()
        rig.start()
    traffic.finish()
    check_equal(pg, settled(pg, rig))


def test_a_killed_snapshot_begins_anew_and_leaves_nothing(pg, rig):
    pg.sql("CREATE TABLE t (id int PRIMARY KEY, v double precision); CREATE TABLE mark (id int PRIMARY KEY); "
           "INSERT INTO t SELECT i, i FROM generate_series(1, 150000) i")
    rig.put("src", pg.connector())
    broken = 0
    for part in (1, 40000):
        rig.wait_end("shop.public.t", part)
        broken += not rig.offset("src").get("snapshot_completed")
        rig.kill()
        rig.start()
    assert broken > 0
    rigs.wait_for(lambda: rig.offset("src").get("snapshot_completed"), "the snapshot", 60)
    pg.sql("DELETE FROM t WHERE id <= 10")
    records = settled(pg, rig)
    check_equal(pg, records)
    assert Counter(r["value"]["op"] for r in records if r["value"]) == {"r": 150000, "d": 10}
    marks = [r["value"]["source"]["snapshot"] for r in records if r["value"] and r["value"]["op"] == "r"]
    assert marks[0] == "first" and marks[-1] == "last" and set(marks[1:-1]) == {"true"}


def test_changes_during_the_snapshot_come_once(pg, rig):
    pg.sql("CREATE TABLE t (id int PRIMARY KEY, v double precision); CREATE TABLE mark (id int PRIMARY KEY); "
           "INSERT INTO t SELECT -i, i FROM generate_series(1, 50000) i")
    traffic = Traffic(pg, 3)
    rig.put("src", pg.connector())
    rigs.wait_for(lambda: rig.offset("src").get("snapshot_completed"), "the snapshot", 60)
    threading.Event().wait(0.3)
    traffic.finish()
    check_equal(pg, settled(pg, rig))


def test_postgres_goes_away_and_comes_back(rig):
    with rigs.Postgres(fsync="on") as own:
        own.sql("CREATE TABLE t (id int PRIMARY KEY, v double precision); CREATE TABLE mark (id int PRIMARY KEY)")
        rig.put("src", own.connector())
        for i, how in enumerate(["fast", "kill", "immediate"]):
            own.sql("INSERT INTO t VALUES (%s, 0)", i)
            rig.wait_end("shop.public.t", i + 1)
            own.stop(how)
            own.start()
        own.sql("INSERT INTO t VALUES (99, 0)")
        rig.wait_end("shop.public.t", 4, 60)
        check_equal(own, settled(own, rig))
        assert rig.state("src")[0] == "RUNNING"


def test_an_idle_stream_lets_the_server_forget_its_log(pg, rig):
    pg.sql("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other (id int)")
    rig.put("src", pg.connector(table_include_list="public.t", status_update_interval_ms="200"))
    rigs.wait_for(lambda: rig.offset("src").get("snapshot_completed"), "the snapshot")
    pg.sql("INSERT INTO other SELECT generate_series(1, 10000)")
    lsn = pg.sql("SELECT pg_current_wal_flush_lsn()")[0][0]
    rigs.wait_for(lambda: pg.sql("SELECT confirmed_flush_lsn >= %s FROM pg_replication_slots", lsn)[0][0], "the slot to move")


# ---- what can be wrong ----

def with_position(pg, rig):
    pg.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    rig.put("src", pg.connector())
    rigs.wait_for(lambda: rig.offset("src").get("snapshot_completed"), "the snapshot")
    assert rig.rest("PUT", "/connectors/src/pause")[0] == 202
    rigs.wait_for(lambda: not pg.sql("SELECT 1 FROM pg_replication_slots WHERE active"), "the slot to be free")


def resumed(rig):
    assert rig.rest("PUT", "/connectors/src/resume")[0] == 202
    return rig.wait_failed("src")


def test_a_slot_that_is_gone(pg, rig):
    with_position(pg, rig)
    pg.sql("SELECT pg_drop_replication_slot('tarn')")
    assert "replication slot tarn is gone" in resumed(rig)
    status, body = rig.rest("DELETE", "/connectors/src/offsets")
    assert status == 400 and "must be in the STOPPED state" in body["message"]
    assert rig.rest("PUT", "/connectors/src/stop")[0] == 204
    assert rig.rest("DELETE", "/connectors/src/offsets") == (200, {"message": "The offsets for this connector have been reset successfully"})
    assert rig.rest("PUT", "/connectors/src/resume")[0] == 202
    rig.wait_end("shop.public.t", 2)  # a new snapshot
    assert [e["op"] for e in values(rig, "shop.public.t")] == ["r", "r"]


def test_a_slot_that_somebody_moved(pg, rig):
    with_position(pg, rig)
    pg.sql("INSERT INTO t VALUES (2)")
    pg.sql("SELECT pg_replication_slot_advance('tarn', pg_current_wal_lsn())")
    assert "was moved to" in resumed(rig)


def test_a_slot_of_another_plugin(pg, rig):
    pg.sql("SELECT pg_create_logical_replication_slot('tarn', 'test_decoding')")
    pg.sql("CREATE TABLE t (id int PRIMARY KEY)")
    rig.put("src", pg.connector())
    assert "plugin test_decoding" in rig.wait_failed("src")


def test_an_absent_publication_that_may_not_be_made(pg, rig):
    rig.put("src", pg.connector(publication_autocreate_mode="disabled"))
    assert "publication tarn_pub does not exist" in rig.wait_failed("src")


def test_a_wrong_database(pg, rig):
    rig.put("src", pg.connector(database_dbname="nothing"))
    assert 'database "nothing" does not exist' in rig.wait_failed("src")


@pytest.mark.parametrize("change, said", [
    ({"connector.class": "com.example.Nothing"}, "Failed to find any class that implements Connector and which name matches com.example.Nothing, "
     "available connectors are: io.debezium.connector.postgresql.PostgresConnector"),
    ({"database.hostname": None}, 'Missing required configuration "database.hostname" which has no default value.'),
    ({"database.port": "many"}, "Invalid value many for configuration database.port: Not a number of type INT"),
    ({"tombstones.on.delete": "perhaps"}, "Invalid value perhaps for configuration tombstones.on.delete: Expected value to be either true or false"),
    ({"snapshot.mode": "custom"}, "Invalid value custom for configuration snapshot.mode"),
    ({"transforms": "unwrap"}, "transformations are not supported"),
    ({"value.converter": "com.example.Converter"}, "Invalid value com.example.Converter for configuration value.converter"),
    ({"column.exclude.list": "public.t.x"}, "configuration column.exclude.list: not supported"),
    ({"topic.prefix": "a b"}, "only letters, digits"),
])
def test_a_wrong_configuration_is_told(pg, rig, change, said):
    config = {k: v for k, v in (pg.connector() | change).items() if v is not None}
    status, body = rig.rest("PUT", "/connectors/src/config", config)
    assert status == 400 and body["error_code"] == 400
    assert body["message"].startswith("Connector configuration is invalid and contains the following 1 error(s):\n")
    assert said in body["message"]
    assert rig.rest("GET", "/connectors/src")[0] == 404
