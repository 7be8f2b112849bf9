"""Every DAG keeps the house rules; each kind has the tasks and edges that are written here by hand, for every spec."""

from __future__ import annotations

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import AssetAll
from airflow.sdk.definitions.context import _AIRFLOW_PARSING_CONTEXT_DAG_ID

from include.specs.deployed import load_specs
from include.specs.groups import FeatureGroupSpec
from include.specs.models import ModelSpec

SPECS = load_specs()
BUILT_FROM_ORDERS = {
    "wait_for_raw": {"build"},
    "build": {"materialize"},
    "materialize": {"verify", "heal"},
    "verify": set(),
    "heal": set(),
}
BUILT_FROM_SCORES = {task: after for task, after in BUILT_FROM_ORDERS.items() if task != "wait_for_raw"}
ONCE = {
    "ingest_orders": {"wait_for_delivery": {"import_delivery"}, "import_delivery": set()},
    "apply_feature_repo": {"apply": set()},
    "switch_retraining": {"switch": set()},
    "tell_ignored_events": {"tell": set()},
    "ask_about_waiting": {f"remind_of_{model_id}": set() for model_id in SPECS.models},
    "verify_registry": {"verify": set()},
    "watch_nights": {"watch": set(), "sweep_staged": set()},
}
PER_GROUP = {"backfill_features": {"build_range": {"materialize"}, "materialize": {"verify"}, "verify": set()}}
PER_MODEL = {
    "score_batch": {"score": set(), "rescore_stale": set()},
    "rescore_range": {"score_range": set()},
    "reproduce_version": {"reproduce": set()},
    "request_retrain": {"request": set()},
    "monitor_model": {
        "audit": set(),
        "record_outcomes": {"measure"},
        "measure": {"decide"},
        "decide": {"ask_again", "signal"},
        "ask_again": set(),
        "signal": set(),
    },
    "train_model": {
        "claim": {"build_training_set"},
        "build_training_set": {"train"},
        "train": {"gate"},
        "gate": set(),
    },
    "promote_model": {"approve": set()},
}
FROM_SCORES = {f"materialize_features__{name}": spec for name, spec in SPECS.groups.items() if spec.scored_by}
FROM_ORDERS = {f"materialize_features__{name}": spec for name, spec in SPECS.groups.items() if not spec.scored_by}
TOPOLOGY = {
    **ONCE,
    **dict.fromkeys(FROM_ORDERS, BUILT_FROM_ORDERS),
    **dict.fromkeys(FROM_SCORES, BUILT_FROM_SCORES),
    **{f"{kind}__{group}": tasks for kind, tasks in PER_GROUP.items() for group in SPECS.groups},
    **{f"{kind}__{model}": tasks for kind, tasks in PER_MODEL.items() for model in SPECS.models},
}


def consumers(model_id: str, spec: ModelSpec) -> dict[str, set[str]]:
    """Return a model's DAGs that events start, and the assets whose events, all of one key, do."""
    groups = {spec.features.group, *SPECS.services[spec.features.service].features}
    return {
        f"score_batch__{model_id}": {f"mlops://features/{group}" for group in groups},
        f"monitor_model__{model_id}": {f"mlops://predictions/{model_id}"},
        f"train_model__{model_id}": {f"mlops://retrain/{model_id}"},
        f"promote_model__{model_id}": {f"mlops://candidate/{model_id}"},
    }


def emitted(model_id: str) -> dict[tuple[str, str], str]:
    """Return the tasks of a model's DAGs that emit, and what."""
    return {
        (f"score_batch__{model_id}", "score"): f"mlops://predictions/{model_id}",
        (f"score_batch__{model_id}", "rescore_stale"): f"mlops://predictions/{model_id}",
        (f"rescore_range__{model_id}", "score_range"): f"mlops://predictions/{model_id}",
        (f"monitor_model__{model_id}", "ask_again"): f"mlops://retrain/{model_id}",
        (f"monitor_model__{model_id}", "signal"): f"mlops://retrain/{model_id}",
        (f"request_retrain__{model_id}", "request"): f"mlops://retrain/{model_id}",
        (f"train_model__{model_id}", "gate"): f"mlops://candidate/{model_id}",
        ("ask_about_waiting", f"remind_of_{model_id}"): f"mlops://candidate/{model_id}",
    }


CONSUMERS = {dag_id: assets for name, spec in SPECS.models.items() for dag_id, assets in consumers(name, spec).items()}
OUTLETS = {
    ("ingest_orders", "import_delivery"): "mlops://lake/raw/orders",
    **{(f"materialize_features__{group}", "verify"): f"mlops://features/{group}" for group in SPECS.groups},
    **{task: asset for name in SPECS.models for task, asset in emitted(name).items()},
}
OWNERS = {
    **{spec.ingest_dag_id: spec.owner for spec in SPECS.sources.values()},
    **{
        f"{kind}__{name}": spec.owner
        for kind in (*PER_GROUP, "materialize_features")
        for name, spec in SPECS.groups.items()
    },
    **{f"{kind}__{name}": spec.owner for kind in PER_MODEL for name, spec in SPECS.models.items()},
}
PRODUCERS = ("ingest_orders", "ask_about_waiting", "watch_nights", *FROM_ORDERS)


def test_there_are_specs_of_every_kind_to_derive_from():
    assert SPECS.violations == ()
    assert all((SPECS.models, FROM_ORDERS, FROM_SCORES))


def test_the_bag_is_not_empty_and_has_no_import_error(bag):
    assert bag.dags
    assert bag.import_errors == {}


def test_the_bag_holds_exactly_the_dags_of_the_specs(bag):
    assert set(bag.dags) == set(TOPOLOGY)


@pytest.mark.parametrize("dag_id", TOPOLOGY)
def test_tasks_and_edges_are_as_drawn(bag, dag_id):
    assert {t.task_id: set(t.downstream_task_ids) for t in bag.dags[dag_id].tasks} == TOPOLOGY[dag_id]


def test_a_night_in_chunks_is_planned_and_committed_once_around_a_task_for_each_chunk(bag_of_chunks):
    dag = bag_of_chunks.dags["score_batch__churn"]
    assert {t.task_id: set(t.downstream_task_ids) for t in dag.tasks} == {
        "plan": {"score_chunk", "commit", "remove_staged"},
        "score_chunk": {"commit"},
        "commit": {"remove_staged"},
        "remove_staged": set(),
        "rescore_stale": set(),
    }
    assert [t.task_id for t in dag.tasks if t.is_mapped] == ["score_chunk"]
    assert {t.task_id for t in dag.tasks if t.outlets} == {"commit", "rescore_stale"}
    assert all(t.retries >= 1 and t.execution_timeout and t.owner == SPECS.models["churn"].owner for t in dag.tasks)
    assert set(bag_of_chunks.dags["score_batch__fraud"].task_ids) == set(PER_MODEL["score_batch"])


@pytest.mark.parametrize("dag_id", TOPOLOGY)
def test_what_a_task_returns_is_kept_once_and_not_again_key_by_key(bag, dag_id):
    assert [task.task_id for task in bag.dags[dag_id].tasks if getattr(task, "multiple_outputs", False)] == []


@pytest.mark.parametrize("dag_id", TOPOLOGY)
def test_policies_hold(bag, dag_id):
    dag = bag.dags[dag_id]
    assert dag.doc_md, "says nothing of itself"
    assert "Re-run" in dag.doc_md
    assert dag.catchup is False
    assert dag.start_date.utcoffset().total_seconds() == 0
    assert dag.tags
    assert dag.description
    for task in dag.tasks:
        assert task.owner == OWNERS.get(dag_id, "mlops")
        assert task.retries >= 1, f"{task.task_id}: a task can start before the API server listens"
        assert task.execution_timeout is not None or task.task_id == "approve"
        assert task.on_failure_callback


def test_a_task_parses_its_own_dag_alone(bag, monkeypatch):
    for dag_id, dag in bag.dags.items():
        # As Airflow's own context manager sets it, which does not take it back.
        monkeypatch.setenv(_AIRFLOW_PARSING_CONTEXT_DAG_ID, dag_id)
        alone = DagBag(dag_folder=dag.fileloc).dags
        assert dag_id in alone
        assert {other for other in alone if "__" in other and "__" in dag_id} <= {
            other for other in TOPOLOGY if other.endswith(f"__{dag_id.partition('__')[2]}")
        }


@pytest.mark.parametrize("dag_id", CONSUMERS)
def test_consumers_are_partitioned_and_of_a_new_model_its_training_alone_is_paused(bag, dag_id):
    dag = bag.dags[dag_id]
    assert type(dag.timetable).__name__ == "PartitionedAssetTimetable"
    condition = dag.timetable.asset_condition
    waited_for = condition.objects if isinstance(condition, AssetAll) else [condition]
    assert {asset.uri for asset in waited_for} == CONSUMERS[dag_id]
    assert dag.is_paused_upon_creation is dag_id.startswith("train_model__")


@pytest.mark.parametrize(("dag_id", "spec"), FROM_SCORES.items(), ids=FROM_SCORES)
def test_scores_are_written_back_once_a_person_has_switched_it_on(bag, dag_id, spec: FeatureGroupSpec):
    dag = bag.dags[dag_id]
    assert type(dag.timetable).__name__ == "PartitionedAssetTimetable"
    assert dag.timetable.asset_condition.uri == f"mlops://predictions/{spec.scored_by}"
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


@pytest.mark.parametrize(("model_id", "spec"), SPECS.models.items(), ids=SPECS.models)
def test_approval_has_no_default_answer_and_waits_as_long_as_the_spec_says(bag, model_id, spec: ModelSpec):
    approve = bag.dags[f"promote_model__{model_id}"].get_task("approve")
    assert approve.defaults is None
    assert approve.execution_timeout is None
    assert approve.response_timeout.total_seconds() == spec.approval.response_timeout_hours * 3600
