"""Which rows differ is told by hand-made tables, and by random ones against a comparison in Python."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from include.training.row_changes import SHOWN, ChangedRow, compare_rows

KEYS = ("at", "who")


def rows(*values: tuple[int, str, float | None, int], order: int = 1) -> pa.Table:
    columns = list(zip(*values[::order], strict=True)) or [(), (), (), ()]
    types = (pa.int64(), pa.string(), pa.float32(), pa.int8())
    names = ("at", "who", "value", "label")
    return pa.table({n: pa.array(c, t) for n, c, t in zip(names, columns, types, strict=True)})


BASE = ((1, "a", 1.0, 0), (1, "b", None, 1), (2, "a", float("nan"), 0))


@pytest.mark.parametrize("order", [1, -1])
def test_equal_rows_in_any_order_have_no_changes_and_a_null_is_a_null(order):
    changes = compare_rows(rows(*BASE), rows(*BASE, order=order), keys=KEYS)
    assert not changes
    assert (changes.added, changes.gone, changes.changed, changes.columns) == (0, 0, 0, {})
    assert changes.first_rows() == []


def test_each_kind_of_change_is_counted_and_named():
    other = rows((1, "a", 2.0, 1), (1, "b", 0.0, 1), (3, "c", 1.0, 0))
    changes = compare_rows(rows(*BASE), other, keys=KEYS)
    assert (changes.added, changes.gone, changes.changed) == (1, 1, 2)
    assert changes.columns == {"value": 2, "label": 1}
    assert changes.first_changed == (
        ChangedRow({"at": "1", "who": "a"}, ("value", "label")),
        ChangedRow({"at": "1", "who": "b"}, ("value",)),
    )
    assert changes.first_rows()[:2] == ["added    at 3, who c", "gone     at 2, who a"]
    assert str(changes) == "1 rows added, 1 gone, 2 changed (value of 2, label of 1)"


def test_a_column_that_is_not_in_both_or_of_another_type_is_named():
    one = rows(*BASE)
    other = one.drop_columns(["value"]).set_column(2, "label", one["label"].cast(pa.int64()))
    changes = compare_rows(one, other, keys=KEYS)
    assert changes
    assert changes.only_in_one == ("label", "value")
    assert str(changes).endswith("not in both: label, value")


@pytest.mark.parametrize(("one", "other"), [(BASE, ()), ((), BASE), ((), ())], ids=["to none", "from none", "none"])
def test_no_rows_are_compared_too(one, other):
    changes = compare_rows(rows(*one), rows(*other), keys=KEYS)
    assert (changes.added, changes.gone, changes.changed) == (len(other), len(one), 0)


@pytest.mark.parametrize("seed", range(5))
def test_random_tables_differ_as_they_do_in_python(seed):
    rng = np.random.default_rng(seed)
    start = datetime(2026, 1, 1, tzinfo=UTC)

    def draw() -> dict[tuple[datetime, str], tuple[Any, ...]]:
        keys = {(start + timedelta(days=int(d)), f"c{c}") for d, c in rng.integers(0, 12, (90, 2))}
        return {key: (None if rng.random() < 0.2 else int(rng.integers(0, 2)), int(rng.integers(0, 2))) for key in keys}

    one, other = draw(), draw()
    tables = [
        pa.table(
            {
                "at": pa.array([at for at, _ in each], pa.timestamp("us", "UTC")),
                "who": [who for _, who in each],
                "x": pa.array([x for x, _ in each.values()], pa.int64()),
                "y": [y for _, y in each.values()],
            }
        )
        for each in (one, other)
    ]
    changes = compare_rows(*tables, keys=KEYS)
    changed = sorted(key for key in one.keys() & other.keys() if one[key] != other[key])
    assert changes.added == len(other.keys() - one.keys())
    assert changes.gone == len(one.keys() - other.keys())
    assert changes.changed == len(changed) > SHOWN
    told = [(row.key["at"], row.key["who"]) for row in changes.first_changed]
    assert told == [(str(at), who) for at, who in changed[:SHOWN]]
    for n, name in enumerate(("x", "y")):
        assert changes.columns.get(name, 0) == sum(one[key][n] != other[key][n] for key in changed)
