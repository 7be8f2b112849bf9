"""Operators around the MLflow registry.

What belongs here: Airflow's side of a lifecycle move. What does not: the rules of moving.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from include.errors import RefusedError
from mlops.dag_defaults import refusals_skip
from mlops.operators.approval import ANSWER_KEY

if TYPE_CHECKING:
    from airflow.sdk import Context


class MLflowPromoteModelOperator(BaseOperator):
    """Move a version from Staging to Production, with a ledger row, in the name of who approved it.

    Parameters
    ----------
    model_id : str
        The model's spec.
    version : str or int
        The registered version (templated).
    approval_task_id : str
        The approval task whose answer names the approver and the reason.

    Returns
    -------
    int
        The version now in Production, from `execute`; it skips where the version can't be promoted any
        more, for example because a newer candidate superseded it.
    """

    template_fields: Sequence[str] = ("version",)

    def __init__(
        self,
        *,
        model_id: str,
        version: str | int,
        approval_task_id: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model_id = model_id
        self.version = version
        self.approval_task_id = approval_task_id

    def execute(self, context: Context) -> int:
        """Promote and return the version."""
        from include.adapters.deployment import Deployment
        from include.steps.move_model import promote_version

        answer = context["ti"].xcom_pull(task_ids=self.approval_task_id, key=ANSWER_KEY)
        if not answer:
            raise RefusedError(f"{self.approval_task_id} has no answer on record; a promotion needs a person's name")
        deployment = Deployment.from_env()
        version, who = int(self.version), {"actor": answer["actor"], "reason": answer["reason"]}
        with refusals_skip():
            promote_version(deployment, self.model_id, version=version, **who)
        return version
