"""Decide on a night, or on a request that comes now, and say what was missed before it.

What belongs here: the facts that a decision rests on, the order of nights that wait, recording. What does not: what
speaks for or against a retrain (`monitoring.decision`), and whether a decision acts (`monitoring.acting`).
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from include import partitions
from include.errors import MlopsError
from include.governance.lifecycle import LedgerMove, Stage, holder, trained_as_of
from include.monitoring.decision import Decision, decide
from include.monitoring.decision_facts import LedgerFacts
from include.monitoring.missed_nights import MissedNight, tell_missed
from include.monitoring.retraining_switch import find_stops, veto_stopped
from include.refs import DecisionRef
from include.specs.models import ModelSpec, load_model
from include.steps.find_missed import find_missed
from include.steps.find_stale_scores import StaleScores, find_stale_scores
from include.steps.find_untrained import find_untrained
from include.steps.find_waiting import find_waiting
from include.steps.monitor_model import load_nights, measure_night
from include.steps.read_decision import read_acted
from include.steps.record_decision import record_decision

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment

log = logging.getLogger(__name__)


def decide_retrain(deployment: Deployment, model_id: str, *, partition: str, run_id: str) -> DecisionRef:
    """Decide on a measured partition and record the decision; asking again for the same run changes nothing.

    Nights before it that were scored and wait for their decision are measured and decided first, in their order. The
    decision says which nights since the last decided one were missed, and which have scores that are stale.
    """
    spec = load_model(model_id)
    missed = find_missed(deployment, spec, partition, run_id=run_id)
    watermark = deployment.state.watermark(model_id)
    # A replayed night looks back on nights that were passed over long ago: nothing waits for its turn there.
    stale: tuple[StaleScores, ...] = ()
    if watermark is None or partition > watermark:
        missed = tuple(_decided_first(deployment, spec, missed, run_id=run_id))
        stale = find_stale_scores(deployment, spec, until=partitions.shift(partition, -1))
    judged = judge_night(deployment, model_id, partition)
    decision = replace(judged, reasons=(*judged.reasons, *tell_missed(missed), *map(str, stale)))
    row = record_decision(deployment, spec, decision, partition=partition, run_id=run_id)
    return DecisionRef(model_id, partition, row.number, row.action, row.acted)


def judge_night(deployment: Deployment, model_id: str, partition: str, *, event: str | None = None) -> Decision:
    """Return what is to be done about a partition, with what was known before it; nothing is recorded.

    Parameters
    ----------
    event : str, optional
        Who or what asks for a retrain, in words.
    """
    return _judge(deployment, model_id, partition, _facts(deployment, model_id, before=partition), event=event)


def judge_request(deployment: Deployment, model_id: str, partition: str, *, event: str) -> Decision:
    """Return what is to be done about a request that comes now, at the newest published night; nothing is recorded.

    Unlike a night, it sees what has happened since that night was published: a retrain, a move, a version that waits.
    """
    return _judge(deployment, model_id, partition, _facts(deployment, model_id, before=None), event=event)


def _facts(deployment: Deployment, model_id: str, *, before: str | None) -> LedgerFacts:
    """Return what was known of a model before a partition, so that a replay sees what the first run saw; None: now."""
    moves = [move for move in deployment.state.ledger(model_id) if before is None or move.partition < before]
    retrains = _retrains(deployment, model_id, before, moves)
    production = holder(moves, Stage.PRODUCTION)
    return LedgerFacts(
        production_version=production,
        last_trained_partition=max(trained_as_of(moves), default=None),
        retrain_partitions=retrains.counting,
        failed_partitions=retrains.failed,
        refused_partitions=retrains.refused,
        candidate_waiting=holder(moves, Stage.STAGING) is not None,
        training_waiting=next(iter(find_waiting(deployment, model_id, before=before)), None),
        untrained=find_untrained(deployment, model_id, before=before),
        newest_example=_newest_example(load_model(model_id), moves, production, retrains.counting),
        is_live=before is None,
    )


def _newest_example(
    spec: ModelSpec, moves: Sequence[LedgerMove], version: int | None, retrained: Collection[str]
) -> str | None:
    """Return the newest day that a version learned from, where a retrain brought it."""
    known = (move.evidence.as_of for move in moves if move.version == version and move.evidence is not None)
    as_of = next(known, None)
    if as_of is None or as_of not in retrained:
        return None
    return partitions.shift(as_of, -spec.label.horizon_days)


@dataclass(frozen=True)
class _Retrains:
    """The nights of retrains that acted: those that count, and those since the last that did that came to nothing."""

    counting: tuple[str, ...]
    failed: tuple[str, ...]
    refused: tuple[str, ...]


def _retrains(deployment: Deployment, model_id: str, before: str | None, moves: Sequence[LedgerMove]) -> _Retrains:
    """Tell the retrains that acted apart.

    One that came to nothing, or whose version its gates refused, has spent neither cooldown nor budget: what asked for
    it asks again.
    """
    acted = read_acted(deployment, model_id, before=before)
    nights = [decision.partition for decision in acted]
    staged = trained_as_of(move for move in moves if move.to_stage == Stage.STAGING)
    refused = trained_as_of(moves) - staged
    failed = {decision.partition for decision in acted if decision.failed_at is not None} - staged - refused
    since = {night for night in nights if night > max(staged, default="")}
    return _Retrains(
        counting=tuple(sorted(night for night in nights if night not in failed | refused)),
        failed=tuple(sorted(since & failed)),
        refused=tuple(sorted(since & refused)),
    )


def _judge(deployment: Deployment, model_id: str, partition: str, facts: LedgerFacts, *, event: str | None) -> Decision:
    spec = load_model(model_id)
    since = partitions.shift(partition, -spec.decision.windows)
    nights = load_nights(deployment, model_id, since=since, until=partition)
    judged = decide(nights, spec.decision, spec.monitoring, facts, partition=partition, event=event)
    return veto_stopped(judged, find_stops(deployment.state.switch_moves(), model_id))


def _decided_first(
    deployment: Deployment, spec: ModelSpec, missed: Sequence[MissedNight], *, run_id: str
) -> Iterator[MissedNight]:
    """Measure and decide the missed nights that were scored, and say of each what became of it."""
    for place, night in enumerate(missed):
        if night.lacks == "scores":
            yield night
            continue
        try:
            if night.lacks == "measurement":
                measure_night(deployment, spec.model_id, partition=night.partition)
        except MlopsError as err:
            log.warning("decide model=%s: %s can't be measured: %s", spec.model_id, night.partition, err)
            yield replace(night, why=f"{night.why}, and it can't be measured now: {err}")
            continue
        judged = judge_night(deployment, spec.model_id, night.partition)
        decision = replace(judged, reasons=(*judged.reasons, *tell_missed(missed[:place])))
        record_decision(deployment, spec, decision, partition=night.partition, run_id=run_id)
        yield replace(night, why=f"{night.why}; it was decided on just before this night")
