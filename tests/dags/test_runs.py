"""Each DAG does its work, run by `dag.test()` in the order of the loop on a made-up shop."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest

from include import partitions
from include.adapters.deployment import Deployment
from include.adapters.lake.partition_reports import read_report
from include.governance.lifecycle import Stage, holder
from include.settings import PROJECT_ROOT
from include.steps.import_source import import_file
from tests.shop import FIRST_DAY, deliver, make_orders, on_days

pytestmark = pytest.mark.timeout(300)

TRAINED = "2026-04-14"
NIGHT = "2026-04-15"
LATER = "2026-04-16"


@pytest.fixture(scope="module")
def deployment(home, tmp_path_factory) -> Deployment:
    made = Deployment.from_env()
    orders = make_orders(days=106)
    history = tmp_path_factory.mktemp("shop") / "history.parquet"
    pq.write_table(on_days(orders, FIRST_DAY, TRAINED), history)
    import_file(made, history, source="orders", as_of=datetime(2026, 4, 15, tzinfo=UTC))
    deliver(home / "landing", orders, NIGHT)
    deliver(home / "landing", orders, LATER)
    return made


def states(bag, dag_id, *, conf, **kwargs):
    """Run a DAG and return the run's state beside its tasks' states."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    finished = bag.dags[dag_id].test(run_conf=conf, **kwargs)
    query = select(TaskInstance.task_id, TaskInstance.state).where(TaskInstance.run_id == finished.run_id)
    with create_session() as session:
        tasks = dict(session.execute(query.where(TaskInstance.dag_id == dag_id)).all())
    return str(finished.state), tasks


def run(bag, dag_id, *, conf, **kwargs):
    state, tasks = states(bag, dag_id, conf=conf, **kwargs)
    assert state == "success", tasks
    return tasks


def test_a_range_of_features_is_built_and_brought_online(bag, deployment):
    run(bag, "backfill_features__customer_daily", conf={"start": FIRST_DAY, "end": TRAINED})
    assert deployment.lake.partitions("features/customer_daily") == partitions.span(FIRST_DAY, TRAINED)
    assert max(deployment.state.publications("online/customer_daily")) == TRAINED


def test_training_puts_a_gated_version_into_staging(bag, deployment):
    run(bag, "train_model__churn", conf={"partition": TRAINED})
    assert holder(deployment.state.ledger("churn"), Stage.STAGING) == 1


def test_approval_puts_it_into_production(bag, deployment, monkeypatch):
    # dag.test() would wait for a person for ever: Airflow's record is read as if one had answered.
    from include.governance.approval import Answer

    def read_answer(ti_id):
        return Answer(ti_id, "Approve", "1", "ada", datetime(2026, 4, 15, tzinfo=UTC), "first")

    monkeypatch.setattr("mlops.triggers.approval.read_answer", read_answer)
    run(bag, "promote_model__churn", conf={})
    last = deployment.state.ledger("churn")[-1]
    assert (last.to_stage, last.actor, last.reason) == ("Production", "ada", "first")
    assert last.approval.dag_id == "promote_model__churn"
    assert deployment.model_registry.aliases("churn-predictor")["production"] == 1


def test_a_delivery_is_ingested(bag, deployment):
    run(bag, "ingest_orders", conf={"partition": NIGHT})
    assert NIGHT in deployment.lake.partitions("raw/orders")


@pytest.mark.thorough
def test_a_night_is_built_and_brought_online(bag, deployment):
    run(bag, "materialize_features__customer_daily", conf={"partition": NIGHT})
    assert NIGHT in deployment.lake.partitions("features/customer_daily")


def test_a_night_is_brought_online_beside_a_model_whose_file_is_broken(bag, deployment, home):
    torn = home / "overlay" / "torn.yaml"
    torn.write_bytes(b"\xff")
    try:
        run(bag, "materialize_features__customer_daily", conf={"partition": NIGHT})
    finally:
        torn.unlink()
    assert NIGHT in deployment.lake.partitions("features/customer_daily")


@pytest.mark.thorough
def test_a_range_that_is_backfilled_over_a_nights_build_writes_nothing(bag, deployment):
    version, rows = (
        deployment.lake.version("features/customer_daily"),
        deployment.lake.digest("features/customer_daily"),
    )
    run(bag, "backfill_features__customer_daily", conf={"start": partitions.shift(NIGHT, -7), "end": NIGHT})
    assert deployment.lake.version("features/customer_daily") == version
    assert deployment.lake.digest("features/customer_daily") == rows


@pytest.mark.thorough
def test_nights_one_by_one_give_the_partitions_of_a_range(bag, deployment):
    nights = partitions.span(partitions.shift(NIGHT, -2), NIGHT)
    in_a_range = [deployment.lake.digest("features/customer_daily", start=day, end=day) for day in nights]
    empty = deployment.lake.read("features/customer_daily", start=nights[0], end=nights[-1]).slice(0, 0)
    deployment.lake.replace("features/customer_daily", empty, keys=nights)
    for day in reversed(nights):
        run(bag, "materialize_features__customer_daily", conf={"partition": day})
    assert [deployment.lake.digest("features/customer_daily", start=day, end=day) for day in nights] == in_a_range


def test_a_day_that_breaks_its_yaml_is_not_published_and_the_task_is_not_tried_again(bag, deployment, monkeypatch):
    from include.specs.groups import load_feature_group

    spec = load_feature_group("customer_daily")
    narrow = spec.model_copy(update={"freshness_days": 1, "columns": tuple(_narrow(c) for c in spec.columns)})
    monkeypatch.setattr("include.steps.build_features.load_feature_group", lambda group: narrow)
    version = deployment.lake.version("features/customer_daily")
    state, tasks = states(bag, "backfill_features__customer_daily", conf={"start": NIGHT, "end": NIGHT})
    assert (state, tasks["build_range"], tasks["materialize"]) == ("failed", "failed", "upstream_failed")
    assert deployment.lake.version("features/customer_daily") == version
    report = read_report(deployment.lake, "customer_daily", NIGHT)
    assert [(check.check, check.column) for check in report.failed] == [("bounds", "tenure_days")]


def _narrow(column):
    return column.model_copy(update={"max": 3.0}) if column.name == "tenure_days" else column


def test_the_declarations_are_applied_again_without_a_change(bag, deployment):
    assert run(bag, "apply_feature_repo", conf={}) == {"apply": "success"}


def test_the_night_is_scored_by_the_version_in_production(bag, deployment):
    run(bag, "score_batch__churn", conf={"partition": NIGHT})
    scored = deployment.lake.read("predictions/churn", start=NIGHT, end=NIGHT)
    assert scored.num_rows > 50
    assert set(scored["model_version"].to_pylist()) == {1}


def test_the_night_is_measured_decided_and_looked_at_for_alerts(bag, deployment, caplog):
    with caplog.at_level("INFO", logger="include.steps.raise_alerts"):
        run(bag, "monitor_model__churn", conf={"partition": NIGHT})
    assert f"alerts model=churn partition={NIGHT} found=" in caplog.text
    (night,) = deployment.state.nights("churn")
    assert night["partition"] == NIGHT
    assert deployment.state.publications("outcomes/churn") == {NIGHT: 0}
    assert [d.partition for d in deployment.state.decisions("churn")][-1] == NIGHT


def test_a_night_that_is_missing_fails_the_watch_once(bag, deployment):
    assert run(bag, "watch_nights", conf={"partition": NIGHT}) == {"watch": "success", "sweep_staged": "success"}
    ended = {"watch": "failed", "sweep_staged": "success"}
    assert states(bag, "watch_nights", conf={"partition": LATER}) == ("failed", ended)
    assert run(bag, "watch_nights", conf={"partition": LATER})["watch"] == "success"
    found = [each.hole.key for each in deployment.state.night_incidents() if each.is_open]
    assert found == [("group", "customer_daily", LATER), ("model", "churn", LATER)]


def test_a_request_is_decided_at_the_newest_night_and_asks_with_its_reason_and_key(bag, deployment):
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session
    from sqlalchemy import select

    for waiting in (d for d in deployment.state.decisions("churn") if d.acted and d.trained_by is None):
        deployment.state.claim_training(waiting.decision_id, "a training")
    run(bag, "request_retrain__churn", conf={"reason": "new prices", "key": "order-7"})
    with create_session() as session:
        query = select(AssetEvent).where(AssetEvent.source_dag_id == "request_retrain__churn")
        (event,) = session.scalars(query).all()
    assert event.partition_key == deployment.state.newest_publication("features/customer_daily") == NIGHT
    assert (event.extra["reason"], event.extra["key"]) == ("new prices", "order-7")
    (decision,) = deployment.state.decisions("churn")[-1:]
    assert (decision.acted, decision.requested, decision.partition) == (True, True, NIGHT)


def test_retraining_is_stopped_and_started_by_a_form(bag, deployment):
    form = {"model": "churn", "reason": "an audit"}
    assert run(bag, "switch_retraining", conf={**form, "switch": "stop"}) == {"switch": "success"}
    assert run(bag, "switch_retraining", conf={**form, "switch": "stop"}) == {"switch": "skipped"}
    assert run(bag, "switch_retraining", conf={**form, "switch": "start"}) == {"switch": "success"}
    told = [(m.model_id, m.is_stop, m.actor, m.reason) for m in deployment.state.switch_moves()]
    assert told == [("churn", is_stop, "dag_test", "an audit") for is_stop in (True, False)]


def test_the_scores_are_written_back_as_a_feature(bag, deployment):
    run(bag, "materialize_features__churn_scores", conf={"partition": NIGHT})
    scored = deployment.lake.read("predictions/churn", start=NIGHT, end=NIGHT)
    online = deployment.feature_store.online_group(
        "churn_scores", scored["customer_id"].to_pylist(), at=partitions.end_of(NIGHT)
    )
    assert online.values["churn_risk_score"].to_pylist() == scored["score"].to_pylist()


def test_a_night_before_the_first_production_version_is_skipped_not_scored(bag, deployment):
    assert run(bag, "score_batch__churn", conf={"partition": TRAINED}) == {
        "score": "skipped",
        "rescore_stale": "skipped",
    }
    assert TRAINED not in deployment.lake.partitions("predictions/churn")


def test_a_range_of_nights_is_scored_again_to_the_same_rows(bag, deployment):
    before = deployment.lake.digest("predictions/churn")
    run(bag, "rescore_range__churn", conf={"start": TRAINED, "end": NIGHT})
    assert deployment.lake.digest("predictions/churn") == before


def emitted(dag_id, task_id):
    """Return the partition keys of the events that a task has emitted, in order."""
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session
    from sqlalchemy import select

    query = select(AssetEvent.partition_key).where(AssetEvent.source_dag_id == dag_id)
    with create_session() as session:
        return list(session.scalars(query.where(AssetEvent.source_task_id == task_id).order_by(AssetEvent.id)))


def test_a_range_that_is_scored_again_has_its_nights_monitored(bag, deployment):
    assert emitted("rescore_range__churn", "score_range") == [NIGHT]


def test_the_version_is_made_again_to_the_bit_and_one_that_there_is_not_fails(bag, deployment):
    run(bag, "reproduce_version__churn", conf={"version": 1, "against_latest": True})
    state, tasks = states(bag, "reproduce_version__churn", conf={"version": 99})
    assert (state, tasks) == ("failed", {"reproduce": "failed"})


def test_a_training_that_nothing_has_started_is_asked_for_again_by_the_next_night(bag, bag_of_chunks, deployment):
    assert [d.trained_by for d in deployment.state.decisions("churn") if d.acted][-1] is None
    for dag_id in ("ingest_orders", "materialize_features__customer_daily"):
        run(bag, dag_id, conf={"partition": LATER})
    run(bag_of_chunks, "score_batch__churn", conf={"partition": LATER})
    assert deployment.lake.read("predictions/churn", start=LATER, end=LATER).num_rows > 50
    assert emitted("score_batch__churn", "commit") == [LATER]
    tasks = run(bag, "monitor_model__churn", conf={"partition": LATER})
    assert (tasks["signal"], tasks["ask_again"]) == ("skipped", "success")
    assert emitted("monitor_model__churn", "ask_again") == [NIGHT]


def test_a_run_without_a_partition_fails(deployment):
    from airflow.dag_processing.dagbag import DagBag

    # A bag of its own: a tested DAG keeps the params of its last run.
    fresh = DagBag(dag_folder=str(PROJECT_ROOT / "dags" / "score_batch.py"))
    for task in fresh.dags["score_batch__churn"].tasks:
        task.retry_delay = timedelta(0)
    both = {"score": "failed", "rescore_stale": "failed"}
    assert states(fresh, "score_batch__churn", conf={}) == ("failed", both)
