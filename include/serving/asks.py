"""What a model may be asked, as a type of its own: a body that does not fit is refused with what is expected.

What belongs here: from the names that a version reads to the type of a request, and from bytes to values. What does
not: features that are read for an entity (``online_features``), and answers.

Names are a version's, not a place in a list: any order of them is the same question.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from include.errors import UsageError
from include.serving.json_bodies import read_json, refuse_doubled
from include.serving.refusal import Refusal, unprocessable

_INT64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_TYPES: Mapping[str, Any] = {"int64": _INT64, "int32": _INT64, "bool": bool}


class Ask(msgspec.Struct, frozen=True):
    """A question that was understood.

    Attributes
    ----------
    entities : sequence of tuple of str
        Keys in the model's order; empty where features alone are given.
    given : sequence of mapping of str to number, bool or None
        Features that the caller gives for each entity; empty where none are.
    vectors : sequence of bytes
        Rows of all features, as the version reads them: float32, little endian, NaN for null; empty where entities are
        asked about.
    at : datetime or None
        When the question is asked, aware; None: now.
    k : int or None
        Places of a list.
    is_detailed : bool
        Whether each feature's status and age are wanted.
    """

    entities: Sequence[tuple[str, ...]] = ()
    given: Sequence[Mapping[str, float | None]] = ()
    vectors: Sequence[bytes] = ()
    at: datetime | None = None
    k: int | None = None
    is_detailed: bool = False


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
        # With a fixed order of bytes it refuses what is beyond float32, and rounds as an array does.
        self._pack = struct.Struct(f"<{len(self.features)}f").pack
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
        entities = () if found.entities is UNSET else [msgspec.structs.astuple(each) for each in found.entities]
        instances = () if found.instances is UNSET else found.instances
        self._check_rows(len(entities), len(instances))
        at = self._at(found)
        given = [self._given(each) for each in instances] if entities else ()
        vectors = () if entities else self._vectors(instances)
        names = len(entities) * len(self.keys) + sum(map(len, given)) + len(vectors) * len(self.features)
        own = msgspec.structs.astuple(found)
        refuse_doubled(body, len(own) - own.count(UNSET) + names)
        return Ask(entities, given, vectors, at, found.k or None, found.features is True)

    def read_row(self, body: bytes) -> Ask:
        """Read one flat object of features: the requirements' own form; refusals are those of `read`."""
        vectors = self._vectors([self._decode(self._row, body)])
        refuse_doubled(body, len(self.features))
        return Ask(vectors=vectors)

    def read_rows(self, rows: Sequence[Mapping[str, object]]) -> Ask:
        """Take rows of names and values that another protocol gave; refusals are those of `read`."""
        if not 0 < len(rows) <= self.max_rows:
            raise unprocessable(f"{len(rows)} rows are asked about; ask about 1 to {self.max_rows} at once")
        try:
            instances = msgspec.convert(rows, list[self.instance])  # type: ignore[name-defined]
        except msgspec.ValidationError as err:
            raise self._unfit(err) from None
        return Ask(vectors=self._vectors(instances))

    def taken_from(self, vectors: Sequence[bytes], others: Sequence[str]) -> list[bytes]:
        """Return rows that another version reads as this one does.

        Parameters
        ----------
        vectors : sequence of bytes
        others : sequence of str
            The features of the other version, in its order.

        Raises
        ------
        UsageError
            If this version reads more.
        """
        if tuple(others) == self.features:
            return list(vectors)
        if missing := [name for name in self.features if name not in others]:
            raise UsageError(f"the rows have no {', '.join(missing)}; they are those of another version")
        places = [others.index(name) for name in self.features]
        return [row.tobytes() for row in as_matrix(vectors, len(others))[:, places]]

    def _vectors(self, instances: Sequence[Any]) -> list[bytes]:
        """Return whole rows as bytes of float32, little endian, in the version's order; null is NaN.

        Raises
        ------
        Refusal
            If a feature is missing, or a number is beyond what a model computes with.
        """
        try:
            return [self._pack(*msgspec.structs.astuple(each)) for each in instances]
        except (struct.error, OverflowError):
            # Something is null, missing or too large: it is looked at one by one.
            return [self._vector(each, row) for row, each in enumerate(instances)]

    def _vector(self, instance: Any, row: int) -> bytes:
        given = self._given(instance)
        if missing := [name for name in self.features if name not in given]:
            raise unprocessable(
                f"{len(missing)} of {len(self.features)} features are missing: {', '.join(missing)}; give each by its "
                "name, null where it is not known",
                missing=missing,
                expected=self.dtypes,
            )
        wide = np.array([list(given.values())], dtype=np.float64)
        return narrowed(wide, self.features, first=row).tobytes()

    def _given(self, instance: Any) -> dict[str, float | None]:
        """Return the features that are given, by name."""
        values = zip(self.features, msgspec.structs.astuple(instance), strict=True)
        return {name: value for name, value in values if value is not UNSET}

    def _at(self, found: Any) -> datetime | None:
        if found.at is UNSET:
            return None
        if found.at.tzinfo is None:
            raise unprocessable(f"at={found.at.isoformat()} has no time zone; write 2026-03-03T00:00:00Z")
        at: datetime = found.at.astimezone(UTC)
        return at

    def _decode(self, decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
        try:
            return read_json(decoder.decode, body)
        except msgspec.ValidationError as err:
            raise self._unfit(err) from None

    def _check_rows(self, entities: int, given: int) -> None:
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


def narrowed(wide: NDArray[np.float64], names: Sequence[str], *, first: int = 0) -> NDArray[np.float32]:
    """Return numbers as a model computes with them.

    Parameters
    ----------
    wide : ndarray of shape (n_rows, n_features), float64
    names : sequence of str
        The features.
    first : int
        Number of the first row, among those that are asked about.

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
            f"feature {names[column]} of row {first + row} is {wide[row, column]:g}, beyond the largest number that a "
            "model computes with (3.4e38); correct it, or give null",
            feature=names[column],
        )
    return matrix


def as_matrix(vectors: Sequence[bytes], width: int) -> NDArray[np.float32]:
    """Return rows of float32, little endian, as a matrix of shape (n_rows, width)."""
    return np.frombuffer(b"".join(vectors), dtype="<f4").reshape(-1, width)
