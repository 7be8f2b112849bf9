"""The nightly DAG of a group over two sources waits for the day of each."""

from __future__ import annotations

import shutil
from datetime import timedelta

import yaml

from include.settings import PROJECT_ROOT
from include.specs.yaml_files import CONFIG_ROOT


def test_a_night_is_built_when_each_source_is_there(tmp_path, home, monkeypatch):
    for name in ("sources", "features"):
        (tmp_path / name).mkdir()
    orders = yaml.safe_load((CONFIG_ROOT / "sources" / "orders.yaml").read_text())
    del orders["dag_id"]
    bar = {**orders, "source": "bar", "time_zone": "America/New_York", "day_starts": "04:00"}
    (tmp_path / "sources" / "bar.yaml").write_text(yaml.safe_dump(bar))
    daily = yaml.safe_load((CONFIG_ROOT / "features" / "customer_daily.yaml").read_text())
    both = {**daily, "group": "both_daily", "sources": ["orders", "bar"]}
    (tmp_path / "features" / "both_daily.yaml").write_text(yaml.safe_dump(both))
    statement = PROJECT_ROOT / "include" / "features" / "customer_daily.sql"
    shutil.copy(statement, tmp_path / "features" / "both_daily.sql")
    monkeypatch.setenv("MLOPS_SPECS", str(tmp_path))
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=str(PROJECT_ROOT / "dags" / "materialize_features.py"))
    assert not bag.import_errors
    both_daily, alone = (bag.dags[f"materialize_features__{group}"] for group in ("both_daily", "customer_daily"))
    assert both_daily.task_dict["build"].upstream_task_ids == {"wait_for_orders", "wait_for_bar"}
    assert alone.task_dict["build"].upstream_task_ids == {"wait_for_raw"}
    # The bar's day ends at nine in the morning, UTC; the other group waits as long as ever.
    assert (both_daily.dagrun_timeout, alone.dagrun_timeout) == (timedelta(hours=21), timedelta(hours=12))
