"""
### Train a version, hold it against its gates, put it into Staging

Claims the decision that asked for it, builds the training set as of the partition, fits, converts to ONNX, proves
both equal, registers the version and runs its gates.

- **In**: asset `retrain_<model>` (from monitoring, or a business event by `request_retrain__<model>`; one that is
  posted to the asset has a partition key, and in `extra` a `reason` and a `key` of its own), lake tables
  `raw/<source>` of what the label reads, and `features/<group>`.
- **Out**: lake folder `training_sets/<model>/<set>`, a registered version, ledger rows; asset `candidate_<model>`,
  only when every gate passes.
- **Hazards**: what the schedule alone asked for is archived unless it is better than the version in Production. A
  decision is trained on once; a second run for it skips. Where no version comes of a run, the reason is kept, and
  each night's decision tells it until another retrain acts; cooldown and budget count the attempt. A business event
  is judged, and trained on, as of the newest published night, whichever it names; one that comes twice with the same
  `key` is decided once.
- **First**: unpause it, once: a model that is new computes nothing before. What was asked for meanwhile is on record,
  and monitoring asks for it again each night.
- **Re-run**: clear the tasks: the same training set gives the same version. A training by hand: trigger with a
  partition key; it is recorded as a decision of its own.
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
    POOL_TRAINING,
    START_DATE,
    Tag,
    asked_for,
    partition_param,
    refusals_skip,
    titled,
)
from mlops.requests import describe_request
from mlops.trainings import failure_callbacks, refusals_kept


def build_dag(spec: ModelSpec) -> None:
    @dag(
        dag_id=f"train_model__{spec.model_id}",
        doc_md=__doc__,
        description=titled(__doc__, spec.model_id),
        schedule=PartitionedAssetTimetable(assets=assets.retrain(spec.model_id)),
        start_date=START_DATE,
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timedelta(hours=6),
        default_args={**DEFAULT_ARGS, "owner": spec.owner, "on_failure_callback": failure_callbacks(spec.model_id)},
        params={"partition": partition_param()},
        is_paused_upon_creation=True,
        tags=[Tag.TRAINING, spec.model_id],
    )
    def train_model() -> None:
        @task
        def claim(dag_run=None, **context) -> str:
            from include.adapters.deployment import Deployment
            from include.steps.claim_training import claim_training

            day = partitions.resolve({"dag_run": dag_run, **context})
            request = describe_request(dag_run, context)
            with refusals_skip():
                claimed = claim_training(Deployment.from_env(), spec.model_id, partition=day, request=request)
            return claimed.partition

        @task(execution_timeout=timedelta(hours=2))
        def build_training_set(day: str, **context) -> object:
            from include.adapters.deployment import Deployment
            from include.steps.build_training_set import build_training_set

            with refusals_kept(spec.model_id, context):
                return build_training_set(Deployment.from_env(), spec.model_id, as_of=day)

        @task(pool=POOL_TRAINING, execution_timeout=timedelta(hours=4))
        def train(training_set: object, **context) -> object:
            from include.adapters.deployment import Deployment
            from include.steps.train_model import train_model

            with refusals_kept(spec.model_id, context):
                return train_model(Deployment.from_env(), training_set)

        @task(outlets=[assets.candidate(spec.model_id)])
        def gate(candidate: object, dag_run=None, outlet_events=None, **context) -> object:
            from include.adapters.deployment import Deployment
            from include.steps.move_model import stage_or_refuse

            request = describe_request(dag_run, context)
            with refusals_kept(spec.model_id, context):
                stage_or_refuse(Deployment.from_env(), candidate, requested_by=request.requester)
            outlet_events[assets.candidate(spec.model_id)].add_partitions(candidate.as_of)
            return candidate

        gate(train(build_training_set(claim())))

    train_model()


for model in asked_for(load_specs().models):
    build_dag(model)
