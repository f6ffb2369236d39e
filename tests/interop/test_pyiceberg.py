"""The storefront's tables in pyiceberg, through the S3 door, against PostgreSQL's rows: counts, values, metrics, snapshots."""
import contextlib

import pytest
from pyiceberg.expressions import EqualTo, GreaterThanOrEqual, IsNull, LessThan, NotNull
from pyiceberg.table import StaticTable

from test_iceberg_readers import KEY, SECRET, change_the_shop
from test_spine import TABLES, changes, database, seed, traffic, verified
from conftest import project, request, tarn, wait_for  # noqa: F401 (fixtures)


def table(tarn, layer, name):
    """As the files alone tell: version-hint.text names the newest metadata."""
    return StaticTable.from_metadata(f"s3://lakehouse/storefront/{layer}/{name}",
                                     {"s3.endpoint": tarn.url("s3"), "s3.access-key-id": KEY, "s3.secret-access-key": SECRET,
                                      "s3.region": "us-east-1", "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO"})


def source(tarn, name, where="true"):
    with contextlib.closing(database(tarn)) as db, db.cursor() as c:
        c.execute(f"SELECT * FROM {name} WHERE {where}")
        return [d.name for d in c.description], sorted(c.fetchall())


def rows(found, columns):
    return sorted(tuple(row[n] for n in columns) for row in found.to_pylist())


@pytest.fixture
def shop(tarn):
    seed(tarn, 500)
    verified(tarn)
    change_the_shop(tarn)
    traffic(tarn, 50)
    wait_for(lambda: changes(tarn) > 100, "live traffic")
    assert request("POST", tarn.url("ingest", "/seed/stop"))[0] == 200
    verified(tarn)
    return tarn


def test_silver_is_the_source(shop):
    for name in TABLES:
        columns, want = source(shop, name)
        assert rows(table(shop, "silver", name).scan().to_arrow(), columns) == want, name


def test_bronze_replayed_is_the_source(shop):
    for name in TABLES:
        columns, want = source(shop, name)
        found = sorted(table(shop, "bronze", name).scan().to_arrow().to_pylist(), key=lambda row: row["_offset"])
        assert [row["_offset"] for row in found] == list(range(len(found))), "each change once"
        last = {row["id"]: row for row in found}
        assert sorted(tuple(row[n] for n in columns) for row in last.values() if row["_op"] != "d") == want, name


def test_metrics_skip_no_row(shop):
    """A filter is checked against each file's bounds first: wrong ones would lose rows."""
    orders, customers = table(shop, "silver", "orders"), table(shop, "silver", "customers")
    for filters, where in ((LessThan("id", 10), "id < 10"), (GreaterThanOrEqual("total", 100), "total >= 100"),
                           (EqualTo("status", "cancelled"), "status = 'cancelled'")):
        columns, want = source(shop, "orders", where)
        assert rows(orders.scan(row_filter=filters).to_arrow(), columns) == want, where
    for filters, where in ((IsNull("city"), "city IS NULL"), (NotNull("city"), "city IS NOT NULL")):
        columns, want = source(shop, "customers", where)
        assert rows(customers.scan(row_filter=filters).to_arrow(), columns) == want, where


def test_each_snapshot_can_be_read(shop):
    orders = table(shop, "silver", "orders")
    assert len(orders.snapshots()) > 1
    for snapshot in orders.snapshots():
        seen = orders.scan(snapshot_id=snapshot.snapshot_id).to_arrow()
        summary = snapshot.summary.additional_properties
        assert seen.num_rows == int(summary["total-records"]) - int(summary.get("total-position-deletes", 0))
        assert len(set(seen["id"].to_pylist())) == seen.num_rows, "one row a key"
