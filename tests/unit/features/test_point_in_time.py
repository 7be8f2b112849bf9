"""The search behind the point-in-time join, against a plain loop over every pair of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import include.features.point_in_time as point_in_time
from include.features.point_in_time import EARLIEST, LATEST, AsOfSearch
from tests.everyday import examples

YEARS = 3_000 * 365 * 86_400_000_000  # in microseconds: with a key beside it, more than 63 bits


@dataclass(frozen=True)
class Row:
    key: int
    event: int | None
    created: int | None


@dataclass(frozen=True)
class Case:
    entities: list[tuple[int, int | None]]
    rows: list[Row]
    ttl: int
    known_at: bool
    until: tuple[int, ...] | None = None  # by key


def plain_loop(case: Case) -> list[int]:
    answers = []
    for key, at in case.entities:
        best: tuple[int, int, int] | None = None
        for number, row in enumerate(case.rows):
            if key < 0 or at is None or row.key != key or row.event is None or row.event > at:
                continue
            if case.known_at and (row.created is None or row.created > at):
                continue
            if case.until is not None and (EARLIEST if row.created is None else row.created) > case.until[key]:
                continue
            candidate = (row.event, EARLIEST if row.created is None else row.created, number)
            best = candidate if best is None else max(best, candidate)
        is_fresh = best is not None and at is not None and (not case.ttl or best[0] >= at - case.ttl)
        answers.append(best[2] if best is not None and is_fresh else -1)
    return answers


def searched(case: Case, chunks: list[list[int]]) -> list[int]:
    codes = np.array([key for key, _ in case.entities], np.int32)
    at = np.array([EARLIEST if at is None else at for _, at in case.entities], np.int64)
    oldest = np.where(at == EARLIEST, EARLIEST, at - case.ttl) if case.ttl else None
    until = np.array([case.until[key] for key, _ in case.entities], np.int64) if case.until is not None else None
    search = AsOfSearch(codes, at, oldest=oldest, known_at=case.known_at, until=until)
    for chunk in chunks:
        rows = [case.rows[number] for number in chunk]
        unknown = LATEST if case.known_at else EARLIEST
        search.offer(
            np.array([row.key for row in rows], np.int32),
            np.array([EARLIEST if row.event is None else row.event for row in rows], np.int64),
            np.array([unknown if row.created is None else row.created for row in rows], np.int64),
            np.array(chunk, np.int64),
        )
    return search.answer().tolist()


INSTANTS = st.one_of(
    st.integers(0, 12), st.sampled_from([-YEARS, YEARS]), st.integers(0, 3).map(lambda n: n * 86_400_000_000)
)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Case, list[list[int]]]:
    entities = draw(st.lists(st.tuples(st.integers(-1, 3), st.none() | INSTANTS), max_size=25))
    rows = draw(
        st.lists(
            # Nothing says that a table's rows are created after their event.
            st.builds(Row, st.integers(-1, 4), st.none() | INSTANTS, st.none() | INSTANTS),
            max_size=40,
        )
    )
    ttl, known_at = draw(st.sampled_from([0, 1, 3, 86_400_000_000])), draw(st.booleans())
    case = Case(entities, rows, ttl, known_at, draw(st.none() | st.tuples(*[INSTANTS] * 4)))
    order = draw(st.permutations(range(len(rows))))
    cuts = sorted(draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    bounds = zip([0, *cuts], [*cuts, len(rows)], strict=True)
    return case, [order[start:end] for start, end in bounds]


@given(cases())
@settings(max_examples=examples(400))
def test_any_order_and_split_of_the_rows_gives_what_a_plain_loop_gives(
    drawn: tuple[Case, list[list[int]]],
) -> None:
    case, chunks = drawn
    assert searched(case, chunks) == plain_loop(case)


@pytest.mark.parametrize("spread", [1, YEARS // 1_000], ids=["composite", "ranks"])
@pytest.mark.parametrize("counted", [True, False], ids=["counted", "searched"])
@pytest.mark.parametrize("known_at", [True, False])
def test_daily_partitions_with_corrections_equal_a_plain_loop(
    monkeypatch: pytest.MonkeyPatch, spread: int, counted: bool, known_at: bool
) -> None:
    monkeypatch.setattr(point_in_time, "_COUNTS_PER_SEARCH", 10**9 if counted else 0)
    rng = np.random.default_rng(spread % 97)
    rows = []
    for day in range(20):
        for key in range(12):
            rows.append(Row(key, day * spread, day * spread))
            if rng.random() < 0.2:
                rows.append(Row(key, day * spread, int(day + rng.integers(1, 30)) * spread))
    entities = [(int(rng.integers(0, 14)), int(rng.integers(-2, 40)) * spread) for _ in range(200)]
    case = Case(entities, rows, ttl=6 * spread, known_at=known_at)
    partitions = [[n for n, row in enumerate(rows) if row.event == day * spread] for day in range(20)]

    assert searched(case, partitions) == plain_loop(case)


def test_a_late_correction_of_an_old_row_does_not_hide_a_newer_one_nor_the_next_key() -> None:
    rows = [Row(0, 10, 10), Row(0, 5, 20), Row(0, 7, 30), Row(1, 1, 1)]
    case = Case([(0, 12), (0, 22), (0, 32), (1, 40), (2, 50)], rows, ttl=0, known_at=True)
    assert searched(case, [[0, 1, 2, 3]]) == [0, 0, 0, 3, -1]


def test_no_entity_rows_and_no_feature_rows_give_nothing() -> None:
    assert searched(Case([], [Row(0, 1, 1)], 0, True), [[0]]) == []
    assert searched(Case([(0, 1)], [], 0, True), [[]]) == [-1]
