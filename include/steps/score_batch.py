"""Score one partition with the version that governs it, or with one that stands in its shadow.

What belongs here: who scores a night, and one commit of it with the record of what made it. What does not: which
version governs a partition, which is the ledger's, who is asked about (``read_night``), and scoring (``score_night``).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from include import partitions
from include.adapters.lake.role_rows import replace_roles
from include.adapters.lake.scoring_manifests import read_scoring_manifests, remove_manifest, write_manifest
from include.errors import NotYetError, RefusedError, UnpublishedError, one_line
from include.governance.lifecycle import staging_at
from include.monitoring.missed_nights import MissedNight, tell_missed
from include.refs import PredictionsRef
from include.scoring.manifest import ScoringManifest
from include.scoring.predictions import CHALLENGER, CHAMPION
from include.scoring.slices import UnorderedError
from include.specs.models import load_model
from include.steps.load_version import load_version
from include.steps.read_night import ROWS_OF_A_SLICE, open_night
from include.steps.score_night import ChallengerError, Run, Scorer, Scoring, in_threads
from include.tables import features_name, predictions_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa
    from pyarrow.dataset import Dataset

    from include.adapters.deployment import Deployment
    from include.adapters.lake.portions import Rewriting
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
    champion = deployment.state.production_version_at(model_id, partition)
    model_version = champion if shadow is None else shadow
    if model_version is None:
        raise RefusedError(
            f"no version of {model_id} was in Production before {partition}; since when one is, says mlops registry "
            f"ledger --model {model_id}"
        )
    role = CHAMPION if shadow is None else CHALLENGER
    # The tables' versions are those of who writes last.
    with deployment.state.alone(f"scoring {model_id} {partition}"):
        asked, failure = [_scorer(deployment, spec, partition, role, model_version)], None
        if role == CHAMPION and spec.scoring.challenger:
            asked, failure = _with_challenger(deployment, asked[0])
        return _write(deployment, asked, failure)


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
        return [champion], _failed(version, err)


def _write(deployment: Deployment, scorers: list[Scorer], failure: str | None) -> PredictionsRef:
    """Write the predictions of a night, then what made them, then that they are published."""
    first = scorers[0]
    model_id, partition = first.night.spec.model_id, first.night.partition
    before = {each.role: each for each in read_scoring_manifests(deployment.lake, model_id, partition)}
    done = _commit(deployment, scorers, failure)
    for manifest in done.manifests:
        write_manifest(deployment.lake, manifest)
    if len(done.manifests) < len(scorers) and CHALLENGER in before:
        # Its scores are those that it had.
        write_manifest(deployment.lake, before[CHALLENGER])
    if first.role == CHAMPION:
        counts = [(partition, done.manifests[0].account.scored)]
        deployment.state.record_publications(predictions_name(model_id), counts, done.version)
    return done.tell()


@dataclass(frozen=True)
class _Committed:
    """A commit of predictions, and what is to be told of it."""

    manifests: list[ScoringManifest]
    version: int

    def tell(self) -> PredictionsRef:
        for each in self.manifests:
            log.info(
                "score model=%s partition=%s role=%s version=%d rows=%d skipped=%s incomplete=%s outside_population=%d",
                each.model_id, each.partition, each.role, each.model_version, each.account.scored,
                dict(each.account.skipped), dict(each.account.incomplete), each.account.outside_population,
            )  # fmt: skip
        first, account = self.manifests[0], self.manifests[0].account
        if first.challenger_failure:
            log.warning("score model=%s partition=%s: %s", first.model_id, first.partition, first.challenger_failure)
        return PredictionsRef(
            first.model_id, first.partition, first.model_version, account.scored, first.decided, self.version,
            outside_population=account.outside_population,
            skipped=sum(account.skipped.values()),
            challenger=self.manifests[1].model_version if len(self.manifests) > 1 else None,
            challenger_failure=first.challenger_failure,
        )  # fmt: skip


def _commit(deployment: Deployment, scorers: list[Scorer], failure: str | None) -> _Committed:
    """Score and commit; anew without a challenger that fails, and at once where rows are not in their order."""
    night, table = scorers[0].night, predictions_name(scorers[0].night.spec.model_id)
    rows_at_once: int | None = ROWS_OF_A_SLICE
    while True:
        scoring = Scoring(tuple(scorers), rows_at_once, _run_of(night.spec))
        rewriting = replace_roles([each.role for each in scorers], scoring.schema, scoring.pieces)
        forgetting = _forgetting(deployment, scorers, rewriting)
        try:
            version = deployment.lake.rewrite(table, [night.partition], forgetting).version
        except ChallengerError as err:
            failure = _failed(scorers[1].model_version, err.__cause__ or err)
            scorers = scorers[:1]
        except UnorderedError:
            log.warning(
                "score model=%s partition=%s: the rows of %s are not in the order of their keys; all are held at once",
                night.spec.model_id, night.partition, features_name(night.spec.features.group),
            )  # fmt: skip
            rows_at_once = None
        else:
            return _Committed([_manifest(each, scoring, version, failure) for each in scorers], version)


def _run_of(spec: ModelSpec) -> Run:
    if spec.scoring.compute == "local":
        return in_threads
    from include.steps.score_on_spark import on_spark

    return on_spark


def _forgetting(deployment: Deployment, scorers: list[Scorer], rewriting: Rewriting) -> Rewriting:
    """Return a rewriting that removes what says what made the scores, once it knows that they will be others.

    Whoever is stopped between that and the end leaves scores of which nothing says what made them.
    """

    def forgetting(present: Dataset | None) -> Iterator[pa.Table]:
        for place, rows in enumerate(rewriting(present)):
            for scorer in scorers if place == 0 else ():
                remove_manifest(deployment.lake, scorer.night.spec.model_id, scorer.night.partition, scorer.role)
            yield rows

    return forgetting


def _manifest(scorer: Scorer, scoring: Scoring, version: int, failure: str | None) -> ScoringManifest:
    night, tally = scorer.night, scoring.tallies[scorer.role]
    return ScoringManifest(
        night.spec.model_id, night.partition, scorer.role, scorer.model_version, night.service,
        scorer.loaded.engine, night.sources, tally.account, tally.decided, version,
        failure if scorer.role == CHAMPION else None,
    )  # fmt: skip


def _failed(version: int, err: BaseException) -> str:
    return f"version {version}, in Staging, did not score as challenger: {one_line(err)}"
