"""Canonical order rows, sound or dirty, made from a seed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

AS_OF = datetime(2026, 4, 1, tzinfo=UTC)

INSTANT = pa.timestamp("us", "UTC")
SCHEMA = pa.schema(
    [
        ("order_id", pa.string()),
        ("line", pa.int64()),
        ("customer_id", pa.string()),
        ("ordered_at", INSTANT),
        ("product_id", pa.string()),
        ("category", pa.string()),
        ("quantity", pa.float64()),
        ("unit_price", pa.float64()),
        ("country", pa.string()),
        ("received_at", INSTANT),
        ("kind", pa.string()),
        ("ref_order_id", pa.string()),
    ]
)


def order(**changes: Any) -> dict[str, Any]:
    """Return one sound order line, with `changes`."""
    row: dict[str, Any] = {
        "order_id": "A1",
        "line": 1,
        "customer_id": "17850",
        "ordered_at": datetime(2026, 3, 1, 10, 30, tzinfo=UTC),
        "product_id": "P1",
        "category": None,
        "quantity": 2,
        "unit_price": 2.5,
        "country": "France",
        "received_at": None,
        "kind": "sale",
        "ref_order_id": None,
    }
    assert set(changes) <= set(row)
    return row | changes


def table(*rows: dict[str, Any]) -> pa.Table:
    """Return rows as a canonical table."""
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


def make_orders(
    n: int = 50, *, seed: int = 0, start: datetime = datetime(2026, 3, 1, tzinfo=UTC), days: int = 5
) -> pa.Table:
    """Return `n` sound lines of orders in `days` days, two lines an order, without received_at."""
    rng = np.random.default_rng(seed)
    return table(
        *(
            order(
                order_id=f"A{i // 2}",
                line=i % 2 + 1,
                customer_id=str(17000 + int(rng.integers(12))),
                ordered_at=start + timedelta(days=(i // 2) % days, seconds=int(rng.integers(86_400))),
                product_id=f"P{rng.integers(9)}",
                quantity=float(rng.integers(1, 9)),
                unit_price=float(np.round(rng.gamma(2.0, 3.0), 2)),
            )
            for i in range(n)
        )
    )


def make_dirty_orders(n: int = 400, *, seed: int = 0) -> pa.Table:
    """Return lines of which about half break a rule, many of them several, in every column."""
    rng = np.random.default_rng(seed)

    def some(values: list[Any], share: float, sound: Any) -> Any:
        return values[int(rng.integers(len(values)))] if rng.random() < share else sound

    rows = []
    for i in range(n):
        at = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=int(rng.integers(60 * 24 * 20)))
        late = AS_OF + timedelta(microseconds=1)
        row = order(
            order_id=some([None, ""], 0.04, f"A{i // 2}"),
            line=some([None], 0.04, i % 2 + 1),
            customer_id=some([None, " "], 0.1, "17850"),
            ordered_at=some([None, late, AS_OF, datetime(1970, 1, 1, tzinfo=UTC)], 0.1, at),
            quantity=some([None, float("nan"), float("inf"), float("-inf"), 0.0, -3.0, -2e7], 0.2, 2.0),
            unit_price=some([None, float("nan"), float("inf"), float("-inf"), -0.01, 0.0, 6e6], 0.2, 2.5),
            received_at=some([late, AS_OF, at], 0.2, None),
            kind=some([None, "return", "cancellation", "Sale", "gift"], 0.3, "sale"),
        )
        rows.append(row)
        if rng.random() < 0.1:
            rows.append(dict(rows[int(rng.integers(len(rows)))]))
        if rng.random() < 0.1:
            rows.append(dict(rows[int(rng.integers(len(rows)))], received_at=AS_OF))
    return table(*rows)
