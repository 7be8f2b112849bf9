"""MLflow's hook.

What belongs here: connection → adapter. What does not: anything the adapter does.
"""

from __future__ import annotations

import dataclasses
from functools import cached_property

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from include.adapters.deployment import Deployment  # noqa: TID253 - holds no heavy import itself
from include.settings import Settings


class MLflowHook(BaseHook):
    """Give the deployment whose MLflow a connection names.

    Parameters
    ----------
    mlflow_conn_id : str
        A connection of type ``http`` to an MLflow server. Where it doesn't exist the deployment's
        settings hold.
    """

    conn_name_attr = "mlflow_conn_id"
    default_conn_name = "mlflow_default"
    hook_name = "MLflow"

    def __init__(self, mlflow_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.mlflow_conn_id = mlflow_conn_id

    @cached_property
    def deployment(self) -> Deployment:
        """The deployment's adapters."""
        settings = Settings.from_env()
        try:
            connection = self.get_connection(self.mlflow_conn_id)
        except AirflowNotFoundException:
            return Deployment(settings)
        return Deployment(dataclasses.replace(settings, mlflow_tracking_uri=connection.get_uri()))
