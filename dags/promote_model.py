"""
### Ask a person, then promote

A version in Staging waits for approval with its evidence; approved, it goes to Production; rejected, it is archived
with the reason and Production stays; not answered in time, it waits on and is asked about again. One task asks and
moves: whose answer it was is read from Airflow's own record of the question, and nothing lies between that anybody
could write. `ask_about_waiting` finds each night what waits without a question: a version that was trained by hand, or
one that came while promotion was paused.

- **In**: asset `candidate_<model>`, the promotion ledger, Airflow's record of the answer.
- **Out**: one ledger row per move, with the reference to that record; MLflow's aliases follow the ledger.
- **Hazards**: one candidate waits per model: a newer one supersedes it, and the older one's question is closed. A task
  or run that is marked as success moves nothing.
- **Re-run**: clear the task, or trigger the DAG: a question that waits goes on waiting, an answer that is on record is
  taken, and a version that is in Production already is left as it is. A rollback:
  `mlops registry rollback --model <model> --from <version>`.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Param, PartitionedAssetTimetable, dag, task

from include import partitions
from include.specs.deployed import load_specs
from include.specs.models import ModelSpec
from mlops import assets
from mlops.dag_defaults import DEFAULT_ARGS, START_DATE, Tag, asked_for, nightly, partition_param, refusals_skip, titled
from mlops.operators.model_registry import MLflowPromoteModelOperator


def build_dag(spec: ModelSpec) -> None:
    @dag(
        dag_id=f"promote_model__{spec.model_id}",
        doc_md=__doc__,
        description=titled(__doc__, spec.model_id),
        schedule=PartitionedAssetTimetable(assets=assets.candidate(spec.model_id)),
        start_date=START_DATE,
        catchup=False,
        max_active_runs=16,
        dagrun_timeout=None,
        default_args={**DEFAULT_ARGS, "owner": spec.owner},
        params={"partition": partition_param()},
        is_paused_upon_creation=False,
        tags=[Tag.GOVERNANCE, spec.model_id],
    )
    def promote_model() -> None:
        MLflowPromoteModelOperator(
            task_id="approve",
            model_id=spec.model_id,
            params={"reason": Param("", type="string", title="Reason", description="Kept in the promotion ledger.")},
            response_timeout=timedelta(hours=spec.approval.response_timeout_hours),
            execution_timeout=None,
            # An answer that Airflow itself loses by the way costs a try each time: it is still on record.
            retries=8,
            retry_delay=timedelta(seconds=5),
        )

    promote_model()


@dag(
    dag_id="ask_about_waiting",
    doc_md=__doc__,
    description="Have every version asked about that waits in Staging without a question.",
    schedule=nightly(),
    start_date=START_DATE,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=1),
    default_args=DEFAULT_ARGS,
    params={"partition": partition_param()},
    is_paused_upon_creation=False,
    tags=[Tag.GOVERNANCE],
)
def ask_about_waiting() -> None:
    for spec in load_specs().models.values():
        remind(spec)


def remind(spec: ModelSpec) -> None:
    @task(task_id=f"remind_of_{spec.model_id}", outlets=[assets.candidate(spec.model_id)])
    def remind_of_candidate(outlet_events=None, **context) -> int:
        from include.adapters.deployment import Deployment
        from include.steps.ask_approval import find_candidate

        with refusals_skip():
            waiting = find_candidate(Deployment.from_env(), spec.model_id)
        outlet_events[assets.candidate(spec.model_id)].add_partitions(partitions.resolve(context))
        return waiting.version

    remind_of_candidate()


for model in asked_for(load_specs().models):
    build_dag(model)
ask_about_waiting()
