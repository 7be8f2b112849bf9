"""The loop through Airflow's real scheduler: what starts a training, and what must not.

Counted from the ledger, the decision table and Airflow's runs, never from printed text. Every
night of the test spec is due for a retrain, so only the rule on data stands in the way.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from include import partitions
from include.embedded.logins import read_password
from tests.browser import chromium
from tests.e2e.airflow_pages import PAGES, Visitor
from tests.e2e.loop import NIGHT, OLDER, TRAINED, Loop
from tests.everyday import members

pytestmark = pytest.mark.timeout(1200)

# One page of each kind that Airflow builds in its own way, and those that are ours.
DAILY = ["home", "DAG", "run", "links of a task", "assets", "required actions", "model monitoring", "quality report"]


@pytest.fixture(scope="module")
def replayed(night: Loop) -> Loop:
    """The same night has run once more."""
    night.runs["replay"] = night.api.trigger("materialize_features__customer_daily", partition=NIGHT)
    night.monitored([NIGHT], 2)
    return night


@pytest.fixture(scope="module")
def backfilled(replayed: Loop) -> Loop:
    """Older nights have been backfilled, scored and monitored."""
    replayed.api.backfill("materialize_features__customer_daily", OLDER[0], OLDER[-1])
    replayed.monitored(OLDER, 1)
    time.sleep(5)  # a training that should not start would be there by now: the scheduler loops every second
    return replayed


def test_one_keyed_night_runs_the_whole_chain(night):
    for dag_id in ("ingest_orders", "materialize_features__customer_daily"):
        night.ended(dag_id, night.runs[dag_id])
    for dag_id in ("score_batch__churn", "monitor_model__churn", "train_model__churn"):
        assert NIGHT in [r["partition_key"] for r in night.api.runs(dag_id) if r["state"] == "success"], dag_id
    assert night.deployment.lake.partitions("predictions/churn") == [NIGHT]


def test_a_build_links_to_its_quality_report_which_only_a_login_opens(night):
    run_id = night.runs["materialize_features__customer_daily"]
    task = f"/dags/materialize_features__customer_daily/dagRuns/{run_id}/taskInstances/build"
    address = night.api.request("GET", f"{task}/links")["extra_links"]["Quality report"]
    assert address == f"/mlops/quality/customer_daily/{NIGHT}"
    assert httpx.get(night.api.address + address).status_code == 401
    status, html = night.api.page(address)
    assert (status, f"customer_daily, {NIGHT}: published" in html) == (200, True)
    status, html = night.api.page("/mlops/quality/customer_daily/1999-01-01")
    assert (status, "there is no quality report" in html) == (404, True)


def test_scores_are_written_back_as_a_feature_and_served_beside_the_others(night):
    scores = night.deployment.lake.read("predictions/churn", start=NIGHT, end=NIGHT)
    store = night.deployment.feature_store
    online = store.online("customer_features", scores["customer_id"].to_pylist(), at=partitions.end_of(NIGHT)).values
    assert online["churn_risk_score"].to_pylist() == scores["score"].to_pylist()
    assert online["total_orders_30d"].null_count == 0


def test_a_retrain_decision_starts_exactly_one_training(night):
    (decision,) = night.decisions(NIGHT)
    assert (decision.action, decision.trigger, decision.acted) == ("retrain", "schedule", True)
    (run,) = [r for r in night.trainings() if r["run_type"] == "asset_triggered"]
    assert decision.trained_by == run["dag_run_id"]
    assert run["partition_key"] == NIGHT


def test_the_first_training_by_hand_has_a_decision_of_its_own(night):
    (decision,) = night.decisions(TRAINED)
    assert (decision.trigger, decision.acted) == ("event", True)
    assert "by hand" in decision.reasons[0]
    assert decision.trained_by == night.runs["first training"]


def test_the_same_night_replayed_starts_none(replayed):
    first, again = replayed.decisions(NIGHT)
    assert (first.acted, again.action, again.acted) == (True, "retrain", False)
    assert len(replayed.trainings()) == 2


def test_a_backfill_of_older_nights_starts_none(backfilled):
    decisions = [d for night in OLDER for d in backfilled.decisions(night)]
    assert [d.partition for d in decisions] == OLDER
    assert {d.action for d in decisions} == {"retrain"}, "the rule is only tested when every night asks for one"
    assert not any(d.acted for d in decisions)
    assert len(backfilled.trainings()) == 2
    assert sum(d.acted for d in backfilled.deployment.state.decisions("churn")) == 2


def test_a_backfill_does_not_move_an_online_feature_back(backfilled):
    store = backfilled.deployment.feature_store
    offline = backfilled.deployment.lake.read("features/customer_daily", start=NIGHT, end=NIGHT)
    keys = offline["customer_id"].to_pylist()
    online = store.online("churn_v1", keys, at=partitions.end_of(NIGHT)).values
    assert online["days_since_last_order"].to_pylist() == offline["days_since_last_order"].to_pylist()


@pytest.fixture(scope="module")
def visitor(backfilled: Loop) -> Iterator[Visitor]:
    with chromium() as browser:
        yield Visitor(browser, backfilled.api.address, read_password(backfilled.deployment.settings.home))


@pytest.mark.parametrize("name", members(PAGES, daily=DAILY))
def test_a_page_shows_what_it_is_for_without_an_error(backfilled, visitor, name):
    run = backfilled.runs["materialize_features__customer_daily"]
    path, words = (text.format(night=NIGHT, run=run) for text in PAGES[name])
    with visitor.at(path) as opened:
        opened.see(words)
        assert opened.wrong == []


@pytest.mark.parametrize(
    ("choice", "drawn"),
    [
        # "External conditions"
        pytest.param("immediate", {"train", "candidate_churn"}, marks=pytest.mark.thorough),
        ("all", {"train", "candidate_churn", "promote_model__churn", "retrain_churn", "monitor_model__churn"}),
    ],
)
def test_a_dag_draws_what_it_depends_on(visitor, choice, drawn):
    remembered = {"default_dag_view": "graph", "dependencies-train_model__churn": choice}
    with visitor.at("/dags/train_model__churn", remembered) as opened:
        assert drawn <= opened.graph(*sorted(drawn))
        assert opened.wrong == []


@pytest.mark.parametrize(
    ("name", "task", "dags"),
    [
        pytest.param("raw_orders", "import_delivery", {"ingest_orders"}, marks=pytest.mark.thorough),
        pytest.param(
            "predictions_churn", "score", {"score_batch__churn", "monitor_model__churn"}, marks=pytest.mark.thorough
        ),
        ("candidate_churn", "gate", {"train_model__churn", "promote_model__churn"}),
    ],
)
def test_an_asset_draws_where_it_comes_from_and_what_it_starts(backfilled, visitor, name, task, dags):
    (asset,) = backfilled.api.request("GET", "/assets", name_pattern=name)["assets"]
    with visitor.at(f"/assets/{asset['id']}") as opened:
        assert {name, *dags} <= opened.graph(name, *sorted(dags))
        opened.page.get_by_text("Task Dependencies").click()
        assert {name, task} <= opened.graph(name, task)
        assert opened.wrong == []


def test_rejecting_archives_the_candidate_with_its_reason_and_production_stays(backfilled):
    (approval,) = backfilled.waiting()
    run_id = approval["task_instance"]["dag_run_id"]
    backfilled.as_user("ada").answer(approval, "Reject", reason="too soon after the first")
    backfilled.ended("promote_model__churn", run_id)
    last = backfilled.deployment.state.ledger("churn")[-1]
    assert (last.version, last.from_stage, last.to_stage) == (2, "Staging", "Archived")
    assert (last.actor, last.reason) == ("ada", "rejected: too soon after the first")
    assert backfilled.deployment.model_registry.aliases("churn-predictor")["production"] == 1


def test_every_move_has_one_ledger_row(backfilled):
    moves = [(m.version, m.from_stage.value, m.to_stage.value) for m in backfilled.deployment.state.ledger("churn")]
    assert moves[:3] == [(1, "None", "Staging"), (1, "Staging", "Production"), (2, "None", "Staging")]


def test_the_ledger_tells_two_people_apart(backfilled):
    by_person = {m.version: m.actor for m in backfilled.deployment.state.ledger("churn") if m.from_stage == "Staging"}
    assert by_person == {1: "admin", 2: "ada"}


def test_a_task_finds_feast_in_its_worker(backfilled):
    task = next(
        t
        for t in backfilled.api.tasks("materialize_features__customer_daily", backfilled.runs["replay"])
        if t["task_id"] == "materialize"
    )
    text = backfilled.api.request(
        "GET",
        f"/dags/{task['dag_id']}/dagRuns/{task['dag_run_id']}/taskInstances/materialize/logs/{task['try_number']}",
    )
    assert "the worker had loaded feast" in [entry.get("event") for entry in text["content"]]
