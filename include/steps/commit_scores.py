"""Commit the scores of a night once, with the record of what made them.

What belongs here: one commit of all roles, and what lies beside it. What does not: who scores (``score_batch``), and
where: in this process, by Spark, or in chunks by other tasks (``score_chunks``).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from include.adapters.lake.role_rows import replace_roles
from include.adapters.lake.scoring_manifests import read_scoring_manifests, remove_manifest, write_manifest
from include.refs import PredictionsRef
from include.scoring.manifest import ScoringManifest
from include.scoring.predictions import CHALLENGER, CHAMPION
from include.scoring.slices import UnorderedError
from include.steps.read_night import ROWS_OF_A_SLICE
from include.steps.score_night import Pass, Run, Scoring, without_failing
from include.tables import features_name, predictions_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa
    from pyarrow.dataset import Dataset

    from include.adapters.deployment import Deployment
    from include.adapters.lake.portions import Rewriting

log = logging.getLogger(__name__)

_Pass = TypeVar("_Pass", bound=Pass)


def scoring_of(model_id: str, partition: str) -> str:
    """Return the work that one process at a time does, of all that choose, plan or commit the scores of a night."""
    return f"scoring {model_id} {partition}"


def commit_scores(
    deployment: Deployment, scorers: Sequence[_Pass], failure: str | None, run: Run[_Pass]
) -> PredictionsRef:
    """Write the predictions of a night, then what made them, then that they are published.

    Parameters
    ----------
    deployment : Deployment
        Its lake is written, its state told; whoever calls is alone with the scoring of this night.
    scorers : sequence of Pass
        Of one night; the one beside the first is left out where it fails.
    failure : str or None
        Why the challenger that should score does not, as far as that is known.
    run : callable
        As of `Scoring`.
    """
    first = scorers[0]
    model_id, partition = first.night.spec.model_id, first.night.partition
    before = {each.role: each for each in read_scoring_manifests(deployment.lake, model_id, partition)}
    done = _commit(deployment, scorers, failure, run)
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


def _commit(deployment: Deployment, scorers: Sequence[_Pass], failure: str | None, run: Run[_Pass]) -> _Committed:
    """Score and commit; anew without a challenger that fails, and at once where rows are not in their order."""
    night = scorers[0].night

    def attempt(asked: Sequence[_Pass]) -> tuple[Scoring[_Pass], int]:
        try:
            return _rewrite(deployment, Scoring(tuple(asked), ROWS_OF_A_SLICE, run))
        except UnorderedError:
            log.warning(
                "score model=%s partition=%s: the rows of %s are not in the order of their keys; all are held at once",
                night.spec.model_id, night.partition, features_name(night.spec.features.group),
            )  # fmt: skip
            return _rewrite(deployment, Scoring(tuple(asked), None, run))

    (scoring, version), scorers, failure = without_failing(scorers, failure, attempt)
    return _Committed([_manifest(each, scoring, version, failure) for each in scorers], version)


def _rewrite(deployment: Deployment, scoring: Scoring[_Pass]) -> tuple[Scoring[_Pass], int]:
    """Commit a scoring, and return it with the version of the table of predictions that holds it."""
    night = scoring.scorers[0].night
    rewriting = replace_roles([each.role for each in scoring.scorers], scoring.schema, scoring.pieces)
    forgetting = _forgetting(deployment, scoring.scorers, rewriting)
    written = deployment.lake.rewrite(predictions_name(night.spec.model_id), [night.partition], forgetting)
    return scoring, written.version


def _forgetting(deployment: Deployment, scorers: Sequence[Pass], rewriting: Rewriting) -> Rewriting:
    """Return a rewriting that removes what says what made the scores, once it knows that they will be others.

    Whoever is stopped between that and the end leaves scores of which nothing says what made them.
    """

    def forgetting(present: Dataset | None) -> Iterator[pa.Table]:
        for place, rows in enumerate(rewriting(present)):
            for scorer in scorers if place == 0 else ():
                remove_manifest(deployment.lake, scorer.night.spec.model_id, scorer.night.partition, scorer.role)
            yield rows

    return forgetting


def _manifest(scorer: _Pass, scoring: Scoring[_Pass], version: int, failure: str | None) -> ScoringManifest:
    night, tally = scorer.night, scoring.tallies[scorer.role]
    return ScoringManifest(
        night.spec.model_id, night.partition, scorer.role, scorer.model_version, night.service,
        scorer.engine, night.sources, tally.account, tally.decided, version,
        failure if scorer.role == CHAMPION else None,
    )  # fmt: skip
