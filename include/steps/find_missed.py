"""Find the nights before one that should have been scored, measured and decided on, and were not.

What belongs here: what should be, held against what is on record. What does not: the sentences
(``monitoring.missed_nights``), and making up for it (``decide_retrain``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from include import partitions
from include.adapters.lake.partition_reports import read_report
from include.adapters.sources.deliveries import delivered_days
from include.errors import UsageError
from include.governance.lifecycle import Stage, production_at
from include.monitoring.missed_nights import MissedNight
from include.specs.groups import load_feature_group
from include.specs.sources import load_source
from include.steps.read_inputs import other_groups
from include.tables import predictions_name

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.specs.models import ModelSpec


def find_missed(deployment: Deployment, spec: ModelSpec, partition: str, *, run_id: str) -> tuple[MissedNight, ...]:
    """Return the nights since the last decided one, up to `partition` and without it, that were not decided on.

    Parameters
    ----------
    deployment : Deployment
        Its state and its lake are read.
    spec : ModelSpec
    partition : str
        The night that is decided now.
    run_id : str
        The run that decides it: what it decided before it was tried again does not count.
    """
    nights = _undecided(deployment, spec.model_id, partition, run_id)
    if not nights:
        return ()
    scored = deployment.state.publications(predictions_name(spec.model_id))
    measured = {str(night["partition"]) for night in deployment.state.nights(spec.model_id, until=partition)}
    monitoring = f"monitor_model__{spec.model_id} did not run on it, or failed"
    why = _unscored_because(deployment, spec)
    return tuple(
        MissedNight(night, "scores", why(night))
        if night not in scored
        else MissedNight(night, "decision" if night in measured else "measurement", monitoring)
        for night in nights
    )


def _undecided(deployment: Deployment, model_id: str, partition: str, run_id: str) -> list[str]:
    """Return the nights that a version governs from the last decided one, or the first promotion, to a partition."""
    moves = deployment.state.ledger(model_id)
    own = [d for d in deployment.state.decisions(model_id) if not d.requested and d.run_id != run_id]
    decided = [d.partition for d in own if d.partition < partition]
    first = [move.partition for move in moves if move.to_stage == Stage.PRODUCTION]
    since = max(decided, default=min([*first, partition]))
    return [night for night in partitions.span(since, partition)[1:-1] if production_at(moves, night) is not None]


def _unscored_because(deployment: Deployment, spec: ModelSpec) -> Callable[[str], str]:
    """Return what says of a night why it was not scored; what stands of all nights is read once, when it is needed."""
    rescore = f"rescore_range__{spec.model_id}"
    groups = [load_feature_group(each) for each in (spec.features.group, *other_groups(spec, spec.features.service))]
    published = cache(deployment.state.publications)
    delivered = cache(lambda source: delivered_days(deployment.lake, load_source(source)))

    def why(night: str) -> str:
        missing = next((group for group in groups if night not in published(group.table)), None)
        if missing is None:
            return f"score_batch__{spec.model_id} did not run on it, or failed; {rescore} makes up for it"
        if refused := _read_refusal(deployment, missing.group, night):
            cause = f"the quality gate refused {missing.table} ({refused})"
        elif late := [source for source in missing.sources if night not in delivered(source)]:
            cause = f"its {' and '.join(late)} have not been delivered"
        else:
            cause = f"{missing.table} was not built"
        return f"{cause}; build it (mlops features build --group {missing.group}), then run {rescore}"

    return why


def _read_refusal(deployment: Deployment, group: str, night: str) -> str:
    try:
        return "; ".join(map(str, read_report(deployment.lake, group, night).failed))
    except UsageError:
        return ""
