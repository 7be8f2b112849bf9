from __future__ import annotations

import pytest
import yaml

from include.errors import SpecError
from include.specs import services

WHOLE = {"service": "s_v1", "description": "d", "owner": "o", "features": {"one": ["b", "a"], "other": ["c"]}}
# What the version in Production reads: a change here is a model that reads other columns than it was trained on.
CHURN_V1 = [
    "total_orders_30d", "total_orders_90d", "total_orders_180d", "total_spend_30d", "total_spend_90d",
    "total_spend_180d", "avg_order_value", "days_since_last_order", "tenure_days", "avg_order_gap_days",
    "distinct_products_90d", "cancelled_lines_90d",
]  # fmt: skip


def load(tmp_path, monkeypatch, values):
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "s_v1.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    monkeypatch.setattr(services, "CONFIG_ROOT", tmp_path)
    return services.load_feature_service("s_v1")


def test_a_version_keeps_its_columns_and_their_order():
    assert list(services.load_feature_service("churn_v1").feature_names) == CHURN_V1


def test_the_requirements_features_are_a_service_of_two_groups():
    spec = services.load_feature_service("customer_features")
    assert spec.features["customer_daily"] == ("total_orders_30d", "avg_order_value", "days_since_last_order")
    assert list(spec.features) == ["customer_daily", "churn_scores"]


def test_columns_are_read_in_the_files_order(tmp_path, monkeypatch):
    assert load(tmp_path, monkeypatch, WHOLE).feature_names == ("b", "a", "c")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"owners": "x"}, r"s_v1.yaml: unknown key 'owners'; .*did you mean 'owner'", id="unknown key"),
        pytest.param({"features": {}}, r"s_v1.yaml: features=\{\}: .*at least 1", id="no group"),
        pytest.param({"features": {"one": []}}, r"s_v1.yaml: features.one=.*at least 1", id="no column"),
        pytest.param({"features": {"one": "a"}}, r"s_v1.yaml: features.one='a': it takes a list", id="no list"),
        pytest.param({"features": {"one": ["a"], "other": ["a"]}}, r"twice, from one and from other", id="two"),
        pytest.param({"features": {"one": ["a", "a"]}}, r"a is there twice, from one and from one", id="one"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_file_key_and_what_is_allowed(tmp_path, monkeypatch, values, message):
    with pytest.raises(SpecError, match=message):
        load(tmp_path, monkeypatch, {**WHOLE, **values})


def test_an_unknown_service_is_answered_with_the_known_ones():
    with pytest.raises(SpecError, match=r"there is no feature service 'churn_v2'; known: churn_v1, .*mean 'churn_v1'"):
        services.load_feature_service("churn_v2")
