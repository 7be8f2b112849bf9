"""Times written in another way than ISO 8601: a pattern such as ``%d.%m.%Y %H:%M``, made exact.

What belongs here: which directives there are, and the expression that a time of a pattern must match as a whole. What
does not: reading times, which ``adapters.sources.times`` does a column at a time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

# Each directive's name in the expression, and what it matches; one digit or two where a spreadsheet writes no zero.
_DIRECTIVES = {
    "Y": ("year", "[0-9]{4}"),
    "y": ("short_year", "[0-9]{2}"),
    "m": ("month", "[0-9]{1,2}"),
    "b": ("month_name", "(?i:" + "|".join(MONTHS) + ")"),
    "d": ("day", "[0-9]{1,2}"),
    "H": ("hour", "[0-9]{1,2}"),
    "I": ("hour_of_half", "[0-9]{1,2}"),
    "p": ("half", "(?i:am|pm)"),
    "M": ("minute", "[0-9]{1,2}"),
    "S": ("second", "[0-9]{1,2}"),
    "f": ("fraction", "[0-9]{1,9}"),
    "z": ("zone", "Z|[+-][0-9]{2}:?[0-9]{2}"),
}
_PARTS = re.compile(r"%(.)|([^%]+)|(%)")
# Two ways of saying one thing.
_KINDS = {"short_year": "year", "month_name": "month", "hour_of_half": "hour"}
# What there must be, and what a part can't be told without.
_NEEDED = {"year": "%Y or %y", "month": "%m or %b", "day": "%d"}
_WITHIN = {"minute": "hour", "second": "minute", "fraction": "second"}


@dataclass(frozen=True)
class TimePattern:
    """A pattern as a regular expression of RE2.

    Attributes
    ----------
    text : str
        The pattern.
    expression : str
        What a time must match, from end to end, with a named group for each of `groups`.
    groups : tuple of str
        year or short_year, month or month_name, day; hour or hour_of_half with half, minute, second, fraction, zone.
    """

    text: str
    expression: str
    groups: tuple[str, ...]


def compile_pattern(text: str) -> TimePattern:
    """Return what a pattern matches.

    Raises
    ------
    ValueError
        If it has a directive that isn't known, one twice, or names no day.

    Examples
    --------
    >>> compile_pattern("%d.%m.%Y").groups
    ('day', 'month', 'year')
    >>> compile_pattern("%d.%m")
    Traceback (most recent call last):
    ValueError: the time pattern '%d.%m' names no year (%Y or %y)
    """
    groups: list[str] = []
    expression = ""
    for directive, literal, _ in _PARTS.findall(text):
        if literal:
            expression += re.escape(literal)
        elif directive == "%":
            expression += "%"
        elif directive in _DIRECTIVES:
            name, matched = _DIRECTIVES[directive]
            groups.append(name)
            expression += f"(?P<{name}>{matched})"
        else:
            allowed = ", ".join(f"%{known}" for known in _DIRECTIVES)
            raise ValueError(f"the time pattern {text!r} has %{directive}; allowed: {allowed} and %%")
    _check_groups(text, groups)
    return TimePattern(text, f"^(?:{expression})$", tuple(groups))


def _check_groups(text: str, groups: list[str]) -> None:
    kinds = [_KINDS.get(group, group) for group in groups]
    lacking = [f"no {kind} ({how})" for kind, how in _NEEDED.items() if kind not in kinds]
    lacking += [f"its {kind} twice" for kind in kinds if kinds.count(kind) > 1]
    lacking += [f"a {kind}, but no {_WITHIN[kind]}" for kind in kinds if _WITHIN.get(kind, kind) not in kinds]
    lacking += ["only one of %I and %p"] * (("hour_of_half" in groups) != ("half" in groups))
    lacking += ["days and months as ISO 8601 names months and days"] * text.startswith("%Y-%d-%m")
    if lacking:
        raise ValueError(f"the time pattern {text!r} names {lacking[0]}")
