"""A night is gone through slice by slice: no more of it is held than the threads score."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from include.adapters.lake import portions
from include.governance.lifecycle import Stage
from include.specs.models import load_model
from include.steps import commit_scores as commit_module
from include.steps import score_night
from include.steps.read_night import Night, open_night, read_partition
from include.steps.score_batch import score_batch
from tests.everyday import members
from tests.scoring_lake import NIGHT, feature_rows, publish, scoring_lake

CHURN, GROUP = "churn", "customer_daily"
RANKING, LISTS = "next_shelf", "shelf_daily"
SPECS = Path(__file__).parents[2] / "overlays" / "rankings"


@pytest.fixture
def deployment(tmp_path: Path) -> Any:
    made = scoring_lake(tmp_path, {(CHURN, 1): "churn_v1"})
    made.state.move(CHURN, 1, Stage.PRODUCTION)
    publish(made, GROUP, feature_rows(GROUP, [(f"c{n:04}",) for n in range(1_000)]))
    return made


def test_no_more_slices_are_held_than_are_scored_and_wait(deployment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    held, most, lock = [0], [0], threading.Lock()
    real_slices, real_rows = Night.slices, score_night.prediction_rows

    def slices(self: Night, **how: Any) -> Iterator[pa.Table]:
        for each in real_slices(self, **how):
            with lock:
                held[0] += 1
                most[0] = max(most[0], held[0])
            yield each

    def rows(*given: Any, **named: Any) -> pa.Table:
        made = real_rows(*given, **named)
        with lock:
            held[0] -= 1
        return made

    monkeypatch.setattr(Night, "slices", slices)
    monkeypatch.setattr(score_night, "prediction_rows", rows)
    monkeypatch.setattr(score_night, "_MAX_THREADS", 2)
    monkeypatch.setattr(commit_module, "ROWS_OF_A_SLICE", 20)

    assert score_batch(deployment, CHURN, partition=NIGHT).rows > 500
    assert held == [0]
    assert most[0] <= 2 + 1


@pytest.mark.parametrize("rows_at_once", members([40, 333, 100_000], daily=[40]))
def test_slices_together_are_the_night_that_is_read_at_once(deployment: Any, rows_at_once: int) -> None:
    spec = load_model(CHURN)
    night = open_night(deployment, spec, NIGHT, service="churn_v1")
    read = [night.read(stored) for stored in night.slices(rows_at_once=rows_at_once)]
    whole = read_partition(deployment, spec, NIGHT, service="churn_v1")
    assert pa.concat_tables([each.rows for each in read]).equals(whole.rows)
    assert all(each.account.balances for each in read)
    assert sum(each.account.rows for each in read) == 1_000


@pytest.mark.parametrize("rows_at_once", members([5, 25, 1_000], daily=[25]))
def test_a_list_has_the_ranks_of_all_its_items_wherever_slices_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_at_once: int
) -> None:
    monkeypatch.setenv("MLOPS_SPECS", str(SPECS))
    monkeypatch.setattr(commit_module, "ROWS_OF_A_SLICE", rows_at_once)
    monkeypatch.setattr(portions, "ROWS_AT_ONCE", 100)
    made = scoring_lake(tmp_path, {(RANKING, 1): "shelf_v1"})
    made.state.move(RANKING, 1, Stage.PRODUCTION)
    sizes = np.random.default_rng(0).integers(1, 12, 80)
    entities = [(f"c{n:03}", f"k{item:02}") for n, size in enumerate(sizes) for item in range(size)]
    publish(made, LISTS, feature_rows(LISTS, entities, buyers_30d=[20] * len(entities)))

    score_batch(made, RANKING, partition=NIGHT)

    lists: dict[str, list[tuple[float, str, int]]] = {}
    for row in made.lake.read(f"predictions/{RANKING}").to_pylist():
        lists.setdefault(row["customer_id"], []).append((-row["score"], row["category"], row["rank"]))
    assert [len(lists[f"c{n:03}"]) for n in range(80)] == sizes.tolist()
    for items in lists.values():
        assert [rank for _, _, rank in sorted(items)] == list(range(1, len(items) + 1))
