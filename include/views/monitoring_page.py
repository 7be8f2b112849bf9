"""A year of a model's monitoring as its page in Airflow draws it: features, checks, decisions and what is missing.

What belongs here: one read of each table of the state, and which days are shown. What does not: a measured night as a
value (``views.nights``), colours and marks, which are the page's, and the lake.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from include import partitions
from include.errors import UsageError, nearest
from include.governance.lifecycle import LedgerMove, Stage, holder, production_at
from include.monitoring.feature_drift import Verdict
from include.monitoring.missed_nights import MissedNight, tell_missed
from include.monitoring.retraining_switch import SwitchMove, find_stops
from include.specs.deployed import load_specs
from include.specs.models import ModelSpec
from include.tables import features_name, predictions_name
from include.views.monitoring_words import DecisionLine, Lacks, NextStep, advise, tell_decision, tell_held, why_missed
from include.views.monitoring_year import CheckYear, FeatureYear, Year, list_checks, list_features, list_reasons

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.adapters.state.decisions import DecisionRow
    from include.adapters.state.nights import NightInShort

DAYS = 365


@dataclass(frozen=True)
class Record:
    """What the state holds of a model.

    Attributes
    ----------
    nights : tuple of NightInShort
        Measured ones, by partition; older ones than a year shows may be among them.
    decisions : tuple of DecisionRow
    moves : tuple of LedgerMove
    scored : frozenset of str
        Partitions that hold predictions.
    newest : str or None
        The newest partition of the features that the model is built from.
    stops : tuple of SwitchMove
        What holds its retraining now.
    """

    nights: tuple[NightInShort, ...] = ()
    decisions: tuple[DecisionRow, ...] = ()
    moves: tuple[LedgerMove, ...] = ()
    scored: frozenset[str] = frozenset()
    newest: str | None = None
    stops: tuple[SwitchMove, ...] = ()


@dataclass(frozen=True)
class MoveLine:
    """A version that moved, and when."""

    partition: str
    version: int
    from_stage: str
    to_stage: str
    actor: str
    reason: str


@dataclass(frozen=True)
class MonitoringPage:
    """What the page of one model draws.

    Attributes
    ----------
    start : str or None
        The first day; None where nothing is known of any. `days` follow, and each list and text by day has so many.
    has_earlier : bool
        Something was measured before.
    verdict_words : tuple of str
        What a digit of a feature's verdicts means.
    quality : str
        First letter of the night's data: ok, incident, unknown; a point where nothing was measured.
    missed : str
        First letter of what a night lacks: scores, measurement, decision; a point where nothing.
    reasons : dict of str to list of str
        What is wrong with a night's data, by partition.
    holes : tuple of str
        What is missing, in sentences.
    held : tuple of str
        Who or what holds its retraining, in sentences.
    advice : NextStep or None
        What to do where nothing was measured yet.
    """

    model_id: str
    registered_name: str
    production: int | None
    psi_moderate: float
    psi_significant: float
    min_rows: int
    start: str | None
    days: int
    has_earlier: bool
    verdict_words: tuple[str, ...]
    features: list[FeatureYear]
    quality: str
    missed: str
    rows: list[int | None]
    versions: list[int | None]
    reasons: dict[str, list[str]]
    checks: list[CheckYear]
    decisions: list[DecisionLine]
    moves: list[MoveLine]
    holes: tuple[str, ...]
    held: tuple[str, ...]
    advice: NextStep | None


def list_monitored() -> list[str]:
    """Return the models that stand, by id."""
    return sorted(load_specs().models)


def read_page(deployment: Deployment, model_id: str, *, until: str | None = None) -> MonitoringPage:
    """Return the year that ends with `until`, or with the newest night that anything is known of.

    Raises
    ------
    UsageError
        If there is no such model, or `until` is no partition.
    """
    spec = _find(model_id)
    if until is not None:
        partitions.parse(until)
    state = deployment.state
    record = Record(
        # One more than is shown says whether there are earlier ones.
        nights=tuple(state.nights_in_short(model_id, DAYS + 1, until=until)),
        decisions=state.decisions(model_id),
        moves=state.ledger(model_id),
        scored=frozenset(state.publications(predictions_name(model_id))),
        newest=state.newest_publication(features_name(spec.features.group)),
        stops=find_stops(state.switch_moves(), model_id),
    )
    return compose_page(spec, record, until=until)


def read_night(deployment: Deployment, model_id: str, partition: str) -> Mapping[str, Any]:
    """Return all that was measured of a night.

    Raises
    ------
    UsageError
        If nothing was, or there is no such model.
    """
    _find(model_id)
    night = deployment.state.night(model_id, partitions.key_of(partitions.parse(partition)))
    if night is None:
        raise UsageError(f"nothing was measured of {model_id} {partition}: see the runs of monitor_model__{model_id}")
    return night


def compose_page(spec: ModelSpec, record: Record, *, until: str | None = None) -> MonitoringPage:
    """Return what is on record of a model as its page draws it."""
    year = Year.of(record.nights, _axis(record, until))
    missed = tuple(_missed(spec.model_id, record, year.days))
    return MonitoringPage(
        model_id=spec.model_id,
        registered_name=spec.registered_name,
        production=holder(record.moves, Stage.PRODUCTION),
        psi_moderate=spec.monitoring.psi_moderate,
        psi_significant=spec.monitoring.psi_significant,
        min_rows=spec.monitoring.min_rows,
        start=next(iter(year.days), None),
        days=len(year.days),
        has_earlier=bool(year.days) and any(night.partition < year.days[0] for night in record.nights),
        verdict_words=get_args(Verdict),
        features=list(list_features(year)),
        quality=year.letters(year.each(lambda night: night.measured["data_quality"]["status"])),
        missed=year.letters(map({night.partition: night.lacks for night in missed}.get, year.days)),
        rows=year.each(lambda night: int(night.measured["rows"])),
        versions=year.each(lambda night: night.model_version),
        reasons=dict(list_reasons(year)),
        checks=list(list_checks(year)),
        decisions=[tell_decision(row) for row in _newest_first(record.decisions) if row.partition in year],
        moves=[_move_line(move) for move in record.moves if move.partition in year],
        holes=tell_missed(missed),
        held=tell_held(spec, record.stops),
        advice=None if record.nights or until is not None else advise(spec, record.moves),
    )


def _find(model_id: str) -> ModelSpec:
    models = load_specs().models
    if model_id not in models:
        raise UsageError(f"no model {model_id!r} stands{nearest(model_id, models)}; see mlops models check")
    return models[model_id]


def _newest_first(decisions: Sequence[DecisionRow]) -> list[DecisionRow]:
    """Return decisions by night: one that was replayed stands with its night, before what was decided there first."""
    return sorted(decisions, key=lambda row: (row.partition, row.number), reverse=True)


def _axis(record: Record, until: str | None) -> list[str]:
    """Return the days that are shown; none where nothing is known of any."""
    known = [
        *(night.partition for night in record.nights),
        *(decision.partition for decision in record.decisions),
        *(move.partition for move in record.moves),
    ]
    if not known:
        return []
    newest = max([*known, *([record.newest] if record.newest is not None else [])])
    first, end = min(known), newest if until is None else min(until, newest)
    return partitions.span(max(first, partitions.shift(end, 1 - DAYS)), end) if first <= end else []


def _missed(model_id: str, record: Record, days: Sequence[str]) -> Iterator[MissedNight]:
    """Yield the nights that a version governs and that lack something."""
    measured = {night.partition for night in record.nights}
    decided = {row.partition for row in record.decisions if not row.requested}
    for day in days:
        if (day in measured and day in decided) or production_at(record.moves, day) is None:
            continue
        unmeasured: Lacks = "measurement" if day in record.scored else "scores"
        yield why_missed(model_id, day, "decision" if day in measured else unmeasured)


def _move_line(move: LedgerMove) -> MoveLine:
    return MoveLine(move.partition, move.version, move.from_stage.value, move.to_stage.value, move.actor, move.reason)
