"""Slices: rows that are told apart by what a person knows of them, such as a country or how long somebody is known.

What belongs here: which slice a value is of, and which slices are large enough to be told. What does not: reading
values (``steps.read_slices``), and how a slice did (``slice_performance``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

# More of one column are no overview; the rest is told together.
SLICES_MAX = 8
# Of a longer text nobody reads more, and what people wrote is nobody's slice.
_LONGEST = 40


@dataclass(frozen=True)
class Cells:
    """Which slice of one column each row is of.

    Attributes
    ----------
    column : str
    names : tuple of str
        Of the slices; one may have no row.
    of_row : ndarray of shape (n_rows,), int64
        The place of each row's slice among the names.
    """

    column: str
    names: tuple[str, ...]
    of_row: NDArray[np.int64]

    def are(self, name: str) -> NDArray[np.bool_]:
        """Say which rows are of a slice."""
        return np.asarray(self.of_row == (self.names.index(name) if name in self.names else -1))

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Cells:
        """Return those of some rows."""
        return Cells(self.column, self.names, self.of_row[rows])


def cut(values: pa.ChunkedArray, column: str, ends: Sequence[float]) -> Cells:
    """Return the slice of each row.

    Parameters
    ----------
    values : pyarrow.ChunkedArray
        Of one column, text or numbers.
    column : str
    ends : sequence of float
        Where numbers are cut, rising; none for a text. A number that is an end is of the slice above it; of numbers of
        32 bits that is who is nearest to it.

    Examples
    --------
    >>> cut(pa.chunked_array([[3, 90, None, 400]]), "days", [90, 365])
    Cells(column='days', names=('days<90', '90<=days<365', 'days>=365', 'days missing'), of_row=array([0, 1, 3, 2]))
    >>> cut(pa.chunked_array([["DE", None]]), "country", [])
    Cells(column='country', names=('country=DE', 'country missing'), of_row=array([0, 1]))
    """
    if not ends:
        texts = values.cast(pa.string()).combine_chunks().dictionary_encode()
        told = [in_one_line(text) for text in texts.dictionary.to_pylist()]
        place_of = {text: place for place, text in enumerate(dict.fromkeys(told))}
        known = tuple(f"{column}={text}" for text in place_of)
        of_text = np.array([*(place_of[text] for text in told), len(known)], dtype=np.int64)
        places = of_text[pc.fill_null(texts.indices, len(told)).to_numpy()]
    else:
        names = [_told(end) for end in ends]
        between = (f"{low}<={column}<{high}" for low, high in pairwise(names))
        known = (f"{column}<{names[0]}", *between, f"{column}>={names[-1]}")
        numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float64)
        kept = np.asarray(ends, dtype=np.float32 if pa.types.is_float32(values.type) else np.float64)
        places = np.searchsorted(kept.astype(np.float64), numbers, side="right")
        places = np.where(np.isnan(numbers), len(known), places)
    return Cells(column, (*known, f"{column} missing"), places)


def in_one_line(text: str) -> str:
    """Return a text as a message can hold it: what is no character that one sees is written as its code."""
    short = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return short if short.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in short)


def _told(end: float) -> str:
    """Return a number to its last digit: two ends that differ are not told alike."""
    return repr(float(end)).removesuffix(".0")


def gather(cells: Cells, sizes: NDArray[np.int64], *, rows_min: int) -> Cells:
    """Return the largest slices, the others together as ``COLUMN other``.

    Parameters
    ----------
    sizes : ndarray of shape (n_rows,), int64
        What each row counts for.
    rows_min : int
        What a slice has to have.

    Examples
    --------
    >>> gather(Cells("c", ("c=a", "c=b"), np.array([0, 1, 0])), np.ones(3, int), rows_min=2)
    Cells(column='c', names=('c=a', 'c other'), of_row=array([0, 1, 0]))
    """
    rows = np.bincount(cells.of_row, sizes, len(cells.names))
    largest = np.argsort(-rows, kind="stable")[:SLICES_MAX]
    return gathered_as(cells, [cells.names[place] for place in largest if rows[place] >= rows_min])


def gathered_as(cells: Cells, kept: Sequence[str]) -> Cells:
    """Return the slices as other rows have them: what is none of `kept` is ``COLUMN other``."""
    other = f"{cells.column} other"
    names = [name for name in kept if name != other]
    places = np.array([names.index(name) if name in names else len(names) for name in cells.names], dtype=np.int64)
    return Cells(cells.column, (*names, other), places[cells.of_row])
