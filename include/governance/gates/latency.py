"""The gate of latency: whether the candidate is fast enough to answer for one entity, or one list, at a time.

What belongs here: the verdict. What does not: measuring, which is the step's.
"""

from __future__ import annotations

import math

import numpy as np

from include.governance.evidence import GateReport
from include.governance.gate import CandidateFacts, Gate
from include.specs.model_sections import GatesSpec

# A 99th percentile of fewer calls is the slowest one or two of them.
MIN_LATENCY_CALLS = 1000


def judge_latency(facts: CandidateFacts, gates: GatesSpec) -> GateReport:
    """Judge the 99th percentile of calls against ``gates.latency_p99_ms_max``.

    Parameters
    ----------
    facts : CandidateFacts
        Of its calls fewer than `MIN_LATENCY_CALLS` give ``unknown``.
    gates : GatesSpec
    """
    calls_ms, limit = facts.calls_ms, gates.latency_p99_ms_max
    if len(calls_ms) < MIN_LATENCY_CALLS:
        reason = f"{len(calls_ms)} calls were measured; a p99 needs {MIN_LATENCY_CALLS}"
        return GateReport("latency", "unknown", None, limit, reason)
    told = f"p99 of {len(calls_ms)} {'one' if facts.rows_per_call == 1 else facts.rows_per_call}-row calls"
    p99 = float(np.quantile(np.asarray(calls_ms, dtype=np.float64), 0.99))
    if not math.isfinite(p99):
        return GateReport("latency", "unknown", None, limit, f"{told} is {p99}")
    passes = p99 <= limit
    reason = f"{told} is {p99:.3f} ms, {'at most' if passes else 'above'} {limit:g} ms"
    return GateReport("latency", "pass" if passes else "fail", p99, limit, reason)


GATE = Gate("latency", judge_latency, GatesSpec)
