"""The gate of the manifest: whether the candidate could be made again.

What belongs here: which of the manifest's fields that takes. What does not: the manifest, which is training's.
"""

from __future__ import annotations

from collections.abc import Sequence

from include.governance.evidence import GateReport
from include.governance.gate import CandidateFacts, Gate
from include.specs.model_sections import GatesSpec
from include.training.manifest import UNKNOWN

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


def judge_manifest(facts: CandidateFacts, gates: GatesSpec) -> GateReport:
    """Judge whether the manifest says everything that is needed to make the version again.

    Parameters
    ----------
    facts : CandidateFacts
        An empty field of its manifest fails; a commit or lock that could not be found out, or no manifest at all,
        gives ``unknown``.
    gates : GatesSpec
        Holds no threshold of this gate.
    """
    manifest = facts.manifest
    if manifest is None:
        return GateReport("manifest", "unknown", None, None, "the version has no manifest")
    provenance = manifest.provenance
    missing = [*_empty(manifest, _REQUIRED), *(f"provenance.{name}" for name in _empty(provenance, _PROVENANCE))]
    if missing:
        return GateReport("manifest", "fail", None, None, f"the manifest lacks {', '.join(missing)}")
    unknown = [name for name in _PROVENANCE if getattr(provenance, name) == UNKNOWN]
    if unknown:
        reason = f"{', '.join(unknown)} unknown: train from a git checkout with its uv.lock, or set MLOPS_CODE_COMMIT"
        return GateReport("manifest", "unknown", None, None, reason)
    changed = " with local changes" if provenance.code_changed else ""
    reason = f"complete: commit {provenance.code_commit:.12}{changed}, {manifest.rows} rows of {manifest.set_id}"
    return GateReport("manifest", "pass", None, None, reason)


def _empty(holder: object, names: Sequence[str]) -> list[str]:
    return [name for name in names if not getattr(holder, name)]


GATE = Gate("manifest", judge_manifest, GatesSpec)
