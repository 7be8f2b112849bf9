"""Measured nights turned, so that what is shown of a year is a row with a place for each day.

What belongs here: features and checks as such rows, and what nights are told by in a letter. What does not: which days
are shown (``monitoring_page``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from include.monitoring.feature_drift import Verdict

if TYPE_CHECKING:
    from include.adapters.state.nights import NightInShort

NOTHING = "."
_T = TypeVar("_T")


@dataclass(frozen=True)
class FeatureYear:
    """One feature: its PSI on each day in thousandths, and the place of its verdict among the page's words."""

    name: str
    psi: list[int | None]
    verdicts: str


@dataclass(frozen=True)
class CheckYear:
    """One check: what was found on each day, and the first letter of its verdict."""

    watch: str
    name: str
    value: list[float | None]
    low: list[float | None]
    high: list[float | None]
    threshold: list[float | None]
    reference: list[float | None]
    verdicts: str
    reasons: dict[str, str]


@dataclass(frozen=True)
class Year:
    """The days that are shown, and what was measured of each."""

    days: list[str]
    nights: list[NightInShort | None]

    @classmethod
    def of(cls, nights: Iterable[NightInShort], days: list[str]) -> Year:
        """Return the days with those of the nights that are among them."""
        measured = {night.partition: night for night in nights}
        return cls(days, [measured.get(day) for day in days])

    def __contains__(self, partition: str) -> bool:
        return bool(self.days) and self.days[0] <= partition <= self.days[-1]

    def each(self, of: Callable[[NightInShort], _T]) -> list[_T | None]:
        """Return something of each night; None where nothing was measured."""
        return [None if night is None else of(night) for night in self.nights]

    @staticmethod
    def letters(words: Iterable[str | None]) -> str:
        """Return the first letter of each day's word; a point where it has none."""
        return "".join(NOTHING if word is None else word[0] for word in words)


def list_features(year: Year) -> Iterator[FeatureYear]:
    """Yield each feature of any night, in the order of the newest that has it."""
    digits = {word: str(place) for place, word in enumerate(get_args(Verdict))}
    psi = year.each(lambda night: dict(zip(night.features, night.psi, strict=True)))
    verdicts = year.each(lambda night: dict(zip(night.features, night.verdicts, strict=True)))
    names = chain.from_iterable(by_name or () for by_name in reversed(psi))
    for name in dict.fromkeys(names):
        values = [_thousandths(each) for each in _of(name, psi)]
        words = (None if word is None else digits[word] for word in _of(name, verdicts))
        yield FeatureYear(name, values, year.letters(words))


def _of(name: str, nights: Sequence[Mapping[str, _T] | None]) -> list[_T | None]:
    return [None if by_name is None else by_name.get(name) for by_name in nights]


def _thousandths(psi: float | None) -> int | None:
    return None if psi is None else round(psi * 1000)


def list_reasons(year: Year) -> Iterator[tuple[str, list[str]]]:
    """Yield the partitions whose data something is wrong with, and what."""
    found = year.each(lambda night: list(night.measured["data_quality"]["reasons"]))
    for day, reasons in zip(year.days, found, strict=True):
        if reasons:
            yield day, reasons


def list_checks(year: Year) -> Iterator[CheckYear]:
    """Yield each check of any night, in the order of the newest that has it."""
    nights = year.each(lambda night: {(each["watch"], each["name"]): each for each in night.measured.get("checks", ())})
    for watch, name in dict.fromkeys(chain.from_iterable(by_name or () for by_name in reversed(nights))):
        found = [None if by_name is None else by_name.get((watch, name)) for by_name in nights]
        yield _check_year(year, watch, name, found)


def _check_year(year: Year, watch: str, name: str, found: Sequence[Mapping[str, Any] | None]) -> CheckYear:
    def series(field: str) -> list[Any]:
        return [None if check is None else check[field] for check in found]

    return CheckYear(
        watch=watch,
        name=name,
        value=series("value"),
        low=series("low"),
        high=series("high"),
        threshold=series("threshold"),
        reference=series("reference"),
        verdicts=year.letters(series("verdict")),
        reasons={day: reason for day, reason in zip(year.days, series("reason"), strict=True) if reason},
    )
