"""Numbers from text, exactly, or not at all.

What belongs here: how a number is written, by a dialect, and which can't be kept. What does not: naming the value that
is none (``typed_columns``).
"""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from itertools import product

import pyarrow as pa
import pyarrow.compute as pc

from include.specs.dialect import Dialect

# Above it a float no longer tells one whole number from the next.
EXACT_MAX = 2**53

# For decimals and thousands, the plainest first.
MARKS = ((".", None), (",", None), (",", "."), (".", ","), *product((",", "."), ("\xa0", "\u202f", " ", "'", "\u2019")))

_WHOLE = r"^-?[0-9]+$"
# "2.0" is how a column of whole numbers with gaps leaves pandas.
_WHOLE_AS_FLOAT = r"^\+?(-?[0-9]+)(?:\.0*)?$"
_INFINITE = r"(?i)^[-+]?inf(inity)?$"


class NoNumberError(ValueError):
    """A text is no number, or none that can be kept."""


def numbers_of(texts: pa.ChunkedArray, dialect: Dialect) -> pa.ChunkedArray:
    """Return the numbers that texts name, as float64; NaN is null.

    Raises
    ------
    NoNumberError
        If one is no number, or a whole number above 2^53 that a float would round, or too large for a float.
    """
    texts = _plain(texts, dialect)
    try:
        numbers = texts.cast(pa.float64())
    except pa.ArrowInvalid as err:
        raise NoNumberError from err
    if pc.any(pc.greater_equal(pc.abs(numbers), float(EXACT_MAX))).as_py():
        _check_large(texts, numbers)
    return pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)


def marks_of(text: str, dialect: Dialect) -> list[str]:
    """Return the options that would read a text as a number; none where the dialect does so already."""
    found = []
    for decimal, thousands in MARKS:
        if thousands is not None and thousands not in text:
            continue
        try:
            numbers_of(pa.chunked_array([[text]]), replace(dialect, decimal=decimal, thousands=thousands))
        except NoNumberError:
            continue
        named = [("decimal", decimal, dialect.decimal), ("thousands", thousands, dialect.thousands)]
        found.append(", ".join(f"{name}: {mark!r}" for name, mark, known in named if mark != known))
    return found if all(found) else []


def whole_numbers_of(texts: pa.ChunkedArray, dialect: Dialect) -> tuple[pa.ChunkedArray, pa.ChunkedArray | None]:
    """Return the whole numbers that texts name.

    Returns
    -------
    whole : pyarrow.ChunkedArray of int64
        Null where a number is infinite.
    infinite : pyarrow.ChunkedArray of float64, or None
        The infinite ones, null elsewhere; None where there is none.

    Raises
    ------
    NoNumberError
        If one is no whole number, or does not fit into 64 bits.
    """
    try:
        return _integers(texts), None
    except NoNumberError:
        texts = _plain(texts, dialect)
    texts = pc.replace_substring_regex(texts, _WHOLE_AS_FLOAT, r"\1")
    is_whole = pc.match_substring_regex(texts, _WHOLE)
    nothing = pa.scalar(None, pa.string())
    whole = _integers(pc.if_else(is_whole, texts, nothing))
    # 1e3 and infinity are left.
    return joined(whole, numbers_of(pc.if_else(is_whole, nothing, texts), dialect))


def joined(
    whole: pa.ChunkedArray, numbers: pa.ChunkedArray, *, exact_max: int = EXACT_MAX
) -> tuple[pa.ChunkedArray, pa.ChunkedArray | None]:
    """Return whole numbers and floats that are whole as one column, and the infinite ones; as `whole_numbers_of`.

    Raises
    ------
    NoNumberError
        If a float is not whole, or further from zero than `exact_max`.
    """
    if numbers.null_count == len(numbers):
        return whole, None
    nothing = pa.scalar(None, pa.float64())
    finite = pc.if_else(pc.is_finite(numbers), numbers, nothing)
    is_odd = pc.or_(pc.not_equal(finite, pc.trunc(finite)), pc.greater(pc.abs(finite), float(exact_max)))
    if pc.any(is_odd).as_py():
        raise NoNumberError
    whole = pc.coalesce(whole, finite.cast(pa.int64()))
    infinite = pc.if_else(pc.is_inf(numbers), numbers, nothing)
    return whole, infinite if infinite.null_count < len(infinite) else None


def _integers(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        whole = texts.cast(pa.int64())
    except pa.ArrowInvalid as err:
        raise NoNumberError from err
    # Arrow reads hexadecimal digits too.
    if pc.any(pc.match_substring(texts, "x", ignore_case=True)).as_py():
        raise NoNumberError
    return whole


def _plain(texts: pa.ChunkedArray, dialect: Dialect) -> pa.ChunkedArray:
    """Return numbers with a point before the fraction, and with nothing between thousands."""
    if dialect.thousands is not None:
        mark, point = (re.escape(sign) for sign in (dialect.thousands, dialect.decimal))
        grouping = rf"^[-+]?[0-9]{{1,3}}({mark}[0-9]{{3}})+({point}[0-9]*)?$"
        grouped = texts.filter(pc.match_substring(texts, dialect.thousands))
        if pc.all(pc.match_substring_regex(grouped, grouping)).as_py() is False:
            raise NoNumberError
        texts = pc.replace_substring(texts, dialect.thousands, "")
    if dialect.decimal != ".":
        if pc.any(pc.match_substring(texts, ".")).as_py():
            raise NoNumberError
        texts = pc.replace_substring(texts, dialect.decimal, ".")
    return texts


def _check_large(texts: pa.ChunkedArray, numbers: pa.ChunkedArray) -> None:
    is_large = pc.greater_equal(pc.abs(numbers), float(EXACT_MAX))
    written, kept = texts.filter(is_large), numbers.filter(is_large)
    if pc.any(pc.and_(pc.is_inf(kept), pc.invert(pc.match_substring_regex(written, _INFINITE)))).as_py():
        raise NoNumberError
    # 1e300 names no digit that a float could lose.
    has_digits = pc.match_substring_regex(written, _WHOLE_AS_FLOAT)
    pairs = zip(written.filter(has_digits).to_pylist(), kept.filter(has_digits).to_pylist(), strict=True)
    if any(is_rounded(Decimal(text), number) for text, number in pairs):
        raise NoNumberError


def is_rounded(written: Decimal, kept: float) -> bool:
    """Say whether a whole number is written that a float does not keep."""
    return written == written.to_integral_value() and written != Decimal(kept)
