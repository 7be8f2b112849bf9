"""An import in parts is the import of the whole file: its account, its rows, its records, its refusals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from include.adapters.deployment import Deployment
from include.adapters.lake import portions
from include.errors import UnreadableInputError
from include.settings import Settings
from include.steps import judge_source, publish_source
from include.steps.import_source import import_delivery, import_file
from tests.raw_orders import DELIVERIES, ORDERS, QUARANTINE
from tests.unit.quality.orders_builder import AS_OF, INSTANT, make_dirty_orders, make_orders, order, table

TABLES = (QUARANTINE.name, ORDERS.name, DELIVERIES.name)
WHOLE = 1_000_000

Outcome = tuple[list[dict[str, Any]], list[tuple[int | None, str, list[Any]]]]


@pytest.fixture
def outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Import files one after another, so many rows at a time; return the accounts and the tables."""

    def run(rows: int, *files: Path, file_format: str = "canonical") -> Outcome:
        monkeypatch.setattr(judge_source, "ROWS_AT_ONCE", rows)
        monkeypatch.setattr(portions, "ROWS_AT_ONCE", rows)
        monkeypatch.setattr(publish_source, "_BATCH", max(1, rows // 3))
        deployment = Deployment(Settings.from_env({"MLOPS_HOME": str(tmp_path / f"home-{rows}")}))
        accounts = [
            asdict(
                import_file(deployment, file, source="orders", file_format=file_format, as_of=AS_OF, cross_check=False)
            )
            for file in files
        ]
        return accounts, [_table(deployment, name) for name in TABLES]

    return run


def _table(deployment: Deployment, name: str) -> tuple[int | None, str, list[Any]]:
    lake = deployment.lake
    if not lake.exists(name):
        return None, "", []
    return lake.version(name), lake.digest(name), sorted(lake.partitions(name))


def _online_retail(seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    lines = []
    for _ in range(150):
        at = datetime(2026, 3, 1) + timedelta(minutes=int(rng.integers(20_000)))  # noqa: DTZ001
        invoice = [None, *(f"{sign}{n}" for sign in ("", "C") for n in range(20))][rng.integers(41)]
        lines.append(
            {
                "InvoiceNo": invoice, "StockCode": f"P{rng.integers(3)}", "Description": "a, \"b\"\nc",
                "Quantity": int(rng.integers(-2, 4)), "InvoiceDate": at, "UnitPrice": float(rng.integers(3)),
                "CustomerID": [None, 7.0, 8.0][rng.integers(3)], "Country": "x",
            }
        )  # fmt: skip
    lines += [dict(lines[int(rng.integers(150))]) for _ in range(40)]
    return pa.Table.from_pylist(lines)


@pytest.mark.parametrize(("rows", "seed"), [pytest.param(11, 0, marks=pytest.mark.thorough), (40, 1)])
def test_dirty_orders_in_parts_come_out_as_the_whole(
    outcome: Callable[..., Outcome], tmp_path: Path, seed: int, rows: int
) -> None:
    first, second = tmp_path / "first.parquet", tmp_path / "second.parquet"
    dirty = make_dirty_orders(60, seed=seed)
    pq.write_table(dirty, first, row_group_size=25)
    newer = dirty.set_column(9, "received_at", pa.array([AS_OF - timedelta(days=1)] * dirty.num_rows, INSTANT))
    pq.write_table(pa.concat_tables([newer.slice(40) if seed else newer, make_orders(9)]), second)
    assert outcome(rows, first, second, first) == outcome(WHOLE, first, second, first)


@pytest.mark.parametrize(("rows", "extension"), [(30, "csv"), pytest.param(50, "parquet", marks=pytest.mark.thorough)])
def test_lines_of_an_invoice_are_numbered_alike_wherever_the_parts_end(
    outcome: Callable[..., Outcome], tmp_path: Path, rows: int, extension: str
) -> None:
    path, made = tmp_path / f"orders.{extension}", _online_retail(3)
    pq.write_table(made, path) if extension == "parquet" else pacsv.write_csv(made, path)
    found = outcome(rows, path, path, file_format="online-retail")
    assert found == outcome(WHOLE, path, path, file_format="online-retail")
    (account, again), _ = found
    assert 0 < account["rows_published"] < account["rows_in"] == 190
    assert again["unchanged"] == account["rows_published"]


@pytest.mark.parametrize("last", ["inf", "1"])
def test_a_type_that_the_last_row_decides_holds_in_every_part(
    outcome: Callable[..., Outcome], tmp_path: Path, last: str
) -> None:
    head = "order_id,line,customer_id,ordered_at,product_id,category,quantity,unit_price,country\n"
    rejected = "A{n},1,,2026-03-01T10:00:00,P,,2,2.5,x\n"
    lines = "".join(rejected.format(n=n) for n in range(9)) + f"B,1,7,2026-03-01T10:00:00,P,,{last},2.5,x\n"
    path = tmp_path / "orders.csv"
    path.write_text(head + lines)
    assert outcome(4, path) == outcome(WHOLE, path)


def test_the_first_of_two_faulty_columns_is_named_wherever_its_fault_is(
    outcome: Callable[..., Outcome], tmp_path: Path
) -> None:
    path = tmp_path / "orders.parquet"
    rows = table(*(order(order_id=f"A{n}") for n in range(9)))
    lines = pa.array([1.0] * 8 + [1.5])
    prices = pa.array(["cheap"] + ["1"] * 8)
    pq.write_table(rows.set_column(1, "line", lines).set_column(6, "quantity", pa.array([0.5] + [1.0] * 8)), path)
    for size in (4, WHOLE):
        with pytest.raises(UnreadableInputError, match=r"column line is double with the value 1\.5"):
            outcome(size, path)
    pq.write_table(rows.set_column(7, "unit_price", prices), path)
    with pytest.raises(UnreadableInputError, match="column unit_price is string"):
        outcome(3, path)


@pytest.mark.parametrize("rows", [7])
def test_a_nights_files_in_parts_come_out_as_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    found = []
    for size in (rows, WHOLE):
        monkeypatch.setattr(judge_source, "ROWS_AT_ONCE", size)
        monkeypatch.setattr(portions, "ROWS_AT_ONCE", size)
        deployment = Deployment(Settings.from_env({"MLOPS_HOME": str(tmp_path / f"home-{size}")}))
        folder = deployment.settings.home / "landing" / "orders" / "dt=2026-03-20"
        folder.mkdir(parents=True)
        dirty = make_dirty_orders(20, seed=9)
        pq.write_table(dirty[:14], folder / "a.parquet")
        pq.write_table(dirty[8:], folder / "b.parquet")
        (folder / "_SUCCESS").touch()
        accounts = [
            asdict(import_delivery(deployment, "2026-03-20", source="orders", cross_check=True)) for _ in range(2)
        ]
        found.append((accounts, [_table(deployment, name) for name in TABLES]))
    assert found[0] == found[1]
