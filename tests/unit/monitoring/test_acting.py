from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.monitoring.acting import Acting, ActingFacts, acts
from include.monitoring.decision import Decision

EARLIER, NIGHT, LATER = "2026-03-01", "2026-03-02", "2026-03-03"
RETRAIN = Decision("retrain", "drift", ("because",))
HOLD, VETO = Decision("hold", "none", ("quiet",)), Decision("veto", "none", ("stopped",))
DAYS = [EARLIER, NIGHT, LATER]


@pytest.mark.parametrize(
    ("watermark", "newest", "expected"),
    [
        (EARLIER, NIGHT, Acting(True, NIGHT)),
        (None, NIGHT, Acting(True, NIGHT)),
        (None, None, Acting(True, NIGHT)),
        (EARLIER, EARLIER, Acting(True, NIGHT)),
        (NIGHT, NIGHT, Acting(False, NIGHT)),
        (LATER, NIGHT, Acting(False, LATER)),
        (EARLIER, LATER, Acting(False, EARLIER)),
        (None, LATER, Acting(False, None)),
    ],
    ids=[
        "a-new-night", "the-first-night", "nothing-is-published", "newer-than-what-is-published",
        "a-replay", "an-older-night", "a-later-one-is-published", "a-later-one-is-published-and-none-was-decided",
    ],
)  # fmt: skip
def test_a_night_acts_once_and_only_as_the_newest(watermark, newest, expected):
    assert acts(RETRAIN, ActingFacts(watermark, newest), partition=NIGHT) == expected


@pytest.mark.parametrize("decision", [HOLD, VETO], ids=["hold", "veto"])
def test_what_does_not_retrain_uses_the_night_up_without_acting(decision):
    assert acts(decision, ActingFacts(EARLIER, NIGHT), partition=NIGHT) == Acting(False, NIGHT)


@pytest.mark.parametrize("watermark", [None, EARLIER, NIGHT, LATER])
@pytest.mark.parametrize(("decision", "expected"), [(RETRAIN, True), (HOLD, False), (VETO, False)])
def test_what_was_asked_for_acts_whatever_the_watermark_says_and_leaves_it(watermark, decision, expected):
    found = acts(decision, ActingFacts(watermark, LATER), partition=NIGHT, explicit=True)
    assert found == Acting(expected, watermark)


@given(nights=st.lists(st.tuples(st.sampled_from(DAYS), st.sampled_from(DAYS), st.sampled_from([RETRAIN, HOLD, VETO]))))
def test_whatever_the_order_of_nights_the_watermark_never_goes_back_and_no_night_acts_twice(nights):
    watermark, acted = None, []
    for partition, newest, decision in nights:
        found = acts(decision, ActingFacts(watermark, newest), partition=partition)
        assert found.watermark is watermark or watermark is None or found.watermark > watermark
        watermark = found.watermark
        acted += [partition] if found.acts else []
    assert len(acted) == len(set(acted))
