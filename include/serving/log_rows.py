"""Answers as rows of the prediction log: Arrow batches, of one version in one role each.

What belongs here: what a row of an answer is, on its way to the lake and in it. What does not: when batches are made
(``log_buffer``), and the disk (``staged_chunks``).

On the way a row has what differs from row to row; what all rows of a version share stands once, with the schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import chain
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.adapters.online.stored_values import microseconds
from include.scoring.predictions import decides_for
from include.serving.answers import Scored
from include.serving.exchange import Exchange
from include.serving.tally import Tally

_SOURCE = b"mlops"
_VECTOR, _COMPARABLE = "vector", "is_comparable"
_INSTANT = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class RowSource:
    """What all rows of a version in one role share.

    Attributes
    ----------
    process, model_id, version, role : str, str, int, str
        The role is ``challenger`` also where it scored unseen.
    is_answer : bool
        False where nobody was told the score.
    feature_service : str
    keys, features : tuple of str
        In the model's order.
    decides_from : float or None
        The score from which on a classifier decides for; None of a ranking.
    """

    process: str
    model_id: str
    version: int
    role: str
    is_answer: bool
    feature_service: str
    keys: tuple[str, ...]
    features: tuple[str, ...]
    decides_from: float | None

    @property
    def work(self) -> str:
        """What the rows are known by in the lake: no two of a kind have a process, a version and a role in common."""
        return f"serving {self.process} {self.version} {self.role}{'' if self.is_answer else ' unseen'}"

    @classmethod
    def of(cls, schema: pa.Schema) -> RowSource:
        """Return it from the schema of a batch."""
        told = json.loads(schema.metadata[_SOURCE])
        return cls(**{**told, "keys": tuple(told["keys"]), "features": tuple(told["features"])})

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns of a batch."""
        return pa.schema(
            [
                ("request_id", pa.string()),
                ("request_row", pa.int32()),
                *((key, pa.string()) for key in self.keys),
                ("event_timestamp", _INSTANT),
                ("asked_at", _INSTANT),
                ("score", pa.float32()),
                ("standing", pa.string()),
                ("vector_source", pa.string()),
                ("fallback", pa.string()),
                ("latency_us", pa.int64()),
                ("sequence_number", pa.int64()),
                (_COMPARABLE, pa.bool_()),
                (_VECTOR, pa.list_(pa.float32(), len(self.features))),
            ],
            metadata={_SOURCE: json.dumps(asdict(self))},
        )


class Noted(NamedTuple):
    """Rows of one answer that one version gave.

    Attributes
    ----------
    tally : Tally
        The version's.
    exchange : Exchange
    latency_us : int
    first : int
        The number of the first.
    scored : sequence of Scored
    places : sequence of int or None
        Where in the answer each row is; None: they are all of it.
    """

    tally: Tally
    exchange: Exchange
    latency_us: int
    first: int
    scored: Sequence[Scored]
    places: Sequence[int] | None = None


def make_batch(source: RowSource, noted: Sequence[Noted]) -> pa.RecordBatch:
    """Return the rows of answers as a batch."""
    scored = list(chain.from_iterable(each.scored for each in noted))
    counts = count_rows(noted)
    ends = np.cumsum(counts)
    # Of each row its answer, and how many of the same answer are before it.
    answers = np.repeat(np.arange(len(noted)), counts)
    before = np.arange(len(scored)) - np.repeat(ends - counts, counts)
    request_id, stands_at, asked_at, latency, is_now = _of_answers(noted, pa.array(answers))
    vector_source = pa.array(map(_source, scored), pa.string())
    columns = [
        request_id,
        _places(noted, before),
        *_keys(source, noted),
        stands_at,
        asked_at,
        pa.array([each.score for each in scored], pa.float32()),
        pa.array(map(_standing, scored), pa.string()),
        vector_source,
        pa.array([each.fallback for each in scored], pa.string()),
        latency,
        pa.array(np.array([each.first for each in noted], dtype=np.int64)[answers] + before),
        pc.and_(is_now, pc.fill_null(pc.equal(vector_source, "store"), False)),
        _vectors(scored, len(source.features)),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=source.schema)


def count_rows(noted: Iterable[Noted]) -> list[int]:
    """Return how many rows each has."""
    return [len(each.scored) for each in noted]


def lake_rows(source: RowSource, batches: pa.Table, versions: pa.Array) -> pa.Table:
    """Return staged rows as the lake's table has them.

    Parameters
    ----------
    source : RowSource
    batches : pyarrow.Table
        As `make_batch` makes them.
    versions : pyarrow.Array of string
        Of each row, the versions of tables that were online when it was read; null where that is not known.
    """
    count = batches.num_rows
    matrix = np.asarray(pc.list_flatten(batches[_VECTOR]).to_numpy(), dtype=np.float32)
    matrix = matrix.reshape(count, len(source.features))
    score = batches["score"]
    decision = None
    if source.decides_from is not None:
        # Where there is no score, none is decided.
        decided = decides_for(score.to_numpy(), source.decides_from)
        decision = pa.array(decided, pa.bool_(), mask=score.is_null().to_numpy())
    own: dict[str, object] = {
        name: batches[name] for name in batches.column_names if name not in (_VECTOR, _COMPARABLE)
    }
    own |= {
        "model_version": _constant(source.version, count, pa.int64()),
        "role": _constant(source.role, count, pa.string()),
        "is_answer": _constant(source.is_answer, count, pa.bool_()),
        "decision": pa.nulls(count, pa.bool_()) if decision is None else decision,
        "feature_service": _constant(source.feature_service, count, pa.string()),
        "table_versions": pc.if_else(batches[_COMPARABLE], versions, None),
        "service_process": _constant(source.process, count, pa.string()),
    }
    # Null is what a model was given as NaN.
    features = {name: pa.array(matrix[:, place], from_pandas=True) for place, name in enumerate(source.features)}
    return pa.table({**own, **features})


def newest_event_us(noted: Iterable[Noted]) -> int | None:
    """Return the newest event time of what answers read."""
    rows = (each.row for one in noted for each in one.scored)
    return max((row.event_us for row in rows if row is not None and row.event_us is not None), default=None)


def _of_answers(noted: Sequence[Noted], rows: pa.Array) -> Iterator[pa.Array]:
    """Yield what rows of an answer share: its id, the times of which and at which it is, its latency, if it is now."""
    exchanges = [each.exchange for each in noted]
    stands_at = [each.asked_at_us if each.at is None else microseconds(each.at) for each in exchanges]
    yield pa.array([each.request_id for each in exchanges], pa.string()).take(rows)
    yield pa.array(stands_at, _INSTANT).take(rows)
    yield pa.array([each.asked_at_us for each in exchanges], _INSTANT).take(rows)
    yield pa.array([each.latency_us for each in noted], pa.int64()).take(rows)
    yield pa.array([each.at is None for each in exchanges], pa.bool_()).take(rows)


def _places(noted: Sequence[Noted], before: NDArray[np.int64]) -> pa.Array:
    """Return where in its answer each row is."""
    if all(each.places is None for each in noted):
        return pa.array(before, pa.int32())
    places = (range(len(each.scored)) if each.places is None else each.places for each in noted)
    return pa.array(chain.from_iterable(places), pa.int32())


def _standing(scored: Scored) -> str | None:
    return None if scored.row is None else scored.row.standing


def _keys(source: RowSource, noted: Sequence[Noted]) -> list[pa.Array]:
    """Return a column for each key; rows of features have none."""
    nobody = (None,) * len(source.keys)
    found: list[Sequence[str | None]] = []
    for each in noted:
        keys = each.exchange.keys
        if not keys:
            found.extend([nobody] * len(each.scored))
        else:
            found.extend(keys if each.places is None else [keys[place] for place in each.places])
    return [pa.array(column, pa.string()) for column in zip(*found, strict=True)]


def _constant(value: object, count: int, dtype: pa.DataType) -> pa.Array:
    return pa.repeat(pa.scalar(value, dtype), count)


def _source(scored: Scored) -> str | None:
    """Say where a row's vector is from: ``store``, ``cache``, ``last``, or ``given``, by the caller, all or in part."""
    if scored.vector is None:
        return None
    return "given" if scored.row is None or scored.is_given else scored.row.source


def _vectors(scored: Sequence[Scored], width: int) -> pa.FixedSizeListArray:
    missing = np.full(width, np.nan, dtype=np.float32).tobytes()
    values = b"".join([missing if each.vector is None else each.vector for each in scored])
    return pa.FixedSizeListArray.from_arrays(pa.array(np.frombuffer(values, dtype="<f4")), width)
