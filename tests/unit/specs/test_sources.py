from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from include.errors import SpecError
from include.specs.sources import SourceSpec, _load_source, load_source
from include.specs.yaml_files import CONFIG_ROOT

TEXT = (CONFIG_ROOT / "sources" / "orders.yaml").read_text(encoding="utf-8")


def _changed(change, folder: Path) -> Path:
    values = yaml.safe_load(TEXT)
    change(values)
    path = folder / "orders.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_orders_have_the_canonical_columns_in_order():
    spec = load_source("orders")
    assert spec.column_names == (
        "order_id", "line", "customer_id", "ordered_at", "product_id", "category", "quantity", "unit_price", "country",
        "received_at", "kind", "ref_order_id",
    )  # fmt: skip
    assert [c.name for c in spec.columns if not c.required] == [
        "product_id", "category", "country", "received_at", "kind", "ref_order_id",
    ]  # fmt: skip


def test_a_spec_cannot_be_changed_after_it_was_loaded():
    with pytest.raises(ValueError, match="frozen"):
        load_source("orders").rules[0].reason = "because"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("zone", "starts", "day", "end"),
    [
        ("UTC", "00:00", "2026-03-01", datetime(2026, 3, 2, tzinfo=UTC)),
        ("America/New_York", "00:00", "2026-03-07", datetime(2026, 3, 8, 5, tzinfo=UTC)),
        ("America/New_York", "00:00", "2026-03-08", datetime(2026, 3, 9, 4, tzinfo=UTC)),
        ("America/New_York", "00:00", "2026-11-01", datetime(2026, 11, 2, 5, tzinfo=UTC)),
        ("Europe/Berlin", "00:00", "2026-03-28", datetime(2026, 3, 28, 23, tzinfo=UTC)),
        ("Europe/Berlin", "00:00", "2026-03-29", datetime(2026, 3, 29, 22, tzinfo=UTC)),
        ("Europe/Berlin", "02:30", "2026-10-24", datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
        ("Europe/Berlin", "02:30", "2026-03-28", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        ("Asia/Kolkata", "04:00", "2026-03-01", datetime(2026, 3, 1, 22, 30, tzinfo=UTC)),
    ],
)
def test_a_day_ends_by_the_deliverers_clock(zone, starts, day, end):
    spec: SourceSpec = load_source("orders").model_copy(update={"time_zone": zone, "day_starts": starts})
    assert spec.end_of_day(day) == end


MISTAKES = {
    "kind": (
        lambda v: v["rules"][0].update(kind="not_nul"),
        ["rules.0.kind='not_nul'", "allowed: not_null", "did you mean 'not_null'"],
    ),
    "no-kind": (lambda v: v["rules"][0].pop("kind"), ["rules.0.kind is missing"]),
    "no-reason": (lambda v: v["rules"][0].pop("reason"), ["rules.0.reason is missing"]),
    "rule-key": (
        lambda v: v["rules"][6].update(minn=0),
        ["unknown key 'rules.6.minn'", "allowed: name, reason, kind, column, min", "did you mean 'min'"],
    ),
    "type": (lambda v: v["rules"][6].update(min="0"), ["rules.6.min='0'"]),
    "column": (
        lambda v: v["rules"][0].update(column="order_idd"),
        ["'order_idd'", "allowed: order_id, line", "did you mean 'order_id'"],
    ),
    "product-column": (
        lambda v: v["rules"][8].update(columns=["quantity", "unit_prize"]),
        ["'quantity_too_large' names column 'unit_prize'", "did you mean 'unit_price'"],
    ),
    "product-max": (lambda v: v["rules"][8].update(max=0.0), ["rules.8.max=0.0", "greater than 0"]),
    "column-type": (lambda v: v["columns"][0].update(type="str"), ["columns.0.type='str'", "'string'"]),
    "column-key": (
        lambda v: v["columns"][0].update(requird=True),
        ["unknown key 'columns.0.requird'", "did you mean 'required'"],
    ),
    "top-key": (
        lambda v: v.update(rulez=[]),
        ["unknown key 'rulez'", "allowed: source, description", "did you mean 'rules'"],
    ),
    "name": (lambda v: v.update(source="order"), ["source='order' is not the file's name; write 'orders'"]),
    "zone": (lambda v: v.update(time_zone="Europe/Berln"), ["'Europe/Berln'", "did you mean 'Europe/Berlin'"]),
    "key": (lambda v: v.update(key=["order"]), ["key names column 'order'", "allowed: order_id, line"]),
    "event-time": (lambda v: v.update(event_time="line"), ["event_time='line' is of type int64; allowed: timestamp"]),
    "rule-type": (
        lambda v: v["rules"][6].update(column="country"),
        ["rule 'unit_price_negative' of kind 'min' is of 'country', of type string; allowed: int64, float64"],
    ),
    "no-rule-of-the-key": (lambda v: v["rules"].pop(1), ["no rule refuses a row without 'line'", "kind: not_null"]),
    "a-rule-of-all": (lambda v: v["rules"][0].update(name="superseded"), ["rule 'superseded' is there twice"]),
    "format-column": (
        lambda v: v["formats"]["online-retail"]["columns"].update(quantity="Quantty"),
        ["columns.quantity names 'Quantty'", "did you mean 'Quantity'"],
    ),
    "format-sql": (
        lambda v: v["formats"]["online-retail"]["columns"].update(quantity="sum(Quantity)"),
        ["looks at more than one row"],
    ),
    "format-target": (
        lambda v: v["formats"]["online-retail"]["columns"].update(quantty="Quantity"),
        ["formats.online-retail.columns names column 'quantty'", "did you mean 'quantity'"],
    ),
    "format-clock": (
        lambda v: v["formats"]["purchases"]["columns"].update(ordered_at="now()"),
        ["'now()' says something else each time it is asked"],
    ),
    "format-internal": (
        lambda v: v["formats"]["purchases"]["file_columns"].append({"name": "_ROW", "type": "id"}),
        ["file_columns '_row' is there twice, or is one that every source has"],
    ),
    "rule-bound": (lambda v: v["rules"][6].update(min=float("inf")), ["rules.6.min=inf", "finite number"]),
    "rule-bound-of-some": (lambda v: v["rules"][7].update(above=float("nan")), ["rules.7.above=nan", "finite number"]),
    "where-number-of-a-text": (
        lambda v: v["rules"][7]["where"].update({"is": 1}),
        ["'sale_quantity_not_positive' looks for kind=1, and kind is of type string"],
    ),
    "where-text-of-a-number": (
        lambda v: v["counted"]["zero_price"].update({"is": "none"}),
        ["counted.zero_price looks for unit_price='none', and unit_price is of type float64"],
    ),
    "where-of-a-time": (
        lambda v: v["watched"][0].update(where={"column": "ordered_at", "is": "2026-01-01"}),
        ["looks for ordered_at='2026-01-01', and ordered_at is of type timestamp"],
    ),
    "where-infinite": (lambda v: v["counted"]["zero_price"].update({"is": float("inf")}), ["counted.zero_price.is"]),
    "where-huge": (lambda v: v["counted"]["zero_price"].update({"is": 10**400}), ["counted.zero_price.is"]),
    "dag-of-another": (
        lambda v: v.update(dag_id="ingest_tickets"),
        ["dag_id='ingest_tickets' may be another source's", "'ingest_orders'"],
    ),
    "people": (lambda v: v["people"].update(person="customer"), ["people names column 'customer'"]),
    "twice": (lambda v: v["rules"].insert(0, v["rules"][1]), ["'line_missing' is there twice"]),
}


@pytest.mark.parametrize(("change", "parts"), MISTAKES.values(), ids=MISTAKES)
def test_mistake_is_named_with_file_key_value_and_what_is_allowed(change, parts, tmp_path):
    with pytest.raises(SpecError) as caught:
        _load_source(_changed(change, tmp_path).stem, (tmp_path,))
    for part in ["orders.yaml", *parts]:
        assert part in str(caught.value)
    assert len(str(caught.value)) < 700, "what is wrong stands behind a value that nobody reads to its end"
