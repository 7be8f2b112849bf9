"""`mlops nights`: the grid of what should be of each night and what is, and making up for what is missing.

What belongs here: options and what is printed. What does not: which nights are missing, and repairing them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from include.cli import options
from include.cli.deployment import open_deployment
from include.cli.progress import progress
from include.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from include.monitoring.missed_nights import Hole, NightIncident
    from include.steps.night_status import NightStatus
    from include.steps.repair_nights import RepairedNights

_GROUP = ("delivered", "built", "online")
_MODEL = (*_GROUP, "scored", "recorded", "measured", "decided")
_WIDTH = max(map(len, _MODEL))
_start = options.past_day("--start", help="First night.  [default: the first of which anything is owed]")
_end = options.day("--end", help="Last night, included.  [default: the newest of which anything is known]")


@click.group()
def nights() -> None:
    """Look for nights that are missing, of each feature group and model, and make up for them."""


@nights.command()
@options.model_or_all
@_start
@_end
@options.as_json
def status(model_id: str | None, start: str | None, end: str | None, as_json: bool) -> None:
    """Show of every night what was delivered, built, brought online, scored, measured and decided, and what is owed.

    Nights that are alike stand in one line. What is missing is said with its cause, and since when it is known.
    Recorded are the outcomes that a night has told.
    """
    from include.steps.night_status import read_night_status

    _check_range(start, end)
    deployment = open_deployment()
    with progress("reading what is on record"):
        found = read_night_status(deployment, model_id, start=start, end=end)
        incidents = [each for each in deployment.state.night_incidents() if each.is_open]
    if as_json:
        click.echo(json.dumps(_as_json(found) | {"incidents": [_incident(each) for each in incidents]}))
        return
    click.echo("\n".join(_told(found)))
    if incidents:
        missing = read_night_status(deployment, until=_last_looked_at(incidents)).holes
        click.echo("\n".join(_known(incidents, missing, found.holes)))


def _last_looked_at(incidents: Iterable[NightIncident]) -> str:
    """Return the night that the watch looks as far as, which may be later than any that is known."""
    yesterday = (datetime.now(UTC).date() - timedelta(days=1)).isoformat()
    return max(yesterday, *(each.hole.night.partition for each in incidents))


def _known(incidents: Sequence[NightIncident], missing: Iterable[Hole], shown: Iterable[Hole]) -> Iterator[str]:
    """Yield how many nights the watch knows of, how many of them it ends, and those that are missing and not shown."""
    from include.monitoring.missed_nights import tell_holes

    known, keys = {each.hole.key for each in incidents}, {hole.key for hole in shown}
    is_open = [hole for hole in missing if hole.key in known]
    since = min(each.found_at for each in incidents)
    over = _over(len(incidents) - len(is_open), of=len(incidents))
    yield f"watch_nights knows of {len(incidents)}, the first since {since:%Y-%m-%d %H:%M}Z{over}"
    yield from (f"known: {sentence}" for sentence in tell_holes(hole for hole in is_open if hole.key not in keys))


def _over(number: int, *, of: int) -> str:
    from include.specs.deployed import load_specs

    if not number:
        return ""
    stands = ", once every spec stands" if load_specs().violations else ""
    return f"; {'all' if number == of else number} of them are not missing any more: the next watch ends them{stands}"


def _told(found: NightStatus) -> Iterator[str]:
    from include.monitoring.missed_nights import tell_holes

    for group, alike in groupby(found.groups, key=lambda night: night.group):
        yield from _grid(f"group {group}", _GROUP, list(alike))
    for model, of_model in groupby(found.models, key=lambda night: night.model_id):
        yield from _grid(f"model {model}", _MODEL, list(of_model))
    yield from (f"missing: {sentence}" for sentence in tell_holes(found.holes))
    if not found.holes:
        yield "no night is missing"


@nights.command()
@options.model_or_all
@_start
@_end
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.as_json
def repair(model_id: str | None, start: str | None, end: str | None, yes: bool, as_json: bool) -> int:
    """Make up for every night that is missing, oldest first, from its delivery to its decision.

    Done again, or twice at once, it does nothing twice. Exit 1 where something is left, with what to do about it.
    """
    from include.steps.night_status import read_night_status
    from include.steps.repair_nights import repair_nights

    _check_range(start, end)
    deployment = open_deployment()
    if not yes:
        _ask(read_night_status(deployment, model_id, start=start, end=end))
    told = repair_nights(deployment, model_id, start=start, end=end, tell=lambda line: click.echo(line, err=as_json))
    if as_json:
        holes = {"repaired": _holes(told.repaired), "left": _holes(told.left)}
        click.echo(json.dumps({**holes, "waiting": told.waiting}))
    else:
        click.echo("\n".join(_summary(told)))
    return RefusedError.exit_code if told.left else 0


def _summary(told: RepairedNights) -> Iterator[str]:
    from include.monitoring.missed_nights import tell_holes

    yield f"{len(told.repaired)} made up for, {len(told.left)} left"
    for model, night in told.waiting.items():
        yield f"the retrain of {night} waits: monitor_model__{model} asks for it with its next night"
    yield from (f"left: {sentence}" for sentence in tell_holes(told.left))


def _check_range(start: str | None, end: str | None) -> None:
    if start is not None and end is not None and end < start:
        raise UsageError(f"the range ends ({end}) before it starts ({start}); swap them")


def _ask(found: NightStatus) -> None:
    from include.monitoring.missed_nights import tell_holes

    if not found.holes:
        return
    click.echo("\n".join(tell_holes(found.holes)), err=True)
    if not sys.stdin.isatty():
        raise UsageError(f"{len(found.holes)} nights would be made up for; say --yes where nobody can be asked")
    click.confirm("Make up for these?", abort=True, err=True)


def _grid(named: str, words: tuple[str, ...], found: Sequence[Any]) -> Iterator[str]:
    """Yield a heading and a line for each run of nights that are alike."""
    width = max(25, len(named))
    yield f"{named:<{width}}  {'  '.join(f'{word:<{_WIDTH}}' for word in words)}".rstrip()
    for _, run in groupby(found, key=lambda night: _cells(night, words)):
        alike = list(run)
        first, last = alike[0].partition, alike[-1].partition
        shown = first if first == last else f"{first} … {last}"
        yield f"{shown:<{width}}  {'  '.join(f'{cell:<{_WIDTH}}' for cell in _cells(alike[0], words))}".rstrip()


def _cells(night: Any, words: Iterable[str]) -> tuple[str, ...]:
    """Return what is said of each stage: yes; MISSING where it is owed; otherwise no, or nothing where it is unused."""
    said = {True: "yes", False: "no", None: ""}
    return tuple("MISSING" if word in night.missing else said[getattr(night, word)] for word in words)


def _as_json(found: NightStatus) -> dict[str, Any]:
    why = {hole.key: hole.night.why for hole in found.holes}
    return {
        "nights": [asdict(n) | {"why": why.get(("model", n.model_id, n.partition))} for n in found.models],
        "groups": [asdict(n) | {"why": why.get(("group", n.group, n.partition))} for n in found.groups],
    }


def _incident(incident: NightIncident) -> dict[str, str]:
    (told,) = _holes([incident.hole])
    return {**told, "found_at": incident.found_at.isoformat(), "found_by": incident.found_by}


def _holes(holes: Iterable[Hole]) -> list[dict[str, str]]:
    return [{"kind": hole.kind, "name": hole.name, **asdict(hole.night)} for hole in holes]
