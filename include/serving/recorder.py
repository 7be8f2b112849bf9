"""What is kept of requests: integers that are added to, rows for the log, questions for a shadow.

What belongs here: what one answer leaves behind, and the minutes of it. What does not: where any of it goes.

All of it is done after the answer was sent, by the thread that answers, and takes a few microseconds: whatever takes
longer is another thread's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from include.monitoring.latency_histogram import histogram
from include.monitoring.serving_windows import ServingWindow
from include.serving.answers import Answerer, Scored
from include.serving.exchange import Exchange
from include.serving.log_rows import Noted, RowSource
from include.serving.prediction_log import PredictionLog
from include.serving.served_version import ServedVersion
from include.serving.tally import NONE, SHADOW, Tally
from include.specs.models import RankingModelSpec


@dataclass
class Recorder:
    """Counts and keeps what a process answers.

    Parameters
    ----------
    log : PredictionLog
    models : collection of str
        Those that are served.
    look_on : callable
        Takes an answer for a challenger that looks on, and says whether it did: see `Shadow.offer`.

    Attributes
    ----------
    strays : Counter of int
        Requests about no model that is served, by status.
    """

    log: PredictionLog
    models: Collection[str]
    look_on: Callable[[Exchange], bool] = lambda _: False
    strays: Counter[int] = field(default_factory=Counter, init=False)
    _tallies: dict[tuple[str, int, str], Tally] = field(default_factory=dict, init=False)
    _shadows: dict[Tally, Tally] = field(default_factory=dict, init=False)
    _told: dict[Tally, ServingWindow] = field(default_factory=dict, init=False)
    _since: datetime = field(default_factory=lambda: datetime.now(UTC), init=False)
    _offer: Callable[[Noted, int], None] = field(init=False)

    def __post_init__(self) -> None:
        self._offer = self.log.offer

    def tallies(self) -> list[Tally]:
        """Return the counters of every version and role so far."""
        return list(self._tallies.values())

    def open_tally(self, version: ServedVersion) -> Tally:
        """Return the counters of a version that will answer; those that it had where it answered before."""
        tally = self._tally(version.spec.model_id, version.version, version.role)
        self._follow(tally, version, is_answer=True)
        if version.role == "challenger":
            unseen = self._tally(version.spec.model_id, version.version, SHADOW)
            self._follow(unseen, version, is_answer=False)
            self._shadows[tally] = unseen
        return tally

    def shadow_of(self, answerer: Answerer) -> Tally:
        """Return the counters of what a challenger scores unseen."""
        return self._shadows[answerer.tally]

    def note(self, exchange: Exchange, status: int, latency_us: int) -> None:
        """Keep what a request came to, after it was answered."""
        lineup = exchange.lineup
        if status == 200 and lineup is not None and lineup.challenger is None:
            # Nearly every request.
            tally, scored = lineup.champion.tally, exchange.scored
            rows = len(scored)
            self._offer(Noted(tally, exchange, latency_us, tally.answer(rows, latency_us), scored), rows)
        elif status == 200 and lineup is not None:
            for tally, (places, scored) in _dealt(exchange.scored).items():
                self._answer(tally, exchange, places, scored, latency_us)
            if self.look_on(exchange):
                return
        elif lineup is not None:
            lineup.champion.tally.fail(status)
        elif exchange.model_id in self.models:
            self._tally(str(exchange.model_id), 0, NONE).fail(status)
        else:
            # Whoever asks says the name: one that nobody serves gets no counters of its own.
            self.strays[status] += 1
        # What was asked may be large, and nobody needs it any more.
        exchange.ask = exchange.lineup = None

    def note_unseen(
        self, exchange: Exchange, places: Sequence[int], scored: Sequence[Scored], *, latency_us: int
    ) -> None:
        """Keep what a challenger made of those rows, at their places, that others answered."""
        self._answer(self.shadow_of(scored[0].answerer), exchange, places, scored, latency_us)

    def close_window(self, now: datetime) -> list[ServingWindow]:
        """Return what was counted since this was called before; called by the thread that answers."""
        windows = []
        for tally in self.tallies():
            total = _total(self.log.process, tally, self._since, now)
            window = _since(total, self._told.get(tally))
            self._told[tally] = total
            if window.requests or window.dropped:
                windows.append(window)
        self._since = now
        return windows

    def _answer(
        self, tally: Tally, exchange: Exchange, places: Sequence[int], scored: Sequence[Scored], latency_us: int
    ) -> None:
        first = tally.answer(len(places), latency_us)
        self._offer(Noted(tally, exchange, latency_us, first, scored, places), len(places))

    def _tally(self, model_id: str, version: int, role: str) -> Tally:
        return self._tallies.setdefault((model_id, version, role), Tally(model_id, version, role))

    def _follow(self, tally: Tally, version: ServedVersion, *, is_answer: bool) -> None:
        spec = version.spec
        source = RowSource(
            process=self.log.process,
            model_id=spec.model_id,
            version=version.version,
            role=version.role,
            is_answer=is_answer,
            feature_service=version.signature.feature_service,
            keys=spec.entity.keys,
            features=version.signature.feature_names,
            decides_from=None if isinstance(spec, RankingModelSpec) else float(spec.decides_by["decision_threshold"]),
        )
        self.log.add_source(tally, source, share=spec.serving.log_share)


def _dealt(scored: Sequence[Scored]) -> dict[Tally, tuple[list[int], list[Scored]]]:
    """Return the rows that each version answered, and where in the answer they are."""
    dealt: dict[Tally, tuple[list[int], list[Scored]]] = {}
    for place, each in enumerate(scored):
        places, rows = dealt.setdefault(each.answerer.tally, ([], []))
        places.append(place)
        rows.append(each)
    return dealt


def _total(process: str, tally: Tally, since: datetime, now: datetime) -> ServingWindow:
    return ServingWindow(
        process=process,
        model_id=tally.model_id,
        model_version=tally.version,
        role=tally.role,
        started_at=since,
        ended_at=now,
        requests=tally.requests,
        rows=tally.rows,
        errors=dict(tally.errors),
        latency=histogram(tally.latency),
        first_sequence=1,
        last_sequence=tally.sequence,
        dropped=tally.dropped,
    )


def _since(total: ServingWindow, before: ServingWindow | None) -> ServingWindow:
    """Return what was counted after a moment."""
    if before is None:
        before = replace(total, requests=0, rows=0, errors={}, latency={}, last_sequence=0, dropped=0)
    last_before, last = before.last_sequence or 0, total.last_sequence or 0
    return replace(
        total,
        requests=total.requests - before.requests,
        rows=total.rows - before.rows,
        errors=_grown(total.errors, before.errors),
        latency=_grown(total.latency, before.latency),
        dropped=total.dropped - before.dropped,
        first_sequence=last_before + 1 if last > last_before else None,
        last_sequence=last if last > last_before else None,
    )


def _grown(total: Mapping[int, int], before: Mapping[int, int]) -> dict[int, int]:
    grown = {key: count - before.get(key, 0) for key, count in total.items()}
    return {key: count for key, count in grown.items() if count}
