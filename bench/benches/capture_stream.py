"""Streaming capture: rows a second from a slot with a backlog to the durable topic, beside pg_recvlogical writing a copy of the
same slot to /dev/null.  Rows of about 200 bytes, 100 a transaction."""
import subprocess
import time

import rig as rigs

FIGURES = ["capture.stream"]
NEEDS = ["bench_capture_rig"]
ROWS, PER_TRANSACTION = 300_000, 100
TABLE = ("CREATE TABLE rec (id bigint PRIMARY KEY, name text NOT NULL, note text, total numeric(10,2), count int, at timestamp, "
         "changed timestamptz)")
ROW = ("i, 'customer number ' || i, repeat(md5(i::text), 3), (i % 100000) / 100.0, i % 1000, '2026-01-01'::timestamp + i * interval '1 second', "
       "'2026-01-01 00:00:00+00'::timestamptz + i * interval '1 second'")


def fill(pg, rows):
    pg.sql(f"DO $$ BEGIN FOR n IN 0..{rows // PER_TRANSACTION - 1} LOOP INSERT INTO rec SELECT {ROW} FROM "
           f"generate_series(n * {PER_TRANSACTION} + 1, (n + 1) * {PER_TRANSACTION}) i; COMMIT; END LOOP; END $$")


def run():
    with rigs.Postgres() as pg, rigs.Rig() as rig:
        pg.sql(TABLE)
        rig.put("src", pg.connector())
        rigs.wait_for(lambda: rig.offset("src").get("snapshot_completed"), "the snapshot")
        rig.rest("PUT", "/connectors/src/pause")
        rigs.wait_for(lambda: not pg.sql("SELECT 1 FROM pg_replication_slots WHERE active"), "the slot to be free")
        pg.sql("SELECT pg_copy_logical_replication_slot('tarn', 'copy')")
        fill(pg, ROWS)
        end = pg.sql("SELECT pg_current_wal_flush_lsn()")[0][0]

        start = time.monotonic()
        subprocess.run([rigs.PG_BIN / "pg_recvlogical", "-h", "127.0.0.1", "-p", str(pg.port), "-U", "postgres", "-d", "postgres", "--slot", "copy",
                        "--start", "-f", "/dev/null", "-o", "proto_version=1", "-o", "publication_names=tarn_pub", "--endpos", end, "--no-loop"],
                       check=True, stderr=subprocess.DEVNULL)
        reference = ROWS / (time.monotonic() - start)

        start = time.monotonic()
        rig.rest("PUT", "/connectors/src/resume")
        rig.wait_end("shop.public.rec", ROWS, 120)
        yield "capture.stream", "rows/s", ROWS / (time.monotonic() - start), "pg_recvlogical", reference
