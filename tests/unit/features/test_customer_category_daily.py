"""customer_category_daily.sql against values worked out by hand, and against a plain loop over seeded orders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from include.adapters.compute.duckdb_compute import DuckDbCompute
from include.features.checks import expected_schema
from include.partitions import span
from include.specs.groups import load_feature_group
from tests.promises import broken_promises
from tests.raw_orders import SCHEMA, line, orders, random_orders

SPEC = load_feature_group("customer_category_daily")
SQL = SPEC.sql_path.read_text(encoding="utf-8")
CATEGORIES = ["bread", "fish", "milk", "tea", None]


def compute(raw: pa.Table, start: str, end: str | None = None) -> pa.Table:
    return DuckDbCompute().run_select(
        SQL, {"orders": raw}, purpose="test", parameters={"start_day": start, "end_day": end or start}
    )


def row(raw: pa.Table, day: str, customer: str, category: str) -> dict[str, Any]:
    found = compute(raw, day).to_pylist()
    (one,) = (x for x in found if (x["customer_id"], x["category"]) == (customer, category))
    return one


def random_shop(*, rows: int, customers: int, days: int, seed: int) -> pa.Table:
    """Return seeded lines of five categories, one of which has no name, and three countries."""
    raw = random_orders(rows=rows, customers=customers, first_day="2023-01-01", days=days, seed=seed)
    rng = np.random.default_rng(seed)
    columns = {
        **{name: raw[name] for name in SCHEMA.names},
        "category": pa.array([CATEGORIES[n] for n in rng.choice(5, len(raw), p=[0.4, 0.25, 0.2, 0.1, 0.05])]),
        "country": pa.array([["GB", "FR", None][n] for n in rng.choice(3, len(raw), p=[0.7, 0.2, 0.1])]),
    }
    return pa.table(columns, schema=SCHEMA)


def places(sold: Counter[str]) -> dict[str, int]:
    return {name: place for place, (name, _) in enumerate(sorted(sold.items(), key=lambda x: (-x[1], x[0])), start=1)}


def recompute(lines: list[dict[str, Any]], day: date) -> Iterator[dict[str, Any]]:
    """Yield a day's rows from all lines, without any of the project's code."""
    end = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    sales = [x for x in lines if x["kind"] == "sale" and x["category"] is not None and x["dt"] <= day]
    known = [x for x in sales if x["dt"] > day - timedelta(days=30) and x["received_at"] <= end]
    shop = Counter(x["category"] for x in known)
    for customer in sorted({x["customer_id"] for x in sales if x["dt"] > day - timedelta(days=30)}):
        own = [x for x in sales if x["customer_id"] == customer and x["dt"] > day - timedelta(days=365)]
        last_day = max(x["dt"] for x in own)
        country = min((x["country"] for x in own if x["dt"] == last_day and x["country"]), default=None)
        in_country = places(Counter(x["category"] for x in known if country and x["country"] == country))
        for category in sorted(shop):
            taken = [x for x in own if x["category"] == category]
            yield {
                "customer_id": customer,
                "category": category,
                "event_timestamp": end,
                "created_timestamp": max([end, *(x["received_at"] for x in own)]),
                "lines_365d": len(taken),
                "lines_90d": sum(x["dt"] > day - timedelta(days=90) for x in taken),
                "customer_lines_365d": len(own),
                "share_365d": float(np.float32(len(taken) / len(own))),
                "days_since_bought": (day - max(x["dt"] for x in taken)).days if taken else None,
                "days_since_last_order": (day - last_day).days,
                "shop_share_30d": float(np.float32(shop[category] / shop.total())),
                "shop_rank_30d": places(shop)[category],
                "country_rank_30d": in_country.get(category),
                "dt": day,
            }


def test_columns_are_those_of_the_spec_in_its_order() -> None:
    raw = orders(line("2024-01-01", category="tea"))
    assert compute(raw, "2024-01-01").schema == expected_schema(SPEC)
    assert compute(orders(), "2024-01-01", "2024-01-31").schema == expected_schema(SPEC)


def test_a_category_has_the_values_worked_out_by_hand() -> None:
    raw = orders(
        line("2023-06-01", category="tea"),
        line("2023-12-24", category="tea"),
        line("2023-12-24", category="fish", order="x"),
        line("2024-01-03", category="fish", order="y"),
        line("2024-01-03", customer="c2", category="fish", country="FR"),
        line("2024-01-03", customer="c2", category="milk", country="FR", order="z"),
    )
    assert row(raw, "2024-01-05", "c1", "tea") == {
        "customer_id": "c1",
        "category": "tea",
        "event_timestamp": datetime(2024, 1, 6, tzinfo=UTC),
        "created_timestamp": datetime(2024, 1, 6, tzinfo=UTC),
        "lines_365d": 2,
        "lines_90d": 1,
        "customer_lines_365d": 4,
        "share_365d": 0.5,
        "days_since_bought": 12,
        "days_since_last_order": 2,
        "shop_share_30d": float(np.float32(1 / 5)),
        "shop_rank_30d": 3,
        "country_rank_30d": 2,
        "dt": date(2024, 1, 5),
    }
    never = row(raw, "2024-01-05", "c1", "milk")
    assert (never["lines_365d"], never["days_since_bought"], never["country_rank_30d"]) == (0, None, None)


def test_who_has_not_bought_for_thirty_days_has_no_list() -> None:
    raw = orders(line("2024-01-01", category="tea"), line("2024-01-31", customer="c2", category="tea"))
    assert set(compute(raw, "2024-01-30")["customer_id"].to_pylist()) == {"c1"}
    assert set(compute(raw, "2024-01-31")["customer_id"].to_pylist()) == {"c2"}


@pytest.mark.parametrize("kind", ["cancellation", "return", "dispute"])
def test_only_sales_count(kind: str) -> None:
    sold = line("2024-01-01", category="tea")
    undone = line("2024-01-02", category="fish", kind=kind, quantity=-1, order="u")
    assert compute(orders(sold, undone), "2024-01-03").equals(compute(orders(sold), "2024-01-03"))


def test_a_customers_own_late_line_makes_its_rows_known_later_and_nobody_elses() -> None:
    received = datetime(2024, 1, 9, 7, 30, tzinfo=UTC)
    late = line("2024-01-03", category="tea", received_at=received)
    others = [line("2024-01-02", customer="c2", category=name, order=name) for name in ("fish", "tea")]
    own = row(orders(late, *others, line("2024-01-01", category="fish")), "2024-01-03", "c1", "tea")
    assert (own["lines_365d"], own["created_timestamp"]) == (1, received)
    with_it, without = (row(orders(*others, *lines), "2024-01-03", "c2", "tea") for lines in ([late], []))
    assert with_it == without


def test_every_row_of_some_days_equals_a_plain_loop_over_the_lines() -> None:
    raw = random_shop(rows=1_200, customers=25, days=420, seed=16)
    lines = raw.to_pylist()
    found = compute(raw, "2023-12-20", "2024-02-10")
    for day in ("2023-12-20", "2024-01-01", "2024-01-17", "2024-02-10"):
        have = found.filter(pc.field("dt") == date.fromisoformat(day)).to_pylist()
        want = list(recompute(lines, date.fromisoformat(day)))
        assert len(want) > 50
        assert have == want, day


def test_a_range_gives_the_same_rows_as_its_days_one_by_one() -> None:
    raw = random_shop(rows=800, customers=15, days=500, seed=3)
    start, end = "2023-11-01", "2024-04-15"
    whole = compute(raw, start, end)
    assert whole.num_rows > 80
    assert broken_promises(whole, SPEC) == []
    for day in span(start, end)[::7]:
        assert whole.filter(pc.field("dt") == date.fromisoformat(day)).equals(compute(raw, day)), day
