"""Who may see which page of the cockpit: whom Airflow lets read the DAG that a page is about.

What belongs here: Airflow's own rules, asked. What does not: a rule of ours.
"""

from __future__ import annotations

from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import HTTPException, Request

# FastAPI resolves what a route asks for by the names in this module, when it is loaded.


def require_model(model_id: str, request: Request, user: GetUserDep) -> None:
    """Refuse who may not read the runs of a model's monitoring.

    Raises
    ------
    HTTPException
        401 where nobody is logged in, 403 where somebody may not, 404 for a name that no database holds.
    """
    if "\0" in model_id:
        raise HTTPException(404, f"no model has the name {model_id!r}")
    requires_access_dag("GET", param_dag_id=f"monitor_model__{model_id}")(request, user)


def may_read(model_id: str, request: Request, user: GetUserDep) -> bool:
    """Say whether somebody may read the runs of a model's monitoring."""
    try:
        require_model(model_id, request, user)
    except HTTPException:
        return False
    return True
