"""The canary's part of all entities: as large as it was said to be, and the same entities each time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from include.serving.routing import canary_salt, is_canary

SALT = canary_salt("churn", 3, 4)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
def test_the_share_of_100_000_entities_is_within_its_binomial_interval(share: float) -> None:
    tried = sum(is_canary([str(number)], share=share, salt=SALT) for number in range(100_000))

    low, high = binomtest(tried, 100_000).proportion_ci(0.9999)
    assert low <= share <= high


def test_another_test_deals_anew() -> None:
    other = canary_salt("churn", 4, 5)
    first = {n for n in range(20_000) if is_canary([str(n)], share=0.05, salt=SALT)}
    second = {n for n in range(20_000) if is_canary([str(n)], share=0.05, salt=other)}

    # Independent arms share 0.05² of all: 50, with a deviation of 7.
    assert 15 <= len(first & second) <= 90


@given(keys=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=3))
def test_who_is_in_a_part_is_in_any_larger_one(keys: list[str]) -> None:
    found = [is_canary(keys, share=share, salt=SALT) for share in (0.0, 0.1, 0.3, 0.9, 1.0)]

    assert found == sorted(found)
    assert found[0] is False
    assert found[-1] is True


def test_a_key_is_told_from_another_that_is_written_alike() -> None:
    arms = {
        keys: [is_canary(keys, share=share / 100, salt=SALT) for share in range(100)]
        for keys in (("a", "bc"), ("ab", "c"), ("abc",), ("a", "b", "c"))
    }
    assert len({tuple(found) for found in arms.values()}) == len(arms)
