"""Which nights are owed, and what of them is missing: each case by hand."""

from __future__ import annotations

import pytest

from include import partitions
from include.monitoring.night_grid import GroupNight, GroupRecord, ModelRecord, find_group_nights, find_model_nights

DAYS = partitions.span("2026-03-01", "2026-03-10")


def days(*numbers: int) -> frozenset[str]:
    return frozenset(f"2026-03-{number:02}" for number in numbers)


def record(**changes: object) -> GroupRecord:
    values = {
        "group": "daily", "freshness_days": 2, "since": DAYS[0], "arrived": days(1, 2, 3, 4), "reached": DAYS[3],
        "built": days(1, 2, 3, 4), "gone": days(), "online": days(1, 2, 3, 4),
    }  # fmt: skip
    return GroupRecord(**{**values, **changes})


def missing(found: GroupRecord, *, until: str = DAYS[4]) -> dict[str, tuple[str, ...]]:
    return {n.partition[-2:]: n.missing for n in find_group_nights(found, DAYS, until=until) if n.missing}


BOTH, BUILT, ONLINE = ("built", "online"), ("built",), ("online",)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, {}, id="all is there"),
        pytest.param({"built": days(1, 3, 4), "online": days(1, 3, 4)}, {"02": BOTH}, id="not built"),
        pytest.param({"online": days(1, 2, 4)}, {"03": ONLINE}, id="not online"),
        pytest.param({"online": days()}, {}, id="never online: nobody asks"),
        pytest.param({"online": days(3, 4)}, {}, id="online since"),
        pytest.param(
            {"arrived": days(1, 3, 4), "built": days(1), "online": days(1)},
            {"02": BOTH, "03": BOTH, "04": BOTH},
            id="a day that was passed over is owed, and holds up those after it",
        ),
        pytest.param({"built": days(1, 2, 3), "gone": days(4)}, {"04": BUILT}, id="deleted"),
        pytest.param({"since": None, "built": days(), "online": days()}, {}, id="nobody reads it"),
        pytest.param({"since": None, "built": days(2), "gone": days(1)}, {"01": BUILT}, id="deleted, of old"),
        pytest.param({"since": DAYS[3], "built": days(), "online": days()}, {"04": BUILT}, id="only since"),
        pytest.param({"reached": None, "arrived": days(), "built": days(), "online": days()}, {}, id="nothing came"),
    ],
)
def test_a_night_of_a_group_is_owed_while_what_it_reads_has_come(changes, expected):
    assert missing(record(**changes)) == expected


@pytest.mark.parametrize(
    ("until", "owed"), [(DAYS[4], []), (DAYS[5], []), (DAYS[6], ["05"]), (DAYS[9], ["05"])], ids=["1", "2", "3", "6"]
)
def test_a_silence_is_one_night_that_is_missing_once_it_is_longer_than_promised(until, owed):
    assert list(missing(record(), until=until)) == owed


def test_a_night_that_has_not_come_is_not_shown():
    assert [night.partition for night in find_group_nights(record(), DAYS, until=DAYS[4])] == DAYS[:4]


def test_a_group_that_nobody_has_built_and_nobody_waits_for_is_not_shown():
    unused = record(since=None, built=days(), online=days())
    assert list(find_group_nights(unused, DAYS, until=DAYS[4])) == []


def group(built: bool = True, owed: bool = True, day: int = 1) -> GroupNight:
    return GroupNight(DAYS[day - 1], "daily", True, built, None, () if built or not owed else ("built",))


def model(**changes: object) -> ModelRecord:
    every = days(*range(1, 5))
    values = {
        "governed": every, "scored": every, "recorded": every, "gone": days(), "measured": every, "decided": every,
    }  # fmt: skip
    return ModelRecord("churn", ("daily",), **{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "night", "expected"),
    [
        pytest.param({}, group(), [()], id="all is there"),
        pytest.param({"scored": days()}, group(), [("scored",)], id="scores that are gone"),
        pytest.param(
            {"scored": days(), "measured": days(), "decided": days()},
            group(built=False),
            [("built", "scored", "measured", "decided")],
            id="not built",
        ),
        pytest.param(
            {"scored": days(), "measured": days(), "decided": days()}, group(built=False, owed=False), [], id="not owed"
        ),
        pytest.param({"governed": days(), "scored": days(), "decided": days()}, group(), [()], id="no version governs"),
        pytest.param({"decided": days(2)}, group(), [("decided",)], id="not decided"),
        pytest.param({"recorded": days()}, group(), [()], id="outcomes that are not recorded come with a later night"),
        pytest.param({"recorded": days(2), "gone": days(1)}, group(), [("recorded",)], id="outcomes that are gone"),
        pytest.param(
            {"governed": days(), "recorded": days(), "gone": days(1)},
            group(),
            [("recorded",)],
            id="outcomes that are gone, of a night that no version governs",
        ),
    ],
)
def test_a_night_of_a_model_is_owed_where_a_version_governs_it_and_its_groups_are(changes, night, expected):
    found = list(find_model_nights(model(**changes), [[night]]))
    assert [each.missing for each in found] == expected


@pytest.mark.parametrize(
    ("without", "lacks"),
    [
        (("scored", "measured", "decided"), "scores"),
        (("recorded", "measured", "decided"), "outcomes"),
        (("measured", "decided"), "measurement"),
        (("decided",), "decision"),
    ],
)
def test_a_night_lacks_the_first_of_what_is_missing(without, lacks):
    gone = days(1) if "recorded" in without else days()
    (night,) = find_model_nights(model(**dict.fromkeys(without, days()), gone=gone), [[group()]])
    assert night.lacks == lacks


def test_a_night_of_several_groups_is_that_of_all():
    (night,) = find_model_nights(model(), [[group()], [group(built=False)]])
    assert (night.built, night.missing) == (False, ("built",))


def test_outcomes_that_are_gone_are_missing_also_of_a_night_that_no_group_knows():
    (night,) = find_model_nights(model(recorded=days(), gone=days(2)), [[]])
    assert (night.partition, night.delivered, night.built, night.missing) == (DAYS[1], False, False, ("recorded",))
