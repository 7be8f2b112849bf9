"""What the monitoring page is told of a model: where a day stands in each row, what is missing, where a link leads."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter

from include import partitions
from include.adapters.state.nights import NightInShort
from include.errors import UsageError
from include.monitoring.check import Check
from include.monitoring.decision import NightMetrics
from include.monitoring.retraining_switch import SwitchMove
from include.specs.models import load_model
from include.views.monitoring_page import DAYS, Record, compose_page, read_page
from tests.monitored_year import shorten
from tests.unit.demo.accounts import make_decision, make_moves
from tests.unit.monitoring.nights import make_drift, make_night

FIRST = "2026-03-01"
STAGED = (1, "None", "Staging", FIRST, "train_model", "gates passed")
PROMOTED = (1, "Staging", "Production", FIRST, "admin", "first version")
AUC = Check("performance", "auc", 0.7, 0.8, "breach", low=0.65, high=0.75, reason="0.7 is below 0.8")


def night_of(place: int, **changes: object) -> NightInShort:
    metrics = replace(make_night(partitions.shift(FIRST, place)), **changes)
    return shorten(TypeAdapter(NightMetrics).dump_python(metrics, mode="json"))


def page_of(*nights: NightInShort, until: str | None = None, **known: object):
    record = Record(nights=nights, moves=make_moves(STAGED, PROMOTED), **known)
    return compose_page(load_model("churn"), record, until=until)


def decided(*places: int, **changes: object):
    return tuple(make_decision(partitions.shift(FIRST, place), **changes) for place in places)


def test_each_day_stands_at_its_place_and_what_was_not_measured_is_left_open():
    page = page_of(night_of(1), night_of(4), decisions=decided(1, 4), scored=frozenset({"2026-03-03"}))
    assert (page.start, page.days) == (FIRST, 5)
    assert page.rows == [None, 1000, None, None, 1000]
    assert page.versions == [None, 1, None, None, 1]
    assert page.quality == ".o..o"
    assert page.missed == "..ms."
    stable = page.verdict_words.index("stable")
    assert {(each.psi[1], each.psi[2], each.verdicts) for each in page.features} == {(20, None, f".{stable}..{stable}")}


def test_a_night_without_a_decision_of_its_own_is_missed_though_somebody_asked_for_a_training():
    asked = decided(2, run_id="manual__2", requested=True)
    page = page_of(night_of(1), night_of(2), decisions=decided(1) + asked)
    assert page.missed == "..d"
    assert page.holes == (
        "2026-03-03 was not decided on: monitor_model__churn did not decide on it; run it with the night as its "
        "partition",
    )


def test_decisions_stand_in_the_order_of_their_nights_however_late_one_is_replayed():
    replayed = decided(1, run_id="manual__1", number=3)
    page = page_of(night_of(1), night_of(2), decisions=(*decided(1), *decided(2, number=2), *replayed))
    assert [(line.partition, line.number) for line in page.decisions] == [
        ("2026-03-03", 2),
        ("2026-03-02", 3),
        ("2026-03-02", 1),
    ]


def test_nights_before_the_first_promotion_are_not_missed_and_a_published_one_is():
    moves = make_moves((*STAGED[:3], "2026-02-01", *STAGED[4:]), PROMOTED)
    page = compose_page(load_model("churn"), Record(moves=moves, newest="2026-03-03"))
    assert page.start == "2026-02-01"
    assert page.missed == "." * 29 + "ss"
    assert page.holes == (
        "2026-03-02 … 2026-03-03 were not scored: score_batch__churn did not score it, or not yet; "
        "rescore_range__churn makes up for it",
    )


def test_an_incident_is_told_with_its_reasons():
    broken = shorten(TypeAdapter(NightMetrics).dump_python(make_night("2026-03-02", status="incident"), mode="json"))
    page = page_of(broken, decisions=decided(1))
    assert page.quality == ".i"
    assert page.reasons == {"2026-03-02": ["f0 is missing in 40.0% of rows"]}


def test_features_come_in_the_order_of_the_newest_night_and_old_ones_after_them():
    before = night_of(1, drift=(make_drift("gone", psi=0.25), make_drift("kept", psi=None)))
    after = night_of(2, drift=(make_drift("kept", psi=0.1234), make_drift("new")))
    page = page_of(before, after, decisions=decided(1, 2))
    of = {word: str(place) for place, word in enumerate(page.verdict_words)}
    assert [(each.name, each.psi, each.verdicts) for each in page.features] == [
        ("kept", [None, None, 123], f".{of['insufficient']}{of['moderate']}"),
        ("new", [None, None, 20], f"..{of['stable']}"),
        ("gone", [None, 250, None], f".{of['significant']}."),
    ]


def test_a_check_keeps_its_interval_and_its_reason_on_its_day():
    page = page_of(night_of(1), night_of(2, checks=(AUC,)), decisions=decided(1, 2))
    (series,) = page.checks
    assert (series.watch, series.name, series.verdicts) == ("performance", "auc", "..b")
    assert (series.value, series.low, series.high) == ([None, None, 0.7], [None, None, 0.65], [None, None, 0.75])
    assert series.reasons == {"2026-03-03": "0.7 is below 0.8"}


def test_a_year_is_shown_and_the_one_before_it_can_be_asked_for():
    nights = tuple(night_of(place) for place in range(1, DAYS + 2))
    page = page_of(*nights)
    assert (page.days, page.has_earlier) == (DAYS, True)
    assert page.start == partitions.shift(FIRST, 2)
    earlier = page_of(nights[0], until=partitions.shift(FIRST, 1))
    assert (earlier.start, earlier.days, earlier.has_earlier) == (FIRST, 2, False)
    assert page_of(until="2025-01-01").days == 0
    assert page_of(nights[0], until="0001-01-01").days == 0


@pytest.mark.parametrize(
    ("changes", "run", "training"),
    [
        (
            {"run_id": "scheduled__2026-03-02T00:00:00+00:00", "trained_by": "asset_triggered__a/b"},
            "dags/monitor_model__churn/runs/scheduled__2026-03-02T00%3A00%3A00%2B00%3A00",
            "dags/train_model__churn/runs/asset_triggered__a%2Fb",
        ),
        ({"run_id": "by hand", "requested": True}, "dag_runs?run_id_pattern=by%20hand", None),
        ({"run_id": "mlops train ada 2026-03-02", "requested": True, "trained_by": "mlops train ada x"}, None, None),
    ],
    ids=["a night's", "asked for", "of a command"],
)
def test_a_decision_leads_to_the_runs_that_airflow_has(changes, run, training):
    (line,) = page_of(night_of(1), decisions=decided(1, **changes)).decisions
    assert (line.run, line.training) == (run, training)


@pytest.mark.parametrize(
    ("steps", "path"),
    [
        ((), "dags/train_model__churn"),
        ((STAGED,), "dags/promote_model__churn/required_actions"),
        ((STAGED, PROMOTED), "dags/monitor_model__churn"),
    ],
    ids=["nothing", "a candidate", "a version"],
)
def test_where_nothing_is_measured_it_says_what_to_do(steps, path):
    page = compose_page(load_model("churn"), Record(moves=make_moves(*steps)))
    assert page.advice is not None
    assert page.advice.path == path
    assert page_of(night_of(1)).advice is None
    assert page_of(until="2025-01-01").advice is None


def test_who_holds_its_retraining_is_told_with_the_way_to_let_it_go_on():
    stop = SwitchMove(None, True, "ada", "audit", datetime(2026, 3, 1, 8, tzinfo=UTC))
    assert page_of(night_of(1)).held == ()
    assert page_of(night_of(1), stops=(stop,)).held == (
        "retraining of all models was stopped by ada at 2026-03-01 08:00Z: audit; mlops retraining start lets it go on",
    )


@pytest.mark.parametrize(("model", "until"), [("chrun", None), ("churn", "March")], ids=["no model", "no day"])
def test_what_cannot_be_shown_is_refused_before_anything_is_read(model, until):
    with pytest.raises(UsageError, match=r"churn|March"):
        read_page(None, model, until=until)
