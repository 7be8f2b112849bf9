"""Rows of many requests that are scored as one: the same answers, and nobody's fault is another's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xgboost

from include.scoring.model import ScoringModel
from include.serving.asks import as_matrix
from include.serving.served_version import ServedVersion
from include.serving.turns import TurnScorer
from include.specs.models import load_model
from include.training.conversion import to_onnx

FEATURES = tuple((f"f{n}", "float32") for n in range(6))
NAMES = [name for name, _ in FEATURES]


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    rows = np.random.default_rng(1).normal(size=(700, len(FEATURES))).astype(np.float32)
    rows[::7, 2] = np.nan
    return rows


@pytest.fixture(scope="module")
def version(rows: np.ndarray) -> ServedVersion:
    matrix = xgboost.DMatrix(rows, np.nansum(rows, axis=1) > 0, feature_names=NAMES)
    booster = xgboost.train({"objective": "binary:logistic", "base_score": 0.5}, matrix, num_boost_round=120)
    model = ScoringModel(NAMES, native=b"", onnx=to_onnx(booster))
    return ServedVersion(load_model("churn"), 1, "champion", SimpleNamespace(features=FEATURES), model, "")  # type: ignore[arg-type]


class Counting:
    """A version that tells how many rows it is asked about at once."""

    def __init__(self, version: ServedVersion, *, breaks_at: bytes | None = None) -> None:
        self.signature, self.decide = version.signature, version.decide
        self.version, self.breaks_at = version, breaks_at
        self.calls: list[int] = []

    def score(self, matrix: np.ndarray) -> np.ndarray:
        self.calls.append(len(matrix))
        if self.breaks_at is not None and self.breaks_at in [row.tobytes() for row in matrix]:
            raise ArithmeticError("this row")
        return self.version.score(matrix)


async def ask_in_turns(scorer: TurnScorer, questions: Sequence[Sequence[bytes]], turns: int) -> list[Any]:
    for _ in range(turns):
        answers = await asyncio.gather(*map(scorer.score, questions), return_exceptions=True)
    return answers


@pytest.mark.parametrize("sizes", [[1] * 16, [1] * 300, [3, 1, 70, 2, 9], [1, 500]], ids=str)
def test_rows_come_to_the_same_bits_with_whomever_they_are_scored(
    version: ServedVersion, rows: np.ndarray, sizes: list[int]
) -> None:
    threshold = np.float32(version.spec.decides_by["decision_threshold"])
    questions = [
        [row.tobytes() for row in rows[end - size : end]]
        for size, end in zip(sizes, np.cumsum(sizes).tolist(), strict=True)
    ]
    alone = [[version.score(as_matrix([row], len(FEATURES)))[0] for row in question] for question in questions]
    counting = Counting(version)

    answers = asyncio.run(ask_in_turns(TurnScorer(counting), questions, 2))  # type: ignore[arg-type]

    told = [[(float(score), int(score >= threshold)) for score in scores] for scores in alone]
    assert answers == told
    assert max(counting.calls) > max(sizes)


def test_who_asks_alone_is_answered_in_the_turn_that_he_asked(version: ServedVersion, rows: np.ndarray) -> None:
    async def run() -> None:
        scorer = TurnScorer(version)
        for _ in range(3):
            with pytest.raises(StopIteration):
                scorer.score([rows[0].tobytes()]).send(None)
            await asyncio.sleep(0)

    asyncio.run(run())


def test_who_breaks_a_model_breaks_nobody_elses_answer(version: ServedVersion, rows: np.ndarray) -> None:
    vectors = [row.tobytes() for row in rows[:8]]
    counting = Counting(version, breaks_at=vectors[3])

    answers = asyncio.run(ask_in_turns(TurnScorer(counting), [[each] for each in vectors], 2))  # type: ignore[arg-type]

    assert 8 in counting.calls
    assert isinstance(answers[3], ArithmeticError)
    del answers[3]
    assert [answer[0][0] for answer in answers] == version.score(np.delete(rows[:8], 3, axis=0)).tolist()


def test_who_goes_away_while_others_wait_leaves_them_their_answers(version: ServedVersion, rows: np.ndarray) -> None:
    async def run() -> list[Any]:
        scorer = TurnScorer(version)
        questions = [[row.tobytes()] for row in rows[:4]]
        await ask_in_turns(scorer, questions, 1)
        tasks = [asyncio.create_task(scorer.score(each)) for each in questions]
        await asyncio.sleep(0)
        tasks[1].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    answers = asyncio.run(run())

    assert isinstance(answers[1], asyncio.CancelledError)
    assert [answers[place][0][0] for place in (0, 2, 3)] == version.score(rows[[0, 2, 3]]).tolist()
