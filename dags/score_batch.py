"""
### Score one night

The version that the ledger puts in Production before that night scores its entities. Earlier nights, as many as the
spec's `scoring.rescore_days`, are scored again where a correction has reached their features since; what is healed
while the night is scored is found by the next one.

Where the spec has `scoring.chunk_rows`, `plan` chooses the version and pins the tables, a mapped `score_chunk` scores
each chunk of the night on any worker and stages a file in the lake, and `commit` makes one commit of all, with the rows
that one task would give.

- **In**: assets `features_<group>` of the model's group and of all groups that its feature service reads, their lake
  tables, the promotion ledger.
- **Out**: lake table `predictions/<model>`, with `scoring.challenger` of the version in Staging too; what made the
  scores and what became of every row, `scoring_manifests/<model>`; asset `predictions_<model>`.
- **Hazards**: where no version was in Production before the night, the task skips: there is nothing to score with. An
  older version may read groups that the spec does not any more: the task tries again for an hour until they are there.
  Of two runs that plan the chunks of one night the later one goes on, and the other's tasks fail and say so.
- **Re-run**: clear the task, of a night in chunks `plan` with all that follow it; a range goes through
  `rescore_range__<model>`, which scores each night in one task, leaves the nights that can't be scored yet and says
  which; the others are monitored as any night is. The same night twice gives the same rows.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import PartitionedAssetTimetable, dag, task

from include import partitions
from include.specs.deployed import load_specs
from include.specs.models import ModelSpec
from mlops import assets
from mlops.dag_defaults import (
    DEFAULT_ARGS,
    START_DATE,
    Tag,
    asked_for,
    day_param,
    partition_param,
    refusals_skip,
    skip,
    titled,
)

# Of the task that finds out which version scores: an hour for groups that only an older version in Production reads,
# whose events are not waited for.
_RETRIES = 12


def _score_in_one_task(spec: ModelSpec) -> None:
    @task(outlets=[assets.predictions(spec.model_id)], retries=_RETRIES)
    def score(outlet_events=None, **context) -> object:
        from include.adapters.deployment import Deployment
        from include.steps.score_batch import score_batch

        day = partitions.resolve(context)
        with refusals_skip():
            scored = score_batch(Deployment.from_env(), spec.model_id, partition=day)
        outlet_events[assets.predictions(spec.model_id)].add_partitions(day)
        return scored

    score()


def _score_in_chunks(spec: ModelSpec) -> None:
    @task(retries=_RETRIES)
    def plan(**context) -> list:
        from include.adapters.deployment import Deployment
        from include.steps.score_chunks import plan_chunks

        with refusals_skip():
            return plan_chunks(Deployment.from_env(), spec.model_id, partition=partitions.resolve(context))

    @task
    def score_chunk(chunk) -> object:
        from include.adapters.deployment import Deployment
        from include.steps.score_chunks import score_chunk

        return score_chunk(Deployment.from_env(), chunk)

    @task(outlets=[assets.predictions(spec.model_id)])
    def commit(chunks, staged, outlet_events=None) -> object:
        from include.adapters.deployment import Deployment
        from include.steps.score_chunks import commit_chunks

        committed = commit_chunks(Deployment.from_env(), chunks[0], list(staged))
        outlet_events[assets.predictions(spec.model_id)].add_partitions(committed.partition)
        return committed

    @task
    def remove_staged(chunks) -> None:
        from include.adapters.deployment import Deployment
        from include.steps.score_chunks import remove_staged

        remove_staged(Deployment.from_env(), chunks[0])

    chunks = plan()
    commit(chunks, score_chunk.expand(chunk=chunks)) >> remove_staged(chunks)


def build_dags(spec: ModelSpec) -> None:
    @dag(
        dag_id=f"score_batch__{spec.model_id}",
        doc_md=__doc__,
        description=titled(__doc__, spec.model_id),
        schedule=PartitionedAssetTimetable(assets=assets.inputs(spec.features.group, spec.features.service)),
        start_date=START_DATE,
        catchup=False,
        max_active_runs=4,
        dagrun_timeout=timedelta(hours=2),
        default_args={**DEFAULT_ARGS, "owner": spec.owner},
        params={"partition": partition_param()},
        is_paused_upon_creation=False,
        tags=[Tag.INFERENCE, spec.model_id],
    )
    def score_batch() -> None:
        @task(outlets=[assets.predictions(spec.model_id)])
        def rescore_stale(outlet_events=None, **context) -> list[str]:
            from include.adapters.deployment import Deployment
            from include.steps.rescore_stale import rescore_stale

            before = partitions.shift(partitions.resolve(context), -1)
            stale = rescore_stale(Deployment.from_env(), spec.model_id, until=before)
            if not stale:
                skip("no scores were made from features that were corrected since")
            outlet_events[assets.predictions(spec.model_id)].add_partitions([night.partition for night in stale])
            return [str(night) for night in stale]

        if spec.scoring.chunk_rows is None:
            _score_in_one_task(spec)
        else:
            _score_in_chunks(spec)
        rescore_stale()

    @dag(
        dag_id=f"rescore_range__{spec.model_id}",
        doc_md=__doc__,
        description=f"Score a range of nights in one run: {spec.model_id}",
        schedule=None,
        start_date=START_DATE,
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timedelta(hours=6),
        default_args={**DEFAULT_ARGS, "owner": spec.owner},
        params={"start": day_param("First night"), "end": day_param("Last night, included")},
        is_paused_upon_creation=False,
        tags=[Tag.INFERENCE, spec.model_id],
    )
    def rescore_range() -> None:
        @task(outlets=[assets.predictions(spec.model_id)], execution_timeout=timedelta(hours=4), multiple_outputs=False)
        def score_range(params: dict | None = None, outlet_events=None) -> dict[str, object]:
            from include.adapters.deployment import Deployment
            from include.steps.score_batch import score_range

            done = score_range(Deployment.from_env(), spec.model_id, start=params["start"], end=params["end"])
            outlet_events[assets.predictions(spec.model_id)].add_partitions(list(done.scored))
            return {"scored": len(done.scored), "left": done.left} if done.scored else skip("; ".join(done.left))

        score_range()

    score_batch()
    rescore_range()


for model in asked_for(load_specs().models):
    build_dags(model)
