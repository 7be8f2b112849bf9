"""Rows of many requests scored as one: those that ask in the same turn of the event loop.

What belongs here: which rows are scored together. What does not: scoring (``served_version``), and what a row is.

Nobody waits for others to come. What has arrived when the loop turns is scored at its end; whoever asks alone is
answered at once, as long as nobody shared the turn before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from include.serving.asks import as_matrix
from include.serving.served_version import ServedVersion

# Of more rows each takes as long, and those who wait for them wait longer. Of more requests the others are answered one
# by one: who waits counts as being answered, and a service that is full turns requests away.
_AT_ONCE = 64


# What a row comes to: its score, and a classifier's decision, 1 or 0.
Score: TypeAlias = tuple[float, int | None]


class _Waiting(NamedTuple):
    vectors: Sequence[bytes]
    answer: asyncio.Future[list[Score]]


class TurnScorer:
    """Scores rows for one version.

    Parameters
    ----------
    version : ServedVersion
    """

    def __init__(self, version: ServedVersion) -> None:
        self._version = version
        self._width = len(version.signature.features)
        self._waiting: list[_Waiting] = []
        self._rows = 0
        self._asked = 0
        self._was_shared = False

    async def score(self, vectors: Sequence[bytes]) -> list[Score]:
        """Return what each row comes to, given as float32, little endian, in the version's order."""
        if not self._asked:
            self._loop = asyncio.get_running_loop()
            self._loop.call_soon(self._end_turn)
        self._asked += 1
        if not self._was_shared or self._asked > _AT_ONCE:
            return self._score(vectors)
        waiting = _Waiting(vectors, self._loop.create_future())
        self._waiting.append(waiting)
        self._rows += len(vectors)
        if self._rows >= _AT_ONCE:
            self._score_waiting()
        return await waiting.answer

    def _end_turn(self) -> None:
        self._was_shared, self._asked = self._asked > 1, 0
        if self._waiting:
            self._score_waiting()

    def _score_waiting(self) -> None:
        waiting, self._waiting, self._rows = self._waiting, [], 0
        try:
            scores = self._score([row for each in waiting for row in each.vectors])
        except Exception:
            # One of them broke it: each is answered for itself.
            for each in waiting:
                self._score_alone(each)
            return
        begin = 0
        for vectors, answer in waiting:
            end = begin + len(vectors)
            if not answer.done():
                answer.set_result(scores[begin:end])
            begin = end

    def _score_alone(self, waiting: _Waiting) -> None:
        try:
            scores = self._score(waiting.vectors)
        except Exception as err:
            waiting.answer.set_exception(err)
        else:
            waiting.answer.set_result(scores)

    def _score(self, vectors: Sequence[bytes]) -> list[Score]:
        scores = self._version.score(as_matrix(vectors, self._width))
        return list(zip(scores.tolist(), self._version.decide(scores), strict=True))
