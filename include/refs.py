"""References that tasks hand to one another: small, serialisable, pointing at what was written.

What belongs here: frozen dataclasses of strings and numbers. What does not: rows, frames, models.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FeaturesRef:
    """Partitions `start` to `end` of a feature group, both included, as published."""

    group: str
    start: str
    end: str
    version: int
    rows: int


@dataclass(frozen=True)
class TrainingSetRef:
    """A training set: its folder below the lake's ``training_sets/<model_id>``."""

    model_id: str
    set_id: str
    as_of: str
    rows: int
    sha256: str


@dataclass(frozen=True)
class CandidateRef:
    """A trained version in the registry, before or after its gates."""

    model_id: str
    version: int
    run_id: str
    as_of: str


@dataclass(frozen=True)
class PredictionsRef:
    """One partition of scores, those with a positive decision, and the version that gave them.

    Beside them how many of the night's entities the model is not asked about, how many it is and were skipped, and the
    version that scored as challenger, or why none did that should have.
    """

    model_id: str
    partition: str
    model_version: int
    rows: int
    decided: int
    version: int
    outside_population: int
    skipped: int
    challenger: int | None = None
    challenger_failure: str | None = None


@dataclass(frozen=True)
class ChunkRef:
    """A chunk of a night that is to be scored, by its number in a plan that stands in the lake."""

    model_id: str
    partition: str
    plan_id: str
    number: int


@dataclass(frozen=True)
class StagedRef:
    """The file in which a chunk's scores wait for the commit, and why the challenger has none in it that should."""

    model_id: str
    partition: str
    plan_id: str
    number: int
    sha256: str
    challenger_failure: str | None = None


@dataclass(frozen=True)
class DecisionRef:
    """A recorded decision, by its number among the model's."""

    model_id: str
    partition: str
    number: int
    action: str
    acted: bool


@dataclass(frozen=True)
class OutcomesRef:
    """What a night told of predictions: how many nights were looked at, and how many rows it added about them."""

    model_id: str
    partition: str
    nights: int
    added: int
    version: int
