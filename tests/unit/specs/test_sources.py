from __future__ import annotations

import pytest
import yaml

from include.errors import SpecError
from include.specs.sources import parse_source
from include.specs.yaml_files import CONFIG_ROOT

TEXT = (CONFIG_ROOT / "contracts" / "orders.yaml").read_text(encoding="utf-8")


def _changed(change) -> str:
    values = yaml.safe_load(TEXT)
    change(values)
    return yaml.safe_dump(values)


def test_shipped_contract_has_the_canonical_columns_in_order():
    contract = parse_source(TEXT, file="orders.yaml")
    assert contract.column_names == (
        "order_id", "line", "customer_id", "ordered_at", "product_id", "category", "quantity", "unit_price", "country",
        "received_at", "kind", "ref_order_id",
    )  # fmt: skip
    assert [c.name for c in contract.columns if not c.required] == ["received_at", "kind", "ref_order_id"]


def test_contract_cannot_be_changed_after_it_was_loaded():
    contract = parse_source(TEXT, file="orders.yaml")
    with pytest.raises(ValueError, match="frozen"):
        contract.rules[0].reason = "because"  # type: ignore[misc]


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
    "top-key": (lambda v: v.update(rulez=[]), ["unknown key 'rulez'", "allowed: contract, columns, rules"]),
    "order": (lambda v: v["rules"].append(v["rules"].pop(0)), ["must be the last"]),
    "twice": (lambda v: v["rules"].insert(0, v["rules"][1]), ["'line_missing' is there twice"]),
}


@pytest.mark.parametrize(("change", "parts"), MISTAKES.values(), ids=MISTAKES)
def test_mistake_is_named_with_file_key_value_and_what_is_allowed(change, parts):
    with pytest.raises(SpecError) as caught:
        parse_source(_changed(change), file="orders.yaml")
    for part in ["orders.yaml", *parts]:
        assert part in str(caught.value)


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [\n", ""], ids=["list", "broken", "empty"])
def test_text_that_is_no_mapping_is_refused(text):
    with pytest.raises(SpecError, match=r"orders\.yaml"):
        parse_source(text, file="orders.yaml")
