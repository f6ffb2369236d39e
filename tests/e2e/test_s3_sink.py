"""The S3 sink connector: records of a topic become objects, once each, through kills and a full disk."""
import contextlib
import io
import json
import os
import shutil
import threading

import avro.datafile
import avro.io
import boto3
import confluent_kafka.avro
import pytest
from botocore.client import Config
from confluent_kafka import Consumer, TopicPartition
from conftest import request, wait_for
from test_full_disk import disk  # noqa: F401

SCHEMA = {"type": "record", "name": "Order", "namespace": "shop", "fields": [
    {"name": "n", "type": "long"}, {"name": "note", "type": ["null", "string"], "default": None}]}
KEY = confluent_kafka.avro.loads('"string"')


class Rig:
    """A project with topics, schemas, objects and connectors, and no database."""

    def __init__(self, one):
        self.one = one
        for folder in ("connectors", "migrations"):
            shutil.rmtree(one.folder / folder, ignore_errors=True)
        one.start()

    def producer(self):
        return confluent_kafka.avro.AvroProducer({"bootstrap.servers": self.one.address("kafka"),
                                                  "schema.registry.url": self.one.url("registry"), "linger.ms": 5,
                                                  "message.timeout.ms": 5000},
                                                 default_key_schema=KEY)

    def produce(self, topic, numbers, schema=SCHEMA, note=None):
        producer = self.producer()
        for n in numbers:
            producer.produce(topic=topic, key=str(n), value={"n": n, "note": note or (None if n % 2 else f"note {n}")},
                             value_schema=confluent_kafka.avro.loads(json.dumps(schema)))
            producer.poll(0)
        assert producer.flush(30) == 0

    def sink(self, name, topics, check=True, **config):
        config = {"connector.class": "io.confluent.connect.s3.S3SinkConnector", "topics": topics, "s3.bucket.name": "raw",
                  "s3.region": "us-east-1", "store.url": "http://minio:9000", "topics.dir": "kafka", "flush.size": "100",
                  "timezone": "UTC", **{k.replace("_", "."): v for k, v in config.items()}}
        status, body = request("PUT", self.one.url("connect", f"/connectors/{name}/config"), config)
        assert not check or status in (200, 201), body
        return status, body

    def state(self, name):
        status = request("GET", self.one.url("connect", f"/connectors/{name}/status"))[1]
        return [(t["state"], t.get("trace")) for t in status["tasks"]]

    def s3(self):
        return boto3.client("s3", endpoint_url=self.one.url("s3"), aws_access_key_id="tarn", aws_secret_access_key="tarn-secret",
                            region_name="us-east-1", config=Config(retries={"max_attempts": 2}))

    def keys(self):
        pages = self.s3().get_paginator("list_objects_v2").paginate(Bucket="raw", Prefix="kafka/")
        return [o["Key"] for page in pages for o in page.get("Contents", [])]

    def objects(self):
        """Key -> the numbers in it, as somebody else's Avro reads them."""
        s3, out = self.s3(), {}
        for key in self.keys():
            data = io.BytesIO(s3.get_object(Bucket="raw", Key=key)["Body"].read())
            out[key] = [r["n"] for r in avro.datafile.DataFileReader(data, avro.io.DatumReader())]
        return out

    def numbers(self):
        return [n for numbers in self.objects().values() for n in numbers]


@pytest.fixture
def rig(project):
    return Rig(project(settings={"postgres": {"port": "off"}, "kafka": {"auto_create": "true"}}))


def test_every_hundred_records_are_an_object(rig):
    rig.produce("orders", range(250))
    rig.sink("sink", "orders")
    first = "kafka/orders/partition=0/orders+0+0000000000.avro"
    objects = wait_for(lambda: len(found := rig.objects()) == 2 and found, "two objects")
    assert objects == {first: list(range(100)), first.replace("0000000000", "0000000100"): list(range(100, 200))}
    head = avro.datafile.DataFileReader(io.BytesIO(rig.s3().get_object(Bucket="raw", Key=first)["Body"].read()),
                                        avro.io.DatumReader())
    assert json.loads(head.meta["avro.schema"])["name"] == "Order"
    offsets = request("GET", rig.one.url("connect", "/connectors/sink/offsets"))[1]["offsets"]
    assert [o["offset"]["kafka_offset"] for o in offsets] == [200]
    rig.produce("orders", range(250, 320))
    wait_for(lambda: sorted(rig.numbers()) == list(range(300)), "the third object")


def test_a_schema_change_and_the_clock_close_files(rig):
    rig.sink("sink", "orders", rotate_schedule_interval_ms="500")
    rig.produce("orders", range(10))
    wait_for(lambda: sorted(rig.numbers()) == list(range(10)), "the clock's rotation")
    wider = {**SCHEMA, "fields": SCHEMA["fields"] + [{"name": "x", "type": ["null", "int"], "default": None}]}
    rig.sink("sink", "orders", rotate_schedule_interval_ms="-1")
    rig.produce("orders", range(10, 13))
    rig.produce("orders", range(13, 20), wider)
    wait_for(lambda: sorted(rig.numbers()) == list(range(13)), "the old schema's records")


def test_no_record_is_lost_or_doubled_by_kills(rig):
    """Records come all the time; the program is killed three times; each record is in one object."""
    rig.sink("sink", "orders", flush_size="25")
    rig.produce("orders", range(100))
    for kill in range(3):
        seen, stop = len(rig.keys()), threading.Event()

        def produce():
            with contextlib.suppress(Exception):  # the kill: what was acknowledged is on the topic, and that is what counts
                while not stop.is_set():
                    rig.produce("orders", range(50))

        sender = threading.Thread(target=produce)
        sender.start()
        wait_for(lambda: len(rig.keys()) >= seen + 8, "objects to come")
        rig.one.kill()
        stop.set()
        sender.join(60)
        rig.one.start()
    rig.sink("sink", "orders", flush_size="25", rotate_schedule_interval_ms="200")  # all that is there
    offsets = lambda: request("GET", rig.one.url("connect", "/connectors/sink/offsets"))[1]["offsets"]
    low, end = Consumer({"bootstrap.servers": rig.one.address("kafka"), "group.id": "x"}).get_watermark_offsets(
        TopicPartition("orders", 0), timeout=10)
    wait_for(lambda: [o["offset"]["kafka_offset"] for o in offsets()] == [end], "the sink to reach the end")
    sizes = {int(key.rsplit("+", 1)[1].split(".")[0]): len(numbers) for key, numbers in rig.objects().items()}
    at = low
    for offset in sorted(sizes):
        assert offset == at, "objects join without a gap or an overlap"
        at += sizes[offset]
    assert at == end


def test_days(rig):
    rig.produce("orders", range(5))
    rig.sink("sink", "orders", flush_size="5", partitioner_class="io.confluent.connect.storage.partitioner.DailyPartitioner",
             timestamp_extractor="Record", locale="en")
    (key,) = wait_for(rig.objects, "an object")
    assert key.startswith("kafka/orders/year=20") and key.endswith("/orders+0+0000000000.avro") and "/month=" in key


@pytest.mark.parametrize("config, told", [
    ({"connector_class": "com.example.Nothing"}, "Failed to find any class that implements Connector"),
    ({"flush_size": "many"}, "Invalid value many for configuration flush.size: Not a number of type INT"),
    ({"flush_size": ""}, "flush.size"),
    ({"format_class": "io.confluent.connect.s3.format.parquet.ParquetFormat"}, "configuration format.class"),
    ({"timezone": "Europe/Berlin"}, "configuration timezone: only UTC is supported"),
])
def test_bad_configurations_are_refused(rig, config, told):
    status, body = rig.sink("sink", "orders", check=False, **config)
    assert status == 400 and told in body["message"]


def test_a_missing_bucket_and_foreign_records_fail_the_task(rig):
    rig.produce("orders", range(3))
    rig.sink("nowhere", "orders", s3_bucket_name="nowhere")
    wait_for(lambda: rig.state("nowhere")[0][0] == "FAILED", "the task to fail")
    assert "Non-existent S3 bucket: nowhere" in rig.state("nowhere")[0][1]
    plain = confluent_kafka.Producer({"bootstrap.servers": rig.one.address("kafka")})
    plain.produce("plain", b'{"n": 1}')
    plain.flush(10)
    rig.sink("plain", "plain")
    wait_for(lambda: rig.state("plain")[0][0] == "FAILED", "the task to fail")
    assert "not Avro" in rig.state("plain")[0][1] and "offset 0" in rig.state("plain")[0][1]


def test_a_full_disk_is_waited_out(project, disk):  # noqa: F811
    rig = Rig(project(settings={"postgres": {"port": "off"}, "data": str(disk / "data"), "kafka": {"auto_create": "true"},
                                "log": {"journal_bytes": "1 MiB", "segment_bytes": "16 MiB"}}))
    try:
        rig.sink("sink", "orders", flush_size="60")
        wait_for(lambda: request("PUT", rig.one.url("connect", "/connectors/sink/pause"))[0] == 202, "the sink to pause")
        rig.produce("orders", range(60), note="x" * 100_000)
        filler = disk / "filler"
        filler.write_bytes(b"x" * max(0, os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - 2_000_000))
        assert request("PUT", rig.one.url("connect", "/connectors/sink/resume"))[0] == 202
        wait_for(lambda: "task sink-0 tries again" in rig.one.log_end(200), "the sink to find the disk full")
        assert rig.state("sink") == [("RUNNING", None)] and rig.objects() == {}
        filler.unlink()
        wait_for(lambda: sorted(rig.numbers()) == list(range(60)), "the object, now that there is room")
    finally:
        rig.one.stop()
