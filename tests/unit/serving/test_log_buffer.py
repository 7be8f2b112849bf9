"""Rows in memory: whoever makes batches of them, each is in one, in the order of their numbers."""

from __future__ import annotations

import threading

import pytest

from include.serving import log_buffer
from include.serving.log_buffer import LogBuffer, Portion
from include.serving.log_rows import Noted
from include.serving.tally import Tally
from tests.unit.serving.answered import make_answerer, make_exchange, make_source


def make_buffer(*, rows_max: int = 100_000) -> tuple[LogBuffer, Tally]:
    buffer, tally = LogBuffer(rows_max), Tally("churn", 1, "champion")
    buffer.add_source(tally, make_source("p"), share=1.0)
    return buffer, tally


def offer(buffer: LogBuffer, tally: Tally, number: int) -> None:
    exchange = make_exchange(number, [make_answerer(tally)] * (1 + number % 3))
    rows = len(exchange.scored)
    buffer.offer(Noted(tally, exchange, 9, tally.answer(rows, 9), exchange.scored), rows)


def numbers(portions: list[Portion]) -> list[int]:
    return [number for each in portions for number in each.batch["sequence_number"].to_pylist()]


def test_a_full_portion_is_made_by_who_offers_and_what_is_left_by_who_takes() -> None:
    buffer, tally = make_buffer()
    for number in range(200):
        offer(buffer, tally, number)

    full, left = list(buffer.take(all_of_it=False)), list(buffer.take(all_of_it=True))

    assert [each.rows >= 250 for each in [*full, *left]] == [True, False]
    assert numbers([*full, *left]) == list(range(1, tally.sequence + 1))
    assert [each.last for each in (full[-1], left[-1])] == [full[0].rows, tally.sequence]


def test_rows_that_are_offered_while_others_are_taken_are_taken_once_and_in_order() -> None:
    buffer, tally = make_buffer()
    taken: list[Portion] = []
    is_over = threading.Event()

    def take() -> None:
        while not is_over.is_set():
            taken.extend(buffer.take(all_of_it=True))

    thread = threading.Thread(target=take)
    thread.start()
    for number in range(2_000):
        offer(buffer, tally, number)
    is_over.set()
    thread.join()
    taken.extend(buffer.take(all_of_it=True))

    assert len(taken) > 8
    assert numbers(taken) == list(range(1, tally.sequence + 1))


def test_rows_that_no_batch_can_be_made_of_are_told_and_break_no_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    buffer, tally = make_buffer()

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(log_buffer, "make_batch", broken)
    for number in range(200):
        offer(buffer, tally, number)

    portions = list(buffer.take(all_of_it=True))

    assert [each.batch for each in portions] == [None, None]
    assert sum(each.rows for each in portions) == tally.sequence
    assert "could not be made a batch of" in caplog.text
