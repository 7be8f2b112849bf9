"""Requests for a training and moves of a version, on a real PostgreSQL: what is granted, and what repeating does."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest
from pydantic import TypeAdapter

from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.registry.model_files import unpack
from include.adapters.state.state_store import StateStoreAdapter
from include.errors import MlopsError, RefusedError
from include.governance import lifecycle
from include.governance.gate import ChampionFacts, Gate
from include.governance.lifecycle import MoveRequest
from include.monitoring.decision import Decision
from include.monitoring.decision_facts import NightMetrics
from include.refs import CandidateRef
from include.specs.model_sections import GatesSpec
from include.specs.models import load_model
from include.steps.ask_again import ask_again
from include.steps.claim_training import TrainingRequest, claim_training, request_training
from include.steps.decide_retrain import judge_night
from include.steps.find_waiting import find_waiting
from include.steps.gate_candidate import thresholds
from include.steps.move_model import describe_candidate, promote_version, reject_version, roll_back, stage_or_refuse
from include.steps.record_decision import record_decision
from include.training.artifacts import MANIFEST
from include.training.version import train_version
from tests.unit.governance.evidence_builder import make_evidence
from tests.unit.monitoring.nights import make_night
from tests.unit.training.examples_builder import make_examples, make_manifest, make_spec

NIGHT = "2026-03-01"
BY_HAND = TrainingRequest("run-1", "asked for by hand by ada", by_hand=True)
EVENT = TrainingRequest("run-1", "business event: price change")


@pytest.fixture
def deployment(state_database, tmp_path) -> SimpleNamespace:
    state = StateStoreAdapter(state_database)
    state.record_publications("features/customer_daily", [(NIGHT, 10)], 0)
    state.record_registration("churn", 1, run_id="run", files={})
    registry = SimpleNamespace(
        set_lifecycle=lambda *_: None, set_alias=lambda *_: None, load=lambda *_, **__: "the files of a version"
    )
    return SimpleNamespace(state=state, model_registry=registry, lake=LakeAdapter(tmp_path.as_uri()))


def claim(deployment, request, partition=NIGHT):
    return claim_training(deployment, "churn", partition=partition, request=request)


def move(deployment, plan, version):
    moves = deployment.state.ledger("churn")
    deployment.state.append_moves(plan(moves, MoveRequest("churn", version, NIGHT, actor="ada", reason="because")))


def two_versions(deployment):
    for version in (1, 2):
        move(deployment, lifecycle.stage_candidate, version)
        move(deployment, lifecycle.promote, version)


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    spec, examples = make_spec(), make_examples()
    return dict(train_version(spec, replace(make_manifest(spec, examples), as_of=NIGHT), examples).files)


def test_a_candidate_whose_manifest_lacks_something_is_archived_with_the_reason(deployment, files):
    stated = json.loads(files[MANIFEST])
    del stated["rows_sha256"]
    loaded = unpack({**files, MANIFEST: json.dumps(stated).encode()})
    deployment.model_registry.load = lambda *_, **__: loaded
    with pytest.raises(RefusedError) as refusal:
        stage_or_refuse(deployment, CandidateRef("churn", 1, "run", stated["as_of"]))
    (archived,) = deployment.state.ledger("churn")
    assert (archived.to_stage, archived.evidence.trained_on.rows_sha256) == ("Archived", "")
    assert "manifest fail (the manifest lacks rows_sha256)" in archived.reason
    assert str(refusal.value) == f"churn version 1: {archived.reason}"


def test_a_candidate_that_a_gate_breaks_on_is_archived_with_the_reason(deployment, files, monkeypatch):
    broken = Gate("broken", lambda facts, gates: 1 / 0, GatesSpec)
    monkeypatch.setattr("include.steps.gate_candidate.find_gates", lambda _: (broken,))
    loaded = unpack(files)
    deployment.model_registry.load = lambda *_, **__: loaded
    with pytest.raises(RefusedError) as refusal:
        stage_or_refuse(deployment, CandidateRef("churn", 1, "run", NIGHT))
    (archived,) = deployment.state.ledger("churn")
    assert archived.to_stage == "Archived"
    assert "broken unknown (the gate broke: ZeroDivisionError: division by zero)" in archived.reason
    assert str(refusal.value) == f"churn version 1: {archived.reason}"


def test_a_person_may_train_before_anything_is_in_production(deployment):
    claimed = claim(deployment, BY_HAND)
    (row,) = deployment.state.decisions("churn")
    assert row == claimed
    assert row.reasons[0] == "asked for by hand by ada"
    assert row.trained_by == "run-1"


def test_a_business_event_obeys_what_holds_and_is_recorded_with_why(deployment):
    with pytest.raises(RefusedError, match=r"decision \d+ is hold: "):
        claim(deployment, EVENT)
    (row,) = deployment.state.decisions("churn")
    assert (row.action, row.acted) == ("hold", False)
    assert row.reasons.count("business event: price change") == 1


def test_the_stop_switch_stands_above_a_person(deployment, monkeypatch):
    spec = load_model("churn")
    stopped = spec.model_copy(update={"decision": spec.decision.model_copy(update={"stop": True})})
    monkeypatch.setattr("include.steps.decide_retrain.load_model", lambda _: stopped)
    with pytest.raises(RefusedError, match="is veto: the stop switch is on"):
        claim(deployment, BY_HAND)
    (row,) = deployment.state.decisions("churn")
    assert row.action == "veto"


def test_a_day_after_the_newest_published_one_is_refused_and_uses_nothing_up(deployment):
    with pytest.raises(RefusedError, match="newest published features are of 2026-03-01"):
        claim(deployment, BY_HAND, partition="2062-01-01")
    assert deployment.state.decisions("churn") == ()


def test_a_training_by_hand_leaves_the_nights_own_decision_free_to_act(deployment):
    claim(deployment, BY_HAND)
    drift = Decision("retrain", "drift", ("drift",))
    nightly = record_decision(deployment, load_model("churn"), drift, partition=NIGHT, run_id="night")
    assert nightly.acted


def test_asking_again_for_the_same_run_is_granted_again(deployment):
    assert claim(deployment, BY_HAND) == claim(deployment, BY_HAND)


def test_a_signal_without_a_waiting_decision_is_refused(deployment):
    with pytest.raises(RefusedError, match="no decision waits"):
        claim(deployment, TrainingRequest("run-2"))


def test_a_decision_is_trained_on_by_the_run_that_claims_it_and_refused_to_the_next(deployment):
    drift = Decision("retrain", "drift", ("drift",))
    row = record_decision(deployment, load_model("churn"), drift, partition=NIGHT, run_id="night")
    first, second = TrainingRequest("train-1"), TrainingRequest("train-2")
    assert claim(deployment, first).decision_id == claim(deployment, first).decision_id == row.decision_id
    with pytest.raises(RefusedError, match=rf"decision {row.number} was trained by train-1"):
        claim(deployment, second)


def test_a_rollback_from_a_version_that_never_was_in_production_is_refused(deployment):
    two_versions(deployment)
    with pytest.raises(RefusedError, match="version 9 was never in Production, so it can't be left"):
        roll_back(deployment, "churn", leaving=9, actor="ada", reason="worse")


def test_a_rollback_repeated_moves_nothing_more(deployment):
    two_versions(deployment)
    for _ in range(3):
        assert roll_back(deployment, "churn", leaving=2, actor="ada", reason="worse") == 1
    assert lifecycle.holder(deployment.state.ledger("churn"), lifecycle.Stage.PRODUCTION) == 1


def test_a_rollback_interrupted_before_the_registry_is_told_completes_when_repeated(deployment):
    two_versions(deployment)
    told = {}

    def down(*_):
        raise MlopsError("MLflow is down")

    deployment.model_registry.set_lifecycle = down
    with pytest.raises(MlopsError, match="MLflow is down"):
        roll_back(deployment, "churn", leaving=2, actor="ada", reason="worse")
    deployment.model_registry.set_lifecycle = lambda *_: None
    deployment.model_registry.set_alias = lambda _, alias, version: told.update({alias: version})
    roll_back(deployment, "churn", leaving=2, actor="ada", reason="worse")
    assert told["production"] == 1


@pytest.fixture
def gated(monkeypatch) -> None:
    """Every candidate passes one gate."""
    evidence = make_evidence(NIGHT)
    monkeypatch.setattr("include.steps.move_model.gate_candidate", lambda *_: evidence)


def test_a_candidate_that_stands_in_staging_stays_there_when_it_is_asked_about_again(deployment, gated):
    for _ in range(2):
        stage_or_refuse(deployment, CandidateRef("churn", 1, "run", NIGHT))
    (staged,) = deployment.state.ledger("churn")
    assert (staged.to_stage, staged.evidence) == ("Staging", make_evidence(NIGHT))


@pytest.fixture
def waiting(deployment, files, monkeypatch):
    """A version waits in Staging; what is returned changes the gates' thresholds."""
    spec = load_model("churn")
    gates = dict(spec.gates)

    def hold_to(**changed: float) -> GatesSpec:
        laid = spec.model_copy(update={"gates": spec.gates.model_copy(update={**gates, **changed})})
        for step in ("gate_candidate", "move_model"):
            monkeypatch.setattr(f"include.steps.{step}.load_model", lambda _: laid)
        return laid.gates

    deployment.model_registry.load = lambda *_, **__: unpack(files)
    hold_to(auc_min=0.5)
    stage_or_refuse(deployment, CandidateRef("churn", 1, "run", NIGHT))
    return hold_to


def ask_for_staging(deployment):
    stage_or_refuse(deployment, CandidateRef("churn", 1, "run", NIGHT))


def ask_for_promotion(deployment):
    promote_version(deployment, "churn", version=1, actor="ada", reason="gates passed")


@pytest.mark.parametrize("ask", [ask_for_staging, ask_for_promotion])
@pytest.mark.parametrize(
    ("changed", "told"),
    [({"auc_min": 0.999}, "auc fail (AUC 0."), ({"auc_min": 0.5, "latency_p99_ms_max": 1e-6}, "latency fail (p99 of ")],
    ids=["auc", "latency"],
)
def test_a_version_that_waits_under_other_gates_is_archived_by_those_of_today(deployment, waiting, ask, changed, told):
    gates = waiting(**changed)
    with pytest.raises(RefusedError, match="gates have changed since it was staged, and are not passed"):
        ask(deployment)
    _, archived = deployment.state.ledger("churn")
    assert (archived.to_stage, archived.actor) == ("Archived", "train_model")
    assert told in archived.reason
    assert {gate.gate: gate.threshold for gate in archived.evidence.gates} == thresholds(gates, ChampionFacts())


def test_a_version_that_passes_the_gates_of_today_is_promoted_on_their_verdict(deployment, waiting):
    waiting(auc_min=0.6)
    ask_for_promotion(deployment)
    staged, promoted = deployment.state.ledger("churn")
    assert [move.evidence.gates[0].threshold for move in (staged, promoted)] == [0.5, 0.6]
    assert promoted.to_stage == "Production"


def test_a_version_that_waits_under_the_gates_of_today_is_not_judged_again(deployment, waiting):
    loaded = []
    deployment.model_registry.load = lambda *version, **_: loaded.append(version)
    ask_for_staging(deployment)
    assert loaded == []
    ask_for_promotion(deployment)
    # That its files are what was registered is looked at, and no gate.
    assert len(loaded) == 1
    staged, promoted = deployment.state.ledger("churn")
    assert staged.evidence == promoted.evidence


def test_a_version_in_production_stays_there_whatever_its_gates_become(deployment, waiting):
    ask_for_promotion(deployment)
    waiting(auc_min=0.999)
    ask_for_promotion(deployment)
    assert [move.to_stage for move in deployment.state.ledger("churn")] == ["Staging", "Production"]


def test_a_version_that_its_gates_archived_is_staged_once_it_passes_those_of_today_and_not_before(deployment, waiting):
    waiting(auc_min=0.999)
    for _ in range(2):
        with pytest.raises(RefusedError, match=r"auc fail|is in Archived already"):
            ask_for_staging(deployment)
    waiting(auc_min=0.998)
    with pytest.raises(RefusedError, match="auc fail"):
        ask_for_staging(deployment)
    waiting(auc_min=0.6)
    ask_for_staging(deployment)
    moves = deployment.state.ledger("churn")
    assert [move.to_stage for move in moves] == ["Staging", "Archived", "Staging"]
    assert moves[-1].evidence.gates[0].threshold == 0.6
    assert lifecycle.holder(moves, lifecycle.Stage.STAGING) == 1


def test_a_version_that_a_person_archived_stays_there_whatever_its_gates_become(deployment, waiting):
    reject_version(deployment, "churn", version=1, actor="ada", reason="not this one")
    waiting(auc_min=0.6)
    with pytest.raises(RefusedError, match="churn version 1 is in Archived already"):
        ask_for_staging(deployment)


def test_every_gate_says_what_it_holds_a_candidate_against_before_there_is_one():
    gates = load_model("churn").gates
    told = {"auc": gates.auc_min, "latency": gates.latency_p99_ms_max, "manifest": None}
    against = {None: None, "drift": -gates.champion_margin, "schedule": gates.scheduled_gain}
    for asked_by, threshold in against.items():
        champion = ChampionFacts(1, asked_by) if asked_by else ChampionFacts()
        assert thresholds(gates, champion) == {**told, "champion": threshold}


def test_who_asked_for_a_training_is_kept_apart_from_who_moves_the_version(deployment, gated):
    stage_or_refuse(deployment, CandidateRef("churn", 1, "run", NIGHT), requested_by="ada")
    promote_version(deployment, "churn", version=1, actor="bob", reason="better")
    staged, promoted = deployment.state.ledger("churn")
    assert (staged.requested_by, staged.actor) == ("ada", "train_model")
    assert (promoted.requested_by, promoted.actor) == (None, "bob")


def test_a_candidate_that_has_left_staging_is_refused(deployment, gated):
    two_versions(deployment)
    for version, stage in ((1, "Archived"), (2, "Production")):
        with pytest.raises(RefusedError, match=f"churn version {version} is in {stage} already"):
            stage_or_refuse(deployment, CandidateRef("churn", version, "run", NIGHT))


def test_the_version_that_waits_is_described_with_what_its_gates_said(deployment, gated):
    stage_or_refuse(deployment, CandidateRef("churn", 1, "run", NIGHT))
    lines = describe_candidate(deployment, "churn", version=1).splitlines()
    assert lines[0] == f"Trained as of **{NIGHT}**; in Production now: nothing"
    assert lines[4:6] == [
        "| auc | pass | 0.91 | 0.85 | AUC 0.9100 ≥ 0.85, 95 % interval [0.9001, 0.9199] |",
        "| latency | pass | 0.041 | 50 | p99 of 2000 one-row calls is 0.041 ms, at most 50 ms |",
    ]


def test_what_a_gate_says_stays_in_its_cell(deployment, monkeypatch):
    evidence = make_evidence(NIGHT)
    said = replace(evidence.gates[0], reason="AUC of `a|b`\nis 0.9")
    monkeypatch.setattr(
        "include.steps.move_model.gate_candidate", lambda *_: replace(evidence, gates=(said, *evidence.gates[1:]))
    )
    stage_or_refuse(deployment, CandidateRef("churn", 1, "run", NIGHT))
    described = describe_candidate(deployment, "churn", version=1).splitlines()
    assert described[4] == r"| auc | pass | 0.91 | 0.85 | AUC of `a\|b` is 0.9 |"


def test_a_database_without_our_tables_says_how_to_bring_them(postgres_database):
    with pytest.raises(MlopsError, match="does not have our tables"):
        StateStoreAdapter(postgres_database).ledger("churn")


LATER = "2026-03-20"


@pytest.fixture
def running(deployment):
    """A version in Production, and a newest night that was measured without a finding."""
    moves = deployment.state.ledger("churn")
    for plan in (lifecycle.stage_candidate, lifecycle.promote):
        first = MoveRequest("churn", 1, "2026-01-01", actor="ada", reason="first", evidence=make_evidence())
        moves = (*moves, *plan(moves, first))
    deployment.state.append_moves(moves)
    measured(deployment, LATER)
    return deployment


def measured(deployment, night, status="ok"):
    deployment.state.record_publications("features/customer_daily", [(night, 1000)], 0)
    found = TypeAdapter(NightMetrics).dump_python(make_night(night, status=status), mode="json")
    deployment.state.put_night("churn", night, model_version=1, night=found)


def posted(run, *keys):
    return TrainingRequest(run, "business event: price change", keys=keys)


@pytest.mark.parametrize("named", ["2026-02-01", NIGHT, LATER, "2026-03-21"])
def test_a_business_event_is_judged_and_trained_on_as_of_the_newest_night_whichever_it_names(running, named):
    measured(running, NIGHT)
    assert claim(running, posted("run-1", "a"), partition=named).partition == LATER


@pytest.mark.parametrize("named", ["2026-02-01", NIGHT, LATER])
def test_a_business_event_does_not_get_round_what_holds_now_by_naming_an_older_night(running, named, monkeypatch):
    wait = load_model("churn").decision.model_copy(update={"cooldown_days": 14})
    held = load_model("churn").model_copy(update={"decision": wait})
    monkeypatch.setattr("include.steps.decide_retrain.load_model", lambda _: held)
    for night in ("2026-02-01", NIGHT):
        measured(running, night)
    claim(running, posted("run-1", "a"), partition=named)
    for run in ("run-2", "run-3"):
        with pytest.raises(RefusedError, match=r"is hold: cooldown: the last retrain was 0 days ago"):
            claim(running, posted(run, run), partition=named)


@pytest.mark.parametrize("request_", [posted("run-1", "a"), BY_HAND], ids=["event", "by hand"])
def test_broken_data_of_the_newest_night_is_not_got_round_by_naming_an_older_one(running, request_):
    measured(running, NIGHT)
    measured(running, LATER, status="incident")
    with pytest.raises(RefusedError, match="is veto: data incident"):
        claim(running, request_, partition=NIGHT)


@pytest.mark.parametrize(
    ("first", "second"),
    [(("a",), ("a",)), (("a", "b"), ("b",)), (("a", "b"), ("b", "a"))],
    ids=["one", "one of", "both"],
)
def test_the_same_key_twice_is_one_decision_whichever_night_and_run_it_comes_with(running, first, second):
    row = claim(running, posted("run-1", *first))
    measured(running, "2026-03-21")
    with pytest.raises(RefusedError, match=f"decision {row.number} is trained by run-1"):
        claim(running, posted("run-2", *second), partition="2026-03-21")
    assert [d.decision_id for d in running.state.decisions("churn")] == [row.decision_id]
    assert row.requested


def test_a_key_that_was_refused_stays_refused(running):
    measured(running, LATER, status="incident")
    for run in ("run-1", "run-2"):
        with pytest.raises(RefusedError, match="is veto"):
            claim(running, posted(run, "a"))
        measured(running, LATER)
    assert len(running.state.decisions("churn")) == 1


def test_of_requests_that_were_judged_at_once_one_acts_and_the_others_judge_again(running):
    with ThreadPoolExecutor(8) as pool:
        runs = [pool.submit(claim, running, posted(f"run-{n}", f"key-{n}")) for n in range(8)]
    errors = [run.exception() for run in runs]
    assert errors.count(None) >= 1
    for error in filter(None, errors):
        assert "judge it again" in str(error) or "is hold" in str(error)
    assert sum(d.acted for d in running.state.decisions("churn")) == errors.count(None)


def test_a_retrain_that_no_training_has_claimed_holds_the_next_and_is_found_until_it_is_claimed(running):
    drift = Decision("retrain", "drift", ("drift",))
    row = record_decision(running, load_model("churn"), drift, partition=LATER, run_id="night")
    measured(running, "2026-03-21")
    assert find_waiting(running, "churn", before="2026-03-21") == (LATER,)
    assert find_waiting(running, "churn", before=LATER) == ()
    held = judge_night(running, "churn", "2026-03-21")
    assert f"the retrain that was decided on {LATER} waits" in "; ".join(held.reasons)
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(claim, running, TrainingRequest(f"train-{n}"), partition=LATER) for n in range(4)]
    assert [run.exception() is None for run in runs].count(True) == 1
    assert find_waiting(running, "churn") == ()
    assert row.decision_id == running.state.decisions("churn")[0].decision_id


def test_an_event_that_came_while_training_was_paused_is_trained_on_later(running):
    asked = request_training(running, "churn", posted("request-1", "a"))
    measured(running, "2026-03-21")
    assert request_training(running, "churn", posted("request-2", "a")) == asked
    assert find_waiting(running, "churn", before="2026-03-21") == (asked.partition,)
    assert claim(running, TrainingRequest("train-1"), partition=asked.partition).decision_id == asked.decision_id
    with pytest.raises(RefusedError, match=f"decision {asked.number} is trained by train-1"):
        claim(running, posted("train-2", "a"), partition=asked.partition)


def test_an_event_that_may_not_train_is_refused_where_it_is_asked_and_on_record(running):
    measured(running, LATER, status="incident")
    with pytest.raises(RefusedError, match="is veto: data incident"):
        request_training(running, "churn", posted("request-1", "a"))
    assert [d.acted for d in running.state.decisions("churn")] == [False]
    assert find_waiting(running, "churn") == ()


def test_an_event_that_was_posted_while_training_was_paused_is_decided_on_by_the_next_night_and_started_once(running):
    lost = [posted("k", "k"), posted("l", "l")]
    assert ask_again(running, "churn", lost, partition=LATER) == [LATER]
    (first, *others) = running.state.decisions("churn")
    assert (first.acted, first.requested, first.reasons[0]) == (True, True, "business event: price change")
    assert [(d.action, d.acted) for d in others] == [("hold", False)]
    assert ask_again(running, "churn", lost, partition=LATER) == [LATER]
    claim(running, TrainingRequest("train-1"), partition=LATER)
    assert ask_again(running, "churn", lost, partition=LATER) == []
    with pytest.raises(RefusedError, match=f"decision {first.number} is trained by train-1"):
        claim(running, posted("train-2", "k"))
    assert [d.acted for d in running.state.decisions("churn")] == [True, False]


def test_an_event_is_heard_whoever_decided_on_a_night_since_it_was_posted(running):
    lost = posted("k", "k")
    # As a repair of nights does, and a run whose later task failed for good: neither has looked for events.
    record_decision(running, load_model("churn"), Decision("hold", "none", ("",)), partition=LATER, run_id="repair")
    assert ask_again(running, "churn", [lost], partition=LATER) == [LATER]


def test_an_event_that_was_refused_or_is_trained_on_is_not_judged_again(running, monkeypatch):
    measured(running, LATER, status="incident")
    assert ask_again(running, "churn", [posted("k", "k")], partition=LATER) == []
    measured(running, LATER)
    assert ask_again(running, "churn", [posted("k", "k"), posted("l", "l")], partition=LATER) == [LATER]
    claim(running, TrainingRequest("train-1"), partition=LATER)
    monkeypatch.setattr("include.steps.ask_again.request_training", lambda *_: pytest.fail("judged again"))
    assert ask_again(running, "churn", [posted("k", "k"), posted("l", "l")], partition=LATER) == []


def test_a_retrain_that_waits_is_asked_for_beside_what_was_posted(running):
    drift = Decision("retrain", "drift", ("drift",))
    record_decision(running, load_model("churn"), drift, partition=LATER, run_id="before")
    measured(running, "2026-03-21")
    lost = [posted("k", "k")]
    assert ask_again(running, "churn", lost, partition="2026-03-21") == [LATER]
    assert f"the retrain that was decided on {LATER} waits" in running.state.decisions("churn")[-1].reasons[0]
