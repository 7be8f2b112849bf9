"""Operators around the MLflow registry.

What belongs here: Airflow's side of a lifecycle move. What does not: the rules of moving.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from mlops.hooks.model_registry import MLflowHook

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
    mlflow_conn_id : str
        Connection of MLflow.

    Returns
    -------
    int
        The version now in Production, from `execute`.
    """

    template_fields: Sequence[str] = ("version",)

    def __init__(
        self,
        *,
        model_id: str,
        version: str | int,
        approval_task_id: str,
        mlflow_conn_id: str = MLflowHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model_id = model_id
        self.version = version
        self.approval_task_id = approval_task_id
        self.mlflow_conn_id = mlflow_conn_id

    def execute(self, context: Context) -> int:
        """Promote and return the version."""
        from include.steps.move_model import promote_version

        answer = context["ti"].xcom_pull(task_ids=self.approval_task_id)
        deployment = MLflowHook(self.mlflow_conn_id).deployment
        return promote_version(deployment, self.model_id, version=int(self.version), **verdict_of(answer))


def verdict_of(answer: Any) -> dict[str, str]:
    """Return who answered an approval and the reason given, as the lifecycle's steps take them."""
    user = (answer or {}).get("responded_by_user") or {}
    reason = ((answer or {}).get("params_input") or {}).get("reason") or "no reason given"
    return {"actor": str(user.get("name") or user.get("id") or "unknown"), "reason": str(reason)}
