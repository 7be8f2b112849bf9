"""No label that an example is fitted on looks into the test window."""

from __future__ import annotations

import numpy as np
import pytest

from include.errors import RefusedError, UsageError
from include.training.split import split_by_time

WEEKS = np.arange("2011-01-01", "2011-09-01", 7, dtype="datetime64[D]").astype("datetime64[us]")


@pytest.mark.parametrize("horizon", [1, 7, 30, 60, 90])
@pytest.mark.parametrize("test_days", [1, 14, 28])
def test_labels_to_fit_on_end_before_the_test_begins(horizon, test_days):
    snapshots = np.random.default_rng(0).permutation(np.repeat(WEEKS, 3))
    split = split_by_time(snapshots, test_days=test_days, horizon_days=horizon)
    assert (snapshots[split.train] + np.timedelta64(horizon, "D") <= snapshots[split.test].min()).all()
    assert not (split.train & split.test).any()
    assert split.purged == len(snapshots) - split.train.sum() - split.test.sum()


def test_a_label_that_ends_as_the_test_begins_is_kept():
    split = split_by_time(WEEKS, test_days=7, horizon_days=14)
    assert split.train_end == split.test_start - np.timedelta64(14, "D")


def test_28_test_days_of_weekly_snapshots_are_four_snapshots():
    assert split_by_time(WEEKS, test_days=28, horizon_days=7).test.sum() == 4


def test_without_anything_to_fit_on_it_names_the_values_to_change():
    with pytest.raises(RefusedError, match=r"training\.window_days.*training\.test_days.*label\.horizon_days"):
        split_by_time(WEEKS[:5], test_days=14, horizon_days=60)


@pytest.mark.parametrize("unit", ["D", "s", "us"])
def test_days_are_told_as_days_whatever_their_unit(unit):
    with pytest.raises(RefusedError, match=r"the first of \d{4}-\d\d-\d\d has .* the test began \(\d{4}-\d\d-\d\d\);"):
        split_by_time(WEEKS[:5].astype(f"datetime64[{unit}]"), test_days=14, horizon_days=60)


def test_no_examples_are_refused():
    with pytest.raises(UsageError, match="no examples"):
        split_by_time(WEEKS[:0], test_days=14, horizon_days=60)
