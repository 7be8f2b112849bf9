"""Lists that have become longer are told as such, and not as another taste."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from include.monitoring.fall_parts import FallParts, split_fall
from include.monitoring.fall_sides import JudgedLists
from include.monitoring.moved_feature import find_moved
from include.monitoring.performance import Reference
from include.specs.models import load_model
from include.steps.explain_fall import judge_lists, names_of_lists
from include.steps.measured_lists import measure_rows
from include.training.list_metrics import padded_mean


def judged(lists: int, sizes: list[int], seed: int) -> JudgedLists:
    """Return lists of so many items each, of which the score says as much in a long one as in a short one."""
    rng = np.random.default_rng(seed)
    size = rng.choice(sizes, lists)
    fits = rng.normal(size=size.sum())
    rows = pa.table(
        {
            "customer_id": np.repeat([f"c{n:04}" for n in range(lists)], size),
            "category": [f"k{item:02}" for count in size for item in range(count)],
            "at": [0] * len(fits),
            "fits": fits,
            "score": fits.astype(np.float32),
            "label": (rng.random(len(fits)) < 1 / (1 + np.exp(1.5 - 1.5 * fits))).astype(np.int8),
        }
    )
    return judge_lists(measure_rows(load_model("recommendation"), rows, "at"), ["fits"])


def test_a_list_that_is_longer_is_harder_whoever_it_is_for():
    reference, current = judged(1500, [4, 8, 12, 16], 1), judged(800, [12, 16], 2)
    totals = reference.ndcg
    promise = Reference(float(totals.mean()), *padded_mean(totals, np.ones(len(totals))), len(totals))
    parts = split_fall(reference, current, promise, samples=60)
    assert isinstance(parts, FallParts)
    assert (parts.is_who, parts.is_what) == (True, False)
    names = names_of_lists(["fits"])
    assert names == ["items of a list", "mean fits"]
    assert str(find_moved(reference, current, names)).startswith(
        "items of a list: the middle half lies from 12 to 16, on the test from "
    )
