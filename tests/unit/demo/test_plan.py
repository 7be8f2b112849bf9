"""What a demo on a file is: by its format, with nights that can decide, and with gates for it."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from include import partitions
from include.cli.demo import _make
from include.demo.plan import DemoArguments, make_plan
from include.demo.refusal import gates_advice
from include.home import recall
from include.specs.models import load_model
from include.specs.yaml_files import CONFIG_ROOT

FIRST = date(2025, 1, 1)


@pytest.fixture
def log(tmp_path) -> Path:
    lines = [f"c{n % 5},{FIRST + timedelta(days=n // 4)},{1 + n % 3},{n / 4}" for n in range(400)]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(["customer,day,pieces,value", *lines]) + "\n")
    return path


def arguments(orders: Path | None, file_format: str = "canonical") -> DemoArguments:
    return DemoArguments("churn", 7, 7, orders=str(orders) if orders else None, file_format=file_format)


def test_a_log_of_four_columns_is_split_without_invented_ones(log, tmp_path):
    plan = make_plan(tmp_path / "home", arguments(log, "purchases"), load_model("churn"))
    assert (plan.features_from, plan.history_end) == ("2025-01-01", "2025-04-03")
    assert plan.nights == tuple(partitions.span("2025-04-04", "2025-04-10"))
    night = Path(plan.arrivals) / plan.nights[0] / "orders" / f"dt={plan.nights[0]}"
    assert pq.read_table(night / "rows.parquet").column_names == ["customer", "day", "pieces", "value"]
    assert (night / "_FORMAT").read_text() == "purchases"


def test_every_night_of_a_file_is_past_the_cooldown_of_its_first_training(log, tmp_path):
    spec = load_model("churn")
    plan = make_plan(tmp_path / "home", arguments(log, "purchases"), spec)
    assert partitions.days_between(plan.trained_as_of, plan.nights[0]) > spec.decision.cooldown_days


@pytest.mark.parametrize(
    ("file_format", "has_file", "chosen"),
    [
        ("canonical", False, "simulator"),
        ("canonical", True, "own_log"),
        ("purchases", True, "own_log"),
        ("online-retail", True, "online_retail"),
    ],
)
def test_the_overlay_is_one_for_the_data(log, tmp_path, monkeypatch, file_format, has_file, chosen):
    monkeypatch.delenv("MLOPS_SPECS")
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    _make(tmp_path / "home", arguments(log if has_file else None, file_format))
    assert recall(tmp_path / "home").specs_overlay == CONFIG_ROOT / "overlays" / chosen


def test_a_refusal_says_which_value_stands_where_and_what_changes_it(monkeypatch):
    overlay = CONFIG_ROOT / "overlays" / "online_retail"
    monkeypatch.setenv("MLOPS_SPECS", str(overlay))
    said = gates_advice(load_model("churn"))
    assert f"the gates of {overlay / 'churn.yaml'} hold: gates.auc_min=0.7" in said
    assert "MLOPS_SPECS=FOLDER" in said
