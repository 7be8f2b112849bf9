from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from include.specs.models import load_model
from include.specs.yaml_files import CONFIG_ROOT
from include.views.specs import ModelView, check_specs, list_models, view_model, write_model

MORE_MODELS = Path(__file__).parents[2] / "overlays" / "more_models"


def test_what_an_overlay_gives_is_told_with_what_ships(monkeypatch):
    folder = CONFIG_ROOT / "overlays" / "online_retail"
    monkeypatch.setenv("MLOPS_SPECS", str(folder))
    view = view_model("churn")
    assert view.files == (CONFIG_ROOT / "models" / "churn.yaml", folder / "churn.yaml")
    assert view.shipped == {"gates.auc_min": 0.85, "monitoring.quarantined_max": 0.5}
    lines = write_model(view).splitlines()
    assert lines[:2] == [f"# {path}" for path in view.files]
    assert "  auc_min: 0.7  # the overlay's; 0.85 ships" in lines
    assert sum("ships" in line for line in lines) == 2


def test_a_model_that_only_the_overlay_has_is_from_one_file(monkeypatch):
    monkeypatch.setenv("MLOPS_SPECS", str(MORE_MODELS))
    view = view_model("returned")
    assert (view.files, view.shipped) == ((MORE_MODELS / "returned.yaml",), {})


def test_what_is_written_reads_back_as_the_spec():
    view = view_model("churn")
    assert yaml.safe_load(write_model(view)) == view.values == load_model("churn").model_dump(mode="json")


@pytest.mark.parametrize(
    "value",
    ["", "no", "1", "2011-01-01", "a # b", "a: b", "- a", "Zürich", "two\nlines", "it's", '"', None, True, 0.1, []],
)
def test_any_value_reads_back_as_it_is_and_from_one_line(value):
    text = write_model(ModelView({"a": {"b": value, "c": [value]}}, (), {"a.b": value}))
    assert yaml.safe_load(text) == {"a": {"b": value, "c": [value]}}
    assert len(text.splitlines()) == 3


def test_models_are_listed_with_what_tells_them_apart(monkeypatch):
    monkeypatch.setenv("MLOPS_SPECS", str(MORE_MODELS))
    assert [(m.model_id, m.registered_name, m.entity, m.service) for m in list_models()] == [
        ("churn", "churn-predictor", "customer", "churn_v1"),
        ("fraud", "fraud-detector", "order", "fraud_v1"),
        ("recommendation", "recommendation-engine", "customer_category", "recommendation_v1"),
        ("returned", "returned-orders", "order", "fraud_v1"),
        ("winback", "winback-offers", "customer", "customer_features"),
    ]


def test_every_kind_of_file_is_judged(monkeypatch):
    monkeypatch.setenv("MLOPS_SPECS", str(MORE_MODELS))
    verdicts = check_specs()
    assert {(v.kind, v.name) for v in verdicts} > {
        ("feature group", "customer_daily"),
        ("feature service", "churn_v1"),
        ("label", "returned"),
        ("label", "no_order"),
        ("model", "returned"),
    }
    assert all(verdict.violations == () for verdict in verdicts)


def test_a_label_that_no_model_has_is_judged_too(monkeypatch, tmp_path):
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "spent.sql").write_text("SELECT $share")
    monkeypatch.setenv("MLOPS_SPECS", str(tmp_path))
    (wrong,) = [verdict for verdict in check_specs() if verdict.violations]
    assert (wrong.kind, wrong.name) == ("label", "spent")
    assert wrong.violations[0].startswith("spent.sql: $share is only declared or only used")
