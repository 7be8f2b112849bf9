"""The grid of nights: what should be of each group and model by a night, held against what is.

What belongs here: which nights are owed, and what of them is missing, as a pure function of what is on record. What
does not: reading the record (``steps.night_status``), and why a night is missing (``steps.find_missed``).

A night of a group is owed from the first night of a promoted model that reads it, or of its own that was published
since a model was promoted, for as long as what it reads has come, and for days that were passed over. Where nothing
comes any more one night is owed, the first, once the silence is longer than the group's ``freshness_days``. A night of
a model is owed where a version governs it and its groups' nights are there, or owed too. Outcomes of a night that
were never recorded come with a later night: owed are those that were, and are gone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from include import partitions
from include.monitoring.missed_nights import Lacks

_OF_A_MODEL: dict[str, Lacks] = {
    "scored": "scores",
    "recorded": "outcomes",
    "measured": "measurement",
    "decided": "decision",
}


@dataclass(frozen=True)
class GroupRecord:
    """What is on record of a feature group.

    Attributes
    ----------
    group : str
    freshness_days : int
        How long what it reads may be silent.
    since : str or None
        The first night that is owed; None where none is.
    arrived : frozenset of str
        Days of which all that it reads has come.
    reached : str or None
        The last day that all that it reads has come up to, whether days before it were passed over or not.
    built : frozenset of str
        Nights that are published, and whose rows are there.
    gone : frozenset of str
        Nights that were published with rows, and have none any more.
    online : frozenset of str
        Nights that were brought online; empty where none ever was.
    """

    group: str
    freshness_days: int
    since: str | None
    arrived: frozenset[str]
    reached: str | None
    built: frozenset[str]
    gone: frozenset[str]
    online: frozenset[str]

    @property
    def is_used(self) -> bool:
        """Whether anybody waits for it, or has built it."""
        return self.since is not None or bool(self.built or self.gone)


@dataclass(frozen=True)
class GroupNight:
    """A night of a group.

    Attributes
    ----------
    partition : str
    group : str
    delivered : bool
        All that it reads has come.
    built : bool
        It is published, and its rows are there.
    online : bool or None
        None where the group is not online, or was not yet.
    missing : tuple of str
        What of it is owed and is not there.
    """

    partition: str
    group: str
    delivered: bool
    built: bool
    online: bool | None
    missing: tuple[str, ...]

    @property
    def lacks(self) -> Lacks | None:
        """The first thing that has to be done; None where nothing is missing."""
        if not self.missing:
            return None
        return "online" if self.built else "features"


@dataclass(frozen=True)
class ModelRecord:
    """What is on record of a model.

    Attributes
    ----------
    model_id : str
    groups : tuple of str
        That it reads.
    governed : frozenset of str
        Nights that a version governs.
    scored : frozenset of str
        Nights that are published, and whose scores are there.
    recorded : frozenset of str
        Nights whose outcomes are recorded, and there.
    gone : frozenset of str
        Nights whose outcomes were recorded, and are there no more.
    measured, decided : frozenset of str
    """

    model_id: str
    groups: tuple[str, ...]
    governed: frozenset[str]
    scored: frozenset[str]
    recorded: frozenset[str]
    gone: frozenset[str]
    measured: frozenset[str]
    decided: frozenset[str]


@dataclass(frozen=True)
class ModelNight:
    """A night of a model; of the first three, whether it holds of all groups that it reads.

    Attributes
    ----------
    partition : str
    model_id : str
    delivered, built : bool
    online : bool or None
        None where none of its groups is online.
    scored : bool
    recorded : bool or None
        Whether its outcomes are there; None where they were not recorded, or not yet.
    measured, decided : bool
    missing : tuple of str
        What of it is owed and is not there; empty where nothing is owed.
    """

    partition: str
    model_id: str
    delivered: bool
    built: bool
    online: bool | None
    scored: bool
    recorded: bool | None
    measured: bool
    decided: bool
    missing: tuple[str, ...]

    @property
    def lacks(self) -> Lacks | None:
        """The first thing of the model's own that has to be done; None where nothing is missing."""
        return next((lacks for word, lacks in _OF_A_MODEL.items() if word in self.missing), None)


def find_group_nights(record: GroupRecord, nights: Collection[str], *, until: str) -> Iterator[GroupNight]:
    """Yield those of `nights` that are owed up to `until`, or of which anything is there, in order.

    None of a group that nobody has built and nobody waits for.

    Parameters
    ----------
    record : GroupRecord
    nights : collection of str
        Of which the grid is made.
    until : str
        The last night that is over: silence is counted up to it.
    """
    if record.is_used:
        yield from _find_group_nights(record, nights, until)


def _find_group_nights(record: GroupRecord, nights: Collection[str], until: str) -> Iterator[GroupNight]:
    for night in sorted(nights):
        built, arrived = night in record.built, night in record.arrived
        is_online = _is_online(record, night)
        missing = [word for word, lost in (("built", not built), ("online", is_online is False)) if lost]
        is_owed = night in record.gone or _is_owed(record, night, until)
        if is_owed or built or arrived:
            yield GroupNight(night, record.group, arrived, built, is_online, tuple(missing) if is_owed else ())


def _is_online(record: GroupRecord, night: str) -> bool | None:
    since = min(record.online, default=None)
    return None if since is None or night < since else night in record.online


def _is_owed(record: GroupRecord, night: str, until: str) -> bool:
    if record.since is None or record.reached is None or not record.since <= night <= until:
        return False
    if night <= record.reached:
        return True
    first_silent = max(record.since, partitions.shift(record.reached, 1))
    return night == first_silent and partitions.days_between(record.reached, until) > record.freshness_days


def find_model_nights(record: ModelRecord, groups: Sequence[Sequence[GroupNight]]) -> Iterator[ModelNight]:
    """Yield the nights of a model that are owed, or of which anything is there, in order.

    Parameters
    ----------
    record : ModelRecord
    groups : sequence of sequence of GroupNight
        Of each group that it reads.
    """
    by_night = [{each.partition: each for each in nights} for nights in groups]
    for night in sorted(record.gone.union(set(by_night[0]).intersection(*by_night[1:]))):
        read = [nights[night] for nights in by_night if night in nights]
        found = _find_model_night(record, night, read, is_whole=len(read) == len(by_night))
        if found.missing or found.scored or found.measured or found.decided:
            yield found


def _find_model_night(record: ModelRecord, night: str, read: Sequence[GroupNight], *, is_whole: bool) -> ModelNight:
    found = _see_model_night(record, night, read if is_whole else ())
    if not (is_whole and night in record.governed and all(each.built or each.missing for each in read)):
        return found
    lost = (word for word in _OF_A_MODEL if getattr(found, word) is False)
    return replace(found, missing=(*_missing_of(read), *lost))


def _see_model_night(record: ModelRecord, night: str, read: Sequence[GroupNight]) -> ModelNight:
    """Return a night that nobody owes, of which outcomes that are gone are missing all the same."""
    is_gone = night in record.gone
    return ModelNight(
        night,
        record.model_id,
        delivered=bool(read) and all(each.delivered for each in read),
        built=bool(read) and all(each.built for each in read),
        online=_all_online(read),
        scored=night in record.scored,
        recorded=not is_gone if is_gone or night in record.recorded else None,
        measured=night in record.measured,
        decided=night in record.decided,
        missing=("recorded",) if is_gone else (),
    )


def _missing_of(read: Sequence[GroupNight]) -> Iterator[str]:
    lost = {word for each in read for word in each.missing}
    yield from (word for word in ("built", "online") if word in lost)


def _all_online(read: Sequence[GroupNight]) -> bool | None:
    known = [each.online for each in read if each.online is not None]
    return all(known) if known else None
