"""Of a fall of made rows whose truth is known it is said what it is of, and of chance nothing.

CAUSES=full plays 200 worlds of each kind, else three.
"""

from __future__ import annotations

import os
import re

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from include.monitoring.causes import cut_features, find_causes, find_part
from include.monitoring.fall_parts import FallParts, split_fall
from include.monitoring.fall_sides import JudgedLists, JudgedRows
from include.monitoring.moved_feature import find_moved
from include.monitoring.performance import Figure, Reference
from include.monitoring.placements import place
from include.monitoring.slices import Cells
from include.training.auc import placed_interval
from include.training.list_metrics import measure_lists, padded_mean

FULL = os.environ.get("CAUSES") == "full"
WORLDS = 200 if FULL else 3
NAMES = ["reach", "level", "mood", "noise", "more_noise"]


def world(rows: int, seed: int, *, who: float = 0.0, what: float = 0.0, rows_each: int = 1) -> JudgedRows:
    """Return rows of a model that has not learned all there is.

    Parameters
    ----------
    who : float
        How far those who are scored have come to be others: alike in what tells most, and of another level.
    what : float
        How much less what tells most comes to mean.
    """
    rng, entities = np.random.default_rng(seed), rows // rows_each
    lasting = np.repeat(rng.normal(size=(entities, 5)), rows_each, axis=0)
    x = lasting * np.sqrt(0.9) + rng.normal(0, np.sqrt(0.1), lasting.shape)
    x[:, 0] *= 1 - who / 2
    x[:, 1] += who
    odds = (1 - what) * 1.5 * x[:, 0] + 0.7 * x[:, 1] - 0.5 * x[:, 2] * x[:, 0]
    labels = (rng.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.float64)
    scores = 1 / (1 + np.exp(-(1.4 * x[:, 0] + 0.6 * x[:, 1])))
    return JudgedRows(scores, x, labels, np.repeat(np.arange(entities), rows_each))


def promise_of(rows: JudgedRows) -> Reference:
    placed = place(rows.labels == 1, rows.scores, rows.entities)
    return Reference(placed.value, *placed_interval(placed, level=0.95), len(rows.scores))


def split(seed: int, **changes: float) -> FallParts:
    reference, current = world(3000, 10_000 + seed, rows_each=4), world(1000, seed, **changes)
    found = split_fall(reference, current, promise_of(reference), seed=seed)
    assert isinstance(found, FallParts)
    assert found.realised == pytest.approx(roc_auc_score(current.labels, current.scores))
    return found


@pytest.mark.parametrize(
    ("changes", "is_who", "is_what"),
    [
        ({}, False, False),
        ({"who": 1.0}, True, False),
        ({"what": 0.5}, False, True),
        ({"who": 0.8, "what": 0.5}, True, True),
    ],
    ids=["none", "who", "what", "both"],
)
def test_who_is_scored_and_what_becomes_of_them_are_told_apart(changes, is_who, is_what):
    """What has not changed is claimed in one world of twenty at most, what has in eight of ten at least."""
    found = [split(seed, **changes) for seed in range(WORLDS)]
    for claims, is_true in (([f.is_who for f in found], is_who), ([f.is_what for f in found], is_what)):
        print(changes, sum(claims), "of", WORLDS)
        assert sum(claims) >= 0.8 * WORLDS if is_true else sum(claims) <= 0.05 * WORLDS + (0 if FULL else 1)


def lists_world(lists: int, seed: int, *, who: float = 0.0, what: float = 0.0, lists_each: int = 1) -> JudgedLists:
    """Return lists of a ranking, whose items are the easier to order the clearer their owner's taste is.

    Parameters
    ----------
    who : float
        How much less clear the tastes of those are who are scored.
    what : float
        How much less the same tastes come to mean.
    """
    rng, items = np.random.default_rng(seed), 20
    lasting = np.repeat(rng.normal(size=(lists // lists_each, 2)), lists_each, axis=0)
    clear, other = lasting.T * np.sqrt(0.9) + rng.normal(0, np.sqrt(0.1), (2, lists))
    clear -= who
    fits, price = rng.normal(size=(2, lists, items))
    price += 0.3 * other[:, None]
    odds = 0.5 * price - 2 + (1 - what) * (2.2 / (1 + np.exp(-1.2 * clear)))[:, None] * fits
    labels = (rng.random(odds.shape) < 1 / (1 + np.exp(-odds))).astype(np.int8)
    ranks = np.argsort(np.argsort(-(fits + 0.4 * price), axis=1), axis=1) + 1
    found = measure_lists(np.repeat(np.arange(lists), items), ranks.ravel().astype(np.int32), labels.ravel(), k=5)
    told = found.measured
    features = np.column_stack([clear, other, fits.mean(axis=1), price.mean(axis=1)])
    features[::7, 3] = np.nan
    return JudgedLists(found.ndcg[told], features[told], np.repeat(np.arange(lists // lists_each), lists_each)[told])


@pytest.mark.parametrize(
    ("changes", "is_who", "is_what"),
    [
        ({}, False, False),
        ({"who": 1.0}, True, False),
        ({"what": 0.25}, False, True),
        ({"who": 0.8, "what": 0.25}, True, True),
    ],
    ids=["none", "who", "what", "both"],
)
def test_of_lists_who_is_scored_and_what_becomes_of_them_are_told_apart(changes, is_who, is_what):
    whos, whats, falls = [], [], []
    for seed in range(WORLDS):
        reference, current = lists_world(3000, 10_000 + seed, lists_each=4), lists_world(1000, seed, **changes)
        totals, counts = np.bincount(reference.owners, reference.ndcg), np.bincount(reference.owners).astype(float)
        promise = Reference(float(reference.ndcg.mean()), *padded_mean(totals, counts), len(reference.ndcg))
        parts = split_fall(reference, current, promise, samples=60, seed=seed)
        assert parts.realised == pytest.approx(current.ndcg.mean())
        whos, whats = [*whos, parts.is_who], [*whats, parts.is_what]
        falls.append(promise.value - parts.realised)
        told = find_causes(
            reference, current, parts, list(cut_features(reference, current, ["clear", "other"])),
            promise=promise, names=["clear", "other"],
        )  # fmt: skip
        assert told[0].startswith(
            f"NDCG {parts.realised:.3f} of {len(np.unique(current.owners))} entities, the newest night of each, "
            f"where the test had {promise.value:.3f}: "
        )
        assert any(cause.startswith("clear: the middle half lies") for cause in told) == parts.is_who
    print(changes, "fall", round(float(np.mean(falls)), 3), "who", sum(whos), "what", sum(whats), "of", WORLDS)
    for claims, is_true in ((whos, is_who), (whats, is_what)):
        assert sum(claims) >= 0.8 * WORLDS if is_true else sum(claims) <= 0.05 * WORLDS + (0 if FULL else 1)


def test_of_lists_the_part_whose_order_has_become_random_is_named():
    reference, current = lists_world(3000, 3, lists_each=4), lists_world(1500, 4)
    is_hit = current.features[:, 1] > 0.43
    ndcg = np.where(is_hit, current.ndcg * np.random.default_rng(5).random(len(is_hit)), current.ndcg)
    hit = JudgedLists(ndcg, current.features, current.owners)
    found = find_part(reference, hit, list(cut_features(reference, hit, ["clear", "other"])))
    assert (found.name.partition(">=")[0], found.metric) == ("other", "NDCG")
    assert found.of_fall > 0.5


def _part_lists(seed: int, *, hits: float, lists: int) -> tuple[JudgedLists, Cells]:
    """Return lists with a positive item in the first ten places so often, of five small parts and a large one."""
    rng, places = np.random.default_rng(seed), 1 / np.log2(1 + np.arange(1, 11))
    ndcg = np.where(rng.random(lists) < hits, rng.choice(places, lists), 0.0)
    parts = Cells("c", tuple("abcdef"), rng.choice(6, lists, p=[0.025] * 5 + [0.875]))
    return JudgedLists(ndcg, np.zeros((lists, 1)), np.arange(lists)), parts


def test_few_lists_that_all_have_nothing_are_not_taken_for_sure():
    """Where all lists have fallen alike a part is named in one world of twenty at most."""
    named = 0
    for seed in range(100):
        reference, then = _part_lists(seed, hits=0.15, lists=3000)
        current, now = _part_lists(10_000 + seed, hits=0.10, lists=1000)
        named += find_part(reference, current, [(then, now)]) is not None
    assert named <= 5


def test_parts_of_which_all_lists_have_one_value_are_held_against_the_others():
    """Every list of one part has come to the second place; the others stand where they stood."""
    reference = JudgedLists(np.ones(200), np.zeros((200, 1)), np.arange(200))
    half = Cells("c", ("c=a", "c=b"), np.arange(100) % 2)
    fallen = JudgedLists(np.where(half.of_row == 1, 0.5, 1.0), np.zeros((100, 1)), np.arange(100))
    found = find_part(reference, fallen, [(Cells("c", ("c=a", "c=b"), np.arange(200) % 2), half)])
    assert (found.name, found.before, found.now, found.of_fall) == ("c=b", 1.0, 0.5, 1.0)


def test_parts_whose_rows_are_all_in_order_are_held_against_the_others():
    """Within each part every positive row stands above all others; over both parts no more."""
    is_positive, is_b = np.arange(200) % 2 == 1, np.arange(200) >= 100
    before = np.where(is_positive, 0.8, 0.2)
    now = np.where(is_b, before + 1, before)
    reference, current = (
        JudgedRows(scores, np.zeros((200, 1)), is_positive.astype(float), np.arange(200)) for scores in (before, now)
    )
    parts = Cells("c", ("c=a", "c=b"), is_b.astype(int))
    assert find_part(reference, current, [(parts, parts)]) is None


@pytest.mark.parametrize("unit", [1e-12, 1e4, 1e12], ids=str)
def test_what_lists_let_expect_is_the_same_in_any_unit(unit):
    reference, current = lists_world(1500, 1, lists_each=4), lists_world(600, 2, who=1.0)

    def expected(by: float) -> tuple[float, float, float]:
        sides = (JudgedLists(e.ndcg, e.features * [1, by, 1, 1], e.owners) for e in (reference, current))
        return next(sides).expect(next(sides), samples=20, seed=0)

    assert expected(unit) == pytest.approx(expected(1.0), abs=1e-3)


@pytest.mark.parametrize("far", [1e9, 3e38, np.inf], ids=str)
def test_one_list_that_is_far_out_does_not_decide_what_is_expected(far):
    reference, current = lists_world(1500, 1, lists_each=4), lists_world(600, 2)
    beside = current.features.copy()
    beside[0, 1] = far
    told = reference.expect(JudgedLists(current.ndcg, beside, current.owners), samples=20, seed=0)
    assert told == pytest.approx(reference.expect(current, samples=20, seed=0), abs=0.01)


def test_lists_of_one_entity_are_taken_to_be_alike_where_others_are_expected():
    reference, current = lists_world(3000, 1), lists_world(400, 2)
    shared = JudgedLists(current.ndcg, current.features, current.owners // 20)
    (_, low, high), (_, low_shared, high_shared) = (reference.expect(e, samples=60, seed=0) for e in (current, shared))
    assert high_shared - low_shared > 1.5 * (high - low)


def test_where_both_have_nothing_in_common_nothing_is_said():
    reference = world(1000, 1)
    elsewhere = world(600, 2)
    elsewhere = JudgedRows(elsewhere.scores, elsewhere.features + 30, elsewhere.labels, elsewhere.entities)
    parts = split_fall(reference, elsewhere, promise_of(reference))
    (told,) = find_causes(reference, elsewhere, parts, [], promise=promise_of(reference), names=NAMES)
    assert "have too little in common" in told


@pytest.mark.parametrize(
    ("reference", "current", "said"),
    [
        (world(3000, 1), world(80, 2, what=1.0), "the current rows are 80; from fewer than 100 nothing is estimated"),
        (lists_world(600, 1), lists_world(50, 2), r"the current lists are \d\d; from fewer than 100 nothing is told"),
        (lists_world(600, 1, lists_each=60), lists_world(300, 2), "the test has lists of 10 entities"),
    ],
    ids=["rows", "lists", "entities"],
)
def test_of_few_it_is_said_that_they_are_few_and_not_that_they_are_others(reference, current, said):
    promise = Reference(0.8, 0.78, 0.82, 3000)
    parts = split_fall(reference, current, promise)
    (told,) = find_causes(reference, current, parts, [], promise=promise, names=NAMES)
    assert re.search(f"can't be told: {said}", told)
    assert "in common" not in told


def test_the_part_whose_chances_have_changed_is_named_and_where_all_have_none_is():
    """Above 1 what tells most means nothing any more; elsewhere it does what it did."""
    reference, current = world(4000, 3, rows_each=4), world(2000, 4)
    labels, rng = current.labels.copy(), np.random.default_rng(5)
    is_hit = current.features[:, 0] > 0.43
    labels[is_hit] = rng.random(is_hit.sum()) < 0.5
    hit = JudgedRows(current.scores, current.features, labels, current.entities)
    found = find_part(reference, hit, list(cut_features(reference, hit, NAMES)))
    end = float(f"{np.quantile(reference.features[:, 0], 2 / 3):.3g}")
    assert found.name == f"reach>={end:g}"
    own = current.features[:, 0] >= end
    assert found.now == pytest.approx(roc_auc_score(labels[own], current.scores[own]))
    assert found.of_rows == pytest.approx(own.mean())
    falls = [
        roc_auc_score(reference.labels[then], reference.scores[then]) - roc_auc_score(labels[now], current.scores[now])
        for then, now in ((reference.features[:, 0] < end, ~own), (slice(None), slice(None)))
    ]
    assert found.of_fall == pytest.approx(1 - falls[0] / falls[1])
    assert found.of_fall > 0.5
    assert f"without these {found.of_rows:.1%}, {found.of_fall:.0%} of the fall is gone" in str(found)
    alike = 0
    for seed in range(WORLDS * 5):
        then, now = world(2000, 100 + seed), world(1000, 900 + seed, what=0.5)
        cells = [(Cells("c", ("a", "b"), np.arange(2000) % 2), Cells("c", ("a", "b"), np.arange(1000) % 2))]
        alike += find_part(then, now, cells) is not None
    print("alike", alike, "of", WORLDS * 5)
    assert alike <= 0.05 * WORLDS * 5 + 2


def test_the_feature_that_made_the_test_harder_is_named_in_its_own_unit():
    reference, current = world(3000, 8, rows_each=4), world(1000, 9, who=1.0)
    found = find_moved(reference, current, NAMES)
    assert found.name == "reach"
    assert found.now == pytest.approx(tuple(np.quantile(current.features[:, 0], [0.25, 0.75])))
    assert found.brings < roc_auc_score(reference.labels, reference.scores) - 0.03
    assert f"from {found.now[0]:.3g} to {found.now[1]:.3g}" in str(found)


def test_a_feature_that_has_not_moved_is_named_in_one_world_of_twenty_at_most():
    """What has moved, and made the test harder, is none of those that are looked at."""
    named = 0
    for seed in range(20):
        reference, current, moved = world(1500, 1000 + seed, rows_each=4), world(600, seed), world(600, seed, who=1.0)
        features = current.features.copy()
        features[:, 0] = moved.features[:, 0]
        sides = (
            JudgedRows(rows.scores, columns[:, 1:], rows.labels, rows.entities)
            for rows, columns in ((reference, reference.features), (current, features))
        )
        named += find_moved(*sides, NAMES[1:]) is not None
    assert named <= 2


def _missing(rows: JudgedRows, share: float, *, becomes: float = np.nan) -> JudgedRows:
    """Return rows of which a share, evenly, lack what tells most, and are scored alike."""
    is_missing = np.arange(len(rows.scores)) % 100 < share * 100
    features = np.where(is_missing[:, None] & (np.arange(5) == 0), becomes, rows.features)
    return JudgedRows(np.where(is_missing, 0.5, rows.scores), features, rows.labels, rows.entities)


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.5, "and 50% have no value, on the test 20%; "), (1.0, "^reach: 100% have no value, on the test 20%; ")],
    ids=["half", "all"],
)
def test_a_feature_that_is_missing_more_often_is_named_and_how_often(share, said):
    found = find_moved(_missing(world(3000, 8), 0.2), _missing(world(1000, 9), share), NAMES)
    assert found.name == "reach"
    assert re.search(said, str(found))


def test_where_the_middle_half_lies_as_it_did_it_is_said_where_most_has_changed():
    """Most stand at 0, then as now; it is the others that were told apart."""
    reference, current = (
        _missing(world(rows, seed), share, becomes=-9.0) for rows, seed, share in ((3000, 8, 0.76), (1000, 9, 0.95))
    )
    found = find_moved(reference, current, NAMES)
    assert (found.name, found.before, found.now) == ("reach", (-9.0, -9.0), (-9.0, -9.0))
    end, was, came = found.above
    assert was == pytest.approx((reference.features[:, 0] >= end).mean())
    assert came == pytest.approx((current.features[:, 0] >= end).mean())
    assert re.search(rf"^reach: {came:.1%} have .* or more, on the test {was:.1%}; that alone brings AUC", str(found))


def _beyond(rows: JudgedRows, by: float) -> JudgedRows:
    """Return rows in a unit of which all of them have many."""
    return JudgedRows(rows.scores, rows.features + by, rows.labels, rows.entities)


def test_values_that_lie_close_together_are_cut_in_thirds_and_told_apart():
    reference, current = (_beyond(rows, 20_000.0) for rows in (world(3000, 8), world(1000, 9, who=1.0)))
    (then, _), *_ = cut_features(reference, current, NAMES)
    assert [float(then.are(name).mean()) for name in then.names[:3]] == pytest.approx([1 / 3] * 3, abs=0.01)
    found = find_moved(reference, current, NAMES)
    low, high = found.now
    assert f"the middle half lies from {low:.7g} to {high:.7g}, on the test from" in str(found)


def test_a_value_that_an_end_is_told_as_is_of_the_third_above_it():
    # Of 32 bits, as a model has them: 0.7 is kept as 0.699999988.
    rng = np.random.default_rng(2)
    shares = rng.choice(np.array([0.3, 0.5, 0.7, 0.9], dtype=np.float32), 900, p=[0.2, 0.2, 0.3, 0.3])
    rows = JudgedRows(
        rng.random(900), shares[:, None].astype(np.float64), rng.integers(0, 2, 900) * 1.0, np.arange(900)
    )
    ((cells, _),) = cut_features(rows, rows, ["share"])
    assert cells.names == ("share<0.5", "0.5<=share<0.7", "share>=0.7", "share missing")
    assert cells.of_row.tolist() == np.searchsorted([0.4, 0.6], shares).tolist()


def test_of_a_test_without_rows_it_is_said_that_they_are_few():
    none, current, promise = world(3000, 8).take(np.arange(0)), world(300, 9), Reference(0.8, 0.78, 0.82, 0)
    reference = JudgedRows(none.scores, none.features, none.labels, none.entities)
    parts = split_fall(reference, current, promise)
    (told,) = find_causes(reference, current, parts, [], promise=promise, names=NAMES)
    assert "the reference rows are 0" in told


def test_pulls_say_how_the_metric_moves_with_the_share_of_each():
    for side in (world(400, 1), lists_world(400, 2)):
        pulls, more = side.pulls(), np.ones(len(side.features))
        more[7] += 1e-4
        assert pulls.mean() == pytest.approx(0, abs=1e-12)
        assert (side.weighted(more) - side.weighted()) / 1e-4 * len(more) == pytest.approx(pulls[7], rel=0.02)


@pytest.mark.parametrize(
    ("is_who", "is_what", "said"),
    [
        (True, True, "who is scored has changed, which alone brings 0.800 .*, and what becomes of those .* too"),
        (False, True, "what becomes of those with the same features has changed; by their features 0.800"),
        (True, False, "who is scored has changed, which alone brings 0.800"),
        (False, False, "has changed beyond chance"),
    ],
)
def test_three_causes_at_most_are_told_first_which_kind(is_who, is_what, said):
    reference, current = world(3000, 8, rows_each=4), world(1000, 9, who=1.0, what=0.5)
    parts = FallParts(Figure(0.8, 0.78, 0.82), 0.7, is_who, is_what)
    cells = list(cut_features(reference, current, NAMES))
    told = find_causes(reference, current, parts, cells, promise=Reference(0.85, 0.83, 0.87, 3000), names=NAMES)
    assert told[0].startswith("AUC 0.700 of 1000 entities, the newest night of each, where the test had 0.850: ")
    assert len(told) <= 3
    assert any("reach: the middle half lies" in cause for cause in told) == is_who

    assert re.search(said, told[0])
