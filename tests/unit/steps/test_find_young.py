"""Which features a young log has not filled yet, of the groups as they ship."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import SimpleNamespace

import pytest

from include.specs.groups import load_feature_group
from include.specs.models import load_model
from include.steps.find_young import find_young

BEGINS = {"orders": {"2026-01-01": 0, "2026-01-02": 5}}


def young(last_snapshot: str, delivered: Mapping[str, Mapping[str, int]] = BEGINS) -> dict[str, int]:
    """Ask of a version that was tested on the 28 days that end with a snapshot."""
    spec = load_model("churn")
    tested = spec.model_copy(update={"training": spec.training.model_copy(update={"test_days": 28})})
    signature = SimpleNamespace(feature_service="churn_v1")
    loaded = SimpleNamespace(signature=signature, manifest=SimpleNamespace(last_snapshot=last_snapshot))
    return find_young(tested, loaded, delivered)


@pytest.mark.parametrize(
    ("last_snapshot", "lacking"),
    [
        ("2026-01-28", {30: 29, 90: 89, 180: 179, 365: 364}),
        ("2026-02-26", {90: 60, 180: 150, 365: 335}),
        ("2026-04-27", {180: 90, 365: 275}),
        ("2027-01-26", {365: 1}),
        ("2027-01-27", {}),
    ],
)
def test_a_feature_is_young_until_the_reference_begins_as_late_as_it_looks_back(last_snapshot, lacking):
    found = young(last_snapshot)
    lookback = {column.name: column.lookback_days for column in load_feature_group("customer_daily").columns}
    assert {lookback[feature]: days for feature, days in found.items()} == lacking
    assert set(found) == {name for name, days in lookback.items() if days in lacking}


def test_a_version_that_does_not_say_when_it_was_tested_and_sources_without_a_log_leave_nothing_young():
    assert young("") == {}
    assert young("2026-01-28", {"orders": {}}) == {}


@pytest.mark.parametrize("group", ["customer_daily", "product_daily", "customer_category_daily"])
def test_a_column_looks_back_as_far_as_its_name_says(group):
    columns = load_feature_group(group).columns
    windows = {c.name: int(found[1]) for c in columns if (found := re.search(r"_(\d+)d$", c.name))}
    assert {c.name: c.lookback_days for c in columns if c.name in windows} == windows
