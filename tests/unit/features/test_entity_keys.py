"""Numbers for entity keys: dense, in the keys' order, and only for whole keys."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from include.features.entity_keys import EntityKeys


def test_keys_are_numbered_in_their_own_order_and_unknown_ones_are_minus_one() -> None:
    keys = EntityKeys([pa.array(["b", None, "a", "b", "\N{LATIN SMALL LETTER E WITH ACUTE}"])])
    assert keys.codes.tolist() == [1, -1, 0, 1, 2]
    assert keys.codes_of([pa.array(["a", "c", None, "b", ""])]).tolist() == [0, -1, -1, 1, -1]


@given(
    st.lists(st.tuples(st.sampled_from(["", "a", "b", None]), st.sampled_from([0, 1, 7, None])), max_size=20),
    st.lists(st.tuples(st.sampled_from(["", "a", "c", None]), st.sampled_from([0, 1, 8, None])), max_size=20),
)
def test_two_keys_are_one_only_when_both_parts_are(
    asked: list[tuple[str | None, int | None]], stored: list[tuple[str | None, int | None]]
) -> None:
    def columns(pairs: list[tuple[str | None, int | None]]) -> list[pa.Array]:
        return [pa.array([a for a, _ in pairs], pa.string()), pa.array([b for _, b in pairs], pa.int64())]

    keys = EntityKeys(columns(asked))
    number = {pair: code for pair, code in zip(asked, keys.codes.tolist(), strict=True) if None not in pair}

    assert sorted(set(number.values())) == list(range(len(number))) == list(range(len(keys)))
    assert [code for pair, code in zip(asked, keys.codes.tolist(), strict=True) if None in pair] == [
        -1 for pair in asked if None in pair
    ]
    assert keys.codes_of(columns(stored)).tolist() == [number.get(pair, -1) for pair in stored]


def test_keys_of_many_parts_with_many_values_each_stay_apart() -> None:
    # 60,000 ** 4 is above 2 ** 63.
    rng, rows = np.random.default_rng(0), 60_000
    parts = [rng.permutation(rows) for _ in range(4)]

    keys = EntityKeys([pa.array(part) for part in parts])

    assert len(keys) == rows
    # Whole keys are ordered by their first part, of which each value is there once.
    assert keys.codes.tolist() == parts[0].tolist()
    assert keys.codes_of([pa.array(part) for part in parts]).tolist() == keys.codes.tolist()
    mixed = [*parts[:3], np.roll(parts[3], 1)]
    assert set(keys.codes_of([pa.array(part) for part in mixed]).tolist()) == {-1}
