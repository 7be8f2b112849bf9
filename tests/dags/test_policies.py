"""Every DAG keeps the house rules, and has the tasks and edges that are written here by hand."""

from __future__ import annotations

import pytest

FROM_ORDERS = ("customer_daily", "order_risk", "product_daily")
ONLINE = {"build": {"materialize"}, "materialize": {"verify", "heal"}, "verify": set(), "heal": set()}
TOPOLOGY = {
    "ingest_orders": {"wait_for_delivery": {"import_delivery"}, "import_delivery": set()},
    "apply_feature_repo": {"apply": set()},
    **{f"materialize_features__{group}": {"wait_for_raw": {"build"}, **ONLINE} for group in FROM_ORDERS},
    "materialize_features__churn_scores": ONLINE,
    **{
        f"backfill_features__{group}": {
            "build_range": {"materialize"},
            "materialize": {"verify"},
            "verify": set(),
        }
        for group in (*FROM_ORDERS, "churn_scores")
    },
    "score_batch__churn": {"score": set()},
    "rescore_range__churn": {"score_range": set()},
    "monitor_model__churn": {"audit": set(), "measure": {"decide"}, "decide": {"signal"}, "signal": set()},
    "train_model__churn": {
        "claim": {"build_training_set"},
        "build_training_set": {"train"},
        "train": {"gate"},
        "gate": set(),
    },
    "promote_model__churn": {
        "find_candidate": {"approve"},
        "approve": {"promote"},
        "promote": {"record_rejection"},
        "record_rejection": set(),
    },
}
# consumer → the asset whose keyed event starts it
CONSUMERS = {
    "score_batch__churn": "mlops://features/customer_daily",
    "monitor_model__churn": "mlops://predictions/churn",
    "train_model__churn": "mlops://retrain/churn",
    "promote_model__churn": "mlops://candidate/churn",
}
OUTLETS = {
    ("ingest_orders", "import_delivery"): "mlops://lake/raw/orders",
    **{
        (f"materialize_features__{group}", "verify"): f"mlops://features/{group}"
        for group in (*FROM_ORDERS, "churn_scores")
    },
    ("score_batch__churn", "score"): "mlops://predictions/churn",
    ("monitor_model__churn", "signal"): "mlops://retrain/churn",
    ("train_model__churn", "gate"): "mlops://candidate/churn",
}
PRODUCERS = ("ingest_orders", *(f"materialize_features__{group}" for group in FROM_ORDERS))


def test_the_bag_is_not_empty_and_has_no_import_error(bag):
    assert bag.dags
    assert bag.import_errors == {}


def test_the_bag_holds_exactly_the_known_dags(bag):
    assert set(bag.dags) == set(TOPOLOGY)


@pytest.mark.parametrize("dag_id", TOPOLOGY)
def test_tasks_and_edges_are_as_drawn(bag, dag_id):
    assert {t.task_id: set(t.downstream_task_ids) for t in bag.dags[dag_id].tasks} == TOPOLOGY[dag_id]


@pytest.mark.parametrize("dag_id", TOPOLOGY)
def test_policies_hold(bag, dag_id):
    dag = bag.dags[dag_id]
    assert dag.doc_md, "says nothing of itself"
    assert "Re-run" in dag.doc_md
    assert dag.catchup is False
    assert dag.start_date.utcoffset().total_seconds() == 0
    assert dag.tags
    for task in dag.tasks:
        assert task.owner == "mlops"
        assert task.retries >= 1, f"{task.task_id}: a task can start before the API server listens"
        assert task.execution_timeout is not None or task.task_id == "approve"
        assert task.on_failure_callback


@pytest.mark.parametrize("dag_id", CONSUMERS)
def test_consumers_are_partitioned_and_not_paused_on_creation(bag, dag_id):
    dag = bag.dags[dag_id]
    assert type(dag.timetable).__name__ == "PartitionedAssetTimetable"
    assert dag.timetable.asset_condition.uri == CONSUMERS[dag_id]
    assert dag.is_paused_upon_creation is False


def test_scores_are_written_back_once_a_person_has_switched_it_on(bag):
    dag = bag.dags["materialize_features__churn_scores"]
    assert type(dag.timetable).__name__ == "PartitionedAssetTimetable"
    assert dag.timetable.asset_condition.uri == "mlops://predictions/churn"
    assert dag.is_paused_upon_creation is True


@pytest.mark.parametrize("dag_id", PRODUCERS)
def test_producers_carry_yesterdays_day_and_can_be_backfilled(bag, dag_id):
    timetable = bag.dags[dag_id].timetable
    assert type(timetable).__name__ == "CronPartitionTimetable"
    assert timetable.run_offset == -1
    assert timetable.key_format == "%Y-%m-%d"


def test_assets_are_emitted_by_exactly_the_known_tasks(bag):
    found = {
        (dag_id, task.task_id): outlet.uri
        for dag_id, dag in bag.dags.items()
        for task in dag.tasks
        for outlet in task.outlets
    }
    assert found == OUTLETS


def test_approval_has_no_default_answer_and_waits_as_long_as_the_spec_says(bag):
    approve = bag.dags["promote_model__churn"].get_task("approve")
    assert approve.defaults is None
    assert approve.execution_timeout is None
    assert approve.response_timeout.total_seconds() == 168 * 3600


def test_an_invalid_spec_is_an_import_error_that_names_file_key_and_nearest_key(tmp_path, monkeypatch):
    from airflow.dag_processing.dagbag import DagBag

    from include.settings import PROJECT_ROOT

    (tmp_path / "churn.yaml").write_text("gates:\n  auc_mim: 0.9\n")
    monkeypatch.setenv("MLOPS_SPECS", str(tmp_path))
    broken = DagBag(dag_folder=str(PROJECT_ROOT / "dags" / "train_model.py"))
    (message,) = broken.import_errors.values()
    assert "churn.yaml: unknown key 'gates.auc_mim'" in message
    assert "did you mean 'auc_min'?" in message
