"""Say of every night what should be of each group and model, what is, and why something is missing.

What belongs here: reading what is on record, once. What does not: which nights are owed (`monitoring.night_grid`), why
one is missing (``find_missed``), and making up for it (``repair_nights``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain
from typing import TYPE_CHECKING

from include import partitions
from include.adapters.lake.lost_files import lost_partitions
from include.adapters.sources.deliveries import delivered_days, landed_days, published_days
from include.errors import MlopsError
from include.governance.lifecycle import LedgerMove, Stage, production_at
from include.monitoring.missed_nights import Hole, MissedNight
from include.monitoring.night_grid import (
    GroupNight,
    GroupRecord,
    ModelNight,
    ModelRecord,
    find_group_nights,
    find_model_nights,
)
from include.specs.deployed import load_specs
from include.specs.groups import FeatureGroupSpec, load_feature_group
from include.specs.models import ModelSpec, load_model
from include.specs.sources import load_source
from include.steps.find_missed import (
    explain_lost,
    explain_offline,
    explain_unbuilt,
    explain_unmonitored,
    explain_unscored,
    explain_untold,
    groups_of,
)
from include.tables import outcomes_name, outcomes_table, predictions_name

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.adapters.lake.delta_lake import LakeAdapter


@dataclass(frozen=True)
class NightStatus:
    """The grid of a range of nights.

    Attributes
    ----------
    groups : tuple of GroupNight
        By group, each in order of its nights.
    models : tuple of ModelNight
        By model, each in order of its nights.
    holes : tuple of Hole
        What is missing, with the cause: of sources, groups and models.
    """

    groups: tuple[GroupNight, ...]
    models: tuple[ModelNight, ...]
    holes: tuple[Hole, ...]


def read_night_status(
    deployment: Deployment,
    model_id: str | None = None,
    *,
    start: str | None = None,
    end: str | None = None,
    until: str | None = None,
) -> NightStatus:
    """Return the grid of the nights from `start` to `end`, both included; nothing is written.

    Parameters
    ----------
    deployment : Deployment
        Its state, its lake and its landing folder are read.
    model_id : str, optional
        One model and the groups that it reads; by default all models that can be used, and all groups.
    start, end : str, optional
        By default the first night of which anything is owed, and `until`.
    until : str, optional
        The last night that is over; by default the newest of which anything is known, by a delivery or on record.

    Raises
    ------
    MlopsError
        If the lake is not the one that the nights were written to.
    """
    record = _Record(deployment)
    record.require_sources()
    until = until or record.newest
    if until is None:
        return NightStatus((), (), ())
    last = min(end or until, until)
    nights = set(record.nights(start, last))
    chosen, wanted = record.choose(model_id)
    groups = {name: tuple(find_group_nights(record.of_group(name), nights, until=until)) for name in wanted}
    of_models = (
        find_model_nights(record.of_model(spec, nights), [groups[name] for name in groups_of(spec)]) for spec in chosen
    )
    of_groups, models = tuple(chain.from_iterable(groups.values())), tuple(chain.from_iterable(of_models))
    lost = _find_lost(deployment, [record.specs.groups[name] for name in wanted], start=start, last=last)
    holes = (*lost, *_explain_groups(deployment, of_groups), *_explain_models(deployment, models))
    return NightStatus(of_groups, models, holes)


class _Record:
    """What stands of all nights, each part read when it is first asked for."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.specs = load_specs()
        # A model of which nothing else stands has no DAGs either.
        self.models: Mapping[str, ModelSpec] = {
            name: spec for name, spec in self.specs.models.items() if set(groups_of(spec)) <= set(self.specs.groups)
        }
        self._moves = {name: deployment.state.ledger(name) for name in self.models}
        self._publications: dict[str, dict[str, int]] = {}
        self._lost: dict[str, frozenset[str]] = {}

    def choose(self, model_id: str | None) -> tuple[list[ModelSpec], tuple[str, ...]]:
        """Return a model and the groups that it reads; without one all models, and all groups."""
        if model_id is None:
            return list(self.models.values()), tuple(self.specs.groups)
        return [self.models[model_id]], groups_of(self.models[model_id])

    def require_sources(self) -> None:
        """Keep nights from being made anew out of what lies in the landing folder alone, in an empty lake."""
        lake = self.deployment.lake
        for group in self.specs.groups.values():
            if not any(self.published(group.table).values()):
                continue
            if absent := [raw for source in group.sources if not lake.exists(raw := load_source(source).raw.name)]:
                raise MlopsError(
                    f"the lake at {lake.uri} holds no {absent[0]}, which {group.table} was built from; check "
                    "MLOPS_LAKE_URI, and that what it names is mounted, or bring it back from a backup: nothing is "
                    "looked for or made up for before"
                )

    @property
    def newest(self) -> str | None:
        """The newest night of which anything is known; None where nothing is."""
        days = (max(self.arrived[source], default=None) for source in self.specs.sources)
        published = (max(self.published(group.table), default=None) for group in self.specs.groups.values())
        return max((day for day in (*days, *published) if day is not None), default=None)

    def nights(self, start: str | None, last: str) -> list[str]:
        """Return the nights of a range, which by default begins where anything is owed."""
        begins = [since for group in self.specs.groups.values() if (since := self._since(group)) is not None]
        # A partition that is gone is missing however old it is.
        begins += [night for group in self.specs.groups.values() for night in self._gone(group.table)]
        begins += [night for spec in self.models.values() for night in self._untold(spec)]
        first = start or min((*begins, *filter(None, self._first_nights.values())), default=last)
        return partitions.span(first, last) if first <= last else []

    def published(self, target: str) -> dict[str, int]:
        """Return the published nights of a target and their rows."""
        if target not in self._publications:
            self._publications[target] = self.deployment.state.publications(target)
        return self._publications[target]

    @cached_property
    def arrived(self) -> Mapping[str, frozenset[str]]:
        """The days of each source that have come: that were taken, or lie complete in the landing folder."""
        found = {}
        for name, source in self.specs.sources.items():
            taken = delivered_days(self.deployment.lake, source)
            found[name] = frozenset((*taken, *landed_days(self.deployment.settings, name, besides=taken)))
        return found

    def of_group(self, name: str) -> GroupRecord:
        """Return what is on record of a group."""
        group = self.specs.groups[name]
        gone = self._gone(group.table)
        if group.scored_by is not None:
            come = [frozenset(self.published(predictions_name(group.scored_by)))]
        else:
            come = [self.arrived[source] for source in group.sources]
        return GroupRecord(
            name,
            group.freshness_days,
            self._since(group),
            arrived=come[0].intersection(*come[1:]),
            reached=min(max(days) for days in come) if all(come) else None,
            built=frozenset(self.published(group.table)) - gone,
            gone=gone,
            online=frozenset(self.published(f"online/{name}")),
        )

    def of_model(self, spec: ModelSpec, nights: Iterable[str]) -> ModelRecord:
        """Return what is on record of a model."""
        state, scores, outcomes = self.deployment.state, predictions_name(spec.model_id), outcomes_name(spec.model_id)
        untold = self._untold(spec)
        return ModelRecord(
            spec.model_id,
            groups_of(spec),
            governed=frozenset(n for n in nights if production_at(self._moves[spec.model_id], n) is not None),
            scored=frozenset(self.published(scores)) - self._gone(scores),
            recorded=frozenset(self.published(outcomes)) - untold,
            gone=untold.intersection(nights),
            measured=state.measured_nights(spec.model_id),
            decided=frozenset(d.partition for d in state.decisions(spec.model_id) if not d.requested),
        )

    @cached_property
    def _first_nights(self) -> Mapping[str, str | None]:
        """The first night of each model that a version governs; None where none was ever promoted."""
        return {name: _first_night(moves) for name, moves in self._moves.items()}

    def _since(self, group: FeatureGroupSpec) -> str | None:
        readers = [name for name, spec in self.models.items() if group.group in groups_of(spec)]
        if first := [night for name in readers if (night := self._first_nights[name]) is not None]:
            return min(first)
        live = min(filter(None, self._first_nights.values()), default=None)
        return min((night for night in self.published(group.table) if live and night >= live), default=None)

    def _untold(self, spec: ModelSpec) -> frozenset[str]:
        """Return the nights of a model whose outcomes were recorded, and are gone."""
        table = outcomes_table(spec.model_id, spec.entity.keys, spec.entity.whose)
        return self._gone(table.name, partition_by=table.partition_by)

    def _gone(self, table: str, *, partition_by: str = "dt") -> frozenset[str]:
        if table not in self._lost:
            with_rows = {night for night, rows in self.published(table).items() if rows}
            self._lost[table] = _find_gone(self.deployment.lake, table, with_rows, partition_by=partition_by)
        return self._lost[table]


def _find_gone(lake: LakeAdapter, table: str, with_rows: Set[str], *, partition_by: str = "dt") -> frozenset[str]:
    """Return those of some nights whose rows a table does not hold, or not whole."""
    if not with_rows:
        return frozenset()
    there = set(lake.partitions(table, partition_by=partition_by))
    return frozenset(with_rows - there | with_rows & lost_partitions(lake, table))


def _first_night(moves: Iterable[LedgerMove]) -> str | None:
    promoted = min((move.partition for move in moves if move.to_stage == Stage.PRODUCTION), default=None)
    return None if promoted is None else partitions.shift(promoted, 1)


def _find_lost(
    deployment: Deployment, groups: Iterable[FeatureGroupSpec], *, start: str | None, last: str
) -> Iterator[Hole]:
    """Yield the days of sources whose rows were published and are gone: what is built from them would lack them."""
    sources = dict.fromkeys(source for group in groups for source in group.sources)
    for source in map(load_source, sources):
        lake, raw = deployment.lake, source.raw.name
        gone = _find_gone(lake, raw, published_days(lake, source))
        named = lake.partitions(raw) if gone else ()
        for day in sorted(day for day in gone if (start or day) <= day <= last):
            why = explain_lost(source, has_lost_files=day in named)
            yield Hole("source", source.source, MissedNight(day, "rows", why))


def _explain_groups(deployment: Deployment, nights: Iterable[GroupNight]) -> Iterator[Hole]:
    explained = cache(lambda group: explain_unbuilt(deployment, load_feature_group(group)))
    for night in nights:
        if (lacks := night.lacks) is not None:
            unseen = explain_offline(load_feature_group(night.group))
            why = explained(night.group)(night.partition) if lacks == "features" else unseen
            yield Hole("group", night.group, MissedNight(night.partition, lacks, why))


def _explain_models(deployment: Deployment, nights: Iterable[ModelNight]) -> Iterator[Hole]:
    explained = cache(lambda model_id: explain_unscored(deployment, load_model(model_id)))
    for night in nights:
        if (lacks := night.lacks) is not None:
            spec = load_model(night.model_id)
            if lacks == "scores":
                why = explained(night.model_id)(night.partition)
            elif lacks == "outcomes":
                why = explain_untold(spec)
            else:
                why = explain_unmonitored(spec, is_decided=night.decided)
            yield Hole("model", night.model_id, MissedNight(night.partition, lacks, why))
