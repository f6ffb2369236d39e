"""Topics over HTTP (ingest's port), as Confluent's REST Proxy has them, with Kafka's own clients on the other side."""
import base64
import http.client
import io
import json
import os
import subprocess
import threading
import time

import avro.io
import avro.schema
import kafka
import kafka.admin
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from conftest import request, wait_for

V2, JSON, BINARY, AVRO = (f"application/vnd.kafka{f}.v2+json" for f in ("", ".json", ".binary", ".avro"))
ORDER = {"type": "record", "name": "Order", "fields": [
    {"name": "id", "type": "long"}, {"name": "note", "type": ["null", "string"], "default": None},
    {"name": "sum", "type": "bytes"}]}


QUIET = {"postgres": {"port": "off"}, "buckets": []}


@pytest.fixture
def rest(project):
    """A project without a database: the proxy does not need one."""
    return project(settings=QUIET).start()


def call(tarn, method, path, body=None, kind=V2, accept=None):
    headers = {"Content-Type": kind} if body is not None else {}
    if accept:
        headers["Accept"] = accept
    data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
    return request(method, tarn.url("ingest", path), data, headers)


def make_topic(tarn, name, partitions=1, **config):
    admin = AdminClient({"bootstrap.servers": tarn.address("kafka")})
    for done in admin.create_topics([NewTopic(name, partitions, 1, config=config)]).values():
        done.result(10)


def read(tarn, topic, count, partition=0):
    """The first records of a partition, by librdkafka."""
    c = Consumer({"bootstrap.servers": tarn.address("kafka"), "group.id": "reader", "auto.offset.reset": "earliest"})
    c.assign([TopicPartition(topic, partition, 0)])
    out = []
    while len(out) < count:
        m = c.poll(10)
        assert m is not None and not m.error(), m and m.error()
        out.append(m)
    c.close()
    return out


def test_topics_are_told(rest):
    make_topic(rest, "orders", 3, **{"retention.ms": "60000"})
    status, names = call(rest, "GET", "/topics")
    assert status == 200 and "orders" in names
    status, topic = call(rest, "GET", "/topics/orders")
    assert status == 200 and topic["name"] == "orders" and topic["configs"]["retention.ms"] == "60000"
    assert [p["partition"] for p in topic["partitions"]] == [0, 1, 2]
    assert call(rest, "GET", "/topics/orders/partitions")[1] == topic["partitions"]
    assert call(rest, "GET", "/topics/orders/partitions/2")[1] == {
        "partition": 2, "leader": 1, "replicas": [{"broker": 1, "leader": True, "in_sync": True}]}
    assert call(rest, "GET", "/topics/orders/partitions/1/offsets") == (200, {"beginning_offset": 0, "end_offset": 0})
    assert call(rest, "GET", "/topics/nothing") == (404, {"error_code": 40401, "message": "Topic not found."})
    assert call(rest, "GET", "/topics/orders/partitions/3") == (404, {"error_code": 40402, "message": "Partition not found."})
    assert call(rest, "GET", "/brokers") == (200, {"brokers": [1]})
    assert call(rest, "GET", "/topics/orders/nonsense")[1]["error_code"] == 404
    assert call(rest, "DELETE", "/topics/orders")[1]["error_code"] == 405


def test_the_documents_tell_what_is_there(rest):
    status, document = request("GET", rest.url("ingest", "/openapi.json"))
    assert status == 200 and document["openapi"].startswith("3.")
    assert {"/seed/full", "/topics/{topic}", "/v3/clusters/{cluster}/topics/{topic}/records"} <= set(document["paths"])
    make_topic(rest, "t")
    names = {"topic": "t", "partition": "0", "broker": "1", "cluster": call(rest, "GET", "/v3/clusters")[1]["data"][0]["cluster_id"]}
    for path, operations in document["paths"].items():
        for method in operations:
            if method == "get" and path != "/status" and "{instance}" not in path:
                assert call(rest, "GET", path.format(**names))[0] == 200, path
    assert request("POST", rest.url("ingest", "/seed/stop"))[0] == 503  # there is no database
    assert b"openapi.json" in request("GET", rest.url("ingest", "/docs"))[1]


def test_json_is_produced_and_read_by_kafka(rest):
    records = [{"key": "a", "value": {"n": 1, "t": "é \u0000"}}, {"value": [1, 2.50, 12345678901234567890123]},
               {"key": {"k": None}, "value": None}]
    status, answer = call(rest, "POST", "/topics/made", {"records": records}, JSON)
    assert status == 200 and answer["key_schema_id"] is None and answer["value_schema_id"] is None
    assert answer["offsets"] == [{"partition": 0, "offset": n, "error_code": None, "error": None} for n in range(3)]
    got = read(rest, "made", 3)
    assert [m.key() for m in got] == [b'"a"', None, b'{"k":null}']
    assert json.loads(got[0].value()) == records[0]["value"]
    assert got[1].value() == b"[1,2.5,12345678901234567890123]" and got[2].value() is None


def test_keys_go_where_kafkas_clients_put_them(rest):
    make_topic(rest, "keyed", 7)
    keys = [b"", b"k", b"order-1", b"order-22", b"\xff\x00", b"a longer key than the others are"] + [b"%d" % i for i in range(200)]
    told = []
    p = Producer({"bootstrap.servers": rest.address("kafka"), "partitioner": "murmur2"})
    for k in keys:
        p.produce("keyed", b"x", k, on_delivery=lambda e, m: told.append((m.key(), m.partition())))
    assert p.flush(10) == 0
    status, answer = call(rest, "POST", "/topics/keyed", {"records": [
        {"key": base64.b64encode(k).decode(), "value": ""} for k in keys]}, BINARY)
    assert status == 200
    ours = {k: o["partition"] for k, o in zip(keys, answer["offsets"])}
    theirs = {k or b"": partition for k, partition in told}
    assert ours == theirs and len(set(ours.values())) == 7


def test_a_partition_is_named_by_path_or_record(rest):
    make_topic(rest, "parts", 2)
    status, answer = call(rest, "POST", "/topics/parts/partitions/1", {"records": [{"value": "YQ=="}]}, BINARY)
    assert (status, answer["offsets"][0]["partition"], answer["offsets"][0]["offset"]) == (200, 1, 0)
    status, answer = call(rest, "POST", "/topics/parts", {"records": [
        {"value": "Yg==", "partition": 0}, {"value": "Yw==", "partition": 9}, {"value": "ZA==", "partition": 1}]}, BINARY)
    assert status == 200 and [o["offset"] for o in answer["offsets"]] == [0, None, 1]
    assert answer["offsets"][1]["error_code"] == 40402
    assert [m.value() for m in read(rest, "parts", 2, 1)] == [b"a", b"d"]
    assert call(rest, "POST", "/topics/parts/partitions/2", {"records": [{"value": ""}]}, BINARY)[1]["error_code"] == 40402


def test_avro_is_registered_and_encoded(rest):
    value = {"id": 7, "note": {"string": "x"}, "sum": "\u0001\u00ff"}
    status, answer = call(rest, "POST", "/topics/avro", {
        "value_schema": json.dumps(ORDER), "key_schema": '"string"',
        "records": [{"key": "k", "value": value}, {"key": "k", "value": {"id": 8, "note": None, "sum": ""}}]}, AVRO)
    assert status == 200, answer
    schema_id = answer["value_schema_id"]
    status, registered = request("GET", rest.url("registry", "/subjects/avro-value/versions/latest"))
    assert status == 200 and registered["id"] == schema_id
    assert request("GET", rest.url("registry", "/subjects/avro-key/versions/latest"))[1]["id"] == answer["key_schema_id"]
    status, again = call(rest, "POST", "/topics/avro", {"value_schema_id": schema_id, "records": [{"value": value}]}, AVRO)
    assert status == 200 and again["value_schema_id"] == schema_id and again["key_schema_id"] is None
    m = read(rest, "avro", 1)[0]
    assert m.value()[:5] == b"\0" + schema_id.to_bytes(4, "big")
    schema = avro.schema.parse(json.dumps(ORDER))
    decoded = avro.io.DatumReader(schema).read(avro.io.BinaryDecoder(io.BytesIO(m.value()[5:])))
    assert decoded == {"id": 7, "note": "x", "sum": b"\x01\xff"}

    def code(body):
        return call(rest, "POST", "/topics/avro", body, AVRO)[1]["error_code"]
    assert code({"value_schema_id": schema_id, "records": [{"key": 1, "value": value}]}) == 42201
    assert code({"records": [{"value": 1}]}) == 42202
    assert code({"value_schema_id": schema_id, "records": [{"value": {"id": "x"}}]}) == 42203
    assert code({"value_schema": "{", "records": [{"value": 1}]}) == 42205
    assert code({"value_schema": '"boolean"', "records": [{"value": True}]}) == 42207  # BACKWARD forbids it
    assert code({"value_schema_id": 999, "records": [{"value": True}]}) == 42207


def test_bad_requests_are_told_why(rest):
    make_topic(rest, "t")

    def ask(body, kind=JSON, path="/topics/t"):
        status, answer = call(rest, "POST", path, body, kind)
        assert answer["error_code"] // (100 if answer["error_code"] > 1000 else 1) == status and answer["message"]
        return answer["error_code"]
    assert ask({"records": []}) == 422 and ask({}) == 422 and ask({"records": None}) == 422
    assert ask(b'{"records":[') == 400 and ask(b"[]") == 400 and ask(b"") == 400
    assert ask({"records": [{"value": 1, "more": 2}]}) == 422 and ask({"record": []}) == 422
    assert ask({"records": [{"value": "not base64!"}]}, BINARY) == 400 and ask({"records": [{"value": 1}]}, BINARY) == 400
    assert ask({"records": [1]}) == 400 and ask({"records": [{"value": 1, "partition": -7}]}) == 422
    assert ask({"records": [{"value": 1}]}, "text/plain") == 415
    assert ask({"records": [{"value": 1}]}, "application/vnd.kafka.protobuf.v2+json") == 415
    assert ask({"records": [{"value": 1}]}, path="/topics/__consumer_offsets") == 40301
    assert ask({"records": [{"value": 1}]}, path="/topics/a%20b") == 40401
    assert ask(b'{"records":[{"value":' + b"[" * 100 + b"]" * 100 + b"}]}") == 400
    assert call(rest, "GET", "/topics/t/partitions/0/offsets")[1]["end_offset"] == 0


def test_what_the_topic_asks_holds_for_each_record(rest):
    make_topic(rest, "compacted", **{"cleanup.policy": "compact"})
    status, answer = call(rest, "POST", "/topics/compacted", {"records": [{"value": 1}, {"key": 1, "value": 1}]}, JSON)
    assert status == 200 and [o["error_code"] for o in answer["offsets"]] == [50002, None]
    make_topic(rest, "small", **{"max.message.bytes": "1000", "compression.type": "gzip"})
    values = ["a" * 300] * 5
    status, answer = call(rest, "POST", "/topics/small", {"records": [{"value": v} for v in values]}, JSON)
    assert [o["offset"] for o in answer["offsets"]] == list(range(5))
    status, answer = call(rest, "POST", "/topics/small", {"records": [
        {"value": "YQ=="}, {"value": base64.b64encode(os.urandom(2000)).decode()}, {"value": "Yg=="}]}, BINARY)
    assert [o["error_code"] for o in answer["offsets"]] == [None, 50002, None]
    assert [m.value() for m in read(rest, "small", 7)][5:] == [b"a", b"b"]


def test_v3_clusters_and_topics(rest):
    status, clusters = call(rest, "GET", "/v3/clusters")
    assert status == 200 and clusters["kind"] == "KafkaClusterList"
    cluster = clusters["data"][0]
    base = f"/v3/clusters/{cluster['cluster_id']}"
    assert request("GET", cluster["metadata"]["self"])[1] == cluster
    assert request("GET", cluster["topics"]["related"])[1]["kind"] == "KafkaTopicList"
    broker = request("GET", cluster["controller"]["related"])[1]
    assert f"{broker['host']}:{broker['port']}" == rest.address("kafka")
    kind = "application/json"
    body = {"topic_name": "v3", "partitions_count": 2, "replication_factor": 1, "configs": [{"name": "cleanup.policy", "value": "compact"}]}
    status, topic = call(rest, "POST", base + "/topics", body, kind)
    assert status == 201 and topic["partitions_count"] == 2 and topic["topic_name"] == "v3"
    assert call(rest, "GET", base + "/topics/v3")[1] == topic
    assert topic in call(rest, "GET", base + "/topics")[1]["data"]
    configs = request("GET", topic["configs"]["related"])[1]["data"]
    assert next(c for c in configs if c["name"] == "cleanup.policy")["value"] == "compact"
    assert len(request("GET", topic["partitions"]["related"])[1]["data"]) == 2
    assert call(rest, "POST", base + "/topics", body, kind)[1]["error_code"] == 40002
    assert call(rest, "POST", base + "/topics", {"topic_name": "x", "replication_factor": 3}, kind)[1]["error_code"] == 40002
    assert call(rest, "POST", base + "/topics", {"topic_name": "x", "configs": [{"name": "nonsense", "value": "1"}]}, kind)[0] == 400
    assert call(rest, "DELETE", base + "/topics/v3")[0] == 204
    assert call(rest, "GET", base + "/topics/v3")[1]["error_code"] == 40403
    assert call(rest, "GET", "/v3/clusters/other/topics")[0] == 404


def answers(data):
    text, out, decoder = data.decode(), [], json.JSONDecoder()
    while text := text.strip():
        value, end = decoder.raw_decode(text)
        out.append(value)
        text = text[end:]
    return out


def v3_records(tarn, topic, body):
    cluster = call(tarn, "GET", "/v3/clusters")[1]["data"][0]["cluster_id"]
    done = subprocess.run(["curl", "-s", "-H", "Content-Type: application/json", "--data-binary", body,
                           tarn.url("ingest", f"/v3/clusters/{cluster}/topics/{topic}/records")], capture_output=True, check=True)
    return answers(done.stdout)


def test_v3_records_stream(rest):
    got = v3_records(rest, "stream", json.dumps({
        "partition_id": 0, "headers": [{"name": "h", "value": "dg=="}], "key": {"type": "STRING", "data": "k"},
        "value": {"type": "JSON", "data": {"a": 1}}, "timestamp": "2026-11-21T08:00:00Z"}))
    assert len(got) == 1 and got[0]["error_code"] == 200 and got[0]["offset"] == 0
    assert got[0]["key"] == {"type": "STRING", "size": 1} and got[0]["timestamp"].startswith("2026-11-21T08:00:00")
    m = read(rest, "stream", 1)[0]
    assert (m.key(), m.value(), m.headers(), m.timestamp()[1]) == (b"k", b'{"a":1}', [("h", b"v")], 1795248000000)
    many = [{"value": {"type": "BINARY", "data": "YQ=="}}, {"value": {"type": "NONSENSE", "data": 1}},
            {"value": {"type": "AVRO", "schema": '"string"', "data": "x"}}, {"partition_id": 5, "value": {"type": "JSON", "data": 1}},
            {"value": {"schema_version": "latest", "data": "y"}}, {"value": {"type": "JSON", "data": None}}]
    got = v3_records(rest, "stream", "\n".join(map(json.dumps, many)) + "{")
    assert [a["error_code"] for a in got] == [200, 400, 200, 40402, 200, 200, 400]
    assert [a.get("offset") for a in got] == [1, None, 2, None, 3, 4, None]
    assert got[2]["value"]["subject"] == "stream-value" and got[2]["value"]["schema_version"] == 1
    assert read(rest, "stream", 5)[3].value()[5:] == b"\x02y"
    assert v3_records(rest, "stream", " ")[0]["error_code"] == 42206


def test_users_must_say_who_they_are(project):
    tarn = project(settings={"postgres": {"port": "off"}, "buckets": [], "users": {
        "root": {"password": "secret-root", "super": "true"}, "alice": {"password": "secret-alice"}}}).start()

    def ask(user, password, method="GET", path="/topics", body=None):
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        return request(method, tarn.url("ingest", path), body and json.dumps(body).encode(),
                       {"Authorization": f"Basic {token}", "Content-Type": JSON})
    assert call(tarn, "GET", "/topics")[1]["error_code"] == 401
    assert ask("alice", "wrong")[0] == 401
    records = {"records": [{"value": 1}]}
    assert ask("root", "secret-root", "POST", "/topics/t", records)[0] == 200
    assert ask("alice", "secret-alice", "POST", "/topics/t", records)[1]["error_code"] == 40301
    assert ask("alice", "secret-alice") == (200, []) and "t" in ask("root", "secret-root")[1]


# ---- consumers ----

class Instance:
    def __init__(self, tarn, group, accept=JSON, **settings):
        self.tarn, self.group, self.accept = tarn, group, accept
        settings.setdefault("format", {JSON: "json", BINARY: "binary", AVRO: "avro"}[accept])
        status, made = call(tarn, "POST", f"/consumers/{group}", settings)
        assert status == 200, made
        self.name, self.path = made["instance_id"], f"/consumers/{group}/instances/{made['instance_id']}"
        assert made["base_uri"].endswith(self.path)

    def ask(self, method, what, body=None, status=None):
        got, answer = call(self.tarn, method, self.path + what, body)
        assert got == (status or got), answer
        return answer

    def subscribe(self, *topics):
        self.ask("POST", "/subscription", {"topics": list(topics)}, 204)
        return self

    def read(self, **query):
        query = "&".join(f"{k}={v}" for k, v in query.items())
        status, records = call(self.tarn, "GET", f"{self.path}/records?{query}", accept=self.accept)
        assert status == 200, records
        return records

    def read_some(self, count, seconds=20):
        out = []
        wait_for(lambda: out.extend(self.read(timeout=500)) or len(out) >= count, f"{count} records, got {out}", seconds)
        return out

    def end(self):
        self.ask("DELETE", "", status=204)


def produce(tarn, topic, values, partition=None):
    p = Producer({"bootstrap.servers": tarn.address("kafka")})
    for v in values:
        p.produce(topic, v, b"k", **({} if partition is None else {"partition": partition}))
    assert p.flush(10) == 0


def test_a_consumer_reads_what_kafka_wrote(rest):
    make_topic(rest, "in", 2)
    one = Instance(rest, "g", name="one", **{"auto.offset.reset": "earliest", "auto.commit.enable": "false"}).subscribe("in")
    assert one.ask("GET", "/subscription") == {"topics": ["in"]}
    produce(rest, "in", [b'{"n": 1}', b"[2]"], 0)
    produce(rest, "in", [b"null"], 1)
    # librdkafka's key is not JSON, so it cannot be shown: the error names the place, and nothing is lost
    status, answer = call(rest, "GET", one.path + "/records?timeout=5000", accept=JSON)
    while status == 200 and answer == []:
        status, answer = call(rest, "GET", one.path + "/records?timeout=5000", accept=JSON)
    assert (status, answer["error_code"]) == (500, 50002) and "is not JSON" in answer["message"]
    one.end()
    assert one.ask("GET", "/records")["error_code"] == 40403 and one.ask("DELETE", "")["error_code"] == 40403
    two = Instance(rest, "g", BINARY, **{"auto.offset.reset": "earliest"}).subscribe("in")
    got = two.read_some(3)
    assert sorted((r["partition"], r["offset"], base64.b64decode(r["value"])) for r in got) == [
        (0, 0, b'{"n": 1}'), (0, 1, b"[2]"), (1, 0, b"null")]
    assert {(r["topic"], r["key"]) for r in got} == {("in", "aw==")}
    assert two.ask("GET", "/assignments") == {"partitions": [{"topic": "in", "partition": 0}, {"topic": "in", "partition": 1}]}
    two.end()


def test_what_is_committed_is_the_groups(rest):
    make_topic(rest, "t")
    call(rest, "POST", "/topics/t", {"records": [{"value": n} for n in range(10)]}, JSON)
    one = Instance(rest, "g", **{"auto.offset.reset": "earliest", "auto.commit.enable": "false"}).subscribe("t")
    assert [r["value"] for r in one.read_some(10)] == list(range(10))
    asked = {"partitions": [{"topic": "t", "partition": 0}]}
    assert one.ask("GET", "/offsets", asked) == {"offsets": []}
    assert one.ask("POST", "/offsets", {"offsets": [{"topic": "t", "partition": 0, "offset": 3}]}, 200) == []
    assert one.ask("GET", "/offsets", asked) == {"offsets": [{"topic": "t", "partition": 0, "offset": 4, "metadata": ""}]}
    kafka = Consumer({"bootstrap.servers": rest.address("kafka"), "group.id": "g"})
    assert kafka.committed([TopicPartition("t", 0)], 10)[0].offset == 4
    one.end()  # did not commit by itself
    kafka.subscribe(["t"])
    m = wait_for(lambda: kafka.poll(1), "a record")
    assert m.offset() == 4
    while m.offset() < 9:
        m = wait_for(lambda: kafka.poll(1), "a record")
    kafka.close()
    two = Instance(rest, "g").subscribe("t")  # the position of the group is where Kafka's client left it
    assert two.read(timeout=3000) == []
    call(rest, "POST", "/topics/t", {"records": [{"value": "new"}]}, JSON)
    assert [r["value"] for r in two.read_some(1)] == ["new"]
    two.end()
    kafka = Consumer({"bootstrap.servers": rest.address("kafka"), "group.id": "g"})
    assert kafka.committed([TopicPartition("t", 0)], 10)[0].offset == 11  # it commits by itself when it goes
    kafka.close()


def test_a_group_has_members_of_both_kinds(rest):
    make_topic(rest, "shared", 4)
    one = Instance(rest, "both", BINARY, **{"auto.offset.reset": "earliest"}).subscribe("shared")
    wait_for(lambda: len(one.ask("GET", "/assignments")["partitions"]) == 4, "all partitions")
    kafka = Consumer({"bootstrap.servers": rest.address("kafka"), "group.id": "both", "auto.offset.reset": "earliest",
                      "partition.assignment.strategy": "range"})
    kafka.subscribe(["shared"])
    got = []

    def poll():
        m = kafka.poll(0.1)
        if m is not None and not m.error():
            got.append(m)
    wait_for(lambda: poll() or (len(kafka.assignment()) == 2 and len(one.ask("GET", "/assignments")["partitions"]) == 2),
             "half of the partitions each")
    mine = {p["partition"] for p in one.ask("GET", "/assignments")["partitions"]}
    assert mine | {p.partition for p in kafka.assignment()} == {0, 1, 2, 3}
    two = Instance(rest, "both", BINARY).subscribe("shared")
    wait_for(lambda: poll() or len(two.ask("GET", "/assignments")["partitions"]) >= 1, "a third member's partitions")
    assert "both" in rest.run("topic", "groups").stdout
    kafka.close()
    two.end()
    wait_for(lambda: len(one.ask("GET", "/assignments")["partitions"]) == 4, "all partitions again")
    for p in range(4):
        produce(rest, "shared", [b"x"], p)
    assert {r["partition"] for r in one.read_some(4)} == {0, 1, 2, 3}
    one.end()


def test_seeking_and_assigning_by_hand(rest):
    make_topic(rest, "s", 2)
    call(rest, "POST", "/topics/s/partitions/1", {"records": [{"value": n} for n in range(5)]}, JSON)
    part = {"topic": "s", "partition": 1}
    one = Instance(rest, "hand", **{"auto.offset.reset": "earliest"})
    assert one.ask("GET", "/records")["error_code"] == 40903
    assert one.ask("POST", "/assignments", {"partitions": [{"topic": "s", "partition": 2}]})["error_code"] == 40402
    one.ask("POST", "/assignments", {"partitions": [part]}, 204)
    assert one.ask("POST", "/subscription", {"topics": ["s"]})["error_code"] == 40903
    assert [r["value"] for r in one.read()] == [0, 1, 2, 3, 4] and one.read(timeout=100) == []
    one.ask("POST", "/positions", {"offsets": [{**part, "offset": 3}]}, 204)
    assert [r["value"] for r in one.read()] == [3, 4]
    one.ask("POST", "/positions/beginning", {"partitions": [part]}, 204)
    assert [r["value"] for r in one.read(max_bytes=2)] == [0, 1] and [r["value"] for r in one.read(max_bytes=1)] == [2]
    one.ask("POST", "/positions/end", {"partitions": [part]}, 204)
    assert one.read(timeout=100) == []
    one.ask("POST", "/positions", {"timestamps": [{**part, "timestamp": "2001-01-01T00:00:00Z"}]}, 204)
    assert len(one.read()) == 5
    other = {"partitions": [{"topic": "s", "partition": 0}]}
    assert one.ask("POST", "/positions/end", other)["error_code"] == 40903
    assert one.ask("POST", "/offsets", status=200) == []
    assert one.ask("GET", "/offsets", {"partitions": [part]})["offsets"][0]["offset"] == 5
    one.end()


def test_a_read_waits_for_records(rest):
    make_topic(rest, "w")
    one = Instance(rest, "w", name="w", **{"auto.offset.reset": "earliest"}).subscribe("w")
    began = time.monotonic()
    assert one.read(timeout=700) == [] and 0.6 < time.monotonic() - began < 5
    got = []
    readers = [threading.Thread(target=lambda: got.append(one.read(timeout=20000))) for _ in range(3)]
    for r in readers:
        r.start()
    for n in range(3):
        call(rest, "POST", "/topics/w", {"records": [{"value": n}]}, JSON)
        wait_for(lambda: sum(map(len, got)) == n + 1, "the record to be read, once")
    for r in readers:
        r.join(30)
    assert sorted(r["value"] for records in got for r in records) == [0, 1, 2] and len(got) == 3
    waiting = threading.Thread(target=lambda: got.append(call(rest, "GET", one.path + "/records?timeout=20000", accept=JSON)))
    waiting.start()
    wait_for(lambda: one.ask("GET", "/assignments")["partitions"], "the assignment")
    one.end()
    waiting.join(10)
    assert got[-1][1]["error_code"] == 40403


def test_avro_comes_back_as_it_went(rest):
    records = [{"id": n, "note": {"string": "é"} if n % 2 else None, "sum": "\u0001\u00ff"} for n in range(4)]
    status, made = call(rest, "POST", "/topics/a", {"value_schema": json.dumps(ORDER), "records": [{"value": r} for r in records]}, AVRO)
    assert status == 200, made
    one = Instance(rest, "a", AVRO, **{"auto.offset.reset": "earliest"}).subscribe("a")
    got = one.read_some(4)
    assert [r["value"] for r in got] == records and {r["key"] for r in got} == {None}
    out = io.BytesIO()
    avro.io.DatumWriter(avro.schema.parse(json.dumps(ORDER))).write({"id": 9, "note": "x", "sum": b"\xfe"}, avro.io.BinaryEncoder(out))
    p = Producer({"bootstrap.servers": rest.address("kafka")})
    p.produce("a", b"\0" + made["value_schema_id"].to_bytes(4, "big") + out.getvalue())
    assert p.flush(10) == 0
    assert [r["value"] for r in one.read_some(1)] == [{"id": 9, "note": {"string": "x"}, "sum": "\u00fe"}]
    assert call(rest, "GET", one.path + "/records", accept=JSON)[1]["error_code"] == 40601
    one.end()


def test_instances_are_told_apart_and_checked(rest):
    make_topic(rest, "t")

    def create(**settings):
        return call(rest, "POST", "/consumers/g", settings)[1].get("error_code")
    assert create(name="a") is None and create(name="a") == 40902 and create(format="xml") == 422
    assert create(format="protobuf") == 422 and create(**{"auto.offset.reset": "middle"}) == 42204
    assert create(**{"fetch.min.bytes": -2}) == 40001 and create(nonsense=1) == 422
    assert call(rest, "POST", "/consumers/g", b"", V2)[0] == 200
    base = "/consumers/g/instances/a"
    assert call(rest, "POST", base + "/subscription", {"topic_pattern": "t("})[1]["error_code"] == 42204
    assert call(rest, "POST", base + "/subscription", {"topic_pattern": ""})[1]["error_code"] == 422
    assert call(rest, "POST", base + "/subscription", {"topic_pattern": "t.*", "topics": ["t"]})[1]["error_code"] == 40903
    assert call(rest, "POST", base + "/subscription", {"topics": "t"})[1]["error_code"] == 422
    assert call(rest, "POST", base + "/positions", {"offsets": [{"topic": "t", "partition": 0, "offset": 0}]})[1]["error_code"] == 40903
    assert call(rest, "GET", "/consumers/other/instances/a/subscription")[1]["error_code"] == 40403
    assert call(rest, "POST", base + "/subscription", {"topics": ["t", "later"]})[0] == 204
    wait_for(lambda: call(rest, "GET", base + "/assignments")[1]["partitions"], "the partition of t")
    make_topic(rest, "later", 2)  # the leader sees it come
    wait_for(lambda: len(call(rest, "GET", base + "/assignments")[1]["partitions"]) == 3, "the partitions of later")
    assert call(rest, "DELETE", base + "/subscription")[0] == 204
    wait_for(lambda: call(rest, "GET", base + "/assignments")[1]["partitions"] == [], "nothing")
    assert call(rest, "POST", base + "/subscription", {"topics": ["t"]})[0] == 204
    wait_for(lambda: call(rest, "GET", base + "/assignments")[1]["partitions"], "t again")
    rest.stop()  # with a member and instances: it must end in time
    rest.start()
    assert call(rest, "GET", base + "/assignments")[1]["error_code"] == 40403


def test_a_pattern_stands_for_topics_that_come_later_too(rest):
    for topic in ("log-a", "other"):
        make_topic(rest, topic)
    one = Instance(rest, "p", **{"auto.offset.reset": "earliest"})
    one.ask("POST", "/subscription", {"topic_pattern": "nothing-yet-.*"}, 204)
    assert one.ask("GET", "/subscription") == {"topics": []} and one.read(timeout=100) == []
    one.ask("POST", "/subscription", {"topic_pattern": "log-[a-z]"}, 204)
    assert one.ask("GET", "/subscription") == {"topics": ["log-a"]}
    make_topic(rest, "log-b", 2)
    make_topic(rest, "log-10")
    wait_for(lambda: len(one.ask("GET", "/assignments")["partitions"]) == 3, "the partitions of log-b")
    for topic in ("log-a", "log-b", "other"):
        call(rest, "POST", f"/topics/{topic}", {"records": [{"value": topic}]}, JSON)
    assert sorted(r["value"] for r in one.read_some(2)) == ["log-a", "log-b"]
    call(rest, "DELETE", f"/v3/clusters/{call(rest, 'GET', '/v3/clusters')[1]['data'][0]['cluster_id']}/topics/log-b")
    wait_for(lambda: one.ask("GET", "/subscription") == {"topics": ["log-a"]}, "log-b to be gone")
    one.end()
    wide = Instance(rest, "wide")
    wide.ask("POST", "/subscription", {"topic_pattern": ".*"}, 204)
    topics = wide.ask("GET", "/subscription")["topics"]
    assert {"log-a", "other"} <= set(topics) and not [t for t in topics if t.startswith("__")], "the coordinators' are not for reading"
    wide.end()


def test_who_does_not_come_again_is_dropped(project):
    tarn = project(settings={**QUIET, "ingest": {"consumer_idle_ms": 1500}}).start()
    make_topic(tarn, "t", 2)
    one = Instance(tarn, "idle", **{"auto.offset.reset": "earliest"}).subscribe("t")
    wait_for(lambda: len(one.ask("GET", "/assignments")["partitions"]) == 2, "all partitions")
    assert one.read(timeout=4000) == [], "who waits for records is there"
    assert one.ask("GET", "/subscription") == {"topics": ["t"]}
    kafka = Consumer({"bootstrap.servers": tarn.address("kafka"), "group.id": "idle", "partition.assignment.strategy": "range"})
    kafka.subscribe(["t"])
    wait_for(lambda: kafka.poll(0.1) or len(kafka.assignment()) == 2, "the other's place in the group")
    assert one.ask("GET", "/subscription")["error_code"] == 40403
    kafka.close()


def test_consumers_have_a_most(rest):
    make_topic(rest, "t")
    door = http.client.HTTPConnection(rest.address("ingest"), timeout=30)

    def create(group):
        door.request("POST", f"/consumers/{group}", b"{}", {"Content-Type": V2})
        answer = door.getresponse()
        return answer.status, json.loads(answer.read())

    made = [create("many") for _ in range(1000)]
    assert {status for status, _ in made} == {200}
    status, told = create("other")
    assert status == 429 and "as many consumer instances as are allowed" in told["message"]
    assert call(rest, "DELETE", f"/consumers/many/instances/{made[0][1]['instance_id']}")[0] == 204
    assert create("other")[0] == 200


def test_a_group_that_shares_no_assignor_says_so(rest):
    make_topic(rest, "t", 2)
    kafka = Consumer({"bootstrap.servers": rest.address("kafka"), "group.id": "coop", "partition.assignment.strategy": "cooperative-sticky"})
    kafka.subscribe(["t"])
    wait_for(lambda: kafka.poll(0.1) or len(kafka.assignment()) == 2, "the group's first member")
    one = Instance(rest, "coop").subscribe("t")
    told = wait_for(lambda: (got := one.ask("GET", "/records?timeout=500")) and isinstance(got, dict) and got, "the refusal")
    assert told["error_code"] == 50002 and "know neither range nor roundrobin" in told["message"]
    assert len(kafka.assignment()) == 2
    one.end()
    kafka.close()


def test_a_pattern_stands_for_what_its_user_may_read(project):
    tarn = project(settings={**QUIET, "users": {
        "root": {"password": "secret-root", "super": "true"}, "alice": {"password": "secret-alice"}}}).start()
    admin = kafka.admin.KafkaAdminClient(bootstrap_servers=tarn.address("kafka"), security_protocol="SASL_PLAINTEXT", sasl_mechanism="PLAIN",
                                         sasl_plain_username="root", sasl_plain_password="secret-root")
    admin.create_topics([kafka.admin.NewTopic(name, 1, 1) for name in ("log-a", "log-b", "other")])

    def may_read(kind, name, pattern=kafka.admin.ACLResourcePatternType.LITERAL):
        made = admin.create_acls([kafka.admin.ACL(
            principal="User:alice", host="*", operation=kafka.admin.ACLOperation.READ, permission_type=kafka.admin.ACLPermissionType.ALLOW,
            resource_pattern=kafka.admin.ResourcePattern(kind, name, pattern))])
        assert made["succeeded"] and not made["failed"]

    def ask(method, path, body=None):
        token = base64.b64encode(b"alice:secret-alice").decode()
        return request(method, tarn.url("ingest", path), body and json.dumps(body).encode(), {"Authorization": f"Basic {token}", "Content-Type": V2})

    assert ask("POST", "/consumers/g", {"name": "one"})[1]["error_code"] == 40301
    may_read(kafka.admin.ResourceType.GROUP, "g")
    may_read(kafka.admin.ResourceType.TOPIC, "log-a")
    assert ask("POST", "/consumers/g", {"name": "one"})[0] == 200
    one = "/consumers/g/instances/one/subscription"
    assert ask("POST", one, {"topic_pattern": ".*"})[0] == 204 and ask("GET", one)[1] == {"topics": ["log-a"]}
    may_read(kafka.admin.ResourceType.TOPIC, "log-", kafka.admin.ACLResourcePatternType.PREFIXED)
    wait_for(lambda: ask("GET", one)[1] == {"topics": ["log-a", "log-b"]}, "the right to be seen")
