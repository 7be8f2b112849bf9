"""Make up for every night that is missing, oldest first, from its delivery to its decision.

What belongs here: the order, and what a night needs. What does not: which nights are missing (``night_status``), and
each step itself, which is that of the DAGs.

Nights are repaired one after the other, each as it would have been in its turn, so that a decision finds the nights
before it decided and those after it not built, unless others have built them: the watermark's rule then says that it
does not act. Every step may be repeated, and what is missing is looked up anew after each night: whoever is stopped
half-way is taken up where it stopped, and two at once are one after the other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from include.adapters.lake.lost_files import strike_lost
from include.adapters.sources.deliveries import delivered_days, landed_days
from include.errors import MlopsError, RefusedError, one_line
from include.monitoring.missed_nights import Hole, Lacks
from include.monitoring.night_grid import GroupNight, ModelNight
from include.specs.groups import load_feature_group
from include.specs.models import load_model
from include.specs.sources import load_source
from include.steps.build_features import build_features
from include.steps.decide_retrain import decide_retrain
from include.steps.find_missed import groups_of
from include.steps.find_waiting import find_waiting
from include.steps.import_source import import_delivery
from include.steps.materialize_features import materialize_features
from include.steps.monitor_model import measure_night
from include.steps.night_status import NightStatus, read_night_status
from include.steps.record_outcomes import record_outcomes
from include.steps.score_batch import score_batch
from include.tables import outcomes_name, predictions_name

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment

log = logging.getLogger(__name__)

# A night of a group or model, and what it lacks: that is tried once.
_Key = tuple[tuple[str, str, str], Lacks]


@dataclass(frozen=True)
class RepairedNights:
    """What a repair has done.

    Attributes
    ----------
    repaired : tuple of Hole
        What was missing and is there now, in the order it was made up for.
    left : tuple of Hole
        What is missing still, with what came in the way.
    waiting : dict of str to str
        By model, the night of a retrain that was decided and that no training has claimed.
    """

    repaired: tuple[Hole, ...]
    left: tuple[Hole, ...]
    waiting: dict[str, str]


def repair_nights(
    deployment: Deployment,
    model_id: str | None = None,
    *,
    start: str | None = None,
    end: str | None = None,
    tell: Callable[[str], None] = log.info,
) -> RepairedNights:
    """Start what is missing, oldest first, and say what was done and what could not be.

    Parameters
    ----------
    deployment : Deployment
        All of it is read and written.
    model_id, start, end : str, optional
        As of ``read_night_status``.
    tell : callable
        Takes a line for each night of a group or model, as it is made up for or not.
    """
    with deployment.state.alone("repairing nights"):
        tried: dict[_Key, str | None] = {}
        missing: dict[_Key, Hole] = {}
        status = read_night_status(deployment, model_id, start=start, end=end)
        while due := [hole for hole in status.holes if _key(hole) not in tried]:
            oldest = min(hole.night.partition for hole in due)
            for hole, why in _repair_night(deployment, status, [h for h in due if h.night.partition == oldest], tell):
                missing[_key(hole)], tried[_key(hole)] = hole, why
            status = read_night_status(deployment, model_id, start=start, end=end)
        left = {hole.key: _left(hole, tried) for hole in status.holes}
        return RepairedNights(_gone(missing.values(), left), tuple(left.values()), _waiting(deployment, status))


def _repair_night(
    deployment: Deployment, status: NightStatus, holes: Sequence[Hole], tell: Callable[[str], None]
) -> Iterator[tuple[Hole, str | None]]:
    """Make up for the holes of one night, and yield each with what came in the way."""
    stuck: set[str] = set()
    for hole in _in_order(holes):
        why = _tried(deployment, status, hole, stuck, tell)
        if why is not None and hole.kind == "group":
            stuck.add(hole.name)
        yield hole, why


def _gone(missing: Iterable[Hole], left: Mapping[tuple[str, str, str], Hole]) -> tuple[Hole, ...]:
    """Return the holes that are there no more, each night once, as it was when it was first tried."""
    return tuple({hole.key: hole for hole in reversed([*missing]) if hole.key not in left}.values())[::-1]


def _key(hole: Hole) -> _Key:
    return hole.key, hole.night.lacks


def _left(hole: Hole, tried: Mapping[_Key, str | None]) -> Hole:
    """Return a hole with what came in the way, where that is more than its cause."""
    return replace(hole, night=replace(hole.night, why=tried.get(_key(hole)) or hole.night.why))


def _waiting(deployment: Deployment, status: NightStatus) -> dict[str, str]:
    models = sorted({night.model_id for night in status.models})
    found = {model_id: find_waiting(deployment, model_id)[:1] for model_id in models}
    return {model_id: nights[0] for model_id, nights in found.items() if nights}


def _in_order(holes: Sequence[Hole]) -> list[Hole]:
    """Return the holes of one night in the order in which one needs another."""
    depth: dict[tuple[str, str], int] = {}

    def of(kind: str, name: str) -> int:
        if (kind, name) not in depth:
            depth[kind, name] = 0
            reads: list[int] = []
            if kind == "model":
                reads = [of("group", group) for group in groups_of(load_model(name))]
            elif kind == "group" and (scored_by := load_feature_group(name).scored_by) is not None:
                reads = [of("model", scored_by)]
            depth[kind, name] = 1 + max(reads, default=0)
        return depth[kind, name]

    return sorted(holes, key=lambda hole: (of(hole.kind, hole.name), hole.kind, hole.name))


def _tried(
    deployment: Deployment, status: NightStatus, hole: Hole, stuck: Set[str], tell: Callable[[str], None]
) -> str | None:
    """Make up for a hole; return what came in the way, which is empty where its own cause says it, or None."""
    done: list[str] = []
    why: str | None = None
    try:
        done.extend(_steps(deployment, status, hole, stuck))
    except _WaitsError as waits:
        why = str(waits)
    except MlopsError as err:
        why = one_line(err)
    left = [] if why is None else [f"left: {why or hole.night.why}"]
    tell(f"{hole.night.partition} {hole.kind} {hole.name}: {'; '.join([', '.join(done), *left] if done else left)}")
    return why


class _WaitsError(Exception):
    """What a night needs is missing itself; it says what, where the night's own cause does not."""


def _steps(deployment: Deployment, status: NightStatus, hole: Hole, stuck: Set[str]) -> Iterator[str]:
    name, night = hole.name, hole.night.partition
    if hole.kind == "source":
        raise _WaitsError
    if hole.kind == "group":
        group = next(each for each in status.groups if (each.group, each.partition) == (name, night))
        if not group.built and not group.delivered:
            raise _WaitsError
        _require_whole(status, group)
        yield from _build(deployment, group)
        return
    if not stuck.isdisjoint(groups_of(load_model(name))):
        raise _WaitsError
    model = next(each for each in status.models if (each.model_id, each.partition) == (name, night))
    yield from _decide(deployment, model)


def _require_whole(status: NightStatus, found: GroupNight) -> None:
    """Keep a night from being built from a table that rows are gone from."""
    sources = load_feature_group(found.group).sources
    lost = [hole for hole in status.holes if hole.kind == "source" and hole.name in sources]
    if days := [hole.night.partition for hole in lost if hole.night.partition <= found.partition]:
        raise _WaitsError(f"rows of {days[0]} are gone from what it reads; they come first")


def _build(deployment: Deployment, found: GroupNight) -> Iterator[str]:
    """Do what a night of a group needs, and yield each thing that was done."""
    group, night = found.group, found.partition
    if not found.built:
        for source in load_feature_group(group).sources:
            taken = delivered_days(deployment.lake, load_source(source))
            # A day before it that is missing would keep it from being built.
            for day in [day for day in landed_days(deployment.settings, source, besides=taken) if day <= night]:
                import_delivery(deployment, day, source=source)
                yield f"{source} of {day} taken"
        strike_lost(deployment.lake, load_feature_group(group).table, night)
        build_features(deployment, group, start=night, end=night)
        yield "built"
    online_since = min(deployment.state.publications(f"online/{group}"), default=None)
    if online_since is not None and night >= online_since:
        materialize_features(deployment, group, start=night, end=night)
        yield "brought online"


def _decide(deployment: Deployment, found: ModelNight) -> Iterator[str]:
    """Do what a night of a model needs, and yield each thing that was done."""
    model_id, night = found.model_id, found.partition
    if "scored" in found.missing:
        strike_lost(deployment.lake, predictions_name(model_id), night)
        score_batch(deployment, model_id, partition=night)
        yield "scored"
    if "recorded" in found.missing:
        strike_lost(deployment.lake, outcomes_name(model_id), night)
        record_outcomes(deployment, model_id, partition=night)
        yield "outcomes recorded"
    if "measured" in found.missing:
        # As the night's own task does; what can't be recorded yet a later night tells.
        with suppress(RefusedError):
            record_outcomes(deployment, model_id, partition=night)
        measure_night(deployment, model_id, partition=night)
        yield "measured"
    # Its own run may have decided it while this one waited for that to measure it.
    if "decided" in found.missing and not _is_decided(deployment, model_id, night):
        # Of whoever repairs it, and how often: it is one run's, so it is decided once.
        ref = decide_retrain(deployment, model_id, partition=night, run_id=f"mlops nights repair {night}")
        yield f"decided: {ref.action}{', which acts' if ref.acted else ''}"


def _is_decided(deployment: Deployment, model_id: str, night: str) -> bool:
    return any(d.partition == night and not d.requested for d in deployment.state.decisions(model_id))
