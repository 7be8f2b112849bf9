"""A night that is delivered again: its account is that of the delivery that stands, whatever came before."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from include.steps.import_source import import_delivery
from include.steps.read_arrivals import read_delivery
from include.views.deliveries import read_row_accounts
from tests.deployments import lake_only
from tests.everyday import members
from tests.raw_orders import DELIVERIES, SOURCE
from tests.shop import make_orders, on_days

NIGHT, BEFORE, AFTER = "2026-01-08", "2026-01-07", "2026-01-09"
ORDERS = make_orders(days=12)


def rows(*days: str, nameless: float = 0.0) -> pa.Table:
    """Return the orders of days, a share of them without a customer."""
    found = pa.concat_tables([on_days(ORDERS, day, day) for day in days])
    place = pa.array(range(found.num_rows))
    customer = pc.if_else(pc.less(place, int(nameless * found.num_rows)), None, found["customer_id"])
    return found.set_column(found.column_names.index("customer_id"), "customer_id", customer)


RIGHT = {"orders": rows(NIGHT)}
# What came first; then what was put into the folder in its place.
ATTEMPTS = {
    "all without a customer": ({"orders": rows(NIGHT, nameless=1.0)}, RIGHT),
    "a part without a customer": ({"orders": rows(NIGHT, nameless=0.7)}, RIGHT),
    "of a larger shop": ({"orders": pa.concat_tables([rows(BEFORE, NIGHT), rows(AFTER, nameless=1.0)])}, RIGHT),
    "under another name": ({"first": rows(NIGHT, nameless=1.0)}, RIGHT),
    "in two files": ({"one": rows(NIGHT, nameless=1.0), "two": rows(BEFORE)}, RIGHT),
    "right and then wrong": (RIGHT, {"orders": rows(NIGHT, nameless=1.0)}),
    "with another file beside it": (RIGHT, {**RIGHT, "late": rows(BEFORE, nameless=0.5)}),
    "empty and then right": ({}, RIGHT),
    "withdrawn": (RIGHT, {}),
}
# What was wrong is put right, what was right is spoilt, and what was there is taken away.
EVERY_DAY = ("in two files", "right and then wrong", "withdrawn")
EACH = members(ATTEMPTS, daily=EVERY_DAY)


def deliver(deployment: SimpleNamespace, night: str, files: dict[str, pa.Table]) -> None:
    """Put files into a night's folder, in place of what is there, and take them."""
    folder = Path(deployment.settings.home) / "landing" / "orders" / f"dt={night}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, table in files.items():
        pq.write_table(table, folder / f"{name}.parquet")
    (folder / "_SUCCESS").touch()
    import_delivery(deployment, night, source="orders", cross_check=False)


@pytest.mark.parametrize("name", EACH)
def test_the_account_of_a_night_is_that_of_the_delivery_that_stands(tmp_path, name):
    again, once = lake_only(tmp_path / "again"), lake_only(tmp_path / "once")
    first, second = ATTEMPTS[name]
    for deployment in (again, once):
        deliver(deployment, BEFORE, {"orders": rows(BEFORE)})
    deliver(again, NIGHT, first)
    for deployment in (again, once):
        deliver(deployment, NIGHT, second)
    # Only whom there was a right row of before is told to be corrected.
    records = [each.lake.read(DELIVERIES.name).drop_columns("rejected_corrections") for each in (again, once)]
    assert records[0].sort_by([("dt", "ascending"), ("source", "ascending")]) == records[1].sort_by(
        [("dt", "ascending"), ("source", "ascending")]
    )
    assert read_row_accounts(again.lake) == read_row_accounts(once.lake)
    found, expected = (read_delivery(each, SOURCE, NIGHT) for each in (again, once))
    corrections = rows(NIGHT).num_rows if name == "right and then wrong" else expected.rejected_corrections
    assert found == replace(expected, rejected_corrections=corrections)


@pytest.mark.parametrize("name", members(ATTEMPTS, daily=["right and then wrong"]))
def test_the_same_delivery_again_writes_nothing_of_deliveries(tmp_path, name):
    deployment = lake_only(tmp_path)
    for files in ATTEMPTS[name]:
        deliver(deployment, NIGHT, files)
    version = deployment.lake.version(DELIVERIES.name)
    deliver(deployment, NIGHT, ATTEMPTS[name][1])
    assert deployment.lake.version(DELIVERIES.name) == version


def test_what_was_set_aside_at_first_stays_in_the_quarantine(tmp_path):
    deployment = lake_only(tmp_path)
    deliver(deployment, NIGHT, {"orders": rows(NIGHT, nameless=1.0)})
    deliver(deployment, NIGHT, RIGHT)
    assert deployment.lake.read("quarantine/orders").num_rows == RIGHT["orders"].num_rows
