"""The evidence of a version: what it was trained on and what its gates said, as the ledger keeps it.

What belongs here: these values, and the one reading and writing of the ledger's JSON. What does not: the verdicts
(`governance.gates`), and where the ledger is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from pydantic import ConfigDict, TypeAdapter

from include.governance.kept_json import read_kept
from include.training.manifest import Provenance, TrainingSetManifest

Verdict: TypeAlias = Literal["pass", "fail", "unknown", "not_applicable"]


@dataclass(frozen=True)
class GateReport:
    """One gate's verdict; only ``pass`` and ``not_applicable`` let a candidate through.

    Attributes
    ----------
    gate : str
    verdict : {"pass", "fail", "unknown", "not_applicable"}
    value : float or None
        What was measured, in the threshold's unit.
    threshold : float or None
    reason : str
        For a person to read.
    """

    gate: str
    verdict: Verdict
    value: float | None
    threshold: float | None
    reason: str


@dataclass(frozen=True)
class TrainedOn:
    """What a version's manifest says of its training set; empty where it says nothing.

    Attributes
    ----------
    rows : int
    set_id : str
    sources : mapping of str to int
        Lake tables and the Delta version that was read.
    provenance : Provenance
    rows_sha256, spec_sha256 : str
    """

    rows: int
    set_id: str
    sources: Mapping[str, int]
    provenance: Provenance
    rows_sha256: str
    spec_sha256: str

    @classmethod
    def of(cls, manifest: TrainingSetManifest) -> TrainedOn:
        """Return what a manifest says."""
        return cls(
            rows=manifest.rows,
            set_id=manifest.set_id,
            sources=manifest.sources,
            provenance=manifest.provenance,
            rows_sha256=manifest.rows_sha256,
            spec_sha256=manifest.spec_sha256,
        )


@dataclass(frozen=True)
class Evidence:
    """What a candidate was held against its gates with.

    Attributes
    ----------
    as_of : str
        The partition it was trained as of.
    run_id : str
        MLflow's run.
    gates : tuple of GateReport
        In the order they were asked.
    trained_on : TrainedOn or None
        None in the oldest rows, which do not say.
    champion : int or None
        The version in Production that it was compared with; None where there was none, and in rows from before there
        was a comparison.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    as_of: str
    run_id: str
    gates: tuple[GateReport, ...]
    trained_on: TrainedOn | None = None
    champion: int | None = None

    @property
    def is_compared(self) -> bool:
        """Whether it says how the candidate stands to the version in Production, or that there was none."""
        return any(report.gate == "champion" for report in self.gates)


_EVIDENCE = TypeAdapter(Evidence)


def to_json(evidence: Evidence | None) -> dict[str, Any]:
    """Return what the ledger keeps of a move's evidence; nothing where it has none."""
    if evidence is None:
        return {}
    kept = asdict(evidence)
    return {name: value for name, value in kept.items() if value is not None}


def from_json(kept: object, *, row: str) -> Evidence | None:
    """Read what `to_json` wrote; None where the move has no evidence.

    Parameters
    ----------
    kept : object
        The JSON value of the ledger's row.
    row : str
        Which row, for the message.

    Raises
    ------
    MlopsError
        If it is something else.
    """
    return None if kept == {} else read_kept(_EVIDENCE, kept, what="evidence", row=row)
