"""What a model may be asked, as a type of its own: a body that does not fit is refused with what is expected.

What belongs here: from the names that a version reads to the type of a request, and from bytes to values. What does
not: features that are read for an entity (``online_features``), and answers.

Names are a version's, not a place in a list: any order of them is the same question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from include.serving.json_bodies import read_json, refuse_doubled
from include.serving.refusal import Refusal, unprocessable

_INT64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_TYPES: Mapping[str, Any] = {"int64": _INT64, "int32": _INT64, "bool": bool}


@dataclass(frozen=True)
class Ask:
    """A question that was understood.

    Attributes
    ----------
    entities : sequence of tuple of str
        Keys in the model's order; empty where features alone are given.
    given : sequence of mapping of str to number, bool or None
        Features that the caller gives, for each entity or, where there are none, for each row: then all of them.
    at : datetime or None
        When the question is asked, aware; None: now.
    k : int or None
        Places of a list.
    is_detailed : bool
        Whether each feature's status and age are wanted.
    """

    entities: Sequence[tuple[str, ...]]
    given: Sequence[Mapping[str, float | None]]
    at: datetime | None = None
    k: int | None = None
    is_detailed: bool = False

    def __len__(self) -> int:
        return len(self.entities) or len(self.given)


class AskReader:
    """Reads the questions to one version.

    Parameters
    ----------
    keys : sequence of str
        What an entity is named by.
    features : sequence of (str, str)
        Names and dtypes of what the version reads.
    max_rows : int
        Entities or rows of one question, at most.
    """

    def __init__(self, keys: Sequence[str], features: Sequence[tuple[str, str]], *, max_rows: int) -> None:
        self.keys = tuple(keys)
        self.features = tuple(name for name, _ in features)
        self.dtypes = dict(features)
        self.max_rows = max_rows
        self.entity = msgspec.defstruct("Entity", [(key, str) for key in keys], forbid_unknown_fields=True)
        self.instance = msgspec.defstruct(
            "Instance",
            [(name, _TYPES.get(dtype, float) | None | UnsetType, UNSET) for name, dtype in features],
            forbid_unknown_fields=True,
        )
        self.ask = msgspec.defstruct(
            "Ask",
            [
                ("entities", list[self.entity] | UnsetType, UNSET),  # type: ignore[name-defined]
                ("instances", list[self.instance] | UnsetType, UNSET),  # type: ignore[name-defined]
                ("k", Annotated[int, msgspec.Meta(ge=1, le=10_000)] | UnsetType, UNSET),
                ("at", datetime | UnsetType, UNSET),
                ("features", bool | UnsetType, UNSET),
            ],
            forbid_unknown_fields=True,
        )
        self._decoder = msgspec.json.Decoder(self.ask)
        self._row = msgspec.json.Decoder(self.instance)

    def read(self, body: bytes) -> Ask:
        """Read a question.

        Raises
        ------
        Refusal
            422 where it is not what this version can be asked, 400 where it is no JSON.
        """
        found: Any = self._decode(self._decoder, body)
        entities = [] if found.entities is UNSET else [msgspec.structs.astuple(each) for each in found.entities]
        given = [] if found.instances is UNSET else found.instances
        self._check_rows(found, len(entities), len(given))
        if found.at is not UNSET and found.at.tzinfo is None:
            raise unprocessable(f"at={found.at.isoformat()} has no time zone; write 2026-03-03T00:00:00Z")
        rows = [self.given(each, is_whole=not entities) for each in given]
        own = sum(value is not UNSET for value in msgspec.structs.astuple(found))
        refuse_doubled(body, own + len(entities) * len(self.keys) + sum(map(len, rows)))
        return Ask(
            entities,
            rows,
            at=None if found.at is UNSET else found.at.astimezone(UTC),
            k=None if found.k is UNSET else found.k,
            is_detailed=found.features is True,
        )

    def read_row(self, body: bytes) -> Ask:
        """Read one flat object of features: the requirements' own form; refusals are those of `read`."""
        row = self.given(self._decode(self._row, body), is_whole=True)
        refuse_doubled(body, len(row))
        return Ask([], [row])

    def read_rows(self, rows: Sequence[Mapping[str, object]]) -> Ask:
        """Take rows of names and values that another protocol gave; refusals are those of `read`."""
        if not 0 < len(rows) <= self.max_rows:
            raise unprocessable(f"{len(rows)} rows are asked about; ask about 1 to {self.max_rows} at once")
        try:
            instances = msgspec.convert(rows, list[self.instance])  # type: ignore[name-defined]
        except msgspec.ValidationError as err:
            raise self._unfit(err) from None
        return Ask([], [self.given(each, is_whole=True) for each in instances])

    def given(self, instance: Any, *, is_whole: bool) -> dict[str, float | None]:
        """Return the features that are given, by name.

        Raises
        ------
        Refusal
            If one is missing, and `is_whole`.
        """
        values = zip(self.features, msgspec.structs.astuple(instance), strict=True)
        found = {name: value for name, value in values if value is not UNSET}
        if is_whole and len(found) < len(self.features):
            missing = [name for name in self.features if name not in found]
            raise unprocessable(
                f"{len(missing)} of {len(self.features)} features are missing: {', '.join(missing)}; give each by its "
                "name, null where it is not known",
                missing=missing,
                expected=self.dtypes,
            )
        return found

    def matrix(self, rows: Sequence[Mapping[str, float | None]]) -> NDArray[np.float32]:
        """Return whole rows as the version reads them; null is NaN.

        Raises
        ------
        Refusal
            If a number is beyond what a model computes with.
        """
        wide = np.array([[row[name] for name in self.features] for row in rows], dtype=np.float64)
        return narrowed(wide.reshape(len(rows), len(self.features)), self.features)

    def _decode(self, decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
        try:
            return read_json(decoder.decode, body)
        except msgspec.ValidationError as err:
            raise self._unfit(err) from None

    def _check_rows(self, found: Any, entities: int, given: int) -> None:
        if not entities and not given:
            raise unprocessable(
                "nothing is asked about: write entities, instances (features), or both",
                keys=self.keys,
                expected=self.dtypes,
            )
        if entities and given and entities != given:
            raise unprocessable(
                f"{entities} entities and {given} instances: with both, the features of an instance stand in for those "
                "of the entity in its place; write as many of one as of the other"
            )
        if max(entities, given) > self.max_rows:
            raise unprocessable(f"{max(entities, given)} are asked about; ask about {self.max_rows} at once, at most")

    def _unfit(self, err: msgspec.ValidationError) -> Refusal:
        return unprocessable(
            f"{err}; a feature is one of {', '.join(self.features)}, an entity has {', '.join(self.keys)}",
            keys=self.keys,
            expected=self.dtypes,
        )


def narrowed(wide: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float32]:
    """Return numbers as a model computes with them.

    Raises
    ------
    Refusal
        If one is beyond them: it would be infinite.
    """
    with np.errstate(over="ignore"):
        matrix = wide.astype(np.float32)
    infinite = np.isinf(matrix)
    if infinite.any():
        row, column = np.argwhere(infinite)[0]
        raise unprocessable(
            f"feature {names[column]} of row {row} is {wide[row, column]:g}, beyond the largest number that a model "
            "computes with (3.4e38); correct it, or give null",
            feature=names[column],
        )
    return matrix
