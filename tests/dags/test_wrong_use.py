"""Wrong use is refused where it is posted, or by the first task at its first try: over every DAG that takes a value."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from include.settings import PROJECT_ROOT
from include.specs.deployed import load_specs
from mlops.dag_defaults import RETRY_POLICY
from tests.everyday import members

pytestmark = pytest.mark.timeout(300)

SPECS = load_specs()
NO_DAYS = ("", " ", "2026-02-30", "2026-3-1", "1 March", "2026-03-01T00:00:00", 20260301, ["2026-03-01"])
RANGES = (*(f"backfill_features__{group}" for group in SPECS.groups), *(f"rescore_range__{m}" for m in SPECS.models))
OF_A_DAY = (
    "ingest_orders",
    *(f"materialize_features__{group}" for group in SPECS.groups),
    *(f"{kind}__{model}" for kind in ("score_batch", "monitor_model", "train_model") for model in SPECS.models),
)


def one_of_each(dag_ids: tuple[str, ...]) -> list[str]:
    """Return one DAG of each file: the others are the same but for a name."""
    return list({dag_id.partition("__")[0]: dag_id for dag_id in dag_ids}.values())


def post(bag: Any, dag_id: str, conf: dict[str, Any]) -> dict[str, Any]:
    """Hold a conf against the DAG's form, as the API server does before there is a run."""
    stored = json.loads(json.dumps(DagSerialization.to_dict(bag.dags[dag_id])))
    return DagSerialization.from_dict(stored).params.deep_merge(conf).validate()


@pytest.mark.parametrize("dag_id", members(RANGES, daily=one_of_each(RANGES)))
@pytest.mark.parametrize("wrong", [None, *NO_DAYS], ids=repr)
def test_a_range_without_a_day_is_refused_by_the_form(bag, dag_id, wrong):
    for field, other in (("start", "end"), ("end", "start")):
        with pytest.raises(ParamValidationError, match=f"param {field}"):
            post(bag, dag_id, {field: wrong, other: "2026-03-01"})
        with pytest.raises(ParamValidationError, match=f"param {field}"):
            post(bag, dag_id, {other: "2026-03-01"})


@pytest.mark.parametrize("dag_id", members(OF_A_DAY, daily=one_of_each(OF_A_DAY)))
@pytest.mark.parametrize("wrong", NO_DAYS, ids=repr)
def test_what_is_no_day_is_refused_by_the_form(bag, dag_id, wrong):
    with pytest.raises(ParamValidationError, match="param partition"):
        post(bag, dag_id, {"partition": wrong})


@pytest.mark.parametrize("model_id", members(SPECS.models, daily=list(SPECS.models)[:1]))
@pytest.mark.parametrize("wrong", [{}, *({"reason": reason} for reason in ("", "  ", None, 5, "x" * 501))], ids=str)
def test_a_request_without_a_reason_is_refused_by_the_form(bag, model_id, wrong):
    with pytest.raises(ParamValidationError, match="param reason"):
        post(bag, f"request_retrain__{model_id}", {**wrong, "key": "k"})
    for key in ("", " ", 5):
        with pytest.raises(ParamValidationError, match="param key"):
            post(bag, f"request_retrain__{model_id}", {"reason": "new prices", "key": key})


@pytest.mark.parametrize("model_id", members(SPECS.models, daily=list(SPECS.models)[:1]))
@pytest.mark.parametrize("wrong", [{}, *({"version": each} for each in (None, 0, -1, 2**31, 1.5, "1", True))], ids=str)
def test_a_version_that_can_be_none_is_refused_by_the_form(bag, model_id, wrong):
    with pytest.raises(ParamValidationError, match="param version"):
        post(bag, f"reproduce_version__{model_id}", wrong)


def test_every_task_fails_at_once_where_another_try_would_change_nothing(bag):
    assert bag.dags
    for dag in bag.dags.values():
        assert {task.task_id for task in dag.tasks if task.retry_policy is not RETRY_POLICY} == set(), dag.dag_id


def test_the_policy_is_stored_without_an_address_that_would_make_a_new_version_at_each_parse(bag):
    for dag in bag.dags.values():
        assert " at 0x" not in json.dumps(DagSerialization.to_dict(dag)), dag.dag_id


@pytest.fixture(scope="module")
def fresh(home):
    """A bag of its own: a tested DAG keeps the params of its last run."""
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(dag_folder=str(PROJECT_ROOT / "dags"))


def tries(bag: Any, dag_id: str, conf: dict[str, Any]) -> tuple[str, dict[str, tuple[str, int]]]:
    """Run a DAG and return its state, and those of the tasks that ran with how often each was tried."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    finished = bag.dags[dag_id].test(run_conf=conf)
    query = select(TaskInstance.task_id, TaskInstance.state, TaskInstance.try_number)
    with create_session() as session:
        rows = session.execute(
            query.where(TaskInstance.run_id == finished.run_id, TaskInstance.dag_id == dag_id)
        ).tuples()
        return str(finished.state), {task: (str(state), number) for task, state, number in rows if number}


@pytest.mark.parametrize("dag_id", members(one_of_each(RANGES), daily=RANGES[-1:]))
def test_a_range_that_ends_before_it_starts_is_refused_at_the_first_try(fresh, dag_id):
    state, ran = tries(fresh, dag_id, {"start": "2026-03-02", "end": "2026-03-01"})
    assert state == "failed"
    assert list(ran.values()) == [("failed", 1)]


@pytest.mark.parametrize("dag_id", members(one_of_each(OF_A_DAY), daily=OF_A_DAY[:1]))
def test_a_run_without_a_day_is_refused_at_the_first_try(fresh, dag_id):
    state, ran = tries(fresh, dag_id, {})
    assert state == "failed"
    assert set(ran.values()) == {("failed", 1)}


def test_a_night_that_has_not_come_is_refused_by_monitoring_at_the_first_try(fresh):
    state, ran = tries(fresh, f"monitor_model__{next(iter(SPECS.models))}", {"partition": "9999-12-31"})
    assert (state, ran["record_outcomes"], ran["measure"]) == ("failed", ("failed", 1), ("failed", 1))


def test_a_request_with_a_word_too_many_is_refused_at_the_first_try(fresh):
    state, ran = tries(fresh, f"request_retrain__{next(iter(SPECS.models))}", {"reason": "new prices", "kee": "k"})
    assert (state, ran) == ("failed", {"request": ("failed", 1)})
