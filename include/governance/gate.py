"""What a gate is, and what it is asked about.

What belongs here: the two as values. What does not: a gate, which is a file of ``governance/gates``, and its report,
which is evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from include.governance.evidence import GateReport
from include.specs.model_sections import GatesSpec
from include.training.manifest import TrainingSetManifest


@dataclass(frozen=True)
class CandidateFacts:
    """What was found out about a candidate before its gates are asked; nothing, where it could not be.

    Attributes
    ----------
    metrics : mapping of str to float
        Of the test window.
    calls_ms : tuple of float
        Milliseconds of each call, without warm-up.
    rows_per_call : int
        Rows of each: one, or those of the longest list.
    manifest : TrainingSetManifest or None
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    calls_ms: tuple[float, ...] = ()
    rows_per_call: int = 1
    manifest: TrainingSetManifest | None = None


_Thresholds = TypeVar("_Thresholds", bound=GatesSpec)


@dataclass(frozen=True)
class Gate(Generic[_Thresholds]):
    """A gate under its name, which its reports carry and its file is named by.

    Attributes
    ----------
    name : str
    judge : callable
        Pure: what was found out about a candidate and the model's thresholds in, one report out. What it needs and
        was not found out is ``unknown``.
    thresholds : type of GatesSpec
        Asked is about models whose thresholds are these: those of one task, or of every one.
    """

    name: str
    judge: Callable[[CandidateFacts, _Thresholds], GateReport]
    thresholds: type[_Thresholds]
