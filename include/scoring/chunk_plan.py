"""How a night is scored in chunks: by which versions, from which tables, and which rows each chunk has.

What belongs here: the plan, and its name. What does not: how it is made, where it is kept, and scoring.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from include.scoring.model import Engine


@dataclass(frozen=True)
class PlannedPass:
    """A version in a role: what it reads, at which versions of which lake tables, and the engine that computes it."""

    role: str
    model_version: int
    engine: Engine
    feature_service: str
    sources: Mapping[str, int]
    is_beside: bool


@dataclass(frozen=True)
class ChunkPlan:
    """A night in chunks: all of one state of the tables, all by the same versions.

    Attributes
    ----------
    model_id, partition : str
    nonce : str
        Tells it from every other plan of the same night.
    spec_sha256 : str
        Of the model's spec as JSON.
    passes : tuple of PlannedPass
        The champion's first.
    parts : tuple of (int, int) or None
        The stored rows of each chunk, from the first on and up to the second without it; None: all of them.
    challenger_failure : str or None
        Why the challenger that should score does not, as far as that is known.
    """

    model_id: str
    partition: str
    nonce: str
    spec_sha256: str
    passes: tuple[PlannedPass, ...]
    parts: tuple[tuple[int, int] | None, ...]
    challenger_failure: str | None

    @property
    def plan_id(self) -> str:
        """The plan's name, by its content: a plan of this name that was changed is another one."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:32]

    def to_json(self) -> str:
        """Return the plan as JSON."""
        return json.dumps(asdict(self), sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ChunkPlan:
        """Read a plan that `to_json` wrote.

        Examples
        --------
        >>> one = PlannedPass("champion", 3, "native", "churn_v1", {"features/customer_daily": 7}, False)
        >>> plan = ChunkPlan("churn", "2024-03-10", "a", "0f", (one,), ((0, 5), None), None)
        >>> ChunkPlan.from_json(plan.to_json()) == plan
        True
        """
        value = json.loads(text)
        passes = tuple(PlannedPass(**each) for each in value["passes"])
        parts = tuple(None if part is None else (part[0], part[1]) for part in value["parts"])
        return cls(**{**value, "passes": passes, "parts": parts})
