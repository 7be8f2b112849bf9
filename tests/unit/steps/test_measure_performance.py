"""A night judges the predictions of nights that are old enough, by the promise of the version that governs it.

Customers are scored each night and their labels become known at the horizon, but those of who orders earlier; from one
night on scores say nothing of what happens. Scores and outcomes are written as they are: how they come to be there is
told elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml
from sklearn.metrics import roc_auc_score

from include import partitions
from include.errors import MlopsError
from include.governance.lifecycle import Stage
from include.monitoring.check import Check
from include.monitoring.data_quality import DataQuality
from include.monitoring.decision_facts import NightMetrics
from include.monitoring.performance import Figure, Reference, judge_fall
from include.monitoring.placements import place
from include.specs.models import load_model
from include.steps.measure_performance import measure_performance
from include.steps.measured_lists import measure_rows
from include.steps.read_outcomes import read_labelled
from include.tables import outcomes_table, predictions_table
from include.training.auc import placed_interval
from tests.deployments import lake_only
from tests.scoring_lake import Ledger, feature_rows

MODEL, HORIZON, CUSTOMERS = "churn", 5, 300
NIGHTS = partitions.span("2024-03-01", "2024-04-20")
DRIFTED = NIGHTS[30]
METRICS = {"auc": 0.84, "auc_low": 0.81, "auc_high": 0.87, "rows": 1500.0}


class Registry:
    """Versions that keep what they had on their tests."""

    def __init__(self) -> None:
        self.metrics = {1: METRICS, 2: METRICS, 3: {}}

    def load(self, _name: str, version: int, *, registered: object) -> Any:
        return SimpleNamespace(metrics=self.metrics[version])


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("specs")
    changes = {"label": {"horizon_days": HORIZON}, "training": {"bootstrap_samples": 100}}
    (folder / "churn.yaml").write_text(yaml.safe_dump(changes))
    ranking = {**changes, "monitoring": {"min_rows": 200}}
    (folder / "recommendation.yaml").write_text(yaml.safe_dump(ranking))
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, specs: Path) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLOPS_SPECS", str(specs))
        deployment: Any = lake_only(tmp_path_factory.mktemp("lake"))
        deployment.state, deployment.model_registry = Ledger(), Registry()
        deployment.state.move(MODEL, 1, Stage.PRODUCTION, at=partitions.shift(NIGHTS[0], -1))
        for version in (1, 2, 3):
            deployment.state.record_registration(MODEL, version, run_id="r", files={})
        customers = [(f"c{n:03}",) for n in range(CUSTOMERS)]
        write(deployment, load_model(MODEL), customers)
        tenure = np.where(np.arange(CUSTOMERS) < 100, 50, np.where(np.arange(CUSTOMERS) < 295, 400, 200))
        rows = [feature_rows("customer_daily", customers, night, tenure_days=tenure) for night in NIGHTS]
        # What became known after they were scored is not what they were.
        late = [
            feature_rows("customer_daily", customers, night, known_after=timedelta(days=1), tenure_days=0 * tenure)
            for night in NIGHTS
        ]
        deployment.lake.replace("features/customer_daily", pa.concat_tables([*rows, *late]), keys=NIGHTS)
    return deployment


@pytest.fixture
def deployment(made: Any, specs: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("MLOPS_SPECS", str(specs))
    return made


def write(deployment: Any, spec: Any, entities: list[tuple[str, ...]]) -> None:
    """Write predictions of two roles and their outcomes, and that every night is recorded."""
    rng = np.random.default_rng(7)
    risk = rng.random(len(entities))
    predictions, outcomes = [], []
    for night in NIGHTS:
        is_churn = (rng.random(len(entities)) < np.where(risk > 0.5, 0.85, 0.15)).astype(int)
        score = risk if night < DRIFTED else rng.random(len(entities))
        for role, version in (("champion", 1), ("challenger", 2)):
            predictions += [
                row(spec, entity, night, role, version, s) for entity, s in zip(entities, score, strict=True)
            ]
        for entity, label in zip(entities, is_churn, strict=True):
            days = HORIZON if label else int(rng.integers(1, HORIZON + 1))
            known_on = partitions.shift(night, days)
            outcomes.append(
                {**keys(spec, entity), "dt": partitions.parse(night), "label": int(label),
                 "known_at": partitions.end_of(known_on), "known_on": partitions.parse(known_on)}
            )  # fmt: skip
    whose = spec.entity.keys, spec.entity.whose
    table = predictions_table(spec.model_id, *whose, spec.predicted)
    kept = outcomes_table(spec.model_id, *whose)
    deployment.lake.replace(table.name, pa.Table.from_pylist(predictions, schema=table.arrow_schema()), keys=NIGHTS)
    told = pa.Table.from_pylist(outcomes, schema=kept.arrow_schema())
    nights = sorted(map(str, told["known_on"].unique().to_pylist()))
    deployment.lake.replace(kept.name, told, keys=nights, partition_by="known_on")
    deployment.state.record_publications(table.name, [(night, 2 * len(entities)) for night in NIGHTS], 0)
    deployment.state.record_publications(kept.name, [(night, 1) for night in NIGHTS], 0)


def keys(spec: Any, entity: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(spec.entity.keys, entity, strict=True))


def row(spec: Any, entity: tuple[str, ...], night: str, role: str, version: int, score: float) -> dict[str, Any]:
    predicted = {"decision": score >= 0.5, **({"rank": 1} if "rank" in spec.predicted else {})}
    return {
        **keys(spec, entity), "dt": partitions.parse(night), "role": role, "score": float(score), **predicted,
        "model_version": version, "feature_event_timestamp": partitions.end_of(night),
        "feature_created_timestamp": partitions.end_of(night),
    }  # fmt: skip


def checks(deployment: Any, night: str) -> dict[str, Any]:
    found = measure_performance(deployment, load_model(MODEL), night)
    assert {check.watch for check in found} <= {"performance"}
    return {check.name: check for check in found}


def test_the_newest_night_that_is_old_enough_is_judged_and_the_weeks_before_it(deployment):
    night = NIGHTS[34]
    found = checks(deployment, night)
    last = partitions.shift(night, -HORIZON)
    assert found["auc"].reason == f"predictions of {last} by version 1"
    assert found["auc_7_nights"].reason == f"predictions of {partitions.shift(last, -6)} to {last} by version 1"
    assert [found[name].verdict for name in ("auc", "auc_7_nights", "auc_28_nights")] == ["ok"] * 3
    assert [found[name].current_rows for name in ("auc", "auc_7_nights")] == [CUSTOMERS, 7 * CUSTOMERS]
    assert (found["auc"].reference, found["auc"].reference_rows) == (0.84, 1500)
    told = {"precision", "recall", "log_loss", "brier", "calibration_error"}
    assert {f"{name}_28_nights" for name in told} < found.keys()
    assert found["precision_28_nights"].value == pytest.approx(0.85, abs=0.03)


def test_a_check_tells_the_nights_that_its_rows_are_of(deployment):
    """Of the weeks before the first scores nothing was predicted, nor is the window of a version all its own."""
    third = NIGHTS[2]
    found = checks(deployment, partitions.shift(third, HORIZON))
    told = f"predictions of {NIGHTS[0]} to {third} by version 1"
    assert [found[name].reason for name in ("auc_7_nights", "auc_28_nights", "brier_28_nights")] == [told] * 3
    assert found["auc_28_nights_challenger_v2"].reason.startswith(told.replace("version 1", "version 2 as challenger"))
    assert checks(deployment, partitions.shift(NIGHTS[0], HORIZON))["auc_28_nights"].reason == (
        f"predictions of {NIGHTS[0]} by version 1"
    )


def test_scores_that_say_nothing_any_more_are_found_when_their_labels_are_known_and_not_before(deployment):
    breached = {
        night: checks(deployment, night)["auc"].verdict == "breach"
        for night in (NIGHTS[n] for n in (20, 32, 35, 38, 44))
    }
    first = min(night for night, is_breach in breached.items() if is_breach)
    assert partitions.shift(DRIFTED, HORIZON) <= first <= partitions.shift(DRIFTED, HORIZON + 2)
    assert all(is_breach == (night >= first) for night, is_breach in breached.items())
    week = checks(deployment, partitions.shift(DRIFTED, HORIZON + 6))["auc_7_nights"]
    assert week.verdict == "breach"
    assert "below the 0.840 of the version's test, where 5% is allowed, and not by chance" in week.reason


def incident(night: str, *, name: str = "rows of orders delivered", verdict: str = "breach") -> NightMetrics:
    check = Check("data_quality", name, 0.0, 0.5, verdict, reason=f"{name}: 0 is 0.00 times the 40 that are usual")
    return NightMetrics(night, 300, DataQuality("ok"), (), 1, (check,))


@pytest.mark.parametrize(
    ("days", "told"),
    [
        ([], None),
        ([incident(NIGHTS[40])], "the labels rest on {}, whose data were an incident"),
        ([incident(NIGHTS[40]), incident(NIGHTS[43])], "and on 1 more such; have it delivered anew"),
        ([incident(NIGHTS[40], verdict="ok")], None),
        ([incident(NIGHTS[40], name="rows of products delivered")], None),
        ([incident(NIGHTS[45])], None),
    ],
    ids=["none", "an empty day", "two", "a whole day", "another source", "a day that no label looks at"],
)
def test_a_fall_says_that_its_labels_rest_on_a_day_that_was_an_incident(deployment, monkeypatch, days, told):
    def nights(_model: str, *, since: str, until: str) -> list[dict[str, Any]]:
        return [asdict(night) for night in days if since <= night.partition <= until]

    monkeypatch.setattr(deployment.state, "nights", nights)
    week = checks(deployment, NIGHTS[44])["auc_7_nights"]
    assert week.verdict == "breach"
    assert ("incident" in week.reason) is (told is not None)
    assert told is None or told.format(NIGHTS[40]) in week.reason


def test_a_day_that_has_been_delivered_since_is_no_incident_any_more(deployment, monkeypatch):
    monkeypatch.setattr(deployment.state, "nights", lambda *_, **__: [asdict(incident(NIGHTS[40]))])
    since_then = {night: 40 for night in NIGHTS[:45]}
    for rows, is_told in ((0, True), (40, False)):
        arrived = {**since_then, NIGHTS[40]: rows}
        monkeypatch.setattr("include.steps.find_doubts.read_rows_delivered", lambda *_, of=arrived, **__: of)
        assert ("incident" in checks(deployment, NIGHTS[44])["auc_7_nights"].reason) is is_told


def test_a_fall_that_can_not_be_explained_is_a_fall_all_the_same(deployment, monkeypatch):
    def broken(*_args: Any) -> tuple[str, ...]:
        raise ZeroDivisionError("float division by zero")

    monkeypatch.setattr("include.steps.measure_performance.explain_fall", broken)
    monkeypatch.setattr("include.steps.measure_performance.measure_slices", lambda *_args, **_options: [])
    found = measure_performance(deployment, load_model(MODEL), NIGHTS[44], tested=pa.table({}))
    fallen = [check for check in found if check.verdict == "breach"]
    assert {check.causes for check in fallen} == {(), ("what it is of can't be told: float division by zero",)}


@pytest.mark.parametrize(("fallen", "size"), [(["auc"], 1), (["auc", "auc_7_nights"], 7), (["auc_28_nights"], 28)])
def test_what_a_fall_is_of_is_asked_of_the_widest_window_that_has_fallen(deployment, monkeypatch, fallen, size):
    asked = []

    def explain(_deployment: Any, _spec: Any, rows: pa.Table, *_rest: Any) -> tuple[str, ...]:
        asked.append(sorted({str(night) for night in rows["dt"].to_pylist()}))
        return ("why",)

    def judge(name: str, *args: Any, **options: Any) -> Check:
        return replace(judge_fall(name, *args, **options), verdict="breach" if name in fallen else "ok")

    for name, stand_in in (("explain_fall", explain), ("judge_fall", judge), ("measure_slices", lambda *_, **__: [])):
        monkeypatch.setattr(f"include.steps.measure_performance.{name}", stand_in)
    night = NIGHTS[34]
    found = measure_performance(deployment, load_model(MODEL), night, tested=pa.table({}))
    last = partitions.shift(night, -HORIZON)
    assert [check.name for check in found if check.causes] == [fallen[-1]]
    assert asked == [partitions.span(partitions.shift(last, 1 - size), last)]


def test_a_slice_is_judged_by_the_same_slice_of_the_versions_test(deployment):
    """Customers who are not known for long are told apart well in the test, and as all others are by night."""
    rng = np.random.default_rng(3)
    is_young = np.arange(4 * CUSTOMERS) % 3 == 0
    label = rng.random(len(is_young)) < 0.5
    score = np.where(is_young, 0.98 * label, np.where(rng.random(len(is_young)) < 0.85, label, ~label))
    score = score * 0.9 + rng.random(len(is_young)) * 0.1
    tested = pa.table(
        {
            "customer_id": [f"c{n % CUSTOMERS:03}" for n in range(len(is_young))],
            "event_timestamp": pa.array([partitions.end_of(NIGHTS[0])] * len(is_young), pa.timestamp("us", tz="UTC")),
            "tenure_days": np.where(is_young, 50, 400),
            "label": label.astype(np.int8),
            "score": score.astype(np.float32),
        }
    )
    night, spec = NIGHTS[34], load_model(MODEL)
    found = {check.name: check for check in measure_performance(deployment, spec, night, tested=tested)}
    young, old = found["auc_28_nights[tenure_days<90]"], found["auc_28_nights[tenure_days>=365]"]
    assert {name for name in found if "[" in name} == {
        "auc_28_nights[tenure_days<90]", "auc_28_nights[tenure_days>=365]"
    }  # fmt: skip
    assert (young.current_rows, young.reference_rows) == (28 * 100, int(is_young.sum()))
    assert (old.current_rows, old.reference_rows) == (28 * 195, int((~is_young).sum()))
    for check, chosen in ((young, is_young), (old, ~is_young)):
        assert "(97.5% intervals, as 2 slices are judged)" in check.reason
        assert check.reference == pytest.approx(roc_auc_score(label[chosen], tested["score"].to_numpy()[chosen]))
    assert (young.verdict, old.verdict, found["auc_28_nights"].verdict) == ("breach", "ok", "ok")
    nights = partitions.span(partitions.shift(night, -HORIZON - 27), partitions.shift(night, -HORIZON))
    rows = read_labelled(deployment, spec, nights, partition=night)
    own = [row for row in rows.to_pylist() if row["role"] == "champion" and row["customer_id"] < "c100"]
    assert young.value == pytest.approx(roc_auc_score([r["label"] for r in own], [r["score"] for r in own]), abs=1e-9)
    untested = checks(deployment, night)["auc_28_nights[tenure_days<90]"]
    assert (untested.value, untested.verdict, untested.threshold) == (young.value, "ok", None)


def test_that_any_of_many_slices_is_called_fallen_is_as_unlikely_as_of_all_rows():
    """Twelve slices of which nothing has changed, where no fall at all is allowed."""
    rng, slices, called = np.random.default_rng(5), 12, 0
    for _ in range(40):
        level, breaches = 1 - 0.05 / slices, []
        for _ in range(slices):
            sides = []
            for rows in (150, 200):
                label = rng.random(rows) < 0.4
                placed = place(label, label + rng.normal(0, 1, rows), np.arange(rows))
                sides.append((placed.value, *placed_interval(placed, level=level), rows))
            figure, reference = Figure(*sides[0][:3]), Reference(*sides[1])
            check = judge_fall("auc", figure, reference, rows=150, about="", fall_max=0.0)
            breaches.append(check.verdict == "breach")
        called += any(breaches)
    assert called <= 0.05 * 40 + 3


def test_an_earlier_night_is_judged_by_what_was_known_then(deployment):
    """What is written later of the same nights is not looked at: a replay gives the same answers."""
    night, spec = NIGHTS[30], load_model(MODEL)
    before = measure_performance(deployment, spec, night)
    table = outcomes_table(MODEL, spec.entity.keys, spec.entity.whose)
    corrected = partitions.shift(night, 1)
    rows = [
        {"customer_id": f"c{n:03}", "dt": partitions.parse(partitions.shift(night, -HORIZON)), "label": n % 2,
         "known_at": partitions.end_of(corrected), "known_on": partitions.parse(corrected)}
        for n in range(CUSTOMERS)
    ]  # fmt: skip
    own = deployment.lake.dataset(table.name).to_table()
    added = pa.Table.from_pylist(rows, schema=table.arrow_schema())
    version = deployment.lake.version(table.name)
    deployment.lake.update(
        table.name, [corrected], lambda present: pa.concat_tables([present, added]), partition_by="known_on"
    )
    assert deployment.lake.version(table.name) == version + 1
    assert measure_performance(deployment, spec, night) == before
    assert measure_performance(deployment, spec, corrected) != before
    keep = sorted(map(str, own["known_on"].unique().to_pylist()))
    deployment.lake.replace(table.name, own, keys=keep, partition_by="known_on")


def test_other_versions_and_roles_are_told_and_judge_nothing(deployment):
    found = checks(deployment, NIGHTS[34])["auc_28_nights_challenger_v2"]
    assert (found.verdict, found.threshold, found.reference) == ("ok", None, METRICS["auc"])
    assert found.reason.endswith("by version 2 as challenger, which is not judged")


def test_after_a_promotion_the_version_that_is_gone_is_told_and_the_new_one_waits(deployment, monkeypatch):
    monkeypatch.setattr(deployment.state, "moves", list(deployment.state.moves))
    deployment.state.move(MODEL, 1, Stage.ARCHIVED, at=NIGHTS[33])
    deployment.state.move(MODEL, 2, Stage.PRODUCTION, at=NIGHTS[33])
    found = checks(deployment, NIGHTS[36])
    assert [found[name].verdict for name in ("auc", "auc_7_nights", "auc_28_nights")] == ["unknown"] * 3
    assert found["auc"].reason.endswith(
        "by version 2: it scored none of them; its first night is judged 5 days after it"
    )
    gone = found["auc_28_nights_champion_v1"]
    assert gone.value > 0.7
    assert (gone.verdict, gone.threshold, gone.reference) == ("ok", None, METRICS["auc"])


def test_a_version_that_is_told_and_cannot_be_read_holds_no_night_up(deployment, monkeypatch):
    def load(_name, version, *, registered):
        if version == 2:
            raise MlopsError("its files are not what was registered")
        return SimpleNamespace(metrics=METRICS)

    monkeypatch.setattr(deployment.model_registry, "load", load)
    found = checks(deployment, NIGHTS[34])
    assert found["auc"].verdict == "ok"
    assert found["auc_28_nights_challenger_v2"].reference is None


def test_a_version_without_metrics_of_its_own_is_measured_and_not_judged(deployment, monkeypatch):
    for kept in ({}, {"auc": 0.84}):
        monkeypatch.setitem(deployment.model_registry.metrics, 1, kept)
        found = checks(deployment, NIGHTS[34])["auc"]
        assert (found.verdict, found.threshold) == ("unknown", None)
        assert found.value > 0.7
        assert "keeps no value of its own test with its interval" in found.reason


def test_a_night_that_was_left_out_is_judged_by_what_a_later_one_recorded(deployment, monkeypatch):
    """As where monitoring was paused: the night after it measures both."""
    night = NIGHTS[30]
    before = measure_performance(deployment, load_model(MODEL), night)
    monkeypatch.setattr(deployment.state, "_rows", {name: dict(rows) for name, rows in deployment.state._rows.items()})
    deployment.state.forget(f"outcomes/{MODEL}", night)
    assert measure_performance(deployment, load_model(MODEL), night) == before


@pytest.mark.parametrize(
    ("night", "why"),
    [
        (NIGHTS[3], "no night of version 1 can be judged yet: labels take 5 days, and the first scores are of "
                    "2024-03-01; judged from 2024-03-06 on"),
        ("2024-05-30", "the outcomes that 2024-05-30 tells are not recorded (mlops outcomes record --model churn"),
    ],
    ids=["young", "not-recorded"],
)  # fmt: skip
def test_what_can_not_be_judged_says_why(deployment, night, why):
    (check,) = measure_performance(deployment, load_model(MODEL), night)
    assert check.verdict == "unknown"
    assert why in check.reason


def test_a_night_of_which_labels_are_missing_is_not_judged_by_the_others(deployment, monkeypatch):
    """Whose label is known first is not chance."""
    monkeypatch.setattr("include.steps.measure_performance.mature_after", lambda *_, **__: 2)
    found = checks(deployment, NIGHTS[20])
    assert found["auc"].verdict == "unknown"
    assert "of 300 rows are known, and which are is not chance" in found["auc"].reason


def test_nor_is_that_of_another_version_told_by_the_labels_that_are_there(deployment, monkeypatch):
    monkeypatch.setattr("include.steps.measure_performance.mature_after", lambda *_, **__: 2)
    other = checks(deployment, NIGHTS[6])["auc_28_nights_challenger_v2"]
    assert (other.value, other.verdict) == (None, "unknown")
    assert re.search(r"as challenger, which is not judged: the labels of \d+ of 1500 rows are known, and", other.reason)


def test_of_very_many_rows_those_of_some_customers_are_measured_all_of_each(deployment, monkeypatch):
    every = checks(deployment, NIGHTS[34])["auc_28_nights"]
    monkeypatch.setattr("include.steps.read_outcomes.ROWS_MAX", 2 * CUSTOMERS * 28 // 3)
    some = checks(deployment, NIGHTS[34])["auc_28_nights"]
    assert every.current_rows == 28 * CUSTOMERS
    assert 28 * CUSTOMERS / 8 < some.current_rows < 28 * CUSTOMERS / 2
    assert some.current_rows % 28 == 0
    assert some.high - some.low > every.high - every.low


def test_where_no_version_governs_there_is_nothing_to_say(deployment):
    assert measure_performance(deployment, load_model("fraud"), NIGHTS[20]) == ()


def test_lists_are_judged_by_their_order(specs, monkeypatch, tmp_path):
    monkeypatch.setenv("MLOPS_SPECS", str(specs))
    spec = load_model("recommendation")
    deployment: Any = lake_only(tmp_path)
    deployment.state, deployment.model_registry = Ledger(), Registry()
    deployment.model_registry.metrics[1] = {"ndcg": 0.75, "ndcg_low": 0.72, "ndcg_high": 0.78, "rows": 900.0}
    deployment.state.move(spec.model_id, 1, Stage.PRODUCTION, at=partitions.shift(NIGHTS[0], -1))
    deployment.state.record_registration(spec.model_id, 1, run_id="r", files={})
    entities = [(f"c{n:02}", f"k{item}") for n in range(40) for item in range(7)]
    write(deployment, spec, entities)
    lines = np.repeat(np.where(np.arange(40) < 20, 10, 50), 7)
    features = {
        night: feature_rows("customer_category_daily", entities, night, customer_lines_365d=lines) for night in NIGHTS
    }
    deployment.lake.replace("features/customer_category_daily", pa.concat_tables(features.values()), keys=NIGHTS)
    published = [(night, rows.num_rows) for night, rows in features.items()]
    deployment.state.record_publications("features/customer_category_daily", published, 0)
    found = {check.name: check for check in measure_performance(deployment, spec, NIGHTS[33])}
    assert found["ndcg_7_nights"].verdict == "ok"
    assert {"hit_rate_28_nights", "precision_28_nights", "recall_28_nights", "ndcg_28_nights_challenger_v2"} < set(
        found
    )
    assert found["ndcg_28_nights[customer_lines_365d<20]"].current_rows < found["ndcg_28_nights"].current_rows
    both = [found[f"ndcg_28_nights[{each}]"] for each in ("customer_lines_365d<20", "20<=customer_lines_365d<100")]
    whole = sum(each.value * each.current_rows for each in both) / sum(each.current_rows for each in both)
    assert whole == pytest.approx(found["ndcg_28_nights"].value)
    kept = deployment.model_registry.load("", 1, registered=None)
    kept.signature = SimpleNamespace(feature_names=["customer_lines_365d"], feature_service="recommendation_v1")
    kept.model = SimpleNamespace(importance={})
    monkeypatch.setattr(deployment.model_registry, "load", lambda *_, **__: kept)
    monkeypatch.setattr("include.monitoring.fall_sides.ROWS_MIN", 30)
    tested = pa.concat_tables(features[night] for night in NIGHTS[:5])
    labels = pa.array(np.random.default_rng(3).random(len(tested)) < 0.3).cast(pa.int8())
    scores = pc.cast(labels, pa.float32())
    tested = tested.append_column("label", labels).append_column("score", scores)
    later = {check.name: check for check in measure_performance(deployment, spec, NIGHTS[45], tested=tested)}
    assert later["ndcg_7_nights"].verdict == "breach"
    (told,) = next(check.causes for check in later.values() if check.causes)
    whose = r"NDCG 0\.\d{3} of \d+ entities, the newest night of each, where the test had 0\.750"
    assert re.match(f"{whose}: what becomes of those with the same features", told)
    monkeypatch.setattr("include.steps.measure_performance.measure_rows", _without_a_positive)
    nothing = {check.name: check for check in measure_performance(deployment, spec, NIGHTS[33])}
    assert nothing["ndcg_7_nights"].verdict == "unknown"
    assert nothing["ndcg_7_nights"].reason.endswith("no list of which every label is known has a positive item")


def _without_a_positive(spec: Any, rows: pa.Table, at: str) -> Any:
    place = rows.column_names.index("label")
    return measure_rows(spec, rows.set_column(place, "label", pa.array([0] * rows.num_rows, pa.int8())), at)
