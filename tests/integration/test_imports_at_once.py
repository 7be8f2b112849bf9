"""Imports of one key to different days at the same time: the key is there once, whoever commits first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.adapters.deployment import Deployment
from include.settings import Settings
from include.steps import publish_source
from include.steps.account_source import ImportAccount
from include.steps.import_source import import_file
from tests.raw_orders import ORDERS
from tests.unit.quality.orders_builder import AS_OF, make_orders, order, table

Take = Callable[[pa.Table], ImportAccount]


@pytest.fixture
def take(tmp_path: Path) -> Take:
    """Import rows into one home, each time with adapters of its own."""
    numbers = count()

    def run(rows: pa.Table) -> ImportAccount:
        path = tmp_path / f"{next(numbers)}.parquet"
        pq.write_table(rows, path)
        return import_file(make_deployment(tmp_path), path, source="orders", as_of=AS_OF)

    return run


def make_deployment(folder: Path) -> Deployment:
    return Deployment(Settings.from_env({"MLOPS_HOME": str(folder / "home")}))


def wanderer(day: int, **changes: object) -> pa.Table:
    return table(order(order_id="wanders", ordered_at=datetime(2026, 3, day, 12, tzinfo=UTC), **changes))


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Have something happen once, after the next import has read what is there and before it commits."""

    def arrange(happens: Callable[[], object]) -> None:
        real = publish_source.in_pieces
        waiting = [happens]

        def in_pieces(batches: Iterable[pa.RecordBatch], schema: pa.Schema, *, partition_by: str) -> Iterator[pa.Table]:
            for now in waiting[:]:
                waiting.clear()
                now()
            return real(batches, schema, partition_by=partition_by)

        monkeypatch.setattr(publish_source, "in_pieces", in_pieces)

    return arrange


@pytest.mark.parametrize("there", ["nothing", "those days", "other days", "the key"])
def test_a_key_that_two_imports_bring_to_two_days_is_there_once(
    take: Take, meanwhile: Callable[[Callable[[], object]], None], tmp_path: Path, there: str
) -> None:
    if there != "nothing":
        take(make_orders(n=20, start=datetime(2026, 3, 20 if there == "other days" else 1, tzinfo=UTC)))
    if there == "the key":
        take(wanderer(3, received_at=datetime(2026, 3, 4, tzinfo=UTC)))
    meanwhile(lambda: take(wanderer(2, received_at=datetime(2026, 3, 5, tzinfo=UTC))))
    account = take(wanderer(1, received_at=datetime(2026, 3, 6, tzinfo=UTC)))
    rows = make_deployment(tmp_path).lake.read(ORDERS.name)
    assert [row["dt"].day for row in rows.to_pylist() if row["order_id"] == "wanders"] == [1]
    assert (account.rows_published, account.replaced, account.added) == (1, 1, 0)


def test_a_key_that_was_brought_later_stays(
    take: Take, meanwhile: Callable[[Callable[[], object]], None], tmp_path: Path
) -> None:
    take(make_orders(n=20))
    meanwhile(lambda: take(wanderer(2, received_at=datetime(2026, 3, 6, tzinfo=UTC))))
    account = take(wanderer(1, received_at=datetime(2026, 3, 5, tzinfo=UTC)))
    rows = make_deployment(tmp_path).lake.read(ORDERS.name)
    assert [row["dt"].day for row in rows.to_pylist() if row["order_id"] == "wanders"] == [2]
    assert (account.rows_published, account.superseded) == (0, 1)


def test_imports_of_other_keys_are_not_done_again(
    take: Take, meanwhile: Callable[[Callable[[], object]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    take(make_orders(n=20))
    meanwhile(lambda: take(wanderer(2)))
    merges = count()
    real = publish_source.merged_sql
    monkeypatch.setattr(publish_source, "merged_sql", lambda *of: (next(merges), real(*of))[1])
    take(table(order(order_id="stays", ordered_at=datetime(2026, 3, 1, tzinfo=UTC))))
    assert next(merges) == 2
