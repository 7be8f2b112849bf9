"""The gate of latency: a 99th percentile of enough calls."""

from __future__ import annotations

from include.governance.evidence import GateReport
from include.governance.gate import CandidateFacts
from include.governance.gates.latency import judge_latency
from include.specs.model_sections import BinaryGatesSpec

GATES = BinaryGatesSpec(auc_min=0.7, latency_p99_ms_max=50)


def judge(calls_ms: list[float]) -> GateReport:
    return judge_latency(CandidateFacts(calls_ms=tuple(calls_ms)), GATES)


def test_one_slow_call_in_a_hundred_is_let_pass_and_two_are_not():
    assert judge([1.0] * 1990 + [900.0] * 10).verdict == "pass"
    slow = judge([1.0] * 1960 + [900.0] * 40)
    assert (slow.verdict, slow.value) == ("fail", 900.0)


def test_p99_equal_to_the_limit_passes():
    assert judge([50.0] * 1000).verdict == "pass"


def test_too_few_calls_are_unknown():
    assert judge([1.0] * 999).verdict == "unknown"
