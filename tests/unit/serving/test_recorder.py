"""What answers leave behind: counters, minutes of them, and a challenger that looks on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from include.errors import MlopsError
from include.monitoring.latency_histogram import BOUNDS_US, quantile_us
from include.monitoring.serving_windows import ServingWindow, add_up
from include.serving.asks import Ask, AskReader
from include.serving.exchange import Exchange
from include.serving.log_rows import Noted
from include.serving.recorder import Recorder
from include.serving.shadow import Shadow
from include.serving.tally import SHADOW, Tally
from include.serving.turns import TurnScorer
from include.serving.window_writer import WindowWriter
from tests.unit.serving.answered import FEATURES, make_answerer, make_exchange, make_lineup

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class KeptLog:
    """The log's first step: what is offered to it."""

    def __init__(self, process: str = "p") -> None:
        self.process = process
        self.noted: list[Noted] = []

    def offer(self, noted: Noted, rows: int) -> None:
        self.noted.append(noted)

    def numbers(self) -> Counter[tuple[str, int]]:
        return Counter((each.tally.role, each.first + n) for each in self.noted for n in range(len(each.scored)))


def make_recorder(process: str = "p") -> tuple[Recorder, KeptLog]:
    log = KeptLog(process)
    return Recorder(log, ["churn"]), log  # type: ignore[arg-type]


def make_versions(recorder: Recorder, **serving: Any) -> tuple[Any, Any]:
    champion = make_answerer(recorder._tally("churn", 1, "champion"), **serving)
    challenger = make_answerer(recorder._tally("churn", 2, "challenger"), **serving)
    recorder._shadows[challenger.tally] = recorder._tally("churn", 2, SHADOW)
    return champion, challenger


def ask(recorder: Recorder, rng: np.random.Generator, count: int, **serving: Any) -> None:
    champion, challenger = make_versions(recorder, **serving)
    for number in range(count):
        answerers = [champion, *rng.choice(np.array([champion, challenger]), rng.integers(0, 5))]
        exchange = make_exchange(number, answerers, challenger=challenger)
        recorder.note(exchange, 200, int(rng.lognormal(7, 1)))


def test_rows_of_each_version_are_numbered_without_a_gap_and_windows_say_from_where_to_where():
    recorder, log = make_recorder()
    rng = np.random.default_rng(1)
    windows: list[ServingWindow] = []
    for minute in range(4):
        ask(recorder, rng, 50)
        windows += recorder.close_window(START + timedelta(minutes=minute))
    numbers = log.numbers()

    assert set(numbers.values()) == {1}
    for role in ("champion", "challenger"):
        mine = [window for window in windows if window.role == role]
        assert sorted(number for each, number in numbers if each == role) == list(
            range(1, sum(w.rows for w in mine) + 1)
        )
        ends = [0, *(window.last_sequence for window in mine)]
        assert [window.first_sequence for window in mine] == [end + 1 for end in ends[:-1]]
        assert all(window.rows == window.last_sequence - window.first_sequence + 1 for window in mine)
        assert all(window.requests == sum(window.latency.values()) for window in mine)
    assert recorder.close_window(START + timedelta(minutes=9)) == []


def test_windows_of_processes_add_up_to_what_one_would_have_counted():
    rng = np.random.default_rng(2)
    latencies = [int(value) for value in rng.lognormal(8, 1.5, 3000)]
    windows, whole = [], make_recorder("whole")[0]
    alone = make_versions(whole)[0]
    recorders = [make_recorder(process)[0] for process in "abc"]
    champions = [make_versions(recorder)[0] for recorder in recorders]
    for number, latency in enumerate(latencies):
        place = int(rng.integers(3))
        recorders[place].note(make_exchange(number, [champions[place]]), 200, latency)
        whole.note(make_exchange(number, [alone]), 200, latency)
        if number % 700 == 0:
            windows += [each for recorder in recorders for each in recorder.close_window(START)]
    windows += [each for recorder in recorders for each in recorder.close_window(START)]
    together, one = add_up(windows), add_up(whole.close_window(START))

    assert (together.requests, together.rows, together.latency) == (one.requests, one.rows, one.latency)
    for share in (0.5, 0.95, 0.99):
        exact = np.quantile(latencies, share, method="inverted_cdf")
        found = quantile_us(together.latency, share)
        assert exact <= found <= exact * 1.13


def test_a_latency_beyond_all_bounds_is_counted_in_the_last():
    recorder, _ = make_recorder()
    champion, _ = make_versions(recorder)
    for number, latency in enumerate((0, 10**12)):
        recorder.note(make_exchange(number, [champion]), 200, latency)
    (window,) = recorder.close_window(START)
    assert window.latency == {BOUNDS_US[0]: 1, BOUNDS_US[-1]: 1}


def test_errors_are_those_of_the_model_that_was_asked_and_a_name_that_nobody_serves_has_no_counters():
    recorder, _ = make_recorder()
    champion, _ = make_versions(recorder)
    refused = Exchange("r", 1, "churn")
    refused.lineup = make_lineup(champion)
    recorder.note(refused, 422, 9)
    recorder.note(Exchange("r", 1, "churn"), 503, 9)
    for number in range(100):
        recorder.note(Exchange("r", 1, f"made up {number}"), 404, 9)
    recorder.note(Exchange("r", 1), 401, 9)

    windows = {(each.model_version, each.role): each.errors for each in recorder.close_window(START)}
    assert windows == {(1, "champion"): {422: 1}, (0, "none"): {503: 1}}
    assert recorder.strays == {404: 100, 401: 1}


class Database:
    """A table of windows that may be down."""

    def __init__(self, failures: Sequence[Exception]) -> None:
        self.failures = list(failures)
        self.rows: list[ServingWindow] = []

    def write(self, windows: Sequence[ServingWindow]) -> None:
        if self.failures:
            raise self.failures.pop()
        self.rows += windows


@pytest.mark.parametrize(
    "failure", [MlopsError("down"), RuntimeError("unforeseen")], ids=lambda each: type(each).__name__
)
def test_minutes_wait_while_the_database_is_down_and_each_is_written_once(failure: Exception):
    recorder, _ = make_recorder()
    champion, _ = make_versions(recorder)
    database = Database([failure] * 2)
    writer = WindowWriter(recorder.close_window, database.write)
    writer.start()
    for number in range(4):
        recorder.note(make_exchange(number, [champion]), 200, 5)
        writer.close()
    writer.stop()
    assert [window.first_sequence for window in database.rows] == [1, 2, 3, 4]


async def look_on(shadow: Shadow, *, until: Any) -> None:
    task = asyncio.create_task(shadow.look_on())
    for _ in range(500):
        await asyncio.sleep(0.005)
        if until():
            break
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_a_challenger_scores_what_it_did_not_answer_and_only_the_log_is_told():
    async def run() -> None:
        recorder, log = make_recorder()
        champion, challenger = make_versions(recorder, shadow=True)
        champion.asks = challenger.asks = AskReader(("who",), (("a", "float32"), ("b", "float32")), max_rows=5)
        challenger.version.signature = SimpleNamespace(features=FEATURES)
        challenger.version.score = lambda matrix: matrix[:, 0]
        challenger.version.decide = lambda scores: [1] * len(scores)
        challenger.scorer = TurnScorer(challenger.version)
        exchange = make_exchange(1, [champion, challenger, champion], challenger=challenger)
        exchange.keys = ()
        exchange.ask = champion.asks.read(b'{"instances": [{"a": 0, "b": 1}, {"a": 1, "b": 1}, {"a": 2, "b": 1}]}')
        shadow = Shadow(recorder)
        assert shadow.offer(exchange)
        await look_on(shadow, until=lambda: log.noted)

        (noted,) = log.noted
        assert (noted.tally.role, noted.places) == (SHADOW, [0, 2])
        assert [each.score for each in noted.scored] == [0.0, 2.0]
        assert [each.score for each in exchange.scored] == [0.5, 0.51, 0.52]

    asyncio.run(run())


@pytest.mark.parametrize("failure", [MlopsError("no store"), KeyError("a"), ZeroDivisionError()], ids=repr)
def test_a_challenger_that_breaks_is_counted_and_told_and_the_next_question_is_tried(failure, caplog):
    async def run() -> None:
        recorder, log = make_recorder()
        champion, challenger = make_versions(recorder, shadow=True)

        def broken(*_: object) -> None:
            raise failure

        champion.asks = SimpleNamespace(features=FEATURES)
        challenger.asks = SimpleNamespace(taken_from=broken)
        shadow = Shadow(recorder)
        for number in range(3):
            exchange = make_exchange(number, [champion], challenger=challenger)
            exchange.keys, exchange.ask = (), Ask(vectors=[b""])
            shadow.offer(exchange)
        tally = recorder.shadow_of(challenger)
        await look_on(shadow, until=lambda: tally.errors[500] == 3)
        assert (tally.errors[500], tally.rows, log.noted) == (3, 0, [])

    asyncio.run(run())
    assert caplog.text.count("shadow: churn version 2 can't score") == 1


def test_what_a_shadow_has_no_room_for_is_shed_and_counted():
    recorder, _ = make_recorder()
    champion, challenger = make_versions(recorder, shadow=True)
    shadow = Shadow(recorder)
    taken = [shadow.offer(make_exchange(n, [champion] * 500, challenger=challenger)) for n in range(10)]
    assert (sum(taken), recorder.shadow_of(challenger).shed) == (4, 3000)
    assert not shadow.offer(make_exchange(1, [champion]))
    _, unseen = make_versions(recorder, shadow=False)
    assert not shadow.offer(make_exchange(1, [make_versions(recorder)[0]], challenger=unseen))


def test_a_tally_marks_the_number_of_its_last_row():
    tally = Tally("churn", 1, "champion")
    assert [tally.answer(rows, 10) for rows in (2, 1, 5)] == [1, 3, 4]
    assert tally.marks[tally.place] == tally.sequence == 8
