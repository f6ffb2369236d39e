"""The Schema Registry under the clients that people use: requests, confluent-kafka-python, kafkajs."""
import json
import shutil
import subprocess
import uuid

import confluent_kafka.avro
import requests
from confluent_kafka.avro.cached_schema_registry_client import CachedSchemaRegistryClient
from confluent_kafka.avro.error import ClientError
import pytest

from conftest import ROOT

V1 = "application/vnd.schemaregistry.v1+json"


@pytest.fixture
def tarn(project):
    """Topics and schemas only: nothing here needs a database."""
    one = project("storefront", {"postgres": {"port": "off"}})
    for name in "connectors", "migrations":
        shutil.rmtree(one.folder / name, ignore_errors=True)
    return one.start()


def record(*fields):
    return json.dumps({"type": "record", "name": "Order", "namespace": "shop", "fields": list(fields)})


ID = {"name": "id", "type": "long"}
STATUS = {"name": "status", "type": ["null", "string"], "default": None}
TOTAL = {"name": "total", "type": "double"}


def test_a_subject_s_life(tarn):
    base = tarn.url("registry")
    post = lambda path, body: requests.post(base + path, data=json.dumps(body), headers={"Content-Type": V1}, timeout=30)
    assert requests.get(base + "/", timeout=30).json() == {}
    answer = post("/subjects/orders-value/versions", {"schema": record(ID)})
    assert answer.status_code == 200 and answer.headers["Content-Type"] == V1
    first = answer.json()["id"]
    assert post("/subjects/orders-value/versions", {"schema": record(ID, STATUS)}).json()["id"] == first + 1
    refused = post("/subjects/orders-value/versions", {"schema": record(ID, TOTAL)})
    assert refused.status_code == 409 and refused.json()["error_code"] == 409
    check = post("/compatibility/subjects/orders-value/versions/latest?verbose=true", {"schema": record(ID, TOTAL)}).json()
    assert not check["is_compatible"] and "READER_FIELD_MISSING_DEFAULT_VALUE" in check["messages"][0]
    assert requests.get(base + "/subjects/orders-value/versions", timeout=30).json() == [1, 2]
    assert requests.delete(base + "/subjects/orders-value", timeout=30).json() == [1, 2]
    assert requests.get(base + "/subjects/orders-value/versions", timeout=30).json()["error_code"] == 40401
    assert requests.get(base + f"/schemas/ids/{first}", timeout=30).json()["schema"] == json.dumps(
        json.loads(record(ID)), separators=(",", ":"))


def test_confluent_serializer_round_trip(tarn):
    """confluent-kafka-python's Avro producer and consumer, through a topic."""
    topic = f"avro-{uuid.uuid4().hex[:8]}"
    common = {"bootstrap.servers": tarn.address("kafka"), "schema.registry.url": tarn.url("registry")}
    schema = confluent_kafka.avro.loads(record(ID, STATUS))
    key = confluent_kafka.avro.loads('"string"')
    producer = confluent_kafka.avro.AvroProducer(dict(common), default_key_schema=key, default_value_schema=schema)
    for n in range(10):
        producer.produce(topic=topic, key=f"k{n}", value={"id": n, "status": None if n % 2 else "shipped"})
    assert producer.flush(30) == 0
    consumer = confluent_kafka.avro.AvroConsumer(common | {"group.id": topic, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    try:
        seen = {}
        while len(seen) < 10:
            message = consumer.poll(30)
            assert message is not None and message.error() is None
            seen[message.key()] = message.value()
    finally:
        consumer.close()
    assert seen == {f"k{n}": {"id": n, "status": None if n % 2 else "shipped"} for n in range(10)}


def test_confluent_registry_client(tarn):
    client = CachedSchemaRegistryClient({"url": tarn.url("registry")})
    schema = confluent_kafka.avro.loads(record(ID))
    id_ = client.register("client-value", schema)
    assert client.check_registration("client-value", schema) == id_
    assert client.get_latest_schema("client-value") == (id_, schema, 1)
    assert client.get_version("client-value", schema) == 1
    assert client.test_compatibility("client-value", confluent_kafka.avro.loads(record(ID, STATUS)))
    assert not client.test_compatibility("client-value", confluent_kafka.avro.loads(record(ID, TOTAL)))
    with pytest.raises(ClientError):
        client.register("client-value", confluent_kafka.avro.loads(record(ID, TOTAL)))
    assert client.get_compatibility() == "BACKWARD"
    assert client.update_compatibility("NONE", "client-value") == "NONE"
    assert client.get_compatibility("client-value") == "NONE"
    assert client.register("client-value", confluent_kafka.avro.loads(record(ID, TOTAL))) > id_
    assert client.delete_subject("client-value") == [1, 2]


def test_kafkajs_registry_client(tarn):
    done = subprocess.run([shutil.which("node") or "node", ROOT / "tests/e2e/registry_client.cjs", tarn.url("registry")],
                          cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["id"] == seen["again"] == seen["latest"] == seen["byVersion"]
    assert seen["prefix"] == f"00{seen['id']:08x}"
    assert seen["decoded"] == {"id": 7, "status": "pending"}
    assert "incompatible" in seen["refused"]


def test_schemas_survive_a_kill(tarn):
    client = CachedSchemaRegistryClient({"url": tarn.url("registry")})
    schema = confluent_kafka.avro.loads(record(ID))
    id_ = client.register("kept-value", schema)
    tarn.kill()
    tarn.start()
    again = CachedSchemaRegistryClient({"url": tarn.url("registry")})
    assert again.get_latest_schema("kept-value") == (id_, schema, 1)
    assert again.register("other-value", schema) == id_
    assert again.register("third-value", confluent_kafka.avro.loads('"bytes"')) > id_
