"""What a demo on a file is: by its format, with nights that can decide, and with gates for it."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from include import partitions
from include.cli.demo import _make
from include.demo.plan import DemoArguments, find_plan, make_plan
from include.demo.refusal import gates_advice
from include.errors import UsageError
from include.home import recall
from include.question.labels import snapshot_days
from include.specs.models import load_model
from include.specs.yaml_files import CONFIG_ROOT
from include.training.split import split_by_time

FIRST = date(2025, 1, 1)


@pytest.fixture
def log(tmp_path) -> Path:
    lines = [f"c{n % 5},{FIRST + timedelta(days=n // 4)},{1 + n % 3},{n / 4}" for n in range(800)]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(["customer,day,pieces,value", *lines]) + "\n")
    return path


def arguments(orders: Path | None, file_format: str = "canonical") -> DemoArguments:
    return DemoArguments(("churn",), 7, 7, orders=str(orders) if orders else None, file_format=file_format)


def test_a_log_of_four_columns_is_split_without_invented_ones(log, tmp_path):
    plan = make_plan(tmp_path / "home", arguments(log, "purchases"))
    assert (set(plan.features_from), plan.history_end) == ({"customer_daily"}, "2025-07-12")
    assert plan.nights == tuple(partitions.span("2025-07-13", "2025-07-19"))
    night = Path(plan.arrivals) / plan.nights[0] / "orders" / f"dt={plan.nights[0]}"
    assert pq.read_table(night / "rows.parquet").column_names == ["customer", "day", "pieces", "value"]
    assert (night / "_FORMAT").read_text() == "purchases"


def test_every_night_of_a_file_is_past_the_cooldown_of_its_first_training(log, tmp_path):
    spec = load_model("churn")
    plan = make_plan(tmp_path / "home", arguments(log, "purchases"))
    assert partitions.days_between(plan.trained_as_of, plan.nights[0]) > spec.decision.cooldown_days


def test_a_log_that_is_a_day_too_short_to_train_on_is_refused_before_a_server_starts(log, tmp_path):
    spec, asked = load_model("churn"), arguments(log, "purchases")
    step, horizon = spec.training.snapshot_every_days, spec.label.horizon_days
    # One snapshot whose label is known before the first of the test, the test, its labels, the cooldown, the nights.
    fitted, tested = -(-horizon // step) * step, (spec.training.test_days - 1) // step * step
    enough = 1 + fitted + tested + horizon + spec.decision.cooldown_days + asked.nights
    lines = log.read_text().splitlines()[: 1 + 4 * enough]

    log.write_text("\n".join(lines[:-4]))
    with pytest.raises(UsageError, match=r"too short to train churn as of .* label.horizon_days=\d+.* longer log"):
        make_plan(tmp_path / "home", asked)
    log.write_text("\n".join(lines))
    plan = make_plan(tmp_path / "home", asked)

    days = [day for day in snapshot_days(plan.trained_as_of, spec.label, spec.training) if day >= "2025-01-01"]
    snapshots = np.array(days, dtype="datetime64[D]")
    split = split_by_time(snapshots, test_days=spec.training.test_days, horizon_days=horizon)
    assert split.train.sum() == 1


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


def test_all_models_of_a_demo_are_trained_on_one_day_and_each_group_is_built_from_where_its_models_begin(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("include.demo.plan._ARRIVALS_PER_DAY", 2.0)
    models = ("churn", "fraud", "recommendation")
    plan = make_plan(tmp_path / "home", DemoArguments(models, 2, 7))
    first = {"customer_daily": "churn", "order_risk": "fraud", "customer_category_daily": "recommendation"}
    specs = {group: load_model(model_id) for group, model_id in first.items()}
    assert plan.features_from == {
        group: snapshot_days(plan.trained_as_of, spec.label, spec.training)[0] for group, spec in specs.items()
    }
    assert find_plan(tmp_path / "home") == plan
