"""Rows of features that processes share: one asks the online store, the others don't.

What belongs here: a row as bytes, and how old it may be. What does not: Redis (``adapters.online.shared_cache``), and
how long its values serve (``online_features``).

A row is as old as the question that it was read for. Redis lets it go by its own clock, and who finds it looks at the
time that stands in it: a write that was held up does not make it younger, nor does a clock that is ahead.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from include.serving.feature_rows import FeatureRow, Standing

if TYPE_CHECKING:
    from include.adapters.online.keys import Key
    from include.adapters.online.shared_cache import SharedCache

_US = 1_000_000


class _Kept(msgspec.Struct, array_like=True):
    read_us: int
    values: bytes
    standing: Standing
    event_us: int | None
    status: tuple[str, ...]
    events: tuple[int | None, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Kept).decode


class SharedRows:
    """Rows of one kind in a cache that is shared.

    Parameters
    ----------
    cache : SharedCache
    kind : str
        What tells them from rows of other reads.
    seconds : float
        For which a row answers again.
    """

    def __init__(self, cache: SharedCache, kind: str, seconds: float) -> None:
        self._cache, self._seconds = cache, seconds
        self._prefix = f"mlops:online:{kind}:".encode()

    def find(self, keys: Sequence[Key]) -> dict[Key, FeatureRow]:
        """Return the rows that are young enough."""
        distinct = list(dict.fromkeys(keys))
        kept = self._cache.find([self._place(key) for key in distinct])
        now_us = time.time_ns() // 1000
        found = {key: _read(each) for key, each in zip(distinct, kept, strict=True) if each is not None}
        return {
            key: _row(each)
            for key, each in found.items()
            if each is not None and 0 <= now_us - each.read_us <= self._seconds * _US
        }

    def keep(self, rows: Mapping[Key, FeatureRow], *, read_us: int) -> None:
        """Keep rows that were asked for at a time."""
        left = self._seconds - (time.time_ns() // 1000 - read_us) / _US
        if rows and left > 0:
            self._cache.keep({self._place(key): _bytes(row, read_us) for key, row in rows.items()}, seconds=left)

    def _place(self, key: Key) -> bytes:
        return self._prefix + _encode(key)


def _bytes(row: FeatureRow, read_us: int) -> bytes:
    return _encode(_Kept(read_us, row.values.tobytes(), row.standing, row.event_us, row.status, row.events))


def _read(kept: bytes) -> _Kept | None:
    try:
        return _decode(kept)
    except msgspec.DecodeError:
        # Who else writes there, or wrote there in another form, is no reason not to answer.
        return None


def _row(kept: _Kept) -> FeatureRow:
    values = np.frombuffer(kept.values, dtype=np.float64)
    return FeatureRow(values, kept.standing, kept.event_us, kept.status, kept.events, "cache")
