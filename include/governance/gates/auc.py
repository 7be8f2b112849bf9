"""The gate of the AUC: whether the candidate tells those who say yes from the others.

What belongs here: the verdict. What does not: measuring, which is `training.evaluation`'s.
"""

from __future__ import annotations

import math

from include.governance.evidence import GateReport
from include.governance.gate import CandidateFacts, Gate
from include.specs.model_sections import BinaryGatesSpec


def judge_auc(facts: CandidateFacts, gates: BinaryGatesSpec) -> GateReport:
    """Judge the AUC of the test window, its point estimate, against ``gates.auc_min``.

    Parameters
    ----------
    facts : CandidateFacts
        Of its metrics ``auc``, ``auc_low`` and ``auc_high``; an AUC that is absent or not finite gives ``unknown``.
    gates : BinaryGatesSpec

    Examples
    --------
    >>> gates = BinaryGatesSpec(auc_min=0.7, latency_p99_ms_max=50)
    >>> judge_auc(CandidateFacts(metrics={"auc": 0.7, "auc_low": 0.66, "auc_high": 0.74}), gates).verdict
    'pass'
    >>> judge_auc(CandidateFacts(), gates).verdict
    'unknown'
    """
    value = facts.metrics.get("auc")
    if value is None or not math.isfinite(value):
        return GateReport("auc", "unknown", None, gates.auc_min, "the version has no AUC")
    low, high = facts.metrics.get("auc_low"), facts.metrics.get("auc_high")
    interval = f", 95 % interval [{low:.4f}, {high:.4f}]" if low is not None and high is not None else ""
    passes = value >= gates.auc_min
    reason = f"AUC {value:.4f} {'≥' if passes else '<'} {gates.auc_min:g}{interval}"
    return GateReport("auc", "pass" if passes else "fail", value, gates.auc_min, reason)


GATE = Gate("auc", judge_auc, BinaryGatesSpec)
