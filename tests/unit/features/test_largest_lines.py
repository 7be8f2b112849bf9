"""The largest order lines that the rules of orders take, in every group."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest

from include.adapters.compute.duckdb_compute import DuckDbCompute
from include.specs.groups import FeatureGroupSpec, load_feature_group
from include.specs.source_rules import WithinRule
from include.specs.sources import load_source
from tests.promises import broken_promises
from tests.raw_orders import line, orders

GROUPS = [load_feature_group(group) for group in ("customer_daily", "order_risk", "product_daily")]
LARGEST = {rule.columns: rule.max for rule in load_source("orders").rules if isinstance(rule, WithinRule)}
VALUE, PIECES = LARGEST["quantity", "unit_price"], int(LARGEST["quantity",])
DAY = "2024-01-02"

EXTREMES = {
    "dear": {"quantity": 1, "unit_price": VALUE},
    "many": {"quantity": PIECES, "unit_price": VALUE / PIECES},
    "gifts": {"quantity": PIECES, "unit_price": 0.0},
}


def compute(spec: FeatureGroupSpec, raw: pa.Table) -> pa.Table:
    sql = spec.sql_path.read_text(encoding="utf-8")
    return DuckDbCompute().run_select(
        sql, {"orders": raw}, purpose="test", parameters={"start_day": DAY, "end_day": DAY}
    )


@pytest.mark.parametrize("largest", EXTREMES.values(), ids=EXTREMES)
@pytest.mark.parametrize("spec", GROUPS, ids=lambda spec: spec.group)
def test_a_line_that_the_contract_takes_breaks_no_group_by_itself(spec, largest):
    raw = orders(
        line("2024-01-01", unit_price=0.01),
        line(f"{DAY}T10:00", **largest),
        line(f"{DAY}T11:00", quantity=-largest["quantity"], unit_price=largest["unit_price"], kind="cancellation"),
    )
    found = compute(spec, raw)
    assert found.num_rows > 0
    assert broken_promises(found, spec) == []


@pytest.mark.parametrize("spec", GROUPS, ids=lambda spec: spec.group)
def test_the_sums_hold_ninety_nine_thousand_of_the_largest_lines_of_one_customer(spec):
    count = 99_000
    one = orders(line(f"{DAY}T10:00", order="o", quantity=1, unit_price=VALUE))
    raw = pa.table({name: pa.array([one[name][0].as_py()] * count, one[name].type) for name in one.column_names})
    [found] = compute(spec, raw).to_pylist()
    spent = {"customer_daily": "total_spend_30d", "order_risk": "order_value", "product_daily": "revenue_30d"}
    assert found["dt"] == date.fromisoformat(DAY)
    assert found[spent[spec.group]] == pytest.approx(count * VALUE, rel=1e-6)
