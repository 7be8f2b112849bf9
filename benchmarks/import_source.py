"""The import of a file: this project against a bare read, sort and write of the same columns by polars.

What belongs here: the files that are made up for it, and the contenders. What does not: how much memory an import
takes, which ``memory`` asks.

The file is a log of orders of a year, unsorted, in parquet or CSV. The peer parses the same columns with their types,
sorts them as the table is sorted and writes one parquet file: it judges nothing, looks for no duplicate, merges with
nothing and keeps no account. This project imports into a lake that is empty, which is removed before each round.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from benchmarks.customer_daily import make_orders
from benchmarks.side_by_side import Contender, Race, race

LINES = (1_000_000, 10_000_000)
_HERE = "benchmarks.import_source"
_BARE = "polars: bare read, sort, write"
_OURS = "this project"
_COLUMNS = ("order_id", "line", "customer_id", "ordered_at", "product_id", "quantity", "unit_price", "kind")


def write_log(folder: Path, lines: int) -> None:
    """Write so many lines of orders as parquet and as CSV, in no order."""
    made = make_orders(lines).select(list(_COLUMNS))
    made = made.take(_shuffled(made.num_rows))
    pq.write_table(made, folder / "orders.parquet")
    pacsv.write_csv(made, folder / "orders.csv")


def _shuffled(rows: int) -> object:
    import numpy as np
    import pyarrow as pa

    return pa.array(np.random.default_rng(1).permutation(rows))


def this_project(folder: str, file: str) -> Callable[[], object]:
    """Return the import of the file into an empty lake."""
    from include.adapters.deployment import Deployment
    from include.settings import Settings
    from include.steps.import_source import import_file

    def run() -> object:
        deployment = Deployment(Settings.from_env({"MLOPS_HOME": str(Path(folder, "home"))}))
        return import_file(deployment, Path(folder, file), source="orders", as_of=datetime(2030, 1, 1, tzinfo=UTC))

    return run


def bare_polars(folder: str, file: str) -> Callable[[], object]:
    """Return polars' read of the file, sorted and written."""
    import polars as pl

    path, out = Path(folder, file), Path(folder, "bare.parquet")

    def run() -> object:
        if file.endswith(".csv"):
            rows = pl.read_csv(path, schema_overrides={"order_id": pl.String, "customer_id": pl.String}).with_columns(
                pl.col("ordered_at").str.to_datetime(time_unit="us", time_zone="UTC")
            )
        else:
            rows = pl.read_parquet(path)
        day = pl.col("ordered_at").dt.date().alias("dt")
        return rows.with_columns(day).sort("dt", "customer_id", "ordered_at", "order_id", "line").write_parquet(out)

    return run


def main(scale: float = 1.0, rounds: int = 3) -> list[Race]:
    """Run the races: each size, as parquet and as CSV."""
    races = []
    for full in LINES:
        lines = max(1_000, round(full * scale))
        with tempfile.TemporaryDirectory(prefix="mlops-bench-") as name:
            write_log(Path(name), lines)
            for file in ("orders.parquet", "orders.csv"):
                given = {"folder": name, "file": file}
                home = Path(name, "home")
                races.append(
                    race(
                        f"import of {lines:,} lines, {file}",
                        [
                            Contender(_BARE, f"{_HERE}:bare_polars", given),
                            Contender(_OURS, f"{_HERE}:this_project", given),
                        ],
                        rounds=rounds,
                        baseline=_BARE,
                        before_round=partial(shutil.rmtree, home, ignore_errors=True),
                    )
                )
    return races


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    main(asked.scale, asked.rounds)
