"""Times from text, exactly, or not at all.

What belongs here: how a time is written, by ISO 8601 or by a dialect's patterns. What does not: naming the value that
is none (``typed_columns``), and the zone of times that name none, which a source says.

A fraction's digits below a microsecond are dropped.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.adapters.files.iso_times import in_one_form
from include.specs.dialect import Dialect
from include.specs.time_patterns import MONTHS, TimePattern, compile_pattern

# More digits of a fraction than six.
_BELOW_MICROSECONDS = r"([.][0-9]{6})[0-9]{1,3}"
# As spreadsheets and shops write them. Both orders of day and month: where a column can be both, only its owner knows.
_COMMON_DAYS = (
    *("%d.%m.%Y", "%d.%m.%y", "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y"),
    *("%d-%m-%Y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d"),
)
_COMMON_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
COMMON_PATTERNS = (*(day + clock for day in _COMMON_DAYS for clock in _COMMON_CLOCKS), "%Y%m%dT%H%M%S")
# Two digits of a year are of this century below it, as POSIX has it.
_CENTURY_FROM = 69


class NoTimeError(ValueError):
    """A text is no time, or has a zone where the others have none."""


def times_of(texts: pa.ChunkedArray, dialect: Dialect, zone: str | None) -> pa.ChunkedArray:
    """Return the times that texts name, as timestamp[us] with or without zone UTC.

    Parameters
    ----------
    zone : {"UTC", None}
        Whether each text names its zone, or none does.

    Raises
    ------
    NoTimeError
        If one is no time, is read differently by two patterns, or names a zone though the others don't.
    """
    kind = pa.timestamp("us", zone)
    try:
        return _of_iso(texts, kind)
    except NoTimeError:
        if not dialect.time_patterns:
            raise
    found = _by_patterns(texts, dialect.time_patterns, kind)
    return pc.coalesce(found, _of_iso(pc.if_else(pc.is_null(found), texts, pa.scalar(None, pa.string())), kind))


def zone_of(text: str, dialect: Dialect) -> str | None:
    """Return "UTC" if a text is a time that names its zone, else None."""
    try:
        times_of(pa.chunked_array([[text]]), dialect, "UTC")
    except NoTimeError:
        return None
    return "UTC"


def _of_iso(texts: pa.ChunkedArray, kind: pa.TimestampType) -> pa.ChunkedArray:
    try:
        return texts.cast(kind)
    except pa.ArrowInvalid:
        texts = pc.replace_substring_regex(in_one_form(texts), _BELOW_MICROSECONDS, r"\1")
    try:
        return texts.cast(kind)
    except pa.ArrowInvalid as err:
        raise NoTimeError from err


def _by_patterns(texts: pa.ChunkedArray, patterns: Iterable[str], kind: pa.TimestampType) -> pa.ChunkedArray:
    """Return the times of texts that a pattern matches, and null for the others."""
    read = pa.chunked_array([pa.nulls(len(texts), kind)])
    for pattern in map(compile_pattern, patterns):
        if ("zone" in pattern.groups) != (kind.tz is not None):
            continue
        try:
            found = _as_iso(texts, pattern).cast(kind)
        except pa.ArrowInvalid as err:
            raise NoTimeError from err
        if pc.any(pc.not_equal(read, found)).as_py():
            raise NoTimeError
        read = pc.coalesce(read, found)
    return read


def _as_iso(texts: pa.ChunkedArray, pattern: TimePattern) -> pa.ChunkedArray:
    """Return texts as ISO 8601 has them; null where a pattern does not match, or there is no such time."""
    found = pc.extract_regex(texts, pattern.expression).combine_chunks()
    parts = {name: found.field(name) for name in pattern.groups}
    year, month, day = _year(parts), _month(parts), _number(parts, "day")
    hour, minute, second = _hour(parts), _number(parts, "minute"), _number(parts, "second")
    is_time = (month >= 1) & (month <= 12) & (day >= 1) & (day <= _days_in(year, np.clip(month, 1, 12)))
    is_time &= (hour >= 0) & (hour <= 23) & (minute <= 59) & (second <= 59)
    date = pc.binary_join_element_wise(_digits(year, 4), _digits(month, 2), _digits(day, 2), "-")
    clock = pc.binary_join_element_wise(*(_digits(part, 2) for part in (hour, minute, second)), ":")
    fraction = pc.utf8_slice_codeunits(pc.utf8_rpad(parts["fraction"], 6, "0"), 0, 6) if "fraction" in parts else "0"
    whole = pc.binary_join_element_wise(pc.binary_join_element_wise(date, clock, " "), fraction, ".")
    zoned = pc.binary_join_element_wise(whole, parts.get("zone", ""), "")
    is_read = pc.and_(found.is_valid(), pa.array(is_time))
    return pa.chunked_array([pc.if_else(is_read, zoned, pa.scalar(None, pa.string()))])


def _digits(numbers: NDArray[np.int64], width: int) -> pa.StringArray:
    return pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width, "0")


def _number(parts: dict[str, pa.StringArray], name: str) -> NDArray[np.int64]:
    """Return the numbers of a group; 0 where the pattern or the text has none."""
    if name not in parts:
        some: pa.StringArray = next(iter(parts.values()))
        return np.zeros(len(some), np.int64)
    texts = parts[name]
    numbers: NDArray[np.int64] = pc.if_else(pc.equal(texts, ""), "0", texts).cast(pa.int64()).to_numpy()
    return numbers


def _year(parts: dict[str, pa.StringArray]) -> NDArray[np.int64]:
    if "year" in parts:
        return _number(parts, "year")
    short = _number(parts, "short_year")
    return short + np.where(short < _CENTURY_FROM, 2000, 1900)


def _month(parts: dict[str, pa.StringArray]) -> NDArray[np.int64]:
    if "month" in parts:
        return _number(parts, "month")
    place = pc.index_in(pc.utf8_lower(parts["month_name"]), pa.array(MONTHS))
    months: NDArray[np.int64] = pc.fill_null(place, -1).to_numpy().astype(np.int64) + 1
    return months


def _hour(parts: dict[str, pa.StringArray]) -> NDArray[np.int64]:
    if "hour_of_half" not in parts:
        return _number(parts, "hour")
    hour = _number(parts, "hour_of_half")
    is_late = pc.equal(pc.utf8_lower(parts["half"]), "pm").to_numpy(zero_copy_only=False)
    return np.where((hour >= 1) & (hour <= 12), hour % 12 + 12 * is_late, -1)


def _days_in(year: NDArray[np.int64], month: NDArray[np.int64]) -> NDArray[np.int64]:
    is_leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    days = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])[month - 1]
    longest: NDArray[np.int64] = days + (is_leap & (month == 2))
    return longest


def patterns_of(texts: pa.ChunkedArray) -> list[str]:
    """Return the patterns, of those that are common, that read each of some texts; more than one is a guess."""
    known = []
    for pattern in COMMON_PATTERNS:
        zone = "UTC" if "%z" in pattern else None
        try:
            found = _by_patterns(texts, [pattern], pa.timestamp("us", zone))
        except NoTimeError:
            continue
        if found.null_count == texts.null_count < len(texts):
            known.append(pattern)
    return known
