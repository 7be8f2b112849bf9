"""A challenger that looks on: it scores what others answered, after they did, and nobody is told but the log.

What belongs here: when it may, and what happens where it can't. What does not: scoring (``answers``), and what is kept
of it (``recorder``).

It has a share of the process's time and a short queue: what does not fit is shed, and counted. So under load it is the
first to go.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from include.errors import MlopsError
from include.serving.answers import Answerer, Scored, score_entities, score_vectors
from include.serving.asks import Ask
from include.serving.exchange import Exchange
from include.serving.lineup import Lineup
from include.serving.recorder import Recorder
from include.serving.refusal import Refusal

log = logging.getLogger(__name__)

_WAITING_ROWS = 2000
# Of what it is asked about, so many rows at once: whoever asks meanwhile waits for them.
_AT_ONCE = 50
# It rests four times as long as it worked: a fifth of the process's time is what it takes at most.
_REST = 4.0


@dataclass
class Shadow:
    """Scores unseen what the champion answered.

    Parameters
    ----------
    recorder : Recorder
    """

    recorder: Recorder
    _waiting: deque[Exchange] = field(default_factory=deque, init=False)
    _rows: int = field(default=0, init=False)
    _wake: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _problems: dict[str, str] = field(default_factory=dict, init=False)

    def offer(self, exchange: Exchange) -> bool:
        """Take an answer, where the model's challenger looks on and there is room; say whether it was taken."""
        lineup, rows = exchange.lineup, len(exchange.scored)
        if lineup is None or lineup.challenger is None or not lineup.champion.version.spec.serving.shadow:
            return False
        if self._rows and self._rows + rows > _WAITING_ROWS:
            self.recorder.shadow_of(lineup.challenger).shed += rows
            return False
        self._rows += rows
        self._waiting.append(exchange)
        self._wake.set()
        return True

    async def look_on(self) -> None:
        """Score what was taken, until it is cancelled."""
        while True:
            while not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            exchange = self._waiting.popleft()
            lineup = exchange.lineup
            if lineup is not None and lineup.challenger is not None:
                await self._score(exchange, lineup, lineup.challenger)
            self._rows -= len(exchange.scored)

    async def _score(self, exchange: Exchange, lineup: Lineup[Answerer], challenger: Answerer) -> None:
        places = [place for place, each in enumerate(exchange.scored) if each.answerer is not challenger]
        for start in range(0, len(places), _AT_ONCE):
            began = time.perf_counter()
            some = places[start : start + _AT_ONCE]
            try:
                scored = await _unseen(exchange, lineup.champion, challenger, some)
            except (Refusal, MlopsError) as err:
                self._fail(challenger, str(err))
            except Exception as err:
                # A challenger's fault is its own: it is told, and nobody who asked hears of it.
                self._fail(challenger, repr(err))
            else:
                took = time.perf_counter() - began
                self.recorder.note_unseen(exchange, some, scored, latency_us=round(took * 1e6))
            await asyncio.sleep((time.perf_counter() - began) * _REST)

    def _fail(self, challenger: Answerer, problem: str) -> None:
        version = challenger.version
        self.recorder.shadow_of(challenger).fail(500)
        name = f"{version.spec.model_id} version {version.version}"
        if self._problems.get(name) != problem:
            self._problems[name] = problem
            log.error("shadow: %s can't score what it looks on at: %s", name, problem)


async def _unseen(exchange: Exchange, champion: Answerer, challenger: Answerer, places: Sequence[int]) -> list[Scored]:
    ask = exchange.ask or Ask()
    if not exchange.keys:
        vectors = [ask.vectors[place] for place in places]
        return await score_vectors(challenger, challenger.asks.taken_from(vectors, champion.asks.features))
    keys = [exchange.keys[place] for place in places]
    # A list's items are more than the entities that were asked about; nothing is given with those.
    given = [ask.given[place] if ask.given else {} for place in places]
    return await score_entities(challenger, keys, given, at=ask.at)
