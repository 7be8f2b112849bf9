"""
### Ask for a training on a business event

For what monitoring can't see: new prices, a campaign, a merger. A system posts a run with `conf`, a person fills in the
form. The request is judged at the newest published night; a veto, cooldown, the budget and a candidate that waits stand
above it. What only a veto stands above is a training by hand: trigger `train_model__<model>`. What was granted while
training is paused is on record, and monitoring asks for it again each night.

- **In**: the reason; a key of the event's own, so that one that is sent twice asks once.
- **Out**: a decision with its reasons, also where that is a no, which skips; asset `retrain_<model>`.
- **Hazards**: none; without a reason it is refused where it is posted.
- **Re-run**: clear the task: it is the same request, and asks once.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Param, dag, task

from include.specs.deployed import load_specs
from include.specs.models import ModelSpec
from mlops import assets
from mlops.dag_defaults import DEFAULT_ARGS, START_DATE, Tag, asked_for, refusals_skip, titled
from mlops.requests import business_event, describe_event

_WORDS = {"minLength": 1, "maxLength": 500, "pattern": r"\S"}


def build_dag(spec: ModelSpec) -> None:
    @dag(
        dag_id=f"request_retrain__{spec.model_id}",
        doc_md=__doc__,
        description=titled(__doc__, spec.model_id),
        schedule=None,
        start_date=START_DATE,
        catchup=False,
        max_active_runs=16,
        dagrun_timeout=timedelta(hours=1),
        default_args={**DEFAULT_ARGS, "owner": spec.owner},
        params={
            "reason": Param(type="string", title="Reason", description="Kept with the decision.", **_WORDS),
            "key": Param(
                None,
                type=["null", "string"],
                title="Key",
                description="What the event is known by: sent twice, it asks once. Leave empty for a new one.",
                **_WORDS,
            ),
        },
        is_paused_upon_creation=False,
        tags=[Tag.TRAINING, spec.model_id],
    )
    def request_retrain() -> None:
        @task(outlets=[assets.retrain(spec.model_id)])
        def request(params=None, dag_run=None, outlet_events=None) -> str:
            from include.adapters.deployment import Deployment
            from include.steps.claim_training import request_training

            told = describe_event(dag_run, params)
            with refusals_skip():
                asked = business_event(dag_run.run_id, [told])
                decision = request_training(Deployment.from_env(), spec.model_id, asked)
            event = outlet_events[assets.retrain(spec.model_id)]
            event.extra = told
            event.add_partitions(decision.partition)
            return f"decision {decision.number} starts a training: {told['reason']}"

        request()

    request_retrain()


for model in asked_for(load_specs().models):
    build_dag(model)
