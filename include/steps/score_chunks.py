"""Score a night in chunks, each by a task of its own, and commit what they staged as one task would have.

What belongs here: the plan that all chunks share, one chunk of it, and the commit of all. What does not: who scores
(``score_batch``), scoring (``score_night``), the commit itself (``commit_scores``), and in which order tasks run.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

from include.adapters.lake.scoring_manifests import read_scoring_manifests
from include.adapters.lake.staged_scores import (
    read_chunk,
    read_plan,
    remove_given_up,
    remove_plan,
    remove_plans,
    write_chunk,
    write_plan,
)
from include.errors import MlopsError, RefusedError, UsageError
from include.refs import ChunkRef, StagedRef
from include.scoring.chunk_plan import ChunkPlan, PlannedPass
from include.scoring.slices import UnorderedError
from include.specs.models import load_model
from include.steps.commit_scores import commit_scores, scoring_of
from include.steps.find_person import ERASING
from include.steps.load_version import load_version
from include.steps.read_night import ROWS_OF_A_SLICE, Night
from include.steps.score_batch import choose_scorers
from include.steps.score_night import Pass, Scored, Scorer, Scoring, in_threads, tell_failure, without_failing
from include.tables import features_name

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.refs import PredictionsRef
    from include.specs.models import ModelSpec

log = logging.getLogger(__name__)

# Airflow maps no task over more than 1024 (`[core] max_map_length`); a chunk may have somewhat fewer rows than asked.
_MOST_CHUNKS = 500
# No run lasts as long: what it has staged is nobody's any more.
_GIVEN_UP_AFTER = timedelta(days=1)


def plan_chunks(deployment: Deployment, model_id: str, *, partition: str) -> list[ChunkRef]:
    """Choose the versions and pin the tables that score a night, cut it into chunks, and return one reference of each.

    An earlier plan of the night does not stand any more.

    Raises
    ------
    RefusedError, MlopsError
        As ``score_batch``.
    UsageError
        If the model's spec asks for no chunks.
    """
    spec = load_model(model_id)
    if spec.scoring.chunk_rows is None:
        raise UsageError(
            f"{model_id} is scored by one task: its spec has no scoring.chunk_rows; write it, e.g. 1000000"
        )
    with deployment.state.alone(scoring_of(model_id, partition), not_during=ERASING):
        scorers, failure = choose_scorers(deployment, spec, partition)
        night = scorers[0].night
        passes = tuple(
            PlannedPass(
                each.role, each.model_version, each.engine, each.night.service, each.night.sources, each.is_beside
            )
            for each in scorers
        )
        parts = _cut(night, spec.scoring.chunk_rows)
        plan = ChunkPlan(model_id, partition, uuid4().hex, _digest(spec), passes, parts, failure)
        remove_plans(deployment.lake, model_id, partition=partition)
        write_plan(deployment.lake, plan)
    log.info("score model=%s partition=%s plan=%s chunks=%d", model_id, partition, plan.plan_id, len(parts))
    return [ChunkRef(model_id, partition, plan.plan_id, number) for number in range(len(parts))]


def score_chunk(deployment: Deployment, chunk: ChunkRef) -> StagedRef:
    """Score one chunk of a night in all roles at once, and stage its scores. Again stages the same.

    Raises
    ------
    RefusedError
        If the plan does not stand any more.
    MlopsError
        If this worker's spec or engine is another one than the plan's, or the champion can't be loaded, read or scored.
    """
    plan = read_plan(deployment.lake, chunk.model_id, chunk.partition, chunk.plan_id)
    spec = _same_spec(plan)
    scorers = [_scorer(deployment, spec, plan, plan.passes[0])]
    part, failure = plan.parts[chunk.number], None
    rows_at_once = None if part is None else ROWS_OF_A_SLICE
    try:
        scorers += [_scorer(deployment, spec, plan, each) for each in plan.passes[1:]]
    except Exception as err:  # Whatever it is, nobody relies on that version's scores.
        failure = tell_failure(plan.passes[1].model_version, err)

    def attempt(asked: Sequence[Scorer]) -> tuple[str, int]:
        scoring = Scoring(tuple(asked), rows_at_once, partial(in_threads, part=part))
        return _stage(deployment, plan, chunk.number, scoring), scoring.tallies[asked[0].role].account.scored

    (sha256, rows), _, failure = without_failing(scorers, failure, attempt)
    log.info(
        "score model=%s partition=%s chunk=%d of %d rows=%d failure=%s",
        chunk.model_id, chunk.partition, chunk.number, len(plan.parts), rows, failure,
    )  # fmt: skip
    return StagedRef(**asdict(chunk), sha256=sha256, challenger_failure=failure)


def commit_chunks(deployment: Deployment, chunk: ChunkRef, staged: Sequence[StagedRef]) -> PredictionsRef:
    """Commit the chunks of a night as one partition, a piece at a time. Again gives the same rows, and no commit.

    Parameters
    ----------
    deployment : Deployment
    chunk : ChunkRef
        One of the plan.
    staged : sequence of StagedRef
        What was staged of the plan, beside what may be left of an earlier one that had more chunks.

    Raises
    ------
    RefusedError
        If the plan does not stand any more, or scores stand that were made from newer tables than the plan's.
        Or the chunks are not all those of one plan.
    AlteredError
        If a file is not what a chunk staged.
    """
    with deployment.state.alone(scoring_of(chunk.model_id, chunk.partition), not_during=ERASING):
        plan = read_plan(deployment.lake, chunk.model_id, chunk.partition, chunk.plan_id)
        spec = _same_spec(plan)
        staged = [each for each in staged if each.plan_id == chunk.plan_id]
        _require_whole(plan, staged)
        _require_newest(deployment, plan)
        failures = [each.challenger_failure for each in staged if each.challenger_failure]
        passes = [
            Pass(
                role=each.role,
                model_version=each.model_version,
                engine=each.engine,
                night=_night(deployment, spec, plan, each),
                is_beside=each.is_beside,
            )
            for each in plan.passes[: 1 if failures else None]
        ]
        failure = failures[0] if failures else plan.challenger_failure
        return commit_scores(deployment, passes, failure, partial(_read_staged, deployment, plan, staged))


def remove_staged(deployment: Deployment, chunk: ChunkRef) -> None:
    """Remove the plan of a chunk, which was committed, and what all its chunks staged."""
    remove_plan(deployment.lake, chunk.model_id, chunk.partition, chunk.plan_id)


def sweep_staged(deployment: Deployment) -> int:
    """Remove what runs have staged and given up, of models too that are not any more; return of how many runs."""
    removed = remove_given_up(deployment.lake, before=datetime.now(UTC) - _GIVEN_UP_AFTER)
    log.info("staged scores of %d runs that were given up are removed", removed)
    return removed


def _digest(spec: ModelSpec) -> str:
    return hashlib.sha256(spec.model_dump_json().encode()).hexdigest()


def _cut(night: Night, chunk_rows: int) -> tuple[tuple[int, int] | None, ...]:
    try:
        return tuple(night.parts(rows_at_once=max(chunk_rows, night.count_stored() // _MOST_CHUNKS)))
    except UnorderedError:
        log.warning(
            "score model=%s partition=%s: the rows of %s are not in the order of their keys; they are one chunk",
            night.spec.model_id, night.partition, features_name(night.spec.features.group),
        )  # fmt: skip
        return (None,)


def _same_spec(plan: ChunkPlan) -> ModelSpec:
    spec = load_model(plan.model_id)
    if _digest(spec) != plan.spec_sha256:
        raise MlopsError(
            f"the spec of {plan.model_id} here is not the one by which the chunks of {plan.partition} were planned: it "
            "was changed since, or this worker has another; give all workers the same, then clear the task `plan` with "
            "all that follow it"
        )
    return spec


def _night(deployment: Deployment, spec: ModelSpec, plan: ChunkPlan, planned: PlannedPass) -> Night:
    return Night(deployment, spec, plan.partition, planned.feature_service, dict(planned.sources))


def _scorer(deployment: Deployment, spec: ModelSpec, plan: ChunkPlan, planned: PlannedPass) -> Scorer:
    loaded = load_version(deployment, plan.model_id, planned.model_version)
    if loaded.engine != planned.engine:
        raise MlopsError(
            f"{plan.model_id} version {planned.model_version} was planned to be scored by {planned.engine}, and this "
            f"worker has {loaded.engine} for it, whose scores differ by rounding; install the same libraries on all "
            "workers (oneDAL: uv sync --group onedal)"
        )
    return Scorer(
        role=planned.role,
        model_version=planned.model_version,
        engine=planned.engine,
        night=_night(deployment, spec, plan, planned),
        is_beside=planned.is_beside,
        loaded=loaded,
    )


def _stage(deployment: Deployment, plan: ChunkPlan, number: int, scoring: Scoring[Scorer]) -> str:
    return write_chunk(
        deployment.lake,
        plan,
        number,
        schema=scoring.schema,
        pieces=scoring.pieces(),
        accounts=lambda: {role: tally.account for role, tally in scoring.tallies.items()},
    )


def _require_whole(plan: ChunkPlan, staged: Sequence[StagedRef]) -> None:
    numbers = sorted(each.number for each in staged)
    if numbers != list(range(len(plan.parts))):
        raise RefusedError(
            f"{plan.model_id} {plan.partition} is not committed: its plan has chunks 0 to {len(plan.parts) - 1}, each "
            f"once, and what was staged is {numbers}; clear the task `plan` with all that follow it"
        )


def _require_newest(deployment: Deployment, plan: ChunkPlan) -> None:
    standing = {each.role: each for each in read_scoring_manifests(deployment.lake, plan.model_id, plan.partition)}
    for planned in plan.passes:
        there = standing[planned.role].sources if planned.role in standing else {}
        newer = sorted(table for table, version in planned.sources.items() if there.get(table, version) > version)
        if newer:
            raise RefusedError(
                f"{plan.model_id} {plan.partition} was scored since its chunks were planned, from version "
                f"{there[newer[0]]} of {newer[0]}; the chunks have version {planned.sources[newer[0]]}. What stands "
                "stays; clear the task `plan` with all that follow it to score the night from the newest"
            )


def _read_staged(
    deployment: Deployment, plan: ChunkPlan, staged: Sequence[StagedRef], passes: Sequence[Pass], _: int | None
) -> Iterator[Scored]:
    """Yield what chunks have staged for passes, in the order of the chunks."""
    roles = {each.role for each in passes}
    for each in sorted(staged, key=lambda one: one.number):
        for role, account, rows in read_chunk(deployment.lake, plan, each.number, sha256=each.sha256):
            if role in roles:
                yield account, {role: rows}
