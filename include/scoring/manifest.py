"""What a night's scores of one role were made by and from, and what became of every row that was read for them.

What belongs here: the record, and that its account balances. What does not: where it is kept, and how rows are counted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class NightAccount:
    """Where the rows of one partition of the model's feature group went: the parts add up to all of them.

    Attributes
    ----------
    rows : int
        Stored rows of the partition.
    superseded : int
        Earlier versions of an entity's row: a correction adds one.
    retracted : int
        Entities that a correction no longer finds.
    outside_population : int
        Entities that the model is not asked about.
    scored : int
    skipped : mapping of str to int
        Entities of the population that were not scored, by the reason: ``missing: GROUP`` where another group of the
        service has no row of the entity, ``stale: GROUP`` where its newest is older than the group's ttl.
    incomplete : mapping of str to int
        Of those that were scored: whom such features were missing values of, by the same reasons.

    Examples
    --------
    >>> one = NightAccount(rows=4, superseded=1, outside_population=1, scored=1, skipped={"missing: visits": 1})
    >>> two = one + one
    >>> two.rows, two.skipped, two.balances, NightAccount(rows=2, scored=1).balances
    (8, {'missing: visits': 2}, True, False)
    """

    rows: int = 0
    superseded: int = 0
    retracted: int = 0
    outside_population: int = 0
    scored: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    incomplete: Mapping[str, int] = field(default_factory=dict)

    @property
    def balances(self) -> bool:
        """Whether every row is told of once."""
        told = self.superseded + self.retracted + self.outside_population + self.scored + sum(self.skipped.values())
        return self.rows == told

    def __add__(self, other: NightAccount) -> NightAccount:
        return NightAccount(
            **{each.name: _add(getattr(self, each.name), getattr(other, each.name)) for each in fields(self)}
        )


@dataclass(frozen=True)
class ScoringManifest:
    """The scores of one partition in one role.

    Attributes
    ----------
    model_id, partition, role : str
    model_version : int
        The version that made them.
    feature_service : str
        What it reads.
    engine : str
        The format that computed them.
    sources : mapping of str to int
        The lake tables that were read, and their versions.
    account : NightAccount
    decided : int
        Scores with a positive decision.
    version : int
        The version of the table of predictions that holds them.
    challenger_failure : str or None
        Why the challenger that should have scored beside this role did not.
    """

    model_id: str
    partition: str
    role: str
    model_version: int
    feature_service: str
    engine: str
    sources: Mapping[str, int]
    account: NightAccount
    decided: int
    version: int
    challenger_failure: str | None = None

    def to_json(self) -> str:
        """Return the manifest as JSON."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> ScoringManifest:
        """Read a manifest that `to_json` wrote."""
        value = json.loads(text)
        return cls(**{**value, "account": NightAccount(**value["account"])})


def _add(one: Any, other: Any) -> Any:
    return dict(sorted((Counter(one) + Counter(other)).items())) if isinstance(one, Mapping) else one + other
