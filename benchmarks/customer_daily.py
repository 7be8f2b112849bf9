"""customer_daily for 90 days: this project's SQL, the same features by hand in DuckDB, polars and pandas, and growth.

What belongs here: the orders that are made up for it, the contenders, and the proof that they return the same
rows. What does not: the features by hand, which are beside this file.

Every contender starts at the Delta table on disk and ends with an Arrow table in memory, every column of the group
in it. Sizes are order lines; 10M lines are 4M orders of 100,000 customers over two years.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.side_by_side import Contender, Race, race
from include.adapters.compute.duckdb_compute import DuckDbCompute
from include.adapters.lake.delta_lake import LakeAdapter
from include.partitions import key_of, span
from include.specs.groups import load_feature_group

FIRST_DAY = date(2024, 1, 1)
DAYS = 730
END = FIRST_DAY + timedelta(days=DAYS - 1)
START = END - timedelta(days=89)
LINES = 10_000_000
LINES_PER_CUSTOMER = 100

_DAY_US = 86_400_000_000
_INSTANT = pa.timestamp("us", tz="UTC")
_HERE = "benchmarks.customer_daily"
_HAND = "benchmarks.customer_daily_by_hand"


def make_orders(lines: int, *, seed: int = 0, lines_per_customer: int = LINES_PER_CUSTOMER) -> pa.Table:
    """Return order lines as ``raw/orders`` keeps them: 1 to 4 a order, 3 % cancelled, 5 % received late."""
    rng = np.random.default_rng(seed)
    orders, customers = int(lines / 2.5), max(10, lines // lines_per_customer)
    weight = rng.gamma(1.0, 1.0, customers) + 0.05
    customer = rng.choice(customers, orders, p=weight / weight.sum())
    second = np.sort(rng.integers(0, DAYS * 86_400, orders))
    kind = rng.choice(4, orders, p=[0.94, 0.03, 0.02, 0.01])
    start = np.datetime64(FIRST_DAY, "us").astype(np.int64)
    received = start + (second // 86_400 + 1) * _DAY_US
    received += np.where(rng.random(orders) < 0.05, rng.integers(1, 72 * 3600, orders) * 1_000_000, 0)
    per_order = 1 + rng.binomial(3, 0.5, orders)
    order = np.repeat(np.arange(orders), per_order)
    rows = len(order)
    quantity = rng.geometric(0.5, rows)
    made = pa.table(
        {
            "order_id": _keys("o", orders, 9).take(pa.array(order)),
            "line": np.arange(rows) - np.repeat(np.cumsum(per_order) - per_order, per_order) + 1,
            "customer_id": _keys("c", customers, 7).take(pa.array(customer[order])),
            "ordered_at": pa.array(start + second[order] * 1_000_000).cast(_INSTANT),
            "product_id": _keys("p", 5_000, 5).take(pa.array((5_000 * rng.random(rows) ** 2).astype(np.int64))),
            "quantity": np.where(kind[order] == 0, quantity, -quantity),
            "unit_price": np.round(rng.gamma(2, 8, rows) + 0.01, 2),
            "received_at": pa.array(received[order]).cast(_INSTANT),
            "kind": pa.array(["sale", "cancellation", "return", "dispute"]).take(pa.array(kind[order])),
            "dt": pa.array((start // _DAY_US + second[order] // 86_400).astype(np.int32)).cast(pa.date32()),
        }
    )
    return made.sort_by([(name, "ascending") for name in ("dt", "customer_id", "ordered_at", "order_id", "line")])


def _keys(prefix: str, count: int, width: int) -> pa.Array:
    padded = pc.utf8_lpad(pa.array(np.arange(count)).cast(pa.string()), width=width, padding="0")
    return pc.binary_join_element_wise(prefix, padded, "")


def this_project(lake_uri: str) -> Callable[[], pa.Table]:
    """Return the shipped statement on the deployment's default engine, with memory as those by hand have it."""
    lake, spec = LakeAdapter(lake_uri), load_feature_group("customer_daily")
    sql, days = spec.sql_path.read_text(encoding="utf-8"), {"start_day": key_of(START), "end_day": key_of(END)}
    return lambda: DuckDbCompute("50%").run_select(
        sql, {"orders": lake.dataset("raw/orders")}, purpose="benchmark", parameters=days
    )


def _require_equal(contenders: list[Contender]) -> None:
    """Compare every contender's rows with this project's, on a small table."""
    from benchmarks import customer_daily_by_hand

    def rows(contender: Contender) -> pa.Table:
        module, _, function = contender.setup.partition(":")
        made = globals()[function] if module == _HERE else getattr(customer_daily_by_hand, function)
        return made(**contender.kwargs)().sort_by([("customer_id", "ascending"), ("dt", "ascending")])

    ours = rows(contenders[0])
    for contender in contenders[1:]:
        theirs = rows(contender)
        for name in ours.column_names:
            one, other = (table[name].combine_chunks().to_numpy(zero_copy_only=False) for table in (ours, theirs))
            if ours.schema.field(name).type == pa.float32():
                # Sums of doubles in another order, halves of float32: 1e-6 of the value, or a thousandth of a cent.
                np.testing.assert_allclose(other.astype(float), one.astype(float), rtol=1e-6, atol=1e-5, err_msg=name)
            elif ours.schema.field(name).type == _INSTANT:
                np.testing.assert_array_equal(other.astype("datetime64[us]"), one.astype("datetime64[us]"), name)
            else:
                np.testing.assert_array_equal(other, one, f"{contender.name}: {name}")
        print(f"{contender.name}: {ours.num_rows:,} rows equal to this project's", flush=True)


def _contenders(folder: Path, *, by_day: bool) -> list[Contender]:
    here, files = {"lake_uri": folder.as_uri()}, {"root": str(folder / "raw" / "orders"), "start": START, "end": END}
    slow = [Contender("pandas by hand: a group-by a day", f"{_HAND}:pandas_by_day", files)] if by_day else []
    return [
        Contender("this project", f"{_HERE}:this_project", here),
        Contender("DuckDB by hand: windows over a spine", f"{_HAND}:duckdb_windows", files),
        Contender("DuckDB by hand: changes, as doubles", f"{_HAND}:duckdb_changes", files),
        Contender("polars by hand", f"{_HAND}:polars_changes", files),
        Contender("pandas by hand: running sums of matrices", f"{_HAND}:pandas_matrices", files),
        *slow,
    ]


def _publish(folder: Path, lines: int) -> None:
    keys = span(key_of(FIRST_DAY), key_of(END))
    LakeAdapter(folder.as_uri()).replace("raw/orders", make_orders(lines), keys=keys)


def main(scale: float = 1.0, rounds: int = 3) -> list[Race]:
    """Run the races: all contenders on one table, then this project on three sizes."""
    with tempfile.TemporaryDirectory(prefix="mlops-bench-") as scratch:
        sizes = {lines: Path(scratch) / str(lines) for lines in (int(LINES * scale * part) for part in (0.1, 0.3, 1))}
        for lines, folder in sizes.items():
            _publish(folder, lines)
        small = Path(scratch) / "small"
        _publish(small, 50_000)
        _require_equal(_contenders(small, by_day=True))
        few, most = min(sizes), max(sizes)
        growth = [
            Contender(f"this project, {lines:,} lines", f"{_HERE}:this_project", {"lake_uri": folder.as_uri()})
            for lines, folder in sizes.items()
        ]
        return [
            # A group-by a day takes minutes for the most lines: it is raced on the fewest.
            race(_title(few), _contenders(sizes[few], by_day=True), rounds=rounds, baseline="this project"),
            race(_title(most), _contenders(sizes[most], by_day=False), rounds=rounds, baseline="this project"),
            race("customer_daily, growth", growth, rounds=rounds, baseline=growth[0].name),
        ]


def _title(lines: int) -> str:
    return f"customer_daily, {lines:,} order lines, {lines // LINES_PER_CUSTOMER:,} customers, 90 days"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="1 is 10M order lines")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    main(arguments.scale, arguments.rounds)
