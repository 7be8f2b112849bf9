"""Score one partition with the version that governs it, or with one that stands in its shadow.

What belongs here: who scores a night, and one commit of it with the record of what made it. What does not: which
version governs a partition, which is the ledger's, who is asked about (``read_night``), and scoring (``score_night``).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include import partitions
from include.adapters.lake.role_rows import replace_roles
from include.adapters.lake.scoring_manifests import remove_manifest, write_manifest
from include.errors import NotYetError, RefusedError, UnpublishedError
from include.monitoring.missed_nights import MissedNight, tell_missed
from include.refs import PredictionsRef
from include.scoring.manifest import ScoringManifest
from include.scoring.predictions import CHALLENGER, CHAMPION
from include.scoring.slices import UnorderedError
from include.specs.models import load_model
from include.steps.load_version import load_version
from include.steps.read_night import ROWS_OF_A_SLICE, open_night
from include.steps.score_night import Scorer, Scoring
from include.tables import features_name, predictions_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.adapters.deployment import Deployment
    from include.specs.models import ModelSpec

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScoredRange:
    """What became of a range of nights: those that were scored, and a sentence on each run of those that were not."""

    scored: tuple[str, ...]
    left: tuple[str, ...]


def score_batch(deployment: Deployment, model_id: str, *, partition: str, shadow: int | None = None) -> PredictionsRef:
    """Score the population of a partition and write its predictions.

    Predictions of one partition hold a role each: the version in Production is the champion. Writing one role leaves
    the others as they are. A published night without rows is scored to none. What made the scores of a role, and what
    became of each row, is kept beside them (`include.scoring.manifest.ScoringManifest`).

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
    champion = deployment.state.production_version_at(model_id, partition)
    model_version = champion if shadow is None else shadow
    if model_version is None:
        raise RefusedError(
            f"no version of {model_id} was in Production before {partition}; since when one is, says mlops registry "
            f"ledger --model {model_id}"
        )
    role = CHAMPION if shadow is None else CHALLENGER
    asked = _scorer(deployment, spec, partition, role, model_version)
    with deployment.state.alone(f"scoring {model_id} {partition}"):
        return _write(deployment, asked)


def score_range(deployment: Deployment, model_id: str, *, start: str, end: str) -> ScoredRange:
    """Score the nights from `start` to `end`, both included, and say which were left and why.

    Left is a night that no version governs, or whose features are not published; those after it are scored.

    Raises
    ------
    MlopsError
        If a night can't be scored for another reason; those before it are.
    """
    table = features_name(load_model(model_id).features.group)
    published = deployment.state.publications(table)
    scored: list[str] = []
    left: list[MissedNight] = []
    for night in partitions.span(start, end):
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
    told = tell_missed(left)
    for sentence in told:
        log.warning("score model=%s: %s", model_id, sentence)
    return ScoredRange(tuple(scored), told)


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
    return Scorer(role, model_version, loaded, night)


def _write(deployment: Deployment, scorer: Scorer) -> PredictionsRef:
    """Write the predictions of a night, then what made them, then that they are published."""
    night = scorer.night
    model_id, partition = night.spec.model_id, night.partition
    # Whoever is stopped from here on leaves scores of which nothing says what made them.
    remove_manifest(deployment.lake, model_id, partition, scorer.role)
    scoring, version = _commit(deployment, scorer)
    tally = scoring.tallies[scorer.role]
    manifest = ScoringManifest(
        model_id, partition, scorer.role, scorer.model_version, night.service, "native", night.sources,
        tally.account, tally.decided, version,
    )  # fmt: skip
    write_manifest(deployment.lake, manifest)
    account = manifest.account
    if scorer.role == CHAMPION:
        deployment.state.record_publications(predictions_name(model_id), [(partition, account.scored)], version)
    log.info(
        "score model=%s partition=%s role=%s version=%d rows=%d skipped=%s incomplete=%s outside_population=%d",
        model_id, partition, scorer.role, scorer.model_version, account.scored, dict(account.skipped),
        dict(account.incomplete), account.outside_population,
    )  # fmt: skip
    return PredictionsRef(
        model_id, partition, scorer.model_version, account.scored, manifest.decided, version,
        outside_population=account.outside_population, skipped=sum(account.skipped.values()),
    )  # fmt: skip


def _commit(deployment: Deployment, scorer: Scorer) -> tuple[Scoring, int]:
    night = scorer.night
    table = predictions_name(night.spec.model_id)
    for rows_at_once in (ROWS_OF_A_SLICE, None):
        scoring = Scoring((scorer,), rows_at_once)
        rewriting = replace_roles([scorer.role], scoring.schema, scoring.pieces)
        try:
            return scoring, deployment.lake.rewrite(table, [night.partition], rewriting).version
        except UnorderedError:
            log.warning(
                "score model=%s partition=%s: the rows of %s are not in the order of their keys; all are held at once",
                night.spec.model_id, night.partition, features_name(night.spec.features.group),
            )  # fmt: skip
    raise AssertionError("a night that is read in one slice has no order to miss")
