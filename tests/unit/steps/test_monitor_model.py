"""What monitoring knows of a service's features, however many groups they come from."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import yaml

from include.specs import services
from include.specs.groups import load_feature_group
from include.specs.services import load_feature_service
from include.specs.yaml_files import CONFIG_ROOT
from include.steps import monitor_model
from include.steps.monitor_model import measure_night, nullable_features

GROUPS = ("customer_daily", "order_risk", "product_daily")


@pytest.fixture
def wide(tmp_path, monkeypatch):
    """Give a service over several groups: of each all columns."""
    features = {group: list(load_feature_group(group).feature_names) for group in (*GROUPS, "churn_scores")}
    spec = {"service": "wide", "description": "all", "owner": "test", "features": features}
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "wide.yaml").write_text(yaml.safe_dump(spec))
    monkeypatch.setattr(services, "CONFIG_ROOT", tmp_path)
    return "wide"


def test_a_feature_may_be_null_where_its_own_group_says_so(wide):
    nullable = nullable_features(wide)
    for group in GROUPS:
        columns = load_feature_group(group).columns
        assert {c.name for c in columns if c.nulls_max} == nullable & {c.name for c in columns} != set()
    assert "churn_risk_score" not in nullable


@pytest.mark.parametrize("service", sorted(path.stem for path in (CONFIG_ROOT / "services").glob("*.yaml")))
def test_only_features_of_the_service_are_named(service):
    assert nullable_features(service) <= set(load_feature_service(service).feature_names)


def test_nights_of_a_model_are_measured_one_after_the_other(monkeypatch):
    """Each reads the nights before it, and judges those after it again: at once they would miss one another."""
    seen = []

    @contextmanager
    def alone(work):
        seen.append(work)
        yield
        seen.append("over")

    night = SimpleNamespace(data_quality=SimpleNamespace(status="ok"), drift=())
    monkeypatch.setattr(monitor_model, "_measure", lambda *_: seen.append("measured") or night)
    monkeypatch.setattr(monitor_model, "_judge_later", lambda *_: seen.append("judged") or [])
    monkeypatch.setattr(monitor_model, "_keep", lambda *_: seen.append("kept"))
    deployment = SimpleNamespace(state=SimpleNamespace(alone=alone))
    assert measure_night(deployment, "churn", partition="2026-03-01") == {"data_quality": "ok"}
    assert seen == ["measuring churn", "measured", "judged", "kept", "over"]
