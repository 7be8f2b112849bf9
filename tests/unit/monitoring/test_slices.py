"""What a slice is called: by what was in the data, and so that no two read alike."""

from __future__ import annotations

import pyarrow as pa
import pytest

from include.monitoring.slices import cut

LONG = "x" * 40
CALLED = {
    "a null byte, which no database keeps": ("a\0b", "c=a\\x00b"),
    "a line's end, which would begin another cause": ("DE\ndecided: retrain", "c=DE\\ndecided: retrain"),
    "what turns the reading direction": ("\u202eED", "c=\\u202eED"),
    "other scripts": ("Côte d'Ivoire", "c=Côte d'Ivoire"),
    "as long as a name may be": (LONG, f"c={LONG}"),
    "longer": (f"{LONG}y", f"c={LONG[1:]}…"),
    "nothing": ("", "c="),
}


@pytest.mark.parametrize(("value", "name"), CALLED.values(), ids=CALLED)
def test_a_text_is_named_in_one_line_that_can_be_kept(value, name):
    assert cut(pa.chunked_array([[value]]), "c", []).names == (name, "c missing")


def test_values_that_are_told_alike_are_one_slice():
    cells = cut(pa.chunked_array([["a\0", "b", "a\\x00", f"{LONG}y", f"{LONG}z"]]), "c", [])
    assert cells.of_row.tolist() == [0, 1, 0, 2, 2]
    assert len(set(cells.names)) == len(cells.names)


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()])
def test_a_number_that_is_an_end_is_of_the_slice_above_it_in_any_precision(kind):
    cells = cut(pa.chunked_array([pa.array([0.69, 0.7, 0.1, 0.71], kind)]), "c", [0.1, 0.7])
    assert cells.of_row.tolist() == [1, 2, 1, 2]


def test_ends_that_are_near_each_other_are_told_apart():
    cells = cut(pa.chunked_array([[1_000_000.0, 1_000_000.5, 0.0]]), "c", [1e6, 1e6 + 0.25, 1e6 + 1])
    assert cells.names[:3] == ("c<1000000", "1000000<=c<1000000.25", "1000000.25<=c<1000001")
    assert cells.of_row.tolist() == [1, 2, 0]
