"""Score one partition with the version that governs it, or with one that stands in its shadow.

What belongs here: who scores a night, at once or night after night. What does not: which version governs a partition,
which is the ledger's, who is asked about (``read_night``), scoring (``score_night``), and the commit
(``commit_scores``).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from itertools import starmap
from typing import TYPE_CHECKING

from include import partitions
from include.errors import NotYetError, RefusedError, UnpublishedError
from include.governance.lifecycle import staging_at
from include.monitoring.missed_nights import MissedNight, tell_missed, tell_run
from include.scoring.predictions import CHALLENGER, CHAMPION
from include.specs.models import load_model
from include.steps.commit_scores import commit_scores, scoring_of
from include.steps.find_person import ERASING
from include.steps.load_version import load_version, require_known
from include.steps.read_night import open_night
from include.steps.score_night import Run, Scorer, in_threads, tell_failure
from include.tables import features_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.adapters.deployment import Deployment
    from include.refs import PredictionsRef
    from include.specs.models import ModelSpec

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoredRange:
    """What became of a range of nights: those that were scored, and a sentence on each run of those that were not."""

    scored: tuple[str, ...]
    left: tuple[str, ...]


def score_batch(deployment: Deployment, model_id: str, *, partition: str, shadow: int | None = None) -> PredictionsRef:
    """Score the population of a partition and write its predictions.

    Predictions of one partition hold a role each: the version in Production is the champion, and where the spec says
    so the one in Staging scores beside it, in the same commit. Writing one role leaves the others as they are. A
    published night without rows is scored to none. What made the scores of a role, and what became of each row, is kept
    beside them (`include.scoring.manifest.ScoringManifest`).

    Parameters
    ----------
    deployment : Deployment
        Its lake is read and written, its state asked and told, its model registry read.
    model_id : str
        The model's spec.
    partition : str
        The night. Again gives the same rows.
    shadow : int, optional
        A version that scores as challenger, in place of the champion's pass. Nothing follows from its scores.

    Raises
    ------
    RefusedError
        If no version was in Production before the partition, or it is of another task than the spec.
    MlopsError
        If the partition's features are not published, or the version can't be loaded.
    """
    spec = load_model(model_id)
    # The tables' versions are those of who writes last.
    with deployment.state.alone(scoring_of(model_id, partition), not_during=ERASING):
        asked, failure = choose_scorers(deployment, spec, partition, shadow=shadow)
        return commit_scores(deployment, asked, failure, _run_of(spec))


def choose_scorers(
    deployment: Deployment, spec: ModelSpec, partition: str, *, shadow: int | None = None
) -> tuple[list[Scorer], str | None]:
    """Return who scores a night, the champion first, and why the challenger that should does not.

    Raises
    ------
    RefusedError, MlopsError
        As `score_batch`.
    """
    champion = deployment.state.production_version_at(spec.model_id, partition)
    model_version = champion if shadow is None else shadow
    if model_version is None:
        raise RefusedError(
            f"no version of {spec.model_id} was in Production before {partition}; since when one is, says mlops "
            f"registry ledger --model {spec.model_id}"
        )
    if shadow is not None:
        require_known(deployment, spec.model_id, shadow)
    role = CHAMPION if shadow is None else CHALLENGER
    scorer = _scorer(deployment, spec, partition, role, model_version)
    if role == CHAMPION and spec.scoring.challenger:
        return _with_challenger(deployment, scorer)
    return [scorer], None


def score_range(deployment: Deployment, model_id: str, *, start: str, end: str) -> ScoredRange:
    """Score the nights from `start` to `end`, both included, and say which were left and why.

    Left is a night that no version governs, or whose features are not published; those after it are scored.

    Raises
    ------
    MlopsError
        If a night can't be scored for another reason; those before it are.
    """
    partitions.require_order(start, end)
    table = features_name(load_model(model_id).features.group)
    published = [night for night in deployment.state.publications(table) if start <= night <= end]
    unpublished = partial(tell_run, lacks="scores", why=f"{table} is not published")
    if not published:
        return ScoredRange((), (unpublished(start, end),))
    first, last = min(published), max(published)
    scored: list[str] = []
    left: list[MissedNight] = []
    for night in partitions.span(first, last):
        if deployment.state.production_version_at(model_id, night) is None:
            left.append(MissedNight(night, "scores", "no version was in Production before"))
        elif night not in published:
            left.append(MissedNight(night, "scores", f"{table} is not published"))
        else:
            try:
                score_batch(deployment, model_id, partition=night)
            except (NotYetError, UnpublishedError) as no:
                left.append(MissedNight(night, "scores", str(no)))
            else:
                scored.append(night)
    before, after = _rest_of(start, end, first, last)
    told = (*starmap(unpublished, before), *tell_missed(left), *starmap(unpublished, after))
    for sentence in told:
        log.warning("score model=%s: %s", model_id, sentence)
    return ScoredRange(tuple(scored), told)


def _rest_of(start: str, end: str, first: str, last: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the nights of a range before and after some of it, each by its first and last."""
    before = [(start, partitions.shift(first, -1))] if start < first else []
    return before, [(partitions.shift(last, 1), end)] if last < end else []


def _scorer(
    deployment: Deployment,
    spec: ModelSpec,
    partition: str,
    role: str,
    model_version: int,
    *,
    versions: Mapping[str, int] | None = None,
) -> Scorer:
    loaded = load_version(deployment, spec.model_id, model_version)
    if loaded.signature.task != spec.task:
        raise RefusedError(
            f"{spec.model_id} version {model_version} is of task: {loaded.signature.task}, the spec of task: "
            f"{spec.task}, by which its scores mean nothing; train a version of the spec's task, or take the task back"
        )
    service = loaded.signature.feature_service
    night = open_night(deployment, spec, partition, service=service, versions=versions)
    return Scorer(role=role, model_version=model_version, engine=loaded.engine, night=night, loaded=loaded)


def _with_challenger(deployment: Deployment, champion: Scorer) -> tuple[list[Scorer], str | None]:
    """Return the champion and the version that scores beside it, or why that can't; nobody where none is in Staging."""
    spec, partition = champion.night.spec, champion.night.partition
    version = staging_at(deployment.state.ledger(spec.model_id), partition)
    if version is None:
        return [champion], None
    try:
        beside = _scorer(deployment, spec, partition, CHALLENGER, version, versions=champion.night.sources)
        return [champion, replace(beside, is_beside=True)], None
    except Exception as err:  # Whatever it is, nobody relies on that version's scores.
        return [champion], tell_failure(version, err)


def _run_of(spec: ModelSpec) -> Run[Scorer]:
    if spec.scoring.compute == "local":
        return in_threads
    from include.steps.score_on_spark import on_spark

    return on_spark
