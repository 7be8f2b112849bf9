"""One suite for every gate of the folder: a new one passes it by being there."""

from __future__ import annotations

import copy
import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest

from include.adapters.registry.model_files import unpack
from include.errors import MlopsError
from include.governance import gates as folder
from include.governance.evidence import GateReport, Verdict
from include.governance.gate import CandidateFacts, ChampionFacts, Gate
from include.governance.gate_registry import find_gates
from include.refs import CandidateRef
from include.specs.model_sections import BinaryGatesSpec, GatesSpec, RankingGatesSpec
from include.steps.gate_candidate import gate_candidate
from include.training.comparison import PairedDifference
from include.training.version import train_version
from tests.unit.steps.fakes import FakeState
from tests.unit.training.examples_builder import make_examples, make_manifest, make_spec

THRESHOLDS = {
    "binary": BinaryGatesSpec(auc_min=0.7, latency_p99_ms_max=50),
    "ranking": RankingGatesSpec(ndcg_min=0.7, latency_p99_ms_max=50),
}
MEASURED = {"auc": 0.8, "auc_low": 0.7, "auc_high": 0.9, "ndcg": 0.8, "ndcg_low": 0.7, "ndcg_high": 0.9, "top_k": 5.0}
WHOLE = CandidateFacts(
    metrics=MEASURED,
    calls_ms=(0.04,) * 2000,
    manifest=make_manifest(make_spec(), make_examples(entities=5)),
    champion=ChampionFacts(1, "drift", PairedDifference("AUC", 0.8, 0.79, -0.01, 0.03, 900, 120)),
)
FACTS = {
    "nothing": CandidateFacts(),
    "whole": WHOLE,
    "bad": replace(
        WHOLE, metrics={"auc": 0.1, "ndcg": 0.1}, calls_ms=(900.0,) * 2000, manifest=replace(WHOLE.manifest, rows=0)
    ),
    "first": replace(WHOLE, champion=ChampionFacts()),
    "scheduled": replace(WHOLE, champion=replace(WHOLE.champion, asked_by="schedule")),
    "not compared": replace(WHOLE, champion=replace(WHOLE.champion, found=None)),
    "no numbers": replace(WHOLE, metrics=dict.fromkeys(MEASURED, math.nan), calls_ms=(math.nan,) * 2000),
}


ASKED = [(gate, spec) for spec in THRESHOLDS.values() for gate in find_gates(spec)]


@pytest.fixture(params=ASKED, ids=lambda asked: f"{asked[0].name}-{type(asked[1]).__name__}")
def asked(request: pytest.FixtureRequest) -> tuple[Gate, GatesSpec]:
    """A gate, and thresholds of a model that it is asked about."""
    return request.param


@pytest.fixture(params=FACTS.values(), ids=FACTS)
def facts(request: pytest.FixtureRequest) -> CandidateFacts:
    return request.param


def test_a_report_is_the_gates_own_in_the_words_there_are_and_with_a_reason(asked, facts):
    gate, thresholds = asked
    report = gate.judge(facts, thresholds)
    assert report.gate == gate.name
    assert report.verdict in get_args(Verdict)
    assert report.reason.strip() == report.reason != ""


def test_a_report_is_one_that_the_ledger_can_keep(asked, facts):
    gate, thresholds = asked
    report = gate.judge(facts, thresholds)
    assert json.loads(json.dumps(asdict(report), allow_nan=False)) == asdict(report)


def test_what_was_not_found_out_is_unknown(asked):
    gate, thresholds = asked
    assert gate.judge(CandidateFacts(), thresholds).verdict == "unknown"


def test_a_gate_is_pure(asked, facts):
    (gate, thresholds), before = asked, copy.deepcopy(facts)
    assert gate.judge(facts, thresholds) == gate.judge(facts, thresholds)
    assert repr(facts) == repr(before)


def test_a_gate_stands_in_the_file_of_its_name():
    files = sorted(path.stem for path in Path(folder.__path__[0]).glob("*.py") if path.stem != "__init__")
    assert sorted({gate.name for gate, _ in ASKED}) == files


@pytest.mark.parametrize(
    ("task", "names"),
    [("binary", ["auc", "champion", "latency", "manifest"]), ("ranking", ["champion", "latency", "manifest", "ndcg"])],
)
def test_a_model_is_asked_about_the_gates_of_its_task_in_the_order_of_their_names(task, names):
    assert [gate.name for gate in find_gates(THRESHOLDS[task])] == names


def test_every_threshold_of_a_task_is_one_that_some_gate_judges_by():
    for spec in THRESHOLDS.values():
        judged = {gate.judge(facts, spec).threshold for gate in find_gates(spec) for facts in FACTS.values()} - {None}
        assert {*map(abs, judged)} == set(spec.model_dump().values())


@pytest.mark.parametrize("metrics", [{"auc": 0.99}, {"ndcg": 0.99}], ids=lambda metrics: next(iter(metrics)))
def test_the_metric_of_another_task_passes_no_gate(metrics):
    for task, name in (("binary", "auc"), ("ranking", "ndcg")):
        facts, thresholds = replace(WHOLE, metrics=metrics), THRESHOLDS[task]
        verdicts = {gate.name: gate.judge(facts, thresholds).verdict for gate in find_gates(thresholds)}
        assert verdicts[name] == ("pass" if name in metrics else "unknown")


NEW = """
from include.governance.evidence import GateReport
from include.governance.gate import Gate
from include.specs.model_sections import GatesSpec


def judge(facts, gates):
    {body}

GATE = Gate("{name}", judge, GatesSpec)
"""


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Adds a file to the folder of gates."""
    known = set(sys.modules)
    monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(tmp_path)])
    yield lambda name, body: (tmp_path / f"{name}.py").write_text(NEW.format(name=name, body=body))
    for name in set(sys.modules) - known:
        if name.startswith(folder.__name__):
            del sys.modules[name]


@pytest.fixture(scope="module")
def deployment() -> SimpleNamespace:
    spec, examples = make_spec(), make_examples()
    loaded = unpack(train_version(spec, make_manifest(spec, examples), examples).files)
    state = FakeState()
    state.record_registration("churn", 1, run_id="run", files={})
    return SimpleNamespace(state=state, model_registry=SimpleNamespace(load=lambda *_, **__: loaded))


CANDIDATE = CandidateRef("churn", 1, "run", "2024-06-30")
PASSES = 'return GateReport("bias", "pass", None, 0.1, f"{len(facts.calls_ms)} calls")'
BREAKS = 'raise KeyError("base_rate")'


def test_one_more_file_is_one_more_gate_that_is_asked(plant, deployment):
    plant("bias", PASSES)
    evidence = gate_candidate(deployment, CANDIDATE)
    assert [report.gate for report in evidence.gates] == ["auc", "bias", "champion", "latency", "manifest"]
    assert evidence.gates[1] == GateReport("bias", "pass", None, 0.1, "2000 calls")


def test_a_gate_that_breaks_is_unknown_with_the_reason_and_the_others_are_asked(plant, deployment, caplog):
    plant("broken", BREAKS)
    evidence = gate_candidate(deployment, CANDIDATE)
    reports = {report.gate: report for report in evidence.gates}
    assert reports["broken"] == GateReport("broken", "unknown", None, None, "the gate broke: KeyError: 'base_rate'")
    assert [reports[name].verdict for name in ("latency", "manifest")] == ["pass", "pass"]
    assert any(record.exc_info for record in caplog.records), "where it broke is in the log"


@pytest.mark.parametrize("as_of", ["2024-06-29", "2024-07-01", ""])
def test_a_candidate_is_judged_as_of_the_day_that_it_was_trained_as_of_and_no_other(deployment, as_of):
    """Of another day it would be held against what something else had asked for."""
    with pytest.raises(MlopsError, match="churn version 1 was trained as of 2024-06-30, and is to be held against its"):
        gate_candidate(deployment, replace(CANDIDATE, as_of=as_of))
