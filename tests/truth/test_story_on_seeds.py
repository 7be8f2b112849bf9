"""The demo's story, step by step, on a shop or three: what is decided, and that no row is lost.

TRUTH=full (`make truth`) plays three, else one, and every day that from its fifth night to the one after its retrain.

Counted from the decision table, the ledger and the lake's record of deliveries, against the truth that
the simulator wrote beside the orders.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from include import partitions
from include.adapters.deployment import Deployment
from include.adapters.state.decisions import DecisionRow
from include.demo.plan import DEFAULT_NIGHTS, STORY, DemoArguments, DemoPlan, make_plan
from include.settings import PROJECT_ROOT
from include.simulation.incidents import parse_incident
from include.steps.build_features import build_features
from include.steps.claim_training import TrainingRequest
from include.steps.generate_orders import deliver_night
from include.steps.import_source import import_delivery, import_file
from include.steps.move_model import promote_version, stage_or_refuse
from tests.deployments import deployed_beside
from tests.everyday import IS_ALL
from tests.played_nights import decide_night, score_night, train_version
from tests.raw_orders import DELIVERIES

pytestmark = pytest.mark.timeout(900)

SPECS = PROJECT_ROOT / "include" / "config" / "overlays" / "simulator"
FULL = os.environ.get("TRUTH") == "full"
SEEDS = (21, 22, 23) if FULL else (21,)
# So many are played, and so many first ones no more than delivered.
NIGHTS, PASSED = (DEFAULT_NIGHTS, 0) if FULL or IS_ALL else (14, 4)
BROKEN, DRIFT = (parse_incident(text).day for text in STORY)


@dataclass(frozen=True)
class Played:
    deployment: Deployment
    plan: DemoPlan

    @property
    def nights(self) -> tuple[str, ...]:
        return self.plan.nights[PASSED:]

    def decisions(self) -> dict[str, DecisionRow]:
        """The decision of each night; monitoring made one for each."""
        nightly = [d for d in self.deployment.state.decisions("churn") if d.partition in self.nights]
        assert [d.partition for d in nightly] == list(self.nights)
        return {d.partition: d for d in nightly}


@pytest.fixture(scope="module", params=SEEDS, ids=lambda seed: f"seed {seed}")
def played(request: pytest.FixtureRequest, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    folder = tmp_path_factory.mktemp(f"story{request.param}")
    with deployed_beside(home, folder, f"story{request.param}", specs=SPECS) as deployment:
        arguments = DemoArguments(("churn",), nights=NIGHTS, seed=request.param)
        plan = make_plan(folder, arguments)
        play(deployment, plan)
        yield Played(deployment, plan)


def play(deployment: Deployment, plan: DemoPlan) -> None:
    as_of = partitions.end_of(plan.history_end)
    import_file(deployment, Path(plan.history), source="orders", as_of=as_of)
    for night in plan.nights[:PASSED]:
        deliver_night(Path(plan.arrivals), night, deployment.settings.home / "landing")
        import_delivery(deployment, night, source="orders", cross_check=False)
    before = partitions.shift(plan.history_end, PASSED)
    build_features(deployment, "customer_daily", start=plan.features_from["customer_daily"], end=before)
    train(deployment, plan.trained_as_of, TrainingRequest("first", "the first version", by_hand=True))
    for night in plan.nights[PASSED:]:
        score_night(deployment, Path(plan.arrivals), night)
        decide_night(deployment, night, train)


def train(deployment: Deployment, as_of: str, request: TrainingRequest) -> None:
    candidate = train_version(deployment, as_of, request)
    stage_or_refuse(deployment, candidate)
    promote_version(deployment, "churn", version=candidate.version, actor="ada", reason="gates passed")


def test_nothing_acts_in_the_normal_week_and_it_says_so(played):
    for night, decision in played.decisions().items():
        if night < BROKEN:
            assert (decision.action, decision.acted) == ("hold", False), night
            assert decision.reasons[0].startswith("nothing asks for a retrain: 0 of the last 5 nights"), night


def test_the_broken_batch_is_vetoed_and_forgotten_once_it_is_corrected(played):
    decisions = played.decisions()
    assert (decisions[BROKEN].action, decisions[BROKEN].acted) == ("veto", False)
    assert f"the median unit price of the sales of {BROKEN} is" in decisions[BROKEN].reasons[0]
    assert decisions[partitions.shift(BROKEN, 1)].action == "hold"


def test_the_drift_leads_to_exactly_one_acted_retrain(played):
    acted = [d for d in played.decisions().values() if d.acted]
    assert [(d.action, d.trigger, d.partition > DRIFT) for d in acted] == [("retrain", "drift", True)]


def test_it_is_promoted_exactly_once_and_scores_the_nights_after(played):
    into_production = [m for m in played.deployment.state.ledger("churn") if m.to_stage == "Production"]
    assert [m.version for m in into_production] == [1, 2]
    decided = next(night for night, d in played.decisions().items() if d.acted)
    assert into_production[1].partition == into_production[1].evidence.as_of == decided
    scored = played.deployment.lake.read("predictions/churn", columns=["dt", "model_version"])
    versions = {
        str(row["dt"]): row["model_version"]
        for row in scored.group_by(["dt", "model_version"]).aggregate([]).to_pylist()
    }
    assert versions == {night: 1 if night <= decided else 2 for night in played.nights}


def test_every_nights_row_account_balances_with_what_was_sent(played):
    sent = pq.read_table(Path(played.plan.history).parent / "truth" / "arrivals.parquet")
    records = played.deployment.lake.read(DELIVERIES.name)
    for night in played.plan.nights:
        account = records.filter(pc.equal(records["delivered"], night))
        came, published, aside = (pc.sum(account[n]).as_py() for n in ("rows_in", "rows_published", "rows_quarantined"))
        assert came == published + aside == pc.sum(sent.filter(pc.equal(sent["night"], night))["rows"]).as_py(), night
