"""Find the nights before one that should have been scored, measured and decided on, and were not.

What belongs here: what should be, held against what is on record, and why a night is missing. What does not: the
sentences (``monitoring.missed_nights``), the grid of all nights (``night_status``), and making up for one
(``repair_nights``, ``decide_retrain``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from include import partitions
from include.adapters.lake.partition_reports import read_report
from include.adapters.sources.deliveries import delivered_days, landed_days
from include.errors import MlopsError, UsageError
from include.governance.lifecycle import Stage, production_at
from include.monitoring.missed_nights import MissedNight
from include.specs.groups import FeatureGroupSpec, load_feature_group
from include.specs.sources import SourceSpec, load_source
from include.steps.read_inputs import other_groups
from include.tables import outcomes_name, predictions_name

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.specs.models import ModelSpec

log = logging.getLogger(__name__)

# What makes up for whatever is missing, oldest first.
_REPAIR = "mlops nights repair"
_MAKES_UP = f"{_REPAIR} makes up for it"


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
    measured = deployment.state.measured_nights(spec.model_id)
    why = explain_unscored(deployment, spec)
    return tuple(
        MissedNight(night, "scores", why(night))
        if night not in scored
        else MissedNight(night, "decision" if night in measured else "measurement", explain_unmonitored(spec))
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


def groups_of(spec: ModelSpec) -> tuple[str, ...]:
    """Return the groups that a model reads, its own first."""
    return (spec.features.group, *other_groups(spec, spec.features.service))


def explain_unmonitored(spec: ModelSpec, *, is_decided: bool = False) -> str:
    """Return why a night that was scored was not measured or decided on; one that is decided on had been measured."""
    if is_decided:
        return f"it was decided on, and its measurement is gone from the state; {_MAKES_UP}"
    return f"monitor_model__{spec.model_id} did not run on it, or failed; {_MAKES_UP}"


def explain_untold(spec: ModelSpec) -> str:
    """Return what is said of a night whose outcomes were recorded, and are gone."""
    return f"they are gone from {outcomes_name(spec.model_id)}; {_MAKES_UP}"


def explain_offline(spec: FeatureGroupSpec) -> str:
    """Return why a night that was built was not brought online."""
    return f"materialize_features__{spec.group} did not bring it online, or did not run; {_MAKES_UP}"


def explain_unscored(deployment: Deployment, spec: ModelSpec) -> Callable[[str], str]:
    """Return what says of a night why it was not scored; what stands of all nights is read once, when it is needed."""
    groups = [load_feature_group(each) for each in groups_of(spec)]
    published = cache(deployment.state.publications)
    unbuilt = cache(lambda group: explain_unbuilt(deployment, load_feature_group(group)))

    def why(night: str) -> str:
        if night in published(predictions_name(spec.model_id)):
            return f"its scores are gone from {predictions_name(spec.model_id)}; {_MAKES_UP}"
        missing = next((group for group in groups if night not in published(group.table)), None)
        if missing is None:
            return f"score_batch__{spec.model_id} did not run on it, or failed; {_MAKES_UP}"
        return str(unbuilt(missing.group)(night))

    return why


def explain_unbuilt(deployment: Deployment, spec: FeatureGroupSpec) -> Callable[[str], str]:
    """Return what says of a night why a group was not built; what stands of all nights is read once."""
    published = cache(deployment.state.publications)
    undelivered = _explain_undelivered(deployment, spec)

    def why(night: str) -> str:
        if night in published(spec.table):
            return f"its rows are gone from {spec.table}; {_MAKES_UP}"
        if refused := _read_refusal(deployment, spec.group, night):
            return f"the quality gate refused {spec.table} ({refused}); put that right, then {_REPAIR}"
        if late := undelivered(night):
            return late
        if spec.scored_by is not None and night not in published(predictions_name(spec.scored_by)):
            return f"{spec.scored_by} has no scores of it; {_MAKES_UP}"
        return f"materialize_features__{spec.group} did not build {spec.table}, or did not run; {_MAKES_UP}"

    return why


def _explain_undelivered(deployment: Deployment, spec: FeatureGroupSpec) -> Callable[[str], str | None]:
    """Return what says of a night what of a group's sources has not come, or was not taken; None where all has."""
    delivered = cache(lambda source: delivered_days(deployment.lake, load_source(source)))
    landed = cache(lambda source: landed_days(deployment.settings, source, besides=delivered(source)))

    def late(night: str) -> str | None:
        absent = [source for source in spec.sources if night not in delivered(source)]
        waiting = [source for source in absent if night in landed(source)]
        if waiting:
            named = " and ".join(waiting)
            takes = " and ".join(load_source(source).ingest_dag_id for source in waiting)
            return f"its {named} lie in the landing folder, and {takes} did not run on them, or failed; {_MAKES_UP}"
        if absent:
            return f"its {' and '.join(absent)} have not been delivered; have them delivered, then {_REPAIR}"
        return None

    return late


def explain_lost(source: SourceSpec, *, has_lost_files: bool) -> str:
    """Return what is said of a day of a source whose rows were published and are gone, or files that hold them."""
    if has_lost_files:
        return f"a file of it is gone from the folder of {source.raw.name}: bring it back from a backup, then {_REPAIR}"
    return (
        f"rows of it were published, and {source.raw.name} holds none; have the day delivered again and let "
        f"{source.ingest_dag_id} take it, then {_REPAIR}: whoever was erased since comes back with it"
    )


def _read_refusal(deployment: Deployment, group: str, night: str) -> str:
    try:
        return "; ".join(map(str, read_report(deployment.lake, group, night).failed))
    except UsageError:
        return ""
    except MlopsError as err:
        log.warning("why %s %s was not built is not known: %s", group, night, err)
        return ""
