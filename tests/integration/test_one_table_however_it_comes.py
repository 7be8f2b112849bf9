"""One table, however its rows are spread over files, parts and deliveries; and an account that says what happened."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.adapters.deployment import Deployment
from include.settings import Settings
from include.steps.account_source import ImportAccount
from include.steps.import_source import import_delivery, import_file
from tests.raw_orders import ORDERS, QUARANTINE
from tests.real_data import real_data
from tests.unit.quality.orders_builder import AS_OF, make_dirty_orders, make_orders

# All of the real log takes minutes.
ROWS = int(os.environ.get("REAL_LOG_ROWS", "6000"))
SLICES = int(os.environ.get("REAL_LOG_SLICES", "6"))
NIGHT = "2026-03-20"


def real_log() -> tuple[pa.Table, str]:
    return pq.read_table(real_data("online_retail/online_retail.parquet")).slice(0, ROWS), "online-retail"


def canonical() -> tuple[pa.Table, str]:
    return make_orders(1_500, seed=5, days=30), "canonical"


def dealt(rows: pa.Table, count: int) -> list[pa.Table]:
    return [rows.take(pa.array(np.arange(start, rows.num_rows, count))) for start in range(count)]


def shuffled(rows: pa.Table, count: int) -> list[pa.Table]:
    order = np.random.default_rng(3).permutation(rows.num_rows)
    return [rows.take(pa.array(part)) for part in np.array_split(order, count)]


def sliced(rows: pa.Table, count: int) -> list[pa.Table]:
    ends = np.linspace(0, rows.num_rows, count + 1).astype(int)
    return [rows.slice(start, end - start) for start, end in pairwise(ends)]


def one_row_in_front(rows: pa.Table) -> list[pa.Table]:
    other = rows.slice(0, 1)
    place = next(n for n in ("Quantity", "quantity") if n in rows.column_names)
    front = other.set_column(other.column_names.index(place), place, pa.array([99], rows.schema.field(place).type))
    return [rows, pa.concat_tables([front, rows])]


SPREADS: dict[str, Callable[[pa.Table], list[pa.Table]]] = {
    "slices in order": lambda rows: sliced(rows, SLICES),
    "4 files dealt out in turn": lambda rows: dealt(rows, 4),
    "3 shuffled parts": lambda rows: shuffled(rows, 3),
    "twice": lambda rows: [rows, rows],
}


# Slices keep the order that the others break, and shuffled rows are as much out of it as those that are dealt out.
FURTHER = ("slices in order", "3 shuffled parts")


def deployment_in(folder: Path) -> Deployment:
    return Deployment(Settings.from_env({"MLOPS_HOME": str(folder)}))


def imported(folder: Path, files: list[pa.Table], file_format: str) -> tuple[Deployment, list[ImportAccount]]:
    deployment, accounts = deployment_in(folder / "home"), []
    for number, rows in enumerate(files):
        path = folder / f"file-{number}.{'csv' if number % 2 else 'parquet'}"
        pacsv.write_csv(rows, path) if number % 2 else pq.write_table(rows, path)
        accounts.append(import_file(deployment, path, source="orders", file_format=file_format, as_of=AS_OF))
    return deployment, accounts


@pytest.fixture(scope="module", params=[real_log, canonical], ids=lambda made: made.__name__)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[pa.Table, str, str]:
    rows, file_format = request.param()
    folder = tmp_path_factory.mktemp("whole")
    deployment, [account] = imported(folder, [rows], file_format)
    assert account.rows_published == deployment.lake.read(ORDERS.name).num_rows > 0
    return rows, file_format, deployment.lake.digest(ORDERS.name)


@pytest.mark.parametrize(
    "spread",
    [
        pytest.param(spread, id=name, marks=[pytest.mark.thorough] * (name in FURTHER))
        for name, spread in SPREADS.items()
    ],
)
def test_the_table_is_the_same_to_the_row(whole, spread, tmp_path):
    rows, file_format, digest = whole
    files = spread(rows)
    deployment, accounts = imported(tmp_path, files, file_format)
    assert deployment.lake.digest(ORDERS.name) == digest
    assert [account.rows_in for account in accounts] == [file.num_rows for file in files]
    for account in accounts:
        assert account.rows_in == account.rows_published + account.rows_quarantined
        assert account.rows_quarantined == sum(account.rules.values())
        assert account.conflicting == account.superseded == account.replaced == 0
    assert sum(account.added for account in accounts) == deployment.lake.read(ORDERS.name).num_rows


def test_one_row_more_in_front_is_one_row_more_or_another_version(whole, tmp_path):
    rows, file_format, _ = whole
    deployment, [first, again] = imported(tmp_path, one_row_in_front(rows), file_format)
    table = deployment.lake.read(ORDERS.name)
    assert again.rows_in == first.rows_in + 1
    # A line that is known by what it says is another line; one that is known by its number is another version.
    new, superseded = (1, 0) if file_format == "online-retail" else (0, 1)
    assert (again.added, again.superseded, again.unchanged) == (new, superseded, first.rows_published)
    assert table.num_rows == first.rows_published + new


def deliver(deployment: Deployment, parts: list[pa.Table]) -> ImportAccount:
    folder = deployment.settings.home / "landing" / "orders" / f"dt={NIGHT}"
    folder.mkdir(parents=True)
    for number, rows in enumerate(parts):
        pq.write_table(rows, folder / f"part-{number}.parquet")
    (folder / "_SUCCESS").touch()
    return import_delivery(deployment, NIGHT, source="orders", cross_check=False)


@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10_000), rows=st.integers(1, 60), parts=st.integers(1, 5))
def test_what_is_published_is_in_the_table_and_all_else_is_set_aside(tmp_path_factory, seed, rows, parts):
    dirty = make_dirty_orders(rows, seed=seed)
    deployment = deployment_in(tmp_path_factory.mktemp("dirty"))
    account = deliver(deployment, shuffled(dirty, parts))
    lake = deployment.lake
    assert account.rows_in == dirty.num_rows == account.rows_published + account.rows_quarantined
    assert account.rows_published == lake.read(ORDERS.name).num_rows
    assert account.rows_quarantined == lake.read(QUARANTINE.name).num_rows == sum(account.rules.values())
    again = import_delivery(deployment, NIGHT, source="orders", cross_check=False)
    assert (again.rows_published, again.unchanged, again.rules) == (
        account.rows_published,
        account.rows_published,
        account.rules,
    )


@pytest.mark.parametrize("spread", [dealt, shuffled, sliced])
def test_a_night_in_parts_is_the_night_in_one_file(spread, tmp_path):
    rows = make_orders(200, seed=8, days=1, start=datetime(2026, 3, 20, tzinfo=UTC))
    one, many = deployment_in(tmp_path / "one"), deployment_in(tmp_path / "many")
    assert deliver(one, [rows]).rows_published == deliver(many, spread(rows, 4)).rows_published == 200
    assert one.lake.digest(ORDERS.name) == many.lake.digest(ORDERS.name)
