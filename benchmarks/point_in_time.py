"""The point-in-time join, as known at each row's time: this project, Feast's own stores, DuckDB and polars by hand.

What belongs here: the feature table that is made up for it, the contenders, and the proof that two independent
plans return the same rows. What does not: the peers, which are beside this file.

The table is one of daily snapshots: 90 partitions of one day, each sorted by key, in which each of 108,000 customers
has a row with five features; 3 % of the rows get a second one, up to 20 days later. The entity rows are any customer
at any microsecond; ttl is 31 days. Feast's stores and this project are called through `get_historical_features`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.point_in_time_peers import duckdb_by_hand
from benchmarks.side_by_side import Contender, Race, race
from include.adapters.lake.delta_lake import LakeAdapter
from include.partitions import key_of

FIRST_DAY = date(2024, 1, 1)
DAYS = 90
DAYS_PER_COMMIT = 10
ROWS = 10_000_000
ROWS_PER_ENTITY_ROW = 10
LATE = 0.03
TTL = timedelta(days=31)
TABLE = "features/customer"
KEY = "customer_id"
TIMES = ("event_timestamp", "created_timestamp")
FEATURES = ("orders_30d", "products_90d", "spend_30d", "avg_order_value", "days_since_last")

_DAY_US = 86_400_000_000
_INSTANT = pa.timestamp("us", tz="UTC")
_HERE = "benchmarks.point_in_time"
_PEERS = "benchmarks.point_in_time_peers"
_BARE = "bare read of the same columns"


def _first_us() -> int:
    return int(datetime.combine(FIRST_DAY, datetime.min.time(), UTC).timestamp()) * 1_000_000


def _customers(count: int) -> pa.Array:
    padded = pc.utf8_lpad(pa.array(np.arange(count)).cast(pa.string()), width=7, padding="0")
    return pc.binary_join_element_wise("c", padded, "")


def make_day(day: int, customers: pa.Array, rng: np.random.Generator) -> pa.Table:
    """Return one partition, sorted by (key, event, created): each customer once, late corrections after their row."""
    row = np.repeat(np.arange(len(customers)), 1 + (rng.random(len(customers)) < LATE))
    rows = len(row)
    event = np.full(rows, _first_us() + (day + 1) * _DAY_US)
    is_correction = np.append(False, row[1:] == row[:-1])
    created = event + np.where(is_correction, rng.integers(1, 20 * _DAY_US, rows), 0)
    return pa.table(
        {
            KEY: customers.take(pa.array(row)),
            "event_timestamp": pa.array(event).cast(_INSTANT),
            "created_timestamp": pa.array(created).cast(_INSTANT),
            "orders_30d": rng.poisson(2, rows),
            "products_90d": rng.poisson(9, rows),
            "spend_30d": rng.gamma(2, 50, rows),
            "avg_order_value": rng.gamma(2, 20, rows).astype(np.float32),
            "days_since_last": rng.random(rows) * 30,
            "dt": pa.repeat(pa.scalar(FIRST_DAY + timedelta(days=day)), rows),
        }
    )


def publish(folder: Path, rows: int, *, seed: int = 0) -> None:
    """Write the feature table of about `rows` rows into a lake at `folder`, and a tenth as many entity rows."""
    rng = np.random.default_rng(seed)
    customers = _customers(max(10, round(rows / DAYS / (1 + LATE))))
    lake = LakeAdapter(folder.as_uri())
    for first in range(0, DAYS, DAYS_PER_COMMIT):
        days = range(first, first + DAYS_PER_COMMIT)
        keys = [key_of(FIRST_DAY + timedelta(days=day)) for day in days]
        lake.replace(TABLE, pa.concat_tables([make_day(day, customers, rng) for day in days]), keys=keys)
    asked = max(10, rows // ROWS_PER_ENTITY_ROW)
    entities = pa.table(
        {
            KEY: customers.take(pa.array(rng.integers(0, len(customers), asked))),
            "event_timestamp": pa.array(_first_us() + rng.integers(_DAY_US, (DAYS + 5) * _DAY_US, asked)).cast(
                _INSTANT
            ),
            "row": np.arange(asked),
        }
    )
    pq.write_table(entities, folder / "entities.parquet")


def bare_read(root: str) -> Callable[[], pa.Table]:
    """Return the read of the columns that the join needs, and nothing else."""
    lake = LakeAdapter(Path(root).as_uri())
    return lambda: lake.dataset(TABLE).to_table(columns=[KEY, *TIMES, *FEATURES])


def this_project(root: str) -> Callable[[], pa.Table]:
    """Return Feast's `get_historical_features` on this project's offline store."""
    from benchmarks.point_in_time_peers import asked_of_feast

    offline = {
        "type": "include.adapters.feature_store.delta_offline_store.DeltaOfflineStore",
        "lake_uri": Path(root).as_uri(),
    }
    return asked_of_feast(root, offline, path=TABLE)


def _require_equal(root: str) -> None:
    ours, theirs = this_project(root)(), duckdb_by_hand(root)()
    for name in ("row", *FEATURES):
        if not ours[name].combine_chunks().equals(theirs[name].combine_chunks().cast(ours[name].type)):
            raise RuntimeError(f"{name}: this project and DuckDB by hand disagree")
    nulls = ours[FEATURES[0]].null_count
    print(f"{ours.num_rows:,} rows equal to DuckDB's by hand, {nulls:,} of them null", flush=True)


def _contenders(folder: Path, *, with_file_store: bool) -> list[Contender]:
    here = {"root": str(folder)}
    return [
        Contender(_BARE, f"{_HERE}:bare_read", here),
        Contender("this project, through Feast", f"{_HERE}:this_project", here),
        Contender("Feast, DuckDB store", f"{_PEERS}:feast_duckdb", here),
        *([Contender("Feast, file store (dask)", f"{_PEERS}:feast_file", here)] if with_file_store else []),
        Contender("DuckDB ASOF by hand", f"{_PEERS}:duckdb_by_hand", here),
        Contender("polars join_asof by hand", f"{_PEERS}:polars_by_hand", here),
    ]


def main(scale: float = 1.0, rounds: int = 3) -> list[Race]:
    """Run the races: all contenders on one table, with Feast's file store on a tenth of it, and growth."""
    with tempfile.TemporaryDirectory(prefix="mlops-bench-") as scratch:
        sizes = {rows: Path(scratch) / str(rows) for rows in (int(ROWS * scale * part) for part in (0.1, 0.3, 1))}
        for rows, folder in sizes.items():
            publish(folder, rows)
        least, most = min(sizes), max(sizes)
        _require_equal(str(sizes[least]))
        growth = [
            Contender(f"this project, {rows:,} rows", f"{_HERE}:this_project", {"root": str(folder)})
            for rows, folder in sizes.items()
        ]
        title = "point-in-time join, {0:,} entity rows × {1:,} feature rows, known-at".format
        return [
            race(
                title(most // ROWS_PER_ENTITY_ROW, most),
                _contenders(sizes[most], with_file_store=False),
                rounds=rounds,
                baseline=_BARE,
            ),
            race(
                title(least // ROWS_PER_ENTITY_ROW, least),
                # Feast's file store pairs each entity row with every row of its key: more than a laptop's memory above.
                _contenders(sizes[least], with_file_store=True),
                rounds=min(rounds, 2),
                baseline=_BARE,
            ),
            race("point-in-time join, growth", growth, rounds=rounds, baseline=growth[0].name),
        ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="1 is 10M feature rows and 1M entity rows")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    main(arguments.scale, arguments.rounds)
