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
from include.governance import gates as folder
from include.governance.evidence import GateReport, Verdict
from include.governance.gate import CandidateFacts, Gate
from include.governance.gate_registry import find_gates
from include.refs import CandidateRef
from include.specs.model_sections import GatesSpec
from include.steps.gate_candidate import gate_candidate
from include.training.version import train_version
from tests.unit.steps.fakes import FakeState
from tests.unit.training.examples_builder import make_examples, make_manifest, make_spec

GATES = GatesSpec(auc_min=0.7, latency_p99_ms_max=50)
WHOLE = CandidateFacts(
    metrics={"auc": 0.8, "auc_low": 0.7, "auc_high": 0.9},
    calls_ms=(0.04,) * 2000,
    manifest=make_manifest(make_spec(), make_examples(entities=5)),
)
FACTS = {
    "nothing": CandidateFacts(),
    "whole": WHOLE,
    "bad": replace(WHOLE, metrics={"auc": 0.1}, calls_ms=(900.0,) * 2000, manifest=replace(WHOLE.manifest, rows=0)),
    "no numbers": replace(WHOLE, metrics={"auc": math.nan}, calls_ms=(math.nan,) * 2000),
}


@pytest.fixture(params=find_gates(), ids=lambda gate: gate.name)
def gate(request: pytest.FixtureRequest) -> Gate:
    return request.param


@pytest.fixture(params=FACTS.values(), ids=FACTS)
def facts(request: pytest.FixtureRequest) -> CandidateFacts:
    return request.param


def test_a_report_is_the_gates_own_in_the_words_there_are_and_with_a_reason(gate, facts):
    report = gate.judge(facts, GATES)
    assert report.gate == gate.name
    assert report.verdict in get_args(Verdict)
    assert report.reason.strip() == report.reason != ""


def test_a_report_is_one_that_the_ledger_can_keep(gate, facts):
    report = gate.judge(facts, GATES)
    assert json.loads(json.dumps(asdict(report), allow_nan=False)) == asdict(report)


def test_what_was_not_found_out_is_unknown(gate):
    assert gate.judge(CandidateFacts(), GATES).verdict == "unknown"


def test_a_gate_is_pure(gate, facts):
    before = copy.deepcopy(facts)
    assert gate.judge(facts, GATES) == gate.judge(facts, GATES)
    assert repr(facts) == repr(before)


def test_a_gate_stands_in_the_file_of_its_name():
    files = sorted(path.stem for path in Path(folder.__path__[0]).glob("*.py") if path.stem != "__init__")
    assert [gate.name for gate in find_gates()] == files


def test_the_ledger_and_its_tables_show_gates_in_the_order_they_had():
    names = [gate.name for gate in find_gates()]
    assert [name for name in names if name in {"auc", "latency", "manifest"}] == ["auc", "latency", "manifest"]


NEW = """
from include.governance.evidence import GateReport
from include.governance.gate import Gate


def judge(facts, gates):
    {body}

GATE = Gate("{name}", judge)
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
    assert [report.gate for report in evidence.gates] == ["auc", "bias", "latency", "manifest"]
    assert evidence.gates[1] == GateReport("bias", "pass", None, 0.1, "2000 calls")


def test_a_gate_that_breaks_is_unknown_with_the_reason_and_the_others_are_asked(plant, deployment, caplog):
    plant("broken", BREAKS)
    evidence = gate_candidate(deployment, CANDIDATE)
    reports = {report.gate: report for report in evidence.gates}
    assert reports["broken"] == GateReport("broken", "unknown", None, None, "the gate broke: KeyError: 'base_rate'")
    assert [reports[name].verdict for name in ("latency", "manifest")] == ["pass", "pass"]
    assert any(record.exc_info for record in caplog.records), "where it broke is in the log"
