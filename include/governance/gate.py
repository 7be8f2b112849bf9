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
from include.training.comparison import PairedDifference
from include.training.manifest import TrainingSetManifest


@dataclass(frozen=True)
class ChampionFacts:
    """The version that a candidate would replace, and how the two compare.

    Attributes
    ----------
    version : int or None
        In Production, by the ledger; None where nothing is.
    asked_by : str or None
        What asked for the candidate's training: a decision's trigger; None where none is on record.
    found : PairedDifference or None
        None where they were not compared.
    seen : int
        Test rows that were left out: the champion was fitted on labels of their time.
    fitted_to : str
        What the champion was fitted to tell, of whom, where that is another question than the candidate's.
    why_not : str
        Why they were not compared.
    """

    version: int | None = None
    asked_by: str | None = None
    found: PairedDifference | None = None
    seen: int = 0
    fitted_to: str = ""
    why_not: str = "nobody has compared them"


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
    champion : ChampionFacts or None
        None where nobody looked for one.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    calls_ms: tuple[float, ...] = ()
    rows_per_call: int = 1
    manifest: TrainingSetManifest | None = None
    champion: ChampionFacts | None = None


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
