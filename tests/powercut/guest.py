"""guest TARN BOOT: what runs on the machine whose power is cut.

Starts tarn on the disk, reads all there is, and then produces without end; a line of each to the serial port, which the host reads:

    = PARTITION OFFSET NUMBER COUNT   there are so many messages, offsets and numbers going up by one each
    . MILLISECONDS                    all was read; tarn had been ready after so long
    + PARTITION OFFSET NUMBER         acknowledged
    ! TEXT                            what must not happen

Message NUMBER is BOOT * 1000000 + n; n counts the messages of this boot to that partition.
"""
import os
import pathlib
import random
import socket
import subprocess
import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

HERE = pathlib.Path("/run/disk/project")
PORT, TOPIC, PARTITIONS, BOOT_SPAN = 9092, "t", 3, 1_000_000
SETTINGS = "\n".join([f"{role}: {{port: off}}" for role in ("console", "ingest", "registry", "connect", "s3", "postgres")] +
                     [f"kafka: {{port: {PORT}, auto_create: \"false\"}}", "log: {journal_bytes: 1 MiB, segment_bytes: 1 MiB}"])
SERVER = {"bootstrap.servers": f"127.0.0.1:{PORT}"}


def say(text):
    os.write(1, text.encode() + b"\n")


def start(tarn):
    if not HERE.exists():
        HERE.mkdir()
        (HERE / "tarn.yaml").write_text(SETTINGS + "\n")
        os.sync()
    began = time.monotonic()
    with open("/run/tarn.log", "wb") as log:
        server = subprocess.Popen([tarn, "up", HERE], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    while True:
        try:
            socket.create_connection(("127.0.0.1", PORT), 1).close()
            return (time.monotonic() - began) * 1000
        except OSError:
            if server.poll() is not None:
                for line in pathlib.Path("/run/tarn.log").read_text().splitlines()[-12:]:
                    say("! " + line)
                say("! tarn ended with status %d" % server.returncode)
                time.sleep(60)
            time.sleep(0.005)


def value(number):
    """Some are large, which takes another way to the disk."""
    text = b"%d " % number
    size = 700_000 if number % 211 == 5 else number * 7919 % 3000
    return (text * (size // len(text) + 1))[:max(size, len(text))]


def tell_run(p, run):
    if run:
        say(f"= {p} {run[0]} {run[1]} {run[2]}")


def read_all():
    """Everything, in runs."""
    c = Consumer(SERVER | {"group.id": "g", "auto.offset.reset": "error", "enable.partition.eof": True, "enable.auto.commit": False})
    c.assign([TopicPartition(TOPIC, p, 0) for p in range(PARTITIONS)])
    runs, ended = [None] * PARTITIONS, 0
    while ended < PARTITIONS:
        for m in c.consume(1000, 1):
            p = m.partition()
            if m.error():
                if m.error().name() != "_PARTITION_EOF":
                    say(f"! {m.error()}")
                ended += 1
                tell_run(p, runs[p])
                continue
            number = int(m.value().split(b" ", 1)[0])
            if m.value() != value(number):
                say(f"! partition {p}, offset {m.offset()}: other bytes than were sent, of message {number}")
            run = runs[p]
            if run and run[0] + run[2] == m.offset() and run[1] + run[2] == number:
                run[2] += 1
            else:
                tell_run(p, run)
                runs[p] = [m.offset(), number, 1]


def produce(boot):
    p = Producer(SERVER | {"enable.idempotence": True, "linger.ms": 1, "batch.num.messages": 20})
    sent = [0] * PARTITIONS

    def told(error, m):
        say(f"! {error}" if error else f"+ {m.partition()} {m.offset()} {m.key().decode()}")

    while True:
        if len(p) < 60:
            at = random.randrange(PARTITIONS)
            number = boot * BOOT_SPAN + sent[at]
            sent[at] += 1
            p.produce(TOPIC, value(number), key=b"%d" % number, partition=at, on_delivery=told)
        p.poll(0 if len(p) < 40 else 0.01)


def main():
    tarn, boot = sys.argv[1], int(sys.argv[2])
    ready_ms = start(tarn)
    admin = AdminClient(SERVER)
    if TOPIC not in admin.list_topics(timeout=30).topics:
        admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])[TOPIC].result(30)
    read_all()
    say(f". {ready_ms:.0f}")
    produce(boot)


if __name__ == "__main__":
    try:
        main()
    except Exception as e:  # said to the host, which alone can read it
        say(f"! {e!r}")
        time.sleep(60)
