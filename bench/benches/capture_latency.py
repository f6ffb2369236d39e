"""Latency of capture: from the answer to COMMIT until the record can be read from the topic, at 1,000 changes a second, one a
transaction.  Beside it the time in which pg_recvlogical has the change (its output is a pipe that is read at once)."""
import os
import select
import subprocess
import threading
import time

import rig as rigs

FIGURES = ["capture.latency_p50", "capture.latency_p99"]
NEEDS = ["bench_capture_rig"]
RATE, SECONDS, WARM = 1000, 8, 1000


def write(pg, count, acked):
    """One row a transaction at RATE; acked gets the clock at each answer, in microseconds."""
    c = pg.connect()
    cur = c.cursor()
    cur.execute("PREPARE put AS INSERT INTO t (v) VALUES ($1)")
    begin = time.monotonic()
    for i in range(count):
        wait = begin + i / RATE - time.monotonic()
        if wait > 0:
            select.select([], [], [], wait)
        cur.execute("EXECUTE put('a change')")
        acked.append(time.time_ns() / 1000)
    c.close()


def reader(pg, seen):
    """pg_recvlogical, and the clock whenever it has written an insert."""
    p = subprocess.Popen([rigs.PG_BIN / "pg_recvlogical", "-h", "127.0.0.1", "-p", str(pg.port), "-U", "postgres", "-d", "postgres", "--slot", "copy",
                          "--start", "-f", "-", "-o", "proto_version=1", "-o", "publication_names=tarn_pub"], stdout=subprocess.PIPE)

    def run():
        while data := os.read(p.stdout.fileno(), 1 << 16):
            now = time.time_ns() / 1000
            seen.extend([now] * data.count(b"a change"))

    threading.Thread(target=run, daemon=True).start()
    return p


def percentiles(later, acked):
    late = sorted((b - a) / 1000 for a, b in list(zip(acked, later))[WARM:])
    return late[len(late) // 2], late[len(late) * 99 // 100]


def run():
    count = WARM + RATE * SECONDS
    with rigs.Postgres() as pg, rigs.Rig() as rig:
        pg.sql("CREATE TABLE t (id serial PRIMARY KEY, v text)")
        rig.put("src", pg.connector())
        rigs.wait_for(lambda: rig.offset("src").get("snapshot_completed"), "the snapshot")
        acked = []
        rig.process.stdin.write(f"times shop.public.t 0 {count}\n")
        rig.process.stdin.flush()
        write(pg, count, acked)
        ours = percentiles([int(t) for t in rig.process.stdout.readline().split()], acked)

        rig.rest("PUT", "/connectors/src/stop")
        rigs.wait_for(lambda: not pg.sql("SELECT 1 FROM pg_replication_slots WHERE active"), "the slot to be free")
        pg.sql("SELECT pg_copy_logical_replication_slot('tarn', 'copy')")
        seen, acked = [], []
        p = reader(pg, seen)
        rigs.wait_for(lambda: pg.sql("SELECT 1 FROM pg_replication_slots WHERE slot_name = 'copy' AND active"), "pg_recvlogical")
        write(pg, count, acked)
        rigs.wait_for(lambda: len(seen) >= count, "pg_recvlogical to have all")
        p.terminate()
        p.wait()
        reference = percentiles(seen, acked)
        yield "capture.latency_p50", "ms", ours[0], "pg_recvlogical", reference[0]
        yield "capture.latency_p99", "ms", ours[1], "pg_recvlogical", reference[1]
