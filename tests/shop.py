"""A small made-up shop whose customers can be told apart: what the tests of the loop feed it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

FIRST_DAY = "2026-01-01"

# Short horizons and windows, so that a few months suffice; every night is due for a retrain, so
# that only the watermark stands between a replay and a training.
OVERLAY = {
    "label": {"horizon_days": 14},
    "training": {
        "window_days": 56,
        "snapshot_every_days": 7,
        "test_days": 14,
        "min_rows": 100,
        "bootstrap_samples": 100,
        "hyperparameters": {"n_estimators": 30},
    },
    # So few customers tell little of a difference: what is scheduled may be as much worse as a bound lets it be.
    "gates": {"auc_min": 0.6, "latency_p99_ms_max": 1000, "champion_margin": 0.2, "scheduled_gain": -0.2},
    "monitoring": {"min_rows": 50},
    "decision": {"schedule": "0 0 * * *", "cooldown_days": 0, "budget_per_90_days": 90},
}


def write_overlay(folder: Path) -> Path:
    """Write the tests' overlay and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "churn.yaml").write_text(yaml.safe_dump(OVERLAY))
    return folder


def make_orders(*, days: int, customers: int = 200, seed: int = 0) -> pa.Table:
    """Return canonical orders of a shop with regulars (daily chance 0.2) and rare guests (0.03)."""
    rng = np.random.default_rng(seed)
    rate = np.where(np.arange(customers) % 2 == 0, 0.2, 0.03)
    day, customer = np.nonzero(rng.random((days, customers)) < rate)
    n = len(day)
    first = datetime.fromisoformat(FIRST_DAY).replace(tzinfo=UTC)
    seconds = rng.integers(8 * 3600, 20 * 3600, n)
    times = [first + timedelta(days=int(d), seconds=int(s)) for d, s in zip(day, seconds, strict=True)]
    return pa.table(
        {
            "order_id": [f"o{i}" for i in range(n)],
            "line": np.ones(n, dtype=np.int64),
            "customer_id": [f"c{c:04d}" for c in customer],
            "ordered_at": pa.array(times, pa.timestamp("us", "UTC")),
            "product_id": [f"p{p}" for p in rng.integers(0, 40, n)],
            "category": pa.nulls(n, pa.string()),
            "quantity": rng.integers(1, 6, n),
            "unit_price": np.round(rng.lognormal(2, 0.5, n), 2),
            "country": ["GB"] * n,
        }
    )


def on_days(orders: pa.Table, start: str, end: str) -> pa.Table:
    """Return the orders of the days `start` to `end`, both included."""
    days = np.array([t.date().isoformat() for t in orders["ordered_at"].to_pylist()])
    return orders.filter(pa.array((days >= start) & (days <= end)))


def deliver(landing: Path, orders: pa.Table, day: str) -> None:
    """Deliver a day's orders to the landing folder."""
    folder = landing / "orders" / f"dt={day}"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(on_days(orders, day, day), folder / "orders.parquet")
    (folder / "_SUCCESS").touch()
