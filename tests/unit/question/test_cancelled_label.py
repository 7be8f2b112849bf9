"""The gift shop's label: a cancellation that names no order is of the latest one before it that has the product."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from include.adapters.compute.duckdb_compute import DuckDbCompute
from include.question.labels import known_labels
from include.specs.labels import load_label_kind
from include.specs.yaml_files import CONFIG_ROOT
from tests.raw_orders import line, orders

KIND = load_label_kind("cancelled", CONFIG_ROOT / "overlays" / "online_retail")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


BOUGHT = [
    line("2011-03-01T10:00", customer="A", order="1", product_id="cup"),
    line("2011-03-05T10:00", customer="A", order="2", product_id="cup"),
    line("2011-03-05T11:00", customer="A", order="3", product_id="hat"),
]


def undone(at: str, product: str = "cup", customer: str = "A", kind: str = "cancellation", **values: str) -> Any:
    return line(at, customer=customer, product_id=product, kind=kind, **values)


@pytest.mark.parametrize(
    ("happened", "labelled"),
    [
        pytest.param([], {}, id="nothing"),
        pytest.param([undone("2011-03-08")], {"2": "2011-03-09"}, id="of the latest order with the product"),
        pytest.param([undone("2011-03-03")], {"1": "2011-03-04"}, id="before the other order"),
        pytest.param([undone("2011-03-08", "hat")], {"3": "2011-03-09"}, id="of another product"),
        pytest.param([undone("2011-03-08", "bag")], {}, id="of what was not ordered"),
        pytest.param([undone("2011-03-08", customer="B")], {}, id="of another customer"),
        pytest.param([undone("2011-03-05T12:00")], {}, id="before the example"),
        pytest.param([undone("2011-04-05")], {}, id="when the horizon is over"),
        pytest.param(
            [undone("2011-03-08", "hat", kind="dispute", ref_order_id="1")], {"1": "2011-03-09"}, id="a dispute's order"
        ),
    ],
)
def test_what_is_undone_is_of_one_order(happened, labelled):
    examples = pa.table(
        {
            "order_id": pa.array(["1", "2", "3"], pa.string()),
            "event_timestamp": pa.array(
                [at("2011-03-02"), at("2011-03-06"), at("2011-03-06")], pa.timestamp("us", tz="UTC")
            ),
        }
    )
    known_until = at("2011-04-06")
    found = DuckDbCompute().run_select(
        KIND.sql,
        {"orders": orders(*BOUGHT, *happened), "examples": examples},
        purpose="a test",
        parameters={"known_until": known_until, "horizon_days": 30, "cancellations": "count"},
    )
    assert found.num_rows == 3
    rows = known_labels(found, ["order_id"], known_until=known_until, kind="cancelled").to_pylist()
    assert len(rows) == 3
    assert {row["order_id"]: f"{row['known_at']:%Y-%m-%d}" for row in rows if row["label"]} == labelled
