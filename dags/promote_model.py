"""
### Ask a person, then promote

A version in Staging waits for approval with its evidence; approved, it goes to Production; rejected, it is archived
with the reason and Production stays; not answered in time, it is archived too.

- **In**: asset `candidate_<model>`, the promotion ledger.
- **Out**: one ledger row per move; MLflow's aliases follow the ledger.
- **Hazards**: one candidate waits per model: a newer one supersedes it, and approving the older is refused.
- **Re-run**: clear the tasks; a version that is in Production already is left as it is. A rollback:
  `mlops registry rollback --model <model> --from <version>`.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Param, PartitionedAssetTimetable, TriggerRule, dag, task

from include.specs.deployed import load_specs
from include.specs.models import ModelSpec
from mlops import assets
from mlops.dag_defaults import DEFAULT_ARGS, START_DATE, Tag, partition_param, refusals_skip, skip
from mlops.operators.approval import ANSWER_KEY, RecordedApprovalOperator
from mlops.operators.model_registry import MLflowPromoteModelOperator


def build_dag(spec: ModelSpec) -> None:
    @dag(
        dag_id=f"promote_model__{spec.model_id}",
        doc_md=__doc__,
        description=spec.description,
        schedule=PartitionedAssetTimetable(assets=assets.candidate(spec.model_id)),
        start_date=START_DATE,
        catchup=False,
        max_active_runs=16,
        dagrun_timeout=None,
        default_args=DEFAULT_ARGS,
        params={"partition": partition_param()},
        is_paused_upon_creation=False,
        tags=[Tag.GOVERNANCE, spec.owner],
    )
    def promote_model() -> None:
        @task
        def find_candidate() -> dict[str, str]:
            from include.adapters.deployment import Deployment
            from include.steps.move_model import describe_candidate

            with refusals_skip():
                return describe_candidate(Deployment.from_env(), spec.model_id)

        approve = RecordedApprovalOperator(
            task_id="approve",
            subject=f"Promote {spec.registered_name} version "
            "{{ ti.xcom_pull(task_ids='find_candidate')['version'] }} to Production?",
            body="{{ ti.xcom_pull(task_ids='find_candidate')['evidence'] }}",
            params={"reason": Param("", type="string", title="Reason", description="Kept in the promotion ledger.")},
            response_timeout=timedelta(hours=spec.approval.response_timeout_hours),
            execution_timeout=None,
        )
        promote = MLflowPromoteModelOperator(
            task_id="promote",
            model_id=spec.model_id,
            version="{{ ti.xcom_pull(task_ids='find_candidate')['version'] }}",
            approval_task_id="approve",
        )

        @task(trigger_rule=TriggerRule.ALL_DONE)
        def record_rejection(ti=None) -> str:
            from include.adapters.deployment import Deployment
            from include.steps.move_model import close_question

            found, answer = ti.xcom_pull(task_ids="find_candidate"), ti.xcom_pull(task_ids="approve", key=ANSWER_KEY)
            version = int(found["version"]) if found else skip("no version was asked for")
            with refusals_skip():
                return close_question(Deployment.from_env(), spec.model_id, version=version, answer=answer)

        find_candidate() >> approve >> promote >> record_rejection()

    promote_model()


for model in load_specs().models.values():
    build_dag(model)
