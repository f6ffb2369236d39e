"""A full disk: what cannot be written is refused, what is there can be read, and writing goes on when there is room."""
import contextlib
import os
import pathlib
import subprocess
import tempfile

import confluent_kafka
import pytest

from conftest import wait_for


@contextlib.contextmanager
def small_disk(size):
    """A file system of its own, of `size`; mounting one takes root."""
    folder = tempfile.mkdtemp(prefix="tarn-disk-")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", folder], check=True)
    try:
        yield pathlib.Path(folder)
    finally:
        subprocess.run(["umount", folder], check=True)
        os.rmdir(folder)


@pytest.fixture
def disk():
    with small_disk("96m") as folder:
        yield folder


def produce(tarn, count, size=100_000):
    """(acknowledged, errors) of `count` messages."""
    acked, errors = [], []
    producer = confluent_kafka.Producer({"bootstrap.servers": tarn.address("kafka"), "message.timeout.ms": 5000,
                                         "enable.idempotence": False, "acks": "all", "linger.ms": 0})
    for n in range(count):
        producer.produce("filling", os.urandom(size), key=str(n),
                         on_delivery=lambda e, m: errors.append(e) if e else acked.append(m.offset()))
        producer.flush(10)
        if errors:
            break
    return acked, errors


def read_all(tarn, count):
    consumer = confluent_kafka.Consumer({"bootstrap.servers": tarn.address("kafka"), "group.id": "reader",
                                         "auto.offset.reset": "earliest", "enable.auto.commit": False})
    consumer.assign([confluent_kafka.TopicPartition("filling", 0, 0)])
    got = []
    while len(got) < count:
        message = consumer.poll(20)
        assert message is not None and not message.error(), f"after {len(got)} messages: {message and message.error()}"
        got.append(message.offset())
    consumer.close()
    return got


def test_a_full_disk_stops_writing_and_nothing_else(project, disk):
    filler = disk / "filler"
    tarn = project(settings={"data": str(disk / "data"), "postgres": {"port": "off"}, "ingest": {"port": "off"},
                             "log": {"journal_bytes": "1 MiB", "segment_bytes": "4 MiB"}})
    for connector in (tarn.folder / "connectors").iterdir():
        connector.unlink()
    tarn.start()
    try:
        before, errors = produce(tarn, 20)
        assert len(before) == 20 and not errors
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        filler.write_bytes(b"x" * max(0, free - 3_000_000))
        acked, errors = produce(tarn, 200)
        assert errors, "200 messages of 100 kB fit on 3 MB"
        assert "no space left" in tarn.log_end(200).lower(), "the log does not say what is wrong"
        assert read_all(tarn, 20 + len(acked)) == list(range(20 + len(acked))), "what was acknowledged can be read"
        filler.unlink()

        def writes_again():
            more, errors = produce(tarn, 1)
            return more and not errors

        wait_for(writes_again, "writing to go on when there is room", 30)
        tarn.restart()
        assert read_all(tarn, 20 + len(acked) + 1)[-1] >= 20 + len(acked)
    finally:
        tarn.stop()
