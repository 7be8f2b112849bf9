"""Nights that a paused or failing consumer missed are named, made up for, and leave what they would have left.

A shop's nights are played twice on the steps that the DAGs run, once with a fault on most of them. Events are what
Airflow makes of them: a paused consumer never hears of those of its pause.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from include import partitions
from include.adapters.deployment import Deployment
from include.errors import RefusedError
from include.governance import lifecycle
from include.specs.models import load_model
from include.steps.build_features import build_features
from include.steps.build_training_set import build_training_set
from include.steps.claim_training import TrainingRequest, claim_training
from include.steps.decide_retrain import decide_retrain
from include.steps.find_stale_scores import find_stale_scores
from include.steps.find_waiting import find_waiting
from include.steps.heal_features import heal_features
from include.steps.import_source import import_delivery, import_file
from include.steps.monitor_model import measure_night
from include.steps.move_model import promote_version, stage_or_refuse
from include.steps.rescore_stale import rescore_stale
from include.steps.score_batch import score_batch, score_range
from include.steps.train_model import train_model
from tests.deployments import deployed_beside
from tests.shop import FIRST_DAY, OVERLAY, deliver, make_orders, on_days

pytestmark = pytest.mark.timeout(600)

TRAINED = "2026-04-14"
NIGHTS = partitions.span("2026-04-15", "2026-04-24")
UNSCORED, UNMONITORED, UNTRAINED, FAILED = "2026-04-16", "2026-04-18", "2026-04-20", "2026-04-22"
REVERSED = NIGHTS[-2:]
BROKEN, LAST = "2026-04-25", "2026-04-26"
# Due once, on the night whose training is missed; no drift asks.
DECISION = {"schedule": "0 0 21 4 *", "cooldown_days": 0, "windows": 90, "breaches": 90}
TABLES = ("raw/orders", "quarantine/orders", "deliveries/orders", "features/customer_daily", "predictions/churn")


@dataclass
class Loop:
    """The chain of DAGs, by the steps of each; what is paused does not hear of an event."""

    deployment: Deployment
    paused: set[str] = field(default_factory=set)
    trainings: list[str] = field(default_factory=list)

    def deliver(self, night: str) -> None:
        import_delivery(self.deployment, night, source="orders", cross_check=False)

    def build(self, night: str) -> None:
        build_features(self.deployment, "customer_daily", start=night, end=night)

    def score(self, night: str) -> None:
        if "score" not in self.paused:
            score_batch(self.deployment, "churn", partition=night)
            self.monitor(night)

    def monitor(self, night: str) -> None:
        if "monitor" in self.paused:
            return
        measure_night(self.deployment, "churn", partition=night)
        run_id = f"monitor {night} {len(self.deployment.state.decisions('churn'))}"
        if decide_retrain(self.deployment, "churn", partition=night, run_id=run_id).acted:
            self.train(night)
        for waiting in find_waiting(self.deployment, "churn", before=night)[:1]:
            self.train(waiting)

    def train(self, night: str) -> None:
        if "train" in self.paused:
            return
        self.trainings.append(night)
        run = TrainingRequest(f"training {len(self.trainings)}")
        claimed = claim_training(self.deployment, "churn", partition=night, request=run)
        stage_or_refuse(self.deployment, trained(self.deployment, claimed.partition))

    def reasons(self, night: str) -> str:
        """Return the reasons of a night's first decision."""
        return "; ".join(next(d for d in self.deployment.state.decisions("churn") if d.partition == night).reasons)


def trained(deployment: Deployment, as_of: str):
    return train_model(deployment, build_training_set(deployment, "churn", as_of=as_of))


def begun(deployment: Deployment) -> Loop:
    orders = make_orders(days=116)
    history = deployment.settings.home / "history.parquet"
    pq.write_table(on_days(orders, FIRST_DAY, TRAINED), history)
    import_file(deployment, history, source="orders", as_of=datetime(2026, 4, 15, tzinfo=UTC))
    for night in NIGHTS:
        deliver(deployment.settings.home / "landing", orders, night)
    build_features(deployment, "customer_daily", start=FIRST_DAY, end=TRAINED)
    stage_or_refuse(deployment, trained(deployment, TRAINED))
    promote_version(deployment, "churn", version=1, actor="ada", reason="first")
    return Loop(deployment)


def play_clean(loop: Loop) -> None:
    for night in NIGHTS:
        loop.deliver(night)
        loop.build(night)
        loop.score(night)


def play_with_faults(loop: Loop) -> None:
    paused = {UNSCORED: "score", UNMONITORED: "monitor", UNTRAINED: "train", FAILED: "score"}
    for night in NIGHTS[:-2]:
        loop.paused = {paused[night]} if night in paused else set()
        loop.deliver(night)
        loop.build(night)
        loop.score(night)
    loop.paused = set()
    earlier, later = REVERSED
    loop.deliver(later)
    with pytest.raises(RefusedError, match=f"{earlier} are missing"):
        loop.build(later)
    loop.deliver(earlier)
    for night in (later, earlier):
        loop.build(night)
        score_batch(loop.deployment, "churn", partition=night)
    for night in (later, earlier):
        loop.monitor(night)


def repair(loop: Loop) -> None:
    """Score what was not, over the whole time: as a person does by `rescore_range`, whose nights are monitored."""
    for night in score_range(loop.deployment, "churn", start=FIRST_DAY, end=NIGHTS[-1]).scored:
        loop.monitor(night)


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("specs")
    (folder / "churn.yaml").write_text(yaml.safe_dump({**OVERLAY, "decision": {**OVERLAY["decision"], **DECISION}}))
    return folder


@pytest.fixture(scope="module")
def clean(home: Path, specs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    with deployed_beside(home, tmp_path_factory.mktemp("clean"), "no_fault", specs=specs) as made:
        loop = begun(made)
        play_clean(loop)
        approve(loop)
        return written(loop)


@pytest.fixture(scope="module")
def faulted(home: Path, specs: Path, clean: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    with deployed_beside(home, tmp_path_factory.mktemp("faulted"), "faults", specs=specs) as made:
        loop = begun(made)
        play_with_faults(loop)
        yield loop


def approve(loop: Loop) -> None:
    """Answer at the end, so that every night is scored by one version."""
    waiting = lifecycle.holder(loop.deployment.state.ledger("churn"), lifecycle.Stage.STAGING)
    promote_version(loop.deployment, "churn", version=waiting, actor="ada", reason="better")


def written(loop: Loop) -> dict[str, object]:
    state, lake = loop.deployment.state, loop.deployment.lake
    sets = (loop.deployment.settings.home / "lake/training_sets/churn").iterdir()
    return {
        **{table: lake.digest(table) for table in TABLES},
        "nights": state.nights("churn"),
        "training sets": sorted(path.name for path in sets),
        "versions": [(m.version, m.to_stage, m.evidence and m.evidence.as_of) for m in state.ledger("churn")],
        "acted": [d.partition for d in state.decisions("churn") if d.acted],
    }


def test_a_night_without_a_fault_says_nothing_of_nights(faulted):
    assert "was not" not in faulted.reasons(NIGHTS[0])


@pytest.mark.parametrize(
    ("night", "told"),
    [
        pytest.param(UNSCORED, "was not scored: score_batch__churn did not run on it, or failed", id="score"),
        pytest.param(UNMONITORED, "was not measured: monitor_model__churn did not run on it", id="monitor"),
        pytest.param(UNTRAINED, "waits: no training has claimed it", id="train"),
        pytest.param(FAILED, "was not scored: score_batch__churn did not run on it, or failed", id="failed for good"),
        pytest.param(REVERSED[0], "was not measured: monitor_model__churn did not run on it", id="in reverse"),
    ],
)
def test_the_next_decision_names_the_night_that_was_missed(faulted, night, told):
    assert f"{night} {told}" in faulted.reasons(partitions.shift(night, 1))


def test_a_version_that_nobody_was_asked_about_is_named_too(faulted):
    assert "a candidate waits for approval" in faulted.reasons(partitions.shift(FAILED, 1))


def test_nights_that_wait_are_decided_in_order_of_their_partition(faulted):
    first = list(dict.fromkeys(d.partition for d in faulted.deployment.state.decisions("churn")))
    assert first == [night for night in NIGHTS if night not in (UNSCORED, FAILED)]


def test_what_was_told_once_is_not_told_again(faulted):
    assert UNSCORED not in faulted.reasons(partitions.shift(UNSCORED, 2))


def test_after_the_repair_the_tables_are_those_of_a_run_without_a_fault_and_nothing_acted_twice(faulted, clean):
    assert [night["partition"] for night in faulted.deployment.state.nights("churn")] != NIGHTS
    repair(faulted)
    approve(faulted)
    assert written(faulted) == clean
    assert faulted.trainings == [UNTRAINED]
    assert clean["acted"] == [UNTRAINED]


def test_a_bad_delivery_that_is_put_right_lifts_its_veto(faulted):
    landing, right = faulted.deployment.settings.home / "landing", make_orders(days=116)
    nameless = right.set_column(2, "customer_id", pa.nulls(right.num_rows, pa.string()))
    other = nameless.set_column(0, "order_id", pc.binary_join_element_wise("x", nameless["order_id"], ""))
    judged = []
    for arrived in (pa.concat_tables([nameless, other]), right):
        deliver(landing, arrived, BROKEN)
        faulted.deliver(BROKEN)
        faulted.build(BROKEN)
        faulted.score(BROKEN)
        judged.append(faulted.deployment.state.decisions("churn")[-1])
    first, second = judged
    assert (first.partition, first.action) == (BROKEN, "veto")
    assert "100.0% of" in first.reasons[0]
    assert (second.partition, second.action, second.acted) == (BROKEN, "hold", False)
    assert faulted.deployment.state.nights("churn")[-1]["data_quality"]["status"] == "ok"


def test_scores_that_a_correction_has_reached_are_told_and_made_anew_once(faulted):
    deployment, corrected = faulted.deployment, NIGHTS[-2]
    deliver_late(deployment.settings.home / "landing", of=corrected)
    faulted.deliver(LAST)
    faulted.build(LAST)
    assert find_stale_scores(deployment, load_model("churn"), until=BROKEN) == ()
    heal_features(deployment, "customer_daily")
    before = read_from(deployment, corrected)
    faulted.score(LAST)
    stale = find_stale_scores(deployment, load_model("churn"), until=BROKEN)
    assert [night.partition for night in stale] == [corrected, NIGHTS[-1], BROKEN]
    assert (stale[0].scores, stale[0].of) == (1, len(before))
    assert "; ".join(map(str, stale)) in faulted.reasons(LAST)
    assert rescore_stale(deployment, "churn", until=BROKEN) == stale
    after = read_from(deployment, corrected)
    assert [customer for customer, read in after.items() if read != before.get(customer)] == ["c0000"]
    assert rescore_stale(deployment, "churn", until=BROKEN) == ()


def deliver_late(landing: Path, *, of: str) -> None:
    """Deliver the last day with an order that came too late, of a customer who is scored."""
    today = on_days(make_orders(days=116), LAST, LAST)
    late = today.slice(0, 1).to_pylist()[0]
    late |= {"order_id": "late", "customer_id": "c0000", "ordered_at": partitions.start_of(of)}
    rows = pa.concat_tables([today, pa.Table.from_pylist([late], schema=today.schema)])
    received = pa.array([partitions.end_of(LAST)] * rows.num_rows, pa.timestamp("us", "UTC"))
    folder = landing / "orders" / f"dt={LAST}"
    folder.mkdir(parents=True)
    pq.write_table(rows.append_column("received_at", received), folder / "orders.parquet")
    (folder / "_SUCCESS").touch()


def read_from(deployment: Deployment, night: str) -> dict[str, datetime]:
    """Return by customer when the features of a night's score had become known."""
    rows = deployment.lake.read("predictions/churn", start=night, end=night)
    return dict(zip(rows["customer_id"].to_pylist(), rows["feature_created_timestamp"].to_pylist(), strict=True))
