"""The lake's tables read by programs that are not ours, through the S3 door: icebird reads rows, Debian's avro reads manifests.
What they see is what PostgreSQL has."""
import contextlib
import io
import json
import os
import subprocess

import avro.datafile
import avro.io
import boto3
import pytest
from botocore.client import Config

from conftest import ROOT
from test_spine import TABLES, database, seed, verified

KEY, SECRET = "tarn", "tarn-secret"


def iceberg(tarn, *tables):
    done = subprocess.run(["node", ROOT / "tests/e2e/iceberg_reader.mjs", tarn.url("s3"), "lakehouse", *tables], cwd=ROOT,
                          env={**os.environ, "S3_KEY": KEY, "S3_SECRET": SECRET}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def store(tarn):
    return boto3.client("s3", endpoint_url=tarn.url("s3"), aws_access_key_id=KEY, aws_secret_access_key=SECRET,
                        region_name="us-east-1", config=Config(s3={"addressing_style": "path"}))


def read(s3, uri):
    bucket, key = uri.removeprefix("s3://").split("/", 1)
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def records(s3, uri):
    return list(avro.datafile.DataFileReader(io.BytesIO(read(s3, uri)), avro.io.DatumReader()))


def metadata(s3, table):
    folder = f"s3://lakehouse/storefront/{table}/metadata/"
    return json.loads(read(s3, f"{folder}{read(s3, folder + 'version-hint.text').decode()}.metadata.json"))


def change_the_shop(tarn):
    """Updates and deletes of rows that a snapshot has already: position deletes in silver."""
    with contextlib.closing(database(tarn)) as db, db.cursor() as c:
        c.execute("UPDATE orders SET status = 'cancelled' WHERE id % 7 = 0")
        c.execute("UPDATE customers SET full_name = 'Ümit \"Ü\" O''Brien', city = NULL WHERE id % 5 = 0")
        c.execute("DELETE FROM payments WHERE id % 11 = 0")
        c.execute("UPDATE products SET price = price + 0.01, stock_quantity = -1 WHERE id % 3 = 0")


def source_rows(tarn, table):
    """As text that both sides can be brought to: times in milliseconds, decimals with their two places."""
    with contextlib.closing(database(tarn)) as db, db.cursor() as c:
        c.execute("SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s ORDER BY ordinal_position",
                  (table,))
        columns = c.fetchall()
        as_text = {"timestamp without time zone": "to_char(date_trunc('milliseconds', {0}), 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')",
                   "numeric": "{0}::text"}
        c.execute(f"SELECT {', '.join(as_text.get(t, '{0}').format(n) for n, t in columns)} FROM {table}")
        return [n for n, _ in columns], sorted(c.fetchall()), {n for n, t in columns if t == "numeric"}


def reader_rows(rows, columns, decimals):
    def text(name, value):
        return f"{value:.2f}" if name in decimals and value is not None else value
    return sorted(tuple(text(n, row[n]) for n in columns) for row in rows)


@pytest.fixture
def shop(tarn):
    seed(tarn, 300)
    verified(tarn)
    change_the_shop(tarn)
    return tarn


def test_icebird_reads_what_postgresql_has(shop):
    report = {t["table"].removeprefix("public."): t for t in verified(shop)["tables"]}
    seen = iceberg(shop, *(f"storefront/{layer}/{table}" for layer in ("bronze", "silver") for table in TABLES))
    deletes = {table: seen[f"storefront/silver/{table}"]["files"]["deletes"] for table in TABLES}
    assert all(deletes[t] > 0 for t in ("orders", "customers", "payments", "products")), deletes
    for table in TABLES:
        columns, source, decimals = source_rows(shop, table)
        assert reader_rows(seen[f"storefront/silver/{table}"]["rows"], columns, decimals) == source, table
        bronze = seen[f"storefront/bronze/{table}"]["rows"]
        assert len(bronze) == report[table]["topic"]["events"]
        assert len({row["_offset"] for row in bronze}) == len(bronze), "each change once"
        last = {row["id"]: row for row in sorted(bronze, key=lambda row: row["_offset"])}
        alive = [row for row in last.values() if row["_op"] != "d"]
        assert reader_rows(alive, columns, decimals) == source, f"the changes of {table}, replayed"


def test_avro_reads_the_manifests(shop):
    report = {t["table"].removeprefix("public."): t for t in verified(shop)["tables"]}
    s3 = store(shop)
    for table in TABLES:
        meta = metadata(s3, f"silver/{table}")
        snapshot = next(s for s in meta["snapshots"] if s["snapshot-id"] == meta["current-snapshot-id"])
        manifests = records(s3, snapshot["manifest-list"])
        rows = {0: 0, 1: 0}
        for manifest in manifests:
            for entry in records(s3, manifest["manifest_path"]):
                file = entry["data_file"]
                if entry["status"] != 2:
                    rows[file["content"]] += file["record_count"]
                    assert len(read(s3, file["file_path"])) == file["file_size_in_bytes"]
            assert len(read(s3, manifest["manifest_path"])) == manifest["manifest_length"]
        assert rows[0] - rows[1] == report[table]["source"]["rows"], table
        assert int(snapshot["summary"]["total-records"]) == rows[0]
        assert int(snapshot["summary"].get("total-position-deletes", 0)) == rows[1]
