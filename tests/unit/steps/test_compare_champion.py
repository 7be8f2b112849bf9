"""Which version a candidate is compared with, what asked for it, on which rows, and when they can't be compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.lake.row_digest import digest
from include.adapters.lake.training_sets import remove_training_set, write_training_set
from include.adapters.registry.model_files import LoadedModel, unpack
from include.errors import MlopsError
from include.governance import lifecycle
from include.governance.gate import ChampionFacts
from include.governance.lifecycle import LedgerMove, MoveRequest
from include.refs import CandidateRef
from include.steps.compare_champion import _other_question, compare_champion, find_champion
from include.training.artifacts import SIGNATURE, SPEC
from include.training.version import train_version
from tests.unit.steps.fakes import FakeState
from tests.unit.training.examples_builder import AS_OF, make_examples, make_manifest, make_spec

SPEC_OF_TODAY, EXAMPLES = make_spec(), make_examples()
TRAINED = make_manifest(SPEC_OF_TODAY, EXAMPLES)
CANDIDATE = CandidateRef("churn", 2, "run", AS_OF)


class Ledger(FakeState):
    """Version 1 is in Production; decisions as they are told."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[SimpleNamespace] = []
        self.moves: tuple[LedgerMove, ...] = ()
        for plan in (lifecycle.stage_candidate, lifecycle.promote):
            request = MoveRequest("churn", 1, AS_OF, actor="ada", reason="first")
            self.moves = (*self.moves, *plan(self.moves, request))
        for version in (1, 2):
            self.record_registration("churn", version, run_id="run", files={})

    def ledger(self, model_id: str) -> tuple[LedgerMove, ...]:
        return self.moves

    def decisions(self, model_id: str) -> tuple[SimpleNamespace, ...]:
        return tuple(self.asked)

    def ask(self, trigger: str, *, partition: str = AS_OF, acted: bool = True, by: str | None = "training") -> None:
        self.asked.append(SimpleNamespace(trigger=trigger, partition=partition, acted=acted, trained_by=by))


@pytest.fixture(scope="module")
def files() -> Mapping[str, bytes]:
    return train_version(SPEC_OF_TODAY, TRAINED, EXAMPLES).files


@pytest.fixture
def deployment(tmp_path: Path, files: Mapping[str, bytes]) -> SimpleNamespace:
    """The candidate's training set is in the lake; `champion` is what the registry gives for version 1."""
    made = SimpleNamespace(state=Ledger(), lake=LakeAdapter(tmp_path.as_uri()), champion=files)
    made.model_registry = SimpleNamespace(load=lambda *_, **__: unpack(made.champion))
    write_training_set(made.lake, TRAINED, EXAMPLES)
    return made


def compare(deployment: SimpleNamespace, files: Mapping[str, bytes], loaded: LoadedModel | None = None):
    return compare_champion(deployment, SPEC_OF_TODAY, CANDIDATE, loaded or unpack(files))


def signed(files: Mapping[str, bytes], **changed: object) -> dict[str, bytes]:
    return {**files, SIGNATURE: json.dumps({**json.loads(files[SIGNATURE]), **changed}).encode()}


def test_of_the_decisions_as_of_its_day_the_last_that_was_trained_on_asked(deployment):
    assert find_champion(deployment, CANDIDATE) == ChampionFacts(1, None)
    deployment.state.ask("schedule", partition="2024-06-29")
    deployment.state.ask("drift", by=None)
    deployment.state.ask("event", acted=False)
    assert find_champion(deployment, CANDIDATE).asked_by is None
    deployment.state.ask("schedule")
    assert find_champion(deployment, CANDIDATE).asked_by == "schedule"
    deployment.state.ask("event")
    assert find_champion(deployment, CANDIDATE).asked_by == "event"


def test_the_version_in_production_is_compared_with_nothing(deployment):
    assert find_champion(deployment, replace(CANDIDATE, version=1)) == ChampionFacts()


def test_a_version_of_the_same_files_differs_by_nothing_on_all_the_rows_of_the_test(deployment, files):
    facts = compare(deployment, files)
    days = np.unique(EXAMPLES["event_timestamp"].to_numpy())
    assert (facts.version, facts.seen, facts.found.difference) == (1, 0, 0.0)
    assert facts.found.rows == EXAMPLES.num_rows // len(days) * 2
    assert facts.found.candidate == unpack(files).metrics["auc"]


def test_rows_up_to_the_last_snapshot_of_a_champion_that_keeps_no_spec_are_left_out(deployment, files):
    bare = {name: content for name, content in files.items() if name != SPEC}
    manifest = replace(TRAINED, spec_sha256="another", last_snapshot="2024-06-15")
    deployment.champion = {**bare, "manifest.json": manifest.to_json().encode()}
    facts = compare(deployment, files)
    assert (facts.seen, facts.found.rows) == (120, 120)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"task": "ranking"}, "it is of task: ranking, the candidate of task: binary"),
        ({"entity_keys": ["order_id"]}, "it scores order_id, the candidate scores customer_id"),
        ({"feature_service": "gone_v1"}, "gone_v1"),
    ],
    ids=["task", "entity", "service"],
)
def test_a_champion_that_cannot_be_compared_says_why(deployment, files, changed, told):
    deployment.champion = signed(files, **changed)
    facts = compare(deployment, files)
    assert facts.found is None
    assert told in facts.why_not


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, ""),
        ({"training": {"seed": 3}}, ""),
        ({"population": "true"}, "no_order (horizon_days=14) of those with true"),
        (
            {"label": {"kind": "does_order", "horizon_days": 30, "least": 2}},
            "does_order (horizon_days=30, least=2) of those with days_since_last_order <= 30",
        ),
    ],
    ids=["the same", "another fit", "population", "label"],
)
def test_a_champion_that_was_fitted_to_tell_something_else_says_what(files, changed, told):
    other = {**json.loads(files[SPEC]), **changed}
    assert _other_question(unpack(files), unpack({**files, SPEC: json.dumps(other).encode()})) == told
    bare = {name: content for name, content in files.items() if name != SPEC}
    assert _other_question(unpack(files), unpack(bare)) == ""


def test_a_champion_of_another_population_is_compared_on_the_candidates_rows_and_said_to_be(deployment, files):
    other = json.dumps({**json.loads(files[SPEC]), "population": "true"}, sort_keys=True)
    deployment.champion = {**files, SPEC: other.encode()}
    facts = compare(deployment, files)
    assert (facts.found.difference, facts.fitted_to) == (0.0, "no_order (horizon_days=14) of those with true")


def test_a_candidate_whose_training_set_is_gone_says_so(deployment, files):
    remove_training_set(deployment.lake, "churn", TRAINED.set_id)
    facts = compare(deployment, files)
    assert facts.found is None
    assert facts.why_not == f"the lake does not keep training set {TRAINED.set_id} of the candidate any more"


def test_rows_and_manifest_of_the_set_that_were_changed_together_are_compared_on_nothing(deployment, files):
    """As if who is to be promoted had been right about everybody."""
    flattering = EXAMPLES.set_column(
        EXAMPLES.column_names.index("label"), "label", pa.array(1 - EXAMPLES["label"].to_numpy())
    )
    remove_training_set(deployment.lake, "churn", TRAINED.set_id)
    write_training_set(deployment.lake, replace(TRAINED, rows_sha256=digest(flattering)), flattering)
    with pytest.raises(MlopsError, match="rows and manifest were changed together, and nothing is compared on them"):
        compare(deployment, files)


def test_a_candidate_is_compared_by_the_spec_that_made_it(deployment, files):
    """With the test of today's spec it would be measured on rows that it was fitted on."""
    longer = SPEC_OF_TODAY.model_copy(update={"training": SPEC_OF_TODAY.training.model_copy(update={"test_days": 35})})
    assert compare_champion(deployment, longer, CANDIDATE, unpack(files)).found.rows == 240
