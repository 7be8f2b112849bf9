"""What the online store knows of entities, as a model reads it: one thread asks for all who are waiting.

What belongs here: reading for a version, and what stands in where the store does not answer. What does not: the store
(``adapters.online``), and scoring.

While a read is under way, questions gather; the next read is theirs together. So the store has one round trip for many
requests where there are many, and no request waits for a full batch where there are few. A store that hangs holds a
thread and not the service.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from include.adapters.online.keys import Key
from include.adapters.online.open_store import OnlineStoreDownError
from include.adapters.online.reading import OnlineColumn, OnlineFeatures, OnlineReader
from include.adapters.online.stored_values import MICROSECOND
from include.errors import MlopsError
from include.serving.feature_rows import FeatureRow, Standing
from include.serving.shared_rows import SharedRows

# Entities whose last values are kept, some hundred bytes each.
_KEPT = 100_000


@dataclass(frozen=True)
class ReadPlan:
    """What is read for a version.

    Attributes
    ----------
    prepare : callable
        Makes the read; called in the thread that reads, and again where the store broke off.
    features : tuple of str
        What the model reads, in its order.
    own : tuple of str
        Of what is read, the features of the model's own group: whether there is such a row decides the standing.
    holds : callable or None
        Says of rows, by columns, whether the population's condition holds. None: it does for all.
    ttls_us : mapping of str to int
        How long a feature's value serves.
    kind : str
        What tells rows that are read so from those that are read otherwise, in every process.
    """

    prepare: Callable[[], OnlineReader]
    features: tuple[str, ...]
    own: tuple[str, ...]
    holds: Callable[[Mapping[str, Sequence[object]]], Sequence[bool]] | None
    ttls_us: Mapping[str, int]
    kind: str


@dataclass(frozen=True)
class _Waiting:
    keys: Sequence[Key]
    at: datetime | None
    answer: asyncio.Future[list[FeatureRow]]
    loop: asyncio.AbstractEventLoop


@dataclass
class OnlineFeatureReader:
    """Reads features of entities for one version.

    Parameters
    ----------
    plan : ReadPlan
    cache_s : float
        Seconds for which a row that was read in the process answers again; never longer than its values serve.
    keeps_last : bool
        Whether rows stand in for the store where it is down.
    shared : SharedRows or None
        Rows that other processes read, which answer as long as their values serve.
    """

    plan: ReadPlan
    cache_s: float = 0.0
    keeps_last: bool = False
    shared: SharedRows | None = None
    _waiting: queue.SimpleQueue[_Waiting | None] = field(default_factory=queue.SimpleQueue, init=False)
    _kept: OrderedDict[Key, tuple[float, FeatureRow]] = field(default_factory=OrderedDict, init=False)
    _reader: OnlineReader | None = field(default=None, init=False)

    def start(self) -> None:
        """Start the thread, and open the store in it, so that no question pays for that."""
        threading.Thread(target=self._serve, name="online-features", daemon=True).start()

    def stop(self) -> None:
        """End the thread after the questions that wait."""
        self._waiting.put(None)

    async def read(self, keys: Sequence[Key], *, at: datetime | None, timeout_s: float) -> list[FeatureRow]:
        """Return a row for each key, in their order.

        Raises
        ------
        OnlineStoreDownError
            If the store does not answer within `timeout_s`.
        """
        known = self._fresh(keys) if at is None and self.cache_s > 0 else {}
        wanted = [key for key in keys if key not in known] if known else list(keys)
        if wanted:
            loop = asyncio.get_running_loop()
            waiting = _Waiting(wanted, at, loop.create_future(), loop)
            self._waiting.put(waiting)
            try:
                rows = await asyncio.wait_for(waiting.answer, timeout_s)
            except TimeoutError:
                raise OnlineStoreDownError(
                    f"the online store did not answer within {timeout_s * 1000:.0f} ms (serving.store_timeout_ms)"
                ) from None
            if not known:
                return rows
            known |= dict(zip(wanted, rows, strict=True))
        return [known[key] for key in keys]

    def last(self, keys: Sequence[Key]) -> list[FeatureRow] | None:
        """Return the rows that were last read, however old they are; None where one was never read."""
        kept = [self._kept.get(key) for key in keys]
        if any(each is None for each in kept):
            return None
        return [each[1]._replace(source="last") for each in kept if each is not None]

    def _end_us(self, row: FeatureRow) -> int:
        """Return when the first of a row's values gets too old; 0 where there is none."""
        ttls = (self.plan.ttls_us[name] for name in self.plan.features)
        ends = (event + ttl for event, ttl in zip(row.events, ttls, strict=True) if event is not None)
        return min(ends, default=0)

    def _fresh(self, keys: Sequence[Key]) -> dict[Key, FeatureRow]:
        now, now_us = time.monotonic(), time.time_ns() // 1000
        found = {}
        for key in keys:
            kept = self._kept.get(key)
            if kept is not None and now - kept[0] <= self.cache_s and now_us <= self._end_us(kept[1]):
                found[key] = kept[1]._replace(source="cache")
        return found

    def _serve(self) -> None:
        # What is down now is opened by the first question.
        with suppress(MlopsError):
            self._reader = self.plan.prepare()
        while (first := self._waiting.get()) is not None:
            batch = [first]
            while not self._waiting.empty():
                following = self._waiting.get()
                if following is None:
                    self._waiting.put(None)
                    break
                batch.append(following)
            for at in dict.fromkeys(waiting.at for waiting in batch):
                self._answer([waiting for waiting in batch if waiting.at == at], at)

    def _answer(self, batch: Sequence[_Waiting], at: datetime | None) -> None:
        keys = [key for waiting in batch for key in waiting.keys]
        try:
            rows = self._read(keys, at)
        except Exception as err:
            # Whoever waits is told; in a thread nobody else would hear of it.
            self._reader = None
            for waiting in batch:
                waiting.loop.call_soon_threadsafe(_fail, waiting.answer, err)
            return
        begin = 0
        for waiting in batch:
            end = begin + len(waiting.keys)
            waiting.loop.call_soon_threadsafe(_succeed, waiting.answer, rows[begin:end])
            begin = end

    def _read(self, keys: Sequence[Key], at: datetime | None) -> list[FeatureRow]:
        rows = self._ask(keys, at) if at is not None or self.shared is None else self._share(self.shared, keys)
        if at is None and (self.cache_s > 0 or self.keeps_last):
            self._keep(keys, rows)
        return rows

    def _share(self, shared: SharedRows, keys: Sequence[Key]) -> list[FeatureRow]:
        """Return rows that some process has read, and read the others for all."""
        now_us = time.time_ns() // 1000
        known = {key: row for key, row in shared.find(keys).items() if now_us <= self._end_us(row)}
        if wanted := [key for key in dict.fromkeys(keys) if key not in known]:
            read = dict(zip(wanted, self._ask(wanted, None), strict=True))
            shared.keep({key: row for key, row in read.items() if now_us <= self._end_us(row)}, read_us=now_us)
            known |= read
        return [known[key] for key in keys]

    def _ask(self, keys: Sequence[Key], at: datetime | None) -> list[FeatureRow]:
        if self._reader is None:
            self._reader = self.plan.prepare()
        now = datetime.now(UTC) if at is None else at
        return feature_rows(self._reader.read(keys, at=now), self.plan)

    def _keep(self, keys: Sequence[Key], rows: Sequence[FeatureRow]) -> None:
        now = time.monotonic()
        for key, row in zip(keys, rows, strict=True):
            self._kept[key] = (now, row)
            self._kept.move_to_end(key)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)


def feature_rows(found: OnlineFeatures, plan: ReadPlan) -> list[FeatureRow]:
    """Return what was read as a model takes it, a row for each key."""
    columns = found.columns
    wide = np.array([columns[name].values for name in plan.features], dtype=np.float64).T
    own = [columns[name] for name in plan.own]
    holds = plan.holds({name: columns[name].values for name in plan.own}) if plan.holds is not None else None
    status = zip(*(columns[name].status for name in plan.features), strict=True)
    events = zip(*(columns[name].event_us for name in plan.features), strict=True)
    read = zip(wide, _standings(own, holds), status, events, _firsts(own), strict=True)
    return [FeatureRow(values, standing, first, said, theirs) for values, standing, said, theirs, first in read]


def age_seconds(event_us: int | None, at: datetime | None) -> float | None:
    """Return how old a value is, in seconds; None where there is none."""
    if event_us is None:
        return None
    now = time.time() if at is None else at.timestamp()
    return round(now - event_us / MICROSECOND, 3)


def _standings(own: Sequence[OnlineColumn], holds: Sequence[bool] | None) -> Iterable[Standing]:
    """Say of each key how it stands, by the features of the model's own group."""
    if holds is None and all(status == "present" for status in own[0].status):
        # Nearly every read; looking at each feature of each key takes as long as reading it.
        return ["scored"] * len(own[0].status)
    return _each_standing(own, holds)


def _each_standing(own: Sequence[OnlineColumn], holds: Sequence[bool] | None) -> Iterator[Standing]:
    for n, status in enumerate(zip(*(column.status for column in own), strict=True)):
        if "present" not in status:
            yield "stale" if "stale" in status else "unknown"
        else:
            yield "scored" if holds is None or holds[n] else "outside"


def _firsts(own: Sequence[OnlineColumn]) -> Iterable[int | None]:
    """Return of each key the event time of its row in the model's own group; None where there is none."""
    if None not in own[0].event_us:
        return own[0].event_us
    each = zip(*(column.event_us for column in own), strict=True)
    return (next((event for event in events if event is not None), None) for events in each)


def _succeed(answer: asyncio.Future[list[FeatureRow]], rows: list[FeatureRow]) -> None:
    if not answer.done():
        answer.set_result(rows)


def _fail(answer: asyncio.Future[list[FeatureRow]], err: Exception) -> None:
    if not answer.done():
        answer.set_exception(err)
