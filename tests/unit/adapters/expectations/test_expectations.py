"""What is held against expectations is freed, whatever came of it."""

from __future__ import annotations

import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pytest

from include.adapters.expectations.expectations import _LARGE, run_expectations
from include.errors import MlopsError
from tests.everyday import members

ROWS = _LARGE // 2


def between(column: str, low: float, high: float) -> Any:
    import great_expectations.expectations as gxe

    return gxe.ExpectColumnValuesToBeBetween(column=column, min_value=low, max_value=high)


def held(frame: pd.DataFrame) -> list[weakref.ref[Any]]:
    return [weakref.ref(frame), *(weakref.ref(block.values) for block in frame._mgr.blocks)]  # type: ignore[attr-defined]


@pytest.mark.parametrize("index", members([None, "name"], daily=["name"]), ids=["counted", "listed"])
@pytest.mark.parametrize("high", members([1.0, 0.999], daily=[0.999]), ids=["kept", "broken"])
def test_a_frame_is_freed_once_it_was_judged(high: float, index: str | None) -> None:
    values = np.random.default_rng(0).random(ROWS)
    frame = pd.DataFrame({"name": [f"n{n}" for n in range(ROWS)], "value": values})
    parts = held(frame)

    results = run_expectations("rows", frame, [between("value", 0.0, high)], index=index)
    del frame

    assert [result.result["unexpected_count"] for result in results] == [int((values > high).sum())]
    assert [part() for part in parts] == [None] * 3


def test_a_frame_that_can_t_be_judged_is_freed_too() -> None:
    frame = pd.DataFrame({"name": ["n"] * ROWS, "value": np.zeros(ROWS)})
    parts = held(frame)

    with pytest.raises(MlopsError, match="could not evaluate") as refused:
        run_expectations("rows", frame, [between("value", 0.0, 1.0), between("other", 0.0, 1.0)])
    del frame, refused

    assert [part() for part in parts] == [None] * 3


def test_frames_that_are_judged_at_once_are_each_judged_by_their_own_values() -> None:
    def broken(count: int) -> int:
        frame = pd.DataFrame({"value": [2.0] * count + [0.5] * (20 - count)})
        (result,) = run_expectations(f"{count} rows", frame, [between("value", 0.0, 1.0)])
        return int(result.result["unexpected_count"])

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(broken, range(16))) == list(range(16))
