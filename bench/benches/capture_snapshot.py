"""Initial snapshot: rows a second from a table to the durable topic, from making the connector to the last row, beside
COPY ... TO STDOUT to /dev/null.  Rows of about 200 bytes."""
import subprocess
import time

import rig as rigs
from benches.capture_stream import ROW, TABLE

FIGURES = ["capture.snapshot"]
NEEDS = ["bench_capture_rig"]
ROWS = 1_000_000


def run():
    with rigs.Postgres() as pg, rigs.Rig() as rig:
        pg.sql(TABLE)
        pg.sql(f"INSERT INTO rec SELECT {ROW} FROM generate_series(1, {ROWS}) i")
        pg.sql("VACUUM ANALYZE rec")
        copy = [rigs.PG_BIN / "psql", "-h", "127.0.0.1", "-p", str(pg.port), "-U", "postgres", "-d", "postgres", "-c", "COPY rec TO STDOUT"]
        start = time.monotonic()
        subprocess.run(copy, check=True, stdout=subprocess.DEVNULL)
        reference = ROWS / (time.monotonic() - start)

        start = time.monotonic()
        rig.put("src", pg.connector())
        rig.wait_end("shop.public.rec", ROWS, 120)
        yield "capture.snapshot", "rows/s", ROWS / (time.monotonic() - start), "COPY TO STDOUT", reference
