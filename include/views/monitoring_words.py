"""The sentences of the monitoring page, and the pages of Airflow that they lead to.

What belongs here: words, and paths beneath Airflow's root. What does not: reading, and what is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias
from urllib.parse import quote

from include.governance.lifecycle import LedgerMove, Stage, holder
from include.monitoring.missed_nights import MissedNight
from include.monitoring.retraining_switch import SwitchMove
from include.specs.models import ModelSpec

if TYPE_CHECKING:
    from include.adapters.state.decisions import DecisionRow

Lacks: TypeAlias = Literal["scores", "measurement", "decision"]


@dataclass(frozen=True)
class DecisionLine:
    """A decision, with the pages of the run that made it and of the one that trains on it, where Airflow has them."""

    partition: str
    number: int
    action: str
    trigger: str
    acted: bool
    requested: bool
    reasons: tuple[str, ...]
    recorded_at: str
    failed_at: str | None
    run: str | None
    training: str | None


@dataclass(frozen=True)
class NextStep:
    """What to do now, and the page of Airflow where it is done."""

    words: str
    path: str


def tell_decision(row: DecisionRow) -> DecisionLine:
    """Return a decision as the page lists it."""
    return DecisionLine(
        partition=row.partition,
        number=row.number,
        action=row.action,
        trigger=row.trigger,
        acted=row.acted,
        requested=row.requested,
        reasons=row.reasons,
        recorded_at=row.recorded_at.strftime("%Y-%m-%d %H:%MZ"),
        failed_at=row.failed_at,
        run=_find_run(row),
        training=_run_of(f"train_model__{row.model_id}", row.trained_by),
    )


def why_missed(model_id: str, partition: str, lacks: Lacks) -> MissedNight:
    """Return a night that lacks something, with what to look at and how to make up for it.

    Examples
    --------
    >>> why_missed("churn", "2026-03-01", "decision").why
    'monitor_model__churn did not decide on it; run it with the night as its partition'
    """
    monitoring = f"monitor_model__{model_id}"
    why = {
        "scores": f"score_batch__{model_id} did not score it, or not yet; rescore_range__{model_id} makes up for it",
        "measurement": f"{monitoring} did not measure it, or not yet; run it with the night as its partition",
        "decision": f"{monitoring} did not decide on it; run it with the night as its partition",
    }
    return MissedNight(partition, lacks, why[lacks])


def tell_held(spec: ModelSpec, stops: Sequence[SwitchMove]) -> tuple[str, ...]:
    """Return who or what holds a model's retraining now, and how it is let go on."""
    own = (f"no retrain starts while decision.stop is true in {spec.model_id}.yaml",) if spec.decision.stop else ()
    return (*(f"{stop}; {stop.command} lets it go on" for stop in stops), *own)


def advise(spec: ModelSpec, moves: Sequence[LedgerMove]) -> NextStep:
    """Return what to do so that nights come to be measured."""
    model_id, waiting = spec.model_id, holder(moves, Stage.STAGING)
    if (version := holder(moves, Stage.PRODUCTION)) is not None:
        return NextStep(
            f"Version {version} is in Production, and no night was measured since. Once score_batch__{model_id} has "
            f"scored a night, monitor_model__{model_id} measures it: see that both are unpaused, and that features of "
            f"{spec.features.group} are built each night.",
            f"dags/monitor_model__{model_id}",
        )
    if waiting is not None:
        return NextStep(
            f"Version {waiting} waits in Staging: approve it, and each night after that is scored and measured.",
            f"dags/promote_model__{model_id}/required_actions",
        )
    return NextStep(
        f"No version of {model_id} is in Production, so that no night is scored or measured. Train one: unpause "
        f"and trigger train_model__{model_id}, then approve it.",
        f"dags/train_model__{model_id}",
    )


def _find_run(row: DecisionRow) -> str | None:
    """Return the page of the run that decided; of a request it may be a run of two DAGs, so that it is searched for."""
    if not row.requested:
        return _run_of(f"monitor_model__{row.model_id}", row.run_id)
    return f"dag_runs?run_id_pattern={quote(row.run_id, safe='')}" if _is_airflows(row.run_id) else None


def _run_of(dag_id: str, run_id: str | None) -> str | None:
    return f"dags/{dag_id}/runs/{quote(run_id, safe='')}" if run_id is not None and _is_airflows(run_id) else None


def _is_airflows(run_id: str) -> bool:
    """Say whether a run is Airflow's; that of a command has no page."""
    return not run_id.startswith("mlops ")
