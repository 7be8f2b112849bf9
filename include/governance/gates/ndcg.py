"""The gate of the NDCG: whether the candidate puts the right items first.

What belongs here: the verdict. What does not: measuring, which is `training.list_evaluation`'s.
"""

from __future__ import annotations

import math

from include.governance.evidence import GateReport
from include.governance.gate import CandidateFacts, Gate
from include.specs.model_sections import RankingGatesSpec


def judge_ndcg(facts: CandidateFacts, gates: RankingGatesSpec) -> GateReport:
    """Judge the NDCG of the test window's lists, its point estimate, against ``gates.ndcg_min``.

    Parameters
    ----------
    facts : CandidateFacts
        Of its metrics ``ndcg``, ``ndcg_low``, ``ndcg_high``, ``ndcg_random`` and ``top_k``; an NDCG that is absent or
        not finite gives ``unknown``.
    gates : RankingGatesSpec

    Examples
    --------
    >>> gates = RankingGatesSpec(ndcg_min=0.5, latency_p99_ms_max=50)
    >>> judge_ndcg(CandidateFacts(metrics={"ndcg": 0.5, "top_k": 5, "ndcg_random": 0.4}), gates).reason
    'NDCG@5 0.5000 ≥ 0.5, a random order has 0.4000'
    >>> judge_ndcg(CandidateFacts(metrics={"auc": 0.9}), gates).verdict
    'unknown'
    """
    metrics = facts.metrics
    value = metrics.get("ndcg")
    if value is None or not math.isfinite(value):
        return GateReport("ndcg", "unknown", None, gates.ndcg_min, "the version has no NDCG")
    passes = value >= gates.ndcg_min
    at = f"@{metrics['top_k']:g}" if "top_k" in metrics else ""
    reason = f"NDCG{at} {value:.4f} {'≥' if passes else '<'} {gates.ndcg_min:g}"
    if "ndcg_low" in metrics and "ndcg_high" in metrics:
        reason += f", 95 % interval [{metrics['ndcg_low']:.4f}, {metrics['ndcg_high']:.4f}]"
    if "ndcg_random" in metrics:
        reason += f", a random order has {metrics['ndcg_random']:.4f}"
    return GateReport("ndcg", "pass" if passes else "fail", value, gates.ndcg_min, reason)


GATE = Gate("ndcg", judge_ndcg, RankingGatesSpec)
