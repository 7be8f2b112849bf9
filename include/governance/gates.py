"""Gates: what a candidate must show before a person is asked.

What belongs here: verdicts on evidence. What does not: gathering evidence, and the move that follows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from include.governance.evidence import GateReport
from include.specs.models import GatesSpec
from include.training.manifest import UNKNOWN, TrainingSetManifest

# A 99th percentile of fewer calls is the slowest one or two of them.
MIN_LATENCY_CALLS = 1000

_REQUIRED = (
    "model_id",
    "set_id",
    "as_of",
    "feature_service",
    "feature_names",
    "rows",
    "rows_sha256",
    "sources",
    "spec_sha256",
)
_PROVENANCE = ("code_commit", "lock_sha256")


def judge_auc(metrics: Mapping[str, float], gates: GatesSpec) -> GateReport:
    """Judge the AUC of the test window, its point estimate, against ``gates.auc_min``.

    Parameters
    ----------
    metrics : mapping of str to float
        ``auc``, ``auc_low`` and ``auc_high``; absent or NaN gives ``unknown``.
    gates : GatesSpec

    Examples
    --------
    >>> gates = GatesSpec(auc_min=0.7, latency_p99_ms_max=50)
    >>> judge_auc({"auc": 0.7, "auc_low": 0.66, "auc_high": 0.74}, gates).verdict
    'pass'
    >>> judge_auc({}, gates).verdict
    'unknown'
    """
    value = metrics.get("auc")
    if value is None or math.isnan(value):
        return GateReport("auc", "unknown", None, gates.auc_min, "the version has no AUC")
    low, high = metrics.get("auc_low"), metrics.get("auc_high")
    interval = f", 95 % interval [{low:.4f}, {high:.4f}]" if low is not None and high is not None else ""
    passes = value >= gates.auc_min
    reason = f"AUC {value:.4f} {'≥' if passes else '<'} {gates.auc_min:g}{interval}"
    return GateReport("auc", "pass" if passes else "fail", value, gates.auc_min, reason)


def judge_latency(calls_ms: Sequence[float], gates: GatesSpec) -> GateReport:
    """Judge the 99th percentile of one-row calls against ``gates.latency_p99_ms_max``.

    Parameters
    ----------
    calls_ms : sequence of float
        Milliseconds per call, without warm-up; fewer than `MIN_LATENCY_CALLS` give ``unknown``.
    gates : GatesSpec
    """
    limit = gates.latency_p99_ms_max
    if len(calls_ms) < MIN_LATENCY_CALLS:
        reason = f"{len(calls_ms)} calls were measured; a p99 needs {MIN_LATENCY_CALLS}"
        return GateReport("latency", "unknown", None, limit, reason)
    p99 = float(np.quantile(np.asarray(calls_ms, dtype=np.float64), 0.99))
    passes = p99 <= limit
    reason = f"p99 of {len(calls_ms)} one-row calls is {p99:.3f} ms, {'at most' if passes else 'above'} {limit:g} ms"
    return GateReport("latency", "pass" if passes else "fail", p99, limit, reason)


def judge_manifest(manifest: TrainingSetManifest) -> GateReport:
    """Judge whether the manifest says everything that is needed to make the version again.

    Parameters
    ----------
    manifest : TrainingSetManifest
        An empty field fails; a commit or lock that could not be found out gives ``unknown``.
    """
    provenance = manifest.provenance
    missing = [name for name in _REQUIRED if not getattr(manifest, name)]
    missing += [f"provenance.{name}" for name in _PROVENANCE if not getattr(provenance, name)]
    if missing:
        return GateReport("manifest", "fail", None, None, f"the manifest lacks {', '.join(missing)}")
    unknown = [name for name in _PROVENANCE if getattr(provenance, name) == UNKNOWN]
    if unknown:
        reason = f"{', '.join(unknown)} unknown: train from a git checkout with its uv.lock, or set MLOPS_CODE_COMMIT"
        return GateReport("manifest", "unknown", None, None, reason)
    changed = " with local changes" if provenance.code_changed else ""
    reason = f"complete: commit {provenance.code_commit:.12}{changed}, {manifest.rows} rows of {manifest.set_id}"
    return GateReport("manifest", "pass", None, None, reason)
