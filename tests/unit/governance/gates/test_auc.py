"""The AUC's gate: the point estimate decides, the interval is told."""

from __future__ import annotations

import pytest

from include.governance.gate import CandidateFacts
from include.governance.gates.auc import judge_auc
from include.specs.model_sections import BinaryGatesSpec

GATES = BinaryGatesSpec(auc_min=0.7, latency_p99_ms_max=50)


@pytest.mark.parametrize(("auc", "verdict"), [(0.7, "pass"), (0.6999, "fail"), (float("nan"), "unknown")])
def test_auc_is_judged_by_its_point_estimate(auc, verdict):
    report = judge_auc(CandidateFacts(metrics={"auc": auc, "auc_low": 0.6, "auc_high": 0.8}), GATES)
    assert (report.verdict, report.threshold) == (verdict, 0.7)


def test_auc_report_tells_the_interval():
    facts = CandidateFacts(metrics={"auc": 0.65, "auc_low": 0.6, "auc_high": 0.8})
    assert "[0.6000, 0.8000]" in judge_auc(facts, GATES).reason


def test_no_auc_is_unknown():
    assert judge_auc(CandidateFacts(), GATES).verdict == "unknown"
